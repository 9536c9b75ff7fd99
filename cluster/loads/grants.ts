/*
 * Leases given to clients, who load the value themselves (CACHE.LEASE, CACHE.FILL): one gets the
 * token, the others wait for what it brings. (Nishtala et al.: Scaling Memcache at Facebook, 2013.)
 *
 * The lease is the same record in the store as that of a load of ours, so it is the same fence: a SET or
 * DEL in between takes it away, and the fill comes too late. A client may vanish with its token; so a
 * grant ends after a time, its lease goes, and those who wait look again: one of them is next.
 */
import type { LeaseStore, Outcome, Waiter } from './loads.ts'
import type { Clock, Timer } from '../world.ts'

/** A client's lease. */
export interface Grant {
  readonly db: number
  /** A copy. */
  readonly key: Uint8Array
  readonly token: number
  /** When it was given, in the order of invalidations by tag. */
  readonly birth: number
}

interface Granted extends Grant {
  readonly waiters: Set<Waiting>
  readonly deadline: Timer
}

interface Waiting {
  readonly done: (outcome: Outcome) => void
  timer: Timer | null
}

/** A key of up to 64 KB and a timer each: as many as there may be loads. */
const GRANTS_MAX = 65_536
/** Of one grant. */
const WAITERS_MAX = 65_536

export class Grants {
  readonly #clock: Clock
  readonly #store: LeaseStore
  readonly #granted = new Map<number, Granted>()

  constructor(clock: Clock, store: LeaseStore) {
    this.#clock = clock
    this.#store = store
  }

  /** Leases that clients have. */
  get size(): number {
    return this.#granted.size
  }

  has(token: number): boolean {
    return this.#granted.has(token)
  }

  /** Are there as many as there may be? Then none may be given. */
  get isFull(): boolean {
    return this.#granted.size >= GRANTS_MAX
  }

  /** A client's lease of this key, and how many wait for it; null: no client has it. */
  of(
    db: number,
    key: Uint8Array,
    token: number,
  ): { readonly birth: number; readonly waiters: number } | null {
    const granted = this.#granted.get(token)
    if (granted === undefined || granted.db !== db || Buffer.compare(granted.key, key) !== 0) {
      return null
    }
    return { birth: granted.birth, waiters: granted.waiters.size }
  }

  /** A client has this lease, for so long at most. */
  give(grant: Grant, ms: number): void {
    const deadline = this.#clock.after(ms, () => this.#end(grant.token))
    this.#granted.set(grant.token, { ...grant, waiters: new Set(), deadline })
  }

  /**
   * What a filled lease brought; `stored` false: it was gone, and those who waited look again. They
   * hear it later: the command that brought it has its own reply to write first.
   */
  landed(token: number, value: Buffer, stored: boolean): void {
    const granted = this.#take(token)
    if (granted === undefined) return
    const outcome: Outcome = stored ? { kind: 'value', value, stored } : { kind: 'again' }
    this.#clock.soon(() => wake(granted, outcome))
  }

  /** Waits for a granted lease; `done` is called once, unless the waiter leaves before. */
  wait(token: number, waitMs: number, done: (outcome: Outcome) => void): Waiter {
    const granted = this.#granted.get(token)
    const waiter: Waiting = { done, timer: null }
    if (granted === undefined || granted.waiters.size >= WAITERS_MAX) {
      // It ended meanwhile; or they are so many that nobody can wait any more.
      const kind = granted === undefined ? 'again' : 'late'
      waiter.timer = this.#clock.after(0, () => done({ kind }))
      return { leave: () => waiter.timer?.cancel() }
    }
    granted.waiters.add(waiter)
    if (waitMs < Infinity) {
      waiter.timer = this.#clock.after(waitMs, () => {
        if (granted.waiters.delete(waiter)) done({ kind: 'late' })
      })
    }
    return {
      leave: () => {
        granted.waiters.delete(waiter)
        waiter.timer?.cancel()
      },
    }
  }

  /** Ends all of them. */
  close(): void {
    for (const token of [...this.#granted.keys()]) this.#end(token)
  }

  /** Its client has not filled it in time: its waiters look again. */
  #end(token: number): void {
    const granted = this.#take(token)
    if (granted !== undefined) wake(granted, { kind: 'again' })
  }

  /** From now on no client has it; if it still stands, it stands no more. */
  #take(token: number): Granted | undefined {
    const granted = this.#granted.get(token)
    if (granted === undefined) return undefined
    this.#granted.delete(token)
    granted.deadline.cancel()
    this.#store.now = this.#clock.now()
    this.#store.dropLease(granted.db, granted.key, token)
    return granted
  }
}

function wake({ waiters }: Granted, outcome: Outcome): void {
  for (const waiter of [...waiters]) {
    if (!waiters.delete(waiter)) continue
    waiter.timer?.cancel()
    waiter.done(outcome)
  }
}
