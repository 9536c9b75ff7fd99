/**
 * Copies of hot keys of other nodes, as one thread has them. A key that one node owns and that
 * everybody reads would have that node do all the work; so the owner lets others keep its value for
 * about a second, and tells them when it changes.
 *
 *     this node                                    owner of k
 *       GET k  (forwarded, as ever; counted)  -->
 *       k is often read:   PEER HOTGET k rate -->  hot there, too? then it remembers that we have k
 *                    <-- log, number, ttl, value
 *       GET k  answered from the copy
 *       PEER HOTLOG log number k hits         -->  answers at once if a key has changed, else
 *                    <-- from, to, [k]             after a moment, as a sign of life
 *       the copy is gone; ask again with `to`
 *
 * A copy is served only while all of this holds; else the read is forwarded:
 *
 * - its time is not over, counted from when it was asked for: `cluster-hot-ttl`, or what is left of
 *   the value's own time, whichever ends first
 * - the owner was heard within SILENT_MS, and its changes have come without a gap
 * - no change had come, when the copy did, that was made after the copy was read
 * - nothing of its slot was written through this node since it was asked for (stamps.ts)
 * - the ring is the one under which it was asked for
 *
 * Questions go over the same links as everything else, and are answered like everything else: a node
 * that does not know them answers an error, and is not asked again for a while.
 */
import type { PeerPort } from '../peers/peer.ts'
import { PeerError, type PeerValue } from '../peers/replies.ts'
import type { Clock } from '../world.ts'
import { HotCounter } from './counter.ts'
import { type Copy, Shelf } from './shelf.ts'
import type { Stamps } from './stamps.ts'

/** An owner that has nothing to tell says so by then. */
export const SIGN_OF_LIFE_MS = 100

/** Copies of an owner that was not heard for so long are not served. */
const SILENT_MS = 400

/** Who asks for a copy, or for changes, gives up then. */
const ASK_MS = 400

/** Changes are asked for no more often. */
const POLL_GAP_MS = 5

/** A key is asked for again so long after the owner said that it is not hot. */
const REFUSED_QUIET_MS = 100

/** ... after it has changed: one that changes all the time is not worth it. */
const CHANGED_QUIET_MS = 10

/** ... where a copy cannot be kept, or the owner does not know of copies. */
const IN_VAIN_QUIET_MS = 10_000

/** The last part of a copy's time, in which a newer one is asked for. */
const RENEWAL_PART = 0.1

/** Keys of which one question reports reads. */
const REPORTED_MAX = 64

const PEER = Buffer.from('PEER')
const HOTGET = Buffer.from('HOTGET')
const HOTLOG = Buffer.from('HOTLOG')

export interface CopiesOptions {
  readonly clock: Clock
  /** Another node, by name. */
  readonly peer: (name: string) => PeerPort
  readonly stamps: Stamps
  /** Reads of one key a second, by this thread, from which on a copy is asked for. Read each time. */
  readonly rateMin: () => number
  /** Of all copies of this thread. Read each time. */
  readonly bytesMax: () => number
}

/** Counted since the start, for INFO; the first two are now. */
export interface CopiesCounters {
  readonly copies: number
  readonly bytes: number
  /** Reads answered with a copy. */
  readonly hits: number
  readonly asked: number
  readonly kept: number
  /** Copies that were gone because their key has changed. */
  readonly changed: number
  /** Owners whose copies were all dropped: a gap, silence, another ring. */
  readonly flushes: number
}

export const noCopies: CopiesCounters = {
  ...{ copies: 0, bytes: 0, hits: 0, asked: 0, kept: 0, changed: 0, flushes: 0 },
}

/** What is known of an owner's log. */
interface Source {
  readonly owner: string
  /** -1: there is none. */
  log: number
  /** The last change that was taken in. */
  taken: number
  heardAt: number
  isAsked: boolean
}

interface Grant {
  readonly log: number
  readonly number: number
  readonly ttlMs: number
  readonly value: Buffer
}

export class HotCopies {
  readonly #options: CopiesOptions
  readonly #clock: Clock
  readonly #reads = new HotCounter()
  readonly #shelf = new Shelf()
  readonly #sources = new Map<string, Source>()
  /** Grows with each `clear`. */
  #era = 0
  #closed = false
  #hits = 0
  #asked = 0
  #kept = 0
  #changed = 0
  #flushes = 0

  constructor(options: CopiesOptions) {
    this.#options = options
    this.#clock = options.clock
  }

  get counters(): CopiesCounters {
    return {
      ...{ copies: this.#shelf.size, bytes: this.#shelf.bytes, hits: this.#hits },
      ...{ asked: this.#asked, kept: this.#kept },
      ...{ changed: this.#changed, flushes: this.#flushes },
    }
  }

  get isEmpty(): boolean {
    return this.#shelf.size === 0
  }

  /**
   * A client reads a key (latin1 text) of another node. The value, not to be changed, if there is a
   * copy that may be served; else null, and perhaps a copy is asked for. `times`: for how many reads
   * this one counts; 0: it is not counted, and asks for nothing (sample.ts).
   */
  read(key: string, owner: string, slot: number, times: number): Uint8Array | null {
    if (times === 0) return this.find(key)
    const now = this.#clock.now()
    this.#reads.add(key, now, times)
    const value = this.find(key)
    if (value === null) this.#consider(key, owner, slot, now)
    return value
  }

  /** The same for who only looks whether there is one. */
  find(key: string): Uint8Array | null {
    const copy = this.#shelf.get(key)
    if (copy === undefined) return null
    const now = this.#clock.now()
    if (!this.#isGood(copy, now)) {
      this.#shelf.delete(key)
      return null
    }
    if (now >= copy.renewAt) this.#consider(key, copy.owner, copy.slot, now)
    copy.hits++
    this.#hits++
    return copy.value
  }

  /** The ring has changed: who owned a key may not be told of its changes. */
  clear(): void {
    this.#era++
    this.#flushes += this.#sources.size
    this.#shelf.clear()
    this.#sources.clear()
  }

  /** Asks nobody any more. */
  close(): void {
    this.#closed = true
    this.clear()
  }

  #isGood(copy: Copy, now: number): boolean {
    if (now >= copy.until || this.#options.stamps.of(copy.slot) !== copy.stamp) return false
    const source = this.#sources.get(copy.owner)
    return source !== undefined && now - source.heardAt <= SILENT_MS
  }

  /* ---- asking for copies ---- */

  #consider(key: string, owner: string, slot: number, now: number): void {
    if (this.#closed || this.#reads.isQuiet(key, now)) return
    const rate = this.#reads.rate(key, now)
    if (rate < this.#options.rateMin()) return
    this.#reads.quiet(key, Infinity)
    this.#ask(key, owner, slot, rate)
  }

  #ask(key: string, owner: string, slot: number, rate: number): void {
    const askedAt = this.#clock.now()
    const era = this.#era
    const stamp = this.#options.stamps.of(slot)
    // Equal reads of a moment are one request: the owner does not know of all.
    const reads = Buffer.from(String(Math.floor(rate)))
    const args = [PEER, HOTGET, Buffer.from(key, 'latin1'), reads]
    this.#asked++
    const asked = { deadlineMs: ASK_MS, keyAt: 2, share: false }
    this.#options.peer(owner).request(args, asked, (outcome, value) => {
      const now = this.#clock.now()
      const grant = outcome === 'reply' ? grantOf(value) : null
      if (grant === null) {
        const quietMs = value instanceof PeerError ? IN_VAIN_QUIET_MS : REFUSED_QUIET_MS
        this.#reads.quiet(key, now + quietMs)
        return
      }
      this.#reads.quiet(key, 0)
      if (era !== this.#era || stamp !== this.#options.stamps.of(slot)) return
      const source = this.#sourceOf(owner, grant, now)
      // A change has overtaken it, perhaps its own.
      if (grant.number < source.taken) return
      const copy = {
        ...{ owner, slot, stamp, hits: 0, value: new Uint8Array(grant.value) },
        until: askedAt + grant.ttlMs,
        renewAt: askedAt + grant.ttlMs * (1 - RENEWAL_PART),
      }
      if (!this.#shelf.put(key, copy, this.#options.bytesMax())) {
        this.#reads.quiet(key, now + IN_VAIN_QUIET_MS)
        return
      }
      this.#kept++
      if (!source.isAsked) this.#poll(source)
    })
  }

  /** What is known of the log that a grant is of. */
  #sourceOf(owner: string, grant: Grant, now: number): Source {
    let source = this.#sources.get(owner)
    if (source === undefined) {
      source = { owner, log: -1, taken: 0, heardAt: now, isAsked: false }
      this.#sources.set(owner, source)
    }
    // Another log: the owner has forgotten whom it granted what before.
    if (source.log !== grant.log) this.#drop(source)
    const isNew = source.log !== grant.log
    source.log = grant.log
    // Nothing is kept that earlier changes could concern.
    if (isNew || (!source.isAsked && this.#shelf.countOf(owner) === 0)) source.taken = grant.number
    source.heardAt = now
    return source
  }

  /* ---- hearing of changes ---- */

  #poll(source: Source): void {
    source.isAsked = true
    const era = this.#era
    const { log, owner } = source
    const askedAt = this.#clock.now()
    const numbers = [String(log), String(source.taken)].map((word) => Buffer.from(word))
    const args = [PEER, HOTLOG, ...numbers, ...this.#report(owner)]
    const asked = { deadlineMs: ASK_MS, keyAt: -1, share: false }
    this.#options.peer(owner).request(args, asked, (outcome, value) => {
      source.isAsked = false
      if (era !== this.#era) return
      const now = this.#clock.now()
      // Otherwise the answer is about a log that is none any more.
      if (source.log === log && !(outcome === 'reply' && this.#takeIn(source, value, now))) {
        this.#drop(source)
      }
      this.#shelf.deleteWhere((copy) => now >= copy.until)
      if (this.#shelf.countOf(owner) === 0) return
      source.isAsked = true
      const waitMs = POLL_GAP_MS - (now - askedAt)
      if (waitMs <= 0) this.#poll(source)
      else this.#clock.after(waitMs, () => this.#pollOn(source, era))
    })
  }

  #pollOn(source: Source, era: number): void {
    if (era === this.#era) this.#poll(source)
  }

  /** Keys of an owner's and how often they were read here since the last report. */
  #report(owner: string): Buffer[] {
    const words: Buffer[] = []
    for (const [key, copy] of this.#shelf.entries()) {
      if (copy.owner !== owner || copy.hits === 0) continue
      words.push(Buffer.from(key, 'latin1'), Buffer.from(String(copy.hits)))
      copy.hits = 0
      if (words.length >= 2 * REPORTED_MAX) break
    }
    return words
  }

  /** Takes in what an owner tells. False: it is not what comes next, or nothing that can be read. */
  #takeIn(source: Source, value: PeerValue, now: number): boolean {
    if (!Array.isArray(value)) return false
    const [from, to, keys] = value as readonly PeerValue[]
    if (from !== source.taken || typeof to !== 'number' || !Array.isArray(keys)) return false
    for (const key of keys as readonly PeerValue[]) {
      if (!Buffer.isBuffer(key)) return false
      const name = key.toString('latin1')
      this.#reads.quiet(name, now + CHANGED_QUIET_MS)
      if (this.#shelf.get(name)?.owner === source.owner && this.#shelf.delete(name)) this.#changed++
    }
    source.taken = to
    source.heardAt = now
    return true
  }

  /** Lets go of an owner's copies. */
  #drop(source: Source): void {
    if (this.#shelf.countOf(source.owner) > 0) this.#flushes++
    this.#shelf.deleteWhere(({ owner }) => owner === source.owner)
    source.log = -1
    source.taken = 0
  }
}

/** Null: the key is not hot, or its owner has no copy to give. */
function grantOf(value: PeerValue): Grant | null {
  if (!Array.isArray(value)) return null
  const [log, number, ttlMs, bytes] = value as readonly PeerValue[]
  if (typeof log !== 'number' || typeof number !== 'number' || typeof ttlMs !== 'number')
    return null
  return Buffer.isBuffer(bytes) ? { log, number, ttlMs, value: bytes } : null
}
