/** CONTRACT (to be replaced by the implementation; keep these signatures). */

export interface StoreOptions {
  /** Bytes, all of it: rings, index, big values. Never exceeded. */
  readonly maxMemory: number
  /** uint32 */
  readonly seed: number
  readonly databases?: number
  /** Tests force collisions with a constant one. Default: xxh32. */
  readonly hash?: (bytes: Uint8Array, pos: number, length: number, seed: number) => number
}

/** The thread's private memory; positions everywhere are indexes in `bytes`. */
export interface IoMemory {
  /** A plain Uint8Array over it (on Node 20 it lies inside arena 0 and is shared). */
  readonly bytes: Uint8Array
  /** [carry, read) is where a partial command is put so that it ENDS where the read area begins. */
  readonly carry: number
  readonly read: number
  readonly readEnd: number
  readonly scratch: number
  readonly scratchEnd: number
  /** First position of each reply area, all of `replyBytes` bytes. */
  readonly replies: readonly number[]
  readonly replyBytes: number
}

/** Where `get` puts a value: `reserve(length)` gives a position in the I/O memory, or -1: no room. */
export interface Sink {
  reserve(length: number): number
}

/** Bytes in chunks of the pool: a big value being received, or a pinned one being sent. */
export declare class Pages {
  /** Bytes written so far (receiving) or in all (pinned). */
  readonly length: number
  /**
   * Appends bytes, taking chunks from the pool and evicting for them. False: memory cannot be had
   * (over half of maxmemory is held by pages in flight, or all of it); the pages are released then.
   */
  write(bytes: Uint8Array, pos: number, length: number): boolean
  /** The views of the pages' memory from byte `from` on, contiguous pieces in order. For socket.write. */
  piece(from: number): Uint8Array
  toBuffer(): Buffer
  /** Gives the chunks back (receiving), or unpins (the last unpin of a replaced value frees it). */
  release(): void
}

/** Results of the writing verbs. */
export const STORED = 0
/** maxmemory cannot hold it: answer Redis's OOM error. */
export const OUT_OF_MEMORY = 1

/** Results of `get`: a length >= 0, or */
export const MISS = -1
/** The value lies in pages: take `open` and `pin`. */
export const IN_PAGES = -2
/** The sink had no room for `store.valueLength` bytes. */
export const NO_ROOM = -3

export const TYPE_STRING = 0

export declare class Store {
  constructor(options: StoreOptions)
  readonly io: IoMemory
  /** Milliseconds on the Clock.now() scale; set by the caller once per turn. */
  now: number

  /* ---- one verb, one lock: the hot path ---- */
  get(db: number, bytes: Uint8Array, pos: number, length: number, sink: Sink): number
  /** expireAt: ms on the `now` scale, 0: none. Replaces whatever the key held, a lease too. */
  set(
    db: number,
    bytes: Uint8Array,
    pos: number,
    length: number,
    valuePos: number,
    valueLength: number,
    expireAt: number,
  ): number
  /** True if a visible value was removed. A lease or negative entry is removed and counts false. */
  delete(db: number, bytes: Uint8Array, pos: number, length: number): boolean
  has(db: number, bytes: Uint8Array, pos: number, length: number): boolean

  /* ---- an open record: open ... close, for everything else; atomic, never across I/O ---- */
  /** Locks the key's bucket and looks the key up (an expired one is removed first). Always `close()` after. */
  open(db: number, bytes: Uint8Array, pos: number, length: number): boolean
  close(): void
  /** Valid while open and found, kept up to date by the verbs below. */
  valueLength: number
  /** 0: none */
  expireAt: number
  valueType: number
  /** Copies part of the value to a position in the I/O memory. */
  read(from: number, length: number, to: number): void
  put(bytes: Uint8Array, pos: number, length: number, expireAt: number): number
  /** Takes the pages over, whatever the result. */
  putPages(pages: Pages, expireAt: number): number
  /** Appends to the value (creates it). Keeps the expiry. */
  append(bytes: Uint8Array, pos: number, length: number): number
  appendPages(pages: Pages): number
  /** Writes inside the value, zero-padding up to `offset` (creates it). Keeps the expiry. */
  setRange(offset: number, bytes: Uint8Array, pos: number, length: number): number
  setRangePages(offset: number, pages: Pages): number
  /** 0 removes it. */
  setExpiry(expireAt: number): number
  remove(): boolean
  /** The value as pages, for sending; it must be IN_PAGES. Immutable until released. */
  pin(): Pages
  /** Is the open value in pages? */
  readonly inPages: boolean

  /* ---- leases: the fence of a load ---- */
  /**
   * While open and not found: the token of the key's lease, planting one if there is none
   * (`leasePlanted` tells which). 0: no memory. Tokens are never used twice.
   */
  lease(): number
  leasePlanted: boolean
  /** Stores the value if this very lease is still there; the lease is gone afterwards. */
  fill(
    db: number,
    key: Uint8Array,
    token: number,
    value: Uint8Array,
    expireAt: number,
  ): boolean
  /** Removes this very lease (a load that failed). */
  dropLease(db: number, key: Uint8Array, token: number): boolean

  /* ---- receiving big values ---- */
  pages(): Pages

  /* ---- the whole ---- */
  /**
   * Visits visible keys of db from `cursor` (0 starts) until about `slots` index slots were looked
   * at; returns the next cursor, 0 at the end; < 2^41. What stays in the cache during a full
   * scan is visited. `visit` runs under the bucket's lock: it must not call the store; the key
   * lies at bytes[pos, pos+length) during the call only.
   */
  scan(
    db: number,
    cursor: number,
    slots: number,
    visit: (bytes: Uint8Array, pos: number, length: number, type: number) => void,
  ): number
  /** A random visible key of db copied to the sink; its length, or -1. `random`: uint32. */
  randomKey(db: number, random: number, sink: Sink): number
  /** Visible keys of db (expired ones not yet removed included, as in Redis). */
  size(db: number): number
  /** Keys of db with an expiry. */
  expiring(db: number): number
  /** Removes everything of one database, or of all (-1). */
  flush(db: number): void
  /** Removes expired entries, looking at about `slots` slots from where it stopped. Removed count. */
  sweep(slots: number): number
  readonly stats: StoreStats
}

/** Counted exactly, since the start. Bytes are of maxMemory. */
export interface StoreStats {
  readonly maxMemory: number
  readonly usedBytes: number
  readonly chunkBytes: number
  readonly chunks: number
  readonly chunksFree: number
  readonly arenas: number
  readonly buckets: number
  readonly entries: number
  readonly gets: number
  readonly hits: number
  readonly sets: number
  readonly inPlace: number
  readonly evicted: number
  readonly expiredLazily: number
  readonly expiredActively: number
  readonly collisions: number
  readonly generations: number
  readonly bigValues: number
  readonly bigBytes: number
  readonly pinnedBytes: number
}
