import test from 'ava'
import { type Group, parseGroup } from '../../../cluster/groups/group.ts'
import { Loads, type Outcome } from '../../../cluster/loads/loads.ts'
import type { Loaded, Loader, LoadRequest } from '../../../cluster/origin/loader.ts'
import { LoadStore } from '../../../server/loads/load-store.ts'
import { Store } from '../../../server/store/store.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'
import { ModelStore, type TestStore } from './model-store.ts'

/*
 * One node under reads, writes, a misbehaving origin and passing time, in an order drawn from a
 * seed. The truth about a key is a number that only grows: each write, be it a SET here or a change
 * at the origin followed by a DEL here, takes the next one, and every value carries its number. A
 * read that starts when a write with number n has been acknowledged must never see less than n.
 */

const KEYS = ['k:1', 'k:2']
const STEPS = 40

class Interleaving implements Loader {
  readonly clock = new VirtualClock(1000)
  readonly store: TestStore
  readonly random: SeededRandom
  readonly loads: Loads
  readonly group: Group
  readonly signals: AbortSignal[] = []
  /** The number of the last acknowledged write, by key. */
  readonly truth = new Map<string, number>()
  /** What went wrong; empty if nothing did. */
  readonly wrongs: string[] = []
  readonly seen = { values: 0, errors: 0, missing: 0, late: 0, again: 0, hits: 0 }
  #reads = 0
  #outcomes = 0

  constructor(seed: number, store: TestStore) {
    this.random = new SeededRandom(seed)
    this.store = store
    this.group = parseGroup(
      'g match k:{id} origin http://h/{id} ttl 20ms timeout 30ms wait 12ms concurrency 2'.split(
        ' ',
      ),
    )
    const { clock } = this
    const { random } = this
    this.loads = new Loads({ clock, random, store, loader: this, limits: { waitersMax: 3 } })
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      this.store.now = this.clock.now()
      this.#step(this.random.pick(KEYS))
      if (this.random.below(3) === 0) await this.clock.advance(this.random.below(8))
      else await Promise.resolve()
    }
    await this.clock.advance(100)
    this.#checkEnd()
  }

  #step(key: string): void {
    if (this.random.below(100) === 0) {
      this.#flush()
      return
    }
    const what = this.random.below(16)
    if (what < 9) this.#get(key)
    else if (what < 11) this.store.set(key, String(this.#write(key)))
    else if (what < 15) this.#del(key)
    else this.#getAndLeave(key)
  }

  /** The writer has changed the origin and now removes what may be cached. */
  #del(key: string): void {
    this.#write(key)
    this.store.delete(key)
  }

  #flush(): void {
    for (const key of KEYS) this.#write(key)
    this.store.flush()
  }

  #write(key: string): number {
    const number = this.#truthOf(key) + 1
    this.truth.set(key, number)
    return number
  }

  #truthOf(key: string): number {
    return this.truth.get(key) ?? 0
  }

  #get(key: string): void {
    this.#reads++
    this.#look(key, this.#truthOf(key))
  }

  /** As the server does: a hit answers, a miss waits, "again" looks again. */
  #look(key: string, floor: number): void {
    this.store.now = this.clock.now()
    const value = this.store.get(key)
    if (value !== null) {
      this.seen.hits++
      this.#finish(key, floor, value)
      return
    }
    const miss = { db: 0, key: Buffer.from(key), group: this.group, ...this.store.lease(key) }
    let heard = 0
    this.loads.wait(miss, (outcome) => {
      if (++heard > 1) this.wrongs.push(`a waiter of ${key} heard twice`)
      this.#hear(key, floor, outcome)
    })
  }

  #hear(key: string, floor: number, outcome: Outcome): void {
    if (outcome.kind === 'again') {
      this.seen.again++
      this.#look(key, floor)
    } else if (outcome.kind === 'value') {
      this.seen.values++
      this.#finish(key, floor, String(outcome.value))
    } else {
      this.seen[outcome.kind === 'error' ? 'errors' : outcome.kind]++
      this.#finish(key, floor, null)
    }
  }

  #finish(key: string, floor: number, value: string | null): void {
    this.#outcomes++
    if (value === null) return
    if (Number(value) < floor) this.wrongs.push(`a read of ${key} saw ${value} after ${floor}`)
    if (Number(value) > this.#truthOf(key)) this.wrongs.push(`${key} had ${value} before its time`)
  }

  #getAndLeave(key: string): void {
    if (this.store.get(key) !== null) return
    const miss = { db: 0, key: Buffer.from(key), group: this.group, ...this.store.lease(key) }
    let left = false
    const waiter = this.loads.wait(miss, () => {
      if (left) this.wrongs.push('a waiter that left heard something')
    })
    this.clock.after(this.random.below(10), () => {
      left = true
      waiter.leave()
    })
  }

  /** The origin: reads its truth at some moment, answers at a later one, or misbehaves. */
  load({ key, signal }: LoadRequest): Promise<Loaded> {
    this.signals.push(signal)
    const name = String(key)
    const fate = this.random.below(12)
    if (fate === 0) throw new Error('thrown at once')
    return new Promise((resolve, reject) => {
      if (fate === 1) return
      this.clock.after(this.random.below(10), () => {
        const value = Buffer.from(String(this.#truthOf(name)))
        this.clock.after(this.random.below(25), () => {
          if (fate === 2) reject(new Error('rejected'))
          else resolve({ value: fate === 3 ? null : value })
        })
      })
    })
  }

  async close(): Promise<void> {}

  #checkEnd(): void {
    const { inFlight, waiting } = this.loads
    const { active, queued } = this.loads.underWay(this.group)
    const left = { inFlight, waiting, active, queued, timers: this.clock.timers }
    for (const [what, count] of Object.entries(left)) {
      if (count !== 0) this.wrongs.push(`${count} ${what} left behind`)
    }
    this.store.now = this.clock.now()
    for (const key of KEYS) {
      const isLeased = this.store.get(key) === null && !this.store.lease(key).planted
      if (isLeased) this.wrongs.push(`a lease of ${key} left behind`)
    }
    if (this.signals.some((signal) => !signal.aborted)) this.wrongs.push('a load was not aborted')
    if (this.#outcomes !== this.#reads) {
      this.wrongs.push(`${this.#reads} reads had ${this.#outcomes} outcomes`)
    }
  }
}

/** The real store behind the same verbs. */
class RealStore extends LoadStore implements TestStore {
  readonly #store: Store
  readonly #sink = { reserve: () => this.#store.io.scratch }

  constructor(store = new Store({ maxMemory: 8 * 1024 ** 2, seed: 7 })) {
    super(store)
    this.#store = store
  }

  get(key: string): string | null {
    const { scratch, bytes } = this.#store.io
    const length = this.#store.get(0, toBytes(key), 0, key.length, this.#sink)
    return length < 0 ? null : String(Buffer.from(bytes.subarray(scratch, scratch + length)))
  }

  set(key: string, value: string): void {
    const both = toBytes(key + value)
    this.#store.set(0, both, 0, key.length, key.length, value.length, 0)
  }

  delete(key: string): void {
    this.#store.delete(0, toBytes(key), 0, key.length)
  }

  flush(): void {
    this.#store.flush(0)
  }

  lease(key: string): { readonly token: number; readonly planted: boolean } {
    this.#store.open(0, toBytes(key), 0, key.length)
    const token = this.#store.lease()
    this.#store.close()
    return { token, planted: this.#store.leasePlanted }
  }
}

function toBytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text))
}

const real = new RealStore()

/** The real store is one for all seeds, emptied between them: making one takes long. */
function emptied(store: TestStore): TestStore {
  for (const key of KEYS) store.delete(key)
  return store
}

for (const [name, seeds, makeStore] of [
  ['a model store', 1000, () => new ModelStore()],
  ['the real store', 10_000, () => emptied(real)],
] as const) {
  test(`${seeds} interleavings of reads, writes and loads on ${name} lose no fence and leave nothing`, async (t) => {
    const seen: Record<string, number> = {}
    for (let seed = 1; seed <= seeds; seed++) {
      const interleaving = new Interleaving(seed, makeStore())
      await interleaving.run()
      if (interleaving.wrongs.length > 0) t.log(`seed ${seed}`)
      t.deepEqual(interleaving.wrongs, [])
      const { fenced, errors } = interleaving.loads.counters()
      for (const [what, n] of Object.entries({ ...interleaving.seen, fenced, busy: errors.busy })) {
        seen[what] = (seen[what] ?? 0) + n
      }
    }
    t.log(JSON.stringify(seen))
    const { again, ...others } = seen
    t.is(again, 0)
    t.true(Math.min(...Object.values(others)) > seeds / 10)
  })
}

test('without the fence the same interleavings see old values', async (t) => {
  let lost = 0
  for (let seed = 1; seed <= 200; seed++) {
    const interleaving = new Interleaving(seed, new ModelStore(false))
    await interleaving.run()
    if (interleaving.wrongs.some((wrong) => wrong.includes('a read of'))) lost++
  }
  t.true(lost > 20, String(lost))
})
