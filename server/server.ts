import { dirname } from 'node:path'
import { cwd } from 'node:process'
import type { Group } from '../cluster/groups/group.ts'
import { newIncarnation } from '../cluster/peers/handshake.ts'
import { Stamps } from '../cluster/hot/stamps.ts'
import { Loads } from '../cluster/loads/loads.ts'
import type { Membership } from '../cluster/members/membership.ts'
import { SlotStates } from '../cluster/ownership/slot-states.ts'
import { Writes } from '../cluster/loads/writes.ts'
import type { Loader, OriginGroup } from '../cluster/origin/loader.ts'
import { CommandTable } from './command.ts'
import { commands } from './commands/index.ts'
import type { Config } from './config.ts'
import { copiesDatabase } from './copies/database.ts'
import { Keeper } from './copies/keeper.ts'
import { offerLost } from './copies/offering.ts'
import { CopySender } from './copies/sender.ts'
import type { ServerWorld } from './snapshots/files.ts'
import { Databases } from './databases.ts'
import { Gate } from './gate.ts'
import { IoThread } from './io-thread.ts'
import { Invalidations } from './loads/invalidations.ts'
import type { Discovery } from '../cluster/discovery/discovery.ts'
import { openDiscovery } from './cluster/discovery.ts'
import { Failures, reportBreaker } from './loads/failures.ts'
import { Landings } from './loads/landings.ts'
import { type LatencyEvent, LatencyMonitor } from './latency.ts'
import { type Listener, type ListenAddress, listen } from './clients/listener.ts'
import { Leaving } from './cluster/leaving.ts'
import { LoadStore } from './loads/load-store.ts'
import type { Flights } from './loads/loading.ts'
import type { Log } from './log.ts'
import { MaxMemory, type OpenedStore, openStore, sharingThreads } from './memory/maxmemory.ts'
import { countMembers } from './cluster/min-members.ts'
import { OwnedSlots } from './cluster/owned-slots.ts'
import { Pauses } from './clients/pauses.ts'
import { Routing } from './cluster/routing.ts'
import { SlowLog } from './slow-log.ts'
import { type Checksum, loadChecksum, type SnapshotReader } from './snapshots/snapshot-file.ts'
import { findSnapshot, type SavePoint, Snapshots } from './snapshots/snapshots.ts'
import { shareStats, type SharedStats } from './stats.ts'
import { Sweeper } from './memory/sweeper.ts'
import { Takeover } from './cluster/takeover.ts'
import { answer, type AnswerOf, type ArgumentOf, type QuestionName } from './threads/questions.ts'
import { openTls, type Tls, withTls } from './clients/tls.ts'
import { version } from './version.ts'
import { Warming } from './loads/warming.ts'

/** The machine has no such address, or no such family of addresses. */
const addressMissing: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])
/** With LEAVE_MS_MAX less than 10 s. */
const DRAIN_AFTER_LEAVE_MS = 2_500

/**
 * Makes a server of its parts; it serves streams given to `handle`, and sockets after `listen`. Until
 * `loaded` resolves it reads its snapshot, unless it `beginsEmpty`. Without a `loader` it has the one
 * that its groups' origins want.
 * @throws {SnapshotError} there is one that cannot be loaded
 * @throws {GroupError} a group's origin cannot be used
 * @throws {TlsError} a certificate or key cannot be used
 */
export async function createServer(
  config: Config,
  outside: ServerWorld,
  log: Log,
  given: { readonly loader?: Loader | undefined; readonly beginsEmpty?: boolean } = {},
): Promise<Server> {
  const tls = openTls(config)
  const world = withTls(outside, tls)
  const ringHash = await Routing.loadHash()
  const checksum = await loadChecksum()
  const { beginsEmpty = false } = given
  const snapshot = beginsEmpty ? null : await snapshotFor(config, world, log, checksum)
  const parts = { config, world, log, ringHash, checksum, snapshot }
  const runId = world.random.bytes(20).toString('hex')
  const seed = world.random.uint32()
  const tokenSeed = world.random.uint32()
  // With its seed the snapshot's images fit as they are.
  const opened = openStore(config, { seed: snapshot?.facts.seed ?? seed, tokenSeed }, log)
  const commandNames = [...new CommandTable(commands).all()].map((entry) => entry.fullName)
  const stats = shareStats(commandNames, sharingThreads(config))
  const loader = given.loader ?? (await loaderFor(config, world, log))
  return new Server({ ...parts, runId, opened, stats, loader, tls })
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
  const snapshot = await findSnapshot({
    files,
    log,
    checksum,
    path,
    databaseCount: config.databases,
  })
  const isAlone = (config.members?.all.length ?? 1) < 2 && config.discovery === null
  if (snapshot === null || isAlone) return snapshot
  await snapshot.close()
  log.warning('the snapshot is not loaded: other nodes may have answered for its keys since')
  return null
}

/**
 * What asks origins is large and slow to load: only who has groups pays for it. A module is looked
 * for beside the config file, without one in the working directory.
 */
async function loaderFor(config: Config, world: ServerWorld, log: Log): Promise<Loader> {
  if (config.groups.all.length === 0) return NO_LOADER
  const { createLoader } = await import('../cluster/origin/origins.ts')
  const folder = config.file === '' ? cwd() : dirname(config.file)
  const { clock, random } = world
  const hear = (state: 'open' | 'closed', group: OriginGroup): void => {
    reportBreaker(log, state, group)
  }
  return createLoader(config.groups.all, { version, clock, random, folder, hear })
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
  readonly runId: string
  readonly opened: OpenedStore
  readonly stats: SharedStats
  readonly loader: Loader
  readonly tls: Tls | null
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

/** Loads counts all of its waiters itself. */
function flightsOf(loads: Loads, writes: Writes): Flights {
  return {
    wait: (miss, done) => loads.wait(miss, done),
    refresh: (miss, early) => loads.refresh(miss, early),
    close: () => {
      writes.close()
      void loads.close()
    },
    get waiting() {
      return loads.waiting
    },
    waiters: new Map(),
  }
}

/** The I/O threads of a server that has more than one: see threads/hub.ts. */
export interface Workers {
  /** Asks each of them. `done` hears all answers, in the order of the threads. */
  ask<Name extends QuestionName>(
    name: Name,
    argument: ArgumentOf<Name>,
    done: (answers: AnswerOf<Name>[]) => void,
  ): void
  /** Stops them for a swap of two databases, after which they go on. */
  whileStopped(one: number, two: number, swap: () => void): void
  /** Listens, and spreads what is accepted over them. Rejects as `listen` does. */
  listen(at: ListenAddress): Promise<Listener>
  /** A line for the monitors of all of them. */
  tellMonitors(line: Uint8Array): void
  /** They drain as IoThread.drain says. Resolves when all have. */
  drain(timeoutMs: number): Promise<void>
}

/**
 * What a server is made of: the only wiring there is. It is the one I/O thread of `threads 1`; with
 * more of them it is the hub, which serves no connection and owns what there must be one of.
 */
export class Server extends IoThread {
  override readonly hub = this
  /** Null: nobody speaks TLS. */
  readonly tls: Tls | null
  /** With these a worker attaches to the store and the counters. */
  readonly opened: OpenedStore
  readonly sharedStats: SharedStats
  readonly stamps: Stamps
  readonly loads: Loads
  readonly writes: Writes
  readonly landings: Landings
  readonly loadStore: LoadStore
  readonly breakerOf: (group: Group) => string
  readonly invalidations: Invalidations
  /** These are null where there is no cluster. */
  readonly ownedSlots: OwnedSlots | null
  readonly takeover: Takeover | null
  readonly leaving: Leaving | null
  /** These where no group has copies. */
  readonly copies: CopySender | null
  readonly keeper: Keeper | null
  readonly warming: Warming
  readonly snapshots: Snapshots
  readonly sweeper: Sweeper
  readonly pauses: Pauses
  readonly slowLog: SlowLog
  readonly latency: LatencyMonitor
  /** Resolves when the snapshot was read, at once if there is none. */
  readonly loaded: Promise<void>
  /** On the clock's scale. */
  readonly startedAt: number
  /** 40 hex digits, new at each start. */
  readonly runId: string
  /** Resolves when the server has stopped. */
  readonly stopped: Promise<void>
  #stop!: () => void
  readonly #maxMemory: MaxMemory
  #workers: Workers | null = null
  /** Null: the list of members does not change. */
  #discovery: Discovery | null = null
  readonly #outside: ServerWorld
  #listeners: Listener[] = []
  #stopping = false
  #ending = false
  /** Has it taken leave of the cluster? */
  #left = false

  constructor(parts: ServerParts) {
    const { config, world, log, opened, loader } = parts
    const { clock } = world
    const { store } = opened
    const startedAt = clock.now()
    const slowLog = new SlowLog(() => config['slowlog-max-len'])
    const latency = new LatencyMonitor(() => config['latency-monitor-threshold'])
    const failures = new Failures(clock, log)
    const report = failures.report.bind(failures)
    const writes = new Writes({ clock, loader, report })
    const landings = new Landings(clock)
    const loadStore = new LoadStore(store)
    const loads = new Loads({
      clock,
      random: world.random,
      store: loadStore,
      loader,
      report,
      hear: (landing) => {
        landings.hear(landing)
        const { miss, note } = landing
        this.copies?.arrived(miss.key)
        if (note === undefined || !landings.isNew(note, miss.group.name)) return
        log.notice({ group: miss.group.name }, `group ${miss.group.name}: not kept: ${note}`)
      },
    })
    const stamps = new Stamps()
    super({
      ...{ config, world, log, store, gate: new Gate(), stats: parts.stats, row: 0 },
      ...{ databases: new Databases(config.databases), slotStates: new SlotStates(), stamps },
      ...{ ringHash: parts.ringHash, flights: flightsOf(loads, writes), writes, delegate: null },
      sink: {
        slow: (command) => slowLog.add(command),
        latency: (event, micros, seconds) => latency.watch(event, micros, seconds),
      },
      tellMonitors: (line) => this.#workers?.tellMonitors(line),
      takers: {
        settle: (key, done) => this.takeover!.settle(key, done),
        hear: (name, word, done) => this.takeover!.hear(name, word, done),
        sweep: () => this.invalidations.sweep(),
      },
      incarnation: config.members === null ? '' : newIncarnation(world.random),
      copiers: {
        copied: (keys, done) => this.copies!.copied(keys, done),
        flushed: (done) => this.copies!.flushed(done),
        noted: (done) => this.copies!.noted(done),
      },
      ...{ fence: null, keptSlots: null },
    })
    this.#outside = world
    this.tls = parts.tls
    this.opened = opened
    this.sharedStats = parts.stats
    this.stamps = stamps
    this.startedAt = startedAt
    this.runId = parts.runId
    this.stopped = new Promise((resolve) => (this.#stop = resolve))
    this.loads = loads
    this.writes = writes
    this.landings = landings
    this.loadStore = loadStore
    this.breakerOf = ({ name }) => loader.breakerState?.(name) ?? 'closed'
    this.invalidations = new Invalidations(store, this.turns)
    this.warming = new Warming({ clock, store, loads })
    this.slowLog = slowLog
    this.latency = latency
    const watch = (event: LatencyEvent) => (micros: number) =>
      latency.watch(event, micros, Math.floor(clock.wall() / 1000))
    this.sweeper = new Sweeper(store, config, clock, watch('expire-cycle'))
    const onSlice = watch('eviction-cycle')
    this.pauses = new Pauses(clock, this.gate, () => this.ask('resume', null, () => {}))
    this.#maxMemory = new MaxMemory(store, config, { clock, log, onSlice })
    const { membership, ownership } = this.routing
    if (membership !== null) countMembers(membership, config, this.gate, log)
    this.ownedSlots = membership && new OwnedSlots(this, membership, ownership!)
    this.takeover = this.ownedSlots && this.#openTakeover(membership!, this.ownedSlots)
    this.leaving = membership && new Leaving(this, membership, this.handoff!.fence)
    const db = copiesDatabase(config)
    this.keeper = this.kept && new Keeper(this, membership!, this.kept, db)
    this.copies = this.kept && new CopySender(this, membership!)
    if (this.kept !== null) offerLost(this, membership!, ownership!)
    membership?.onChange(({ name, state }) => {
      log.notice({ node: name, state, epoch: membership.epoch }, `node ${name} is ${state}`)
    })
    this.stats.start(clock, () => store.usedBytes)
    this.snapshots = this.#openSnapshots(parts)
    const { snapshot } = parts
    this.loaded = snapshot === null ? Promise.resolve() : this.snapshots.load(snapshot)
    // It may be of a node of a cluster that was larger.
    if (snapshot !== null) void this.loaded.then(() => this.keeper?.dropAll())
  }

  override wake(now: number): void {
    super.wake(now)
    // Not now: this may be the begin of somebody's commands.
    if (this.gate.isInDoubt) this.world.clock.soon(() => this.ownedSlots?.look())
  }

  get listeners(): readonly Listener[] {
    return this.#listeners
  }

  get isStopping(): boolean {
    return this.#stopping
  }

  /** The port it listens on; 0 before `listen`. */
  get port(): number {
    return this.#listeners[0]?.port ?? 0
  }

  /** From now on, and before `listen`, these serve the connections. */
  employ(workers: Workers): void {
    this.#workers = workers
  }

  /** Does it serve the connections itself? */
  get isAlone(): boolean {
    return this.#workers === null
  }

  /**
   * SWAPDB of two databases; both must be there. On all threads at the same moment, and not while a
   * snapshot is written, which has one table. `done`: within this call if nothing is in the way.
   */
  swapDatabases(one: number, two: number, done: () => void): void {
    this.snapshots.holdOff((letSave) => {
      const swap = (): void => {
        this.databases.swap(one, two)
        this.databases.follow(this.clients.values(), one, two)
        letSave()
        done()
      }
      if (this.#workers === null) swap()
      else this.#workers.whileStopped(one, two, swap)
    })
  }

  /** Asks all threads, this one included. `done` hears all answers: within this call if it is alone. */
  ask<Name extends QuestionName>(
    name: Name,
    argument: ArgumentOf<Name>,
    done: (answers: AnswerOf<Name>[]) => void,
  ): void {
    const own = answer(this, name, argument)
    if (this.#workers === null) done([own])
    else this.#workers.ask(name, argument, (others) => done([own, ...others]))
  }

  /** Resolves when each thread has done all that it was told so far. */
  async settled(): Promise<void> {
    if (!this.isAlone) await new Promise<unknown>((resolve) => this.ask('settle', null, resolve))
  }

  /**
   * Listens on each `bind` address; with port 0 on none, or with `anyPort` on a free one. Rejects with
   * the system's error (EADDRINUSE ...).
   */
  async listen({ anyPort = false } = {}): Promise<void> {
    const { config } = this
    await this.#findMembers()
    if (this.#stopping) return
    this.routing.start()
    this.takeover?.begin()
    this.copies?.begin()
    if (config.port === 0 && !anyPort) return this.leaving?.announce()
    for (const bind of config.bind) {
      // A leading '-' means: no error when the machine lacks this address.
      const optional = bind.startsWith('-')
      const host = optional ? bind.slice(1) : bind
      try {
        this.#listeners.push(
          await this.#listenOn({ host, port: config.port, backlog: config['tcp-backlog'] }),
        )
      } catch (error) {
        if (optional && addressMissing.has((error as NodeJS.ErrnoException).code ?? '')) continue
        await this.#closeListeners()
        throw error
      }
    }
    this.leaving?.announce()
  }

  /** The list that there is when it begins; from then on it changes by itself. */
  async #findMembers(): Promise<void> {
    const { config, log, routing } = this
    if (routing.membership === null) return
    const discovery = await openDiscovery(config, this.#outside, routing.membership, log)
    if (this.#stopping) return
    this.#discovery = discovery
    await discovery?.start()
  }

  #listenOn(at: ListenAddress): Promise<Listener> {
    if (this.#workers !== null) return this.#workers.listen(at)
    return listen({
      ...at,
      tls: this.tls,
      keepAliveSeconds: () => this.config['tcp-keepalive'],
      readBuffer: this.readBuffer,
      onConnection: (socket) => this.admit(socket),
      onAcceptError: (error) => this.reportAcceptError(error),
    })
  }

  /**
   * SHUTDOWN, and signals: writes the last snapshot where there are save points or `save` says so,
   * during which no command runs, and then shuts down. False: it cannot be written, and is not done
   * without; the server goes on.
   */
  async end(how: EndOptions): Promise<boolean> {
    if (this.#stopping || this.#ending) return true
    this.#ending = true
    if (this.leaving !== null) await this.#leave(this.leaving)
    const done = await this.#end(how)
    this.#ending = false
    if (!done) await this.leaving?.stay()
    return done
  }

  /** Takes leave of the cluster, which has its part of the time that the end may take. */
  async #leave(leaving: Leaving): Promise<void> {
    const { log, world } = this
    const begunAt = world.clock.now()
    await leaving.leave()
    const tookMs = Math.round(world.clock.now() - begunAt)
    this.#left = true
    log.notice({ offered: leaving.offered, tookMs }, 'left the cluster')
  }

  async #end(how: EndOptions): Promise<boolean> {
    const { snapshots } = this
    const saves = snapshots.loading === null && (how.save ?? snapshots.hasPoints)
    this.gate.frozen = true
    await this.settled()
    await snapshots.abort()
    try {
      if (saves) {
        this.log.notice('Saving the final RDB snapshot before exiting.')
        await snapshots.save()
      }
    } catch {
      if (!how.force) {
        this.log.warning("Error trying to save the DB, can't exit.")
        this.gate.frozen = false
        this.ask('thaw', null, () => {})
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
    this.sweeper.stop()
    this.pauses.stop()
    this.ownedSlots?.stop()
    this.takeover?.stop()
    this.copies?.stop()
    this.keeper?.stop()
    this.warming.stop()
    this.stats.stop()
    this.#maxMemory.stop()
    void this.#closeListeners()
    this.snapshots.stop()
    void this.snapshots.abort()
    const givenMs = this.config['shutdown-timeout'] * 1000
    const timeoutMs = this.#left ? Math.min(givenMs, DRAIN_AFTER_LEAVE_MS) : givenMs
    const others = Promise.all([this.#workers?.drain(timeoutMs), this.#discovery?.close()])
    this.drain(timeoutMs, () => void others.then(this.#stop))
  }

  #openTakeover(membership: Membership, ownedSlots: OwnedSlots): Takeover {
    const ownership = this.routing.ownership!
    return new Takeover(this, { fence: this.handoff!.fence, membership, ownership, ownedSlots })
  }

  #openSnapshots({ world, checksum }: ServerParts): Snapshots {
    const { config, databases, gate, log, store } = this
    const { clock, files, random } = world
    const path = (): string => config.dbfilename
    const snapshots = new Snapshots({
      ...{ store, files, clock, random, log, checksum, gate, databases },
      path,
    })
    const configure = (): void =>
      snapshots.configure(savePoints(config.save), config['stop-writes-on-bgsave-error'])
    config.onChange('save', configure)
    config.onChange('stop-writes-on-bgsave-error', configure)
    configure()
    snapshots.start()
    return snapshots
  }

  async #closeListeners(): Promise<void> {
    const listeners = this.#listeners
    this.#listeners = []
    await Promise.all(listeners.map((listener) => listener.close()))
  }
}
