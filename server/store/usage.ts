/*
 * How much of the store each group has: keys, and bytes in all (ring, pages and slot) of entries that
 * were loaded for it, negative ones included. Counted when an entry comes and goes, by whichever
 * thread holds its bucket's lock, in one array that all threads share:
 *
 *   keys of group 0 | bytes of group 0, in units of 8 | keys of group 1 | ...
 *
 * An entry's bytes are rounded up to the unit, so that 32 bits are enough for 32 GB.
 */
import { assert } from './memory.ts'

const UNIT_SHIFT = 3
const UNIT_BYTES = 1 << UNIT_SHIFT
const KEYS = 0
const UNITS = 1
const WORDS_PER_GROUP = 2

/** What the threads that share a store share for it: `StoreOptions.groupUsage`. */
export function shareGroupUsage(groups: number): Int32Array {
  const words = WORDS_PER_GROUP * Math.max(1, groups)
  return new Int32Array(new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT))
}

/** The usage of all groups. Groups whose number it has no room for are not counted. */
export class Usage {
  readonly #words: Int32Array

  constructor(words: Int32Array) {
    this.#words = words
  }

  get groups(): number {
    return this.#words.length / WORDS_PER_GROUP
  }

  keys(group: number): number {
    assert(group >= 0 && group < this.groups, 'there is no such group')
    return Atomics.load(this.#words, group * WORDS_PER_GROUP + KEYS)
  }

  bytes(group: number): number {
    assert(group >= 0 && group < this.groups, 'there is no such group')
    return (Atomics.load(this.#words, group * WORDS_PER_GROUP + UNITS) >>> 0) * UNIT_BYTES
  }

  /** Throws when another count has come to something else; `other` is of the same groups. */
  check(other: Usage): void {
    const isSame = this.#words.every((word, i) => word === other.#words[i])
    assert(isSame, 'the usage of a group is counted wrong')
  }

  /** Counts of nothing, for the same groups. */
  blank(): Usage {
    return new Usage(new Int32Array(this.#words.length))
  }

  /** An entry of so many bytes comes (1) or goes (-1); `keys`: how many keys it is, 1 or 0. */
  count(group: number, bytes: number, keys: number, by: number): void {
    if (group >= this.groups) return
    const at = group * WORDS_PER_GROUP
    const units = (bytes + UNIT_BYTES - 1) >>> UNIT_SHIFT
    if (keys !== 0) Atomics.add(this.#words, at + KEYS, by)
    Atomics.add(this.#words, at + UNITS, by * units)
  }
}
