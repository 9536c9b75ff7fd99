/*
 * A made-up trace that asks of a cache what real ones do: popularity falls with rank; ranks drift,
 * so that yesterday's keys cool down; now and then somebody scans a range, some ranges again and
 * again; and a share of the accesses is to keys that never come back. It stands in for a real trace
 * where none lies; it is no measure of how good a policy is on real ones.
 *
 *     node dist/test/bench/hit-ratio/made-up.js      writes the sample that is part of the project
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { PROJECT } from '../../process.ts'
import type { Trace } from '../../replay/trace.ts'
import { SeededRandom } from '../../sim/random.ts'
import { Zipf } from './sizes.ts'

export interface MadeUpOptions {
  readonly accesses: number
  /** Keys that are popular at a time. */
  readonly popular: number
  readonly seed: number
}

const EXPONENT = 0.85
/** Out of so many accesses one begins a scan. */
const SCAN_EVERY = 2_500
/** A scan reads this share of as many keys as are popular. */
const SCAN_SHARE = 0.08
/** Ranges that are scanned again and again. */
const SCAN_RANGES = 6
/** Percent of the other accesses that go to keys that never come back. */
const WONDERS_PERCENT = 12
/** While so many times the popular keys are asked for, each rank goes to a new key once. */
const DRIFT_TURNS = 40

/** Keys are numbered in the order in which they first come. */
export function makeUp(options: MadeUpOptions): Trace {
  const { accesses, popular, seed } = options
  const random = new SeededRandom(seed)
  const rank = new Zipf(popular, EXPONENT)
  const keyOfRank = Array.from({ length: popular }, (_, i) => i)
  const scanLength = Math.max(1, Math.round(popular * SCAN_SHARE))
  let fresh = popular + SCAN_RANGES * scanLength
  const trace: number[] = []
  while (trace.length < accesses) {
    if (random.below(DRIFT_TURNS) === 0) keyOfRank[random.below(popular)] = fresh++
    if (random.below(SCAN_EVERY) === 0) {
      const first = popular + random.below(SCAN_RANGES) * scanLength
      for (let i = 0; i < scanLength; i++) trace.push(first + i)
    } else if (random.below(100) < WONDERS_PERCENT) {
      trace.push(fresh++)
    } else {
      trace.push(keyOfRank[rank.draw(random)]!)
    }
  }
  return renumber(trace.slice(0, accesses))
}

function renumber(trace: Trace): Trace {
  const numbers = new Map<number, number>()
  return trace.map((key) => {
    const number = numbers.get(key) ?? numbers.size
    numbers.set(key, number)
    return number
  })
}

/** Small enough to lie in the repository. */
export const SAMPLE_PATH = join(PROJECT, 'test/bench/traces/sample.gz')

export function makeSample(): Trace {
  return makeUp({ accesses: 30_000, popular: 4_000, seed: 2 })
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(dirname(SAMPLE_PATH), { recursive: true })
  writeFileSync(SAMPLE_PATH, gzipSync(`${makeSample().join('\n')}\n`, { level: 9 }))
}
