/*
 * DUMP and RESTORE: a value as bytes that are checked, and back (server/dump/dump-format.ts).
 *
 * Payloads over 64 KB lie in pages, and so do values. Both are written step by step, from pages to
 * pages, while nothing is locked; a value that is being dumped is pinned, one that is being restored is
 * nobody's until it is whole.
 */
import {
  BUSYKEY,
  ERR_DUMP_FORMAT,
  ERR_DUMP_PAYLOAD,
  ERR_FREQUENCY,
  ERR_IDLE_TIME,
  ERR_NOT_INTEGER,
  ERR_OOM,
  ERR_RESTORE_TTL,
  ERR_SYNTAX,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { notify } from '../notifications.ts'
import type { Command } from '../command.ts'
import { Crc64 } from '../dump/crc64.ts'
import {
  type Dumped,
  footerOf,
  FOOTER_BYTES,
  HEAD_BYTES_MAX,
  headOf,
  isGenuine,
  payloadOf,
  readHead,
} from '../dump/dump-format.ts'
import { type ByteSource, DONE, GOES_ON, LzfDecoder, REFUSED } from '../dump/lzf.ts'
import { type Pages, STORED } from '../store/store.ts'
import { farExpiry, wallOffset } from './expiry.ts'
import { countLookup, notifyWrite, openKey } from './lookup.ts'

/** Bytes that are checked, copied or taken apart in one step: a millisecond or two. */
const STEP_BYTES = 256 * 1024

/** Shorter values are dumped and restored over the heap. */
const HEAP_BYTES_MAX = 64 * 1024

/* ---- DUMP ---- */

function dump(client: Client): void {
  const { store, reply } = client
  const found = openKey(client, 1)
  if (found && store.inPages) {
    const pages = store.pin()
    store.close()
    countLookup(client, true)
    dumpPages(client, pages)
    return
  }
  const { scratch, bytes } = store.io
  const length = found ? store.valueLength : 0
  if (found) store.read(0, length, scratch)
  store.close()
  countLookup(client, found)
  if (found) reply.bulk(payloadOf(bytes.subarray(scratch, scratch + length)))
  else reply.null()
}

function dumpLoaded({ reply }: Client, value: Buffer | null): void {
  if (value === null) reply.null()
  else reply.bulk(payloadOf(value))
}

/** Sends the payload of a value that is pinned, out of pages. */
function dumpPages(client: Client, value: Pages): void {
  const payload = client.store.pages()
  const checksum = new Crc64()
  const write = (bytes: Uint8Array): boolean => payload.write(bytes, 0, bytes.length)
  const head = headOf(value.length)
  let isWritten = write(head)
  checksum.update(head)
  let done = 0
  client.inSteps(() => {
    const end = Math.min(value.length, done + STEP_BYTES)
    isWritten &&= payload.writePages(value, done, end - done)
    if (isWritten) for (const piece of piecesOf(value, done, end)) checksum.update(piece)
    done = end
    if (isWritten && done < value.length) return false
    value.release()
    isWritten &&= write(footerOf(checksum))
    if (isWritten) client.replyPages(payload)
    else client.reply.error(ERR_OOM)
    return true
  })
}

function* piecesOf(pages: Pages, from: number, end: number): Generator<Uint8Array> {
  for (let at = from; at < end;) {
    const piece = pages.piece(at)
    const bytes = piece.length > end - at ? piece.subarray(0, end - at) : piece
    yield bytes
    at += bytes.length
  }
}

/* ---- RESTORE ---- */

interface RestoreOptions {
  readonly replaces: boolean
  readonly isAbsolute: boolean
}

/** Null: there was an error, which is answered. IDLETIME and FREQ have no effect: all keys start alike. */
function readRestoreOptions({ args, reply }: Client): RestoreOptions | null {
  let replaces = false
  let isAbsolute = false
  let hint: 'idletime' | 'freq' | null = null
  for (let i = 4; i < args.count; i++) {
    const hasMore = i + 1 < args.count
    if (args.is(i, 'replace')) {
      replaces = true
    } else if (args.is(i, 'absttl')) {
      isAbsolute = true
    } else if (args.is(i, 'idletime') && hasMore && hint !== 'freq') {
      hint = 'idletime'
      const seconds = args.integer(++i)
      if (!(seconds >= 0)) {
        reply.error(Number.isNaN(seconds) ? ERR_NOT_INTEGER : ERR_IDLE_TIME)
        return null
      }
    } else if (args.is(i, 'freq') && hasMore && hint !== 'idletime') {
      hint = 'freq'
      const frequency = args.integer(++i)
      if (!(frequency >= 0 && frequency <= 255)) {
        reply.error(Number.isNaN(frequency) ? ERR_NOT_INTEGER : ERR_FREQUENCY)
        return null
      }
    } else {
      reply.error(ERR_SYNTAX)
      return null
    }
  }
  return { replaces, isAbsolute }
}

function restore(client: Client): void {
  const { args, db, reply, store } = client
  const options = readRestoreOptions(client)
  if (options === null) return
  const isBusy = !options.replaces && store.has(db, args.bytes, args.pos(1), args.length(1))
  if (isBusy) return reply.error(BUSYKEY)
  const ttl = args.bigint(2)
  if (ttl === null) return reply.error(ERR_NOT_INTEGER)
  if (ttl < 0n) return reply.error(ERR_RESTORE_TTL)
  const restoring = new Restoring(client, options, expiryOf(client, ttl, options.isAbsolute))
  client.inSteps(() => restoring.step())
}

const INT64 = 64

/** On the store's scale, 0: none. One that is over is at least 1; as in Redis, what overflows is over. */
function expiryOf({ server, store }: Client, ttl: bigint, isAbsolute: boolean): number {
  if (ttl === 0n) return 0
  const offset = wallOffset(server.world.clock)
  const wallNow = BigInt(Math.floor(store.now) + offset)
  const wall = isAbsolute ? ttl : BigInt.asIntN(INT64, ttl + wallNow)
  return farExpiry(wall, -offset)
}

/** A payload, wherever it lies: bytes of the heap, or pages. */
class Payload implements ByteSource {
  readonly length: number
  readonly #pages: Pages | null
  readonly #bytes: Uint8Array
  /** For `next`: what lies together, where in it, and where what follows begins. */
  #piece: Uint8Array
  #at = 0
  #follows: number
  #end: number

  constructor({ args }: Client, i: number) {
    this.#pages = args.big(i) as Pages | null
    this.#bytes = this.#pages === null ? args.buffer(i) : new Uint8Array(0)
    this.#piece = this.#bytes
    this.length = args.length(i)
    this.#follows = this.#end = this.length
  }

  /** A copy of [from, end). */
  copy(from: number, end: number): Uint8Array {
    if (this.#pages === null) return this.#bytes.slice(from, end)
    return Buffer.concat([...piecesOf(this.#pages, from, end)])
  }

  *pieces(from: number, end: number): Generator<Uint8Array> {
    if (this.#pages === null) yield this.#bytes.subarray(from, end)
    else yield* piecesOf(this.#pages, from, end)
  }

  /** Adds [from, from + length) to pages. False: no memory. */
  writeTo(pages: Pages, from: number, length: number): boolean {
    if (this.#pages === null) return pages.write(this.#bytes, from, length)
    return pages.writePages(this.#pages, from, length)
  }

  /** From now on `next` gives the bytes of [from, end). */
  turnTo(from: number, end: number): void {
    this.#piece = new Uint8Array(0)
    this.#at = 0
    this.#follows = from
    this.#end = end
  }

  next(): number {
    if (this.#at === this.#piece.length) {
      if (this.#follows === this.#end) return -1
      const [piece] = this.pieces(this.#follows, this.#end)
      this.#piece = piece!
      this.#at = 0
      this.#follows += piece!.length
    }
    return this.#piece[this.#at++]!
  }
}

/** A RESTORE under way: first the payload is checked, then its value is read, then stored. */
class Restoring {
  readonly #client: Client
  readonly #db: number
  readonly #options: RestoreOptions
  readonly #expireAt: number
  readonly #payload: Payload
  readonly #checksum = new Crc64()
  /** Bytes that are checked; of the value those that are there. */
  #checked = 0
  #dumped: Dumped | null = null
  #value: Pages | null = null
  #decoder: LzfDecoder | null = null

  constructor(client: Client, options: RestoreOptions, expireAt: number) {
    this.#client = client
    this.#db = client.db
    this.#options = options
    this.#expireAt = expireAt
    this.#payload = new Payload(client, 3)
  }

  /** Does some more. True: it is answered. */
  step(): boolean {
    if (this.#dumped === null) return this.#check()
    if (this.#value !== null) return this.#read()
    return this.#end(this.#short(this.#dumped))
  }

  #refuse(line: string): true {
    this.#value?.release()
    this.#client.reply.error(line)
    return true
  }

  #check(): boolean {
    const payload = this.#payload
    const bodyBytes = payload.length - FOOTER_BYTES
    if (bodyBytes < 0) return this.#refuse(ERR_DUMP_PAYLOAD)
    // The checksum is of the version, too.
    const checkedBytes = bodyBytes + 2
    const end = Math.min(checkedBytes, this.#checked + STEP_BYTES)
    for (const piece of payload.pieces(this.#checked, end)) this.#checksum.update(piece)
    this.#checked = end
    if (end < checkedBytes) return false
    const footer = payload.copy(bodyBytes, payload.length)
    if (!isGenuine(footer, this.#checksum)) return this.#refuse(ERR_DUMP_PAYLOAD)
    const head = payload.copy(0, Math.min(HEAD_BYTES_MAX, bodyBytes))
    const dumped = readHead(head, bodyBytes)
    if (dumped === null) return this.#refuse(ERR_DUMP_FORMAT)
    this.#dumped = dumped
    payload.turnTo(dumped.at, dumped.at + dumped.bytes)
    if (dumped.length > HEAP_BYTES_MAX) this.#value = this.#client.store.pages()
    return this.step()
  }

  /** A value that is not long; null: it contradicts itself. */
  #short({ text, at, bytes, length, isCompressed }: Dumped): Uint8Array | null {
    if (text !== null) return Buffer.from(text, 'latin1')
    if (!isCompressed) return this.#payload.copy(at, at + bytes)
    const value = new Uint8Array(length)
    let done = 0
    const decoder = new LzfDecoder(this.#payload, length, (out, from, end) => {
      value.set(out.subarray(from, end), done)
      done += end - from
      return true
    })
    let result = GOES_ON
    while (result === GOES_ON) result = decoder.step()
    return result === DONE ? value : null
  }

  /** Reads some more of a long value into pages. */
  #read(): boolean {
    const { at, length, isCompressed } = this.#dumped!
    const value = this.#value!
    if (!isCompressed) {
      const piece = Math.min(STEP_BYTES, length - value.length)
      if (!this.#payload.writeTo(value, at + value.length, piece)) return this.#refuse(ERR_OOM)
      return value.length === length && this.#end(value)
    }
    this.#decoder ??= new LzfDecoder(this.#payload, length, (out, from, end) =>
      value.write(out, from, end - from),
    )
    const result = this.#decoder.step()
    if (result === GOES_ON) return false
    if (result === REFUSED) return this.#refuse(ERR_OOM)
    return result === DONE ? this.#end(value) : this.#refuse(ERR_DUMP_FORMAT)
  }

  #end(value: Uint8Array | Pages | null): true {
    if (value === null) return this.#refuse(ERR_DUMP_FORMAT)
    const { args, reply, store } = this.#client
    const expireAt = this.#expireAt
    const found = store.open(this.#db, args.bytes, args.pos(1), args.length(1))
    let status: number = STORED
    const isBusy = found && !this.#options.replaces
    const isOver = expireAt !== 0 && expireAt <= store.now
    if (!isBusy && isOver && found) store.remove()
    const isStored = !isBusy && !isOver
    if (value instanceof Uint8Array) {
      if (isStored) status = store.put(value, 0, value.length, expireAt)
    } else if (isStored) {
      this.#value = null
      status = store.putPages(value, expireAt)
    }
    store.close()
    if (isBusy) return this.#refuse(BUSYKEY)
    if (status !== STORED) return this.#refuse(ERR_OOM)
    this.#value?.release()
    // As in Redis what there was is removed, and comes anew.
    if (isStored) notifyWrite(this.#client, 'restore', 1, false)
    else if (found) notify(this.#client, 'del', 1)
    reply.ok()
    return true
  }
}

/* ---- the table ---- */

/** Values as bytes that can be carried elsewhere. */
export const dumpCommands = [
  {
    name: 'dump',
    arity: 2,
    flags: ['readonly'],
    keys: [1, 1, 1],
    keyFlags: ['RO', 'access'],
    group: 'generic',
    tips: ['nondeterministic_output'],
    since: '2.6.0',
    complexity: 'O(N) where N is the length of the value',
    summary: 'Gives the value of a key as bytes with a checksum, for RESTORE here or in Redis.',
    syntax: 'key',
    differs: 'does not compress, as `rdbcompression no`',
    loads: dumpLoaded,
    run: dump,
  },
  {
    name: 'restore',
    arity: -4,
    flags: ['write', 'denyoom'],
    keys: [1, 1, 1],
    keyFlags: ['OW', 'update'],
    group: 'generic',
    categories: ['dangerous'],
    since: '2.6.0',
    history: [
      ['3.0.0', 'Added the `REPLACE` modifier.'],
      ['5.0.0', 'Added the `ABSTTL` modifier.'],
      ['5.0.0', 'Added the `IDLETIME` and `FREQ` options.'],
    ],
    complexity: 'O(N) where N is the length of the value',
    summary: 'Sets a key to the value that DUMP gave, here or in Redis.',
    syntax: 'key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]',
    argumentNotes: {
      replace: { since: '3.0.0' },
      absttl: { since: '5.0.0' },
      seconds: { since: '5.0.0' },
      frequency: { since: '5.0.0' },
    },
    argumentTypes: { ttl: 'integer', frequency: 'integer' },
    differs:
      'strings only, of newer versions too; `IDLETIME` and `FREQ` have no effect; a payload whose value ends too early is refused',
    takesPages: true,
    run: restore,
  },
] as const satisfies readonly Command[]
