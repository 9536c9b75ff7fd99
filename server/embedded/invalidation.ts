/*
 * Invalidates all keys of a prefix: from the moment `begin` returns nothing is seen that was there
 * before, and the store is swept afterwards, in slices between events, so that its memory comes back.
 *
 * The store does one at a time. A second one, while the sweep of the first is going on, brings that to
 * its end before it begins, and takes so much longer: there is one thread, and its caller is to find
 * nothing afterwards.
 */
import type { Clock } from '../../cluster/world.ts'
import type { Store } from '../store/store.ts'

/** Others wait for a slice, and for the last of its steps beyond it, which is a millisecond at most. */
const sliceMicros = 2000

export class PrefixInvalidation {
  readonly #store: Store
  readonly #db: number
  readonly #clock: Clock
  /** Null: nothing is to be swept. */
  #cursor: number | null = null
  /** How many were begun. */
  #begun = 0
  #isAwaited = false
  #isStopped = false

  constructor(store: Store, db: number, clock: Clock) {
    this.#store = store
    this.#db = db
    this.#clock = clock
  }

  begin(prefix: string): void {
    const store = this.#store
    const matcher = { kind: 'prefix', db: this.#db, bytes: Buffer.from(prefix) } as const
    while (!store.beginInvalidation(matcher)) this.#step()
    this.#begun++
    this.#cursor = 0
    this.#later()
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Has a slice come soon, one. */
  #later(): void {
    if (this.#isAwaited) return
    this.#isAwaited = true
    this.#clock.soon(() => {
      this.#isAwaited = false
      if (!this.#isStopped) this.#slice()
    })
  }

  #slice(): void {
    const store = this.#store
    store.now = this.#clock.now()
    const end = this.#clock.micros() + sliceMicros
    while (this.#cursor !== null && this.#clock.micros() < end) this.#step()
    if (this.#cursor !== null) this.#later()
  }

  #step(): void {
    const begun = this.#begun
    const next = this.#store.sweepInvalidated(this.#cursor ?? 0)
    // Who was told of what is gone may have begun another one.
    if (begun === this.#begun) this.#cursor = next === 0 ? null : next
  }
}
