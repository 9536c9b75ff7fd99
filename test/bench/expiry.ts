/*
 * The claim: a million keys that expire in the same second stall nobody over 20 ms, and are gone
 * within seconds, though nobody asks for them.
 *
 * A server is filled with keys that all expire in one second. From a second before it on, one
 * connection asks PING and GET in turn, the next when the last is answered, and now and then DBSIZE,
 * until that is 0 and a second longer. The clock runs around each request. (A key that is expired and
 * not yet removed counts in DBSIZE, in Redis too.) The requests are of another key, so none of them
 * removes an expired one. Where redis-server is installed it does the same.
 *
 * The second before shows what this process and the machine cost: a round trip that takes long there
 * is none of the server's doing.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { RunningServer, StartOptions } from '../process.ts'
import { available, startRedis, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { describeMachine, nodeVersion, redisVersion } from './machine.ts'
import { table } from './table.ts'

const HELP = `node dist/test/bench/expiry.js [options]
  --keys N       keys that expire in the same second (1000000)
  --runs N       runs of each server; the table has the medians (3)
  --effort N     active-expire-effort (1)
  --node PATH    run ringtier on this Node
  --only NAME    ringtier or redis`

const VALUE = 'x'.repeat(100)
const BATCH = 1_000
/** For filling: keys a second that any machine manages, and a rest. */
const FILL_RATE = 100_000
const REST_MS = 2_000
const BEFORE_MS = 1_000
const SECOND_MS = 1_000
const AFTER_MS = 1_000
/** One of so many requests is DBSIZE. */
const SIZE_EVERY = 64
/** Who is not done by then never will be. */
const LIMIT_MS = 120_000

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    runs: { type: 'string', default: '3' },
    effort: { type: 'string', default: '1' },
    node: { type: 'string', default: process.execPath },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/** Round trips in ms. */
class Times {
  readonly #all: number[] = []

  add(ms: number): void {
    this.#all.push(ms)
  }

  sorted(): number[] {
    return this.#all.sort((a, b) => a - b)
  }
}

interface Figures {
  readonly before: readonly number[]
  readonly during: readonly number[]
  readonly after: readonly number[]
  /** From the begin of the second until DBSIZE was 0. */
  readonly goneMs: number
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  const keys = Number(values.keys)
  const isWith = (name: string): boolean => values.only === undefined || values.only === name
  const withRedis = isWith('redis') && available('redis-server')
  const beside = withRedis ? `, redis-server ${redisVersion()}` : ''
  console.log(`${keys} keys that expire in one second: Node ${nodeVersion(values.node)}${beside}`)
  console.log(describeMachine())
  const figures = new Map<string, Figures[]>()
  for (let run = 0; run < Number(values.runs); run++) {
    for (const [name, start] of [
      ['ringtier', startRingtier],
      ['redis', startRedis],
    ] as const) {
      if (name === 'redis' ? !withRedis : !isWith(name)) continue
      figures.set(name, [...(figures.get(name) ?? []), await measure(start, keys)])
    }
  }
  console.log('\nround trips in ms: median, 99 of 100, longest')
  const header = ['', 'before', 'while they expire', 'after', 'gone after']
  console.log(
    table(
      header,
      [...figures].map(([name, runs]) => rowOf(name, runs)),
    ),
  )
}

function rowOf(name: string, runs: readonly Figures[]): string[] {
  const trips = (phase: 'before' | 'during' | 'after'): string =>
    [0.5, 0.99, 1]
      .map((share) => median(runs.map((run) => quantile(run[phase], share))).toFixed(2))
      .join(' / ')
  const gone = median(runs.map(({ goneMs }) => goneMs))
  return [name, trips('before'), trips('during'), trips('after'), `${(gone / 1000).toFixed(1)} s`]
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!
}

async function measure(
  start: (options: StartOptions) => Promise<RunningServer>,
  keys: number,
): Promise<Figures> {
  const args = ['--maxmemory', String(2 ** 30), '--active-expire-effort', values.effort]
  const server = await start({ args, node: values.node })
  try {
    const at = Date.now() + (keys / FILL_RATE) * 1000 + REST_MS
    await fill(server.port, keys, at)
    const client = await RawClient.open(server.port)
    const filled = await client.command('DBSIZE')
    if (Date.now() > at - BEFORE_MS || filled !== `:${keys}\r\n`) {
      throw new Error(`filling took too long, or DBSIZE is ${filled}`)
    }
    await delay(at - BEFORE_MS - Date.now())
    const figures = await ask(client, at)
    client.close()
    return figures
  } finally {
    await server.stop()
  }
}

/** Sets the keys, spread over the second that begins at `at`. */
async function fill(port: number, keys: number, at: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  for (let i = 0; i < keys; i += BATCH) {
    let text = ''
    for (let k = i; k < Math.min(keys, i + BATCH); k++) {
      const expireAt = Math.floor(at + (SECOND_MS * k) / keys)
      text += `*5\r\n$3\r\nSET\r\n$12\r\n${String(k).padStart(12, '0')}\r\n`
      text += `$100\r\n${VALUE}\r\n$4\r\nPXAT\r\n$13\r\n${expireAt}\r\n`
    }
    const replies = '+OK\r\n'.length * Math.min(BATCH, keys - i)
    socket.write(text)
    for (let read = 0; read < replies;) {
      const [bytes] = (await once(socket, 'data')) as [Buffer]
      read += bytes.length
    }
  }
  socket.destroy()
}

async function ask(client: RawClient, at: number): Promise<Figures> {
  const times = { before: new Times(), during: new Times(), after: new Times() }
  let goneMs = NaN
  for (let i = 0; ; i++) {
    const now = Date.now()
    if (now > at + LIMIT_MS) throw new Error('not all keys are gone')
    if (now > at + goneMs + AFTER_MS) break
    const phase = now < at ? 'before' : Number.isNaN(goneMs) ? 'during' : 'after'
    const begin = performance.now()
    if (i % SIZE_EVERY === 0) {
      const size = await client.command('DBSIZE')
      if (size === ':0\r\n' && phase === 'during') goneMs = Date.now() - at
    } else {
      await (i % 2 === 0 ? client.command('PING') : client.command('GET', 'another'))
    }
    times[phase].add(performance.now() - begin)
  }
  return {
    before: times.before.sorted(),
    during: times.during.sorted(),
    after: times.after.sorted(),
    goneMs,
  }
}

await main()
