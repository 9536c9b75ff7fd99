/** What containers (CLIENT, CONFIG ...) have in common: HELP, and nothing to run of their own. */
import { strict as assert } from 'node:assert'
import type { Client } from '../clients/client.ts'
import type { Command, CommandEntry } from '../command.ts'

/**
 * The HELP subcommand of a container: Redis's form, with the syntax and the summary of each of its
 * rows, and `more` lines behind them. `since` is the version of Redis that brought it.
 */
export function helpRow(
  row: Pick<Command, 'group' | 'since' | 'categories'> & {
    container: string
    more?: () => readonly string[]
  },
) {
  const { container, more = () => [], ...rest } = row
  return {
    ...rest,
    name: 'help',
    arity: 2,
    flags: ['loading', 'stale'],
    keys: [0, 0, 0],
    complexity: 'O(1)',
    summary: 'Prints this help.',
    run(client: Client): void {
      const lines = [...helpOf(client.server.table.named(container)!), ...more()]
      client.reply.array(lines.length)
      for (const line of lines) client.reply.simple(line)
    },
  } as const satisfies Command
}

/** What HELP of this container answers, line by line. */
function helpOf(container: CommandEntry): string[] {
  const name = container.row.name.toUpperCase()
  const lines = [`${name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`]
  if (container.arity === -1) lines.push('(no subcommand)', `    ${container.row.summary}`)
  const subcommands = container.subcommands?.entries ?? []
  const help = subcommands.filter(({ row }) => row.name === 'help')
  for (const { row } of [...subcommands.filter((entry) => !help.includes(entry)), ...help]) {
    lines.push(`${row.name.toUpperCase()} ${row.syntax ?? ''}`.trimEnd(), `    ${row.summary}`)
  }
  return lines
}

/** `run` of a container that is nothing without a subcommand: dispatch refuses it by its arity. */
export function noSubcommand(): void {
  assert.fail('a container ran without a subcommand')
}
