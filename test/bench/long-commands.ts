/*
 * The claim: no single command over 200,000 keys delays another client's PING by more than 20 ms, and a
 * pipeline of 100,000 takes turns with others. MSETNX is the exception: it is all or none.
 *
 * One client sends a long command; others ask PING all the time, one of them on each thread of the
 * server. Of each repetition the longest PING counts. The generator shares the machine with the server,
 * so there is an idle row: the longest PING of a window in which nobody sends anything long.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type RunningServer, startRedis, startRingtier } from '../process.ts'
import { encode, type LongCommand, longCommands } from './long-commands/commands.ts'
import { describeMachine, nodeVersion, redisVersion } from './machine.ts'
import { Pinger } from './slow-readers/measure.ts'
import { table } from './table.ts'

const HELP = `node dist/test/bench/long-commands.js [options]
  --node PATH    run ringtier on this Node
  --threads N    of ringtier; may be given several times (1 and 2)
  --rounds N     repetitions (7)
  --keys N       of commands over many keys; may be given several times (16384 and 200000)
  --only TEXT    only commands whose name has this in it; those that they need have it, too
  --no-redis     without redis-server beside`

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    threads: { type: 'string', multiple: true, default: ['1', '2'] },
    rounds: { type: 'string', default: '7' },
    keys: { type: 'string', multiple: true, default: ['16384', '200000'] },
    only: { type: 'string', default: '' },
    'no-redis': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const REST_MS = 15
const IDLE_WINDOW_MS = 150
const IDLE_NAME = 'nothing'

interface Contender {
  readonly name: string
  /** PINGs go on over so many connections. */
  readonly pingers: number
  start(): Promise<RunningServer>
}

/** By the command's name: of each repetition the longest PING, and how long the command took, in ms. */
type Figures = Map<string, { pings: number[]; took: number[] }>

/** Sends bytes and waits until all of them are answered. */
class Sender {
  readonly #socket: Socket
  #mark: Buffer | null = null
  #tail = Buffer.alloc(0)
  #done: () => void = () => {}
  #count = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => this.#look(bytes))
  }

  static open(port: number): Promise<Sender> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new Sender(socket)))
      socket.once('error', reject)
    })
  }

  /** Resolves to the ms that it took. */
  send(bytes: Buffer): Promise<number> {
    const mark = `mark ${this.#count++}.`
    this.#mark = Buffer.from(mark)
    const begin = performance.now()
    this.#socket.write(bytes)
    this.#socket.write(encode(['ECHO', mark]))
    return new Promise((resolve) => (this.#done = () => resolve(performance.now() - begin)))
  }

  close(): void {
    this.#socket.destroy()
  }

  #look(bytes: Buffer): void {
    const end = bytes.subarray(-64)
    this.#tail = Buffer.concat([this.#tail.subarray(-64), end])
    if (this.#mark === null || !this.#tail.includes(this.#mark)) return
    this.#mark = null
    this.#done()
  }
}

async function measure(
  contender: Contender,
  commands: readonly LongCommand[],
  rounds: number,
): Promise<Figures> {
  const server = await contender.start()
  const figures: Figures = new Map()
  const note = (name: string, ping: number, took: number): void => {
    const row = figures.get(name) ?? { pings: [], took: [] }
    row.pings.push(ping)
    row.took.push(took)
    figures.set(name, row)
  }
  const pingers: Pinger[] = []
  for (let i = 0; i < contender.pingers; i++) pingers.push(await Pinger.start(server.port))
  const worst = async (): Promise<number> =>
    Math.max(...(await Promise.all(pingers.map((pinger) => pinger.worst()))))
  const sender = await Sender.open(server.port)
  try {
    // The first time everything is compiled, and memory used, that is there afterwards.
    for (const { bytes } of commands) await sender.send(bytes)
    for (let round = 0; round < rounds; round++) {
      await worst()
      await delay(IDLE_WINDOW_MS)
      note(IDLE_NAME, await worst(), NaN)
      for (const { name, bytes } of commands) {
        await delay(REST_MS)
        await worst()
        const took = await sender.send(bytes)
        await delay(REST_MS)
        note(name, await worst(), took)
      }
    }
  } finally {
    sender.close()
    for (const pinger of pingers) await pinger.stop()
    await server.stop()
  }
  return figures
}

function contendersOf(): Contender[] {
  const list = values.threads.map((threads) => ({
    name: `ringtier, ${threads} thread${threads === '1' ? '' : 's'}`,
    pingers: Number(threads),
    start: () =>
      startRingtier({ args: ['--maxmemory', '2gb', '--threads', threads], node: values.node }),
  }))
  if (values['no-redis']) return list
  return [...list, { name: 'redis-server', pingers: 1, start: () => startRedis() }]
}

const median = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  const commands = longCommands(values.keys.map(Number)).filter(({ name }) =>
    name.includes(values.only),
  )
  const rounds = Number(values.rounds)
  console.log(`Node ${nodeVersion(values.node)}, redis-server ${redisVersion()}, ${rounds} rounds`)
  console.log(describeMachine())
  const contenders = contendersOf()
  const columns: Figures[] = []
  for (const contender of contenders) columns.push(await measure(contender, commands, rounds))
  const header = ['another client sends', ...contenders.map(({ name }) => name)]
  const names = [IDLE_NAME, ...commands.map(({ name }) => name)]
  const rows = names.map((name) => [
    name,
    ...columns.map((figures) => {
      const { pings, took } = figures.get(name)!
      const longest = `${Math.min(...pings).toFixed(1)} / ${median(pings).toFixed(1)}`
      return name === IDLE_NAME ? longest : `${longest} (${median(took).toFixed(0)})`
    }),
  ])
  console.log(
    '\nThe longest PING in ms, least / median of the rounds (ms that it all took, median):\n',
  )
  console.log(table(header, rows))
}

await main()
