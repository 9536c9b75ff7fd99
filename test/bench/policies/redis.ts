/*
 * Eviction as Redis does it: it draws five keys at random, keeps the best candidates for eviction
 * in a pool of sixteen that lives on from one eviction to the next, and evicts the best of the pool
 * that still exists. The pool keeps the score a key had when it was drawn, and may name a key twice.
 *
 * Source: evict.c of Redis 7.0 (evictionPoolPopulate, LFULogIncr).
 */
import type { SeededRandom } from '../../sim/random.ts'
import type { Policy } from './policy.ts'

const SAMPLES = 5
const POOL_SIZE = 16

/** The keys a cache holds; one of them can be drawn at random. */
class HeldKeys {
  readonly #keys: Int32Array
  readonly #placeOf: Int32Array
  readonly #random: SeededRandom
  size = 0

  constructor(capacity: number, keys: number, random: SeededRandom) {
    this.#keys = new Int32Array(capacity)
    this.#placeOf = new Int32Array(keys).fill(-1)
    this.#random = random
  }

  has(key: number): boolean {
    return this.#placeOf[key]! >= 0
  }

  add(key: number): void {
    this.#placeOf[key] = this.size
    this.#keys[this.size++] = key
  }

  remove(key: number): void {
    const place = this.#placeOf[key]!
    const last = this.#keys[--this.size]!
    this.#keys[place] = last
    this.#placeOf[last] = place
    this.#placeOf[key] = -1
  }

  draw(): number {
    return this.#keys[Math.floor((this.#random.uint32() / 2 ** 32) * this.size)]!
  }
}

interface Candidate {
  readonly key: number
  readonly score: number
}

/** A sampled policy: `touch` on each access, `score` says how much a key deserves to go. */
abstract class Sampled implements Policy {
  readonly #capacity: number
  readonly #held: HeldKeys
  /** By score, the best candidate for eviction last. */
  readonly #pool: Candidate[] = []

  constructor(capacity: number, keys: number, random: SeededRandom) {
    this.#capacity = capacity
    this.#held = new HeldKeys(capacity, keys, random)
  }

  get size(): number {
    return this.#held.size
  }

  request(key: number): boolean {
    const hit = this.#held.has(key)
    if (!hit) {
      if (this.#held.size >= this.#capacity) this.#held.remove(this.#victim())
      this.#held.add(key)
    }
    this.touch(key, hit)
    return hit
  }

  protected abstract touch(key: number, hit: boolean): void

  protected abstract score(key: number): number

  #victim(): number {
    for (;;) {
      for (let i = 0; i < SAMPLES; i++) this.#offer(this.#held.draw())
      let candidate = this.#pool.pop()
      while (candidate !== undefined && !this.#held.has(candidate.key)) {
        candidate = this.#pool.pop()
      }
      if (candidate !== undefined) return candidate.key
    }
  }

  #offer(key: number): void {
    const pool = this.#pool
    const score = this.score(key)
    let at = pool.findIndex((candidate) => candidate.score >= score)
    if (at < 0) at = pool.length
    if (pool.length === POOL_SIZE) {
      if (at === 0) return
      pool.shift()
      at--
    }
    pool.splice(at, 0, { key, score })
  }
}

/** allkeys-lru, with a clock that ticks at every access. */
export class RedisLru extends Sampled {
  readonly #usedAt: Float64Array
  #accesses = 0

  constructor(capacity: number, keys: number, random: SeededRandom) {
    super(capacity, keys, random)
    this.#usedAt = new Float64Array(keys)
  }

  protected touch(key: number): void {
    this.#usedAt[key] = ++this.#accesses
  }

  protected score(key: number): number {
    return this.#accesses - this.#usedAt[key]!
  }
}

const COUNTER_INITIAL = 5
const COUNTER_MAX = 255
/** Redis's lfu-log-factor. */
const LOG_FACTOR = 10

/**
 * allkeys-lfu: a counter that rises ever more rarely. Redis lowers it by one each minute a key was
 * not used; a minute is `decayAccesses` accesses here, and decay is never seen when it is Infinity.
 */
export class RedisLfu extends Sampled {
  readonly #random: SeededRandom
  readonly #decayAccesses: number
  readonly #counter: Uint8Array
  /** The access at which the key's counter was last changed. */
  readonly #changedAt: Float64Array
  #accesses = 0

  constructor(capacity: number, keys: number, random: SeededRandom, decayAccesses: number) {
    super(capacity, keys, random)
    this.#random = random
    this.#decayAccesses = decayAccesses
    this.#counter = new Uint8Array(keys)
    this.#changedAt = new Float64Array(keys)
  }

  protected touch(key: number, hit: boolean): void {
    this.#accesses++
    const counter = hit ? this.#raised(this.#decayed(key)) : COUNTER_INITIAL
    this.#counter[key] = counter
    this.#changedAt[key] = this.#accesses
  }

  protected score(key: number): number {
    return COUNTER_MAX - this.#decayed(key)
  }

  #decayed(key: number): number {
    const periods = Math.floor((this.#accesses - this.#changedAt[key]!) / this.#decayAccesses)
    return Math.max(0, this.#counter[key]! - periods)
  }

  #raised(counter: number): number {
    if (counter === COUNTER_MAX) return counter
    const above = Math.max(0, counter - COUNTER_INITIAL)
    const chance = 1 / (above * LOG_FACTOR + 1)
    return this.#random.uint32() / 2 ** 32 < chance ? counter + 1 : counter
  }
}
