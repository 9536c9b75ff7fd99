import test from 'ava'
import { elementsOf } from '../elements-of.ts'
import { chart } from './chart.ts'
import type { Figures } from './load.ts'
import type { Results } from './report.ts'
import type { Command } from './requests.ts'

/** Of a contestant's CPU per request, by pipeline; redis-server's is 10. */
const MICROS: Readonly<Record<string, (pipeline: number) => number>> = {
  'redis-server': () => 10,
  'ringtier <1> & "co"': (pipeline) => 13 - pipeline / 10,
  memcached: (pipeline) => 10 + pipeline,
}

function resultsOf(pipelines: readonly number[], connections = 50, keys = 10_000): Results {
  const commands: readonly Command[] = ['get', 'set']
  const cases = pipelines.flatMap((pipeline) =>
    commands.map((command) => ({
      case: { command, bytes: 1024, pipeline, connections, keys },
      rounds: [0.9, 1, 1.2].map((noise) =>
        Object.fromEntries(
          Object.entries(MICROS).map(([name, micros]) => {
            const microsPerRequest = micros(pipeline) * (name === 'redis-server' ? 1 : noise)
            return [name, { microsPerRequest } as Figures]
          }),
        ),
      ),
    })),
  )
  const contestants = Object.keys(MICROS).map((name) => ({ name, kind: 'memcached' as const }))
  return { head: [], contestants, cases }
}

test('a chart is well-formed, whatever the names are', (t) => {
  for (const pipelines of [[], [16], [1, 16, 100]]) {
    const xml = chart(resultsOf(pipelines))
    t.is(elementsOf(xml)[0], 'svg')
    t.true(xml.includes('>ringtier &lt;1&gt; &amp; "co"</text>'))
    t.notRegex(xml, /NaN|Infinity|undefined/)
  }
})

test('each pipeline has a panel with the line at 1, and each case a mark for all but redis-server', (t) => {
  const xml = chart(resultsOf([1, 16]))
  t.deepEqual(
    [...xml.matchAll(/>Pipeline (\d+)</g)].map(([, pipeline]) => pipeline),
    ['1', '16'],
  )
  t.is(xml.split('class="one"').length - 1, 2 + 1) // and the legend's
  t.is(xml.split('<circle').length - 1, 4 + 1)
  t.is(xml.split('stroke-opacity').length - 1, 8)
})

test('a mark is above the line where more CPU is taken, and below where less is', (t) => {
  const heights = (xml: string): number[] =>
    [...xml.matchAll(/<circle cx="[\d.]+" cy="([\d.]+)"/g)].slice(1).map(([, y]) => Number(y))
  const lineAt = (xml: string): number =>
    Number(/<path d="M56 ([\d.]+)L[\d. ]+" class="one"/.exec(xml)?.[1])
  const dear = chart(resultsOf([1]))
  t.true(heights(dear).every((y) => y < lineAt(dear)))
  const cheap = chart(resultsOf([100]))
  t.true(heights(cheap).every((y) => y > lineAt(cheap)))
  const even = chart(resultsOf([30]))
  t.true(heights(even).every((y) => y === lineAt(even)))
})

test('other numbers of connections and of keys are not drawn', (t) => {
  t.false(chart(resultsOf([1], 1000)).includes('Pipeline'))
  t.false(chart(resultsOf([1], 50, 1_000_000)).includes('Pipeline'))
})
