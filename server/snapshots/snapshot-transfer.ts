/*
 * A whole store on its way into a snapshot and back: what the server and the embedded cache share.
 * When to save, what to answer meanwhile and whom to tell of damage is theirs to say.
 *
 *   write   blocks of the store (store/snapshot.ts) -> temp-<pid>.<name> -> fsync -> rename -> fsync
 *           of the folder. Whatever fails, the file that was there before stays as it was.
 *   read    record by record, between other work. What is damaged is left out, counted and told.
 */
import { basename, dirname, join, resolve } from 'node:path'
import type { Clock, Random } from '../../cluster/world.ts'
import { reasonOf } from '../config/sources.ts'
import type { Files, OutputFile } from './files.ts'
import {
  type Checksum,
  type MovedDatabase,
  RECORD_HEAD_BYTES,
  SnapshotError,
  SnapshotReader,
  type SnapshotRecord,
  SnapshotWriter,
} from './snapshot-file.ts'
import { BlockSink, blocksOf } from '../store/snapshot.ts'
import type { Store } from '../store/store.ts'

/** A save was called off. */
export class SaveAborted extends Error {
  readonly code = 'ABORTED'
}

/** What a snapshot that was written holds. */
export interface Saved {
  readonly keys: number
  readonly bytes: number
}

/** What a load has brought so far. */
export interface Loaded {
  keys: number
  expired: number
  /** Keys that are known to be lost, by damage or for lack of memory. */
  lostKeys: number
  /** Records that are damaged, and whether the file was cut off. */
  damagedRecords: number
  isCutOff: boolean
  /** Records that were loaded entry by entry, since they did not fit as they were. */
  replayed: number
}

/** The counts of a load that has not begun, to be handed to `readSnapshot`. */
export function nothingLoaded(): Loaded {
  return { keys: 0, expired: 0, lostKeys: 0, damagedRecords: 0, isCutOff: false, replayed: 0 }
}

/** Who waits for a load. All of it may be called between two records only. */
export interface LoadWatcher {
  isAborted(): boolean
  /** What stands before this position of the file is in the store. */
  progress(bytes: number): void
  /** A record is left out. */
  damage(record: SnapshotRecord, what: string): void
  /** The file ended after this bucket (-1: before the first), or cannot be read any further. */
  cutOff(bucket: number, cause: Error | null): void
}

/** What a save works with. `random` gives the file its id. */
export interface SaveParts {
  readonly store: Store
  readonly files: Files
  readonly clock: Clock
  readonly random: Random
  readonly checksum: Checksum
  /** See `SnapshotFacts.moved`. Default: none. */
  readonly moved?: readonly MovedDatabase[]
}

/** Writes the store to a file, in the place of the one before. Rejects with the system's error, or SaveAborted. */
export async function writeSnapshot(
  path: string,
  parts: SaveParts,
  isAborted: () => boolean,
): Promise<Saved> {
  const { files } = parts
  const folder = dirname(path)
  const temporary = join(folder, `temp-${files.pid}.${basename(path)}`)
  const output = await files.create(temporary)
  let isOpen = true
  try {
    const saved = await writeBlocks(output, parts, isAborted)
    await output.sync()
    isOpen = false
    await output.close()
    await files.rename(temporary, path)
    await files.syncFolder(folder)
    return saved
  } catch (error) {
    if (isOpen) await output.close().catch(() => {})
    await files.remove(temporary).catch(() => {})
    throw error
  }
}

async function writeBlocks(
  output: OutputFile,
  { checksum, clock, random, store, moved = [] }: SaveParts,
  isAborted: () => boolean,
): Promise<Saved> {
  const { maxMemory, chunkBytes, buckets, databases, seed, probe } = store.shape
  const writer = new SnapshotWriter(output, checksum, random.bytes(8))
  const createdAt = clock.wall()
  await writer.begin({
    ...{ createdAt, clockOffset: createdAt - clock.now() },
    ...{ maxMemory, chunkBytes, buckets, databases, seed, probe, moved },
  })
  let keys = 0
  for (const { block, entries } of blocksOf(store, RECORD_HEAD_BYTES)) {
    if (isAborted()) throw new SaveAborted('the save was called off')
    keys += entries
    await writer.record(block, entries)
  }
  await writer.end()
  return { bytes: writer.position, keys }
}

/** What a load begins with. `databaseCount`: how many there are to load it into. */
export interface OpenParts extends Pick<SaveParts, 'files' | 'checksum'> {
  readonly databaseCount: number
}

/** Databases that were exchanged must both be there. */
function refuseMoved(moved: readonly MovedDatabase[], databases: number): void {
  const most = moved.reduce((max, { number }) => Math.max(max, number + 1), 0)
  if (most <= databases) return
  throw new SnapshotError(
    `SWAPDB has exchanged databases in it, and there are ${databases} now: set databases to ${most} or more`,
  )
}

/**
 * Opens the snapshot of this path for reading; null: there is none.
 * @throws {SnapshotError} it cannot be read or is none: one sentence that ends with the hint
 */
export async function openSnapshot(
  path: string,
  { files, checksum, databaseCount }: OpenParts,
  hint: string,
): Promise<SnapshotReader | null> {
  try {
    const file = await files.open(path)
    if (file === null) return null
    try {
      const reader = await SnapshotReader.open(file, checksum)
      refuseMoved(reader.facts.moved, databaseCount)
      return reader
    } catch (error) {
      await file.close()
      throw error
    }
  } catch (cause) {
    const why =
      cause instanceof SnapshotError
        ? cause.message
        : `it cannot be read: ${reasonOf(cause as NodeJS.ErrnoException)}`
    throw new SnapshotError(`the snapshot ${path}: ${why}; ${hint}`, { cause })
  }
}

/**
 * Puts a snapshot into the store, which must be empty and is used by nobody else meanwhile, and
 * closes it. Never rejects; what came is counted in `loaded` as it comes.
 */
export async function readSnapshot(
  reader: SnapshotReader,
  { store, clock }: Pick<SaveParts, 'store' | 'clock'>,
  loaded: Loaded,
  watcher: LoadWatcher,
): Promise<void> {
  const { facts } = reader
  const shift = facts.clockOffset - (clock.wall() - clock.now())
  const sink = new BlockSink(store, facts, shift)
  const load = new Load(store, clock, sink, loaded, watcher)
  store.now = clock.now()
  try {
    await load.records(reader)
  } catch (error) {
    loaded.isCutOff = true
    watcher.cutOff(load.bucket, error as Error)
  }
  await reader.close().catch(() => {})
  sink.end()
  loaded.keys = sink.loaded
  loaded.expired = sink.expired
  loaded.replayed = sink.replayed
  loaded.lostKeys += sink.lost
}

class Load {
  /** Of the last record that told its bucket. */
  bucket = -1
  readonly #store: Store
  readonly #clock: Clock
  readonly #sink: BlockSink
  readonly #loaded: Loaded
  readonly #watcher: LoadWatcher

  constructor(store: Store, clock: Clock, sink: BlockSink, loaded: Loaded, watcher: LoadWatcher) {
    this.#store = store
    this.#clock = clock
    this.#sink = sink
    this.#loaded = loaded
    this.#watcher = watcher
  }

  async records(reader: SnapshotReader): Promise<void> {
    const watcher = this.#watcher
    let isComplete = false
    for (
      let record = await reader.next();
      record !== null && !watcher.isAborted();
      record = await reader.next()
    ) {
      isComplete = record.isEnd
      this.#store.now = this.#clock.now()
      if (record.block === null) this.#damage(record, 'is damaged')
      else if (!record.isEnd) await this.#record(record)
      if (record.bucket >= 0) this.bucket = record.bucket
      watcher.progress(record.next)
    }
    if (isComplete || watcher.isAborted()) return
    this.#loaded.isCutOff = true
    watcher.cutOff(this.bucket, null)
  }

  async #record(record: SnapshotRecord): Promise<void> {
    try {
      const steps = this.#sink.load(record.block!)
      while (steps.next().done !== true) {
        await new Promise<void>((resume) => this.#clock.soon(resume))
        this.#store.now = this.#clock.now()
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#damage(record, error.message)
    }
  }

  #damage(record: SnapshotRecord, what: string): void {
    this.#loaded.damagedRecords++
    if (record.entries > 0) this.#loaded.lostKeys += record.entries
    this.#watcher.damage(record, what)
  }
}

/** Whom `removeLeftovers` tells. */
export interface LeftoverWatcher {
  removed(name: string): void
  failed(folder: string, error: NodeJS.ErrnoException): void
}

/** Removes what saves to this path that were cut short have left beside it. Never rejects. */
export async function removeLeftovers(
  path: string,
  files: Files,
  watcher: LeftoverWatcher,
): Promise<void> {
  const folder = dirname(resolve(path))
  const end = `.${basename(path)}`
  try {
    for (const name of await files.list(folder)) {
      const pid = name.endsWith(end) ? /^temp-(\d+)$/.exec(name.slice(0, -end.length))?.[1] : null
      if (pid === null || pid === undefined) continue
      // Another process that ends just now may be writing its last snapshot.
      if (Number(pid) !== files.pid && files.isRunning(Number(pid))) continue
      await files.remove(join(folder, name))
      watcher.removed(name)
    }
  } catch (error) {
    watcher.failed(folder, error as NodeJS.ErrnoException)
  }
}
