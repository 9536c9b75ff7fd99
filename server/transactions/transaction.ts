/*
 * MULTI ... EXEC: commands that are queued, and then run with nobody in between.
 *
 *   MULTI | SET a 1: QUEUED | GET b: QUEUED | EXEC: locks the buckets of a, b and of what is watched;
 *                                                   has a watched key changed? null, else both run; unlocks
 *
 * **Which buckets.** Those of all keys of the queued commands, and of the watched ones, if the keys are
 * told by the commands' rows. As soon as one command asks for more (KEYS, FLUSHALL, SELECT, COPY to
 * another database) all of them: some 20 microseconds, during which other threads wait. So what a
 * transaction reads and writes is of one moment, whatever its commands are. (Rejected: to run such
 * commands outside of the locks, since then others could see half a transaction.) With one thread there
 * are no locks, and EXEC is one event.
 *
 * **What waits cannot be part of it.** Nothing is loaded for a missing key of a group: a miss is always
 * allowed. Keys that are written to their origin first are refused when they are queued. Long commands
 * do not take turns. What only the hub can do is posted to it when its turn comes, and answered in its
 * place: such commands are about the server and not about keys.
 *
 * **Limits.** What is queued is bounded, so that locks are not held for long: 65,536 GETs take some
 * 50 ms. A longer transaction (KEYS over a million of them) shows those who wait that it lives
 * (`Store.renewLocks`). Nobody waits for the client to read in the middle of a transaction: too long
 * a reply ends the connection, as Redis's client-output-buffer-limit does.
 */
import type { Args } from '../../protocol/args.ts'
import { ERR_OOM, transactionTooLong } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, keysOf } from '../command.ts'
import type { KeyPlace, Pages, Watch } from '../store/store.ts'

/** Commands of one transaction. */
export const COMMANDS_MAX = 65_536
/** Bytes of their arguments, and of what we need to know of them. */
const MEGABYTES_MAX = 64
const BYTES_MAX = MEGABYTES_MAX * 1024 * 1024
/** Arguments in pages may have this part of maxmemory. */
const PAGES_SHARE = 0.25
/** What an entry of the queue, and each argument in it, costs beside its bytes. */
const COMMAND_BYTES = 200
const ARGUMENT_BYTES = 8
/** With more keys all buckets are locked: nearly all would be anyway. */
const KEYS_MAX = 512
/** Bytes of replies that may wait for a client that does not read, for it cannot be waited for. */
const REPLY_BYTES_MAX = 512 * 1024 * 1024
/** How often those who wait for the locks are shown that we live. */
const RENEW_MS = 500

/** Groups of commands whose rows tell all keys that they use. */
const keyedGroups: ReadonlySet<string> = new Set(['string', 'bitmap', 'generic'])
/** Those of them that may use another database. */
const roaming: ReadonlySet<string> = new Set(['copy', 'move'])

export interface Queued {
  readonly entry: CommandEntry
  readonly args: Args
}

/** What a client has queued since MULTI. */
export class Transaction {
  readonly #queue: Queued[] = []
  #bytes = 0
  #pagesBytes = 0
  /** Was a command refused? Then EXEC is. */
  isBroken = false
  /** Is EXEC at it? */
  isRunning = false
  #renewedAt = 0

  get commands(): readonly Queued[] {
    return this.#queue
  }

  /** Of the heap. */
  get bytes(): number {
    return this.#bytes
  }

  /** Counts the client's command in; or returns the line with which it is refused: it is too much. */
  makeRoomFor({ args, store }: Client): string | null {
    let bytes = this.#bytes + COMMAND_BYTES + args.count * ARGUMENT_BYTES
    let pages = this.#pagesBytes
    for (let i = 0; i < args.count; i++) {
      if (args.big(i) === null) bytes += args.length(i)
      else pages += args.length(i)
    }
    if (this.#queue.length >= COMMANDS_MAX || bytes > BYTES_MAX) {
      return transactionTooLong(COMMANDS_MAX, MEGABYTES_MAX)
    }
    if (pages > PAGES_SHARE * store.maxMemory) return ERR_OOM
    this.#bytes = bytes
    this.#pagesBytes = pages
    return null
  }

  /** `args` are the transaction's from now on. */
  add(entry: CommandEntry, args: Args): void {
    this.#queue.push({ entry, args })
  }

  /** Gives pages back that no command has taken. */
  release(): void {
    for (const { args } of this.#queue) {
      for (const pages of args.bigs as readonly Pages[]) pages.release()
    }
  }

  /** The keys that the commands use, in the client's database; null: it may be any. */
  placesIn(db: number): KeyPlace[] | null {
    const places: KeyPlace[] = []
    for (const { entry, args } of this.#queue) {
      if (needsNoKeys(entry)) continue
      if (entry.firstKey === 0 || !keyedGroups.has(entry.row.group)) return null
      if (roaming.has(entry.fullName)) return null
      for (const i of keysOf(entry, args) ?? []) {
        places.push({ db, bytes: args.bytes, pos: args.pos(i), length: args.length(i) })
      }
      if (places.length > KEYS_MAX) return null
    }
    return places
  }

  /**
   * Runs all commands, if no watched key has changed, and writes an array of their replies; else a
   * null. The watches end.
   */
  run(client: Client, watches: readonly Watch[]): void {
    const done = this.attempt(client, watches, () => {
      client.reply.array(this.#queue.length)
      for (const queued of this.#queue) this.runOne(client, queued)
    })
    if (!done) client.reply.nullArray()
  }

  /** Calls `run` with nobody in between, if no watched key has changed. The watches end. */
  attempt(client: Client, watches: readonly Watch[], run: () => void): boolean {
    const { store } = client
    const { notifier } = client.server
    const places = this.placesIn(client.db)
    for (const { db, key } of watches) {
      places?.push({ db, bytes: key, pos: 0, length: key.length })
    }
    this.isRunning = true
    this.#renewedAt = client.server.world.clock.now()
    notifier?.hold()
    store.lockTogether(places)
    const isUntouched = watches.every((watch) => store.isUntouched(watch))
    if (isUntouched) run()
    store.unlockKeys()
    notifier?.release()
    this.isRunning = false
    for (const watch of watches) store.unwatch(watch)
    return isUntouched
  }

  /** Runs one of the commands, and writes its reply. */
  runOne(client: Client, { entry, args }: Queued): void {
    const own = client.args
    client.args = args
    execute(client, entry)
    client.args = own
    this.goOn(client)
  }

  /** A part of a command is done: shows that we live, and ends a client that does not read. */
  goOn(client: Client): void {
    const now = client.server.world.clock.now()
    if (now - this.#renewedAt >= RENEW_MS) {
      client.store.renewLocks()
      this.#renewedAt = now
    }
    if (client.queuedBytes <= REPLY_BYTES_MAX || client.isGone) return
    client.server.log.warning(
      { client: client.id, address: client.address, bytes: client.queuedBytes },
      'closing a client that does not read the replies of its transaction',
    )
    client.destroy()
  }
}

/** Does it use neither keys nor the store? */
function needsNoKeys({ fullName, onHub, row }: CommandEntry): boolean {
  return onHub || row.group === 'pubsub' || (row.group === 'connection' && fullName !== 'select')
}

/** Runs a command of a transaction on the client's args. */
function execute(client: Client, entry: CommandEntry): void {
  const { reply, server } = client
  const cell = server.cellOf(entry)
  const isShownBefore = client.args.bigs.length > 0
  if (isShownBefore && server.stats.monitors > 0) server.monitors.show(client, entry)
  if (entry.onHub && server.delegate !== null) {
    server.delegate(client, client, client.hold(), cell)
  } else {
    if (client.tracker === null) server.timer.run(client, entry, cell)
    else server.tracking.run(client, entry, cell)
    server.count(cell)
  }
  if (!isShownBefore && server.stats.monitors > 0) server.monitors.show(client, entry)
  if (reply.errors === 0) return
  cell.failed()
  server.countErrors()
}
