/* Transactions in a cluster of whole nodes in this process, on virtual time. */
import test, { type ExecutionContext } from 'ava'
import type { RawClient } from '../../raw.ts'
import { checkInvariants } from '../../../server/store/store.ts'
import { type InProcessCluster, startCluster } from '../in-process.ts'

/** Keys, each of another node. */
interface Nodes {
  readonly cluster: InProcessCluster
  readonly clients: readonly RawClient[]
  /** A key that the node of this rank owns: `{..}`, so that more can be made of it. */
  keyOf(rank: number): string
  /** Sends commands, one after the other, and gives the replies. */
  say(client: RawClient, ...lines: readonly string[]): Promise<string[]>
}

async function start(t: ExecutionContext): Promise<Nodes> {
  const cluster = await startCluster(3, [])
  t.teardown(() => cluster.shutdown())
  const { nodes } = cluster
  const { membership } = nodes[0]!.server.routing
  const names = membership!.members.map(({ name }) => name)
  const keyOf = (rank: number): string => {
    for (let i = 0; ; i++) {
      const key = `{${i}}`
      if (nodes[0]!.server.routing.ownerOf(Buffer.from(String(i))) === names[rank]) return key
    }
  }
  const say = async (client: RawClient, ...lines: readonly string[]): Promise<string[]> => {
    const replies: string[] = []
    for (const line of lines) {
      const reply = client.send(line.split(' '))
      await cluster.settle()
      replies.push(await reply)
    }
    return replies
  }
  return { cluster, clients: nodes.map((node) => node.connect()), keyOf, say }
}

test('a transaction runs on the owner of its keys, through any node', async (t) => {
  const { clients, cluster, keyOf, say } = await start(t)
  for (const [at, client] of clients.entries()) {
    for (const rank of [0, 1, 2]) {
      const key = `${keyOf(rank)}:${at}`
      const queued = await say(
        client,
        'MULTI',
        `SET ${key} 1`,
        `INCR ${key}`,
        `APPEND ${key} x`,
        `INCR ${key}`,
        `GET ${key}:none`,
        `MGET ${key} ${key}:none`,
      )
      t.deepEqual(queued, ['+OK\r\n', ...new Array<string>(6).fill('+QUEUED\r\n')])
      const [exec, after] = await say(client, 'EXEC', `GET ${key}`)
      const error = '-ERR value is not an integer or out of range\r\n'
      t.is(exec, `*6\r\n+OK\r\n:2\r\n:2\r\n${error}$-1\r\n*2\r\n$2\r\n2x\r\n$-1\r\n`)
      t.is(after, '$2\r\n2x\r\n')
    }
  }
  for (const { server } of cluster.nodes) checkInvariants(server.store)
})

test('replies are in the protocol of the client, and commands without keys are its own node’s', async (t) => {
  const { clients, keyOf, say } = await start(t)
  const client = clients[0]!
  const key = keyOf(1)
  await say(client, 'HELLO 3', 'CLIENT SETNAME me', 'MULTI', `GET ${key}`, 'CLIENT GETNAME')
  const [, , exec] = await say(client, `SET ${key} v`, 'PING', 'EXEC')
  t.is(exec, '*4\r\n_\r\n$2\r\nme\r\n+OK\r\n+PONG\r\n')
  t.deepEqual(await say(client, 'MULTI', 'PING', 'EXEC'), [
    '+OK\r\n',
    '+QUEUED\r\n',
    '*1\r\n+PONG\r\n',
  ])
})

test('large values go there and back', async (t) => {
  const { clients, keyOf, say } = await start(t)
  const client = clients[0]!
  const key = keyOf(1)
  const value = 'v'.repeat(300_000)
  await say(client, 'MULTI', `SET ${key} ${value}`, `GET ${key}`)
  const [exec] = await say(client, 'EXEC')
  t.true(exec === `*2\r\n+OK\r\n$300000\r\n${value}\r\n`)
})

test('keys of several owners, and commands for all nodes, are refused', async (t) => {
  const { clients, keyOf, say } = await start(t)
  const client = clients[0]!
  const crossing = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"
  const aborted = '-EXECABORT Transaction discarded because of previous errors.\r\n'
  const [one, two] = [keyOf(1), keyOf(2)]
  t.deepEqual((await say(client, 'MULTI', `SET ${one} 1`, `SET ${two} 1`, 'EXEC')).slice(2), [
    crossing,
    aborted,
  ])
  t.deepEqual((await say(client, `WATCH ${one}`, 'MULTI', `GET ${two}`, 'EXEC')).slice(2), [
    crossing,
    aborted,
  ])
  const ok = '+OK\r\n'
  const words = [`WATCH ${one} ${two}`, `WATCH ${two}`, `WATCH ${one}`, 'UNWATCH', `WATCH ${one}`]
  t.deepEqual(await say(client, ...words, 'UNWATCH'), [crossing, ok, crossing, ok, ok, ok])
  t.deepEqual((await say(client, 'MULTI', 'KEYS *', 'EXEC')).slice(1), [
    '-ERR KEYS asks all nodes, which a transaction of a cluster cannot wait for\r\n',
    aborted,
  ])
})

test('keys are watched on their owner, through any node', async (t) => {
  const { clients, cluster, keyOf, say } = await start(t)
  const others = cluster.nodes.map((node) => node.connect())
  for (const client of clients) {
    for (const rank of [0, 1, 2]) {
      const key = keyOf(rank)
      const other = others[rank]!
      const run = async (between: () => Promise<unknown>): Promise<string> => {
        await say(client, `SET ${key} 1`, `WATCH ${key} ${key}:none`, 'MULTI', `GET ${key}`)
        await between()
        return (await say(client, 'EXEC'))[0]!
      }
      t.is(await run(() => say(other, `GET ${key}`)), '*1\r\n$1\r\n1\r\n')
      t.is(await run(() => say(other, `SET ${key} 1`)), '*-1\r\n')
      t.is(await run(() => say(other, `SET ${key}:none 1`)), '*-1\r\n')
      t.is(await run(() => say(other, `SET ${key}:other 1`)), '*1\r\n$1\r\n1\r\n')
      await say(client, `WATCH ${key}`, `SET ${key} 2`, 'UNWATCH', 'MULTI')
      t.deepEqual(await say(client, `GET ${key}`, 'EXEC'), ['+QUEUED\r\n', '*1\r\n$1\r\n2\r\n'])
      await say(client, `WATCH ${key}`, `SET ${key} 3`, 'MULTI', 'PING')
      t.deepEqual(await say(client, 'EXEC', 'EXEC'), ['*-1\r\n', '-ERR EXEC without MULTI\r\n'])
    }
  }
})

test('clients of several nodes raise one counter, and lose nothing', async (t) => {
  const { clients, cluster, keyOf } = await start(t)
  const key = keyOf(1)
  let failures = 0
  let running = clients.length
  const raise = async (client: RawClient): Promise<void> => {
    for (let done = 0; done < 20;) {
      await client.command('WATCH', key)
      const value = Number(/\r\n(\d+)\r\n$/.exec(await client.command('GET', key))?.[1] ?? '0')
      await client.command('MULTI')
      await client.command('SET', key, String(value + 1))
      const reply = await client.command('EXEC')
      if (reply === '*1\r\n+OK\r\n') done++
      else if (reply === '*-1\r\n') failures++
      else throw new Error(reply)
    }
    running--
  }
  const all = Promise.all(clients.map(raise))
  while (running > 0) await cluster.settle()
  await all
  const get = clients[0]!.command('GET', key)
  await cluster.settle()
  t.is(await get, '$2\r\n60\r\n')
  t.true(failures > 0)
})

test('where the link has ended meanwhile nobody knows what was watched, and EXEC runs nothing', async (t) => {
  const { clients, cluster, keyOf, say } = await start(t)
  const client = clients[0]!
  const key = keyOf(1)
  await say(client, `SET ${key} 1`, `WATCH ${key}`, 'MULTI', `SET ${key} 2`)
  const { routing } = cluster.nodes[0]!.server
  const owner = routing.ownerOf(Buffer.from(key.slice(1, -1)))
  routing.peers.get(owner)!.drop('a test')
  await cluster.clock.advance(2_000)
  t.deepEqual(await say(client, 'EXEC', `GET ${key}`), ['*-1\r\n', '$1\r\n1\r\n'])
})

test('who goes leaves nothing watched elsewhere, and clients may not ask what nodes may', async (t) => {
  const { clients, cluster, keyOf, say } = await start(t)
  const { client, session } = cluster.nodes[0]!.connectSession()
  const key = keyOf(1)
  await say(client, `WATCH ${key}`)
  t.is(session.watches, 1)
  session.destroy()
  await cluster.settle()
  const only = '-ERR only nodes of the cluster ask this of each other\r\n'
  const asked = ['PEER WATCH a', 'PEER UNWATCH a', 'PEER EXEC 2 a a']
  t.deepEqual(await say(clients[0]!, ...asked), [only, only, only])
  const owner = cluster.nodes.find(({ server }) => {
    const { membership } = server.routing
    return membership!.self === server.routing.ownerOf(Buffer.from(key.slice(1, -1)))
  })!
  for (const peer of owner.server.clients.values()) t.is(peer.tickets.count, 0)
})
