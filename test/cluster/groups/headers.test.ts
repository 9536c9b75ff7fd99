import test from 'ava'
import {
  addHeader,
  changeHeader,
  type Header,
  HEADER_BYTES_MAX,
  parseHeader,
} from '../../../cluster/groups/headers.ts'
import { RuleError } from '../../../cluster/groups/rule.ts'

function refused(word: string): string {
  try {
    addHeader([], parseHeader(word))
  } catch (error) {
    if (error instanceof RuleError) return error.message
    throw error
  }
  return 'taken'
}

test('a header is a name and a value, blanks around the value are nothing', (t) => {
  t.deepEqual(parseHeader('Accept: text/plain; q=1'), ['Accept', 'text/plain; q=1'])
  t.deepEqual(parseHeader('X-a_b!:\t a:b "c" '), ['X-a_b!', 'a:b "c"'])
})

test('what is no header is refused, without its value', (t) => {
  const noName = 'has a name that is no header name (letters, digits and dashes)'
  const noLine = "'A' has a value with something else than ASCII on one line"
  t.is(refused('secret'), "is not written 'Name: value'")
  t.is(refused(': secret'), noName)
  t.is(refused('A B: secret'), noName)
  t.is(refused('A : secret'), noName)
  t.is(refused('Ä: secret'), noName)
  t.is(refused('A\r\nB: secret'), noName)
  for (const bad of ['\r', '\n', '\0', '\x7f', '\x1f', 'ü', '\u{1f600}']) {
    t.is(refused(`A: x${bad}secret`), noLine)
  }
  const noValue = `'A' has no value: write "Name: value", in quotes`
  t.is(refused('A:'), noValue)
  t.is(refused('A: \t'), noValue)
})

test('headers that frame the message or bring something else than the value are refused', (t) => {
  const connection = [
    'Connection',
    'Keep-Alive',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'UPGRADE',
    'Expect',
  ]
  for (const name of connection) {
    t.is(refused(`${name}: x`), `'${name}' is about the connection, not the request`)
  }
  t.is(refused('Host: x'), "'Host' is made from the origin")
  t.is(refused('content-length: 1'), "'content-length' is made from the body")
  for (const name of ['Accept-Encoding', 'Range', 'If-None-Match', 'If-Modified-Since']) {
    t.regex(refused(`${name}: x`), /^'.*' would change what is answered/)
  }
  for (const name of ['Accept', 'User-Agent', 'Authorization', 'Cookie', 'Accept-Language']) {
    t.is(refused(`${name}: x`), 'taken')
  }
})

test('a name is given once, in any case', (t) => {
  const headers = addHeader([], ['A', '1'])
  t.throws(() => addHeader(headers, ['a', '2']), { message: "'a' is given twice" })
  t.deepEqual(changeHeader(headers, ['a', '2']), [['a', '2']])
  t.deepEqual(changeHeader(headers, ['a', '']), [])
})

test('there are 32 headers at most', (t) => {
  let headers: readonly Header[] = []
  for (let i = 0; i < 32; i++) headers = addHeader(headers, [`h${i}`, 'x'])
  t.throws(() => addHeader(headers, ['more', 'x']), { message: 'is given more than 32 times' })
})

test('names and values have 4096 bytes together at most', (t) => {
  const one = addHeader([], ['A', 'x'.repeat(HEADER_BYTES_MAX - 3)])
  t.is(addHeader(one, ['B', 'x']).length, 2)
  t.throws(() => addHeader(one, ['B', 'xx']), {
    message: "'B' makes it more than 4096 bytes of headers",
  })
})
