/** FUNCTION, as far as it goes where no scripts run: there are no functions. */
import * as errors from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { helpRow, noSubcommand } from './container.ts'

function flush({ args, reply }: Client): void {
  if (args.count > 3) return reply.error(errors.subcommandSyntax(args.text(1), 'function'))
  const isMode = args.count === 2 || args.is(2, 'sync') || args.is(2, 'async')
  if (isMode) reply.ok()
  else reply.error(errors.ERR_FUNCTION_FLUSH)
}

function list({ args, reply }: Client): void {
  let hasName = false
  let hasCode = false
  for (let i = 2; i < args.count; i++) {
    if (!hasCode && args.is(i, 'withcode')) {
      hasCode = true
    } else if (!hasName && args.is(i, 'libraryname')) {
      hasName = true
      if (++i === args.count) return reply.error(errors.ERR_LIBRARY_NAME)
    } else {
      return reply.error(errors.unknownArgument(args.text(i)))
    }
  }
  reply.array(0)
}

const row = { keys: [0, 0, 0], group: 'scripting', since: '7.0.0' } as const

const functionRows = [
  {
    ...row,
    name: 'flush',
    arity: -2,
    flags: ['write', 'noscript'],
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    complexity: 'O(N) where N is the number of functions deleted',
    summary: 'Removes all functions: there are none.',
    syntax: '[ASYNC | SYNC]',
    argumentNotes: { async_sync: { as: 'async' } },
    run: flush,
  },
  {
    ...row,
    name: 'list',
    arity: -2,
    flags: ['noscript'],
    tips: ['nondeterministic_output_order'],
    complexity: 'O(N) where N is the number of functions',
    summary: 'Lists the functions: there are none.',
    syntax: '[LIBRARYNAME library-name-pattern] [WITHCODE]',
    run: list,
  },
  helpRow({ container: 'function', group: 'scripting', since: '7.0.0' }),
] as const satisfies readonly Command[]

export const functionCommands = [
  {
    ...row,
    name: 'function',
    arity: -2,
    flags: [],
    complexity: 'Depends on subcommand.',
    summary: 'Commands about functions, of which there are none.',
    subcommands: functionRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
