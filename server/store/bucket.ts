/*
 * A bucket: one lock, one index, one ring. The same verbs as the store, with the lock held and the
 * key's hash known; the store chooses the bucket, takes its lock and calls `settle` before it lets
 * go.
 *
 *   header   LOCK COUNT PIECES NEWEST PAGES EXPIRING LEASES -- | ring | second ring | counters
 *   words    0    1     2      3      4     5        6      7  | 8..  | 16..        | 24..
 *            | entries of each database | expiring ones of each database | index directory
 *            | 96..
 *
 * There is one object of this class for each arena, not for each bucket: `bucket` is the index of
 * the first word of a bucket's header, and everything about a bucket is in shared memory.
 *
 * The order of a write: the index gets room for one more first (that may evict), then the entry is
 * placed in the ring (that may evict too), and then the index takes it. So what an eviction meets
 * is always an entry the index knows. An entry of the same key stays until its successor stands,
 * if it has no pages; an entry with pages is removed first, its pages being kept where the
 * successor takes them over.
 */
import type { Chain, Chains } from './big.ts'
import * as entry from './entry.ts'
import type { Hash } from './hash.ts'
import { addressIn, Index, RUN_MAX, tagOf } from './index.ts'
import type { Arena, Layout } from './memory.ts'
import { assert, BUCKET_FIXED_WORDS, OWN_AT } from './memory.ts'
import type { Pool } from './pool.ts'
import type { RingOwner } from './ring.ts'
import { Ring } from './ring.ts'

/** Word of the bucket's lock. */
export const LOCK = 0
/** Newest of the entries that have pages. */
const NEWEST = 3
/** Pages the bucket's entries have. */
const PAGES = 4
/** Entries with an expiry. */
const EXPIRING = 5
const LEASES = 6
const RING = 8

/** Counters: doubles, since the start. Their words, two each. */
export const GETS = 24
export const HITS = 26
export const SETS = 28
export const IN_PLACE = 30
export const EVICTED = 32
export const EXPIRED_LAZILY = 34
export const EXPIRED_ACTIVELY = 36
export const COLLISIONS = 38
export const GENERATIONS = 40
export const BIG_VALUES = 42
export const BIG_PAGES = 44

const DATABASES = BUCKET_FIXED_WORDS

/** Results of the writing verbs. */
export const STORED = 0
/** maxmemory cannot hold it: answer Redis's OOM error. */
export const OUT_OF_MEMORY = 1

/** Results of `get`: a length >= 0, or */
export const MISS = -1
/** The value lies in pages: take `open` and `pin`. */
export const IN_PAGES = -2
/** The sink had no room for `store.valueLength` bytes. */
export const NO_ROOM = -3

/** Longer values are handed out as pages; up to here pages are copied like other values. */
export const COPIED_BYTES_MAX = 64 * 1024

/** Where `get` puts a value: `reserve(length)` gives a position in the I/O memory, or -1: no room. */
export interface Sink {
  reserve(length: number): number
}

/** The key of the current verb, and what was found under it. One for all buckets of a thread. */
export class Key {
  db = 0
  bytes: Uint8Array
  pos = 0
  length = 0
  hash = 0
  valueLength = 0
  /** Milliseconds, 0: none. */
  expireAt = 0
  valueType = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Nothing is found under the key. */
  forget(): void {
    this.valueLength = 0
    this.expireAt = 0
    this.valueType = 0
  }
}

/** What an entry of the current key would look like. */
class Plan implements entry.WideHeader {
  type = 0
  db = 0
  hash = 0
  narrow = false
  paged = false
  keyInPages = false
  tailInPages = false
  /** Bytes in the ring. */
  bytes = 0
  /** Bytes of the value in the ring. */
  tail = 0
  keyLength = 0
  valueLength = 0
  expires = false
}

export class Buckets implements RingOwner {
  readonly index: Index
  readonly ring: Ring
  readonly #arena: Arena
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #pool: Pool
  readonly #chains: Chains
  readonly #key: Key
  readonly #layout: Layout
  readonly #hash: Hash
  readonly #seed: number
  readonly #io: Uint8Array
  readonly #entryBytesMax: number
  readonly #keyInRingMax: number
  readonly #plan = new Plan()
  /** Address of the entry `find` found, 0: none. */
  address = 0
  /** Its position in the index; when none was found, where the search ended. */
  #position = 0
  /** Slots with the key's hash that `find` passed. */
  #equals = 0

  constructor(
    arena: Arena,
    pool: Pool,
    chains: Chains,
    key: Key,
    options: { layout: Layout; hash: Hash; seed: number; io: Uint8Array },
  ) {
    const layout = options.layout
    this.#arena = arena
    this.#bytes = arena.bytes
    this.#words = arena.words
    this.#doubles = arena.doubles
    this.#pool = pool
    this.#chains = chains
    this.#key = key
    this.#layout = layout
    this.#hash = options.hash
    this.#seed = options.seed
    this.#io = options.io
    const chunkBytes = 1 << layout.chunkShift
    this.#entryBytesMax = chunkBytes >>> 1
    this.#keyInRingMax = chunkBytes >>> 2
    this.index = new Index(arena, pool, layout)
    this.ring = new Ring(arena, pool, this, { chunkBytes, generationsWord: GENERATIONS })
  }

  /** First word of the `n`th bucket of this arena. */
  header(n: number): number {
    return this.#layout.firstBucket + n * this.#layout.bucketWords
  }

  /** Once for the arena's life. */
  open(count: number): void {
    this.#pool.open(count)
    for (let n = 0; n < count; n++) {
      this.index.open(this.header(n), this.#layout.firstPiece + n * (1 << this.#layout.pieceShift))
    }
  }

  counter(bucket: number, word: number): number {
    return this.#doubles[(bucket + word) >> 1]!
  }

  countUp(bucket: number, word: number): void {
    this.#doubles[(bucket + word) >> 1]!++
  }

  /** Entries of all databases that a client can see. */
  entries(bucket: number): number {
    return this.index.count(bucket) - this.#words[bucket + LEASES]!
  }

  /** Entries a client can see, expired ones that are not removed yet included. */
  size(bucket: number, db: number): number {
    return this.#words[bucket + DATABASES + db]!
  }

  expiring(bucket: number, db: number): number {
    return this.#words[bucket + DATABASES + this.#layout.databases + db]!
  }

  expiringInAll(bucket: number): number {
    return this.#words[bucket + EXPIRING]!
  }

  hasPages(bucket: number): boolean {
    return this.#words[bucket + NEWEST] !== 0
  }

  /** Chunks the bucket's entries have. */
  chunks(bucket: number): number {
    return this.ring.chunks(bucket + RING) + this.pages(bucket)
  }

  /** Pages of the bucket's entries, for the check of invariants. */
  pages(bucket: number): number {
    return this.#words[bucket + PAGES]!
  }

  hashKey(db: number, bytes: Uint8Array, pos: number, length: number): number {
    return this.#hash(bytes, pos, length, (this.#seed + Math.imul(db, 0x9e3779b1)) | 0) | 0
  }

  /* ---- finding ---- */

  /** The address of the key's value, an expired one too; or of its lease. 0: none. */
  find(bucket: number, lease: boolean): number {
    const words = this.#words
    const index = this.index
    const tag = tagOf(this.#key.hash)
    const slots = index.slots(bucket)
    let position = index.home(bucket, this.#key.hash)
    let slot = index.slot(bucket, position)
    let left = index.slotsLeft(position)
    let equals = 0
    let found = 0
    for (;;) {
      const held = words[slot + 1]!
      const here = words[slot]!
      if (held === 0 || here > tag) break
      if (here === tag) {
        const address = addressIn(held)
        if (this.#matches(address, lease)) {
          found = address
          break
        }
        equals++
      }
      position++
      slot += 2
      if (--left > 0) continue
      // The next slot lies in another piece.
      if (position === slots) break
      slot = index.slot(bucket, position)
      left = index.slotsLeft(position)
    }
    this.#position = position
    this.#equals = equals
    this.address = found
    return found
  }

  /** `find` of a value that has not expired at `now`; an expired one is removed and counted. */
  findFresh(bucket: number, now: number): number {
    const address = this.find(bucket, false)
    if (address === 0 || (this.#words[address >> 2]! & entry.EXPIRY) === 0) return address
    const expireAt = entry.expireAtOf(this.#words, address)
    if (expireAt === 0 || expireAt > now) return address
    this.#removeFound(bucket)
    this.#doubles[(bucket + EXPIRED_LAZILY) >> 1]!++
    return 0
  }

  #matches(address: number, lease: boolean): boolean {
    const words = this.#words
    const key = this.#key
    const head = words[address >> 2]!
    if ((((head >>> 24) & 15) === entry.TYPE_LEASE) !== lease) return false
    if ((head & entry.WIDE) !== 0) return this.#matchesWide(address)
    const length = key.length
    if (((head >>> 12) & 0xfff) !== ((key.db << 8) | length)) return false
    const bytes = this.#bytes
    const theirs = key.bytes
    const from = key.pos
    const at = address + ((head & entry.EXPIRY) === 0 ? 4 : 12)
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== theirs[from + i]) return false
    }
    return true
  }

  #matchesWide(address: number): boolean {
    const words = this.#words
    const { db, length, bytes, pos } = this.#key
    if (entry.keyLengthOf(words, address) !== length) return false
    if (entry.databaseOf(words, address) !== db) return false
    if (entry.isKeyInPages(words, address)) {
      return this.#chains.equal(entry.keyPageOf(words, address), bytes, pos, length)
    }
    const at = entry.keyAt(words, address)
    for (let i = 0; i < length; i++) {
      if (this.#bytes[at + i] !== bytes[pos + i]) return false
    }
    return true
  }

  /* ---- reading ---- */

  /** Counted unless the sink has no room: the caller will come again. */
  get(bucket: number, sink: Sink, now: number): number {
    const words = this.#words
    const doubles = this.#doubles
    const address = this.findFresh(bucket, now)
    if (address === 0) {
      doubles[(bucket + GETS) >> 1]!++
      return MISS
    }
    let length = entry.valueLengthOf(words, address)
    if (length > COPIED_BYTES_MAX) {
      length = IN_PAGES
    } else {
      const to = sink.reserve(length)
      if (to < 0) {
        this.#key.valueLength = length
        return NO_ROOM
      }
      if (entry.isWide(words, address)) this.read(address, 0, length, to)
      else this.#arena.copyOut(to, entry.valueAt(words, address), length)
    }
    doubles[(bucket + GETS) >> 1]!++
    doubles[(bucket + HITS) >> 1]!++
    return length
  }

  /** Fills the key's `valueLength`, `expireAt`, `valueType` from the entry found. */
  describe(): void {
    const words = this.#words
    const address = this.address
    this.#key.valueLength = entry.valueLengthOf(words, address)
    this.#key.expireAt = entry.expireAtOf(words, address)
    this.#key.valueType = entry.typeOf(words, address)
  }

  /** Copies [from, from + length) of an entry's value to the I/O memory. */
  read(address: number, from: number, length: number, to: number): void {
    const words = this.#words
    const inPages = this.bytesInPages(address)
    const first = Math.max(0, Math.min(length, inPages - from))
    if (first > 0) this.#chains.readFrom(entry.valuePageOf(words, address), from, first, to)
    if (first === length) return
    const tail = entry.valueAt(words, address) + Math.max(0, from - inPages)
    this.#arena.copyOut(to + first, tail, length - first)
  }

  /** How many of the value's bytes lie in pages; the rest is in the ring. */
  bytesInPages(address: number): number {
    const words = this.#words
    if (!entry.isPaged(words, address)) return 0
    const length = entry.valueLengthOf(words, address)
    return entry.isTailInPages(words, address) ? length : length & -this.#chains.pageBytes
  }

  /** Pins the value's pages. @returns the chain, its length what lies in pages */
  pin(address: number): Chain {
    const first = entry.valuePageOf(this.#words, address)
    this.#chains.pin(first)
    const inPages = this.bytesInPages(address)
    return this.#chains.adopt(first, this.#chains.pagesFor(inPages), inPages)
  }

  isPinned(address: number): boolean {
    const inPages = this.bytesInPages(address) > 0
    return inPages && this.#chains.isPinned(entry.valuePageOf(this.#words, address))
  }

  /** Copies the key of an entry to a position in the I/O memory. */
  copyKey(address: number, to: number): void {
    const words = this.#words
    const length = entry.keyLengthOf(words, address)
    if (entry.isKeyInPages(words, address)) {
      this.#chains.readFrom(entry.keyPageOf(words, address), 0, length, to)
    } else {
      this.#arena.copyOut(to, entry.keyAt(words, address), length)
    }
  }

  /** The key of an entry on the heap. */
  keyOf(address: number): Uint8Array {
    const words = this.#words
    const length = entry.keyLengthOf(words, address)
    const copy = new Uint8Array(length)
    if (!entry.isKeyInPages(words, address)) {
      const at = entry.keyAt(words, address)
      copy.set(this.#bytes.subarray(at, at + length))
      return copy
    }
    const chain = this.#chains.adopt(
      entry.keyPageOf(words, address),
      this.#chains.pagesFor(length),
      length,
    )
    this.#chains.gather(chain, 0, copy)
    return copy
  }

  keyLength(address: number): number {
    return entry.keyLengthOf(this.#words, address)
  }

  type(address: number): number {
    return entry.typeOf(this.#words, address)
  }

  isVisible(address: number, db: number): boolean {
    const words = this.#words
    return (
      entry.typeOf(words, address) !== entry.TYPE_LEASE && entry.databaseOf(words, address) === db
    )
  }

  isExpired(address: number, now: number): boolean {
    const expireAt = entry.expireAtOf(this.#words, address)
    return expireAt !== 0 && expireAt <= now
  }

  /* ---- writing ---- */

  /** Would the current key with such a value lie in the ring as a whole? */
  fitsInRing(valueLength: number, expires: boolean): boolean {
    this.#draw(valueLength, expires)
    return !this.#plan.paged
  }

  /**
   * Stores a value that fits in the ring, in place of the key's entry of the same kind, and removes
   * the key's lease (a lease must not have one already). Never fails.
   */
  put(
    bucket: number,
    type: number,
    bytes: Uint8Array,
    pos: number,
    length: number,
    expireAt: number,
  ): void {
    const isLease = type === entry.TYPE_LEASE
    if (!isLease && this.#words[bucket + LEASES] !== 0) this.removeLease(bucket)
    this.#draw(length, expireAt !== 0)
    const plan = this.#plan
    let old = this.find(bucket, isLease)
    if (old !== 0 && this.#overwrite(bucket, old, type, bytes, pos, expireAt)) return
    const changes = this.index.changes
    if (old === 0) this.#makeRoom(bucket)
    const at = this.ring.place(bucket, bucket + RING, plan.bytes)
    if (changes !== this.index.changes) old = this.find(bucket, isLease)
    else if (old !== 0) old = this.index.address(bucket, this.#position) // it may have moved
    this.#write(at, type, bytes, pos, expireAt)
    if (old === 0) {
      this.#insert(bucket, at)
    } else {
      this.index.point(bucket, this.#position, at)
      this.#kill(bucket, old)
    }
    this.#count(bucket, at, 1)
    this.address = at
  }

  /**
   * Stores a value from a chain, in place of the key's entry of the same kind, and removes the
   * key's lease. The chain, which may be that entry's own, is taken over if STORED.
   */
  putChain(bucket: number, chain: Chain, expireAt: number, type: number): number {
    const isLease = type === entry.TYPE_LEASE
    const length = chain.length
    if (this.fitsInRing(length, expireAt !== 0)) {
      this.#chains.read(chain, 0, length, OWN_AT)
      this.#chains.undo(chain)
      this.put(bucket, type, this.#io, OWN_AT, length, expireAt)
      return STORED
    }
    const plan = this.#plan
    const borrowed = chain.pages - chain.flying
    if (borrowed > this.#chains.pagesFor(length - plan.tail)) this.#leaveTailInPages()
    const keyPage = plan.keyInPages ? this.#keyPages(bucket, isLease) : 0
    if (keyPage < 0) return OUT_OF_MEMORY
    // From here on nothing fails. The tail goes by way of the store's own area.
    const inPages = length - plan.tail
    this.#chains.read(chain, inPages, plan.tail, OWN_AT)
    if (!isLease && this.#words[bucket + LEASES] !== 0) this.removeLease(bucket)
    if (this.find(bucket, isLease) !== 0) this.#removeButPages(bucket, chain.first, keyPage)
    this.#chains.truncate(chain, this.#chains.pagesFor(inPages))
    this.#makeRoom(bucket)
    const at = this.ring.place(bucket, bucket + RING, plan.bytes)
    this.#writePaged(bucket, at, { type, expireAt, valuePage: chain.first, keyPage })
    this.#arena.copyIn(entry.valueAt(this.#words, at), this.#io, OWN_AT, plan.tail)
    this.#chains.settle(chain)
    this.find(bucket, isLease)
    this.#insert(bucket, at)
    this.#count(bucket, at, 1)
    this.address = at
    return STORED
  }

  /**
   * The value of the entry found as a chain with room for `length` bytes, for writing: its own
   * pages if nobody reads them or `shared` readers do not matter, else a copy. Null: no memory;
   * the entry is as it was.
   */
  thaw(address: number, length: number, shared: boolean): Chain | null {
    const words = this.#words
    const valueLength = entry.valueLengthOf(words, address)
    const inPages = this.bytesInPages(address)
    const own = inPages > 0 && (shared || !this.isPinned(address))
    const chain = own
      ? this.#chains.adopt(
          entry.valuePageOf(words, address),
          this.#chains.pagesFor(inPages),
          valueLength,
        )
      : this.#chains.adopt(0, 0, valueLength)
    if (!this.#chains.extend(chain, Math.max(length, valueLength))) return null
    if (!own && inPages > 0) {
      const source = this.#chains.adopt(
        entry.valuePageOf(words, address),
        this.#chains.pagesFor(inPages),
        inPages,
      )
      this.#chains.writeChain(chain, 0, source)
    }
    const tail = valueLength - inPages
    if (tail > 0) {
      this.#arena.copyOut(OWN_AT, entry.valueAt(words, address), tail)
      this.#chains.write(chain, inPages, this.#io, OWN_AT, tail)
    }
    return chain
  }

  /** Overwrites bytes inside the value of an entry nobody has pinned. */
  writeInside(
    address: number,
    offset: number,
    bytes: Uint8Array,
    pos: number,
    length: number,
  ): void {
    const words = this.#words
    const inPages = this.bytesInPages(address)
    const first = Math.max(0, Math.min(length, inPages - offset))
    if (first > 0) {
      const chain = this.#chains.adopt(
        entry.valuePageOf(words, address),
        this.#chains.pagesFor(inPages),
        inPages,
      )
      this.#chains.write(chain, offset, bytes, pos, first)
    }
    const to = entry.valueAt(words, address) + Math.max(0, offset - inPages)
    this.#arena.copyIn(to, bytes, pos + first, length - first)
  }

  /** Sets the expiry of the entry found; false when the entry has no room for one. */
  setExpiryInPlace(bucket: number, address: number, expireAt: number): boolean {
    const words = this.#words
    if (!entry.hasExpiry(words, address)) return expireAt === 0
    this.#count(bucket, address, -1)
    entry.setExpireAt(words, address, expireAt)
    this.#count(bucket, address, 1)
    return true
  }

  /* ---- removing ---- */

  /** Removes the key's value and its lease. True if there was a value. */
  remove(bucket: number, now: number): boolean {
    const found = this.findFresh(bucket, now) !== 0
    if (found) this.#removeFound(bucket)
    if (this.#words[bucket + LEASES] !== 0) this.removeLease(bucket)
    return found
  }

  /** Removes the key's lease, if there is one. */
  removeLease(bucket: number): void {
    if (this.find(bucket, true) !== 0) this.#removeFound(bucket)
    this.address = 0
  }

  /** Evicts: the ring's head needs the place. */
  evict(bucket: number, address: number): void {
    if (entry.typeOf(this.#words, address) !== entry.TYPE_LEASE) {
      this.#doubles[(bucket + EVICTED) >> 1]!++
    }
    this.index.remove(bucket, this.index.locate(bucket, this.#hashOf(address), address))
    this.#kill(bucket, address)
  }

  moved(bucket: number, from: number, to: number): void {
    const words = this.#words
    this.index.point(bucket, this.index.locate(bucket, this.#hashOf(to), from), to)
    if (!entry.isPaged(words, to)) return
    const newer = entry.newerOf(words, to)
    const older = entry.olderOf(words, to)
    if (newer === 0) words[bucket + NEWEST] = to
    else entry.setOlder(words, newer, to)
    if (older !== 0) entry.setNewer(words, older, to)
  }

  /** Removes the entry at a position of the index, whatever it is. */
  removeAt(bucket: number, position: number): void {
    const address = this.index.address(bucket, position)
    this.index.remove(bucket, position)
    this.#kill(bucket, address)
  }

  /** Removes the entry at a position because it expired, if it did. */
  expireAtPosition(bucket: number, position: number, now: number): boolean {
    if (!this.isExpired(this.index.address(bucket, position), now)) return false
    this.removeAt(bucket, position)
    this.#doubles[(bucket + EXPIRED_ACTIVELY) >> 1]!++
    return true
  }

  /** Removes all entries of a database, leases too. */
  flush(bucket: number, db: number): void {
    // From the last position down: what a removal shifts was looked at already.
    for (let position = this.index.slots(bucket) - 1; position >= 0; position--) {
      const address = this.index.address(bucket, position)
      if (address === 0 || entry.databaseOf(this.#words, address) !== db) continue
      this.removeAt(bucket, position)
    }
    if (this.index.count(bucket) === 0) this.reset(bucket)
    else this.ring.trim(bucket, bucket + RING, this.ring.chunks(bucket + RING) * (1 << 16))
    this.index.shrink(bucket)
  }

  /** Removes everything, in time that does not depend on the number of entries without pages. */
  reset(bucket: number): void {
    const words = this.#words
    for (let at = words[bucket + NEWEST]!; at !== 0; at = entry.olderOf(words, at)) {
      this.#abandonPages(at)
    }
    this.ring.reset(bucket, bucket + RING)
    this.index.reset(bucket)
    words[bucket + NEWEST] = 0
    words[bucket + PAGES] = 0
    words[bucket + EXPIRING] = 0
    words[bucket + LEASES] = 0
    this.#doubles[(bucket + BIG_VALUES) >> 1] = 0
    this.#doubles[(bucket + BIG_PAGES) >> 1] = 0
    const counts = bucket + DATABASES
    words.fill(0, counts, counts + 2 * this.#layout.databases)
    this.address = 0
  }

  /** Gives a chunk to the pool, evicting for it. False: this bucket has none to spare. */
  yieldChunk(bucket: number): boolean {
    return this.ring.yieldChunk(bucket, bucket + RING)
  }

  /**
   * Gives a piece of the index back, evicting until the entries fit in fewer. False: it has but one.
   */
  yieldPiece(bucket: number): boolean {
    while (this.index.pieces(bucket) > 1) {
      if (this.index.yieldPiece(bucket)) return true
      this.ring.passOldest(bucket, bucket + RING)
    }
    return false
  }

  /** After writes, before the lock is given back: addresses are wrong after it. */
  settle(bucket: number): void {
    this.ring.trim(bucket, bucket + RING)
    this.index.shrink(bucket)
  }

  /* ---- leases ---- */

  /** The token of the lease at an address. */
  tokenOf(address: number): number {
    this.read(address, 0, 8, OWN_AT)
    return readToken(this.#io, OWN_AT)
  }

  /** Plants a lease for the current key, which has none. False: no memory for its key. */
  plant(bucket: number, token: number): boolean {
    writeToken(this.#io, OWN_AT, token)
    if (this.fitsInRing(8, false)) {
      this.put(bucket, entry.TYPE_LEASE, this.#io, OWN_AT, 8, 0)
      return true
    }
    const chain = this.#chains.adopt(0, 0, 8)
    if (!this.#chains.extend(chain, 8)) return false
    this.#chains.write(chain, 0, this.#io, OWN_AT, 8)
    if (this.putChain(bucket, chain, 0, entry.TYPE_LEASE) === STORED) return true
    this.#chains.undo(chain)
    return false
  }

  /* ---- checks ---- */

  /** Throws when the bucket's parts contradict each other. @returns the ring's chunks */
  check(bucket: number): number {
    const words = this.#words
    this.index.check(bucket)
    const chunks = this.ring.check(bucket + RING)
    let entries = 0
    let pages = 0
    let leases = 0
    let expiring = 0
    const sizes = new Array<number>(this.#layout.databases).fill(0)
    this.ring.walk(bucket + RING, (at) => {
      entries++
      const key = this.keyOf(at)
      const hash = this.hashKey(entry.databaseOf(words, at), key, 0, key.length)
      assert(hash === this.#hashOf(at), 'an entry keeps a wrong hash')
      this.index.locate(bucket, hash, at)
      pages += this.#pagesOf(at)
      if (entry.typeOf(words, at) === entry.TYPE_LEASE) {
        leases++
      } else {
        sizes[entry.databaseOf(words, at)]!++
        if (entry.expireAtOf(words, at) !== 0) expiring++
      }
    })
    assert(entries === this.index.count(bucket), 'the index has slots without entries')
    assert(pages === words[bucket + PAGES], 'pages are counted wrong')
    assert(leases === words[bucket + LEASES], 'leases are counted wrong')
    assert(expiring === words[bucket + EXPIRING], 'expiring entries are counted wrong')
    sizes.forEach((size, db) => assert(size === this.size(bucket, db), 'a size is wrong'))
    return chunks
  }

  /* ---- private ---- */

  /** Decides the form of the current key with such a value. */
  #draw(valueLength: number, expires: boolean): void {
    const plan = this.#plan
    const key = this.#key
    plan.db = key.db
    plan.hash = key.hash
    plan.keyLength = key.length
    plan.valueLength = valueLength
    plan.expires = expires
    plan.paged = false
    plan.keyInPages = false
    plan.tailInPages = false
    plan.tail = valueLength
    plan.narrow =
      key.length <= entry.KEY_NARROW_MAX &&
      valueLength <= entry.VALUE_NARROW_MAX &&
      key.db <= entry.DATABASE_NARROW_MAX
    const header =
      (plan.narrow ? entry.NARROW_BYTES : entry.WIDE_BYTES) + (expires ? entry.EXPIRY_BYTES : 0)
    plan.bytes = (header + key.length + valueLength + 3) & ~3
    if (plan.bytes > this.#entryBytesMax) this.#drawPaged()
  }

  #drawPaged(): void {
    const plan = this.#plan
    const expiry = plan.expires ? entry.EXPIRY_BYTES : 0
    plan.narrow = false
    plan.paged = true
    plan.keyInPages = plan.keyLength > this.#keyInRingMax
    plan.tail = plan.valueLength & (this.#chains.pageBytes - 1)
    const rest =
      entry.WIDE_BYTES + expiry + entry.PAGES_BYTES + (plan.keyInPages ? 0 : plan.keyLength)
    plan.bytes = (rest + plan.tail + 3) & ~3
    if (plan.bytes > this.#entryBytesMax) this.#leaveTailInPages()
  }

  /** Where the ring has no room for it, or readers of these pages may need it there. */
  #leaveTailInPages(): void {
    const plan = this.#plan
    plan.bytes = (plan.bytes - plan.tail + 3) & ~3
    plan.tail = 0
    plan.tailInPages = true
  }

  /** Writes the new entry over the old one if it is not longer. */
  #overwrite(
    bucket: number,
    old: number,
    type: number,
    bytes: Uint8Array,
    pos: number,
    expireAt: number,
  ): boolean {
    const words = this.#words
    const plan = this.#plan
    const left = entry.entryBytes(words, old) - plan.bytes
    if (left < 0 || entry.isPaged(words, old)) return false
    if (plan.narrow && !plan.expires && entry.isNarrowWithoutExpiry(words, old)) {
      // The most frequent case: only the value differs, and nothing that is counted.
      words[old >> 2] = entry.narrowHead(type, plan.db, plan.keyLength, plan.valueLength, false)
      const to = old + entry.NARROW_BYTES + plan.keyLength
      this.#arena.copyIn(to, bytes, pos, plan.valueLength)
    } else {
      this.#count(bucket, old, -1)
      this.#write(old, type, bytes, pos, expireAt)
      this.#count(bucket, old, 1)
    }
    if (left > 0) this.ring.leaveDead(bucket + RING, old + plan.bytes, left)
    this.#doubles[(bucket + IN_PLACE) >> 1]!++
    return true
  }

  /** Writes an entry without pages as planned. */
  #write(at: number, type: number, bytes: Uint8Array, pos: number, expireAt: number): void {
    const words = this.#words
    const key = this.#key
    const plan = this.#plan
    const { keyLength, valueLength } = plan
    let to = at + entry.NARROW_BYTES
    if (plan.narrow) {
      words[at >> 2] = entry.narrowHead(type, key.db, keyLength, valueLength, plan.expires)
    } else {
      plan.type = type
      entry.writeWide(words, at, plan)
      to = at + entry.WIDE_BYTES
    }
    if (plan.expires) {
      entry.setExpireAt(words, at, expireAt)
      to += entry.EXPIRY_BYTES
    }
    this.#arena.copyIn(to, key.bytes, key.pos, keyLength)
    this.#arena.copyIn(to + keyLength, bytes, pos, valueLength)
  }

  /** Writes an entry with pages as planned, but for the tail of its value. */
  #writePaged(
    bucket: number,
    at: number,
    pages: { type: number; expireAt: number; valuePage: number; keyPage: number },
  ): void {
    const words = this.#words
    const key = this.#key
    this.#plan.type = pages.type
    entry.writeWide(words, at, this.#plan)
    if (this.#plan.expires) entry.setExpireAt(words, at, pages.expireAt)
    entry.setValuePage(words, at, pages.valuePage)
    entry.setKeyPage(words, at, pages.keyPage)
    entry.setNewer(words, at, 0)
    const older = words[bucket + NEWEST]!
    entry.setOlder(words, at, older)
    if (older !== 0) entry.setNewer(words, older, at)
    words[bucket + NEWEST] = at
    if (!this.#plan.keyInPages) {
      this.#arena.copyIn(entry.keyAt(words, at), key.bytes, key.pos, key.length)
    }
    const count = this.#pagesOf(at)
    words[bucket + PAGES]! += count
    this.#doubles[(bucket + BIG_PAGES) >> 1]! += count
    this.#doubles[(bucket + BIG_VALUES) >> 1]!++
  }

  /** Pages with the current key: those of its old entry, or new ones. -1: no memory. */
  #keyPages(bucket: number, isLease: boolean): number {
    const old = this.find(bucket, isLease)
    if (old !== 0 && entry.isKeyInPages(this.#words, old)) return entry.keyPageOf(this.#words, old)
    const key = this.#key
    const chain = this.#chains.adopt(0, 0, key.length)
    if (!this.#chains.extend(chain, key.length)) return -1
    this.#chains.write(chain, 0, key.bytes, key.pos, key.length)
    this.#chains.settle(chain)
    return chain.first
  }

  /** Removes the entry found; pages that its successor takes over stay. */
  #removeButPages(bucket: number, valuePage: number, keyPage: number): void {
    const words = this.#words
    const address = this.address
    if (entry.isPaged(words, address)) {
      if (entry.valuePageOf(words, address) === valuePage) entry.setValuePage(words, address, 0)
      if (entry.keyPageOf(words, address) === keyPage) entry.setKeyPage(words, address, 0)
    }
    this.#removeFound(bucket)
  }

  #removeFound(bucket: number): void {
    const address = this.address
    this.index.remove(bucket, this.#position)
    this.#kill(bucket, address)
    this.address = 0
  }

  /** Makes room in the index for one more entry, evicting where it cannot grow. */
  #makeRoom(bucket: number): void {
    const index = this.index
    while (!index.hasRoom(bucket)) {
      if (index.grow(bucket)) continue
      if (index.mayGrow(bucket) && this.yieldChunk(bucket)) continue
      if (index.isEndTaken(bucket)) this.#evictAt(bucket, index.slots(bucket) - 1)
      else if (index.isFull(bucket)) this.ring.passOldest(bucket, bucket + RING)
      else return
    }
  }

  #evictAt(bucket: number, position: number): void {
    this.evict(bucket, this.index.address(bucket, position))
  }

  /** Enters the current key, for which `find` found nothing. */
  #insert(bucket: number, at: number): void {
    const index = this.index
    const hash = this.#key.hash
    let position = index.seek(bucket, hash)
    if (this.#equals >= RUN_MAX) {
      this.#doubles[(bucket + COLLISIONS) >> 1]!++
      this.#evictAt(bucket, position)
      position = index.seek(bucket, hash)
    }
    const inserted = index.insert(bucket, position, hash, at)
    assert(inserted, 'an index has no room at its end')
  }

  /** Forgets an entry that the index does not know any more. */
  #kill(bucket: number, address: number): void {
    const words = this.#words
    this.#count(bucket, address, -1)
    if (entry.isPaged(words, address)) {
      const newer = entry.newerOf(words, address)
      const older = entry.olderOf(words, address)
      if (newer === 0) words[bucket + NEWEST] = older
      else entry.setOlder(words, newer, older)
      if (older !== 0) entry.setNewer(words, older, newer)
      const pages = this.#pagesOf(address)
      words[bucket + PAGES]! -= pages
      this.#doubles[(bucket + BIG_PAGES) >> 1]! -= pages
      this.#doubles[(bucket + BIG_VALUES) >> 1]!--
      this.#abandonPages(address)
    }
    this.ring.kill(bucket + RING, address)
  }

  #abandonPages(address: number): void {
    const words = this.#words
    const valuePage = entry.valuePageOf(words, address)
    const keyPage = entry.keyPageOf(words, address)
    const inPages = this.#chains.pagesFor(this.bytesInPages(address))
    if (valuePage !== 0) this.#chains.abandon(valuePage, inPages)
    if (keyPage !== 0) {
      this.#chains.abandon(keyPage, this.#chains.pagesFor(entry.keyLengthOf(words, address)))
    }
  }

  /** Pages an entry has. */
  #pagesOf(address: number): number {
    const words = this.#words
    if (!entry.isPaged(words, address)) return 0
    const keyBytes = entry.isKeyInPages(words, address) ? entry.keyLengthOf(words, address) : 0
    return this.#chains.pagesFor(this.bytesInPages(address)) + this.#chains.pagesFor(keyBytes)
  }

  /** Counts an entry in (1) or out (-1). */
  #count(bucket: number, address: number, by: number): void {
    const words = this.#words
    if (entry.typeOf(words, address) === entry.TYPE_LEASE) {
      words[bucket + LEASES]! += by
      return
    }
    const counts = bucket + DATABASES + entry.databaseOf(words, address)
    words[counts]! += by
    if (!entry.hasExpiry(words, address) || entry.expireAtOf(words, address) === 0) return
    words[counts + this.#layout.databases]! += by
    words[bucket + EXPIRING]! += by
  }

  #hashOf(address: number): number {
    const words = this.#words
    if (entry.isWide(words, address)) return entry.hashOf(words, address)
    return this.hashKey(
      entry.databaseOf(words, address),
      this.#bytes,
      entry.keyAt(words, address),
      entry.keyLengthOf(words, address),
    )
  }
}

const HIGH_WORD = 2 ** 32

function writeToken(bytes: Uint8Array, at: number, token: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  view.setUint32(at, token % HIGH_WORD, true)
  view.setUint32(at + 4, Math.floor(token / HIGH_WORD), true)
}

function readToken(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * HIGH_WORD
}
