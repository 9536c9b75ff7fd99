/*
 * node-redis with its client-side cache, which works over RESP3 and CLIENT TRACKING, beside ringtier and
 * beside redis-server.
 */
import test, { type ExecutionContext } from 'ava'
import { BasicClientSideCache, createClient } from 'redis'
import { available, type RunningServer, startRedis, startRingtier } from '../process.ts'
import { until } from '../until.ts'

async function keep(t: ExecutionContext, server: RunningServer): Promise<void> {
  t.teardown(() => server.stop())
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0 })
  const invalidated: string[] = []
  cache.on('invalidate', (key: Buffer | string | null) => invalidated.push(String(key)))
  const url = `redis://127.0.0.1:${server.port}`
  const reader = createClient({ url, RESP: 3, clientSideCache: cache })
  const writer = createClient({ url })
  await reader.connect()
  await writer.connect()
  t.teardown(() => {
    reader.destroy()
    writer.destroy()
  })

  await writer.set('k', '1')
  t.is(await reader.get('k'), '1')
  t.is(await reader.get('k'), '1')
  t.is(await reader.get('none'), null)
  t.is(await reader.get('none'), null)
  t.deepEqual(await reader.mGet(['k', 'j']), ['1', null])
  t.like(cache.stats(), { hitCount: 2, missCount: 3 })

  await writer.set('k', '2')
  await until(() => invalidated.length === 1)
  t.is(await reader.get('k'), '2')
  await writer.mSet({ k: '3', none: '1', j: '1' })
  await until(() => invalidated.length === 4)
  t.deepEqual(invalidated.sort(), ['j', 'k', 'k', 'none'])
  t.is(await reader.get('k'), '3')
  t.is(await reader.get('none'), '1')

  await writer.set('k', '4', { expiration: { type: 'PX', value: 300 } })
  await until(async () => (await reader.get('k')) === '4')
  await until(async () => (await reader.get('k')) === null)

  await reader.set('k', '5')
  await until(async () => (await reader.get('k')) === '5')
  await writer.flushAll()
  await until(async () => (await reader.get('k')) === null)
  t.true(invalidated.includes('null'))
}

test('a cache of node-redis is told what has changed', async (t) => {
  await keep(t, await startRingtier())
})

test('a cache of node-redis is told the same by redis-server', async (t) => {
  if (available('redis-server')) await keep(t, await startRedis())
  else t.pass('redis-server is not installed')
})
