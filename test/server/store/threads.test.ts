import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { Args } from '../../../protocol/args.ts'
import { acquire } from '../../../server/store/memory.ts'
import {
  checkInvariants,
  OUT_OF_MEMORY,
  shareWatches,
  STORED,
  WATCHED,
} from '../../../server/store/store.ts'
import { canShare, hammer, shapes, Sharing } from './sharing.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024

const several = (canShare ? test.serial : test.serial.skip) as typeof test

several('what threads write together others read together (not on Node 20)', async (t) => {
  const sharing = new Sharing({ threads: 4 })
  const [, , found] = await Promise.all([
    sharing.run('write together', 0, 4_000),
    sharing.run('write together', 1, 4_000),
    sharing.run('read together', 2, 8_000),
  ])
  t.true((found as number) > 0)
  t.is(sharing.store.size(0), 50)
  checkInvariants(sharing.store)
})

several('the same when memory holds a part of it (not on Node 20)', async (t) => {
  const sharing = new Sharing({ threads: 4, maxMemory: 2 * MB })
  const [refused0, refused1, found] = await Promise.all([
    sharing.run('write together what does not fit', 0, 150),
    sharing.run('write together what does not fit', 1, 150),
    sharing.run('read together', 3, 800),
  ])
  t.true((found as number) > 0)
  t.deepEqual([refused0, refused1], [0, 0])
  t.true(sharing.store.stats.evicted > 5_000)
  checkInvariants(sharing.store)
})

several('a value that is moved has one name at any time (not on Node 20)', async (t) => {
  for (const buckets of [512, 1]) {
    const sharing = new Sharing({ threads: 6, maxMemory: 16 * MB, buckets })
    const { store } = sharing
    const key = Buffer.from('twin:a')
    const value = Buffer.alloc(20)
    store.open(0, key, 0, key.length)
    store.put(value, 0, value.length, store.now + 1e6)
    store.close()
    const done = (await Promise.all([
      sharing.run('move twins', 1, 20_000),
      sharing.run('move twins', 2, 20_000),
      sharing.run('watch twins', 3, 20_000),
      sharing.run('watch twins', 4, 20_000),
      sharing.run('load twins', 5, 20_000),
    ])) as number[]
    for (const count of done) t.true(count > 1_000, done.join())
    t.is(store.size(0) + store.size(1), 1)
    checkInvariants(store)
    t.is(store.stats.pinnedBytes, 0)
  }
})

test('keys are locked for several verbs, and nothing else is then', (t) => {
  const s = new Texts({ threads: 2 })
  const { store } = s
  const args = Args.of(['one', 'two', 'one', 'other', 'value'])
  store.lockKeys(0, args, 0, 3, 1)
  t.throws(() => store.lockKeys(0, args, 0, 1, 1), { message: /while others are/ })
  s.set('one', '1')
  s.set('two', '2')
  t.is(s.get('one'), '1')
  t.true(s.open('two'))
  t.is(store.valueLength, 1)
  t.throws(() => store.unlockKeys(), { message: /still open/ })
  store.close()
  t.true(s.delete('two'))
  store.unlockKeys()
  t.throws(() => store.unlockKeys(), { message: /no keys are locked/ })
  t.is(s.get('one'), '1')
  checkInvariants(store)
})

test('keys of several databases are locked together, and once more by those among them', (t) => {
  const s = new Texts({ threads: 2, databases: 2, watches: shareWatches() })
  const { store } = s
  const [one, two] = [Buffer.from('one'), Buffer.from('two')]
  const places = [
    { db: 0, bytes: one, pos: 0, length: 3 },
    { db: 1, bytes: two, pos: 0, length: 3 },
  ]
  const watch = store.watch(WATCHED, 0, Buffer.from('third'), 0, 5)
  store.lockTogether(places)
  s.set('one', '1')
  s.set('two', '2', 0, 1)
  store.lockKeys(0, Args.of(['one']), 0, 1, 1)
  t.is(s.get('one'), '1')
  store.unlockKeys()
  t.is(s.get('two', 1), '2')
  store.unwatch(watch)
  store.unlockKeys()
  t.throws(() => store.unlockKeys(), { message: /no keys are locked/ })
  t.throws(() => store.unwatch(watch), { message: /nobody has/ })
})

test('with all buckets locked every verb may be called', (t) => {
  const s = new Texts({ threads: 2 })
  const { store } = s
  for (let i = 0; i < 1_000; i++) s.set(`key:${i}`, 'value')
  store.lockTogether(null)
  t.is(s.keys().length, 1_000)
  t.is(store.size(0), 1_000)
  s.set('another', 'value')
  store.sweep(10_000)
  store.flush(0)
  t.deepEqual(s.keys(), [])
  s.set('key', 'value')
  store.unlockKeys()
  t.deepEqual(s.keys(), ['key'])
  checkInvariants(store)
})

test('who has a lock for long and shows that it lives is not taken for dead', async (t) => {
  const words = new Int32Array(new SharedArrayBuffer(8))
  words[0] = 1
  t.throws(() => acquire(words, 0, 20), { message: /is dead/ })
  // Renews it 300 times, a millisecond apart, and gives it back.
  const holder = `
    const { workerData: words, parentPort } = require('node:worker_threads')
    parentPort.postMessage('begins')
    for (let beat = 2; beat < 300; beat++) {
      Atomics.store(words, 0, beat)
      Atomics.wait(words, 1, 0, 1)
    }
    Atomics.store(words, 0, 0)`
  const worker = new Worker(holder, { eval: true, workerData: words })
  await once(worker, 'message')
  acquire(words, 0, 1_000)
  t.is(words[0], 1)
  await once(worker, 'exit')
})

test('locks are renewed without letting anybody in', (t) => {
  const s = new Texts({ threads: 2, buckets: 4 })
  s.store.lockTogether(null)
  s.store.renewLocks()
  s.store.renewLocks()
  s.set('key', 'value')
  s.store.unlockKeys()
  t.is(s.get('key'), 'value')
})

test('a verb for a key whose bucket is not locked with the others is a mistake', (t) => {
  const s = new Texts({ threads: 2 })
  s.store.lockKeys(0, Args.of(['one']), 0, 1, 1)
  t.throws(() => s.get('some other'), { message: /a key is not locked/ })
})

test('who listens to removals is told when the keys are unlocked', (t) => {
  const told: string[] = []
  const s = new Texts({
    threads: 2,
    onRemoved: (reason, _db, key) => {
      told.push(`${reason} ${Buffer.from(key).toString()} ${s.get('two')}`)
    },
  })
  s.set('one', '1')
  s.store.lockKeys(0, Args.of(['one', 'two']), 0, 2, 1)
  s.delete('one')
  s.set('two', '2')
  t.deepEqual(told, [])
  s.store.unlockKeys()
  t.deepEqual(told, ['deleted one 2'])
})

test('entries of buckets that are locked with others go for one of them', (t) => {
  const s = new Texts({ threads: 2, maxMemory: 2 * MB, buckets: 4 })
  const keys = Array.from({ length: 2_000 }, (_, i) => `key:${i}`)
  s.store.lockKeys(0, Args.of(keys), 0, keys.length, 1)
  // Values with pages: other buckets give chunks for them, all of which are locked.
  for (const key of keys) s.set(key, 'v'.repeat(2_000))
  for (const key of keys.slice(0, 40)) t.is(s.set(key, 'w'.repeat(100_000)), STORED)
  s.store.unlockKeys()
  t.true(s.store.stats.evicted > 1_000)
  t.true(s.has(keys[39]!))
  checkInvariants(s.store)
})

for (const shape of shapes) {
  const { buckets = 512, arenaShareMax } = shape
  const where = `${buckets} buckets in ${arenaShareMax === undefined ? 'one arena' : 'several arenas'}`
  several(
    `three threads do everything at once, and nothing is torn: ${where} (not on Node 20)`,
    async (t) => {
      const results = await hammer(shape, 1, 6_000)
      for (const { added, seen, removed } of results) t.true(added > 0 && seen > 0 && removed > 0)
    },
  )
}

several('who needs memory takes it from buckets that nobody has locked, and never hangs', (t) => {
  const options = { threads: 3, maxMemory: 2 * MB, buckets: 4 }
  const one = new Texts(options)
  const other = new Texts({ ...options, attach: one.store.shared })
  const keys = Array.from({ length: 3_000 }, (_, i) => `key:${i}`)
  for (const key of keys) one.set(key, 'v'.repeat(700))
  const entries = (): number[] => [0, 1, 2, 3].map((i) => one.store.bucketStats(i).entries)
  // Keys of a bucket: those whose removal it notices.
  const bucketOf = (key: string): number => {
    const before = entries()
    one.delete(key)
    const after = entries()
    return before.findIndex((count, i) => count > after[i]!)
  }
  const names = ['', '', '', '']
  for (const key of keys.toReversed()) {
    if (!names.includes('')) break
    const number = one.has(key) ? bucketOf(key) : -1
    if (number >= 0) names[number] = key
  }
  const locked = Args.of(names.slice(0, 3))
  one.store.lockKeys(0, locked, 0, 3, 1)
  const before = entries()
  other.store.lockKeys(0, Args.of(names.slice(3)), 0, 1, 1)
  t.is(other.set(names[3]!, 'w'.repeat(100_000)), STORED)
  other.store.unlockKeys()
  const after = entries()
  t.deepEqual(after.slice(0, 3), before.slice(0, 3))
  t.true(after[3]! < before[3]!)
  one.store.unlockKeys()
  // What the fourth part of memory cannot give: it tries for a while, and gives up.
  one.store.lockKeys(0, locked, 0, 3, 1)
  other.store.lockKeys(0, Args.of(names.slice(3)), 0, 1, 1)
  t.is(other.set(names[3]!, 'w'.repeat(900_000)), OUT_OF_MEMORY)
  other.store.unlockKeys()
  one.store.unlockKeys()
  t.is(other.set(names[3]!, 'w'.repeat(900_000)), STORED)
  checkInvariants(one.store)
})
