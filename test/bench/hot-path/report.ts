/*
 * From figures to Markdown. A ratio is taken within its round, between two servers that ran the same
 * case one after the other; what is told is the median of the rounds' ratios, with the lowest and
 * the highest.
 */
import { table } from '../table.ts'
import { BASELINE, type Contestant } from './contenders.ts'
import type { Figures } from './load.ts'
import { KEYS, type Case } from './requests.ts'
import type { CaseRounds } from './rounds.ts'

/** Everything a report is made of; it survives JSON. */
export interface Results {
  /** What was measured on what, a line each. */
  readonly head: readonly string[]
  readonly contestants: readonly Contestant[]
  readonly cases: readonly CaseRounds[]
}

export type Measure = 'microsPerRequest' | 'requestsPerSecond' | 'p50' | 'p99' | 'p999'

export interface Ratio {
  readonly median: number
  readonly lowest: number
  readonly highest: number
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Of one server to another, by their names. */
export function ratioOf(found: CaseRounds, measure: Measure, name: string, to: string): Ratio {
  const ratios = found.rounds.map((round) => round[name]![measure] / round[to]![measure])
  return {
    median: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
  }
}

/** The whole report. */
export function report(results: Results): string {
  const titled = [
    ['CPU time per request', table(...ratioTable(results, 'microsPerRequest', 'us', 2))],
    ['Requests/s', table(...ratioTable(results, 'requestsPerSecond', '/s', 0))],
    ['Microseconds a batch: p50 / p99 / p99.9', table(...latencyTable(results))],
  ]
  return [
    results.head.map((line) => `> ${line}`).join('\n>\n'),
    barLines(results),
    ...titled.map(([title, text]) => `**${title}**\n\n${text}`),
    generatorLine(results),
  ].join('\n\n')
}

const CASE_HEADER = ['', 'bytes', 'pipeline', 'connections', 'keys']

function caseCells({ command, bytes, pipeline, connections, keys }: Case): string[] {
  return [
    command === 'mixed' ? command : command.toUpperCase(),
    ...[bytes, pipeline, connections, keys].map(String),
  ]
}

function rivalsOf({ contestants }: Results): Contestant[] {
  return contestants.filter(({ name }) => name !== BASELINE)
}

type Cells = [header: string[], rows: string[][]]

function ratioTable(results: Results, measure: Measure, unit: string, digits: number): Cells {
  const rivals = rivalsOf(results)
  const header = [...CASE_HEADER, `${BASELINE}, ${unit}`]
  for (const { name } of rivals) header.push(name, 'lowest-highest')
  const rows = results.cases.map((found) => {
    const cells = caseCells(found.case)
    cells.push(medianOf(found, measure, BASELINE).toFixed(digits))
    for (const { name } of rivals) {
      const { median, lowest, highest } = ratioOf(found, measure, name, BASELINE)
      cells.push(median.toFixed(2), `${lowest.toFixed(2)}-${highest.toFixed(2)}`)
    }
    return cells
  })
  return [header, rows]
}

const PERCENTILES = ['p50', 'p99', 'p999'] as const

function latencyTable(results: Results): Cells {
  const rivals = rivalsOf(results)
  const rows = results.cases.map((found) => [
    ...caseCells(found.case),
    PERCENTILES.map((measure) => medianOf(found, measure, BASELINE).toFixed(0)).join(' / '),
    ...rivals.map(({ name }) =>
      PERCENTILES.map((measure) => ratioOf(found, measure, name, BASELINE).median.toFixed(2)).join(
        ' / ',
      ),
    ),
  ])
  return [[...CASE_HEADER, `${BASELINE}, us`, ...rivals.map(({ name }) => name)], rows]
}

function medianOf(found: CaseRounds, measure: keyof Figures, name: string): number {
  return median(found.rounds.map((round) => round[name]![measure]))
}

/** What the generator itself cost: where it is much, requests/s are its own. */
function generatorLine(results: Results): string {
  const pipelines = [...new Set(results.cases.map(({ case: one }) => one.pipeline))]
  const costs = pipelines.map((pipeline) => {
    const found = results.cases.filter(({ case: one }) => one.pipeline === pipeline)
    const micros = median(found.map((one) => medianOf(one, 'generatorMicrosPerRequest', BASELINE)))
    return `${micros.toFixed(2)} at a pipeline of ${pipeline}`
  })
  return `CPU us a request of the generator, with ${BASELINE}: ${costs.join(', ')}.`
}

/** The bars that ringtier is held to: GET and SET of 3, 100 and 1,024 bytes at 50 connections. */
const BAR_COMMANDS: readonly string[] = ['get', 'set']
const BAR_BYTES: readonly number[] = [3, 100, 1024]
export const BAR_CONNECTIONS = 50

interface Bar {
  readonly pipeline: number
  readonly measure: Measure
  /** Its ratio is at most this; of requests/s, at least. */
  readonly bar: number
  readonly aim?: number
}

/** CPU of one thread, to redis-server. */
const ONE_THREAD: readonly Bar[] = [
  { pipeline: 1, measure: 'microsPerRequest', bar: 1.4, aim: 1.2 },
  { pipeline: 16, measure: 'microsPerRequest', bar: 1, aim: 0.7 },
  { pipeline: 100, measure: 'microsPerRequest', bar: 0.75, aim: 0.5 },
]
/** CPU of two threads, to one. */
const TWO_TO_ONE: readonly Bar[] = [
  { pipeline: 1, measure: 'microsPerRequest', bar: 1.4 },
  { pipeline: 16, measure: 'microsPerRequest', bar: 1.15 },
  { pipeline: 100, measure: 'microsPerRequest', bar: 1.15 },
]
/** Two threads, to redis-server. */
const TWO_THREADS: readonly Bar[] = [
  { pipeline: 16, measure: 'requestsPerSecond', bar: 1.3 },
  { pipeline: 100, measure: 'requestsPerSecond', bar: 1.3 },
]

/** The Node that the bars are for: of this one, each case has a line too. */
const BAR_NODE = 24

/** Each bar in a line, of each Node: the worst of its cases decides. */
export function barLines(results: Results): string {
  const { contestants } = results
  const ones = contestants.filter(({ threads }) => threads === 1)
  const barNode = ones.find(({ node }) => node === BAR_NODE) ?? ones[0]
  const lines: string[] = []
  for (const one of ones) {
    const add = (bars: readonly Bar[], name: string, to: string): void => {
      for (const bar of bars) lines.push(...barLine(results, bar, { name, to }, one === barNode))
    }
    add(ONE_THREAD, one.name, BASELINE)
    const two = contestants.find(({ threads, node }) => threads === 2 && node === one.node)
    if (two === undefined) continue
    add(TWO_TO_ONE, two.name, one.name)
    add(TWO_THREADS, two.name, BASELINE)
  }
  return lines.join('\n')
}

/** A line about the bar, and where they are asked for one about each case. */
function barLine(
  results: Results,
  { pipeline, measure, bar, aim }: Bar,
  { name, to }: { readonly name: string; readonly to: string },
  withCases: boolean,
): string[] {
  const isCost = measure === 'microsPerRequest'
  const what = `- ${name}, pipeline ${pipeline}, ${isCost ? 'CPU per request' : 'requests/s'} to ${to}`
  const cases = results.cases.filter(({ case: one }) => one.pipeline === pipeline && hasBar(one))
  if (cases.length === 0) return [`${what}: not measured`]
  const ratios = cases.map((found) => ratioOf(found, measure, name, to).median)
  const worst = isCost ? Math.max(...ratios) : Math.min(...ratios)
  const best = isCost ? Math.min(...ratios) : Math.max(...ratios)
  const verdictOf = (ratio: number): string =>
    (isCost ? ratio <= bar : ratio >= bar) ? 'met' : 'missed'
  const worstCase = nameOf(cases[ratios.indexOf(worst)]!.case)
  const target = `bar ${bar.toFixed(2)}${aim === undefined ? '' : `, aim ${aim.toFixed(2)}`}`
  const all = BAR_COMMANDS.length * BAR_BYTES.length
  const of = cases.length < all ? `, ${cases.length} of ${all} cases` : ''
  const line =
    `${what}: ${worst.toFixed(2)} (${worstCase}; best ${best.toFixed(2)}${of}; ${target}): ` +
    verdictOf(worst)
  if (!withCases) return [line]
  const lines = cases.map(({ case: one }, i) => {
    const ratio = ratios[i]!
    const verdict = `${ratio.toFixed(2)} (bar ${bar.toFixed(2)}): ${verdictOf(ratio)}`
    return `  - ${nameOf(one)}, pipeline ${pipeline}: ${verdict}`
  })
  return [line, ...lines]
}

function hasBar({ command, bytes, connections, keys }: Case): boolean {
  const isUsual = connections === BAR_CONNECTIONS && keys === KEYS
  return isUsual && BAR_COMMANDS.includes(command) && BAR_BYTES.includes(bytes)
}

/** 'GET 100 B' */
export function nameOf({ command, bytes }: Pick<Case, 'command' | 'bytes'>): string {
  const name = command === 'mixed' ? command : command.toUpperCase()
  return `${name} ${bytes.toLocaleString('en-US')} B`
}
