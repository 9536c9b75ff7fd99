/** What cluster-aware clients ask about the ring, and how other nodes make themselves known. */
import { answerHello, verify } from '../../cluster/handshake.ts'
import type { Member, Membership } from '../../cluster/membership.ts'
import { SLOT_COUNT, keySlot } from '../../cluster/slots.ts'
import * as errors from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import { isLocal } from '../address.ts'
import type { Client } from '../client.ts'
import type { Command } from '../command.ts'
import { peerExec, peerUnwatch, peerWatch } from '../transactions/routing.ts'
import { handoffRows } from './handoff.ts'
import { helpRow, noSubcommand } from './container.ts'
import { countKeysInSlot, getKeysInSlot } from './slot-keys.ts'

/**
 * A command that makes sense in a cluster only. HELP is refused outside of one as well, as in
 * Redis.
 */
function inCluster(run: (client: Client, membership: Membership) => void) {
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
  reply.text(state === 'down' ? 'fail' : 'online')
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

/** Redis's words: `fail?` for a node that missed an answer, `fail` for one that is out. */
function flagsOf({ self, state }: Member): string {
  if (self) return 'myself,master'
  if (state === 'suspect') return 'master,fail?'
  return state === 'down' ? 'master,fail' : 'master'
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

function peerHello(client: Client, membership: Membership): void {
  const { args, reply, server } = client
  const { 'cluster-secret': secret } = server.config
  const words = [args.text(2), args.text(3), args.text(4)]
  const owner = { name: membership.self, secret, random: server.world.random }
  const answer = answerHello(owner, words)
  if ('refusal' in answer) return reply.error(answer.refusal)
  client.peerChallenge = answer.meeting
  reply.array(answer.reply.length)
  for (const word of answer.reply) reply.text(word)
}

/**
 * From here on the connection is a node's: it needs no password, and what it asks is answered here
 * and never passed on.
 */
function peerAuth(client: Client): void {
  const { args, reply, server } = client
  const meeting = client.peerChallenge
  if (meeting === null) return reply.error(errors.ERR_PEER_AUTH_FIRST)
  client.peerChallenge = null
  const { 'cluster-secret': secret } = server.config
  if (secret === '' && !mayGoWithoutSecret(client)) {
    return reply.error(errors.ERR_PEER_SECRET_MISSING)
  }
  if (!verify(secret, 'caller', meeting, args.text(2))) return reply.error(errors.ERR_PEER_PROOF)
  client.authenticated = true
  client.isStranger = false
  client.useProtocol(2)
  reply.ok()
  client.peer = meeting.caller
}

/** Which view this node has: another one asks with each heartbeat. */
function peerView({ peer, reply }: Client, { epoch, viewHash }: Membership): void {
  if (peer === null) return reply.error(errors.ERR_PEER_ONLY)
  reply.array(2)
  reply.integer(epoch)
  reply.integer(viewHash)
}

/** Who this node is, as a list of members would have it. */
function peerSelf({ peer, reply }: Client, membership: Membership): void {
  if (peer === null) return reply.error(errors.ERR_PEER_ONLY)
  const { name, weight } = membership.member(membership.self)!
  reply.text(`${name}*${weight}`)
}

/** Does a node answer this one's heartbeats? For another one, whose heartbeats it does not answer. */
function peerProbe({ args, peer, reply }: Client, membership: Membership): void {
  if (peer === null) return reply.error(errors.ERR_PEER_ONLY)
  reply.integer(membership.member(args.text(2))?.state === 'up' ? 1 : 0)
}

/**
 * PEER REJOIN: this node was down for the one that asks, which counts on it again once it has forgotten
 * all that it had.
 */
function peerRejoin({ hub, peer, reply }: Client): void {
  if (peer === null) return reply.error(errors.ERR_PEER_ONLY)
  if (hub.ownedSlots!.doubt.rejoin(peer)) reply.ok()
  else reply.error(errors.ERR_PEER_NOT_YET)
}

/** PEER LIVE: is the node that asks in this one's ring? */
function peerLive({ hub, peer, reply }: Client): void {
  if (peer === null) return reply.error(errors.ERR_PEER_ONLY)
  reply.integer(hub.ownedSlots!.isLive(peer) ? 1 : 0)
}

/** Without a secret anybody could prove to know it: only on one machine, and past no password. */
function mayGoWithoutSecret(client: Client): boolean {
  return client.server.config.requirepass === '' && isLocal(client.address)
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

const amongNodes = ['noscript', 'no_multi'] as const
/** Asked all the time, whatever clients do. */
const amongNodesUnseen = [...amongNodes, 'skip_monitor', 'skip_slowlog'] as const

const peerRows = [
  {
    name: 'hello',
    arity: 5,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'no_multi', 'allow_busy'],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Begins the handshake of two nodes: this one proves that it knows the cluster secret.',
    syntax: 'version name nonce',
    run: inCluster(peerHello),
  },
  {
    name: 'auth',
    arity: 3,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'no_multi', 'allow_busy'],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Ends the handshake: the other node proves it too, and speaks as a peer from now on.',
    syntax: 'proof',
    run: inCluster(peerAuth),
  },
  {
    name: 'view',
    arity: 2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_multi', 'allow_busy'],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Tells another node the epoch of this one and the hash of its view.',
    run: inCluster(peerView),
  },
  {
    name: 'self',
    arity: 2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_multi', 'allow_busy'],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Tells another node, which knows an address only, the name and weight of this one.',
    run: inCluster(peerSelf),
  },
  {
    name: 'probe',
    arity: 3,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_multi', 'allow_busy'],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Tells another node whether a third one answers this one.',
    syntax: 'name',
    run: inCluster(peerProbe),
  },
  {
    name: 'rejoin',
    onHub: true,
    arity: 2,
    flags: [...amongNodes, 'loading', 'stale'],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1), and what was forgotten is removed in the background.',
    summary: 'Makes a node that was down for the one that asks forget all that it has.',
    run: inCluster(peerRejoin),
  },
  {
    name: 'live',
    onHub: true,
    arity: 2,
    flags: [...amongNodes, 'loading', 'stale', 'fast'],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Tells a node whether it is in the ring of the one that it asks.',
    run: inCluster(peerLive),
  },
  {
    name: 'watch',
    arity: -3,
    flags: amongNodes,
    keys: [2, -1, 1],
    keyFlags: ['RO'],
    placement: 'here',
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1) for every key.',
    summary: 'WATCH for a client of another node; answers a ticket.',
    syntax: 'key [key ...]',
    run: peerWatch,
  },
  {
    name: 'unwatch',
    arity: 3,
    flags: amongNodes,
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(N) where N is the number of keys watched by the ticket.',
    summary: 'UNWATCH for a client of another node.',
    syntax: 'ticket',
    run: peerUnwatch,
  },
  {
    name: 'exec',
    arity: 5,
    flags: amongNodes,
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'Depends on commands in the transaction.',
    summary: 'EXEC for a client of another node: runs its commands that have keys.',
    syntax: 'protocol tickets requests',
    run: peerExec,
  },
  {
    name: 'hotget',
    arity: 4,
    flags: amongNodesUnseen,
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Asks for a copy of a hot key, and to be told when it changes.',
    syntax: 'key rate',
    run: (client: Client) => client.server.hotGrants.grant(client),
  },
  {
    name: 'hotlog',
    arity: -4,
    flags: amongNodesUnseen,
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(N) where N is the number of keys that have changed',
    summary: 'Waits for changes of keys that were granted, and reports reads of their copies.',
    syntax: 'log number [key reads [key reads ...]]',
    run: (client: Client) => client.server.hotGrants.tell(client),
  },
  ...handoffRows,
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
  {
    name: 'peer',
    arity: -2,
    flags: [],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'Depends on subcommand.',
    summary: 'How nodes of a cluster make sure of each other; of no use to clients.',
    subcommands: peerRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
