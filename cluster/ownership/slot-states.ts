/**
 * What this node has in each slot, and whether it may be seen.
 *
 *              gained                            gained
 *     own <------------- clean <------------- visited
 *      |                   ^  `-- a visit ---->  |
 *      | lost      removed |                     | a while later
 *      |                   |                     v
 *      `---------------> stale <-----------------'
 *                          |  ^
 *                  a visit |  | a while later
 *                          v  |
 *                       disturbed ---> visited    what was stale is dropped, for the owner is passed over
 *
 * A node also runs commands for keys of slots that it does not own: when it stands in for an owner that
 * does not answer, or when another node sees another ring. That is a *visit*. What visits leave behind
 * is right for as long as the owner is away, and old when it is back. So the entries of a slot are
 *
 * - `own`: this node decides about them
 * - `clean`: there are none
 * - `visited`: there are only those of visits a short while ago, which may be seen by others
 * - `stale`: left from when the slot was this node's, or from visits that are over. The owner has newer
 *   ones. They are never seen: the first visit of a key in a while removes what is there under it before
 *   it runs (visited-keys.ts). They are kept for a new owner that asks for them (ownership.ts), until all
 *   are removed at once
 * - `disturbed`: stale, and visited a moment ago, so it is not the moment to call it clean
 *
 * The states lie in memory that all threads share. Any of them visits; everything else is the hub's. That
 * no entry is left in a slot that is called clean follows from the hub's pace: it removes what is stale
 * only when nobody has visited the slot for about a second, and whoever looks before it calls the slot
 * clean makes that fail.
 */
import { SLOT_COUNT } from '../slots.ts'

const OWN = 0
const CLEAN = 1
const VISITED = 2
const STALE = 3
const DISTURBED = 4

const NAMES = ['own', 'clean', 'visited', 'stale', 'disturbed'] as const
export type SlotState = (typeof NAMES)[number]

/** Behind the states: since when this node has what it has, and whether others may have it too. */
const BEGUN_BYTES = 2 * Float64Array.BYTES_PER_ELEMENT
/** And behind that: which while it is, whether any slot hides entries, and how many keys those are. */
const WORDS_BYTES = 3 * Int32Array.BYTES_PER_ELEMENT
const WHILE = 0
const HIDES = 1
const HIDDEN_KEYS = 2

/** Before a cluster sets them, all slots are this node's own. */
export class SlotStates {
  /** For the SlotStates of another thread. */
  readonly shared: SharedArrayBuffer
  readonly #states: Uint8Array
  readonly #begun: Float64Array
  readonly #words: Int32Array

  constructor(shared = new SharedArrayBuffer(SLOT_COUNT + BEGUN_BYTES + WORDS_BYTES)) {
    this.shared = shared
    this.#states = new Uint8Array(shared, 0, SLOT_COUNT)
    this.#begun = new Float64Array(shared, SLOT_COUNT, BEGUN_BYTES / 8)
    this.#words = new Int32Array(shared, SLOT_COUNT + BEGUN_BYTES)
  }

  of(slot: number): SlotState {
    return NAMES[this.#states[slot]!]!
  }

  /** Since when this node has what it has, on the clock's scale: its start, or when it forgot all. */
  get begunAt(): number {
    return this.#begun[0]!
  }

  /** May other nodes have what was this node's before that? */
  get wasReplaced(): boolean {
    return this.#begun[1] === 1
  }

  /** The number of the while: what visits of one have left must not be seen in the next. */
  get while(): number {
    return Atomics.load(this.#words, WHILE)
  }

  /** Has any slot entries that must not be seen? For a second after the last had some, too. */
  get hidesAny(): boolean {
    return this.#words[HIDES] !== 0
  }

  /** How many keys that are, about (server/cluster/hidden-keys.ts). */
  get hiddenKeys(): number {
    return Math.max(0, this.#words[HIDDEN_KEYS]!)
  }

  /** A key that was hidden is gone. By any thread. */
  hiddenGone(): void {
    Atomics.sub(this.#words, HIDDEN_KEYS, 1)
  }

  /**
   * A command is about to run for a key of this slot. True: what is there under the key must be removed
   * first, unless it is from a visit in the same while (visited-keys.ts). Costs one read where the slot is this node's own.
   */
  visit(slot: number): boolean {
    const states = this.#states
    for (;;) {
      const state = states[slot]!
      if (state === OWN || state === VISITED) return false
      if (state === DISTURBED) return true
      const next = state === CLEAN ? VISITED : DISTURBED
      if (Atomics.compareExchange(states, slot, state, next) === state) return next === DISTURBED
    }
  }

  /** What was stale in the slot was made worthless: what visits leave from now on stands alone. By any thread. */
  drop(slot: number): void {
    const states = this.#states
    if (Atomics.compareExchange(states, slot, STALE, CLEAN) === STALE) return
    Atomics.compareExchange(states, slot, DISTURBED, VISITED)
  }

  /* ---- the hub's ---- */

  set hiddenKeys(count: number) {
    Atomics.store(this.#words, HIDDEN_KEYS, count)
  }

  set hidesAny(any: boolean) {
    Atomics.store(this.#words, HIDES, any ? 1 : 0)
  }

  /** There is nothing in any slot from now on; see `begunAt` and `wasReplaced`. */
  begin(now: number, wasReplaced: boolean): void {
    this.#begun[0] = now
    this.#begun[1] = wasReplaced ? 1 : 0
  }

  /** At the start: whose is the slot? */
  set(slot: number, isOwn: boolean): void {
    Atomics.store(this.#states, slot, isOwn ? OWN : CLEAN)
  }

  /** The slot is this node's from now on. To be called when nothing stale is in it any more. */
  gain(slot: number): void {
    Atomics.store(this.#states, slot, OWN)
  }

  /** The slot is another node's from now on. */
  lose(slot: number): void {
    this.beginWhile()
    this.hidesAny = true
    Atomics.store(this.#states, slot, STALE)
  }

  /** Does the slot have entries that must not be seen? */
  hidesSome(slot: number): boolean {
    const state = this.#states[slot]!
    return state === STALE || state === DISTURBED
  }

  /** Another while begins. Visits so far are to be settled next. */
  beginWhile(): void {
    Atomics.add(this.#words, WHILE, 1)
  }

  /** A while has gone by: visits are over. `isLong`: for `visited`, that goes on for that long already. */
  settle(slot: number, isLong: boolean): void {
    const state = this.#states[slot]!
    if (state === DISTURBED || (state === VISITED && isLong)) {
      this.hidesAny = true
      Atomics.compareExchange(this.#states, slot, state, STALE)
    }
  }

  /** What was stale is removed. Nothing if somebody came meanwhile: then it is to be removed again. */
  clean(slot: number): void {
    Atomics.compareExchange(this.#states, slot, STALE, CLEAN)
  }
}
