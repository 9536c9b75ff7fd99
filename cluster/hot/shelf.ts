/**
 * Copies of other nodes' values, of one thread, within a number of bytes.
 *
 * A plain Map, not the store: a copy lives for a second, may not be seen by any command but a few
 * reads, must not push out what this node owns, and would cost it a lock and an entry of its index;
 * there are as many as there are hot keys, which are few. The price is that its bytes stand beside
 * `maxmemory`, not in it, which is why they are counted and bounded here. The oldest make room.
 */

/** What a copy takes beside key and value: the object, its place in the Map, the array's head. */
const COPY_BYTES = 256

/** One value of another node. */
export interface Copy {
  readonly value: Uint8Array
  /** Whose it is. */
  readonly owner: string
  /** On the clock's scale: until when it may be served, and from when on a newer one is wanted. */
  readonly until: number
  readonly renewAt: number
  readonly slot: number
  /** See stamps.ts. */
  readonly stamp: number
  /** Reads that were answered with it and not reported yet. */
  hits: number
}

export class Shelf {
  readonly #copies = new Map<string, Copy>()
  readonly #perOwner = new Map<string, number>()
  #bytes = 0

  get size(): number {
    return this.#copies.size
  }

  get bytes(): number {
    return this.#bytes
  }

  countOf(owner: string): number {
    return this.#perOwner.get(owner) ?? 0
  }

  get(key: string): Copy | undefined {
    return this.#copies.get(key)
  }

  entries(): Iterable<[string, Copy]> {
    return this.#copies
  }

  /** Keeps a copy; the oldest go for it. False: it alone is too much. */
  put(key: string, copy: Copy, bytesMax: number): boolean {
    this.delete(key)
    const bytes = bytesOf(key, copy)
    if (bytes > bytesMax) return false
    for (const [oldest] of this.#copies) {
      if (this.#bytes + bytes <= bytesMax) break
      this.delete(oldest)
    }
    this.#copies.set(key, copy)
    this.#bytes += bytes
    this.#perOwner.set(copy.owner, this.countOf(copy.owner) + 1)
    return true
  }

  delete(key: string): boolean {
    const copy = this.#copies.get(key)
    if (copy === undefined) return false
    this.#copies.delete(key)
    this.#bytes -= bytesOf(key, copy)
    this.#perOwner.set(copy.owner, this.countOf(copy.owner) - 1)
    return true
  }

  /** Lets go of all copies of which this holds. */
  deleteWhere(holds: (copy: Copy) => boolean): void {
    for (const [key, copy] of this.#copies) if (holds(copy)) this.delete(key)
  }

  clear(): void {
    this.#copies.clear()
    this.#perOwner.clear()
    this.#bytes = 0
  }
}

function bytesOf(key: string, { value }: Copy): number {
  return 2 * key.length + value.length + COPY_BYTES
}
