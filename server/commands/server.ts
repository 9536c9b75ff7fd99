/** Commands about the server as a whole. */
import { type Args, TEXT_BYTES_MAX } from '../../protocol/args.ts'
import * as errors from '../../protocol/errors.ts'
import { isLocal } from '../address.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { isSecret } from '../config.ts'
import { sumOfFacts } from '../facts.ts'
import { info, keyspaceOfAll } from '../info.ts'
import { helpRow, noSubcommand } from './container.ts'

function serverInfo(client: Client): void {
  const { args, hub, reply } = client
  const names = words(args, 1)
  if (names.length === 1 && names[0]!.toLowerCase() === 'keyspace') {
    if (client.peer === null && hub.routing.enabled) return tellKeyspaceOfAll(client)
  }
  client.survey('facts', null, (facts) => reply.verbatim(info(hub, sumOfFacts(facts), names)))
}

/** INFO keyspace in a cluster is about the keys of all nodes, as DBSIZE is. Nodes that do not answer are left out. */
function tellKeyspaceOfAll(client: Client): void {
  const { hub } = client
  const slot = client.hold()
  const args = [Buffer.from('INFO'), Buffer.from('keyspace')]
  hub.routing.router!.fanOut(
    { args },
    (_, done) => done(null),
    (parts) => {
      const others = parts.flatMap(({ value }) => (Buffer.isBuffer(value) ? String(value) : []))
      slot.settle((to) => to.verbatim(keyspaceOfAll(hub, others)))
    },
  )
}

/** Seconds and microseconds by the wall clock. */
function time({ reply, server }: Client): void {
  const wallMs = server.world.clock.wall()
  const seconds = Math.floor(wallMs / 1000)
  reply.array(2)
  reply.text(String(seconds))
  reply.text(String(Math.floor((wallMs - seconds * 1000) * 1000)))
}

function configGet({ args, hub, reply }: Client): void {
  const found = hub.config.get(words(args, 2))
  reply.map(found.size)
  for (const [name, value] of found) {
    reply.text(name)
    reply.text(value)
  }
}

/** It is answered when it is in force in all threads. */
function configSet(client: Client): void {
  const { args, hub, reply } = client
  if (args.count % 2 === 1) return reply.error(errors.ERR_SYNTAX)
  const given = words(args, 2)
  const pairs: [name: string, value: string][] = []
  for (let i = 0; i < given.length; i += 2) pairs.push([given[i]!, given[i + 1]!])
  const error = hub.config.set(pairs, isLocal(client.address))
  if (error === null) client.survey('settle', null, () => reply.ok())
  else reply.error(error)
}

/** The values of directives that are secret. */
function configSecrets(args: Args): number[] {
  const found: number[] = []
  for (let i = 2; i + 1 < args.count; i += 2) if (isSecret(args.text(i))) found.push(i + 1)
  return found
}

/** The arguments from `from` on, as text in UTF-8. */
function words(args: Args, from: number): string[] {
  const found: string[] = []
  for (let i = from; i < args.count; i++) found.push(args.head(i, TEXT_BYTES_MAX).toString())
  return found
}

function configRewrite({ hub, reply }: Client): void {
  const error = hub.config.rewrite()
  if (error === null) reply.ok()
  else reply.error(error)
}

function configResetStat({ hub, reply }: Client): void {
  hub.stats.reset(hub.store.stats)
  hub.sweeper.reset()
  reply.ok()
}

/**
 * NOW is about waiting for replicas: there are none. A shutdown cannot be called off, for while the
 * last snapshot is written no command runs.
 */
function shutdown(client: Client): void {
  const { args, hub, reply } = client
  const given = { nosave: false, save: false, now: false, force: false, abort: false }
  const options = Object.keys(given) as (keyof typeof given)[]
  for (let i = 1; i < args.count; i++) {
    const option = options.find((word) => args.is(i, word))
    if (option === undefined) return reply.error(errors.ERR_SYNTAX)
    given[option] = true
  }
  const { abort, ...how } = given
  if (abort && Object.values(how).includes(true)) return reply.error(errors.ERR_SYNTAX)
  if (abort) return reply.error(errors.ERR_NO_SHUTDOWN)
  if (how.nosave && how.save) return reply.error(errors.ERR_SYNTAX)
  const save = how.save ? true : how.nosave ? false : null
  const slot = client.defer()
  void hub.end({ save, force: how.force }).then((done) => {
    // When it is done nothing is answered, as in Redis: the connection ends.
    slot.settle((later) => {
      if (!done) later.error(errors.ERR_SHUTDOWN)
    })
  })
}

const noKeys = [0, 0, 0] as const
const byAdmin = ['admin', 'noscript', 'loading', 'stale'] as const

const configRows = [
  {
    name: 'get',
    onHub: true,
    arity: -3,
    flags: byAdmin,
    keys: noKeys,
    group: 'server',
    since: '2.0.0',
    history: [['7.0.0', 'Added the ability to pass multiple pattern parameters in one call']],
    complexity: 'O(N) when N is the number of configuration parameters provided',
    summary: 'Returns the directives whose names match a pattern, with their values.',
    syntax: 'parameter [parameter ...]',
    run: configGet,
  },
  {
    name: 'set',
    onHub: true,
    arity: -4,
    flags: byAdmin,
    keys: noKeys,
    group: 'server',
    tips: ['request_policy:all_nodes', 'response_policy:all_succeeded'],
    since: '2.0.0',
    history: [['7.0.0', 'Added the ability to set multiple parameters in one call.']],
    complexity: 'O(N) when N is the number of configuration parameters provided',
    summary: 'Changes directives while the server runs: all of those named, or none.',
    syntax: 'parameter value [parameter value ...]',
    secrets: configSecrets,
    run: configSet,
  },
  {
    name: 'rewrite',
    onHub: true,
    arity: 2,
    flags: byAdmin,
    keys: noKeys,
    group: 'server',
    since: '2.8.0',
    complexity: 'O(1)',
    summary: 'Writes the directives as they are now into the config file.',
    run: configRewrite,
  },
  {
    name: 'resetstat',
    onHub: true,
    arity: 2,
    flags: byAdmin,
    keys: noKeys,
    group: 'server',
    since: '2.0.0',
    complexity: 'O(1)',
    summary: 'Sets the counters that INFO shows to zero.',
    run: configResetStat,
  },
  helpRow({ container: 'config', group: 'server', since: '5.0.0' }),
] as const satisfies readonly Command[]

export const serverCommands = [
  {
    name: 'info',
    differs: 'in a cluster `INFO keyspace`, with no other section, is about the keys of all nodes',
    onHub: true,
    arity: -1,
    flags: ['loading', 'stale'],
    keys: noKeys,
    group: 'server',
    categories: ['dangerous'],
    tips: ['nondeterministic_output', 'request_policy:all_shards', 'response_policy:special'],
    since: '1.0.0',
    history: [['7.0.0', 'Added support for taking multiple section arguments.']],
    complexity: 'O(1)',
    summary: 'Tells how the server does, in lines of name and value.',
    syntax: '[section [section ...]]',
    run: serverInfo,
  },
  {
    name: 'config',
    arity: -2,
    flags: [],
    keys: noKeys,
    group: 'server',
    since: '2.0.0',
    complexity: 'Depends on subcommand.',
    summary: 'Commands about the directives that the server runs with.',
    subcommands: configRows,
    run: noSubcommand,
  },
  {
    name: 'time',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    keys: noKeys,
    group: 'server',
    tips: ['nondeterministic_output'],
    since: '2.6.0',
    complexity: 'O(1)',
    summary: 'Returns the wall clock as seconds since 1970 and microseconds of the second.',
    run: time,
  },
  {
    name: 'shutdown',
    onHub: true,
    arity: -1,
    flags: ['admin', 'noscript', 'loading', 'stale', 'no_multi', 'allow_busy'],
    keys: noKeys,
    group: 'server',
    since: '1.0.0',
    history: [['7.0.0', 'Added the `NOW`, `FORCE` and `ABORT` modifiers.']],
    complexity: 'O(1)',
    summary: 'Ends the server after the replies that are under way.',
    syntax: '[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]',
    argumentNotes: {
      now: { since: '7.0.0' },
      force: { since: '7.0.0' },
      abort: { since: '7.0.0' },
    },
    run: shutdown,
  },
] as const satisfies readonly Command[]
