/**
 * An entry on its way from one node to another: its value, and a line of JSON with what else is known
 * of it. Its times are spans from now on, because no two nodes have the same clock; its group goes by
 * name, because numbers differ; tags are the same hashes everywhere. What is known to be missing (a
 * negative entry) goes without a value.
 */
import type { Group, Groups } from '../../cluster/groups/group.ts'
import { copyOpenValue } from '../loads/load-store.ts'
import { EXTRAS_BYTES_MAX } from '../store/extras.ts'
import {
  type FillExtras,
  type Pages,
  type Store,
  TYPE_NEGATIVE,
  TYPE_STRING,
} from '../store/store.ts'

/** All that extras may have as text: tags of ten digits, an ETag, numbers. */
const LINE_BYTES_MAX = 8 * EXTRAS_BYTES_MAX

/** What goes with the value. Milliseconds; `endsMs` null: it does not expire. */
interface Line {
  readonly endsMs: number | null
  readonly extras: {
    readonly group: string | null
    readonly freshMs: number
    readonly visibleMs: number
    readonly loadedMs: number | null
    readonly costMs: number
    readonly idleMs: number
    readonly tags: readonly number[]
    /** base64 */
    readonly etag: string | null
  } | null
}

export interface MovedEntry {
  readonly line: string
  /** Null: it is known to be missing. */
  readonly value: Buffer | Pages | null
}

/** Takes an entry out of the store, and the lease of its key; null: there was none. */
export function takeEntry(store: Store, groups: Groups, key: Buffer, db = 0): MovedEntry | null {
  const found = store.openAll(db, key, 0, key.length)
  let entry: MovedEntry | null = null
  if (found && (store.valueType === TYPE_STRING || store.valueType === TYPE_NEGATIVE)) {
    entry = { line: JSON.stringify(lineOf(store, groups)), value: valueOf(store) }
  }
  store.remove()
  store.close()
  return entry
}

function valueOf(store: Store): Buffer | Pages | null {
  if (store.valueType === TYPE_NEGATIVE) return null
  return store.inPages ? store.pin() : copyOpenValue(store)
}

/**
 * The same for an entry that stays, as it is now; its value is copied. Null also where the value has more than
 * `bytesMax`.
 */
export function readEntry(
  store: Store,
  groups: Groups,
  key: Buffer,
  bytesMax: number,
): { readonly line: string; readonly value: Buffer } | null {
  const found = store.peekAny(0, key, 0, key.length)
  const isValue = found && store.valueType === TYPE_STRING && store.valueLength <= bytesMax
  const entry = isValue
    ? { line: JSON.stringify(lineOf(store, groups)), value: copyOpenValue(store) }
    : null
  store.close()
  return entry
}

function lineOf(store: Store, groups: Groups): Line {
  const { now, endsAt, extras } = store
  const endsMs = endsAt === 0 ? null : endsAt - now
  if (extras === null) return { endsMs, extras: null }
  const { freshUntil, visibleUntil, loadedAt, costMs, idleMs, tags, etag } = extras
  const group = groups.all.find(({ number }) => number === extras.group)
  return {
    endsMs,
    extras: {
      group: group?.name ?? null,
      freshMs: freshUntil - now,
      visibleMs: visibleUntil - now,
      loadedMs: loadedAt === 0 ? null : now - loadedAt,
      ...{ costMs, idleMs, tags },
      etag: etag === null ? null : Buffer.from(etag).toString('base64'),
    },
  }
}

/** How an entry that arrived is stored. */
export interface Arrival {
  /** On the store's scale, 0: never. */
  readonly expireAt: number
  readonly extras: FillExtras | null
  readonly group: Group | null
}

/**
 * Reads the line of an entry that arrived. `birth`: what was invalidated by tag since then does not
 * come back. Null: it is not to be stored: it is over, its group is not known here, or no node of ours
 * wrote that.
 */
export function readLine(
  bytes: Buffer,
  groups: Groups,
  { now, birth }: { readonly now: number; readonly birth: number },
): Arrival | null {
  const line = parse(bytes)
  if (line === null) return null
  const { endsMs, extras } = line
  if (endsMs !== null && !(endsMs > 0)) return null
  const expireAt = endsMs === null ? 0 : now + endsMs
  if (extras === null) return { expireAt, extras: null, group: null }
  const group = extras.group === null ? null : groups.get(extras.group)
  if (group === undefined) return null
  const at = (ms: number): number => (expireAt === 0 ? 0 : now + ms)
  return {
    expireAt,
    group,
    extras: {
      ...{ freshUntil: at(extras.freshMs), visibleUntil: at(extras.visibleMs) },
      loadedAt: extras.loadedMs === null ? 0 : Math.max(0, now - extras.loadedMs),
      ...{ costMs: extras.costMs, idleMs: extras.idleMs, tags: extras.tags },
      etag: extras.etag === null ? null : Buffer.from(extras.etag, 'base64'),
      group: group?.number ?? -1,
      birth,
    },
  }
}

function parse(bytes: Buffer): Line | null {
  if (bytes.length > LINE_BYTES_MAX) return null
  try {
    const line: unknown = JSON.parse(bytes.toString('latin1'))
    return isLine(line) ? line : null
  } catch {
    return null
  }
}

function isLine(line: unknown): line is Line {
  if (typeof line !== 'object' || line === null) return false
  const { endsMs, extras } = line as Partial<Line>
  if (endsMs !== null && !isNumber(endsMs)) return false
  if (extras === null) return true
  if (typeof extras !== 'object') return false
  const { group, freshMs, visibleMs, loadedMs, costMs, idleMs, tags, etag } = extras
  return (
    (group === null || typeof group === 'string') &&
    [freshMs, visibleMs, costMs, idleMs].every(isNumber) &&
    (loadedMs === null || isNumber(loadedMs)) &&
    Array.isArray(tags) &&
    tags.every((tag) => Number.isInteger(tag) && tag >= 0 && tag <= 0xffffffff) &&
    (etag === null || typeof etag === 'string')
  )
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value)
}
