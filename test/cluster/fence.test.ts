import test from 'ava'
import { type Group, parseGroup } from '../../cluster/group.ts'
import { Loads, type Outcome } from '../../cluster/loads.ts'
import type { Loaded, Loader, LoadRequest } from '../../cluster/origin/loader.ts'
import { VirtualClock } from '../sim/clock.ts'
import { SeededRandom } from '../sim/random.ts'
import { ModelStore } from './model-store.ts'

/*
 * One node under reads, writes, a misbehaving origin and passing time, in an order drawn from a
 * seed. The truth about a key is a number that only grows: each write, be it a SET here or a change
 * at the origin followed by a DEL here, takes the next one, and every value carries its number. A
 * read that starts when a write with number n has been acknowledged must never see less than n.
 */

const KEYS = ['k:1', 'k:2']
const STEPS = 40
const SEEDS = 10_000

class Interleaving implements Loader {
  readonly clock = new VirtualClock(1000)
  readonly store: ModelStore
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

  constructor(seed: number, fenced: boolean) {
    this.random = new SeededRandom(seed)
    this.store = new ModelStore(fenced)
    this.group = parseGroup(
      'g match k:{id} origin http://h/{id} ttl 20ms timeout 30ms wait 12ms concurrency 2'.split(
        ' ',
      ),
    )
    const { clock, store } = this
    this.loads = new Loads({ clock, store, loader: this, limits: { waitersMax: 3 } })
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
    const what = this.random.below(16)
    if (what < 9) this.#get(key)
    else if (what < 11) this.store.set(key, String(this.#write(key)))
    else if (what < 14) this.#del(key)
    else if (what < 15) this.#flush()
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
    for (const [what, count] of Object.entries({ ...left, leases: this.store.leases })) {
      if (count !== 0) this.wrongs.push(`${count} ${what} left behind`)
    }
    if (this.signals.some((signal) => !signal.aborted)) this.wrongs.push('a load was not aborted')
    if (this.#outcomes !== this.#reads) {
      this.wrongs.push(`${this.#reads} reads had ${this.#outcomes} outcomes`)
    }
  }
}

test(`${SEEDS} interleavings of reads, writes and loads lose no fence and leave nothing`, async (t) => {
  const seen = { values: 0, errors: 0, missing: 0, late: 0, again: 0, hits: 0, fenced: 0, busy: 0 }
  for (let seed = 1; seed <= SEEDS; seed++) {
    const interleaving = new Interleaving(seed, true)
    await interleaving.run()
    if (interleaving.wrongs.length > 0) t.log(`seed ${seed}`)
    t.deepEqual(interleaving.wrongs, [])
    const { fenced, errors } = interleaving.loads.counters()
    seen.fenced += fenced
    seen.busy += errors.busy
    for (const [what, count] of Object.entries(interleaving.seen)) {
      seen[what as keyof typeof seen] += count
    }
  }
  t.log(JSON.stringify(seen))
  t.true(Math.min(seen.values, seen.errors, seen.missing, seen.late, seen.hits) > SEEDS / 10)
  t.true(Math.min(seen.fenced, seen.busy) > SEEDS / 10)
})

test('without the fence the same interleavings see old values', async (t) => {
  let lost = 0
  for (let seed = 1; seed <= 200; seed++) {
    const interleaving = new Interleaving(seed, false)
    await interleaving.run()
    if (interleaving.wrongs.some((wrong) => wrong.includes('a read of'))) lost++
  }
  t.true(lost > 20, String(lost))
})
