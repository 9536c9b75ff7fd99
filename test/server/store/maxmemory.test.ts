/* What maxmemory pays for, and what the number of buckets, the ceiling and its changes mean. */
import test from 'ava'
import type { StoreOptions } from '../../../server/store/store.ts'
import { checkInvariants, STORED, Store } from '../../../server/store/store.ts'

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
  const store = open({ buckets: 1, maxMemory: 42 * KB })
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
