/*
 * What a thread's verbs have to tell somebody, until it may be told.
 *
 * Things happen under a bucket's lock, often in the middle of a verb for another key, and nobody may
 * be called there. So notices are kept in a queue, which is emptied when the lock was given back: in
 * the order in which they came, before the verb returns. The listener may use the store; what
 * happens by that is told after what is in the queue already, not from within.
 */
import type { Verb } from './verb.ts'

/** A queue of notices, and who hears them. */
export class Notices<Notice> {
  readonly #verb: Verb
  readonly #listener: (notice: Notice) => void
  #queue: Notice[] = []
  #isTelling = false
  #hasFailed = false
  #failure: unknown = undefined

  constructor(verb: Verb, listener: (notice: Notice) => void) {
    this.#verb = verb
    this.#listener = listener
  }

  push(notice: Notice): void {
    this.#queue.push(notice)
    this.#verb.hasNotices = true
  }

  /** How many are in the queue. */
  get length(): number {
    return this.#queue.length
  }

  /** Puts the one that came last before the one at `index`, if both are still to be told. */
  lastBefore(index: number): void {
    if (index < this.#queue.length - 1) this.#queue.splice(index, 0, this.#queue.pop()!)
  }

  /**
   * Tells all that is in the queue, unless this thread has buckets locked. What the listener throws
   * is kept for `tell`: the others are told all the same.
   */
  deliver(): void {
    if (this.#queue.length === 0 || this.#isTelling || !this.#verb.isFree) return
    this.#isTelling = true
    while (this.#queue.length > 0) {
      const queue = this.#queue
      this.#queue = []
      for (const notice of queue) this.#call(notice)
    }
    this.#isTelling = false
  }

  /** `deliver`, and throws the first of the errors that the listener threw since the last time. */
  tell(): void {
    this.deliver()
    if (!this.#hasFailed || this.#isTelling) return
    const failure = this.#failure
    this.#hasFailed = false
    this.#failure = undefined
    throw failure
  }

  #call(notice: Notice): void {
    try {
      this.#listener(notice)
    } catch (error) {
      if (!this.#hasFailed) this.#failure = error
      this.#hasFailed = true
      this.#verb.hasNotices = true
    }
  }
}
