import test from 'ava'
import {
  formatTime,
  parseChoice,
  parseCount,
  parseDecimal,
  parseShare,
  parseSize,
  parseTime,
  RuleError,
  showShare,
  showTime,
} from '../../../cluster/groups/rule.ts'

const ANY = { min: 0, max: Number.MAX_SAFE_INTEGER }

test('times are read in ms, s, m, h and d, a plain number in seconds', (t) => {
  const times = ['250ms', '5s', '5m', '2h', '1d', '7', '0', '10S'].map((word) =>
    parseTime(word, ANY),
  )
  t.deepEqual(times, [250, 5000, 300_000, 7_200_000, 86_400_000, 7000, 0, 10_000])
})

test('sizes are read as Redis reads them: 1mb is 1048576, 1m is 1000000', (t) => {
  const words = ['1', '1b', '1k', '1kb', '1m', '1mb', '1g', '1gb', '8MB']
  const sizes = words.map((word) => parseSize(word, ANY))
  t.deepEqual(sizes, [1, 1, 1000, 1024, 1e6, 1048576, 1e9, 1073741824, 8388608])
})

test('what is no time, size or count is refused', (t) => {
  for (const word of ['', 'ms', '5x', '-1', '1.5s', '5 s', '5ms5', '0x10', '1e3', 'constructor']) {
    t.throws(() => parseTime(word, ANY), { instanceOf: RuleError, message: /is no time/ }, word)
    t.throws(() => parseSize(word, ANY), { instanceOf: RuleError, message: /is no size/ }, word)
    t.throws(() => parseCount(word, ANY), { instanceOf: RuleError, message: /whole number/ }, word)
  }
})

test('limits hold one below, at and one above', (t) => {
  const limits = { min: 2, max: 4 }
  t.deepEqual(
    ['2', '3', '4'].map((word) => parseCount(word, limits)),
    [2, 3, 4],
  )
  t.throws(() => parseCount('1', limits), { message: "'1' is below 2" })
  t.throws(() => parseCount('5', limits), { message: "'5' is above 4" })
  t.throws(() => parseTime('3601', { min: 0, max: 3_600_000 }), { message: "'3601' is above 1h" })
})

test('a time is written in its largest whole unit', (t) => {
  const times = [0, 1, 250, 1000, 90_000, 3_600_000, 86_400_000].map(formatTime)
  t.deepEqual(times, ['0ms', '1ms', '250ms', '1s', '90s', '1h', '1d'])
})

test('no time at all is written without a unit', (t) => {
  t.deepEqual([0, 1, 60_000].map(showTime), ['0', '1ms', '1m'])
})

test('a share is a percentage or a part of one, and is written as it was read', (t) => {
  const shares = ['10%', '0.1', '7%', '2.5%', '0', '100%', '0.000001%']
  t.deepEqual(
    shares.map((word) => parseShare(word, { min: 0, max: 1 })),
    [0.1, 0.1, 0.07, 0.025, 0, 1, 0.00000001],
  )
  for (let percent = 0; percent <= 100; percent++) {
    const word = `${percent}%`
    t.is(showShare(parseShare(word, { min: 0, max: 1 })), word)
    t.is(showShare(parseShare(`${percent / 100}`, { min: 0, max: 1 })), word)
  }
  for (const word of ['', '%', '-1%', '1 %', '.5', '1.', '1e-1', 'x', '10%%']) {
    t.throws(() => parseShare(word, { min: 0, max: 1 }), { message: /is no share/ }, word)
  }
})

test('a number may have a fraction', (t) => {
  const any = { min: 0, max: 1000 }
  t.deepEqual(
    ['0', '0.5', '12.25', '007'].map((word) => parseDecimal(word, any)),
    [0, 0.5, 12.25, 7],
  )
  for (const word of ['', '-1', '+1', '.5', '1.', '1e3', 'Infinity', '0x10']) {
    t.throws(() => parseDecimal(word, any), { message: /is no number/ }, word)
  }
})

test('a choice is one of its words, in any case', (t) => {
  t.is(parseChoice('YES', ['yes', 'no']), 'yes')
  t.throws(() => parseChoice('y', ['yes', 'no']), { message: "'y' is none of yes, no" })
})
