import test from 'ava'
import { entryBytes, isFiller, narrowHead } from '../../../server/store/entry.ts'
import type { Arena } from '../../../server/store/memory.ts'
import type { Pool } from '../../../server/store/pool.ts'
import { GENERATION } from '../../../server/store/pool.ts'
import type { RingOwner } from '../../../server/store/ring.ts'
import { GONE, KEEP, raised, Ring, STUCK } from '../../../server/store/ring.ts'
import { dice } from './model.ts'
import { parts } from './parts.ts'

const CHUNK = 512
const GENERATIONS = 68
const MOVED_BYTES = 74

/** A bucket that has nothing but a ring: remembers where each entry stands, and its generation. */
class Owner implements RingOwner {
  readonly ring: Ring
  readonly pool: Pool
  readonly arena: Arena
  readonly words: Int32Array
  readonly bucket: number
  readonly block: number
  /** Number of the entry to its place. A Map keeps them in the order they were placed. */
  readonly entries = new Map<number, { address: number; generation: number; bytes: number }>()
  readonly byAddress = new Map<number, number>()
  readonly evicted: number[] = []
  /** What becomes of the entry at the tail. */
  verdict: (id: number) => number = () => GONE
  chunksMax = Infinity
  surplus = false
  ticks = 0
  #next = 1

  constructor(promised = 1) {
    const { arena, pool, layout } = parts(2 * 1024 * 1024, promised)
    this.arena = arena
    this.pool = pool
    this.words = arena.words
    this.bucket = layout.firstBucket
    this.block = this.bucket + 8
    this.ring = new Ring(arena, pool, this, {
      chunkBytes: CHUNK,
      trailer: 0,
      generationsWord: GENERATIONS,
      movedBytesWord: MOVED_BYTES,
    })
  }

  /** Leaves the pool with this many chunks. */
  drain(left: number): void {
    const all: number[] = []
    for (let chunk = this.pool.take(); chunk !== 0; chunk = this.pool.take()) all.push(chunk)
    for (const chunk of all.slice(0, left)) this.pool.give(chunk)
  }

  add(bytes: number): number {
    const id = this.#next++
    const address = this.ring.place(this.bucket, this.block, bytes)
    if (address === 0) return 0
    const keyLength = Math.min(bytes - 4, 255)
    this.words[address >> 2] = narrowHead(0, 0, keyLength, bytes - 4 - keyLength, false)
    if (bytes > 4) this.words[(address >> 2) + 1] = id
    const generation = this.ring.generationAt(address)
    this.entries.set(id, { address, generation, bytes })
    this.byAddress.set(address, id)
    return id
  }

  delete(id: number): void {
    const { address } = this.entries.get(id)!
    this.ring.kill(this.block, address)
    this.entries.delete(id)
    this.byAddress.delete(address)
  }

  judge(_bucket: number, _ring: number, address: number): number {
    const id = this.byAddress.get(address)!
    const verdict = this.verdict(id)
    if (verdict !== GONE) return verdict
    this.evicted.push(id)
    this.delete(id)
    return GONE
  }

  mayExtend(): boolean {
    return this.ring.chunks(this.block) < this.chunksMax
  }

  hasSurplus(): boolean {
    return this.surplus
  }

  firstChunk(): number {
    return this.pool.takePromised()
  }

  relieve(): boolean {
    return false
  }

  clock(): number {
    return this.ticks
  }

  moved(_bucket: number, from: number, to: number): void {
    const id = this.byAddress.get(from)!
    this.byAddress.delete(from)
    this.byAddress.set(to, id)
    const { bytes } = this.entries.get(id)!
    this.entries.delete(id) // it is the newest now
    this.entries.set(id, { address: to, generation: this.ring.generationAt(to), bytes })
  }

  /** What is wrong, or null. A ring that keeps entries changes their order and generations. */
  fault(keeps = false): string | null {
    this.ring.check(this.block)
    const order: number[] = []
    this.ring.walk(this.block, (address) => order.push(this.byAddress.get(address) ?? -1))
    const ids = [...this.entries.keys()]
    if (keeps) {
      order.sort((a, b) => a - b)
      ids.sort((a, b) => a - b)
    }
    if (order.join() !== ids.join()) return 'other entries, or in another order, than were written'
    for (const [id, { address, generation, bytes }] of this.entries) {
      if (isFiller(this.words, address)) return `${id} was overwritten by a filler`
      if (entryBytes(this.words, address, 0) !== bytes) return `${id} has another length`
      if (bytes > 4 && this.words[(address >> 2) + 1] !== id) return `${id} has other bytes`
      if (!keeps && !this.ring.alive(this.block, address, generation)) return `${id} is not alive`
    }
    return null
  }
}

test('a ring takes chunks while the pool has some, and evicts the oldest first after that', (t) => {
  const owner = new Owner()
  owner.drain(3)
  for (let i = 0; i < 4 * (CHUNK / 64); i++) owner.add(64)
  t.deepEqual(owner.evicted, [])
  t.is(owner.ring.chunks(owner.block), 4)
  owner.add(64)
  t.deepEqual(owner.evicted, [1])
  owner.add(128)
  t.deepEqual(owner.evicted, [1, 2, 3])
  for (let i = 0; i < 100; i++) owner.add(64)
  t.deepEqual(
    owner.evicted,
    Array.from({ length: owner.evicted.length }, (_, i) => i + 1),
  )
  t.is(owner.fault(), null)
})

test('a ring of one chunk serves entries of half a chunk', (t) => {
  const owner = new Owner()
  owner.drain(0)
  for (let i = 0; i < 50; i++) {
    owner.add(i % 3 === 0 ? CHUNK / 2 : 4 + (i % 7) * 4)
    t.is(owner.fault(), null)
  }
  t.is(owner.ring.chunks(owner.block), 1)
})

test('an address is alive until its entry is overwritten or its chunk left, in every generation', (t) => {
  const owner = new Owner()
  owner.drain(2)
  const roll = dice(5)
  const gone: { address: number; generation: number }[] = []
  for (let i = 0; i < 3_000; i++) {
    const before = new Map(owner.entries)
    owner.add(4 + 4 * roll(40))
    for (const id of owner.evicted.splice(0)) gone.push(before.get(id)!)
    if (gone.length > 200) gone.splice(0, 100)
    t.is(owner.fault(), null)
    const undead = gone.filter((it) => owner.ring.alive(owner.block, it.address, it.generation))
    if (undead.length > 0) t.fail(`step ${i}: an evicted entry is alive`)
  }
})

test('the generation wraps from 2^24 - 1 to 1, and never is 0', (t) => {
  t.is(raised(1), 2)
  t.is(raised(0xfffffe), 0xffffff)
  t.is(raised(0xffffff), 1)
  const owner = new Owner()
  owner.drain(1)
  owner.add(64)
  for (let i = 0; i < 20; i++) owner.add(64)
  for (let chunk = 1; chunk < 10; chunk++) {
    owner.words[owner.pool.row(chunk) + GENERATION] = 0xffffff - 2
  }
  for (const held of owner.entries.values()) {
    held.generation = owner.ring.generationAt(held.address)
  }
  const seen = new Set<number>()
  for (let i = 0; i < 100; i++) {
    const { address, generation } = owner.entries.get(owner.add(64))!
    seen.add(generation)
    t.false(owner.ring.alive(owner.block, address, 0))
    if (i > 20) t.is(owner.fault(), null)
  }
  t.true(seen.has(0xffffff) && seen.has(1) && !seen.has(0))
})

test('dead bytes are used again before the pool is asked, and nothing live is evicted', (t) => {
  const owner = new Owner()
  owner.drain(20)
  const live: number[] = []
  for (let i = 0; i < 9 * 8; i++) live.push(owner.add(64))
  // Deletes and adds for ever: the ring must not grow beyond what a quarter of dead bytes takes.
  const roll = dice(3)
  for (let i = 0; i < 5_000; i++) {
    const index = roll(live.length)
    owner.delete(live[index]!)
    live[index] = owner.add(64)
    if (i % 50 === 0) t.is(owner.fault(true), null)
  }
  t.deepEqual(owner.evicted, [])
  t.true(owner.ring.chunks(owner.block) <= 14, `${owner.ring.chunks(owner.block)} chunks`)
})

test('a ring that is a quarter dead gives chunks back, down to one', (t) => {
  const owner = new Owner()
  owner.drain(50)
  const all = Array.from({ length: 40 * 8 }, () => owner.add(64))
  t.is(owner.ring.chunks(owner.block), 40)
  all.forEach((id, i) => {
    if (i % 4 === 0) return
    owner.delete(id)
    owner.ring.trim(owner.bucket, owner.block)
    const live = owner.entries.size * 64
    const chunks = owner.ring.chunks(owner.block)
    if (i > 100 && live < chunks * CHUNK * 0.5) t.fail(`${live} live bytes in ${chunks} chunks`)
  })
  t.is(owner.fault(true), null)
  t.deepEqual(owner.evicted, [])
  for (const id of [...owner.entries.keys()]) {
    owner.delete(id)
    owner.ring.trim(owner.bucket, owner.block)
  }
  t.is(owner.ring.chunks(owner.block), 1)
  t.is(owner.fault(true), null)
})

test('a ring yields a chunk by evicting its oldest entries, but never its last chunk', (t) => {
  const owner = new Owner()
  owner.drain(3)
  for (let i = 0; i < 4 * 8; i++) owner.add(64)
  t.true(owner.ring.yieldChunk(owner.bucket, owner.block))
  t.deepEqual(owner.evicted, [1, 2, 3, 4, 5, 6, 7, 8])
  t.is(owner.ring.chunks(owner.block), 3)
  for (let rest = 2; rest > 0; rest--) {
    t.true(owner.ring.yieldChunk(owner.bucket, owner.block))
  }
  t.false(owner.ring.yieldChunk(owner.bucket, owner.block))
  t.is(owner.ring.chunks(owner.block), 1)
  t.is(owner.entries.size, 8)
  t.is(owner.fault(true), null)
  const used = owner.pool.used
  t.true(owner.ring.close(owner.bucket, owner.block))
  t.is(owner.entries.size, 0, 'a ring that is closed lets the last one go')
  t.is(owner.pool.used, used - 1)
})

test('an entry that is kept is the newest, and nobody goes who is kept for ever', (t) => {
  const owner = new Owner()
  owner.drain(2)
  const [kept] = Array.from({ length: 3 * 8 }, () => owner.add(64))
  owner.verdict = (id) => (id === kept ? KEEP : GONE)
  for (let i = 0; i < 200; i++) {
    owner.add(64)
    t.is(owner.fault(true), null)
  }
  t.true(owner.entries.has(kept!))
  t.is(owner.entries.size, 3 * 8)
})

test('where nobody may go a placement fails, and works again when somebody may', (t) => {
  const owner = new Owner()
  owner.drain(1)
  for (let i = 0; i < 2 * 8; i++) owner.add(64)
  owner.verdict = () => STUCK
  for (let i = 0; i < 5; i++) t.is(owner.add(64), 0)
  t.is(owner.fault(), null)
  t.is(owner.entries.size, 2 * 8)
  t.false(owner.ring.yieldChunk(owner.bucket, owner.block))
  t.false(owner.ring.close(owner.bucket, owner.block))
  owner.delete(2)
  owner.verdict = (id) => (id === 1 ? KEEP : STUCK)
  t.not(owner.add(64), 0)
  t.is(owner.fault(true), null)
  owner.verdict = () => GONE
  t.not(owner.add(64), 0)
  t.is(owner.fault(true), null)
})

test('a ring that may not extend chases its own tail, and one with a surplus gives a chunk', (t) => {
  const owner = new Owner()
  owner.drain(10)
  owner.chunksMax = 3
  for (let i = 0; i < 5 * 8; i++) owner.add(64)
  t.is(owner.ring.chunks(owner.block), 3)
  t.is(owner.evicted.length, 2 * 8)
  owner.surplus = true
  owner.chunksMax = 2
  owner.add(64)
  t.is(owner.ring.chunks(owner.block), 2)
  t.is(owner.fault(), null)
})

test('distances and stamps are those of the entry, in front of the head too', (t) => {
  const owner = new Owner()
  owner.drain(3)
  const stamps = new Map<number, number>()
  const placed = new Map<number, number>()
  for (let i = 0; i < 40 * 8; i++) {
    owner.ticks++
    const startsChunk = i % 8 === 0
    const id = owner.add(64)
    if (startsChunk) stamps.set(i >> 3, owner.ticks)
    placed.set(id, i)
    for (const [held, { address }] of owner.entries) {
      const at = placed.get(held)!
      const distance = owner.ring.distance(owner.block, address)
      if (distance !== (i + 1 - at) * 64) return t.fail(`distance ${distance} of ${i - at}`)
      const stamp = owner.ring.stampAt(owner.block, address)
      if (stamp !== stamps.get(at >> 3)) return t.fail(`stamp ${stamp} in step ${i} of ${at}`)
    }
  }
  return t.pass()
})

test('a reset gives everything back, and what was alive is not', (t) => {
  const owner = new Owner()
  const used = owner.pool.used
  for (let i = 0; i < 100; i++) owner.add(64)
  const held = [...owner.entries.values()]
  owner.ring.reset(owner.bucket, owner.block)
  t.is(owner.pool.used, used)
  t.is(owner.ring.chunks(owner.block), 0)
  owner.entries.clear()
  owner.byAddress.clear()
  for (let i = 0; i < 100; i++) owner.add(64)
  t.true(held.every((it) => !owner.ring.alive(owner.block, it.address, it.generation)))
  t.is(owner.fault(true), null)
})

test('a seeded stream of adds, deletes, trims and yields keeps every entry whole', (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    const owner = new Owner()
    owner.drain(seed % 4 === 0 ? 60 : seed)
    const roll = dice(seed)
    for (let i = 0; i < 4_000; i++) {
      const ids = [...owner.entries.keys()]
      const what = roll(10)
      if (what < 6 || ids.length === 0) owner.add(4 + 4 * roll(roll(4) === 0 ? 64 : 12))
      else if (what < 9) owner.delete(ids[roll(ids.length)]!)
      else owner.ring.trim(owner.bucket, owner.block)
      if (roll(200) === 0) owner.ring.yieldChunk(owner.bucket, owner.block)
      const fault = owner.fault(true)
      if (fault !== null) return t.fail(`seed ${seed}, step ${i}: ${fault}`)
    }
  }
  return t.pass()
})
