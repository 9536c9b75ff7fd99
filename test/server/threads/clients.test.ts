import { RawClient } from '../../raw.ts'
import { infoField, numberOf, startMany, threadsTest, transferTest } from './many.ts'
import { until } from '../../until.ts'

threadsTest(
  'what one connection writes another one reads, whichever thread serves it',
  async (t) => {
    const { clients } = await startMany(t, 4)
    for (const [i, client] of clients.entries()) {
      t.is(await client.command('SET', `key:${i}`, `value ${i}`), '+OK\r\n')
      for (const other of clients) {
        t.is(String(await other.get(`key:${i}`)), `value ${i}`)
      }
    }
    t.is(await clients[0]!.command('DBSIZE'), ':4\r\n')
    t.is(await clients[1]!.command('FLUSHALL'), '+OK\r\n')
    for (const client of clients) t.is(await client.command('DBSIZE'), ':0\r\n')
  },
)

transferTest('connections are spread evenly, and over who has fewest', async (t) => {
  const { server, clients } = await startMany(t, 6, ['--threads', '3'])
  t.regex(server.output(), /"threads":3,"sockets":"transfer"/)
  const perThread = async (): Promise<number[]> => {
    const threads = new Map<string, number>()
    for (const line of (await clients[0]!.command('CLIENT', 'LIST')).split('\n')) {
      const thread = / io-thread=(\d+)/.exec(line)?.[1]
      if (thread !== undefined) threads.set(thread, (threads.get(thread) ?? 0) + 1)
    }
    return [...threads.entries()]
      .toSorted(([one], [other]) => one.localeCompare(other))
      .map(([, count]) => count)
  }
  t.deepEqual(await perThread(), [2, 2, 2])
})

threadsTest('ids are unique and CLIENT LIST tells all clients, in their order', async (t) => {
  const { clients } = await startMany(t, 8)
  const ids: number[] = []
  for (const client of clients) ids.push(numberOf(await client.command('CLIENT', 'ID')))
  t.is(new Set(ids).size, 8)
  const listed = async (...args: string[]): Promise<number[]> =>
    [...(await clients[3]!.command('CLIENT', 'LIST', ...args)).matchAll(/(?:^|\n)id=(\d+) /g)].map(
      (match) => Number(match[1]),
    )
  t.deepEqual(
    await listed(),
    ids.toSorted((a, b) => a - b),
  )
  const some = [ids[5]!, ids[0]!, 999_999, ids[2]!]
  t.deepEqual(await listed('ID', ...some.map(String)), [ids[5], ids[0], ids[2]])
  t.deepEqual(await listed('TYPE', 'normal'), await listed())
  t.deepEqual(await listed('TYPE', 'peer'), [])
})

threadsTest(
  'CLIENT KILL reaches clients of all threads, and spares the caller if it is to',
  async (t) => {
    const { clients } = await startMany(t, 6)
    const [killer, ...others] = clients as [RawClient, ...RawClient[]]
    const closed = others.map((client) =>
      t.throwsAsync(() => until(async () => (await client.command('PING')) === '')),
    )
    t.is(await killer.command('CLIENT', 'KILL', 'TYPE', 'normal'), ':5\r\n')
    await Promise.all(closed)
    t.is(await killer.command('PING'), '+PONG\r\n')
    await until(async () => (await infoField(killer, 'connected_clients')) === '1')
    t.is(await killer.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no'), ':1\r\n')
    await t.throwsAsync(() => killer.command('PING'))
  },
)

threadsTest('INCR of all threads is exact, and MGET sees no half of an MSET', async (t) => {
  const { clients } = await startMany(t, 8)
  const keys = ['a', 'b', 'c', 'd', 'e', 'f']
  const replies: Promise<string>[] = []
  const torn: string[] = []
  for (const [i, client] of clients.entries()) {
    for (let n = 0; n < 1000; n++) {
      replies.push(client.command('INCR', `count:${keys[n % 6]}`))
      const value = `${i}:${n}`
      if (i < 4) replies.push(client.command('MSET', ...keys.flatMap((key) => [key, value])))
      else {
        const seen = client.command('MGET', ...keys).then((reply) => {
          const values = reply.split('\r\n').filter((_, line) => line > 0 && line % 2 === 0)
          if (new Set(values).size > 1) torn.push(reply)
          return reply
        })
        replies.push(seen)
      }
    }
  }
  await Promise.all(replies)
  const counts: number[] = []
  for (const key of keys) counts.push(Number(await clients[0]!.get(`count:${key}`)))
  t.is(
    counts.reduce((sum, count) => sum + count, 0),
    8000,
  )
  t.deepEqual(torn, [])
})
