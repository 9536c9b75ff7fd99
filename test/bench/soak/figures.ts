import { readFileSync } from 'node:fs'

export interface SoakOptions {
  readonly scenario: string
  readonly maxMemory: number
  /** Of keys and values to be written. */
  readonly bytes: number
}

export interface SoakFigures {
  /** Resident bytes of the process without what the store holds. */
  readonly baseline: number
  readonly peakRss: number
  /** At the end: */
  readonly entries: number
  readonly usedBytes: number
  readonly evicted: number
  /** Writes answered with out of memory. */
  readonly refused: number
  /** The least share of the memory in use that was not dead; NaN: not known. */
  readonly leastLiveShare: number
}

/** The most memory that was ever resident, in bytes, as the kernel kept it. */
export function peakRssOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024
}
