/*
 * Who goes when a bucket is full, and where chunks come from: the owner of a bucket's rings.
 *
 *             new ──────────────► SMALL ── nobody asked for it ──► gone, a ghost stays
 *                                   │ asked for again
 *             new, known as ghost ─►▼
 *                                  MAIN ── nobody asked for it ──► gone
 *                                   └──── asked for: another round, counted one less
 *
 * s3-fifo        S3-FIFO: new entries go through a small ring (a tenth of the bucket's chunks), and
 *                those that are asked for there, or again soon after, live in the main one. Both
 *                are only ever written forward. An access is counted in the slot (0..3).
 * s3a            the default. The same with three refinements. (1) An access counts only when the
 *                entry was written some time ago: in SMALL half a ring, in MAIN a tenth, so that a
 *                burst of one request is not popularity. (2) An entry enters MAIN only if it was
 *                away for no longer than the entry that would go for it has been there: against
 *                loops, MAIN freezes. (3) Twice as many ghosts as entries.
 * fifo           one ring, the oldest goes (fastcache).
 * second-chance  one ring; the oldest goes if its last access was longer ago than the average one,
 *                or if six before it were given another round (freecache).
 * lru            one ring for the bytes, and a list for the order: who was asked for longest ago
 *                goes, wherever it lies; the ring slides together over what it leaves (MyCache).
 *
 * A scope may forbid entries to go: those without expiry (`volatile`), or all (`none`). They are
 * kept, as long as dead bytes or entries that may go give room; then the placement fails.
 *
 * While the pool has chunks, SMALL takes them: nothing is evicted or copied before the whole cache
 * is full. Then SMALL becomes MAIN as it is, and a new SMALL takes its share from that; under
 * `s3-fifo` SMALL gives its chunks away one by one instead, as its paper has it. When there are free
 * chunks later (after deletes, or a change of maxmemory), whoever leaves SMALL goes to MAIN.
 * A bucket whose pool is dry asks the others (`Neighbours`): the one with less than the mean takes
 * from one with more, or a big value goes that is older than the bucket's oldest entry.
 *
 * What each refinement is worth is in docs/benchmarks.md. Rejected: for s3a, SMALL giving its chunks
 * away one by one (loops longer than the cache lose, and buckets that came late took the chunks of
 * those that came early); ghosts of 3 bytes, and ghosts for entries that leave MAIN.
 *
 * Sources: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023;
 * https://github.com/coocood/freecache, segment.go (evacuate).
 */
import type { BigList } from './big-list.ts'
import { EVICTED } from './endings.ts'
import type { Contents } from './contents.ts'
import * as entry from './entry.ts'
import type { Ghosts } from './ghost.ts'
import * as header from './header.ts'
import { MAIN, PAGED, SMALL } from './header.ts'
import type { Index } from './index.ts'
import { FREQUENCY, FREQUENCY_ONE, IN_MAIN, isOftenAsked } from './index.ts'
import type { Arena, Layout } from './memory.ts'
import { assert } from './memory.ts'
import * as policy from './policy.ts'
import type { Pool } from './pool.ts'
import { POLICY } from './pool.ts'
import type { RingOwner } from './ring.ts'
import { GONE, KEEP, Ring, STUCK } from './ring.ts'

/** SMALL's share of a bucket's chunks. */
const SMALL_SHARE = 0.1

/** Windows of s3a: shares of the ring that were written since, before an access counts. */
const WINDOW_SMALL = 0.5
const WINDOW_MAIN = 0.1

/**
 * Entries that are given another round at most because they were asked for: to decide whether one
 * may enter MAIN, and again to find its room there.
 */
const ROUNDS_MAX = 64

/** second-chance: entries given another round one after the other, before one must go. */
const CHANCES_MAX = 6

/** Values that go at most for one chunk of a ring of entries with pages, or of an index. */
const WINS_MAX = 64

/** s3-fifo: how many chunks SMALL has when MAIN gets its first one, if there are enough. */
const MAIN_BEGINS = 8

/** s3-fifo: chunks that a SMALL over its share leaves in the pool for who goes to MAIN. */
const SPARE_CHUNKS = 2

/** What eviction asks of the bucket. */
export interface Entries {
  hashOf(address: number): number
  /** Removes the entry at a position of the index; `counter` is a word of the header. */
  drop(bucket: number, position: number, reason: number, counter: number): void
  /** Is the entry's time over, or was it invalidated? */
  isOver(address: number): boolean
  /** Removes the entry at a position of the index if it is over. */
  dropIfOver(bucket: number, position: number): boolean
  now(): number
}

/** What eviction asks of the whole store, whose other buckets it does not know. */
export interface Neighbours {
  /** True if the pool of this bucket's arena was given a chunk, by a bucket or a big value. */
  relieve(bucket: number): boolean
  /** True if some pool was given a chunk, the bucket's own rings SMALL and MAIN included. */
  win(): boolean
  /**
   * Has this age no big value of the main list that would go next, or may that list fill yet? (See
   * `Eviction.bigAge`.)
   */
  admitsBig(bucket: number, age: number): boolean
}

/** Who goes in one arena's buckets. Under the bucket's lock, unless it says otherwise. */
export class Eviction implements RingOwner {
  readonly ring: Ring
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #pool: Pool
  readonly #index: Index
  readonly #ghosts: Ghosts
  readonly #entries: Entries
  readonly #contents: Contents
  readonly #neighbours: Neighbours
  readonly #bigs: BigList
  readonly #policyWord: number
  readonly #chunkBytes: number
  /** Bytes of every entry's trailer. */
  readonly trailer: number
  /** The ring in which the last placement found room, or did not: SMALL, MAIN or PAGED. */
  placedIn = MAIN
  /** Of the placement under way: bytes wanted, rounds given because of accesses, bytes kept. */
  #wanted = 0
  #rounds = 0
  #keptBytes = 0
  /** The entry that was looked up last, its place in the index and its hash: often it is next, too. */
  #located = 0
  #position = 0
  #hash = 0
  #isJudgingSmall = false

  constructor(
    arena: Arena,
    pool: Pool,
    layout: Layout,
    parts: {
      readonly index: Index
      readonly ghosts: Ghosts
      readonly entries: Entries
      readonly contents: Contents
      readonly neighbours: Neighbours
      readonly bigs: BigList
      readonly trailer: number
    },
  ) {
    this.#words = arena.words
    this.#doubles = arena.doubles
    this.#pool = pool
    this.#index = parts.index
    this.#ghosts = parts.ghosts
    this.#entries = parts.entries
    this.#contents = parts.contents
    this.#neighbours = parts.neighbours
    this.#bigs = parts.bigs
    this.#policyWord = layout.header + POLICY
    this.#chunkBytes = 1 << layout.chunkShift
    this.trailer = parts.trailer
    this.ring = new Ring(arena, pool, this, {
      chunkBytes: this.#chunkBytes,
      trailer: parts.trailer,
      generationsWord: header.GENERATIONS,
      movedBytesWord: header.MOVED_BYTES,
    })
  }

  /** Another thread may change it between two looks: each decision can live with either. */
  get #policy(): number {
    return policy.policyOf(this.#words[this.#policyWord]!)
  }

  get #scope(): number {
    return policy.scopeOf(this.#words[this.#policyWord]!)
  }

  /** May nobody go at all? */
  get refuses(): boolean {
    return this.#scope === policy.NONE
  }

  /** May only those go that expire? */
  get isVolatile(): boolean {
    return this.#scope === policy.VOLATILE
  }

  /** Chunks of the bucket's rings. */
  chunks(bucket: number): number {
    const ring = this.ring
    return ring.chunks(bucket + SMALL) + ring.chunks(bucket + MAIN) + ring.chunks(bucket + PAGED)
  }

  /* ---- accesses ---- */

  /** The entry that the slot at index `slot` of `words` names was asked for. */
  touch(bucket: number, slot: number, address: number): void {
    const word = this.#words[this.#policyWord]!
    const held = this.#words[slot + 1]!
    const chosen = policy.policyOf(word)
    if (chosen === policy.S3A) {
      if (isOftenAsked(held) || !this.#counts(bucket, held, address)) return
      this.#words[slot + 1] = (held + FREQUENCY_ONE) | 0
    } else if (chosen === policy.S3_FIFO) {
      if (!isOftenAsked(held)) this.#words[slot + 1] = (held + FREQUENCY_ONE) | 0
    } else if (chosen !== policy.FIFO) {
      this.#touchTrailer(bucket, slot, address, chosen)
    }
  }

  /** Was the entry written long enough ago for an access to count? */
  #counts(bucket: number, held: number, address: number): boolean {
    const words = this.#words
    if (entry.isPaged(words, address)) return true
    const inMain = (held & IN_MAIN) !== 0
    const ring = bucket + (inMain ? MAIN : SMALL)
    const window = this.ring.chunks(ring) * this.#chunkBytes * (inMain ? WINDOW_MAIN : WINDOW_SMALL)
    return this.ring.distance(ring, address) > window
  }

  /* ---- placing ---- */

  /** Room for an entry that is new to the bucket; `placedIn` says where. 0: nobody may go for it. */
  placeNew(bucket: number, hash: number, bytes: number, isLease: boolean): number {
    // A lease must not go early. While there is no MAIN, nobody goes.
    const leaseRing = this.ring.chunks(bucket + MAIN) === 0 && !this.#isOneRing ? SMALL : MAIN
    const ring = isLease ? leaseRing : this.#choose(bucket, hash, bytes)
    return this.place(bucket, ring, bytes)
  }

  /** Room for an entry in this ring, or else in the other one. 0: none. */
  place(bucket: number, ring: number, bytes: number): number {
    // What is too much since maxmemory was lowered can only be deleted: nothing is added to it.
    if (this.#scope === policy.NONE && this.#pool.excess > 0) return 0
    let at = this.#place(bucket, ring, bytes)
    // The bucket has none that may go (without pages): others may have.
    if (at === 0 && this.#scope === policy.VOLATILE && this.#win()) {
      at = this.#place(bucket, ring, bytes)
    }
    return at
  }

  #place(bucket: number, ring: number, bytes: number): number {
    this.#begin(bytes)
    if (ring === SMALL && this.ring.chunks(bucket + MAIN) === 0) this.#mayDivide(bucket, bytes)
    this.placedIn = ring
    const at = this.ring.place(bucket, bucket + ring, bytes)
    if (at !== 0 || ring === PAGED || (ring === MAIN && this.#isOneRing)) return at
    this.placedIn = ring === MAIN ? SMALL : MAIN
    return this.ring.place(bucket, bucket + this.placedIn, bytes)
  }

  /**
   * Makes SMALL the bucket's MAIN if it has taken all there was for it, and needs more. (Under
   * `s3-fifo` SMALL shrinks as others come to MAIN, which is there before it needs to.)
   */
  #mayDivide(bucket: number, bytes: number): void {
    const ring = this.ring
    if (ring.chunks(bucket + SMALL) < 2 || ring.fits(bucket + SMALL, bytes)) return
    if (this.#drainsSmall) {
      const isLarge = ring.chunks(bucket + SMALL) >= MAIN_BEGINS
      if (isLarge && this.#pool.free > SPARE_CHUNKS) ring.begin(bucket, bucket + MAIN)
      return
    }
    if (this.#pool.available || ring.isDeadHeavy(bucket + SMALL)) return
    ring.rename(bucket + SMALL, bucket + MAIN)
    this.#index.renameToMain(bucket)
  }

  /** Does SMALL give its chunks to MAIN one by one, as `s3-fifo` has it, when the cache is full? */
  get #drainsSmall(): boolean {
    return this.#policy === policy.S3_FIFO && this.#scope === policy.ALL
  }

  #begin(bytes: number): void {
    this.#wanted = bytes
    this.#rounds = 0
    this.#keptBytes = 0
  }

  get #isOneRing(): boolean {
    return this.#policy > policy.S3_FIFO
  }

  #choose(bucket: number, hash: number, bytes: number): number {
    const words = this.#words
    const clock = words[bucket + header.CLOCK]!
    words[bucket + header.CLOCK] = (clock + 1) | 0
    if (this.#isOneRing) return MAIN
    const age = this.#ghosts.take(bucket, hash, clock)
    if (age >= 0) {
      this.#doubles[(bucket + header.GHOST_HITS) >> 1]!++
      this.#begin(bytes)
      if (this.#admits(bucket, age, bytes)) return MAIN
    }
    return SMALL
  }

  /**
   * May an entry that was away, or in SMALL, for `age` of the clock enter MAIN? Gives those another
   * round that were asked for and would go for it otherwise.
   */
  #admits(bucket: number, age: number, bytes: number): boolean {
    const main = bucket + MAIN
    for (;;) {
      if (this.ring.fits(main, bytes) || this.#pool.available) return true
      // Where there is no MAIN yet, somebody may give a chunk for it.
      if (this.ring.chunks(main) === 0) return true
      const oldest = this.ring.oldest(bucket, main)
      if (oldest === 0) return false
      const position = this.#locate(bucket, oldest)
      if (this.#entries.isOver(oldest)) return true
      if (this.#mustStay(oldest)) {
        if (this.#stays(bucket, main, oldest) === STUCK) return false
        this.ring.keepOldest(bucket, main)
      } else if (this.#index.frequency(bucket, position) > 0 && this.#rounds++ < ROUNDS_MAX) {
        this.#giveRound(bucket, position, oldest)
        this.ring.keepOldest(bucket, main)
      } else {
        if (this.#policy !== policy.S3A) return true
        return age <= this.#age(bucket, main, oldest)
      }
    }
  }

  /** How far the clock went on since the entry was written. */
  #age(bucket: number, ring: number, address: number): number {
    return (this.#words[bucket + header.CLOCK]! - this.ring.stampAt(ring, address)) | 0
  }

  /**
   * Age of the oldest entry of SMALL or MAIN, 0 if there is none. Any thread may ask without a lock;
   * if the ring changes meanwhile, it is any number.
   */
  oldestAge(bucket: number, ring: number): number {
    const tail = this.ring.tail(bucket + ring)
    return tail === 0 ? 0 : this.#age(bucket, bucket + ring, tail)
  }

  /* ---- for the rings ---- */

  judge(bucket: number, ring: number, address: number): number {
    this.#located = 0
    const position = this.#locate(bucket, address)
    if (this.#entries.dropIfOver(bucket, position)) return GONE
    // Entries with pages go by the list of big values only.
    if (ring === bucket + PAGED) return this.#stays(bucket, ring, address)
    const chosen = this.#policy
    if (ring === bucket + SMALL) {
      // Another bucket's may be judged in between.
      const was = this.#isJudgingSmall
      this.#isJudgingSmall = true
      const verdict = this.#judgeSmall(bucket, position, address, chosen)
      this.#isJudgingSmall = was
      return verdict
    }
    if (this.#mustStay(address)) return this.#stays(bucket, ring, address)
    if (chosen === policy.LRU) return this.#judgeLru(bucket, address)
    if (chosen === policy.SECOND_CHANCE) return this.#judgeSecondChance(bucket, position, address)
    const asked = chosen !== policy.FIFO && this.#index.frequency(bucket, position) > 0
    if (asked && this.#rounds++ < ROUNDS_MAX) {
      this.#giveRound(bucket, position, address)
      return KEEP
    }
    this.#entries.drop(bucket, position, EVICTED, header.EVICTED_MAIN)
    return GONE
  }

  #judgeSmall(bucket: number, position: number, address: number, chosen: number): number {
    const stays = this.#mustStay(address)
    const age = this.#age(bucket, bucket + SMALL, address)
    const asked = chosen <= policy.S3_FIFO && this.#index.frequency(bucket, position) > 0
    const bytes = entry.entryBytes(this.#words, address, this.trailer)
    const isRoomy = chosen <= policy.S3_FIFO && !this.#drainsSmall && this.#pool.available
    if (stays || isRoomy || (asked && this.#admits(bucket, age, bytes))) {
      if (this.#promote(bucket, address, bytes)) return GONE
      if (stays) return this.#stays(bucket, bucket + SMALL, address)
    }
    const stamp = this.ring.stampAt(bucket + SMALL, address)
    const at = this.#locate(bucket, address)
    const hash = this.#hash
    this.#entries.drop(bucket, at, EVICTED, header.EVICTED_SMALL)
    if (chosen <= policy.S3_FIFO) this.#remember(bucket, hash, stamp)
    return GONE
  }

  /** Moves an entry from SMALL's tail to MAIN's head. False: no room. */
  #promote(bucket: number, from: number, bytes: number): boolean {
    const to = this.ring.place(bucket, bucket + MAIN, bytes)
    if (to === 0) return false
    const position = this.#locate(bucket, from)
    this.ring.copy(to, from, bytes)
    this.#index.promote(bucket, position, to)
    this.ring.kill(bucket + SMALL, from)
    this.#doubles[(bucket + header.PROMOTED) >> 1]!++
    return true
  }

  #giveRound(bucket: number, position: number, address: number): void {
    this.#index.access(bucket, position, -1)
    const bytes = entry.entryBytes(this.#words, address, this.trailer)
    this.#doubles[(bucket + header.REINSERTED_BYTES) >> 1]! += bytes
  }

  #remember(bucket: number, hash: number, stamp: number): void {
    const words = this.#words
    const clock = words[bucket + header.CLOCK]!
    if (((clock - words[bucket + header.GHOST_CHECK]!) | 0) >= 0) this.#fitGhosts(bucket)
    this.#ghosts.remember(bucket, hash, stamp)
  }

  /** Looks whether the bucket has the ghosts it should have, once for so many entries taken in. */
  #fitGhosts(bucket: number): void {
    const words = this.#words
    const count = this.#index.count(bucket)
    const again = words[bucket + header.CLOCK]! + Math.max(count, 1)
    words[bucket + header.GHOST_CHECK] = again | 0
    if (!this.#ghosts.isStale(bucket, count)) return
    this.#ghosts.fit(bucket, count, () => this.ring.yieldChunk(bucket, bucket + MAIN))
  }

  moved(bucket: number, from: number, to: number): void {
    this.#index.point(bucket, this.#locate(bucket, from, to), to)
    if (this.trailer !== 0) this.#movedTrailer(bucket, to)
  }

  mayExtend(bucket: number, ring: number): boolean {
    if (ring !== bucket + SMALL || this.ring.chunks(bucket + MAIN) === 0) return true
    if (this.ring.chunks(ring) < this.#smallChunksMax(bucket)) return true
    return this.#drainsSmall && this.#pool.free > SPARE_CHUNKS
  }

  hasSurplus(bucket: number, ring: number): boolean {
    if (ring !== bucket + SMALL || !this.#hasSurplus(bucket)) return false
    return !this.#drainsSmall || !this.#pool.available
  }

  #hasSurplus(bucket: number): boolean {
    return this.ring.chunks(bucket + SMALL) > this.#smallChunksMax(bucket)
  }

  #smallChunksMax(bucket: number): number {
    if (this.#isOneRing) return 0
    const chunks = this.ring.chunks(bucket + SMALL) + this.ring.chunks(bucket + MAIN)
    return Math.max(1, Math.round(chunks * SMALL_SHARE))
  }

  firstChunk(bucket: number, ring: number): number {
    if (this.chunks(bucket) === 0) return this.#pool.takePromised()
    const chunk = this.#pool.take()
    if (chunk !== 0) return chunk
    // All that the bucket has may be values with pages, which do not go for it by themselves.
    // But not while an entry of its own is on its way from one ring to the other.
    if (!this.relieve(bucket, ring) && (this.#isJudgingSmall || !this.#win())) return 0
    // Entries that were in the way of that may have been promoted to this ring.
    if (this.ring.chunks(ring) > 0) return 0
    // It may have been the bucket's last one that was given.
    return this.chunks(bucket) === 0 ? this.#pool.takePromised() : this.#pool.take()
  }

  /** The pool is dry: a ring that lacks chunks is given one. */
  relieve(bucket: number, ring: number): boolean {
    if (ring === bucket + PAGED) return this.#win()
    if (ring === bucket + SMALL) return this.ring.yieldChunk(bucket, bucket + MAIN)
    const drains = this.#isOneRing && this.ring.chunks(bucket + SMALL) > 0
    if (drains && !this.#isJudgingSmall) return this.#drainSmall(bucket)
    return this.#neighbours.relieve(bucket)
  }

  /** After a change to a policy of one ring: SMALL goes chunk by chunk, at last as a whole. */
  #drainSmall(bucket: number): boolean {
    const small = bucket + SMALL
    if (this.ring.chunks(small) > 1) return this.ring.yieldChunk(bucket, small)
    if (!this.ring.empty(bucket, small)) return false
    if (this.chunks(bucket) === 1) this.#pool.promise()
    this.ring.reset(bucket, small)
    return true
  }

  clock(bucket: number): number {
    return this.#words[bucket + header.CLOCK]!
  }

  /* ---- giving ---- */

  /** Could a chunk of the bucket become free? Asked without its lock it is only likely. */
  mayYield(bucket: number): boolean {
    return this.#hasVictims(bucket) || this.#isHollow(bucket)
  }

  /**
   * Gives a chunk of the bucket to the pool, its oldest entries going for it. False: it has none to
   * spare, or nobody may go. Every bucket keeps one chunk.
   */
  yieldChunk(bucket: number): boolean {
    if (!this.mayYield(bucket)) return false
    // It may be asked in the middle of a placement in another bucket, or in another ring.
    const wanted = this.#wanted
    const rounds = this.#rounds
    const keptBytes = this.#keptBytes
    // Where entries must stay, they are moved only if that empties a chunk.
    this.#begin(this.#scope === policy.ALL ? 0 : this.#chunkBytes)
    const done = this.#yieldChunk(bucket)
    this.#wanted = wanted
    this.#rounds = rounds
    this.#keptBytes = keptBytes
    return done
  }

  /**
   * May somebody in the bucket go? Where the policy keeps nearly all, each write that is refused
   * would look at every entry of every bucket otherwise, which takes seconds. (Who has expired is
   * found by the sweep.)
   */
  #hasVictims(bucket: number): boolean {
    if (this.#scope === policy.ALL || this.#words[bucket + header.LEASES] !== 0) return true
    return this.#mayExpire(bucket)
  }

  /** Can a ring do without a chunk as it is? */
  #isHollow(bucket: number): boolean {
    const ring = this.ring
    if (ring.hasSpare(bucket + SMALL) || ring.hasSpare(bucket + MAIN)) return true
    return (
      Math.max(ring.deadBytes(bucket + SMALL), ring.deadBytes(bucket + MAIN)) >= this.#chunkBytes
    )
  }

  #yieldChunk(bucket: number): boolean {
    const ring = this.ring
    const main = ring.chunks(bucket + MAIN)
    const first = this.#hasSurplus(bucket) || main < 2 ? SMALL : MAIN
    const second = first === SMALL ? MAIN : SMALL
    if (ring.yieldChunk(bucket, bucket + first) || ring.yieldChunk(bucket, bucket + second)) {
      return true
    }
    if (ring.yieldChunk(bucket, bucket + PAGED)) return true
    if (this.chunks(bucket) < 2) return false
    return this.#closeOne(bucket, SMALL) || this.#closeOne(bucket, MAIN)
  }

  /** The same for a piece of this bucket's index: if the bucket has none, some other gives one. */
  spareChunk(bucket: number): boolean {
    // One that has few chunks would have too few entries then for the index it got.
    return this.#neighbours.relieve(bucket) || this.yieldChunk(bucket) || this.#win()
  }

  /** What goes may be pinned by readers, or lie in another arena: more than one may have to go. */
  #win(): boolean {
    for (let i = 0; i < WINS_MAX && this.#neighbours.win(); i++) {
      if (this.#pool.available) return true
    }
    return false
  }

  #closeOne(bucket: number, ring: number): boolean {
    return this.ring.chunks(bucket + ring) > 0 && this.ring.close(bucket, bucket + ring)
  }

  /** Makes some entry go; the index needs its slot. False: nobody may, or all have pages. */
  dropOne(bucket: number): boolean {
    if (!this.#hasVictims(bucket)) return false
    const first = this.#isOneRing || this.ring.chunks(bucket + SMALL) === 0 ? MAIN : SMALL
    const second = first === SMALL ? MAIN : SMALL
    return this.#dropOneOf(bucket, first) || this.#dropOneOf(bucket, second)
  }

  /** Those that are kept are passed too: once round the ring, and nobody may go. */
  #dropOneOf(bucket: number, ring: number): boolean {
    const before = this.#index.count(bucket)
    // No room in the ring, however large, would help.
    this.#begin(Infinity)
    while (this.ring.passOldest(bucket, bucket + ring)) {
      if (this.#index.count(bucket) < before) return true
    }
    return false
  }

  /** May an entry go to make room at all? */
  mayGo(address: number): boolean {
    return !this.#mustStay(address)
  }

  /** Forgets everything about a bucket whose rings were emptied. */
  reset(bucket: number): void {
    const words = this.#words
    this.#ghosts.reset(bucket)
    words[bucket + header.GHOST_CHECK] = words[bucket + header.CLOCK]!
    words[bucket + header.NEWEST] = 0
    words[bucket + header.OLDEST] = 0
    this.#doubles[(bucket + header.ACCESS_SUM) >> 1] = 0
  }

  /** Throws when the list of `lru` or the sum of `second-chance` does not fit the entries. */
  check(bucket: number): void {
    const words = this.#words
    if (this.trailer === 0) return
    const seen = new Set<number>()
    let sum = 0
    for (const ring of [SMALL, MAIN]) {
      this.ring.walk(bucket + ring, (at) => {
        seen.add(at)
        sum += words[this.#trailerAt(at)]! >>> 0
      })
    }
    if (this.trailer === policy.LRU_TRAILER_BYTES) {
      let newer = 0
      let at = words[bucket + header.NEWEST]!
      for (; at !== 0; at = words[this.#trailerAt(at) + 1]!) {
        assert(seen.delete(at), 'the list of lru names an entry that is not there')
        assert(words[this.#trailerAt(at)] === newer, 'the list of lru is torn')
        newer = at
      }
      assert(seen.size === 0 && words[bucket + header.OLDEST] === newer, 'the list of lru is torn')
    } else {
      assert(sum === this.#doubles[(bucket + header.ACCESS_SUM) >> 1], 'accesses are summed wrong')
    }
  }

  /* ---- private ---- */

  #mustStay(address: number): boolean {
    const scope = this.#scope
    if (scope === policy.ALL) return false
    const words = this.#words
    if (entry.typeOf(words, address) === entry.TYPE_LEASE) return false
    return scope === policy.NONE || entry.expireAtOf(words, address) === 0
  }

  /** The verdict on one that may not go: kept, as long as that leads to room. */
  #stays(bucket: number, ring: number, address: number): number {
    const bytes = entry.entryBytes(this.#words, address, this.trailer)
    const helps = this.#mayExpire(bucket) || this.ring.deadBytes(ring) >= this.#wanted
    if (!helps || this.#keptBytes > this.ring.chunks(ring) * this.#chunkBytes) return STUCK
    this.#keptBytes += bytes
    return KEEP
  }

  /** Under a scope of `volatile`: has the bucket entries without pages that may go? */
  #mayExpire(bucket: number): boolean {
    const words = this.#words
    if (this.#scope !== policy.VOLATILE) return false
    return words[bucket + header.EXPIRING]! > words[bucket + header.EXPIRING_PAGED]!
  }

  /** Position of the slot of the entry at `address`, whose key may be read at `copy` instead. */
  #locate(bucket: number, address: number, copy = address): number {
    const index = this.#index
    if (address === this.#located) {
      const known = this.#position
      if (known < index.slots(bucket) && index.address(bucket, known) === address) return known
    }
    this.#hash = this.#entries.hashOf(copy)
    this.#position = index.locate(bucket, this.#hash, address)
    this.#located = address
    return this.#position
  }

  /* ---- big values: entries with pages ---- */

  /** Does a big value that is new to the bucket belong to the main list? */
  choosesMainList(bucket: number, hash: number): boolean {
    const words = this.#words
    const clock = words[bucket + header.CLOCK]!
    words[bucket + header.CLOCK] = (clock + 1) | 0
    if (this.#isOneRing) return true
    const age = this.#ghosts.take(bucket, hash, clock)
    if (age < 0) return false
    this.#doubles[(bucket + header.GHOST_HITS) >> 1]!++
    return this.#policy !== policy.S3A || this.#neighbours.admitsBig(bucket, age)
  }

  /** How far its bucket's clock went on since the big value came into its list. */
  bigAge(bucket: number, page: number): number {
    return (this.#words[bucket + header.CLOCK]! - this.#bigs.enteredAt(page)) | 0
  }

  /**
   * Judges the big value at a position of the index, the oldest of its list. GONE: its pages are
   * free, or will be when nobody reads them. KEEP: it is the newest of a list now.
   */
  judgeBig(bucket: number, position: number): number {
    const words = this.#words
    const index = this.#index
    const address = index.address(bucket, position)
    const page = entry.firstPageOf(words, address)
    if (this.#entries.dropIfOver(bucket, position)) return GONE
    const clock = words[bucket + header.CLOCK]!
    const isInMain = entry.isInMainList(words, address)
    if (this.#mustStay(address)) {
      this.#bigs.renew(page, isInMain, clock)
      return KEEP
    }
    const chosen = this.#policy
    const isAsked = chosen !== policy.FIFO && index.frequency(bucket, position) > 0
    if (isAsked && isInMain) {
      index.access(bucket, position, -1)
      this.#bigs.renew(page, true, clock)
      return KEEP
    }
    if (
      isAsked &&
      (chosen !== policy.S3A || this.#neighbours.admitsBig(bucket, this.bigAge(bucket, page)))
    ) {
      this.enterMainList(bucket, position)
      this.#doubles[(bucket + header.PROMOTED) >> 1]!++
      return KEEP
    }
    const hash = this.#entries.hashOf(address)
    const stamp = this.#bigs.enteredAt(page)
    this.#entries.drop(bucket, position, EVICTED, header.EVICTED_BIG)
    if (!isInMain && chosen <= policy.S3_FIFO) this.#remember(bucket, hash, stamp)
    return GONE
  }

  /** Moves the big value at a position of the index from the small list to the main one. */
  enterMainList(bucket: number, position: number): void {
    const words = this.#words
    const address = this.#index.address(bucket, position)
    const clock = words[bucket + header.CLOCK]!
    this.#bigs.promote(entry.firstPageOf(words, address), clock, this.#contents.pagesOf(address))
    entry.setInMainList(words, address)
    this.#index.promote(bucket, position, address)
  }

  /** Visits the entries without pages in the order in which they would go: roughly, but for lru. */
  oldestFirst(bucket: number, visit: (address: number) => void): void {
    if (this.trailer !== policy.LRU_TRAILER_BYTES) {
      this.ring.walk(bucket + SMALL, visit)
      this.ring.walk(bucket + MAIN, visit)
      return
    }
    const words = this.#words
    for (let at = words[bucket + header.OLDEST]!; at !== 0; at = words[this.#trailerAt(at)]!) {
      visit(at)
    }
  }

  /* ---- lru and second-chance: what they keep in the trailer of each entry ---- */

  /*
   *   lru             | address of the next newer | of the next older | second of the last access |
   *   second-chance   | the bucket's accesses before the last one     | second of the last access |
   */

  /** A new entry without pages was written: it was asked for last. */
  enter(bucket: number, address: number): void {
    if (this.trailer === 0) return
    const words = this.#words
    const at = this.#trailerAt(address)
    if (this.trailer === policy.LRU_TRAILER_BYTES) {
      const newest = words[bucket + header.NEWEST]!
      words[at] = 0
      words[at + 1] = newest
      if (newest === 0) words[bucket + header.OLDEST] = address
      else words[this.#trailerAt(newest)] = address
      words[bucket + header.NEWEST] = address
    } else {
      const access = this.#accesses(bucket)
      words[at] = access
      this.#doubles[(bucket + header.ACCESS_SUM) >> 1]! += access
    }
    words[at + this.trailer / 4 - 1] = this.#entries.now() / 1_000
  }

  /** An entry without pages is going to be forgotten or rewritten. */
  leave(bucket: number, address: number): void {
    if (this.trailer === 0) return
    const words = this.#words
    const at = this.#trailerAt(address)
    if (this.trailer === policy.LRU_TRAILER_BYTES) {
      this.#link(bucket, words[at]!, words[at + 1]!)
    } else {
      this.#doubles[(bucket + header.ACCESS_SUM) >> 1]! -= words[at]! >>> 0
    }
  }

  /** Milliseconds since the entry was asked for, to the second; -1: the policy does not keep it. */
  idleMs(address: number): number {
    if (this.trailer === 0 || entry.isPaged(this.#words, address)) return -1
    const second = this.#words[this.#trailerAt(address) + this.trailer / 4 - 1]!
    return Math.max(0, Math.floor(this.#entries.now() / 1_000) - second) * 1_000
  }

  #touchTrailer(bucket: number, slot: number, address: number, chosen: number): void {
    const words = this.#words
    if (!entry.isPaged(words, address)) {
      this.leave(bucket, address)
      this.enter(bucket, address)
    } else if (chosen === policy.LRU) {
      this.#bigs.renew(entry.firstPageOf(words, address), true, words[bucket + header.CLOCK]!)
    } else {
      // One more round, however often it was asked for.
      words[slot + 1] = (words[slot + 1]! & ~FREQUENCY) | FREQUENCY_ONE
    }
  }

  /** Ring and list of an entry moved together, its trailer with it. */
  #movedTrailer(bucket: number, address: number): void {
    const words = this.#words
    if (this.trailer !== policy.LRU_TRAILER_BYTES || entry.isPaged(words, address)) return
    const at = this.#trailerAt(address)
    const newer = words[at]!
    const older = words[at + 1]!
    if (newer === 0) words[bucket + header.NEWEST] = address
    else words[this.#trailerAt(newer) + 1] = address
    if (older === 0) words[bucket + header.OLDEST] = address
    else words[this.#trailerAt(older)] = address
  }

  /** Makes two entries of the list neighbours; 0 is the end. */
  #link(bucket: number, newer: number, older: number): void {
    const words = this.#words
    if (newer === 0) words[bucket + header.NEWEST] = older
    else words[this.#trailerAt(newer) + 1] = older
    if (older === 0) words[bucket + header.OLDEST] = newer
    else words[this.#trailerAt(older)] = newer
  }

  /** Makes those go that were asked for longest ago, until the ring has dead bytes to slide over. */
  #judgeLru(bucket: number, address: number): number {
    const words = this.#words
    const main = bucket + MAIN
    while (!this.ring.isDeadHeavy(main)) {
      let oldest = words[bucket + header.OLDEST]!
      while (oldest !== 0 && this.#mustStay(oldest)) oldest = words[this.#trailerAt(oldest)]!
      if (oldest === 0) break
      const position = this.#locate(bucket, oldest)
      this.#entries.drop(bucket, position, EVICTED, header.EVICTED_MAIN)
      if (oldest === address) return GONE
    }
    return KEEP
  }

  #judgeSecondChance(bucket: number, position: number, address: number): number {
    const access = this.#words[this.#trailerAt(address)]! >>> 0
    const sum = this.#doubles[(bucket + header.ACCESS_SUM) >> 1]!
    const isOld = access * this.#index.count(bucket) <= sum
    if (!isOld && this.#rounds++ < CHANCES_MAX) {
      const bytes = entry.entryBytes(this.#words, address, this.trailer)
      this.#doubles[(bucket + header.REINSERTED_BYTES) >> 1]! += bytes
      return KEEP
    }
    this.#entries.drop(bucket, position, EVICTED, header.EVICTED_MAIN)
    return GONE
  }

  /** Accesses of the bucket so far, modulo 2^32. */
  #accesses(bucket: number): number {
    const doubles = this.#doubles
    return (doubles[(bucket + header.GETS) >> 1]! + doubles[(bucket + header.SETS) >> 1]!) >>> 0
  }

  /** Index in `words` of the entry's trailer. */
  #trailerAt(address: number): number {
    const bytes = entry.entryBytes(this.#words, address, this.trailer)
    return (address + bytes - this.trailer) >> 2
  }
}
