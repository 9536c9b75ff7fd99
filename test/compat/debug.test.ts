import test from 'ava'
import { startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { transcripts } from './transcript.ts'

const TYPES =
  'string integer double bignum null array set map attrib push verbatim true false'.split(' ')

transcripts(
  {
    'DEBUG PROTOCOL of all types': [
      // Of `push` the reply that follows is a second one.
      ...TYPES.filter((type) => type !== 'push' && type !== 'attrib').map(
        (type) => `DEBUG PROTOCOL ${type}`,
      ),
      'DEBUG PROTOCOL x',
      'DEBUG PROTOCOL',
      'DEBUG PROTOCOL string x',
    ],
    'DEBUG that is wrong': [
      'DEBUG',
      'DEBUG x',
      'DEBUG JMAP',
      'DEBUG SLEEP',
      'DEBUG SLEEP x',
      'DEBUG SLEEP -1',
      'DEBUG SLEEP 0.02',
      'DEBUG SLEEP 0.01 2',
      'DEBUG OBJECT',
      'DEBUG OBJECT nosuch',
      'DEBUG OBJECT a b',
      'DEBUG SET-ACTIVE-EXPIRE',
      'DEBUG SET-ACTIVE-EXPIRE x',
      'DEBUG SET-ACTIVE-EXPIRE 1 1',
      'DEBUG SET-ACTIVE-EXPIRE 1',
      'DEBUG HELP x',
      'DEBUG RELOAD x',
      'CONFIG GET enable-debug-command',
    ],
  },
  { ringtier: ['--enable-debug-command', 'yes'], redis: ['--enable-debug-command', 'yes'] },
)

test('DEBUG of a local client', async (t) => {
  const server = await startRingtier({ args: ['--enable-debug-command', 'local'] })
  t.teardown(() => server.stop())
  const [one, two] = await Promise.all([RawClient.open(server.port), RawClient.open(server.port)])
  await one.command('MSET', 'k', 'value', 'n', '12')
  const line =
    /^\+Value at:0x\w+ refcount:1 encoding:(\w+) serializedlength:(\d+) lru:\d+ lru_seconds_idle:\d+\r\n$/
  t.deepEqual(line.exec(await one.command('DEBUG', 'OBJECT', 'k'))?.slice(1), ['embstr', '6'])
  t.deepEqual(line.exec(await one.command('DEBUG', 'OBJECT', 'n'))?.slice(1), ['int', '3'])
  t.regex(await one.command('DEBUG', 'RELOAD'), /^-ERR DEBUG RELOAD is not done/)
  t.regex(await one.command('DEBUG', 'HELP'), /^\*11\r\n/)
  t.is(
    await one.command('DEBUG', 'PROTOCOL', 'push'),
    '-ERR RESP2 is not supported by this command\r\n',
  )
  t.is(
    await one.command('DEBUG', 'PROTOCOL', 'attrib'),
    '$39\r\nSome real reply following the attribute\r\n',
  )
  await one.command('DEBUG', 'SET-ACTIVE-EXPIRE', '0')
  await one.command('SET', 'k', 'v', 'PX', '1')
  const begin = performance.now()
  const slept = one.command('DEBUG', 'SLEEP', '0.3')
  // The first may have come before it.
  await two.command('PING')
  t.is(await two.command('PING'), '+PONG\r\n')
  t.is(await slept, '+OK\r\n')
  t.true(performance.now() - begin > 250)
  t.is(await one.command('DBSIZE'), ':2\r\n')
  await one.command('DEBUG', 'SET-ACTIVE-EXPIRE', '1')
  while ((await one.command('DBSIZE')) !== ':1\r\n') await new Promise(setImmediate)
  t.is(await one.command('GET', 'k'), '$-1\r\n')
})
