/**
 * How many keys nobody may see (cluster/ownership/slot-states.ts): the store counts them, clients must not.
 *
 * Keys are not kept by slot, so they are counted by a walk over all of them, in turns with everything else:
 * when slots are lost, and now and then while anything is hidden. In between the number goes down as they are
 * given away or removed by a visit. What is evicted or expires in between is not noticed, so for some seconds
 * the number may be too high by those.
 */
import type { Server } from '../server.ts'
import { WALK_SLOTS } from '../turns.ts'

/** See the top of the file. One of the hub's. */
export class HiddenKeys {
  readonly #server: Server
  #isCounting = false
  #isOutdated = false

  constructor(server: Server) {
    this.#server = server
  }

  /** Counts them anew, soon. */
  count(): void {
    this.#isOutdated = this.#isCounting
    if (this.#isCounting) return
    this.#isCounting = true
    const { routing, slotStates, store, turns, world } = this.#server
    let cursor = 0
    let hidden = 0
    const visit = (bytes: Uint8Array, pos: number, length: number): void => {
      if (routing.hides(bytes, pos, length)) hidden++
    }
    const step = (): boolean => {
      cursor = store.scan(0, cursor, WALK_SLOTS, visit)
      return cursor === 0
    }
    const takeTurn = (): boolean => {
      store.now = world.clock.now()
      if (!turns.slice(step, () => true)) return true
      slotStates.hiddenKeys = hidden
      this.#isCounting = false
      if (this.#isOutdated) this.count()
      return false
    }
    turns.add({ takeTurn })
  }
}
