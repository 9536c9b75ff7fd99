/*
 * The claim: under a skewed load on three nodes a fourth joins, one leaves and one is killed. Nobody gets an
 * error when a node joins or leaves, the hit ratio dips by less than 5 points, and the origin is
 * asked at most 1.2 times as often as if nothing had happened.
 *
 *     node 1 <── clients          0 s     nodes 1, 2, 3
 *     node 2 <── clients         20 s     node 4 joins
 *     node 3                     40 s     node 3 leaves (SIGTERM)
 *     node 4 (joins)             60 s     node 4 is killed
 *
 * The clients are plain ones (ioredis), on the nodes that stay: what they ask belongs to all nodes and is
 * forwarded. A client of a node that goes loses its connection, as with any server.
 *
 * The keys are a group of an HTTP origin that counts. They never
 * expire, so each is loaded once, and everything beyond that is due to the changes. A warm-up asks for
 * all keys before the time begins, then a share of requests goes to keys that nobody has asked for
 * yet, so that there are misses at all times.
 */
import { writeFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { startOrigin } from '../nodes/counting-origin.ts'
import { type RunningServer, freePort, startRingtier } from '../process.ts'
import { SeededRandom } from '../sim/random.ts'
import { Zipf } from './hit-ratio/sizes.ts'
import { describeMachine, nodeVersion } from './machine.ts'
import { chart } from './members-change/chart.ts'
import { Seconds, hitRatioOf, sumOf } from './members-change/seconds.ts'
import { table } from './table.ts'

const HELP = `node dist/test/bench/members-change.js [options]
  --rate N       requests a second (2000)
  --keys N       that are popular, by Zipf's law with exponent 0.99 (20000)
  --new N        one request in so many is for a key that nobody has asked for (100)
  --step N       seconds between two changes (20)
  --group WORDS  more of the group's line
  --threads N    of each node (1)
  --node PATH    run ringtier on this Node
  --chart FILE   write the chart there`

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '2000' },
    keys: { type: 'string', default: '20000' },
    new: { type: 'string', default: '100' },
    step: { type: 'string', default: '20' },
    group: { type: 'string', default: '' },
    threads: { type: 'string', default: '1' },
    node: { type: 'string', default: process.execPath },
    chart: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const SLICE_MS = 500
const CLIENTS_PER_NODE = 4
const TICK_MS = 5
const SEED = 1

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  console.log(`Node ${nodeVersion(values.node)}, ${values.threads} threads, ${describeMachine()}`)
  const origin = await startOrigin(5)
  const ports = [await freePort(), await freePort(), await freePort(), await freePort()]
  const names = ports.map((port) => `127.0.0.1:${port}`)
  const start = (i: number): Promise<RunningServer> =>
    startRingtier({
      port: ports[i]!,
      node: values.node,
      args: [
        ...['--threads', values.threads, '--maxmemory', '128mb', '--save', ''],
        ...['--cluster-self', names[i]!, '--cluster-peers', names.join(',')],
        ...['--group', `item match item:{id} origin ${origin.url}/{id} ttl 24h ${values.group}`],
      ],
    })
  const servers: RunningServer[] = await Promise.all([start(0), start(1), start(2)])
  const clients = [0, 1].flatMap((i) =>
    Array.from({ length: CLIENTS_PER_NODE }, () => new Redis(ports[i]!, '127.0.0.1')),
  )
  try {
    const stepMs = 1000 * Number(values.step)
    await warmUp(clients)
    const load = new Load(clients, () => origin.requests)
    await load.run(stepMs)
    load.seconds.happens('node 4 joins')
    const [joined] = await Promise.all([start(3), load.run(stepMs)])
    servers.push(joined)
    load.seconds.happens('node 3 leaves')
    servers[2]!.kill('SIGTERM')
    await load.run(stepMs)
    load.seconds.happens('node 4 is killed')
    servers[3]!.kill('SIGKILL')
    await load.run(stepMs)
    report(load.seconds, stepMs)
    if (values.chart !== undefined) {
      writeFileSync(values.chart, chart(load.seconds, description(load.seconds)))
    }
  } finally {
    for (const client of clients) client.disconnect()
    await Promise.all(servers.map((server) => server.stop()))
    await origin.stop()
  }
}

/** Every popular key is loaded. */
async function warmUp(clients: readonly Redis[]): Promise<void> {
  const keys = Array.from({ length: Number(values.keys) }, (_, i) => `item:${i}`)
  while (keys.length > 0) {
    await Promise.all(keys.splice(-200).map((key, i) => clients[i % clients.length]!.get(key)))
  }
}

/** Requests at an even rate, whether or not earlier ones have been answered. */
class Load {
  readonly seconds = new Seconds(SLICE_MS, () => performance.now())
  readonly #clients: readonly Redis[]
  readonly #loads: () => number
  readonly #random = new SeededRandom(SEED)
  readonly #rank = new Zipf(Number(values.keys), 0.99)
  #newKeys = 0
  #asked = 0

  constructor(clients: readonly Redis[], loads: () => number) {
    this.#clients = clients
    this.#loads = loads
  }

  async run(ms: number): Promise<void> {
    const { seconds } = this
    const perMs = Number(values.rate) / 1000
    const beganAt = seconds.ms
    const under: Promise<void>[] = []
    while (seconds.ms - beganAt < ms) {
      const before = this.#loads()
      const due = (seconds.ms - beganAt) * perMs
      while (under.length < due) under.push(this.#ask())
      await setTimeout(TICK_MS)
      seconds.slice.loads += this.#loads() - before
    }
    const before = this.#loads()
    await Promise.all(under)
    seconds.slice.loads += this.#loads() - before
  }

  #client(i: number): Redis {
    return this.#clients[i % this.#clients.length]!
  }

  async #ask(): Promise<void> {
    const isNew = this.#asked++ % Number(values.new) === 0
    const id = isNew ? `new-${this.#newKeys++}` : String(this.#rank.draw(this.#random))
    const { slice } = this.seconds
    slice.requests++
    const before = performance.now()
    try {
      const value = await this.#client(this.#asked).get(`item:${id}`)
      if (value !== `value of /${id}`) slice.wrong++
    } catch {
      slice.errors++
    }
    slice.slowestMs = Math.max(slice.slowestMs, performance.now() - before)
  }
}

function report(seconds: Seconds, stepMs: number): void {
  const quiet = hitRatioOf(seconds.between(0, stepMs))
  const labels = ['three nodes', ...seconds.happenings.map(({ label }) => label)]
  const starts = [0, ...seconds.happenings.map(({ ms }) => ms)]
  const rows = labels.map((label, i) => {
    const slices = seconds.between(starts[i]!, starts[i + 1] ?? Infinity)
    const ideal = sumOf(slices, 'requests') / Number(values.new)
    return [
      label,
      sumOf(slices, 'requests').toLocaleString('en'),
      String(sumOf(slices, 'errors')),
      String(sumOf(slices, 'wrong')),
      `${hitRatioOf(slices).toFixed(2)} %`,
      `${(quiet - Math.min(...slices.map((slice) => hitRatioOf([slice])))).toFixed(1)} points`,
      (sumOf(slices, 'loads') / ideal).toFixed(2),
      `${Math.round(Math.max(...slices.map(({ slowestMs }) => slowestMs)))} ms`,
    ]
  })
  console.log(
    table(
      ['', 'GETs', 'errors', 'wrong', 'hits', 'deepest dip', 'loads / ideal', 'slowest answer'],
      rows,
    ),
  )
}

function description(seconds: Seconds): string {
  const happened = seconds.happenings.map(({ label, ms }) => `${Math.round(ms / 1000)} s: ${label}`)
  const errors = sumOf(seconds.slices, 'errors')
  return `${happened.join(', ')}. ${hitRatioOf(seconds.slices).toFixed(1)} % hits, ${errors} errors.`
}

await main()
