/* What maxmemory pays for, and what the number of buckets, the ceiling and its changes mean. */
import test from 'ava'
import { multiMemory } from '../../../server/store/memory.ts'
import type { StoreOptions } from '../../../server/store/store.ts'
import { checkInvariants, OUT_OF_MEMORY, STORED, Store } from '../../../server/store/store.ts'
import { dice } from './model.ts'

const KB = 1024

function put(store: Store, key: string, value: Buffer): number {
  const bytes = Buffer.concat([Buffer.from(key), value])
  return store.set(0, bytes, 0, key.length, key.length, value.length, 0)
}

function has(store: Store, key: string): boolean {
  return store.has(0, Buffer.from(key), 0, key.length)
}

function open(options: Partial<StoreOptions>): Store {
  return new Store({ maxMemory: 8 * KB * KB, seed: 1, databases: 1, ...options })
}

test('a store of one bucket keeps a few dozen entries, the newest of them', (t) => {
  const store = open({ buckets: 1, maxMemory: 42 * KB, policy: 'fifo' })
  t.is(store.stats.buckets, 1)
  for (let i = 0; i < 1000; i++) {
    t.is(put(store, `key:${i}`, Buffer.alloc(470, i)), STORED)
    if (i % 50 === 0) checkInvariants(store)
  }
  const kept = store.size(0)
  t.true(kept >= 70 && kept <= 82, `${kept} entries`)
  for (let i = 1000 - kept; i < 1000; i++) t.true(has(store, `key:${i}`))
  t.true(store.stats.usedBytes <= 42 * KB)
})

test('a scan, a sweep and a flush go over as many buckets as there are', (t) => {
  for (const buckets of [1, 2, 64]) {
    const store = open({ buckets, maxMemory: 1 * KB * KB })
    for (let i = 0; i < 500; i++) put(store, `key:${i}`, Buffer.from('v'))
    let seen = 0
    let cursor = 0
    do {
      cursor = store.scan(0, cursor, 10, () => seen++)
    } while (cursor !== 0)
    t.is(seen, 500)
    t.is(store.sweep(100_000), 0)
    t.true(store.randomKey(0, 12345, { reserve: () => store.io.replies[0]! }) > 0)
    store.flush(-1)
    t.is(store.size(0), 0)
    checkInvariants(store)
  }
})

const MB = KB * KB

/** Fills with values of 0 to 800 bytes; some of several pages if the chunks are small. */
function fill(store: Store, from: number, to: number): void {
  for (let i = from; i < to; i++) put(store, `key:${i}`, Buffer.alloc((i * 37) % 800, i))
}

/** Shrinks in slices of a few chunks until all is done. @returns the slices */
function shrinkAll(store: Store, chunksMax = 16): number {
  let slices = 1
  for (let before = store.excess; store.shrink(chunksMax); slices++) {
    if (store.excess >= before) throw new Error('a slice gave nothing back')
    before = store.excess
  }
  return slices
}

test('raised to its ceiling, a store holds more, and its chunks stay as they are', (t) => {
  const store = open({ maxMemory: 3 * MB, ceiling: 12 * MB })
  fill(store, 0, 40_000)
  const before = store.stats
  t.true(before.usedBytes <= 3 * MB && before.usedBytes > 2.8 * MB)
  t.is(before.ceiling, 12 * MB)
  store.setMaxMemory(12 * MB)
  t.is(store.maxMemory, 12 * MB)
  t.is(store.size(0), before.entries)
  fill(store, 40_000, 80_000)
  checkInvariants(store)
  const after = store.stats
  t.is(after.chunkBytes, before.chunkBytes)
  t.true(after.usedBytes <= 12 * MB && after.usedBytes > 11.5 * MB, `${after.usedBytes}`)
  t.true(after.entries > 3.3 * before.entries, `${before.entries} ${after.entries}`)
})

test('lowered, a store gives back in slices what is too much, the oldest first', (t) => {
  const store = open({ maxMemory: 12 * MB, policy: 'fifo' })
  fill(store, 0, 25_000)
  const touched = store.stats.touchedBytes
  store.setMaxMemory(4 * MB)
  t.is(store.stats.chunksFree, 0)
  const { excess } = store
  t.true(excess > 4000)
  t.true(store.shrink(1))
  t.true(store.excess < excess && store.excess > excess - 100, 'a slice of one chunk is small')
  checkInvariants(store)
  // Nobody gets a chunk meanwhile, and everybody can write.
  fill(store, 25_000, 26_000)
  t.true(store.excess < excess)
  checkInvariants(store)
  const before = store.size(0)
  t.is(put(store, 'big', Buffer.alloc(20_000)), STORED)
  t.true(store.size(0) > before - 200, 'a big value wins what it needs, not all that is too much')
  checkInvariants(store)
  t.true(shrinkAll(store) > 100)
  checkInvariants(store)
  t.true(store.stats.usedBytes <= 4 * MB && store.stats.usedBytes > 3.7 * MB)
  t.is(store.stats.excessBytes, 0)
  t.true(store.stats.touchedBytes > touched - 1.5 * MB, 'the system still holds it')
  for (let i = 25_900; i < 26_000; i++) if (!has(store, `key:${i}`)) t.fail('a new one is gone')
  t.false(has(store, 'key:0'))
  fill(store, 26_000, 40_000)
  checkInvariants(store)
  t.true(store.stats.usedBytes <= 4 * MB)
})

test('who has more than its share gives first', (t) => {
  // The hash is the key's second byte: every other bucket of 8 has ten times the entries.
  const hash = (bytes: Uint8Array, pos: number): number =>
    (Math.imul(bytes[pos + 2]! * 256 + bytes[pos + 3]!, 0x9e3779b1) & ~7) | (bytes[pos + 1]! & 7)
  const store = open({ maxMemory: 512 * KB, buckets: 8, hash })
  const counts = [300, 30, 300, 30, 300, 30, 300, 30]
  counts.forEach((count, bucket) => {
    for (let i = 0; i < count; i++) {
      const key = Buffer.from([107, bucket, i >> 8, i & 255])
      const bytes = Buffer.concat([key, Buffer.alloc(200)])
      store.set(0, bytes, 0, 4, 4, 200, 0)
    }
  })
  const kept = (bucket: number): number =>
    Array.from({ length: 300 }, (_, i) => Buffer.from([107, bucket, i >> 8, i & 255])).filter(
      (key) => store.has(0, key, 0, 4),
    ).length
  t.deepEqual([...counts.keys()].map(kept), counts)
  store.setMaxMemory(256 * KB)
  shrinkAll(store)
  checkInvariants(store)
  t.deepEqual([1, 3, 5, 7].map(kept), [30, 30, 30, 30], 'the small ones lost nothing')
  t.true([0, 2, 4, 6].every((bucket) => kept(bucket) > 150 && kept(bucket) < 280))
})

test('maxmemory cannot be raised above its ceiling, nor lowered below what is promised', (t) => {
  for (const maxMemory of [8 * MB, 1024 * MB]) {
    const store = open({ maxMemory, ceiling: maxMemory + 4096 })
    store.setMaxMemory(maxMemory + 4096)
    t.throws(() => store.setMaxMemory(maxMemory + 4097), {
      instanceOf: RangeError,
      message: `maxmemory can be raised to its ceiling of ${maxMemory + 4096} bytes: start with a larger ceiling (maxmemory-ceiling) to go beyond`,
    })
    const { message } = t.throws(() => store.setMaxMemory(1), { instanceOf: RangeError })
    const least = Number(/lowered to (\d+) bytes while/.exec(message)?.[1])
    t.true(least >= 2 * MB && least < 64 * MB)
    t.throws(() => store.setMaxMemory(least - 1), { instanceOf: RangeError })
    t.throws(() => store.setMaxMemory(NaN), { instanceOf: RangeError })
    t.is(store.maxMemory, maxMemory + 4096, 'a refused change changes nothing')
    store.setMaxMemory(least)
    t.true(store.stats.chunks >= 512)
    checkInvariants(store)
  }
})

for (const policy of ['s3a', 'fifo'] as const) {
  test(`at its least, every bucket of a store still takes an entry (${policy})`, (t) => {
    const store = open({ maxMemory: 64 * MB, buckets: 16, policy })
    // Many short entries: the indexes alone are more than the least.
    for (let i = 0; i < 500_000; i++) put(store, `${i}`, Buffer.alloc(0))
    const least = /lowered to (\d+)/.exec(t.throws(() => store.setMaxMemory(0)).message)![1]
    store.setMaxMemory(Number(least))
    shrinkAll(store)
    checkInvariants(store)
    t.true(store.stats.usedBytes <= Number(least))
    for (let i = 0; i < 5000; i++) {
      const key = `new:${i}`
      t.is(put(store, key, Buffer.alloc(100)), STORED)
      if (!has(store, key)) t.fail('an entry was not stored')
    }
    checkInvariants(store)
  })
}

test('what a slow reader and a sender hold comes back when they let go', (t) => {
  const store = open({ maxMemory: 16 * MB })
  const value = Buffer.alloc(3 * MB, 'abc')
  put(store, 'big', value)
  store.open(0, Buffer.from('big'), 0, 3)
  const read = store.pin()
  store.close()
  const received = store.pages()
  t.true(received.write(value, 0, value.length))
  store.setMaxMemory(4 * MB)
  while (store.shrink(64) && store.size(0) > 0);
  t.true(store.shrink(64))
  const { excess } = store
  t.true(store.shrink(64))
  t.is(store.excess, excess)
  checkInvariants(store)
  t.true(read.toBuffer().equals(value), 'nobody takes the bytes from under a reader')
  t.false(received.write(value, 0, MB), 'but no more is received')
  read.release()
  t.false(store.shrink(64))
  checkInvariants(store)
})

test('the longest value and the share of pages in flight follow maxmemory', (t) => {
  const store = open({ maxMemory: 8 * MB, ceiling: 32 * MB })
  const value = Buffer.alloc(6 * MB)
  t.is(put(store, 'key', value), OUT_OF_MEMORY)
  store.setMaxMemory(32 * MB)
  t.is(put(store, 'key', value), STORED)
  t.true(has(store, 'key'))
  for (const key of ['a', 'b', 'c']) t.is(put(store, key, value), STORED)
  store.setMaxMemory(8 * MB)
  t.true(store.excess > 0)
  t.is(put(store, 'other', value), OUT_OF_MEMORY)
  const received = [store.pages(), store.pages()]
  const half = value.subarray(0, 3 * MB)
  t.deepEqual(
    received.map((pages) => pages.write(half, 0, half.length)),
    [true, false],
    'half of maxmemory as it is to become',
  )
  for (const pages of received) pages.release()
  shrinkAll(store)
  t.is(put(store, 'key', value), OUT_OF_MEMORY)
  t.is(put(store, 'key', Buffer.alloc(3 * MB)), STORED)
  checkInvariants(store)
})

test('a flush gives every chunk back to the pool', (t) => {
  const store = open({ maxMemory: 8 * MB })
  const { usedBytes, chunks, chunksFree } = store.stats
  t.is(chunks, chunksFree)
  fill(store, 0, 30_000)
  put(store, 'big', Buffer.alloc(MB))
  t.true(store.stats.usedBytes > 7.5 * MB)
  store.flush(-1)
  t.is(store.stats.usedBytes, usedBytes)
  t.is(store.stats.chunksFree, chunks)
  t.true(store.stats.touchedBytes > 7.5 * MB, 'but the system holds it')
  checkInvariants(store)
})

test('another thread sees what maxmemory has become', (t) => {
  if (!multiMemory) {
    t.pass('Node 20 has one thread')
    return
  }
  const options = { maxMemory: 4 * MB, ceiling: 64 * MB }
  const first = open(options)
  const second = open({ ...options, attach: first.shared })
  const value = Buffer.alloc(8 * MB)
  t.is(put(second, 'big', value), OUT_OF_MEMORY)
  first.setMaxMemory(64 * MB)
  t.is(second.maxMemory, 64 * MB)
  t.is(put(second, 'big', value), STORED)
  fill(second, 0, 60_000)
  first.setMaxMemory(8 * MB)
  t.is(second.excess, first.excess)
  t.true(first.excess > 0)
  for (let turn = 0; second.excess > 0; turn++) (turn % 2 === 0 ? first : second).shrink(50)
  t.deepEqual(first.stats, second.stats)
  checkInvariants(second)
})

test('an index grows into the far part of its directory, and comes back from there', (t) => {
  const store = open({ maxMemory: 1 * MB, ceiling: 64 * MB, buckets: 8 })
  store.setMaxMemory(64 * MB)
  // Near stand the addresses of 256 pieces a bucket, of 64 slots each: 131,072 in all.
  for (let i = 0; i < 400_000; i++) put(store, `${i}`, Buffer.from(`${i}`))
  t.is(store.size(0), 400_000)
  checkInvariants(store)
  const bytes = Buffer.from('399999')
  const { io } = store
  for (let i = 0; i < 400_000; i += 7) {
    bytes.write(`${i}`)
    const length = `${i}`.length
    const got = store.get(0, bytes, 0, length, { reserve: () => io.replies[0]! })
    if (got !== length) t.fail(`${i} is lost`)
  }
  store.setMaxMemory(MB)
  shrinkAll(store, 200)
  checkInvariants(store)
  t.true(store.size(0) > 10_000)
  t.true(store.stats.usedBytes <= MB)
})

const shapes: readonly (Partial<StoreOptions> & { readonly name: string })[] = [
  { name: 'one arena', maxMemory: 3 * MB, ceiling: 10 * MB },
  { name: 'three arenas', maxMemory: 3 * MB, ceiling: 10 * MB, arenaShareMax: 4 * MB },
  { name: 'one bucket', maxMemory: 64 * KB, ceiling: 512 * KB, buckets: 1 },
  { name: 'lru', policy: 'lru', maxMemory: 3 * MB, ceiling: 10 * MB },
  { name: 'second-chance', policy: 'second-chance', maxMemory: 3 * MB, ceiling: 10 * MB },
  { name: 'volatile', scope: 'volatile', maxMemory: 3 * MB, ceiling: 10 * MB },
  { name: 'equal hashes', maxMemory: 3 * MB, ceiling: 6 * MB, hash: () => 7 },
]
for (const { name, ...options } of shapes) {
  test(`up and down while serving: no value is ever wrong (${name})`, (t) => {
    if (!multiMemory && options.arenaShareMax !== undefined) {
      t.pass('Node 20 has one arena')
      return
    }
    const store = open(options)
    const random = dice(name.length)
    const least = Math.max(MB / 16, options.maxMemory! / 1.4)
    const model = new Map<string, Buffer>()
    for (let step = 0; step < 30_000; step++) {
      const key = `key:${random(4000)}`
      const what = random(100)
      if (what < 60) {
        const length = random(50) === 0 ? random(40_000) : random(900)
        const value = Buffer.alloc(length, step.toString(36))
        if (put(store, key, value) === STORED) model.set(key, value)
      } else if (what < 90) {
        const held = readValue(store, key)
        if (held !== null && model.get(key)?.equals(held) !== true) t.fail(`${key} is wrong`)
      } else if (what < 95) {
        store.delete(0, Buffer.from(key), 0, key.length)
        model.delete(key)
      } else if (what < 99) {
        store.shrink(1 + random(20))
      } else {
        store.setMaxMemory(least + random(options.ceiling! - least))
      }
      if (step % 1000 === 0) checkInvariants(store)
    }
    if (options.scope === undefined) {
      shrinkAll(store)
      t.true(store.stats.usedBytes <= store.maxMemory)
      t.true(store.size(0) > 0)
    } else {
      t.is(store.size(0), model.size, 'nothing has an expiry, so nothing was evicted')
    }
    checkInvariants(store)
  })
}

test('where nobody may go, lowering waits for deletes, and writes meanwhile find no memory', (t) => {
  const store = open({ maxMemory: 8 * MB, scope: 'none' })
  for (let i = 0; i < 6000; i++) t.is(put(store, `key:${i}`, Buffer.alloc(1000, i)), STORED)
  const { usedBytes } = store.stats
  t.true(usedBytes > 6 * MB)
  store.setMaxMemory(4 * MB)
  t.true(store.shrink(1000))
  t.is(store.size(0), 6000)
  let refused = 0
  for (let i = 0; i < 200; i++) {
    if (put(store, `new:${i}`, Buffer.alloc(5000)) === OUT_OF_MEMORY) refused++
    if (put(store, `short:${i}`, Buffer.from('v')) === OUT_OF_MEMORY) refused++
  }
  t.is(refused, 400, 'what chunks have left is not given either')
  t.is(store.size(0), 6000)
  t.true(store.stats.usedBytes <= usedBytes)
  checkInvariants(store)
  for (let i = 0; i < 4500; i++) store.delete(0, Buffer.from(`key:${i}`), 0, `key:${i}`.length)
  t.false(store.shrink(1000))
  t.true(store.stats.usedBytes <= 4 * MB)
  t.is(put(store, 'new', Buffer.alloc(5000)), STORED)
  t.is(store.size(0), 1501)
  checkInvariants(store)
})

function readValue(store: Store, key: string): Buffer | null {
  if (!store.open(0, Buffer.from(key), 0, key.length)) {
    store.close()
    return null
  }
  const at = store.io.replies[0]!
  const length = store.valueLength
  store.read(0, length, at)
  store.close()
  return Buffer.from(store.io.bytes.subarray(at, at + length))
}
