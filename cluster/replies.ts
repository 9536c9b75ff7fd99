/**
 * What another node answers, byte by byte to value by value.
 *
 * redis-parser makes the values, but it trusts its input: `*9999999999` and deep nesting throw out
 * of it, `$abc` waits for ever, `*30000000` allocates 240 MB, a reply that comes in pieces starts
 * a timer of its own, and it cannot tell `+OK` from a bulk string. So a gate stands before it: it
 * follows the framing (lines and lengths; it skips over bulk strings, so it is cheap), keeps bytes
 * back until replies are whole, and lets nothing through that is not exactly RESP2 or exceeds the
 * limits. The parser then only ever sees whole, well-formed replies of known size: it cannot
 * throw, wait or nest too deep, and never meets the end of its input in the middle of something.
 */
import { strict as assert } from 'node:assert'
import RedisParser from 'redis-parser'

/** An error reply: its line without '-' and CRLF. */
export class PeerError {
  readonly line: string
  constructor(line: string) {
    this.line = line
  }
}

/** A status reply such as OK, PONG or QUEUED. */
export class PeerStatus {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/**
 * A reply. Bulk strings are Buffers (views of what was received: to be read, not written, and to
 * be copied by who keeps them long); integers are numbers as far as those are exact, then bigints;
 * `$-1` and `*-1` are null. Only a status that is the whole reply is a PeerStatus; inside an
 * array it is a Buffer.
 */
export type PeerValue =
  Buffer | number | bigint | null | PeerError | PeerStatus | readonly PeerValue[]

export interface ReplyLimits {
  /** Bytes of one reply, framing included. */
  readonly bytesMax: number
  /** Arrays within arrays; 1 is a flat one. */
  readonly depthMax: number
}

const CR = 0x0d
const LF = 0x0a
const MINUS = 0x2d
const ZERO = 0x30
const PLUS = 0x2b
const COLON = 0x3a
const DOLLAR = 0x24
const STAR = 0x2a

/** Numbers of at most so many digits are exact as a double. */
const EXACT_DIGITS = 15
/** -9223372036854775808 */
const INTEGER_DIGITS_MAX = 19
const LENGTH_DIGITS_MAX = 10

/** What the next byte belongs to. */
const TYPE = 0
/** The text of a status or error. */
const TEXT = 1
/** An integer or a length: its sign or a digit. */
const NUMBER = 2
/** After a CR. */
const LINE_END = 3
/** The bytes of a bulk string. */
const BULK = 4
/** The CR behind a bulk string. */
const BULK_END = 5

/** One link's replies. After an error it takes no more. */
export class Replies {
  readonly #limits: ReplyLimits
  readonly #onReply: (value: PeerValue) => void
  readonly #parser: RedisParser
  readonly #held: Buffer[] = []
  /** Types of the whole replies that the parser is about to return, in order. */
  readonly #types: number[] = []
  #returned = 0
  /** The batch holds an integer beyond a double, or an array with an error in it. */
  #wide = false
  #nestedErrors = false
  #stopped = false
  #failure: string | null = null

  #state = TYPE
  #type = 0
  #topType = 0
  #number = 0
  #digits = 0
  #negative = false
  /** Bytes of the bulk string that are still to come. */
  #missing = 0
  /** Bytes of the unfinished reply so far. */
  #bytes = 0
  /** Elements still to come of each array that is open. */
  readonly #open: number[] = []

  constructor(limits: ReplyLimits, onReply: (value: PeerValue) => void) {
    this.#limits = limits
    this.#onReply = onReply
    const take = (value: unknown) => this.#returnReply(value)
    this.#parser = new RedisParser({
      returnReply: take,
      returnError: take,
      returnFatalError: (error) => (this.#failure ??= error.message),
      returnBuffers: true,
      stringNumbers: false,
    })
  }

  /** Part of a reply has come and the rest has not. */
  get midReply(): boolean {
    return this.#bytes > 0
  }

  /** Hand on no more replies, not even of the bytes that are being fed. */
  stop(): void {
    this.#stopped = true
  }

  /**
   * Takes what was received and hands on each reply that is whole now. Null, or a sentence that
   * says why these bytes are no replies; the link is then to be closed. The chunk must not be
   * changed afterwards.
   */
  feed(chunk: Buffer): string | null {
    if (this.#failure !== null) return this.#failure
    const whole = this.#scan(chunk)
    if (whole > 0) {
      this.#held.push(whole === chunk.length ? chunk : chunk.subarray(0, whole))
      const bytes = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held)
      this.#held.length = 0
      this.#parse(bytes)
    }
    if (whole < chunk.length) this.#held.push(chunk.subarray(whole))
    return this.#failure
  }

  #parse(bytes: Buffer): void {
    this.#returned = 0
    this.#parser.setStringNumbers(this.#wide)
    this.#parser.execute(bytes)
    const agreed = this.#returned === this.#types.length || this.#stopped
    assert(agreed || this.#failure !== null, 'gate and parser count the same replies')
    this.#types.length = 0
    this.#wide = false
    this.#nestedErrors = false
  }

  #returnReply(value: unknown): void {
    const type = this.#types[this.#returned++]
    if (this.#stopped) return
    this.#onReply(type === PLUS ? new PeerStatus(String(value)) : this.#convert(value))
  }

  /** What the parser made, as what we say it is. */
  #convert(value: unknown): PeerValue {
    if (Array.isArray(value)) {
      const plain = !this.#wide && !this.#nestedErrors
      return plain ? (value as PeerValue[]) : value.map((element) => this.#convert(element))
    }
    if (value instanceof Error) return new PeerError(value.message)
    if (typeof value !== 'string') return value as Buffer | number | null
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : BigInt(value)
  }

  /** Follows the framing of the chunk; where its last whole reply ends, 0 if none does. */
  #scan(chunk: Buffer): number {
    let whole = 0
    let i = 0
    while (i < chunk.length) {
      if (this.#state === BULK) {
        const skipped = Math.min(this.#missing, chunk.length - i)
        this.#missing -= skipped
        this.#bytes += skipped
        i += skipped
        if (this.#missing === 0) this.#state = BULK_END
        continue
      }
      const finished = this.#step(chunk[i++]!)
      if (this.#failure !== null) return whole
      if (++this.#bytes > this.#limits.bytesMax) {
        this.#fail(`a reply of more than ${this.#limits.bytesMax} bytes`)
        return whole
      }
      if (finished) {
        whole = i
        this.#bytes = 0
        this.#types.push(this.#topType)
      }
    }
    return whole
  }

  /** One byte that is not in a bulk string. True when a whole reply ends with it. */
  #step(byte: number): boolean {
    switch (this.#state) {
      case TYPE:
        this.#begin(byte)
        return false
      case TEXT:
        if (byte === CR) this.#state = LINE_END
        else if (byte === LF) this.#fail('a line feed in a line')
        return false
      case NUMBER:
        this.#digit(byte)
        return false
      case LINE_END:
        if (byte === LF) return this.#lineEnded()
        this.#fail('a carriage return without line feed')
        return false
      default: // BULK_END
        if (byte !== CR) this.#fail('a bulk string longer than announced')
        this.#type = PLUS
        this.#state = LINE_END
        return false
    }
  }

  #begin(byte: number): void {
    this.#type = byte
    if (this.#open.length === 0) this.#topType = byte
    if (byte === PLUS || byte === MINUS) {
      this.#state = TEXT
      if (byte === MINUS && this.#open.length > 0) this.#nestedErrors = true
    } else if (byte === COLON || byte === DOLLAR || byte === STAR) {
      this.#state = NUMBER
      this.#number = 0
      this.#digits = 0
      this.#negative = false
    } else {
      this.#fail(`a reply cannot begin with byte ${byte}`)
    }
  }

  #digit(byte: number): void {
    if (byte === CR && this.#digits > 0) {
      this.#state = LINE_END
    } else if (byte === MINUS && this.#digits === 0 && !this.#negative) {
      this.#negative = true
    } else if (byte >= ZERO && byte <= ZERO + 9) {
      this.#number = this.#number * 10 + (byte - ZERO)
      const digitsMax = this.#type === COLON ? INTEGER_DIGITS_MAX : LENGTH_DIGITS_MAX
      if (++this.#digits > digitsMax) this.#fail('a number of too many digits')
    } else {
      this.#fail('a number that is none')
    }
  }

  /** True when that was the end of a whole reply. */
  #lineEnded(): boolean {
    this.#state = TYPE
    if (this.#type === COLON) {
      if (this.#digits > EXACT_DIGITS) this.#wide = true
    } else if (this.#type === DOLLAR || this.#type === STAR) {
      if (this.#negative && this.#number !== 1) this.#fail('a negative length')
      else if (!this.#negative && this.#type === DOLLAR) return this.#openBulk()
      else if (!this.#negative && this.#number > 0) return this.#openArray()
    }
    return this.#valueEnded()
  }

  #openBulk(): boolean {
    if (this.#bytes + this.#number > this.#limits.bytesMax) {
      this.#fail(`a reply of more than ${this.#limits.bytesMax} bytes`)
    }
    this.#missing = this.#number
    this.#state = this.#missing === 0 ? BULK_END : BULK
    return false
  }

  #openArray(): boolean {
    if (this.#open.length === this.#limits.depthMax) this.#fail('arrays nested too deep')
    // The shortest element has three bytes.
    if (this.#number * 3 > this.#limits.bytesMax) {
      this.#fail(`a reply of more than ${this.#limits.bytesMax} bytes`)
    }
    this.#open.push(this.#number)
    return false
  }

  #valueEnded(): boolean {
    const open = this.#open
    while (open.length > 0) {
      if (--open[open.length - 1]! > 0) return false
      open.pop()
    }
    return true
  }

  #fail(why: string): void {
    this.#failure ??= why
  }
}
