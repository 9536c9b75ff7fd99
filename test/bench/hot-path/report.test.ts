import test from 'ava'
import type { Figures } from './load.ts'
import { barLines, median, ratioOf, report, type Results } from './report.ts'
import type { Case } from './requests.ts'
import { inTurn, type CaseRounds } from './rounds.ts'

const FIGURES: Figures = {
  requests: 1000,
  requestsPerSecond: 1000,
  microsPerRequest: 10,
  generatorMicrosPerRequest: 1,
  p50: 100,
  p99: 200,
  p999: 400,
  checked: 10,
}
const ONE = 'ringtier 1 thread, Node 24'
const TWO = 'ringtier 2 threads, Node 24'

/** Of each round: the CPU of redis-server, of one thread, of two; requests/s follow from it. */
function found(one: Partial<Case>, rounds: readonly (readonly number[])[]): CaseRounds {
  const figures = (micros: number): Figures => ({
    ...FIGURES,
    microsPerRequest: micros,
    requestsPerSecond: 10_000 / micros,
  })
  return {
    case: { command: 'get', bytes: 3, pipeline: 16, connections: 50, keys: 10_000, ...one },
    rounds: rounds.map(([redis, first, second]) => ({
      'redis-server': figures(redis!),
      [ONE]: figures(first!),
      [TWO]: figures(second!),
    })),
  }
}

function resultsOf(...cases: CaseRounds[]): Results {
  return {
    head: ['a machine', 'versions'],
    contestants: [
      { name: ONE, kind: 'ringtier', threads: 1, node: 24 },
      { name: TWO, kind: 'ringtier', threads: 2, node: 24 },
      { name: 'redis-server', kind: 'redis-server' },
    ],
    cases,
  }
}

test('a median of an even number is between the two in the middle', (t) => {
  t.is(median([3, 1, 2]), 2)
  t.is(median([4, 1, 3, 2]), 2.5)
})

test('a ratio is taken within its round', (t) => {
  // The medians of the CPU times are 20 and 20; the ratios 2, 0.5 and 1.5.
  const one = found({}, [
    [10, 20, 1],
    [40, 20, 1],
    [20, 30, 1],
  ])
  t.deepEqual(ratioOf(one, 'microsPerRequest', ONE, 'redis-server'), {
    median: 1.5,
    lowest: 0.5,
    highest: 2,
  })
})

test('the tables have a row a case and a column a rival', (t) => {
  const text = report(resultsOf(found({}, [[10, 8, 9]]), found({ command: 'set' }, [[10, 12, 13]])))
  const rows = text.split('\n').map((line) => line.replaceAll(/ +/g, ' '))
  t.true(rows.includes('> a machine'))
  t.true(
    rows.includes('| GET | 3 | 16 | 50 | 10000 | 10.00 | 0.80 | 0.80-0.80 | 0.90 | 0.90-0.90 |'),
  )
  t.true(
    rows.includes('| SET | 3 | 16 | 50 | 10000 | 1000 | 0.83 | 0.83-0.83 | 0.77 | 0.77-0.77 |'),
  )
  const same = '1.00 / 1.00 / 1.00'
  t.true(rows.includes(`| GET | 3 | 16 | 50 | 10000 | 100 / 200 / 400 | ${same} | ${same} |`))
})

/** The line about this. */
function bar(results: Results, about: RegExp): string {
  return barLines(results)
    .split('\n')
    .find((line) => about.test(line))!
}

test('the worst of its cases decides about a bar, and exactly on it is met', (t) => {
  const about = /1 thread, Node 24, pipeline 16, CPU/
  const good = found({}, [[10, 7, 8]])
  const onBar = found({ command: 'set', bytes: 1024 }, [[10, 10, 10]])
  const above = found({ command: 'set', bytes: 100 }, [[10, 10.1, 10]])
  const at = bar(resultsOf(good, onBar), about)
  t.regex(at, /: 1\.00 \(SET 1,024 B; best 0\.70, 2 of 6 cases; bar 1\.00, aim 0\.70\): met$/)
  t.regex(bar(resultsOf(good, onBar, above), about), /: 1\.01 \(SET 100 B.*: missed$/)
})

test('bars are about GET and SET up to 1,024 bytes at 50 connections and 10,000 keys', (t) => {
  const results = resultsOf(
    found({ command: 'mixed' }, [[10, 99, 99]]),
    found({ bytes: 16_384 }, [[10, 99, 99]]),
    found({ connections: 1000 }, [[10, 99, 99]]),
    found({ keys: 1_000_000 }, [[10, 99, 99]]),
  )
  t.regex(bar(results, /1 thread, Node 24, pipeline 16, CPU/), /not measured$/)
})

test('each case has a line under its bar', (t) => {
  const results = resultsOf(found({}, [[10, 9.3, 9]]), found({ bytes: 1024 }, [[10, 10.1, 9]]))
  const lines = barLines(results).split('\n')
  t.true(lines.includes('  - GET 3 B, pipeline 16: 0.93 (bar 1.00): met'))
  t.true(lines.includes('  - GET 1,024 B, pipeline 16: 1.01 (bar 1.00): missed'))
})

test('cases have lines of their own for Node 24, or else for the first Node', (t) => {
  const base = resultsOf(found({}, [[10, 9, 9]]))
  const figures = base.cases[0]!.rounds[0]!
  const other = {
    name: 'ringtier 1 thread, Node 22',
    kind: 'ringtier',
    threads: 1,
    node: 22,
  } as const
  const contestants = [other, ...base.contestants]
  const cases = [{ ...base.cases[0]!, rounds: [{ ...figures, [other.name]: figures[TWO]! }] }]
  const casesOf = (results: Results): number => barLines(results).match(/^ {2}- /gm)?.length ?? 0
  t.is(casesOf({ ...base, contestants, cases }), casesOf(base))
  t.is(casesOf({ ...base, contestants: [other], cases }), 1)
})

test('two threads have bars to one thread and to redis-server', (t) => {
  const results = resultsOf(found({}, [[10, 5, 6]]), found({ bytes: 100 }, [[14, 10, 10]]))
  t.regex(bar(results, /pipeline 16, CPU per request to ringtier 1/), /: 1\.20 .*: missed$/)
  t.regex(bar(results, /pipeline 16, requests/), /: 1\.40 \(GET 100 B; best 1\.67.*: met$/)
})

test('each begins once before one begins again, and each is last as often', (t) => {
  const orders = Array.from({ length: 6 }, (_, turn) => inTurn(['a', 'b', 'c'], turn).join(''))
  t.deepEqual(orders, ['abc', 'bca', 'cab', 'cba', 'acb', 'bac'])
})
