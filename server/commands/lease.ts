/*
 * CACHE.LEASE and CACHE.FILL, for clients that load values themselves (cluster/loads/grants.ts). They run on
 * the hub, where the ends of all leases are known:
 *
 *     CACHE.LEASE k WAIT 1000   one client:  ["lease", old value or nil, token]     it loads, and then
 *                               the others:  wait ...                               CACHE.FILL k token v
 *                                            ["hit", v]
 */
import { isOutdated, type Outcome } from '../../cluster/loads/loads.ts'
import type { Args } from '../../protocol/args.ts'
import {
  ERR_NOT_INTEGER,
  ERR_NO_TOKEN,
  ERR_SYNTAX,
  ERR_TOO_MANY_LEASES,
  invalidExpire,
} from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { copyOpenValue } from '../loads/load-store.ts'
import { ERROR_ONLY, FRESH, NEGATIVE } from '../store/store.ts'
import type { OriginChange } from '../loads/writing.ts'
import { keepOf, readKeepOptions } from './keep-options.ts'

/** The longest that a client may wait or have a lease. */
const MS_MAX = 3_600_000
const LEASE_MS = 10_000

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
    if (args.is(i, 'wait')) waitMs = n
    else if (args.is(i, 'px')) leaseMs = n
    else return ERR_SYNTAX
  }
  const areGood = waitMs >= 0 && waitMs <= MS_MAX && leaseMs > 0 && leaseMs <= MS_MAX
  return areGood ? { waitMs, leaseMs } : invalidExpire('cache.lease')
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

const common = { group: 'cache', since: '0.1.0', complexity: 'O(1)' } as const
const oneKey = [1, 1, 1] as const

export const leaseCommands = [
  {
    ...common,
    name: 'cache.lease',
    onHub: true,
    arity: -2,
    flags: ['write', 'denyoom', 'no_multi'],
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
    flags: ['write', 'denyoom', 'no_multi'],
    keys: oneKey,
    keyFlags: ['OW', 'update'],
    summary: 'Sets a key by a token of CACHE.LEASE, unless it was set, deleted or flushed since.',
    syntax:
      'key token value [EX seconds | PX milliseconds] [STALE milliseconds] [TAGS numtags tag [tag ...]]',
    originWrites: noOriginWrites,
    run: cacheFill,
  },
] as const satisfies readonly Command[]
