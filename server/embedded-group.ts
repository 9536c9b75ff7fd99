/*
 * Groups of an embedded cache: `cache.group('user', { ttl: '5m', load })`. A value that is not in the
 * cache is loaded by a function of the program, once for all who ask.
 *
 *   get ── look ──> fresh, stale ─────────────────────────────────> decode ──> a value of the caller's own
 *           │                                                          ^
 *           └─ missing ──> lease ──> Loads ──> load() ──> encode ──> store, and everyone who waits
 *
 * It is the server's machinery, around another origin: the same leases in the same store, the same Loads
 * with its queue, deadline and fence (cluster/loads.ts), the same look at what is there (look-up.ts),
 * and rules that are those of a `group` directive (embedded-rules.ts). What a key waits for, and what it
 * is answered with, is therefore the same as over the wire.
 *
 * Values go through their codec both ways, also when they were loaded this very moment: what `get`
 * resolves to never depends on whether it was cached, and nobody shares an object with others who asked.
 */
import type { Group } from '../cluster/group.ts'
import { timesOf } from '../cluster/keeping.ts'
import { type Failure, Loads, type Outcome, type Remains } from '../cluster/loads.ts'
import type { Clock, Random, Timer } from '../cluster/world.ts'
import {
  checkedTags,
  checkTag,
  FOR_EVER_MS,
  freshMsOf,
  type Load,
  Source,
  SOURCE_OPTION_NAMES,
  type SourceOptions,
} from './embedded-load.ts'
import { groupOf, type GroupRuleOptions, type Time } from './embedded-rules.ts'
import { copyOpenValue, LoadStore } from './load-store.ts'
import { type Flying, LookUp, type Wanted } from './look-up.ts'
import { typeName } from './passed.ts'
import { Patience } from './patience.ts'
import type { Staging } from './staging.ts'
import { ABSENT, FRESH, NEGATIVE, STALE, STORED, type Store, TOO_MANY_TAGS } from './store/store.ts'

export interface GroupOptions<Value> extends GroupRuleOptions, SourceOptions<Value> {}

export interface GroupSetOptions {
  /** How long it is fresh. Default: the group's. */
  readonly ttl?: Time
  /** By which `invalidateTag` removes it. */
  readonly tags?: readonly string[]
}

/** Counted since the group was made, or the cache loaded. */
export interface GroupStats {
  /** Calls of `get` that found a fresh value ... */
  readonly hits: number
  /** ... a stale one, in the place of a failed or late load, too ... */
  readonly staleHits: number
  /** ... or that it was known that there is none. */
  readonly negativeHits: number
  /** Calls of `get` that found nothing, and waited for a load. */
  readonly misses: number
  /** Loads that were begun; some of them may wait for a place. */
  readonly loads: number
  /** Calls that found a load of their key under way: each is a load saved. */
  readonly shared: number
  /** Of the loads, those of a value that was there, for which nobody waited ... */
  readonly refreshes: number
  /** ... and of these, of one that was still fresh. */
  readonly early: number
  /** Loads that brought a value. */
  readonly values: number
  /** Loads that brought word that there is none. */
  readonly missing: number
  /** Loads whose value was not kept: it was set, deleted or invalidated meanwhile, or had no room. */
  readonly fenced: number
  /** Calls of `get` that ended before their load, because `wait` was over. */
  readonly late: number
  readonly errors: GroupErrors
  /** Is the loader left alone? 'half-open': one load may try. */
  readonly breaker: 'closed' | 'open' | 'half-open'
  /** Loads now: those that have a place ... */
  readonly active: number
  /** ... and those that wait for one. */
  readonly queued: number
  /** Of the cache's, what belongs to the group. */
  readonly keys: number
  readonly bytes: number
}

export interface GroupErrors {
  /** Loads whose function threw, in all tries, or gave what cannot be encoded. */
  readonly failed: number
  readonly timeout: number
  /** Loads that the breaker refused. */
  readonly breaker: number
  /** Calls, and refreshes in the background, for which the queue had no room. */
  readonly busy: number
}

/** The load took longer than the group's `timeout`. */
export class LoadTimeoutError extends Error {
  override readonly name = 'LoadTimeoutError'
  readonly code = 'LOAD_TIMEOUT'
}

/** As many loads are under way and waiting as the group's `concurrency` and `queue` allow. */
export class LoadBusyError extends Error {
  override readonly name = 'LoadBusyError'
  readonly code = 'LOAD_BUSY'
}

/** The loader failed too often, and is left alone for a while. */
export class BreakerOpenError extends Error {
  override readonly name = 'BreakerOpenError'
  readonly code = 'BREAKER_OPEN'
}

/** What groups ask of their cache. */
export interface GroupHost {
  readonly clock: Clock
  readonly random: Random
  /** Of the store there is now. */
  readonly staging: Staging
  /** Milliseconds; Infinity: for ever. What a group has if it does not say. */
  readonly ttl: number
  /** The store, as of this moment. Throws `refusal`. */
  use(): Store
  /** The cache is closed, or is being loaded. */
  refusal(): Error
  /** Why a write of so many bytes of key and value was refused. */
  noRoom(store: Store, bytes: number): Error
  /** Runs what must be done whatever is thrown by a listener to entries that go. */
  aside<T>(run: () => T): T
  /** Removes all keys that begin so. */
  invalidatePrefix(prefix: string): void
  /** Keeps the process alive until cancelled. */
  stayAlive(): Timer
}

/** An embedded cache has one database. */
const DB = 0

/** Their shares are counted in memory that is made with the store. */
export const GROUPS_MAX = 256

/** As the server's groups. */
const NAME_LENGTH_MAX = 64
const COLON = 0x3a

/** Prefix and id, in UTF-8. As the server's groups. */
const KEY_BYTES_MAX = 65_536

/** A group of an embedded cache. Made by `cache.group`. */
export class CacheGroup<Value> {
  readonly name: string
  /** What the group's keys begin with in the cache: its name and a colon. */
  readonly prefix: string
  readonly #groups: CacheGroups
  readonly #host: GroupHost
  readonly #group: Group
  readonly #source: Source<Value>
  readonly #waitMs: number

  /** For CacheGroups. */
  constructor(groups: CacheGroups, host: GroupHost, source: Source<Value>, waitMs: number) {
    this.name = source.group.name
    this.prefix = source.prefix
    this.#groups = groups
    this.#host = host
    this.#group = source.group
    this.#source = source
    this.#waitMs = waitMs
  }

  /**
   * The value, loaded if it is not there; undefined: there is no such thing. Rejects with what the
   * group's function or its codec threw, with LoadTimeoutError, LoadBusyError or BreakerOpenError, and
   * with CacheStateError when the cache is closed meanwhile.
   */
  async get(id: string): Promise<Value | undefined> {
    const { lookUp } = this.#groups.running()
    const key = this.#keyOf(id)
    const store = this.#stage(key)
    const { bytes, pos, keyLength } = this.#host.staging
    const state = lookUp.look(DB, bytes, pos, keyLength, this.#group)
    if (state === NEGATIVE) return undefined
    if (state === ABSENT) return this.#loaded(key)
    const value = this.#read(store, true)
    if (lookUp.isDue) {
      const isEarly = state === FRESH
      this.#host.aside(() => lookUp.refresh(DB, Buffer.from(key), this.#group, isEarly))
    }
    return this.#source.decode(value)
  }

  /** The value that is there, fresh or stale. Nothing is loaded, and it counts as no access. */
  peek(id: string): Value | undefined {
    const store = this.#stage(this.#keyOf(id))
    const { bytes, pos, keyLength } = this.#host.staging
    const state = store.state(DB, bytes, pos, keyLength)
    if (state !== FRESH && state !== STALE) return undefined
    return this.#source.decode(this.#read(store, false))
  }

  /**
   * Loads the value anew, or joins a load of it that is under way, and waits to its end. What is there
   * stays if the load fails, but is no answer: this rejects.
   */
  async refresh(id: string): Promise<Value | undefined> {
    const { lookUp } = this.#groups.running()
    const wanted = this.#wanted(this.#keyOf(id), Infinity)
    return this.#waited((done) => lookUp.reload(wanted, done))
  }

  /**
   * Stores a value, in place of the one before; a load that is under way does not undo it. A value that
   * finds no room in the group's share (`maxBytes`) goes at once.
   * @throws {TypeError} the value cannot be encoded
   * @throws {RangeError} it is too long, or has too many tags
   * @throws {OutOfMemoryError} nobody may be evicted for it; the key holds what it held
   */
  set(id: string, value: Value, options: GroupSetOptions = {}): this {
    const key = this.#keyOf(id)
    const tags = checkedTags(`group ${this.name}: tags`, options.tags ?? [])
    const times =
      options.ttl === undefined
        ? {}
        : { freshMs: freshMsOf(`group ${this.name}: ttl`, options.ttl) }
    const encoded = this.#encode(value)
    const bytes = Buffer.byteLength(key) + encoded.length
    const { loadStore } = this.#groups.running()
    const hasRoom = this.#host.aside(() => loadStore.makesRoom(this.#group, bytes))
    // Who was told of those that went may have used the cache.
    const store = this.#stage(key)
    if (!hasRoom) {
      this.#remove(store)
      return this
    }
    const result = this.#put(store, key, encoded, tags, times)
    if (result === TOO_MANY_TAGS) {
      throw new RangeError(`group ${this.name}: tags: there is room for ${store.tagsMax}`)
    }
    if (result !== STORED) throw this.#host.noRoom(store, bytes)
    return this
  }

  /** True if there was a value. What a load brings that is under way is not kept. */
  delete(id: string): boolean {
    return this.#remove(this.#stage(this.#keyOf(id)))
  }

  /**
   * Removes all values of the group, however many, before it returns. What loads bring that are under
   * way is not kept.
   */
  invalidate(): void {
    this.#host.invalidatePrefix(this.prefix)
  }

  /** Removes all values with this tag, those of other groups too: it is `cache.invalidateTag`. */
  invalidateTag(tag: string): void {
    this.#groups.invalidateTag(tag)
  }

  get stats(): GroupStats {
    const { store, loads, lookUp } = this.#groups.running()
    const { number } = this.#group
    const counters = loads.counters(this.#group)
    const { failed, module, timeout, breaker, busy } = counters.errors
    return {
      ...lookUp.hits(this.#group),
      ...{ loads: counters.loads, shared: counters.joined, early: counters.early },
      ...{ refreshes: counters.refreshes, values: counters.values, missing: counters.missing },
      ...{ fenced: counters.fenced, late: counters.late },
      errors: { failed: failed + module, timeout, breaker, busy },
      breaker: this.#source.patience.state,
      ...loads.underWay(this.#group),
      ...{ keys: store.groupKeys(number), bytes: store.groupBytes(number) },
    }
  }

  /* ---- private ---- */

  #keyOf(id: string): string {
    if (typeof id === 'string' && id !== '') {
      const key = this.prefix + id
      // No character has more than three bytes a unit.
      if (key.length * 3 <= KEY_BYTES_MAX || Buffer.byteLength(key) <= KEY_BYTES_MAX) return key
      throw new RangeError(`group ${this.name}: prefix and id are over ${KEY_BYTES_MAX} bytes`)
    }
    const is = id === '' ? 'empty' : `${typeName(id)}: try String(id)`
    throw new TypeError(
      `group ${this.name}: an id must be a string that is not empty, but is ${is}`,
    )
  }

  /** The store, and the key in the staging area. */
  #stage(key: string): Store {
    const store = this.#host.use()
    this.#host.staging.key(key)
    return store
  }

  /** A copy of the value of the staged key, which is fresh or stale. */
  #read(store: Store, isAccess: boolean): Buffer {
    const { bytes, pos, keyLength } = this.#host.staging
    if (isAccess) store.open(DB, bytes, pos, keyLength)
    else store.peek(DB, bytes, pos, keyLength)
    const value = copyOpenValue(store)
    store.close()
    return value
  }

  #remove(store: Store): boolean {
    const { bytes, pos, keyLength } = this.#host.staging
    return store.delete(DB, bytes, pos, keyLength)
  }

  #encode(value: Value): Buffer {
    if (value !== null && value !== undefined) return this.#source.encode(value)
    throw new TypeError(
      `group ${this.name}: ${String(value)} stands for "there is no such thing": delete the id instead`,
    )
  }

  #put(
    store: Store,
    key: string,
    value: Buffer,
    tags: readonly string[],
    said: { readonly freshMs?: number },
  ): number {
    const { staging, random } = this.#host
    const { number, idleMs } = this.#group
    const { expireAt, freshUntil, visibleUntil } = timesOf(
      { value, ...said },
      this.#group,
      store.now,
      random,
    )!
    staging.pair(key, value)
    const { bytes, pos, keyLength, valueLength } = staging
    staging.forget()
    const valueAt = pos + keyLength
    return store.setTagged(DB, bytes, pos, keyLength, valueAt, valueLength, expireAt, {
      ...{ freshUntil, visibleUntil, loadedAt: store.now, costMs: 0, birth: store.birth() },
      ...{ group: number, idleMs, etag: null },
      tags: tags.map((tag) => store.tagHash(Buffer.from(tag))),
    })
  }

  #loaded(key: string): Promise<Value | undefined> {
    const { lookUp } = this.#groups.running()
    const wanted = this.#wanted(key, this.#waitMs)
    return this.#waited((done) => lookUp.load(wanted, done))
  }

  #wanted(key: string, waitMs: number): Wanted {
    return { db: DB, key: Buffer.from(key), group: this.#group, waitMs }
  }

  #waited(ask: (done: (outcome: Outcome) => void) => void): Promise<Value | undefined> {
    const { vigil } = this.#groups
    return new Promise((resolve, reject) => {
      const done = (outcome: Outcome): void => {
        vigil.leave()
        try {
          resolve(this.#resultOf(outcome))
        } catch (error) {
          reject(error)
        }
      }
      vigil.enter()
      this.#host.aside(() => ask(done))
    })
  }

  #resultOf(outcome: Outcome): Value | undefined {
    if (outcome.kind === 'value') return this.#source.decode(outcome.value)
    if (outcome.kind === 'error') throw this.#errorOf(outcome)
    return undefined
  }

  /** What a caller is to hear: the error of the group's function is its own. */
  #errorOf({ line, reason, cause }: Failure): unknown {
    const { name, timeoutMs, concurrency, queueMax } = this.#group
    switch (reason) {
      case undefined:
        return this.#host.noRoom(this.#host.use(), 0)
      case 'closing':
        return this.#host.refusal()
      case 'timeout':
        return new LoadTimeoutError(`group ${name}: the load took longer than ${timeoutMs} ms`)
      case 'busy':
        return new LoadBusyError(
          `group ${name}: ${concurrency} loads are under way, and ${queueMax} wait for a place`,
        )
      case 'breaker':
        return new BreakerOpenError(
          `group ${name}: the loader failed too often and is left alone for a while`,
        )
      case 'module':
        return cause
      default:
        return new Error(line, { cause })
    }
  }
}

/** The store and what loads into it. */
interface Running {
  readonly store: Store
  readonly loadStore: LoadStore
  readonly loads: Loads
  readonly lookUp: LookUp
}

/** All groups of a cache. */
export class CacheGroups {
  /** Keeps the process alive for those who wait. */
  readonly vigil: Vigil
  readonly #host: GroupHost
  readonly #byName = new Map<string, CacheGroup<unknown>>()
  readonly #sources = new Map<string, Source<unknown>>()
  /** Null: nobody has asked a group for anything since the store was made. */
  #running: Running | null = null

  constructor(host: GroupHost) {
    this.vigil = new Vigil(() => host.stayAlive())
    this.#host = host
  }

  /** See Cache.group. */
  add<Value>(name: string, given: GroupOptions<Value> | Load<Value>): CacheGroup<Value> {
    const host = this.#host
    host.use()
    const ttl = host.ttl > FOR_EVER_MS ? Infinity : Math.ceil(host.ttl)
    const options = optionsOf(name, given, ttl)
    const group = groupOf(name, options, SOURCE_OPTION_NAMES)
    if (this.#byName.has(name)) throw new TypeError(`group ${name} is given twice`)
    if (this.#byName.size === GROUPS_MAX) {
      throw new RangeError(`group ${name}: a cache can have ${GROUPS_MAX} groups`)
    }
    const source = new Source(group, options, new Patience(group, host.clock, host.random))
    const waitMs = options.wait === undefined ? Infinity : group.waitMs
    const made = new CacheGroup(this, host, source, waitMs)
    group.enter(this.#byName.size)
    this.#byName.set(name, made)
    this.#sources.set(name, source)
    return made
  }

  get(name: string): CacheGroup<unknown> | undefined {
    return this.#byName.get(name)
  }

  /** The number of the group that the key at bytes[pos, pos + length) belongs to, -1: none. */
  numberOf(bytes: Uint8Array, pos: number, length: number): number {
    const colon = bytes.subarray(pos, pos + Math.min(length, NAME_LENGTH_MAX + 1)).indexOf(COLON)
    if (colon <= 0) return -1
    const name = Buffer.from(bytes.subarray(pos, pos + colon)).toString('latin1')
    return this.#sources.get(name)?.group.number ?? -1
  }

  /** What loads into the store there is now. */
  running(): Running {
    const store = this.#host.use()
    return (this.#running ??= this.#start(store))
  }

  /** See Cache.invalidateTag. */
  invalidateTag(tag: string): void {
    checkTag('tags', tag)
    const store = this.#host.use()
    store.invalidateTag(store.tagHash(Buffer.from(tag)))
  }

  /** Ends all loads; who waits for them hears `refusal`. The store may be another one afterwards. */
  stop(): void {
    void this.#running?.loads.close()
    this.#running = null
    for (const { patience } of this.#sources.values()) patience.reset()
  }

  #start(store: Store): Running {
    const { clock, random } = this.#host
    const aside: Aside = (run) => this.#host.aside(run)
    const loadStore = new AsideStore(store, aside)
    const loads = new Loads({
      ...{ clock, random, store: loadStore },
      loader: {
        load: (request) => this.#sources.get(request.group.name)!.load(request),
        close: () => Promise.resolve(),
      },
    })
    const flights: Flying = {
      wait: (miss, done) => loads.wait(miss, (outcome) => aside(() => done(outcome))),
      refresh: (miss, early) => loads.refresh(miss, early),
    }
    const lookUp = new LookUp({ store, clock, random, loads: flights })
    return { store, loadStore, loads, lookUp }
  }
}

type Aside = <T>(run: () => T) => T

/**
 * The store as loads see it. A load is nobody's who called: what a listener throws to whom it tells
 * that an entry has gone must not end it.
 */
class AsideStore extends LoadStore {
  readonly #aside: Aside

  constructor(store: Store, aside: Aside) {
    super(store)
    this.#aside = aside
  }

  override fill(...args: Parameters<LoadStore['fill']>): boolean {
    return this.#aside(() => super.fill(...args))
  }

  override hasLease(...args: Parameters<LoadStore['hasLease']>): boolean {
    return this.#aside(() => super.hasLease(...args))
  }

  override dropLease(...args: Parameters<LoadStore['dropLease']>): boolean {
    return this.#aside(() => super.dropLease(...args))
  }

  override etag(...args: Parameters<LoadStore['etag']>): string | null {
    return this.#aside(() => super.etag(...args))
  }

  override remains(...args: Parameters<LoadStore['remains']>): Remains | null {
    return this.#aside(() => super.remains(...args))
  }
}

/** Keeps the process alive as long as anybody waits: timers of the cache alone do not. */
class Vigil {
  readonly #begin: () => Timer
  #timer: Timer | null = null
  #waiting = 0

  constructor(begin: () => Timer) {
    this.#begin = begin
  }

  enter(): void {
    if (this.#waiting++ === 0) this.#timer = this.#begin()
  }

  leave(): void {
    if (--this.#waiting > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }
}

/** With the cache's ttl, if they do not say. */
function optionsOf<Value>(
  name: string,
  given: GroupOptions<Value> | Load<Value>,
  ttl: number,
): GroupOptions<Value> {
  if (typeof given === 'function') return { load: given, ttl }
  if (typeof given !== 'object' || given === null) {
    throw new TypeError(
      `group ${name} wants options, { ttl: '5m', load: async (id) => ... }, but has ${typeName(given)}`,
    )
  }
  return given.ttl === undefined ? { ...given, ttl } : given
}
