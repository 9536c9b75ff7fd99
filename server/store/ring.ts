/*
 * A ring: entries written one behind the other into a circular list of chunks.
 *
 *    tail                                        head
 *     v                                           v
 *   [..oldest ....] -> [..............] -> [......|     ] -> back to the tail's chunk
 *
 * At the end of the head's chunk the ring takes another one from the pool. When the pool has none,
 * the head enters the chunk of the tail and *chases* it: entry by entry in front of the head is
 * evicted, oldest first, until the new one fits.
 *
 *   one chunk, chased:   [newest ....|  gap  |oldest ......]
 *                                   head    tail
 *
 * Instead of being evicted, an entry may be *kept*: it moves from the tail to the head, which in a
 * chased chunk means that it slides down over the bytes of dead ones. That is how dead bytes (of
 * deleted, shortened and moved entries) are won back: a ring with too many of them slides a chunk
 * or two before it asks the pool or evicts, and one that shrank by deletes moves a few entries each
 * time until its tail's chunk is empty and goes back to the pool. Nothing live is evicted while the
 * pool has chunks, and copying is bounded to those few chunks an entry.
 *
 * A chunk's generation is raised when its entries go: when the tail leaves it, and when the head
 * enters it in pursuit. So {address, generation} tells for ever whether an entry is still the one
 * that was meant (`alive`). It has 24 bits and skips 0, which is therefore never valid.
 *
 * The fields of a ring are a block of words anywhere in a bucket's header, so that a bucket can
 * have two of them (small and main); dead bytes and chunks are counted per ring, since what is
 * decided by them is decided per ring.
 *
 * Rejected: deciding by a count of dead bytes per bucket (compaction of one ring then loops over
 * the dead bytes of the other), and compacting by wrapping while the pool has chunks (evicts live
 * entries below maxmemory).
 */
import { entryBytes, isEdge, isFiller, writeEdge, writeFiller } from './entry.ts'
import type { Arena } from './memory.ts'
import { assert } from './memory.ts'
import type { Pool } from './pool.ts'
import { GENERATION, NEXT } from './pool.ts'

/** Fields of a ring's block. */
const CHUNKS = 0
const HEAD_CHUNK = 1
const HEAD = 2
const TAIL_CHUNK = 3
const TAIL = 4
const CHASE = 5
const DEAD = 6

/** Words of a ring's block; the eighth is free. */
const RING_WORDS = 8

const GENERATION_MAX = 0xffffff

/** Entries that one delete or overwrite moves at most to give a chunk back. */
const TRIM_MOVES = 16

/** Chunks one new entry slides down at most: 64 KB of short entries take about 0.2 ms. */
const SLIDES_MAX = 2

/**
 * A ring may be a 4th dead while the pool has chunks, a 16th when it has none. With a 4th for both,
 * rewriting a store filled to 90 % with values of other lengths lost 24 % of them, with an 8th 8 %,
 * with a 16th nothing, and a set took no longer.
 */
const DEAD_SHARE = 4
const DEAD_SHARE_DRY = 16

/** What a ring tells its bucket about the entries it holds. */
export interface RingOwner {
  /** The entry must go: it was evicted. The owner forgets it and calls `kill`. */
  evict(bucket: number, address: number): void
  /** The entry's bytes stand at `to` now. */
  moved(bucket: number, from: number, to: number): void
  /** Would evicting entries of this bucket free pages? */
  hasPages(bucket: number): boolean
}

/** The rings of one arena. `ring` is the index of the ring's first word, `bucket` is the owner's. */
export class Ring {
  readonly #arena: Arena
  readonly #words: Int32Array
  readonly #pool: Pool
  readonly #owner: RingOwner
  readonly #chunkBytes: number
  /** Word of a bucket's header where raised generations are counted, as a double. */
  readonly #generations: number

  constructor(
    arena: Arena,
    pool: Pool,
    owner: RingOwner,
    options: { readonly chunkBytes: number; readonly generationsWord: number },
  ) {
    this.#arena = arena
    this.#words = arena.words
    this.#pool = pool
    this.#owner = owner
    this.#chunkBytes = options.chunkBytes
    this.#generations = options.generationsWord
  }

  chunks(ring: number): number {
    return this.#words[ring + CHUNKS]!
  }

  deadBytes(ring: number): number {
    return this.#words[ring + DEAD]!
  }

  isEmpty(ring: number): boolean {
    const words = this.#words
    return (
      words[ring + TAIL] === words[ring + HEAD] &&
      words[ring + TAIL_CHUNK] === words[ring + HEAD_CHUNK] &&
      words[ring + CHASE] === 0
    )
  }

  /** Generation of the chunk in which an address lies, for `alive`. */
  generationAt(address: number): number {
    return this.#words[this.#pool.row(this.#pool.chunkOf(address)) + GENERATION]!
  }

  /**
   * Has the ring not yet overwritten or left what stood at `address` when its chunk had this
   * generation? (A deleted entry has become a filler there.)
   */
  alive(ring: number, address: number, generation: number): boolean {
    const words = this.#words
    const chunk = this.#pool.chunkOf(address)
    const current = words[this.#pool.row(chunk) + GENERATION]!
    if (chunk === words[ring + HEAD_CHUNK]) {
      if (address < words[ring + HEAD]!) {
        const behindTail = words[ring + CHASE] === 1 || chunk !== words[ring + TAIL_CHUNK]
        return generation === current && (behindTail || address >= words[ring + TAIL]!)
      }
      return (
        words[ring + CHASE] === 1 &&
        address >= words[ring + TAIL]! &&
        raised(generation) === current &&
        generation !== 0
      )
    }
    if (generation !== current) return false
    return chunk !== words[ring + TAIL_CHUNK] || address >= words[ring + TAIL]!
  }

  /**
   * Position of `bytes` (a multiple of 4, at most half a chunk) free bytes, which the caller fills
   * with an entry at once. Evicts when the pool is dry; never fails.
   */
  place(bucket: number, ring: number, bytes: number): number {
    const words = this.#words
    if (words[ring + CHUNKS] === 0) this.#begin(ring)
    let keep = words[ring + CHASE] === 1 && (this.#pool.available || this.#isDeadHeavy(ring))
    let slides = 0
    for (;;) {
      const head = words[ring + HEAD]!
      if (words[ring + CHASE] === 1) {
        if (words[ring + TAIL]! - head >= bytes) {
          words[ring + HEAD] = head + bytes
          return head
        }
        this.#pass(bucket, ring, keep)
        continue
      }
      const end = this.#end(words[ring + HEAD_CHUNK]!)
      if (end - head >= bytes) {
        words[ring + HEAD] = head + bytes
        return head
      }
      if (this.isEmpty(ring)) {
        this.#restart(bucket, ring)
        continue
      }
      this.#closeHead(ring, head, end)
      if (this.#enterSpare(ring)) continue
      if (slides < SLIDES_MAX && this.#isDeadHeavy(ring)) {
        slides++
        keep = true
        this.#chase(bucket, ring)
      } else if (!this.#extend(ring)) {
        keep = false
        this.#chase(bucket, ring)
      }
    }
  }

  /** Makes the entry at `address` a filler. Its bytes are dead until the tail passes them. */
  kill(ring: number, address: number): void {
    const bytes = entryBytes(this.#words, address)
    this.leaveDead(ring, address, bytes)
  }

  /** Makes `bytes` bytes at `address` a filler: what a shorter value leaves behind. */
  leaveDead(ring: number, address: number, bytes: number): void {
    writeFiller(this.#words, address, bytes)
    this.#words[ring + DEAD]! += bytes
  }

  /**
   * To be called after kills, when no address is held: moves up to `movesMax` entries if too
   * many bytes are dead, and gives chunks that became empty back. Evicts nothing.
   */
  trim(bucket: number, ring: number, movesMax: number = TRIM_MOVES): void {
    const words = this.#words
    if (words[ring + CHUNKS]! < 2 || !this.#isDeadHeavy(ring)) return
    for (let moves = 0; moves < movesMax && this.#isDeadHeavy(ring); moves++) {
      this.#pass(bucket, ring, true)
    }
    while (this.#giveSpare(ring));
  }

  /** Evicts the oldest entry, or passes a filler. The ring must not be empty. */
  passOldest(bucket: number, ring: number): void {
    this.#pass(bucket, ring, false)
  }

  /**
   * Evicts, oldest first, until the pool has a chunk to give: one of this ring's, or what an
   * evicted entry's pages gave. False when only one chunk is left and no entry has pages, or when
   * the ring is empty.
   */
  yieldChunk(bucket: number, ring: number): boolean {
    for (;;) {
      if (this.#pool.available) return true
      if (this.#words[ring + CHUNKS] === 0) return false
      if (this.#giveSpare(ring)) return true
      if (this.isEmpty(ring)) return false
      if (this.#words[ring + CHUNKS] === 1 && !this.#owner.hasPages(bucket)) return false
      this.#pass(bucket, ring, false)
    }
  }

  /** Gives all chunks back; the entries are forgotten without a word to the owner. */
  reset(bucket: number, ring: number): void {
    const words = this.#words
    const count = words[ring + CHUNKS]!
    if (count === 0) return
    const first = words[ring + HEAD_CHUNK]!
    let last = first
    for (let i = 1; ; i++) {
      this.#raise(bucket, last)
      if (i === count) break
      last = words[this.#pool.row(last) + NEXT]!
    }
    this.#pool.giveRing(first, last, count)
    words.fill(0, ring, ring + RING_WORDS)
  }

  /** Visits the positions of all entries, oldest first, fillers left out. Nothing may change. */
  walk(ring: number, visit: (address: number) => void): void {
    this.#walk(ring, (address) => {
      if (!isFiller(this.#words, address)) visit(address)
    })
  }

  /** Throws when the ring cannot be walked or its counts are wrong. @returns its chunks */
  check(ring: number): number {
    const words = this.#words
    const count = words[ring + CHUNKS]!
    if (count === 0) return 0
    let chunk = words[ring + HEAD_CHUNK]!
    for (let i = 0; i < count; i++) chunk = words[this.#pool.row(chunk) + NEXT]!
    assert(chunk === words[ring + HEAD_CHUNK], 'a ring has not as many chunks as it counts')
    let dead = 0
    this.#walk(ring, (address) => {
      if (isFiller(words, address) && !isEdge(words, address)) dead += entryBytes(words, address)
    })
    assert(dead === words[ring + DEAD], 'a ring has not as many dead bytes as it counts')
    return count
  }

  #walk(ring: number, visit: (address: number) => void): void {
    const words = this.#words
    if (words[ring + CHUNKS] === 0 || this.isEmpty(ring)) return
    let chunk = words[ring + TAIL_CHUNK]!
    let address = words[ring + TAIL]!
    let lapped = words[ring + CHASE] === 0
    for (;;) {
      const isLast = lapped && chunk === words[ring + HEAD_CHUNK]
      const end = isLast ? words[ring + HEAD]! : this.#end(chunk)
      while (address < end) {
        const bytes = entryBytes(words, address)
        assert(bytes >= 4 && address + bytes <= end, 'an entry crosses an edge')
        visit(address)
        address += bytes
      }
      if (isLast) return
      lapped = true
      chunk = words[this.#pool.row(chunk) + NEXT]!
      address = this.#pool.start(chunk)
    }
  }

  /** Takes the tail's entry out of the way: over a filler, by eviction, or by a move to the head. */
  #pass(bucket: number, ring: number, keep: boolean): void {
    const words = this.#words
    const address = words[ring + TAIL]!
    const bytes = entryBytes(words, address)
    if (isFiller(words, address)) {
      if (!isEdge(words, address)) words[ring + DEAD]! -= bytes
    } else if (keep) {
      this.#keep(bucket, ring, address, bytes)
    } else {
      this.#owner.evict(bucket, address)
      words[ring + DEAD]! -= bytes
    }
    this.#advanceTail(bucket, ring, address + bytes)
  }

  /** Moves the tail's entry to the head. In a chased chunk there is always room for it. */
  #keep(bucket: number, ring: number, from: number, bytes: number): void {
    const words = this.#words
    if (words[ring + CHASE] === 0) {
      const head = words[ring + HEAD]!
      const end = this.#end(words[ring + HEAD_CHUNK]!)
      if (end - head < bytes) {
        this.#closeHead(ring, head, end)
        if (!this.#enterSpare(ring) && !this.#extend(ring)) this.#chase(bucket, ring)
      }
    }
    const to = words[ring + HEAD]!
    words[ring + HEAD] = to + bytes
    if (to === from) return
    this.#arena.move(to, from, bytes)
    this.#owner.moved(bucket, from, to)
  }

  #advanceTail(bucket: number, ring: number, tail: number): void {
    const words = this.#words
    words[ring + TAIL] = tail
    const chunk = words[ring + TAIL_CHUNK]!
    if (tail !== this.#end(chunk)) return
    if (words[ring + CHASE] === 1) {
      // The head has the chunk for itself now; its generation was raised when the head came.
      words[ring + CHASE] = 0
    } else if (chunk === words[ring + HEAD_CHUNK]) {
      return // the ring is empty, and the head stands here too
    } else {
      this.#raise(bucket, chunk)
    }
    const next = words[this.#pool.row(chunk) + NEXT]!
    words[ring + TAIL_CHUNK] = next
    words[ring + TAIL] = this.#pool.start(next)
  }

  /** Are so many bytes dead that live entries should be moved together? */
  #isDeadHeavy(ring: number): boolean {
    const share = this.#pool.available ? DEAD_SHARE : DEAD_SHARE_DRY
    return this.#words[ring + DEAD]! * share > this.#words[ring + CHUNKS]! * this.#chunkBytes
  }

  #end(chunk: number): number {
    return this.#pool.start(chunk) + this.#chunkBytes
  }

  #raise(bucket: number, chunk: number): void {
    const row = this.#pool.row(chunk)
    this.#words[row + GENERATION] = raised(this.#words[row + GENERATION]!)
    this.#arena.doubles[(bucket + this.#generations) >> 1]!++
  }

  /** Takes the chunk that was promised to the bucket. */
  #begin(ring: number): void {
    const words = this.#words
    const chunk = this.#pool.takePromised()
    this.#initialise(chunk)
    words[this.#pool.row(chunk) + NEXT] = chunk
    words[ring + CHUNKS] = 1
    words[ring + HEAD_CHUNK] = chunk
    words[ring + TAIL_CHUNK] = chunk
    words[ring + HEAD] = this.#pool.start(chunk)
    words[ring + TAIL] = this.#pool.start(chunk)
  }

  /** Of an empty ring: the head goes back to its chunk's start. */
  #restart(bucket: number, ring: number): void {
    const words = this.#words
    const chunk = words[ring + HEAD_CHUNK]!
    this.#raise(bucket, chunk)
    words[ring + HEAD] = this.#pool.start(chunk)
    words[ring + TAIL] = this.#pool.start(chunk)
  }

  /** Fills what is left of the head's chunk. */
  #closeHead(ring: number, head: number, end: number): void {
    if (head < end) writeEdge(this.#words, head, end - head)
    this.#words[ring + HEAD] = end
  }

  #enter(ring: number, chunk: number): void {
    this.#words[ring + HEAD_CHUNK] = chunk
    this.#words[ring + HEAD] = this.#pool.start(chunk)
  }

  /** The chunk behind the head's, if no entry is in it. */
  #spare(ring: number): number {
    const words = this.#words
    if (words[ring + CHASE] === 1) return 0
    const next = words[this.#pool.row(words[ring + HEAD_CHUNK]!) + NEXT]!
    return next === words[ring + TAIL_CHUNK] ? 0 : next
  }

  #enterSpare(ring: number): boolean {
    const spare = this.#spare(ring)
    if (spare !== 0) this.#enter(ring, spare)
    return spare !== 0
  }

  #giveSpare(ring: number): boolean {
    const words = this.#words
    const spare = this.#spare(ring)
    if (spare === 0) return false
    const row = this.#pool.row(words[ring + HEAD_CHUNK]!)
    words[row + NEXT] = words[this.#pool.row(spare) + NEXT]!
    words[ring + CHUNKS]!--
    this.#pool.give(spare)
    return true
  }

  /** Takes a chunk from the pool and goes on in it. */
  #extend(ring: number): boolean {
    const words = this.#words
    const chunk = this.#pool.take()
    if (chunk === 0) return false
    this.#initialise(chunk)
    const row = this.#pool.row(words[ring + HEAD_CHUNK]!)
    words[this.#pool.row(chunk) + NEXT] = words[row + NEXT]!
    words[row + NEXT] = chunk
    words[ring + CHUNKS]!++
    this.#enter(ring, chunk)
    return true
  }

  #initialise(chunk: number): void {
    const row = this.#pool.row(chunk)
    if (this.#words[row + GENERATION] === 0) this.#words[row + GENERATION] = 1
  }

  /** The head enters the chunk of the tail. */
  #chase(bucket: number, ring: number): void {
    const words = this.#words
    const chunk = words[ring + TAIL_CHUNK]!
    this.#raise(bucket, chunk)
    this.#enter(ring, chunk)
    words[ring + CHASE] = 1
  }
}

/** The generation after this one. */
export function raised(generation: number): number {
  return generation === GENERATION_MAX ? 1 : generation + 1
}
