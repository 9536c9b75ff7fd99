import test, { type ExecutionContext } from 'ava'
import { Party } from '../../compat/parties.ts'
import { infoField, startMany, threadsTest } from './many.ts'
import { until } from '../../until.ts'

/** A subscriber connection: what it was sent, whichever thread it came from. */
async function party(t: ExecutionContext, port: number): Promise<Party> {
  const client = await Party.open(port)
  t.teardown(() => client.close())
  // Connections are spread one by one.
  await client.settle()
  return client
}

const messages = (received: string): string[] =>
  [...received.matchAll(/message\r\n(?:\$\d+\r\nc[^\r]*\r\n)+\$\d+\r\n([^\r]*)\r\n/g)].map(
    ([, message]) => message!,
  )

/** The number that PUBLISH answered. */
const countOf = (reply: string): number => Number(/^:(\d+)\r\n$/.exec(reply)?.[1])

threadsTest('a message reaches subscribers of all threads, and they are counted', async (t) => {
  const { server, clients } = await startMany(t, 4, ['--threads', '3'])
  const subscribers: Party[] = []
  for (let i = 0; i < 9; i++) subscribers.push(await party(t, server.port))
  for (const [i, subscriber] of subscribers.entries()) {
    // Acknowledged is subscribed, for whoever publishes afterwards.
    await subscriber.ask('SUBSCRIBE', 'c')
    for (const client of clients) {
      t.is(countOf(await client.command('PUBLISH', 'c', 'x')), i + 1)
    }
  }
  for (const [i, subscriber] of subscribers.entries()) {
    await subscriber.until((received) => messages(received).length === 4 * (9 - i))
    t.is(messages(subscriber.take()).length, 4 * (9 - i))
  }
  for (const [i, subscriber] of subscribers.entries()) {
    t.is(await clients[i % 4]!.command('PUBSUB', 'NUMSUB', 'c'), `*2\r\n$1\r\nc\r\n:${9 - i}\r\n`)
    await subscriber.ask('UNSUBSCRIBE')
    t.is(countOf(await clients[i % 4]!.command('PUBLISH', 'c', 'y')), 8 - i)
  }
  t.is(await clients[0]!.command('PUBSUB', 'CHANNELS'), '*0\r\n')
})

threadsTest('what a transaction leaves and joins is told in its order, and stays so', async (t) => {
  const { server, clients } = await startMany(t, 3, ['--threads', '3'])
  const one = await party(t, server.port)
  const say = async (lines: readonly string[]): Promise<string> => {
    one.take()
    one.write([...lines, 'PING', ''].join('\r\n'))
    await one.until((received) => received.endsWith('+PONG\r\n'))
    return one
      .take()
      .replaceAll(/\$\d+\r\n|\+QUEUED\r\n/g, '')
      .replaceAll('\r\n', ' ')
  }
  await one.ask('HELLO', '3')
  t.is(
    await say(['MULTI', 'PSUBSCRIBE a* b*', 'PUNSUBSCRIBE a*', 'PUBLISH b1 x', 'EXEC']),
    '+OK *3 >3 psubscribe a* :1 >3 psubscribe b* :2 >3 punsubscribe a* :1 >4 pmessage b* b1 x :1 +PONG ',
  )
  const again = ['UNSUBSCRIBE c', 'SUBSCRIBE c', 'UNSUBSCRIBE d', 'PUBLISH d 1', 'SUBSCRIBE d']
  t.is(
    await say(['SUBSCRIBE c d', 'MULTI', ...again, 'PUBLISH c 2', 'EXEC']),
    '>3 subscribe c :2 >3 subscribe d :3 +OK *6 >3 unsubscribe c :2 >3 subscribe c :3 ' +
      '>3 unsubscribe d :2 :0 >3 subscribe d :3 >3 message c 2 :1 +PONG ',
  )
  for (const client of clients) {
    for (const name of ['c', 'd']) t.is(countOf(await client.command('PUBLISH', name, 'x')), 1)
  }
  await one.until((received) => received.split('message').length === 7)
  t.is(one.take().split('message').length, 7)
})

threadsTest('messages of one publisher arrive in their order', async (t) => {
  const { server, clients } = await startMany(t, 6, ['--threads', '3'])
  const subscribers: Party[] = []
  for (let i = 0; i < 6; i++) {
    const subscriber = await party(t, server.port)
    await subscriber.ask(...(i % 2 === 0 ? ['SUBSCRIBE', 'c'] : ['PSUBSCRIBE', 'c*']))
    subscribers.push(subscriber)
  }
  const each = 2000
  const counts = await Promise.all(
    clients.flatMap((client, i) =>
      Array.from({ length: each }, (_, n) => client.command('PUBLISH', 'c', `${i}:${n}`)),
    ),
  )
  t.true(counts.every((reply) => reply === ':6\r\n'))
  for (const subscriber of subscribers) {
    let length = 0
    await subscriber.until((received) => {
      if (received.length === length) return false
      length = received.length
      return messages(received).length === 6 * each
    })
    const next = new Map<string, number>()
    for (const message of messages(subscriber.take())) {
      const [from = '', n = ''] = message.split(':')
      if (Number(n) !== (next.get(from) ?? 0)) {
        t.fail(`${message} came after ${next.get(from)}`)
        return
      }
      next.set(from, Number(n) + 1)
    }
  }
})

threadsTest('what is counted is what arrives, while subscribers come and go', async (t) => {
  const { server, clients } = await startMany(t, 4, ['--threads', '3'])
  let counted = 0
  let stops = false
  const publishing = clients.map(async (client) => {
    while (!stops) {
      const replies = await Promise.all(
        Array.from({ length: 20 }, (_, i) => client.command('PUBLISH', 'c', `m${i}`)),
      )
      for (const reply of replies) counted += countOf(reply)
    }
  })
  let arrived = 0
  const words = [
    ['SUBSCRIBE', 'UNSUBSCRIBE', 'c'],
    ['PSUBSCRIBE', 'PUNSUBSCRIBE', 'c*'],
  ] as const
  await Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      const subscriber = await party(t, server.port)
      const [join, leave, name] = words[i % 2]!
      for (let n = 0; n < 60; n++) {
        subscriber.send(join, name)
        if (n % 3 === 0) await subscriber.settle()
        await subscriber.ask(leave, name).then((received) => {
          arrived += messages(received).length
          const last = received.lastIndexOf('unsubscribe')
          const after = messages(received.slice(last)).length
          if (after > 0) t.fail('a message came behind the answer to UNSUBSCRIBE')
        })
      }
    }),
  )
  stops = true
  await Promise.all(publishing)
  t.true(counted > 0)
  t.is(arrived, counted)
})

threadsTest('a connection that goes takes its subscriptions along, in all threads', async (t) => {
  const { server, clients } = await startMany(t, 3, ['--threads', '3'])
  for (let i = 0; i < 6; i++) {
    const subscriber = await party(t, server.port)
    await subscriber.ask('SUBSCRIBE', 'c', 'd')
    await subscriber.ask('PSUBSCRIBE', 'p*')
    await subscriber.ask('SSUBSCRIBE', 's')
    t.is(await infoField(clients[0]!, 'pubsub_channels'), '2')
    t.is(await infoField(clients[0]!, 'pubsub_patterns'), '1')
    t.is(await infoField(clients[0]!, 'pubsubshard_channels'), '1')
    if (i % 2 === 0) subscriber.close()
    else await subscriber.ask('RESET')
    for (const client of clients) {
      await until(async () => (await client.command('PUBSUB', 'CHANNELS')) === '*0\r\n')
      await until(async () => (await client.command('PUBSUB', 'NUMPAT')) === ':0\r\n')
      await until(async () => (await client.command('PUBSUB', 'SHARDCHANNELS')) === '*0\r\n')
    }
  }
})

threadsTest('events of keys come from all threads, and of keys that expire', async (t) => {
  const { server, clients } = await startMany(t, 6, ['--threads', '3'])
  const watcher = await party(t, server.port)
  await watcher.ask('PSUBSCRIBE', '__keyevent@*')
  t.is(await clients[0]!.command('CONFIG', 'SET', 'notify-keyspace-events', 'EA'), '+OK\r\n')
  for (const [i, client] of clients.entries()) await client.command('SET', `k${i}`, 'v', 'PX', '30')
  await watcher.until((received) => received.split('__keyevent@0__:expired').length > 6)
  const received = watcher.take()
  for (const event of ['set', 'expire', 'expired']) {
    const keys = [...received.matchAll(new RegExp(`:${event}\\r\\n\\$2\\r\\n(k\\d)`, 'g'))]
    t.is(
      keys
        .map(([, key]) => key!)
        .toSorted((a, b) => a.localeCompare(b))
        .join(' '),
      'k0 k1 k2 k3 k4 k5',
    )
  }
  // Over many keys, whose buckets are locked.
  for (const client of clients) await client.command('MSET', 'a', '1', 'b', '2', 'c', '3')
  for (const client of clients) await client.command('DEL', 'a', 'b', 'c', 'd')
  await watcher.until((text) => text.split('__keyevent@0__:del').length > 3)
  t.is(watcher.take().split('__keyevent@0__:set').length, 19)
  t.is(await clients[5]!.command('CONFIG', 'SET', 'notify-keyspace-events', ''), '+OK\r\n')
  for (const client of clients) await client.command('SET', 'k', 'v')
  await watcher.settle()
  t.is(watcher.take(), '')
})

threadsTest('keys that are evicted are told of', async (t) => {
  const { server, clients } = await startMany(t, 4, [
    ...['--threads', '3', '--maxmemory', '16mb', '--notify-keyspace-events', 'Ee'],
  ])
  const watcher = await party(t, server.port)
  await watcher.ask('SUBSCRIBE', '__keyevent@0__:evicted')
  const value = Buffer.alloc(10_000)
  await Promise.all(
    clients.flatMap((client, i) =>
      Array.from({ length: 1000 }, (_, n) => client.command('SET', `key:${i}:${n}`, value)),
    ),
  )
  const evicted = Number(await infoField(clients[0]!, 'evicted_keys'))
  t.true(evicted > 1000)
  await watcher.until((received) => received.split('evicted\r\n$').length - 1 === evicted)
  t.is(new Set(watcher.take().match(/key:\d+:\d+/g)).size, evicted)
})

threadsTest('a slow subscriber is closed at its limit, and publishers go on', async (t) => {
  const { server, clients } = await startMany(t, 3, [
    ...['--threads', '3', '--client-output-buffer-limit', 'pubsub', '4mb', '0', '0'],
  ])
  const slow: Party[] = []
  for (let i = 0; i < 3; i++) {
    const subscriber = await party(t, server.port)
    await subscriber.ask('SUBSCRIBE', 'c')
    subscriber.pause()
    slow.push(subscriber)
  }
  const fast = await party(t, server.port)
  await fast.ask('SUBSCRIBE', 'c')
  const message = Buffer.alloc(10_000, 'x')
  let sent = 0
  await until(async () => {
    const replies = clients.flatMap((client) =>
      Array.from({ length: 20 }, () => client.command('PUBLISH', 'c', message)),
    )
    sent += replies.length
    return (await Promise.all(replies)).at(-1) === ':1\r\n'
  })
  await fast.until((received) => received.split('message').length - 1 === sent)
  t.is(fast.take().split('message').length - 1, sent)
  // The log comes by way of the hub.
  await until(() => server.output().split('overcoming of output buffer limits').length > 3)
  t.pass()
})

threadsTest(
  'a thread that does not keep up makes publishers wait, and gets all of it',
  async (t) => {
    const { server, clients } = await startMany(t, 4, [
      ...['--client-output-buffer-limit', 'pubsub', '0', '0', '0'],
    ])
    const subscribers: Party[] = []
    for (let i = 0; i < 2; i++) {
      const subscriber = await party(t, server.port)
      await subscriber.ask('SUBSCRIBE', 'c')
      subscribers.push(subscriber)
    }
    const message = Buffer.alloc(1024 * 1024, 'x')
    const replies = await Promise.all(
      clients.flatMap((client) =>
        Array.from({ length: 25 }, () => client.command('PUBLISH', 'c', message)),
      ),
    )
    t.deepEqual([...new Set(replies)], [':2\r\n'])
    for (const subscriber of subscribers) {
      const whole =
        100 * (message.length + '*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1048576\r\n\r\n'.length)
      await subscriber.until(({ length }) => length >= whole)
      t.is(subscriber.take().length, whole)
    }
  },
)

test('there is a test here on any Node', (t) => t.pass())
