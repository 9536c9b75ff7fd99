import test from 'ava'
import { VirtualClock } from './clock.ts'
import { SeededRandom } from './random.ts'

test('timers run in the order of their time, then of their making', async (t) => {
  const clock = new VirtualClock(1000)
  const ran: string[] = []
  const note = (what: string) => () => ran.push(`${what} ${clock.now()}`)
  clock.after(20, note('late'))
  clock.after(10, note('first'))
  clock.after(10, note('second'))
  const every = clock.every(8, note('every'))
  await clock.advance(19)
  t.deepEqual(ran, ['every 1008', 'first 1010', 'second 1010', 'every 1016'])
  every.cancel()
  await clock.advance(1)
  t.is(ran.at(-1), 'late 1020')
  t.is(clock.timers, 0)
})

test('what an event causes has happened before the next event', async (t) => {
  const clock = new VirtualClock()
  const ran: string[] = []
  clock.after(1, () => {
    void Promise.resolve()
      .then(() => ran.push('promise'))
      .then(() => clock.soon(() => ran.push('soon')))
    process.nextTick(() => ran.push('tick'))
  })
  clock.after(1, () => ran.push('next event'))
  await clock.advance(1)
  t.deepEqual(ran.slice(0, 2).sort(), ['promise', 'tick'])
  t.deepEqual(ran.slice(2), ['soon', 'next event'])
})

test('a timer planted on the way runs on the way; a cancelled one never', async (t) => {
  const clock = new VirtualClock()
  let ran = 0
  const cancelled = clock.after(5, () => (ran += 100))
  clock.after(1, () => {
    cancelled.cancel()
    clock.after(1, () => ran++)
  })
  await clock.advance(10)
  t.is(ran, 1)
})

test('after a leap what fell due has run once, also what is periodic', async (t) => {
  const clock = new VirtualClock(0)
  const ran: string[] = []
  clock.every(10, () => ran.push('every'))
  clock.after(500, () => ran.push('once'))
  clock.after(1001, () => ran.push('not yet'))
  await clock.leap(1000)
  t.deepEqual(ran.sort(), ['every', 'once'])
  t.is(clock.now(), 1000)
  await clock.advance(10)
  t.is(ran.filter((name) => name === 'every').length, 2)
})

test('a jump of the wall clock does not move time', (t) => {
  const clock = new VirtualClock(5)
  clock.jumpWall(-3)
  t.is(clock.wall(), 2)
  t.is(clock.now(), 5)
})

test('the same seed gives the same numbers, another seed others', (t) => {
  const draw = (seed: number) => {
    const random = new SeededRandom(seed)
    return Array.from({ length: 50 }, () => random.uint32())
  }
  t.deepEqual(draw(1), draw(1))
  t.notDeepEqual(draw(1), draw(2))
  t.is(new Set(draw(3)).size, 50)
})

test('random integers fill their range evenly', (t) => {
  const random = new SeededRandom(9)
  const counts = new Array<number>(8).fill(0)
  for (let i = 0; i < 8000; i++) counts[random.below(8)]!++
  t.true(
    counts.every((count) => count > 850 && count < 1150),
    counts.join(),
  )
})
