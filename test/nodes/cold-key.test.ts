import test from 'ava'
import { Redis } from 'ioredis'
import { startOrigin } from './counting-origin.ts'
import { startNodes } from './nodes.ts'

const getsPerNode = 334

test.serial(
  'a thousand GETs of one cold key on three nodes: one load, equal answers',
  async (t) => {
    const origin = await startOrigin(50)
    const group = `item match item:{id} origin ${origin.url}/items/{id} ttl 1h wait 30s timeout 30s`
    const nodes = await startNodes(3, ['--group', group])
    const clients = nodes.ports.map((port) => new Redis(port, '127.0.0.1'))
    try {
      for (let round = 0; round < 5; round++) {
        const key = `item:cold-${round}`
        const answers = await Promise.all(
          clients.flatMap((client) => Array.from({ length: getsPerNode }, () => client.get(key))),
        )
        t.is(answers.length, 3 * getsPerNode)
        t.deepEqual([...new Set(answers)], [origin.valueOf(`/items/cold-${round}`)])
        t.is(origin.counts.get(`/items/cold-${round}`), 1)
      }
      t.is(await nodes.sum('blocked_clients'), 0)
      t.is(await nodes.sum('cluster_failovers'), 0)
    } finally {
      for (const client of clients) client.disconnect()
      await nodes.stop()
      await origin.stop()
    }
  },
)
