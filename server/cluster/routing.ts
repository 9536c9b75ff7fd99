import { strict as assert } from 'node:assert'
import xxhash from 'xxhash-wasm'
import { allOk, concatenated, summed } from '../../cluster/routes/fan-out.ts'
import { readHeader, type RequestHeader } from '../../cluster/peers/frame.ts'
import type { Stamps } from '../../cluster/hot/stamps.ts'
import type { LinkError } from '../../cluster/peers/link.ts'
import { Membership } from '../../cluster/members/membership.ts'
import { Ownership } from '../../cluster/ownership/ownership.ts'
import { type Peer, REPLY_DEPTH_MAX } from '../../cluster/peers/peer.ts'
import { Peers } from '../../cluster/peers/peers.ts'
import { byWayOf } from '../../cluster/routes/detour.ts'
import { Absent, askToRejoin, pingOrRejoin } from '../../cluster/ownership/rejoin.ts'
import { PeerError, PeerStatus, Replies, type PeerValue } from '../../cluster/peers/replies.ts'
import { HUNT_MS, type KeysOf } from '../../cluster/routes/hunt.ts'
import { MINUS } from '../../cluster/peers/reply-gate.ts'
import { type Routed, Router } from '../../cluster/routes/router.ts'
import type { RunHere } from '../../cluster/routes/scatter.ts'
import { askAbout, askView } from '../../cluster/members/opinions.ts'
import { SLOT_COUNT, keySlot } from '../../cluster/slots.ts'
import { VisitedKeys } from '../../cluster/ownership/visited-keys.ts'
import { Args } from '../../protocol/args.ts'
import { ERR_CROSSSLOT, moved } from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, flagBits, keysOf, lastKeyOf } from '../command.ts'
import { CopiedReads } from './copied-reads.ts'
import { joinedHotKeys, writeHotKeys } from './hot-keys.ts'
import type { IoThread } from '../io-thread.ts'
import { KEYS_PER_PART, scatterLong, streamList } from './long-scatter.ts'
import { Redirects } from './redirects.ts'
import type { Call, Slot } from '../clients/slot.ts'
import { slotSetOf } from '../store/store.ts'

/** Nodes see a change of the ring within this of each other; longer, and they do not agree. */
const VIEWS_DIFFER_MS = 2000

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
  /** Since when which slots are this node's, and whose they were. */
  readonly ownership: Ownership | null = null
  readonly redirects: Redirects | null = null
  readonly peers: ReadonlyMap<string, Peer> = new Map()
  /** Null where `router` is. */
  readonly copied: CopiedReads | null = null
  /** The header of the peer request that is being executed. */
  readonly header: RequestHeader = { id: 0, deadlineMs: 0, view: 0, protocol: 2 }
  /** Peer requests whose sender saw another set of live nodes. */
  otherViews = 0
  /** Messages that other nodes may not have got. */
  untold = 0
  readonly #server: IoThread
  readonly #peers: Peers | null = null
  readonly #visited: VisitedKeys
  /** Why the last link to each node ended. */
  readonly #linkReasons = new Map<string, string>()

  constructor(server: IoThread, hash: (text: string) => number, stamps: Stamps) {
    this.#server = server
    this.#visited = new VisitedKeys(server.slotStates)
    const { config, world } = server
    if (config.members === null) return
    const { self, all } = config.members
    // A heartbeat: is the node there, and which view has it?
    const ping = pingOrRejoin(
      () => absent,
      (name) => this.peers.get(name)!,
    )
    const membership = new Membership(config.members, {
      clock: world.clock,
      hash,
      ping: (name, timeoutMs, done) => {
        ping(name, timeoutMs, done)
        askView(this.#peers!.get(name), timeoutMs, (told, process) => {
          membership.heardView(name, told, process)
        })
      },
      probe: (helper, name, timeoutMs, done) => {
        askAbout(this.#peers!.get(helper), name, timeoutMs, done)
      },
      rejoin: (name, via, timeoutMs, done) => {
        askToRejoin(byWayOf(this.#peers!.get(via), name), timeoutMs, done)
      },
      nodeTimeoutMs: config['cluster-node-timeout'],
      virtualNodes: config['cluster-virtual-nodes'],
    })
    config.onChange('cluster-node-timeout', (ms) => membership.setNodeTimeout(ms))
    const absent = new Absent(membership)
    const { slotStates: states } = server
    const windowMs = config['cluster-handoff'] * 1000
    this.ownership = new Ownership({ membership, states, clock: world.clock, windowMs })
    const peers = new Peers(world, all, {
      self: self.name,
      secret: config['cluster-secret'],
      view: () => membership.viewHash,
      replyBytesMax: 2 * config['proto-max-bulk-len'],
      onLinkReady: (name, incarnation) => {
        this.router!.met(name, incarnation)
        if (server.hub !== null) membership.met(name, incarnation)
      },
      onLinkEnd: (name, reason) => {
        this.#reportLink(name, reason)
        // Threads have links of their own; the hub's tells whether the node is there.
        if (server.hub !== null) membership.lost(name)
      },
    })
    membership.onList((change) => {
      peers.follow(change)
      for (const { name } of change.removed) this.#linkReasons.delete(name)
    })
    membership.onChange(({ name, state }) => {
      if (state === 'down') peers.all.get(name)?.drop('it does not answer')
      else peers.all.get(name)?.expect()
    })
    membership.onUnheard(({ name }) => this.dropLink(name))
    this.#peers = peers
    this.peers = peers.all
    this.membership = membership
    this.redirects = new Redirects(config, membership)
    const copied = new CopiedReads({
      ...{ clock: world.clock, stamps, peer: (name) => peers.get(name) },
      isOn: () => config['cluster-hot-rate'] > 0,
      // What is hot at its owner is read here as often as anywhere, or half of it.
      rateMin: () => {
        const readers = Math.max(1, membership.live().names.length - 1) * config.threads
        return config['cluster-hot-rate'] / readers / 2
      },
      // An eighth of what the store may have, of all threads together.
      bytesMax: () => config.maxmemory / 8 / config.threads,
    })
    membership.onChange(() => copied.copies.clear())
    this.copied = copied
    this.router = new Router({
      view: membership,
      peer: (name) => peers.get(name),
      clock: world.clock,
      random: world.random,
    })
  }

  /**
   * The link to a node carries nothing, though the node is there: what is asked of it is to go to the next
   * one at once, instead of waiting each time. Heartbeats look for another link.
   */
  dropLink(name: string): void {
    const peer = this.peers.get(name)
    if (peer?.connected === true) peer.drop('it does not answer this node, but others')
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
    this.copied?.copies.close()
    this.router?.close()
    this.#peers?.close()
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
    if (router.isHere(slot)) {
      this.#ownCalled(client, slot, call)
      return false
    }
    if (this.#redirects(client, slot, call)) return true
    const oneKey = last === entry.firstKey
    const isRead = (entry.flags & flagBits.readonly) !== 0
    const copied = this.copied!
    if (oneKey && isRead) {
      if (copied.answers(client, entry, call, this.ownerOfSlot(slot), slot)) return true
    }
    const written = isRead ? NO_SLOTS : this.slotsOf(args, entry)
    copied.wrote(written)
    const copies = args.copy()
    const reply = call.slot ?? client.defer()
    const request = {
      args: copies,
      slot,
      keyAt: oneKey ? entry.firstKey : -1,
      share: oneKey && isRead,
      written: isRead ? undefined : this.#writtenBy(args, entry),
      repeatable: this.#isRepeatable(args, entry),
      deadlineMs: this.#deadlineOf(args, entry),
      relay: reply.protocol === 3 ? 3 : 2,
      mayPassOn: true,
    } as const
    router.forward(request, (routed: Routed) => {
      copied.wrote(written)
      if (routed.kind === 'here') {
        this.visit(entry, Args.of(copies), db)
        this.#server.answerLater(client, entry, Args.of(copies), db, reply)
      } else if (routed.kind === 'failed') {
        reply.settle((to) => to.error(routed.line))
      } else {
        settleRelayed(reply, routed.value)
      }
    })
    return true
  }

  /** `visit` for another node's request. What nodes say to each other sees to that itself. */
  visitFor(entry: CommandEntry, args: Args, db: number): void {
    if (entry.parent?.name === 'peer') return
    const reads = (entry.flags & flagBits.readonly) !== 0
    this.visit(entry, args, db, reads && this.header.view !== this.membership?.viewHash)
  }

  /**
   * Has the slot just got another owner, which fetches what is here (takeover.ts)? Of a key that it has not touched
   * yet this node still knows the last value: who has not seen the change reads it here, and leaves it there.
   */
  #isBeingFetched(slot: number): boolean {
    const { clock } = this.#server.world
    const ownership = this.ownership!
    return (
      ownership.takerOf(slot) !== null && clock.now() - ownership.lostAt(slot) < VIEWS_DIFFER_MS
    )
  }

  /**
   * A write is about to run for an owner that is passed over, and this node has entries of its slots from before.
   * If that owner is gone what is written now is all that there is of it: so the old ones, which hide it, are dropped,
   * and with them those of its other slots. Not where this node hears it, nor while nodes may not have seen that they
   * are that owner's.
   */
  #dropStale(slot: number): void {
    const { handoff, slotStates, store, world } = this.#server
    const ownership = this.ownership!
    const isKept = (of: number): boolean =>
      slotStates.hidesSome(of) && world.clock.now() - ownership.lostAt(of) >= VIEWS_DIFFER_MS
    if (!isKept(slot)) return
    const owner = this.ownerOfSlot(slot)
    const isCutOff = this.#server.hub !== null && this.peers.get(owner)?.connected === false
    if (this.membership!.member(owner)?.state === 'up' && !isCutOff) return
    const all = Array.from({ length: SLOT_COUNT }, (_, of) => of)
    const slots = all.filter((of) => this.ownerOfSlot(of) === owner && isKept(of))
    // If another one is being swept, they stay as they are.
    if (!store.beginInvalidation({ kind: 'slots', db: 0, slots: slotSetOf(slots) })) return
    for (const of of slots) slotStates.drop(of)
    handoff!.sweep()
  }

  /** Keys of the database that may be seen, about: what is removed in a moment is counted. */
  size(db: number): number {
    const { slotStates, store } = this.#server
    // A cluster has one database.
    const hidden = db === 0 && slotStates.hidesAny ? slotStates.hiddenKeys : 0
    return Math.max(0, store.size(db) - hidden)
  }

  /** Are there any that nobody may see? */
  get hidesAny(): boolean {
    return this.#server.slotStates.hidesAny
  }

  /** Is the key one of those that nobody may see? */
  hides(bytes: Uint8Array, pos: number, length: number): boolean {
    return this.enabled && this.#server.slotStates.hidesSome(keySlot(bytes, pos, length))
  }

  /**
   * A command is about to run here whose keys may be another node's: nothing is seen under them that is
   * left from before (cluster/ownership/slot-states.ts). `sawOwner`: it is a read of a node for which the slot may
   * be this node's still.
   */
  visit(entry: CommandEntry, args: Args, db: number, sawOwner = false): void {
    if (entry.firstKey === 0) return
    const { kept, slotStates, store, world } = this.#server
    const shows = kept?.slots.keeps === true
    if (shows) store.now = world.clock.now()
    const last = lastKeyOf(entry, args)
    for (let i = entry.firstKey; i <= last; i += entry.keyStep) {
      const pos = args.pos(i)
      const length = args.length(i)
      const slot = keySlot(args.bytes, pos, length)
      if (slotStates.visit(slot) && !(sawOwner && this.#isBeingFetched(slot))) {
        if ((entry.flags & flagBits.write) !== 0) this.#dropStale(slot)
        const isFirst = this.#visited.isFirst(args.bytes, pos, length)
        if (isFirst && store.delete(db, args.bytes, pos, length)) slotStates.hiddenGone()
      }
      if (shows) kept.visit(entry, slot, args.bytes, pos, length)
    }
  }

  /** What comes from within the process, or comes late, says nothing of where its client sends keys. */
  #ownCalled(client: Client, slot: number, call: Call): void {
    if (call.slot === undefined) this.redirects!.own(client, slot)
  }

  /** Tells a client where to go with its keys instead of going there for it; false: it is not to be told. */
  #redirects(client: Client, slot: number, call: Call): boolean {
    // Calls from within the process have nowhere else to go.
    if (call.slot !== undefined || !this.redirects!.foreign(client, slot)) return false
    client.reply.error(moved(slot, this.ownerOfSlot(slot)))
    return true
  }

  /** The line for who is always told where to go with keys of this slot; null: they are this node's, or it is not. */
  refusalOf(slot: number): string | null {
    if (this.router!.isHere(slot) || !this.redirects!.isAlways) return null
    return moved(slot, this.ownerOfSlot(slot))
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

  /** Of all keys of a command. */
  slotsOf(args: Args, entry: CommandEntry): number[] {
    return (keysOf(entry, args) ?? []).map((i) => this.slotOf(args, i))
  }

  slotOf(args: Args, i: number): number {
    return keySlot(args.bytes, args.pos(i), args.length(i))
  }

  /** 'host:port' of the node that has a slot now, in a cluster. */
  ownerOfSlot(slot: number): string {
    return this.membership!.live().owner(slot) ?? ''
  }

  /**
   * Sends a command of a client to all other nodes that are alive, and waits for none of them. What does not reach
   * a node is counted (`untold`).
   */
  tellAll(args: readonly Buffer[]): void {
    const request = { deadlineMs: HUNT_MS, keyAt: -1, share: false }
    for (const name of this.peers.keys()) {
      if (!this.membership!.isLive(name)) continue
      this.router!.portTo(name).request(args, request, (outcome) => {
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

  /** As in Hunt, for a command like this one, with fewer keys perhaps. */
  #writtenBy(args: Args, entry: CommandEntry): KeysOf {
    // Where an origin hears of changes it would hear of that one, too.
    if (this.#server.writing.isToldOf(entry, args)) return () => []
    return (words) => {
      const of = Args.of(words)
      return (keysOf(entry, of) ?? []).map((i) => words[i]!)
    }
  }

  /* ---- many owners ---- */

  #scatters(client: Client, entry: CommandEntry, call: Call): boolean {
    const { args, db } = call
    const owner = this.#ownerOfAll(args, entry)
    const slot = this.slotOf(args, entry.firstKey)
    if (owner === this.membership!.self) {
      this.#ownCalled(client, slot, call)
      return false
    }
    if (owner === null) {
      if (call.slot === undefined && this.redirects!.isAlways) {
        client.reply.error(ERR_CROSSSLOT)
        return true
      }
      this.redirects!.scattered(client)
    } else if (this.#redirects(client, slot, call)) {
      return true
    }
    const copied = this.copied!
    if (entry.fullName === 'exists' && copied.answersExists(client, call)) return true
    const isRead = (entry.flags & flagBits.readonly) !== 0
    const gather = entry.fullName === 'mget' ? 'list' : entry.fullName === 'mset' ? 'ok' : 'sum'
    const runHere = this.#runHere(client, entry, db)
    const run = (words: readonly Buffer[], of: Args, done: (value: PeerValue) => void): void => {
      const written = isRead ? NO_SLOTS : this.slotsOf(of, entry)
      copied.wrote(written)
      const request = {
        args: words,
        step: entry.keyStep,
        firstKey: entry.firstKey,
        gather,
        repeatable: this.#isRepeatable(of, entry),
        written: isRead ? undefined : this.#writtenBy(of, entry),
        deadlineMs: this.#deadlineOf(of, entry),
      } as const
      this.router!.scatter(request, runHere, (value) => {
        copied.wrote(written)
        done(value)
      })
    }
    if (args.count > KEYS_PER_PART * entry.keyStep && args.bigs.length === 0) {
      const own = call.slot === undefined ? args.detached() : args
      scatterLong({
        ...{ client, entry, args: own, slot: call.slot ?? client.hold(), gather },
        run: (words, done) => run(words, Args.of(words), done),
        encode: (values, protocol) => this.#encode(values, protocol),
      })
      return true
    }
    const some = entry.fullName === 'mget' ? copied.ofMany(client, args) : null
    const reply = call.slot ?? client.defer()
    if (some?.isWhole === true) {
      reply.settle((to) => writeValue(to, some.joined([])))
      return true
    }
    run(some?.rest ?? args.copy(), args, (value) => {
      reply.settle((to) => writeValue(to, some?.joined(value) ?? value))
    })
    return true
  }

  #encode(values: readonly PeerValue[], protocol: number): Buffer {
    const write = (to: Reply): void => {
      for (const value of values) writeValue(to, value)
    }
    return this.#server.areas.encode(protocol, write, () => {})
  }

  /** The node that has all keys of a command now; null: they are several nodes'. */
  #ownerOfAll(args: Args, entry: CommandEntry): string | null {
    const last = lastKeyOf(entry, args)
    const ring = this.membership!.live()
    const owner = ring.owner(this.slotOf(args, entry.firstKey))
    for (let i = entry.firstKey + entry.keyStep; i <= last; i += entry.keyStep) {
      if (ring.owner(this.slotOf(args, i)) !== owner) return null
    }
    return owner ?? this.membership!.self
  }

  /* ---- all nodes ---- */

  #fansOut(client: Client, entry: CommandEntry, call: Call): void {
    const router = this.router!
    const args = call.args.copy()
    const runHere = this.#runHere(client, entry, call.db)
    const reply = call.slot ?? client.defer()
    const mayWrite = (entry.flags & flagBits.readonly) === 0 && entry.parent?.name !== 'hotkeys'
    if (mayWrite) this.copied!.wroteAll()
    const done = (value: PeerValue): void => {
      if (mayWrite) this.copied!.wroteAll()
      reply.settle((to) => writeValue(to, value))
    }
    if (entry.fullName === 'scan') {
      router.scan({ args }, runHere, done)
    } else if (entry.fullName === 'keys') {
      const bytesHere: RunHere = (words, then) =>
        this.#bytesHere(client, entry, call.db, words, then)
      router.fanOut({ args, relay: 2 }, bytesHere, (parts) => {
        const list = concatenated(parts)
        if (list instanceof PeerError) done(list)
        else streamList(client, reply, list)
      })
    } else if (entry.fullName === 'randomkey') {
      const size = this.#server.table.named('dbsize')!
      const sizeHere = this.#runHere(client, size, call.db)
      // The router asks all nodes for their sizes first, and then one of them for a key.
      router.randomKey(
        (words, then) => (isNamed(words, 'dbsize') ? sizeHere : runHere)(words, then),
        done,
      )
    } else if (entry.fullName === 'hotkeys|get') {
      router.fanOut({ args }, runHere, (parts) => {
        reply.settle((to) => writeHotKeys(to, joinedHotKeys(parts)))
      })
    } else {
      const saysOk =
        (entry.flags & flagBits.write) !== 0 ||
        entry.fullName === 'group|set' ||
        entry.fullName === 'hotkeys|reset'
      const join = saysOk ? allOk : summed
      router.fanOut({ args }, runHere, (parts) => done(join(parts)))
    }
  }

  /** Runs a part of this client's command on this node; its reply comes as one that is relayed does. */
  #bytesHere(
    client: Client,
    entry: CommandEntry,
    db: number,
    words: readonly Buffer[],
    done: (value: PeerValue) => void,
  ): void {
    const slot = client.call((bytes) => done(bytes[0] === MINUS ? valueOf(bytes) : bytes))
    this.#server.answerLater(client, entry, Args.of(words), db, slot)
  }

  /** Runs a part of this client's command on this node, and hands back its reply as a value. */
  #runHere(client: Client, entry: CommandEntry, db: number): RunHere {
    return (words, done) => {
      const slot = client.call((bytes) => done(valueOf(bytes)))
      this.visit(entry, Args.of(words), db)
      this.#server.answerLater(client, entry, Args.of(words), db, slot)
    }
  }
}

const NO_SLOTS: readonly number[] = []

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

/** What another node answered, as it came; errors are counted here too. */
function settleRelayed(slot: Slot, value: PeerValue): void {
  if (value instanceof PeerError) slot.settle((to) => to.error(value.line))
  else slot.settleBytes(ownBytes(value as Buffer))
}

/** Of a long read a short reply is a small part, which would keep all of it as long as the client does not read. */
function ownBytes(bytes: Buffer): Buffer {
  return bytes.length < RELAYED_BYTES_MIN ? Buffer.from(bytes) : bytes
}

const RELAYED_BYTES_MIN = 16 * 1024

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
