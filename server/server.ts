import type { Duplex } from 'node:stream'
import type { Loader } from '../cluster/origin/loader.ts'
import type { Args } from '../protocol/args.ts'
import type { DecoderLimits } from '../protocol/decoder.ts'
import * as errors from '../protocol/errors.ts'
import { isLocal } from './address.ts'
import type { Client } from './client.ts'
import { type CommandEntry, CommandTable } from './command.ts'
import { commands } from './commands/index.ts'
import type { Config } from './config.ts'
import { Connection, type Socket } from './connection.ts'
import { DuplexSocket } from './duplex.ts'
import type { ServerWorld } from './files.ts'
import { type Listener, type ListenerSocket, listen } from './listener.ts'
import { Loading } from './loading.ts'
import { type LatencyEvent, LatencyMonitor } from './latency.ts'
import type { Log } from './log.ts'
import { LookAhead } from './look-ahead.ts'
import { MaxMemory, openStore } from './maxmemory.ts'
import { Monitors } from './monitors.ts'
import { type OutputClass, type OutputLimit, outputLimits } from './output-limits.ts'
import { ReplyAreas } from './reply-areas.ts'
import { Routing } from './routing.ts'
import type { Slot } from './slot.ts'
import { SlowLog } from './slow-log.ts'
import { type Checksum, loadChecksum, type SnapshotReader } from './snapshot-file.ts'
import { findSnapshot, type SavePoint, Snapshots } from './snapshots.ts'
import { type CommandCell, counter, shareStats, Stats } from './stats.ts'
import type { Store } from './store/store.ts'
import { Sweeper } from './sweeper.ts'
import { CommandTimer } from './timing.ts'
import { Turns } from './turns.ts'
import { version } from './version.ts'

/** How often idle clients are looked for. */
const idlePeriodMs = 1000
/** The machine has no such address, or no such family of addresses. */
const addressMissing: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])
/** A bulk longer than this is received into pages of the store. */
const bigBytesMin = 64 * 1024

/**
 * Makes a server of its parts; it serves streams given to `handle`, and sockets after `listen`. Until
 * `loaded` resolves it reads its snapshot.
 * @throws {SnapshotError} there is one that cannot be loaded
 */
export async function createServer(
  config: Config,
  world: ServerWorld,
  log: Log,
  loader?: Loader,
): Promise<Server> {
  const ringHash = await Routing.loadHash()
  const checksum = await loadChecksum()
  const snapshot = await snapshotFor(config, world, log, checksum)
  const parts = { config, world, log, ringHash, checksum, snapshot }
  return new Server({ ...parts, loader: loader ?? (await loaderFor(config)) })
}

/**
 * A node of a cluster begins empty: while it was away others answered for its keys, and what they
 * were told since is newer than its snapshot.
 */
async function snapshotFor(
  config: Config,
  { files }: ServerWorld,
  log: Log,
  checksum: Checksum,
): Promise<SnapshotReader | null> {
  const path = (): string => config.dbfilename
  const snapshot = await findSnapshot({ files, log, checksum, path })
  if (snapshot === null || config.members === null || config.members.all.length < 2) return snapshot
  await snapshot.close()
  log.warning('the snapshot is not loaded: other nodes may have answered for its keys since')
  return null
}

/** The HTTP client is large and slow to load: only who has groups pays for it. */
async function loaderFor(config: Config): Promise<Loader> {
  if (config.groups.all.length === 0) return NO_LOADER
  const { HttpLoader } = await import('../cluster/origin/http.ts')
  return new HttpLoader({ version })
}

const NO_LOADER: Loader = {
  load: () => Promise.reject(new Error('there are no groups, so nothing is loaded')),
  close: () => Promise.resolve(),
}

interface ServerParts {
  readonly config: Config
  readonly world: ServerWorld
  readonly log: Log
  readonly ringHash: (text: string) => number
  readonly checksum: Checksum
  readonly snapshot: SnapshotReader | null
  readonly loader: Loader
}

/** How to end. */
export interface EndOptions {
  /** Null: where there are save points. */
  readonly save: boolean | null
  /** End also when the snapshot cannot be written. */
  readonly force: boolean
}

/** The words of `save`: seconds and changes, alternating. */
function savePoints(words: readonly string[]): SavePoint[] {
  return words.flatMap((seconds, i) =>
    i % 2 === 0 ? [{ seconds: Number(seconds), changes: Number(words[i + 1]) }] : [],
  )
}

/** What a server is made of: the only wiring there is. */
export class Server {
  readonly config: Config
  readonly world: ServerWorld
  readonly log: Log
  readonly store: Store
  readonly table = new CommandTable(commands)
  readonly stats: Stats
  readonly areas: ReplyAreas
  readonly turns: Turns
  readonly lookAhead: LookAhead
  readonly decoderLimits: DecoderLimits
  readonly loading: Loading
  readonly routing: Routing
  readonly snapshots: Snapshots
  readonly sweeper: Sweeper
  readonly slowLog: SlowLog
  readonly latency: LatencyMonitor
  readonly timer: CommandTimer
  readonly monitors: Monitors
  outputLimits: Readonly<Record<OutputClass, OutputLimit>>
  /** Resolves when the snapshot was read, at once if there is none. */
  readonly loaded: Promise<void>
  /** No command runs: the last snapshot is being written. */
  frozen = false
  /** On the clock's scale. */
  readonly startedAt: number
  /** 40 hex digits, new at each start. */
  readonly runId: string
  /** Resolves when the server has stopped. */
  readonly stopped: Promise<void>
  #stop!: () => void
  readonly #connections = new Map<number, Connection>()
  readonly #clients = new Map<number, Client>()
  readonly #maxMemory: MaxMemory
  #listeners: Listener[] = []
  #timers: { cancel(): void }[] = []
  #stopping = false

  constructor({ config, world, log, ringHash, checksum, snapshot, loader }: ServerParts) {
    this.config = config
    this.world = world
    this.stats = new Stats(shareStats([...this.table.all()].map((entry) => entry.fullName)))
    this.stats.trackLatency(config['latency-tracking'])
    config.onChange('latency-tracking', (on) => this.stats.trackLatency(on))
    this.log = log
    this.startedAt = world.clock.now()
    this.runId = world.random.bytes(20).toString('hex')
    this.stopped = new Promise((resolve) => (this.#stop = resolve))
    const seed = world.random.uint32()
    // With its seed the snapshot's images fit as they are.
    this.store = openStore(config, snapshot?.facts.seed ?? seed, log)
    this.store.now = this.startedAt
    this.areas = new ReplyAreas(this.store.io, (run) => world.clock.soon(run))
    this.turns = new Turns(world.clock)
    this.lookAhead = new LookAhead(this.store)
    this.decoderLimits = { bulkBytesMax: config['proto-max-bulk-len'], bigBytesMin }
    config.onChange('proto-max-bulk-len', (bytes) => {
      this.decoderLimits.bulkBytesMax = bytes
    })
    this.loading = new Loading(this, config.groups, loader)
    this.routing = new Routing(this, ringHash)
    this.slowLog = new SlowLog(() => config['slowlog-max-len'])
    this.latency = new LatencyMonitor(() => config['latency-monitor-threshold'])
    this.timer = this.#openTimer()
    this.monitors = new Monitors(world.clock, this.stats)
    this.outputLimits = outputLimits(config['client-output-buffer-limit'])
    config.onChange('client-output-buffer-limit', (value) => {
      this.outputLimits = outputLimits(value)
    })
    const watch = (event: LatencyEvent) => (micros: number) =>
      this.latency.watch(event, micros, Math.floor(world.clock.wall() / 1000))
    this.sweeper = new Sweeper(this.store, config, world.clock, watch('expire-cycle'))
    const onSlice = watch('eviction-cycle')
    this.#maxMemory = new MaxMemory(this.store, config, { clock: world.clock, log, onSlice })
    this.#timers.push(world.clock.every(idlePeriodMs, () => this.#judgeClients()))
    this.stats.start(world.clock, () => this.store.usedBytes)
    this.snapshots = this.#openSnapshots(checksum)
    this.loaded = snapshot === null ? Promise.resolve() : this.snapshots.load(snapshot)
  }

  get clients(): ReadonlyMap<number, Client> {
    return this.#clients
  }

  get listeners(): readonly Listener[] {
    return this.#listeners
  }

  /** The port it listens on; 0 before `listen`. */
  get port(): number {
    return this.#listeners[0]?.port ?? 0
  }

  /** Listens on each `bind` address; with port 0 on none. Rejects with the system's error (EADDRINUSE ...). */
  async listen(): Promise<void> {
    const { config, store } = this
    this.routing.start()
    if (config.port === 0) return
    const readBuffer = store.io.bytes.subarray(store.io.read, store.io.readEnd)
    for (const bind of config.bind) {
      // A leading '-' means: no error when the machine lacks this address.
      const optional = bind.startsWith('-')
      try {
        this.#listeners.push(
          await listen({
            host: optional ? bind.slice(1) : bind,
            port: config.port,
            backlog: config['tcp-backlog'],
            keepAliveSeconds: () => config['tcp-keepalive'],
            readBuffer,
            onConnection: (socket) => this.#admit(socket),
            onAcceptError: (error) => {
              this.log.warning({ code: error.code }, 'a connection could not be accepted')
            },
          }),
        )
      } catch (error) {
        if (optional && addressMissing.has((error as NodeJS.ErrnoException).code ?? '')) continue
        await this.#closeListeners()
        throw error
      }
    }
  }

  /** Serves a client on any duplex stream. */
  handle(stream: Duplex, addresses = { remote: '', local: '' }): Client {
    const socket = new DuplexSocket(stream, addresses)
    const refusal = this.#refusal(socket)
    const connection = this.#accept(socket)
    socket.attach(this.store.io, connection)
    if (refusal !== null) {
      this.stats.row[counter.rejectedConnections]!++
      connection.say(() => this.areas.reply.error(refusal))
      this.countErrors()
      connection.closeAfterReply()
    }
    return connection.client
  }

  /** The statistics of a command. */
  cellOf(entry: CommandEntry): CommandCell {
    return this.stats.cells[entry.index]!
  }

  /** Counts the error replies that were just written. */
  countErrors(reply = this.areas.reply): void {
    for (; reply.errors > 0; reply.errors--) this.stats.error(reply.lastErrorCode)
  }

  /** Answers a command that was copied, in the slot it took: loads what it misses, or runs it. */
  answerLater(client: Client, entry: CommandEntry, args: Args, db: number, slot: Slot): void {
    if (
      entry.loads !== null &&
      this.loading.enabled &&
      this.loading.takes(client, entry, { args, db, slot })
    ) {
      return
    }
    slot.answer(() => client.runAs(entry.run, args, db))
  }

  /** A connection is gone. */
  forget(connection: Connection): void {
    if (this.#connections.delete(connection.client.id)) this.stats.clientLeft()
    this.#clients.delete(connection.client.id)
    this.monitors.remove(connection.client.id)
    if (this.#stopping && this.#connections.size === 0) this.#stop()
  }

  /**
   * SHUTDOWN, and signals: writes the last snapshot where there are save points or `save` says so,
   * during which no command runs, and then shuts down. False: it cannot be written, and is not done
   * without; the server goes on.
   */
  async end(how: EndOptions): Promise<boolean> {
    if (this.#stopping || this.frozen) return true
    const { snapshots } = this
    const saves = snapshots.loading === null && (how.save ?? snapshots.hasPoints)
    this.frozen = true
    await snapshots.abort()
    try {
      if (saves) {
        this.log.notice('Saving the final RDB snapshot before exiting.')
        await snapshots.save()
      }
    } catch {
      if (!how.force) {
        this.log.warning("Error trying to save the DB, can't exit.")
        this.#thaw()
        return false
      }
      this.log.warning('Error trying to save the DB. Exit anyway.')
    }
    this.shutdown()
    return true
  }

  /** Stops: no new clients, replies under way leave, then `stopped` resolves. */
  shutdown(): void {
    if (this.#stopping) return
    this.#stopping = true
    for (const timer of this.#timers) timer.cancel()
    this.sweeper.stop()
    this.stats.stop()
    this.#maxMemory.stop()
    void this.#closeListeners()
    this.snapshots.stop()
    void this.snapshots.abort()
    this.loading.close()
    this.routing.close()
    for (const connection of [...this.#connections.values()]) connection.closeAfterReply()
    if (this.#connections.size === 0) this.#stop()
    this.world.clock.after(this.config['shutdown-timeout'] * 1000, () => {
      for (const connection of [...this.#connections.values()]) connection.destroy()
      this.#stop()
    })
  }

  #thaw(): void {
    this.frozen = false
    for (const connection of [...this.#connections.values()]) connection.onReady()
  }

  #openTimer(): CommandTimer {
    const { config, latency, slowLog, world } = this
    const timer = new CommandTimer(world.clock, {
      slow: (command) => slowLog.add(command),
      latency: (event, micros, seconds) => latency.watch(event, micros, seconds),
    })
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

  #openSnapshots(checksum: Checksum): Snapshots {
    const { config, log, store, world } = this
    const { clock, files, random } = world
    const path = (): string => config.dbfilename
    const snapshots = new Snapshots({ store, files, clock, random, log, checksum, path })
    const configure = (): void =>
      snapshots.configure(savePoints(config.save), config['stop-writes-on-bgsave-error'])
    config.onChange('save', configure)
    config.onChange('stop-writes-on-bgsave-error', configure)
    configure()
    snapshots.start()
    return snapshots
  }

  /** A socket that was accepted: serves it, or tells it why not. */
  #admit(socket: ListenerSocket): void {
    const refusal = this.#refusal(socket)
    if (refusal === null) {
      socket.attach(this.#accept(socket))
    } else {
      this.stats.row[counter.rejectedConnections]!++
      socket.refuse(Buffer.from(`-${refusal}\r\n`))
    }
  }

  #accept(socket: Socket): Connection {
    const connection = new Connection(this, socket, this.stats.clientCame())
    this.#connections.set(connection.client.id, connection)
    this.#clients.set(connection.client.id, connection.client)
    this.stats.row[counter.connectionsReceived]!++
    return connection
  }

  /** The error line for a client that may not connect, else null. */
  #refusal({ remoteAddress }: Pick<Socket, 'remoteAddress'>): string | null {
    const { config } = this
    if (this.stats.clients >= config.maxclients) return errors.ERR_MAX_CLIENTS
    const isProtected = config['protected-mode'] && config.requirepass === ''
    if (isProtected && !isLocal(remoteAddress)) return errors.DENIED_PROTECTED_MODE
    return null
  }

  /** Closes those that are idle for too long, and those for which too much has been queued too long. */
  #judgeClients(): void {
    this.#closeIdle()
    for (const connection of [...this.#connections.values()]) connection.judgeOutput()
  }

  #closeIdle(): void {
    const timeoutMs = this.config.timeout * 1000
    if (timeoutMs === 0) return
    const now = this.world.clock.now()
    for (const connection of [...this.#connections.values()]) {
      const isIdle = connection.idleMs(now) > timeoutMs
      if (isIdle && connection.client.peer === null) connection.destroy()
    }
  }

  async #closeListeners(): Promise<void> {
    const listeners = this.#listeners
    this.#listeners = []
    await Promise.all(listeners.map((listener) => listener.close()))
  }
}
