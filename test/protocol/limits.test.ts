import test from 'ava'
import { Args } from '../../protocol/args.ts'
import { BIG, COMMAND, Decoder, ERROR, MORE } from '../../protocol/decoder.ts'
import type { DecoderLimits } from '../../protocol/decoder.ts'
import { available, startRedis } from '../process.ts'
import { exchange } from './exchange.ts'
import type { StreamOptions } from './stream.ts'
import { LIMITS, Stream, bytesOf, outcomeOf, request } from './stream.ts'

const LINE_BYTES = 64 * 1024
const INT_MAX = 2147483647

const hasRedis = available('redis-server')
const redisTest = hasRedis ? test : test.skip
if (!hasRedis) console.warn('redis-server is not installed: its limits are not compared')

function decoderOf(limits: Partial<DecoderLimits> = {}): Decoder {
  return new Decoder(new Args(), { ...LIMITS, ...limits })
}

function errorOf(text: string, options: StreamOptions = {}): string | null {
  const decoder = decoderOf(options)
  decoder.restricted = options.restricted ?? false
  const bytes = bytesOf(text)
  return decoder.next(bytes, 0, bytes.length) === ERROR ? decoder.error : null
}

/** A kind of line: what stands before it, its first bytes, what it is filled with, its end. */
interface Line {
  readonly before: string
  readonly first: string
  readonly fill: string
  readonly end: string
  /** The words that refuse it when it is too long. */
  readonly words: string
}

const lines: Readonly<Record<string, Line>> = {
  'an inline command': {
    before: '',
    first: 'PING',
    fill: ' ',
    end: '\n',
    words: 'too big inline request',
  },
  'an argument count': {
    before: '',
    first: '*',
    fill: '0',
    end: '\r\n',
    words: 'too big mbulk count string',
  },
  'a bulk length': {
    before: '*1\r\n',
    first: '$',
    fill: '0',
    end: '\r\n',
    words: 'too big bulk count string',
  },
}

for (const [name, { before, first, fill, end, words }] of Object.entries(lines)) {
  const open = (length: number): string => before + first.padEnd(length, fill)
  const refusal = `ERR Protocol error: ${words}`

  test(`${name} ends within 64 KB or is refused, wherever it is cut`, (t) => {
    const cuts = [[], [5], [LINE_BYTES - 1], [LINE_BYTES], [LINE_BYTES + 1], [LINE_BYTES + 2]]
    for (const cut of cuts) {
      t.not(outcomeOf(open(LINE_BYTES - 1) + end, cut).error, refusal)
      t.not(outcomeOf(open(LINE_BYTES) + end, cut).error, refusal)
      t.is(outcomeOf(open(LINE_BYTES + 1) + end, cut).error, refusal)
    }
  })

  test(`${name} without an end is refused at its 65537th byte`, (t) => {
    t.is(outcomeOf(open(LINE_BYTES - 1), []).error, null)
    t.is(outcomeOf(open(LINE_BYTES), []).error, null)
    t.is(outcomeOf(open(LINE_BYTES + 1), []).error, refusal)
  })

  test(`${name} with a NUL waits for its end until 64 KB, though the end is there`, (t) => {
    const hidden = open(9) + '\0' + end
    const filled = (length: number): string =>
      hidden.padEnd(before.length + length, request('PING'))
    for (const cut of [1, 9, 10, 11, 12, 13, 14, 15, 1000]) {
      t.is(outcomeOf(filled(LINE_BYTES), [cut]).error, null)
      t.is(outcomeOf(filled(LINE_BYTES + 1), [cut]).error, refusal)
    }
  })

  redisTest(`redis-server refuses ${name} at the same byte`, async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    t.is(await exchange(redis.port, open(LINE_BYTES)), '')
    t.is(await exchange(redis.port, open(LINE_BYTES + 1)), `-${refusal}\r\n`)
    t.not(await exchange(redis.port, open(LINE_BYTES) + end), `-${refusal}\r\n`)
    t.is(await exchange(redis.port, open(9) + '\0' + end + request('PING')), '')
  })
}

test('an argument count may be as large as an int', (t) => {
  const refusal = 'ERR Protocol error: invalid multibulk length'
  t.is(errorOf(`*${INT_MAX - 1}\r\n`), null)
  t.is(errorOf(`*${INT_MAX}\r\n`), null)
  t.is(errorOf(`*${INT_MAX + 1}\r\n`), refusal)
})

test('a bulk may be as long as bulkBytesMax', (t) => {
  const refusal = 'ERR Protocol error: invalid bulk length'
  for (const bulkBytesMax of [5, 1024 * 1024, 512 * 1024 * 1024, 2 ** 40]) {
    t.is(errorOf(`*1\r\n$${bulkBytesMax - 1}\r\n`, { bulkBytesMax }), null)
    t.is(errorOf(`*1\r\n$${bulkBytesMax}\r\n`, { bulkBytesMax }), null)
    t.is(errorOf(`*1\r\n$${bulkBytesMax + 1}\r\n`, { bulkBytesMax }), refusal)
  }
})

test('the longest bulk follows the limits as they change', (t) => {
  const limits = { ...LIMITS, bulkBytesMax: 10 }
  const decoder = new Decoder(new Args(), limits)
  const first = bytesOf(request('PING', 'x'.repeat(10)))
  t.is(decoder.next(first, 0, first.length), COMMAND)
  limits.bulkBytesMax = 9
  t.is(decoder.next(first, 0, first.length), ERROR)
})

test('before AUTH there are 10 arguments', (t) => {
  const restricted = true
  t.is(errorOf('*9\r\n', { restricted }), null)
  t.is(errorOf('*10\r\n', { restricted }), null)
  t.is(errorOf('*11\r\n', { restricted }), 'ERR Protocol error: unauthenticated multibulk length')
  t.is(errorOf('*11\r\n'), null)
})

test('before AUTH arguments have 16384 bytes', (t) => {
  const restricted = true
  t.is(errorOf('*1\r\n$16383\r\n', { restricted }), null)
  t.is(errorOf('*1\r\n$16384\r\n', { restricted }), null)
  t.is(
    errorOf('*1\r\n$16385\r\n', { restricted }),
    'ERR Protocol error: unauthenticated bulk length',
  )
  t.is(errorOf('*1\r\n$16385\r\n'), null)
})

test('the restriction ends with the command that authenticates', (t) => {
  const decoder = decoderOf()
  decoder.restricted = true
  const bytes = bytesOf(request('AUTH', 'x') + request(...'abcdefghijk'.split('')))
  t.is(decoder.next(bytes, 0, bytes.length), COMMAND)
  decoder.restricted = false
  t.is(decoder.next(bytes, decoder.end, bytes.length), COMMAND)
})

test('a bulk over bigBytesMin is handed out, one of that length is not', (t) => {
  const statusOf = (length: number): [number, number, number] => {
    const decoder = decoderOf()
    const bytes = bytesOf(`*2\r\n$1\r\nx\r\n$${length}\r\nabc`)
    return [decoder.next(bytes, 0, bytes.length), decoder.end, decoder.bigLength]
  }
  t.is(statusOf(64 * 1024 - 1)[0], MORE)
  t.is(statusOf(64 * 1024)[0], MORE)
  t.deepEqual(statusOf(64 * 1024 + 1), [BIG, 19, 64 * 1024 + 1])
})

test('big bulks reach the command as they were given', (t) => {
  const stream = new Stream({ bigBytesMin: 2 })
  stream.push(bytesOf('*3\r\n$3\r\nSETxx$1\r\nk\r\n$3\r\nval'))
  t.deepEqual(stream.commands, [])
  stream.push(bytesOf('\r\n'))
  t.deepEqual(stream.commands, [['SET', 'k', 'val']])
})

test('a big bulk that nobody announced is a mistake of the program', (t) => {
  const decoder = decoderOf({ bigBytesMin: 2 })
  const bulk = { length: 3, toBuffer: () => Buffer.from('abc'), head: () => Buffer.from('abc') }
  t.throws(() => decoder.endBig(bulk), { code: 'ERR_ASSERTION' })
  const bytes = bytesOf('*1\r\n$4\r\n')
  t.is(decoder.next(bytes, 0, bytes.length), BIG)
  t.throws(() => decoder.endBig(bulk), { code: 'ERR_ASSERTION' })
})

test('nothing is held for what is announced, and little for what has come', (t) => {
  const decoder = decoderOf()
  const bytes = bytesOf(`*${INT_MAX}\r\n` + '$1\r\nx\r\n'.repeat(1000))
  const header = `*${INT_MAX}\r\n`.length
  const upTo = (count: number): number => {
    t.is(decoder.next(bytes, 0, header + 7 * count), MORE)
    return decoder.heldBytes
  }
  t.is(upTo(0), 0)
  t.is(upTo(16), 0)
  t.is(upTo(17), 32 * 8)
  t.is(upTo(32), 32 * 8)
  t.is(upTo(33), 64 * 8)
  t.is(upTo(1000), 1024 * 8)
})

test('a table grown by a huge command goes when the next one begins', (t) => {
  const args = new Args()
  const decoder = new Decoder(args, LIMITS)
  const run = (count: number): [held: number, args: number] => {
    const bytes = bytesOf(`*${count}\r\n` + '$1\r\nx\r\n'.repeat(count))
    t.is(decoder.next(bytes, 0, bytes.length), COMMAND)
    t.is(args.count, count)
    t.is(decoder.next(bytes, bytes.length, bytes.length), MORE)
    return [decoder.heldBytes, args.count]
  }
  t.deepEqual(run(1023), [1024 * 8, 1023])
  t.deepEqual(run(1024), [1024 * 8, 1024])
  t.deepEqual(run(1025), [0, 0])
})

test('a table grown by what was refused goes at once', (t) => {
  const decoder = decoderOf()
  const bytes = bytesOf('*99\r\n' + '$1\r\nx\r\n'.repeat(50) + 'x\r\n')
  t.is(decoder.next(bytes, 0, bytes.length), ERROR)
  t.is(decoder.heldBytes, 0)
})

test('big bulks are let go when the next command begins', (t) => {
  const stream = new Stream({ bigBytesMin: 2 })
  stream.push(bytesOf(request('SET', 'value')))
  t.is(stream.commands.length, 1)
  t.deepEqual(stream.args.bigs, [])
})

/** The bytes, and how many of them were looked at. */
function counted(bytes: Uint8Array): { bytes: Uint8Array; reads: () => number } {
  let reads = 0
  const proxy = new Proxy(bytes, {
    get(target, key): unknown {
      reads++
      return Reflect.get(target, key)
    },
    set(target, key, value) {
      return Reflect.set(target, key, value)
    },
  })
  return { bytes: proxy, reads: () => reads }
}

const linear: readonly (readonly [string, string])[] = [
  ['an inline command of 60 KB', `ECHO ${'x'.repeat(60_000)}\r\n`],
  ['an inline command of many quotes', `ECHO${' "\\x41"'.repeat(8000)}\r\n`],
  ['a length of 60 KB', `*1\r\n$${'0'.repeat(60_000)}\r\n`],
  ['a line with a NUL', 'a\0' + 'x'.repeat(60_000)],
  ['many arguments', request(...Array<string>(5000).fill('xyz'))],
  ['many empty commands', '*0\r\n\r\n'.repeat(5000)],
  ['one long bulk', request('SET', 'k', 'x'.repeat(60_000))],
]

for (const [name, text] of linear) {
  test(`${name}: byte by byte, each is looked at a few times at most`, (t) => {
    const { bytes, reads } = counted(bytesOf(text))
    const decoder = decoderOf()
    let from = 0
    for (let to = 1; to <= text.length; to++) {
      while (decoder.next(bytes, from, to) === COMMAND) from = decoder.end
      from = decoder.base
    }
    // Each piece may look again at the first bytes of the line it stopped in.
    t.true(reads() <= 6 * text.length, `${reads()} reads for ${text.length} bytes`)
  })
}
