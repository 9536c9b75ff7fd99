/*
 * The commands that count. A counter is a value that spells a number; the key's record is opened, the
 * number read, added to and put back, with the expiry it had, and nobody sees it in between.
 *
 * Numbers up to 2^53 are added as they are, without allocation. Beyond, INCR and its kin are exact to
 * 64 bits on BigInt; INCRBYFLOAT always goes through extended.ts.
 */
import {
  ERR_DECREMENT_OVERFLOW,
  ERR_NAN_OR_INFINITY,
  ERR_NOT_FLOAT,
  ERR_NOT_INTEGER,
  ERR_OOM,
  ERR_OVERFLOW,
} from '../../protocol/errors.ts'
import { latin1, readBigint, readInteger } from '../../protocol/number.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { STORED, type Store } from '../store/store.ts'
import {
  addExtended,
  EXTENDED_TEXT_MAX,
  formatExtended,
  INFINITE,
  parseExtended,
} from './extended.ts'
import { notifyWrite, openKey } from './lookup.ts'

/** '-9223372036854775808' */
const INTEGER_BYTES_MAX = 20
const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)
const ZERO_DIGIT = 0x30
const MINUS = 0x2d

function incr(client: Client): void {
  increment(client, 1)
}

function decr(client: Client): void {
  increment(client, -1)
}

function incrby(client: Client): void {
  const by = client.args.integer(2)
  if (Number.isNaN(by)) client.reply.error(ERR_NOT_INTEGER)
  else if (Number.isSafeInteger(by)) increment(client, by)
  else incrementFar(client, client.args.bigint(2)!)
}

function decrby(client: Client): void {
  const by = client.args.integer(2)
  if (Number.isNaN(by)) {
    client.reply.error(ERR_NOT_INTEGER)
  } else if (Number.isSafeInteger(by)) {
    increment(client, -by)
  } else {
    const exact = client.args.bigint(2)!
    if (exact === INT64_MIN) client.reply.error(ERR_DECREMENT_OVERFLOW)
    else incrementFar(client, -exact)
  }
}

/** Adds to key argument 1. What leaves the numbers that a double holds exactly goes the long way. */
function increment(client: Client, by: number): void {
  const { store, reply } = client
  const { bytes, scratch } = store.io
  const found = openKey(client, 1)
  const value = found ? readOpenInteger(store) : 0
  const sum = value + by
  if (!Number.isSafeInteger(value) || !Number.isSafeInteger(sum)) {
    store.close()
    if (Number.isNaN(value)) reply.error(ERR_NOT_INTEGER)
    else incrementFar(client, BigInt(by))
    return
  }
  const length = writeInteger(bytes, scratch, sum)
  const status = store.put(bytes, scratch, length, found ? store.expireAt : 0)
  store.close()
  if (status === STORED) {
    notifyWrite(client, 'incrby', 1, found)
    reply.integer(sum)
  } else reply.error(ERR_OOM)
}

/** The open value as an integer, NaN when it is none; its text is left in scratch. */
function readOpenInteger(store: Store): number {
  const length = store.valueLength
  if (length > INTEGER_BYTES_MAX) return NaN
  const { bytes, scratch } = store.io
  store.read(0, length, scratch)
  return readInteger(bytes, scratch, length)
}

/** Writes a safe integer in decimal; returns its length. */
function writeInteger(bytes: Uint8Array, pos: number, n: number): number {
  let rest = Math.abs(n)
  let length = n < 0 ? 1 : 0
  for (let power = rest; power >= 10; power = Math.floor(power / 10)) length++
  length++
  if (n < 0) bytes[pos] = MINUS
  let i = pos + length
  do {
    const tenth = Math.floor(rest / 10)
    bytes[--i] = ZERO_DIGIT + (rest - tenth * 10)
    rest = tenth
  } while (rest > 0)
  return length
}

function incrementFar(client: Client, by: bigint): void {
  const { store, reply } = client
  const { bytes, scratch } = store.io
  const found = openKey(client, 1)
  const isInteger = !found || !Number.isNaN(readOpenInteger(store))
  const value = found && isInteger ? readBigint(bytes, scratch, store.valueLength)! : 0n
  const sum = value + by
  if (!isInteger || sum > INT64_MAX || sum < INT64_MIN) {
    store.close()
    reply.error(isInteger ? ERR_OVERFLOW : ERR_NOT_INTEGER)
    return
  }
  const status = putText(store, sum.toString(), found ? store.expireAt : 0)
  store.close()
  if (status === STORED) {
    notifyWrite(client, 'incrby', 1, found)
    reply.bigInteger(sum)
  } else reply.error(ERR_OOM)
}

/** Puts text of one byte a char, which scratch can hold, into the open record. */
function putText(store: Store, text: string, expireAt: number): number {
  const { bytes, scratch } = store.io
  for (let i = 0; i < text.length; i++) bytes[scratch + i] = text.charCodeAt(i)
  return store.put(bytes, scratch, text.length, expireAt)
}

function incrbyfloat(client: Client): void {
  const { store, args, reply } = client
  const by = args.length(2) > EXTENDED_TEXT_MAX ? null : parseExtended(args.text(2))
  const found = openKey(client, 1)
  const value = found ? parseExtended(openText(store)) : parseExtended('0')
  if (value === null || by === null) {
    store.close()
    reply.error(ERR_NOT_FLOAT)
    return
  }
  const sum = value === INFINITE || by === INFINITE ? INFINITE : addExtended(value, by)
  if (sum === INFINITE) {
    store.close()
    reply.error(ERR_NAN_OR_INFINITY)
    return
  }
  const text = formatExtended(sum)
  const status = putText(store, text, found ? store.expireAt : 0)
  store.close()
  if (status === STORED) {
    notifyWrite(client, 'incrbyfloat', 1, found)
    reply.text(text, true)
  } else reply.error(ERR_OOM)
}

/** The open value as text, '' when it is too long for a number. */
function openText(store: Store): string {
  const length = store.valueLength
  if (length > EXTENDED_TEXT_MAX) return ''
  const { bytes, scratch } = store.io
  store.read(0, length, scratch)
  return latin1(bytes, scratch, length)
}

/** Values that spell numbers. */
export const counterCommands = [
  {
    name: 'incr',
    arity: 2,
    flags: ['write', 'denyoom', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update'],
    group: 'string',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Adds one to the integer that a key holds; a missing key counts as 0.',
    syntax: 'key',
    run: incr,
  },
  {
    name: 'incrby',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update'],
    group: 'string',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Adds to the integer that a key holds; a missing key counts as 0.',
    syntax: 'key increment',
    run: incrby,
  },
  {
    name: 'decr',
    arity: 2,
    flags: ['write', 'denyoom', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update'],
    group: 'string',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Subtracts one from the integer that a key holds; a missing key counts as 0.',
    syntax: 'key',
    run: decr,
  },
  {
    name: 'decrby',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update'],
    group: 'string',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Subtracts from the integer that a key holds; a missing key counts as 0.',
    syntax: 'key decrement',
    run: decrby,
  },
  {
    name: 'incrbyfloat',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [1, 1, 1],
    keyFlags: ['RW', 'access', 'update'],
    group: 'string',
    since: '2.6.0',
    complexity: 'O(1)',
    summary: 'Adds to the number that a key holds; a missing key counts as 0.',
    syntax: 'key increment',
    argumentTypes: { increment: 'double' },
    run: incrbyfloat,
  },
] as const satisfies readonly Command[]
