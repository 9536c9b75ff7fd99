/*
 * Transcripts: the same commands put to ringtier and to a real redis-server, and the replies compared
 * byte for byte. redis-server is the oracle, so a table holds no expected replies, only commands:
 *
 *     transcripts({
 *       'SETNX leaves what is there': ['SETNX k a', 'SETNX k b', 'GET k'],
 *     })
 *
 * How a line is written, and what it may say about where the two differ, is told in line.ts.
 *
 * Every transcript begins on fresh connections with an empty database, and is run twice: in RESP2
 * with each command sent after the reply to the one before, and in RESP3 with all of them in one
 * write, or where there are several connections, of each with all that it sends before another does.
 */
import test, { type ExecutionContext } from 'ava'
import { available, type RunningServer, startRedis, startRingtier } from '../process.ts'
import { differencesOf, shown } from './difference.ts'
import { type Line, parseLine } from './line.ts'
import { type Played, Player, type Step } from './player.ts'

/** Commands by the fact that they show. */
export type Transcripts = Readonly<Record<string, readonly string[]>>

export interface TranscriptOptions {
  /** Arguments for ringtier and for redis-server besides port and bind address. */
  readonly ringtier?: readonly string[]
  readonly redis?: readonly string[]
}

/** Declares one test for each transcript of the file; called once a file. */
export function transcripts(table: Transcripts, options: TranscriptOptions = {}): void {
  if (!available('redis-server')) {
    for (const title of Object.keys(table)) test.skip(title, (t) => t.pass())
    test('transcripts are skipped', (t) => {
      t.log('redis-server is not installed, so there is nothing to compare replies with')
      t.pass()
    })
    return
  }
  const servers: RunningServer[] = []
  test.before(async () => {
    servers.push(await startRingtier({ args: options.ringtier ?? [] }))
    servers.push(await startRedis({ args: options.redis ?? [] }))
  })
  test.after.always(async () => {
    await Promise.all(servers.map((server) => server.stop()))
  })
  for (const [title, texts] of Object.entries(table)) {
    test.serial(title, async (t) => {
      const lines = texts.map(parseLine)
      const [ours, theirs] = servers.map((server) => server.port) as [number, number]
      const alone = lines.map((line): Step => ({ lines: [line], cuts: [] }))
      await compare(t, { ours, theirs, protocol: 2, steps: alone })
      await compare(t, { ours, theirs, protocol: 3, steps: together(lines) })
    })
  }
}

/** Lines that follow each other on one connection, in one write. */
function together(lines: readonly Line[]): Step[] {
  const steps: { lines: Line[]; cuts: [] }[] = []
  for (const line of lines) {
    const last = steps.at(-1)
    if (last?.lines[0]?.connection === line.connection) last.lines.push(line)
    else steps.push({ lines: [line], cuts: [] })
  }
  return steps
}

interface Comparison {
  /** Ports. */
  readonly ours: number
  readonly theirs: number
  readonly protocol: 2 | 3
  readonly steps: readonly Step[]
}

async function compare(t: ExecutionContext, comparison: Comparison): Promise<void> {
  const { ours, theirs, protocol, steps } = comparison
  const played = await Promise.all([play(ours, protocol, steps), play(theirs, protocol, steps)])
  const differing = differencesOf(steps, ...played).map(
    ({ line, our, their }) =>
      `RESP${protocol} ${shown(line)}\n  ringtier ${shown(our)}\n  redis    ${shown(their)}`,
  )
  t.is(differing.join('\n'), '')
}

async function play(port: number, protocol: 2 | 3, steps: readonly Step[]): Promise<Played> {
  const player = new Player(port)
  try {
    const connections = new Set(['a', ...steps.flatMap(({ lines }) => lines[0]?.connection ?? [])])
    const first: Step[] = [{ lines: [parseLine('FLUSHALL')], cuts: [] }]
    for (const connection of protocol === 3 ? connections : []) {
      first.push({ lines: [parseLine(`${connection}: HELLO 3`)], cuts: [] })
    }
    await player.play(first)
    return await player.play(steps)
  } finally {
    await player.end()
  }
}
