import test from 'ava'
import { SlotStates } from '../../../cluster/ownership/slot-states.ts'
import { VisitedKeys } from '../../../cluster/ownership/visited-keys.ts'

test('a key is visited for the first time once in a while, by each thread', (t) => {
  const states = new SlotStates()
  const [one, two] = [new VisitedKeys(states), new VisitedKeys(new SlotStates(states.shared))]
  const bytes = Buffer.from('..a..b')
  t.true(one.isFirst(bytes, 2, 1))
  t.false(one.isFirst(bytes, 2, 1))
  t.true(one.isFirst(bytes, 5, 1))
  t.true(two.isFirst(bytes, 2, 1))
  states.beginWhile()
  t.true(one.isFirst(bytes, 2, 1))
  t.true(two.isFirst(bytes, 2, 1))
  // What is there was written when the slot was this node's.
  states.lose(7)
  t.true(one.isFirst(bytes, 2, 1))
})

test('what is too much to remember is visited for the first time each time', (t) => {
  const keys = new VisitedKeys(new SlotStates())
  const visit = (i: number): boolean => {
    const key = Buffer.from(String(i))
    return keys.isFirst(key, 0, key.length)
  }
  for (let i = 0; i < 10_001; i++) t.true(visit(i))
  t.false(visit(9_999))
  t.true(visit(10_000))
  const long = Buffer.alloc(65_537)
  const other = new VisitedKeys(new SlotStates())
  for (const length of [65_536, 65_537]) t.true(other.isFirst(long, 0, length))
  t.false(other.isFirst(long, 0, 65_536))
  t.true(other.isFirst(long, 0, 65_537))
})
