import type { Matcher, Store } from '../store/store.ts'
import type { Client } from '../clients/client.ts'
import type { Turns } from '../turns.ts'

/**
 * CACHE.INVALIDATE of a group or a prefix, and slots that a node of a cluster must not answer for from
 * what it has (cluster/ownership/ownership.ts): from the moment it is answered no entry that was there
 * before is seen, and the store is swept afterwards, in turns with everything else. The store does
 * one at a time; a second one waits, and helps to bring the first one to its end.
 */
export class Invalidations {
  readonly #store: Store
  readonly #turns: Turns
  #cursor = 0
  #sweeps = false

  constructor(store: Store, turns: Turns) {
    this.#store = store
    this.#turns = turns
  }

  /** Begins one and answers the client; `whenSwept`: when memory is free of it. */
  begin(client: Client, matcher: Matcher, whenSwept = false): void {
    let begun = false
    // What other nodes still have of this one's keys may be meant, too.
    client.server.handoff?.fence.giveUp()
    client.inSteps(() => {
      if (!begun && this.begins(matcher)) {
        begun = true
        client.hub.copies?.invalidated(matcher)
      }
      const done = begun && (!whenSwept || this.#step())
      if (done) client.reply.ok()
      return done
    })
  }

  /**
   * Begins one for nobody's command, in force when this returns. False: the one before is not through,
   * which this has brought forward by a step.
   */
  begins(matcher: Matcher): boolean {
    if (!this.#store.beginInvalidation(matcher)) {
      this.#step()
      return false
    }
    this.sweep()
    return true
  }

  /** One has begun, here or in another thread: what it made worthless is removed, in turns. */
  sweep(): void {
    this.#cursor = 0
    if (!this.#sweeps) this.#turns.add({ takeTurn: () => this.#takeTurn() })
    this.#sweeps = true
  }

  #takeTurn(): boolean {
    this.#turns.slice(
      () => this.#step(),
      () => true,
    )
    return this.#sweeps
  }

  /** True: the store has nothing left of what was invalidated. */
  #step(): boolean {
    if (!this.#sweeps) return true
    this.#cursor = this.#store.sweepInvalidated(this.#cursor)
    this.#sweeps = this.#cursor !== 0
    return !this.#sweeps
  }
}
