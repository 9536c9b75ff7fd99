import { setTimeout } from 'node:timers/promises'
import test from 'ava'
import { Redis } from 'ioredis'
import { startOrigin } from './counting-origin.ts'
import { startNodes } from './nodes.ts'

/** 1: the node's one thread is its hub; 2: commands that only the hub can do go there. */
for (const threads of ['1', '2']) {
  test.serial(`GROUP SET, WARM and FLUSH over all nodes, with ${threads} threads`, async (t) => {
    const origin = await startOrigin()
    const group = `item match item:{id} origin ${origin.url}/{id} ttl 1h wait 30s timeout 30s`
    const nodes = await startNodes(3, ['--group', group, '--threads', threads])
    const clients = nodes.ports.map((port) => new Redis(port, '127.0.0.1'))
    const [one, two, three] = clients as [Redis, Redis, Redis]
    const fieldsOf = async (client: Redis): Promise<Map<string, unknown>> => {
      const words = (await client.call('GROUP', 'INFO', 'item')) as unknown[]
      return new Map(
        words.flatMap((word, i) => (i % 2 === 0 ? [[String(word), words[i + 1]]] : [])),
      )
    }
    const sum = async (field: string): Promise<number> => {
      const all = await Promise.all(clients.map(fieldsOf))
      return all.reduce((total, fields) => total + Number(fields.get(field)), 0)
    }
    try {
      t.is(await one.call('GROUP', 'SET', 'item', 'ttl', '2h'), 'OK')
      for (const client of clients) t.is((await fieldsOf(client)).get('ttl'), '2h')
      await t.throwsAsync(two.call('GROUP', 'SET', 'item', 'ttl', 'x'), { message: /is no time/ })

      const keys = Array.from({ length: 300 }, (_, i) => `item:${i}`)
      t.is(await two.call('GROUP', 'WARM', 'item', ...keys), 300)
      while ((await sum('warm_done')) < 300) await setTimeout(5)
      t.is(origin.requests, 300)
      t.is(await three.dbsize(), 300)
      // Each node has warmed what it owns.
      for (const client of clients) t.true(Number((await fieldsOf(client)).get('warm_done')) > 30)
      t.is(await three.get('item:7'), origin.valueOf('/7'))
      t.true((await three.ttl('item:7')) > 3600)
      t.is(origin.requests, 300)
      await t.throwsAsync(one.call('GROUP', 'WARM', 'item', 'item:1', 'x'), {
        message: "ERR key 'x' is not of group 'item'",
      })

      await one.set('other', 'v')
      t.is(await three.call('GROUP', 'FLUSH', 'item'), 'OK')
      t.is(await one.dbsize(), 1)

      three.disconnect()
      await nodes.servers[2]!.stop()
      await t.throwsAsync(one.call('GROUP', 'SET', 'item', 'ttl', '3h'), {
        message: /^CLUSTERDOWN not done on .*; done on all other nodes$/,
      })
      t.is((await fieldsOf(two)).get('ttl'), '3h')
    } finally {
      for (const client of clients) client.disconnect()
      await nodes.stop()
      await origin.stop()
    }
  })
}
