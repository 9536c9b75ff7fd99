/*
 * The store against a plain Map: a seeded stream of all verbs, and what the Map says about each.
 *
 * The store may lose what it holds (eviction), but it may never lie: a value it returns is the one
 * the Map has, a key it does not return was evicted, replaced, removed or has expired. What it may
 * lose, and what it may refuse, is told by the scope of its policy:
 *
 *   all        it may lose everything, and refuses nothing that is up to an eighth of maxmemory,
 *              unless slow readers or senders hold memory
 *   volatile   it may lose keys with an expiry only
 *   none       it loses nothing, and refuses only when its memory is used (see `#isFull`)
 *
 * `exact` says that nothing may be lost or refused, for stores with more memory than the stream
 * needs. Loaded values are in the Map whatever their state; negative ones too, and error-only ones, which
 * only `state` may tell of. What is invalidated leaves the Map at once.
 *
 * With `changes` the stream changes policy, scope and maxmemory, too. With `listens` the store
 * must tell of everything that it loses, when it loses it.
 */
import type { KeyMatcher } from '../../../server/store/purge.ts'
import { POLICIES, SCOPES } from '../../../server/store/policy.ts'
import type {
  FillExtras,
  Policy,
  Reason,
  RemovalListener,
  Scope,
  StoreOptions,
  Watch,
} from '../../../server/store/store.ts'
import {
  ABSENT,
  checkInvariants,
  ERROR_ONLY,
  FRESH,
  IN_PAGES,
  MISS,
  NEGATIVE,
  NO_ROOM,
  OUT_OF_MEMORY,
  STALE,
  STORED,
  Store,
  WATCHED,
} from '../../../server/store/store.ts'
import { shareGroupUsage } from '../../../server/store/usage.ts'

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

/** What a loaded value knows beside its bytes. */
interface Loaded {
  readonly freshUntil: number
  readonly visibleUntil: number
  readonly tags: readonly number[]
  readonly etag: Buffer
  readonly idleMs: number
  readonly group: number
  readonly isNegative: boolean
  /** Second of the last access. */
  lastAsked: number
}

interface Lease {
  readonly token: number
  /** How many invalidations there had been. */
  readonly birth: number
}

interface Held {
  value: Buffer
  expireAt: number
  /** Null: it is plain. */
  loaded: Loaded | null
  /** When it was asked for last (NaN: that cannot be told), and how often. */
  accessedAt: number
  accesses: number
}

/** Values are parts of this: no two that begin at other places are equal for long. */
const PATTERN = Buffer.alloc(1_200_000)
{
  const roll = dice(0x5eed)
  for (let i = 0; i < PATTERN.length; i++) PATTERN[i] = roll(256)
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
  /** Policy, scope and maxmemory are changed while the store serves. */
  readonly changes?: boolean
  /** The store tells what ended, and the Map forgets it then. */
  readonly listens?: boolean
  /** One of so many looks at all keys is taken. Default: every one. */
  readonly wholeEvery?: number
}

/** A key that is watched, and what it held when that began. */
interface Watched {
  readonly watch: Watch
  readonly was: Held | null
}

const EMPTY = Buffer.alloc(0)

/** More than cells that one set of watches has, so that with the worst hash some share a count. */
const WATCHED_MAX = 12

/** Tags are numbers below it. */
const TAGS = 12
const GROUPS = 3

/** Where a value begins to differ from the one wanted. */
function difference(wanted: Buffer, got: Uint8Array): string {
  const at = wanted.findIndex((byte, i) => got[i] !== byte)
  const [a, b] = [wanted, got].map((of) => Buffer.from(of.subarray(at, at + 16)).toString('hex'))
  return `${wanted.length} and ${got.length} bytes, from ${at} on ${a} and ${b}`
}

/** The keys of a group "ends in 7": those whose number ends in 7. */
function groupOf(name: string): KeyMatcher | null {
  const digit = /^ends in (\d)$/.exec(name)?.[1]
  if (digit === undefined) return null
  const code = digit.charCodeAt(0)
  return (bytes, pos, length) => {
    const colon = bytes.subarray(pos, pos + length).indexOf(0x3a)
    return colon > 0 && bytes[pos + colon - 1] === code
  }
}

function startsWith(prefix: Buffer): KeyMatcher {
  return (bytes, pos, length) =>
    length >= prefix.length && prefix.equals(bytes.subarray(pos, pos + prefix.length))
}

export class Model {
  readonly store: Store
  readonly #options: ModelOptions
  readonly #roll: (n: number) => number
  readonly #maps: Map<string, Held>[] = [new Map(), new Map(), new Map()]
  /** How many invalidations there were, and which the last of each tag was. */
  #invalidations = 0
  /** Where the sweep of the last invalidation by key stands; -1: it is over. */
  #purgeCursor = -1
  readonly #invalidated = new Int32Array(TAGS)
  /** Leases planted and not known to be gone. */
  readonly #leases: Map<string, Lease>[] = [new Map(), new Map(), new Map()]
  readonly #tokens = new Set<number>()
  /** Values somebody is sending, and what they must read. */
  #pinned: { pages: ReturnType<Store['pin']>; value: Buffer }[] = []
  readonly #watched: Watched[] = []
  /** In the names of the policies, for `changes`. */
  readonly #policies: readonly Policy[]
  readonly #wholeEvery: number
  /** Do the arenas and the hash leave no memory that a key cannot reach? */
  readonly #spreads: boolean
  /** Values that expired, which the store may still have, and evict. */
  readonly #expired = new Map<string, Buffer>()
  /** The key of the step, and whether its value is known to have gone in the middle of it. */
  #current = ''
  #isFlushing = false
  #currentWent = false
  #told: RemovalListener = (reason, db, key, value) => this.#end(reason, db, key, value)
  #tolds = { evicted: 0, expired: 0, deleted: 0, overwritten: 0 }
  lost = 0
  refused = 0
  steps = 0

  constructor(options: ModelOptions) {
    this.#options = options
    const groupUsage = shareGroupUsage(GROUPS)
    const store = { ...options.store, matcherOf: groupOf, groupUsage }
    this.store = new Store(options.listens === true ? { ...store, onRemoved: this.#told } : store)
    this.store.now = 1_000
    this.#roll = dice(options.seed)
    const { policy } = this.store
    const keepsNothing = POLICIES.slice(0, 3)
    this.#policies = keepsNothing.includes(policy) ? keepsNothing : [policy]
    this.#wholeEvery = options.wholeEvery ?? 1
    this.#spreads = options.store.hash === undefined && this.store.stats.arenas === 1
  }

  /** Sets every key once, so that the store is full from the start if it ever is. */
  fill(): void {
    for (let n = 0; n < this.#options.keys; n++) {
      this.#turnTo(0, this.#keyNumber(n))
      this.#set(0, this.#keyNumber(n))
    }
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      this.step()
      if (++this.steps % this.#options.checkEvery === 0) checkInvariants(this.store)
    }
    this.#turnTo(0, '')
    this.compareAll()
    for (const { pages } of this.#pinned) pages.release()
    checkInvariants(this.store)
    this.#expect(this.store.stats.pinnedBytes === 0, 'a page stays pinned')
  }

  step(): void {
    const roll = this.#roll(100)
    const db = this.#roll(10) === 0 ? 1 + this.#roll(2) : 0
    const key = this.#randomKey()
    this.#turnTo(db, key)
    if (roll < 22) this.#set(db, key)
    else if (roll < 44) this.#get(db, key)
    else if (roll < 52) this.#delete(db, key)
    else if (roll < 55) this.#has(db, key)
    else if (roll < 58) this.#put(db, key)
    else if (roll < 60) this.#transfer(db, key)
    else if (roll < 65) this.#append(db, key)
    else if (roll < 70) this.#setRange(db, key)
    else if (roll < 75) this.#expire(db, key)
    else if (roll < 79) this.#lease(db, key)
    else if (roll < 83) this.#fill(db, key)
    else if (roll < 85) this.#state(db, key)
    else if (roll < 87) this.#pin(db, key)
    else if (roll < 89) this.#peek(db, key)
    else if (roll < 90) this.#setTagged(db, key)
    else if (roll < 92) this.#tick()
    else if (roll < 93) this.#sweep()
    else if (roll < 94) this.#change()
    else if (roll < 99) this.#lookAtAll(db)
    else if (this.#roll(this.#options.keys) === 0) this.#flush(db)
  }

  #lookAtAll(db: number): void {
    this.#watch(db)
    if (this.#roll(40) === 0) this.#invalidate()
    if (this.#roll(10) === 0) this.#invalidateByKey(db)
    if (this.#roll(10) === 0) this.#makeGroupRoom()
    if (this.#roll(this.#wholeEvery) !== 0) return
    const roll = this.#roll(5)
    if (roll < 2) this.#scan(db)
    else if (roll < 4) this.#sizes(db)
    else this.#randomKeyOf(db)
  }

  /** Every key the Map has, and every key the store has. */
  compareAll(): void {
    for (let db = 0; db < this.#maps.length; db++) {
      for (const key of [...this.#maps[db]!.keys()]) {
        this.#get(db, key)
        // Also one that is not seen may have gone.
        this.#state(db, key)
      }
      this.#scan(db)
      this.#sizes(db)
    }
    const { usedBytes, entries, gets, hits, evicted } = this.store.stats
    const { evictedSmall, evictedMain, evictedBig } = this.store.stats
    const inAll = evictedSmall + evictedMain + evictedBig
    this.#expect(inAll === evicted, 'evicted is not small, main and big together')
    this.#expect(this.occupied() <= usedBytes, 'entries occupy more than is used')
    this.#expect(hits <= gets, 'more hits than gets')
    this.#expect(!this.#options.exact || evicted === 0, 'something was evicted')
    const { expiredLazily, expiredActively } = this.store.stats
    if (this.#options.listens === true) {
      this.#expect(this.#tolds.evicted === evicted, 'not everybody was told of who was evicted')
      const expired = expiredLazily + expiredActively
      this.#expect(this.#tolds.expired === expired, 'not everybody was told of what expired')
    }
    const sizes = this.#maps.reduce((sum, _map, db) => sum + this.store.size(db), 0)
    this.#expect(entries === sizes, 'the sizes of the databases are not those of the entries')
  }

  /** Bytes that all living entries occupy. */
  occupied(): number {
    let bytes = 0
    this.#maps.forEach((map, db) => {
      for (const key of map.keys()) {
        const name = Buffer.from(key)
        if (this.store.peek(db, name, 0, name.length)) bytes += this.store.occupiedBytes
        this.store.close()
      }
    })
    return bytes
  }

  #expect(condition: boolean, what: string): void {
    if (!condition) throw new Error(`step ${this.steps}, seed ${this.#options.seed}: ${what}`)
  }

  /** What of the Map clients see. */
  #held(db: number, key: string): Held | undefined {
    const held = this.#kept(db, key)
    return held !== undefined && this.#stateOf(held) <= STALE ? held : undefined
  }

  /** What of the Map is there, seen or not. */
  #kept(db: number, key: string): Held | undefined {
    const held = this.#maps[db]!.get(key)
    if (held === undefined || this.#stateOf(held) !== ABSENT) return held
    this.#maps[db]!.delete(key)
    this.#expired.set(`${db}:${key}`, held.value)
    return undefined
  }

  #stateOf({ expireAt, loaded }: Held): number {
    const { now } = this.store
    if (expireAt !== 0 && expireAt <= now) return ABSENT
    if (loaded === null) return FRESH
    const idle = Math.floor(now / 1_000) - loaded.lastAsked
    if (loaded.idleMs > 0 && idle > loaded.idleMs / 1_000) return ABSENT
    if (loaded.isNegative) return NEGATIVE
    if (expireAt === 0 || now < loaded.freshUntil) return FRESH
    return now < loaded.visibleUntil ? STALE : ERROR_ONLY
  }

  /** The expiry that clients are told. */
  #toldExpiry(held: Held): number {
    if (held.loaded === null || held.expireAt === 0) return held.expireAt
    return this.#stateOf(held) === FRESH ? held.loaded.freshUntil : held.loaded.visibleUntil
  }

  #lose(db: number, key: string): void {
    const isKnown = this.#currentWent && this.#current === `${db}:${key}`
    this.#expect(this.#options.listens !== true || isKnown, `${key} was lost, and nobody was told`)
    this.#forget(db, key)
  }

  #forget(db: number, key: string): void {
    this.lost++
    const { scope } = this.store
    const { expireAt } = this.#maps[db]!.get(key)!
    const mayBeLost = scope === 'all' || (scope === 'volatile' && expireAt !== 0)
    this.#expect(mayBeLost && !this.#options.exact, `${JSON.stringify(key)} was lost`)
    this.#maps[db]!.delete(key)
  }

  /** The steps before are over: what went of their key is gone from the Map, too. */
  #turnTo(db: number, key: string): void {
    if (this.#currentWent) this.#peekAtCurrent()
    this.#current = `${db}:${key}`
    this.#currentWent = false
  }

  #peekAtCurrent(): void {
    const db = Number(this.#current[0])
    const key = this.#current.slice(2)
    const { bytes, pos, length } = this.#keyOnHeap(key)
    const found = this.store.peek(db, bytes, pos, length)
    this.store.close()
    if (!found && this.#held(db, key) !== undefined) this.#lose(db, key)
    else if (this.#kept(db, key) !== undefined) this.#state(db, key)
  }

  /** The store tells that an entry ended. */
  #end(reason: Reason, db: number, key: Uint8Array, value: Uint8Array): void {
    this.#tolds[reason]++
    const name = Buffer.from(key).toString()
    const isCurrent = this.#current === `${db}:${name}`
    const held = this.#maps[db]!.get(name)
    if (reason === 'expired') {
      if (held === undefined || isCurrent) return
      this.#expect(this.#stateOf(held) === ABSENT, `${name} lives`)
      this.#maps[db]!.delete(name)
    } else if (isCurrent) {
      // It may be the value before, or the one the verb is about to return that it has stored.
      this.#currentWent = true
    } else if (reason === 'evicted') {
      const former = held?.value ?? this.#expired.get(`${db}:${name}`)
      this.#expect(former !== undefined, `${name} was evicted, but was gone`)
      const lies = `${name} was evicted as another: ${difference(former!, value)}`
      this.#expect(former!.equals(value), lies)
      if (this.#kept(db, name) !== undefined) this.#forget(db, name)
    } else if (!this.#isFlushing) {
      const isDead = this.#expired.get(`${db}:${name}`)?.equals(value) === true
      this.#expect(isDead && reason === 'deleted', `${name} was ${reason}`)
    }
  }

  /** Something was written: whatever lease there was is void. */
  #hold(
    db: number,
    key: string,
    value: Buffer,
    expireAt: number,
    loaded: Loaded | null = null,
  ): void {
    const accesses = this.#maps[db]!.get(key)?.accesses ?? 0
    this.#maps[db]!.set(key, { value, expireAt, loaded, accesses, accessedAt: this.store.now })
    this.#leases[db]!.delete(key)
    this.#expired.delete(`${db}:${key}`)
  }

  /** The key was asked for, and found. */
  #touch(held: Held): void {
    held.accesses++
    held.accessedAt = this.store.now
    if (held.loaded !== null) held.loaded.lastAsked = Math.floor(this.store.now / 1_000)
  }

  /**
   * A write of so many bytes was refused: was that right? `keepsOwn`: it needs memory while it holds
   * on to its own bucket, which in a store of few buckets is much of the whole.
   */
  #refuse(bytes: number, keepsOwn = false): void {
    this.refused++
    this.#expect(!this.#options.exact, 'memory was refused')
    const { store } = this
    if (store.scope === 'none' && this.refused % 16 === 0) this.#isFull(bytes)
    if (store.scope !== 'all' || this.#pinned.length > 0 || bytes > store.maxMemory / 8) return
    if (keepsOwn && (!this.#spreads || store.stats.buckets < 512)) return
    this.#expect(false, `${bytes} bytes were refused`)
  }

  /**
   * What a scope of `none` may leave unused when it refuses: the chunks that are promised to buckets
   * without any, and what one write needs beyond its bytes. And of what is used, no more than an
   * eighth is dead.
   */
  #isFull(bytes: number): void {
    // Since maxmemory was lowered nothing is added, whatever is dead.
    if (this.store.excess > 0) return
    if (!this.#spreads || this.#pinned.length > 0 || bytes > this.store.maxMemory / 8) return
    const { stats } = this.store
    const free = stats.chunksFree * stats.chunkBytes
    const slack = (stats.buckets + 8) * stats.chunkBytes
    this.#expect(free <= bytes + slack, `${bytes} bytes were refused with ${free} free`)
    const dead = stats.deadBytes
    this.#expect(dead <= stats.usedBytes / 8 + slack, `refused with ${dead} bytes dead`)
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
    const length = this.#length(max)
    const from = this.#roll(PATTERN.length - length)
    return PATTERN.subarray(from, from + length)
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
      this.#expect(this.store.expireAt === this.#toldExpiry(held!), 'open tells a wrong expiry')
      this.#touch(held!)
    } else if (held !== undefined) {
      this.#lose(db, key)
    }
    return found
  }

  #keyOnHeap(key: string): { bytes: Uint8Array; pos: number; length: number } {
    const bytes = Buffer.from(key)
    return { bytes, pos: 0, length: bytes.length }
  }

  #wrote(result: number, bytes: number, then: () => void, keepsOwn = false): void {
    if (result === STORED) return then()
    this.#expect(result === OUT_OF_MEMORY, 'a verb returns something else')
    this.#refuse(bytes, keepsOwn)
  }

  #set(db: number, key: string): void {
    const value = this.#randomValue()
    const expireAt = this.#randomExpiry()
    const name = Buffer.from(key)
    const { bytes, pos } = this.#bytes(name, value)
    const result = this.store.set(db, bytes, pos[0]!, name.length, pos[1]!, value.length, expireAt)
    const all = name.length + value.length
    this.#wrote(result, all, () => this.#hold(db, key, value, expireAt))
    // One that is refused is an access if the store had to look for the key to know that.
    const held = result === STORED ? undefined : this.#held(db, key)
    if (held === undefined) return
    if (held.loaded !== null) {
      this.#open(db, key)
      this.store.close()
    }
    held.accessedAt = NaN
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
      const lies = `get of ${JSON.stringify(key)} in ${db} lies: ${difference(held!.value, got)}`
      this.#expect(held!.value.equals(got), lies)
      this.#touch(held!)
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
        this.#refuse(value.length)
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
    this.#wrote(result, key.length + value.length, () => {
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

  /** From one key to another, in any database. */
  #transfer(db: number, key: string): void {
    const { store } = this
    const other = this.#randomKey()
    const otherDb = this.#roll(4) === 0 ? this.#roll(3) : db
    if (otherDb === db && other === key) return
    const from = { db, ...this.#keyOnHeap(key) }
    const to = { db: otherDb, ...this.#keyOnHeap(other) }
    const before = this.#held(db, key)
    const copies = this.#roll(2) === 0 && (before?.value.length ?? 0) <= 65_536
    // Both keys are this step's: what is told of them is not looked at.
    this.#isFlushing = true
    store.lockPair(from, to)
    const result = copies ? store.copy(from, to) : store.move(from, to)
    store.unlockKeys()
    this.#isFlushing = false
    if (result === MISS) {
      if (this.#held(db, key) !== undefined) this.#lose(db, key)
      return
    }
    this.#expect(before !== undefined, 'what is not there was moved')
    const { value, expireAt } = { ...before!, expireAt: this.#toldExpiry(before!) }
    const bytes = key.length + other.length + value.length
    for (const held of [this.#held(otherDb, other), this.#held(db, key)]) {
      if (held !== undefined) this.#touch(held)
      // Where it had to go for the other it was asked for before.
      if (held !== undefined && !this.#options.exact) held.accessedAt = NaN
    }
    const then = (): void => {
      this.#hold(otherDb, other, value, expireAt)
      if (copies) return
      this.#maps[db]!.delete(key)
      this.#leases[db]!.delete(key)
    }
    this.#wrote(result, bytes, then, true)
  }

  #append(db: number, key: string): void {
    const value = this.#randomValue()
    const pages = this.#roll(3) === 0 ? this.#pages(value) : null
    const found = this.#open(db, key)
    const held = found ? this.#held(db, key)! : { value: EMPTY, expireAt: 0 }
    const expireAt = found ? this.#toldExpiry(this.#held(db, key)!) : 0
    const after = Buffer.concat([held.value, value])
    if (after.length > this.#options.valueBytesMax * 2) {
      pages?.release()
      this.store.close()
      return
    }
    const { bytes: from, pos } = this.#bytes(value)
    const result = pages
      ? this.store.appendPages(pages)
      : this.store.append(from, pos[0]!, value.length)
    const then = (): void => {
      this.#expect(this.store.valueLength === after.length, 'append tells a wrong length')
      this.#hold(db, key, after, expireAt)
    }
    // The pages with the new part are there until all of it is written.
    const bytes = key.length + after.length + (pages === null ? 0 : value.length)
    this.#wrote(result, bytes, then, found)
    this.store.close()
  }

  #setRange(db: number, key: string): void {
    const value = this.#randomValue()
    const pages = this.#roll(3) === 0 ? this.#pages(value) : null
    const found = this.#open(db, key)
    const held = found ? this.#held(db, key)! : { value: EMPTY, expireAt: 0 }
    const expireAt = found ? this.#toldExpiry(this.#held(db, key)!) : 0
    const most = Math.min(held.value.length + 500, this.#options.valueBytesMax * 2 - value.length)
    const offset = this.#roll(Math.max(1, most))
    const after = Buffer.alloc(Math.max(held.value.length, offset + value.length))
    held.value.copy(after)
    value.copy(after, offset)
    const { bytes: part, pos } = this.#bytes(value)
    const result = pages
      ? this.store.setRangePages(offset, pages)
      : this.store.setRange(offset, part, pos[0]!, value.length)
    const then = (): void => {
      this.#expect(this.store.valueLength === after.length, 'setRange tells a wrong length')
      this.#hold(db, key, after, expireAt)
    }
    // The pages with the new part are there until all of it is written.
    const bytes = key.length + after.length + (pages === null ? 0 : value.length)
    this.#wrote(result, bytes, then, found)
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
      const held = this.#held(db, key)!
      const then = (): void => {
        this.#expect(this.store.expireAt === expireAt, 'setExpiry tells a wrong expiry')
        held.expireAt = expireAt
        held.loaded = null
        this.#leases[db]!.delete(key)
      }
      const bytes = key.length + held.value.length
      this.#wrote(this.store.setExpiry(expireAt), bytes, then, true)
    }
    this.store.close()
  }

  #lease(db: number, key: string): void {
    const isFound = this.#open(db, key)
    if (!isFound || this.#roll(2) === 0) {
      const token = isFound ? this.store.leaseBeside() : this.store.lease()
      const known = this.#leases[db]!.get(key)?.token
      if (token === 0) {
        this.#refuse(key.length + 8)
        this.#expect(known === undefined || !this.#options.exact, 'a lease was lost')
      } else if (this.store.leasePlanted) {
        this.#expect(!this.#tokens.has(token), 'a token is used twice')
        this.#expect(known === undefined || !this.#options.exact, 'a lease was lost')
        this.#tokens.add(token)
        this.#leases[db]!.set(key, { token, birth: this.#invalidations })
      } else {
        this.#expect(known === token, 'a lease that should be void is there')
      }
    }
    this.store.close()
  }

  #fill(db: number, key: string): void {
    const lease = this.#leases[db]!.get(key)
    const known = lease?.token
    const wrong = this.#roll(4) === 0
    const token = wrong || known === undefined ? 12_345 : known
    const name = Buffer.from(key)
    if (this.#roll(4) === 0) {
      const dropped = this.store.dropLease(db, name, token)
      this.#expect(!dropped || token === known, 'a lease is dropped with a wrong token')
      if (token === known) this.#leases[db]!.delete(key)
      return
    }
    const isNegative = this.#roll(4) === 0
    const value = isNegative ? EMPTY : this.#randomValue()
    const expireAt = this.#randomExpiry() || (isNegative ? this.store.now + 10 : 0)
    const loaded = isNegative || this.#roll(3) > 0 ? this.#randomLoad(expireAt, isNegative) : null
    const birth = lease?.birth ?? 0
    const content = isNegative ? null : value
    const extras = loaded === null ? null : this.#extras(loaded, birth)
    const filled = this.store.fill(db, name, token, content, expireAt, extras)
    const isDead = loaded?.tags.some((tag) => this.#invalidated[tag]! > birth) === true
    if (filled) {
      this.#expect(token === known, 'a fill succeeds with a wrong token')
      this.#expect(!isDead, 'a fill brings what was invalidated')
      this.#hold(db, key, value, expireAt, loaded)
    } else {
      this.#expect(token !== known || isDead || !this.#options.exact, 'a fill fails')
      if (token === known) {
        this.#leases[db]!.delete(key)
        // Memory had no room for it, and what there was is older; or the lease had gone, and nothing changed.
        const isGone = this.store.state(db, name, 0, name.length) === ABSENT
        if (!isDead && isGone) this.#maps[db]!.delete(key)
      }
    }
  }

  #randomLoad(expireAt: number, isNegative: boolean): Loaded {
    const { now } = this.store
    const left = Math.max(0, expireAt - now)
    const visibleUntil = expireAt === 0 ? 0 : now + this.#roll(left + 1)
    const freshUntil = expireAt === 0 ? 0 : now + this.#roll(visibleUntil - now + 1)
    return {
      freshUntil,
      visibleUntil,
      isNegative,
      // The last of them is not counted, nor -1, which is none.
      group: this.#roll(GROUPS + 2) - 1,
      tags: Array.from({ length: this.#roll(4) }, () => this.#roll(TAGS)),
      etag: Buffer.alloc(this.#roll(20), 'e'),
      idleMs: this.#roll(3) === 0 ? 1_000 * (1 + this.#roll(60)) : 0,
      lastAsked: Math.floor(now / 1_000),
    }
  }

  #extras(loaded: Loaded, birth: number): FillExtras {
    const { freshUntil, visibleUntil, tags, etag, idleMs, group } = loaded
    const told = { loadedAt: this.store.now, costMs: 5, group, birth }
    return { ...told, freshUntil, visibleUntil, tags, etag: etag.length > 0 ? etag : null, idleMs }
  }

  #setTagged(db: number, key: string): void {
    const value = this.#randomValue()
    const expireAt = this.#randomExpiry()
    const loaded = this.#randomLoad(expireAt, false)
    const name = Buffer.from(key)
    const { bytes, pos } = this.#bytes(name, value)
    this.#open(db, key)
    const extras = this.#extras(loaded, this.store.birth())
    const result = this.store.put(bytes, pos[1]!, value.length, expireAt, extras)
    this.store.close()
    this.#wrote(result, name.length + value.length + 100, () =>
      this.#hold(db, key, value, expireAt, loaded),
    )
  }

  /** What is under the key, seen or not. */
  #state(db: number, key: string): void {
    const { store } = this
    const { bytes, pos, length } = this.#key(key)
    const state = store.state(db, bytes, pos, length)
    const kept = this.#kept(db, key)
    if (state === ABSENT) {
      if (kept === undefined) return
      if (kept.loaded?.isNegative === true) this.#forget(db, key)
      else this.#lose(db, key)
      return
    }
    this.#expect(kept !== undefined, 'state finds what is not there')
    this.#expect(state === this.#stateOf(kept!), `the state is ${state}`)
    const { loaded, expireAt } = kept!
    this.#expect(store.hasExtras === (loaded !== null), 'state tells of wrong extras')
    const [fresh, visible] =
      loaded === null || expireAt === 0
        ? [expireAt, expireAt]
        : [loaded.freshUntil, loaded.visibleUntil]
    this.#expect(store.freshUntil === fresh, 'state tells a wrong end of freshness')
    this.#expect(store.visibleUntil === visible, 'state tells a wrong end of visibility')
    const found = store.openAny(db, bytes, pos, length)
    this.#expect(found === (state !== NEGATIVE), 'openAny does not find what state tells of')
    if (found) {
      this.#expect(store.valueLength === kept!.value.length, 'openAny tells a wrong length')
      const etag = store.extras?.etag ?? EMPTY
      this.#expect((loaded?.etag ?? EMPTY).equals(etag), 'extras tell a wrong ETag')
      this.#touch(kept!)
    }
    store.close()
  }

  /** Entries with a tag leave the Map; the store may still have them. */
  #invalidate(): void {
    const tag = this.#roll(TAGS)
    this.store.invalidateTag(tag)
    this.#invalidated[tag] = ++this.#invalidations
    this.#dropWhere((_db, _key, { loaded }) => loaded?.tags.includes(tag) === true)
  }

  #dropWhere(isDead: (db: number, key: string, held: Held) => boolean): void {
    this.#maps.forEach((map, db) => {
      for (const [key, held] of [...map]) {
        if (!isDead(db, key, held)) continue
        map.delete(key)
        this.#expired.set(`${db}:${key}`, held.value)
      }
    })
  }

  /** Begins an invalidation of a prefix or of a group, or goes on with the sweep of the last one. */
  #invalidateByKey(db: number): void {
    if (this.#purgeCursor >= 0 && this.#roll(3) > 0) {
      this.#sweepInvalidated(1 + this.#roll(400))
      return
    }
    const digits = `${this.#roll(this.#options.keys)}`
    const prefix = digits.slice(0, 1 + this.#roll(digits.length))
    const where = this.#roll(2) === 0 ? db : -1
    const bytes = Buffer.from(this.#roll(8) === 0 ? '' : prefix)
    const matcher =
      this.#roll(3) === 0
        ? ({ kind: 'group', db: where, name: `ends in ${prefix.at(-1)}` } as const)
        : ({ kind: 'prefix', db: where, bytes } as const)
    const begins = this.store.beginInvalidation(matcher)
    this.#expect(begins === this.#purgeCursor < 0, 'an invalidation begins in another')
    if (!begins) return
    this.#purgeCursor = 0
    const matches = matcher.kind === 'prefix' ? startsWith(bytes) : groupOf(matcher.name)!
    const isMeant = (of: number, key: string): boolean => {
      const name = Buffer.from(key)
      return (where < 0 || of === where) && matches(name, 0, name.length)
    }
    this.#dropWhere(isMeant)
    this.#leases.forEach((leases, of) => {
      for (const key of [...leases.keys()]) if (isMeant(of, key)) leases.delete(key)
    })
  }

  /** A group's share becomes smaller: it loses what nobody asked for. */
  #makeGroupRoom(): void {
    const { store } = this
    const group = this.#roll(GROUPS)
    const before = store.groupBytes(group)
    const bytesMax = this.#options.exact || store.scope !== 'all' ? before : this.#roll(before + 1)
    const has = store.makeGroupRoom(group, 0, 1 + this.#roll(2_000), bytesMax)
    this.#expect(has === store.groupBytes(group) <= bytesMax, 'a group has other room than told')
    this.#expect(store.groupBytes(group) <= before, 'to make room takes some')
  }

  #sweepInvalidated(steps: number): void {
    for (let i = 0; i < steps && this.#purgeCursor >= 0; i++) {
      const next = this.store.sweepInvalidated(this.#purgeCursor)
      this.#expect(next === 0 || next > this.#purgeCursor, 'a sweep does not go forward')
      this.#purgeCursor = next === 0 ? -1 : next
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

  /** Begins to watch a key, or asks whether one of those that are watched was left alone. */
  #watch(db: number): void {
    const { store } = this
    const n = this.#roll(WATCHED_MAX)
    const watched = this.#watched[n]
    if (watched === undefined) {
      const { bytes, pos, length } = this.#keyOnHeap(this.#randomKey())
      const watch = store.watch(WATCHED, db, bytes, pos, length)
      this.#watched.push({ watch, was: this.#seen(watch) })
      return
    }
    const { watch, was } = watched
    if (store.isUntouched(watch)) {
      const held = this.#seen(watch)
      const isSame = was?.value === held?.value && was?.expireAt === held?.expireAt
      this.#expect(isSame, `a change of ${Buffer.from(watch.key).toString()} went unseen`)
    }
    store.unwatch(watch)
    this.#watched.splice(n, 1)
  }

  /** A copy of what the Map has under the key, if the store has it. */
  #seen({ db, key }: Watch): Held | null {
    const held = this.#held(db, Buffer.from(key).toString())
    const isThere = this.store.has(db, key, 0, key.length)
    return held !== undefined && isThere ? { ...held } : null
  }

  #tick(): void {
    this.store.now += this.#roll(5) === 0 ? this.#roll(100_000) : this.#roll(10)
  }

  #sweep(): void {
    this.store.sweep(1 + this.#roll(2_000))
  }

  /** What is known of a key beside its value; to look is no access. */
  #peek(db: number, key: string): void {
    const { store } = this
    const { bytes, pos, length } = this.#keyOnHeap(key)
    const look = (): number[] => {
      const found = store.peek(db, bytes, pos, length)
      const told = [store.frequency, store.idleMs, store.occupiedBytes]
      if (found) {
        this.#expect(this.#held(db, key) !== undefined, 'peek finds what is not there')
        this.#expect(store.valueLength === this.#held(db, key)!.value.length, 'peek lies')
      }
      store.close()
      return found ? told : []
    }
    const told = look()
    const held = this.#held(db, key)
    if (told.length === 0) {
      if (held !== undefined) this.#lose(db, key)
      return
    }
    this.#expect(look().join() === told.join(), 'to look at a key changes it')
    const [frequency = -1, idleMs = -1, occupied = -1] = told
    this.#expectFrequency(held!, frequency)
    this.#expectIdle(key, held!, idleMs)
    const own = length + held!.value.length
    // Header, expiry, pages, trailer, slot; and up to two pages that are not full.
    this.#expect(occupied >= own + 12, `${own} bytes occupy ${occupied}`)
    const { chunkBytes } = store.stats
    const roundedUp = own + 160 > chunkBytes / 2 ? 2 * chunkBytes : 0
    const extras = held!.loaded === null ? 0 : 80
    this.#expect(occupied <= own + 60 + extras + roundedUp, `${own} bytes occupy ${occupied}`)
  }

  #expectFrequency(held: Held, frequency: number): void {
    const { exact, changes, store } = this.#options
    this.#expect(frequency >= 0 && frequency <= 3, `a frequency of ${frequency}`)
    if (!exact || changes === true || store.policy !== 's3-fifo') return
    const wanted = Math.min(3, held.accesses)
    this.#expect(
      frequency === wanted,
      `a frequency of ${frequency} after ${held.accesses} accesses`,
    )
  }

  #expectIdle(key: string, held: Held, idleMs: number): void {
    const { policy, now, stats } = this.store
    const keepsTime = policy === 'lru' || policy === 'second-chance'
    const mayHavePages = key.length + held.value.length + 160 > stats.chunkBytes / 2
    if (idleMs === -1 && (!keepsTime || mayHavePages)) return
    if (Number.isNaN(held.accessedAt)) return
    const seconds = Math.floor(now / 1_000) - Math.floor(held.accessedAt / 1_000)
    this.#expect(keepsTime && idleMs === seconds * 1_000, `idle for ${idleMs} ms, not ${seconds} s`)
  }

  /** Policy, scope or maxmemory become another, or what is too much is given back. */
  #change(): void {
    if (this.#options.changes !== true) return
    const { store } = this
    const roll = this.#roll(8)
    if (roll === 0) this.#changePolicy()
    else if (roll === 1 && !this.#options.exact) this.#changeMemory()
    else if (store.excess > 0) store.shrink(1 + this.#roll(200))
  }

  #changePolicy(): void {
    const { store } = this
    const scopes: readonly Scope[] = this.#options.exact ? ['all'] : SCOPES
    const scope = scopes[this.#roll(scopes.length)]!
    // What went so far may have gone; from here on it may not, perhaps.
    if (scope !== store.scope) this.compareAll()
    const policy = this.#policies[this.#roll(this.#policies.length)]!
    this.#expect(store.setPolicy(policy, scope), `the policy cannot become ${policy}`)
    this.#expect(store.policy === policy && store.scope === scope, 'the policy is another')
    const other = POLICIES[this.#roll(POLICIES.length)]!
    if (this.#policies.includes(other) || other === policy) return
    this.#expect(!store.setPolicy(other, scope), `the policy became ${other}`)
    this.#expect(store.policy === policy, 'a refused policy is there')
  }

  #changeMemory(): void {
    const { store } = this
    const { ceiling, maxMemory, excessBytes } = store.stats
    const bytes = Math.floor((0.4 + this.#roll(61) / 100) * ceiling)
    try {
      store.setMaxMemory(bytes)
    } catch (error) {
      this.#expect(error instanceof RangeError, String(error))
      this.#expect(store.maxMemory === maxMemory, 'a refused maxmemory is there')
      this.#expect(store.stats.excessBytes === excessBytes, 'a refused maxmemory does something')
      return
    }
    this.#expect(store.maxMemory === bytes, 'maxmemory is another')
    const isWhole = this.#roll(2) === 0
    for (let slices = 0; isWhole && store.excess > 0; slices++) {
      const before = store.excess
      store.shrink(1 + this.#roll(500))
      if (store.excess < before) continue
      // Nobody may go, or somebody holds it, or all that is left are pieces of indexes.
      if (store.scope !== 'all' || this.#pinned.length > 0) return
      this.#expect(slices < 10_000, 'maxmemory is not reached')
    }
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
    // Dead entries count until they are swept.
    this.#sweepInvalidated(Infinity)
    const size = this.store.size(db)
    const expiring = this.store.expiring(db)
    const map = this.#maps[db]!
    this.#expect(expiring <= size, 'more expire than there are')
    const kept = [...map.keys()].filter((key) => this.#kept(db, key) !== undefined)
    // Error-only ones are counted, like those that expired and are not removed yet.
    const living = kept.filter((key) => map.get(key)!.loaded?.isNegative !== true)
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
    this.#isFlushing = true
    this.store.flush(which)
    this.#isFlushing = false
    for (let i = 0; i < this.#maps.length; i++) {
      if (which >= 0 && i !== which) continue
      this.#maps[i]!.clear()
      this.#leases[i]!.clear()
    }
    this.#expect(this.store.size(db) === 0, 'a flush leaves something')
  }
}
