/** MODULE, as far as it goes where nothing can be loaded into the server: there are no modules. */
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { helpRow, noSubcommand } from './container.ts'

function list({ reply }: Client): void {
  reply.array(0)
}

const row = { keys: [0, 0, 0], group: 'server', since: '4.0.0' } as const

const moduleRows = [
  {
    ...row,
    name: 'list',
    arity: 2,
    flags: ['admin', 'noscript'],
    tips: ['nondeterministic_output_order'],
    complexity: 'O(N) where N is the number of loaded modules.',
    summary: 'Lists the modules: there are none.',
    run: list,
  },
  helpRow({ container: 'module', group: 'server', since: '5.0.0' }),
] as const satisfies readonly Command[]

export const moduleCommands = [
  {
    ...row,
    name: 'module',
    arity: -2,
    flags: [],
    complexity: 'Depends on subcommand.',
    summary: 'Commands about modules, of which there are none.',
    subcommands: moduleRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
