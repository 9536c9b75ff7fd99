import { Args } from '../../protocol/args.ts'
import { BIG, COMMAND, Decoder, ERROR } from '../../protocol/decoder.ts'
import type { DecoderLimits } from '../../protocol/decoder.ts'

/** What a stream of requests came to. */
export interface Outcome {
  /** Arguments of each command, one char a byte. */
  readonly commands: string[][]
  /** The protocol error that ended it, or null. */
  readonly error: string | null
  /** Bytes that wait for more. */
  readonly kept: number
}

export interface StreamOptions extends Partial<DecoderLimits> {
  readonly restricted?: boolean
}

export const LIMITS: DecoderLimits = { bulkBytesMax: 512 * 1024 * 1024, bigBytesMin: 64 * 1024 }

/**
 * A connection reduced to its treatment of bytes: it keeps what the decoder has not used, and
 * presents it again, together with the next piece, at another index of another array.
 */
export class Stream {
  readonly args = new Args()
  readonly decoder: Decoder
  readonly commands: string[][] = []
  error: string | null = null
  #kept: Uint8Array = new Uint8Array(0)
  /** Bytes of a big bulk that are still to come, its CRLF included; 0: none is being received. */
  #bigMissing = 0
  #big: Uint8Array[] = []
  #turn = 0

  constructor(options: StreamOptions = {}) {
    this.decoder = new Decoder(this.args, { ...LIMITS, ...options })
    this.decoder.restricted = options.restricted ?? false
  }

  push(piece: Uint8Array): void {
    while (this.error === null) {
      piece = this.#takeBig(piece)
      if (this.#bigMissing > 0) return
      const from = (this.#turn++ * 7) % 13
      const bytes = new Uint8Array(from + this.#kept.length + piece.length + 3).fill(0x31)
      bytes.set(this.#kept, from)
      bytes.set(piece, from + this.#kept.length)
      const to = from + this.#kept.length + piece.length
      const rest = this.#decode(bytes, from, to)
      if (rest === null) return
      piece = rest
    }
  }

  outcome(): Outcome {
    return { commands: this.commands, error: this.error, kept: this.#kept.length }
  }

  /** The bytes behind the header of a big bulk, or null when all are used. */
  #decode(bytes: Uint8Array, from: number, to: number): Uint8Array | null {
    const { decoder, args } = this
    for (;;) {
      const status = decoder.next(bytes, from, to)
      if (status === COMMAND) {
        this.commands.push(args.copy().map((arg) => arg.toString('latin1')))
        from = decoder.end
        continue
      }
      if (status === ERROR) {
        this.error = decoder.error
        this.#kept = new Uint8Array(0)
        return null
      }
      const end = status === BIG ? decoder.end : to
      this.#kept = bytes.slice(decoder.base, end)
      if (status !== BIG) return null
      this.#bigMissing = decoder.bigLength + 2
      return bytes.slice(end, to)
    }
  }

  #takeBig(piece: Uint8Array): Uint8Array {
    if (this.#bigMissing === 0) return piece
    const taken = Math.min(piece.length, this.#bigMissing)
    this.#big.push(piece.subarray(0, taken))
    this.#bigMissing -= taken
    if (this.#bigMissing === 0) {
      const whole = Buffer.concat(this.#big)
      const bulk = whole.subarray(0, whole.length - 2)
      this.#big = []
      const toBuffer = (): Buffer => Buffer.from(bulk)
      const head = (bytesMax: number): Buffer => toBuffer().subarray(0, bytesMax)
      this.decoder.endBig({ length: bulk.length, toBuffer, head })
    }
    return piece.subarray(taken)
  }
}

/** Bytes of a text, one byte a char, as a plain Uint8Array. */
export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'))
}

/** The outcome of a text that arrives in pieces cut at these offsets. */
export function outcomeOf(text: string, cuts: readonly number[], options?: StreamOptions): Outcome {
  const stream = new Stream(options)
  const bytes = bytesOf(text)
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    stream.push(bytes.subarray(from, cut))
    from = cut
  }
  return stream.outcome()
}

/** A command as client libraries send it. */
export function request(...args: string[]): string {
  const bulks = args.map((arg) => `$${arg.length}\r\n${arg}\r\n`)
  return `*${args.length}\r\n${bulks.join('')}`
}
