/**
 * Finding somebody who answers for a key, when the owner may not.
 *
 * A hunt asks one node after the other, the nearest on the ring first, each skipped for the rest of the
 * hunt once it could not be reached, fell silent, broke the link or said that it is leaving and has
 * run nothing. It ends after HUNT_MS, counted
 * from the request, or from the loss of a node that had said it works on it.
 *
 * A node that does not answer this one but others is asked by way of one of them (detour.ts), and is passed
 * over only when none of them could reach it, nor this one. What may not be passed on then fails: with two nodes
 * answering for a key, the one that the rest of the cluster asks is right.
 *
 * A node that was passed over for a write may have what was there before: it is told to remove that (amends.ts).
 */
import {
  effectUnknown,
  ERR_LEAVING,
  nodeBusy,
  nodeDeadline,
  nodesSilent,
} from '../../protocol/errors.ts'
import { Amends } from './amends.ts'
import { byWayOf, portTo, type Vouchers } from './detour.ts'
import type { PeerPort } from '../peers/peer.ts'
import { PeerError, type PeerValue } from '../peers/replies.ts'
import type { Clock } from '../world.ts'

/** Who needs a dead node gets an answer from another, or an error, within this time. */
export const HUNT_MS = 1000

/** What is asked of the membership. */
export interface RouterView extends Vouchers {
  readonly self: string
  /** By rank. */
  readonly members: readonly { readonly name: string; readonly tag: number }[]
  isLive(name: string): boolean
  live(): {
    owner(slot: number): string | null
    after(slot: number, skipped: readonly string[]): string | null
  }
}

/** Keys among the arguments of a command. */
export type KeysOf = (args: readonly Buffer[]) => readonly Buffer[]

/**
 * Why nobody answered; `line` is the error for the client. After `deadline` and `effect-unknown`
 * the command may have been run, or may yet be; after the others it may only if it is repeatable.
 */
export interface Failure {
  readonly kind: 'failed'
  readonly reason: 'silent' | 'busy' | 'deadline' | 'effect-unknown'
  readonly line: string
}

/** How a hunt asks, and how far it has come. */
export interface Hunt {
  /** How long a node that says it works on it is waited for. */
  readonly deadlineAt: number
  /** No further node is asked after that. */
  readonly until: number
  /** Running it twice does no harm: it may be asked again of another. */
  readonly repeatable: boolean
  /** As in PeerRequest. */
  readonly keyAt: number
  readonly share: boolean
  /** It changes something: the keys of its arguments that whoever is passed over must not keep (amends.ts). */
  readonly written?: KeysOf | undefined
  /** As in PeerRequest. */
  readonly relay?: 2 | 3 | undefined
  readonly skipped: readonly string[]
  /** Does it not matter who asks? Then another node may pass it on. */
  readonly mayPassOn: boolean
  /** Who should have passed it on to whom is asked now, and did not get through; itself, if it was asked. */
  readonly tried: readonly string[]
}

/** One node's part in the hunt: it answered, another one is to be asked, or that was it. */
export type Verdict =
  | { readonly kind: 'reply'; readonly name: string; readonly value: PeerValue }
  | { readonly kind: 'elsewhere'; readonly hunt: Hunt }
  | Failure

/** Counted since the start, for INFO. */
export interface HuntCounters {
  /** Nodes given up for one request, after which another was looked for. */
  failovers: number
  /** Requests that others were asked to pass on. */
  detours: number
  failures: number
}

/** What all hunts of a node share. */
export class Hunter {
  readonly counters: HuntCounters = { failovers: 0, detours: 0, failures: 0 }
  readonly view: RouterView
  readonly amends: Amends
  readonly #peer: (name: string) => PeerPort
  readonly #clock: Clock

  constructor(view: RouterView, peer: (name: string) => PeerPort, clock: Clock) {
    this.view = view
    this.#peer = peer
    this.#clock = clock
    this.amends = new Amends((name) => (view.isLive(name) ? this.portTo(name) : null), clock)
  }

  /** Who is to be asked for the slot: its owner, or who is next when that one is skipped. */
  next(slot: number, skipped: readonly string[]): string {
    return this.view.live().after(slot, skipped) ?? this.view.self
  }

  /** A hunt that begins now. */
  begin(
    how: Pick<Hunt, 'repeatable' | 'keyAt' | 'share' | 'written' | 'relay' | 'mayPassOn'>,
    deadlineMs = HUNT_MS,
    skipped: readonly string[] = [],
  ): Hunt {
    const now = this.#clock.now()
    const { repeatable, keyAt, share, written, relay, mayPassOn } = how
    const times = { deadlineAt: now + deadlineMs, until: now + HUNT_MS }
    return { ...times, repeatable, keyAt, share, written, relay, skipped, mayPassOn, tried: [] }
  }

  /** How another node is asked for what it alone has to do; a command of a client. */
  portTo(name: string): PeerPort {
    return portTo(name, this.#peer, this.view)
  }

  /** Asks one other node, and judges from how that ended whether to ask another. */
  ask(name: string, args: readonly Buffer[], hunt: Hunt, done: (verdict: Verdict) => void): void {
    const now = this.#clock.now()
    if (now >= hunt.until || now >= hunt.deadlineAt) {
      return done(this.#failed('silent', nodesSilent(hunt.skipped)))
    }
    const via = hunt.mayPassOn ? this.#untried(name, hunt.tried) : undefined
    if (via !== undefined) this.counters.detours++
    const port = via === undefined ? this.#peer(name) : byWayOf(this.#peer(via), name)
    const { keyAt, share, written, relay } = hunt
    const writes = written !== undefined
    const hearMs = hunt.until - now
    const how = { keyAt, share, ...(writes ? { writes } : {}), ...(relay ? { relay } : {}) }
    const request = { deadlineMs: hunt.deadlineAt - now, hearMs, ...how }
    port.request(args, request, (outcome, value, heard) => {
      const hasLeft = value instanceof PeerError && value.line === ERR_LEAVING
      if (outcome === 'reply' && !hasLeft) return done({ kind: 'reply', name, value })
      if (outcome === 'busy') return done(this.#failed('busy', nodeBusy(name)))
      if (outcome === 'deadline') return done(this.#failed('deadline', nodeDeadline(name)))
      const mayHaveRun = outcome !== 'unreachable' && !hasLeft
      if (mayHaveRun && !hunt.repeatable) {
        return done(this.#failed('effect-unknown', effectUnknown(name)))
      }
      const until = heard ? this.#clock.now() + HUNT_MS : hunt.until
      const tried = [...hunt.tried, via ?? name]
      const rest = { ...hunt, until, tried }
      if (hasLeft) done(this.#passedOver(name, rest))
      else if (!hunt.mayPassOn && this.view.vouchersFor(name).length > 0) {
        done(this.#failed('silent', nodesSilent([...hunt.skipped, name])))
      } else if (
        this.#untried(name, tried) !== undefined ||
        // Nobody took it: the link may not be as bad as that.
        (outcome === 'unreachable' && !tried.includes(name))
      ) {
        this.ask(name, args, rest, done)
      } else done(this.#passOver(name, args, rest))
    })
  }

  /** Who of those that hear a node has not been asked to pass it on. */
  #untried(name: string, tried: readonly string[]): string | undefined {
    return this.view.vouchersFor(name).find((one) => !tried.includes(one))
  }

  /** Somebody else answers instead of a node that may be there. */
  #passOver(name: string, args: readonly Buffer[], hunt: Hunt): Verdict {
    const keys = hunt.written?.(args) ?? []
    if (keys.length > 0 && !this.amends.owe(name, keys)) {
      return this.#failed('busy', nodeBusy(name))
    }
    return this.#passedOver(name, hunt)
  }

  #passedOver(name: string, hunt: Hunt): Verdict {
    this.counters.failovers++
    return {
      kind: 'elsewhere',
      hunt: { ...hunt, tried: [], skipped: [...hunt.skipped, name] },
    }
  }

  #failed(reason: Failure['reason'], line: string): Failure {
    this.counters.failures++
    return { kind: 'failed', reason, line }
  }
}
