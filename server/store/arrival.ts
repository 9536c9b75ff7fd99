/*
 * Entries that come back from a snapshot, made to fit the process that reads it: what of their extras
 * was of the one that wrote it.
 *
 *   birth   is now: invalidations from before are not known here. (Those that were dead are not in
 *           the snapshot.)
 *   group   is looked for by the key: groups may have other numbers now, other patterns, or be gone
 *   times   move with the scale, as the entry's expiry does
 */
import * as extras from './extras.ts'
import type { Invalidation } from './invalidation.ts'

/** Number of the group of the key at bytes[pos, pos + length), -1: none. */
export type GroupOf = (bytes: Uint8Array, pos: number, length: number) => number

/** Adapts extras that were read. */
export class Arrivals {
  readonly #invalidation: Invalidation
  readonly #groupOf: GroupOf

  constructor(invalidation: Invalidation, groupOf: GroupOf) {
    this.#invalidation = invalidation
    this.#groupOf = groupOf
  }

  /** `at`: of the extras in `view`, of the entry of this key; `shift`: ms that are added to times. */
  adapt(
    view: DataView,
    at: number,
    shift: number,
    key: { readonly bytes: Uint8Array; readonly pos: number; readonly length: number },
  ): void {
    extras.setBirth(view, at, this.#invalidation.sequence)
    extras.shiftTimes(view, at, shift)
    if (extras.groupAt(view, at) >= 0) {
      extras.setGroup(view, at, this.#groupOf(key.bytes, key.pos, key.length))
    }
  }
}
