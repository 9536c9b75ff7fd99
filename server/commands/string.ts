/*
 * The string commands.
 *
 * GET, MGET and a plain SET are one verb of the store each. All others open the key's record, look,
 * change it and close it, which is atomic; what is answered meanwhile goes to the reply area, and
 * nothing that could wait for a socket happens before `close`:
 *
 *     open ──> look: found? length? expiry? ──> put, append, remove ... ──> close ──> reply
 *                       └──> the old value into the reply area, if the command gives it back
 *
 * A value in pages is not copied into the reply: it is pinned while open, and sent after `close` out
 * of the pages, which stay as they are until then, whatever happens to the key.
 *
 * A value over 64 KB arrives in pages of the store, which become the stored value (`takesPages`). A
 * key never does: dispatch sees to that.
 */
import type { Args } from '../../protocol/args.ts'
import {
  ERR_NOT_INTEGER,
  ERR_OFFSET,
  ERR_OOM,
  ERR_STRING_TOO_LONG,
  ERR_SYNTAX,
  wrongArity,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { holding, type KeyEvent, notify } from '../notifications.ts'
import { counter } from '../stats.ts'
import type { OriginChange } from '../loads/writing.ts'
import {
  CHANGED,
  type Growth,
  MISS,
  OUT_OF_MEMORY,
  type Pages,
  STORED,
  type Store,
} from '../store/store.ts'
import { EX, EXAT, expiryError, PX, PXAT, readPositiveExpiry, type TimeForm } from './expiry.ts'
import { lcs } from './lcs.ts'
import { countLookup, countMiss, notifyWrite, openKey } from './lookup.ts'
import { type KeyWork, overKeys } from './many-keys.ts'

/* ---- options of SET and GETEX ---- */

const NX = 1 << 4
const XX = 1 << 5
const GET = 1 << 6
const KEEPTTL = 1 << 7
const PERSIST = 1 << 8
const TIMES = EX | PX | EXAT | PXAT

/** In the number that `readOptions` gives, the index of the time's argument stands above the bits. */
const INDEX_SHIFT = 9
const BITS = (1 << INDEX_SHIFT) - 1

const SET_OPTIONS = NX | XX | GET | KEEPTTL | TIMES
const GETEX_OPTIONS = PERSIST | TIMES

/** Each option, and with which it does not go together. A time may be given twice: the last counts. */
const options = [
  { word: 'ex', bit: EX, excludes: PX | EXAT | PXAT | KEEPTTL | PERSIST },
  { word: 'px', bit: PX, excludes: EX | EXAT | PXAT | KEEPTTL | PERSIST },
  { word: 'nx', bit: NX, excludes: XX },
  { word: 'xx', bit: XX, excludes: NX },
  { word: 'get', bit: GET, excludes: 0 },
  { word: 'keepttl', bit: KEEPTTL, excludes: TIMES },
  { word: 'exat', bit: EXAT, excludes: EX | PX | PXAT | KEEPTTL | PERSIST },
  { word: 'pxat', bit: PXAT, excludes: EX | PX | EXAT | KEEPTTL | PERSIST },
  { word: 'persist', bit: PERSIST, excludes: TIMES },
] as const

/** The options from argument `first` on, as one number without allocation; -1: a syntax error. */
function readOptions(args: Args, first: number, allowed: number): number {
  let bits = 0
  let index = 0
  for (let i = first; i < args.count; i++) {
    const bit = readOption(args, i, allowed, bits)
    if (bit === 0) return -1
    bits |= bit
    if ((bit & TIMES) !== 0) {
      index = ++i
      if (i === args.count) return -1
    }
  }
  return bits | (index << INDEX_SHIFT)
}

/** The bit of the option that argument i is; 0: it is none that may stand here. */
function readOption(args: Args, i: number, allowed: number, given: number): number {
  for (const option of options) {
    if ((option.bit & allowed) === 0 || !args.is(i, option.word)) continue
    return (option.excludes & given) === 0 ? option.bit : 0
  }
  return 0
}

/* ---- reading ---- */

/**
 * Opens the record of the key that argument i is; if it is found, `replyOpen` has room for it. Room
 * is made by sending replies, which must not be done while a record is open: it is closed meanwhile.
 */
function openWithRoom(client: Client, i: number): boolean {
  const { store, reply } = client
  for (;;) {
    if (!openKey(client, i)) return false
    if (store.inPages) return true
    const before = reply.pos
    if (reply.reserve(store.valueLength) >= 0) {
      reply.pos = before
      return true
    }
    store.close()
    client.flushReplies()
  }
}

/** Writes the open value as a reply. Pages are pinned instead: the caller sends them after `close`. */
function replyOpen(client: Client): Pages | null {
  const { store, reply } = client
  if (store.inPages) return store.pin()
  const length = store.valueLength
  store.read(0, length, reply.reserve(length))
  reply.endBulk()
  return null
}

/** Replies with the value of the key that argument i is, or null. */
export function replyValue(client: Client, i: number): void {
  if (client.noTouch) {
    replyFarValue(client, i)
    return
  }
  const { store, args, reply } = client
  const length = store.get(client.db, args.bytes, args.pos(i), args.length(i), reply)
  if (length >= 0) {
    reply.endBulk()
    client.server.stats.row[counter.keyspaceHits]!++
  } else if (length === MISS) {
    countMiss(client, i)
    reply.null()
  } else {
    replyFarValue(client, i)
  }
}

/** The same for a value that lies in pages, or has no room in the reply area; or without a touch. */
function replyFarValue(client: Client, i: number): void {
  const found = openWithRoom(client, i)
  const pages = found ? replyOpen(client) : null
  client.store.close()
  countLookup(client, found, i)
  if (pages !== null) client.replyPages(pages)
  else if (!found) client.reply.null()
}

function get(client: Client): void {
  replyValue(client, 1)
}

const replying: KeyWork = {
  stride: 1,
  visit(client, i) {
    replyValue(client, i)
    return 0
  },
  end() {},
}

function mget(client: Client): void {
  client.reply.array(client.args.count - 1)
  overKeys(client, replying)
}

function getdel(client: Client): void {
  const { store } = client
  const found = openWithRoom(client, 1)
  const pages = found ? replyOpen(client) : null
  // Where there is none, a load may be under way, of what was there before.
  store.remove()
  store.close()
  countLookup(client, found)
  if (pages !== null) client.replyPages(pages)
  else if (!found) client.reply.null()
  if (found) notify(client, 'del', 1)
}

function getex(client: Client): void {
  holding(client, getexHolding)
}

function getexHolding(client: Client): void {
  const { store, args, reply } = client
  const given = readOptions(args, 2, GETEX_OPTIONS)
  if (given < 0) {
    reply.error(ERR_SYNTAX)
    return
  }
  const form = given & TIMES
  const expireAt =
    form === 0 ? 0 : readPositiveExpiry(client, given >> INDEX_SHIFT, form as TimeForm)
  const found = openWithRoom(client, 1)
  if (!found || expireAt < 0) {
    store.close()
    countLookup(client, found)
    if (found) reply.error(expiryError(expireAt, 'getex'))
    else reply.null()
    return
  }
  const before = reply.pos
  const pages = replyOpen(client)
  let status: number = STORED
  let event: KeyEvent | null = form === 0 ? null : 'expire'
  if (form !== 0 && expireAt <= store.now) {
    store.remove()
    event = 'del'
  } else if (form !== 0) {
    status = store.setExpiry(expireAt)
  } else if ((given & PERSIST) !== 0) {
    if (store.expireAt !== 0) event = 'persist'
    status = store.setExpiry(0)
  }
  store.close()
  countLookup(client, true)
  finish(client, status, before, pages)
  if (event !== null && status === STORED) notify(client, event, 1)
}

/** A loaded value that another write has come before is answered, and left as it is. */
function getexLoaded(client: Client, value: Buffer | null, stored: boolean): void {
  if (value === null || stored) getex(client)
  else client.reply.bulk(value)
}

/** Ends a command that has written the old value: with that value, or with the error instead. */
function finish(client: Client, status: number, before: number, pages: Pages | null): void {
  if (status === STORED) {
    if (pages !== null) client.replyPages(pages)
    return
  }
  pages?.release()
  client.reply.pos = before
  client.reply.error(ERR_OOM)
}

function strlen(client: Client): void {
  const found = openKey(client, 1)
  const length = found ? client.store.valueLength : 0
  client.store.close()
  countLookup(client, found)
  client.reply.integer(length)
}

function strlenLoaded({ reply }: Client, value: Buffer | null): void {
  reply.integer(value?.length ?? 0)
}

/** A longer piece of a value in pages is sent out of them, a shorter one copied. */
const COPIED_BYTES_MAX = 16 * 1024

function rangeFrom(start: number, size: number): number {
  return Math.max(0, start < 0 ? start + size : start)
}

function rangeLength(start: number, end: number, size: number): number {
  if (start < 0 && end < 0 && start > end) return 0
  const to = Math.min(size - 1, Math.max(0, end < 0 ? end + size : end))
  return Math.max(0, to - rangeFrom(start, size) + 1)
}

function getrangeLoaded({ args, reply }: Client, value: Buffer | null): void {
  const start = args.integer(2)
  const end = args.integer(3)
  if (Number.isNaN(start) || Number.isNaN(end)) {
    reply.error(ERR_NOT_INTEGER)
    return
  }
  const size = value?.length ?? 0
  const from = rangeFrom(start, size)
  const length = rangeLength(start, end, size)
  reply.bulk(value?.subarray(from, from + length) ?? NOTHING)
}

const NOTHING = new Uint8Array(0)

function getrange(client: Client): void {
  const { store, args, reply } = client
  const start = args.integer(2)
  const end = args.integer(3)
  if (Number.isNaN(start) || Number.isNaN(end)) {
    reply.error(ERR_NOT_INTEGER)
    return
  }
  const found = openKey(client, 1)
  const size = found ? store.valueLength : 0
  const from = rangeFrom(start, size)
  const length = rangeLength(start, end, size)
  if (length > COPIED_BYTES_MAX && store.inPages) {
    const pages = store.pin()
    store.close()
    countLookup(client, true)
    client.replyPages(pages, from, length)
    return
  }
  const pos = reply.reserve(length)
  if (pos < 0) {
    store.close()
    client.flushReplies()
    getrange(client)
    return
  }
  if (length > 0) store.read(from, length, pos)
  reply.endBulk()
  store.close()
  countLookup(client, found)
}

/* ---- writing ---- */

/** The condition of NX or XX did not hold. Beside STORED and OUT_OF_MEMORY. */
const NOT_DONE = 2

/** The pages that argument i arrived in, or null. They are the store's own: it received them. */
function pagesOf(args: Args, i: number): Pages | null {
  return args.big(i) as Pages | null
}

/** Puts argument i into the open record. */
function putArgument(store: Store, args: Args, i: number, expireAt: number): number {
  const pages = pagesOf(args, i)
  return pages === null
    ? store.put(args.bytes, args.pos(i), args.length(i), expireAt)
    : store.putPages(pages, expireAt)
}

/** Sets the key that argument `key` is to argument `value`. */
function setArgument(client: Client, key: number, value: number, expireAt: number): number {
  const { store, args } = client
  const tells = client.server.notifier !== null
  if (args.big(value) === null && !tells) {
    return store.set(
      client.db,
      args.bytes,
      args.pos(key),
      args.length(key),
      args.pos(value),
      args.length(value),
      expireAt,
    )
  }
  const found = openKey(client, key)
  const status = putArgument(store, args, value, expireAt)
  store.close()
  if (tells && status === STORED) notifySet(client, key, expireAt, found)
  return status
}

/** Tells of a SET. One whose time was over was not set, which Redis finds out a moment later. */
function notifySet(client: Client, key: number, expireAt: number, found: boolean): void {
  notifyWrite(client, 'set', key, found)
  if (expireAt === 0) return
  notify(client, 'expire', key)
  if (expireAt <= client.store.now) notify(client, 'expired', key)
}

function set(client: Client): void {
  if (client.args.count > 3) setWithOptions(client)
  else replyStored(client, setArgument(client, 1, 2, 0))
}

function replyStored(client: Client, status: number): void {
  if (status === STORED) client.reply.ok()
  else if (status === OUT_OF_MEMORY) client.reply.error(ERR_OOM)
  else client.reply.null()
}

/** Not with NX, XX or GET, whose second run would see what the first one did. */
function isRepeatableSet(args: Args): boolean {
  const given = args.count > 3 ? readOptions(args, 3, SET_OPTIONS) : 0
  return given >= 0 && (given & (NX | XX | GET)) === 0
}

/** What SET tells an origin: not with NX, XX or GET, which ask what this cache has. */
function setOriginWrites(client: Client): readonly OriginChange[] | null {
  const { args } = client
  const given = args.count > 3 ? readOptions(args, 3, SET_OPTIONS) : 0
  if (given < 0) return []
  if ((given & (NX | XX | GET)) !== 0) return null
  const form = given & TIMES
  if (form === 0) return [{ key: 1, value: 2, ttlMs: 0 }]
  return setUntil(client, 2, readPositiveExpiry(client, given >> INDEX_SHIFT, form as TimeForm))
}

/** Key 1 is set to argument `value`; nothing is if the expiry is none, which the command tells. */
function setUntil({ store }: Client, value: number, expireAt: number): readonly OriginChange[] {
  if (expireAt < 0) return []
  return [{ key: 1, value, ttlMs: Math.max(1, expireAt - Math.floor(store.now)) }]
}

/** What SETEX and PSETEX tell an origin. */
function setexOriginWrites(form: TimeForm): (client: Client) => readonly OriginChange[] {
  return (client) => setUntil(client, 3, readPositiveExpiry(client, 2, form))
}

/** What MSET tells an origin. */
function msetOriginWrites({ args }: Client): readonly OriginChange[] {
  const changes: OriginChange[] = []
  if (args.count % 2 === 0) return changes
  for (let i = 1; i < args.count; i += 2) changes.push({ key: i, value: i + 1, ttlMs: 0 })
  return changes
}

function setWithOptions(client: Client): void {
  const { args, reply } = client
  const given = readOptions(args, 3, SET_OPTIONS)
  if (given < 0) {
    reply.error(ERR_SYNTAX)
    return
  }
  const form = given & TIMES
  const expireAt =
    form === 0 ? 0 : readPositiveExpiry(client, given >> INDEX_SHIFT, form as TimeForm)
  if (expireAt < 0) reply.error(expiryError(expireAt, 'set'))
  else if ((given & GET) !== 0) setAndGet(client, 2, given & BITS, expireAt)
  else replyStored(client, setOpen(client, 2, given & BITS, expireAt))
}

/** SET of key argument 1 to argument `value` under NX, XX, KEEPTTL and an expiry that may be over. */
function setOpen(client: Client, value: number, bits: number, expireAt: number): number {
  const found = openKey(client, 1)
  const status = change(client, value, bits, expireAt, found)
  client.store.close()
  if (status === STORED) notifySet(client, 1, expireAt, found)
  return status
}

/** The same on the open record. */
function change(
  client: Client,
  value: number,
  bits: number,
  expireAt: number,
  found: boolean,
): number {
  const { store, args } = client
  if ((bits & (found ? NX : XX)) !== 0) return NOT_DONE
  if (expireAt !== 0 && expireAt <= store.now) {
    store.remove()
    return STORED
  }
  const keeps = found && (bits & KEEPTTL) !== 0
  return putArgument(store, args, value, keeps ? store.expireAt : expireAt)
}

/** SET with GET, and GETSET: replies with the old value whether or not the new one was set. */
function setAndGet(client: Client, value: number, bits: number, expireAt: number): void {
  const { store, reply } = client
  const { notifier } = client.server
  notifier?.hold()
  const found = openWithRoom(client, 1)
  const before = reply.pos
  const pages = found ? replyOpen(client) : null
  const status = change(client, value, bits, expireAt, found)
  store.close()
  finish(client, status === NOT_DONE ? STORED : status, before, pages)
  if (!found && status !== OUT_OF_MEMORY) reply.null()
  countLookup(client, found)
  if (status === STORED) notifySet(client, 1, expireAt, found)
  notifier?.release()
}

function getset(client: Client): void {
  setAndGet(client, 2, 0, 0)
}

function setnx(client: Client): void {
  const status = setOpen(client, 2, NX, 0)
  if (status === OUT_OF_MEMORY) client.reply.error(ERR_OOM)
  else client.reply.integer(status === STORED ? 1 : 0)
}

function setex(client: Client): void {
  setFor(client, EX, 'setex')
}

function psetex(client: Client): void {
  setFor(client, PX, 'psetex')
}

function setFor(client: Client, form: TimeForm, name: string): void {
  const expireAt = readPositiveExpiry(client, 2, form)
  if (expireAt < 0) client.reply.error(expiryError(expireAt, name))
  else replyStored(client, setArgument(client, 1, 3, expireAt))
}

/** Stops at the first value that memory cannot hold; those before it stay set. */
function mset(client: Client): void {
  const { args, reply } = client
  if (args.count % 2 === 0) {
    reply.error(wrongArity('mset'))
    return
  }
  overKeys(client, setting)
}

const setting: KeyWork = {
  stride: 2,
  visit(client, i) {
    return setArgument(client, i, i + 1, 0) === STORED ? 0 : -1
  },
  end(client, sum) {
    replyStored(client, sum < 0 ? OUT_OF_MEMORY : STORED)
  },
}

/** All or none, so always whole: of very many keys it is the one command that holds up others. */
function msetnx(client: Client): void {
  const { store, args, reply } = client
  if (args.count % 2 === 0) {
    reply.error(wrongArity('msetnx'))
    return
  }
  const { notifier } = client.server
  notifier?.hold()
  store.lockKeys(client.db, args, 1, args.count, 2)
  const status = hasAny(client) ? NOT_DONE : setAll(client)
  store.unlockKeys()
  notifier?.release()
  if (status === OUT_OF_MEMORY) reply.error(ERR_OOM)
  else reply.integer(status === STORED ? 1 : 0)
}

/** Is any of the keys that MSETNX would set there? The first one that is was asked for. */
function hasAny(client: Client): boolean {
  const { store, args } = client
  for (let i = 1; i < args.count; i += 2) {
    if (!store.has(client.db, args.bytes, args.pos(i), args.length(i))) continue
    openKey(client, i)
    store.close()
    return true
  }
  return false
}

/** Sets them; takes back what was set when memory cannot hold the rest. */
function setAll(client: Client): number {
  const { store, args } = client
  for (let i = 1; i < args.count; i += 2) {
    if (setArgument(client, i, i + 1, 0) === STORED) continue
    for (let j = 1; j < i; j += 2) {
      const removed = store.delete(client.db, args.bytes, args.pos(j), args.length(j))
      if (removed) notify(client, 'del', j)
    }
    return OUT_OF_MEMORY
  }
  return STORED
}

function append(client: Client): void {
  const { store, args } = client
  const found = openKey(client, 1)
  const length = args.length(2)
  let status: number = STORED
  if (found && store.valueLength + length > bulkBytesMax(client)) {
    status = NOT_DONE
  } else {
    const pages = pagesOf(args, 2)
    const growth = store.grow(-1, length, pages)
    if (growth !== null) {
      store.close()
      growInSteps(client, growth, 2)
      return
    }
    status =
      pages === null ? store.append(args.bytes, args.pos(2), length) : store.appendPages(pages)
  }
  const total = store.valueLength
  store.close()
  if (status === STORED) notifyWrite(client, 'append', 1, found)
  replyLength(client, status, total)
}

function setrange(client: Client): void {
  const { store, args, reply } = client
  const offset = args.integer(2)
  if (Number.isNaN(offset) || offset < 0) {
    reply.error(offset < 0 ? ERR_OFFSET : ERR_NOT_INTEGER)
    return
  }
  const found = openKey(client, 1)
  const length = args.length(3)
  let status: number = STORED
  if (length > 0) {
    const pages = pagesOf(args, 3)
    const isTooLong = offset + length > bulkBytesMax(client)
    const growth = isTooLong ? null : store.grow(offset, length, pages)
    if (growth !== null) {
      store.close()
      growInSteps(client, growth, 3)
      return
    }
    if (isTooLong) status = NOT_DONE
    else if (pages === null) status = store.setRange(offset, args.bytes, args.pos(3), length)
    else status = store.setRangePages(offset, pages)
  }
  const total = found || length > 0 ? store.valueLength : 0
  store.close()
  if (status === STORED && length > 0) notifyWrite(client, 'setrange', 1, found)
  replyLength(client, status, total)
}

/** Ends an APPEND or SETRANGE by which the value grows a lot. Argument `data` is what it writes. */
function growInSteps(client: Client, growth: Growth, data: number): void {
  const { store } = client
  client.inSteps(() => {
    if (!growth.step()) return false
    const { args } = client
    const found = openKey(client, 1)
    let status = NOT_DONE
    if (growth.isAtEnd && store.valueLength + growth.length > bulkBytesMax(client)) growth.release()
    else status = store.attach(growth, args.bytes, growth.source === null ? args.pos(data) : 0)
    const total = store.valueLength
    store.close()
    if (status === CHANGED) return false
    const event = growth.isAtEnd ? 'append' : 'setrange'
    if (status === STORED) notifyWrite(client, event, 1, found)
    replyLength(client, status, total)
    return true
  })
}

function bulkBytesMax(client: Client): number {
  return client.server.config['proto-max-bulk-len']
}

function replyLength(client: Client, status: number, total: number): void {
  if (status === STORED) client.reply.integer(total)
  else client.reply.error(status === NOT_DONE ? ERR_STRING_TOO_LONG : ERR_OOM)
}

/* ---- the table ---- */

/** SET reads its key's value only with GET. */
function setKeyFlags(args: Args, from: number): readonly string[] {
  for (let i = from + 3; i < args.count; i++) {
    if (args.is(i, 'get')) return ['RW', 'access', 'update']
  }
  return ['OW', 'update']
}

/** Everything about strings but counting. */
export const stringCommands = [
  {
    name: 'get',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RO', 'access'],
    group: 'string',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: "Gives a key's value, loading it from its group's origin when it is missing.",
    syntax: 'key',
    loads: 'value',
    run: get,
  },
  {
    name: 'set',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update', 'variable_flags'],
    keyNotes: 'RW and ACCESS due to the optional `GET` argument',
    keyFlagsOf: setKeyFlags,
    group: 'string',
    since: '1.0.0',
    history: [
      ['2.6.12', 'Added the `EX`, `PX`, `NX` and `XX` options.'],
      ['6.0.0', 'Added the `KEEPTTL` option.'],
      ['6.2.0', 'Added the `GET`, `EXAT` and `PXAT` option.'],
      ['7.0.0', 'Allowed the `NX` and `GET` options to be used together.'],
    ],
    complexity: 'O(1)',
    summary: 'Sets a key to a value, whatever it held, with an expiry or a condition if wanted.',
    syntax:
      'key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | ' +
      'PXAT unix-time-milliseconds | KEEPTTL]',
    argumentNotes: {
      nx_xx: { as: 'condition', since: '2.6.12' },
      get: { since: '6.2.0' },
      seconds: { since: '2.6.12' },
      milliseconds: { since: '2.6.12' },
      'unix-time-seconds': { since: '6.2.0' },
      'unix-time-milliseconds': { since: '6.2.0' },
      keepttl: { since: '6.0.0' },
      'seconds_milliseconds_unix-time-seconds_unix-time-milliseconds_keepttl': { as: 'expiration' },
    },
    takesPages: true,
    repeatable: isRepeatableSet,
    originWrites: setOriginWrites,
    run: set,
  },
  {
    name: 'getex',
    arity: -2,
    flags: ['write', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update'],
    keyNotes: 'RW and UPDATE because it changes the TTL',
    group: 'string',
    since: '6.2.0',
    complexity: 'O(1)',
    summary: "Gives a key's value and sets or removes its expiry.",
    syntax:
      'key [EX seconds | PX milliseconds | EXAT unix-time-seconds | ' +
      'PXAT unix-time-milliseconds | PERSIST]',
    argumentNotes: {
      'seconds_milliseconds_unix-time-seconds_unix-time-milliseconds_persist': { as: 'expiration' },
    },
    loads: getexLoaded,
    run: getex,
  },
  {
    name: 'getdel',
    arity: 2,
    flags: ['write', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'delete'],
    group: 'string',
    since: '6.2.0',
    complexity: 'O(1)',
    summary: "Gives a key's value and removes the key.",
    syntax: 'key',
    originWrites: () => [{ key: 1, value: 0, ttlMs: 0 }],
    run: getdel,
  },
  {
    name: 'getset',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update'],
    group: 'string',
    since: '1.0.0',
    complexity: 'O(1)',
    deprecated: { since: '6.2.0', replacedBy: '`SET` with the `!GET` argument' },
    summary: 'Sets a key to a value and gives the old one.',
    syntax: 'key value',
    takesPages: true,
    run: getset,
  },
  {
    name: 'mget',
    differs: 'atomic up to 16,384 keys; with more, for 64 keys at a time',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: [1, -1, 1],
    keyFlags: ['RO', 'access'],
    group: 'string',
    tips: ['request_policy:multi_shard'],
    since: '1.0.0',
    complexity: 'O(N) where N is the number of keys',
    summary: 'Gives the values of several keys, null for each that is missing.',
    syntax: 'key [key ...]',
    placement: 'scatter',
    loads: 'values',
    run: mget,
  },
  {
    name: 'mset',
    differs: 'atomic up to 16,384 keys; with more, for 64 keys at a time',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [1, -1, 2],
    keyFlags: ['OW', 'update'],
    group: 'string',
    tips: ['request_policy:multi_shard', 'response_policy:all_succeeded'],
    since: '1.0.1',
    complexity: 'O(N) where N is the number of keys',
    summary: 'Sets several keys, each to its own value.',
    syntax: 'key value [key value ...]',
    placement: 'scatter',
    takesPages: true,
    repeatable: () => true,
    originWrites: msetOriginWrites,
    run: mset,
  },
  {
    name: 'msetnx',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [1, -1, 2],
    keyFlags: ['OW', 'insert'],
    group: 'string',
    tips: ['request_policy:multi_shard', 'response_policy:agg_min'],
    since: '1.0.1',
    complexity: 'O(N) where N is the number of keys',
    summary:
      'Sets several keys, but only if none of them exists. However many they are, others wait meanwhile.',
    syntax: 'key value [key value ...]',
    placement: 'key',
    takesPages: true,
    run: msetnx,
  },
  {
    name: 'setnx',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['OW', 'insert'],
    group: 'string',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Sets a key to a value, but only if it does not exist.',
    syntax: 'key value',
    takesPages: true,
    run: setnx,
  },
  {
    name: 'setex',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: [1, 1, 1],
    keyFlags: ['OW', 'update'],
    group: 'string',
    since: '2.0.0',
    complexity: 'O(1)',
    summary: 'Sets a key to a value that expires after so many seconds.',
    syntax: 'key seconds value',
    takesPages: true,
    repeatable: () => true,
    originWrites: setexOriginWrites(EX),
    run: setex,
  },
  {
    name: 'psetex',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: [1, 1, 1],
    keyFlags: ['OW', 'update'],
    group: 'string',
    since: '2.6.0',
    complexity: 'O(1)',
    summary: 'Sets a key to a value that expires after so many milliseconds.',
    syntax: 'key milliseconds value',
    takesPages: true,
    repeatable: () => true,
    originWrites: setexOriginWrites(PX),
    run: psetex,
  },
  {
    name: 'append',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'insert'],
    group: 'string',
    since: '2.0.0',
    complexity:
      'O(N) where N is the length of the value, which is copied when it outgrows its place',
    summary: "Adds bytes to the end of a key's value and gives the new length.",
    syntax: 'key value',
    takesPages: true,
    run: append,
  },
  {
    name: 'strlen',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RO'],
    group: 'string',
    since: '2.2.0',
    complexity: 'O(1)',
    summary: "Gives the length of a key's value in bytes; 0 when it is missing.",
    syntax: 'key',
    loads: strlenLoaded,
    run: strlen,
  },
  {
    name: 'getrange',
    arity: 4,
    flags: ['readonly'],
    keys: [1, 1, 1],
    keyFlags: ['RO', 'access'],
    group: 'string',
    since: '2.4.0',
    complexity: 'O(N) where N is the length of the part',
    summary: "Gives the part of a key's value between two offsets, negative ones from its end.",
    syntax: 'key start end',
    loads: getrangeLoaded,
    run: getrange,
  },
  {
    name: 'substr',
    arity: 4,
    flags: ['readonly'],
    keys: [1, 1, 1],
    keyFlags: ['RO', 'access'],
    group: 'string',
    since: '1.0.0',
    complexity: 'O(N) where N is the length of the part',
    deprecated: { since: '2.0.0', replacedBy: '`GETRANGE`' },
    summary: 'Does what GETRANGE does.',
    syntax: 'key start end',
    loads: getrangeLoaded,
    run: getrange,
  },
  {
    name: 'lcs',
    arity: -3,
    flags: ['readonly'],
    keys: [1, 2, 1],
    keyFlags: ['RO', 'access'],
    group: 'string',
    since: '7.0.0',
    complexity: 'O(N*M) where N and M are the lengths of s1 and s2, respectively',
    summary: 'Finds the longest common subsequence of two values, or its length, or where it lies.',
    syntax: 'key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]',
    run: lcs,
  },
  {
    name: 'setrange',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'update'],
    group: 'string',
    since: '2.2.0',
    complexity:
      'O(N) where N is the length of the value, which is copied when it outgrows its place',
    summary:
      "Overwrites a key's value from an offset on, with zero bytes before it if it is short.",
    syntax: 'key offset value',
    takesPages: true,
    repeatable: () => true,
    run: setrange,
  },
] as const satisfies readonly Command[]
