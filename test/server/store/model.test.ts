import test from 'ava'
import { Model } from './model.ts'
import { models } from './models.ts'

for (const [title, { steps, filled, ...options }] of Object.entries(models)) {
  test(`the store never lies: ${title}`, (t) => {
    const model = new Model({ ...options, seed: 1 })
    if (filled) model.fill()
    t.notThrows(() => model.run(steps))
  })
}
