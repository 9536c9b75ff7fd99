/*
 * Rounds: in each, all servers are started afresh, and every case is run on one after the other
 * before the next case comes, so that whatever else the machine does falls on all of them. Who is
 * first changes with the case and with the round. Idle servers stay up; they take no CPU time.
 */
import type { RunningServer } from '../../process.ts'
import type { Contender } from './contenders.ts'
import type { Generator } from './generator.ts'
import type { Figures, Filling, Target, Window } from './load.ts'
import { COMMANDS, KEYS, type Case } from './requests.ts'

/** By the names of contenders. */
export type Round = Readonly<Record<string, Figures>>

/** One case: what each round found. */
export interface CaseRounds {
  readonly case: Case
  readonly rounds: Round[]
}

/** After a start code is compiled; each command for so long, at two pipelines. */
const WARM_UP: Window = { warmUpMs: 0, measureMs: 250 }
const WARM_UP_PIPELINES = [1, 16]
const WARM_UP_CONNECTIONS = 50

interface Entrant {
  readonly name: string
  readonly target: Target
  readonly server: RunningServer
}

/** One round of all cases; its figures are added to `found`, of which there is one a case. */
export async function runRound(
  round: number,
  contenders: readonly Contender[],
  found: readonly CaseRounds[],
  generator: Generator,
  window: Window,
): Promise<void> {
  const entrants: Entrant[] = []
  try {
    for (const { name, protocol, start } of contenders) {
      const server = await start()
      const { port, pid } = server
      entrants.push({ name, target: { port, pid, protocol }, server })
    }
    let filled: Filling | null = null
    for (const [i, { case: one, rounds }] of found.entries()) {
      if (one.bytes !== filled?.bytes || one.keys !== filled.keys) {
        for (const { target } of entrants) {
          await generator.setKeys(target, one)
          if (filled === null) await warmUp(generator, target, one)
        }
        filled = one
      }
      const figures: Record<string, Figures> = {}
      for (const { name, target } of inTurn(entrants, round + i)) {
        figures[name] = await generator.load(target, one, window).catch((error: unknown) => {
          throw new Error(`${name}, ${JSON.stringify(one)}`, { cause: error })
        })
      }
      rounds.push(figures)
    }
  } finally {
    await Promise.all(entrants.map(({ server }) => server.stop()))
  }
}

async function warmUp(
  generator: Generator,
  target: Target,
  { keys, bytes }: Filling,
): Promise<void> {
  for (const pipeline of WARM_UP_PIPELINES) {
    for (const command of COMMANDS) {
      // Code does not depend on how many keys there are, and requests for few are made faster.
      const some = Math.min(keys, KEYS)
      const one = { command, bytes, pipeline, connections: WARM_UP_CONNECTIONS, keys: some }
      await generator.load(target, one, WARM_UP)
    }
  }
}

/** All of them, beginning with another one each turn, and backwards every time all have begun. */
export function inTurn<T>(all: readonly T[], turn: number): T[] {
  const from = turn % all.length
  const order = [...all.slice(from), ...all.slice(0, from)]
  return Math.floor(turn / all.length) % 2 === 0 ? order : order.reverse()
}
