import test from 'ava'
import { SeededRandom } from '../../sim/random.ts'
import { SCENARIOS, VALUE_BYTES_MAX } from './scenarios.ts'

const MAX_MEMORY = 8 * 2 ** 20

for (const { name, operations } of SCENARIOS) {
  test(`${name}: it stays within its sizes, and its values fill memory`, (t) => {
    const next = operations(MAX_MEMORY, new SeededRandom(7))
    const held = new Map<number, number>()
    let most = 0
    let bytes = 0
    for (let written = 0; written < 10 * MAX_MEMORY;) {
      const { verb, key, bytes: length } = next()
      if (verb === 'get') continue
      bytes -= held.get(key) ?? 0
      held.delete(key)
      if (verb === 'set') {
        if (length < 1 || length > VALUE_BYTES_MAX) t.fail(`a value of ${length} bytes`)
        held.set(key, length)
        bytes += length
        written += length
      }
      most = Math.max(most, bytes)
    }
    t.true(most > 0.8 * MAX_MEMORY, `${most} bytes at the most`)
  })

  test(`${name}: a seed repeats it`, (t) => {
    const one = operations(MAX_MEMORY, new SeededRandom(7))
    const same = operations(MAX_MEMORY, new SeededRandom(7))
    for (let i = 0; i < 100; i++) t.deepEqual(same(), one())
  })
}
