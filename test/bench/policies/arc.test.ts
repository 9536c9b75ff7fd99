import test from 'ava'
import { Arc } from './arc.ts'
import { hitRatio, keyCount } from './policy.ts'
import { Lru } from './recency.ts'
import { LETTERS, mixedTrace, outcomes } from './traces.ts'

test('a key used twice outlives new ones that were used once', (t) => {
  t.is(outcomes(new Arc(2, LETTERS), 'abacda'), '--h--h')
  t.is(outcomes(new Lru(2, LETTERS), 'abacda'), '--h---')
})

test('a hit in the ghost of the recent ones makes room for them', (t) => {
  // c comes back from the ghost: the target becomes 1, so d stays and a goes; then a comes back.
  t.is(outcomes(new Arc(2, LETTERS), 'abacdacacd'), '--h--h--h-')
})

test('it never holds more than it may, and resists scans', (t) => {
  const trace = mixedTrace(30_000)
  const keys = keyCount(trace)
  const arc = new Arc(90, keys)
  for (const key of trace) {
    arc.request(key)
    if (arc.size > 90) return t.fail(`it holds ${arc.size}`)
  }
  t.is(arc.size, 90)
  const lead = hitRatio(new Arc(90, keys), trace) - hitRatio(new Lru(90, keys), trace)
  t.true(lead > 1, `ARC leads by ${lead}`)
})
