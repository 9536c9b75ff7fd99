/*
 * The load: every connection sends a batch, waits for the whole reply, and sends the next.
 *
 * It shares the cores with the server it measures, so it does as little as it can: one write a
 * batch, one buffer into which all connections are read, and of a reply it looks at the first
 * two bytes and the length. That is enough to see a miss or an error, because both are known: a reply
 * that is too long, begins otherwise, or never becomes complete fails the run. Some replies, one of
 * CHECK_EVERY, are compared byte for byte.
 *
 * A figure is of a window of time in which all connections are busy: requests whose reply was
 * complete, and the CPU time that the server took, both between the same two moments. Up to a batch
 * a connection is under way at either end: see Meter.
 *
 * This is a closed loop: a server that halts is not asked anything meanwhile, so a long halt counts
 * once for each connection. Percentiles here compare servers under the same load; they are not what
 * a user at a fixed rate would see.
 */
import { connect, type Socket } from 'node:net'
import { cellOf, histogramCells, percentile } from '../../../server/histogram.ts'
import { cpuMicros } from '../machine.ts'
import { batchesOf, fillBatches, type Batch, type Case, type Protocol } from './requests.ts'

export interface Target {
  readonly port: number
  readonly pid: number
  readonly protocol: Protocol
}

/** At least; see Meter. */
export interface Window {
  readonly warmUpMs: number
  readonly measureMs: number
  /** When nothing has been received for so long, it never will (10,000); noticed within the next. */
  readonly stallMs?: number
}

/** One case on one server in one round. */
export interface Figures {
  readonly requests: number
  readonly requestsPerSecond: number
  /** CPU time of the server's process, user and system, all threads. */
  readonly microsPerRequest: number
  /** CPU time of the generator for the same requests. */
  readonly generatorMicrosPerRequest: number
  /** From the write of a batch until the last byte of its reply, in microseconds; at most a second. */
  readonly p50: number
  readonly p99: number
  readonly p999: number
  /** Replies that were compared byte for byte. */
  readonly checked: number
}

/** One batch of so many is compared byte for byte, and the first one of a connection. */
const CHECK_EVERY = 64
const STALL_MS = 10_000
const CYCLES = 5
/** So many times its time is the longest that a window may be for want of replies. */
const LONGEST = 5
const HEAD_BYTES = 2
const RECEIVE_BYTES = 256 * 1024
/** Of what was received instead of a reply, in a message. */
const SHOWN_BYTES = 100

/** One for all connections: what is read is looked at before anything else is read. */
const received = Buffer.alloc(RECEIVE_BYTES)

/** What a server holds while it is measured. */
export type Filling = Pick<Case, 'keys' | 'bytes'>

/** Sets all keys to values of so many bytes, and compares every reply. */
export async function setKeys(target: Target, filling: Filling): Promise<void> {
  const batches = fillBatches(target.protocol, filling)
  await exchange(target.port, 1, STALL_MS, (connection) => {
    const batch = batches.next().value
    if (batch === undefined) return false
    connection.send(batch, 0, true)
    return true
  })
}

/** Those of the last case: the next server is mostly asked the same. */
const prepared = new Map<Protocol, { readonly name: string; readonly batches: Batch[] }>()

function preparedBatches(protocol: Protocol, one: Case): Batch[] {
  const name = JSON.stringify(one)
  const last = prepared.get(protocol)
  if (last?.name === name) return last.batches
  prepared.delete(protocol) // before new ones need memory
  const batches = batchesOf(protocol, one)
  prepared.set(protocol, { name, batches })
  return batches
}

/**
 * Rejects if a reply is not what it must be, or a connection fails. The keys must be there: `setKeys`
 * with the keys and bytes of the case.
 */
export async function load(target: Target, one: Case, window: Window): Promise<Figures> {
  const batches = preparedBatches(target.protocol, one)
  const meter = new Meter(target.pid, one.connections, window)
  let sent = 0
  let checked = 0
  await exchange(target.port, one.connections, window.stallMs ?? STALL_MS, (connection) => {
    const now = performance.now()
    const done = connection.batch
    if (done !== null) meter.add(done.requests, connection.sentAt, now)
    if (meter.isOver) return false
    const checks = done === null || sent % CHECK_EVERY === 0
    if (checks) checked += one.pipeline
    connection.send(batches[sent % batches.length]!, now, checks)
    sent++
    return true
  })
  return { ...meter.figures(), checked }
}

interface Moment {
  readonly atMs: number
  readonly serverMicros: number
  readonly generatorMicros: number
}

/**
 * Counts what happens within the window. It begins when the warm-up's time is over and as many
 * replies are there as there are connections, and ends when its time is over and CYCLES times as
 * many are: where a reply takes long, a window of mere time would cut off more than it holds.
 */
class Meter {
  readonly #pid: number
  readonly #connections: number
  readonly #window: Window
  readonly #latencies = new Float64Array(histogramCells)
  #warmUpEndsAt = 0
  #batches = 0
  #requests = 0
  #from: Moment | null = null
  #to: Moment | null = null

  constructor(pid: number, connections: number, window: Window) {
    this.#pid = pid
    this.#connections = connections
    this.#window = window
  }

  /** A reply is complete. Times are in ms. */
  add(requests: number, sentAt: number, now: number): void {
    if (this.#to !== null) return
    this.#batches++
    if (this.#from !== null) {
      this.#requests += requests
      this.#latencies[cellOf((now - sentAt) * 1e6)]!++
      if (this.#isComplete(now - this.#from.atMs)) this.#to = this.#moment()
      return
    }
    if (this.#warmUpEndsAt === 0) this.#warmUpEndsAt = now + this.#window.warmUpMs
    if (now < this.#warmUpEndsAt || this.#batches < this.#connections) return
    this.#from = this.#moment()
    this.#batches = 0
  }

  #isComplete(ms: number): boolean {
    const { measureMs } = this.#window
    const hasEnough = this.#batches >= CYCLES * this.#connections || ms >= LONGEST * measureMs
    return ms >= measureMs && hasEnough
  }

  get isOver(): boolean {
    return this.#to !== null
  }

  figures(): Omit<Figures, 'checked'> {
    const requests = this.#requests
    const from = this.#from!
    const to = this.#to!
    const micros = (percent: number): number => percentile(this.#latencies, percent) / 1000
    return {
      requests,
      requestsPerSecond: requests / ((to.atMs - from.atMs) / 1000),
      microsPerRequest: (to.serverMicros - from.serverMicros) / requests,
      generatorMicrosPerRequest: (to.generatorMicros - from.generatorMicros) / requests,
      p50: micros(50),
      p99: micros(99),
      p999: micros(99.9),
    }
  }

  #moment(): Moment {
    const { user, system } = process.cpuUsage()
    const serverMicros = cpuMicros(this.#pid)
    return { atMs: performance.now(), serverMicros, generatorMicros: user + system }
  }
}

/**
 * Opens the connections and asks `next` what each is to send, at first and whenever a reply is
 * complete; false: nothing more. Resolves when all are done.
 */
async function exchange(
  port: number,
  connections: number,
  stallMs: number,
  next: (connection: Connection) => boolean,
): Promise<void> {
  const open: Connection[] = []
  let complete = 0
  let watched = ''
  let timer: NodeJS.Timeout | undefined
  try {
    for (let i = 0; i < connections; i++) open.push(await Connection.open(port))
    await new Promise<void>((resolve, reject) => {
      let busy = connections
      const done = (connection: Connection): void => {
        complete++
        if (!next(connection) && --busy === 0) resolve()
      }
      timer = setInterval(() => {
        const missing = open.reduce((sum, connection) => sum + connection.missing, 0)
        const progress = `${complete} replies, ${missing} bytes missing`
        if (progress === watched) reject(stalled(open, stallMs))
        watched = progress
      }, stallMs)
      for (const connection of open) connection.start(done, reject)
      for (const connection of open) next(connection)
    })
  } finally {
    clearInterval(timer)
    for (const connection of open) connection.close()
  }
}

function stalled(open: readonly Connection[], stallMs: number): Error {
  const waiting = open.filter(({ missing }) => missing > 0)
  const missing = waiting.map((connection) => connection.missing)
  return new Error(
    `${waiting.length} connections have waited ${stallMs} ms for ${Math.min(...missing)} to ` +
      `${Math.max(...missing)} bytes of a reply: a key was not there, or the server hangs`,
  )
}

/** One connection, with at most one batch under way. */
class Connection {
  readonly #socket: Socket
  #done: (connection: Connection) => void = () => {}
  #failed: (error: Error) => void = () => {}
  #batch: Batch | null = null
  #sentAt = 0
  #missing = 0
  /** The reply so far, where it is compared. */
  #parts: Buffer[] | null = null

  private constructor(port: number, opened: (error: Error | null) => void) {
    const callback = (length: number): boolean => this.#take(length)
    const onread = { buffer: received, callback }
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, onread })
    this.#socket.once('connect', () => opened(null))
    this.#socket.on('error', (error) => {
      opened(error)
      this.#failed(error)
    })
    this.#socket.on('close', () => this.#failed(new Error('the server closed a connection')))
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const connection: Connection = new Connection(port, (error) => {
        if (error === null) resolve(connection)
        else reject(error)
      })
    })
  }

  /** Whom to tell of complete replies, and of anything that goes wrong. */
  start(done: (connection: Connection) => void, failed: (error: Error) => void): void {
    this.#done = done
    this.#failed = failed
  }

  /** What was sent last; null before the first. */
  get batch(): Batch | null {
    return this.#batch
  }

  /** As given to `send`. */
  get sentAt(): number {
    return this.#sentAt
  }

  /** Bytes of the reply that are still to come. */
  get missing(): number {
    return this.#missing
  }

  send(batch: Batch, now: number, checks: boolean): void {
    this.#batch = batch
    this.#sentAt = now
    this.#missing = batch.replyBytes
    this.#parts = checks ? [] : null
    this.#socket.write(batch.bytes)
  }

  close(): void {
    this.#failed = () => {}
    this.#socket.destroy()
  }

  #take(length: number): boolean {
    const batch = this.#batch
    const isBegin = batch !== null && this.#missing === batch.replyBytes
    const hasHead = isBegin && length >= HEAD_BYTES
    if (hasHead && received.readUInt16BE() !== batch.replyHead) return this.#refuse(length)
    if (length > this.#missing) return this.#refuse(length)
    this.#parts?.push(Buffer.from(received.subarray(0, length)))
    this.#missing -= length
    if (this.#missing > 0) return true
    if (this.#parts !== null && !Buffer.concat(this.#parts).equals(batch!.reply())) {
      this.#failed(new Error('a reply has the right length, and other bytes than it must have'))
      return false
    }
    this.#done(this)
    return true
  }

  #refuse(length: number): false {
    const shown = received.toString('latin1', 0, Math.min(length, SHOWN_BYTES))
    const expected = `${this.#missing} bytes of a reply are missing`
    this.#failed(new Error(`${expected}, and ${length} came: ${JSON.stringify(shown)}`))
    return false
  }
}
