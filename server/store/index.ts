/*
 * The index of a bucket: from the hash of a key to the address of its entry.
 *
 *   slot     [ hash, its top bit flipped | frequency 2 | main 1 | address / 4, 29 bits ]   8 bytes
 *
 * Open addressing by *sorted* linear probing. The home of a hash is floor(hash * homes / 2^32), so
 * the order of homes is the order of hashes, and the slots are kept sorted by hash throughout:
 *
 *   position   0   1   2   3   4   5   6 ...            no wrap-around: behind the last home lie
 *   hash      05  12  13  --  41  47  --                some more slots ("slack")
 *
 * What that buys: a miss stops at the first larger hash, so a load of 0.85 stays cheap; equal hashes
 * are neighbours, so one probe sees all entries of a key (its value, its lease); growing and
 * shrinking are one pass without probing; and SCAN's cursor is simply a hash, which stays right
 * whatever the index does meanwhile. Deleting shifts back, so there are no tombstones.
 *
 * The slots lie in pieces (an eighth of a chunk) that a directory in the bucket's header lists. The
 * first piece belongs to the bucket for ever. While it would be nearly empty, a *small index* of 64
 * slots stands in its place; those of all buckets lie side by side. (A few thousand keys in a large
 * cache are then found in some 100 KB instead of one line of the processor's cache and one page of
 * the system for each: a GET in a pipeline takes a tenth less.) An index grows alone, by an eighth: the slots are
 * taken out into memory of the thread's own and dealt again, the i-th of n to max(its home, the
 * one before + 1). In a larger index all fit that fitted before: from every hash on there are more
 * slots to the end than there were. (Growing in place, by pushing all slots to the right end before
 * they are dealt, took three passes instead of two and twice the time.)
 *
 * Within a piece slots lie side by side, so the loops below look a piece up once and then count.
 *
 * The hash's top bit is flipped so that signed words compare as the unsigned hashes do. A slot
 * whose second word is 0 is empty (no entry lies at address 0). A run of equal hashes is capped at
 * RUN_MAX by the bucket. For hashes that cluster at the very end (only a bad hash function makes
 * those) the bucket gives up an entry rather than letting the index grow without end.
 */
import { COUNT, PIECES } from './header.ts'
import type { Arena, Layout } from './memory.ts'
import { assert, Directory } from './memory.ts'
import type { Pool } from './pool.ts'

/** Bits 28..0 of a slot's second word. */
const ADDRESS = 0x1fffffff
const ABOVE_ADDRESS = ~ADDRESS

/** Bit 29: the entry is in its bucket's main ring. Of entries with pages it says nothing. */
export const IN_MAIN = 1 << 29

/** Bits 31 and 30: accesses that counted. */
const FREQUENCY_SHIFT = 30
export const FREQUENCY_ONE = 1 << FREQUENCY_SHIFT
export const FREQUENCY = 3 << FREQUENCY_SHIFT
const FREQUENCY_MAX = 3

const HASHES = 2 ** 32

const SLACK_MAX = 64
const SLACK_SHIFT = 3

/** Loads at which the index grows, refuses to take more, and shrinks. */
const LOAD_GROW = 0.85
const LOAD_FULL = 0.94
const LOAD_SHRINK = 0.25
const LOAD_SHRUNK = 0.5

/** Below it, a full end is the fault of the hash function, and growing would not help. */
const LOAD_CLUSTERED = 0.25

/** Slots in which `addressNear` looks: two lines of the processor's cache. */
const NEAR_SLOTS = 16

/** The most equal hashes a bucket keeps; beyond, the oldest of them goes. */
export const RUN_MAX = 64

/** Slots that stand somewhere else: words[at ...], two a slot. */
export interface ForeignSlots {
  readonly words: Int32Array
  readonly at: number
  readonly count: number
  /** Logarithm of a chunk's words. */
  readonly chunkShift: number
}

/** Pieces of an index that grows: an eighth more. */
function grown(pieces: number): number {
  return pieces + Math.max(1, pieces >>> 3)
}

/** The hash as it stands in a slot. */
export function tagOf(hash: number): number {
  return hash ^ 0x80000000
}

/** Does a slot's second word hold as many accesses as it can? */
export function isOftenAsked(held: number): boolean {
  return held >>> FREQUENCY_SHIFT === FREQUENCY_MAX
}

/** The address a slot's second word holds. */
export function addressIn(held: number): number {
  return (held & ADDRESS) << 2
}

/** The indexes of one arena; `bucket` is the first word of the bucket's header. */
export class Index {
  readonly #words: Int32Array
  readonly #arena: Arena
  readonly #pool: Pool
  readonly #directory: Directory
  readonly #pieceShift: number
  readonly #slotShift: number
  readonly #slotMask: number
  readonly #layout: Layout
  /** Slots of a small index; 0: there are none. */
  readonly #smallSlots: number
  /** Slots taken out by `#resize`. */
  #taken = new Int32Array(0)
  /** Raised when entries were added or removed: positions known before are wrong then. */
  changes = 0

  constructor(arena: Arena, pool: Pool, layout: Layout) {
    this.#words = arena.words
    this.#arena = arena
    this.#pool = pool
    this.#directory = new Directory(layout, layout.indexPieces)
    this.#pieceShift = layout.pieceShift
    this.#slotShift = layout.pieceShift - 3
    this.#slotMask = (1 << this.#slotShift) - 1
    this.#layout = layout
    this.#smallSlots = layout.smallIndexShift === 0 ? 0 : 1 << (layout.smallIndexShift - 3)
  }

  /** Once for a bucket's life, while its first piece and its small index are all zero. */
  open(bucket: number): void {
    if (this.#smallSlots === 0) this.#leaveSmall(bucket)
    else this.#enterSmall(bucket)
  }

  /** Entries in the index. */
  count(bucket: number): number {
    return this.#words[bucket + COUNT]!
  }

  /** Pieces it has; 0: it is a small one. */
  pieces(bucket: number): number {
    return this.#words[bucket + PIECES]!
  }

  /** Positions there are: 0 <= position < slots. */
  slots(bucket: number): number {
    const pieces = this.#words[bucket + PIECES]!
    return pieces === 0 ? this.#smallSlots : pieces << this.#slotShift
  }

  /** Index in `words` of the slot at a position. */
  slot(bucket: number, position: number): number {
    const piece = this.#words[this.#directory.word(bucket, position >>> this.#slotShift)]!
    return (piece >> 2) + ((position & this.#slotMask) << 1)
  }

  /**
   * Slots from a position to the end of its piece, itself included; they lie side by side. `slots`
   * is how many the index has.
   */
  slotsLeft(position: number, slots: number): number {
    const inPiece = this.#slotMask + 1 - (position & this.#slotMask)
    const inAll = slots - position
    return inPiece < inAll ? inPiece : inAll
  }

  /** The position at which a search for this hash begins. */
  home(bucket: number, hash: number): number {
    return Math.floor((hash >>> 0) * (this.#homes(bucket) / HASHES))
  }

  /** Index in `words` of the slot at which a search for this hash begins. */
  placeOf(bucket: number, hash: number): number {
    return this.slot(bucket, this.home(bucket, hash))
  }

  /**
   * Address of the entry with this hash, looked for from a slot on within `NEAR_SLOTS`; else some
   * other. Without a lock, so it may be any number of 31 bits.
   */
  addressNear(slot: number, hash: number): number {
    const words = this.#words
    const tag = tagOf(hash)
    let at = slot
    for (let left = NEAR_SLOTS; left > 0 && words[at]! < tag; left--) {
      if (words[at + 1] === 0) break
      at += 2
    }
    const address = (words[at + 1]! & ADDRESS) << 2
    return address >>> 2 < words.length ? address : 0
  }

  /** Address of the entry at a position, 0: empty. */
  address(bucket: number, position: number): number {
    return (this.#words[this.slot(bucket, position) + 1]! & ADDRESS) << 2
  }

  /** The uint32 hash at a position that is not empty. */
  hash(bucket: number, position: number): number {
    return tagOf(this.#words[this.slot(bucket, position)]!) >>> 0
  }

  /** First position at or behind the hash's home that is empty or has this hash or a larger one. */
  seek(bucket: number, hash: number): number {
    const words = this.#words
    const tag = tagOf(hash)
    const slots = this.slots(bucket)
    let position = this.home(bucket, hash)
    for (; position < slots; position++) {
      const slot = this.slot(bucket, position)
      if (words[slot + 1] === 0 || words[slot]! >= tag) break
    }
    return position
  }

  /** Position of the slot that holds this address; it must be there. */
  locate(bucket: number, hash: number, address: number): number {
    const words = this.#words
    const slots = this.slots(bucket)
    const wanted = address >>> 2
    let position = this.home(bucket, hash)
    while (position < slots) {
      let slot = this.slot(bucket, position)
      for (let left = this.slotsLeft(position, slots); left > 0; left--) {
        const held = words[slot + 1]!
        if ((held & ADDRESS) === wanted) return position
        assert(held !== 0, 'an entry is not in its index')
        position++
        slot += 2
      }
    }
    assert(false, 'an entry is not in its index')
  }

  /** Accesses that counted of the entry at a position, at most `FREQUENCY_MAX`. */
  frequency(bucket: number, position: number): number {
    return this.#words[this.slot(bucket, position) + 1]! >>> FREQUENCY_SHIFT
  }

  /** Counts an access more (1), which must not be one too many, or less (-1). */
  access(bucket: number, position: number, by: 1 | -1): void {
    const at = this.slot(bucket, position) + 1
    this.#words[at] = (this.#words[at]! + by * FREQUENCY_ONE) | 0
  }

  isInMain(bucket: number, position: number): boolean {
    return (this.#words[this.slot(bucket, position) + 1]! & IN_MAIN) !== 0
  }

  /** Points the slot at a position to an entry of main that nobody accessed yet. */
  promote(bucket: number, position: number, address: number): void {
    this.#words[this.slot(bucket, position) + 1] = IN_MAIN | (address >>> 2)
  }

  /** Everything that was in the bucket's small ring is in its main ring from now on. */
  renameToMain(bucket: number): void {
    const words = this.#words
    const slots = this.slots(bucket)
    for (let position = 0; position < slots;) {
      const end = position + this.slotsLeft(position, slots)
      for (let slot = this.slot(bucket, position); position < end; position++, slot += 2) {
        if (words[slot + 1] !== 0) words[slot + 1]! |= IN_MAIN
      }
    }
  }

  /** Points the slot at a position to another address; its other bits stay. */
  point(bucket: number, position: number, address: number): void {
    const slot = this.slot(bucket, position)
    this.#words[slot + 1] = (this.#words[slot + 1]! & ABOVE_ADDRESS) | (address >>> 2)
  }

  /** Points the slot at a position to the entry that takes the place of the one it named. */
  succeed(
    bucket: number,
    position: number,
    address: number,
    isInMain: boolean,
    frequency: number,
  ): void {
    const bits = (frequency << FREQUENCY_SHIFT) | (isInMain ? IN_MAIN : 0)
    this.#words[this.slot(bucket, position) + 1] = bits | (address >>> 2)
  }

  /** Can one more entry be inserted for certain, and at a load that keeps searches short? */
  hasRoom(bucket: number): boolean {
    return !this.isEndTaken(bucket) && this.count(bucket) + 1 <= this.slots(bucket) * LOAD_GROW
  }

  /** Is the last slot taken? While it is free, an insertion finds an empty slot in any case. */
  isEndTaken(bucket: number): boolean {
    return this.#words[this.slot(bucket, this.slots(bucket) - 1) + 1] !== 0
  }

  /** Must something be removed before more is inserted, if the index cannot grow? */
  isFull(bucket: number): boolean {
    return this.count(bucket) + 1 > this.slots(bucket) * LOAD_FULL
  }

  /**
   * May the index grow, memory provided? Not when it has all the pieces that maxmemory grants it,
   * and not when its end is taken although it is rather empty: that is the hash function's fault.
   */
  mayGrow(bucket: number): boolean {
    const clustered = this.count(bucket) <= this.slots(bucket) * LOAD_CLUSTERED
    return !clustered && this.pieces(bucket) < this.#pool.indexPiecesMax
  }

  /** Grows by an eighth or what the pool gives. False: not at all. */
  grow(bucket: number): boolean {
    if (!this.mayGrow(bucket)) return false
    const pieces = this.pieces(bucket)
    if (pieces === 0) {
      this.#resize(bucket, 1)
      return true
    }
    const wanted = Math.min(grown(pieces), this.#pool.indexPiecesMax)
    let got = pieces
    for (; got < wanted; got++) {
      const piece = this.#pool.takePiece()
      if (piece === 0) break
      this.#words[this.#directory.word(bucket, got)] = piece
      this.#arena.clear(piece, 1 << this.#pieceShift)
    }
    if (got === pieces) return false
    this.#resize(bucket, got)
    return true
  }

  /**
   * Inserts behind all slots whose hash is not larger; `position` is any position between the
   * hash's home and there. False when the slots from there to the end are all taken, which cannot
   * be when `hasRoom` was true and entries were only removed since.
   */
  insert(
    bucket: number,
    position: number,
    hash: number,
    address: number,
    isInMain: boolean,
  ): boolean {
    const words = this.#words
    const slots = this.slots(bucket)
    const at = this.#passSmaller(bucket, position, tagOf(hash))
    if (at === slots) return false
    const empty = this.#passTaken(bucket, at)
    if (empty === slots) return false
    const slot = this.slot(bucket, at)
    if (empty - at < this.slotsLeft(at, slots)) {
      for (let to = slot + 2 * (empty - at); to > slot; to -= 2) {
        words[to] = words[to - 2]!
        words[to + 1] = words[to - 1]!
      }
    } else {
      for (let to = empty; to > at; to--) {
        this.#copySlot(this.slot(bucket, to), this.slot(bucket, to - 1))
      }
    }
    words[slot] = tagOf(hash)
    words[slot + 1] = (isInMain ? IN_MAIN : 0) | (address >>> 2)
    words[bucket + COUNT]!++
    this.changes++
    return true
  }

  remove(bucket: number, position: number): void {
    const words = this.#words
    const slots = this.slots(bucket)
    const scale = this.#homes(bucket) / HASHES
    let hole = this.slot(bucket, position)
    let slot = hole
    for (let next = position + 1; next < slots; next++) {
      slot = (next & this.#slotMask) === 0 ? this.slot(bucket, next) : slot + 2
      const held = words[slot + 1]!
      // A slot stays where it is if it is at home; the homes behind it are not before it.
      if (held === 0 || Math.floor((tagOf(words[slot]!) >>> 0) * scale) === next) break
      words[hole] = words[slot]!
      words[hole + 1] = held
      hole = slot
    }
    words[hole + 1] = 0
    words[bucket + COUNT]!--
    this.changes++
  }

  /** Gives pieces back when few slots are used. */
  shrink(bucket: number): void {
    const pieces = this.pieces(bucket)
    if (pieces <= 1) return
    const count = this.count(bucket)
    if (count >= this.slots(bucket) * LOAD_SHRINK) return
    const wanted = Math.max(1, Math.ceil(count / LOAD_SHRUNK / (this.#slotMask + 1)))
    if (wanted < pieces && this.#fits(bucket, wanted)) this.#resize(bucket, wanted)
  }

  /** Gives a piece back if the entries fit in the others. */
  yieldPiece(bucket: number): boolean {
    const wanted = this.pieces(bucket) - 1
    const slots = wanted << this.#slotShift
    if (this.count(bucket) > slots * LOAD_GROW || !this.#fits(bucket, wanted)) return false
    this.#resize(bucket, wanted)
    return true
  }

  /** Copies all slots, empty ones too, as they stand: to target[at ...]. */
  copyOut(bucket: number, target: Int32Array, at: number): void {
    const slots = this.slots(bucket)
    for (let position = 0, left = 0; position < slots; position += left) {
      left = this.slotsLeft(position, slots)
      const first = this.slot(bucket, position)
      target.set(this.#words.subarray(first, first + 2 * left), at + 2 * position)
    }
  }

  /**
   * Takes sorted slots from elsewhere into an index that is empty. Where they have an address they
   * have the number of a chunk and an offset in it, in words; `origins` has each chunk's first word.
   * False: no memory; nothing was changed.
   */
  takeIn(bucket: number, slots: ForeignSlots, origins: Int32Array): boolean {
    const words = this.#words
    const before = Math.max(1, this.pieces(bucket))
    const most = Math.max(before, this.#pool.indexPiecesMax)
    const needed = Math.ceil(slots.count / LOAD_GROW / (this.#slotMask + 1))
    let pieces = Math.min(Math.max(before, needed), most)
    while (!this.#canDeal(slots, pieces)) {
      if (pieces === most) return false
      pieces = Math.min(grown(pieces), most)
    }
    if (!this.#takePieces(bucket, pieces)) return false
    const { words: source, at, count, chunkShift } = slots
    const offset = (1 << chunkShift) - 1
    const scale = this.#homes(bucket) / HASHES
    let position = -1
    let piece = -1
    let first = 0
    for (let from = at; from < at + 2 * count; from += 2) {
      const tag = source[from]!
      const held = source[from + 1]!
      const home = Math.floor((tagOf(tag) >>> 0) * scale)
      position = home > position ? home : position + 1
      if (position >>> this.#slotShift !== piece) {
        piece = position >>> this.#slotShift
        first = words[this.#directory.word(bucket, piece)]! >> 2
      }
      const slot = first + ((position & this.#slotMask) << 1)
      words[slot] = tag
      const place = held & ADDRESS
      words[slot + 1] = (held & ABOVE_ADDRESS) | (origins[place >>> chunkShift]! + (place & offset))
    }
    words[bucket + COUNT] = count
    this.changes++
    return true
  }

  /** Forgets all entries and gives all pieces but the first back. */
  reset(bucket: number): void {
    const words = this.#words
    const { smallIndexShift } = this.#layout
    const isSmall = this.pieces(bucket) === 0
    for (let piece = this.pieces(bucket) - 1; piece > 0; piece--) {
      this.#pool.givePiece(words[this.#directory.word(bucket, piece)]!)
    }
    words[bucket + COUNT] = 0
    const bytes = isSmall ? 1 << smallIndexShift : 1 << this.#pieceShift
    this.#arena.clear(words[this.#directory.word(bucket, 0)]!, bytes)
    this.open(bucket)
    this.changes++
  }

  /** How many neighbours have the hash of the slot at `position`, itself included. */
  run(bucket: number, position: number): number {
    const words = this.#words
    const slots = this.slots(bucket)
    const tag = words[this.slot(bucket, position)]!
    let length = 0
    for (let at = position; at < slots; at++) {
      const slot = this.slot(bucket, at)
      if (words[slot + 1] === 0 || words[slot] !== tag) break
      length++
    }
    return length
  }

  /** Throws when the slots are not sorted, not at their places, or not as many as counted. */
  check(bucket: number): void {
    const slots = this.slots(bucket)
    let count = 0
    let before = -1
    let firstOfCluster = 0
    for (let position = 0; position < slots; position++) {
      if (this.address(bucket, position) === 0) {
        firstOfCluster = position + 1
        continue
      }
      const hash = this.hash(bucket, position)
      const home = this.home(bucket, hash)
      assert(hash >= before, 'an index is not sorted')
      assert(home <= position && home >= firstOfCluster, 'a slot cannot be found from its home')
      before = hash
      count++
    }
    assert(count === this.count(bucket), 'an index has not as many slots as it counts')
  }

  #homes(bucket: number): number {
    return this.#homesOf(this.slots(bucket))
  }

  /** Positions at which searches begin; the slots behind them are slack. */
  #homesOf(slots: number): number {
    const slack = slots >>> SLACK_SHIFT
    return slots - (slack < SLACK_MAX ? slack : SLACK_MAX)
  }

  /** Would these slots find places in so many pieces, the last one staying free? */
  #canDeal({ words, at, count }: ForeignSlots, pieces: number): boolean {
    const all = pieces << this.#slotShift
    const scale = this.#homesOf(all) / HASHES
    let position = -1
    for (let from = at; from < at + 2 * count; from += 2) {
      const home = Math.floor((tagOf(words[from]!) >>> 0) * scale)
      position = home > position ? home : position + 1
    }
    return position < all - 1
  }

  /** Brings an empty index to so many pieces. False: the pool has not as many. */
  #takePieces(bucket: number, pieces: number): boolean {
    const words = this.#words
    const before = Math.max(1, this.pieces(bucket))
    for (let got = before; got < pieces; got++) {
      const piece = this.#pool.takePiece()
      words[this.#directory.word(bucket, got)] = piece
      if (piece !== 0) {
        this.#arena.clear(piece, 1 << this.#pieceShift)
        continue
      }
      while (--got >= before) this.#pool.givePiece(words[this.#directory.word(bucket, got)]!)
      return false
    }
    this.#leaveSmall(bucket)
    words[bucket + PIECES] = pieces
    return true
  }

  /** From now on it stands in its small index, which is all zero. */
  #enterSmall(bucket: number): void {
    const { firstSmallIndex, smallIndexShift } = this.#layout
    const position = firstSmallIndex + (this.#number(bucket) << smallIndexShift)
    this.#words[this.#directory.word(bucket, 0)] = position
    this.#words[bucket + PIECES] = 0
  }

  /** From now on it stands in its first piece, which is all zero. */
  #leaveSmall(bucket: number): void {
    const position = this.#layout.firstPiece + (this.#number(bucket) << this.#pieceShift)
    this.#words[this.#directory.word(bucket, 0)] = position
    this.#words[bucket + PIECES] = 1
  }

  #number(bucket: number): number {
    return (bucket - this.#layout.firstBucket) / this.#layout.bucketWords
  }

  #copySlot(to: number, from: number): void {
    const words = this.#words
    words[to] = words[from]!
    words[to + 1] = words[from + 1]!
  }

  /** Would the entries find places in `pieces` pieces? Growing always does, shrinking may not. */
  #fits(bucket: number, pieces: number): boolean {
    const words = this.#words
    const slots = this.slots(bucket)
    const scale = this.#homesOf(pieces << this.#slotShift) / HASHES
    let to = -1
    for (let position = 0; position < slots; position++) {
      const slot = this.slot(bucket, position)
      if (words[slot + 1] === 0) continue
      const hash = tagOf(words[slot]!) >>> 0
      to = Math.max(Math.floor(hash * scale), to + 1)
    }
    return to < pieces << this.#slotShift
  }

  /** First position from this one on whose slot is empty or has a larger tag; or `slots`. */
  #passSmaller(bucket: number, position: number, tag: number): number {
    const words = this.#words
    const slots = this.slots(bucket)
    let at = position
    while (at < slots) {
      let slot = this.slot(bucket, at)
      for (let left = this.slotsLeft(at, slots); left > 0; left--) {
        if (words[slot + 1] === 0 || words[slot]! > tag) return at
        at++
        slot += 2
      }
    }
    return at
  }

  /** First position from this one on whose slot is empty; or `slots`. */
  #passTaken(bucket: number, position: number): number {
    const words = this.#words
    const slots = this.slots(bucket)
    let at = position
    while (at < slots) {
      let slot = this.slot(bucket, at)
      for (let left = this.slotsLeft(at, slots); left > 0; left--) {
        if (words[slot + 1] === 0) return at
        at++
        slot += 2
      }
    }
    return at
  }

  /** Spreads the entries over `pieces` pieces; new ones stand in the directory, cleared. */
  #resize(bucket: number, pieces: number): void {
    const words = this.#words
    const count = this.#takeOut(bucket)
    const taken = this.#taken
    for (let piece = this.pieces(bucket) - 1; piece >= pieces; piece--) {
      this.#pool.givePiece(words[this.#directory.word(bucket, piece)]!)
    }
    if (this.pieces(bucket) === 0) this.#leaveSmall(bucket)
    words[bucket + PIECES] = pieces
    const slots = this.slots(bucket)
    const scale = this.#homes(bucket) / HASHES
    let position = -1
    /** Of the piece under way: its first slot, as if positions began there, and its end. */
    let base = 0
    let end = 0
    for (let from = 0; from < 2 * count; from += 2) {
      const tag = taken[from]!
      position = Math.max(Math.floor((tagOf(tag) >>> 0) * scale), position + 1)
      if (position >= end) {
        assert(position < slots, 'an index was resized to too few slots')
        base = this.slot(bucket, position) - 2 * position
        end = position + this.slotsLeft(position, slots)
      }
      words[base + 2 * position] = tag
      words[base + 2 * position + 1] = taken[from + 1]!
    }
    this.changes++
  }

  /** Copies all entries, sorted, to `#taken`, and clears the pieces. @returns how many there are */
  #takeOut(bucket: number): number {
    const words = this.#words
    const count = this.count(bucket)
    if (this.#taken.length < 2 * count) this.#taken = new Int32Array(4 * count)
    const taken = this.#taken
    let to = 0
    const slots = this.slots(bucket)
    for (let position = 0, left = 0; position < slots; position += left) {
      left = this.slotsLeft(position, slots)
      const first = this.slot(bucket, position)
      const end = first + 2 * left
      for (let slot = first; slot < end; slot += 2) {
        const held = words[slot + 1]!
        if (held === 0) continue
        taken[to] = words[slot]!
        taken[to + 1] = held
        to += 2
      }
      this.#arena.clear(first << 2, left << 3)
    }
    return count
  }
}
