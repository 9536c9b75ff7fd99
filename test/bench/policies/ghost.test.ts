import test from 'ava'
import { ExactGhost, SetGhost } from './ghost.ts'

test('an exact ghost tells the age once and drops the oldest first', (t) => {
  const ghost = new ExactGhost(3, 10, { factor: 1 }, null)
  for (const key of [1, 2, 3, 4]) ghost.put(key, key)
  t.is(ghost.take(1, 100), -1)
  t.is(ghost.take(2, 100), 98)
  t.is(ghost.take(2, 100), -1)
})

test('an exact ghost counts what its keys cost', (t) => {
  const ghost = new ExactGhost(100, 4, { factor: 1 }, [60, 30, 10, 1])
  for (const key of [0, 1, 2]) ghost.put(key, 0)
  ghost.put(3, 0) // 101: key 0 goes, and 41 are left
  t.deepEqual(
    [0, 1, 2, 3].map((key) => ghost.take(key, 5)),
    [-1, 5, 5, 5],
  )
})

/** One set of four; a unit of age is 1 miss. */
function oneSet(tagBits: number, stampBits: number): SetGhost {
  return new SetGhost(4, { factor: 1, tagBits, stampBits, unitsPerCapacity: 4 })
}

test('a set holds the last four and forgets a key that was taken', (t) => {
  const ghost = oneSet(16, 8)
  for (const key of [1, 2, 3, 4, 5]) ghost.put(key, key)
  t.is(ghost.take(1, 50), -1)
  t.is(ghost.take(3, 50), 47)
  t.is(ghost.take(3, 50), -1)
  t.deepEqual(
    [2, 4, 5].map((key) => ghost.take(key, 50)),
    [48, 46, 45],
  )
})

test('ages are known modulo the units of the stamp', (t) => {
  const cases: [age: number, told: number][] = [
    [14, 14],
    [15, 15],
    [16, 0],
    [17, 1],
  ]
  for (const [age, told] of cases) {
    const ghost = oneSet(16, 4)
    ghost.put(1, 3)
    t.is(ghost.take(1, 3 + age), told)
  }
})

test('ages are whole units', (t) => {
  const ghost = new SetGhost(160, { factor: 1, tagBits: 16, stampBits: 8, unitsPerCapacity: 16 })
  ghost.put(1, 19)
  t.is(ghost.take(1, 39), 20) // stamps 1 and 3 of 10 misses each
  ghost.put(1, 11)
  t.is(ghost.take(1, 19), 0)
})

test('a short fingerprint takes one key for another, a long one hardly ever', (t) => {
  const mistaken = (tagBits: number): number => {
    let found = 0
    for (let key = 0; key < 1000; key++) {
      const ghost = oneSet(tagBits, 8)
      ghost.put(5000, 0)
      if (ghost.take(key, 1) >= 0) found++
    }
    return found
  }
  t.true(mistaken(1) > 400)
  t.true(mistaken(6) > 0 && mistaken(6) < 60)
  t.is(mistaken(20), 0)
})
