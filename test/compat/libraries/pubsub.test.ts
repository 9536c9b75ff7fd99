/* Client libraries that publish and subscribe, in RESP2 and RESP3. */
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { Redis as Valkey } from 'iovalkey'
import { createClient } from 'redis'
import { until } from '../../until.ts'
import { onEachServer, type Site } from './site.ts'

/** What the libraries of ioredis's kind have in common. */
interface Io {
  subscribe(...channels: string[]): Promise<unknown>
  psubscribe(...patterns: string[]): Promise<unknown>
  ssubscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
  publish(channel: string, message: string): Promise<number>
  spublish(channel: string, message: string): Promise<number>
  config(...words: string[]): Promise<unknown>
  set(key: string, value: string): Promise<unknown>
  on(event: string, listener: (...words: string[]) => void): unknown
  disconnect(): void
}

const kinds: readonly (readonly [string, (site: Pick<Site, 'host' | 'port'>) => Io])[] = [
  ['ioredis 6', (site) => new Redis(site) as unknown as Io],
  ['ioredis 6 in RESP2', (site) => new Redis({ ...site, protocol: 2 }) as unknown as Io],
  ['ioredis 5', (site) => new Redis5(site) as unknown as Io],
  ['iovalkey', (site) => new Valkey(site) as unknown as Io],
]

const options = { args: ['--notify-keyspace-events', 'KA'] }

for (const [name, connect] of kinds) {
  onEachServer(
    `${name} subscribes and publishes`,
    async (t, { host, port }) => {
      const [subscriber, publisher] = [connect({ host, port }), connect({ host, port })]
      t.teardown(() => subscriber.disconnect())
      t.teardown(() => publisher.disconnect())
      const heard: string[] = []
      for (const event of ['message', 'pmessage', 'smessage']) {
        subscriber.on(event, (...words) => heard.push(`${event} ${words.join(' ')}`))
      }
      t.is(await subscriber.subscribe('news', 'weather'), 2)
      t.is(await subscriber.psubscribe('news*', '__keyspace@0__:*'), 4)
      t.is(await subscriber.ssubscribe('shard'), 1)
      t.is(await publisher.publish('news', 'hello'), 2)
      t.is(await publisher.publish('weather', 'rain'), 1)
      t.is(await publisher.spublish('shard', 'one'), 1)
      await publisher.set('key', 'value')
      await until(() => heard.length === 5)
      t.deepEqual(heard, [
        'message news hello',
        'pmessage news* news hello',
        'message weather rain',
        'smessage shard one',
        'pmessage __keyspace@0__:* __keyspace@0__:key set',
      ])
      t.is(await subscriber.unsubscribe('news'), 3)
      t.is(await publisher.publish('news', 'again'), 1)
    },
    options,
  )
}

for (const RESP of [2, 3] as const) {
  onEachServer(
    `node-redis subscribes and publishes in RESP${RESP}`,
    async (t, { host, port }) => {
      const open = () => createClient({ RESP, socket: { host, port } }).connect()
      const [subscriber, publisher] = [await open(), await open()]
      t.teardown(() => subscriber.destroy())
      t.teardown(() => publisher.destroy())
      const heard: string[] = []
      const listener = (message: string, channel: string) => heard.push(`${channel} ${message}`)
      await subscriber.subscribe('news', listener)
      await subscriber.pSubscribe('weather.*', listener)
      await subscriber.sSubscribe('shard', listener)
      t.is(await publisher.publish('news', 'hello'), 1)
      t.is(await publisher.publish('weather.berlin', 'rain'), 1)
      t.is(await publisher.sPublish('shard', 'one'), 1)
      await until(() => heard.length === 3)
      t.deepEqual(heard, ['news hello', 'weather.berlin rain', 'shard one'])
      t.deepEqual(await publisher.pubSubChannels(), ['news'])
      t.is(await publisher.pubSubNumPat(), 1)
      if (RESP === 3) {
        await subscriber.set('key', 'value')
        t.is(String(await subscriber.get('key')), 'value')
      }
      await subscriber.unsubscribe('news')
      await subscriber.pUnsubscribe()
      t.is(await publisher.publish('news', 'again'), 0)
      t.is(await publisher.publish('weather.berlin', 'sun'), 0)
    },
    options,
  )
}
