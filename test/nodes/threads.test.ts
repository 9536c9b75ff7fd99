import { startOrigin } from './counting-origin.ts'
import { startNodes } from './nodes.ts'
import { RawClient } from '../raw.ts'
import { infoField, threadsTest } from '../server/threads/many.ts'
import { until } from '../until.ts'

threadsTest(
  'three nodes of two threads each: every key from everywhere, one load, and a node that dies',
  async (t) => {
    const origin = await startOrigin(20)
    t.teardown(() => origin.stop())
    const group = ['--group', 'user', 'match', 'user:{id}', 'origin', `${origin.url}/{id}`]
    const nodes = await startNodes(3, [
      ...['--threads', '2', '--maxmemory', '16mb', '--save', ''],
      ...group,
    ])
    t.teardown(() => nodes.stop())
    const clients: RawClient[] = []
    for (const port of nodes.ports) {
      for (let i = 0; i < 4; i++) {
        const client = await RawClient.open(port)
        t.teardown(() => client.close())
        await client.command('PING')
        clients.push(client)
      }
    }
    for (let key = 0; key < 24; key++) {
      t.is(await clients[key % 12]!.command('SET', `key:${key}`, `value ${key}`), '+OK\r\n')
    }
    for (const client of clients) {
      for (let key = 0; key < 24; key++) {
        t.is(String(await client.get(`key:${key}`)), `value ${key}`)
      }
      t.is(await client.command('DBSIZE'), ':24\r\n')
    }
    const cold = Array.from({ length: 20 }, (_, key) => key)
    await Promise.all(
      cold.flatMap((key) =>
        clients.map(async (client) => {
          t.is(String(await client.get(`user:${key}`)), origin.valueOf(`/${key}`))
        }),
      ),
    )
    t.is(origin.requests, 20)
    t.true((await nodes.sum('cluster_forwarded')) > 0)
    // All threads of the others learn that it is gone, and keys that were its are anybody's.
    nodes.servers[2]!.kill('SIGKILL')
    const living = clients.slice(0, 8)
    for (const client of living) {
      await until(async () => (await infoField(client, 'cluster_live_nodes')) === '2')
    }
    await Promise.all(
      living.map(async (client, i) => {
        for (let key = 0; key < 24; key++) {
          t.is(await client.command('SET', `late:${i}:${key}`, 'v'), '+OK\r\n')
        }
      }),
    )
    t.is(await living[0]!.command('EXISTS', 'late:0:0', 'late:7:23', 'late:3:3'), ':3\r\n')
  },
)
