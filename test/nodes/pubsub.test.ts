import test from 'ava'
import { Redis } from 'ioredis'
import { Party } from '../compat/parties.ts'
import { until } from '../until.ts'
import { startNodes } from './nodes.ts'

test('PUBLISH reaches the subscribers of all nodes, and counts those of the one that is asked', async (t) => {
  const nodes = await startNodes(3, ['--maxmemory', '16mb', '--save', ''])
  t.teardown(() => nodes.stop())
  const parties = await Promise.all(nodes.ports.map((port) => Party.open(port)))
  const others = await Promise.all(nodes.ports.map((port) => Party.open(port)))
  for (const party of [...parties, ...others]) t.teardown(() => party.close())
  for (const party of parties) await party.ask('SUBSCRIBE', 'news')
  await parties[2]!.ask('PSUBSCRIBE', 'n*')
  const each = 100
  for (let n = 0; n < each; n++) {
    for (const [i, other] of others.entries()) {
      t.is(await other.ask('PUBLISH', 'news', `<${i}:${n}>`), i === 2 ? ':2\r\n' : ':1\r\n')
    }
  }
  for (const [at, party] of parties.entries()) {
    const copies = at === 2 ? 2 : 1
    const wanted = copies * each * 3
    await party.until((received) => (received.match(/<\d:\d+>/g) ?? []).length === wanted)
    const received = party.take().match(/<\d:\d+>/g)!
    // Those of one publisher are in their order.
    for (const i of [0, 1, 2]) {
      const from = received.filter((message) => message.startsWith(`<${i}:`))
      const wantedOrder = Array.from({ length: each }, (_, n) => `<${i}:${n}>`)
      t.deepEqual(
        from,
        wantedOrder.flatMap((message) => Array.from({ length: copies }, () => message)),
      )
    }
  }
})

test('a shard channel is of one node: SPUBLISH is passed on to it, SSUBSCRIBE is told where it is', async (t) => {
  const nodes = await startNodes(3, ['--maxmemory', '16mb', '--save', ''])
  t.teardown(() => nodes.stop())
  const parties = await Promise.all(nodes.ports.map((port) => Party.open(port)))
  for (const party of parties) t.teardown(() => party.close())
  for (let n = 0; n < 20; n++) {
    const channel = `shard${n}`
    const answers: string[] = []
    for (const party of parties) answers.push(await party.ask('SSUBSCRIBE', channel))
    const owner = answers.findIndex((answer) => answer.startsWith('*3'))
    for (const [i, answer] of answers.entries()) {
      if (i === owner) continue
      t.regex(answer, new RegExp(`^-MOVED \\d+ 127.0.0.1:${nodes.ports[owner]}\r\n$`))
    }
    const publishers = await Promise.all(nodes.ports.map((port) => Party.open(port)))
    for (const publisher of publishers) {
      t.is(await publisher.ask('SPUBLISH', channel, 'x'), ':1\r\n')
      t.regex(await parties[owner]!.ask('PING', '-'), /smessage/)
      publisher.close()
    }
    await parties[owner]!.ask('SUNSUBSCRIBE')
  }
  const crossing = await parties[0]!.ask('SSUBSCRIBE', 'a', 'b', 'c', 'd', 'e', 'f', 'g')
  t.regex(crossing, /^-CROSSSLOT /)
})

test('who is subscribed to a shard channel that comes to another node is told', async (t) => {
  const nodes = await startNodes(3, ['--maxmemory', '16mb', '--save', ''])
  t.teardown(() => nodes.stop())
  const parties = await Promise.all(nodes.ports.map((port) => Party.open(port)))
  for (const party of parties) t.teardown(() => party.close())
  nodes.servers[2]!.kill('SIGSTOP')
  const living = parties.slice(0, 2)
  const channels = Array.from({ length: 40 }, (_, n) => `shard${n}`)
  // Some of them were the third one's, and came to the other two.
  await until(async () => (await living[0]!.ask('CLUSTER', 'INFO')).includes('cluster_size:2'))
  await until(async () => (await living[1]!.ask('CLUSTER', 'INFO')).includes('cluster_size:2'))
  let subscribed = 0
  for (const channel of channels) {
    for (const party of living) {
      if ((await party.ask('SSUBSCRIBE', channel)).startsWith('*3')) subscribed++
    }
  }
  t.is(subscribed, 40)
  nodes.servers[2]!.kill('SIGCONT')
  await until(async () => {
    for (const party of living) await party.settle()
    return living.some(({ received }) => received.includes('sunsubscribe'))
  })
  const told = living.flatMap(
    (party) => party.take().match(/sunsubscribe\r\n\$\d+\r\nshard\d+/g) ?? [],
  )
  t.true(told.length > 0 && told.length < 40)
})

test('events of a key are told on the node that has it', async (t) => {
  const nodes = await startNodes(2, [
    ...['--maxmemory', '16mb', '--save', '', '--notify-keyspace-events', 'EA'],
  ])
  t.teardown(() => nodes.stop())
  const watchers = await Promise.all(nodes.ports.map((port) => Party.open(port)))
  for (const watcher of watchers) t.teardown(() => watcher.close())
  for (const watcher of watchers) await watcher.ask('SUBSCRIBE', '__keyevent@0__:set')
  const client = await Party.open(nodes.ports[0]!)
  t.teardown(() => client.close())
  for (let n = 0; n < 50; n++) await client.ask('SET', `key:${n}`, 'v')
  const counts: number[] = []
  for (const watcher of watchers) {
    await watcher.settle()
    counts.push((watcher.take().match(/key:\d+\r/g) ?? []).length)
  }
  t.is(counts[0]! + counts[1]!, 50)
  t.true(counts[0]! > 0 && counts[1]! > 0)
})

test('a cluster client publishes and subscribes to shard channels', async (t) => {
  const nodes = await startNodes(3, ['--maxmemory', '16mb', '--save', ''])
  t.teardown(() => nodes.stop())
  const open = () =>
    new Redis.Cluster([{ host: '127.0.0.1', port: nodes.ports[0]! }], { shardedSubscribers: true })
  const [subscriber, publisher] = [open(), open()]
  t.teardown(() => subscriber.disconnect())
  t.teardown(() => publisher.disconnect())
  const heard = new Set<string>()
  const hear = (channel: string, message: string): void => void heard.add(`${channel} ${message}`)
  subscriber.on('message', hear)
  subscriber.on('smessage', hear)
  await subscriber.subscribe('plain')
  const channels = ['s1', 's2', 's3', 's4']
  // A node that is silent for long, on a busy machine, loses its slots for a while.
  await until(async () => {
    for (const channel of channels) {
      await subscriber.ssubscribe(channel)
      await publisher.spublish(channel, 'x')
    }
    await publisher.publish('plain', 'y')
    return heard.has('plain y') && channels.every((channel) => heard.has(`${channel} x`))
  })
  t.is(heard.size, 5)
})
