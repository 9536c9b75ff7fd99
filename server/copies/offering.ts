/**
 * Slots that this node has lost to another one: keys of groups with copies are offered to it (PEER OFFER), so
 * that it has them before the window ends within which it asks for what is touched (takeover.ts).
 */
import type { Membership } from '../../cluster/membership.ts'
import type { Ownership } from '../../cluster/ownership.ts'
import { keySlot } from '../../cluster/slots.ts'
import { byOwner, offersOf } from '../offers.ts'
import type { Server } from '../server.ts'

/** Slots of the store's index that are looked at in one go. */
const WALK_SLOTS = 2048
/** The new owner may not have seen yet that it is. */
const BEGIN_AFTER_MS = 200
const OFFER_MS_MAX = 2000

export class Offering {
  readonly #server: Server
  readonly #membership: Membership
  readonly #ownership: Ownership
  /** Where the walk is; -1: there is none. */
  #cursor = -1
  /** Has more been lost since it began? */
  #again = false
  #stopped = false
  /** Keys that were offered. */
  offered = 0

  constructor(server: Server, membership: Membership, ownership: Ownership) {
    this.#server = server
    this.#membership = membership
    this.#ownership = ownership
    ownership.onMove(({ lost }) => {
      // Who leaves offers all that it has (leaving.ts).
      const { state } = membership.member(membership.self)!
      if (lost.length > 0 && state !== 'leaving') this.#begin()
    })
  }

  stop(): void {
    this.#stopped = true
  }

  #begin(): void {
    if (this.#cursor >= 0) {
      this.#again = true
      return
    }
    this.#cursor = 0
    this.#server.world.clock.after(BEGIN_AFTER_MS, () => this.#goOn())
  }

  /** A part of the store, and when its keys were offered the next one. */
  #goOn(): void {
    if (this.#stopped) return
    const { config, store, world } = this.#server
    store.now = world.clock.now()
    const keys: Buffer[] = []
    this.#cursor = store.scan(0, this.#cursor, WALK_SLOTS, (bytes, pos, length) => {
      if (this.#takerOf(keySlot(bytes, pos, length)) === null) return
      if (config.groups.match(bytes, pos, length)?.hasCopies !== true) return
      keys.push(Buffer.from(bytes.subarray(pos, pos + length)))
    })
    const takerOf = (key: Buffer): string | null => this.#takerOf(keySlot(key, 0, key.length))
    const offers = [...byOwner(keys, takerOf)].flatMap(([owner, theirs]) =>
      [...offersOf(theirs)].map((offer) => ({ owner, ...offer })),
    )
    this.#offer(offers, () => {
      if (this.#cursor === 0 && !this.#again) {
        this.#cursor = -1
        return
      }
      if (this.#cursor === 0) this.#again = false
      world.clock.soon(() => this.#goOn())
    })
  }

  #takerOf(slot: number): string | null {
    const taker = this.#ownership.takerOf(slot)
    return taker !== null && this.#membership.isLive(taker) ? taker : null
  }

  #offer(
    offers: readonly { owner: string; words: readonly Buffer[]; keys: number }[],
    done: () => void,
  ): void {
    const [first, ...rest] = offers
    const peer = first && this.#server.routing.peers.get(first.owner)
    if (first === undefined || peer === undefined) return done()
    this.offered += first.keys
    const request = { deadlineMs: OFFER_MS_MAX, keyAt: -1, share: false }
    peer.request(first.words, request, () => this.#offer(rest, done))
  }
}
