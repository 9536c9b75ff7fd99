/*
 * Entries that ended, told to whoever wants to know (`StoreOptions.onRemoved`).
 *
 * An entry ends under its bucket's lock, often in the middle of a verb for another key, and nobody
 * may be called there. So copies are kept in a queue, which is emptied when the lock was given back:
 * in the order in which they ended, before the verb returns. The listener may use the store; what
 * ends by that is told after what is in the queue already, not from within.
 *
 * An entry whose value goes on under the same key has not ended: one that only moves, or gets
 * another expiry (`keep`). A value that changes in part has: the value before is `overwritten`.
 */
import type { Verb } from './verb.ts'

/** Why an entry ended. */
export const EVICTED = 0
export const EXPIRED = 1
export const DELETED = 2
export const OVERWRITTEN = 3

/** In the order of the numbers. */
const REASONS = ['evicted', 'expired', 'deleted', 'overwritten'] as const

/** Why an entry ended: memory was short, its time was over, or a client removed or replaced it. */
export type Reason = (typeof REASONS)[number]

/** Is called with copies of key and value, which are the callee's then. */
export type RemovalListener = (
  reason: Reason,
  db: number,
  key: Uint8Array,
  value: Uint8Array,
) => void

/** An entry that ended. */
export interface Ended {
  readonly reason: number
  readonly db: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Is called with a copy of the key, which is the callee's then. */
export type EndListener = (reason: 'evicted' | 'expired', db: number, key: Uint8Array) => void

/** The entries that this thread's verbs made end, until their listener is told. */
export class Endings {
  /** Only of entries that were evicted or expired, and without their values: see `Store.listen`. */
  readonly keysOnly: boolean
  readonly #verb: Verb
  readonly #listener: RemovalListener
  #queue: Ended[] = []
  #isTelling = false
  #hasFailed = false
  #failure: unknown = undefined

  constructor(verb: Verb, listener: RemovalListener, keysOnly = false) {
    this.keysOnly = keysOnly
    this.#verb = verb
    this.#listener = listener
  }

  /** Is an entry that ended for this reason to be told of? */
  hears(reason: number): boolean {
    return !this.keysOnly || reason <= EXPIRED
  }

  push(ended: Ended): void {
    this.#queue.push(ended)
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
      for (const ended of queue) this.#call(ended)
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

  #call(ended: Ended): void {
    try {
      this.#listener(REASONS[ended.reason]!, ended.db, ended.key, ended.value)
    } catch (error) {
      if (!this.#hasFailed) this.#failure = error
      this.#hasFailed = true
    }
  }
}
