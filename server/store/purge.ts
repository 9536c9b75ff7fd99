/*
 * Entries by prefix, by group or by slot made worthless at once, and removed afterwards.
 *
 *   store:   color 0            color 1, matcher "user:"            color 1
 *   entries: all 0              0 and matching: dead                all 1
 *            ------- begin -------------- sweep ---------------- end -------
 *
 * A store has a color, one bit, and every entry that is written gets it (entry.ts). To invalidate,
 * the matcher is published and the color changes. From then on an entry of the other color was there
 * before; if its key matches it is dead, whoever finds it. That takes as long for a million keys as
 * for one. A sweep then goes through all buckets in short steps, removes who is dead and gives all
 * others the new color; when it is through, no entry has the old color, and the next invalidation may
 * begin. Leases have a color like all entries, so loads under way are fenced off too.
 *
 * While nothing is invalidated all entries have the store's color: then a hit costs the comparison
 * that it needs anyway, whether an entry is anything but plain (bucket.ts).
 *
 * What threads share (part of the array of invalidation.ts):
 *
 *   lock | version | color | active | kind | database | bytes | prefix, name or slots, 65,536 bytes
 *
 * A thread looks at the version whenever it has locked a bucket, and reads the rest if it is another.
 * That is soon enough: the sweep takes each bucket's lock after the change. So a write of the old
 * color is in its bucket before the sweep comes there, and whoever locks a bucket that was swept knows
 * the new color. Of a set of buckets that are locked together (`Store.lockKeys`) it is read once, so
 * that an invalidation is before all of them or after. A bucket that is entered for its memory only
 * (relief.ts) is judged by what was known before: nobody is taken for dead there by color.
 *
 * Rejected: a generation in each entry, compared with its group's (four bytes an entry, and no
 * prefixes); a list of matchers, so that several can be under way (each look-up would try all).
 */
import { COLOR } from './entry.ts'
import { acquire, assert, release } from './memory.ts'
import type { Verb } from './verb.ts'

/** Longest prefix, or name of a group. */
export const MATCHER_BYTES_MAX = 65_536

/** Words, from where this part begins. */
const LOCK = 0
const VERSION = 1
const STORE_COLOR = 2
const ACTIVE = 3
const KIND = 4
const DATABASE = 5
const LENGTH = 6
const TEXT = 8

export const PURGE_WORDS = TEXT + MATCHER_BYTES_MAX / 4

const NOTHING = 0
const PREFIX = 1
const GROUP = 2
const SLOTS = 3

/** Bytes of a set of a cluster's 16,384 slots: slot s is bit s & 7 of byte s >> 3. */
export const SLOT_SET_BYTES = 16_384 / 8

/** Which keys; of one database, or of all (-1). `slots` has SLOT_SET_BYTES. */
export type Matcher =
  | { readonly kind: 'prefix'; readonly db: number; readonly bytes: Uint8Array }
  | { readonly kind: 'group'; readonly db: number; readonly name: string }
  | { readonly kind: 'slots'; readonly db: number; readonly slots: Uint8Array }

/** Is the key at bytes[pos, pos + length) meant? */
export type KeyMatcher = (bytes: Uint8Array, pos: number, length: number) => boolean

/** The keys of the group of this name; null: there is none. */
export type MatcherOf = (name: string) => KeyMatcher | null

/** The slot of the key at bytes[pos, pos + length), below 16,384. */
export type SlotOf = (bytes: Uint8Array, pos: number, length: number) => number

/** What the store does not know of keys itself. */
export interface KeyKnowledge {
  readonly matcherOf: MatcherOf
  readonly slotOf: SlotOf
}

const KINDS = { prefix: PREFIX, group: GROUP, slots: SLOTS } as const

function textOf(matcher: Matcher): Uint8Array {
  switch (matcher.kind) {
    case 'prefix':
      return matcher.bytes
    case 'group':
      return new TextEncoder().encode(matcher.name)
    case 'slots':
      assert(matcher.slots.length === SLOT_SET_BYTES, 'a set of slots has a bit for each')
      return matcher.slots
  }
}

/** What is being invalidated by key, as one thread sees it. */
export class Purge {
  readonly #words: Int32Array
  readonly #text: Uint8Array
  readonly #at: number
  readonly #verb: Verb
  readonly #known: KeyKnowledge
  #seen = -1
  #db = -1
  /** Null: nobody is meant. */
  #matcher: KeyMatcher | null = null

  /** `at`: the first word of this part. */
  constructor(words: Int32Array, at: number, verb: Verb, known: KeyKnowledge) {
    this.#words = words
    this.#text = new Uint8Array(words.buffer, words.byteOffset + 4 * (at + TEXT), MATCHER_BYTES_MAX)
    this.#at = at
    this.#verb = verb
    this.#known = known
  }

  /** Right after a bucket was locked: takes note of what changed. */
  look(): void {
    if (this.#words[this.#at + VERSION] !== this.#seen) this.#read()
  }

  /** Is one under way, as far as this thread knows? */
  get isActive(): boolean {
    return this.#matcher !== null
  }

  /**
   * Makes all keys that match dead. False: the one before is not swept yet.
   * @throws {RangeError} the matcher is too long
   */
  begin(matcher: Matcher): boolean {
    const words = this.#words
    const at = this.#at
    const text = textOf(matcher)
    if (text.length > MATCHER_BYTES_MAX) {
      throw new RangeError(`what is invalidated must have at most ${MATCHER_BYTES_MAX} bytes`)
    }
    if (Atomics.compareExchange(words, at + ACTIVE, 0, 1) !== 0) return false
    acquire(words, at + LOCK)
    words[at + KIND] = KINDS[matcher.kind]
    words[at + DATABASE] = matcher.db
    words[at + LENGTH] = text.length
    this.#text.set(text)
    words[at + STORE_COLOR]! ^= COLOR
    Atomics.add(words, at + VERSION, 1)
    release(words, at + LOCK)
    return true
  }

  /** The sweep is through: all entries have the store's color. */
  end(): void {
    const words = this.#words
    const at = this.#at
    assert(words[at + ACTIVE] === 1, 'a sweep ends that did not begin')
    acquire(words, at + LOCK)
    words[at + KIND] = NOTHING
    Atomics.add(words, at + VERSION, 1)
    release(words, at + LOCK)
    Atomics.store(words, at + ACTIVE, 0)
  }

  /** Is this key, of an entry of the other color, dead? */
  matches(db: number, bytes: Uint8Array, pos: number, length: number): boolean {
    if (this.#matcher === null || (this.#db >= 0 && this.#db !== db)) return false
    return this.#matcher(bytes, pos, length)
  }

  #read(): void {
    const words = this.#words
    const at = this.#at
    acquire(words, at + LOCK)
    this.#seen = words[at + VERSION]!
    this.#verb.color = words[at + STORE_COLOR]!
    this.#db = words[at + DATABASE]!
    const kind = words[at + KIND]!
    const text = this.#text.slice(0, kind === NOTHING ? 0 : words[at + LENGTH]!)
    release(words, at + LOCK)
    this.#matcher = null
    if (kind === PREFIX)
      this.#matcher = (bytes, pos, length) => startsWith(text, bytes, pos, length)
    if (kind === GROUP) this.#matcher = this.#known.matcherOf(new TextDecoder().decode(text))
    if (kind === SLOTS) {
      const { slotOf } = this.#known
      this.#matcher = (bytes, pos, length) => hasSlot(text, slotOf(bytes, pos, length))
    }
  }
}

/** Is the slot in this set? */
export function hasSlot(slots: Uint8Array, slot: number): boolean {
  return (slots[slot >> 3]! & (1 << (slot & 7))) !== 0
}

/** Puts the slot into this set. */
export function addSlot(slots: Uint8Array, slot: number): void {
  slots[slot >> 3]! |= 1 << (slot & 7)
}

/** These slots as a set of SLOT_SET_BYTES. */
export function slotSetOf(slots: Iterable<number>): Uint8Array {
  const set = new Uint8Array(SLOT_SET_BYTES)
  for (const slot of slots) addSlot(set, slot)
  return set
}

function startsWith(prefix: Uint8Array, bytes: Uint8Array, pos: number, length: number): boolean {
  if (length < prefix.length) return false
  for (let i = 0; i < prefix.length; i++) if (bytes[pos + i] !== prefix[i]) return false
  return true
}
