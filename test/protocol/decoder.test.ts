import test from 'ava'
import { Args } from '../../protocol/args.ts'
import { COMMAND, Decoder, ERROR, MORE } from '../../protocol/decoder.ts'
import { LIMITS, Stream, bytesOf, outcomeOf, request } from './stream.ts'
import type { Outcome, StreamOptions } from './stream.ts'

const done = (...commands: string[][]): Outcome => ({ commands, error: null, kept: 0 })
const refused = (error: string, ...commands: string[][]): Outcome => ({
  commands,
  error: `ERR Protocol error: ${error}`,
  kept: 0,
})

/** Streams and what they come to, whatever pieces they arrive in. */
const corpus: readonly (readonly [string, Outcome, StreamOptions?])[] = [
  [request('GET', 'key'), done(['GET', 'key'])],
  [request('SET', 'k', 'value') + request('GET', 'k'), done(['SET', 'k', 'value'], ['GET', 'k'])],
  [request('SET', '', '\r\n\0\xff'), done(['SET', '', '\r\n\0\xff'])],
  [request(...'abcdefghijkl'.split('')), done('abcdefghijkl'.split(''))],
  [request('SET', 'k', 'v'.repeat(123)), done(['SET', 'k', 'v'.repeat(123)])],
  // What stands where CR and LF belong behind lengths and bulk strings is not looked at.
  ['*1\rx$4\rxPINGxx*1\r\n$4\r\nPING\r\n', done(['PING'], ['PING'])],
  ['*0\r\n*-1\r\n*-5\r\n' + request('PING') + '*0\r\n', done(['PING'])],
  ['*-9223372036854775808\r\nPING\r\n', done(['PING'])],
  ['PING\r\nECHO hi\n\r\n\n  \t\r\nPING\n', done(['PING'], ['ECHO', 'hi'], ['PING'])],
  [' SET\tk \v\f "a b" \'c d\' \r\n', done(['SET', 'k', 'a b', 'c d'])],
  ['a\vb\fc d\re\r\r\n', done(['a\vb\fc', 'd', 'e'])],
  ['ECHO "\\x41\\n\\r\\t\\b\\a\\q\\"\\\\\\xZ1\\x4"\r\n', done(['ECHO', 'A\n\r\t\b\x07q"\\xZ1x4'])],
  ["ECHO 'it\\'s \\n \\\\\\'' '' \"\"\r\n", done(['ECHO', "it's \\n \\\\'", '', ''])],
  ['ab"c d"\tx\'y\' z\\n\r\n', done(['abc d', 'xy', 'z\\n'])],
  ['PING' + request('PING') + '\r\n', done(['PING*1'], ['$4'], ['PING'])],
  [request('PING') + 'PING\r\n' + request('PING'), done(['PING'], ['PING'], ['PING'])],
  ['PING\r\nECHO "a\r\nPING\r\n', refused('unbalanced quotes in request', ['PING'])],
  ['ECHO "a"b\r\n', refused('unbalanced quotes in request')],
  ["ECHO 'a'b\r\n", refused('unbalanced quotes in request')],
  ["ECHO 'a\\'\r\n", refused('unbalanced quotes in request')],
  ['ECHO "a\\"\r\n', refused('unbalanced quotes in request')],
  ['ECHO "a\\\r\n', refused('unbalanced quotes in request')],
  ['PI\0NG\r\nPING\r\n', { commands: [], error: null, kept: 13 }],
  ['*1\0\r\n$4\r\nPING\r\n', { commands: [], error: null, kept: 15 }],
  ['*1\r\n$4\0\r\nPING\r\n', { commands: [], error: null, kept: 15 }],
  ['*2147483647\r\n$4\r\nPING\r\n', { commands: [], error: null, kept: 23 }],
  ['*2147483648\r\n', refused('invalid multibulk length')],
  ['*01\r\n', refused('invalid multibulk length')],
  ['*+1\r\n', refused('invalid multibulk length')],
  ['*-0\r\n', refused('invalid multibulk length')],
  ['* 1\r\n', refused('invalid multibulk length')],
  ['*1 \r\n', refused('invalid multibulk length')],
  ['*\r\n', refused('invalid multibulk length')],
  ['*-\r\n', refused('invalid multibulk length')],
  ['*1\n$4\r\n', refused('invalid multibulk length')],
  ['*x\r\n', refused('invalid multibulk length')],
  ['*9223372036854775808\r\n', refused('invalid multibulk length')],
  ['*-9223372036854775809\r\n', refused('invalid multibulk length')],
  ['*1\r\n$+4\r\n', refused('invalid bulk length')],
  ['*1\r\n$-1\r\n', refused('invalid bulk length')],
  ['*1\r\n$-0\r\n', refused('invalid bulk length')],
  ['*1\r\n$04\r\n', refused('invalid bulk length')],
  ['*1\r\n$4x\r\n', refused('invalid bulk length')],
  ['*1\r\n$\r\n', refused('invalid bulk length')],
  ['*1\r\n$00000000000000000000004\r\n', refused('invalid bulk length')],
  ['*2\r\n$4\r\nECHO\r\n:1\r\n', refused("expected '$', got ':'")],
  ['*1\r\n\xe9\r\n', refused("expected '$', got '\xe9'")],
  ['*1\r\n*1\r\n$4\r\nPING\r\n', refused("expected '$', got '*'")],
  ['PING\r\n*1\r\n\r\n', refused("expected '$', got '\r'", ['PING'])],
  [
    request('SET', 'a', 'x'.repeat(11), 'b', 'y'.repeat(10), 'z'.repeat(30)) + request('PING'),
    done(['SET', 'a', 'x'.repeat(11), 'b', 'y'.repeat(10), 'z'.repeat(30)], ['PING']),
    { bigBytesMin: 10 },
  ],
]

for (const [text, expected, options] of corpus) {
  test(`${JSON.stringify(text.slice(0, 60))}: cut anywhere it comes to the same`, (t) => {
    t.deepEqual(outcomeOf(text, [], options), expected)
    for (let cut = 1; cut < text.length; cut++) {
      t.deepEqual(outcomeOf(text, [cut], options), expected, `cut at ${cut}`)
    }
    const everywhere = Array.from({ length: text.length - 1 }, (_, i) => i + 1)
    t.deepEqual(outcomeOf(text, everywhere, options), expected, 'byte by byte')
  })
}

test('base is where the unfinished command begins, end where the finished one ended', (t) => {
  const decoder = new Decoder(new Args(), LIMITS)
  const bytes = bytesOf('..\r\n*0\r\n' + request('PING') + '\n' + request('GET', 'k') + '*0\r\n')
  t.is(decoder.next(bytes, 2, 20), MORE)
  t.is(decoder.base, 8)
  t.is(decoder.next(bytes, 8, bytes.length), COMMAND)
  t.deepEqual([decoder.base, decoder.end], [8, 22])
  t.is(decoder.next(bytes, 22, bytes.length), COMMAND)
  t.deepEqual([decoder.base, decoder.end], [23, 43])
  t.is(decoder.next(bytes, 43, bytes.length), MORE)
  t.is(decoder.base, bytes.length)
})

test('after an error the decoder stays with it', (t) => {
  const decoder = new Decoder(new Args(), LIMITS)
  const bytes = bytesOf('*x\r\nPING\r\n')
  t.is(decoder.next(bytes, 0, bytes.length), ERROR)
  t.is(decoder.next(bytes, 4, bytes.length), ERROR)
  t.is(decoder.error, 'ERR Protocol error: invalid multibulk length')
})

test('a stream is usable through its args while the command runs', (t) => {
  const stream = new Stream()
  stream.push(bytesOf(request('SET', 'key', '5')))
  t.is(stream.args.integer(2), 5)
})
