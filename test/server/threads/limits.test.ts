/* What each thread does by itself, and a client sees as one server's. */
import { existsSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import type { ExecutionContext } from 'ava'
import type { RawClient } from '../../raw.ts'
import { infoField, numberOf, startMany, threadsTest } from './many.ts'
import { until } from '../../until.ts'

/** Connections that are spread over the threads, one after the other. */
async function dial(t: ExecutionContext, port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let i = 0; i < count; i++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    socket.write('PING\r\n')
    await once(socket, 'data')
    sockets.push(socket)
  }
  return sockets
}

threadsTest('LATENCY hears of slow commands of each thread', async (t) => {
  const { clients } = await startMany(t, 2)
  const [one, other] = clients as [RawClient, RawClient]
  await one.command('CONFIG', 'SET', 'latency-monitor-threshold', '5')
  const pairs = Array.from({ length: 60_000 }, (_, i) => [`key:${i}`, 'v']).flat()
  for (const [client, watcher] of [
    [one, other],
    [other, one],
  ] as const) {
    // All of it in one go, for many milliseconds.
    t.is(await client.send(['MSETNX', ...pairs]), ':1\r\n')
    await until(async () => (await watcher.command('LATENCY', 'LATEST')).includes('command'))
    t.regex(
      await client.command('LATENCY', 'HISTORY', 'command'),
      /^\*\d+\r\n\*2\r\n:\d{10}\r\n:\d/,
    )
    t.is(await watcher.command('FLUSHALL'), '+OK\r\n')
    await watcher.command('LATENCY', 'RESET')
  }
})

threadsTest('histograms of all threads are added up', async (t) => {
  const { clients } = await startMany(t, 4)
  await clients[0]!.command('CONFIG', 'RESETSTAT')
  for (const client of clients) {
    for (let i = 0; i < 50; i++) await client.command('SET', `key:${i}`, 'v')
  }
  for (const client of clients) {
    const histogram = await client.command('LATENCY', 'HISTOGRAM', 'set')
    t.regex(histogram, /\$5\r\ncalls\r\n:200\r\n/)
    t.regex(await infoField(client, 'latency_percentiles_usec_set'), /^p50=[\d.]+,p99=[\d.]+,/)
  }
})

threadsTest('CLIENT KILL by id and by address reaches clients of each thread', async (t) => {
  const { clients } = await startMany(t, 6)
  const [killer, ...others] = clients as [RawClient, ...RawClient[]]
  for (const [i, client] of others.entries()) {
    const id = numberOf(await client.command('CLIENT', 'ID'))
    const address = / addr=(\S+) /.exec(await client.command('CLIENT', 'INFO'))![1]!
    const by = i % 2 === 0 ? ['ID', String(id)] : ['ADDR', address]
    t.is(await killer.command('CLIENT', 'KILL', ...by), ':1\r\n')
    t.is(await killer.command('CLIENT', 'KILL', ...by), ':0\r\n')
    await t.throwsAsync(() => until(async () => (await client.command('PING')) === ''))
  }
  t.is(await infoField(killer, 'connected_clients'), '1')
})

threadsTest('a SCAN that one thread has begun goes on in another', async (t) => {
  const { clients } = await startMany(t, 4)
  const keys = Array.from({ length: 3000 }, (_, i) => `key:${i}`)
  await clients[0]!.send(['MSET', ...keys.flatMap((key) => [key, 'v'])])
  const found: string[] = []
  let cursor = '0'
  let calls = 0
  do {
    const reply = await clients[calls++ % 4]!.command('SCAN', cursor)
    const [next, ...names] = [...reply.matchAll(/\$\d+\r\n(.*)\r\n/g)].map((match) => match[1]!)
    cursor = next!
    found.push(...names)
  } while (cursor !== '0')
  t.true(calls > 50)
  t.deepEqual([...new Set(found)].toSorted(), keys.toSorted())
})

if (existsSync('/proc/net/tcp')) {
  threadsTest('tcp-keepalive holds for connections of each thread', async (t) => {
    const { server, clients } = await startMany(t, 1)
    for (const [seconds, timer] of [
      ['0', '00'],
      ['300', '02'],
    ] as const) {
      await clients[0]!.command('CONFIG', 'SET', 'tcp-keepalive', seconds)
      const sockets = await dial(t, server.port, 4)
      const timers = sockets.map(({ localPort }) => timerOf(server.port, localPort!))
      t.deepEqual(timers, Array(4).fill(timer), `${seconds} s`)
    }
  })
}

/** Which timer the kernel runs for the server's side of a connection: 00 none, 02 keep-alive. */
function timerOf(port: number, clientPort: number): string {
  const hex = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0')
  const row = new RegExp(`:${hex(port)} [0-9A-F]{8}:${hex(clientPort)} 01 \\S+ (\\d\\d):`, 'm')
  return row.exec(readFileSync('/proc/net/tcp', 'latin1'))?.[1] ?? 'no connection'
}

threadsTest('the limit of a query holds in each thread', async (t) => {
  const { server, clients } = await startMany(t, 1)
  t.is(await clients[0]!.command('CONFIG', 'SET', 'client-query-buffer-limit', '1mb'), '+OK\r\n')
  const sockets = await dial(t, server.port, 4)
  const below = '$1000\r\n' + 'x'.repeat(1000) + '\r\n'
  for (const socket of sockets) socket.write(`*3000\r\n${below.repeat(900)}`)
  t.is(await infoField(clients[0]!, 'connected_clients'), '5')
  // Mostly by a reset: they are still writing.
  const closed = sockets.map(
    (socket) => new Promise<void>((resolve) => socket.on('close', () => resolve())),
  )
  for (const socket of sockets) socket.resume().write(below.repeat(400))
  await Promise.all(closed)
  await until(async () => (await infoField(clients[0]!, 'connected_clients')) === '1')
  t.is(server.output().split('a client that reached the query buffer limit').length - 1, 4)
})

threadsTest('the limit of what waits for a monitor holds in each thread', async (t) => {
  const { server, clients } = await startMany(t, 2)
  const limit = 'pubsub 1mb 0 0'
  t.is(await clients[0]!.command('CONFIG', 'SET', 'client-output-buffer-limit', limit), '+OK\r\n')
  for (const socket of await dial(t, server.port, 4)) {
    socket.write('MONITOR\r\n')
    await once(socket, 'data')
    socket.pause()
  }
  const value = 'v'.repeat(60_000)
  await until(async () => {
    for (const client of clients) await client.command('SET', 'key', value)
    return (await infoField(clients[0]!, 'connected_clients')) === '2'
  })
  t.is(server.output().split('overcoming of output buffer limits').length - 1, 4)
})
