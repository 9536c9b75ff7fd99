import test from 'ava'
import { Cluster, Redis } from 'ioredis'
import { RawClient } from '../raw.ts'
import { startOrigin } from './counting-origin.ts'
import { startNodes } from './nodes.ts'

const password = 'a password of this test'

test.serial(
  'any node answers for every key, whatever the command, behind a password',
  async (t) => {
    const origin = await startOrigin()
    const group = `item match item:{id} origin ${origin.url}/items/{id} ttl 1h wait 30s timeout 30s`
    const nodes = await startNodes(3, ['--group', group], password)
    const clients = nodes.ports.map((port) => new Redis(port, '127.0.0.1', { password }))
    const [one, two, three] = clients as [Redis, Redis, Redis]
    const keys = Array.from({ length: 100 }, (_, i) => `key:${i}`)
    const values = keys.map((key) => `value of ${key}`)
    try {
      t.is(await one.mset(keys.flatMap((key, i) => [key, values[i]!])), 'OK')
      t.deepEqual(await two.mget(keys), values)
      t.deepEqual(await three.mget('nothing', ...keys, 'nothing'), [null, ...values, null])
      t.is(await two.exists(...keys, keys[0]!), 101)
      t.is(await three.dbsize(), 100)
      t.deepEqual((await one.keys('*')).sort(), [...keys].sort())
      const scanned: string[] = []
      for await (const page of two.scanStream({ count: 20 })) scanned.push(...(page as string[]))
      t.deepEqual(scanned.sort(), [...keys].sort())
      t.true(keys.includes((await three.randomkey())!))
      t.is(await one.touch(...keys), 100)
      t.is(await three.del(...keys.slice(0, 50)), 50)
      t.is(await two.unlink(...keys), 50)

      // A load behind an MGET that spans nodes, mixed with keys of no group.
      await one.set('own', 'mine')
      const items = Array.from({ length: 30 }, (_, i) => `item:${i}`)
      const loaded = items.map((_, i) => origin.valueOf(`/items/${i}`))
      t.deepEqual(await two.mget('own', ...items, 'nothing'), ['mine', ...loaded, null])
      t.deepEqual(await three.mget(items), loaded)
      t.is(origin.requests, 30)
      t.is(await one.getrange('item:3', 0, 4), 'value')
      t.is(await one.strlen('item:77'), origin.valueOf('/items/77').length)

      // Counters happen at the owner, whoever is asked, and replies keep their order.
      const increments = Array.from({ length: 300 }, (_, i) => clients[i % 3]!.incr('counter'))
      const counts = (await Promise.all(increments)).sort((a, b) => a - b)
      t.deepEqual(
        counts,
        Array.from({ length: 300 }, (_, i) => i + 1),
      )
      const pipeline = one.pipeline()
      for (let i = 0; i < 200; i++) pipeline.set(`p:${i}`, i).get(`p:${i}`).append(`p:${i}`, 'x')
      const replies = (await pipeline.exec())!.map(([, reply]) => reply)
      for (let i = 0; i < 200; i++) {
        t.deepEqual(replies.slice(3 * i, 3 * i + 3), ['OK', String(i), String(i).length + 1])
      }

      // Large values travel whole.
      const large = Buffer.alloc(3_000_000, 'large')
      for (const [i, client] of clients.entries()) t.is(await client.set(`large:${i}`, large), 'OK')
      for (let i = 0; i < 3; i++) {
        for (const client of clients) t.true((await client.getBuffer(`large:${i}`))?.equals(large))
      }

      t.is(await two.flushall(), 'OK')
      t.is(await one.dbsize(), 0)
      // So many that one node has them all only once in 3 ** 99 rings.
      await t.throwsAsync(one.msetnx(keys.flatMap((key) => [key, '1'])), { message: /CROSSSLOT/ })
      t.is(await one.msetnx('{t}a', '1', '{t}b', '2'), 1)
      await t.throwsAsync(one.select(1), { message: 'ERR SELECT is not allowed in cluster mode' })
    } finally {
      for (const client of clients) client.disconnect()
      await nodes.stop()
      await origin.stop()
    }
  },
)

test.serial(
  'nobody speaks as a peer without the secret, nor as a client without the password',
  async (t) => {
    const nodes = await startNodes(2, [], password)
    const stranger = await RawClient.open(nodes.ports[0]!)
    try {
      t.is(await stranger.command('GET', 'k'), '-NOAUTH Authentication required.\r\n')
      const name = `127.0.0.1:${nodes.ports[1]!}`
      const hello = await stranger.command('PEER', 'HELLO', '1', name, '00'.repeat(16))
      t.true(hello.startsWith('*4\r\n'), hello)
      const proof = await stranger.command('PEER', 'AUTH', 'ab'.repeat(32))
      t.true(proof.startsWith('-'), proof)
      t.is(await stranger.command('GET', 'k'), '-NOAUTH Authentication required.\r\n')
      // The meeting is over: not even the right proof would be taken now.
      const late = await stranger.command('PEER', 'AUTH', 'ab'.repeat(32))
      t.true(late.startsWith('-'), late)
    } finally {
      stranger.close()
      await nodes.stop()
    }
  },
)

test.serial('a cluster client needs no forward for what it reads and writes', async (t) => {
  const nodes = await startNodes(3, [], password)
  const client = new Cluster(
    nodes.ports.map((port) => ({ host: '127.0.0.1', port })),
    { redisOptions: { password } },
  )
  try {
    for (let i = 0; i < 300; i++) {
      t.is(await client.set(`k${i}`, i), 'OK')
      t.is(await client.get(`k${i}`), String(i))
    }
    t.is(await nodes.sum('cluster_forwarded'), 0)
  } finally {
    client.disconnect()
    await nodes.stop()
  }
})
