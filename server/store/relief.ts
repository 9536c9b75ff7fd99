/*
 * Where chunks come from when the pool is dry: the one place that knows all buckets and the big
 * values, and chooses between them.
 *
 * Two are asked. A big value needs a page (`win`): big values of the small list go when they have
 * been there as long as entries are in the buckets' small rings, or when they hold more than their
 * share of all memory, or, where nearly everything is big, of the big values. Else whoever is older
 * goes, the oldest big value of the main list or the oldest entries of some bucket, one bucket after
 * the other. So a stream of big values that nobody asks for again passes through the small list and
 * touches nobody else.
 *
 * A ring is full (`relieve`): a big value goes that is clearly older than the ring's own oldest, or
 * a bucket above the mean gives a chunk to one below it. (A pool freezes shares as they stood when
 * it ran dry. Keys spread evenly, so this hardly ever fires; it is for those that did not.)
 *
 * Who is asked is decided without locks. A stamp, a clock or the end of a list may be of before, and
 * the page that was the oldest value's may be a ring's chunk by now, so that its age is any number:
 * then somebody is asked who is not the oldest. Nothing else follows from it: page ids are followed by
 * columns of the chunk table that hold nothing but page ids (pool.ts), and what is to go is looked up
 * again under the lock of its bucket, a value by its key's hash and its first page.
 *
 * Ages are told by each bucket's own clock, the entries it took in. Keys spread evenly over buckets,
 * so these clocks go equally fast, and only differences of one clock are compared.
 *
 * The thread may have buckets locked (one, or those of many keys). Other locks are only tried then:
 * two threads that wait for each other's would wait for ever. A thread that has none locked waits,
 * when all who could have given something were locked by others; one that has some tries again
 * for a while. Buckets of many keys give what others give, without a lock: no address in them is
 * held, but in the one that a verb works in.
 */
import type { BigList } from './big-list.ts'
import type { Winner } from './big.ts'
import type { Buckets } from './bucket.ts'
import type { Neighbours } from './eviction.ts'
import { EXPIRING_PAGED, LOCK, MAIN, SMALL, STOLEN } from './header.ts'
import type { Arena, Layout } from './memory.ts'
import { acquire, nap, release, tryAcquire } from './memory.ts'
import type { Pool } from './pool.ts'
import { GONE } from './ring.ts'
import type { Verb } from './verb.ts'
import { AT_WORK, HELD } from './verb.ts'

/** Share of all memory that big values nobody asked for again may hold. */
const SMALL_LIST_SHARE = 0.1

/** A big value goes for a ring's chunk when it is so many times as old as the ring's oldest. */
const OLDER_BY = 1.25

/** Buckets that are looked at for one chunk to move between buckets. */
const STEAL_TRIES = 8

/**
 * Big values that are given another round at most before a write is refused. All of them may have
 * been asked for; and may not go, which need not be found out for each of a million.
 */
const BIG_ROUNDS_MAX = 4_096

/** Big values that are looked at when those before may not go. */
const BIG_TRIES = 8

/** How often a thread that has buckets locked tries again when others were locked: some 10 ms. */
const RETRIES_MAX = 100

export class Relief implements Winner {
  readonly #layout: Layout
  readonly #arenas: readonly Arena[]
  readonly #pools: readonly Pool[]
  readonly #verb: Verb
  #bigs!: BigList
  #buckets: readonly Buckets[] = []
  /** The bucket that was asked last. */
  #hand = 0
  #isWinning = false
  /** Locks that this object has taken: more than one when a bucket that gives asks others. */
  #depth = 0
  /** Locks that others had, since a round began. */
  #missed = 0
  /** The word of the last of them, and its arena's. */
  #missedAt = 0
  #missedWords: Int32Array
  /** Is it time to wait for locks? */
  #waits = false

  constructor(
    layout: Layout,
    parts: {
      readonly arenas: readonly Arena[]
      readonly pools: readonly Pool[]
      readonly verb: Verb
    },
  ) {
    this.#layout = layout
    this.#arenas = parts.arenas
    this.#pools = parts.pools
    this.#verb = parts.verb
    this.#missedWords = parts.arenas[0]!.words
  }

  /** The big values and the buckets of all arenas, which need this object before; once. */
  join(bigs: BigList, buckets: readonly Buckets[]): void {
    this.#bigs = bigs
    this.#buckets = buckets
  }

  /** What the buckets of an arena ask. */
  neighboursOf(arena: number): Neighbours {
    return {
      relieve: (bucket) => this.#relieve(arena, bucket),
      win: () => this.win(),
      admitsBig: (bucket, age) => this.#admitsBig(arena, bucket, age),
    }
  }

  /**
   * Makes some pool have a chunk more. False: nobody may go, or all who may were in use by others
   * for too long. A bucket that gives one does not ask others for room that it needs for that.
   */
  win(): boolean {
    if (this.#isWinning) return false
    this.#isWinning = true
    let won = this.#round()
    for (let i = 0; !won && this.#missed > 0 && i < RETRIES_MAX; i++) {
      if (this.#verb.isFree) this.#waits = true
      else nap(this.#missedWords, this.#missedAt)
      won = this.#round()
    }
    this.#waits = false
    this.#isWinning = false
    return won
  }

  #round(): boolean {
    this.#missed = 0
    return this.#winFromSomebody()
  }

  #winFromSomebody(): boolean {
    const rounds = 2 * this.#layout.buckets
    const bigsMayGo = this.#mayBigsGo()
    for (let i = 0; i < rounds; i++) {
      const number = this.#next()
      const isLast = i >= this.#layout.buckets
      const small = bigsMayGo ? this.#bigs.oldest(false) : 0
      if (small !== 0 && (isLast || this.#isSmallDue(small, number))) {
        const inMain = this.#bigs.pages(true)
        if (this.#judgeOldest(false)) return true
        // It was asked for, and is in the main list now: nobody there has to go for that.
        if (!isLast && this.#bigs.pages(true) > inMain) continue
      }
      const main = bigsMayGo ? this.#bigs.oldest(true) : 0
      if (main !== 0 && (isLast || this.#ageOf(main) >= this.#ringAge(number, MAIN))) {
        if (this.#judgeOldest(true)) return true
        if (!isLast) continue
      }
      if ((isLast || this.#hasShare(number)) && this.#yieldChunk(number)) return true
    }
    return bigsMayGo && this.#winFromBigs()
  }

  /** Is there any big value that the scope of eviction lets go? (One that just came may be missed.) */
  #mayBigsGo(): boolean {
    const { refuses, isVolatile } = this.#buckets[0]!.eviction
    if (!isVolatile) return !refuses
    for (let number = 0; number < this.#layout.buckets; number++) {
      if (this.#words(number)[this.#header(number) + EXPIRING_PAGED]! > 0) return true
    }
    return false
  }

  /** There is nothing but big values, and those judged so far had been asked for. */
  #winFromBigs(): boolean {
    for (let i = 0; i < BIG_ROUNDS_MAX; i++) {
      if (this.#judgeOldest(false) || this.#judgeOldest(true)) return true
      if (this.#bigs.oldest(false) === 0 && this.#bigs.oldest(true) === 0) return false
    }
    return false
  }

  /** Has the bucket as many chunks as the mean of its arena, or more? */
  #hasShare(number: number): boolean {
    const arena = number % this.#pools.length
    const chunks = this.#bucketsOf(number).eviction.chunks(this.#header(number))
    return chunks >= Math.floor(this.#mean(arena))
  }

  /** Ring chunks of an arena's buckets in the mean. */
  #mean(arena: number): number {
    return this.#pools[arena]!.ringChunks / this.#bucketsIn(arena)
  }

  #bucketsIn(arena: number): number {
    return Math.ceil((this.#layout.buckets - arena) / this.#layout.arenas)
  }

  #relieve(arena: number, bucket: number): boolean {
    const buckets = this.#buckets[arena]!
    const pool = this.#pools[arena]!
    const oldest = this.#bigs.oldest(true)
    if (oldest !== 0) {
      const ringAge = buckets.eviction.oldestAge(bucket, MAIN)
      if (this.#ageOf(oldest) > ringAge * OLDER_BY && this.#judgeOldest(true) && pool.available) {
        return true
      }
    }
    return this.#steal(arena, bucket)
  }

  /** Takes a chunk from a bucket of the same arena that has more than the mean. */
  #steal(arena: number, bucket: number): boolean {
    const buckets = this.#buckets[arena]!
    const mean = this.#mean(arena)
    if (buckets.eviction.chunks(bucket) > mean - 1) return false
    for (let i = 0; i < STEAL_TRIES; i++) {
      const number = (this.#next() % this.#bucketsIn(arena)) * this.#layout.arenas + arena
      const victim = this.#header(number)
      if (victim === bucket || buckets.eviction.chunks(victim) < mean + 1) continue
      if (!this.#yieldChunk(number)) continue
      buckets.countUp(bucket, STOLEN)
      return true
    }
    return false
  }

  #isSmallDue(page: number, number: number): boolean {
    const bytes = this.#bigs.pages(false) * 2 ** this.#layout.chunkShift
    if (bytes > SMALL_LIST_SHARE * this.#pools[0]!.maxMemory) return true
    const ringAge = this.#ringAge(number, SMALL)
    return ringAge > 0 ? this.#ageOf(page) >= ringAge : !this.#isMainListFull()
  }

  /**
   * Have the big values of the small list no more than their share among all big values? It decides
   * where there are no rings to compare ages with, because nearly all values are big.
   */
  #isMainListFull(): boolean {
    const small = this.#bigs.pages(false)
    return small <= SMALL_LIST_SHARE * (small + this.#bigs.pages(true))
  }

  /** Where there are rings, a list that fills slowly is no harm: others use the memory. */
  #admitsBig(arena: number, bucket: number, age: number): boolean {
    const oldest = this.#bigs.oldest(true)
    if (oldest === 0 || age <= this.#ageOf(oldest)) return true
    const hasRing = this.#buckets[arena]!.eviction.oldestAge(bucket, MAIN) > 0
    return !hasRing && !this.#isMainListFull()
  }

  /** Judges big values, oldest first, until one goes or is kept. True: one went. */
  #judgeOldest(isMain: boolean): boolean {
    let page = this.#bigs.oldest(isMain)
    for (let i = 0; page !== 0 && i < BIG_TRIES; i++) {
      const verdict = this.#judge(page)
      if (verdict !== null) return verdict === GONE
      page = this.#bigs.newer(page)
    }
    return false
  }

  /** The verdict on a big value; null: its bucket is locked, or it may not go now, or it is gone. */
  #judge(page: number): number | null {
    if (page === this.#verb.guardedPage) return null
    const hash = this.#bigs.hash(page)
    const number = this.#numberOf(hash)
    const bucket = this.#header(number)
    if (!this.#enter(number)) return null
    const buckets = this.#bucketsOf(number)
    const position = buckets.positionOfBig(bucket, hash, page)
    const verdict = position < 0 ? null : buckets.eviction.judgeBig(bucket, position)
    this.#leave(number)
    return verdict
  }

  /**
   * Makes a bucket one that may be worked in, unless another thread is at it, or this one. What this
   * thread has locked it need not lock.
   */
  #enter(number: number): boolean {
    const { held, locked, mayYieldOwn } = this.#verb
    if (number === locked) return mayYieldOwn
    if (held[number] !== 0) {
      if (held[number] === AT_WORK) return false
      held[number] = AT_WORK
      return true
    }
    const words = this.#words(number)
    const lock = this.#header(number) + LOCK
    if (!tryAcquire(words, lock)) {
      if (this.#depth > 0) return false
      if (!this.#waits) {
        this.#missed++
        this.#missedWords = words
        this.#missedAt = lock
        return false
      }
      acquire(words, lock)
    }
    this.#depth++
    return true
  }

  #leave(number: number): void {
    const { held, locked } = this.#verb
    if (number === locked) return
    const bucket = this.#header(number)
    this.#bucketsOf(number).settle(bucket)
    if (held[number] !== 0) {
      held[number] = HELD
      return
    }
    this.#depth--
    release(this.#words(number), bucket + LOCK)
  }

  #yieldChunk(number: number): boolean {
    const bucket = this.#header(number)
    const buckets = this.#bucketsOf(number)
    if (!buckets.eviction.mayYield(bucket)) return false
    if (!this.#enter(number)) return false
    const gave = buckets.eviction.yieldChunk(bucket)
    this.#leave(number)
    return gave
  }

  #ageOf(page: number): number {
    const number = this.#numberOf(this.#bigs.hash(page))
    return this.#bucketsOf(number).eviction.bigAge(this.#header(number), page)
  }

  #ringAge(number: number, ring: number): number {
    return this.#bucketsOf(number).eviction.oldestAge(this.#header(number), ring)
  }

  #next(): number {
    this.#hand = (this.#hand + 1) % this.#layout.buckets
    return this.#hand
  }

  #numberOf(hash: number): number {
    return hash & (this.#layout.buckets - 1)
  }

  #bucketsOf(number: number): Buckets {
    return this.#buckets[number % this.#buckets.length]!
  }

  #header(number: number): number {
    return this.#bucketsOf(number).header(Math.floor(number / this.#buckets.length))
  }

  #words(number: number): Int32Array {
    return this.#arenas[number % this.#arenas.length]!.words
  }
}
