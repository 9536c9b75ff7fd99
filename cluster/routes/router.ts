/**
 * Whose key is it, and what if that node does not answer.
 *
 * A key belongs to the node nearest to its slot on the ring of live nodes. A request for
 * a key of another node is forwarded there, one hop: what arrives over a peer link is run where it
 * arrives. When the owner cannot be reached, falls silent or the link breaks, the next node on the
 * ring is the owner *for that request*: everybody who misses the owner turns to the same one, and
 * it, not each for itself, asks the origin. That may be this node. All of it takes HUNT_MS at
 * most, counted from the request, or from the loss of a node that had said it works on it.
 *
 * An owner that does not answer this node, but others, is asked by way of one of those (detour.ts): then
 * nobody stands in for it.
 *
 * What may have reached a node is asked of another one only if the caller says that running it
 * twice does no harm; an INCR whose link broke is an error, never a second INCR.
 *
 * Commands with many keys are split by owner and their replies put together in the client's
 * order (`scatter`); commands on everything go to every node (`fanOut`, `scan`, `randomKey`).
 *
 * The router knows neither sockets nor commands nor the store: it is handed the ring, the peers,
 * and for what is to be done on this node a callback. It has no timers, since every request to a
 * peer ends by itself.
 */
import { ERR_CURSOR, nodeNonsense } from '../../protocol/errors.ts'
import { summed } from './fan-out.ts'
import type { FanOutPart } from './fan-out.ts'
import { HUNT_MS, Hunter } from './hunt.ts'
import type { Failure, Hunt, HuntCounters, KeysOf, RouterView } from './hunt.ts'
import type { PeerPort } from '../peers/peer.ts'
import { PeerError } from '../peers/replies.ts'
import type { PeerValue } from '../peers/replies.ts'
import { cursorAt, cursorOf, isPosition, nodeFrom } from './scan-cursor.ts'
import { Scattering } from './scatter.ts'
import type { RunHere, ScatterRequest } from './scatter.ts'
import type { Clock, Random } from '../world.ts'

export interface RouterOptions {
  readonly view: RouterView
  /** Another node of the view, by name. */
  readonly peer: (name: string) => PeerPort
  readonly clock: Clock
  readonly random: Random
}

/** A command for the owner of one slot. */
export interface ForwardRequest {
  /** As in `PeerPort`: not to be changed any more. */
  readonly args: readonly Buffer[]
  readonly slot: number
  /** Index in `args` of the key, if it has just one; else -1. */
  readonly keyAt: number
  /** Reads that key and nothing else: equal ones of the same turn may share one request. */
  readonly share: boolean
  /** As in Hunt. */
  readonly written?: KeysOf | undefined
  /** Running it twice, on one node or on two, does no harm. */
  readonly repeatable: boolean
  /** How long an owner that says it works on it is waited for; HUNT_MS if absent. */
  readonly deadlineMs?: number
  /** As in PeerRequest. */
  readonly relay?: 2 | 3
  /** As in Hunt. */
  readonly mayPassOn: boolean
}

/**
 * What became of a command.
 * - `here`: run it on this node, which owns the key, or stands in for an owner that is gone
 * - `reply`: what the node `name` answered, as bytes if `relay` wants it so; its error replies (PeerError) too
 * - `failed`: `line` is the error to answer
 */
export type Routed =
  | { readonly kind: 'here' }
  | { readonly kind: 'reply'; readonly name: string; readonly value: PeerValue }
  | Failure

/** A command for every node. */
export interface FanOutRequest {
  readonly args: readonly Buffer[]
  /** As in PeerRequest. */
  readonly relay?: 2
  readonly deadlineMs?: number
}

/** Counted since the start, for INFO. */
export interface RouterCounters extends Readonly<HuntCounters> {
  readonly forwarded: number
  readonly scattered: number
  readonly fannedOut: number
  /** Commands of one key run here for an owner that could not be asked. */
  readonly stoodIn: number
}

const HERE: Routed = { kind: 'here' }
const DBSIZE = [Buffer.from('DBSIZE')]
const RANDOMKEY = [Buffer.from('RANDOMKEY')]

/** Sends what is not this node's to whose it is. See the top of the file. */
export class Router {
  readonly #view: RouterView
  readonly #random: Random
  readonly #hunter: Hunter
  #forwarded = 0
  #scattered = 0
  #fannedOut = 0
  #stoodIn = 0

  constructor(options: RouterOptions) {
    this.#view = options.view
    this.#random = options.random
    this.#hunter = new Hunter(options.view, options.peer, options.clock)
  }

  get counters(): RouterCounters {
    const [forwarded, scattered] = [this.#forwarded, this.#scattered]
    const [fannedOut, stoodIn] = [this.#fannedOut, this.#stoodIn]
    return { ...this.#hunter.counters, forwarded, scattered, fannedOut, stoodIn }
  }

  /** A new link leads to this process of a node. */
  met(name: string, incarnation: string): void {
    this.#hunter.amends.met(name, incarnation)
  }

  /** It asks nobody any more of its own accord. */
  close(): void {
    this.#hunter.amends.close()
  }

  /** Does this node own the slot? Also when the ring is empty. */
  isHere(slot: number): boolean {
    const owner = this.#view.live().owner(slot)
    return owner === this.#view.self || owner === null
  }

  /** How a node is asked for what it alone has to do; a command of a client. */
  portTo(name: string): PeerPort {
    return this.#hunter.portTo(name)
  }

  /** Sends the command to the slot's owner, or finds who stands in. */
  forward(request: ForwardRequest, done: (routed: Routed) => void): void {
    this.#forwarded++
    this.#forward(request, this.#hunter.begin(request, request.deadlineMs), done)
  }

  /**
   * Runs a command of many keys on their owners and puts the replies together in the client's
   * order. `runHere` gets this node's part as a command of its own. The reply is an error as soon
   * as one part failed, when all have ended; the other parts have been run. Atomic per part, not
   * as a whole.
   */
  scatter(request: ScatterRequest, runHere: RunHere, done: (value: PeerValue) => void): void {
    this.#scattered++
    new Scattering(this.#hunter, request, runHere, done).start()
  }

  /**
   * Runs a command on every member, this node included, and hands over what came of it, by rank.
   * A member that is not live is not asked: its part is a failure. No one stands in for anybody.
   */
  fanOut(
    request: FanOutRequest,
    runHere: RunHere,
    done: (parts: readonly FanOutPart[]) => void,
  ): void {
    this.#fannedOut++
    const names = this.#view.members.map(({ name }) => name)
    const parts = names.map((name): FanOutPart => ({ name, failed: true, value: null }))
    let missing = names.length
    for (const [rank, name] of names.entries()) {
      this.#askOne(name, request, runHere, (part) => {
        parts[rank] = part
        if (--missing === 0) done(parts)
      })
    }
  }

  /**
   * One step of SCAN over all nodes, one after the other by tag (scan-cursor.ts). `args`: SCAN, a cursor of ours,
   * and whatever follows. A node that does not answer is left out. The reply is that of SCAN.
   */
  scan(request: FanOutRequest, runHere: RunHere, done: (value: PeerValue) => void): void {
    const cursor = cursorAt(request.args[1]?.toString('latin1') ?? '')
    if (cursor === null) return done(new PeerError(ERR_CURSOR))
    const { members } = this.#view
    let member = nodeFrom(members, cursor.tag)
    while (member !== undefined && !this.#view.isLive(member.name)) {
      member = nodeFrom(members, member.tag + 1)
    }
    if (member === undefined) return done([Buffer.from('0'), []])
    const { tag } = member
    const next = cursorOf({ position: 0, tag: nodeFrom(members, tag + 1)?.tag ?? 0 })
    const args = [...request.args]
    args[1] = Buffer.from(String(tag === cursor.tag ? cursor.position : 0))
    const { name } = member
    this.#askOne(name, { ...request, args }, runHere, ({ failed, value }) => {
      if (failed) return done([Buffer.from(next), []])
      if (value instanceof PeerError) return done(value)
      const [reached, keys] = Array.isArray(value) ? (value as readonly PeerValue[]) : []
      const at = Buffer.isBuffer(reached) ? Number(reached.toString('latin1')) : NaN
      if (!isPosition(at) || keys === undefined) {
        return done(new PeerError(nodeNonsense(name)))
      }
      done([Buffer.from(at === 0 ? next : cursorOf({ position: at, tag })), keys])
    })
  }

  /** A key of any node, every key as likely as another; null when there is none. */
  randomKey(runHere: RunHere, done: (value: PeerValue) => void): void {
    this.fanOut({ args: DBSIZE }, runHere, (parts) => this.#randomKeyOf(parts, runHere, done))
  }

  #randomKeyOf(
    parts: readonly FanOutPart[],
    runHere: RunHere,
    done: (value: PeerValue) => void,
  ): void {
    const total = summed(parts)
    if (typeof total !== 'number' || total === 0) return done(null)
    let at = Math.floor((this.#random.uint32() / 2 ** 32) * total)
    const chosen = parts.find(({ value }) => (at -= typeof value === 'number' ? value : 0) < 0)
    if (chosen === undefined) return done(null)
    this.#askOne(chosen.name, { args: RANDOMKEY }, runHere, ({ failed, value }) => {
      if (!failed && value !== null) return done(value)
      // Its keys are gone in the meantime, or itself: choose among the others.
      const others = parts.filter((part) => part !== chosen)
      this.#randomKeyOf(others, runHere, done)
    })
  }

  #forward(request: ForwardRequest, hunt: Hunt, done: (routed: Routed) => void): void {
    const name = this.#hunter.next(request.slot, hunt.skipped)
    if (name === this.#view.self) {
      if (hunt.skipped.length > 0) this.#stoodIn++
      return done(HERE)
    }
    this.#hunter.ask(name, request.args, hunt, (verdict) => {
      if (verdict.kind === 'elsewhere') this.#forward(request, verdict.hunt, done)
      else done(verdict)
    })
  }

  /** Asks this very node and nobody else. */
  #askOne(
    name: string,
    request: FanOutRequest,
    runHere: RunHere,
    done: (part: FanOutPart) => void,
  ): void {
    if (name === this.#view.self) {
      return runHere(request.args, (value) => done({ name, failed: false, value }))
    }
    if (!this.#view.isLive(name)) return done({ name, failed: true, value: null })
    const { deadlineMs = HUNT_MS, relay } = request
    const how = relay === undefined ? {} : { relay }
    const asked = { deadlineMs, keyAt: -1, share: false, ...how }
    this.#hunter.portTo(name).request(request.args, asked, (outcome, value) => {
      done({ name, failed: outcome !== 'reply', value })
    })
  }
}
