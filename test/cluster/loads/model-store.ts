import type { Keep, LeaseStore, Remains } from '../../../cluster/loads/loads.ts'

interface Entry {
  /** Null: the origin has no such thing. */
  readonly value: string | null
  /** Undefined: a client has set it. */
  readonly keep?: Keep
}

/** What the tests of loads ask of a store. Keys and values are text, there is one database. */
export interface TestStore extends LeaseStore {
  get(key: string): string | null
  set(key: string, value: string): void
  delete(key: string): void
  flush(): void
  /** Of a key that `get` has not found: its lease, planted if there was none. */
  lease(key: string): { readonly token: number; readonly planted: boolean }
}

/**
 * The store as loads see it, as plainly as can be: what the real one must do with values and
 * leases.
 */
export class ModelStore implements TestStore {
  now = 0
  /** False breaks it on purpose: a fill then never looks whose lease is there. */
  readonly fenced: boolean
  readonly #entries = new Map<string, Entry>()
  readonly #leases = new Map<string, number>()
  #token = 0

  constructor(fenced = true) {
    this.fenced = fenced
  }

  get leases(): number {
    return this.#leases.size
  }

  /** What a client sees: also what is stale. */
  get(key: string): string | null {
    const entry = this.#live(key)
    const until = entry?.keep?.visibleUntil ?? 0
    return entry === undefined || (until !== 0 && until <= this.now) ? null : entry.value
  }

  /** How what is there is kept; undefined: a client has set it, or nothing is there. */
  keep(key: string): Keep | undefined {
    return this.#live(key)?.keep
  }

  /** Is it remembered that the origin has no such thing? */
  isNegative(key: string): boolean {
    return this.#live(key)?.value === null
  }

  set(key: string, value: string): void {
    this.#leases.delete(key)
    this.#entries.set(key, { value })
  }

  delete(key: string): void {
    this.#leases.delete(key)
    this.#entries.delete(key)
  }

  /** Memory was short: the value goes, the lease stays. */
  evict(key: string): void {
    this.#entries.delete(key)
  }

  flush(): void {
    this.#leases.clear()
    this.#entries.clear()
  }

  hasLease(_db: number, key: Uint8Array, token: number): boolean {
    return this.#leases.get(String(key)) === token
  }

  lease(key: string): { readonly token: number; readonly planted: boolean } {
    const found = this.#leases.get(key)
    if (found !== undefined) return { token: found, planted: false }
    const token = ++this.#token
    this.#leases.set(key, token)
    return { token, planted: true }
  }

  fill(db: number, key: Uint8Array, token: number, value: Uint8Array | null, keep: Keep): boolean {
    if (this.fenced && !this.hasLease(db, key, token)) return false
    const name = String(key)
    this.#leases.delete(name)
    this.#entries.set(name, { value: value === null ? null : String(value), keep })
    return true
  }

  dropLease(db: number, key: Uint8Array, token: number): boolean {
    return this.hasLease(db, key, token) && this.#leases.delete(String(key))
  }

  etag(_db: number, key: Uint8Array): string | null {
    return this.#live(String(key))?.keep?.etag ?? null
  }

  remains(_db: number, key: Uint8Array): Remains | null {
    const entry = this.#live(String(key))
    if (entry === undefined || entry.value === null) return null
    const { etag = null, tags = [] } = entry.keep ?? {}
    return { value: Buffer.from(entry.value), etag, tags }
  }

  birth(): number {
    return 0
  }

  isDead(): boolean {
    return false
  }

  tagHash(tag: string): number {
    return tag.length
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    const until = entry?.keep?.expireAt ?? 0
    if (entry === undefined || until === 0 || until > this.now) return entry
    this.#entries.delete(key)
    return undefined
  }
}
