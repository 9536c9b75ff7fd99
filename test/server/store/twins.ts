/* Jobs of sharer.ts: one value that threads move from name to name while others look for it. */
import type { KeyPlace, Pages, Store } from '../../../server/store/store.ts'
import { OUT_OF_MEMORY, STORED } from '../../../server/store/store.ts'
import { SeededRandom } from '../../sim/random.ts'
import type { Job } from './sharer.ts'

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
export function moveTwins(store: Store, { seed, rounds }: Job): number {
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
export function watchTwins(store: Store, { seed, rounds }: Job): number {
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
export function loadTwins(store: Store, { seed, rounds }: Job): number {
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
