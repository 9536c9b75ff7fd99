/**
 * Who is in the cluster, and who of them answers.
 *
 * The members are the union of this node and the peers it was given: a list with or without
 * oneself is the same list. A node is its name, never an IP address; in a static list the name is
 * the normalised host:port.
 *
 * Each node asks each other one for a sign of life every period and keeps its own opinion:
 *
 *                 a miss                third miss in a row
 *      up ------------------> suspect ----------------------> down
 *       ^ <------------------ |                                |
 *       |       an answer                                      |
 *       `------------------------------------------------------'
 *                             an answer
 *
 * A node that says it is about to end is `leaving`: out of the ring at once, but still spoken to until
 * its links end, and then it is `down`.
 *
 * `up` and `suspect` stand in this node's ring, the others do not. Everybody begins as a suspect:
 * a node that starts alone would otherwise own every key until the first answers come. Opinions
 * may differ for a moment; that costs a second load, never a loop, because a peer's request is
 * never passed on. Nodes compare their views by a hash that travels with every request.
 */
import { strict as assert } from 'node:assert'
import { createHash } from 'node:crypto'
import { Ring, RING_NODES_MAX, VIRTUAL_NODES } from './ring.ts'
import type { RingHash } from './ring.ts'
import type { Clock, Timer } from './world.ts'

/** Often enough that a dead node is out of the ring within a second. */
const HEARTBEAT_PERIOD_MS = 200

/** In periods. Longer than one, so that a busy moment of a node is not three misses at once. */
const PING_TIMEOUT_PERIODS = 1.5

/** One lost packet or a busy moment must not move keys. */
const MISSES_UNTIL_DOWN = 3

const PORT_MAX = 65535

/** Where a node listens; the host as it is dialled, an IPv6 address without brackets. */
export interface NodeAddress {
  /** Normalised host:port, by which nodes know each other: `10.0.0.1:7001`, `[::1]:7001`. */
  readonly name: string
  readonly host: string
  readonly port: number
}

/** A sentence for whoever started us: which directive, which word, what is wrong with it. */
export class MemberListError extends Error {
  override readonly name = 'MemberListError'
  readonly code = 'BAD_MEMBER_LIST'
}

/**
 * Reads `host:port`, `[v6 address]:port`. Case, a leading zero of the port and the ways of writing
 * an IPv6 address make no difference to the name. `directive` is named in the error.
 *
 * @throws MemberListError
 */
export function parseAddress(text: string, directive: string): NodeAddress {
  const refuse = (why: string) =>
    new MemberListError(`${directive}: "${text}" is not host:port${why}`)
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?)):([0-9]+)$/i.exec(text)
  if (parts === null) {
    const bareIPv6 = /^[0-9a-f]*:[0-9a-f:.]+$/i.test(text) && text.split(':').length > 2
    throw refuse(bareIPv6 ? ' (an IPv6 address stands in brackets: [::1]:7001)' : '')
  }
  const port = Number(parts[3])
  if (port < 1 || port > PORT_MAX) throw refuse(` (the port is 1 to ${PORT_MAX})`)
  if (parts[1] === undefined) {
    const host = parts[2]!.toLowerCase()
    return { name: `${host}:${port}`, host, port }
  }
  const bracketed = `http://[${parts[1]}]/`
  if (!URL.canParse(bracketed)) throw refuse(' (no IPv6 address in the brackets)')
  const host = new URL(bracketed).hostname
  return { name: `${host}:${port}`, host: host.slice(1, -1), port }
}

/** The static list of a cluster, read. */
export interface MemberList {
  readonly self: NodeAddress
  /** This node and its peers, each once, sorted by name: the same list on every node. */
  readonly all: readonly NodeAddress[]
}

/**
 * The members from the two directives, `cluster-self host:port` and `cluster-peers
 * host:port,host:port ...` (commas or blanks between, empty for a cluster of one).
 *
 * @throws MemberListError
 */
export function parseMembers(self: string, peers: string): MemberList {
  const own = parseAddress(self.trim(), 'cluster-self')
  const byName = new Map([[own.name, own]])
  for (const word of peers.split(/[\s,]+/)) {
    if (word === '') continue
    const address = parseAddress(word, 'cluster-peers')
    byName.set(address.name, address)
  }
  if (byName.size > RING_NODES_MAX) {
    throw new MemberListError(`cluster-peers: more than ${RING_NODES_MAX} nodes`)
  }
  const all = [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  return { self: own, all }
}

/** Is this the machine itself? Without a cluster secret only such nodes may form a cluster. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** A node's id in CLUSTER NODES, MYID and SLOTS: 40 hex digits that follow from its name. */
export function clusterId(name: string): string {
  return createHash('sha1').update(name).digest('hex')
}

/** What this node thinks of another. */
export type MemberState = 'up' | 'suspect' | 'leaving' | 'down'

/** One member as CLUSTER NODES shows it. Its fields change as answers come; do not keep copies. */
export interface Member extends NodeAddress {
  readonly id: string
  readonly self: boolean
  /** Index in the sorted list of all members: the same on every node, in every view. */
  readonly rank: number
  readonly state: MemberState
  /** Clock of the last sign of life asked for, and got; 0 before the first. */
  readonly pingedAt: number
  readonly answeredAt: number
}

/**
 * Asks a node for a sign of life and says once, within about `timeoutMs`, whether it came. Late is
 * no. May call back at once.
 */
export type Ping = (name: string, timeoutMs: number, done: (answered: boolean) => void) => void

export interface MembershipOptions {
  readonly clock: Clock
  readonly hash: RingHash
  readonly ping: Ping
  readonly heartbeatMs?: number
  readonly virtualNodes?: number
}

function isInRing(state: MemberState): boolean {
  return state === 'up' || state === 'suspect'
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

interface Tracked extends Writable<Member> {
  misses: number
}

/** The members, their states and the ring of those that are not down. */
export class Membership {
  readonly self: string
  readonly #clock: Clock
  readonly #hash: RingHash
  readonly #ping: Ping
  readonly #heartbeatMs: number
  readonly #members: readonly Tracked[]
  readonly #byName: ReadonlyMap<string, Tracked>
  readonly #ring: Ring
  readonly #listeners = new Set<(changed: Member) => void>()
  #epoch = 1
  #viewHash = 0
  #beat: Timer | null = null

  constructor(list: MemberList, options: MembershipOptions) {
    this.self = list.self.name
    this.#clock = options.clock
    this.#hash = options.hash
    this.#ping = options.ping
    this.#heartbeatMs = options.heartbeatMs ?? HEARTBEAT_PERIOD_MS
    this.#members = list.all.map((address, rank) => {
      const self = address.name === list.self.name
      const state = self ? 'up' : 'suspect'
      const id = clusterId(address.name)
      return { ...address, id, self, rank, state, pingedAt: 0, answeredAt: 0, misses: 0 }
    })
    this.#byName = new Map(this.#members.map((member) => [member.name, member]))
    assert(this.#byName.get(this.self)?.self, 'self is a member')
    this.#ring = new Ring(options.hash, options.virtualNodes ?? VIRTUAL_NODES)
    this.#ring.add(...this.#byName.keys())
    this.#viewHash = this.#hashOfView()
  }

  /** All members, live or not, by rank. */
  get members(): readonly Member[] {
    return this.#members
  }

  /**
   * The ring of the nodes that are not down, this one always among them unless it leaves. It changes in
   * place.
   */
  live(): Ring {
    return this.#ring
  }

  /** Is it in the ring, or leaving it? Then it answers. */
  isLive(name: string): boolean {
    const state = this.#byName.get(name)?.state ?? 'down'
    return state !== 'down'
  }

  /** Undefined for a name that is no member. */
  member(name: string): Member | undefined {
    return this.#byName.get(name)
  }

  /** Counts the views this node has had, from 1. */
  get epoch(): number {
    return this.#epoch
  }

  /** A uint32 that is equal on two nodes when they see the same live nodes. */
  get viewHash(): number {
    return this.#viewHash
  }

  /**
   * Is called after each change of the ring with the node that came or went, and when one that was
   * leaving has gone. Returns its end.
   */
  onChange(listener: (changed: Member) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Begins to ask the others for signs of life. */
  start(): void {
    assert(this.#beat === null, 'started twice')
    this.#beat = this.#clock.every(this.#heartbeatMs, () => this.#beatOnce())
    this.#beatOnce()
  }

  /**
   * Instead of `start`: takes over what another thread of this node has found out about a node.
   */
  follow(name: string, state: MemberState): void {
    assert(this.#beat === null, 'it finds out itself')
    const member = this.#byName.get(name)!
    if (state !== member.state) this.#enter(member, state)
  }

  /**
   * A node, or this one itself, is about to end. A ring without any other keeps it. It may `stay` after
   * all.
   */
  leaves(name: string): void {
    const member = this.#byName.get(name)
    if (member === undefined || !isInRing(member.state)) return
    if (this.#ring.names.length > 1) this.#enter(member, 'leaving')
  }

  /** A node is there: it begins, or has thought better of leaving. */
  stays(name: string): void {
    const member = this.#byName.get(name)
    if (member === undefined || isInRing(member.state)) return
    member.misses = 0
    this.#enter(member, 'up')
  }

  /** The link to a node has ended. Of one that was leaving there will be no other sign. */
  lost(name: string): void {
    const member = this.#byName.get(name)
    if (member?.state === 'leaving') this.#enter(member, 'down')
  }

  /** Asks no more; answers still under way change nothing. */
  stop(): void {
    this.#beat?.cancel()
    this.#beat = null
  }

  #beatOnce(): void {
    const beat = this.#beat
    const askedAt = this.#clock.now()
    for (const member of this.#members) {
      if (member.self) continue
      member.pingedAt = askedAt
      this.#ping(member.name, this.#heartbeatMs * PING_TIMEOUT_PERIODS, (answered) => {
        if (this.#beat !== beat) return
        if (answered) this.#answered(member)
        // A later question may have been answered in the meantime.
        else if (member.answeredAt <= askedAt) this.#missed(member)
      })
    }
  }

  #answered(member: Tracked): void {
    member.misses = 0
    member.answeredAt = this.#clock.now()
    if (member.state === 'down') this.#enter(member, 'up')
    else if (member.state === 'suspect') member.state = 'up'
  }

  #missed(member: Tracked): void {
    if (member.state === 'down') return
    member.misses++
    if (member.misses >= MISSES_UNTIL_DOWN) this.#enter(member, 'down')
    else if (member.state === 'up') member.state = 'suspect'
  }

  /** A state that changes the ring, or whom there is to speak to. */
  #enter(member: Tracked, state: MemberState): void {
    const wasInRing = isInRing(member.state)
    member.state = state
    if (wasInRing && !isInRing(state)) this.#ring.remove(member.name)
    else if (!wasInRing && isInRing(state)) this.#ring.add(member.name)
    this.#changed(member)
  }

  #changed(member: Tracked): void {
    this.#epoch++
    this.#viewHash = this.#hashOfView()
    for (const listener of this.#listeners) listener(member)
  }

  #hashOfView(): number {
    return this.#hash(this.#ring.names.join('\n'))
  }
}
