/* keyv, and the caches that are built on it. */
import { createKeyv } from '@keyv/redis'
import { createCache } from 'cache-manager'
import { Cacheable } from 'cacheable'
import { onEachServer } from './site.ts'

onEachServer('keyv', async (t, { host, port, raw }) => {
  const keyv = createKeyv(`redis://${host}:${port}`, { namespace: 'space', clearBatchSize: 2 })
  t.teardown(() => keyv.disconnect())
  t.true(await keyv.set('one', { of: ['any', 'kind', 1] }))
  t.deepEqual(await keyv.get('one'), { of: ['any', 'kind', 1] })
  t.is(String(await raw.get('space::one')), '{"value":{"of":["any","kind",1]}}')
  t.is(await raw.command('TTL', 'space::one'), ':-1\r\n')
  await keyv.set('timed', 'x', 100_000)
  t.regex(await raw.command('PTTL', 'space::timed'), /^:(9\d{4}|100000)\r\n$/)
  await keyv.set('short', 'x', 1)
  while ((await raw.command('EXISTS', 'space::short')) !== ':0\r\n');
  t.is(await keyv.get('short'), undefined)

  // A transaction, and MGET.
  const many = Array.from({ length: 20 }, (_, i) => ({ key: `m${i}`, value: i, ttl: 100_000 }))
  await keyv.setMany(many)
  t.deepEqual(await keyv.getMany(['m0', 'none', 'm19']), [0, undefined, 19])
  t.regex(await raw.command('TTL', 'space::m7'), /^:(100|99)\r\n$/)
  t.deepEqual(await keyv.hasMany(['m0', 'none']), [true, false])
  t.true(await keyv.delete('m0'))
  t.false(await keyv.delete('m0'))
  t.true(await keyv.delete(['m1', 'm2']))
  t.is(await raw.command('EXISTS', 'space::m0', 'space::m1', 'space::m2', 'space::m3'), ':1\r\n')

  await raw.command('SET', 'elsewhere::m1', 'stays')
  const seen: unknown[] = []
  for await (const entry of keyv.iterator!('space')) seen.push((entry as [string, unknown])[0])
  t.is(seen.length, 19)
  await keyv.clear()
  t.is(await raw.command('KEYS', '*'), '*1\r\n$13\r\nelsewhere::m1\r\n')
})

onEachServer('cache-manager', async (t, { host, port, raw }) => {
  const cache = createCache({ stores: [createKeyv(`redis://${host}:${port}`)], ttl: 100_000 })
  t.teardown(() => cache.disconnect())
  t.deepEqual(await cache.set('one', { a: 1 }), { a: 1 })
  t.deepEqual(await cache.get('one'), { a: 1 })
  t.regex(String(await raw.get('one')), /^\{"value":\{"a":1\},"expires":\d+\}$/)
  t.regex(await raw.command('TTL', 'one'), /^:(100|99)\r\n$/)
  t.true(((await cache.ttl('one')) ?? 0) > Date.now())

  await cache.mset([
    { key: 'two', value: 2 },
    { key: 'three', value: 3, ttl: 5_000 },
  ])
  t.deepEqual(await cache.mget(['two', 'three', 'four']), [2, 3, undefined])
  t.regex(await raw.command('TTL', 'three'), /^:[45]\r\n$/)
  let loads = 0
  const load = (): string => `load ${(loads += 1)}`
  const loaded = await Promise.all([cache.wrap('four', load), cache.wrap('four', load)])
  t.deepEqual([...loaded, await cache.wrap('four', load)], ['load 1', 'load 1', 'load 1'])
  t.true(await cache.mdel(['two', 'three']))
  t.is(await cache.get('two'), undefined)
  t.true(await cache.clear())
  t.is(await raw.command('DBSIZE'), ':0\r\n')
})

onEachServer('cacheable', async (t, { host, port, raw }) => {
  const open = () =>
    new Cacheable({ secondary: createKeyv(`redis://${host}:${port}`), ttl: '100s' })
  const [here, there] = [open(), open()]
  t.teardown(() => here.disconnect())
  t.teardown(() => there.disconnect())
  t.true(await here.set('one', 'a value'))
  t.regex(String(await raw.get('one')), /^\{"value":"a value","expires":\d+\}$/)
  t.regex(await raw.command('TTL', 'one'), /^:(100|99)\r\n$/)
  t.is(await there.get('one'), 'a value')
  t.true(
    await here.setMany([
      { key: 'two', value: 2 },
      { key: 'three', value: 3 },
    ]),
  )
  t.deepEqual(await there.getMany(['two', 'three', 'four']), [2, 3, undefined])
  t.is(await here.getOrSet('four', () => Promise.resolve('loaded')), 'loaded')
  t.is(await there.getOrSet('four', () => Promise.resolve('loaded again')), 'loaded')
  t.is(await here.take('two'), 2)
  t.true(await here.deleteMany(['three', 'four']))
  t.is(await raw.command('EXISTS', 'one', 'two', 'three', 'four'), ':1\r\n')
  await here.clear()
  t.is(await raw.command('DBSIZE'), ':0\r\n')
})
