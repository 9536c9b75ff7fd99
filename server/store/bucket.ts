/*
 * A bucket: one lock, one index, its rings and ghosts. The same verbs as the store, with the lock
 * held and the key's hash known; the store chooses the bucket, takes its lock and calls `settle`
 * before it lets go. (What stands in its header: header.ts. Who goes when it is full: eviction.ts.)
 *
 * There is one object of this class for each arena, not for each bucket: `bucket` is the index of
 * the first word of a bucket's header, and everything about a bucket is in shared memory.
 *
 * The order of a write: the index gets room for one more first (that may evict), then the entry is
 * placed in a ring (that may evict too), and then the index takes it. So what an eviction meets
 * is always an entry the index knows. An entry of the same key stays until its successor stands,
 * if it has no pages; an entry with pages is removed first, its pages being kept where the
 * successor takes them over. The successor keeps the ring and the accesses of the one before.
 */
import type { Chain, Chains } from './big.ts'
import type { BigList } from './big-list.ts'
import type { Ended, Endings } from './endings.ts'
import { DELETED, EVICTED, EXPIRED, OVERWRITTEN } from './endings.ts'
import { Contents } from './contents.ts'
import * as entry from './entry.ts'
import * as extras from './extras.ts'
import type { Entries, Neighbours } from './eviction.ts'
import { Eviction } from './eviction.ts'
import { Form } from './form.ts'
import { Ghosts } from './ghost.ts'
import type { Hash } from './hash.ts'
import type { Invalidation } from './invalidation.ts'
import * as header from './header.ts'
import { DATABASES, EXPIRING, LEASES, MAIN, NEGATIVES, PAGED, PAGES, SMALL } from './header.ts'
import { addressIn, Index, RUN_MAX, tagOf } from './index.ts'
import type { Arena, Layout } from './memory.ts'
import { assert, OWN_AT } from './memory.ts'
import type { Pool } from './pool.ts'
import type { Purge } from './purge.ts'
import type { Ring } from './ring.ts'
import { ABSENT, DEAD, ERROR_ONLY, OVER, STALE, States } from './state.ts'
import type { Usage } from './usage.ts'
import type { Verb } from './verb.ts'
import type { Watches } from './watch.ts'

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

/**
 * Entries that are moved at most for one that was swept, so that its room is given back: a ring is
 * brought together when a 4th of it is dead.
 */
const MOVES_PER_REMOVAL = 4

const RINGS = [SMALL, MAIN, PAGED]

/** Without any of these, and of the color that there is, an entry is simply there. */
const PLAIN = entry.EXPIRY | entry.EXTRAS | entry.COLOR
const SLOT_BYTES = 8
const NO_VALUE = new Uint8Array(0)

/** A round of making room, over several buckets. */
export interface Round {
  /** Slots it may still look at. */
  slotsLeft: number
  isDone(): boolean
}

/** Where `get` puts a value: `reserve(length)` gives a position in the I/O memory, or -1: no room. */
export interface Sink {
  reserve(length: number): number
}

/** Has another key give its pages up, at the moment from which nothing fails. False: it has gone. */
export type HandOver = () => boolean

/**
 * The buckets of one arena; `bucket` is the first word of a header. All but the counts is asked under
 * that bucket's lock.
 */
export class Buckets implements Entries {
  readonly index: Index
  readonly eviction: Eviction
  readonly ghosts: Ghosts
  readonly contents: Contents
  readonly states: States
  /** Where entries that end are told of; null: nobody wants to know. */
  #endings: Endings | null
  readonly #usage: Usage
  readonly #watches: Watches
  readonly #ring: Ring
  readonly #arena: Arena
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #pool: Pool
  readonly #chains: Chains
  readonly #bigs: BigList
  readonly #verb: Verb
  readonly #layout: Layout
  readonly #hash: Hash
  readonly #seed: number
  readonly #io: Uint8Array
  readonly #trailer: number
  readonly #form: Form
  /** Read ahead of a placement. Nobody needs it, but what nobody could need would not be read. */
  atHead = 0
  /** Address of the entry `find` found, 0: none. */
  address = 0
  /** Its position in the index; when none was found, where the search ended. */
  #position = 0
  /** Slots with the key's hash that `find` passed. */
  #equals = 0

  constructor(
    arena: Arena,
    pool: Pool,
    parts: {
      chains: Chains
      bigs: BigList
      verb: Verb
      neighbours: Neighbours
      endings: Endings | null
      invalidation: Invalidation
      purge: Purge
      usage: Usage
      watches: Watches
    },
    options: { layout: Layout; hash: Hash; seed: number; io: Uint8Array; trailer: number },
  ) {
    const layout = options.layout
    this.#arena = arena
    this.#bytes = arena.bytes
    this.#words = arena.words
    this.#doubles = arena.doubles
    this.#pool = pool
    this.#chains = parts.chains
    this.#bigs = parts.bigs
    this.#verb = parts.verb
    this.#endings = parts.endings
    this.#usage = parts.usage
    this.#watches = parts.watches
    this.#layout = layout
    this.#hash = options.hash
    this.#seed = options.seed
    this.#io = options.io
    this.#trailer = options.trailer
    this.#form = new Form(layout, options.trailer)
    this.contents = new Contents(arena, parts.chains, options.io)
    this.states = new States(arena, this.contents, parts)
    this.index = new Index(arena, pool, layout)
    this.ghosts = new Ghosts(arena, pool, layout)
    this.eviction = new Eviction(arena, pool, layout, {
      index: this.index,
      ghosts: this.ghosts,
      entries: this,
      contents: this.contents,
      neighbours: parts.neighbours,
      bigs: parts.bigs,
      trailer: options.trailer,
    })
    this.#ring = this.eviction.ring
  }

  /** Who is told of entries that end from now on. */
  listen(endings: Endings | null): void {
    this.#endings = endings
  }

  /** First word of the `n`th bucket of this arena. */
  header(n: number): number {
    return this.#layout.firstBucket + n * this.#layout.bucketWords
  }

  /** Once for the arena's life. */
  open(count: number): void {
    this.#pool.open(count)
    for (let n = 0; n < count; n++) {
      this.index.open(this.header(n))
    }
  }

  counter(bucket: number, word: number): number {
    return this.#doubles[(bucket + word) >> 1]!
  }

  countUp(bucket: number, word: number, by = 1): void {
    this.#doubles[(bucket + word) >> 1]! += by
  }

  /** Entries of all databases that a client can see. */
  entries(bucket: number): number {
    const words = this.#words
    return this.index.count(bucket) - words[bucket + LEASES]! - words[bucket + NEGATIVES]!
  }

  /** Entries that say that an origin has no such thing. */
  negatives(bucket: number): number {
    return this.#words[bucket + NEGATIVES]!
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

  /** Has it entries whose time may be over some day? */
  mayExpire(bucket: number): boolean {
    const words = this.#words
    return words[bucket + EXPIRING]! + words[bucket + header.LOADED_FOR_EVER]! > 0
  }

  /** Bytes in the rings of entries that were removed or replaced. */
  deadBytes(bucket: number): number {
    return RINGS.reduce((sum, ring) => sum + this.#ring.deadBytes(bucket + ring), 0)
  }

  /** Bytes at the ends of the rings' chunks that no entry fitted into. */
  paddingBytes(bucket: number): number {
    return RINGS.reduce((sum, ring) => sum + this.#ring.padding(bucket + ring), 0)
  }

  /** Chunks the bucket's entries have. */
  chunks(bucket: number): number {
    return this.eviction.chunks(bucket) + this.pages(bucket)
  }

  /** Pages of the bucket's entries, for the check of invariants. */
  pages(bucket: number): number {
    return this.#words[bucket + PAGES]!
  }

  now(): number {
    return this.#verb.now
  }

  hashKey(db: number, bytes: Uint8Array, pos: number, length: number): number {
    return this.#hash(bytes, pos, length, (this.#seed + Math.imul(db, 0x9e3779b1)) | 0) | 0
  }

  /* ---- finding ---- */

  /**
   * The address of the key's value, or of what stands for it, whatever its state; or of its lease.
   * 0: none.
   */
  find(bucket: number, lease: boolean): number {
    const words = this.#words
    const index = this.index
    const tag = tagOf(this.#verb.hash)
    const slots = index.slots(bucket)
    let position = index.home(bucket, this.#verb.hash)
    let slot = index.slot(bucket, position)
    let left = index.slotsLeft(position, slots)
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
        this.#doubles[(bucket + header.COLLISIONS_MET) >> 1]!++
      }
      position++
      slot += 2
      if (--left > 0) continue
      // The next slot lies in another piece.
      if (position === slots) break
      slot = index.slot(bucket, position)
      left = index.slotsLeft(position, slots)
    }
    this.#position = position
    this.#equals = equals
    this.address = found
    return found
  }

  /** `find` of a value that clients see; one that is over is removed and counted. */
  findVisible(bucket: number): number {
    const address = this.find(bucket, false)
    if (address === 0 || (this.#words[address >> 2]! & PLAIN) === this.#verb.color) return address
    return this.#sift(bucket, address)
  }

  /** The same of one that may be served if its load fails, too. @returns its state */
  findAny(bucket: number): number {
    const state = this.look(bucket)
    if (state <= ERROR_ONLY) return state
    this.address = 0
    return ABSENT
  }

  /** The state of what stands under the key; `address` is its. What is over is removed: ABSENT. */
  look(bucket: number): number {
    const address = this.find(bucket, false)
    if (address === 0) return ABSENT
    const state = this.states.of(address)
    if (state < OVER) return state
    this.#removeOver(bucket, state)
    return ABSENT
  }

  /** The address of the entry found, if clients see it. */
  #sift(bucket: number, address: number): number {
    const state = this.states.of(address)
    if (state <= STALE) return address
    if (state >= OVER) this.#removeOver(bucket, state)
    this.address = 0
    return 0
  }

  /** Removes the entry found, which is over. */
  #removeOver(bucket: number, state: number): void {
    this.#dropOver(bucket, this.#position, state, header.EXPIRED_LAZILY)
    this.address = 0
  }

  #dropOver(bucket: number, position: number, state: number, counter: number): void {
    if (state === DEAD) this.drop(bucket, position, DELETED, header.INVALIDATED)
    else this.drop(bucket, position, EXPIRED, counter)
  }

  /** The entry found was asked for. */
  touch(bucket: number): void {
    this.states.noteAsked(this.address)
    this.#access(bucket)
  }

  #access(bucket: number): void {
    this.eviction.touch(bucket, this.index.slot(bucket, this.#position), this.address)
  }

  #matches(address: number, lease: boolean): boolean {
    const words = this.#words
    const key = this.#verb
    const head = words[address >> 2]!
    if ((((head >>> entry.TYPE_SHIFT) & entry.TYPE_MASK) === entry.TYPE_LEASE) !== lease) {
      return false
    }
    if ((head & entry.WIDE) !== 0) {
      if (entry.databaseOf(words, address) !== key.db) return false
      return this.contents.hasKey(address, key.bytes, key.pos, key.length)
    }
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

  /* ---- reading ---- */

  /** Counted unless the sink has no room: the caller will come again. */
  get(bucket: number, sink: Sink): number {
    const words = this.#words
    const doubles = this.#doubles
    const address = this.findVisible(bucket)
    if (address === 0) {
      doubles[(bucket + header.GETS) >> 1]!++
      return MISS
    }
    let length = entry.valueLengthOf(words, address)
    if (length > COPIED_BYTES_MAX) {
      length = IN_PAGES
    } else {
      const to = sink.reserve(length)
      if (to < 0) {
        this.#verb.valueLength = length
        return NO_ROOM
      }
      if (entry.isWide(words, address)) {
        this.contents.read(address, 0, length, to)
        this.states.noteAsked(address)
      } else {
        this.#arena.copyOut(to, entry.narrowValueAt(words, address), length)
      }
      this.#access(bucket)
    }
    doubles[(bucket + header.GETS) >> 1]!++
    doubles[(bucket + header.HITS) >> 1]!++
    return length
  }

  /** Fills the key's `valueLength`, `expireAt`, `valueType` from the entry found. */
  describe(): void {
    const words = this.#words
    const address = this.address
    this.#verb.valueLength = entry.valueLengthOf(words, address)
    this.#verb.expireAt = this.states.toldExpiry(address)
    this.#verb.valueType = entry.typeOf(words, address)
  }

  /** Copies of an entry that ends. */
  endedAt(address: number, reason: number): Ended {
    const db = entry.databaseOf(this.#words, address)
    const key = this.contents.keyOf(address)
    const value = this.#endings!.keysOnly ? NO_VALUE : this.contents.valueOf(address)
    return { reason, db, key, value }
  }

  /** Bytes an entry takes in all: in its ring, in pages, and its slot. */
  bytesOf(address: number): number {
    const inRing = entry.entryBytes(this.#words, address, this.#trailer)
    return inRing + this.contents.pagesOf(address) * this.#chains.pageBytes + SLOT_BYTES
  }

  keyLength(address: number): number {
    return entry.keyLengthOf(this.#words, address)
  }

  type(address: number): number {
    return entry.typeOf(this.#words, address)
  }

  /** May clients see the entry in this database? */
  isVisible(address: number, db: number): boolean {
    const words = this.#words
    if (entry.typeOf(words, address) === entry.TYPE_LEASE) return false
    return entry.databaseOf(words, address) === db && this.states.isVisible(address)
  }

  isOver(address: number): boolean {
    return this.states.ofTime(address) >= OVER
  }

  /** May parts of its value be written over as it is? Not if somebody reads it, or for its extras. */
  mayChangeInside(address: number): boolean {
    return !entry.hasExtras(this.#words, address) && !this.contents.isPinned(address)
  }

  /** May the time of the entry at an address be over some day, or is it? */
  expires(address: number): boolean {
    return entry.hasExpiry(this.#words, address) || entry.hasExtras(this.#words, address)
  }

  /** Accesses of the entry found that counted, 0..3. */
  frequency(bucket: number): number {
    return this.index.frequency(bucket, this.#position)
  }

  /** Gives the entry just stored what it had in a snapshot: accesses, rank, and age as a big value. */
  warm(
    bucket: number,
    had: { readonly frequency: number; readonly isInMain: boolean; readonly age: number },
  ): void {
    const index = this.index
    const address = this.address
    const position = index.locate(bucket, this.hashOf(address), address)
    const isRaised = had.isInMain && !index.isInMain(bucket, position)
    // In a ring it comes to main as one that was asked for.
    let frequency = isRaised ? Math.max(1, had.frequency) : had.frequency
    if (entry.isPaged(this.#words, address)) {
      if (isRaised) this.eviction.enterMainList(bucket, position)
      this.#bigs.backdate(entry.firstPageOf(this.#words, address), had.age)
      frequency = had.frequency
    }
    for (let i = index.frequency(bucket, position); i < frequency; i++) {
      index.access(bucket, position, 1)
    }
  }

  /* ---- writing ---- */

  /** Would the current key with such a value lie in the ring as a whole? */
  fitsInRing(valueLength: number, expires: boolean): boolean {
    this.#form.draw(this.#verb, valueLength, expires, this.#verb.extras.length)
    return !this.#form.paged
  }

  /**
   * Stores a value that fits in the ring, in place of the key's entry of the same kind, and removes
   * the key's lease (a lease must not have one already). `isAccess`: it counts as one to the entry
   * there was, if nobody counted it yet. False: no memory, the policy lets nobody
   * go for it; the key's entry is as it was.
   */
  put(
    bucket: number,
    type: number,
    bytes: Uint8Array,
    pos: number,
    length: number,
    expireAt: number,
    isAccess = false,
  ): boolean {
    const isLease = type === entry.TYPE_LEASE
    if (!isLease && this.#words[bucket + LEASES] !== 0) this.removeLease(bucket)
    const form = this.#form
    const index = this.index
    form.draw(this.#verb, length, expireAt !== 0, this.#verb.extras.length)
    this.atHead = this.#ring.wordAtHead(bucket + SMALL)
    let old = this.find(bucket, isLease)
    if (isAccess && old !== 0) this.#access(bucket)
    if (old !== 0 && this.#overwrite(bucket, old, type, bytes, pos, expireAt)) return true
    const changes = index.changes
    const isNew = old === 0
    let at = 0
    if (isNew) {
      if (!this.#makeRoom(bucket)) return false
      at = this.eviction.placeNew(bucket, this.#verb.hash, form.bytes, isLease)
    } else {
      const ring = index.isInMain(bucket, this.#position) ? MAIN : SMALL
      at = this.eviction.place(bucket, ring, form.bytes)
    }
    if (changes !== index.changes) old = this.find(bucket, isLease)
    else if (!isNew) old = index.address(bucket, this.#position) // it may have moved
    this.address = old
    if (at === 0) return false
    const isInMain = this.eviction.placedIn === MAIN
    if (!isNew && old === 0) {
      // The one before went for it, and there may be no room in the index now.
      this.#ring.leaveDead(bucket + this.eviction.placedIn, at, form.bytes)
      return this.put(bucket, type, bytes, pos, length, expireAt)
    }
    this.#write(at, type, bytes, pos, expireAt)
    if (isNew) {
      this.#insert(bucket, at, isInMain)
    } else {
      const wasInMain = index.isInMain(bucket, this.#position)
      const frequency = index.frequency(bucket, this.#position)
      index.succeed(bucket, this.#position, at, isInMain, frequency)
      this.#kill(bucket, old, wasInMain, OVERWRITTEN)
    }
    this.#count(bucket, at, 1)
    this.eviction.enter(bucket, at)
    this.address = at
    return true
  }

  /**
   * Stores a value from a chain, in place of the key's entry of the same kind, and removes the
   * key's lease. The chain, which may be that entry's own, is taken over if STORED. One that is
   * another key's comes with `handOver`: where it stays in pages, that one gives them up then.
   */
  putChain(
    bucket: number,
    chain: Chain,
    expireAt: number,
    type: number,
    handOver: HandOver | null = null,
  ): number {
    const isLease = type === entry.TYPE_LEASE
    const length = chain.length
    if (this.fitsInRing(length, expireAt !== 0)) {
      this.#chains.read(chain, 0, length, OWN_AT)
      this.#chains.undo(chain)
      const done = this.put(bucket, type, this.#io, OWN_AT, length, expireAt)
      return done ? STORED : OUT_OF_MEMORY
    }
    const old = this.find(bucket, isLease)
    // The chain may have its pages: it must not go for its successor's.
    const isGuarded = old !== 0 && entry.isPaged(this.#words, old)
    this.#verb.guardedPage = isGuarded ? entry.firstPageOf(this.#words, old) : 0
    const result = this.#putPaged(bucket, chain, expireAt, type, handOver)
    this.#verb.guardedPage = 0
    return result
  }

  #putPaged(
    bucket: number,
    chain: Chain,
    expireAt: number,
    type: number,
    handOver: HandOver | null,
  ): number {
    const isLease = type === entry.TYPE_LEASE
    const form = this.#form
    const index = this.index
    const borrowed = chain.pages - chain.flying
    if (borrowed > this.#chains.pagesFor(chain.length - form.tail)) form.leaveTailInPages()
    const keyPage = form.keyInPages ? this.#keyPages(bucket, isLease) : 0
    if (keyPage < 0) return OUT_OF_MEMORY
    const at = this.#placePaged(bucket, isLease)
    const isHanded = at !== 0 && (handOver === null || handOver())
    if (!isHanded) {
      if (at !== 0) this.#ring.leaveDead(bucket + PAGED, at, form.bytes)
      if (keyPage !== 0 && keyPage !== this.#oldKeyPage(bucket, isLease)) {
        this.#chains.abandon(keyPage, this.#chains.pagesFor(form.keyLength))
      }
      return OUT_OF_MEMORY
    }
    // From here on nothing fails. The tail goes by way of the store's own area.
    const inPages = chain.length - form.tail
    this.#chains.read(chain, inPages, form.tail, OWN_AT)
    this.#chains.truncate(chain, this.#chains.pagesFor(inPages))
    const old = this.find(bucket, isLease)
    const frequency = old === 0 ? 0 : index.frequency(bucket, this.#position)
    let isInMain = isLease
    if (old === 0) isInMain ||= this.eviction.choosesMainList(bucket, form.hash)
    else if (entry.isPaged(this.#words, old)) isInMain = entry.isInMainList(this.#words, old)
    else isInMain = index.isInMain(bucket, this.#position)
    const position = this.#position
    if (old !== 0) this.#forgetButPages(bucket, old, { value: chain.first, key: keyPage })
    this.#writePaged(bucket, at, { type, expireAt, valuePage: chain.first, keyPage, isInMain })
    this.#arena.copyIn(entry.valueAt(this.#words, at), this.#io, OWN_AT, form.tail)
    this.#chains.settle(chain)
    if (old === 0) this.#insert(bucket, at, isInMain)
    else index.succeed(bucket, position, at, isInMain, frequency)
    this.#count(bucket, at, 1)
    if (!isLease && this.#words[bucket + LEASES] !== 0) this.removeLease(bucket)
    this.address = at
    return STORED
  }

  /** Room in the index, if the key has no entry, and in the ring of entries with pages. 0: none. */
  #placePaged(bucket: number, isLease: boolean): number {
    for (;;) {
      const isNew = this.find(bucket, isLease) === 0
      if (isNew && !this.#makeRoom(bucket)) return 0
      const at = this.eviction.place(bucket, PAGED, this.#form.bytes)
      if (at === 0 || isNew || this.find(bucket, isLease) !== 0) return at
      // The one before went for it, and there may be no room in the index now.
      this.#ring.leaveDead(bucket + PAGED, at, this.#form.bytes)
    }
  }

  /** Sets the expiry of the entry found; false when the entry must be written anew for it. */
  setExpiryInPlace(bucket: number, address: number, expireAt: number): boolean {
    const words = this.#words
    if (entry.hasExtras(words, address)) return false
    if (!entry.hasExpiry(words, address)) return expireAt === 0
    this.#count(bucket, address, -1)
    entry.setExpireAt(words, address, expireAt)
    this.#count(bucket, address, 1)
    return true
  }

  /* ---- removing ---- */

  /** Removes the key's value, or what stands for it, and its lease. True if there was a value. */
  remove(bucket: number): boolean {
    const state = this.look(bucket)
    if (state !== ABSENT) this.#removeFound(bucket, DELETED)
    if (this.#words[bucket + LEASES] !== 0) this.removeLease(bucket)
    return state !== ABSENT && state <= STALE
  }

  /** Removes the key's value, whose pages from `page` on go on elsewhere. False: it has gone. */
  surrender(bucket: number, page: number): boolean {
    const address = this.find(bucket, false)
    if (address === 0 || !entry.isPaged(this.#words, address)) return false
    if (entry.valuePageOf(this.#words, address) !== page) return false
    this.index.remove(bucket, this.#position)
    this.#forgetButPages(bucket, address, { value: page, key: 0 }, DELETED)
    this.address = 0
    return true
  }

  /** Removes the key's lease, if there is one. */
  removeLease(bucket: number): void {
    if (this.find(bucket, true) !== 0) this.#removeFound(bucket, DELETED)
    this.address = 0
  }

  /** A part of the value found is to be changed: the load that is under way brings one from before. */
  fenceOff(bucket: number): void {
    if (this.#words[bucket + LEASES] === 0) return
    this.removeLease(bucket)
    this.find(bucket, false)
  }

  /** Removes the entry at a position of the index, whatever it is. */
  drop(bucket: number, position: number, reason: number, counter: number): void {
    const address = this.index.address(bucket, position)
    if (counter !== 0 && !this.#endsUnseen(address)) this.#doubles[(bucket + counter) >> 1]!++
    this.#removeAt(bucket, position, reason)
  }

  /** Removes the entry at an address, whose time was over. Not counted. */
  forget(bucket: number, address: number): void {
    const position = this.index.locate(bucket, this.hashOf(address), address)
    this.drop(bucket, position, EXPIRED, 0)
  }

  dropIfOver(bucket: number, position: number): boolean {
    const state = this.states.ofTime(this.index.address(bucket, position))
    if (state < OVER) return false
    this.#dropOver(bucket, position, state, header.EXPIRED_ACTIVELY)
    return true
  }

  /**
   * Removes entries of a database, leases too, from a hash on (0 begins), looking at so many slots.
   * @returns the hash to go on with, 0: no more
   */
  flush(bucket: number, db: number, hash: number, slotsMax: number): number {
    const index = this.index
    const before = index.count(bucket)
    let at = index.seek(bucket, hash)
    for (let left = slotsMax; left > 0 && at < index.slots(bucket); left--) {
      const address = index.address(bucket, at)
      // What a removal shifts comes to where the removed one was, and is looked at next.
      if (address === 0 || entry.databaseOf(this.#words, address) !== db) at++
      else this.#removeAt(bucket, at, DELETED)
    }
    const next = this.#nextHash(bucket, at)
    this.settleRemoved(bucket, before - index.count(bucket))
    return next
  }

  /**
   * Removes entries whose keys were invalidated and gives the others the store's color, from a hash
   * on, looking at so many slots. @returns the hash to go on with, 0: no more
   */
  purge(bucket: number, hash: number, slotsMax: number): number {
    const index = this.index
    const words = this.#words
    const before = index.count(bucket)
    let at = index.seek(bucket, hash)
    for (let left = slotsMax; left > 0 && at < index.slots(bucket); left--) {
      const address = index.address(bucket, at)
      if (address !== 0 && this.states.isPurged(address)) {
        this.drop(bucket, at, DELETED, header.INVALIDATED)
        continue
      }
      if (address !== 0) entry.setColor(words, address, this.#verb.color)
      at++
    }
    const next = this.#nextHash(bucket, at)
    this.settleRemoved(bucket, before - index.count(bucket))
    return next
  }

  /**
   * Makes entries of a group go that nobody asked for since the last time, from a hash on, looking at
   * so many slots; others count as asked for once less. @returns the hash to go on with, 0: no more
   */
  evictOf(bucket: number, group: number, hash: number, round: Round): number {
    if (this.#words[bucket + header.GROUPED] === 0) return 0
    const index = this.index
    const before = index.count(bucket)
    let at = index.seek(bucket, hash)
    for (; round.slotsLeft > 0 && at < index.slots(bucket) && !round.isDone(); round.slotsLeft--) {
      const address = index.address(bucket, at)
      if (address === 0 || this.states.groupOf(address) !== group) {
        at++
      } else if (index.frequency(bucket, at) > 0) {
        index.access(bucket, at, -1)
        at++
      } else {
        const isBig = entry.isPaged(this.#words, address)
        this.drop(bucket, at, EVICTED, isBig ? header.EVICTED_BIG : header.EVICTED_MAIN)
      }
    }
    const next = this.#nextHash(bucket, at)
    this.settleRemoved(bucket, before - index.count(bucket))
    return next
  }

  /** Hash of the first entry from a position on, 0: there is none. */
  #nextHash(bucket: number, position: number): number {
    const index = this.index
    let at = position
    while (at < index.slots(bucket) && index.address(bucket, at) === 0) at++
    return at < index.slots(bucket) ? index.hash(bucket, at) : 0
  }

  /**
   * Removes everything, in time that depends on the number of chunks and of entries with pages only
   * (of all entries, if somebody wants to know of them, or some were loaded for a group).
   */
  reset(bucket: number): void {
    const words = this.#words
    if (this.#endings?.hears(DELETED)) this.#endAll(bucket)
    if (words[bucket + header.GROUPED] !== 0) this.#forgetUsage(bucket)
    const ring = this.#ring
    ring.walk(bucket + PAGED, (address) => {
      this.#leaveList(address)
      this.contents.abandonPages(address)
    })
    if (this.eviction.chunks(bucket) > 0) {
      this.#pool.promise()
      for (const block of RINGS) ring.reset(bucket, bucket + block)
    }
    this.index.reset(bucket)
    this.eviction.reset(bucket)
    words[bucket + PAGES] = 0
    words[bucket + EXPIRING] = 0
    words[bucket + header.EXPIRING_PAGED] = 0
    words[bucket + LEASES] = 0
    words[bucket + NEGATIVES] = 0
    words[bucket + header.LOADED_FOR_EVER] = 0
    words[bucket + header.GROUPED] = 0
    this.#doubles[(bucket + header.BIG_VALUES) >> 1] = 0
    const counts = bucket + DATABASES
    words.fill(0, counts, counts + 2 * this.#layout.databases)
    this.address = 0
  }

  /**
   * Gives pieces of the ghosts back if there are too many, or one of the index, evicting until the
   * entries fit in fewer. False: it has but one, or nobody may go.
   */
  yieldPiece(bucket: number): boolean {
    const count = this.index.count(bucket)
    if (this.ghosts.pieces(bucket) > this.ghosts.wanted(count)) {
      this.ghosts.fit(bucket, count, () => false)
      return true
    }
    while (this.index.pieces(bucket) > 1) {
      if (this.index.yieldPiece(bucket)) return true
      if (!this.eviction.dropOne(bucket)) return false
    }
    return false
  }

  /** After writes, before the lock is given back: addresses are wrong after it. */
  settle(bucket: number): void {
    for (const ring of RINGS) this.#ring.trim(bucket, bucket + ring)
    this.index.shrink(bucket)
  }

  /** The same after many removals: each pays for some moves, and of an empty bucket nothing is kept. */
  settleRemoved(bucket: number, removed: number): void {
    if (removed > 0 && this.index.count(bucket) === 0) {
      this.reset(bucket)
      return
    }
    const moves = removed * MOVES_PER_REMOVAL
    for (const ring of RINGS) this.#ring.trim(bucket, bucket + ring, moves)
    this.settle(bucket)
  }

  /** Position of the big value with this first page and key hash; -1: it is gone. */
  positionOfBig(bucket: number, hash: number, page: number): number {
    const index = this.index
    const slots = index.slots(bucket)
    for (let at = index.seek(bucket, hash); at < slots; at++) {
      const address = index.address(bucket, at)
      if (address === 0 || index.hash(bucket, at) !== hash >>> 0) break
      if (entry.isPaged(this.#words, address)) {
        if (entry.firstPageOf(this.#words, address) === page) return at
      }
    }
    return -1
  }

  /* ---- leases ---- */

  /** The address of the current key's lease; one whose key was invalidated is removed. 0: none. */
  findLease(bucket: number): number {
    const address = this.find(bucket, true)
    if (address === 0 || !this.states.isPurged(address)) return address
    this.#removeFound(bucket, DELETED)
    return 0
  }

  /** The token of the lease at an address. */
  tokenOf(address: number): number {
    this.contents.read(address, 0, 8, OWN_AT)
    return readToken(this.#io, OWN_AT)
  }

  /** Plants a lease for the current key, which has none. False: no memory for its key. */
  plant(bucket: number, token: number): boolean {
    writeToken(this.#io, OWN_AT, token)
    if (this.fitsInRing(8, false)) {
      return this.put(bucket, entry.TYPE_LEASE, this.#io, OWN_AT, 8, 0)
    }
    const chain = this.#chains.adopt(0, 0, 8)
    if (!this.#chains.extend(chain, 8)) return false
    this.#chains.write(chain, 0, this.#io, OWN_AT, 8)
    if (this.putChain(bucket, chain, 0, entry.TYPE_LEASE) === STORED) return true
    this.#chains.undo(chain)
    return false
  }

  /* ---- checks ---- */

  /**
   * Throws when the bucket's parts contradict each other, and counts its entries to the usage of their
   * groups. @returns the rings' chunks
   */
  check(bucket: number, usage: Usage): number {
    const words = this.#words
    const ring = this.#ring
    this.index.check(bucket)
    let chunks = 0
    let entries = 0
    let pages = 0
    let leases = 0
    let negatives = 0
    let grouped = 0
    let expiring = 0
    let loadedForEver = 0
    const sizes = new Array<number>(this.#layout.databases).fill(0)
    for (const block of RINGS) {
      chunks += ring.check(bucket + block)
      ring.walk(bucket + block, (at) => {
        entries++
        const key = this.contents.keyOf(at)
        const hash = this.hashKey(entry.databaseOf(words, at), key, 0, key.length)
        assert(hash === this.hashOf(at), 'an entry keeps a wrong hash')
        const position = this.index.locate(bucket, hash, at)
        const isInMain = this.index.isInMain(bucket, position)
        assert(entry.isPaged(words, at) === (block === PAGED), 'an entry is in the wrong ring')
        const named = block === PAGED || isInMain === (block === MAIN)
        assert(named, 'a slot names the wrong ring')
        pages += this.contents.pagesOf(at)
        this.#checkExtras(at)
        const type = entry.typeOf(words, at)
        if (type === entry.TYPE_LEASE) {
          leases++
          return
        }
        const group = this.states.groupOf(at)
        if (group >= 0) {
          grouped++
          this.#countUsage(usage, group, at, 1)
        }
        if (entry.expireAtOf(words, at) !== 0) expiring++
        else if (entry.hasExtras(words, at)) loadedForEver++
        if (type === entry.TYPE_NEGATIVE) {
          negatives++
          assert(entry.expireAtOf(words, at) !== 0, 'a negative entry stays for ever')
        } else sizes[entry.databaseOf(words, at)]!++
      })
    }
    assert(entries === this.index.count(bucket), 'the index has slots without entries')
    assert(pages === words[bucket + PAGES], 'pages are counted wrong')
    assert(leases === words[bucket + LEASES], 'leases are counted wrong')
    assert(grouped === words[bucket + header.GROUPED], 'entries of groups are counted wrong')
    const forEver = words[bucket + header.LOADED_FOR_EVER]!
    assert(loadedForEver === forEver, 'entries with extras are counted wrong')
    assert(negatives === words[bucket + NEGATIVES], 'negative entries are counted wrong')
    assert(expiring === words[bucket + EXPIRING], 'expiring entries are counted wrong')
    sizes.forEach((size, db) => assert(size === this.size(bucket, db), 'a size is wrong'))
    this.eviction.check(bucket)
    return chunks
  }

  #checkExtras(at: number): void {
    const words = this.#words
    if (!entry.hasExtras(words, at)) return
    const from = entry.extrasAt(words, at)
    const left = at + entry.entryBytes(words, at, 0) - from
    assert(extras.isSound(this.#arena.view, from, left), 'extras contradict themselves')
  }

  /* ---- private ---- */

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
    const form = this.#form
    const left = entry.entryBytes(words, old, this.#trailer) - form.bytes
    if (left < 0 || entry.isPaged(words, old)) return false
    if (this.#endings !== null) this.#end(old, OVERWRITTEN)
    this.eviction.leave(bucket, old)
    if (form.narrow && !form.expires && entry.isNarrowWithoutExpiry(words, old)) {
      // The most frequent case: only the value differs, and nothing that is counted.
      const head = entry.narrowHead(type, form.db, form.keyLength, form.valueLength, false)
      words[old >> 2] = head | this.#verb.color
      const to = old + entry.NARROW_BYTES + form.keyLength
      this.#arena.copyIn(to, bytes, pos, form.valueLength)
    } else {
      this.#count(bucket, old, -1)
      this.#write(old, type, bytes, pos, expireAt)
      this.#count(bucket, old, 1)
    }
    this.eviction.enter(bucket, old)
    if (left > 0) {
      const ring = this.index.isInMain(bucket, this.#position) ? MAIN : SMALL
      this.#ring.leaveDead(bucket + ring, old + form.bytes, left)
    }
    this.#doubles[(bucket + header.IN_PLACE) >> 1]!++
    return true
  }

  /** Writes an entry without pages as planned. */
  #write(at: number, type: number, bytes: Uint8Array, pos: number, expireAt: number): void {
    const words = this.#words
    const key = this.#verb
    const form = this.#form
    const { keyLength, valueLength } = form
    let to = at + entry.NARROW_BYTES
    if (form.narrow) {
      const head = entry.narrowHead(type, key.db, keyLength, valueLength, form.expires)
      words[at >> 2] = head | key.color
    } else {
      form.type = type
      entry.writeWide(words, at, form)
      entry.setColor(words, at, key.color)
      to = at + entry.WIDE_BYTES
    }
    if (form.expires) {
      entry.setExpireAt(words, at, expireAt)
      to += entry.EXPIRY_BYTES
    }
    this.#arena.copyIn(to, key.bytes, key.pos, keyLength)
    to += keyLength
    if (form.hasExtras) {
      this.#arena.copyIn(to, key.extras.bytes, 0, key.extras.length)
      to += key.extras.length
    }
    this.#arena.copyIn(to, bytes, pos, valueLength)
  }

  /** Writes an entry with pages as planned, but for the tail of its value. */
  #writePaged(
    bucket: number,
    at: number,
    pages: {
      type: number
      expireAt: number
      valuePage: number
      keyPage: number
      isInMain: boolean
    },
  ): void {
    const words = this.#words
    const key = this.#verb
    const form = this.#form
    form.type = pages.type
    entry.writeWide(words, at, form)
    entry.setColor(words, at, key.color)
    if (form.expires) entry.setExpireAt(words, at, pages.expireAt)
    entry.setValuePage(words, at, pages.valuePage)
    entry.setKeyPage(words, at, pages.keyPage)
    if (pages.isInMain) entry.setInMainList(words, at)
    if (!form.keyInPages) {
      this.#arena.copyIn(entry.keyAt(words, at), key.bytes, key.pos, key.length)
    }
    if (form.hasExtras) {
      this.#arena.copyIn(entry.extrasAt(words, at), key.extras.bytes, 0, key.extras.length)
    }
    const count = this.contents.pagesOf(at)
    const clock = words[bucket + header.CLOCK]!
    const hash = form.hash
    this.#bigs.enter(entry.firstPageOf(words, at), { hash, clock, isMain: pages.isInMain, count })
    words[bucket + PAGES]! += count
    this.#doubles[(bucket + header.BIG_VALUES) >> 1]!++
  }

  /** The page with the key of the current key's entry; 0: it has none. */
  #oldKeyPage(bucket: number, isLease: boolean): number {
    const old = this.find(bucket, isLease)
    return old !== 0 && entry.isKeyInPages(this.#words, old) ? entry.keyPageOf(this.#words, old) : 0
  }

  /** Pages with the current key: those of its old entry, or new ones. -1: no memory. */
  #keyPages(bucket: number, isLease: boolean): number {
    const old = this.#oldKeyPage(bucket, isLease)
    if (old !== 0) return old
    const key = this.#verb
    const chain = this.#chains.adopt(0, 0, key.length)
    if (!this.#chains.extend(chain, key.length)) return -1
    this.#chains.write(chain, 0, key.bytes, key.pos, key.length)
    this.#chains.settle(chain)
    return chain.first
  }

  /**
   * Forgets the entry found, whose slot its successor gets or nobody has, with the pages that nobody
   * takes over.
   */
  #forgetButPages(
    bucket: number,
    address: number,
    kept: { readonly value: number; readonly key: number },
    reason = OVERWRITTEN,
  ): void {
    const words = this.#words
    if (this.#endings !== null) this.#end(address, reason)
    this.#count(bucket, address, -1)
    if (!entry.isPaged(words, address)) {
      this.#forgetInRing(bucket, address, this.index.isInMain(bucket, this.#position))
      return
    }
    this.#leaveList(address)
    this.#countPages(bucket, address)
    if (entry.valuePageOf(words, address) === kept.value) entry.setValuePage(words, address, 0)
    if (entry.keyPageOf(words, address) === kept.key) entry.setKeyPage(words, address, 0)
    this.contents.abandonPages(address)
    this.#ring.kill(bucket + PAGED, address)
  }

  #removeFound(bucket: number, reason: number): void {
    this.#removeAt(bucket, this.#position, reason)
    this.address = 0
  }

  #removeAt(bucket: number, position: number, reason: number): void {
    const address = this.index.address(bucket, position)
    const isInMain = this.index.isInMain(bucket, position)
    if (this.#watches.areUsed) this.#touchAt(address)
    this.index.remove(bucket, position)
    this.#kill(bucket, address, isInMain, reason)
  }

  /** Makes room in the index for one more entry. False: it cannot grow, and nobody may go. */
  #makeRoom(bucket: number): boolean {
    const index = this.index
    if (this.#equals >= RUN_MAX && this.#oldestOfRun(bucket) < 0) return false
    while (!index.hasRoom(bucket)) {
      if (index.grow(bucket)) continue
      if (index.mayGrow(bucket) && this.eviction.spareChunk(bucket) && index.grow(bucket)) continue
      if (index.isEndTaken(bucket)) {
        if (!this.#dropAtEnd(bucket)) return false
      } else if (index.isFull(bucket)) {
        if (!this.eviction.dropOne(bucket) && !this.#dropLast(bucket)) return false
      } else {
        return true
      }
    }
    return true
  }

  /** Position of the oldest entry with the current key's hash that may go; -1: none. */
  #oldestOfRun(bucket: number): number {
    const index = this.index
    const hash = this.#verb.hash
    const slots = index.slots(bucket)
    for (let at = index.seek(bucket, hash); at < slots; at++) {
      const address = index.address(bucket, at)
      if (address === 0 || index.hash(bucket, at) !== hash >>> 0) break
      if (this.eviction.mayGo(address)) return at
    }
    return -1
  }

  /** Makes an entry go whose slot those behind it need, up to the last. False: none of them may. */
  #dropAtEnd(bucket: number): boolean {
    const index = this.index
    for (let at = index.slots(bucket) - 1; at >= 0; at--) {
      if (this.eviction.mayGo(index.address(bucket, at))) {
        this.#evictAt(bucket, at)
        return true
      }
      if (index.home(bucket, index.hash(bucket, at)) === at) break
    }
    return false
  }

  /** All entries have pages, or may not go. */
  #dropLast(bucket: number): boolean {
    if (this.eviction.refuses) return false
    const index = this.index
    for (let position = index.slots(bucket) - 1; position >= 0; position--) {
      const address = index.address(bucket, position)
      if (address === 0 || !this.eviction.mayGo(address)) continue
      this.#evictAt(bucket, position)
      return true
    }
    return false
  }

  #evictAt(bucket: number, position: number): void {
    this.drop(bucket, position, EVICTED, header.EVICTED_MAIN)
  }

  /** Enters the current key, for which `find` found nothing, and the index is as it was then. */
  #insert(bucket: number, at: number, isInMain: boolean): void {
    const index = this.index
    const hash = this.#verb.hash
    let position = this.#position
    const oldest = this.#equals >= RUN_MAX ? this.#oldestOfRun(bucket) : -1
    // None, if all that may go of a run too long went when room was made.
    if (oldest >= 0) {
      this.#doubles[(bucket + header.COLLISIONS_LOST) >> 1]!++
      this.#evictAt(bucket, oldest)
      position = index.seek(bucket, hash)
    }
    const inserted = index.insert(bucket, position, hash, at, isInMain)
    assert(inserted, 'an index has no room at its end')
  }

  /** Forgets an entry that the index does not know any more. */
  #kill(bucket: number, address: number, isInMain: boolean, reason: number): void {
    if (this.#endings !== null) this.#end(address, reason)
    this.#count(bucket, address, -1)
    if (!entry.isPaged(this.#words, address)) {
      this.#forgetInRing(bucket, address, isInMain)
      return
    }
    this.#leaveList(address)
    this.#countPages(bucket, address)
    this.contents.abandonPages(address)
    this.#ring.kill(bucket + PAGED, address)
  }

  #forgetInRing(bucket: number, address: number, isInMain: boolean): void {
    this.eviction.leave(bucket, address)
    this.#ring.kill(bucket + (isInMain ? MAIN : SMALL), address)
  }

  #leaveList(address: number): void {
    const words = this.#words
    const page = entry.firstPageOf(words, address)
    this.#bigs.leave(page, entry.isInMainList(words, address), this.contents.pagesOf(address))
  }

  /** Counts the pages of an entry out. */
  #countPages(bucket: number, address: number): void {
    const pages = this.contents.pagesOf(address)
    this.#words[bucket + PAGES]! -= pages
    this.#doubles[(bucket + header.BIG_VALUES) >> 1]!--
  }

  /** Keeps copies of an entry that ends, for whoever wants to know. */
  #end(address: number, reason: number): void {
    if (!this.#endings!.hears(reason) || this.#endsUnseen(address)) return
    this.#endings!.push(this.endedAt(address, reason))
  }

  /**
   * A lease is nobody's value, nor is a negative entry, and one that goes on in another entry has not
   * ended.
   */
  #endsUnseen(address: number): boolean {
    if (entry.typeOf(this.#words, address) >= entry.TYPE_NEGATIVE) return true
    return this.#verb.goesOn && this.#matches(address, false)
  }

  /** All keys of the bucket change, or have just come, for whoever wants to hear of them. */
  touchAll(bucket: number): void {
    for (const ring of RINGS) {
      this.#ring.walk(bucket + ring, (address) => this.#touchAt(address))
    }
  }

  /** An entry ends: its key changes, for whoever wants to hear of it. */
  #touchAt(address: number): void {
    const words = this.#words
    if (entry.typeOf(words, address) >= entry.TYPE_NEGATIVE) return
    const hash = this.hashOf(address) | 0
    const db = entry.databaseOf(words, address)
    const length = entry.keyLengthOf(words, address)
    if (entry.isKeyInPages(words, address)) {
      this.#watches.touch(hash, db, this.contents.keyOf(address), 0, length)
    } else {
      this.#watches.touch(hash, db, this.#bytes, entry.keyAt(words, address), length)
    }
  }

  #endAll(bucket: number): void {
    for (const ring of RINGS) {
      this.#ring.walk(bucket + ring, (address) => this.#end(address, DELETED))
    }
  }

  /** Counts an entry in (1) or out (-1). */
  #count(bucket: number, address: number, by: number): void {
    const words = this.#words
    const type = entry.typeOf(words, address)
    if (type === entry.TYPE_LEASE) {
      words[bucket + LEASES]! += by
      return
    }
    const group = this.states.groupOf(address)
    if (group >= 0) {
      words[bucket + header.GROUPED]! += by
      this.#countUsage(this.#usage, group, address, by)
    }
    const counts = bucket + DATABASES + entry.databaseOf(words, address)
    const isNegative = type === entry.TYPE_NEGATIVE
    if (isNegative) words[bucket + NEGATIVES]! += by
    else words[counts]! += by
    if (entry.expireAtOf(words, address) === 0) {
      if (entry.hasExtras(words, address)) words[bucket + header.LOADED_FOR_EVER]! += by
      return
    }
    if (!isNegative) words[counts + this.#layout.databases]! += by
    words[bucket + EXPIRING]! += by
    if (entry.isPaged(words, address)) words[bucket + header.EXPIRING_PAGED]! += by
  }

  #countUsage(usage: Usage, group: number, address: number, by: number): void {
    const isKey = entry.typeOf(this.#words, address) !== entry.TYPE_NEGATIVE
    usage.count(group, this.bytesOf(address), isKey ? 1 : 0, by)
  }

  /** Counts all entries out that were loaded for a group. */
  #forgetUsage(bucket: number): void {
    for (const ring of RINGS) {
      this.#ring.walk(bucket + ring, (address) => {
        const group = this.states.groupOf(address)
        if (group >= 0) this.#countUsage(this.#usage, group, address, -1)
      })
    }
  }

  hashOf(address: number): number {
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
