import test from 'ava'
import type { Layout } from '../../../server/store/memory.ts'
import {
  acquire,
  BUCKET_FIXED_WORDS,
  BUCKETS,
  CHUNK_WORDS,
  chunksFor,
  Directory,
  fixedBytes,
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

const layoutFor = (maxMemory: number, databases = 16): Layout => layoutOf({ maxMemory, databases })

const KB = 1024
const MB = 1024 * KB

test('maxmemory below the minimum is refused, the minimum is accepted', (t) => {
  t.throws(() => layoutFor(MEMORY_BYTES_MIN - 1), {
    instanceOf: RangeError,
    message: 'maxmemory must be at least 2097152 bytes (2mb), but is 2097151',
  })
  t.true(layoutFor(MEMORY_BYTES_MIN).chunks > 4 * BUCKETS)
  t.throws(() => layoutFor(NaN), { instanceOf: RangeError })
})

test('the maximum is accepted, more is refused', (t) => {
  const max = memoryBytesMax()
  t.true(layoutFor(max).arenas >= 1)
  t.throws(() => layoutFor(max + 1), {
    instanceOf: RangeError,
    message: multiMemory ? /at most \d+ bytes, but is \d+$/ : /Node\.js 20 allows/,
  })
})

test('a chunk is the largest power of two up to 64 KB that gives each bucket 32, at least 512', (t) => {
  const chunkBytes = (maxMemory: number): number => 1 << layoutFor(maxMemory).chunkShift
  t.is(chunkBytes(2 * MB), 512)
  t.is(chunkBytes(16 * MB - 1), 512)
  t.is(chunkBytes(16 * MB), 1 * KB)
  t.is(chunkBytes(1024 * MB - 1), 32 * KB)
  t.is(chunkBytes(1024 * MB), 64 * KB)
  t.is(chunkBytes(2000 * MB), 64 * KB)
})

test('the parts of an arena follow each other, do not exceed maxmemory, and waste no chunk', (t) => {
  for (let maxMemory = 2 * MB; maxMemory <= 2000 * MB; maxMemory = Math.floor(maxMemory * 1.37)) {
    for (const databases of [1, 16, 256]) {
      const layout = layoutFor(maxMemory, databases)
      const base = multiMemory ? 0 : IO_BYTES
      const chunkBytes = 1 << layout.chunkShift
      const firstChunk = layout.origin + chunkBytes
      const end = firstChunk + layout.chunks * chunkBytes
      const buckets = layout.firstBucket + layout.bucketsPerArena * layout.bucketWords
      t.true(layout.header * 4 >= base)
      const { indexPieces, ghostPieces } = layout
      t.true(indexPieces.first >= BUCKET_FIXED_WORDS + 2 * databases)
      t.is(ghostPieces.first, indexPieces.first + indexPieces.piecesMax)
      t.true(ghostPieces.piecesMax * 2 >= indexPieces.piecesMax)
      t.true(ghostPieces.first + ghostPieces.piecesMax <= layout.bucketWords)
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
    t.throws(() => layoutFor(2 * GB))
    return
  }
  t.is(layoutFor(2 * GB).arenas, 1)
  t.true(layoutFor(2 * GB).wasmPages * 64 * KB < 2 * GB)
  t.is(layoutFor(2 * GB + 1).arenas, 2)
  t.is(layoutFor(16 * GB).arenas, 8)
  t.is(layoutFor(16 * GB).bucketsPerArena, 64)
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

test('a lock that is never given back is an error in the end, not a thread that hangs', (t) => {
  const words = new Int32Array(new SharedArrayBuffer(8))
  acquire(words, 1, 0)
  t.throws(() => acquire(words, 1, 3), { message: /a lock is not given back/ })
  release(words, 1)
  t.notThrows(() => acquire(words, 1, 0))
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
  const layout = layoutFor(2 * MB)
  const first = openMemories(layout)
  const second = openMemories(layout, first.shared)
  first.arenas[0]!.bytes[100_000] = 77
  t.is(second.arenas[0]!.bytes[100_000], 77)
  t.not(first.io.bytes, second.io.bytes)
})

test('a ceiling makes room for chunks and pieces, and takes nothing from those of maxmemory', (t) => {
  const sizes = [2 * MB, 6 * MB, 64 * MB, 300 * MB, 1024 * MB]
  for (const maxMemory of sizes.filter((size) => size <= memoryBytesMax())) {
    const alone = layoutFor(maxMemory)
    t.is(chunksFor(alone, maxMemory), alone.chunks)
    for (const ceiling of [maxMemory, maxMemory + 1, Math.min(3 * maxMemory, 2000 * MB)]) {
      const layout = layoutOf({ maxMemory, ceiling, databases: 16 })
      const chunkBytes = 1 << layout.chunkShift
      t.is(layout.chunkShift, alone.chunkShift)
      t.is(layout.bucketWords, alone.bucketWords)
      t.is(chunksFor(layout, maxMemory), alone.chunks, `${maxMemory} of ${ceiling}`)
      t.is(chunksFor(layout, ceiling), layout.chunks)
      const paid = fixedBytes(layout, ceiling, layout.chunks) + layout.chunks * chunkBytes
      t.true(paid <= ceiling && ceiling - paid < 2 * chunkBytes)
      t.true(layout.wasmPages * 64 * KB < 2 ** 31)
      const base = multiMemory ? 0 : IO_BYTES
      t.true(layout.origin + (layout.chunks + 1) * chunkBytes - base <= ceiling)
    }
  }
})

test('each piece of each bucket has a word of its own, near or far', (t) => {
  const layout = layoutOf({ maxMemory: 4 * MB, ceiling: 20 * MB, databases: 3, buckets: 64 })
  const directories = [
    new Directory(layout, layout.indexPieces),
    new Directory(layout, layout.ghostPieces),
  ]
  t.true(layout.indexPieces.near < directories[0]!.piecesMax)
  t.true(layout.ghostPieces.near < directories[1]!.piecesMax)
  const seen = new Set<number>()
  let words = 0
  for (let n = 0; n < 64; n++) {
    const bucket = layout.firstBucket + n * layout.bucketWords
    for (const directory of directories) {
      for (let piece = 0; piece < directory.piecesMax; piece++, words++) {
        const word = directory.word(bucket, piece)
        seen.add(word)
        if (word < bucket + BUCKET_FIXED_WORDS + 6) t.fail('a piece stands before its bucket')
        if (word >= layout.chunkTable) t.fail('a piece stands in the chunk table')
        const near = word < layout.firstBucket + 64 * layout.bucketWords
        if (near && word >= bucket + layout.bucketWords) t.fail('a piece stands in another bucket')
      }
    }
  }
  t.is(seen.size, words)
})

test('a ceiling below maxmemory is refused, and one above what this Node can', (t) => {
  const make = (ceiling: number) => () =>
    layoutOf({ maxMemory: 4 * MB, ceiling, databases: 1 }).ceiling
  t.throws(make(4 * MB - 1), {
    instanceOf: RangeError,
    message: /ceiling .* at least 4194304 bytes, which is maxmemory, but is 4194303$/,
  })
  t.is(make(4 * MB)(), 4 * MB)
  t.is(make(memoryBytesMax())(), memoryBytesMax())
  t.throws(make(memoryBytesMax() + 1), { instanceOf: RangeError, message: /^the ceiling/ })
})

test('a store may have fewer buckets, and then less memory', (t) => {
  const make = (buckets: number, maxMemory = 2 * MB) =>
    layoutOf({ maxMemory, databases: 1, buckets })
  for (const buckets of [0, 3, 513, 1024, 0.5, NaN]) {
    t.throws(() => make(buckets), { instanceOf: RangeError, message: /power of two up to 512/ })
  }
  t.is(make(512).bucketsPerArena, 512)
  t.is(make(1).bucketsPerArena, 1)
  t.is(make(1, 4096).chunkShift, 9)
  t.throws(() => make(1, 4095), { message: 'maxmemory must be at least 4096 bytes, but is 4095' })
  t.throws(() => make(8, 8 * 4096 - 1), { instanceOf: RangeError })
  // 74 entries of 480 bytes and a little: 32 chunks of 1 KB.
  t.is(make(1, 32 * KB).chunkShift, 10)
  t.true(make(1, 40 * KB).chunks >= 32)
})

test('each bucket has the chunk it is promised, or maxmemory is refused', (t) => {
  t.notThrows(() => layoutFor(2 * MB, 256))
  const error = t.throws(() => layoutFor(2 * MB, 4096), { instanceOf: RangeError })
  const least = Number(/at least (\d+) bytes for 4096 databases/.exec(error.message)?.[1])
  t.throws(() => layoutFor(least - 1, 4096), { instanceOf: RangeError })
  t.true(layoutFor(least + 4096 * 512, 4096).chunks >= BUCKETS)
})
