import test from 'ava'
import { type Copy, Shelf } from '../../../cluster/hot/shelf.ts'

const COPY_BYTES = 256

function copy(length: number, owner = 'a:1', until = 100): Copy {
  const value = new Uint8Array(length)
  return { value, owner, until, renewAt: until, slot: 0, stamp: 0, hits: 0 }
}

test('bytes are counted and bounded: the oldest copies go', (t) => {
  const shelf = new Shelf()
  const bytesMax = 3 * (COPY_BYTES + 2 + 1000)
  for (const key of ['1', '2', '3']) t.true(shelf.put(key, copy(1000), bytesMax))
  t.is(shelf.bytes, bytesMax)
  t.true(shelf.put('4', copy(1000), bytesMax))
  t.is(shelf.get('1'), undefined)
  t.is(shelf.size, 3)
  t.is(shelf.bytes, bytesMax)
  t.false(shelf.put('5', copy(bytesMax), bytesMax))
  t.is(shelf.size, 3)
  t.true(shelf.put('6', copy(2000), bytesMax))
  t.true(shelf.bytes <= bytesMax)
  t.is(shelf.countOf('a:1'), shelf.size)
})

test('a newer copy takes the place of the older one, and what is deleted is not counted', (t) => {
  const shelf = new Shelf()
  shelf.put('k', copy(10, 'a:1'), 10_000)
  shelf.put('k', copy(20, 'b:1'), 10_000)
  t.is(shelf.size, 1)
  t.is(shelf.countOf('a:1'), 0)
  t.is(shelf.countOf('b:1'), 1)
  t.is(shelf.bytes, COPY_BYTES + 2 + 20)
  shelf.put('other', copy(1, 'a:1', 5), 10_000)
  shelf.deleteWhere(({ until }) => until <= 5)
  t.is(shelf.size, 1)
  t.true(shelf.delete('k'))
  t.false(shelf.delete('k'))
  t.is(shelf.bytes, 0)
  shelf.put('k', copy(1), 10_000)
  shelf.clear()
  t.is(shelf.bytes + shelf.size + shelf.countOf('a:1'), 0)
})
