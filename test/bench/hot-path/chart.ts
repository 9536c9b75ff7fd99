/*
 * The chart: CPU time per request relative to redis-server, as SVG.
 *
 *     pipeline 1    GET          SET          mixed
 *       1.4 |
 *       1.0 |--o-x--o-x---------------------------------  redis-server
 *       0.7 |
 *              3 100 1K 16K  3 100 1K 16K  ...            bytes of a value
 *
 * A panel for each pipeline, one below the other, all with the same scale; in it a group for each
 * command, in that a place for each size, and there a mark for each contestant: the median of the
 * rounds, on a stroke from the lowest to the highest. The scale is logarithmic, because 2 is as far
 * from 1 as 0.5 is. Marks differ in form and in colour.
 */
import { COLORS, MARGIN, WIDTH, fixed, line, svg, text } from '../svg.ts'
import { BASELINE, type Contestant } from './contenders.ts'
import { BAR_CONNECTIONS, ratioOf, type Ratio, type Results } from './report.ts'
import { COMMANDS, KEYS, type Command } from './requests.ts'
import type { CaseRounds } from './rounds.ts'

const AXIS_WIDTH = 40
const LEGEND_TOP = 46
const LEGEND_ROW_HEIGHT = 20
const PANEL_TITLE_HEIGHT = 26
const PLOT_HEIGHT = 170
const PANEL_FOOT_HEIGHT = 46
const FOOT_HEIGHT = 24
const GROUP_GAP = 24
const MARK_RADIUS = 4.5
/** Between the marks of one place. */
const MARK_STEP = 13
const LEGEND_STEP = 212
const LEGEND_COLUMNS = 4

/** Of these the ones within the scale are drawn. */
const TICKS = [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.4, 2, 3, 5, 7, 10, 20, 50]
/** The scale has at least these. */
const LOWEST = 0.5
const HIGHEST = 1.4

const FORMS = ['circle', 'diamond', 'square'] as const

/** The ratios at the foot and at the top of a plot. */
interface Scale {
  readonly lowest: number
  readonly highest: number
}

/**
 * A whole document. Cases of 50 connections and 10,000 keys are drawn; without any it has a legend
 * and no panel.
 */
export function chart(results: Results): string {
  const drawn = results.cases.filter(
    ({ case: one }) => one.connections === BAR_CONNECTIONS && one.keys === KEYS,
  )
  const rivals = results.contestants.filter(({ name }) => name !== BASELINE)
  const pipelines = distinct(drawn.map(({ case: one }) => one.pipeline))
  const scale = scaleOf(drawn, rivals)
  const panelHeight = PANEL_TITLE_HEIGHT + PLOT_HEIGHT + PANEL_FOOT_HEIGHT
  const legendRows = Math.ceil((rivals.length + 1) / LEGEND_COLUMNS)
  const legendHeight = LEGEND_TOP + LEGEND_ROW_HEIGHT * legendRows
  const height = legendHeight + pipelines.length * panelHeight + FOOT_HEIGHT
  return svg({
    height,
    title: `CPU time per request, relative to ${BASELINE}`,
    description: description(drawn, rivals),
    lines: [
      ...legend(rivals),
      ...pipelines.flatMap((pipeline, i) => {
        const cases = drawn.filter(({ case: one }) => one.pipeline === pipeline)
        return panel(pipeline, cases, rivals, scale, legendHeight + i * panelHeight)
      }),
      text(
        MARGIN,
        height - 8,
        `${BAR_CONNECTIONS} connections; medians of the rounds, strokes from the lowest to the highest; below the line is cheaper`,
        'faint',
      ),
    ],
  })
}

/** For those who cannot see it: each contestant's range. */
function description(drawn: readonly CaseRounds[], rivals: readonly Contestant[]): string {
  if (drawn.length === 0) return 'nothing was measured'
  return rivals
    .map(({ name }) => {
      const medians = drawn.map((found) => cost(found, name).median)
      const [from, to] = [Math.min(...medians), Math.max(...medians)]
      return `${name}: ${from.toFixed(2)} to ${to.toFixed(2)}.`
    })
    .join(' ')
}

function cost(found: CaseRounds, name: string): Ratio {
  return ratioOf(found, 'microsPerRequest', name, BASELINE)
}

function scaleOf(drawn: readonly CaseRounds[], rivals: readonly Contestant[]): Scale {
  const ratios = drawn.flatMap((found) => rivals.map(({ name }) => cost(found, name)))
  return {
    lowest: Math.min(LOWEST, ...ratios.map(({ lowest }) => lowest)) / 1.05,
    highest: Math.max(HIGHEST, ...ratios.map(({ highest }) => highest)) * 1.05,
  }
}

/** How far below the top of the plot. */
function offsetOf(ratio: number, { lowest, highest }: Scale): number {
  return (PLOT_HEIGHT * Math.log(highest / ratio)) / Math.log(highest / lowest)
}

function legend(rivals: readonly Contestant[]): string[] {
  const names = [...rivals.map(({ name }) => name), BASELINE]
  return names.flatMap((name, i) => {
    const x = MARGIN + (i % LEGEND_COLUMNS) * LEGEND_STEP
    const y = LEGEND_TOP + LEGEND_ROW_HEIGHT * Math.floor(i / LEGEND_COLUMNS)
    const sign =
      name === BASELINE ? line(x - 2, y - 4, x + 11, y - 4, 'one') : mark(x + 5, y - 4, i)
    return [sign, text(x + 16, y, name)]
  })
}

function panel(
  pipeline: number,
  cases: readonly CaseRounds[],
  rivals: readonly Contestant[],
  scale: Scale,
  top: number,
): string[] {
  const plotTop = top + PANEL_TITLE_HEIGHT
  const left = MARGIN + AXIS_WIDTH
  const right = WIDTH - MARGIN
  const lines = [text(MARGIN, top + 16, `Pipeline ${pipeline}`, 'title')]
  for (const tick of TICKS) {
    if (tick < scale.lowest || tick > scale.highest) continue
    const y = plotTop + offsetOf(tick, scale)
    lines.push(line(left, y, right, y, tick === 1 ? 'one' : 'grid'))
    lines.push(text(left - 8, y + 4, String(tick), 'faint', 'end'))
  }
  const commands = COMMANDS.filter((command) =>
    cases.some(({ case: one }) => one.command === command),
  )
  const groupWidth = (right - left - GROUP_GAP * (commands.length - 1)) / commands.length
  for (const [i, command] of commands.entries()) {
    const found = cases.filter(({ case: one }) => one.command === command)
    const x = left + i * (groupWidth + GROUP_GAP)
    const foot = plotTop + PLOT_HEIGHT
    lines.push(text(x + groupWidth / 2, foot + 32, labelOf(command), '', 'middle'))
    for (const [place, one] of found.entries()) {
      const middle = x + ((place + 0.5) * groupWidth) / found.length
      lines.push(
        text(middle, foot + 15, `${one.case.bytes.toLocaleString('en-US')} B`, 'faint', 'middle'),
      )
      for (const [k, { name }] of rivals.entries()) {
        const markX = middle + (k - (rivals.length - 1) / 2) * MARK_STEP
        lines.push(...stroke(markX, plotTop, cost(one, name), scale, k))
      }
    }
  }
  return lines
}

function labelOf(command: Command): string {
  return command === 'mixed' ? 'mixed: 90 % GET, 10 % SET' : command.toUpperCase()
}

function stroke(x: number, top: number, ratio: Ratio, scale: Scale, number: number): string[] {
  const [from, to] = [ratio.lowest, ratio.highest].map((end) => fixed(top + offsetOf(end, scale)))
  const color = COLORS[number % COLORS.length]!
  return [
    `  <path d="M${fixed(x)} ${from}V${to}" stroke="${color}" stroke-width="2" stroke-opacity="0.5"/>`,
    mark(x, top + offsetOf(ratio.median, scale), number),
  ]
}

function mark(x: number, y: number, number: number): string {
  const fill = `fill="${COLORS[number % COLORS.length]!}"`
  const r = MARK_RADIUS
  switch (FORMS[number % FORMS.length]!) {
    case 'circle':
      return `  <circle cx="${fixed(x)}" cy="${fixed(y)}" r="${r}" ${fill}/>`
    case 'diamond':
      return `  <path d="M${fixed(x)} ${fixed(y - r - 1)}l${r + 1} ${r + 1}l${-r - 1} ${r + 1}l${-r - 1} ${-r - 1}z" ${fill}/>`
    case 'square':
      return `  <path d="M${fixed(x - r)} ${fixed(y - r)}h${2 * r}v${2 * r}h${-2 * r}z" ${fill}/>`
  }
}

function distinct(numbers: readonly number[]): number[] {
  return [...new Set(numbers)]
}
