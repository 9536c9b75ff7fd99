/*
 * What is measured of one trace, as rows of tables: ideal caches and the store at equal numbers of
 * entries, and the store beside real servers at equal numbers of bytes.
 */
import type { Trace } from '../../replay/trace.ts'
import { SeededRandom } from '../../sim/random.ts'
import { Arc } from '../policies/arc.ts'
import { Optimum } from '../policies/optimum.ts'
import { hitRatio, type Policy } from '../policies/policy.ts'
import { Fifo, Lru } from '../policies/recency.ts'
import { RedisLfu, RedisLru } from '../policies/redis.ts'
import { S3, s3a, s3Fifo } from '../policies/s3.ts'
import {
  KEY_BYTES,
  leastMemory,
  replayStore,
  replayStoreHolding,
  type StoreChoice,
  type StoreRun,
} from './real-store.ts'
import { type Rival, RIVAL_BYTES } from './rivals.ts'

/** A named way to open the store. */
export interface Subject {
  readonly name: string
  readonly choice: StoreChoice
}

const BUCKETS = 512
const SEED = 1
/** A minute of Redis's LFU clock: about 500 accesses a second. */
const LFU_DECAY_ACCESSES = 30_000

interface Ideal {
  readonly name: string
  make(capacity: number, keys: number, trace: Trace): Policy
}

const IDEALS: readonly Ideal[] = [
  { name: 'FIFO', make: (capacity, keys) => new Fifo(capacity, keys) },
  { name: 'LRU', make: (capacity, keys) => new Lru(capacity, keys) },
  {
    name: 'Redis LRU',
    make: (capacity, keys) => new RedisLru(capacity, keys, new SeededRandom(SEED)),
  },
  {
    name: 'Redis LFU',
    make: (capacity, keys) =>
      new RedisLfu(capacity, keys, new SeededRandom(SEED), LFU_DECAY_ACCESSES),
  },
  { name: 'ARC', make: (capacity, keys) => new Arc(capacity, keys) },
  { name: 'S3-FIFO', make: (capacity, keys) => new S3(capacity, keys, s3Fifo) },
  { name: 'S3A', make: (capacity, keys) => new S3(capacity, keys, s3a) },
  { name: 'optimum', make: (capacity, keys, trace) => new Optimum(capacity, keys, trace) },
]

/** The values of a store so small that 100 bytes each would leave it under its least maxmemory. */
const LEAST_SHARE = 1.02

/** Bytes of a value: those wanted, or more, so that so many entries need the store's least memory. */
function valueBytesFor(entries: number, wanted: number, choice: StoreChoice): number {
  const share = (leastMemory(choice) * LEAST_SHARE) / entries
  return Math.max(wanted, Math.ceil(share) - KEY_BYTES)
}

export interface SizeReport {
  readonly entries: number
  readonly cells: readonly string[]
  /** The first subject's run, null when it could not be made to hold so many. */
  readonly run: StoreRun | null
}

export function entryColumns(subjects: readonly Subject[]): string[] {
  const own = subjects.map(({ name }) => name)
  return ['cache holds', 'a bucket', ...IDEALS.map(({ name }) => name), 'value', 'held', ...own]
}

/**
 * One size of the cache: the ideals, the size of the values and the entries the first subject held,
 * and each subject's hit ratio, with its gap to an S3-FIFO that holds exactly as many as it did.
 */
export function reportSize(
  trace: Trace,
  keys: number,
  entries: number,
  options: { readonly subjects: readonly Subject[]; readonly valueBytes: number },
): SizeReport {
  const ideals = IDEALS.map((ideal) => percent(hitRatio(ideal.make(entries, keys, trace), trace)))
  const share = ((100 * entries) / keys).toFixed(0)
  const runs: (StoreRun | null)[] = []
  for (const { choice } of options.subjects) {
    const valueBytes = valueBytesFor(entries, options.valueBytes, choice)
    const known = runs.find((run) => run?.valueBytes === valueBytes)
    runs.push(replayStoreHolding(trace, entries, valueBytes, choice, known?.maxMemory))
  }
  const run = runs[0] ?? null
  const cells = [
    `${entries} (${share} %)`,
    (entries / BUCKETS).toFixed(1),
    ...ideals,
    `${run?.valueBytes ?? '-'} B`,
    run?.entries.toFixed(0) ?? '-',
    ...runs.map((one) => (one === null ? '-' : withGap(one, trace, keys))),
  ]
  return { entries, cells, run }
}

function withGap(run: StoreRun, trace: Trace, keys: number): string {
  const ideal = hitRatio(new S3(Math.round(run.entries), keys, s3Fifo), trace)
  return `${percent(run.hitRatio)} (${signed(run.hitRatio - ideal)})`
}

export function byteColumns(rivals: readonly Rival[]): string[] {
  const own = ['value', 'maxmemory', 'store', 'held']
  const theirs = rivals.flatMap(({ name, exact }) => [
    name,
    'held',
    ...(exact === undefined ? [] : [exact.name]),
  ])
  return [...own, ...theirs]
}

/** One store and the real servers at its bytes. */
export async function reportBytes(
  trace: Trace,
  keys: number,
  run: StoreRun,
  rivals: readonly Rival[],
): Promise<string[]> {
  const cells = [`${run.valueBytes} B`, String(run.maxMemory), percent(run.hitRatio)]
  cells.push(String(Math.round(run.entries)))
  for (const rival of rivals) {
    const theirs = await rival.run(trace, run.maxMemory, run.valueBytes)
    const exact = rival.exact?.make(theirs?.entries ?? 1, keys)
    cells.push(
      ...(theirs === null ? ['-', '-'] : [percent(theirs.hitRatio), String(theirs.entries)]),
    )
    if (exact !== undefined) cells.push(theirs === null ? '-' : percent(hitRatio(exact, trace)))
  }
  return cells
}

/** The store at the least memory with which all rivals take part, its values sized accordingly. */
export function runForAllRivals(trace: Trace, entries: number, subject: Subject): StoreRun {
  const valueBytes = Math.floor(RIVAL_BYTES / entries) - KEY_BYTES - OVERHEAD_BYTES
  return replayStore(trace, RIVAL_BYTES, valueBytes, subject.choice)
}

const OVERHEAD_BYTES = 24

export function percent(ratio: number): string {
  return ratio.toFixed(1)
}

export function signed(points: number): string {
  return `${points < 0 ? '' : '+'}${points.toFixed(2)}`
}
