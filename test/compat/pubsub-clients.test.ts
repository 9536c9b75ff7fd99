/* Client libraries that publish and subscribe, in RESP2 and RESP3. */
import test from 'ava'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import Valkey from 'iovalkey'
import { createClient } from 'redis'
import { startRingtier } from '../process.ts'

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

const kinds: readonly (readonly [string, (port: number) => Io])[] = [
  ['ioredis 6', (port) => new Redis({ port }) as unknown as Io],
  ['ioredis 6 in RESP2', (port) => new Redis({ port, protocol: 2 } as object) as unknown as Io],
  ['ioredis 5', (port) => new Redis5({ port }) as unknown as Io],
  ['iovalkey', (port) => new Valkey.default({ port }) as unknown as Io],
]

for (const [name, connect] of kinds) {
  test(`${name} subscribes and publishes`, async (t) => {
    const server = await startRingtier({ args: ['--notify-keyspace-events', 'KA'] })
    t.teardown(() => server.stop())
    const [subscriber, publisher] = [connect(server.port), connect(server.port)]
    t.teardown(() => subscriber.disconnect())
    t.teardown(() => publisher.disconnect())
    const heard: string[] = []
    let wake = (): void => {}
    for (const event of ['message', 'pmessage', 'smessage']) {
      subscriber.on(event, (...words) => {
        heard.push(`${event} ${words.join(' ')}`)
        wake()
      })
    }
    const until = async (count: number): Promise<void> => {
      while (heard.length < count) await new Promise<void>((resolve) => (wake = resolve))
    }
    t.is(await subscriber.subscribe('news', 'weather'), 2)
    t.is(await subscriber.psubscribe('news*', '__keyspace@0__:*'), 4)
    t.is(await subscriber.ssubscribe('shard'), 1)
    t.is(await publisher.publish('news', 'hello'), 2)
    t.is(await publisher.publish('weather', 'rain'), 1)
    t.is(await publisher.spublish('shard', 'one'), 1)
    await publisher.set('key', 'value')
    await until(5)
    t.deepEqual(heard, [
      'message news hello',
      'pmessage news* news hello',
      'message weather rain',
      'smessage shard one',
      'pmessage __keyspace@0__:* __keyspace@0__:key set',
    ])
    t.is(await subscriber.unsubscribe('news'), 3)
    t.is(await publisher.publish('news', 'again'), 1)
  })
}

for (const RESP of [2, 3] as const) {
  test(`node-redis subscribes and publishes in RESP${RESP}`, async (t) => {
    const server = await startRingtier()
    t.teardown(() => server.stop())
    const open = () => createClient({ RESP, socket: { port: server.port } }).connect()
    const [subscriber, publisher] = [await open(), await open()]
    t.teardown(() => subscriber.destroy())
    t.teardown(() => publisher.destroy())
    const heard: string[] = []
    let wake = (): void => {}
    const listener = (message: string, channel: string): void => {
      heard.push(`${channel} ${message}`)
      wake()
    }
    const until = async (count: number): Promise<void> => {
      while (heard.length < count) await new Promise<void>((resolve) => (wake = resolve))
    }
    await subscriber.subscribe('news', listener)
    await subscriber.pSubscribe('weather.*', listener)
    await subscriber.sSubscribe('shard', listener)
    t.is(await publisher.publish('news', 'hello'), 1)
    t.is(await publisher.publish('weather.berlin', 'rain'), 1)
    t.is(await publisher.sPublish('shard', 'one'), 1)
    await until(3)
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
  })
}
