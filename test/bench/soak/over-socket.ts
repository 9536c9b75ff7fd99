/*
 * A scenario against a server over one connection, pipelined: up to a batch of requests is under way
 * at a time. Replies are counted and thrown away.
 */
import { connect, type Socket } from 'node:net'
import { createRequire } from 'node:module'
import { startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { SeededRandom } from '../../sim/random.ts'
import { peakRssOf, type SoakFigures, type SoakOptions } from './figures.ts'
import { type Operation, SCENARIOS, VALUE_BYTES_MAX } from './scenarios.ts'

interface Parser {
  execute(bytes: Buffer): void
}

type ParserClass = new (options: {
  returnReply: () => void
  returnError: (error: Error) => void
  returnFatalError: (error: Error) => void
  returnBuffers: boolean
}) => Parser

const RedisParser = createRequire(import.meta.url)('redis-parser') as ParserClass

const KEY_BYTES = 16
const BATCH = 256
/** A batch ends when its values come to this, too. */
const BATCH_BYTES = 1 << 20

/** Of the server whose memory beside the store is the baseline. */
const SMALL_MEMORY = 16 * 2 ** 20

/** The server runs on this Node. */
export async function soakServer(node: string, options: SoakOptions): Promise<SoakFigures> {
  const small = { ...options, maxMemory: SMALL_MEMORY, bytes: 10 * SMALL_MEMORY }
  const before = await soak(node, small)
  const after = await soak(node, options)
  return { ...after, baseline: before.peakRss - before.touchedBytes }
}

async function soak(
  node: string,
  options: SoakOptions,
): Promise<Omit<SoakFigures, 'baseline'> & { touchedBytes: number }> {
  const scenario = SCENARIOS.find(({ name }) => name === options.scenario)!
  const server = await startRingtier({ node, args: ['--maxmemory', String(options.maxMemory)] })
  try {
    const link = await Link.open(server.port)
    const next = scenario.operations(options.maxMemory, new SeededRandom(2))
    for (let written = 0; written < options.bytes;) {
      const operations: Operation[] = []
      let bytes = 0
      while (operations.length < BATCH && bytes < BATCH_BYTES) {
        const operation = next()
        operations.push(operation)
        if (operation.verb === 'set') bytes += KEY_BYTES + operation.bytes
      }
      await link.run(operations)
      written += bytes
    }
    link.close()
    const client = await RawClient.open(server.port)
    const info = await client.command('INFO')
    client.close()
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1])
    return {
      peakRss: peakRssOf(server.pid),
      touchedBytes: field('store_touched_bytes'),
      entries: field('store_entries'),
      usedBytes: field('used_memory'),
      evicted: field('evicted_keys'),
      refused: link.refused,
      live: { notDead: NaN, ofEntries: NaN },
    }
  } finally {
    await server.stop()
  }
}

class Link {
  readonly #socket: Socket
  readonly #parser: Parser
  readonly #value = Buffer.alloc(VALUE_BYTES_MAX, 'x')
  #waiting = 0
  #settle: { resolve: () => void; reject: (error: Error) => void } | null = null
  refused = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    const fail = (error: Error): void => this.#settle?.reject(error)
    this.#parser = new RedisParser({
      returnReply: () => this.#count(),
      returnError: (error) => {
        if (!error.message.startsWith('OOM')) return fail(error)
        this.refused++
        this.#count()
      },
      returnFatalError: fail,
      returnBuffers: true,
    })
    socket.on('data', (bytes) => this.#parser.execute(bytes))
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('the server closed the connection')))
  }

  static open(port: number): Promise<Link> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Link(socket))
      })
    })
  }

  /** Sends them, and resolves when all are answered. */
  run(operations: readonly Operation[]): Promise<void> {
    this.#waiting = operations.length
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#socket.cork()
      for (const operation of operations) this.#send(operation)
      this.#socket.uncork()
    })
  }

  close(): void {
    this.#settle = null
    this.#socket.destroy()
  }

  #send({ verb, key, bytes, ttlMs }: Operation): void {
    const name = `$${KEY_BYTES}\r\n${String(key).padStart(KEY_BYTES, '0')}\r\n`
    if (verb === 'get') this.#socket.write(`*2\r\n$3\r\nGET\r\n${name}`, 'latin1')
    else if (verb === 'delete') this.#socket.write(`*2\r\n$3\r\nDEL\r\n${name}`, 'latin1')
    else {
      const ttl = String(ttlMs)
      const more = ttlMs === 0 ? '' : `$2\r\nPX\r\n$${ttl.length}\r\n${ttl}\r\n`
      const head = `*${ttlMs === 0 ? 3 : 5}\r\n$3\r\nSET\r\n${name}$${bytes}\r\n`
      this.#socket.write(head, 'latin1')
      this.#socket.write(this.#value.subarray(0, bytes))
      this.#socket.write(`\r\n${more}`, 'latin1')
    }
  }

  #count(): void {
    if (--this.#waiting === 0) this.#settle?.resolve()
  }
}
