/**
 * The hub's side of several threads.
 *
 *     clients ══ accepted ══> hub ══ the socket itself ══> worker 1..N     one store, shared
 *                              │ <── run INFO, wait 7, slow ... ── │
 *                              └── reply, landed 7, config, ask ──>┘
 *
 * The main thread is the hub. It serves no connection; it accepts them, and owns what there must be
 * one of: signals, loads, membership, snapshots, sweeping, the configuration, the log. Each worker is
 * an IoThread with an event loop of its own. Commands on keys never leave it. A command whose row says
 * `onHub` is sent here with its session's facts, runs as any command does, and its reply's bytes go
 * back; the connection executes no further command meanwhile.
 *
 * **How sockets reach a worker** is found out at the start:
 *
 * - `transfer` (Node 24): the hub hands each accepted socket, of which nothing was read, to the worker
 *   with the fewest connections.
 * - `reusePort` (Node 22.12): each worker listens itself, and the kernel spreads.
 *
 * An error that nothing catches in a worker ends the process: a thread that died may have held a lock
 * of the store, and its clients would hang.
 */
import { extname } from 'node:path'
import { type Transferable, Worker } from 'node:worker_threads'
import type { Outcome } from '../../cluster/loads/loads.ts'
import { Args } from '../../protocol/args.ts'
import { ERR_MAX_CLIENTS } from '../../protocol/errors.ts'
import { Client, type ClientConnection } from '../clients/client.ts'
import type { CommandEntry } from '../command.ts'
import {
  accept,
  type Accepted,
  canTransfer,
  type ListenAddress,
  type Listener,
  openTaker,
  type Taker,
} from '../clients/listener.ts'
import { Output } from '../clients/output.ts'
import type { Server, Workers } from '../server.ts'
import {
  type FromWorker,
  ownBytes,
  type SessionFacts,
  type ToWorker,
  type WorkerStart,
} from './messages.ts'
import { meshOf, ThreadMesh } from './mesh.ts'
import type { AnswerOf, ArgumentOf, QuestionName } from './questions.ts'
import { ThreadTrackingLinks, trackingLinksOf } from './tracking-links.ts'

/** How sockets reach the workers. */
export type SocketWay = 'transfer' | 'reusePort'

interface IoWorker {
  readonly thread: Worker
  readonly row: number
  /** Sockets that were handed to it. */
  handed: number
  readonly drained: Promise<void>
  onDrained: () => void
}

/** Trap: the compiler rewrites imports, not this. */
const program = new URL(`./worker${extname(import.meta.url)}`, import.meta.url)

/** Which way is open on this Node; null: none, so there can be only one thread. */
export async function findSocketWay(): Promise<SocketWay | null> {
  if (await canTransfer()) return 'transfer'
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 12) ? 'reusePort' : null
}

/** The I/O threads of a server, started. */
export class Hub implements Workers {
  readonly way: SocketWay
  readonly #server: Server
  readonly #workers: IoWorker[] = []
  readonly #questions = new Map<number, (answer: unknown) => void>()
  #nextQuestion = 0
  #adopts = true
  /** For those that are turned away. */
  readonly #taker: Taker

  private constructor(server: Server, way: SocketWay, taker: Taker) {
    this.#server = server
    this.#taker = taker
    this.way = way
  }

  /**
   * Starts the workers and gives them to the server. `die` ends the process, with an error that
   * nobody has caught.
   */
  static async start(
    server: Server,
    { way, originMs, die }: { way: SocketWay; originMs: number; die: (error: Error) => void },
  ): Promise<Hub> {
    const { readBuffer } = server
    const taker = await openTaker({ keepAliveSeconds: () => 0, readBuffer })
    const hub = new Hub(server, way, taker)
    const { config } = server
    const { store, options } = server.opened
    const common = {
      config: config.source,
      logLevel: config.loglevel,
      store: { ...options, attach: store.shared },
      stats: server.sharedStats,
      gate: server.gate.shared,
      slotStates: server.slotStates.shared,
      databases: server.databases.shared,
      stamps: server.stamps.shared,
      keptSlots: server.kept?.slots.shared ?? null,
      fence: server.handoff?.fence.shared ?? null,
      incarnation: server.incarnation,
      tls: server.tls?.keys ?? null,
      originMs,
    }
    const rows = Array.from({ length: config.threads + 1 }, (_, row) => row)
    const meshes = meshOf(rows)
    ThreadMesh.join(server.world.clock, server.pubsub, meshes.get(server.row)!)
    const links = trackingLinksOf(rows)
    const { clock } = server.world
    ThreadTrackingLinks.join(clock, server.tracking, server.row, links.get(server.row)!)
    const ready: Promise<void>[] = []
    for (const row of rows.slice(1)) {
      ready.push(
        hub.#hire({ ...common, row, mesh: meshes.get(row)!, tracking: links.get(row)! }, die),
      )
    }
    config.onSet((pairs) => hub.#tellAll({ kind: 'config', pairs }))
    server.tls?.onChange((keys) => hub.#tellAll({ kind: 'tls', keys }))
    config.onGroupSet((change) => hub.#tellAll({ kind: 'group', change }))
    const { membership } = server.routing
    membership?.onList(() => {
      const members = membership.members.map((member) => {
        const { name, host, port, weight, dial, state, incarnation } = member
        return { name, host, port, weight, dial, state, incarnation }
      })
      hub.#tellAll({ kind: 'members', members })
    })
    membership?.onState(({ name, state, incarnation }) => {
      hub.#tellAll({ kind: 'member', name, state, incarnation })
    })
    membership?.onUnheard(({ name }) => hub.#tellAll({ kind: 'unheard', name }))
    membership?.onVouchers((name, vouchers) => hub.#tellAll({ kind: 'vouchers', name, vouchers }))
    membership?.onEpoch((epoch) => hub.#tellAll({ kind: 'epoch', epoch }))
    server.employ(hub)
    await Promise.all(ready)
    return hub
  }

  /** Starts one; resolves when it serves. */
  #hire(start: WorkerStart, die: (error: Error) => void): Promise<void> {
    const transferList = [...start.mesh.ports.values(), ...start.tracking.ports.values()]
    const thread = new Worker(program, { workerData: start, name: `io-${start.row}`, transferList })
    let onDrained = (): void => {}
    const drained = new Promise<void>((resolve) => (onDrained = resolve))
    const worker: IoWorker = { thread, row: start.row, handed: 0, drained, onDrained }
    this.#workers.push(worker)
    thread.on('error', (error) => die(error))
    thread.on('exit', () => die(new Error(`I/O thread ${start.row} has ended`)))
    return new Promise((resolve) => {
      thread.on('message', (message: FromWorker) => {
        if (message.kind === 'ready') {
          if (!message.adopts) this.#adopts = false
          resolve()
        } else {
          this.#hear(worker, message)
        }
      })
    })
  }

  #hear(worker: IoWorker, message: FromWorker): void {
    const server = this.#server
    switch (message.kind) {
      case 'ready':
        return
      case 'answer': {
        const done = this.#questions.get(message.id)!
        this.#questions.delete(message.id)
        done(message.answer)
        return
      }
      case 'run':
        this.#run(worker, message.id, message.session, message.args)
        return
      case 'load':
        this.#load(worker, message)
        return
      case 'sweep':
        return this.#server.invalidations.sweep()
      case 'settle': {
        const { id, key } = message
        const bytes = Buffer.from(key.buffer, key.byteOffset, key.length)
        server.takeover!.settle(bytes, () => tell(worker, { kind: 'handed', id }))
        return
      }
      case 'word': {
        const { id, name, word } = message
        server.takeover!.hear(name, word, () => tell(worker, { kind: 'handed', id }))
        return
      }
      case 'copy':
        this.#copy(worker, message)
        return
      case 'slow':
        server.slowLog.skip(message.skipped)
        for (const command of message.commands) server.slowLog.add(command)
        tell(worker, { kind: 'slow-heard' })
        return
      case 'latency':
        server.latency.watch(message.event, message.micros, message.seconds)
        return
      case 'monitored':
        server.monitors.hear(message.line)
        for (const other of this.#workers) if (other !== worker) tell(other, message)
        return
      case 'log':
        server.log.line(message.line)
        return
      case 'drained':
        worker.onDrained()
        return
    }
  }

  #tellAll(message: ToWorker): void {
    for (const worker of this.#workers) tell(worker, message)
  }

  /* ---- sockets ---- */

  async listen(at: ListenAddress): Promise<Listener> {
    const onAcceptError = (error: NodeJS.ErrnoException): void => {
      this.#server.reportAcceptError(error)
    }
    const onAccepted = (accepted: Accepted): void => this.#hand(accepted)
    const listener = await accept({ ...at, onAccepted, onAcceptError }, this.#adopts)
    if (this.way === 'transfer') return listener
    // The hub has made sure that the address is free; from now on the workers listen there.
    await listener.close()
    const asked = this.#workers.map((worker) => this.#question(worker, { kind: 'listen', at }))
    const failure = (await Promise.all(asked)).find((error) => error !== null)
    if (failure !== undefined) throw Object.assign(new Error(), failure)
    return { ...listener, close: () => Promise.resolve() }
  }

  /**
   * To the worker with the fewest connections. Where there are too many it is told so here: those on
   * their way to a worker have a file descriptor each, and there must be one left to turn it away.
   */
  #hand(accepted: Accepted): void {
    const server = this.#server
    let fewest = this.#workers[0]!
    let open = 0
    for (const worker of this.#workers) {
      const count = this.#openOf(worker)
      open += count
      if (count < this.#openOf(fewest)) fewest = worker
    }
    if (open >= server.config.maxclients) {
      server.turnAway(this.#taker.take(accepted), ERR_MAX_CLIENTS)
      return
    }
    fewest.handed++
    tell(fewest, { kind: 'socket', socket: accepted }, [accepted as unknown as Transferable])
  }

  #openOf({ row, handed }: IoWorker): number {
    return handed - this.#server.stats.goneFrom(row)
  }

  /* ---- questions ---- */

  ask<Name extends QuestionName>(
    name: Name,
    argument: ArgumentOf<Name>,
    done: (answers: AnswerOf<Name>[]) => void,
  ): void {
    const asked = this.#workers.map((worker) =>
      this.#question(worker, { kind: 'ask', name, argument }),
    )
    void Promise.all(asked).then((answers) => done(answers as AnswerOf<Name>[]))
  }

  whileStopped(one: number, two: number, swap: () => void): void {
    const { swaps } = this.#server.databases
    const asked = this.#workers.map((worker) =>
      this.#question(worker, { kind: 'swap', swaps, one, two }),
    )
    void Promise.all(asked).then(swap)
  }

  #question(
    worker: IoWorker,
    question: DistributiveOmit<Extract<ToWorker, { kind: 'ask' | 'swap' | 'listen' }>, 'id'>,
  ): Promise<unknown> {
    const id = this.#nextQuestion++
    tell(worker, { ...question, id })
    return new Promise((resolve) => this.#questions.set(id, resolve))
  }

  /* ---- what workers want of the hub ---- */

  #run(worker: IoWorker, id: number, session: SessionFacts, words: readonly Uint8Array[]): void {
    const args = Args.of(
      words.map((word) => Buffer.from(word.buffer, word.byteOffset, word.length)),
    )
    const entry = this.#server.table.called(args)!
    new Caller(this.#server, session).run(entry, args, (reply) => {
      const bytes = ownBytes(reply)
      tell(worker, { kind: 'reply', id, bytes }, [bytes.buffer])
    })
  }

  #load(worker: IoWorker, message: Extract<FromWorker, { kind: 'load' }>): void {
    const { token, db, key, group, why } = message
    const { config, loads } = this.#server
    const miss = { token, db, key, group: config.groups.get(group)!, waitMs: Infinity }
    if (why !== 'wait') {
      loads.refresh(miss, why === 'early')
      return
    }
    const hear = (outcome: Outcome): void => {
      tell(worker, { kind: 'landed', token, outcome: portable(outcome) })
    }
    // Who waits in the worker has a time of its own, also for a client's lease.
    if (loads.grants.has(token)) loads.grants.wait(token, Infinity, hear)
    else loads.wait(miss, hear)
  }

  #copy(worker: IoWorker, { id, keys, what }: Extract<FromWorker, { kind: 'copy' }>): void {
    const copies = this.#server.copies!
    const done = (): void => tell(worker, { kind: 'handed', id })
    if (what === 'all') copies.flushed(done)
    else if (what === 'noted') copies.noted(done)
    else {
      const own = keys.map((key) => Buffer.from(key.buffer, key.byteOffset, key.length))
      copies.copied(own, done)
    }
  }

  tellMonitors(line: Uint8Array): void {
    this.#tellAll({ kind: 'monitored', line: ownBytes(line) })
  }

  async drain(timeoutMs: number): Promise<void> {
    this.#tellAll({ kind: 'drain', timeoutMs })
    await Promise.all(this.#workers.map((worker) => worker.drained))
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

function tell(
  { thread }: IoWorker,
  message: ToWorker,
  transfer: readonly Transferable[] = [],
): void {
  thread.postMessage(message, transfer)
}

function portable(outcome: Outcome): Outcome {
  if (outcome.kind === 'error') return { kind: 'error', line: outcome.line }
  if (outcome.kind !== 'value') return outcome
  return { ...outcome, value: ownBytes(outcome.value) as Buffer }
}

/** Somebody's client, as far as a command on the hub needs it. */
class Caller implements ClientConnection {
  readonly output: Output
  readonly queryBytes = 0
  readonly outputBytes = 0
  readonly bytesRead = 0
  readonly bytesWritten = 0
  readonly fd = -1
  readonly distrust = null
  readonly #client: Client

  constructor(server: Server, session: SessionFacts) {
    const { id, address, localAddress } = session
    const sink = { writableLength: 0, write: () => {}, end: () => {}, destroy: () => {} }
    const events = {
      onReady: () => {},
      onSent: () => {},
      onErrors: () => server.countErrors(),
      onEnded: () => {},
    }
    this.output = new Output(sink, server.areas, events)
    this.output.protocol = session.protocol
    this.#client = new Client(server, this, { id, address, localAddress, authenticated: true })
    this.#client.name = session.name
    this.#client.peer = session.peer
    this.#client.db = session.db
    this.#client.isInExecElsewhere = session.isInExec
  }

  /** Runs the command; `hear` gets its reply, in the client's protocol. */
  run(entry: CommandEntry, args: Args, hear: (reply: Buffer) => void): void {
    const client = this.#client
    const { reply, server } = client
    const cell = server.cellOf(entry)
    const slot = this.output.call(hear, this.output.protocol)
    const { db } = client
    if (server.writing.enabled && server.writing.takes(client, entry, { args, db, slot })) return
    const run = (): void => {
      server.timer.run(client, entry, cell)
      if (reply.errors > 0) cell.failed()
    }
    server.timer.begin(server.world.clock.now())
    slot.answer(() => client.runAs(run, args, db))
    server.timer.end()
  }

  /** They came in a message of their own. */
  handOver(): boolean {
    return true
  }

  handOverPages(): void {}

  /* Its connection is in another thread; no command on the hub closes it through this object. */
  push(): void {}
  closeAfterReply(): void {}
  destroy(): void {}
}
