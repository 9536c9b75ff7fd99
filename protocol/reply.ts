/**
 * Replies, into one area of bytes.
 *
 * All replies of one read event are written one after the other into an area that is handed to the
 * socket as it is, so encoding is plain stores of bytes: no strings, no buffers, no list of chunks.
 *
 *     bytes   | ........ | +OK\r\n $3\r\nabc\r\n :1\r\n | free ...... |
 *                        ^start                        ^pos          ^end
 *
 * A method makes sure of its room first and writes then, so a reply is never written in part. When
 * the area is full, `overflow` takes the bytes away and brings room: only the connection knows
 * whether they can be sent or must be kept.
 *
 * Commands speak in RESP3's terms (null, map, set, double, boolean, verbatim); for a client that
 * has not said HELLO 3 each becomes what redis-server 7.0 makes of it in RESP2.
 */
import { Buffer } from 'node:buffer'
import { formatDouble } from './number.ts'

/**
 * Gives the encoder room when its area is full: takes away [start, pos) and calls `reply.use` with
 * an area of at least `need` bytes.
 */
export interface ReplyOverflow {
  overflow(reply: Reply, need: number): void
}

const CR = 0x0d
const LF = 0x0a
const SPACE = 0x20
const MINUS = 0x2d
const AT = 0x40
const ZERO = 0x30

const PLUS_SIGN = 0x2b
const COLON = 0x3a
const DOLLAR = 0x24
const STAR = 0x2a
const PERCENT = 0x25
const TILDE = 0x7e
const GREATER = 0x3e
const COMMA = 0x2c
const EQUALS = 0x3d

/** A type byte, the 16 digits and sign of a safe integer, CRLF. */
const HEAD_BYTES_MAX = 1 + 17 + 2
/** A head and the CRLF behind a bulk string. */
const BULK_BYTES_EXTRA = HEAD_BYTES_MAX + 2
/** Integers above this are written in two parts, each of which fits an int32. */
const INT32_DIGITS = 1_000_000_000
/** Up to here a loop is quicker than making a view for a copy, or a call out of JavaScript. */
const SHORT = 48
/** Anything in error lines and simple strings above this is no byte. */
const BYTE_MAX = 0xff
const QUESTION_MARK = 0x3f

const encode = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
const OK = encode('+OK\r\n')
const NULL_BULK = encode('$-1\r\n')
const NULL_ARRAY = encode('*-1\r\n')
const NULL = encode('_\r\n')
const TRUE = encode('#t\r\n')
const FALSE = encode('#f\r\n')

const NO_BYTES = new Uint8Array(0)

/**
 * RESP2/RESP3 encoder into one area of bytes. Each method writes one reply (or an aggregate's
 * head). Frequent replies are precomputed. Never throws, grows only through `overflow`.
 */
export class Reply {
  /** 2 or 3: the connection's protocol. */
  protocol = 2
  bytes: Uint8Array = NO_BYTES
  start = 0
  pos = 0
  end = 0
  /** Errors written since the counter was last cleared (for stats), and the last one's first word. */
  errors = 0
  lastErrorCode = ''
  readonly #overflow: ReplyOverflow
  /** A Buffer over `bytes`, for long texts; made when one is written. */
  #view: Buffer | null = null
  #direct = true

  constructor(overflow: ReplyOverflow) {
    this.#overflow = overflow
  }

  /**
   * Writes to bytes[start, end) from now on. `direct`: these are the bytes that positions given by
   * `reserve` mean; in any other area `reserve` has no room.
   */
  use(bytes: Uint8Array, start: number, end: number, direct = true): void {
    this.#direct = direct
    if (bytes !== this.bytes) this.#view = null
    this.bytes = bytes
    this.start = start
    this.pos = start
    this.end = end
  }

  /** Makes sure that n bytes can be written at pos. */
  room(n: number): void {
    if (this.end - this.pos < n) this.#overflow.overflow(this, n)
  }

  ok(): void {
    this.#constant(OK)
  }

  /** A status line: one byte a char; what would end the line becomes a space. */
  simple(text: string): void {
    this.#line(PLUS_SIGN, text)
  }

  /** The whole line without '-' and CRLF: 'ERR syntax error'. CR and LF in it become spaces. */
  error(line: string): void {
    this.errors++
    const space = line.indexOf(' ')
    this.lastErrorCode = space < 0 ? line : line.slice(0, space)
    this.#line(MINUS, line)
  }

  /** A whole number. */
  integer(n: number): void {
    if (n > Number.MAX_SAFE_INTEGER || n < Number.MIN_SAFE_INTEGER) {
      this.bigInteger(BigInt(n))
      return
    }
    this.room(HEAD_BYTES_MAX)
    this.#head(COLON, n)
  }

  /** No reply: `@n`, in front of the reply to the request of another node that has this id. */
  answerTo(id: number): void {
    this.room(HEAD_BYTES_MAX)
    this.#head(AT, id)
  }

  /** A 64-bit integer beyond 2^53. */
  bigInteger(n: bigint): void {
    this.#line(COLON, n.toString())
  }

  /** $-1 in RESP2, _ in RESP3. */
  null(): void {
    this.#constant(this.protocol === 3 ? NULL : NULL_BULK)
  }

  /** *-1 in RESP2, _ in RESP3. */
  nullArray(): void {
    this.#constant(this.protocol === 3 ? NULL : NULL_ARRAY)
  }

  bulk(bytes: Uint8Array, pos = 0, length = bytes.length - pos): void {
    this.room(length + BULK_BYTES_EXTRA)
    this.#head(DOLLAR, length)
    this.#copy(bytes, pos, length)
    this.endBulk()
  }

  /** A bulk string of text, utf8 (latin1: one byte a char, when `latin1`). */
  text(text: string, latin1 = false): void {
    const length = latin1 ? text.length : Buffer.byteLength(text)
    this.room(length + BULK_BYTES_EXTRA)
    this.#head(DOLLAR, length)
    this.#string(text, length, latin1)
    this.endBulk()
  }

  /**
   * Writes `$length\r\n`, and returns the position where the caller puts `length` bytes;
   * `endBulk()` then writes the CRLF. The sink of Store.get. Returns -1 when the area has no room
   * for all of it, or is not the one such positions mean (nothing is written then).
   */
  reserve(length: number): number {
    if (!this.#direct || this.end - this.pos < length + BULK_BYTES_EXTRA) return -1
    this.#head(DOLLAR, length)
    const pos = this.pos
    this.pos += length
    return pos
  }

  endBulk(): void {
    this.bytes[this.pos] = CR
    this.bytes[this.pos + 1] = LF
    this.pos += 2
  }

  array(n: number): void {
    this.room(HEAD_BYTES_MAX)
    this.#head(STAR, n)
  }

  /** %n in RESP3, *2n in RESP2. */
  map(n: number): void {
    this.room(HEAD_BYTES_MAX)
    if (this.protocol === 3) this.#head(PERCENT, n)
    else this.#head(STAR, 2 * n)
  }

  /** ~n in RESP3, *n in RESP2. */
  set(n: number): void {
    this.room(HEAD_BYTES_MAX)
    this.#head(this.protocol === 3 ? TILDE : STAR, n)
  }

  /** >n in RESP3, *n in RESP2. */
  push(n: number): void {
    this.room(HEAD_BYTES_MAX)
    this.#head(this.protocol === 3 ? GREATER : STAR, n)
  }

  /** ,x in RESP3, a bulk string in RESP2, with the digits of C's %.17g in both. */
  double(x: number): void {
    const text = formatDouble(x)
    if (this.protocol === 3) this.#line(COMMA, text)
    else this.text(text, true)
  }

  /** #t/#f in RESP3, :1/:0 in RESP2. */
  boolean(b: boolean): void {
    if (this.protocol === 3) this.#constant(b ? TRUE : FALSE)
    else this.integer(b ? 1 : 0)
  }

  /** =n txt:... in RESP3, a bulk string in RESP2. The format has three letters. */
  verbatim(text: string, format = 'txt'): void {
    if (this.protocol !== 3) {
      this.text(text)
      return
    }
    const length = Buffer.byteLength(text)
    this.room(length + 4 + BULK_BYTES_EXTRA)
    this.#head(EQUALS, length + 4)
    this.#string(`${format}:`, 4, true)
    this.#string(text, length, false)
    this.endBulk()
  }

  /** Already encoded bytes. */
  raw(bytes: Uint8Array, pos = 0, length = bytes.length - pos): void {
    this.room(length)
    this.#copy(bytes, pos, length)
  }

  /** A copy of [start, pos), after which pos is start again. */
  take(): Buffer {
    const copy = Buffer.from(this.bytes.subarray(this.start, this.pos))
    this.pos = this.start
    return copy
  }

  #constant(reply: Uint8Array): void {
    this.room(reply.length)
    const bytes = this.bytes
    let pos = this.pos
    for (let i = 0; i < reply.length; i++) bytes[pos++] = reply[i]!
    this.pos = pos
  }

  /** A type byte, an integer, CRLF. The caller has made room for HEAD_BYTES_MAX. */
  #head(type: number, n: number): void {
    const bytes = this.bytes
    let pos = this.pos
    bytes[pos++] = type
    if (n < 0) {
      bytes[pos++] = MINUS
      n = -n
    }
    if (n < INT32_DIGITS) {
      pos = writeDigits(bytes, pos, n, digitsOf(n))
    } else {
      const high = Math.floor(n / INT32_DIGITS)
      pos = writeDigits(bytes, pos, high, digitsOf(high))
      pos = writeDigits(bytes, pos, n - high * INT32_DIGITS, 9)
    }
    bytes[pos] = CR
    bytes[pos + 1] = LF
    this.pos = pos + 2
  }

  /** A type byte, one byte a char, CRLF. */
  #line(type: number, text: string): void {
    this.room(text.length + 3)
    const bytes = this.bytes
    let pos = this.pos
    bytes[pos++] = type
    for (let i = 0; i < text.length; i++) {
      const char = text.charCodeAt(i)
      if (char === CR || char === LF) bytes[pos++] = SPACE
      else bytes[pos++] = char > BYTE_MAX ? QUESTION_MARK : char
    }
    bytes[pos] = CR
    bytes[pos + 1] = LF
    this.pos = pos + 2
  }

  #copy(from: Uint8Array, pos: number, length: number): void {
    const bytes = this.bytes
    const to = this.pos
    if (length > SHORT) bytes.set(from.subarray(pos, pos + length), to)
    else for (let i = 0; i < length; i++) bytes[to + i] = from[pos + i]!
    this.pos = to + length
  }

  /** `length`: bytes of the encoded text. */
  #string(text: string, length: number, latin1: boolean): void {
    const to = this.pos
    if (length <= SHORT && (latin1 || length === text.length)) {
      for (let i = 0; i < length; i++) this.bytes[to + i] = text.charCodeAt(i)
    } else {
      const { buffer, byteOffset, byteLength } = this.bytes
      this.#view ??= Buffer.from(buffer, byteOffset, byteLength)
      this.#view.write(text, to, length, latin1 ? 'latin1' : 'utf8')
    }
    this.pos = to + length
  }
}

/** Decimal digits of a whole number below 10^9 (up to 10^8 for the upper part of a larger one). */
function digitsOf(n: number): number {
  if (n < 100_000) {
    if (n < 100) return n < 10 ? 1 : 2
    if (n < 10_000) return n < 1000 ? 3 : 4
    return 5
  }
  if (n < 10_000_000) return n < 1_000_000 ? 6 : 7
  return n < 100_000_000 ? 8 : 9
}

/** Writes n with so many digits, zeros in front; returns the position behind. */
function writeDigits(bytes: Uint8Array, pos: number, n: number, digits: number): number {
  for (let i = pos + digits - 1; i >= pos; i--) {
    const rest = (n / 10) | 0
    bytes[i] = ZERO + n - rest * 10
    n = rest
  }
  return pos + digits
}
