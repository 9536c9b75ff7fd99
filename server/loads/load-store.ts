import type { Group } from '../../cluster/groups/group.ts'
import type { Keep, LeaseStore, Remains } from '../../cluster/loads/loads.ts'
import type { Store } from '../store/store.ts'

/** Slots of the index that one fill looks at for entries of a group that has its share. */
const ROOM_SLOTS = 4096
/** An entry has beside its key and its value: header, extras without tags, its slot. */
const ENTRY_BYTES = 64

/** The store as loads see it. */
export class LoadStore implements LeaseStore {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  get now(): number {
    return this.#store.now
  }

  set now(ms: number) {
    this.#store.now = ms
  }

  fill(db: number, key: Uint8Array, token: number, value: Uint8Array | null, keep: Keep): boolean {
    const { group } = keep
    if (!this.makesRoom(group, key.length + (value?.length ?? 0))) {
      // What was there is older than what is known now: it goes, for nothing that is over at once.
      this.#store.fill(db, key, token, null, Math.floor(this.now))
      return false
    }
    return this.#store.fill(db, key, token, value, keep.expireAt, {
      ...{ freshUntil: keep.freshUntil, visibleUntil: keep.visibleUntil, tags: keep.tags },
      ...{ loadedAt: keep.loadedAt, costMs: keep.costMs, birth: keep.birth },
      ...{ group: group.number, idleMs: group.idleMs },
      etag: keep.etag === null ? null : Buffer.from(keep.etag, 'latin1'),
    })
  }

  hasLease(db: number, key: Uint8Array, token: number): boolean {
    return this.#store.hasLease(db, key, token)
  }

  dropLease(db: number, key: Uint8Array, token: number): boolean {
    return this.#store.dropLease(db, key, token)
  }

  etag(db: number, key: Uint8Array): string | null {
    const store = this.#store
    const found = store.openAny(db, key, 0, key.length)
    const etag = found ? (store.extras?.etag ?? null) : null
    store.close()
    return etag === null ? null : Buffer.from(etag).toString('latin1')
  }

  remains(db: number, key: Uint8Array): Remains | null {
    const store = this.#store
    let remains: Remains | null = null
    if (store.openAny(db, key, 0, key.length)) {
      const { extras } = store
      const etag = extras?.etag ?? null
      remains = {
        value: copyOpenValue(store),
        etag: etag === null ? null : Buffer.from(etag).toString('latin1'),
        tags: extras?.tags ?? [],
      }
    }
    store.close()
    return remains
  }

  birth(): number {
    return this.#store.birth()
  }

  isDead(tags: readonly number[], birth: number): boolean {
    return this.#store.isDead(tags, birth)
  }

  tagHash(tag: string): number {
    return this.#store.tagHash(Buffer.from(tag))
  }

  /** Has others of the group go for so many bytes of key and value, if it has its share. False: in vain. */
  makesRoom({ number, bytesMax }: Group, bytes: number): boolean {
    if (bytesMax === 0) return true
    return this.#store.makeGroupRoom(number, bytes + ENTRY_BYTES, ROOM_SLOTS, bytesMax)
  }
}

/** A copy of the open record's value. */
export function copyOpenValue(store: Store): Buffer {
  if (store.inPages) {
    const pages = store.pin()
    const value = pages.toBuffer()
    pages.release()
    return value
  }
  // A value outside pages is no longer than a chunk; the scratch area holds two.
  const { scratch, bytes } = store.io
  const length = store.valueLength
  store.read(0, length, scratch)
  return Buffer.from(bytes.subarray(scratch, scratch + length))
}
