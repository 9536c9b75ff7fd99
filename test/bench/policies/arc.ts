import type { Policy } from './policy.ts'
import { KeyQueue } from './queue.ts'

/**
 * ARC: keys seen once (recent) and keys seen again (frequent), each with a ghost of what it lost;
 * a ghost's hit moves the border between the two.
 *
 * Source: Megiddo and Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003,
 * figure 4, whose T1, T2, B1, B2 and p are here recent, frequent, their ghosts and the target.
 */
export class Arc implements Policy {
  readonly #capacity: number
  readonly #recent: KeyQueue
  readonly #frequent: KeyQueue
  readonly #recentGhost: KeyQueue
  readonly #frequentGhost: KeyQueue
  /** How many of the entries should be recent ones. */
  #target = 0

  constructor(capacity: number, keys: number) {
    this.#capacity = capacity
    this.#recent = new KeyQueue(keys)
    this.#frequent = new KeyQueue(keys)
    this.#recentGhost = new KeyQueue(keys)
    this.#frequentGhost = new KeyQueue(keys)
  }

  get size(): number {
    return this.#recent.size + this.#frequent.size
  }

  request(key: number): boolean {
    if (this.#recent.has(key)) {
      this.#recent.remove(key)
      this.#frequent.push(key)
      return true
    }
    if (this.#frequent.has(key)) {
      this.#frequent.remove(key)
      this.#frequent.push(key)
      return true
    }
    this.#miss(key)
    return false
  }

  #miss(key: number): void {
    const recentGhosts = this.#recentGhost.size
    const frequentGhosts = this.#frequentGhost.size
    if (this.#recentGhost.has(key)) {
      const step = Math.max(frequentGhosts / recentGhosts, 1)
      this.#target = Math.min(this.#target + step, this.#capacity)
      this.#replace(false)
      this.#recentGhost.remove(key)
      this.#frequent.push(key)
    } else if (this.#frequentGhost.has(key)) {
      const step = Math.max(recentGhosts / frequentGhosts, 1)
      this.#target = Math.max(this.#target - step, 0)
      this.#replace(true)
      this.#frequentGhost.remove(key)
      this.#frequent.push(key)
    } else {
      this.#makeRoom()
      this.#recent.push(key)
    }
  }

  /** For a key neither the cache nor a ghost knows. */
  #makeRoom(): void {
    const recents = this.#recent.size + this.#recentGhost.size
    if (recents === this.#capacity) {
      if (this.#recent.size < this.#capacity) {
        this.#recentGhost.shift()
        this.#replace(false)
      } else {
        this.#recent.shift()
      }
      return
    }
    const known = recents + this.#frequent.size + this.#frequentGhost.size
    if (known < this.#capacity) return
    if (known === 2 * this.#capacity) this.#frequentGhost.shift()
    this.#replace(false)
  }

  /** Moves a key into its ghost, if the cache is full. */
  #replace(inFrequentGhost: boolean): void {
    if (this.size < this.#capacity) return
    const { size } = this.#recent
    const overTarget = size > this.#target || (inFrequentGhost && size === this.#target)
    if (size > 0 && (overTarget || this.#frequent.size === 0)) {
      this.#recentGhost.push(this.#recent.shift())
    } else {
      this.#frequentGhost.push(this.#frequent.shift())
    }
  }
}
