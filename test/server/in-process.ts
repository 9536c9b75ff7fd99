import { duplexPair } from 'node:stream'
import type { Resolver } from '../../cluster/discovery/dns.ts'
import type { Loader } from '../../cluster/origin/loader.ts'
import type { Network } from '../../cluster/world.ts'
import type { Client } from '../../server/clients/client.ts'
import { loadConfig } from '../../server/config.ts'
import type { Files } from '../../server/snapshots/files.ts'
import { createLog, type Log } from '../../server/log.ts'
import { createServer, type Server } from '../../server/server.ts'
import { MemoryFiles } from './snapshots/memory-files.ts'
import { RawClient } from '../raw.ts'
import { VirtualClock } from '../sim/clock.ts'
import { LocalNetwork, type LocalStream } from '../sim/network.ts'
import { SeededRandom } from '../sim/random.ts'

/** A whole server in this process, on virtual time, without a socket. */
export interface InProcess {
  readonly server: Server
  readonly clock: VirtualClock
  connect(): RawClient
  /** A client and its session as the server sees it. */
  connectSession(): { client: RawClient; session: Client }
}

const noNetwork: Network = {
  connect: () => {
    throw new Error('this server has no network')
  },
}

export interface InProcessOptions {
  readonly loader?: Loader
  readonly seed?: number
  readonly network?: Network
  readonly files?: Files
  readonly log?: Log
  readonly resolver?: Resolver
  /** Default: one of its own. */
  readonly clock?: VirtualClock
}

/** `args` as on the command line. */
export async function startInProcess(
  args: readonly string[] = [],
  options: InProcessOptions = {},
): Promise<InProcess> {
  const clock = options.clock ?? new VirtualClock()
  const config = loadConfig({ args: ['--maxmemory', '16mb', '--port', '0', ...args] })
  const world = {
    clock,
    random: new SeededRandom(options.seed ?? 1),
    network: options.network ?? noNetwork,
    files: options.files ?? new MemoryFiles(),
    ...(options.resolver === undefined ? {} : { resolver: options.resolver }),
  }
  const log = options.log ?? createLog({ level: 'nothing' })
  const server = await createServer(config, world, log, { loader: options.loader })
  const connectSession = (): { client: RawClient; session: Client } => {
    const [near, far] = duplexPair()
    return { session: server.handle(far), client: RawClient.over(near) }
  }
  return { server, clock, connectSession, connect: () => connectSession().client }
}

/** Whole nodes of one cluster in this process, on one virtual time and one network. */
export interface InProcessCluster {
  readonly nodes: readonly InProcess[]
  readonly clock: VirtualClock
  readonly network: LocalNetwork
  /** From now on nothing leaves over connections that this node has dialled; over others it answers. */
  stallLinks(at: number): void
  /** Ends a node without a word to the others. */
  crash(at: number): Promise<void>
  /** Starts another process in the place of a node that has crashed. */
  restart(at: number): Promise<InProcess>
  /** Lets all that is under way between nodes arrive; time stands still. */
  settle(): Promise<void>
  shutdown(): void
}

/** Starts so many nodes, all with these arguments, and resolves when all have heard of each other. */
export async function startCluster(
  count: number,
  args: readonly string[],
  options: Pick<InProcessOptions, 'loader'> = {},
): Promise<InProcessCluster> {
  const clock = new VirtualClock()
  const network = new LocalNetwork()
  const names = Array.from({ length: count }, (_, i) => `127.0.0.1:${7001 + i}`)
  const nodes: InProcess[] = []
  const dialled = names.map((): LocalStream[] => [])
  const networkOf = (at: number): Network => ({
    connect: (address) => {
      const stream = network.connect(address)
      dialled[at]!.push(network.dialled.at(-1)!)
      return stream
    },
  })
  let starts = 0
  const add = async (at: number): Promise<InProcess> => {
    const name = names[at]!
    const members = ['--cluster-self', name, '--cluster-peers', names.join(',')]
    const node = await startInProcess(
      [...members, '--cluster-secret', 'a secret of this test', ...args],
      { ...options, clock, network: networkOf(at), seed: ++starts },
    )
    network.listen(name, (stream) => node.server.handle(stream))
    return (nodes[at] = node)
  }
  for (const at of names.keys()) await add(at)
  for (const { server } of nodes) await server.listen()
  const seesAll = ({ server }: InProcess): boolean =>
    names.every((name) => server.routing.membership!.member(name)?.state === 'up')
  await clock.until(() => nodes.every(seesAll))
  const settle = async (): Promise<void> => {
    // A command there and its reply back: some hops, each of them some events.
    for (let hops = 0; hops < 4; hops++) await clock.settle()
  }
  const stallLinks = (at: number): void => {
    for (const stream of dialled[at]!) stream.stall()
  }
  const crash = async (at: number): Promise<void> => {
    const { server } = nodes[at]!
    network.refuse(names[at]!)
    // Nothing that it has not said yet is said any more.
    server.routing.close()
    for (const client of server.clients.values()) client.destroy()
    server.shutdown()
    await clock.settle()
  }
  const restart = async (at: number): Promise<InProcess> => {
    const node = await add(at)
    await node.server.listen()
    return node
  }
  const shutdown = (): void => {
    for (const { server } of nodes) server.shutdown()
  }
  return { nodes, clock, network, stallLinks, crash, restart, settle, shutdown }
}
