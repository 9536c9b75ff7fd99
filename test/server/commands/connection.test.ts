import test from 'ava'
import { connectionCommands } from '../../../server/commands/connection.ts'
import { Bench, type BenchOptions, type Session } from './session.ts'

const bench = (options?: BenchOptions) => new Bench(connectionCommands, options)
const connect = (options?: BenchOptions) => bench(options).connect()
const ok = '+OK\r\n'
const syntaxError = '-ERR syntax error\r\n'

test('PING answers PONG or the message, ECHO the message', (t) => {
  const client = connect()
  t.is(client.say('ping'), '+PONG\r\n')
  t.is(client.say('PING', 'a\r\nb'), '$4\r\na\r\nb\r\n')
  t.is(client.say('ping', 'a', 'b'), "-ERR wrong number of arguments for 'ping' command\r\n")
  t.is(client.say('echo', Buffer.from([0xff, 0])), '$2\r\n\xff\0\r\n')
})

test('HELLO describes the server as the Redis that clients look for', (t) => {
  const client = connect()
  const fields =
    '$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:%\r\n' +
    '$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n' +
    '$7\r\nmodules\r\n*0\r\n'
  t.is(client.say('hello'), `*14\r\n${fields.replace('%', '2')}`)
  t.is(client.say('hello', '3'), `%7\r\n${fields.replace('%', '3')}`)
  t.is(client.client.protocol, 3)
  t.is(client.say('hello', '2'), `*14\r\n${fields.replace('%', '2')}`)
})

test('HELLO refuses versions other than 2 and 3', (t) => {
  const client = connect()
  for (const version of ['1', '4', '-1']) {
    t.is(client.say('hello', version), '-NOPROTO unsupported protocol version\r\n')
  }
  for (const version of ['x', '3.0', '', '99999999999999999999']) {
    const error = '-ERR Protocol version is not an integer or out of range\r\n'
    t.is(client.say('hello', version), error)
  }
  t.is(client.client.protocol, 2)
})

test('HELLO authenticates and names on the way', (t) => {
  const client = connect({ directives: ['--requirepass', 'secret'] })
  t.regex(client.say('hello', '3', 'setname', 'a'), /^-NOAUTH HELLO must be called with/)
  t.is(client.client.protocol, 2, 'an error changes nothing')
  t.regex(client.say('hello', '3', 'auth', 'default', 'wrong'), /^-WRONGPASS /)
  t.false(client.client.authenticated)
  t.regex(client.say('hello', '3', 'AUTH', 'default', 'secret', 'SETNAME', 'b'), /^%7/)
  t.true(client.client.authenticated)
  t.is(client.client.name, 'b')
})

test('HELLO refuses options it does not know or that lack a value', (t) => {
  const client = connect()
  for (const words of [['foo'], ['auth'], ['auth', 'default'], ['setname']]) {
    const error = `-ERR Syntax error in HELLO option '${words[0]}'\r\n`
    t.is(client.say('hello', '3', ...words), error)
  }
  t.regex(client.say('hello', '3', 'setname', 'a b'), /^-ERR Client names cannot contain spaces/)
})

test('AUTH compares the password, for the default user only', (t) => {
  const client = connect({ directives: ['--requirepass', 'secret'] })
  const wrong = '-WRONGPASS invalid username-password pair or user is disabled.\r\n'
  for (const words of [[''], ['secre'], ['secrets'], ['default', 'x'], ['nobody', 'secret']]) {
    t.is(client.say('auth', ...words), wrong)
    t.false(client.client.authenticated)
  }
  t.is(client.say('auth', 'secret'), ok)
  t.true(client.client.authenticated)
  t.is(client.say('auth', 'x'), wrong)
  t.true(client.client.authenticated, 'a wrong password later does not take it away')
  t.is(client.say('auth', 'default', 'secret'), ok)
  t.is(client.say('auth', 'a', 'b', 'c'), syntaxError)
})

test('AUTH without a password set says so, and takes any for the named user', (t) => {
  const client = connect()
  t.regex(client.say('auth', 'x'), /^-ERR AUTH <password> called without any password configured/)
  t.is(client.say('auth', 'default', 'x'), ok)
  t.regex(client.say('auth', 'nobody', 'x'), /^-WRONGPASS/)
})

test('SELECT takes 0 to databases - 1', (t) => {
  const client = connect({ directives: ['--databases', '3'] })
  const outOfRange = '-ERR DB index is out of range\r\n'
  t.is(client.say('select', '2'), ok)
  t.is(client.client.db, 2)
  t.is(client.say('select', '3'), outOfRange)
  t.is(client.say('select', '-1'), outOfRange)
  for (const index of ['', 'x', '1x', '9223372036854775808']) {
    t.is(client.say('select', index), '-ERR value is not an integer or out of range\r\n')
  }
  const between = '-ERR value is out of range, value must between -2147483648 and 2147483647\r\n'
  t.is(client.say('select', '2147483647'), outOfRange)
  t.is(client.say('select', '2147483648'), between)
  t.is(client.say('select', '-2147483648'), outOfRange)
  t.is(client.say('select', '-2147483649'), between)
  t.is(client.client.db, 2, 'an error changes nothing')
})

test('QUIT closes after its reply', (t) => {
  const client = connect()
  t.is(client.say('quit', 'now'), ok)
  t.is(client.ended, 'after reply')
})

test('RESET puts everything back, the password as well', (t) => {
  const client = connect({ directives: ['--requirepass', 'secret'] })
  client.say('hello', '3', 'auth', 'default', 'secret', 'setname', 'a')
  client.say('select', '4')
  client.say('client', 'no-evict', 'on')
  client.say('client', 'no-touch', 'on')
  client.say('client', 'reply', 'off')
  t.is(client.say('reset'), '+RESET\r\n')
  t.like(client.client, {
    db: 0,
    name: '',
    noEvict: false,
    noTouch: false,
    replyMode: 'on',
    protocol: 2,
    authenticated: false,
  })
})

test('CLIENT SETNAME takes printable ASCII; an empty name is none', (t) => {
  const client = connect()
  t.is(client.say('client', 'getname'), '$-1\r\n')
  t.is(client.say('client', 'setname', '!~'), ok)
  t.is(client.say('client', 'getname'), '$2\r\n!~\r\n')
  t.is(client.say('client', 'setname', 'a'.repeat(65_536)), ok)
  t.is(client.say('client', 'setname', '!~'), ok)
  for (const name of ['a b', 'a\n', 'é', '\x7f', '\0', 'a'.repeat(65_537)]) {
    const error = '-ERR Client names cannot contain spaces, newlines or special characters.\r\n'
    t.is(client.say('client', 'setname', name), error)
  }
  t.is(client.client.name, '!~')
  t.is(client.say('client', 'setname', ''), ok)
  t.is(client.say('client', 'getname'), '$-1\r\n')
})

test('CLIENT SETINFO keeps the library for CLIENT LIST', (t) => {
  const client = connect()
  t.is(client.say('client', 'setinfo', 'LIB-NAME', 'ioredis'), ok)
  t.is(client.say('client', 'setinfo', 'lib-ver', '6.0.0'), ok)
  t.regex(client.text('client', 'info'), / lib-name=ioredis lib-ver=6\.0\.0 io-thread=0\n$/)
  t.is(client.say('client', 'setinfo', 'x', 'y'), "-ERR Unrecognized option 'x'\r\n")
  t.is(
    client.say('client', 'setinfo', 'LIB-VER', 'a b'),
    '-ERR LIB-VER cannot contain spaces, newlines or special characters.\r\n',
  )
})

test('CLIENT INFO is one line of name=value', async (t) => {
  const server = bench()
  const client = server.connect()
  await server.clock.advance(2500)
  client.client.lastCommandAt = server.clock.now() - 1200
  client.say('client', 'no-evict', 'on')
  const fields = client.text('client', 'info').trimEnd().split(' ')
  const names = fields.map((field) => field.split('=')[0])
  t.deepEqual(
    names.join(' '),
    [
      'id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem',
      'multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver io-thread',
    ].join(' '),
  )
  for (const field of [
    'id=1',
    'addr=127.0.0.1:50000',
    'laddr=127.0.0.1:6379',
    'fd=9',
    'age=2',
    'idle=1',
    'flags=e',
    'qbuf=11',
    'oll=3',
    'omem=22',
    `tot-mem=${6 * 1024 + 33}`,
    'cmd=client|info',
    'resp=2',
  ]) {
    t.true(fields.includes(field), field)
  }
})

test('CLIENT LIST shows all, those of a type, or those of some ids', (t) => {
  const server = bench()
  const [a, , c] = [server.connect(), server.connect(), server.connect()]
  c.client.peer = 'b:7001'
  const ids = (...words: string[]) =>
    [...a.text('client', 'list', ...words).matchAll(/^id=(\d+) /gm)].map((match) => match[1])
  t.deepEqual(ids(), ['1', '2', '3'])
  t.deepEqual(ids('type', 'NORMAL'), ['1', '2'])
  t.deepEqual(ids('type', 'peer'), ['3'])
  for (const type of ['master', 'replica', 'slave', 'pubsub']) t.deepEqual(ids('type', type), [])
  t.deepEqual(ids('id', '3', '9', '1', '-1', '3'), ['3', '1', '3'])
  t.regex(a.text('client', 'list', 'id', '3'), / peer=b:7001\n$/)
})

test('CLIENT LIST refuses what it does not know', (t) => {
  const client = connect()
  const say = (...words: string[]) => client.say('client', 'list', ...words)
  for (const words of [['x'], ['type'], ['id'], ['type', 'normal', 'id', '1']]) {
    t.is(say(...words), syntaxError)
  }
  t.is(say('type', 'x'), "-ERR Unknown client type 'x'\r\n")
  t.is(say('id', '1', 'x'), '-ERR Invalid client ID\r\n')
})

test('CLIENT KILL address closes that client, oneself after the reply', (t) => {
  const server = bench()
  const [a, b] = [server.connect('127.0.0.1:1'), server.connect('127.0.0.1:2')]
  t.is(a.say('client', 'kill', '127.0.0.1:3'), '-ERR No such client\r\n')
  t.is(a.say('client', 'kill', '127.0.0.1:2'), ok)
  t.is(b.ended, 'at once')
  t.is(a.say('client', 'kill', '127.0.0.1:1'), ok)
  t.is(a.ended, 'after reply')
})

test('CLIENT KILL closes the clients that pass all filters, and spares the caller', (t) => {
  const server = bench()
  const sessions = Array.from({ length: 5 }, () => server.connect())
  const [a, b, c, d, e] = sessions as [Session, Session, Session, Session, Session]
  e.client.peer = 'b:7001'
  const kill = (...words: string[]) => a.say('client', 'kill', ...words)
  t.is(kill('id', '2', 'addr', d.client.address), ':0\r\n')
  t.is(
    kill('ID', '2', 'ADDR', b.client.address, 'laddr', '127.0.0.1:6379', 'user', 'default'),
    ':1\r\n',
  )
  t.is(b.ended, 'at once')
  t.is(kill('type', 'normal'), ':2\r\n')
  t.deepEqual(
    [a, c, d, e].map((each) => each.ended),
    [null, 'at once', 'at once', null],
  )
  t.is(kill('type', 'normal', 'skipme', 'no'), ':1\r\n')
  t.is(a.ended, 'after reply')
  t.is(kill('type', 'peer'), ':1\r\n')
  t.is(e.ended, 'at once')
})

test('CLIENT KILL refuses what it does not know, and kills nobody then', (t) => {
  const server = bench()
  const client = server.connect()
  const other = server.connect()
  const kill = (...words: string[]) => client.say('client', 'kill', ...words)
  for (const id of ['0', '-5', 'x']) {
    t.is(kill('id', id), '-ERR client-id should be greater than 0\r\n')
  }
  t.is(kill('type', 'x'), "-ERR Unknown client type 'x'\r\n")
  t.is(kill('user', 'x'), "-ERR No such user 'x'\r\n")
  for (const words of [
    ['skipme', 'x'],
    ['x', 'y'],
    ['id', '2', 'x'],
    ['id', '2', 'addr'],
  ]) {
    t.is(kill(...words), syntaxError)
  }
  t.is(other.ended, null)
})

test('CLIENT NO-EVICT, NO-TOUCH and REPLY take their words only', (t) => {
  const client = connect()
  t.is(client.say('client', 'no-evict', 'ON'), ok)
  t.is(client.say('client', 'no-touch', 'on'), ok)
  t.like(client.client, { noEvict: true, noTouch: true })
  t.regex(client.text('client', 'info'), / flags=eT /)
  t.is(client.say('client', 'no-touch', 'off'), ok)
  t.like(client.client, { noEvict: true, noTouch: false })
  for (const name of ['no-evict', 'no-touch', 'reply']) {
    t.is(client.say('client', name, 'maybe'), syntaxError)
  }
})

test('CLIENT REPLY: only ON is answered', (t) => {
  const client = connect()
  t.is(client.say('client', 'reply', 'skip'), '')
  t.is(client.client.replyMode, 'skip-next')
  t.is(client.say('client', 'reply', 'off'), '')
  t.is(client.say('client', 'reply', 'skip'), '')
  t.is(client.client.replyMode, 'off', 'silence goes on')
  t.is(client.say('client', 'reply', 'on'), ok)
  t.is(client.client.replyMode, 'on')
})

test('CLIENT HELP lists every subcommand, itself last', (t) => {
  const lines = connect().say('client', 'help').split('\r\n')
  t.is(lines[1], '+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:')
  t.true(lines.includes('+SETNAME connection-name'))
  t.deepEqual(lines.slice(-3), ['+HELP', '+    Prints this help.', ''])
})
