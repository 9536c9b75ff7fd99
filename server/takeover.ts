/**
 * Fetches keys of slots that were gained from the nodes that had them, each once, for all threads.
 *
 * A previous owner that does not answer soon is given up for that key, as one that has nothing: a miss
 * is allowed, a wait is not. What it may still answer is dropped, and the key is never asked for again,
 * so that a value cannot come after something newer was written, or deleted.
 */
import type { HandoffFence } from '../cluster/handoff-fence.ts'
import type { Membership } from '../cluster/membership.ts'
import type { PreviousOwners } from '../cluster/previous-owners.ts'
import type { PeerValue } from '../cluster/replies.ts'
import { keySlot } from '../cluster/slots.ts'
import type { Takers } from './handoff.ts'
import { readLine } from './moved-entry.ts'
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
  readonly #owners: PreviousOwners
  /** By key in latin1. */
  readonly #flights = new Map<string, (() => void)[]>()
  /** What was invalidated by tag since is not taken: from when there is somebody to ask. */
  #birth = 0

  constructor(
    server: Server,
    parts: {
      readonly fence: HandoffFence
      readonly membership: Membership
      readonly owners: PreviousOwners
    },
  ) {
    this.#server = server
    this.#fence = parts.fence
    this.#membership = parts.membership
    this.#owners = parts.owners
    parts.owners.onBegin(() => {
      this.#birth = server.store.birth()
    })
  }

  /** This node begins to serve. */
  begin(): void {
    this.#owners.begin()
  }

  hear(name: string, leaves: boolean, done: () => void): void {
    if (leaves) this.#membership.leaves(name)
    else this.#membership.stays(name)
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
    const owner = this.#owners.of(slot)
    const peer = owner === null ? undefined : this.#server.routing.peers.get(owner)
    if (peer === undefined || this.#flights.size >= FLIGHTS_MAX) {
      this.#fence.settle(slot, key)
      return done()
    }
    const waiting = [done]
    this.#flights.set(name, waiting)
    this.counters.asked++
    const { givenUp } = this.#fence
    const request = { deadlineMs: ANSWER_MS, hearMs: ANSWER_MS, keyAt: -1, share: false }
    peer.request([...TAKE, key], request, (outcome, value) => {
      if (outcome !== 'reply') this.counters.givenUp++
      else if (givenUp === this.#fence.givenUp) this.#arrive(key, value)
      this.#fence.settle(slot, key)
      this.#flights.delete(name)
      for (const run of waiting) run()
    })
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
    if (stored) this.counters.moved++
  }
}
