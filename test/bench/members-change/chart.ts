/*
 * The chart: hits and loads over time, while the members of a cluster change.
 *
 *     100 % |-----------.------.-----      hit ratio of each slice, a line
 *      90 % |           |      |
 *       0   |__________.|_____.|._____     loads at the origin, a bar for each slice
 *            0 s      node 4  node 3
 *                     joins   leaves
 */
import { COLORS, MARGIN, WIDTH, fixed, line, svg, text } from '../svg.ts'
import { hitRatioOf, type Seconds } from './seconds.ts'

const AXIS_WIDTH = 44
const TOP = 62
const PLOT_HEIGHT = 150
const GAP = 40
const FOOT_HEIGHT = 34
const TICK_S = 10

export function chart(seconds: Seconds, description: string): string {
  const { slices, sliceMs, happenings } = seconds
  const left = MARGIN + AXIS_WIDTH
  const right = WIDTH - MARGIN
  const totalMs = slices.length * sliceMs
  const xOf = (ms: number): number => left + ((right - left) * ms) / totalMs
  const ratios = slices.map((slice) => hitRatioOf([slice]))
  const lowest = Math.min(90, ...ratios.filter((ratio) => !Number.isNaN(ratio)))
  const floor = Math.floor(lowest / 10) * 10
  const yOf = (ratio: number): number => TOP + (PLOT_HEIGHT * (100 - ratio)) / (100 - floor)
  const loadsTop = TOP + PLOT_HEIGHT + GAP
  const loadsFoot = loadsTop + PLOT_HEIGHT
  const perSecond = slices.map(({ loads }) => (loads * 1000) / sliceMs)
  const most = Math.max(10, ...perSecond)
  const lines = [text(MARGIN, TOP - 18, 'Hits, % of all GETs', 'faint')]
  for (let ratio = floor; ratio <= 100; ratio += (100 - floor) / 5) {
    lines.push(line(left, yOf(ratio), right, yOf(ratio), ratio === 100 ? 'one' : 'grid'))
    lines.push(text(left - 8, yOf(ratio) + 4, String(Math.round(ratio)), 'faint', 'end'))
  }
  lines.push(text(MARGIN, loadsTop - 12, 'Loads at the origin, a second', 'faint'))
  for (const share of [0, 0.5, 1]) {
    const y = loadsFoot - PLOT_HEIGHT * share
    lines.push(line(left, y, right, y, share === 0 ? 'one' : 'grid'))
    lines.push(text(left - 8, y + 4, String(Math.round(most * share)), 'faint', 'end'))
  }
  for (let second = 0; second * 1000 <= totalMs; second += TICK_S) {
    lines.push(text(xOf(second * 1000), loadsFoot + 18, `${second} s`, 'faint', 'middle'))
  }
  for (const { label, ms } of happenings) {
    lines.push(line(xOf(ms), TOP - 8, xOf(ms), loadsFoot, 'grid'))
    lines.push(text(xOf(ms) + 4, TOP + PLOT_HEIGHT + 16, label))
  }
  const width = (right - left) / slices.length
  for (const [i, count] of perSecond.entries()) {
    if (count === 0) continue
    const height = (PLOT_HEIGHT * count) / most
    lines.push(
      `  <path d="M${fixed(left + i * width)} ${fixed(loadsFoot)}v${fixed(-height)}h${fixed(width * 0.8)}v${fixed(height)}z" fill="${COLORS[1]!}"/>`,
    )
  }
  const points = ratios.flatMap((ratio, i) =>
    Number.isNaN(ratio) ? [] : [`${fixed(left + (i + 0.5) * width)} ${fixed(yOf(ratio))}`],
  )
  lines.push(
    `  <path d="M${points.join('L')}" fill="none" stroke="${COLORS[0]!}" stroke-width="2"/>`,
  )
  for (const [i, { errors, wrong }] of slices.entries()) {
    if (errors + wrong === 0) continue
    lines.push(
      `  <circle cx="${fixed(left + (i + 0.5) * width)}" cy="${fixed(yOf(floor) - 6)}" r="4" fill="${COLORS[4]!}"/>`,
    )
  }
  return svg({
    height: loadsFoot + FOOT_HEIGHT,
    title: 'A node joins, one leaves, one is killed',
    description,
    lines,
  })
}
