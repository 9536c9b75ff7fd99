/*
 * Looks one key of a group up, and sees to it that whatever is not fresh is loaded.
 *
 *     fresh                 there it is; near its end, perhaps, loaded anew meanwhile (XFetch)
 *     stale                 there it is, and it is loaded anew meanwhile
 *     known to be missing   there is nothing, and nobody asks the origin
 *     error-only, absent    loaded, once, however many ask (cluster/loads/loads.ts), and answered then
 *
 * Where a load fails or takes longer than its waiter waits, a value that is there for that case is the
 * answer.
 */
import type { Group } from '../../cluster/groups/group.ts'
import { isEarly } from '../../cluster/loads/keeping.ts'
import { isOutdated, type Miss, type Outcome, type Waiter } from '../../cluster/loads/loads.ts'
import type { Clock, Random } from '../../cluster/world.ts'
import { ERR_OOM } from '../../protocol/errors.ts'
import type { GroupHits } from '../facts.ts'
import { copyOpenValue } from './load-store.ts'
import { FRESH, NEGATIVE, STALE, type Store } from '../store/store.ts'

/** A key that a group has. */
export interface Wanted {
  readonly db: number
  /** It is kept until the load ends, and nobody changes it. */
  readonly key: Uint8Array
  readonly group: Group
  /** How long a value may be stale to be the answer. Default: as long as the group lets it be. */
  readonly staleMsMax?: number
  /** See Miss.waitMs. */
  readonly waitMs?: number
}

/** Those who load. */
export interface Flying {
  /** See Loads.wait. */
  wait(miss: Miss, done: (outcome: Outcome) => void): Waiter
  /** See Loads.refresh. */
  refresh(miss: Miss, early: boolean): void
}

export interface LookUpParts {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly loads: Flying
}

type Counting = { -readonly [K in keyof GroupHits]: number }

export class LookUp {
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random
  readonly #loads: Flying
  /** By the group's number. */
  readonly #hits: Counting[] = []
  /** Should what the last `look` found be loaded anew? Then `refresh` is to be called. */
  isDue = false
  /** The end of its freshness. */
  #dueFreshUntil = 0

  constructor({ store, clock, random, loads }: LookUpParts) {
    this.#store = store
    this.#clock = clock
    this.#random = random
    this.#loads = loads
  }

  /** What was found of a group's keys. */
  hits(group: Group): GroupHits {
    return this.#hitsOf(group)
  }

  /**
   * FRESH or STALE: the value is there. NEGATIVE: it is known that there is none. ABSENT or
   * ERROR_ONLY: it must be loaded. The store's `now` is set.
   */
  look(db: number, bytes: Uint8Array, pos: number, length: number, group: Group): number {
    return this.judge(group, this.#store.state(db, bytes, pos, length))
  }

  /** The same where the store was just asked for the state. */
  judge(group: Group, state: number): number {
    const store = this.#store
    const hits = this.#hitsOf(group)
    this.isDue = false
    this.#dueFreshUntil = store.freshUntil
    switch (state) {
      case FRESH:
        hits.hits++
        this.isDue = store.hasExtras && isEarly(store, group.earlyBeta, store.now, this.#random)
        return state
      case STALE:
        hits.staleHits++
        this.isDue = true
        return state
      case NEGATIVE:
        hits.negativeHits++
        return state
      default:
        hits.misses++
        return state
    }
  }

  /**
   * Loads a value that is there anew, unless somebody does already. `early`: it is still fresh. The
   * key is kept until the load ends, and nobody changes it. In a small store the value may have to go
   * for the lease of its load.
   */
  refresh(db: number, key: Uint8Array, group: Group, early: boolean): void {
    const store = this.#store
    // Another thread may have filled it anew in between: then there is nothing to do.
    const found = store.openAny(db, key, 0, key.length) && store.freshUntil === this.#dueFreshUntil
    const token = found ? store.leaseBeside() : 0
    const isFirst = found && token !== 0 && store.leasePlanted
    store.close()
    if (isFirst) this.#loads.refresh({ db, key, group, token }, early)
  }

  /**
   * What the key is answered with, once, later: its value, if it is fresh or stale enough; else what
   * its load brings, or what is there instead.
   */
  load(wanted: Wanted, done: (outcome: Outcome) => void): void {
    const { db, key, staleMsMax = Infinity } = wanted
    const store = this.#store
    store.now = this.#clock.now()
    const state = store.state(db, key, 0, key.length)
    if (state === NEGATIVE) {
      this.#clock.soon(() => done({ kind: 'missing' }))
      return
    }
    const isYoung = state === STALE && store.now - store.freshUntil <= staleMsMax
    const value = state === FRESH || isYoung ? this.#valueOf(wanted) : null
    if (value !== null) {
      this.#clock.soon(() => done({ kind: 'value', value, stored: false }))
      return
    }
    const left = this.#budget(wanted)
    this.#wait(wanted, true, (outcome) => {
      if (outcome.kind === 'again') this.load({ ...wanted, waitMs: left() }, done)
      else if (outcome.kind === 'value') done(outcome)
      else done(this.#instead(wanted, outcome))
    })
  }

  /** What a load brings whose value may be there already; nothing takes its place if it fails. */
  reload(wanted: Wanted, done: (outcome: Outcome) => void): void {
    this.#store.now = this.#clock.now()
    const left = this.#budget(wanted)
    this.#wait(wanted, false, (outcome) => {
      if (outcome.kind === 'again') this.reload({ ...wanted, waitMs: left() }, done)
      else done(outcome)
    })
  }

  /** How long the waiter still waits, whenever that is asked: one who looks again does not begin anew. */
  #budget({ group, waitMs = group.waitMs }: Wanted): () => number {
    const endsAt = this.#clock.now() + waitMs
    return () => Math.max(0, endsAt - this.#clock.now())
  }

  /** Plants the key's lease, or finds it, and waits for its load; `unlessFresh`: another thread may just have filled it. */
  #wait(wanted: Wanted, unlessFresh: boolean, done: (outcome: Outcome) => void): void {
    const { db, key, group, waitMs } = wanted
    const store = this.#store
    const found = store.openAny(db, key, 0, key.length)
    const { freshUntil } = store
    if (found && unlessFresh && (freshUntil === 0 || freshUntil > store.now)) {
      store.close()
      this.#clock.soon(() => done({ kind: 'again' }))
      return
    }
    const token = found ? store.leaseBeside() : store.lease()
    store.close()
    if (token === 0) {
      this.#clock.soon(() => done({ kind: 'error', line: ERR_OOM }))
      return
    }
    const miss: Miss = { db, key, group, token }
    const birth = store.birth()
    this.#loads.wait(waitMs === undefined ? miss : { ...miss, waitMs }, (outcome) => {
      done(isOutdated(outcome, birth) ? { kind: 'again' } : outcome)
    })
  }

  /** What is told to who would hear of a failure, of a load that takes too long, or of nothing. */
  #instead(wanted: Wanted, outcome: Outcome): Outcome {
    if (outcome.kind === 'missing') return outcome
    const { group } = wanted
    this.#store.now = this.#clock.now()
    const value = this.#valueOf(wanted)
    if (value !== null) {
      this.#hitsOf(group).staleHits++
      return { kind: 'value', value, stored: false }
    }
    const isHidden = outcome.kind === 'error' && group.onError === 'nil'
    return isHidden ? { kind: 'missing' } : outcome
  }

  /** A copy of the value that is there, if it is not stale for too long; null: there is none. */
  #valueOf({ db, key, staleMsMax = Infinity }: Wanted): Buffer | null {
    const store = this.#store
    const found = store.openAny(db, key, 0, key.length)
    const freshUntil = found ? (store.extras?.freshUntil ?? 0) : 0
    const isTooOld = freshUntil !== 0 && store.now - freshUntil > staleMsMax
    const value = found && !isTooOld ? copyOpenValue(store) : null
    store.close()
    return value
  }

  #hitsOf({ number }: Group): Counting {
    return (this.#hits[number] ??= { hits: 0, staleHits: 0, negativeHits: 0, misses: 0 })
  }
}
