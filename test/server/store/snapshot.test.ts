import test, { type ExecutionContext } from 'ava'
import { Block, IMAGE, ITEMS } from '../../../server/store/block.ts'
import { xxh32 } from '../../../server/store/hash.ts'
import { multiMemory } from '../../../server/store/memory.ts'
import { BlockSink, blocksOf } from '../../../server/store/snapshot.ts'
import type { Policy, StoreOptions } from '../../../server/store/store.ts'
import {
  ABSENT,
  checkInvariants,
  FRESH,
  NEGATIVE,
  STORED,
  Store,
  WATCHED,
} from '../../../server/store/store.ts'
import { shareGroupUsage } from '../../../server/store/usage.ts'
import { dice } from './model.ts'

const MB = 1024 * 1024
const START = 64
const NOW = 1_000_000

function open(options: Partial<StoreOptions> = {}): Store {
  const store = new Store({ maxMemory: 8 * MB, seed: 7, ...options })
  store.now = NOW
  return store
}

function set(store: Store, key: string, value: Uint8Array, expireAt = 0, db = 0): number {
  const name = Buffer.from(key)
  const bytes = Buffer.concat([name, value])
  return store.set(db, bytes, 0, name.length, name.length, value.length, expireAt)
}

interface Seen {
  readonly value: Buffer
  readonly expireAt: number
  readonly frequency: number
}

/** What is under a key, without touching it. */
function look(store: Store, db: number, key: Uint8Array): Seen | null {
  if (!store.peek(db, key, 0, key.length)) {
    store.close()
    return null
  }
  const { valueLength, expireAt, frequency } = store
  let value: Buffer
  if (store.inPages) {
    const pages = store.pin()
    value = pages.toBuffer()
    pages.release()
  } else {
    store.read(0, valueLength, store.io.scratch)
    value = Buffer.from(store.io.bytes.slice(store.io.scratch, store.io.scratch + valueLength))
  }
  store.close()
  return { value, expireAt, frequency }
}

/** All that is in a store, by database and key. */
function contents(store: Store): Map<string, Seen> {
  const keys: [number, Buffer][] = []
  for (let db = 0; db < store.shape.databases; db++) {
    let cursor = 0
    do {
      cursor = store.scan(db, cursor, 1000, (bytes, pos, length) => {
        keys.push([db, Buffer.from(bytes.subarray(pos, pos + length))])
      })
    } while (cursor !== 0)
  }
  return new Map(
    keys.map(([db, key]) => [`${db}:${key.toString('latin1')}`, look(store, db, key)!]),
  )
}

interface Copied {
  readonly sink: BlockSink
  readonly kinds: readonly number[]
}

function drain(steps: Generator): void {
  while (steps.next().done !== true);
}

/** Blocks of one store into another, as if by a file. */
function copy(from: Store, to: Store, { shift = 0 } = {}): Copied {
  const sink = new BlockSink(to, from.shape, shift)
  const kinds: number[] = []
  for (const { block } of blocksOf(from, START)) {
    const other = new Block(START)
    other.begin(block.kind, block.bucket)
    other.room(block.end - START)
    other.bytes.set(block.bytes.subarray(START, block.end), START)
    other.end = block.end
    kinds.push(block.kind)
    drain(sink.load(other))
  }
  sink.end()
  return { sink, kinds }
}

/** Values of all lengths, wide and narrow entries, long keys, expiries, several databases. */
function fill(store: Store, sets: number, seed = 1, valueMax = 3_000): void {
  const roll = dice(seed)
  const { databases } = store.shape
  for (let i = 0; i < sets; i++) {
    const id = roll(sets)
    const isLongKey = id % 41 === 0
    const key = isLongKey ? `long ${id} ${'k'.repeat(300 + (id % 700))}` : `key ${id}`
    const db = id % 13 === 0 ? id % databases : 0
    const length = id % 97 === 0 ? roll(valueMax * 4) : roll(id % 5 === 0 ? valueMax : 60)
    const value = Buffer.alloc(length, `${id} ${i} `)
    const expireAt = id % 7 === 0 ? NOW + 1 + roll(1_000_000) : 0
    set(store, key, value, expireAt, db)
    const name = Buffer.from(key)
    if (i % 3 === 0) store.has(db, name, 0, name.length)
    if (i % 29 === 0) store.delete(db, name, 0, name.length)
  }
}

function same(t: ExecutionContext, a: Store, b: Store, withFrequency = true): void {
  const [left, right] = [contents(a), contents(b)]
  t.is(right.size, left.size)
  for (const [key, seen] of left) {
    const other = right.get(key)
    if (other === undefined) {
      t.fail(`lost: ${key.slice(0, 40)}`)
      return
    }
    const differs =
      !other.value.equals(seen.value) ||
      other.expireAt !== seen.expireAt ||
      (withFrequency && other.frequency !== seen.frequency)
    if (differs) {
      t.fail(`differs: ${key.slice(0, 40)}`)
      return
    }
  }
  t.pass()
}

const shapes: Readonly<Record<string, Partial<StoreOptions>>> = {
  'of the least size': { maxMemory: 2 * MB },
  'of 8 MB': {},
  'of 64 MB': { maxMemory: 64 * MB },
  'of one bucket': { maxMemory: MB, buckets: 1 },
  'with one database': { databases: 1 },
  'with 40 databases': { databases: 40 },
  's3-fifo': { policy: 's3-fifo' },
  fifo: { policy: 'fifo' },
}

for (const [name, shape] of Object.entries(shapes)) {
  for (const sets of [0, 1, 300, 6_000, 40_000]) {
    test(`images of a store ${name} after ${sets} sets are that store again`, (t) => {
      const store = open(shape)
      fill(store, sets)
      const other = open(shape)
      const before = store.stats
      const { sink } = copy(store, other)
      checkInvariants(other)
      same(t, store, other)
      t.is(sink.lost, 0)
      t.is(sink.expired, 0)
      t.is(sink.replayed, 0)
      t.is(sink.loaded, before.entries)
      t.is(other.stats.bigValues, before.bigValues)
      checkInvariants(store)
      // And it goes on working, evicting and all.
      fill(other, 5_000, 2)
      checkInvariants(other)
    })
  }
}

if (multiMemory) {
  test('images of a store of several arenas are that store again', (t) => {
    const shape = { maxMemory: 24 * MB, arenaShareMax: 7 * MB }
    const store = open(shape)
    fill(store, 20_000)
    const other = open(shape)
    copy(store, other)
    checkInvariants(other)
    same(t, store, other)
    const single = open({ maxMemory: 24 * MB })
    const { sink } = copy(store, single)
    checkInvariants(single)
    t.is(sink.loaded + sink.lost, store.stats.entries)
  })
}

test('what is evicted next is the same after a snapshot', (t) => {
  const store = open({ maxMemory: 4 * MB })
  fill(store, 30_000, 3, 300)
  const other = open({ maxMemory: 4 * MB })
  const { sink } = copy(store, other)
  t.is(sink.replayed, 0)
  // Ghosts are not kept, and the order of chunks in pools is another, so it is nearly the same.
  const [left, right] = [store, other].map((each) => {
    fill(each, 3_000, 4, 300)
    return contents(each)
  }) as [Map<string, Seen>, Map<string, Seen>]
  const kept = [...left.keys()].filter((key) => right.has(key)).length
  t.true(kept > 0.97 * left.size, `${kept} of ${left.size}`)
})

const others: Readonly<Record<string, Partial<StoreOptions>>> = {
  'a larger chunk size': { maxMemory: 64 * MB },
  'more memory of the same chunk size': { maxMemory: 9 * MB },
  'another number of buckets': { maxMemory: 64 * MB, buckets: 64 },
  'another seed': { maxMemory: 64 * MB, seed: 8 },
  'another hash': { maxMemory: 64 * MB, hash: (bytes, pos, length) => bytes[pos + length - 1]! },
  lru: { maxMemory: 64 * MB, policy: 'lru' },
  'second-chance': { maxMemory: 64 * MB, policy: 'second-chance' },
}
for (const [name, shape] of Object.entries(others)) {
  test(`a snapshot loads into a store with ${name}`, (t) => {
    const store = open()
    fill(store, 3_000, 5, 1_000)
    const other = open(shape)
    const { sink } = copy(store, other)
    checkInvariants(other)
    const keepsAll = shape.hash === undefined
    if (keepsAll) same(t, store, other, false)
    t.is(sink.loaded, store.stats.entries)
    t.is(sink.lost, 0)
    t.is(sink.replayed > 0, name !== 'more memory of the same chunk size')
    const policy = other.shape.trailer === 0
    if (keepsAll && policy) {
      for (const [key, { frequency }] of contents(store)) {
        if (contents(other).get(key)!.frequency < frequency) return t.fail(key)
        break
      }
    }
    return t.pass()
  })
}

test('a snapshot loads into a store with less memory: what it holds are newest and main', (t) => {
  const store = open({ maxMemory: 8 * MB })
  fill(store, 60_000, 6, 200)
  const other = open({ maxMemory: 3 * MB })
  const { sink } = copy(store, other)
  checkInvariants(other)
  t.false(sink.fitsImages)
  t.true(other.stats.evicted > 0)
  const left = contents(store)
  const right = contents(other)
  t.true(right.size > 1_000)
  for (const [key, seen] of right) t.true(left.get(key)!.value.equals(seen.value))
})

for (const policy of ['lru', 'second-chance'] as const satisfies readonly Policy[]) {
  test(`a store of the policy ${policy} goes by items, in its order`, (t) => {
    const store = open({ policy, maxMemory: 4 * MB })
    fill(store, 30_000, 7, 300)
    const other = open({ policy, maxMemory: 4 * MB })
    const { kinds } = copy(store, other)
    t.deepEqual([...new Set(kinds)], [ITEMS])
    checkInvariants(other)
    const left = contents(store)
    const right = contents(other)
    t.true(right.size > 0.9 * left.size, `${right.size} of ${left.size}`)
    for (const [key, seen] of right) t.true(left.get(key)!.value.equals(seen.value))
  })
}

test('lru goes on where it stopped', (t) => {
  const shape = { policy: 'lru', maxMemory: MB, buckets: 1 } as const
  const store = open(shape)
  for (let i = 0; i < 1_000; i++) set(store, `${i}`, Buffer.alloc(500))
  const first = Buffer.from('0')
  store.open(0, first, 0, 1)
  store.close()
  const other = open(shape)
  copy(store, other)
  for (let i = 1_000; other.stats.evicted === 0; i++) set(other, `${i}`, Buffer.alloc(500))
  t.true(other.has(0, first, 0, 1))
  t.false(other.has(0, Buffer.from('1'), 0, 1))
})

test('a bucket that is too large for an image goes by items, slice by slice', (t) => {
  const shape = { maxMemory: 16 * MB, buckets: 2 }
  const store = open({ ...shape, imageBytesMax: 1 })
  fill(store, 30_000, 8)
  const other = open({ maxMemory: 40 * MB, buckets: 2 })
  const { kinds, sink } = copy(store, other)
  t.deepEqual([...new Set(kinds)], [ITEMS])
  t.true(kinds.length > 8, `${kinds.length}`)
  checkInvariants(other)
  t.is(sink.loaded, store.stats.entries)
  same(t, store, other, false)
})

test('an image takes no bucket that is larger than said', (t) => {
  const store = open({ maxMemory: 4 * MB, buckets: 2 })
  fill(store, 3_000)
  let number = 0
  const image = new Block(START)
  while (store.transplants.captureImage(number, image, []) === 0) number++
  const bytes = image.end - START
  const limits = [bytes / 2, 1e9].map((imageBytesMax) => {
    const other = open({ maxMemory: 4 * MB, buckets: 2, imageBytesMax })
    fill(other, 3_000)
    return other.transplants.hasImage(number)
  })
  t.deepEqual(limits, [false, true])
})

test('values over many pages and keys in pages come back, in pieces', (t) => {
  const store = open({ maxMemory: 64 * MB })
  const long = Buffer.from(Array.from({ length: 5 * MB + 13 }, (_, i) => (i * 7 + (i >> 11)) & 255))
  const longKey = 'k'.repeat(1_500_000)
  t.is(set(store, 'big', long, NOW + 5_000), STORED)
  t.is(set(store, longKey, Buffer.from('short')), STORED)
  t.is(set(store, `${longKey}2`, long, 0, 3), STORED)
  t.is(set(store, 'empty', Buffer.alloc(0)), STORED)
  t.is(set(store, `${longKey}3`, Buffer.alloc(0)), STORED)
  const other = open({ maxMemory: 64 * MB })
  const { sink } = copy(store, other)
  t.is(sink.loaded, 5)
  same(t, store, other)
  checkInvariants(other)
  t.is(store.stats.pinnedBytes, 0)
})

test('big values keep their list and their order', (t) => {
  const store = open({ maxMemory: 32 * MB })
  for (let i = 0; i < 60; i++) {
    set(store, `${i}`, Buffer.alloc(100_000, i))
    const early = Buffer.from(`${i - 30}`)
    if (i % 3 === 0) store.has(0, early, 0, early.length)
  }
  const other = open({ maxMemory: 32 * MB })
  copy(store, other)
  checkInvariants(other)
  same(t, store, other)
  const [left, right] = [store, other].map((each) => {
    for (let i = 100; i < 350; i++) set(each, `${i}`, Buffer.alloc(100_000, i))
    return [...contents(each).keys()].filter((key) => key.length < 5)
  }) as [string[], string[]]
  const kept = left.filter((key) => right.includes(key)).length
  t.true(kept >= 0.8 * left.length, `${kept} of ${left.length}`)
})

test('pins are given back when a snapshot is left off', (t) => {
  const store = open({ maxMemory: 32 * MB, buckets: 1 })
  for (let i = 0; i < 20; i++) set(store, `${i}`, Buffer.alloc(500_000, i))
  const blocks = blocksOf(store, START)
  blocks.next()
  for (let i = 0; i < 20; i++) set(store, `${i}`, Buffer.alloc(10))
  t.true(store.stats.pinnedBytes > 0)
  blocks.return()
  t.is(store.stats.pinnedBytes, 0)
  checkInvariants(store)
})

test('leases are not in a snapshot', (t) => {
  const store = open()
  const names = Array.from({ length: 300 }, (_, i) => Buffer.from(`lease ${i}`))
  for (const [i, name] of names.entries()) {
    store.open(0, name, 0, name.length)
    store.lease()
    store.close()
    set(store, `value ${i}`, Buffer.from('1'))
  }
  const longKey = Buffer.alloc(20_000, 'l')
  store.open(0, longKey, 0, longKey.length)
  store.lease()
  store.close()
  for (const shape of [{}, { maxMemory: 64 * MB }]) {
    const other = open(shape)
    const { sink } = copy(store, other)
    checkInvariants(other)
    t.is(sink.loaded, 300)
    t.is(other.stats.entries, 300)
    t.is(other.stats.indexUsed, 300)
  }
})

for (const shape of [{}, { maxMemory: 64 * MB }]) {
  test(`expiries are shifted, and what is over is dropped: ${JSON.stringify(shape)}`, (t) => {
    const store = open()
    set(store, 'over', Buffer.from('1'), NOW + 1_999)
    set(store, 'just over', Buffer.from('1'), NOW + 2_000)
    set(store, 'in a millisecond', Buffer.from('1'), NOW + 2_001)
    set(store, 'never', Buffer.from('1'))
    set(store, 'big', Buffer.alloc(300_000), NOW + 9_000)
    set(store, 'big and over', Buffer.alloc(300_000), NOW + 2_000)
    const other = open(shape)
    const { sink } = copy(store, other, { shift: -2_000 })
    checkInvariants(other)
    t.is(sink.expired, 3)
    t.is(sink.loaded, 3)
    const found = contents(other)
    t.deepEqual([...found.keys()].sort(), ['0:big', '0:in a millisecond', '0:never'])
    t.is(found.get('0:in a millisecond')!.expireAt, NOW + 1)
    t.is(found.get('0:never')!.expireAt, 0)
    t.is(found.get('0:big')!.expireAt, NOW + 7_000)
    t.is(other.expiring(0), 2)
  })
}

test('entries of databases that are not there are lost and counted', (t) => {
  const store = open({ databases: 20 })
  for (let db = 0; db < 20; db++) set(store, 'key', Buffer.from(`${db}`), 0, db)
  set(store, 'big', Buffer.alloc(200_000), 0, 19)
  const other = open({ databases: 4 })
  const { sink } = copy(store, other)
  t.is(sink.loaded, 4)
  t.is(sink.lost, 17)
  checkInvariants(other)
})

test('while a snapshot is taken a key has a value that it had meanwhile', (t) => {
  const store = open({ maxMemory: 16 * MB })
  const history = new Map<string, Set<string>>()
  const roll = dice(9)
  const write = (): void => {
    const id = roll(2_000)
    const length = id % 50 === 0 ? 60_000 : roll(200)
    const value = Buffer.alloc(length, `${roll(1e9)} `)
    set(store, `${id}`, value)
    const seen = history.get(`0:${id}`) ?? new Set()
    history.set(`0:${id}`, seen.add(value.toString('latin1')))
  }
  for (let i = 0; i < 4_000; i++) write()
  const always = new Set(contents(store).keys())
  const other = open({ maxMemory: 16 * MB })
  const sink = new BlockSink(other, store.shape, 0)
  for (const { block } of blocksOf(store, START)) {
    for (let i = 0; i < 20; i++) write()
    drain(sink.load(block))
  }
  sink.end()
  checkInvariants(other)
  checkInvariants(store)
  t.is(store.stats.evicted, 0)
  const found = contents(other)
  for (const key of always) if (!found.has(key)) return t.fail(`lost: ${key}`)
  for (const [key, { value }] of found) {
    if (!history.get(key)!.has(value.toString('latin1'))) return t.fail(`never had: ${key}`)
  }
  return t.true(found.size >= always.size)
})

test('a store whose chunks wandered while the snapshot was taken loads by replay where it must', (t) => {
  // The first byte of a key names its bucket.
  const hash = (bytes: Uint8Array, pos: number, length: number, seed: number): number =>
    (xxh32(bytes, pos, length, seed) & ~3) | (bytes[pos]! & 3)
  const shape = { maxMemory: 2 * MB, buckets: 4, hash }
  const store = open(shape)
  const other = open(shape)
  const sink = new BlockSink(other, store.shape, 0)
  // All keys of one bucket at a time: each bucket had nearly all memory when it was copied.
  const heap: Block[] = []
  for (let number = 0; number < 4; number++) {
    store.flush(-1)
    for (let i = 0; i < 30_000; i++) set(store, `${number} ${i}`, Buffer.alloc(40))
    const block = new Block(START)
    store.transplants.captureImage(number, block, [])
    heap.push(block)
  }
  for (const block of heap) drain(sink.load(block))
  checkInvariants(other)
  t.true(sink.replayed > 0, `${sink.replayed}`)
  t.true(sink.loaded > 0)
})

test('an image that contradicts itself changes nothing', (t) => {
  const store = open({ maxMemory: 2 * MB, buckets: 1 })
  for (let i = 0; i < 2_000; i++)
    set(store, `${i}`, Buffer.alloc(i % 90), i % 5 === 0 ? NOW + 9 : 0)
  const clean = new Block(START)
  store.transplants.captureImage(0, clean, [])
  const roll = dice(10)
  let refused = 0
  for (let round = 0; round < 400; round++) {
    const other = open({ maxMemory: 2 * MB, buckets: 1 })
    const block = new Block(START)
    block.begin(IMAGE, 0)
    block.room(clean.end - START)
    block.bytes.set(clean.bytes.subarray(START, clean.end), START)
    block.end = clean.end
    // The meta part, entries, slots.
    const regions = [
      [START, 64],
      [START + 64, clean.end - START - 64],
      [clean.end - 8 * 2_000, 8 * 2_000],
    ] as const
    const [from, length] = regions[round % 3]!
    block.bytes[from + roll(length)]! ^= 1 << roll(8)
    const sink = new BlockSink(other, store.shape, 0)
    try {
      drain(sink.load(block))
    } catch (error) {
      refused++
      if (!(error instanceof RangeError)) throw error
      t.is(other.stats.entries, 0)
      t.is(other.stats.chunksFree, open({ maxMemory: 2 * MB, buckets: 1 }).stats.chunksFree)
    }
  }
  return t.true(refused > 100, `${refused}`)
})

/** Loads values of all lengths with all kinds of extras, and negative entries. */
function load(store: Store, count: number, tag = 1): void {
  const roll = dice(9)
  for (let i = 0; i < count; i++) {
    const key = Buffer.from(i % 31 === 0 ? `${i} ${'k'.repeat(roll(20_000))}` : `key ${i}`)
    store.peek(0, key, 0, key.length)
    const token = store.lease()
    store.close()
    const value = i % 5 === 0 ? null : Buffer.alloc(roll(i % 20 === 1 ? 200_000 : 300), `${i} `)
    const expireAt = i % 5 === 0 || i % 3 > 0 ? NOW + 1_000_000 + roll(1_000_000) : 0
    const extras = {
      freshUntil: expireAt - 500_000,
      visibleUntil: expireAt - 250_000,
      loadedAt: NOW - 5_000,
      costMs: i,
      group: (i % 4) - 1,
      birth: store.birth(),
      tags: [tag, 10 + (i % 7)],
      etag: i % 2 === 0 ? Buffer.from(`"${i}"`) : null,
      idleMs: i % 6 === 0 ? 3_000_000 : 0,
    }
    if (!store.fill(0, key, token, value, expireAt, extras)) throw new Error(`${i} is refused`)
  }
}

interface Told {
  readonly state: number
  readonly facts: readonly number[]
  readonly extras: string
}

function tell(store: Store, count: number): Told[] {
  const roll = dice(9)
  return Array.from({ length: count }, (_, i) => {
    const key = Buffer.from(i % 31 === 0 ? `${i} ${'k'.repeat(roll(20_000))}` : `key ${i}`)
    const state = store.state(0, key, 0, key.length)
    const { freshUntil, visibleUntil, loadedAtMs, costMs } = store
    store.openAny(0, key, 0, key.length)
    const { extras } = store
    store.close()
    if (i % 5 !== 0) roll(i % 20 === 1 ? 200_000 : 300)
    if (i % 5 === 0 || i % 3 > 0) roll(1_000_000)
    const facts = state === ABSENT ? [] : [freshUntil, visibleUntil, loadedAtMs, costMs]
    return { state, facts, extras: JSON.stringify(extras) }
  })
}

for (const [title, options] of Object.entries<Partial<StoreOptions>>({
  'as images': {},
  'as items, of buckets that are too large': { imageBytesMax: 0 },
  'as items, under a policy that keeps something': { policy: 'lru' },
})) {
  test(`what was loaded comes back with all it knows, ${title}`, (t) => {
    const count = 400
    const groupOf = (bytes: Uint8Array, pos: number): number => bytes[pos]! & 1
    for (const shift of [0, 60_000]) {
      const store = open({ maxMemory: 32 * MB, ...options })
      load(store, count)
      const groupUsage = shareGroupUsage(2)
      const target = open({ maxMemory: 32 * MB, ...options, groupOf, groupUsage })
      target.now = NOW + shift
      // What was invalidated there before has nothing to do with it.
      target.invalidateTag(1)
      const { sink } = copy(store, target, { shift })
      t.is(sink.lost, 0)
      t.is(sink.loaded, store.size(0))
      t.is(target.stats.negatives, store.stats.negatives)
      t.is(target.expiring(0), store.expiring(0))
      checkInvariants(target)
      t.true(target.groupKeys(0) + target.groupKeys(1) > 150)
      const move = (ms: number): number => (ms === 0 ? 0 : ms + shift)
      const groups = /"group":(\d)/
      const wanted = tell(store, count)
      const got = tell(target, count)
      wanted.forEach((told, i) => {
        const { state, facts, extras } = got[i]!
        t.is(state, told.state)
        const [fresh, visible, loadedAt, cost] = told.facts as [number, number, number, number]
        t.deepEqual(facts, [move(fresh), move(visible), move(loadedAt), cost])
        if (groups.test(told.extras)) t.true(['0', '1'].includes(groups.exec(extras)![1]!))
        else t.false(groups.test(extras))
        if (shift === 0) t.is(extras.replace(groups, ''), told.extras.replace(groups, ''))
      })
      target.invalidateTag(1)
      for (const told of tell(target, count)) t.is(told.state, ABSENT)
      checkInvariants(target)
    }
  })

  test(`what was invalidated does not come back, ${title}`, (t) => {
    const store = open({ maxMemory: 32 * MB, ...options })
    load(store, 400)
    store.invalidateTag(12)
    const target = open({ maxMemory: 32 * MB, ...options })
    const { sink } = copy(store, target)
    t.is(sink.lost, 0)
    checkInvariants(target)
    const wanted = tell(store, 400).map(({ state }) => state)
    t.deepEqual(
      tell(target, 400).map(({ state }) => state),
      wanted,
    )
    t.true(wanted.includes(ABSENT) && wanted.includes(FRESH) && wanted.includes(NEGATIVE))
  })
}

for (const [title, options] of Object.entries<Partial<StoreOptions>>({
  'as images': {},
  'as items': { imageBytesMax: 0 },
})) {
  test(`what a prefix has killed is not in a snapshot, swept or not, ${title}`, (t) => {
    for (const steps of [0, 100, 1_000]) {
      const store = open(options)
      fill(store, 2_000)
      const before = store.size(0)
      store.beginInvalidation({ kind: 'prefix', db: -1, bytes: Buffer.from('key 1') })
      let cursor = 0
      for (let i = 0; i < steps && (i === 0 || cursor > 0); i++) {
        cursor = store.sweepInvalidated(cursor)
      }
      const target = open(options)
      // There the color is another: what comes back lives through what was invalidated before.
      target.beginInvalidation({ kind: 'prefix', db: -1, bytes: Buffer.from('key') })
      const { sink } = copy(store, target)
      t.is(sink.lost, 0)
      same(t, store, target)
      t.true(target.size(0) < before && target.size(0) > before / 4)
      for (let at = 0, i = 0; i === 0 || at > 0; i++) at = target.sweepInvalidated(at)
      same(t, store, target)
      checkInvariants(target)
    }
  })
}

test('extras that are too long for smaller chunks cost the entry', (t) => {
  const store = open({ maxMemory: 64 * MB })
  const key = Buffer.from('key')
  const tags = Array.from({ length: 40 }, (_, i) => i)
  const none = { freshUntil: 0, visibleUntil: 0, loadedAt: 0, costMs: 0, group: -1, birth: 0 }
  store.open(0, key, 0, 3)
  t.is(store.put(key, 0, 3, 0, { ...none, tags, etag: null, idleMs: 0 }), STORED)
  store.close()
  const target = open({ maxMemory: 2 * MB })
  const { sink } = copy(store, target)
  t.is(sink.lost, 1)
  t.is(target.size(0), 0)
  t.is(set(target, 'plain', Buffer.from('value')), STORED)
  t.is(target.stats.entries, 1)
  checkInvariants(target)
})

for (const [how, options] of [
  ['as images', {}],
  ['one by one', { seed: 8 }],
] as const) {
  test(`what a snapshot brings ${how} touches its keys`, (t) => {
    const from = open()
    set(from, 'brought', Buffer.from('value'))
    const to = open(options)
    const [brought, other] = ['brought', 'other'].map((name) =>
      to.watch(WATCHED, 0, Buffer.from(name), 0, name.length),
    )
    const { sink } = copy(from, to)
    t.is(sink.fitsImages, how === 'as images')
    t.false(to.isUntouched(brought!))
    t.true(to.isUntouched(other!))
  })
}
