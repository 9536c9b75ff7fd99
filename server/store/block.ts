/*
 * Bytes of a snapshot on their way between store and file, and the entries in them that stand one by
 * one, as *items*:
 *
 *   item     10 words of facts | key | extras | piece of the value        each padded to 8 bytes
 *   facts    type, main 1, frequency 2 | database | key's length | value's length | where the piece
 *            belongs in the value | its length | expiry, two words | age in its list | bytes of extras
 *
 * The value of an item may be a piece of a longer one, whose other pieces follow.
 */
import type { Pages } from './big.ts'
import type { Buckets } from './bucket.ts'
import * as entry from './entry.ts'
import * as extras from './extras.ts'

/** Kinds of blocks: a bucket's image (image.ts), or items. 0 is left to the file's own. */
export const IMAGE = 1
export const ITEMS = 2

/** Blocks grow by whole lines. */
const LINE = 64

/** The most a block grows beyond what is asked for, so that it grows seldom. */
const SPARE = 1 / 8

const HIGH_WORD = 2 ** 32

/** Bytes on their way between store and file. Used again and again, it only grows. */
export class Block {
  bytes = new Uint8Array(0)
  words = new Int32Array(0)
  /** Where the body begins; what is before it belongs to the file. A multiple of 64. */
  readonly start: number
  /** Where the body ends. */
  end: number
  kind = 0
  /** Number of the bucket it is of. */
  bucket = 0

  constructor(start: number) {
    this.start = start
    this.end = start
    this.room(0)
  }

  begin(kind: number, bucket: number): void {
    this.kind = kind
    this.bucket = bucket
    this.end = this.start
  }

  /** Makes room for so many bytes behind `end`. What stands before it stays. */
  room(bytes: number): void {
    const wanted = this.end + bytes
    if (wanted <= this.bytes.length) return
    const before = this.bytes
    const capacity = Math.ceil((wanted * (1 + SPARE)) / LINE) * LINE
    this.bytes = new Uint8Array(capacity)
    this.words = new Int32Array(this.bytes.buffer)
    this.bytes.set(before.subarray(0, this.end))
  }
}

/** Where an entry's bytes stand, and what is known of it. One for all entries of a walk. */
export class Found {
  db = 0
  type = 0
  /** As it stands in the file. Milliseconds, 0: none. */
  expireAt = 0
  keyAt = 0
  keyLength = 0
  /** Of its extras. 0: there are none. */
  extrasAt = 0
  extrasLength = 0
  /** Of the piece of the value that is here. */
  valueAt = 0
  pieceLength = 0
  /** Where the piece belongs in the value, and how long that is. */
  offset = 0
  valueLength = 0
  /** Accesses that counted, 0..3. */
  frequency = 0
  isInMain = false
  /** How far the bucket's clock had gone since it came into its list of big values. */
  age = 0
}

/** What is known of an entry, apart from its bytes. */
export interface EntryFacts {
  readonly db: number
  readonly type: number
  /** Milliseconds on the store's scale, 0: none. */
  readonly expireAt: number
  /** Accesses that counted, 0..3. */
  readonly frequency: number
  /** Is it in main: its bucket's ring, or the list of big values? */
  readonly isInMain: boolean
  /** Of a big value: how far its bucket's clock had gone since it came into its list. */
  readonly age: number
  readonly keyLength: number
  readonly extrasLength: number
  readonly valueLength: number
}

/** An entry to be written as items, with its value's pages pinned. */
export interface Pinned extends EntryFacts {
  readonly key: Uint8Array
  readonly extras: Uint8Array
  /** To be released by who got it. */
  readonly pages: Pages
}

/** What an item says of its entry, and of the piece of the value that it has. */
export interface ItemFacts extends EntryFacts {
  readonly offset: number
  readonly pieceLength: number
}

/** The facts of an entry that its bucket's index knows. */
export function factsOf(
  buckets: Buckets,
  bucket: number,
  words: Int32Array,
  address: number,
): EntryFacts {
  const { index, eviction } = buckets
  const position = index.locate(bucket, buckets.hashOf(address), address)
  const isBig = entry.isPaged(words, address)
  return {
    db: entry.databaseOf(words, address),
    type: entry.typeOf(words, address),
    expireAt: entry.expireAtOf(words, address),
    frequency: index.frequency(bucket, position),
    isInMain: index.isInMain(bucket, position),
    age: isBig ? eviction.bigAge(bucket, entry.firstPageOf(words, address)) : 0,
    keyLength: entry.keyLengthOf(words, address),
    extrasLength: entry.extrasBytesOf(words, address),
    valueLength: entry.valueLengthOf(words, address),
  }
}

const ITEM_WORDS = 10
const ITEM_BYTES = 4 * ITEM_WORDS
const ITEM_MAIN = 1 << 2
const TYPE_SHIFT = 4

/** Bytes of an item. */
export function itemBytes(keyLength: number, extrasLength: number, pieceLength: number): number {
  return ITEM_BYTES + padded(keyLength) + padded(extrasLength) + padded(pieceLength)
}

function padded(bytes: number): number {
  return (bytes + 7) & ~7
}

/**
 * Appends an item to a block that has room for it, but for the bytes of key, extras and piece.
 * @returns where the key's bytes go; the others' go behind them, each at the next multiple of 8
 */
export function writeItem(block: Block, facts: ItemFacts): number {
  const { words } = block
  const at = block.end >> 2
  words[at] = facts.frequency | (facts.isInMain ? ITEM_MAIN : 0) | (facts.type << TYPE_SHIFT)
  words[at + 1] = facts.db
  words[at + 2] = facts.keyLength
  words[at + 3] = facts.valueLength
  words[at + 4] = facts.offset
  words[at + 5] = facts.pieceLength
  const expireAt = Math.ceil(facts.expireAt)
  words[at + 6] = expireAt
  words[at + 7] = expireAt / HIGH_WORD
  words[at + 8] = facts.age
  words[at + 9] = facts.extrasLength
  const keyAt = block.end + ITEM_BYTES
  block.end += itemBytes(facts.keyLength, facts.extrasLength, facts.pieceLength)
  return keyAt
}

/** Where the next part of an item begins: behind a key, or extras, of this length. */
export function behind(at: number, length: number): number {
  return at + padded(length)
}

/**
 * The items of a block. The same object each time.
 * @throws {RangeError} the block contradicts itself
 */
export function* itemsOf(block: Block): Generator<Found> {
  const { words, end } = block
  const view = new DataView(block.bytes.buffer)
  const found = new Found()
  for (let at = block.start; at < end;) {
    const word = at >> 2
    if (at + ITEM_BYTES > end) throw new RangeError('an item crosses the end of its block')
    const flags = words[word]!
    found.frequency = flags & 3
    found.isInMain = (flags & ITEM_MAIN) !== 0
    found.type = flags >>> TYPE_SHIFT
    found.db = words[word + 1]!
    found.keyLength = words[word + 2]!
    found.valueLength = words[word + 3]!
    found.offset = words[word + 4]!
    found.pieceLength = words[word + 5]!
    found.expireAt = (words[word + 6]! >>> 0) + words[word + 7]! * HIGH_WORD
    found.age = words[word + 8]!
    found.extrasLength = words[word + 9]!
    found.keyAt = at + ITEM_BYTES
    found.extrasAt = behind(found.keyAt, found.keyLength)
    found.valueAt = behind(found.extrasAt, found.extrasLength)
    const lengths = [found.keyLength, found.extrasLength, found.pieceLength, found.offset]
    at += itemBytes(found.keyLength, found.extrasLength, found.pieceLength)
    const isSound = lengths.every((length) => length >= 0) && found.db >= 0 && at <= end
    if (!isSound || found.offset + found.pieceLength > found.valueLength) {
      throw new RangeError('an item crosses the end of its block')
    }
    const { extrasAt, extrasLength } = found
    if (extrasLength > 0 && !extras.isSound(view, extrasAt, extrasLength)) {
      throw new RangeError("an item's extras contradict themselves")
    }
    yield found
  }
}
