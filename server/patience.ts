/*
 * Bears with a function that fails, as cluster/origin/resilience.ts does with other origins:
 *
 *     load ──> tries, `retry` more of them ──> breaker ──> the function
 *
 * Tries wait 50 ms in between, then longer and by chance, up to a second. The breaker hears of each try;
 * after so many failures in a row nobody tries for a while, and then one does, alone: what becomes of
 * it closes or opens the breaker. A try that opens it is its load's last one, whose error is the load's.
 *
 * The other one is made of cockatiel, which has its own clock and dice. Here both are the cache's, so
 * that a program's tests can move its time and see the breaker close.
 */
import type { Clock, Random } from '../cluster/world.ts'

/** How long, of a group; its rules. */
export interface PatienceRules {
  /** Tries after the first one. */
  readonly retries: number
  /** Failures in a row that open the breaker; 0: there is none. */
  readonly breakerFailures: number
  readonly breakerOpenMs: number
}

/** Nobody was asked: the function failed too often. */
export class Impatience extends Error {}

const DELAY_MS = 50
const DELAY_MS_MAX = 1000
const UINT32 = 2 ** 32

export class Patience {
  readonly #rules: PatienceRules
  readonly #clock: Clock
  readonly #random: Random
  /** In a row. */
  #failures = 0
  /** Null: the breaker is closed. */
  #openUntil: number | null = null
  /** Does one try, to see whether the breaker may close? */
  #isTrying = false
  /** How often it was opened: what began before does not count any more. */
  #round = 0

  constructor(rules: PatienceRules, clock: Clock, random: Random) {
    this.#rules = rules
    this.#clock = clock
    this.#random = random
  }

  /** Of the breaker. */
  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#openUntil === null) return 'closed'
    return this.#clock.now() < this.#openUntil ? 'open' : 'half-open'
  }

  /**
   * What `attempt` comes to, within the tries that there are. Rejects with Impatience if it was not
   * called, with the last error, or with the signal's reason as soon as that is aborted: then the
   * attempt under way has failed.
   */
  async run<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      signal.throwIfAborted()
      if (!this.#admits()) throw new Impatience('the breaker is open')
      const round = this.#round
      try {
        const result = await unlessAborted(signal, attempt())
        if (round === this.#round) this.#mend()
        return result
      } catch (error) {
        if (round === this.#round) this.#failed()
        const isLast = tries >= this.#rules.retries || this.#openUntil !== null
        if (isLast || signal.aborted) throw error
      }
      await this.#pause(signal, tries)
    }
  }

  #admits(): boolean {
    if (this.#openUntil === null) return true
    if (this.#isTrying || this.#clock.now() < this.#openUntil) return false
    this.#isTrying = true
    return true
  }

  /** As if nothing had ever failed; what is under way does not count. */
  reset(): void {
    this.#round++
    this.#mend()
  }

  #mend(): void {
    this.#failures = 0
    this.#openUntil = null
    this.#isTrying = false
  }

  #failed(): void {
    const { breakerFailures, breakerOpenMs } = this.#rules
    this.#failures++
    this.#isTrying = false
    if (breakerFailures === 0 || this.#failures < breakerFailures) return
    this.#round++
    this.#openUntil = this.#clock.now() + breakerOpenMs
  }

  #pause(signal: AbortSignal, tries: number): Promise<void> {
    const longest = Math.min(DELAY_MS * 2 ** tries, DELAY_MS_MAX)
    const delayMs = longest * (0.5 + this.#random.uint32() / UINT32 / 2)
    let timer = { cancel: (): void => {} }
    const paused = new Promise<void>((resolve) => {
      timer = this.#clock.after(delayMs, resolve)
    })
    return unlessAborted(signal, paused).finally(() => timer.cancel())
  }
}

/** What `work` comes to, or a rejection as soon as the signal is aborted. */
function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort)
    const leave = (): void => signal.removeEventListener('abort', onAbort)
    void work.then(resolve, reject).then(leave)
  })
}
