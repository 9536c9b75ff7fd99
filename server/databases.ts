/**
 * Which database of the store a client means by a number. At first they are the same; SWAPDB exchanges
 * two of them, and no entry moves: each thread has its clients look elsewhere from then on, all
 * threads at the same moment (threads/hub.ts), and what clients do costs nothing more.
 *
 * The table lies in words that all threads share. `Client.db` is the store's database, found when the
 * client chooses one.
 */
import type { Client } from './clients/client.ts'
import type { MovedDatabase } from './snapshots/snapshot-file.ts'

/** Word 0 counts the swaps; the table follows. */
const TABLE = 1

export class Databases {
  /** For the Databases of another thread. */
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array

  /** `databases`: how many there are, or what another thread has. */
  constructor(databases: number | SharedArrayBuffer) {
    const isFirst = typeof databases === 'number'
    this.shared = isFirst ? new SharedArrayBuffer((TABLE + databases) * 4) : databases
    this.#words = new Int32Array(this.shared)
    if (isFirst) for (let n = 0; n < databases; n++) this.#words[TABLE + n] = n
  }

  /** The store's database that clients call `number`. */
  behind(number: number): number {
    return this.#words[TABLE + number]!
  }

  /** What clients call a database of the store; below 0: they have no number for it. */
  numberOf(database: number): number {
    return this.#words.indexOf(database, TABLE) - TABLE
  }

  /** How often `swap` was called, on any thread. */
  get swaps(): number {
    return Atomics.load(this.#words, 0)
  }

  /** Those that stand where another one did, for a snapshot. */
  get moved(): readonly MovedDatabase[] {
    const moved: MovedDatabase[] = []
    this.#words.subarray(TABLE).forEach((database, number) => {
      if (database !== number) moved.push({ number, database })
    })
    return moved
  }

  /** How many there would be if these two were exchanged. */
  movedAfter(one: number, two: number): number {
    const words = this.#words
    const count = (number: number, database: number): number => (number === database ? 0 : 1)
    const [first, second] = [words[TABLE + one]!, words[TABLE + two]!]
    const before = count(one, first) + count(two, second)
    return this.moved.length - before + count(one, second) + count(two, first)
  }

  /** What `moved` gave, before anybody has used the databases. */
  restore(moved: readonly MovedDatabase[]): void {
    for (const { number, database } of moved) this.#words[TABLE + number] = database
  }

  /** Exchanges two. No other thread may use them meanwhile; those that wait for it wake up. */
  swap(one: number, two: number): void {
    const words = this.#words
    const database = words[TABLE + one]!
    words[TABLE + one] = words[TABLE + two]!
    words[TABLE + two] = database
    Atomics.add(words, 0, 1)
    Atomics.notify(words, 0)
  }

  /** Stops this thread until there were more swaps than so many. */
  waitForSwap(swaps: number): void {
    while (this.swaps <= swaps) Atomics.wait(this.#words, 0, swaps)
  }

  /** Has clients of this thread see what the other number meant, after these two were exchanged. */
  follow(clients: Iterable<Client>, one: number, two: number): void {
    const [first, second] = [this.behind(one), this.behind(two)]
    for (const client of clients) {
      if (client.db === first) client.db = second
      else if (client.db === second) client.db = first
      if (client.watches > 0) client.watched.exchange(first, second)
    }
  }
}
