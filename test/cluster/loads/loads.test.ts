import test from 'ava'
import { type Group, parseGroup } from '../../../cluster/groups/group.ts'
import { type LoadLimits, Loads, type Outcome, type Waiter } from '../../../cluster/loads/loads.ts'
import {
  type Loaded,
  type Loader,
  type LoadRequest,
  OriginError,
} from '../../../cluster/origin/loader.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'
import { ModelStore } from './model-store.ts'

interface Asked extends LoadRequest {
  answer(value: string | null, word?: Partial<Loaded>): void
  fail(error: unknown): void
}

/** A node's loads, with an origin that answers when the test says so. */
class Bench implements Loader {
  readonly clock = new VirtualClock(1000)
  readonly store = new ModelStore()
  readonly loads: Loads
  readonly group: Group
  /** What the origin was asked and has not answered, oldest first. */
  readonly asked: Asked[] = []
  /** Outcomes in the order they were heard: 'name outcome'. */
  readonly heard: string[] = []
  readonly reported: OriginError[] = []
  throwsAtOnce: Error | null = null
  closed = false

  constructor(rules = '', limits: Partial<LoadLimits> = {}) {
    const words = `g match k:{id} origin http://h/{id} ${rules}`.trim().split(' ')
    this.group = parseGroup(words)
    this.store.now = this.clock.now()
    this.loads = new Loads({
      clock: this.clock,
      random: new SeededRandom(1),
      store: this.store,
      loader: this,
      limits,
      report: (error) => this.reported.push(error),
    })
  }

  load(request: LoadRequest): Promise<Loaded> {
    if (this.throwsAtOnce !== null) throw this.throwsAtOnce
    return new Promise((resolve, reject) => {
      this.asked.push({
        ...request,
        answer: (value, word = {}) =>
          resolve({ value: value === null ? null : Buffer.from(value), ...word }),
        fail: reject,
      })
    })
  }

  async close(): Promise<void> {
    this.closed = true
  }

  /** A GET that misses. */
  get(name: string, key = 'k:1', waitMs?: number): Waiter {
    const miss = { db: 0, key: Buffer.from(key), group: this.group, ...this.store.lease(key) }
    return this.loads.wait(waitMs === undefined ? miss : { ...miss, waitMs }, (outcome) =>
      this.heard.push(`${name} ${describe(outcome)}`),
    )
  }

  /** A GET that finds a stale value. */
  refresh(key = 'k:1', early = false): void {
    const { token, planted } = this.store.lease(key)
    if (!planted) return
    this.loads.refresh({ db: 0, key: Buffer.from(key), group: this.group, token }, early)
  }

  /** Answers the oldest question. */
  async answer(value: string | null, word: Partial<Loaded> = {}): Promise<void> {
    await this.clock.settle()
    this.asked.shift()?.answer(value, word)
    await this.clock.settle()
  }

  async fail(error: unknown): Promise<void> {
    await this.clock.settle()
    this.asked.shift()?.fail(error)
    await this.clock.settle()
  }

  /** What is left over; all of it must be 0 when nothing is under way. */
  get leftovers(): Record<string, number> {
    const { active, queued } = this.loads.underWay(this.group)
    const { inFlight, waiting } = this.loads
    const { timers } = this.clock
    return { inFlight, waiting, active, queued, timers, leases: this.store.leases }
  }
}

const NOTHING = { inFlight: 0, waiting: 0, active: 0, queued: 0, timers: 0, leases: 0 }

function describe(outcome: Outcome): string {
  if (outcome.kind === 'value') return String(outcome.value)
  return outcome.kind === 'error' ? `-${outcome.line}` : `(${outcome.kind})`
}

test('a thousand waiters of one key are one load and hear one value', async (t) => {
  const bench = new Bench()
  for (let i = 0; i < 1000; i++) bench.get('client')
  await bench.clock.settle()
  t.is(bench.asked.length, 1)
  t.is(bench.asked[0]?.url, 'http://h/1')
  const { signal } = bench.asked[0] as Asked
  await bench.answer('one')
  t.deepEqual(bench.heard, Array(1000).fill('client one'))
  t.is(bench.store.get('k:1'), 'one')
  t.true(signal.aborted)
  t.deepEqual(bench.leftovers, NOTHING)
  const { loads, joined, values, fenced } = bench.loads.counters()
  t.deepEqual({ loads, joined, values, fenced }, { loads: 1, joined: 999, values: 1, fenced: 0 })
})

test('a loaded value lives for the ttl of its group, and for ever with ttl 0', async (t) => {
  const bench = new Bench('ttl 5s')
  bench.get('client')
  await bench.clock.advance(30)
  await bench.answer('one')
  t.is(bench.store.keep('k:1')?.expireAt, 1000 + 30 + 5000)
  const forever = new Bench('ttl 0')
  forever.get('client')
  await forever.answer('one')
  t.is(forever.store.keep('k:1')?.expireAt, 0)
})

test('what the origin does not have is heard as missing, and asked for again next time', async (t) => {
  const bench = new Bench()
  bench.get('first')
  await bench.answer(null)
  t.deepEqual(bench.leftovers, NOTHING)
  bench.get('second')
  await bench.answer('one')
  t.deepEqual(bench.heard, ['first (missing)', 'second one'])
  t.is(bench.loads.counters().missing, 1)
})

test('an empty value is a value', async (t) => {
  const bench = new Bench()
  bench.get('client')
  await bench.answer('')
  t.deepEqual(bench.heard, ['client '])
  t.is(bench.store.get('k:1'), '')
})

test('an OriginError is the line of every waiter, counted by kind and reported once', async (t) => {
  const bench = new Bench()
  bench.get('a')
  bench.get('b')
  const error = new OriginError('status', 'ORIGIN g: the origin answered 500')
  await bench.fail(error)
  t.deepEqual(bench.heard, [
    'a -ORIGIN g: the origin answered 500',
    'b -ORIGIN g: the origin answered 500',
  ])
  t.is(bench.loads.counters().errors.status, 1)
  t.deepEqual(bench.reported, [error])
  t.deepEqual(bench.leftovers, NOTHING)
})

test('whatever else a loader throws, at once or later, or returns, is a failed load', async (t) => {
  const bench = new Bench()
  const cause = new TypeError('secret of the loader')
  bench.get('later')
  await bench.fail(cause)
  bench.throwsAtOnce = cause
  bench.get('at once')
  await bench.clock.settle()
  bench.throwsAtOnce = null
  bench.load = () => Promise.resolve(undefined as unknown as Loaded)
  bench.get('nonsense')
  await bench.clock.settle()
  t.deepEqual(
    bench.heard,
    ['later', 'at once', 'nonsense'].map((name) => `${name} -ORIGIN g: the load failed`),
  )
  t.is(bench.reported[0]?.cause, cause)
  t.is(bench.reported[1]?.cause, cause)
  t.is(bench.loads.counters().errors.failed, 3)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('a key without a URL is refused without asking the origin', async (t) => {
  const bench = new Bench()
  bench.get('client', 'k:..')
  t.deepEqual(bench.heard, [])
  await bench.clock.settle()
  t.deepEqual(bench.heard, ["client -ORIGIN g: the key cannot be put into the origin's URL"])
  t.is(bench.asked.length, 0)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('at the deadline of a load its waiters get an error and the loader is aborted', async (t) => {
  const bench = new Bench('timeout 2s wait 10s')
  bench.get('client')
  await bench.clock.advance(1999)
  t.deepEqual(bench.heard, [])
  const asked = bench.asked.shift()
  t.false(asked?.signal.aborted)
  await bench.clock.advance(1)
  t.deepEqual(bench.heard, ['client -ORIGIN g: no complete answer from the origin within 2000 ms'])
  t.true(asked?.signal.aborted)
  t.deepEqual(bench.leftovers, NOTHING)

  asked?.answer('too late')
  await bench.clock.settle()
  t.is(bench.store.get('k:1'), null)
  t.is(bench.loads.counters().values, 0)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('an answer after the deadline does not touch the lease and flight of the next load', async (t) => {
  const bench = new Bench('timeout 2s wait 10s')
  bench.get('first')
  await bench.clock.advance(2000)
  const old = bench.asked.shift()
  bench.get('second')
  await bench.clock.settle()
  old?.answer('old')
  await bench.clock.settle()
  t.is(bench.loads.inFlight, 1)
  t.is(bench.store.leases, 1)
  await bench.answer('new')
  t.is(bench.heard[1], 'second new')
  t.is(bench.store.get('k:1'), 'new')
})

test('when the wait budget is over the waiter hears so; the load goes on and fills', async (t) => {
  const bench = new Bench('wait 50ms')
  bench.get('first')
  await bench.clock.advance(20)
  bench.get('second')
  await bench.clock.advance(29)
  t.deepEqual(bench.heard, [])
  await bench.clock.advance(1)
  t.deepEqual(bench.heard, ['first (late)'])
  await bench.answer('one')
  t.deepEqual(bench.heard, ['first (late)', 'second one'])
  t.is(bench.store.get('k:1'), 'one')
  t.is(bench.loads.counters().late, 1)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('with wait 0 a load is started and nobody waits', async (t) => {
  const bench = new Bench('wait 0')
  bench.get('client')
  t.deepEqual(bench.heard, [])
  await bench.clock.settle()
  t.deepEqual(bench.heard, ['client (late)'])
  await bench.answer('one')
  t.is(bench.store.get('k:1'), 'one')
  t.deepEqual(bench.heard, ['client (late)'])
})

test('a waiter with wait 0 that leaves at once hears nothing', async (t) => {
  const bench = new Bench('wait 0')
  bench.get('client').leave()
  await bench.answer('one')
  t.deepEqual(bench.heard, [])
  t.is(bench.loads.counters().late, 0)
})

test('a waiter can have a budget of its own', async (t) => {
  const bench = new Bench('wait 50ms')
  bench.get('short', 'k:1', 10)
  bench.get('none', 'k:1', 0)
  bench.get('long', 'k:1', 90)
  await bench.clock.advance(89)
  t.deepEqual(bench.heard, ['none (late)', 'short (late)'])
  await bench.clock.advance(1)
  t.is(bench.heard[2], 'long (late)')
})

test('a waiter that leaves hears nothing, and the load goes on for the others', async (t) => {
  const bench = new Bench()
  const first = bench.get('first')
  for (let i = 0; i < 19; i++) bench.get('other')
  first.leave()
  first.leave()
  t.is(bench.loads.waiting, 19)
  await bench.answer('one')
  t.deepEqual(bench.heard, Array(19).fill('other one'))
  first.leave()
  t.deepEqual(bench.leftovers, NOTHING)
})

test('a load that everyone has left fills all the same', async (t) => {
  const bench = new Bench()
  bench.get('client').leave()
  await bench.answer('one')
  t.is(bench.store.get('k:1'), 'one')
  t.deepEqual(bench.heard, [])
})

test('a DEL during a load fences it: its waiters hear its value, nobody else does', async (t) => {
  const bench = new Bench()
  bench.get('before')
  await bench.clock.settle()
  bench.store.delete('k:1')
  bench.get('after')
  await bench.clock.settle()
  t.is(bench.asked.length, 2)
  await bench.answer('old')
  t.deepEqual(bench.heard, ['before old'])
  t.is(bench.store.get('k:1'), null)
  t.is(bench.store.leases, 1)
  await bench.answer('new')
  t.deepEqual(bench.heard, ['before old', 'after new'])
  t.is(bench.store.get('k:1'), 'new')
  t.is(bench.loads.counters().fenced, 1)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('a SET during a load stands', async (t) => {
  const bench = new Bench()
  bench.get('client')
  await bench.clock.settle()
  bench.store.set('k:1', 'set')
  await bench.answer('old')
  t.is(bench.store.get('k:1'), 'set')
})

test('a fenced load that fails or finds nothing leaves the new lease alone', async (t) => {
  const bench = new Bench('timeout 1s wait 2s')
  for (const end of ['fail', 'missing', 'deadline']) {
    bench.get('old')
    await bench.clock.advance(1)
    bench.store.delete('k:1')
    bench.get('new')
    if (end === 'fail') await bench.fail(new Error('no'))
    if (end === 'missing') await bench.answer(null)
    if (end === 'deadline') {
      await bench.clock.advance(999)
      bench.asked.shift()
    }
    t.is(bench.store.leases, 1, end)
    t.is(bench.loads.inFlight, 1, end)
    await bench.answer(end)
    t.is(bench.store.get('k:1'), end)
    bench.store.delete('k:1')
    t.deepEqual(bench.leftovers, NOTHING, end)
  }
})

test('a lease that stands without a flight is loaded by whoever asks first', async (t) => {
  const bench = new Bench()
  bench.store.lease('k:1')
  bench.get('one')
  bench.get('other')
  t.is(bench.loads.inFlight, 1)
  await bench.answer('v')
  t.deepEqual(bench.heard, ['one v', 'other v'])
  t.deepEqual(bench.leftovers, NOTHING)
})

test('who asks for a lease that is gone is told to look again', async (t) => {
  const bench = new Bench()
  const found = { db: 0, key: Buffer.from('k:1'), group: bench.group, ...bench.store.lease('k:1') }
  bench.get('first')
  await bench.answer('v')
  bench.store.delete('k:1')
  bench.get('next')
  bench.loads.wait(found, (outcome) => bench.heard.push(outcome.kind))
  t.is(bench.loads.inFlight, 1, 'it joins no flight of another lease, and starts none')
  await bench.clock.settle()
  t.deepEqual(bench.heard, ['first v', 'again'])
  await bench.answer('w')
  t.is(bench.heard[2], 'next w')
  t.deepEqual(bench.leftovers, NOTHING)
})

test('the origin sees at most `concurrency` loads, the others start in their order', async (t) => {
  const bench = new Bench('concurrency 2 queue 3')
  for (let i = 0; i < 5; i++) bench.get(`c${i}`, `k:${i}`)
  await bench.clock.settle()
  t.deepEqual(bench.loads.underWay(bench.group), { active: 2, queued: 3 })
  for (let i = 0; i < 5; i++) {
    t.true(bench.asked.length <= 2)
    t.is(bench.asked[0]?.url, `http://h/${i}`)
    await bench.answer('v')
  }
  t.deepEqual(bench.heard, ['c0 v', 'c1 v', 'c2 v', 'c3 v', 'c4 v'])
  t.deepEqual(bench.leftovers, NOTHING)
})

test('another `concurrency` holds for those that queue already', async (t) => {
  const bench = new Bench('concurrency 3')
  for (let i = 0; i < 12; i++) bench.get(`${i}`, `k:${i}`)
  t.deepEqual(bench.loads.underWay(bench.group), { active: 3, queued: 9 })
  bench.group.set('concurrency', '1')
  for (let active = 2; active >= 1; active--) {
    await bench.answer('v')
    t.deepEqual(bench.loads.underWay(bench.group), { active, queued: 9 })
  }
  await bench.answer('v')
  t.deepEqual(bench.loads.underWay(bench.group), { active: 1, queued: 8 })
  bench.group.set('concurrency', '4')
  await bench.answer('v')
  t.deepEqual(bench.loads.underWay(bench.group), { active: 4, queued: 4 })
  while (bench.heard.length < 12) await bench.answer('v')
  t.deepEqual(bench.leftovers, NOTHING)
})

test('the queue of a group takes `queue` loads and refuses one more at once', async (t) => {
  const bench = new Bench('concurrency 1 queue 2')
  for (let i = 0; i < 4; i++) bench.get(`c${i}`, `k:${i}`)
  bench.get('joins', 'k:2')
  await bench.clock.settle()
  t.deepEqual(bench.heard, ['c3 -ORIGIN g: too many loads are waiting'])
  t.is(bench.store.leases, 3)
  t.is(bench.loads.counters().errors.busy, 1)
  for (let i = 0; i < 3; i++) await bench.answer('v')
  bench.get('c3', 'k:3')
  await bench.answer('v')
  t.is(bench.heard.at(-1), 'c3 v')
  t.deepEqual(bench.leftovers, NOTHING)
})

test('queue 0 refuses whatever has no place at once', async (t) => {
  const bench = new Bench('concurrency 1 queue 0')
  bench.get('a', 'k:1')
  bench.get('b', 'k:2')
  await bench.answer('v')
  t.deepEqual(bench.heard, ['b -ORIGIN g: too many loads are waiting', 'a v'])
})

test('when the origin hangs, those who queue are told at their own deadline', async (t) => {
  const bench = new Bench('concurrency 1 timeout 1s wait 2s')
  bench.get('a', 'k:1')
  await bench.clock.advance(10)
  bench.get('b', 'k:2')
  bench.get('c', 'k:3')
  await bench.clock.advance(989)
  t.is(bench.heard.length, 0)
  await bench.clock.advance(1)
  t.is(bench.heard.length, 1)
  await bench.clock.advance(10)
  t.is(bench.heard.length, 3)
  t.deepEqual(bench.leftovers, NOTHING)
  t.true(bench.asked.every(({ signal }) => signal.aborted))
})

test('an origin that is asked for five times what it can give gives all it can, and in time', async (t) => {
  const bench = new Bench('concurrency 4 timeout 200ms wait 1s queue 60000')
  const { clock } = bench
  let served = 0
  // 200 a second is what it can: four at a time, 20 ms each.
  const serve = (asked: Asked): void => {
    if (asked.signal.aborted) return
    served++
    asked.answer('v')
  }
  let key = 0
  const run = async (ms: number, missesPerMs: number): Promise<void> => {
    for (let i = 0; i < ms; i++) {
      for (let k = 0; k < missesPerMs; k++) bench.get('c', `k:${key++}`)
      await clock.advance(1)
      for (const asked of bench.asked.splice(0)) clock.after(20, () => serve(asked))
    }
  }
  await run(1000, 1)
  t.true(served > 150, `${served} served while overloaded`)
  served = 0
  bench.heard.length = 0
  await run(200, 0)
  await run(100, 0)
  bench.get('later', 'k:later')
  await run(30, 0)
  t.true(bench.heard.includes('later v'))
})

test('flights over all groups are limited', async (t) => {
  const bench = new Bench('', { flightsMax: 2 })
  for (let i = 0; i < 3; i++) bench.get(`c${i}`, `k:${i}`)
  await bench.answer('v')
  t.deepEqual(bench.heard, ['c2 -ORIGIN g: too many loads are waiting', 'c0 v'])
  bench.get('c3', 'k:3')
  await bench.answer('v')
  await bench.answer('v')
  t.deepEqual(bench.heard.slice(2), ['c1 v', 'c3 v'])
  t.deepEqual(bench.leftovers, NOTHING)
})

test('waiters of one flight are limited; one more hears so and the load stays', async (t) => {
  const bench = new Bench('', { waitersMax: 2 })
  bench.get('a')
  bench.get('b')
  bench.get('c')
  await bench.answer('v')
  t.deepEqual(bench.heard, ['c -ORIGIN g: too many loads are waiting', 'a v', 'b v'])
  t.deepEqual(bench.leftovers, NOTHING)
})

test('a waiter that was answered at once can still leave before it hears', async (t) => {
  const bench = new Bench('', { flightsMax: 0 })
  bench.get('client').leave()
  await bench.clock.settle()
  t.deepEqual(bench.heard, [])
  t.deepEqual(bench.leftovers, NOTHING)
})

test('close ends what is under way and refuses what comes after', async (t) => {
  const bench = new Bench('concurrency 1')
  bench.get('a', 'k:1')
  bench.get('b', 'k:2')
  await bench.clock.settle()
  await bench.loads.close()
  t.true(bench.closed)
  t.true(bench.asked[0]?.signal.aborted)
  bench.get('c', 'k:3')
  await bench.clock.settle()
  t.deepEqual(
    bench.heard,
    ['a', 'b', 'c'].map((name) => `${name} -ORIGIN g: the server is ending`),
  )
  t.is(bench.asked.length, 1)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('counters are kept by group and summed', async (t) => {
  const bench = new Bench()
  const other = parseGroup(['other', 'match', 'o', 'origin', 'http://h/'])
  bench.get('client')
  bench.loads.wait(
    { db: 0, key: Buffer.from('o'), group: other, ...bench.store.lease('o') },
    () => {},
  )
  await bench.answer('v')
  await bench.fail(new Error('no'))
  t.is(bench.loads.counters(bench.group).loads, 1)
  t.is(bench.loads.counters(other).errors.failed, 1)
  t.is(bench.loads.counters().loads, 2)
  t.is(bench.loads.counters().errors.failed, 1)
})

test('a stale value is loaded anew once, and stays until the new one is there', async (t) => {
  const bench = new Bench('ttl 1s stale 10s')
  bench.get('client')
  await bench.answer('old')
  await bench.clock.advance(2000)
  bench.store.now = bench.clock.now()
  for (let i = 0; i < 100; i++) bench.refresh()
  await bench.clock.settle()
  t.is(bench.asked.length, 1)
  t.is(bench.store.get('k:1'), 'old')
  await bench.answer('new')
  t.is(bench.store.get('k:1'), 'new')
  t.deepEqual(bench.leftovers, NOTHING)
  const { loads, refreshes, early } = bench.loads.counters()
  t.deepEqual({ loads, refreshes, early }, { loads: 2, refreshes: 1, early: 0 })
})

test('a refresh that fails leaves the value, and is tried again after a second at the soonest', async (t) => {
  const bench = new Bench('ttl 1s stale 10s')
  bench.get('client')
  await bench.answer('old')
  await bench.clock.advance(2000)
  bench.refresh()
  await bench.fail(new OriginError('status', 'ORIGIN g: the origin answered 500'))
  bench.store.now = bench.clock.now()
  t.is(bench.store.get('k:1'), 'old')
  await bench.clock.advance(999)
  bench.refresh()
  await bench.clock.settle()
  t.is(bench.asked.length, 0)
  await bench.clock.advance(1)
  t.deepEqual(bench.leftovers, NOTHING)
  bench.refresh()
  await bench.answer('new')
  t.is(bench.store.get('k:1'), 'new')
})

test('who misses a key whose refresh has just failed starts a load', async (t) => {
  const bench = new Bench('ttl 1s stale 10s')
  bench.refresh()
  await bench.fail(new OriginError('status', 'ORIGIN g: the origin answered 500'))
  bench.get('client')
  await bench.answer('new')
  t.deepEqual(bench.heard, ['client new'])
  await bench.clock.advance(1000)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('who misses while a value is loaded anew joins that load', async (t) => {
  const bench = new Bench('ttl 1s stale 10s')
  bench.refresh('k:2')
  bench.get('client', 'k:2')
  await bench.answer('new')
  t.deepEqual(bench.heard, ['client new'])
  t.is(bench.loads.counters().loads, 1)
})

test('that the origin has no such thing is remembered where the group says so, and replaces a stale value', async (t) => {
  const bench = new Bench('ttl 1s stale 1h negative 5s')
  bench.get('client')
  await bench.answer('old')
  await bench.clock.advance(2000)
  bench.refresh()
  await bench.answer(null)
  bench.store.now = bench.clock.now()
  t.true(bench.store.isNegative('k:1'))
  t.deepEqual(bench.leftovers, NOTHING)
  bench.store.now += 5000
  t.false(bench.store.isNegative('k:1'))
})

test('where it is not remembered, a stale value goes all the same', async (t) => {
  const bench = new Bench('ttl 1s stale 1h negative 0')
  bench.get('client')
  await bench.answer('old')
  await bench.clock.advance(2000)
  bench.refresh()
  await bench.answer(null)
  bench.store.now = bench.clock.now()
  t.is(bench.store.get('k:1'), null)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('an unchanged value lives on with new times, its ETag and its tags', async (t) => {
  const bench = new Bench('ttl 1s stale 10s')
  bench.get('client')
  await bench.answer('same', { etag: '"1"', tags: ['a'] })
  await bench.clock.advance(2000)
  bench.refresh()
  await bench.clock.settle()
  t.is(bench.asked[0]?.etag, '"1"')
  await bench.answer(null, { unchanged: true })
  bench.store.now = bench.clock.now()
  t.is(bench.store.get('k:1'), 'same')
  const { freshUntil, etag, tags } = bench.store.keep('k:1')!
  t.deepEqual({ freshUntil, etag, tags }, { freshUntil: 4000, etag: '"1"', tags: [1] })
  t.is(bench.loads.counters().unchanged, 1)
})

test('if the unchanged value was evicted meanwhile it is asked for whole', async (t) => {
  const bench = new Bench('ttl 1s stale 10s')
  bench.get('client')
  await bench.answer('same', { etag: '"1"' })
  await bench.clock.advance(2000)
  bench.refresh()
  await bench.clock.settle()
  bench.store.evict('k:1')
  await bench.answer(null, { unchanged: true })
  t.is(bench.asked[0]?.etag, null)
  await bench.answer('same')
  bench.store.now = bench.clock.now()
  t.is(bench.store.get('k:1'), 'same')
  t.deepEqual(bench.leftovers, NOTHING)
})

test('if it was removed meanwhile, and nobody waits, that is all', async (t) => {
  const bench = new Bench('ttl 1s stale 10s')
  bench.get('client')
  await bench.answer('same', { etag: '"1"' })
  await bench.clock.advance(2000)
  bench.refresh()
  await bench.clock.settle()
  bench.store.delete('k:1')
  await bench.answer(null, { unchanged: true })
  t.is(bench.asked.length, 0)
  t.is(bench.store.get('k:1'), null)
  t.is(bench.loads.counters().fenced, 1)
  t.deepEqual(bench.leftovers, NOTHING)
})

test('what the origin does not want to be kept is heard and not stored', async (t) => {
  const bench = new Bench('ttl 1s')
  bench.get('client')
  await bench.answer('secret', { freshMs: 0 })
  t.deepEqual(bench.heard, ['client secret'])
  t.is(bench.store.get('k:1'), null)
  t.deepEqual(bench.leftovers, NOTHING)
  t.is(bench.loads.counters().unkept, 1)
})

test('a lease that a client has is waited for, and no origin is asked', async (t) => {
  const bench = new Bench()
  const { token } = bench.store.lease('k:1')
  const grant = { db: 0, key: Buffer.from('k:1'), token, birth: 0 }
  bench.loads.grants.give(grant, 10_000)
  bench.get('client')
  await bench.clock.settle()
  t.is(bench.asked.length, 0)
  bench.loads.grants.landed(token, Buffer.from('filled'), true)
  t.deepEqual(bench.heard, [], 'not within the command that fills')
  await bench.clock.settle()
  t.deepEqual(bench.heard, ['client filled'])
  t.is(bench.loads.grants.size, 0)
})

test('a client that vanishes with its lease loses it, and who waits looks again', async (t) => {
  const bench = new Bench('wait 1h timeout 1h')
  const { token } = bench.store.lease('k:1')
  bench.loads.grants.give({ db: 0, key: Buffer.from('k:1'), token, birth: 0 }, 10_000)
  bench.get('client')
  await bench.clock.advance(10_000)
  t.deepEqual(bench.heard, ['client (again)'])
  t.deepEqual(bench.leftovers, NOTHING)
})
