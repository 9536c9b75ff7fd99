import test from 'ava'
import type { Membership } from '../../cluster/members/membership.ts'
import { SLOT_COUNT } from '../../cluster/slots.ts'
import { checkRings, RingBook } from './ring-book.ts'

/** A node that sees these nodes; `owner`: index of a slot's owner. */
function seen(names: readonly string[], owner: (slot: number) => number): Membership {
  const table = Int16Array.from({ length: SLOT_COUNT }, (_, slot) => owner(slot))
  const viewHash = names.length
  return { self: names[0], viewHash, live: () => ({ names, table }) } as unknown as Membership
}

const byHalf = (slot: number): number => slot % 2
/** Every so manieth slot goes to a third node. */
const byThird = (each: number) => (slot: number) => (slot % each === 0 ? 2 : byHalf(slot))

test('nodes with the same view have the same ring', (t) => {
  const book = new RingBook()
  const one = seen(['a', 'b'], byHalf)
  const two = seen(['a', 'b'], (slot) => (slot === 5 ? 0 : byHalf(slot)))
  t.deepEqual(book.enter(one), {})
  t.deepEqual(book.enter(seen(['a', 'b'], byHalf)), {})
  t.regex(book.enter(two).c8!, /another ring/)
  t.is(checkRings([one, one]), null)
  t.regex(checkRings([one, two])!, /several rings/)
})

test('a node that joins or leaves moves its share, and 1.3 times that at most', (t) => {
  const joins = (names: readonly string[], owner: (slot: number) => number) => {
    const book = new RingBook()
    t.deepEqual(book.enter(seen(['a', 'b'], byHalf)), {})
    return book.enter(seen(names, owner)).c9
  }
  const three = ['a', 'b', 'c']
  t.is(joins(three, byThird(3)), undefined)
  t.regex(joins(three, byThird(2))!, /1.500 of its share/)
  t.regex(
    joins(three, (slot) => (slot === 4 ? 1 : byThird(3)(slot)))!,
    /between others/,
  )
  // Views that are two nodes apart say nothing.
  t.is(joins(['a', 'b', 'c', 'd'], byThird(2)), undefined)
})
