/**
 * Which keys are asked for most, in a fixed amount of memory: Space-Saving (Metwally, Agrawal,
 * El Abbadi: Efficient computation of frequent and top-k elements in data streams, 2005).
 *
 *     key      count  error
 *     user:1    9120      0      a key that has a cell: its count goes up
 *     user:7     311      4
 *     user:3      12     11      any other takes the cell with the least count, goes on from there,
 *                                and remembers that count as its error
 *
 * A key with more than the N-th part of all reads, with N cells, has a cell for sure, and its count
 * less its error is never more than it was asked for. So nobody is taken for hot who is not.
 *
 * All counts are halved each HALF_LIFE_MS, so that they are about now. At a steady rate r a count is
 * then r * (HALF_LIFE_MS + time since it was halved), from which the rate follows.
 */
import { strict as assert } from 'node:assert'

/** Hot keys are few: those that have more than a 128th part of the reads are told for sure. */
const HOT_CELLS = 128

const HALF_LIFE_MS = 500

/** What is left of a count after so many halvings is less than one. */
const HALVINGS_MAX = 40

/** A key and how often it is asked for. */
export interface HotKey {
  /** latin1 text: one char a byte. */
  readonly key: string
  /** A second. */
  readonly rate: number
}

/** The most frequent of the keys that it is told. Times are ms on the clock's scale. */
export class HotCounter {
  readonly #cells = new Map<string, number>()
  readonly #keys: (string | undefined)[]
  readonly #counts: Float64Array
  readonly #errors: Float64Array
  /** See `quiet`. */
  readonly #quietUntil: Float64Array
  #halvedAt = 0

  constructor(cells = HOT_CELLS) {
    assert(cells > 0)
    this.#keys = new Array<string | undefined>(cells)
    this.#counts = new Float64Array(cells)
    this.#errors = new Float64Array(cells)
    this.#quietUntil = new Float64Array(cells)
  }

  /** The key was asked for, `times`; it has a cell afterwards. */
  add(key: string, now: number, times = 1): void {
    this.#halve(now)
    const known = this.#cells.get(key)
    if (known === undefined) this.#take(key, times)
    else this.#counts[known]! += times
  }

  /** How often it is asked for in a second, at least; 0 without a cell. */
  rate(key: string, now: number): number {
    const cell = this.#cells.get(key)
    if (cell === undefined) return 0
    this.#halve(now)
    return this.#rateOf(cell, now)
  }

  /** Notes beside the key's cell, if it has one, a time until which `isQuiet`. */
  quiet(key: string, until: number): void {
    const cell = this.#cells.get(key)
    if (cell !== undefined) this.#quietUntil[cell] = until
  }

  isQuiet(key: string, now: number): boolean {
    const cell = this.#cells.get(key)
    return cell !== undefined && now < this.#quietUntil[cell]!
  }

  /** Those with the highest rates, at most so many, the highest first; none below one a second. */
  top(count: number, now: number): HotKey[] {
    this.#halve(now)
    const all: HotKey[] = []
    for (const [key, cell] of this.#cells) {
      const rate = this.#rateOf(cell, now)
      if (rate >= 1) all.push({ key, rate })
    }
    return hottest(all, count)
  }

  /** Forgets all keys. */
  reset(): void {
    this.#cells.clear()
    this.#keys.fill(undefined)
    this.#counts.fill(0)
    this.#errors.fill(0)
    this.#quietUntil.fill(0)
  }

  #rateOf(cell: number, now: number): number {
    const count = this.#counts[cell]! - this.#errors[cell]!
    return (count * 1000) / (HALF_LIFE_MS + now - this.#halvedAt)
  }

  #take(key: string, times: number): void {
    const counts = this.#counts
    let least = 0
    for (let cell = 1; cell < counts.length; cell++)
      if (counts[cell]! < counts[least]!) least = cell
    const before = this.#keys[least]
    if (before !== undefined) this.#cells.delete(before)
    this.#cells.set(key, least)
    this.#keys[least] = key
    this.#errors[least] = counts[least]!
    counts[least]! += times
    this.#quietUntil[least] = 0
  }

  #halve(now: number): void {
    const halvings = Math.floor((now - this.#halvedAt) / HALF_LIFE_MS)
    if (halvings <= 0) return
    this.#halvedAt += halvings * HALF_LIFE_MS
    const part = halvings > HALVINGS_MAX ? 0 : 2 ** -halvings
    for (let cell = 0; cell < this.#counts.length; cell++) {
      this.#counts[cell]! *= part
      this.#errors[cell]! *= part
    }
  }
}

/** Keys of several counters together: rates of equal keys added up, the hottest first. */
export function hottest<Key extends HotKey>(all: readonly Key[], count: number): Key[] {
  const byKey = new Map<string, Key>()
  for (const hot of all) {
    const other = byKey.get(hot.key)
    byKey.set(hot.key, other === undefined ? hot : { ...other, rate: other.rate + hot.rate })
  }
  const sorted = [...byKey.values()].sort((a, b) => b.rate - a.rate || (a.key < b.key ? -1 : 1))
  return sorted.slice(0, count)
}
