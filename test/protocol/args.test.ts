import { constants } from 'node:buffer'
import test from 'ava'
import { Args, TEXT_BYTES_MAX } from '../../protocol/args.ts'
import type { BigBulk } from '../../protocol/args.ts'

/** `text` between other bytes, as the only argument. */
function argument(text: string): Args {
  const args = new Args()
  const bytes = new Uint8Array(Buffer.from(`9${text}9`, 'latin1'))
  args.point(bytes, 1, Int32Array.of(0, text.length), 1, [])
  return args
}

const bulk = (text: string): BigBulk => ({
  length: text.length,
  toBuffer: () => Buffer.from(text),
  head: (bytesMax) => Buffer.from(text.slice(0, bytesMax)),
})

test('positions count from the base, lengths are in bytes', (t) => {
  const args = new Args()
  args.point(new Uint8Array(Buffer.from('...setkey')), 3, Int32Array.of(0, 3, 3, 3), 2, [])
  t.deepEqual([args.count, args.pos(1), args.length(1)], [2, 6, 3])
  t.is(args.text(1), 'key')
  t.is(args.big(1), null)
})

test('a word is known in any case, and only the whole of it', (t) => {
  for (const text of ['keepttl', 'KEEPTTL', 'KeepTtl'])
    t.true(argument(text).is(0, 'keepttl'), text)
  for (const text of ['keeptt', 'keepttlx', 'keeptta', '', 'k\x05eptt']) {
    t.false(argument(text).is(0, 'keepttl'), text)
  }
})

test('only letters have a case', (t) => {
  t.true(argument('LIB-Name').is(0, 'lib-name'))
  t.false(argument('@').is(0, '`'))
  t.false(argument('[').is(0, '{'))
  t.false(argument('lib\rname').is(0, 'lib-name'))
  t.true(argument('Z').is(0, 'z'))
  t.true(argument('A').is(0, 'a'))
})

test('integers and floats are read in place', (t) => {
  t.is(argument('-12').integer(0), -12)
  t.is(argument('12x').integer(0), NaN)
  t.is(argument('9223372036854775807').bigint(0), 9223372036854775807n)
  t.is(argument('').bigint(0), null)
  t.is(argument('-1.5').float(0), -1.5)
  t.is(argument('nan').float(0), NaN)
})

test('a text is cut where Node.js makes no string of it', (t) => {
  const asked: number[] = []
  const head = (bytesMax: number): Buffer => {
    asked.push(bytesMax)
    return Buffer.from('head')
  }
  const args = new Args()
  const long = { ...bulk(''), length: 2 ** 29, head }
  args.point(new Uint8Array(0), 0, Int32Array.of(-1, 2 ** 29), 1, [long])
  t.is(args.text(0), 'head')
  t.deepEqual(asked, [TEXT_BYTES_MAX])
  t.true(TEXT_BYTES_MAX < constants.MAX_STRING_LENGTH)
})

test('a copy does not change with the bytes', (t) => {
  const args = argument('value')
  const [copy] = args.copy()
  const buffer = args.buffer(0)
  args.bytes.fill(0)
  t.is(String(copy), 'value')
  t.is(String(buffer), 'value')
})

test('text has one char a byte, whatever its length', (t) => {
  for (const length of [0, 1, 15, 16, 17, 200]) {
    const text = '\xe9\0\xff'.repeat(length).slice(0, length)
    t.is(argument(text).text(0), text)
  }
})

test('a big argument has its length and bytes elsewhere', (t) => {
  const args = new Args()
  const bigs = [bulk('first'), bulk('12')]
  args.point(new Uint8Array(3), 0, Int32Array.of(0, 3, -1, -1, -2, -1), 3, bigs)
  t.is(args.big(0), null)
  t.is(args.big(1), bigs[0] ?? null)
  t.is(args.big(2), bigs[1] ?? null)
  t.is(args.length(1), 5)
  t.is(args.text(1), 'first')
  t.deepEqual(args.buffer(2), Buffer.from('12'))
  t.deepEqual(args.bigs, bigs)
  // Numbers and words are never so long.
  t.false(args.is(2, '12'))
  t.is(args.integer(2), NaN)
  t.is(args.bigint(2), null)
  t.is(args.float(2), NaN)
})

test('a list of buffers and strings becomes arguments of plain bytes', (t) => {
  const args = Args.of(['SET', Buffer.from([0, 255]), '', 'é'])
  t.is(args.count, 4)
  t.deepEqual(args.copy(), [
    Buffer.from('SET'),
    Buffer.from([0, 255]),
    Buffer.from(''),
    Buffer.from('é'),
  ])
  t.is(Object.getPrototypeOf(args.bytes), Uint8Array.prototype)
})

test('shift drops the first argument', (t) => {
  const args = Args.of(['42', 'GET', 'key'])
  args.shift()
  t.is(args.count, 2)
  t.deepEqual(args.copy().map(String), ['GET', 'key'])
})

test('cleared arguments hold nothing', (t) => {
  const args = Args.of(['GET', 'key'])
  args.clear()
  t.is(args.count, 0)
  t.is(args.bytes.length, 0)
  t.deepEqual(args.bigs, [])
})
