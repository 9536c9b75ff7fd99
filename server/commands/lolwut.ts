/** LOLWUT: a picture, and which version drew it. */
import * as errors from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { version } from '../version.ts'

const COLUMNS = 42
const ROWS = 21
const RADIUS = 9
/** A column is half as wide as a row is high. */
const COLUMN_WIDTH = 0.5
const NODES = 5
const SHADES = '·∙•●'

/** A ring of slots, and nodes of different weight on it, thrown anew each time. */
function picture(random: () => number): string {
  const nodes = Array.from({ length: NODES }, random).sort((one, other) => one - other)
  const rows: string[] = []
  for (let y = 0; y < ROWS; y++) {
    let row = ''
    for (let x = 0; x < COLUMNS; x++) row += cell(x, y, nodes)
    rows.push(row.trimEnd())
  }
  return rows.join('\n')
}

/** What stands in a place: a part of the ring in the shade of the node that owns it. */
function cell(x: number, y: number, nodes: readonly number[]): string {
  const right = (x - (COLUMNS - 1) / 2) * COLUMN_WIDTH
  const down = y - (ROWS - 1) / 2
  if (Math.abs(Math.hypot(right, down) - RADIUS) > 0.8) return ' '
  const place = (Math.atan2(right, -down) / (2 * Math.PI) + 1) % 1
  const owner = nodes.filter((node) => node <= place).length % NODES
  return SHADES[owner % SHADES.length]!
}

/** How many numbers the pictures of a version of Redis are drawn by. */
const numbersOf: ReadonlyMap<number, number> = new Map([
  [5, 3],
  [6, 2],
])

/** The version is read, and what it would be drawn by, and all are drawn alike. */
function lolwut({ args, reply, server }: Client): void {
  const isVersioned = args.count > 2 && args.is(1, 'version')
  const numbers = isVersioned ? 1 + (numbersOf.get(args.integer(2)) ?? 0) : 0
  for (let i = 2; i < Math.min(args.count, 2 + numbers); i++) {
    if (Number.isNaN(args.integer(i))) return reply.error(errors.ERR_NOT_INTEGER)
  }
  const random = (): number => server.world.random.uint32() / 2 ** 32
  reply.verbatim(`${picture(random)}\nringtier ver. ${version}\n`)
}

export const lolwutCommands = [
  {
    name: 'lolwut',
    arity: -1,
    flags: ['readonly', 'fast'],
    keys: [0, 0, 0],
    group: 'server',
    since: '5.0.0',
    complexity: 'O(1)',
    summary: 'Draws a ring with nodes on it, and tells the version.',
    syntax: '[VERSION version]',
    argumentTypes: { version: 'integer' },
    run: lolwut,
  },
] as const satisfies readonly Command[]
