import test from 'ava'
import { freshnessOf, type ResponseHeaders } from '../../../cluster/origin/cache-control.ts'

const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT'
const TEN_SECONDS_LATER = 'Sun, 06 Nov 1994 08:49:47 GMT'
const TEN_SECONDS_BEFORE = 'Sun, 06 Nov 1994 08:49:27 GMT'

/** fresh, stale and stale-if-error in seconds; undefined: the response says nothing of it. */
type Times = readonly [
  fresh?: number | undefined,
  stale?: number | undefined,
  staleIfError?: number | undefined,
]

const NEVER: Times = [0, 0, 0]

const table: readonly (readonly [
  title: string,
  control: string | string[] | null,
  times: Times,
  others?: ResponseHeaders,
])[] = [
  ['no headers', null, []],
  ['an empty header', '', []],
  ['max-age', 'max-age=60', [60]],
  ['capitals and spaces', ' Public ,  Max-Age = 60 ,', [60]],
  ['a number in quotes', 'max-age="60"', [60]],
  ['s-maxage before max-age', 'max-age=60, s-maxage=10', [10]],
  ['s-maxage above max-age', 's-maxage=100, max-age=1', [100]],
  ['s-maxage with a time of grace', 's-maxage=10, stale-while-revalidate=20', [10, 20]],
  ['several headers', ['max-age=60', 'stale-if-error=5'], [60, undefined, 5]],
  ['the first of two', 'max-age=60, max-age=10', [60]],
  ['max-age 0', 'max-age=0', [0]],
  ['max-age of no number', 'max-age=soon', [0]],
  ['max-age of nothing', 'max-age', [0]],
  ['max-age below 0', 'max-age=-1', [0]],
  ['max-age with a fraction', 'max-age=1.5', [0]],
  ['s-maxage of no number', 's-maxage=x, max-age=60', [0]],
  ['more seconds than there are', 'max-age=99999999999999999999', [2 ** 31]],
  ['no-store', 'no-store', NEVER],
  ['no-store after max-age', 'max-age=60, no-store', NEVER],
  ['private', 'private, max-age=60', NEVER],
  ['private for one field', 'private="set-cookie", max-age=60', NEVER],
  ['no-cache', 'no-cache', NEVER],
  ['NO-CACHE', 'NO-CACHE', NEVER],
  ['a word in quotes is no directive', 'x="no-store, private", max-age=60', [60]],
  ['an escaped quote', 'x="a\\"b, no-store", max-age=60', [60]],
  ['a quote that is not closed', 'x="a, max-age=60', [60]],
  ['other directives', 'public, immutable, no-transform, max-age=60', [60]],
  ['a name that ends like one', 'x-max-age=1, max-age=60', [60]],
  ['stale-while-revalidate', 'max-age=1, stale-while-revalidate=2', [1, 2]],
  ['stale-if-error', 'max-age=1, stale-if-error=3', [1, undefined, 3]],
  ['both, without a lifetime', 'stale-while-revalidate=2, stale-if-error=3', [undefined, 2, 3]],
  ['grace of no number', 'max-age=1, stale-while-revalidate=x', [1]],
  ['must-revalidate', 'max-age=1, must-revalidate, stale-if-error=3', [1, 0, 0]],
  ['proxy-revalidate', 'max-age=1, proxy-revalidate', [1, 0, 0]],
  ['Age', 'max-age=60', [50], { age: '10' }],
  ['Age up to the end', 'max-age=60', [0], { age: '60' }],
  ['Age over the end', 'max-age=60', [0], { age: '61' }],
  ['Age of no number', 'max-age=60', [60], { age: 'old' }],
  ['Age twice', 'max-age=60', [50], { age: ['10', '20'] }],
  ['Age without a lifetime', null, [], { age: '10' }],
  [
    'Age into the time of grace',
    'max-age=60, stale-while-revalidate=60, stale-if-error=5',
    [0, 50, 0],
    { age: '70' },
  ],
  ['Expires', null, [10], { expires: TEN_SECONDS_LATER, date: DATE }],
  ['Expires and Age', null, [7], { expires: TEN_SECONDS_LATER, date: DATE, age: '3' }],
  ['Expires in the past', null, [0], { expires: TEN_SECONDS_BEFORE, date: DATE }],
  ['Expires 0', null, [0], { expires: '0', date: DATE }],
  ['Expires 0 without Date', null, [0], { expires: '0' }],
  ['Expires without Date', null, [], { expires: TEN_SECONDS_LATER }],
  ['Expires with max-age', 'max-age=60', [60], { expires: TEN_SECONDS_LATER, date: DATE }],
  [
    'Expires with max-age of no number',
    'max-age=x',
    [0],
    { expires: TEN_SECONDS_LATER, date: DATE },
  ],
  ['Expires with public', 'public', [10], { expires: TEN_SECONDS_LATER, date: DATE }],
]

for (const [title, control, times, others = {}] of table) {
  test(`times of ${title}`, (t) => {
    const headers = control === null ? others : { ...others, 'cache-control': control }
    const { freshMs, staleMs, staleIfErrorMs } = freshnessOf(headers)
    const seconds = [freshMs, staleMs, staleIfErrorMs].map((ms) =>
      ms === undefined ? ms : ms / 1000,
    )
    t.deepEqual(seconds, [times[0], times[1], times[2]])
  })
}

test('what is not kept has a reason', (t) => {
  const note = (control: string, age?: string) =>
    freshnessOf({ 'cache-control': control, ...(age === undefined ? {} : { age }) }).note
  t.is(note('private, max-age=1'), 'its Cache-Control says private')
  t.is(note('max-age=1, no-store'), 'its Cache-Control says no-store')
  t.is(note('max-age=0'), 'it was stale when it came')
  t.is(note('max-age=5', '5'), 'it was stale when it came')
  t.is(note('max-age=5', '4'), undefined)
})

test('a header of 16 KB that is made to be slow is read at once', (t) => {
  for (const text of ['"', 'a=', 'a="', '\\', 'a="\\', 'a,', ' ', '= ']) {
    const header = text.repeat(16_384 / text.length)
    t.notThrows(() => freshnessOf({ 'cache-control': header }), text)
  }
})
