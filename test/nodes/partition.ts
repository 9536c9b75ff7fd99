/*
 * A network between real nodes that can be cut. A node is dialled by its name, which is the address of a
 * relay; the relay learns from the handshake (PEER HELLO) who dials, and carries the bytes, or does not:
 *
 *     node A ── dials B's name ──> relay of B ──> B's own port
 *
 * What is cut is silent, as where packets are lost: nothing is closed, and nothing is refused.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort, type RunningServer, startRingtier } from '../process.ts'

export interface CutNodes {
  /** Where clients connect. */
  readonly ports: readonly number[]
  readonly servers: readonly RunningServer[]
  /** Nothing gets from the one to the other over links that the one dials, by their places. */
  cut(from: number, to: number): void
  heal(): void
  stop(): Promise<void>
}

interface Relay {
  readonly server: Server
  /** By the place of who dials. */
  readonly sockets: Map<Socket, number>
}

/** Starts so many nodes of one cluster behind such relays, all with these arguments. */
export async function startCutNodes(count: number, args: readonly string[]): Promise<CutNodes> {
  const [ports, relayPorts]: [number[], number[]] = [[], []]
  const taken = new Set<number>()
  while (ports.length + relayPorts.length < 2 * count) {
    const port = await freePort()
    if (taken.has(port)) continue
    taken.add(port)
    if (ports.length < count) ports.push(port)
    else relayPorts.push(port)
  }
  const names = relayPorts.map((port) => `127.0.0.1:${port}`)
  const cuts = new Set<string>()
  const relays = await Promise.all(
    ports.map((port, to) => {
      const isCut = (from: number): boolean => cuts.has(`${from} ${to}`)
      return startRelay(relayPorts[to]!, port, names, isCut)
    }),
  )
  const servers = await Promise.all(
    ports.map((port, i) =>
      startRingtier({
        port,
        args: [
          ...['--cluster-self', names[i]!, '--cluster-peers', names.join(',')],
          ...['--cluster-secret', 'a secret of this test', ...args],
        ],
      }),
    ),
  )
  return {
    ports,
    servers,
    cut: (from, to) => void cuts.add(`${from} ${to}`),
    heal: () => {
      cuts.clear()
      // What was lost is not sent again: the links that were cut are dead.
      for (const { sockets } of relays) for (const socket of sockets.keys()) socket.destroy()
    },
    stop: async () => {
      await Promise.all(servers.map((server) => server.stop()))
      for (const { server, sockets } of relays) {
        server.close()
        for (const socket of sockets.keys()) socket.destroy()
      }
    },
  }
}

function startRelay(
  at: number,
  to: number,
  names: readonly string[],
  isCut: (from: number) => boolean,
): Promise<Relay> {
  const sockets = new Map<Socket, number>()
  const server = createServer((near) => {
    let from = -1
    const far = connect(to, '127.0.0.1')
    const end = (): void => {
      near.destroy()
      far.destroy()
      sockets.delete(near)
    }
    sockets.set(near, from)
    for (const socket of [near, far]) {
      socket.on('error', end)
      socket.on('close', end)
    }
    near.on('data', (bytes) => {
      if (from < 0) {
        const hello = bytes.toString('latin1')
        from = names.findIndex((name) => hello.includes(name))
      }
      if (!isCut(from)) far.write(bytes)
    })
    far.on('data', (bytes) => {
      if (!isCut(from)) near.write(bytes)
    })
  })
  return new Promise((resolve) => {
    server.listen(at, '127.0.0.1', () => resolve({ server, sockets }))
  })
}
