/*
 * The claim: a GET that is forwarded to another node costs both nodes together at most three times the CPU
 * of a hit on the node that is asked, at a concurrency of 64.
 *
 * Two nodes of one thread each. Connections with one GET under way each ask the first node: once for keys
 * of its own, once for keys of the other one. All keys are there, replies are checked for their length and
 * beginning. What is told is the CPU of both processes, by the scheduler's own count, so the generator and
 * whatever else runs on the machine change little. Many keys, asked for in turn: equal GETs of the same
 * moment would share a forward.
 *
 * With --before both builds take turns within each round, and so do nodes with and without TLS with --tls.
 */
import { parseArgs } from 'node:util'
import { tlsArguments } from '../certificates.ts'
import { freePort, startRingtier, type RunningServer } from '../process.ts'
import { type Asked, ask, keysByOwner, setAll } from './forward/ask.ts'
import { cpuMicros, describeMachine, nodeVersion } from './machine.ts'
import { table } from './table.ts'
import { median } from './wait/measure.ts'

const HELP = `node dist/test/bench/forward.js [options]
  --connections N,N  each with one GET under way (64)
  --bytes N          of a value (100)
  --seconds N        of each case in each round (3)
  --rounds N         the table has the medians (5)
  --tls              also two nodes with TLS between them; clients speak none
  --before PATH      another build's server/main.js, to compare with
  --node PATH        run ringtier on this Node`

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '64' },
    bytes: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
    tls: { type: 'boolean', default: false },
    before: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    help: { type: 'boolean', default: false },
  },
})

const KEYS = 20_000
const WARM_UP_MS = 1500

/** Two nodes of one build. */
interface Build {
  readonly name: string
  readonly nodes: readonly RunningServer[]
  readonly own: readonly string[]
  readonly foreign: readonly string[]
}

interface Run {
  readonly perSecond: number
  readonly ownMicros: number
  readonly otherMicros: number
}

async function startBuild(
  name: string,
  { program, args = [] }: { program?: string; args?: readonly string[] } = {},
): Promise<Build> {
  const ports = [await freePort(), await freePort()]
  const peers = ports.map((port) => `127.0.0.1:${port}`).join(',')
  const nodes = await Promise.all(
    ports.map((port) =>
      startRingtier({
        ...{ port, node: values.node },
        ...(program === undefined ? {} : { program }),
        args: [
          ...['--cluster-self', `127.0.0.1:${port}`, '--cluster-peers', peers, '--save', ''],
          ...['--threads', '1', '--maxmemory', '256mb', ...args],
        ],
      }),
    ),
  )
  const [own = [], foreign = []] = await keysByOwner(ports, KEYS)
  await setAll(ports[0]!, [...own, ...foreign], Number(values.bytes))
  return { name, nodes, own, foreign }
}

async function runOnce({ nodes }: Build, keys: readonly string[], connections: number, ms: number) {
  const [asked, other] = nodes as [RunningServer, RunningServer]
  const before = [cpuMicros(asked.pid), cpuMicros(other.pid)] as const
  const { requests, elapsedMs }: Asked = await ask({
    ...{ port: asked.port, keys, connections, ms, bytes: Number(values.bytes) },
  })
  return {
    perSecond: (requests * 1000) / elapsedMs,
    ownMicros: (cpuMicros(asked.pid) - before[0]) / requests,
    otherMicros: (cpuMicros(other.pid) - before[1]) / requests,
  }
}

async function compare(builds: readonly Build[], connections: number): Promise<void> {
  const hits = new Map<Build, Run[]>(builds.map((build) => [build, []]))
  const forwards = new Map<Build, Run[]>(builds.map((build) => [build, []]))
  const ms = Number(values.seconds) * 1000
  // Once before it counts: code is compiled, links are opened.
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (let i = 0; i < builds.length; i++) {
      const build = builds[(round + i) % builds.length]!
      const hit = await runOnce(build, build.own, connections, round === 0 ? WARM_UP_MS : ms)
      const forward = await runOnce(
        build,
        build.foreign,
        connections,
        round === 0 ? WARM_UP_MS : ms,
      )
      if (round === 0) continue
      hits.get(build)!.push(hit)
      forwards.get(build)!.push(forward)
    }
  }
  console.log(`\n${connections} connections, values of ${values.bytes} bytes\n`)
  const rows = builds.flatMap((build) => {
    const [hit, forward] = [hits.get(build)!, forwards.get(build)!]
    return [rowOf(`${build.name}: hit`, hit, hit), rowOf(`${build.name}: forward`, forward, hit)]
  })
  console.log(
    table(['', 'GETs/s', 'CPU us asked', 'CPU us other', 'CPU us together', 'of a hit'], rows),
  )
}

function rowOf(name: string, runs: readonly Run[], hits: readonly Run[]): string[] {
  const of = (pick: (run: Run) => number): number => median(runs.map(pick))
  const together = (run: Run): number => run.ownMicros + run.otherMicros
  const ratio = median(runs.map((run, i) => together(run) / together(hits[i]!)))
  return [
    name,
    Math.round(of((run) => run.perSecond)).toLocaleString('en'),
    of((run) => run.ownMicros).toFixed(1),
    of((run) => run.otherMicros).toFixed(1),
    of(together).toFixed(1),
    ratio.toFixed(2),
  ]
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  console.log(`Node ${nodeVersion(values.node)}, ${describeMachine()}`)
  const builds = [await startBuild('this build')]
  try {
    if (values.before !== undefined) {
      builds.push(await startBuild('before', { program: values.before }))
    }
    if (values.tls) builds.push(await startBuild('with TLS', { args: tlsArguments('one') }))
    for (const connections of values.connections.split(',')) {
      await compare(builds, Number(connections))
    }
  } finally {
    await Promise.all(builds.flatMap(({ nodes }) => nodes.map((node) => node.stop())))
  }
}

await main()
