/**
 * Which keys of hidden slots (slot-states.ts) a thread has visited a moment ago.
 *
 * The first visit of such a key removes what is left there from before. The next ones must not remove
 * what the first one has brought: a hundred clients that miss a key are to wait for one load, not to
 * begin a hundred. It holds for as long as a visit does, and each thread knows its own visits only: what
 * another one has brought is removed once more, which is a miss.
 */
import type { SlotStates } from './slot-states.ts'

/** More, and longer ones, are removed each time. */
const KEYS_MAX = 10_000
const KEY_BYTES_MAX = 64 * 1024

/** See the top of the file. */
export class VisitedKeys {
  readonly #states: Pick<SlotStates, 'while'>
  /** In latin1. */
  readonly #keys = new Set<string>()
  #while = -1

  constructor(states: Pick<SlotStates, 'while'>) {
    this.#states = states
  }

  /** Is this the first visit of the key, which is in a slot that hides some? */
  isFirst(bytes: Uint8Array, pos: number, length: number): boolean {
    if (length > KEY_BYTES_MAX) return true
    const now = this.#states.while
    if (now !== this.#while) this.#keys.clear()
    this.#while = now
    const key = Buffer.from(bytes.buffer, bytes.byteOffset + pos, length).toString('latin1')
    if (this.#keys.has(key)) return false
    if (this.#keys.size < KEYS_MAX) this.#keys.add(key)
    return true
  }
}
