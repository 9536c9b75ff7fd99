/*
 * The file of a snapshot: a header, twice, and records one behind the other.
 *
 *   +--------+--------+--------------+--------------+--   --+-----+
 *   | header | header | head | body  | head | body  |  ...  | end |
 *   +--------+--------+--------------+--------------+--   --+-----+
 *
 * A record is a bucket's image or some of its entries (store/block.ts and store/image.ts say what is in it); its
 * head, 64 bytes, tells where it stands, how long its body is and what its checksum is, and has a
 * checksum of its own. Records begin at multiples of 64 bytes. So whatever is damaged costs one
 * record only: a body that does not fit its checksum is passed over; where a head is damaged, the
 * next one is looked for, byte for byte recognisable by the file's random id and its own place. The
 * last record says that there are no more, which is how a file that was cut off is known.
 *
 * docs/snapshot.md draws all of it, and names what is promised.
 */
import xxhash from 'xxhash-wasm'
import type { InputFile, OutputFile } from './files.ts'
import { Block } from '../store/block.ts'
import type { StoreShape } from '../store/store.ts'

/** A 64-bit checksum of bytes; the server passes xxh64. */
export type Checksum = (bytes: Uint8Array) => bigint

/** Bytes are handed to WASM in pieces: its memory grows to the longest one. */
const HASHED_AT_ONCE = 256 * 1024

/** xxh64. */
export async function loadChecksum(): Promise<Checksum> {
  const { create64 } = await xxhash()
  return (bytes) => {
    const hash = create64()
    for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE) {
      hash.update(bytes.subarray(at, at + HASHED_AT_ONCE))
    }
    return hash.digest()
  }
}

/** What must be known before the first record is understood. */
export interface SnapshotFacts extends Omit<StoreShape, 'trailer'> {
  /** Milliseconds by the wall clock when the save began. */
  readonly createdAt: number
  /** Expiry times in the records plus this are milliseconds by the wall clock. */
  readonly clockOffset: number
  /** Databases that clients called by another number than the records; at most `MOVED_MAX`. */
  readonly moved: readonly MovedDatabase[]
}

/** SWAPDB has made the store's `database` what clients call `number`. */
export interface MovedDatabase {
  readonly number: number
  readonly database: number
}

/** The file cannot be loaded at all. The message is one sentence: what it is, and what to do. */
export class SnapshotError extends Error {
  readonly code = 'SNAPSHOT'
}

/** Kinds of records; those of bodies are named in store/block.ts. */
const KIND_END = 0

const MAGIC = 'RINGTIER'
/**
 * What is written: 3 where databases were moved, which older versions do not know, else 2. Version 1
 * is the same as 2, without extras and negative entries.
 */
const VERSION = 3
const VERSION_UNMOVED = 2
const VERSION_MIN = 1
/** As the machine writes it: files of another byte order are not read. */
const BYTE_ORDER = 0x01020304

const HEADER_BYTES = 256
const HEADER_CHECKED = HEADER_BYTES - 8
/** How many databases are moved, and of each its two numbers, u16. */
const MOVED_COUNT = 68
const MOVED_AT = 72
const MOVED_BYTES = 4

/** The header has room for no more. */
export const MOVED_MAX = (HEADER_CHECKED - MOVED_AT) / MOVED_BYTES

/** Where the first record begins: behind the header and its copy. */
const RECORDS_AT = 2 * HEADER_BYTES

const RECORD_MAGIC = 0x63725452
/** What the file puts before each body: blocks leave so much room at their beginning. */
export const RECORD_HEAD_BYTES = 64
const RECORD_CHECKED = RECORD_HEAD_BYTES - 8
const RECORD_ALIGN = 64

/** No body is longer: images are bounded by their bucket, entries by their key. */
const BODY_BYTES_MAX = 2 ** 31

/** Read in one go while a head is looked for. */
const SCAN_BYTES = 1024 * 1024

/** The first record is taken for so long; each next one for as long as the one before. */
const GUESS_BYTES = 256 * 1024

function padded(bytes: number): number {
  return Math.ceil(bytes / RECORD_ALIGN) * RECORD_ALIGN
}

/* ---- writing ---- */

/** Writes a snapshot's records. One write is under way while the next record is made. */
export class SnapshotWriter {
  readonly #file: OutputFile
  readonly #checksum: Checksum
  readonly #id: Uint8Array
  #position = 0
  #entries = 0
  #underWay: Promise<void> = Promise.resolve()

  /** `id`: 8 random bytes. */
  constructor(file: OutputFile, checksum: Checksum, id: Uint8Array) {
    this.#file = file
    this.#checksum = checksum
    this.#id = id
  }

  /** Bytes so far. */
  get position(): number {
    return this.#position
  }

  async begin(facts: SnapshotFacts): Promise<void> {
    const bytes = new Uint8Array(RECORDS_AT)
    const header = encodeHeader(facts, this.#id, this.#checksum)
    bytes.set(header)
    bytes.set(header, HEADER_BYTES)
    await this.#write(bytes)
  }

  /**
   * Writes a record, whose body stands in the block behind the `RECORD_HEAD_BYTES` it begins with.
   * Resolves when the record *before* is written: from then on that one's block may be changed.
   */
  async record(block: Block, entries: number): Promise<void> {
    this.#seal(block, entries)
    await this.#write(block.bytes.subarray(0, padded(block.end)))
  }

  /** The last record; resolves when everything is written, though not yet on the disk. */
  async end(): Promise<void> {
    const block = new Block(RECORD_HEAD_BYTES)
    block.begin(KIND_END, 0)
    this.#seal(block, this.#entries)
    await this.#write(block.bytes.subarray(0, padded(block.end)))
    await this.#underWay
  }

  #seal(block: Block, entries: number): void {
    const { bytes, end } = block
    block.room(padded(end) - end)
    block.bytes.fill(0, end, padded(end))
    const view = new DataView(bytes.buffer, 0, RECORD_HEAD_BYTES)
    view.setUint32(0, RECORD_MAGIC, true)
    view.setUint32(4, block.kind, true)
    bytes.set(this.#id, 8)
    view.setBigUint64(16, BigInt(this.#position), true)
    view.setBigUint64(24, BigInt(end - RECORD_HEAD_BYTES), true)
    view.setBigUint64(32, this.#checksum(bytes.subarray(RECORD_HEAD_BYTES, end)), true)
    view.setUint32(40, block.bucket, true)
    view.setFloat64(48, entries, true)
    view.setBigUint64(RECORD_CHECKED, this.#checksum(bytes.subarray(0, RECORD_CHECKED)), true)
    this.#entries += entries
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#underWay
    this.#position += bytes.length
    this.#underWay = this.#file.write(bytes)
    // Who waits next hears of it; nobody may have begun to wait yet.
    this.#underWay.catch(() => {})
  }
}

function encodeHeader(facts: SnapshotFacts, id: Uint8Array, checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < MAGIC.length; i++) bytes[i] = MAGIC.charCodeAt(i)
  view.setUint32(8, facts.moved.length === 0 ? VERSION_UNMOVED : VERSION, true)
  new Uint32Array(bytes.buffer)[3] = BYTE_ORDER
  bytes.set(id, 16)
  view.setFloat64(24, facts.createdAt, true)
  view.setFloat64(32, facts.clockOffset, true)
  view.setFloat64(40, facts.maxMemory, true)
  view.setUint32(48, facts.chunkBytes, true)
  view.setUint32(52, facts.buckets, true)
  view.setUint32(56, facts.databases, true)
  view.setUint32(60, facts.seed, true)
  view.setUint32(64, facts.probe, true)
  view.setUint32(MOVED_COUNT, facts.moved.length, true)
  facts.moved.forEach(({ number, database }, i) => {
    view.setUint16(MOVED_AT + i * MOVED_BYTES, number, true)
    view.setUint16(MOVED_AT + i * MOVED_BYTES + 2, database, true)
  })
  view.setBigUint64(HEADER_CHECKED, checksum(bytes.subarray(0, HEADER_CHECKED)), true)
  return bytes
}

/* ---- reading ---- */

/** What became of a part of the file. */
export interface SnapshotRecord {
  /** Its body from `RECORD_HEAD_BYTES` to `end`; null: it is damaged, or gone. */
  readonly block: Block | null
  /** -1: unknown, the head is damaged. */
  readonly bucket: number
  /** Entries the record has, or had; -1: unknown. */
  readonly entries: number
  /** Where it begins in the file, and where what follows does. */
  readonly position: number
  readonly next: number
  readonly isEnd: boolean
}

/** Reads the records of a snapshot in their order, one ahead. */
export class SnapshotReader {
  readonly facts: SnapshotFacts
  /** The first of the two headers was damaged. */
  readonly usedCopy: boolean
  readonly size: number
  readonly #file: InputFile
  readonly #checksum: Checksum
  readonly #id: Uint8Array
  #guess = GUESS_BYTES
  #blocks: [Block, Block] = [new Block(RECORD_HEAD_BYTES), new Block(RECORD_HEAD_BYTES)]
  #ahead: Promise<SnapshotRecord> | null = null
  #finished: boolean

  private constructor(
    file: InputFile,
    checksum: Checksum,
    header: { facts: SnapshotFacts; id: Uint8Array; usedCopy: boolean },
  ) {
    this.#file = file
    this.size = file.size
    this.#checksum = checksum
    this.#id = header.id
    this.facts = header.facts
    this.usedCopy = header.usedCopy
    this.#finished = file.size <= RECORDS_AT
  }

  /** @throws {SnapshotError} it is no snapshot, or one this version cannot read */
  static async open(file: InputFile, checksum: Checksum): Promise<SnapshotReader> {
    const bytes = new Uint8Array(RECORDS_AT)
    const length = await file.read(bytes, 0)
    const first = bytes.subarray(0, Math.min(length, HEADER_BYTES))
    const copy = bytes.subarray(HEADER_BYTES, Math.max(length, HEADER_BYTES))
    const decoded = decodeHeader(first, checksum)
    if (decoded !== null) return new SnapshotReader(file, checksum, { ...decoded, usedCopy: false })
    const again = decodeHeader(copy, checksum)
    if (again !== null) return new SnapshotReader(file, checksum, { ...again, usedCopy: true })
    throw new SnapshotError(whatItIs(first))
  }

  /**
   * The next record; its block is valid until the next call. Null: there are no more. If the last one
   * was not the end record (`isEnd`), the file was cut off.
   */
  async next(): Promise<SnapshotRecord | null> {
    if (this.#finished) return null
    const record = await (this.#ahead ?? this.#read(RECORDS_AT))
    this.#finished = record.isEnd || record.next >= this.size
    this.#blocks.reverse()
    this.#ahead = this.#finished ? null : this.#read(record.next)
    // Whoever asks for it hears of its failure.
    this.#ahead?.catch(() => {})
    return record
  }

  async #read(position: number): Promise<SnapshotRecord> {
    const block = this.#blocks[0]
    block.begin(KIND_END, 0)
    block.room(Math.max(0, this.#guess - RECORD_HEAD_BYTES))
    const there = await this.#file.read(block.bytes.subarray(0, this.#guess), position)
    const head = this.#head(block.bytes.subarray(0, there), 0, position)
    if (head === null) return this.#lost(position)
    const { kind, bucket, entries, bodyBytes, checksum } = head
    const end = RECORD_HEAD_BYTES + bodyBytes
    const next = position + padded(end)
    const record = { bucket, entries, position, next, isEnd: kind === KIND_END }
    if (there < end) {
      // What is there already must outlast the growth.
      block.end = there
      block.room(end - there)
      const rest = block.bytes.subarray(there, end)
      if ((await this.#file.read(rest, position + there)) < rest.length) {
        return { ...record, block: null }
      }
    }
    this.#guess = padded(end) + RECORD_HEAD_BYTES
    block.kind = kind
    block.bucket = bucket
    block.end = end
    const isWhole = this.#checksum(block.bytes.subarray(RECORD_HEAD_BYTES, end)) === checksum
    return { ...record, block: isWhole ? block : null }
  }

  /** What stands at a position is no head: everything up to the next one is lost. */
  async #lost(position: number): Promise<SnapshotRecord> {
    const next = await this.#findHead(position + RECORD_ALIGN)
    return { block: null, bucket: -1, entries: -1, position, next, isEnd: false }
  }

  async #findHead(from: number): Promise<number> {
    const bytes = new Uint8Array(SCAN_BYTES + RECORD_HEAD_BYTES)
    for (let start = from; start < this.size; start += SCAN_BYTES) {
      const there = await this.#file.read(bytes, start)
      for (let at = 0; at < SCAN_BYTES && at + RECORD_HEAD_BYTES <= there; at += RECORD_ALIGN) {
        if (this.#head(bytes, at, start + at) !== null) return start + at
      }
    }
    return this.size
  }

  /** Reads a record's head; null: it is none. */
  #head(bytes: Uint8Array, at: number, position: number): Head | null {
    if (bytes.length - at < RECORD_HEAD_BYTES) return null
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, RECORD_HEAD_BYTES)
    if (view.getUint32(0, true) !== RECORD_MAGIC) return null
    if (!this.#id.every((byte, i) => bytes[at + 8 + i] === byte)) return null
    const checked = this.#checksum(bytes.subarray(at, at + RECORD_CHECKED))
    if (view.getBigUint64(RECORD_CHECKED, true) !== checked) return null
    const bodyBytes = Number(view.getBigUint64(24, true))
    if (Number(view.getBigUint64(16, true)) !== position || bodyBytes > BODY_BYTES_MAX) return null
    return {
      kind: view.getUint32(4, true),
      bodyBytes,
      checksum: view.getBigUint64(32, true),
      bucket: view.getUint32(40, true),
      entries: view.getFloat64(48, true),
    }
  }

  async close(): Promise<void> {
    await this.#ahead?.catch(() => {})
    await this.#file.close()
  }
}

interface Head {
  readonly kind: number
  readonly bodyBytes: number
  readonly checksum: bigint
  readonly bucket: number
  readonly entries: number
}

/** Null: it is damaged, or of another version. */
function decodeHeader(
  bytes: Uint8Array,
  checksum: Checksum,
): { facts: SnapshotFacts; id: Uint8Array } | null {
  if (bytes.length < HEADER_BYTES || textOf(bytes, MAGIC.length) !== MAGIC) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  if (!isReadable(view.getUint32(8, true))) return null
  if (new Uint32Array(bytes.slice(12, 16).buffer)[0] !== BYTE_ORDER) return null
  const checked = checksum(bytes.subarray(0, HEADER_CHECKED))
  if (view.getBigUint64(HEADER_CHECKED, true) !== checked) return null
  const facts = {
    createdAt: view.getFloat64(24, true),
    clockOffset: view.getFloat64(32, true),
    maxMemory: view.getFloat64(40, true),
    chunkBytes: view.getUint32(48, true),
    buckets: view.getUint32(52, true),
    databases: view.getUint32(56, true),
    seed: view.getUint32(60, true),
    probe: view.getUint32(64, true),
    moved: decodeMoved(view),
  }
  return { facts, id: bytes.slice(16, 24) }
}

function decodeMoved(view: DataView): readonly MovedDatabase[] {
  const count = Math.min(MOVED_MAX, view.getUint32(MOVED_COUNT, true))
  return Array.from({ length: count }, (_, i) => ({
    number: view.getUint16(MOVED_AT + i * MOVED_BYTES, true),
    database: view.getUint16(MOVED_AT + i * MOVED_BYTES + 2, true),
  }))
}

function isReadable(version: number): boolean {
  return version >= VERSION_MIN && version <= VERSION
}

function textOf(bytes: Uint8Array, length: number): string {
  return String.fromCharCode(...bytes.subarray(0, length))
}

/** Why this is no header we can read. */
function whatItIs(bytes: Uint8Array): string {
  const magic = textOf(bytes, Math.min(bytes.length, MAGIC.length))
  if (bytes.length === 0) return 'it is empty'
  if (magic.startsWith('REDIS')) return "it is a file of Redis (RDB), not ringtier's"
  if (magic !== MAGIC) return 'it is not a snapshot of ringtier, or its beginning is damaged'
  if (bytes.length < HEADER_BYTES) return 'it ends within its header'
  const version = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true)
  if (version > VERSION) return `a newer ringtier wrote it (format ${version})`
  const order = new Uint32Array(bytes.slice(12, 16).buffer)[0]
  if (isReadable(version) && order !== BYTE_ORDER && order === swapped(BYTE_ORDER)) {
    return 'it comes from a machine with another byte order'
  }
  return 'both copies of its header are damaged'
}

function swapped(word: number): number {
  const view = new DataView(new ArrayBuffer(4))
  view.setUint32(0, word, true)
  return view.getUint32(0, false)
}
