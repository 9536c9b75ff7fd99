import type { Store } from '../store/store.ts'

/*
 * What a pipeline will ask for next is fetched while there is time.
 *
 * A GET of a key that nobody asked for lately waits twice for memory: for the slot of the index, and
 * for the entry it points to; one after the other, some hundred nanoseconds in all, a third of what
 * the whole request takes. In a pipeline the next keys are known already, and the processor waits
 * for many places in memory as long as for one, if it is told of them together. So before a batch
 * of commands runs, the bytes are skimmed for the first key of each, and the store touches what it
 * will need for all of them (`Store.fetch`). (Valkey 8 does the same for its I/O threads' batches.)
 *
 *     *2 $3 GET $3 key | *3 $3 SET $1 k $5 value | *2 $3 GET ...
 *        executed now      \_______ skimmed: positions and lengths of keys _______/
 *
 * Skimming only guesses. Bytes of another form end it; a key that is none is fetched in vain. What
 * the commands do does not depend on it.
 */

/** Commands that are skimmed at a time. Of more, the first would have gone again from the cache. */
const AHEAD_MAX = 32

const STAR = 0x2a
const DOLLAR = 0x24
const CR = 0x0d
const ZERO = 0x30

/** Longer numbers end the skimming. */
const DIGITS_MAX = 7

export class LookAhead {
  readonly #store: Store
  readonly #positions = new Int32Array(AHEAD_MAX)
  readonly #lengths = new Int32Array(AHEAD_MAX)
  /** Behind the number read last. */
  #end = 0

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Skims commands in bytes[from, to) and fetches what they will ask for in the database. Returns
   * where the next look is due: behind the last command skimmed, or `to`.
   */
  look(db: number, bytes: Uint8Array, from: number, to: number): number {
    let position = from
    let count = 0
    while (count < AHEAD_MAX) {
      const args = this.#number(bytes, position, to, STAR)
      if (args < 1) break
      let at = this.#end
      let key = -1
      let length = 0
      for (let i = 0; i < args; i++) {
        const size = this.#number(bytes, at, to, DOLLAR)
        if (size < 0) {
          at = to + 1
          break
        }
        at = this.#end
        if (i === 1) {
          key = at
          length = size
        }
        at += size + 2
      }
      if (at > to) break
      if (key >= 0) {
        this.#positions[count] = key
        this.#lengths[count] = length
        count++
      }
      position = at
    }
    if (count > 1) this.#store.fetch(db, bytes, this.#positions, this.#lengths, count)
    return count === AHEAD_MAX ? position : to
  }

  /** The number of a line that begins with `mark`; -1: there is no such line. */
  #number(bytes: Uint8Array, from: number, to: number, mark: number): number {
    if (from + 3 >= to || bytes[from] !== mark) return -1
    let n = 0
    let at = from + 1
    const last = at + DIGITS_MAX < to - 1 ? at + DIGITS_MAX : to - 1
    for (; at < last; at++) {
      const digit = bytes[at]! - ZERO
      if (digit < 0 || digit > 9) break
      n = n * 10 + digit
    }
    if (bytes[at] !== CR) return -1
    this.#end = at + 2
    return n
  }
}
