import test from 'ava'
import { replay } from './replay.ts'

const accessesMax = 20_000

test.serial('three nodes answer a trace of plain GETs right and load each key once', async (t) => {
  const summary = await replay({ accessesMax, cluster: false })
  t.is(summary.accesses, accessesMax)
  t.is(summary.wrong, 0)
  t.is(summary.loadedTwice, 0)
  t.is(summary.loads, summary.keys)
  t.true(summary.forwards > 0, 'plain clients reach keys of other nodes')
})

test.serial('cluster clients go to the owners: nothing is forwarded', async (t) => {
  const summary = await replay({ accessesMax, cluster: true })
  t.is(summary.wrong, 0)
  t.is(summary.loads, summary.keys)
  t.is(summary.forwards, 0)
})
