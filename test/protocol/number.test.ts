import test from 'ava'
import fc from 'fast-check'
import { formatDouble, readBigint, readFloat, readInteger } from '../../protocol/number.ts'
import { available, startRedis } from '../process.ts'
import { exchange } from './exchange.ts'
import { runs, seed } from './seed.ts'
import { bytesOf, request } from './stream.ts'

const hasRedis = available('redis-server')
const redisTest = hasRedis ? test : test.skip
if (!hasRedis) console.warn('redis-server is not installed: numbers are not compared with it')

const integerOf = (text: string): number => readInteger(bytesOf(`..${text}9`), 2, text.length)
const bigintOf = (text: string): bigint | null => readBigint(bytesOf(`..${text}9`), 2, text.length)
const floatOf = (text: string): number => readFloat(bytesOf(`..${text}9`), 2, text.length)

const integers = ['0', '1', '-1', '9', '10', '-10', '123456789012345', '-123456789012345']
integers.push('1234567890123456', '9007199254740993', '999999999999999999', '9223372036854775806')
integers.push('9223372036854775807', '-9223372036854775807', '-9223372036854775808')

const notIntegers = ['', '-', '+', '+1', '-0', '00', '01', '-01', ' 1', '1 ', '1.0', '1e3', '0x10']
notIntegers.push('1a', 'a1', '--1', '1-', '9223372036854775808', '-9223372036854775809', '\x001')
notIntegers.push('10000000000000000000', '-10000000000000000000', '18446744073709551616')
notIntegers.push('123456789012345a', '12345678901234567a', '1'.repeat(20), '-' + '1'.repeat(20))
notIntegers.push('1/', '1:', '/', ':', '123456789012345678/', '123456789012345678:', '1\0')

test('integers are read to their value', (t) => {
  for (const text of integers) {
    t.is(integerOf(text), Number(text), text)
    t.is(bigintOf(text), BigInt(text), text)
  }
})

test('what is no integer by the strict rules is none', (t) => {
  for (const text of notIntegers) {
    t.is(integerOf(text), NaN, text.slice(0, 60))
    t.is(bigintOf(text), null, text)
  }
})

const overflow = ((1n << 65n) - 1n) << 16319n
const floats: readonly (readonly [string, number])[] = [
  ...['0', '-0', '1', '+1', '01', '-00.5', '.5', '5.', '-.5e1', '1e5', '1E+5', '1e-5'].map(
    (text) => [text, Number(text)] as const,
  ),
  ['3.14159265358979323846264338327950288', Math.PI],
  ['inf', Infinity],
  ['+INF', Infinity],
  ['-Infinity', -Infinity],
  ['iNfInItY', Infinity],
  ['0x10', 16],
  ['-0X1p3', -8],
  ['0x.8', 0.5],
  ['0x1.', 1],
  ['0x1.8p+1', 3],
  ['0xAbC.dEfp-4', 0xabcdef / 65536],
  ['0x0p99999999999', 0],
  ['0x1p-1074', 5e-324],
  ['0x1fffffffffffff8p0', 2 ** 57],
  ['0x1p1024', Infinity],
  ['0x1p-1100', 0],
  ['0x100000000000008' + '0'.repeat(35) + '1', 0x10000000000001 * 2 ** 148],
  ['0x' + '0'.repeat(5000) + '1', 1],
  ['1e400', Infinity],
  ['-1e400', -Infinity],
  ['1e4932', Infinity],
  ['1e-400', 0],
  ['3.7e-4951', 0],
  ['1.9e-4951', 0],
  ['0e99999999999999999999', 0],
  ['0.' + '0'.repeat(5000) + '1e5001', 1],
  ['1' + '0'.repeat(5000) + 'e-5000', 1],
  ['0'.repeat(5118) + '1', 1],
  ['0x1.fffffffffffffffep16383', Infinity],
  ['0x1.fffffffffffffffeffffp16383', Infinity],
  [String(overflow - 1n), Infinity],
  [`${overflow - 1n}.9`, Infinity],
]

const notFloats = ['', ' 1', '1 ', '\t1', '1\n', '.', '-', '+', 'e5', '1e', '1e+', '1.2.3', '1,5']
notFloats.push(
  'nan',
  'NAN',
  '-nan',
  'nan(1)',
  'in',
  'infi',
  'infinityx',
  'inf ',
  '0x',
  '0x.',
  '0xg',
)
notFloats.push(
  '0x1p',
  '0x1p+',
  '0x.p1',
  '1p3',
  '1f',
  '1_000',
  '--1',
  '+-1',
  '1\0',
  '\x001',
  '1e5000',
)
notFloats.push('1.19e4932', '1e-5000', '1.8e-4951', '0x1p16384', '0x1p-16446', '0x1p99999999999')
notFloats.push('-1e99999999999999999999', '1e-99999999999999999999', '0'.repeat(5119) + '1')
notFloats.push(
  String(overflow),
  '0x1.ffffffffffffffffp16383',
  '0x1.ffffffffffffffff8p16383',
  '0x' + '1'.repeat(5118),
)

test('floats are read as strtold reads them', (t) => {
  for (const [text, value] of floats) t.is(floatOf(text), value, text.slice(0, 60))
})

test('what strtold does not read to the end, or cannot hold, is no float', (t) => {
  for (const text of notFloats) t.is(floatOf(text), NaN, text.slice(0, 60))
})

/** Texts that are nearly numbers. */
const nearly = fc.oneof(
  fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }).map(String),
  fc.double().map(String),
  fc.stringMatching(/^[-+ ]?[0-9]{0,20}[. ]?[0-9]{0,4}(?:[eE][-+]?[0-9]{0,4})?[ a]?$/),
  fc.stringMatching(/^[-+]?0[xX][0-9a-fA-F]{0,20}[.]?[0-9a-g]{0,4}(?:[pP][-+]?[0-9]{0,5})?$/),
  fc.stringMatching(/^[-+]?(?:[iI][nN][fF](?:inity|INIT|x)?|nan)$/),
)
const near = fc.sample(nearly, { seed, numRuns: runs(400) })

redisTest('redis-server takes the same integers', async (t) => {
  t.log(`seed ${seed}`)
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const texts = [...integers, ...notIntegers, ...near]
  const session = texts.map((text) => request('DEL', 'n') + request('INCRBY', 'n', text))
  const answers = (await exchange(redis.port, session.join(''))).split('\r\n')
  for (const [i, text] of texts.entries()) {
    const exact = bigintOf(text)
    const expected = exact === null ? '-ERR value is not an integer or out of range' : `:${exact}`
    t.is(answers[2 * i + 1], expected, text)
  }
})

redisTest('redis-server takes the same floats', async (t) => {
  t.log(`seed ${seed}`)
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const texts = [
    ...floats.map(([text]) => text),
    ...notFloats,
    ...integers,
    ...notIntegers,
    ...near,
  ]
  const session = texts.map((text) => request('DEL', 'n') + request('INCRBYFLOAT', 'n', text))
  const answers = (await exchange(redis.port, session.join(''))).split(/:[01]\r\n/)
  for (const [i, text] of texts.entries()) {
    const isFloat = answers[i + 1] !== '-ERR value is not a valid float\r\n'
    t.is(!Number.isNaN(floatOf(text)), isFloat, text.slice(0, 60))
  }
})

const doubles = [0, -0, 1, -1, 0.1, 3.5, 2.71, 1e16, 1e17, 12345678901234568, 1e-4, 0.00001, 1e22]
doubles.push(
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  Number.MAX_SAFE_INTEGER,
  2 ** 53,
  1 / 3,
  100,
  1e100,
)
// Ties at the 18th digit, where C rounds to even and JavaScript away from zero.
doubles.push(1125899906842624.25, 1125899906842624.75, -1125899906842625.25, 1125899906842629.75)

test('doubles have the digits of %.17g', (t) => {
  t.is(formatDouble(3.14), '3.1400000000000001')
  t.is(formatDouble(-0), '-0')
  t.is(formatDouble(100), '100')
  t.is(formatDouble(1e16), '10000000000000000')
  t.is(formatDouble(1e17), '1e+17')
  t.is(formatDouble(0.0001), '0.0001')
  t.is(formatDouble(0.00001), '1.0000000000000001e-05')
  t.is(formatDouble(1e-7), '9.9999999999999995e-08')
  t.is(formatDouble(1125899906842624.25), '1125899906842624.2')
  t.is(formatDouble(1125899906842624.75), '1125899906842624.8')
  t.is(formatDouble(Infinity), 'inf')
  t.is(formatDouble(-Infinity), '-inf')
  t.is(formatDouble(NaN), 'nan')
})

redisTest('redis-server prints the same doubles', async (t) => {
  t.log(`seed ${seed}`)
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const random = fc.sample(fc.double({ noNaN: true }), { seed, numRuns: runs(400) })
  const quarters = fc.integer({ min: 1, max: 2 ** 40 }).map((n) => 2 ** 50 + n / 4)
  // A sorted set keeps no sign of a zero.
  const all = [...doubles, ...random, ...fc.sample(quarters, { seed, numRuns: runs(200) })].filter(
    (x) => !Object.is(x, -0),
  )
  const session = all.map((x, i) => {
    const text = Number.isFinite(x) ? String(x) : x > 0 ? 'inf' : '-inf'
    return request('ZADD', 'z', text, `m${i}`) + request('ZSCORE', 'z', `m${i}`)
  })
  const answer = await exchange(redis.port, request('HELLO', '3') + session.join(''))
  const scores = [...answer.matchAll(/,(.*)\r\n/g)].map((match) => match[1])
  t.deepEqual(scores, all.map(formatDouble))
})
