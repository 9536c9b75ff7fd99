/*
 * The claim: what do GET and SET cost, how many are answered and how fast, as ratios to
 * redis-server, with memcached beside?
 *
 * Every server is a process of its own on this machine, and so is the generator (hot-path/load.ts).
 * Rounds are interleaved (hot-path/rounds.ts); a ratio is taken within its round, and told as the
 * median with the lowest and the highest (hot-path/report.ts).
 *
 * Requests per second depend on the generator and on how the cores are shared with it; the CPU time
 * that the server takes for a request hardly does: it is the figure to compare.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PROJECT } from '../process.ts'
import { chart } from './hot-path/chart.ts'
import { findContenders, BASELINE, KINDS, type Kind } from './hot-path/contenders.ts'
import { Generator } from './hot-path/generator.ts'
import { planCases } from './hot-path/plan.ts'
import { report, type Results } from './hot-path/report.ts'
import { COMMANDS, type Case } from './hot-path/requests.ts'
import { runRound, type CaseRounds } from './hot-path/rounds.ts'
import { describeMachine, nodeVersion } from './machine.ts'

const HELP = `node dist/test/bench/hot-path.js [options]
  Without any: 46 cases in 5 rounds, about 25 minutes. What is named may be named again.
  --quick             9 cases in 3 rounds of less time each: under two minutes with one Node
  --rounds N          rounds
  --ms N              milliseconds that a case is measured
  --command NAME      get, set or mixed (nine GETs to a SET)
  --size BYTES        of a value
  --pipeline N        requests of a batch
  --connections N     at once
  --keys N            that there are
  --contenders NAME   ringtier, redis-server, memcached, control (redis-server once more: what
                      differs from 1.00 is noise); redis-server is always there
  --node PATH         run ringtier on this Node (the one that runs this)
  --threads N         of ringtier (1 and 2)
  --json FILE         write all figures there
  --chart FILE        write the chart there, as SVG (docs/hot-path.svg when all cases are measured)
  --from FILE         measure nothing: report what --json wrote`

const THREADS = [1, 2]

const FULL = { rounds: 5, window: { warmUpMs: 250, measureMs: 1000 } }
const QUICK = { rounds: 3, window: { warmUpMs: 150, measureMs: 400 } }

const multiple = { type: 'string', multiple: true } as const
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    ms: { type: 'string' },
    command: multiple,
    size: multiple,
    pipeline: multiple,
    connections: multiple,
    keys: multiple,
    contenders: { ...multiple, default: ['ringtier', 'memcached'] },
    node: { ...multiple, default: [process.execPath] },
    threads: { ...multiple, default: THREADS.map(String) },
    json: { type: 'string' },
    from: { type: 'string' },
    chart: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  const results =
    values.from === undefined
      ? await measure()
      : (JSON.parse(readFileSync(values.from, 'utf8')) as Results)
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results))
  const chartFile = values.chart ?? (isWhole() ? join(PROJECT, 'docs/hot-path.svg') : null)
  if (chartFile !== null) writeFileSync(chartFile, chart(results))
  console.log(report(results))
}

async function measure(): Promise<Results> {
  const machine = describeMachine()
  const usual = values.quick ? QUICK : FULL
  const rounds = values.rounds === undefined ? usual.rounds : integer(values.rounds)
  const measureMs = values.ms === undefined ? usual.window.measureMs : integer(values.ms)
  const choice = {
    kinds: [...oneOf(KINDS, values.contenders), BASELINE] satisfies Kind[],
    nodes: values.node,
    threads: values.threads.map(integer),
  }
  const cases: CaseRounds[] = casesAsked().map((one) => ({ case: one, rounds: [] }))
  const leftOut: string[] = []
  const contenders = await findContenders(choice, (reason) => leftOut.push(reason))
  leftOut.forEach(progress)
  const node = newest([...values.node, process.execPath])
  const generator = Generator.start(node)
  try {
    for (let round = 0; round < rounds; round++) {
      progress(`round ${round + 1} of ${rounds}`)
      await runRound(round, contenders, cases, generator, { ...usual.window, measureMs })
    }
  } finally {
    generator.stop()
  }
  const head = [
    `${machine}, ${loadavg()[0]!.toFixed(1)} at the end`,
    ...new Set(contenders.map(({ about }) => about)),
    `the generator on Node ${nodeVersion(node)} on the same machine; all keys there; ` +
      `rounds: ${rounds}, of ${measureMs} ms a case`,
    ...leftOut,
  ]
  const contestants = contenders.map(({ protocol: _1, about: _2, start: _3, ...one }) => one)
  return { head, contestants, cases }
}

/** Are all cases measured, as docs/benchmarks.md has them? */
function isWhole(): boolean {
  const { quick, from, command, size, pipeline, connections, keys } = values
  return !quick && [from, command, size, pipeline, connections, keys].every((v) => v === undefined)
}

function casesAsked(): Case[] {
  return planCases({
    quick: values.quick,
    commands: values.command && oneOf(COMMANDS, values.command),
    sizes: values.size?.map(integer),
    pipelines: values.pipeline?.map(integer),
    connections: values.connections?.map(integer),
    keys: values.keys?.map(integer),
  })
}

function oneOf<T extends string>(known: readonly T[], asked: readonly string[]): T[] {
  return asked.map((name) => {
    const found = known.find((one) => one === name.toLowerCase())
    if (found === undefined) throw new Error(`${name} is none of ${known.join(', ')}`)
    return found
  })
}

/** Of a command line: a whole number of at least 1. */
function integer(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new Error(`${text} is no number from 1 on`)
  return number
}

/** The path whose Node is the newest. */
function newest(nodes: readonly string[]): string {
  const major = (node: string): number => Number(/^v(\d+)/.exec(nodeVersion(node))?.[1])
  return [...nodes].sort((a, b) => major(b) - major(a))[0]!
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`)
}

await main()
