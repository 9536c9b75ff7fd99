/** What nodes say to each other when keys get another owner: server/cluster/handoff.ts and leaving.ts. */
import { INCARNATION_BYTES, incarnationTold } from '../../cluster/peers/handshake.ts'
import { keySlot } from '../../cluster/slots.ts'
import { Args } from '../../protocol/args.ts'
import { ERR_PEER_ONLY } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { type MovedEntry, takeEntry } from '../cluster/moved-entry.ts'

/** PEER TAKE key incarnation: an array of a line and the value, or null; the key is gone. */
function peerTake(client: Client): void {
  const { args, db, peer, reply, server } = client
  const { handoff } = server
  if (peer === null || handoff === null) return reply.error(ERR_PEER_ONLY)
  const { header, membership } = server.routing
  const sees: View = header.view === membership!.viewHash ? 'the same' : 'another'
  if (handoff.gives) return give(client, sees)
  const words = Args.of(args.copy())
  const slot = client.defer()
  handoff.hold(() => slot.answer(() => client.runAs((late) => give(late, sees), words, db)))
}

/** Which view the node that asks has. */
type View = 'the same' | 'another'

/**
 * Is this node to give away what it has in the slot? What it keeps for the node that asks; and what is its
 * own, if that node knows already that it is not any more.
 */
function givesTo({ args, peer, server }: Client, slot: number, sees: View): boolean {
  const ownership = server.routing.ownership!
  if (ownership.isOwn(slot)) return sees === 'another'
  return ownership.keepsFor(slot, peer!, incarnationOf(args, 3))
}

/** As much of it as tells that it is none (cluster/peers/handshake.ts), however long it is. */
function incarnationOf(args: Args, i: number): string {
  return args.head(i, 2 * INCARNATION_BYTES + 1).toString('latin1')
}

/** Takes out what is here for the node that asks; null: nothing, or it is not for that one. */
function takeFor(client: Client, slot: number, sees: View): MovedEntry | null {
  const { args, peer, server, store } = client
  const { config, kept, routing } = server
  if (givesTo(client, slot, sees)) {
    kept?.settleKey(args.bytes, args.pos(2), args.length(2))
    return takeEntry(store, config.groups, args.buffer(2))
  }
  if (kept === null || routing.ownerOfSlot(slot) !== peer) return null
  return kept.giveBack(slot, args.buffer(2))
}

/** Gives away the key that the client's argument 2 is. */
function give(client: Client, sees: View): void {
  const { args, reply, server, store } = client
  const slot = keySlot(args.bytes, args.pos(2), args.length(2))
  store.now = server.world.clock.now()
  const entry = takeFor(client, slot, sees)
  if (entry === null) return reply.null()
  if (entry.value !== null && server.slotStates.hidesSome(slot)) server.slotStates.hiddenGone()
  const { line, value } = entry
  reply.array(2)
  reply.text(line)
  if (value === null) reply.null()
  else if (Buffer.isBuffer(value)) reply.bulk(value)
  else client.replyPages(value)
}

/**
 * PEER KEPT incarnation: 1 if this node keeps anything for the one that asks, and 0 if not; null as long as
 * that may change, since the two see different views, or this node is just leaving.
 */
function peerKept(client: Client): void {
  const { args, peer, reply, server, store } = client
  const { handoff } = server
  if (peer === null || handoff === null) return reply.error(ERR_PEER_ONLY)
  const { header, membership, ownership } = server.routing
  if (header.view !== membership!.viewHash || !handoff.gives) return reply.null()
  const isKept = store.size(0) > 0 && ownership!.keepsAnyFor(peer, incarnationOf(args, 2))
  reply.integer(isKept ? 1 : 0)
}

/** PEER OFFER key [key ...]: answers when this node has asked for those that it wants. */
function peerOffer(client: Client): void {
  const { args, peer, reply, server } = client
  const { handoff } = server
  if (peer === null || handoff === null) return reply.error(ERR_PEER_ONLY)
  let open = args.count - 2
  const slot = client.defer()
  const taken = (): void => {
    if (--open === 0) slot.settle((to) => to.ok())
  }
  for (const key of args.copy().slice(2)) handoff.want(key, taken)
}

/** PEER LEAVE, PEER STAY [incarnation number]: the other node is about to end, or is not after all. */
function hear(leaves: boolean) {
  return (client: Client): void => {
    const { args, peer, reply, server } = client
    const { handoff } = server
    if (peer === null || handoff === null) return reply.error(ERR_PEER_ONLY)
    const isNumbered = args.count > 3
    const incarnation = isNumbered ? incarnationTold(args.buffer(2)) : ''
    const word = { leaves, incarnation, number: isNumbered ? Number(args.text(3)) : 0 }
    const slot = client.defer()
    handoff.hear(peer, word, () => slot.settle((to) => to.ok()))
  }
}

const noKeys = [0, 0, 0] as const
/** Of what only nodes say to each other. */
export const amongNodes = ['noscript', 'no_multi'] as const

export const handoffRows = [
  {
    name: 'take',
    arity: 4,
    flags: [...amongNodes, 'fast'],
    keys: [2, 2, 1],
    keyFlags: ['RW', 'access', 'delete'],
    placement: 'here',
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1)',
    summary: 'Removes a key of which another node is the owner now, and answers what it was.',
    syntax: 'key incarnation',
    run: peerTake,
  },
  {
    name: 'kept',
    arity: 3,
    flags: amongNodes,
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(N) where N is the number of slots',
    summary: 'Tells another node whether this one has anything of slots that are its now.',
    syntax: 'incarnation',
    run: peerKept,
  },
  {
    name: 'offer',
    arity: -3,
    flags: amongNodes,
    keys: [2, -1, 1],
    keyFlags: ['RO'],
    placement: 'here',
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(1) for every key.',
    summary: 'Names keys that another node has which is about to end; this one may take them.',
    syntax: 'key [key ...]',
    run: peerOffer,
  },
  {
    name: 'leave',
    arity: -2,
    flags: amongNodes,
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(N) where N is the number of slots',
    summary: 'Says that the asking node is about to end: its slots have other owners from now on.',
    syntax: '[incarnation number]',
    run: hear(true),
  },
  {
    name: 'stay',
    arity: -2,
    flags: amongNodes,
    keys: noKeys,
    group: 'cluster',
    since: '0.1.0',
    complexity: 'O(N) where N is the number of slots',
    summary: 'Takes PEER LEAVE back.',
    syntax: '[incarnation number]',
    run: hear(false),
  },
] as const satisfies readonly Command[]
