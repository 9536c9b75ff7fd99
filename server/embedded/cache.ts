/*
 * The cache without a server: `import { createCache } from 'ringtier'`.
 *
 * It is the same store, with the same eviction, expiry and snapshots, in the process of whoever calls.
 * A key and a value go by the I/O memory of the store (server/clients/staging.ts), so a call allocates nothing
 * but what it gives back: `get` a copy, `getView` a view of the place the copy was made in.
 *
 *   caller ── key, value ──> scratch ── memory.copy ──> ring      set
 *   caller <── Buffer ────── reply area <── memory.copy ── ring   get; getView gives the area itself
 *
 * Two things go on between calls: expired entries are swept, and when `maxMemory` was lowered entries
 * are evicted. Whom `onEvicted` names is then told from a timer; what it throws there cannot reach any
 * caller and is thrown as an uncaught exception, apart from the timer's own work.
 *
 * Keys are hashed by TypeScript; WASM is loaded for the checksums of snapshots only. So a cache is
 * made without waiting, and only `save` and `load` are asynchronous.
 */
import { resolve } from 'node:path'
import type { Clock, Timer } from '../../cluster/world.ts'
import {
  BreakerOpenError,
  CacheStateError,
  ClusterError,
  GroupMissingError,
  LoadBusyError,
  LoadFailedError,
  LoadTimeoutError,
  NodeStateError,
  OutOfMemoryError,
} from './errors.ts'
import {
  type CacheGroup,
  DB,
  type GroupErrors,
  type GroupHost,
  type GroupOptions,
  type GroupSetOptions,
  type GroupStats,
} from './group.ts'
import { CacheGroups, GROUPS_MAX } from './groups.ts'
import { PrefixInvalidation } from './invalidation.ts'
import type { Codec, Load, LoadContext } from './load.ts'
import { type CacheNode, createNode, type NodeMember } from './node.ts'
import type { NodeGroup } from './node-group.ts'
import type { NodeOptions, NodeTlsOptions } from './node-options.ts'
import type { BreakerOptions, GroupRuleOptions, Time } from './rules.ts'
import type { ServerWorld } from '../snapshots/files.ts'
import {
  checkEviction,
  checkNames,
  inOurWords,
  memoryOf,
  type Size,
  typeName,
} from '../clients/passed.ts'
import { DEFAULT_POLICY_NAME, meaningOf, type PolicyName } from '../memory/policies.ts'
import { Shrinker } from '../memory/shrinker.ts'
import { loadChecksum } from '../snapshots/snapshot-file.ts'
import {
  nothingLoaded,
  openSnapshot,
  readSnapshot,
  removeLeftovers,
  writeSnapshot,
} from '../snapshots/snapshot-transfer.ts'
import { Staging } from '../clients/staging.ts'
import type { RemovalListener as StoreRemovalListener, StoreOptions } from '../store/store.ts'
import { IN_PAGES, MISS, OUT_OF_MEMORY, STORED, Store, VALUE_BYTES_MAX } from '../store/store.ts'
import { shareGroupUsage } from '../store/usage.ts'
import { Sweeper } from '../memory/sweeper.ts'
import { createSystemWorld, holdProcess } from '../system.ts'

export { BreakerOpenError, CacheStateError, LoadBusyError, LoadTimeoutError, OutOfMemoryError }
export { ClusterError, createNode, GroupMissingError, LoadFailedError, NodeStateError }
export type { CacheNode, NodeGroup, NodeMember, NodeOptions, NodeTlsOptions }
export type { BreakerOptions, CacheGroup, Codec, GroupErrors, GroupOptions, GroupRuleOptions }
export type { GroupSetOptions, GroupStats, Load, LoadContext, Size, Time }

/** A key: a string stands for its UTF-8, so `'a'` and `Buffer.from('a')` are one key. */
export type Key = string | Uint8Array

/** What is stored is bytes; a string stands for its UTF-8. */
export type Value = string | Uint8Array

/** Which entries go when memory is full, by the names of `maxmemory-policy` (docs/eviction.md). */
export type Eviction = PolicyName

/** Why an entry is gone: memory was short, its time was over, or it was deleted or replaced. */
export type RemovalReason = 'evicted' | 'expired' | 'deleted' | 'overwritten'

/** Key and value are copies and belong to the listener. */
export type RemovalListener = (key: Buffer, value: Buffer, reason: RemovalReason) => void

export interface CacheOptions {
  /** Everything the cache stores is in so much memory: keys, values, index. At least '2mb'. */
  readonly maxMemory: Size
  /**
   * What `cache.maxMemory` can be raised to later. It takes address space, and memory only as it is
   * used. Default: maxMemory.
   */
  readonly maxMemoryCeiling?: Size
  /** Default: 's3a'. */
  readonly eviction?: Eviction
  /** Milliseconds that entries live if `set` does not say otherwise. Default: for ever. */
  readonly ttl?: number
  /**
   * Is told of each entry that is gone, before the call that made it go returns. It may use the
   * cache. What it throws is thrown by that call, which has done its work all the same.
   */
  readonly onEvicted?: RemovalListener
  /**
   * An integer from 0 to 2^32 - 1. Default: a random one, so that nobody can choose keys that fall
   * together.
   */
  readonly hashSeed?: number
  /** Milliseconds that never go back, for tests. Default: the process's monotonic clock. */
  readonly now?: () => number
}

export interface SetOptions {
  /** Milliseconds to live, over 0; Infinity: for ever. Default: the cache's `ttl`. */
  readonly ttl?: number
}

/** Counted since the cache was made or loaded. */
export interface CacheStats {
  /** Entries now; such that have expired and were not met since are among them. */
  readonly entries: number
  /** Of these, with a time to live. */
  readonly entriesWithTtl: number
  /** Calls of `get`, `getString` and `getView` that found their key, and that did not. */
  readonly hits: number
  readonly misses: number
  readonly sets: number
  readonly evicted: number
  readonly expired: number
  /** Bytes in use now, of `maxMemory`: entries, index, and room that waits for the next ones. */
  readonly bytesUsed: number
  readonly maxMemory: number
  readonly maxMemoryCeiling: number
  /** The most that was ever in use: the process keeps it until the cache is closed. */
  readonly bytesTouched: number
  /** Bytes to be evicted because maxMemory was lowered. */
  readonly bytesExcess: number
}

/** What a `save` wrote. */
export interface SaveResult {
  readonly entries: number
  /** Length of the file. */
  readonly bytes: number
}

/** What a `load` brought. */
export interface LoadResult {
  readonly entries: number
  /** Entries whose time was over, and which are left out. */
  readonly expired: number
  /** Entries known to be lost: their part of the file is damaged, or memory is too small. */
  readonly lost: number
  /** Parts of the file that are damaged, and were left out. */
  readonly damagedParts: number
  /** Does the file end too early? */
  readonly isCutOff: boolean
}

/**
 * Makes a cache.
 * @throws {TypeError} an option has the wrong type, or there is none of this name
 * @throws {RangeError} an option is out of its limits, or the system does not give the memory
 */
export function createCache(options: CacheOptions): Cache {
  return new Cache(options, { ...createSystemWorld(), stayAlive: holdProcess })
}

/** What a cache asks of the outside. */
export interface CacheWorld extends Pick<ServerWorld, 'clock' | 'random' | 'files'> {
  /** Keeps the process alive until cancelled, as timers of the clock do not. */
  readonly stayAlive?: () => Timer
}

const optionNames = [
  'maxMemory',
  'maxMemoryCeiling',
  'eviction',
  'ttl',
  'onEvicted',
  'hashSeed',
  'now',
] as const satisfies readonly (keyof CacheOptions)[]

/** As little of the CPU as a server gives it at the least. */
const sweeping = { 'active-expire-effort': 1 } as const

/** Index slots that an iterator looks at in one go: so many keys it has in hand. */
const slotsPerScan = 256

/** 143,000 years. Sums with the clock are exact up to here. */
const TTL_MS_MAX = 2 ** 52

const HASH_SEED_MAX = 2 ** 32 - 1

/** A store and what is done with it between calls. */
interface Engine {
  readonly store: Store
  readonly staging: Staging
  readonly shrinker: Shrinker
  readonly sweeper: Sweeper
  readonly invalidation: PrefixInvalidation
}

/** A cache in this process. Made by `createCache`. */
export class Cache {
  readonly #world: CacheWorld
  readonly #clock: Clock
  /** Of the first moment: the layout of the memory follows from them. */
  readonly #sizes: { readonly maxMemory: number; readonly ceiling: number }
  readonly #ttl: number
  readonly #seedIsGiven: boolean
  readonly #listener: RemovalListener | null
  #eviction: Eviction
  #state: 'open' | 'loading' | 'closed' = 'open'
  /** Null: closed. */
  #engine: Engine | null
  /** Null unless the state is open: what every verb looks at. */
  #store: Store | null
  #staging: Staging
  /** Where values are copied to. */
  readonly #valueAt: number
  readonly #sink: { reserve(): number }
  readonly #groups: CacheGroups
  #isBackground = false
  #saving: Promise<unknown> = Promise.resolve()

  /** Tests hand in a world of their own; others call `createCache`. */
  constructor(options: CacheOptions, world: CacheWorld) {
    checkOptions(options)
    const { eviction = DEFAULT_POLICY_NAME, hashSeed, now, onEvicted, ttl } = options
    const maxMemory = memoryOf('maxMemory', options.maxMemory)
    const ceiling = memoryOf('maxMemoryCeiling', options.maxMemoryCeiling ?? maxMemory)
    this.#world = world
    this.#clock = now === undefined ? world.clock : changed(world.clock, { now })
    this.#sizes = { maxMemory, ceiling }
    this.#ttl = ttl === undefined ? Infinity : checkedTtl(ttl)
    this.#seedIsGiven = hashSeed !== undefined
    this.#listener = onEvicted ?? null
    this.#eviction = eviction
    const seed = hashSeed ?? world.random.uint32()
    this.#engine = this.#start({ seed, ...meaningOf(eviction) })
    this.#store = this.#engine.store
    this.#staging = this.#engine.staging
    const valueAt = this.#store.io.replies[0]!
    this.#valueAt = valueAt
    this.#sink = { reserve: () => valueAt }
    this.#groups = new CacheGroups(this.#hostOfGroups())
  }

  /* ---- one key ---- */

  /**
   * Stores a value, in place of the one before; where memory is full others go for it.
   * @throws {RangeError} the value is longer than about half of maxMemory, or than 512 MB
   * @throws {OutOfMemoryError} nobody may be evicted for it; the key holds what it held
   */
  set(key: Key, value: Value, options?: SetOptions): this {
    checkBytes('key', key)
    checkBytes('value', value)
    const ttl = options?.ttl === undefined ? this.#ttl : checkedTtl(options.ttl)
    const store = this.#use()
    const staging = this.#staging
    staging.pair(key, value)
    const { bytes, pos, keyLength, valueLength } = staging
    staging.forget()
    const expireAt = ttl === Infinity ? 0 : Math.ceil(store.now + ttl)
    const result = store.set(DB, bytes, pos, keyLength, pos + keyLength, valueLength, expireAt)
    if (result !== STORED) throw noRoom(store, keyLength + valueLength)
    return this
  }

  /** A copy of the value, which is the caller's; undefined: there is none. */
  get(key: Key): Buffer | undefined {
    const length = this.#look(key)
    if (length === MISS) return undefined
    if (length === IN_PAGES) return this.#at(key, true, fromPages)
    const copy = Buffer.allocUnsafe(length)
    this.#staging.io.copy(copy, 0, this.#valueAt, this.#valueAt + length)
    return copy
  }

  /** The value read as UTF-8. */
  getString(key: Key): string | undefined {
    const length = this.#look(key)
    if (length === MISS) return undefined
    if (length === IN_PAGES) return this.#at(key, true, fromPages)?.toString()
    return this.#staging.io.toString('utf8', this.#valueAt, this.#valueAt + length)
  }

  /**
   * The value without a copy for the caller: a view that is valid until the next call of any method
   * of this cache, by whomever, so no longer than until the next `await`; then other bytes stand
   * there. Writing to it changes nothing in the cache. A value over 64 KB comes as a copy.
   */
  getView(key: Key): Buffer | undefined {
    const length = this.#look(key)
    if (length === MISS) return undefined
    if (length === IN_PAGES) return this.#at(key, true, fromPages)
    return this.#staging.io.subarray(this.#valueAt, this.#valueAt + length)
  }

  /** As `get`, but the question counts as no access: neither for eviction nor for the stats. */
  peek(key: Key): Buffer | undefined {
    return this.#at(key, false, (store) => this.#copyOf(store))
  }

  /** Is there such a key? Counts as no access. */
  has(key: Key): boolean {
    const store = this.#stage(key)
    const { bytes, pos, keyLength } = this.#staging
    return store.has(DB, bytes, pos, keyLength)
  }

  /** True if there was such a key. */
  delete(key: Key): boolean {
    const store = this.#stage(key)
    const { bytes, pos, keyLength } = this.#staging
    return store.delete(DB, bytes, pos, keyLength)
  }

  /** Counts as an access, which keeps the entry from eviction. True if there is such a key. */
  touch(key: Key): boolean {
    return this.#at(key, true, () => true) ?? false
  }

  /**
   * Whole milliseconds that the entry still has; Infinity: it lives for ever; undefined: there is no
   * such key. Counts as no access.
   */
  ttl(key: Key): number | undefined {
    return this.#at(key, false, ({ expireAt, now }) =>
      expireAt === 0 ? Infinity : Math.floor(expireAt - now),
    )
  }

  /**
   * Gives the entry so many milliseconds from now, Infinity: for ever. True if there is such a key.
   * Counts as an access.
   * @throws {OutOfMemoryError} nobody may be evicted for the 8 bytes that a time takes
   */
  expire(key: Key, ttl: number): boolean {
    checkedTtl(ttl)
    const result = this.#at(key, true, (store) =>
      store.setExpiry(ttl === Infinity ? 0 : Math.ceil(store.now + ttl)),
    )
    if (result === OUT_OF_MEMORY) throw noRoom(this.#use(), 0)
    return result !== undefined
  }

  /** Bytes of `maxMemory` that the entry takes, its place in the index included. */
  bytesOf(key: Key): number | undefined {
    return this.#at(key, false, (store) => store.occupiedBytes)
  }

  /* ---- all of them ---- */

  /** Entries; such that have expired and were not met since are counted. Adds up 512 numbers. */
  get size(): number {
    return this.#use().size(DB)
  }

  /** Removes everything. */
  clear(): void {
    this.#use().flush(-1)
  }

  /**
   * The keys, in no order. The cache may change meanwhile: what is there all the time comes once,
   * what comes or goes meanwhile may come or not. Keys are read as UTF-8 unless 'buffer' is asked for.
   */
  keys(): IterableIterator<string>
  keys(encoding: 'buffer'): IterableIterator<Buffer>
  keys(encoding?: 'buffer'): IterableIterator<string | Buffer> {
    checkEncoding(encoding)
    this.#use()
    return encoding === 'buffer' ? this.#scan() : this.#names()
  }

  /** The same with a copy of each value. Counts as no access. */
  entries(): IterableIterator<[string, Buffer]>
  entries(encoding: 'buffer'): IterableIterator<[Buffer, Buffer]>
  entries(encoding?: 'buffer'): IterableIterator<[string | Buffer, Buffer]> {
    checkEncoding(encoding)
    this.#use()
    return this.#pairs(encoding === 'buffer')
  }

  [Symbol.iterator](): IterableIterator<[string, Buffer]> {
    return this.entries()
  }

  /** Adds up the counters of 512 buckets: for monitoring, not for each request. */
  stats(): CacheStats {
    const all = this.#use().stats
    return {
      entries: all.entries,
      entriesWithTtl: all.expiring,
      hits: all.hits,
      misses: all.gets - all.hits,
      sets: all.sets,
      evicted: all.evicted,
      expired: all.expiredLazily + all.expiredActively,
      bytesUsed: all.usedBytes,
      maxMemory: all.maxMemory,
      maxMemoryCeiling: all.ceiling,
      bytesTouched: all.touchedBytes,
      bytesExcess: all.excessBytes,
    }
  }

  /* ---- groups ---- */

  /**
   * Makes a group: values that are not there are loaded by a function, once for all who ask. Its keys
   * are those that begin with its name and a colon: `cache.get('user:42')` sees the bytes of what
   * `users.get('42')` gives.
   * @throws {TypeError} an option has the wrong type, there is none of this name, or `load` is missing;
   *   or there is a group of this name
   * @throws {RangeError} an option, or the name, is out of its limits
   */
  group<T>(name: string, options: GroupOptions<T> | Load<T>): CacheGroup<T> {
    return this.#groups.add(name, options)
  }

  /** The group that was made with this name; undefined: there is none. */
  getGroup<T = unknown>(name: string): CacheGroup<T> | undefined {
    return this.#groups.get(name) as CacheGroup<T> | undefined
  }

  /** Removes all values that were given this tag, in all groups, however many, before it returns. */
  invalidateTag(tag: string): void {
    this.#groups.invalidateTag(tag)
  }

  /* ---- settings ---- */

  /** Bytes. */
  get maxMemory(): number {
    return this.#use().maxMemory
  }

  /**
   * Raised at once, up to `maxMemoryCeiling`. Lowered at once too: nothing is added beyond it from
   * then on, and what is too much is evicted between events, in slices of 2 ms.
   * @throws {RangeError} beyond the ceiling, or less than the store can work with
   */
  set maxMemory(size: Size) {
    const bytes = memoryOf('maxMemory', size)
    const store = this.#use()
    const { ceiling } = this.#sizes
    if (bytes > ceiling) {
      throw new RangeError(
        `maxMemory can be raised to ${ceiling} bytes: make the cache with a larger maxMemoryCeiling to go beyond`,
      )
    }
    inOurWords(() => store.setMaxMemory(bytes))
    this.#engine!.shrinker.start()
  }

  get eviction(): Eviction {
    return this.#eviction
  }

  /**
   * Takes effect with the next entry that has to go.
   * @throws {RangeError} from or to 'lru' or 'second-chance', which keep bytes with each entry
   */
  set eviction(name: Eviction) {
    checkEviction(name)
    const store = this.#use()
    const { policy, scope } = meaningOf(name, store.policyIsFixed ? store.policy : null)
    if (!store.setPolicy(policy, scope)) {
      const fixed = store.policyIsFixed ? store.policy : policy
      throw new RangeError(
        `eviction '${fixed}' keeps bytes with each entry, so it is chosen, and left, by createCache only; this cache has '${this.#eviction}'`,
      )
    }
    this.#eviction = name
  }

  /* ---- files ---- */

  /**
   * Writes all entries to a file, which takes the place of the one before when it is on the disk.
   * The cache may be used meanwhile. A save waits for the one before. docs/snapshot.md says what is
   * promised; a server with the same `dbfilename` reads it too.
   * Rejects with the system's error (`code` ENOSPC, EACCES ...), or with code ABORTED when the cache
   * is closed meanwhile; the file before stays then.
   */
  async save(path: string): Promise<SaveResult> {
    checkPath(path)
    this.#use()
    const saved = this.#saving.then(async () => {
      const checksum = await loadChecksum()
      const parts = { ...this.#world, clock: this.#clock, store: this.#use(), checksum }
      return writeSnapshot(resolve(path), parts, () => this.#state === 'closed')
    })
    this.#saving = saved.catch(() => {})
    const { keys, bytes } = await saved
    return { entries: keys, bytes }
  }

  /**
   * Reads a file that `save` or a server has written; undefined: there is none. The cache must be
   * empty, and no other method may be called until it has resolved; who waits for a load hears an
   * error. Damage costs what it touches, and is counted in the result. Unless `hashSeed` was given, the one of the file is taken over:
   * with it entries need not be stored one by one. The stats begin anew.
   * Rejects with code SNAPSHOT when the file cannot be read or is none.
   */
  async load(path: string): Promise<LoadResult | undefined> {
    checkPath(path)
    if (this.#use().size(DB) > 0) {
      throw new CacheStateError('a snapshot is loaded into an empty cache: call clear() before')
    }
    this.#state = 'loading'
    this.#store = null
    this.#groups.stop()
    try {
      return await this.#load(resolve(path))
    } finally {
      if (this.#engine !== null) {
        this.#state = 'open'
        this.#store = this.#engine.store
      }
    }
  }

  /**
   * Ends the cache: its timers stop, who waits for a load hears an error, and its memory is collected
   * some time after the cache itself is let go of. No other method may be called after. Nobody is told
   * of the entries that were in it.
   */
  close(): void {
    if (this.#engine === null) return
    this.#state = 'closed'
    this.#groups.stop()
    halt(this.#engine)
    this.#engine = null
    this.#store = null
  }

  /* ---- private ---- */

  /** The store, for a verb: as it is at this moment. */
  #use(): Store {
    const store = this.#store
    if (store === null) throw this.#refusal()
    store.now = this.#clock.now()
    return store
  }

  #refusal(): CacheStateError {
    return new CacheStateError(
      this.#state === 'closed'
        ? 'the cache is closed'
        : 'the cache is being loaded: wait for the promise of load() before it is used',
    )
  }

  #hostOfGroups(): GroupHost {
    const staging = (): Staging => this.#staging
    return {
      ...{ clock: this.#clock, random: this.#world.random, ttl: this.#ttl, noRoom },
      use: () => this.#use(),
      refusal: () => this.#refusal(),
      copyOf: (store) => this.#copyOf(store),
      aside: (run) => this.#aside(run),
      invalidatePrefix: (prefix) => {
        this.#use()
        this.#aside(() => this.#engine!.invalidation.begin(prefix))
      },
      stayAlive: () => this.#world.stayAlive?.() ?? { cancel: () => {} },
      get staging() {
        return staging()
      },
    }
  }

  /** The store, and the key in `#staging`. */
  #stage(key: Key): Store {
    checkBytes('key', key)
    const store = this.#use()
    this.#staging.key(key)
    return store
  }

  /** Copies the value to `#valueAt` and returns its length, or MISS or IN_PAGES. */
  #look(key: Key): number {
    const store = this.#stage(key)
    const { bytes, pos, keyLength } = this.#staging
    return store.get(DB, bytes, pos, keyLength, this.#sink)
  }

  /** Asks something of the key's open record; undefined: there is no such key. */
  #at<T>(key: Key, isAccess: boolean, ask: (store: Store) => T): T | undefined {
    const store = this.#stage(key)
    const { bytes, pos, keyLength } = this.#staging
    const found = isAccess
      ? store.open(DB, bytes, pos, keyLength)
      : store.peek(DB, bytes, pos, keyLength)
    try {
      return found ? ask(store) : undefined
    } finally {
      store.close()
    }
  }

  /** Of the open value. */
  #copyOf(store: Store): Buffer {
    if (store.inPages) return fromPages(store)
    const length = store.valueLength
    store.read(0, length, this.#valueAt)
    return Buffer.from(this.#staging.io.subarray(this.#valueAt, this.#valueAt + length))
  }

  *#scan(): Generator<Buffer, void> {
    let cursor = 0
    do {
      const keys: Buffer[] = []
      cursor = this.#use().scan(DB, cursor, slotsPerScan, (bytes, pos, length) => {
        keys.push(Buffer.from(bytes.subarray(pos, pos + length)))
      })
      yield* keys
    } while (cursor !== 0)
  }

  *#names(): Generator<string, void> {
    for (const key of this.#scan()) yield key.toString()
  }

  *#pairs<K extends string | Buffer>(asBuffer: boolean): Generator<[K, Buffer], void> {
    for (const key of this.#scan()) {
      const value = this.peek(key)
      if (value !== undefined) yield [(asBuffer ? key : key.toString()) as K, value]
    }
  }

  async #load(path: string): Promise<LoadResult | undefined> {
    const { files } = this.#world
    const parts = { files, checksum: await loadChecksum(), databaseCount: 1 }
    // They can be in nobody's way: who cannot look for them, or remove them, reads all the same.
    await removeLeftovers(path, files, { removed: () => {}, failed: () => {} })
    const reader = await openSnapshot(path, parts, 'move it away, or load another one')
    if (reader === null) return undefined
    this.#reseed(reader.facts.seed)
    if (this.#engine === null) await reader.close()
    const loaded = nothingLoaded()
    if (this.#engine !== null) {
      const { store } = this.#engine
      await readSnapshot(reader, { store, clock: this.#clock }, loaded, {
        isAborted: () => this.#state === 'closed',
        progress: () => {},
        damage: () => {},
        cutOff: () => {},
      })
    }
    if (this.#state === 'closed') throw this.#refusal()
    const { keys, expired, lostKeys, damagedRecords, isCutOff } = loaded
    return { entries: keys, expired, lost: lostKeys, damagedParts: damagedRecords, isCutOff }
  }

  /** Goes on with an empty store that hashes as a file does, so that its images fit. */
  #reseed(seed: number): void {
    const before = this.#engine
    if (before === null || this.#seedIsGiven || before.store.shape.seed === seed) return
    const { policy, scope, maxMemory } = before.store
    halt(before)
    this.#engine = this.#start({ seed, policy, scope })
    this.#engine.store.setMaxMemory(maxMemory)
    this.#staging = this.#engine.staging
  }

  /** @throws {RangeError} the sizes are out of their limits, or the system gives no memory */
  #start(settings: Pick<StoreOptions, 'seed'> & ReturnType<typeof meaningOf>): Engine {
    const options = {
      ...{ ...this.#sizes, ...settings, databases: 1, groupUsage: shareGroupUsage(GROUPS_MAX) },
      groupOf: (bytes: Uint8Array, pos: number, length: number) =>
        this.#groups.numberOf(bytes, pos, length),
    }
    const listener = this.#listener
    const onRemoved: StoreRemovalListener = (reason, _db, key, value) =>
      this.#tell(bufferOf(key), bufferOf(value), reason)
    const store = inOurWords(
      () => new Store(listener === null ? options : { ...options, onRemoved }),
    )
    store.now = this.#clock.now()
    const clock = changed(this.#clock, {
      after: (ms, run) => this.#clock.after(ms, () => this.#aside(run)),
      every: (ms, run) => this.#clock.every(ms, () => this.#aside(run)),
      soon: (run) => this.#clock.soon(() => this.#aside(run)),
    })
    return {
      store,
      staging: new Staging(store.io),
      shrinker: new Shrinker(store, clock),
      sweeper: new Sweeper(store, sweeping, clock),
      invalidation: new PrefixInvalidation(store, DB, clock),
    }
  }

  /** Runs what no caller waits for, or what must be done whatever a listener throws. */
  #aside<T>(run: () => T): T {
    const before = this.#isBackground
    this.#isBackground = true
    try {
      return run()
    } finally {
      this.#isBackground = before
    }
  }

  #tell(key: Buffer, value: Buffer, reason: RemovalReason): void {
    if (!this.#isBackground && this.#state !== 'loading') {
      this.#listener!(key, value, reason)
      return
    }
    try {
      this.#listener!(key, value, reason)
    } catch (error) {
      this.#clock.soon(() => {
        throw error
      })
    }
  }
}

function halt({ shrinker, sweeper, invalidation }: Engine): void {
  shrinker.stop()
  sweeper.stop()
  invalidation.stop()
}

/** Another clock that differs in these. */
function changed(clock: Clock, changes: Partial<Clock>): Clock {
  return {
    now: () => clock.now(),
    wall: () => clock.wall(),
    micros: () => clock.micros(),
    after: (delayMs, run) => clock.after(delayMs, run),
    every: (periodMs, run) => clock.every(periodMs, run),
    soon: (run) => clock.soon(run),
    ...changes,
  }
}

/** A copy of an open value that is long. */
function fromPages(store: Store): Buffer {
  const pages = store.pin()
  try {
    return pages.toBuffer()
  } finally {
    pages.release()
  }
}

/** The same bytes. */
function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length)
}

/** Why a write of so many bytes of key and value was refused. */
function noRoom(store: Store, bytes: number): Error {
  const half = Math.floor(store.maxMemory / 2)
  // Where everybody may go, there is room for whatever is not too long in itself.
  if (store.scope === 'all' || bytes > Math.min(half, VALUE_BYTES_MAX)) {
    return new RangeError(
      `key and value are ${bytes} bytes: an entry can take up to about half of maxMemory, here ${half} bytes, and never over 512 MB`,
    )
  }
  return new OutOfMemoryError(
    store.scope === 'none'
      ? "memory is full, and eviction 'noeviction' lets nobody go: delete something, raise maxMemory, or choose another eviction"
      : 'memory is full, and no entry with a time to live is left that could go: delete something, raise maxMemory, or choose another eviction',
  )
}

/* ---- what callers pass ---- */

function checkBytes(what: 'key' | 'value', bytes: unknown): void {
  if (typeof bytes === 'string' || bytes instanceof Uint8Array) return
  const hint = what === 'key' ? 'String(key)' : 'JSON.stringify(value) or String(value)'
  throw new TypeError(
    `a ${what} must be a string or a Uint8Array, but is ${typeName(bytes)}: try ${hint}`,
  )
}

function checkPath(path: unknown): void {
  if (typeof path === 'string' && path !== '') return
  throw new TypeError(`a path must be a string that is not empty, but is ${typeName(path)}`)
}

function checkEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding === 'buffer') return
  throw new TypeError(`the encoding can be 'buffer' or left out, but is ${encoding}`)
}

function checkedTtl(ttl: unknown): number {
  if (typeof ttl !== 'number') {
    throw new TypeError(`ttl must be a number of milliseconds, but is ${typeName(ttl)}`)
  }
  if (ttl > 0 && (ttl <= TTL_MS_MAX || ttl === Infinity)) return ttl
  throw new RangeError(
    `ttl must be over 0 and at most ${TTL_MS_MAX} milliseconds, or Infinity, but is ${ttl}`,
  )
}

function checkOptions(options: CacheOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError("createCache wants options: createCache({ maxMemory: '256mb' })")
  }
  checkNames('createCache', options, optionNames)
  const { eviction, hashSeed, now, onEvicted } = options
  if (eviction !== undefined) checkEviction(eviction)
  for (const [name, run] of Object.entries({ now, onEvicted })) {
    if (run === undefined || typeof run === 'function') continue
    throw new TypeError(`${name} must be a function, but is ${typeName(run)}`)
  }
  if (hashSeed === undefined) return
  if (!Number.isInteger(hashSeed) || hashSeed < 0 || hashSeed > HASH_SEED_MAX) {
    throw new RangeError(
      `hashSeed must be an integer from 0 to ${HASH_SEED_MAX}, but is ${String(hashSeed)}`,
    )
  }
}
