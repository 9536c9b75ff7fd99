/*
 * The framing of RESP2 replies, where wanted of RESP3 too, followed byte by byte: lines and lengths; bulk
 * strings are skipped, so it is cheap. It stands before parsers that trust their input, and finds where replies end, that something
 * is no reply, and that one is longer or nested deeper than it may be, as soon as it says so.
 */

export interface ReplyLimits {
  /** Bytes of one reply, framing included. */
  readonly bytesMax: number
  /** Arrays within arrays; 1 is a flat one. */
  readonly depthMax: number
  /** Are RESP3's types replies too? Default: no. */
  readonly resp3?: boolean
}

const CR = 0x0d
const LF = 0x0a
export const MINUS = 0x2d
const ZERO = 0x30
export const PLUS = 0x2b
/** _ # , ( are lines; = and ! are like bulk strings; ~ and > like arrays, % like one of pairs. */
const RESP3_LINES: ReadonlySet<number> = new Set([0x5f, 0x23, 0x2c, 0x28])
const RESP3_BULKS: ReadonlySet<number> = new Set([0x3d, 0x21])
const PERCENT = 0x25
const RESP3_ARRAYS: ReadonlySet<number> = new Set([0x7e, 0x3e, PERCENT])
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

/** Follows what one connection answers. After a failure it follows no more. */
export class ReplyGate {
  readonly #limits: ReplyLimits
  /** Types of the whole replies since `forget`, in order. */
  readonly types: number[] = []
  /** Among them there is an integer beyond a double, or an array with an error in it. */
  wide = false
  nestedErrors = false
  /** Has the reply that ended last, or is under way, a type that is not of RESP2? */
  isResp3 = false
  /** The first byte of that reply. */
  get topType(): number {
    return this.#topType
  }
  /** A sentence that says why these bytes are no replies that may be taken. */
  failure: string | null = null

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

  constructor(limits: ReplyLimits) {
    this.#limits = limits
  }

  /** Part of a reply has come and the rest has not. */
  get midReply(): boolean {
    return this.#bytes > 0
  }

  /** Forgets what it found out of whole replies. */
  forget(): void {
    this.types.length = 0
    this.wide = false
    this.nestedErrors = false
  }

  /** Follows a chunk; where its last whole reply ends, 0 if none does. */
  scan(chunk: Uint8Array): number {
    let whole = 0
    for (;;) {
      const end = this.next(chunk, whole)
      if (end < 0) return whole
      whole = end
      this.types.push(this.#topType)
      if (end === chunk.length) return whole
    }
  }

  /** Follows a chunk from a position on; where the reply ends. Below 0: not in this chunk, or see `failure`. */
  next(chunk: Uint8Array, from: number): number {
    let i = from
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
      if (this.failure !== null) return -1
      if (++this.#bytes > this.#limits.bytesMax) {
        this.#fail(`a reply of more than ${this.#limits.bytesMax} bytes`)
        return -1
      }
      if (finished) {
        this.#bytes = 0
        return i
      }
    }
    return -1
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
    if (this.#open.length === 0) {
      this.#topType = byte
      this.isResp3 = false
    }
    if (byte === PLUS || byte === MINUS) {
      this.#state = TEXT
      if (byte === MINUS && this.#open.length > 0) this.nestedErrors = true
    } else if (byte === COLON || byte === DOLLAR || byte === STAR) {
      this.#state = NUMBER
      this.#number = 0
      this.#digits = 0
      this.#negative = false
    } else if (this.#limits.resp3 !== true || !this.#beginResp3(byte)) {
      this.#fail(`a reply cannot begin with byte ${byte}`)
    }
  }

  #beginResp3(byte: number): boolean {
    this.isResp3 = true
    if (RESP3_LINES.has(byte)) {
      this.#state = TEXT
      return true
    }
    if (RESP3_BULKS.has(byte)) this.#type = DOLLAR
    else if (byte === PERCENT) this.#type = PERCENT
    else if (RESP3_ARRAYS.has(byte)) this.#type = STAR
    else return false
    this.#state = NUMBER
    this.#number = 0
    this.#digits = 0
    this.#negative = false
    return true
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
      if (this.#digits > EXACT_DIGITS) this.wide = true
    } else if (this.#type === DOLLAR || this.#type === STAR || this.#type === PERCENT) {
      if (this.#type === PERCENT) this.#number *= 2
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
    this.failure ??= why
  }
}
