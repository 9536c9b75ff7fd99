/** What cluster-aware clients ask about the ring. */
import type { Member, Membership, MemberState } from '../../cluster/members/membership.ts'
import { SLOT_COUNT, keySlot } from '../../cluster/slots.ts'
import * as errors from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { helpRow, noSubcommand } from './container.ts'
import { countKeysInSlot, getKeysInSlot } from './slot-keys.ts'

/**
 * A command that makes sense in a cluster only. HELP is refused outside of one as well, as in
 * Redis.
 */
export function inCluster(run: (client: Client, membership: Membership) => void) {
  return (client: Client): void => {
    const { membership } = client.server.routing
    if (membership === null) client.reply.error(errors.ERR_CLUSTER_DISABLED)
    else run(client, membership)
  }
}

/** Each member's ranges of slots, those without any included, by name. */
function rangesByName(membership: Membership): Map<string, { start: number; end: number }[]> {
  const ranges = new Map(membership.members.map(({ name }) => [name, [] as SlotRun[]]))
  for (const { start, end, owner } of membership.live().ranges()) {
    ranges.get(owner)!.push({ start, end })
  }
  return ranges
}

interface SlotRun {
  readonly start: number
  readonly end: number
}

function slots({ reply }: Client, membership: Membership): void {
  const ranges = membership.live().ranges()
  reply.array(ranges.length)
  for (const { start, end, owner } of ranges) {
    const { host, port, id } = membership.member(owner)!
    reply.array(3)
    reply.integer(start)
    reply.integer(end)
    reply.array(4)
    reply.text(host)
    reply.integer(port)
    reply.text(id)
    reply.map(0)
  }
}

function shards({ reply }: Client, membership: Membership): void {
  const ranges = rangesByName(membership)
  reply.array(membership.members.length)
  for (const member of membership.members) {
    const own = ranges.get(member.name)!
    reply.map(2)
    reply.text('slots')
    reply.array(2 * own.length)
    for (const { start, end } of own) {
      reply.integer(start)
      reply.integer(end)
    }
    reply.text('nodes')
    reply.array(1)
    writeShardNode(reply, member)
  }
}

function writeShardNode(reply: Reply, { id, host, port, state }: Member): void {
  reply.map(7)
  reply.text('id')
  reply.text(id)
  reply.text('port')
  reply.integer(port)
  reply.text('ip')
  reply.text(host)
  reply.text('endpoint')
  reply.text(host)
  reply.text('role')
  reply.text('master')
  reply.text('replication-offset')
  reply.integer(0)
  reply.text('health')
  reply.text(healthOf(state))
}

/** Redis's words: a node that is not to be asked has no slots, and is there. */
function healthOf(state: MemberState): string {
  if (state === 'leaving') return 'loading'
  return state === 'down' ? 'fail' : 'online'
}

/** One line a member, in the format of the Redis cluster specification. */
function nodes({ reply }: Client, membership: Membership): void {
  const ranges = rangesByName(membership)
  const lines = membership.members.map((member) => {
    const own = ranges.get(member.name)!.map(({ start, end }) => {
      return start === end ? `${start}` : `${start}-${end}`
    })
    const fields = [
      member.id,
      // Peers are spoken to on the port that clients use: there is no second one.
      `${member.host}:${member.port}@${member.port}`,
      flagsOf(member),
      '-',
      member.answeredAt < member.pingedAt ? Math.floor(member.pingedAt) : 0,
      Math.floor(member.answeredAt),
      membership.epoch,
      member.state === 'down' ? 'disconnected' : 'connected',
      ...own,
    ]
    return `${fields.join(' ')}\n`
  })
  reply.verbatim(lines.join(''))
}

/**
 * Redis's words: `fail?` for a node that missed an answer, `fail` for one that is out. It has none for one
 * that leaves: `nofailover` is a word that clients know, and nothing follows from it for a master.
 */
function flagsOf({ self, state }: Member): string {
  const flags = self ? 'myself,master' : 'master'
  if (state === 'suspect') return `${flags},fail?`
  if (state === 'leaving') return `${flags},nofailover`
  return state === 'down' ? `${flags},fail` : flags
}

function clusterInfo({ reply, server }: Client, membership: Membership): void {
  const ring = membership.live()
  const suspected = membership.members
    .filter(({ state }) => state === 'suspect')
    .reduce((sum, { name }) => sum + ring.slotsOf(name), 0)
  const fields = {
    // As long as this node answers, every slot has an owner; but writes may be refused.
    cluster_state: server.gate.minority ? 'fail' : 'ok',
    cluster_slots_assigned: SLOT_COUNT,
    cluster_slots_ok: SLOT_COUNT - suspected,
    cluster_slots_pfail: suspected,
    cluster_slots_fail: 0,
    cluster_known_nodes: membership.members.length,
    cluster_size: ring.names.length,
    cluster_current_epoch: membership.epoch,
    cluster_my_epoch: membership.epoch,
  }
  const lines = Object.entries(fields).map(([name, value]) => `${name}:${value}\r\n`)
  reply.verbatim(lines.join(''))
}

/** All connections with other nodes, those of all threads. */
function links(client: Client): void {
  client.survey('links', null, (threads) => {
    const { reply } = client
    const { membership } = client.server.routing
    const all = threads.flat()
    reply.array(all.length)
    for (const { direction, node, createdAt, waitingBytes } of all) {
      reply.map(6)
      reply.text('direction')
      reply.text(direction)
      reply.text('node')
      reply.text(membership?.member(node)?.id ?? '')
      reply.text('create-time')
      reply.integer(Math.floor(createdAt))
      reply.text('events')
      reply.text(waitingBytes > 0 ? 'rw' : 'r')
      reply.text('send-buffer-allocated')
      reply.integer(waitingBytes)
      reply.text('send-buffer-used')
      reply.integer(waitingBytes)
    }
  })
}

/** There are none: of a node that there is. */
function replicas({ args, reply }: Client, membership: Membership): void {
  const id = args.text(2)
  if (membership.members.some((member) => member.id === id)) reply.array(0)
  else reply.error(errors.unknownNode(id))
}

function myId({ reply }: Client, membership: Membership): void {
  reply.text(membership.member(membership.self)!.id)
}

function keySlotOf({ args, reply }: Client): void {
  reply.integer(keySlot(args.bytes, args.pos(2), args.length(2)))
}

/** Every node answers for every key: there is no replica that a client would have to ask for. */
function ok({ reply }: Client): void {
  reply.ok()
}

const noKeys = [0, 0, 0] as const
const stale = ['stale'] as const
const help = helpRow({ container: 'cluster', group: 'cluster', since: '5.0.0' })

const clusterRows = [
  {
    name: 'slots',
    onHub: true,
    arity: 2,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    tips: ['nondeterministic_output'],
    since: '3.0.0',
    history: [
      ['4.0.0', 'Added node IDs.'],
      ['7.0.0', 'Added additional networking metadata field.'],
    ],
    complexity: 'O(N) where N is the total number of ranges of slots',
    deprecated: { since: '7.0.0', replacedBy: '`CLUSTER SHARDS`' },
    summary: 'Lists the ranges of slots, each with the node that owns it.',
    run: inCluster(slots),
  },
  {
    name: 'shards',
    onHub: true,
    arity: 2,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    tips: ['nondeterministic_output'],
    since: '7.0.0',
    complexity: 'O(N) where N is the total number of ranges of slots',
    summary: 'Lists the nodes, each with the ranges of slots that it owns.',
    run: inCluster(shards),
  },
  {
    name: 'nodes',
    onHub: true,
    arity: 2,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    tips: ['nondeterministic_output'],
    since: '3.0.0',
    complexity: 'O(N) where N is the total number of ranges of slots',
    summary: 'Lists the nodes as this one sees them, one line each.',
    run: inCluster(nodes),
  },
  {
    name: 'info',
    onHub: true,
    arity: 2,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    tips: ['nondeterministic_output'],
    since: '3.0.0',
    complexity: 'O(N) where N is the number of slots',
    summary: 'Tells how many nodes and slots there are and how they do.',
    run: inCluster(clusterInfo),
  },
  {
    name: 'myid',
    arity: 2,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    since: '3.0.0',
    complexity: 'O(1)',
    summary: 'Returns the id of this node, which follows from its name.',
    run: inCluster(myId),
  },
  {
    name: 'keyslot',
    arity: 3,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    since: '3.0.0',
    complexity: 'O(N) where N is the number of bytes in the key',
    summary: 'Returns the slot of a key.',
    syntax: 'key',
    run: inCluster(keySlotOf),
  },
  {
    name: 'countkeysinslot',
    arity: 3,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    since: '3.0.0',
    complexity: 'O(N) where N is the number of keys of this node',
    summary: 'Counts the keys of a slot that this node has.',
    syntax: 'slot',
    differs:
      'keys are not kept by slot: it looks at all keys of the node, and lets others in between',
    run: inCluster(countKeysInSlot),
  },
  {
    name: 'getkeysinslot',
    arity: 4,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    tips: ['nondeterministic_output'],
    since: '3.0.0',
    complexity: 'O(N) where N is the number of keys of this node',
    summary: 'Gives the names of so many keys of a slot that this node has.',
    syntax: 'slot count',
    differs:
      'keys are not kept by slot: it looks at all keys of the node, and lets others in between',
    run: inCluster(getKeysInSlot),
  },
  {
    name: 'links',
    onHub: true,
    arity: 2,
    flags: stale,
    keys: noKeys,
    group: 'cluster',
    tips: ['nondeterministic_output'],
    since: '7.0.0',
    complexity: 'O(N) where N is the number of connections',
    summary: 'Lists the connections with other nodes, those of all threads.',
    run: inCluster(links),
  },
  {
    name: 'replicas',
    arity: 3,
    flags: ['admin', 'stale'],
    keys: noKeys,
    group: 'cluster',
    tips: ['nondeterministic_output'],
    since: '5.0.0',
    complexity: 'O(N) where N is the number of nodes',
    summary: 'Lists the replicas of a node: there are none.',
    syntax: 'node-id',
    run: inCluster(replicas),
  },
  {
    name: 'slaves',
    arity: 3,
    flags: ['admin', 'stale'],
    keys: noKeys,
    group: 'cluster',
    tips: ['nondeterministic_output'],
    since: '3.0.0',
    complexity: 'O(N) where N is the number of nodes',
    deprecated: { since: '5.0.0', replacedBy: '`CLUSTER REPLICAS`' },
    summary: 'Lists the replicas of a node: there are none.',
    syntax: 'node-id',
    run: inCluster(replicas),
  },
  { ...help, run: inCluster(help.run) },
] as const satisfies readonly Command[]

export const clusterCommands = [
  {
    name: 'cluster',
    arity: -2,
    flags: [],
    keys: noKeys,
    group: 'cluster',
    since: '3.0.0',
    complexity: 'Depends on subcommand.',
    summary: 'Commands about the cluster that this node is a part of.',
    subcommands: clusterRows,
    run: noSubcommand,
  },
  {
    name: 'asking',
    arity: 1,
    flags: ['fast'],
    keys: noKeys,
    group: 'cluster',
    categories: ['connection'],
    since: '3.0.0',
    complexity: 'O(1)',
    summary: 'Says that the client follows an ASK; no node answers one, so it changes nothing.',
    run: inCluster(ok),
  },
  {
    name: 'readonly',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    keys: noKeys,
    group: 'cluster',
    categories: ['connection'],
    since: '3.0.0',
    complexity: 'O(1)',
    summary: 'Allows reads from replicas; there are none, so it changes nothing.',
    run: inCluster(ok),
  },
  {
    name: 'readwrite',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    keys: noKeys,
    group: 'cluster',
    categories: ['connection'],
    since: '3.0.0',
    complexity: 'O(1)',
    summary: 'Takes READONLY back; it changes nothing either.',
    run: inCluster(ok),
  },
] as const satisfies readonly Command[]
