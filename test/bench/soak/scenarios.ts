/*
 * What is written in a soak: endless streams of operations that are hard on memory, each from a seed.
 * Sizes follow from `maxMemory`, so that every scenario fills it and goes on.
 */
import type { SeededRandom } from '../../sim/random.ts'

export interface Operation {
  readonly verb: 'set' | 'delete' | 'get'
  /** Number of the key. */
  readonly key: number
  /** Of the value. */
  readonly bytes: number
  /** 0: never expires. */
  readonly ttlMs: number
}

export interface Scenario {
  readonly name: string
  /** One sentence. */
  readonly about: string
  operations(maxMemory: number, random: SeededRandom): () => Operation
}

const MEGABYTE = 1e6

/** The largest value of any scenario. */
export const VALUE_BYTES_MAX = 10 * MEGABYTE

const LOGNORMAL_MEDIAN = 1_500
const LOGNORMAL_SIGMA = 1.5
const LOGNORMAL_MAX = 4 * MEGABYTE

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'lognormal',
    about: 'skewed keys, lognormal sizes of median 1,500 B (sigma 1.5), one get for each set',
    operations: (maxMemory, random) => {
      const keys = Math.ceil(maxMemory / 1_000)
      return () => {
        // The cube of a uniform number: a tenth of the keys takes nearly half of the operations.
        const key = Math.floor(uniform(random) ** 3 * keys)
        if (uniform(random) < 0.5) return operation('get', key)
        const size = LOGNORMAL_MEDIAN * Math.exp(LOGNORMAL_SIGMA * normal(random))
        return operation('set', key, Math.min(LOGNORMAL_MAX, Math.ceil(size)))
      }
    },
  },
  {
    name: 'mixed',
    about: 'sizes from 10 B to 10 MB, each order of magnitude as often as any other',
    operations: (maxMemory, random) => {
      const keys = Math.ceil(maxMemory / 100_000)
      return () => {
        const size = 10 * (VALUE_BYTES_MAX / 10) ** uniform(random)
        return operation('set', random.below(keys), Math.floor(size))
      }
    },
  },
  {
    name: 'delete-heavy',
    about: 'sizes of 20 to 420 B, as many deletes as sets, all keys at random',
    operations: (maxMemory, random) => {
      // Half of the keys are there at any time, and more than memory holds.
      const keys = Math.ceil((2.4 * maxMemory) / 240)
      return () => {
        const key = random.below(keys)
        if (uniform(random) < 0.5) return operation('delete', key)
        return operation('set', key, 20 + random.below(400))
      }
    },
  },
  {
    name: 'ttl-heavy',
    about: 'sizes of 20 to 2,000 B, each with a TTL of 10 ms to 10 s',
    operations: (maxMemory, random) => {
      const keys = Math.ceil((4 * maxMemory) / 1_000)
      return () => {
        const ttlMs = Math.ceil(10 * 1_000 ** uniform(random))
        return operation('set', random.below(keys), 20 + random.below(1_980), ttlMs)
      }
    },
  },
  {
    name: 'overwrite-heavy',
    about: 'as many keys as memory holds, overwritten by values of 50 to 1,500 B',
    operations: (maxMemory, random) => {
      const keys = Math.ceil(maxMemory / 900)
      return () => operation('set', random.below(keys), 50 + random.below(1_450))
    },
  },
]

function operation(verb: Operation['verb'], key: number, bytes = 0, ttlMs = 0): Operation {
  return { verb, key, bytes, ttlMs }
}

function uniform(random: SeededRandom): number {
  return random.uint32() / 2 ** 32
}

/** Of the standard normal distribution, by Box and Muller. */
function normal(random: SeededRandom): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform(random)))
  return radius * Math.cos(2 * Math.PI * uniform(random))
}
