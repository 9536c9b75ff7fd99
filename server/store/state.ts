/*
 * What an entry is to whoever asks for its key. Decided here and nowhere else:
 *
 *   fresh        to be served
 *   stale        past the time it is fresh; to be served, and to be loaded again meanwhile
 *   error-only   past the time it may be served; kept for when its load fails
 *   negative     the origin has no such thing
 *   over         its time is over, or nobody asked for it in too long a time: to be removed
 *   dead         invalidated: to be removed
 *
 *                       fresh    stale    error-only, negative    over, dead
 *   ordinary verbs      found    found    not found               removed
 *   Store.openAny       found    found    error-only: found       removed
 *
 * Who is dead by its key (purge.ts) is told by `of` alone: where room is made or time goes by
 * (`ofTime`) it goes like everybody else.
 *
 * Error-only and negative entries are replaced and removed like any other of their key, but nobody
 * sees them. An entry without extras is fresh, negative or over.
 */
import * as entry from './entry.ts'
import * as extras from './extras.ts'
import type { Contents } from './contents.ts'
import type { Invalidation } from './invalidation.ts'
import type { Arena } from './memory.ts'
import type { Purge } from './purge.ts'
import type { Verb } from './verb.ts'

/** No such key: none, or one that is over or dead. */
export const ABSENT = 0
export const FRESH = 1
export const STALE = 2
export const ERROR_ONLY = 3
export const NEGATIVE = 4
/** From here on it is to be removed. */
export const OVER = 5
export const DEAD = 6

/** What is told of an entry that was found. Milliseconds on the store's scale. */
export class Facts {
  /** The expiry of the entry itself, 0: none. */
  endsAt = 0
  freshUntil = 0
  visibleUntil = 0
  costMs = 0
  loadedAt = 0
  hasExtras = false
}

/** The states of one arena's entries, at the time of the verb under way. */
export class States {
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #contents: Contents
  readonly #verb: Verb
  readonly #invalidation: Invalidation
  readonly #purge: Purge

  constructor(
    arena: Arena,
    contents: Contents,
    parts: { readonly verb: Verb; readonly invalidation: Invalidation; readonly purge: Purge },
  ) {
    this.#words = arena.words
    this.#bytes = arena.bytes
    this.#view = arena.view
    this.#contents = contents
    this.#verb = parts.verb
    this.#invalidation = parts.invalidation
    this.#purge = parts.purge
  }

  /** FRESH to DEAD; of a lease, FRESH or DEAD. */
  of(address: number): number {
    return this.isPurged(address) ? DEAD : this.ofTime(address)
  }

  /** Was it there when its key was invalidated? */
  isPurged(address: number): boolean {
    const words = this.#words
    return (words[address >> 2]! & entry.COLOR) !== this.#verb.color && this.#isMeant(address)
  }

  #isMeant(address: number): boolean {
    const words = this.#words
    const db = entry.databaseOf(words, address)
    const length = entry.keyLengthOf(words, address)
    if (!entry.isKeyInPages(words, address)) {
      return this.#purge.matches(db, this.#bytes, entry.keyAt(words, address), length)
    }
    return this.#purge.isActive && this.#purge.matches(db, this.#contents.keyOf(address), 0, length)
  }

  /** The same, whatever was invalidated by key. */
  ofTime(address: number): number {
    const words = this.#words
    const head = words[address >> 2]!
    if ((head & entry.EXTRAS) !== 0) return this.#ofLoaded(address)
    const expireAt = entry.expireAtOf(words, address)
    if (expireAt !== 0 && expireAt <= this.#verb.now) return OVER
    return isNegative(head) ? NEGATIVE : FRESH
  }

  #ofLoaded(address: number): number {
    const words = this.#words
    const view = this.#view
    const { now } = this.#verb
    const at = entry.extrasAt(words, address)
    if (this.#invalidation.kills(view, at)) return DEAD
    const expireAt = entry.expireAtOf(words, address)
    if ((expireAt !== 0 && expireAt <= now) || extras.isIdle(view, at, now)) return OVER
    if (isNegative(words[address >> 2]!)) return NEGATIVE
    if (expireAt === 0 || now < expireAt - extras.graceAt(view, at)) return FRESH
    return now < expireAt - extras.errorAt(view, at) ? STALE : ERROR_ONLY
  }

  /** May clients see it? */
  isVisible(address: number): boolean {
    return this.of(address) <= STALE
  }

  /** The expiry that clients are told: of a fresh entry when that ends, else when it vanishes. 0: none. */
  toldExpiry(address: number): number {
    const words = this.#words
    const expireAt = entry.expireAtOf(words, address)
    if (expireAt === 0 || !entry.hasExtras(words, address)) return expireAt
    const at = entry.extrasAt(words, address)
    const freshUntil = expireAt - extras.graceAt(this.#view, at)
    if (this.#verb.now < freshUntil) return freshUntil
    return expireAt - extras.errorAt(this.#view, at)
  }

  /** Fills in what is to be told of an entry. */
  describe(address: number, facts: Facts): void {
    const expireAt = entry.expireAtOf(this.#words, address)
    facts.endsAt = expireAt
    facts.hasExtras = entry.hasExtras(this.#words, address)
    if (!facts.hasExtras) {
      facts.freshUntil = expireAt
      facts.visibleUntil = expireAt
      facts.costMs = 0
      facts.loadedAt = 0
      return
    }
    const view = this.#view
    const at = entry.extrasAt(this.#words, address)
    facts.freshUntil = expireAt === 0 ? 0 : expireAt - extras.graceAt(view, at)
    facts.visibleUntil = expireAt === 0 ? 0 : expireAt - extras.errorAt(view, at)
    facts.costMs = extras.costAt(view, at)
    facts.loadedAt = extras.loadedAtOf(view, at)
  }

  /** Number of the group that an entry was loaded for, -1: none. */
  groupOf(address: number): number {
    const words = this.#words
    if (!entry.hasExtras(words, address)) return -1
    return extras.groupAt(this.#view, entry.extrasAt(words, address))
  }

  /** Copies of an entry's extras; null: it has none. */
  extrasOf(address: number): extras.Extras | null {
    const words = this.#words
    if (!entry.hasExtras(words, address)) return null
    return extras.decode(
      this.#view,
      entry.extrasAt(words, address),
      entry.expireAtOf(words, address),
    )
  }

  /** It was asked for. */
  noteAsked(address: number): void {
    if (!entry.hasExtras(this.#words, address)) return
    extras.noteAsked(this.#view, entry.extrasAt(this.#words, address), this.#verb.now)
  }
}

function isNegative(head: number): boolean {
  return ((head >>> entry.TYPE_SHIFT) & entry.TYPE_MASK) === entry.TYPE_NEGATIVE
}
