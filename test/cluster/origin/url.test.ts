import test from 'ava'
import fc from 'fast-check'
import { parseGroup } from '../../../cluster/groups/group.ts'
import { OriginError } from '../../../cluster/origin/loader.ts'

const byPath = parseGroup(['g', 'match', 'k:{id}', 'origin', 'http://h:81/a/{id}/b?x=1'])
const byQuery = parseGroup(['g', 'match', 'k:{id}', 'origin', 'http://h:81/a?x={id}&y=1'])
const url = (id: string | Uint8Array, group = byPath) =>
  group.url(Buffer.concat([Buffer.from('k:'), Buffer.from(id)]))

test('a placeholder is one percent-encoded path segment or query value', (t) => {
  t.is(url('42'), 'http://h:81/a/42/b?x=1')
  t.is(url('42', byQuery), 'http://h:81/a?x=42&y=1')
  t.is(url('A-z_0.9~'), 'http://h:81/a/A-z_0.9~/b?x=1')
  t.is(url('../../etc'), 'http://h:81/a/..%2F..%2Fetc/b?x=1')
  t.is(url('%2e%2e'), 'http://h:81/a/%252e%252e/b?x=1')
  t.is(url('a?b#c&d=e;f'), 'http://h:81/a/a%3Fb%23c%26d%3De%3Bf/b?x=1')
  t.is(url('a?b#c&d=e;f', byQuery), 'http://h:81/a?x=a%3Fb%23c%26d%3De%3Bf&y=1')
  t.is(url('\r\nHost: evil\0'), 'http://h:81/a/%0D%0AHost%3A%20evil%00/b?x=1')
  t.is(url('@evil'), 'http://h:81/a/%40evil/b?x=1')
  t.is(url('\\\\evil'), 'http://h:81/a/%5C%5Cevil/b?x=1')
  t.is(url('ü+'), 'http://h:81/a/%C3%BC%2B/b?x=1')
  t.is(url(Uint8Array.of(0xff, 0xc0, 0x80)), 'http://h:81/a/%FF%C0%80/b?x=1')
})

test('a key that would be the segment . or .. is refused', (t) => {
  const line = "ORIGIN g: the key cannot be put into the origin's URL"
  for (const id of ['.', '..']) {
    t.throws(() => url(id), { instanceOf: OriginError, message: line }, id)
    t.is(url(id, byQuery), `http://h:81/a?x=${id}&y=1`)
  }
  t.is(url('...'), 'http://h:81/a/.../b?x=1')
  const joined = parseGroup(['g', 'match', '{a}:{b}', 'origin', 'http://h/{a}{b}'])
  t.throws(() => joined.url(Buffer.from('.:.')), { instanceOf: OriginError, message: line })
  const encoded = parseGroup(['g', 'match', '{a}', 'origin', 'http://h/%2e{a}'])
  t.throws(() => encoded.url(Buffer.from('.')), { instanceOf: OriginError, message: line })
})

test('a key that does not match its group is refused', (t) => {
  t.throws(() => byPath.url(Buffer.from('other')), { instanceOf: OriginError })
})

test('placeholders are filled by name, as often as they are used', (t) => {
  const group = parseGroup(['g', 'match', '{a}:{b}', 'origin', 'http://h/{b}-{a}?b={b}'])
  t.is(group.url(Buffer.from('1:2')), 'http://h/2-1?b=2')
})

test('an origin without a path asks for /', (t) => {
  const group = parseGroup(['g', 'match', '{a}', 'origin', 'http://h?a={a}'])
  t.is(group.url(Buffer.from('1')), 'http://h/?a=1')
  t.is(parseGroup(['g', 'match', 'a', 'origin', 'HTTP://H:80']).url(Buffer.from('a')), 'http://h/')
})

test('what cannot stand in a URL is percent-encoded in the origin as well', (t) => {
  const group = parseGroup(['g', 'match', '{a}', 'origin', 'http://h/ü "\\x/%41/{a}'])
  t.is(group.url(Buffer.from('1')), 'http://h/%C3%BC%20%22%5Cx/%41/1')
})

test('no key changes host, path depth or query names', (t) => {
  const key = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    fc
      .string({ minLength: 1, unit: fc.constantFrom(...Array.from('./%2eE?#&=;@:\\\r\n\0 aü')) })
      .map((text) => Buffer.from(text)),
    fc.constantFrom('.', '..').map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(key, fc.constantFrom(byPath, byQuery), (id, group) => {
      let filled
      try {
        filled = url(id, group)
      } catch (error) {
        if (!(error instanceof OriginError) || group === byQuery) throw error
        return ['.', '..'].includes(Buffer.from(id).toString())
      }
      const read = new URL(filled)
      const depth = read.pathname.split('/').length
      return (
        read.href === filled &&
        read.origin === 'http://h:81' &&
        read.hash === '' &&
        read.username === '' &&
        (group === byPath
          ? depth === 4 && read.search === '?x=1'
          : depth === 2 && [...read.searchParams.keys()].join() === 'x,y')
      )
    }),
    { numRuns: 2000 },
  )
  t.pass()
})
