import test from 'ava'
import { type Group, GroupError, Groups, parseGroup } from '../../../cluster/groups/group.ts'
import { OriginError } from '../../../cluster/origin/loader.ts'
import { isDefault, RULE_NAMES, type RuleName, rowOf } from '../../../cluster/groups/rules.ts'
import { splitWords } from '../../../cluster/groups/words.ts'

const parse = (line: string): Group => parseGroup(splitWords(line)!)

const LEAST = 'user match user:{id} origin http://h/{id}'

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
  t.is(group.staleMs, 0)
  t.is(group.staleIfErrorMs, 0)
  t.is(group.negativeMs, 0)
  t.is(group.jitter, 0)
  t.is(group.earlyBeta, 1)
  t.is(group.idleMs, 0)
  t.is(group.retries, 0)
  t.is(group.breakerFailures, 5)
  t.is(group.breakerOpenMs, 1000)
  t.is(group.bytesMax, 0)
  t.is(group.onError, 'error')
  t.true(group.honoursCacheControl)
  t.deepEqual(group.headers, [])
  t.false(group.writes)
  t.false(group.hasCopies)
  t.is(group.originKind, 'http')
  t.is(group.address.text, 'http://127.0.0.1:3000/users/{id}')
  t.is(group.number, -1)
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
    [`user ${rest} ttl 5 m`, "group user: unknown rule 'm', did you mean '5m'?"],
    [`user ${rest} max-body 8 MB`, "group user: unknown rule 'MB', did you mean '8mb'?"],
    [`user ${rest} ttl=5m`, "group user: unknown rule 'ttl=5m', did you mean 'ttl 5m'?"],
    [`user ${rest} stael=1h`, "group user: unknown rule 'stael=1h', did you mean 'stale 1h'?"],
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
      `user header X-Key: secret ttl 5m ${rest}`,
      `group user: header 'X-Key' has no value: write "Name: value", in quotes`,
    ],
    [`user header X-Key=secret ${rest}`, "group user: header is not written 'Name: value'"],
    [`user header "A: 1" header "a: 2" ${rest}`, "group user: header 'a' is given twice"],
    [
      'user match user:{id} origin redis://h header "A: 1"',
      'group user: header is for http:// and https:// origins',
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
      "group user: origin 'ftp://h/{id}' does not begin with http://, https://, redis://, rediss:// or module:",
    ],
    [
      'user match user:{id} origin {id}',
      "group user: origin '{id}' does not begin with http://, https://, redis://, rediss:// or module:",
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
      'group user: origin \'http://***@h/\' has a user or password in it: send them with header "Authorization: Basic ..."',
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

/** Each rule with its least and its most value, and one below and one above, with what is said of them. */
const limits: [rule: RuleName, words: (readonly [word: string, says: string | null])[]][] = [
  ...(['ttl', 'stale', 'stale-if-error', 'negative'] as const).map(
    (rule): (typeof limits)[number] => [
      rule,
      [
        ['-1', "'-1' is no time (write 250ms, 5s, 5m, 2h or 1d)"],
        ['0', null],
        ['1ms', null],
        ['3650d', null],
        ['315360000001ms', "'315360000001ms' is above 3650d"],
      ],
    ],
  ),
  [
    'jitter',
    [
      ['-1%', "'-1%' is no share (write 10% or 0.1)"],
      ['0%', null],
      ['0', null],
      ['0.5', null],
      ['50%', null],
      ['50.000001%', "'50.000001%' is above 50%"],
      ['0.500001', "'0.500001' is above 50%"],
      ['10', "'10' is above 50%"],
      ['%', "'%' is no share (write 10% or 0.1)"],
    ],
  ],
  [
    'early',
    [
      ['-1', "'-1' is no number (write 1 or 0.5)"],
      ['0', null],
      ['0.5', null],
      ['100', null],
      ['100.000001', "'100.000001' is above 100"],
      ['1e1', "'1e1' is no number (write 1 or 0.5)"],
    ],
  ],
  [
    'idle',
    [
      ['0', null],
      ['999ms', "'999ms' is below 1s"],
      ['1s', null],
      ['1001ms', "'1001ms' is no whole number of seconds"],
      ['3650d', null],
      ['3651d', "'3651d' is above 3650d"],
    ],
  ],
  [
    'wait',
    [
      ['-1', "'-1' is no time (write 250ms, 5s, 5m, 2h, 1d or none)"],
      ['0', null],
      ['1h', null],
      ['none', null],
      ['3600001ms', "'3600001ms' is above 1h"],
    ],
  ],
  [
    'timeout',
    [
      ['0', "'0' is below 1ms"],
      ['1ms', null],
      ['1h', null],
      ['3600001ms', "'3600001ms' is above 1h"],
      ['none', "'none' is no time (write 250ms, 5s, 5m, 2h or 1d)"],
    ],
  ],
  [
    'concurrency',
    [
      ['0', "'0' is below 1"],
      ['1', null],
      ['4096', null],
      ['4097', "'4097' is above 4096"],
    ],
  ],
  [
    'queue',
    [
      ['-1', "'-1' is no whole number"],
      ['0', null],
      ['65536', null],
      ['65537', "'65537' is above 65536"],
    ],
  ],
  [
    'retry',
    [
      ['-1', "'-1' is no whole number"],
      ['0', null],
      ['10', null],
      ['11', "'11' is above 10"],
    ],
  ],
  [
    'breaker',
    [
      ['0/1s', "'0' is below 1"],
      ['0', null],
      ['off', null],
      ['1', null],
      ['1000', null],
      ['1001', "'1001' is above 1000"],
      ['5/9ms', "'9ms' is below 10ms"],
      ['5/10ms', null],
      ['5/1h', null],
      ['5/3601s', "'3601s' is above 1h"],
      ['5/', "'' is no time (write 250ms, 5s, 5m, 2h or 1d)"],
      ['5/1s/1s', "'5/1s/1s' is no breaker (write 5/1s, 5 or off)"],
    ],
  ],
  [
    'max-body',
    [
      ['0', "'0' is below 1 bytes"],
      ['1', null],
      ['512mb', null],
      ['536870913', "'536870913' is above 536870912 bytes"],
    ],
  ],
  [
    'max-bytes',
    [
      ['0', null],
      ['65535', "'65535' is below 65536 bytes"],
      ['64kb', null],
      ['1024gb', null],
      ['1099511627777', "'1099511627777' is above 1099511627776 bytes"],
      ['10%', "'10%' is no size (write 100kb, 8mb or a number of bytes)"],
    ],
  ],
  [
    'on-error',
    [
      ['error', null],
      ['NIL', null],
      ['stale', null],
      ['panic', "'panic' is none of error, nil, stale"],
    ],
  ],
  [
    'cache-control',
    [
      ['honour', null],
      ['ignore', null],
      ['yes', "'yes' is none of honour, ignore"],
    ],
  ],
  [
    'write',
    [
      ['yes', null],
      ['No', null],
      ['', "'' is none of yes, no"],
    ],
  ],
  [
    'copies',
    [
      ['0', null],
      ['1', null],
      ['2', "'2' is above 1"],
    ],
  ],
]
for (const [rule, words] of limits) {
  test(`the limits of ${rule} hold one below, at and one above`, (t) => {
    for (const [word, says] of words) {
      const line = `${LEAST} ${rule} "${word}"`
      if (says !== null) {
        const message = `group user: ${rule} ${says}`
        t.throws(() => parse(line), { instanceOf: GroupError, message }, line)
        continue
      }
      // Written and read again it is the same.
      const group = parse(line)
      t.is(parse(group.text().slice('group '.length)).shown(rule), group.shown(rule), line)
    }
  })
}

test('every rule has a test of its limits, but those that are no number or choice', (t) => {
  const others = RULE_NAMES.filter((name) => !limits.some(([rule]) => rule === name))
  t.deepEqual(others, ['match', 'origin', 'header'])
})

test('every rule has a sentence, and reads the default that it shows', (t) => {
  const group = parse(LEAST)
  for (const name of RULE_NAMES) {
    t.regex(rowOf(name).help, /^[A-Z].*[.]$/, name)
    if (!('otherwise' in rowOf(name)) || name === 'header') continue
    t.true(isDefault(name, rowOf(name).otherwise))
    t.is(parse(`${LEAST} ${name} ${group.shown(name)}`).text(), group.text(), name)
  }
})

test('rules have their values in the units of those who ask', (t) => {
  const group = parse(
    `${LEAST} ttl 5m stale 1h stale-if-error 1d negative 10s jitter 7% early 0.5 idle 30m wait none` +
      ' timeout 2s concurrency 3 queue 4 retry 2 breaker 3/250ms max-body 1mb max-bytes 64mb' +
      ' on-error stale cache-control ignore write yes',
  )
  t.is(group.ttlMs, 300_000)
  t.is(group.staleMs, 3_600_000)
  t.is(group.staleIfErrorMs, 86_400_000)
  t.is(group.negativeMs, 10_000)
  t.is(group.jitter, 0.07)
  t.is(group.earlyBeta, 0.5)
  t.is(group.idleMs, 1_800_000)
  t.is(group.waitMs, 3_600_000)
  t.is(group.timeoutMs, 2000)
  t.is(group.retries, 2)
  t.is(group.breakerFailures, 3)
  t.is(group.breakerOpenMs, 250)
  t.is(group.bytesMax, 67_108_864)
  t.is(group.onError, 'stale')
  t.false(group.honoursCacheControl)
  t.true(group.writes)
  t.is(parse(`${LEAST} jitter 0.1`).jitter, 0.1)
  t.is(parse(`${LEAST} breaker 7`).breakerOpenMs, 1000)
  t.is(parse(`${LEAST} breaker off`).breakerFailures, 0)
})

test('text is the line again, with what differs from the defaults', (t) => {
  const same = (line: string): boolean => t.is(parse(line).text(), `group ${line}`)
  same(LEAST)
  same(`${LEAST} ttl 90s jitter 7% early 0.25 wait none breaker off max-bytes 64mb write yes`)
  same('user match "user:{id} \\\\{x\\\\}" origin http://h/{id} header "A: 1" header "B: \\"2\\""')
  const usual = `${LEAST} ttl 0ms wait 1000ms breaker 5 early 1 max-body 8388608 write no`
  t.is(parse(usual).text(), `group ${LEAST}`)
  t.is(parse(`${LEAST} TTL 120 jitter 0.1`).text(), `group ${LEAST} ttl 2m jitter 10%`)
})

test('what is shown of a group has no secret', (t) => {
  const group = parse(`${LEAST} header "Authorization: Bearer secret" header "X-Key: secret"`)
  t.is(group.shown('header'), 'Authorization: ***, X-Key: ***')
  t.notRegex(group.shownText(), /secret/)
  t.regex(group.text(), /header "X-Key: secret"/)
  const redis = parse('old match * origin redis://u:secret@h')
  t.is(redis.address.shown, 'redis://***@h')
  t.is(redis.shownText(), 'group old match * origin redis://***@h')
  t.is(redis.text(), 'group old match * origin redis://u:secret@h')
})

/* ---- GROUP SET ---- */

test('a rule is set, and who listens hears which', (t) => {
  const group = parse(`${LEAST} ttl 5m`)
  const heard: string[] = []
  group.onSet((rule) => heard.push(`${rule} ${group.shown(rule)}`))
  group.set('ttl', '1h')
  group.set('Wait', '0')
  group.set('breaker', 'off')
  t.is(group.ttlMs, 3_600_000)
  t.is(group.waitMs, 0)
  t.deepEqual(heard, ['ttl 1h', 'wait 0', 'breaker off'])
  t.is(group.text(), `group ${LEAST} ttl 1h wait 0 breaker off`)
})

test('what is no value of a rule is refused, and changes nothing', (t) => {
  const group = parse(`${LEAST} ttl 5m`)
  group.onSet(() => t.fail())
  const refused: [rule: string, word: string, message: string][] = [
    ['ttl', '5x', "group user: ttl '5x' is no time (write 250ms, 5s, 5m, 2h or 1d)"],
    ['tll', '5s', "group user: unknown rule 'tll', did you mean 'ttl'?"],
    ['', '5s', "group user: unknown rule ''"],
    ['x'.repeat(1000), '5s', `group user: unknown rule '${'x'.repeat(64)}'`],
    ...(['match', 'origin', 'write'] as const).map((rule): [string, string, string] => [
      rule.toUpperCase(),
      'x',
      `group user: ${rule}: it is settled at the start: change the configuration and start anew`,
    ]),
    ['ttl', '1'.repeat(8193), 'group user: ttl is longer than 8192 characters'],
  ]
  for (const [rule, word, message] of refused) {
    t.throws(() => group.set(rule, word), { instanceOf: GroupError, message }, rule)
  }
  t.is(group.text(), `group ${LEAST} ttl 5m`)
})

test('a header that is set takes the place of its namesake, and without a value it goes', (t) => {
  const group = parse(`${LEAST} header "A: 1" header "B: 2"`)
  group.set('header', 'a: 3')
  t.deepEqual(group.headers, [
    ['B', '2'],
    ['a', '3'],
  ])
  group.set('header', 'B:')
  group.set('header', 'C:')
  t.deepEqual(group.headers, [['a', '3']])
  t.throws(() => parse('r match * origin redis://h').set('header', 'A: 1'), {
    message: 'group r: header is for http:// and https:// origins',
  })
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

test('groups are numbered in their order', (t) => {
  const groups = new Groups([
    parse('b match b origin http://h/'),
    parse('a match a origin http://h/'),
  ])
  t.deepEqual(
    groups.all.map(({ number }) => number),
    [0, 1],
  )
})

test('placeholders are told by name, in their order, byte for byte', (t) => {
  const group = parse('g match {a}:*:{b} origin module:./x.mjs')
  const key = Buffer.from([0xff, 0x3a, 0x3a, 0x00, 0x0d])
  t.deepEqual(
    [...group.params(key)],
    [
      ['a', key.subarray(0, 1)],
      ['b', key.subarray(3)],
    ],
  )
  t.is(group.url(key), '')
  t.throws(() => group.params(Buffer.from('x')), { instanceOf: OriginError })
})

test('a Redis is asked for the empty key, others are not', (t) => {
  t.is(parse('all match * origin redis://h').url(Buffer.alloc(0)), '')
  t.throws(() => parse('all match * origin module:./x.mjs').url(Buffer.alloc(0)), {
    message: 'ORIGIN all: key is required',
  })
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
