/**
 * What each I/O thread knows of itself alone, and INFO and MEMORY show of all of them together.
 * What is counted in shared memory needs no such question: see stats.ts.
 */
import { type CopiesCounters, noCopies } from '../cluster/hot/copies.ts'
import type { LoadCounters } from '../cluster/loads/loads.ts'
import type { PeerCounters } from '../cluster/peers/peer.ts'
import type { RouterCounters } from '../cluster/routes/router.ts'
import type { GrantCounters } from './cluster/hot-grants.ts'
import type { IoThread } from './io-thread.ts'
import { readHeap } from './system.ts'

/** Of waiters for loads. */
export type WaiterCounters = Pick<LoadCounters, 'joined' | 'late' | 'again'>

/** What commands found of a group's keys: what was answered at once, and what was not there. */
export interface GroupHits {
  readonly hits: number
  readonly staleHits: number
  readonly negativeHits: number
  readonly misses: number
}

/** Of one thread, or the sum over all. Plain data, which travels between threads. */
export interface Facts {
  readonly clients: number
  /** Connections of other nodes of the cluster. */
  readonly peers: number
  /** Of all of both: the most that came and is not executed, and that waits to be sent. */
  readonly queryBytesMax: number
  readonly outputBytesMax: number
  /** All of that together, of clients and of peers, with what each takes itself. */
  readonly clientBytes: number
  readonly peerBytes: number
  /** Clients that wait: for a load, in WAIT, for the end of a pause. */
  readonly waiting: number
  /** By group: waiters that the loads' own counters do not know. */
  readonly waiters: Readonly<Record<string, WaiterCounters>>
  /** By group. */
  readonly hits: Readonly<Record<string, GroupHits>>
  readonly routed: RouterCounters
  readonly links: Readonly<PeerCounters>
  /** Copies of hot keys, and what others were granted. */
  readonly copies: CopiesCounters
  readonly grants: GrantCounters
  /** Requests of nodes that saw other nodes alive than this one. */
  readonly otherViews: number
  /** Requests that were passed on for other nodes. */
  readonly relayed: number
  /** Clients told MOVED. */
  readonly redirected: number
  /** Published messages that other nodes may not have got, or other threads. */
  readonly untold: number
  /** CLIENT TRACKING: see tracking/tracking.ts. Keys and prefixes of several threads count several times. */
  readonly trackers: number
  readonly trackedKeys: number
  readonly trackedItems: number
  readonly trackedPrefixes: number
  /** Of the thread's JavaScript. */
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
}

export const noFacts: Facts = {
  ...{ clients: 0, peers: 0, queryBytesMax: 0, outputBytesMax: 0, clientBytes: 0, peerBytes: 0 },
  ...{
    waiting: 0,
    waiters: {},
    hits: {},
    otherViews: 0,
    relayed: 0,
    redirected: 0,
    untold: 0,
    heapUsedBytes: 0,
    heapTotalBytes: 0,
  },
  ...{ trackers: 0, trackedKeys: 0, trackedItems: 0, trackedPrefixes: 0 },
  routed: {
    ...{ forwarded: 0, scattered: 0, fannedOut: 0, stoodIn: 0 },
    ...{ failovers: 0, detours: 0, failures: 0 },
  },
  links: { requests: 0, shared: 0, links: 0, resets: 0, silent: 0, lost: 0 },
  copies: noCopies,
  grants: { granted: 0, told: 0 },
}

export function factsOf(thread: IoThread): Facts {
  const { loading, tracking } = thread
  const { flights, groups } = loading
  const { copied, router, peers, redirects, otherViews, untold } = thread.routing
  const { usedBytes, totalBytes } = readHeap()
  return {
    ...clientFacts(thread.clients.values()),
    waiting: flights.waiting + blockedIn(thread),
    waiters: Object.fromEntries(flights.waiters),
    hits: Object.fromEntries(groups.all.map((group) => [group.name, loading.hits(group)])),
    routed: router?.counters ?? noFacts.routed,
    links: [...peers.values()].reduce((sum, { counters }) => added(sum, counters), noFacts.links),
    copies: copied?.copies.counters ?? noCopies,
    grants: thread.hotGrants.counters,
    otherViews,
    relayed: thread.relays.passed,
    redirected: redirects?.told ?? 0,
    untold: untold + thread.pubsub.lost,
    trackers: tracking.trackers,
    trackedKeys: tracking.keys,
    trackedItems: tracking.items,
    trackedPrefixes: tracking.prefixes,
    heapUsedBytes: usedBytes,
    heapTotalBytes: totalBytes,
  }
}

function blockedIn({ clients }: IoThread): number {
  let blocked = 0
  for (const client of clients.values()) if (client.isBlocked) blocked++
  return blocked
}

function clientFacts(clients: Iterable<ClientBytes>): Facts {
  const sum: { -readonly [K in keyof Facts]: Facts[K] } = { ...noFacts }
  for (const { peer, queryBytes, outputBytes } of clients) {
    sum.queryBytesMax = Math.max(sum.queryBytesMax, queryBytes)
    sum.outputBytesMax = Math.max(sum.outputBytesMax, outputBytes)
    if (peer === null) {
      sum.clients++
      sum.clientBytes += idleClientBytes + queryBytes + outputBytes
    } else {
      sum.peers++
      sum.peerBytes += idleClientBytes + queryBytes + outputBytes
    }
  }
  return sum
}

/** An idle connection, and what is known of its client, in this many bytes (test/bench/connections.ts). */
export const idleClientBytes = 6 * 1024

/** What is asked of a client. */
export interface ClientBytes {
  readonly peer: string | null
  readonly queryBytes: number
  readonly outputBytes: number
}

/** Of all threads together. */
export function sumOfFacts(all: readonly Facts[]): Facts {
  return all.reduce((sum, facts) => ({
    ...added(sum, facts),
    queryBytesMax: Math.max(sum.queryBytesMax, facts.queryBytesMax),
    outputBytesMax: Math.max(sum.outputBytesMax, facts.outputBytesMax),
    waiters: merged(sum.waiters, facts.waiters),
    hits: merged(sum.hits, facts.hits),
    routed: added(sum.routed, facts.routed),
    links: added(sum.links, facts.links),
    copies: added(sum.copies, facts.copies),
    grants: added(sum.grants, facts.grants),
  }))
}

/** By name, the sums of both. */
function merged<T extends object>(
  one: Readonly<Record<string, T>>,
  other: Readonly<Record<string, T>>,
): Readonly<Record<string, T>> {
  const all = { ...one }
  for (const [name, counters] of Object.entries(other)) {
    const before = all[name]
    all[name] = before === undefined ? counters : added(before, counters)
  }
  return all
}

/** The fields that are numbers, each the sum of both. */
function added<T extends object>(one: T, other: T): T {
  const sum = { ...one } as Record<string, unknown>
  for (const [name, value] of Object.entries(other)) {
    if (typeof value === 'number') sum[name] = (sum[name] as number) + value
  }
  return sum as T
}
