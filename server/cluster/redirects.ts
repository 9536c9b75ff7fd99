import type { Membership } from '../../cluster/members/membership.ts'
import { SLOT_COUNT } from '../../cluster/slots.ts'
import type { Client } from '../clients/client.ts'
import type { Config } from '../config.ts'

/*
 * Who is told MOVED instead of being forwarded: `cluster-redirect`.
 *
 * With `auto` it is who has followed the topology and would go on sending where it no longer belongs: to
 * this node what it has lost, or, with a node gone from its list, anywhere what that one had.
 * Nothing that a client says of itself tells: what it has sent does. A client that follows sends keys to
 * their owners only; one that does not would hit this node with each of n keys of different slots by
 * chance, as often as the node's share of the slots to the power of n. Who has done so for so many that
 * chance is out of the question, and now sends a key of a slot that has another owner than when it began, is told MOVED
 * once; what it sends before it has turned is forwarded. Any other foreign key begins the count anew.
 */

/** Slots are told apart by so many bits: two with the same count once, so at most too little is counted. */
const BITS = 256
/** One in 2 ** 20 rows of keys is a row of own ones by chance. */
const CHANCE_BITS = 20
/** Where chance cannot be ruled out by that many of the bits, nobody is told. */
const SEEN_MAX = 200

/** What one connection has sent here since its last foreign key. */
export class RoutingHistory {
  /** Different slots, all this node's. */
  seen = 0
  /** How many are no chance, by the largest share that this node had meanwhile. */
  needed = 0
  /** The ring's changes when that began. */
  since = 0
  readonly bits = new Int32Array(BITS / 32)
}

/** How many different slots, all owned by a node with this share of them, are no chance. */
export function slotsBeyondChance(share: number): number {
  if (share >= 1) return Infinity
  const needed = Math.max(1, Math.ceil(CHANCE_BITS / -Math.log2(share)))
  return needed <= SEEN_MAX ? needed : Infinity
}

/** One thread's clients. */
export class Redirects {
  readonly #config: Config
  readonly #membership: Membership
  #isAuto = false
  /** Changes of the ring so far. */
  #changes = 0
  /** By slot: whose it is, and the change that gave it to that node; 0: none did. */
  readonly #owners = new Array<string | null>(SLOT_COUNT).fill(null)
  readonly #changedAt = new Uint32Array(SLOT_COUNT)
  /** By the share of now. */
  #needed = Infinity
  /** Clients that were told MOVED. */
  told = 0

  constructor(config: Config, membership: Membership) {
    this.#config = config
    this.#membership = membership
    this.#look()
    membership.onChange(() => {
      this.#changes++
      this.#look()
    })
    const judge = (): void => void (this.#isAuto = config['cluster-redirect'] === 'auto')
    config.onChange('cluster-redirect', judge)
    judge()
  }

  get isAlways(): boolean {
    return this.#config['cluster-redirect'] === 'always'
  }

  /** A client sent a key of this slot, which is this node's. */
  own(client: Client, slot: number): void {
    if (!this.#isAuto) return
    const history = (client.routingHistory ??= this.#begin(new RoutingHistory()))
    const bit = 1 << (slot & 31)
    const word = (slot & (BITS - 1)) >> 5
    if ((history.bits[word]! & bit) !== 0) return
    history.bits[word]! |= bit
    history.seen++
    if (this.#needed > history.needed) history.needed = this.#needed
  }

  /** A client sent a key of this slot, which is another node's. Is it to be told MOVED? */
  foreign(client: Client, slot: number): boolean {
    if (this.isAlways) {
      this.told++
      return true
    }
    const history = client.routingHistory
    if (history === null) return false
    const hasMoved = this.#changedAt[slot]! > history.since
    const isTold = this.#isAuto && hasMoved && history.seen >= history.needed
    if (isTold) this.told++
    this.#begin(history)
    return isTold
  }

  /** A client sent keys of several owners at once: it does not follow the topology. */
  scattered(client: Client): void {
    if (client.routingHistory !== null) this.#begin(client.routingHistory)
  }

  #begin(history: RoutingHistory): RoutingHistory {
    history.seen = 0
    history.needed = this.#needed
    history.since = this.#changes
    history.bits.fill(0)
    return history
  }

  /** Sees whose the slots are now. */
  #look(): void {
    const ring = this.#membership.live()
    const { self } = this.#membership
    let count = 0
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const owner = ring.owner(slot)
      if (this.#owners[slot] !== owner) this.#changedAt[slot] = this.#changes
      this.#owners[slot] = owner
      if (owner === self) count++
    }
    this.#needed = slotsBeyondChance(count / SLOT_COUNT)
  }
}
