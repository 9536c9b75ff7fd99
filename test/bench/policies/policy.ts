import type { Trace } from '../../replay/trace.ts'

/**
 * An ideal cache of so many entries, whatever their size: one shard, no overhead, no clock. Keys are
 * numbers from 0 up, so that what a policy knows of a key can stand in an array.
 */
export interface Policy {
  /** A read-through: true for a hit; after a miss the key is stored, which may evict others. */
  request(key: number): boolean
  /** Entries it holds now. */
  readonly size: number
}

/** The share of accesses that hit, in percent. */
export function hitRatio(policy: Policy, trace: Trace): number {
  let hits = 0
  for (const key of trace) if (policy.request(key)) hits++
  return (100 * hits) / trace.length
}

/** One more than the largest key: how long arrays by key must be. */
export function keyCount(trace: Trace): number {
  let largest = -1
  for (const key of trace) largest = Math.max(largest, key)
  return largest + 1
}
