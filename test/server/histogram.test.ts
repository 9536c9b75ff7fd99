import test from 'ava'
import { cellOf, histogramCells, percentile, steps, sum } from '../../server/histogram.ts'

function histogramOf(...nanos: readonly number[]): Float64Array {
  const counts = new Float64Array(histogramCells)
  for (const n of nanos) counts[cellOf(n)]!++
  return counts
}

test('a cell is a nanosecond wide below 256, and less than a hundredth of its time above', (t) => {
  for (let n = 1; n < 256; n++) t.is(cellOf(n), n)
  t.is(cellOf(256), 256)
  t.is(cellOf(257), 256)
  t.is(cellOf(258), 257)
  let before = cellOf(1)
  for (let n = 2; n < 990_000_000; n = Math.ceil(n * 1.004)) {
    const cell = cellOf(n)
    t.true(cell >= before && cell < histogramCells, String(n))
    before = cell
    const high = percentile(histogramOf(n), 50)
    const low = percentile(histogramOf(n), 0)
    t.true(low <= n && n <= high && (high - low) / n < 0.01, `${low} ${n} ${high}`)
    t.is(cellOf(low), cell)
    t.is(cellOf(high), cell)
    t.is(cellOf(high + 1), cell + 1)
  }
})

test('what is no time counts as a nanosecond, what is over a second as a second', (t) => {
  for (const n of [-5, 0, 0.5, 1, 1.9]) t.is(cellOf(n), 1, String(n))
  const second = cellOf(1e9)
  t.true(cellOf(0.99e9) < second)
  for (const n of [1e9 + 1, 2 ** 31, 2 ** 32, 1e15, Infinity]) t.is(cellOf(n), second, String(n))
})

// What redis-server 7.0.15 told of these times.
test('percentiles are those of Redis', (t) => {
  const counts = histogramOf(11_000)
  t.deepEqual(
    [0, 50, 99.9, 100].map((p) => percentile(counts, p)),
    [10_944, 11_007, 11_007, 11_007],
  )
  t.is(percentile(histogramOf(1000), 50), 1003)
  t.is(percentile(histogramOf(5000), 0), 4992)
  t.is(percentile(histogramOf(21_000), 99), 21_119)
  t.is(percentile(histogramOf(), 99), 0)
})

test('a percentile is the time within which so many runs were done', (t) => {
  const counts = histogramOf(...Array.from({ length: 100 }, (_, i) => i + 1))
  t.is(percentile(counts, 0), 1)
  t.is(percentile(counts, 1), 1)
  t.is(percentile(counts, 50), 50)
  t.is(percentile(counts, 99), 99)
  t.is(percentile(counts, 99.9), 100)
  t.is(percentile(counts, 100), 100)
})

test('steps double, and those without a run of their own are left out', (t) => {
  t.deepEqual(steps(histogramOf()), [])
  t.deepEqual(steps(histogramOf(133_000)), [{ micros: 264, runs: 1 }])
  t.deepEqual(steps(histogramOf(500, 900, 1024, 1032, 9000, 34_000)), [
    { micros: 1, runs: 3 },
    { micros: 2, runs: 4 },
    { micros: 16, runs: 5 },
    { micros: 66, runs: 6 },
  ])
})

test('the last step holds the longest runs', (t) => {
  const counts = histogramOf(1e9, 1e12)
  t.is(sum(counts), 2)
  t.deepEqual(steps(counts), [{ micros: 1_082_130, runs: 2 }])
})
