/* What clients that do not read cost a server, and the others. Linux only. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { extname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { residentBytes } from '../machine.ts'

export interface Target {
  readonly port: number
  readonly pid: number
}

const POLL_MS = 20
const CLOSING_MS = 200

/** Asks PING from a thread of its own. */
export class Pinger {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  static async start(port: number): Promise<Pinger> {
    const file = new URL(`./pinger${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(file, { workerData: port })
    await once(worker, 'message')
    return new Pinger(worker)
  }

  /** The longest round trip in ms since the last look. */
  async worst(): Promise<number> {
    this.#worker.postMessage('', [])
    const [ms] = (await once(this.#worker, 'message')) as [number]
    return ms
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }
}

export interface Cost {
  /** The most that the server's memory grew by, in bytes. */
  readonly bytes: number
  readonly worstPingMs: number
}

/** So many clients send `request` and read nothing of the reply, for so long. */
export async function measureSilent(
  server: Target,
  pinger: Pinger,
  how: { clients: number; request: Buffer; ms: number },
): Promise<Cost> {
  const before = residentBytes(server.pid)
  await pinger.worst()
  const sockets = await Promise.all(
    Array.from({ length: how.clients }, async () => {
      const socket = connect(server.port, '127.0.0.1')
      socket.pause()
      socket.on('error', () => {})
      await once(socket, 'connect')
      socket.write(how.request)
      return socket
    }),
  )
  let most = before
  for (let waited = 0; waited < how.ms; waited += POLL_MS) {
    await delay(POLL_MS)
    most = Math.max(most, residentBytes(server.pid))
  }
  for (const socket of sockets) socket.destroy()
  // Their end is a part of what they cost.
  await delay(CLOSING_MS)
  return { bytes: most - before, worstPingMs: await pinger.worst() }
}

export interface SlowRead {
  /** SHA-256 of the value as it came, and its length. */
  readonly digest: string
  readonly length: number
  readonly ms: number
}

/** Reads a long value, resting for a millisecond after each piece. */
export async function readSlowly(port: number, key: string): Promise<SlowRead> {
  const begin = performance.now()
  const socket = connect(port, '127.0.0.1')
  socket.write(`GET ${key}\r\n`)
  const digest = createHash('sha256')
  let head: Buffer | null = Buffer.alloc(0)
  let length = NaN
  let missing = NaN
  for await (const piece of socket as AsyncIterable<Buffer>) {
    let bytes = piece
    if (head !== null) {
      head = Buffer.concat([head, bytes])
      const end = head.indexOf('\r\n')
      if (end < 0) continue
      length = missing = Number(head.subarray(1, end).toString())
      bytes = head.subarray(end + 2)
      head = null
    }
    const part = bytes.subarray(0, Math.max(0, missing))
    digest.update(part)
    missing -= bytes.length
    if (missing <= -2) break
    await delay(1)
  }
  if (missing !== -2) throw new Error(`${missing} bytes of the value did not come`)
  return { digest: digest.digest('hex'), length, ms: performance.now() - begin }
}

/** A request as the protocol has it. */
export function encode(...args: readonly (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = Buffer.from(arg)
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}
