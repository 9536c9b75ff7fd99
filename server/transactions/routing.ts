/*
 * Transactions in a cluster. All keys of one, and those that are watched for it, must have one owner; its
 * commands are queued on the node that the client speaks to, and at EXEC they go to the owner in one
 * request, which runs them as if they had been queued there:
 *
 *   client                        this node                              owner of a, b
 *     WATCH a            ─────>   PEER WATCH a                  ─────>   watches it, answers a ticket
 *     MULTI, GET a, PING, SET b   queues
 *     EXEC               ─────>   PEER EXEC 2 ticket requests   ─────>   runs GET a, SET b
 *                        <─────   runs PING itself              <─────   [reply to GET, reply to SET]
 *
 * - Commands without keys are this node's: they are about the connection, or the server.
 * - The owner keeps what is watched with the link over which it was asked, by ticket. When the link ends,
 *   or another node has become the owner, nobody knows the ticket: then something may have changed, and
 *   EXEC runs nothing.
 * - A node that stands in for the owner runs the transaction, unless something was watched elsewhere.
 * - The owner's replies come as bytes in the client's protocol, so that they are what they would be there.
 * - EXEC is never sent twice: when the link breaks the client hears that it may have run.
 * - Commands that all nodes are asked (KEYS, FLUSHALL) are refused.
 */
import { HUNT_MS } from '../../cluster/routes/hunt.ts'
import { PeerError, type PeerValue } from '../../cluster/peers/replies.ts'
import type { ForwardRequest, Routed } from '../../cluster/routes/router.ts'
import { keySlot } from '../../cluster/slots.ts'
import { Args } from '../../protocol/args.ts'
import { COMMAND, Decoder } from '../../protocol/decoder.ts'
import {
  ERR_CROSSSLOT,
  ERR_PEER_ONLY,
  execAborted,
  fansOutInMulti,
  nodeNonsense,
  tooManyWatches,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { CommandEntry, CommandTable } from '../command.ts'
import { flagBits, keysOf, takes } from '../command.ts'
import type { Watch } from '../store/store.ts'
import { type Queued, Transaction } from './transaction.ts'
import { WatchedKeys, WATCHES_MAX } from './watched-keys.ts'

/** Keys that are watched over one link, by all clients of another node, and bytes of their names. */
const LINK_WATCHES_MAX = 4 * WATCHES_MAX
const LINK_BYTES_MAX = 64 * 1024 * 1024
const TICKET_BYTES = 16

/** What is watched on another node. */
interface Ticket {
  readonly node: string
  readonly id: Buffer
  readonly keys: number
}

/** Where a client's transaction and what it watches belong. */
export class Whereabouts {
  /** Of its first key; -1: there is none yet. */
  slot = -1
  #tickets: Ticket[] = []
  /** Keys that are watched elsewhere. */
  watches = 0

  add(ticket: Ticket): void {
    this.#tickets.push(ticket)
    this.watches += ticket.keys
  }

  /** They are the caller's to end. */
  take(): readonly Ticket[] {
    const tickets = this.#tickets
    this.#tickets = []
    this.watches = 0
    return tickets
  }
}

/** What is watched here over one link, by ticket. */
export class Tickets {
  readonly #watched = new Map<string, WatchedKeys>()
  #keys = 0
  #bytes = 0

  get count(): number {
    return this.#watched.size
  }

  /** False: it is too much for one link. */
  add(id: string, keys: WatchedKeys): boolean {
    const count = this.#keys + keys.count
    const bytes = this.#bytes + keys.bytes
    if (count > LINK_WATCHES_MAX || bytes > LINK_BYTES_MAX) return false
    this.#watched.set(id, keys)
    this.#keys = count
    this.#bytes = bytes
    return true
  }

  /** What was watched by this ticket, the caller's to end. Null: there is no such ticket. */
  take(id: string): readonly Watch[] | null {
    const keys = this.#watched.get(id)
    if (keys === undefined) return null
    this.#watched.delete(id)
    this.#keys -= keys.count
    this.#bytes -= keys.bytes
    return keys.take()
  }

  /** Any key of them may have changed where this node did not see it. */
  spoil(): void {
    for (const keys of this.#watched.values()) keys.spoil()
  }

  /** The link is gone. */
  end(): void {
    for (const keys of this.#watched.values()) keys.end()
    this.#watched.clear()
  }
}

/* ---- on the node that the client speaks to ---- */

/** Why a command may not be queued; null: it may. */
export function refusalInCluster(client: Client, entry: CommandEntry): string | null {
  if (entry.placement === 'fan-out') return fansOutInMulti(entry.fullName)
  if (entry.placement === 'here') return null
  return refusalOfKeys(client, keysOf(entry, client.args) ?? [])
}

/** The same for WATCH; else it is done, or on its way. */
export function watchInCluster(client: Client): void {
  const { args, reply, server, where } = client
  const keys = Array.from({ length: args.count - 1 }, (_, i) => i + 1)
  const refusal = refusalOfKeys(client, keys)
  if (refusal !== null) return reply.error(refusal)
  const router = server.routing.router!
  if (router.isHere(where.slot)) return watchHere(client)
  if (where.watches + args.count - 1 > WATCHES_MAX) {
    return reply.error(tooManyWatches(WATCHES_MAX))
  }
  const copies = args.copy()
  const { db } = client
  const slot = client.hold()
  const words = [Buffer.from('PEER'), ...copies]
  router.forward(request(words, where.slot, { mayPassOn: false }), (routed) => {
    if (routed.kind === 'here') {
      slot.answer(() => client.runAs(watchHere, Args.of(copies), db))
    } else if (routed.kind === 'failed') {
      slot.settle((to) => to.error(routed.line))
    } else if (Buffer.isBuffer(routed.value)) {
      const id = Buffer.from(routed.value)
      const ticket = { node: routed.name, id, keys: copies.length - 1 }
      if (client.isGone) dropTickets(client, [ticket])
      else where.add(ticket)
      slot.settle((to) => to.ok())
    } else {
      slot.settle((to) => to.error(lineOf(routed.name, routed.value)))
    }
  })
}

/** WATCH of keys that are this node's. */
export function watchHere(client: Client): void {
  const { args, db, isGone, reply, watched } = client
  // Nobody would end it.
  if (isGone) return
  if (watched.add(db, args, 1)) reply.ok()
  else reply.error(tooManyWatches(WATCHES_MAX))
}

/** Tells other nodes that what was watched there is not any more. */
export function dropTickets({ server }: Client, tickets: readonly Ticket[]): void {
  for (const { node, id } of tickets) {
    const words = [Buffer.from('PEER'), Buffer.from('UNWATCH'), id]
    const asked = { deadlineMs: HUNT_MS, keyAt: -1, share: false }
    server.routing.peers.get(node)?.request(words, asked, () => {})
  }
}

/** EXEC: here, or on the owner of the keys. The transaction is over when it is answered. */
export function execInCluster(client: Client, transaction: Transaction): void {
  const { args, db, reply, server, where } = client
  const router = server.routing.router!
  const tickets = where.take()
  const watches = client.watched.take()
  const isHere = where.slot < 0 || router.isHere(where.slot)
  if (!haveOneOwner(client, transaction)) {
    // The nodes are others than they were when it was queued.
    endWatches(client, watches, tickets)
    reply.error(execAborted(ERR_CROSSSLOT))
    client.endTransaction()
  } else if (isHere ? tickets.length > 0 : watches.length > 0) {
    // What was watched on another node than the owner may have changed.
    endWatches(client, watches, tickets)
    reply.nullArray()
    client.endTransaction()
  } else if (isHere) {
    transaction.run(client, watches)
    client.endTransaction()
  } else {
    const own = args.detached()
    const slot = client.hold()
    const answer = (write: () => void): void => slot.answer(() => client.runAs(write, own, db))
    const words = wordsOf(client, transaction, tickets)
    transaction.isRunning = true
    const { routing } = server
    const written = transaction.commands.flatMap((queued) =>
      routing.slotsOf(queued.args, queued.entry),
    )
    routing.copied!.wrote(written)
    // What is watched is watched for this node.
    const how = {
      mayPassOn: tickets.length === 0,
      written: () => keysWritten(client, transaction),
    }
    router.forward(request(words, where.slot, how), (routed) => {
      routing.copied!.wrote(written)
      answer(() => answerExec(client, transaction, { routed, tickets }))
      transaction.isRunning = false
      client.endTransaction()
    })
  }
}

/** What became of the transaction on its way to the owner. */
function answerExec(
  client: Client,
  transaction: Transaction,
  { routed, tickets }: { routed: Routed; tickets: readonly Ticket[] },
): void {
  const { reply } = client
  if (routed.kind === 'reply') {
    writeReplies(client, transaction, routed)
    return
  }
  dropTickets(client, tickets)
  if (routed.kind === 'failed') reply.error(routed.line)
  else if (tickets.length > 0) reply.nullArray()
  else {
    visitAll(client, transaction)
    transaction.run(client, [])
  }
}

/** Its keys may be another node's. */
function visitAll({ db, server }: Client, transaction: Transaction): void {
  for (const { entry, args } of transaction.commands) server.routing.visit(entry, args, db)
}

function request(
  args: readonly Buffer[],
  slot: number,
  how: Pick<ForwardRequest, 'mayPassOn' | 'written'>,
): ForwardRequest {
  return { args, slot, keyAt: -1, share: false, repeatable: false, ...how }
}

/** Keys that a transaction changes, but those of whose changes an origin hears. */
function keysWritten({ server }: Client, { commands }: Transaction): Buffer[] {
  return commands.flatMap(({ entry, args }) => {
    const isTold = server.writing.isToldOf(entry, args)
    if ((entry.flags & flagBits.write) === 0 || entry.firstKey === 0 || isTold) return []
    return (keysOf(entry, args) ?? []).map((i) => args.buffer(i))
  })
}

/** Why these arguments, which are keys, cannot join those that are watched and queued; null: they do. */
function refusalOfKeys({ args, server, where }: Client, keys: readonly number[]): string | null {
  let first = where.slot
  for (const i of keys) {
    const slot = keySlot(args.bytes, args.pos(i), args.length(i))
    if (first < 0) first = slot
    else if (!server.routing.haveOneOwner(first, slot)) return ERR_CROSSSLOT
  }
  const refusal = first < 0 ? null : server.routing.refusalOf(first)
  if (refusal !== null) return refusal
  where.slot = first
  return null
}

function haveOneOwner({ server, where }: Client, transaction: Transaction): boolean {
  return transaction.commands.every(({ entry, args }) =>
    (keysOf(entry, args) ?? []).every((i) => {
      const slot = keySlot(args.bytes, args.pos(i), args.length(i))
      return server.routing.haveOneOwner(where.slot, slot)
    }),
  )
}

function endWatches(client: Client, watches: readonly Watch[], tickets: readonly Ticket[]): void {
  for (const watch of watches) client.store.unwatch(watch)
  dropTickets(client, tickets)
}

/** PEER EXEC protocol tickets requests */
function wordsOf(
  client: Client,
  transaction: Transaction,
  tickets: readonly Ticket[],
): readonly Buffer[] {
  const parts: Buffer[] = []
  for (const { entry, args } of transaction.commands) {
    if (entry.firstKey === 0) continue
    parts.push(Buffer.from(`*${args.count}\r\n`))
    for (const word of args.copy()) {
      parts.push(Buffer.from(`$${word.length}\r\n`), word, Buffer.from('\r\n'))
    }
  }
  const ids = tickets.map(({ id }) => id)
  return [
    Buffer.from('PEER'),
    Buffer.from('EXEC'),
    Buffer.from(String(client.protocol)),
    Buffer.concat(ids),
    Buffer.concat(parts),
  ]
}

/** The owner's replies to commands with keys, among our own to those without. */
function writeReplies(
  client: Client,
  transaction: Transaction,
  { name, value }: { readonly name: string; readonly value: PeerValue },
): void {
  const { reply } = client
  if (value === null) return reply.nullArray()
  if (!Array.isArray(value)) return reply.error(lineOf(name, value))
  const replies = value as readonly PeerValue[]
  let next = 0
  reply.array(transaction.commands.length)
  for (const queued of transaction.commands) {
    if (queued.entry.firstKey === 0) {
      transaction.runOne(client, queued)
    } else {
      reply.raw(new Uint8Array(replies[next++] as Buffer))
      show(client, queued)
    }
  }
}

/** MONITOR shows what clients of this node ask for, wherever it runs. */
function show(client: Client, { entry, args }: Queued): void {
  const { monitors, stats } = client.server
  if (stats.monitors === 0) return
  const { args: own } = client
  client.args = args
  monitors.show(client, entry)
  client.args = own
}

/** The error line that another node answered. */
function lineOf(node: string, value: PeerValue): string {
  return value instanceof PeerError ? value.line : nodeNonsense(node)
}

/* ---- on the owner ---- */

/** PEER WATCH key [key ...]: answers a ticket. */
export function peerWatch(client: Client): void {
  const { args, db, peer, reply, server, store, tickets } = client
  if (peer === null) return reply.error(ERR_PEER_ONLY)
  const id = server.world.random.bytes(TICKET_BYTES)
  const keys = new WatchedKeys(store)
  if (keys.add(db, args, 2) && tickets.add(id.toString('latin1'), keys)) {
    reply.bulk(new Uint8Array(id))
  } else {
    keys.end()
    reply.error(tooManyWatches(WATCHES_MAX))
  }
}

/** PEER UNWATCH ticket */
export function peerUnwatch(client: Client): void {
  const { args, peer, reply, store, tickets } = client
  if (peer === null) return reply.error(ERR_PEER_ONLY)
  for (const watch of tickets.take(args.text(2)) ?? []) store.unwatch(watch)
  reply.ok()
}

/** PEER EXEC protocol tickets requests: answers an array of replies, as bytes, or null. */
export function peerExec(client: Client): void {
  const { args, db, peer, reply, server } = client
  const transaction = peer === null ? null : transactionOf(server.table, args.buffer(4))
  if (transaction === null) return reply.error(ERR_PEER_ONLY)
  const watches = watchesOf(client, args.text(3))
  if (watches === null) return reply.null()
  const protocol = args.is(2, '3') ? 3 : 2
  const replies: Buffer[] = []
  const slot = client.defer()
  const runAll = (): void => {
    for (const queued of transaction.commands) {
      const place = client.call((bytes) => replies.push(bytes), protocol)
      place.answer(() => client.runAs(() => transaction.runOne(client, queued), args, db))
    }
  }
  visitAll(client, transaction)
  client.transaction = transaction
  const done = transaction.attempt(client, watches, runAll)
  client.transaction = null
  slot.settle((to) => {
    if (!done) return to.null()
    to.array(replies.length)
    for (const bytes of replies) to.bulk(new Uint8Array(bytes))
  })
}

/** What was watched by these tickets, one behind the other; null: one of them is unknown. */
function watchesOf({ store, tickets }: Client, ids: string): readonly Watch[] | null {
  const watches: Watch[] = []
  let areKnown = true
  for (let at = 0; at < ids.length; at += TICKET_BYTES) {
    const watched = tickets.take(ids.slice(at, at + TICKET_BYTES))
    if (watched === null) areKnown = false
    else for (const watch of watched) watches.push(watch)
  }
  if (areKnown) return watches
  for (const watch of watches) store.unwatch(watch)
  return null
}

/** The transaction that these requests make; null: they are none of ours. */
export function transactionOf(table: CommandTable, requests: Buffer): Transaction | null {
  const transaction = new Transaction()
  const bytes = new Uint8Array(requests.buffer, requests.byteOffset, requests.length)
  const args = new Args()
  const limits = { bulkBytesMax: requests.length, bigBytesMin: Infinity }
  const decoder = new Decoder(args, limits)
  for (let at = 0; at < bytes.length; at = decoder.end) {
    if (decoder.next(bytes, at, bytes.length) !== COMMAND) return null
    const entry = table.called(args)
    if (entry === null || entry.firstKey === 0 || !takes(entry, args.count)) return null
    transaction.add(entry, args.detached(true))
  }
  return transaction
}
