/** CLIENT TRACKING and its kin: clients that keep what they read are told when it changes. */
import * as errors from '../../protocol/errors.ts'
import type { Args } from '../../protocol/args.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import { overlapOf, prefixBytesMax, prefixesMax } from '../tracking/prefixes.ts'
import type { Tracker, TrackingOptions } from '../tracking/tracker.ts'

/** What CLIENT TRACKING was given. */
interface Given {
  redirect: number | null
  bcast: boolean
  optin: boolean
  optout: boolean
  noloop: boolean
  readonly prefixes: string[]
  /** What is wrong with it behind `redirect`, which is looked for first. */
  error: string | null
}

function clientTracking(client: Client): void {
  const { reply, server } = client
  if (server.routing.enabled) {
    reply.error(errors.ERR_TRACKING_IN_CLUSTER)
    return
  }
  const given = readTracking(client.args)
  const on = client.args.is(2, 'on')
  const off = client.args.is(2, 'off')
  const { redirect } = given
  if (redirect === null) {
    answer(client, given.error ?? (on || off ? change(client, given, on, 0) : errors.ERR_SYNTAX))
    return
  }
  const judge = (row: number | null): string | null => {
    if (row === null) return errors.ERR_NO_REDIRECT_CLIENT
    return given.error ?? (on || off ? change(client, given, on, row) : errors.ERR_SYNTAX)
  }
  if (server.tracking.has(redirect)) {
    answer(client, judge(0))
    return
  }
  const slot = client.hold()
  server.tracking.find(redirect, (row) => {
    slot.answer(() => answer(client, judge(row)))
  })
}

function answer({ reply }: Client, error: string | null): void {
  if (error === null) reply.ok()
  else reply.error(error)
}

function readTracking(args: Args): Given {
  const given: Given = {
    redirect: null,
    ...{ bcast: false, optin: false, optout: false, noloop: false },
    ...{ prefixes: [], error: null },
  }
  for (let i = 3; i < args.count && given.error === null; i++) {
    const hasMore = i + 1 < args.count
    if (hasMore && args.is(i, 'redirect')) given.error = readRedirect(given, args, ++i)
    else if (args.is(i, 'bcast')) given.bcast = true
    else if (args.is(i, 'optin')) given.optin = true
    else if (args.is(i, 'optout')) given.optout = true
    else if (args.is(i, 'noloop')) given.noloop = true
    else if (hasMore && args.is(i, 'prefix')) given.prefixes.push(args.text(++i))
    else given.error = errors.ERR_SYNTAX
  }
  return given
}

function readRedirect(given: Given, args: Args, i: number): string | null {
  // 0 is nobody's id, so it is always the first to be refused.
  if (given.redirect !== null) return errors.ERR_TWO_REDIRECTS
  const id = args.integer(i)
  if (Number.isNaN(id)) return errors.ERR_NOT_INTEGER
  given.redirect = id
  return null
}

/** Does it. @returns the line that says why not, or null */
function change(client: Client, given: Given, on: boolean, redirectRow: number): string | null {
  const { tracking } = client.server
  if (!on) {
    tracking.end(client)
    return null
  }
  const { bcast, prefixes } = given
  const error = refusalOf(client.tracker, given)
  if (error !== null) return error
  // It may have gone while its other client was looked for.
  if (client.isGone) return null
  const { optin, optout, noloop } = given
  const options: TrackingOptions = {
    redirect: given.redirect ?? 0,
    ...{ bcast, optin, optout, noloop },
  }
  tracking.begin(client, options, redirectRow, bcast && prefixes.length === 0 ? [''] : prefixes)
  return null
}

/** In Redis's order. */
function refusalOf(tracker: Tracker | null, given: Given): string | null {
  const { bcast, optin, optout, prefixes } = given
  if (!bcast && prefixes.length > 0) return errors.ERR_PREFIX_WITHOUT_BCAST
  if (tracker !== null && tracker.options.bcast !== bcast) return errors.ERR_SWITCH_BCAST
  if (bcast && (optin || optout)) return errors.ERR_OPTIN_WITH_BCAST
  if (optin && optout) return errors.ERR_OPTIN_WITH_OPTOUT
  const before = tracker?.options
  if ((optin && before?.optout === true) || (optout && before?.optin === true)) {
    return errors.ERR_SWITCH_OPTIN
  }
  if (!bcast) return null
  const existing = tracker?.prefixes ?? new Set<string>()
  if (
    prefixes.length + existing.size > prefixesMax ||
    prefixes.some((prefix) => prefix.length > prefixBytesMax)
  ) {
    return errors.tooManyPrefixes(prefixesMax, prefixBytesMax)
  }
  const overlap = overlapOf(prefixes, existing)
  if (overlap === null) return null
  return errors.prefixesOverlap(overlap.prefix, overlap.with, overlap.isGiven)
}

function clientCaching({ args, reply, tracker }: Client): void {
  if (tracker === null) return reply.error(errors.ERR_CACHING_WITHOUT_TRACKING)
  const { optin, optout } = tracker.options
  if (args.is(2, 'yes')) {
    if (!optin) return reply.error(errors.ERR_CACHING_YES)
  } else if (args.is(2, 'no')) {
    if (!optout) return reply.error(errors.ERR_CACHING_NO)
  } else {
    return reply.error(errors.ERR_SYNTAX)
  }
  tracker.isCaching = true
  reply.ok()
}

/** What CLIENT GETREDIR answers, and CLIENT LIST shows. */
export function redirectOf({ tracker }: Client): number {
  return tracker === null ? -1 : tracker.options.redirect
}

function clientGetRedir(client: Client): void {
  client.reply.integer(redirectOf(client))
}

function clientTrackingInfo(client: Client): void {
  const { reply, tracker } = client
  const flags = tracker === null ? ['off'] : flagsOf(tracker)
  reply.map(3)
  reply.text('flags')
  reply.set(flags.length)
  for (const flag of flags) reply.text(flag)
  reply.text('redirect')
  reply.integer(redirectOf(client))
  reply.text('prefixes')
  const prefixes = [...(tracker?.prefixes ?? [])].sort()
  reply.array(prefixes.length)
  for (const prefix of prefixes) reply.bulk(Buffer.from(prefix, 'latin1'))
}

function flagsOf({ options, isCaching, isBroken }: Tracker): string[] {
  const { bcast, optin, optout, noloop } = options
  return [
    'on',
    ...(bcast ? ['bcast'] : []),
    ...(optin ? ['optin', ...(isCaching ? ['caching-yes'] : [])] : []),
    ...(optout ? ['optout', ...(isCaching ? ['caching-no'] : [])] : []),
    ...(noloop ? ['noloop'] : []),
    ...(isBroken ? ['broken_redirect'] : []),
  ]
}

const common = {
  flags: ['noscript', 'loading', 'stale'],
  keys: [0, 0, 0],
  group: 'connection',
} as const

/** Subcommands of CLIENT. */
export const trackingRows = [
  {
    ...common,
    name: 'tracking',
    arity: -3,
    since: '6.0.0',
    complexity: 'O(1). Some options may introduce additional complexity.',
    summary: 'Has this connection, or another one, told of changes of keys that this one reads.',
    differs: 'not in a cluster; a key counts in the databases in which it was read',
    syntax:
      '<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]',
    argumentNotes: { on_off: { as: 'status' } },
    wordsMax: 4096,
    run: clientTracking,
  },
  {
    ...common,
    name: 'caching',
    arity: 3,
    since: '6.0.0',
    complexity: 'O(1)',
    summary: 'Says whether the keys of the next command are to be tracked (OPTIN, OPTOUT).',
    syntax: '<YES | NO>',
    argumentNotes: { yes_no: { as: 'mode' } },
    run: clientCaching,
  },
  {
    ...common,
    name: 'getredir',
    arity: 2,
    since: '6.0.0',
    complexity: 'O(1)',
    summary: 'Returns which connection is told instead of this one: 0 is itself, -1 none.',
    run: clientGetRedir,
  },
  {
    ...common,
    name: 'trackinginfo',
    arity: 2,
    since: '6.2.0',
    complexity: 'O(1)',
    summary: 'Tells how this connection tracks keys.',
    run: clientTrackingInfo,
  },
] as const satisfies readonly Command[]
