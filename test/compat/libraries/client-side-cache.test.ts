import { BasicClientSideCache, createClient } from 'redis'
import { until } from '../../until.ts'
import { onEachServer } from './site.ts'

onEachServer(
  'node-redis 5 caches what it read until it changes',
  async (t, { host, port, raw }) => {
    const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 100, recordStats: true })
    const client = createClient({
      socket: { host, port, reconnectStrategy: 5 },
      RESP: 3,
      clientSideCache: cache,
    })
    client.on('error', () => {}) // of the lost connection
    await client.connect()
    t.teardown(() => client.destroy())
    const hits = (): number => cache.stats().hitCount

    await raw.command('MSET', 'a', '1', 'b', '2')
    t.is(await client.get('a'), '1')
    t.is(await client.get('b'), '2')
    t.is(await client.get('a'), '1')
    t.is(await client.strLen('b'), 1)
    t.deepEqual([hits(), cache.size()], [1, 3])

    await raw.command('SET', 'a', 'anew')
    await until(() => cache.size() === 2)
    t.is(await client.get('a'), 'anew')
    t.is(await client.get('b'), '2')
    t.is(hits(), 2)
    // What is not there is kept too, and its own writes are told as those of others.
    t.is(await client.get('none'), null)
    t.is(await client.get('none'), null)
    t.is(hits(), 3)
    await client.set('none', 'some')
    await until(async () => (await client.get('none')) === 'some')
    await raw.command('PEXPIRE', 'b', '1')
    await until(async () => (await client.get('b')) === null)
    await raw.command('FLUSHALL')
    await until(() => cache.size() === 0)
    t.is(await client.get('a'), null)

    // Without a connection nothing is told, so nothing is kept.
    await raw.command('SET', 'a', 'before')
    await until(async () => (await client.get('a')) === 'before')
    const id = await client.clientId()
    t.is(await raw.command('CLIENT', 'KILL', 'ID', String(id)), ':1\r\n')
    await raw.command('SET', 'a', 'meanwhile')
    await until(async () => (await client.get('a').catch(() => null)) === 'meanwhile')
    t.not(await client.clientId(), id)
    t.is(String(await raw.get('a')), 'meanwhile')
  },
  { needs: ['client|tracking'] },
)
