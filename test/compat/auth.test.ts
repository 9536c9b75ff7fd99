import test from 'ava'
import { available, startRedis, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { transcripts } from './transcript.ts'

const password = ['--requirepass', 'secret']

transcripts(
  {
    'nothing goes before AUTH': [
      'PING',
      'GET k',
      'GET',
      'NOSUCH a',
      'CLIENT',
      'CLIENT ID',
      'CLIENT NOSUCH',
      'COMMAND COUNT',
      'CONFIG GET requirepass',
      'SHUTDOWN',
      'HELLO',
      'HELLO 3',
      'HELLO 3 SETNAME a',
      'HELLO 4',
      'HELLO 3 x',
      'RESET',
    ],
    'a wrong password lets nobody in': [
      'AUTH x',
      'AUTH ""',
      'AUTH default x',
      'AUTH default ""',
      'AUTH nobody secret',
      'AUTH secret secret',
      'HELLO 3 AUTH default x',
      'HELLO 3 AUTH nobody secret',
      'PING',
    ],
    'the right one does, and a wrong one afterwards changes nothing': [
      'AUTH secret',
      'PING',
      'AUTH x',
      'PING',
      'AUTH default secret',
      'CONFIG GET requirepass',
      'RESET',
      'PING',
      'AUTH secret x y',
      'AUTH secret',
      'PING',
    ],
    'HELLO authenticates on the way': [
      '? HELLO 3 AUTH default secret SETNAME a',
      'CLIENT GETNAME',
      'PING',
    ],
    'QUIT needs no password': ['QUIT', 'PING'],
    'a client who has not authenticated may send ten arguments': [
      'X 2 3 4 5 6 7 8 9 10',
      'X 2 3 4 5 6 7 8 9 10 11',
      'PING',
    ],
    'a client who has not authenticated may send 16,384 bytes': [
      `GET ${'k'.repeat(16_384)}`,
      'PING',
    ],
    'a client who has not authenticated may not send 16,385': [`GET ${'k'.repeat(16_385)}`, 'PING'],
    'the limits end with AUTH': [
      'AUTH secret',
      `GET ${'k'.repeat(16_385)}`,
      'DEL 2 3 4 5 6 7 8 9 10 11 12',
    ],
  },
  { ringtier: password, redis: password },
)

const starters = available('redis-server') ? [startRingtier, startRedis] : [startRingtier]

for (const start of starters) {
  test(`${start.name}: a password that is set or taken away counts at once`, async (t) => {
    const server = await start({ args: password })
    const [insider, outsider] = await Promise.all([
      RawClient.open(server.port),
      RawClient.open(server.port),
    ])
    try {
      t.is(await insider.command('AUTH', 'secret'), '+OK\r\n')
      t.is(await outsider.command('PING'), '-NOAUTH Authentication required.\r\n')
      t.is(await insider.command('CONFIG', 'SET', 'requirepass', ''), '+OK\r\n')
      t.is(await outsider.command('PING'), '+PONG\r\n')
      t.is(await insider.command('CONFIG', 'SET', 'requirepass', 'other'), '+OK\r\n')
      t.is(await insider.command('PING'), '+PONG\r\n', 'who has authenticated stays in')
      t.is(await outsider.command('PING'), '-NOAUTH Authentication required.\r\n')
      t.regex(await outsider.command('AUTH', 'secret'), /^-WRONGPASS/)
      t.is(await outsider.command('AUTH', 'other'), '+OK\r\n')
    } finally {
      insider.close()
      outsider.close()
      await server.stop()
    }
  })
}
