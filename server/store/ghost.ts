/*
 * Ghosts: what a bucket remembers of keys it let go, so that one that comes back soon is known.
 *
 *   set     | newest | ... | ... | oldest |       4 ghosts of 2 bytes; 0: none
 *   ghost   tag 10 bits | age mark 6 bits
 *
 * A ghost is a tag of the key's hash and the bucket's clock (entries it took in so far) when the
 * key came in, in units of an eighth of the bucket's entries: 64 marks go round in eight times the
 * number of its entries, much longer than a ghost lives. A set is chosen by the hash; a new ghost
 * pushes the set's oldest out. Of a thousand keys that were never here, four are taken for ghosts:
 * then a new key goes straight to the main ring.
 *
 * There is room for twice as many ghosts as the bucket has entries: 64 in its header, and when
 * they are not enough, in pieces from the pool. When the number of entries has changed much, the
 * ghosts are begun anew: they would be looked for in other sets, and tell their age in another unit.
 * (Without ghosts, a store of 25 entries a bucket lost 3 points of hit ratio.)
 *
 * Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023, section 4.2
 * (ghosts as fingerprints in a bucketed table).
 */
import { GHOST_ENTRIES, GHOST_PIECES as PIECES, GHOST_UNIT as UNIT } from './header.ts'
import type { Arena, Layout } from './memory.ts'
import { Directory, NEAR_GHOST_WORDS } from './memory.ts'
import type { Pool } from './pool.ts'

const GHOSTS_PER_SET = 4
const GHOST_BYTES = 2
const SET_BYTES_SHIFT = 3

/** Ghosts for each entry of the bucket. */
const GHOSTS_PER_ENTRY = 2

/** A bucket with no more entries than this does with the ghosts in its header. */
const NEAR_ENTRIES_MAX = 48
const NEAR_SETS = NEAR_GHOST_WORDS / 2

/** The unit of age marks is a bucket's entries / 2^UNIT_SHIFT. */
const UNIT_SHIFT = 3
const MARK_BITS = 6
const MARK = (1 << MARK_BITS) - 1
const TAG = 0x3ff

/** The ghosts are begun anew when the bucket has this many times as many entries, or as few. */
const STALE = 1.5

/** The ghosts of one arena's buckets; `bucket` is the first word of the bucket's header. */
export class Ghosts {
  readonly #words: Int32Array
  readonly #arena: Arena
  readonly #pool: Pool
  readonly #directory: Directory
  readonly #near: number
  readonly #pieceShift: number

  constructor(arena: Arena, pool: Pool, layout: Layout) {
    this.#words = arena.words
    this.#arena = arena
    this.#pool = pool
    this.#directory = new Directory(layout, layout.ghostPieces)
    this.#near = layout.nearGhosts
    this.#pieceShift = layout.pieceShift
  }

  /** Remembers a key that came in when the clock said `stamp`. */
  remember(bucket: number, hash: number, stamp: number): void {
    const words = this.#words
    const at = this.#set(bucket, hash)
    const mark = (stamp >>> words[bucket + UNIT]!) & MARK
    const ghost = (tagOf(hash) << MARK_BITS) | mark
    const first = words[at]!
    words[at] = (first << 16) | ghost
    words[at + 1] = (words[at + 1]! << 16) | (first >>> 16)
  }

  /** How much the clock advanced since the key came in, if it is remembered (it is not any more). -1: no. */
  take(bucket: number, hash: number, clock: number): number {
    const words = this.#words
    if (words[bucket + GHOST_ENTRIES] === 0) return -1
    const at = this.#set(bucket, hash)
    const tag = tagOf(hash)
    for (let i = 0; i < GHOSTS_PER_SET; i++) {
      const shift = (i & 1) << 4
      const ghost = (words[at + (i >> 1)]! >>> shift) & 0xffff
      if (ghost >>> MARK_BITS !== tag) continue
      words[at + (i >> 1)]! &= ~(0xffff << shift)
      const unit = words[bucket + UNIT]!
      return (((clock >>> unit) - ghost) & MARK) << unit
    }
    return -1
  }

  /** Pieces that a bucket with so many entries should have. */
  wanted(entries: number): number {
    if (entries <= NEAR_ENTRIES_MAX) return 0
    const bytes = entries * GHOSTS_PER_ENTRY * GHOST_BYTES
    return Math.min(Math.ceil(bytes / (1 << this.#pieceShift)), this.#directory.piecesMax)
  }

  /** Has the bucket many more or fewer entries than its ghosts are made for? */
  isStale(bucket: number, entries: number): boolean {
    const before = this.#words[bucket + GHOST_ENTRIES]!
    return entries > before * STALE || entries * STALE * STALE < before
  }

  /**
   * Begins the ghosts anew with as many pieces as are wanted, or as the pool has and `spare` makes it
   * have. With fewer than wanted they are soon stale again.
   */
  fit(bucket: number, entries: number, spare: (bucket: number) => boolean): void {
    const words = this.#words
    this.reset(bucket)
    const wanted = this.wanted(entries)
    let got = 0
    while (got < wanted) {
      const piece = this.#pool.takePiece()
      if (piece === 0) {
        if (spare(bucket)) continue
        break
      }
      words[this.#directory.word(bucket, got)] = piece
      this.#arena.clear(piece, 1 << this.#pieceShift)
      got++
    }
    words[bucket + PIECES] = got
    words[bucket + GHOST_ENTRIES] = got === wanted ? entries : Math.ceil((entries * got) / wanted)
    words[bucket + UNIT] = Math.max(0, 31 - Math.clz32(entries) - UNIT_SHIFT)
  }

  /** Forgets all, and gives the pieces back. */
  reset(bucket: number): void {
    const words = this.#words
    for (let piece = words[bucket + PIECES]! - 1; piece >= 0; piece--) {
      this.#pool.givePiece(words[this.#directory.word(bucket, piece)]!)
    }
    words[bucket + PIECES] = 0
    words[bucket + GHOST_ENTRIES] = 0
    const near = bucket + this.#near
    words.fill(0, near, near + NEAR_GHOST_WORDS)
  }

  pieces(bucket: number): number {
    return this.#words[bucket + PIECES]!
  }

  /** Index in `words` of the first word of the set for this hash. */
  #set(bucket: number, hash: number): number {
    const words = this.#words
    const pieces = words[bucket + PIECES]!
    const fraction = (mixed(hash) >>> 0) / 2 ** 32
    if (pieces === 0) return bucket + this.#near + Math.floor(fraction * NEAR_SETS) * 2
    const setsShift = this.#pieceShift - SET_BYTES_SHIFT
    const set = Math.floor(fraction * (pieces << setsShift))
    const piece = words[this.#directory.word(bucket, set >>> setsShift)]!
    return (piece >> 2) + ((set & ((1 << setsShift) - 1)) << 1)
  }
}

/** The bucket and the order of the index took the hash's ends: mixed, all of it counts. */
function mixed(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 15), 0x85ebca77)
  return h ^ (h >>> 13)
}

/** 10 bits that are never all 0. */
function tagOf(hash: number): number {
  const tag = mixed(hash) & TAG
  return tag === 0 ? 1 : tag
}
