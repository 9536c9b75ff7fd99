/**
 * GROUP WARM: keys of a group that are loaded because somebody says so, and not because a client
 * misses them. They wait here, and go to the group's loads bit by bit, as ordinary misses whose waiter
 * is nobody's client:
 *
 *     WARM ──> waiting, up to WARM_KEYS_MAX ──> half of the group's places ──> done or failed
 *
 * Only half of the places, so that a client's miss finds one at once, however many keys are warmed;
 * and none while the loads are full, so that no client is refused because of them. The other way, one
 * load for each key at once, would fill the queue with what nobody waits for.
 */
import { strict as assert } from 'node:assert'
import type { Group } from '../../cluster/groups/group.ts'
import type { Miss, Outcome, Waiter } from '../../cluster/loads/loads.ts'
import type { Clock } from '../../cluster/world.ts'
import { FRESH, NEGATIVE, type Store } from '../store/store.ts'

/** Of one group, waiting. A key of 100 bytes is some 250 here. */
export const WARM_KEYS_MAX = 262_144
/** Bytes of the waiting keys of all groups together. */
export const WARM_BYTES_MAX = 64 * 1024 ** 2
/** Keys looked at before others have their turn. */
const KEYS_PER_TURN = 256
/** While the loads are full. */
const AGAIN_AFTER_MS = 50
/** A key whose lease others take away each time is left to them. */
const TRIES_MAX = 10

/** Counted since the start. What was asked for and is neither done nor failed waits, or is loaded. */
export interface WarmCounters {
  readonly asked: number
  /** Here now: loaded, fresh already, or known to be nowhere. */
  readonly done: number
  readonly failed: number
}

interface WarmLoads {
  wait(miss: Miss, done: (outcome: Outcome) => void): Waiter
  underWay(group: Group): { readonly active: number; readonly queued: number }
}

interface WarmParts {
  readonly clock: Clock
  readonly store: Store
  readonly loads: WarmLoads
}

interface Waiting {
  readonly db: number
  readonly key: Uint8Array
  tries: number
}

interface Row {
  asked: number
  done: number
  failed: number
  /** Loads under way. */
  active: number
  /** The first of them first, from `next` on. */
  waiting: Waiting[]
  next: number
  /** Is there a turn to come? */
  planned: boolean
}

export class Warming {
  readonly #clock: Clock
  readonly #store: Store
  readonly #loads: WarmLoads
  readonly #rows = new Map<Group, Row>()
  #bytes = 0
  #stopped = false

  constructor({ clock, store, loads }: WarmParts) {
    this.#clock = clock
    this.#store = store
    this.#loads = loads
  }

  counters(group: Group): WarmCounters {
    const { asked, done, failed } = this.#of(group)
    return { asked, done, failed }
  }

  /**
   * Loads those of the keys that are not fresh, later. Returns how many these are, or -1: more wait
   * already than may, and none of these is loaded. The keys are the callee's from now on.
   */
  warm(group: Group, db: number, keys: readonly Uint8Array[]): number {
    const row = this.#of(group)
    const bytes = keys.reduce((sum, key) => sum + key.length, 0)
    const keysWaiting = row.waiting.length - row.next
    if (keysWaiting + keys.length > WARM_KEYS_MAX || this.#bytes + bytes > WARM_BYTES_MAX) return -1
    this.#store.now = this.#clock.now()
    const missing = keys.filter((key) => !this.#isFresh(db, key))
    row.asked += keys.length
    row.done += keys.length - missing.length
    for (const key of missing) this.#keep(row, { db, key, tries: 0 })
    if (missing.length > 0) this.#plan(group, row, 0)
    return missing.length
  }

  /** Forgets what waits: the server ends. */
  stop(): void {
    this.#stopped = true
    this.#bytes = 0
    for (const row of this.#rows.values()) {
      row.waiting = []
      row.next = 0
    }
  }

  #of(group: Group): Row {
    let row = this.#rows.get(group)
    if (row === undefined) {
      row = { asked: 0, done: 0, failed: 0, active: 0, waiting: [], next: 0, planned: false }
      this.#rows.set(group, row)
    }
    return row
  }

  #keep(row: Row, waiting: Waiting): void {
    if (this.#stopped) return
    row.waiting.push(waiting)
    this.#bytes += waiting.key.length
  }

  /** Takes the first that waits. */
  #take(row: Row): Waiting {
    const first = row.waiting[row.next++]
    assert(first !== undefined)
    this.#bytes -= first.key.length
    // What was taken is let go of, now and then: a copy of the rest for as many that went.
    if (row.next === row.waiting.length || row.next === TAKEN_MAX) {
      row.waiting = row.waiting.slice(row.next)
      row.next = 0
    }
    return first
  }

  /* ---- turns ---- */

  #plan(group: Group, row: Row, delayMs: number): void {
    if (row.planned) return
    row.planned = true
    const turn = (): void => {
      row.planned = false
      this.#takeTurn(group, row)
    }
    if (delayMs > 0) this.#clock.after(delayMs, turn)
    else this.#clock.soon(turn)
  }

  #takeTurn(group: Group, row: Row): void {
    this.#store.now = this.#clock.now()
    for (let i = 0; i < KEYS_PER_TURN; i++) {
      if (row.next >= row.waiting.length || row.active >= placesOf(group)) return
      if (!this.#hasRoom(group)) return this.#plan(group, row, AGAIN_AFTER_MS)
      this.#load(group, row, this.#take(row))
    }
    this.#plan(group, row, 0)
  }

  #hasRoom(group: Group): boolean {
    const { active, queued } = this.#loads.underWay(group)
    return active < group.concurrency || queued < group.queueMax
  }

  /* ---- one key ---- */

  #load(group: Group, row: Row, waiting: Waiting): void {
    const { db, key } = waiting
    const token = this.#lease(db, key)
    if (token === NOT_NEEDED) {
      row.done++
      return
    }
    if (token === NO_MEMORY) {
      row.failed++
      return
    }
    row.active++
    this.#loads.wait({ db, key, group, token, waitMs: Infinity }, ({ kind }) => {
      row.active--
      if (kind === 'again' && ++waiting.tries < TRIES_MAX) this.#keep(row, waiting)
      else if (kind === 'value' || kind === 'missing') row.done++
      else row.failed++
      this.#plan(group, row, 0)
    })
  }

  #isFresh(db: number, key: Uint8Array): boolean {
    const state = this.#store.state(db, key, 0, key.length)
    return state === FRESH || state === NEGATIVE
  }

  /** The token of the key's lease, planted or found; or why there is none. */
  #lease(db: number, key: Uint8Array): number {
    const store = this.#store
    if (this.#isFresh(db, key)) return NOT_NEEDED
    const found = store.openAny(db, key, 0, key.length)
    const token = found ? store.leaseBeside() : store.lease()
    store.close()
    return token
  }
}

/** What stands in a token's place. */
const NOT_NEEDED = -1
/** Keys that were taken and are still held. */
const TAKEN_MAX = 16_384
const NO_MEMORY = 0

/** Of the group's places at the origin. */
function placesOf({ concurrency }: Group): number {
  return Math.max(1, Math.floor(concurrency / 2))
}
