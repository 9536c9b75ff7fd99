/**
 * Whose slot is whose, and since when: each thread of a node knows it by its own ring.
 *
 * When the ring changes, slots are *gained* and *lost*. Who lost a slot keeps its entries for a window
 * (`cluster-handoff`), hidden from everybody (slot-states.ts), so that whoever gained it may ask for them instead of
 * asking an origin. `previousOwner` says whom:
 *
 *     a node joined, weights changed     the new owner asks the one before
 *     a node left in an orderly way      who gained its slots asks it while it can be reached
 *     a node is down                     nobody has what it had: null
 *     this node has just begun, or       it asks for its slots who comes next on the ring: those stood
 *     stood still and has forgotten all  in for it, or were the owners before it came
 *     it was cut off from others, and    nobody: both sides went on, and what one of them has may be
 *     has forgotten all                  older than what was seen on the other
 *
 * What happens to the entries themselves is decided in one place, server/cluster/owned-slots.ts; who asks for them
 * (server/cluster/takeover.ts) uses `previousOwner`, and who is asked answers from what it has in a slot which it
 * `keepsFor` the node that asks: the one that it was lost to, and nobody who came after that one.
 *
 * It keeps it for the *process* of that node that there was when the slot was lost (its incarnation,
 * cluster/peers/handshake.ts). That one knows of which keys it has asked, and does not ask for a key again that
 * was written since. A process that takes its place, before anybody has missed the first one, does not know:
 * what the first one has not asked for, or not got in time, may have been written there meanwhile, and what
 * is here is old. A planned restart is something else: its slots come back here in between.
 */
import type { Member, Membership } from '../members/membership.ts'
import type { SlotStates } from './slot-states.ts'
import { SLOT_COUNT } from '../slots.ts'
import type { Clock } from '../world.ts'

/** What a change of the ring did to this node, by slot, ascending. */
export interface Move {
  readonly gained: readonly number[]
  readonly lost: readonly number[]
}

export interface OwnershipOptions {
  readonly membership: Membership
  readonly states: SlotStates
  readonly clock: Pick<Clock, 'now'>
  /** For so long what moved may be asked of who had it. 0: nobody is asked. */
  readonly windowMs: number
}

/** See the top of the file. */
export class Ownership {
  readonly windowMs: number
  readonly #membership: Membership
  readonly #states: SlotStates
  readonly #clock: Pick<Clock, 'now'>
  readonly #listeners = new Set<(move: Move) => void>()
  /** By slot. Of those that are not this node's too. */
  readonly #owners: (string | null)[]
  /** When the slot was gained or lost last; -Infinity: never since the start. */
  readonly #movedAt = new Float64Array(SLOT_COUNT).fill(-Infinity)
  /** Of a slot that was lost: the process that it was lost to, if that is known. */
  readonly #lostTo: string[] = Array.from({ length: SLOT_COUNT }, () => '')
  /** Of a slot that was gained: who may have what was there. */
  readonly #previous: (string | null)[] = Array.from({ length: SLOT_COUNT }, () => null)
  /** The same of a slot that is this node's since it began: who stood in for it then. */
  #standIns: (string | null)[] = []
  /** When that was. */
  #stoodInAt = -Infinity

  constructor(options: OwnershipOptions) {
    this.windowMs = options.windowMs
    this.#membership = options.membership
    this.#states = options.states
    this.#clock = options.clock
    const ring = options.membership.live()
    this.#owners = Array.from({ length: SLOT_COUNT }, (_, slot) => ring.owner(slot))
    options.membership.onChange((changed) => this.#follow(changed))
  }

  isOwn(slot: number): boolean {
    return this.#owners[slot] === this.#membership.self
  }

  /** Since when the slot is this node's, on the clock's scale; null: it is not. */
  ownSince(slot: number): number | null {
    if (!this.isOwn(slot)) return null
    return Math.max(this.#movedAt[slot]!, this.#states.begunAt)
  }

  /**
   * The node that may have entries of this slot, which is this node's, from before; null: nobody, or it is
   * too long ago. It need not answer.
   */
  previousOwner(slot: number): string | null {
    const since = this.ownSince(slot)
    if (since === null || this.#clock.now() - since >= this.windowMs) return null
    if (since > this.#states.begunAt) return this.#previous[slot]!
    return this.#states.wasReplaced ? this.#standIn(slot) : null
  }

  /** Whoever stood in for this node has what it had, also when it leaves; after it, who comes next. */
  #standIn(slot: number): string | null {
    if (this.#stoodInAt !== this.#states.begunAt) {
      const ring = this.#membership.live()
      const { self } = this.#membership
      this.#stoodInAt = this.#states.begunAt
      this.#standIns = Array.from({ length: SLOT_COUNT }, (_, slot) => ring.after(slot, [self]))
    }
    const known = this.#standIns[slot]!
    if (known !== null && this.#membership.isLive(known)) return known
    return (this.#standIns[slot] = this.#membership.live().after(slot, [this.#membership.self]))
  }

  /** When this node lost the slot; -Infinity: it never had it, or has it. */
  lostAt(slot: number): number {
    return this.isOwn(slot) ? -Infinity : this.#movedAt[slot]!
  }

  /** Does this node keep what it had in the slot for this process of a node? Not when the window is over. */
  keepsFor(slot: number, name: string, incarnation: string): boolean {
    return this.takerOf(slot) === name && this.#lostTo[slot] === incarnation
  }

  /** The node for a process of which it does so; null: none. */
  takerOf(slot: number): string | null {
    const lostAt = this.lostAt(slot)
    // What it had before it forgot all it has no more.
    if (this.#clock.now() - lostAt >= this.windowMs || lostAt <= this.#states.begunAt) return null
    return this.#lostTo[slot] === '' ? null : this.#owners[slot]!
  }

  /** Is there any slot that it keeps for that process? */
  keepsAnyFor(name: string, incarnation: string): boolean {
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.keepsFor(slot, name, incarnation)) return true
    }
    return false
  }

  /** Is called after each change of the ring that changed what this node owns. Returns its end. */
  onMove(listener: (move: Move) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #follow(changed: Member): void {
    const { self } = this.#membership
    const ring = this.#membership.live()
    const now = this.#clock.now()
    const [gained, lost]: [number[], number[]] = [[], []]
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const before = this.#owners[slot]!
      const owner = ring.owner(slot)
      if (owner === before) continue
      this.#owners[slot] = owner
      if (owner !== self && before !== self) {
        // Whoever has it now need not have had all that its owner in between had.
        this.#movedAt[slot] = -Infinity
        continue
      }
      this.#movedAt[slot] = now
      if (owner === self) {
        gained.push(slot)
        const isGone = before === changed.name && changed.state === 'down'
        this.#previous[slot] = isGone ? null : before
      } else {
        this.#lostTo[slot] = owner === null ? '' : this.#membership.member(owner)!.incarnation
        lost.push(slot)
      }
    }
    if (gained.length + lost.length === 0) return
    for (const listener of this.#listeners) listener({ gained, lost })
  }
}
