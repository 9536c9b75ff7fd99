/*
 * Snapshots: when the store is written to a file, and what clients hear meanwhile and while it comes
 * back at the start (LOADING). How it is written and read is told in snapshot-transfer.ts.
 *
 * SAVE and BGSAVE do the same here: buckets are copied one by one between other work, and the disk is
 * waited for without holding anybody up. Only SHUTDOWN lets nobody write meanwhile.
 */
import { resolve } from 'node:path'
import type { Clock, Random } from '../../cluster/world.ts'
import { reasonOf } from '../config/sources.ts'
import type { Files } from './files.ts'
import type { Databases } from '../databases.ts'
import type { Gate } from '../gate.ts'
import type { Log } from '../log.ts'
import type { Checksum, SnapshotReader, SnapshotRecord } from './snapshot-file.ts'
import {
  type Loaded,
  nothingLoaded,
  openSnapshot,
  type OpenParts,
  readSnapshot,
  removeLeftovers,
  SaveAborted,
  writeSnapshot,
} from './snapshot-transfer.ts'
import type { Store } from '../store/store.ts'

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

/** What saves and loads work with. */
export interface SnapshotsParts {
  readonly store: Store
  readonly files: Files
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly checksum: Checksum
  /** Is told which commands to refuse. */
  readonly gate: Gate
  readonly databases: Databases
  /** Its path as it is now; a relative one begins in the working directory. */
  readonly path: () => string
}

/** How far a load is. */
export interface LoadProgress {
  /** On the clock's scale. */
  readonly startedAt: number
  readonly totalBytes: number
  loadedBytes: number
}

/** The saves and the load of one server: one at a time, which callers see to. */
export class Snapshots {
  /** Not null while the snapshot is read at the start. */
  loading: LoadProgress | null = null
  /** When the last save was done, or the start: seconds by the wall clock. */
  lastSaveSeconds: number
  lastStatus: 'ok' | 'err' = 'ok'
  /** Of the last background save, -1: there was none. */
  lastDurationSeconds = -1
  /** Saves begun. */
  saves = 0
  /** What the last load brought. */
  readonly loaded: Loaded = nothingLoaded()
  readonly #parts: SnapshotsParts
  #points: readonly SavePoint[] = []
  #stopsWrites = false
  /** The store's count of changes that are in the file. */
  #changesSaved = 0
  #lastSaveMs: number
  #lastTryMs = -Infinity
  #underWay: Promise<void> | null = null
  #isBackground = false
  /** Must a save that is due wait, and who waits for the end of one? */
  #isHeldOff = false
  readonly #waiting: ((done: () => void) => void)[] = []
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
    return this.#underWay !== null || this.#isHeldOff
  }

  get backgroundInProgress(): boolean {
    return this.#underWay !== null && this.#isBackground
  }

  /**
   * Waits until no save is in progress, and lets none begin until `done` is called, to which `begin` is
   * handed: within this call if nobody is in the way.
   */
  holdOff(begin: (done: () => void) => void): void {
    if (this.inProgress) {
      this.#waiting.push(begin)
      return
    }
    this.#isHeldOff = true
    begin(() => {
      this.#isHeldOff = false
      this.#letWaiting()
    })
  }

  #letWaiting(): void {
    const next = this.inProgress ? undefined : this.#waiting.shift()
    if (next !== undefined) this.holdOff(next)
  }

  /** Since the background save under way began, -1: there is none. */
  get durationSeconds(): number {
    if (!this.backgroundInProgress) return -1
    return Math.floor((this.#parts.clock.now() - this.#startedMs) / 1000)
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
      this.#letWaiting()
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
    const file = resolve(this.#parts.path())
    const { moved } = this.#parts.databases
    const { bytes, keys } = await writeSnapshot(
      file,
      { ...this.#parts, moved },
      () => this.#aborted,
    )
    this.#parts.log.notice({ file, keys, bytes }, 'DB saved on disk')
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
    const { clock, databases, log } = this.#parts
    const loading = { startedAt: clock.now(), totalBytes: reader.size, loadedBytes: 0 }
    this.loading = loading
    this.#restrict()
    databases.restore(reader.facts.moved)
    if (reader.usedCopy) log.warning('the header of the snapshot is damaged; its copy is used')
    await readSnapshot(reader, this.#parts, this.loaded, {
      isAborted: () => this.#aborted,
      progress: (bytes) => {
        loading.loadedBytes = bytes
      },
      damage: (record, what) => this.#reportDamage(record, what),
      cutOff: (bucket, cause) => this.#reportCut(bucket, cause),
    })
    this.#endLoad()
  }

  #reportDamage({ bucket, entries, position, next }: SnapshotRecord, what: string): void {
    if (this.loaded.damagedRecords > damagesLogged) return
    const of = bucket < 0 ? `${next - position} bytes at ${position}` : `bucket ${bucket}`
    const lost = entries < 0 ? 'what was there is lost' : `${entries} keys are lost`
    this.#parts.log.warning(`damage in the snapshot: ${of}: ${what}; ${lost}`)
  }

  #reportCut(bucket: number, cause: NodeJS.ErrnoException | null): void {
    const { log } = this.#parts
    if (cause !== null) {
      const reason = reasonOf(cause)
      log.warning({ err: cause }, `the snapshot cannot be read any further: ${reason}`)
      return
    }
    const last = bucket < 0 ? 'before its first bucket' : `after bucket ${bucket}`
    log.warning(`the snapshot was cut off ${last}: what followed is lost`)
  }

  #endLoad(): void {
    const { clock, log, store } = this.#parts
    const { loaded } = this
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
    const { loading } = this
    this.#parts.gate.restrict({ loading: loading !== null, deniesWrites: this.#deniesWrites })
  }
}

/**
 * Opens the snapshot of this path for loading, and removes what saves that were cut short have left
 * beside it. Null: there is none.
 * @throws {SnapshotError} it cannot be read or is none: one sentence that says what to do
 */
export async function findSnapshot(
  parts: Pick<SnapshotsParts, 'files' | 'log' | 'checksum' | 'path'> & OpenParts,
): Promise<SnapshotReader | null> {
  const { files, log } = parts
  const path = resolve(parts.path())
  await removeLeftovers(path, files, {
    removed: (name) => log.notice(`removed ${name}, which a save that was cut short had left`),
    failed: (folder, err) =>
      log.warning({ folder, err }, `cannot look for leftovers of saves: ${reasonOf(err)}`),
  })
  return openSnapshot(path, parts, 'move it away, or name another file with dbfilename')
}
