import test from 'ava'
import type { ModelOptions } from './model.ts'
import { Model } from './model.ts'

const MB = 1024 * 1024

/** The same verbs on memories and hashes that bring out different corners. */
const models: Record<string, Omit<ModelOptions, 'seed'> & { readonly steps: number }> = {
  'with memory for all, nothing is lost': {
    store: { maxMemory: 64 * MB, seed: 1 },
    steps: 3_000,
    keys: 400,
    valueBytesMax: 20_000,
    keyBytesMax: 3_000,
    exact: true,
    checkEvery: 50,
  },
}

for (const [title, { steps, ...options }] of Object.entries(models)) {
  test(`the store never lies: ${title}`, (t) => {
    const model = new Model({ ...options, seed: 1 })
    t.notThrows(() => model.run(steps))
  })
}
