/*
 * The store against a Map, for as long as one likes, with models drawn by lot:
 *
 *   node dist/test/fuzz/store.js [first seed] [seconds] [part of a model's title]
 *   node dist/test/fuzz/store.js million [first seed] [seeds] [operations]
 *
 * The second form runs a million operations for each of ten seeds and each kind of hash function
 * (real, 8 bits, constant), each seed with another store. Prints the seed of the first failure and
 * exits with 1. A seed that failed becomes a test.
 */
import { Model } from '../server/store/model.ts'
import type { Shape } from '../server/store/models.ts'
import { drawn, HASHES, models } from '../server/store/models.ts'

/** Operations between two checks of the invariants in a long run. */
const CHECK_EVERY = 20_000

function run(title: string, seed: number, shape: Shape): Model {
  const { steps, filled, store, ...options } = shape
  try {
    const model = new Model({ ...options, store: { ...store, seed: seed * 7_919 }, seed })
    if (filled) model.fill()
    model.run(steps)
    return model
  } catch (error) {
    console.error(`seed ${seed}, ${title}`, shape)
    console.error(error)
    process.exit(1)
  }
}

function describe({ store, keys, valueBytesMax, changes }: Shape): string {
  const { policy, scope, buckets, maxMemory } = store
  const kind = `${policy} ${scope}${changes === true ? ' and others' : ''}`
  return `${kind}, ${buckets} buckets in ${maxMemory} bytes, ${keys} keys of up to ${valueBytesMax}`
}

function million(first: number, seeds: number, operations: number): void {
  const begun = performance.now()
  for (let seed = first; seed < first + seeds; seed++) {
    for (const hash of HASHES) {
      const shape = drawn(hash, seed)
      const { wholeEvery = 1 } = shape
      const long = { steps: operations, checkEvery: CHECK_EVERY, wholeEvery: wholeEvery * 20 }
      const model = run(hash, seed, { ...shape, ...long })
      const seconds = ((performance.now() - begun) / 1_000).toFixed(0)
      const found = `${model.lost} lost, ${model.refused} refused, ${model.store.size(0)} there`
      console.log(`${seconds} s: seed ${seed}, ${hash} hash: ${describe(shape)}: ${found}`)
    }
  }
  console.log(`${seeds} seeds of ${operations} operations for each hash, no failure`)
}

function timed(first: number, seconds: number, title: string): void {
  const end = performance.now() + seconds * 1_000
  const chosen = Object.entries(models).filter(([name]) => name.includes(title))
  let runs = 0
  for (let seed = first; performance.now() < end; seed++) {
    for (const hash of HASHES) {
      const name = `drawn with a ${hash} hash`
      if (!name.includes(title)) continue
      run(name, seed, drawn(hash, seed))
      runs++
    }
    if (seed % 10 !== 0) continue
    for (const [name, shape] of chosen) run(name, seed, shape)
    runs += chosen.length
  }
  console.log(`${runs} runs, no failure`)
}

const [mode = '1', ...rest] = process.argv.slice(2)
if (mode === 'million') {
  const [first = '1', seeds = '10', operations = '1000000'] = rest
  million(Number(first), Number(seeds), Number(operations))
} else {
  const [seconds = '60', title = ''] = rest
  timed(Number(mode), Number(seconds), title)
}
