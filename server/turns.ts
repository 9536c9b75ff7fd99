import type { Clock } from '../cluster/world.ts'

/**
 * Long commands take turns: a KEYS over a million keys, an MGET of 200,000.
 *
 * A long command works in steps of its own measure, and after about `SLICE_MICROS` of them lets
 * everything else have its turn: the input that has come meanwhile, and other long commands. One
 * slice is run between two polls of the event loop, however many such commands there are, so nobody
 * waits for more than one.
 */

/** Between two slices others are served; shorter ones would cost more in changes than they bring. */
const SLICE_MICROS = 2000

/** Slots of the store's index that one step of a walk over all keys looks at. */
export const WALK_SLOTS = 2048

/** Does a part of its work. True: all is done. False: there is more, or it must wait. */
export type Step = () => boolean

/** Who has more to do. */
export interface Turn {
  /** Works for a slice. True: there is more to do, and it can be done now. */
  takeTurn(): boolean
}

/** The long commands of one I/O thread. */
export class Turns {
  readonly #clock: Pick<Clock, 'micros' | 'soon'>
  readonly #waiting: Turn[] = []
  /** Is `#run` to be called, or under way? */
  #runs = false
  readonly #run = (): void => {
    const turn = this.#waiting.shift()!
    // It may add others.
    if (turn.takeTurn()) this.#waiting.push(turn)
    this.#runs = this.#waiting.length > 0
    if (this.#runs) this.#clock.soon(this.#run)
  }

  constructor(clock: Pick<Clock, 'micros' | 'soon'>) {
    this.#clock = clock
  }

  /** Runs steps until all is done (true), or the slice is over or `mayGoOn` says no (false). */
  slice(step: Step, mayGoOn: () => boolean): boolean {
    const end = this.#clock.micros() + SLICE_MICROS
    while (!step()) {
      if (this.#clock.micros() >= end || !mayGoOn()) return false
    }
    return true
  }

  /** Gives it turns until it says that it needs no more for now. */
  add(turn: Turn): void {
    this.#waiting.push(turn)
    if (!this.#runs) this.#clock.soon(this.#run)
    this.#runs = true
  }
}
