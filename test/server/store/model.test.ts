import test from 'ava'
import { Model } from './model.ts'
import type { Shape } from './models.ts'
import { drawn, HASHES, models } from './models.ts'

function run({ steps, filled, ...options }: Shape, seed: number): void {
  const model = new Model({ ...options, seed })
  if (filled) model.fill()
  model.run(steps)
}

for (const [title, shape] of Object.entries(models)) {
  test(`the store never lies: ${title}`, (t) => {
    t.notThrows(() => run(shape, 1))
  })
}

/** Ten seconds' worth of those that `dist/test/fuzz/store.js million` runs for long. */
const SEEDS = 8

for (const hash of HASHES) {
  test(`the store never lies: stores drawn by lot, with a ${hash} hash`, (t) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      t.notThrows(() => run({ ...drawn(hash, seed), steps: 400 }, seed), `seed ${seed}`)
    }
  })
}

/** By seed of the shape and of its operations. */
const FAILED_ONCE: Readonly<Record<string, readonly [hash: string, shape: number, seed: number]>> =
  {
    'no pages for the value of an open key that moves for them': ['constant', 2, 5],
  }

for (const [title, [hash, shape, seed]] of Object.entries(FAILED_ONCE)) {
  test(`the store never lies: ${title}`, (t) => {
    const { store, ...rest } = drawn(hash, shape)
    const options = { ...rest, store: { ...store, seed: seed * 7_919 }, steps: 8_000 }
    t.notThrows(() => run(options, seed))
  })
}
