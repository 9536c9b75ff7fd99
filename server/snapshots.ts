/*
 * Snapshots: when the store is written to a file, and how it comes back at the start.
 *
 *   save    blocks of the store (store/snapshot.ts) -> temp-<pid>.<name> -> fsync -> rename -> fsync
 *           of the folder. Whatever fails, the file that was there before stays as it was.
 *   load    while clients hear LOADING. What is damaged is left out, counted and told.
 *
 * SAVE and BGSAVE do the same here: buckets are copied one by one between other work, and the disk is
 * waited for without holding anybody up. Only SHUTDOWN lets nobody write meanwhile.
 */
import { basename, dirname, join, resolve } from 'node:path'
import type { Clock, Random } from '../cluster/world.ts'
import { ERR_LOADING, ERR_MISCONF } from '../protocol/errors.ts'
import { type CommandEntry, flagBits } from './command.ts'
import { reasonOf } from './config/sources.ts'
import type { Files, OutputFile } from './files.ts'
import type { Log } from './log.ts'
import {
  type Checksum,
  RECORD_HEAD_BYTES,
  SnapshotError,
  SnapshotReader,
  type SnapshotRecord,
  SnapshotWriter,
} from './snapshot-file.ts'
import { BlockSink, blocksOf } from './store/snapshot.ts'
import type { Store } from './store/store.ts'

/** How often the save points are looked at. */
const lookPeriodMs = 100

/** After a failure it is not tried again before, as in Redis. */
const retryDelayMs = 5_000

/** Lines about single damages in the log; the rest is counted. */
const damagesLogged = 20

/** Save when there were so many changes, and the last save is so long ago. */
export interface SavePoint {
  readonly seconds: number
  readonly changes: number
}

export interface SnapshotsParts {
  readonly store: Store
  readonly files: Files
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly checksum: Checksum
  /** Its path as it is now; a relative one begins in the working directory. */
  readonly path: () => string
}

/** What the last load brought. */
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

/** How far a load is. */
export interface LoadProgress {
  /** On the clock's scale. */
  readonly startedAt: number
  readonly totalBytes: number
  loadedBytes: number
}

/** A save was called off. */
export class SaveAborted extends Error {
  readonly code = 'ABORTED'
}

/** The part of an entry of the command table on which a refusal depends. */
type Asked = Pick<CommandEntry, 'flags' | 'fullName'>

export class Snapshots {
  /** Not null while the snapshot is read at the start. */
  loading: LoadProgress | null = null
  /** Are some commands refused now? Then `refusalOf` tells which. */
  restricts = false
  /** When the last save was done, or the start: seconds by the wall clock. */
  lastSaveSeconds: number
  lastStatus: 'ok' | 'err' = 'ok'
  /** Of the last background save, -1: there was none. */
  lastDurationSeconds = -1
  /** Saves begun. */
  saves = 0
  readonly loaded: Loaded = {
    ...{ keys: 0, expired: 0, lostKeys: 0, damagedRecords: 0, isCutOff: false, replayed: 0 },
  }
  readonly #parts: SnapshotsParts
  #points: readonly SavePoint[] = []
  #stopsWrites = false
  /** The store's count of changes that are in the file. */
  #changesSaved = 0
  #lastSaveMs: number
  #lastTryMs = -Infinity
  #underWay: Promise<void> | null = null
  #isBackground = false
  #startedMs = 0
  #aborted = false
  #timer: { cancel(): void } | null = null

  constructor(parts: SnapshotsParts) {
    this.#parts = parts
    this.#lastSaveMs = parts.clock.now()
    this.lastSaveSeconds = Math.floor(parts.clock.wall() / 1000)
  }

  /** When to save by itself. `stopsWrites`: refuse writes after a background save has failed. */
  configure(points: readonly SavePoint[], stopsWrites: boolean): void {
    this.#points = points
    this.#stopsWrites = stopsWrites
    this.#restrict()
  }

  /** Looks at the save points from now on. */
  start(): void {
    this.#timer = this.#parts.clock.every(lookPeriodMs, () => this.#look())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Are there save points? Then the server saves when it ends. */
  get hasPoints(): boolean {
    return this.#points.length > 0
  }

  /** Changes that are not in the file. */
  get changes(): number {
    return this.#parts.store.changes - this.#changesSaved
  }

  get inProgress(): boolean {
    return this.#underWay !== null
  }

  get backgroundInProgress(): boolean {
    return this.inProgress && this.#isBackground
  }

  /** Since the background save under way began, -1: there is none. */
  get durationSeconds(): number {
    if (!this.backgroundInProgress) return -1
    return Math.floor((this.#parts.clock.now() - this.#startedMs) / 1000)
  }

  /** The line with which a command is refused now, null: it is not. */
  refusalOf(entry: Asked): string | null {
    const { flags } = entry
    if (this.loading !== null) return (flags & flagBits.loading) === 0 ? ERR_LOADING : null
    if (!this.#deniesWrites) return null
    return (flags & flagBits.write) !== 0 || entry.fullName === 'ping' ? ERR_MISCONF : null
  }

  /* ---- saving ---- */

  /**
   * Writes the store to the file; there must be no save in progress. Rejects with the system's error,
   * or with SaveAborted; it is told in the log already.
   */
  save(): Promise<void> {
    return this.#save(false)
  }

  /** The same for a save that nobody waits for. */
  saveInBackground(): void {
    this.#parts.log.notice('Background saving started')
    this.#save(true).then(
      () => this.#parts.log.notice('Background saving terminated with success'),
      () => {},
    )
  }

  /** Calls off what is in progress: a save, or the load. Resolves when that has ended. */
  async abort(): Promise<void> {
    this.#aborted = true
    await this.#underWay?.catch(() => {})
    this.#aborted = this.loading !== null
  }

  async #save(isBackground: boolean): Promise<void> {
    const { clock, store } = this.#parts
    this.saves++
    this.#isBackground = isBackground
    this.#startedMs = this.#lastTryMs = clock.now()
    const changes = store.changes
    try {
      this.#underWay = this.#write()
      await this.#underWay
      this.#changesSaved = changes
      this.lastSaveSeconds = Math.floor(clock.wall() / 1000)
      this.#lastSaveMs = clock.now()
      this.lastStatus = 'ok'
    } catch (error) {
      this.#report(error as NodeJS.ErrnoException)
      if (isBackground) this.lastStatus = 'err'
      throw error
    } finally {
      this.#underWay = null
      if (isBackground) {
        this.lastDurationSeconds = Math.floor((clock.now() - this.#startedMs) / 1000)
      }
      this.#restrict()
    }
  }

  #report(error: NodeJS.ErrnoException): void {
    const { log, path } = this.#parts
    if (error instanceof SaveAborted) {
      log.notice('the save was called off')
      return
    }
    const file = resolve(path())
    log.warning(
      { file, err: error },
      `the snapshot cannot be written: ${reasonOf(error)}; the one before stays`,
    )
  }

  async #write(): Promise<void> {
    const { files, log } = this.#parts
    const path = resolve(this.#parts.path())
    const folder = dirname(path)
    const temporary = join(folder, `temp-${files.pid}.${basename(path)}`)
    const output = await files.create(temporary)
    let isOpen = true
    try {
      const { bytes, keys } = await this.#writeBlocks(output)
      await output.sync()
      isOpen = false
      await output.close()
      await files.rename(temporary, path)
      await files.syncFolder(folder)
      log.notice({ file: path, keys, bytes }, 'DB saved on disk')
    } catch (error) {
      if (isOpen) await output.close().catch(() => {})
      await files.remove(temporary).catch(() => {})
      throw error
    }
  }

  async #writeBlocks(output: OutputFile): Promise<{ bytes: number; keys: number }> {
    const { checksum, clock, random, store } = this.#parts
    const { maxMemory, chunkBytes, buckets, databases, seed, probe } = store.shape
    const writer = new SnapshotWriter(output, checksum, random.bytes(8))
    const createdAt = clock.wall()
    await writer.begin({
      ...{ createdAt, clockOffset: createdAt - clock.now() },
      ...{ maxMemory, chunkBytes, buckets, databases, seed, probe },
    })
    let keys = 0
    for (const { block, entries } of blocksOf(store, RECORD_HEAD_BYTES)) {
      if (this.#aborted) throw new SaveAborted('the save was called off')
      keys += entries
      await writer.record(block, entries)
    }
    await writer.end()
    return { bytes: writer.position, keys }
  }

  #look(): void {
    if (this.inProgress || this.loading !== null) return
    const now = this.#parts.clock.now()
    if (this.lastStatus === 'err' && now - this.#lastTryMs <= retryDelayMs) return
    const { changes } = this
    const due = this.#points.find(
      (point) => changes >= point.changes && now - this.#lastSaveMs > point.seconds * 1000,
    )
    if (due === undefined) return
    this.#parts.log.notice(`${due.changes} changes in ${due.seconds} seconds. Saving...`)
    this.saveInBackground()
  }

  /* ---- loading ---- */

  /** Puts a snapshot into the store, which must be empty. Never rejects. */
  async load(reader: SnapshotReader): Promise<void> {
    const { clock, log, store } = this.#parts
    const { facts } = reader
    this.loading = { startedAt: clock.now(), totalBytes: reader.size, loadedBytes: 0 }
    this.#restrict()
    if (reader.usedCopy) log.warning('the header of the snapshot is damaged; its copy is used')
    const shift = facts.clockOffset - (clock.wall() - clock.now())
    const sink = new BlockSink(store, facts, shift)
    store.now = clock.now()
    try {
      await this.#loadRecords(reader, sink)
    } catch (error) {
      this.loaded.isCutOff = true
      const reason = reasonOf(error as NodeJS.ErrnoException)
      log.warning({ err: error }, `the snapshot cannot be read any further: ${reason}`)
    }
    await reader.close().catch(() => {})
    sink.end()
    this.#endLoad(sink)
  }

  async #loadRecords(reader: SnapshotReader, sink: BlockSink): Promise<void> {
    const { clock, store } = this.#parts
    let bucket = -1
    let isComplete = false
    for (
      let record = await reader.next();
      record !== null && !this.#aborted;
      record = await reader.next()
    ) {
      isComplete = record.isEnd
      store.now = clock.now()
      if (record.block === null) this.#reportDamage(record, 'is damaged')
      else if (!record.isEnd) await this.#loadRecord(record, sink)
      if (record.bucket >= 0) bucket = record.bucket
      this.loading!.loadedBytes = record.next
    }
    if (isComplete || this.#aborted) return
    this.loaded.isCutOff = true
    const last = bucket < 0 ? 'before its first bucket' : `after bucket ${bucket}`
    this.#parts.log.warning(`the snapshot was cut off ${last}: what followed is lost`)
  }

  async #loadRecord(record: SnapshotRecord, sink: BlockSink): Promise<void> {
    const { clock, store } = this.#parts
    try {
      const steps = sink.load(record.block!)
      while (steps.next().done !== true) {
        await new Promise<void>((resume) => clock.soon(resume))
        store.now = clock.now()
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#reportDamage(record, error.message)
    }
  }

  #reportDamage({ bucket, entries, position, next }: SnapshotRecord, what: string): void {
    const { loaded } = this
    loaded.damagedRecords++
    if (entries > 0) loaded.lostKeys += entries
    if (loaded.damagedRecords > damagesLogged) return
    const of = bucket < 0 ? `${next - position} bytes at ${position}` : `bucket ${bucket}`
    const lost = entries < 0 ? 'what was there is lost' : `${entries} keys are lost`
    this.#parts.log.warning(`damage in the snapshot: ${of}: ${what}; ${lost}`)
  }

  #endLoad(sink: BlockSink): void {
    const { clock, log, store } = this.#parts
    const { loaded } = this
    loaded.keys = sink.loaded
    loaded.expired = sink.expired
    loaded.replayed = sink.replayed
    loaded.lostKeys += sink.lost
    const seconds = (clock.now() - this.loading!.startedAt) / 1000
    this.loading = null
    this.#aborted = false
    this.#changesSaved = store.changes
    this.#restrict()
    if (loaded.damagedRecords > 0 || loaded.isCutOff || loaded.lostKeys > 0) {
      log.warning(loaded, 'the snapshot did not come back as a whole')
    }
    log.notice({ ...loaded }, `DB loaded from disk: ${seconds.toFixed(3)} seconds`)
  }

  get #deniesWrites(): boolean {
    return this.#stopsWrites && this.hasPoints && this.lastStatus === 'err'
  }

  #restrict(): void {
    this.restricts = this.loading !== null || this.#deniesWrites
  }
}

/**
 * Opens the snapshot of this path for loading, and removes what saves that were cut short have left
 * beside it. Null: there is none.
 * @throws {SnapshotError} it cannot be read or is none: one sentence that says what to do
 */
export async function findSnapshot(
  parts: Pick<SnapshotsParts, 'files' | 'log' | 'checksum' | 'path'>,
): Promise<SnapshotReader | null> {
  const { files, checksum } = parts
  const path = resolve(parts.path())
  await removeLeftovers(path, parts)
  try {
    const file = await files.open(path)
    if (file === null) return null
    try {
      return await SnapshotReader.open(file, checksum)
    } catch (error) {
      await file.close()
      throw error
    }
  } catch (cause) {
    const why =
      cause instanceof SnapshotError
        ? cause.message
        : `it cannot be read: ${reasonOf(cause as NodeJS.ErrnoException)}`
    const hint = 'move it away, or name another file with dbfilename'
    throw new SnapshotError(`the snapshot ${path}: ${why}; ${hint}`, { cause })
  }
}

async function removeLeftovers(
  path: string,
  { files, log }: Pick<SnapshotsParts, 'files' | 'log'>,
): Promise<void> {
  const folder = dirname(path)
  const end = `.${basename(path)}`
  try {
    for (const name of await files.list(folder)) {
      const pid = name.endsWith(end) ? /^temp-(\d+)$/.exec(name.slice(0, -end.length))?.[1] : null
      if (pid === null || pid === undefined) continue
      // Another server that ends just now may be writing its last snapshot.
      if (Number(pid) !== files.pid && files.isRunning(Number(pid))) continue
      await files.remove(join(folder, name))
      log.notice(`removed ${name}, which a save that was cut short had left`)
    }
  } catch (error) {
    const reason = reasonOf(error as NodeJS.ErrnoException)
    log.warning({ folder, err: error }, `cannot look for leftovers of saves: ${reason}`)
  }
}
