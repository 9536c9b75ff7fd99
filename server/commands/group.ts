/** GROUP: what the groups are, what they do, and what can be done to them. */
import { type RuleName, RULE_NAMES, rowOf } from '../../cluster/groups/rules.ts'
import type { Group } from '../../cluster/groups/group.ts'
import { type Args, TEXT_BYTES_MAX } from '../../protocol/args.ts'
import { noSuchGroup, notOfGroup, warmFull } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { sumOfFacts } from '../facts.ts'
import { groupCounters } from '../info.ts'
import { WARM_KEYS_MAX } from '../loads/warming.ts'
import { helpRow, noSubcommand } from './container.ts'

/** The group that the command names; null: there is none, which is answered. */
function groupOf({ args, reply, server }: Client): Group | null {
  const name = args.text(2)
  const group = server.config.groups.get(name)
  if (group === undefined) reply.error(noSuchGroup(name))
  return group ?? null
}

function list({ reply, server }: Client): void {
  const { all } = server.config.groups
  reply.array(all.length)
  for (const { name } of all) reply.text(name)
}

/** The rules in force, then what was counted. */
function groupInfo(client: Client): void {
  const group = groupOf(client)
  if (group === null) return
  const { hub, reply } = client
  client.survey('facts', null, (facts) => {
    const { asked, done, failed } = hub.warming.counters(group)
    const counters = {
      ...groupCounters(hub, sumOfFacts(facts), group),
      ...{ warm_asked: asked, warm_done: done, warm_failed: failed },
    }
    const names = Object.keys(counters) as (keyof typeof counters)[]
    reply.map(1 + RULE_NAMES.length + names.length)
    reply.text('name')
    reply.text(group.name)
    for (const rule of RULE_NAMES) {
      reply.text(rule)
      reply.text(group.shown(rule))
    }
    for (const name of names) {
      const value = counters[name]
      reply.text(name)
      if (typeof value === 'number') reply.integer(value)
      else reply.text(value)
    }
  })
}

/** It is answered when it is in force in all threads. */
function groupSet(client: Client): void {
  const { args, hub, reply } = client
  const [group, rule, word] = [2, 3, 4].map((i) => args.head(i, TEXT_BYTES_MAX).toString())
  const error = hub.config.setGroup({ group: group!, rule: rule!, word: word! })
  if (error === null) client.survey('settle', null, () => reply.ok())
  else reply.error(error)
}

/** The values of headers are. */
function setSecrets(args: Args): number[] {
  return args.is(3, 'header' satisfies RuleName) ? [4] : []
}

/** None of its keys is seen from the start on; it is answered when their memory is free. */
function flush(client: Client): void {
  const group = groupOf(client)
  if (group === null) return
  client.hub.invalidations.begin(client, { kind: 'group', db: -1, name: group.name }, true)
}

/** Answers how many are to be loaded; GROUP INFO tells how far that is. */
function warm(client: Client): void {
  const group = groupOf(client)
  if (group === null) return
  const { args, db, hub, reply } = client
  const { groups } = hub.config
  const keys: Uint8Array[] = []
  for (let i = 3; i < args.count; i++) {
    if (groups.match(args.bytes, args.pos(i), args.length(i)) !== group) {
      reply.error(notOfGroup(args.head(i, 128).toString('latin1'), group.name))
      return
    }
    keys.push(new Uint8Array(args.buffer(i)))
  }
  const count = hub.warming.warm(group, db, keys)
  if (count >= 0) reply.integer(count)
  else reply.error(warmFull(group.name, WARM_KEYS_MAX))
}

/** The rules that SET takes, with what each may be. */
function rulesHelp(): string[] {
  const lines = ['Rules that SET changes:']
  for (const rule of RULE_NAMES) {
    const { fixed, help, takes } = rowOf(rule)
    if (fixed === undefined) lines.push(`${rule} <${takes}>`, `    ${help.replaceAll('`', "'")}`)
  }
  return lines
}

const noKeys = [0, 0, 0] as const
const common = { group: 'cache', since: '0.1.0' } as const

const groupRows = [
  {
    ...common,
    name: 'list',
    arity: 2,
    flags: ['loading', 'stale'],
    keys: noKeys,
    complexity: 'O(N) where N is the number of groups',
    summary: 'Lists the names of the groups.',
    run: list,
  },
  {
    ...common,
    name: 'info',
    onHub: true,
    arity: 3,
    flags: ['loading', 'stale'],
    keys: noKeys,
    tips: ['nondeterministic_output', 'request_policy:all_shards', 'response_policy:special'],
    complexity: 'O(1)',
    summary: 'Returns a map of a group: its rules as they are now, then what it has counted.',
    syntax: 'name',
    run: groupInfo,
  },
  {
    ...common,
    name: 'set',
    onHub: true,
    arity: 5,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    keys: noKeys,
    tips: ['request_policy:all_nodes', 'response_policy:all_succeeded'],
    complexity: 'O(1)',
    summary: 'Gives a rule of a group another value while the server runs.',
    syntax: 'name rule value',
    placement: 'fan-out',
    secrets: setSecrets,
    run: groupSet,
  },
  {
    ...common,
    name: 'flush',
    onHub: true,
    arity: 3,
    flags: ['write', 'no_multi'],
    keys: noKeys,
    categories: ['keyspace', 'dangerous'],
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    complexity: 'O(N) where N is the number of keys of all databases',
    summary: 'Removes all keys of a group, also those that are being loaded.',
    syntax: 'name',
    placement: 'fan-out',
    run: flush,
  },
  {
    ...common,
    name: 'warm',
    onHub: true,
    arity: -4,
    flags: ['readonly', 'no_multi'],
    keys: [3, -1, 1],
    keyFlags: ['RO', 'access'],
    tips: ['request_policy:multi_shard', 'response_policy:agg_sum'],
    complexity: 'O(N) where N is the number of keys',
    summary:
      'Loads those of the keys that are not fresh, in the background, and returns how many they are.',
    syntax: 'name key [key ...]',
    placement: 'scatter',
    repeatable: () => true,
    run: warm,
  },
  helpRow({ container: 'group', more: rulesHelp, ...common }),
] as const satisfies readonly Command[]

export const groupCommands = [
  {
    ...common,
    name: 'group',
    arity: -2,
    flags: [],
    keys: noKeys,
    complexity: 'Depends on subcommand.',
    summary: 'Commands about the groups, whose keys are loaded from origins.',
    subcommands: groupRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
