/*
 * Whole buckets on their way out of a store and in again: as an image (image.ts), or as items
 * (block.ts). One bucket at a time, under its lock, while the store is in use; what a snapshot is made
 * of in which order is told in snapshot.ts.
 */
import type { BigList } from './big-list.ts'
import type { Pages } from './big.ts'
import type { Block, Pinned } from './block.ts'
import { behind, factsOf, IMAGE, ITEMS, itemBytes, writeItem } from './block.ts'
import type { Arrivals } from './arrival.ts'
import type { Buckets } from './bucket.ts'
import { extrasAt, isPaged, keyAt, TYPE_LEASE, valueAt } from './entry.ts'
import { PAGED } from './header.ts'
import type { Implanted } from './image.ts'
import { Images } from './image.ts'
import type { Invalidation } from './invalidation.ts'
import type { Purge } from './purge.ts'
import type { Arena, Layout } from './memory.ts'
import { assert } from './memory.ts'
import type { Pool } from './pool.ts'
import { DEAD } from './state.ts'
import type { Usage } from './usage.ts'
import type { Verb } from './verb.ts'

/** A larger bucket is not copied at once: at 5 GB/s that would hold everybody up for 7 ms. */
const IMAGE_BYTES_MAX = 32 * 1024 * 1024

/** What of a store is needed for it. */
interface TransplantParts {
  readonly layout: Layout
  /** Bytes that the policy keeps with each entry. */
  readonly trailer: number
  readonly arenas: readonly Arena[]
  readonly pools: readonly Pool[]
  readonly verb: Verb
  /** One an arena. */
  readonly buckets: readonly Buckets[]
  readonly bigs: BigList
  readonly invalidation: Invalidation
  readonly purge: Purge
  readonly arrivals: Arrivals
  readonly usage: Usage
  /** A larger bucket is written as items. Default: `IMAGE_BYTES_MAX`. */
  readonly imageBytesMax: number | undefined
  /** Makes the bucket of this number the locked one, at the store's time. */
  readonly lock: (number: number) => void
  readonly unlock: () => void
  readonly unlockAfterArrival: () => void
  /** The value of an entry of the locked bucket as pages. */
  readonly pin: (address: number, length: number) => Pages
}

/** Where a bucket is. */
interface Home {
  readonly arena: Arena
  readonly buckets: Buckets
  readonly images: Images
  /** First word of the bucket's header. */
  readonly header: number
}

/** Copies buckets of a store into blocks, and blocks into buckets. */
export class Transplants {
  readonly #parts: TransplantParts
  readonly #images: readonly Images[]
  readonly #trailer: number
  readonly #imageBytesMax: number

  constructor(parts: TransplantParts) {
    this.#parts = parts
    this.#trailer = parts.trailer
    this.#imageBytesMax = parts.imageBytesMax ?? IMAGE_BYTES_MAX
    const { layout, verb, invalidation, purge, arrivals, usage } = parts
    this.#images = parts.buckets.map(({ index, eviction }, i) => {
      const [arena, pool] = [parts.arenas[i]!, parts.pools[i]!]
      const bucketParts = { arena, pool, layout, index, eviction, verb }
      return new Images({ ...bucketParts, invalidation, purge, arrivals, usage })
    })
  }

  /** Is the bucket written as an image? Else as items. Without a lock: as it is now, or just was. */
  hasImage(number: number): boolean {
    const { images, header } = this.#at(number)
    return this.#trailer === 0 && images.bytes(header) <= this.#imageBytesMax
  }

  /**
   * Copies a bucket into the block, but for its entries with pages: those are added to `pinned`, and
   * are to be released. @returns the entries in the block
   */
  captureImage(number: number, block: Block, pinned: Pinned[]): number {
    const home = this.#at(number)
    const { images, header } = home
    const { lock, unlock } = this.#parts
    block.begin(IMAGE, number)
    for (;;) {
      // Without the lock, which is not to wait for a large allocation: looked at again under it.
      block.room(images.bytes(header))
      lock(number)
      if (images.bytes(header) <= block.bytes.length - block.end) break
      unlock()
    }
    images.capture(header, block)
    this.#pinAll(home, pinned)
    unlock()
    return images.finish(block)
  }

  /**
   * Copies entries of a bucket into the block as items, from a hash on (0 begins) until there are
   * about `bytesMax`; all of them, in the order in which they would go, if they are so few. With
   * the first come those with pages, as above. @returns the hash to go on with, -1: no more
   */
  captureItems(
    number: number,
    hash: number,
    block: Block,
    { bytesMax, pinned }: { readonly bytesMax: number; readonly pinned: Pinned[] },
  ): number {
    const home = this.#at(number)
    const { header, images } = home
    const { index, eviction } = home.buckets
    block.begin(ITEMS, number)
    block.room(bytesMax)
    this.#parts.lock(number)
    if (hash === 0) this.#pinAll(home, pinned)
    let next = -1
    if (hash === 0 && images.bytes(header) <= bytesMax) {
      eviction.oldestFirst(header, (address) => this.#addItem(home, block, address))
    } else {
      let last = -1
      for (let at = index.seek(header, hash); at < index.slots(header); at++) {
        const address = index.address(header, at)
        if (address === 0) continue
        const here = index.hash(header, at)
        // Equal hashes stay together: the next call cannot begin between them.
        if (block.end - block.start >= bytesMax && here !== last) {
          next = here
          break
        }
        last = here
        this.#addItem(home, block, address)
      }
    }
    this.#parts.unlock()
    return next
  }

  /** Puts an image into its bucket; `shift` is added to expiry times. */
  implant(block: Block, shift: number): Implanted {
    const { layout, lock, unlockAfterArrival } = this.#parts
    assert(block.bucket < layout.buckets, 'there is no such bucket')
    const { buckets, header, images } = this.#at(block.bucket)
    lock(block.bucket)
    const options = { shift, mask: layout.buckets - 1 }
    const done = images.implant(header, block, options, (address) =>
      buckets.forget(header, address),
    )
    unlockAfterArrival()
    return done
  }

  /** While nobody else uses the store, after the last `Store.revive`: brings the big values of each list into the order of their ages. */
  sortBigs(): void {
    const { bigs, layout } = this.#parts
    for (const isMain of [false, true]) {
      const aged = [...bigs.walk(isMain)].map((page) => {
        const { buckets, header } = this.#at(bigs.hash(page) & (layout.buckets - 1))
        return { page, age: buckets.eviction.bigAge(header, page) }
      })
      aged.sort((a, b) => b.age - a.age)
      for (const { page } of aged) bigs.renew(page, isMain, bigs.enteredAt(page))
    }
  }

  #at(number: number): Home {
    const { arenas, buckets } = this.#parts
    const i = number % arenas.length
    const header = buckets[i]!.header(Math.floor(number / arenas.length))
    return { arena: arenas[i]!, buckets: buckets[i]!, images: this.#images[i]!, header }
  }

  /** Adds all entries of the locked bucket that have pages, but leases and what is dead. */
  #pinAll({ arena, buckets, header }: Home, pinned: Pinned[]): void {
    buckets.eviction.ring.walk(header + PAGED, (address) => {
      const facts = factsOf(buckets, header, arena.words, address)
      if (facts.type === TYPE_LEASE || buckets.states.of(address) === DEAD) return
      const pages = this.#parts.pin(address, facts.valueLength)
      const from = extrasAt(arena.words, address)
      const extras = arena.bytes.slice(from, from + facts.extrasLength)
      pinned.push({ ...facts, key: buckets.contents.keyOf(address), extras, pages })
    })
  }

  /** Adds an entry of the locked bucket without pages, unless it is a lease or dead. */
  #addItem({ arena, buckets, header }: Home, block: Block, address: number): void {
    const { bytes, words } = arena
    if (isPaged(words, address)) return
    const facts = factsOf(buckets, header, words, address)
    if (facts.type === TYPE_LEASE || buckets.states.of(address) === DEAD) return
    const { keyLength, extrasLength, valueLength } = facts
    block.room(itemBytes(keyLength, extrasLength, valueLength))
    let to = writeItem(block, { ...facts, offset: 0, pieceLength: valueLength })
    const add = (from: number, length: number): void => {
      block.bytes.set(bytes.subarray(from, from + length), to)
      to = behind(to, length)
    }
    add(keyAt(words, address), keyLength)
    add(extrasAt(words, address), extrasLength)
    add(valueAt(words, address), valueLength)
  }
}
