/*
 * The claim: with `wait 5ms` a program whose callers share one connection hardly notices that one GET
 * in a hundred misses and that the origin takes 100 ms: its hits run at 70 % or more of what they do
 * where nothing misses, and of a hundred hits 99 are at most 5 ms and the wait later.
 *
 * The callers of one ioredis connection each ask for a key, await the answer and ask for the next one,
 * as the handlers of a web server do. All keys are cached, but each hundredth, which nobody has asked
 * for yet. Replies come in the order of requests, so whoever asks behind a miss waits with it.
 *
 * One server has a group for each `wait`; the cases, the one without misses among them, take turns.
 * Many callers and few: see wait/measure.ts about what follows from their number.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { extname } from 'node:path'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { startRingtier } from '../process.ts'
import { cpuMicros, describeMachine, nodeVersion } from './machine.ts'
import { table } from './table.ts'
import { type Figures, measure, median } from './wait/measure.ts'

const HELP = `node dist/test/bench/wait.js [options]
  --callers N,N   of the one connection (1000,100)
  --seconds N     of each case in each round (4)
  --rounds N      the table has the medians (3)
  --origin MS     what a load takes (100)
  --miss N        one GET in so many misses (100)
  --node PATH     run ringtier on this Node
  --threads N     of ringtier (1)`

const { values } = parseArgs({
  options: {
    callers: { type: 'string', default: '1000,100' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    origin: { type: 'string', default: '100' },
    miss: { type: 'string', default: '100' },
    node: { type: 'string', default: process.execPath },
    threads: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
})

const KEYS = 10_000
const MISSES_OFF = Infinity

interface Case {
  readonly name: string
  /** The group whose keys are asked for: it has the wait. */
  readonly group: string
  readonly missEvery: number
}

const missEvery = Number(values.miss)
const cases: readonly Case[] = [
  { name: 'no misses', group: 'w5', missEvery: MISSES_OFF },
  { name: 'wait none', group: 'wnone', missEvery },
  { name: 'wait 50ms', group: 'w50', missEvery },
  { name: 'wait 5ms', group: 'w5', missEvery },
  { name: 'wait 0', group: 'w0', missEvery },
]
const waits: readonly (readonly [group: string, wait: string])[] = [
  ['wnone', 'none'],
  ['w50', '50ms'],
  ['w5', '5ms'],
  ['w0', '0'],
]

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  console.log(`Node ${nodeVersion(values.node)}, ${values.threads} threads, ${describeMachine()}`)
  const origin = fork(
    fileURLToPath(new URL(`wait/origin${extname(import.meta.url)}`, import.meta.url)),
    [values.origin],
  )
  const [port] = (await once(origin, 'message')) as [number]
  const groups = waits.flatMap(([group, wait]) => [
    '--group',
    `${group} match ${group}:{id} origin http://127.0.0.1:${port}/{id} wait ${wait} concurrency 1024`,
  ])
  const server = await startRingtier({
    args: ['--maxmemory', '512mb', '--save', '', '--threads', values.threads, ...groups],
    node: values.node,
  })
  const client = new Redis(server.port, '127.0.0.1')
  try {
    for (const [group] of waits) await fill(client, group)
    for (const callers of values.callers.split(','))
      await compare({ client, pid: server.pid }, Number(callers))
  } finally {
    client.disconnect()
    await server.stop()
    origin.kill()
  }
}

const keysOf = (group: string): string[] => Array.from({ length: KEYS }, (_, i) => `${group}:${i}`)

async function fill(client: Redis, group: string): Promise<void> {
  await client.mset(keysOf(group).flatMap((key) => [key, VALUE]))
}

const VALUE = 'x'.repeat(100)

interface Pair {
  readonly client: Redis
  /** The server's. */
  readonly pid: number
}

interface Run extends Figures {
  /** Of the server, for each GET. */
  readonly cpuMicros: number
}

/** Nobody asks for the same missing key twice, not in another round either. */
let missing = 0

async function compare({ client, pid }: Pair, callers: number): Promise<void> {
  const all = new Map<Case, Run[]>(cases.map((each) => [each, []]))
  const seconds = Number(values.seconds)
  // Once before it counts: code is compiled, connections are opened.
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (let i = 0; i < cases.length; i++) {
      const each = cases[(round + i) % cases.length]!
      const cpuBefore = cpuMicros(pid)
      const figures = await measure({
        ...{ client, callers, keys: keysOf(each.group), missEvery: each.missEvery },
        missingKey: () => `${each.group}:missing-${missing++}`,
        ms: round === 0 ? WARM_UP_MS : seconds * 1000,
      })
      const cpu = (cpuMicros(pid) - cpuBefore) / figures.asked
      if (round > 0) all.get(each)!.push({ ...figures, cpuMicros: cpu })
    }
  }
  const base = all.get(cases[0]!)!
  const rows = cases.map((each) => rowOf(each, all.get(each)!, base))
  console.log(`\n${callers} callers\n`)
  console.log(
    table(
      ['', 'hits/s', 'of no misses', 'hit p50 ms', 'hit p99 ms', 'misses with a value', 'CPU us'],
      rows,
    ),
  )
}

const WARM_UP_MS = 1000

/** The share is the median of those within a round: rounds differ more than cases of one. */
function rowOf({ name }: Case, runs: readonly Run[], base: readonly Run[]): string[] {
  const of = (pick: (run: Run) => number): number => median(runs.map(pick))
  const share = median(runs.map((run, i) => run.hitsPerSecond / base[i]!.hitsPerSecond))
  const answered = of(({ misses, missesAnswered }) =>
    misses === 0 ? NaN : missesAnswered / misses,
  )
  return [
    name,
    Math.round(of((run) => run.hitsPerSecond)).toLocaleString('en'),
    `${Math.round(100 * share)} %`,
    of((run) => run.p50Ms).toFixed(1),
    of((run) => run.p99Ms).toFixed(1),
    Number.isNaN(answered) ? '' : `${Math.round(100 * answered)} %`,
    of((run) => run.cpuMicros).toFixed(1),
  ]
}

await main()
