/*
 * Puts sequence after sequence to ringtier and to redis-server, and tells of each new kind of
 * difference once: the seed, and the shortest lines that show it.
 */
import type { Difference } from '../../compat/difference.ts'
import { shown } from '../../compat/difference.ts'
import { writeLine } from '../../compat/line.ts'
import type { Step } from '../../compat/player.ts'
import type { Pair } from './pair.ts'
import { sequenceOf } from './sequence.ts'
import { shrink } from './shrink.ts'

export interface RunOptions {
  /** Of the first sequence; the next has the next. */
  readonly seed: number
  readonly sequences: number
  /** Full name of a command that is called often. */
  readonly command?: string | undefined
  /** No more sequences when this says so. */
  readonly enough?: () => boolean
  /** A new kind of difference, told in lines. */
  readonly found?: (report: string) => void
}

export interface Figures {
  readonly sequences: number
  readonly commands: number
  /** By kind, how many sequences showed it. */
  readonly differences: ReadonlyMap<string, number>
  /** What differed once, and not again, by its seed: something depended on time. */
  readonly unsteady: ReadonlyMap<number, string>
}

export async function run(pair: Pair, options: RunOptions): Promise<Figures> {
  const { seed: first, sequences: most, command, enough, found } = options
  const differences = new Map<string, number>()
  const unsteady = new Map<number, string>()
  let sequences = 0
  let commands = 0
  for (let seed = first; seed < first + most && enough?.() !== true; seed++) {
    const steps = sequenceOf(seed, command)
    const differing = await pair.differences(steps)
    sequences++
    commands += steps.reduce((sum, { lines }) => sum + lines.length, 0)
    if (pair.ended) throw new Error(`seed ${seed} ended ringtier:\n${pair.output}`)
    const [difference] = differing
    if (difference === undefined) continue
    const kind = kindOf(difference)
    const before = differences.get(kind)
    if (before === undefined) {
      const shows = async (smaller: readonly Step[]): Promise<boolean> =>
        (await pair.differences(smaller)).some((each) => kindOf(each) === kind)
      if (!(await shows(steps))) {
        unsteady.set(seed, differing.map(told).join('\n'))
        continue
      }
      const shortest = await shrink(steps, shows)
      found?.(report(seed, shortest, await pair.differences(shortest)))
    }
    differences.set(kind, (before ?? 0) + 1)
  }
  return { sequences, commands, differences, unsteady }
}

/** Differences of one kind are told once. */
function kindOf({ command, our, their }: Difference): string {
  return `${command}: ${typeOf(our)}, redis ${typeOf(their)}`
}

/** An error's words without what they quote, or the type of the reply. */
function typeOf(reply: string): string {
  if (/^[-(]/.test(reply))
    return reply
      .trim()
      .replaceAll(/'[^']*'|\d+/g, '.')
      .slice(0, 60)
  return reply.slice(0, 1)
}

function report(seed: number, steps: readonly Step[], differences: readonly Difference[]): string {
  const lines = [`seed ${seed}`]
  for (const { lines: together, cuts } of steps) {
    if (together.length > 1)
      lines.push(`  // in one write${cuts.length > 0 ? `, cut at ${cuts.join()}` : ''}:`)
    for (const line of together) lines.push(`  ${writeLine(line)},`)
    if (together.length > 1) lines.push('  // and by itself:')
  }
  lines.push(...differences.map(told))
  return lines.join('\n')
}

function told({ line, our, their }: Difference): string {
  return `  ${line.slice(0, 100)}\n    ringtier ${shown(our)}\n    redis    ${shown(their)}`
}
