/*
 * Fuzzes ringtier with redis-server as the oracle:
 *
 *   npm run fuzz -- [--sequences 1000 | --minutes 5] [--seed 1] [--command setrange]
 *                   [--threads 2] [--node /path/to/node]
 *
 * A seed is one sequence, and the next sequence has the next seed: `--seed 17 --sequences 1` plays the
 * seventeenth again. Ends with 1 where the two differ.
 */
import { parseArgs } from 'node:util'
import { names } from './oracle/grammar.ts'
import { Pair } from './oracle/pair.ts'
import { run } from './oracle/run.ts'

const { values } = parseArgs({
  options: {
    sequences: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string', default: '1' },
    command: { type: 'string' },
    threads: { type: 'string', default: '1' },
    node: { type: 'string', default: process.execPath },
  },
})
const command = values.command?.toLowerCase().replace(' ', '|')
if (command !== undefined && !names.includes(command)) {
  console.error(`there is no command ${command}. There are: ${names.join(' ')}`)
  process.exit(1)
}
// So that the servers end, too: see process.ts.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
const end = performance.now() + Number(values.minutes ?? Infinity) * 60_000
const pair = await Pair.start({ ringtier: ['--threads', values.threads], node: values.node })
const { sequences, commands, differences, unsteady } = await run(pair, {
  seed: Number(values.seed),
  sequences: Number(values.sequences ?? (values.minutes === undefined ? 1_000 : Infinity)),
  command,
  enough: () => performance.now() > end,
  found: (report) => console.log(`${report}\n`),
})
await pair.stop()
for (const [kind, count] of differences) console.log(`${count} sequences: ${kind}`)
for (const [seed, told] of unsteady) console.log(`seed ${seed} differed once, not again:\n${told}`)
console.log(
  `${sequences} sequences, ${commands} commands, ${differences.size} kinds of differences`,
)
process.exitCode = differences.size === 0 ? 0 : 1
