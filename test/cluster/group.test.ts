import test from 'ava'
import { type Group, GroupError, Groups, parseGroup } from '../../cluster/group.ts'
import { OriginError } from '../../cluster/origin/loader.ts'

const parse = (line: string): Group => parseGroup(line.split(' '))

function match(groups: Groups, key: string): string | undefined {
  const bytes = Buffer.from(`..${key}..`)
  return groups.match(bytes, 2, Buffer.byteLength(key))?.name
}

test('a group has its rules, and defaults for those not given', (t) => {
  const group = parse('user match user:{id} origin http://127.0.0.1:3000/users/{id} ttl 5m')
  t.is(group.name, 'user')
  t.is(group.pattern.text, 'user:{id}')
  t.is(group.origin, 'http://127.0.0.1:3000')
  t.is(group.ttlMs, 300_000)
  t.is(group.waitMs, 1000)
  t.is(group.timeoutMs, 5000)
  t.is(group.bodyBytesMax, 8_388_608)
  t.is(group.concurrency, 64)
  t.is(group.queueMax, 4096)
})

test('rules come in any order and case', (t) => {
  const group = parse(
    'a.b-c_1 CONCURRENCY 3 timeout 250ms origin https://h/ wait 0 queue 7 max-body 1mb match x ttl 2',
  )
  t.is(group.concurrency, 3)
  t.is(group.timeoutMs, 250)
  t.is(group.origin, 'https://h')
  t.is(group.waitMs, 0)
  t.is(group.queueMax, 7)
  t.is(group.bodyBytesMax, 1_048_576)
  t.is(group.ttlMs, 2000)
})

test('a group line that cannot be is refused with one sentence', (t) => {
  const rest = 'match user:{id} origin http://h/{id}'
  const refused: [string, string][] = [
    ['', "group '': a group's name is 1 to 64 of the characters A-Z a-z 0-9 _ . -"],
    ['us{er', "group 'us{er': a group's name is 1 to 64 of the characters A-Z a-z 0-9 _ . -"],
    ['user', 'group user: match is missing'],
    ['user match user:{id}', 'group user: origin is missing'],
    ['user match', 'group user: match has no value'],
    [`user ${rest} tll 5m`, "group user: unknown rule 'tll', did you mean 'ttl'?"],
    [`user ${rest} Time-out 5m`, "group user: unknown rule 'Time-out', did you mean 'timeout'?"],
    [`user ${rest} max 5m`, "group user: unknown rule 'max', did you mean 'max-body'?"],
    [`user ${rest} frobnicate 5m`, "group user: unknown rule 'frobnicate'"],
    [`user ${rest} ttl 5m ttl 6m`, 'group user: ttl is given twice'],
    [`user ${rest} ttl 5x`, "group user: ttl '5x' is no time (write 250ms, 5s, 5m, 2h or 1d)"],
    [`user ${rest} timeout 0`, "group user: timeout '0' is below 1ms"],
    [`user ${rest} wait 61m`, "group user: wait '61m' is above 1h"],
    [`user ${rest} concurrency 0`, "group user: concurrency '0' is below 1"],
    [
      `user ${rest} max-body 8x`,
      "group user: max-body '8x' is no size (write 100kb, 8mb or a number of bytes)",
    ],
    [
      'user match user:{id}{x} origin http://h/',
      "group user: match 'user:{id}{x}' has two wildcards with nothing between them",
    ],
    [
      'user match user:{id} origin http://h/{uid}',
      "group user: origin 'http://h/{uid}' uses {uid}, but match has only {id}",
    ],
    [
      'user match user:* origin http://h/{id}',
      "group user: origin 'http://h/{id}' uses {id}, but match has no placeholder",
    ],
    [
      'user match user:* origin http://h/{}',
      "group user: origin 'http://h/{}' uses {}, but match has no placeholder",
    ],
    [
      'user match user:{id} origin ftp://h/{id}',
      "group user: origin 'ftp://h/{id}' does not begin with http:// or https://",
    ],
    [
      'user match user:{id} origin {id}',
      "group user: origin '{id}' does not begin with http:// or https://",
    ],
    [
      'user match user:{id} origin http://{id}.h/',
      "group user: origin 'http://{id}.h/' has a placeholder in its host, which no key may choose",
    ],
    [
      'user match user:{id} origin http://h:{id}/',
      "group user: origin 'http://h:{id}/' has a placeholder in its host, which no key may choose",
    ],
    ['user match user:{id} origin http:///x', "group user: origin 'http:///x' has no valid host"],
    [
      'user match user:{id} origin http://h:99999/',
      "group user: origin 'http://h:99999/' has no valid host",
    ],
    [
      'user match user:{id} origin http://u:p@h/',
      "group user: origin 'http://u:p@h/' has a user or password in it, which is not supported",
    ],
    [
      'user match user:{id} origin http://h/?{id}=1',
      "group user: origin 'http://h/?{id}=1' has a placeholder in the name of a query value, which no key may choose",
    ],
    [
      'user match user:{id} origin http://h/?a=1&{id}',
      "group user: origin 'http://h/?a=1&{id}' has a placeholder in the name of a query value, which no key may choose",
    ],
    [
      'user match user:{id} origin http://h/a#{id}',
      "group user: origin 'http://h/a#{id}' has a fragment (#), which is not sent",
    ],
    [
      'user match user:{id} origin http://h/../{id}',
      "group user: origin 'http://h/../{id}' has a segment . or .. in its path",
    ],
    [
      'user match user:{id} origin http://h/{id',
      "group user: origin 'http://h/{id' has a { or } without its other",
    ],
    [
      'user match user:{id} origin http://h/%zz',
      "group user: origin 'http://h/%zz' has a % that is not followed by two hex digits",
    ],
  ]
  for (const [line, message] of refused) {
    t.throws(() => parse(line), { instanceOf: GroupError, message }, line)
  }
})

test('the most specific group has the key', (t) => {
  const groups = new Groups([
    parse('all match * origin http://h/'),
    parse('named match {key} origin http://h/'),
    parse('user match user:{id} origin http://h/'),
    parse('avatar match user:{id}:avatar origin http://h/'),
    parse('admin match user:admin origin http://h/'),
    parse('two match user:{a}:{b} origin http://h/'),
    parse('end match *:end origin http://h/'),
  ])
  t.is(match(groups, 'user:1'), 'user')
  t.is(match(groups, 'user:1:avatar'), 'avatar')
  t.is(match(groups, 'user:admin'), 'admin')
  t.is(match(groups, 'user:1:2'), 'two')
  t.is(match(groups, 'x:end'), 'end')
  t.is(match(groups, 'x'), 'all')
  t.is(match(groups, ''), 'all')
})

test('of equally long patterns the one with fewer wildcards wins, then the first', (t) => {
  const fewer = new Groups([
    parse('two match {a}b* origin http://h/'),
    parse('one match {a}b origin http://h/'),
  ])
  t.is(match(fewer, 'ab'), 'one')
  const first = new Groups([
    parse('first match a{x} origin http://h/'),
    parse('second match a{y} origin http://h/'),
  ])
  t.is(match(first, 'ab'), 'first')
})

test('a key that no group is for has none', (t) => {
  const groups = new Groups([
    parse('user match user:{id} origin http://h/'),
    parse('post match *post origin http://h/'),
  ])
  t.is(match(groups, 'user:'), undefined)
  t.is(match(groups, 'u'), undefined)
  t.is(match(groups, ''), undefined)
  t.is(match(groups, 'other'), undefined)
  t.is(match(new Groups([]), 'other'), undefined)
})

test('two groups cannot have one name', (t) => {
  const group = parse('user match user:{id} origin http://h/')
  t.throws(() => new Groups([group, group]), {
    instanceOf: GroupError,
    message: 'group user is given twice',
  })
})

test('a group is found by its name', (t) => {
  const group = parse('user match user:{id} origin http://h/')
  const groups = new Groups([group])
  t.is(groups.get('user'), group)
  t.is(groups.get('nobody'), undefined)
})

test('an empty key is refused, also by a group that matches it', (t) => {
  t.throws(() => parse('all match * origin http://h/').url(Buffer.alloc(0)), {
    instanceOf: OriginError,
    message: 'ORIGIN all: key is required',
  })
})

test('a key may have 65536 bytes', (t) => {
  const group = parse('all match {key} origin http://h/{key}')
  t.is(group.url(Buffer.alloc(65_535, 'a')).length, 'http://h/'.length + 65_535)
  t.is(group.url(Buffer.alloc(65_536, '/')).length, 'http://h/'.length + 3 * 65_536)
  t.throws(() => group.url(Buffer.alloc(65_537, 'a')), {
    instanceOf: OriginError,
    message: 'ORIGIN all: the key is longer than 65536 bytes',
  })
})
