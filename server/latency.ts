/**
 * LATENCY: when something took `latency-monitor-threshold` milliseconds or more, by kinds of events,
 * with the last 160 seconds in which it did. What is watched here:
 *
 *     command         a command, by the time it ran
 *     fast-command    one that is flagged fast
 *     expire-cycle    a slice of the sweep for expired keys
 *     eviction-cycle  a slice of the eviction after maxmemory was lowered
 *
 * Redis: latency.c, https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/
 */

export type LatencyEvent = 'command' | 'fast-command' | 'expire-cycle' | 'eviction-cycle'

/** Seconds that are kept of each event. */
export const samplesMax = 160

/** The worst of an event within one second. */
export interface LatencySample {
  /** Seconds since 1970. */
  readonly seconds: number
  /** Milliseconds. */
  readonly latency: number
}

export interface LatencyHistory {
  readonly event: string
  /** Oldest first, at least one. */
  readonly samples: readonly LatencySample[]
  /** The longest since the start or the last reset. */
  readonly worst: number
}

interface Series {
  readonly event: string
  samples: LatencySample[]
  worst: number
}

export class LatencyMonitor {
  readonly #series = new Map<string, Series>()
  readonly #threshold: () => number

  /** `threshold`: milliseconds, 0 watches nothing; read at each event. */
  constructor(threshold: () => number) {
    this.#threshold = threshold
  }

  get enabled(): boolean {
    return this.#threshold() > 0
  }

  /** Something took so many microseconds: it is noted if that is long. */
  watch(event: LatencyEvent, micros: number, seconds: number): void {
    const threshold = this.#threshold()
    const latency = Math.floor(micros / 1000)
    if (threshold > 0 && latency >= threshold) this.add(event, latency, seconds)
  }

  /** Notes an event of so many milliseconds. */
  add(event: LatencyEvent, latency: number, seconds: number): void {
    let series = this.#series.get(event)
    if (series === undefined) {
      series = { event, samples: [], worst: 0 }
      this.#series.set(event, series)
    }
    series.worst = Math.max(series.worst, latency)
    const last = series.samples.at(-1)
    if (last?.seconds === seconds) {
      if (latency <= last.latency) return
      series.samples.pop()
    }
    series.samples.push({ seconds, latency })
    if (series.samples.length > samplesMax) series.samples.shift()
  }

  /** All events that were noted, in the order of their first time. */
  histories(): readonly LatencyHistory[] {
    return [...this.#series.values()]
  }

  history(event: string): LatencyHistory | null {
    return this.#series.get(event) ?? null
  }

  /** Forgets the events, all when none is named; returns how many of them there were. */
  reset(events: readonly string[]): number {
    const names = events.length === 0 ? [...this.#series.keys()] : events
    return names.filter((name) => this.#series.delete(name)).length
  }
}

/* ---- LATENCY GRAPH ---- */

const graphColumns = 80
const graphRows = 4
/** From the bottom of a row to its top. */
const levels = '_o#'

/** An event's samples as columns, and below each how long ago it was, written downwards. As in Redis. */
export function graphOf({ event, samples, worst }: LatencyHistory, nowSeconds: number): string {
  const latencies = samples.map(({ latency }) => latency)
  const [high, low] = [Math.max(...latencies), Math.min(...latencies)]
  const columns = samples.map(({ seconds, latency }) => {
    const level = Math.trunc(((latency - low) * levels.length * graphRows) / (high - low || 1))
    return columnOf(Math.min(level, levels.length * graphRows - 1), ago(nowSeconds - seconds))
  })
  const pages: string[] = []
  for (let from = 0; from < columns.length; from += graphColumns) {
    pages.push(page(columns.slice(from, from + graphColumns)))
  }
  const head = `${event} - high ${high} ms, low ${low} ms (all time high ${worst} ms)`
  return `${head}\n${'-'.repeat(graphColumns)}\n${pages.join('\n')}`
}

/** A column from top to bottom: the bar, an empty row, the label. */
function columnOf(level: number, label: string): string {
  let bar = ''
  for (let row = graphRows - 1; row >= 0; row--) {
    const inRow = level - row * levels.length
    bar += inRow < 0 ? ' ' : (levels[inRow] ?? '|')
  }
  return `${bar} ${label}`
}

function page(columns: readonly string[]): string {
  const height = Math.max(...columns.map((column) => column.length))
  let text = ''
  for (let row = 0; row < height; row++) {
    text += `${columns.map((column) => column[row] ?? ' ').join('')}\n`
  }
  return text
}

function ago(seconds: number): string {
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

/* ---- LATENCY DOCTOR ---- */

const advice: Readonly<Record<LatencyEvent, string>> = {
  command:
    'SLOWLOG GET tells which commands were slow. Commands over many keys or long values take their time: ask for less at once, SCAN instead of KEYS.',
  'fast-command':
    'Fast commands are slow only when the process does not run: the machine may be busy, swap, or be a throttled virtual one; or JavaScript collected garbage.',
  'expire-cycle':
    'Many keys expire at the same time: spread their expiry. active-expire-effort says how much is done about them.',
  'eviction-cycle': 'maxmemory was lowered by much: lower it in steps.',
}

/** What was slow, how often, and what can be done, in sentences. */
export function diagnoseLatency(monitor: LatencyMonitor, nowSeconds: number): string {
  if (!monitor.enabled) {
    return 'Nothing is watched: CONFIG SET latency-monitor-threshold <milliseconds> begins to.\n'
  }
  const histories = monitor.histories()
  if (histories.length === 0) return 'Nothing took as long as latency-monitor-threshold.\n'
  return histories
    .map(({ event, samples, worst }) => {
      const mean = samples.reduce((sum, { latency }) => sum + latency, 0) / samples.length
      const last = ago(nowSeconds - samples.at(-1)!.seconds)
      const figures = `in ${samples.length} of the last seconds, ${mean.toFixed(0)} ms on average, ${worst} ms at worst, last ${last} ago`
      return `${event}: ${figures}.\n    ${advice[event as LatencyEvent]}\n`
    })
    .join('')
}
