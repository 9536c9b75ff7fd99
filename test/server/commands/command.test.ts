import test from 'ava'
import { commandCommands } from '../../../server/commands/command.ts'
import type { Command } from '../../../server/command.ts'
import { Bench } from './session.ts'

const blank = {
  flags: [],
  keys: [0, 0, 0],
  group: 'string',
  since: '1.0.0',
  complexity: 'O(1)',
  summary: 'Does it.',
  run: () => {},
} as const satisfies Omit<Command, 'name' | 'arity'>

const rows: readonly Command[] = [
  {
    ...blank,
    name: 'put',
    arity: -3,
    flags: ['denyoom', 'write'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'update', 'variable_flags'],
    keyFlagsOf: (args, from) => (args.count > from + 3 ? ['RW'] : ['OW', 'update']),
    keyNotes: 'A note',
    tips: ['a tip'],
    syntax: 'key value [GET]',
    deprecated: { since: '2.0.0', replacedBy: '`SET`' },
  },
  {
    ...blank,
    name: 'mput',
    arity: -3,
    keys: [1, -1, 2],
    keyFlags: ['OW', 'update'],
    flags: ['write'],
    syntax: 'key value [key value ...]',
  },
  {
    ...blank,
    name: 'box',
    arity: -2,
    group: 'server',
    subcommands: [{ ...blank, name: 'open', arity: 2, group: 'server', syntax: 'key' }],
  },
  ...commandCommands,
]

const connect = () => new Bench(rows).connect()
const putFlags2 = '*2\r\n+write\r\n+denyoom\r\n'
const put2 =
  `*10\r\n$3\r\nput\r\n:-3\r\n${putFlags2}:1\r\n:1\r\n:1\r\n` +
  '*3\r\n+@write\r\n+@string\r\n+@slow\r\n*1\r\n$5\r\na tip\r\n' +
  '*1\r\n*8\r\n$5\r\nnotes\r\n$6\r\nA note\r\n$5\r\nflags\r\n*3\r\n+RW\r\n+update\r\n+variable_flags\r\n' +
  '$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n' +
  '$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n' +
  '*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n'

test('COMMAND INFO describes a row as Redis does', (t) => {
  const client = connect()
  t.is(client.say('command', 'info', 'PUT'), `*1\r\n${put2}`)
  t.is(client.say('command', 'info', 'x', 'box|open|y', 'put|x'), '*3\r\n$-1\r\n$-1\r\n$-1\r\n')
  const open =
    '*10\r\n$8\r\nbox|open\r\n:2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@slow\r\n*0\r\n*0\r\n*0\r\n'
  t.is(client.say('command', 'info', 'box|OPEN'), `*1\r\n${open}`)
  t.true(client.say('command', 'info', 'box').endsWith(`*1\r\n${open}`))
})

test('in RESP3 flags are sets and specifications maps', (t) => {
  const client = connect()
  client.client.useProtocol(3)
  const reply = client.say('command', 'info', 'put', 'x')
  t.true(reply.startsWith('*2\r\n*10\r\n$3\r\nput\r\n:-3\r\n~2\r\n+write\r\n'))
  t.true(reply.includes('~1\r\n%4\r\n$5\r\nnotes\r\n'))
  t.true(reply.includes('$4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n'))
  t.true(reply.endsWith('_\r\n'))
})

test('bare COMMAND and INFO without names describe all commands, COUNT counts them', (t) => {
  const client = connect()
  const all = client.say('command')
  t.true(all.startsWith(`*4\r\n${put2}`))
  t.is(client.say('command', 'info'), all)
  t.is(client.say('command', 'count'), ':4\r\n')
})

test('the last key of a range is counted from the first, or from the end', (t) => {
  t.true(
    connect()
      .say('command', 'info', 'mput')
      .includes('$7\r\nlastkey\r\n:-1\r\n$7\r\nkeystep\r\n:2\r\n'),
  )
})

test('COMMAND DOCS tells what a person wants to know', (t) => {
  const client = connect()
  client.client.useProtocol(3)
  const key =
    '%3\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n$14\r\nkey_spec_index\r\n:0\r\n'
  const value = '%2\r\n$4\r\nname\r\n$5\r\nvalue\r\n$4\r\ntype\r\n$6\r\nstring\r\n'
  const get =
    '%4\r\n$4\r\nname\r\n$3\r\nget\r\n$4\r\ntype\r\n$10\r\npure-token\r\n$5\r\ntoken\r\n$3\r\nGET\r\n' +
    '$5\r\nflags\r\n~1\r\n+optional\r\n'
  t.is(
    client.say('command', 'docs', 'put', 'x'),
    '%1\r\n$3\r\nput\r\n%8\r\n$7\r\nsummary\r\n$8\r\nDoes it.\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n' +
      '$5\r\ngroup\r\n$6\r\nstring\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n' +
      '$9\r\ndoc_flags\r\n~1\r\n+deprecated\r\n$16\r\ndeprecated_since\r\n$5\r\n2.0.0\r\n' +
      `$11\r\nreplaced_by\r\n$5\r\n\`SET\`\r\n$9\r\narguments\r\n*3\r\n${key}${value}${get}`,
  )
  t.is(client.say('command', 'docs', 'x'), '%0\r\n')
})

test('COMMAND DOCS holds blocks and subcommands inside their command', (t) => {
  const client = connect()
  const mput = client.say('command', 'docs', 'mput')
  t.true(
    mput.includes('*1\r\n*8\r\n$4\r\nname\r\n$9\r\nkey_value\r\n$4\r\ntype\r\n$5\r\nblock\r\n'),
  )
  t.true(mput.includes('$5\r\nflags\r\n*1\r\n+multiple\r\n$9\r\narguments\r\n*2\r\n'))
  const box = client.say('command', 'docs', 'box')
  t.true(box.includes('$11\r\nsubcommands\r\n*2\r\n$8\r\nbox|open\r\n*10\r\n$7\r\nsummary\r\n'))
  t.true(
    box.endsWith('*1\r\n*4\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$6\r\nstring\r\n'),
    'a key that the command does not use is a string',
  )
  t.regex(client.say('command', 'docs'), /^\*8\r\n\$3\r\nput\r\n/)
})

test('COMMAND LIST names commands and subcommands, all of them or those that a filter lets through', (t) => {
  const client = connect()
  const list = (...words: string[]) =>
    [...client.say('command', 'list', ...words).matchAll(/\r\n([a-z|]+)\r\n/g)].map(
      ([, name]) => name,
    )
  const subcommands = ['count', 'info', 'docs', 'list', 'getkeys', 'getkeysandflags', 'help']
  t.deepEqual(list(), [
    ...['put', 'mput', 'box', 'box|open', 'command'],
    ...subcommands.map((name) => `command|${name}`),
  ])
  t.deepEqual(list('filterby', 'aclcat', 'WRITE'), ['put', 'mput'])
  t.deepEqual(list('FILTERBY', 'PATTERN', '*O*|O*'), ['box|open'])
  t.deepEqual(list('filterby', 'pattern', '?put'), ['mput'])
  for (const words of [
    ['aclcat', 'x'],
    ['aclcat', '@write'],
    ['pattern', 'x'],
    ['module', 'x'],
  ]) {
    t.is(client.say('command', 'list', 'filterby', ...words), '*0\r\n')
  }
  for (const words of [
    ['x'],
    ['filterby'],
    ['filterby', 'module'],
    ['filterby', 'x', 'y'],
    ['filterby', 'pattern', 'a', 'b'],
  ]) {
    t.is(client.say('command', 'list', ...words), '-ERR syntax error\r\n')
  }
})

test('COMMAND GETKEYS finds the keys of a call', (t) => {
  const client = connect()
  const keys = (...words: string[]) => client.say('command', 'getkeys', ...words)
  t.is(keys('put', 'k', 'v'), '*1\r\n$1\r\nk\r\n')
  t.is(keys('MPUT', 'a', '1', 'b', '2'), '*2\r\n$1\r\na\r\n$1\r\nb\r\n')
  t.is(keys('x', 'y'), '-ERR Invalid command specified\r\n')
  t.is(keys('box', 'x'), '-ERR Invalid command specified\r\n')
  t.is(keys('box', 'open'), '-ERR The command has no key arguments\r\n')
  t.is(keys('put', 'k'), '-ERR Invalid number of arguments specified for command\r\n')
})

test('COMMAND GETKEYSANDFLAGS tells how this very call uses them', (t) => {
  const client = connect()
  const flags = (...words: string[]) => client.say('command', 'getkeysandflags', ...words)
  t.is(flags('put', 'k', 'v'), '*1\r\n*2\r\n$1\r\nk\r\n*2\r\n+OW\r\n+update\r\n')
  t.is(flags('put', 'k', 'v', 'get'), '*1\r\n*2\r\n$1\r\nk\r\n*1\r\n+RW\r\n')
  t.is(flags('mput', 'a', '1'), '*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n')
  t.is(flags('x', 'y'), '-ERR Invalid command specified\r\n')
})

test('HELP of COMMAND tells what it does alone', (t) => {
  const lines = connect().say('command', 'help').split('\r\n')
  t.deepEqual(lines.slice(2, 4), ['+(no subcommand)', '+    Describes all commands for programs.'])
})
