/* A store with verbs for texts. */
import type { Sink, StoreOptions } from '../../../server/store/store.ts'
import { MISS, Store, TYPE_STRING } from '../../../server/store/store.ts'

const MB = 1024 * 1024

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
