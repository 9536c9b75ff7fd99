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
  readonly live: Live
}

/** Shares of the memory in use, 0 to 1; NaN: not known. */
export interface Live {
  /**
   * The least that was neither dead nor padding, looked at eighty times since memory was full. Free
   * slots of the index, ghosts and the free ends of rings count as well.
   */
  readonly notDead: number
  /** Of living entries, with their headers and slots, at the end: nothing else counts. */
  readonly ofEntries: number
}

/** The most memory that was ever resident, in bytes, as the kernel kept it. */
export function peakRssOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024
}
