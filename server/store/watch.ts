/*
 * Keys that somebody wants to hear of when they change: watched ones (WATCH) and tracked ones (CLIENT
 * TRACKING). What threads share of it, in one array:
 *
 *   interests | of all keys | 8,192 sets:  count, watchers, trackers of all other keys | interests
 *                                          8 cells: count, watchers, trackers | hash | second hash
 *
 * A key has a cell while somebody has an interest in it, and the cell's count goes up with each
 * change. Who watches remembers the count, and whether there was such a key: if both are the same
 * later, nothing has changed in between.
 *
 * A set is chosen by the low bits of the key's hash, of which the lowest choose the bucket. So all
 * keys of a set belong to one bucket, and its lock guards the set: no lock is added, and a change is
 * seen by whoever locks the key afterwards. Two hashes tell keys apart, 64 bits.
 *
 * Where all cells of a set are taken, further interests share the count of the set, which goes up with
 * a change of any key there, the 8,192th part of all keys: then somebody hears too much, never too
 * little.
 *
 * Somebody may also want to hear of all keys (CLIENT TRACKING BCAST): then every change is told.
 *
 * While nobody has any interest a write reads one word, `interests`. It need not be read atomically:
 * an interest is entered under the lock that the write holds.
 *
 * What is a change: whatever Redis signals (signalModifiedKey). Every write that did something, a SET
 * of the same value too; DEL of a key that was there; and the end of an entry for whatever reason:
 * evicted, expired, flushed, found invalidated. And a value that a load has brought.
 */
import { fnv1a } from './hash.ts'
import { assert } from './memory.ts'
import type { Notices } from './notices.ts'

/** Kinds of interest; each counts those who have it. */
export const WATCHED = 1
export const TRACKED = 2
export type Interest = typeof WATCHED | typeof TRACKED

/** Words of what counts: of a cell, or of all other keys of its set. */
const COUNT = 0
// WATCHED and TRACKED: how many have such an interest.
const COUNTING_WORDS = 3

const HASH = COUNTING_WORDS
const SECOND = HASH + 1
const CELL_WORDS = SECOND + 1
const CELLS_PER_SET = 8

/** Interests of the set's cells, and of all other keys. */
const INTERESTS = COUNTING_WORDS
const CELLS = INTERESTS + 1
const SET_WORDS = CELLS + CELLS_PER_SET * CELL_WORDS

/** 65,536 cells. A power of two, and not less than there are buckets. */
export const SETS = 8_192
const SET_MASK = SETS - 1

/** The first word counts all interests, the second those in whatever key it is. */
const ALL_INTERESTS = 0
const IN_ALL_KEYS = 1
const FIRST_SET = 2
const WORDS = FIRST_SET + SETS * SET_WORDS

/** A tracked key that changed: copies, the callee's. */
export type TouchListener = (db: number, key: Uint8Array) => void

export interface Touched {
  readonly db: number
  readonly key: Uint8Array
}

/** One interest of somebody in a key, of `Store.watch` until `Store.unwatch`. */
export interface Watch {
  readonly interest: Interest
  readonly db: number
  readonly key: Uint8Array
  /** Of the key's bucket. */
  readonly bucket: number
  /** Where it is counted. */
  readonly at: number
  /** The count when it began. */
  readonly count: number
  /** Was there such a key then? */
  readonly wasThere: boolean
}

/** What the threads that share a store share for it: `StoreOptions.watches`. */
export function shareWatches(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT))
}

/** All interests in keys. Each method wants the lock of the key's bucket. */
export class Watches {
  readonly #words: Int32Array
  readonly #seed: number
  /** Where changes of tracked keys are told. */
  readonly #touched: Notices<Touched>
  /** Changes are counted, but not told: who makes them tells of all at once. */
  isQuiet = false

  /** `words`: of `shareWatches`. `seed`: the store's. */
  constructor(words: Int32Array, seed: number, touched: Notices<Touched>) {
    this.#words = words
    this.#seed = seed
    this.#touched = touched
  }

  /** Has anybody any interest in any key? */
  get areUsed(): boolean {
    return this.#words[ALL_INTERESTS] !== 0
  }

  /** May keys of this bucket be of interest? */
  mayConcern(bucket: number, buckets: number): boolean {
    if (this.#words[IN_ALL_KEYS] !== 0 && !this.isQuiet) return true
    for (let set = bucket; set < SETS; set += buckets) {
      if (this.#words[setAt(set) + INTERESTS] !== 0) return true
    }
    return false
  }

  /** Begins an interest in a key. @returns where it is counted */
  enter(
    interest: Interest,
    hash: number,
    db: number,
    bytes: Uint8Array,
    pos: number,
    length: number,
  ): number {
    const words = this.#words
    const set = setAt(hash)
    const at = this.#placeFor(set, hash, this.#second(db, bytes, pos, length))
    words[at + interest]!++
    words[set + INTERESTS]!++
    Atomics.add(words, ALL_INTERESTS, 1)
    return at
  }

  /** Ends an interest. */
  leave(interest: Interest, at: number): void {
    const words = this.#words
    assert(words[at + interest]! > 0, 'an interest ends that nobody has')
    words[at + interest]!--
    words[at - ((at - FIRST_SET) % SET_WORDS) + INTERESTS]!--
    Atomics.sub(words, ALL_INTERESTS, 1)
  }

  /** Begins or ends an interest in all keys. Wants no lock: whoever begins a write afterwards sees it. */
  enterAll(by: 1 | -1): void {
    Atomics.add(this.#words, IN_ALL_KEYS, by)
    Atomics.add(this.#words, ALL_INTERESTS, by)
  }

  /** Of the key that is counted there. */
  bucketAt(at: number, buckets: number): number {
    return Math.floor((at - FIRST_SET) / SET_WORDS) & (buckets - 1)
  }

  /** How many changes were counted there. */
  countAt(at: number): number {
    return this.#words[at + COUNT]!
  }

  /** The key was changed. */
  touch(hash: number, db: number, bytes: Uint8Array, pos: number, length: number): void {
    const words = this.#words
    const set = setAt(hash)
    let isTracked = words[IN_ALL_KEYS] !== 0
    if (words[set + INTERESTS] !== 0) {
      if (this.#countUp(set)) isTracked = true
      let second: number | null = null
      for (let i = 0; i < CELLS_PER_SET; i++) {
        const at = set + CELLS + i * CELL_WORDS
        if (words[at + HASH] !== hash || this.#isFree(at)) continue
        second ??= this.#second(db, bytes, pos, length)
        if (words[at + SECOND] === second && this.#countUp(at)) isTracked = true
      }
    }
    if (!isTracked || this.isQuiet) return
    this.#touched.push({ db, key: bytes.slice(pos, pos + length) })
  }

  /** True: the key, or one of those that are counted here, is tracked. */
  #countUp(at: number): boolean {
    this.#words[at + COUNT]!++
    return this.#words[at + TRACKED]! > 0
  }

  /** The key's cell, or a free one that becomes its, or that of all other keys of the set. */
  #placeFor(set: number, hash: number, second: number): number {
    const words = this.#words
    let free = set
    for (let i = CELLS_PER_SET - 1; i >= 0; i--) {
      const at = set + CELLS + i * CELL_WORDS
      if (this.#isFree(at)) free = at
      else if (words[at + HASH] === hash && words[at + SECOND] === second) return at
    }
    if (free === set) return set
    words[free + HASH] = hash
    words[free + SECOND] = second
    return free
  }

  #isFree(at: number): boolean {
    return this.#words[at + WATCHED] === 0 && this.#words[at + TRACKED] === 0
  }

  #second(db: number, bytes: Uint8Array, pos: number, length: number): number {
    return fnv1a(bytes, pos, length, (this.#seed ^ Math.imul(db + 1, 0x85ebca6b)) | 0) | 0
  }
}

function setAt(hash: number): number {
  return FIRST_SET + (hash & SET_MASK) * SET_WORDS
}
