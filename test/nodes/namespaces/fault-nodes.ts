/*
 * Nodes of one cluster in namespaces, and what can befall them; beside them an origin that counts.
 */
import { readFileSync } from 'node:fs'
import { type CountingOrigin, startOrigin } from '../counting-origin.ts'
import { type RunningServer, startRingtier } from '../../process.ts'
import type { RawClient } from '../../raw.ts'
import { until } from '../../until.ts'
import { HUB, Namespaces, NODE_PORT } from './namespaces.ts'

const ORIGIN_PORT = 8000

export interface FaultOptions {
  readonly args?: readonly string[]
  /** The origin's, before each answer. */
  readonly delayMs?: number
  /** Which of all names a node has in its list; all if absent. */
  readonly listOf?: (place: number, names: readonly string[]) => readonly string[]
  /** The Node that runs them. */
  readonly node?: string
}

/** Keys `item:ID` are loaded; all others are the clients'. Nodes are known by their places. */
export class FaultNodes {
  readonly network: Namespaces
  readonly names: readonly string[]
  readonly origin: CountingOrigin
  readonly servers: RunningServer[] = []
  readonly #options: FaultOptions
  readonly #clients: RawClient[] = []

  private constructor(network: Namespaces, origin: CountingOrigin, options: FaultOptions) {
    this.network = network
    this.names = network.hosts.map((host) => `${host}:${NODE_PORT}`)
    this.origin = origin
    this.#options = options
  }

  /** So many nodes, which see each other unless their lists say otherwise. */
  static async start(count: number, options: FaultOptions = {}): Promise<FaultNodes> {
    const network = await Namespaces.open(count, [ORIGIN_PORT])
    const origin = await startOrigin(options.delayMs ?? 0, {
      path: network.pathFrom(ORIGIN_PORT),
      url: `http://${HUB}:${ORIGIN_PORT}`,
    })
    const nodes = new FaultNodes(network, origin, options)
    try {
      await Promise.all(nodes.names.map((_, i) => nodes.start(i)))
      if (options.listOf === undefined) await nodes.areWhole()
    } catch (error) {
      await nodes.stop()
      throw error
    }
    return nodes
  }

  get count(): number {
    return this.names.length
  }

  /** Starts one, again perhaps. */
  async start(place: number): Promise<void> {
    const { args = [], listOf, node } = this.#options
    const list = listOf?.(place, this.names) ?? this.names
    const group = `item match item:{id} origin ${this.origin.url}/{id} ttl 1h wait 30s timeout 30s`
    this.servers[place] = await startRingtier({
      port: NODE_PORT,
      site: this.network.site(place),
      ...(node === undefined ? {} : { node }),
      args: [
        ...['--bind', '0.0.0.0', '--protected-mode', 'no', '--maxmemory', '16mb', '--save', ''],
        ...['--cluster-self', this.names[place]!, '--cluster-peers', list.join(',')],
        ...['--cluster-secret', 'a secret of this test', '--group', group, ...args],
      ],
    })
  }

  async kill(place: number): Promise<void> {
    this.servers[place]!.kill('SIGKILL')
    await this.servers[place]!.exited
  }

  freeze(place: number): void {
    this.servers[place]!.kill('SIGSTOP')
  }

  thaw(place: number): void {
    this.servers[place]!.kill('SIGCONT')
  }

  /** Nothing gets from anybody of the one side to anybody of the other, and back if `both`. */
  async split(one: readonly number[], other: readonly number[], both = true): Promise<void> {
    const pairs = one.flatMap((a) => other.map((b) => [a, b] as const))
    const cuts = pairs.flatMap(([a, b]) => [
      this.network.cut(a, b),
      ...(both ? [this.network.cut(b, a)] : []),
    ])
    await Promise.all(cuts)
  }

  heal(): Promise<void> {
    return this.network.heal()
  }

  /** A new connection, which ends with the nodes. */
  async client(place: number): Promise<RawClient> {
    const client = await this.network.client(place)
    this.#clients.push(client)
    return client
  }

  /** One for each node. */
  clients(): Promise<RawClient[]> {
    return Promise.all(this.names.map((_, i) => this.client(i)))
  }

  /** Resolves when each node counts on all others, and has heard from them. */
  async areWhole(): Promise<void> {
    const whole = new RegExp(`cluster_slots_pfail:0\\r\\n[^]*cluster_size:${this.count}\\r\\n`)
    for (const place of this.names.keys()) {
      const client = await this.network.client(place)
      await until(async () => whole.test(await client.command('CLUSTER', 'INFO')))
      client.close()
    }
  }

  /** Resolves when all that nodes have sent has arrived, also over connections that they have closed. */
  async hasArrived(): Promise<void> {
    for (const { pid } of this.servers) {
      // proc(5): the fifth column is what has been sent and not been acknowledged, and what came in.
      const waits = /^ *\d+: \S+ \S+ \S+ (?!00000000:)/m
      await until(() => !waits.test(readFileSync(`/proc/${pid}/net/tcp`, 'latin1')))
    }
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close()
    await Promise.all(
      this.servers.map(async (server) => {
        // A cluster that ends as a whole has nobody to hand its keys to.
        server.kill('SIGKILL')
        await server.exited
      }),
    )
    await this.origin.stop()
    await this.network.close()
  }
}
