/*
 * Values that grow by a lot: SETRANGE far behind the end of a short value, APPEND of hundreds of MB.
 *
 *   value now     [page][page][tail]             the tail lies in the ring, or begins the last page
 *   prepared                  [....][0000][0000][data][data]      a chain in flight
 *   afterwards    [page][page][tail 0000][0000][data][data]
 *
 * To fill so many pages takes a tenth of a second and more. So the new ones are taken, cleared and
 * written step by step, while no bucket is locked and others use the store; then the key is opened,
 * and they are attached to the value as it is then, which takes time by the number of pages only.
 * If the value has another length by then they are prepared again, and the third time all is done
 * at once, under the lock.
 */
import type { Chains } from './big.ts'
import { Chain } from './big.ts'

/** What grows by less is not worth it: half a millisecond. */
const GROWTH_BYTES_MIN = 1024 * 1024

/** Bytes of one step. */
const STEP_BYTES = 512 * 1024

/** How often it begins again because others change the value. */
const RESTARTS_MAX = 2

/** The value as it is. */
interface Stem {
  /** Bytes it has. */
  readonly length: number
  /** Bytes that its pages have room for. */
  readonly capacity: number
}

/** Data to be written at or behind the end of a value. */
export interface Growing {
  /** Where in the value; -1: at its end, wherever that is. */
  readonly offset: number
  /** Bytes of data. */
  readonly length: number
  /** The data, or null: it is given in the end. */
  readonly source: Chain | null
}

/** A value that is being prepared to grow. It owns the pages, until they are attached or released. */
export class Growth {
  readonly #chains: Chains
  readonly #growing: Growing
  #source: Chain | null
  #stem: Stem
  /** The new pages; their first byte is the value's `stem.capacity`th. */
  #chain = new Chain()
  /** Bytes of the value up to which they are prepared. */
  #done: number
  #restarts = 0
  #failed = false

  constructor(chains: Chains, growing: Growing, stem: Stem) {
    this.#chains = chains
    this.#growing = growing
    this.#source = growing.source
    this.#stem = stem
    this.#done = stem.capacity
  }

  /** Does it take so long that it is worth steps, and is nothing of the value overwritten? */
  static isWorth({ offset, length, source }: Growing, stem: Stem): boolean {
    // A value that comes in pages is stored as it is.
    if (source !== null && stem.length === 0 && offset <= 0) return false
    const at = offset < 0 ? stem.length : offset
    return at >= stem.length && at + length - stem.length > GROWTH_BYTES_MIN
  }

  /** Does the data belong at the value's end, wherever that is? */
  get isAtEnd(): boolean {
    return this.#growing.offset < 0
  }

  /** Where the data begins. */
  get offset(): number {
    const { offset } = this.#growing
    return offset < 0 ? this.#stem.length : offset
  }

  /** Bytes of data. */
  get length(): number {
    return this.#growing.length
  }

  /** Bytes of the value afterwards. */
  get after(): number {
    return this.offset + this.#growing.length
  }

  /** The data, null: it is given in the end. */
  get source(): Chain | null {
    return this.#source
  }

  /** The prepared pages; null: there was no memory for them. */
  get chain(): Chain | null {
    return this.#failed ? null : this.#chain
  }

  /** Prepares half a megabyte more, evicting for it. True: that was the last, or there is no memory. */
  step(): boolean {
    const { offset, after } = this
    const { capacity } = this.#stem
    const chain = this.#chain
    const end = Math.min(after, this.#done + STEP_BYTES)
    this.#failed = !this.#chains.extend(chain, end - capacity)
    if (!this.#failed) {
      const zeros = Math.min(end, offset) - this.#done
      if (zeros > 0) this.#chains.zero(chain, this.#done - capacity, zeros)
      const from = Math.max(this.#done, offset)
      if (this.#source !== null && end > from) {
        this.#chains.writeChain(chain, from - capacity, this.#source, from - offset, end - from)
      }
      this.#done = end
    }
    this.#chains.tell()
    return this.#failed || end === after
  }

  /** Does what is prepared belong to a value like this? */
  fits(stem: Stem): boolean {
    return stem.length === this.#stem.length && stem.capacity === this.#stem.capacity
  }

  /** Begins again for another value. False: that is no use any more. */
  restart(stem: Stem): boolean {
    this.#chains.undo(this.#chain)
    this.#chain = new Chain()
    if (this.#restarts++ === RESTARTS_MAX || !Growth.isWorth(this.#growing, stem)) return false
    this.#stem = stem
    this.#done = stem.capacity
    return true
  }

  /** The data, which is the caller's then; null: it is given in the end. */
  surrenderSource(): Chain | null {
    const source = this.#source
    this.#source = null
    return source
  }

  /** The prepared pages, which are the caller's then. */
  surrender(): Chain {
    const chain = this.#chain
    this.#chain = new Chain()
    return chain
  }

  /** Gives all pages back. */
  release(): void {
    this.#chains.undo(this.surrender())
    const source = this.surrenderSource()
    if (source !== null) this.#chains.undo(source)
  }
}
