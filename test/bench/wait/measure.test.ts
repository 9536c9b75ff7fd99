import test from 'ava'
import { measure, median } from './measure.ts'

test('one GET in a hundred is of a missing key, another one each time', async (t) => {
  const asked: string[] = []
  let missing = 0
  const client = {
    get: async (key: string): Promise<string | null> => {
      asked.push(key)
      await new Promise((resolve) => setImmediate(resolve))
      return key.startsWith('missing') ? null : 'value'
    },
  }
  const figures = await measure({
    ...{ client, callers: 10, keys: ['a', 'b'], missEvery: 100, ms: 50 },
    missingKey: () => `missing-${missing++}`,
  })
  t.is(figures.misses, Math.floor(asked.length / 100))
  t.is(figures.misses, missing)
  t.is(figures.missesAnswered, 0)
  t.true(figures.p50Ms > 0 && figures.p99Ms >= figures.p50Ms)
  t.true(figures.hitsPerSecond > 0)
  const lost = { get: async () => null }
  const how = { client: lost, callers: 1, keys: ['a'], missEvery: Infinity, ms: 50 }
  await t.throwsAsync(measure({ ...how, missingKey: () => '' }), { message: /is missing/ })
})

test('the median is one of the numbers', (t) => {
  t.is(median([3, 1, 2]), 2)
  t.is(median([5]), 5)
})
