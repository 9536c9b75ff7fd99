import { KeyQueue } from './queue.ts'

export interface GhostOptions {
  /** Keys it remembers, as a multiple of the cache's capacity. */
  readonly factor: number
  /**
   * Bits of the fingerprint; then it is a table of sets of four, in which a key may be taken for
   * another. Left out: a queue of the keys themselves with exact ages.
   */
  readonly tagBits?: number
  /** Bits of the stamp: ages are known modulo 2^stampBits units. */
  readonly stampBits?: number
  /** A unit of age is this fraction of as many misses as the cache has entries. */
  readonly unitsPerCapacity?: number
}

/** Remembers keys that were dropped, and when they had come in. */
export interface Ghost {
  /** `insertedAt` and `clock` are in misses. */
  put(key: number, insertedAt: number, clock: number): void
  /** Forgets the key and returns how many misses ago it had come in; -1: it was not there. */
  take(key: number, clock: number): number
}

/** A queue of the keys themselves; what they cost together stays under its capacity. */
export class ExactGhost implements Ghost {
  readonly #capacity: number
  readonly #costs: ArrayLike<number> | null
  readonly #queue: KeyQueue
  readonly #insertedAt: Float64Array
  #used = 0

  constructor(
    capacity: number,
    keys: number,
    options: GhostOptions,
    costs: ArrayLike<number> | null,
  ) {
    this.#capacity = Math.max(1, Math.floor(capacity * options.factor))
    this.#costs = costs
    this.#queue = new KeyQueue(keys)
    this.#insertedAt = new Float64Array(keys)
  }

  put(key: number, insertedAt: number): void {
    this.#queue.push(key)
    this.#used += this.#cost(key)
    while (this.#used > this.#capacity) this.#used -= this.#cost(this.#queue.shift())
    this.#insertedAt[key] = insertedAt
  }

  take(key: number, clock: number): number {
    if (!this.#queue.has(key)) return -1
    this.#queue.remove(key)
    this.#used -= this.#cost(key)
    return clock - this.#insertedAt[key]!
  }

  #cost(key: number): number {
    return this.#costs === null ? 1 : this.#costs[key]!
  }
}

const WAYS = 4

/** Sets of four slots, each a fingerprint and a stamp; what is oldest in a set falls out. */
export class SetGhost implements Ghost {
  readonly #sets: number
  readonly #tagBits: number
  readonly #stampMask: number
  readonly #stampBits: number
  readonly #unit: number
  /** fingerprint << stampBits | stamp, the newest of a set first; -1: empty. */
  readonly #slots: Int32Array

  constructor(capacity: number, options: GhostOptions) {
    this.#sets = Math.max(1, Math.round((capacity * options.factor) / WAYS))
    this.#tagBits = options.tagBits ?? 16
    this.#stampBits = options.stampBits ?? 8
    this.#stampMask = 2 ** this.#stampBits - 1
    this.#unit = Math.max(1, capacity / (options.unitsPerCapacity ?? 16))
    this.#slots = new Int32Array(this.#sets * WAYS).fill(-1)
  }

  put(key: number, insertedAt: number): void {
    const set = this.#set(key)
    const slots = this.#slots
    slots.copyWithin(set + 1, set, set + WAYS - 1)
    slots[set] = (this.#tag(key) << this.#stampBits) | this.#stamp(insertedAt)
  }

  take(key: number, clock: number): number {
    const set = this.#set(key)
    const slots = this.#slots
    const tag = this.#tag(key)
    for (let at = set; at < set + WAYS; at++) {
      const slot = slots[at]!
      if (slot < 0 || slot >> this.#stampBits !== tag) continue
      slots.copyWithin(at, at + 1, set + WAYS)
      slots[set + WAYS - 1] = -1
      return ((this.#stamp(clock) - slot) & this.#stampMask) * this.#unit
    }
    return -1
  }

  #stamp(clock: number): number {
    return Math.floor(clock / this.#unit) & this.#stampMask
  }

  #set(key: number): number {
    return Math.floor(((mix(key + 1) >>> 0) / 2 ** 32) * this.#sets) * WAYS
  }

  #tag(key: number): number {
    return (mix(key ^ 0x5bd1e995) >>> 0) >>> (32 - this.#tagBits)
  }
}

/** The finalizer of MurmurHash3: every bit of the key moves every bit of the result. */
export function mix(key: number): number {
  let h = key | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
