import test from 'ava'
import { NEXT } from '../../../server/store/pool.ts'
import { parts } from './parts.ts'

const MB = 1024 * 1024

test('chunks do not overlap and none is given twice; the promised ones stay', (t) => {
  const { pool, layout } = parts(2 * MB, 500)
  const seen = new Set<number>()
  for (let chunk = pool.take(); chunk !== 0; chunk = pool.take()) {
    t.false(seen.has(chunk))
    seen.add(chunk)
    if (pool.chunkOf(pool.start(chunk)) !== chunk) t.fail('a start is not in its chunk')
    if (pool.chunkOf(pool.start(chunk) + 511) !== chunk) t.fail('an end is not in its chunk')
  }
  t.is(seen.size, layout.chunks - 500)
  t.false(pool.available)
  for (let i = 0; i < 500; i++) seen.add(pool.takePromised())
  t.is(seen.size, layout.chunks)
  t.true([...seen].every((chunk) => chunk >= 1 && chunk <= layout.chunks))
  t.is(pool.used, layout.chunks)
  t.is(pool.check(), layout.chunks)
})

test('chunks given back are given again, before memory that was never used', (t) => {
  const { pool, arena } = parts()
  const [a, b, c] = [pool.take(), pool.take(), pool.take()]
  arena.words[pool.row(a) + NEXT] = c
  pool.giveList(a, c, 2)
  t.is(pool.used, 1)
  pool.check()
  t.deepEqual([pool.take(), pool.take()], [a, c])
  t.is(pool.take(), b + 2)
  pool.check()
})

test('a ring that gives all its chunks back is promised one again', (t) => {
  const { pool, layout } = parts(2 * MB, 1)
  const promised = pool.takePromised()
  let last = 0
  for (let chunk = pool.take(); chunk !== 0; chunk = pool.take()) last = chunk
  t.is(pool.used, layout.chunks)
  pool.give(promised)
  pool.promise()
  t.is(pool.take(), 0)
  pool.give(last)
  t.is(pool.take(), last)
  t.is(pool.takePromised(), promised)
})

test('index pieces share chunks, and a chunk whose pieces all come back is a chunk again', (t) => {
  const { pool, layout } = parts(64 * MB)
  const perChunk = 1 << (layout.chunkShift - layout.pieceShift)
  t.is(perChunk, 8)
  const pieces = Array.from({ length: 3 * perChunk }, () => pool.takePiece())
  t.is(new Set(pieces).size, pieces.length)
  t.is(new Set(pieces.map((piece) => pool.chunkOf(piece))).size, 3)
  t.is(pool.used, 3)
  t.is(pool.pieceChunks, 3)
  // From the middle of each chunk, so that all three are partly used.
  for (const piece of [pieces[3]!, pieces[11]!, pieces[19]!]) pool.givePiece(piece)
  pool.check()
  t.is(pool.used, 3)
  for (const piece of pieces.slice(8, 16)) if (piece !== pieces[11]) pool.givePiece(piece)
  pool.check()
  t.is(pool.used, 2)
  const again = new Set([pool.takePiece(), pool.takePiece()])
  t.true(again.has(pieces[3]!) && again.has(pieces[19]!), 'the pieces of the other two chunks')
  t.is(pool.used, 2)
  pool.check()
})

test('no piece is given when there is no chunk for it', (t) => {
  const { pool } = parts()
  while (pool.take() !== 0);
  t.is(pool.takePiece(), 0)
  t.is(pool.pieceChunks, 0)
})

test('the pool knows how many chunks are pages, pieces and of rings', (t) => {
  const { pool, layout } = parts(2 * MB, 1)
  const promised = pool.takePromised()
  pool.take()
  const pages = Array.from({ length: 3 }, () => pool.takePage())
  pool.takePiece()
  t.deepEqual([pool.used, pool.pages, pool.pieceChunks, pool.ringChunks], [6, 3, 1, 2])
  pool.givePages(pages[1]!, pages[1]!, 1)
  t.deepEqual([pool.used, pool.pages, pool.ringChunks], [5, 2, 2])
  t.is(pool.takePage(), pages[1]!)
  pool.give(promised)
  pool.promise()
  while (pool.take() !== 0);
  t.is(pool.takePage(), 0, 'the promised chunk stays')
  t.is(pool.pages, 3)
  t.is(pool.ringChunks, layout.chunks - 1 - 3 - 1)
  pool.check()
})
