import test from 'ava'
import { Singleflight } from '../../cluster/singleflight.ts'

test('callers of one key share one call and its value', async (t) => {
  const flights = new Singleflight<string, number>()
  let calls = 0
  let answer: (value: number) => void = () => {}
  const call = () => {
    calls++
    return new Promise<number>((resolve) => {
      answer = resolve
    })
  }
  const callers = Array.from({ length: 1000 }, () => flights.do('key', call))
  t.is(flights.size, 1)
  await Promise.resolve()
  answer(7)
  t.deepEqual(await Promise.all(callers), Array(1000).fill(7))
  t.is(calls, 1)
  t.is(flights.size, 0)
})

test('callers of two keys do not share', async (t) => {
  const flights = new Singleflight<string, string>()
  const results = await Promise.all([flights.do('a', () => 'A'), flights.do('b', () => 'B')])
  t.deepEqual(results, ['A', 'B'])
})

for (const [how, call] of [
  ['rejects', () => Promise.reject(new Error('no'))],
  [
    'throws',
    () => {
      throw new Error('no')
    },
  ],
] as const) {
  test(`a call that ${how} gives all callers the error and leaves nothing behind`, async (t) => {
    const flights = new Singleflight<string, number>()
    const callers = [flights.do('key', call), flights.do('key', call), flights.do('key', call)]
    for (const result of await Promise.allSettled(callers)) {
      t.is(result.status, 'rejected')
      t.is(result.status === 'rejected' && (result.reason as Error).message, 'no')
    }
    t.is(flights.size, 0)
    t.is(await flights.do('key', () => 1), 1)
  })
}

test('the next call is a new one as soon as a caller has heard the result', async (t) => {
  const flights = new Singleflight<string, number>()
  let calls = 0
  const call = () => ++calls
  const second = flights.do('key', call).then(() => flights.do('key', call))
  t.is(await second, 2)
})

test('a call is not made within do', async (t) => {
  const flights = new Singleflight<string, number>()
  let called = false
  const result = flights.do('key', () => {
    called = true
    return 1
  })
  t.false(called)
  t.is(await result, 1)
})
