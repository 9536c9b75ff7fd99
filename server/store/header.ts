/*
 * The header of a bucket: everything that is known of a bucket but its slots, ghosts and entries.
 * It lies in shared memory, and belongs to whoever holds the lock in its first word.
 *
 *   lock, counts | small ring | main ring | ring of entries with pages | eviction, counters, counts
 *   0..7         | 8..17      | 18..27    | 28..37                     | 38..95
 *
 *   | entries of each database | expiring ones of each database | directories of index and ghosts
 *   | 96..                     |                                | (memory.ts: layout)
 *
 * The fields of a ring's block are named in ring.ts.
 */
import { BUCKET_FIXED_WORDS } from './memory.ts'

export const LOCK = 0
/** Slots of the index in use. */
export const COUNT = 1
/** Pieces of the index. */
export const PIECES = 2
/** Entries the bucket took in so far, leases not counted: the clock of its eviction. */
export const CLOCK = 3
/** Pages the bucket's entries have. */
export const PAGES = 4
/** Entries with an expiry, negative ones too. */
export const EXPIRING = 5
export const LEASES = 6
export const GHOST_PIECES = 7

export const SMALL = 8
export const MAIN = 18
export const PAGED = 28

/** Logarithm of the unit in which ghosts tell their age. */
export const GHOST_UNIT = 38
/** The clock at which to look again whether the ghosts have the right size. */
export const GHOST_CHECK = 39
/** Entries the bucket had when its ghosts were given their size. */
export const GHOST_ENTRIES = 40
/** Entries with an expiry and with pages. */
export const EXPIRING_PAGED = 41

/* Counters: doubles, since the start. Two words each, the most frequent where the cache is warm. */
export const SETS = 42
export const GETS = 44
export const HITS = 46

/** `lru`: addresses of the entries used last and used longest ago. */
export const NEWEST = 48
export const OLDEST = 49
/** `second-chance`: sum of the times of all entries' last accesses, a double. */
export const ACCESS_SUM = 50

/* More counters. */
export const IN_PLACE = 52
export const EVICTED_SMALL = 54
export const EVICTED_MAIN = 56
export const EVICTED_BIG = 58
export const EXPIRED_LAZILY = 60
export const EXPIRED_ACTIVELY = 62
export const COLLISIONS_LOST = 64
export const COLLISIONS_MET = 66
export const GENERATIONS = 68
export const PROMOTED = 70
export const REINSERTED_BYTES = 72
export const MOVED_BYTES = 74
export const GHOST_HITS = 76
export const STOLEN = 78
/** Changes to what is stored that are no sets: removals, expiries, parts of values. */
export const CHANGES = 80
/* Of what is there now: */
export const BIG_VALUES = 82

/** Counted like `CHANGES`: entries that were found invalidated. */
export const INVALIDATED = 84

/** Negative entries. */
export const NEGATIVES = 86

/** Entries with extras and without an expiry: they may be over all the same. */
export const LOADED_FOR_EVER = 87

/** Entries that were loaded for a group. */
export const GROUPED = 88

/** The first of the counts of databases. */
export const DATABASES = BUCKET_FIXED_WORDS
