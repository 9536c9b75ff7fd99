import fc from 'fast-check'
import test from 'ava'
import { overlapOf, Prefixes } from '../../../server/tracking/prefixes.ts'

test('prefixes find what a look at each of them finds', (t) => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 4 })
  fc.assert(
    fc.property(fc.array(word), fc.array(word), (names, keys) => {
      const prefixes = new Prefixes<string>()
      const unique = new Set(names)
      for (const name of unique) prefixes.add(name, name)
      for (const key of keys) prefixes.changed(key, null)
      const told: (readonly [string, readonly string[]])[] = []
      prefixes.flush(
        (member, changed) => told.push([member, changed]),
        () => false,
      )
      const sorted = [...new Set(keys)].sort((one, other) => (one < other ? -1 : 1))
      const expected = [...unique]
        .sort((one, other) => (one < other ? -1 : 1))
        .map((name) => [name, sorted.filter((key) => key.startsWith(name))] as const)
      t.deepEqual(
        told,
        expected.filter(([, changed]) => changed.length > 0),
      )
      for (const name of unique) prefixes.remove(name, name)
      t.true(prefixes.isEmpty)
    }),
  )
})

test('two prefixes overlap where one begins with the other', (t) => {
  t.is(overlapOf(['a', 'b'], ['cd']), null)
  t.is(overlapOf([], ['a']), null)
  t.deepEqual(overlapOf(['x', 'cde'], ['cd']), { prefix: 'cde', with: 'cd', isGiven: false })
  t.deepEqual(overlapOf(['c'], ['cd']), { prefix: 'c', with: 'cd', isGiven: false })
  t.deepEqual(overlapOf(['x', 'y', 'y'], []), { prefix: 'y', with: 'y', isGiven: true })
  t.deepEqual(overlapOf(['', 'y'], []), { prefix: '', with: 'y', isGiven: true })
})
