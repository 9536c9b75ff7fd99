/*
 * What the store counts. Every counter belongs to a bucket and is raised under its lock; the store's
 * are sums over all buckets. They begin with the store and are never set back, so that two readings
 * can always be subtracted. Whoever reads takes no lock: counters of one bucket may be a verb apart,
 * and a number that is the difference of two (entries without leases) too small by one for a moment.
 */
import type { Buckets } from './bucket.ts'
import * as header from './header.ts'

/** Of one bucket, or summed up. Bytes are of maxMemory. */
export interface BucketStats {
  /** Keys of all databases, expired ones not yet removed included. */
  readonly entries: number
  /** Of these and the negative entries, with an expiry. */
  readonly expiring: number
  readonly gets: number
  readonly hits: number
  readonly sets: number
  /** Sets whose value took the place of the one before. */
  readonly inPlace: number
  /** Evicted from the small and main rings, and as big values. */
  readonly evictedSmall: number
  readonly evictedMain: number
  readonly evictedBig: number
  /** Entries and big values that were asked for while in small, and went on to main. */
  readonly promoted: number
  /** Bytes of entries that got another round in main. */
  readonly reinsertedBytes: number
  /** Bytes of all entries that were moved within their rings, for another round or together. */
  readonly movedBytes: number
  /** Keys that came back while a ghost of them was there. */
  readonly ghostHits: number
  readonly expiredLazily: number
  readonly expiredActively: number
  /** Keys that were found invalidated. */
  readonly invalidated: number
  /** What origins do not have, as far as that is remembered. */
  readonly negatives: number
  /** Times that a look-up met another key of the same hash. */
  readonly collisionsMet: number
  /** Entries lost because more than 64 keys had one hash. */
  readonly collisionsLost: number
  /** Chunks that the bucket took from others, being below the mean. */
  readonly stolenChunks: number
  /** How often a chunk's entries went for others. */
  readonly generations: number
  /** Chunks of the rings, and pages of big values. */
  readonly smallChunks: number
  readonly mainChunks: number
  readonly pagedChunks: number
  readonly pages: number
  /** Bytes in rings of removed and replaced entries, and at the ends of chunks. */
  readonly deadBytes: number
  readonly paddingBytes: number
  /** Slots of the index, and how many are taken. */
  readonly indexSlots: number
  readonly indexUsed: number
  /** Entries with pages. */
  readonly bigValues: number
}

/** `bucket`: first word of a bucket's header. */
export function bucketStats(buckets: Buckets, bucket: number): BucketStats {
  const count = (word: number): number => buckets.counter(bucket, word)
  const { ring } = buckets.eviction
  return {
    entries: buckets.entries(bucket),
    expiring: buckets.expiringInAll(bucket),
    gets: count(header.GETS),
    hits: count(header.HITS),
    sets: count(header.SETS),
    inPlace: count(header.IN_PLACE),
    evictedSmall: count(header.EVICTED_SMALL),
    evictedMain: count(header.EVICTED_MAIN),
    evictedBig: count(header.EVICTED_BIG),
    promoted: count(header.PROMOTED),
    reinsertedBytes: count(header.REINSERTED_BYTES),
    movedBytes: count(header.MOVED_BYTES),
    ghostHits: count(header.GHOST_HITS),
    expiredLazily: count(header.EXPIRED_LAZILY),
    expiredActively: count(header.EXPIRED_ACTIVELY),
    invalidated: count(header.INVALIDATED),
    negatives: buckets.negatives(bucket),
    collisionsMet: count(header.COLLISIONS_MET),
    collisionsLost: count(header.COLLISIONS_LOST),
    stolenChunks: count(header.STOLEN),
    generations: count(header.GENERATIONS),
    smallChunks: ring.chunks(bucket + header.SMALL),
    mainChunks: ring.chunks(bucket + header.MAIN),
    pagedChunks: ring.chunks(bucket + header.PAGED),
    pages: buckets.pages(bucket),
    deadBytes: buckets.deadBytes(bucket),
    paddingBytes: buckets.paddingBytes(bucket),
    indexSlots: buckets.index.slots(bucket),
    indexUsed: buckets.index.count(bucket),
    bigValues: count(header.BIG_VALUES),
  }
}

/** Field by field. */
export function sumOf(all: readonly BucketStats[]): BucketStats {
  const sum = { ...all[0]! } as Record<keyof BucketStats, number>
  const fields = Object.keys(sum) as (keyof BucketStats)[]
  for (const stats of all.slice(1)) {
    for (const field of fields) sum[field] += stats[field]
  }
  return sum
}

/** The whole store, counted exactly, since its start. */
export interface StoreStats extends BucketStats {
  readonly maxMemory: number
  /** What maxMemory can be raised to. */
  readonly ceiling: number
  /** More than maxMemory only while what is too much since it was lowered is evicted. */
  readonly usedBytes: number
  /**
   * What was ever used. The system holds it for us whether it is used now or not: WebAssembly's
   * memory cannot be given back.
   */
  readonly touchedBytes: number
  /** Bytes that are to be evicted because maxMemory was lowered. */
  readonly excessBytes: number
  readonly chunkBytes: number
  readonly chunks: number
  readonly chunksFree: number
  readonly arenas: number
  readonly buckets: number
  /** From small, main and big together. */
  readonly evicted: number
  /** Bytes of the pages of big values. */
  readonly bigBytes: number
  /** Pages of replaced and removed values that live on because they are being sent. */
  readonly pinnedBytes: number
}
