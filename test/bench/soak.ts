/*
 * The claim: however it is written to, the process takes no more memory than maxmemory, 10 % and its
 * own baseline.
 *
 * Each scenario (soak/scenarios.ts) writes ten times maxmemory: to a store in a process of its own,
 * and to a server over a socket. The peak is the kernel's (VmHWM), so nothing is missed in between.
 * The baseline is what a process takes beside the store after the same scenario with very little
 * memory: compiled code, the heap's reserve, buffers of sockets.
 */
import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { describeMachine, nodeVersion } from './machine.ts'
import type { SoakFigures, SoakOptions } from './soak/figures.ts'
import { soakServer } from './soak/over-socket.ts'
import { SCENARIOS } from './soak/scenarios.ts'
import { table } from './table.ts'

const HELP = `node dist/test/bench/soak.js [options]
  --quick            maxmemory 64 MiB instead of 256
  --scenario NAME    only this one; may be repeated: ${SCENARIOS.map(({ name }) => name).join(', ')}
  --only WHAT        store or server
  --node PATH        run both on this Node`

const MIB = 2 ** 20
const TIMES = 10
/** Peak beyond the baseline, over maxmemory. */
const RATIO_MAX = 1.1
/** What deletes leave behind is won back, so that never less is neither dead nor padding. */
const NOT_DEAD_MIN = 0.9
const DELETING = 'delete-heavy'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    scenario: { type: 'string', multiple: true, default: SCENARIOS.map(({ name }) => name) },
    only: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) return console.log(HELP)
  const maxMemory = (values.quick ? 64 : 256) * MIB
  console.log(
    `store and server on Node ${nodeVersion(values.node)}, maxmemory ${mib(maxMemory)} MiB`,
  )
  console.log(`${describeMachine()}\n`)
  const rows: string[][] = []
  for (const { name, about } of SCENARIOS) {
    if (!values.scenario.includes(name)) continue
    console.log(`${name}: ${about}`)
    const options = { scenario: name, maxMemory, bytes: TIMES * maxMemory }
    if (values.only !== 'server') rows.push(row(name, 'store', options, await soakStore(options)))
    if (values.only === 'store') continue
    rows.push(row(name, 'server', options, await soakServer(values.node, options)))
  }
  const header = ['', '', 'baseline MiB', 'peak MiB', 'ratio', 'entries', 'evicted', 'refused']
  console.log(`\n${table([...header, 'not dead %', 'live %'], rows)}`)
  console.log('\nratio: (peak - baseline) / maxmemory; at most 1.10')
  console.log('not dead: the least of many looks; delete-heavy: at least 90')
  console.log('live: bytes of entries with headers and slots, of those in use, at the end')
}

async function soakStore(options: SoakOptions): Promise<SoakFigures> {
  const child = fileURLToPath(new URL(`./soak/child${extname(import.meta.url)}`, import.meta.url))
  const args = ['--expose-gc', child, JSON.stringify(options)]
  const { stdout } = await promisify(execFile)(values.node, args)
  return JSON.parse(stdout) as SoakFigures
}

function row(name: string, what: string, options: SoakOptions, figures: SoakFigures): string[] {
  const ratio = (figures.peakRss - figures.baseline) / options.maxMemory
  if (ratio > RATIO_MAX) process.exitCode = 1
  const { notDead, ofEntries } = figures.live
  if (name === DELETING && notDead < NOT_DEAD_MIN) process.exitCode = 1
  const cells = [name, what, mib(figures.baseline), mib(figures.peakRss), ratio.toFixed(3)]
  cells.push(String(figures.entries), String(figures.evicted), String(figures.refused))
  return [...cells, percent(notDead), percent(ofEntries)]
}

function percent(share: number): string {
  return Number.isNaN(share) ? '' : (100 * share).toFixed(1)
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(0)
}

await main()
