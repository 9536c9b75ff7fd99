import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { infoField, lateWorker, numberOf, startMany, threadsTest } from './many.ts'
import { until } from '../../until.ts'

threadsTest('CONFIG SET is in force in all threads when it is answered', async (t) => {
  const { clients } = await startMany(t, 4, [], lateWorker)
  for (let round = 0; round < 4; round++) {
    const bytes = 1024 * 1024 + round
    const setter = clients[round % 4]!
    t.is(await setter.command('CONFIG', 'SET', 'proto-max-bulk-len', String(bytes)), '+OK\r\n')
    for (const client of clients) {
      t.is(await client.command('SETRANGE', 'k', String(bytes - 1), 'x'), `:${bytes}\r\n`)
      t.regex(await client.command('SETRANGE', 'k', String(bytes), 'x'), /^-ERR string exceeds/)
    }
    await clients[0]!.command('DEL', 'k')
  }
  // What the hub refuses nobody takes.
  t.regex(await clients[1]!.command('CONFIG', 'SET', 'maxmemory', '1'), /^-ERR/)
  t.regex(await clients[2]!.command('CONFIG', 'GET', 'maxmemory'), /67108864/)
})

threadsTest('a password that is set holds for the next command of every thread', async (t) => {
  const { clients, connect } = await startMany(t, 4)
  t.is(await clients[0]!.command('CONFIG', 'SET', 'requirepass', 'secret'), '+OK\r\n')
  for (let i = 0; i < 4; i++) {
    const client = await connect()
    t.regex(await client.command('GET', 'k'), /^-NOAUTH/)
    t.is(await client.command('AUTH', 'secret'), '+OK\r\n')
    t.is(await client.command('GET', 'k'), '$-1\r\n')
  }
})

threadsTest(
  'counters of INFO are exact sums over all threads, and RESETSTAT sets all back',
  async (t) => {
    const { clients } = await startMany(t, 6)
    await clients[0]!.command('CONFIG', 'RESETSTAT')
    const commands: Promise<string>[] = []
    for (const client of clients) {
      for (let i = 0; i < 500; i++) commands.push(client.command('SET', `k:${i}`, 'v'))
      for (let i = 0; i < 10; i++) commands.push(client.command('INCR', 'k:0'))
      for (let i = 0; i < 7; i++) commands.push(client.command('GET', `absent:${i}`))
    }
    await Promise.all(commands)
    const stats = await clients[5]!.command('INFO', 'everything')
    t.regex(
      stats,
      /\r\ncmdstat_set:calls=3000,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=0\r\n/,
    )
    t.regex(stats, /\r\ncmdstat_incr:calls=60,.*,failed_calls=60\r\n/)
    t.regex(stats, /\r\nerrorstat_ERR:count=60\r\n/)
    t.regex(stats, /\r\nkeyspace_misses:42\r\n/)
    t.regex(stats, /\r\nconnected_clients:6\r\n/)
    // RESETSTAT counts as one that ran after it, this INFO as the last.
    t.regex(stats, /\r\ntotal_commands_processed:310[34]\r\n/)
    await clients[2]!.command('CONFIG', 'RESETSTAT')
    t.is(await infoField(clients[3]!, 'total_error_replies'), '0')
  },
)

threadsTest('maxclients holds over all threads', async (t) => {
  const { clients, connect } = await startMany(t, 2)
  await clients[0]!.command('CONFIG', 'SET', 'maxclients', '10')
  let served = 2
  let refused = 0
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      const client = await connect()
      // It may be told and closed before it has asked.
      const reply = await client
        .command('PING')
        .catch(() => '-ERR max number of clients reached\r\n')
      if (reply === '+PONG\r\n') served++
      else refused++
    }),
  )
  t.is(served, 10)
  t.is(refused, 32)
  t.is(await infoField(clients[0]!, 'rejected_connections'), '32')
})

threadsTest(
  'slow commands of all threads stand in one SLOWLOG, and MONITOR shows all of them',
  async (t) => {
    const { clients, server } = await startMany(t, 4)
    await clients[0]!.command('CONFIG', 'SET', 'slowlog-log-slower-than', '0')
    for (const [i, client] of clients.entries()) await client.command('SET', `slow:${i}`, 'v')
    await clients[1]!.command('CONFIG', 'SET', 'slowlog-log-slower-than', '-1')
    await until(async () => numberOf(await clients[2]!.command('SLOWLOG', 'LEN')) >= 4)
    const slow = await clients[3]!.command('SLOWLOG', 'GET', '-1')
    for (let i = 0; i < 4; i++) t.true(slow.includes(`slow:${i}`), slow)
    const monitor = connect(server.port, '127.0.0.1', () => monitor.write('MONITOR\r\n'))
    t.teardown(() => monitor.destroy())
    let lines = ''
    monitor.on('data', (bytes) => (lines += String(bytes)))
    await until(() => lines === '+OK\r\n')
    for (const [i, client] of clients.entries()) await client.command('GET', `watched:${i}`)
    await until(() => lines.split('\n').length > 5)
    for (let i = 0; i < 4; i++) t.true(lines.includes(`"watched:${i}"`), lines)
  },
)

threadsTest('SLOWLOG counts all slow commands, however few it keeps', async (t) => {
  const { clients } = await startMany(t, 2)
  await clients[0]!.command('CONFIG', 'SET', 'slowlog-log-slower-than', '0')
  const sets = clients.flatMap((client) =>
    Array.from({ length: 5000 }, (_, i) => client.command('SET', `key:${i}`, 'v')),
  )
  await Promise.all(sets)
  await clients[0]!.command('CONFIG', 'SET', 'slowlog-log-slower-than', '-1')
  const newestId = async (): Promise<number> => {
    const reply = await clients[1]!.command('SLOWLOG', 'GET', '1')
    return Number(/^\*1\r\n\*6\r\n:(\d+)\r\n/.exec(reply)?.[1])
  }
  await until(async () => (await newestId()) >= sets.length)
  t.is(await clients[1]!.command('SLOWLOG', 'LEN'), ':128\r\n')
})

threadsTest('that a node is gone is said once, not by each thread', async (t) => {
  const [own, other] = [await freePort(), await freePort()]
  const names = [`127.0.0.1:${own}`, `127.0.0.1:${other}`]
  const start = (self: number, peer: number) =>
    startRingtier({
      port: [own, other][self]!,
      args: [
        ...['--threads', '2', '--maxmemory', '32mb', '--save', '', '--loglevel', 'verbose'],
        ...['--cluster-self', names[self]!, '--cluster-peers', names[peer]!],
      ],
    })
  const [server, gone] = await Promise.all([start(0, 1), start(1, 0)])
  t.teardown(() => server.stop())
  t.teardown(() => gone.stop())
  // Some for either thread, also where the other node's link has taken a place.
  const clients = await Promise.all(Array.from({ length: 6 }, () => RawClient.open(own)))
  const watcher = await RawClient.open(other)
  // Each thread has a link of its own to the other node once it has asked it for something: of fifty
  // keys some are the other node's, whatever the ring.
  const keys = Array.from({ length: 50 }, (_, i) => `key:${i}`)
  await until(async () => {
    for (const client of clients) await client.command('MGET', ...keys)
    const links = await watcher.command('CLIENT', 'LIST', 'TYPE', 'peer')
    return links.split(/^id=/m).length - 1 === 3
  })
  gone.kill('SIGKILL')
  await gone.exited
  // A link may end closed, reset, or dropped since its node is down, whatever is seen first.
  const told = (level: number): string[] =>
    server
      .output()
      .split('\n')
      .filter((line) => /"code":"(LINK_CLOSED|LINK_DROPPED|ECONNRESET)"/.test(line))
      .map((line) => JSON.parse(line) as { level: number; msg: string })
      .filter((line) => line.level === level)
      .map(({ msg }) => msg)
  await until(() => told(25).length >= 2 && told(40).length >= 1)
  t.deepEqual(told(40), [...new Set(told(40))])
  for (const client of clients) client.close()
})

threadsTest('idle clients of all threads are closed', async (t) => {
  const { clients } = await startMany(t, 4)
  const [busy, ...idle] = clients as [RawClient, ...RawClient[]]
  await busy.command('CONFIG', 'SET', 'timeout', '2')
  await until(async () => (await infoField(busy, 'connected_clients')) === '1')
  for (const client of idle) await t.throwsAsync(() => client.command('PING'))
})

threadsTest(
  'until the snapshot is read no thread has keys but says LOADING, then each has all',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtier-loading-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const args = ['--dir', folder, '--maxmemory', '256mb']
    const first = await startMany(t, 2, args)
    const value = 'v'.repeat(1000)
    const sets: Promise<string>[] = []
    for (let i = 0; i < 10_000; i++)
      sets.push(first.clients[i % 2]!.command('SET', `key:${i}`, value))
    await Promise.all(sets)
    await t.throwsAsync(first.clients[0]!.command('SHUTDOWN', 'SAVE'))
    t.is((await first.server.exited).code, 0)
    const mayGoOn = join(folder, 'now')
    const port = await freePort()
    const starting = startRingtier({
      port,
      args: ['--threads', '2', '--save', '', ...args],
      env: {
        NODE_OPTIONS: `--import=${new URL('slow-disk.js', import.meta.url).href}`,
        TEST_OF_LOADING: mayGoOn,
      },
    })
    t.teardown(async () => (await starting).stop())
    const clients: RawClient[] = []
    await until(async () => {
      const client = await RawClient.open(port).catch(() => null)
      if (client === null) return false
      t.teardown(() => client.close())
      // Connections are spread one by one: each is counted before the next one comes.
      t.regex(await client.command('GET', 'key:1'), /^-LOADING/)
      return clients.push(client) === 4
    })
    for (const client of clients) {
      t.is(await client.command('DBSIZE'), '-LOADING Redis is loading the dataset in memory\r\n')
      t.regex(await client.command('INFO', 'persistence'), /\r\nloading:1\r\n/)
    }
    writeFileSync(mayGoOn, '')
    await starting
    for (const client of clients) {
      t.is(await client.command('DBSIZE'), ':10000\r\n')
      t.is(String(await client.get('key:9999')), value)
    }
  },
)
