import { HUNT_MS } from '../../cluster/routes/hunt.ts'
import type { Clock } from '../../cluster/world.ts'
import { ERR_NOT_COPIED } from '../../protocol/errors.ts'
import type { Slot } from '../clients/slot.ts'

/** Replies that were given are forgotten in such numbers. */
const FORGOTTEN_MIN = 1024

interface Waiting {
  readonly slot: Slot
  readonly until: number
}

/**
 * Replies that wait for a copy, of one thread: nobody waits for an answer for longer than HUNT_MS. All wait for as
 * long, so they stand in the order of their ends, and one timer does for all.
 */
export class LateReplies {
  readonly #clock: Clock
  #waiting: Waiting[] = []
  /** Those before it were answered. */
  #first = 0
  #isTimed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(slot: Slot): void {
    this.#waiting.push({ slot, until: this.#clock.now() + HUNT_MS })
    this.#forget()
    if (!this.#isTimed) this.#time(HUNT_MS)
  }

  #time(afterMs: number): void {
    this.#isTimed = true
    this.#clock.after(afterMs, () => {
      this.#isTimed = false
      this.#end()
    })
  }

  /** Answers those whose time is over. */
  #end(): void {
    const now = this.#clock.now()
    for (;;) {
      this.#forget()
      const first = this.#waiting[this.#first]
      if (first === undefined) return
      if (first.until > now) return this.#time(first.until - now)
      first.slot.settle((reply) => reply.error(ERR_NOT_COPIED))
    }
  }

  #forget(): void {
    const waiting = this.#waiting
    while (this.#first < waiting.length && waiting[this.#first]!.slot.settled) this.#first++
    if (this.#first < FORGOTTEN_MIN && this.#first < waiting.length) return
    this.#waiting = waiting.slice(this.#first)
    this.#first = 0
  }
}
