import test from 'ava'
import { Args } from '../../../protocol/args.ts'
import { shareInvalidations } from '../../../server/store/invalidation.ts'
import { multiMemory } from '../../../server/store/memory.ts'
import { addSlot, hasSlot, MATCHER_BYTES_MAX, SLOT_SET_BYTES } from '../../../server/store/purge.ts'
import type { Matcher } from '../../../server/store/store.ts'
import { ABSENT, checkInvariants, FRESH, NEGATIVE, STORED } from '../../../server/store/store.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024

function prefix(text: string, db = -1): Matcher {
  return { kind: 'prefix', db, bytes: Buffer.from(text) }
}

/** @returns steps it took */
function sweep({ store }: Texts): number {
  let steps = 0
  let cursor = 0
  do {
    cursor = store.sweepInvalidated(cursor)
    steps++
  } while (cursor !== 0)
  return steps
}

test('what begins with an invalidated prefix is dead at once, and nothing else', (t) => {
  const s = new Texts()
  for (const key of ['user:1', 'user:22', 'user', 'user:', 'item:1', 'User:1', '']) s.set(key, 'v')
  t.true(s.store.beginInvalidation(prefix('user:')))
  t.deepEqual(s.keys(), ['', 'User:1', 'item:1', 'user'])
  t.is(s.get('user:1'), null)
  t.false(s.has('user:22'))
  t.false(s.delete('user:'))
  t.is(s.get('item:1'), 'v')
  sweep(s)
  t.is(s.store.size(0), 4)
  t.is(s.store.stats.invalidated, 3)
  checkInvariants(s.store)
})

test('what is written after it lives, before the sweep and after', (t) => {
  const s = new Texts()
  for (const length of [5, 5_000, 300_000]) {
    s.set('user:1', 'v'.repeat(length))
    s.store.beginInvalidation(prefix('user:'))
    t.is(s.get('user:1'), null)
    t.is(s.set('user:1', 'w'.repeat(length)), STORED)
    t.is(s.get('user:1')?.[0] ?? 'w', 'w')
    t.true(s.has('user:1'))
    sweep(s)
    t.true(s.has('user:1'))
    t.is(s.store.size(0), 1)
    checkInvariants(s.store)
  }
})

test('it takes one step to begin and many to sweep, and meanwhile none other begins', (t) => {
  const s = new Texts({ maxMemory: 16 * MB })
  for (let i = 0; i < 50_000; i++) s.set(`${i % 2 === 0 ? 'even' : 'odd'}:${i}`, 'v')
  t.true(s.store.beginInvalidation(prefix('even:')))
  t.false(s.store.beginInvalidation(prefix('odd:')))
  t.is(s.get('odd:1'), 'v')
  t.is(s.get('even:2'), null)
  t.is(s.store.size(0), 49_999, 'the others count until they are swept')
  t.true(sweep(s) >= s.store.stats.buckets)
  t.is(s.store.size(0), 25_000)
  t.is(s.store.stats.invalidated, 25_000)
  t.true(s.store.beginInvalidation(prefix('odd:')))
  t.deepEqual(s.keys(), [])
  sweep(s)
  t.is(s.store.size(0), 0)
  t.true(s.store.beginInvalidation(prefix('')))
  sweep(s)
  checkInvariants(s.store)
})

test('one database is invalidated, or all', (t) => {
  const s = new Texts()
  for (let db = 0; db < 3; db++) s.set('key', 'v', 0, db)
  s.store.beginInvalidation(prefix('k', 1))
  t.deepEqual(
    [0, 1, 2].map((db) => s.get('key', db)),
    ['v', null, 'v'],
  )
  sweep(s)
  t.deepEqual(
    [0, 1, 2].map((db) => s.store.size(db)),
    [1, 0, 1],
  )
  s.store.beginInvalidation(prefix('k'))
  t.deepEqual(
    [0, 1, 2].map((db) => s.get('key', db)),
    [null, null, null],
  )
})

test('a group is invalidated by what says which keys are its', (t) => {
  const s = new Texts({
    matcherOf: (name) => (name === 'short' ? (_bytes, _pos, length) => length < 4 : null),
  })
  for (const key of ['a', 'abc', 'abcd', 'k'.repeat(70_000)]) s.set(key, 'v')
  t.true(s.store.beginInvalidation({ kind: 'group', db: -1, name: 'none' }))
  t.is(s.keys().length, 4)
  sweep(s)
  t.true(s.store.beginInvalidation({ kind: 'group', db: -1, name: 'short' }))
  t.deepEqual(s.keys(), ['abcd', 'k'.repeat(70_000)])
  sweep(s)
  t.is(s.store.size(0), 2)
})

test('slots are invalidated by what says which slot a key has, in all databases', (t) => {
  // The slot is the first byte, a thousandfold.
  const s = new Texts({ slotOf: (bytes, pos) => (bytes[pos]! - 0x61) * 1000 })
  for (const key of ['a1', 'b1', 'b2', 'c1', `b${'k'.repeat(70_000)}`]) s.set(key, 'v')
  s.set('b1', 'v', 0, 3)
  const slots = new Uint8Array(SLOT_SET_BYTES)
  for (const slot of [1000, 16_383]) addSlot(slots, slot)
  t.deepEqual(
    [999, 1000, 1001, 16_383].map((slot) => hasSlot(slots, slot)),
    [false, true, false, true],
  )
  const lease = s.lease('b3')
  t.true(s.store.beginInvalidation({ kind: 'slots', db: -1, slots }))
  t.deepEqual(s.keys(), ['a1', 'c1'])
  t.is(s.get('b1', 3), null)
  t.false(s.fill('b3', lease, 'from before'), 'its load is fenced off')
  s.set('b1', 'w')
  sweep(s)
  t.deepEqual(s.keys(), ['a1', 'b1', 'c1'])
  t.is(s.store.size(0), 3)
  checkInvariants(s.store)
})

test('keys in pages, big values and negative entries are dead as well', (t) => {
  const s = new Texts({ maxMemory: 16 * MB })
  s.store.now = 1_000
  const long = `user:${'k'.repeat(80_000)}`
  s.set(long, 'v')
  s.set('user:big', 'v'.repeat(400_000))
  s.load('user:none', null, { expireAt: 9_000 })
  s.load('user:loaded', 'v', { expireAt: 9_000 })
  t.is(s.state('user:none'), NEGATIVE)
  s.store.beginInvalidation(prefix('user:'))
  for (const key of [long, 'user:none', 'user:loaded']) t.is(s.state(key), ABSENT)
  t.is(s.state('user:big'), ABSENT)
  sweep(s)
  t.is(s.store.stats.entries + s.store.stats.negatives + s.store.stats.bigValues, 0)
  checkInvariants(s.store)
})

test('a load under way is fenced off, before the sweep and after', (t) => {
  for (const isSwept of [false, true]) {
    const s = new Texts()
    s.store.now = 1_000
    const token = s.lease('user:1')
    const other = s.lease('item:1')
    s.store.beginInvalidation(prefix('user:'))
    if (isSwept) sweep(s)
    t.false(s.store.hasLease(0, Buffer.from('user:1'), token))
    t.false(s.fill('user:1', token, 'late'))
    t.is(s.get('user:1'), null)
    t.not(s.lease('user:1'), token)
    t.true(s.fill('item:1', other, 'loaded'))
    t.true(s.load('user:1', 'new'))
    if (!isSwept) sweep(s)
    t.is(s.get('user:1'), 'new')
    t.is(s.get('item:1'), 'loaded')
    checkInvariants(s.store)
  }
})

test('what lives through one invalidation dies by the next', (t) => {
  const s = new Texts()
  s.store.now = 1_000
  for (let round = 0; round < 4; round++) {
    s.set('plain', 'v')
    s.set('expires', 'v', 50_000)
    s.load('loaded', 'v', { expireAt: 50_000 })
    s.set('big', 'v'.repeat(200_000))
    const token = s.lease('leased')
    s.store.beginInvalidation(prefix('none'))
    sweep(s)
    t.is(s.store.size(0), 4)
    t.true(s.store.hasLease(0, Buffer.from('leased'), token))
    s.store.beginInvalidation(prefix(''))
    t.deepEqual(s.keys(), [])
    t.false(s.store.hasLease(0, Buffer.from('leased'), token))
    sweep(s)
    t.is(s.store.size(0), 0)
    checkInvariants(s.store)
  }
})

test('what changes in part while another prefix is invalidated lives on', (t) => {
  const s = new Texts()
  for (const length of [5, 5_000, 300_000]) {
    s.set('key', 'v'.repeat(length), 1_000)
    s.store.beginInvalidation(prefix('other'))
    s.open('key')
    t.is(s.store.setRange(1, Buffer.from('x'), 0, 1), STORED)
    t.is(s.store.setExpiry(2_000), STORED)
    t.is(s.store.append(Buffer.from('x'), 0, 1), STORED)
    s.store.close()
    sweep(s)
    s.open('key')
    t.is(s.store.valueLength, length + 1)
    t.is(s.store.expireAt, 2_000)
    s.store.close()
    checkInvariants(s.store)
  }
})

test('a prefix of 64 KB is taken, one byte more is not', (t) => {
  const s = new Texts()
  const long = 'k'.repeat(MATCHER_BYTES_MAX)
  s.set(long, 'v')
  s.set(long.slice(1), 'v')
  t.throws(() => s.store.beginInvalidation(prefix(`${long}k`)), { instanceOf: RangeError })
  t.true(s.store.beginInvalidation(prefix(long)))
  t.false(s.has(long))
  t.true(s.has(long.slice(1)))
  sweep(s)
})

test('who listens is told that they were deleted', (t) => {
  const told: string[] = []
  const s = new Texts({
    onRemoved: (reason, _db, key) => void told.push(`${reason} ${Buffer.from(key).toString()}`),
  })
  for (const key of ['a:1', 'a:2', 'b']) s.set(key, 'v')
  s.store.beginInvalidation(prefix('a:'))
  s.get('a:1')
  sweep(s)
  t.deepEqual(told, ['deleted a:1', 'deleted a:2'])
})

if (multiMemory) {
  test('threads that share their invalidations see each other’s', (t) => {
    const invalidations = shareInvalidations()
    const one = new Texts({ threads: 2, invalidations })
    const two = new Texts({ threads: 2, invalidations, attach: one.store.shared })
    one.set('user:1', 'v')
    two.set('user:2', 'v')
    one.load('tagged', 'v', { tags: [one.tag('t')] })
    two.invalidateTag('t')
    t.is(one.state('tagged'), ABSENT)
    one.store.beginInvalidation(prefix('user:'))
    t.is(two.get('user:1'), null)
    t.false(two.store.beginInvalidation(prefix('user:')))
    two.set('user:3', 'v')
    sweep(one)
    t.deepEqual(two.keys(), ['user:3'])
    t.true(two.store.beginInvalidation(prefix('user:')))
    t.is(one.state('user:3'), ABSENT)
    sweep(two)
    one.set('user:4', 'v')
    t.is(two.state('user:4'), FRESH)
    checkInvariants(one.store)
  })

  test('keys that are locked together are before an invalidation or after it', (t) => {
    const invalidations = shareInvalidations()
    const one = new Texts({ threads: 2, invalidations })
    const two = new Texts({ threads: 2, invalidations, attach: one.store.shared })
    for (const key of ['a', 'b']) one.set(key, 'v')
    const args = Args.of(['MGET', 'a', 'b'])
    one.store.lockKeys(0, args, 1, 3, 1)
    t.is(one.get('a'), 'v')
    two.store.beginInvalidation(prefix(''))
    t.is(one.get('b'), 'v')
    one.store.unlockKeys()
    t.is(one.get('b'), null)
    sweep(two)
  })

  test('threads that do not share their invalidations may not invalidate', (t) => {
    const s = new Texts({ threads: 2 })
    t.throws(() => s.store.invalidateTag(1), { message: /do not share/ })
    t.throws(() => s.store.beginInvalidation(prefix('')), { message: /do not share/ })
  })
}
