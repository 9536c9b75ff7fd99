/*
 * The claim: how fast is GET and SET, and what does a request cost, as ratios to redis-server.
 *
 * Both servers run on this machine, each a process of its own. A round starts both afresh, fills
 * them with the same keys, warms them up, and then runs every case (command, size, pipeline) first
 * on one and at once on the other, so that whatever else the machine does falls on both; the order
 * changes with each round. redis-benchmark is the generator, and GET finds every key it asks for.
 * A figure is the median over the rounds; a ratio is taken within its round, and printed with the
 * lowest and highest.
 *
 * Requests per second depend on the generator and on how the cores are shared with it, server CPU
 * time per request hardly does: it is the figure to compare.
 */
import { parseArgs } from 'node:util'
import { cpuMicros, describeMachine, nodeVersion, redisVersion } from './machine.ts'
import { available, run, startRedis, startRingtier, type RunningServer } from '../process.ts'
import { RawClient } from '../raw.ts'

const HELP = `node dist/test/bench/hot-path.js [options] [-- arguments for ringtier]
  --quick          fewer rounds and requests: about a minute
  --rounds N       rounds (7; --quick: 3)
  --node PATH      run ringtier on this Node
  --command get    only this command; may be repeated, as may --size and --pipeline
  --size 100       only values of so many bytes
  --pipeline 16    only this pipeline
  --control        redis-server against itself: what differs from 1.00 is noise`

const COMMANDS = ['get', 'set']
const VALUE_BYTES = [3, 100, 1024]
const PIPELINES = [1, 16, 100]
const CONNECTIONS = 50
/** Enough that a key is not hot in a CPU cache; 1,024 B of each make 10 MB. */
const KEYS = 10_000
/** Requests of a case, by pipeline: about 1.5 s each for redis-server. */
const REQUESTS: Readonly<Record<number, number>> = { 1: 100_000, 16: 1_000_000, 100: 1_500_000 }
const QUICK_DIVISOR = 5
const MEMORY = ['--maxmemory', '1gb']

interface Case {
  readonly command: string
  readonly bytes: number
  readonly pipeline: number
}

interface Figure {
  readonly requestsPerSecond: number
  readonly microsPerRequest: number
}

/** One case in one round. */
interface Pair {
  readonly subject: Figure
  readonly rival: Figure
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    command: { type: 'string', multiple: true, default: COMMANDS },
    size: { type: 'string', multiple: true, default: VALUE_BYTES.map(String) },
    pipeline: { type: 'string', multiple: true, default: PIPELINES.map(String) },
    control: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  if (!available('redis-server') || !available('redis-benchmark')) {
    throw new Error('redis-server and redis-benchmark are needed')
  }
  const cases: Case[] = values.size.flatMap((bytes) =>
    values.pipeline.flatMap((pipeline) =>
      values.command.map((command) => ({
        command: command.toLowerCase(),
        bytes: Number(bytes),
        pipeline: Number(pipeline),
      })),
    ),
  )
  const rounds = Number(values.rounds ?? (values.quick ? 3 : 7))
  const subjectName = values.control ? 'redis-server' : 'ringtier'
  const node = values.control ? '' : ` on Node ${nodeVersion(values.node)}`
  console.log(`${subjectName}${node} against redis-server ${redisVersion()}`)
  console.log(describeMachine())
  console.log(
    `${rounds} rounds, ${CONNECTIONS} connections, ${KEYS} keys, redis-benchmark on the same machine; ` +
      'medians, ratios with their lowest and highest\n',
  )

  const pairs = new Map<Case, Pair[]>(cases.map((one) => [one, []]))
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`)
    await runRound(pairs, round % 2 === 1)
  }
  printTable(subjectName, pairs)
}

async function runRound(pairs: ReadonlyMap<Case, Pair[]>, rivalFirst: boolean): Promise<void> {
  const rival = await startRedis({ args: MEMORY })
  const subject = values.control
    ? await startRedis({ args: MEMORY })
    : await startRingtier({ node: values.node, args: [...MEMORY, ...positionals] })
  try {
    let bytes = -1
    for (const [one, found] of pairs) {
      if (one.bytes !== bytes) {
        bytes = one.bytes
        for (const server of [rival, subject]) await fillAndWarmUp(server, bytes)
      }
      const first = await measure(rivalFirst ? rival : subject, one)
      const second = await measure(rivalFirst ? subject : rival, one)
      found.push(rivalFirst ? { subject: second, rival: first } : { subject: first, rival: second })
    }
  } finally {
    await Promise.all([rival.stop(), subject.stop()])
  }
}

/** Sets every key that redis-benchmark will ask for, then runs the code until it is compiled. */
async function fillAndWarmUp(server: RunningServer, bytes: number): Promise<void> {
  const client = await RawClient.open(server.port)
  const value = 'x'.repeat(bytes)
  const replies = []
  for (let i = 0; i < KEYS; i++) {
    replies.push(client.command('SET', `key:${String(i).padStart(12, '0')}`, value))
  }
  for (const reply of await Promise.all(replies)) {
    if (reply !== '+OK\r\n') throw new Error(`SET was answered with ${reply}`)
  }
  client.close()
  for (const command of COMMANDS) {
    await generate(server, { command, bytes, pipeline: 16 }, 200_000)
    await generate(server, { command, bytes, pipeline: 1 }, 10_000)
  }
}

async function measure(server: RunningServer, one: Case): Promise<Figure> {
  const requests = Math.ceil(REQUESTS[one.pipeline] ?? 100_000) / (values.quick ? QUICK_DIVISOR : 1)
  const missesBefore = await missesOf(server)
  const microsBefore = cpuMicros(server.pid)
  const requestsPerSecond = await generate(server, one, requests)
  const microsPerRequest = (cpuMicros(server.pid) - microsBefore) / requests
  if ((await missesOf(server)) !== missesBefore) throw new Error('a GET found no key')
  return { requestsPerSecond, microsPerRequest }
}

/** Requests per second as redis-benchmark saw them. */
async function generate(server: RunningServer, one: Case, requests: number): Promise<number> {
  const args = ['-h', server.host, '-p', String(server.port), '--csv', '-t', one.command]
  args.push('-n', String(requests), '-r', String(KEYS), '-d', String(one.bytes))
  args.push('-P', String(one.pipeline), '-c', String(CONNECTIONS))
  const { stdout, stderr, code } = await run('redis-benchmark', args, { timeoutMs: 120_000 })
  const line = new RegExp(`^"${one.command}","([0-9.]+)"`, 'im').exec(stdout)
  if (code !== 0 || line === null) throw new Error(`redis-benchmark failed:\n${stdout}${stderr}`)
  return Number(line[1])
}

async function missesOf(server: RunningServer): Promise<number> {
  const client = await RawClient.open(server.port)
  const info = await client.command('INFO', 'stats')
  client.close()
  return Number(/keyspace_misses:(\d+)/.exec(info)?.[1])
}

function printTable(subjectName: string, pairs: ReadonlyMap<Case, Pair[]>): void {
  const rows = [
    ['', 'bytes', 'pipeline', `${subjectName}/s`, 'redis/s', 'ratio', `${subjectName} CPU us`],
  ]
  rows[0]!.push('redis CPU us', 'ratio', 'lowest-highest')
  for (const [one, found] of pairs) {
    const speed = found.map(({ subject, rival }) => ratio('requestsPerSecond', subject, rival))
    const cost = found.map(({ subject, rival }) => ratio('microsPerRequest', subject, rival))
    rows.push([
      one.command.toUpperCase(),
      String(one.bytes),
      String(one.pipeline),
      median(found.map(({ subject }) => subject.requestsPerSecond)).toFixed(0),
      median(found.map(({ rival }) => rival.requestsPerSecond)).toFixed(0),
      median(speed).toFixed(2),
      median(found.map(({ subject }) => subject.microsPerRequest)).toFixed(2),
      median(found.map(({ rival }) => rival.microsPerRequest)).toFixed(2),
      median(cost).toFixed(2),
      `${Math.min(...cost).toFixed(2)}-${Math.max(...cost).toFixed(2)}`,
    ])
  }
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const print = (row: readonly string[]): void =>
    console.log(`| ${row.map((cell, i) => cell.padStart(widths[i]!)).join(' | ')} |`)
  print(rows[0]!)
  print(widths.map((width) => '-'.repeat(width - 1) + ':'))
  for (const row of rows.slice(1)) print(row)
}

function ratio(figure: keyof Figure, subject: Figure, rival: Figure): number {
  return subject[figure] / rival[figure]
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

await main()
