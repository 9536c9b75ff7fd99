/*
 * Bears with an origin that fails, whatever kind of origin it is:
 *
 *     load ──> tries, `retry` more of them ──> breaker ──> the origin
 *
 * **Retries** wait 50 ms, then longer and by chance, up to a second, so that those who failed
 * together do not come again together. The signal is that of the whole load, and ends the waiting too.
 *
 * **The breaker** stands inside, so that it hears of each try, and opens when so many of them in a row
 * found the origin at fault. While it is open nobody is asked; after its time one try is let through,
 * alone, and what becomes of it closes or opens the breaker. Until then the others are refused at
 * once: a client waits long enough without. A try that opens the breaker is its load's last one, whose
 * error the load's waiters hear, and not that of the breaker. (Nygard: Release It!, 2007.)
 *
 * Time and dice are handed in: the simulator and a program's tests can see a breaker close.
 */
import type { Clock, Random } from '../world.ts'
import { unlessAborted } from './deadline.ts'
import type { BreakerState } from './loader.ts'

/** How long, of a group; its rules. */
export interface PatienceRules {
  /** Tries after the first one. */
  readonly retries: number
  /** Failures in a row that open the breaker; 0: there is none. */
  readonly breakerFailures: number
  readonly breakerOpenMs: number
}

export interface PatienceParts {
  readonly clock: Clock
  readonly random: Random
  /**
   * What an error says of the origin: `failed`, it is not well; `fleeting`, it is not, and may be well
   * in a moment, so that it is worth another try; `well`, only this key is wrong, which neither opens
   * nor closes the breaker.
   */
  readonly judge: (error: unknown) => Verdict
  /** Hears that the breaker opens (each time that it does), and that it is closed again. */
  readonly hear?: (state: 'open' | 'closed') => void
}

export type Verdict = 'failed' | 'fleeting' | 'well'

/** Nobody was asked: the origin failed too often. */
export class Impatience extends Error {}

const DELAY_MS = 50
const DELAY_MS_MAX = 1000
const UINT32 = 2 ** 32

export class Patience {
  readonly rules: PatienceRules
  readonly #parts: PatienceParts
  /** In a row. */
  #failures = 0
  /** Null: the breaker is closed. */
  #openUntil: number | null = null
  /** Does one try, to see whether the breaker may close? */
  #isTrying = false
  /** How often it was opened: what began before does not count any more. */
  #round = 0

  constructor(rules: PatienceRules, parts: PatienceParts) {
    this.rules = rules
    this.#parts = parts
  }

  /** Of the breaker. */
  get state(): BreakerState {
    if (this.#openUntil === null) return 'closed'
    return this.#parts.clock.now() < this.#openUntil ? 'open' : 'half-open'
  }

  /**
   * What `attempt` comes to, within the tries that there are. Rejects with Impatience if it was not
   * called, with the last error, or with the signal's reason as soon as that is aborted: then the
   * attempt under way has failed.
   */
  async run<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await this.once(signal, attempt)
      } catch (error) {
        const isLast = tries >= this.rules.retries || this.#openUntil !== null || signal.aborted
        if (isLast || this.#parts.judge(error) !== 'fleeting') throw error
      }
      await this.#pause(signal, tries)
    }
  }

  /** The same in one try. */
  async once<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    if (!this.#admits()) throw new Impatience('the breaker is open')
    const round = this.#round
    try {
      const result = await unlessAborted(signal, attempt())
      if (round === this.#round) this.#mend()
      return result
    } catch (error) {
      if (round === this.#round) {
        this.#isTrying = false
        if (signal.aborted || this.#parts.judge(error) !== 'well') this.#failed()
      }
      throw error
    }
  }

  /** As if nothing had ever failed; what is under way does not count. */
  reset(): void {
    this.#round++
    this.#mend()
  }

  #admits(): boolean {
    if (this.#openUntil === null) return true
    if (this.#isTrying || this.#parts.clock.now() < this.#openUntil) return false
    this.#isTrying = true
    return true
  }

  #mend(): void {
    const wasOpen = this.#openUntil !== null
    this.#failures = 0
    this.#openUntil = null
    this.#isTrying = false
    if (wasOpen) this.#parts.hear?.('closed')
  }

  #failed(): void {
    const { breakerFailures, breakerOpenMs } = this.rules
    this.#failures++
    if (breakerFailures === 0 || this.#failures < breakerFailures) return
    this.#round++
    this.#openUntil = this.#parts.clock.now() + breakerOpenMs
    this.#parts.hear?.('open')
  }

  #pause(signal: AbortSignal, tries: number): Promise<void> {
    const { clock, random } = this.#parts
    const longest = Math.min(DELAY_MS * 2 ** tries, DELAY_MS_MAX)
    const delayMs = longest * (0.5 + random.uint32() / UINT32 / 2)
    let timer = { cancel: (): void => {} }
    const paused = new Promise<void>((resolve) => {
      timer = clock.after(delayMs, resolve)
    })
    return unlessAborted(signal, paused).finally(() => timer.cancel())
  }
}
