/**
 * Whether clients of this node have written a key since: a count for each slot, which all threads of
 * the node share.
 *
 * A copy of a value is good as long as its stamp is what it was when the copy was asked for. Each
 * write that is sent to another node counts twice, when it goes and when its answer is there. So who
 * writes through this node sees its own write in what it reads through this node afterwards, over
 * whichever connection and thread: the copies that it could contradict are worthless before the
 * write is answered, without a message between threads. A write of one key makes copies of all keys
 * of its slot worthless; that is one read more of each.
 */
import { SLOT_COUNT } from '../slots.ts'

/** The word behind the slots counts writes of who knows which keys. */
const ALL = SLOT_COUNT

export class Stamps {
  /** For the Stamps of another thread. */
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(shared = new SharedArrayBuffer((SLOT_COUNT + 1) * Int32Array.BYTES_PER_ELEMENT)) {
    this.shared = shared
    this.#words = new Int32Array(shared)
  }

  /** Equal later if nothing of the slot was written in between. */
  of(slot: number): number {
    // Both only grow, and wrap around after more writes than a copy lives for.
    return (Atomics.load(this.#words, slot) + Atomics.load(this.#words, ALL)) | 0
  }

  wrote(slot: number): void {
    Atomics.add(this.#words, slot, 1)
  }

  /** Any key may have been written. */
  wroteAll(): void {
    Atomics.add(this.#words, ALL, 1)
  }
}
