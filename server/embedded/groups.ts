/*
 * All groups of an embedded cache, and what they share: the loads of its store.
 *
 * The store may be replaced by another one (`cache.load`). Leases of the one before mean nothing there,
 * and a token of theirs may stand for another key; so the loads end with it, and begin anew.
 */
import { Loads, type Remains } from '../../cluster/loads/loads.ts'
import type { Timer } from '../../cluster/world.ts'
import {
  CacheGroup,
  type GroupHost,
  type GroupOptions,
  type GroupSupport,
  type Running,
} from './group.ts'
import { checkTag, FOR_EVER_MS, type Load, Source, SOURCE_OPTION_NAMES } from './load.ts'
import { groupOf } from './rules.ts'
import { LoadStore } from '../loads/load-store.ts'
import { type Flying, LookUp } from '../loads/look-up.ts'
import { typeName } from '../clients/passed.ts'
import { Patience } from '../../cluster/origin/patience.ts'
import type { Store } from '../store/store.ts'

/** Their shares are counted in memory that is made with the store. */
export const GROUPS_MAX = 256

/** As the server's groups. */
const NAME_LENGTH_MAX = 64
const COLON = 0x3a

export class CacheGroups implements GroupSupport {
  readonly host: GroupHost
  readonly #byName = new Map<string, CacheGroup<unknown>>()
  readonly #sources = new Map<string, Source<unknown>>()
  /** Null: nobody has asked a group for anything since the store was made. */
  #running: Running | null = null
  /** Who wait for loads. */
  #waiting = 0
  /** Keeps the process alive as long as anybody waits, which timers of the cache alone do not. */
  #vigil: Timer | null = null

  constructor(host: GroupHost) {
    this.host = host
  }

  /** See Cache.group. */
  add<Value>(name: string, given: GroupOptions<Value> | Load<Value>): CacheGroup<Value> {
    const { host } = this
    host.use()
    const ttl = host.ttl > FOR_EVER_MS ? Infinity : Math.ceil(host.ttl)
    const options = optionsOf(name, given)
    const group = groupOf(name, options, { ttl, others: SOURCE_OPTION_NAMES })
    if (this.#byName.has(name)) throw new TypeError(`group ${name} is given twice`)
    if (this.#byName.size === GROUPS_MAX) {
      throw new RangeError(`group ${name}: a cache can have ${GROUPS_MAX} groups`)
    }
    const { clock, random } = host
    // Whatever a function of the program's throws may be gone the next time.
    const patience = new Patience(group, { clock, random, judge: () => 'fleeting' })
    const source = new Source(group, options, patience)
    const waitMs = options.wait === undefined ? Infinity : group.waitMs
    const made = new CacheGroup(source, waitMs, this)
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
    const store = this.host.use()
    return (this.#running ??= this.#start(store))
  }

  enter(): void {
    if (this.#waiting++ === 0) this.#vigil = this.host.stayAlive()
  }

  leave(): void {
    if (--this.#waiting > 0) return
    this.#vigil?.cancel()
    this.#vigil = null
  }

  /** See Cache.invalidateTag. */
  invalidateTag(tag: string): void {
    checkTag('tags', tag)
    const store = this.host.use()
    store.invalidateTag(store.tagHash(Buffer.from(tag)))
  }

  /** Ends all loads; who waits for them hears `refusal`. The store may be another one afterwards. */
  stop(): void {
    void this.#running?.loads.close()
    this.#running = null
    for (const { patience } of this.#sources.values()) patience.reset()
  }

  #start(store: Store): Running {
    const { clock, random } = this.host
    const aside: Aside = (run) => this.host.aside(run)
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

/** The options that were given, perhaps as a function alone. Throws a TypeError. */
export function optionsOf<Value>(
  name: string,
  given: GroupOptions<Value> | Load<Value>,
): GroupOptions<Value> {
  if (typeof given === 'function') return { load: given }
  if (typeof given === 'object' && given !== null) return given
  throw new TypeError(
    `group ${name} wants options, { ttl: '5m', load: async (id) => ... }, but has ${typeName(given)}`,
  )
}
