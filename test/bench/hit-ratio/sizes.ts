/*
 * A workload of values of very different sizes, made from a seed: keys of zipf-like popularity, and
 * for each a size drawn once from a lognormal distribution, as web objects and cache values have
 * been found to be: most are small, and a few take most of the bytes. Popularity and size know
 * nothing of each other.
 */
import type { Trace } from '../../replay/trace.ts'
import { SeededRandom } from '../../sim/random.ts'
import { hitRatio } from '../policies/policy.ts'
import { S3, s3a, s3Fifo } from '../policies/s3.ts'
import { KEY_BYTES, StoreCache, type StoreChoice } from './real-store.ts'

export interface SizesOptions {
  readonly keys: number
  readonly accesses: number
  /** The key of rank n is asked for in proportion to n^-exponent. */
  readonly exponent: number
  readonly medianBytes: number
  /** Standard deviation of the logarithm of a size. */
  readonly sigma: number
  readonly bytesMax: number
  readonly seed: number
}

export interface SizesWorkload {
  readonly trace: Trace
  /** Of the value, by key. */
  readonly valueBytes: Int32Array
}

export function makeSizes(options: SizesOptions): SizesWorkload {
  const random = new SeededRandom(options.seed)
  const valueBytes = new Int32Array(options.keys)
  for (let key = 0; key < options.keys; key++) {
    const size = options.medianBytes * Math.exp(options.sigma * normal(random))
    valueBytes[key] = Math.max(1, Math.min(options.bytesMax, Math.round(size)))
  }
  const rank = new Zipf(options.keys, options.exponent)
  const trace = Array.from({ length: options.accesses }, () => rank.draw(random))
  return { trace, valueBytes }
}

/** Ranks 0..count-1, in proportion to (rank + 1)^-exponent. */
export class Zipf {
  /** Weight of all ranks up to this one. */
  readonly #upTo: Float64Array

  constructor(count: number, exponent: number) {
    this.#upTo = new Float64Array(count)
    let sum = 0
    for (let rank = 0; rank < count; rank++) {
      sum += (rank + 1) ** -exponent
      this.#upTo[rank] = sum
    }
  }

  draw(random: SeededRandom): number {
    const upTo = this.#upTo
    const point = (random.uint32() / 2 ** 32) * upTo[upTo.length - 1]!
    let low = 0
    let high = upTo.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (upTo[middle]! > point) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** Of the standard normal distribution (Box and Muller). */
function normal(random: SeededRandom): number {
  const radius = Math.sqrt(-2 * Math.log((random.uint32() + 1) / 2 ** 32))
  return radius * Math.cos(2 * Math.PI * (random.uint32() / 2 ** 32))
}

export interface SizesRun {
  /** Percent, of accesses. */
  readonly hitRatio: number
  /** Held at the end. */
  readonly entries: number
}

export function sizesInStore(
  workload: SizesWorkload,
  maxMemory: number,
  choice: StoreChoice,
): SizesRun {
  const cache = new StoreCache(maxMemory, workload.valueBytes, choice)
  return { hitRatio: hitRatio(cache, workload.trace), entries: cache.size }
}

/** The unsharded ideal that counts keys and values to the byte, and nothing else. */
export function sizesIdeal(
  workload: SizesWorkload,
  maxMemory: number,
  policy: 's3-fifo' | 's3a',
): SizesRun {
  const costs = workload.valueBytes.map((bytes) => KEY_BYTES + bytes)
  const options = policy === 's3a' ? { ...s3a, ghost: { factor: 2 } } : s3Fifo
  const cache = new S3(maxMemory, costs.length, options, costs)
  return { hitRatio: hitRatio(cache, workload.trace), entries: cache.size }
}
