/*
 * One contender in a process of its own: how many sets and gets a second, and where it halts.
 *
 *   set        keys that are not there yet, one number after the other
 *   get        random keys, all there
 *   overwrite  random keys, all there, by values of the same length
 *   mixed      random keys, all there: nine gets and one set
 *   replace    into a full cache: keys that are not there, each in the place of another one
 *
 * Time is taken for batches: the longest one shows what stands still meanwhile, be it the garbage
 * collector, a map that is copied to a larger one, or another program on the same core. CPU time is
 * that of all threads of the process: it also has what the garbage collector does beside.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { type Contender, type ContenderOptions, createContender, writeKey } from './contender.ts'

export const PHASES = ['set', 'get', 'overwrite', 'mixed'] as const
export type Phase = (typeof PHASES)[number] | 'replace'

export interface SpeedOptions extends ContenderOptions {
  /** In this order; `set` comes first. */
  readonly phases: readonly Phase[]
}

export interface PhaseFigures {
  /** An operation's wall clock and CPU time, in nanoseconds. */
  readonly nanos: number
  readonly cpuNanos: number
  readonly longestBatchMs: number
  /** All the garbage collector's halts during this phase. */
  readonly gcMs: number
}

export type SpeedFigures = Readonly<Partial<Record<Phase, PhaseFigures>>>

/** Operations in a batch: 0.2 ms of the store's. */
export const BATCH = 256

/** A small one of each is driven through all phases first, so that the code is compiled. */
const WARM_UP_ENTRIES = 20_000
const WARM_UP_MEMORY = 16 * 2 ** 20
/** So little that entries are replaced. */
const WARM_UP_MEMORY_FULL = 3 * 2 ** 20
const WARM_UP_ROUNDS = 3

export async function measureSpeed(options: SpeedOptions): Promise<SpeedFigures> {
  const maxMemory = options.phases.includes('replace') ? WARM_UP_MEMORY_FULL : WARM_UP_MEMORY
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    await drive({ ...options, entries: WARM_UP_ENTRIES, maxMemory })
  }
  return drive(options)
}

async function drive(options: SpeedOptions): Promise<SpeedFigures> {
  const contender = createContender(options)
  const figures: Partial<Record<Phase, PhaseFigures>> = {}
  for (const phase of options.phases) {
    const collections = new Collections()
    const times = await timed(contender, phase, options.entries)
    figures[phase] = { ...times, gcMs: await collections.end() }
  }
  return figures
}

async function timed(
  contender: Contender,
  phase: Phase,
  entries: number,
): Promise<Omit<PhaseFigures, 'gcMs'>> {
  const random = new Xorshift(0x9e3779b9)
  await turn()
  let longestBatchMs = 0
  const cpuBefore = process.cpuUsage()
  const start = performance.now()
  let before = start
  for (let done = 0; done < entries; done += BATCH) {
    runBatch(contender, phase, { from: done, to: Math.min(done + BATCH, entries), entries, random })
    const now = performance.now()
    if (now - before > longestBatchMs) longestBatchMs = now - before
    before = now
  }
  const cpu = process.cpuUsage(cpuBefore)
  return {
    nanos: ((before - start) * 1e6) / entries,
    cpuNanos: ((cpu.user + cpu.system) * 1e3) / entries,
    longestBatchMs,
  }
}

interface Batch {
  readonly from: number
  readonly to: number
  readonly entries: number
  readonly random: Xorshift
}

function runBatch(contender: Contender, phase: Phase, batch: Batch): void {
  const { from, to, entries, random } = batch
  switch (phase) {
    case 'set':
      for (let number = from; number < to; number++) set(contender, number)
      break
    case 'get':
      for (let i = from; i < to; i++) get(contender, random.below(entries))
      break
    case 'overwrite':
      for (let i = from; i < to; i++) set(contender, random.below(entries))
      break
    case 'mixed':
      for (let i = from; i < to; i++) {
        if (i % 10 === 0) set(contender, random.below(entries))
        else get(contender, random.below(entries))
      }
      break
    case 'replace':
      for (let number = from; number < to; number++) set(contender, entries + number)
  }
}

/** `expireAt`: milliseconds on the clock that stands at 0; 0: never. */
export function set(contender: Contender, number: number, expireAt = 0): void {
  const bytes = contender.bytes
  writeKey(bytes, contender.keyAt, number)
  bytes[contender.valueAt] = number
  contender.set(expireAt)
}

/** @throws {Error} when it is not there, or its value is that of another */
export function get(contender: Contender, number: number): void {
  writeKey(contender.bytes, contender.keyAt, number)
  contender.bytes[contender.valueAt] = number
  const at = contender.get()
  if (at < 0) throw new Error(`key ${number} is lost`)
  if (contender.reply[at] !== (number & 255)) throw new Error(`key ${number} has a wrong value`)
}

class Xorshift {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  below(limit: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return Math.floor((x >>> 0) * (limit / 2 ** 32))
  }
}

/** Adds up the garbage collector's halts from its construction to `end`. */
export class Collections {
  readonly #observer: PerformanceObserver
  #totalMs = 0

  constructor() {
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.#totalMs += entry.duration
    })
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  /** What was observed is told in a later turn. @returns the time of all in milliseconds */
  async end(): Promise<number> {
    await turn()
    await turn()
    this.#observer.disconnect()
    return this.#totalMs
  }
}
