/*
 * The commands about the keys of a database as a whole.
 *
 * SCAN and KEYS see the keys under their buckets' locks, so what is to be answered is copied to the
 * heap first, already encoded as a reply, and written afterwards. KEYS of a large database and FLUSHALL
 * of a full one work in steps, and others are served in between (turns.ts).
 */
import type { Buffer } from 'node:buffer'
import type { Args } from '../../protocol/args.ts'
import { ERR_CURSOR, ERR_NOT_INTEGER, ERR_SYNTAX } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { globMatches } from '../glob.ts'
import { MISS, NO_ROOM } from '../store/store.ts'
import { BulkList } from './bulk-list.ts'
import { typeNames } from './lookup.ts'

function randomkey(client: Client): void {
  const { store, reply, db } = client
  if (client.server.routing.hidesAny) return randomShown(client)
  const random = client.server.world.random.uint32()
  let length = store.randomKey(db, random, reply)
  if (length === NO_ROOM) {
    client.flushReplies()
    length = store.randomKey(db, random, reply)
  }
  if (length >= 0) reply.endBulk()
  else if (length === MISS) reply.null()
  else replyFirstKey(client)
}

/** So often another key is drawn when one is hidden. */
const DRAWS_MAX = 32

/** The same while some keys must not be seen. */
function randomShown(client: Client): void {
  const { db, reply, server, store } = client
  const { bytes, scratch, scratchEnd } = store.io
  const sink = { reserve: (length: number) => (length <= scratchEnd - scratch ? scratch : -1) }
  for (let i = 0; i < DRAWS_MAX; i++) {
    const length = store.randomKey(db, server.world.random.uint32(), sink)
    if (length === MISS) return reply.null()
    if (length === NO_ROOM || server.routing.hides(bytes, scratch, length)) continue
    return reply.bulk(bytes.subarray(scratch, scratch + length))
  }
  replyFirstKey(client)
}

/**
 * Some key is longer than a reply area holds, or nearly all are hidden: the first there is will do, over
 * the heap.
 */
function replyFirstKey(client: Client): void {
  const { db, reply, store } = client
  const { routing } = client.server
  const list = new BulkList()
  let cursor = 0
  const visit = (bytes: Uint8Array, pos: number, length: number): void => {
    if (list.count === 0 && !routing.hides(bytes, pos, length)) list.add(bytes, pos, length)
  }
  client.inSteps(() => {
    cursor = store.scan(db, cursor, SCAN_STEP_MAX, visit)
    if (cursor !== 0 && list.count === 0) return false
    if (list.count === 0) reply.null()
    else list.writeTo(reply)
    return true
  })
}

const STAR = 0x2a

/** A pattern, null for one that matches everything. */
function readPattern(args: Args, i: number): Buffer | null {
  const pattern = args.buffer(i)
  return pattern.length === 1 && pattern[0] === STAR ? null : pattern
}

/** Index slots that KEYS looks at in one step, and pieces of the reply it writes. */
const KEYS_SLOTS_PER_STEP = 2 * 1024
const KEYS_PIECES_PER_STEP = 4

function keys(client: Client): void {
  const { store, db, reply } = client
  const pattern = readPattern(client.args, 1)
  const list = new BulkList()
  const { routing } = client.server
  const visit = (bytes: Uint8Array, pos: number, length: number): void => {
    if (routing.hides(bytes, pos, length)) return
    if (pattern === null || globMatches(pattern, bytes, pos, length)) list.add(bytes, pos, length)
  }
  let cursor = 0
  let scanned = false
  client.inSteps(() => {
    if (scanned) return list.writeSome(reply, KEYS_PIECES_PER_STEP)
    cursor = store.scan(db, cursor, KEYS_SLOTS_PER_STEP, visit)
    if (cursor !== 0) return false
    scanned = true
    reply.array(list.count)
    return false
  })
}

/** The store's cursors are below this; Redis takes any number, and so do we. */
const CURSOR_BITS = 41
/** strtoul, as Redis calls it: a sign is allowed, blanks are not, nothing at all is 0, a zero byte ends it. */
const CURSOR = /^([+-]?\d+|)(?:\0.*)?$/s
const UINT64_MAX = 2n ** 64n - 1n

/** -1 when it is no cursor. */
function readCursor(args: Args): number {
  const text = CURSOR.exec(args.text(1))?.[1]
  if (text === undefined) return -1
  const magnitude = BigInt(text.replace(/^[+-]/, ''))
  if (magnitude > UINT64_MAX) return -1
  return Number(BigInt.asUintN(CURSOR_BITS, text.startsWith('-') ? -magnitude : magnitude))
}

/** Keys that SCAN is to look at when it is not told. */
const SCAN_COUNT = 10
/** Index slots that one SCAN looks at, whatever its COUNT: some milliseconds. */
const SCAN_SLOTS_MAX = 32 * 1024
/** Slots looked at in one step: few, so as not to overshoot COUNT, and more while they are empty. */
const SCAN_STEP_MIN = 16
const SCAN_STEP_MAX = 4 * 1024

interface ScanOptions {
  count: number
  pattern: Buffer | null
  /** Null: any. */
  type: string | null
}

/** Null: there was an error, which is answered. */
function readScanOptions(client: Client): ScanOptions | null {
  const { args, reply } = client
  const given: ScanOptions = { count: SCAN_COUNT, pattern: null, type: null }
  for (let i = 2; i < args.count; i += 2) {
    if (i + 1 < args.count && args.is(i, 'count')) {
      given.count = args.integer(i + 1)
      if (!(given.count >= 1)) {
        reply.error(Number.isNaN(given.count) ? ERR_NOT_INTEGER : ERR_SYNTAX)
        return null
      }
    } else if (i + 1 < args.count && args.is(i, 'match')) {
      given.pattern = readPattern(args, i + 1)
    } else if (i + 1 < args.count && args.is(i, 'type')) {
      given.type = args.text(i + 1).toLowerCase()
    } else {
      reply.error(ERR_SYNTAX)
      return null
    }
  }
  return given
}

function scan(client: Client): void {
  const { store, db, reply } = client
  let cursor = readCursor(client.args)
  if (cursor < 0) {
    reply.error(ERR_CURSOR)
    return
  }
  const given = readScanOptions(client)
  if (given === null) return
  const { pattern } = given
  const { routing } = client.server
  const list = new BulkList()
  let seen = 0
  const visit = (bytes: Uint8Array, pos: number, length: number, valueType: number): void => {
    seen++
    if (routing.hides(bytes, pos, length)) return
    if (given.type !== null && given.type !== typeNames[valueType]) return
    if (pattern === null || globMatches(pattern, bytes, pos, length)) list.add(bytes, pos, length)
  }
  let step = SCAN_STEP_MIN
  let slots = 0
  do {
    const before = seen
    cursor = store.scan(db, cursor, step, visit)
    slots += step
    const isSparse = seen === before || given.count - seen > SCAN_STEP_MAX
    step = isSparse ? Math.min(2 * step, SCAN_STEP_MAX) : SCAN_STEP_MIN
  } while (cursor !== 0 && seen < given.count && slots < SCAN_SLOTS_MAX)
  reply.array(2)
  reply.text(String(cursor), true)
  reply.array(list.count)
  list.writeTo(reply)
}

function dbsize(client: Client): void {
  client.reply.integer(client.server.routing.size(client.db))
}

/**
 * Removes everything of `db` (-1: of all), in steps. The memory is free when it is answered, so
 * ASYNC is SYNC. What others set meanwhile may stay or go.
 */
function flush(client: Client, db: number): void {
  const { args, reply } = client
  if (args.count > 2 || (args.count === 2 && !args.is(1, 'async') && !args.is(1, 'sync'))) {
    reply.error(ERR_SYNTAX)
    return
  }
  const { copying, handoff, kept } = client.server
  let cursor = 0
  kept?.slots.beginFlush()
  // What other nodes still have of this one's keys is not to come either.
  handoff?.fence.giveUp()
  client.inSteps(() => {
    // In a cluster there is one database for clients, and perhaps another one with copies.
    cursor = client.store.flushSome(copying.enabled ? -1 : db, cursor)
    if (cursor > 0) return false
    kept?.slots.endFlush()
    client.server.tracking.flushed()
    reply.ok()
    return true
  })
}

function flushall(client: Client): void {
  flush(client, -1)
}

function flushdb(client: Client): void {
  flush(client, client.db)
}

/** The keys of a database as a whole. */
export const keyspaceCommands = [
  {
    name: 'randomkey',
    differs: 'in a cluster about the keys of all nodes',
    arity: 1,
    flags: ['readonly'],
    keys: [0, 0, 0],
    group: 'generic',
    tips: ['request_policy:all_shards', 'nondeterministic_output'],
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Gives the name of some key.',
    placement: 'fan-out',
    run: randomkey,
  },
  {
    name: 'keys',
    differs: 'in a cluster about the keys of all nodes',
    arity: 2,
    flags: ['readonly'],
    keys: [0, 0, 0],
    group: 'generic',
    categories: ['dangerous'],
    tips: ['request_policy:all_shards', 'nondeterministic_output_order'],
    since: '1.0.0',
    complexity: 'O(N) where N is the number of keys in the database',
    summary: 'Gives the names of all keys that match a pattern.',
    syntax: 'pattern',
    placement: 'fan-out',
    run: keys,
  },
  {
    name: 'scan',
    differs: 'in a cluster about the keys of all nodes: the cursor goes on over them',
    arity: -2,
    flags: ['readonly'],
    keys: [0, 0, 0],
    group: 'generic',
    tips: ['nondeterministic_output', 'request_policy:special'],
    since: '2.8.0',
    history: [['6.0.0', 'Added the `TYPE` subcommand.']],
    complexity:
      'O(1) for a call, O(N) for a whole scan where N is the number of keys of all databases',
    summary: 'Gives the names of some keys, and the cursor with which the next call goes on.',
    syntax: 'cursor [MATCH pattern] [COUNT count] [TYPE type]',
    argumentNotes: { type: { since: '6.0.0' } },
    placement: 'fan-out',
    run: scan,
  },
  {
    name: 'dbsize',
    differs: 'in a cluster about the keys of all nodes',
    arity: 1,
    flags: ['readonly', 'fast'],
    keys: [0, 0, 0],
    group: 'server',
    categories: ['keyspace'],
    tips: ['request_policy:all_shards', 'response_policy:agg_sum'],
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Counts the keys of the database.',
    placement: 'fan-out',
    run: dbsize,
  },
  {
    name: 'flushall',
    differs: 'in a cluster about the keys of all nodes',
    arity: -1,
    flags: ['write'],
    keys: [0, 0, 0],
    group: 'server',
    categories: ['keyspace', 'dangerous'],
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    since: '1.0.0',
    history: [
      ['4.0.0', 'Added the `ASYNC` flushing mode modifier.'],
      ['6.2.0', 'Added the `SYNC` flushing mode modifier.'],
    ],
    complexity: 'O(N) where N is the number of chunks of memory in use',
    summary: 'Removes all keys of all databases.',
    syntax: '[ASYNC | SYNC]',
    argumentNotes: {
      async_sync: { as: 'async' },
      async: { since: '4.0.0' },
      sync: { since: '6.2.0' },
    },
    placement: 'fan-out',
    run: flushall,
  },
  {
    name: 'flushdb',
    differs: 'in a cluster about the keys of all nodes',
    arity: -1,
    flags: ['write'],
    keys: [0, 0, 0],
    group: 'server',
    categories: ['keyspace', 'dangerous'],
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    since: '1.0.0',
    history: [
      ['4.0.0', 'Added the `ASYNC` flushing mode modifier.'],
      ['6.2.0', 'Added the `SYNC` flushing mode modifier.'],
    ],
    complexity: 'O(N) where N is the number of keys of all databases',
    summary: 'Removes all keys of the database.',
    syntax: '[ASYNC | SYNC]',
    argumentNotes: {
      async_sync: { as: 'async' },
      async: { since: '4.0.0' },
      sync: { since: '6.2.0' },
    },
    placement: 'fan-out',
    run: flushdb,
  },
] as const satisfies readonly Command[]
