/*
 * What comes over a link in peer mode (frame.ts): ids, and behind each the bytes of one reply. Where the
 * replies end is found without making values of them: most are handed to a client as they are.
 */
import { ReplyGate, type ReplyLimits } from './reply-gate.ts'

const AT = 0x40
const MINUS = 0x2d
const CR = 0x0d
const LF = 0x0a
const ZERO = 0x30
const DIGITS_MAX = 15

/** Of a line with an id: what comes next. */
const MARK = 0
const DIGITS = 1
const LINE_END = 2
/** Behind the line: the reply. */
const REPLY = 3

export interface AnswerEvents {
  /** Below 0: the request with this id, negated, is being worked on. Else its reply comes next. */
  id(id: number): void
  /**
   * The bytes of one whole reply, a view of what was received. `type` is its first byte; `isResp3`: not
   * all of it is RESP2.
   */
  reply(bytes: Buffer, type: number, isResp3: boolean): void
}

/** One link's answers. After an error it takes no more. */
export class PeerAnswers {
  readonly #gate: ReplyGate
  readonly #events: AnswerEvents
  readonly #held: Buffer[] = []
  #state = MARK
  #id = 0
  #digits = 0
  #isNegative = false
  #stopped = false
  #failure: string | null = null

  constructor(limits: ReplyLimits, events: AnswerEvents) {
    this.#gate = new ReplyGate({ ...limits, resp3: true })
    this.#events = events
  }

  /** Part of an answer has come and the rest has not. */
  get midReply(): boolean {
    return this.#state !== MARK
  }

  /** Tell no more, not even of the bytes that are being fed. */
  stop(): void {
    this.#stopped = true
  }

  /**
   * Takes what was received and tells of all that is whole. Null, or a sentence that says why these bytes
   * are no answers; the link is then to be closed. The chunk must not be changed afterwards.
   */
  feed(chunk: Buffer): string | null {
    let at = 0
    while (at < chunk.length && this.#failure === null && !this.#stopped) {
      at = this.#state === REPLY ? this.#takeReply(chunk, at) : this.#takeLine(chunk, at)
    }
    return this.#failure
  }

  /** Where it goes on in the chunk. */
  #takeReply(chunk: Buffer, from: number): number {
    const gate = this.#gate
    const end = gate.next(chunk, from)
    this.#failure = gate.failure
    if (end < 0) {
      this.#held.push(chunk.subarray(from))
      return chunk.length
    }
    let bytes = chunk.subarray(from, end)
    if (this.#held.length > 0) {
      bytes = Buffer.concat([...this.#held, bytes])
      this.#held.length = 0
    }
    this.#state = MARK
    this.#events.reply(bytes, gate.topType, gate.isResp3)
    return end
  }

  #takeLine(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (this.#state === DIGITS && byte >= ZERO && byte <= ZERO + 9) {
        this.#id = this.#id * 10 + (byte - ZERO)
        if (++this.#digits > DIGITS_MAX) this.#failure = 'an id of too many digits'
      } else if (this.#state === MARK && byte === AT) {
        this.#state = DIGITS
        this.#id = 0
        this.#digits = 0
        this.#isNegative = false
      } else if (this.#state === DIGITS && byte === CR && this.#digits > 0) {
        this.#state = LINE_END
      } else if (this.#state === LINE_END && byte === LF) {
        this.#state = this.#isNegative ? MARK : REPLY
        this.#events.id(this.#isNegative ? -this.#id : this.#id)
        return at + 1
      } else if (
        this.#state === DIGITS &&
        byte === MINUS &&
        this.#digits === 0 &&
        !this.#isNegative
      ) {
        this.#isNegative = true
      } else {
        this.#failure = `byte ${byte} where an id was due`
      }
      if (this.#failure !== null) return at
    }
    return chunk.length
  }
}
