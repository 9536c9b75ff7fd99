import test from 'ava'
import fc from 'fast-check'
import { ERR_NOAUTH, unknownCommand, wrongArity } from '../../protocol/errors.ts'
import { available, startRedis } from '../process.ts'
import { exchange } from '../protocol/exchange.ts'
import { runs, seed } from '../protocol/seed.ts'
import { outcomeOf, request } from '../protocol/stream.ts'
import type { Outcome } from '../protocol/stream.ts'

/*
 * Malformed requests, put to the decoder in pieces and to redis-server in one. PING and ECHO answer
 * with their arguments, and so does an unknown command, in its error line: the answer shows how
 * redis-server has read every byte.
 */

const hasRedis = available('redis-server')
const redisTest = hasRedis ? test : test.skip
if (!hasRedis) console.warn('redis-server is not installed: malformed requests are not compared')

/** proto-max-bulk-len of both, the least that redis-server takes. */
const BULK_BYTES_MAX = 1024 * 1024

const word = fc.constantFrom('PING', 'echo', 'Echo', 'nosuch', 'x', 'yy', '', 'a b', 'zzz')
const noise = fc.string({
  unit: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...'\r\n\0 \t\v\f\\"\'*$+-0123456789xnqZ') },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)) },
  ),
  maxLength: 12,
})
const count = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -2, max: 12 }).map(String) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...['01', '+1', '-0', '00', '', '-', ' 1', '1 ', '1x', '0x1', '1\0', '2147483647'],
      ...['2147483648', '-2147483649', '9223372036854775807', '9223372036854775808'],
      ...['-9223372036854775808', '-9223372036854775809', '18446744073709551617'],
      ...['16384', '16385', '65536', '65537', String(BULK_BYTES_MAX), String(BULK_BYTES_MAX + 1)],
      ...['1'.repeat(19), '1'.repeat(20), '1'.repeat(21), '1'.repeat(22)],
    ),
  },
  { weight: 1, arbitrary: noise },
)
const lineEnd = fc.oneof(
  { weight: 12, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\rx', '\n\r', '\0\r\n', '', '\r\r\n') },
)
const command = fc
  .array(fc.oneof(word, noise), { minLength: 1, maxLength: 4 })
  .map((args) => request(...args))
const quoted = fc.oneof(
  noise.map((text) => `"${text.replace(/[\r\n\0]/g, '')}"`),
  noise.map((text) => `'${text.replace(/[\r\n\0]/g, '')}'`),
  noise.map((text) => `"${text.replace(/[\r\n\0"\\]/g, '\\n')}"`),
  fc.constantFrom('"\\x41\\xfg\\x4"', '"\\n\\r\\t\\b\\a\\"\\\\"', "'\\''", '""', "''", '"a'),
)
const inlineCommand = fc
  .tuple(
    fc.array(fc.oneof(word, quoted, noise), { minLength: 1, maxLength: 4 }),
    fc.constantFrom(' ', '  ', '\t', '', ' \v'),
    lineEnd,
  )
  .map(([words, blank, end]) => words.join(blank || ' ') + end)
const piece = fc.oneof(
  { weight: 4, arbitrary: command },
  { weight: 2, arbitrary: inlineCommand },
  { weight: 3, arbitrary: fc.tuple(count, lineEnd).map(([n, end]) => `*${n}${end}`) },
  { weight: 3, arbitrary: fc.tuple(count, lineEnd).map(([n, end]) => `$${n}${end}`) },
  {
    weight: 2,
    arbitrary: fc.tuple(word, lineEnd).map(([text, end]) => `$${text.length}${end}${text}\r\n`),
  },
  { weight: 1, arbitrary: noise },
)
/** A request with one byte replaced, removed or doubled. */
const damaged = fc
  .tuple(command, fc.nat(), fc.constantFrom('', '\0', '\r', '\n', '$', '*', '0', '9', '-', 'xx'))
  .map(([text, at, instead]) => {
    const index = at % text.length
    return text.slice(0, index) + instead + text.slice(index + 1)
  })
const stream = fc
  .array(fc.oneof({ weight: 3, arbitrary: piece }, { weight: 1, arbitrary: damaged }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((pieces) => pieces.join(''))
  // Names of real commands and the two that close the connection are not the decoder's business.
  .filter((text) => !/post|host:/i.test(text))

interface Case {
  readonly text: string
  readonly cuts: readonly number[]
  readonly bigBytesMin: number
}
const cases: fc.Arbitrary<Case> = fc
  .record({
    text: stream,
    cuts: fc.array(fc.nat(200), { maxLength: 12 }),
    bigBytesMin: fc.constantFrom(0, 1, 3, 64 * 1024),
  })
  .map(({ text, cuts, bigBytesMin }) => ({
    text,
    cuts: cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b),
    bigBytesMin,
  }))

const outcomeOfCase = ({ text, cuts, bigBytesMin }: Case, restricted: boolean): Outcome =>
  outcomeOf(text, cuts, { bulkBytesMax: BULK_BYTES_MAX, bigBytesMin, restricted })

/** What a server answers that knows PING and ECHO only. */
function answerTo({ commands, error }: Outcome, authenticated: boolean): string {
  const line = (text: string): string => `-${text.replace(/[\r\n]/g, ' ')}\r\n`
  const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
  const replies = commands.map(([name = '', ...args]) => {
    const lower = name.toLowerCase()
    if (lower !== 'ping' && lower !== 'echo') return line(unknownCommand(name, args))
    if (lower === 'echo' && args.length !== 1) return line(wrongArity('echo'))
    if (!authenticated) return line(ERR_NOAUTH)
    // PING counts its arguments itself, once it may run.
    if (args.length > 1) return line(wrongArity('ping'))
    return args[0] === undefined ? '+PONG\r\n' : bulk(args[0])
  })
  return replies.join('') + (error === null ? '' : line(error))
}

test('whatever comes, cut anywhere, comes to the same', (t) => {
  t.log(`seed ${seed}`)
  fc.assert(
    fc.property(cases, (input) => {
      const everywhere = Array.from({ length: input.text.length }, (_, i) => i)
      const whole = outcomeOfCase({ ...input, cuts: [] }, false)
      t.deepEqual(outcomeOfCase(input, false), whole)
      t.deepEqual(outcomeOfCase({ ...input, cuts: everywhere }, false), whole)
    }),
    { seed, numRuns: runs(1000) },
  )
})

for (const authenticated of [true, false]) {
  const who = authenticated ? 'a client' : 'a client before AUTH'
  redisTest(`redis-server reads what ${who} sends as the decoder does`, async (t) => {
    t.log(`seed ${seed}`)
    const args = ['--proto-max-bulk-len', String(BULK_BYTES_MAX)]
    if (!authenticated) args.push('--requirepass', 'secret')
    const redis = await startRedis({ args })
    t.teardown(() => redis.stop())
    let refused = 0
    let executed = 0
    await fc.assert(
      fc.asyncProperty(cases, async (input) => {
        const outcome = outcomeOfCase(input, !authenticated)
        if (outcome.error !== null) refused++
        executed += outcome.commands.length
        t.is(await exchange(redis.port, input.text), answerTo(outcome, authenticated))
      }),
      { seed, numRuns: runs(700) },
    )
    // The inputs are worth something only when both happen often.
    t.true(refused > 100 && executed > 300, `${refused} refused, ${executed} executed`)
  })
}
