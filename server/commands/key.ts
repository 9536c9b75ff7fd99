/** The commands about single keys, whatever they hold: existence and expiry. */
import type { Args } from '../../protocol/args.ts'
import {
  ERR_EXPIRE_GT_LT,
  ERR_EXPIRE_NX,
  ERR_OOM,
  unsupportedOption,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { notify } from '../notifications.ts'
import { STORED } from '../store/store.ts'
import type { OriginChange } from '../loads/writing.ts'
import {
  EX,
  EXAT,
  expiryError,
  farMoment,
  PX,
  PXAT,
  readExpiry,
  type TimeForm,
  wallOffset,
} from './expiry.ts'
import { type KeyWork, overKeys } from './many-keys.ts'
import { countLookup, openKey, peekKey, touchKey, typeNames } from './lookup.ts'

/* ---- existence ---- */

/** DEL and UNLINK: a value's memory is given back at once, which takes no longer than unlinking it. */
const replyCount = (client: Client, count: number): void => client.reply.integer(count)

const deleting: KeyWork = {
  stride: 1,
  visit(client, i) {
    const { store, args, db } = client
    if (!store.delete(db, args.bytes, args.pos(i), args.length(i))) return 0
    notify(client, 'del', i)
    return 1
  },
  end: replyCount,
}

/** A key given twice counts twice. */
const finding: KeyWork = {
  stride: 1,
  visit(client, i) {
    const { store, args, db } = client
    const found = store.has(db, args.bytes, args.pos(i), args.length(i))
    countLookup(client, found, i)
    return found ? 1 : 0
  },
  end: replyCount,
}

/** EXISTS that counts as an access to each key, which is what it is for. */
const touching: KeyWork = {
  stride: 1,
  visit(client, i) {
    const found = touchKey(client, i)
    client.store.close()
    countLookup(client, found, i)
    return found ? 1 : 0
  },
  end: replyCount,
}

/** What DEL and UNLINK tell an origin. */
function removals({ args }: Client): readonly OriginChange[] {
  return Array.from({ length: args.count - 1 }, (_, i) => ({ key: i + 1, value: 0, ttlMs: 0 }))
}

function del(client: Client): void {
  overKeys(client, deleting)
}

function exists(client: Client): void {
  overKeys(client, finding)
}

function touch(client: Client): void {
  overKeys(client, touching)
}

function type(client: Client): void {
  const found = peekKey(client, 1)
  const name = found ? typeNames[client.store.valueType]! : 'none'
  client.store.close()
  countLookup(client, found)
  client.reply.simple(name)
}

/* ---- expiry ---- */

const NX = 1 << 0
const XX = 1 << 1
const GT = 1 << 2
const LT = 1 << 3

/** The conditions from argument 3 on, as bits; -1: there was an error, which is answered. */
function readConditions(client: Client): number {
  const { args, reply } = client
  let bits = 0
  for (let i = 3; i < args.count; i++) {
    const bit = readCondition(args, i)
    if (bit === 0) {
      reply.error(unsupportedOption(args.text(i)))
      return -1
    }
    bits |= bit
  }
  if ((bits & NX) !== 0 && bits !== NX) {
    reply.error(ERR_EXPIRE_NX)
    return -1
  }
  if ((bits & GT) !== 0 && (bits & LT) !== 0) {
    reply.error(ERR_EXPIRE_GT_LT)
    return -1
  }
  return bits
}

function readCondition(args: Args, i: number): number {
  if (args.is(i, 'nx')) return NX
  if (args.is(i, 'xx')) return XX
  if (args.is(i, 'gt')) return GT
  if (args.is(i, 'lt')) return LT
  return 0
}

/** May an expiry be replaced (0: there is none, which counts as later than any)? */
function allows(conditions: number, current: number, next: number): boolean {
  if ((conditions & NX) !== 0 && current !== 0) return false
  if ((conditions & XX) !== 0 && current === 0) return false
  if ((conditions & GT) !== 0 && (current === 0 || next <= current)) return false
  if ((conditions & LT) !== 0 && current !== 0 && next >= current) return false
  return true
}

/** A time that is over removes the key. */
function setExpiry(client: Client, form: TimeForm, name: string): void {
  const { store, args, reply } = client
  const conditions = args.count > 3 ? readConditions(client) : 0
  if (conditions < 0) return
  const expireAt = readExpiry(client, 2, form)
  if (expireAt < 0) {
    reply.error(expiryError(expireAt, name))
    return
  }
  const found = openKey(client, 1)
  const applies = found && allows(conditions, store.expireAt, expireAt)
  let status: number = STORED
  const removes = applies && expireAt <= store.now
  // Where there is no such key, a load may be under way, of what was there before.
  if (removes || (!found && expireAt <= store.now)) store.remove()
  else if (applies) status = store.setExpiry(expireAt)
  store.close()
  if (applies && status === STORED) notify(client, removes ? 'del' : 'expire', 1)
  if (status === STORED) reply.integer(applies ? 1 : 0)
  else reply.error(ERR_OOM)
}

function expire(client: Client): void {
  setExpiry(client, EX, 'expire')
}

function pexpire(client: Client): void {
  setExpiry(client, PX, 'pexpire')
}

function expireat(client: Client): void {
  setExpiry(client, EXAT, 'expireat')
}

function pexpireat(client: Client): void {
  setExpiry(client, PXAT, 'pexpireat')
}

const NO_KEY = -2
const NO_EXPIRY = -1

/** Seconds are rounded, half a second up, as Redis does. */
function replyExpiry(client: Client, form: TimeForm): void {
  const { store } = client
  const found = peekKey(client, 1)
  const expireAt = found ? store.expireAt : 0
  store.close()
  countLookup(client, found)
  if (expireAt === 0) {
    client.reply.integer(found ? NO_EXPIRY : NO_KEY)
    return
  }
  const isRelative = (form & (EX | PX)) !== 0
  const isSeconds = (form & (EX | EXAT)) !== 0
  const unixOffset = wallOffset(client.server.world.clock)
  const offset = isRelative ? -Math.floor(store.now) : unixOffset
  const ms = Math.max(0, expireAt + offset)
  if (ms > Number.MAX_SAFE_INTEGER) {
    const exact = farMoment(expireAt, offset, unixOffset)
    client.reply.bigInteger(isSeconds ? (exact + 500n) / 1000n : exact)
    return
  }
  client.reply.integer(isSeconds ? Math.floor((ms + 500) / 1000) : ms)
}

function ttl(client: Client): void {
  replyExpiry(client, EX)
}

function pttl(client: Client): void {
  replyExpiry(client, PX)
}

function expiretime(client: Client): void {
  replyExpiry(client, EXAT)
}

function pexpiretime(client: Client): void {
  replyExpiry(client, PXAT)
}

function persist(client: Client): void {
  const { store } = client
  const applies = openKey(client, 1) && store.expireAt !== 0
  if (applies) store.setExpiry(0)
  store.close()
  if (applies) notify(client, 'persist', 1)
  client.reply.integer(applies ? 1 : 0)
}

/* ---- the table ---- */

/** Everything about single keys, whatever they hold. */
export const keyCommands = [
  {
    name: 'del',
    differs: 'atomic up to 16,384 keys; with more, for 64 keys at a time',
    arity: -2,
    flags: ['write'],
    keys: [1, -1, 1],
    keyFlags: ['RM', 'delete'],
    group: 'generic',
    tips: ['request_policy:multi_shard', 'response_policy:agg_sum'],
    since: '1.0.0',
    complexity: 'O(N) where N is the number of keys',
    summary: 'Removes keys and counts those that were there.',
    syntax: 'key [key ...]',
    placement: 'scatter',
    repeatable: () => true,
    originWrites: removals,
    run: del,
  },
  {
    name: 'unlink',
    differs: 'atomic up to 16,384 keys; with more, for 64 keys at a time',
    arity: -2,
    flags: ['write', 'fast'],
    keys: [1, -1, 1],
    keyFlags: ['RM', 'delete'],
    group: 'generic',
    tips: ['request_policy:multi_shard', 'response_policy:agg_sum'],
    since: '4.0.0',
    complexity: 'O(N) where N is the number of keys',
    summary: 'Removes keys and counts those that were there. The same as DEL.',
    syntax: 'key [key ...]',
    placement: 'scatter',
    repeatable: () => true,
    originWrites: removals,
    run: del,
  },
  {
    name: 'exists',
    differs: 'atomic up to 16,384 keys; with more, for 64 keys at a time',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: [1, -1, 1],
    keyFlags: ['RO'],
    group: 'generic',
    tips: ['request_policy:multi_shard', 'response_policy:agg_sum'],
    since: '1.0.0',
    history: [['3.0.3', 'Accepts multiple `key` arguments.']],
    complexity: 'O(N) where N is the number of keys',
    summary: 'Counts the keys that exist; one that is given twice counts twice.',
    syntax: 'key [key ...]',
    placement: 'scatter',
    run: exists,
  },
  {
    name: 'touch',
    differs: 'atomic up to 16,384 keys; with more, for 64 keys at a time',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: [1, -1, 1],
    keyFlags: ['RO'],
    group: 'generic',
    tips: ['request_policy:multi_shard', 'response_policy:agg_sum'],
    since: '3.2.1',
    complexity: 'O(N) where N is the number of keys',
    summary: 'Counts the keys that exist, as an access to each, which keeps it from being evicted.',
    syntax: 'key [key ...]',
    placement: 'scatter',
    repeatable: () => true,
    run: touch,
  },
  {
    name: 'type',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RO'],
    group: 'generic',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Tells what kind of value a key holds.',
    syntax: 'key',
    run: type,
  },
  {
    name: 'expire',
    arity: -3,
    flags: ['write', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'update'],
    group: 'generic',
    since: '1.0.0',
    history: [['7.0.0', 'Added options: `NX`, `XX`, `GT` and `LT`.']],
    complexity: 'O(1)',
    summary: 'Lets a key expire after so many seconds.',
    syntax: 'key seconds [NX | XX | GT | LT]',
    argumentNotes: { nx_xx_gt_lt: { as: 'condition', since: '7.0.0' } },
    run: expire,
  },
  {
    name: 'pexpire',
    arity: -3,
    flags: ['write', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'update'],
    group: 'generic',
    since: '2.6.0',
    history: [['7.0.0', 'Added options: `NX`, `XX`, `GT` and `LT`.']],
    complexity: 'O(1)',
    summary: 'Lets a key expire after so many milliseconds.',
    syntax: 'key milliseconds [NX | XX | GT | LT]',
    argumentNotes: { nx_xx_gt_lt: { as: 'condition', since: '7.0.0' } },
    run: pexpire,
  },
  {
    name: 'expireat',
    arity: -3,
    flags: ['write', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'update'],
    group: 'generic',
    since: '1.2.0',
    history: [['7.0.0', 'Added options: `NX`, `XX`, `GT` and `LT`.']],
    complexity: 'O(1)',
    summary: 'Lets a key expire at a unix time in seconds.',
    syntax: 'key unix-time-seconds [NX | XX | GT | LT]',
    argumentNotes: { nx_xx_gt_lt: { as: 'condition', since: '7.0.0' } },
    repeatable: () => true,
    run: expireat,
  },
  {
    name: 'pexpireat',
    arity: -3,
    flags: ['write', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'update'],
    group: 'generic',
    since: '2.6.0',
    history: [['7.0.0', 'Added options: `NX`, `XX`, `GT` and `LT`.']],
    complexity: 'O(1)',
    summary: 'Lets a key expire at a unix time in milliseconds.',
    syntax: 'key unix-time-milliseconds [NX | XX | GT | LT]',
    argumentNotes: { nx_xx_gt_lt: { as: 'condition', since: '7.0.0' } },
    repeatable: () => true,
    run: pexpireat,
  },
  {
    name: 'ttl',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RO', 'access'],
    group: 'generic',
    tips: ['nondeterministic_output'],
    since: '1.0.0',
    history: [['2.8.0', 'Added the -2 reply.']],
    complexity: 'O(1)',
    summary: 'Gives the seconds a key has to live; -1 for ever, -2 when it is missing.',
    syntax: 'key',
    run: ttl,
  },
  {
    name: 'pttl',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RO', 'access'],
    group: 'generic',
    tips: ['nondeterministic_output'],
    since: '2.6.0',
    history: [['2.8.0', 'Added the -2 reply.']],
    complexity: 'O(1)',
    summary: 'Gives the milliseconds a key has to live; -1 for ever, -2 when it is missing.',
    syntax: 'key',
    run: pttl,
  },
  {
    name: 'expiretime',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RO', 'access'],
    group: 'generic',
    since: '7.0.0',
    complexity: 'O(1)',
    summary: 'Gives the unix time in seconds at which a key expires; -1 never, -2 it is missing.',
    differs: 'after the year 287396 within a second',
    syntax: 'key',
    run: expiretime,
  },
  {
    name: 'pexpiretime',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RO', 'access'],
    group: 'generic',
    since: '7.0.0',
    complexity: 'O(1)',
    summary:
      'Gives the unix time in milliseconds at which a key expires; -1 never, -2 it is missing.',
    differs: 'after the year 287396 within a second',
    syntax: 'key',
    run: pexpiretime,
  },
  {
    name: 'persist',
    arity: 2,
    flags: ['write', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'update'],
    group: 'generic',
    since: '2.2.0',
    complexity: 'O(1)',
    summary: 'Lets a key live for ever.',
    syntax: 'key',
    repeatable: () => true,
    run: persist,
  },
] as const satisfies readonly Command[]
