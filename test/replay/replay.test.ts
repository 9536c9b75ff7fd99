import test from 'ava'
import { replay, type ReplaySummary } from './replay.ts'

const accessesMax = 20_000
const attempts = 4

/**
 * A node that says nothing for 400 ms is taken for dead, and a second one loads its keys: that is
 * as promised, and happens on a machine with too much to do. Such a run tells nothing about the
 * rest, so it is repeated.
 */
async function replayUndisturbed(cluster: boolean): Promise<ReplaySummary> {
  for (let attempt = 1; ; attempt++) {
    const summary = await replay({ accessesMax, cluster })
    if (summary.failovers === 0 || attempt === attempts) return summary
  }
}

test.serial('three nodes answer a trace of plain GETs right and load each key once', async (t) => {
  const summary = await replayUndisturbed(false)
  t.is(summary.accesses, accessesMax)
  t.is(summary.failovers, 0)
  t.is(summary.wrong, 0)
  t.is(summary.loadedTwice, 0)
  t.is(summary.loads, summary.keys)
  t.true(summary.forwards > 0, 'plain clients reach keys of other nodes')
})

test.serial('cluster clients go to the owners: nothing is forwarded', async (t) => {
  const summary = await replayUndisturbed(true)
  t.is(summary.failovers, 0)
  t.is(summary.wrong, 0)
  t.is(summary.loads, summary.keys)
  t.is(summary.forwards, 0)
})
