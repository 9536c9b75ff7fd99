/*
 * Who is measured: each a process of its own, with its defaults but for persistence, which is off,
 * and for memory, of which all have more than the keys need. ringtier has everything on that it has
 * by default.
 */
import { execFileSync } from 'node:child_process'
import {
  available,
  startMemcached,
  startRedis,
  startRingtier,
  type RunningServer,
} from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { nodeVersion, redisVersion } from '../machine.ts'
import type { Protocol } from './requests.ts'

export const KINDS = ['ringtier', 'redis-server', 'memcached', 'control'] as const
export type Kind = (typeof KINDS)[number]

/** All ratios are to this one. */
export const BASELINE = 'redis-server'

/** What a report has to know of one. */
export interface Contestant {
  /** `ringtier 2 threads, Node 24`: unlike that of any other. */
  readonly name: string
  readonly kind: Kind
  readonly threads?: number
  /** The major version. */
  readonly node?: number
}

export interface Contender extends Contestant {
  readonly protocol: Protocol
  /** For the head of the table: version and settings. */
  readonly about: string
  start(): Promise<RunningServer>
}

export interface Choice {
  readonly kinds: readonly Kind[]
  /** Paths of programs. */
  readonly nodes: readonly string[]
  /** Of ringtier, on each Node. */
  readonly threads: readonly number[]
}

const MEMORY_MEGABYTES = 1024
/** Above its default of 1,024, near which a case of 1,000 connections is. */
const MEMCACHED_CONNECTIONS = 4096
/** As `memcached -h` says. */
const MEMCACHED_THREADS = 4

/**
 * Those that are chosen and can run here; who cannot is told to `leftOut`, with the reason. Rejects
 * where there is nothing to compare with, or two would have one name.
 */
export async function findContenders(
  choice: Choice,
  leftOut: (reason: string) => void,
): Promise<Contender[]> {
  const found: Contender[] = []
  for (const kind of KINDS) {
    if (!choice.kinds.includes(kind)) continue
    const program = kind === 'control' ? 'redis-server' : kind
    if (kind === 'ringtier') found.push(...(await ringtiers(choice, leftOut)))
    else if (!available(program)) leftOut(`${kind} is left out: ${program} is not installed`)
    else if (kind === 'memcached') found.push(memcached())
    else found.push(redis(kind))
  }
  const names = new Set(found.map(({ name }) => name))
  if (!names.has(BASELINE)) throw new Error(`${BASELINE} is needed, and not among the chosen`)
  if (names.size < found.length) throw new Error('two of the same threads on Nodes of one version')
  return found
}

async function ringtiers(
  { nodes, threads }: Choice,
  leftOut: (reason: string) => void,
): Promise<Contender[]> {
  const found: Contender[] = []
  for (const node of nodes) {
    for (const count of threads) {
      const one = ringtier(node, count)
      if (count === 1 || (await hasThreads(one))) found.push(one)
      else leftOut(`${one.name} is left out: INFO says that it runs on one thread`)
    }
  }
  return found
}

function ringtier(node: string, threads: number): Contender {
  const version = nodeVersion(node)
  const major = Number(/^v(\d+)/.exec(version)?.[1])
  const args = ['--threads', String(threads), '--maxmemory', `${MEMORY_MEGABYTES}mb`]
  return {
    name: `ringtier ${threads === 1 ? '1 thread' : `${threads} threads`}, Node ${major}`,
    kind: 'ringtier',
    threads,
    node: major,
    protocol: 'resp',
    about: `ringtier on Node ${version} (${args.join(' ')})`,
    start: () => startRingtier({ node, args }),
  }
}

/** Does it run on as many as it was told to? Some Nodes cannot share a port or pass a socket. */
async function hasThreads(one: Contender): Promise<boolean> {
  const server = await one.start()
  try {
    const client = await RawClient.open(server.port)
    const info = await client.command('INFO', 'server', 'stats')
    client.close()
    return Number(/^io_threads_active:(\d+)/m.exec(info)?.[1] ?? 0) > 0
  } finally {
    await server.stop()
  }
}

function redis(kind: 'redis-server' | 'control'): Contender {
  return {
    name: kind === 'control' ? 'redis-server again' : BASELINE,
    kind,
    protocol: 'resp',
    about: `redis-server ${redisVersion()} (one I/O thread, no persistence)`,
    start: () => startRedis(),
  }
}

function memcached(): Contender {
  const text = execFileSync('memcached', ['--version'], { encoding: 'utf8' })
  const args = ['-m', String(MEMORY_MEGABYTES), '-c', String(MEMCACHED_CONNECTIONS)]
  return {
    name: 'memcached',
    kind: 'memcached',
    protocol: 'memcached',
    about: `${text.trim()} (its ${MEMCACHED_THREADS} threads, ${args.join(' ')})`,
    start: () => startMemcached({ args }),
  }
}
