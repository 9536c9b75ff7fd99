import test from 'ava'
import fc from 'fast-check'
import { PeerError, PeerStatus, Replies } from '../../../cluster/peers/replies.ts'
import type { PeerValue } from '../../../cluster/peers/replies.ts'

const LIMITS = { bytesMax: 1000, depthMax: 3 }

/** What comes of these chunks: the replies, and the sentence if it ended with one. */
function decode(
  chunks: readonly (string | Buffer)[],
  limits = LIMITS,
): { values: PeerValue[]; wrong: string | null } {
  const values: PeerValue[] = []
  const replies = new Replies(limits, (value) => values.push(value))
  for (const chunk of chunks) {
    const wrong = replies.feed(Buffer.from(chunk))
    if (wrong !== null) return { values, wrong }
  }
  return { values, wrong: null }
}

const refused = (text: string, limits = LIMITS) => decode([text], limits).wrong

test('each type of RESP2 comes out as what it is', (t) => {
  const bulks = '$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n'
  const { values, wrong } = decode([
    `+OK\r\n-ERR no\r\n:12\r\n:-3\r\n${bulks}*0\r\n*2\r\n$1\r\nx\r\n:5\r\n`,
  ])
  t.is(wrong, null)
  t.deepEqual(values.slice(0, 4), [new PeerStatus('OK'), new PeerError('ERR no'), 12, -3])
  t.deepEqual(values.slice(4).map(plain), ['bulk a\r\n', 'bulk ', null, null, [], ['bulk x', 5]])
})

test('integers beyond a double stay exact', (t) => {
  const text =
    ':9223372036854775807\r\n:-9223372036854775808\r\n:7\r\n*2\r\n:9007199254740993\r\n:1\r\n'
  const { values } = decode([text + ':999999999999999\r\n'])
  t.deepEqual(values, [
    9223372036854775807n,
    -9223372036854775808n,
    7,
    [9007199254740993n, 1],
    999999999999999,
  ])
})

test('errors inside an array are errors', (t) => {
  t.deepEqual(decode(['*2\r\n-ERR a\r\n*1\r\n-ERR b\r\n']).values, [
    [new PeerError('ERR a'), [new PeerError('ERR b')]],
  ])
})

test('replies cut into two at every position, and into single bytes, are the same', (t) => {
  const text =
    '+OK\r\n:1\r\n$5\r\nab\r\nc\r\n*3\r\n$-1\r\n*2\r\n+x\r\n-E y\r\n:9223372036854775807\r\n*0\r\n'
  const whole = decode([text])
  t.is(whole.values.length, 5)
  for (let cut = 0; cut <= text.length; cut++) {
    t.deepEqual(decode([text.slice(0, cut), text.slice(cut)]), whole)
  }
  t.deepEqual(decode(text.split('')), whole)
})

for (const [text, why] of [
  ['x\r\n', 'a reply cannot begin with byte 120'],
  ['\r\n', 'a reply cannot begin with byte 13'],
  ['$abc\r\n', 'a number that is none'],
  ['$\r\n', 'a number that is none'],
  ['$-2\r\n', 'a negative length'],
  ['*-7\r\n', 'a negative length'],
  ['$--1\r\n', 'a number that is none'],
  ['$1-\r\n', 'a number that is none'],
  [':+1\r\n', 'a number that is none'],
  [':12345678901234567890\r\n', 'a number of too many digits'],
  ['$12345678901\r\n', 'a number of too many digits'],
  ['$1\r\nabc\r\n', 'a bulk string longer than announced'],
  ['+a\nb\r\n', 'a line feed in a line'],
  ['+a\rb\r\n', 'a carriage return without line feed'],
  [':1\r\r\n', 'a carriage return without line feed'],
  ['*9999999999\r\n', 'a reply of more than 1000 bytes'],
  ['*1\r\n_\r\n', 'a reply cannot begin with byte 95'],
] as const) {
  test(`${JSON.stringify(text)} is no reply, and what came before it is`, (t) => {
    t.deepEqual(decode([':1\r\n' + text]), { values: [1], wrong: why })
    t.is(decode(text.split('')).wrong, why)
  })
}

test('a reply has at most the bytes of the limit', (t) => {
  const bulk = (length: number) => `$${length}\r\n${'x'.repeat(length)}\r\n`
  const limits = { bytesMax: bulk(100).length, depthMax: 3 }
  t.is(refused(bulk(99) + bulk(100) + bulk(100), limits), null)
  t.is(refused(bulk(101), limits), `a reply of more than ${limits.bytesMax} bytes`)
  t.is(refused('$104\r\n', limits), `a reply of more than ${limits.bytesMax} bytes`, 'at once')
  const line = (length: number) => `+${'x'.repeat(length - 3)}\r\n`
  t.is(refused(line(limits.bytesMax), limits), null)
  t.regex(refused(line(limits.bytesMax + 1), limits)!, /more than/)
})

test('arrays nest as deep as the limit says', (t) => {
  const nested = (depth: number) => `${'*1\r\n'.repeat(depth)}:1\r\n`
  t.is(refused(nested(2)), null)
  t.deepEqual(decode([nested(3)]).values, [[[[1]]]])
  t.is(refused(nested(4)), 'arrays nested too deep')
})

test('an array takes no memory before its elements are there', (t) => {
  const limits = { bytesMax: 2 ** 30, depthMax: 3 }
  const before = process.memoryUsage().rss
  t.is(refused('*30000000\r\n', limits), null)
  t.true(process.memoryUsage().rss - before < 200 * 2 ** 20)
})

test('after stop nothing is handed on, not even of the same chunk', (t) => {
  const values: PeerValue[] = []
  const replies: Replies = new Replies(LIMITS, (value) => {
    values.push(value)
    replies.stop()
  })
  t.is(replies.feed(Buffer.from(':1\r\n:2\r\n')), null)
  t.is(replies.feed(Buffer.from(':3\r\n')), null)
  t.deepEqual(values, [1])
})

test('after an error nothing more is taken', (t) => {
  const values: PeerValue[] = []
  const replies = new Replies(LIMITS, (value) => values.push(value))
  const wrong = replies.feed(Buffer.from('!'))
  t.is(replies.feed(Buffer.from(':1\r\n')), wrong)
  t.deepEqual(values, [])
})

test('no bytes throw, however they are cut', (t) => {
  const bytes = fc.array(
    fc.constantFrom(
      '*',
      '$',
      ':',
      '+',
      '-',
      '\r\n',
      '\r',
      '\n',
      '0',
      '1',
      '2',
      '3',
      '9',
      'a',
      '\0',
    ),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(bytes, (parts) => {
      const text = parts.join('')
      const whole = decode([text])
      const byByte = decode(text.split(''))
      t.deepEqual(byByte, whole)
    }),
    { numRuns: 2000 },
  )
})

test('what is encoded is decoded', (t) => {
  const { value } = fc.letrec<{ value: Encodable }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.integer(),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 5 }),
    ),
  }))
  const limits = { bytesMax: 100_000, depthMax: 8 }
  fc.assert(
    fc.property(fc.array(value, { maxLength: 5 }), fc.integer({ min: 1, max: 50 }), (all, size) => {
      const bytes = Buffer.concat(all.map(encode))
      const chunks = []
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
      const decoded = decode(chunks, limits)
      t.is(decoded.wrong, null)
      t.deepEqual(decoded.values.map(plain), all.map(plain))
    }),
  )
})

type Encodable = number | Buffer | null | Encodable[]

function encode(value: Encodable): Buffer {
  if (value === null) return Buffer.from('$-1\r\n')
  if (typeof value === 'number') return Buffer.from(`:${value}\r\n`)
  if (Buffer.isBuffer(value)) {
    return Buffer.concat([Buffer.from(`$${value.length}\r\n`), value, Buffer.from('\r\n')])
  }
  return Buffer.concat([Buffer.from(`*${value.length}\r\n`), ...value.map(encode)])
}

/** Buffers as text, so that equal ones are equal. */
function plain(value: PeerValue): unknown {
  if (Buffer.isBuffer(value)) return `bulk ${value.toString('latin1')}`
  return Array.isArray(value) ? (value as readonly PeerValue[]).map(plain) : value
}
