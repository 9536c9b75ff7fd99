/*
 * What entries hold, wherever its bytes lie: in their ring, in pages, or the head in pages and the
 * tail in the ring. All of it concerns an entry at an address alone; no bucket, no index.
 *
 * There is one object of this class for each arena. The bucket of the entry must be locked.
 */
import type { Chain, Chains } from './big.ts'
import * as entry from './entry.ts'
import type { Arena } from './memory.ts'
import { OWN_AT } from './memory.ts'

/** The contents of one arena's entries. All of it under the lock of the entry's bucket. */
export class Contents {
  readonly #arena: Arena
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #chains: Chains
  readonly #io: Uint8Array

  /** `io`: the I/O memory. */
  constructor(arena: Arena, chains: Chains, io: Uint8Array) {
    this.#arena = arena
    this.#bytes = arena.bytes
    this.#words = arena.words
    this.#chains = chains
    this.#io = io
  }

  /** Copies [from, from + length) of an entry's value to the I/O memory. */
  read(address: number, from: number, length: number, to: number): void {
    const words = this.#words
    const inPages = this.bytesInPages(address)
    const first = Math.max(0, Math.min(length, inPages - from))
    if (first > 0) this.#chains.readFrom(entry.valuePageOf(words, address), from, first, to)
    if (first === length) return
    const tail = entry.valueAt(words, address) + Math.max(0, from - inPages)
    this.#arena.copyOut(to + first, tail, length - first)
  }

  /** How many of the value's bytes lie in pages; the rest is in the ring. */
  bytesInPages(address: number): number {
    const words = this.#words
    if (!entry.isPaged(words, address)) return 0
    const length = entry.valueLengthOf(words, address)
    return entry.isTailInPages(words, address) ? length : length & -this.#chains.pageBytes
  }

  /** Pages an entry has. */
  pagesOf(address: number): number {
    const words = this.#words
    if (!entry.isPaged(words, address)) return 0
    const keyBytes = entry.isKeyInPages(words, address) ? entry.keyLengthOf(words, address) : 0
    return this.#chains.pagesFor(this.bytesInPages(address)) + this.#chains.pagesFor(keyBytes)
  }

  /** Pins the value's pages. @returns the chain, its length what lies in pages */
  pin(address: number): Chain {
    const first = entry.valuePageOf(this.#words, address)
    this.#chains.pin(first)
    const inPages = this.bytesInPages(address)
    return this.#chains.adopt(first, this.#chains.pagesFor(inPages), inPages)
  }

  isPinned(address: number): boolean {
    const inPages = this.bytesInPages(address) > 0
    return inPages && this.#chains.isPinned(entry.valuePageOf(this.#words, address))
  }

  /** Copies the key of an entry to a position in the I/O memory. */
  copyKey(address: number, to: number): void {
    const words = this.#words
    const length = entry.keyLengthOf(words, address)
    if (entry.isKeyInPages(words, address)) {
      this.#chains.readFrom(entry.keyPageOf(words, address), 0, length, to)
    } else {
      this.#arena.copyOut(to, entry.keyAt(words, address), length)
    }
  }

  /** Has a wide entry this key? */
  hasKey(address: number, bytes: Uint8Array, pos: number, length: number): boolean {
    const words = this.#words
    if (entry.keyLengthOf(words, address) !== length) return false
    if (entry.isKeyInPages(words, address)) {
      return this.#chains.equal(entry.keyPageOf(words, address), bytes, pos, length)
    }
    const at = entry.keyAt(words, address)
    for (let i = 0; i < length; i++) {
      if (this.#bytes[at + i] !== bytes[pos + i]) return false
    }
    return true
  }

  /** The key of an entry on the heap. */
  keyOf(address: number): Uint8Array {
    const words = this.#words
    const copy = new Uint8Array(entry.keyLengthOf(words, address))
    if (entry.isKeyInPages(words, address)) {
      this.#chains.copyTo(copy, entry.keyPageOf(words, address))
      return copy
    }
    const at = entry.keyAt(words, address)
    copy.set(this.#bytes.subarray(at, at + copy.length))
    return copy
  }

  /** The value of an entry on the heap. */
  valueOf(address: number): Uint8Array {
    const words = this.#words
    const copy = new Uint8Array(entry.valueLengthOf(words, address))
    const inPages = this.bytesInPages(address)
    if (inPages > 0) {
      this.#chains.copyTo(copy.subarray(0, inPages), entry.valuePageOf(words, address))
    }
    const at = entry.valueAt(words, address)
    copy.set(this.#bytes.subarray(at, at + copy.length - inPages), inPages)
    return copy
  }

  /**
   * The value of the entry found as a chain with room for `length` bytes, for writing: its own
   * pages if nobody reads them or `shared` readers do not matter, else a copy. Null: no memory;
   * the entry is as it was.
   */
  thaw(address: number, length: number, shared: boolean): Chain | null {
    const words = this.#words
    const valueLength = entry.valueLengthOf(words, address)
    const inPages = this.bytesInPages(address)
    const own = inPages > 0 && (shared || !this.isPinned(address))
    const chain = own
      ? this.#chains.adopt(
          entry.valuePageOf(words, address),
          this.#chains.pagesFor(inPages),
          valueLength,
        )
      : this.#chains.adopt(0, 0, valueLength)
    if (!this.#chains.extend(chain, Math.max(length, valueLength))) return null
    if (!own && inPages > 0) {
      this.#chains.writeChain(chain, 0, this.chainOf(address), 0, inPages)
    }
    const tail = valueLength - inPages
    if (tail > 0) {
      this.#arena.copyOut(OWN_AT, entry.valueAt(words, address), tail)
      this.#chains.write(chain, inPages, this.#io, OWN_AT, tail)
    }
    return chain
  }

  /** What of the value lies in pages. */
  chainOf(address: number): Chain {
    const inPages = this.bytesInPages(address)
    const first = entry.valuePageOf(this.#words, address)
    return this.#chains.adopt(first, this.#chains.pagesFor(inPages), inPages)
  }

  /** Overwrites bytes inside the value of an entry nobody has pinned. */
  writeInside(
    address: number,
    offset: number,
    bytes: Uint8Array,
    pos: number,
    length: number,
  ): void {
    const first = this.#lengthInPages(address, offset, length)
    if (first > 0) this.#chains.write(this.chainOf(address), offset, bytes, pos, first)
    if (first === length) return
    this.#arena.copyIn(this.#tailAt(address, offset + first), bytes, pos + first, length - first)
  }

  /** The same with the first `length` bytes of a chain. */
  writeChainInside(address: number, offset: number, source: Chain, length: number): void {
    const first = this.#lengthInPages(address, offset, length)
    if (first > 0) this.#chains.writeChain(this.chainOf(address), offset, source, 0, first)
    if (first === length) return
    // What is left lies in the ring: it is shorter than a page.
    this.#chains.read(source, first, length - first, OWN_AT)
    const to = this.#tailAt(address, offset + first)
    this.#arena.copyIn(to, this.#io, OWN_AT, length - first)
  }

  /** Frees the pages of an entry, or leaves them to who reads them. */
  abandonPages(address: number): void {
    const words = this.#words
    const valuePage = entry.valuePageOf(words, address)
    const keyPage = entry.keyPageOf(words, address)
    const inPages = this.#chains.pagesFor(this.bytesInPages(address))
    if (valuePage !== 0) this.#chains.abandon(valuePage, inPages)
    if (keyPage !== 0) {
      this.#chains.abandon(keyPage, this.#chains.pagesFor(entry.keyLengthOf(words, address)))
    }
  }

  /** How many of the bytes [offset, offset + length) of the value lie in pages. */
  #lengthInPages(address: number, offset: number, length: number): number {
    return Math.max(0, Math.min(length, this.bytesInPages(address) - offset))
  }

  /** Position of a byte of the value's tail, which is in the ring. */
  #tailAt(address: number, offset: number): number {
    return entry.valueAt(this.#words, address) + offset - this.bytesInPages(address)
  }
}
