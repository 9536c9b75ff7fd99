/**
 * What the memory is used for: one account, told by INFO memory, MEMORY STATS and MEMORY DOCTOR.
 * "Used" is what of maxmemory is in use. The process takes more: JavaScript's heap, code, buffers,
 * and memory of the store that was used once, which WebAssembly cannot give back.
 */
import type { Facts } from '../facts.ts'
import { readUsage } from '../system.ts'
import type { Stats } from '../stats.ts'
import type { StoreStats } from '../store/store.ts'

/** A slot of the index, and the field of an expiry. */
export const SLOT_BYTES = 8
export const EXPIRY_BYTES = 8

interface UsageSource {
  readonly store: { readonly stats: StoreStats }
  readonly stats: Stats
}

/** Bytes. */
export interface Usage {
  readonly used: number
  readonly peak: number
  /** In use before the first key. */
  readonly startup: number
  /** What the store ever used. */
  readonly touched: number
  /** Of the whole process. */
  readonly resident: number
  readonly heapUsed: number
  readonly heapTotal: number
  /** Of clients and peers: each itself, what came and is not executed, and replies that wait. */
  readonly clients: number
  readonly peers: number
  /** Of what is used: all that is no key and no value. */
  readonly overhead: number
  /** Keys and values with their headers. */
  readonly dataset: number
}

/** The account as it is now: it goes through all buckets. `facts`: of all threads together. */
export function usageOf({ store, stats }: UsageSource, facts: Facts): Usage {
  const { usedBytes, touchedBytes, indexSlots, deadBytes, paddingBytes } = store.stats
  const startup = Math.min(stats.usedMemoryAtStart, usedBytes)
  const rest = usedBytes - startup
  const overhead = startup + Math.min(rest, indexSlots * SLOT_BYTES + deadBytes + paddingBytes)
  return {
    used: usedBytes,
    peak: Math.max(stats.usedMemoryPeak, usedBytes),
    startup,
    touched: touchedBytes,
    resident: readUsage().residentBytes,
    heapUsed: facts.heapUsedBytes,
    heapTotal: facts.heapTotalBytes,
    clients: facts.clientBytes,
    peers: facts.peerBytes,
    overhead,
    dataset: usedBytes - overhead,
  }
}

/** Less is not worth a word: a cache of a few megabytes looks odd by any ratio. */
const REMARKABLE_BYTES = 64 * 1024 * 1024
/** Node takes 60-100 MB for itself. */
const REMARKABLE_PROCESS_BYTES = 256 * 1024 * 1024

/** What stands out, a sentence each: what it is, and what can be done about it. */
export function diagnose(source: UsageSource, facts: Facts): string[] {
  const { stats } = source.store
  const usage = usageOf(source, facts)
  const inRings = (stats.smallChunks + stats.mainChunks + stats.pagedChunks) * stats.chunkBytes
  const unused = usage.touched - usage.used
  const other = usage.resident - usage.touched
  const findings: [holds: boolean, sentence: string][] = [
    [
      stats.excessBytes > 0,
      `maxmemory was lowered, and ${human(stats.excessBytes)} are still to be evicted.`,
    ],
    [
      unused > REMARKABLE_BYTES && unused > usage.used / 2,
      `${human(unused)} were used once and are not now: the system holds them until the server is restarted, or they are used again.`,
    ],
    [
      other > REMARKABLE_PROCESS_BYTES && other > usage.touched,
      `The process takes ${human(other)} beside the store, for clients' buffers and JavaScript: look at CLIENT LIST for clients with long output (omem).`,
    ],
    [
      stats.pinnedBytes > usage.used / 10,
      `${human(stats.pinnedBytes)} are values that are gone, and are still being sent to slow clients.`,
    ],
    [
      stats.deadBytes > inRings / 3,
      `${human(stats.deadBytes)} are what removed and replaced values left behind; it is brought together as keys are written.`,
    ],
    [
      stats.collisionsLost > 0,
      `${stats.collisionsLost} keys went because more than 64 had the same hash: somebody may be choosing keys to do harm.`,
    ],
  ]
  return findings.flatMap(([holds, sentence]) => (holds ? [sentence] : []))
}

/** As Redis: '918.94K', '23.54G'. */
export function human(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`
  let value = bytes / 1024
  for (const unit of ['K', 'M', 'G', 'T']) {
    if (value < 1024) return `${value.toFixed(2)}${unit}`
    value /= 1024
  }
  return `${value.toFixed(2)}P`
}

/** A part in hundredths of the whole; 0 of nothing. */
export function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole
}
