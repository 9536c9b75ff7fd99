import test from 'ava'
import { loadConfig } from '../../../server/config.ts'
import { Store } from '../../../server/store/store.ts'
import { Sweeper } from '../../../server/memory/sweeper.ts'
import { VirtualClock } from '../../sim/clock.ts'

const MB = 1024 * 1024
/** How long a step takes by this clock, on which each look takes so long. */
const LOOK_MICROS = 100
/** So a slice of a millisecond is so many steps of 256 slots. */
const STEPS = 10

class SlowClock extends VirtualClock {
  #micros = 0
  override micros(): number {
    this.#micros += LOOK_MICROS
    return this.#micros
  }
}

interface Fixture {
  readonly clock: SlowClock
  readonly store: Store
  readonly sweeper: Sweeper
  /** Keys of the store. */
  left(): number
}

/** `count` keys, of which each `every`th expires in 50 ms. */
function start(count: number, every: number, ...args: string[]): Fixture {
  const clock = new SlowClock()
  const store = new Store({ maxMemory: 64 * MB, seed: 1 })
  store.now = clock.now()
  const bytes = Buffer.alloc(8)
  for (let i = 0; i < count; i++) {
    bytes.writeUInt32LE(i)
    // Those that do not expire now do so later: all are looked at.
    store.set(0, bytes, 0, 4, 4, 4, clock.now() + (i % every === 0 ? 50 : 1e9))
  }
  const config = loadConfig({ args })
  return {
    clock,
    store,
    sweeper: new Sweeper(store, config, clock),
    left: () => store.size(0),
  }
}

test('when all have expired, a slice takes a millisecond and the others have three', async (t) => {
  const { clock, left, sweeper } = start(100_000, 1)
  await clock.advance(99)
  t.is(left(), 100_000)
  let before = left()
  const slices: number[] = []
  for (let ms = 0; ms < 40; ms++) {
    await clock.advance(1)
    if (left() === before) continue
    slices.push(ms)
    // The index is not full: of 256 slots half to all are taken.
    t.true(before - left() <= STEPS * 256, `${before - left()}`)
    t.true(before - left() > STEPS * 100, `${before - left()}`)
    before = left()
  }
  t.deepEqual(slices, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39])
  t.is(sweeper.cut, slices.length)
  t.is(sweeper.spentMs, slices.length)
  t.true(sweeper.stalePercent > 20)
  await clock.until(() => left() === 0, 1_000)
  sweeper.reset()
  t.deepEqual([sweeper.cut, sweeper.spentMs, sweeper.stalePercent], [0, 0, 0])
  sweeper.stop()
  t.is(clock.timers, 0)
})

test('active-expire-effort gives it more of the CPU', async (t) => {
  const { clock, left, sweeper } = start(100_000, 1, '--active-expire-effort', '10')
  await clock.advance(99)
  let slices = 0
  for (let ms = 0; ms < 40; ms++) {
    const before = left()
    await clock.advance(1)
    if (left() !== before) slices++
  }
  // 43 percent: 1.33 ms of pause, and timers have whole ones.
  t.is(slices, 20)
  sweeper.stop()
})

for (const [every, effort, isMuch] of [
  [8, 1, true],
  [25, 1, false],
  [25, 8, true],
  [200, 10, false],
] as const) {
  test(`one of ${every} expired is ${isMuch ? 'much' : 'little'} with effort ${effort}`, async (t) => {
    const { clock, left, sweeper } = start(200_000, every, '--active-expire-effort', String(effort))
    await clock.advance(100)
    const first = 200_000 - left()
    t.true(first > 0)
    await clock.advance(99)
    t.is(sweeper.cut > 0, isMuch)
    if (isMuch) t.true(200_000 - left() > 5 * first)
    else t.is(200_000 - left(), first, 'until the next period')
    await clock.advance(1)
    t.true(200_000 - left() > first)
    sweeper.stop()
  })
}

test('a slice ends with the round, and the next one waits for the period', async (t) => {
  const { clock, left, sweeper, store } = start(20, 1)
  // Before they expire: the first slice begins in the middle.
  t.is(store.sweep(500), 0)
  await clock.advance(100)
  const first = left()
  t.true(first > 0 && first < 20, `${first}`)
  t.is(sweeper.cut, 0)
  await clock.advance(99)
  t.is(left(), first)
  await clock.advance(1)
  t.is(left(), 0)
  t.is(store.stats.expiredActively, 20)
  sweeper.stop()
})

test('a few keys with an expiry among many without are swept once a period', async (t) => {
  for (const [every, isMuch] of [
    [50, true],
    [400, false],
  ] as const) {
    const { clock, left, store, sweeper } = start(0, 1)
    const bytes = Buffer.alloc(8)
    for (let i = 0; i < 100_000; i++) {
      bytes.writeUInt32LE(i)
      store.set(0, bytes, 0, 4, 4, 4, i % every === 0 ? 50 : 0)
    }
    await clock.advance(100)
    const first = left()
    t.true(first < 100_000)
    await clock.advance(50)
    t.is(left() < first, isMuch, `one of ${every}`)
    sweeper.stop()
  }
})

test('without expiries nothing is looked at', async (t) => {
  const { clock, store, sweeper } = start(0, 1)
  store.set(0, Buffer.from('kv'), 0, 1, 1, 1, 0)
  await clock.advance(1_000)
  t.is(sweeper.spentMs, 0)
  sweeper.stop()
})

test('stopped in a pause it does nothing more', async (t) => {
  const { clock, left, sweeper } = start(100_000, 1)
  await clock.advance(100)
  sweeper.stop()
  t.is(clock.timers, 0)
  const before = left()
  t.true(before < 100_000 && before > 0)
  await clock.advance(1_000)
  t.is(left(), before)
})

test('stopped by who is told of a removal it ends its slice', async (t) => {
  const clock = new SlowClock()
  let told = 0
  const store = new Store({
    maxMemory: 8 * MB,
    seed: 1,
    onRemoved: () => {
      told++
      sweeper.stop()
    },
  })
  store.now = clock.now()
  const bytes = Buffer.alloc(8)
  for (let i = 0; i < 20_000; i++) {
    bytes.writeUInt32LE(i)
    store.set(0, bytes, 0, 4, 4, 4, clock.now() + 50)
  }
  const sweeper = new Sweeper(store, loadConfig({ args: [] }), clock)
  await clock.advance(1_000)
  t.true(told > 0 && told <= 256, `${told}`)
  t.is(clock.timers, 0)
})
