import { originBreaker } from '../../protocol/errors.ts'
import type { Clock, Random } from '../world.ts'
import { timeoutError } from './deadline.ts'
import {
  type BreakerState,
  type Loaded,
  type Loader,
  type LoadRequest,
  OriginError,
  type OriginErrorKind,
  type OriginGroup,
  type OriginRequest,
  type WriteRequest,
} from './loader.ts'
import { Impatience, Patience, type Verdict } from './patience.ts'

export interface ResilienceParts {
  readonly clock: Clock
  readonly random: Random
  /** Hears that a group's breaker opens or closes. */
  readonly hear?: (state: 'open' | 'closed', group: OriginGroup) => void
}

/**
 * Retries and a breaker for each group (patience.ts) around the loader of any kind of origin. Writes
 * are never tried again: whoever got no answer does not know whether it was done.
 */
export class ResilientLoader implements Loader {
  readonly #loader: Loader
  readonly #parts: ResilienceParts
  /** By the group's name. */
  readonly #patiences = new Map<string, Patience>()

  constructor(loader: Loader, parts: ResilienceParts) {
    this.#loader = loader
    this.#parts = parts
  }

  load(request: LoadRequest): Promise<Loaded> {
    const patience = this.#patienceOf(request.group)
    return inWords(
      request,
      patience.run(request.signal, () => this.#loader.load(request)),
    )
  }

  write(request: WriteRequest): Promise<void> {
    const patience = this.#patienceOf(request.group)
    const attempt = async (): Promise<void> => {
      if (this.#loader.write === undefined) throw new TypeError('this loader does not write')
      await this.#loader.write(request)
    }
    return inWords(request, patience.once(request.signal, attempt))
  }

  close(): Promise<void> {
    return this.#loader.close()
  }

  breakerState(group: string): BreakerState {
    return this.#patiences.get(group)?.state ?? 'closed'
  }

  /** Made anew when a rule has changed, and then closed. */
  #patienceOf(group: OriginGroup): Patience {
    const existing = this.#patiences.get(group.name)
    if (existing !== undefined && fits(existing, group)) return existing
    const { retries, breakerFailures, breakerOpenMs } = group
    const { clock, random, hear } = this.#parts
    const patience = new Patience(
      { retries, breakerFailures, breakerOpenMs },
      { clock, random, judge, hear: (state) => hear?.(state, group) },
    )
    this.#patiences.set(group.name, patience)
    return patience
  }
}

function fits({ rules }: Patience, group: OriginGroup): boolean {
  return (
    rules.retries === group.retries &&
    rules.breakerFailures === group.breakerFailures &&
    rules.breakerOpenMs === group.breakerOpenMs
  )
}

/** The same, failing as origins fail. */
async function inWords<T>({ group, signal }: OriginRequest, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Impatience) throw new OriginError('breaker', originBreaker(group.name))
    throw signal.aborted && error === signal.reason ? timeoutError(group) : error
  }
}

/** Faults that may be gone in a moment: a lost connection, one that cannot be made. */
const FLEETING: ReadonlySet<OriginErrorKind> = new Set(['reset', 'unreachable', 'short'])

const FAILURES: ReadonlySet<OriginErrorKind> = new Set(['timeout', 'tls', 'protocol', 'module'])

/** Errors of a Redis that are about the key. */
const KEY_ERRORS: ReadonlySet<string> = new Set(['WRONGTYPE', 'NOPERM'])

function judge(error: unknown): Verdict {
  if (!(error instanceof OriginError)) return 'well'
  const { kind, detail } = error
  if (FLEETING.has(kind) || (kind === 'status' && detail.startsWith('5'))) return 'fleeting'
  if (kind === 'redis') return KEY_ERRORS.has(detail) ? 'well' : 'failed'
  return FAILURES.has(kind) ? 'failed' : 'well'
}
