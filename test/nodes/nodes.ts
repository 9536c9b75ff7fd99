import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type RunningServer, freePort, startRingtier } from '../process.ts'

export interface Nodes {
  readonly ports: readonly number[]
  readonly servers: readonly RunningServer[]
  /** Ends one as a service manager does, starts it anew, and resolves when all see each other again. */
  restart(i: number): Promise<void>
  /** Starts one of those that were absent, and resolves when all see each other. */
  join(): Promise<void>
  /** A field of INFO added up over the nodes that answer. */
  sum(field: string): Promise<number>
  stop(): Promise<void>
}

/** A client that is never connected again: its commands fail, which is what tests look at. */
export function connectOnce(port: number): Redis {
  const options = { retryStrategy: () => null, maxRetriesPerRequest: 0 }
  const client = new Redis(port, '127.0.0.1', options)
  client.on('error', () => {})
  return client
}

/**
 * Starts so many nodes of one cluster on this machine, all with these arguments. `absent`: more of them are
 * in everybody's list, and not started before `join`.
 */
export async function startNodes(
  count: number,
  args: readonly string[],
  password = '',
  absent = 0,
): Promise<Nodes> {
  const ports: number[] = []
  while (ports.length < count + absent) {
    const port = await freePort()
    if (!ports.includes(port)) ports.push(port)
  }
  const names = ports.map((port) => `127.0.0.1:${port}`)
  const startOne = (port: number): Promise<RunningServer> =>
    startRingtier({
      port,
      args: [
        ...['--cluster-self', `127.0.0.1:${port}`, '--cluster-peers', names.join(',')],
        // On a busy machine nobody is to be taken for dead by mistake.
        ...['--cluster-node-timeout', '2000'],
        ...['--cluster-secret', 'a secret of this test', '--requirepass', password, ...args],
      ],
    })
  const later = ports.splice(count)
  const servers = await Promise.all(ports.map(startOne))
  const nodes: Nodes = {
    ports,
    servers,
    restart: async (i) => {
      await servers[i]!.stop()
      servers[i] = await startOne(ports[i]!)
      await seeEachOther(ports, password)
    },
    join: async () => {
      const port = later.shift()!
      ports.push(port)
      servers.push(await startOne(port))
      await seeEachOther(ports, password)
    },
    sum: async (field) => {
      let sum = 0
      for (const port of ports) sum += await infoField(port, field, password)
      return sum
    },
    stop: async () => {
      await Promise.all(servers.map((server) => server.stop()))
    },
  }
  await seeEachOther(ports, password)
  return nodes
}

/** Resolves when every node has heard from all others. */
async function seeEachOther(ports: readonly number[], password: string): Promise<void> {
  for (const port of ports) {
    const client = new Redis(port, '127.0.0.1', { password })
    // One that is out of the ring counts in the size, one that has not been heard yet in pfail.
    const whole = new RegExp(`cluster_slots_pfail:0\\r\\n[^]*cluster_size:${ports.length}\\r\\n`)
    while (!whole.test(await client.cluster('INFO'))) await setTimeout(20)
    client.disconnect()
  }
}

/** By its log: did a node take another one for dead that had not said good-bye, and was not absent at first? */
export function tookForDead(output: string, absent: readonly string[] = []): boolean {
  const left = new Set(absent)
  for (const [, node, state] of output.matchAll(/"node":"([^"]+)","state":"(\w+)"/g)) {
    if (state === 'leaving') left.add(node!)
    else if (state === 'down' && !left.delete(node!)) return true
  }
  return false
}

/** A numeric field of a node's INFO. */
async function infoField(port: number, field: string, password = ''): Promise<number> {
  const client = new Redis(port, '127.0.0.1', { password, retryStrategy: () => null })
  try {
    const info = await client.info('everything')
    const found = new RegExp(`^${field}:(.*)$`, 'm').exec(info)
    if (found === null) throw new Error(`INFO has no field ${field}`)
    return Number(found[1])
  } finally {
    client.disconnect()
  }
}
