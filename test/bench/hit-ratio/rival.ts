/*
 * A trace replayed against a server over one connection: a GET for each access, and a SET after a
 * miss. One request at a time would take minutes, so GETs of up to 64 *different* keys go out
 * together, and the SETs of those that missed go in front of the next GETs. A key that comes again
 * ends the batch, so no GET overtakes the SET it depends on; what differs from one at a time is
 * only that an entry is stored, and others are evicted for it, up to 63 accesses later.
 *
 * Nothing waits in between, so a server sees hours of traffic in seconds: Redis, whose clock for
 * LRU ticks once a second, sees few ticks, and its LFU counters never decay.
 */
import { connect, type Socket } from 'node:net'
import type { Trace } from '../../replay/trace.ts'
import { KEY_BYTES } from './real-store.ts'

/** How a server wants to be asked. */
export interface Dialect {
  get(key: string): string
  set(key: string, value: string): string
  /**
   * Reads the reply that begins at `at`: where it ends, -1 when more of it must come, and whether
   * it carried a value.
   * @throws {Error} when the server refused
   */
  reply(text: string, at: number): Reply
}

export interface Reply {
  readonly end: number
  readonly value: boolean
}

const INCOMPLETE: Reply = { end: -1, value: false }

function refusal(line: string): Error {
  return new Error(`the server answered ${line}`)
}

export const resp: Dialect = {
  get: (key) => `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`,
  set: (key, value) =>
    `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`,
  reply: (text, at) => {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return INCOMPLETE
    if (text[at] === '+' || text.startsWith('$-1', at)) return { end: lineEnd + 2, value: false }
    if (text[at] !== '$') throw refusal(text.slice(at, lineEnd))
    const end = lineEnd + 2 + Number(text.slice(at + 1, lineEnd)) + 2
    return end <= text.length ? { end, value: true } : INCOMPLETE
  },
}

/**
 * memcached's replies without a value. Under a rush of sets it sometimes finds nobody to evict in a
 * class of sizes: then it does not store, as far as a client is concerned the same as a short life.
 */
const WITHOUT_VALUE = new Set(['STORED', 'END', 'SERVER_ERROR out of memory storing object'])

/** memcached's text protocol. */
export const memcachedText: Dialect = {
  get: (key) => `get ${key}\r\n`,
  set: (key, value) => `set ${key} 0 0 ${value.length}\r\n${value}\r\n`,
  reply: (text, at) => {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return INCOMPLETE
    const line = text.slice(at, lineEnd)
    if (WITHOUT_VALUE.has(line)) return { end: lineEnd + 2, value: false }
    if (!line.startsWith('VALUE ')) throw refusal(line)
    const end = lineEnd + 2 + Number(line.slice(line.lastIndexOf(' ') + 1)) + '\r\nEND\r\n'.length
    return end <= text.length ? { end, value: true } : INCOMPLETE
  },
}

/** Keys asked for together. */
const BATCH_MAX = 64

/** 16 characters, as the store's keys. */
function nameOf(key: number): string {
  return String(key).padStart(KEY_BYTES, '0')
}

/** The hit ratio in percent. Rejects when the server refuses or hangs up. */
export async function replayOver(
  port: number,
  dialect: Dialect,
  trace: Trace,
  valueBytes: number,
): Promise<number> {
  const link = await Link.open(port, dialect)
  const value = 'x'.repeat(valueBytes)
  let missed: number[] = []
  let hits = 0
  try {
    for (let at = 0; at < trace.length;) {
      const keys = batchFrom(trace, at)
      at += keys.length
      const sets = missed.map((key) => dialect.set(nameOf(key), value))
      const gets = keys.map((key) => dialect.get(nameOf(key)))
      const found = await link.ask([...sets, ...gets])
      missed = keys.filter((_, i) => !found[sets.length + i]!)
      hits += keys.length - missed.length
    }
  } finally {
    link.close()
  }
  return (100 * hits) / trace.length
}

/** The next accesses up to the first that repeats a key. */
export function batchFrom(trace: Trace, at: number): number[] {
  const keys = new Set<number>()
  for (let i = at; i < trace.length && keys.size < BATCH_MAX; i++) {
    if (keys.has(trace[i]!)) break
    keys.add(trace[i]!)
  }
  return [...keys]
}

/** A connection on which one batch of requests is under way at a time. */
class Link {
  readonly #socket: Socket
  readonly #dialect: Dialect
  #received = ''
  #at = 0
  #expected = 0
  #found: boolean[] = []
  #settle: { resolve: (found: boolean[]) => void; reject: (error: Error) => void } | null = null

  private constructor(socket: Socket, dialect: Dialect) {
    this.#socket = socket
    this.#dialect = dialect
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.#take(text))
    socket.on('error', (error) => this.#settle?.reject(error))
    socket.on('close', () => this.#settle?.reject(new Error('the server closed the connection')))
  }

  static open(port: number, dialect: Dialect): Promise<Link> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Link(socket, dialect))
      })
    })
  }

  /** For each request in order: was it answered with a value? */
  ask(requests: readonly string[]): Promise<boolean[]> {
    this.#expected = requests.length
    this.#found = []
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#socket.write(requests.join(''), 'latin1')
    })
  }

  close(): void {
    this.#settle = null
    this.#socket.destroy()
  }

  #take(text: string): void {
    this.#received = this.#received.slice(this.#at) + text
    this.#at = 0
    try {
      while (this.#found.length < this.#expected) {
        const { end, value } = this.#dialect.reply(this.#received, this.#at)
        if (end < 0) return
        this.#at = end
        this.#found.push(value)
      }
    } catch (error) {
      this.#settle?.reject(error as Error)
      return
    }
    this.#settle?.resolve(this.#found)
  }
}

/** The number of a counter in memcached's `stats`. */
export function memcachedCounter(port: number, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1')
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('memcached closed the connection')))
    socket.on('connect', () => socket.write('stats\r\n'))
    socket.on('data', (part: string) => {
      text += part
      if (!text.endsWith('END\r\n')) return
      resolve(Number(new RegExp(`STAT ${name} (\\d+)`).exec(text)?.[1]))
      socket.destroy()
    })
  })
}
