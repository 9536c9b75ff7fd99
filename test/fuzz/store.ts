/*
 * The store against a Map, for as long as one likes:
 *
 *   node dist/test/fuzz/store.js [first seed] [seconds] [part of a model's title]
 *
 * Prints the seed of the first failure and exits with 1. A seed that failed becomes a test.
 */
import { Model } from '../server/store/model.ts'
import { models } from '../server/store/models.ts'

const [first = '1', seconds = '60', title = ''] = process.argv.slice(2)
const end = performance.now() + Number(seconds) * 1_000
const chosen = Object.entries(models).filter(([name]) => name.includes(title))

let runs = 0
for (let seed = Number(first); performance.now() < end; seed++) {
  for (const [name, { steps, filled, store, ...options }] of chosen) {
    try {
      const model = new Model({ ...options, store: { ...store, seed: seed * 7_919 }, seed })
      if (filled) model.fill()
      model.run(steps)
    } catch (error) {
      console.error(`seed ${seed}, ${name}`)
      console.error(error)
      process.exit(1)
    }
    runs++
  }
}
console.log(`${runs} runs, no failure`)
