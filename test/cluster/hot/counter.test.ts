import test from 'ava'
import { HotCounter, hottest } from '../../../cluster/hot/counter.ts'
import { SeededRandom } from '../../sim/random.ts'

test('a steady rate is told, and forgotten when it ends', (t) => {
  const counter = new HotCounter()
  let now = 1_000_000
  for (; now < 1_010_000; now++) for (let i = 0; i < 3; i++) counter.add('hot', now)
  t.true(Math.abs(counter.rate('hot', now) - 3000) < 50, String(counter.rate('hot', now)))
  t.deepEqual(
    counter.top(10, now).map(({ key }) => key),
    ['hot'],
  )
  t.true(counter.rate('hot', now + 1000) < 1000)
  t.deepEqual(counter.top(10, now + 60_000), [])
})

test('what is hot among many has a cell, and nobody is taken for hotter than it is', (t) => {
  const random = new SeededRandom(3)
  const counter = new HotCounter(16)
  const asked = new Map<string, number>()
  const now = 5000
  for (let i = 0; i < 50_000; i++) {
    const key = random.uint32() % 4 === 0 ? 'hot' : `key:${random.uint32() % 5000}`
    counter.add(key, now)
    asked.set(key, (asked.get(key) ?? 0) + 1)
  }
  const [first, ...others] = counter.top(16, now)
  t.is(first?.key, 'hot')
  for (const { key, rate } of [first!, ...others]) t.true(rate <= 2 * asked.get(key)! + 1, key)
  t.true(first!.rate > 2 * 0.9 * asked.get('hot')!)
})

test('a quiet key is quiet until then, and not any more once it has lost its cell', (t) => {
  const counter = new HotCounter(2)
  counter.quiet('a', 500)
  t.false(counter.isQuiet('a', 0))
  counter.add('a', 0)
  counter.quiet('a', 500)
  t.true(counter.isQuiet('a', 499))
  t.false(counter.isQuiet('a', 500))
  counter.add('b', 0, 5)
  counter.add('c', 0, 5)
  t.false(counter.isQuiet('a', 0))
  t.is(counter.rate('a', 0), 0)
  counter.reset()
  t.deepEqual(counter.top(9, 0), [])
})

test('keys of several counters are one list', (t) => {
  const all = [
    { key: 'a', rate: 2 },
    { key: 'b', rate: 3 },
    { key: 'a', rate: 2 },
    { key: 'c', rate: 1 },
  ]
  t.deepEqual(hottest(all, 2), [
    { key: 'a', rate: 4 },
    { key: 'b', rate: 3 },
  ])
})
