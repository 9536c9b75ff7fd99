/**
 * How this node takes its leave of the cluster when it is told to end.
 *
 *   announce   PEER LEAVE to all others, who take it out of their rings and have the new owners ask it
 *              for keys; these questions wait, for others may still write here
 *   leave      commands of other nodes are turned away, and run by the new owner; then out of its own
 *              ring: commands of its own clients are forwarded
 *   give       no command can change a key here any more: keys are given to whoever asks
 *   offer      PEER OFFER, the hottest keys first: the new owners take what they do not have yet
 *   wait       for loads that others wait for
 *
 * Keys are offered, not sent: there is one way only in which an entry comes to another node, and a
 * key that is written or deleted there meanwhile is safe from its old value (handoff.ts). What is not
 * taken when the time or the bytes are used up is lost, as with a crash.
 */
import {
  ANNOUNCES,
  GIVES,
  HAS_LEFT,
  type HandoffFence,
  STAYS,
} from '../../cluster/ownership/handoff-fence.ts'
import type { Membership } from '../../cluster/members/membership.ts'
import { PeerError } from '../../cluster/peers/replies.ts'
import { keySlot } from '../../cluster/slots.ts'
import { byOwner, offersOf } from './offers.ts'
import type { Server } from '../server.ts'
import { WALK_SLOTS } from '../turns.ts'

/** All of it, and the end of the process after it, take 10 s at most. */
export const LEAVE_MS_MAX = 7_000
/** Less than what a new owner waits for a key (takeover.ts): its questions wait for this. */
const ANNOUNCE_MS = 200
/** A node that missed it hears of it again. */
const REPEAT_MS = 500
const OFFER_MS_MAX = 4_000
const OFFER_BYTES_MAX = 256 * 1024 * 1024
/** Accesses that counted, of those that are offered first, and then. */
const ROUNDS = [2, 1, 0]
const WAIT_STEP_MS = 20

const LEAVE = [Buffer.from('PEER'), Buffer.from('LEAVE')]
const STAY = [Buffer.from('PEER'), Buffer.from('STAY')]

export class Leaving {
  readonly #server: Server
  readonly #membership: Membership
  readonly #fence: HandoffFence
  /** Keys that were offered. */
  offered = 0
  /** Of what was said last. */
  #wordNumber = 0
  /** Who has heard that this node leaves. */
  readonly #told = new Set<string>()

  constructor(server: Server, membership: Membership, fence: HandoffFence) {
    this.#server = server
    this.#membership = membership
    this.#fence = fence
  }

  /** Tells the others that this node is there. */
  announce(): void {
    const stay = this.#word(STAY)
    for (const name of this.#server.routing.peers.keys()) void this.#say(name, stay, ANNOUNCE_MS)
  }

  /** Resolves when the others have what they can have; at once where there are none. */
  async leave(): Promise<void> {
    const { clock } = this.#server.world
    const fence = this.#fence
    const endsAt = clock.now() + LEAVE_MS_MAX
    if (this.#others().length === 0) return
    this.#told.clear()
    fence.phase = ANNOUNCES
    await Promise.all(this.#others().map((name) => this.#say(name, this.#word(LEAVE), ANNOUNCE_MS)))
    // In this order: what it has is hidden from others as soon as it is out of its own ring, and nobody
    // is to take that for a miss.
    fence.phase = HAS_LEFT
    this.#membership.leaves(this.#membership.self)
    await this.#server.settled()
    fence.phase = GIVES
    await this.#release()
    const again = clock.every(REPEAT_MS, () => {
      for (const name of this.#others()) void this.#say(name, this.#word(LEAVE), ANNOUNCE_MS)
    })
    await this.#offerAll(Math.min(endsAt, clock.now() + OFFER_MS_MAX))
    const { loads } = this.#server
    while (loads.waiting > 0 && clock.now() < endsAt) await this.#pause(WAIT_STEP_MS)
    again.cancel()
  }

  /** The node does not end after all. */
  async stay(): Promise<void> {
    this.#fence.phase = STAYS
    this.#membership.stays(this.#membership.self)
    // Who has not heard of it was no owner in between: what it may keep is from before.
    for (const name of this.#others()) {
      if (!this.#told.has(name)) this.#server.takeover!.distrust(name)
    }
    await this.#release()
    this.announce()
  }

  /** See cluster/members/good-byes.ts. */
  #word(words: readonly Buffer[]): readonly Buffer[] {
    const { incarnation } = this.#server
    return [...words, Buffer.from(incarnation), Buffer.from(String(++this.#wordNumber))]
  }

  #others(): readonly string[] {
    return this.#membership.live().names.filter((name) => name !== this.#membership.self)
  }

  /** Resolves when it was heard, or will not be. */
  #say(name: string, words: readonly Buffer[], deadlineMs: number): Promise<void> {
    const request = { deadlineMs, keyAt: -1, share: false }
    return new Promise((resolve) => {
      const peer = this.#server.routing.peers.get(name)
      if (peer === undefined) resolve()
      else {
        peer.request(words, request, (outcome, value) => {
          const isHeard = outcome === 'reply' && !(value instanceof PeerError)
          if (isHeard && words[1] === LEAVE[1]) this.#told.add(name)
          resolve()
        })
      }
    })
  }

  #release(): Promise<void> {
    return new Promise((resolve) => this.#server.ask('release', null, () => resolve()))
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#server.world.clock.after(ms, resolve))
  }

  /** The hottest first, until the time or the bytes are used up. */
  async #offerAll(endsAt: number): Promise<void> {
    const { store, world } = this.#server
    let bytesLeft = this.#server.config['cluster-handoff'] === 0 ? 0 : OFFER_BYTES_MAX
    for (const accessesMin of ROUNDS) {
      let cursor = 0
      do {
        if (world.clock.now() >= endsAt || bytesLeft <= 0) return
        const keys: Buffer[] = []
        store.now = world.clock.now()
        const visit = (bytes: Uint8Array, pos: number, length: number): void => {
          keys.push(Buffer.from(bytes.subarray(pos, pos + length)))
        }
        cursor = store.scan(0, cursor, WALK_SLOTS, visit, accessesMin)
        for (const key of keys) {
          if (store.peek(0, key, 0, key.length)) bytesLeft -= store.occupiedBytes
          store.close()
        }
        await this.#offer(keys, endsAt)
      } while (cursor !== 0)
    }
  }

  /** Offers keys to their new owners. */
  async #offer(keys: readonly Buffer[], endsAt: number): Promise<void> {
    const ring = this.#membership.live()
    const owners = byOwner(keys, (key) => {
      const owner = ring.owner(keySlot(key, 0, key.length))
      return owner === this.#membership.self ? null : owner
    })
    await Promise.all([...owners].map(([owner, theirs]) => this.#offerTo(owner, theirs, endsAt)))
  }

  async #offerTo(owner: string, keys: readonly Buffer[], endsAt: number): Promise<void> {
    const { clock } = this.#server.world
    for (const offer of offersOf(keys)) {
      if (clock.now() >= endsAt) return
      this.offered += offer.keys
      await this.#say(owner, offer.words, Math.max(1, endsAt - clock.now()))
    }
  }
}
