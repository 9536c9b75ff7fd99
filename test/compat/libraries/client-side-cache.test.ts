/* node-redis with its client-side cache, which works over RESP3 and CLIENT TRACKING. */
import { BasicClientSideCache, createClient } from 'redis'
import { until } from '../../until.ts'
import { onEachServer } from './site.ts'

onEachServer('a cache of node-redis is told which keys changed', async (t, { host, port, raw }) => {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0 })
  const invalidated: string[] = []
  cache.on('invalidate', (key: Buffer | string | null) => invalidated.push(String(key)))
  const reader = createClient({ socket: { host, port }, RESP: 3, clientSideCache: cache })
  await reader.connect()
  t.teardown(() => reader.destroy())

  await raw.command('SET', 'k', '1')
  t.is(await reader.get('k'), '1')
  t.is(await reader.get('k'), '1')
  t.is(await reader.get('none'), null)
  t.is(await reader.get('none'), null)
  t.deepEqual(await reader.mGet(['k', 'j']), ['1', null])
  t.like(cache.stats(), { hitCount: 2, missCount: 3 })

  await raw.command('SET', 'k', '2')
  await until(() => invalidated.length === 1)
  t.is(await reader.get('k'), '2')
  await raw.command('MSET', 'k', '3', 'none', '1', 'j', '1')
  await until(() => invalidated.length === 4)
  t.deepEqual(invalidated.sort(), ['j', 'k', 'k', 'none'])
  t.is(await reader.get('k'), '3')
  t.is(await reader.get('none'), '1')

  await raw.command('SET', 'k', '4')
  await until(async () => (await reader.get('k')) === '4')
  await raw.command('PEXPIRE', 'k', '100')
  await until(async () => (await reader.get('k')) === null)

  // Its own writes are told as those of others.
  await reader.set('k', '5')
  await until(async () => (await reader.get('k')) === '5')
  await raw.command('FLUSHALL')
  await until(async () => (await reader.get('k')) === null)
  t.true(invalidated.includes('null'))
  t.is(cache.size(), 1)
})

onEachServer('a cache of node-redis is empty after a lost connection', async (t, site) => {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0 })
  const client = createClient({
    socket: { host: site.host, port: site.port, reconnectStrategy: 5 },
    RESP: 3,
    clientSideCache: cache,
  })
  client.on('error', () => {}) // of the lost connection
  await client.connect()
  t.teardown(() => client.destroy())
  await site.raw.command('MSET', 'a', 'before', 'b', 'stays')
  t.is(await client.get('a'), 'before')
  t.is(await client.get('b'), 'stays')
  const id = await client.clientId()
  t.is(await site.raw.command('CLIENT', 'KILL', 'ID', String(id)), ':1\r\n')
  await site.raw.command('SET', 'a', 'meanwhile')
  await until(async () => (await client.get('a').catch(() => null)) === 'meanwhile')
  t.not(await client.clientId(), id)

  // The new connection is told too.
  t.is(await client.get('b'), 'stays')
  await site.raw.command('MSET', 'a', 'after', 'b', 'after')
  await until(async () => (await client.get('a')) === 'after')
  await until(async () => (await client.get('b')) === 'after')
})
