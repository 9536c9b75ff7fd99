import test from 'ava'
import fc from 'fast-check'
import { parseHttpDate } from '../../../cluster/origin/http-date.ts'

test('the three forms of a date are read', (t) => {
  t.is(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT'), 784_111_777)
  t.is(parseHttpDate('Sunday, 06-Nov-94 08:49:37 GMT'), 784_111_777)
  t.is(parseHttpDate('Sun Nov  6 08:49:37 1994'), 784_111_777)
  t.is(parseHttpDate('sun, 06 nov 1994 08:49:37 gmt'), 784_111_777)
  t.is(parseHttpDate('Thursday, 01-Jan-70 00:00:00 GMT'), 0)
  t.is(parseHttpDate('Tuesday, 01-Jan-69 00:00:00 GMT'), Date.UTC(2069, 0, 1) / 1000)
})

test('a date means what it means to Date', (t) => {
  const seconds = fc.integer({ min: Date.UTC(1900, 0) / 1000, max: Date.UTC(2400, 0) / 1000 })
  fc.assert(
    fc.property(seconds, (at) => parseHttpDate(new Date(at * 1000).toUTCString()) === at),
    { numRuns: 2000 },
  )
  t.pass()
})

test('what is no date is none', (t) => {
  for (const text of [
    '',
    '0',
    '-1',
    '784111777',
    '1994-11-06T08:49:37Z',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 CET',
    'Sun, 06 Foo 1994 08:49:37 GMT',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT',
    'Sun, 06 Nov 1994 08:49:61 GMT',
  ]) {
    t.is(parseHttpDate(text), NaN, text)
  }
})
