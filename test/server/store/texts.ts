/* A store with verbs for texts. */
import type { FillExtras, Sink, StoreOptions } from '../../../server/store/store.ts'
import { MISS, Store, TYPE_STRING } from '../../../server/store/store.ts'

const MB = 1024 * 1024

/** How a value was loaded. */
export type Load = Partial<FillExtras> & { readonly expireAt?: number }

export class Texts {
  readonly store: Store
  readonly sink: Sink

  constructor(options: Partial<StoreOptions> = {}) {
    this.store = new Store({ maxMemory: 8 * MB, seed: 1, ...options })
    this.sink = { reserve: () => this.store.io.replies[0]! }
  }

  set(key: string, value: string | Buffer, expireAt = 0, db = 0): number {
    const bytes = Buffer.concat([Buffer.from(key), Buffer.from(value)])
    const length = Buffer.byteLength(key)
    return this.store.set(db, bytes, 0, length, length, bytes.length - length, expireAt)
  }

  get(key: string, db = 0): string | null {
    const name = Buffer.from(key)
    const length = this.store.get(db, name, 0, name.length, this.sink)
    if (length === MISS) return null
    const from = this.store.io.replies[0]!
    return Buffer.from(this.store.io.bytes.subarray(from, from + length)).toString()
  }

  open(key: string, db = 0): boolean {
    const name = Buffer.from(key)
    return this.store.open(db, name, 0, name.length)
  }

  delete(key: string): boolean {
    const name = Buffer.from(key)
    return this.store.delete(0, name, 0, name.length)
  }

  has(key: string): boolean {
    const name = Buffer.from(key)
    return this.store.has(0, name, 0, name.length)
  }

  /** The token of the key's lease. */
  lease(key: string): number {
    this.open(key)
    const token = this.store.lease()
    this.store.close()
    return token
  }

  fill(key: string, token: number, value: string): boolean {
    return this.store.fill(0, Buffer.from(key), token, Buffer.from(value), 0)
  }

  /** Plants a lease and fills it. */
  load(key: string, value: string | Buffer | null, load: Load = {}): boolean {
    const name = Buffer.from(key)
    const found = this.store.openAny(0, name, 0, name.length)
    const token = found ? this.store.leaseBeside() : this.store.lease()
    this.store.close()
    return this.fillWith(key, token, value, load)
  }

  fillWith(key: string, token: number, value: string | Buffer | null, load: Load = {}): boolean {
    const { expireAt = 0, ...rest } = load
    const content = value === null ? null : Buffer.from(value)
    return this.store.fill(0, Buffer.from(key), token, content, expireAt, this.extras(load, rest))
  }

  extras({ expireAt = 0 }: Load, rest: Partial<FillExtras> = {}): FillExtras {
    return {
      freshUntil: expireAt,
      visibleUntil: expireAt,
      loadedAt: this.store.now,
      costMs: 0,
      group: -1,
      birth: this.store.birth(),
      tags: [],
      etag: null,
      idleMs: 0,
      ...rest,
    }
  }

  state(key: string): number {
    const name = Buffer.from(key)
    return this.store.state(0, name, 0, name.length)
  }

  tag(tag: string): number {
    return this.store.tagHash(Buffer.from(tag))
  }

  invalidateTag(tag: string): void {
    this.store.invalidateTag(this.tag(tag))
  }

  keys(db = 0): string[] {
    const seen: string[] = []
    let cursor = 0
    do {
      cursor = this.store.scan(db, cursor, 10, (bytes, pos, length, type) => {
        if (type !== TYPE_STRING) throw new Error('not a string')
        seen.push(Buffer.from(bytes.subarray(pos, pos + length)).toString())
      })
    } while (cursor !== 0)
    return seen.sort()
  }
}
