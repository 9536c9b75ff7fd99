/*
 * The bit commands: a value as a row of bits, the highest of its first byte first. BITFIELD and BITOP
 * have files of their own.
 *
 * What is behind the end of a value are zeros, without being there. A write of a bit makes the value as
 * long as the byte it lies in; the bytes before it are zeros.
 */
import {
  ERR_BIT,
  ERR_BIT_OFFSET,
  ERR_BITPOS_BIT,
  ERR_NOT_INTEGER,
  ERR_OOM,
  ERR_SYNTAX,
} from '../../protocol/errors.ts'
import type { Args } from '../../protocol/args.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { STORED } from '../store/store.ts'
import { bitfield, bitfieldKeyFlags, bitfieldRo, bitfieldRoLoaded } from './bitfield.ts'
import { bitop } from './bitop.ts'
import { bitsOf, countBits, firstBit, firstBitOf } from './bits.ts'
import { growOpen } from './growing.ts'
import { countLookup, notifyWrite, openKey } from './lookup.ts'
import { overOpen, overPieces, piecesOf, type PieceWork } from './pieces.ts'

/** Argument 2 as the offset of a bit, NaN: it is none, or behind the longest value. */
function bitOffset({ args, server }: Client): number {
  const offset = args.integer(2)
  const isIn = offset >= 0 && Math.floor(offset / 8) < server.config['proto-max-bulk-len']
  return isIn ? offset : NaN
}

function setbit(client: Client): void {
  const { store, args, reply } = client
  const offset = bitOffset(client)
  if (Number.isNaN(offset)) return reply.error(ERR_BIT_OFFSET)
  const bit = args.integer(3)
  if (bit !== 0 && bit !== 1) return reply.error(ERR_BIT)
  const at = Math.floor(offset / 8)
  const mask = 0x80 >> (offset % 8)
  const grown = Uint8Array.of(bit === 1 ? mask : 0)
  growOpen(client, { at, bytes: grown }, (status, isGrown, isNew) => {
    if (isGrown) {
      store.close()
      if (status === STORED) notifyWrite(client, 'setbit', 1, !isNew)
      if (status === STORED) reply.integer(0)
      else reply.error(ERR_OOM)
      return
    }
    const { bytes, scratch } = store.io
    store.read(at, 1, scratch)
    const before = bytes[scratch]!
    const after = bit === 1 ? before | mask : before & ~mask
    bytes[scratch] = after
    const written = after === before ? STORED : store.setRange(at, bytes, scratch, 1)
    store.close()
    if (written === STORED && after !== before) notifyWrite(client, 'setbit', 1, true)
    if (written === STORED) reply.integer((before & mask) === 0 ? 0 : 1)
    else reply.error(ERR_OOM)
  })
}

function getbit(client: Client): void {
  const { store, reply } = client
  const offset = bitOffset(client)
  if (Number.isNaN(offset)) return reply.error(ERR_BIT_OFFSET)
  const at = Math.floor(offset / 8)
  const found = openKey(client, 1)
  let byte = 0
  if (found && at < store.valueLength) {
    const { bytes, scratch } = store.io
    store.read(at, 1, scratch)
    byte = bytes[scratch]!
  }
  store.close()
  countLookup(client, found)
  reply.integer((byte >> (7 - (offset % 8))) & 1)
}

function getbitLoaded(client: Client, value: Buffer | null): void {
  const offset = bitOffset(client)
  if (Number.isNaN(offset)) return client.reply.error(ERR_BIT_OFFSET)
  const byte = value?.[Math.floor(offset / 8)] ?? 0
  client.reply.integer((byte >> (7 - (offset % 8))) & 1)
}

/* ---- ranges ---- */

/** Bytes [from, to) of a value, without the bits of `head` in the first and of `tail` in the last. */
interface BitRange {
  readonly from: number
  readonly to: number
  readonly head: number
  readonly tail: number
}

const EMPTY: BitRange = { from: 0, to: 0, head: 0, tail: 0 }

/** From one place to another, both in it, in bits or bytes; negative places count from the end. */
interface Places {
  readonly start: number
  readonly end: number
  readonly isBit: boolean
}

function rangeOf({ start, end, isBit }: Places, size: number): BitRange {
  const total = isBit ? 8 * size : size
  const from = Math.max(0, start < 0 ? start + total : start)
  const last = Math.min(Math.max(0, end < 0 ? end + total : end), total - 1)
  if (from > last) return EMPTY
  if (!isBit) return { from, to: last + 1, head: 0, tail: 0 }
  return {
    from: Math.floor(from / 8),
    to: Math.floor(last / 8) + 1,
    head: ~(0xff >> (from % 8)) & 0xff,
    tail: (1 << (7 - (last % 8))) - 1,
  }
}

/** Is argument i, if there is one, BIT (true) or BYTE (false)? Null: neither. */
function readUnit(args: Args, i: number): boolean | null {
  if (i >= args.count || args.is(i, 'byte')) return false
  return args.is(i, 'bit') ? true : null
}

/** What BITCOUNT counts of a value; a string is an error's line. */
function countedPlaces({ args }: Client): Places | string {
  const { count } = args
  if (count === 2) return { start: 0, end: -1, isBit: false }
  if (count !== 4 && count !== 5) return ERR_SYNTAX
  const start = args.integer(2)
  const end = args.integer(3)
  if (Number.isNaN(start) || Number.isNaN(end)) return ERR_NOT_INTEGER
  const isBit = readUnit(args, 4)
  return isBit === null ? ERR_SYNTAX : { start, end, isBit }
}

class Counting implements PieceWork {
  readonly #range: BitRange
  #sum = 0

  constructor(range: BitRange) {
    this.#range = range
  }

  visit(bytes: Uint8Array, at: number): boolean {
    const { from, to, head, tail } = this.#range
    this.#sum += countBits(bytes)
    if (at === from) this.#sum -= bitsOf(bytes[0]! & head)
    if (at + bytes.length === to) this.#sum -= bitsOf(bytes[bytes.length - 1]! & tail)
    return true
  }

  end({ reply }: Client): void {
    reply.integer(this.#sum)
  }
}

/** Of a missing key Redis looks at no argument. */
function bitcount(client: Client): void {
  const { store, reply } = client
  const found = openKey(client, 1)
  const places = found ? countedPlaces(client) : null
  if (places === null || typeof places === 'string') {
    store.close()
    countLookup(client, found)
    if (places === null) reply.integer(0)
    else reply.error(places)
    return
  }
  countLookup(client, true)
  const range = countedRange(places, store.valueLength)
  overOpen(client, range.from, range.to, new Counting(range))
}

function bitcountLoaded(client: Client, value: Buffer | null): void {
  const places = value === null ? null : countedPlaces(client)
  if (value === null || places === null) return client.reply.integer(0)
  if (typeof places === 'string') return client.reply.error(places)
  const range = countedRange(places, value.length)
  overPieces(client, piecesOf(value), range, new Counting(range))
}

function countedRange(places: Places, size: number): BitRange {
  const { start, end } = places
  return start < 0 && end < 0 && start > end ? EMPTY : rangeOf(places, size)
}

/** Where BITPOS looks in a value; a string is an error's line. */
function searchedPlaces({ args }: Client): Places | string {
  const { count } = args
  if (count === 3) return { start: 0, end: -1, isBit: false }
  if (count > 6) return ERR_SYNTAX
  const start = args.integer(3)
  if (Number.isNaN(start)) return ERR_NOT_INTEGER
  const isBit = readUnit(args, 5)
  if (isBit === null) return ERR_SYNTAX
  const end = count > 4 ? args.integer(4) : -1
  return Number.isNaN(end) ? ERR_NOT_INTEGER : { start, end, isBit }
}

class Searching implements PieceWork {
  readonly #range: BitRange
  readonly #bit: number
  /** What is answered where it is not in the range. */
  readonly #otherwise: number
  #found = -1

  constructor(range: BitRange, bit: number, otherwise: number) {
    this.#range = range
    this.#bit = bit
    this.#otherwise = range === EMPTY ? -1 : otherwise
  }

  visit(bytes: Uint8Array, at: number): boolean {
    const { from, to, head, tail } = this.#range
    const last = bytes.length - 1
    const before = at === from ? head : 0
    const behind = at + bytes.length === to ? tail : 0
    let i = 0
    if (before !== 0) i = this.#visitByte(bytes, at, 0, last === 0 ? before | behind : before)
    const end = behind === 0 ? bytes.length : last
    if (this.#found < 0 && i < end) {
      const bit = firstBit(bytes.subarray(i, end), this.#bit)
      if (bit >= 0) this.#found = 8 * (at + i) + bit
    }
    if (this.#found < 0 && behind !== 0 && i <= last) this.#visitByte(bytes, at, last, behind)
    return this.#found < 0
  }

  /** Looks at one byte without the bits of `mask`. @returns the index of the next */
  #visitByte(bytes: Uint8Array, at: number, i: number, mask: number): number {
    const byte = this.#bit === 1 ? bytes[i]! & ~mask : bytes[i]! | mask
    const bit = firstBitOf(byte, this.#bit)
    if (bit >= 0) this.#found = 8 * (at + i) + bit
    return i + 1
  }

  end({ reply }: Client): void {
    reply.integer(this.#found < 0 ? this.#otherwise : this.#found)
  }
}

/** The bit that BITPOS looks for; answers the error and returns NaN when it is none. */
function readBit({ args, reply }: Client): number {
  const bit = args.integer(2)
  if (bit === 0 || bit === 1) return bit
  reply.error(Number.isNaN(bit) ? ERR_NOT_INTEGER : ERR_BITPOS_BIT)
  return NaN
}

/** Behind the end of a value are zeros, unless the client has said where to stop. */
function searching(
  client: Client,
  places: Places,
  size: number,
  bit: number,
): [BitRange, Searching] {
  const range = rangeOf(places, size)
  const otherwise = bit === 0 && client.args.count < 5 ? 8 * size : -1
  return [range, new Searching(range, bit, otherwise)]
}

/** Of a missing key Redis looks at no argument but the bit. */
function bitpos(client: Client): void {
  const { store, reply } = client
  const bit = readBit(client)
  if (Number.isNaN(bit)) return
  const found = openKey(client, 1)
  const places = found ? searchedPlaces(client) : null
  if (places === null || typeof places === 'string') {
    store.close()
    countLookup(client, found)
    if (places === null) reply.integer(bit === 1 ? -1 : 0)
    else reply.error(places)
    return
  }
  countLookup(client, true)
  const [range, work] = searching(client, places, store.valueLength, bit)
  overOpen(client, range.from, range.to, work)
}

function bitposLoaded(client: Client, value: Buffer | null): void {
  const bit = readBit(client)
  if (Number.isNaN(bit)) return
  if (value === null) return client.reply.integer(bit === 1 ? -1 : 0)
  const places = searchedPlaces(client)
  if (typeof places === 'string') return client.reply.error(places)
  const [range, work] = searching(client, places, value.length, bit)
  overPieces(client, piecesOf(value), range, work)
}

/* ---- the table ---- */

const row = { keys: [1, 1, 1], group: 'bitmap' } as const
const reading = { ...row, keyFlags: ['RO', 'access'] } as const

const writtenFields =
  '[OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment>'

export const bitmapCommands = [
  {
    ...row,
    name: 'setbit',
    arity: 4,
    flags: ['write', 'denyoom'],
    keyFlags: ['RW', 'access', 'update'],
    since: '2.2.0',
    complexity: 'O(1), and O(N) where the value grows by N bytes',
    summary:
      'Sets or clears a bit of a value, with zeros before it if it is short; gives the old one.',
    syntax: 'key offset value',
    argumentTypes: { value: 'integer' },
    run: setbit,
  },
  {
    ...reading,
    name: 'getbit',
    arity: 3,
    flags: ['readonly', 'fast'],
    since: '2.2.0',
    complexity: 'O(1)',
    summary: 'Gives a bit of a value; behind its end all are 0.',
    syntax: 'key offset',
    loads: getbitLoaded,
    run: getbit,
  },
  {
    ...reading,
    name: 'bitcount',
    arity: -2,
    flags: ['readonly'],
    since: '2.6.0',
    history: [['7.0.0', 'Added the `BYTE|BIT` option.']],
    complexity: 'O(N)',
    summary: 'Counts the bits that are 1 in a value, or in a part of it.',
    syntax: 'key [start end [BYTE | BIT]]',
    argumentNotes: {
      byte_bit: { as: 'index_unit', since: '7.0.0' },
      start_end_index_unit: { as: 'index' },
    },
    loads: bitcountLoaded,
    run: bitcount,
  },
  {
    ...reading,
    name: 'bitpos',
    arity: -3,
    flags: ['readonly'],
    since: '2.8.7',
    history: [['7.0.0', 'Added the `BYTE|BIT` option.']],
    complexity: 'O(N)',
    summary: 'Finds the first bit that is 0, or 1, in a value or in a part of it.',
    syntax: 'key bit [start [end [BYTE | BIT]]]',
    argumentNotes: {
      byte_bit: { as: 'index_unit', since: '7.0.0' },
      end_index_unit: { as: 'end_index' },
      start_end_index: { as: 'index' },
    },
    argumentTypes: { bit: 'integer' },
    loads: bitposLoaded,
    run: bitpos,
  },
  {
    name: 'bitop',
    arity: -4,
    flags: ['write', 'denyoom'],
    keys: [2, -1, 1],
    keySpecs: [
      { keys: [2, 2, 1], flags: ['OW', 'update'] },
      { keys: [3, -1, 1], flags: ['RO', 'access'] },
    ],
    group: 'bitmap',
    since: '2.6.0',
    complexity: 'O(N)',
    summary:
      'Sets a key to the AND, OR or XOR of several values, or to the NOT of one; gives its length.',
    syntax: 'operation destkey key [key ...]',
    run: bitop,
  },
  {
    ...row,
    name: 'bitfield',
    arity: -2,
    flags: ['write', 'denyoom'],
    keyFlags: ['RW', 'access', 'update', 'variable_flags'],
    keyNotes: 'This command allows both access and modification of the key',
    keyFlagsOf: bitfieldKeyFlags,
    // Reads alone change nothing.
    originWrites: ({ args }) => (bitfieldKeyFlags(args, 0)[0] === 'RO' ? [] : null),
    since: '3.2.0',
    complexity: 'O(1) for each subcommand specified',
    summary: 'Reads, sets and adds to integers of up to 64 bits that lie anywhere in a value.',
    syntax:
      `key [<GET encoding offset | ${writtenFields}> ` +
      `[<GET encoding offset | ${writtenFields}> ...]]`,
    argumentNotes: {
      encoding_offset_value_encoding_offset_increment: { as: 'write_operation' },
      wrap_sat_fail_write_operation: { as: 'write' },
      encoding_offset_write: { as: 'operation' },
    },
    argumentTypes: { value: 'integer' },
    run: bitfield,
  },
  {
    ...reading,
    name: 'bitfield_ro',
    arity: -2,
    flags: ['readonly', 'fast'],
    since: '6.0.0',
    complexity: 'O(1) for each subcommand specified',
    summary: 'Reads integers of up to 64 bits that lie anywhere in a value.',
    syntax: 'key [GET encoding offset [GET encoding offset ...]]',
    loads: bitfieldRoLoaded,
    run: bitfieldRo,
  },
] as const satisfies readonly Command[]
