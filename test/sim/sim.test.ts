/*
 * A few seeds, quickly; `npm run sim` is for many. Each set of faults is one that all invariants hold
 * under.
 */
import test from 'ava'
import { addCensus, newCensus } from './census.ts'
import type { FaultName } from './faults.ts'
import { runSeed } from './run.ts'

const SETS: readonly { seeds: readonly number[]; faults: readonly FaultName[] }[] = [
  { seeds: [1, 2], faults: ['slow', 'double', 'origin'] },
  { seeds: [3, 4], faults: ['slow', 'double', 'origin', 'stall', 'lists'] },
  // Of these each has a link that is cut alone for a while.
  { seeds: [1003, 1012], faults: ['cut', 'oneway'] },
]

for (const { seeds, faults } of SETS) {
  for (const seed of seeds) {
    test.serial(`seed ${seed} with ${faults.join()}: no invariant is broken`, async (t) => {
      const { violations, lines, commands, loads } = await runSeed({
        seed,
        faults: new Set(faults),
      })
      t.deepEqual(violations, [], lines.join('\n'))
      t.true(commands > 2000)
      t.true(loads > 50)
    })
  }
}

/** Those whose cluster has `cluster-min-members`, hot keys, and a node that joins. */
const RICH_SEEDS = [440, 147, 408]

test.serial('all that the checks are about happens, and no invariant is broken', async (t) => {
  const faults = new Set<FaultName>(['join', 'split', 'leave', 'slow', 'origin'])
  const census = newCensus()
  const isMissing = () => Object.values(census).includes(0)
  for (const seed of RICH_SEEDS) {
    if (!isMissing()) break
    const result = await runSeed({ seed, faults })
    t.deepEqual(result.violations, [], result.lines.join('\n'))
    addCensus(census, result.census)
  }
  t.false(isMissing(), JSON.stringify(census))
})

test.serial('a seed replays: what was sent, and when, has the same hash', async (t) => {
  const faults = new Set<FaultName>(['crash', 'freeze', 'split', 'stall', 'slow', 'origin'])
  const run = async (): Promise<string> => (await runSeed({ seed: 7, faults })).hash
  t.is(await run(), await run())
})
