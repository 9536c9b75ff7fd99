import test from 'ava'
import { mixedTrace } from '../policies/traces.ts'
import { leastMemory, replayStore, replayStoreHolding, StoreCache } from './real-store.ts'

const trace = mixedTrace(30_000)

test('a store with room for all hits each repeated access', (t) => {
  const run = replayStore(trace, 4 * 2 ** 20, 100, { buckets: 1 })
  t.is(run.hitRatio, (100 * (trace.length - new Set(trace).size)) / trace.length)
})

test('the maxmemory is found at which a store holds so many entries', (t) => {
  for (const firstGuess of [5_000, undefined, 200_000]) {
    const run = replayStoreHolding(trace, 200, 100, { buckets: 1 }, firstGuess)!
    // It grows by chunks, so not every number can be held.
    t.true(Math.abs(run.entries - 200) <= 6, `${run.entries}`)
    t.deepEqual(replayStore(trace, run.maxMemory, 100, { buckets: 1 }), run)
  }
})

test('fewer entries than the least store holds cannot be had', (t) => {
  t.is(replayStoreHolding(trace, 1, 100, { buckets: 1 }), null)
})

test('the least maxmemory is taken, and a byte less refused', (t) => {
  for (const choice of [{ buckets: 1 }, { buckets: 64 }, {}]) {
    const least = leastMemory(choice)
    t.notThrows(() => new StoreCache(least, 10, choice))
    t.throws(() => new StoreCache(least - 1, 10, choice), { instanceOf: RangeError })
  }
})

test('values may differ by key', (t) => {
  const sizes = [10, 100, 200_000]
  const cache = new StoreCache(4 * 2 ** 20, sizes)
  const keys = [0, 1, 2, 0, 1, 2]
  t.deepEqual(
    keys.map((key) => cache.request(key)),
    [false, false, false, true, true, true],
  )
  t.is(cache.size, 3)
  t.true(cache.usedBytes > 200_000)
})
