/**
 * What an owner has to tell over one link: which keys have changed of those that it has granted
 * copies of. Each change has a number, from 1.
 *
 *     changes    a  b  a  c          the other node has taken in 2, and is told next: 3 to 4, a and c
 *     numbers    1  2  3  4
 *                   ^taken
 *
 * The other node says with each question which number it has taken in, so nothing that is lost on
 * the way is lost for good; and a grant has the number of the last change before it was read, so one
 * that a later change has overtaken is known by it. The log has a limit: where too much is not taken
 * in, the other node is told that everything has changed.
 */

/** Changes that were not taken in, and bytes of their names. */
const CHANGES_MAX = 4096
const BYTES_MAX = 1024 * 1024

/** What is told: changes `from` + 1 to `to`. Null keys: of all that was granted. */
export interface Told {
  readonly from: number
  readonly to: number
  /** latin1 text. */
  readonly keys: readonly string[] | null
}

export class ChangeLog {
  /** Of this log among all: numbers of another one mean nothing. */
  readonly id: number
  /** The number of the last change. */
  #last = 0
  #taken = 0
  /** Of the last change that was one of everything; 0: there was none. */
  #all = 0
  /** Those behind both. */
  #keys: string[] = []
  #bytes = 0

  /** `id`: another one for each log, at most 2^32. */
  constructor(id: number) {
    this.id = id
  }

  get last(): number {
    return this.#last
  }

  /** Is there something that was not taken in? */
  get hasNews(): boolean {
    return this.#last > this.#taken
  }

  /** A key has changed. */
  add(key: string): void {
    this.#last++
    this.#keys.push(key)
    this.#bytes += key.length
    if (this.#keys.length > CHANGES_MAX || this.#bytes > BYTES_MAX) this.#forget()
  }

  /** Everything has changed. */
  addAll(): void {
    this.#last++
    this.#forget()
  }

  /** The other node has taken in the changes up to this one. False: there is no such one. */
  take(number: number): boolean {
    if (number > this.#last || number < this.#taken) return false
    const from = this.#last - this.#keys.length
    const taken = this.#keys.splice(0, Math.max(0, number - from))
    for (const key of taken) this.#bytes -= key.length
    this.#taken = number
    return true
  }

  /** What it has not taken in. */
  get told(): Told {
    const keys = this.#all > this.#taken ? null : this.#keys.slice()
    return { from: this.#taken, to: this.#last, keys }
  }

  #forget(): void {
    this.#all = this.#last
    this.#keys = []
    this.#bytes = 0
  }
}
