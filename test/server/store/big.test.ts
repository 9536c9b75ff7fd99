import test from 'ava'
import { Chains, Pages } from '../../../server/store/big.ts'
import type { Pool } from '../../../server/store/pool.ts'
import { parts } from './parts.ts'

const PAGE = 512
const MB = 1024 * 1024
const NONE = new Uint8Array(0)

interface Fixture {
  readonly chains: Chains
  readonly pool: Pool
  readonly chunks: number
  /** Chunks that `win` still gives. */
  winnable: number[]
  /** Takes all chunks but these. */
  drain(left: number): void
}

function fixture(maxMemory = 2 * MB, promised = 0): Fixture {
  const { arena, pool, layout, io } = parts(maxMemory, promised)
  const f: Fixture = {
    chains: new Chains([arena], [pool], layout, io, {
      win() {
        const chunk = f.winnable.pop()
        if (chunk !== undefined) pool.give(chunk)
        return chunk !== undefined
      },
    }),
    pool,
    chunks: layout.chunks,
    winnable: [],
    drain(left) {
      const all: number[] = []
      for (let chunk = pool.take(); chunk !== 0; chunk = pool.take()) all.push(chunk)
      for (const chunk of all.slice(0, left)) pool.give(chunk)
      f.winnable = []
    },
  }
  return f
}

function bytesOf(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8)))
}

function receive(f: Fixture): Pages {
  return new Pages(f.chains, MB, null, NONE)
}

/** What a socket would be given, piece by piece. */
function pieces(pages: Pages): Uint8Array[] {
  const all: Uint8Array[] = []
  for (let at = 0; at < pages.length; at += all.at(-1)!.length) all.push(pages.piece(at))
  return all
}

test('pages hold what was written, whatever the lengths of the writes', (t) => {
  const f = fixture()
  for (const length of [0, 1, PAGE - 1, PAGE, PAGE + 1, 10 * PAGE, 70_000]) {
    for (const step of [1, PAGE, 3_001]) {
      if (step === 1 && length > 6_000) continue
      const pages = receive(f)
      const value = bytesOf(length)
      for (let at = 0; at < length; at += step) {
        t.true(pages.write(value, at, Math.min(step, length - at)))
      }
      t.is(pages.length, length)
      t.true(pages.toBuffer().equals(value))
      t.true(Buffer.concat(pieces(pages)).equals(value))
      t.is(f.pool.used, Math.ceil(length / PAGE))
      pages.release()
      pages.release()
      t.is(f.pool.used, 0)
      t.is(f.chains.inFlight, 0)
    }
  }
})

test('pages that are neighbours in memory are one piece of up to 64 KB, others are gathered', (t) => {
  const f = fixture()
  const value = bytesOf(200_000)
  const fresh = receive(f)
  t.true(fresh.write(value, 0, value.length))
  t.deepEqual(
    pieces(fresh).map((piece) => piece.length),
    [65_536, 65_536, 65_536, 3_392],
  )
  t.true(pieces(fresh).every((piece) => piece.buffer instanceof SharedArrayBuffer))
  fresh.release()
  // The free list gives the chunks back in the opposite order, or mixed: no neighbours.
  const mixed = receive(f)
  t.true(mixed.write(value, 0, value.length))
  t.true(Buffer.concat(pieces(mixed)).equals(value))
  t.true(pieces(mixed).every((piece) => piece.length >= 16_384 || piece.length === 3_392))
})

test('memory that cannot be had releases the pages, and they stay refused', (t) => {
  const f = fixture()
  f.drain(3)
  const used = f.pool.used
  const pages = receive(f)
  t.true(pages.write(bytesOf(3 * PAGE), 0, 3 * PAGE))
  t.false(pages.write(bytesOf(1), 0, 1))
  t.is(f.pool.used, used)
  t.is(f.chains.inFlight, 0)
  t.false(pages.write(bytesOf(1), 0, 1))
  t.is(pages.surrender(), null)
})

test('a dry pool is filled by winning, chunk after chunk', (t) => {
  const f = fixture()
  const chunk = f.pool.take()
  f.drain(0)
  f.winnable = [chunk]
  const pages = receive(f)
  t.true(pages.write(bytesOf(PAGE), 0, PAGE))
  t.deepEqual(f.winnable, [])
  t.false(pages.write(bytesOf(1), 0, 1))
})

test('pages in flight may take half of all chunks, not one more', (t) => {
  const f = fixture()
  const half = f.chunks >>> 1
  const first = receive(f)
  const second = receive(f)
  t.true(first.write(bytesOf(1000 * PAGE), 0, 1000 * PAGE))
  t.true(second.write(bytesOf((half - 1000) * PAGE), 0, (half - 1000) * PAGE))
  t.is(f.chains.inFlight, half)
  t.false(second.write(bytesOf(1), 0, 1))
  t.is(f.chains.inFlight, 1000)
  t.true(first.write(bytesOf(1), 0, 1))
})

test('a value as long as the limit is received, one byte more is not', (t) => {
  const f = fixture()
  const pages = new Pages(f.chains, 1_000, null, NONE)
  t.true(pages.write(bytesOf(1_000), 0, 1_000))
  t.false(pages.write(bytesOf(1), 0, 1))
  t.is(f.pool.used, 0)
})

test('a chain that cannot be extended is what it was', (t) => {
  const f = fixture()
  f.drain(5)
  const chain = f.chains.adopt(0, 0, 0)
  t.true(f.chains.extend(chain, 3 * PAGE))
  f.chains.write(chain, 0, bytesOf(3 * PAGE), 0, 3 * PAGE)
  f.chains.settle(chain)
  t.is(f.chains.inFlight, 0)
  t.false(f.chains.extend(chain, 6 * PAGE))
  t.is(chain.pages, 3)
  t.true(f.chains.extend(chain, 5 * PAGE))
  t.is(f.chains.inFlight, 2)
  f.chains.undo(chain)
  t.is(chain.pages, 3)
  const copy = Buffer.alloc(3 * PAGE)
  f.chains.gather(chain, 0, copy)
  t.true(copy.equals(bytesOf(3 * PAGE)))
})

test('parts of a chain are written, zeroed, read and compared across pages', (t) => {
  const f = fixture()
  const model = bytesOf(5_000)
  const chain = f.chains.adopt(0, 0, model.length)
  t.true(f.chains.extend(chain, model.length))
  f.chains.write(chain, 0, model, 0, model.length)
  f.chains.write(chain, 500, bytesOf(2_000), 3, 1_300)
  bytesOf(2_000).copy(model, 500, 3, 1_303)
  f.chains.zero(chain, 1_000, 700)
  model.fill(0, 1_000, 1_700)
  t.true(f.chains.equal(chain.first, Buffer.concat([Buffer.from('x'), model]), 1, model.length))
  model[4_999]! ^= 1
  t.false(f.chains.equal(chain.first, model, 0, model.length))
  t.true(f.chains.equal(chain.first, model, 0, 4_999))
  const copy = Buffer.alloc(1_500)
  f.chains.gather(chain, 3_000, copy)
  t.true(copy.equals(model.subarray(3_000, 4_500)))
  f.chains.gather(chain, 10, copy) // backwards again
  t.true(copy.equals(model.subarray(10, 1_510)))
})

test('a chain without readers is freed at once, one with readers by the last of them', (t) => {
  const f = fixture()
  const make = (): number => {
    const chain = f.chains.adopt(0, 0, 0)
    t.true(f.chains.extend(chain, 4 * PAGE))
    f.chains.settle(chain)
    return chain.first
  }
  f.chains.abandon(make(), 4)
  t.is(f.pool.used, 0)
  t.is(f.chains.orphaned, 0)
  const first = make()
  t.false(f.chains.isPinned(first))
  f.chains.pin(first)
  f.chains.pin(first)
  t.true(f.chains.isPinned(first))
  f.chains.unpin(first)
  f.chains.abandon(first, 4)
  t.is(f.chains.orphaned, 4)
  t.is(f.pool.used, 4)
  f.chains.unpin(first)
  t.is(f.chains.orphaned, 0)
  t.is(f.pool.used, 0)
  // Unpinned before it is abandoned: still one free, not two.
  const second = make()
  f.chains.pin(second)
  f.chains.unpin(second)
  t.is(f.pool.used, 4)
  f.chains.abandon(second, 4)
  t.is(f.pool.used, 0)
  t.is(f.pool.check(), 0)
})
