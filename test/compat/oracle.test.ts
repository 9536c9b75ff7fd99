/*
 * A little of `npm run fuzz`: sequences of fixed seeds put to ringtier and to redis-server. A seed that
 * finds something becomes a transcript of its own.
 */
import test from 'ava'
import { names } from '../fuzz/oracle/grammar.ts'
import { Pair } from '../fuzz/oracle/pair.ts'
import { run } from '../fuzz/oracle/run.ts'
import { sequenceOf } from '../fuzz/oracle/sequence.ts'
import { available } from '../process.ts'
import { writeLine } from './line.ts'

const SEQUENCES = 100
/** Of one command each, so that none is left out. */
const SEQUENCES_PER_COMMAND = 1

const real = (available('redis-server') ? test.serial : test.serial.skip) as typeof test.serial

real('sequences of any commands are answered as by redis-server', async (t) => {
  const pair = await Pair.start()
  t.teardown(() => pair.stop())
  const reports: string[] = []
  const found = (report: string): void => void reports.push(report)
  const figures = await run(pair, { seed: 1, sequences: SEQUENCES, found })
  for (const [i, command] of names.entries()) {
    const seed = 1_000 + i
    await run(pair, { seed, sequences: SEQUENCES_PER_COMMAND, command, found })
  }
  t.is(reports.join('\n'), '')
  t.is(figures.sequences, SEQUENCES)
})

test('a seed is always the same sequence', (t) => {
  const written = (seed: number): string =>
    sequenceOf(seed)
      .map(({ lines, cuts }) => `${lines.map(writeLine).join('\n')} ${cuts.join()}`)
      .join('\n')
  t.is(written(7), written(7))
  t.not(written(7), written(8))
})
