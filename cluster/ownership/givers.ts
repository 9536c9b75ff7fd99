/**
 * Whom it is worth asking for keys that moved (server/cluster/takeover.ts).
 *
 * - Who keeps nothing at all for this node, as when all nodes have just begun, is known by one question: it
 *   is asked now and then, until it says so or that it keeps something. It knows only when it sees the same
 *   view: then all that this node may have of it has left it, and what it keeps grows no more. (What
 *   visits bring, slot-states.ts, is not meant for this node.) Where it is not asked a key is a miss, which is
 *   always right: what it has is seen by nobody else.
 * - Who does not answer, several times in a row, is left alone for a while: a node that stands still costs
 *   a wait once, and not for each key.
 */
import type { Clock, Timer } from '../world.ts'

const QUESTION_MS = 500
/** Without an answer, one after the other or at once. */
const SILENCES_MAX = 3
const REST_MS = 1000
/** What has failed sooner has cost no wait: there was no link. */
const SILENCE_MS_MIN = 100

export interface GiversOptions {
  readonly clock: Clock
  /** Asks a node whether it keeps anything; null: it does not know, or has not answered. */
  readonly ask: (name: string, done: (keeps: boolean | null) => void) => void
  /** It keeps nothing. */
  readonly onNone: (name: string) => void
}

/** See the top of the file. */
export class Givers {
  readonly #options: GiversOptions
  /** Who may keep something, and the number of the expectation. */
  readonly #unsure = new Map<string, number>()
  readonly #silent = new Map<string, { times: number; restsUntil: number }>()
  #count = 0
  #timer: Timer | null = null

  constructor(options: GiversOptions) {
    this.#options = options
  }

  /** From now on these may keep something, whatever they have said before. */
  expect(names: Iterable<string>): void {
    for (const name of names) this.#unsure.set(name, ++this.#count)
    if (this.#unsure.size > 0) {
      this.#timer ??= this.#options.clock.every(QUESTION_MS, () => this.#askAll())
    }
  }

  /** Nobody is to be asked any more. */
  stop(): void {
    this.#unsure.clear()
    this.#silent.clear()
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Is it worth asking for a key? */
  mayAsk(name: string): boolean {
    const silent = this.#silent.get(name)
    return silent === undefined || this.#options.clock.now() >= silent.restsUntil
  }

  /** A node was asked for a key `waitedMs` ago, and has answered or will not. */
  heard(name: string, answered: boolean, waitedMs: number): void {
    if (answered) this.#silent.delete(name)
    if (answered || waitedMs < SILENCE_MS_MIN) return
    const times = (this.#silent.get(name)?.times ?? 0) + 1
    const restsUntil = times < SILENCES_MAX ? -Infinity : this.#options.clock.now() + REST_MS
    this.#silent.set(name, { times, restsUntil })
  }

  #askAll(): void {
    for (const [name, number] of this.#unsure) {
      this.#options.ask(name, (keeps) => {
        if (keeps === null || this.#unsure.get(name) !== number) return
        this.#unsure.delete(name)
        if (!keeps) this.#options.onNone(name)
      })
    }
    if (this.#unsure.size > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }
}
