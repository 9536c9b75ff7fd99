/**
 * Commands of other nodes' clients that this node passes on, because the link between those two nodes is bad
 * and both hear this one (cluster/routes/detour.ts):
 *
 *     a ──PEER RELAY b GET k──> this node ──GET k──> b
 *
 * Only to a node that answers this one, only what a client may send to any node, and never what came passed
 * on already: `PEER RELAY` is no command of a client. The reply goes back as the bytes that came.
 *
 * Whoever waits for a node that says nothing turns to the next one. What this thread finds in its sockets
 * after it stood still may be such a request: it is not passed on, for the other node would run it after
 * newer ones (late-requests.ts). And where the other node says nothing, what was passed on is given up as what
 * comes from a client here is: a write takes its link with it (cluster/peers/peer.ts). Whoever asked for it waits
 * until then, since it has heard that it is worked on.
 */
import { type LostOutcome, notRelayed, RELAY_WORDS } from '../../cluster/routes/detour.ts'
import { PeerError, type PeerValue } from '../../cluster/peers/replies.ts'
import { Args } from '../../protocol/args.ts'
import * as errors from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, flagBits, takes } from '../command.ts'
import type { IoThread } from '../io-thread.ts'

/** Of one thread at a time: requests, and bytes of them. */
const RELAYS_MAX = 1024
const RELAYED_BYTES_MAX = 64 * 1024 * 1024

/** The answer is to be there before the one who waits for it gives up. */
const WAY_MS = 20

/** Told to a node that another one does not hear, but counts on again since this one does. */
const REJOIN = 'peer|rejoin'

export class Relays {
  readonly #server: IoThread
  #open = 0
  #bytes = 0
  /** Counted since the start. */
  passed = 0

  constructor(server: IoThread) {
    this.#server = server
  }

  /** PEER RELAY name command [argument ...] */
  pass(client: Client): void {
    const { args, peer, reply, server } = client
    if (peer === null) return reply.error(errors.ERR_PEER_ONLY)
    const { header, membership, peers } = server.routing
    const member = membership?.member(args.text(2))
    // The word of a stranger is not repeated.
    const name = member?.name ?? 'it'
    const refuse = (outcome: LostOutcome): void => reply.error(notRelayed(name, outcome, false))
    if (this.#open >= RELAYS_MAX || this.#bytes >= RELAYED_BYTES_MAX) return refuse('busy')
    const words = args.copy().slice(RELAY_WORDS)
    const bytes = words.reduce((sum, word) => sum + word.length, 0)
    const entry = this.#passable(words)
    const isLate = server.late.maySee(server.world.clock.now()) || server.gate.doubtsKeys
    const to = peers.get(name)
    if (isLate || member?.state !== 'up' || to === undefined || entry === null) {
      return refuse('unreachable')
    }
    // It matters who asks.
    if (entry.fullName === REJOIN) words.push(Buffer.from(peer))
    this.passed++
    this.#open++
    this.#bytes += bytes
    const slot = client.defer()
    const request = {
      ...{ deadlineMs: Math.max(1, header.deadlineMs - WAY_MS), keyAt: -1, share: false },
      writes: (entry.flags & flagBits.readonly) === 0,
      relay: slot.protocol === 3 ? 3 : 2,
    } as const
    to.request(words, request, (outcome, value: PeerValue, heard) => {
      this.#open--
      this.#bytes -= bytes
      if (outcome !== 'reply') {
        slot.settle((late) => late.error(notRelayed(name, outcome, heard)))
      } else if (value instanceof PeerError) {
        slot.settle((late) => late.error(value.line))
      } else {
        slot.settleBytes(value as Buffer)
      }
    })
  }

  /** The command, if it may be passed on. */
  #passable(words: readonly Buffer[]): CommandEntry | null {
    const args = Args.of(words)
    const entry = this.#server.table.called(args)
    if (entry === null || !takes(entry, args.count)) return null
    const isRejoin = entry.fullName === REJOIN && args.count === 2
    return isRejoin || isClients(entry, args) ? entry : null
  }
}

/**
 * What any node may be asked for a client: about keys or for all nodes, nothing about the connection. A
 * transaction only where nothing is watched.
 */
function isClients({ fullName, parent, placement }: CommandEntry, args: Args): boolean {
  if (fullName === 'peer|exec') return args.length(3) === 0
  return parent?.name !== 'peer' && (placement !== 'here' || fullName === 'publish')
}
