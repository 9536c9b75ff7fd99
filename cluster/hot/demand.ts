/**
 * How often clients of all other nodes read a key together, from what each node says of its own. What an
 * owner sees is less: equal reads that a node sends at the same time are one request, and the more a
 * node has to do the more of them there are.
 */

/** Keys that are remembered; the one that was told of longest ago makes room. */
const KEYS_MAX = 256

/** What was told so long ago counts no more. Nodes that have a copy ask for the next one sooner. */
const HOLDS_MS = 2500

interface Said {
  readonly rate: number
  readonly at: number
}

export class Demand {
  readonly #keys = new Map<string, Map<number, Said>>()

  /** Over link `from` it is said that the key is read so often a second. */
  told(key: string, from: number, rate: number, now: number): void {
    const said = this.#keys.get(key) ?? new Map<number, Said>()
    said.set(from, { rate, at: now })
    this.#keys.delete(key)
    this.#keys.set(key, said)
    if (this.#keys.size <= KEYS_MAX) return
    for (const [oldest] of this.#keys) {
      this.#keys.delete(oldest)
      return
    }
  }

  /** Reads a second, of all links. */
  of(key: string, now: number): number {
    const said = this.#keys.get(key)
    let sum = 0
    for (const [from, { rate, at }] of said ?? []) {
      if (now - at > HOLDS_MS) said!.delete(from)
      else sum += rate
    }
    return sum
  }
}
