/*
 * The claim: how often does the store find what it is asked for, beside ideal caches, beside the
 * best there could be, and beside the real redis-server and memcached?
 *
 * Each trace is replayed as a read-through: a GET, and on a miss a SET. First at equal numbers of
 * entries, 1, 5, 10 and 20 % of the trace's keys: ideal caches are simulated, the store is given
 * the maxmemory at which it held so many. Then at equal numbers of bytes against servers over a
 * socket, where they are installed. Last, values of very different sizes, at equal bytes against an
 * ideal S3-FIFO that pays for keys and values only.
 */
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { makeUp, SAMPLE_PATH } from './hit-ratio/made-up.ts'
import {
  byteColumns,
  entryColumns,
  percent,
  reportBytes,
  reportSize,
  runForAllRivals,
  signed,
  type SizeReport,
  type Subject,
} from './hit-ratio/report.ts'
import { installedRivals, type Rival } from './hit-ratio/rivals.ts'
import { makeSizes, sizesIdeal, sizesInStore } from './hit-ratio/sizes.ts'
import { stepColumns, stepRows } from './hit-ratio/steps.ts'
import { describeMachine } from './machine.ts'
import { keyCount } from './policies/policy.ts'
import { table } from './table.ts'
import { readTrace, type Trace } from '../replay/trace.ts'
import { POLICIES, type Policy } from '../../server/store/policy.ts'

const HELP = `node dist/test/bench/hit-ratio.js [options] [trace ...]
  Traces: gzipped or plain text, one access a line, the key as a small number. Without any: the
  sample that is part of the project, and a longer one that is made up on the spot.
  --quick           the sample only, and fewer accesses of mixed sizes: under a minute
  --policy NAME     only this maxmemory-policy of the store; may be repeated (the first one meets
                    the rivals)
  --value BYTES     size of the values (100)
  --accesses N      only the first N accesses of each trace
  --steps           only the steps from S3-FIFO to S3A, simulated
  --no-one-bucket   leave out stores of a single bucket
  --no-rivals       leave out redis-server and memcached
  --no-sizes        leave out the values of mixed sizes`

const SHARES = [0.01, 0.05, 0.1, 0.2]
/** One for each queue of S3-FIFO. */
const ENTRIES_MIN = 2
/** Caches of fewer entries are not put beside real servers: less than 18 entries a bucket. */
const RIVALS_FROM_ENTRIES = 9_000
/** These are tried in a store of a single bucket too. */
const SINGLE_POLICIES: readonly (Policy | undefined)[] = ['s3a', 's3-fifo']
/** The longer trace that stands in for real ones. */
const MADE_UP = { accesses: 1_000_000, popular: 60_000, seed: 3 }
const SIZES = {
  keys: 200_000,
  accesses: 1_000_000,
  exponent: 0.9,
  medianBytes: 1_500,
  bytesMax: 4 * 2 ** 20,
  seed: 1,
}
const SIGMAS = [1.5, 2]
const SIZES_MEBIBYTES = [16, 64]
const QUICK_SIZES_ACCESSES = 200_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    quick: { type: 'boolean', default: false },
    policy: { type: 'string', multiple: true },
    value: { type: 'string', default: '100' },
    accesses: { type: 'string' },
    steps: { type: 'boolean', default: false },
    'one-bucket': { type: 'boolean', default: true },
    rivals: { type: 'boolean', default: true },
    sizes: { type: 'boolean', default: true },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  console.log(`${describeMachine()}, Node ${process.version}\n`)
  if (values.steps) {
    for (const [name, trace] of traces()) reportSteps(name, trace)
    return
  }
  const subjects = subjectsNamed(values.policy ?? POLICIES)
  const rivals = values.rivals ? installedRivals() : []
  for (const [name, trace] of traces()) await reportTrace(name, trace, subjects, rivals)
  if (values.sizes) reportSizes(subjects)
}

/** The store with each of these policies. */
function subjectsNamed(names: readonly string[]): Subject[] {
  return names.map((name) => {
    const policy = POLICIES.find((one) => one === name)
    if (policy === undefined)
      throw new Error(`the policies are ${POLICIES.join(', ')}, not ${name}`)
    return { name: `store ${name}`, choice: { policy } }
  })
}

/** What there is to learn of a policy without the loss that comes from many small buckets. */
function singles(subjects: readonly Subject[]): Subject[] {
  return subjects
    .filter(({ choice }) => SINGLE_POLICIES.includes(choice.policy))
    .map(({ name, choice }) => ({ name: `${name}, one bucket`, choice: { ...choice, buckets: 1 } }))
}

function* traces(): Generator<[name: string, trace: Trace]> {
  const accessesMax = Number(values.accesses ?? Number.POSITIVE_INFINITY)
  for (const path of positionals) yield [basename(path, '.gz'), readTrace(path, accessesMax)]
  if (positionals.length > 0) return
  yield ['the sample', readTrace(SAMPLE_PATH, accessesMax)]
  if (!values.quick) yield ['made up', makeUp(MADE_UP).slice(0, accessesMax)]
}

function capacity(keys: number, share: number): number {
  return Math.max(ENTRIES_MIN, Math.floor(keys * share))
}

function reportSteps(name: string, trace: Trace): void {
  const keys = keyCount(trace)
  const capacities = SHARES.map((share) => capacity(keys, share))
  const rows = stepRows(trace, keys, capacities)
  console.log(`### ${name}: ${trace.length} accesses to ${keys} keys\n`)
  console.log(`${table(stepColumns(capacities), rows)}\n`)
}

async function reportTrace(
  name: string,
  trace: Trace,
  subjects: readonly Subject[],
  rivals: readonly Rival[],
): Promise<void> {
  const keys = keyCount(trace)
  console.log(`### ${name}: ${trace.length} accesses to ${keys} keys\n`)
  const all = values['one-bucket'] ? [...subjects, ...singles(subjects)] : subjects
  const sizes: SizeReport[] = []
  for (const share of SHARES) {
    const entries = capacity(keys, share)
    process.stderr.write(`${name}: ${entries} entries\n`)
    const options = { subjects: all, valueBytes: Number(values.value) }
    sizes.push(reportSize(trace, keys, entries, options))
  }
  const rows = sizes.map(({ cells }) => cells)
  console.log(`${table(entryColumns(all), rows)}\n`)
  if (rivals.length === 0) return
  const bytes: string[][] = []
  for (const { entries, run } of sizes) {
    if (entries < RIVALS_FROM_ENTRIES || run === null) continue
    process.stderr.write(`${name}: ${entries} entries, beside real servers\n`)
    bytes.push(await reportBytes(trace, keys, run, rivals))
    const larger = runForAllRivals(trace, entries, subjects[0]!)
    bytes.push(await reportBytes(trace, keys, larger, rivals))
  }
  if (bytes.length > 0) console.log(`${table(byteColumns(rivals), bytes)}\n`)
  else console.log(`No cache of ${RIVALS_FROM_ENTRIES} entries: no real servers beside it.\n`)
}

function reportSizes(subjects: readonly Subject[]): void {
  const accesses = values.quick ? QUICK_SIZES_ACCESSES : SIZES.accesses
  const { keys, exponent, medianBytes } = SIZES
  console.log(
    `### Values of mixed sizes: ${accesses} accesses to ${keys} keys of popularity rank^-${exponent}, ` +
      `median ${medianBytes} B\n`,
  )
  const own = subjects.flatMap(({ name }) => [name, 'held', 'gap'])
  const rows: string[][] = []
  for (const sigma of SIGMAS) {
    const workload = makeSizes({ ...SIZES, accesses, sigma })
    for (const mebibytes of SIZES_MEBIBYTES) {
      process.stderr.write(`mixed sizes: sigma ${sigma}, ${mebibytes} MiB\n`)
      const maxMemory = mebibytes * 2 ** 20
      const ideal = sizesIdeal(workload, maxMemory, 's3-fifo')
      const aged = sizesIdeal(workload, maxMemory, 's3a')
      const cells = [String(sigma), `${mebibytes} MiB`]
      cells.push(percent(ideal.hitRatio), String(ideal.entries), percent(aged.hitRatio))
      for (const { choice } of subjects) {
        const run = sizesInStore(workload, maxMemory, choice)
        cells.push(
          percent(run.hitRatio),
          String(run.entries),
          signed(run.hitRatio - ideal.hitRatio),
        )
      }
      rows.push(cells)
    }
  }
  console.log(table(['sigma', 'maxmemory', 'S3-FIFO', 'held', 'S3A', ...own], rows))
}

await main()
