/*
 * Three threads that do everything at once to one small store, for as long as one likes (see
 * test/server/store/stress.ts). Not on Node 20.
 *
 *   node dist/test/fuzz/threads.js [first seed] [seconds]
 *
 * Prints the seed of the first failure and exits with 1. Which thread is where when does not follow
 * from the seed: a failure may take several runs to come again.
 */
import { canShare, hammer, shapes } from '../server/store/sharing.ts'

/** Operations of each thread in one run. */
const ROUNDS = 40_000

const [first = '1', seconds = '60'] = process.argv.slice(2)
if (!canShare) {
  console.error('threads cannot share a store on this Node.js')
  process.exit(1)
}
const end = performance.now() + Number(seconds) * 1_000
let runs = 0
for (let seed = Number(first); performance.now() < end; seed++) {
  for (const shape of shapes) {
    try {
      await hammer(shape, seed, ROUNDS)
      runs++
    } catch (error) {
      console.error(`seed ${seed}`, shape)
      console.error(error)
      process.exit(1)
    }
  }
}
console.log(`${runs} runs, no failure`)
