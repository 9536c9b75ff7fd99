/*
 * A store as blocks of bytes, and back; what a snapshot is made of. Where the blocks go and come from
 * is not known here.
 *
 * `blocksOf` takes the buckets one after the other while the store is in use. A bucket is copied under
 * its lock, as an image (image.ts); what is done with the copy takes no lock. So a snapshot is not
 * of one moment: of each bucket it is, but one bucket is later than another. The values of entries
 * with pages are copied after the lock was given back, piece by piece, while pins keep them.
 *
 * Images do not do for buckets that are too large to be copied at once, and under policies that keep
 * something with each entry. Their entries are written as items: of a large bucket slice by slice, in
 * the order of their hashes. Then the snapshot does not know in which order they came in.
 *
 * `BlockSink` puts blocks into a store that nobody else uses meanwhile. An image is implanted where
 * the store is laid out alike; else its entries are stored one by one (`replay`), which takes about
 * five times as long.
 */
import type { Pages } from './big.ts'
import type { Found, Pinned } from './block.ts'
import { behind, Block, IMAGE, ITEMS, itemBytes, itemsOf, writeItem } from './block.ts'
import { TYPE_NEGATIVE, TYPE_STRING } from './entry.ts'
import { entriesOf, IMPLANTED, NO_IMAGE } from './image.ts'
import type { Store, StoreShape } from './store.ts'
import { STORED } from './store.ts'

/** A block of items is not much longer, unless a key is. */
const ITEMS_BYTES_MAX = 1024 * 1024

/** Shorter pieces of a value are not begun at the end of a block. */
const PIECE_BYTES_MIN = 64 * 1024

/** Bytes of entries that are stored one by one in a turn: about 3 ms. */
const TURN_BYTES = 1024 * 1024

/** A block that is full, and what it has. */
export interface FullBlock {
  readonly block: Block
  /** Entries that begin in it. */
  readonly entries: number
}

/**
 * The store's entries in blocks whose bodies begin at `start`. A block's bytes stay as they are until
 * the one after the next is asked for. Whoever stops in between returns the generator: it holds pins.
 */
export function* blocksOf(store: Store, start: number): Generator<FullBlock, void> {
  const { buckets } = store.shape
  const blocks: [Block, Block] = [new Block(start), new Block(start)]
  const pinned: Pinned[] = []
  try {
    for (let number = 0; number < buckets; number++) {
      if (store.transplants.hasImage(number)) {
        const entries = store.transplants.captureImage(number, blocks[0], pinned)
        if (entries > 0) yield pass(blocks, entries)
      } else {
        for (let hash = 0; hash >= 0;) {
          const block = blocks[0]
          hash = store.transplants.captureItems(number, hash, block, {
            bytesMax: ITEMS_BYTES_MAX,
            pinned,
          })
          if (block.end > block.start) yield pass(blocks, countItems(block))
        }
      }
      yield* bigBlocks(number, blocks, pinned)
    }
  } finally {
    for (const { pages } of pinned) pages.release()
  }
}

/** Hands the first block out; the other one is filled next. */
function pass(blocks: [Block, Block], entries: number): FullBlock {
  const block = blocks[0]
  blocks.reverse()
  return { block, entries }
}

function countItems(block: Block): number {
  let count = 0
  for (const { offset } of itemsOf(block)) if (offset === 0) count++
  return count
}

/** Items of the entries with pages, which are let go as they are done. */
function* bigBlocks(
  number: number,
  blocks: [Block, Block],
  pinned: Pinned[],
): Generator<FullBlock, void> {
  let entries = 0
  let block = blocks[0]
  block.begin(ITEMS, number)
  for (let item = pinned.shift(); item !== undefined; item = pinned.shift()) {
    const { key, valueLength, pages } = item
    try {
      for (let offset = 0; offset === 0 || offset < valueLength;) {
        const rest = valueLength - offset
        const facts = itemBytes(key.length, item.extrasLength, 0)
        const room = ITEMS_BYTES_MAX - (block.end - block.start) - facts
        if (block.end > block.start && room < Math.min(rest, PIECE_BYTES_MIN)) {
          yield pass(blocks, entries)
          entries = 0
          block = blocks[0]
          block.begin(ITEMS, number)
          continue
        }
        if (offset === 0) entries++
        // All pieces but the last end at a multiple of 8: so they are copied fast.
        const pieceLength = Math.min(rest, Math.max(room, PIECE_BYTES_MIN) & ~7)
        addPiece(block, item, offset, pieceLength)
        offset += pieceLength
        if (pieceLength === 0) break
      }
    } finally {
      pages.release()
    }
  }
  if (block.end > block.start) yield pass(blocks, entries)
}

function addPiece(block: Block, item: Pinned, offset: number, pieceLength: number): void {
  const { key, extras, pages } = item
  block.room(itemBytes(key.length, extras.length, pieceLength))
  const keyAt = writeItem(block, { ...item, offset, pieceLength })
  const extrasAt = behind(keyAt, key.length)
  block.bytes.set(key, keyAt)
  block.bytes.set(extras, extrasAt)
  const at = behind(extrasAt, extras.length)
  for (let done = 0; done < pieceLength;) {
    const bytes = pages.piece(offset + done)
    const part = bytes.subarray(0, Math.min(bytes.length, pieceLength - done))
    block.bytes.set(part, at + done)
    done += part.length
  }
}

/** What the blocks say of the store they are of. */
export type BlockFacts = Omit<StoreShape, 'seed' | 'trailer'>

/** A value whose pieces come one by one. */
interface Partial {
  readonly pages: Pages
  readonly valueLength: number
}

/** Puts blocks into a store. */
export class BlockSink {
  /** Entries that are in the store now, or were until others needed their place. */
  loaded = 0
  /** Entries whose time was over. */
  expired = 0
  /** Entries that could not be stored. */
  lost = 0
  /** Blocks that were stored entry by entry although they are images. */
  replayed = 0
  readonly #store: Store
  readonly #databases: number
  readonly #chunkBytes: number
  readonly #fitsImages: boolean
  readonly #shift: number
  readonly #buckets: number
  #partial: Partial | null = null

  /** `shift`: milliseconds to add to the blocks' expiry times, for the store's scale. */
  constructor(store: Store, facts: BlockFacts, shift: number) {
    const { shape } = store
    this.#store = store
    this.#databases = shape.databases
    this.#chunkBytes = facts.chunkBytes
    this.#shift = Math.round(shift)
    this.#buckets = facts.buckets
    this.#fitsImages =
      shape.trailer === 0 &&
      shape.chunkBytes === facts.chunkBytes &&
      shape.buckets === facts.buckets &&
      shape.databases >= facts.databases &&
      shape.probe === facts.probe &&
      shape.maxMemory >= facts.maxMemory
  }

  /** Are images implanted? Else their entries are stored one by one. */
  get fitsImages(): boolean {
    return this.#fitsImages
  }

  /**
   * Stores what is in a block, in steps of a few milliseconds.
   * @throws {RangeError} the block contradicts itself; a part of it may have been stored
   */
  *load(block: Block): Generator<void, void> {
    if (block.bucket >= this.#buckets) throw new RangeError('there is no such bucket')
    if (block.kind !== IMAGE) {
      yield* this.#each(block, itemsOf(block), this.#shift)
      return
    }
    let shift = this.#shift
    if (this.#fitsImages) {
      const { result, entries, expired } = this.#store.transplants.implant(block, shift)
      if (result === NO_IMAGE) throw new RangeError('an image contradicts itself')
      if (result === IMPLANTED) {
        this.loaded += entries
        this.expired += expired
        return
      }
      // It has been done to the block already.
      shift = 0
    }
    this.replayed++
    yield* this.#each(block, entriesOf(block, this.#chunkBytes), shift)
  }

  /** After the last block: brings the big values into their order. */
  end(): void {
    this.#dropPartial()
    this.#store.transplants.sortBigs()
  }

  *#each(block: Block, entries: Generator<Found>, shift: number): Generator<void, void> {
    let budget = TURN_BYTES
    for (const found of entries) {
      const bytes = found.keyLength + found.pieceLength
      if (budget < bytes) {
        budget = TURN_BYTES
        yield
      }
      budget -= bytes
      if (found.pieceLength === found.valueLength) this.#revive(block, found, shift, null)
      else this.#addPiece(block, found, shift)
    }
  }

  #revive(block: Block, found: Found, shift: number, pages: Pages | null): void {
    const store = this.#store
    const isKnown = found.type === TYPE_STRING || found.type === TYPE_NEGATIVE
    if (found.expireAt !== 0 && found.expireAt + shift <= store.now) {
      this.expired++
    } else if (found.db >= this.#databases || !isKnown) {
      this.lost++
    } else if (store.revive(block.bytes, found, shift, pages) === STORED) {
      if (found.type === TYPE_STRING) this.loaded++
    } else {
      this.lost++
    }
    pages?.release()
  }

  #addPiece(block: Block, found: Found, shift: number): void {
    if (found.offset === 0) {
      this.#dropPartial()
      this.#partial = { pages: this.#store.pages(), valueLength: found.valueLength }
    }
    const partial = this.#partial
    // Its beginning, or a piece before this one, is missing.
    if (partial === null) return
    const { pages, valueLength } = partial
    const follows = pages.length === found.offset && valueLength === found.valueLength
    if (!follows || !pages.write(block.bytes, found.valueAt, found.pieceLength)) {
      this.#dropPartial()
      return
    }
    if (pages.length < valueLength) return
    this.#partial = null
    this.#revive(block, found, shift, pages)
  }

  #dropPartial(): void {
    if (this.#partial === null) return
    this.#partial.pages.release()
    this.#partial = null
    this.lost++
  }
}
