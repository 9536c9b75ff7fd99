/** CONTRACT (to be replaced by the implementation; keep these signatures). */

/**
 * Gives the encoder room when its area is full: takes away [start, pos) and calls `reply.use` with
 * an area of at least `need` bytes.
 */
export interface ReplyOverflow {
  overflow(reply: Reply, need: number): void
}

/**
 * RESP2/RESP3 encoder into one area of bytes. Each method writes one reply (or an aggregate's
 * head). Frequent replies are precomputed. Never throws, grows only through `overflow`.
 */
export declare class Reply {
  constructor(overflow: ReplyOverflow)
  /** 2 or 3: the connection's protocol. */
  protocol: number
  bytes: Uint8Array
  start: number
  pos: number
  end: number
  /** Errors written since the counter was last cleared (for stats), and the last one's first word. */
  errors: number
  lastErrorCode: string
  use(bytes: Uint8Array, start: number, end: number): void
  /** Makes sure that n bytes can be written at pos. */
  room(n: number): void

  ok(): void
  simple(text: string): void
  /** The whole line without '-' and CRLF: 'ERR syntax error'. CR and LF in it become spaces. */
  error(line: string): void
  integer(n: number): void
  /** A 64-bit integer beyond 2^53. */
  bigInteger(n: bigint): void
  /** $-1 in RESP2, _ in RESP3. */
  null(): void
  /** *-1 in RESP2, _ in RESP3. */
  nullArray(): void
  bulk(bytes: Uint8Array, pos?: number, length?: number): void
  /** A bulk string of text, utf8 (latin1: one byte a char, when `latin1`). */
  text(text: string, latin1?: boolean): void
  /**
   * Writes `$length\r\n`, and returns the position where the caller puts `length` bytes;
   * `endBulk()` then writes the CRLF. The sink of Store.get. Returns -1 when the area has no room
   * for all of it (nothing is written then).
   */
  reserve(length: number): number
  endBulk(): void
  array(n: number): void
  /** %n in RESP3, *2n in RESP2. */
  map(n: number): void
  /** ~n in RESP3, *n in RESP2. */
  set(n: number): void
  /** >n in RESP3, *n in RESP2. */
  push(n: number): void
  /** ,x in RESP3, a bulk string in RESP2 (%.17g). */
  double(x: number): void
  /** #t/#f in RESP3, :1/:0 in RESP2. */
  boolean(b: boolean): void
  /** =n txt:... in RESP3, a bulk string in RESP2. */
  verbatim(text: string, format?: string): void
  /** Already encoded bytes. */
  raw(bytes: Uint8Array, pos?: number, length?: number): void
  /** A copy of [start, pos), after which pos is start again. */
  take(): Buffer
}
