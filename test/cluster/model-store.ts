import type { LeaseStore } from '../../cluster/loads.ts'

interface Entry {
  /** Null: it is a lease. */
  readonly value: string | null
  readonly token: number
  readonly expireAt: number
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
  #token = 0

  constructor(fenced = true) {
    this.fenced = fenced
  }

  get leases(): number {
    return [...this.#entries.values()].filter((entry) => entry.value === null).length
  }

  get(key: string): string | null {
    return this.#live(key)?.value ?? null
  }

  expireAt(key: string): number {
    return this.#live(key)?.expireAt ?? -1
  }

  set(key: string, value: string): void {
    this.#entries.set(key, { value, token: 0, expireAt: 0 })
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  flush(): void {
    this.#entries.clear()
  }

  hasLease(_db: number, key: Uint8Array, token: number): boolean {
    return this.#holds(key, token)
  }

  lease(key: string): { readonly token: number; readonly planted: boolean } {
    const found = this.#live(key)
    if (found !== undefined) return { token: found.token, planted: false }
    const token = ++this.#token
    this.#entries.set(key, { value: null, token, expireAt: 0 })
    return { token, planted: true }
  }

  fill(_db: number, key: Uint8Array, token: number, value: Uint8Array, expireAt: number): boolean {
    if (this.fenced && !this.#holds(key, token)) return false
    this.#entries.set(String(key), { value: String(value), token: 0, expireAt })
    return true
  }

  dropLease(_db: number, key: Uint8Array, token: number): boolean {
    return this.#holds(key, token) && this.#entries.delete(String(key))
  }

  #holds(key: Uint8Array, token: number): boolean {
    const entry = this.#live(String(key))
    return entry !== undefined && entry.value === null && entry.token === token
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.expireAt === 0 || entry.expireAt > this.now) return entry
    this.#entries.delete(key)
    return undefined
  }
}
