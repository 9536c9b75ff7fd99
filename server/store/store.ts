/*
 * The store: 512 buckets in shared memory, and what is done with them.
 *
 *   key -> xxh32(key, seed and database) -> bucket = low 9 bits -> arena = bucket mod arenas
 *
 * Every verb takes the lock of one bucket, does its work in bucket.ts and gives the lock back; no
 * lock is held between calls, but for an open record (`open` ... `close`), which is meant for what
 * one command does with one key. Nothing is thrown while a lock is held: what must not happen is an
 * assert, and ends the process.
 * (Who listens to the entries that end is called after the lock was given back: endings.ts.)
 *
 * The files, in reading order: memory (arenas, copies, what stands where), pool (chunks), entry
 * (one record), ring, index, big (pages), bucket (all of these together), and this one.
 */
import type { GroupOf } from './arrival.ts'
import { Arrivals } from './arrival.ts'
import { BigList } from './big-list.ts'
import { Chain, Chains, Pages } from './big.ts'
import type { Found } from './block.ts'
import type { Sink } from './bucket.ts'
import * as bucket from './bucket.ts'
import { Buckets, IN_PAGES, MISS, NO_ROOM, OUT_OF_MEMORY, STORED } from './bucket.ts'
import type { Ended, EndListener, Reason, RemovalListener } from './endings.ts'
import { Endings, OVERWRITTEN } from './endings.ts'
import { DATABASES_MAX, HEADER_BYTES_MAX, TYPE_NEGATIVE, TYPE_STRING } from './entry.ts'
import { expiryOf, type Extras, type FillExtras } from './extras.ts'
import { Growth } from './growth.ts'
import * as header from './header.ts'
import type { Hash } from './hash.ts'
import { xxh32 } from './hash.ts'
import { Invalidation, PURGE_AT, shareInvalidations } from './invalidation.ts'
import type { Arena, IoMemory, Layout, Memory } from './memory.ts'
import {
  acquire,
  assert,
  fixedBytes,
  layoutOf,
  memoryBytesMin,
  openMemories,
  OWN_AT,
  OWN_BYTES,
  release,
  renew,
} from './memory.ts'
import type { Policy, Scope } from './policy.ts'
import {
  DEFAULT_POLICY,
  POLICIES,
  policyOf,
  policyWord,
  SCOPES,
  scopeOf,
  trailerBytesOf,
} from './policy.ts'
import type { Matcher, MatcherOf, SlotOf } from './purge.ts'
import { addSlot, hasSlot, MATCHER_BYTES_MAX, Purge, SLOT_SET_BYTES, slotSetOf } from './purge.ts'
import { Notices } from './notices.ts'
import { Pool, POLICY, SETTING, TOKEN_BLOCKS } from './pool.ts'
import { Relief } from './relief.ts'
import { ABSENT, ERROR_ONLY, Facts, FRESH, NEGATIVE, STALE } from './state.ts'
import type { BucketStats, StoreStats } from './stats.ts'
import { bucketStats, sumOf } from './stats.ts'
import { Transplants } from './transplant.ts'
import { Usage } from './usage.ts'
import { HELD, Verb } from './verb.ts'
import type { Interest, Touched, TouchListener, Watch } from './watch.ts'
import { SETS, shareWatches, TRACKED, WATCHED, Watches } from './watch.ts'

export type {
  BucketStats,
  EndListener,
  IoMemory,
  Policy,
  Reason,
  RemovalListener,
  Scope,
  Sink,
  StoreStats,
}
export type { Extras, FillExtras, Growth, Matcher, MatcherOf, SlotOf }
export type { Interest, TouchListener, Watch }
export { addSlot, hasSlot, SLOT_SET_BYTES, slotSetOf }
export { MATCHER_BYTES_MAX, shareInvalidations, shareWatches, TRACKED, WATCHED }
export { ABSENT, ERROR_ONLY, FRESH, NEGATIVE, STALE }
export { IN_PAGES, MISS, NO_ROOM, OUT_OF_MEMORY, Pages, STORED, TYPE_NEGATIVE, TYPE_STRING }

/** Longest value, Redis's default `proto-max-bulk-len`. */
export const VALUE_BYTES_MAX = 512 * 1024 * 1024

/** Beside STORED and OUT_OF_MEMORY, of `attach`: the value was changed meanwhile. */
export const CHANGED = 3

/** Beside STORED and OUT_OF_MEMORY, of what stores extras: there is no room for so many tags. */
export const TOO_MANY_TAGS = 4

/** Tags are hashed alike in all processes. */
const TAG_SEED = 0x7a65

const HASHES = 2 ** 32

/** Numbers that `renewLocks` writes one after the other. */
const BEATS = 1_000

const NO_BYTES = new Uint8Array(0)

/** Keys that `fetch` takes at a time. */
export const FETCHED_MAX = 32

/** How often `shrink` evicts at most for each chunk that it is to give back. */
const WINS_PER_CHUNK = 16

/** Slots of an index that one step of flushing a database, or of a purge, looks at. */
const FLUSH_SLOTS = 512

/** Tokens of leases a thread draws at a time from the shared counter. */
const TOKENS_PER_BLOCK = 2 ** 20

export interface StoreOptions {
  /**
   * Bytes, all of it: rings, index, big values. Never exceeded. At least `MEMORY_BYTES_MIN`, at
   * most `memoryBytesMax()`. The size of a chunk follows from it and stays.
   */
  readonly maxMemory: number
  /** What `setMaxMemory` may raise it to; costs address space only. Default: maxMemory. */
  readonly ceiling?: number
  /** uint32 */
  readonly seed: number
  /**
   * Where tokens of leases begin: random, and new in each process, so that no token of a process before is
   * one of its own. 32 bits; default 0.
   */
  readonly tokenSeed?: number
  /** In which order entries go. Default: s3a. */
  readonly policy?: Policy
  /** Which entries may go. Default: all. */
  readonly scope?: Scope
  /** 16 unless said; at most 4,096. */
  readonly databases?: number
  /**
   * Told of every entry that ended through this object (each thread tells of what its own verbs
   * made end), with copies of its key and value that are the callee's then. Called in the order in
   * which they ended, before the verb returns, when the store is consistent and no lock is held:
   * it may use the store. It delays the verb. What it throws is thrown by the verb, which has done
   * its work; the others that ended are told all the same. Leases are not told of.
   */
  readonly onRemoved?: RemovalListener
  /** Tests force collisions with a constant one. Default: xxh32. */
  readonly hash?: Hash
  /**
   * How many threads share the store, this one included. With one no locks are taken. Default: 1,
   * or 2 with `attach`. All threads must say the same.
   */
  readonly threads?: number
  /**
   * The arenas of a store that another thread opened with the same options (`Store.shared`). Not
   * on Node 20, where the arena holds the other thread's I/O memory.
   */
  readonly attach?: readonly Memory[]
  /** Tests make several arenas of little memory with it. Default: 2 GiB. Not on Node 20. */
  readonly arenaShareMax?: number
  /**
   * Tests and simulations make a store of fewer parts with it, down to one: a power of two. The
   * least maxMemory is 4 KB a bucket. Default: 512.
   */
  readonly buckets?: number
  /**
   * Of `shareInvalidations`, the same for all threads that share the store: without it only a store
   * of one thread can invalidate.
   */
  readonly invalidations?: Int32Array
  /** Of `shareWatches`, the same for all threads: without it only a store of one thread can `watch`. */
  readonly watches?: Int32Array
  /**
   * Told of every change that this object makes to a tracked key (`watch`), its end included; called
   * like `onRemoved`. It may hear of keys that nobody tracks, and of one twice.
   */
  readonly onTouched?: TouchListener
  /** Of `shareGroupUsage`, the same for all threads: how much each group has is counted there. */
  readonly groupUsage?: Int32Array
  /** Which keys a group has, by its name, for `beginInvalidation`. Default: none. */
  readonly matcherOf?: MatcherOf
  /** A key's slot in a cluster, for `beginInvalidation`. Default: all keys are in slot 0. */
  readonly slotOf?: SlotOf
  /** To which group the entries of a snapshot belong that belonged to one. Default: to none. */
  readonly groupOf?: GroupOf
  /** Tests lower it: a larger bucket is written to snapshots entry by entry. Default: 32 MB. */
  readonly imageBytesMax?: number
}

/** A key of a database: it lies at bytes[pos, pos + length). */
export interface KeyPlace {
  readonly db: number
  readonly bytes: Uint8Array
  readonly pos: number
  readonly length: number
}

/** Keys among the arguments of a command: the i-th lies at bytes[pos(i), pos(i) + length(i)). */
export interface KeyList {
  readonly bytes: Uint8Array
  pos(i: number): number
  length(i: number): number
}

/** What a snapshot says of the store it is of: where it is the same, images fit. */
export interface StoreShape {
  readonly maxMemory: number
  readonly chunkBytes: number
  readonly buckets: number
  readonly databases: number
  /** Of the hash of keys, uint32. */
  readonly seed: number
  /** A hash of known bytes: equal where keys are hashed alike. */
  readonly probe: number
  /** Bytes that the policy keeps with each entry. */
  readonly trailer: number
}

/** The keys that were fetched last, and their hashes. */
class Fetched {
  db = 0
  bytes: Uint8Array = NO_BYTES
  positions: Int32Array = new Int32Array(0)
  lengths: Int32Array = new Int32Array(0)
  readonly hashes = new Int32Array(FETCHED_MAX)
  readonly places = new Int32Array(FETCHED_MAX)
  count = 0
  /** The first that was not asked for yet. */
  next = 0
  /** So that nobody takes the touching of memory for something without effect. */
  touched = 0

  /** Is this key the `next` one? Those before it are passed. */
  finds(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    if (bytes !== this.bytes || db !== this.db) return false
    const { positions, count } = this
    let { next } = this
    while (next < count && positions[next]! < pos) next++
    this.next = next
    return next < count && positions[next] === pos && this.lengths[next] === length
  }
}

/** Visits a key; it lies at bytes[pos, pos + length) during the call only. */
export type KeyVisitor = (bytes: Uint8Array, pos: number, length: number, type: number) => void

/** What is hashed for `StoreShape.probe`. */
const PROBE = Uint8Array.of(82, 73, 78, 71, 84, 73, 69, 82)

export class Store {
  readonly io: IoMemory
  /** The arenas, for `attach` in another thread. */
  readonly shared: readonly Memory[]
  /** Whole buckets, for snapshots. */
  readonly transplants: Transplants
  /** Milliseconds on the Clock.now() scale; set by the caller once per turn. */
  now = 0
  /** Did the last `lease` plant the lease whose token it returned? */
  leasePlanted = false

  readonly #layout: Layout
  readonly #arenas: readonly Arena[]
  readonly #pools: readonly Pool[]
  readonly #chains: Chains
  readonly #bigs: BigList
  readonly #relief: Relief
  readonly #verb: Verb
  /** Null: nobody wants to know what ended. */
  #endings: Endings | null
  readonly #touched: Notices<Touched>
  /** Hears of changes of tracked keys; null: nobody does. */
  onTouched: TouchListener | null
  readonly #watches: Watches
  readonly #mayWatch: boolean
  /** Was the key there that `track` was called for last? */
  wasThere = false
  readonly #invalidation: Invalidation
  readonly #purge: Purge
  readonly #usage: Usage
  readonly #mayInvalidate: boolean
  readonly #arrivals: Arrivals
  /** Of the entry that `state` or `openAny` found last. */
  readonly #facts = new Facts()
  readonly #buckets: readonly Buckets[]
  readonly #seed: number
  readonly #databases: number
  readonly #bucketMask: number
  /** Key and value up to this many bytes together lie in the ring, whatever the rest of the entry. */
  readonly #inRingMax: number
  /** Do other threads use the store? If not, no locks are taken. */
  readonly #isShared: boolean
  /** Numbers of the buckets that `lockKeys` has locked, ascending: the first `#setCount`. */
  readonly #set: Int32Array
  #setCount = 0
  /** Were they locked by `lockTogether`, and how often was `lockKeys` called since? */
  #mayNest = false
  #nested = 0
  /** Interests that ended while keys were locked. */
  readonly #leaving: Watch[] = []
  /** What `renewLocks` wrote last. */
  #beat = 0

  /** Number of the bucket the current key belongs to, its arena's buckets, and its header. */
  #number = 0
  #home: Buckets
  #header = 0
  #found = false
  /** Where `makeGroupRoom` goes on. */
  #roomBucket = 0
  #roomHash = 0
  #sweepBucket = 0
  #sweepHash = 0
  #sweepRounds = 0
  #sweptEntries = 0
  #sweptExpiring = 0
  readonly #fetched = new Fetched()
  #tokenNext = 0
  #tokenEnd = 0

  /**
   * Allocates the arenas; memory that is not used yet costs nothing.
   * @throws {RangeError} one sentence about what is wrong with an option
   */
  constructor(options: StoreOptions) {
    const databases = options.databases ?? 16
    if (!(databases >= 1 && databases <= DATABASES_MAX)) {
      throw new RangeError(`databases must be 1 to ${DATABASES_MAX}, but is ${databases}`)
    }
    const layout = layoutOf({ ...options, databases })
    const memories = openMemories(layout, options.attach)
    this.io = memories.io
    this.shared = memories.shared
    this.#layout = layout
    this.#databases = databases
    this.#bucketMask = layout.buckets - 1
    this.#arenas = memories.arenas
    this.#pools = memories.arenas.map((arena) => new Pool(arena.words, layout))
    this.#isShared = (options.threads ?? (options.attach === undefined ? 1 : 2)) > 1
    this.#set = new Int32Array(layout.buckets)
    this.#verb = new Verb(memories.io.bytes, layout.buckets, 1 << layout.chunkShift)
    this.#mayInvalidate = options.invalidations !== undefined || !this.#isShared
    const invalidations = options.invalidations ?? shareInvalidations()
    this.#invalidation = new Invalidation(invalidations)
    this.#usage = new Usage(options.groupUsage ?? new Int32Array(0))
    const known = {
      matcherOf: options.matcherOf ?? (() => null),
      slotOf: options.slotOf ?? (() => 0),
    }
    this.#purge = new Purge(invalidations, PURGE_AT, this.#verb, known)
    this.#arrivals = new Arrivals(this.#invalidation, options.groupOf ?? (() => -1))
    this.#endings = options.onRemoved ? new Endings(this.#verb, options.onRemoved) : null
    this.onTouched = options.onTouched ?? null
    this.#touched = new Notices(this.#verb, ({ db, key }) => this.onTouched?.(db, key))
    this.#mayWatch = options.watches !== undefined || !this.#isShared
    assert(layout.buckets <= SETS, 'keys of a set of watches are in several buckets')
    this.#watches = new Watches(options.watches ?? shareWatches(), options.seed, this.#touched)
    this.#relief = new Relief(layout, {
      arenas: memories.arenas,
      pools: this.#pools,
      verb: this.#verb,
    })
    this.#chains = new Chains(
      memories.arenas,
      this.#pools,
      layout,
      memories.io,
      this.#relief,
      this.#endings,
    )
    this.#bigs = new BigList(memories.arenas[0]!, layout, this.#chains)
    const policy = options.policy ?? DEFAULT_POLICY
    const trailer = trailerBytesOf(policy)
    this.#inRingMax = (1 << layout.chunkShift) / 2 - HEADER_BYTES_MAX - trailer
    const shape = {
      layout,
      hash: options.hash ?? xxh32,
      seed: options.seed,
      io: memories.io.bytes,
      trailer,
    }
    this.#buckets = memories.arenas.map((arena, index) => {
      const neighbours = this.#relief.neighboursOf(index)
      const parts = {
        chains: this.#chains,
        bigs: this.#bigs,
        verb: this.#verb,
        neighbours,
        endings: this.#endings,
        invalidation: this.#invalidation,
        purge: this.#purge,
        usage: this.#usage,
        watches: this.#watches,
      }
      return new Buckets(arena, this.#pools[index]!, parts, shape)
    })
    this.#seed = options.seed
    this.transplants = new Transplants({
      ...{ layout, trailer, arenas: this.#arenas, pools: this.#pools, verb: this.#verb },
      ...{ buckets: this.#buckets, bigs: this.#bigs, imageBytesMax: options.imageBytesMax },
      ...{ invalidation: this.#invalidation, purge: this.#purge, arrivals: this.#arrivals },
      ...{ usage: this.#usage },
      lock: (number) => {
        this.#turnTo(number)
        this.#lock()
      },
      unlock: () => this.#unlock(),
      unlockAfterArrival: () => {
        this.#touchBucket()
        this.#unlockAfterWrite()
      },
      pin: (address, length) => this.#pin(address, length),
    })
    this.#relief.join(this.#bigs, this.#buckets)
    this.#home = this.#buckets[0]!
    if (options.attach !== undefined) return
    this.#arenas[0]!.words[layout.header + TOKEN_BLOCKS] = options.tokenSeed ?? 0
    this.#writePolicy(policyWord(policy, options.scope ?? 'all'))
    this.#buckets.forEach((buckets, arena) =>
      buckets.open(Math.ceil((layout.buckets - arena) / layout.arenas)),
    )
  }

  /**
   * From now on tells of entries that are evicted or expire through this object, as `onRemoved` does,
   * which there must not be; null: no more. Without a listener it costs nothing. Never amid a verb.
   */
  listen(listener: EndListener | null): void {
    assert(this.#verb.isFree, 'a listener comes amid a verb')
    assert(this.#endings?.keysOnly !== false, 'somebody listens to all that ends')
    this.#tell()
    const hear: RemovalListener = (reason, db, key) => {
      if (reason === 'evicted' || reason === 'expired') listener?.(reason, db, key)
    }
    this.#endings = listener === null ? null : new Endings(this.#verb, hear, true)
    this.#chains.listen(this.#endings)
    for (const buckets of this.#buckets) buckets.listen(this.#endings)
  }

  /* ---- one verb, one lock: the hot path ---- */

  /**
   * Copies the key's value to where `sink.reserve(length)` says, and returns its length; or MISS,
   * IN_PAGES (longer than 64 KB), NO_ROOM (`valueLength` says for how much). Type and lease are the
   * caller's business: a lease is a MISS.
   */
  get(db: number, bytes: Uint8Array, pos: number, length: number, sink: Sink): number {
    const buckets = this.#aim(db, bytes, pos, length)
    this.#lock()
    const result = buckets.get(this.#header, sink)
    this.#unlock()
    return result
  }

  /**
   * Replaces whatever the key held, a lease too; an access to a key that was there. Key and value
   * lie in the same `bytes`. expireAt: ms on the `now` scale, 0: none. STORED, or OUT_OF_MEMORY for a
   * value over half of maxMemory (then the key holds what it held).
   */
  set(
    db: number,
    bytes: Uint8Array,
    pos: number,
    length: number,
    valuePos: number,
    valueLength: number,
    expireAt: number,
  ): number {
    const buckets = this.#aim(db, bytes, pos, length)
    if (length + valueLength > this.#inRingMax) {
      return this.#setLong(bytes, valuePos, valueLength, expireAt)
    }
    this.#lock()
    const stored = buckets.put(
      this.#header,
      TYPE_STRING,
      bytes,
      valuePos,
      valueLength,
      expireAt,
      true,
    )
    if (stored) this.#countSet()
    this.#unlockAfterWrite()
    return stored ? STORED : OUT_OF_MEMORY
  }

  /** True if a visible value was removed. A lease is removed too, and counts false. */
  delete(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    const buckets = this.#aim(db, bytes, pos, length)
    this.#lock()
    const removed = buckets.remove(this.#header)
    if (removed) this.#countRemoval()
    this.#unlockAfterWrite()
    return removed
  }

  /** Is there such a key? The question counts as no access. */
  has(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    const buckets = this.#aim(db, bytes, pos, length)
    this.#lock()
    const found = buckets.findVisible(this.#header) !== 0
    this.#unlock()
    return found
  }

  /**
   * Touches what the verbs will need for these keys, so that the waits for memory overlap
   * (server/clients/look-ahead.ts): `count` keys, at most `FETCHED_MAX`, at bytes[positions[i], + lengths[i]),
   * in ascending order. Their hashes are remembered until `forgetFetched`: until then neither these
   * bytes nor the two lists may change. It takes no lock: another thread may be changing what it
   * looks at, and nothing follows from what it sees.
   */
  fetch(
    db: number,
    bytes: Uint8Array,
    positions: Int32Array,
    lengths: Int32Array,
    count: number,
  ): void {
    const fetched = this.#fetched
    const { hashes, places } = fetched
    fetched.bytes = bytes
    fetched.db = db
    fetched.positions = positions
    fetched.lengths = lengths
    fetched.count = count
    fetched.next = 0
    const arenas = this.#buckets.length
    for (let i = 0; i < count; i++) {
      const hash = this.#home.hashKey(db, bytes, positions[i]!, lengths[i]!)
      const number = hash & this.#bucketMask
      hashes[i] = hash
      const { index } = this.#buckets[arenas === 1 ? 0 : number % arenas]!
      places[i] = index.placeOf(this.#headerOf(number), hash)
    }
    for (let i = 0; i < count; i++) {
      const hash = hashes[i]!
      const { index } = this.#buckets[arenas === 1 ? 0 : (hash & this.#bucketMask) % arenas]!
      places[i] = index.addressNear(places[i]!, hash)
    }
    let sum = 0
    for (let i = 0; i < count; i++) {
      const arena = this.#arenas[arenas === 1 ? 0 : (hashes[i]! & this.#bucketMask) % arenas]!
      sum += arena.words[places[i]! >> 2]!
    }
    fetched.touched = (fetched.touched + sum) | 0
  }

  /** The bytes of fetched keys may change from now on. */
  forgetFetched(): void {
    this.#fetched.count = 0
  }

  /* ---- many keys at once ---- */

  /**
   * Locks the buckets of the keys that the arguments first, first + step ... below `end` are, in
   * ascending order, so that two threads never wait for each other. Until `unlockKeys` the verbs of
   * single keys may be called for these keys (for no others): together they are atomic. Who listens
   * to entries that end is told afterwards. Nothing happens in a store of one thread.
   */
  lockKeys(db: number, keys: KeyList, first: number, end: number, step: number): void {
    if (!this.#isShared) return
    if (this.#mayNest) {
      this.#nested++
      return
    }
    assert(this.#verb.isFree, 'keys are locked while others are')
    for (let i = first; i < end; i += step) {
      this.#choose(db, keys.bytes, keys.pos(i), keys.length(i))
    }
    this.#lockChosen()
  }

  /** The same for two keys, which may be of two databases. */
  lockPair(one: KeyPlace, two: KeyPlace): void {
    if (!this.#isShared) return
    if (this.#mayNest) {
      this.#nested++
      return
    }
    assert(this.#verb.isFree, 'keys are locked while others are')
    this.#choose(one.db, one.bytes, one.pos, one.length)
    this.#choose(two.db, two.bytes, two.pos, two.length)
    this.#lockChosen()
  }

  /**
   * The same for several commands: keys of any databases, or whatever there is (null), with which all
   * verbs may be called. Commands among them may lock their keys once more. Nobody else gets on
   * meanwhile: `renewLocks` is to be called at least every second.
   */
  lockTogether(places: Iterable<KeyPlace> | null): void {
    if (!this.#isShared) return
    assert(this.#verb.isFree, 'keys are locked while others are')
    if (places === null) {
      for (let number = 0; number < this.#layout.buckets; number++) this.#chooseBucket(number)
    } else {
      for (const { db, bytes, pos, length } of places) this.#choose(db, bytes, pos, length)
    }
    this.#lockChosen()
    this.#mayNest = true
  }

  /** Those who wait for what this thread has locked take it for alive. */
  renewLocks(): void {
    this.#beat = (this.#beat % BEATS) + 1
    for (let i = 0; i < this.#setCount; i++) {
      const number = this.#set[i]!
      renew(this.#wordsOf(number), this.#headerOf(number) + header.LOCK, this.#beat)
    }
  }

  unlockKeys(): void {
    if (!this.#isShared) return
    if (this.#nested > 0) {
      this.#nested--
      return
    }
    const verb = this.#verb
    assert(verb.locked === -1, 'a record is still open')
    assert(verb.holdsSet, 'no keys are locked')
    for (let i = 0; i < this.#setCount; i++) {
      const number = this.#set[i]!
      verb.held[number] = 0
      release(this.#wordsOf(number), this.#headerOf(number) + header.LOCK)
    }
    this.#setCount = 0
    this.#mayNest = false
    verb.holdsSet = false
    for (const watch of this.#leaving.splice(0)) this.unwatch(watch)
    this.#tell()
  }

  /** Makes the bucket of a key one of those that are to be locked together. */
  #choose(db: number, bytes: Uint8Array, pos: number, length: number): void {
    this.#chooseBucket(this.#home.hashKey(db, bytes, pos, length) & this.#bucketMask)
  }

  #chooseBucket(number: number): void {
    const { held } = this.#verb
    if (held[number] === HELD) return
    held[number] = HELD
    // Few keys are sorted as they come; many find nearly all buckets taken already.
    const set = this.#set
    let at = this.#setCount++
    for (; at > 0 && set[at - 1]! > number; at--) set[at] = set[at - 1]!
    set[at] = number
  }

  #lockChosen(): void {
    this.#verb.holdsSet = true
    for (let i = 0; i < this.#setCount; i++) {
      const number = this.#set[i]!
      acquire(this.#wordsOf(number), this.#headerOf(number) + header.LOCK)
    }
    this.#purge.look()
  }

  /* ---- from key to key: between `lockPair` and `unlockKeys` ---- */

  /**
   * Gives the value of one key, without its extras, to another, with the expiry that clients are
   * told, and removes the one. What the other held is replaced, its lease too. Pages change hands as
   * they are. MISS: there is no such value, or it had to go for its own way. OUT_OF_MEMORY: both are
   * as they were.
   */
  move(from: KeyPlace, to: KeyPlace): number {
    return this.#transfer(from, to, true)
  }

  /** The same, and the one keeps its value, which must not be `inPages`: pages are copied before. */
  copy(from: KeyPlace, to: KeyPlace): number {
    return this.#transfer(from, to, false)
  }

  #transfer(from: KeyPlace, to: KeyPlace, moves: boolean): number {
    const told = this.#touched.length
    const result = this.#handTo(from, to, moves)
    if (result === STORED) this.#countSet()
    this.#releaseAfterWrite()
    if (moves && result === STORED) {
      const buckets = this.#aim(from.db, from.bytes, from.pos, from.length)
      this.#lock()
      // Its value may have gone already, with its pages.
      buckets.remove(this.#header)
      const before = this.#touched.length
      this.#countChange()
      // As Redis tells it: the one that is gone, then the other one.
      if (this.#touched.length > before) this.#touched.lastBefore(told)
      this.#releaseAfterWrite()
    }
    this.#tell()
    return result
  }

  /** Leaves the record of one of the keys open. */
  #handTo(from: KeyPlace, to: KeyPlace, moves: boolean): number {
    if (!this.open(from.db, from.bytes, from.pos, from.length)) return MISS
    const { address, contents } = this.#home
    const { expireAt, valueLength: length } = this.#verb
    if (moves && contents.bytesInPages(address) > 0) return this.#handPagesTo(from, to)
    assert(length <= OWN_BYTES, 'a long value is copied while its key is locked')
    contents.read(address, 0, length, OWN_AT)
    this.#releaseAfterWrite()
    this.open(to.db, to.bytes, to.pos, to.length)
    return this.#put(this.io.bytes, OWN_AT, length, expireAt)
  }

  #handPagesTo(from: KeyPlace, to: KeyPlace): number {
    const { expireAt, hash, valueLength } = this.#verb
    const giver = this.#home
    const giverHeader = this.#header
    // Should the value have to go meanwhile, the pin keeps its pages together.
    const { first } = giver.contents.pin(giver.address)
    const chain = this.#thaw(valueLength, true)
    let result = OUT_OF_MEMORY
    if (chain !== null) {
      this.#releaseAfterWrite()
      this.open(to.db, to.bytes, to.pos, to.length)
      let isGone = false
      const taker = this.#verb.hash
      const handOver = (): boolean => {
        this.#nameKey(from, hash)
        isGone = !giver.surrender(giverHeader, first)
        this.#nameKey(to, taker)
        return !isGone
      }
      result = this.#home.putChain(this.#header, chain, expireAt, TYPE_STRING, handOver)
      if (result !== STORED) this.#chains.undo(chain)
      if (isGone) result = MISS
    }
    this.#chains.unpin(first)
    return result
  }

  #nameKey({ db, bytes, pos, length }: KeyPlace, hash: number): void {
    const key = this.#verb
    key.db = db
    key.bytes = bytes
    key.pos = pos
    key.length = length
    key.hash = hash
  }

  /* ---- an open record: open ... close, for everything else; atomic, never across I/O ---- */

  /**
   * Locks the key's bucket and looks for a value that clients see (one that is over is removed
   * first). Always `close()` after; the key's bytes stay where they are until then. No verb with a key of its own may be
   * called in between.
   */
  open(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    this.peek(db, bytes, pos, length)
    if (this.#found) this.#home.touch(this.#header)
    return this.#found
  }

  /** The same for who only wants to know of the key, which counts as no access. */
  peek(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    const buckets = this.#aim(db, bytes, pos, length)
    this.#lock()
    buckets.findVisible(this.#header)
    this.#refresh()
    return this.#found
  }

  /**
   * `open` that also finds a value which may be served if its load fails. The six below `state` tell
   * more of it.
   */
  openAny(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    this.peekAny(db, bytes, pos, length)
    if (this.#found) this.#home.touch(this.#header)
    return this.#found
  }

  /** The same for who only wants to know of the key, which counts as no access. */
  peekAny(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    const buckets = this.#aim(db, bytes, pos, length)
    this.#lock()
    buckets.findAny(this.#header)
    this.#refresh()
    if (this.#found) buckets.states.describe(buckets.address, this.#facts)
    return this.#found
  }

  /** `openAny` that also finds a negative entry, whose type is TYPE_NEGATIVE and whose value has no bytes. */
  openAll(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    const buckets = this.#aim(db, bytes, pos, length)
    this.#lock()
    if (buckets.look(this.#header) === ABSENT) buckets.address = 0
    this.#refresh()
    if (this.#found) buckets.states.describe(buckets.address, this.#facts)
    return this.#found
  }

  close(): void {
    this.#unlockAfterWrite()
  }

  /** Valid while open and found, kept up to date by the verbs below; and after NO_ROOM. */
  get valueLength(): number {
    return this.#verb.valueLength
  }

  /**
   * Milliseconds on the `now` scale, 0: none. While open and found. Of a loaded value the end of its
   * freshness, or, when it is stale, of its being there.
   */
  get expireAt(): number {
    return this.#verb.expireAt
  }

  /** While open and found. */
  get valueType(): number {
    return this.#verb.valueType
  }

  /** Accesses that counted of the open value (policies s3a and s3-fifo), 0..3. */
  get frequency(): number {
    return this.#found ? this.#home.frequency(this.#header) : 0
  }

  /** Milliseconds since the open value was last asked for; -1: the policy does not keep it. */
  get idleMs(): number {
    return this.#found ? this.#home.eviction.idleMs(this.#home.address) : -1
  }

  /** Bytes the open value takes with its key: in its ring, in pages, and its slot. */
  get occupiedBytes(): number {
    return this.#found ? this.#home.bytesOf(this.#home.address) : 0
  }

  /** Is the open value longer than 64 KB, so that it is sent from pages? */
  get inPages(): boolean {
    return this.#found && this.#verb.valueLength > bucket.COPIED_BYTES_MAX
  }

  /** Copies part of the value to a position in the I/O memory. */
  read(from: number, length: number, to: number): void {
    assert(this.#found && from + length <= this.#verb.valueLength, 'a read outside of the value')
    this.#home.contents.read(this.#home.address, from, length, to)
  }

  /** Copies of the open value's extras; null: it has none. */
  get extras(): Extras | null {
    return this.#found ? this.#home.states.extrasOf(this.#home.address) : null
  }

  /**
   * Replaces whatever the key held. `bytes`: the I/O memory or any other. With extras it may also be
   * TOO_MANY_TAGS.
   */
  put(
    bytes: Uint8Array,
    pos: number,
    length: number,
    expireAt: number,
    extras: FillExtras | null = null,
  ): number {
    this.#assertOpen()
    const expiry = this.#giveExtras(extras, expireAt)
    if (Number.isNaN(expiry)) return TOO_MANY_TAGS
    const result = this.#put(bytes, pos, length, expiry)
    if (result === STORED) this.#countSet()
    this.#verb.extras.clear()
    this.#refresh()
    return result
  }

  /** The same with pages, which are taken over whatever the result. */
  putPages(pages: Pages, expireAt: number, extras: FillExtras | null = null): number {
    this.#assertOpen()
    const chain = pages.surrender()
    if (chain === null) return OUT_OF_MEMORY
    const expiry = this.#giveExtras(extras, expireAt)
    if (Number.isNaN(expiry)) {
      this.#chains.undo(chain)
      return TOO_MANY_TAGS
    }
    const result = this.#putChain(chain, expiry)
    if (result === STORED) this.#countSet()
    this.#verb.extras.clear()
    this.#refresh()
    return result
  }

  /** Appends to the value (creates it). Keeps the expiry. */
  append(bytes: Uint8Array, pos: number, length: number): number {
    return this.setRange(this.#found ? this.#verb.valueLength : 0, bytes, pos, length)
  }

  /** The same with pages, which are taken over whatever the result. */
  appendPages(pages: Pages): number {
    return this.setRangePages(this.#found ? this.#verb.valueLength : 0, pages)
  }

  /** Writes inside the value, zero-padding up to `offset` (creates it). Keeps the expiry. */
  setRange(offset: number, bytes: Uint8Array, pos: number, length: number): number {
    this.#assertOpen()
    return this.#write(() => this.#setRange(offset, bytes, pos, length))
  }

  /** The same with pages, which are taken over whatever the result. */
  setRangePages(offset: number, pages: Pages): number {
    this.#assertOpen()
    const source = pages.surrender()
    if (source === null) return OUT_OF_MEMORY
    return this.#write(() => this.#setRangeChain(offset, source))
  }

  /**
   * If writing `length` bytes at `offset` (-1: at the end) of the open value took long: what
   * prepares it in steps (growth.ts), after `close`; it owns the pages with the bytes, if they come
   * in pages. Null: call `setRange` or `append` instead.
   */
  grow(offset: number, length: number, pages: Pages | null): Growth | null {
    this.#assertOpen()
    const stem = this.#stem()
    const growing = { offset, length, source: pages === null ? null : pages.chain }
    const after = (offset < 0 ? stem.length : offset) + length
    if (after > this.#lengthMax || !Growth.isWorth(growing, stem)) return null
    pages?.surrender()
    return new Growth(this.#chains, growing, stem)
  }

  /**
   * Gives the open value what was prepared, and the data at bytes[pos, ...) if it did not come in
   * pages. CHANGED: it has another length now, `growth` must go through its steps again. In all
   * other cases that has no pages any more.
   */
  attach(growth: Growth, bytes: Uint8Array, pos: number): number {
    this.#assertOpen()
    const stem = this.#stem()
    if (growth.chain === null) {
      growth.release()
      return OUT_OF_MEMORY
    }
    if (!growth.fits(stem)) {
      if (growth.restart(stem)) return CHANGED
      const offset = growth.isAtEnd ? stem.length : growth.offset
      const source = growth.surrenderSource()
      if (source === null) return this.setRange(offset, bytes, pos, growth.length)
      return this.#write(() => this.#setRangeChain(offset, source))
    }
    return this.#write(() => this.#attach(growth, stem, bytes, pos))
  }

  /**
   * Sets the expiry of the open value, 0 removes it; its extras go. OUT_OF_MEMORY only for one with
   * pages.
   */
  setExpiry(expireAt: number): number {
    assert(this.#found, 'an expiry is set where no value is open')
    const had = this.#verb.expireAt
    this.#home.fenceOff(this.#header)
    this.#verb.goesOn = true
    const result = this.#setExpiry(expireAt)
    this.#verb.goesOn = false
    if (result === STORED && (had !== 0 || expireAt !== 0)) this.#countChange()
    this.#refresh()
    return result
  }

  /** Removes the value, or what stands for it, and the key's lease. True if clients saw it. */
  remove(): boolean {
    this.#assertOpen()
    const removed = this.#home.remove(this.#header)
    if (removed) this.#countRemoval()
    this.#refresh()
    return removed
  }

  /** Is the open value still what was pinned? */
  isPinnedAs(pages: Pages): boolean {
    if (!this.inPages || this.#verb.valueLength !== pages.length) return false
    const { address, contents } = this.#home
    return contents.chainOf(address).first === pages.chain?.first
  }

  /** The value as pages, for sending; it must be `inPages`. Immutable until released. */
  pin(): Pages {
    assert(this.inPages, 'a value without pages is pinned')
    return this.#pin(this.#home.address, this.#verb.valueLength)
  }

  /* ---- who wants to hear of a key: see watch.ts ---- */

  /**
   * Begins an interest in a key, there or not: WATCHED, for `isUntouched`; or TRACKED, for
   * `onTouched`, which hears of all that is done to the key from now on. (So track first and then read:
   * what was changed in between is told.) What is returned is to be given to `unwatch` once.
   */
  watch(interest: Interest, db: number, bytes: Uint8Array, pos: number, length: number): Watch {
    assert(this.#mayWatch, 'threads do not share their watches')
    const buckets = this.#aim(db, bytes, pos, length)
    const key = bytes.slice(pos, pos + length)
    this.#lock()
    const wasThere = buckets.findVisible(this.#header) !== 0
    const at = this.#watches.enter(interest, this.#verb.hash, db, key, 0, length)
    const count = this.#watches.countAt(at)
    this.#unlockAfterWrite()
    return { interest, db, key, bucket: this.#number, at, count, wasThere }
  }

  /**
   * Is the key as it was when it was watched, as far as clients see? Not if it was written since, even
   * to what it was. To be asked while the key is locked (`lockKeys`), if something follows from it.
   */
  isUntouched(watch: Watch): boolean {
    const { db, key, at, count, wasThere } = watch
    const buckets = this.#aim(db, key, 0, key.length)
    this.#lock()
    // One whose time is over goes, and is counted; one that is kept for when its load fails is not.
    const isThere = buckets.findVisible(this.#header) !== 0
    const isUntouched = this.#watches.countAt(at) === count && isThere === wasThere
    this.#unlockAfterWrite()
    return isUntouched
  }

  /** Was it written since, as far as can be told without its lock? For who only shows it. */
  wasTouched({ at, count }: Watch): boolean {
    return this.#watches.countAt(at) !== count
  }

  /** Ends an interest; while keys are locked, when they no longer are. */
  unwatch(watch: Watch): void {
    if (this.#verb.holdsSet) {
      this.#leaving.push(watch)
      return
    }
    this.#turnTo(watch.bucket)
    this.#lock()
    this.#watches.leave(watch.interest, watch.at)
    this.#unlock()
  }

  /**
   * `watch` with TRACKED for who has very many of them: a number, to be given to `untrack` once.
   * `wasThere` tells of the key.
   */
  track(db: number, bytes: Uint8Array, pos: number, length: number): number {
    assert(this.#mayWatch, 'threads do not share their watches')
    const buckets = this.#aim(db, bytes, pos, length)
    this.#lock()
    this.wasThere = buckets.findVisible(this.#header) !== 0
    const at = this.#watches.enter(TRACKED, this.#verb.hash, db, bytes, pos, length)
    this.#unlockAfterWrite()
    return at
  }

  /** See `track`. */
  untrack(at: number): void {
    this.#turnTo(this.#watches.bucketAt(at, this.#layout.buckets))
    this.#lock()
    this.#watches.leave(TRACKED, at)
    this.#unlock()
  }

  /** `onTouched` hears of all keys from now on, or not any more; to be ended as often as it is begun. */
  trackAll(on: boolean): void {
    assert(this.#mayWatch, 'threads do not share their watches')
    this.#watches.enterAll(on ? 1 : -1)
  }

  /* ---- leases: the fence of a load ---- */

  /**
   * While open and not found: the token of the key's lease, planting one if there is none
   * (`leasePlanted` tells which). 0: no memory. Tokens are never used twice.
   */
  lease(): number {
    this.#assertOpen()
    assert(!this.#found, 'a lease is taken where there is a value')
    const token = this.#lease()
    this.#home.address = 0
    return token
  }

  /** While open: the token of the key's lease; 0: there is none. */
  leaseToken(): number {
    this.#assertOpen()
    const buckets = this.#home
    const { address } = buckets
    const lease = buckets.find(this.#header, true)
    const token = lease === 0 ? 0 : buckets.tokenOf(lease)
    buckets.address = address
    return token
  }

  /**
   * The same while a value is open and found, which is to be loaded again. In a small store it may go
   * for its lease: afterwards nothing may be open.
   */
  leaseBeside(): number {
    assert(this.#found, 'a lease is taken beside a value that is not there')
    const token = this.#lease()
    this.#home.findAny(this.#header)
    this.#refresh()
    return token
  }

  /**
   * Stores the value, or a negative entry for null (which must expire), if this very lease is still
   * there; the lease is gone afterwards. False also when it may not be kept, for one of its tags was
   * invalidated since its birth; and when there is no memory for it, or no room for its tags: then
   * what there was goes too, which is older.
   */
  fill(
    db: number,
    key: Uint8Array,
    token: number,
    value: Uint8Array | null,
    expireAt: number,
    extras: FillExtras | null = null,
  ): boolean {
    assert(value !== null || expireAt !== 0, 'a negative entry is to stay for ever')
    const buckets = this.#aim(db, key, 0, key.length)
    const type = value === null ? TYPE_NEGATIVE : TYPE_STRING
    const content = value ?? NO_BYTES
    const expiry = this.#giveExtras(extras, expireAt)
    const isKept = !Number.isNaN(expiry)
    const isLong = this.#isLong(key.length + content.length)
    const chain = isKept && isLong ? this.#chainOf(content, 0, content.length) : null
    const isReady = isKept && (chain !== null || !isLong)
    this.#lock()
    const stands = this.#hasLease(token)
    let stored = false
    const isDead = this.#isDead(extras)
    if (!stands || !isReady || isDead) {
      if (chain !== null) this.#chains.undo(chain)
    } else if (chain !== null) {
      stored = this.#putChain(chain, expiry, type) === STORED
    } else {
      stored = buckets.put(this.#header, type, content, 0, content.length, expiry)
    }
    if (stands && !stored) {
      if (isDead) buckets.removeLease(this.#header)
      else if (buckets.remove(this.#header)) this.#countChange()
    }
    if (stored) this.#countSet()
    this.#verb.extras.clear()
    this.#unlockAfterWrite()
    return stored
  }

  /** `set` with extras, which needs no lease. Also TOO_MANY_TAGS. */
  setTagged(
    db: number,
    bytes: Uint8Array,
    pos: number,
    length: number,
    valuePos: number,
    valueLength: number,
    expireAt: number,
    extras: FillExtras,
  ): number {
    this.open(db, bytes, pos, length)
    const result = this.put(bytes, valuePos, valueLength, expireAt, extras)
    this.close()
    return result
  }

  /** Does this very lease still stand? */
  hasLease(db: number, key: Uint8Array, token: number): boolean {
    this.#aim(db, key, 0, key.length)
    this.#lock()
    const stands = this.#hasLease(token)
    this.#unlock()
    return stands
  }

  /** Removes this very lease (a load that failed). */
  dropLease(db: number, key: Uint8Array, token: number): boolean {
    const buckets = this.#aim(db, key, 0, key.length)
    this.#lock()
    const stands = this.#hasLease(token)
    if (stands) buckets.removeLease(this.#header)
    this.#unlockAfterWrite()
    return stands
  }

  /* ---- what a loaded entry knows beside its value ---- */

  /**
   * What there is under the key, which counts as no access: ABSENT, FRESH, STALE, ERROR_ONLY or
   * NEGATIVE. Unless it is ABSENT the six below tell more of it, as it was then.
   */
  state(db: number, bytes: Uint8Array, pos: number, length: number): number {
    const buckets = this.#aim(db, bytes, pos, length)
    this.#lock()
    const state = buckets.look(this.#header)
    if (state !== ABSENT) buckets.states.describe(buckets.address, this.#facts)
    this.#unlock()
    return state
  }

  /** Until when it is fresh: ms on the `now` scale, 0: for ever. */
  get freshUntil(): number {
    return this.#facts.freshUntil
  }

  /** Until when it may be served without a load having failed; 0: for ever. */
  get visibleUntil(): number {
    return this.#facts.visibleUntil
  }

  /** When it goes, whoever may see it until then; 0: never. */
  get endsAt(): number {
    return this.#facts.endsAt
  }

  /** What its load took, 0: it was not loaded. */
  get costMs(): number {
    return this.#facts.costMs
  }

  /** When it was loaded, to the second; 0: that is not known. */
  get loadedAtMs(): number {
    return this.#facts.loadedAt
  }

  get hasExtras(): boolean {
    return this.#facts.hasExtras
  }

  /* ---- invalidation: see invalidation.ts ---- */

  /** For `FillExtras.birth`: to be asked when a load begins. */
  birth(): number {
    return this.#invalidation.sequence
  }

  /** Was one of these tags invalidated since? */
  isDead(tags: readonly number[], birth: number): boolean {
    return this.#invalidation.isDead(tags, birth)
  }

  tagHash(tag: Uint8Array): number {
    return xxh32(tag, 0, tag.length, TAG_SEED)
  }

  /** How many tags an entry can have here. */
  get tagsMax(): number {
    return this.#verb.extras.tagsMax
  }

  /** Makes all entries with this tag (`tagHash`) dead, and all whose load has begun. */
  invalidateTag(tagHash: number): void {
    assert(this.#mayInvalidate, 'threads do not share their invalidations')
    this.#invalidation.invalidateTag(tagHash)
  }

  /**
   * Makes all entries whose keys match dead, leases too, so that loads under way bring nothing any
   * more. It takes no time by their number: `sweepInvalidated` must be called until it is through.
   * False: the one before is not. (They count in `size` until they are swept.)
   * @throws {RangeError} the prefix is longer than 64 KB
   */
  beginInvalidation(matcher: Matcher): boolean {
    assert(this.#mayInvalidate, 'threads do not share their invalidations')
    return this.#purge.begin(matcher)
  }

  /**
   * Removes what `beginInvalidation` made dead, in steps of a millisecond at most, from `cursor` on
   * (0 begins): returns the cursor to go on with, 0 at the end. To be called by who began it.
   */
  sweepInvalidated(cursor: number): number {
    const number = Math.floor(cursor / HASHES)
    const buckets = this.#turnTo(number)
    this.#lock()
    const hash = buckets.purge(this.#header, cursor % HASHES, FLUSH_SLOTS)
    this.#release()
    const isOver = hash === 0 && number + 1 === this.#layout.buckets
    if (isOver) this.#purge.end()
    this.#tell()
    if (isOver) return 0
    return hash > 0 ? number * HASHES + hash : (number + 1) * HASHES
  }

  /* ---- what each group has: see usage.ts ---- */

  /** Keys that were loaded for a group, expired ones not yet removed included. */
  groupKeys(group: number): number {
    return this.#usage.keys(group)
  }

  /** Bytes of all that was loaded for a group, of negative entries too. */
  groupBytes(group: number): number {
    return this.#usage.bytes(group)
  }

  /**
   * Makes entries of a group go, unless they were asked for since the last time, until it has room for
   * `bytes` more under `bytesMax`; looks at `slotsMax` slots of indexes at most. True: it has.
   */
  makeGroupRoom(group: number, bytes: number, slotsMax: number, bytesMax: number): boolean {
    const isDone = (): boolean => this.#usage.bytes(group) + bytes <= bytesMax
    const round = { slotsLeft: slotsMax, isDone }
    while (round.slotsLeft > 0 && !isDone()) {
      const buckets = this.#turnTo(this.#roomBucket)
      this.#lock()
      this.#roomHash = buckets.evictOf(this.#header, group, this.#roomHash, round)
      this.#release()
      if (this.#roomHash !== 0) continue
      // An empty bucket costs something too.
      round.slotsLeft--
      this.#roomBucket = (this.#roomBucket + 1) % this.#layout.buckets
    }
    this.#tell()
    return isDone()
  }

  /* ---- receiving big values ---- */

  /** Empty pages to receive a value into. The caller releases them or gives them to a verb. */
  pages(): Pages {
    return new Pages(this.#chains, this.#lengthMax, null, NO_BYTES)
  }

  /* ---- the whole ---- */

  /**
   * Visits visible keys of db from `cursor` (0 starts) until about `slots` index slots were looked
   * at; returns the next cursor, 0 at the end; < 2^41. What stays in the cache during a full
   * scan is visited, or what of it had so many accesses that counted. `visit` runs under the bucket's lock: it must not call the store; the key
   * lies at bytes[pos, pos+length) during the call only.
   */
  scan(db: number, cursor: number, slots: number, visit: KeyVisitor, accessesMin = 0): number {
    let number = Math.floor(cursor / HASHES)
    let hash = cursor % HASHES
    let budget = Math.max(1, slots)
    for (; number < this.#layout.buckets; number++) {
      if (budget <= 0) return number * HASHES
      const buckets = this.#turnTo(number)
      const header = this.#header
      const index = buckets.index
      let last = -1
      this.#lock()
      const end = index.slots(header)
      if (buckets.size(header, db) === 0) {
        budget--
      } else {
        for (let at = index.seek(header, hash); at < end; at++, budget--) {
          const address = index.address(header, at)
          if (address === 0) continue
          const here = index.hash(header, at)
          // Equal hashes are visited together: the cursor cannot point between them.
          if (budget <= 0 && here !== last) {
            this.#unlock()
            return number * HASHES + here
          }
          last = here
          if (accessesMin > 0 && index.frequency(header, at) < accessesMin) continue
          if (buckets.isVisible(address, db)) this.#visit(buckets, address, visit)
        }
      }
      this.#unlock()
      hash = 0
    }
    return 0
  }

  /**
   * A random visible key of db copied to the sink; its length, or -1 (no key), or NO_ROOM (the sink
   * had none for `valueLength` bytes). `random`: uint32.
   */
  randomKey(db: number, random: number, sink: Sink): number {
    const first = this.#bucketOfRank(db, Math.floor((random / HASHES) * this.size(db)))
    // The bucket is a question of the high bits, the slot in it one of the low bits.
    const fraction = (Math.imul(random, 0x9e3779b1) >>> 0) / HASHES
    for (let i = 0; i < this.#layout.buckets; i++) {
      const buckets = this.#turnTo((first + i) % this.#layout.buckets)
      this.#lock()
      const address = this.#randomIn(buckets, db, fraction)
      let result = MISS
      if (address !== 0) {
        result = buckets.keyLength(address)
        const to = sink.reserve(result)
        if (to >= 0) {
          buckets.contents.copyKey(address, to)
        } else {
          this.#verb.valueLength = result
          result = NO_ROOM
        }
      }
      this.#unlock()
      if (result !== MISS) return result
    }
    return MISS
  }

  /** Visible keys of db (expired ones not yet removed included, as in Redis). */
  size(db: number): number {
    return this.#sum((buckets, header) => buckets.size(header, db))
  }

  /** Keys of db with an expiry. */
  expiring(db: number): number {
    return this.#sum((buckets, header) => buckets.expiring(header, db))
  }

  /** Removes everything of one database, or of all (-1), however long it takes. */
  flush(db: number): void {
    let cursor = 0
    do {
      cursor = this.flushSome(db, cursor)
    } while (cursor !== 0)
  }

  /**
   * The same in steps of a millisecond at most, from `cursor` on (0 begins): returns the cursor to
   * go on with, 0 at the end. What was there when the first step began is gone after the last one.
   * One database takes time by the number of all keys, all of them by the number of chunks. Of what is
   * flushed `onTouched` does not hear: who flushes tells of all at once.
   */
  flushSome(db: number, cursor: number): number {
    const number = Math.floor(cursor / HASHES)
    const buckets = this.#turnTo(number)
    const bucket = this.#header
    this.#lock()
    const before = buckets.entries(bucket)
    let hash = 0
    this.#watches.isQuiet = true
    if (db < 0) this.#reset()
    else hash = buckets.flush(bucket, db, cursor % HASHES, FLUSH_SLOTS)
    this.#watches.isQuiet = false
    const gone = before - buckets.entries(bucket)
    if (gone > 0) buckets.countUp(bucket, header.CHANGES, gone)
    this.#release()
    // Not all at once: copies of everything would not fit into any heap.
    this.#deliver()
    if (hash > 0) return number * HASHES + hash
    if (number + 1 < this.#layout.buckets) return (number + 1) * HASHES
    this.#tell()
    return 0
  }

  /** Bytes, as it is now: another thread may have changed it. (It is aligned: never half of both.) */
  get maxMemory(): number {
    return this.#pools[0]!.maxMemory
  }

  /**
   * Raises maxMemory at once; or lowers it, and then what is used becomes no more, and `shrink`
   * brings it down.
   * @throws {RangeError} one sentence: more than the ceiling, or less than the chunks that are
   * promised to the buckets
   */
  setMaxMemory(bytes: number): void {
    const { ceiling, chunkShift, header } = this.#layout
    if (bytes > ceiling) {
      throw new RangeError(
        `maxmemory can be raised to its ceiling of ${ceiling} bytes: start with a larger ceiling (maxmemory-ceiling) to go beyond`,
      )
    }
    const least = memoryBytesMin(this.#layout)
    if (!(bytes >= least)) {
      throw new RangeError(
        `maxmemory can be lowered to ${least} bytes while the store works in chunks of ${1 << chunkShift}: start with a smaller maxmemory, and so smaller chunks, to go below`,
      )
    }
    const words = this.#arenas[0]!.words
    acquire(words, header + SETTING)
    for (const pool of this.#pools) pool.setMaxMemory(Math.floor(bytes))
    release(words, header + SETTING)
  }

  /** Chunks to be given back because maxMemory was lowered. */
  get excess(): number {
    return this.#pools.reduce((sum, pool) => sum + pool.excess, 0)
  }

  /**
   * After maxMemory was lowered: evicts until about `chunksMax` chunks were given back, whoever is
   * oldest going first. True: there is more to do. What is held by pages that are being received or
   * sent comes back only when their holders release them.
   */
  shrink(chunksMax: number): boolean {
    this.#lower()
    const before = this.excess
    const wanted = Math.max(1, chunksMax)
    const end = Math.max(0, before - wanted)
    // Other threads may take the chunks that were won, or readers keep them: then it ends sometime.
    for (let i = 0; i < wanted * WINS_PER_CHUNK && this.excess > end && this.#relief.win(); i++) {
      this.#lower()
    }
    // Those who hold chunks may have nothing to give: what is pinned, or pieces of indexes.
    if (this.excess === before) this.#lowerPieces(end)
    this.#tell()
    return this.excess > 0
  }

  /** Removes entries that are over or dead, looking at about `slots` slots from where it stopped. Removed count. */
  sweep(slots: number): number {
    let removed = 0
    let budget = Math.max(1, slots)
    // One more than there are: it begins in the middle of a bucket, whose first part comes last.
    for (let i = 0; i <= this.#layout.buckets && budget > 0; i++) {
      const buckets = this.#turnTo(this.#sweepBucket)
      const header = this.#header
      const index = buckets.index
      this.#lock()
      let at = index.slots(header)
      if (buckets.mayExpire(header)) at = index.seek(header, this.#sweepHash)
      const before = removed
      for (; at < index.slots(header) && budget > 0; budget--) {
        const address = index.address(header, at)
        if (address === 0) {
          at++
          continue
        }
        this.#sweptEntries++
        if (buckets.expires(address)) this.#sweptExpiring++
        if (buckets.dropIfOver(header, at)) removed++
        else at++
      }
      budget--
      // The slot at `at` is looked at next time, in this bucket if there is one left.
      while (at < index.slots(header) && index.address(header, at) === 0) at++
      const finished = at >= index.slots(header)
      this.#sweepHash = finished ? 0 : index.hash(header, at)
      if (finished) {
        this.#sweepBucket = (this.#sweepBucket + 1) % this.#layout.buckets
        if (this.#sweepBucket === 0) this.#sweepRounds++
      }
      buckets.settleRemoved(header, removed - before)
      this.#release()
    }
    this.#tell()
    return removed
  }

  /** How often a sweep came to the end of the last bucket. */
  get sweepRounds(): number {
    return this.#sweepRounds
  }

  /** Entries that sweeps looked at so far, in buckets where some expire. */
  get sweptEntries(): number {
    return this.#sweptEntries
  }

  /** Those among them that had an expiry, whether it was over or not. */
  get sweptExpiring(): number {
    return this.#sweptExpiring
  }

  /** Has any key of any database an expiry, or may be over for another reason? */
  get expires(): boolean {
    return this.#sum((buckets, header) => (buckets.mayExpire(header) ? 1 : 0)) > 0
  }

  /** Bytes in use now. */
  get usedBytes(): number {
    return this.#bytes(
      (pool) => pool.limit,
      (pool) => pool.used,
    )
  }

  /** Counted now, over all buckets: some ten microseconds a hundred buckets. */
  get stats(): StoreStats {
    const layout = this.#layout
    const chunkBytes = 1 << layout.chunkShift
    const chunks = this.#pools.reduce((sum, pool) => sum + pool.limit, 0)
    const sum = sumOf(
      Array.from({ length: layout.buckets }, (_, number) => this.bucketStats(number)),
    )
    return {
      ...sum,
      maxMemory: this.maxMemory,
      ceiling: layout.ceiling,
      usedBytes: this.usedBytes,
      touchedBytes: this.#bytes(
        (pool) => Math.max(pool.limit, pool.touched),
        (pool) => pool.touched,
      ),
      excessBytes: this.excess * chunkBytes,
      chunkBytes,
      chunks,
      chunksFree: chunks - this.#chunksUsed(),
      arenas: layout.arenas,
      buckets: layout.buckets,
      evicted: sum.evictedSmall + sum.evictedMain + sum.evictedBig,
      bigBytes: sum.pages * chunkBytes,
      pinnedBytes: this.#chains.orphaned * chunkBytes,
    }
  }

  /** How many buckets there are. */
  get buckets(): number {
    return this.#layout.buckets
  }

  /** Of the bucket of this number, 0 to buckets - 1. */
  bucketStats(number: number): BucketStats {
    return bucketStats(this.#bucketsOf(number), this.#headerOf(number))
  }

  /* ---- snapshots: see transplant.ts, snapshot.ts ---- */

  get shape(): StoreShape {
    const { buckets, chunkShift } = this.#layout
    return {
      maxMemory: this.maxMemory,
      chunkBytes: 1 << chunkShift,
      buckets,
      databases: this.#databases,
      seed: this.#seed,
      probe: this.#home.hashKey(0, PROBE, 0, PROBE.length) >>> 0,
      trailer: trailerBytesOf(this.policy),
    }
  }

  /** Changes to what is stored, since the start: a key that is set or removed counts one. */
  get changes(): number {
    return this.#sum(
      (buckets, bucket) =>
        buckets.counter(bucket, header.SETS) + buckets.counter(bucket, header.CHANGES),
    )
  }

  /**
   * Stores an entry of a snapshot whose key and extras lie in `bytes`, and the value too unless it is
   * given as pages, which are taken over; `shift` is added to its times. Not counted as a set.
   * OUT_OF_MEMORY as `set`, and where its extras are too long for this store.
   */
  revive(bytes: Uint8Array, found: Found, shift: number, pages: Pages | null): number {
    const { db, type, keyAt, keyLength, valueAt, valueLength } = found
    const { extras } = this.#verb
    const expireAt = found.expireAt === 0 ? 0 : found.expireAt + shift
    const buckets = this.#aim(db, bytes, keyAt, keyLength)
    if (!extras.copy(bytes, found.extrasAt, found.extrasLength)) return OUT_OF_MEMORY
    if (extras.length > 0) this.#arrivals.adapt(extras.view, 0, shift, this.#verb)
    const isLong = this.#isLong(keyLength + valueLength)
    const chain =
      pages !== null
        ? pages.surrender()
        : isLong
          ? this.#chainOf(bytes, valueAt, valueLength)
          : null
    if (chain === null && (pages !== null || isLong)) {
      extras.clear()
      return OUT_OF_MEMORY
    }
    this.#lock()
    const result =
      chain === null
        ? this.#put(bytes, valueAt, valueLength, expireAt, type)
        : this.#putChain(chain, expireAt, type)
    if (result === STORED) {
      buckets.warm(this.#header, found)
      if (this.#watches.areUsed) this.#touch()
    }
    extras.clear()
    this.#unlockAfterWrite()
    return result
  }

  /** In which order entries go, and which may. */
  get policy(): Policy {
    return POLICIES[policyOf(this.#policyWord)]!
  }

  get scope(): Scope {
    return SCOPES[scopeOf(this.#policyWord)]!
  }

  /** Does the policy keep something with each entry, so that it stands until the store ends? */
  get policyIsFixed(): boolean {
    return trailerBytesOf(this.policy) > 0
  }

  /**
   * Changes the policy while the store is in use. False: one of the two policies keeps something
   * with each entry, which can be chosen at the start only.
   */
  setPolicy(policy: Policy, scope: Scope): boolean {
    const isOther = policy !== this.policy
    if (isOther && (this.policyIsFixed || trailerBytesOf(policy) > 0)) return false
    this.#writePolicy(policyWord(policy, scope))
    return true
  }

  /** For tests: throws when parts of the store contradict each other. Takes time by the entries. */
  check(): void {
    assert(this.#verb.isFree, 'a lock is held')
    let chunks = 0
    let pages = 0
    const usage = this.#usage.blank()
    for (let number = 0; number < this.#layout.buckets; number++) {
      const buckets = this.#turnTo(number)
      chunks += buckets.check(this.#header, usage)
      pages += buckets.pages(this.#header)
    }
    usage.check(this.#usage)
    pages += this.#chains.inFlight + this.#chains.orphaned
    const pieces = this.#pools.reduce((sum, pool) => sum + pool.pieceChunks, 0)
    const counted = this.#pools.reduce((sum, pool) => sum + pool.pages, 0)
    assert(counted === pages, 'the pools count other pages than the buckets')
    for (const pool of this.#pools) pool.check()
    const used = this.#chunksUsed()
    assert(used === chunks + pages + pieces, 'chunks in use are not those of rings and pages')
    const { usedBytes, maxMemory } = this
    assert(usedBytes <= maxMemory || this.excess > 0, 'maxmemory is exceeded')
  }

  /* ---- private ---- */

  get #policyWord(): number {
    return this.#arenas[0]!.words[this.#layout.header + POLICY]!
  }

  #writePolicy(word: number): void {
    for (const arena of this.#arenas) arena.words[this.#layout.header + POLICY] = word
  }

  #bucketsOf(number: number): Buckets {
    return this.#buckets[number % this.#buckets.length]!
  }

  #headerOf(number: number): number {
    return this.#bucketsOf(number).header(Math.floor(number / this.#buckets.length))
  }

  #wordsOf(number: number): Int32Array {
    return this.#arenas[number % this.#arenas.length]!.words
  }

  /** Bytes of the arenas with so many chunks paid for, and so many taken. */
  #bytes(paid: (pool: Pool) => number, taken: (pool: Pool) => number): number {
    const layout = this.#layout
    const { maxMemory } = this
    return this.#pools.reduce(
      (total, pool) =>
        total + fixedBytes(layout, maxMemory, paid(pool)) + taken(pool) * 2 ** layout.chunkShift,
      0,
    )
  }

  #chunksUsed(): number {
    return this.#pools.reduce((sum, pool) => sum + pool.used, 0)
  }

  #lower(): void {
    for (const pool of this.#pools) pool.lower()
  }

  /** Has each bucket once give a piece of its index back, until the excess is down to `end`. */
  #lowerPieces(end: number): void {
    for (let number = 0; number < this.#layout.buckets && this.excess > end; number++) {
      const buckets = this.#turnTo(number)
      this.#lock()
      buckets.yieldPiece(this.#header)
      this.#releaseAfterWrite()
      this.#lower()
    }
  }

  /**
   * Longest value now: half of maxMemory and of its chunks, and never more than Redis's. Longer ones
   * are refused before anybody goes for them.
   */
  get #lengthMax(): number {
    const half = Math.floor(this.maxMemory / 2)
    return Math.min(half, this.#chains.flyingBytesMax, VALUE_BYTES_MAX)
  }

  /** Removes all that is in the locked bucket. */
  #reset(): void {
    this.#touchBucket()
    this.#home.reset(this.#header)
  }

  /** All keys of the locked bucket change, for whoever wants to hear of them. */
  #touchBucket(): void {
    const watches = this.#watches
    if (!watches.areUsed || !watches.mayConcern(this.#number, this.#layout.buckets)) return
    this.#home.touchAll(this.#header)
  }

  #turnTo(number: number): Buckets {
    this.#number = number
    this.#home = this.#bucketsOf(number)
    this.#header = this.#headerOf(number)
    return this.#home
  }

  /** Makes a key the current one. */
  #aim(db: number, bytes: Uint8Array, pos: number, length: number): Buckets {
    assert(this.#verb.locked === -1, 'a record is still open')
    assert(db >= 0 && db < this.#databases, 'there is no such database')
    const key = this.#verb
    key.db = db
    key.bytes = bytes
    key.pos = pos
    key.length = length
    const fetched = this.#fetched
    key.hash =
      fetched.count > 0 && fetched.finds(db, bytes, pos, length)
        ? fetched.hashes[fetched.next++]!
        : this.#home.hashKey(db, bytes, pos, length)
    return this.#turnTo(key.hash & this.#bucketMask)
  }

  #lock(): void {
    assert(this.#verb.locked === -1, 'a second lock is taken')
    this.#verb.locked = this.#number
    this.#verb.now = this.now
    if (this.#isShared) {
      if (this.#verb.holdsSet) {
        assert(this.#verb.held[this.#number] === HELD, 'a key is not locked')
        return
      }
      acquire(this.#wordsOf(this.#number), this.#header + header.LOCK)
    }
    this.#purge.look()
  }

  /** The last thing a verb does: the listener may call others. */
  #unlock(): void {
    this.#release()
    this.#tell()
  }

  #unlockAfterWrite(): void {
    this.#releaseAfterWrite()
    this.#tell()
  }

  /** Gives the lock back; `tell` must follow. */
  #release(): void {
    assert(this.#verb.locked === this.#number, 'a lock is given back that is not held')
    this.#verb.locked = -1
    if (!this.#isShared || this.#verb.holdsSet) return
    release(this.#wordsOf(this.#number), this.#header + header.LOCK)
  }

  #releaseAfterWrite(): void {
    this.#home.settle(this.#header)
    this.#found = false
    this.#release()
  }

  #tell(): void {
    if (this.#verb.hasNotices) this.#tellAll()
  }

  #tellAll(): void {
    this.#verb.hasNotices = !this.#verb.isFree
    this.#deliver()
    this.#endings?.tell()
    this.#touched.tell()
  }

  /** The same, but what listeners throw is kept for the last of several steps. */
  #deliver(): void {
    this.#endings?.deliver()
    this.#touched.deliver()
  }

  /** Changes a part of the open value. */
  #write(change: () => number): number {
    if (this.#found) this.#home.fenceOff(this.#header)
    const former = this.#former()
    const result = change()
    this.#changed(former, result)
    if (result === STORED) this.#countChange()
    this.#refresh()
    return result
  }

  /** Before a change to a part of the open value: what it is, if somebody wants to know. */
  #former(): Ended | null {
    this.#verb.goesOn = this.#found
    if (this.#endings === null || !this.#found || !this.#endings.hears(OVERWRITTEN)) return null
    return this.#home.endedAt(this.#home.address, OVERWRITTEN)
  }

  /** After the change. */
  #changed(former: Ended | null, result: number): void {
    this.#verb.goesOn = false
    if (former !== null && result === STORED) this.#endings!.push(former)
  }

  #assertOpen(): void {
    assert(this.#verb.locked !== -1, 'no record is open')
  }

  /** After a verb on the open record: what is there now? */
  #refresh(): void {
    this.#found = this.#home.address !== 0
    if (this.#found) this.#home.describe()
    else this.#verb.forget()
  }

  /** The value of an entry of the locked bucket as pages. */
  #pin(address: number, length: number): Pages {
    const buckets = this.#home
    const inPages = buckets.contents.bytesInPages(address)
    const chain = inPages === 0 ? null : buckets.contents.pin(address)
    let tail = NO_BYTES
    if (length > inPages) {
      buckets.contents.read(address, inPages, length - inPages, OWN_AT)
      tail = this.io.bytes.slice(OWN_AT, OWN_AT + length - inPages)
    }
    return new Pages(this.#chains, this.#lengthMax, chain, tail)
  }

  /** The current key was changed. */
  #countChange(): void {
    this.#home.countUp(this.#header, header.CHANGES)
    if (this.#watches.areUsed) this.#touch()
  }

  /** The current key was removed: by its bucket, which touches it (as it does all that end). */
  #countRemoval(): void {
    this.#home.countUp(this.#header, header.CHANGES)
  }

  #countSet(): void {
    this.#home.countUp(this.#header, header.SETS)
    if (this.#watches.areUsed) this.#touch()
  }

  /** The current key changes, for whoever wants to hear of it. */
  #touch(): void {
    const { hash, db, bytes, pos, length } = this.#verb
    this.#watches.touch(hash, db, bytes, pos, length)
  }

  /** A chain with a copy of bytes; null: no memory. */
  #chainOf(bytes: Uint8Array, pos: number, length: number): Chain | null {
    if (length > this.#lengthMax) return null
    const chain = this.#chains.adopt(0, 0, length)
    if (!this.#chains.extend(chain, length)) return null
    this.#chains.write(chain, 0, bytes, pos, length)
    return chain
  }

  #setLong(bytes: Uint8Array, pos: number, length: number, expireAt: number): number {
    const chain = this.#chainOf(bytes, pos, length)
    if (chain === null) {
      this.#tell()
      return OUT_OF_MEMORY
    }
    this.#lock()
    if (this.#home.findVisible(this.#header) !== 0) this.#home.touch(this.#header)
    const result = this.#putChain(chain, expireAt)
    if (result === STORED) this.#countSet()
    this.#unlockAfterWrite()
    return result
  }

  #put(
    bytes: Uint8Array,
    pos: number,
    length: number,
    expireAt: number,
    type = TYPE_STRING,
  ): number {
    if (!this.#isLong(this.#verb.length + length)) {
      if (this.#home.put(this.#header, type, bytes, pos, length, expireAt)) return STORED
      this.#home.findVisible(this.#header)
      return OUT_OF_MEMORY
    }
    const chain = this.#chainOf(bytes, pos, length)
    if (chain !== null) return this.#putChain(chain, expireAt, type)
    // What is open may have moved for the pages, or gone.
    this.#home.findVisible(this.#header)
    return OUT_OF_MEMORY
  }

  /** Stores a chain as the current key's value; on failure its pages in flight are given back. */
  #putChain(chain: Chain, expireAt: number, type = TYPE_STRING): number {
    const result = this.#home.putChain(this.#header, chain, expireAt, type)
    if (result !== STORED) {
      this.#chains.undo(chain)
      this.#home.findVisible(this.#header)
    }
    return result
  }

  /** May key and value of so many bytes together, with the extras to be written, need pages? */
  #isLong(bytes: number): boolean {
    return bytes + this.#verb.extras.length > this.#inRingMax
  }

  /**
   * Makes these the extras of what is written, until they are cleared, and says when that expires.
   * NaN: too many tags.
   */
  #giveExtras(extras: FillExtras | null, expireAt: number): number {
    if (extras === null) return expireAt
    const expiry = expiryOf(expireAt, extras.freshUntil)
    return this.#verb.extras.encode(extras, expiry, this.now) ? expiry : NaN
  }

  /** Was one of its tags invalidated since its load began? */
  #isDead(extras: FillExtras | null): boolean {
    return extras !== null && this.#invalidation.isDead(extras.tags, extras.birth)
  }

  /** The open value, or an empty one, as a chain with room for `length` bytes. Null: no memory. */
  #thaw(length: number, shared: boolean): Chain | null {
    if (length > this.#lengthMax) return null
    if (!this.#found) {
      const chain = this.#chains.adopt(0, 0, 0)
      return this.#chains.extend(chain, length) ? chain : null
    }
    this.#verb.mayYieldOwn = false
    const chain = this.#home.contents.thaw(this.#home.address, length, shared)
    this.#verb.mayYieldOwn = true
    return chain
  }

  #setRange(offset: number, bytes: Uint8Array, pos: number, length: number): number {
    const buckets = this.#home
    const before = this.#found ? this.#verb.valueLength : 0
    const expireAt = this.#found ? this.#verb.expireAt : 0
    const after = Math.max(before, offset + length)
    if (this.#found && after === before && buckets.mayChangeInside(buckets.address)) {
      buckets.contents.writeInside(buckets.address, offset, bytes, pos, length)
      return STORED
    }
    if (!this.#isLong(this.#verb.length + after)) {
      if (this.#found) buckets.contents.read(buckets.address, 0, before, OWN_AT)
      const io = this.io.bytes
      if (offset > before) io.fill(0, OWN_AT + before, OWN_AT + offset)
      io.set(bytes.subarray(pos, pos + length), OWN_AT + offset)
      return this.#put(io, OWN_AT, after, expireAt)
    }
    const chain = this.#thaw(after, offset >= before)
    if (chain === null) return OUT_OF_MEMORY
    if (offset > before) this.#chains.zero(chain, before, offset - before)
    const inside = Math.min(length, Math.max(0, before - offset))
    this.#chains.write(chain, offset + inside, bytes, pos + inside, length - inside)
    chain.length = after
    const result = this.#putChain(chain, expireAt)
    // Only now: the pages may be those of the value that a refusal leaves as it is.
    if (result === STORED) buckets.contents.writeInside(buckets.address, offset, bytes, pos, inside)
    return result
  }

  #setRangeChain(offset: number, source: Chain): number {
    const before = this.#found ? this.#verb.valueLength : 0
    const expireAt = this.#found ? this.#verb.expireAt : 0
    if (offset === 0 && before === 0) return this.#putChain(source, expireAt)
    const after = Math.max(before, offset + source.length)
    const chain = this.#thaw(after, offset >= before)
    if (chain === null) {
      this.#chains.undo(source)
      return OUT_OF_MEMORY
    }
    if (offset > before) this.#chains.zero(chain, before, offset - before)
    const inside = Math.min(source.length, Math.max(0, before - offset))
    this.#chains.writeChain(chain, offset + inside, source, inside, source.length - inside)
    chain.length = after
    const result = this.#putChain(chain, expireAt)
    if (result === STORED)
      this.#home.contents.writeChainInside(this.#home.address, offset, source, inside)
    this.#chains.undo(source)
    return result
  }

  /** What a growth needs to know of the open value, or of none. */
  #stem(): { length: number; capacity: number } {
    if (!this.#found) return { length: 0, capacity: 0 }
    const { address, contents } = this.#home
    const pages = this.#chains.pagesFor(contents.bytesInPages(address))
    return { length: this.#verb.valueLength, capacity: pages * this.#chains.pageBytes }
  }

  #attach(
    growth: Growth,
    { length: before, capacity }: { length: number; capacity: number },
    bytes: Uint8Array,
    pos: number,
  ): number {
    const { offset, after } = growth
    const expireAt = this.#found ? this.#verb.expireAt : 0
    const chain = capacity > 0 ? this.#home.contents.chainOf(this.#home.address) : new Chain()
    this.#chains.join(chain, growth.surrender())
    if (before > capacity) {
      this.#home.contents.read(this.#home.address, capacity, before - capacity, OWN_AT)
      this.#chains.write(chain, capacity, this.io.bytes, OWN_AT, before - capacity)
    } else {
      // What is left of its last page was not prepared.
      this.#chains.zero(chain, before, Math.min(capacity, offset) - before)
    }
    const source = growth.surrenderSource()
    if (source === null) {
      this.#chains.write(chain, offset, bytes, pos, growth.length)
    } else {
      const inside = Math.max(0, Math.min(capacity - offset, growth.length))
      this.#chains.writeChain(chain, offset, source, 0, inside)
      this.#chains.undo(source)
    }
    chain.length = after
    return this.#putChain(chain, expireAt)
  }

  #setExpiry(expireAt: number): number {
    const buckets = this.#home
    const length = this.#verb.valueLength
    if (buckets.setExpiryInPlace(this.#header, buckets.address, expireAt)) return STORED
    if (!this.#isLong(this.#verb.length + length)) {
      buckets.contents.read(buckets.address, 0, length, OWN_AT)
      return this.#put(this.io.bytes, OWN_AT, length, expireAt)
    }
    const chain = this.#thaw(length, true)
    return chain === null ? OUT_OF_MEMORY : this.#putChain(chain, expireAt)
  }

  /** The token of the current key's lease, as `lease` has it. */
  #lease(): number {
    const buckets = this.#home
    const address = buckets.findLease(this.#header)
    this.leasePlanted = address === 0
    if (address !== 0) return buckets.tokenOf(address)
    const token = this.#nextToken()
    return buckets.plant(this.#header, token) ? token : 0
  }

  #hasLease(token: number): boolean {
    const address = this.#home.findLease(this.#header)
    return address !== 0 && this.#home.tokenOf(address) === token
  }

  #nextToken(): number {
    if (this.#tokenNext === this.#tokenEnd) {
      const words = this.#arenas[0]!.words
      // Modulo 2^32; never block 0, for 0 is no token.
      const block = (Atomics.add(words, this.#layout.header + TOKEN_BLOCKS, 1) >>> 0) + 1
      this.#tokenNext = block * TOKENS_PER_BLOCK
      this.#tokenEnd = this.#tokenNext + TOKENS_PER_BLOCK
    }
    return this.#tokenNext++
  }

  #visit(buckets: Buckets, address: number, visit: KeyVisitor): void {
    const length = buckets.keyLength(address)
    const type = buckets.type(address)
    if (length > OWN_BYTES) {
      visit(buckets.contents.keyOf(address), 0, length, type)
    } else {
      buckets.contents.copyKey(address, OWN_AT)
      visit(this.io.bytes, OWN_AT, length, type)
    }
  }

  /** Number of the bucket that holds the key of this rank, counting through the buckets. */
  #bucketOfRank(db: number, rank: number): number {
    let before = 0
    for (let number = 0; number < this.#layout.buckets; number++) {
      before += this.#bucketsOf(number).size(this.#headerOf(number), db)
      if (before > rank) return number
    }
    return 0
  }

  /** Address of a visible key of db, searched from a slot in the middle on; 0: none. */
  #randomIn(buckets: Buckets, db: number, fraction: number): number {
    const header = this.#header
    if (buckets.size(header, db) === 0) return 0
    const slots = buckets.index.slots(header)
    const first = Math.floor(fraction * slots)
    for (let i = 0; i < slots; i++) {
      const address = buckets.index.address(header, (first + i) % slots)
      if (address !== 0 && buckets.isVisible(address, db)) return address
    }
    return 0
  }

  #sum(count: (buckets: Buckets, header: number) => number): number {
    let sum = 0
    for (let number = 0; number < this.#layout.buckets; number++) {
      sum += count(this.#bucketsOf(number), this.#headerOf(number))
    }
    return sum
  }
}

/** For tests: throws when parts of the store contradict each other. */
export function checkInvariants(store: Store): void {
  store.check()
}
