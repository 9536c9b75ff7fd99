/*
 * Brings a store down to a `maxMemory` that was lowered: in slices between events, as fast as the
 * loop turns. Pages that a slow client is being sent, or that a value is being received into, come
 * back when that ends; while nothing can be evicted, it is tried again from time to time.
 */
import type { Clock, Timer } from '../../cluster/world.ts'
import type { Store } from '../store/store.ts'

/** Others wait for a slice, and for the last of its steps beyond it. */
const sliceMicros = 2000
/** Bytes of chunks that a step evicts: about 0.2 ms for short entries. */
const stepBytes = 64 * 1024
/** How soon it is tried again when nothing could be evicted. */
const retryMs = 100

/** Idle until `start`; after `stop` it never evicts again. */
export class Shrinker {
  readonly #store: Store
  readonly #clock: Clock
  readonly #stepChunks: number
  readonly #onSlice: (micros: number) => void
  #shrinking = false
  #stopped = false
  #retry: Timer | null = null

  /** `onSlice` is told how long each slice took, in microseconds. */
  constructor(store: Store, clock: Clock, onSlice: (micros: number) => void = () => {}) {
    this.#store = store
    this.#clock = clock
    this.#onSlice = onSlice
    this.#stepChunks = Math.max(1, stepBytes / store.shape.chunkBytes)
  }

  /** After `store.setMaxMemory`: evicts what is too much, if there is any, from now on. */
  start(): void {
    if (this.#store.excess > 0 && !this.#shrinking) this.#later(true)
  }

  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
  }

  #slice(): void {
    if (this.#stopped) return
    const store = this.#store
    const begin = this.#clock.micros()
    const end = begin + sliceMicros
    let gave = true
    let more = true
    while (more && gave && this.#clock.micros() < end) {
      const before = store.excess
      more = store.shrink(this.#stepChunks)
      gave = store.excess < before
    }
    this.#onSlice(this.#clock.micros() - begin)
    this.#shrinking = false
    if (more) this.#later(gave)
  }

  #later(gave: boolean): void {
    if (this.#stopped) return
    this.#shrinking = true
    if (gave) this.#clock.soon(() => this.#slice())
    else this.#retry = this.#clock.after(retryMs, () => this.#slice())
  }
}
