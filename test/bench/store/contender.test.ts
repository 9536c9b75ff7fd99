import test from 'ava'
import { type ContenderName, createContender, KEY_BYTES, VARIANTS, writeKey } from './contender.ts'
import { measureSpeed, PHASES, set } from './speed.ts'

const MB = 2 ** 20

test('keys of different numbers differ', (t) => {
  const keys = new Set<string>()
  for (const number of [0, 1, 15, 16, 255, 256, 65_535, 65_536, 1_000_000, 2 ** 31]) {
    const bytes = Buffer.alloc(KEY_BYTES)
    writeKey(bytes, 0, number)
    keys.add(bytes.toString('latin1'))
  }
  t.is(keys.size, 10)
})

for (const name of ['store', ...VARIANTS, 'map', 'lru-cache'] as const) {
  test(`${name} gives the bytes of a value back, and says what it lacks`, (t) => {
    const contender = createContender({ name, entries: 5_000, maxMemory: 16 * MB })
    // More values than the reply area holds.
    for (let number = 0; number < 5_000; number++) {
      contender.bytes.fill(number & 255, contender.valueAt, contender.valueAt + 100)
      set(contender, number)
    }
    t.is(contender.entries, 5_000)
    for (let number = 0; number < 5_000; number++) {
      writeKey(contender.bytes, contender.keyAt, number)
      const at = contender.get()
      const value = contender.reply.subarray(at, at + 100)
      if (at < 0 || value.some((byte) => byte !== (number & 255))) t.fail(`key ${number}`)
    }
    writeKey(contender.bytes, contender.keyAt, 5_000)
    t.is(contender.get(), -1)
  })
}

test('a contender is measured in every phase, the one that does nothing too', async (t) => {
  for (const name of ['store', 'nothing'] satisfies ContenderName[]) {
    const options = { name, entries: 2_000, maxMemory: 16 * MB, phases: PHASES }
    const figures = await measureSpeed(options)
    t.deepEqual(Object.keys(figures), [...PHASES])
    for (const phase of PHASES) t.true(figures[phase]!.nanos > 0)
  }
})
