/* Web frameworks' own ways to Redis. */
import { Client, Policy } from '@hapi/catbox'
import { Engine } from '@hapi/catbox-redis'
import { fastifyRedis } from '@fastify/redis'
import { fastify } from 'fastify'
import { onEachServer } from './site.ts'

for (const protocol of [2, 3] as const) {
  onEachServer(`@fastify/redis, in RESP${protocol}`, async (t, { host, port, raw }) => {
    const app = fastify()
    t.teardown(() => app.close())
    await app.register(fastifyRedis, { host, port, protocol })
    await app.register(fastifyRedis, { host, port, protocol, namespace: 'other', db: 2 })
    app.put<{ Params: { key: string } }>('/:key', async ({ params, body }) => {
      await app.redis.set(params.key, JSON.stringify(body), 'EX', 100)
      await app.redis.other!.incr('writes')
      return 'kept'
    })
    app.get<{ Params: { key: string } }>('/:key', async ({ params }, reply) => {
      const value = await app.redis.getBuffer(params.key)
      return value === null ? reply.code(404).send('none') : reply.send(value)
    })
    const url = await app.listen({ host, port: 0 })
    const headers = { 'content-type': 'application/json', connection: 'close' }
    const body = '{"name":"Ada"}'
    t.is(await (await fetch(`${url}/user`, { method: 'PUT', headers, body })).text(), 'kept')
    t.is(await (await fetch(`${url}/user`, { headers })).text(), body)
    t.is((await fetch(`${url}/nobody`, { headers })).status, 404)
    t.is(String(await raw.get('user')), body)
    t.regex(await raw.command('TTL', 'user'), /^:(100|99)\r\n$/)
    await raw.command('SELECT', '2')
    t.is(String(await raw.get('writes')), '1')
  })
}

onEachServer('@hapi/catbox-redis', async (t, { host, port, raw }) => {
  const client = new Client<string>(new Engine({ host, port, partition: 'app' }))
  await client.start()
  t.teardown(() => client.stop())
  t.true(client.isReady())
  const [id, none] = ['a', 'b'].map((name) => ({ segment: 'users', id: `${name} name` }))
  await client.set(id!, 'Ada', 100_000)
  t.is((await client.get(id!))?.item, 'Ada')
  t.is(await client.get(none!), null)
  const stored = JSON.parse(String(await raw.get('app:users:a%20name'))) as { item: string }
  t.is(stored.item, 'Ada')
  t.regex(await raw.command('PTTL', 'app:users:a%20name'), /^:(9\d{4}|100000)\r\n$/)
  await client.drop(id!)
  t.is(await raw.command('EXISTS', 'app:users:a%20name'), ':0\r\n')

  // What a server method of hapi does: many ask, one loads.
  let loads = 0
  const policy = new Policy(
    {
      expiresIn: 100_000,
      generateTimeout: 10_000,
      generateFunc: () => Promise.resolve(`load ${(loads += 1)}`),
    },
    client,
    'loaded',
  )
  const asked = await Promise.all([policy.get('user'), policy.get('user'), policy.get('user')])
  t.deepEqual(asked, ['load 1', 'load 1', 'load 1'])
  t.is(await policy.get('user'), 'load 1')
  t.regex(String(await raw.get('app:loaded:user')), /"item":"load 1"/)
})
