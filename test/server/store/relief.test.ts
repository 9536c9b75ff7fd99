/*
 * Who gives when the pool is dry, seen from outside: big values, and buckets with more than others.
 * Chunks have 512 bytes, and values of 5,000 lie in pages of their own.
 */
import test from 'ava'
import { xxh32 } from '../../../server/store/hash.ts'
import { POLICIES } from '../../../server/store/policy.ts'
import type { Policy } from '../../../server/store/store.ts'
import { checkInvariants } from '../../../server/store/store.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024
const BIG = 'v'.repeat(5_000)

/** Both keep what is asked for, big or not. */
const KEEPING = ['s3a', 's3-fifo'] as const

function isHeld(s: Texts, keys: readonly string[]): number {
  return keys.filter((key) => s.has(key)).length
}

/** Sets big values until the first goes. @returns their keys */
function fillWithBigs(s: Texts, name: string): string[] {
  const keys: string[] = []
  for (let i = 0; s.store.stats.evicted === 0; i++) {
    keys.push(`${name}:${i}`)
    s.set(keys[i]!, BIG)
  }
  return keys
}

for (const policy of KEEPING) {
  test(`${policy}: a stream of big values leaves the small ones, and has a tenth of the memory`, (t) => {
    const maxMemory = 4 * MB
    const s = new Texts({ maxMemory, policy })
    for (let i = 0; i < 26_000; i++) s.set(`key:${i}`, 'v'.repeat(100))
    t.true(s.store.stats.evicted > 0)
    const keys = s.keys()
    const asked = keys.filter((_, i) => i % 10 === 0)
    for (const key of asked) for (let i = 0; i < 2; i++) s.get(key)
    let most = 0
    for (let i = 0; i < (10 * maxMemory) / BIG.length; i++) {
      s.set(`big:${i}`, BIG)
      if (i % 50 === 0) most = Math.max(most, s.store.stats.bigBytes)
    }
    t.true(most < 0.12 * maxMemory, `${most} bytes`)
    t.true(most > 0.05 * maxMemory, `${most} bytes`)
    t.true(isHeld(s, asked) > 0.7 * asked.length, `${isHeld(s, asked)} of ${asked.length}`)
    t.true(isHeld(s, keys) > 0.7 * keys.length, `${isHeld(s, keys)} of ${keys.length}`)
    checkInvariants(s.store)
  })

  test(`${policy}: where nearly all values are big, those asked for outlive a stream of others`, (t) => {
    const s = new Texts({ maxMemory: 2 * MB, policy })
    const asked = fillWithBigs(s, 'big').filter((key, i) => i % 10 === 0 && s.has(key))
    for (const key of asked) t.truthy(s.get(key))
    for (let i = 0; i < 1_000; i++) s.set(`stream:${i}`, BIG)
    t.is(isHeld(s, asked), asked.length)
    t.is(s.store.stats.promoted, asked.length)
    checkInvariants(s.store)
  })

  test(`${policy}: a big value that comes back while it is remembered stays, a new one does not`, (t) => {
    const s = new Texts({ maxMemory: 2 * MB, policy })
    const count = fillWithBigs(s, 'big').length
    const stream = Array.from({ length: count }, (_, i) => `stream:${i}`)
    for (const key of stream) s.set(key, BIG)
    // The newest are still there; most of those before were remembered by their buckets.
    const back = stream.filter((key) => !s.has(key)).slice(-50)
    const { ghostHits } = s.store.stats
    if (back.length < 50) for (let i = 0; i < count; i++) back.push(`big:${i}`)
    const known = back.filter((key) => {
      const before = s.store.stats.ghostHits
      if (!s.has(key)) s.set(key, BIG)
      return s.store.stats.ghostHits > before
    })
    t.true(known.length >= 20, `${known.length}`)
    t.is(s.store.stats.ghostHits, ghostHits + known.length)
    const fresh = known.map((_, i) => `new:${i}`)
    for (const key of fresh) s.set(key, BIG)
    for (let i = 0; i < 2 * count; i++) s.set(`later:${i}`, BIG)
    t.is(isHeld(s, fresh), 0)
    t.true(isHeld(s, known) > 0.9 * known.length, `${isHeld(s, known)} of ${known.length}`)
    checkInvariants(s.store)
  })
}

test('a loop over twice as many big values as fit keeps the same part of them under s3a', (t) => {
  const s = new Texts({ maxMemory: 2 * MB })
  const keys = 2 * fillWithBigs(s, 'warm').length
  const rounds = Array.from({ length: 10 }, () => {
    const found = new Set<string>()
    for (let i = 0; i < keys; i++) {
      const key = `big:${i}`
      if (s.get(key) === null) s.set(key, BIG)
      else found.add(key)
    }
    return found
  })
  const [before, last] = [rounds.at(-2)!, rounds.at(-1)!]
  t.true(last.size > 0.3 * keys, `${last.size} of ${keys}`)
  const stayed = [...last].filter((key) => before.has(key)).length
  t.true(stayed > 0.9 * last.size, `${stayed} of ${last.size}`)
})

test('second-chance and lru: a big value asked for again outlives those that were not', (t) => {
  for (const policy of ['second-chance', 'lru'] as const) {
    const s = new Texts({ maxMemory: 2 * MB, policy })
    const keys = fillWithBigs(s, 'big').filter((key) => s.has(key))
    const [asked, others] = [keys.slice(0, 20), keys.slice(20, 100)]
    for (const key of asked) t.truthy(s.get(key))
    for (let i = 0; i < 100; i++) s.set(`stream:${i}`, BIG)
    t.is(isHeld(s, asked), asked.length, policy)
    t.is(isHeld(s, others), 0, policy)
  }
})

test('big values of the main list that nobody asks for any more go for small ones', (t) => {
  for (const policy of KEEPING) {
    const s = new Texts({ maxMemory: 2 * MB, policy })
    const bigs = fillWithBigs(s, 'big').filter((key) => s.has(key))
    for (const key of bigs) s.get(key)
    for (let i = 0; i < 50; i++) s.set(`stream:${i}`, BIG)
    t.true(s.store.stats.bigBytes > MB)
    // Asked for, so that they come to MAIN, whose age the big values have to bear with.
    for (let i = 0; i < 30_000; i++) {
      s.set(`key:${i}`, 'v'.repeat(100))
      if (i > 4_000 && i % 2 === 0) s.get(`key:${i - 600}`)
    }
    t.true(s.store.stats.bigBytes < 0.1 * MB, `${policy}: ${s.store.stats.bigBytes}`)
    checkInvariants(s.store)
  }
})

/** All keys that begin with a b fall in bucket 0 of two, the others in bucket 1. */
function twoBuckets(policy: Policy): Texts {
  const hash = (bytes: Uint8Array, pos: number, length: number, seed: number): number =>
    (xxh32(bytes, pos, length, seed) & ~1) | (bytes[pos]! & 1)
  return new Texts({ maxMemory: MB / 4, policy, buckets: 2, hash })
}

test('a bucket that comes late to a dry pool takes chunks from one that has more than its share', (t) => {
  for (const policy of POLICIES) {
    const s = twoBuckets(policy)
    for (let i = 0; i < 3_000; i++) s.set(`b:${i}`, 'v'.repeat(100))
    const first = s.store.bucketStats(0)
    t.is(s.store.bucketStats(1).entries, 0)
    t.is(first.stolenChunks, 0)
    for (let i = 0; i < 6_000; i++) {
      s.set(`a:${i}`, 'v'.repeat(100))
      if (i % 3 === 0) s.get(`a:${Math.max(0, i - 30)}`)
    }
    const [early, late] = [s.store.bucketStats(0), s.store.bucketStats(1)]
    t.true(late.stolenChunks >= 10, `${policy}: ${late.stolenChunks}`)
    t.is(early.stolenChunks, 0)
    t.is(s.store.stats.stolenChunks, late.stolenChunks)
    t.true(late.entries > first.entries / 5, `${policy}: ${late.entries} and ${early.entries}`)
    // Not beyond the mean.
    t.true(early.entries > 0.4 * first.entries, `${policy}: ${late.entries} and ${early.entries}`)
    checkInvariants(s.store)
  }
})
