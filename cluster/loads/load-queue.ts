/*
 * Loads that wait for a place at their group's origin. The oldest is next, as long as waiting is short.
 *
 * When more is asked for than an origin can give, the oldest have hardly any time left: an origin that
 * got these would answer nobody in time, and all it does would be in vain, also long after the rush is
 * over. So where the oldest has waited for half of its time the newest is next, which has nearly all
 * of its own; what is left behind hears of its deadline when that comes. (Adaptive LIFO; Maurer: Fail at
 * Scale, ACM Queue 2015.)
 */

/** One that waits; the links are the queue's. */
export interface Queued {
  readonly startedAt: number
  readonly endsAt: number
  before: this | null
  after: this | null
}

export class LoadQueue<Item extends Queued> {
  #oldest: Item | null = null
  #newest: Item | null = null
  #size = 0

  get size(): number {
    return this.#size
  }

  add(item: Item): void {
    item.before = this.#newest
    if (this.#newest === null) this.#oldest = item
    else this.#newest.after = item
    this.#newest = item
    this.#size++
  }

  /** False: it is not here. */
  delete(item: Item): boolean {
    const { before, after } = item
    if (before === null && this.#oldest !== item) return false
    if (before === null) this.#oldest = after
    else before.after = after
    if (after === null) this.#newest = before
    else after.before = before
    item.before = null
    item.after = null
    this.#size--
    return true
  }

  /** Takes the next one; null: there is none. */
  take(now: number): Item | null {
    const oldest = this.#oldest
    if (oldest === null) return null
    const isOverloaded = now - oldest.startedAt > (oldest.endsAt - oldest.startedAt) / 2
    const next = isOverloaded ? this.#newest! : oldest
    this.delete(next)
    return next
  }
}
