import test from 'ava'
import { Arc } from './arc.ts'
import { Optimum } from './optimum.ts'
import { hitRatio, keyCount, type Policy } from './policy.ts'
import { Lru } from './recency.ts'
import { s3Fifo, S3 } from './s3.ts'
import { mixedTrace } from './traces.ts'

function hitsOf(policy: Policy, keys: readonly number[]): string {
  return keys.map((key) => (policy.request(key) ? 'h' : '-')).join('')
}

test('it lets go of what is needed latest, even the new key', (t) => {
  const trace = [0, 1, 2, 0, 1, 3, 2, 1]
  // 2 would come back later than 0 and 1; 3 never comes back.
  t.is(hitsOf(new Optimum(2, 4, trace), trace), '---hh--h')
})

/** The same by looking through the rest of the trace at every eviction. */
function plainOptimum(capacity: number, trace: readonly number[]): number {
  const held = new Set<number>()
  let hits = 0
  trace.forEach((key, i) => {
    if (held.has(key)) hits++
    held.add(key)
    if (held.size <= capacity) return
    const next = [...held].map((one) => {
      const at = trace.indexOf(one, i + 1)
      return { one, at: at < 0 ? Number.POSITIVE_INFINITY : at }
    })
    held.delete(next.reduce((a, b) => (b.at > a.at ? b : a)).one)
  })
  return (100 * hits) / trace.length
}

test('it hits as often as a search through the future', (t) => {
  const trace = mixedTrace(3_000)
  const keys = keyCount(trace)
  for (const capacity of [1, 10, 60]) {
    const optimum = hitRatio(new Optimum(capacity, keys, trace), trace)
    t.is(optimum, plainOptimum(capacity, trace))
  }
})

test('nothing is above it', (t) => {
  const trace = mixedTrace(20_000)
  const keys = keyCount(trace)
  for (const capacity of [20, 90, 300]) {
    const most = hitRatio(new Optimum(capacity, keys, trace), trace)
    for (const policy of [
      new Lru(capacity, keys),
      new Arc(capacity, keys),
      new S3(capacity, keys, s3Fifo),
    ]) {
      t.true(hitRatio(policy, trace) < most)
    }
  }
})
