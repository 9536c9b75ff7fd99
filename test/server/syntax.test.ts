import test from 'ava'
import { parseSyntax } from '../../server/syntax.ts'

test('words are arguments, in their order', (t) => {
  t.deepEqual(parseSyntax('key value'), [
    { name: 'key', type: 'key' },
    { name: 'value', type: 'string' },
  ])
  t.deepEqual(parseSyntax(''), [])
})

test('a choice between tokens, and one that may be left out', (t) => {
  const tokens = [
    { name: 'nx', type: 'pure-token', token: 'NX' },
    { name: 'xx', type: 'pure-token', token: 'XX' },
  ]
  t.deepEqual(parseSyntax('<NX | XX>'), [{ name: 'nx_xx', type: 'oneof', arguments: tokens }])
  t.deepEqual(parseSyntax('[NX | XX]'), [
    { name: 'nx_xx', type: 'oneof', arguments: tokens, optional: true },
  ])
})

test('a token belongs to the argument or the choice behind it', (t) => {
  t.deepEqual(parseSyntax('[EX seconds | KEEPTTL]'), [
    {
      name: 'seconds_keepttl',
      type: 'oneof',
      arguments: [
        { name: 'seconds', type: 'integer', token: 'EX' },
        { name: 'keepttl', type: 'pure-token', token: 'KEEPTTL' },
      ],
      optional: true,
    },
  ])
  t.deepEqual(parseSyntax('TYPE <A | B>'), [
    {
      name: 'a_b',
      type: 'oneof',
      token: 'TYPE',
      arguments: [
        { name: 'a', type: 'pure-token', token: 'A' },
        { name: 'b', type: 'pure-token', token: 'B' },
      ],
    },
  ])
  t.deepEqual(parseSyntax('GET [x]'), [
    { name: 'get', type: 'pure-token', token: 'GET' },
    { name: 'x', type: 'string', optional: true },
  ])
})

test('several arguments in brackets are a block', (t) => {
  t.deepEqual(parseSyntax('[AUTH username password]'), [
    {
      name: 'username_password',
      type: 'block',
      token: 'AUTH',
      optional: true,
      arguments: [
        { name: 'username', type: 'string' },
        { name: 'password', type: 'string' },
      ],
    },
  ])
  const [block] = parseSyntax('[GET x y [GET x y ...]]')
  t.is(block?.token, 'GET')
  t.true(block?.multipleToken)
})

test('a note names what is made of several, and what that is within', (t) => {
  const notes = { a_b: { as: 'choice', since: '7.0.0' }, x_choice: { as: 'whole' } }
  t.deepEqual(parseSyntax('[x [A | B]]', {}, notes), [
    {
      name: 'whole',
      type: 'block',
      optional: true,
      arguments: [
        { name: 'x', type: 'string' },
        {
          name: 'choice',
          type: 'oneof',
          since: '7.0.0',
          optional: true,
          arguments: [
            { name: 'a', type: 'pure-token', token: 'A' },
            { name: 'b', type: 'pure-token', token: 'B' },
          ],
        },
      ],
    },
  ])
})

test('what is repeated is the items before it', (t) => {
  t.deepEqual(parseSyntax('key [key ...]'), [{ name: 'key', type: 'key', multiple: true }])
  t.deepEqual(parseSyntax('x key value [key value ...] y'), [
    { name: 'x', type: 'string' },
    {
      name: 'key_value',
      type: 'block',
      multiple: true,
      arguments: [
        { name: 'key', type: 'key' },
        { name: 'value', type: 'string' },
      ],
    },
    { name: 'y', type: 'string' },
  ])
  t.deepEqual(parseSyntax('[section [section ...]]'), [
    { name: 'section', type: 'string', multiple: true, optional: true },
  ])
  t.deepEqual(parseSyntax('ID client-id [client-id ...]'), [
    { name: 'client-id', type: 'integer', token: 'ID', multiple: true },
  ])
  t.deepEqual(parseSyntax('PREFIX prefix [PREFIX prefix ...]'), [
    { name: 'prefix', type: 'string', token: 'PREFIX', multiple: true, multipleToken: true },
  ])
})

test('a type that the name does not tell is told beside', (t) => {
  t.deepEqual(parseSyntax('increment'), [{ name: 'increment', type: 'integer' }])
  t.deepEqual(parseSyntax('increment', { increment: 'double' }), [
    { name: 'increment', type: 'double' },
  ])
})

test('a line that does not fit the notation is refused', (t) => {
  const wrong = [
    '[key',
    'key]',
    '<a | b',
    '[]',
    'a | b',
    '[key ...]',
    'key ...',
    '[a | ]',
    'key [a b ...]',
  ]
  for (const syntax of wrong) {
    t.throws(() => parseSyntax(syntax), { message: /syntax of a command/ }, syntax)
  }
})
