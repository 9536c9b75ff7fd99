/*
 * One contender in a process of its own, filled: what memory it takes, and how long it halts.
 *
 * Memory is what the operating system holds for the process (RSS) when all is filled and the garbage
 * collector ran, less what it held before: that of a process which did the same to a small contender,
 * since dropped, so that the code it needs is loaded and compiled.
 *
 * Halts are seen in two ways: the longest batch of 256 sets, and how much later than asked for a
 * timer of one millisecond fires, one turn of the event loop being one batch.
 */
import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { type Contender, type ContenderOptions, createContender } from './contender.ts'
import { BATCH, Collections, set } from './speed.ts'

export interface FillOptions extends ContenderOptions {
  /** Keys that are set: more than `entries` fill a store beyond its maxMemory. */
  readonly keys: number
  readonly expires: boolean
}

export interface FillFigures extends FillTimes {
  /** Held at the end. */
  readonly entries: number
  readonly rssBytes: number
  /** One full collection while all is there. */
  readonly fullGcMs: number
}

interface FillTimes {
  readonly longestBatchMs: number
  /** How much too late the timer was at the worst. */
  readonly timerLateMs: number
  readonly gcMs: number
  readonly nanos: number
}

const HOUR_MS = 3_600_000

const SMALL_ENTRIES = 20_000
const SMALL_MEMORY = 4 * 2 ** 20

/** Needs `--expose-gc`. */
export async function measureFill(options: FillOptions): Promise<FillFigures> {
  const small = { entries: SMALL_ENTRIES, keys: SMALL_ENTRIES, maxMemory: SMALL_MEMORY }
  await fill(createContender({ ...options, ...small }), { ...options, ...small })
  // What a contender leaves behind outside of the heap goes one turn after it.
  for (let i = 0; i < 2; i++) {
    collect()
    await turn()
  }
  const baseline = rssOf('self')
  const contender = createContender(options)
  const times = await fill(contender, options)
  const before = performance.now()
  collect()
  const fullGcMs = performance.now() - before
  return { entries: contender.entries, rssBytes: rssOf('self') - baseline, fullGcMs, ...times }
}

async function fill(contender: Contender, options: FillOptions): Promise<FillTimes> {
  const expireAt = options.expires ? HOUR_MS : 0
  const delays = monitorEventLoopDelay({ resolution: 1 })
  const collections = new Collections()
  let longestBatchMs = 0
  delays.enable()
  const start = performance.now()
  for (let done = 0; done < options.keys; done += BATCH) {
    const before = performance.now()
    const end = Math.min(done + BATCH, options.keys)
    for (let number = done; number < end; number++) set(contender, number, expireAt)
    const ms = performance.now() - before
    if (ms > longestBatchMs) longestBatchMs = ms
    await turn()
  }
  const nanos = ((performance.now() - start) * 1e6) / options.keys
  delays.disable()
  return { longestBatchMs, timerLateMs: delays.max / 1e6, gcMs: await collections.end(), nanos }
}

/** Resident memory of a process, in bytes. */
export function rssOf(pid: number | 'self'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024
}

function collect(): void {
  const { gc } = globalThis as { gc?: () => void }
  if (gc === undefined) throw new Error('start Node with --expose-gc')
  gc()
}
