import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import { until } from '../../until.ts'
import { onEachServer } from './site.ts'

for (const protocol of [2, 3] as const) {
  onEachServer(
    `bentocache, two of them with a bus, in RESP${protocol}`,
    async (t, { host, port, raw }) => {
      const connection = { host, port, protocol } as object
      const open = () =>
        new BentoCache({
          default: 'layers',
          prefix: 'bento',
          ttl: '100s',
          stores: {
            layers: bentostore()
              .useL1Layer(memoryDriver({ maxItems: 1000 }))
              .useL2Layer(redisDriver({ connection }))
              .useBus(redisBusDriver({ connection })),
          },
        })
      const [here, there] = [open(), open()]
      t.teardown(() => here.disconnectAll())
      t.teardown(() => there.disconnectAll())
      // The bus subscribes when it is first used.
      await Promise.all([here.get({ key: 'nothing' }), there.get({ key: 'nothing' })])
      await until(async () =>
        /^\*2\r\n\$\d+\r\n.*\r\n:2\r\n$/.test(
          await raw.command('PUBSUB', 'NUMSUB', 'bentocache.notifications:layers'),
        ),
      )

      await here.set({ key: 'one', value: { a: 1 } })
      t.regex(String(await raw.get('bento:one')), /"value":\{"a":1\}/)
      t.regex(await raw.command('TTL', 'bento:one'), /^:(100|99)\r\n$/)
      t.deepEqual(await there.get({ key: 'one' }), { a: 1 })
      // What the other keeps in memory goes when it hears of the change.
      await here.set({ key: 'one', value: { a: 2 } })
      await until(async () => (await there.get<{ a: number }>({ key: 'one' }))?.a === 2)
      await here.delete({ key: 'one' })
      await until(async () => (await there.get({ key: 'one' })) === undefined)
      t.is(await raw.command('EXISTS', 'bento:one'), ':0\r\n')

      let loads = 0
      const factory = () => `load ${(loads += 1)}`
      const asked = [here, here, here].map((cache) => cache.getOrSet({ key: 'two', factory }))
      t.deepEqual(await Promise.all(asked), ['load 1', 'load 1', 'load 1'])
      t.is(await there.getOrSet({ key: 'two', factory }), 'load 1')
      const users = here.namespace('users')
      for (let i = 0; i < 20; i++) await users.set({ key: `u${i}`, value: i })
      t.is(await there.namespace('users').get({ key: 'u7' }), 7)
      await users.clear()
      t.is(await raw.command('DBSIZE'), ':1\r\n')
      t.is(await here.namespace('users').get({ key: 'u7' }), undefined)
      t.is(await here.get({ key: 'two' }), 'load 1')
    },
  )
}
