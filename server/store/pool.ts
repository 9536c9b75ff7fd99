/*
 * The chunks of one arena, and who has them.
 *
 * A chunk is a piece of a ring, a page of a big value, or holds up to eight pieces of indexes. Free
 * chunks are a list through the chunk table's `next`; those never used lie behind `bump`, so that
 * memory nobody needed is never touched. A bucket's first ring chunk is promised to it from the
 * start (`reserved`), without being taken: whoever else asks leaves as many as are promised, and
 * therefore every bucket can always store an entry, if need be by evicting its own.
 *
 *   header    LOCK FREE BUMP USED LIMIT RESERVED PARTLY ...      words, from layout.header
 *   table     next | generation | marks | 4 words for rings and for the list of big values
 *             a row for each chunk, id 1..chunks
 *
 * `marks` is the bit set of free pieces where the chunk holds pieces of an index or of ghosts, and
 * the count of pins where it is the first page of a value (big.ts). The generation belongs to rings
 * (ring.ts) and outlives every other use of the chunk. The pool itself writes `next` and `marks`
 * only; it counts who has how many chunks, so that nobody needs to walk for that.
 *
 * TARGET is how many chunks maxmemory pays for, LIMIT how many may be used and promised. They are the
 * same until maxmemory is lowered: then the limit goes down as far as there are free chunks, and
 * later with each chunk that somebody gives back for that (`lower`). So used and promised chunks are
 * never more than the limit, and an eviction that wins a chunk for a write wins it for that write:
 * were the limit lowered at once, the first big value after would have to evict all that is too much.
 *
 * The lock is a leaf: it is taken while bucket locks are held, and nothing is called under it.
 */
import type { Layout } from './memory.ts'
import { acquire, assert, CHUNK_WORDS, chunksFor, indexPiecesFor, release } from './memory.ts'

const LOCK = 0
const FREE = 1
const BUMP = 2
const USED = 3
const LIMIT = 4
const RESERVED = 5
/** First of the chunks of which some pieces are free and some taken. */
const PARTLY = 6
/** Chunks that hold pieces of indexes and ghosts. */
const PIECE_CHUNKS = 7
/** Fields that concern the whole store; those of arena 0 count. */
export const PAGES_IN_FLIGHT = 8
export const PAGES_ORPHANED = 9
export const TOKEN_BLOCKS = 10
/** Chunks that are pages of big values: in flight, stored or orphaned. */
const PAGES = 11
/** maxmemory as it is now, a double: two words. */
const MAX_MEMORY = 12
/** What LIMIT is to become. */
const TARGET = 14
/** Pieces an index may have with this maxmemory. */
const INDEX_PIECES = 15
/** Taken by who changes maxmemory; that of arena 0 counts. */
export const SETTING = 16
/** Policy and scope of eviction (policy.ts), the same in all arenas. */
export const POLICY = 17
/** Seven words: the lists of big values (big-list.ts). */
export const BIG_LISTS = 18

/** Columns of the chunk table. */
export const NEXT = 0
export const GENERATION = 1
export const MARKS = 2
/** Of a ring's chunk: how many chunks the head had entered before, and the clock at that time. */
export const SEQUENCE = 3
export const STAMP = 4
/**
 * Of a value's first page (big-list.ts): its clock, the hash of its key, and its neighbours. Those
 * have columns of their own: who follows them without a lock finds a page there, if an old one.
 */
export const ENTERED = 3
export const OWNER = 4
export const NEWER = 5
export const OLDER = 6

export class Pool {
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #layout: Layout
  readonly #header: number
  readonly #table: number
  readonly #piecesPerChunk: number

  constructor(words: Int32Array, layout: Layout) {
    this.#words = words
    this.#doubles = new Float64Array(words.buffer)
    this.#layout = layout
    this.#header = layout.header
    this.#table = layout.chunkTable
    this.#piecesPerChunk = 1 << (layout.chunkShift - layout.pieceShift)
  }

  /** Once for an arena's life: `buckets` is how many buckets live in it. */
  open(buckets: number): void {
    const words = this.#words
    words[this.#header + BUMP] = 1
    words[this.#header + RESERVED] = buckets
    this.setMaxMemory(this.#layout.maxMemory)
  }

  /** From now on the store's maxmemory is this; it must not be above the ceiling. */
  setMaxMemory(bytes: number): void {
    const words = this.#words
    const header = this.#header
    acquire(words, header + LOCK)
    this.#doubles[(header + MAX_MEMORY) >> 1] = bytes
    words[header + TARGET] = chunksFor(this.#layout, bytes)
    words[header + INDEX_PIECES] = indexPiecesFor(this.#layout, bytes)
    this.#lower()
    release(words, header + LOCK)
  }

  get maxMemory(): number {
    return this.#doubles[(this.#header + MAX_MEMORY) >> 1]!
  }

  /** Chunks that may be used and promised now. */
  get limit(): number {
    return Atomics.load(this.#words, this.#header + LIMIT)
  }

  /** Chunks that maxmemory pays for. */
  get target(): number {
    return Atomics.load(this.#words, this.#header + TARGET)
  }

  /** Chunks by which the limit is still above its target, since maxmemory was lowered. */
  get excess(): number {
    return this.limit - this.target
  }

  /** Lowers the limit to its target, as far as there are free chunks. */
  lower(): void {
    if (this.excess === 0) return
    acquire(this.#words, this.#header + LOCK)
    this.#lower()
    release(this.#words, this.#header + LOCK)
  }

  /** Chunks that were ever used: the system holds their memory, free or not. */
  get touched(): number {
    return this.#words[this.#header + BUMP]! - 1
  }

  get indexPiecesMax(): number {
    return this.#words[this.#header + INDEX_PIECES]!
  }

  get used(): number {
    return Atomics.load(this.#words, this.#header + USED)
  }

  get pieceChunks(): number {
    return Atomics.load(this.#words, this.#header + PIECE_CHUNKS)
  }

  /** Chunks that are pages of big values. */
  get pages(): number {
    return Atomics.load(this.#words, this.#header + PAGES)
  }

  /** Chunks of rings. With several threads the three counts may be of different moments. */
  get ringChunks(): number {
    return this.used - this.pieceChunks - this.pages
  }

  /** Would `take` give a chunk? Without the lock: with several threads only likely. */
  get available(): boolean {
    return this.free > 0
  }

  /** Chunks that `take` would give. The same holds. */
  get free(): number {
    const words = this.#words
    const at = this.#header
    return words[at + LIMIT]! - words[at + USED]! - words[at + RESERVED]!
  }

  /** Index in `words` of the chunk's row in the table. */
  row(chunk: number): number {
    return this.#table + chunk * CHUNK_WORDS
  }

  /** Position of the chunk's first byte. */
  start(chunk: number): number {
    return this.#layout.origin + (chunk << this.#layout.chunkShift)
  }

  /** The chunk in which a position lies. */
  chunkOf(address: number): number {
    return (address - this.#layout.origin) >>> this.#layout.chunkShift
  }

  /** A chunk, its content undefined; 0 when there is none but the promised ones. */
  take(): number {
    const words = this.#words
    acquire(words, this.#header + LOCK)
    const chunk = this.available ? this.#pop() : 0
    release(words, this.#header + LOCK)
    return chunk
  }

  /** `take` for a page of a big value. */
  takePage(): number {
    const words = this.#words
    acquire(words, this.#header + LOCK)
    const chunk = this.available ? this.#pop() : 0
    if (chunk !== 0) words[this.#header + PAGES]!++
    release(words, this.#header + LOCK)
    return chunk
  }

  /** Takes a list of `count` pages back, made by `link`. */
  givePages(first: number, last: number, count: number): void {
    const words = this.#words
    acquire(words, this.#header + LOCK)
    words[this.#header + PAGES]! -= count
    this.#push(first, last, count)
    release(words, this.#header + LOCK)
  }

  /** Links a chunk to the one that comes before it in a list to be given back. */
  link(before: number, chunk: number): void {
    this.#words[this.row(before) + NEXT] = chunk
  }

  /** The chunk that was promised to a bucket. */
  takePromised(): number {
    const words = this.#words
    acquire(words, this.#header + LOCK)
    words[this.#header + RESERVED]!--
    const chunk = this.#pop()
    release(words, this.#header + LOCK)
    return chunk
  }

  give(chunk: number): void {
    this.giveList(chunk, chunk, 1)
  }

  /** Takes a list of `count` chunks back that is linked by NEXT from `first` to `last`. */
  giveList(first: number, last: number, count: number): void {
    acquire(this.#words, this.#header + LOCK)
    this.#push(first, last, count)
    release(this.#words, this.#header + LOCK)
  }

  /**
   * A bucket gives its last chunk back: from now on its first one is promised again. To be called
   * before it gives, or somebody else might take it in between. (Until then one chunk more is used
   * and promised than there is; if the limit is lowered meanwhile it stays that one too high until
   * the next time.)
   */
  promise(): void {
    const words = this.#words
    acquire(words, this.#header + LOCK)
    words[this.#header + RESERVED]!++
    release(words, this.#header + LOCK)
  }

  /** Position of a piece of an index or of ghosts, its content undefined; 0 when there is none. */
  takePiece(): number {
    const words = this.#words
    const header = this.#header
    acquire(words, header + LOCK)
    let chunk = words[header + PARTLY]!
    if (chunk === 0 && this.available) {
      chunk = this.#pop()
      words[this.row(chunk) + NEXT] = 0
      words[this.row(chunk) + MARKS] = (1 << this.#piecesPerChunk) - 1
      words[header + PARTLY] = chunk
      words[header + PIECE_CHUNKS]!++
    }
    let address = 0
    if (chunk !== 0) {
      const row = this.row(chunk)
      const free = words[row + MARKS]!
      const piece = 31 - Math.clz32(free)
      words[row + MARKS] = free & ~(1 << piece)
      if (words[row + MARKS] === 0) words[header + PARTLY] = words[row + NEXT]!
      address = this.start(chunk) + (piece << this.#layout.pieceShift)
    }
    release(words, header + LOCK)
    return address
  }

  givePiece(address: number): void {
    const words = this.#words
    const header = this.#header
    acquire(words, header + LOCK)
    const chunk = this.chunkOf(address)
    const row = this.row(chunk)
    const piece = (address - this.start(chunk)) >>> this.#layout.pieceShift
    const free = words[row + MARKS]! | (1 << piece)
    if (words[row + MARKS] === 0) {
      words[row + NEXT] = words[header + PARTLY]!
      words[header + PARTLY] = chunk
    }
    words[row + MARKS] = free
    if (free === (1 << this.#piecesPerChunk) - 1) this.#dissolve(chunk)
    release(words, header + LOCK)
  }

  /** Throws when the lists and the counts disagree. @returns chunks in use */
  check(): number {
    const words = this.#words
    const header = this.#header
    let free = 0
    for (let id = words[header + FREE]!; id !== 0; id = words[this.row(id) + NEXT]!) {
      free++
      assert(free <= this.#layout.chunks, 'the free list has no end')
    }
    const untouched = this.#layout.chunks + 1 - words[header + BUMP]!
    assert(free + untouched + this.used === this.#layout.chunks, 'a chunk is lost or counted twice')
    assert(this.used + words[header + RESERVED]! <= words[header + LIMIT]!, 'a promise was broken')
    assert(this.excess >= 0 && this.limit <= this.#layout.chunks, 'the limit is wrong')
    assert(this.pages >= 0 && this.ringChunks >= 0, 'pages or pieces are counted twice')
    for (let id = words[header + PARTLY]!; id !== 0; id = words[this.row(id) + NEXT]!) {
      const marks = words[this.row(id) + MARKS]!
      assert(marks > 0 && marks < (1 << this.#piecesPerChunk) - 1, 'a piece chunk is full or empty')
    }
    return this.used
  }

  /** Gives the pool a chunk back of which every piece is free. Few chunks are on that list. */
  #dissolve(chunk: number): void {
    const words = this.#words
    let at = this.#header + PARTLY
    while (words[at] !== chunk) at = this.row(words[at]!) + NEXT
    words[at] = words[this.row(chunk) + NEXT]!
    words[this.#header + PIECE_CHUNKS]!--
    this.#push(chunk, chunk, 1)
  }

  #lower(): void {
    const words = this.#words
    const header = this.#header
    const least = words[header + USED]! + words[header + RESERVED]!
    words[header + LIMIT] = Math.max(words[header + TARGET]!, least)
  }

  #pop(): number {
    const words = this.#words
    const header = this.#header
    words[header + USED]!++
    const chunk = words[header + FREE]!
    if (chunk === 0) return words[header + BUMP]!++
    words[header + FREE] = words[this.row(chunk) + NEXT]!
    return chunk
  }

  #push(first: number, last: number, count: number): void {
    const words = this.#words
    const header = this.#header
    words[this.row(last) + NEXT] = words[header + FREE]!
    words[header + FREE] = first
    words[header + USED]! -= count
  }
}
