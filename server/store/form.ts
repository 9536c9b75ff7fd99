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

  /** Decides the form of this key with such a value. */
  draw(key: FormKey, valueLength: number, expires: boolean): void {
    this.db = key.db
    this.hash = key.hash
    this.keyLength = key.length
    this.valueLength = valueLength
    this.expires = expires
    this.paged = false
    this.keyInPages = false
    this.tailInPages = false
    this.tail = valueLength
    this.narrow =
      key.length <= entry.KEY_NARROW_MAX &&
      valueLength <= entry.VALUE_NARROW_MAX &&
      key.db <= entry.DATABASE_NARROW_MAX
    const header =
      (this.narrow ? entry.NARROW_BYTES : entry.WIDE_BYTES) + (expires ? entry.EXPIRY_BYTES : 0)
    this.bytes = ((header + key.length + valueLength + 3) & ~3) + this.#trailer
    if (this.bytes > this.#entryBytesMax) this.#drawPaged()
  }

  /** Where the ring has no room for the tail, or readers of these pages may need it there. */
  leaveTailInPages(): void {
    this.bytes = (this.bytes - this.tail + 3) & ~3
    this.tail = 0
    this.tailInPages = true
  }

  #drawPaged(): void {
    const expiry = this.expires ? entry.EXPIRY_BYTES : 0
    this.narrow = false
    this.paged = true
    this.keyInPages = this.keyLength > this.#keyInRingMax
    this.tail = this.valueLength & (this.#pageBytes - 1)
    const rest =
      entry.WIDE_BYTES + expiry + entry.PAGES_BYTES + (this.keyInPages ? 0 : this.keyLength)
    this.bytes = (rest + this.tail + 3) & ~3
    if (this.bytes > this.#entryBytesMax) this.leaveTailInPages()
  }
}
