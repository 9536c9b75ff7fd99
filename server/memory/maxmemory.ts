/**
 * maxmemory and its policy, at the start and while the server runs.
 *
 * CONFIG SET raises maxmemory at once, up to `maxmemory-ceiling`, for which the store has address
 * space. It lowers it at once too: nobody gets more memory from then on, and what is too much is
 * evicted between events (shrinker.ts).
 *
 * The system keeps what the store has touched: WebAssembly's memory cannot be given back. INFO shows
 * both, used and touched.
 */
import type { Groups } from '../../cluster/groups/group.ts'
import { sizeText } from '../../cluster/groups/size.ts'
import { keySlot } from '../../cluster/slots.ts'
import type { Clock } from '../../cluster/world.ts'
import type { Config } from '../config.ts'
import { databasesOf } from '../copies/database.ts'
import { BadValue } from '../config/kinds.ts'
import type { Log } from '../log.ts'
import { meaningOf, type PolicyName, policyNotice } from './policies.ts'
import { Shrinker } from './shrinker.ts'
import {
  type MatcherOf,
  shareInvalidations,
  shareWatches,
  Store,
  type StoreOptions,
} from '../store/store.ts'
import { shareGroupUsage } from '../store/usage.ts'

/** Threads that share the store and the counters: the workers and the hub, or the only one there is. */
export function sharingThreads({ threads }: Config): number {
  return threads === 1 ? 1 : threads + 1
}

/** A store, and the options with which other threads attach to it. */
export interface OpenedStore {
  readonly store: Store
  readonly options: StoreOptions
}

/**
 * The store that the configuration wants. Where the system does not give address space for the
 * ceiling, and nobody asked for that ceiling, maxmemory is the ceiling.
 * @throws {RangeError} the system does not give as much
 */
export function openStore(
  config: Config,
  { seed, tokenSeed }: { readonly seed: number; readonly tokenSeed: number },
  log: Log,
): OpenedStore {
  const { maxmemory: maxMemory } = config
  const databases = databasesOf(config)
  const ceiling = config['maxmemory-ceiling']
  // With several the hub's is one more.
  const threads = sharingThreads(config)
  const options = {
    ...{ maxMemory, seed, tokenSeed, databases, threads, ...meaningOf(config['maxmemory-policy']) },
    invalidations: shareInvalidations(),
    watches: shareWatches(),
    groupUsage: shareGroupUsage(config.groups.all.length),
  }
  const known = keyKnowledge(config.groups)
  try {
    const store = new Store({ ...options, ...known, ceiling })
    return { store, options: { ...options, ceiling } }
  } catch (error) {
    const isOurs = ceiling > maxMemory && !config.isSet('maxmemory-ceiling')
    if (!(error instanceof RangeError) || !isOurs) throw error
    log.warning(
      { ceiling },
      'no address space for a ceiling above maxmemory: maxmemory cannot be raised while this server runs',
    )
    return { store: new Store({ ...options, ...known }), options }
  }
}

/** Which keys a group has, and their slots, for the store, which knows of neither. */
export function keyKnowledge(groups: Groups): Required<Pick<StoreOptions, 'matcherOf' | 'slotOf'>> {
  const matcherOf: MatcherOf = (name) => {
    const group = groups.get(name)
    if (group === undefined) return null
    return (bytes, pos, length) => groups.match(bytes, pos, length) === group
  }
  return { matcherOf, slotOf: keySlot }
}

/** Has the store follow `maxmemory` and `maxmemory-policy`. */
export class MaxMemory {
  readonly #store: Store
  readonly #log: Log
  readonly #shrinker: Shrinker

  /** `onSlice` is told how long each slice of an eviction took, in microseconds. */
  constructor(
    store: Store,
    config: Config,
    { clock, log, onSlice }: { clock: Clock; log: Log; onSlice?: (micros: number) => void },
  ) {
    this.#store = store
    this.#log = log
    this.#shrinker = new Shrinker(store, clock, onSlice)
    config.onChange('maxmemory', (bytes) => this.#set(bytes))
    config.onChange('maxmemory-policy', (name) => this.#setPolicy(name))
  }

  stop(): void {
    this.#shrinker.stop()
  }

  #set(bytes: number): void {
    try {
      this.#store.setMaxMemory(bytes)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new BadValue(error.message)
    }
    if (this.#store.excess === 0) return
    const { usedBytes } = this.#store
    this.#log.warning(
      { maxmemory: bytes, used: usedBytes },
      `maxmemory ${sizeText(bytes)} is less than what is used: keys are evicted as far as maxmemory-policy lets them`,
    )
    this.#shrinker.start()
  }

  #setPolicy(name: PolicyName): void {
    const store = this.#store
    const current = store.policy
    const { policy, scope } = meaningOf(name, store.policyIsFixed ? current : null)
    if (!store.setPolicy(policy, scope)) {
      const fixed = store.policyIsFixed ? current : policy
      throw new BadValue(
        `${fixed} keeps bytes with every key, so it can be chosen and left at the start only; this server runs with ${current}`,
      )
    }
    const notice = policyNotice(name, policy)
    if (notice !== null) this.#log.notice(`maxmemory-policy: ${notice}`)
  }
}
