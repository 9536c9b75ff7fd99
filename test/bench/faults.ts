/*
 * The claim: whatever befalls a node or the network, clients of the other nodes are answered within a second,
 * nearly always with the right value; a key is loaded twice at most; and when all is well again all nodes
 * agree within 5 seconds (docs/cluster.md).
 *
 * Real processes with the defaults, each in a network namespace of its own (test/nodes/namespaces), so this is
 * for root. Each fault lasts --seconds; then it ends, and it is measured how long it takes until every node
 * counts on all others and all give the same answer for each key. What is seen, and what it takes:
 *
 *     own keys     set by the clients of one node, read by those of all that should see it
 *     items        loaded from an origin that counts; some are asked for during the fault for the first time
 */
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { FaultNodes } from '../nodes/namespaces/fault-nodes.ts'
import { whyNoNamespaces } from '../nodes/namespaces/namespaces.ts'
import type { RawClient } from '../raw.ts'
import { type Asker, Load } from './faults/load.ts'
import { describeMachine, nodeVersion } from './machine.ts'
import { table } from './table.ts'

const HELP = `node dist/test/bench/faults.js [options]
  --nodes N,N    sizes of the cluster (3,5)
  --seconds N    for which a fault lasts (5)
  --fault WORD   only faults whose name has it
  --node PATH    run ringtier on this Node`

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3,5' },
    seconds: { type: 'string', default: '5' },
    fault: { type: 'string', default: '' },
    node: { type: 'string', default: process.execPath },
    help: { type: 'boolean', default: false },
  },
})

interface Fault {
  readonly name: string
  /** Which places go on, in groups of those that see each other. */
  readonly sides: (count: number) => readonly (readonly number[])[]
  begin(nodes: FaultNodes): Promise<void>
  end(nodes: FaultNodes): Promise<void>
  /** Nothing ends it, so that there is nothing to agree on. */
  readonly lists?: (place: number, names: readonly string[]) => readonly string[]
}

const placesTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
const allButLast = (count: number): number[][] => [placesTo(count - 1)]
const halves = (count: number): number[][] => {
  const many = Math.floor(count / 2) + 1
  return [placesTo(many), placesTo(count).slice(many)]
}
const nothing = (): Promise<void> => Promise.resolve()

const faults: readonly Fault[] = [
  {
    name: 'none',
    sides: (count) => [placesTo(count)],
    begin: nothing,
    end: nothing,
  },
  {
    name: 'a node is stopped',
    sides: allButLast,
    begin: async (nodes) => nodes.freeze(nodes.count - 1),
    end: async (nodes) => nodes.thaw(nodes.count - 1),
  },
  {
    name: 'a node is killed',
    sides: allButLast,
    begin: (nodes) => nodes.kill(nodes.count - 1),
    end: (nodes) => nodes.start(nodes.count - 1),
  },
  {
    name: 'the network falls apart',
    sides: halves,
    begin: (nodes) => {
      const [many, few] = halves(nodes.count)
      return nodes.split(many!, few!)
    },
    end: (nodes) => nodes.heal(),
  },
  {
    name: 'one direction fails',
    sides: (count) => [placesTo(count)],
    begin: (nodes) => nodes.split([0], [1], false),
    end: (nodes) => nodes.heal(),
  },
  {
    name: 'lists disagree',
    sides: (count) => placesTo(count).map((place) => [place]),
    begin: nothing,
    end: nothing,
    lists: (place, names) => names.filter((_, i) => i !== (place + 1) % names.length),
  },
]

async function measure(fault: Fault, count: number): Promise<string[]> {
  const { lists } = fault
  const nodes = await FaultNodes.start(count, {
    node: values.node,
    ...(lists === undefined ? {} : { listOf: lists }),
  })
  try {
    const clients = await nodes.clients()
    const askers = fault.sides(count).flatMap((side) => {
      return side.map((place): Asker => ({ place, client: clients[place]!, reads: side }))
    })
    await new Load(nodes).prepare(askers)
    // What runs for the first time is slow; that is no fault's doing.
    const warm = performance.now() + 2000
    await new Load(nodes).run(askers, () => performance.now() > warm)
    const load = new Load(nodes)
    const loads = new Map(nodes.origin.counts)
    const end = performance.now() + 1000 * Number(values.seconds)
    await Promise.all([fault.begin(nodes), load.run(askers, () => performance.now() > end)])
    const times = [...nodes.origin.counts].map(([path, all]) => all - (loads.get(path) ?? 0))
    const agreed = lists === undefined ? `${await untilAllAgree(fault, nodes, clients)} ms` : ''
    return [
      fault.name,
      String(count),
      load.answers.toLocaleString('en'),
      `${Math.round(load.slowestMs)} ms`,
      `${((100 * load.errors) / load.answers).toFixed(2)} %`,
      `${((100 * load.rights) / load.items).toFixed(2)} %`,
      `${Math.round(load.stalestMs)} ms`,
      String(Math.max(...times)),
      agreed,
    ]
  } finally {
    await nodes.stop()
  }
}

/** Ends the fault. Returns the milliseconds until all is as it should be. */
async function untilAllAgree(
  fault: Fault,
  nodes: FaultNodes,
  clients: readonly RawClient[],
): Promise<number> {
  const keys = Load.keysOf(placesTo(nodes.count))
  const endedAt = performance.now()
  await fault.end(nodes)
  await nodes.areWhole()
  // A node that was started again has a new connection.
  const askers = [...clients.slice(0, -1), await nodes.client(nodes.count - 1)]
  for (;;) {
    const seen = await Promise.all(askers.map((client) => client.command('MGET', ...keys)))
    if (seen.every((reply) => reply === seen[0]!)) return Math.round(performance.now() - endedAt)
    await setTimeout(5)
  }
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  const why = whyNoNamespaces()
  if (why !== null) return console.log(`no network namespaces here: ${why}`)
  console.log(`Node ${nodeVersion(values.node)}, ${describeMachine()}`)
  const rows: string[][] = []
  for (const fault of faults.filter(({ name }) => name.includes(values.fault))) {
    for (const count of values.nodes.split(',')) {
      rows.push(await measure(fault, Number(count)))
      console.log(rows.at(-1)!.join(', '))
    }
  }
  rows.push(['promised', '', '', '1,000 ms', '2 %', '95 %', '2,000 ms', '2', '5,000 ms'])
  const header = [
    'fault',
    'nodes',
    'answers',
    'slowest',
    'errors',
    'right',
    'stalest',
    'loads a key',
  ]
  console.log(`\n${table([...header, 'all agree after'], rows)}`)
}

await main()
