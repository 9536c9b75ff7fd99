/*
 * A little of `npm run fuzz`: sequences of fixed seeds put to ringtier and to redis-server. A seed that
 * finds something becomes a transcript of its own.
 */
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { names } from '../fuzz/oracle/grammar.ts'
import { Pair } from '../fuzz/oracle/pair.ts'
import { run } from '../fuzz/oracle/run.ts'
import { sequenceOf } from '../fuzz/oracle/sequence.ts'
import { shrink } from '../fuzz/oracle/shrink.ts'
import { available } from '../process.ts'
import { parseLine, writeLine } from './line.ts'
import type { Step } from './player.ts'

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

test('a line that is written reads as it was', (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    for (const line of sequenceOf(seed).flatMap(({ lines }) => lines)) {
      const written = writeLine(line)
      const { connection, mark, words } = parseLine(runInNewContext(written) as string)
      t.deepEqual([connection, mark, words], [line.connection, line.mark, line.words], written)
    }
  }
})

test('a sequence shrinks to what shows the difference', async (t) => {
  const wordsOf = (steps: readonly Step[]): string[] =>
    steps.flatMap(({ lines }) => lines.map((line) => writeLine(line).slice(1, -1)))
  const lines = ['GET x', 'b: SET k v XX', 'PING', 'b: GET k k', 'GET y', 'PING'].map(parseLine)
  const steps = lines.map((line) => ({ lines: [line, line], cuts: [3, 5] }))
  const differs = async (smaller: readonly Step[]): Promise<boolean> => {
    const words = wordsOf(smaller)
    const set = words.findIndex((text) => /^b: SET k( v)?/.test(text))
    return await Promise.resolve(
      set >= 0 && words.slice(set).some((text) => text.startsWith('b: GET k')),
    )
  }
  const shortest = await shrink(steps, differs)
  t.deepEqual(wordsOf(shortest), ['b: SET k', 'b: GET k'])
  t.true(shortest.every(({ cuts }) => cuts.length === 0))
})
