/** How nodes of a cluster make themselves known to each other, and what they ask beside clients' commands. */
import { answerHello, verify } from '../../cluster/peers/handshake.ts'
import type { Membership } from '../../cluster/members/membership.ts'
import * as errors from '../../protocol/errors.ts'
import { isLocal } from '../address.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { peerExec, peerUnwatch, peerWatch } from '../transactions/routing.ts'
import { inCluster } from './cluster.ts'
import { noSubcommand } from './container.ts'
import { copiesRows } from './copies.ts'
import { amongNodes, handoffRows } from './handoff.ts'

function peerHello(client: Client, membership: Membership): void {
  const { args, reply, server } = client
  const { 'cluster-secret': secret, 'tls-cluster': wantsTls } = server.config
  if (wantsTls && client.distrust !== null)
    return reply.error(errors.peerDistrusted(client.distrust))
  const words = [args.text(2), args.text(3), args.text(4)]
  const { incarnation, world } = server
  const owner = { name: membership.self, secret, random: world.random, incarnation }
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

/** Which view this node has, and which process it is: another one asks with each heartbeat. */
function peerView({ peer, reply, server }: Client, { epoch, viewHash }: Membership): void {
  if (peer === null) return reply.error(errors.ERR_PEER_ONLY)
  reply.array(3)
  reply.integer(epoch)
  reply.integer(viewHash)
  reply.text(server.incarnation)
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
 * PEER REJOIN [name]: this node was down for the one that asks, or for the one for which it asks (relays.ts), and
 * is counted on again once it has forgotten all that it had.
 */
function peerRejoin({ args, hub, peer, reply }: Client, membership: Membership): void {
  if (peer === null) return reply.error(errors.ERR_PEER_ONLY)
  const asker = args.count > 2 ? membership.member(args.text(2))?.name : peer
  if (asker !== undefined && hub.ownedSlots!.doubt.rejoin(asker)) reply.ok()
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
    arity: -2,
    flags: [...amongNodes, 'loading', 'stale'],
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1), and what was forgotten is removed in the background.',
    summary: 'Makes a node that was down for the one that asks forget all that it has.',
    syntax: '[name]',
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
    name: 'relay',
    arity: -4,
    flags: amongNodesUnseen,
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'Depends on the command.',
    summary: 'Passes a command of a client on to a node that does not answer the one that asks.',
    syntax: 'name command [argument ...]',
    run: (client: Client) => client.server.relays.pass(client),
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
  ...copiesRows,
] as const satisfies readonly Command[]

export const peerCommands = [
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
