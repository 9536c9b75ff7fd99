/*
 * The claims: how fast is the store, how little memory does an entry take, and how long does it halt,
 * beside `Map<string, Buffer>` and lru-cache (and, for memory, redis-server and memcached)?
 *
 * Entries are keys of 16 and values of 100 bytes. Every contender runs in a process of its own on
 * the same Node, one after the other, the order changing from round to round; what each of them does
 * is told in store/contender.ts; what locks, the policy and a listener cost is seen beside stores that
 * differ in them. Time that the loop around it takes (writing keys, choosing them) is
 * measured by a contender that does nothing, in the same round, and is taken off all of them.
 *
 * A ratio is taken within its round; the table has the median, the lowest and the highest. On a
 * machine that others use too, ratios of CPU time tell more than those of the clock.
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs, promisify } from 'node:util'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { available } from '../process.ts'
import { describeMachine, nodeVersion, redisVersion } from './machine.ts'
import type { ContenderName } from './store/contender.ts'
import { KEY_BYTES, VALUE_BYTES, VARIANTS } from './store/contender.ts'
import type { FillFigures, FillOptions } from './store/fill.ts'
import { serverRss, SERVERS } from './store/servers.ts'
import type { PhaseFigures, Phase, SpeedFigures, SpeedOptions } from './store/speed.ts'
import { PHASES } from './store/speed.ts'
import { table } from './table.ts'

const HELP = `node dist/test/bench/store.js [options]
  --quick          speed in 3 rounds, memory at 1 million entries: about three minutes
  --rounds N       rounds of the speeds (7; --quick: 3)
  --fills N        fills whose halts are compared (3; --quick: 1)
  --node PATH      run everything on this Node
  --only PART      speed or memory (which has the halts too)`

const MILLION = 1_000_000
const ENTRIES = MILLION
const RIVALS = ['map', 'lru-cache'] as const

/** More than the entries need, so that nobody is evicted. */
const ROOMY_BYTES = 200
/** So much that chunks have their full size, as in a server of this or more. */
const SPEED_MEMORY = 2 ** 30
/** What an entry needs in a store that is full, as measured; the table has the real figure. */
const FULL_BYTES = 138
/** Keys set for each entry that a full store holds. */
const FULL_KEYS = 1.5

/** Bytes of memory that a fill of so many entries may need at most, by entry. */
const NEEDED_BYTES = 700
const HEAP_MEGABYTES = 12_288

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    fills: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const CHILD = fileURLToPath(new URL(`./store/child${extname(import.meta.url)}`, import.meta.url))

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  console.log(`the store, Map and lru-cache on Node ${nodeVersion(values.node)}`)
  console.log(describeMachine())
  console.log(`entries of ${KEY_BYTES} + ${VALUE_BYTES} bytes`)
  if (values.only !== 'memory') await compareSpeeds()
  if (values.only !== 'speed') await compareMemory()
}

/* ---- speed ---- */

type Round = ReadonlyMap<ContenderName, SpeedFigures>

async function compareSpeeds(): Promise<void> {
  const rounds = Number(values.rounds ?? (values.quick ? 3 : 7))
  const found: Round[] = []
  const full: Round[] = []
  for (let round = 0; round < rounds; round++) {
    progress(`speed, round ${round + 1} of ${rounds}`)
    const order: ContenderName[] = ['nothing', 'store', ...VARIANTS, ...RIVALS]
    if (round % 2 === 1) order.reverse()
    const speeds = new Map<ContenderName, SpeedFigures>()
    const replacing = new Map<ContenderName, SpeedFigures>()
    for (const name of order) {
      const maxMemory = SPEED_MEMORY
      speeds.set(name, await speedOf({ name, entries: ENTRIES, maxMemory, phases: PHASES }))
      // A Map evicts nobody.
      if (name === 'map') continue
      const options = { name, entries: ENTRIES, maxMemory: ENTRIES * FULL_BYTES }
      replacing.set(name, await speedOf({ ...options, phases: ['set', 'replace'] }))
    }
    found.push(speeds)
    full.push(replacing)
  }
  console.log(`\nSpeed at ${ENTRIES} entries, millions of operations a second, ${rounds} rounds\n`)
  const cases: [Phase, Round[], readonly ContenderName[]][] = [
    ...PHASES.map((phase): [Phase, Round[], typeof RIVALS] => [phase, found, RIVALS]),
    ['replace', full, ['lru-cache']],
  ]
  printRatios(cases)
  console.log('\nBeside stores that differ: over 1, the store as measured above is faster\n')
  printRatios([
    ...PHASES.map((phase): [Phase, Round[], typeof VARIANTS] => [phase, found, VARIANTS]),
    ['replace', full, VARIANTS],
  ])
  console.log('\nThe longest batch of 256 operations and all halts of the garbage collector, ms\n')
  printHalts(cases)
}

function speedOf(options: SpeedOptions): Promise<SpeedFigures> {
  return runChild<SpeedFigures>('speed', [], options)
}

function printRatios(cases: [Phase, Round[], readonly ContenderName[]][]): void {
  const rows: string[][] = []
  for (const [phase, rounds, rivals] of cases) {
    for (const rival of rivals) {
      const clock = rounds.map((round) => ratio(round, phase, rival, 'nanos'))
      const cpu = rounds.map((round) => ratio(round, phase, rival, 'cpuNanos'))
      rows.push([
        phase,
        rival,
        megaOperations(rounds, phase, 'store'),
        megaOperations(rounds, phase, rival),
        median(clock).toFixed(2),
        spread(clock),
        median(cpu).toFixed(2),
        spread(cpu),
      ])
    }
  }
  const header = ['', 'beside', 'store', 'rival', 'ratio', 'lowest-highest']
  console.log(table([...header, 'ratio of CPU', 'lowest-highest'], rows))
}

function printHalts(cases: [Phase, Round[], readonly ContenderName[]][]): void {
  const rows: string[][] = []
  for (const [phase, rounds, rivals] of cases) {
    const row: string[] = [phase]
    for (const name of ['store', ...RIVALS] as const) {
      const takesPart = name === 'store' || rivals.includes(name)
      const figures = takesPart ? rounds.map((round) => figuresOf(round, phase, name)) : []
      row.push(takesPart ? median(figures.map((one) => one.longestBatchMs)).toFixed(1) : '')
      row.push(takesPart ? median(figures.map((one) => one.gcMs)).toFixed(1) : '')
    }
    rows.push(row)
  }
  const names = ['store', ...RIVALS].flatMap((name) => [name, `${name} GC`])
  console.log(table(['', ...names], rows))
}

function megaOperations(rounds: Round[], phase: Phase, name: ContenderName): string {
  return (1e3 / median(rounds.map((round) => net(round, phase, name, 'nanos')))).toFixed(2)
}

/** How many times as long as the store a rival takes. */
function ratio(round: Round, phase: Phase, rival: ContenderName, time: Time): number {
  return net(round, phase, rival, time) / net(round, phase, 'store', time)
}

type Time = 'nanos' | 'cpuNanos'

/** Time of an operation without the loop around it. */
function net(round: Round, phase: Phase, name: ContenderName, time: Time): number {
  return figuresOf(round, phase, name)[time] - figuresOf(round, phase, 'nothing')[time]
}

function figuresOf(round: Round, phase: Phase, name: ContenderName): PhaseFigures {
  return round.get(name)![phase]!
}

/* ---- memory and halts ---- */

interface Fill {
  readonly label: string
  readonly options: Omit<FillOptions, 'entries'>
  /** How often it is repeated, for its halts; 0: once, for its memory only. */
  readonly halts: boolean
}

async function compareMemory(): Promise<void> {
  const sizes = values.quick ? [MILLION] : [MILLION, 10 * MILLION]
  const memory: string[][] = []
  const halts: string[][] = []
  for (const entries of sizes) {
    const column: [string, string][] = []
    for (const fill of fillsOf(entries)) {
      const { name } = fill.options
      const rival = name === 'map' || name === 'lru-cache'
      const needed = entries * NEEDED_BYTES
      if (rival && needed > availableBytes()) {
        column.push([fill.label, `skipped: ${gib(needed)} GiB needed`])
        continue
      }
      const isLast = entries === sizes.at(-1)
      const times = fill.halts && isLast ? Number(values.fills ?? (values.quick ? 1 : 3)) : 1
      const figures: FillFigures[] = []
      for (let i = 0; i < times; i++) {
        progress(`${fill.label}, ${entries} entries, fill ${i + 1} of ${times}`)
        const flags = ['--expose-gc', `--max-old-space-size=${HEAP_MEGABYTES}`]
        figures.push(await runChild<FillFigures>('fill', flags, { ...fill.options, entries }))
      }
      column.push([fill.label, overhead(figures[0]!.rssBytes, figures[0]!.entries)])
      if (fill.halts && isLast) halts.push(haltsOf(fill.label, figures))
    }
    for (const name of SERVERS) {
      for (const expires of name === 'memcached' ? [true] : [false, true]) {
        const label = name === 'redis-server' && expires ? `${name}, with a TTL` : name
        if (!available(name)) {
          column.push([label, 'not installed'])
          continue
        }
        progress(`${label}, ${entries} entries`)
        const rss = await serverRss(name, entries, expires)
        column.push([label, overhead(rss!, entries)])
      }
    }
    column.forEach(([label, cell], i) => (memory[i] ??= [label]).push(cell))
  }
  const redis = available('redis-server') ? `; redis-server ${redisVersion()}` : ''
  console.log(`\nResident bytes an entry beyond key and value${redis}\n`)
  console.log(table(['', ...sizes.map((entries) => `${entries / MILLION} million`)], memory))
  console.log(`\nHalts while ${sizes.at(-1)! / MILLION} million entries are set, ms: medians\n`)
  const header = ['', 'fills', 'longest batch', 'lowest-highest', '1 ms timer late']
  console.log(table([...header, 'GC in all', 'a full GC'], halts))
}

function fillsOf(entries: number): Fill[] {
  const roomy = { keys: entries, maxMemory: entries * ROOMY_BYTES, expires: false }
  const full = { keys: entries * FULL_KEYS, maxMemory: entries * FULL_BYTES, expires: false }
  return [
    { label: 'store', options: { name: 'store', ...roomy }, halts: true },
    {
      label: 'store, with a TTL',
      options: { name: 'store', ...roomy, expires: true },
      halts: false,
    },
    { label: 'store, full and evicting', options: { name: 'store', ...full }, halts: true },
    { label: 'Map', options: { name: 'map', ...roomy }, halts: true },
    { label: 'lru-cache', options: { name: 'lru-cache', ...roomy }, halts: false },
  ]
}

function overhead(rssBytes: number, entries: number): string {
  return (rssBytes / entries - KEY_BYTES - VALUE_BYTES).toFixed(1)
}

function haltsOf(label: string, figures: readonly FillFigures[]): string[] {
  const batches = figures.map((one) => one.longestBatchMs)
  const of = (field: keyof FillFigures): string =>
    median(figures.map((one) => one[field])).toFixed(1)
  const spreadOf = `${Math.min(...batches).toFixed(1)}-${Math.max(...batches).toFixed(1)}`
  const cells = [label, String(figures.length), of('longestBatchMs'), spreadOf]
  return [...cells, of('timerLateMs'), of('gcMs'), of('fullGcMs')]
}

/* ---- for both ---- */

async function runChild<Figures>(
  measurement: 'speed' | 'fill',
  flags: readonly string[],
  options: SpeedOptions | FillOptions,
): Promise<Figures> {
  const args = [...flags, CHILD, measurement, JSON.stringify(options)]
  const { stdout } = await promisify(execFile)(values.node, args)
  return JSON.parse(stdout) as Figures
}

function progress(what: string): void {
  process.stderr.write(`${what}\n`)
}

function availableBytes(): number {
  const kilobytes = /MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1]
  return Number(kilobytes) * 1024
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1)
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

function spread(numbers: readonly number[]): string {
  return `${Math.min(...numbers).toFixed(2)}-${Math.max(...numbers).toFixed(2)}`
}

await main()
