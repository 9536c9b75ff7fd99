/**
 * Requests, out of a stream of bytes that may be cut anywhere.
 *
 * Two forms arrive on the same connection. A client library sends arrays of bulk strings
 *
 *     *2 \r\n  $3 \r\n GET \r\n  $3 \r\n key \r\n
 *
 * and a person with telnet sends a line, `GET key`, split at blanks with quotes and escapes: an
 * inline command. The first byte tells them apart. What is refused, and with which words, is
 * redis-server 7.0's behaviour to the byte (its processInlineBuffer and processMultibulkBuffer),
 * down to its oddities: the byte after a '\r' is skipped unread, as are the two bytes after a bulk
 * string; a count of zero or less is ignored in silence; a NUL byte in a line hides the rest of it,
 * so that the line never ends and is refused once it is too long. One thing Redis leaves to chance:
 * how long a line may be depends on how its reads fall. Here a line ends within 64 KB or is refused,
 * wherever it was cut.
 *
 * The decoder is resumable: it remembers where in the unfinished command it stopped (relative to the
 * command's first byte, since the kept bytes may move) and how much of an unfinished line it has
 * searched, so every byte is looked at once and a bulk string's bytes not at all. It holds nothing
 * that was announced and has not arrived: `*2147483647` costs nothing, and the table of offsets
 * doubles only as arguments come in.
 *
 * A generator or a callback per argument would read better and cost five times as much; `next` is
 * one loop over local variables, with what is rare moved out of it.
 */
import assert from 'node:assert'
import { readInteger } from './number.ts'
import {
  ERR_BULK_LENGTH,
  ERR_BULK_UNAUTHENTICATED,
  ERR_BULK_LINE,
  ERR_INLINE_TOO_LONG,
  ERR_MULTIBULK_LENGTH,
  ERR_MULTIBULK_UNAUTHENTICATED,
  ERR_MULTIBULK_LINE,
  ERR_UNBALANCED_QUOTES,
  expectedDollar,
} from './errors.ts'
import { type Args, type BigBulk, TABLE_ARGUMENTS_KEPT } from './args.ts'

/** Shared by all decoders of a server; CONFIG SET changes the fields. */
export interface DecoderLimits {
  /** proto-max-bulk-len: longest announced bulk. */
  bulkBytesMax: number
  /** Bulks longer than this are handed out as BIG. 64 KB. */
  bigBytesMin: number
}

/** More bytes are needed: keep [base, to) and present it again, contiguous, with more behind it. */
export const MORE = 0
/** A command stands in `args`; it ended before index `end`. */
export const COMMAND = 1
/** `error` is the line to answer (Redis's words, no '-' and no CRLF); then close the connection. */
export const ERROR = 2
/**
 * A bulk of `bigLength` bytes begins at index `end`. The caller takes `bigLength + 2` bytes (the
 * CRLF is skipped unread, as Redis does) out of the stream, wherever they go, calls `endBig(bulk)`
 * and goes on with `next`, having removed them: the bytes [base, end) kept, directly followed by
 * what came after the bulk.
 */
export const BIG = 3
export type Status = typeof MORE | typeof COMMAND | typeof ERROR | typeof BIG

const CR = 0x0d
const LF = 0x0a
const STAR = 0x2a
const DOLLAR = 0x24
const ZERO = 0x30
const BACKSLASH = 0x5c
const DOUBLE_QUOTE = 0x22
const SINGLE_QUOTE = 0x27

/** A line (inline command, count or length) ends at this offset or before: Redis's 64 KB. */
const LINE_BYTES_MAX = 64 * 1024
/** Redis counts arguments in an int. */
const ARGUMENTS_MAX = 2 ** 31 - 1
/** Before AUTH: what AUTH and HELLO need, and no more. */
const UNAUTHENTICATED_ARGUMENTS_MAX = 10
const UNAUTHENTICATED_BULK_BYTES_MAX = 16384
/** Lengths with so many digits are read in place; longer ones by the careful reader. */
const QUICK_LENGTH_MAX = 100_000_000

/** Arguments the table holds from the start: enough for nearly all commands, 128 bytes. */
const TABLE_ARGUMENTS = 16

/** No length has been read: the next thing is a `$` line. */
const NO_LENGTH = -1
/** `#remaining` after an error: the stream is not to be trusted any more. */
const FAILED = -1
/** Results of `#findEnd` that are no index. */
const NOT_YET = -1
const TOO_LONG = -2
/** Result of `#splitLine` that is no count. */
const UNBALANCED = -1

/** Never written: the first big bulk of a command brings a list of its own. */
const NO_BIGS: BigBulk[] = []

/**
 * Resumable decoder of one connection's requests (RESP arrays and inline commands). It never
 * throws, never copies an argument, and allocates only for arguments that have arrived. Inline
 * commands with quotes are unescaped in place (that only shrinks). Several decoders of a thread may
 * share one `args`: it is pointed at a command only when that is whole.
 */
export class Decoder {
  /** Before AUTH: at most 10 arguments of at most 16,384 bytes. */
  restricted = false
  /** Index in the bytes of the last call where the unfinished (or just finished) command begins. */
  base = 0
  end = 0
  bigLength = 0
  error = ''
  readonly #args: Args
  readonly #limits: DecoderLimits
  /** Where decoding goes on: the line or bulk string there is unfinished. Relative to the base. */
  #at = 0
  /** Bytes of that line that were searched for its end. */
  #searched = 0
  /** Arguments of the command that are still to come; 0 also between commands. */
  #remaining = 0
  /** Arguments that have arrived. */
  #count = 0
  /** Length of the bulk string at `#at`. */
  #length = NO_LENGTH
  #table: Int32Array = new Int32Array(2 * TABLE_ARGUMENTS)
  #bigs = NO_BIGS
  /** `args` still holds this decoder's large table or big bulks of the last command. */
  #heavy = false

  constructor(args: Args, limits: DecoderLimits) {
    this.#args = args
    this.#limits = limits
  }

  /**
   * Decodes from where it stopped. `bytes[from ..)` must begin with the kept bytes of an
   * unfinished command: `from` is the index where they (or a new command) now begin, `to` the end
   * of what has arrived. Decoded before is not decoded again.
   */
  next(bytes: Uint8Array, from: number, to: number): Status {
    if (this.#heavy) this.#lighten()
    let base = from
    let at = from + this.#at
    let remaining = this.#remaining
    let count = this.#count

    // The first line. Commands of no arguments are skipped, so this may take several.
    while (remaining === 0 && count === 0) {
      if (at === to) return this.#wait(base, at, 0, 0, NO_LENGTH)
      if (bytes[at] !== STAR) {
        const newline = this.#findEnd(bytes, at, to, LF)
        if (newline === NOT_YET) return this.#wait(base, at, 0, 0, NO_LENGTH)
        if (newline === TOO_LONG) return this.#fail(ERR_INLINE_TOO_LONG)
        count = this.#splitLine(bytes, base, newline) // a CR before it is a blank like others
        if (count === UNBALANCED) return this.#fail(ERR_UNBALANCED_QUOTES)
        at = newline + 1
        if (count === 0) base = at
        continue
      }
      // Nearly every command: one digit, and its line has arrived.
      const quick = at + 3 < to && bytes[at + 2] === CR ? bytes[at + 1]! - ZERO : 0
      if (quick > 0 && quick <= 9) {
        remaining = quick
        at += 4
        this.#searched = 0
        break
      }
      const lineEnd = this.#findEnd(bytes, at, to, CR)
      if (lineEnd === NOT_YET) return this.#wait(base, at, 0, 0, NO_LENGTH)
      if (lineEnd === TOO_LONG) return this.#fail(ERR_MULTIBULK_LINE)
      const announced = readInteger(bytes, at + 1, lineEnd - at - 1)
      if (!(announced <= ARGUMENTS_MAX)) return this.#fail(ERR_MULTIBULK_LENGTH)
      if (this.restricted && announced > UNAUTHENTICATED_ARGUMENTS_MAX) {
        return this.#fail(ERR_MULTIBULK_UNAUTHENTICATED)
      }
      at = lineEnd + 2
      if (announced > 0) remaining = announced
      else base = at
    }

    let length = this.#length
    let table = this.#table
    for (; remaining > 0; remaining--) {
      if (length === NO_LENGTH) {
        let read = 0
        let digits = at + 1
        if (at + 3 < to && bytes[at] === DOLLAR && bytes[digits] !== ZERO) {
          let digit = bytes[digits]! - ZERO
          while (digit >= 0 && digit <= 9 && read < QUICK_LENGTH_MAX && digits + 2 < to) {
            read = read * 10 + digit
            digit = bytes[++digits]! - ZERO
          }
        }
        if (read > 0 && bytes[digits] === CR) {
          at = digits + 2
          this.#searched = 0
        } else {
          const lineEnd = this.#findEnd(bytes, at, to, CR)
          if (lineEnd === NOT_YET) return this.#wait(base, at, remaining, count, NO_LENGTH)
          if (lineEnd === TOO_LONG) return this.#fail(ERR_BULK_LINE)
          if (bytes[at] !== DOLLAR) return this.#fail(expectedDollar(bytes[at]!))
          read = readInteger(bytes, at + 1, lineEnd - at - 1)
          at = lineEnd + 2
        }
        if (!(read >= 0 && read <= this.#limits.bulkBytesMax)) return this.#fail(ERR_BULK_LENGTH)
        if (this.restricted && read > UNAUTHENTICATED_BULK_BYTES_MAX) {
          return this.#fail(ERR_BULK_UNAUTHENTICATED)
        }
        length = read
        if (length > this.#limits.bigBytesMin) {
          this.#wait(base, at, remaining, count, length)
          this.bigLength = length
          this.end = at
          return BIG
        }
      }
      if (to - at < length + 2) return this.#wait(base, at, remaining, count, length)
      if (2 * count === table.length) table = this.#grow()
      table[2 * count] = at - base
      table[2 * count + 1] = length
      count++
      at += length + 2
      length = NO_LENGTH
    }
    if (remaining === FAILED) return ERROR
    return this.#finish(bytes, base, at, count)
  }

  /** The bulk announced by BIG is there: it becomes the command's next argument. */
  endBig(bulk: BigBulk): void {
    assert(this.#remaining > 0 && bulk.length === this.#length, 'no such bulk is awaited')
    if (2 * this.#count === this.#table.length) this.#grow()
    this.#table[2 * this.#count] = -1 - this.#bigs.length
    this.#table[2 * this.#count + 1] = -1
    if (this.#bigs === NO_BIGS) this.#bigs = [bulk]
    else this.#bigs.push(bulk)
    this.#count++
    this.#remaining--
    this.#length = NO_LENGTH
  }

  /** Bytes this decoder holds beyond a fixed few hundred (grown offset tables). */
  get heldBytes(): number {
    return this.#table.length > 2 * TABLE_ARGUMENTS ? this.#table.byteLength : 0
  }

  /**
   * About how long the unfinished command will be, big bulks apart, if the arguments to come are like
   * those that have come; 0: who knows.
   */
  get bytesExpected(): number {
    if (this.#remaining <= 0 || this.#count === 0) return 0
    return Math.ceil((this.#at / this.#count) * (this.#count + this.#remaining))
  }

  #wait(base: number, at: number, remaining: number, count: number, length: number): Status {
    this.base = base
    this.#at = at - base
    this.#remaining = remaining
    this.#count = count
    this.#length = length
    return MORE
  }

  #finish(bytes: Uint8Array, base: number, end: number, count: number): Status {
    this.#args.point(bytes, base, this.#table, count, this.#bigs)
    this.base = base
    this.end = end
    this.#at = 0
    this.#remaining = 0
    this.#count = 0
    this.#length = NO_LENGTH
    if (count > TABLE_ARGUMENTS_KEPT || this.#bigs !== NO_BIGS) {
      this.#heavy = true
      this.#bigs = NO_BIGS
    }
    return COMMAND
  }

  #fail(error: string): Status {
    this.error = error
    this.#remaining = FAILED
    this.#table = new Int32Array(2 * TABLE_ARGUMENTS)
    return ERROR
  }

  /** Lets go of what the last command needed and most commands do not. */
  #lighten(): void {
    this.#heavy = false
    this.#args.clear()
    if (this.#table.length > 2 * TABLE_ARGUMENTS_KEPT) {
      this.#table = new Int32Array(2 * TABLE_ARGUMENTS)
    }
  }

  #grow(): Int32Array {
    const table = new Int32Array(2 * this.#table.length)
    table.set(this.#table)
    this.#table = table
    return table
  }

  /**
   * Index of the end (CR or LF) of the line that starts at `start`, searching only what was not
   * searched before. A CR counts once the byte after it is there as well. Behind a NUL nothing is
   * found.
   */
  #findEnd(bytes: Uint8Array, start: number, to: number, end: number): number {
    const stop = Math.min(to, start + LINE_BYTES_MAX + 1)
    let i = start + this.#searched
    while (i < stop && bytes[i] !== end && bytes[i] !== 0) i++
    this.#searched = i - start
    if (i < stop && bytes[i] === end) {
      if (end === CR && i + 1 === to) return NOT_YET
      this.#searched = 0
      return i
    }
    return to - start > LINE_BYTES_MAX ? TOO_LONG : NOT_YET
  }

  /**
   * Splits an inline command as Redis's sdssplitargs does: at blanks; "..." with escapes and '...'
   * with \' only, each of which must end before a blank or the line's end. Arguments are unescaped
   * where they stand.
   */
  #splitLine(bytes: Uint8Array, base: number, end: number): number {
    let count = 0
    let i = base
    for (;;) {
      while (i < end && isBlank(bytes[i]!)) i++
      if (i === end) return count
      const start = i
      let out = i
      let quote = 0
      for (;;) {
        if (i === end) {
          if (quote !== 0) return UNBALANCED
          break
        }
        let byte = bytes[i++]!
        if (quote === 0) {
          if (endsWord(byte)) break
          if (byte === DOUBLE_QUOTE || byte === SINGLE_QUOTE) {
            quote = byte
            continue
          }
        } else if (byte === quote) {
          if (i < end && !isBlank(bytes[i]!)) return UNBALANCED
          break
        } else if (byte === BACKSLASH && i < end) {
          if (quote === SINGLE_QUOTE) {
            if (bytes[i] === SINGLE_QUOTE) byte = bytes[i++]!
          } else if (isHexEscape(bytes, i, end)) {
            byte = 16 * hexValue(bytes[i + 1]!) + hexValue(bytes[i + 2]!)
            i += 3
          } else {
            byte = unescape(bytes[i++]!)
          }
        }
        bytes[out++] = byte
      }
      if (2 * count === this.#table.length) this.#grow()
      this.#table[2 * count] = start - base
      this.#table[2 * count + 1] = out - start
      count++
    }
  }
}

/** C's isspace. */
function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}

/** Vertical tab and form feed are blanks between words, but do not end one. */
function endsWord(byte: number): boolean {
  return byte === 0x20 || byte === CR || byte === 0x09
}

function isHexEscape(bytes: Uint8Array, pos: number, end: number): boolean {
  return (
    pos + 2 < end &&
    bytes[pos] === 0x78 &&
    hexValue(bytes[pos + 1]!) >= 0 &&
    hexValue(bytes[pos + 2]!) >= 0
  )
}

/** Value of a hexadecimal digit, -1 when the byte is none. */
function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1
}

/** What a backslash and this byte mean between double quotes. */
function unescape(byte: number): number {
  switch (byte) {
    case 0x6e: // \n
      return LF
    case 0x72: // \r
      return CR
    case 0x74: // \t
      return 0x09
    case 0x62: // \b
      return 0x08
    case 0x61: // \a
      return 0x07
    default:
      return byte
  }
}
