/**
 * What another node answers, byte by byte to value by value.
 *
 * redis-parser makes the values, but it trusts its input: `*9999999999` and deep nesting throw out
 * of it, `$abc` waits for ever, `*30000000` allocates 240 MB, a reply that comes in pieces starts
 * a timer of its own, and it cannot tell `+OK` from a bulk string. So a gate
 * stands before it (reply-gate.ts): bytes are kept back until replies are whole, and nothing comes
 * through that is not exactly RESP2 or exceeds the limits. The parser then only ever sees whole, well-formed replies of known size: it cannot
 * throw, wait or nest too deep, and never meets the end of its input in the middle of something.
 */
import { strict as assert } from 'node:assert'
import RedisParser from 'redis-parser'
import { PLUS, ReplyGate, type ReplyLimits } from './reply-gate.ts'

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

/** Is it the answer of a node that does not know the word which it was asked? */
export function isUnknownWord(value: PeerValue): boolean {
  return value instanceof PeerError && value.line.toLowerCase().startsWith('err unknown subcommand')
}

/** One link's replies. After an error it takes no more. */
export class Replies {
  readonly #gate: ReplyGate
  readonly #onReply: (value: PeerValue) => void
  readonly #parser: RedisParser
  readonly #held: Buffer[] = []
  #returned = 0
  #stopped = false
  #failure: string | null = null

  constructor(limits: ReplyLimits, onReply: (value: PeerValue) => void) {
    this.#gate = new ReplyGate(limits)
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
    return this.#gate.midReply
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
    const whole = this.#gate.scan(chunk)
    this.#failure ??= this.#gate.failure
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
    this.#parser.setStringNumbers(this.#gate.wide)
    this.#parser.execute(bytes)
    const agreed = this.#returned === this.#gate.types.length || this.#stopped
    assert(agreed || this.#failure !== null, 'gate and parser count the same replies')
    this.#gate.forget()
  }

  #returnReply(value: unknown): void {
    const type = this.#gate.types[this.#returned++]
    if (this.#stopped) return
    this.#onReply(type === PLUS ? new PeerStatus(String(value)) : this.#convert(value))
  }

  /** What the parser made, as what we say it is. */
  #convert(value: unknown): PeerValue {
    if (Array.isArray(value)) {
      const plain = !this.#gate.wide && !this.#gate.nestedErrors
      return plain ? (value as PeerValue[]) : value.map((element) => this.#convert(element))
    }
    if (value instanceof Error) return new PeerError(value.message)
    if (typeof value !== 'string') return value as Buffer | number | null
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : BigInt(value)
  }
}
