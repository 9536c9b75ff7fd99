/**
 * Takes LZF apart, the compression of LibLZF that Redis uses in its dumps:
 *
 *   000lllll                        l + 1 bytes follow as they are
 *   lllddddd dddddddd               l + 2 bytes as they stood d + 1 bytes before     l from 1 to 6
 *   111ddddd llllllll dddddddd      l + 9 bytes as they stood d + 1 bytes before
 *
 * Step by step, for a few bytes may stand for hundreds of megabytes. What comes out is handed on piece
 * by piece; of what was handed on only the last 8 KB are kept, as no distance is longer.
 */

const DISTANCE_MAX = 8 * 1024
const PIECE_BYTES = 64 * 1024
/** No one step writes more. */
const RUN_MAX = 264

/** Gives bytes one after the other, and -1 at the end. */
export interface ByteSource {
  next(): number
}

/** Takes bytes[from, end). False: it has no room. */
export type ByteSink = (bytes: Uint8Array, from: number, end: number) => boolean

export const GOES_ON = 0
export const DONE = 1
/** The bytes contradict themselves, or have another length than was said. */
export const BROKEN = 2
/** The sink had no room. */
export const REFUSED = 3

export class LzfDecoder {
  readonly #source: ByteSource
  readonly #sink: ByteSink
  /** Bytes that are to come out. */
  #left: number
  readonly #out = new Uint8Array(DISTANCE_MAX + PIECE_BYTES + RUN_MAX)
  /** Where the next byte goes; what stands before `#handed` was handed on. */
  #at = DISTANCE_MAX
  #handed = DISTANCE_MAX
  /** Where the first byte is, as long as it is there. */
  #first = DISTANCE_MAX

  constructor(source: ByteSource, length: number, sink: ByteSink) {
    this.#source = source
    this.#left = length
    this.#sink = sink
  }

  /** Takes apart what fills a piece. */
  step(): number {
    const source = this.#source
    for (let control = source.next(); ; control = source.next()) {
      if (control < 0) {
        if (this.#left !== 0) return BROKEN
        return this.#handOn() ? DONE : REFUSED
      }
      const isSound = control < 32 ? this.#literal(control + 1) : this.#copy(control)
      if (!isSound) return BROKEN
      if (this.#at >= DISTANCE_MAX + PIECE_BYTES) return this.#handOn() ? GOES_ON : REFUSED
    }
  }

  #literal(length: number): boolean {
    this.#left -= length
    if (this.#left < 0) return false
    for (let i = 0; i < length; i++) {
      const byte = this.#source.next()
      if (byte < 0) return false
      this.#out[this.#at++] = byte
    }
    return true
  }

  #copy(control: number): boolean {
    const source = this.#source
    let length = control >> 5
    if (length === 7) {
      const more = source.next()
      if (more < 0) return false
      length += more
    }
    length += 2
    const low = source.next()
    const from = this.#at - (((control & 0x1f) << 8) | low) - 1
    this.#left -= length
    if (low < 0 || this.#left < 0 || from < this.#first) return false
    const out = this.#out
    const end = this.#at + length
    // Byte by byte: what is copied may be what was just written.
    for (let i = from; this.#at < end; i++) out[this.#at++] = out[i]!
    return true
  }

  #handOn(): boolean {
    const out = this.#out
    if (!this.#sink(out, this.#handed, this.#at)) return false
    const shift = this.#at - DISTANCE_MAX
    out.copyWithin(0, shift, this.#at)
    this.#first = Math.max(0, this.#first - shift)
    this.#at = DISTANCE_MAX
    this.#handed = DISTANCE_MAX
    return true
  }
}
