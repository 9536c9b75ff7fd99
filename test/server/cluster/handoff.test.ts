/* Keys that change hands, in a cluster of whole nodes in this process, on virtual time. */
import test, { type ExecutionContext } from 'ava'
import type { Loader } from '../../../cluster/origin/loader.ts'
import { checkInvariants } from '../../../server/store/store.ts'
import type { RawClient } from '../../raw.ts'
import { keySlot } from '../../../cluster/slots.ts'
import { type InProcessCluster, startCluster } from '../in-process.ts'
import { PeerClient } from './peer-client.ts'

const LEAVER = 2

interface Nodes {
  readonly cluster: InProcessCluster
  readonly clients: readonly RawClient[]
  /** Different keys that the node which is to leave owns. */
  keys(count: number): string[]
  say(client: RawClient, ...lines: readonly string[]): Promise<string[]>
  /** The node leaves, up to where it offers its keys, which `offers` says. */
  leave(offers?: boolean): Promise<void>
}

async function start(
  t: ExecutionContext,
  args: readonly string[] = [],
  loader?: Loader,
): Promise<Nodes> {
  const cluster = await startCluster(3, args, loader === undefined ? {} : { loader })
  t.teardown(() => cluster.shutdown())
  // What moves in the moment in which a node begins has not moved.
  await cluster.clock.advance(1)
  const { nodes } = cluster
  const { routing } = nodes[LEAVER]!.server
  const keys = (count: number): string[] => {
    const found: string[] = []
    for (let i = 0; found.length < count; i++) {
      if (routing.isHere(Buffer.from(`k:${i}`))) found.push(`k:${i}`)
    }
    return found
  }
  const say = async (client: RawClient, ...lines: readonly string[]): Promise<string[]> => {
    const replies: string[] = []
    for (const line of lines) {
      const reply = client.send(line.split(' '))
      for (let i = 0; i < 3; i++) await cluster.settle()
      replies.push(await reply)
    }
    return replies
  }
  const leave = async (offers = true): Promise<void> => {
    const { leaving, store } = nodes[LEAVER]!.server
    if (!offers) store.scan = () => 0
    let hasLeft = false
    void leaving!.leave().then(() => (hasLeft = true))
    for (let i = 0; i < 1000 && !hasLeft; i++) await cluster.clock.advance(1)
    t.true(hasLeft)
  }
  return { cluster, clients: nodes.map((node) => node.connect()), keys, say, leave }
}

const moved = ({ nodes }: InProcessCluster): number =>
  nodes.reduce((sum, { server }) => sum + server.takeover!.counters.moved, 0)

test('each command finds what the node that leaves had, whatever it does with it', async (t) => {
  const { cluster, clients, keys, say, leave } = await start(t)
  const [client] = clients
  const cases: readonly (readonly [set: string, command: string, reply: string, get: string])[] = [
    ['SET K v', 'GET K', '$1\r\nv\r\n', '$1\r\nv\r\n'],
    ['SET K 41', 'INCR K', ':42\r\n', '$2\r\n42\r\n'],
    ['SET K a', 'APPEND K b', ':2\r\n', '$2\r\nab\r\n'],
    ['SET K a', 'GETSET K b', '$1\r\na\r\n', '$1\r\nb\r\n'],
    ['SET K abc', 'SETRANGE K 1 x', ':3\r\n', '$3\r\naxc\r\n'],
    ['SET K a', 'SET K b NX', '$-1\r\n', '$1\r\na\r\n'],
    ['SET K a', 'SET K b XX', '+OK\r\n', '$1\r\nb\r\n'],
    ['SET K a', 'EXPIRE K 100', ':1\r\n', '$1\r\na\r\n'],
    ['SET K a', 'DEL K', ':1\r\n', '$-1\r\n'],
    ['SET K a', 'UNLINK K', ':1\r\n', '$-1\r\n'],
    ['SET K a', 'SET K b', '+OK\r\n', '$1\r\nb\r\n'],
    ['SET K a', 'EXISTS K', ':1\r\n', '$1\r\na\r\n'],
    ['SET K a', 'MGET K K', '*2\r\n$1\r\na\r\n$1\r\na\r\n', '$1\r\na\r\n'],
    ['SET K a EX 100', 'TTL K', ':100\r\n', '$1\r\na\r\n'],
    ['SET K a', 'RENAME K K', '+OK\r\n', '$1\r\na\r\n'],
    [
      `SET K ${'x'.repeat(100_000)}`,
      'STRLEN K',
      ':100000\r\n',
      `$100000\r\n${'x'.repeat(100_000)}\r\n`,
    ],
  ]
  const names = keys(cases.length)
  const using = (line: string, i: number): string => line.replaceAll(/\bK\b/g, names[i]!)
  for (const [i, [set]] of cases.entries())
    t.deepEqual(await say(client!, using(set, i)), ['+OK\r\n'])
  await leave(false)
  for (const [i, [, command, reply, get]] of cases.entries()) {
    const asker = clients[i % 2]!
    t.deepEqual(await say(asker, using(command, i), using(`GET K`, i)), [reply, get], command)
  }
  t.is(moved(cluster), cases.length)
  // Nothing is left that could come back.
  for (const [i] of cases.entries()) await say(client!, using('DEL K', i))
  for (const [i] of cases.entries()) t.deepEqual(await say(client!, using('GET K', i)), ['$-1\r\n'])
  t.is(cluster.nodes[LEAVER]!.server.store.size(0), 0)
  for (const { server } of cluster.nodes) checkInvariants(server.store)
})

test('commands of one connection keep their order while a key is fetched', async (t) => {
  const { cluster, clients, keys, say, leave } = await start(t)
  const [client] = clients
  const [key] = keys(1)
  await say(client!, `SET ${key} 1`)
  await leave(false)
  const lines = [`INCR ${key}`, `GET ${key}`, `SET ${key} 7`, `MGET ${key}`, 'PING', `INCR ${key}`]
  const replies = lines.map((line) => client!.send(line.split(' ')))
  for (let i = 0; i < 4; i++) await cluster.settle()
  t.deepEqual(await Promise.all(replies), [
    ':2\r\n',
    '$1\r\n2\r\n',
    '+OK\r\n',
    '*1\r\n$1\r\n7\r\n',
    '+PONG\r\n',
    ':8\r\n',
  ])
})

test('many who ask at once are one question', async (t) => {
  const { cluster, clients, keys, say, leave } = await start(t)
  const [key] = keys(1)
  await say(clients[0]!, `SET ${key} 1`)
  await leave(false)
  const all = Array.from({ length: 50 }, (_, i) => clients[i % 2]!.send(['INCR', key!]))
  for (let i = 0; i < 4; i++) await cluster.settle()
  const counts = (await Promise.all(all)).map((reply) => Number(reply.slice(1)))
  t.deepEqual(
    counts.toSorted((a, b) => a - b),
    all.map((_, i) => i + 2),
  )
  t.is(moved(cluster), 1)
})

test('a transaction and what is watched for it find it, too', async (t) => {
  const { cluster, clients, keys, say, leave } = await start(t)
  const all = keys(4)
  for (const key of all) await say(clients[0]!, `SET ${key} 1`)
  await leave(false)
  for (const [i, key] of all.entries()) {
    const client = clients[i % 2]!
    const watch = i < 2 ? [] : [`WATCH ${key}`]
    const lines = [...watch, 'MULTI', `INCR ${key}`, `GET ${key}`, 'EXEC']
    t.is((await say(client, ...lines)).at(-1), '*2\r\n:2\r\n$1\r\n2\r\n')
  }
  t.is(moved(cluster), all.length)
})

test('a node that leaves offers its keys, and sends its own clients to their new owners', async (t) => {
  const { cluster, clients, keys, say, leave } = await start(t)
  const all = keys(200)
  for (const key of all) await say(clients[0]!, `SET ${key} ${key}`)
  await leave()
  t.is(moved(cluster), 200)
  t.is(cluster.nodes[LEAVER]!.server.store.size(0), 0)
  for (const key of all) {
    t.deepEqual(await say(clients[LEAVER]!, `GET ${key}`), [`$${key.length}\r\n${key}\r\n`])
  }
  t.deepEqual(await say(clients[LEAVER]!, `SET ${all[0]} new`), ['+OK\r\n'])
  t.deepEqual(await say(clients[0]!, `GET ${all[0]}`), ['$3\r\nnew\r\n'])
})

test('after FLUSHALL or an invalidation nothing comes any more', async (t) => {
  for (const command of ['FLUSHALL', 'CACHE.INVALIDATE PREFIX k']) {
    const { cluster, clients, keys, say, leave } = await start(t)
    const [key] = keys(1)
    await say(clients[0]!, `SET ${key} 1`)
    await leave(false)
    t.deepEqual(await say(clients[0]!, command, `GET ${key}`), ['+OK\r\n', '$-1\r\n'])
    t.is(moved(cluster), 0)
  }
})

test('a previous owner that says nothing is given up, and its value never comes', async (t) => {
  const { cluster, clients, keys, say, leave } = await start(t)
  const [key] = keys(1)
  await say(clients[0]!, `SET ${key} old`)
  await leave(false)
  // It answers no question any more.
  const { handoff } = cluster.nodes[LEAVER]!.server
  handoff!.fence.phase = 1
  const reply = clients[0]!.send(['GET', key!])
  await cluster.clock.advance(450)
  await cluster.settle()
  t.is(await reply, '$-1\r\n')
  handoff!.fence.phase = 3
  handoff!.release()
  await cluster.settle()
  t.deepEqual(await say(clients[0]!, `GET ${key}`, `SET ${key} new`, `GET ${key}`), [
    '$-1\r\n',
    '+OK\r\n',
    '$3\r\nnew\r\n',
  ])
})

test('what was loaded comes with its times, tags and group, and no origin is asked', async (t) => {
  let loads = 0
  const loader: Loader = {
    load: () => {
      loads++
      return Promise.resolve({ value: Buffer.from('loaded'), etag: '"e"', tags: ['red'] })
    },
    close: () => Promise.resolve(),
  }
  const group = ['--group', 'k match k:{id} origin http://h/{id} ttl 100s stale 50s early 0']
  const { cluster, clients, keys, say, leave } = await start(t, group, loader)
  const all = keys(2)
  for (const key of all) await say(clients[0]!, `GET ${key}`)
  t.is(loads, 2)
  await cluster.clock.advance(10_000)
  await leave()
  t.is(moved(cluster), 2)
  const replies = await say(
    clients[0]!,
    `GET ${all[0]}`,
    `TTL ${all[0]}`,
    `CACHE.GET ${all[1]} META`,
  )
  t.is(replies[0], '$6\r\nloaded\r\n')
  t.is(replies[1], ':90\r\n')
  t.regex(replies[2]!, /loaded/)
  t.is(loads, 2)
  t.deepEqual(await say(clients[0]!, 'CACHE.INVALIDATE TAG red'), ['+OK\r\n'])
  await say(clients[0]!, `GET ${all[0]}`)
  t.is(loads, 3)
})

test('what is known to be missing moves, and goes when its time is over', async (t) => {
  let loads = 0
  const loader: Loader = {
    load: () => {
      loads++
      return Promise.resolve({ value: null })
    },
    close: () => Promise.resolve(),
  }
  const group = ['--group', 'k match k:{id} origin http://h/{id} ttl 100s negative 10s']
  const { cluster, clients, keys, say, leave } = await start(t, group, loader)
  const [key] = keys(1)
  await say(clients[0]!, `GET ${key}`)
  await cluster.clock.advance(4_000)
  await leave(false)
  const missing = Array.from({ length: 2 }, () => '$-1\r\n')
  t.deepEqual(await say(clients[0]!, `GET ${key}`, `GET ${key}`), missing)
  t.is(moved(cluster), 1)
  t.is(loads, 1)
  t.deepEqual(await say(clients[0]!, 'DBSIZE', `EXISTS ${key}`), [':0\r\n', ':0\r\n'])
  await cluster.clock.advance(6_000)
  await say(clients[0]!, `GET ${key}`)
  t.is(loads, 2)
  for (const { server } of cluster.nodes) checkInvariants(server.store)
})

test('a tag that is invalidated meanwhile does not come back', async (t) => {
  let loads = 0
  const loader: Loader = {
    load: () => {
      loads++
      return Promise.resolve({ value: Buffer.from(`${loads}`), tags: ['red'] })
    },
    close: () => Promise.resolve(),
  }
  const group = ['--group', 'k match k:{id} origin http://h/{id} ttl 100s']
  const { clients, keys, say, leave } = await start(t, group, loader)
  const [key] = keys(1)
  await say(clients[0]!, `GET ${key}`)
  await leave(false)
  await say(clients[0]!, 'CACHE.INVALIDATE TAG red')
  t.deepEqual(await say(clients[0]!, `GET ${key}`), ['$1\r\n2\r\n'])
})

test('what is kept for a process of a node is not given to the next one, which nobody has missed', async (t) => {
  const { cluster, clients, keys, say } = await start(t)
  const { clock, nodes } = cluster
  const [client] = clients
  const [touched, other] = keys(2) as [string, string]
  const { membership } = nodes[0]!.server.routing
  const name = membership!.members[LEAVER]!.name
  const isUp = (): boolean =>
    nodes.slice(0, LEAVER).every(({ server }) => server.routing.membership!.isLive(name))
  await cluster.crash(LEAVER)
  await clock.until(() => !isUp())
  await clock.advance(1000)
  for (const key of [touched, other]) t.deepEqual(await say(client!, `SET ${key} old`), ['+OK\r\n'])
  const first = await cluster.restart(LEAVER)
  await clock.until(isUp)
  await clock.advance(400)
  t.deepEqual(await say(client!, `GET ${other}`), ['$3\r\nold\r\n'], 'it is kept for the first one')
  // As if another key had its bit: the old value stays where it is.
  const key = Buffer.from(touched)
  first.server.handoff!.fence.settle(keySlot(key, 0, key.length), key)
  t.deepEqual(await say(client!, `SET ${touched} new`), ['+OK\r\n'])
  await cluster.crash(LEAVER)
  const second = await cluster.restart(LEAVER)
  await clock.advance(400)
  t.true(isUp())
  const { asked } = second.server.takeover!.counters
  t.deepEqual(await say(client!, `GET ${touched}`), ['$-1\r\n'])
  t.is(second.server.takeover!.counters.asked, asked + 1)
})

test('a node that stays after all asks those who have heard that it leaves, and nobody else', async (t) => {
  for (const isHeard of [true, false]) {
    const { cluster, clients, keys, say } = await start(t)
    const { clock, nodes } = cluster
    const [client] = clients
    const [key] = keys(1) as [string]
    const name = nodes[0]!.server.routing.membership!.members[LEAVER]!.name
    const isUp = (): boolean =>
      nodes.slice(0, LEAVER).every(({ server }) => server.routing.membership!.isLive(name))
    await cluster.crash(LEAVER)
    await clock.until(() => !isUp())
    await say(client!, `SET ${key} old`)
    const { server, connect } = await cluster.restart(LEAVER)
    await clock.until(isUp)
    await clock.advance(400)
    // As if another key had its bit: the old value stays where it is.
    const bytes = Buffer.from(key)
    server.handoff!.fence.settle(keySlot(bytes, 0, bytes.length), bytes)
    t.deepEqual(await say(client!, `SET ${key} new`), ['+OK\r\n'])
    for (const peer of isHeard ? [] : server.routing.peers.values()) {
      const request = peer.request.bind(peer)
      peer.request = (words, how, done) => {
        if (String(words[1]) === 'LEAVE') done('silent', null, false)
        else request(words, how, done)
      }
    }
    let hasLeft = false
    void server.leaving!.leave().then(() => (hasLeft = true))
    await clock.until(() => hasLeft)
    if (isHeard) t.deepEqual(await say(client!, `SET ${key} between`), ['+OK\r\n'])
    void server.leaving!.stay()
    await clock.advance(400)
    const [reply] = await say(connect(), `GET ${key}`)
    t.is(reply, isHeard ? '$7\r\nbetween\r\n' : '$-1\r\n')
  }
})

test('when all nodes begin, soon nobody is asked for keys any more', async (t) => {
  const { cluster, clients, keys, say, leave } = await start(t)
  const { nodes, clock } = cluster
  const asked = (): number =>
    nodes.reduce((sum, { server }) => sum + server.takeover!.counters.asked, 0)
  const { startedAt } = nodes[0]!.server
  await clock.until(() => nodes.every(({ server }) => !server.handoff!.fence.isActive))
  t.true(clock.now() - startedAt < 5_000)
  const all = keys(3) as [string, string, string]
  for (const key of all) t.deepEqual(await say(clients[0]!, `SET ${key} 1`), ['+OK\r\n'])
  t.is(asked(), 0)
  // One that has something says so.
  await leave(false)
  await clock.advance(1_500)
  t.deepEqual(await say(clients[0]!, `INCR ${all[0]}`, `INCR ${all[1]}`), [':2\r\n', ':2\r\n'])
  t.is(asked(), 2)
})

test('a node that has something for one that is back says so, and nothing is lost', async (t) => {
  const { cluster, clients, keys, say } = await start(t)
  const { nodes, clock } = cluster
  const name = nodes[0]!.server.routing.membership!.members[LEAVER]!.name
  const isUp = (): boolean =>
    nodes.slice(0, LEAVER).every(({ server }) => server.routing.membership!.isLive(name))
  await cluster.crash(LEAVER)
  await clock.until(() => !isUp())
  const all = keys(20)
  for (const key of all) t.deepEqual(await say(clients[0]!, `SET ${key} 1`), ['+OK\r\n'])
  const back = await cluster.restart(LEAVER)
  await clock.until(isUp)
  await clock.advance(3_000)
  for (const key of all) t.deepEqual(await say(clients[1]!, `INCR ${key}`), [':2\r\n'])
  t.is(back.server.takeover!.counters.moved, 20)
})

test('clients may not say what nodes say', async (t) => {
  const { clients, say } = await start(t)
  for (const line of ['PEER TAKE k 0', 'PEER OFFER k', 'PEER KEPT 0', 'PEER LEAVE', 'PEER STAY']) {
    const [reply] = await say(clients[0]!, line)
    t.is(reply, '-ERR only nodes of the cluster ask this of each other\r\n')
  }
})

test('a good-bye of a process that is gone, heard late, puts nobody out of the ring', async (t) => {
  const { cluster, say } = await start(t)
  const [one, other] = [cluster.nodes[0]!.server, cluster.nodes[LEAVER]!]
  const { self } = one.routing.membership!
  const peer = await PeerClient.open(other, self, 'a secret of this test')
  const hear = async (...words: string[]): Promise<string> => {
    t.regex(await peer.say(peer.request(['PEER', ...words])), /OK/)
    return other.server.routing.membership!.member(self)!.state
  }
  t.is(await hear('LEAVE', '0123456789abcdef', '7'), 'up')
  t.is(await hear('LEAVE', one.incarnation, '7'), 'leaving')
  t.is(await hear('STAY', one.incarnation, '6'), 'leaving')
  const client = other.connect()
  const [, id] = /^(\w+) 127.0.0.1:7001@7001 master,nofailover - /m.exec(
    (await say(client, 'CLUSTER NODES'))[0]!,
  )!
  const [shards] = await say(client, 'CLUSTER SHARDS')
  t.regex(
    shards!,
    new RegExp(`slots\r\n\\*0\r\n[^*]*\\*1\r\n[^*]*\\*14\r\n[^*]*${id}[^*]*loading\r\n`),
  )
  t.is(await hear('STAY', one.incarnation, '8'), 'up')
  t.is(await hear('LEAVE', one.incarnation, '7'), 'up')
})
