/*
 * One record in a ring. Entries begin at multiples of 4 and are a multiple of 4 bytes long, and
 * none crosses the edge of a chunk, so a ring can be walked from entry to entry.
 *
 *   narrow   +------+----------+-----+-------+-----------+
 *            | head | [expiry] | key | value | [trailer] |      4 bytes of header, 12 with an expiry
 *            +------+----------+-----+-------+-----------+
 *   wide     +------+------+-----+-------+------+----------+---------+-----+----------+-----------+
 *            | head | meta | key | value | hash | [expiry] | [pages] | key | [extras] | [tail of] |
 *            |      |      | len | len   |      |          |         |     |          |  value    |
 *            +------+------+-----+-------+------+----------+---------+-----+----------+-----------+
 *                                                                                     | [trailer] |
 *   filler   +------+----------------- - -
 *            | head | whatever was here                  1, and its length in bytes
 *            +------+----------------- - -
 *
 *   head     bit 31 filler | 30 extras | 29 wide | 28 expiry | 27 color | 26..24 type
 *            | 23..20 database | 19..12 key length | 11..0 value length   (the last three: narrow only)
 *   filler   bit 31 set | 30 edge | 27..0 length in bytes. An edge fills what was left of a chunk;
 *            other fillers are what deleted and shortened entries leave behind ("dead" bytes).
 *   meta     bits 31..20 database | 19 tail in pages | 18 key in pages | 17 pages | 16 in the main
 *            list of big values (big-list.ts) | 15..0 length of the entry in the ring, in words
 *   expiry   milliseconds: low word, high word. 0: none after all (PERSIST keeps the field)
 *   pages    first page of the value (0: none), first page of the key (0: none)
 *   color    that of the store when the entry was written (invalidation.ts)
 *   extras   what a loaded entry knows beside its value (extras.ts); two bytes of length come first
 *   trailer  what the policies `lru` and `second-chance` keep about every entry (eviction.ts); under
 *            the other policies, and in entries with pages, there is none
 *
 * Wide is an entry with a key over 255 bytes, a value over 4,095, a database over 15, pages or extras.
 * It keeps the hash of its key, which narrow ones compute again when they are evicted (16 ns, where
 * storing it would cost every entry 4 bytes).
 *
 * An entry longer than half a chunk has pages: whole chunks, linked by the chunk table. Of the
 * value the full pages' worth lies there, and the rest in the ring as the entry's tail, unless the
 * tail alone is too long: then it takes a page too. A key over a quarter of a chunk has pages of
 * its own. So every key and value fits, whatever the chunk size, and the pages of a value received
 * into pages need no copying.
 */

/** The value types a client can see. Room is left for hash, list, set, sorted set. */
export const TYPE_STRING = 0

/** The origin has no such thing: an empty value with an expiry. Clients never see it. */
export const TYPE_NEGATIVE = 6

/** The record of a load in flight: its value is the token, two words. Clients never see it. */
export const TYPE_LEASE = 7

export const COLOR = 1 << 27
export const EXPIRY = 1 << 28
export const WIDE = 1 << 29
export const EXTRAS = 1 << 30
const FILLER = 1 << 31
const EDGE = 1 << 30
const FILLER_BYTES = 0xfffffff

export const VALUE_NARROW_MAX = 0xfff
const KEY_SHIFT = 12
export const KEY_NARROW_MAX = 0xff
const DATABASE_SHIFT = 20
export const DATABASE_NARROW_MAX = 15
export const TYPE_SHIFT = 24
export const TYPE_MASK = 7

const PAGED = 1 << 17
const KEY_IN_PAGES = 1 << 18
const TAIL_IN_PAGES = 1 << 19
const IN_MAIN_LIST = 1 << 16
const ENTRY_WORDS = 0xffff

/** The field of 12 bits for databases in `meta`. */
export const DATABASES_MAX = 4_096

const META = 1
const KEY_LENGTH = 2
const VALUE_LENGTH = 3
const HASH = 4
const WIDE_WORDS = 5

/** Words of the pages field. */
const VALUE_PAGE = 0
const KEY_PAGE = 1

export const NARROW_BYTES = 4
export const WIDE_BYTES = 4 * WIDE_WORDS
export const EXPIRY_BYTES = 8
export const PAGES_BYTES = 8

/** The longest header of an entry without pages, and what rounding up adds. */
export const HEADER_BYTES_MAX = WIDE_BYTES + EXPIRY_BYTES + 3

const HIGH_WORD = 2 ** 32

/* In all functions `words` is the arena and `at` the entry's position in bytes. */

export function isFiller(words: Int32Array, at: number): boolean {
  return words[at >> 2]! < 0
}

/** Is it a filler at a chunk's end, whose bytes nobody deleted? */
export function isEdge(words: Int32Array, at: number): boolean {
  return (words[at >> 2]! & EDGE) !== 0
}

export function writeFiller(words: Int32Array, at: number, bytes: number): void {
  words[at >> 2] = FILLER | bytes
}

export function writeEdge(words: Int32Array, at: number, bytes: number): void {
  words[at >> 2] = FILLER | EDGE | bytes
}

export function isWide(words: Int32Array, at: number): boolean {
  return (words[at >> 2]! & WIDE) !== 0
}

export function isNarrowWithoutExpiry(words: Int32Array, at: number): boolean {
  return (words[at >> 2]! & (WIDE | EXPIRY)) === 0
}

/** Bytes that a narrow entry takes. */
export function narrowBytes(keyLength: number, valueLength: number, expires: boolean): number {
  return (NARROW_BYTES + (expires ? EXPIRY_BYTES : 0) + keyLength + valueLength + 3) & ~3
}

/** Bytes that the entry or filler takes in its ring; `trailer`: bytes of each entry's trailer. */
export function entryBytes(words: Int32Array, at: number, trailer: number): number {
  const head = words[at >> 2]!
  if (head < 0) return head & FILLER_BYTES
  if ((head & WIDE) !== 0) return (words[(at >> 2) + META]! & ENTRY_WORDS) << 2
  const key = (head >>> KEY_SHIFT) & KEY_NARROW_MAX
  return narrowBytes(key, head & VALUE_NARROW_MAX, (head & EXPIRY) !== 0) + trailer
}

/** The first word of a narrow entry, but for its color. */
export function narrowHead(
  type: number,
  db: number,
  keyLength: number,
  valueLength: number,
  expires: boolean,
): number {
  return (
    (expires ? EXPIRY : 0) |
    (type << TYPE_SHIFT) |
    (db << DATABASE_SHIFT) |
    (keyLength << KEY_SHIFT) |
    valueLength
  )
}

/** What a wide entry's header says, beside expiry and links. */
export interface WideHeader {
  readonly type: number
  readonly db: number
  readonly hash: number
  readonly keyLength: number
  readonly valueLength: number
  readonly expires: boolean
  /** Bytes in the ring, a multiple of 4. */
  readonly bytes: number
  readonly paged: boolean
  readonly keyInPages: boolean
  readonly tailInPages: boolean
  /** Has it a block of extras? That is not written with the header. */
  readonly hasExtras: boolean
}

/** Writes the header but for the entry's color. */
export function writeWide(words: Int32Array, at: number, header: WideHeader): void {
  const word = at >> 2
  const extras = header.hasExtras ? EXTRAS : 0
  words[word] = WIDE | extras | (header.expires ? EXPIRY : 0) | (header.type << TYPE_SHIFT)
  words[word + META] =
    (header.db << 20) |
    (header.tailInPages ? TAIL_IN_PAGES : 0) |
    (header.keyInPages ? KEY_IN_PAGES : 0) |
    (header.paged ? PAGED : 0) |
    (header.bytes >>> 2)
  words[word + KEY_LENGTH] = header.keyLength
  words[word + VALUE_LENGTH] = header.valueLength
  words[word + HASH] = header.hash
}

export function typeOf(words: Int32Array, at: number): number {
  return (words[at >> 2]! >>> TYPE_SHIFT) & TYPE_MASK
}

/** Gives an entry the color of the store, `COLOR` or 0. */
export function setColor(words: Int32Array, at: number, color: number): void {
  const head = words[at >> 2]!
  if ((head & COLOR) !== color) words[at >> 2] = head ^ COLOR
}

export function databaseOf(words: Int32Array, at: number): number {
  const head = words[at >> 2]!
  if ((head & WIDE) !== 0) return words[(at >> 2) + META]! >>> 20
  return (head >>> DATABASE_SHIFT) & DATABASE_NARROW_MAX
}

export function keyLengthOf(words: Int32Array, at: number): number {
  const head = words[at >> 2]!
  if ((head & WIDE) !== 0) return words[(at >> 2) + KEY_LENGTH]!
  return (head >>> KEY_SHIFT) & KEY_NARROW_MAX
}

export function valueLengthOf(words: Int32Array, at: number): number {
  const head = words[at >> 2]!
  if ((head & WIDE) !== 0) return words[(at >> 2) + VALUE_LENGTH]!
  return head & VALUE_NARROW_MAX
}

/** The hash a wide entry keeps. */
export function hashOf(words: Int32Array, at: number): number {
  return words[(at >> 2) + HASH]!
}

/** Has it room for an expiry? */
export function hasExpiry(words: Int32Array, at: number): boolean {
  return (words[at >> 2]! & EXPIRY) !== 0
}

/** Milliseconds, 0: it does not expire. */
export function expireAtOf(words: Int32Array, at: number): number {
  const head = words[at >> 2]!
  if ((head & EXPIRY) === 0) return 0
  const word = (at >> 2) + ((head & WIDE) === 0 ? 1 : WIDE_WORDS)
  return (words[word]! >>> 0) + words[word + 1]! * HIGH_WORD
}

/** Writes the expiry of an entry that has room for one. A fraction of a millisecond is rounded up. */
export function setExpireAt(words: Int32Array, at: number, expireAt: number): void {
  const word = (at >> 2) + ((words[at >> 2]! & WIDE) === 0 ? 1 : WIDE_WORDS)
  const ms = Math.ceil(expireAt)
  words[word] = ms
  words[word + 1] = ms / HIGH_WORD
}

export function isPaged(words: Int32Array, at: number): boolean {
  return (words[at >> 2]! & WIDE) !== 0 && (words[(at >> 2) + META]! & PAGED) !== 0
}

export function isKeyInPages(words: Int32Array, at: number): boolean {
  return (words[at >> 2]! & WIDE) !== 0 && (words[(at >> 2) + META]! & KEY_IN_PAGES) !== 0
}

export function isTailInPages(words: Int32Array, at: number): boolean {
  return (words[(at >> 2) + META]! & TAIL_IN_PAGES) !== 0
}

function pagesWord(words: Int32Array, at: number): number {
  return (at >> 2) + WIDE_WORDS + ((words[at >> 2]! & EXPIRY) === 0 ? 0 : 2)
}

/* Of entries with pages: */

export function valuePageOf(words: Int32Array, at: number): number {
  return words[pagesWord(words, at) + VALUE_PAGE]!
}

export function setValuePage(words: Int32Array, at: number, page: number): void {
  words[pagesWord(words, at) + VALUE_PAGE] = page
}

export function keyPageOf(words: Int32Array, at: number): number {
  return words[pagesWord(words, at) + KEY_PAGE]!
}

export function setKeyPage(words: Int32Array, at: number, page: number): void {
  words[pagesWord(words, at) + KEY_PAGE] = page
}

/** Is it in the main list of big values, not in the small one? */
export function isInMainList(words: Int32Array, at: number): boolean {
  return (words[(at >> 2) + META]! & IN_MAIN_LIST) !== 0
}

export function setInMainList(words: Int32Array, at: number): void {
  words[(at >> 2) + META]! |= IN_MAIN_LIST
}

/** The page by which an entry with pages is known in the list of big values. */
export function firstPageOf(words: Int32Array, at: number): number {
  const page = valuePageOf(words, at)
  return page === 0 ? keyPageOf(words, at) : page
}

/** Position of the key's first byte, or where it would be, were it not in pages. */
export function keyAt(words: Int32Array, at: number): number {
  const head = words[at >> 2]!
  const expiry = (head & EXPIRY) === 0 ? 0 : EXPIRY_BYTES
  if ((head & WIDE) === 0) return at + NARROW_BYTES + expiry
  const paged = (words[(at >> 2) + META]! & PAGED) === 0 ? 0 : PAGES_BYTES
  return at + WIDE_BYTES + expiry + paged
}

/** Has it a block of extras (extras.ts)? */
export function hasExtras(words: Int32Array, at: number): boolean {
  return (words[at >> 2]! & EXTRAS) !== 0
}

/** Position of the extras of an entry that has some. */
export function extrasAt(words: Int32Array, at: number): number {
  return keyAt(words, at) + (isKeyInPages(words, at) ? 0 : keyLengthOf(words, at))
}

/** Bytes of an entry's extras. */
export function extrasBytesOf(words: Int32Array, at: number): number {
  if ((words[at >> 2]! & EXTRAS) === 0) return 0
  const from = extrasAt(words, at)
  return byteAt(words, from) | (byteAt(words, from + 1) << 8)
}

function byteAt(words: Int32Array, at: number): number {
  return (words[at >> 2]! >>> ((at & 3) << 3)) & 0xff
}

/** Position of the value of a narrow entry. */
export function narrowValueAt(words: Int32Array, at: number): number {
  const head = words[at >> 2]!
  const expiry = (head & EXPIRY) === 0 ? 0 : EXPIRY_BYTES
  return at + NARROW_BYTES + expiry + ((head >>> KEY_SHIFT) & KEY_NARROW_MAX)
}

/** Position of the first byte of the value, or of its tail, in the ring. */
export function valueAt(words: Int32Array, at: number): number {
  return extrasAt(words, at) + extrasBytesOf(words, at)
}
