import { resolve } from 'node:path'
import test from 'ava'
import {
  BreakerOpenError,
  Cache,
  type CacheGroup,
  type CacheOptions,
  CacheStateError,
  type GroupOptions,
  type LoadContext,
  LoadBusyError,
  LoadTimeoutError,
} from '../../../server/embedded/cache.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'
import { MemoryFiles } from '../snapshots/memory-files.ts'

interface User {
  readonly name: string
}

const PATH = resolve('cache.ringtier')
/** Virtual time passes in steps of 100 ms, the sweeper's, so tests are short of it. */
const SECOND = 1000

/** One call of the group's function, which the test answers. */
interface Call {
  readonly id: string
  readonly context: LoadContext
  readonly answer: (value: User | null | undefined) => void
  readonly fail: (error: unknown) => void
}

/** A cache on virtual time, with a group of users whose function does as the test says. */
class Host {
  readonly clock = new VirtualClock()
  readonly files = new MemoryFiles()
  readonly cache: Cache
  readonly calls: Call[] = []
  /** How often the process was to be kept alive, and no longer. */
  held = 0
  readonly users: CacheGroup<User>

  constructor(options: Partial<GroupOptions<User>> = {}, cacheOptions: Partial<CacheOptions> = {}) {
    const world = {
      ...{ clock: this.clock, random: new SeededRandom(7), files: this.files },
      stayAlive: () => {
        this.held++
        return { cancel: () => void this.held-- }
      },
    }
    this.cache = new Cache({ maxMemory: '4mb', ...cacheOptions }, world)
    // Early refreshes would come by chance.
    this.users = this.cache.group<User>('user', { early: 0, load: this.load, ...options })
  }

  readonly load = (id: string, context: LoadContext): Promise<User | null | undefined> =>
    new Promise((answer, fail) => {
      this.calls.push({ id, context, answer, fail })
    })

  /** The call that is at work, once it is. */
  async call(number = this.calls.length): Promise<Call> {
    await this.clock.settle()
    const call = this.calls[number]
    if (call === undefined) throw new Error(`there is no call ${number}`)
    return call
  }

  /** Loads a value to begin with. */
  async have(id: string, name: string): Promise<void> {
    const got = this.users.get(id)
    const call = await this.call()
    call.answer({ name })
    await got
  }
}

/** What became of a promise by now. */
async function fate(clock: VirtualClock, promise: Promise<unknown>): Promise<unknown> {
  let now: unknown = 'open'
  promise.then(
    (value) => (now = value),
    (error: unknown) => (now = error),
  )
  await clock.settle()
  return now
}

/** The error that it ends with. */
function endOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => error)
}

/* ---- loads ---- */

test('a value that is missing is loaded, and then it is there', async (t) => {
  const { users, calls, clock, cache } = new Host()
  const first = users.get('42')
  await clock.settle()
  t.is(calls[0]!.id, '42')
  t.is(calls[0]!.context.key, 'user:42')
  calls[0]!.answer({ name: 'Ada' })
  t.deepEqual(await first, { name: 'Ada' })
  t.deepEqual(await users.get('42'), { name: 'Ada' })
  t.is(calls.length, 1)
  t.is(cache.getString('user:42'), '{"name":"Ada"}')
  t.is(cache.ttl('user:42'), Infinity)
})

test('a thousand calls for one id make one load, and fifty ids make fifty', async (t) => {
  const host = new Host()
  const { users, calls } = host
  const one = Array.from({ length: 1000 }, () => users.get('42'))
  const call = await host.call(0)
  t.is(calls.length, 1)
  call.answer({ name: 'Ada' })
  for (const user of await Promise.all(one)) t.deepEqual(user, { name: 'Ada' })
  const many = Array.from({ length: 10_000 }, (_, i) => users.get(`id:${i % 50}`))
  await host.clock.settle()
  t.is(calls.length, 51)
  for (const { id, answer } of calls.slice(1)) answer({ name: id })
  t.is(new Set((await Promise.all(many)).map((user) => user!.name)).size, 50)
  const { loads, shared, misses, values } = users.stats
  t.deepEqual(
    { loads, shared, misses, values },
    { loads: 51, shared: 999 + 9950, misses: 11_000, values: 51 },
  )
})

test('nobody shares an object with others who asked', async (t) => {
  const host = new Host()
  const gets = [host.users.get('42'), host.users.get('42')]
  const made: { name: string } = { name: 'Ada' }
  const call = await host.call(0)
  call.answer(made)
  const [one, other] = (await Promise.all(gets)) as { name: string }[]
  made.name = 'changed'
  one!.name = 'changed'
  t.deepEqual(other, { name: 'Ada' })
  t.deepEqual(await host.users.get('42'), { name: 'Ada' })
})

test('null and undefined are "there is no such thing", which is asked again each time', async (t) => {
  const host = new Host()
  for (const nothing of [null, undefined]) {
    const got = host.users.get('42')
    const call = await host.call()
    call.answer(nothing)
    t.is(await got, undefined)
  }
  t.is(host.calls.length, 2)
  t.is(host.users.stats.missing, 2)
})

test('with negative, that there is none is remembered for so long', async (t) => {
  const host = new Host({ negative: '10s' })
  const { users, clock, calls, cache } = host
  const got = users.get('42')
  const call = await host.call(0)
  call.answer(null)
  t.is(await got, undefined)
  await clock.advance(9999)
  for (let i = 0; i < 1000; i++) t.is(await users.get('42'), undefined)
  t.is(calls.length, 1)
  t.is(users.stats.negativeHits, 1000)
  t.false(cache.has('user:42'))
  t.is(cache.size, 0)
  await clock.advance(1)
  const again = users.get('42')
  const other = await host.call(1)
  other.answer({ name: 'Ada' })
  t.deepEqual(await again, { name: 'Ada' })
})

test('a value that is set takes the place of "there is none"', async (t) => {
  const host = new Host({ negative: '10s' })
  const got = host.users.get('42')
  const call = await host.call(0)
  call.answer(null)
  await got
  host.users.set('42', { name: 'Ada' })
  t.deepEqual(await host.users.get('42'), { name: 'Ada' })
})

test('the function may use the cache, and is called when get has returned', async (t) => {
  const host = new Host()
  const { cache } = host
  const steps: string[] = []
  const group = cache.group<string>('text', {
    load: (id) => {
      steps.push('load')
      cache.set('a', 'x'.repeat(1000)).get('a')
      return `text of ${id}`
    },
  })
  const got = group.get('1')
  steps.push('returned')
  t.is(await got, 'text of 1')
  t.deepEqual(steps, ['returned', 'load'])
  t.is(cache.getString('text:1'), '"text of 1"')
})

test('a plain function is a group, and an object with a method load may be its loader', async (t) => {
  const { cache } = new Host()
  const plain = cache.group('plain', (id: string) => id.length)
  t.is(await plain.get('abc'), 3)
  class Table {
    readonly rows = new Map([['a', 1]])
    load(id: string): number | undefined {
      return this.rows.get(id)
    }
  }
  const table = cache.group<number>('table', { load: new Table() })
  t.is(await table.get('a'), 1)
  t.is(await table.get('b'), undefined)
  class Described {
    readonly ttl = '5s'
    load(id: string): string {
      return id
    }
  }
  const described = cache.group<string>('described', new Described())
  t.is(await described.get('a'), 'a')
  t.is(cache.ttl('described:a'), 5000)
})

/* ---- times ---- */

test('a value is fresh for its ttl, by the clock of the cache', async (t) => {
  const host = new Host({ ttl: '5s' })
  const { users, clock, calls, cache } = host
  await host.have('42', 'Ada')
  t.is(cache.ttl('user:42'), 5 * SECOND)
  await clock.advance(5 * SECOND - 1)
  t.deepEqual(await users.get('42'), { name: 'Ada' })
  await clock.advance(1)
  const got = users.get('42')
  const call = await host.call(1)
  call.answer({ name: 'Grace' })
  t.deepEqual(await got, { name: 'Grace' })
  t.is(calls.length, 2)
})

test("the cache's option `now` is the source of time", async (t) => {
  let now = 1000
  let loads = 0
  const cache = new Cache(
    { maxMemory: '4mb', now: () => now },
    { clock: new VirtualClock(), random: new SeededRandom(1), files: new MemoryFiles() },
  )
  const group = cache.group('n', { ttl: 100, early: 0, load: () => ++loads })
  t.is(await group.get('a'), 1)
  now = 1099
  t.is(await group.get('a'), 1)
  now = 1100
  t.is(await group.get('a'), 2)
})

test("without ttl a group has the cache's", async (t) => {
  const { cache } = new Host({}, { ttl: 1000 })
  const group = cache.group('n', () => 1)
  await group.get('a')
  t.is(cache.ttl('n:a'), 1000)
  const other = cache.group('other', { ttl: Infinity, load: () => 1 })
  await other.get('a')
  t.is(cache.ttl('other:a'), Infinity)
})

test('a stale value is the answer at once, and is loaded anew once', async (t) => {
  const host = new Host({ ttl: '1s', stale: '10s' })
  const { users, clock, calls } = host
  await host.have('42', 'Ada')
  await clock.advance(2 * SECOND)
  const gets = Array.from({ length: 100 }, () => users.get('42'))
  for (const user of await Promise.all(gets)) t.deepEqual(user, { name: 'Ada' })
  const call = await host.call(1)
  t.is(calls.length, 2)
  call.answer({ name: 'Grace' })
  await clock.settle()
  t.deepEqual(await users.get('42'), { name: 'Grace' })
  const { staleHits, refreshes, hits, early } = users.stats
  t.deepEqual(
    { staleHits, refreshes, hits, early },
    { staleHits: 100, refreshes: 1, hits: 1, early: 0 },
  )
})

test('a stale value stays where its reload fails, which is tried again after a second', async (t) => {
  const host = new Host({ ttl: '1s', stale: '4s', breaker: 'off' })
  const { users, calls, clock } = host
  await host.have('42', 'Ada')
  for (let i = 1; i <= 4; i++) {
    await clock.advance(SECOND)
    t.deepEqual(await users.get('42'), { name: 'Ada' })
    const call = await host.call(i)
    call.fail(new Error('down'))
    await clock.settle()
    t.deepEqual(await users.get('42'), { name: 'Ada' })
    t.is(calls.length, i + 1)
  }
  await clock.advance(SECOND)
  const got = users.get('42')
  const call = await host.call(5)
  call.fail(new Error('down'))
  await t.throwsAsync(got, { message: 'down' })
})

test('with staleIfError a value stands in for a load that fails, and only then', async (t) => {
  const host = new Host({ ttl: '1s', staleIfError: '10s', breaker: 'off' })
  const { users, clock } = host
  await host.have('42', 'Ada')
  await clock.advance(2 * SECOND)
  t.is(users.peek('42'), undefined)
  const failing = users.get('42')
  const call = await host.call(1)
  t.is(await fate(clock, failing), 'open')
  call.fail(new Error('down'))
  t.deepEqual(await failing, { name: 'Ada' })
  const working = users.get('42')
  const other = await host.call(2)
  other.answer({ name: 'Grace' })
  t.deepEqual(await working, { name: 'Grace' })
  await clock.advance(11 * SECOND)
  const late = users.get('42')
  const last = await host.call(3)
  last.fail(new Error('down'))
  await t.throwsAsync(late, { message: 'down' })
})

test('a value whose end is near is loaded anew early, by chance', async (t) => {
  const host = new Host({ ttl: '1s', early: 1 })
  const { users, clock, calls } = host
  const got = users.get('42')
  await host.call(0)
  await clock.advance(500)
  calls[0]!.answer({ name: 'Ada' })
  await got
  await clock.advance(SECOND - 100)
  for (let i = 0; i < 100 && calls.length === 1; i++) {
    t.deepEqual(await users.get('42'), { name: 'Ada' })
    await clock.settle()
  }
  t.is(calls.length, 2)
  t.is(users.stats.early, 1)
})

test('the function says how long a value is fresh, or that it is not kept', async (t) => {
  const { cache, clock } = new Host()
  let loads = 0
  const group = cache.group('n', {
    ttl: '5s',
    early: 0,
    load: (id, { ttl }) => {
      if (id === 'short') ttl('1s')
      if (id === 'never') ttl(0)
      if (id === 'long') ttl(Infinity)
      return ++loads
    },
  })
  t.is(await group.get('short'), 1)
  t.is(cache.ttl('n:short'), 1000)
  t.is(await group.get('never'), 2)
  t.is(await group.get('never'), 3)
  t.false(cache.has('n:never'))
  await group.get('long')
  await clock.advance(10 * SECOND)
  t.is(await group.get('long'), 4)
})

test('with idle a value that nobody asks for goes', async (t) => {
  const host = new Host({ idle: '2s' })
  const { users, clock } = host
  await host.have('42', 'Ada')
  for (let i = 0; i < 3; i++) {
    await clock.advance(1500)
    t.deepEqual(await users.get('42'), { name: 'Ada' })
  }
  await clock.advance(4000)
  t.is(users.peek('42'), undefined)
})

/* ---- limits ---- */

test('a load that takes too long rejects, and its signal is aborted', async (t) => {
  const host = new Host({ timeout: '2s' })
  const { users, clock } = host
  const gets = [users.get('42'), users.get('42')]
  const { context, answer } = await host.call(0)
  await clock.advance(1999)
  t.false(context.signal.aborted)
  const ends = gets.map(endOf)
  await clock.advance(1)
  for (const error of await Promise.all(ends)) {
    t.true(error instanceof LoadTimeoutError)
    t.is((error as LoadTimeoutError).code, 'LOAD_TIMEOUT')
    t.is((error as LoadTimeoutError).message, 'group user: the load took longer than 2000 ms')
  }
  t.true(context.signal.aborted)
  answer({ name: 'too late' })
  await clock.settle()
  t.is(users.peek('42'), undefined)
  t.is(users.stats.errors.timeout, 1)
  t.is(host.held, 0)
})

test('a signal is not aborted after the function has answered', async (t) => {
  const host = new Host({ timeout: '2s' })
  await host.have('42', 'Ada')
  await host.clock.advance(10_000)
  host.cache.close()
  t.false(host.calls[0]!.context.signal.aborted)
})

test('no more loads are under way than concurrency, nor wait than queue', async (t) => {
  const host = new Host({ concurrency: 3, queue: 2 })
  const { users, calls, clock } = host
  const gets = Array.from({ length: 6 }, (_, i) => users.get(`${i}`))
  const refused = await fate(clock, gets[5]!)
  t.true(refused instanceof LoadBusyError)
  t.is((refused as LoadBusyError).code, 'LOAD_BUSY')
  t.is(calls.length, 3)
  const { active, queued } = users.stats
  t.deepEqual({ active, queued }, { active: 3, queued: 2 })
  for (let done = 0; done < 5; done++) {
    calls[done]!.answer({ name: `${done}` })
    await clock.settle()
    t.is(calls.length, Math.min(5, done + 4))
  }
  const all = await Promise.all(gets.slice(0, 5))
  t.deepEqual(
    all.map((user) => user!.name),
    ['0', '1', '2', '3', '4'],
  )
  t.is(users.stats.errors.busy, 1)
})

test('who waits no longer than wait has undefined, or the value that stands in; the load goes on', async (t) => {
  const host = new Host({ wait: 50, ttl: '1s', staleIfError: '10s' })
  const { users, clock } = host
  const got = users.get('42')
  const call = await host.call(0)
  await clock.advance(49)
  const soon = fate(clock, got)
  t.is(await soon, 'open')
  await clock.advance(1)
  t.is(await got, undefined)
  call.answer({ name: 'Ada' })
  await clock.settle()
  t.deepEqual(users.peek('42'), { name: 'Ada' })
  await clock.advance(2 * SECOND)
  const later = users.get('42')
  await clock.advance(50)
  t.deepEqual(await later, { name: 'Ada' })
  t.is(users.stats.late, 2)
})

test('without wait nobody is answered before the load has ended', async (t) => {
  const host = new Host({ timeout: '10s' })
  const got = host.users.get('42')
  const call = await host.call(0)
  await host.clock.advance(9 * SECOND)
  t.is(await fate(host.clock, got), 'open')
  call.answer({ name: 'Ada' })
  t.deepEqual(await got, { name: 'Ada' })
})

/* ---- errors ---- */

test("everybody who waits hears the function's own error", async (t) => {
  const host = new Host()
  const gets = [host.users.get('42'), host.users.get('42'), host.users.refresh('42')]
  const call = await host.call(0)
  const error = new RangeError('no such table')
  call.fail(error)
  for (const got of gets) t.is(await fate(host.clock, got), error)
  t.is(host.users.stats.errors.failed, 1)
  t.is(host.calls.length, 1)
})

test('what is thrown need be no error, and may be thrown at once', async (t) => {
  const { cache, clock } = new Host()
  const group = cache.group<string>('text', {
    load: (id) => {
      // eslint-disable-next-line typescript/only-throw-error
      throw id
    },
  })
  t.is(await fate(clock, group.get('why')), 'why')
})

test('with onError nil a failure is undefined, with stale any value stands in', async (t) => {
  const host = new Host({ onError: 'nil' })
  const got = host.users.get('42')
  const call = await host.call(0)
  call.fail(new Error('down'))
  t.is(await got, undefined)
  const other = new Host({ ttl: '1s', onError: 'stale' })
  await other.have('42', 'Ada')
  await other.clock.advance(20 * SECOND)
  const stale = other.users.get('42')
  const failing = await other.call(1)
  failing.fail(new Error('down'))
  t.deepEqual(await stale, { name: 'Ada' })
})

test('after so many failures in a row the function is left alone, then one load tries', async (t) => {
  const host = new Host({ breaker: { failures: 3, open: '1s' } })
  const { users, calls, clock } = host
  for (let i = 0; i < 3; i++) {
    t.is(users.stats.breaker, 'closed')
    const got = users.get(`${i}`)
    const call = await host.call(i)
    call.fail(new Error('down'))
    await t.throwsAsync(got, { message: 'down' })
  }
  t.is(users.stats.breaker, 'open')
  const refused = await fate(clock, users.get('3'))
  t.true(refused instanceof BreakerOpenError)
  t.is((refused as BreakerOpenError).code, 'BREAKER_OPEN')
  t.is(calls.length, 3)
  await clock.advance(1000)
  t.is(users.stats.breaker, 'half-open')
  const trying = users.get('4')
  const others = [users.get('5'), users.get('6')]
  for (const other of others) t.true((await fate(clock, other)) instanceof BreakerOpenError)
  t.is(calls.length, 4)
  calls[3]!.fail(new Error('still down'))
  await t.throwsAsync(trying, { message: 'still down' })
  t.is(users.stats.breaker, 'open')
  await clock.advance(1000)
  const mending = users.get('7')
  const call = await host.call(4)
  call.answer({ name: 'Ada' })
  t.deepEqual(await mending, { name: 'Ada' })
  t.is(users.stats.breaker, 'closed')
  t.is(users.stats.errors.breaker, 3)
})

test('what began before the breaker opened does not close it', async (t) => {
  const host = new Host({ breaker: '1/1s' })
  const { users, calls } = host
  const slow = users.get('slow')
  const failing = users.get('failing')
  await host.clock.settle()
  calls[1]!.fail(new Error('down'))
  await t.throwsAsync(failing, { message: 'down' })
  calls[0]!.answer({ name: 'Ada' })
  t.deepEqual(await slow, { name: 'Ada' })
  t.is(users.stats.breaker, 'open')
})

test('with retry a failed load is tried again, after a while', async (t) => {
  const host = new Host({ retry: 2 })
  const { users, calls, clock } = host
  const got = users.get('42')
  const first = await host.call(0)
  first.fail(new Error('down'))
  t.is(await fate(clock, got), 'open')
  t.is(calls.length, 1)
  await clock.advance(50)
  t.is(calls.length, 2)
  calls[1]!.fail(new Error('down'))
  await clock.advance(100)
  t.is(calls.length, 3)
  calls[2]!.answer({ name: 'Ada' })
  t.deepEqual(await got, { name: 'Ada' })
  const other = users.get('43')
  for (let i = 3; i < 6; i++) {
    const call = await host.call(i)
    call.fail(new Error(`down ${i}`))
    await clock.advance(100)
  }
  await t.throwsAsync(other, { message: 'down 5' })
  t.is(users.stats.errors.failed, 1)
})

test('the timeout ends the pause between two tries, too', async (t) => {
  const host = new Host({ retry: 5, timeout: 10 })
  const got = host.users.get('42')
  const call = await host.call(0)
  call.fail(new Error('down'))
  const end = endOf(got)
  await host.clock.advance(10)
  t.true((await end) instanceof LoadTimeoutError)
  host.cache.close()
  t.is(host.clock.timers, 0)
})

/* ---- writes during loads ---- */

test('a delete during a load is never undone by it', async (t) => {
  const host = new Host()
  const { users, calls } = host
  const before = users.get('42')
  const old = await host.call(0)
  t.false(users.delete('42'))
  const after = users.get('42')
  const next = await host.call(1)
  old.answer({ name: 'old' })
  // It asked before the delete.
  t.deepEqual(await before, { name: 'old' })
  t.is(users.peek('42'), undefined)
  next.answer({ name: 'new' })
  t.deepEqual(await after, { name: 'new' })
  t.deepEqual(await users.get('42'), { name: 'new' })
  t.is(calls.length, 2)
  t.is(users.stats.fenced, 1)
})

for (const [title, write] of [
  ['cache.delete', (host: Host) => host.cache.delete('user:42')],
  ['clear', (host: Host) => host.cache.clear()],
  ['invalidate', (host: Host) => host.users.invalidate()],
] as const) {
  test(`so it is with ${title}`, async (t) => {
    const host = new Host()
    const before = host.users.get('42')
    const old = await host.call(0)
    write(host)
    const after = host.users.get('42')
    const next = await host.call(1)
    next.answer({ name: 'new' })
    t.deepEqual(await after, { name: 'new' })
    old.answer({ name: 'old' })
    await before
    t.deepEqual(host.users.peek('42'), { name: 'new' })
  })
}

test('a set during a load is not undone, and is what is asked for from then on', async (t) => {
  const host = new Host()
  const { users } = host
  const before = users.get('42')
  const old = await host.call(0)
  users.set('42', { name: 'set' })
  t.deepEqual(await users.get('42'), { name: 'set' })
  old.answer({ name: 'old' })
  await before
  t.deepEqual(await users.get('42'), { name: 'set' })
})

test('seeded interleavings of gets, deletes and loads: no get after a delete sees what was before', async (t) => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new SeededRandom(seed)
    const host = new Host({ ttl: 20, stale: 20, early: 1, negative: 5 }, { maxMemory: '2mb' })
    const { users, calls, clock } = host
    let version = 0
    const read = new Map<Call, number>()
    const checks: Promise<void>[] = []
    for (let step = 0; step < 25; step++) {
      for (const call of calls) if (!read.has(call)) read.set(call, version)
      const open = calls.filter((call) => read.get(call) !== -1)
      switch (random.below(5)) {
        case 0:
        case 1: {
          const asked = version
          const got = users.get('a')
          checks.push(
            got
              .then((user) => t.true(user === undefined || Number(user.name) >= asked))
              .then(() => {}),
          )
          break
        }
        case 2:
          version++
          users.delete('a')
          break
        case 3:
          if (open.length > 0) {
            const call = random.pick(open)
            call.answer({ name: `${read.get(call)}` })
            read.set(call, -1)
          }
          break
        default:
          await clock.advance(random.below(15))
      }
      if (random.below(2) === 0) await clock.settle()
    }
    for (const call of calls) call.answer({ name: `${Math.max(0, read.get(call) ?? version)}` })
    host.cache.close()
    await Promise.allSettled(checks)
  }
})

/* ---- the other methods ---- */

test('peek looks, and loads nothing', async (t) => {
  const host = new Host({ ttl: '1s', stale: '1s' })
  const { users, calls, clock } = host
  t.is(users.peek('42'), undefined)
  await host.have('42', 'Ada')
  t.deepEqual(users.peek('42'), { name: 'Ada' })
  await clock.advance(SECOND)
  t.deepEqual(users.peek('42'), { name: 'Ada' })
  await clock.advance(SECOND)
  t.is(users.peek('42'), undefined)
  t.is(calls.length, 1)
  t.is(users.stats.hits + users.stats.staleHits, 0)
})

test('refresh loads a value anew that is fresh; what is there stays if that fails', async (t) => {
  const host = new Host()
  const { users } = host
  await host.have('42', 'Ada')
  const failing = users.refresh('42')
  const call = await host.call(1)
  call.fail(new Error('down'))
  await t.throwsAsync(failing, { message: 'down' })
  t.deepEqual(users.peek('42'), { name: 'Ada' })
  const both = [users.refresh('42'), users.refresh('42')]
  const other = await host.call(2)
  t.deepEqual(await users.get('42'), { name: 'Ada' })
  other.answer({ name: 'Grace' })
  for (const user of await Promise.all(both)) t.deepEqual(user, { name: 'Grace' })
  t.deepEqual(await users.get('42'), { name: 'Grace' })
  t.is(host.calls.length, 3)
})

test('refresh of what is gone at the origin removes it', async (t) => {
  const host = new Host()
  await host.have('42', 'Ada')
  const gone = host.users.refresh('42')
  const call = await host.call(1)
  call.answer(null)
  t.is(await gone, undefined)
  t.is(host.users.peek('42'), undefined)
})

test('set keeps a value for the times of the group, or its own', async (t) => {
  const host = new Host({ ttl: '1s', stale: '1s' })
  const { users, cache, clock, calls } = host
  t.is(users.set('a', { name: 'Ada' }), users)
  users.set('b', { name: 'Bea' }, { ttl: '10s' }).set('c', { name: 'Cay' }, { ttl: 250 })
  t.deepEqual(
    ['a', 'b', 'c'].map((id) => cache.ttl(`user:${id}`)),
    [SECOND, 10 * SECOND, 250],
  )
  await clock.advance(1500)
  t.deepEqual(users.peek('a'), { name: 'Ada' })
  t.is(users.peek('c'), undefined)
  t.deepEqual(await users.get('b'), { name: 'Bea' })
  t.is(calls.length, 0)
})

test('delete tells whether there was a value', async (t) => {
  const host = new Host()
  t.false(host.users.delete('42'))
  await host.have('42', 'Ada')
  t.true(host.users.delete('42'))
  t.is(host.users.peek('42'), undefined)
})

test('invalidate removes all of the group and nothing else, at once', async (t) => {
  const host = new Host()
  const { users, cache } = host
  const other = cache.group('use', () => 'other')
  for (let i = 0; i < 1000; i++) users.set(`${i}`, { name: `${i}` })
  await other.get('1')
  cache.set('user', 'plain').set('users:1', 'plain')
  users.invalidate()
  for (let i = 0; i < 1000; i++) t.is(users.peek(`${i}`), undefined)
  t.is(other.peek('1'), 'other')
  t.is(cache.getString('user'), 'plain')
  t.is(cache.getString('users:1'), 'plain')
  users.set('1', { name: 'new' })
  // What is swept between events, and a second time before that is over, leaves what is new.
  await host.clock.advance(1000)
  t.deepEqual(users.peek('1'), { name: 'new' })
  t.is(cache.size, 4)
  users.invalidate()
  users.set('2', { name: 'new' })
  users.invalidate()
  t.is(users.peek('1'), undefined)
  t.is(users.peek('2'), undefined)
  t.is(other.peek('1'), 'other')
})

test('who hears that a value is gone may invalidate another group', async (t) => {
  const made: { notes?: CacheGroup<string> } = {}
  let told = 0
  const { cache, users, clock } = new Host(
    {},
    {
      onEvicted: (key) => {
        if (key.toString().startsWith('user:') && ++told === 50) made.notes?.invalidate()
      },
    },
  )
  const notes = cache.group<string>('note', () => undefined)
  made.notes = notes
  for (let i = 0; i < 100; i++) {
    users.set(`${i}`, { name: `${i}` })
    notes.set(`${i}`, `note ${i}`)
  }
  cache.set('plain', '1')
  users.invalidate()
  t.is(told, 0)
  t.is(notes.peek('1'), 'note 1')
  await clock.settle()
  t.is(told, 100)
  t.is(notes.peek('1'), undefined)
  t.deepEqual([...cache.keys()], ['plain'])
  t.is(cache.size, 1)
})

test('a tag removes the values that have it, loaded or set, in all groups', async (t) => {
  const { cache } = new Host()
  const teams: Record<string, string> = { a: 'red', b: 'blue', c: 'red' }
  let loads = 0
  const members = cache.group('member', {
    load: (id, { tags }) => {
      tags(`team:${teams[id]}`)
      tags('all', 'all')
      return ++loads
    },
  })
  const notes = cache.group<string>('note', () => undefined)
  for (const id of ['a', 'b', 'c']) await members.get(id)
  notes.set('1', 'of red', { tags: ['team:red'] }).set('2', 'of none')
  cache.invalidateTag('team:red')
  t.deepEqual(
    ['a', 'b', 'c'].map((id) => members.peek(id)),
    [undefined, 2, undefined],
  )
  t.deepEqual([notes.peek('1'), notes.peek('2')], [undefined, 'of none'])
  t.is(await members.get('a'), 4)
  members.invalidateTag('all')
  t.deepEqual(
    ['a', 'b', 'c'].map((id) => members.peek(id)),
    [undefined, undefined, undefined],
  )
})

test('a tag that is invalidated while its value is loaded keeps it out, also of later calls', async (t) => {
  const host = new Host()
  const { users, cache } = host
  const before = users.get('42')
  const old = await host.call(0)
  old.context.tags('red')
  cache.invalidateTag('red')
  const after = users.get('42')
  old.answer({ name: 'old' })
  t.deepEqual(await before, { name: 'old' })
  t.is(users.peek('42'), undefined)
  const next = await host.call(1)
  next.context.tags('red')
  next.answer({ name: 'new' })
  t.deepEqual(await after, { name: 'new' })
  t.deepEqual(await users.get('42'), { name: 'new' })
})

test('stats count what belongs to the group', async (t) => {
  const host = new Host()
  const { users, cache } = host
  cache.set('plain', 'x'.repeat(10_000))
  for (let i = 0; i < 10; i++) await host.have(`${i}`, 'x'.repeat(1000))
  users.set('10', { name: 'set' })
  const { keys, bytes } = users.stats
  t.is(keys, 11)
  t.true(bytes > 10_000 && bytes < 13_000, `${bytes}`)
  for (let i = 0; i <= 10; i++) users.delete(`${i}`)
  t.deepEqual([users.stats.keys, users.stats.bytes], [0, 0])
})

test('a group has its share of the memory, and others keep theirs', async (t) => {
  const host = new Host({ maxBytes: '256kb' })
  const { users, cache } = host
  for (let i = 0; i < 100; i++) cache.set(`plain:${i}`, 'x'.repeat(1000))
  for (let i = 0; i < 1000; i++) users.set(`${i}`, { name: 'x'.repeat(1000) })
  t.true(users.stats.bytes <= 256 * 1024, `${users.stats.bytes}`)
  t.true(users.stats.keys > 100, `${users.stats.keys}`)
  const loaded = cache.group('loaded', { maxBytes: '256kb', load: (id) => id.padEnd(1000, '.') })
  for (let i = 0; i < 1000; i++) t.is((await loaded.get(`${i}`))!.length, 1000)
  t.true(loaded.stats.bytes <= 256 * 1024, `${loaded.stats.bytes}`)
  t.true(loaded.stats.keys > 100, `${loaded.stats.keys}`)
  t.true(users.stats.keys > 100)
  for (let i = 0; i < 100; i++) t.true(cache.has(`plain:${i}`))
})

test('a value that is beyond the share is the answer, and what was there before is gone', async (t) => {
  const host = new Host({ maxBytes: '64kb' })
  const { users, cache } = host
  // So many that few values are met when room is looked for.
  const others = cache.group('other', () => 0)
  for (let i = 0; i < 20_000; i++) others.set(`${i}`, 0)
  const name = 'x'.repeat(100_000)
  for (let i = 0; i < 20; i++) {
    await host.have(`${i}`, 'Ada')
    const longer = users.refresh(`${i}`)
    const call = await host.call()
    call.answer({ name })
    t.is((await longer)!.name, name)
    t.is(users.peek(`${i}`), undefined)
  }
  t.is(users.stats.fenced, 20)
  users.set('a', { name: 'Ada' }).set('a', { name })
  t.is(users.peek('a'), undefined)
  t.is(users.stats.keys, 0)
})

/* ---- values ---- */

test('a codec of its own makes bytes and reads them', async (t) => {
  const { cache } = new Host()
  const given: Uint8Array[] = []
  const dates = cache.group<Date>('date', {
    codec: {
      encode: (date) => {
        const bytes = new Uint8Array(8)
        new DataView(bytes.buffer).setFloat64(0, date.getTime())
        return bytes
      },
      decode: (bytes) => {
        given.push(bytes)
        return new Date(new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0))
      },
    },
    load: (id) => new Date(Number(id)),
  })
  t.deepEqual(await dates.get('12345'), new Date(12_345))
  t.deepEqual(await dates.get('12345'), new Date(12_345))
  t.is(cache.get('date:12345')!.length, 8)
  // It may change what it was given.
  for (const bytes of given) bytes.fill(0)
  t.deepEqual(await dates.get('12345'), new Date(12_345))
})

test('a codec may write all values to one place', async (t) => {
  const { cache } = new Host()
  const place = Buffer.alloc(10)
  const texts = cache.group<string>('text', {
    codec: {
      encode: (text) => place.subarray(0, place.write(text)),
      decode: (bytes) => Buffer.from(bytes).toString(),
    },
    load: (id) => id,
  })
  const ids = ['one', 'two', 'six']
  t.deepEqual(await Promise.all(ids.map((id) => texts.get(id))), ids)
  t.deepEqual(await Promise.all(ids.map((id) => texts.get(id))), ids)
})

test('bytes that a codec hands on are copied on both ways', async (t) => {
  const { cache } = new Host()
  const source = Buffer.from('original')
  const blobs = cache.group<Uint8Array>('blob', {
    codec: { encode: (bytes) => bytes, decode: (bytes) => bytes },
    load: () => source,
  })
  const [one, other] = await Promise.all([blobs.get('1'), blobs.get('1')])
  source.fill(0)
  one!.fill(0)
  t.is(Buffer.from(other!).toString(), 'original')
  t.is(Buffer.from((await blobs.get('1'))!).toString(), 'original')
})

test('a value that cannot be encoded rejects the calls that wait for it, and nothing else', async (t) => {
  const { cache } = new Host()
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  const bad: Record<string, unknown> = { big: 5n, circle, function: () => 1, nan: NaN }
  const group = cache.group<unknown>('any', { breaker: '1/1s', load: (id) => bad[id] ?? id })
  for (const id of Object.keys(bad)) {
    await t.throwsAsync(group.get(id), { instanceOf: TypeError }, id)
    t.throws(() => group.set('kept', bad[id]), { instanceOf: TypeError }, id)
    t.is(await group.get('good'), 'good')
  }
  t.is(group.stats.breaker, 'closed')
  const wrong = cache.group<string>('wrong', {
    codec: { encode: (text) => text as unknown as Uint8Array, decode: () => '' },
    load: () => 'text',
  })
  await t.throwsAsync(wrong.get('1'), { message: /encode must return a Uint8Array.*string/ })
  for (const nothing of [null, undefined]) {
    t.throws(() => group.set('1', nothing), { message: /delete the id instead/ })
  }
})

test('bytes that cannot be decoded reject, and stay', async (t) => {
  const { cache, users } = new Host()
  cache.set('user:42', '{')
  await t.throwsAsync(users.get('42'), { instanceOf: SyntaxError })
  t.throws(() => users.peek('42'), { instanceOf: SyntaxError })
  cache.set('user:42', '{"name":"Ada"}')
  t.deepEqual(await users.get('42'), { name: 'Ada' })
})

test('a value that finds no room is the answer all the same', async (t) => {
  const host = new Host()
  const name = 'x'.repeat(3_000_000)
  const got = host.users.get('42')
  const call = await host.call(0)
  call.answer({ name })
  t.is((await got)!.name.length, name.length)
  t.is(host.users.peek('42'), undefined)
  t.throws(() => host.users.set('42', { name }), { instanceOf: RangeError })
})

test('long values and many-byte ids come back', async (t) => {
  const host = new Host({}, { maxMemory: '32mb' })
  for (const length of [1, 100, 5000, 70_000, 1_000_000]) {
    const id = `${length}${'\u{1F600}'.repeat(Math.min(length, 1000))}`
    await host.have(id, 'é'.repeat(length))
    const user = await host.users.get(id)
    t.is(user!.name.length, length)
    t.is(host.users.peek(id)!.name.length, length)
  }
})

test('who hears of evicted entries may use the cache, and the group does not mix keys up', async (t) => {
  const host: { cache?: Cache } = {}
  const gone: string[] = []
  const { cache, users, calls, clock } = new Host(
    { ttl: 300, stale: '10s' },
    {
      maxMemory: '2mb',
      onEvicted: (key) => {
        if (key.toString() === 'other') return
        gone.push(key.toString())
        host.cache?.set('other', 'x'.repeat(100)).get('other')
      },
    },
  )
  host.cache = cache
  const random = new SeededRandom(3)
  for (let i = 0; i < 1500; i++) {
    const id = `${random.below(random.pick([50, 700]))}`
    const got = users.get(id)
    await clock.settle()
    for (const call of calls.splice(0)) {
      t.is(call.id, id)
      call.answer({ name: id.padEnd(3000, '.') })
    }
    if (i % 10 === 0) await clock.advance(10)
    const user = await got
    t.is(user!.name.replace(/\.+$/, ''), id)
  }
  t.true(gone.length > 50)
  const { refreshes, fenced } = users.stats
  t.true(refreshes > 20, `${refreshes}`)
  t.is(fenced, 0)
})

test('what onEvicted throws ends no load and no get: it is uncaught', async (t) => {
  const listener = {
    onEvicted: () => {
      throw new Error('from the listener')
    },
  }
  const { users, calls, clock } = new Host(
    { ttl: 500, stale: '10s', negative: 100 },
    { maxMemory: '2mb', ...listener },
  )
  const uncaught: unknown[] = []
  const soon = clock.soon.bind(clock)
  clock.soon = (run) =>
    soon(() => {
      try {
        run()
      } catch (error) {
        uncaught.push(error)
      }
    })
  for (let i = 0; i < 1000; i++) {
    const id = `${i % 500}`
    const got = users.get(id)
    await clock.settle()
    for (const call of calls.splice(0)) {
      call.answer(call.id === '7' ? null : { name: call.id.padEnd(5000, '.') })
    }
    if (i % 10 === 0) await clock.advance(10)
    const user = await got
    t.is(user?.name.replace(/\.+$/, ''), id === '7' ? undefined : id)
  }
  t.true(uncaught.length > 100)
})

/* ---- the cache's end, and files ---- */

test('close rejects those who wait, and leaves no timer', async (t) => {
  const host = new Host({ timeout: '1h', retry: 1, concurrency: 1 })
  const { cache, users, clock } = host
  const gets = [users.get('1'), users.get('1'), users.get('2'), users.refresh('3')]
  const { context } = await host.call(0)
  t.is(host.held, 1)
  cache.close()
  for (const got of gets) {
    const error = await fate(clock, got)
    t.true(error instanceof CacheStateError)
    t.is((error as CacheStateError).message, 'the cache is closed')
  }
  t.true(context.signal.aborted)
  t.is(clock.timers, 0)
  t.is(host.held, 0)
  await t.throwsAsync(users.get('1'), { instanceOf: CacheStateError })
  await t.throwsAsync(users.refresh('1'), { instanceOf: CacheStateError })
  for (const use of [
    () => users.peek('1'),
    () => users.delete('1'),
    () => users.set('1', { name: '' }),
    () => users.invalidate(),
    () => users.stats,
    () => cache.invalidateTag('a'),
    () => cache.group('new', () => 1),
  ]) {
    t.throws(use, { instanceOf: CacheStateError })
  }
})

test('nor does a reload that failed and may not be tried again yet', async (t) => {
  const host = new Host({ ttl: '1s', stale: '10s' })
  await host.have('42', 'Ada')
  await host.clock.advance(SECOND)
  await host.users.get('42')
  const call = await host.call(1)
  call.fail(new Error('down'))
  await host.clock.settle()
  host.cache.close()
  t.is(host.clock.timers, 0)
})

test('a load that ends after the close does nothing', async (t) => {
  const host = new Host()
  const got = host.users.get('1')
  const call = await host.call(0)
  host.cache.close()
  call.answer({ name: 'Ada' })
  await t.throwsAsync(got, { instanceOf: CacheStateError })
})

test('the process is kept alive as long as somebody waits', async (t) => {
  const host = new Host({ wait: 100 })
  const gets = [host.users.get('1'), host.users.get('2')]
  await host.clock.settle()
  t.is(host.held, 1)
  host.calls[0]!.answer({ name: 'Ada' })
  await gets[0]
  t.is(host.held, 1)
  await host.clock.advance(100)
  await gets[1]
  t.is(host.held, 0)
})

test('a snapshot keeps what groups have; loading one ends the loads', async (t) => {
  const host = new Host({ ttl: '1s', stale: '10s' })
  const { users, cache, clock } = host
  await host.have('42', 'Ada')
  await cache.save(PATH)
  cache.clear()
  const waiting = users.get('1')
  const call = await host.call(1)
  const loading = cache.load(PATH)
  const error = await fate(clock, waiting)
  t.true(error instanceof CacheStateError)
  t.regex((error as CacheStateError).message, /being loaded/)
  await loading
  call.answer({ name: 'too late' })
  await clock.settle()
  t.is(users.peek('1'), undefined)
  t.deepEqual(await users.get('42'), { name: 'Ada' })
  await clock.advance(2 * SECOND)
  t.deepEqual(await users.get('42'), { name: 'Ada' })
  const refreshing = await host.call(2)
  refreshing.answer({ name: 'Grace' })
  await clock.settle()
  t.deepEqual(await users.get('42'), { name: 'Grace' })
})

test('an old load never fills a lease of the store that took the place of its own', async (t) => {
  const host = new Host()
  await host.cache.save(PATH)
  const before = host.users.get('1')
  const old = await host.call(0)
  await host.cache.load(PATH)
  await t.throwsAsync(before, { instanceOf: CacheStateError })
  const after = host.users.get('1')
  const next = await host.call(1)
  old.answer({ name: 'old' })
  t.is(await fate(host.clock, after), 'open')
  next.answer({ name: 'new' })
  t.deepEqual(await after, { name: 'new' })
})

/* ---- making one ---- */

test('a group is found by its name', (t) => {
  const { cache, users } = new Host()
  t.is(cache.getGroup('user'), users)
  t.is(cache.getGroup('users'), undefined)
  t.deepEqual([users.name, users.prefix], ['user', 'user:'])
})

const load = (): number => 1
const wrong: readonly [title: string, name: unknown, options: unknown, says: RegExp][] = [
  ['no loader', 'a', {}, /^group a: load must be a function .* but is undefined$/],
  ['a loader that is none', 'a', { load: 5 }, /^group a: load must be .* but is number$/],
  ['no options', 'a', undefined, /^group a wants options, .* but has undefined$/],
  ['no name', undefined, { load }, /^a group's name must be a string, but is undefined$/],
  ['an empty name', '', { load }, /1 to 64 of the characters/],
  ['a name with a colon', 'a:b', { load }, /^group 'a:b': a group's name is 1 to 64/],
  ['a misspelt option', 'a', { load, tll: 5 }, /^group a has no option tll: did you mean ttl\?$/],
  ['a rule that is no option', 'a', { load, match: 'x' }, /^group a has no option match/],
  [
    'a time of another type',
    'a',
    { load, ttl: true },
    /^group a: ttl must be milliseconds or a time like '5m', but is boolean$/,
  ],
  [
    'a time without its unit',
    'a',
    { load, stale: '5' },
    /^group a: stale '5' has no unit \(write '5s'\)$/,
  ],
  [
    'a time that is none',
    'a',
    { load, staleIfError: '5 parsecs' },
    /^group a: staleIfError '5 parsecs' is no time/,
  ],
  [
    'a time below 0',
    'a',
    { load, negative: -1 },
    /^group a: negative must be whole milliseconds, 0 or more, but is -1$/,
  ],
  [
    'a fraction',
    'a',
    { load, timeout: 0.5 },
    /^group a: timeout must be whole milliseconds.*0\.5$/,
  ],
  ['a ttl of 0', 'a', { load, ttl: 0 }, /^group a: ttl must be over 0, or Infinity/],
  ['a timeout of 0', 'a', { load, timeout: 0 }, /^group a: timeout '0ms' is below 1ms$/],
  ['a timeout too long', 'a', { load, timeout: '2h' }, /^group a: timeout '2h' is above 1h$/],
  [
    'an endless stale',
    'a',
    { load, stale: Infinity },
    /^group a: stale must be whole milliseconds.*Infinity$/,
  ],
  ['half a second of idle', 'a', { load, idle: 500 }, /^group a: idle '500ms' is (below|no whole)/],
  ['a jitter over a half', 'a', { load, jitter: 0.6 }, /^group a: jitter '0.6' is above 50%$/],
  [
    'a jitter that is none',
    'a',
    { load, jitter: {} },
    /^group a: jitter must be a part of one.*Object$/,
  ],
  [
    'an early in words',
    'a',
    { load, early: '1' },
    /^group a: early must be a number, but is string$/,
  ],
  ['a concurrency of 0', 'a', { load, concurrency: 0 }, /^group a: concurrency '0' is below 1$/],
  ['NaN', 'a', { load, concurrency: NaN }, /^group a: concurrency 'NaN' is no whole number$/],
  ['a queue that is none', 'a', { load, queue: 1.5 }, /^group a: queue '1.5' is no whole number$/],
  ['a retry too many', 'a', { load, retry: 11 }, /^group a: retry '11' is above 10$/],
  ['a breaker that is none', 'a', { load, breaker: 'on' }, /^group a: breaker /],
  [
    'a breaker of another type',
    'a',
    { load, breaker: 5 },
    /^group a: breaker must be 'off', .* but is number$/,
  ],
  [
    'a misspelt breaker',
    'a',
    { load, breaker: { failure: 5 } },
    /^group a: breaker has no option failure: did you mean failures\?$/,
  ],
  [
    'a breaker of no failures',
    'a',
    { load, breaker: { open: 5 } },
    /^group a: breaker \.failures must be a number, but is undefined$/,
  ],
  ['a share that is none', 'a', { load, maxBytes: 'much' }, /^group a: maxBytes 'much' is no size/],
  ['a share too small', 'a', { load, maxBytes: 5 }, /^group a: maxBytes '5' is below 65536 bytes$/],
  [
    'an onError that is none',
    'a',
    { load, onError: 'throw' },
    /^group a: onError 'throw' is none of error, nil, stale$/,
  ],
  [
    'half a codec',
    'a',
    { load, codec: { encode: load } },
    /^group a: codec must have a function decode$/,
  ],
  ['a codec of null', 'a', { load, codec: null }, /^group a: codec must have a function encode$/],
  ['a name that is taken', 'user', { load }, /^group user is given twice$/],
]
for (const [title, name, options, says] of wrong) {
  test(`group refuses ${title}`, (t) => {
    const { cache } = new Host()
    const error = t.throws(() => cache.group(name as string, options as GroupOptions<number>), {
      message: says,
    })
    t.true(error instanceof TypeError || error instanceof RangeError)
    t.is(cache.getGroup('a'), undefined)
  })
}

test('all options are taken at the ends of their limits', async (t) => {
  const { cache } = new Host()
  const least = cache.group('least', {
    ...{ ttl: 1, stale: 0, staleIfError: 0, negative: 0, jitter: 0, early: 0, idle: 0, wait: 0 },
    ...{ timeout: 1, concurrency: 1, queue: 0, retry: 0, breaker: 'off', maxBytes: 0 },
    ...{ onError: 'error', load },
  })
  const most = cache.group('most', {
    ...{ ttl: '3650d', stale: '3650d', staleIfError: '3650d', negative: '3650d', jitter: '50%' },
    ...{ early: 100, idle: '3650d', wait: Infinity, timeout: '1h', concurrency: 4096 },
    ...{ queue: 65_536, retry: 10, breaker: '1000/1h', maxBytes: '1gb', onError: 'stale', load },
  })
  t.is(await least.get('1'), 1)
  t.is(await most.get('1'), 1)
})

test('a cache has up to 256 groups', (t) => {
  const { cache } = new Host()
  for (let i = 1; i < 256; i++) cache.group(`${i}`, load)
  t.throws(() => cache.group('one-more', load), { instanceOf: RangeError, message: /256 groups/ })
})

test('ids, values and tags of other types are refused with what to do', async (t) => {
  const { cache, users } = new Host()
  const any = users as unknown as Record<string, (...args: unknown[]) => unknown>
  for (const id of [5, undefined, null, Buffer.from('a'), '']) {
    const says = { instanceOf: TypeError, message: /^group user: an id must be a string/ }
    await t.throwsAsync(users.get(id as string), says)
    await t.throwsAsync(users.refresh(id as string), says)
    for (const method of ['peek', 'delete', 'set']) t.throws(() => any[method]!(id, {}), says)
  }
  const long = 'x'.repeat(65_536 - 5)
  users.set(long, { name: 'Ada' })
  t.deepEqual(users.peek(long), { name: 'Ada' })
  await t.throwsAsync(users.get(`${long}x`), { instanceOf: RangeError, message: /65536 bytes/ })
  const calls: [Record<string, unknown>, RegExp][] = [
    [{ ttl: 0 }, /^group user: ttl must be over 0/],
    [{ ttl: '5' }, /^group user: ttl '5' has no unit/],
    [{ ttl: '1 h' }, /^group user: ttl '1 h' is no time/],
    [{ tags: 'a' }, /^group user: tags must be an array, but is string/],
    [{ tags: [5] }, /^group user: tags must be strings .* number/],
    [{ tags: [''] }, /^group user: tags must be strings .* empty/],
    [{ tags: Array.from({ length: 65 }, (_, i) => `${i}`) }, /^group user: tags.*64/],
  ]
  for (const [options, message] of calls) {
    const error = t.throws(() => users.set('1', { name: '' }, options), { message })
    t.true(error instanceof TypeError || error instanceof RangeError)
  }
  t.throws(() => cache.invalidateTag(''), { instanceOf: TypeError })
  t.throws(() => users.invalidateTag(5 as unknown as string), { instanceOf: TypeError })
  t.is(users.peek('1'), undefined)
})
