/**
 * Signs of life among nodes, in words.
 *
 *     PING          are you there?
 *     PEER REJOIN   you were down for me, and I would count on you again: forget what you have first
 *     PEER LIVE     am I in your ring?
 *
 * Whom this node had down comes back into its ring only with the answer to a REJOIN: the answer to a PING
 * that was sent before, or bytes that a link brings late, do not say that what it has was forgotten. A
 * node of an older version does not know the word; it is counted on as if it had been asked with PING.
 *
 * Who comes late, after the node has forgotten for others and goes on (doubt.ts), has it forget once more, and with
 * that what it has fetched and been told since. That it has forgotten already is no reason not to: as long as the late
 * one had it down, the late one's clients have written its keys elsewhere, also after the others' had begun to
 * write them here, and must not read here what is older. The late one would have to know which slots its clients
 * have touched since, on the way of each command; it is late so seldom that it is not worth that.
 */
import type { Membership, Ping } from '../members/membership.ts'
import type { PeerPort } from '../peers/peer.ts'
import { isUnknownWord, PeerStatus } from '../peers/replies.ts'

const REJOIN = [Buffer.from('PEER'), Buffer.from('REJOIN')]
const LIVE = [Buffer.from('PEER'), Buffer.from('LIVE')]

/** As far as a peer must be one here. */
export interface PingPort extends PeerPort {
  ping(timeoutMs: number, done: (answered: boolean) => void): void
}

/** Who was in this node's ring and is not any more. */
export class Absent {
  readonly #names = new Set<string>()

  constructor(membership: Pick<Membership, 'onChange'>) {
    membership.onChange(({ name, state }) => {
      if (state === 'down') this.#names.add(name)
      else this.#names.delete(name)
    })
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }
}

/**
 * The membership's pings: those that it had down are asked to rejoin. One question at a time: a second one
 * would make a node forget what it was told since the first.
 */
export function pingOrRejoin(absent: () => Absent, peer: (name: string) => PingPort): Ping {
  const waiting = new Map<string, ((answered: boolean) => void)[]>()
  return (name, timeoutMs, done) => {
    if (!absent().has(name)) {
      // It may have gone down while it was asked.
      peer(name).ping(timeoutMs, (answered) => done(answered && !absent().has(name)))
      return
    }
    const others = waiting.get(name)
    if (others !== undefined) {
      others.push(done)
      return
    }
    const all = [done]
    waiting.set(name, all)
    askToRejoin(peer(name), timeoutMs, (rejoined) => {
      waiting.delete(name)
      for (const each of all) each(rejoined)
    })
  }
}

/**
 * Tells a node that was down to rejoin, over whatever port: by way of another node, too, which then says for
 * whom it asks (server/cluster/relays.ts).
 */
export function askToRejoin(
  port: PeerPort,
  timeoutMs: number,
  done: (rejoined: boolean) => void,
): void {
  const request = { deadlineMs: timeoutMs, keyAt: -1, share: false }
  port.request(REJOIN, request, (outcome, value) => {
    const hasForgotten = outcome === 'reply' && value instanceof PeerStatus
    done(hasForgotten || isUnknownWord(value))
  })
}

/** Asks a node whether this one is in its ring; null: no answer. */
export function askWhetherLive(
  peer: PeerPort,
  timeoutMs: number,
  done: (isLive: boolean | null) => void,
): void {
  const request = { deadlineMs: timeoutMs, hearMs: timeoutMs, keyAt: -1, share: false }
  peer.request(LIVE, request, (outcome, value) => {
    if (outcome === 'reply' && typeof value === 'number') done(value === 1)
    else done(isUnknownWord(value) ? true : null)
  })
}
