import type { Trace } from '../../replay/trace.ts'
import type { Policy } from './policy.ts'

/**
 * Belady's optimum, which knows the future: it evicts the key whose next access lies farthest away,
 * the new one too. Made for one trace, whose keys must be requested in order.
 *
 * Source: Belady, "A study of replacement algorithms for a virtual-storage computer", 1966.
 */
export class Optimum implements Policy {
  readonly #capacity: number
  /** For each access, the index of the next one of its key; Infinity: none. */
  readonly #nextAccess: Float64Array
  /** For each key that is held its next access, else -1. */
  readonly #heldUntil: Float64Array
  /** Held keys with the farthest first; entries whose key was requested since are stale. */
  readonly #farthest = new FarthestFirst()
  #accesses = 0
  size = 0

  constructor(capacity: number, keys: number, trace: Trace) {
    this.#capacity = capacity
    this.#nextAccess = new Float64Array(trace.length)
    this.#heldUntil = new Float64Array(keys).fill(-1)
    const upcoming = new Float64Array(keys).fill(Number.POSITIVE_INFINITY)
    for (let i = trace.length - 1; i >= 0; i--) {
      const key = trace[i]!
      this.#nextAccess[i] = upcoming[key]!
      upcoming[key] = i
    }
  }

  request(key: number): boolean {
    const hit = this.#heldUntil[key]! >= 0
    const next = this.#nextAccess[this.#accesses++]!
    this.#heldUntil[key] = next
    this.#farthest.push(key, next)
    if (hit) return true
    if (this.size < this.#capacity) this.size++
    else this.#evict()
    return false
  }

  #evict(): void {
    for (;;) {
      const { key, at } = this.#farthest.pop()
      if (this.#heldUntil[key] !== at) continue
      this.#heldUntil[key] = -1
      return
    }
  }
}

interface Upcoming {
  readonly key: number
  readonly at: number
}

/** A binary heap, the largest `at` on top. */
class FarthestFirst {
  readonly #items: Upcoming[] = []

  push(key: number, at: number): void {
    const items = this.#items
    const item = { key, at }
    let child = items.length
    items.push(item)
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (items[parent]!.at >= at) break
      items[child] = items[parent]!
      child = parent
    }
    items[child] = item
  }

  /** It must not be empty. */
  pop(): Upcoming {
    const items = this.#items
    const top = items[0]!
    const item = items.pop()!
    let parent = 0
    for (;;) {
      let child = 2 * parent + 1
      if (child >= items.length) break
      if (child + 1 < items.length && items[child + 1]!.at > items[child]!.at) child++
      if (items[child]!.at <= item.at) break
      items[parent] = items[child]!
      parent = child
    }
    if (items.length > 0) items[parent] = item
    return top
  }
}
