/*
 * CACHE.*: what a cache that fills itself can be asked beyond GET and SET.
 *
 * CACHE.LEASE and CACHE.FILL are for clients that load values themselves (cluster/grants.ts). They run
 * on the hub, where the ends of all leases are known:
 *
 *     CACHE.LEASE k WAIT 1000   one client:  ["lease", old value or nil, token]     it loads, and then
 *                               the others:  wait ...                               CACHE.FILL k token v
 *                                            ["hit", v]
 *
 * CACHE.INVALIDATE makes many entries worthless at once, without looking for them (invalidation.ts).
 */
import type { Group } from '../../cluster/group.ts'
import { isOutdated, type Outcome } from '../../cluster/loads.ts'
import { TAGS_MAX } from '../../cluster/origin/tags.ts'
import type { Args } from '../../protocol/args.ts'
import {
  ERR_NOT_INTEGER,
  ERR_NO_TOKEN,
  ERR_OOM,
  ERR_PREFIX_TOO_LONG,
  ERR_SYNTAX,
  ERR_TOO_MANY_LEASES,
  ERR_TOO_MANY_TAGS,
  invalidExpire,
  noSuchGroup,
} from '../../protocol/errors.ts'
import type { Client } from '../client.ts'
import type { Command } from '../command.ts'
import { requestOf } from '../groups.ts'
import { copyOpenValue } from '../load-store.ts'
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
import type { FillExtras } from '../store/store.ts'
import type { OriginChange } from '../writing.ts'
import { replyValue } from './string.ts'

/** What an entry is, as clients are told. */
const stateNames: Readonly<Record<number, string>> = {
  [ABSENT]: 'missing',
  [FRESH]: 'fresh',
  [STALE]: 'stale',
  [ERROR_ONLY]: 'error-only',
  [NEGATIVE]: 'negative',
}

/** The longest that a client may wait or have a lease. */
const WAIT_MS_MAX = 3_600_000
const LEASE_MS = 10_000

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
  readonly hasMeta: boolean
}

function readGetOptions(args: Args): GetOptions | string {
  let staleMsMax = Infinity
  let isPeek = false
  let hasMeta = false
  for (let i = 2; i < args.count; i++) {
    if (args.is(i, 'fresh')) staleMsMax = 0
    else if (args.is(i, 'peek')) isPeek = true
    else if (args.is(i, 'meta')) hasMeta = true
    else if (args.is(i, 'stale') && i + 1 < args.count) {
      staleMsMax = args.integer(++i)
      if (!(staleMsMax >= 0)) return ERR_NOT_INTEGER
    } else return ERR_SYNTAX
  }
  return { staleMsMax, isPeek, hasMeta }
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
  if (loading.judge(client, 1, group, state === STALE && !isGood ? ABSENT : state)) {
    replyKept(client, facts, options, isGood)
    return
  }
  const { db } = client
  const args = client.args.detached()
  const slot = client.defer()
  const key = new Uint8Array(args.buffer(1))
  const { staleMsMax } = options
  loading.load({ db, key, group, staleMsMax }, (outcome) => {
    slot.answer(() => client.runAs(() => replyLoaded(client, outcome, options), args, db))
  })
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
  reply.text('age')
  reply.integer(ageMs)
  reply.text('fresh-for')
  reply.integer(freshMs)
  reply.text('ttl')
  reply.integer(ttlMs)
  reply.text('value')
}

/* ---- CACHE.SET, CACHE.FILL ---- */

interface KeepOptions {
  readonly freshMs: number
  readonly staleMs: number
  readonly tags: readonly Buffer[]
}

/** The options from argument `from` on: [EX seconds | PX milliseconds] [STALE ms] [TAGS n tag ...]. */
function readKeepOptions(args: Args, from: number, command: string): KeepOptions | string {
  let freshMs = 0
  let staleMs = 0
  const tags: Buffer[] = []
  for (let i = from; i < args.count; i++) {
    const isSeconds = args.is(i, 'ex')
    if (i + 1 === args.count) return ERR_SYNTAX
    const n = args.integer(i + 1)
    if (isSeconds || args.is(i, 'px')) {
      if (Number.isNaN(n)) return ERR_NOT_INTEGER
      freshMs = isSeconds ? n * 1000 : n
      if (!(freshMs > 0 && freshMs < Number.MAX_SAFE_INTEGER / 4)) return invalidExpire(command)
      i++
    } else if (args.is(i, 'stale')) {
      if (!(n >= 0 && n < Number.MAX_SAFE_INTEGER / 4)) return ERR_NOT_INTEGER
      staleMs = n
      i++
    } else if (args.is(i, 'tags')) {
      if (!(n >= 0)) return ERR_NOT_INTEGER
      if (n > TAGS_MAX) return ERR_TOO_MANY_TAGS
      if (i + 1 + n >= args.count) return ERR_SYNTAX
      for (let k = 1; k <= n; k++) tags.push(args.buffer(i + 1 + k))
      i += 1 + n
    } else return ERR_SYNTAX
  }
  return { freshMs, staleMs, tags }
}

/** How a value that comes now is kept, and when it ends. */
function keepOf(
  { server, store }: Client,
  { freshMs, staleMs, tags }: KeepOptions,
  group: Group | null,
): { readonly expireAt: number; readonly extras: FillExtras } {
  const now = Math.floor(store.now)
  const lifeMs = freshMs > 0 ? freshMs : (group?.ttlMs ?? 0)
  const graceMs = staleMs > 0 ? staleMs : (group?.staleMs ?? 0)
  const freshUntil = lifeMs === 0 ? 0 : now + lifeMs
  const expireAt = lifeMs === 0 ? 0 : freshUntil + graceMs
  const extras = {
    ...{ freshUntil, visibleUntil: expireAt, loadedAt: server.world.clock.now() },
    ...{ costMs: 0, group: group?.number ?? -1, birth: store.birth(), etag: null },
    ...{ tags: tags.map((tag) => store.tagHash(tag)), idleMs: group?.idleMs ?? 0 },
  }
  return { expireAt, extras }
}

function cacheSet(client: Client): void {
  const { args, db, reply, store } = client
  const options = readKeepOptions(args, 3, 'cache.set')
  if (typeof options === 'string') {
    reply.error(options)
    return
  }
  const { expireAt, extras } = keepOf(client, options, null)
  const status = store.setTagged(
    ...([db, args.bytes, args.pos(1), args.length(1)] as const),
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

/* ---- CACHE.LEASE ---- */

interface LeaseOptions {
  readonly waitMs: number
  readonly leaseMs: number
}

function readLeaseOptions(args: Args): LeaseOptions | string {
  let waitMs = 0
  let leaseMs = LEASE_MS
  for (let i = 2; i < args.count; i += 2) {
    if (i + 1 === args.count) return ERR_SYNTAX
    const n = args.integer(i + 1)
    if (Number.isNaN(n)) return ERR_NOT_INTEGER
    if (args.is(i, 'wait')) waitMs = Math.min(n, WAIT_MS_MAX)
    else if (args.is(i, 'px')) leaseMs = Math.min(n, WAIT_MS_MAX)
    else return ERR_SYNTAX
  }
  return waitMs >= 0 && leaseMs > 0 ? { waitMs, leaseMs } : invalidExpire('cache.lease')
}

/** How long CACHE.LEASE may wait. */
function leaseWaitMs(args: Args): number {
  const options = readLeaseOptions(args)
  return typeof options === 'string' ? 0 : options.waitMs
}

/** Who fills a key has read the origin, and brings it no news. */
function noOriginWrites(): readonly OriginChange[] {
  return []
}

function cacheLease(client: Client): void {
  const options = readLeaseOptions(client.args)
  if (typeof options === 'string') {
    client.reply.error(options)
    return
  }
  const { db } = client
  const key = new Uint8Array(client.args.buffer(1))
  const endsAt = client.server.world.clock.now() + options.waitMs
  const lease = leaseOrValue(client, db, key, options.leaseMs)
  if (lease.state !== 'wait' || options.waitMs === 0) {
    writeLease(client, lease)
    return
  }
  const args = client.args.detached()
  const slot = client.defer()
  const answer = (found: LeaseReply): void => {
    slot.answer(() => client.runAs(() => writeLease(client, found), args, db))
  }
  waitForLease(client, { db, key, endsAt, leaseMs: options.leaseMs }, lease, answer)
}

/** What CACHE.LEASE answers. */
interface LeaseReply {
  readonly state: 'hit' | 'stale' | 'negative' | 'lease' | 'wait' | 'full'
  readonly value: Buffer | null
  readonly token: number
}

/** The value, if it is fresh; else the lease, or word that somebody has it. */
function leaseOrValue(client: Client, db: number, key: Uint8Array, leaseMs: number): LeaseReply {
  const { hub, store } = client
  store.now = hub.world.clock.now()
  const state = store.state(db, key, 0, key.length)
  if (state === NEGATIVE) return { state: 'negative', value: null, token: 0 }
  const found = store.openAny(db, key, 0, key.length)
  // One that is kept for failures only is nobody's answer here.
  const value = found && state !== ERROR_ONLY ? copyOpenValue(store) : null
  if (found && state === FRESH) {
    store.close()
    return { state: 'hit', value, token: 0 }
  }
  const token = found ? store.leaseBeside() : store.lease()
  const isFirst = store.leasePlanted && token !== 0
  store.close()
  if (isFirst && hub.loads.grants.isFull) {
    store.dropLease(db, key, token)
    return { state: 'full', value: null, token: 0 }
  }
  if (isFirst) {
    hub.loads.grants.give({ db, key, token, birth: store.birth() }, leaseMs)
    return { state: 'lease', value, token }
  }
  return { state: value === null ? 'wait' : 'stale', value, token }
}

/** Waits for who has the lease; when that ends without a value, the next one has it. */
function waitForLease(
  client: Client,
  wanted: { db: number; key: Uint8Array; endsAt: number; leaseMs: number },
  lease: LeaseReply,
  answer: (found: LeaseReply) => void,
): void {
  const { hub } = client
  const { clock } = hub.world
  const { db, key, endsAt, leaseMs } = wanted
  const waitMs = endsAt - clock.now()
  if (waitMs <= 0 || lease.token === 0) {
    answer({ state: 'wait', value: null, token: 0 })
    return
  }
  const birth = client.store.birth()
  const hear = (outcome: Outcome): void => {
    if (outcome.kind === 'value' && !isOutdated(outcome, birth))
      answer({ state: 'hit', value: outcome.value, token: 0 })
    else if (outcome.kind === 'missing') answer({ state: 'negative', value: null, token: 0 })
    else if (outcome.kind === 'error' || outcome.kind === 'late')
      answer({ state: 'wait', value: null, token: 0 })
    else if (clock.now() >= endsAt) answer({ state: 'wait', value: null, token: 0 })
    else {
      const next = leaseOrValue(client, db, key, leaseMs)
      if (next.state === 'wait') waitForLease(client, wanted, next, answer)
      else answer(next)
    }
  }
  const group = client.server.loading.groups.match(key, 0, key.length)
  if (hub.loads.grants.has(lease.token)) hub.loads.grants.wait(lease.token, waitMs, hear)
  else if (group !== null) hub.loads.wait({ db, key, group, token: lease.token, waitMs }, hear)
  else hub.loads.grants.wait(lease.token, waitMs, hear)
}

function writeLease({ reply }: Client, { state, value, token }: LeaseReply): void {
  if (state === 'full') {
    reply.error(ERR_TOO_MANY_LEASES)
    return
  }
  reply.array(3)
  reply.text(state)
  if (value === null) reply.null()
  else reply.bulk(value)
  if (state === 'lease') reply.text(String(token))
  else reply.null()
}

function cacheFill(client: Client): void {
  const { args, db, hub, reply, store } = client
  const options = readKeepOptions(args, 4, 'cache.fill')
  const token = args.integer(2)
  if (typeof options === 'string' || !(token > 0)) {
    reply.error(typeof options === 'string' ? options : ERR_NO_TOKEN)
    return
  }
  const key = args.buffer(1)
  const value = args.buffer(3)
  store.now = hub.world.clock.now()
  const group = hub.loading.groups.match(key, 0, key.length)
  const { expireAt, extras } = keepOf(client, options, group)
  const { grants } = hub.loads
  const grant = grants.of(db, key, token)
  const birth = grant?.birth ?? 0
  const { loadStore } = hub
  const stored =
    grant !== null &&
    (group === null || loadStore.makesRoom(group, key.length + value.length)) &&
    store.fill(db, key, token, value, expireAt, { ...extras, birth })
  if (grant !== null) grants.landed(token, value, stored)
  reply.integer(stored ? 1 : 0)
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
    store.invalidateTag(store.tagHash(args.buffer(2)))
    reply.ok()
  } else if (args.is(1, 'prefix')) {
    if (args.length(2) > MATCHER_BYTES_MAX) reply.error(ERR_PREFIX_TOO_LONG)
    else hub.invalidations.begin(client, { kind: 'prefix', db: client.db, bytes: args.buffer(2) })
  } else if (args.is(1, 'group')) {
    const name = args.text(2)
    if (hub.config.groups.get(name) === undefined) reply.error(noSuchGroup(name))
    else hub.invalidations.begin(client, { kind: 'group', db: -1, name })
  } else reply.error(ERR_SYNTAX)
}

const common = { group: 'cache', since: '0.1.0', complexity: 'O(1)' } as const
const oneKey = [1, 1, 1] as const

export const cacheCommands = [
  {
    ...common,
    name: 'cache.get',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: oneKey,
    keyFlags: ['RO', 'access'],
    summary:
      'Gives the value of a key, only a fresh one, or one that is stale for so many milliseconds at most; PEEK: without a load; META: with what is known of it.',
    syntax: 'key [FRESH] [STALE milliseconds] [PEEK] [META]',
    waits: 'load',
    run: cacheGet,
  },
  {
    ...common,
    name: 'cache.set',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: oneKey,
    keyFlags: ['OW', 'update'],
    summary: 'Sets a key, how long it is fresh, how long it may be stale after that, and its tags.',
    syntax:
      'key value [EX seconds | PX milliseconds] [STALE milliseconds] [TAGS numtags tag [tag ...]]',
    originWrites: cacheSetOriginWrites,
    run: cacheSet,
  },
  {
    ...common,
    name: 'cache.lease',
    onHub: true,
    arity: -2,
    flags: ['write', 'denyoom'],
    keys: oneKey,
    keyFlags: ['RW', 'access', 'insert'],
    summary:
      'Gives a value that is fresh; else to one client a token to fill the key with, and to the others what comes of it.',
    syntax: 'key [WAIT milliseconds] [PX milliseconds]',
    waits: leaseWaitMs,
    originWrites: noOriginWrites,
    run: cacheLease,
  },
  {
    ...common,
    name: 'cache.fill',
    onHub: true,
    arity: -4,
    flags: ['write', 'denyoom'],
    keys: oneKey,
    keyFlags: ['OW', 'update'],
    summary: 'Sets a key by a token of CACHE.LEASE, unless it was set, deleted or flushed since.',
    syntax:
      'key token value [EX seconds | PX milliseconds] [STALE milliseconds] [TAGS numtags tag [tag ...]]',
    originWrites: noOriginWrites,
    run: cacheFill,
  },
  {
    ...common,
    name: 'cache.explain',
    onHub: true,
    arity: 2,
    flags: ['readonly'],
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
    flags: ['write'],
    keys: [0, 0, 0],
    categories: ['keyspace', 'dangerous'],
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    summary: 'Makes all keys of a group, with a prefix or with a tag worthless, at once.',
    syntax: '<GROUP name | PREFIX prefix | TAG tag>',
    placement: 'fan-out',
    run: cacheInvalidate,
  },
] as const satisfies readonly Command[]
