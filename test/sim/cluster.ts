import { loadConfig } from '../../server/config.ts'
import { createLog } from '../../server/log.ts'
import { createServer, type Server } from '../../server/server.ts'
import type { Duplex } from 'node:stream'
import { MemoryFiles } from '../server/snapshots/memory-files.ts'
import type { SimOrigin } from './origin.ts'
import { SeededRandom } from './random.ts'
import { Host, type Scheduler } from './scheduler.ts'
import type { Wires } from './wires.ts'

export const GROUP_TTL_MS = 10_000
/** Of the group `lax`, which keeps values beyond their time. */
export const LAX_TTL_MS = 3_000
export const LAX_STALE_MS = 2_000
export const LAX_IF_ERROR_MS = 5_000
export const LAX_NEGATIVE_MS = 2_000
export const GROUP_WAIT_MS = 300
export const GROUP_TIMEOUT_MS = 1000

const SECRET = 'a secret that the nodes share'

const ARGS = [
  ...['--port', '0', '--maxmemory', '2mb', '--maxmemory-ceiling', '2mb', '--loglevel', 'nothing'],
  ...['--cluster-secret', SECRET, '--save', '', '--protected-mode', 'no'],
  ...groupArgs('user', `ttl ${GROUP_TTL_MS}ms`),
  ...groupArgs('users', `ttl ${GROUP_TTL_MS}ms`),
  ...groupArgs(
    'lax',
    `ttl ${LAX_TTL_MS}ms stale ${LAX_STALE_MS}ms stale-if-error ${LAX_IF_ERROR_MS}ms ` +
      `negative ${LAX_NEGATIVE_MS}ms`,
  ),
]

function groupArgs(name: string, times: string): string[] {
  const rule = `${name} match ${name}:{id} origin http://origin/${name}/{id} ${times}`
  const loads = `wait ${GROUP_WAIT_MS}ms timeout ${GROUP_TIMEOUT_MS}ms early 0 retry 0 breaker off`
  return ['--group', `${rule} ${loads}`]
}

/** Has a group this key? */
export function isGrouped(key: string): boolean {
  return /^(user|users|lax):/.test(key)
}

/** A node, and the process that it is at the moment. */
export class SimNode {
  readonly name: string
  /** Whom it takes for the cluster. */
  readonly peers: readonly string[]
  host: Host
  server: Server | null = null
  /** Commands of its clients that another node has to answer. */
  passesOn = 0
  /** Was it told to end? */
  isLeaving = false
  /** It has left for good. */
  hasLeft = false
  /** How often it was started. */
  starts = 0
  readonly #parts: SimNodeParts

  constructor(name: string, peers: readonly string[], parts: SimNodeParts) {
    this.name = name
    this.peers = peers
    this.#parts = parts
    this.host = new Host(name, parts.scheduler)
  }

  /** Starts a process, empty. Takes no virtual time. */
  async start(): Promise<void> {
    const { scheduler, wires, origin, seed, args, copiesMs } = this.#parts
    const host = new Host(this.name, scheduler)
    this.host = host
    const members = ['--cluster-self', this.name, '--cluster-peers', this.peers.join(',')]
    const world = {
      clock: host.clock,
      random: new SeededRandom(seed + 1000 * ++this.starts),
      network: wires.networkOf(host),
      files: new MemoryFiles(),
    }
    const config = loadConfig({ args: [...ARGS, ...args, ...members] })
    // Longer than its directive takes.
    Object.defineProperty(config, 'cluster-hot-ttl', { value: copiesMs })
    const log = createLog({ level: 'nothing' })
    const given = { loader: origin.loaderOf(host), beginsEmpty: true }
    const server = await createServer(config, world, log, given)
    this.server = server
    const addresses = { remote: '127.0.0.1', local: '127.0.0.1' }
    wires.listen(host, (stream) => server.handle(stream as unknown as Duplex, addresses))
    await server.listen()
    wires.reappear(this.name)
  }

  /** All of it is gone at once. */
  crash(silently: boolean): void {
    const { scheduler, wires } = this.#parts
    wires.crash(this.host, silently)
    scheduler.kill(this.host)
    this.server = null
  }
}

export interface SimNodeParts {
  readonly scheduler: Scheduler
  readonly wires: Wires
  readonly origin: SimOrigin
  readonly seed: number
  /** Beside those that are the same in all runs. */
  readonly args: readonly string[]
  readonly copiesMs: number
}
