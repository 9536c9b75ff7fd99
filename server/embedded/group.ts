/*
 * Groups of an embedded cache: `cache.group('user', { ttl: '5m', load })`. A value that is not in the
 * cache is loaded by a function of the program, once for all who ask.
 *
 *   get ── look ──> fresh, stale ─────────────────────────────────> decode ──> a value of the caller's own
 *           │                                                          ^
 *           └─ missing ──> lease ──> Loads ──> load() ──> encode ──> store, and everyone who waits
 *
 * It is the server's machinery, around another origin: the same leases in the same store, the same Loads
 * with its queue, deadline and fence (cluster/loads/loads.ts), the same look at what is there
 * (server/loads/look-up.ts), and rules that are those of a `group` directive (rules.ts). What a key waits for, and what
 * it is answered with, is therefore the same as over the wire.
 *
 * Values go through their codec both ways, also when they were loaded this very moment: what `get`
 * resolves to never depends on whether it was cached, and nobody shares an object with others who asked.
 */
import type { Group } from '../../cluster/groups/group.ts'
import { timesOf } from '../../cluster/loads/keeping.ts'
import type { Failure, Loads, Outcome } from '../../cluster/loads/loads.ts'
import type { Clock, Random, Timer } from '../../cluster/world.ts'
import { BreakerOpenError, LoadBusyError, LoadTimeoutError } from './errors.ts'
import { checkedTags, freshMsOf, type Source, type SourceOptions } from './load.ts'
import type { GroupRuleOptions, Time } from './rules.ts'
import type { LoadStore } from '../loads/load-store.ts'
import type { LookUp, Wanted } from '../loads/look-up.ts'
import type { Staging } from '../clients/staging.ts'
import {
  ABSENT,
  ERROR_ONLY,
  FRESH,
  NEGATIVE,
  STALE,
  STORED,
  type Store,
  TOO_MANY_TAGS,
} from '../store/store.ts'

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
  /** A copy of the value of the store's open record. */
  copyOf(store: Store): Buffer
  /** Runs what must be done whatever is thrown by a listener to entries that go. */
  aside<T>(run: () => T): T
  /** Removes all keys that begin so. */
  invalidatePrefix(prefix: string): void
  /** Keeps the process alive until cancelled. */
  stayAlive(): Timer
}

/** The store there is, and what loads into it. */
export interface Running {
  readonly store: Store
  readonly loadStore: LoadStore
  readonly loads: Loads
  readonly lookUp: LookUp
}

/** What a group has in common with the others of its cache (groups.ts). */
export interface GroupSupport {
  readonly host: GroupHost
  /** Throws the host's `refusal`. */
  running(): Running
  /** Somebody waits, until the other is called. */
  enter(): void
  leave(): void
  invalidateTag(tag: string): void
}

/** An embedded cache has one database. */
export const DB = 0

/** A group of an embedded cache. Made by `cache.group`. */
export class CacheGroup<Value> {
  readonly name: string
  /** What the group's keys begin with in the cache: its name and a colon. */
  readonly prefix: string
  readonly #support: GroupSupport
  readonly #host: GroupHost
  readonly #group: Group
  readonly #source: Source<Value>
  readonly #waitMs: number

  /** For CacheGroups. */
  constructor(source: Source<Value>, waitMs: number, support: GroupSupport) {
    this.name = source.group.name
    this.prefix = source.prefix
    this.#support = support
    this.#host = support.host
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
    const { lookUp } = this.#support.running()
    const key = this.#source.keyOf(id)
    const store = this.#stage(key)
    const { bytes, pos, keyLength } = this.#host.staging
    const state = lookUp.look(DB, bytes, pos, keyLength, this.#group)
    if (state === NEGATIVE) return undefined
    if (state === ABSENT || state === ERROR_ONLY) return this.#loaded(key)
    const value = this.#read(store, true)
    if (lookUp.isDue) {
      const isEarly = state === FRESH
      this.#host.aside(() => lookUp.refresh(DB, Buffer.from(key), this.#group, isEarly))
    }
    return this.#source.decode(value)
  }

  /** The value that is there, fresh or stale. Nothing is loaded, and it counts as no access. */
  peek(id: string): Value | undefined {
    const store = this.#stage(this.#source.keyOf(id))
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
    const { lookUp } = this.#support.running()
    const wanted = this.#wanted(this.#source.keyOf(id), Infinity)
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
    const key = this.#source.keyOf(id)
    const tags = checkedTags(`group ${this.name}: tags`, options.tags ?? [])
    const times =
      options.ttl === undefined
        ? {}
        : { freshMs: freshMsOf(`group ${this.name}: ttl`, options.ttl) }
    const encoded = this.#source.encode(value)
    const bytes = Buffer.byteLength(key) + encoded.length
    const { loadStore } = this.#support.running()
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
    return this.#remove(this.#stage(this.#source.keyOf(id)))
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
    this.#support.invalidateTag(tag)
  }

  get stats(): GroupStats {
    return statsOf(this.#source, this.#support.running())
  }

  /* ---- private ---- */

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
    const value = this.#host.copyOf(store)
    store.close()
    return value
  }

  #remove(store: Store): boolean {
    const { bytes, pos, keyLength } = this.#host.staging
    return store.delete(DB, bytes, pos, keyLength)
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
    const { lookUp } = this.#support.running()
    const wanted = this.#wanted(key, this.#waitMs)
    return this.#waited((done) => lookUp.load(wanted, done))
  }

  #wanted(key: string, waitMs: number): Wanted {
    return { db: DB, key: Buffer.from(key), group: this.#group, waitMs }
  }

  #waited(ask: (done: (outcome: Outcome) => void) => void): Promise<Value | undefined> {
    const support = this.#support
    return new Promise((resolve, reject) => {
      const done = (outcome: Outcome): void => {
        support.leave()
        try {
          resolve(this.#resultOf(outcome))
        } catch (error) {
          reject(error)
        }
      }
      support.enter()
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

/** What was counted of a source's group. */
export function statsOf(
  { group, patience }: Pick<Source<unknown>, 'group' | 'patience'>,
  { store, loads, lookUp }: Pick<Running, 'store' | 'loads'> & { lookUp: Pick<LookUp, 'hits'> },
): GroupStats {
  const { number } = group
  const counters = loads.counters(group)
  const { failed, module, timeout, breaker, busy } = counters.errors
  return {
    ...lookUp.hits(group),
    ...{ loads: counters.loads, shared: counters.joined, early: counters.early },
    ...{ refreshes: counters.refreshes, values: counters.values, missing: counters.missing },
    ...{ fenced: counters.fenced, late: counters.late },
    errors: { failed: failed + module, timeout, breaker, busy },
    breaker: patience.state,
    ...loads.underWay(group),
    ...{ keys: store.groupKeys(number), bytes: store.groupBytes(number) },
  }
}
