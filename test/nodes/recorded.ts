/*
 * Nodes whose names are the addresses of relays, which keep all bytes that nodes send each other:
 *
 *     node A ── dials B's name ──> relay of B ──> B's own port
 *
 * Clients connect to the nodes' own ports, so what they say is not among it.
 */
import { connect, createServer, type Server } from 'node:net'
import { freePort, type RunningServer, startRingtier } from '../process.ts'

export interface RecordedNodes {
  /** Where clients connect. */
  readonly ports: readonly number[]
  readonly servers: readonly RunningServer[]
  /** All that nodes have sent each other, one connection's after the other's, each byte a char. */
  sent(): string
  stop(): Promise<void>
}

/** Starts one node for each of these lists of arguments. */
export async function startRecordedNodes(
  argsOfNodes: readonly (readonly string[])[],
): Promise<RecordedNodes> {
  const taken = new Set<number>()
  while (taken.size < 2 * argsOfNodes.length) taken.add(await freePort())
  const ports = [...taken].slice(0, argsOfNodes.length)
  const names = [...taken].slice(argsOfNodes.length).map((port) => `127.0.0.1:${port}`)
  const records: Buffer[][] = []
  const relays = await Promise.all(
    names.map((name, i) => startRelay(Number(name.split(':')[1]), ports[i]!, records)),
  )
  const servers = await Promise.all(
    argsOfNodes.map((args, i) =>
      startRingtier({
        port: ports[i]!,
        args: [
          ...['--cluster-self', names[i]!, '--cluster-peers', names.join(',')],
          ...['--cluster-node-timeout', '2000', '--cluster-secret', 'a secret of this test'],
          ...['--maxmemory', '16mb', '--save', '', ...args],
        ],
      }),
    ),
  )
  return {
    ports,
    servers,
    sent: () => records.map((chunks) => Buffer.concat(chunks).toString('latin1')).join(''),
    stop: async () => {
      await Promise.all(servers.map((server) => server.stop()))
      for (const relay of relays) relay.close()
    },
  }
}

function startRelay(at: number, to: number, records: Buffer[][]): Promise<Server> {
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const [from, other] of [
      [near, far],
      [far, near],
    ] as const) {
      const record: Buffer[] = []
      records.push(record)
      from.on('data', (chunk: Buffer) => {
        record.push(chunk)
        other.write(chunk)
      })
      from.on('error', () => {})
      from.on('close', () => other.destroy())
    }
  })
  return new Promise((resolve) => server.listen(at, '127.0.0.1', () => resolve(server)))
}
