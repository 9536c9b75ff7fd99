/* Each counter that tells of eviction, provoked once. Others are counted where their verbs are tested. */
import test from 'ava'
import type { BucketStats } from '../../../server/store/store.ts'
import { checkInvariants } from '../../../server/store/store.ts'
import { Texts } from './texts.ts'

const KB = 1024
/** With a key of 5 bytes: entries of 128. */
const VALUE = 'v'.repeat(119)

function oneBucket(policy: 's3a' | 's3-fifo' | 'fifo' = 's3a'): Texts {
  return new Texts({ maxMemory: 64 * KB, buckets: 1, policy })
}

function name(prefix: string, i: number): string {
  return `${prefix}${String(i).padStart(4, '0')}`
}

/** Sets keys until one is evicted. @returns how many */
function fillUp(s: Texts, prefix = 'k'): number {
  let count = 0
  while (s.store.stats.evicted === 0) s.set(name(prefix, count++), VALUE)
  return count
}

/** What the counters rose by. */
function rise(s: Texts, act: () => void): BucketStats {
  const before = s.store.bucketStats(0)
  act()
  const after = s.store.bucketStats(0)
  const fields = Object.keys(after) as (keyof BucketStats)[]
  return Object.fromEntries(
    fields.map((field) => [field, after[field] - before[field]]),
  ) as unknown as BucketStats
}

test('a key that nobody asked for is evicted from small', (t) => {
  const s = oneBucket()
  const count = fillUp(s)
  // Until small has got its share of main.
  for (let i = 0; i < 100; i++) s.set(name('b', i), VALUE)
  const grown = rise(s, () => {
    for (let i = 0; i < count; i++) s.set(name('n', i), VALUE)
  })
  t.is(grown.evictedSmall, count)
  t.is(grown.evictedMain, 0)
  t.is(grown.promoted, 0)
  t.is(grown.reinsertedBytes, 0)
})

test('a key that comes back is a ghost hit, and evicts from main', (t) => {
  const s = oneBucket()
  fillUp(s)
  for (let i = 0; i < 100; i++) s.set(name('n', i), VALUE)
  const gone = Array.from({ length: 100 }, (_, i) => name('n', i)).filter((key) => !s.has(key))
  t.true(gone.length >= 20)
  const grown = rise(s, () => {
    for (const key of gone.slice(-20)) s.set(key, VALUE)
  })
  t.is(grown.ghostHits, 20)
  t.is(grown.evictedMain, 20)
  t.is(grown.evictedSmall, 0)
})

test('a key asked for in small is promoted, one asked for in main is reinserted', (t) => {
  const s = oneBucket()
  const count = fillUp(s)
  for (let i = 0; i < 100; i++) s.set(name('n', i), VALUE)
  s.set('asked', VALUE)
  const within = Math.round(s.store.stats.smallChunks * 16 * 0.75)
  for (let i = 0; i < within; i++) s.set(name('b', i), VALUE)
  s.get('asked')
  const grown = rise(s, () => {
    for (let i = 0; i < count / 4; i++) s.set(name('c', i), VALUE)
  })
  t.is(grown.promoted, 1)
  t.is(grown.reinsertedBytes, 0)
  const oldest = s
    .keys()
    .filter((key) => key.startsWith('k'))
    .slice(0, 5)
  for (const key of oldest) s.get(key)
  const back = Array.from({ length: 100 }, (_, i) => name('n', i)).filter((key) => !s.has(key))
  const after = rise(s, () => {
    for (const key of back.slice(-40)) s.set(key, VALUE)
  })
  t.is(after.reinsertedBytes, 5 * 128)
})

test('bytes that are won back from among dead ones are moved, not reinserted', (t) => {
  const s = oneBucket()
  const count = fillUp(s)
  const grown = rise(s, () => {
    for (let i = 0; i < count; i++) if (i % 2 === 0) s.delete(name('k', i))
  })
  // All that lived in the chunks that became empty.
  t.true(grown.movedBytes > 0.1 * count * 128, `${grown.movedBytes}`)
  t.is(grown.reinsertedBytes, 0)
  t.is(grown.evictedMain + grown.evictedSmall, 0)
})

test('a generation is counted for each chunk that is written anew', (t) => {
  const s = oneBucket('fifo')
  const count = fillUp(s)
  const grown = rise(s, () => {
    for (let i = 0; i < 10 * count; i++) s.set(name('n', i), VALUE)
  })
  // 16 entries a chunk.
  t.true(Math.abs(grown.generations - (10 * count) / 16) <= 2, `${grown.generations}`)
})

test('a look-up that meets other keys of the same hash counts each of them', (t) => {
  const s = new Texts({ maxMemory: 64 * KB, buckets: 1, hash: () => 0x12345600 })
  for (let i = 0; i < 4; i++) s.set(`key:${i}`, 'v')
  t.is(s.store.stats.collisionsMet, 0 + 1 + 2 + 3)
  const met: number[] = []
  for (let i = 0; i < 4; i++) met.push(rise(s, () => s.get(`key:${i}`)).collisionsMet)
  t.deepEqual(met, [0, 1, 2, 3])
  t.is(rise(s, () => s.get('none')).collisionsMet, 4)
  t.is(s.store.stats.collisionsLost, 0)
  for (let i = 4; i < 70; i++) s.set(`key:${i}`, 'v')
  t.is(s.store.stats.collisionsLost, 6, 'no more than 64 of one hash')
  checkInvariants(s.store)
})

test('evicted is small, main and big together, and each that went is told of', (t) => {
  const told = { evicted: 0, expired: 0, deleted: 0, overwritten: 0 }
  const s = new Texts({
    maxMemory: 64 * KB,
    buckets: 1,
    onRemoved: (reason) => void told[reason]++,
  })
  for (let i = 0; i < 4_000; i++) {
    s.set(name('k', i % 900), i % 50 === 0 ? 'v'.repeat(3_000) : VALUE)
    if (i % 3 === 0) s.get(name('k', (i * 7) % 900))
  }
  const { evicted, evictedSmall, evictedMain, evictedBig } = s.store.stats
  for (const count of [evictedSmall, evictedMain, evictedBig]) t.true(count > 0)
  t.is(evictedSmall + evictedMain + evictedBig, evicted)
  t.is(evicted, told.evicted)
  checkInvariants(s.store)
})
