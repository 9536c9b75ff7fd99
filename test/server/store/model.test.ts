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
