/*
 * What a SET costs in a group with `copies 1`, beside one without: the CPU of both nodes, by the scheduler's own
 * count, and how long it takes. Two nodes of one thread each; connections with one SET under way each, for keys
 * that the node they ask owns, so that the other one does nothing but keep copies.
 */
import { parseArgs } from 'node:util'
import { freePort, startRingtier } from '../process.ts'
import { ask, keysByOwner } from './forward/ask.ts'
import { cpuMicros, describeMachine, nodeVersion } from './machine.ts'
import { table } from './table.ts'
import { median } from './wait/measure.ts'

const HELP = `node dist/test/bench/copies.js [options]
  --connections N,N  each with one SET under way (1,64)
  --bytes N          of a value (100)
  --seconds N        of each case in each round (3)
  --rounds N         the table has the medians (5)
  --node PATH        run ringtier on this Node`

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '1,64' },
    bytes: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
    node: { type: 'string', default: process.execPath },
    help: { type: 'boolean', default: false },
  },
})

const KEYS = 20_000
const GROUPS = ['plain', 'copied'] as const

interface Run {
  readonly perSecond: number
  readonly ownerMicros: number
  readonly otherMicros: number
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  console.log(`Node ${nodeVersion(values.node)}, ${describeMachine()}`)
  const ports = [await freePort(), await freePort()] as const
  const peers = ports.map((port) => `127.0.0.1:${port}`).join(',')
  const group = (name: string, more: string): string[] => {
    return ['--group', `${name} match ${name}:* origin http://127.0.0.1:1/x ${more}`]
  }
  const start = (port: number) =>
    startRingtier({
      ...{ port, node: values.node },
      args: [
        ...['--cluster-self', `127.0.0.1:${port}`, '--cluster-peers', peers, '--save', ''],
        ...['--threads', '1', '--maxmemory', '256mb'],
        ...[...group('plain', ''), ...group('copied', 'copies 1')],
      ],
    })
  const [owner, other] = [await start(ports[0]), await start(ports[1])]
  try {
    const [own = []] = await keysByOwner(ports, KEYS)
    const runOnce = async (name: string, connections: number, ms: number): Promise<Run> => {
      const before = [cpuMicros(owner.pid), cpuMicros(other.pid)] as const
      // A key's slot is that of its tag.
      const keys = own.map((key) => `${name}:{${key}}`)
      const { requests, elapsedMs } = await ask({
        ...{ port: owner.port, keys, connections, ms, bytes: Number(values.bytes), sets: true },
      })
      return {
        perSecond: (requests * 1000) / elapsedMs,
        ownerMicros: (cpuMicros(owner.pid) - before[0]) / requests,
        otherMicros: (cpuMicros(other.pid) - before[1]) / requests,
      }
    }
    for (const connections of values.connections.split(',').map(Number)) {
      const runs = new Map<string, Run[]>(GROUPS.map((name) => [name, []]))
      // Once before it counts: code is compiled.
      for (let round = 0; round <= Number(values.rounds); round++) {
        for (const name of GROUPS) {
          const run = await runOnce(name, connections, Number(values.seconds) * 1000)
          if (round > 0) runs.get(name)!.push(run)
        }
      }
      console.log(`\n${connections} connections, values of ${values.bytes} bytes\n`)
      const rows = GROUPS.map((name) => rowOf(name, runs.get(name)!, connections))
      console.log(table(['', 'SETs/s', 'CPU us owner', 'CPU us next', 'us each takes'], rows))
    }
  } finally {
    await Promise.all([owner.stop(), other.stop()])
  }
}

function rowOf(name: string, runs: readonly Run[], connections: number): string[] {
  const of = (pick: (run: Run) => number): number => median(runs.map(pick))
  return [
    name,
    Math.round(of((run) => run.perSecond)).toLocaleString('en'),
    of((run) => run.ownerMicros).toFixed(1),
    of((run) => run.otherMicros).toFixed(1),
    Math.round(of((run) => (1e6 * connections) / run.perSecond)).toLocaleString('en'),
  ]
}

await main()
