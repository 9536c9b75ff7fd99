import test from 'ava'
import { SeededRandom } from '../../sim/random.ts'
import { makeSizes, sizesIdeal, sizesInStore, Zipf } from './sizes.ts'

const OPTIONS = {
  keys: 20_000,
  accesses: 20_000,
  exponent: 0.9,
  medianBytes: 1_500,
  sigma: 1.5,
  bytesMax: 2 ** 20,
  seed: 1,
}

test('sizes have the median and the spread that were asked for, and a limit', (t) => {
  const { valueBytes } = makeSizes(OPTIONS)
  const sorted = [...valueBytes].sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor(share * sorted.length)]!
  t.true(Math.abs(at(0.5) / 1_500 - 1) < 0.05, `${at(0.5)}`)
  // One standard deviation above the median lie 84.13 % of a normal distribution.
  t.true(Math.abs(Math.log(at(0.8413) / 1_500) - 1.5) < 0.06, `${at(0.8413)}`)
  t.true(sorted[0]! >= 1)
  const cut = makeSizes({ ...OPTIONS, bytesMax: 2_000 }).valueBytes
  t.is(Math.max(...cut), 2_000)
})

test('the same seed makes the same workload, another one another', (t) => {
  t.deepEqual(makeSizes(OPTIONS), makeSizes(OPTIONS))
  t.notDeepEqual(makeSizes(OPTIONS).trace, makeSizes({ ...OPTIONS, seed: 2 }).trace)
})

test('ranks are drawn in proportion to their weights', (t) => {
  const random = new SeededRandom(1)
  const zipf = new Zipf(3, 1)
  const counts = [0, 0, 0]
  for (let i = 0; i < 22_000; i++) counts[zipf.draw(random)]!++
  // 1 : 1/2 : 1/3, so 12,000, 6,000 and 4,000.
  for (const [rank, expected] of [12_000, 6_000, 4_000].entries()) {
    t.true(Math.abs(counts[rank]! - expected) < 300, counts.join(' '))
  }
})

test('the ideal with room for all hits what can be hit, and the store no more', (t) => {
  const workload = makeSizes(OPTIONS)
  const repeated = (100 * (20_000 - new Set(workload.trace).size)) / 20_000
  t.is(sizesIdeal(workload, 2 ** 30, 's3-fifo').hitRatio, repeated)
  t.is(sizesInStore(workload, 2 ** 28, {}).hitRatio, repeated)
  const small = sizesInStore(workload, 2 ** 23, {})
  t.true(small.hitRatio < repeated && small.entries > 0)
})
