/*
 * CACHE.*: what a cache that fills itself can be asked beyond GET and SET; leases are in lease.ts.
 *
 * CACHE.INVALIDATE makes many entries worthless at once, without looking for them (store/invalidation.ts).
 */
import type { Group } from '../../cluster/groups/group.ts'
import type { Outcome } from '../../cluster/loads/loads.ts'
import type { Args } from '../../protocol/args.ts'
import {
  ERR_INVALIDATE_WHAT,
  ERR_NO_GROUP_OF_KEY,
  ERR_NOT_INTEGER,
  ERR_OOM,
  ERR_PREFIX_TOO_LONG,
  ERR_SYNTAX,
  noSuchGroup,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { requestOf } from '../loads/groups.ts'
import { LoadStore } from '../loads/load-store.ts'
import { notify } from '../notifications.ts'
import {
  ABSENT,
  ERROR_ONLY,
  FRESH,
  MATCHER_BYTES_MAX,
  NEGATIVE,
  STALE,
  STORED,
} from '../store/store.ts'
import type { OriginChange } from '../loads/writing.ts'
import { keepOf, readKeepOptions } from './keep-options.ts'
import { replyValue } from './string.ts'

/** What an entry is, as clients are told. */
const stateNames: Readonly<Record<number, string>> = {
  [ABSENT]: 'missing',
  [FRESH]: 'fresh',
  [STALE]: 'stale',
  [ERROR_ONLY]: 'error-only',
  [NEGATIVE]: 'negative',
}

/* ---- what is known of a key ---- */

/** What is known of a key, at one moment. Times in ms; -1: none, or not known. */
interface KeyFacts {
  readonly state: number
  readonly ageMs: number
  readonly freshMs: number
  readonly ttlMs: number
  /** How long it has been stale; 0: it is not. */
  readonly staleMs: number
  readonly group: Group | null
}

function factsOf(client: Client, i: number): KeyFacts {
  const { args, db, server, store } = client
  const { bytes } = args
  const state = store.state(db, bytes, args.pos(i), args.length(i))
  const { now, freshUntil, visibleUntil, loadedAtMs } = store
  const isThere = state !== ABSENT
  const ends = isThere && freshUntil !== 0
  return {
    state,
    ageMs: isThere && loadedAtMs !== 0 ? Math.max(0, Math.floor(now - loadedAtMs)) : -1,
    freshMs: ends ? Math.max(0, Math.ceil(freshUntil - now)) : -1,
    ttlMs: ends ? Math.max(0, Math.ceil(visibleUntil - now)) : -1,
    staleMs: ends ? Math.max(0, now - freshUntil) : 0,
    group: server.loading.groups.match(bytes, args.pos(i), args.length(i)),
  }
}

/* ---- CACHE.GET ---- */

interface GetOptions {
  readonly staleMsMax: number
  readonly isPeek: boolean
  readonly isRefresh: boolean
  readonly hasMeta: boolean
}

function readGetOptions(args: Args): GetOptions | string {
  let staleMsMax = Infinity
  let isPeek = false
  let isRefresh = false
  let hasMeta = false
  for (let i = 2; i < args.count; i++) {
    if (args.is(i, 'fresh')) staleMsMax = 0
    else if (args.is(i, 'peek')) isPeek = true
    else if (args.is(i, 'refresh')) isRefresh = true
    else if (args.is(i, 'meta')) hasMeta = true
    else if (args.is(i, 'stale') && i + 1 < args.count) {
      staleMsMax = args.integer(++i)
      if (!(staleMsMax >= 0)) return ERR_NOT_INTEGER
    } else return ERR_SYNTAX
  }
  if (isPeek && isRefresh) return ERR_SYNTAX
  return { staleMsMax, isPeek, isRefresh, hasMeta }
}

function cacheGet(client: Client): void {
  const options = readGetOptions(client.args)
  if (typeof options === 'string') {
    client.reply.error(options)
    return
  }
  const { loading } = client.server
  const facts = factsOf(client, 1)
  const { state, group, staleMs } = facts
  const isGood = state === FRESH || (state === STALE && staleMs <= options.staleMsMax)
  if (options.isPeek || group === null) {
    replyKept(client, facts, options, isGood)
    return
  }
  // A stale value that is too old for this client is none.
  const judged = state === STALE && !isGood ? ABSENT : state
  if (!options.isRefresh && loading.judge(client, 1, group, judged)) {
    replyKept(client, facts, options, isGood)
    return
  }
  const { db } = client
  const args = client.args.detached()
  const slot = client.defer()
  const key = new Uint8Array(args.buffer(1))
  const { isRefresh, staleMsMax } = options
  const done = (outcome: Outcome): void => {
    slot.answer(() => client.runAs(() => replyLoaded(client, outcome, options), args, db))
  }
  if (isRefresh) loading.reload({ db, key, group }, done)
  else loading.load({ db, key, group, staleMsMax }, done)
}

/** Answers with what is there. */
function replyKept(client: Client, facts: KeyFacts, options: GetOptions, isGood: boolean): void {
  if (options.hasMeta) writeMeta(client, facts)
  if (!isGood) {
    client.reply.null()
    return
  }
  const { noTouch } = client
  client.noTouch ||= options.isPeek
  replyValue(client, 1)
  client.noTouch = noTouch
}

/** Answers with what a load brought. */
function replyLoaded(client: Client, outcome: Outcome, options: GetOptions): void {
  const { reply } = client
  if (outcome.kind === 'error') {
    reply.error(outcome.line)
    return
  }
  if (options.hasMeta) writeMeta(client, factsOf(client, 1))
  if (outcome.kind === 'value') reply.bulk(outcome.value)
  else reply.null()
}

/** All but the value, which must follow. */
function writeMeta({ reply }: Client, { state, group, ageMs, freshMs, ttlMs }: KeyFacts): void {
  reply.map(6)
  reply.text('state')
  reply.text(stateNames[state]!)
  reply.text('group')
  if (group === null) reply.null()
  else reply.text(group.name)
  reply.text('age-ms')
  reply.integer(ageMs)
  reply.text('fresh-for-ms')
  reply.integer(freshMs)
  reply.text('ttl-ms')
  reply.integer(ttlMs)
  reply.text('value')
}

/* ---- CACHE.SET ---- */

function cacheSet(client: Client): void {
  const { args, db, reply, server, store } = client
  const options = readKeepOptions(args, 3, 'cache.set')
  if (typeof options === 'string') {
    reply.error(options)
    return
  }
  const [pos, length] = [args.pos(1), args.length(1)]
  const group = options.asGroup ? server.loading.groups.match(args.bytes, pos, length) : null
  if (options.asGroup && group === null) {
    reply.error(ERR_NO_GROUP_OF_KEY)
    return
  }
  if (group !== null && !new LoadStore(store).makesRoom(group, length + args.length(2))) {
    // As a value that is loaded: without room it is not kept, and what was there is older.
    store.delete(db, args.bytes, pos, length)
    reply.ok()
    return
  }
  const { expireAt, extras } = keepOf(client, options, group)
  const status = store.setTagged(
    ...([db, args.bytes, pos, length] as const),
    ...([args.pos(2), args.length(2), expireAt, extras] as const),
  )
  if (status === STORED) {
    notify(client, 'set', 1)
    reply.ok()
  } else reply.error(ERR_OOM)
}

/** What CACHE.SET tells an origin. */
function cacheSetOriginWrites(client: Client): readonly OriginChange[] {
  const options = readKeepOptions(client.args, 3, 'cache.set')
  return typeof options === 'string' ? [] : [{ key: 1, value: 2, ttlMs: options.freshMs }]
}

/* ---- CACHE.EXPLAIN ---- */

/** Field by field, in the order in which it is told; null: nil. */
type Explanation = readonly (readonly [name: string, value: string | number | null])[]

function cacheExplain(client: Client): void {
  const { reply } = client
  const explanation = explain(client)
  reply.map(explanation.length)
  for (const [name, value] of explanation) {
    reply.text(name)
    if (value === null) reply.null()
    else if (typeof value === 'number') reply.integer(value)
    else reply.text(value)
  }
}

function explain(client: Client): Explanation {
  const { args, db, hub, store } = client
  const { clock } = hub.world
  store.now = clock.now()
  const key = args.buffer(1)
  const { state, ageMs, freshMs, ttlMs, group } = factsOf(client, 1)
  const { costMs } = store
  const token = state === FRESH ? 0 : leaseOf(client, key)
  const flight = token === 0 ? null : hub.loads.flightOf(token)
  const grant = token === 0 ? null : hub.loads.grants.of(db, key, token)
  const last = hub.landings.lastOf(db, key)
  return [
    ['owner', hub.routing.ownerOf(key)],
    ['group', group?.name ?? null],
    ['state', stateNames[state]!],
    ['age-ms', ageMs],
    ['fresh-for-ms', freshMs],
    ['ttl-ms', ttlMs],
    ['load-cost-ms', state === ABSENT ? -1 : costMs],
    ['flight', flight !== null ? 'loading' : grant !== null ? 'leased to a client' : 'none'],
    ['flight-ms', flight === null ? -1 : Math.round(flight.sinceMs)],
    ['waiters', flight?.waiters ?? grant?.waiters ?? 0],
    ['last-load', last?.outcome ?? null],
    ['last-load-took-ms', last === null ? -1 : Math.round(last.tookMs)],
    ['last-load-ago-ms', last === null ? -1 : Math.max(0, Math.round(clock.wall() - last.at))],
    ['origin', group === null ? null : originOf(group, key)],
  ]
}

/** The token of the key's lease, 0: there is none. */
function leaseOf({ db, store }: Client, key: Uint8Array): number {
  store.openAny(db, key, 0, key.length)
  const token = store.leaseToken()
  store.close()
  return token
}

/** Where the key would be asked for, or why it cannot be. */
function originOf(group: Group, key: Uint8Array): string {
  try {
    return requestOf(group, key)
  } catch (error) {
    return (error as Error).message
  }
}

/* ---- CACHE.INVALIDATE ---- */

/** Answered at once, however many entries it is about. */
function cacheInvalidate(client: Client): void {
  const { args, hub, reply, store } = client
  if (args.is(1, 'tag')) {
    const tag = store.tagHash(args.buffer(2))
    store.invalidateTag(tag)
    hub.copies?.invalidatedTag(tag)
    client.server.tracking.invalidated()
    reply.ok()
  } else if (args.is(1, 'prefix')) {
    if (args.length(2) > MATCHER_BYTES_MAX) reply.error(ERR_PREFIX_TOO_LONG)
    else {
      // Copies are in another database.
      const db = hub.copies === null ? client.db : -1
      hub.invalidations.begin(client, { kind: 'prefix', db, bytes: args.buffer(2) })
    }
  } else if (args.is(1, 'group')) {
    const name = args.text(2)
    if (hub.config.groups.get(name) === undefined) reply.error(noSuchGroup(name))
    else hub.invalidations.begin(client, { kind: 'group', db: -1, name })
  } else reply.error(ERR_INVALIDATE_WHAT)
}

const common = { group: 'cache', since: '0.1.0', complexity: 'O(1)' } as const
const oneKey = [1, 1, 1] as const

export const cacheCommands = [
  {
    ...common,
    name: 'cache.get',
    arity: -2,
    flags: ['readonly', 'fast', 'no_multi'],
    keys: oneKey,
    keyFlags: ['RO', 'access'],
    summary:
      'Gives the value of a key, only a fresh one, or one that is stale for so many milliseconds at most; PEEK: without a load; REFRESH: loaded anew; META: with what is known of it.',
    syntax: 'key [FRESH] [STALE milliseconds] [PEEK] [REFRESH] [META]',
    waits: 'load',
    run: cacheGet,
  },
  {
    ...common,
    name: 'cache.set',
    arity: -3,
    flags: ['write', 'denyoom', 'no_multi'],
    keys: oneKey,
    keyFlags: ['OW', 'update'],
    summary:
      'Sets a key, how long it is fresh, how long it may be stale after that, and its tags; GROUP: what is not said is as its group says.',
    syntax:
      'key value [EX seconds | PX milliseconds] [STALE milliseconds] [TAGS numtags tag [tag ...]] [GROUP]',
    originWrites: cacheSetOriginWrites,
    run: cacheSet,
  },
  {
    ...common,
    name: 'cache.explain',
    onHub: true,
    arity: 2,
    flags: ['readonly', 'no_multi'],
    keys: oneKey,
    keyFlags: ['RO'],
    tips: ['nondeterministic_output'],
    summary: 'Tells all that is known of a key: its owner, group, state, load and origin.',
    syntax: 'key',
    run: cacheExplain,
  },
  {
    ...common,
    name: 'cache.invalidate',
    onHub: true,
    arity: 3,
    flags: ['write', 'no_multi'],
    keys: [0, 0, 0],
    categories: ['keyspace', 'dangerous'],
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    summary: 'Makes all keys of a group, with a prefix or with a tag worthless, at once.',
    syntax: '<GROUP name | PREFIX prefix | TAG tag>',
    placement: 'fan-out',
    run: cacheInvalidate,
  },
] as const satisfies readonly Command[]
