import type { Duplex } from 'node:stream'
import { HandoffFence } from '../cluster/ownership/handoff-fence.ts'
import { KeptSlots } from '../cluster/copies/kept-slots.ts'
import type { Stamps } from '../cluster/hot/stamps.ts'
import type { SlotStates } from '../cluster/ownership/slot-states.ts'
import type { World } from '../cluster/world.ts'
import type { Writes } from '../cluster/loads/writes.ts'
import type { Args } from '../protocol/args.ts'
import type { DecoderLimits } from '../protocol/decoder.ts'
import * as errors from '../protocol/errors.ts'
import { isLocal } from './address.ts'
import type { Client } from './clients/client.ts'
import { type CommandEntry, CommandTable, keysOf } from './command.ts'
import { commands } from './commands/index.ts'
import { leaveForeignShards } from './commands/pubsub.ts'
import type { Config } from './config.ts'
import { Connection, type Socket } from './clients/connection.ts'
import { DuplexSocket } from './clients/duplex.ts'
import { type Copiers, Copying } from './copies/copying.ts'
import { copiesDatabase } from './copies/database.ts'
import { KeptCopies } from './copies/kept.ts'
import type { Databases } from './databases.ts'
import type { Gate } from './gate.ts'
import { HotGrants } from './cluster/hot-grants.ts'
import { HotReads } from './cluster/hot-keys.ts'
import type { ListenerSocket } from './clients/listener.ts'
import { type Flights, Loading } from './loads/loading.ts'
import type { Log } from './log.ts'
import { Handoff, type Takers } from './cluster/handoff.ts'
import { LookAhead } from './clients/look-ahead.ts'
import { Monitors } from './monitors.ts'
import { Notifier } from './notifications.ts'
import { type OutputClass, type OutputLimit, outputLimits } from './clients/output-limits.ts'
import { HeldCommands } from './clients/pauses.ts'
import { PubSub } from './pubsub.ts'
import { LateRequests, STALL_MS } from './cluster/late-requests.ts'
import { Relays } from './cluster/relays.ts'
import { ReplyAreas } from './clients/reply-areas.ts'
import { Routing } from './cluster/routing.ts'
import type { Server } from './server.ts'
import type { Slot } from './clients/slot.ts'
import { type CommandCell, counter, type SharedStats, Stats } from './stats.ts'
import type { Store } from './store/store.ts'
import { CommandTimer, type SlowSink } from './timing.ts'
import { Tracking } from './tracking/tracking.ts'
import { Turns } from './turns.ts'
import { Writing } from './loads/writing.ts'

/** Who is let in for a handshake alone has so long for it. */
const handshakeMsMax = 5000
/** How often idle clients are looked for. */
const idlePeriodMs = 1000
/** A bulk longer than this is received into pages of the store. */
const bigBytesMin = 64 * 1024
/** How often a node of a cluster notes that it is awake; see `missedAt` and `stalledAt`. */
const wakePeriodMs = 100

/** What a thread is handed: where it differs from others, and what it shares with them. */
export interface IoThreadParts {
  readonly config: Config
  readonly world: World
  readonly log: Log
  readonly store: Store
  readonly gate: Gate
  readonly slotStates: SlotStates
  readonly databases: Databases
  readonly stats: SharedStats
  /** Its row of `stats`; 0 is the hub's. */
  readonly row: number
  readonly ringHash: (text: string) => number
  /** Of copies of hot keys. */
  readonly stamps: Stamps
  readonly flights: Flights
  /** Null: the hub has them. */
  readonly writes: Writes | null
  /** Hears of slow commands. */
  readonly sink: SlowSink
  /** Hands a line of MONITOR to all other threads. */
  readonly tellMonitors: (line: Uint8Array) => void
  /** Fetch keys from nodes that had them before. */
  readonly takers: Takers
  /** Of the hub's fence; null: this is the hub. */
  readonly fence: SharedArrayBuffer | null
  /** '' where there is no cluster. */
  readonly incarnation: string
  /** Send copies to the next nodes. */
  readonly copiers: Copiers
  /** Of the hub's KeptSlots; null: this is the hub, or there are none. */
  readonly keptSlots: SharedArrayBuffer | null
  /** Has the hub run a command; null: this is the hub. */
  readonly delegate: Delegate | null
}

/** Has the hub run this client's command, whose reply goes into the slot; `cell` then counts it. */
export type Delegate = (
  client: Client,
  call: { readonly args: Args; readonly db: number },
  slot: Slot,
  cell: CommandCell | null,
) => void

/**
 * What serves connections: all that a thread has of its own, around the store that it shares with
 * others. With one thread it is the Server itself; with several each worker has one (threads/).
 */
export class IoThread {
  /** 0 is the hub's. */
  readonly row: number
  readonly config: Config
  readonly world: World
  readonly log: Log
  readonly store: Store
  readonly gate: Gate
  readonly slotStates: SlotStates
  readonly databases: Databases
  readonly table = new CommandTable(commands)
  readonly stats: Stats
  readonly areas: ReplyAreas
  readonly turns: Turns
  readonly lookAhead: LookAhead
  readonly decoderLimits: DecoderLimits
  readonly loading: Loading
  readonly writing: Writing
  readonly copying: Copying
  /** Null: no group has copies. */
  readonly kept: KeptCopies | null
  readonly routing: Routing
  /** Null where there is no cluster. */
  readonly handoff: Handoff | null
  /** Of this process among the nodes (cluster/peers/handshake.ts); '' where there is no cluster. */
  readonly incarnation: string
  readonly relays: Relays
  readonly late: LateRequests
  readonly hotReads: HotReads
  readonly hotGrants: HotGrants
  readonly timer: CommandTimer
  readonly monitors: Monitors
  readonly held: HeldCommands
  readonly pubsub = new PubSub()
  readonly tracking: Tracking
  /** Tells of what happens to keys; null while nobody asked for it (notify-keyspace-events). */
  notifier: Notifier | null = null
  readonly delegate: Delegate | null
  /** Null: it is in another thread, `delegate` leads to it. */
  readonly hub: Server | null = null
  outputLimits: Readonly<Record<OutputClass, OutputLimit>>
  /**
   * Who reads the clock later than that stood still for so long that the other nodes of its cluster may
   * have missed it (cluster/ownership/doubt.ts).
   */
  missedAt = Infinity
  /** Who reads the clock later than that stood still for so long that requests may have been given up meanwhile. */
  stalledAt = Infinity
  readonly #connections = new Map<number, Connection>()
  readonly #clients = new Map<number, Client>()
  readonly #idleTimer: { cancel(): void }
  readonly #wakeTimer: { cancel(): void } | null
  /** Not null once it is to close: to be called when the last connection is gone. */
  #whenEmpty: (() => void) | null = null

  constructor(parts: IoThreadParts) {
    const { config, world } = parts
    this.row = parts.row
    this.config = config
    this.world = world
    this.log = parts.log
    this.store = parts.store
    this.gate = parts.gate
    this.incarnation = parts.incarnation
    this.slotStates = parts.slotStates
    this.databases = parts.databases
    this.delegate = parts.delegate
    this.stats = new Stats(parts.stats, parts.row)
    this.stats.trackLatency(config['latency-tracking'])
    config.onChange('latency-tracking', (on) => this.stats.trackLatency(on))
    this.store.now = world.clock.now()
    this.areas = new ReplyAreas(this.store.io, (run) => world.clock.soon(run))
    this.turns = new Turns(world.clock)
    this.lookAhead = new LookAhead(this.store)
    this.decoderLimits = { bulkBytesMax: config['proto-max-bulk-len'], bigBytesMin }
    config.onChange('proto-max-bulk-len', (bytes) => {
      this.decoderLimits.bulkBytesMax = bytes
    })
    this.loading = new Loading(this, config.groups, parts.flights)
    this.writing = new Writing(this, parts.writes)
    this.copying = new Copying(this, parts.copiers)
    this.kept = this.#openKept(parts)
    this.routing = new Routing(this, parts.ringHash, parts.stamps)
    const fence = this.routing.enabled ? new HandoffFence(parts.fence ?? undefined) : null
    this.handoff = fence === null ? null : new Handoff(this, fence, parts.takers)
    this.relays = new Relays(this)
    this.late = new LateRequests(world.clock)
    this.hotReads = new HotReads(world.clock)
    this.timer = this.#openTimer(parts.sink)
    this.tracking = new Tracking({
      ...{ store: this.store, clock: world.clock, timer: this.timer, clients: this.#clients },
      keysMax: () => Math.ceil(config['tracking-table-max-keys'] / config.threads),
    })
    this.hotGrants = new HotGrants({
      ...{ world, store: this.store, routing: this.routing, tracking: this.tracking },
      reads: this.hotReads,
      rate: () => config['cluster-hot-rate'] / config.threads,
      ttlMs: () => config['cluster-hot-ttl'],
    })
    this.monitors = new Monitors(world.clock, this.stats, parts.tellMonitors)
    this.held = new HeldCommands(parts.gate)
    this.#notifyOf(config['notify-keyspace-events'])
    config.onChange('notify-keyspace-events', (letters) => this.#notifyOf(letters))
    this.routing.membership?.onChange(() => leaveForeignShards(this))
    this.routing.membership?.onChange(() => this.hotGrants.ringChanged())
    this.outputLimits = outputLimits(config['client-output-buffer-limit'])
    config.onChange('client-output-buffer-limit', (value) => {
      this.outputLimits = outputLimits(value)
    })
    this.#idleTimer = world.clock.every(idlePeriodMs, () => this.#judgeClients())
    this.#wakeTimer = this.routing.enabled
      ? world.clock.every(wakePeriodMs, () => this.wake(world.clock.now()))
      : null
  }

  /** Those connected to this thread. */
  get clients(): ReadonlyMap<number, Client> {
    return this.#clients
  }

  /** Where sockets of this thread read into. */
  get readBuffer(): Uint8Array {
    const { bytes, read, readEnd } = this.store.io
    return bytes.subarray(read, readEnd)
  }

  /** Serves a client on any duplex stream. */
  handle(stream: Duplex, addresses = { remote: '', local: '' }): Client {
    const socket = new DuplexSocket(stream, addresses)
    const refusal = this.#refusal(socket)
    const connection = this.#accept(socket, this.stats.clientCame())
    socket.attach(this.store.io, connection)
    if (refusal !== null) {
      this.stats.row[counter.rejectedConnections]!++
      connection.say(() => this.areas.reply.error(refusal))
      this.countErrors()
      connection.closeAfterReply()
    }
    return connection.client
  }

  /** A socket that was accepted: serves it, or tells it why not. */
  admit(socket: ListenerSocket): void {
    const refusal = this.#refusal(socket)
    // Others may come to other threads at this very moment.
    const id = refusal === null ? this.stats.clientCame(this.config.maxclients) : 0
    if (id === 0) this.turnAway(socket, refusal ?? errors.ERR_MAX_CLIENTS)
    else socket.attach(this.#accept(socket, id))
  }

  /** Tells a socket that it is not served, and closes it. */
  turnAway(socket: ListenerSocket, line: string): void {
    this.stats.row[counter.rejectedConnections]!++
    socket.refuse(Buffer.from(`-${line}\r\n`))
  }

  /** No socket to say it to. */
  reportAcceptError(error: NodeJS.ErrnoException): void {
    this.log.warning({ code: error.code }, 'a connection could not be accepted')
  }

  #accept(socket: Socket, id: number): Connection {
    const connection = new Connection(this, socket, id)
    this.#connections.set(connection.client.id, connection)
    this.#clients.set(connection.client.id, connection.client)
    this.stats.row[counter.connectionsReceived]!++
    return connection
  }

  /** The error line for a client that may not connect, else null. */
  #refusal({ remoteAddress }: Pick<Socket, 'remoteAddress'>): string | null {
    const { config } = this
    if (this.stats.clients >= config.maxclients) return errors.ERR_MAX_CLIENTS
    if (this.isStranger(remoteAddress) && !this.#admitsNodes) return errors.DENIED_PROTECTED_MODE
    return null
  }

  /** Does protected mode turn this address away? A node may shake hands all the same. */
  isStranger(remoteAddress: string): boolean {
    const { config } = this
    return config['protected-mode'] && config.requirepass === '' && !isLocal(remoteAddress)
  }

  /** May a node of the cluster come from anywhere? It proves that it knows the secret. */
  get #admitsNodes(): boolean {
    return this.config.members !== null && this.config['cluster-secret'] !== ''
  }

  /** A connection is gone. */
  forget(connection: Connection): void {
    if (this.#connections.delete(connection.client.id)) this.stats.clientLeft()
    this.#clients.delete(connection.client.id)
    this.monitors.remove(connection.client.id)
    this.held.forget(connection.client)
    connection.client.forgetWait()
    connection.client.leaveAll()
    this.hotGrants.forget(connection.client)
    this.tracking.forget(connection.client)
    if (this.#connections.size === 0) this.#whenEmpty?.()
  }

  /** The statistics of a command. */
  cellOf(entry: CommandEntry): CommandCell {
    return this.stats.cells[entry.index]!
  }

  /** A command has run. */
  count(cell: CommandCell): void {
    this.stats.row[counter.commandsProcessed]!++
    cell.called()
  }

  /** Counts the error replies that were just written. */
  countErrors(reply = this.areas.reply): void {
    for (; reply.errors > 0; reply.errors--) this.stats.error(reply.lastErrorCode)
  }

  /**
   * Answers a command that was copied, in the slot it took: fetches from other nodes what they had
   * before, loads what it misses, or runs it.
   */
  answerLater(client: Client, entry: CommandEntry, args: Args, db: number, slot: Slot): void {
    const { handoff } = this
    if (handoff?.isActive === true && handoff.takes(client, entry, { args, db, slot })) return
    this.answerSettled(client, entry, args, db, slot)
  }

  /** The same where no other node has what belongs to its keys. */
  answerSettled(client: Client, entry: CommandEntry, args: Args, db: number, slot: Slot): void {
    if (client.peer !== null) this.routing.visitFor(entry, args, db)
    else this.kept?.settle(client, entry, args)
    const call = { args, db, slot }
    const kept = this.copying.enabled ? this.copying.keep(client, entry, call) : null
    this.answerKept(client, entry, args, db, kept?.slot ?? slot)
  }

  /** The same where its reply goes to wherever it is kept, if it has to be. */
  answerKept(client: Client, entry: CommandEntry, args: Args, db: number, slot: Slot): void {
    if (
      entry.loads !== null &&
      this.loading.enabled &&
      this.loading.takes(client, entry, { args, db, slot })
    ) {
      return
    }
    if (this.writing.enabled && this.writing.takes(client, entry, { args, db, slot })) return
    if (entry.onHub && this.delegate !== null) this.delegate(client, { args, db }, slot, null)
    else if (client.tracker === null) slot.answer(() => client.runAs(entry.run, args, db))
    else {
      slot.answer(() => client.runAs(() => this.#runTracked(client, entry), args, db))
    }
  }

  /** Runs the command of a client that tracks, in its later turn: what it reads, it hears of. */
  #runTracked(client: Client, entry: CommandEntry): void {
    const isReading = client.tracker?.remembers === true && entry.has('readonly')
    for (const i of isReading ? (keysOf(entry, client.args) ?? []) : []) {
      this.tracking.reads(client, i, i + 1)
    }
    entry.run(client)
  }

  /** Notes that this thread is awake. If it stood still, no command for a key runs from now on. */
  wake(now: number): void {
    if (now > this.missedAt) this.gate.beginDoubt()
    this.late.awake(now)
    this.missedAt = now + this.config['cluster-node-timeout']
    this.stalledAt = Math.min(this.missedAt, now + STALL_MS)
  }

  /** Closes the connections of a node that are older than `before`, on the clock's scale. */
  cut(node: string, before: number): void {
    for (const connection of [...this.#connections.values()]) {
      const { createdAt, peer } = connection.client
      if (peer === node && createdAt < before) connection.destroy()
    }
  }

  /** Commands may run again (gate.ts): those that wait do. */
  thaw(): void {
    // What has been waiting for that may have been given up meanwhile.
    this.late.resumed(this.world.clock.now())
    this.held.resume()
    for (const connection of [...this.#connections.values()]) connection.onReady()
  }

  /**
   * No further command: replies under way leave and connections close, those that are left by force
   * after `timeoutMs`. `done` is called when none is left.
   */
  drain(timeoutMs: number, done: () => void): void {
    this.#idleTimer.cancel()
    this.#wakeTimer?.cancel()
    this.loading.close()
    this.routing.close()
    this.#whenEmpty = () => {
      this.#whenEmpty = null
      done()
    }
    for (const connection of [...this.#connections.values()]) {
      // What it waits for may never come.
      if (connection.client.isBlocked) connection.destroy()
      else connection.closeAfterReply()
    }
    if (this.#connections.size === 0) this.#whenEmpty?.()
    this.world.clock.after(timeoutMs, () => {
      for (const connection of [...this.#connections.values()]) connection.destroy()
      this.#whenEmpty?.()
    })
  }

  /** `letters`: of notify-keyspace-events. */
  #notifyOf(letters: string): void {
    const notifier = Notifier.of(letters, this)
    this.notifier = notifier
    const removals = notifier?.hearsRemovals ?? false
    this.store.listen(
      removals ? (reason, db, key) => notifier!.tell(reason, db, Buffer.from(key)) : null,
    )
  }

  #openKept({ keptSlots, slotStates, store }: IoThreadParts): KeptCopies | null {
    const { groups } = this.config
    const db = copiesDatabase(this.config)
    if (db < 0) return null
    return new KeptCopies({
      ...{ store, slotStates, groups, db },
      slots: new KeptSlots(keptSlots ?? undefined),
    })
  }

  #openTimer(sink: SlowSink): CommandTimer {
    const { config, world } = this
    const timer = new CommandTimer(world.clock, sink)
    const configure = (): void =>
      timer.configure({
        slowMicros: config['slowlog-log-slower-than'],
        latencyMs: config['latency-monitor-threshold'],
      })
    config.onChange('slowlog-log-slower-than', configure)
    config.onChange('latency-monitor-threshold', configure)
    configure()
    return timer
  }

  /** Closes those that are idle for too long, and those for which too much has been queued too long. */
  #judgeClients(): void {
    this.#closeIdle()
    for (const connection of [...this.#connections.values()]) connection.judgeOutput()
  }

  #closeIdle(): void {
    const timeoutMs = this.config.timeout * 1000
    if (timeoutMs === 0 && !this.#admitsNodes) return
    const now = this.world.clock.now()
    for (const connection of [...this.#connections.values()]) {
      const { createdAt, isStranger, peer, isSubscriber } = connection.client
      if (isStranger && now - createdAt > handshakeMsMax) connection.destroy()
      if (timeoutMs === 0) continue
      const isIdle = connection.idleMs(now) > timeoutMs
      if (isIdle && peer === null && !isSubscriber) connection.destroy()
    }
  }
}
