/*
 * The claim: one key that gets 90 % of all reads, through all of five nodes by clients that know nothing of
 * owners, costs its owner at most 1.5 times the CPU of the mean node; and a DEL of it is seen everywhere
 * within 50 ms.
 *
 * Connections to every node ask for one key after the other, some at a time: nine times in ten for the same
 * one. All values have one length, so that replies are counted by their bytes and the generator costs little.
 * The same cluster without copies (cluster-hot-rate 0) and with them take turns.
 *
 * For the DEL a client of each node reads the key again and again, one read at a time; what is told is for
 * how long after the answer to the DEL somebody still read the value.
 */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Nodes, startNodes } from '../nodes/nodes.ts'
import { RawClient } from '../raw.ts'
import { SeededRandom } from '../sim/random.ts'
import { cpuMicros, describeMachine } from './machine.ts'
import { table } from './table.ts'
import { median } from './wait/measure.ts'

const HELP = `node dist/test/bench/hot-key.js [options]
  --nodes N        of the cluster (5)
  --threads N      of each node (1)
  --connections N  to each node (8)
  --depth N        requests under way on each connection (4)
  --seconds N      of each case in each round (4)
  --rounds N       the table has the medians (3)
  --rate N         cluster-hot-rate of the case with copies (1000)
  --share P        of all reads, in percent, for the hot key (90)
  --deletes N      that are timed (50)`

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '5' },
    threads: { type: 'string', default: '1' },
    connections: { type: 'string', default: '8' },
    depth: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    rate: { type: 'string', default: '1000' },
    share: { type: 'string', default: '90' },
    deletes: { type: 'string', default: '50' },
    help: { type: 'boolean', default: false },
  },
})

const HOT = 'hot'
const OTHERS = 1000
const VALUE = 'x'.repeat(100)
const REPLY_BYTES = `$${VALUE.length}\r\n${VALUE}\r\n`.length
const WARM_UP_MS = 2000

const cases = [
  { name: 'without copies', rate: '0' },
  { name: 'with copies', rate: values.rate },
] as const

/** One connection that always has so many reads under way. */
class Reader {
  replies = 0
  readonly #socket: Socket
  readonly #random: SeededRandom
  #bytes = 0
  #ended = false

  constructor(port: number, seed: number, depth: number) {
    this.#random = new SeededRandom(seed)
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (chunk) => {
      this.#bytes += chunk.length
      const whole = Math.floor(this.#bytes / REPLY_BYTES)
      this.#bytes -= whole * REPLY_BYTES
      this.replies += whole
      this.#ask(whole)
    })
    this.#socket.on('connect', () => this.#ask(depth))
  }

  async end(): Promise<void> {
    this.#ended = true
    this.#socket.destroy()
    await once(this.#socket, 'close')
  }

  #ask(count: number): void {
    if (this.#ended || count === 0) return
    let requests = ''
    for (let i = 0; i < count; i++) {
      const isHot = this.#random.uint32() % 100 < Number(values.share)
      const key = isHot ? HOT : `key:${this.#random.uint32() % OTHERS}`
      requests += `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`
    }
    this.#socket.write(requests)
  }
}

interface Run {
  readonly readsPerSecond: number
  /** Of all nodes together, for each read. */
  readonly cpuMicros: number
  /** The owner's CPU beside the mean of all nodes. */
  readonly owner: number
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  console.log(`Node ${process.version}, ${values.threads} threads a node, ${describeMachine()}`)
  const nodes = await startNodes(Number(values.nodes), [
    ...['--threads', values.threads, '--maxmemory', '64mb', '--save', ''],
  ])
  const clients = await Promise.all(nodes.ports.map((port) => RawClient.open(port)))
  try {
    await fill(clients[0]!)
    const owner = await ownerOf(clients[0]!, nodes)
    const all = new Map<string, Run[]>(cases.map(({ name }) => [name, []]))
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const { name, rate } of cases) {
        await configure(clients, rate)
        all.get(name)!.push(await measure(nodes, owner))
      }
    }
    report(all)
    console.log(`\nreads answered with a copy: ${await nodes.sum('cluster_hot_hits')}`)
    await timeDeletes(clients)
  } finally {
    for (const client of clients) client.close()
    await nodes.stop()
  }
}

async function fill(client: RawClient): Promise<void> {
  await client.command('SET', HOT, VALUE)
  for (let i = 0; i < OTHERS; i++) await client.command('SET', `key:${i}`, VALUE)
}

async function configure(clients: readonly RawClient[], rate: string): Promise<void> {
  for (const client of clients) await client.command('CONFIG', 'SET', 'cluster-hot-rate', rate)
}

/** Which of the nodes has the hot key. */
async function ownerOf(client: RawClient, { ports }: Nodes): Promise<number> {
  const slot = Number((await client.command('CLUSTER', 'KEYSLOT', HOT)).slice(1))
  const slots = await client.command('CLUSTER', 'SLOTS')
  for (const [, start, end, port] of slots.matchAll(
    /:(\d+)\r\n:(\d+)\r\n\*4\r\n\$\d+\r\n127\.0\.0\.1\r\n:(\d+)/g,
  )) {
    if (Number(start) <= slot && slot <= Number(end)) return ports.indexOf(Number(port))
  }
  throw new Error('the slot of the hot key has no owner')
}

async function measure({ ports, servers }: Nodes, owner: number): Promise<Run> {
  const readers = ports.flatMap((port, node) =>
    Array.from({ length: Number(values.connections) }, (_, i) => {
      return new Reader(port, 100 * node + i, Number(values.depth))
    }),
  )
  const asked = (): number => readers.reduce((sum, { replies }) => sum + replies, 0)
  const spent = (): number[] => servers.map(({ pid }) => cpuMicros(pid))
  await delay(WARM_UP_MS)
  const [askedBefore, before, begin] = [asked(), spent(), performance.now()]
  await delay(1000 * Number(values.seconds))
  const cpu = spent().map((micros, node) => micros - before[node]!)
  const reads = asked() - askedBefore
  const seconds = (performance.now() - begin) / 1000
  await Promise.all(readers.map((reader) => reader.end()))
  const total = cpu.reduce((sum, micros) => sum + micros)
  return {
    readsPerSecond: reads / seconds,
    cpuMicros: total / reads,
    owner: cpu[owner]! / (total / cpu.length),
  }
}

function report(all: ReadonlyMap<string, readonly Run[]>): void {
  const rows = [...all].map(([name, runs]) => {
    const of = (pick: (run: Run) => number): number => median(runs.map(pick))
    const owners = runs.map(({ owner }) => owner.toFixed(2)).join(' ')
    return [
      name,
      Math.round(of((run) => run.readsPerSecond)).toLocaleString('en'),
      of((run) => run.cpuMicros).toFixed(1),
      `${of((run) => run.owner).toFixed(2)} (${owners})`,
    ]
  })
  console.log(`\n${table(['', 'reads/s', 'CPU us of all nodes', 'owner / mean'], rows)}`)
}

/** For how long after a DEL was answered the value is still read through some node. */
async function timeDeletes(clients: readonly RawClient[]): Promise<void> {
  const times: number[] = []
  for (let i = 0; i < Number(values.deletes); i++) {
    const deleter = clients[i % clients.length]!
    await deleter.command('SET', HOT, VALUE)
    let deletedAt = Infinity
    let lastSeenAt = 0
    const readers = clients.map(async (client) => {
      for (;;) {
        const value = await client.get(HOT)
        if (value !== null) lastSeenAt = performance.now()
        else if (performance.now() > deletedAt) return
      }
    })
    await delay(300)
    await deleter.command('DEL', HOT)
    deletedAt = performance.now()
    await Promise.all(readers)
    times.push(Math.max(0, lastSeenAt - deletedAt))
  }
  times.sort((a, b) => a - b)
  const at = (part: number): string => times[Math.ceil(part * times.length) - 1]!.toFixed(1)
  console.log(
    `\na DEL is seen everywhere after ${at(0.5)} ms (median), ${at(0.9)} (90 %), ${at(1)} (the longest of ${times.length})`,
  )
}

await main()
