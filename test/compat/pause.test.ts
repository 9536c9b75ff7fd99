import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { available, startRedis, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { transcripts } from './transcript.ts'

transcripts({
  'CLIENT PAUSE and UNPAUSE': [
    'CLIENT PAUSE',
    'CLIENT PAUSE x',
    'CLIENT PAUSE -1',
    'CLIENT PAUSE 1.5',
    'CLIENT PAUSE 1 foo',
    'CLIENT PAUSE x foo',
    'CLIENT PAUSE 1 ALL x',
    'CLIENT PAUSE 0',
    'CLIENT PAUSE 30 ALL',
    'PING',
    'CLIENT PAUSE 30 write',
    'SET k v',
    'CLIENT PAUSE 30',
    'SET k 70000',
    `SET k ${'v'.repeat(70_000)}`,
    'CLIENT PAUSE 30',
    `SET k ${'w'.repeat(70_000)} GET`,
    'CLIENT PAUSE 30',
    'GET k',
    'CLIENT PAUSE 9223372036854775807',
    'CLIENT PAUSE 100000 WRITE',
    'GET k',
    'SET k',
    'NOSUCH k',
    'CLIENT UNPAUSE',
    'CLIENT UNPAUSE x',
    'SET k v',
  ],
  'a transaction in a pause': [
    'MULTI',
    'GET k',
    'CLIENT PAUSE 30 WRITE',
    'SET k v',
    `SET long ${'v'.repeat(70_000)}`,
    'WAIT 1 0',
    'EXEC',
    'STRLEN long',
    'MULTI',
    'SET k w',
    'CLIENT PAUSE 30 ALL',
    'EXEC',
    'MULTI',
    'GET k',
    'EXEC',
  ],
  'what a command that is held selects stays selected': [
    'SET k v',
    'CLIENT PAUSE 30',
    'SELECT 2',
    'GET k',
    'CLIENT PAUSE 30',
    'KEYS *',
    'MULTI',
    'SELECT 0',
    'CLIENT PAUSE 30',
    'EXEC',
    'GET k',
    'CLIENT PAUSE 30',
    'RESET',
    'GET k',
    'CLIENT PAUSE 30',
    '? HELLO 3',
    'GET nosuch',
    'CLIENT PAUSE 30',
    '? HELLO 2',
    'GET nosuch',
    'CLIENT PAUSE 30',
    'QUIT',
    'GET k',
  ],
  'CLIENT UNBLOCK that finds nobody': [
    'CLIENT UNBLOCK',
    'CLIENT UNBLOCK x',
    'CLIENT UNBLOCK x foo',
    'CLIENT UNBLOCK 1 foo',
    'CLIENT UNBLOCK 99999999',
    'CLIENT UNBLOCK -1 ERROR',
    'CLIENT UNBLOCK 99999999 TIMEOUT',
    'CLIENT UNBLOCK 1 ERROR x',
  ],
  'WAIT and ROLE': [
    'WAIT',
    'WAIT 0',
    'WAIT 0 0',
    'WAIT 0 0 0',
    'WAIT -1 0',
    'WAIT x 0',
    'WAIT x y',
    'WAIT 1 x',
    'WAIT 0 x',
    'WAIT 1 -1',
    'WAIT 0 -1',
    'WAIT 1 1',
    'WAIT 100 20',
    'SET k v',
    'WAIT 9223372036854775807 10',
    'WAIT 9223372036854775808 10',
    'WAIT 1 9223372036854775808',
    'ROLE',
    'ROLE x',
  ],
  'FUNCTION where there are none': [
    'FUNCTION',
    'FUNCTION FLUSH',
    'FUNCTION flush sync',
    'FUNCTION FLUSH ASYNC',
    'FUNCTION FLUSH x',
    'FUNCTION FLUSH SYNC ASYNC',
    'FUNCTION LIST',
    'FUNCTION LIST WITHCODE',
    'FUNCTION LIST LIBRARYNAME a* WITHCODE',
    'FUNCTION LIST LIBRARYNAME',
    'FUNCTION LIST WITHCODE WITHCODE',
    'FUNCTION LIST LIBRARYNAME a LIBRARYNAME b',
    'FUNCTION LIST x',
    'FUNCTION NOSUCH',
    'FUNCTION HELP x',
  ],
  'DEBUG where it is not allowed, and LOLWUT that is wrong': [
    'DEBUG',
    'DEBUG SLEEP 0',
    'DEBUG x',
    'CONFIG GET enable-debug-command',
    'CONFIG SET enable-debug-command yes',
    'LOLWUT VERSION x',
    'LOLWUT VERSION x y',
    'LOLWUT VERSION 5 x',
    'LOLWUT VERSION 5 1 2 x y',
    '? LOLWUT VERSION 5 1 2 3 y',
    'LOLWUT VERSION 6 1 x',
    '? LOLWUT VERSION 6 1 2 x',
    '? LOLWUT VERSION 7 x',
    '? LOLWUT x',
    '? LOLWUT',
    '? LOLWUT VERSION 5',
  ],
})

interface Clients {
  readonly one: RawClient
  readonly two: RawClient
  readonly three: RawClient
}

/** The same on ringtier and on redis-server. */
function onBoth(title: string, play: (t: ExecutionContext, clients: Clients) => Promise<void>) {
  const kinds = [
    { name: 'ringtier', start: startRingtier },
    { name: 'redis-server', start: startRedis },
  ] as const
  for (const { name, start } of kinds) {
    if (!available(name === 'ringtier' ? 'node' : name)) continue
    test(`${title}: ${name}`, async (t) => {
      const server = await start()
      t.teardown(() => server.stop())
      const [one, two, three] = await Promise.all([1, 2, 3].map(() => RawClient.open(server.port)))
      await play(t, { one: one!, two: two!, three: three! })
    })
  }
}

/** Milliseconds until the reply is there, at least. */
async function timed(reply: Promise<string>): Promise<[string, number]> {
  const begin = performance.now()
  return [await reply, performance.now() - begin]
}

onBoth('during CLIENT PAUSE WRITE reads go on, and UNPAUSE ends it', async (t, clients) => {
  const { one, two, three } = clients
  t.is(await one.command('CLIENT', 'PAUSE', '100000', 'WRITE'), '+OK\r\n')
  const order: string[] = []
  const set = two.command('SET', 'k', 'v').then((reply) => order.push(reply))
  const after = two.command('GET', 'k').then((reply) => order.push(reply))
  t.is(await three.command('GET', 'k'), '$-1\r\n')
  t.regex(await three.command('INFO', 'clients'), /blocked_clients:1\r/)
  // The shorter one changes nothing.
  t.is(await one.command('CLIENT', 'PAUSE', '1', 'WRITE'), '+OK\r\n')
  await delay(20)
  t.is(await three.command('GET', 'k'), '$-1\r\n')
  t.is(await three.command('CLIENT', 'UNPAUSE'), '+OK\r\n')
  await Promise.all([set, after])
  t.deepEqual(order, ['+OK\r\n', '$1\r\nv\r\n'])
})

onBoth('CLIENT PAUSE ALL holds everything, and ends by itself', async (t, { one, two, three }) => {
  t.is(await one.command('CLIENT', 'PAUSE', '300'), '+OK\r\n')
  const ping = timed(two.command('PING'))
  // UNPAUSE waits as well; what is wrong does not.
  const [[unpaused, unpausedMs], wrong] = await Promise.all([
    timed(three.command('CLIENT', 'UNPAUSE')),
    timed(one.command('GET')),
  ])
  t.is(unpaused, '+OK\r\n')
  t.true(unpausedMs > 200)
  t.true(wrong[1] < unpausedMs)
  const [pong, pongMs] = await ping
  t.is(pong, '+PONG\r\n')
  t.true(pongMs > 200)
})

onBoth(
  'what a client sent that left during a pause is not done',
  async (t, { one, two, three }) => {
    t.is(await one.command('CLIENT', 'PAUSE', '300', 'WRITE'), '+OK\r\n')
    void two.command('SET', 'k', 'v').catch(() => {})
    await delay(50)
    two.close()
    t.is(await three.command('SET', 'other', 'v'), '+OK\r\n')
    t.is(await three.command('GET', 'k'), '$-1\r\n')
  },
)

onBoth('CLIENT UNBLOCK ends a WAIT', async (t, { one, two, three }) => {
  const id = /:(\d+)/.exec(await one.command('CLIENT', 'ID'))![1]!
  for (const [reason, reply] of [
    [[], ':0\r\n'],
    [['TIMEOUT'], ':0\r\n'],
    [['ERROR'], '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n'],
  ] as const) {
    const waiting = one.command('WAIT', '1', '0')
    const behind = one.command('PING')
    while (!/blocked_clients:1\r/.test(await two.command('INFO', 'clients'))) await delay(5)
    t.regex(await two.command('CLIENT', 'LIST', 'ID', id), / flags=b /)
    t.is(await two.command('CLIENT', 'UNBLOCK', id, ...reason), ':1\r\n')
    t.is(await waiting, reply)
    t.is(await behind, '+PONG\r\n')
    t.is(await two.command('CLIENT', 'UNBLOCK', id, ...reason), ':0\r\n')
  }
  void one.command('WAIT', '1', '0').catch(() => {})
  one.close()
  while (!/blocked_clients:0\r/.test(await three.command('INFO', 'clients'))) await delay(5)
  t.pass()
})
