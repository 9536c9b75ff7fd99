import { createRequire } from 'node:module'
import test from 'ava'
import fc from 'fast-check'
import { Reply } from '../../protocol/reply.ts'
import { readReplies } from './resp.ts'
import { runs, seed } from './seed.ts'

interface RedisParser {
  execute(bytes: Buffer): void
}
type RedisParserClass = new (options: {
  returnReply(reply: unknown): void
  returnError(error: Error): void
  returnFatalError(error: Error): void
  returnBuffers: boolean
}) => RedisParser
const RedisParser = createRequire(import.meta.url)('redis-parser') as RedisParserClass

/** A reply area as a connection would give it, and all that was written. */
class Area {
  readonly reply: Reply
  readonly needs: number[] = []
  #taken = ''

  /** Each area has `bytes` bytes, or as many as are needed. */
  constructor(bytes: number, protocol = 2) {
    this.reply = new Reply({
      overflow: (reply, need) => {
        this.needs.push(need)
        this.#taken += reply.take().toString('latin1')
        this.#use(Math.max(bytes, need))
      },
    })
    this.reply.protocol = protocol
    this.#use(bytes)
  }

  /** Bytes stand before and behind the area, which nobody may touch. */
  #use(bytes: number): void {
    this.reply.use(new Uint8Array(bytes + 7).fill(0xee), 3, 3 + bytes)
  }

  written(): string {
    this.#taken += this.reply.take().toString('latin1')
    return this.#taken
  }
}

function written(protocol: number, write: (reply: Reply) => void): string {
  const area = new Area(4096, protocol)
  write(area.reply)
  return area.written()
}

const bytes = new Uint8Array([0, 13, 10, 255])

/** What is written, and what it looks like in RESP2 and in RESP3. */
const replies: readonly (readonly [
  name: string,
  write: (reply: Reply) => void,
  resp2: string,
  resp3?: string,
])[] = [
  ['ok', (r) => r.ok(), '+OK\r\n'],
  ['simple', (r) => r.simple('PONG'), '+PONG\r\n'],
  ['an empty simple', (r) => r.simple(''), '+\r\n'],
  ['error', (r) => r.error('ERR syntax error'), '-ERR syntax error\r\n'],
  ['integer 0', (r) => r.integer(0), ':0\r\n'],
  ['integer -0', (r) => r.integer(-0), ':0\r\n'],
  ['integer', (r) => r.integer(-42), ':-42\r\n'],
  ['an integer of 64 bits', (r) => r.bigInteger(-(2n ** 63n)), ':-9223372036854775808\r\n'],
  ['null', (r) => r.null(), '$-1\r\n', '_\r\n'],
  ['null array', (r) => r.nullArray(), '*-1\r\n', '_\r\n'],
  ['bulk', (r) => r.bulk(bytes), '$4\r\n\0\r\n\xff\r\n'],
  ['part of a bulk', (r) => r.bulk(bytes, 2, 1), '$1\r\n\n\r\n'],
  ['the rest of a bulk', (r) => r.bulk(bytes, 3), '$1\r\n\xff\r\n'],
  ['an empty bulk', (r) => r.bulk(bytes, 4), '$0\r\n\r\n'],
  ['text', (r) => r.text('\u00e9'), '$2\r\n\xc3\xa9\r\n'],
  ['latin1 text', (r) => r.text('\u00e9', true), '$1\r\n\xe9\r\n'],
  ['array', (r) => r.array(12), '*12\r\n'],
  ['an empty array', (r) => r.array(0), '*0\r\n'],
  ['map', (r) => r.map(7), '*14\r\n', '%7\r\n'],
  ['set', (r) => r.set(2), '*2\r\n', '~2\r\n'],
  ['push', (r) => r.push(3), '*3\r\n', '>3\r\n'],
  ['double', (r) => r.double(3.14), '$18\r\n3.1400000000000001\r\n', ',3.1400000000000001\r\n'],
  ['a whole double', (r) => r.double(-2), '$2\r\n-2\r\n', ',-2\r\n'],
  ['infinity', (r) => r.double(-Infinity), '$4\r\n-inf\r\n', ',-inf\r\n'],
  ['true', (r) => r.boolean(true), ':1\r\n', '#t\r\n'],
  ['false', (r) => r.boolean(false), ':0\r\n', '#f\r\n'],
  ['verbatim', (r) => r.verbatim('h\u00e9'), '$3\r\nh\xc3\xa9\r\n', '=7\r\ntxt:h\xc3\xa9\r\n'],
  ['verbatim markdown', (r) => r.verbatim('#', 'mkd'), '$1\r\n#\r\n', '=5\r\nmkd:#\r\n'],
  ['raw', (r) => r.raw(bytes, 1, 2), '\r\n'],
]

for (const [name, write, resp2, resp3 = resp2] of replies) {
  test(`${name} in RESP2 and RESP3, in an area of any size`, (t) => {
    for (let size = 0; size < 64; size++) {
      for (const protocol of [2, 3]) {
        const area = new Area(size, protocol)
        area.reply.ok()
        write(area.reply)
        area.reply.ok()
        t.is(area.written(), `+OK\r\n${protocol === 3 ? resp3 : resp2}+OK\r\n`)
      }
    }
  })
}

test('CR and LF never break a line', (t) => {
  t.is(
    written(2, (r) => r.error('ERR a\rb\nc\r\n')),
    '-ERR a b c  \r\n',
  )
  t.is(
    written(2, (r) => r.simple('a\r\nb')),
    '+a  b\r\n',
  )
})

test('a line has one byte a char, and no more than a byte', (t) => {
  t.is(
    written(2, (r) => r.error('ERR \xff\u0100\u20ac')),
    '-ERR \xff??\r\n',
  )
})

test('errors are counted, and the last code is kept', (t) => {
  const { reply } = new Area(4096)
  t.is(reply.errors, 0)
  reply.error('WRONGTYPE Operation against a key')
  t.deepEqual([reply.errors, reply.lastErrorCode], [1, 'WRONGTYPE'])
  reply.ok()
  reply.error('ERR')
  t.deepEqual([reply.errors, reply.lastErrorCode], [2, 'ERR'])
})

test('integers have the digits that String gives them', (t) => {
  const numbers = [0, Number.MAX_SAFE_INTEGER, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 60, 2 ** 63]
  for (let power = 1; power <= 1e15; power *= 10) numbers.push(power - 1, power, power + 1)
  for (const n of [...numbers, ...numbers.map((number) => -number)]) {
    t.is(
      written(2, (r) => r.integer(n)),
      `:${BigInt(n)}\r\n`,
    )
  }
})

test('lengths around the bounds of each way of copying', (t) => {
  for (const length of [0, 1, 9, 10, 47, 48, 49, 99, 100, 1000, 10_000]) {
    const text = Array.from({ length }, (_, i) => String.fromCharCode(i % 251)).join('')
    const expected = `$${length}\r\n${text}\r\n`
    const source = new Uint8Array(Buffer.from(`..${text}.`, 'latin1'))
    t.is(
      written(2, (r) => r.bulk(source, 2, length)),
      expected,
    )
    t.is(
      written(2, (r) => r.text(text, true)),
      expected,
    )
    t.is(
      written(2, (r) => r.raw(source, 2, length)),
      text,
    )
    const utf8 = Buffer.from(text).toString('latin1')
    t.is(
      written(2, (r) => r.text(text)),
      `$${utf8.length}\r\n${utf8}\r\n`,
    )
    t.is(
      written(3, (r) => r.verbatim(text)),
      `=${utf8.length + 4}\r\ntxt:${utf8}\r\n`,
    )
  }
})

test('a reserved bulk is filled by the caller', (t) => {
  const { reply } = new Area(4096)
  const pos = reply.reserve(3)
  reply.bytes.set([97, 98, 99], pos)
  reply.endBulk()
  t.is(reply.take().toString(), '$3\r\nabc\r\n')
})

test('reserve writes nothing when there is no room for all of it', (t) => {
  const area = new Area(100)
  const { reply } = area
  const fits = (length: number): boolean => {
    reply.pos = reply.start
    const pos = reply.reserve(length)
    if (pos < 0) t.is(reply.pos, reply.start)
    return pos >= 0
  }
  t.true(fits(0))
  const longest = Array.from({ length: 101 }, (_, i) => i).findLast(fits)!
  t.true(longest > 70 && longest < 100)
  reply.pos = reply.start
  t.is(reply.reserve(longest), reply.start + 5)
  reply.endBulk()
  t.true(reply.pos <= reply.end)
  t.deepEqual(area.needs, [])
})

test('positions in an area that is not the shared one are never given out', (t) => {
  const { reply } = new Area(100)
  reply.use(new Uint8Array(100), 0, 100, false)
  t.is(reply.reserve(1), -1)
  reply.use(new Uint8Array(100), 0, 100)
  t.true(reply.reserve(1) >= 0)
})

test('nothing outside the area is touched', (t) => {
  for (const [, write] of replies) {
    for (const protocol of [2, 3]) {
      const { reply } = new Area(40, protocol)
      write(reply)
      t.deepEqual([...reply.bytes.subarray(0, 3)], [0xee, 0xee, 0xee])
      t.true(reply.pos <= reply.end)
      t.deepEqual([...reply.bytes.subarray(reply.end)], [0xee, 0xee, 0xee, 0xee])
    }
  }
})

test('room asks for more only when there is too little', (t) => {
  const area = new Area(10)
  area.reply.room(9)
  area.reply.room(10)
  t.deepEqual(area.needs, [])
  area.reply.room(11)
  t.deepEqual(area.needs, [11])
})

test('take copies', (t) => {
  const { reply } = new Area(100)
  reply.ok()
  const taken = reply.take()
  reply.simple('XX')
  t.is(taken.toString(), '+OK\r\n')
  t.is(reply.take().toString(), '+XX\r\n')
  t.is(reply.take().length, 0)
})

/** A reply as a plain value, as redis-parser gives it. */
type Value = string | number | null | Error | Value[]

function write(reply: Reply, value: Value): void {
  if (value === null) reply.null()
  else if (typeof value === 'number') reply.integer(value)
  else if (typeof value === 'string') reply.text(value)
  else if (value instanceof Error) reply.error(value.message)
  else {
    reply.array(value.length)
    for (const item of value) write(reply, item)
  }
}

const values = fc.letrec<{ value: Value; list: Value[] }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.maxSafeInteger(),
    fc.constant(null),
    fc
      .string({ unit: fc.integer({ min: 32, max: 126 }).map((c) => String.fromCharCode(c)) })
      .map((text) => new Error(`ERR ${text}`)),
    tie('list'),
  ),
  list: fc.array(tie('value'), { maxLength: 5 }),
}))

test('redis-parser reads what was written', (t) => {
  t.log(`seed ${seed}`)
  fc.assert(
    fc.property(fc.array(values.value), fc.integer({ min: 0, max: 200 }), (list, size) => {
      const area = new Area(size)
      for (const value of list) write(area.reply, value)
      const read: unknown[] = []
      const parser = new RedisParser({
        returnReply: (reply) => read.push(reply),
        returnError: (error) => read.push(new Error(error.message)),
        returnFatalError: (error) => t.fail(error.message),
        returnBuffers: false,
      })
      parser.execute(Buffer.from(area.written(), 'latin1'))
      const shown = (value: unknown): string =>
        JSON.stringify(value, (_, v: unknown) => (v instanceof Error ? { error: v.message } : v))
      return shown(read) === shown(list)
    }),
    { seed, numRuns: runs(300) },
  )
  t.pass()
})

const calls: readonly ((reply: Reply, n: number, text: string, inner: () => void) => void)[] = [
  (r) => r.ok(),
  (r, _, text) => r.simple(text),
  (r, _, text) => r.error(text),
  (r, n) => r.integer(n),
  (r) => r.null(),
  (r) => r.nullArray(),
  (r, n) => r.double(n / 1000),
  (r, n) => r.boolean(n % 2 === 0),
  (r, _, text) => r.text(text),
  (r, _, text) => r.text(text, true),
  (r, _, text) => r.verbatim(text),
  (r, _, text) => r.bulk(new Uint8Array(Buffer.from(text))),
  (r, _, __, inner) => (r.array(2), inner(), inner()),
  (r, _, __, inner) => (r.set(1), inner()),
  (r, _, __, inner) => (r.push(1), inner()),
  (r, _, __, inner) => (r.map(1), inner(), inner()),
]

test('whatever is called, whole replies of the right protocol come out', (t) => {
  t.log(`seed ${seed}`)
  const call = fc.tuple(
    fc.integer({ min: 0, max: calls.length - 1 }),
    fc.maxSafeInteger(),
    fc.string({ unit: 'binary', maxLength: 60 }),
  )
  fc.assert(
    fc.property(
      fc.array(call, { minLength: 1 }),
      fc.constantFrom(2, 3),
      fc.integer({ min: 0, max: 100 }),
      (list, protocol, size) => {
        const area = new Area(size, protocol)
        const queue = list.values()
        const next = (): void => {
          const { value, done } = queue.next()
          if (done === true) return area.reply.ok()
          const [which, n, text] = value
          calls[which]!(area.reply, n, text, next)
        }
        next()
        const text = area.written()
        const read = readReplies(text)
        const types = protocol === 3 ? /^[-+:$*_,#=~>%]$/ : /^[-+:$*]$/
        const isRight = (list: typeof read): boolean =>
          list.every(
            ({ type, value }) => types.test(type) && (!Array.isArray(value) || isRight(value)),
          )
        return read.length === 1 && isRight(read)
      },
    ),
    { seed, numRuns: runs(500) },
  )
  t.pass()
})
