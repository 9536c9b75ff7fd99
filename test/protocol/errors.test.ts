import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import test from 'ava'
import * as errors from '../../protocol/errors.ts'
import { available, startRedis } from '../process.ts'
import { exchange } from './exchange.ts'
import { request } from './stream.ts'

const hasRedis = available('redis-server')
const redisTest = hasRedis ? test : test.skip
if (!hasRedis) console.warn('redis-server is not installed: its error lines are not compared')

/** The lines of the last command of an inline session, as redis-server says them. */
type Transcript = readonly [line: string, ...commands: string[]]

const long = 'x'.repeat(200)
const transcripts: readonly Transcript[] = [
  [errors.unknownCommand('NOSUCH', []), 'NOSUCH'],
  [errors.unknownCommand('NoSuch', ['a', 'b']), 'NoSuch a b'],
  [errors.unknownCommand(long, ['a']), `${long} a`],
  ...[120, 121, 122, 123, 124, 125, 126, 127, 128, 129].map((length): Transcript => {
    const arg = 'y'.repeat(length)
    return [errors.unknownCommand('nosuch', [arg, 'bcd', 'e']), `nosuch ${arg} bcd e`]
  }),
  [errors.unknownCommand('nosuch', Array<string>(99).fill('')), `nosuch${' ""'.repeat(99)}`],
  [errors.unknownCommand('a\0b', ['c\0d']), '"a\\x00b" "c\\x00d"'],
  [errors.unknownSubcommand('NoSuch', 'client'), 'CLIENT NoSuch'],
  [errors.unknownSubcommand(long, 'config'), `CONFIG ${long}`],
  [errors.unknownSubcommand('a\0b', 'command'), 'COMMAND "a\\x00b"'],
  [errors.wrongArity('get'), 'GET'],
  [errors.wrongArity('client|id'), 'CLIENT ID x'],
  [errors.wrongArity('mset'), 'MSET a b c'],
  [errors.ERR_OOM, 'CONFIG SET maxmemory 1', 'SET k v'],
  [errors.ERR_SYNTAX, 'CONFIG SET maxmemory 0', 'SET k v NX XX'],
  [errors.ERR_NOT_INTEGER, 'SET k v', 'INCR k'],
  [errors.ERR_NOT_INTEGER, 'INCRBY n +1'],
  [errors.ERR_NOT_FLOAT, 'INCRBYFLOAT n x'],
  [errors.valueBetween(-2147483648, 2147483647), 'SELECT 2147483648'],
  [errors.ERR_OVERFLOW, 'SET n 9223372036854775807', 'INCR n'],
  [errors.ERR_DECREMENT_OVERFLOW, 'DECRBY n -9223372036854775808'],
  [errors.ERR_NAN_OR_INFINITY, 'DEL n', 'INCRBYFLOAT n inf'],
  [errors.ERR_OFFSET, 'SETRANGE k -1 x'],
  [errors.ERR_STRING_TOO_LONG, 'SETRANGE k 536870912 x'],
  [errors.ERR_CURSOR, 'SCAN x'],
  [errors.invalidExpire('set'), 'SET k v EX 0'],
  [errors.invalidExpire('psetex'), 'PSETEX k -1 v'],
  [errors.unsupportedOption('Foo'), 'SET k v', 'EXPIRE k 10 Foo'],
  [errors.unsupportedOption('a\nb\0c'), 'EXPIRE k 10 "a\\nb\\x00c"'],
  [errors.unsupportedOption('a\r\n'), 'EXPIRE k 10 "a\\r\\n"'],
  [errors.ERR_EXPIRE_NX, 'EXPIRE k 10 NX GT'],
  [errors.ERR_EXPIRE_GT_LT, 'EXPIRE k 10 GT LT'],
  [errors.ERR_PROTOCOL_VERSION, 'HELLO x'],
  [errors.ERR_NOPROTO, 'HELLO 4'],
  [errors.ERR_WRONGPASS, 'AUTH user x'],
  [errors.ERR_AUTH_WITHOUT_PASSWORD, 'AUTH x'],
  [errors.helloSyntax('Foo'), 'HELLO 2 Foo'],
  [errors.ERR_CLIENT_NAME, 'CLIENT SETNAME "a b"'],
  [errors.ERR_NO_SUCH_CLIENT, 'CLIENT KILL x'],
  [errors.ERR_CLIENT_ID, 'CLIENT LIST ID x'],
  [errors.ERR_CLIENT_ID_POSITIVE, 'CLIENT KILL ID 0'],
  [errors.unknownClientType('Foo'), 'CLIENT LIST TYPE Foo'],
  [errors.noSuchUser('Foo'), 'CLIENT KILL USER Foo'],
  [errors.ERR_DB_INDEX, 'SELECT 16'],
  [errors.unknownDirective('Foo'), 'CONFIG SET Foo bar'],
  [errors.directiveFailed('databases', errors.CONFIG_IMMUTABLE), 'CONFIG SET databases 3'],
  [errors.directiveFailed('timeout', errors.CONFIG_DUPLICATE), 'CONFIG SET timeout 0 timeout 0'],
  [errors.directiveFailed('maxmemory', errors.CONFIG_NOT_MEMORY), 'CONFIG SET maxmemory x'],
  [errors.directiveFailed('timeout', errors.CONFIG_NOT_INTEGER), 'CONFIG SET timeout x'],
  [errors.directiveFailed('appendonly', errors.CONFIG_NOT_YES_NO), 'CONFIG SET appendonly x'],
  [errors.directiveFailed('save', errors.CONFIG_SAVE), 'CONFIG SET save x'],
  [
    errors.directiveFailed('proto-max-bulk-len', errors.configBetween(1048576, 2n ** 63n - 1n)),
    'CONFIG SET proto-max-bulk-len 1',
  ],
  [
    errors.directiveFailed(
      'loglevel',
      errors.configOneOf(['debug', 'verbose', 'notice', 'warning']),
    ),
    'CONFIG SET loglevel x',
  ],
  [errors.ERR_NO_CONFIG_FILE, 'CONFIG REWRITE'],
  [errors.ERR_COMMAND_WITHOUT_KEYS, 'COMMAND GETKEYS PING x'],
  [errors.ERR_INVALID_COMMAND, 'COMMAND GETKEYS nosuch x'],
  [errors.ERR_COMMAND_ARITY, 'COMMAND GETKEYS GET a b'],
  [errors.ERR_NO_SHUTDOWN, 'SHUTDOWN ABORT'],
  [errors.ERR_CLUSTER_DISABLED, 'CLUSTER INFO'],
]

/** The last line of an answer, as `Reply.error` was given it but for its CR and LF. */
const lastLine = (answer: string): string => answer.split('\r\n').at(-2) ?? ''
const sent = (line: string): string => `-${line.replace(/[\r\n]/g, ' ')}`
const inline = (commands: readonly string[]): string => commands.join('\r\n') + '\r\n'

redisTest('error lines are those of redis-server', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  for (const [line, ...commands] of transcripts) {
    t.is(lastLine(await exchange(redis.port, inline(commands))), sent(line), commands.at(-1))
  }
})

redisTest('error lines before AUTH are those of redis-server', async (t) => {
  const redis = await startRedis({ args: ['--requirepass', 'secret'] })
  t.teardown(() => redis.stop())
  const answers: readonly Transcript[] = [
    [errors.ERR_NOAUTH, 'GET k'],
    [errors.ERR_NOAUTH_HELLO, 'HELLO 3'],
    [errors.ERR_WRONGPASS, 'AUTH x'],
    [errors.ERR_WRONGPASS, 'HELLO 3 AUTH default x'],
    [errors.wrongArity('get'), 'GET'],
  ]
  for (const [line, ...commands] of answers) {
    t.is(lastLine(await exchange(redis.port, inline(commands))), sent(line), commands.at(-1))
  }
  const arguments_ = ['MGET', ...'abcdefghij'.split('')]
  t.is(
    lastLine(await exchange(redis.port, request(...arguments_))),
    sent(errors.ERR_MULTIBULK_UNAUTHENTICATED),
  )
  t.is(
    lastLine(await exchange(redis.port, '*2\r\n$4\r\nAUTH\r\n$16385\r\n')),
    sent(errors.ERR_BULK_UNAUTHENTICATED),
  )
})

redisTest('error lines of the cluster are those of redis-server', async (t) => {
  const redis = await startRedis({ args: ['--cluster-enabled', 'yes'] })
  t.teardown(() => redis.stop())
  const { port } = redis
  const last = async (...commands: string[]): Promise<string> =>
    lastLine(await exchange(port, inline(commands)))
  t.is(await last('SELECT 1'), sent(errors.ERR_SELECT_IN_CLUSTER))
  t.is(await last('CLUSTER ADDSLOTSRANGE 0 16383', 'MGET a b'), sent(errors.ERR_CROSSSLOT))
})

redisTest('lines that are hard to provoke stand in the program', (t) => {
  const path = execFileSync('sh', ['-c', 'command -v redis-server'], { encoding: 'utf8' }).trim()
  const program = readFileSync(path)
  const lines = [
    errors.ERR_LOADING,
    errors.ERR_MAX_CLIENTS,
    errors.DENIED_PROTECTED_MODE,
    errors.ERR_COMMAND_ARGUMENTS,
  ]
  for (const line of lines) {
    const text = line.startsWith('ERR ') ? line.slice(4) : line
    t.true(program.includes(text), line)
  }
})

test('a line names the slot and the address that a client must go to', (t) => {
  t.is(errors.moved(16383, '127.0.0.1:6379'), 'MOVED 16383 127.0.0.1:6379')
})

test('arguments past the limit are not even looked at', (t) => {
  let taken = 0
  function* args(): Generator<string> {
    for (;;) {
      taken++
      yield 'x'.repeat(100)
    }
  }
  errors.unknownCommand('nosuch', args())
  t.is(taken, 3)
})
