import { strict as assert } from 'node:assert'
import { originBusy, originClosing, originFailed, originTimeout } from '../../protocol/errors.ts'
import { Grants } from './grants.ts'
import type { Group } from '../groups/group.ts'
import { LoadQueue, type Queued } from './load-queue.ts'
import { negativeTimesOf, type Times, timesOf } from './keeping.ts'
import { type Loaded, type Loader, ORIGIN_ERROR_KINDS, OriginError } from '../origin/loader.ts'
import type { OriginErrorKind } from '../origin/loader.ts'
import type { Clock, Random, Timer } from '../world.ts'

/**
 * What happens when the owner of a key misses it, or has a value that is not fresh any more: the
 * value is fetched once, however many ask.
 *
 *     GET misses ──> lease planted in the store, under the bucket's lock
 *                        │ token
 *                        v
 *     wait() ──────> flight of that token <── wait() of everyone who finds the lease
 *                        │ a place among the group's `concurrency`, else in its queue
 *                        v
 *                    loader.load()   ends with value, not found, error, deadline or throw
 *                        │
 *                        v
 *     fill(token) or dropLease(token), then every waiter hears the outcome, once
 *
 * **The lease is the fence.** A load is never sure that the value it brings is still true: a SET or
 * DEL may have come in between. So it may only fill the very lease it was started for. SET, DEL and
 * FLUSH replace or remove that record like any other; the fill then finds another token, or none,
 * and stores nothing. The next miss plants a new lease, with a token never used before, and has a
 * flight of its own: one that starts after the write. That is why flights are kept by token and not
 * by key, and why the end of an old flight cannot touch the lease of a new one.
 *
 * Those who waited for the fenced flight still get its value: they asked before the write was
 * acknowledged, so the answer from before it is a right one. Invalidation by tag takes no lease away,
 * since a load's tags come with its value: whoever joined after it looks again (`isOutdated`).
 *
 * **A value that is stale stays** beside the lease while it is loaded anew (`refresh`): who asks gets
 * it and waits for nothing. What became of the load replaces it; a load that fails leaves it as it
 * is. If the origin says that it has not changed (304) it is only kept for longer.
 *
 * **What the origin does not have** is remembered, too, where the group says `negative`.
 *
 * **The end always comes.** One timer a flight, started at the miss, covers its time in the queue as
 * well: when an origin hangs, those who queue behind it are told at the deadline too, instead of
 * each hanging in their turn. (Who is next in the queue: load-queue.ts.) A waiter's leaving, even the first one's, ends nothing.
 */
export class Loads {
  /** Leases that clients have, who load themselves. */
  readonly grants: Grants
  readonly #clock: Clock
  readonly #random: Random
  readonly #store: LeaseStore
  readonly #loader: Loader
  readonly #limits: LoadLimits
  readonly #report: (error: OriginError, group: Group) => void
  readonly #hear: (landing: Landing) => void
  /** By token. */
  readonly #flights = new Map<number, Flight>()
  readonly #groups = new Map<Group, GroupLoads>()
  /** After refreshes that failed: what will drop their leases. */
  readonly #resting = new Map<Timer, () => void>()
  #waiting = 0
  #closed = false

  constructor(options: LoadsOptions) {
    this.#clock = options.clock
    this.#random = options.random
    this.#store = options.store
    this.#loader = options.loader
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#report = options.report ?? (() => {})
    this.#hear = options.hear ?? (() => {})
    this.grants = new Grants(options.clock, options.store)
  }

  /** Loads under way or queued. */
  get inFlight(): number {
    return this.#flights.size
  }

  /** Waiters that have not heard yet. */
  get waiting(): number {
    return this.#waiting
  }

  /** Since the start; of one group, or of all. */
  counters(group?: Group): Readonly<LoadCounters> {
    if (group !== undefined) return this.#of(group).counters
    const sum = newCounters()
    for (const { counters } of this.#groups.values()) {
      for (const name of COUNTER_NAMES) sum[name] += counters[name]
      for (const kind of ORIGIN_ERROR_KINDS) sum.errors[kind] += counters.errors[kind]
    }
    return sum
  }

  /** The loads of a group at its origin now, and those queued for a place there. */
  underWay(group: Group): { readonly active: number; readonly queued: number } {
    const { active, queue } = this.#of(group)
    return { active, queued: queue.size }
  }

  /**
   * Waits for the load of a missed key. The first who asks starts it, if the lease still stands: in
   * a process of several threads that need not be the one who planted it. `done` is called exactly
   * once and never within this call, unless the waiter leaves before.
   */
  wait(miss: Miss, done: (outcome: Outcome) => void): Waiter {
    const flight = this.#flights.get(miss.token)
    if (this.#closed) return this.#refuse(miss, done, 'closing', originClosing(miss.group.name))
    if (flight !== undefined) return this.#join(flight, miss, done)
    if (this.grants.has(miss.token)) {
      // A client may have its lease for an hour: that is no load.
      const waitMs = Math.min(miss.waitMs ?? miss.group.waitMs, miss.group.timeoutMs)
      return this.grants.wait(miss.token, waitMs, done)
    }
    if (!this.#stands(miss)) return this.#lookAgain(miss, done)
    if (this.#isFull(this.#of(miss.group), miss.group)) {
      return this.#refuse(miss, done, 'busy', originBusy(miss.group.name))
    }
    return this.#enter(this.#start(miss), miss, done)
  }

  /**
   * Loads a value anew that is there, and beside which this lease stands. Nobody waits. `early`: it
   * is still fresh.
   */
  refresh(miss: Miss, early = false): void {
    if (this.#flights.has(miss.token) || this.grants.has(miss.token) || !this.#stands(miss)) return
    const { counters } = this.#of(miss.group)
    if (this.#closed || this.#isFull(this.#of(miss.group), miss.group)) {
      if (this.#closed) this.#dropLease(miss)
      else this.#dropLeaseLater(miss)
      counters.errors[this.#closed ? 'closing' : 'busy']++
      return
    }
    counters.refreshes++
    if (early) counters.early++
    this.#start(miss).isRefresh = true
  }

  /** The flight of a lease, for who wants to know; null: there is none. */
  flightOf(token: number): { readonly waiters: number; readonly sinceMs: number } | null {
    const flight = this.#flights.get(token)
    if (flight === undefined) return null
    return { waiters: flight.waiters.size, sinceMs: this.#clock.now() - flight.startedAt }
  }

  /** Ends all loads with an error to their waiters, and closes the loader's connections. */
  async close(): Promise<void> {
    this.#closed = true
    this.grants.close()
    for (const [timer, drop] of [...this.#resting]) {
      timer.cancel()
      drop()
    }
    for (const flight of [...this.#flights.values()]) {
      this.#fail(flight, new OriginError('closing', originClosing(flight.miss.group.name)))
    }
    await this.#loader.close()
  }

  #of(group: Group): GroupLoads {
    let loads = this.#groups.get(group)
    if (loads === undefined) {
      loads = { active: 0, queue: new LoadQueue(), counters: newCounters() }
      this.#groups.set(group, loads)
    }
    return loads
  }

  #isFull({ active, queue }: GroupLoads, group: Group): boolean {
    if (this.#flights.size >= this.#limits.flightsMax) return true
    return active >= group.concurrency && queue.size >= group.queueMax
  }

  /* ---- waiters ---- */

  #join(flight: Flight, miss: Miss, done: (outcome: Outcome) => void): Waiter {
    if (flight.waiters.size >= this.#limits.waitersMax) {
      return this.#refuse(miss, done, 'busy', originBusy(miss.group.name))
    }
    this.#of(miss.group).counters.joined++
    return this.#enter(flight, miss, done)
  }

  #enter(flight: Flight, miss: Miss, done: (outcome: Outcome) => void): Waiter {
    const waitMs = miss.waitMs ?? miss.group.waitMs
    const waiter: Waiting = { done, timer: NO_TIMER }
    flight.waiters.add(waiter)
    this.#waiting++
    const late = () => {
      if (!this.#dismiss(flight, waiter)) return
      this.#of(miss.group).counters.late++
      done({ kind: 'late' })
    }
    if (waitMs === 0) this.#clock.soon(late)
    else if (waitMs < Infinity) waiter.timer = this.#clock.after(waitMs, late)
    return { leave: () => void this.#dismiss(flight, waiter) }
  }

  /** False: the waiter is gone already. */
  #dismiss(flight: Flight, waiter: Waiting): boolean {
    if (!flight.waiters.delete(waiter)) return false
    this.#waiting--
    waiter.timer.cancel()
    return true
  }

  #refuse(
    miss: Miss,
    done: (outcome: Outcome) => void,
    kind: OriginErrorKind,
    line: string,
  ): Waiter {
    if (!this.#flights.has(miss.token)) this.#dropLease(miss)
    this.#of(miss.group).counters.errors[kind]++
    return this.#answerSoon(done, { kind: 'error', line, reason: kind })
  }

  /** The lease was found before its flight ended, and asked for after: it is gone. */
  #lookAgain(miss: Miss, done: (outcome: Outcome) => void): Waiter {
    this.#of(miss.group).counters.again++
    return this.#answerSoon(done, { kind: 'again' })
  }

  #answerSoon(done: (outcome: Outcome) => void, outcome: Outcome): Waiter {
    let left = false
    this.#waiting++
    const leave = () => {
      if (!left) this.#waiting--
      left = true
    }
    this.#clock.soon(() => {
      if (left) return
      leave()
      done(outcome)
    })
    return { leave }
  }

  /* ---- flights ---- */

  #start(miss: Miss): Flight {
    const { group } = miss
    const flight: Flight = {
      miss,
      waiters: new Set(),
      isRefresh: false,
      birth: this.#store.birth(),
      startedAt: this.#clock.now(),
      endsAt: this.#clock.now() + group.timeoutMs,
      askedAt: 0,
      before: null,
      after: null,
      controller: new AbortController(),
      deadline: this.#clock.after(group.timeoutMs, () => {
        this.#fail(flight, new OriginError('timeout', originTimeout(group.name, group.timeoutMs)))
      }),
    }
    this.#flights.set(miss.token, flight)
    const loads = this.#of(group)
    loads.counters.loads++
    loads.queue.add(flight)
    this.#fillPlaces(group, loads)
    return flight
  }

  async #load(flight: Flight): Promise<void> {
    flight.askedAt = this.#clock.now()
    let answer: Answer | null
    try {
      answer = await this.#askFor(flight)
    } catch (error) {
      const { name } = flight.miss.group
      const ours = error instanceof OriginError
      this.#fail(flight, ours ? error : new OriginError('failed', originFailed(name), error))
      return
    }
    if (answer === null) this.#lapse(flight)
    else this.#succeed(flight, answer.loaded, answer.tags)
  }

  /** Null: the value has not changed, is not there any more, and nobody wants it. */
  async #askFor(flight: Flight): Promise<Answer | null> {
    const { db, key } = flight.miss
    this.#store.now = this.#clock.now()
    const etag = this.#store.etag(db, key)
    let loaded = await this.#ask(flight, etag)
    if (loaded.unchanged === true) {
      this.#store.now = this.#clock.now()
      // A copy of then would undo what was written since: but then the lease is gone as well.
      const now = this.#store.remains(db, key)
      if (now !== null && now.etag === etag) {
        const kept = { ...loaded, value: now.value, etag: loaded.etag ?? etag ?? undefined }
        return { loaded: kept, tags: now.tags }
      }
      if (flight.waiters.size === 0 && !this.#stands(flight.miss)) return null
      loaded = await this.#ask(flight, null)
    }
    assert(loaded.value === null || loaded.value instanceof Uint8Array, 'a loader gave no value')
    return { loaded, tags: null }
  }

  #ask({ miss, controller }: Flight, etag: string | null): Promise<Loaded> {
    const { group, key } = miss
    const { url, params } = group.request(key)
    return this.#loader.load({ group, key, url, params, etag, signal: controller.signal })
  }

  /** Ends a load that has nobody to tell, and nothing to fill. */
  #lapse(flight: Flight): void {
    if (!this.#leave(flight)) return
    const { counters } = this.#of(flight.miss.group)
    counters.unchanged++
    counters.fenced++
    const tookMs = this.#clock.now() - flight.askedAt
    this.#hear({ miss: flight.miss, outcome: 'unchanged', error: null, tookMs })
  }

  /** `tags`: hashes of those that the value had before, if it has not changed. */
  #succeed(flight: Flight, loaded: Loaded, tags: readonly number[] | null): void {
    if (!this.#leave(flight)) return
    const { miss } = flight
    const { counters } = this.#of(miss.group)
    const now = this.#clock.now()
    this.#store.now = now
    const { value } = loaded
    const outcome = value === null ? 'missing' : loaded.unchanged === true ? 'unchanged' : 'value'
    counters[outcome === 'value' ? 'values' : outcome]++
    const times =
      value === null
        ? negativeTimesOf(loaded, miss.group, now)
        : timesOf(loaded, miss.group, now, this.#random)
    // What was there is older than what is known now: it goes in any case.
    const tagHashes = tags ?? (loaded.tags ?? []).map((tag) => this.#store.tagHash(tag))
    const filled =
      times === null
        ? this.#fill(flight, { value: null }, overAt(now), [])
        : this.#fill(flight, loaded, times, tagHashes)
    const stored = filled && times !== null
    if (times === null && value !== null) counters.unkept++
    if (!filled) counters.fenced++
    this.#hear({ miss, outcome, error: null, tookMs: now - flight.askedAt, note: loaded.note })
    if (value === null) this.#settle(flight, { kind: 'missing' })
    else if (!this.#store.isDead(tagHashes, flight.birth)) {
      this.#settle(flight, { kind: 'value', value, stored })
    } else this.#settle(flight, { kind: 'value', value, stored, birth: flight.birth })
  }

  #fail(flight: Flight, error: OriginError): void {
    if (!this.#leave(flight)) return
    this.#of(flight.miss.group).counters.errors[error.kind]++
    if (flight.isRefresh && !this.#closed) this.#dropLeaseLater(flight.miss)
    else this.#dropLease(flight.miss)
    this.#report(error, flight.miss.group)
    const tookMs = this.#clock.now() - flight.startedAt
    this.#hear({ miss: flight.miss, outcome: 'error', error, tookMs })
    const { message: line, kind: reason, cause } = error
    this.#settle(flight, { kind: 'error', line, reason, cause })
  }

  /** Takes the flight out of all tables. False: it has ended before, this end comes too late. */
  #leave(flight: Flight): boolean {
    const { group, token } = flight.miss
    if (this.#flights.get(token) !== flight) return false
    this.#flights.delete(token)
    flight.deadline.cancel()
    flight.controller.abort(ENDED)
    const loads = this.#of(group)
    if (loads.queue.delete(flight)) return true
    loads.active--
    if (!this.#closed) this.#fillPlaces(group, loads)
    return true
  }

  /** The rule may have changed: then several places are free at once, or none where one was left. */
  #fillPlaces(group: Group, loads: GroupLoads): void {
    while (loads.active < group.concurrency) {
      const next = loads.queue.take(this.#clock.now())
      if (next === null) return
      loads.active++
      void this.#load(next)
    }
  }

  #settle(flight: Flight, outcome: Outcome): void {
    for (const waiter of [...flight.waiters]) {
      if (this.#dismiss(flight, waiter)) waiter.done(outcome)
    }
  }

  /* ---- the store ---- */

  #fill(
    { miss, birth, askedAt }: Flight,
    { value, etag }: Loaded,
    times: Times,
    tags: readonly number[],
  ): boolean {
    const store = this.#store
    return store.fill(miss.db, miss.key, miss.token, value, {
      ...times,
      loadedAt: store.now,
      costMs: Math.max(1, Math.round(store.now - askedAt)),
      birth,
      tags,
      etag: etag ?? null,
      group: miss.group,
    })
  }

  #stands({ db, key, token }: Miss): boolean {
    this.#store.now = this.#clock.now()
    return this.#store.hasLease(db, key, token)
  }

  /**
   * While the lease stands nobody loads the stale value anew, so an origin that fails is not asked for it
   * with every read. (Who misses the key, and waits, starts a load all the same.)
   */
  #dropLeaseLater(miss: Miss): void {
    const drop = (): void => {
      this.#resting.delete(timer)
      if (!this.#flights.has(miss.token)) this.#dropLease(miss)
    }
    const timer = this.#clock.after(REFRESH_AGAIN_MS, drop)
    this.#resting.set(timer, drop)
  }

  #dropLease({ db, key, token }: Miss): void {
    this.#store.now = this.#clock.now()
    this.#store.dropLease(db, key, token)
  }
}

/** What loads need of the store. */
export interface LeaseStore {
  /** Milliseconds on the Clock's scale, set before each of the calls below. */
  now: number
  /**
   * Stores the value (null: that the origin has no such thing) if this very lease is still there,
   * which is gone afterwards. False: nothing was stored (another lease, none, no memory, or it was
   * invalidated since its birth).
   */
  fill(db: number, key: Uint8Array, token: number, value: Uint8Array | null, keep: Keep): boolean
  /** Does this very lease still stand? */
  hasLease(db: number, key: Uint8Array, token: number): boolean
  /** Removes this very lease; false if it is gone already. */
  dropLease(db: number, key: Uint8Array, token: number): boolean
  /** The ETag of the value that is there, also of one that is shown only if a load fails. */
  etag(db: number, key: Uint8Array): string | null
  /** A copy of that value. */
  remains(db: number, key: Uint8Array): Remains | null
  /** Stands for this moment in the order of invalidations by tag. */
  birth(): number
  /** Was one of these tags, given as hashes, invalidated since? */
  isDead(tags: readonly number[], birth: number): boolean
  tagHash(tag: string): number
}

/** How a loaded value is kept. */
export interface Keep extends Times {
  readonly loadedAt: number
  /** How long its load took. */
  readonly costMs: number
  /** When its load began, in the order of invalidations. */
  readonly birth: number
  /** Hashes. */
  readonly tags: readonly number[]
  readonly etag: string | null
  readonly group: Group
}

/** What is there of a key. */
export interface Remains {
  readonly value: Buffer
  readonly etag: string | null
  /** Hashes. */
  readonly tags: readonly number[]
}

/** How a flight ended. */
export interface Landing {
  readonly miss: Miss
  readonly outcome: 'value' | 'unchanged' | 'missing' | 'error'
  readonly error: OriginError | null
  /** At the origin; of a failed load with its time in the queue. */
  readonly tookMs: number
  readonly note?: string | undefined
}

export interface LoadsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly store: LeaseStore
  readonly loader: Loader
  readonly limits?: Partial<LoadLimits>
  /** Hears of each load that failed, once, with its cause: for the log. */
  readonly report?: (error: OriginError, group: Group) => void
  /** Hears of each flight's end. */
  readonly hear?: (landing: Landing) => void
}

/** Limits over all groups; more is refused with an error at once. */
export interface LoadLimits {
  readonly flightsMax: number
  readonly waitersMax: number
}

/** After a refresh that failed, until the next one of that key. */
const REFRESH_AGAIN_MS = 1000

const DEFAULT_LIMITS: LoadLimits = {
  // A key of up to 64 KB, a timer and a controller each: some 100 MB with keys of 1 KB.
  flightsMax: 65_536,
  // Of one flight. A closure and a timer each; more clients than a node has file descriptors for.
  waitersMax: 65_536,
}

/** A key that a node owns and has not, as the command that missed it saw it. */
export interface Miss {
  readonly db: number
  /** A copy: it is kept until the load ends. */
  readonly key: Uint8Array
  readonly group: Group
  /** Of the lease that stands for the key in the store. */
  readonly token: number
  /** How long this waiter waits, instead of the group's `wait`. 0: not at all; Infinity: to the end. */
  readonly waitMs?: number
}

/** What a waiter hears. */
export type Outcome =
  /**
   * One buffer for all waiters: read it only. `stored`: the store has it, until whoever hears this
   * returns (of a lease that a client has filled: it had it); otherwise a write came in between, or memory
   * had no room. `birth`: of its load, if a tag
   * of the value was invalidated since; see `isOutdated`.
   */
  | {
      readonly kind: 'value'
      readonly value: Buffer
      readonly stored: boolean
      readonly birth?: number
    }
  /** The origin has no such thing. */
  | { readonly kind: 'missing' }
  | Failure
  /** The wait budget is over: answer as if the key were missing. The load goes on, and fills. */
  | { readonly kind: 'late' }
  /** The lease is not, or no longer, being loaded: look the key up again. */
  | { readonly kind: 'again' }

/** Why there is no answer. */
export interface Failure {
  readonly kind: 'error'
  /** For the client, without '-' and CRLF. */
  readonly line: string
  /** Missing: it is none of loads. */
  readonly reason?: OriginErrorKind
  /** What the loader's error had as its cause; it does not leave its thread. */
  readonly cause?: unknown
}

/**
 * Was a tag of this value invalidated before who waited for it asked, at `birth`? Nobody knows a
 * load's tags before it ends, so its lease is not taken away, and others join it until then.
 */
export function isOutdated(outcome: Outcome, birth: number): boolean {
  if (outcome.kind !== 'value' || outcome.birth === undefined) return false
  return ((birth - outcome.birth) | 0) > 0
}

/** A place among those who wait. */
export interface Waiter {
  /** Gives the place up: `done` will not be called. The load goes on. */
  leave(): void
}

/** Counted since the start. */
export interface LoadCounters {
  /** Loads started, the queued ones included. */
  loads: number
  /** Waiters that found a load under way: each is a load saved. */
  joined: number
  /** Of the loads, those of a value that was there: nobody waited for them ... */
  refreshes: number
  /** ... and of these, of one that was still fresh. */
  early: number
  /** Loads that brought a value. */
  values: number
  /** Loads that brought word that the value has not changed. */
  unchanged: number
  /** Not stored: a SET, DEL, FLUSH or invalidation came in between, or memory had no room. */
  fenced: number
  /** Values that the origin does not want to be kept. */
  unkept: number
  /** Loads of what the origin does not have. */
  missing: number
  /** Waiters whose wait budget ended before the load. */
  late: number
  /** Waiters told to look again. */
  again: number
  /** Loads that failed, and (busy, closing) waiters refused. */
  readonly errors: Record<OriginErrorKind, number>
}

const COUNTER_NAMES = [
  'loads',
  'joined',
  'refreshes',
  'early',
  'values',
  'unchanged',
  'fenced',
  'unkept',
  'missing',
  'late',
  'again',
] as const satisfies readonly (keyof LoadCounters)[]

function newCounters(): LoadCounters {
  const errors = Object.fromEntries(ORIGIN_ERROR_KINDS.map((kind) => [kind, 0]))
  return {
    ...{ loads: 0, joined: 0, refreshes: 0, early: 0, values: 0, unchanged: 0, fenced: 0 },
    ...{ unkept: 0, missing: 0, late: 0, again: 0 },
    errors: errors as Record<OriginErrorKind, number>,
  }
}

/** What the origin answered; `tags`: hashes of those that an unchanged value had. */
interface Answer {
  readonly loaded: Loaded
  readonly tags: readonly number[] | null
}

interface GroupLoads {
  active: number
  readonly queue: LoadQueue<Flight>
  readonly counters: LoadCounters
}

interface Flight extends Queued {
  /** The miss that started it. */
  readonly miss: Miss
  readonly waiters: Set<Waiting>
  /** Nobody waited when it started: the value that is there is served meanwhile. */
  isRefresh: boolean
  readonly birth: number
  /** When it had its place at the origin. */
  askedAt: number
  readonly controller: AbortController
  readonly deadline: Timer
}

interface Waiting {
  readonly done: (outcome: Outcome) => void
  timer: Timer
}

/** The times of what may not be kept. */
function overAt(now: number): Times {
  const over = Math.floor(now)
  return { freshUntil: over, visibleUntil: over, expireAt: over }
}

const NO_TIMER: Timer = { cancel: () => {} }
const ENDED = new Error('the load has ended')
