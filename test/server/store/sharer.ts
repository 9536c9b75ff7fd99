/* A thread that shares a store with others (sharing.ts): it runs one job, and posts what comes out. */
import { parentPort, workerData } from 'node:worker_threads'
import { Args } from '../../../protocol/args.ts'
import type { KeyPlace, Pages, StoreOptions } from '../../../server/store/store.ts'
import { SeededRandom } from '../../sim/random.ts'
import { MISS, OUT_OF_MEMORY, STORED, Store } from '../../../server/store/store.ts'
import { Stress } from './stress.ts'

export interface Job {
  readonly name: JobName
  readonly store: StoreOptions
  readonly seed: number
  readonly rounds: number
}

export type JobName = keyof typeof jobs

/** Keys that are written and read together. */
const KEYS = 50

/** Their names, in an order of its own for each seed: forwards for even ones, else backwards. */
function names(seed: number): Buffer[] {
  const list = Array.from({ length: KEYS }, (_, i) => Buffer.from(`key:${i}`))
  return seed % 2 === 0 ? list : list.reverse()
}

/** Sets all keys to one stamp, again and again. @returns how often memory did not hold all */
function writeTogether(store: Store, { seed, rounds }: Job, valueBytes: number): number {
  const keys = names(seed)
  let refused = 0
  for (let round = 0; round < rounds; round++) {
    const stamp = Buffer.from(`${seed}:${round}`.padEnd(valueBytes, '.'))
    const args = Args.of(['MSET', ...keys.flatMap((key) => [key, stamp])])
    store.lockKeys(0, args, 1, args.count, 2)
    for (let i = 1; i < args.count; i += 2) {
      const [key, value] = [args.pos(i), args.pos(i + 1)]
      const result = store.set(0, args.bytes, key, args.length(i), value, valueBytes, 0)
      if (result !== STORED) refused++
    }
    store.unlockKeys()
  }
  return refused
}

/** Reads all keys together. @returns how often there was one; throws when two had different stamps */
function readTogether(store: Store, { seed, rounds }: Job): number {
  const keys = names(seed)
  const args = Args.of(['MGET', ...keys])
  const [to] = store.io.replies
  const sink = { reserve: () => to! }
  let found = 0
  for (let round = 0; round < rounds; round++) {
    const stamps = new Set<string>()
    store.lockKeys(0, args, 1, args.count, 1)
    for (let i = 1; i < args.count; i++) {
      const length = store.get(0, args.bytes, args.pos(i), args.length(i), sink)
      if (length === MISS) continue
      found++
      stamps.add(text(store.io.bytes.subarray(to, to! + length)))
    }
    store.unlockKeys()
    if (stamps.size > 1) throw new Error(`stamps that were written apart: ${[...stamps].join()}`)
  }
  return found
}

/** The two names of one value, in one of these databases; the value is as long as seed says. */
const TWINS = ['twin:a', 'twin:b'].flatMap((name) => [0, 1].map((db) => ({ name, db })))
const TWIN_BYTES = [20, 5_000, 50_000, 70_000, 200_000]

function twins(): KeyPlace[] {
  return TWINS.map(({ name, db }) => {
    const bytes = Buffer.from(name)
    return { db, bytes, pos: 0, length: bytes.length }
  })
}

function twinOf(number: number): Buffer {
  return Buffer.alloc(TWIN_BYTES[number % TWIN_BYTES.length]!, number)
}

function setTwin(store: Store, { db, bytes, length }: KeyPlace, number: number): void {
  const value = twinOf(number)
  store.open(db, bytes, 0, length)
  const result = store.put(value, 0, value.length, number % 3 === 0 ? store.now + 1e6 : 0)
  store.close()
  if (result !== STORED) throw new Error('a twin has no room')
}

/**
 * Moves the one value from name to name, and now and then puts another in its place.
 * @returns how often it was there to be moved
 */
function moveTwins(store: Store, { seed, rounds }: Job): number {
  const random = new SeededRandom(seed)
  const places = twins()
  let moved = 0
  for (let round = 0; round < rounds; round++) {
    const from = random.pick(places)
    const to = random.pick(places.filter((place) => place !== from))
    store.lockPair(from, to)
    const result = store.move(from, to)
    if (result === STORED && random.below(4) === 0) setTwin(store, to, random.below(250))
    store.unlockKeys()
    if (result === OUT_OF_MEMORY) throw new Error('a twin cannot be moved')
    if (result === STORED) moved++
  }
  return moved
}

/** Looks under two names at a time, and pins what it finds. @returns how often it found it */
function watchTwins(store: Store, { seed, rounds }: Job): number {
  const random = new SeededRandom(seed)
  const places = twins()
  const pins: { pages: Pages; head: number }[] = []
  let seen = 0
  for (let round = 0; round < rounds; round++) {
    const one = random.pick(places)
    const two = random.pick(places.filter((place) => place !== one))
    let found = 0
    store.lockPair(one, two)
    for (const { db, bytes, length } of [one, two]) {
      if (store.open(db, bytes, 0, length)) {
        found++
        checkTwin(store, pins)
      }
      store.close()
    }
    store.unlockKeys()
    if (found > 1) throw new Error('a value has two names')
    seen += found
    while (pins.length > 4) letGoTwin(pins.shift()!)
  }
  for (const pin of pins) letGoTwin(pin)
  return seen
}

function checkTwin(store: Store, pins: { pages: Pages; head: number }[]): void {
  const { scratch, bytes } = store.io
  store.read(store.valueLength - 1, 1, scratch)
  const number = bytes[scratch]!
  if (twinOf(number).length !== store.valueLength) throw new Error('a twin has a wrong length')
  if (store.expireAt > 0 !== (number % 3 === 0)) throw new Error('a twin has a wrong expiry')
  if (store.inPages) pins.push({ pages: store.pin(), head: number })
}

/** What was pinned is still what it was, wherever it has gone. */
function letGoTwin({ pages, head }: { pages: Pages; head: number }): void {
  if (!pages.toBuffer().equals(twinOf(head)))
    throw new Error('a twin has changed while it was read')
  pages.release()
}

/**
 * Plants leases under names that have no value, and later fills them with "there is no such thing":
 * if a lease outlived a value that came, or went, meanwhile, that would be the value's end.
 * @returns how many were filled
 */
function loadTwins(store: Store, { seed, rounds }: Job): number {
  const random = new SeededRandom(seed)
  const places = twins()
  const leases: { place: KeyPlace; token: number }[] = []
  let filled = 0
  for (let round = 0; round < rounds; round++) {
    const place = random.pick(places)
    const found = store.open(place.db, place.bytes, 0, place.length)
    const token = found ? 0 : store.lease()
    store.close()
    if (token !== 0) leases.push({ place, token })
    if (leases.length < 6) continue
    const lease = leases.shift()!
    const { db, bytes } = lease.place
    if (store.fill(db, bytes, lease.token, null, store.now + 1e6)) filled++
  }
  return filled
}

/** Without what it is filled up with. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString().replace(/\.+$/, '')
}

const jobs = {
  'write together': (store: Store, job: Job) => writeTogether(store, job, 20),
  'write together what does not fit': (store: Store, job: Job) => writeTogether(store, job, 60_000),
  'read together': readTogether,
  'move twins': moveTwins,
  'watch twins': watchTwins,
  'load twins': loadTwins,
  stress: (_store: Store, { store, seed, rounds }: Job) => new Stress(store, seed).run(rounds),
}

const job = workerData as Job
parentPort!.postMessage(jobs[job.name](new Store(job.store), job), [])
