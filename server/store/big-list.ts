/*
 * The list of big values: all entries with pages of all buckets, in the order in which they go.
 *
 * A value larger than a bucket's share cannot be managed inside its bucket: it would push out
 * everything else there, or be pushed out by it. So the rings of buckets never let an entry with
 * pages go. It is in one of two lists across all buckets, small and main, under the same policy as
 * the entries in rings (eviction.ts); only that here a move is a change of links.
 *
 *   newest <-> ... <-> oldest        doubly linked by the table's rows of the values' first pages
 *
 * A row also says when the value came in (by its bucket's clock) and the hash of its key, by which
 * the entry is found again: entries move within their rings, pages do not.
 *
 * The lock is a leaf. Whoever adds, moves or removes a value holds its bucket's lock as well; who
 * only looks for the oldest does not, and looks again when it has the lock.
 */
import type { Chains } from './big.ts'
import type { Arena, Layout } from './memory.ts'
import { acquire, release } from './memory.ts'
import { BIG_LISTS, ENTERED, NEWER, OLDER, OWNER } from './pool.ts'

/** Fields: one lock, and for each list three words. */
const LOCK = 0
const LISTS = 1
const LIST_WORDS = 3
const NEWEST = 0
const OLDEST = 1
const PAGES = 2

export class BigList {
  readonly #chains: Chains
  readonly #words: Int32Array
  readonly #lock: number
  readonly #lists: number

  /** The lists stand in arena 0; pages are of any. */
  constructor(arena: Arena, layout: Layout, chains: Chains) {
    this.#chains = chains
    this.#words = arena.words
    this.#lock = layout.header + BIG_LISTS + LOCK
    this.#lists = layout.header + BIG_LISTS + LISTS
  }

  /** The first page of the oldest value of a list, 0: it is empty. */
  oldest(isMain: boolean): number {
    return Atomics.load(this.#words, this.#list(isMain) + OLDEST)
  }

  /** The next newer value in its list, 0: none. */
  newer(page: number): number {
    return this.#chains.field(page, NEWER)
  }

  /** Hash of the key of a value. */
  hash(page: number): number {
    return this.#chains.field(page, OWNER)
  }

  /** Its bucket's clock when it came into its list, or was given another round. */
  enteredAt(page: number): number {
    return this.#chains.field(page, ENTERED)
  }

  /** Pages of all values of a list. */
  pages(isMain: boolean): number {
    return Atomics.load(this.#words, this.#list(isMain) + PAGES)
  }

  /** Adds a value that has `count` pages as the newest. */
  enter(
    page: number,
    value: { hash: number; clock: number; isMain: boolean; count: number },
  ): void {
    acquire(this.#words, this.#lock)
    this.#chains.setField(page, OWNER, value.hash)
    this.#chains.setField(page, ENTERED, value.clock)
    this.#add(this.#list(value.isMain), page)
    this.#words[this.#list(value.isMain) + PAGES]! += value.count
    release(this.#words, this.#lock)
  }

  /** Makes a value that has just come in older, by the bucket's clock. */
  backdate(page: number, age: number): void {
    this.#chains.setField(page, ENTERED, (this.#chains.field(page, ENTERED) - age) | 0)
  }

  leave(page: number, isMain: boolean, count: number): void {
    acquire(this.#words, this.#lock)
    this.#remove(this.#list(isMain), page)
    this.#words[this.#list(isMain) + PAGES]! -= count
    release(this.#words, this.#lock)
  }

  /** Makes a value the newest of its list. */
  renew(page: number, isMain: boolean, clock: number): void {
    acquire(this.#words, this.#lock)
    this.#remove(this.#list(isMain), page)
    this.#add(this.#list(isMain), page)
    this.#chains.setField(page, ENTERED, clock)
    release(this.#words, this.#lock)
  }

  /** Moves a value that has `count` pages from the small list to the main one. */
  promote(page: number, clock: number, count: number): void {
    const words = this.#words
    acquire(words, this.#lock)
    this.#remove(this.#list(false), page)
    this.#add(this.#list(true), page)
    words[this.#list(false) + PAGES]! -= count
    words[this.#list(true) + PAGES]! += count
    this.#chains.setField(page, ENTERED, clock)
    release(words, this.#lock)
  }

  /** The first pages of a list, oldest first; for tests. */
  *walk(isMain: boolean): Generator<number> {
    for (let page = this.oldest(isMain); page !== 0; page = this.newer(page)) yield page
  }

  #list(isMain: boolean): number {
    return this.#lists + (isMain ? LIST_WORDS : 0)
  }

  #add(list: number, page: number): void {
    const words = this.#words
    const newest = words[list + NEWEST]!
    this.#chains.setField(page, NEWER, 0)
    this.#chains.setField(page, OLDER, newest)
    if (newest === 0) words[list + OLDEST] = page
    else this.#chains.setField(newest, NEWER, page)
    words[list + NEWEST] = page
  }

  #remove(list: number, page: number): void {
    const words = this.#words
    const newer = this.#chains.field(page, NEWER)
    const older = this.#chains.field(page, OLDER)
    if (newer === 0) words[list + NEWEST] = older
    else this.#chains.setField(newer, OLDER, older)
    if (older === 0) words[list + OLDEST] = newer
    else this.#chains.setField(older, NEWER, newer)
  }
}
