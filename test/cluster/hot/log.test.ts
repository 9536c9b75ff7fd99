import test from 'ava'
import { ChangeLog } from '../../../cluster/hot/log.ts'

test('changes are told until they are taken in, in order', (t) => {
  const log = new ChangeLog(7)
  t.false(log.hasNews)
  for (const key of ['a', 'b', 'a']) log.add(key)
  t.deepEqual(log.told, { from: 0, to: 3, keys: ['a', 'b', 'a'] })
  t.true(log.take(2))
  t.deepEqual(log.told, { from: 2, to: 3, keys: ['a'] })
  t.true(log.take(2))
  t.true(log.take(3))
  t.false(log.hasNews)
  t.deepEqual(log.told, { from: 3, to: 3, keys: [] })
})

test('a number that is none of its changes is refused', (t) => {
  const log = new ChangeLog(7)
  log.add('a')
  t.false(log.take(2))
  t.true(log.take(1))
  t.false(log.take(0))
})

test('a change of everything stands for all before it, and those behind it', (t) => {
  const log = new ChangeLog(7)
  log.add('a')
  log.addAll()
  log.add('b')
  t.deepEqual(log.told, { from: 0, to: 3, keys: null })
  t.true(log.take(2))
  t.deepEqual(log.told, { from: 2, to: 3, keys: ['b'] })
})

test('too much that is not taken in becomes a change of everything', (t) => {
  const log = new ChangeLog(7)
  for (let i = 0; i < 4096; i++) log.add('key')
  t.is(log.told.keys?.length, 4096)
  log.add('key')
  t.deepEqual(log.told, { from: 0, to: 4097, keys: null })
  t.true(log.take(4097))
  log.add('x'.repeat(1024 * 1024))
  t.is(log.told.keys?.length, 1)
  log.add('y')
  t.is(log.told.keys, null)
})
