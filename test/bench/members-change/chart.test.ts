import test from 'ava'
import { elementsOf } from '../elements-of.ts'
import { chart } from './chart.ts'
import { Seconds, hitRatioOf, sumOf } from './seconds.ts'

function madeUp(): Seconds {
  let now = 5_000
  const seconds = new Seconds(500, () => now)
  for (let i = 0; i < 40; i++) {
    const { slice } = seconds
    slice.requests += 100
    slice.loads += i === 20 ? 30 : 0
    slice.errors += i === 21 ? 1 : 0
    if (i === 20) seconds.happens('node 3 & 4')
    now += 500
  }
  return seconds
}

test('what happens counts in its slice', (t) => {
  const seconds = madeUp()
  t.is(seconds.slices.length, 40)
  t.is(hitRatioOf(seconds.between(10_000, 10_500)), 70)
  t.is(hitRatioOf(seconds.between(10_500, 20_000)), 100)
  t.is(sumOf(seconds.slices, 'requests'), 4_000)
  t.deepEqual(seconds.happenings, [{ label: 'node 3 & 4', ms: 10_000 }])
})

test('a chart is well-formed, and shows loads, errors and what happened', (t) => {
  const xml = chart(madeUp(), 'made up')
  const elements = elementsOf(xml)
  t.is(elements[0], 'svg')
  t.is(elements.filter((name) => name === 'circle').length, 1)
  t.is(xml.split(`fill="#d97706"`).length - 1, 1)
  t.true(xml.includes('>node 3 &amp; 4</text>'))
  t.notRegex(xml, /NaN|Infinity|undefined/)
})
