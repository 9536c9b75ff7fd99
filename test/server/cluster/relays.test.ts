import test, { type ExecutionContext } from 'ava'
import { type InProcessCluster, startCluster } from '../in-process.ts'
import { PeerClient } from './peer-client.ts'

const SECRET = 'a secret of this test'
const [A, B, C] = ['127.0.0.1:7001', '127.0.0.1:7002', '127.0.0.1:7003'] as const

interface Scene {
  readonly cluster: InProcessCluster
  /** Node A, as node C hears it. */
  readonly a: PeerClient
  /** What C answers to PEER RELAY, without the id. */
  relay(words: readonly string[], protocol?: 2 | 3): Promise<string>
  /** Requests that C has sent to B, heartbeats too. */
  readonly sent: number
}

async function open(t: ExecutionContext): Promise<Scene> {
  const cluster = await startCluster(3, [])
  t.teardown(() => cluster.shutdown())
  const node = cluster.nodes[2]!
  const a = await PeerClient.open(node, A, SECRET)
  const relay = async (words: readonly string[], protocol?: 2 | 3): Promise<string> => {
    const said = await a.say(a.request(['PEER', 'RELAY', ...words], protocol))
    return said.replace(/^@\d+\r\n/, '')
  }
  const peer = node.server.routing.peers.get(B)!
  return {
    ...{ cluster, a, relay },
    get sent() {
      return peer.counters.requests
    },
  }
}

test('a command is passed on as it is, and its reply comes back in the protocol that is wanted', async (t) => {
  const { cluster, relay } = await open(t)
  const b = await PeerClient.open(cluster.nodes[1]!, A, SECRET)
  t.is(await relay([B, 'SET', 'k', 'v']), '+OK\r\n')
  t.is(await b.say(b.request(['GET', 'k'])), '@1\r\n$1\r\nv\r\n')
  t.is(await relay([B, 'GET', 'none']), '$-1\r\n')
  t.is(await relay([B, 'GET', 'none'], 3), '_\r\n')
  t.is(await relay([B, 'INCR', 'k']), '-ERR value is not an integer or out of range\r\n')
  t.is(await relay([B, 'DBSIZE']), ':1\r\n')
  t.is(await relay([B, 'PUBLISH', 'channel', 'hello']), ':0\r\n')
  t.is(
    await relay([B, 'PEER', 'EXEC', '2', '', '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n']),
    '*1\r\n$7\r\n$1\r\nv\r\n\r\n',
  )
  // It comes in pages of the store, here and there.
  const big = 'x'.repeat(100_000)
  t.is(await relay([B, 'SET', 'big', big]), '+OK\r\n')
  t.is(await relay([B, 'GET', 'big']), `$100000\r\n${big}\r\n`)
  t.is(cluster.nodes[2]!.server.relays.passed, 9)
})

test('what depends on who asks is not passed on, nor what was passed on already', async (t) => {
  const scene = await open(t)
  const { cluster, relay, sent } = scene
  for (const words of [
    ['PEER', 'RELAY', C, 'GET', 'k'],
    ['PEER', 'TAKE', 'k'],
    ['PEER', 'WATCH', 'k'],
    ['PEER', 'EXEC', '2', 'a ticket of 16 B', '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n'],
    ['PEER', 'HOTGET', 'k', '1'],
    ['PEER', 'LEAVE'],
    ['PEER'],
    ['WATCH', 'k'],
    ['MULTI'],
    ['SUBSCRIBE', 'channel'],
    ['SSUBSCRIBE', 'channel'],
    ['SELECT', '1'],
    ['HELLO', '3'],
    ['CLIENT', 'REPLY', 'OFF'],
    ['QUIT'],
    ['RESET'],
    ['SHUTDOWN'],
    ['INFO'],
    ['NONSENSE', 'k'],
    ['GET', 'k', 'more'],
    [''],
  ]) {
    const line = `-RELAY unreachable: ${B} has not answered\r\n`
    t.is(await relay([B, ...words]), line, words.join(' '))
  }
  t.is(scene.sent, sent)
  const client = cluster.nodes[2]!.connect()
  const refused = client.command('PEER', 'RELAY', B, 'GET', 'k')
  await cluster.settle()
  t.is(await refused, '-ERR only nodes of the cluster ask this of each other\r\n')
})

test('nothing is passed on to who does not answer, to this node or to a stranger', async (t) => {
  const { cluster, relay } = await open(t)
  t.is(await relay([C, 'GET', 'k']), `-RELAY unreachable: ${C} has not answered\r\n`)
  for (const name of ['stranger:1', '', '\r\n+OK']) {
    t.is(await relay([name, 'GET', 'k']), `-RELAY unreachable: it has not answered\r\n`)
  }
  const { membership } = cluster.nodes[2]!.server.routing
  for (const stream of cluster.network.dialled) stream.stall()
  await cluster.clock.until(() => membership!.member(B)!.state === 'suspect')
  t.is(await relay([B, 'GET', 'k']), `-RELAY unreachable: ${B} has not answered\r\n`)
})

test('a node that says nothing is told of as that', async (t) => {
  const { cluster, a } = await open(t)
  for (const stream of cluster.network.dialled) stream.stall()
  let told = ''
  a.stream.on('data', (text: string) => (told += text))
  await a.say(a.request(['PEER', 'RELAY', B, 'INCR', 'k']))
  await cluster.clock.advance(450)
  t.is(told, `@-1\r\n@1\r\n-RELAY silent: ${B} has not answered\r\n`)
})

test('beyond so many at a time there is an error', async (t) => {
  const { cluster, a } = await open(t)
  for (const stream of cluster.network.dialled) stream.stall()
  const all = Array.from({ length: 1025 }, () => a.request(['PEER', 'RELAY', B, 'GET', 'k']))
  t.is(await a.say(all.join('')), `@1025\r\n-RELAY busy: ${B} has not answered\r\n`)
  await cluster.clock.advance(450)
  for (const stream of cluster.network.dialled) stream.flow()
  t.is(cluster.nodes[2]!.server.relays.passed, 1024)
})

test('what has been waiting while this node stood still is not passed on', async (t) => {
  const scene = await open(t)
  const { cluster, relay, sent } = scene
  const { server } = cluster.nodes[2]!
  server.late.awake(cluster.clock.now() - 301)
  server.wake(cluster.clock.now())
  t.is(await relay([B, 'SET', 'k', 'old']), `-RELAY unreachable: ${B} has not answered\r\n`)
  t.is(scene.sent, sent)
  await cluster.clock.advance(400)
  t.is(await relay([B, 'SET', 'k', 'new']), '+OK\r\n')
})
