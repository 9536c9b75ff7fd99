/*
 * The store itself in the place of a simulated cache. What it may hold is given in bytes, so for a
 * comparison at equal numbers of entries the maxmemory is looked for at which it held so many, on
 * the average over the second half of the trace: a few replays, each aimed by the one before.
 */
import { BUCKETS, MEMORY_BYTES_MIN } from '../../../server/store/memory.ts'
import { MISS, Store, type StoreOptions } from '../../../server/store/store.ts'
import type { Trace } from '../../replay/trace.ts'
import type { Policy } from '../policies/policy.ts'

export const KEY_BYTES = 16

/** What of the store's options a benchmark chooses; the seed is always the same. */
export type StoreChoice = Omit<StoreOptions, 'maxMemory' | 'seed'>

const SEED = 1
const ZERO = '0'.charCodeAt(0)

/** Values are of one size, or of one by key. */
export type ValueBytes = number | ArrayLike<number>

export class StoreCache implements Policy {
  readonly #store: Store
  readonly #valueBytes: ValueBytes
  /** A key, and behind it a value as long as any. */
  readonly #record: Uint8Array
  readonly #sink: { reserve(length: number): number }

  /** @throws {RangeError} when the store cannot be made like that */
  constructor(maxMemory: number, valueBytes: ValueBytes, choice: StoreChoice = {}) {
    this.#store = new Store({ ...choice, maxMemory, seed: SEED })
    this.#valueBytes = valueBytes
    let largest = 0
    if (typeof valueBytes === 'number') largest = valueBytes
    else for (let i = 0; i < valueBytes.length; i++) largest = Math.max(largest, valueBytes[i]!)
    this.#record = new Uint8Array(KEY_BYTES + largest).fill(ZERO)
    const at = this.#store.io.replies[0]!
    this.#sink = { reserve: () => at }
  }

  get size(): number {
    return this.#store.stats.entries
  }

  get usedBytes(): number {
    return this.#store.stats.usedBytes
  }

  request(key: number): boolean {
    const record = this.#record
    for (let at = KEY_BYTES - 1, rest = key; at >= 0; at--) {
      record[at] = ZERO + (rest % 10)
      rest = Math.floor(rest / 10)
    }
    if (this.#store.get(0, record, 0, KEY_BYTES, this.#sink) !== MISS) return true
    const length = typeof this.#valueBytes === 'number' ? this.#valueBytes : this.#valueBytes[key]!
    this.#store.set(0, record, 0, KEY_BYTES, KEY_BYTES, length, 0)
    return false
  }
}

export interface StoreRun {
  readonly maxMemory: number
  readonly valueBytes: number
  /** Percent. */
  readonly hitRatio: number
  /** Held on the average over the second half. */
  readonly entries: number
}

/** How often the entries are counted in a replay. */
const COUNTS = 64

export function replayStore(
  trace: Trace,
  maxMemory: number,
  valueBytes: number,
  choice: StoreChoice,
): StoreRun {
  const cache = new StoreCache(maxMemory, valueBytes, choice)
  const pause = Math.max(1, Math.floor(trace.length / COUNTS))
  let hits = 0
  let counted = 0
  let entries = 0
  for (let i = 0; i < trace.length; i++) {
    if (cache.request(trace[i]!)) hits++
    if (i % pause !== 0 || i < trace.length / 2) continue
    entries += cache.size
    counted++
  }
  return {
    maxMemory,
    valueBytes,
    hitRatio: (100 * hits) / trace.length,
    entries: entries / counted,
  }
}

/** Close enough: 0.3 % of the entries are about 0.03 points of hit ratio. */
const TOLERANCE = 0.003
const REPLAYS_MAX = 8
/** From one replay to the next, while only one side is known. */
const STEP_MAX = 2
/** The first guess of what an entry costs beyond its key and value. */
const OVERHEAD_BYTES = 24

/**
 * The replay that held nearest to so many entries. Null when even the least memory of such a store
 * holds more. `firstGuess`: a maxmemory to begin with.
 */
export function replayStoreHolding(
  trace: Trace,
  entries: number,
  valueBytes: number,
  choice: StoreChoice,
  firstGuess = entries * (KEY_BYTES + valueBytes + OVERHEAD_BYTES),
): StoreRun | null {
  const fits = (run: StoreRun): boolean => Math.abs(run.entries - entries) <= TOLERANCE * entries
  const least = leastMemory(choice)
  let below: StoreRun | null = null
  let above: StoreRun | null = null
  let best: StoreRun | null = null
  let next = Math.max(least, Math.round(firstGuess))
  for (let i = 0; i < REPLAYS_MAX; i++) {
    const run = replayStore(trace, next, valueBytes, choice)
    if (best === null || Math.abs(run.entries - entries) < Math.abs(best.entries - entries)) {
      best = run
    }
    if (fits(run)) break
    if (run.entries < entries) below = run
    else above = run
    if (run === above && run.maxMemory === least) return null
    next = Math.max(least, Math.round(aim(entries, below, above)))
    if (next === below?.maxMemory || next === above?.maxMemory) break
  }
  return best
}

/** Where a line through what is known meets so many entries. */
function aim(entries: number, below: StoreRun | null, above: StoreRun | null): number {
  if (below !== null && above !== null) {
    const share = (entries - below.entries) / (above.entries - below.entries)
    // Not too near to either: what is held does not rise evenly.
    return (
      below.maxMemory + (above.maxMemory - below.maxMemory) * Math.min(0.9, Math.max(0.1, share))
    )
  }
  const run = (below ?? above)!
  const factor = 1 + 1.1 * (entries / run.entries - 1)
  return run.maxMemory * Math.min(STEP_MAX, Math.max(1 / STEP_MAX, factor))
}

/** The least maxmemory a store of so many buckets takes. */
export function leastMemory(choice: StoreChoice): number {
  return (MEMORY_BYTES_MIN / BUCKETS) * (choice.buckets ?? BUCKETS)
}
