/** MEMORY: what the memory is used for. */
import { ERR_NOT_INTEGER, ERR_SYNTAX } from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { type Facts, sumOfFacts } from '../facts.ts'
import type { Server } from '../server.ts'
import { diagnose, EXPIRY_BYTES, percent, SLOT_BYTES, usageOf } from '../memory/usage.ts'
import { helpRow, noSubcommand } from './container.ts'
import { peekKey } from './lookup.ts'

/** SAMPLES is about collections, of which there are none. */
function usage(client: Client): void {
  const { store, args, reply } = client
  for (let i = 3; i < args.count; i += 2) {
    if (!args.is(i, 'samples') || i + 1 === args.count) return reply.error(ERR_SYNTAX)
    const samples = args.integer(i + 1)
    if (Number.isNaN(samples)) return reply.error(ERR_NOT_INTEGER)
    if (samples < 0) return reply.error(ERR_SYNTAX)
  }
  const found = peekKey(client, 2)
  const bytes = store.occupiedBytes
  store.close()
  if (found) reply.integer(bytes)
  else reply.null()
}

/* ---- MEMORY STATS: a map, of Redis's names in Redis's order ---- */

type Field = readonly [name: string, write: (reply: Reply) => void]

const integer = (n: number) => (reply: Reply) => reply.integer(n)
const double = (x: number) => (reply: Reply) => reply.double(x)
const map = (fields: readonly Field[]) => (reply: Reply) => {
  reply.map(fields.length)
  for (const [name, write] of fields) {
    reply.text(name)
    write(reply)
  }
}

function stats(client: Client): void {
  const { hub, reply } = client
  client.survey('facts', null, (facts) => map(fieldsOf(hub, sumOfFacts(facts)))(reply))
}

/** Fields of what is not here are 0. "Allocator" is the store's memory, "rss" the process's. */
function fieldsOf(server: Server, facts: Facts): Field[] {
  const { used, peak, startup, touched, resident, ...account } = usageOf(server, facts)
  const keys = server.store.stats.entries
  const net = used - startup
  return [
    ['peak.allocated', integer(peak)],
    ['total.allocated', integer(used)],
    ['startup.allocated', integer(startup)],
    ['replication.backlog', integer(0)],
    ['clients.slaves', integer(0)],
    ['clients.normal', integer(account.clients)],
    ['cluster.links', integer(account.peers)],
    ['aof.buffer', integer(0)],
    ['lua.caches', integer(0)],
    ['functions.caches', integer(0)],
    ...databasesOf(server),
    ['overhead.total', integer(account.overhead)],
    ['keys.count', integer(keys)],
    ['keys.bytes-per-key', integer(keys === 0 ? 0 : Math.floor(net / keys))],
    ['dataset.bytes', integer(account.dataset)],
    ['dataset.percentage', double(percent(account.dataset, net))],
    ['peak.percentage', double(percent(used, peak))],
    ['allocator.allocated', integer(used)],
    ['allocator.active', integer(touched)],
    ['allocator.resident', integer(touched)],
    ['allocator-fragmentation.ratio', double(touched / used)],
    ['allocator-fragmentation.bytes', integer(touched - used)],
    ['allocator-rss.ratio', double(1)],
    ['allocator-rss.bytes', integer(0)],
    ['rss-overhead.ratio', double(resident / touched)],
    ['rss-overhead.bytes', integer(resident - touched)],
    ['fragmentation', double(resident / used)],
    ['fragmentation.bytes', integer(resident - used)],
  ]
}

/** One field for each database with keys. */
function databasesOf({ config, databases, store }: Server): Field[] {
  const all = Array.from({ length: config.databases }, (_, number) => number)
  const fields = (db: number): Field[] => [
    ['overhead.hashtable.main', integer(store.size(db) * SLOT_BYTES)],
    ['overhead.hashtable.expires', integer(store.expiring(db) * EXPIRY_BYTES)],
    ['overhead.hashtable.slot-to-keys', integer(0)],
  ]
  return all.flatMap((number): Field[] => {
    const db = databases.behind(number)
    return store.size(db) > 0 ? [[`db.${number}`, map(fields(db))]] : []
  })
}

/* ---- the others ---- */

function doctor(client: Client): void {
  const { hub, reply } = client
  client.survey('facts', null, (facts) => {
    const findings = diagnose(hub, sumOfFacts(facts))
    const nothing = ['There is nothing to be said about the memory.']
    const lines = findings.length === 0 ? nothing : findings
    reply.verbatim(lines.map((line) => `${line}\n`).join(''))
  })
}

function mallocStats({ reply }: Client): void {
  reply.verbatim('Stats not supported for the current allocator')
}

/** Chunks that are not used are the pool's at once; WebAssembly's memory is not given back. */
function purge({ reply }: Client): void {
  reply.ok()
}

const noKeys = [0, 0, 0] as const
const byShard = ['request_policy:all_shards', 'response_policy:special'] as const
const report = {
  arity: 2,
  flags: [],
  keys: noKeys,
  group: 'server',
  tips: ['nondeterministic_output', ...byShard],
  since: '4.0.0',
  complexity: 'O(1)',
} as const

const memoryRows = [
  {
    ...report,
    name: 'doctor',
    differs: "speaks of ringtier's memory",
    onHub: true,
    summary: 'Tells in sentences what stands out about the memory.',
    run: doctor,
  },
  {
    ...report,
    name: 'malloc-stats',
    differs: 'there is no allocator to tell of, and it says so',
    summary: 'Says that there are no statistics of an allocator.',
    run: mallocStats,
  },
  {
    ...report,
    name: 'purge',
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    summary: 'Answers OK: unused chunks are given back to the pool at once.',
    run: purge,
  },
  {
    ...report,
    name: 'stats',
    differs: "the fields of Redis that have a meaning here, and ringtier's own",
    onHub: true,
    summary: 'Tells what the memory is used for, as a map of names and values.',
    run: stats,
  },
  {
    name: 'usage',
    differs: 'exact to the byte of what the entry occupies; `SAMPLES` changes nothing',
    arity: -3,
    flags: ['readonly'],
    keys: [2, 2, 1],
    keyFlags: ['RO'],
    group: 'server',
    since: '4.0.0',
    complexity: 'O(1)',
    summary: 'Tells the bytes that a key and its value take, with all that belongs to them.',
    syntax: 'key [SAMPLES count]',
    run: usage,
  },
  helpRow({ container: 'memory', group: 'server', since: '4.0.0' }),
] as const satisfies readonly Command[]

export const memoryCommands = [
  {
    name: 'memory',
    arity: -2,
    flags: [],
    keys: noKeys,
    group: 'server',
    since: '4.0.0',
    complexity: 'Depends on subcommand.',
    summary: 'Commands about what the memory is used for.',
    subcommands: memoryRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
