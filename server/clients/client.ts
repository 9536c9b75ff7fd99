import { strict as assert } from 'node:assert'
import { LOADING_AFTER_MS } from '../../cluster/peers/frame.ts'
import type { Meeting } from '../../cluster/peers/handshake.ts'
import { Args } from '../../protocol/args.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { CommandEntry } from '../command.ts'
import type { Output } from './output.ts'
import type { Postponed } from './pauses.ts'
import type { Subscriber } from '../pubsub.ts'
import type { RoutingHistory } from '../cluster/redirects.ts'
import type { Slot } from './slot.ts'
import type { IoThread } from '../io-thread.ts'
import type { Server } from '../server.ts'
import type { Pages, Store } from '../store/store.ts'
import type { AnswerOf, ArgumentOf, QuestionName } from '../threads/questions.ts'
import type { Tracker } from '../tracking/tracker.ts'
import { dropTickets, Tickets, Whereabouts } from '../transactions/routing.ts'
import { Transaction } from '../transactions/transaction.ts'
import type { Step } from '../turns.ts'
import { WatchedKeys } from '../transactions/watched-keys.ts'

/** What a client's session needs of its connection. */
export interface ClientConnection {
  readonly output: Output
  readonly queryBytes: number
  readonly outputBytes: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly fd: number
  /** Why the other side is no node of a cluster with TLS, as an error puts it; null: its certificate is the cluster's. */
  readonly distrust: string | null
  /** Are these bytes (of the command that runs) the caller's from now on? */
  handOver(bytes: Uint8Array): boolean
  /** From now on the pages that the command's big arguments came in are the caller's to release. */
  handOverPages(): void
  /** Sends bytes that answer no command. */
  push(bytes: Uint8Array): void
  closeAfterReply(): void
  destroy(): void
}

/** One client's session: what commands read and change. */
export class Client {
  /** The thread that serves it. */
  readonly server: IoThread
  readonly store: Store
  /** The thread's encoder: while this client's command runs it writes for this client. */
  readonly reply: Reply
  readonly connectionArgs: Args
  /** Arguments of the command being executed. */
  args: Args
  readonly id: number
  /** 'host:port' */
  readonly address: string
  readonly localAddress: string
  /** Milliseconds on the clock's scale. */
  readonly createdAt: number
  lastCommandAt: number
  lastCommand = 'NULL'
  /** A database of the store; databases.ts has the number that clients say. */
  db: number
  name = ''
  libName = ''
  libVersion = ''
  user = 'default'
  authenticated: boolean
  /** Does protected mode turn it away, unless it proves to be a node of the cluster? Then it is not authenticated. */
  isStranger = false
  noEvict = false
  noTouch = false
  /** Does it watch what others do? See monitors.ts. */
  isMonitor = false
  /** What is queued since MULTI; null: it is in no transaction. */
  transaction: Transaction | null = null
  /** On the hub: does EXEC of another thread run its command? */
  isInExecElsewhere = false
  /** Is it a monitor, a subscriber, in a transaction, or does it track keys? Then not every command simply runs (dispatch.ts). */
  isSpecial = false
  /** What it is subscribed to; null: it never was to anything. */
  subscriber: Subscriber | null = null
  /** How it wants to hear of keys that change; null: it does not (tracking/). */
  tracker: Tracker | null = null
  /** Was it told what another client wants to know? */
  hearsOthers = false
  /** CLIENT REPLY: 'skip' suppresses this command's reply, 'skip-next' the next one's. See `hearReplies`. */
  replyMode: 'on' | 'off' | 'skip' | 'skip-next' = 'on'
  /** The node of the cluster that speaks here: its commands run here, they are never forwarded. */
  peer: string | null = null
  /** What PEER HELLO agreed on, until PEER AUTH. */
  peerChallenge: Meeting | null = null
  /** In a cluster: what keys it has sent here (server/cluster/redirects.ts). */
  routingHistory: RoutingHistory | null = null
  #watched: WatchedKeys | null = null
  #where: Whereabouts | null = null
  #tickets: Tickets | null = null
  #keepsPace = false
  readonly #connection: ClientConnection
  /** Is its connection to be closed after the reply to the command that runs? */
  isClosing = false
  #isPutOff = false
  /** Did a transaction take the pages of the last command? */
  #queuesPages = false
  #wait: { end(line: string | null): void; cancel(): void } | null = null

  constructor(
    server: IoThread,
    connection: ClientConnection,
    init: { id: number; address: string; localAddress: string; authenticated: boolean },
  ) {
    this.server = server
    this.store = server.store
    this.reply = server.areas.reply
    this.db = server.databases.behind(0)
    this.#connection = connection
    this.connectionArgs = new Args()
    this.args = this.connectionArgs
    this.id = init.id
    this.address = init.address
    this.localAddress = init.localAddress
    this.authenticated = init.authenticated
    this.createdAt = server.world.clock.now()
    this.lastCommandAt = this.createdAt
  }

  /** All that it may do is to shake hands as a node. */
  beStranger(): void {
    this.isStranger = true
    this.authenticated = false
  }

  /** For commands that run on the hub, and on no other thread: their rows say so. */
  get hub(): Server {
    const { hub } = this.server
    assert(hub !== null, 'a command without `onHub` wants the hub')
    return hub
  }

  /** 2 or 3, also while another client's command runs. */
  get protocol(): number {
    return this.#connection.output.protocol
  }

  /** HELLO: how replies are encoded from now on. */
  useProtocol(version: 2 | 3): void {
    this.#connection.output.protocol = version
    this.reply.protocol = version
  }

  get queryBytes(): number {
    return this.#connection.queryBytes
  }
  get outputBytes(): number {
    return this.#connection.outputBytes
  }
  get outputParts(): number {
    return this.#connection.output.queuedParts
  }
  get bytesRead(): number {
    return this.#connection.bytesRead
  }
  get bytesWritten(): number {
    return this.#connection.bytesWritten
  }
  get distrust(): string | null {
    return this.#connection.distrust
  }
  get fd(): number {
    return this.#connection.fd
  }

  /** A bulk reply from (a range of) pages, streamed; the pages are released when sent or the client is gone. */
  replyPages(pages: Pages, from = 0, length = pages.length - from): void {
    this.#connection.output.pages(pages, from, length)
  }

  /** After NO_ROOM: the replies so far leave, the reply area is empty again. */
  flushReplies(): void {
    this.#connection.output.flushAll()
  }

  /** Takes a reply slot: later commands go on executing, their replies wait their turn. */
  defer(): Slot {
    return this.#takeSlot(false)
  }

  /** Takes a reply slot, and no later command of this connection runs until it is settled. */
  hold(): Slot {
    return this.#takeSlot(true)
  }

  #takeSlot(holds: boolean): Slot {
    const { output } = this.#connection
    const slot = output.defer(holds)
    const { requestId } = slot
    // A peer that hears nothing takes this node for dead: tell it that the request is alive.
    if (requestId !== 0) {
      this.server.world.clock.after(LOADING_AFTER_MS, () => {
        if (!slot.settled) output.loading(requestId)
      })
    }
    return slot
  }

  /**
   * Runs the rest of a long command, which writes its reply bit by bit: now if it takes no longer
   * than a slice, else in turns with others (turns.ts). No later command of this connection runs
   * before it has ended. What `step` needs of the arguments it finds in `client.args`, whenever it
   * runs. Those in pages that no verb of the store has taken are released at the end. In a transaction
   * nobody has a turn before it ends.
   */
  inSteps(step: Step): void {
    const { output } = this.#connection
    const { server, transaction } = this
    if (transaction?.isRunning === true) {
      while (!step()) transaction.goOn(this)
      return
    }
    const { timer, turns } = server
    if (turns.slice(step, () => output.hasRoom)) return
    const args = this.#detachedArgs()
    if (args.bigs.length > 0) this.#connection.handOverPages()
    const { db } = this
    const slot = this.hold()
    const long = timer.goesOn(this, (entry) => server.cellOf(entry), args)
    const goOn = {
      takeTurn: (): boolean => {
        if (!slot.hasRoom) {
          slot.whenRoom(() => turns.add(goOn))
          return false
        }
        let done = false
        const slice = (): void => void (done = turns.slice(step, () => slot.hasRoom))
        timer.slice(long, () => slot.stream(() => this.runAs(slice, args, db)))
        if (done) {
          for (const pages of args.bigs as readonly Pages[]) pages.release()
          slot.finish()
          timer.ended(this, long)
        }
        return !done
      },
    }
    turns.add(goOn)
  }

  #detachedArgs(): Args {
    return this.args.detached(this.#connection.handOver(this.args.bytes))
  }

  /** Puts off the command whose turn it is now; no later one of this connection runs before it. */
  postpone(run: () => void): Postponed {
    const args = this.#detachedArgs()
    if (args.bigs.length > 0) this.#connection.handOverPages()
    const slot = this.hold()
    const release = (): void => {
      for (const pages of args.bigs as readonly Pages[]) pages.release()
    }
    this.#isPutOff = true
    return {
      run: () => {
        this.#isPutOff = false
        this.#queuesPages = false
        slot.answer(() => this.#runWith(args, run))
        if (!this.#queuesPages) release()
      },
      drop: release,
    }
  }

  /**
   * Waits for so many ms (Infinity: for ever), unless somebody ends that with an error's line (see
   * `unblock`); `end` replies. No later command of this connection runs before that.
   */
  wait(timeoutMs: number, end: (reply: Reply, line: string | null) => void): void {
    const slot = this.hold()
    const timer = Number.isFinite(timeoutMs)
      ? this.server.world.clock.after(timeoutMs, () => this.unblock(null))
      : null
    this.#wait = {
      end: (line) => slot.settle((reply) => end(reply, line)),
      cancel: () => timer?.cancel(),
    }
  }

  /** Does a command of this client wait, for the end of a pause or in WAIT? */
  get isBlocked(): boolean {
    return this.#isPutOff || this.#wait !== null
  }

  /** Ends what `wait` began: with an error's line, or null as if its time was over. False: it does not wait. */
  unblock(line: string | null): boolean {
    const wait = this.#wait
    if (wait === null) return false
    this.#wait = null
    wait.cancel()
    wait.end(line)
    return true
  }

  /** The connection is gone. */
  forgetWait(): void {
    this.#wait?.cancel()
    this.#wait = null
  }

  /**
   * For commands that run on the hub: asks all threads (threads/questions.ts) and goes on with the
   * command when all have answered; at once where there is one thread. No later command of this
   * connection runs before.
   */
  survey<Name extends QuestionName>(
    name: Name,
    argument: ArgumentOf<Name>,
    goOn: (answers: AnswerOf<Name>[]) => void,
  ): void {
    const { hub } = this
    if (hub.isAlone) {
      hub.ask(name, argument, goOn)
      return
    }
    const args = this.#detachedArgs()
    const { db } = this
    const slot = this.hold()
    hub.ask(name, argument, (answers) => {
      slot.answer(() => this.runAs(() => goOn(answers), args, db))
    })
  }

  /** Is it one of its commands that runs? */
  get isRunning(): boolean {
    return this.server.areas.owner === this.#connection.output
  }

  /** Bytes of replies that wait for the client to read. */
  get queuedBytes(): number {
    return this.#connection.output.queuedBytes
  }

  /** A slot whose reply is handed back whole instead of being sent; or `gone` is called, if the connection is. */
  call(done: (reply: Buffer) => void, protocol: 2 | 3 = 2, gone?: () => void): Slot {
    return this.#connection.output.call(done, protocol, gone)
  }

  /** No later command of this connection runs until what is returned is called. */
  holdOn(): () => void {
    const { output } = this.#connection
    output.hold()
    return () => output.release()
  }

  /** Runs (a part of) a command whose turn has passed, in the database it was sent to. */
  runAs(run: (client: Client) => void, args: Args, db: number): void {
    const { db: currentDb } = this
    this.db = db
    this.#runWith(args, run)
    this.db = currentDb
  }

  /** Runs a command whose turn it is, with arguments that were kept: what it selects stays selected. */
  #runWith(args: Args, run: (client: Client) => void): void {
    const { args: currentArgs } = this
    this.args = args
    this.store.now = this.server.world.clock.now()
    if (this.tracker === null) run(this)
    else this.server.tracking.runLater(this, args, () => run(this))
    this.args = currentArgs
  }

  /** Is its connection gone? */
  get isGone(): boolean {
    return this.#connection.output.closed
  }

  /** MULTI. */
  beginTransaction(): void {
    this.transaction = new Transaction()
    this.judgeSpecial()
  }

  /** Queues the command that is to run. */
  queue(entry: CommandEntry): void {
    // Not handed over: one command would keep all bytes that have come with it.
    this.transaction!.add(entry, this.args.detached())
    if (this.args.bigs.length === 0) return
    this.#connection.handOverPages()
    this.#queuesPages = true
  }

  /** Is the command that runs part of a transaction? */
  get isInExec(): boolean {
    return this.isInExecElsewhere || this.transaction?.isRunning === true
  }

  /** DISCARD, EXEC, and the end: forgets what is queued. */
  endTransaction(): void {
    this.transaction?.release()
    this.transaction = null
    if (this.#where !== null) this.#where.slot = -1
    this.judgeSpecial()
  }

  /** In a cluster: where its transaction and what it watches belong. */
  get where(): Whereabouts {
    this.#where ??= new Whereabouts()
    return this.#where
  }

  /** What a peer watches here. */
  get tickets(): Tickets {
    this.#tickets ??= new Tickets()
    return this.#tickets
  }

  /** What it watches here. */
  get watched(): WatchedKeys {
    this.#watched ??= new WatchedKeys(this.store)
    return this.#watched
  }

  /** Others may have written what it watches here, itself or for clients of another node. */
  spoilWatches(): void {
    this.#watched?.spoil()
    this.#tickets?.spoil()
  }

  /** Keys that it watches, on whichever node. */
  get watches(): number {
    return (this.#watched?.count ?? 0) + (this.#where?.watches ?? 0)
  }

  /** Has a key that it watches here changed? */
  get isDirty(): boolean {
    return this.#watched?.areTouched ?? false
  }

  /** UNWATCH, DISCARD, and the end. */
  unwatch(): void {
    this.#watched?.end()
    if (this.#where === null) return
    dropTickets(this, this.#where.take())
    if (this.transaction === null) this.#where.slot = -1
  }

  /** Its connection is gone. What EXEC is at goes on to its end. */
  leave(): void {
    this.unwatch()
    this.#tickets?.end()
    if (this.transaction?.isRunning !== true) this.endTransaction()
  }

  /** To be called when something of that may have changed. */
  judgeSpecial(): void {
    this.isSpecial =
      this.isMonitor || this.transaction !== null || this.isSubscriber || this.tracker !== null
  }

  /** Sends bytes that answer no command. */
  push(bytes: Uint8Array): void {
    this.#connection.push(bytes)
  }

  /** The same with what `write` writes, in the client's protocol. */
  pushReply(write: (reply: Reply) => void): void {
    this.push(this.server.areas.encode(this.protocol, write, () => {}))
  }

  /**
   * After a message was published: if another thread does not keep up with what it is sent, no later
   * command of this connection runs before it does. Other nodes are not kept waiting: what waits for
   * them too would take this one for dead.
   */
  keepPace(): void {
    const { pubsub } = this.server
    if (this.#keepsPace || this.peer !== null || !pubsub.isBehind) return
    this.#keepsPace = true
    const { output } = this.#connection
    output.hold()
    pubsub.whenCaughtUp(() => {
      this.#keepsPace = false
      output.release()
    })
  }

  /** Is it subscribed to something? */
  get isSubscriber(): boolean {
    return this.subscriber !== null && !this.subscriber.isEmpty
  }

  /** CLIENT TRACKING; see Tracking. */
  track(tracker: Tracker | null): void {
    this.tracker = tracker
    this.judgeSpecial()
  }

  /** It is subscribed to nothing any more. */
  leaveAll(): void {
    if (this.subscriber === null) return
    this.server.pubsub.forget(this.subscriber)
    this.judgeSpecial()
  }

  /** CLIENT REPLY ON or OFF, from within the command that runs; see Output. */
  hearReplies(does: boolean): void {
    this.replyMode = does ? 'on' : 'off'
    this.#connection.output.mute(!does)
  }

  /** If it is to be closed: nothing that is written from now on reaches it, also of the transaction that runs. */
  hearNoMore(): void {
    if (this.isClosing) this.#connection.output.mute(true)
  }

  /** MONITOR, and its end. */
  monitor(on: boolean): void {
    this.isMonitor = on
    this.judgeSpecial()
    if (on) this.server.monitors.add(this.id, { push: (line) => this.#watch(line) })
    else this.server.monitors.remove(this.id)
  }

  /** CLIENT REPLY is about a monitor's lines too, as in Redis: SKIP also about those up to the next command. */
  #watch(line: Uint8Array): void {
    const { muted } = this.#connection.output
    const isSkipped = this.replyMode === 'skip-next' && !this.isRunning
    if (!muted && !isSkipped) this.push(line)
  }

  /** Sends what is written so far, then closes. It is told nothing more. */
  closeAfterReply(): void {
    this.isClosing = true
    this.leaveAll()
    this.#connection.closeAfterReply()
  }

  /** Closes now, dropping output. */
  destroy(): void {
    this.#connection.destroy()
  }
}
