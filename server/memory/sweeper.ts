/*
 * Removes expired entries that nobody asks for, without anybody having to wait for it.
 *
 *     every 100 ms   a slice ── little had expired ──> that was it
 *                     │ much had: a pause, and another slice
 *                     └── slice ── pause ── slice ── pause ── ... until little has
 *
 * A slice goes through the index for about a millisecond, so that no client waits longer for it; the
 * pause after it is as long as it takes to leave the CPU to others: 25 % is the sweeper's share.
 * "Much" is a tenth of the keys with an expiry, so no more than that of them is expired for long.
 * Both are Redis's bounds, and `active-expire-effort` moves both as in Redis.
 *
 * Redis keeps a table of keys with an expiry and looks at a sample of it. No such table is paid for
 * here: the sweep goes through all keys in order. Where hardly any has an expiry, a tenth of those is
 * not worth the way; so "much" is also a hundredth of all keys that were looked at.
 *
 * Redis: expire.c, activeExpireCycle.
 */
import type { Clock, Timer } from '../../cluster/world.ts'
import type { Config } from '../config.ts'
import type { Store } from '../store/store.ts'

const PERIOD_MS = 100
const SLICE_MICROS = 1_000
/** Slots between two looks at the clock: about 0.05 ms, when all of them have expired 0.2 ms. */
const STEP_SLOTS = 256
/** Percent of the CPU. */
const SHARE = 25
const SHARE_PER_EFFORT = 2
/** Percent of the keys with an expiry, and of all, that must have expired for a further slice. */
const STALE = 10
const STALE_PER_EFFORT = 1
const STALE_OF_ALL = 1
/** How much the last slice counts in the share of expired entries that INFO shows. As Redis. */
const LAST_WEIGHT = 0.05

/** Read before each slice. */
type Effort = Pick<Config, 'active-expire-effort'>

/** Begins to sweep the store, and does until it is stopped. */
export class Sweeper {
  readonly #store: Store
  readonly #config: Effort
  readonly #clock: Clock
  readonly #timer: Timer
  readonly #onSlice: (micros: number) => void
  #next: Timer | null = null
  #stalePercent = 0
  #spentMicros = 0
  #cut = 0
  #isStopped = false
  /** DEBUG SET-ACTIVE-EXPIRE 0: what is over goes when somebody asks for it. */
  isIdle = false

  /** `onSlice` is told how long each slice took, in microseconds. */
  constructor(
    store: Store,
    config: Effort,
    clock: Clock,
    onSlice: (micros: number) => void = () => {},
  ) {
    this.#store = store
    this.#config = config
    this.#clock = clock
    this.#onSlice = onSlice
    this.#timer = clock.every(PERIOD_MS, () => {
      if (this.#next === null) this.#slice()
    })
  }

  /** Percent of the keys with an expiry whose expiry was over, as seen lately. */
  get stalePercent(): number {
    return this.#stalePercent
  }

  /** CPU time of all slices. */
  get spentMs(): number {
    return this.#spentMicros / 1_000
  }

  /** Slices that were ended by the clock while much had expired. */
  get cut(): number {
    return this.#cut
  }

  /** CONFIG RESETSTAT. */
  reset(): void {
    this.#stalePercent = 0
    this.#spentMicros = 0
    this.#cut = 0
  }

  /** Also from within a slice, by who is told what expired. */
  stop(): void {
    this.#isStopped = true
    this.#timer.cancel()
    this.#next?.cancel()
  }

  #slice(): void {
    this.#next = null
    const store = this.#store
    if (!store.expires || this.isIdle) return
    store.now = this.#clock.now()
    const round = store.sweepRounds
    const entriesBefore = store.sweptEntries
    const expiringBefore = store.sweptExpiring
    const begin = this.#clock.micros()
    let spent = 0
    let removed = 0
    // To the end of a round at most: a small store is done within the time.
    while (spent < SLICE_MICROS && store.sweepRounds === round && !this.#isStopped) {
      removed += store.sweep(STEP_SLOTS)
      spent = this.#clock.micros() - begin
    }
    this.#spentMicros += spent
    this.#onSlice(spent)
    const stale = percentOf(removed, store.sweptExpiring - expiringBefore)
    this.#stalePercent += (stale - this.#stalePercent) * LAST_WEIGHT
    const ofAll = percentOf(removed, store.sweptEntries - entriesBefore)
    const effort = this.#config['active-expire-effort'] - 1
    const isMuch = stale >= STALE - effort * STALE_PER_EFFORT && ofAll >= STALE_OF_ALL
    if (spent < SLICE_MICROS || !isMuch || this.#isStopped) return
    this.#goOn(spent, SHARE + effort * SHARE_PER_EFFORT)
  }

  #goOn(spentMicros: number, sharePercent: number): void {
    this.#cut++
    const pauseMs = (spentMicros / 1_000) * (100 / sharePercent - 1)
    this.#next = this.#clock.after(Math.ceil(pauseMs), () => this.#slice())
  }
}

function percentOf(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole
}
