import { strict as assert } from 'node:assert'
import xxhash from 'xxhash-wasm'
import { allOk, concatenated, summed } from '../cluster/fan-out.ts'
import { readHeader, type RequestHeader } from '../cluster/frame.ts'
import type { LinkError } from '../cluster/link.ts'
import { Membership } from '../cluster/membership.ts'
import { Peer, REPLY_DEPTH_MAX } from '../cluster/peer.ts'
import { PeerError, PeerStatus, Replies, type PeerValue } from '../cluster/replies.ts'
import { HUNT_MS } from '../cluster/hunt.ts'
import { type Routed, Router } from '../cluster/router.ts'
import type { RunHere } from '../cluster/scatter.ts'
import { keySlot } from '../cluster/slots.ts'
import { Args } from '../protocol/args.ts'
import { ERR_CROSSSLOT } from '../protocol/errors.ts'
import type { Reply } from '../protocol/reply.ts'
import type { Client } from './client.ts'
import { type CommandEntry, flagBits, lastKeyOf } from './command.ts'
import type { IoThread } from './io-thread.ts'
import type { Call, Slot } from './slot.ts'

/**
 * Which node runs a command: between dispatch, which knows clients and commands, and the router,
 * which knows neither. A command whose keys are all this node's runs here and now; any other takes
 * a slot, its arguments are copied, and the router finds who answers. This node may turn out to be
 * the one after all, when it stands in for an owner that is gone.
 */
export class Routing {
  /** Null: this node stands alone. */
  readonly membership: Membership | null = null
  readonly router: Router | null = null
  readonly peers: ReadonlyMap<string, Peer> = new Map()
  /** The header of the peer request that is being executed. */
  readonly header: RequestHeader = { id: 0, deadlineMs: 0, view: 0 }
  /** Peer requests whose sender saw another set of live nodes. */
  otherViews = 0
  /** Messages that other nodes may not have got. */
  untold = 0
  readonly #server: IoThread
  /** Why the last link to each node ended. */
  readonly #linkReasons = new Map<string, string>()

  constructor(server: IoThread, hash: (text: string) => number) {
    this.#server = server
    const { config, world } = server
    if (config.members === null) return
    const { self, all } = config.members
    const peers = new Map<string, Peer>()
    const membership = new Membership(config.members, {
      clock: world.clock,
      hash,
      ping: (name, timeoutMs, done) => peers.get(name)!.ping(timeoutMs, done),
      virtualNodes: config['cluster-virtual-nodes'],
    })
    for (const node of all) {
      if (node.name === self.name) continue
      const peer = new Peer(world, node, {
        self: self.name,
        secret: config['cluster-secret'],
        view: () => membership.viewHash,
        replyBytesMax: 2 * config['proto-max-bulk-len'],
        onLinkEnd: (reason) => {
          this.#reportLink(node.name, reason)
          if (server.hub !== null) membership.lost(node.name)
        },
      })
      peers.set(node.name, peer)
    }
    membership.onChange(({ name, state }) => {
      if (state === 'down') peers.get(name)?.drop('it does not answer')
    })
    this.peers = peers
    this.membership = membership
    this.router = new Router({
      view: membership,
      peer: (name) => peers.get(name)!,
      clock: world.clock,
      random: world.random,
    })
  }

  /**
   * Attempts go on as long as a node is away: each reason is told once, until another comes. Every
   * thread has links of its own, and they fail together: the hub's are told for all.
   */
  #reportLink(name: string, reason: LinkError): void {
    if (this.#linkReasons.get(name) === reason.message) return
    this.#linkReasons.set(name, reason.message)
    const { hub, log } = this.#server
    const fields = { node: name, code: reason.code }
    if (hub === null) log.verbose(fields, reason.message)
    else log.warning(fields, reason.message)
  }

  /** The hash that places virtual nodes: equal on all nodes. */
  static async loadHash(): Promise<(text: string) => number> {
    const { h32 } = await xxhash()
    return (text) => h32(text)
  }

  get enabled(): boolean {
    return this.router !== null
  }

  /** Begins to look for the other nodes. */
  start(): void {
    this.membership?.start()
  }

  close(): void {
    this.membership?.stop()
    for (const peer of this.peers.values()) peer.close()
  }

  /** The id in the header of a peer's request, which stands as its first argument; 0: none. */
  readRequestId(args: Args): number {
    const { header } = this
    if (args.count < 2 || args.big(0) !== null) return 0
    if (!readHeader(args.bytes, args.pos(0), args.length(0), header)) return 0
    if (header.view !== this.membership?.viewHash) this.otherViews++
    return header.id
  }

  /**
   * Takes a command that is not this node's alone, and answers it in its slot, which it takes if the
   * command has none yet. False: run it here.
   */
  takes(client: Client, entry: CommandEntry, call: Call = client): boolean {
    switch (entry.placement) {
      case 'here':
        return false
      case 'key':
        return this.#takesKeys(client, entry, call)
      case 'scatter':
        return this.#scatters(client, entry, call)
      case 'fan-out':
        this.#fansOut(client, entry, call)
        return true
    }
  }

  /* ---- one owner ---- */

  #takesKeys(client: Client, entry: CommandEntry, call: Call): boolean {
    const { args, db } = call
    const router = this.router!
    const last = lastKeyOf(entry, args)
    const slot = keySlot(args.bytes, args.pos(entry.firstKey), args.length(entry.firstKey))
    for (let i = entry.firstKey + entry.keyStep; i <= last; i += entry.keyStep) {
      const other = keySlot(args.bytes, args.pos(i), args.length(i))
      if (other !== slot && !this.haveOneOwner(slot, other)) {
        if (call.slot === undefined) client.reply.error(ERR_CROSSSLOT)
        else call.slot.settle((to) => to.error(ERR_CROSSSLOT))
        return true
      }
    }
    if (router.isHere(slot)) return false
    const oneKey = last === entry.firstKey
    const isRead = (entry.flags & flagBits.readonly) !== 0
    const copies = args.copy()
    const reply = call.slot ?? client.defer()
    const request = {
      args: copies,
      slot,
      keyAt: oneKey ? entry.firstKey : -1,
      share: oneKey && isRead,
      repeatable: this.#isRepeatable(args, entry),
      deadlineMs: this.#deadlineOf(args, entry),
    }
    router.forward(request, (routed: Routed) => {
      if (routed.kind === 'here') {
        this.#server.answerLater(client, entry, Args.of(copies), db, reply)
      } else if (routed.kind === 'failed') {
        reply.settle((to) => to.error(routed.line))
      } else {
        settleValue(reply, routed.value)
      }
    })
    return true
  }

  /** The name of the node that has a key now; '' where there is no cluster. */
  ownerOf(key: Uint8Array): string {
    if (this.membership === null) return ''
    return this.membership.live().owner(keySlot(key, 0, key.length)) ?? ''
  }

  /** Is a key, or a shard channel, this node's? */
  isHere(key: Uint8Array): boolean {
    return this.router === null || this.router.isHere(keySlot(key, 0, key.length))
  }

  slotOf(args: Args, i: number): number {
    return keySlot(args.bytes, args.pos(i), args.length(i))
  }

  /** 'host:port' of the node that has a slot now, in a cluster. */
  ownerOfSlot(slot: number): string {
    return this.membership!.live().owner(slot) ?? ''
  }

  /**
   * Sends a command to all other nodes that are alive, and waits for none of them. What does not reach
   * a node is counted (`untold`).
   */
  tellAll(args: readonly Buffer[]): void {
    const request = { deadlineMs: HUNT_MS, keyAt: -1, share: false }
    for (const [name, peer] of this.peers) {
      if (!this.membership!.isLive(name)) continue
      peer.request(args, request, (outcome) => {
        if (outcome !== 'reply') this.untold++
      })
    }
  }

  /** Does one node own both slots now? */
  haveOneOwner(slot: number, other: number): boolean {
    const ring = this.membership!.live()
    return ring.owner(slot) === ring.owner(other)
  }

  /**
   * A load may take its group's time, and so may an origin that hears of a change; everything else is
   * answered within HUNT_MS.
   */
  #deadlineOf(args: Args, entry: CommandEntry): number {
    const { loading } = this.#server
    const { waits, originWrites } = entry.row
    let waitMs = typeof waits === 'function' ? waits(args) : 0
    if (!loading.enabled) return HUNT_MS + waitMs
    const loads = entry.loads !== null || waits === 'load'
    if (!loads && originWrites === undefined) return HUNT_MS + waitMs
    const last = lastKeyOf(entry, args)
    for (let i = entry.firstKey; i <= last; i += entry.keyStep) {
      const group = loading.groups.match(args.bytes, args.pos(i), args.length(i))
      if (group === null) continue
      if (loads) waitMs = Math.max(waitMs, Math.min(group.waitMs, group.timeoutMs))
      else if (group.writes) waitMs = Math.max(waitMs, group.timeoutMs)
    }
    return HUNT_MS + waitMs
  }

  /** May it be sent to another node when the first does not answer? */
  #isRepeatable(args: Args, entry: CommandEntry): boolean {
    if ((entry.flags & flagBits.readonly) !== 0) return true
    if (entry.repeatable === null || !entry.repeatable(args)) return false
    // An origin hears of each change once.
    return !this.#server.writing.isToldOf(entry, args)
  }

  /* ---- many owners ---- */

  #scatters(client: Client, entry: CommandEntry, call: Call): boolean {
    const { args, db } = call
    if (this.#areAllHere(args, entry)) return false
    const reply = call.slot ?? client.defer()
    const gather = entry.fullName === 'mget' ? 'list' : entry.fullName === 'mset' ? 'ok' : 'sum'
    const request = {
      args: args.copy(),
      step: entry.keyStep,
      firstKey: entry.firstKey,
      gather,
      repeatable: this.#isRepeatable(args, entry),
      deadlineMs: this.#deadlineOf(args, entry),
    } as const
    this.router!.scatter(request, this.#runHere(client, entry, db), (value) => {
      reply.settle((to) => writeValue(to, value))
    })
    return true
  }

  #areAllHere(args: Args, entry: CommandEntry): boolean {
    const last = lastKeyOf(entry, args)
    for (let i = entry.firstKey; i <= last; i += entry.keyStep) {
      if (!this.router!.isHere(keySlot(args.bytes, args.pos(i), args.length(i)))) return false
    }
    return true
  }

  /* ---- all nodes ---- */

  #fansOut(client: Client, entry: CommandEntry, call: Call): void {
    const router = this.router!
    const args = call.args.copy()
    const runHere = this.#runHere(client, entry, call.db)
    const reply = call.slot ?? client.defer()
    const done = (value: PeerValue): void => reply.settle((to) => writeValue(to, value))
    if (entry.fullName === 'scan') {
      router.scan({ args }, runHere, done)
    } else if (entry.fullName === 'randomkey') {
      const size = this.#server.table.named('dbsize')!
      const sizeHere = this.#runHere(client, size, call.db)
      // The router asks all nodes for their sizes first, and then one of them for a key.
      router.randomKey(
        (words, then) => (isNamed(words, 'dbsize') ? sizeHere : runHere)(words, then),
        done,
      )
    } else {
      const saysOk = (entry.flags & flagBits.write) !== 0 || entry.fullName === 'group|set'
      const join = saysOk ? allOk : entry.fullName === 'keys' ? concatenated : summed
      router.fanOut({ args }, runHere, (parts) => done(join(parts)))
    }
  }

  /** Runs a part of this client's command on this node, and hands back its reply as a value. */
  #runHere(client: Client, entry: CommandEntry, db: number): RunHere {
    return (words, done) => {
      const slot = client.call((bytes) => done(valueOf(bytes)))
      this.#server.answerLater(client, entry, Args.of(words), db, slot)
    }
  }
}

function isNamed(words: readonly Buffer[], name: string): boolean {
  return words[0]?.toString('latin1').toLowerCase() === name
}

/** One whole reply of our own encoder. */
export function valueOf(bytes: Buffer): PeerValue {
  let result: PeerValue = null
  const limits = { bytesMax: Number.MAX_SAFE_INTEGER, depthMax: REPLY_DEPTH_MAX }
  const failure = new Replies(limits, (value) => (result = value)).feed(bytes)
  assert(failure === null, `this node's own reply is no RESP2: ${failure}`)
  return result
}

function settleValue(slot: Slot, value: PeerValue): void {
  if (Buffer.isBuffer(value)) slot.settleBulk(value)
  else slot.settle((to) => writeValue(to, value))
}

/** Writes what another node answered, in the client's protocol. */
function writeValue(reply: Reply, value: PeerValue): void {
  if (value === null) reply.null()
  else if (typeof value === 'number') reply.integer(value)
  else if (typeof value === 'bigint') reply.bigInteger(value)
  else if (value instanceof PeerStatus) reply.simple(value.text)
  else if (value instanceof PeerError) reply.error(value.line)
  else if (Buffer.isBuffer(value)) reply.bulk(value)
  else {
    reply.array(value.length)
    for (const element of value) writeValue(reply, element)
  }
}
