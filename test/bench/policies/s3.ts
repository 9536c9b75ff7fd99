/*
 * S3-FIFO and what S3A adds to it, step by step, each step a switch of its own.
 *
 *             .---------------------- ghost remembers the key --------------------.
 *             |                                                                    v
 *   new key --+--> small (r of the entries) --- leaves it with a hit, or --+--> main --> dropped
 *                                |             while main is not full      |   hit: once round again
 *                                '--- without: dropped, into the ghost     '
 *
 * Steps of S3A: hits right after an insertion do not count (the windows); main is filled before
 * small drops anything (`fill`); the ghost remembers more; and a candidate enters a full main only
 * if it came back sooner than the time main's next victim has lain there (`lookback`), so that a
 * loop longer than the cache leaves main as it is.
 *
 * Sources: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023 (S3-FIFO).
 */
import { ExactGhost, type Ghost, type GhostOptions, SetGhost } from './ghost.ts'
import type { Policy } from './policy.ts'
import { KeyQueue } from './queue.ts'

export interface S3Options {
  /** Share of the entries that is the small queue. */
  readonly r: number
  readonly ghost: GhostOptions
  /** A hit in small counts when more than this share of small was inserted since the key. */
  readonly smallWindow: number
  /** The same for main. */
  readonly mainWindow: number
  /**
   * What happens while main has room: `none`: as always, but nothing is evicted before the cache is
   * full; `leave`: all that leaves small goes to main; `direct`: a new key goes to main if small is
   * full.
   */
  readonly fill: 'none' | 'leave' | 'direct'
  /** A key enters a full main if its age is at most this times the victim's; null: always. */
  readonly lookback: number | null
}

/** S3-FIFO: a small queue of 10 %, and a ghost as large as main. */
export const s3Fifo: S3Options = {
  r: 0.1,
  ghost: { factor: 0.9 },
  smallWindow: -1,
  mainWindow: -1,
  fill: 'none',
  lookback: null,
}

/** Static S3A with the ghost it was designed with. */
export const s3a: S3Options = {
  r: 0.1,
  ghost: { factor: 2, tagBits: 16, stampBits: 8, unitsPerCapacity: 16 },
  smallWindow: 0.5,
  mainWindow: 0.1,
  fill: 'leave',
  lookback: 1,
}

const FREQUENCY_MAX = 3

/** What an entry takes of the capacity; without one each takes 1. */
export type Costs = ArrayLike<number>

export class S3 implements Policy {
  readonly #options: S3Options
  readonly #costs: Costs | null
  readonly #capacity: number
  readonly #smallCapacity: number
  readonly #mainCapacity: number
  readonly #small: KeyQueue
  readonly #main: KeyQueue
  readonly #ghost: Ghost
  readonly #frequency: Uint8Array
  /** Value of the clock at the key's insertion into small, or when it was last put into main. */
  readonly #stamp: Float64Array
  /** How much had been put into the key's queue when it was. */
  readonly #place: Float64Array
  #smallUsed = 0
  #mainUsed = 0
  #smallPuts = 0
  #mainPuts = 0
  /** Misses so far. */
  #clock = 0
  /** Keys that went from small to main. */
  promoted = 0
  /** How often a key was put into main again because it had been hit. */
  reinserted = 0

  /**
   * `capacity` is in entries, or in what `costs` counts (bytes). A key that costs more than half of
   * small begins in main; one that costs more than main is never stored. It takes 2 at least, one
   * for each queue.
   */
  constructor(capacity: number, keys: number, options: S3Options, costs: Costs | null = null) {
    this.#options = options
    this.#costs = costs
    this.#capacity = capacity
    this.#smallCapacity = Math.max(1, Math.floor(capacity * options.r))
    this.#mainCapacity = capacity - this.#smallCapacity
    this.#small = new KeyQueue(keys)
    this.#main = new KeyQueue(keys)
    this.#ghost =
      options.ghost.tagBits === undefined
        ? new ExactGhost(capacity, keys, options.ghost, costs)
        : new SetGhost(capacity / meanOf(costs), options.ghost)
    this.#frequency = new Uint8Array(keys)
    this.#stamp = new Float64Array(keys)
    this.#place = new Float64Array(keys)
  }

  get size(): number {
    return this.#small.size + this.#main.size
  }

  /** What the entries cost together. */
  get used(): number {
    return this.#smallUsed + this.#mainUsed
  }

  request(key: number): boolean {
    if (this.#small.has(key)) {
      const distance = this.#smallPuts - this.#place[key]!
      if (distance > this.#options.smallWindow * this.#smallCapacity) this.#count(key)
      return true
    }
    if (this.#main.has(key)) {
      const distance = this.#mainPuts - this.#place[key]!
      if (distance > this.#options.mainWindow * this.#mainCapacity) this.#count(key)
      return true
    }
    this.#miss(key)
    return false
  }

  #miss(key: number): void {
    this.#clock++
    const cost = this.#cost(key)
    if (cost > this.#mainCapacity) return
    const age = this.#ghost.take(key, this.#clock)
    const remembered = age >= 0 && this.#admits(age, cost)
    this.#frequency[key] = 0
    // Of entries that all cost 1 none is too large.
    const large = this.#costs !== null && cost > this.#smallCapacity / 2
    if (remembered || large || this.#goesPastSmall(cost)) this.#enterMain(key, cost)
    else this.#enterSmall(key, cost)
  }

  #goesPastSmall(cost: number): boolean {
    const smallIsFull = this.#smallUsed + cost > this.#smallCapacity
    return this.#options.fill === 'direct' && smallIsFull && this.#mainHasRoom(cost)
  }

  #cost(key: number): number {
    return this.#costs === null ? 1 : this.#costs[key]!
  }

  #count(key: number): void {
    this.#frequency[key] = Math.min(FREQUENCY_MAX, this.#frequency[key]! + 1)
  }

  #mainHasRoom(cost: number): boolean {
    return this.#mainUsed + cost <= this.#mainCapacity
  }

  /** May a key that came in so many misses ago enter main? */
  #admits(age: number, cost: number): boolean {
    const { lookback } = this.#options
    if (lookback === null || this.#mainHasRoom(cost)) return true
    this.#rotate()
    return age <= lookback * (this.#clock - this.#stamp[this.#main.tail]!)
  }

  #enterSmall(key: number, cost: number): void {
    if (this.#options.fill === 'none') this.#makeRoomInAll(cost)
    else while (this.#smallUsed + cost > this.#smallCapacity) this.#evictSmall()
    this.#stamp[key] = this.#clock
    this.#place[key] = this.#smallPuts
    this.#smallPuts += cost
    this.#smallUsed += cost
    this.#small.push(key)
  }

  #enterMain(key: number, cost: number): void {
    if (this.#options.fill === 'none') this.#makeRoomInAll(cost)
    else while (!this.#mainHasRoom(cost)) this.#evictMain()
    this.#pushMain(key, cost)
  }

  #pushMain(key: number, cost: number): void {
    this.#stamp[key] = this.#clock
    this.#place[key] = this.#mainPuts
    this.#mainPuts += cost
    this.#mainUsed += cost
    this.#main.push(key)
  }

  #shiftMain(): number {
    const key = this.#main.shift()
    this.#mainUsed -= this.#cost(key)
    return key
  }

  /** Without `fill` only the whole has a limit: small pays while it has its share or more. */
  #makeRoomInAll(cost: number): void {
    while (this.used + cost > this.#capacity) {
      if (this.#smallUsed >= this.#smallCapacity || this.#main.size === 0) this.#evictSmall()
      else this.#evictMain()
    }
  }

  #evictSmall(): void {
    const key = this.#small.shift()
    const cost = this.#cost(key)
    this.#smallUsed -= cost
    const filling = this.#options.fill !== 'none' && this.#mainHasRoom(cost)
    const age = this.#clock - this.#stamp[key]!
    if ((this.#frequency[key]! > 0 || filling) && this.#admits(age, cost)) {
      if (this.#options.fill !== 'none') while (!this.#mainHasRoom(cost)) this.#evictMain()
      this.promoted++
      this.#frequency[key] = 0
      this.#pushMain(key, cost)
    } else {
      this.#ghost.put(key, this.#stamp[key]!, this.#clock)
    }
  }

  #evictMain(): void {
    this.#rotate()
    this.#shiftMain()
  }

  /** Makes main's tail one that has not been hit since it was last put at the head. */
  #rotate(): void {
    while (this.#frequency[this.#main.tail]! > 0) {
      const key = this.#shiftMain()
      this.#frequency[key]!--
      this.reinserted++
      this.#pushMain(key, this.#cost(key))
    }
  }
}

function meanOf(costs: Costs | null): number {
  if (costs === null) return 1
  let sum = 0
  for (let i = 0; i < costs.length; i++) sum += costs[i]!
  return sum / costs.length
}
