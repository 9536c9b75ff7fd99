/** HOTKEYS: which keys other nodes of the cluster ask their owners for most. See server/cluster/hot-keys.ts. */
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { hotKeysOf, writeHotKeys } from '../cluster/hot-keys.ts'
import { helpRow, noSubcommand } from './container.ts'

function get(client: Client): void {
  const { reply, server } = client
  const node = server.routing.membership?.self ?? ''
  client.survey('hotKeys', null, (threads) => writeHotKeys(reply, hotKeysOf(node, threads)))
}

function reset(client: Client): void {
  const { reply } = client
  client.survey('resetHotKeys', null, () => reply.ok())
}

const hotKeysRows = [
  {
    name: 'get',
    onHub: true,
    arity: 2,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    keys: [0, 0, 0],
    placement: 'fan-out',
    group: 'server',
    tips: ['nondeterministic_output'],
    since: '0.1.0',
    complexity: 'O(N) where N is the number of nodes of the cluster',
    summary:
      'Lists the keys of the whole cluster that nodes ask each other for most, each with its node and reads a second.',
    run: get,
  },
  {
    name: 'reset',
    onHub: true,
    arity: 2,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    keys: [0, 0, 0],
    placement: 'fan-out',
    group: 'server',
    since: '0.1.0',
    complexity: 'O(N) where N is the number of nodes of the cluster',
    summary: 'Has all nodes forget which keys were hot.',
    run: reset,
  },
  helpRow({ container: 'hotkeys', group: 'server', since: '0.1.0' }),
] as const satisfies readonly Command[]

export const hotKeysCommands = [
  {
    name: 'hotkeys',
    arity: -2,
    flags: [],
    keys: [0, 0, 0],
    group: 'server',
    since: '0.1.0',
    complexity: 'Depends on subcommand.',
    summary: 'Commands about keys that are read far more often than others.',
    subcommands: hotKeysRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
