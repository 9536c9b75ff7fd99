/*
 * The store against a plain Map: a seeded stream of all verbs, and what the Map says about each.
 *
 * The store may lose what it holds (eviction), but it may never lie: a value it returns is the one
 * the Map has, a key it does not return was evicted, replaced, removed or has expired. `exact` says
 * that nothing may be lost either, for stores with more memory than the stream needs.
 */
import type { StoreOptions } from '../../../server/store/store.ts'
import {
  checkInvariants,
  IN_PAGES,
  MISS,
  NO_ROOM,
  OUT_OF_MEMORY,
  STORED,
  Store,
} from '../../../server/store/store.ts'

/** A small seeded generator (mulberry32); numbers below n. */
export function dice(seed: number): (n: number) => number {
  let state = seed | 0
  return (n) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n)
  }
}

interface Held {
  value: Buffer
  expireAt: number
}

export interface ModelOptions {
  readonly store: StoreOptions
  readonly seed: number
  readonly keys: number
  /** Longest value, and how the lengths are spread: most are short. */
  readonly valueBytesMax: number
  readonly keyBytesMax: number
  /** Nothing may be lost. */
  readonly exact: boolean
  /** Steps between two checks of the invariants. */
  readonly checkEvery: number
}

export class Model {
  readonly store: Store
  readonly #options: ModelOptions
  readonly #roll: (n: number) => number
  readonly #maps: Map<string, Held>[] = [new Map(), new Map(), new Map()]
  /** Leases planted and not known to be gone: key to token. */
  readonly #leases: Map<string, number>[] = [new Map(), new Map(), new Map()]
  readonly #tokens = new Set<number>()
  /** Values somebody is sending, and what they must read. */
  #pinned: { pages: ReturnType<Store['pin']>; value: Buffer }[] = []
  lost = 0
  refused = 0
  steps = 0

  constructor(options: ModelOptions) {
    this.#options = options
    this.store = new Store(options.store)
    this.store.now = 1_000
    this.#roll = dice(options.seed)
  }

  /** Sets every key once, so that the store is full from the start if it ever is. */
  fill(): void {
    for (let n = 0; n < this.#options.keys; n++) this.#set(0, this.#keyNumber(n))
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      this.step()
      if (++this.steps % this.#options.checkEvery === 0) checkInvariants(this.store)
    }
    this.compareAll()
    for (const { pages } of this.#pinned) pages.release()
    checkInvariants(this.store)
    this.#expect(this.store.stats.pinnedBytes === 0, 'a page stays pinned')
  }

  step(): void {
    const roll = this.#roll(100)
    const db = this.#roll(10) === 0 ? 1 + this.#roll(2) : 0
    const key = this.#randomKey()
    if (roll < 22) this.#set(db, key)
    else if (roll < 44) this.#get(db, key)
    else if (roll < 52) this.#delete(db, key)
    else if (roll < 55) this.#has(db, key)
    else if (roll < 60) this.#put(db, key)
    else if (roll < 65) this.#append(db, key)
    else if (roll < 70) this.#setRange(db, key)
    else if (roll < 75) this.#expire(db, key)
    else if (roll < 80) this.#lease(db, key)
    else if (roll < 84) this.#fill(db, key)
    else if (roll < 88) this.#pin(db, key)
    else if (roll < 90) this.#tick()
    else if (roll < 92) this.#sweep()
    else if (roll < 94) this.#scan(db)
    else if (roll < 96) this.#randomKeyOf(db)
    else if (roll < 99) this.#sizes(db)
    else if (this.#roll(this.#options.keys) === 0) this.#flush(db)
  }

  /** Every key the Map has, and every key the store has. */
  compareAll(): void {
    for (let db = 0; db < this.#maps.length; db++) {
      for (const key of [...this.#maps[db]!.keys()]) this.#get(db, key)
      this.#scan(db)
      this.#sizes(db)
    }
  }

  #expect(condition: boolean, what: string): void {
    if (!condition) throw new Error(`step ${this.steps}, seed ${this.#options.seed}: ${what}`)
  }

  /** The living entry of the Map. */
  #held(db: number, key: string): Held | undefined {
    const held = this.#maps[db]!.get(key)
    if (held === undefined || held.expireAt === 0 || held.expireAt > this.store.now) return held
    this.#maps[db]!.delete(key)
    return undefined
  }

  #lose(db: number, key: string): void {
    this.lost++
    this.#expect(!this.#options.exact, `${JSON.stringify(key)} was lost`)
    this.#maps[db]!.delete(key)
  }

  /** Something was written: whatever lease there was is void. */
  #hold(db: number, key: string, value: Buffer, expireAt: number): void {
    this.#maps[db]!.set(key, { value, expireAt })
    this.#leases[db]!.delete(key)
  }

  #length(max: number): number {
    const roll = this.#roll(20)
    if (roll < 12) return this.#roll(Math.min(max, 60) + 1)
    if (roll < 17) return this.#roll(Math.min(max, 1_200) + 1)
    return this.#roll(max + 1)
  }

  #randomKey(): string {
    return this.#keyNumber(this.#roll(this.#options.keys))
  }

  #keyNumber(n: number): string {
    const length = n % 17 === 0 ? this.#options.keyBytesMax - (n % 50) : 4 + (n % 20)
    return n === 0 ? '' : `${n}:`.padEnd(length, 'k')
  }

  #randomValue(max = this.#options.valueBytesMax): Buffer {
    const value = Buffer.alloc(this.#length(max))
    const first = this.#roll(256)
    for (let i = 0; i < value.length; i++) value[i] = first + i * 7 + (i >> 8)
    return value
  }

  #randomExpiry(): number {
    return this.#roll(4) === 0 ? this.store.now + 1 + this.#roll(50) : 0
  }

  /** Puts bytes into the I/O memory's scratch, or leaves them on the heap. */
  #bytes(...parts: Buffer[]): { bytes: Uint8Array; pos: number[] } {
    const all = Buffer.concat(parts)
    const io = this.store.io
    const fits = all.length <= io.scratchEnd - io.scratch - 3
    const base = fits && this.#roll(3) !== 0 ? io.scratch + this.#roll(4) : 0
    const bytes = base === 0 ? all : io.bytes
    if (base !== 0) io.bytes.set(all, base)
    const pos: number[] = []
    let at = base
    for (const part of parts) {
      pos.push(at)
      at += part.length
    }
    return { bytes, pos }
  }

  #key(key: string): { bytes: Uint8Array; pos: number; length: number } {
    const { bytes, pos } = this.#bytes(Buffer.from(key))
    return { bytes, pos: pos[0]!, length: Buffer.byteLength(key) }
  }

  #open(db: number, key: string): boolean {
    const { bytes, pos, length } = this.#keyOnHeap(key)
    const found = this.store.open(db, bytes, pos, length)
    const held = this.#held(db, key)
    if (found) {
      this.#expect(held !== undefined, 'open finds what is not there')
      this.#expect(this.store.valueLength === held!.value.length, 'open tells a wrong length')
      this.#expect(this.store.expireAt === held!.expireAt, 'open tells a wrong expiry')
    } else if (held !== undefined) {
      this.#lose(db, key)
    }
    return found
  }

  #keyOnHeap(key: string): { bytes: Uint8Array; pos: number; length: number } {
    const bytes = Buffer.from(key)
    return { bytes, pos: 0, length: bytes.length }
  }

  #wrote(result: number, then: () => void): void {
    if (result === STORED) return then()
    this.#expect(result === OUT_OF_MEMORY, 'a verb returns something else')
    this.refused++
    this.#expect(!this.#options.exact, 'memory was refused')
  }

  #set(db: number, key: string): void {
    const value = this.#randomValue()
    const expireAt = this.#randomExpiry()
    const name = Buffer.from(key)
    const { bytes, pos } = this.#bytes(name, value)
    const result = this.store.set(db, bytes, pos[0]!, name.length, pos[1]!, value.length, expireAt)
    this.#wrote(result, () => this.#hold(db, key, value, expireAt))
  }

  #get(db: number, key: string): void {
    const { bytes, pos, length } = this.#key(key)
    const io = this.store.io
    const to = io.replies[this.#roll(8)]! + this.#roll(9)
    const room = this.#roll(10) === 0 ? this.#roll(100) : io.replyBytes - 9
    const result = this.store.get(db, bytes, pos, length, {
      reserve: (n) => (n <= room ? to : -1),
    })
    const held = this.#held(db, key)
    if (result === MISS) {
      if (held !== undefined) this.#lose(db, key)
    } else if (result === NO_ROOM) {
      this.#expect(this.store.valueLength === held?.value.length, 'no room for a wrong length')
      this.#expect(this.store.valueLength > room, 'there was room')
    } else if (result === IN_PAGES) {
      this.#expect(held !== undefined && held.value.length > 65_536, 'a short value in pages')
    } else {
      this.#expect(held !== undefined, 'get finds what is not there')
      const got = io.bytes.subarray(to, to + result)
      this.#expect(held!.value.equals(got), `get of ${JSON.stringify(key)} lies`)
    }
  }

  #delete(db: number, key: string): void {
    const { bytes, pos, length } = this.#key(key)
    const removed = this.store.delete(db, bytes, pos, length)
    const held = this.#held(db, key)
    if (removed) this.#expect(held !== undefined, 'delete removes what is not there')
    else if (held !== undefined) this.#lose(db, key)
    this.#maps[db]!.delete(key)
    this.#leases[db]!.delete(key)
  }

  #has(db: number, key: string): void {
    const { bytes, pos, length } = this.#key(key)
    const found = this.store.has(db, bytes, pos, length)
    const held = this.#held(db, key)
    if (found) this.#expect(held !== undefined, 'has finds what is not there')
    else if (held !== undefined) this.#lose(db, key)
  }

  #pages(value: Buffer): ReturnType<Store['pages']> | null {
    const pages = this.store.pages()
    for (let at = 0; at < value.length;) {
      const piece = Math.min(value.length - at, 1 + this.#roll(40_000))
      if (!pages.write(value, at, piece)) {
        this.refused++
        this.#expect(!this.#options.exact, 'pages were refused')
        return null
      }
      at += piece
    }
    this.#expect(pages.length === value.length, 'pages have a wrong length')
    return pages
  }

  #put(db: number, key: string): void {
    const value = this.#randomValue()
    const expireAt = this.#randomExpiry()
    const pages = this.#roll(2) === 0 ? this.#pages(value) : null
    this.#open(db, key)
    const { bytes, pos } = this.#bytes(value)
    const result = pages
      ? this.store.putPages(pages, expireAt)
      : this.store.put(bytes, pos[0]!, value.length, expireAt)
    this.#wrote(result, () => {
      this.#expect(this.store.valueLength === value.length, 'put tells a wrong length')
      this.#hold(db, key, value, expireAt)
    })
    if (this.#roll(5) === 0 && result === STORED) {
      const removed = this.store.remove()
      this.#expect(removed, 'what was just put is not there')
      this.#maps[db]!.delete(key)
    }
    this.store.close()
  }

  #append(db: number, key: string): void {
    const value = this.#randomValue()
    const pages = this.#roll(3) === 0 ? this.#pages(value) : null
    const found = this.#open(db, key)
    const held = found ? this.#held(db, key)! : { value: Buffer.alloc(0), expireAt: 0 }
    const after = Buffer.concat([held.value, value])
    if (after.length > this.#options.valueBytesMax * 2) {
      pages?.release()
      this.store.close()
      return
    }
    const { bytes, pos } = this.#bytes(value)
    const result = pages
      ? this.store.appendPages(pages)
      : this.store.append(bytes, pos[0]!, value.length)
    this.#wrote(result, () => {
      this.#expect(this.store.valueLength === after.length, 'append tells a wrong length')
      this.#hold(db, key, after, held.expireAt)
    })
    this.store.close()
  }

  #setRange(db: number, key: string): void {
    const value = this.#randomValue()
    const pages = this.#roll(3) === 0 ? this.#pages(value) : null
    const found = this.#open(db, key)
    const held = found ? this.#held(db, key)! : { value: Buffer.alloc(0), expireAt: 0 }
    const most = Math.min(held.value.length + 500, this.#options.valueBytesMax * 2 - value.length)
    const offset = this.#roll(Math.max(1, most))
    const after = Buffer.alloc(Math.max(held.value.length, offset + value.length))
    held.value.copy(after)
    value.copy(after, offset)
    const { bytes, pos } = this.#bytes(value)
    const result = pages
      ? this.store.setRangePages(offset, pages)
      : this.store.setRange(offset, bytes, pos[0]!, value.length)
    this.#wrote(result, () => {
      this.#expect(this.store.valueLength === after.length, 'setRange tells a wrong length')
      this.#hold(db, key, after, held.expireAt)
    })
    const length = Math.min(after.length, 30_000)
    const from = this.#roll(after.length - length + 1)
    if (result === STORED) {
      const to = this.store.io.scratch
      this.store.read(from, length, to)
      const got = this.store.io.bytes.subarray(to, to + length)
      this.#expect(after.subarray(from, from + length).equals(got), 'read lies')
    }
    this.store.close()
  }

  #expire(db: number, key: string): void {
    const expireAt = this.#randomExpiry()
    if (this.#open(db, key)) {
      this.#wrote(this.store.setExpiry(expireAt), () => {
        this.#expect(this.store.expireAt === expireAt, 'setExpiry tells a wrong expiry')
        this.#held(db, key)!.expireAt = expireAt
      })
    }
    this.store.close()
  }

  #lease(db: number, key: string): void {
    if (!this.#open(db, key)) {
      const token = this.store.lease()
      const known = this.#leases[db]!.get(key)
      if (token === 0) {
        this.#expect(!this.#options.exact, 'a lease was refused')
        this.#expect(known === undefined || !this.#options.exact, 'a lease was lost')
      } else if (this.store.leasePlanted) {
        this.#expect(!this.#tokens.has(token), 'a token is used twice')
        this.#expect(known === undefined || !this.#options.exact, 'a lease was lost')
        this.#tokens.add(token)
        this.#leases[db]!.set(key, token)
      } else {
        this.#expect(known === token, 'a lease that should be void is there')
      }
    }
    this.store.close()
  }

  #fill(db: number, key: string): void {
    const known = this.#leases[db]!.get(key)
    const wrong = this.#roll(4) === 0
    const token = wrong || known === undefined ? 12_345 : known
    const name = Buffer.from(key)
    if (this.#roll(4) === 0) {
      const dropped = this.store.dropLease(db, name, token)
      this.#expect(!dropped || token === known, 'a lease is dropped with a wrong token')
      if (token === known) this.#leases[db]!.delete(key)
      return
    }
    const value = this.#randomValue()
    const expireAt = this.#randomExpiry()
    const filled = this.store.fill(db, name, token, value, expireAt)
    if (filled) {
      this.#expect(token === known, 'a fill succeeds with a wrong token')
      this.#hold(db, key, value, expireAt)
    } else {
      this.#expect(token !== known || !this.#options.exact, 'a fill fails')
      if (token === known) this.#leases[db]!.delete(key)
    }
  }

  #pin(db: number, key: string): void {
    const done = this.#pinned.length > 3 ? this.#pinned.shift() : undefined
    if (done !== undefined) {
      this.#expect(done.pages.toBuffer().equals(done.value), 'a pinned value changed')
      const pieces: Buffer[] = []
      for (let at = 0; at < done.pages.length; at += pieces.at(-1)!.length) {
        pieces.push(Buffer.from(done.pages.piece(at)))
      }
      this.#expect(Buffer.concat(pieces).equals(done.value), 'pieces lie')
      done.pages.release()
    }
    if (this.#open(db, key) && this.store.inPages) {
      this.#pinned.push({ pages: this.store.pin(), value: this.#held(db, key)!.value })
    }
    this.store.close()
  }

  #tick(): void {
    this.store.now += this.#roll(5) === 0 ? this.#roll(100_000) : this.#roll(10)
  }

  #sweep(): void {
    this.store.sweep(1 + this.#roll(2_000))
  }

  #scan(db: number): void {
    const seen = new Set<string>()
    const slots = 1 + this.#roll(200)
    let cursor = 0
    let rounds = 0
    do {
      const next = this.store.scan(db, cursor, slots, (bytes, pos, length) => {
        seen.add(Buffer.from(bytes.subarray(pos, pos + length)).toString())
      })
      this.#expect(next === 0 || (next > cursor && next < 2 ** 41), 'a scan does not go forward')
      cursor = next
      rounds++
    } while (cursor !== 0)
    for (const key of seen) {
      this.#expect(this.#held(db, key) !== undefined, 'a scan shows what is not there')
    }
    for (const key of [...this.#maps[db]!.keys()]) {
      if (this.#held(db, key) !== undefined && !seen.has(key)) {
        const { bytes, pos, length } = this.#key(key)
        this.#expect(!this.store.has(db, bytes, pos, length), 'a scan skips a key')
        this.#lose(db, key)
      }
    }
  }

  #randomKeyOf(db: number): void {
    const to = this.store.io.replies[0]!
    const length = this.store.randomKey(db, this.#roll(2 ** 32), { reserve: () => to })
    if (length < 0) return
    const key = Buffer.from(this.store.io.bytes.subarray(to, to + length)).toString()
    this.#expect(this.#held(db, key) !== undefined, 'a random key is not there')
  }

  #sizes(db: number): void {
    const size = this.store.size(db)
    const expiring = this.store.expiring(db)
    const map = this.#maps[db]!
    this.#expect(expiring <= size, 'more expire than there are')
    const living = [...map.keys()].filter((key) => this.#held(db, key) !== undefined)
    // Those of the Map that expired may still be there: they count until they are removed.
    if (this.#options.exact) this.#expect(size >= living.length, 'size counts too few')
    if (this.store.sweep(1e9) >= 0 && this.#options.exact) {
      this.#expect(this.store.size(db) === living.length, 'size is wrong')
      const expires = living.filter((key) => map.get(key)!.expireAt !== 0)
      this.#expect(this.store.expiring(db) === expires.length, 'expiring is wrong')
    }
    this.#expect(this.store.size(db) <= living.length, 'size counts too many')
  }

  #flush(db: number): void {
    const which = this.#roll(2) === 0 ? -1 : db
    this.store.flush(which)
    for (let i = 0; i < this.#maps.length; i++) {
      if (which >= 0 && i !== which) continue
      this.#maps[i]!.clear()
      this.#leases[i]!.clear()
    }
    this.#expect(this.store.size(db) === 0, 'a flush leaves something')
  }
}
