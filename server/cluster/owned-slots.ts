/**
 * The hub's part in slots that come and go: when entries are removed, and when commands wait.
 *
 * - A slot is lost: its entries are hidden at once (slot-states.ts), and removed when nobody may ask for
 *   them any more (ownership.ts).
 * - A slot is gained: entries that are hidden in it are removed before it is this node's own again.
 * - This node may have been down for others: nothing is answered from what it has until that is known
 *   (doubt.ts), and if it was all of it is removed.
 *
 * To remove is to make worthless at once, however many they are, and to sweep afterwards (store/purge.ts).
 * The store can do that once at a time. Where it must be done before anything else, and another one (a
 * CACHE.INVALIDATE) is being swept, commands for keys wait.
 */
import { askWhetherLive } from '../../cluster/ownership/rejoin.ts'
import { Doubt } from '../../cluster/ownership/doubt.ts'
import type { Membership } from '../../cluster/members/membership.ts'
import type { Move, Ownership } from '../../cluster/ownership/ownership.ts'
import { SLOT_COUNT } from '../../cluster/slots.ts'
import type { Timer } from '../../cluster/world.ts'
import { HiddenKeys } from './hidden-keys.ts'
import type { Server } from '../server.ts'
import { addSlot, SLOT_SET_BYTES } from '../store/store.ts'

/**
 * What visits left in a slot is seen for one of these, and for two at most; see slot-states.ts. One is longer than it
 * takes until the owner is down for all: then what it left is this node's own.
 */
function tickMs(nodeTimeoutMs: number): number {
  return Math.max(1000, (5 / 3) * nodeTimeoutMs)
}

/** What is hidden is counted again, in ticks. */
const COUNT_TICKS = 10

/** See the top of the file. */
export class OwnedSlots {
  readonly doubt: Doubt
  readonly #server: Server
  readonly #membership: Membership
  readonly #ownership: Ownership
  #tick: Timer
  readonly #hiddenKeys: HiddenKeys
  #ticks = 0
  readonly #onForget: (() => void)[] = []
  readonly #onReplaced: ((name: string) => void)[] = []
  readonly #startedAt: number
  /** Slots that have been visited for a tick already. */
  #visited = new Set<number>()
  /** Slots that are this node's as soon as what is hidden in them is removed. */
  readonly #pending = new Set<number>()
  /** When this process was found to have stood still; -Infinity: in this doubt it was not. */
  #stalledAt = -Infinity
  /** Of the last doubt that was begun here (gate.ts). */
  #doubtNumber = 0

  constructor(server: Server, membership: Membership, ownership: Ownership) {
    this.#server = server
    this.#membership = membership
    this.#ownership = ownership
    const { gate, slotStates, world } = server
    this.#startedAt = world.clock.now()
    slotStates.begin(this.#startedAt, true)
    for (let slot = 0; slot < SLOT_COUNT; slot++) slotStates.set(slot, ownership.isOwn(slot))
    this.doubt = new Doubt({
      clock: world.clock,
      rejoinMs: () => server.config['cluster-node-timeout'],
      others: () => membership.live().names.filter((name) => name !== membership.self),
      ask: (name, timeoutMs, done) =>
        askWhetherLive(server.routing.peers.get(name)!, timeoutMs, done),
      hold: () => {
        this.#doubtNumber = gate.beginDoubt()
      },
      over: () => this.#doubtOver(),
      forget: () => this.#forgetAll(),
      repeat: (attempt) => this.#repeat(attempt),
      rejoined: (name) => this.#rejoined(name),
      cut: (name) => this.#cut(name),
    })
    this.#hiddenKeys = new HiddenKeys(server)
    ownership.onMove((move) => this.#onMove(move))
    this.#tick = this.#startTicks()
    server.config.onChange('cluster-node-timeout', () => {
      this.#tick.cancel()
      this.#tick = this.#startTicks()
    })
  }

  #startTicks(): Timer {
    const { config, world } = this.#server
    return world.clock.every(tickMs(config['cluster-node-timeout']), () => this.#settle())
  }

  /** To be called now and then: did another thread notice that it stood still? */
  look(): void {
    if (this.#server.gate.isInDoubt && !this.doubt.isRaised) this.stoodStill()
  }

  /** This process, or a thread of it, stood still for so long that others may have missed it. */
  stoodStill(): void {
    this.#stalledAt = this.#server.world.clock.now()
    this.#server.log.notice(
      'this process stood still: the other nodes are asked what they know of it',
    )
    this.doubt.raise()
  }

  /** Calls `listener` whenever all that this node had has been forgotten. */
  onForget(listener: () => void): void {
    this.#onForget.push(listener)
  }

  /**
   * Calls `listener` with a node that had this one down while it stood still, when all is forgotten and before
   * any command runs: that one has written for it since, and this one nothing.
   */
  onReplaced(listener: (name: string) => void): void {
    this.#onReplaced.push(listener)
  }

  stop(): void {
    this.#tick.cancel()
    this.doubt.stop()
  }

  #doubtOver(): void {
    this.#stalledAt = -Infinity
    this.#server.gate.endDoubt(this.#doubtNumber)
    this.#resume()
  }

  #resume(): void {
    this.#server.ask('resume', null, () => {})
  }

  #rejoined(name: string): void {
    if (this.#stalledAt > 0) for (const listener of this.#onReplaced) listener(name)
  }

  /** What a node sent before this one stood still has been waiting too long to be run. */
  #cut(node: string): void {
    const before = this.#stalledAt
    if (before > 0) this.#server.ask('cut', { node, before }, () => {})
  }

  /* ---- entries ---- */

  #forgetAll(): boolean {
    const { log, slotStates, world } = this.#server
    const slots = new Uint8Array(SLOT_SET_BYTES).fill(0xff)
    if (!this.#begins(slots, -1)) return false
    // Who was awake all the time was cut off: others may know less than it did. But of a process that began
    // a while ago it is known which keys it has touched, and those are not asked for again (takeover.ts).
    const now = world.clock.now()
    const stoodStill = this.#stalledAt > 0
    slotStates.begin(now, stoodStill || now - this.#startedAt < this.#ownership.windowMs)
    this.#server.ask('spoil', null, () => {})
    this.#hiddenKeys.count()
    for (const listener of this.#onForget) listener()
    log.warning('this node was down for others: all that it had is forgotten')
    return true
  }

  /** `db`: not the one with copies that are kept for others, unless it is -1. */
  #begins(slots: Uint8Array, db = 0): boolean {
    return this.#server.invalidations.begins({ kind: 'slots', db, slots })
  }

  /** Takes turns with everything else until it is done. */
  #repeat(attempt: () => boolean): void {
    this.#server.turns.add({ takeTurn: () => !attempt() })
  }

  #onMove({ gained, lost }: Move): void {
    const { gate, slotStates } = this.#server
    for (const slot of lost) {
      this.#pending.delete(slot)
      slotStates.lose(slot)
    }
    if (lost.length > 0) {
      this.#server.ask('spoil', null, () => {})
      this.#hiddenKeys.count()
    }
    const wasWaiting = this.#pending.size > 0
    for (const slot of gained) {
      if (slotStates.hidesSome(slot)) this.#pending.add(slot)
      else slotStates.gain(slot)
    }
    if (this.#pending.size === 0 || wasWaiting || this.#takesPending()) return
    gate.forgets = true
    this.#repeat(() => {
      if (!this.#takesPending()) return false
      gate.forgets = false
      this.#resume()
      return true
    })
  }

  /** Removes what is hidden in the slots that were gained. False: not yet. */
  #takesPending(): boolean {
    if (this.#pending.size === 0) return true
    if (!this.#begins(setOf(this.#pending))) return false
    for (const slot of this.#pending) this.#server.slotStates.gain(slot)
    this.#pending.clear()
    this.#hiddenKeys.count()
    return true
  }

  /** A second has gone by. Removes what has been hidden for long enough. */
  #settle(): void {
    const { clock } = this.#server.world
    const { slotStates } = this.#server
    slotStates.beginWhile()
    const visited = new Set<number>()
    const due: number[] = []
    let hides = false
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const state = slotStates.of(slot)
      if (state === 'own' || state === 'clean') continue
      if (state === 'visited' && !this.#visited.has(slot)) visited.add(slot)
      if (state === 'stale') {
        const keptMs = clock.now() - this.#ownership.lostAt(slot)
        if (keptMs >= this.#ownership.windowMs && !this.#pending.has(slot)) due.push(slot)
      } else {
        slotStates.settle(slot, this.#visited.has(slot))
      }
      if (slotStates.hidesSome(slot)) hides = true
    }
    this.#visited = visited
    this.#noteHidden(hides)
    // If another one is being swept: in a second.
    if (due.length === 0 || !this.#begins(setOf(due))) return
    for (const slot of due) slotStates.clean(slot)
    this.#hiddenKeys.count()
  }

  #noteHidden(hides: boolean): void {
    const { slotStates } = this.#server
    const isNew = hides && !slotStates.hidesAny
    slotStates.hidesAny = hides
    this.#ticks++
    if (hides && (isNew || this.#ticks % COUNT_TICKS === 0)) this.#hiddenKeys.count()
  }

  /** For PEER LIVE, by the node that asks. */
  isLive(name: string): boolean {
    const isLive = this.#membership.isLive(name)
    // It is there: it hears soon that it is to rejoin.
    if (!isLive) this.#server.routing.peers.get(name)?.expect()
    return isLive
  }
}

function setOf(slots: Iterable<number>): Uint8Array {
  const set = new Uint8Array(SLOT_SET_BYTES)
  for (const slot of slots) addSlot(set, slot)
  return set
}
