/* Copies of hot keys: three nodes that read each other's, and never what is over. */
import type { ExecutionContext } from 'ava'
import test from 'ava'
import { SeededRandom } from '../sim/random.ts'
import { RawClient } from '../raw.ts'
import { infoField, way } from '../server/threads/many.ts'
import { until } from '../until.ts'
import { startNodes } from './nodes.ts'

const ROUNDS = 30
const PER_NODE = 4

/** Clients of each node, over different threads where it has several. */
async function start(
  t: ExecutionContext,
  threads: number,
  args: readonly string[] = [],
): Promise<RawClient[][]> {
  const nodes = await startNodes(3, [
    ...['--threads', `${threads}`, '--maxmemory', '32mb', '--save', ''],
    ...['--cluster-hot-rate', '20', ...args],
  ])
  t.teardown(() => nodes.stop())
  const clients: RawClient[][] = []
  for (const port of nodes.ports) {
    const own: RawClient[] = []
    for (let i = 0; i < PER_NODE; i++) {
      const client = await RawClient.open(port)
      t.teardown(() => client.close())
      await client.command('PING')
      own.push(client)
    }
    clients.push(own)
  }
  return clients
}

async function field(client: RawClient, name: string): Promise<number> {
  return Number(await infoField(client, `cluster_hot_${name}`))
}

/** Reads the key through all nodes until those that do not own it answer from copies of their own. */
async function heat(clients: readonly RawClient[][], key: string): Promise<void> {
  const hitsOf = (): Promise<number[]> => Promise.all(clients.map(([one]) => field(one!, 'hits')))
  const before = await hitsOf()
  await until(async () => {
    for (let i = 0; i < 20; i++) await Promise.all(clients.flat().map((client) => client.get(key)))
    const hits = await hitsOf()
    return hits.filter((count, node) => count > before[node]!).length === clients.length - 1
  })
}

for (const threads of way === null ? [1] : [1, 3]) {
  test.serial(`with ${threads} threads a DEL through any node ends all copies`, async (t) => {
    const clients = await start(t, threads, ['--cluster-hot-ttl', '2000'])
    for (const end of ['DEL hot', 'FLUSHALL']) {
      const counted = end === 'FLUSHALL' ? 'flushes' : 'changed'
      const sum = async (): Promise<number> => {
        const all = await Promise.all(clients.map(([one]) => field(one!, counted)))
        return all.reduce((total, count) => total + count, 0)
      }
      for (const [writer] of clients) {
        const before = await sum()
        // Where this machine is busy a copy's time may be over before its change is told.
        await until(async () => {
          t.is(await writer!.command('SET', 'hot', 'value'), '+OK\r\n')
          await heat(clients, 'hot')
          t.regex(await writer!.command(...end.split(' ')), /^(:1|\+OK)\r\n$/)
          t.is(await writer!.command('STRLEN', 'hot'), ':0\r\n')
          for (const client of clients.flat()) {
            await until(async () => (await client.get('hot')) === null)
            t.is(await client.command('EXISTS', 'hot'), ':0\r\n')
            t.is(await client.command('MGET', 'hot', 'other'), '*2\r\n$-1\r\n$-1\r\n')
          }
          return (await sum()) > before
        })
      }
    }
  })

  test.serial(
    `with ${threads} threads who writes through a node reads it there at once`,
    async (t) => {
      const clients = await start(t, threads)
      await clients[0]![0]!.command('SET', 'hot', '-')
      await heat(clients, 'hot')
      let reads = true
      const readers = clients.map(async (own) => {
        while (reads) await Promise.all(own.slice(1).map((client) => client.get('hot')))
      })
      for (let round = 0; round < ROUNDS; round++) {
        for (const [node, own] of clients.entries()) {
          const value = `${round} ${node}`
          const [written, pipelined] = await Promise.all([
            own[0]!.command('SET', 'hot', value),
            own[0]!.get('hot'),
          ])
          t.is(written, '+OK\r\n')
          t.is(String(pipelined), value)
          for (const client of own) {
            t.is(String(await client.get('hot')), value)
            t.is(await client.command('STRLEN', 'hot'), `:${value.length}\r\n`)
            t.is(await client.command('MGET', 'hot'), `*1\r\n$${value.length}\r\n${value}\r\n`)
          }
        }
      }
      reads = false
      await Promise.all(readers)
    },
  )

  test.serial(
    `with ${threads} threads all nodes agree after random writes of hot keys`,
    async (t) => {
      const clients = await start(t, threads)
      const keys = ['hot:1', 'hot:2', 'hot:3']
      const random = new SeededRandom(11)
      const written = new Map(keys.map((key) => [key, new Set(['null', 'first'])]))
      for (const key of keys) {
        await clients[0]![0]!.command('SET', key, 'first')
        await heat(clients, key)
      }
      await Promise.all(
        clients.flat().map(async (client, writer) => {
          for (let i = 0; i < 300; i++) {
            const key = keys[random.uint32() % keys.length]!
            const dice = random.uint32() % 50
            if (dice === 0) {
              await client.command('DEL', key)
            } else if (dice === 1) {
              const value = `${writer} ${i}`
              written.get(key)!.add(value)
              await client.command('SET', key, value)
            } else {
              t.true(written.get(key)!.has(String(await client.get(key))))
            }
          }
        }),
      )
      for (const key of keys) {
        await until(async () => {
          const values = await Promise.all(clients.flat().map((client) => client.get(key)))
          return new Set(values.map(String)).size === 1
        })
        await clients[1]![1]!.command('SET', key, '7')
        t.is(await clients[1]![0]!.command('INCR', key), ':8\r\n')
        t.is(String(await clients[1]![2]!.get(key)), '8')
        t.is(await clients[1]![3]!.command('FLUSHALL'), '+OK\r\n')
        t.is(await clients[1]![0]!.get(key), null)
        for (const client of clients.flat())
          await until(async () => (await client.get(key)) === null)
      }
    },
  )
}

test.serial(
  'copies take an eighth of maxmemory at most, and no longer than they live',
  async (t) => {
    const clients = await start(t, 1)
    const [[first]] = clients as [[RawClient]]
    const value = Buffer.alloc(500_000, 'v')
    const keys = Array.from({ length: 30 }, (_, i) => `big:${i}`)
    for (const key of keys) t.is(await first.command('SET', key, value), '+OK\r\n')
    const bytesMax = (32 * 1024 * 1024) / 8
    let bytesMost = 0
    await until(async () => {
      for (let i = 0; i < 5; i++) {
        await Promise.all(keys.map((key) => first.command('STRLEN', key)))
      }
      const bytes = await field(first, 'bytes')
      t.true(bytes <= bytesMax)
      bytesMost = Math.max(bytesMost, bytes)
      return bytesMost > bytesMax - 2 * value.length
    })
    await until(async () => (await field(first, 'copies')) === 0)
    t.is(await field(first, 'bytes'), 0)
  },
)

test.serial(
  'a transaction, and who watches, asks the owner; a value over its time is over',
  async (t) => {
    const clients = await start(t, 1)
    for (const own of clients) {
      await own[0]!.command('SET', 'hot', 'value')
      await heat(clients, 'hot')
      const hits = await field(own[0]!, 'hits')
      await own[0]!.command('WATCH', 'hot')
      t.is(String(await own[0]!.get('hot')), 'value')
      await own[0]!.command('MULTI')
      await own[0]!.command('GET', 'hot')
      t.is(await own[0]!.command('EXEC'), '*1\r\n$5\r\nvalue\r\n')
      t.is(await field(own[0]!, 'hits'), hits)
    }
    await clients[0]![0]!.command('SET', 'hot', 'short', 'PX', '300')
    await until(async () => (await clients[1]![0]!.get('hot')) === null)
    for (const own of clients) t.is(await own[1]!.get('hot'), null)
  },
)
