const NONE = -1

/** A queue of keys 0..keys-1, each in it at most once, from which any can be taken out. */
export class KeyQueue {
  readonly #older: Int32Array
  readonly #newer: Int32Array
  readonly #inside: Uint8Array
  #head = NONE
  #tail = NONE
  size = 0

  constructor(keys: number) {
    this.#older = new Int32Array(keys)
    this.#newer = new Int32Array(keys)
    this.#inside = new Uint8Array(keys)
  }

  has(key: number): boolean {
    return this.#inside[key] === 1
  }

  /** The oldest key, -1 when there is none. */
  get tail(): number {
    return this.#tail
  }

  /** The key must not be inside. */
  push(key: number): void {
    this.#older[key] = this.#head
    this.#newer[key] = NONE
    if (this.#head === NONE) this.#tail = key
    else this.#newer[this.#head] = key
    this.#head = key
    this.#inside[key] = 1
    this.size++
  }

  /** Takes the oldest out and returns it; there must be one. */
  shift(): number {
    const key = this.#tail
    this.remove(key)
    return key
  }

  /** The key must be inside. */
  remove(key: number): void {
    const older = this.#older[key]!
    const newer = this.#newer[key]!
    if (older === NONE) this.#tail = newer
    else this.#newer[older] = newer
    if (newer === NONE) this.#head = older
    else this.#older[newer] = older
    this.#inside[key] = 0
    this.size--
  }
}
