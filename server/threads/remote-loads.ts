/**
 * Loads as a worker sees them. The flights are the hub's (cluster/loads/loads.ts); a worker tells it once of
 * each token that somebody waits for, keeps those who wait, and wakes them all by the one message
 * that says how the flight ended.
 *
 *     worker   miss, token 7 ── wait 7 ──>  hub     flight 7 starts, if its lease still stands
 *              miss, token 7  (joins)                   │
 *              wakes both    <── landed 7 ──        the value was stored, the lease is gone
 *
 * Nobody is forgotten. Who waits here for a token found its lease in the store, and the hub takes the
 * lease away before it says `landed`: so whoever still finds the lease comes before that message, or
 * asks anew after it. An answer to a question that came too late is `again`.
 */
import type { Miss, Outcome, Waiter } from '../../cluster/loads/loads.ts'
import type { Group } from '../../cluster/groups/group.ts'
import type { Clock, Timer } from '../../cluster/world.ts'
import type { WaiterCounters } from '../facts.ts'
import type { Flights } from '../loads/loading.ts'

interface Waiting {
  readonly group: Group
  readonly done: (outcome: Outcome) => void
  timer: Timer | null
}

/** Why a load is wanted: somebody waits, or the value that is there is to be loaded anew. */
export type LoadReason = 'wait' | 'refresh' | 'early'

/** Longer than a message from the hub takes, that a load ended at its deadline. */
const GRACE_MS = 1000

type Counting = { -readonly [K in keyof WaiterCounters]: number }

export class RemoteLoads implements Flights {
  readonly #clock: Clock
  readonly #tell: (miss: Miss, why: LoadReason) => void
  /** By token. */
  readonly #stations = new Map<number, Set<Waiting>>()
  /** By the group's name: waiters beyond the one of each token that the hub counts. */
  readonly waiters = new Map<string, Counting>()
  #waiting = 0

  /** `tell` asks the hub for the load of a token; `landed` is to be called with its end. */
  constructor(clock: Clock, tell: (miss: Miss, why: LoadReason) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  get waiting(): number {
    return this.#waiting
  }

  wait(miss: Miss, done: (outcome: Outcome) => void): Waiter {
    const { group, token } = miss
    let station = this.#stations.get(token)
    if (station === undefined) {
      station = new Set()
      this.#stations.set(token, station)
      this.#tell(miss, 'wait')
    } else {
      this.#of(group).joined++
    }
    const waiter: Waiting = { group, done, timer: null }
    station.add(waiter)
    this.#waiting++
    // A load ends within `timeout`; a client may have its lease for an hour.
    const waitMs = Math.min(miss.waitMs ?? group.waitMs, group.timeoutMs + GRACE_MS)
    const late = (): void => {
      if (!this.#dismiss(station, waiter)) return
      this.#of(group).late++
      done({ kind: 'late' })
    }
    if (waitMs > 0) waiter.timer = this.#clock.after(waitMs, late)
    else this.#clock.soon(late)
    return { leave: () => void this.#dismiss(station, waiter) }
  }

  refresh(miss: Miss, early: boolean): void {
    this.#tell(miss, early ? 'early' : 'refresh')
  }

  /** The hub says how the load of a token ended. */
  landed(token: number, outcome: Outcome): void {
    const station = this.#stations.get(token)
    if (station === undefined) return
    this.#stations.delete(token)
    const heard =
      outcome.kind === 'value' ? { ...outcome, value: bufferOf(outcome.value) } : outcome
    const [first] = station
    if (heard.kind === 'again' && first !== undefined) {
      this.#of(first.group).again += station.size - 1
    }
    for (const waiter of [...station]) if (this.#dismiss(station, waiter)) waiter.done(heard)
  }

  /** The hub ends its flights itself, and says so. */
  close(): void {}

  #of({ name }: Group): Counting {
    let counters = this.waiters.get(name)
    if (counters === undefined) {
      counters = { joined: 0, late: 0, again: 0 }
      this.waiters.set(name, counters)
    }
    return counters
  }

  /** False: the waiter is gone already. */
  #dismiss(station: Set<Waiting>, waiter: Waiting): boolean {
    if (!station.delete(waiter)) return false
    this.#waiting--
    waiter.timer?.cancel()
    return true
  }
}

/** A Buffer arrives as a plain array of bytes. */
function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
}
