/**
 * maxmemory and its policy, at the start and while the server runs.
 *
 * CONFIG SET raises maxmemory at once, up to `maxmemory-ceiling`, for which the store has address
 * space. It lowers it at once too: nobody gets more memory from then on, and what is too much is
 * evicted in slices between events, as fast as the loop turns. Pages that a slow client is being
 * sent, or that a value is being received into, come back when that ends; while nothing can be
 * evicted, it is tried again from time to time.
 *
 * The system keeps what the store has touched: WebAssembly's memory cannot be given back. INFO shows
 * both, used and touched.
 */
import type { Clock, Timer } from '../cluster/world.ts'
import type { Config } from './config.ts'
import { BadValue, sizeText } from './config/kinds.ts'
import type { Log } from './log.ts'
import { meaningOf, type PolicyName, policyNotice } from './policies.ts'
import { Store } from './store/store.ts'

/** Other clients wait for a slice, and for the last of its steps beyond it. */
const sliceMicros = 2000
/** Bytes of chunks that a step evicts: about 0.2 ms for short entries. */
const stepBytes = 64 * 1024
/** How soon it is tried again when nothing could be evicted. */
const retryMs = 100

/**
 * The store that the configuration wants. Where the system does not give address space for the
 * ceiling, and nobody asked for that ceiling, maxmemory is the ceiling.
 * @throws {RangeError} the system does not give as much
 */
export function openStore(config: Config, seed: number, log: Log): Store {
  const { databases, maxmemory: maxMemory } = config
  const ceiling = config['maxmemory-ceiling']
  const options = { maxMemory, seed, databases, ...meaningOf(config['maxmemory-policy']) }
  try {
    return new Store({ ...options, ceiling })
  } catch (error) {
    const isOurs = ceiling > maxMemory && !config.isSet('maxmemory-ceiling')
    if (!(error instanceof RangeError) || !isOurs) throw error
    log.warning(
      { ceiling },
      'no address space for a ceiling above maxmemory: maxmemory cannot be raised while this server runs',
    )
    return new Store(options)
  }
}

/** Has the store follow `maxmemory` and `maxmemory-policy`. */
export class MaxMemory {
  readonly #store: Store
  readonly #clock: Clock
  readonly #log: Log
  readonly #stepChunks: number
  #shrinking = false
  #stopped = false
  #retry: Timer | null = null

  constructor(store: Store, config: Config, { clock, log }: { clock: Clock; log: Log }) {
    this.#store = store
    this.#clock = clock
    this.#log = log
    this.#stepChunks = Math.max(1, stepBytes / store.stats.chunkBytes)
    config.onChange('maxmemory', (bytes) => this.#set(bytes))
    config.onChange('maxmemory-policy', (name) => this.#setPolicy(name))
  }

  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
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
    if (!this.#shrinking) this.#later(true)
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
    const notice = policyNotice(name)
    if (notice !== null) this.#log.notice(`maxmemory-policy: ${notice}`)
  }

  #slice(): void {
    const store = this.#store
    const end = this.#clock.micros() + sliceMicros
    let gave = true
    let more = true
    while (more && gave && this.#clock.micros() < end) {
      const before = store.excess
      more = store.shrink(this.#stepChunks)
      gave = store.excess < before
    }
    this.#shrinking = false
    if (more) this.#later(gave)
  }

  #later(gave: boolean): void {
    if (this.#stopped) return
    this.#shrinking = true
    if (gave) this.#clock.soon(() => this.#slice())
    else this.#retry = this.#clock.after(retryMs, () => this.#slice())
  }
}
