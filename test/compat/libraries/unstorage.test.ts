import { createStorage, prefixStorage } from 'unstorage'
import redisDriver from 'unstorage/drivers/redis'
import { onEachServer } from './site.ts'

for (const protocol of [2, 3] as const) {
  onEachServer(`unstorage, in RESP${protocol}`, async (t, { host, port, raw }) => {
    const driver = redisDriver({ host, port, protocol, base: 'app', scanCount: 3 })
    const storage = createStorage({ driver })
    t.teardown(() => storage.dispose())
    await storage.setItem('users:ada', { name: 'Ada' })
    await storage.setItem('timed', 'x', { ttl: 100 })
    t.deepEqual(await storage.getItem('users:ada'), { name: 'Ada' })
    t.is(String(await raw.get('app:users:ada')), '{"name":"Ada"}')
    t.regex(await raw.command('TTL', 'app:timed'), /^:(100|99)\r\n$/)
    t.is(await raw.command('TTL', 'app:users:ada'), ':-1\r\n')
    t.true(await storage.hasItem('users:ada'))
    t.false(await storage.hasItem('users:bob'))

    const users = prefixStorage(storage, 'users')
    const names = Array.from({ length: 20 }, (_, i) => `user${i}`)
    await storage.setItems(names.map((name) => ({ key: `users:${name}`, value: name })))
    t.deepEqual((await users.getKeys()).sort(), ['ada', ...names].sort())
    const items = await storage.getItems(['users:user7', 'users:none'])
    t.deepEqual(
      items.map(({ value }) => value),
      ['user7', null],
    )
    await users.setItemRaw('raw', Buffer.from([0, 1, 254, 255]))
    t.deepEqual(
      Buffer.from((await users.getItemRaw('raw')) as Uint8Array),
      Buffer.of(0, 1, 254, 255),
    )
    await users.removeItem('raw')
    t.is(await raw.command('EXISTS', 'app:users:raw', 'app:users:user7'), ':1\r\n')
    await raw.command('SET', 'application', 'another')
    await storage.clear()
    t.is(await raw.command('KEYS', '*'), '*1\r\n$11\r\napplication\r\n')
  })
}
