import {
  BrokenCircuitError,
  circuitBreaker,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleWhen,
  retry,
  type RetryPolicy,
} from 'cockatiel'
import { originBreaker } from '../../protocol/errors.ts'
import {
  type BreakerState,
  type Loaded,
  type Loader,
  type LoadRequest,
  OriginError,
  type OriginErrorKind,
  type OriginGroup,
  type OriginRequest,
  timeoutError,
  withinDeadline,
  type WriteRequest,
} from './loader.ts'

/**
 * Bears with an origin that fails, by cockatiel, around the loader of any kind of origin.
 *
 *     load ──> tries, `retry` more of them ──> breaker ──> the loader
 *
 * **Retries** wait 50 ms, then longer and by chance, up to a second, so that those who failed
 * together do not come again together. They are for faults that may be gone by then: a lost
 * connection, one that cannot be made, a status of 5xx. The deadline is that of the whole load, and
 * ends the waiting as well. Writes are never tried again: whoever got no answer does not know
 * whether it was done.
 *
 * **The breaker** stands inside, so that it hears of each try, and opens when so many of them in a
 * row found the origin at fault. What says that the origin is well, only this key is not (a 403, a
 * WRONGTYPE, a value that is too large), neither opens nor mends it. While it is open nobody is
 * asked; after its time one load is let through, alone, and what becomes of it closes or opens the
 * breaker. Until then the others are refused at once: cockatiel would have them wait for it, and a
 * client waits long enough without. A try that opens the breaker is the load's last one, whose error
 * its waiters hear, and not that of the breaker.
 *
 * cockatiel has its own clock and its own dice, so the simulator takes another loader in the place of
 * this one.
 */
export class ResilientLoader implements Loader {
  readonly #loader: Loader
  /** By the group's name. */
  readonly #policies = new Map<string, Policies>()

  constructor(loader: Loader) {
    this.#loader = loader
  }

  load(request: LoadRequest): Promise<Loaded> {
    const { breaker, retrying } = this.#policiesOf(request.group)
    const attempt = () => guard(request, breaker, () => this.#loader.load(request))
    if (retrying === null) return attempt()
    return withinDeadline(request, retrying.execute(attempt, request.signal))
  }

  async write(request: WriteRequest): Promise<void> {
    const { breaker } = this.#policiesOf(request.group)
    await guard(request, breaker, async () => {
      if (this.#loader.write === undefined) throw new TypeError('this loader does not write')
      await this.#loader.write(request)
    })
  }

  close(): Promise<void> {
    return this.#loader.close()
  }

  breakerState(group: string): BreakerState {
    const breaker = this.#policies.get(group)?.breaker
    return breaker == null ? 'closed' : (STATES[breaker.state] ?? 'open')
  }

  /** Made anew when a rule has changed, and then closed. */
  #policiesOf(group: OriginGroup): Policies {
    const existing = this.#policies.get(group.name)
    if (existing !== undefined && fits(existing, group)) return existing
    const { retries, breakerFailures, breakerOpenMs } = group
    const breaker = breakerFor(group)
    const policies = {
      ...{ retries, breakerFailures, breakerOpenMs, breaker },
      retrying: retries === 0 ? null : retryingFor(retries, breaker),
    }
    this.#policies.set(group.name, policies)
    return policies
  }
}

const STATES: Readonly<Partial<Record<CircuitState, BreakerState>>> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
}

interface Policies extends Pick<OriginGroup, 'retries' | 'breakerFailures' | 'breakerOpenMs'> {
  /** Null: there is none. */
  readonly breaker: CircuitBreakerPolicy | null
  readonly retrying: RetryPolicy | null
}

const RETRY_DELAY_MS = 50
const RETRY_DELAY_MS_MAX = 1000

function fits(policies: Policies, group: OriginGroup): boolean {
  return (
    policies.retries === group.retries &&
    policies.breakerFailures === group.breakerFailures &&
    policies.breakerOpenMs === group.breakerOpenMs
  )
}

function breakerFor({ breakerFailures, breakerOpenMs }: OriginGroup): CircuitBreakerPolicy | null {
  if (breakerFailures === 0) return null
  return circuitBreaker(handleWhen(isFailure), {
    breaker: new ConsecutiveBreaker(breakerFailures),
    halfOpenAfter: breakerOpenMs,
  })
}

function retryingFor(retries: number, breaker: CircuitBreakerPolicy | null): RetryPolicy {
  const isClosed = (): boolean => breaker === null || breaker.state === CircuitState.Closed
  return retry(
    handleWhen((error) => isWorthRetrying(error) && isClosed()),
    {
      maxAttempts: retries,
      backoff: new ExponentialBackoff({
        initialDelay: RETRY_DELAY_MS,
        maxDelay: RETRY_DELAY_MS_MAX,
      }),
    },
  )
}

/** One try. */
async function guard<T>(
  request: OriginRequest,
  breaker: CircuitBreakerPolicy | null,
  ask: () => Promise<T>,
): Promise<T> {
  const { group } = request
  // cockatiel does not look at the signal after its delay.
  if (request.signal.aborted) throw timeoutError(group)
  const attempt = (): Promise<T> => withinDeadline(request, ask())
  if (breaker === null) return attempt()
  if (breaker.state === CircuitState.HalfOpen) throw breakerError(group)
  try {
    return await breaker.execute(attempt)
  } catch (error) {
    throw error instanceof BrokenCircuitError ? breakerError(group) : error
  }
}

function breakerError({ name }: OriginGroup): OriginError {
  return new OriginError('breaker', originBreaker(name))
}

const RETRIED: ReadonlySet<OriginErrorKind> = new Set(['reset', 'unreachable', 'short'])

const FAILURES: ReadonlySet<OriginErrorKind> = new Set([
  ...RETRIED,
  'timeout',
  'tls',
  'protocol',
  'module',
])

/** Errors of a Redis that are about the key. */
const KEY_ERRORS: ReadonlySet<string> = new Set(['WRONGTYPE', 'NOPERM'])

function isWorthRetrying(error: unknown): boolean {
  return error instanceof OriginError && (RETRIED.has(error.kind) || isServerError(error))
}

/** Does it say that the origin is not well? */
function isFailure(error: unknown): boolean {
  if (!(error instanceof OriginError)) return false
  if (error.kind === 'redis') return !KEY_ERRORS.has(error.detail)
  return FAILURES.has(error.kind) || isServerError(error)
}

function isServerError({ kind, detail }: OriginError): boolean {
  return kind === 'status' && detail.startsWith('5')
}
