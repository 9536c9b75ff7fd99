import { Args } from '../protocol/args.ts'
import * as errors from '../protocol/errors.ts'
import type { Client } from './clients/client.ts'
import { type CommandEntry, flagBits, keysOf, takes } from './command.ts'
import type { Connection } from './clients/connection.ts'
import type { IoThread } from './io-thread.ts'
import type { CommandCell } from './stats.ts'
import { refusalInMulti, refusalOfExec, refusedInMulti } from './transactions/queueing.ts'

/**
 * From arguments to a command: look up, arity, authentication, snapshots, memory, pauses, route, run; in that order,
 * which is Redis's. What a client sees of each refusal is Redis's line.
 */

/** A monitor only watches. */
const keyspaceFlags = flagBits.write | flagBits.readonly

/** What is not queued between MULTI and EXEC, but runs. */
const commandsOfTransactions: ReadonlySet<string> = new Set([
  ...['multi', 'exec', 'discard', 'watch'],
  ...['quit', 'reset'],
])

/** What a subscriber may say in RESP2. */
const commandsOfSubscribers: ReadonlySet<string> = new Set([
  ...['subscribe', 'unsubscribe', 'psubscribe', 'punsubscribe', 'ssubscribe', 'sunsubscribe'],
  ...['ping', 'quit', 'reset'],
])

/** Executes the command in the connection's args and writes its reply, or takes a slot for it. */
export function dispatch(server: IoThread, connection: Connection): void {
  const client = connection.client
  client.lastCommandAt = server.store.now
  if (client.peer !== null && !beginPeerRequest(server, connection)) return
  if (client.replyMode === 'on') judge(server, connection)
  else judgeUnheard(server, connection)
  if (client.peer !== null) connection.output.endRequest()
}

/** Finds the command and runs it, or says why not. */
function judge(server: IoThread, connection: Connection): void {
  const client = connection.client
  const args = client.args
  // A name over 64 KB lies in pages: no command has one.
  const named = args.count > 0 && args.big(0) === null
  let entry = named ? server.table.find(args.bytes, args.pos(0), args.length(0)) : null
  if (entry === null) {
    refuseUnknown(server, client)
    return
  }
  if (entry.subcommands !== null && args.count > 1) {
    const container = entry
    entry =
      args.big(1) === null
        ? container.subcommands!.find(args.bytes, args.pos(1), args.length(1))
        : null
    if (entry === null) {
      // As in Redis, it counts as no command's.
      tellRefused(
        server,
        client,
        container,
        errors.unknownSubcommand(beginOf(args, 1), container.row.name),
      )
      return
    }
  }
  if (!takes(entry, args.count)) {
    refuse(server, client, entry, errors.wrongArity(entry.fullName))
    return
  }
  if (!client.authenticated) {
    const line = refusalOfUnknown(server, client, entry)
    if (line !== null) {
      refuse(server, client, entry, line)
      return
    }
  }
  let isHeld = false
  if (server.gate.restricts) {
    const line = server.gate.refusalOf(entry)
    if (line !== null) {
      refuse(server, client, entry, line)
      return
    }
    isHeld = isPaused(client, entry) || isDoubted(client, entry)
  }
  if (connection.lostBulk) {
    refuse(server, client, entry, errors.ERR_OOM)
    return
  }
  if (args.bigs.length > 0 && (!entry.takesPages || hasBigKey(entry, args))) {
    client.args = materialised(args)
  }
  const { isSpecial } = client
  if (isSpecial) {
    const line = refusalOfTold(client, entry)
    if (line !== null) {
      refuse(server, client, entry, line)
      client.args = args
      return
    }
  }
  if (isHeld) hold(server, client, entry)
  else perform(server, client, entry, isSpecial)
  client.args = args
}

/**
 * Is it to wait for the end of a pause? EXEC is where a command of its transaction is. Pauses are for
 * clients, not for other nodes, who may be about to say that they are, nor for monitors.
 */
function isPaused(client: Client, entry: CommandEntry): boolean {
  if (client.peer !== null || client.isMonitor || entry.parent?.name === 'peer') return false
  const { gate } = client.server
  if (gate.holds(entry)) return true
  const queued = entry.fullName === 'exec' ? client.transaction?.commands : undefined
  return queued?.some((command) => gate.holds(command.entry)) ?? false
}

/** Is it about keys, of which this node may have been relieved? See owned-slots.ts. */
function isDoubted(client: Client, entry: CommandEntry): boolean {
  if (!client.server.gate.doubtsKeys) return false
  if (isKeyed(entry)) return true
  return entry.fullName === 'exec' && client.transaction !== null
}

/** Is it about keys, where it is another node's? */
function isKeyed(entry: CommandEntry): boolean {
  return entry.firstKey > 0 || entry.fullName === 'peer|exec'
}

/** Puts it off until the pause or the doubt is over. */
function hold(server: IoThread, client: Client, entry: CommandEntry): void {
  if (client.peer !== null) return holdPeers(server, client, entry)
  const command = client.postpone(() => {
    server.timer.begin(server.world.clock.now())
    perform(server, client, entry, client.isSpecial)
    server.timer.end()
  })
  server.held.hold(client, () => isPaused(client, entry) || isDoubted(client, entry), command)
}

/**
 * The same for another node's request. Its other requests go on, for among them may be the one that ends
 * the doubt. If its connection is closed meanwhile it is not run: nobody waits for it.
 */
function holdPeers(server: IoThread, client: Client, entry: CommandEntry): void {
  const run = putOff(server, client, entry)
  server.held.whenSure(() => {
    if (!client.isGone) run()
  })
}

/** Puts off another node's request until it is known whether anybody waits for it: late-requests.ts. */
function holdLate(server: IoThread, client: Client, entry: CommandEntry): void {
  const run = putOff(server, client, entry)
  server.late.hold(client, () => {
    if (!server.gate.doubtsKeys) return run()
    server.held.whenSure(() => {
      if (!client.isGone) run()
    })
  })
}

/** Another node's request, to be run later. */
function putOff(server: IoThread, client: Client, entry: CommandEntry): () => void {
  const args = Args.of(client.args.copy())
  const { db } = client
  const slot = client.defer()
  return () => server.answerLater(client, entry, args, db, slot)
}

/** Runs a command that may run, or queues it, and shows it to those who watch. */
function perform(server: IoThread, client: Client, entry: CommandEntry, isSpecial: boolean): void {
  if (isSpecial && client.transaction !== null && isQueued(server, client, entry)) return
  // Pages become the stored value: what they hold cannot be shown afterwards.
  const isShownBefore = client.args.bigs.length > 0
  if (isShownBefore && server.stats.monitors > 0) server.monitors.show(client, entry)
  execute(server, client, entry, isSpecial)
  if (isSpecial) client.tracker?.commandEnded(entry)
  if (!isShownBefore && server.stats.monitors > 0) server.monitors.show(client, entry)
}

/** In a transaction: refuses or queues the command. False: it is to run now. */
function isQueued(server: IoThread, client: Client, entry: CommandEntry): boolean {
  const transaction = client.transaction!
  let line: string | null = null
  if (commandsOfTransactions.has(entry.fullName)) {
    if (entry.name !== 'exec') return false
    line = refusalOfExec(client)
    if (line === null) return false
  } else {
    line = refusalInMulti(client, entry) ?? transaction.makeRoomFor(client)
  }
  if (line === null) {
    client.lastCommand = entry.fullName
    client.queue(entry)
    client.reply.simple('QUEUED')
  } else {
    refuse(server, client, entry, line)
  }
  return true
}

/** Runs a command, and counts it when that is done: INFO does not count itself. */
function execute(server: IoThread, client: Client, entry: CommandEntry, isSpecial: boolean): void {
  client.lastCommand = entry.fullName
  const cell = server.cellOf(entry)
  if (isTaken(server, client, entry)) return server.count(cell)
  if (server.copying.enabled && isKept(server, client, entry, cell)) return server.count(cell)
  if (entry.onHub && server.delegate !== null) {
    // Who waits for a value may share its connection with whoever is to bring it.
    const slot = entry.row.waits === undefined ? client.hold() : client.defer()
    return server.delegate(client, client, slot, cell)
  }
  if (entry.loads !== null && server.loading.enabled && server.loading.takes(client, entry)) {
    return server.count(cell)
  }
  if (server.writing.enabled && server.writing.takes(client, entry)) return server.count(cell)
  if (isSpecial && client.tracker !== null) server.tracking.run(client, entry, cell)
  else server.timer.run(client, entry, cell)
  server.count(cell)
  if (client.reply.errors > 0) {
    cell.failed()
    server.countErrors()
  }
}

/** Does it change keys of which there are copies? Then it is executed, and its reply waits for them. */
function isKept(server: IoThread, client: Client, entry: CommandEntry, cell: CommandCell): boolean {
  const kept = server.copying.keep(client, entry)
  if (kept === null) return false
  const mayWait =
    server.writing.enabled || entry.onHub || (entry.loads !== null && server.loading.enabled)
  if (mayWait) {
    server.answerKept(client, entry, Args.of(client.args.copy()), client.db, kept.slot)
  } else {
    kept.slot.answer(() => {
      if (client.tracker !== null) server.tracking.run(client, entry, cell)
      else server.timer.run(client, entry, cell)
      if (client.reply.errors > 0) cell.failed()
    })
  }
  kept.executed(client, entry)
  return true
}

/** Does another node answer it, or has to be asked for its keys first? */
function isTaken(server: IoThread, client: Client, entry: CommandEntry): boolean {
  const { handoff, routing } = server
  if (handoff === null) return false
  if (client.peer === null) {
    if (routing.takes(client, entry)) return true
  } else if (isKeyed(entry) && server.late.maySee(server.store.now)) {
    holdLate(server, client, entry)
    return true
  }
  if (handoff.isActive && handoff.takes(client, entry)) return true
  if (client.peer === null) {
    server.kept?.settle(client, entry, client.args)
    return false
  }
  routing.visitFor(entry, client.args, client.db)
  if ((entry.flags & flagBits.readonly) !== 0) server.hotReads.asked(client.args, entry)
  return false
}

/** The line with which a client that is told what others do is refused this command, null: it is not. */
function refusalOfTold(client: Client, { flags, fullName }: CommandEntry): string | null {
  if (client.isMonitor && (flags & keyspaceFlags) !== 0) return errors.ERR_MONITOR
  // In RESP3 it can tell replies from what it is told.
  if (!client.isSubscriber || client.protocol === 3) return null
  return commandsOfSubscribers.has(fullName) ? null : errors.subscriberCommand(fullName)
}

/** Why a client that has not shown who it is may not run this command; null: it may. */
function refusalOfUnknown(server: IoThread, client: Client, entry: CommandEntry): string | null {
  const comesFirst = (entry.flags & flagBits.no_auth) !== 0
  if (client.isStranger && !(comesFirst && entry.parent?.name === 'peer')) {
    client.closeAfterReply()
    return errors.DENIED_PROTECTED_MODE
  }
  return !comesFirst && needsPassword(server) ? errors.ERR_NOAUTH : null
}

/** CONFIG SET may have taken the password away since the client connected. */
function needsPassword(server: IoThread): boolean {
  return server.config.requirepass !== ''
}

/** After CLIENT REPLY OFF or SKIP: the command takes effect, its reply is dropped, an error as well. */
function judgeUnheard(server: IoThread, connection: Connection): void {
  const { client, output } = connection
  if (client.replyMode === 'skip-next') {
    client.replyMode = 'skip'
    output.mute(true)
  }
  judge(server, connection)
  if (client.replyMode === 'skip') client.replyMode = 'on'
  // It may have been CLIENT REPLY OFF, or QUIT.
  if (client.replyMode !== 'off' && !client.isClosing) output.mute(false)
}

/** A request of another node carries a header as its first argument; see cluster/peers/peer.ts. */
function beginPeerRequest(server: IoThread, connection: Connection): boolean {
  const { client, output } = connection
  const { args } = client
  const id = server.routing.readRequestId(args)
  if (id === 0) {
    server.log.warning({ peer: client.peer }, 'a peer sent a request without a header')
    connection.destroy()
    return false
  }
  args.shift()
  output.beginRequest(id, server.routing.header.protocol)
  return true
}

function refuseUnknown(server: IoThread, client: Client): void {
  const { args } = client
  const name = beginOf(args, 0)
  const word = name.toLowerCase()
  if (word === 'post' || word === 'host:') {
    server.log.warning(
      { address: client.address },
      'possible SECURITY ATTACK: POST or Host: commands come from a web page, not from a Redis client; the connection is closed',
    )
    client.destroy()
    return
  }
  if (client.transaction !== null) client.transaction.isBroken = true
  client.reply.error(errors.unknownCommand(name, restOf(args)))
  server.countErrors()
  client.tracker?.commandEnded(null)
}

/** As much of argument i as an error line shows: it may have 512 MB. */
function beginOf(args: Args, i: number): string {
  return args.head(i, errors.SHOWN_BYTES_MAX).toString('latin1')
}

/** What follows the name, one by one: there may be millions, of which the line shows a few. */
function* restOf(args: Args): Iterable<string> {
  for (let i = 1; i < args.count; i++) yield beginOf(args, i)
}

function refuse(server: IoThread, client: Client, entry: CommandEntry, line: string): void {
  server.cellOf(entry).rejected()
  tellRefused(server, client, entry, line)
}

function tellRefused(server: IoThread, client: Client, entry: CommandEntry, line: string): void {
  const isPart = client.transaction !== null || entry.fullName === 'exec'
  client.reply.error(isPart ? refusedInMulti(client, entry, line) : line)
  server.countErrors()
  client.tracker?.commandEnded(entry)
}

/** A key always comes as bytes, however long it is. */
function hasBigKey(entry: CommandEntry, args: Args): boolean {
  return keysOf(entry, args)?.some((i) => args.big(i) !== null) ?? false
}

/** The same arguments, all of them as bytes. */
function materialised(args: Args): Args {
  const copies: Buffer[] = []
  for (let i = 0; i < args.count; i++) copies.push(args.buffer(i))
  return Args.of(copies)
}
