/**
 * The real world. This file and `server/clients/listener.ts` are the only ones that may name Date, Math.random,
 * timers, `performance` or node:net: all others are handed a World, and run on virtual time in the
 * simulator.
 */
import { randomBytes } from 'node:crypto'
import { lookup, resolveSrv } from 'node:dns/promises'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { availableParallelism, devNull, totalmem } from 'node:os'
import { performance } from 'node:perf_hooks'
import { connect as connectTls } from 'node:tls'
import { getHeapStatistics } from 'node:v8'
import type { Resolver } from '../cluster/discovery/dns.ts'
import type { Clock, Connection, Network, Random, Timer } from '../cluster/world.ts'
import { type ServerWorld, systemFiles } from './snapshots/files.ts'
import type { Tls } from './clients/tls.ts'

/** Longest delay a Node timer takes; a longer one would fire at once. */
export const delayMsMax = 2 ** 31 - 1

/** The system's monotonic clock: one scale for all threads, whereas each has its own `performance`. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** The wall clock when the monotonic clock stood at 0. All threads of a process are to have the same. */
export function readClockOrigin(): number {
  return Date.now() - monotonicMs()
}

class SystemClock implements Clock {
  /** What `performance.now()`, which is faster, is behind `now`. */
  readonly #behindMs: number

  constructor(originMs: number) {
    this.#behindMs = originMs + monotonicMs() - performance.now()
  }

  now(): number {
    return this.#behindMs + performance.now()
  }

  wall(): number {
    return Date.now()
  }

  micros(): number {
    return performance.now() * 1000
  }

  after(delayMs: number, run: () => void): Timer {
    const timeout = setTimeout(run, Math.min(delayMs, delayMsMax)).unref()
    return { cancel: () => clearTimeout(timeout) }
  }

  every(periodMs: number, run: () => void): Timer {
    const interval = setInterval(run, Math.min(periodMs, delayMsMax)).unref()
    return { cancel: () => clearInterval(interval) }
  }

  soon(run: () => void): void {
    setImmediate(run)
  }
}

/** 32-bit numbers are drawn from a block, one call to the system for many. */
const randomBlockBytes = 4096

class SystemRandom implements Random {
  #block = Buffer.alloc(0)
  #used = 0

  uint32(): number {
    if (this.#used === this.#block.length) {
      this.#block = randomBytes(randomBlockBytes)
      this.#used = 0
    }
    const n = this.#block.readUInt32LE(this.#used)
    this.#used += 4
    return n
  }

  bytes(length: number): Buffer {
    return randomBytes(length)
  }
}

const systemNetwork: Network = {
  connect(address): Connection {
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    return Object.assign(socket, { abort: () => abort(socket) })
  },
}

/** Both sides show a certificate; the other one's must be signed by this cluster's CA. */
function secureNetwork(tls: Tls): Network {
  return {
    upEvent: 'secureConnect',
    connect({ host, port }): Connection {
      const socket = connect({ host, port, noDelay: true })
      const secureContext = tls.context
      // Which node it is the handshake behind this proves, not the certificate.
      const checkServerIdentity = (): undefined => undefined
      const options = { secureContext, checkServerIdentity, rejectUnauthorized: true }
      const secured = connectTls({ socket, ...options })
      socket.on('error', (error) => secured.destroy(error))
      const abortBoth = (): void => {
        abort(socket)
        secured.destroy()
      }
      return Object.assign(secured, { abort: abortBoth })
    },
  }
}

/** Of a socket that is closed as usual the kernel goes on sending what it has, for minutes where need be. */
function abort(socket: Socket): void {
  const isWaiting = socket.connecting || socket.writableLength > 0
  socket.resetAndDestroy()
  // That waits for the connection, and until the kernel has taken all.
  if (isWaiting) socket.destroy()
}

/** By the system's own look-up, which also knows /etc/hosts and search domains; SRV knows neither. */
const systemResolver: Resolver = {
  async addresses(host) {
    const found = await lookup(host, { all: true, order: 'ipv4first' })
    return found.map(({ address }) => address)
  },
  async services(name) {
    const found = await resolveSrv(name)
    return found.map(({ name: host, port }) => ({ host, port }))
  },
}

/**
 * The World of this machine: monotonic clock, unguessable numbers, TCP, disks. `originMs`: where the
 * clock's scale begins, see readClockOrigin.
 */
export function createSystemWorld(originMs = readClockOrigin()): ServerWorld {
  return {
    ...{ clock: new SystemClock(originMs), random: new SystemRandom() },
    ...{ network: systemNetwork, files: systemFiles, resolver: systemResolver },
    secure: secureNetwork,
  }
}

/** Keeps the process alive until it exits, also when nothing listens. */
export function stayAlive(): void {
  setInterval(() => {}, delayMsMax)
}

/** Keeps the process alive until cancelled. */
export function holdProcess(): Timer {
  const interval = setInterval(() => {}, delayMsMax)
  return { cancel: () => clearInterval(interval) }
}

/** What the machine gives this process. */
export interface Machine {
  /** Bytes of memory: the machine's, or the control group's limit when that is lower. */
  readonly memoryBytes: number
  /** Cores this process may use. */
  readonly cores: number
}

export function readMachine(): Machine {
  // 0 or something beyond the machine's memory: no control group limits this process.
  const constrained = process.constrainedMemory()
  const total = totalmem()
  const memoryBytes = constrained > 0 && constrained < total ? constrained : total
  return { memoryBytes, cores: availableParallelism() }
}

/** File descriptors of this process. */
export interface Descriptors {
  readonly open: number
  /** Infinity where the system does not tell. */
  readonly max: number
}

/** By Linux's /proc. Node.js itself has raised the limit as far as it may. */
export function readDescriptors(): Descriptors {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    const max = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity)
    // One of them is the look itself.
    return { open: readdirSync('/proc/self/fd').length - 1, max }
  } catch {
    return { open: 0, max: Infinity }
  }
}

/** Can a file still be opened, or a connection be accepted? */
export function hasDescriptors(): boolean {
  try {
    closeSync(openSync(devNull, 'r'))
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code !== 'EMFILE' && code !== 'ENFILE'
  }
}

/** JavaScript's heap of this thread: used, and taken from the system. */
export function readHeap(): { readonly usedBytes: number; readonly totalBytes: number } {
  const { used_heap_size, total_heap_size } = getHeapStatistics()
  return { usedBytes: used_heap_size, totalBytes: total_heap_size }
}

/** What this process uses now. */
export interface Usage {
  readonly residentBytes: number
  /** CPU time since the start, in microseconds. */
  readonly userMicros: number
  readonly systemMicros: number
}

/** From Node 23.9 on. */
interface ThreadUsage {
  threadCpuUsage?(): NodeJS.CpuUsage
}

/** CPU time of this thread, in microseconds; null where Node cannot tell. */
export function readThreadUsage(): Pick<Usage, 'userMicros' | 'systemMicros'> | null {
  const cpu = (process as ThreadUsage).threadCpuUsage?.()
  return cpu === undefined ? null : { userMicros: cpu.user, systemMicros: cpu.system }
}

export function readUsage(): Usage {
  const cpu = process.cpuUsage()
  return {
    residentBytes: process.memoryUsage.rss(),
    userMicros: cpu.user,
    systemMicros: cpu.system,
  }
}

const monthNames = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

/** '22 Nov 2026 17:49:31.329', local time, as in Redis's log. */
export function formatTime(wallMs: number): string {
  const date = new Date(wallMs)
  const digits = (n: number, width = 2): string => String(n).padStart(width, '0')
  const day = `${digits(date.getDate())} ${monthNames[date.getMonth()]} ${date.getFullYear()}`
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((n) => digits(n))
    .join(':')
  return `${day} ${time}.${digits(date.getMilliseconds(), 3)}`
}
