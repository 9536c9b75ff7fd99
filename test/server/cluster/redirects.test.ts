import test from 'ava'
import { keySlot } from '../../../cluster/slots.ts'
import { slotsBeyondChance } from '../../../server/cluster/redirects.ts'
import type { RawClient } from '../../raw.ts'
import { type InProcessCluster, startCluster } from '../in-process.ts'

/** Keys of different slots with the same owner, as node `i` sees it now. */
function keysOf({ nodes }: InProcessCluster, i: number, count: number, prefix = 'k'): string[] {
  const membership = nodes[i]!.server.routing.membership!
  const keys: string[] = []
  const slots = new Set<number>()
  for (let n = 0; keys.length < count; n++) {
    const bytes = Buffer.from(`${prefix}${n}`)
    const slot = keySlot(bytes, 0, bytes.length)
    if (slots.has(slot) || membership.live().owner(slot) !== membership.self) continue
    slots.add(slot)
    keys.push(String(bytes))
  }
  return keys
}

async function say(cluster: InProcessCluster, client: RawClient, ...words: string[]) {
  const reply = client.command(...words)
  await cluster.settle()
  return reply
}

/** A link that was given up is opened anew by who asks, once some time has gone by. */
async function reconnect(cluster: InProcessCluster, client: RawClient, key: string) {
  await cluster.clock.advance(200)
  await say(cluster, client, 'GET', key)
}

test('how many slots are no chance follows from the share', (t) => {
  t.is(slotsBeyondChance(1 / 2), 20)
  t.is(slotsBeyondChance(1 / 4), 10)
  t.is(slotsBeyondChance(0.99), Infinity)
  t.is(slotsBeyondChance(1), Infinity)
  t.is(slotsBeyondChance(0), 1)
})

test('always and never: MOVED as from Redis Cluster, or a forward', async (t) => {
  const cluster = await startCluster(2, ['--cluster-redirect', 'always'])
  const client = cluster.nodes[0]!.connect()
  const [own] = keysOf(cluster, 0, 1)
  const [key] = keysOf(cluster, 1, 1)
  const slot = keySlot(Buffer.from(key!), 0, key!.length)
  const moved = `-MOVED ${slot} 127.0.0.1:7002\r\n`
  t.is(await say(cluster, client, 'SET', own!, '1'), '+OK\r\n')
  t.is(await say(cluster, client, 'SET', key!, '1'), moved)
  t.is(await say(cluster, client, 'MGET', key!, `{${key}}x`), moved)
  t.is(await say(cluster, client, 'EXISTS', key!), moved)
  const crossSlot = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"
  t.is(await say(cluster, client, 'MGET', key!, own!), crossSlot)
  t.is(await say(cluster, client, 'WATCH', key!), moved)
  t.is(await say(cluster, client, 'MULTI'), '+OK\r\n')
  t.is(await say(cluster, client, 'GET', key!), moved)
  t.regex(await say(cluster, client, 'EXEC'), /^-EXECABORT/)
  t.is(await say(cluster, client, 'CONFIG', 'SET', 'cluster-redirect', 'never'), '+OK\r\n')
  t.is(await say(cluster, client, 'SET', key!, '1'), '+OK\r\n')
  t.is(await say(cluster, client, 'MGET', key!, own!), '*2\r\n$1\r\n1\r\n$1\r\n1\r\n')
  t.is(cluster.nodes[0]!.server.routing.redirects!.told, 3)
  client.close()
  cluster.shutdown()
})

test('auto: where all slots were this node’s, nobody is told apart', async (t) => {
  const cluster = await startCluster(2, [])
  const [one, two] = cluster.nodes
  const names = [one!, two!].map(({ server }) => server.routing.membership!.self)
  const redirects = one!.server.routing.redirects!
  const foreign = keysOf(cluster, 1, 30)
  const own = keysOf(cluster, 0, 30)
  const follower = one!.connect()
  const plain = one!.connect()
  const fewKeys = one!.connect()

  // The other node is out of the ring for a while: all keys are this node's.
  const membership = one!.server.routing.membership!
  membership.stop()
  membership.follow(names[1]!, 'down')
  for (const key of [...own, ...foreign]) {
    t.is(await say(cluster, follower, 'SET', key, '1'), '+OK\r\n')
  }
  t.is(await say(cluster, fewKeys, 'GET', foreign[0]!), '$1\r\n1\r\n')
  t.is(redirects.told, 0)

  // With all slots nobody can be told from who hits by chance.
  membership.follow(names[1]!, 'up')
  await reconnect(cluster, plain, foreign[2]!)
  t.is(await say(cluster, follower, 'GET', foreign[0]!), '$-1\r\n')
  t.is(redirects.told, 0)
  for (const key of own) await say(cluster, follower, 'GET', key)
  for (const key of foreign) await say(cluster, plain, 'GET', key)
  t.is(await say(cluster, follower, 'GET', foreign[1]!), '$-1\r\n', 'nothing has changed since')
  t.is(redirects.told, 0)
  for (const client of [follower, plain, fewKeys]) client.close()
  cluster.shutdown()
})

test('auto: among three nodes one comes back, and takes its slots', async (t) => {
  const cluster = await startCluster(3, [])
  const [one] = cluster.nodes
  const membership = one!.server.routing.membership!
  const third = cluster.nodes[2]!.server.routing.membership!.self
  const ofThird = keysOf(cluster, 2, 200)
  membership.stop()
  membership.follow(third, 'down')
  const ring = membership.live()
  const moves = ofThird.filter(
    (key) => ring.owner(keySlot(Buffer.from(key), 0, key.length)) === membership.self,
  )
  const own = keysOf(cluster, 0, 60)
  const follower = one!.connect()
  const plain = one!.connect()
  const fewKeys = one!.connect()
  for (const key of own) await say(cluster, follower, 'SET', key, '1')
  for (const key of keysOf(cluster, 1, 30)) await say(cluster, plain, 'GET', key)
  for (let i = 0; i < 100; i++) await say(cluster, fewKeys, 'GET', moves[0]!)
  membership.follow(third, 'up')
  await reconnect(cluster, plain, moves[2]!)
  t.is(await say(cluster, plain, 'GET', moves[0]!), '$-1\r\n')
  t.is(await say(cluster, fewKeys, 'GET', moves[0]!), '$-1\r\n')
  t.regex(await say(cluster, follower, 'GET', moves[0]!), /^-MOVED \d+ 127.0.0.1:7003\r\n$/)
  t.is(await say(cluster, follower, 'GET', moves[1]!), '$-1\r\n', 'once')
  t.is(one!.server.routing.redirects!.told, 1)
  for (const client of [follower, plain, fewKeys]) client.close()
  cluster.shutdown()
})

test('auto: who follows is told also where to send what a node had that is gone', async (t) => {
  const cluster = await startCluster(3, [])
  const [one] = cluster.nodes
  const membership = one!.server.routing.membership!
  const third = cluster.nodes[2]!.server.routing.membership!.self
  const ofThird = keysOf(cluster, 2, 200)
  const ofSecond = keysOf(cluster, 1, 1)
  const follower = one!.connect()
  const plain = one!.connect()
  for (const key of keysOf(cluster, 0, 60)) await say(cluster, follower, 'SET', key, '1')
  for (const key of keysOf(cluster, 0, 5)) await say(cluster, plain, 'SET', key, '1')
  membership.stop()
  membership.follow(third, 'down')
  const ring = membership.live()
  const moved = ofThird.filter(
    (key) => ring.owner(keySlot(Buffer.from(key), 0, key.length)) !== membership.self,
  )
  t.is(await say(cluster, plain, 'GET', moved[0]!), '$-1\r\n')
  t.regex(await say(cluster, follower, 'GET', moved[0]!), /^-MOVED \d+ 127.0.0.1:7002\r\n$/)
  t.is(await say(cluster, follower, 'GET', moved[1]!), '$-1\r\n', 'once')
  for (const key of keysOf(cluster, 0, 60)) await say(cluster, follower, 'SET', key, '1')
  t.is(await say(cluster, follower, 'GET', ofSecond[0]!), '$-1\r\n', 'it was there before')
  t.is(one!.server.routing.redirects!.told, 1)
  for (const client of [follower, plain]) client.close()
  cluster.shutdown()
})

test('auto: who sent all to a node that was alone is not told when the others come back one by one', async (t) => {
  const cluster = await startCluster(3, [])
  const [one, ...others] = cluster.nodes
  const membership = one!.server.routing.membership!
  const names = others.map(({ server }) => server.routing.membership!.self)
  const ofThird = keysOf(cluster, 2, 80)
  membership.stop()
  for (const name of names) membership.follow(name, 'down')
  const plain = one!.connect()
  for (const key of ofThird) t.is(await say(cluster, plain, 'SET', key, '1'), '+OK\r\n')
  for (const name of names) membership.follow(name, 'up')
  t.notRegex(await say(cluster, plain, 'GET', ofThird[0]!), /MOVED/)
  t.is(one!.server.routing.redirects!.told, 0)
  plain.close()
  cluster.shutdown()
})
