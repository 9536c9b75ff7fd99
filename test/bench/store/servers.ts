/*
 * redis-server and memcached, filled over a socket: what memory each of them takes for an entry.
 *
 * Commands go out by the thousand, and the replies are only counted: each has the same length.
 */
import { connect } from 'node:net'
import { available, startMemcached, startRedis, type RunningServer } from '../../process.ts'
import { KEY_BYTES, VALUE_BYTES, writeKey } from './contender.ts'
import { rssOf } from './fill.ts'

export const SERVERS = ['redis-server', 'memcached'] as const
export type ServerName = (typeof SERVERS)[number]

const COMMANDS_AT_ONCE = 1_000

/** More than any number of entries measured here needs, in MB. */
const MEMCACHED_MEGABYTES = 4_096

interface Dialect {
  readonly before: string
  /** Between key and value. */
  readonly between: string
  readonly after: string
  readonly reply: string
}

const REDIS: Dialect = {
  before: `*3\r\n$3\r\nSET\r\n$${KEY_BYTES}\r\n`,
  between: `\r\n$${VALUE_BYTES}\r\n`,
  after: '\r\n',
  reply: '+OK\r\n',
}

const REDIS_WITH_EXPIRY: Dialect = {
  ...REDIS,
  before: `*5\r\n$3\r\nSET\r\n$${KEY_BYTES}\r\n`,
  after: '\r\n$2\r\nEX\r\n$4\r\n3600\r\n',
}

/** Every item of memcached has room for an expiry. */
const MEMCACHED: Dialect = {
  before: 'set ',
  between: ` 0 3600 ${VALUE_BYTES}\r\n`,
  after: '\r\n',
  reply: 'STORED\r\n',
}

/** Resident bytes that the entries took; null if the server is not installed. */
export async function serverRss(
  name: ServerName,
  entries: number,
  expires: boolean,
): Promise<number | null> {
  if (!available(name)) return null
  const server =
    name === 'memcached'
      ? await startMemcached({ args: ['-m', String(MEMCACHED_MEGABYTES), '-t', '1'] })
      : await startRedis()
  try {
    const baseline = rssOf(server.pid)
    const redis = expires ? REDIS_WITH_EXPIRY : REDIS
    await fill(server, name === 'memcached' ? MEMCACHED : redis, entries)
    return rssOf(server.pid) - baseline
  } finally {
    await server.stop()
  }
}

/** Sends all entries, as fast as they are answered. */
function fill(server: RunningServer, dialect: Dialect, entries: number): Promise<void> {
  const batch = new Batch(dialect)
  const replyBytes = dialect.reply.length
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, server.host)
    let sent = 0
    let received = 0
    const send = (): void => {
      const count = Math.min(COMMANDS_AT_ONCE, entries - sent)
      const bytes = batch.of(sent, count)
      sent += count
      socket.write(bytes)
    }
    socket.on('error', reject)
    socket.on('connect', send)
    socket.on('data', (replies) => {
      if (received === 0 && replies.toString('latin1', 0, replyBytes) !== dialect.reply) {
        reject(new Error(`the server answered ${replies.toString('latin1', 0, 100)}`))
      }
      received += replies.length
      if (received < sent * replyBytes) return
      if (sent < entries) return send()
      socket.destroy()
      resolve()
    })
  })
}

/** Commands with the same bytes but for the key, which is written over each time. */
class Batch {
  readonly #bytes: Buffer
  readonly #commandBytes: number
  readonly #keyAt: number

  constructor(dialect: Dialect) {
    const { before, between, after } = dialect
    const key = 'k'.repeat(KEY_BYTES)
    const command = before + key + between + 'x'.repeat(VALUE_BYTES) + after
    this.#commandBytes = command.length
    this.#keyAt = before.length
    this.#bytes = Buffer.from(command.repeat(COMMANDS_AT_ONCE), 'latin1')
  }

  /** The bytes are written over by the next call. */
  of(first: number, count: number): Buffer {
    for (let i = 0; i < count; i++) {
      writeKey(this.#bytes, i * this.#commandBytes + this.#keyAt, first + i)
    }
    return this.#bytes.subarray(0, count * this.#commandBytes)
  }
}
