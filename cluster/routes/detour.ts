/**
 * The way to a node that does not answer this one, but others: by way of one of them.
 *
 *     a ──x── b                               c told a that it hears b (cluster/members/second-opinion.ts)
 *     a ──PEER RELAY b GET k──> c ──GET k──> b
 *     a <─────── reply ──────── c <─ reply ── b
 *
 * Two hops and never more, whatever the nodes think of each other: what c sends to b is the command alone,
 * which b runs like any that comes over a link. What must not run twice is not sent twice: where c does not
 * know what became of it at b, its answer says so, and the request ends as if the link to b had broken. Only
 * commands of clients are passed on: what depends on who asks is refused (server/cluster/relays.ts).
 *
 * All that goes to b takes the same way, so that commands of one client stay in order.
 */
import type { PeerDone, PeerOutcome, PeerPort } from '../peers/peer.ts'
import { isUnknownWord, PeerError } from '../peers/replies.ts'

const RELAY = [Buffer.from('PEER'), Buffer.from('RELAY')]
/** Before the command: those two, and the name of the node. */
export const RELAY_WORDS = 3

/** How a request ended that brought no reply. */
export type LostOutcome = Exclude<PeerOutcome, 'reply'>

/** A port to `name` by way of another node. Requests end as those of a port to the node itself. */
export function byWayOf(via: PeerPort, name: string): PeerPort {
  return {
    request: (args, request, done) => {
      const words = [...RELAY, Buffer.from(name), ...args]
      const keyAt = request.keyAt < 0 ? -1 : request.keyAt + RELAY_WORDS
      via.request(words, { ...request, keyAt }, (outcome, value, heard) => {
        if (outcome !== 'reply' || !(value instanceof PeerError)) done(outcome, value, heard)
        else endAs(value, done)
      })
    },
  }
}

/** The line by which the node on the way tells that the other one has not answered. */
export function notRelayed(name: string, outcome: LostOutcome, heard: boolean): string {
  return `RELAY ${outcome}${heard ? ' heard' : ''}: ${name} has not answered`
}

/** An error is the node's own, or says why there is none of it. */
function endAs(value: PeerError, done: PeerDone): void {
  const told = /^RELAY (unreachable|busy|silent|lost|deadline)( heard)?: /.exec(value.line)
  if (told !== null) done(told[1] as LostOutcome, null, told[2] !== undefined)
  // A node of an older version knows no such word.
  else if (isUnknownWord(value)) done('unreachable', null, false)
  else done('reply', value, true)
}

/** As far as the membership must be one here. */
export interface Vouchers {
  /** Those that hear a node which does not answer this one; nobody for one that does. */
  vouchersFor(name: string): readonly string[]
}

/**
 * Over which port a node is asked: its own, or by way of those that hear it, one after the other until one gets
 * through; its own after these.
 */
export function portTo(
  name: string,
  peer: (name: string) => PeerPort,
  vouchers: Vouchers,
): PeerPort {
  const ways = vouchers.vouchersFor(name).map((via) => byWayOf(peer(via), name))
  return ways.reduceRight(eitherOf, peer(name))
}

/** Asks the second one for what has not reached the first. */
function eitherOf(second: PeerPort, first: PeerPort): PeerPort {
  return {
    request: (args, request, done) => {
      first.request(args, request, (outcome, value, heard) => {
        if (outcome === 'unreachable') second.request(args, request, done)
        else done(outcome, value, heard)
      })
    },
  }
}
