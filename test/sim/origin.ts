import { OriginError } from '../../cluster/origin/loader.ts'
import type { Loaded, Loader, LoadRequest } from '../../cluster/origin/loader.ts'
import type { SeededRandom } from './random.ts'
import type { Host, Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'

/** One load, as the origin saw it. `end` is Infinity while it is under way, or was given up. */
export interface SeenLoad {
  readonly node: string
  readonly key: string
  /** What the origin had when it was asked. */
  readonly version: number
  readonly start: number
  end: number
  outcome: 'value' | 'missing' | 'error' | 'none'
}

/** How often which fault, of 1000 loads. */
export interface OriginFaults {
  readonly slow: number
  readonly error: number
  readonly hang: number
}

/** The group with `negative` and ETags (cluster.ts). Of its keys every fourth version is that there is none. */
const LAX = 'lax:'
const ABSENT_EACH = 4

export function isLax(key: string): boolean {
  return key.startsWith(LAX)
}

/** Has the origin no such thing? */
export function isAbsent(key: string, version: number): boolean {
  return isLax(key) && version % ABSENT_EACH === ABSENT_EACH - 1
}

/**
 * Where the values of groups come from: each key has a version, which only grows. A load reads it at
 * its begin and answers later, so that what changed in between makes its answer an old one.
 */
export class SimOrigin {
  readonly loads: SeenLoad[] = []
  /** When each version of a key came to be; the first was always there. */
  readonly #versions = new Map<string, number[]>()
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #trace: Trace
  faults: OriginFaults = { slow: 0, error: 0, hang: 0 }

  constructor(scheduler: Scheduler, random: SeededRandom, trace: Trace) {
    this.#scheduler = scheduler
    this.#random = random
    this.#trace = trace
  }

  /** Moments of a key's versions, by their number. */
  versionsOf(key: string): readonly number[] {
    return this.#versions.get(key) ?? [-Infinity]
  }

  /** The newest version of a key becomes an old one. Returns the new one. */
  bump(key: string): number {
    const versions = [...this.versionsOf(key), this.#scheduler.now]
    this.#versions.set(key, versions)
    return versions.length - 1
  }

  loaderOf(host: Host): Loader {
    return { load: (request) => this.#load(host, request), close: () => Promise.resolve() }
  }

  #load(host: Host, { group, key, etag, signal }: LoadRequest): Promise<Loaded> {
    const scheduler = this.#scheduler
    const name = Buffer.from(key).toString('latin1')
    const version = this.versionsOf(name).length - 1
    const start = scheduler.now
    const began = { node: host.name, key: name, version, start }
    const seen: SeenLoad = { ...began, end: Infinity, outcome: 'none' }
    this.loads.push(seen)
    const { tookMs, fate } = this.#chance()
    this.#trace.say(`${host.name} loads ${name} ${fate}`)
    scheduler.hasPromises = true
    signal.addEventListener('abort', () => (scheduler.hasPromises = true))
    return new Promise((resolve, reject) => {
      if (fate === 'hang') return
      scheduler.at(start + tookMs, host, () => {
        scheduler.hasPromises = true
        if (signal.aborted) return
        seen.end = scheduler.now
        const isMissing = fate === 'value' && isAbsent(name, version)
        seen.outcome = isMissing ? 'missing' : fate
        if (fate === 'error') reject(new OriginError('status', `ORIGIN ${group.name}: 500`))
        else if (isMissing) resolve({ value: null })
        else resolve(this.#answer(group.name, name, version, etag))
      })
    })
  }

  /** The value, or that the one that is there still stands. */
  #answer(group: string, key: string, version: number, etag: string | null): Loaded {
    if (etag === String(version)) return { value: null, unchanged: true, etag }
    const value = Buffer.from(`o|${group}|${key}|${version}`)
    return isLax(key) ? { value, etag: String(version) } : { value }
  }

  #chance(): { tookMs: number; fate: 'hang' | 'error' | 'value' } {
    const draw = this.#random.below(1000)
    const quick = 1 + this.#random.below(30)
    const { slow, error, hang } = this.faults
    if (draw < hang) return { tookMs: 0, fate: 'hang' }
    if (draw < hang + error) return { tookMs: quick, fate: 'error' }
    if (draw < hang + error + slow) return { tookMs: 200 + quick * 20, fate: 'value' }
    return { tookMs: quick, fate: 'value' }
  }
}
