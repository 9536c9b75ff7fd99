/* Which entries may go, what is refused, and that what is refused changes nothing. */
import test from 'ava'
import { checkInvariants, OUT_OF_MEMORY, STORED } from '../../../server/store/store.ts'
import { POLICIES } from '../../../server/store/policy.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024

/** Sets keys until one is refused. @returns how many were not */
function fillUp(s: Texts, value: Buffer, expireAt = 0): number {
  let keys = 0
  while (s.set(`key:${keys}`, value, expireAt) === STORED) keys++
  return keys
}

test('where nobody may go, nobody goes, and every policy refuses only when memory is full', (t) => {
  for (const policy of POLICIES) {
    const s = new Texts({ maxMemory: 4 * MB, policy, scope: 'none' })
    const keys = fillUp(s, Buffer.alloc(100, 'v'))
    const { chunks, chunkBytes, usedBytes, maxMemory, evicted, stolenChunks } = s.store.stats
    t.is(evicted + stolenChunks, 0, policy)
    // Chunks that only some buckets have filled, and the ends of chunks.
    t.true(usedBytes > 0.99 * maxMemory, `${policy}: ${usedBytes} of ${maxMemory}`)
    t.true(keys * 108 > 0.8 * chunks * chunkBytes, `${policy}: ${keys} keys`)
    for (let i = 0; i < 20_000; i++) s.set(`more:${i}`, 'v'.repeat(i % 300))
    for (let i = 0; i < keys; i++) if (s.get(`key:${i}`) === null) t.fail(`${policy}: key:${i}`)
    t.is(s.store.stats.evicted, 0)
    checkInvariants(s.store)
  }
})

test('where nobody may go, room that a delete gave is used again', (t) => {
  const s = new Texts({ maxMemory: 4 * MB, scope: 'none' })
  const value = Buffer.alloc(200, 'v')
  const keys = fillUp(s, value)
  let refused = 0
  for (let i = 0; i < 50_000; i++) {
    t.true(s.delete(`key:${i}`) || i >= keys)
    if (i < keys && s.set(`key:${i + keys}`, value) !== STORED) refused++
    if (i >= keys) break
  }
  // A key that is refused is another bucket's than the one that went.
  t.true(refused < keys / 2, `${refused} of ${keys}`)
  t.true(s.store.size(0) > 0.8 * keys)
  checkInvariants(s.store)
})

test('of equal hashes the oldest that may go goes, and if none may, the new one is refused', (t) => {
  const s = new Texts({ hash: () => 0x00ff0000, scope: 'volatile' })
  for (let i = 0; i < 64; i++) t.is(s.set(`key:${i}`, `${i}`, i === 7 || i === 9 ? 1e6 : 0), STORED)
  t.is(s.set('new:1', 'v'), STORED)
  t.is(s.get('key:7'), null)
  t.is(s.set('new:2', 'v'), STORED)
  t.is(s.get('key:9'), null)
  t.is(s.set('new:3', 'v'), OUT_OF_MEMORY)
  t.is(s.store.size(0), 64)
  checkInvariants(s.store)
})

test('at the end of an index whoever may go makes room, and if none may, the new one is refused', (t) => {
  // All keys want one of the last slots, for which the index does not grow.
  const s = new Texts({ hash: () => 0xffffffff, scope: 'volatile', buckets: 1, maxMemory: MB / 16 })
  let stored = 0
  while (s.set(`key:${stored}`, 'v') === STORED) stored++
  t.true(stored > 4 && stored < 64, `${stored}`)
  t.is(s.store.size(0), stored)
  t.true(s.delete('key:3'))
  t.is(s.set('expires', 'v', 1e6), STORED)
  t.is(s.set('new:1', 'v'), STORED)
  t.is(s.get('expires'), null)
  t.is(s.set('new:2', 'v'), OUT_OF_MEMORY)
  for (let i = 0; i < stored; i++) if (i !== 3) t.is(s.get(`key:${i}`), 'v')
  checkInvariants(s.store)
})

test('values with pages that expire go for keys that do not', (t) => {
  const s = new Texts({ maxMemory: 4 * MB, scope: 'volatile' })
  for (let i = 0; i < 100; i++) s.set(`big:${i}`, Buffer.alloc(30_000), 1e6)
  const { bigValues } = s.store.stats
  t.true(bigValues > 80)
  const keys = fillUp(s, Buffer.alloc(100, 'v'))
  t.true(keys > 20_000, `${keys} keys`)
  t.true(s.store.stats.bigValues < 3, `${s.store.stats.bigValues} big values stay`)
  for (let i = 0; i < keys; i++) if (s.get(`key:${i}`) === null) t.fail(`key:${i} is lost`)
  checkInvariants(s.store)
})

test('keys of other buckets go for one whose own have no expiry', (t) => {
  // The first byte of the key chooses the bucket.
  const hash = (bytes: Uint8Array, pos: number, length: number): number => {
    let rest = 0
    for (let i = 1; i < length; i++) rest = Math.imul(rest, 31) + bytes[pos + i]!
    return (Math.imul(rest, 0x9e3779b1) & ~7) | (bytes[pos]! & 7)
  }
  const s = new Texts({ maxMemory: MB, buckets: 8, scope: 'volatile', hash })
  const value = Buffer.alloc(100, 'v')
  for (let i = 0; i < 8_000; i++) s.set(`${1 + (i % 7)}:${i}`, value, 1e6)
  const before = s.store.expiring(0)
  let stored = 0
  while (s.set(`0:${stored}`, value) === STORED) stored++
  t.true(stored > before / 2, `${stored} of ${before}`)
  for (let i = 0; i < stored; i++) if (s.get(`0:${i}`) === null) t.fail(`0:${i} is lost`)
  checkInvariants(s.store)
})

test('a write that is refused in the middle of a value leaves it as it was', (t) => {
  const value = Buffer.alloc(3_000, 'before')
  const more = Buffer.alloc(2_500, 'z')
  let refused = 0
  for (const inPages of [false, true]) {
    const s = new Texts({ maxMemory: 2 * MB, scope: 'none' })
    let keys = 0
    while (s.set(`key:${keys}`, value) === STORED) keys++
    for (let i = 0; s.set(`small:${i}`, 'v'.repeat(100)) === STORED; i++);
    for (let i = 0; i < keys; i++) {
      s.open(`key:${i}`)
      let result = OUT_OF_MEMORY
      if (inPages) {
        const pages = s.store.pages()
        if (pages.write(more, 0, more.length)) result = s.store.setRangePages(1_000, pages)
      } else {
        result = s.store.setRange(1_000, more, 0, more.length)
      }
      s.store.close()
      if (result === STORED) continue
      refused++
      if (s.get(`key:${i}`) !== value.toString()) t.fail(`key:${i} changed`)
    }
    checkInvariants(s.store)
  }
  t.true(refused > 100)
})

test('a bucket all of whose chunks are of big values takes a small one, whoever has memory', (t) => {
  // Two buckets in the ring of one value each; then pages take all that is left.
  const s = new Texts({ maxMemory: 64 * 1024, buckets: 8, hash: (b, p) => b[p]! })
  for (let i = 0; i < 8; i++) s.set(`${i}`, Buffer.alloc(5_000, i))
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 8; i++) {
      t.is(s.set(`${i}`, Buffer.alloc(4_000 + 500 * (round % 8), i)), STORED)
      if (round % 3 === 0) t.is(s.set(String.fromCharCode(64 + i), 'small'), STORED)
    }
  }
  checkInvariants(s.store)
})
