import { setImmediate } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { CachingClient, type CachingMode } from '../../caching-client.ts'
import { Party } from '../../compat/parties.ts'
import { startOrigin } from '../../nodes/counting-origin.ts'
import type { RawClient } from '../../raw.ts'
import { until } from '../../until.ts'
import { infoField, startMany, threadsTest } from './many.ts'

const modes: readonly CachingMode[] = ['default', 'optin', 'bcast', 'redirect']

async function open(
  t: ExecutionContext,
  port: number,
  mode: CachingMode = 'default',
  prefixes: string[] = [],
): Promise<CachingClient> {
  const client = await CachingClient.open(port, mode, prefixes)
  t.teardown(() => client.close())
  return client
}

/** Clients of all threads, in each mode. */
async function openAll(t: ExecutionContext, port: number): Promise<CachingClient[]> {
  const clients: CachingClient[] = []
  for (const mode of modes) for (let i = 0; i < 3; i++) clients.push(await open(t, port, mode))
  return clients
}

/** Everything that clients keep is what the server has. */
async function agree(clients: readonly CachingClient[], asked: RawClient): Promise<void> {
  const keys = new Set(clients.flatMap(({ kept }) => [...kept.keys()]))
  for (const key of keys) {
    const value = await asked.get(key)
    const is = value === null ? null : String(value)
    await until(() => clients.every(({ kept }) => !kept.has(key) || kept.get(key) === is))
  }
}

threadsTest('a change by any thread is told once to who read the key on any other', async (t) => {
  const { server, clients: writers } = await startMany(t, 4, ['--threads', '3'])
  const readers = await openAll(t, server.port)
  const changes = [
    ['SET', 'k', '1'],
    ['APPEND', 'k', '2'],
    ['EXPIRE', 'k', '100'],
    ['DEL', 'k'],
    ['MSET', 'j', '1', 'k', '1'],
    ['PEXPIRE', 'k', '1'],
  ]
  let count = 0
  for (const change of changes) {
    for (const writer of writers) {
      await writer.command('SET', 'k', '0')
      await until(() => readers.every(({ kept }) => !kept.has('k')))
      await Promise.all(readers.map((reader) => reader.get('k')))
      for (const { told } of readers) told.clear()
      await writer.command(...change)
      await until(() => readers.every(({ kept }) => !kept.has('k')))
      count++
    }
  }
  t.is(count, 24)
  for (const { toldInVain } of readers) t.deepEqual(toldInVain, [])
})

threadsTest('caches of clients converge while all threads write', async (t) => {
  const { server, clients: writers } = await startMany(t, 6, ['--threads', '3'])
  const readers = await openAll(t, server.port)
  const keys = Array.from({ length: 60 }, (_, i) => `k${i}`)
  let stops = false
  let writes = 0
  const writing = writers.map(async (writer, w) => {
    for (let n = w; !stops; n += 7) {
      const key = keys[n % keys.length]!
      const kind = n % 11
      if (kind < 6) await writer.command('INCR', key)
      else if (kind < 8) await writer.command('DEL', key)
      else if (kind < 10) await writer.command('MSET', key, `${n}`, keys[(n + 1) % 60]!, `${n}`)
      else await writer.command('SET', key, '5', 'PX', '3')
      writes++
    }
  })
  const reading = readers.map(async (reader, r) => {
    for (let n = r; !stops; n += 13) {
      const some = [0, 1, 2, 3].map((i) => keys[(n + i * 5) % keys.length]!)
      await Promise.all(some.map((key) => reader.get(key)))
      // Where all of it is kept nobody else would have a turn.
      await setImmediate()
    }
  })
  await until(() => writes > 5_000)
  stops = true
  await Promise.all([...writing, ...reading])
  await agree(readers, writers[0]!)
  t.true(readers.every(({ hits }) => hits > 0))
  for (const { toldInVain, flushes } of readers) {
    t.deepEqual(toldInVain.slice(0, 3), [])
    t.is(flushes, 0)
  }
  // And nothing is lost afterwards.
  for (const key of keys) await Promise.all(readers.map((reader) => reader.get(key)))
  for (const key of keys) await writers[1]!.command('SET', key, 'last')
  await until(() => readers.every(({ kept }) => kept.size === 0))
})

threadsTest('no change slips between a read and its remembrance', async (t) => {
  const { server, clients: writers } = await startMany(t, 3, ['--threads', '3'])
  const readers = await openAll(t, server.port)
  const keys = Array.from({ length: 200 }, (_, i) => `k${i}`)
  for (let round = 0; round < 150; round++) {
    const writer = writers[round % 3]!
    const written = Promise.all(keys.map((key) => writer.command('INCR', key)))
    await Promise.all(readers.flatMap((reader) => keys.map((key) => reader.get(key))))
    const values = (await written).map((reply) => /\d+/.exec(reply)![0])
    // Those were the last writes for now: who keeps another value is told, or never will be.
    const isRight = ({ kept }: CachingClient): boolean =>
      keys.every((key, i) => !kept.has(key) || kept.get(key) === values[i])
    while (!readers.every(isRight)) await setImmediate()
  }
  for (const { toldInVain, mode } of readers) t.deepEqual(toldInVain.slice(0, 3), [], mode)
})

threadsTest('caches converge over evictions and a table that is too small', async (t) => {
  const { server, clients: writers } = await startMany(t, 4, [
    ...['--threads', '3', '--maxmemory', '4mb', '--maxmemory-policy', 'allkeys-lru'],
    ...['--tracking-table-max-keys', '600'],
  ])
  const readers = await openAll(t, server.port)
  let stops = false
  let writes = 0
  // Of 3,000 keys and more there is no room for half.
  const value = 'v'.repeat(3000)
  const writing = writers.map(async (writer, w) => {
    for (let n = w; !stops; n++) {
      await writer.command('SET', `k${n % 20_000}`, `${n}${value}`)
      writes++
    }
  })
  const reading = readers.map(async (reader, r) => {
    for (let n = r; !stops; n++) {
      await reader.get(`k${(n * 3) % 20_000}`)
      await setImmediate()
    }
  })
  await until(() => writes > 12_000)
  stops = true
  await Promise.all([...writing, ...reading])
  await agree(readers, writers[0]!)
  t.true(Number(await infoField(writers[0]!, 'evicted_keys')) > 0)
  t.true(Number(await infoField(writers[0]!, 'tracking_total_keys')) <= 600)
  for (const { toldInVain, flushes } of readers) {
    t.deepEqual(toldInVain.slice(0, 3), [])
    t.is(flushes, 0)
  }
})

threadsTest('a flush by any thread is told all', async (t) => {
  const { server, clients: writers } = await startMany(t, 4, ['--threads', '3'])
  const readers = await openAll(t, server.port)
  for (const [i, writer] of writers.entries()) {
    await writer.command('SET', 'k', '1')
    await until(() => readers.every(({ kept }) => !kept.has('k')))
    await Promise.all(readers.map((reader) => reader.get('k')))
    await writer.command(i % 2 === 0 ? 'FLUSHALL' : 'FLUSHDB')
    await until(() => readers.every(({ kept, flushes }) => !kept.has('k') && flushes === i + 1))
  }
  t.is(await infoField(writers[0]!, 'tracking_total_keys'), '0')
})

threadsTest('messages are redirected to whichever thread, until that client is gone', async (t) => {
  const { server, clients } = await startMany(t, 1, ['--threads', '3'])
  const ears: Party[] = []
  for (let i = 0; i < 6; i++) {
    const ear = await Party.open(server.port)
    await ear.ask('SUBSCRIBE', 'x')
    ears.push(ear)
    t.teardown(() => ear.close())
  }
  const mouth = await Party.open(server.port)
  t.teardown(() => mouth.close())
  await mouth.ask('HELLO', '3')
  t.regex(await mouth.ask('CLIENT', 'TRACKING', 'ON', 'REDIRECT', '99999'), /does not exist/)
  const lines = await clients[0]!.command('CLIENT', 'LIST', 'TYPE', 'pubsub')
  const ids = [...lines.matchAll(/id=(\d+)/g)].map(([, id]) => id!)
  t.is(ids.length, 6)
  const told = '*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n'
  for (const [i, id] of ids.entries()) {
    t.is(await mouth.ask('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id), '+OK\r\n')
    await mouth.ask('GET', 'k')
    await clients[0]!.command('SET', 'k', String(i))
    await ears[i]!.until((received) => received === told)
    await mouth.ask('GET', 'k')
    ears[i]!.close()
    const list = (): Promise<string> => clients[0]!.command('CLIENT', 'LIST', 'ID', id)
    await until(async () => !(await list()).includes('id='))
    await clients[0]!.command('SET', 'k', String(i))
    await mouth.until((received) => received === `>2\r\n$21\r\ntracking-redir-broken\r\n:${id}\r\n`)
    mouth.take()
    t.regex(await mouth.ask('CLIENT', 'LIST', 'ID', await idOf(mouth)), /flags=tR .* redir=\d+/)
  }
})

async function idOf(party: Party): Promise<string> {
  return /\d+/.exec(await party.ask('CLIENT', 'ID'))![0]
}

threadsTest('what a load brings is told when it changes, and when it is invalidated', async (t) => {
  const origin = await startOrigin(5)
  t.teardown(() => origin.stop())
  const { server, clients } = await startMany(t, 3, [
    ...['--threads', '3'],
    ...['--group', 'user', 'match', 'user:{id}', 'origin', `${origin.url}/{id}`, 'ttl', '1h'],
  ])
  const readers = await openAll(t, server.port)
  const kinds: readonly (readonly string[])[] = [
    ['CACHE.INVALIDATE', 'PREFIX', 'user:'],
    ['CACHE.INVALIDATE', 'GROUP', 'user'],
    ['GROUP', 'FLUSH', 'user'],
    ['DEL', 'user:1', 'user:2', 'user:3'],
  ]
  for (const kind of kinds) {
    await Promise.all(readers.map((reader) => reader.get('user:1')))
    await Promise.all(readers.map((reader) => reader.getMany('user:3', 'user:2')))
    // The load itself may have been told whom it found reading.
    for (let round = 0; round < 3; round++) {
      await Promise.all(readers.map((reader) => reader.get('user:1')))
      await Promise.all(readers.map((reader) => reader.getMany('user:1', 'user:2')))
    }
    await agree(readers, clients[0]!)
    t.true(
      readers.every(
        ({ mode, kept }) => mode === 'bcast' || kept.get('user:1') === origin.valueOf('/1'),
      ),
    )
    t.is((await clients[0]!.command(...kind))[0] === '-', false, kind.join(' '))
    await until(() => readers.every(({ kept }) => kept.size === 0))
  }
  // So many that they are loaded in turns, and answered with their buckets locked.
  const many = Array.from({ length: 300 }, (_, i) => `user:${i}`)
  // What the loads tell may come behind the values that they brought (docs/tracking.md).
  for (let round = 0; round < 3; round++) {
    await Promise.all(readers.map((reader) => reader.getMany(...many)))
  }
  await agree(readers, clients[0]!)
  // Nothing is under way any more when something later has come from every thread.
  for (const client of clients) {
    await Promise.all(readers.map((reader) => reader.get('last')))
    await client.command('SET', 'last', '')
    await until(() => readers.every(({ kept }) => !kept.has('last')))
  }
  for (const { toldInVain } of readers) toldInVain.length = 0
  for (const key of many) await clients[1]!.command('SET', key, 'newer')
  await until(() => readers.every(({ kept }) => kept.size === 0))
  for (const { toldInVain, mode } of readers) t.deepEqual(toldInVain.slice(0, 3), [], mode)
})

threadsTest('what is invalidated by its tag is looked for, and told', async (t) => {
  const { server, clients } = await startMany(t, 4, ['--threads', '3'])
  const readers = await openAll(t, server.port)
  const remembering = readers.filter(({ mode }) => mode !== 'bcast')
  for (const [i, client] of clients.entries()) {
    for (let n = 0; n < 20; n++) {
      await client.command('CACHE.SET', `k${n}`, `${i}`, 'TAGS', '1', n === 7 ? 'seven' : 'others')
    }
    await until(() => readers.every(({ kept }) => kept.size === 0))
    for (let n = 0; n < 20; n++) {
      await Promise.all(remembering.map((reader) => reader.get(`k${n}`)))
    }
    await client.command('CACHE.INVALIDATE', 'TAG', 'seven')
    await until(() => remembering.every(({ kept }) => kept.size === 19 && !kept.has('k7')))
  }
  for (const { toldInVain, mode } of readers) t.deepEqual(toldInVain.slice(0, 3), [], mode)
})

threadsTest('who leaves leaves nothing behind', async (t) => {
  const { server, clients } = await startMany(t, 1, ['--threads', '3'])
  const readers = await openAll(t, server.port)
  for (const reader of readers) for (let i = 0; i < 50; i++) await reader.get(`k${i}`)
  t.is(await infoField(clients[0]!, 'tracking_clients'), '12')
  t.true(Number(await infoField(clients[0]!, 'tracking_total_prefixes')) > 0)
  for (const reader of readers) reader.close()
  for (const field of ['clients', 'total_keys', 'total_items', 'total_prefixes']) {
    await until(async () => (await infoField(clients[0]!, `tracking_${field}`)) === '0')
  }
  await clients[0]!.command('SET', 'k1', '1')
  t.pass()
})
