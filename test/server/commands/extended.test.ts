import test from 'ava'
import {
  addExtended,
  EXTENDED_TEXT_MAX,
  formatExtended,
  INFINITE,
  parseExtended,
} from '../../../server/commands/extended.ts'

function add(a: string, b: string): string | null {
  const first = parseExtended(a)
  const second = parseExtended(b)
  if (first === null || second === null) return null
  if (first === INFINITE || second === INFINITE) return INFINITE
  const sum = addExtended(first, second)
  return sum === INFINITE ? sum : formatExtended(sum)
}

// What redis-server 7.0.15 answered on x86-64 to SET k a, INCRBYFLOAT k b.
const SUMS: readonly (readonly [string, string, string])[] = [
  ['0.1', '0.2', '0.3'],
  ['10.50', '0.1', '10.6'],
  ['5.0e3', '2.0e2', '5200'],
  ['3', '1.23456789012345678901', '4.23456789012345679'],
  ['-0', '0', '0'],
  ['1', '-1', '0'],
  ['-0.00000000000000000001', '0', '0'],
  ['0x1p3', '0x.8', '8.5'],
  ['1e20', '0.1', '100000000000000000000'],
  ['18446744073709551615', '1', '18446744073709551616'],
  ['18446744073709551616', '1', '18446744073709551616'],
  ['18446744073709551616', '3', '18446744073709551620'],
  ['9007199254740993', '0', '9007199254740993'],
]

for (const [a, b, sum] of SUMS) {
  test(`${a} and ${b} make ${sum}`, (t) => {
    t.is(add(a, b), sum)
    t.is(add(b, a), sum)
  })
}

test('a tie is rounded to the even mantissa', (t) => {
  // 2^64 + 1 and 2^64 + 3 lie halfway between two values of 64 bits.
  t.is(add('18446744073709551617', '0'), '18446744073709551616')
  t.is(add('18446744073709551619', '0'), '18446744073709551620')
  t.is(add('18446744073709551616', '1'), '18446744073709551616')
})

test('a sum that rounds up to 2^64 is that', (t) => {
  t.is(add('18446744073709551615', '0.5'), '18446744073709551616')
  t.is(add('18446744073709551615', '0.25'), '18446744073709551615')
})

const LARGEST = '1.18973149535723176502e4932'
const ABOVE_LARGEST = '1.18973149535723176509e4932'

test('the largest value is a float, what rounds beyond it is none', (t) => {
  t.is(add(LARGEST, '0')?.length, 4933)
  t.is(add(ABOVE_LARGEST, '0'), null)
  t.is(add('-1e4933', '0'), null)
  t.is(add(LARGEST, LARGEST), INFINITE)
  t.is(add(LARGEST, `-${LARGEST}`), '0')
  t.is(add(LARGEST, '1e4913'), INFINITE)
  t.is(add(LARGEST, '1e4912'), add(LARGEST, '0'))
})

test('the smallest value is a float, what rounds to zero is none', (t) => {
  t.not(parseExtended('3.6e-4951'), null)
  t.not(parseExtended('1.9e-4951'), null)
  t.is(parseExtended('1.8e-4951'), null)
  t.is(parseExtended('0x1p-16446'), null)
  t.deepEqual(parseExtended('0x1p-16445'), { mantissa: 1n, exponent: -16445 })
  t.is(parseExtended('1e-999999999'), null)
  t.not(parseExtended('0e-999999999'), null)
  t.not(parseExtended('0e999999999'), null)
  t.is(parseExtended('1e999999999'), null)
})

test('text that C would not read to its end is no float', (t) => {
  for (const text of [
    '',
    ' ',
    ' 1',
    '1 ',
    '.',
    '+',
    '-',
    'e5',
    '1e',
    '1e+',
    '0x',
    '0x.p1',
    '1.2.3',
  ]) {
    t.is(parseExtended(text), null, text)
  }
  for (const text of ['nan', '-nan', '1_0', '1n', '0b1', '0o7', '1d5', '１']) {
    t.is(parseExtended(text), null, text)
  }
  for (const text of ['1.', '.5', '+1', '007', '1E5', '0X1P-3', '0x1.']) {
    t.not(parseExtended(text), null, text)
  }
})

test('infinity is a word, with a sign or without', (t) => {
  for (const text of ['inf', '-inf', '+INF', 'Infinity']) t.is(parseExtended(text), INFINITE, text)
  t.is(parseExtended('infinit'), null)
})

test('text is a float up to the length of a buffer of 5 KB', (t) => {
  const text = `0.${'1'.repeat(EXTENDED_TEXT_MAX - 2)}`
  t.is(text.length, 5119)
  t.not(parseExtended(text), null)
  t.is(parseExtended(`${text}1`), null)
})

test('zeros at the end of the fraction are not printed, nor is a point without one', (t) => {
  t.is(add('1.50', '0.50'), '2')
  t.is(add('1.25', '0.25'), '1.5')
  t.is(add('100', '0'), '100')
  t.is(add('0', '0'), '0')
})
