/*
 * What is compared: the store, a `Map<string, Buffer>`, lru-cache, and nothing at all. The store takes
 * its locks, as with several threads; beside it stand, to see what each costs, a store without them
 * (as a server of one thread has it), one under `s3-fifo`, and one that tells of what ends.
 *
 * All do a cache server's work, from bytes to bytes. A key and a value stand in a buffer, as they do
 * when they have been received; `set` keeps them, and `get` copies the value behind the ones before
 * into a reply area. The store takes a key as the bytes it is. The other two need a string of it and
 * keep a value as a copy in a Buffer of its own (from Node's pool, the cheapest there is).
 *
 * `nothing` does none of it: its time is that of the loop around the verbs, which writes keys and
 * values and chooses numbers, and is taken off the times of the others.
 */
import { LRUCache } from 'lru-cache'
import { Store, STORED, type StoreOptions } from '../../../server/store/store.ts'

/** Stores, by what is different of each. */
const STORES = {
  store: {},
  'without locks': { threads: 1 },
  's3-fifo': { policy: 's3-fifo' },
  'with a listener': { onRemoved: () => {} },
} as const satisfies Record<string, Partial<StoreOptions>>

export const VARIANTS = ['without locks', 's3-fifo', 'with a listener'] as const
export type ContenderName = keyof typeof STORES | 'map' | 'lru-cache' | 'nothing'

export const KEY_BYTES = 16
export const VALUE_BYTES = 100

/** Values are copied one behind the other into so many bytes, and then from the start again. */
const REPLY_BYTES = 256 * 1024

const SEED = 0x1234567

/** Key number `i` is written at `keyAt` and its value at `valueAt` of `bytes` before a verb. */
export interface Contender {
  readonly bytes: Uint8Array
  readonly keyAt: number
  readonly valueAt: number
  readonly reply: Uint8Array
  set(expireAt: number): void
  /** Where in `reply` the value begins; -1: there is none. */
  get(): number
  readonly entries: number
}

export interface ContenderOptions {
  readonly name: ContenderName
  /** How many entries it is to hold. */
  readonly entries: number
  /** Of the store, in bytes. */
  readonly maxMemory: number
}

export function createContender(options: ContenderOptions): Contender {
  switch (options.name) {
    case 'map':
      return new StringContender(new Map<string, Buffer>())
    case 'lru-cache':
      return new StringContender(new LRUCache<string, Buffer>({ max: options.entries }))
    case 'nothing':
      return new Nothing()
    default:
      return new StoreContender({ maxMemory: options.maxMemory, ...STORES[options.name] })
  }
}

/** Writes the key of a number: 16 characters, all of them ASCII. */
export function writeKey(bytes: Uint8Array, at: number, number: number): void {
  bytes[at] = 0x75
  bytes[at + 1] = 0x73
  bytes[at + 2] = 0x65
  bytes[at + 3] = 0x72
  for (let i = 0; i < KEY_BYTES - 4; i++) {
    bytes[at + 4 + i] = 0x61 + (i < 8 ? (number >>> (28 - 4 * i)) & 15 : i)
  }
}

class StoreContender implements Contender {
  readonly bytes: Uint8Array
  readonly reply: Uint8Array
  readonly keyAt: number
  readonly valueAt: number
  readonly store: Store
  readonly #first: number
  readonly #end: number
  #next: number

  /** Two threads: that the second one never comes does not matter to the locks. */
  constructor(options: Pick<StoreOptions, 'maxMemory'> & Partial<StoreOptions>) {
    this.store = new Store({ seed: SEED, threads: 2, ...options })
    const io = this.store.io
    this.bytes = io.bytes
    this.reply = io.bytes
    this.keyAt = io.read + 32
    this.valueAt = this.keyAt + KEY_BYTES + 8
    this.#first = io.replies[0]!
    this.#end = this.#first + io.replyBytes
    this.#next = this.#first
  }

  set(expireAt: number): void {
    const result = this.store.set(
      0,
      this.bytes,
      this.keyAt,
      KEY_BYTES,
      this.valueAt,
      VALUE_BYTES,
      expireAt,
    )
    if (result !== STORED) throw new Error('the store is out of memory')
  }

  get(): number {
    const length = this.store.get(0, this.bytes, this.keyAt, KEY_BYTES, this)
    return length < 0 ? -1 : this.#next - length
  }

  /** For the store: where the value goes. */
  reserve(length: number): number {
    if (this.#next + length > this.#end) this.#next = this.#first
    const at = this.#next
    this.#next += length
    return at
  }

  get entries(): number {
    return this.store.stats.entries
  }
}

interface StringMap {
  get(key: string): Buffer | undefined
  set(key: string, value: Buffer): unknown
  readonly size: number
}

class StringContender implements Contender {
  readonly bytes = Buffer.alloc(64 * 1024)
  readonly keyAt = 32
  readonly valueAt = 32 + KEY_BYTES + 8
  readonly reply = Buffer.alloc(REPLY_BYTES)
  readonly #map: StringMap
  #next = 0

  constructor(map: StringMap) {
    this.#map = map
  }

  set(_expireAt: number): void {
    const value = Buffer.allocUnsafe(VALUE_BYTES)
    this.bytes.copy(value, 0, this.valueAt, this.valueAt + VALUE_BYTES)
    this.#map.set(this.#key(), value)
  }

  get(): number {
    const value = this.#map.get(this.#key())
    if (value === undefined) return -1
    if (this.#next + value.length > REPLY_BYTES) this.#next = 0
    const at = this.#next
    value.copy(this.reply, at)
    this.#next += value.length
    return at
  }

  get entries(): number {
    return this.#map.size
  }

  #key(): string {
    return this.bytes.toString('latin1', this.keyAt, this.keyAt + KEY_BYTES)
  }
}

class Nothing implements Contender {
  readonly bytes = Buffer.alloc(64 * 1024)
  readonly keyAt = 32
  readonly valueAt = 32 + KEY_BYTES + 8
  readonly reply = this.bytes
  readonly entries = 0

  set(_expireAt: number): void {}

  get(): number {
    return this.valueAt
  }
}
