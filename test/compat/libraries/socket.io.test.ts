import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter'
import type { ExecutionContext } from 'ava'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import { until } from '../../until.ts'
import { onEachServer, type Site } from './site.ts'

type Adapter = ReturnType<typeof createAdapter> | ReturnType<typeof createShardedAdapter>

/** A server of socket.io, and a browser that is connected to it. */
async function open(t: ExecutionContext, adapter: Adapter) {
  const web = createServer()
  const server = new Server(web, { adapter })
  t.teardown(() => server.close())
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const { port } = web.address() as AddressInfo
  const browser = io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true })
  t.teardown(() => browser.disconnect())
  const heard: unknown[] = []
  browser.onAny((...event: unknown[]) => heard.push(event))
  await new Promise<void>((resolve) => browser.once('connect', resolve))
  await until(() => server.of('/').sockets.size === 1)
  const [socket] = server.of('/').sockets.values()
  return { server, browser, heard, socket: socket! }
}

/**
 * Two servers that know of each other through Redis alone. `isSubscribed` tells whether so many
 * servers hear what is said in a room: an adapter that subscribes to rooms does not wait for it.
 */
async function twoServers(
  t: ExecutionContext,
  adapters: readonly [Adapter, Adapter],
  isSubscribed: (room: string, servers: number) => Promise<boolean> = () => Promise.resolve(true),
) {
  const [here, there] = [await open(t, adapters[0]), await open(t, adapters[1])]
  // Until both are subscribed they hear of one socket only.
  await until(async () => (await here.server.fetchSockets()).length === 2)
  await until(async () => (await there.server.fetchSockets()).length === 2)

  here.server.emit('news', 1, { of: ['both'] }, Buffer.of(0, 255))
  for (const { heard } of [here, there]) {
    await until(() => heard.length === 1)
    t.deepEqual(heard.splice(0), [['news', 1, { of: ['both'] }, Buffer.of(0, 255)]])
  }
  await there.socket.join('room')
  await until(() => isSubscribed('room', 1))
  here.server.to('room').emit('of the room', 'ä')
  await until(() => there.heard.length === 1)
  t.deepEqual(there.heard.splice(0), [['of the room', 'ä']])
  t.deepEqual(here.heard, [])

  here.server.socketsJoin('all of them')
  await until(() => there.socket.rooms.has('all of them'))
  await until(() => isSubscribed('all of them', 2))
  there.server.in('all of them').except('room').emit('but one', 2)
  await until(() => here.heard.length === 1)
  t.deepEqual(there.heard, [])

  there.server.on('question', (ask: number, answer: (value: number) => void) => answer(ask + 1))
  t.deepEqual(await here.server.serverSideEmitWithAck('question', 41), [42])
  there.browser.on('asked', (answer: (value: string) => void) => answer('there'))
  here.browser.on('asked', (answer: (value: string) => void) => answer('here'))
  // The adapter keeps its timer until it is over, and with it the process.
  const answers = (await here.server.timeout(5_000).emitWithAck('asked')) as string[]
  t.deepEqual(answers.sort(), ['here', 'there'])
  here.server.disconnectSockets(true)
  await until(() => !here.browser.connected && !there.browser.connected)
}

function ioredis(t: ExecutionContext, { host, port }: Site, protocol: 2 | 3): Redis {
  const client = new Redis({ host, port, protocol })
  t.teardown(() => client.quit())
  return client
}

async function nodeRedis(t: ExecutionContext, { host, port }: Site, RESP: 2 | 3) {
  const client = createClient({ socket: { host, port }, RESP })
  await client.connect()
  t.teardown(() => client.close())
  return client
}

for (const protocol of [2, 3] as const) {
  onEachServer(`@socket.io/redis-adapter over ioredis, in RESP${protocol}`, async (t, site) => {
    const adapter = () =>
      createAdapter(ioredis(t, site, protocol), ioredis(t, site, protocol), {
        requestsTimeout: 60_000,
      })
    await twoServers(t, [adapter(), adapter()])
  })

  onEachServer(`@socket.io/redis-adapter over node-redis, in RESP${protocol}`, async (t, site) => {
    const adapter = async () =>
      createAdapter(await nodeRedis(t, site, protocol), await nodeRedis(t, site, protocol))
    await twoServers(t, [await adapter(), await adapter()])
  })
}

onEachServer('@socket.io/redis-adapter over shard channels', async (t, site) => {
  const adapter = () => createShardedAdapter(ioredis(t, site, 2), ioredis(t, site, 2))
  await twoServers(t, [adapter(), adapter()], async (room, servers) => {
    const reply = await site.raw.command('PUBSUB', 'SHARDNUMSUB', `socket.io#/#${room}#`)
    return reply.endsWith(`:${servers}\r\n`)
  })
})
