/** What the server does (MONITOR), and what of it took long (SLOWLOG, LATENCY). */
import {
  ERR_MONITOR_IN_EXEC,
  ERR_SLOWLOG_COUNT,
  noLatencySamples,
  subcommandSyntax,
} from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Client } from '../clients/client.ts'
import type { Command, CommandEntry } from '../command.ts'
import { steps, sum } from '../histogram.ts'
import { diagnoseLatency, graphOf } from '../latency.ts'
import { helpRow, noSubcommand } from './container.ts'

/** A second one answers nothing, as in Redis. */
function monitor(client: Client): void {
  if (client.isMonitor) return
  if (client.transaction !== null) return client.reply.error(ERR_MONITOR_IN_EXEC)
  client.reply.ok()
  client.monitor(true)
}

/** As in Redis. */
const slowLogGetDefault = 10

function slowLogGet({ args, reply, hub }: Client): void {
  let count = slowLogGetDefault
  if (args.count > 2) {
    if (args.count > 3) return reply.error(subcommandSyntax(args.text(1), 'slowlog'))
    count = args.integer(2)
    if (!(count >= -1)) return reply.error(ERR_SLOWLOG_COUNT)
    if (count === -1) count = Infinity
  }
  const entries = hub.slowLog.newest(count)
  reply.array(entries.length)
  for (const { id, seconds, micros, args: shown, address, clientName } of entries) {
    reply.array(6)
    reply.integer(id)
    reply.integer(seconds)
    reply.integer(micros)
    reply.array(shown.length)
    for (const arg of shown) reply.bulk(arg, 0, arg.length)
    reply.text(address)
    reply.text(clientName)
  }
}

function slowLogLength({ reply, hub }: Client): void {
  reply.integer(hub.slowLog.length)
}

function slowLogReset({ reply, hub }: Client): void {
  hub.slowLog.reset()
  reply.ok()
}

/* ---- LATENCY ---- */

function latest({ reply, hub }: Client): void {
  const histories = hub.latency.histories()
  reply.array(histories.length)
  for (const { event, samples, worst } of histories) {
    const { seconds, latency } = samples.at(-1)!
    reply.array(4)
    reply.text(event)
    for (const n of [seconds, latency, worst]) reply.integer(n)
  }
}

function history({ args, reply, hub }: Client): void {
  const samples = hub.latency.history(args.text(2))?.samples ?? []
  reply.array(samples.length)
  for (const { seconds, latency } of samples) {
    reply.array(2)
    reply.integer(seconds)
    reply.integer(latency)
  }
}

function latencyReset({ args, reply, hub }: Client): void {
  const events: string[] = []
  for (let i = 2; i < args.count; i++) events.push(args.text(i))
  reply.integer(hub.latency.reset(events))
}

function secondsOf({ server }: Client): number {
  return Math.floor(server.world.clock.wall() / 1000)
}

function graph(client: Client): void {
  const { args, reply, hub } = client
  const event = args.text(2)
  const found = hub.latency.history(event)
  if (found === null) reply.error(noLatencySamples(event))
  else reply.verbatim(graphOf(found, secondsOf(client)))
}

function doctor(client: Client): void {
  client.reply.verbatim(diagnoseLatency(client.hub.latency, secondsOf(client)))
}

/** Of a container its subcommands. Unknown names, and commands that never ran, are left out. */
function histogram({ args, reply, hub }: Client): void {
  const found = new Map<CommandEntry, Float64Array>()
  const add = (entry: CommandEntry): void => {
    const counts = hub.stats.histogram(entry.index)
    if (counts !== null) found.set(entry, counts)
    for (const each of entry.subcommands?.entries ?? []) add(each)
  }
  if (args.count === 2) hub.table.entries.forEach(add)
  for (let i = 2; i < args.count; i++) {
    const entry = hub.table.named(args.text(i))
    if (entry !== null) add(entry)
  }
  reply.map(found.size)
  for (const [entry, counts] of found) {
    reply.text(entry.fullName)
    writeHistogram(reply, counts)
  }
}

function writeHistogram(reply: Reply, counts: Float64Array): void {
  const found = steps(counts)
  reply.map(2)
  reply.text('calls')
  reply.integer(sum(counts))
  reply.text('histogram_usec')
  reply.map(found.length)
  for (const { micros, runs } of found) {
    reply.integer(micros)
    reply.integer(runs)
  }
}

const noKeys = [0, 0, 0] as const
const aboutSlowLog = {
  onHub: true,
  flags: ['admin', 'loading', 'stale'],
  keys: noKeys,
  group: 'server',
  since: '2.2.12',
} as const

const slowLogRows = [
  {
    ...aboutSlowLog,
    name: 'get',
    differs: 'of short commands in a pipeline one in 16 is timed',
    arity: -2,
    tips: ['request_policy:all_nodes', 'nondeterministic_output'],
    history: [['4.0.0', 'Added client IP address, port and name to the reply.']],
    complexity: 'O(N) where N is the number of entries returned',
    summary:
      'Returns the newest slow commands (10; -1: all): number, when, microseconds, arguments, client.',
    syntax: '[count]',
    run: slowLogGet,
  },
  {
    ...aboutSlowLog,
    name: 'len',
    arity: 2,
    tips: ['request_policy:all_nodes', 'response_policy:agg_sum', 'nondeterministic_output'],
    complexity: 'O(1)',
    summary: 'Counts the slow commands that are kept.',
    run: slowLogLength,
  },
  {
    ...aboutSlowLog,
    name: 'reset',
    arity: 2,
    tips: ['request_policy:all_nodes', 'response_policy:all_succeeded'],
    complexity: 'O(N) where N is the number of entries in the slowlog',
    summary: 'Forgets them.',
    run: slowLogReset,
  },
  helpRow({ container: 'slowlog', group: 'server', since: '6.2.0' }),
] as const satisfies readonly Command[]

const aboutLatency = {
  onHub: true,
  flags: ['admin', 'noscript', 'loading', 'stale'],
  keys: noKeys,
  group: 'server',
  tips: ['nondeterministic_output', 'request_policy:all_nodes', 'response_policy:special'],
  since: '2.8.13',
  complexity: 'O(1)',
} as const

const latencyRows = [
  {
    ...aboutLatency,
    name: 'doctor',
    arity: 2,
    summary: 'Tells in sentences what took long, and what can be done about it.',
    run: doctor,
  },
  {
    ...aboutLatency,
    name: 'graph',
    arity: 3,
    summary: 'Draws the latencies of an event.',
    syntax: 'event',
    run: graph,
  },
  {
    ...aboutLatency,
    name: 'history',
    arity: 3,
    summary: 'Returns times and latencies of an event.',
    syntax: 'event',
    run: history,
  },
  {
    ...aboutLatency,
    name: 'latest',
    arity: 2,
    summary: 'Returns of each event when it was last slow, how slow then, and at worst.',
    run: latest,
  },
  {
    ...aboutLatency,
    name: 'reset',
    arity: -2,
    tips: ['request_policy:all_nodes', 'response_policy:all_succeeded'],
    summary: 'Forgets events, all when none is named.',
    syntax: '[event [event ...]]',
    run: latencyReset,
  },
  {
    ...aboutLatency,
    name: 'histogram',
    arity: -2,
    since: '7.0.0',
    complexity: 'O(N) where N is the number of commands with latency information being retrieved.',
    summary: 'Returns how many runs of commands took 1, 2, 4 ... microseconds or less.',
    syntax: '[command [command ...]]',
    run: histogram,
  },
  helpRow({ container: 'latency', group: 'server', since: '2.8.13' }),
] as const satisfies readonly Command[]

const container = {
  arity: -2,
  flags: [],
  keys: noKeys,
  group: 'server',
  complexity: 'Depends on subcommand.',
  run: noSubcommand,
} as const

export const diagnosisCommands = [
  {
    name: 'monitor',
    arity: 1,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    keys: noKeys,
    group: 'server',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Shows every command as it runs, until RESET or the end of the connection.',
    run: monitor,
  },
  {
    ...container,
    name: 'slowlog',
    since: '2.2.12',
    summary: 'Commands about the commands that took long.',
    subcommands: slowLogRows,
  },
  {
    ...container,
    name: 'latency',
    since: '2.8.13',
    summary: 'Commands about what took long.',
    subcommands: latencyRows,
  },
] as const satisfies readonly Command[]
