/**
 * Fetches keys of slots that were gained from the nodes that had them, each once, for all threads.
 *
 * A previous owner that does not answer soon is given up for that key, as one that has nothing: a miss
 * is allowed, a wait is not. What it may still answer is dropped, and the key is never asked for again,
 * so that a value cannot come after something newer was written, or deleted.
 *
 * Whom to ask says ownership.ts. Here it is decided for which slots anybody is asked at all, by opening
 * them in the fence:
 *
 *     this node begins                       all its slots
 *     slots are gained                       those, anew: keys are asked for again
 *     it has forgotten all that it had:      those that are open stay so, as far as there is still
 *                                            somebody to ask
 *         because it stood still             all its slots, anew
 *     slots are lost, who had them is down   they are closed
 */
import type { HandoffFence } from '../cluster/handoff-fence.ts'
import type { Membership } from '../cluster/membership.ts'
import type { Move, Ownership } from '../cluster/ownership.ts'
import type { Timer } from '../cluster/world.ts'
import type { PeerValue } from '../cluster/replies.ts'
import { keySlot, SLOT_COUNT } from '../cluster/slots.ts'
import type { Takers } from './handoff.ts'
import { readLine } from './moved-entry.ts'
import type { OwnedSlots } from './owned-slots.ts'
import type { Server } from './server.ts'
import { STORED } from './store/store.ts'

const ANSWER_MS = 300
/** Keys on their way. More are misses. */
const FLIGHTS_MAX = 65_536
const TAKE = [Buffer.from('PEER'), Buffer.from('TAKE')]

/** Counted since the start. */
export interface TakeoverCounters {
  asked: number
  /** Came with a value that was stored. */
  moved: number
  /** Of those that were asked for: without an answer in time. */
  givenUp: number
}

export class Takeover implements Takers {
  readonly counters: TakeoverCounters = { asked: 0, moved: 0, givenUp: 0 }
  readonly #server: Server
  readonly #fence: HandoffFence
  readonly #membership: Membership
  readonly #ownership: Ownership
  /** By key in latin1. */
  readonly #flights = new Map<string, (() => void)[]>()
  /** What was invalidated by tag since is not taken: from when there is somebody to ask. */
  #birth = 0
  /** Looks when the window is over. */
  #timer: Timer | null = null
  /** Counts how often all was forgotten: what was asked for before is not taken. */
  #forgotten = 0

  constructor(
    server: Server,
    parts: {
      readonly fence: HandoffFence
      readonly membership: Membership
      readonly ownership: Ownership
      readonly ownedSlots: OwnedSlots
    },
  ) {
    this.#server = server
    this.#fence = parts.fence
    this.#membership = parts.membership
    this.#ownership = parts.ownership
    parts.ownership.onMove((move) => this.#onMove(move))
    parts.membership.onChange(({ state }) => {
      if (state === 'down') this.#closeVain()
    })
    parts.ownedSlots.onForget((stoodStill) => {
      this.#forgotten++
      if (stoodStill) this.#open(allSlots())
      else this.#closeVain()
      this.#closeLater()
    })
  }

  /** This node begins to serve. */
  begin(): void {
    this.#open(allSlots())
    this.#closeLater()
  }

  /** The node ends. */
  stop(): void {
    this.#timer?.cancel()
  }

  hear(name: string, leaves: boolean, done: () => void): void {
    if (leaves) {
      this.#membership.leaves(name)
    } else {
      this.#server.routing.peers.get(name)?.expect()
      this.#membership.stays(name)
    }
    done()
  }

  settle(key: Buffer, done: () => void): void {
    const name = key.toString('latin1')
    const flight = this.#flights.get(name)
    if (flight !== undefined) {
      flight.push(done)
      return
    }
    const slot = keySlot(key, 0, key.length)
    if (!this.#fence.asks(slot, key, 0, key.length)) return done()
    const owner = this.#ownerOf(slot)
    const peer = owner === null ? undefined : this.#server.routing.peers.get(owner)
    if (peer === undefined || this.#flights.size >= FLIGHTS_MAX) {
      this.#fence.settle(slot, key)
      return done()
    }
    const waiting = [done]
    this.#flights.set(name, waiting)
    this.counters.asked++
    const forgotten = this.#forgotten
    const number = this.#fence.numberOf(slot)
    const request = { deadlineMs: ANSWER_MS, hearMs: ANSWER_MS, keyAt: -1, share: false }
    peer.request([...TAKE, key], request, (outcome, value) => {
      if (outcome !== 'reply') this.counters.givenUp++
      // Else the slot was lost, or all given up, or forgotten meanwhile.
      else if (forgotten === this.#forgotten && number === this.#fence.numberOf(slot)) {
        this.#arrive(key, value)
      }
      this.#fence.settle(slot, key)
      this.#flights.delete(name)
      for (const run of waiting) run()
    })
  }

  /* ---- for which slots somebody is asked ---- */

  /** Who may have keys of the slot, and can be asked. */
  #ownerOf(slot: number): string | null {
    const owner = this.#ownership.previousOwner(slot)
    return owner !== null && this.#membership.isLive(owner) ? owner : null
  }

  #onMove({ gained, lost }: Move): void {
    for (const slot of lost) this.#fence.close(slot)
    this.#open(gained)
    if (gained.length > 0) this.#closeLater()
  }

  /** Keys of these slots are asked for from now on, if there is somebody to ask. */
  #open(slots: Iterable<number>): void {
    const number = this.#fence.nextNumber()
    for (const slot of slots) {
      if (this.#ownerOf(slot) === null) {
        this.#fence.close(slot)
        continue
      }
      if (!this.#fence.isActive) this.#birth = this.#server.store.birth()
      this.#fence.open(slot, number)
    }
  }

  /** What is opened last is closed when the window is over, and with it what was opened before. */
  #closeLater(): void {
    const { windowMs } = this.#ownership
    this.#timer?.cancel()
    this.#timer = this.#server.world.clock.after(windowMs, () => this.#closeVain())
  }

  /** Closes the slots of which there is nobody to ask any more. */
  #closeVain(): void {
    if (!this.#fence.isActive) return
    let open = 0
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (!this.#fence.isOpen(slot)) continue
      if (this.#ownerOf(slot) === null) this.#fence.close(slot)
      else open++
    }
    if (open === 0) this.#fence.end()
  }

  /** Stores what came, if there is nothing and nothing is on its way. */
  #arrive(key: Buffer, entry: PeerValue): void {
    if (!Array.isArray(entry)) return
    const [line, value] = entry as readonly PeerValue[]
    if (!Buffer.isBuffer(line) || !Buffer.isBuffer(value)) return
    const { config, loadStore, store, world } = this.#server
    const now = world.clock.now()
    store.now = now
    const arrival = readLine(line, config.groups, { now, birth: this.#birth })
    if (arrival === null) return
    const { expireAt, extras, group } = arrival
    if (group !== null && !loadStore.makesRoom(group, key.length + value.length)) return
    const found = store.openAny(0, key, 0, key.length)
    const isFree = !found && store.leaseToken() === 0
    const stored = isFree && store.put(value, 0, value.length, expireAt, extras) === STORED
    store.close()
    if (!stored) return
    this.counters.moved++
    this.#server.copies?.arrived(key)
  }
}

function* allSlots(): Iterable<number> {
  for (let slot = 0; slot < SLOT_COUNT; slot++) yield slot
}
