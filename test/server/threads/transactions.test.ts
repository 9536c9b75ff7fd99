import { Redis } from 'ioredis'
import type { RawClient } from '../../raw.ts'
import { numberOf, startMany, threadsTest } from './many.ts'

const CLIENTS = 8
const RAISES = 60

/** Raises a counter so often, each time in a transaction that is tried until nobody came between. */
async function raise(client: RawClient, key: string, times: number): Promise<number> {
  let failures = 0
  for (let done = 0; done < times;) {
    await client.command('WATCH', key)
    const value = /\r\n(\d+)\r\n$/.exec(await client.command('GET', key))?.[1] ?? '0'
    await client.command('MULTI')
    await client.command('SET', key, String(Number(value) + 1))
    const reply = await client.command('EXEC')
    if (reply === '*1\r\n+OK\r\n') done++
    else if (reply === '*-1\r\n') failures++
    else throw new Error(reply)
  }
  return failures
}

threadsTest('counters raised by WATCH and EXEC lose nothing', async (t) => {
  const { clients } = await startMany(t, CLIENTS, ['--threads', '3'])
  const failures = await Promise.all(clients.map((client) => raise(client, 'counter', RAISES)))
  t.is(await clients[0]!.command('GET', 'counter'), `$3\r\n${CLIENTS * RAISES}\r\n`)
  t.true(failures.some((count) => count > 0))
})

threadsTest('nobody sees half a transaction, whatever it consists of', async (t) => {
  const { clients } = await startMany(t, 6, ['--threads', '3'])
  const keys = Array.from({ length: 20 }, (_, i) => `key:${i}`)
  let goesOn = true
  const write = async (client: RawClient, seed: number): Promise<void> => {
    for (let round = 0; goesOn; round++) {
      const stamp = `${seed}:${round}`
      await client.command('MULTI')
      // Others are locked out of all buckets where a command is not about keys that it names.
      if (round % 3 === 0) await client.command('DBSIZE')
      if (round % 5 === 0) await client.command('FLUSHALL')
      const order = round % 2 === 0 ? keys : keys.toReversed()
      for (const key of order.slice(0, 10)) await client.command('SET', key, stamp)
      await client.command('MSET', ...order.slice(10).flatMap((key) => [key, stamp]))
      const reply = await client.command('EXEC')
      if (!reply.startsWith('*')) throw new Error(reply)
    }
  }
  const read = async (client: RawClient, how: 'MGET' | 'EXEC'): Promise<void> => {
    for (let round = 0; round < 300; round++) {
      let reply = ''
      if (how === 'MGET') {
        reply = await client.command('MGET', ...keys)
      } else {
        await client.command('MULTI')
        for (const key of keys) await client.command('GET', key)
        reply = await client.command('EXEC')
      }
      const seen = new Set(reply.match(/\d+:\d+|\$-1/g))
      t.is(seen.size, 1, [...seen].join())
    }
  }
  const writers = [0, 1, 2].map((i) => write(clients[i]!, i))
  await Promise.all([
    read(clients[3]!, 'MGET'),
    read(clients[4]!, 'MGET'),
    read(clients[5]!, 'EXEC'),
  ])
  goesOn = false
  await Promise.all(writers)
})

threadsTest('what the hub answers stands in its place', async (t) => {
  const { clients } = await startMany(t, 2)
  for (const client of clients) {
    await client.command('MULTI')
    await client.command('SET', 'k', '1')
    await client.command('CONFIG', 'GET', 'timeout')
    await client.command('CLIENT', 'LIST', 'ID', '0')
    await client.command('GET', 'k')
    const exec = client.command('EXEC')
    const after = client.command('GET', 'k')
    t.is(await exec, '*4\r\n+OK\r\n*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n$0\r\n\r\n$1\r\n1\r\n')
    t.is(await after, '$1\r\n1\r\n')
  }
})

threadsTest(
  'a client that goes leaves nothing watched, and CLIENT LIST tells who watches',
  async (t) => {
    const { clients, connect } = await startMany(t, 2)
    const client = await connect()
    await client.command('WATCH', 'a', 'b')
    await client.command('MULTI')
    await client.command('SET', 'a', '1')
    const list = (): Promise<string> => clients[0]!.command('CLIENT', 'LIST')
    t.regex(await list(), / flags=x .* multi=1 watch=2 .* multi-mem=2\d\d /)
    await clients[0]!.command('SET', 'a', '2')
    t.regex(await list(), / flags=xd /)
    client.close()
    while (/ watch=2 /.test(await list()));
    t.is(numberOf(await clients[1]!.command('DEL', 'a')), 1)
  },
)

threadsTest('long commands in a transaction hold others up, and harm nobody', async (t) => {
  const { clients } = await startMany(t, 4)
  const [one, other, third, fourth] = clients as [RawClient, RawClient, RawClient, RawClient]
  const pairs = Array.from({ length: 20_000 }, (_, i) => [`key:${i}`, 'value']).flat()
  await one.command('MSET', ...pairs)
  const keys = pairs.filter((_, i) => i % 2 === 0)
  const lengths: number[] = []
  await Promise.all([
    (async () => {
      for (let round = 0; round < 5; round++) {
        await one.command('MULTI')
        await one.command('MGET', ...keys)
        await one.command('KEYS', '*')
        await one.command('DEL', 'key:0')
        await one.command('DBSIZE')
        await one.command('SET', 'key:0', 'value')
        lengths.push((await one.command('EXEC')).length)
      }
    })(),
    ...[other, third, fourth].map(async (client) => {
      for (let i = 0; i < 500; i++) {
        t.is(await client.command('GET', 'key:1'), '$5\r\nvalue\r\n')
        t.is(await client.command('SET', 'key:1', 'value'), '+OK\r\n')
      }
    }),
  ])
  t.is(lengths.length, 5)
  t.true(lengths.every((length) => length === lengths[0]))
})

threadsTest('ioredis: multi, pipelines, and locking by watching', async (t) => {
  const { server } = await startMany(t, 0, ['--threads', '3'])
  const redis = new Redis({ port: server.port })
  t.teardown(() => redis.disconnect())
  const exec = await redis.multi().set('a', '1').incr('a').get('a').exec()
  t.deepEqual(exec, [
    [null, 'OK'],
    [null, 2],
    [null, '2'],
  ])
  const spoilt = await redis.multi().set('a', 'x').incr('a').exec()
  t.is(spoilt![0]![1], 'OK')
  t.regex(String(spoilt![1]![0]), /not an integer/)
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, i) => redis.multi().incr('sum').incrby('sum', i).exec()),
  )
  t.is(results.length, 50)
  t.is(await redis.get('sum'), String(50 + (50 * 49) / 2))
  const others = Array.from({ length: 4 }, () => new Redis({ port: server.port }))
  t.teardown(() => {
    for (const other of others) other.disconnect()
  })
  await Promise.all(
    others.map(async (other) => {
      for (let done = 0; done < 30;) {
        await other.watch('locked')
        const value = Number(await other.get('locked'))
        if (
          (await other
            .multi()
            .set('locked', value + 1)
            .exec()) !== null
        )
          done++
      }
    }),
  )
  t.is(await redis.get('locked'), '120')
})
