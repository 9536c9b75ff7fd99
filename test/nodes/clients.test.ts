/*
 * Clients that follow the topology go straight to the owners: what they read is right, and no node
 * forwards anything for them.
 */
import test, { type ExecutionContext } from 'ava'
import { Cluster, Redis } from 'ioredis'
import { createCluster } from 'redis'
import { available, run } from '../process.ts'
import { type Nodes, startNodes } from './nodes.ts'

const COUNT = 200

let nodes: Nodes

test.before(async () => {
  nodes = await startNodes(3, [])
})
test.after.always(() => nodes.stop())

/** Sums up what nodes did for each other, before and after. */
async function withoutForwards(t: ExecutionContext, work: () => Promise<void>): Promise<void> {
  const fields = ['cluster_forwarded', 'cluster_scattered', 'cluster_redirected']
  const sums = (): Promise<number[]> => Promise.all(fields.map((field) => nodes.sum(field)))
  const before = await sums()
  await work()
  t.deepEqual(await sums(), before)
}

const withCli = available('redis-cli') ? test.serial : test.serial.skip
const withBenchmark = available('redis-benchmark') ? test.serial : test.serial.skip

test.serial('ioredis.Cluster', async (t) => {
  const client = new Cluster(nodes.ports.map((port) => ({ host: '127.0.0.1', port })))
  try {
    await withoutForwards(t, async () => {
      for (let i = 0; i < COUNT; i++) {
        t.is(await client.set(`io:${i}`, `value ${i}`), 'OK')
        t.is(await client.get(`io:${i}`), `value ${i}`)
      }
      t.deepEqual(await client.mget('{io:1}', '{io:1}x', 'io:1'), [null, null, 'value 1'])
      t.is(await client.incr('io:counter'), 1)
      t.is(await client.del('io:counter'), 1)
      const replies = await client.multi().set('io:m', '1').get('io:m').exec()
      t.deepEqual(
        replies?.map(([, reply]) => reply),
        ['OK', '1'],
      )
    })
  } finally {
    client.disconnect()
  }
})

test.serial('createCluster of node-redis, in RESP2 and RESP3', async (t) => {
  for (const RESP of [2, 3] as const) {
    const client = createCluster({
      rootNodes: nodes.ports.map((port) => ({ url: `redis://127.0.0.1:${port}` })),
      RESP,
    })
    await client.connect()
    try {
      await withoutForwards(t, async () => {
        for (let i = 0; i < COUNT; i++) {
          t.is(await client.set(`nr${RESP}:${i}`, `value ${i}`), 'OK')
          t.is(await client.get(`nr${RESP}:${i}`), `value ${i}`)
        }
        t.is(await client.get('nr:none'), null)
      })
    } finally {
      client.destroy()
    }
  }
})

test.serial('MGET of 100 keys by a plain client, of any node', async (t) => {
  const clients = nodes.ports.map((port) => new Redis(port, '127.0.0.1'))
  const keys = Array.from({ length: 100 }, (_, i) => `any:${(i * 7919) % 104729}`)
  const values = keys.map((key) => `value of ${key}`)
  try {
    await Promise.all(keys.map((key, i) => clients[i % 3]!.set(key, values[i]!)))
    for (const client of clients) t.deepEqual(await client.mget(keys), values)
  } finally {
    for (const client of clients) client.disconnect()
  }
})

withCli('redis-cli --cluster check', async (t) => {
  const at = `127.0.0.1:${nodes.ports[0]!}`
  const { code, stdout } = await run('redis-cli', ['--cluster', 'check', at])
  t.is(code, 0, stdout)
  t.true(stdout.includes('[OK] All nodes agree about slots configuration.'), stdout)
  t.true(stdout.includes('[OK] All 16384 slots covered.'), stdout)
})

withCli('redis-cli -c', async (t) => {
  // It goes where MOVED sends it; a plain one is forwarded, and one told MOVED by a node that always does is not.
  const port = String(nodes.ports[0]!)
  const input = Array.from({ length: 20 }, (_, i) => `SET cli:${i} v${i}\nGET cli:${i}\n`).join('')
  const follow = async (): Promise<string[]> => {
    const { stdout } = await run('redis-cli', ['-c', '-p', port], { input })
    return stdout.split('\n').filter((line) => /^v\d+$/.test(line))
  }
  const values = Array.from({ length: 20 }, (_, i) => `v${i}`)
  t.deepEqual(await follow(), values)
  const clients = nodes.ports.map((each) => new Redis(each, '127.0.0.1'))
  try {
    for (const client of clients) await client.config('SET', 'cluster-redirect', 'always')
    const before = await nodes.sum('cluster_forwarded')
    t.deepEqual(await follow(), values)
    t.is(await nodes.sum('cluster_forwarded'), before)
    t.true((await nodes.sum('cluster_redirected')) > 0)
  } finally {
    for (const client of clients) {
      await client.config('SET', 'cluster-redirect', 'auto')
      client.disconnect()
    }
  }
})

withBenchmark('redis-benchmark --cluster', async (t) => {
  await withoutForwards(t, async () => {
    const { code, stdout, stderr } = await run('redis-benchmark', [
      ...['-p', String(nodes.ports[0]!), '--cluster', '-q', '-n', '3000', '-r', '1000'],
      ...['-c', '12', '-t', 'set,get,incr,mset'],
    ])
    t.is(code, 0, stderr)
    t.is(stdout.split('requests per second').length - 1, 4, stdout)
  })
})
