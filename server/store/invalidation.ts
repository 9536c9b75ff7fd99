/*
 * Many entries made worthless at once, without looking for them: what all threads that share a store
 * know of it, in one shared array.
 *
 *   sequence | 65,536 cells | by prefix or group: purge.ts
 *
 * **By tag.** Every invalidation of a tag takes the next number of the sequence and writes it into
 * the tag's cell. An entry with tags keeps its *birth*, the sequence as it was when its load began;
 * it is dead if the cell of one of its tags was written since. So an invalidation is two writes,
 * however many entries have the tag, and each entry finds out for itself when somebody asks for it.
 * Tags whose hashes have the same low 16 bits share a cell: then an entry dies that need not have,
 * which is a miss. Numbers are compared by how long ago they were drawn, so that they may wrap.
 *
 * Rejected: a list of entries for each tag, as Varnish's xkey keeps it (memory for each pair, a lock
 * across buckets, and a million removals in one go).
 */
import * as extras from './extras.ts'
import { PURGE_WORDS } from './purge.ts'

const SEQUENCE = 0
const CELLS = 1
const CELL_COUNT = 65_536
const CELL_MASK = CELL_COUNT - 1

/** The first word of what purge.ts has. */
export const PURGE_AT = CELLS + CELL_COUNT
const WORDS = PURGE_AT + PURGE_WORDS

/** What the threads that share a store share for invalidation: `StoreOptions.invalidations`. */
export function shareInvalidations(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT))
}

/** Which tags were invalidated, and when. */
export class Invalidation {
  readonly #words: Int32Array

  /** `words`: of `shareInvalidations`. */
  constructor(words: Int32Array) {
    this.#words = words
  }

  /** How many invalidations of tags there were: a uint32 that may wrap. */
  get sequence(): number {
    return Atomics.load(this.#words, SEQUENCE) >>> 0
  }

  /** Was anything ever invalidated? (If not, nothing is dead.) */
  get wasUsed(): boolean {
    return this.sequence !== 0
  }

  /** Makes all entries with this tag dead that are there, and all whose load has begun. */
  invalidateTag(tag: number): void {
    const words = this.#words
    const at = CELLS + (tag & CELL_MASK)
    const number = Atomics.add(words, SEQUENCE, 1) + 1
    // Another thread's later number must stay: something may have been born in between.
    for (;;) {
      const cell = Atomics.load(words, at)
      const now = Atomics.load(words, SEQUENCE)
      if ((now - cell) >>> 0 <= (now - number) >>> 0) return
      if (Atomics.compareExchange(words, at, cell, number) === cell) return
    }
  }

  /** Was one of these tags invalidated since? */
  isDead(tags: readonly number[], birth: number): boolean {
    return tags.some((tag) => this.#isNewer(tag, birth))
  }

  /** The same for the extras at a position. */
  kills(view: DataView, at: number): boolean {
    const count = extras.tagCountAt(view, at)
    if (count === 0) return false
    const birth = extras.birthAt(view, at)
    for (let n = 0; n < count; n++) {
      if (this.#isNewer(extras.tagAt(view, at, n), birth)) return true
    }
    return false
  }

  #isNewer(tag: number, birth: number): boolean {
    const words = this.#words
    const cell = Atomics.load(words, CELLS + (tag & CELL_MASK))
    // A cell that was never written is as old as the sequence.
    const now = Atomics.load(words, SEQUENCE)
    return (now - cell) >>> 0 < (now - birth) >>> 0
  }
}
