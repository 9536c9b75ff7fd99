import test from 'ava'
import { readTrace } from '../../replay/trace.ts'
import { keyCount } from '../policies/policy.ts'
import { makeSample, makeUp, SAMPLE_PATH } from './made-up.ts'

test('the sample in the repository is what the generator makes', (t) => {
  const sample = readTrace(SAMPLE_PATH, Number.POSITIVE_INFINITY)
  t.deepEqual(sample, makeSample())
})

test('keys are numbered as they come, without a gap', (t) => {
  const trace = makeUp({ accesses: 5_000, popular: 500, seed: 1 })
  t.is(trace.length, 5_000)
  let next = 0
  for (const key of trace) {
    if (key > next) return t.fail(`${key} came before ${next}`)
    if (key === next) next++
  }
  t.is(keyCount(trace), next)
})

test('some keys are popular, many are seen once, and ranges are scanned again', (t) => {
  const trace = makeUp({ accesses: 50_000, popular: 2_000, seed: 1 })
  const counts = new Map<number, number>()
  for (const key of trace) counts.set(key, (counts.get(key) ?? 0) + 1)
  const sorted = [...counts.values()].sort((a, b) => b - a)
  const hottest = sorted.slice(0, 200).reduce((sum, count) => sum + count, 0)
  t.true(hottest > 0.4 * trace.length)
  t.true(sorted.filter((count) => count === 1).length > 0.1 * trace.length)
  // The last scan of a range meets keys in the order of the first: runs of neighbours.
  let neighbours = 0
  for (let i = 1; i < trace.length; i++) if (trace[i] === trace[i - 1]! + 1) neighbours++
  t.true(neighbours > 1_000)
})
