/**
 * Who had a slot before this node, and may still have its keys.
 *
 *   another node leaves    its slots come to this one: it is asked, until it has gone
 *   another node dies      its slots come to this one: there is nobody to ask
 *   this node begins       all its slots were somebody's while it was away: who would have them if it
 *                          was not there is asked, or who is next behind that one if that is dead
 *
 * For so long as the window says, from the change on. A slot that is lost meanwhile is asked for no
 * more.
 */
import type { HandoffFence } from './handoff-fence.ts'
import type { Member, Membership } from './membership.ts'
import { SLOT_COUNT } from './slots.ts'
import type { Clock } from './world.ts'

export class PreviousOwners {
  readonly #membership: Membership
  readonly #clock: Clock
  readonly #windowMs: number
  readonly #fence: HandoffFence
  /** Whose a slot was, as an index of `#names`. */
  readonly #before = new Uint16Array(SLOT_COUNT)
  readonly #until = new Float64Array(SLOT_COUNT)
  /** Is it gained because this node begins? */
  readonly #atBegin = new Uint8Array(SLOT_COUNT)
  readonly #names: string[] = []
  #owners: readonly (string | null)[] = []
  #onBegin: () => void = () => {}

  constructor(
    membership: Membership,
    parts: { readonly clock: Clock; readonly windowMs: number; readonly fence: HandoffFence },
  ) {
    this.#membership = membership
    this.#clock = parts.clock
    this.#windowMs = parts.windowMs
    this.#fence = parts.fence
    this.#owners = this.#ownersNow()
    membership.onChange((changed) => this.#follow(changed))
  }

  /** Calls `listener` whenever there is somebody to ask, and there was nobody before. */
  onBegin(listener: () => void): void {
    this.#onBegin = listener
  }

  /** This node begins to serve. */
  begin(): void {
    const { self } = this.#membership
    this.#gain((slot) => (this.#owners[slot] === self ? this.#next(slot) : null), 1)
  }

  /** Whom to ask for keys of this slot; null: nobody. */
  of(slot: number): string | null {
    return this.#fence.isOpen(slot) ? this.#names[this.#before[slot]!]! : null
  }

  #follow(changed: Member): void {
    const { self } = this.#membership
    const before = this.#owners
    const now = this.#ownersNow()
    this.#owners = now
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (now[slot] !== self) this.#fence.close(slot)
      else if (changed.state === 'down' && this.of(slot) === changed.name) this.#died(slot)
    }
    this.#gain((slot) => {
      const name = before[slot] ?? self
      if (now[slot] !== self || name === self) return null
      return this.#membership.member(name)?.state === 'down' ? null : name
    }, 0)
  }

  /** There is nobody to ask any more, or another one. */
  #died(slot: number): void {
    const next = this.#atBegin[slot] === 1 ? this.#next(slot) : null
    if (next === null) this.#fence.close(slot)
    else this.#before[slot] = this.#indexOf(next)
  }

  /** Who has the slot when this node is not there. */
  #next(slot: number): string | null {
    return this.#membership.live().after(slot, [this.#membership.self])
  }

  /** `whose` tells for each slot from whom it was gained, null: it was not. */
  #gain(whose: (slot: number) => string | null, atBegin: 0 | 1): void {
    if (this.#windowMs === 0) return
    const number = this.#fence.nextNumber()
    const until = this.#clock.now() + this.#windowMs
    const wasActive = this.#fence.isActive
    let count = 0
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const name = whose(slot)
      if (name === null) continue
      if (count++ === 0 && !wasActive) this.#onBegin()
      this.#before[slot] = this.#indexOf(name)
      this.#until[slot] = until
      this.#atBegin[slot] = atBegin
      this.#fence.open(slot, number)
    }
    if (count > 0) this.#clock.after(this.#windowMs, () => this.#expire())
  }

  #expire(): void {
    const now = this.#clock.now()
    let open = 0
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.#fence.isOpen(slot) && this.#until[slot]! <= now) this.#fence.close(slot)
      if (this.#fence.isOpen(slot)) open++
    }
    if (open === 0) this.#fence.end()
  }

  #indexOf(name: string): number {
    const index = this.#names.indexOf(name)
    return index >= 0 ? index : this.#names.push(name) - 1
  }

  #ownersNow(): readonly (string | null)[] {
    const ring = this.#membership.live()
    return Array.from({ length: SLOT_COUNT }, (_, slot) => ring.owner(slot))
  }
}
