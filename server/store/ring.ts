/*
 * A ring: entries written one behind the other into a circular list of chunks.
 *
 *    tail                                        head
 *     v                                           v
 *   [..oldest ....] -> [..............] -> [......|     ] -> back to the tail's chunk
 *
 * At the end of the head's chunk the ring takes another one from the pool. When it may not or the
 * pool has none, the head enters the chunk of the tail and *chases* it: entry by entry in front of
 * the head is judged by the ring's owner, oldest first, until the new one fits. The owner makes an
 * entry go (it evicts it, or moves it to another ring), or has the ring keep it.
 *
 *   one chunk, chased:   [newest ....|  gap  |oldest ......]
 *                                   head    tail
 *
 * An entry that is *kept* moves from the tail to the head, which in a chased chunk means that it
 * slides down over the bytes of dead ones. That is how policies give an entry another round, and
 * how dead bytes (of deleted, shortened and moved entries) are won back: a ring with too many of
 * them slides a chunk or two before it asks the pool or evicts, and one that shrank by deletes moves
 * a few entries each time until its tail's chunk is empty and goes back to the pool. Nothing live is
 * evicted while the ring may grow, and copying is bounded to those few chunks an entry.
 *
 * How long an entry has been in the ring is known without a word of its own: the chunk table says
 * which chunk was entered as which (SEQUENCE: the distance in bytes) and when (STAMP: the owner's
 * clock). Of a chased chunk the ring remembers the former stamp, for the entries in front of the
 * head.
 *
 * A chunk's generation is raised when its entries go: when the tail leaves it, and when the head
 * enters it in pursuit. So {address, generation} tells for ever whether an entry is still the one
 * that was meant (`alive`). It has 24 bits and skips 0, which is therefore never valid.
 *
 * The fields of a ring are a block of words anywhere in a bucket's header, so that a bucket can
 * have several; dead bytes and chunks are counted per ring, since what is decided by them is decided
 * per ring.
 *
 * Rejected: deciding by a count of dead bytes per bucket (compaction of one ring then loops over
 * the dead bytes of the other), and compacting by wrapping while the pool has chunks (evicts live
 * entries below maxmemory).
 */
import { entryBytes, isEdge, isFiller, writeEdge, writeFiller } from './entry.ts'
import type { Arena } from './memory.ts'
import { assert } from './memory.ts'
import type { Pool } from './pool.ts'
import { GENERATION, NEXT, SEQUENCE, STAMP } from './pool.ts'

/** Fields of a ring's block. */
const CHUNKS = 0
const HEAD_CHUNK = 1
const HEAD = 2
const TAIL_CHUNK = 3
const TAIL = 4
const CHASE = 5
const DEAD = 6
/** Bytes at the ends of chunks that no entry fitted into. */
const PADDING = 7
/** While chased: the stamp of the tail's chunk before the head entered it. */
const CHASED_STAMP = 8

/** Words of a ring's block; the tenth is free. */
const RING_WORDS = 10

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

/** Verdicts about the entry at the tail. */
export const GONE = 0
export const KEEP = 1
/** It may not go, and keeping it would not help: the ring has no room. */
export const STUCK = 2

/** A ring as it stands, apart from the bytes in its chunks. */
export interface RingOutline {
  /** From the tail's on; empty when the ring is. Those without entries are left out. */
  readonly chunks: readonly number[]
  /** The stamp of each. */
  readonly stamps: readonly number[]
  /** Offsets in the first chunk and in the last one; while chased, both in the first. */
  readonly tail: number
  readonly head: number
  readonly isChased: boolean
  readonly chasedStamp: number
}

/** Whose ring it is: decides who goes and where chunks come from. */
export interface RingOwner {
  /**
   * The entry at the tail is in the way. GONE: it is a filler now (`kill`), whatever became of it.
   * KEEP: the ring moves it to its head. STUCK: the placement fails.
   */
  judge(bucket: number, ring: number, address: number): number
  /** The entry's bytes stand at `to` now. */
  moved(bucket: number, from: number, to: number): void
  /** May the ring take another chunk from the pool, if that has one? */
  mayExtend(bucket: number, ring: number): boolean
  /** Has the ring more chunks than it should have? Then one goes for each that it fills. */
  hasSurplus(bucket: number, ring: number): boolean
  /** A chunk for a ring that has none; 0: none, or the ring was given one meanwhile. */
  firstChunk(bucket: number, ring: number): number
  /** The pool is dry and this ring full: true if somebody gave the pool a chunk. */
  relieve(bucket: number, ring: number): boolean
  /** What the stamps of chunks say. */
  clock(bucket: number): number
}

/** The rings of one arena. `ring` is the index of the ring's first word, `bucket` is the owner's. */
export class Ring {
  readonly #arena: Arena
  readonly #words: Int32Array
  readonly #pool: Pool
  readonly #owner: RingOwner
  readonly #chunkBytes: number
  /** Bytes of every entry's trailer. */
  readonly #trailer: number
  /** Words of a bucket's header where these are counted, as doubles. */
  readonly #generations: number
  readonly #movedBytes: number

  constructor(
    arena: Arena,
    pool: Pool,
    owner: RingOwner,
    options: {
      readonly chunkBytes: number
      readonly trailer: number
      readonly generationsWord: number
      readonly movedBytesWord: number
    },
  ) {
    this.#arena = arena
    this.#words = arena.words
    this.#pool = pool
    this.#owner = owner
    this.#chunkBytes = options.chunkBytes
    this.#trailer = options.trailer
    this.#generations = options.generationsWord
    this.#movedBytes = options.movedBytesWord
  }

  chunks(ring: number): number {
    return this.#words[ring + CHUNKS]!
  }

  deadBytes(ring: number): number {
    return this.#words[ring + DEAD]!
  }

  padding(ring: number): number {
    return this.#words[ring + PADDING]!
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

  /** Bytes between the entry's place and the head: what was written since, padding included. */
  distance(ring: number, address: number): number {
    const words = this.#words
    const head = words[ring + HEAD]!
    const headChunk = words[ring + HEAD_CHUNK]!
    const chunk = this.#pool.chunkOf(address)
    if (chunk === headChunk) {
      const inFront = address >= head ? words[ring + CHUNKS]! * this.#chunkBytes : 0
      return head - address + inFront
    }
    const sequence = words[this.#pool.row(chunk) + SEQUENCE]!
    const since = (words[this.#pool.row(headChunk) + SEQUENCE]! - sequence) | 0
    const inChunks = head - this.#pool.start(headChunk) - (address - this.#pool.start(chunk))
    return since * this.#chunkBytes + inChunks
  }

  /** The owner's clock when the head entered the chunk in which this entry was written. */
  stampAt(ring: number, address: number): number {
    const words = this.#words
    const chunk = this.#pool.chunkOf(address)
    const inFront = chunk === words[ring + HEAD_CHUNK] && address >= words[ring + HEAD]!
    return inFront ? words[ring + CHASED_STAMP]! : words[this.#pool.row(chunk) + STAMP]!
  }

  /**
   * The first word at the ring's head, or any. To be read early: that the head's line is not in the
   * cache then costs nothing, since the slot of the index is fetched at the same time.
   */
  wordAtHead(ring: number): number {
    const words = this.#words
    return words[words[ring + HEAD]! >> 2]!
  }

  /** Would `place` find room in the ring as it is: without a chunk, and with nobody judged? */
  fits(ring: number, bytes: number): boolean {
    const words = this.#words
    if (words[ring + CHUNKS] === 0) return false
    const head = words[ring + HEAD]!
    if (words[ring + CHASE] === 1) return words[ring + TAIL]! - head >= bytes
    if (this.#end(words[ring + HEAD_CHUNK]!) - head >= bytes) return true
    return this.#spare(ring) !== 0 || this.isEmpty(ring)
  }

  /**
   * Position of `bytes` (a multiple of 4, at most half a chunk) free bytes, which the caller fills
   * with an entry at once. 0: the owner lets nobody go.
   */
  place(bucket: number, ring: number, bytes: number): number {
    const words = this.#words
    if (words[ring + CHUNKS] === 0 && !this.#begin(bucket, ring)) return 0
    const head = words[ring + HEAD]!
    if (words[ring + CHASE] === 0 && this.#end(words[ring + HEAD_CHUNK]!) - head >= bytes) {
      words[ring + HEAD] = head + bytes
      return head
    }
    return this.#placeFull(bucket, ring, bytes)
  }

  #placeFull(bucket: number, ring: number, bytes: number): number {
    const words = this.#words
    let keep = words[ring + CHASE] === 1 && (this.#mayGrow(bucket, ring) || this.isDeadHeavy(ring))
    let slides = 0
    let relieved = false
    for (;;) {
      const head = words[ring + HEAD]!
      if (words[ring + CHASE] === 1) {
        if (words[ring + TAIL]! - head >= bytes) {
          words[ring + HEAD] = head + bytes
          return head
        }
        if (this.#pass(bucket, ring, keep)) continue
        if (relieved) return 0
        // Not by way of its entries: perhaps somebody gives it a chunk.
        relieved = true
        this.#relieve(bucket, ring)
        keep = this.#mayGrow(bucket, ring)
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
      if (this.#enterSpare(bucket, ring)) continue
      if (slides < SLIDES_MAX && this.isDeadHeavy(ring)) {
        slides++
        keep = true
        this.#chase(bucket, ring)
        continue
      }
      if (this.#mayGrow(bucket, ring) && this.#extend(bucket, ring)) continue
      if (!relieved) {
        // Whoever gives a chunk may be another ring of this bucket, or this one, and move what is in
        // it: if that left the head chasing, those in front of it stay, and the chunk is for after.
        relieved = true
        this.#relieve(bucket, ring)
        keep = this.#mayGrow(bucket, ring)
        continue
      }
      keep = false
      this.#chase(bucket, ring)
    }
  }

  /** Gives a ring without chunks its first one. */
  begin(bucket: number, ring: number): void {
    if (this.#words[ring + CHUNKS] === 0) this.#begin(bucket, ring)
  }

  /** Makes the entry at `address` a filler. Its bytes are dead until the tail passes them. */
  kill(ring: number, address: number): void {
    this.leaveDead(ring, address, entryBytes(this.#words, address, this.#trailer))
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
    // It is asked after every write, and seldom has something to do.
    if (words[ring + DEAD] === 0) return
    if (words[ring + CHUNKS]! < 2 || !this.isDeadHeavy(ring)) return
    for (let moves = 0; moves < movesMax && this.isDeadHeavy(ring); moves++) {
      this.#pass(bucket, ring, true)
    }
    while (this.#giveSpare(ring));
  }

  /** Has the owner judge the oldest entry. False: nobody may go, or the ring is empty. */
  passOldest(bucket: number, ring: number): boolean {
    return this.oldest(bucket, ring) !== 0 && this.#pass(bucket, ring, false)
  }

  /** Where the tail stands, 0: the ring has no chunk. Any thread may ask without a lock. */
  tail(ring: number): number {
    return this.#words[ring + CHUNKS] === 0 ? 0 : this.#words[ring + TAIL]!
  }

  /** Makes a ring's chunks those of another ring of the bucket, which has none. */
  rename(from: number, to: number): void {
    const words = this.#words
    assert(words[to + CHUNKS] === 0, 'a ring with chunks is given another name')
    words.copyWithin(to, from, from + RING_WORDS)
    words.fill(0, from, from + RING_WORDS)
  }

  /** Copies an entry within the arena. */
  copy(to: number, from: number, bytes: number): void {
    this.#arena.move(to, from, bytes)
  }

  /** Address of the oldest entry, fillers before it passed; 0: the ring is empty. */
  oldest(bucket: number, ring: number): number {
    const words = this.#words
    while (words[ring + CHUNKS] !== 0 && !this.isEmpty(ring)) {
      const address = words[ring + TAIL]!
      if (!isFiller(words, address)) return address
      this.#pass(bucket, ring, true)
    }
    return 0
  }

  /** Moves the oldest entry to the head. The ring must not be empty. */
  keepOldest(bucket: number, ring: number): void {
    this.#pass(bucket, ring, true)
  }

  /**
   * Gives one of the ring's chunks to the pool, sliding its entries together if many bytes are dead,
   * having the oldest ones judged if not. False when only one chunk is left (the last one goes with
   * `close`), or nobody may go.
   */
  yieldChunk(bucket: number, ring: number): boolean {
    for (;;) {
      if (this.#giveSpare(ring)) return true
      if (this.#words[ring + CHUNKS]! < 2 || this.isEmpty(ring)) return false
      if (!this.#pass(bucket, ring, this.isDeadHeavy(ring))) return false
    }
  }

  /** Has all entries judged until none is left. False: somebody may not go. */
  empty(bucket: number, ring: number): boolean {
    while (this.oldest(bucket, ring) !== 0) {
      if (!this.#pass(bucket, ring, false)) return false
    }
    return true
  }

  /** Empties the ring and gives all its chunks to the pool. False: somebody may not go. */
  close(bucket: number, ring: number): boolean {
    if (!this.empty(bucket, ring)) return false
    this.reset(bucket, ring)
    return true
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
    this.#pool.giveList(first, last, count)
    words.fill(0, ring, ring + RING_WORDS)
  }

  /** Visits the positions of all entries, oldest first, fillers left out. Nothing may change. */
  walk(ring: number, visit: (address: number) => void): void {
    this.#walk(ring, (address) => {
      if (!isFiller(this.#words, address)) visit(address)
    })
  }

  /** How the ring stands: with the bytes of its chunks all that `adopt` needs. */
  outline(ring: number): RingOutline {
    const words = this.#words
    const chunks: number[] = []
    const isChased = words[ring + CHASE] === 1
    const last = words[ring + HEAD_CHUNK]!
    if (words[ring + CHUNKS] !== 0 && !this.isEmpty(ring)) {
      let chunk = words[ring + TAIL_CHUNK]!
      do {
        chunks.push(chunk)
        chunk = words[this.#pool.row(chunk) + NEXT]!
      } while (isChased ? chunk !== last : chunks.at(-1) !== last)
    }
    const first = chunks[0]
    return {
      chunks,
      stamps: chunks.map((chunk) => words[this.#pool.row(chunk) + STAMP]!),
      tail: first === undefined ? 0 : words[ring + TAIL]! - this.#pool.start(first),
      head: first === undefined ? 0 : words[ring + HEAD]! - this.#pool.start(last),
      isChased,
      chasedStamp: words[ring + CHASED_STAMP]!,
    }
  }

  /** Makes a ring that has no chunks stand so: in chunks that have their entries already. */
  adopt(
    ring: number,
    outline: RingOutline,
    fillers: { readonly dead: number; readonly padding: number },
  ): void {
    const { chunks, stamps } = outline
    const words = this.#words
    const first = chunks[0]
    if (first === undefined) return
    const last = outline.isChased ? first : chunks.at(-1)!
    chunks.forEach((chunk, i) => {
      const row = this.#pool.row(chunk)
      if (words[row + GENERATION] === 0) words[row + GENERATION] = 1
      // The head entered a chased chunk after all others.
      words[row + SEQUENCE] = outline.isChased && i === 0 ? chunks.length : i
      words[row + STAMP] = stamps[i]!
      words[row + NEXT] = chunks[(i + 1) % chunks.length]!
    })
    words[ring + CHUNKS] = chunks.length
    words[ring + HEAD_CHUNK] = last
    words[ring + HEAD] = this.#pool.start(last) + outline.head
    words[ring + TAIL_CHUNK] = first
    words[ring + TAIL] = this.#pool.start(first) + outline.tail
    words[ring + CHASE] = outline.isChased ? 1 : 0
    words[ring + CHASED_STAMP] = outline.chasedStamp
    words[ring + DEAD] = fillers.dead
    words[ring + PADDING] = fillers.padding
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
    let padding = 0
    this.#walk(ring, (address) => {
      if (!isFiller(words, address)) return
      if (isEdge(words, address)) padding += entryBytes(words, address, 0)
      else dead += entryBytes(words, address, 0)
    })
    assert(dead === words[ring + DEAD], 'a ring has not as many dead bytes as it counts')
    assert(padding === words[ring + PADDING], 'a ring has not as much padding as it counts')
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
        const bytes = entryBytes(words, address, this.#trailer)
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

  /** Takes the tail's entry out of the way: over a filler, by the owner, or by a move to the head. */
  #pass(bucket: number, ring: number, keep: boolean): boolean {
    const words = this.#words
    const address = words[ring + TAIL]!
    const bytes = entryBytes(words, address, this.#trailer)
    if (isFiller(words, address)) {
      words[ring + (isEdge(words, address) ? PADDING : DEAD)]! -= bytes
    } else {
      const verdict = keep ? KEEP : this.#owner.judge(bucket, ring, address)
      if (verdict === STUCK) return false
      if (verdict === KEEP) this.#keep(bucket, ring, address, bytes)
      else words[ring + DEAD]! -= bytes
    }
    this.#advanceTail(bucket, ring, address + bytes)
    return true
  }

  /** Moves the tail's entry to the head. In a chased chunk there is always room for it. */
  #keep(bucket: number, ring: number, from: number, bytes: number): void {
    const words = this.#words
    if (words[ring + CHASE] === 0) {
      const head = words[ring + HEAD]!
      const end = this.#end(words[ring + HEAD_CHUNK]!)
      if (end - head < bytes) {
        this.#closeHead(ring, head, end)
        const entered =
          this.#enterSpare(bucket, ring) ||
          (this.#mayGrow(bucket, ring) && this.#extend(bucket, ring))
        if (!entered) this.#chase(bucket, ring)
      }
    }
    const to = words[ring + HEAD]!
    words[ring + HEAD] = to + bytes
    if (to === from) return
    this.#arena.move(to, from, bytes)
    this.#arena.doubles[(bucket + this.#movedBytes) >> 1]! += bytes
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
  isDeadHeavy(ring: number): boolean {
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

  #mayGrow(bucket: number, ring: number): boolean {
    return this.#pool.available && this.#owner.mayExtend(bucket, ring)
  }

  /** Before the ring chases its own: a chunk too many goes, or somebody gives one. */
  #relieve(bucket: number, ring: number): void {
    if (this.#owner.hasSurplus(bucket, ring)) this.yieldChunk(bucket, ring)
    else if (this.#owner.mayExtend(bucket, ring)) this.#owner.relieve(bucket, ring)
  }

  #begin(bucket: number, ring: number): boolean {
    const words = this.#words
    const chunk = this.#owner.firstChunk(bucket, ring)
    if (chunk === 0) return words[ring + CHUNKS] !== 0
    this.#initialise(bucket, chunk, 0)
    words[this.#pool.row(chunk) + NEXT] = chunk
    words[ring + CHUNKS] = 1
    words[ring + HEAD_CHUNK] = chunk
    words[ring + TAIL_CHUNK] = chunk
    words[ring + HEAD] = this.#pool.start(chunk)
    words[ring + TAIL] = this.#pool.start(chunk)
    return true
  }

  /** Of an empty ring: the head goes back to its chunk's start. */
  #restart(bucket: number, ring: number): void {
    const words = this.#words
    const chunk = words[ring + HEAD_CHUNK]!
    this.#raise(bucket, chunk)
    words[ring + HEAD] = this.#pool.start(chunk)
    words[ring + TAIL] = this.#pool.start(chunk)
    words[this.#pool.row(chunk) + STAMP] = this.#owner.clock(bucket)
  }

  /** Fills what is left of the head's chunk. */
  #closeHead(ring: number, head: number, end: number): void {
    const words = this.#words
    if (head < end) {
      writeEdge(words, head, end - head)
      words[ring + PADDING]! += end - head
    }
    words[ring + HEAD] = end
  }

  #enter(bucket: number, ring: number, chunk: number): void {
    const words = this.#words
    const before = this.#pool.row(words[ring + HEAD_CHUNK]!)
    this.#initialise(bucket, chunk, (words[before + SEQUENCE]! + 1) | 0)
    words[ring + HEAD_CHUNK] = chunk
    words[ring + HEAD] = this.#pool.start(chunk)
  }

  /** Is there a chunk without entries behind the head's? */
  hasSpare(ring: number): boolean {
    return this.#words[ring + CHUNKS]! > 1 && this.#spare(ring) !== 0
  }

  /** The chunk behind the head's, if no entry is in it. */
  #spare(ring: number): number {
    const words = this.#words
    if (words[ring + CHASE] === 1) return 0
    const next = words[this.#pool.row(words[ring + HEAD_CHUNK]!) + NEXT]!
    return next === words[ring + TAIL_CHUNK] ? 0 : next
  }

  #enterSpare(bucket: number, ring: number): boolean {
    const spare = this.#spare(ring)
    if (spare !== 0) this.#enter(bucket, ring, spare)
    return spare !== 0
  }

  #giveSpare(ring: number): boolean {
    const words = this.#words
    const spare = words[ring + CHUNKS]! < 2 ? 0 : this.#spare(ring)
    if (spare === 0) return false
    const row = this.#pool.row(words[ring + HEAD_CHUNK]!)
    words[row + NEXT] = words[this.#pool.row(spare) + NEXT]!
    words[ring + CHUNKS]!--
    this.#pool.give(spare)
    return true
  }

  /** Takes a chunk from the pool and goes on in it. */
  #extend(bucket: number, ring: number): boolean {
    const words = this.#words
    const chunk = this.#pool.take()
    if (chunk === 0) return false
    const row = this.#pool.row(words[ring + HEAD_CHUNK]!)
    words[this.#pool.row(chunk) + NEXT] = words[row + NEXT]!
    words[row + NEXT] = chunk
    words[ring + CHUNKS]!++
    this.#enter(bucket, ring, chunk)
    return true
  }

  #initialise(bucket: number, chunk: number, sequence: number): void {
    const words = this.#words
    const row = this.#pool.row(chunk)
    if (words[row + GENERATION] === 0) words[row + GENERATION] = 1
    words[row + SEQUENCE] = sequence
    words[row + STAMP] = this.#owner.clock(bucket)
  }

  /** The head enters the chunk of the tail. */
  #chase(bucket: number, ring: number): void {
    const words = this.#words
    const chunk = words[ring + TAIL_CHUNK]!
    this.#raise(bucket, chunk)
    words[ring + CHASED_STAMP] = words[this.#pool.row(chunk) + STAMP]!
    this.#enter(bucket, ring, chunk)
    words[ring + CHASE] = 1
  }
}

/** The generation after this one. */
export function raised(generation: number): number {
  return generation === GENERATION_MAX ? 1 : generation + 1
}
