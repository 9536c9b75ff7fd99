/*
 * Which commands count as an access to a key, so that it is kept longer: those that do in Redis.
 * redis-server counts each one under LFU with a log factor of 0, and tells the count.
 */
import test from 'ava'
import { available, startRedis, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'

const commands = [
  ...[
    'GET k',
    'MGET k',
    'STRLEN k',
    'GETRANGE k 0 0',
    'GETEX k',
    'GETEX k EX 100',
    'GETEX k PERSIST',
  ],
  ...['EXISTS k', 'TOUCH k', 'TYPE k', 'TTL k', 'PTTL k', 'EXPIRETIME k', 'PEXPIRETIME k'],
  ...['EXPIRE k 100', 'PEXPIRE k 100000', 'EXPIRE k 100 XX', 'PERSIST k'],
  ...['OBJECT ENCODING k', 'OBJECT FREQ k', 'OBJECT REFCOUNT k', 'MEMORY USAGE k'],
  ...['SCAN 0', 'KEYS *', 'RANDOMKEY', 'DBSIZE', 'GET other', 'PING'],
  ...['SETNX k 1', 'SET k 1 NX', 'SET k 1 XX', 'SET k 1 GET', 'GETSET k 1', 'MSETNX k 1'],
  ...['SET k 1', 'SET k 1 EX 100', 'SETEX k 100 1', 'MSET k 1'],
  ...['APPEND k 1', 'SETRANGE k 0 1', 'INCR k', 'DECRBY k 2', 'INCRBYFLOAT k 1'],
]

/** Of these commands, those after which the key's count is another than before. */
async function accesses(client: RawClient): Promise<string[]> {
  const found: string[] = []
  for (const command of commands) {
    await client.command('DEL', 'k')
    await client.command('SET', 'k', '12')
    const before = await client.command('OBJECT', 'FREQ', 'k')
    await client.command(...command.split(' '))
    if ((await client.command('OBJECT', 'FREQ', 'k')) !== before) found.push(command)
  }
  return found
}

const oracleTest = available('redis-server') ? test : test.skip
oracleTest('commands count as an access to a key where they do in Redis', async (t) => {
  const lfu = [
    '--maxmemory-policy',
    'allkeys-lfu',
    '--lfu-log-factor',
    '0',
    '--lfu-decay-time',
    '0',
  ]
  const servers = await Promise.all([
    startRingtier({ args: ['--maxmemory-policy', 's3-fifo'] }),
    startRedis({ args: lfu }),
  ])
  t.teardown(() => Promise.all(servers.map((server) => server.stop())))
  const clients = await Promise.all(servers.map(({ port }) => RawClient.open(port)))
  const [ours, theirs] = await Promise.all(clients.map(accesses))
  for (const client of clients) client.close()
  t.true(theirs!.length > 10)
  t.deepEqual(ours, theirs)
})
