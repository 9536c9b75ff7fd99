/**
 * The arguments of one command, as offsets into the bytes they arrived in.
 *
 * A command is never turned into strings or buffers on its way from the socket to the store: the
 * decoder writes one pair of numbers an argument into a table, and everything after it (look-up of
 * the command, routing, the store) works on bytes, position and length.
 *
 *     bytes   ... *3 \r\n $3 \r\n SET \r\n $1 \r\n k \r\n $5 \r\n value \r\n ...
 *                 ^base           ^8               ^17           ^24
 *     table       8 3 | 17 1 | 24 5               position from base, length
 *
 * Positions count from the command's first byte, so a command that arrived in pieces needs no
 * correction when its kept bytes are presented again elsewhere. A bulk string over `bigBytesMin` is
 * not among the bytes at all: its pair is (-1 - its index in the list of big ones, -1).
 */
import { Buffer } from 'node:buffer'
import { latin1, readBigint, readFloat, readInteger } from './number.ts'

/** A bulk string over the decoder's `bigBytesMin`, received elsewhere; the store's pages. */
export interface BigBulk {
  readonly length: number
  /** A copy of all bytes. */
  toBuffer(): Buffer
  /** A copy of the first `bytesMax` bytes at most. */
  head(bytesMax: number): Buffer
}

/**
 * A table for more arguments than this (8 KB) belongs to its command: the decoder makes a new one for
 * the next.
 */
export const TABLE_ARGUMENTS_KEPT = 1024

const NO_BYTES = new Uint8Array(0)
const NO_TABLE = new Int32Array(0)
const NO_BIGS: readonly BigBulk[] = []

/** Up to here a string is built char by char, which is quicker than making a Buffer for it. */
const SHORT_TEXT = 16

/** What is longer is cut: of a bulk of 512 MB Node.js cannot make a string, and here is room for some words more. */
export const TEXT_BYTES_MAX = 2 ** 29 - 1024

/**
 * The arguments of the command being executed: offsets into bytes, never copies. Valid until the
 * command's `run` returns; whoever waits (a load, a peer) takes copies first. `bytes` is always a
 * plain Uint8Array (never a Buffer: one hidden class on the hot path). An index must be below
 * `count`; it is not checked.
 */
export class Args {
  bytes: Uint8Array = NO_BYTES
  /** Arguments of the command, its name included. */
  count = 0
  #base = 0
  #table: Int32Array = NO_TABLE
  #bigs: readonly BigBulk[] = NO_BIGS

  /**
   * Points at a command: argument i has `table[2i + 1]` bytes from `bytes[base + table[2i]]` on.
   * For the decoder; the table is read until the next call (a long one: as long as anybody wants) and
   * never written here.
   */
  point(
    bytes: Uint8Array,
    base: number,
    table: Int32Array,
    count: number,
    bigs: readonly BigBulk[],
  ): void {
    this.bytes = bytes
    this.count = count
    this.#base = base
    this.#table = table
    this.#bigs = bigs
  }

  /** Drops the first argument: the header of a peer's request. */
  shift(): void {
    this.#table = this.#table.subarray(2)
    this.count--
  }

  /** Points at nothing, so that neither a large table nor a big bulk is kept alive. */
  clear(): void {
    this.point(NO_BYTES, 0, NO_TABLE, 0, NO_BIGS)
  }

  /** Index in `bytes` of argument i's first byte. Not for big ones. */
  pos(i: number): number {
    return this.#base + this.#table[2 * i]!
  }

  /** Length of argument i in bytes, also of a big one. */
  length(i: number): number {
    const length = this.#table[2 * i + 1]!
    return length >= 0 ? length : this.#bigs[-1 - this.#table[2 * i]!]!.length
  }

  /** The big bulk that argument i is, else null. */
  big(i: number): BigBulk | null {
    const position = this.#table[2 * i]!
    return position >= 0 ? null : this.#bigs[-1 - position]!
  }

  /** All big bulks of the command: whoever executes it sees to it that each finds an owner. */
  get bigs(): readonly BigBulk[] {
    return this.#bigs
  }

  /** Is argument i this word (given in lower case), in any case? No allocation. */
  is(i: number, word: string): boolean {
    const length = this.#table[2 * i + 1]!
    if (length !== word.length) return false
    const pos = this.pos(i)
    for (let j = 0; j < length; j++) {
      let byte = this.bytes[pos + j]!
      if (byte >= 0x41 && byte <= 0x5a) byte |= 0x20
      if (byte !== word.charCodeAt(j)) return false
    }
    return true
  }

  /**
   * Argument i as a signed 64-bit integer by Redis's strict rules (string2ll: no spaces, no plus
   * sign, no leading zeros). NaN when it is none. Beyond 2^53 the number is the nearest double;
   * `bigint(i)` is exact.
   */
  integer(i: number): number {
    return readInteger(this.bytes, this.pos(i), this.#table[2 * i + 1]!)
  }

  /** The same, exact; null when it is none. */
  bigint(i: number): bigint | null {
    return readBigint(this.bytes, this.pos(i), this.#table[2 * i + 1]!)
  }

  /** Argument i by Redis's rules for floats (see `readFloat`); NaN when it is none. */
  float(i: number): number {
    const length = this.#table[2 * i + 1]!
    return length < 0 ? NaN : readFloat(this.bytes, this.pos(i), length)
  }

  /** A fresh copy of argument i (also of a big one). */
  buffer(i: number): Buffer {
    const big = this.big(i)
    if (big !== null) return big.toBuffer()
    const pos = this.pos(i)
    return Buffer.from(this.bytes.subarray(pos, pos + this.length(i)))
  }

  /** A fresh copy of its first `bytesMax` bytes at most. */
  head(i: number, bytesMax: number): Buffer {
    const big = this.big(i)
    if (big !== null) return big.head(bytesMax)
    const pos = this.pos(i)
    return Buffer.from(this.bytes.subarray(pos, pos + Math.min(this.length(i), bytesMax)))
  }

  /** Argument i as a latin1 string: one char a byte, and TEXT_BYTES_MAX of them at most. */
  text(i: number): string {
    const big = this.big(i)
    if (big !== null) return big.head(TEXT_BYTES_MAX).toString('latin1')
    const pos = this.pos(i)
    const length = Math.min(this.length(i), TEXT_BYTES_MAX)
    if (length > SHORT_TEXT) return latin1(this.bytes, pos, length)
    let text = ''
    for (let j = pos; j < pos + length; j++) text += String.fromCharCode(this.bytes[j]!)
    return text
  }

  /** A copy that stays valid: for commands that wait. */
  copy(): Buffer[] {
    const buffers: Buffer[] = []
    for (let i = 0; i < this.count; i++) buffers.push(this.buffer(i))
    return buffers
  }

  /**
   * The same arguments, for a command that goes on later: over bytes of their own, or over these if
   * `keepsBytes` says that nobody else will write them. Of a command with very many arguments a copy
   * would hold up others for ten milliseconds. Big ones are not copied: who owns them must keep them
   * until then.
   */
  detached(keepsBytes = false): Args {
    const args = new Args()
    const { count } = this
    const isLong = this.#table.length > 2 * TABLE_ARGUMENTS_KEPT
    const table = isLong ? this.#table : this.#table.slice(0, 2 * count)
    if (keepsBytes) {
      args.point(this.bytes, this.#base, table, count, [...this.#bigs])
      return args
    }
    let end = this.#base
    for (let i = 0; i < count; i++) {
      if (this.big(i) === null) end = Math.max(end, this.pos(i) + this.length(i))
    }
    args.point(this.bytes.slice(this.#base, end), 0, table, count, [...this.#bigs])
    return args
  }

  /**
   * Points at a list of buffers instead (materialised commands, tests, forwarded ones). The bytes
   * are copied into one array; strings become UTF-8.
   */
  static of(list: readonly (Buffer | string)[]): Args {
    const table = new Int32Array(2 * list.length)
    let total = 0
    for (const [i, item] of list.entries()) {
      const length = typeof item === 'string' ? Buffer.byteLength(item) : item.length
      table[2 * i] = total
      table[2 * i + 1] = length
      total += length
    }
    const bytes = new Uint8Array(total)
    for (const [i, item] of list.entries()) {
      bytes.set(typeof item === 'string' ? Buffer.from(item) : item, table[2 * i])
    }
    const args = new Args()
    args.point(bytes, 0, table, list.length, NO_BIGS)
    return args
  }
}

/** As `Args.text` gives it, of bytes that are no argument any more. */
export function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, Math.min(length, TEXT_BYTES_MAX)).toString('latin1')
}
