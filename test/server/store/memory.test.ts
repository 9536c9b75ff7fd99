import test from 'ava'
import {
  acquire,
  BUCKET_FIXED_WORDS,
  BUCKETS,
  CHUNK_WORDS,
  IO_BYTES,
  layoutOf,
  MEMORY_BYTES_MIN,
  memoryBytesMax,
  multiMemory,
  openMemories,
  release,
  tryAcquire,
} from '../../../server/store/memory.ts'
import { parts } from './parts.ts'

const KB = 1024
const MB = 1024 * KB

test('maxmemory below the minimum is refused, the minimum is accepted', (t) => {
  t.throws(() => layoutOf(MEMORY_BYTES_MIN - 1, 16), {
    instanceOf: RangeError,
    message: 'maxmemory must be at least 2097152 bytes (2mb), but is 2097151',
  })
  t.true(layoutOf(MEMORY_BYTES_MIN, 16).chunks > 4 * BUCKETS)
  t.throws(() => layoutOf(NaN, 16), { instanceOf: RangeError })
})

test('the maximum is accepted, more is refused', (t) => {
  const max = memoryBytesMax()
  t.true(layoutOf(max, 16).arenas >= 1)
  t.throws(() => layoutOf(max + 1, 16), {
    instanceOf: RangeError,
    message: multiMemory ? /at most \d+ bytes, but is \d+$/ : /Node\.js 20 allows/,
  })
})

test('a chunk is the largest power of two up to 64 KB that gives each bucket 32, at least 512', (t) => {
  const chunkBytes = (maxMemory: number): number => 1 << layoutOf(maxMemory, 16).chunkShift
  t.is(chunkBytes(2 * MB), 512)
  t.is(chunkBytes(16 * MB - 1), 512)
  t.is(chunkBytes(16 * MB), 1 * KB)
  t.is(chunkBytes(1024 * MB - 1), 32 * KB)
  t.is(chunkBytes(1024 * MB), 64 * KB)
  t.is(chunkBytes(2000 * MB), 64 * KB)
})

test('the parts of an arena follow each other, do not exceed maxmemory, and waste no chunk', (t) => {
  for (let maxMemory = 2 * MB; maxMemory <= 2000 * MB; maxMemory = Math.floor(maxMemory * 1.37)) {
    for (const databases of [1, 16, 1000]) {
      const layout = layoutOf(maxMemory, databases)
      const base = multiMemory ? 0 : IO_BYTES
      const chunkBytes = 1 << layout.chunkShift
      const firstChunk = layout.origin + chunkBytes
      const end = firstChunk + layout.chunks * chunkBytes
      const buckets = layout.firstBucket + layout.bucketsPerArena * layout.bucketWords
      t.true(layout.header * 4 >= base)
      t.true(layout.indexDirectory >= BUCKET_FIXED_WORDS + 2 * databases)
      t.is(layout.ghostDirectory, layout.indexDirectory + layout.piecesMax)
      t.true(layout.ghostPiecesMax * 2 >= layout.piecesMax)
      t.true(layout.ghostDirectory + layout.ghostPiecesMax <= layout.bucketWords)
      t.true(buckets <= layout.chunkTable)
      t.true((layout.chunkTable + (layout.chunks + 1) * CHUNK_WORDS) * 4 <= layout.firstPiece)
      t.is(layout.firstPiece + (layout.bucketsPerArena << layout.pieceShift), firstChunk)
      t.true(end - base <= maxMemory)
      t.true(maxMemory - (end - base) < 2 * chunkBytes, `${maxMemory} wastes a chunk`)
      t.true(end <= layout.wasmPages * 64 * KB)
    }
  }
})

test('2 GB lie in one arena, more in several', (t) => {
  const GB = 1024 * MB
  if (!multiMemory) {
    t.throws(() => layoutOf(2 * GB, 16))
    return
  }
  t.is(layoutOf(2 * GB, 16).arenas, 1)
  t.true(layoutOf(2 * GB, 16).wasmPages * 64 * KB < 2 * GB)
  t.is(layoutOf(2 * GB + 1, 16).arenas, 2)
  t.is(layoutOf(16 * GB, 16).arenas, 8)
  t.is(layoutOf(16 * GB, 16).bucketsPerArena, 64)
})

test('the areas of the I/O memory do not overlap', (t) => {
  const { io } = parts()
  const starts = [io.carry, io.read, io.scratch, ...io.replies]
  const ends = [io.read, io.readEnd, io.scratchEnd, ...io.replies.map((at) => at + io.replyBytes)]
  t.deepEqual([io.read, io.readEnd - io.read], [64 * KB, 64 * KB])
  t.is(io.scratchEnd - io.scratch, 128 * KB)
  t.is(io.replies.length, 8)
  for (let i = 1; i < starts.length; i++) t.true(starts[i]! >= ends[i - 1]!)
  t.true(ends.at(-1)! <= io.bytes.length)
})

test('copies of every length arrive, from the I/O memory and from the heap', (t) => {
  const { arena, io, layout } = parts()
  const at = layout.origin + 512
  const holds = (bytes: Uint8Array, from: number, expected: Buffer): boolean =>
    t.true(expected.equals(bytes.subarray(from, from + expected.length)))
  for (const length of [...Array(70).keys(), 1000, 65_536, 65_537, 200_000]) {
    const value = Buffer.from(Uint8Array.from({ length }, (_, i) => i * 7 + length))
    io.bytes.set(value, io.scratch + 3)
    arena.copyIn(at + 1, io.bytes, io.scratch + 3, length)
    holds(arena.bytes, at + 1, value)
    arena.copyOut(io.replies[0]! + 5, at + 1, length)
    holds(io.bytes, io.replies[0]! + 5, value)
    arena.clear(at, length + 9)
    holds(arena.bytes, at, Buffer.alloc(length + 9))
    arena.copyIn(at, Buffer.concat([Buffer.from('ab'), value]), 2, length)
    holds(arena.bytes, at, value)
  }
})

test('a move within the arena may overlap itself', (t) => {
  const { arena, layout } = parts()
  const at = layout.origin + 512
  const value = Uint8Array.from({ length: 300 }, (_, i) => i & 255)
  arena.bytes.set(value, at + 100)
  arena.move(at + 60, at + 100, 300)
  t.deepEqual(arena.bytes.slice(at + 60, at + 360), value)
  arena.move(at + 90, at + 60, 300)
  t.deepEqual(arena.bytes.slice(at + 90, at + 390), value)
})

test('a lock is had by one at a time', (t) => {
  const words = new Int32Array(new SharedArrayBuffer(8))
  acquire(words, 1)
  t.false(tryAcquire(words, 1))
  t.true(tryAcquire(words, 0))
  release(words, 1)
  t.true(tryAcquire(words, 1))
})

test('arenas opened in another place are the same memory', (t) => {
  if (!multiMemory) {
    t.pass('Node 20 has one thread')
    return
  }
  const layout = layoutOf(2 * MB, 16)
  const first = openMemories(layout)
  const second = openMemories(layout, first.shared)
  first.arenas[0]!.bytes[100_000] = 77
  t.is(second.arenas[0]!.bytes[100_000], 77)
  t.not(first.io.bytes, second.io.bytes)
})
