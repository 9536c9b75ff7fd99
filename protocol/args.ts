/** CONTRACT (to be replaced by the implementation; keep these signatures). */

/** A bulk string over the decoder's `bigBytesMin`, received elsewhere; the store's pages. */
export interface BigBulk {
  readonly length: number
  /** A copy of all bytes. */
  toBuffer(): Buffer
}

/**
 * The arguments of the command being executed: offsets into bytes, never copies. Valid until the
 * command's `run` returns; whoever waits (a load, a peer) takes copies first. `bytes` is always a
 * plain Uint8Array (never a Buffer: one hidden class on the hot path).
 */
export declare class Args {
  bytes: Uint8Array
  /** Arguments of the command, its name included. */
  count: number
  /** Index in `bytes` of argument i's first byte. Not for big ones. */
  pos(i: number): number
  /** Length of argument i in bytes, also of a big one. */
  length(i: number): number
  /** The big bulk that argument i is, else null. */
  big(i: number): BigBulk | null
  /** Is argument i this word (given in lower case), in any case? No allocation. */
  is(i: number, word: string): boolean
  /**
   * Argument i as a signed 64-bit integer by Redis's strict rules (string2ll: no spaces, no plus
   * sign, no leading zeros). NaN when it is none. Beyond 2^53 the number is the nearest double;
   * `bigint(i)` is exact.
   */
  integer(i: number): number
  /** The same, exact; null when it is none. */
  bigint(i: number): bigint | null
  /** Argument i by Redis's rules for floats (string2d / long double); NaN when it is none. */
  float(i: number): number
  /** A fresh copy of argument i (also of a big one). */
  buffer(i: number): Buffer
  /** Argument i as a latin1 string: one char a byte. */
  text(i: number): string
  /** A copy that stays valid: for commands that wait. */
  copy(): Buffer[]
  /** Point at a list of buffers instead (materialised commands, tests, forwarded ones). */
  static of(args: readonly (Buffer | string)[]): Args
}
