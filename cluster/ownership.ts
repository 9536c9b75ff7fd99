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
 * What happens to the entries themselves is decided in one place, server/owned-slots.ts; who asks for them
 * (server/takeover.ts) uses `previousOwner`, and who is asked answers from what it has in a slot for which
 * `keepsFor` names the node that asks: the one that it was lost to, and nobody who came after that one.
 */
import type { Member, Membership } from './membership.ts'
import type { SlotStates } from './slot-states.ts'
import { SLOT_COUNT } from './slots.ts'
import type { Clock } from './world.ts'

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

  /** For which node this one keeps what it had in the slot; null: for none, or the window is over. */
  keepsFor(slot: number): string | null {
    if (this.#clock.now() - this.lostAt(slot) >= this.windowMs) return null
    // What it had before it forgot all it has no more.
    return this.lostAt(slot) > this.#states.begunAt ? this.#owners[slot]! : null
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
        lost.push(slot)
      }
    }
    if (gained.length + lost.length === 0) return
    for (const listener of this.#listeners) listener({ gained, lost })
  }
}
