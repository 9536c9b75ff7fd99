/**
 * Which keys have to be fetched from the node that had them before, seen by all threads of this one.
 *
 * A slot that this node gained lately has a number that is not 0: there may be somebody to ask. A key
 * of it is asked for once, when it is first touched, and then has its bit:
 *
 *     words    is there any such slot | how far this node's leaving has come | how often all was given up
 *     slots    16384 bytes: 0, or the number of the gain
 *     bits     2^25; which one is a key's depends on its slot's number, so a slot that is lost and
 *              gained again asks anew
 *
 * Two keys may have the same bit. Then the second is not asked for: a miss, which is always allowed.
 * A table of keys would have to forget some of them, and a key that is forgotten would be asked for
 * again, after it was deleted here. Bits are never taken back while there is anybody to ask.
 */
import { SLOT_COUNT } from '../slots.ts'

/** How far the leaving of this node has come. In this order. */
export const STAYS = 0
/** The others are told; what they want of this node waits. */
export const ANNOUNCES = 1
/** All that could be told know of it: what they still send here is turned away. */
export const HAS_LEFT = 2
/** No command that was let in before is under way: keys may be taken. */
export const GIVES = 3

const WORDS = 4
const ACTIVE = 0
const PHASE = 1
const GIVEN_UP = 2

/** Of keys that are asked for. Longer ones are misses: they are many bytes for a bit. */
export const KEY_BYTES_MAX = 1024 * 1024

const BITS_LOG = 25
const BITS_BYTES = 2 ** BITS_LOG / 8
const WORDS_BYTES = WORDS * 4
const NUMBER_MAX = 255

export class HandoffFence {
  /** For the fence of another thread. */
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #slots: Uint8Array
  readonly #bits: Int32Array
  /** The last number that was given. */
  #number = 0

  constructor(
    shared: SharedArrayBuffer = new SharedArrayBuffer(WORDS_BYTES + SLOT_COUNT + BITS_BYTES),
  ) {
    this.shared = shared
    this.#words = new Int32Array(shared, 0, WORDS)
    this.#slots = new Uint8Array(shared, WORDS_BYTES, SLOT_COUNT)
    this.#bits = new Int32Array(shared, WORDS_BYTES + SLOT_COUNT)
  }

  /** Is there a slot of which somebody is to be asked? */
  get isActive(): boolean {
    return this.#words[ACTIVE] !== 0
  }

  get phase(): number {
    return this.#words[PHASE]!
  }

  set phase(phase: number) {
    Atomics.store(this.#words, PHASE, phase)
  }

  /** Counts how often all questions were given up. */
  get givenUp(): number {
    return Atomics.load(this.#words, GIVEN_UP)
  }

  /** Is this key to be asked for? Its slot is passed along. */
  asks(slot: number, key: Uint8Array, pos: number, length: number): boolean {
    const number = this.#slots[slot]!
    if (number === 0 || length > KEY_BYTES_MAX) return false
    const bit = bitOf(key, pos, length, number)
    return (this.#bits[bit >>> 5]! & (1 << (bit & 31))) === 0
  }

  /** It was asked for, or never will be. */
  settle(slot: number, key: Uint8Array): void {
    const number = this.#slots[slot]!
    if (number === 0) return
    const bit = bitOf(key, 0, key.length, number)
    Atomics.or(this.#bits, bit >>> 5, 1 << (bit & 31))
  }

  /**
   * Nobody is asked of any key any more, and what is on its way is not taken: all that there is was
   * invalidated, here and elsewhere. By any thread.
   */
  giveUp(): void {
    if (!this.isActive) return
    Atomics.add(this.#words, GIVEN_UP, 1)
    this.#slots.fill(0)
  }

  /* ---- by the thread that follows the ring ---- */

  /** A number for slots that are gained now. */
  nextNumber(): number {
    this.#number = (this.#number % NUMBER_MAX) + 1
    return this.#number
  }

  open(slot: number, number: number): void {
    this.#slots[slot] = number
    Atomics.store(this.#words, ACTIVE, 1)
  }

  close(slot: number): void {
    this.#slots[slot] = 0
  }

  isOpen(slot: number): boolean {
    return this.#slots[slot] !== 0
  }

  /** Of the gain; 0: the slot is not open. */
  numberOf(slot: number): number {
    return this.#slots[slot]!
  }

  /** No slot is open any more. */
  end(): void {
    Atomics.store(this.#words, ACTIVE, 0)
    this.#bits.fill(0)
  }
}

/** FNV-1a with the number as its seed, and the last step of MurmurHash3, as all bits are needed. */
function bitOf(key: Uint8Array, pos: number, length: number, number: number): number {
  let hash = 0x811c9dc5 ^ Math.imul(number, 0x9e3779b1)
  for (let i = pos; i < pos + length; i++) hash = Math.imul(hash ^ key[i]!, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> (32 - BITS_LOG)
}
