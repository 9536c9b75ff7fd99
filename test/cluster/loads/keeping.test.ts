import test from 'ava'
import { type Group, parseGroup } from '../../../cluster/groups/group.ts'
import { isEarly, negativeTimesOf, timesOf } from '../../../cluster/loads/keeping.ts'
import { SeededRandom } from '../../sim/random.ts'

const HOUR = 3_600_000

function group(rules: string): Group {
  return parseGroup(`g match k:{id} origin http://h/{id} ${rules}`.trim().split(' '))
}

const random = new SeededRandom(1)
const value = Buffer.from('v')

test('a value is fresh for its ttl, then stale, then kept for errors', (t) => {
  const times = timesOf({ value }, group('ttl 5s stale 10s stale-if-error 1h'), 1000, random)
  t.deepEqual(times, { freshUntil: 6000, visibleUntil: 16_000, expireAt: 6000 + HOUR })
  const shorter = timesOf({ value }, group('ttl 5s stale 10s stale-if-error 2s'), 1000, random)
  t.is(shorter?.expireAt, 16_000)
})

test('without a ttl it is fresh for ever', (t) => {
  const times = timesOf({ value }, group('stale 10s'), 1000, random)
  t.deepEqual(times, { freshUntil: 0, visibleUntil: 0, expireAt: 0 })
})

test("the origin's word counts before the group's", (t) => {
  const said = { value, freshMs: 2000, staleMs: 3000, staleIfErrorMs: 9000 }
  const times = timesOf(said, group('ttl 5s stale 1h stale-if-error 1h'), 1000, random)
  t.deepEqual(times, { freshUntil: 3000, visibleUntil: 6000, expireAt: 12_000 })
})

test('what the origin does not want to be kept has no times', (t) => {
  t.is(timesOf({ value, freshMs: 0 }, group('ttl 5s'), 1000, random), null)
  t.is(negativeTimesOf({ value: null, freshMs: 0 }, group('negative 5s'), 1000), null)
})

test('jitter shortens the time it is fresh by so much at most', (t) => {
  const jittered = group('ttl 100s jitter 10%')
  const ends = Array.from(
    { length: 1000 },
    () => timesOf({ value }, jittered, 0, random)?.freshUntil ?? 0,
  )
  t.true(Math.min(...ends) >= 90_000 && Math.min(...ends) < 91_000)
  t.true(Math.max(...ends) <= 100_000 && Math.max(...ends) > 99_000)
})

test('on-error stale keeps a value for errors as long as memory has room', (t) => {
  const times = timesOf({ value }, group('ttl 5s on-error stale'), 0, random)
  t.is(times?.visibleUntil, 5000)
  t.true((times?.expireAt ?? 0) > 9 * 365 * 24 * HOUR)
})

test('that there is no such thing is remembered as long as the group says', (t) => {
  t.is(negativeTimesOf({ value: null }, group('negative 0'), 1000), null)
  t.is(negativeTimesOf({ value: null }, group('negative 2s'), 1000.5)?.expireAt, 3000)
})

test('a value is loaded early the more probably the nearer its end is, and never without cost or beta', (t) => {
  const share = (leftMs: number, costMs = 100, beta = 1): number => {
    let early = 0
    for (let i = 0; i < 2000; i++) {
      if (isEarly({ freshUntil: 10_000, costMs }, beta, 10_000 - leftMs, random)) early++
    }
    return early / 2000
  }
  // e^-(left / (cost * beta))
  t.true(Math.abs(share(100) - Math.exp(-1)) < 0.05)
  t.true(Math.abs(share(300) - Math.exp(-3)) < 0.03)
  t.true(Math.abs(share(300, 100, 3) - Math.exp(-1)) < 0.05)
  t.is(share(5000), 0)
  t.is(share(0), 1)
  t.is(share(1, 0), 0)
  t.is(share(1, 100, 0), 0)
  t.false(isEarly({ freshUntil: 0, costMs: 100 }, 1, 10_000, random))
})
