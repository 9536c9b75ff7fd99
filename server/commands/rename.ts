/*
 * Commands that give a key's value to another key: COPY, RENAME, RENAMENX, MOVE. The other one gets
 * a plain value with the expiry that TTL tells: what was known of a loaded one beside it (group, tags,
 * ETag, until when it may be stale) stays behind.
 *
 * The buckets of both keys are locked together, so nobody sees both keys, or neither, of a RENAME.
 * Pages change hands as they are. COPY must write them anew, which for hundreds of megabytes takes
 * a tenth of a second and more: it pins them, copies them step by step while nothing is locked, and
 * gives the copy to the other key if the value is still the one that was pinned; else it begins again.
 */
import {
  ERR_COPY_IN_CLUSTER,
  ERR_DB_INDEX,
  ERR_MOVE_IN_CLUSTER,
  ERR_NO_SUCH_KEY,
  ERR_NOT_INTEGER,
  ERR_OOM,
  ERR_SAME_OBJECT,
  ERR_SYNTAX,
  valueBetween,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { type KeyPlace, MISS, type Pages, STORED } from '../store/store.ts'
import { type KeyEvent, notify } from '../notifications.ts'
import type { OriginChange } from '../loads/writing.ts'
import { countLookup } from './lookup.ts'

const INT32_MIN = -(2 ** 31)
const INT32_MAX = 2 ** 31 - 1

/** The number of a database that argument i is, whether there is one or not; NaN: answered. */
function readDatabase({ args, reply }: Client, i: number): number {
  const number = args.integer(i)
  if (Number.isNaN(number)) reply.error(ERR_NOT_INTEGER)
  else if (number >= INT32_MIN && number <= INT32_MAX) return number
  else reply.error(valueBetween(INT32_MIN, INT32_MAX))
  return NaN
}

function isDatabase({ server }: Client, number: number): boolean {
  return number >= 0 && number < server.config.databases
}

/** The key that argument i is, in a database of the store. */
function place({ args }: Client, i: number, db: number): KeyPlace {
  return { db, bytes: args.bytes, pos: args.pos(i), length: args.length(i) }
}

function isSameKey({ args }: Client): boolean {
  return args.buffer(1).equals(args.buffer(2))
}

function has({ store }: Client, { db, bytes, pos, length }: KeyPlace): boolean {
  return store.has(db, bytes, pos, length)
}

/* ---- RENAME, RENAMENX, MOVE ---- */

/** What became of a call, beside STORED, OUT_OF_MEMORY and MISS. */
const IS_TAKEN = 5

/** Moves a value; `isFree`: only where there is no other. */
function move(client: Client, from: KeyPlace, to: KeyPlace, isFree: boolean): number {
  const { store } = client
  store.lockPair(from, to)
  let status = IS_TAKEN
  if (!has(client, from)) status = MISS
  else if (!isFree || !has(client, to)) status = store.move(from, to)
  store.unlockKeys()
  return status
}

interface Told {
  readonly event: KeyEvent
  readonly i: number
  readonly db: number
}

/** The key at `to` has a new value: as Redis has it, it was removed before, and comes anew. */
function tell(client: Client, to: Told, from: Told | null = null): void {
  notify(client, 'new', to.i, to.db)
  if (from !== null) notify(client, from.event, from.i, from.db)
  notify(client, to.event, to.i, to.db)
}

function tellRenamed(client: Client): void {
  const { db } = client
  tell(client, { event: 'rename_to', i: 2, db }, { event: 'rename_from', i: 1, db })
}

function rename(client: Client): void {
  const { db, reply } = client
  const from = place(client, 1, db)
  const isSame = isSameKey(client)
  const status = isSame
    ? statusOf(has(client, from))
    : move(client, from, place(client, 2, db), false)
  if (status === STORED && !isSame) tellRenamed(client)
  if (status === MISS) reply.error(ERR_NO_SUCH_KEY)
  else if (status === STORED) reply.ok()
  else reply.error(ERR_OOM)
}

function statusOf(found: boolean): number {
  return found ? STORED : MISS
}

function renamenx(client: Client): void {
  const { db, reply } = client
  const from = place(client, 1, db)
  let status = IS_TAKEN
  if (!isSameKey(client)) status = move(client, from, place(client, 2, db), true)
  else if (!has(client, from)) status = MISS
  if (status === STORED) tellRenamed(client)
  if (status === MISS) reply.error(ERR_NO_SUCH_KEY)
  else replyDone(client, status)
}

/** 1 if it was done, 0 if there was nothing to do. */
function replyDone({ reply }: Client, status: number): void {
  if (status === STORED) reply.integer(1)
  else if (status === MISS || status === IS_TAKEN) reply.integer(0)
  else reply.error(ERR_OOM)
}

function moveToDatabase(client: Client): void {
  const { db, reply, server } = client
  if (server.routing.enabled) return reply.error(ERR_MOVE_IN_CLUSTER)
  const number = readDatabase(client, 2)
  if (Number.isNaN(number)) return
  if (!isDatabase(client, number)) return reply.error(ERR_DB_INDEX)
  const other = server.databases.behind(number)
  if (other === db) return reply.error(ERR_SAME_OBJECT)
  const status = move(client, place(client, 1, db), place(client, 1, other), true)
  if (status === STORED) {
    tell(client, { event: 'move_to', i: 1, db: other }, { event: 'move_from', i: 1, db })
  }
  replyDone(client, status)
}

/* ---- COPY ---- */

interface CopyOptions {
  /** A database of the store. */
  readonly db: number
  readonly replaces: boolean
}

/** No database is said. */
const NO_NUMBER = -1

/** Null: there was an error, which is answered. */
function readCopyOptions(client: Client): CopyOptions | null {
  const { args, reply, server } = client
  let number = NO_NUMBER
  let replaces = false
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, 'replace')) {
      replaces = true
    } else if (args.is(i, 'db') && i + 1 < args.count) {
      number = readDatabase(client, ++i)
      if (Number.isNaN(number)) return null
      if (!isDatabase(client, number)) {
        reply.error(ERR_DB_INDEX)
        return null
      }
    } else {
      reply.error(ERR_SYNTAX)
      return null
    }
  }
  if (server.routing.enabled && number > 0) {
    reply.error(ERR_COPY_IN_CLUSTER)
    return null
  }
  const db = number === NO_NUMBER ? client.db : server.databases.behind(number)
  return { db, replaces }
}

function copy(client: Client): void {
  const options = readCopyOptions(client)
  if (options === null) return
  if (options.db === client.db && isSameKey(client)) {
    client.reply.error(ERR_SAME_OBJECT)
    return
  }
  new Copying(client, options).begin()
}

/** Bytes that are copied in one step. */
const STEP_BYTES = 512 * 1024

/** How often a long value is copied again because others changed it meanwhile. */
const RESTARTS_MAX = 2

/** A COPY under way. */
class Copying {
  readonly #client: Client
  readonly #fromDb: number
  readonly #options: CopyOptions
  /** The value as it was when copying began, pinned, and as much of it as is copied. */
  #source: Pages | null = null
  #copy: Pages | null = null
  #restarts = 0

  constructor(client: Client, options: CopyOptions) {
    this.#client = client
    this.#fromDb = client.db
    this.#options = options
  }

  begin(): void {
    const status = this.#try()
    countLookup(this.#client, status !== MISS)
    if (status !== null) this.#end(status)
    else this.#client.inSteps(() => this.#step())
  }

  #end(status: number): void {
    this.#release()
    if (status === STORED) tell(this.#client, { event: 'copy_to', i: 2, db: this.#options.db })
    replyDone(this.#client, status)
  }

  #release(): void {
    this.#source?.release()
    this.#copy?.release()
    this.#source = null
    this.#copy = null
  }

  /** Copies some more. True: it is answered. */
  #step(): boolean {
    if (!this.#copySome()) return false
    const status = this.#try()
    if (status === null) return false
    this.#end(status)
    return true
  }

  /** True: all of the value is copied, or there is no memory for it. */
  #copySome(): boolean {
    const [source, copied] = [this.#source!, this.#copy!]
    const left = source.length - copied.length
    return (
      !copied.writePages(source, copied.length, Math.min(left, STEP_BYTES)) || left <= STEP_BYTES
    )
  }

  /**
   * Gives the other key what there is. Null: that is a long value, which is pinned now, and must be
   * copied.
   */
  #try(): number | null {
    const client = this.#client
    const { store } = client
    const from = place(client, 1, this.#fromDb)
    const to = place(client, 2, this.#options.db)
    store.lockPair(from, to)
    const status = this.#settle(from, to)
    store.unlockKeys()
    return status
  }

  #settle(from: KeyPlace, to: KeyPlace): number | null {
    const client = this.#client
    const { store } = client
    if (!has(client, from)) return MISS
    if (!this.#options.replaces && has(client, to)) return IS_TAKEN
    store.open(from.db, from.bytes, from.pos, from.length)
    if (!store.inPages) {
      store.close()
      return store.copy(from, to)
    }
    const { expireAt } = store
    const isCopied = this.#source !== null && store.isPinnedAs(this.#source)
    if (!isCopied) {
      this.#release()
      this.#source = store.pin()
      this.#copy = store.pages()
    }
    store.close()
    if (!isCopied && this.#restarts++ < RESTARTS_MAX) return null
    while (!isCopied && !this.#copySome());
    const copied = this.#copy!
    this.#copy = null
    store.open(to.db, to.bytes, to.pos, to.length)
    const status = store.putPages(copied, expireAt)
    store.close()
    return status
  }
}

/* ---- what origins are told ---- */

/** An origin that hears of changes first would have to be told of a value that stands in no argument. */
const noneToTell = (): null => null

/** Only the other key changes. */
function copyOriginWrites({ args, server }: Client): readonly OriginChange[] | null {
  const group = server.config.groups.match(args.bytes, args.pos(2), args.length(2))
  return group?.writes === true ? null : []
}

/* ---- the table ---- */

/** Giving a value to another key. */
export const renameCommands = [
  {
    name: 'copy',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [1, 2, 1],
    keySpecs: [
      { keys: [1, 1, 1], flags: ['RO', 'access'] },
      { keys: [2, 2, 1], flags: ['OW', 'update'] },
    ],
    group: 'generic',
    since: '6.2.0',
    complexity: 'O(N) where N is the length of the value',
    summary: 'Gives a key the value of another one, with its expiry.',
    syntax: 'source destination [DB destination-db] [REPLACE]',
    argumentTypes: { source: 'key', destination: 'key', 'destination-db': 'integer' },
    originWrites: copyOriginWrites,
    run: copy,
  },
  {
    name: 'rename',
    arity: 3,
    flags: ['write'],
    keys: [1, 2, 1],
    keySpecs: [
      { keys: [1, 1, 1], flags: ['RW', 'access', 'delete'] },
      { keys: [2, 2, 1], flags: ['OW', 'update'] },
    ],
    group: 'generic',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Gives a key another name, whatever was there.',
    syntax: 'key newkey',
    argumentTypes: { newkey: 'key' },
    originWrites: noneToTell,
    run: rename,
  },
  {
    name: 'renamenx',
    arity: 3,
    flags: ['write', 'fast'],
    keys: [1, 2, 1],
    keySpecs: [
      { keys: [1, 1, 1], flags: ['RW', 'access', 'delete'] },
      { keys: [2, 2, 1], flags: ['OW', 'insert'] },
    ],
    group: 'generic',
    since: '1.0.0',
    history: [
      [
        '3.2.0',
        'The command no longer returns an error when source and destination names are the same.',
      ],
    ],
    complexity: 'O(1)',
    summary: 'Gives a key another name, if there is no such key.',
    syntax: 'key newkey',
    argumentTypes: { newkey: 'key' },
    originWrites: noneToTell,
    run: renamenx,
  },
  {
    name: 'move',
    arity: 3,
    flags: ['write', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update'],
    group: 'generic',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Moves a key to another database, if there is no such key.',
    syntax: 'key db',
    run: moveToDatabase,
  },
] as const satisfies readonly Command[]
