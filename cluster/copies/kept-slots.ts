/**
 * Of which slots this node has copies for another one, and what they are good for; seen by all its
 * threads.
 *
 *              a stream opens it            its owner is down, this node has the slot
 *     NOTHING -------------------> KEPT ------------------------------------------> PROMOTED
 *                                    |  its owner leaves, this node has the slot       ^
 *                                    `---------------------------------> BEHIND -------'
 *                                                                              it is gone
 *
 * - `KEPT`: who asks this node for a key of the slot, because its owner does not answer, is shown the
 *   copy, for as long as that is to be trusted (trust.ts)
 * - `PROMOTED`: a copy becomes the entry of its key when a command first touches it, or before
 * - `BEHIND`: the owner still gives its keys away itself (server/cluster/takeover.ts): a copy is there for the
 *   case that it does not come to that, and worthless once the key was touched
 *
 * The hub alone changes states.
 */
import { SLOT_COUNT } from '../slots.ts'

export const NOTHING = 0
export const KEPT = 1
export const PROMOTED = 2
export const BEHIND = 3

/** Nodes that this one keeps copies for. */
export const SOURCES_MAX = 255

const KEEPS = 0
const SETTLES = 1
const FLUSHES = 2
const WORDS_BYTES = 16
const TRUST_BYTES = SOURCES_MAX * Float64Array.BYTES_PER_ELEMENT

/** See the top of the file. */
export class KeptSlots {
  /** For the KeptSlots of another thread. */
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #trustedUntil: Float64Array
  readonly #states: Uint8Array
  readonly #sources: Uint8Array

  constructor(shared = new SharedArrayBuffer(WORDS_BYTES + TRUST_BYTES + 2 * SLOT_COUNT)) {
    this.shared = shared
    this.#words = new Int32Array(shared, 0, WORDS_BYTES / 4)
    this.#trustedUntil = new Float64Array(shared, WORDS_BYTES, SOURCES_MAX)
    const statesAt = WORDS_BYTES + TRUST_BYTES
    this.#states = new Uint8Array(shared, statesAt, SLOT_COUNT)
    this.#sources = new Uint8Array(shared, statesAt + SLOT_COUNT, SLOT_COUNT)
  }

  /** Is there any slot with copies? */
  get keeps(): boolean {
    return this.#words[KEEPS] !== 0
  }

  /** Is there one whose keys must be settled before a command runs for them? */
  get settles(): boolean {
    return this.#words[SETTLES] !== 0
  }

  /** One of the four states. */
  of(slot: number): number {
    return this.#states[slot]!
  }

  /** Are the copies of this slot, which is KEPT, to be trusted at `now`, in ms on the clock's scale? */
  isTrusted(slot: number, now: number): boolean {
    return this.isTrustedSource(this.#sources[slot]!, now)
  }

  /** The same for all that are kept for one node. */
  isTrustedSource(source: number, now: number): boolean {
    return now <= this.#trustedUntil[source]!
  }

  /* ---- by any thread ---- */

  /**
   * All keys are being removed, until `endFlush`: no copy becomes anything any more that was there before.
   */
  beginFlush(): void {
    Atomics.add(this.#words, FLUSHES, 1)
  }

  endFlush(): void {
    Atomics.sub(this.#words, FLUSHES, 1)
  }

  get isFlushing(): boolean {
    return Atomics.load(this.#words, FLUSHES) !== 0
  }

  /* ---- the hub's ---- */

  /** `source`: the place of the node that the copies are kept for. */
  set(slot: number, state: number, source = this.#sources[slot]!): void {
    this.#sources[slot] = source
    Atomics.store(this.#states, slot, state)
  }

  /** Until when, on the clock's scale, copies of this source are to be trusted. */
  trust(source: number, until: number): void {
    this.#trustedUntil[source] = until
  }

  /** To be called after states have changed. */
  count(): void {
    let keeps = 0
    let settles = 0
    for (const state of this.#states) {
      if (state !== NOTHING) keeps = 1
      if (state === PROMOTED || state === BEHIND) settles = 1
    }
    Atomics.store(this.#words, KEEPS, keeps)
    Atomics.store(this.#words, SETTLES, settles)
  }
}
