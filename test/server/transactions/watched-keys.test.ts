import test from 'ava'
import { Args } from '../../../protocol/args.ts'
import { WatchedKeys, WATCHES_MAX } from '../../../server/transactions/watched-keys.ts'
import { Texts } from '../store/texts.ts'

function start(): { s: Texts; keys: WatchedKeys } {
  const s = new Texts()
  return { s, keys: new WatchedKeys(s.store) }
}

/** Are all as they were? They are watched no more afterwards. */
function end({ s, keys }: { s: Texts; keys: WatchedKeys }): boolean {
  const watches = keys.take()
  const areUntouched = watches.every((watch) => s.store.isUntouched(watch))
  for (const watch of watches) s.store.unwatch(watch)
  return areUntouched
}

test('a key is watched once in each database, from the first time on', (t) => {
  const { s, keys } = start()
  t.true(keys.add(0, Args.of(['WATCH', 'a', 'b', 'a']), 1))
  t.is(keys.count, 2)
  t.true(keys.add(1, Args.of(['WATCH', 'a']), 1))
  t.is(keys.count, 3)
  t.is(keys.bytes, 3)
  s.set('a', 'value')
  t.true(keys.areTouched)
  keys.add(0, Args.of(['WATCH', 'a']), 1)
  t.false(end({ s, keys }))
  t.is(keys.count, 0)
  t.is(keys.bytes, 0)
  t.true(keys.add(0, Args.of(['WATCH', 'a']), 1))
  t.true(end({ s, keys }))
})

test('too many are none', (t) => {
  const { keys } = start()
  const names = Array.from({ length: WATCHES_MAX }, (_, i) => `key:${i}`)
  t.false(keys.add(0, Args.of([...names, 'more']), 0))
  t.is(keys.count, 0)
  t.true(keys.add(0, Args.of(names), 0))
  t.false(keys.add(0, Args.of(['more']), 0))
  keys.end()
  t.is(keys.count, 0)
})

test('databases that are exchanged have changed, and no others', (t) => {
  const { s, keys } = start()
  keys.add(0, Args.of(['a']), 0)
  keys.exchange(1, 2)
  t.false(keys.areTouched)
  t.true(end({ s, keys }))
  keys.add(2, Args.of(['a']), 0)
  keys.exchange(1, 2)
  t.true(keys.areTouched)
  t.false(end({ s, keys }))
})
