import test from 'ava'
import { SeededRandom } from '../../sim/random.ts'
import { hitRatio, keyCount } from './policy.ts'
import { Lru } from './recency.ts'
import { RedisLfu, RedisLru } from './redis.ts'
import { LETTERS, mixedTrace, outcomes } from './traces.ts'

test('with five draws among two entries sampled LRU finds the older one, nearly always', (t) => {
  let exact = 0
  for (let seed = 0; seed < 320; seed++) {
    const policy = new RedisLru(2, LETTERS, new SeededRandom(seed))
    if (outcomes(policy, 'abaca').endsWith('h')) exact++
  }
  // All five draws miss the older one once in 32 evictions.
  t.true(exact > 290 && exact < 320, `${exact} of 320`)
})

test('sampled LRU comes within a point of LRU and holds what it may', (t) => {
  const trace = mixedTrace(40_000)
  const keys = keyCount(trace)
  const sampled = new RedisLru(90, keys, new SeededRandom(1))
  const gap = hitRatio(new Lru(90, keys), trace) - hitRatio(sampled, trace)
  t.true(Math.abs(gap) < 1, `the gap is ${gap}`)
  t.is(sampled.size, 90)
})

test('the pool makes a better choice than five draws alone', (t) => {
  const policy = new RedisLru(1_000, 2_000, new SeededRandom(1))
  for (let key = 0; key < 1_500; key++) policy.request(key)
  // 500 evictions, and the oldest 500 are 0 to 499. The best of five alone leaves about 360.
  let newer = 0
  for (let key = 999; key >= 500; key--) if (policy.request(key)) newer++
  t.true(newer > 390 && newer < 500, `${newer} of the newer 500 are there`)
})

test('LFU keeps what was used often through a scan', (t) => {
  const often = 'a'.repeat(200)
  const scan = 'bcdefghijklmnopqrstuvwxyz'
  const random = new SeededRandom(3)
  t.regex(outcomes(new RedisLru(5, LETTERS, random), `${often}${scan}a`), /-$/)
  const lfu = new RedisLfu(5, LETTERS, random, Number.POSITIVE_INFINITY)
  t.regex(outcomes(lfu, `${often}${scan}a`), /h$/)
})

test('an LFU counter falls while the key is not used', (t) => {
  const often = 'a'.repeat(200)
  const others = 'bcdefghijklmnopqrstuvwxyz'.repeat(4)
  const lasting = new RedisLfu(5, LETTERS, new SeededRandom(3), Number.POSITIVE_INFINITY)
  t.regex(outcomes(lasting, `${often}${others}a`), /h$/)
  const falling = new RedisLfu(5, LETTERS, new SeededRandom(3), 2)
  t.regex(outcomes(falling, `${often}${others}a`), /-$/)
})
