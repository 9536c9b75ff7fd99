import test from 'ava'
import { Index } from '../../../server/store/index.ts'
import type { Pool } from '../../../server/store/pool.ts'
import { dice } from './model.ts'
import { parts } from './parts.ts'

interface Fixture {
  readonly index: Index
  readonly bucket: number
  readonly pool: Pool
  readonly piecesMax: number
}

/** Pieces of 64 slots; the directory of a 2 MB store has room for 8, of a 16 MB store for 64. */
function fixture(maxMemory = 16 * 1024 * 1024): Fixture {
  const { arena, pool, layout } = parts(maxMemory)
  const index = new Index(arena, pool, layout)
  index.open(layout.firstBucket)
  return { index, bucket: layout.firstBucket, pool, piecesMax: layout.indexPieces.piecesMax }
}

/** Inserts, growing as a bucket does. False: neither room nor a way to make some. */
function insert({ index, bucket }: Fixture, hash: number, address: number): boolean {
  while (!index.hasRoom(bucket)) {
    if (index.grow(bucket)) continue
    if (index.isEndTaken(bucket) || index.isFull(bucket)) return false
    break
  }
  return index.insert(bucket, index.seek(bucket, hash), hash, address, false)
}

/** Hashes and addresses in the order of their positions. */
function contents({ index, bucket }: Fixture): [number, number][] {
  const all: [number, number][] = []
  for (let position = 0; position < index.slots(bucket); position++) {
    const address = index.address(bucket, position)
    if (address !== 0) all.push([index.hash(bucket, position), address])
  }
  return all
}

test('slots are in the order of unsigned hashes, equal ones in the order of insertion', (t) => {
  const f = fixture()
  const hashes = [0x80000000, 0, 0xffffffff, 5, 0x7fffffff, 5, 0x80000001 | 0, 5]
  hashes.forEach((hash, i) => t.true(insert(f, hash, 4 * (i + 1))))
  t.deepEqual(contents(f), [
    [0, 8],
    [5, 16],
    [5, 24],
    [5, 32],
    [0x7fffffff, 20],
    [0x80000000, 4],
    [0x80000001, 28],
    [0xffffffff, 12],
  ])
  t.is(f.index.run(f.bucket, f.index.seek(f.bucket, 5)), 3)
  f.index.check(f.bucket)
})

test('an address up to 2^31 is kept, and pointing a slot elsewhere keeps its upper bits', (t) => {
  const { index, bucket, ...rest } = fixture()
  t.true(insert({ index, bucket, ...rest }, 77, 2 ** 31 - 4))
  const position = index.locate(bucket, 77, 2 ** 31 - 4)
  t.is(index.address(bucket, position), 2 ** 31 - 4)
  index.point(bucket, position, 4)
  t.is(index.address(bucket, position), 4)
})

test('an index of well spread hashes grows by a quarter, so it is never half empty', (t) => {
  const f = fixture()
  const roll = dice(1)
  for (let i = 1; i <= 3_000; i++) {
    t.true(insert(f, roll(2 ** 32), 4 * i))
    const slots = f.index.slots(f.bucket)
    if (i >= 100 && i < slots * 0.5) t.fail(`${slots} slots for ${i} entries`)
  }
  f.index.check(f.bucket)
  t.is(f.index.count(f.bucket), 3_000)
})

test('inserts, removals and resizes in any order leave what a Map has', (t) => {
  for (let seed = 1; seed <= 6; seed++) {
    const f = fixture()
    const { index, bucket } = f
    const roll = dice(seed)
    // Few distinct hashes, some of them at the very end; or all.
    const hashOf = (): number =>
      seed % 3 === 0 ? (roll(40) * 0x01000193) >>> 0 : seed % 3 === 1 ? roll(2 ** 32) : -1 - roll(9)
    const held = new Map<number, number>()
    let refused = 0
    for (let i = 1; i <= 6_000; i++) {
      const growing = Math.floor(i / 1_500) % 2 === 0
      if (roll(10) < (growing ? 7 : 3) || held.size === 0) {
        const hash = hashOf() >>> 0
        if (insert(f, hash, 4 * i)) held.set(4 * i, hash)
        else refused++
      } else {
        const [address, hash] = [...held][roll(held.size)]!
        index.remove(bucket, index.locate(bucket, hash, address))
        held.delete(address)
        index.shrink(bucket)
      }
      index.check(bucket)
      if (index.count(bucket) !== held.size) t.fail(`seed ${seed}, step ${i}: another count`)
    }
    for (const [address, hash] of held) {
      t.is(index.address(bucket, index.locate(bucket, hash, address)), address)
    }
    t.is(contents(f).length, held.size)
    if (seed % 3 === 1) t.is(refused, 0)
  }
})

test('the pool gets back what an index that became small does not need', (t) => {
  const f = fixture()
  const roll = dice(4)
  const all: [number, number][] = []
  for (let i = 1; i <= 2_000; i++) {
    const hash = roll(2 ** 32)
    all.push([hash, 4 * i])
    t.true(insert(f, hash, 4 * i))
  }
  const chunks = f.pool.used
  for (const [hash, address] of all.splice(100)) {
    f.index.remove(f.bucket, f.index.locate(f.bucket, hash, address))
    f.index.shrink(f.bucket)
  }
  f.index.check(f.bucket)
  t.true(f.pool.used < chunks / 4)
  f.index.reset(f.bucket)
  t.is(f.pool.used, 0)
  t.is(f.index.count(f.bucket), 0)
  t.deepEqual(contents(f), [])
  f.index.check(f.bucket)
})

test('an index does not shrink below what hashes at its end need', (t) => {
  const f = fixture()
  const roll = dice(8)
  for (let i = 1; i <= 400; i++) t.true(insert(f, roll(2 ** 31), 4 * i))
  const spread = contents(f)
  for (let i = 401; i <= 420; i++) t.true(insert(f, 0xffffffff, 4 * i))
  for (const [hash, address] of spread) {
    f.index.remove(f.bucket, f.index.locate(f.bucket, hash, address))
    f.index.shrink(f.bucket)
    f.index.check(f.bucket)
  }
  t.is(contents(f).length, 20)
  t.true(f.index.pieces(f.bucket) > 1)
})

test('an index grows to the pieces its directory can list, and no further', (t) => {
  const f = fixture(2 * 1024 * 1024)
  t.is(f.piecesMax, 8)
  const roll = dice(9)
  let held = 0
  while (insert(f, roll(2 ** 31), 4 * (held + 1))) held++
  t.is(f.index.pieces(f.bucket), 8)
  t.false(f.index.mayGrow(f.bucket))
  t.true(f.index.isFull(f.bucket))
  t.is(held, Math.floor(8 * 64 * 0.94))
  f.index.check(f.bucket)
})

test('an index whose hashes all lie at the end is full early, and does not grow for it', (t) => {
  const f = fixture()
  let held = 0
  while (insert(f, 0xffffffff, 4 * (held + 1))) held++
  t.is(held, 9, 'the last home and 8 slots of slack')
  t.is(f.index.pieces(f.bucket), 1)
  f.index.check(f.bucket)
})

test('searching and removing go on from piece to piece', (t) => {
  const f = fixture()
  const { index, bucket } = f
  const roll = dice(2)
  for (let i = 1; i <= 200; i++) insert(f, roll(2 ** 32), 4 * i)
  t.true(index.pieces(bucket) > 1)
  // A run that begins in the last slots of the first piece and ends in the second.
  const hash = Math.floor((60 / (index.slots(bucket) - 32)) * 2 ** 32)
  for (let i = 0; i < 30; i++) t.true(insert(f, hash, 4_000 + 4 * i))
  index.check(bucket)
  for (let i = 0; i < 30; i++) {
    index.remove(bucket, index.locate(bucket, hash, 4_000 + 4 * i))
    index.check(bucket)
  }
  t.is(index.count(bucket), 200)
})

test('a directory without memory for a piece leaves the index as it was', (t) => {
  const f = fixture()
  const roll = dice(6)
  while (f.index.hasRoom(f.bucket)) insert(f, roll(2 ** 31), 4 * (f.index.count(f.bucket) + 1))
  while (f.pool.take() !== 0);
  const before = contents(f)
  t.false(f.index.grow(f.bucket))
  t.deepEqual(contents(f), before)
})

test('an index gives a piece back only if its entries find places in the others', (t) => {
  const [spread, clustered] = [fixture(), fixture()]
  for (let i = 0; i < 70; i++) t.true(insert(spread, i * 40_000_000, 16 + i * 16))
  t.is(spread.index.pieces(spread.bucket), 2)
  for (let i = 69; i >= 40; i--) spread.index.remove(spread.bucket, lastOf(spread))
  t.true(spread.index.yieldPiece(spread.bucket))
  spread.index.check(spread.bucket)
  t.is(spread.index.pieces(spread.bucket), 1)
  t.false(spread.index.yieldPiece(spread.bucket), 'the first one stays')
  // In one piece there are nine slots from the last home on, in two there are seventeen.
  for (let i = 0; i < 70; i++) t.true(insert(clustered, i * 40_000_000, 16 + i * 16))
  for (let i = 69; i >= 0; i--) clustered.index.remove(clustered.bucket, lastOf(clustered))
  for (let i = 0; i < 12; i++) t.true(insert(clustered, 0xfffffff0, 16 + i * 16))
  t.false(clustered.index.yieldPiece(clustered.bucket))
  t.is(clustered.index.pieces(clustered.bucket), 2)
  clustered.index.check(clustered.bucket)
})

/** Position of the last entry. */
function lastOf({ index, bucket }: Fixture): number {
  let position = index.slots(bucket) - 1
  while (index.address(bucket, position) === 0) position--
  return position
}

/** A piece of this store has 1,024 slots, so that each bucket has a small index first. */
const LARGE = 1024 * 1024 * 1024

test('an index of few entries is a small one of 64 slots, and grows into its first piece', (t) => {
  const it = fixture(LARGE)
  const { index, bucket, pool } = it
  const next = dice(5)
  t.is(index.pieces(bucket), 0)
  t.is(index.slots(bucket), 64)
  let count = 0
  while (index.pieces(bucket) === 0) {
    t.true(insert(it, next(2 ** 32), 4 * ++count))
    index.check(bucket)
  }
  t.is(count, 55)
  t.is(index.slots(bucket), 1024)
  t.is(pool.used, 0)
  t.is(contents(it).length, 55)
})

test('small indexes of neighbours do not touch each other', (t) => {
  const it = fixture(LARGE)
  const { layout } = parts(LARGE)
  const { index } = it
  const other = it.bucket + layout.bucketWords
  index.open(other)
  // Hashes at the very end fill the last slots of one, those at the begin the first of the other.
  for (let i = 0; i < 8; i++) insert(it, 0xffffffff - 8 + i, 4 * (i + 1))
  for (let i = 0; i < 16; i++) insert({ ...it, bucket: other }, i, 400 + 4 * i)
  index.check(it.bucket)
  index.check(other)
  t.is(contents(it).length, 8)
  t.is(contents({ ...it, bucket: other }).length, 16)
})

test('a forgotten index is small again, and empty, whatever it was', (t) => {
  const it = fixture(LARGE)
  const { index, bucket } = it
  const next = dice(6)
  for (const entries of [10, 300, 3000]) {
    for (let i = 1; i <= entries; i++) t.true(insert(it, next(2 ** 32), 4 * i))
    index.reset(bucket)
    t.is(index.slots(bucket), 64)
    t.is(index.count(bucket), 0)
    t.deepEqual(contents(it), [])
    index.check(bucket)
  }
  // What it grows into is clean again, too.
  for (let i = 1; i <= 2000; i++) t.true(insert(it, next(2 ** 32), 4 * i))
  index.check(bucket)
  t.is(contents(it).length, 2000)
})
