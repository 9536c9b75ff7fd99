import test from 'ava'
import type { Args } from '../../protocol/args.ts'
import { type Command, CommandTable, flagBits, keysOf, takes } from '../../server/command.ts'

const blank = {
  arity: 1,
  flags: [],
  keys: [0, 0, 0],
  group: 'server',
  since: '1.0.0',
  complexity: 'O(1)',
  summary: 'Does nothing.',
  run: () => {},
} as const satisfies Omit<Command, 'name'>

/** Arguments that are only counted. */
function counted(count: number): Args {
  return { count } as unknown as Args
}

/** Arguments as the decoder leaves them: one after the other in one buffer. */
function argsOf(...words: string[]): Args {
  const bytes = new TextEncoder().encode(words.join(''))
  const starts = words.map((_, i) => words.slice(0, i).join('').length)
  return {
    bytes,
    count: words.length,
    pos: (i: number) => starts[i],
    length: (i: number) => words[i]?.length,
  } as unknown as Args
}

function find(table: CommandTable, name: string): string | null {
  // Bytes before and behind must not matter.
  const bytes = new TextEncoder().encode(`<<${name}>>`)
  return table.find(bytes, 2, bytes.length - 4)?.fullName ?? null
}

const table = new CommandTable([
  {
    ...blank,
    name: 'get',
    arity: 2,
    keys: [1, 1, 1],
    flags: ['readonly', 'fast'],
    group: 'string',
  },
  { ...blank, name: 'mset', arity: -3, keys: [1, -1, 2], flags: ['denyoom', 'write'] },
  {
    ...blank,
    name: 'client',
    arity: -2,
    group: 'connection',
    subcommands: [
      { ...blank, name: 'no-evict', arity: 3, group: 'connection', flags: ['admin'] },
      { ...blank, name: 'id', arity: 2, group: 'connection' },
    ],
  },
  { ...blank, name: 'ping', arity: -1, group: 'connection', flags: ['fast'] },
])

test('a command is found in any case and under no other name', (t) => {
  for (const name of ['get', 'GET', 'gEt']) t.is(find(table, name), 'get')
  for (const name of ['', 'ge', 'gett', 'g\x05t', 'G\x65\x14', 'set', 'client|id', 'id']) {
    t.is(find(table, name), null, JSON.stringify(name))
  }
})

test('only letters are folded: a name with a hyphen is not found with a carriage return', (t) => {
  const client = table.named('client')?.subcommands
  t.truthy(client)
  t.is(find(client as CommandTable, 'No-Evict'), 'client|no-evict')
  t.is(find(client as CommandTable, 'no\revict'), null)
})

test('names that meet in one cell are all found', (t) => {
  const names = Array.from({ length: 500 }, (_, i) => `command${i}`)
  const many = new CommandTable(names.map((name) => ({ ...blank, name })))
  for (const name of names) t.is(find(many, name.toUpperCase()), name)
  t.is(find(many, 'command500'), null)
  t.is(find(many, 'x'.repeat(100_000)), null)
})

test('a name that is there twice is refused', (t) => {
  const twice = [
    { ...blank, name: 'get' },
    { ...blank, name: 'get' },
  ]
  t.throws(() => new CommandTable(twice), { message: /'get'/ })
})

test('every command and subcommand has its own statistics cell', (t) => {
  const indexes = [...table.all()].map((entry) => entry.index)
  t.is(table.size, 6)
  t.deepEqual(
    indexes.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5],
  )
  t.deepEqual(
    [...table.all()].map((entry) => entry.fullName),
    ['get', 'mset', 'client', 'client|no-evict', 'client|id', 'ping'],
  )
})

test('a subcommand is found by its full name and by a call of it', (t) => {
  t.is(table.named('Client|ID')?.fullName, 'client|id')
  t.is(table.named('client|nosuch'), null)
  t.is(table.named('client|id|x'), null)
  t.is(table.named('get|id'), null)
  t.is(table.called(argsOf('CLIENT', 'iD'))?.fullName, 'client|id')
  t.is(table.called(argsOf('x', 'client', 'id'), 1)?.fullName, 'client|id')
  t.is(table.called(argsOf('client'))?.fullName, 'client')
  t.is(table.called(argsOf('client', 'nosuch')), null)
  t.is(table.called(argsOf('get', 'id'))?.fullName, 'get')
  t.is(table.called(argsOf('nosuch', 'id')), null)
})

test('arity: one below, at and above', (t) => {
  const get = table.named('get')!
  const mset = table.named('mset')!
  t.deepEqual(
    [1, 2, 3].map((count) => takes(get, count)),
    [false, true, false],
  )
  t.deepEqual(
    [2, 3, 4, 100_000].map((count) => takes(mset, count)),
    [false, true, true, true],
  )
})

test('flags are bits, and print in Redis’s order', (t) => {
  const mset = table.named('mset')!
  t.is(mset.flags, flagBits.write | flagBits.denyoom)
  t.true(mset.has('write'))
  t.false(mset.has('fast'))
  t.deepEqual(mset.flagNames(), ['write', 'denyoom'])
})

test('ACL categories follow from flags and group; a container has none of its group', (t) => {
  const categories = (name: string) => table.named(name)?.categories
  t.deepEqual(categories('get'), ['read', 'string', 'fast'])
  t.deepEqual(categories('ping'), ['fast', 'connection'])
  t.deepEqual(categories('client'), ['slow'])
  t.deepEqual(categories('client|no-evict'), ['admin', 'slow', 'dangerous', 'connection'])
})

test('a command without keys runs here, one with keys where its key is', (t) => {
  t.is(table.named('ping')?.placement, 'here')
  t.is(table.named('get')?.placement, 'key')
})

test('keysOf walks from the first key to the last by the step', (t) => {
  const get = table.named('get')!
  const mset = table.named('mset')!
  t.deepEqual(keysOf(get, counted(2)), [1])
  t.is(keysOf(get, counted(1)), null)
  t.deepEqual(keysOf(get, counted(5), 3), [4])
  t.deepEqual(keysOf(mset, counted(5)), [1, 3])
  t.deepEqual(keysOf(mset, counted(4)), [1, 3], 'half a pair counts, as in Redis')
  t.deepEqual(keysOf(mset, counted(1)), null)
  t.deepEqual(keysOf(table.named('ping')!, counted(3)), [])
})

test('an entry cannot be changed', (t) => {
  t.true(Object.isFrozen(table.named('get')))
})
