/*
 * Which keys clients of this thread have read, and are to hear of when they change: Redis's tracking
 * table.
 *
 *     name (latin1) ──> where the store counts our interest | client, or clients
 *
 * As in Redis a key is forgotten when its change was told, not when a client goes: an id that nobody
 * has any more is passed over then. And as in Redis it is known by its name, in whichever database it
 * was read; but only a change in a database in which somebody read it counts.
 *
 * The table has limits. The key that is in it for the longest makes room, and who read it is told, as
 * if it had changed.
 */
import type { Store } from '../store/store.ts'

/** Bytes of all names, of one thread: a key may have 512 MB. */
const nameBytesMax = 256 * 1024 * 1024
/** Entries that are let go of at a time where nobody waits for them. */
const dropsPerTurn = 1_000

/** A key that somebody read. */
class Entry {
  readonly db: number
  /** Of `Store.track`. */
  readonly at: number
  /** Was there such a key? */
  readonly wasThere: boolean
  /** Other databases in which it was read. */
  others: { readonly db: number; readonly at: number }[] | null = null
  ids: number | Set<number>

  constructor(db: number, at: number, wasThere: boolean, id: number) {
    this.db = db
    this.at = at
    this.wasThere = wasThere
    this.ids = id
  }

  has(db: number): boolean {
    return this.db === db || (this.others?.some((other) => other.db === db) ?? false)
  }

  /** False: it was there already. */
  add(id: number): boolean {
    const { ids } = this
    if (typeof ids === 'number') {
      if (ids === id) return false
      this.ids = new Set([ids, id])
      return true
    }
    if (ids.has(id)) return false
    ids.add(id)
    return true
  }

  get count(): number {
    return typeof this.ids === 'number' ? 1 : this.ids.size
  }

  isReadBy(id: number): boolean {
    return typeof this.ids === 'number' ? this.ids === id : this.ids.has(id)
  }
}

/** A key that made room for others, and who read it. */
export interface Dropped {
  readonly name: string
  readonly ids: readonly number[]
}

export class TrackingTable {
  readonly #store: Store
  #entries = new Map<string, Entry>()
  #items = 0
  #nameBytes = 0
  /** What is to be let go of: the entries of whole tables. */
  #garbage: MapIterator<Entry>[] = []
  #looked: MapIterator<[string, Entry]> | null = null
  /** Stands before the oldest key: to begin anew each time would pass over all that are gone. */
  #ages: MapIterator<[string, Entry]> | null = null

  constructor(store: Store) {
    this.#store = store
  }

  get keys(): number {
    return this.#entries.size
  }

  /** Pairs of a key and a client that read it. */
  get items(): number {
    return this.#items
  }

  /** Client `id` is about to read a key: from now on its changes are told. */
  add(id: number, db: number, name: string, bytes: Uint8Array, pos: number, length: number): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) {
      const at = this.#store.track(db, bytes, pos, length)
      this.#entries.set(name, new Entry(db, at, this.#store.wasThere, id))
      this.#items++
      this.#nameBytes += length
      return
    }
    if (!entry.has(db)) {
      entry.others ??= []
      entry.others.push({ db, at: this.#store.track(db, bytes, pos, length) })
    }
    if (entry.add(id)) this.#items++
  }

  /** A key has changed: forgets it. @returns who read it, nobody if it was not read in that database */
  take(db: number, name: string): readonly number[] {
    const entry = this.#entries.get(name)
    return entry?.has(db) ? this.#remove(name, entry) : []
  }

  /** Client `id` does not want to hear of a key any more. */
  drop(id: number, db: number, name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined || !entry.has(db) || !entry.isReadBy(id)) return
    if (entry.count === 1) {
      this.#remove(name, entry)
      return
    }
    ;(entry.ids as Set<number>).delete(id)
    this.#items--
  }

  /** Are there more keys than this, or too long ones? */
  isOver(keysMax: number): boolean {
    return this.#entries.size > keysMax || this.#nameBytes > nameBytesMax
  }

  /** Forgets the key that is there for the longest; there is one. */
  dropOldest(): Dropped {
    for (;;) {
      const { value, done } = (this.#ages ??= this.#entries.entries()).next()
      if (done === true) {
        this.#ages = null
        continue
      }
      const [name, entry] = value
      return { name, ids: this.#remove(name, entry) }
    }
  }

  /** Forgets all keys. The store hears of it in `collect`. */
  clear(): void {
    this.#garbage.push(this.#entries.values())
    this.#entries = new Map()
    this.#looked = null
    this.#ages = null
    this.#items = 0
    this.#nameBytes = 0
  }

  /** Lets go of some of what was cleared. True: of all of it. */
  collect(): boolean {
    for (let i = 0; i < dropsPerTurn && this.#garbage.length > 0; i++) {
      const { value, done } = this.#garbage[0]!.next()
      if (done === true) this.#garbage.shift()
      else this.#untrack(value)
    }
    return this.#garbage.length === 0
  }

  /**
   * Looks at the next `count` keys for those that were there when they were read, and are not seen any
   * more though nobody has changed them: values that are kept only for when a load fails, or that an
   * invalidation has made dead. `over` is told of each; the key is not forgotten by that. False: that
   * was the last one.
   */
  lookOver(count: number, over: (db: number, name: string) => void): boolean {
    const looked = (this.#looked ??= this.#entries.entries())
    for (let i = 0; i < count; i++) {
      const { value, done } = looked.next()
      if (done === true) {
        this.#looked = null
        return false
      }
      const [name, { db, wasThere }] = value
      if (!wasThere) continue
      const key = Buffer.from(name, 'latin1')
      // One that is found dead goes, and is told of by the store as well.
      const isThere = this.#store.peek(db, key, 0, key.length)
      this.#store.close()
      if (!isThere) over(db, name)
    }
    return true
  }

  #remove(name: string, entry: Entry): readonly number[] {
    this.#entries.delete(name)
    this.#items -= entry.count
    this.#nameBytes -= name.length
    this.#untrack(entry)
    return typeof entry.ids === 'number' ? [entry.ids] : [...entry.ids]
  }

  #untrack({ at, others }: Entry): void {
    this.#store.untrack(at)
    for (const other of others ?? []) this.#store.untrack(other.at)
  }
}
