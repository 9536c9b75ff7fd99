/** STORE: the inside of the store, for those who want to see how it spreads its keys. */
import { ERR_NOT_INTEGER, valueBetween } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { snakeCase } from '../info.ts'
import type { BucketStats } from '../store/store.ts'
import { helpRow, noSubcommand } from './container.ts'

/** The counters of one bucket, by the names of INFO storebuckets. */
function bucket({ args, reply, store }: Client): void {
  const number = args.integer(2)
  if (Number.isNaN(number)) return reply.error(ERR_NOT_INTEGER)
  const last = store.buckets - 1
  if (number < 0 || number > last) return reply.error(valueBetween(0, last))
  const stats = store.bucketStats(number)
  const fields = Object.keys(stats) as (keyof BucketStats)[]
  reply.map(fields.length)
  for (const field of fields) {
    reply.text(snakeCase(field))
    reply.integer(stats[field])
  }
}

const storeRows = [
  {
    name: 'bucket',
    arity: 3,
    flags: ['loading', 'stale'],
    keys: [0, 0, 0],
    group: 'server',
    tips: ['nondeterministic_output'],
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Tells the counters of one of the buckets that keys are spread over by their hash.',
    syntax: 'number',
    run: bucket,
  },
  helpRow({ container: 'store', group: 'server', since: '0.1.0' }),
] as const satisfies readonly Command[]

export const storeCommands = [
  {
    name: 'store',
    arity: -2,
    flags: [],
    keys: [0, 0, 0],
    group: 'server',
    since: '0.1.0',
    complexity: 'Depends on subcommand.',
    summary: 'Commands about the inside of the store.',
    subcommands: storeRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
