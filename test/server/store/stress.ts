/*
 * One of several threads that do everything at once to one small store. What they store proves by
 * itself that it is whole, and that it belongs to its key:
 *
 *   value     checksum 4 | length 4 | stamp 4 | key's length 1 | key | noise of the stamp
 *   log       records of 16 bytes: checksum 4 | hash of the key 4 | number 8; appended and rewritten
 *   counter   digits. What was added in all is what is there in the end and what was removed
 *   pair      values with one stamp, written together and read together
 *   loaded    values as those of keys, filled with extras; invalidated by tag and by prefix, after which
 *             nobody may see what its thread filled before
 *
 * Time goes on by operations, so that what expires does.
 */
import { Args } from '../../../protocol/args.ts'
import type { Found } from '../../../server/store/block.ts'
import { IMAGE, itemsOf } from '../../../server/store/block.ts'
import { xxh32 } from '../../../server/store/hash.ts'
import { entriesOf } from '../../../server/store/image.ts'
import { blocksOf } from '../../../server/store/snapshot.ts'
import type { Pages, Policy, Scope, StoreOptions } from '../../../server/store/store.ts'
import {
  CHANGED,
  IN_PAGES,
  MISS,
  OUT_OF_MEMORY,
  STORED,
  Store,
  TYPE_STRING,
} from '../../../server/store/store.ts'
import { SeededRandom } from '../../sim/random.ts'

const HEAD_BYTES = 13
const RECORD_BYTES = 16

/** Keys of each kind. Few, so that threads meet. */
const KEYS = 3_000
const LOGS = 20
const COUNTERS = 40
const PAIRS = 8
const PAIR_KEYS = 5
const LOADED = 200
const LOADED_BYTES_MAX = 300_000
const TAGS = 5

/** Pages of values that a thread keeps pinned at a time. */
const PINS_MAX = 6

/** Policies that may be changed into each other. */
const POLICIES: readonly Policy[] = ['s3a', 's3-fifo', 'fifo']
const SCOPES: readonly Scope[] = ['all', 'all', 'volatile', 'none']

/** What a thread has done. */
export interface StressResult {
  readonly operations: number
  /** What it added to counters. */
  readonly added: number
  /** What counters had that were removed by it, the sum. */
  readonly removed: number
  readonly refused: number
  readonly seen: number
}

/** A sink for values of any length up to that of a reply area. */
interface Place {
  at: number
  reserve(length: number): number
}

/** A value that proves to be whole, in memory of its own. */
function valueOf(key: Buffer, stamp: number, length: number): Buffer {
  const value = Buffer.alloc(Math.max(length, HEAD_BYTES + key.length), stamp & 0xff)
  value.writeUInt32LE(value.length, 4)
  value.writeUInt32LE(stamp, 8)
  value[12] = key.length
  key.copy(value, HEAD_BYTES)
  value.writeUInt32LE(xxh32(value, 4, value.length - 4, 0) >>> 0, 0)
  return value
}

/** Throws when a value is not whole or another key's. @returns its stamp */
function checkValue(key: Buffer, value: Buffer, what: string): number {
  const name = key.toString()
  const fail = (why: string): never => {
    throw new Error(`${what}: the value of ${name} ${why} (${value.length} bytes)`)
  }
  if (value.length < HEAD_BYTES || value.readUInt32LE(4) !== value.length)
    fail('has a wrong length')
  if (!value.subarray(HEAD_BYTES, HEAD_BYTES + value[12]!).equals(key)) fail('is another key’s')
  if (value.readUInt32LE(0) !== xxh32(value, 4, value.length - 4, 0) >>> 0) fail('is torn')
  return value.readUInt32LE(8)
}

function recordOf(key: Buffer, number: number): Buffer {
  const record = Buffer.alloc(RECORD_BYTES)
  record.writeUInt32LE(xxh32(key, 0, key.length, 0) >>> 0, 4)
  record.writeDoubleLE(number, 8)
  record.writeUInt32LE(xxh32(record, 4, RECORD_BYTES - 4, 0) >>> 0, 0)
  return record
}

function checkLog(key: Buffer, value: Buffer): void {
  if (value.length % RECORD_BYTES !== 0) throw new Error('a log ends in the middle of a record')
  for (let at = 0; at < value.length; at += RECORD_BYTES) {
    const number = value.readDoubleLE(at + 8)
    if (recordOf(key, number).equals(value.subarray(at, at + RECORD_BYTES))) continue
    throw new Error(`${key.toString()} is torn at ${at} of ${value.length} bytes`)
  }
}

interface Filled {
  readonly stamp: number
  readonly tag: number
}

export class Stress {
  readonly #store: Store
  readonly #random: SeededRandom
  readonly #maxMemory: number
  readonly #place: Place
  readonly #pins: { key: Buffer; pages: Pages }[] = []
  #leases: { key: Buffer; token: number }[] = []
  /** What this thread filled, by the number of the key, since it was invalidated. */
  readonly #loaded = new Map<number, Filled>()
  /** Where this thread's sweep stands; -1: it has none. */
  #purged = -1
  #scanned = 0
  #flushed = 0
  #snapshot: ReturnType<typeof blocksOf> | null = null
  #operations = 0
  #added = 0
  #removed = 0
  #refused = 0
  #seen = 0

  /** `seed`: another one for each thread. */
  constructor(options: StoreOptions, seed: number) {
    this.#store = new Store({
      ...options,
      onRemoved: (reason, _db, key, value) => this.#hear(reason, Buffer.from(key), value),
    })
    this.#random = new SeededRandom(seed)
    this.#maxMemory = options.maxMemory
    const at = this.#store.io.replies[0]!
    this.#place = { at, reserve: () => at }
  }

  run(rounds: number): StressResult {
    for (let i = 0; i < rounds; i++) this.#step()
    for (const { key, pages } of this.#pins) this.#letGo(key, pages)
    this.#snapshot?.return()
    this.#sweepInvalidated(Infinity)
    const { operations, added, removed, refused, seen } = {
      ...{ operations: this.#operations, added: this.#added, removed: this.#removed },
      ...{ refused: this.#refused, seen: this.#seen },
    }
    return { operations, added, removed, refused, seen }
  }

  /** The sum of the counters that are there. */
  static counted(store: Store): number {
    let sum = 0
    for (let i = 0; i < COUNTERS; i++) {
      const key = Buffer.from(`counter:${i}`)
      if (store.open(0, key, 0, key.length)) sum += Number(readOpen(store).toString())
      store.close()
    }
    return sum
  }

  #step(): void {
    const store = this.#store
    const roll = this.#random.below(1_000)
    store.now = 1_000 + this.#operations / 20
    this.#operations++
    const key = this.#key()
    if (roll < 300) this.#get(key)
    else if (roll < 340) this.#load()
    else if (roll < 350) this.#invalidate()
    else if (roll < 570) this.#set(key, this.#random.below(roll < 400 ? 3_000 : 400))
    else if (roll < 600) this.#setBig(key)
    else if (roll < 650) store.delete(0, key, 0, key.length)
    else if (roll < 750) this.#count()
    else if (roll < 800) this.#log()
    else if (roll < 840) this.#writePair()
    else if (roll < 880) this.#readPair()
    else if (roll < 920) this.#lease(key)
    else if (roll < 940) this.#expire(key)
    else if (roll < 960) this.#scan()
    else if (roll < 970) store.sweep(200)
    else if (roll < 980) this.#snap()
    else if (roll < 985) this.#grow(key)
    else this.#rule()
  }

  #key(): Buffer {
    // Some are asked for more often than others.
    const below = this.#random.below(4) === 0 ? KEYS : KEYS / 20
    return Buffer.from(`key:${this.#random.below(below)}`)
  }

  #hear(reason: string, key: Buffer, value: Uint8Array): void {
    const bytes = Buffer.from(value)
    if (key.toString().startsWith('counter:')) {
      if (reason !== 'overwritten') this.#removed += Number(bytes.toString())
    } else if (key.toString().startsWith('log:')) {
      checkLog(key, bytes)
    } else if (!key.toString().startsWith('grown:')) {
      checkValue(key, bytes, reason)
    }
  }

  #judge(result: number): void {
    if (result === OUT_OF_MEMORY) this.#refused++
  }

  #get(key: Buffer): void {
    const store = this.#store
    const { at } = this.#place
    const length = store.get(0, key, 0, key.length, this.#place)
    if (length === MISS) return
    this.#seen++
    if (length >= 0) {
      checkValue(key, Buffer.from(store.io.bytes.subarray(at, at + length)), 'get')
    } else if (length === IN_PAGES) {
      this.#pin(key)
    }
  }

  #pin(key: Buffer): void {
    const store = this.#store
    const found = store.open(0, key, 0, key.length)
    const pages = found && store.inPages ? store.pin() : null
    store.close()
    if (pages === null) return
    this.#pins.push({ key, pages })
    if (this.#pins.length <= PINS_MAX) return
    const oldest = this.#pins.shift()!
    this.#letGo(oldest.key, oldest.pages)
  }

  /** What was pinned is still what it was. */
  #letGo(key: Buffer, pages: Pages): void {
    checkValue(key, pages.toBuffer(), 'pinned')
    pages.release()
  }

  #set(key: Buffer, length: number): void {
    const value = valueOf(key, this.#random.uint32(), length)
    const bytes = Buffer.concat([key, value])
    const expireAt = this.#random.below(4) === 0 ? this.#store.now + this.#random.below(200) : 0
    const at = key.length
    this.#judge(this.#store.set(0, bytes, 0, at, at, value.length, Math.floor(expireAt)))
  }

  #setBig(key: Buffer): void {
    const store = this.#store
    const length = this.#random.below(this.#random.below(3) === 0 ? 300_000 : 20_000)
    const value = valueOf(key, this.#random.uint32(), length)
    const pages = store.pages()
    if (!pages.write(value, 0, value.length)) {
      this.#refused++
      return
    }
    store.open(0, key, 0, key.length)
    this.#judge(store.putPages(pages, 0))
    store.close()
  }

  #count(): void {
    const store = this.#store
    const key = Buffer.from(`counter:${this.#random.below(COUNTERS)}`)
    const by = 1 + this.#random.below(3)
    const before = store.open(0, key, 0, key.length) ? Number(readOpen(store).toString()) : 0
    const value = Buffer.from(String(before + by))
    const result = store.put(value, 0, value.length, 0)
    store.close()
    this.#judge(result)
    if (result === STORED) this.#added += by
  }

  #log(): void {
    const store = this.#store
    const key = Buffer.from(`log:${this.#random.below(LOGS)}`)
    const records: Buffer[] = []
    for (let i = 1 + this.#random.below(60); i > 0; i--) {
      records.push(recordOf(key, this.#random.uint32()))
    }
    const bytes = Buffer.concat(records)
    const found = store.open(0, key, 0, key.length)
    const length = found ? store.valueLength : 0
    const before = found ? readOpen(store) : null
    // Overwrites a part, or appends.
    const offset = this.#random.below(2) * RECORD_BYTES * this.#random.below(length / 16 + 1)
    const isOver = this.#random.below(2) === 0
    if (length > 200_000) store.remove()
    else this.#judge(store.setRange(isOver ? offset : length, bytes, 0, bytes.length))
    store.close()
    if (before !== null) checkLog(key, before)
  }

  #pairArgs(write: boolean): { args: Args; keys: Buffer[] } {
    const pair = this.#random.below(PAIRS)
    const keys = Array.from({ length: PAIR_KEYS }, (_, i) => Buffer.from(`pair:${pair}:${i}`))
    if (this.#random.below(2) === 0) keys.reverse()
    const stamp = this.#random.uint32()
    const length = this.#random.below(this.#random.below(20) === 0 ? 30_000 : 300)
    const words = write ? keys.flatMap((key) => [key, valueOf(key, stamp, length)]) : keys
    return { args: Args.of(words), keys }
  }

  #writePair(): void {
    const store = this.#store
    const { args } = this.#pairArgs(true)
    const { bytes } = args
    store.lockKeys(0, args, 0, args.count, 2)
    let isWhole = true
    for (let i = 0; i < args.count; i += 2) {
      const [key, value] = [args.pos(i), args.pos(i + 1)]
      const result = store.set(0, bytes, key, args.length(i), value, args.length(i + 1), 0)
      isWhole &&= result === STORED
    }
    // Those that were refused have their former values: then nobody may see any.
    for (let i = 0; i < args.count && !isWhole; i += 2) {
      store.delete(0, bytes, args.pos(i), args.length(i))
    }
    store.unlockKeys()
    if (!isWhole) this.#refused++
  }

  #readPair(): void {
    const store = this.#store
    const { args, keys } = this.#pairArgs(false)
    const stamps = new Set<number>()
    const seen: [Buffer, Buffer][] = []
    store.lockKeys(0, args, 0, args.count, 1)
    for (const [i, key] of keys.entries()) {
      if (store.open(0, args.bytes, args.pos(i), args.length(i))) seen.push([key, readOpen(store)])
      store.close()
    }
    store.unlockKeys()
    for (const [key, value] of seen) stamps.add(checkValue(key, value, 'pair'))
    if (stamps.size > 1) throw new Error('a pair was written in two')
  }

  #lease(key: Buffer): void {
    const store = this.#store
    const found = store.open(0, key, 0, key.length)
    const token = found ? 0 : store.lease()
    store.close()
    if (token !== 0) this.#leases.push({ key, token })
    if (this.#leases.length < 10) return
    const value = (name: Buffer): Buffer => valueOf(name, this.#random.uint32(), 200)
    for (const lease of this.#leases) {
      const isFilled = this.#random.below(4) > 0
      if (isFilled) store.fill(0, lease.key, lease.token, value(lease.key), 0)
      else store.dropLease(0, lease.key, lease.token)
    }
    this.#leases = []
  }

  /** Fills a key that nobody has, or that is to be loaded again. */
  #load(): void {
    const store = this.#store
    const random = this.#random
    const number = random.below(LOADED)
    const key = Buffer.from(`loaded:${number}`)
    const birth = store.birth()
    const found = store.openAny(0, key, 0, key.length)
    if (found) {
      checkValue(key, readOpen(store), 'openAny')
      if (store.extras === null) throw new Error(`${key.toString()} has lost its extras`)
    }
    const token = found ? store.leaseBeside() : store.lease()
    store.close()
    if (token === 0) return
    const stamp = random.uint32()
    const tag = random.below(TAGS)
    const isNegative = random.below(5) === 0
    const value = isNegative ? null : valueOf(key, stamp, random.below(20) > 0 ? 200 : 90_000)
    const expireAt = Math.floor(store.now) + 1 + random.below(200)
    const freshUntil = expireAt - random.below(100)
    const visibleUntil = freshUntil + random.below(expireAt - freshUntil + 1)
    const extras = { freshUntil, visibleUntil, loadedAt: store.now, costMs: 5, group: 1, birth }
    const more = { tags: [tag, TAGS], etag: random.below(2) === 0 ? key : null, idleMs: 0 }
    if (store.groupBytes(1) > LOADED_BYTES_MAX) {
      store.makeGroupRoom(1, 1_000, 200, LOADED_BYTES_MAX)
    }
    if (!store.fill(0, key, token, value, expireAt, { ...extras, ...more })) return
    if (!isNegative) this.#loaded.set(number, { stamp, tag })
  }

  #invalidate(): void {
    if (this.#purged >= 0) {
      this.#sweepInvalidated(1 + this.#random.below(100))
      return
    }
    const store = this.#store
    if (this.#random.below(2) === 0) {
      const tag = this.#random.below(TAGS)
      store.invalidateTag(tag)
      this.#expectGone((filled) => filled.tag === tag)
    } else if (store.beginInvalidation({ kind: 'prefix', db: -1, bytes: Buffer.from('loaded:') })) {
      this.#purged = 0
      this.#expectGone(() => true)
    }
  }

  #sweepInvalidated(steps: number): void {
    for (let i = 0; i < steps && this.#purged >= 0; i++) {
      this.#purged = this.#store.sweepInvalidated(this.#purged) || -1
    }
  }

  /** What this thread filled before is not there any more, though others may have filled the key. */
  #expectGone(isMeant: (filled: Filled) => boolean): void {
    const store = this.#store
    for (const [number, filled] of [...this.#loaded]) {
      if (!isMeant(filled)) continue
      this.#loaded.delete(number)
      const key = Buffer.from(`loaded:${number}`)
      const found = store.openAny(0, key, 0, key.length)
      const stamp = found ? checkValue(key, readOpen(store), 'invalidated') : -1
      store.close()
      if (stamp === filled.stamp) throw new Error(`${key.toString()} outlives its invalidation`)
    }
  }

  #expire(key: Buffer): void {
    const store = this.#store
    if (store.open(0, key, 0, key.length)) {
      this.#judge(store.setExpiry(Math.floor(store.now) + this.#random.below(300)))
    }
    store.close()
  }

  #scan(): void {
    this.#scanned = this.#store.scan(0, this.#scanned, 300, (bytes, pos, length) => {
      const key = Buffer.from(bytes.subarray(pos, pos + length)).toString()
      if (!/^(?:key|counter|log|pair|loaded):\d/.test(key)) throw new Error(`a scan sees ${key}`)
    })
  }

  #snap(): void {
    this.#snapshot ??= blocksOf(this.#store, 0)
    for (let i = 0; i < 4; i++) {
      const next = this.#snapshot.next()
      if (next.done === true) {
        this.#snapshot = null
        return
      }
      const { block } = next.value
      const { chunkBytes } = this.#store.shape
      this.#checkEntries(
        block.bytes,
        block.kind === IMAGE ? entriesOf(block, chunkBytes) : itemsOf(block),
      )
    }
  }

  #checkEntries(bytes: Uint8Array, entries: Iterable<Found>): void {
    for (const found of entries) {
      // Pieces of long values are checked where they are pinned.
      if (found.pieceLength !== found.valueLength || found.type !== TYPE_STRING) continue
      const key = Buffer.from(bytes.subarray(found.keyAt, found.keyAt + found.keyLength))
      const end = found.valueAt + found.valueLength
      const value = Buffer.from(bytes.subarray(found.valueAt, end))
      if (key.toString().startsWith('log:')) checkLog(key, value)
      else if (!key.toString().startsWith('counter:')) checkValue(key, value, 'snapshot')
    }
  }

  /** A growth in steps, of a value that is removed under the same lock: it proves nothing. */
  #grow(key: Buffer): void {
    const store = this.#store
    const zero = Buffer.from([0])
    const name = Buffer.from(`grown:${key.toString()}`)
    store.open(0, name, 0, name.length)
    const growth = store.grow(1_100_000, 1, null)
    store.close()
    if (growth === null) return
    for (;;) {
      while (!growth.step());
      store.open(0, name, 0, name.length)
      const result = store.attach(growth, zero, 0)
      if (result === STORED && !readOpen(store).equals(Buffer.alloc(1_100_001))) {
        throw new Error('what has grown is not all zero')
      }
      store.remove()
      store.close()
      this.#judge(result)
      if (result !== CHANGED) return
    }
  }

  /** What concerns the whole store. */
  #rule(): void {
    const store = this.#store
    const roll = this.#random.below(20)
    if (roll < 3) {
      store.setMaxMemory(this.#maxMemory * (0.6 + 0.1 * this.#random.below(5)))
    } else if (roll < 12) {
      store.shrink(30)
    } else if (roll < 13) {
      this.#flushed = store.flushSome(this.#random.below(2) - 1, this.#flushed)
      for (let i = 0; i < 10 && this.#flushed !== 0; i++) {
        this.#flushed = store.flushSome(-1, this.#flushed)
      }
    } else if (roll < 15) {
      const [policy, scope] = [
        this.#random.below(POLICIES.length),
        this.#random.below(SCOPES.length),
      ]
      store.setPolicy(POLICIES[policy]!, SCOPES[scope]!)
    } else if (roll < 18) {
      if (store.stats.entries < 0 || store.usedBytes < 0) throw new Error('counts are negative')
    } else {
      store.randomKey(0, this.#random.uint32(), this.#place)
    }
  }
}

/** The open value on the heap. */
function readOpen(store: Store): Buffer {
  const value = Buffer.alloc(store.valueLength)
  const to = store.io.scratch
  const step = 32 * 1024
  for (let done = 0; done < value.length; done += step) {
    const length = Math.min(step, value.length - done)
    store.read(done, length, to)
    value.set(store.io.bytes.subarray(to, to + length), done)
  }
  return value
}
