import test from 'ava'
import { globMatches } from '../../server/glob.ts'

const matches = (pattern: string, text: string, ignoreCase = false): boolean =>
  globMatches(Buffer.from(pattern), Buffer.from(text), 0, Buffer.byteLength(text), ignoreCase)

const cases: [pattern: string, yes: string[], no: string[]][] = [
  ['', [''], ['a']],
  ['*', ['a', 'abc'], ['']],
  ['a*c', ['ac', 'abc', 'abcbc'], ['ab', 'bac', 'acb']],
  ['**a**', ['a', 'bab'], ['', 'b']],
  ['a*', ['a', 'ab'], ['']],
  ['h?llo', ['hello', 'hallo'], ['hllo', 'heello']],
  ['h[ae]llo', ['hello', 'hallo'], ['hillo', 'hllo']],
  ['h[^e]llo', ['hallo'], ['hello']],
  ['h[a-c]llo', ['hbllo'], ['hdllo']],
  ['h[c-a]llo', ['hbllo'], ['hdllo']],
  ['[a\\-c]', ['a', '-', 'c'], ['b', '\\']],
  ['a\\*b', ['a*b'], ['axb', 'a\\*b']],
  ['a\\', ['a\\'], ['a']],
  ['[abc', ['a', 'c'], ['[', 'd']],
  ['[', [], ['', '[']],
  ['x[]y', [], ['xy', 'x]y']],
]
for (const [pattern, yes, no] of cases) {
  test(`'${pattern}'`, (t) => {
    for (const text of yes) t.true(matches(pattern, text), text)
    for (const text of no) t.false(matches(pattern, text), text)
  })
}

test('the bytes of a range are signed, as in Redis on x86', (t) => {
  const inRange = (byte: number, from: number, to: number): boolean =>
    globMatches(Buffer.from([0x5b, from, 0x2d, to, 0x5d]), Buffer.from([byte]))
  t.true(inRange(0x90, 0x80, 0xff))
  t.false(inRange(0x7f, 0x80, 0xff))
  t.true(inRange(0x00, 0x01, 0xff))
  t.true(inRange(0xff, 0x01, 0xff))
  t.false(inRange(0x61, 0x01, 0xff))
  t.false(inRange(0x80, 0x01, 0xff))
})

test('case is ignored when asked for', (t) => {
  t.true(matches('MAX*[A-Z]', 'maxmemory', true))
  t.false(matches('MAX*', 'maxmemory'))
})

test('only the given part of the text counts', (t) => {
  t.true(globMatches(Buffer.from('b?'), Buffer.from('abcd'), 1, 2))
  t.false(globMatches(Buffer.from('b?'), Buffer.from('abcd'), 1, 3))
})

test('many stars do not take for ever', (t) => {
  t.false(matches('a*'.repeat(50) + 'b', 'a'.repeat(50_000)))
})
