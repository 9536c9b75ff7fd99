/* Copies of keys at the next node, in a cluster of whole nodes in this process, on virtual time. */
import test, { type ExecutionContext } from 'ava'
import type { Loader } from '../../cluster/origin/loader.ts'
import { keySlot } from '../../cluster/slots.ts'
import type { RawClient } from '../raw.ts'
import { type InProcessCluster, startCluster } from './in-process.ts'

/** The node that is to end, without a word. */
const DEAD = 2

const GROUP = ['--group', 'k match k:* origin module:./none.mjs copies 1']

interface Nodes {
  readonly cluster: InProcessCluster
  readonly clients: readonly RawClient[]
  /** Different keys that the node which is to end owns. */
  keys(count: number): string[]
  /** Who has copies of a key of that node. */
  next(key: string): number
  say(client: RawClient, ...lines: readonly string[]): Promise<string[]>
  info(node: number, field: string): Promise<number>
  kill(): Promise<void>
  advance(ms: number): Promise<void>
}

/** Values of the origin, and how often it was asked. */
function countingLoader(): { loader: Loader; loads: () => number } {
  let loads = 0
  return {
    loads: () => loads,
    loader: {
      load: ({ key }) => {
        loads++
        return Promise.resolve({ value: Buffer.from(`of ${Buffer.from(key).toString()}`) })
      },
      close: () => Promise.resolve(),
    },
  }
}

async function start(
  t: ExecutionContext,
  loader: Loader = countingLoader().loader,
  args: readonly string[] = GROUP,
): Promise<Nodes> {
  const cluster = await startCluster(3, args, { loader })
  t.teardown(() => cluster.shutdown())
  const { clock, network, nodes } = cluster
  const { routing } = nodes[DEAD]!.server
  const name = routing.membership!.self
  const keys = (count: number): string[] => {
    const found: string[] = []
    for (let i = 0; found.length < count; i++) {
      if (routing.isHere(Buffer.from(`k:${i}`))) found.push(`k:${i}`)
    }
    return found
  }
  const next = (key: string): number => {
    const bytes = Buffer.from(key)
    const after = routing.membership!.live().after(keySlot(bytes, 0, bytes.length), [name])
    return nodes.findIndex(({ server }) => server.routing.membership!.self === after)
  }
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) await cluster.settle()
  }
  const say = async (client: RawClient, ...lines: readonly string[]): Promise<string[]> => {
    const replies: string[] = []
    for (const line of lines) {
      const reply = client.send(line.split(' '))
      await settle()
      replies.push(await reply)
    }
    return replies
  }
  const clients = nodes.map((node) => node.connect())
  const info = async (node: number, field: string): Promise<number> => {
    const [text] = await say(clients[node]!, 'INFO cluster')
    return Number(new RegExp(`^${field}:(.*)$`, 'm').exec(text!)?.[1])
  }
  const advance = async (ms: number): Promise<void> => {
    for (let gone = 0; gone < ms; gone += 20) {
      await clock.advance(20)
      await settle()
    }
  }
  const kill = async (): Promise<void> => {
    network.refuse(name)
    nodes[DEAD]!.server.shutdown()
    await settle()
  }
  // Streams are open, and counted on.
  await advance(500)
  return { cluster, clients, keys, next, say, info, kill, advance }
}

test('what a node had of a group with copies is there when it has died', async (t) => {
  const { clients, keys, say, kill, advance, info } = await start(t)
  const [a, b, c, d] = keys(4) as [string, string, string, string]
  const [client] = clients
  await say(client!, `SET ${a} 1`, `SET ${b} 1 EX 100`, `SET ${c} 41`, `SET ${d} gone`, `DEL ${d}`)
  t.is(await info(0, 'cluster_copies_degraded'), 0)
  await kill()
  await advance(2000)
  t.deepEqual(await say(client!, `GET ${a}`, `TTL ${b}`, `INCR ${c}`), [
    '$1\r\n1\r\n',
    ':98\r\n',
    ':42\r\n',
  ])
  t.deepEqual(await say(client!, `EXISTS ${d}`), [':0\r\n'])
})
