/* Copies of keys at the next node, in a cluster of whole nodes in this process, on virtual time. */
import test, { type ExecutionContext } from 'ava'
import type { Loader } from '../../../cluster/origin/loader.ts'
import { keySlot } from '../../../cluster/slots.ts'
import type { RawClient } from '../../raw.ts'
import { MemoryFiles } from '../snapshots/memory-files.ts'
import { type InProcessCluster, startCluster, startInProcess } from '../in-process.ts'

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
  const { clock, nodes } = cluster
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
      let isAnswered = false
      const reply = client.send(line.split(' '))
      void reply.then(() => (isAnswered = true))
      await settle()
      for (let i = 0; i < 100 && !isAnswered; i++) await advance(20)
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
    await cluster.crash(DEAD)
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

test('who misses a dead owner is shown the copy, before anybody has it down', async (t) => {
  const origin = countingLoader()
  const { clients, keys, next, say, kill } = await start(t, origin.loader)
  const [a, b, c] = keys(3) as [string, string, string]
  const client = clients[next(a)]!
  await say(client, `SET ${a} 1`, `GET ${b}`, `SET ${c} 1`)
  t.is(origin.loads(), 1)
  await kill()
  t.deepEqual(await say(client, `GET ${a}`, `GET ${b}`), [
    '$1\r\n1\r\n',
    `$${b.length + 3}\r\nof ${b}\r\n`,
  ])
  t.is(origin.loads(), 1)
})

test('what was written at the node that stands in is not undone by the copy', async (t) => {
  const { clients, keys, next, say, kill, advance } = await start(t)
  const all = keys(40)
  const at = next(all[0]!)
  const [a, b, c] = all.filter((key) => next(key) === at) as [string, string, string]
  const client = clients[at]!
  await say(client, `SET ${a} 1`, `SET ${b} 1`, `SET ${c} 1`)
  await kill()
  t.deepEqual(await say(client, `DEL ${a}`, `INCR ${b}`, `SET ${c} 5`), [
    ':1\r\n',
    ':2\r\n',
    '+OK\r\n',
  ])
  await advance(3000)
  t.deepEqual(await say(client, `EXISTS ${a}`, `GET ${b}`, `GET ${c}`), [
    ':0\r\n',
    '$1\r\n2\r\n',
    '$1\r\n5\r\n',
  ])
})

test('what was invalidated or flushed does not come back with a copy', async (t) => {
  for (const line of [
    'CACHE.INVALIDATE PREFIX k:',
    'CACHE.INVALIDATE GROUP k',
    'GROUP FLUSH k',
    'FLUSHALL',
    'FLUSHDB',
    'CACHE.INVALIDATE TAG t',
  ]) {
    const { clients, keys, say, kill, advance, info } = await start(t)
    const [a, b] = keys(2) as [string, string]
    const [client] = clients
    t.is((await say(client!, `CACHE.SET ${a} 1 TAGS 1 t`))[0], '+OK\r\n')
    t.is((await say(client!, line))[0], '+OK\r\n', line)
    await advance(500)
    t.deepEqual(await say(client!, `SET ${b} 2`), ['+OK\r\n'])
    t.is(await info(DEAD, 'cluster_copies_degraded'), 0, line)
    await kill()
    await advance(3000)
    t.deepEqual(await say(client!, `EXISTS ${a}`, `GET ${b}`), [':0\r\n', '$1\r\n2\r\n'], line)
  }
})

test('a node that leaves hands its keys over itself, and nothing comes back after it', async (t) => {
  const { cluster, clients, keys, say, advance } = await start(t)
  const [a, b] = keys(2) as [string, string]
  const [client] = clients
  await say(client!, `SET ${a} 1`, `SET ${b} 1`)
  const { leaving } = cluster.nodes[DEAD]!.server
  void leaving!.leave()
  await advance(1000)
  t.deepEqual(await say(client!, `GET ${a}`, `DEL ${b}`), ['$1\r\n1\r\n', ':1\r\n'])
  cluster.network.refuse(cluster.nodes[DEAD]!.server.routing.membership!.self)
  cluster.nodes[DEAD]!.server.shutdown()
  await advance(3000)
  t.deepEqual(await say(client!, `GET ${a}`, `EXISTS ${b}`), ['$1\r\n1\r\n', ':0\r\n'])
})

test('transactions, and commands of many keys, are copied too', async (t) => {
  const { clients, keys, say, kill, advance } = await start(t)
  const [a, b, c, d] = keys(4) as [string, string, string, string]
  for (const client of [clients[0]!, clients[DEAD]!]) {
    t.deepEqual(
      await say(client, 'MULTI', `INCR ${a}`, `APPEND ${b} x`, 'EXEC', `MSET ${c} 1 ${d} 2`),
      [
        '+OK\r\n',
        '+QUEUED\r\n',
        '+QUEUED\r\n',
        client === clients[0] ? '*2\r\n:1\r\n:1\r\n' : '*2\r\n:2\r\n:2\r\n',
        '+OK\r\n',
      ],
    )
  }
  await kill()
  await advance(2000)
  const [client] = clients
  t.deepEqual(await say(client!, `GET ${a}`, `GET ${b}`, `GET ${c}`, `GET ${d}`), [
    '$1\r\n2\r\n',
    '$2\r\nxx\r\n',
    '$1\r\n1\r\n',
    '$1\r\n2\r\n',
  ])
})

test('replies of a pipeline keep their order, and what is read in it is what was written', async (t) => {
  const { cluster, clients, keys } = await start(t)
  const [a] = keys(1) as [string]
  const client = clients[DEAD]!
  const replies = [`SET ${a} 1`, `GET ${a}`, `INCR ${a}`, 'PING', `GET ${a}`].map((line) =>
    client.send(line.split(' ')),
  )
  for (let i = 0; i < 8; i++) await cluster.settle()
  t.deepEqual(await Promise.all(replies), [
    '+OK\r\n',
    '$1\r\n1\r\n',
    ':2\r\n',
    '+PONG\r\n',
    '$1\r\n2\r\n',
  ])
})

test('a write is answered when its copy is there, and waits for no node that is dead', async (t) => {
  const { cluster, clients, say, kill, advance } = await start(t)
  // Here the node that is killed is the next one of another's keys.
  const ring = cluster.nodes[0]!.server.routing.membership!.live()
  const dead = cluster.nodes[DEAD]!.server.routing.membership!.self
  const own = Array.from({ length: 200 }, (_, i) => `k:${i}`).find((key) => {
    const bytes = Buffer.from(key)
    const self = cluster.nodes[0]!.server.routing.membership!.self
    const slot = keySlot(bytes, 0, bytes.length)
    return ring.owner(slot) === self && ring.after(slot, [self]) === dead
  })!
  await kill()
  let reply = ''
  void clients[0]!.send(['SET', own, '1']).then((bytes) => (reply = bytes))
  await advance(100)
  t.is(reply, '')
  for (let i = 0; i < 100 && reply === ''; i++) await advance(20)
  t.is(reply, '+OK\r\n')
  await advance(500)
  // Its copy is at the third one.
  await cluster.crash(0)
  await advance(2000)
  t.deepEqual(await say(clients[1]!, `GET ${own}`), ['$1\r\n1\r\n'])
})

test('a node that is back has its keys soon, and may die again', async (t) => {
  const { cluster, clients, keys, say, kill, advance } = await start(t)
  const all = keys(200)
  const [client] = clients
  for (const key of all) await say(client!, `SET ${key} 1`)
  await kill()
  await advance(2000)
  const { server } = await cluster.restart(DEAD)
  await advance(3000)
  t.is(server.store.size(0), all.length)
  await cluster.crash(DEAD)
  await advance(2000)
  for (const key of all) t.deepEqual(await say(client!, `EXISTS ${key}`), [':1\r\n'])
})

test('a node that is back before anybody has missed it has its keys again, as they were left', async (t) => {
  const { cluster, clients, keys, next, say, kill, advance } = await start(t)
  const all = keys(200)
  const at = next(all[0]!)
  const client = clients[at]!
  for (const key of all) await say(client, `SET ${key} 1`)
  const [deleted, counted] = all.filter((key) => next(key) === at) as [string, string]
  await kill()
  t.deepEqual(await say(client, `DEL ${deleted}`, `INCR ${counted}`), [':1\r\n', ':2\r\n'])
  const { server } = await cluster.restart(DEAD)
  await advance(2000)
  const { membership } = cluster.nodes[at]!.server.routing
  t.is(membership!.epoch, 1)
  t.is(server.store.size(0), all.length - 1)
  t.deepEqual(await say(client, `EXISTS ${deleted}`, `GET ${counted}`), [':0\r\n', '$1\r\n2\r\n'])
  // And they are copied anew.
  await cluster.crash(DEAD)
  await advance(2000)
  for (const key of all) {
    t.deepEqual(await say(client, `EXISTS ${key}`), [key === deleted ? ':0\r\n' : ':1\r\n'])
  }
})

test("copies that come with a snapshot are nobody's", async (t) => {
  const files = new MemoryFiles()
  const args = ['--cluster-self', '127.0.0.1:7001', ...GROUP, '--dbfilename', 'dump.rtr']
  const { loader } = countingLoader()
  const first = await startInProcess(args, { files, loader })
  const { databases } = first.server.config
  const key = Buffer.from('k:1v')
  first.server.store.set(databases, key, 0, 3, 3, 1, 0)
  const saved = first.connect().command('SAVE')
  for (let i = 0; i < 50; i++) await first.clock.advance(10)
  t.is(await saved, '+OK\r\n')
  first.server.shutdown()
  const second = await startInProcess(args, { files, loader })
  t.teardown(() => second.server.shutdown())
  await second.server.loaded
  t.is(second.server.store.size(databases), 1)
  for (let i = 0; i < 50; i++) await second.clock.advance(10)
  t.is(second.server.store.size(databases), 0)
})

test('what was removed while streams begin anew, with another time-out, stays away', async (t) => {
  const { cluster, clients, keys, say, kill, advance } = await start(t)
  const names = keys(20)
  const dead = cluster.nodes[DEAD]!
  const [writer, admin] = [dead.connect(), dead.connect()]
  for (const key of names) t.deepEqual(await say(writer, `SET ${key} old`), ['+OK\r\n'])
  await advance(100)
  for (const [i, key] of names.entries()) {
    const removed = writer.send(['DEL', key])
    const set = admin.send(['CONFIG', 'SET', 'cluster-node-timeout', String(700 + i)])
    await advance(300)
    t.deepEqual(await Promise.all([removed, set]), [':1\r\n', '+OK\r\n'])
  }
  await kill()
  await advance(4000)
  const [client] = clients
  for (const key of names) t.deepEqual(await say(client!, `EXISTS ${key}`), [':0\r\n'], key)
})

test('a value of more than 16 MB has no copy, and leaves none of before', async (t) => {
  const args = [...GROUP, '--maxmemory', '256mb']
  const nodes = await start(t, countingLoader().loader, args)
  const { clients, keys, say, kill, advance, info, next } = nodes
  const [a, b] = keys(20).reduce<string[]>(
    (found, key) => (found.length < 2 && next(key) === 0 ? [...found, key] : found),
    [],
  ) as [string, string]
  const [client] = clients
  await say(client!, `SET ${a} old`, `SET ${b} old`)
  t.is(await info(0, 'cluster_copies_kept'), 2)
  const most = 16 * 1024 * 1024
  for (const [key, bytes] of [
    [a, most],
    [b, most + 1],
  ] as const) {
    t.deepEqual(await say(client!, `SET ${key} ${'x'.repeat(bytes)}`), ['+OK\r\n'])
  }
  await kill()
  await advance(2000)
  t.deepEqual(await say(client!, `STRLEN ${a}`, `EXISTS ${b}`), [`:${most}\r\n`, ':0\r\n'])
})

test('a key of a group without copies waits for nobody', async (t) => {
  const { clients, say, info } = await start(t)
  const before = await info(DEAD, 'cluster_copies_sent')
  t.deepEqual(await say(clients[DEAD]!, 'SET other:1 x'), ['+OK\r\n'])
  t.is(await info(DEAD, 'cluster_copies_sent'), before)
})
