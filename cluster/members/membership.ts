/**
 * Who is in the cluster, and who of them answers.
 *
 * The members are the union of this node and the peers it was given: a list with or without
 * oneself is the same list. A node is its name, never an IP address: the normalised host:port of its
 * `cluster-self`. Where it is dialled may be something else, and may change. A list that is found
 * (discovery/) changes while the node runs, by `update`.
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
 * its links end, and then it is `down`. So it is when it is still there long after it should have ended.
 *
 * `up` and `suspect` stand in this node's ring, the others do not. At the start everybody is a suspect:
 * a node that starts alone would otherwise own every key until the first answers come. Who comes
 * later is down until it answers. And who does not answer is down only if it answers nobody else
 * either (second-opinion.ts). Opinions
 * may differ for a moment; that costs a second load, never a loop, because a peer's request is
 * never passed on. Nodes compare their views by a hash that travels with every request.
 */
import { strict as assert } from 'node:assert'
import { createHash } from 'node:crypto'
import { GoodByes } from './good-byes.ts'
import type { Word } from './good-byes.ts'
import { Ring, RING_NODES_MAX, VIRTUAL_NODES, WEIGHT_MAX } from '../ring.ts'
import type { RingHash } from '../ring.ts'
import { tagsOf } from '../routes/scan-cursor.ts'
import { HELPERS_MAX, SecondOpinion } from './second-opinion.ts'
import type { Probe } from './second-opinion.ts'
import { EpochCounter } from './view-epoch.ts'
import type { ViewEpoch } from './view-epoch.ts'
import type { Clock, Timer } from '../world.ts'

/** Short enough that a dead node is out of the ring within a second. */
export const NODE_TIMEOUT_MS = 600

/** In periods. Longer than one, so that a busy moment of a node is not three misses at once. */
const PING_TIMEOUT_PERIODS = 1.5

/** One lost packet or a busy moment must not move keys. */
const MISSES_UNTIL_DOWN = 3
/** Of one that is down: each so many beats others are asked whether they hear it. */
const MISSES_UNTIL_ASKED = 3

/** No node takes longer to end: who says so and is there after that is not about to. */
const LEAVING_MS_MAX = 15_000

const PORT_MAX = 65535

/** Of a list that is found, which whoever writes there may fill with anything: each node asks each other. */
const FOUND_NODES_MAX = 256

/** Where a node listens; the host as it is dialled, an IPv6 address without brackets. */
export interface NodeAddress {
  /** Normalised host:port, by which nodes know each other: `10.0.0.1:7001`, `[::1]:7001`. */
  readonly name: string
  readonly host: string
  readonly port: number
}

/** A node of the cluster, as a list of members has it. */
export interface ClusterNode extends NodeAddress {
  /** How large its share of the keys is, beside others. */
  readonly weight: number
  /** Where it is dialled: the host and port of its name, or what a look-up gave. */
  readonly dial: DialAddress
}

export interface DialAddress {
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

/**
 * Reads `host:port`, or `host:port*weight` for a node that is to own several times as much as others.
 *
 * @throws MemberListError
 */
export function parseNode(text: string, directive: string): ClusterNode {
  const star = text.indexOf('*')
  const address = parseAddress(star < 0 ? text : text.slice(0, star), directive)
  const word = star < 0 ? '1' : text.slice(star + 1)
  const weight = /^[0-9]{1,3}$/.test(word) ? Number(word) : 0
  if (weight < 1 || weight > WEIGHT_MAX) {
    const why = `the weight behind the * is 1 to ${WEIGHT_MAX}`
    throw new MemberListError(`${directive}: "${text}" is not host:port*weight (${why})`)
  }
  const { host, port } = address
  return { ...address, weight, dial: { host, port } }
}

/** The static list of a cluster, read. */
export interface MemberList {
  readonly self: ClusterNode
  /** This node and its peers, each once, sorted by name: the same list on every node. */
  readonly all: readonly ClusterNode[]
}

/**
 * The members from the two directives, `cluster-self host:port` and `cluster-peers
 * host:port,host:port ...` (commas or blanks between, empty for a cluster of one), each with a weight
 * perhaps: `host:port*2`.
 *
 * @throws MemberListError
 */
export function parseMembers(self: string, peers: string): MemberList {
  const own = parseNode(self.trim(), 'cluster-self')
  const byName = new Map([[own.name, own]])
  for (const word of peers.split(/[\s,]+/)) {
    if (word === '') continue
    const node = parseNode(word, 'cluster-peers')
    // The others know this node's weight from the list.
    if (node.name === own.name && node.weight !== own.weight && self.includes('*')) {
      const why = `${own.name} has another weight in cluster-self`
      throw new MemberListError(`cluster-peers: ${why}`)
    }
    byName.set(node.name, node)
  }
  if (byName.size > RING_NODES_MAX) {
    throw new MemberListError(`cluster-peers: more than ${RING_NODES_MAX} nodes`)
  }
  return { self: byName.get(own.name)!, all: sorted(byName.values()) }
}

function sorted<Node extends NodeAddress>(nodes: Iterable<Node>): Node[] {
  return [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1))
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
export interface Member extends ClusterNode {
  readonly id: string
  readonly self: boolean
  /** Index in the sorted list of all members: the same on every node that has the same list. */
  readonly rank: number
  /** In the cursors of SCAN; see cluster/routes/scan-cursor.ts. */
  readonly tag: number
  readonly state: MemberState
  /** Clock of the last sign of life asked for, and got; 0 before the first. */
  readonly pingedAt: number
  readonly answeredAt: number
  /** Which process of the name was spoken to last (cluster/peers/handshake.ts); '': none, or it has not said. */
  readonly incarnation: string
}

/**
 * Asks a node for a sign of life and says once, within about `timeoutMs`, whether it came. Late is
 * no. May call back at once.
 */
export type Ping = (name: string, timeoutMs: number, done: (answered: boolean) => void) => void

/**
 * Has a node that was down rejoin, by way of one that hears it, and says once, within about `timeoutMs`, whether
 * it has. May call back at once.
 */
export type RejoinByWayOf = (
  name: string,
  via: string,
  timeoutMs: number,
  done: (rejoined: boolean) => void,
) => void

export interface MembershipOptions {
  readonly clock: Clock
  readonly hash: RingHash
  readonly ping: Ping
  /** Without it nobody else is asked about a node that does not answer. */
  readonly probe?: Probe
  /** Without it a node that is down, but heard by others, comes back when it answers this one. */
  readonly rejoin?: RejoinByWayOf
  /** For so long a node may be silent before it is down, nearly: it is asked every third of that. */
  readonly nodeTimeoutMs?: number
  readonly virtualNodes?: number
}

const NOBODY: readonly string[] = []

function isInRing(state: MemberState): boolean {
  return state === 'up' || state === 'suspect'
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

interface Tracked extends Writable<Member> {
  misses: number
  /** It is being told to rejoin by way of another node. */
  isRejoining: boolean
  /** When it said that it leaves. */
  leavingAt: number
  opinion: SecondOpinion
  readonly goodByes: GoodByes
}

/** What an update did to the list. */
export interface ListChange {
  readonly added: readonly Member[]
  /** They are members no more. */
  readonly removed: readonly Member[]
  /** They are dialled elsewhere now. */
  readonly moved: readonly Member[]
}

/** The members, their states and the ring of those that are not down. */
export class Membership {
  readonly self: string
  readonly #clock: Clock
  readonly #hash: RingHash
  readonly #ping: Ping
  readonly #probe: Probe | null
  readonly #rejoin: RejoinByWayOf | null
  #heartbeatMs: number
  #members: readonly Tracked[] = []
  #byName: ReadonlyMap<string, Tracked> = new Map()
  readonly #ring: Ring
  readonly #epoch: EpochCounter
  readonly #listeners = new Set<(changed: Member) => void>()
  readonly #listListeners = new Set<(change: ListChange) => void>()
  readonly #stateListeners = new Set<(changed: Member) => void>()
  readonly #unheardListeners = new Set<(member: Member) => void>()
  readonly #vouchers = new Map<string, readonly string[]>()
  readonly #voucherListeners = new Set<(name: string, vouchers: readonly string[]) => void>()
  readonly #firstListeners = new Set<() => void>()
  readonly #epochListeners = new Set<(epoch: number) => void>()
  #viewHash = 0
  #beat: Timer | null = null

  constructor(list: MemberList, options: MembershipOptions) {
    this.self = list.self.name
    this.#clock = options.clock
    this.#hash = options.hash
    this.#ping = options.ping
    this.#probe = options.probe ?? null
    this.#rejoin = options.rejoin ?? null
    this.#heartbeatMs = (options.nodeTimeoutMs ?? NODE_TIMEOUT_MS) / MISSES_UNTIL_DOWN
    this.#list(list.all.map((node) => this.#newcomer(node, 'suspect')))
    assert(this.#byName.get(this.self)?.self, 'self is a member')
    this.#ring = new Ring(options.hash, options.virtualNodes ?? VIRTUAL_NODES)
    this.#ring.add(...list.all)
    this.#viewHash = this.#hashOfView()
    this.#epoch = new EpochCounter(this.#viewHash)
  }

  /** All members, live or not, by rank. A new array with each change of the list. */
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

  /** How many members are in the ring and have answered since they became members, this one included. */
  get heard(): number {
    return this.#members.filter((member) => {
      return isInRing(member.state) && (member.self || member.answeredAt > 0)
    }).length
  }

  /** The number of the view, from 1; all nodes that see the same agree on it soon (view-epoch.ts). */
  get epoch(): number {
    return this.#epoch.epoch
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

  /** Is called after each change of the list, before what the ring's changes call. Returns its end. */
  onList(listener: (change: ListChange) => void): () => void {
    this.#listListeners.add(listener)
    return () => void this.#listListeners.delete(listener)
  }

  /**
   * Is called after a member's state has changed, also without a change of the ring, or its process.
   * Returns its end.
   */
  onState(listener: (changed: Member) => void): () => void {
    this.#stateListeners.add(listener)
    return () => void this.#stateListeners.delete(listener)
  }

  /**
   * Is called, again and again, while a member does not answer this node, but another one: it stays in
   * the ring, and what is wrong is the link. Returns its end.
   */
  onUnheard(listener: (member: Member) => void): () => void {
    this.#unheardListeners.add(listener)
    return () => void this.#unheardListeners.delete(listener)
  }

  /**
   * Members that hear one which does not answer this node, the one to ask first in front. Nobody, for one
   * that answers.
   */
  vouchersFor(name: string): readonly string[] {
    return this.#vouchers.size === 0 ? NOBODY : (this.#vouchers.get(name) ?? NOBODY)
  }

  /** Is called after each change of `vouchersFor`. Returns its end. */
  onVouchers(listener: (name: string, vouchers: readonly string[]) => void): () => void {
    this.#voucherListeners.add(listener)
    return () => void this.#voucherListeners.delete(listener)
  }

  /** Is called after a member has answered for the first time. Returns its end. */
  onFirstAnswer(listener: () => void): () => void {
    this.#firstListeners.add(listener)
    return () => void this.#firstListeners.delete(listener)
  }

  /** Is called after each change of the epoch, also of one without a change here. Returns its end. */
  onEpoch(listener: (epoch: number) => void): () => void {
    this.#epochListeners.add(listener)
    return () => void this.#epochListeners.delete(listener)
  }

  /** Begins to ask the others for signs of life. */
  start(): void {
    assert(this.#beat === null, 'started twice')
    this.#beat = this.#clock.every(this.#heartbeatMs, () => this.#beatOnce())
    this.#beatOnce()
  }

  /**
   * The members are these from now on, and this node, whether it is among them or not; of more than
   * FOUND_NODES_MAX the last by name are left out. Who was a member keeps its state. Who comes is in the
   * ring before `start`, and afterwards when it has answered; it is asked at once.
   */
  update(nodes: readonly ClusterNode[]): void {
    const own = this.#byName.get(this.self)!
    const given = new Map([[own.name, own as ClusterNode]])
    for (const node of nodes) given.set(node.name, node)
    const wanted = sorted(given.values())
    for (let i = wanted.length - 1; wanted.length > FOUND_NODES_MAX; i--) {
      if (wanted[i]!.name !== this.self) wanted.splice(i, 1)
    }
    const before = this.#byName
    const state = this.#beat === null ? 'suspect' : 'down'
    const [added, moved, changed]: [Tracked[], Tracked[], Tracked[]] = [[], [], []]
    const members = wanted.map((node) => {
      const member = before.get(node.name)
      if (member === undefined) {
        const newcomer = this.#newcomer(node, state)
        added.push(newcomer)
        if (state !== 'down') changed.push(newcomer)
        return newcomer
      }
      const { host, port } = node.dial
      if (host !== member.dial.host || port !== member.dial.port) {
        member.dial = node.dial
        if (!member.self) moved.push(member)
      }
      if (node.weight !== member.weight) {
        member.weight = node.weight
        if (isInRing(member.state)) changed.push(member)
      }
      return member
    })
    const removed = [...before.values()].filter(({ name }) => !given.has(name))
    if (added.length + removed.length + moved.length + changed.length === 0) return
    this.#list(members)
    const entered = [...changed]
    for (const member of removed) {
      this.#epoch.forget(member.name)
      member.opinion.clear()
      if (member.state === 'down') continue
      member.state = 'down'
      this.#ring.remove(member.name)
      changed.push(member)
    }
    if (entered.length > 0) this.#ring.add(...entered)
    for (const listener of this.#listListeners) listener({ added, removed, moved })
    if (changed.length > 0) this.#changed(...changed)
    if (this.#beat !== null) for (const member of added) this.#askFor(member)
  }

  /**
   * Instead of `start`: takes over what another thread of this node has found out about a node.
   */
  follow(name: string, state: MemberState, incarnation = ''): void {
    assert(this.#beat === null, 'it finds out itself')
    const member = this.#byName.get(name)
    if (member === undefined) return
    member.incarnation = incarnation
    if (state === member.state) return
    if (isInRing(state) && isInRing(member.state)) this.#turn(member, state)
    else this.#enter(member, state)
  }

  /** A node says that it leaves or stays; a word of a process that is gone, or an older one, is nothing. */
  heardWord(name: string, word: Word): void {
    if (this.#byName.get(name)?.goodByes.hears(word) !== true) return
    if (word.leaves) this.leaves(name)
    else this.stays(name)
  }

  /**
   * A node, or this one itself, is about to end. A ring without any other keeps it. It may `stay` after
   * all.
   */
  leaves(name: string): void {
    const member = this.#byName.get(name)
    if (member === undefined || !isInRing(member.state)) return
    if (this.#ring.names.length < 2) return
    member.opinion.clear()
    member.leavingAt = this.#clock.now()
    this.#enter(member, 'leaving')
  }

  /**
   * A node says that it is there: it begins, or has thought better of leaving. Who is down has to answer
   * first, and is asked at once.
   */
  stays(name: string): void {
    const member = this.#byName.get(name)
    if (member === undefined) return
    if (member.state === 'leaving') {
      member.misses = 0
      this.#enter(member, 'up')
    } else if (member.state === 'down' && this.#beat !== null) {
      this.#askFor(member)
    }
  }

  /** A new link leads to this process of the node. */
  met(name: string, incarnation: string): void {
    const member = this.#byName.get(name)
    if (member === undefined || member.incarnation === incarnation) return
    member.incarnation = incarnation
    for (const listener of this.#stateListeners) listener(member)
  }

  /** The link to a node has ended. Of one that was leaving there will be no other sign. */
  lost(name: string): void {
    const member = this.#byName.get(name)
    if (member?.state === 'leaving') this.#enter(member, 'down')
  }

  /** Beside `follow`: takes over who hears a member. */
  followVouchers(name: string, vouchers: readonly string[]): void {
    const before = this.vouchersFor(name)
    const isSame =
      vouchers.length === before.length && vouchers.every((one, i) => one === before[i])
    if (isSame) return
    if (vouchers.length > 0) this.#vouchers.set(name, vouchers)
    else this.#vouchers.delete(name)
    for (const listener of this.#voucherListeners) listener(name, vouchers)
  }

  /** Beside `follow`: takes over the epoch. */
  followEpoch(epoch: number): void {
    this.#epoch.follow(epoch)
  }

  /** Another member answered which view it has, and which process it is ('' if it does not say). */
  heardView(name: string, told: ViewEpoch, incarnation = ''): void {
    const member = this.#byName.get(name)
    if (incarnation !== '') member?.goodByes.answered(incarnation)
    if (member === undefined || !this.#epoch.heard(name, told)) return
    for (const listener of this.#epochListeners) listener(this.epoch)
  }

  /** See `MembershipOptions`; answers under way change nothing. */
  setNodeTimeout(ms: number): void {
    this.#heartbeatMs = ms / MISSES_UNTIL_DOWN
    if (this.#beat === null) return
    this.stop()
    this.start()
  }

  /** Asks no more; answers still under way change nothing. */
  stop(): void {
    this.#beat?.cancel()
    this.#beat = null
  }

  #newcomer(node: ClusterNode, state: MemberState): Tracked {
    const self = node.name === this.self
    const { name, host, port, weight, dial } = node
    return {
      ...{ name, host, port, weight, dial, id: clusterId(name), self, rank: 0, tag: 0 },
      ...{ state: self ? 'up' : state, pingedAt: 0, answeredAt: 0, misses: 0, leavingAt: 0 },
      isRejoining: false,
      incarnation: '',
      goodByes: new GoodByes(),
      opinion: new SecondOpinion(
        name,
        this.#probe ?? ((_helper, _name, _ms, done) => done(null)),
        (vouchers) => this.followVouchers(name, vouchers),
      ),
    }
  }

  #list(members: readonly Tracked[]): void {
    const tags = tagsOf(
      members.map(({ name }) => name),
      this.#hash,
    )
    for (const [rank, member] of members.entries()) {
      member.rank = rank
      member.tag = tags.get(member.name)!
    }
    this.#members = members
    this.#byName = new Map(members.map((member) => [member.name, member]))
  }

  #beatOnce(): void {
    for (const member of this.#members) if (!member.self) this.#askFor(member)
  }

  #askFor(member: Tracked): void {
    const beat = this.#beat
    const askedAt = this.#clock.now()
    member.pingedAt = askedAt
    this.#ping(member.name, this.#heartbeatMs * PING_TIMEOUT_PERIODS, (answered) => {
      if (this.#beat !== beat || this.#byName.get(member.name) !== member) return
      if (answered) this.#answered(member)
      // A later question may have been answered in the meantime.
      else if (member.answeredAt <= askedAt) this.#missed(member)
    })
  }

  #answered(member: Tracked): void {
    member.misses = 0
    member.opinion.clear()
    const isFirst = member.answeredAt === 0
    const now = this.#clock.now()
    member.answeredAt = now
    const stays = member.state === 'leaving' && now - member.leavingAt > LEAVING_MS_MAX
    if (stays) this.#enter(member, 'down')
    else if (member.state === 'down') this.#enter(member, 'up')
    else if (member.state === 'suspect') this.#turn(member, 'up')
    if (isFirst) for (const listener of this.#firstListeners) listener()
  }

  #missed(member: Tracked): void {
    if (member.state === 'down') return this.#lookForWay(member)
    member.misses++
    if (member.state === 'leaving') {
      if (member.misses >= MISSES_UNTIL_DOWN) this.#enter(member, 'down')
      return
    }
    this.#turn(member, 'suspect')
    const { opinion } = member
    if (member.misses >= MISSES_UNTIL_DOWN) {
      opinion.decide((vouched) => this.#unheard(member, vouched))
    }
    if (member.misses < MISSES_UNTIL_DOWN - 1 || this.#isDown(member)) return
    opinion.ask(this.#helpersFor(member), this.#heartbeatMs)
  }

  /** It is down for this node alone, perhaps: then it rejoins by way of those who hear it. */
  #lookForWay(member: Tracked): void {
    if (this.#rejoin === null || member.isRejoining) return
    member.misses++
    if (member.misses % MISSES_UNTIL_ASKED !== 0) return
    member.opinion.ask(this.#helpersFor(member), this.#heartbeatMs)
    const [via] = this.vouchersFor(member.name)
    if (via === undefined) return
    member.isRejoining = true
    const timeoutMs = this.#heartbeatMs * PING_TIMEOUT_PERIODS
    this.#rejoin(member.name, via, timeoutMs, (rejoined) => {
      member.isRejoining = false
      if (!rejoined || !this.#isDown(member) || this.#byName.get(member.name) !== member) return
      member.misses = MISSES_UNTIL_DOWN
      this.#enter(member, 'suspect')
    })
  }

  #isDown({ state }: Member): boolean {
    return state === 'down'
  }

  /** This node does not hear it any more. `vouched`: somebody else does. */
  #unheard(member: Tracked, vouched: boolean): void {
    if (this.#beat === null || this.#byName.get(member.name) !== member) return
    if (!isInRing(member.state)) return
    if (vouched) {
      for (const listener of this.#unheardListeners) listener(member)
      return
    }
    this.#enter(member, 'down')
  }

  /**
   * A state that changes the ring, or whom there is to speak to. Who follows in another thread hears of it
   * last: what belongs to the change is done before it acts upon it.
   */
  #enter(member: Tracked, state: MemberState): void {
    const wasInRing = isInRing(member.state)
    member.state = state
    if (wasInRing && !isInRing(state)) this.#ring.remove(member.name)
    else if (!wasInRing && isInRing(state)) this.#ring.add(member)
    if (wasInRing === isInRing(state)) this.#tell(member)
    else this.#changed(member)
    for (const listener of this.#stateListeners) listener(member)
  }

  #turn(member: Tracked, state: MemberState): void {
    if (member.state === state) return
    member.state = state
    for (const listener of this.#stateListeners) listener(member)
  }

  /** Those who answer this node, the next ones by rank: they differ from node to node asked about. */
  #helpersFor({ name, rank }: Member): string[] {
    const all = this.#members
    const helpers: string[] = []
    for (let step = 1; step < all.length && helpers.length < HELPERS_MAX; step++) {
      const other = all[(rank + step) % all.length]!
      if (!other.self && other.state === 'up' && other.name !== name) helpers.push(other.name)
    }
    return helpers
  }

  #changed(...members: readonly Tracked[]): void {
    this.#viewHash = this.#hashOfView()
    this.#epoch.changed(this.#viewHash)
    this.#tell(...members)
    for (const listener of this.#epochListeners) listener(this.epoch)
  }

  #tell(...members: readonly Tracked[]): void {
    for (const member of members) for (const listener of this.#listeners) listener(member)
  }

  /** As without weights where all have one of 1, and as without virtual nodes where they are as many as ever. */
  #hashOfView(): number {
    const words = this.#ring.names.map((name) => {
      const { weight } = this.#byName.get(name)!
      return weight === 1 ? name : `${name}*${weight}`
    })
    // Other numbers of virtual nodes are other rings.
    const { virtualNodes } = this.#ring
    if (virtualNodes !== VIRTUAL_NODES) words.push(`${virtualNodes} virtual nodes`)
    return this.#hash(words.join('\n'))
  }
}
