import test from 'ava'
import type { FillExtras } from '../../../server/store/store.ts'
import { checkInvariants, STORED } from '../../../server/store/store.ts'
import { shareGroupUsage, Usage } from '../../../server/store/usage.ts'
import type { Load } from './texts.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024

function open(groups = 3): Texts {
  const s = new Texts({ groupUsage: shareGroupUsage(groups), policy: 'fifo' })
  s.store.now = 1_000
  return s
}

function occupied(s: Texts, key: string): number {
  const name = Buffer.from(key)
  s.store.peek(0, name, 0, name.length)
  const { occupiedBytes } = s.store
  s.store.close()
  return occupiedBytes
}

test('a group has the keys and bytes that were loaded for it, in units of 8', (t) => {
  const s = open()
  s.load('a', 'v'.repeat(100), { group: 1 })
  s.load('b', 'v'.repeat(9_000), { group: 1 })
  s.load('c', 'v'.repeat(300_000), { group: 1 })
  s.load('d', 'v', { group: 2 })
  s.load('e', 'v')
  s.set('f', 'v')
  const units = (key: string): number => Math.ceil(occupied(s, key) / 8) * 8
  t.is(s.store.groupKeys(0), 0)
  t.is(s.store.groupKeys(1), 3)
  t.is(s.store.groupBytes(1), units('a') + units('b') + units('c'))
  t.is(s.store.groupBytes(2), units('d'))
  checkInvariants(s.store)
})

test('negative entries have bytes and are no keys', (t) => {
  const s = open()
  s.load('key', null, { group: 0, expireAt: 5_000 })
  t.is(s.store.groupKeys(0), 0)
  t.true(s.store.groupBytes(0) >= 40)
  s.store.now = 5_000
  s.store.sweep(1e6)
  t.is(s.store.groupBytes(0), 0)
})

test('whatever ends an entry or makes it plain takes it from its group', (t) => {
  const ways: Readonly<Record<string, (s: Texts) => void>> = {
    delete: (s) => void s.delete('key'),
    set: (s) => void s.set('key', 'value'),
    append: (s) => {
      s.open('key')
      s.store.append(Buffer.from('x'), 0, 1)
      s.store.close()
    },
    setExpiry: (s) => {
      s.open('key')
      s.store.setExpiry(0)
      s.store.close()
    },
    expiry: (s) => {
      s.store.now = 99_000
      s.get('key')
    },
    'another group': (s) => void s.load('key', 'value', { group: 2 }),
    'a tag': (s) => {
      s.invalidateTag('t')
      s.get('key')
    },
    'flush of one database': (s) => s.store.flush(0),
    'flush of all': (s) => s.store.flush(-1),
    eviction: (s) => {
      for (let i = 0; i < 30_000; i++) s.set(`other:${i}`, 'v'.repeat(1_000))
      for (let i = 0; i < 60; i++) s.set(`big:${i}`, 'v'.repeat(300_000))
    },
  }
  for (const [name, end] of Object.entries(ways)) {
    for (const length of [5, 5_000, 300_000]) {
      const s = open()
      s.load('key', 'v'.repeat(length), { group: 1, expireAt: 99_000, tags: [s.tag('t')] })
      t.is(s.store.groupKeys(1), 1)
      t.true(s.store.groupBytes(1) > length)
      end(s)
      t.is(s.store.groupKeys(1), 0, name)
      t.is(s.store.groupBytes(1), 0, name)
      checkInvariants(s.store)
    }
  }
})

test('a group that has no room loses what nobody asked for, and no other group does', (t) => {
  const s = open()
  const load = (key: string, group: number): void => {
    t.true(s.load(key, 'v'.repeat(200), { group }))
  }
  for (let i = 0; i < 2_000; i++) load(`one:${i}`, 1)
  for (let i = 0; i < 500; i++) load(`two:${i}`, 2)
  const before = s.store.groupBytes(1)
  const share = before / 2
  t.true(s.store.makeGroupRoom(1, 0, 1e6, share))
  t.true(s.store.groupBytes(1) <= share)
  t.true(s.store.groupBytes(1) > share - 400, 'and no more than it must')
  t.is(s.store.groupKeys(2), 500)
  t.true(s.store.stats.evicted >= 990)
  checkInvariants(s.store)
})

test('to make room looks at so many slots and goes on where it stopped', (t) => {
  const s = open()
  for (let i = 0; i < 2_000; i++) s.load(`key:${i}`, 'v'.repeat(200), { group: 0 })
  t.false(s.store.makeGroupRoom(0, 0, 100, 0))
  t.true(s.store.groupKeys(0) > 1_850)
  let calls = 1
  while (!s.store.makeGroupRoom(0, 0, 100, 0)) calls++
  t.is(s.store.groupKeys(0), 0)
  t.true(calls > 20)
  t.true(s.store.makeGroupRoom(0, 100, 1, 100))
  t.false(s.store.makeGroupRoom(0, 101, 1_000, 100))
  checkInvariants(s.store)
})

test('what was asked for survives a round, and goes in the next if nobody asks again', (t) => {
  const s = new Texts({ groupUsage: shareGroupUsage(1), policy: 's3-fifo' })
  const asked = Array.from({ length: 9 }, (_, i) => `asked ${i}`)
  for (const key of asked) s.load(key, 'v', { group: 0 })
  const share = s.store.groupBytes(0)
  for (const key of asked) s.load(`not ${key}`, 'v', { group: 0 })
  for (const key of asked) s.get(key)
  t.true(s.store.makeGroupRoom(0, 0, 4_000, share))
  t.deepEqual(s.keys(), asked)
  t.true(s.store.makeGroupRoom(0, 0, 4_000, 0))
  t.deepEqual(s.keys(), [])
})

test('entries of groups that are not counted are as good as any', (t) => {
  const s = open(1)
  const load: Load = { group: 5 }
  t.true(s.load('key', 'value', load))
  t.throws(() => s.store.groupBytes(5), { message: /no such group/ })
  t.is(s.get('key'), 'value')
  s.store.openAny(0, Buffer.from('key'), 0, 3)
  t.is(s.store.extras!.group, 5)
  s.store.close()
  checkInvariants(s.store)
})

test('a value that is set with a group counts for it', (t) => {
  const s = open()
  const bytes = Buffer.from('keyvalue')
  const extras: FillExtras = s.extras({}, { group: 2 })
  t.is(s.store.setTagged(0, bytes, 0, 3, 3, 5, 0, extras), STORED)
  t.is(s.store.groupKeys(2), 1)
})

test('a group may have 16 GB and more', (t) => {
  const usage = new Usage(shareGroupUsage(1))
  for (let i = 0; i < 24; i++) usage.count(0, 1024 * MB, 1, 1)
  t.is(usage.bytes(0), 24 * 1024 * MB)
  for (let i = 0; i < 24; i++) usage.count(0, 1024 * MB, 1, -1)
  t.is(usage.bytes(0), 0)
})
