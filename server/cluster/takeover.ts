/**
 * Fetches keys of slots that were gained from the nodes that had them, each once, for all threads.
 *
 * A previous owner that does not answer soon is given up for that key, as one that has nothing: a miss
 * is allowed, a wait is not. What it may still answer is dropped, and the key is never asked for again,
 * so that a value cannot come after something newer was written, or deleted.
 *
 * Whom to ask says cluster/ownership/ownership.ts. Here it is decided for which slots anybody is asked at all,
 * by opening them in the fence:
 *
 *     this node begins                       all its slots
 *     slots are gained                       those, anew: keys are asked for again
 *     it has forgotten all that it had:      those that are open stay so, as far as there is still
 *                                            somebody to ask
 *     a node had it down while it stood      those in which that node stood in for it, anew
 *     still
 *     slots are lost, who had them is down,  they are closed
 *     or says that it keeps nothing
 *
 * Anew means: also keys that were asked for already. That is right only where the other node was the owner
 * since. One that has not noticed that this node stood still may keep what it had when it lost the slot long ago,
 * and what was written here since is forgotten.
 */
import { Givers } from '../../cluster/ownership/givers.ts'
import type { Word } from '../../cluster/members/good-byes.ts'
import type { HandoffFence } from '../../cluster/ownership/handoff-fence.ts'
import type { Membership } from '../../cluster/members/membership.ts'
import type { Move, Ownership } from '../../cluster/ownership/ownership.ts'
import type { Timer } from '../../cluster/world.ts'
import type { PeerValue } from '../../cluster/peers/replies.ts'
import { keySlot, SLOT_COUNT } from '../../cluster/slots.ts'
import type { Takers } from './handoff.ts'
import { readLine } from './moved-entry.ts'
import type { OwnedSlots } from './owned-slots.ts'
import type { Server } from '../server.ts'
import { STORED } from '../store/store.ts'

const ANSWER_MS = 300
const QUESTION = { deadlineMs: ANSWER_MS, hearMs: ANSWER_MS, keyAt: -1, share: false }
/** Keys on their way. More are misses. */
const FLIGHTS_MAX = 65_536
const TAKE = [Buffer.from('PEER'), Buffer.from('TAKE')]
const KEPT = [Buffer.from('PEER'), Buffer.from('KEPT')]

/** Counted since the start. */
export interface TakeoverCounters {
  asked: number
  /** Came with a value that was stored. */
  moved: number
  /** Without an answer in time, or not even asked for, since nothing was answered a moment ago. */
  givenUp: number
}

export class Takeover implements Pick<Takers, 'settle' | 'hear'> {
  readonly counters: TakeoverCounters = { asked: 0, moved: 0, givenUp: 0 }
  readonly #server: Server
  readonly #fence: HandoffFence
  readonly #membership: Membership
  readonly #ownership: Ownership
  readonly #givers: Givers
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
    this.#givers = new Givers({
      clock: server.world.clock,
      ask: (name, done) => this.#askWhetherKept(name, done),
      onNone: (name) => this.#closeVain(name),
    })
    parts.ownership.onMove((move) => this.#onMove(move))
    parts.membership.onChange(({ state }) => {
      if (state !== 'down') return
      this.#closeVain()
      this.#expect()
    })
    parts.ownedSlots.onForget(() => {
      this.#forgotten++
      this.#closeVain()
      this.#closeLater()
    })
    parts.ownedSlots.onReplaced((name) => {
      this.#open(allSlots().filter((slot) => this.#ownership.previousOwner(slot) === name))
    })
  }

  /** This node begins to serve. */
  begin(): void {
    this.#open(allSlots())
    this.#closeLater()
  }

  /** What this node may have is older than what was here. */
  distrust(name: string): void {
    this.#closeVain(name)
  }

  /** The node ends. */
  stop(): void {
    this.#givers.stop()
    this.#timer?.cancel()
  }

  hear(name: string, word: Word, done: () => void): void {
    if (!word.leaves) this.#server.routing.peers.get(name)?.expect()
    this.#membership.heardWord(name, word)
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
    const isSilent = peer !== undefined && !this.#givers.mayAsk(owner!)
    if (peer === undefined || isSilent || this.#flights.size >= FLIGHTS_MAX) {
      if (isSilent) this.counters.givenUp++
      this.#fence.settle(slot, key)
      return done()
    }
    const waiting = [done]
    this.#flights.set(name, waiting)
    this.counters.asked++
    const forgotten = this.#forgotten
    const number = this.#fence.numberOf(slot)
    const { clock } = this.#server.world
    const askedAt = clock.now()
    const incarnation = Buffer.from(this.#server.incarnation)
    peer.request([...TAKE, key, incarnation], QUESTION, (outcome, value) => {
      this.#givers.heard(owner!, outcome === 'reply', clock.now() - askedAt)
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

  /** Does a node keep anything for this one? */
  #askWhetherKept(name: string, done: (keeps: boolean | null) => void): void {
    const peer = this.#server.routing.peers.get(name)
    if (peer === undefined) return done(null)
    const words = [...KEPT, Buffer.from(this.#server.incarnation)]
    peer.request(words, QUESTION, (outcome, value) => {
      done(outcome === 'reply' && typeof value === 'number' ? value > 0 : null)
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
    this.#expect()
  }

  /** Whoever is asked for keys may have some. */
  #expect(): void {
    if (!this.#fence.isActive) return
    const names = new Set<string>()
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const owner = this.#fence.isOpen(slot) ? this.#ownerOf(slot) : null
      if (owner !== null) names.add(owner)
    }
    this.#givers.expect(names)
  }

  /** What is opened last is closed when the window is over, and with it what was opened before. */
  #closeLater(): void {
    const { windowMs } = this.#ownership
    this.#timer?.cancel()
    this.#timer = this.#server.world.clock.after(windowMs, () => this.#closeVain())
  }

  /** Closes the slots of which there is nobody to ask any more, or only a node that has nothing. */
  #closeVain(hasNothing: string | null = null): void {
    if (!this.#fence.isActive) return
    let open = 0
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (!this.#fence.isOpen(slot)) continue
      const owner = this.#ownerOf(slot)
      if (owner === null || owner === hasNothing) this.#fence.close(slot)
      else open++
    }
    if (open > 0) return
    this.#fence.end()
    this.#givers.stop()
  }

  /** Stores what came, if there is nothing and nothing is on its way. */
  #arrive(key: Buffer, entry: PeerValue): void {
    if (!Array.isArray(entry)) return
    const [line, value] = entry as readonly PeerValue[]
    if (!Buffer.isBuffer(line) || (value !== null && !Buffer.isBuffer(value))) return
    const { config, loadStore, store, world } = this.#server
    const now = world.clock.now()
    store.now = now
    const arrival = readLine(line, config.groups, { now, birth: this.#birth })
    if (arrival === null) return
    const { expireAt, extras, group } = arrival
    const bytes = key.length + (value?.length ?? 0)
    if (group !== null && !loadStore.makesRoom(group, bytes)) return
    const found = store.openAny(0, key, 0, key.length)
    const isFree = !found && store.leaseToken() === 0
    let stored = false
    let token = 0
    // That it is missing is known from a load, and stored as what a load ends with.
    if (isFree && value === null && expireAt > 0) token = store.lease()
    else if (isFree && value !== null) {
      stored = store.put(value, 0, value.length, expireAt, extras) === STORED
    }
    store.close()
    if (token !== 0) stored = store.fill(0, key, token, null, expireAt, extras)
    if (!stored) return
    this.counters.moved++
    this.#server.copies?.arrived(key)
  }
}

function allSlots(): number[] {
  return Array.from({ length: SLOT_COUNT }, (_, slot) => slot)
}
