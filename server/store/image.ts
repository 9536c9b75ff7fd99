/*
 * A bucket's image: what stands in its rings, chunk by chunk from tail to head, and the slots of its
 * index. It is made by copying and loaded by copying; only the addresses in the slots have to be
 * written anew, since the chunks will be others:
 *
 *   meta           | stamps          | parts of chunks                         | slots
 *   clock, rings   | one a chunk     | tail's ... whole ... whole ... head's   | hash, place
 *
 *   place    frequency 2 | main 1 | (ordinal of the chunk in the image * chunk size + offset) / 4
 *
 * A ring whose head chases its tail has both in one chunk: its image has that chunk twice, first the
 * part behind the tail, at the end the part before the head, and they meet again in one chunk.
 *
 * Entries with pages are not in it: their values lie all over the arenas, and may be as long as half
 * of memory. Nor are ghosts, which grow back. Leases are, and are dropped when it is loaded: the
 * loads that they stand for have ended. What had been invalidated is taken out of the copy. Color and
 * extras are made to fit when it is loaded (arrival.ts).
 *
 * Loading an image needs a bucket that is empty, and chunks of the size it was made with. Where it
 * does not fit, or the pool is dry (chunks wander from bucket to bucket while a snapshot is taken, so
 * all images together may have more than there are), its entries are stored one by one: `entriesOf`.
 */
import type { Arrivals } from './arrival.ts'
import type { Block } from './block.ts'
import { Found } from './block.ts'
import * as entry from './entry.ts'
import type { Eviction } from './eviction.ts'
import * as extras from './extras.ts'
import * as header from './header.ts'
import { MAIN, SMALL } from './header.ts'
import type { Index } from './index.ts'
import type { Invalidation } from './invalidation.ts'
import type { Arena, Layout } from './memory.ts'
import type { Pool } from './pool.ts'
import type { Purge } from './purge.ts'
import type { Ring, RingOutline } from './ring.ts'
import type { Usage } from './usage.ts'
import type { Verb } from './verb.ts'

/** Results of implanting an image. */
export const IMPLANTED = 0
/** The bucket or the pool has no room for it as it is: replay it. */
export const NO_ROOM_FOR_IMAGE = 1
/** It contradicts itself. Nothing was changed. */
export const NO_IMAGE = 2

/** Parts of chunks are copied in lines of so many bytes, so that both sides are aligned alike. */
const LINE = 64

/** Words of the meta part. */
const CLOCK = 0
const SLOTS = 1
/** Of each ring, from here on: */
const RING_META = 2
const RING_META_WORDS = 5
const META_WORDS = 16

/** The rings an image has, in its order. */
const RINGS = [SMALL, MAIN]

const SLOT_BYTES = 8

const NONE: ReadonlySet<number> = new Set()

const ADDRESS = 0x1fffffff
const ABOVE_ADDRESS = ~ADDRESS

/** A part of a chunk in an image. */
interface Part {
  readonly isMain: boolean
  /** The chunk's number in the image, counted over both rings. */
  readonly ordinal: number
  /** The part's bytes are [from, to) of the chunk. */
  readonly from: number
  readonly to: number
  /** Position in the block that byte 0 of the chunk would have. */
  readonly base: number
}

/** What of a bucket its images need. */
interface ImageParts {
  readonly arena: Arena
  readonly pool: Pool
  readonly layout: Layout
  readonly index: Index
  readonly eviction: Eviction
  readonly verb: Verb
  readonly invalidation: Invalidation
  readonly purge: Purge
  readonly arrivals: Arrivals
  readonly usage: Usage
}

/** What is found when an image is looked through; its entries are made to fit on the way. */
class Census {
  /** Bytes of fillers of both rings: small's, main's. */
  readonly dead: [number, number] = [0, 0]
  readonly padding: [number, number] = [0, 0]
  /** Places (ordinal * chunk size + offset) of entries that are not to stay. */
  readonly drops: number[] = []
  readonly sizes: Int32Array
  readonly expiring: Int32Array
  entries = 0
  leases = 0
  negatives = 0
  /** Of these, those that stay. */
  negativesLeft = 0
  loadedForEver = 0
  /** Of those loaded for a group: its number, the entry's bytes, and whether it is a key. */
  readonly grouped: number[] = []
  expired = 0
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #shift: number
  readonly #verb: Verb
  readonly #arrivals: Arrivals

  constructor(
    { words, bytes }: Block,
    databases: number,
    shift: number,
    { verb, arrivals }: { readonly verb: Verb; readonly arrivals: Arrivals },
  ) {
    this.#words = words
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
    this.#shift = shift
    this.#verb = verb
    this.#arrivals = arrivals
    this.sizes = new Int32Array(databases)
    this.expiring = new Int32Array(databases)
  }

  /** False: what stands in this part are no entries, or none that an image can have. */
  take(part: Part, chunkShift: number): boolean {
    const words = this.#words
    const end = part.base + part.to
    const side = part.isMain ? 1 : 0
    let at = part.base + part.from
    while (at < end) {
      const bytes = entry.entryBytes(words, at, 0)
      if (bytes < 4 || (bytes & 3) !== 0 || at + bytes > end) return false
      if (!entry.isFiller(words, at)) {
        const place = (part.ordinal << chunkShift) | (at - part.base)
        if (!this.#adapt(at, bytes) || !this.#count(at, place)) return false
      } else if (entry.isEdge(words, at)) {
        this.padding[side] += bytes
      } else {
        this.dead[side] += bytes
      }
      at += bytes
    }
    return true
  }

  /** False: its extras contradict themselves. */
  #adapt(at: number, bytes: number): boolean {
    const words = this.#words
    entry.setColor(words, at, this.#verb.color)
    if (!entry.hasExtras(words, at)) return true
    const from = entry.extrasAt(words, at)
    if (from < at || !extras.isSound(this.#view, from, at + bytes - from)) return false
    this.#arrivals.adapt(this.#view, from, this.#shift, {
      bytes: this.#bytes,
      pos: entry.keyAt(words, at),
      length: entry.keyLengthOf(words, at),
    })
    const group = extras.groupAt(this.#view, from)
    const isKey = entry.typeOf(words, at) !== entry.TYPE_NEGATIVE
    if (group >= 0) this.grouped.push(group, bytes + SLOT_BYTES, isKey ? 1 : 0)
    return true
  }

  #count(at: number, place: number): boolean {
    const words = this.#words
    this.entries++
    if (entry.typeOf(words, at) === entry.TYPE_LEASE) {
      this.leases++
      this.drops.push(place)
      return true
    }
    const db = entry.databaseOf(words, at)
    if (db >= this.sizes.length || entry.isPaged(words, at)) return false
    const isNegative = entry.typeOf(words, at) === entry.TYPE_NEGATIVE
    const expireAt = entry.expireAtOf(words, at)
    if (isNegative) this.negatives++
    else this.sizes[db]!++
    if (expireAt === 0) {
      if (entry.hasExtras(words, at)) this.loadedForEver++
      return !isNegative
    }
    if (!isNegative) this.expiring[db]!++
    if (this.#shift !== 0) entry.setExpireAt(words, at, expireAt + this.#shift)
    if (expireAt + this.#shift > this.#verb.now) {
      if (isNegative) this.negativesLeft++
      return true
    }
    this.expired++
    this.drops.push(place)
    return true
  }
}

/** What an implanted image brought. */
export interface Implanted {
  readonly result: number
  readonly entries: number
  readonly expired: number
}

/** The images of one arena's buckets; `bucket` is the first word of a bucket's header. */
export class Images {
  readonly #arena: Arena
  readonly #words: Int32Array
  readonly #pool: Pool
  readonly #layout: Layout
  readonly #index: Index
  readonly #ring: Ring
  readonly #eviction: Eviction
  readonly #verb: Verb
  readonly #invalidation: Invalidation
  readonly #purge: Purge
  readonly #arrivals: Arrivals
  readonly #usage: Usage
  readonly #chunkShift: number
  readonly #chunkBytes: number
  /** By chunk: its number in the image under way, plus one. */
  #ordinals: Int32Array | null = null
  #outlines: readonly RingOutline[] = []

  constructor(parts: ImageParts) {
    this.#arena = parts.arena
    this.#words = parts.arena.words
    this.#pool = parts.pool
    this.#layout = parts.layout
    this.#index = parts.index
    this.#eviction = parts.eviction
    this.#verb = parts.verb
    this.#invalidation = parts.invalidation
    this.#purge = parts.purge
    this.#arrivals = parts.arrivals
    this.#usage = parts.usage
    this.#ring = parts.eviction.ring
    this.#chunkShift = parts.layout.chunkShift
    this.#chunkBytes = 1 << parts.layout.chunkShift
  }

  /** At most so many bytes an image of the bucket takes, as it is now. */
  bytes(bucket: number): number {
    const chunks = this.#ring.chunks(bucket + SMALL) + this.#ring.chunks(bucket + MAIN)
    const parts = chunks + 2
    return (
      4 * (META_WORDS + parts) + LINE + parts * this.#chunkBytes + 8 * this.#index.slots(bucket)
    )
  }

  /** Copies the bucket into a block with room for it. Under the bucket's lock; then `finish`. */
  capture(bucket: number, block: Block): void {
    const { words } = block
    const outlines = RINGS.map((ring) => this.#ring.outline(bucket + ring))
    const meta = block.start >> 2
    words.fill(0, meta, meta + META_WORDS)
    words[meta + CLOCK] = this.#words[bucket + header.CLOCK]!
    let stamp = meta + META_WORDS
    outlines.forEach((outline, i) => {
      writeOutline(words, meta + RING_META + i * RING_META_WORDS, outline)
      for (const each of outline.stamps) words[stamp++] = each
    })
    const parts = partsOf(outlines, this.#chunkBytes, block.start)
    const chunks = outlines.flatMap((outline) => outline.chunks)
    for (const { ordinal, from, to, base } of parts) {
      const origin = this.#pool.start(chunks[ordinal]!)
      const lines = this.#arena.bytes.subarray(origin + floor(from), origin + ceil(to))
      block.bytes.set(lines, base + floor(from))
    }
    block.end = endOf(parts, outlines, block.start)
    const slots = this.#index.slots(bucket)
    this.#index.copyOut(bucket, words, block.end >> 2)
    words[meta + SLOTS] = slots
    block.end += 8 * slots
    this.#outlines = outlines
  }

  /**
   * Takes out what is dead, and brings the slots into the form of the file. Without the lock.
   * @returns entries in the image
   */
  finish(block: Block): number {
    const { words } = block
    const mayHaveDead = this.#invalidation.wasUsed || this.#purge.isActive
    const dead = mayHaveDead ? this.#takeOutDead(block) : NONE
    const meta = block.start >> 2
    const slots = words[meta + SLOTS]!
    const first = (block.end >> 2) - 2 * slots
    const ordinals = (this.#ordinals ??= new Int32Array(this.#layout.chunks + 1))
    const chunks = this.#outlines.flatMap((outline) => outline.chunks)
    chunks.forEach((chunk, ordinal) => (ordinals[chunk] = ordinal + 1))
    const { origin } = this.#layout
    const shift = this.#chunkShift
    const offset = this.#chunkBytes - 1
    let to = first
    for (let from = first; from < first + 2 * slots; from += 2) {
      const held = words[from + 1]!
      if (held === 0) continue
      const inChunks = ((held & ADDRESS) << 2) - origin
      const ordinal = ordinals[inChunks >>> shift]! - 1
      // Entries with pages lie in a ring of their own, and in items.
      if (ordinal < 0) continue
      const place = (ordinal << shift) | (inChunks & offset)
      if (dead.size > 0 && dead.has(place)) continue
      words[to] = words[from]!
      words[to + 1] = (held & ABOVE_ADDRESS) | (place >>> 2)
      to += 2
    }
    for (const chunk of chunks) ordinals[chunk] = 0
    const entries = (to - first) / 2
    words[meta + SLOTS] = entries
    block.end = to << 2
    return entries
  }

  /**
   * Puts an image into the bucket, which must be empty; `shift` is added to expiry times. Under the
   * bucket's lock. `drop` is called afterwards for entries that are not to stay. Leases are counted
   * among the entries, and dropped.
   */
  implant(
    bucket: number,
    block: Block,
    options: { readonly shift: number; readonly mask: number },
    drop: (address: number) => void,
  ): Implanted {
    const { words } = block
    const image = readImage(block, this.#chunkBytes)
    if (image === null) return failed(NO_IMAGE)
    const { outlines, parts, slots, slotsAt, chunkCount } = image
    const { shift, mask } = options
    const parties = { verb: this.#verb, arrivals: this.#arrivals }
    const census = new Census(block, this.#layout.databases, shift, parties)
    const isSound =
      this.#slotsAreGood(image, words, block.bucket & mask, mask) &&
      parts.every((part) => census.take(part, this.#chunkShift)) &&
      census.entries === slots
    if (!isSound) return failed(NO_IMAGE)
    const chunks = this.#take(bucket, chunkCount)
    if (chunks === null) return failed(NO_ROOM_FOR_IMAGE)
    const origins = Int32Array.from(chunks, (chunk) => this.#pool.start(chunk) >>> 2)
    const foreign = { words, at: slotsAt, count: slots, chunkShift: this.#chunkShift - 2 }
    if (!this.#index.takeIn(bucket, foreign, origins)) {
      this.#giveBack(chunks)
      return failed(NO_ROOM_FOR_IMAGE)
    }
    for (const { ordinal, from, to, base } of parts) {
      const origin = this.#pool.start(chunks[ordinal]!)
      this.#arena.bytes.set(block.bytes.subarray(base + from, base + to), origin + from)
    }
    this.#words[bucket + header.CLOCK] = words[(block.start >> 2) + CLOCK]!
    let first = 0
    outlines.forEach((outline, i) => {
      const own = chunks.slice(first, first + outline.stamps.length)
      const fillers = { dead: census.dead[i]!, padding: census.padding[i]! }
      this.#ring.adopt(bucket + RINGS[i]!, { ...outline, chunks: own }, fillers)
      first += own.length
    })
    this.#count(bucket, census)
    for (const place of census.drops) {
      drop((origins[place >>> this.#chunkShift]! << 2) + (place & (this.#chunkBytes - 1)))
    }
    const entries = slots - census.drops.length - census.negativesLeft
    return { result: IMPLANTED, entries, expired: census.expired }
  }

  /** Makes what is dead in a copy a filler. @returns its places */
  #takeOutDead(block: Block): ReadonlySet<number> {
    const { words } = block
    const view = new DataView(block.bytes.buffer)
    const places = new Set<number>()
    for (const { ordinal, from, to, base } of partsOf(
      this.#outlines,
      this.#chunkBytes,
      block.start,
    )) {
      for (let at = base + from; at < base + to;) {
        const bytes = entry.entryBytes(words, at, 0)
        if (!entry.isFiller(words, at) && this.#isDead(block, view, at)) {
          places.add((ordinal << this.#chunkShift) | (at - base))
          entry.writeFiller(words, at, bytes)
        }
        at += bytes
      }
    }
    return places
  }

  #isDead({ words, bytes }: Block, view: DataView, at: number): boolean {
    if ((words[at >> 2]! & entry.COLOR) !== this.#verb.color) {
      const length = entry.keyLengthOf(words, at)
      const db = entry.databaseOf(words, at)
      if (this.#purge.matches(db, bytes, entry.keyAt(words, at), length)) return true
    }
    if (!entry.hasExtras(words, at)) return false
    return this.#invalidation.kills(view, entry.extrasAt(words, at))
  }

  /** Are they sorted, of this bucket, and do they lie in the image's chunks? */
  #slotsAreGood(image: Image, words: Int32Array, low: number, mask: number): boolean {
    const { slots, slotsAt, chunkCount } = image
    const end = chunkCount << this.#chunkShift
    let before = -0x80000000
    for (let at = slotsAt; at < slotsAt + 2 * slots; at += 2) {
      const tag = words[at]!
      if (tag < before || (tag & mask) !== low) return false
      if (((words[at + 1]! & ADDRESS) << 2) >>> 0 >= end) return false
      before = tag
    }
    return true
  }

  /** So many chunks for an empty bucket. Null: there are not as many, or it is not empty. */
  #take(bucket: number, count: number): number[] | null {
    if (this.#eviction.chunks(bucket) > 0 || this.#index.count(bucket) > 0) return null
    const chunks: number[] = []
    for (let i = 0; i < count; i++) {
      const chunk = i === 0 ? this.#pool.takePromised() : this.#pool.take()
      if (chunk === 0) {
        this.#giveBack(chunks)
        return null
      }
      chunks.push(chunk)
    }
    return chunks
  }

  #giveBack(chunks: readonly number[]): void {
    if (chunks.length === 0) return
    for (const chunk of chunks) this.#pool.give(chunk)
    this.#pool.promise()
  }

  #count(bucket: number, census: Census): void {
    const words = this.#words
    const { databases } = this.#layout
    const counts = bucket + header.DATABASES
    for (let db = 0; db < databases; db++) {
      words[counts + db]! += census.sizes[db]!
      words[counts + databases + db]! += census.expiring[db]!
      words[bucket + header.EXPIRING]! += census.expiring[db]!
    }
    words[bucket + header.LEASES]! += census.leases
    const { grouped } = census
    for (let i = 0; i < grouped.length; i += 3) {
      this.#usage.count(grouped[i]!, grouped[i + 1]!, grouped[i + 2]!, 1)
    }
    words[bucket + header.GROUPED]! += grouped.length / 3
    words[bucket + header.LOADED_FOR_EVER]! += census.loadedForEver
    words[bucket + header.NEGATIVES]! += census.negatives
    words[bucket + header.EXPIRING]! += census.negatives
  }
}

function failed(result: number): Implanted {
  return { result, entries: 0, expired: 0 }
}

function floor(bytes: number): number {
  return bytes & -LINE
}

function ceil(bytes: number): number {
  return (bytes + LINE - 1) & -LINE
}

function writeOutline(words: Int32Array, at: number, outline: RingOutline): void {
  words[at] = outline.stamps.length
  words[at + 1] = outline.tail
  words[at + 2] = outline.head
  words[at + 3] = outline.isChased ? 1 : 0
  words[at + 4] = outline.chasedStamp
}

/** The parts of both rings' chunks and where they stand in a block whose body begins at `start`. */
function partsOf(outlines: readonly RingOutline[], chunkBytes: number, start: number): Part[] {
  const parts: Part[] = []
  let position = firstPart(outlines, start)
  let ordinal = 0
  const add = (isMain: boolean, chunk: number, from: number, to: number): void => {
    parts.push({ isMain, ordinal: chunk, from, to, base: position - floor(from) })
    position += ceil(to) - floor(from)
  }
  outlines.forEach(({ stamps, tail, head, isChased }, i) => {
    const count = stamps.length
    for (let k = 0; k < count; k++) {
      const isLast = k === count - 1 && !isChased
      add(i === 1, ordinal + k, k === 0 ? tail : 0, isLast ? head : chunkBytes)
    }
    if (isChased) add(i === 1, ordinal, 0, head)
    ordinal += count
  })
  return parts
}

function firstPart(outlines: readonly RingOutline[], start: number): number {
  const stamps = outlines.reduce((sum, outline) => sum + outline.stamps.length, 0)
  return start + ceil(4 * (META_WORDS + stamps))
}

function endOf(parts: readonly Part[], outlines: readonly RingOutline[], start: number): number {
  const last = parts.at(-1)
  return last === undefined ? firstPart(outlines, start) : last.base + ceil(last.to)
}

/** An image that was read from a file. */
interface Image {
  readonly outlines: readonly RingOutline[]
  readonly parts: readonly Part[]
  readonly chunkCount: number
  readonly slots: number
  /** Index in `words` of the first slot. */
  readonly slotsAt: number
}

/** Null: the numbers in its meta part do not fit its length. */
function readImage(block: Block, chunkBytes: number): Image | null {
  const { words, start, end } = block
  const meta = start >> 2
  if (end - start < 4 * META_WORDS) return null
  const slots = words[meta + SLOTS]!
  const outlines: RingOutline[] = []
  let stamp = meta + META_WORDS
  for (let i = 0; i < 2; i++) {
    const at = meta + RING_META + i * RING_META_WORDS
    const count = words[at]!
    const tail = words[at + 1]!
    const head = words[at + 2]!
    const isChased = words[at + 3] === 1
    const offsets = [tail, head]
    if (!offsets.every((offset) => offset >= 0 && offset <= chunkBytes && offset % 4 === 0)) {
      return null
    }
    if (count < 0 || count > (end - start) / 4 || (isChased && (head > tail || count === 0))) {
      return null
    }
    if (count === 1 && !isChased && head < tail) return null
    const stamps = [...words.subarray(stamp, stamp + count)]
    if (stamps.length < count) return null
    stamp += count
    outlines.push({ chunks: [], stamps, tail, head, isChased, chasedStamp: words[at + 4]! })
  }
  const parts = partsOf(outlines, chunkBytes, start)
  const slotsAt = endOf(parts, outlines, start) >> 2
  if (slots < 0 || (slotsAt << 2) + 8 * slots !== end) return null
  const chunkCount = outlines.reduce((sum, outline) => sum + outline.stamps.length, 0)
  return { outlines, parts, chunkCount, slots, slotsAt }
}

/**
 * The entries of an image made with chunks of `chunkBytes`, the oldest of small first and the newest
 * of main last, leases left out. The same object each time.
 * @throws {RangeError} the image contradicts itself
 */
export function* entriesOf(block: Block, chunkBytes: number): Generator<Found> {
  const image = readImage(block, chunkBytes)
  if (image === null) throw new RangeError('an image does not fit its length')
  const { words } = block
  const shift = 31 - Math.clz32(chunkBytes)
  const heat = new Uint8Array((image.chunkCount << shift) >>> 2)
  for (let at = image.slotsAt; at < image.slotsAt + 2 * image.slots; at += 2) {
    heat[words[at + 1]! & ADDRESS] = 1 + (words[at + 1]! >>> 30)
  }
  const found = new Found()
  for (const { isMain, ordinal, from, to, base } of image.parts) {
    const end = base + to
    for (let at = base + from; at < end;) {
      const bytes = entry.entryBytes(words, at, 0)
      if (bytes < 4 || at + bytes > end) throw new RangeError('an entry crosses an edge')
      const warmth = heat[((ordinal << shift) | (at - base)) >>> 2]!
      const isLease = !entry.isFiller(words, at) && entry.typeOf(words, at) === entry.TYPE_LEASE
      if (!entry.isFiller(words, at) && warmth > 0 && !isLease) {
        found.db = entry.databaseOf(words, at)
        found.type = entry.typeOf(words, at)
        found.expireAt = entry.expireAtOf(words, at)
        found.keyAt = entry.keyAt(words, at)
        found.keyLength = entry.keyLengthOf(words, at)
        found.extrasLength = entry.extrasBytesOf(words, at)
        found.extrasAt = entry.valueAt(words, at) - found.extrasLength
        found.valueAt = entry.valueAt(words, at)
        found.valueLength = entry.valueLengthOf(words, at)
        found.pieceLength = found.valueLength
        found.frequency = warmth - 1
        found.isInMain = isMain
        yield found
      }
      at += bytes
    }
  }
}
