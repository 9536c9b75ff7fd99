import test from 'ava'
import { MISS, OUT_OF_MEMORY, STORED, type KeyPlace } from '../../../server/store/store.ts'
import { checkInvariants } from '../../../server/store/store.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024

function place(key: string, db = 0): KeyPlace {
  const bytes = Buffer.from(key)
  return { db, bytes, pos: 0, length: bytes.length }
}

function transfer(s: Texts, verb: 'move' | 'copy', from: KeyPlace, to: KeyPlace): number {
  s.store.lockPair(from, to)
  const result = s.store[verb](from, to)
  s.store.unlockKeys()
  checkInvariants(s.store)
  return result
}

/** In the ring, in a page with its tail in the ring, in whole pages, in many. */
const LENGTHS = [0, 20, 5_000, 40_000, 65_536, 70_000, 131_072, 500_000]

for (const buckets of [1, 512]) {
  test(`pages change hands, and are as many as before, in ${buckets} buckets`, (t) => {
    for (const length of LENGTHS) {
      for (const name of ['to', 't'.repeat(300), 't'.repeat(70_000)]) {
        const s = new Texts({ buckets })
        const value = 'v'.repeat(length)
        s.set('from', value, s.store.now + 5_000)
        s.set(name, 'w'.repeat(100_000))
        const { used } = usage(s)
        t.is(transfer(s, 'move', place('from'), place(name)), STORED)
        t.false(s.has('from'))
        t.true(s.open(name))
        t.is(s.store.valueLength, length)
        t.is(s.store.expireAt, s.store.now + 5_000)
        s.store.close()
        t.true(usage(s).used <= used + 1)
        t.true(usage(s).used < used || length > 60_000 || name.length > 300)
        s.delete(name)
        t.is(s.store.stats.entries, 0)
        t.is(s.store.stats.bigBytes, 0)
      }
    }
  })
}

function usage({ store }: Texts): { used: number } {
  const { chunks, chunksFree } = store.stats
  return { used: chunks - chunksFree }
}

test('who reads pages reads on, wherever they go', (t) => {
  const s = new Texts()
  const value = Buffer.alloc(300_000, 'abcdefg')
  s.set('a', value)
  s.open('a')
  const pages = s.store.pin()
  s.store.close()
  t.is(transfer(s, 'move', place('a'), place('b', 3)), STORED)
  t.true(pages.toBuffer().equals(value))
  t.is(transfer(s, 'move', place('b', 3), place('c')), STORED)
  s.open('c')
  s.store.setRange(0, Buffer.from('X'), 0, 1)
  s.store.close()
  t.true(pages.toBuffer().equals(value))
  s.delete('c')
  t.true(s.store.stats.pinnedBytes > 0)
  t.true(pages.toBuffer().equals(value))
  pages.release()
  t.is(s.store.stats.pinnedBytes, 0)
  checkInvariants(s.store)
})

test('the extras stay behind, and leases of both keys are void', (t) => {
  for (const value of ['loaded', 'l'.repeat(100_000)]) {
    for (const verb of ['move', 'copy'] as const) {
      if (verb === 'copy' && value.length > 65_536) continue
      const s = new Texts()
      const { now } = s.store
      const load = { expireAt: now + 9_000, freshUntil: now + 1_000, visibleUntil: now + 5_000 }
      s.load('from', value, { ...load, tags: [s.tag('tag')], etag: Buffer.from('etag'), group: -1 })
      const target = s.lease('to')
      s.store.openAny(0, Buffer.from('from'), 0, 4)
      const source = s.store.leaseBeside()
      s.store.close()
      t.is(transfer(s, verb, place('from'), place('to')), STORED)
      t.false(s.fill('to', target, 'other'))
      t.is(s.fill('from', source, 'again'), verb === 'copy')
      s.invalidateTag('tag')
      t.true(s.open('to'))
      t.is(s.store.extras, null)
      t.is(s.store.expireAt, now + 1_000)
      t.is(s.store.valueLength, value.length)
      s.store.close()
    }
  }
})

test('what is not there, or not for clients, is missing, and then nothing changes', (t) => {
  const s = new Texts()
  s.set('to', 'here')
  s.load('negative', null, { expireAt: s.store.now + 1_000 })
  const token = s.lease('leased')
  for (const verb of ['move', 'copy'] as const) {
    for (const key of ['missing', 'negative', 'leased']) {
      t.is(transfer(s, verb, place(key), place('to')), MISS)
    }
  }
  t.is(s.get('to'), 'here')
  t.true(s.fill('leased', token, 'filled'))
})

test('listeners hear of what was replaced, and of what went from its key, when both are done', (t) => {
  for (const length of [3, 100_000]) {
    const told: string[] = []
    const s = new Texts({
      onRemoved: (reason, db, key, value) => {
        told.push(`${reason} ${Buffer.from(key).toString()} of ${db}: ${value.length}`)
        t.true(s.open('to', 2))
        s.store.close()
      },
    })
    s.set('from', 'f'.repeat(length))
    s.set('to', 'old', 0, 2)
    t.is(transfer(s, 'move', place('from'), place('to', 2)), STORED)
    t.deepEqual(told.toSorted(), [`deleted from of 0: ${length}`, 'overwritten to of 2: 3'])
  }
})

test('where nobody may go and there is no room, both are as they were', (t) => {
  const s = new Texts({ maxMemory: 2 * MB, scope: 'none' })
  s.set('long', 'l'.repeat(200_000))
  s.set('short', 's'.repeat(2_000))
  for (let i = 0; s.set(`fill:${i}`, 'x'.repeat(3_000)) === STORED; i++);
  for (let i = 0; s.set(`few:${i}`, 'x') === STORED; i++);
  const name = 'n'.repeat(30_000)
  for (const key of ['long', 'short']) {
    const length = key === 'long' ? 200_000 : 2_000
    t.is(transfer(s, 'move', place(key), place(name)), OUT_OF_MEMORY)
    t.true(s.open(key))
    t.is(s.store.valueLength, length)
    s.store.close()
    t.false(s.has(name))
  }
})
