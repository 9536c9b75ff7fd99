/*
 * Values (and keys) that do not fit in a ring: pages. A page is a whole chunk, of any arena;
 * a chain is pages linked through the chunk table, the last one by 0. Page ids carry their arena:
 *
 *   page id = arena << 24 | chunk
 *
 * Who has a chain?
 *   in flight    a `Chain` object: a bulk being received, a value being put together. Counted, and
 *                limited to half of all chunks, so that receiving never empties the cache.
 *   stored       an entry of a ring. The entry is the only reference.
 *   orphaned     nobody but its readers: it was replaced or removed while they held pins.
 *
 * A reader pins a stored chain under the bucket's lock and reads it, for as long as a slow socket
 * takes, without. While pins are held, bytes below the length the reader saw do not change: who
 * wants to change them writes new pages. (Appending only adds bytes behind them.) Pins are counted
 * in the marks of the chain's first page:
 *
 *   marks    bit 30 orphaned | 29..0 pins
 *
 * Unpinning takes no lock: the last unpin and the orphaning are both atomic on that word, so
 * exactly one of them sees "orphaned, no pins" and frees the chain. New pins need the bucket's
 * lock and an entry, so none can come after the orphaning.
 */
import type { Endings } from './endings.ts'
import type { Arena, IoMemory, Layout } from './memory.ts'
import { assert, OWN_AT, OWN_BYTES } from './memory.ts'
import type { Pool } from './pool.ts'
import { MARKS, NEXT, PAGES_IN_FLIGHT, PAGES_ORPHANED } from './pool.ts'

const ARENA_SHIFT = 24
const CHUNK = 0xffffff
const ORPHANED = 1 << 30

/** Pieces shorter than this are gathered: a write to a socket costs a system call. */
const PIECE_BYTES_MIN = 16 * 1024
const GATHER_BYTES = 64 * 1024

/** Wins a chunk for pages by evicting. */
export interface Winner {
  /** False: nothing could be evicted. */
  win(): boolean
}

/** Pages somebody has in hand. `length` bytes of them are used. */
export class Chain {
  first = 0
  last = 0
  pages = 0
  length = 0
  /** How many of the pages count as in flight. */
  flying = 0
  /** A page whose index is known, so that going forward does not begin at the first. */
  knownIndex = 0
  knownPage = 0
}

/** The pages of all arenas. Positions of bytes are in the thread's I/O memory or in any bytes. */
export class Chains {
  readonly #arenas: readonly Arena[]
  readonly #pools: readonly Pool[]
  readonly #winner: Winner
  #endings: Endings | null
  readonly #io: Uint8Array
  readonly #header: Int32Array
  readonly #inFlight: number
  readonly #orphaned: number
  readonly #pageShift: number
  /** Arena that is asked first for the next page. */
  #turn = 0
  /** Of the pages that are being given back: those of each arena. */
  readonly #freed: readonly {
    readonly pool: Pool
    readonly list: { first: number; last: number; count: number }
  }[]

  constructor(
    arenas: readonly Arena[],
    pools: readonly Pool[],
    layout: Layout,
    io: IoMemory,
    winner: Winner,
    endings: Endings | null = null,
  ) {
    this.#arenas = arenas
    this.#pools = pools
    this.#freed = pools.map((pool) => ({ pool, list: { first: 0, last: 0, count: 0 } }))
    this.#winner = winner
    this.#endings = endings
    this.#io = io.bytes
    this.#header = arenas[0]!.words
    this.#inFlight = layout.header + PAGES_IN_FLIGHT
    this.#orphaned = layout.header + PAGES_ORPHANED
    this.#pageShift = layout.chunkShift
  }

  /** Who is told of entries that end from now on. */
  listen(endings: Endings | null): void {
    this.#endings = endings
  }

  get pageBytes(): number {
    return 1 << this.#pageShift
  }

  get inFlight(): number {
    return Atomics.load(this.#header, this.#inFlight)
  }

  get orphaned(): number {
    return Atomics.load(this.#header, this.#orphaned)
  }

  /** Pages that `length` bytes fill or begin. */
  pagesFor(length: number): number {
    return Math.ceil(length / this.pageBytes)
  }

  next(page: number): number {
    return this.#arena(page).words[this.#row(page) + NEXT]!
  }

  /** A column of the page's row in the chunk table. */
  field(page: number, column: number): number {
    return this.#arena(page).words[this.#row(page) + column]!
  }

  setField(page: number, column: number, word: number): void {
    this.#arena(page).words[this.#row(page) + column] = word
  }

  /** The arena of a page, for views and copies. */
  arena(page: number): Arena {
    return this.#arena(page)
  }

  /** Position of the page's first byte in its arena. */
  start(page: number): number {
    return this.#pool(page).start(page & CHUNK)
  }

  /**
   * Adds pages until the chain has room for `length` bytes in all, evicting for them. False: memory
   * cannot be had; the chain has the pages it had before.
   */
  extend(chain: Chain, length: number): boolean {
    const before = chain.pages
    const wanted = this.pagesFor(length)
    while (chain.pages < wanted) {
      const page = this.#take()
      if (page === 0) {
        this.truncate(chain, before)
        return false
      }
      if (chain.last === 0) chain.first = page
      else this.#setNext(chain.last, page)
      chain.last = page
      chain.pages++
      chain.flying++
    }
    return true
  }

  /** Puts the pages of another chain, which has at least one and is empty then, behind its own. */
  join(chain: Chain, more: Chain): void {
    if (chain.last === 0) chain.first = more.first
    else this.#setNext(chain.last, more.first)
    chain.last = more.last
    chain.pages += more.pages
    chain.flying += more.flying
    more.first = 0
    more.last = 0
    more.pages = 0
    more.flying = 0
  }

  /** Gives back all pages but the first `pages`. */
  truncate(chain: Chain, pages: number): void {
    if (pages >= chain.pages) return
    const given = chain.pages - pages
    let rest = chain.first
    if (pages === 0) {
      chain.first = 0
      chain.last = 0
    } else {
      const last = this.#page(chain, pages - 1)
      rest = this.next(last)
      this.#setNext(last, 0)
      chain.last = last
    }
    chain.knownIndex = 0
    chain.knownPage = chain.first
    chain.pages = pages
    const landed = Math.min(given, chain.flying)
    this.#land(chain, landed)
    this.#free(rest)
  }

  /** The chain's pages belong to an entry from now on. */
  settle(chain: Chain): void {
    this.#land(chain, chain.flying)
  }

  /** Gives back the pages in flight: all, unless the chain was adopted from an entry. */
  undo(chain: Chain): void {
    this.truncate(chain, chain.pages - chain.flying)
  }

  /** Takes the chain of an entry in hand; the entry must be forgotten, or the pages not changed. */
  adopt(first: number, pages: number, length: number): Chain {
    const chain = new Chain()
    chain.first = first
    chain.pages = pages
    chain.length = length
    chain.knownPage = first
    if (pages > 0) chain.last = this.#page(chain, pages - 1)
    return chain
  }

  /** Writes bytes over [at, at + length) of the chain, for which it has room. */
  write(chain: Chain, at: number, bytes: Uint8Array, pos: number, length: number): void {
    let from = pos
    let to = at
    const end = at + length
    while (to < end) {
      const page = this.#page(chain, to >>> this.#pageShift)
      const offset = to & (this.pageBytes - 1)
      const piece = Math.min(end - to, this.pageBytes - offset)
      this.#arena(page).copyIn(this.start(page) + offset, bytes, from, piece)
      from += piece
      to += piece
    }
  }

  /** Copies source[from, from + length) over the chain at `at`, by way of the store's own area. */
  writeChain(chain: Chain, at: number, source: Chain, from: number, length: number): void {
    for (let done = 0; done < length; done += OWN_BYTES) {
      const piece = Math.min(length - done, OWN_BYTES)
      this.read(source, from + done, piece, OWN_AT)
      this.write(chain, at + done, this.#io, OWN_AT, piece)
    }
  }

  /** Clears [at, at + length) of the chain, for which it has room. */
  zero(chain: Chain, at: number, length: number): void {
    let to = at
    const end = at + length
    while (to < end) {
      const page = this.#page(chain, to >>> this.#pageShift)
      const offset = to & (this.pageBytes - 1)
      const piece = Math.min(end - to, this.pageBytes - offset)
      this.#arena(page).clear(this.start(page) + offset, piece)
      to += piece
    }
  }

  /** Copies part of the chain to a position in the I/O memory. */
  read(chain: Chain, from: number, length: number, to: number): void {
    if (length === 0) return
    const index = from >>> this.#pageShift
    this.readFrom(this.#page(chain, index), from & (this.pageBytes - 1), length, to)
  }

  /** The same, beginning `offset` bytes behind the start of a page; the offset may be any. */
  readFrom(first: number, offset: number, length: number, to: number): void {
    let page = first
    let skip = offset
    let left = length
    let target = to
    for (; skip >= this.pageBytes; skip -= this.pageBytes) page = this.next(page)
    while (left > 0) {
      const piece = Math.min(left, this.pageBytes - skip)
      this.#arena(page).copyOut(target, this.start(page) + skip, piece)
      target += piece
      left -= piece
      skip = 0
      if (left > 0) page = this.next(page)
    }
  }

  /** Are the first `length` bytes from page `first` on equal to bytes[pos, pos + length)? */
  equal(first: number, bytes: Uint8Array, pos: number, length: number): boolean {
    let page = first
    for (let done = 0; done < length; done += this.pageBytes) {
      const here = this.#arena(page).bytes
      const start = this.start(page)
      const piece = Math.min(length - done, this.pageBytes)
      for (let i = 0; i < piece; i++) {
        if (here[start + i] !== bytes[pos + done + i]) return false
      }
      page = this.next(page)
    }
    return true
  }

  /** Tells of the entries that went for pages. */
  tell(): void {
    if (this.#endings !== null) this.#endings.tell()
  }

  /** The page of the chain that has this index. */
  page(chain: Chain, index: number): number {
    return this.#page(chain, index)
  }

  /** Does somebody read the chain? Under the bucket's lock; nobody can begin then. */
  isPinned(first: number): boolean {
    return Atomics.load(this.#arena(first).words, this.#row(first) + MARKS) !== 0
  }

  /** Under the bucket's lock. */
  pin(first: number): void {
    Atomics.add(this.#arena(first).words, this.#row(first) + MARKS, 1)
  }

  unpin(first: number): void {
    const before = Atomics.sub(this.#arena(first).words, this.#row(first) + MARKS, 1)
    if (before !== (ORPHANED | 1)) return
    Atomics.sub(this.#header, this.#orphaned, this.#free(first))
  }

  /** The entry that had this chain is gone: frees it, or leaves that to the last reader. */
  abandon(first: number, pages: number): void {
    // Before the flag is set: the last reader may free the chain the moment it is.
    Atomics.add(this.#header, this.#orphaned, pages)
    const before = Atomics.or(this.#arena(first).words, this.#row(first) + MARKS, ORPHANED)
    if (before === 0) Atomics.sub(this.#header, this.#orphaned, this.#free(first))
  }

  /**
   * Copies the first bytes from page `first` on to heap memory, as many as it has. Without the
   * store's own area, which whoever makes an entry end may be using.
   */
  copyTo(target: Uint8Array, first: number): void {
    let page = first
    for (let done = 0; done < target.length; done += this.pageBytes) {
      const start = this.start(page)
      const piece = Math.min(target.length - done, this.pageBytes)
      target.set(this.#arena(page).bytes.subarray(start, start + piece), done)
      page = this.next(page)
    }
  }

  /** Gives the store's own area's bytes to heap memory: [from, from + target.length) of the chain. */
  gather(chain: Chain, from: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; done += OWN_BYTES) {
      const piece = Math.min(target.length - done, OWN_BYTES)
      this.read(chain, from + done, piece, OWN_AT)
      target.set(this.#io.subarray(OWN_AT, OWN_AT + piece), done)
    }
  }

  #arena(page: number): Arena {
    return this.#arenas[page >>> ARENA_SHIFT]!
  }

  #pool(page: number): Pool {
    return this.#pools[page >>> ARENA_SHIFT]!
  }

  #row(page: number): number {
    return this.#pool(page).row(page & CHUNK)
  }

  #setNext(page: number, next: number): void {
    this.#arena(page).words[this.#row(page) + NEXT] = next
  }

  #page(chain: Chain, index: number): number {
    if (chain.knownPage === 0 || index < chain.knownIndex) {
      chain.knownIndex = 0
      chain.knownPage = chain.first
    }
    if (index === chain.pages - 1 && chain.last !== 0) return chain.last
    while (chain.knownIndex < index) {
      chain.knownPage = this.next(chain.knownPage)
      chain.knownIndex++
    }
    assert(chain.knownPage !== 0, 'a chain is shorter than its length')
    return chain.knownPage
  }

  /** A page, its `next` 0 and without pins; 0 when there is none. */
  #take(): number {
    if (Atomics.add(this.#header, this.#inFlight, 1) >= this.#inFlightMax()) {
      Atomics.sub(this.#header, this.#inFlight, 1)
      return 0
    }
    do {
      for (let i = 0; i < this.#arenas.length; i++) {
        const arena = (this.#turn + i) % this.#arenas.length
        const chunk = this.#pools[arena]!.takePage()
        if (chunk === 0) continue
        this.#turn = (arena + 1) % this.#arenas.length
        const page = (arena << ARENA_SHIFT) | chunk
        this.#setNext(page, 0)
        this.#arena(page).words[this.#row(page) + MARKS] = 0
        return page
      }
    } while (this.#winner.win())
    Atomics.sub(this.#header, this.#inFlight, 1)
    return 0
  }

  /** Bytes that may be in flight at a time. */
  get flyingBytesMax(): number {
    return this.#inFlightMax() * this.pageBytes
  }

  /** Half of the chunks that maxmemory pays for now. */
  #inFlightMax(): number {
    return (this.#pools[0]!.target * this.#pools.length) >>> 1
  }

  #land(chain: Chain, pages: number): void {
    chain.flying -= pages
    Atomics.sub(this.#header, this.#inFlight, pages)
  }

  /** Gives the pages from `first` on back, each arena's at once. @returns how many there were */
  #free(first: number): number {
    let pages = 0
    for (const { list } of this.#freed) {
      list.first = 0
      list.count = 0
    }
    for (let page = first; page !== 0; pages++) {
      const next = this.next(page)
      const { pool, list } = this.#freed[page >>> ARENA_SHIFT]!
      const chunk = page & CHUNK
      if (list.first === 0) list.first = chunk
      else pool.link(list.last, chunk)
      list.last = chunk
      list.count++
      page = next
    }
    for (const { pool, list } of this.#freed) {
      if (list.count > 0) pool.givePages(list.first, list.last, list.count)
    }
    return pages
  }
}

/**
 * Bytes in chunks of the pool: a big value being received, or a pinned one being sent. Received
 * pages belong to whoever called `Store.pages()` until a verb of the store takes them over.
 */
export class Pages {
  readonly #chains: Chains
  readonly #lengthMax: number
  readonly #pinned: boolean
  /** The part of a pinned value that lies in its ring entry, copied. */
  readonly #tail: Uint8Array
  /** Bytes before the tail. */
  #chain: Chain | null
  #length: number

  /** For the store: an empty one to receive into, or a pinned chain of `length` bytes with a tail. */
  constructor(chains: Chains, lengthMax: number, pinned: Chain | null, tail: Uint8Array) {
    this.#chains = chains
    this.#lengthMax = lengthMax
    this.#pinned = pinned !== null
    this.#tail = tail
    this.#chain = pinned ?? new Chain()
    this.#length = this.#chain.length + tail.length
  }

  /** Bytes written so far (receiving) or in all (pinned). */
  get length(): number {
    return this.#length
  }

  /**
   * Appends bytes, taking chunks from the pool and evicting for them. False: memory cannot be had
   * (over half of maxmemory is held by pages in flight, or all of it); the pages are released then.
   */
  write(bytes: Uint8Array, pos: number, length: number): boolean {
    const chain = this.#chain
    if (chain === null) return false
    assert(!this.#pinned, 'a pinned value is written to')
    const total = chain.length + length
    if (total > this.#lengthMax || !this.#chains.extend(chain, total)) {
      this.release()
      this.#chains.tell()
      return false
    }
    this.#chains.write(chain, chain.length, bytes, pos, length)
    chain.length = total
    this.#length = total
    this.#chains.tell()
    return true
  }

  /** The same with [from, from + length) of other pages. */
  writePages(source: Pages, from: number, length: number): boolean {
    const chain = this.#chain
    if (chain === null) return false
    assert(!this.#pinned, 'a pinned value is written to')
    const before = chain.length
    const inChain = Math.min(length, Math.max(0, source.#held().length - from))
    if (before + length > this.#lengthMax || !this.#chains.extend(chain, before + length)) {
      this.release()
      this.#chains.tell()
      return false
    }
    this.#chains.writeChain(chain, before, source.#held(), from, inChain)
    if (inChain < length) {
      const skip = from + inChain - source.#held().length
      this.#chains.write(chain, before + inChain, source.#tail, skip, length - inChain)
    }
    chain.length = before + length
    this.#length = chain.length
    this.#chains.tell()
    return true
  }

  /**
   * The bytes from `from` on, as many as lie together (at least 16 KB, if there are so many): a
   * view of the arena, which stays valid until `release`, or a fresh copy. For socket.write.
   */
  piece(from: number): Uint8Array {
    const chain = this.#held()
    const inChain = chain.length - from
    if (inChain <= 0) return this.#tail.subarray(-inChain)
    const view = this.#view(chain, from)
    const left = this.#length - from
    if (view.length >= PIECE_BYTES_MIN || view.length === left) return view
    const copy = Buffer.allocUnsafeSlow(Math.min(left, GATHER_BYTES))
    this.#copy(chain, from, copy)
    return copy
  }

  toBuffer(): Buffer {
    return this.head(this.#length)
  }

  /** A copy of the first `bytesMax` bytes at most. */
  head(bytesMax: number): Buffer {
    const copy = Buffer.allocUnsafeSlow(Math.min(bytesMax, this.#length))
    this.#copy(this.#held(), 0, copy)
    return copy
  }

  /** Gives the chunks back (receiving), or unpins (the last unpin of a replaced value frees it). */
  release(): void {
    const chain = this.#chain
    if (chain === null) return
    this.#chain = null
    if (this.#pinned) this.#chains.unpin(chain.first)
    else this.#chains.undo(chain)
  }

  /** For the store: the chain as long as it stays here. */
  get chain(): Chain | null {
    return this.#chain
  }

  /** For the store: hands the chain over; null when it was released before. */
  surrender(): Chain | null {
    assert(!this.#pinned, 'a pinned value is given away')
    const chain = this.#chain
    this.#chain = null
    return chain
  }

  #held(): Chain {
    assert(this.#chain !== null, 'pages are used after their release')
    return this.#chain
  }

  /** Pages that are neighbours in memory are one view. */
  #view(chain: Chain, from: number): Uint8Array {
    const pageBytes = this.#chains.pageBytes
    let index = Math.floor(from / pageBytes)
    const first = this.#chains.page(chain, index)
    const start = this.#chains.start(first) + (from - index * pageBytes)
    let length = pageBytes - (from - index * pageBytes)
    for (let page = first; from + length < chain.length && length < GATHER_BYTES; page++) {
      if (this.#chains.next(page) !== page + 1) break
      index++
      length += pageBytes
    }
    length = Math.min(length, chain.length - from)
    return this.#chains.arena(first).bytes.subarray(start, start + length)
  }

  #copy(chain: Chain, from: number, target: Uint8Array): void {
    const inChain = Math.max(0, Math.min(chain.length - from, target.length))
    this.#chains.gather(chain, from, target.subarray(0, inChain))
    if (inChain < target.length) {
      const skip = Math.max(0, from - chain.length)
      target.set(this.#tail.subarray(skip, skip + target.length - inChain), inChain)
    }
  }
}
