/* What an entry of the current key would look like: narrow or wide, with pages or without. */
import * as entry from './entry.ts'
import type { Layout } from './memory.ts'

/** The key of the current verb, as far as an entry's form depends on it. */
export interface FormKey {
  readonly db: number
  readonly hash: number
  readonly length: number
}

export class Form implements entry.WideHeader {
  type = 0
  db = 0
  hash = 0
  narrow = false
  paged = false
  keyInPages = false
  tailInPages = false
  /** Bytes in the ring. */
  bytes = 0
  /** Bytes of the value in the ring. */
  tail = 0
  keyLength = 0
  valueLength = 0
  expires = false
  hasExtras = false
  /** Of an entry with pages: header, key and extras in the ring. */
  #bytesBeforeTail = 0
  readonly #pageBytes: number
  readonly #trailer: number
  readonly #entryBytesMax: number
  readonly #keyInRingMax: number

  /** `trailer`: bytes of the trailer that entries without pages have. */
  constructor(layout: Layout, trailer: number) {
    this.#pageBytes = 1 << layout.chunkShift
    this.#trailer = trailer
    this.#entryBytesMax = this.#pageBytes >>> 1
    this.#keyInRingMax = this.#pageBytes >>> 2
  }

  /** Decides the form of this key with such a value, and so many bytes of extras. */
  draw(key: FormKey, valueLength: number, expires: boolean, extrasBytes: number): void {
    this.db = key.db
    this.hash = key.hash
    this.keyLength = key.length
    this.valueLength = valueLength
    this.expires = expires
    this.hasExtras = extrasBytes > 0
    this.paged = false
    this.keyInPages = false
    this.tailInPages = false
    this.tail = valueLength
    this.narrow =
      extrasBytes === 0 &&
      key.length <= entry.KEY_NARROW_MAX &&
      valueLength <= entry.VALUE_NARROW_MAX &&
      key.db <= entry.DATABASE_NARROW_MAX
    const header =
      (this.narrow ? entry.NARROW_BYTES : entry.WIDE_BYTES) + (expires ? entry.EXPIRY_BYTES : 0)
    this.bytes = ((header + key.length + extrasBytes + valueLength + 3) & ~3) + this.#trailer
    if (this.bytes > this.#entryBytesMax) this.#drawPaged(extrasBytes)
  }

  /** Where the ring has no room for the tail, or readers of these pages may need it there. */
  leaveTailInPages(): void {
    this.bytes = (this.#bytesBeforeTail + 3) & ~3
    this.tail = 0
    this.tailInPages = true
  }

  #drawPaged(extrasBytes: number): void {
    const expiry = this.expires ? entry.EXPIRY_BYTES : 0
    this.narrow = false
    this.paged = true
    this.tail = this.valueLength & (this.#pageBytes - 1)
    const rest = entry.WIDE_BYTES + expiry + entry.PAGES_BYTES + extrasBytes
    // In the least of chunks a key and its extras may be too long for one entry.
    this.keyInPages =
      this.keyLength > this.#keyInRingMax ||
      rest + this.keyLength > this.#entryBytesMax ||
      this.valueLength === 0
    this.#bytesBeforeTail = rest + (this.keyInPages ? 0 : this.keyLength)
    this.bytes = (this.#bytesBeforeTail + this.tail + 3) & ~3
    // What a trailer made too long must not have pages in name only: it is known by its first one.
    const hasNoPages = !this.keyInPages && this.tail === this.valueLength
    if (hasNoPages || this.bytes > this.#entryBytesMax) this.leaveTailInPages()
  }
}
