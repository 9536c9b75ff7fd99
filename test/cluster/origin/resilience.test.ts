import test, { type ExecutionContext } from 'ava'
import {
  type Loaded,
  type Loader,
  type LoadRequest,
  OriginError,
  type OriginErrorKind,
  type OriginGroup,
  type WriteRequest,
} from '../../../cluster/origin/loader.ts'
import { type ResilienceParts, ResilientLoader } from '../../../cluster/origin/resilience.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'
import { loadRequest, originGroup, writeRequest } from './request.ts'

const VALUE: Loaded = { value: Buffer.from('v') }

/** Fails with these, one after the other, and then answers. */
class FakeLoader implements Loader {
  asked = 0
  written = 0
  closed = false
  failures: Error[] = []
  /** Loads that wait to be told how they end, where there are any to wait. */
  waiting: { resolve: (loaded: Loaded) => void; reject: (error: Error) => void }[] | null = null

  load(_request: LoadRequest): Promise<Loaded> {
    this.asked++
    const { waiting } = this
    if (waiting !== null) {
      return new Promise((resolve, reject) => void waiting.push({ resolve, reject }))
    }
    const failure = this.failures.shift()
    return failure === undefined ? Promise.resolve(VALUE) : Promise.reject(failure)
  }

  write(_request: WriteRequest): Promise<void> {
    this.written++
    const failure = this.failures.shift()
    return failure === undefined ? Promise.resolve() : Promise.reject(failure)
  }

  close(): Promise<void> {
    this.closed = true
    return Promise.resolve()
  }
}

interface Bench {
  readonly clock: VirtualClock
  readonly fake: FakeLoader
  readonly loader: ResilientLoader
  readonly group: OriginGroup
  load(rest?: Partial<LoadRequest>): Promise<Loaded>
  /** 'value', or the kind of the error. */
  outcome(rest?: Partial<LoadRequest>): Promise<string>
}

function start(rules: Partial<OriginGroup>, hear: ResilienceParts['hear'] = () => {}): Bench {
  const fake = new FakeLoader()
  const clock = new VirtualClock()
  const loader = new ResilientLoader(fake, { clock, random: new SeededRandom(1), hear })
  const group = originGroup(rules)
  const load = (rest?: Partial<LoadRequest>) => loader.load(loadRequest(group, 'k', rest))
  const outcome = (rest?: Partial<LoadRequest>) =>
    load(rest).then(
      () => 'value',
      (error: unknown) => (error instanceof OriginError ? error.kind : String(error)),
    )
  return { clock, fake, loader, group, load, outcome }
}

/** What the work comes to when time passes. */
async function inTime<T>({ clock }: Bench, work: Promise<T>): Promise<T> {
  let isOver = false
  const over = work.finally(() => (isOver = true))
  over.catch(() => {})
  while (!isOver) await clock.advance(50)
  return over
}

function failure(kind: OriginErrorKind, detail = ''): OriginError {
  return new OriginError(kind, `ORIGIN g: ${kind} ${detail}`, undefined, detail)
}

const times = (count: number, error: Error): Error[] => Array<Error>(count).fill(error)

/** So long that no test waits for it. */
const HOUR_MS = 3_600_000

const ASKED_AGAIN = [
  failure('reset'),
  failure('unreachable', 'ECONNREFUSED'),
  failure('short'),
  failure('status', '500'),
  failure('status', '503'),
]
const ASKED_ONCE = [
  failure('key'),
  failure('too-large'),
  failure('redirect'),
  failure('encoding'),
  failure('protocol'),
  failure('tls', 'CERT_HAS_EXPIRED'),
  failure('timeout'),
  failure('closing'),
  failure('failed'),
  failure('module'),
  failure('redis', 'WRONGTYPE'),
  failure('redis', 'LOADING'),
  failure('status', '403'),
  failure('status', '429'),
]

for (const error of ASKED_AGAIN) {
  test(`what may be gone by then is tried again: ${error.kind} ${error.detail}`, async (t) => {
    const bench = start({ retries: 2 })
    const { fake, load } = bench
    fake.failures = [error]
    t.is(await inTime(bench, load()), VALUE)
    t.is(fake.asked, 2)
    fake.asked = 0
    fake.failures = times(3, error)
    await t.throwsAsync(inTime(bench, load()), { is: error })
    t.is(fake.asked, 3)
  })
}

for (const error of [...ASKED_ONCE, new Error('not of an origin')]) {
  const { kind = '', detail = '' } = error as Partial<OriginError>
  test(`what would be the same again is not tried again: ${kind} ${detail}`, async (t) => {
    const bench = start({ retries: 2 })
    const { fake, load } = bench
    fake.failures = [error]
    await t.throwsAsync(inTime(bench, load()), { is: error })
    t.is(fake.asked, 1)
  })
}

test('without retries and breaker an origin is asked once, each time', async (t) => {
  const { fake, load, loader } = start({})
  fake.failures = times(50, failure('status', '500'))
  for (let i = 0; i < 50; i++) await t.throwsAsync(load(), { instanceOf: OriginError })
  t.is(fake.asked, 50)
  t.is(loader.breakerState('g'), 'closed')
  t.is(await load(), VALUE)
})

test('the deadline ends a load that waits to be tried again', async (t) => {
  const { clock, fake, outcome } = start({ retries: 100 })
  fake.failures = times(1000, failure('reset'))
  const controller = new AbortController()
  const loading = outcome({ signal: controller.signal })
  while (fake.asked < 2) await clock.advance(10)
  controller.abort()
  t.is(await loading, 'timeout')
})

test('a load that is aborted before it starts does not ask', async (t) => {
  for (const rules of [{}, { retries: 1 }, { breakerFailures: 1 }]) {
    const { fake, outcome } = start(rules)
    t.is(await outcome({ signal: AbortSignal.abort() }), 'timeout')
    t.is(fake.asked, 0)
  }
})

const FAILURES = [
  ...ASKED_AGAIN,
  failure('timeout'),
  failure('tls', 'CERT_HAS_EXPIRED'),
  failure('protocol'),
  failure('module'),
  failure('redis', 'LOADING'),
]
for (const error of FAILURES) {
  test(`three in a row open the breaker: ${error.kind} ${error.detail}`, async (t) => {
    const { fake, loader, outcome } = start({ breakerFailures: 3, breakerOpenMs: HOUR_MS })
    fake.failures = [...times(2, error)]
    t.deepEqual(
      [await outcome(), await outcome(), await outcome()],
      [error.kind, error.kind, 'value'],
    )
    fake.failures = times(3, error)
    for (let i = 0; i < 3; i++) {
      t.is(loader.breakerState('g'), 'closed')
      t.is(await outcome(), error.kind)
    }
    t.is(loader.breakerState('g'), 'open')
    const { asked } = fake
    for (let i = 0; i < 10; i++) t.is(await outcome(), 'breaker')
    t.is(fake.asked, asked)
  })
}

for (const error of ASKED_ONCE.filter(
  (one) => !FAILURES.some(({ message }) => message === one.message),
)) {
  test(`the breaker does not hear of ${error.kind} ${error.detail}`, async (t) => {
    const { fake, loader, outcome } = start({ breakerFailures: 2, breakerOpenMs: HOUR_MS })
    fake.failures = times(10, error)
    for (let i = 0; i < 10; i++) t.is(await outcome(), error.kind)
    t.is(loader.breakerState('g'), 'closed')
  })
}

test('an open breaker says so', async (t) => {
  const { fake, load, outcome } = start({ breakerFailures: 1, breakerOpenMs: HOUR_MS })
  fake.failures = [failure('reset')]
  await outcome()
  const message = 'ORIGIN g: the origin failed too often and is not asked for a while'
  await t.throwsAsync(load(), { instanceOf: OriginError, message })
})

test('a deadline counts as a failure', async (t) => {
  const { fake, loader, outcome } = start({ breakerFailures: 2, breakerOpenMs: HOUR_MS })
  fake.waiting = []
  const controller = new AbortController()
  const loading = [1, 2].map(() => outcome({ signal: controller.signal }))
  controller.abort()
  t.deepEqual(await Promise.all(loading), ['timeout', 'timeout'])
  t.is(loader.breakerState('g'), 'open')
})

test('a load whose try opens the breaker hears what went wrong, and is not tried again', async (t) => {
  const bench = start({ retries: 5, breakerFailures: 2, breakerOpenMs: HOUR_MS })
  const { fake, loader, outcome } = bench
  fake.failures = times(10, failure('status', '500'))
  t.is(await inTime(bench, outcome()), 'status')
  t.is(fake.asked, 2)
  t.is(loader.breakerState('g'), 'open')
})

/** Asks until the breaker lets one through; how that one ends. */
async function untilAsked({ clock, outcome }: Bench): Promise<string> {
  for (;;) {
    const end = await outcome()
    if (end !== 'breaker') return end
    await clock.advance(1)
  }
}

async function openBreaker(t: ExecutionContext, bench: Bench): Promise<void> {
  bench.fake.failures = [failure('reset')]
  t.is(await bench.outcome(), 'reset')
  t.is(bench.loader.breakerState('g'), 'open')
}

test('after its time one try closes the breaker, or opens it again', async (t) => {
  const bench = start({ retries: 3, breakerFailures: 1, breakerOpenMs: 20 })
  await openBreaker(t, bench)
  const { fake, loader } = bench
  fake.asked = 0
  fake.failures = [failure('status', '500')]
  t.is(await untilAsked(bench), 'status')
  t.is(loader.breakerState('g'), 'open')
  t.is(fake.asked, 1)
  t.is(await bench.outcome(), 'breaker')
  t.is(await untilAsked(bench), 'value')
  t.is(loader.breakerState('g'), 'closed')
  t.is(fake.asked, 2)
  t.is(await bench.outcome(), 'value')
})

test('that the breaker opens, opens again and closes is told, once each, in exact time', async (t) => {
  const told: string[] = []
  const rules = { breakerFailures: 2, breakerOpenMs: 1000 }
  const { clock, fake, outcome } = start(rules, (state, { name }) => {
    told.push(`${name} ${state} at ${clock.now() - begun}`)
  })
  const begun = clock.now()
  fake.failures = times(3, failure('reset'))
  for (const end of ['reset', 'reset', 'breaker']) t.is(await outcome(), end)
  await clock.advance(999)
  t.is(await outcome(), 'breaker')
  await clock.advance(1)
  for (const end of ['reset', 'breaker']) t.is(await outcome(), end)
  await clock.advance(1000)
  for (const end of ['value', 'value']) t.is(await outcome(), end)
  t.deepEqual(told, ['g open at 0', 'g open at 1000', 'g closed at 2000'])
})

test('a key that is wrong, asked for by the one that tries, lets the next one try', async (t) => {
  const { clock, fake, loader, outcome } = start({ breakerFailures: 1, breakerOpenMs: 1000 })
  fake.failures = [failure('reset'), failure('status', '403')]
  t.is(await outcome(), 'reset')
  await clock.advance(1000)
  t.is(await outcome(), 'status')
  t.is(loader.breakerState('g'), 'half-open')
  t.is(await outcome(), 'value')
  t.is(loader.breakerState('g'), 'closed')
})

test('while that try is under way others are refused at once', async (t) => {
  const bench = start({ breakerFailures: 1, breakerOpenMs: 1 })
  await openBreaker(t, bench)
  const { clock, fake, loader, outcome } = bench
  fake.asked = 0
  fake.waiting = []
  const ends: Promise<string>[] = []
  while (fake.asked === 0) {
    ends.push(outcome())
    await clock.advance(1)
  }
  t.is(loader.breakerState('g'), 'half-open')
  for (let i = 0; i < 10; i++) t.is(await outcome(), 'breaker')
  t.is(fake.asked, 1)
  fake.waiting[0]!.resolve(VALUE)
  t.is(await ends.at(-1), 'value')
  t.is(loader.breakerState('g'), 'closed')
})

test('each group has a breaker of its own', async (t) => {
  const { fake, loader, outcome } = start({ breakerFailures: 1, breakerOpenMs: HOUR_MS })
  fake.failures = [failure('reset')]
  await outcome()
  const other = originGroup({ name: 'h', breakerFailures: 1, breakerOpenMs: HOUR_MS })
  t.is(await loader.load(loadRequest(other, 'k')), VALUE)
  t.is(loader.breakerState('g'), 'open')
  t.is(loader.breakerState('h'), 'closed')
  t.is(loader.breakerState('nobody'), 'closed')
})

test('other rules make a new breaker', async (t) => {
  const { fake, loader, group, outcome } = start({ breakerFailures: 1, breakerOpenMs: HOUR_MS })
  fake.failures = [failure('reset'), failure('reset')]
  await outcome()
  t.is(await outcome(), 'breaker')
  const load = (rules: Partial<OriginGroup>) =>
    loader.load(loadRequest({ ...group, ...rules }, 'k'))
  await t.throwsAsync(load({ breakerFailures: 2 }), { message: /reset/ })
  t.is(loader.breakerState('g'), 'closed')
  t.is(await load({ breakerFailures: 0 }), VALUE)
})

test('a write is sent once, by the same breaker', async (t) => {
  const { fake, loader, group, outcome } = start({
    retries: 5,
    breakerFailures: 2,
    breakerOpenMs: HOUR_MS,
  })
  const write = () => loader.write(writeRequest(group, 'k', 'v'))
  fake.failures = times(2, failure('status', '500'))
  await t.throwsAsync(write(), { message: /status 500/ })
  await t.throwsAsync(write(), { message: /status 500/ })
  t.is(fake.written, 2)
  await t.throwsAsync(write(), { message: /is not asked for a while/ })
  t.is(await outcome(), 'breaker')
  t.is(fake.written, 2)
})

test('to close it closes the loader', async (t) => {
  const { fake, loader } = start({})
  await loader.close()
  t.true(fake.closed)
})
