import type { Policy } from './policy.ts'
import { KeyQueue } from './queue.ts'

/** First in, first out: what fastcache's rings do. */
export class Fifo implements Policy {
  readonly #queue: KeyQueue
  readonly #capacity: number

  constructor(capacity: number, keys: number) {
    this.#capacity = capacity
    this.#queue = new KeyQueue(keys)
  }

  get size(): number {
    return this.#queue.size
  }

  request(key: number): boolean {
    if (this.#queue.has(key)) return true
    if (this.#queue.size >= this.#capacity) this.#queue.shift()
    this.#queue.push(key)
    return false
  }
}

/** Least recently used, exactly. */
export class Lru implements Policy {
  readonly #queue: KeyQueue
  readonly #capacity: number

  constructor(capacity: number, keys: number) {
    this.#capacity = capacity
    this.#queue = new KeyQueue(keys)
  }

  get size(): number {
    return this.#queue.size
  }

  request(key: number): boolean {
    const hit = this.#queue.has(key)
    if (hit) this.#queue.remove(key)
    else if (this.#queue.size >= this.#capacity) this.#queue.shift()
    this.#queue.push(key)
    return hit
  }
}
