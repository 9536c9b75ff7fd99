import test from 'ava'
import { CHUNK_WORDS, layoutOf, memoryBytesMax, multiMemory } from '../../../server/store/memory.ts'
import { GENERATION } from '../../../server/store/pool.ts'
import { POLICIES } from '../../../server/store/policy.ts'
import type { StoreOptions } from '../../../server/store/store.ts'
import {
  checkInvariants,
  IN_PAGES,
  NO_ROOM,
  OUT_OF_MEMORY,
  STORED,
  Store,
} from '../../../server/store/store.ts'
import { dice } from './model.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024

test('options out of range are refused with one sentence', (t) => {
  const make = (options: Partial<StoreOptions>) => () =>
    new Store({ maxMemory: 8 * MB, seed: 1, ...options })
  t.throws(make({ maxMemory: 2 * MB - 1 }), { instanceOf: RangeError, message: /at least/ })
  t.notThrows(make({ maxMemory: 2 * MB }))
  t.throws(make({ maxMemory: memoryBytesMax() + 1 }), { instanceOf: RangeError })
  t.throws(make({ databases: 0 }), { instanceOf: RangeError })
  t.notThrows(make({ databases: 1 }))
  t.notThrows(make({ databases: 4_096, maxMemory: 64 * MB }))
  t.throws(make({ databases: 4_097 }), { instanceOf: RangeError })
})

test('an empty key and an empty value are a key and a value', (t) => {
  const s = new Texts()
  t.is(s.get(''), null)
  t.is(s.set('', ''), STORED)
  t.is(s.get(''), '')
  t.is(s.store.size(0), 1)
  t.true(s.delete(''))
  t.is(s.get(''), null)
})

test('a get without room says how much is needed, and counts neither as hit nor as get', (t) => {
  const s = new Texts()
  s.set('key', 'value')
  const name = Buffer.from('key')
  t.is(s.store.get(0, name, 0, 3, { reserve: () => -1 }), NO_ROOM)
  t.is(s.store.valueLength, 5)
  t.is(s.store.stats.gets, 0)
  t.is(s.get('key'), 'value')
  t.is(s.get('none'), null)
  t.is(s.store.stats.gets, 2)
  t.is(s.store.stats.hits, 1)
})

test('a value expires in the very millisecond, not one earlier', (t) => {
  const s = new Texts()
  s.store.now = 1_000
  s.set('key', 'value', 1_500)
  s.store.now = 1_499.9
  t.is(s.get('key'), 'value')
  s.store.now = 1_500
  t.is(s.store.size(0), 1, 'it is counted until it is removed')
  t.is(s.get('key'), null)
  t.is(s.store.size(0), 0)
  t.is(s.store.expiring(0), 0)
  t.is(s.store.stats.expiredLazily, 1)
})

test('a sweep removes what has expired, a part at a time, and nothing else', (t) => {
  const s = new Texts()
  for (let i = 0; i < 1_000; i++) s.set(`key:${i}`, 'v', i % 2 === 0 ? 50 : 0)
  t.is(s.store.expiring(0), 500)
  s.store.now = 49
  t.is(s.store.sweep(1e6), 0)
  s.store.now = 50
  let removed = 0
  let calls = 0
  for (; removed < 500 && calls < 10_000; calls++) removed += s.store.sweep(100)
  t.is(removed, 500)
  t.true(calls > 10)
  t.is(s.store.size(0), 500)
  t.is(s.store.stats.expiredActively, 500)
  checkInvariants(s.store)
})

test('a sweep counts rounds and what it looked at', (t) => {
  const s = new Texts()
  t.false(s.store.expires)
  for (let i = 0; i < 1_000; i++) s.set(`key:${i}`, 'v', i % 4 === 0 ? 50 : 1_000, i % 3)
  t.true(s.store.expires)
  // A call ends where the round does at the earliest, and may go a bucket beyond.
  while (s.store.sweepRounds === 0) s.store.sweep(1)
  t.is(s.store.sweepRounds, 1)
  t.is(s.store.sweptEntries, 1_000)
  t.is(s.store.sweptExpiring, 1_000)
  s.store.now = 50
  while (s.store.sweepRounds === 1) s.store.sweep(1)
  t.is(s.store.sweptEntries, 2_000)
  t.is(s.store.stats.expiredActively, 250)
  for (let db = 0; db < 3; db++) for (const key of s.keys(db)) s.set(key, 'v', 0, db)
  t.false(s.store.expires)
  const { sweptEntries, sweptExpiring } = s.store
  while (s.store.sweepRounds === 2) s.store.sweep(1)
  t.is(s.store.sweptEntries, sweptEntries, 'where none expires, none is looked at')
  s.set('key:1', 'v', 1_000)
  while (s.store.sweepRounds === 3) s.store.sweep(1)
  t.is(s.store.sweptExpiring, sweptExpiring + 1)
})

/** Chunks that somebody has, in bytes. */
function heldBytes({ store }: Texts): number {
  const { chunks, chunksFree, chunkBytes } = store.stats
  return (chunks - chunksFree) * chunkBytes
}

test('what a sweep removes makes room at once: dead bytes stay few, and chunks go back', (t) => {
  for (const share of [0.8, 1]) {
    const s = new Texts({ maxMemory: 16 * MB })
    const count = 60_000
    for (let i = 0; i < count; i++) s.set(`key:${i}`, 'v'.repeat(100), i < count * share ? 50 : 1e6)
    t.is(s.store.stats.evicted, 0)
    const heldBefore = heldBytes(s)
    s.store.now = 50
    const round = s.store.sweepRounds
    while (s.store.sweepRounds === round) s.store.sweep(256)
    const after = s.store.stats
    t.is(after.entries, count - count * share)
    const held = heldBytes(s)
    // A ring is brought together when a 4th is dead; what has one chunk is left alone.
    const alone = share === 1 ? 0 : after.buckets * after.chunkBytes
    t.true(after.deadBytes <= held / 4 + alone, `${after.deadBytes} of ${held} bytes are dead`)
    t.true(held <= (heldBefore * (1 - share) * 4) / 3 + 2 * alone, `${held} of ${heldBefore}`)
    for (let i = count * share; i < count; i++) if (!s.has(`key:${i}`)) t.fail(`key:${i}`)
    checkInvariants(s.store)
  }
})

test('deletes give room back: a 4th of the rings is dead at most, and all of it can be filled again', (t) => {
  const s = new Texts({ maxMemory: 8 * MB, scope: 'none' })
  const random = dice(5)
  const value = 'v'.repeat(120)
  const keys: string[] = []
  let next = 0
  const add = (): void => {
    const key = `key:${next++}`
    if (s.set(key, value.slice(random(120))) !== STORED) return t.fail(`${key} was refused`)
    keys.push(key)
  }
  while (s.store.usedBytes < 0.85 * 8 * MB) for (let i = 0; i < 100; i++) add()
  const full = keys.length
  const { buckets, chunkBytes } = s.store.stats
  while (keys.length > full / 5) {
    for (let i = 0; i < 1_000; i++) {
      const at = random(keys.length)
      if (!s.delete(keys[at]!)) return t.fail(`${keys[at]} was not there`)
      keys[at] = keys[keys.length - 1]!
      keys.pop()
      if (i % 3 === 0) add()
    }
    // What has one chunk is left alone.
    const most = heldBytes(s) / 4 + buckets * chunkBytes
    if (s.store.stats.deadBytes > most) return t.fail(`${s.store.stats.deadBytes} > ${most}`)
  }
  while (keys.length < full) add()
  t.is(s.store.stats.evicted, 0)
  t.is(s.store.size(0), full)
  for (const key of keys) if (!s.has(key)) t.fail(key)
  checkInvariants(s.store)
})

test('where memory is full, deletes and writes at random leave hardly any of it dead', (t) => {
  const s = new Texts({ maxMemory: 8 * MB })
  const random = dice(6)
  const value = 'v'.repeat(120)
  let most = 0
  for (let i = 0; i < 600_000; i++) {
    const key = `key:${random(250_000)}`
    if (i % 2 === 0) s.set(key, value.slice(random(120)))
    else s.delete(key)
    if (i < 400_000 || i % 10_000 !== 0) continue
    most = Math.max(most, s.store.stats.deadBytes / heldBytes(s))
  }
  t.true(s.store.stats.evicted > 1_000)
  // A 16th of each ring, and what died since the ring was last full.
  t.true(most > 0.03 && most < 0.07, `${most}`)
  checkInvariants(s.store)
})

test('the databases are apart, and a flush of one leaves the others', (t) => {
  const s = new Texts()
  for (let db = 0; db < 16; db++) s.set('key', `in ${db}`, 0, db)
  for (let db = 0; db < 16; db++) t.is(s.get('key', db), `in ${db}`)
  s.store.flush(3)
  t.is(s.get('key', 3), null)
  t.is(s.get('key', 4), 'in 4')
  t.deepEqual(s.keys(15), ['key'])
  s.store.flush(-1)
  for (let db = 0; db < 16; db++) t.is(s.store.size(db), 0)
})

test('more than 16 databases work the same', (t) => {
  const s = new Texts({ databases: 1_000 })
  s.set('key', 'high', 7, 999)
  s.set('key', 'low', 0, 15)
  t.is(s.get('key', 999), 'high')
  t.is(s.get('key', 16), null)
  t.is(s.store.size(999), 1)
  t.is(s.store.expiring(999), 1)
  t.deepEqual(s.keys(999), ['key'])
  checkInvariants(s.store)
})

test('a flush of all gives all chunks back', (t) => {
  const s = new Texts()
  const before = s.store.stats.usedBytes
  for (let i = 0; i < 3_000; i++) s.set(`key:${i}`, 'x'.repeat(i % 700))
  s.set('big', 'x'.repeat(2 * MB))
  t.true(s.store.stats.usedBytes > before + 2 * MB)
  s.store.flush(-1)
  t.is(s.store.stats.usedBytes, before)
  t.is(s.store.stats.bigValues, 0)
  checkInvariants(s.store)
})

/** How many keys a store can hold before the first is evicted; values of 20 to 140 bytes. */
function fillUp(s: Texts, set: (i: number) => void): number {
  let keys = 0
  while (s.store.stats.evicted === 0) for (let i = 0; i < 100; i++) set(keys++)
  s.store.flush(-1)
  return keys
}

const LENGTHS = [20, 60, 100, 140]

test('100 rewrites of a store filled to 90 % lose nothing', (t) => {
  const s = new Texts({ maxMemory: 2 * MB })
  const value = Buffer.alloc(140, 'v')
  const set = (i: number): number => s.set(`key:${i}`, value.subarray(0, LENGTHS[i % 4]))
  const keys = Math.floor(fillUp(s, set) * 0.9)
  for (let i = 0; i < keys; i++) set(i)
  const { usedBytes, evicted } = s.store.stats
  for (let round = 0; round < 100; round++) for (let i = 0; i < keys; i++) set(i)
  t.is(s.store.stats.evicted, evicted)
  t.is(s.store.size(0), keys)
  t.true(s.store.stats.inPlace >= 100 * keys)
  t.is(s.store.stats.usedBytes, usedBytes)
  checkInvariants(s.store)
})

test('rewrites with other lengths lose nothing at 80 %: dead bytes are won back', (t) => {
  const s = new Texts({ maxMemory: 8 * MB })
  const value = Buffer.alloc(140, 'v')
  const set = (i: number, round = 0): number =>
    s.set(`key:${i}`, value.subarray(0, LENGTHS[(i + round) % 4]))
  const keys = Math.floor(fillUp(s, set) * 0.8)
  const { evicted } = s.store.stats
  for (let round = 0; round < 24; round++) for (let i = 0; i < keys; i++) set(i, round)
  t.is(s.store.stats.evicted, evicted)
  t.is(s.store.size(0), keys)
  checkInvariants(s.store)
})

test('rewrites with other lengths at 90 % keep nineteen of twenty: little stays dead', (t) => {
  const s = new Texts({ maxMemory: 4 * MB })
  const value = Buffer.alloc(140, 'v')
  const set = (i: number, round = 0): number =>
    s.set(`key:${i}`, value.subarray(0, LENGTHS[(i + round) % 4]))
  const keys = Math.floor(fillUp(s, set) * 0.9)
  for (let round = 0; round < 12; round++) for (let i = 0; i < keys; i++) set(i, round)
  t.true(s.store.size(0) > 0.95 * keys, `${s.store.size(0)} of ${keys}`)
  checkInvariants(s.store)
})

test('memory is never more than maxmemory, and a full store keeps the newest', (t) => {
  const s = new Texts({ maxMemory: 3 * MB, policy: 'fifo' })
  for (let i = 0; i < 60_000; i++) {
    s.set(`key:${i}`, `value ${i}`.padEnd(100, '.'))
    if (i % 5_000 === 0) t.true(s.store.stats.usedBytes <= 3 * MB)
  }
  checkInvariants(s.store)
  const held = s.store.size(0)
  t.true(held > 15_000, `${held} of 3 MB`)
  t.is(held + s.store.stats.evicted, 60_000)
  for (let i = 59_000; i < 60_000; i++) if (s.get(`key:${i}`) === null) t.fail('a new one is lost')
  t.is(s.get('key:0'), null)
})

test('a value of half of maxmemory is taken, one byte more is not', (t) => {
  const s = new Texts({ maxMemory: 4 * MB })
  // Half of the chunks is a little less than half of maxmemory.
  const longest = Math.floor(s.store.stats.chunks / 2) * 512
  t.true(longest > 1.5 * MB)
  t.is(s.set('key', Buffer.alloc(longest + 1)), OUT_OF_MEMORY)
  t.false(s.has('key'))
  t.is(s.set('key', Buffer.alloc(longest, 'x')), STORED)
  t.is(s.set('key', Buffer.alloc(2 * MB + 1)), OUT_OF_MEMORY)
  t.is(s.set('key', Buffer.alloc(longest + 1)), OUT_OF_MEMORY)
  t.true(s.has('key'), 'a refused set leaves the value')
  t.is(s.store.stats.evicted, 0, 'and nobody went for it')
  s.open('key')
  t.is(s.store.append(Buffer.alloc(2 * MB), 0, 2 * MB), OUT_OF_MEMORY)
  t.is(s.store.setRange(600 * MB, Buffer.from('x'), 0, 1), OUT_OF_MEMORY)
  t.is(s.store.valueLength, longest)
  s.store.close()
  checkInvariants(s.store)
})

test('a store full of values with pages takes short ones, under every policy', (t) => {
  for (const policy of ['s3a', 's3-fifo', 'fifo', 'lru', 'second-chance'] as const) {
    const s = new Texts({ maxMemory: 2 * MB, policy })
    for (let i = 0; i < 5_000; i++) t.is(s.set(`big:${i}`, 'v'.repeat(1_000)), STORED)
    for (let i = 0; i < 1_000; i++) {
      t.is(s.set(`short:${i}`, 'v'), STORED, `${policy}: ${i}`)
      t.is(s.get(`short:${i}`), 'v')
    }
    checkInvariants(s.store)
  }
})

test('big values win their pages from small ones, and the other way round', (t) => {
  const s = new Texts({ maxMemory: 4 * MB })
  for (let i = 0; i < 40_000; i++) s.set(`key:${i}`, 'v'.repeat(60))
  const small = s.store.size(0)
  for (let i = 0; i < 20; i++) t.is(s.set(`big:${i}`, Buffer.alloc(300_000, i)), STORED)
  checkInvariants(s.store)
  t.true(s.store.size(0) < small)
  t.true(s.store.stats.bigValues >= 1)
  for (let i = 40_000; i < 80_000; i++) s.set(`key:${i}`, 'v'.repeat(60))
  checkInvariants(s.store)
  t.true(s.store.size(0) > small / 4)
})

test('an append that needs pages does not win them from the value it appends to', (t) => {
  // All keys in one bucket: nobody else has anything to give.
  const s = new Texts({ maxMemory: 2 * MB, hash: () => 0x12345600 })
  const value = Buffer.alloc(500_000, 'oldest')
  t.is(s.set('oldest', value), STORED)
  for (let i = 0; i < 3; i++) s.set(`newer:${i}`, Buffer.alloc(200_000))
  t.true(s.has('oldest'))
  s.open('oldest')
  const result = s.store.append(value, 0, 400_000)
  t.is(result, OUT_OF_MEMORY)
  t.is(s.store.valueLength, value.length)
  const pages = s.store.pin()
  s.store.close()
  t.true(pages.toBuffer().equals(value))
  pages.release()
  checkInvariants(s.store)
})

test('entries of about half a chunk are what they were set to, under every policy', (t) => {
  for (const policy of POLICIES) {
    for (const keyShare of [0.2, 0.3]) {
      const s = new Texts({ maxMemory: 16 * MB, policy })
      const half = s.store.stats.chunkBytes / 2
      const keyLength = Math.floor(2 * half * keyShare)
      for (let bytes = half - 60; bytes <= half + 4; bytes++) {
        for (const expireAt of [0, 1e12]) {
          const key = `${bytes}:${expireAt}`.padEnd(keyLength, 'k')
          const value = 'v'.repeat(bytes - keyLength)
          t.is(s.set(key, value, expireAt), STORED)
          t.is(s.get(key), value)
        }
      }
      checkInvariants(s.store)
    }
  }
})

test('a value up to 64 KB is copied, a longer one is in pages', (t) => {
  for (const maxMemory of [8 * MB, 1024 * MB]) {
    const s = new Texts({ maxMemory })
    const value = Buffer.alloc(65_537, 'abc')
    s.set('copied', value.subarray(0, 65_536))
    t.is(s.get('copied'), value.toString('latin1', 0, 65_536))
    s.set('paged', value)
    const name = Buffer.from('paged')
    t.is(s.store.get(0, name, 0, name.length, s.sink), IN_PAGES)
    s.open('copied')
    t.false(s.store.inPages)
    s.store.close()
    s.open('paged')
    t.true(s.store.inPages)
    const pages = s.store.pin()
    s.store.close()
    t.true(pages.toBuffer().equals(value))
    pages.release()
  }
})

test('a pinned value stays what it was through every change, and is freed by its last reader', (t) => {
  const value = Buffer.from(Uint8Array.from({ length: 200_003 }, (_, i) => i * 3 + (i >> 8)))
  const changes: Record<string, (s: Texts) => void> = {
    set: (s) => s.set('key', 'other'),
    delete: (s) => s.delete('key'),
    flush: (s) => s.store.flush(-1),
    'flush of its database': (s) => s.store.flush(0),
    setRange: (s) => s.store.setRange(1_000, Buffer.alloc(150_000, 'z'), 0, 150_000),
    'setRange at the end': (s) => s.store.setRange(200_000, Buffer.alloc(10, 'z'), 0, 10),
    append: (s) => s.store.append(Buffer.alloc(100_000, 'z'), 0, 100_000),
    setExpiry: (s) => s.store.setExpiry(1),
  }
  for (const maxMemory of [8 * MB, 64 * MB, 1024 * MB]) {
    for (const [title, change] of Object.entries(changes)) {
      const s = new Texts({ maxMemory })
      const empty = s.store.stats.usedBytes
      s.set('key', value)
      s.open('key')
      const readers = [s.store.pin(), s.store.pin()]
      const needsOpen = /setRange|append|setExpiry/.test(title)
      if (!needsOpen) s.store.close()
      change(s)
      if (needsOpen) s.store.close()
      for (let i = 0; i < 50; i++) s.set(`more:${i}`, Buffer.alloc(3_000, 'm'))
      for (const reader of readers) {
        t.true(reader.toBuffer().equals(value), title)
        checkInvariants(s.store)
        reader.release()
      }
      s.store.flush(-1)
      t.is(s.store.stats.pinnedBytes, 0, title)
      t.is(s.store.stats.usedBytes, empty, title)
      checkInvariants(s.store)
    }
  }
})

test('a pinned value whose expiry was removed keeps its last page when it is appended to', (t) => {
  // Without the 8 bytes of the expiry some tails would fit in the ring again.
  const value = Buffer.alloc(66_600, 'pinned')
  for (let length = 66_048; length < 66_560; length += 3) {
    const s = new Texts({ maxMemory: 2 * MB })
    s.set('key', value.subarray(0, length), 5)
    s.open('key')
    t.is(s.store.setExpiry(0), STORED)
    const pages = s.store.pin()
    t.is(s.store.append(Buffer.from('!'), 0, 1), STORED)
    s.store.close()
    s.set('other', Buffer.alloc(3_000, 'other'))
    if (!pages.toBuffer().equals(value.subarray(0, length))) t.fail(`${length} bytes`)
    pages.release()
    checkInvariants(s.store)
  }
  t.pass()
})

test('a replaced value that is being sent counts as pinned', (t) => {
  const s = new Texts()
  s.set('key', Buffer.alloc(100_000))
  s.open('key')
  const pages = s.store.pin()
  s.store.close()
  t.is(s.store.stats.pinnedBytes, 0)
  s.set('key', 'short')
  t.is(s.store.stats.pinnedBytes, 195 * 512)
  pages.release()
  t.is(s.store.stats.pinnedBytes, 0)
})

test('64 keys of one hash are kept, the 65th takes the place of the oldest', (t) => {
  const s = new Texts({ hash: () => 0x00ff0000 })
  for (let i = 0; i < 64; i++) s.set(`key:${i}`, `${i}`)
  t.is(s.store.stats.collisionsLost, 0)
  for (let i = 0; i < 64; i++) t.is(s.get(`key:${i}`), `${i}`)
  s.set('key:64', '64')
  t.is(s.store.stats.collisionsLost, 1)
  t.is(s.get('key:0'), null)
  for (let i = 1; i <= 64; i++) t.is(s.get(`key:${i}`), `${i}`)
  s.set('key:5', 'again') // no new one, so nobody goes
  t.is(s.store.size(0), 64)
  checkInvariants(s.store)
})

test('a lease is one for all who ask, and nobody sees it', (t) => {
  const s = new Texts()
  t.false(s.open('key'))
  const token = s.store.lease()
  t.true(token > 0 && s.store.leasePlanted)
  t.is(s.store.lease(), token)
  t.false(s.store.leasePlanted)
  s.store.close()
  t.is(s.lease('key'), token)
  t.false(s.has('key'))
  t.is(s.get('key'), null)
  t.is(s.store.size(0), 0)
  t.is(s.store.stats.entries, 0)
  t.deepEqual(s.keys(), [])
  t.is(s.store.randomKey(0, 5, s.sink), -1)
  t.not(s.lease('other'), token)
  checkInvariants(s.store)
})

test('a fill needs the very lease, and takes it', (t) => {
  const s = new Texts()
  const token = s.lease('key')
  t.false(s.fill('key', token + 1, 'wrong'))
  t.false(s.fill('other', token, 'wrong'))
  t.true(s.fill('key', token, 'loaded'))
  t.is(s.get('key'), 'loaded')
  t.false(s.fill('key', token, 'twice'))
  t.is(s.get('key'), 'loaded')
})

test('a fill with an expiry and with a value in pages', (t) => {
  const s = new Texts()
  const value = Buffer.alloc(300_000, 'big')
  t.true(s.store.fill(0, Buffer.from('key'), s.lease('key'), value, 500))
  s.open('key')
  t.is(s.store.expireAt, 500)
  const pages = s.store.pin()
  s.store.close()
  t.true(pages.toBuffer().equals(value))
  pages.release()
})

test('no token of a process before is one of its own', (t) => {
  const store = (tokenSeed: number): Store => new Store({ maxMemory: 4 * MB, seed: 1, tokenSeed })
  const tokens = new Set<number>()
  for (const tokenSeed of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
    const own = store(tokenSeed)
    for (let i = 0; i < 10; i++) {
      const key = Buffer.from(`key ${i}`)
      own.open(0, key, 0, key.length)
      tokens.add(own.lease())
      own.close()
    }
  }
  t.is(tokens.size, 50)
  t.true([...tokens].every((token) => token > 0 && Number.isSafeInteger(token)))
})

test('a fill with a value that memory cannot hold drops the lease', (t) => {
  const s = new Texts()
  const token = s.lease('key')
  t.false(s.store.fill(0, Buffer.from('key'), token, Buffer.alloc(5 * MB), 0))
  t.not(s.lease('key'), token)
  checkInvariants(s.store)
})

test('a value that memory cannot hold ends the older one beside its lease', (t) => {
  const s = new Texts()
  s.set('key', 'older')
  s.open('key')
  const token = s.store.leaseBeside()
  s.store.close()
  t.false(s.store.fill(0, Buffer.from('key'), token + 1, Buffer.alloc(5 * MB), 0))
  t.is(s.get('key'), 'older')
  t.false(s.store.fill(0, Buffer.from('key'), token, Buffer.alloc(5 * MB), 0))
  t.is(s.get('key'), null)
  checkInvariants(s.store)
})

test('every write voids the lease, so a load that raced with it changes nothing', (t) => {
  const bytes = Buffer.from('written')
  const writes: Record<string, (s: Texts) => unknown> = {
    set: (s) => s.set('key', 'written'),
    'set of pages': (s) => s.set('key', Buffer.alloc(90_000)),
    put: (s) => (s.open('key'), s.store.put(bytes, 0, 7, 0), s.store.close()),
    append: (s) => (s.open('key'), s.store.append(bytes, 0, 7), s.store.close()),
    setRange: (s) => (s.open('key'), s.store.setRange(3, bytes, 0, 7), s.store.close()),
    remove: (s) => (s.open('key'), s.store.remove(), s.store.close()),
    delete: (s) => s.delete('key'),
    flush: (s) => s.store.flush(0),
    'flush of all': (s) => s.store.flush(-1),
    dropLease: (s) => s.store.dropLease(0, Buffer.from('key'), s.lease('key')),
  }
  for (const [title, write] of Object.entries(writes)) {
    const s = new Texts()
    const token = s.lease('key')
    write(s)
    const after = s.has('key')
    t.false(s.fill('key', token, 'loaded'), title)
    t.is(s.has('key'), after, title)
    if (!after) t.not(s.lease('key'), token, title)
    checkInvariants(s.store)
  }
})

test('deleting a lease counts no key', (t) => {
  const s = new Texts()
  s.lease('key')
  t.false(s.delete('key'))
  s.lease('key')
  s.open('key')
  t.false(s.store.remove())
  s.store.close()
})

test('a lease of a key that has pages of its own', (t) => {
  const s = new Texts()
  const key = 'k'.repeat(5_000)
  const token = s.lease(key)
  t.is(s.lease(key), token)
  t.true(s.fill(key, token, 'loaded'))
  t.is(s.get(key), 'loaded')
  s.delete(key)
  t.is(s.store.stats.bigBytes, 0)
  checkInvariants(s.store)
})

test('a full scan meets what stays, through growth, shrinking and moves', (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const s = new Texts({ maxMemory: 16 * MB, seed })
    const roll = dice(seed)
    for (let i = 0; i < 4_000; i++) s.set(`stays:${i}`, 'v')
    const seen = new Map<string, number>()
    let cursor = 0
    do {
      cursor = s.store.scan(0, cursor, 1 + roll(300), (bytes, pos, length) => {
        const key = Buffer.from(bytes.subarray(pos, pos + length)).toString()
        seen.set(key, (seen.get(key) ?? 0) + 1)
      })
      for (let i = 0; i < 200; i++) {
        const key = `comes:${roll(8_000)}`
        if (roll(2) === 0) s.set(key, 'x'.repeat(roll(100)))
        else s.delete(key)
        if (i % 10 === 0) s.set(`stays:${roll(4_000)}`, 'v'.repeat(roll(60)))
      }
    } while (cursor !== 0)
    for (let i = 0; i < 4_000; i++) {
      if (seen.get(`stays:${i}`) !== 1) t.fail(`stays:${i} was met ${seen.get(`stays:${i}`)} times`)
    }
  }
  t.pass()
})

test('a scan shows a key longer than 64 KB whole', (t) => {
  const s = new Texts({ maxMemory: 64 * MB })
  const key = Buffer.alloc(100_001, 'long').toString()
  s.set(key, 'v')
  t.deepEqual(s.keys(), [key])
})

test('a random key is one of the database, and every key has its chance', (t) => {
  const s = new Texts()
  t.is(s.store.randomKey(0, 0, s.sink), -1)
  for (let i = 0; i < 20; i++) s.set(`key:${i}`, 'v', 0, i % 2)
  s.set('expired', 'v', 1)
  s.store.now = 2
  const roll = dice(1)
  const seen = new Set<string>()
  for (let i = 0; i < 2_000; i++) {
    const length = s.store.randomKey(1, roll(2 ** 32), s.sink)
    const from = s.store.io.replies[0]!
    seen.add(Buffer.from(s.store.io.bytes.subarray(from, from + length)).toString())
  }
  t.deepEqual([...seen].sort(), Array.from({ length: 10 }, (_, i) => `key:${2 * i + 1}`).sort())
  t.is(s.store.randomKey(1, 7, { reserve: () => -1 }), NO_ROOM)
})

test('a record left open, and a verb without an open record, are mistakes', (t) => {
  const s = new Texts()
  t.throws(() => s.store.put(Buffer.from('x'), 0, 1, 0), { message: /no record is open/ })
  s.open('key')
  t.throws(() => s.open('other'), { message: /still open/ })
  t.throws(() => s.get('other'), { message: /still open/ })
  t.throws(() => s.store.pin(), { message: /without pages/ })
  t.throws(() => s.store.read(0, 1, 0), { message: /outside/ })
  t.throws(() => s.store.setExpiry(1), { message: /no value is open/ })
  s.store.close()
  t.throws(() => s.get('key', 16), { message: /no such database/ })
})

test('a store opened on the memories of another sees and changes the same', (t) => {
  if (!multiMemory) {
    t.pass('Node 20 has one thread')
    return
  }
  const first = new Texts()
  const second = new Texts({ attach: first.store.shared })
  first.set('key', 'from the first')
  t.is(second.get('key'), 'from the first')
  for (let i = 0; i < 20_000; i++) (i % 2 === 0 ? first : second).set(`key:${i}`, 'v'.repeat(300))
  t.is(first.store.size(0), second.store.size(0))
  t.deepEqual(first.store.stats, second.store.stats)
  t.not(first.lease('a'), second.lease('b'))
  checkInvariants(first.store)
  checkInvariants(second.store)
})

test('the generation wraps at 2^24 in a store that is in use', (t) => {
  // Whatever is written stays for a while and then goes, so that all chunks have their turn.
  const s = new Texts({ maxMemory: 2 * MB, policy: 'fifo' })
  for (let i = 0; i < 20_000; i++) s.set(`key:${i}`, 'v'.repeat(200))
  const { chunks, chunkShift, chunkTable } = layoutOf({ maxMemory: 2 * MB, databases: 16 })
  const words = new Int32Array(s.store.shared[0]!.buffer)
  const rows = Array.from({ length: chunks }, (_, i) => chunkTable + (i + 1) * CHUNK_WORDS)
  t.is(chunkShift, 9)
  for (const row of rows) words[row + GENERATION] = 0xffffff - (row & 3)
  for (let i = 0; i < 60_000; i++) {
    s.set(`key:${i}`, `${i}`.padEnd(200, 'w'))
    if (i % 7 === 0 && s.get(`key:${i}`) !== `${i}`.padEnd(200, 'w')) t.fail('lost at once')
  }
  const generations = rows.map((row) => words[row + GENERATION]!)
  t.true(generations.filter((generation) => generation < 1_000).length > 1_000)
  t.false(generations.includes(0))
  checkInvariants(s.store)
})
