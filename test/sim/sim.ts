/*
 * Runs seeds of the simulated cluster over worker processes, and shows those that break an invariant.
 *
 *     npm run sim -- --seeds 1000 [--from 1] [--workers 2] [--faults crash,freeze] [--first]
 *     npm run sim -- --seed 7 [--trace]
 */
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { addCensus, newCensus } from './census.ts'
import { FAULTS, type FaultName } from './faults.ts'
import { type RunResult, runSeed } from './run.ts'

/** Seeds of one process: it gives the system its memory back when it ends. */
const SEEDS_PER_PROCESS = 25

/** Violations of a seed that are shown. */
const SHOWN_MAX = 3

interface Options {
  readonly seeds: readonly number[]
  readonly workers: number
  readonly faults: readonly FaultName[]
  readonly trace: boolean
  /** Is the first seed that fails the last? */
  readonly first: boolean
}

/** A worker's answer for a seed. */
interface Told {
  readonly result: RunResult
  readonly cpuMs: number
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '100' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      workers: { type: 'string', default: String(availableParallelism()) },
      faults: { type: 'string', default: FAULTS.join() },
      trace: { type: 'boolean', default: false },
      first: { type: 'boolean', default: false },
    },
  })
  const faults = values.faults.split(',').filter((name) => name !== '') as FaultName[]
  const strange = faults.find((name) => !FAULTS.includes(name))
  if (strange !== undefined) throw new Error(`there is no fault ${strange}: ${FAULTS.join(', ')}`)
  const first = Number(values.seed ?? values.from)
  const count = values.seed === undefined ? Number(values.seeds) : 1
  const workers = Number(values.workers)
  if (![first, count, workers].every((number) => Number.isInteger(number) && number >= 0)) {
    throw new Error('seeds and workers are numbers')
  }
  const seeds = Array.from({ length: count }, (_, i) => first + i)
  const { trace, first: onlyFirst } = values
  return { seeds, workers: Math.max(1, Math.min(workers, count)), faults, trace, first: onlyFirst }
}

/** One seed, in this process. */
async function judge(seed: number, faults: readonly FaultName[], trace: boolean): Promise<Told> {
  const begin = process.cpuUsage()
  const tell = trace ? { tell: (line: string) => console.log(line) } : {}
  const result = await runSeed({ seed, faults: new Set(faults), ...tell })
  const { user, system } = process.cpuUsage(begin)
  return { result, cpuMs: (user + system) / 1000 }
}

/** All seeds, over so many processes, each of which takes the next one when it is done. */
async function judgeAll(options: Options, hear: (told: Told) => void): Promise<void> {
  const queue = [...options.seeds]
  const hearOne = (told: Told): void => {
    hear(told)
    if (options.first && told.result.violations.length > 0) queue.length = 0
  }
  const work = async (): Promise<void> => {
    while (queue.length > 0) await oneProcess(queue, options.faults, hearOne)
  }
  await Promise.all(Array.from({ length: options.workers }, work))
}

function oneProcess(
  queue: number[],
  faults: readonly FaultName[],
  hear: (told: Told) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['worker', faults.join()])
    let seed: number | undefined
    let left = SEEDS_PER_PROCESS
    const next = (): void => {
      seed = left-- > 0 ? queue.shift() : undefined
      if (seed === undefined) child.disconnect()
      else child.send(seed)
    }
    child.on('message', (told: Told) => {
      hear(told)
      next()
    })
    child.on('exit', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`the process of seed ${seed} ended with ${code}`))
    })
    next()
  })
}

function serveParent(faults: readonly FaultName[]): void {
  process.on('message', (seed: number) => {
    void judge(seed, faults, false).then((told) => process.send!(told))
  })
}

function show({ result, cpuMs }: Told): void {
  const { seed, hash, violations, lines } = result
  const counts = `${result.commands} commands, ${result.errors} errors, ${result.disturbances} faults`
  console.log(`seed ${seed}: ${hash}, ${counts}, ${(cpuMs / 1000).toFixed(2)} s`)
  for (const { invariant, text, at } of violations.slice(0, SHOWN_MAX)) {
    console.log(`  ${invariant}\n    at ${(at / 1000).toFixed(4)} s: ${text}`)
  }
  if (violations.length > SHOWN_MAX) console.log(`  and ${violations.length - SHOWN_MAX} more`)
  for (const line of lines) console.log(`    ${line}`)
}

/** The same on each Node, for the same seeds. */
function hashOfAll(hashes: readonly string[]): string {
  return createHash('sha256').update(hashes.join()).digest('hex').slice(0, 16)
}

async function main(args: readonly string[]): Promise<void> {
  if (args[0] === 'worker') return serveParent(args[1]!.split(',') as FaultName[])
  const options = readOptions(args)
  if (options.seeds.length === 1) {
    const told = await judge(options.seeds[0]!, options.faults, options.trace)
    show(told)
    process.exitCode = told.result.violations.length > 0 ? 1 : 0
    return
  }
  const startedAt = performance.now()
  const broken = new Map<string, number[]>()
  const census = newCensus()
  const hashes = new Map<number, string>()
  let cpuMs = 0
  let count = 0
  let failed = 0
  await judgeAll(options, (told) => {
    count++
    cpuMs += told.cpuMs
    const { seed, hash, violations } = told.result
    addCensus(census, told.result.census)
    hashes.set(seed, hash)
    if (violations.length === 0) return
    failed++
    for (const name of new Set(violations.map(({ invariant }) => invariant))) {
      broken.set(name, [...(broken.get(name) ?? []), seed])
    }
    // Of each invariant the first seed in full; the others are one line below.
    if ([...broken.values()].some((seeds) => seeds.length === 1 && seeds[0] === seed)) show(told)
  })
  const seconds = (performance.now() - startedAt) / 1000
  const each = (cpuMs / 1000 / Math.max(1, count)).toFixed(2)
  console.log(
    `${count} seeds in ${seconds.toFixed(0)} s, ${each} CPU seconds each; ${failed} failed`,
  )
  console.log(
    Object.entries(census)
      .map(([name, times]) => `${times} ${name}`)
      .join(', '),
  )
  console.log(`hash of all: ${hashOfAll(options.seeds.flatMap((seed) => hashes.get(seed) ?? []))}`)
  for (const [name, seeds] of [...broken].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const some = [...seeds].sort((a, b) => a - b)
    const more = some.length > 12 ? ` ... (${some.length})` : ''
    console.log(`  ${name}: ${some.slice(0, 12).join(' ')}${more}`)
  }
  process.exitCode = failed > 0 ? 1 : 0
}

await main(process.argv.slice(2))
