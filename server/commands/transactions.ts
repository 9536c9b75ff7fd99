/** Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. See transaction.ts. */
import * as errors from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { execInCluster, watchHere, watchInCluster } from '../transactions/routing.ts'

const flags = ['noscript', 'loading', 'stale', 'fast', 'allow_busy'] as const

function multi(client: Client): void {
  if (client.transaction !== null) return client.reply.error(errors.ERR_NESTED_MULTI)
  client.beginTransaction()
  client.reply.ok()
}

function exec(client: Client): void {
  const { reply, server, transaction } = client
  if (transaction === null) return reply.error(errors.ERR_EXEC_WITHOUT_MULTI)
  if (transaction.isBroken) {
    client.unwatch()
    reply.error(errors.ERR_EXECABORT)
    client.endTransaction()
  } else if (server.routing.enabled) {
    execInCluster(client, transaction)
  } else {
    transaction.run(client, client.watched.take())
    client.endTransaction()
  }
}

function discard(client: Client): void {
  if (client.transaction === null) return client.reply.error(errors.ERR_DISCARD_WITHOUT_MULTI)
  client.endTransaction()
  client.unwatch()
  client.reply.ok()
}

function watch(client: Client): void {
  if (client.transaction !== null) client.reply.error(errors.ERR_WATCH_IN_MULTI)
  else if (client.server.routing.enabled) watchInCluster(client)
  else watchHere(client)
}

function unwatch(client: Client): void {
  client.unwatch()
  client.reply.ok()
}

/** Commands that run together, with nobody in between. */
export const transactionCommands = [
  {
    name: 'multi',
    arity: 1,
    flags,
    keys: [0, 0, 0],
    group: 'transactions',
    since: '1.2.0',
    complexity: 'O(1)',
    summary: 'Begins a transaction: commands are queued until EXEC.',
    run: multi,
  },
  {
    name: 'exec',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'skip_slowlog'],
    keys: [0, 0, 0],
    group: 'transactions',
    since: '1.2.0',
    complexity: 'Depends on commands in the transaction',
    summary: 'Runs all commands queued since MULTI, unless a watched key has changed.',
    run: exec,
  },
  {
    name: 'discard',
    arity: 1,
    flags,
    keys: [0, 0, 0],
    group: 'transactions',
    since: '2.0.0',
    complexity: 'O(N), when N is the number of queued commands',
    summary: 'Forgets all commands queued since MULTI, and what is watched.',
    run: discard,
  },
  {
    name: 'watch',
    differs: '`SWAPDB` changes every key of both databases, also those that neither has',
    arity: -2,
    flags,
    keys: [1, -1, 1],
    keyFlags: ['RO'],
    placement: 'here',
    group: 'transactions',
    since: '2.2.0',
    complexity: 'O(1) for every key.',
    summary: 'Lets the next EXEC run nothing if one of these keys changes before.',
    syntax: 'key [key ...]',
    run: watch,
  },
  {
    name: 'unwatch',
    arity: 1,
    flags,
    keys: [0, 0, 0],
    group: 'transactions',
    since: '2.2.0',
    complexity: 'O(1)',
    summary: 'Watches nothing any more.',
    run: unwatch,
  },
] as const satisfies readonly Command[]
