import test from 'ava'
import { Args } from '../../../protocol/args.ts'
import { fnv1a } from '../../../server/store/hash.ts'
import type { StoreOptions, Watch } from '../../../server/store/store.ts'
import { checkInvariants, TRACKED, WATCHED } from '../../../server/store/store.ts'
import { canShare, Sharing } from './sharing.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024

const several = (canShare ? test.serial : test.serial.skip) as typeof test

/** A store whose keys are watched, and whose tracked ones are told of. */
class Watching extends Texts {
  readonly told: string[]

  constructor(options: Partial<StoreOptions> = {}) {
    const told: string[] = []
    super({
      onTouched: (db, key) => void told.push(`${db} ${Buffer.from(key).toString()}`),
      ...options,
    })
    this.told = told
    this.store.now = 1_000
  }

  watch(key: string, db = 0): Watch {
    const name = Buffer.from(key)
    return this.store.watch(WATCHED, db, name, 0, name.length)
  }

  track(key: string, db = 0): Watch {
    const name = Buffer.from(key)
    return this.store.watch(TRACKED, db, name, 0, name.length)
  }

  /** Is the key left alone by this? */
  leaves(key: string, act: () => unknown): boolean {
    const watch = this.watch(key)
    act()
    const isUntouched = this.store.isUntouched(watch)
    this.store.unwatch(watch)
    return isUntouched
  }

  /** With the key open. */
  withOpen<T>(key: string, act: () => T): T {
    this.open(key)
    const result = act()
    this.store.close()
    return result
  }

  expire(key: string, expireAt: number): void {
    this.withOpen(key, () => this.store.setExpiry(expireAt))
  }
}

test('a key is touched by every write that does something', (t) => {
  const s = new Watching()
  const { store } = s
  const bytes = Buffer.from('value')
  s.set('key', 'value')
  t.false(s.leaves('key', () => s.set('key', 'value')))
  t.false(s.leaves('key', () => s.set('key', 'v'.repeat(100_000))))
  t.false(s.leaves('key', () => s.withOpen('key', () => store.put(bytes, 0, 5, 0))))
  t.false(s.leaves('key', () => s.withOpen('key', () => store.append(bytes, 0, 5))))
  t.false(s.leaves('key', () => s.withOpen('key', () => store.setRange(1, bytes, 0, 2))))
  t.false(s.leaves('key', () => s.expire('key', 9_000)))
  t.false(s.leaves('key', () => s.expire('key', 0)))
  t.false(s.leaves('key', () => s.delete('key')))
  t.false(s.leaves('key', () => s.set('key', 'value')))
  t.false(s.leaves('key', () => s.withOpen('key', () => store.remove())))
})

test('a key is left alone by reads, by writes that do nothing and by those of other keys', (t) => {
  const s = new Watching()
  s.set('key', 'value')
  t.true(s.leaves('key', () => s.get('key')))
  t.true(s.leaves('key', () => s.expire('key', 0)))
  t.true(s.leaves('key', () => s.set('other', 'value')))
  t.true(s.leaves('key', () => s.set('key', 'value', 0, 1)))
  t.true(s.leaves('key', () => s.store.flush(1)))
  t.true(s.leaves('none', () => s.delete('none')))
  t.true(s.leaves('none', () => s.store.flush(0)))
  t.true(s.leaves('none', () => s.lease('none')))
})

test('a key is touched when its time is over, or by what finds that', (t) => {
  const s = new Watching()
  const { store } = s
  for (const find of [
    () => {},
    () => s.get('key'),
    () => store.sweep(100_000),
    () => s.set('key', 'value'),
  ]) {
    s.set('key', 'value', store.now + 100)
    t.false(
      s.leaves('key', () => {
        store.now += 100
        find()
      }),
    )
  }
})

test('one whose time was over when it was watched was not there', (t) => {
  const s = new Watching()
  s.set('key', 'value', 1_100)
  s.store.now = 1_100
  t.true(s.leaves('key', () => s.store.sweep(100_000)))
})

test('a key is touched when it is flushed, evicted or invalidated, and when a load fills it', (t) => {
  for (const db of [0, -1]) {
    const s = new Watching({ maxMemory: 2 * MB })
    s.set('key', 'value')
    t.false(s.leaves('key', () => s.store.flush(db)))
  }
  const s = new Watching({ maxMemory: 2 * MB })
  s.set('key', 'value')
  const fillUp = (): void => {
    for (let i = 0; i < 20_000; i++) s.set(`other:${i}`, 'v'.repeat(200))
  }
  t.false(s.leaves('key', fillUp))
  t.false(s.has('key'))
  t.true(s.leaves('key', fillUp))
  t.false(s.leaves('key', () => s.load('key', 'value', { tags: [s.tag('tag')] })))
  t.false(s.leaves('key', () => s.invalidateTag('tag')))
  s.set('key', 'value')
  const prefix = { kind: 'prefix', db: 0, bytes: Buffer.from('ke') } as const
  t.false(s.leaves('key', () => s.store.beginInvalidation(prefix)))
})

test('a loaded value is touched when only a failing load would show it', (t) => {
  const s = new Watching()
  s.load('key', 'value', { expireAt: 5_000, freshUntil: 2_000, visibleUntil: 3_000 })
  t.true(s.leaves('key', () => (s.store.now = 2_500)))
  t.false(s.leaves('key', () => (s.store.now = 3_500)))
})

test('several interests in one key do not disturb each other', (t) => {
  const s = new Watching()
  const one = s.watch('key')
  s.set('key', 'value')
  const two = s.watch('key')
  t.false(s.store.isUntouched(one))
  t.true(s.store.isUntouched(two))
  s.store.unwatch(one)
  t.true(s.store.isUntouched(two))
  s.delete('key')
  t.false(s.store.isUntouched(two))
  s.store.unwatch(two)
  t.throws(() => s.store.unwatch(two), { message: /that nobody has/ })
})

test('where cells are short a key is touched by others, and never left alone wrongly', (t) => {
  const s = new Watching({ hash: () => 7 })
  const watches = Array.from({ length: 12 }, (_, i) => s.watch(`key:${i}`))
  const untouched = (): number[] =>
    watches.flatMap((watch, i) => (s.store.isUntouched(watch) ? [i] : []))
  s.set('key:1', 'value')
  t.deepEqual(untouched(), [0, 2, 3, 4, 5, 6, 7])
  s.set('key:9', 'value')
  t.deepEqual(untouched(), [0, 2, 3, 4, 5, 6, 7])
  for (const watch of watches) s.store.unwatch(watch)
  t.true(s.leaves('key:9', () => s.set('key:1', 'value')))
})

test('of tracked keys it is told, after the lock was given back', (t) => {
  const s = new Watching({ threads: 2, watches: undefined as never })
  t.throws(() => s.track('key'), { message: /do not share/ })
  const one = new Watching({ maxMemory: 2 * MB })
  const { store, told } = one
  const heard = (): string[] => told.splice(0)
  const track = one.track('key')
  one.watch('watched')
  one.set('watched', '1')
  one.get('key')
  t.deepEqual(heard(), [])
  one.set('key', '1')
  t.deepEqual(heard(), ['0 key'])
  one.set('key', '1', 0, 1)
  t.deepEqual(heard(), [])
  one.delete('key')
  t.deepEqual(heard(), ['0 key'])
  one.set('key', '1', 2_000)
  store.now = 3_000
  t.deepEqual(heard(), ['0 key'])
  one.get('key')
  t.deepEqual(heard(), ['0 key'])
  one.set('key', '1')
  heard()
  store.flush(-1)
  t.deepEqual(heard(), [])
  one.set('key', '1')
  heard()
  for (let i = 0; i < 20_000; i++) one.set(`other:${i}`, 'v'.repeat(200))
  t.deepEqual(heard(), ['0 key'])
  store.unwatch(track)
  one.set('key', '2')
  t.deepEqual(heard(), [])
  checkInvariants(store)
})

test('who hears of a tracked key may use the store', (t) => {
  const values: (string | null)[] = []
  const s: Texts = new Texts({ onTouched: () => void values.push(s.get('key')) })
  const name = Buffer.from('key')
  s.store.watch(TRACKED, 0, name, 0, name.length)
  s.set('key', '1')
  s.set('key', '2')
  s.delete('key')
  t.deepEqual(values, ['1', '2', null])
})

test('a key that is longer than 64 KB is told of whole', (t) => {
  const s = new Watching()
  const key = 'k'.repeat(100_000)
  s.set(key, 'value', 1_100)
  s.track(key)
  s.store.now = 1_100
  s.store.sweep(100_000)
  t.deepEqual(s.told, [`0 ${key}`])
})

test('track is watch for many: a number says it all', (t) => {
  const s = new Watching()
  const { store, told } = s
  const heard = (): string[] => told.splice(0)
  const track = (key: string, db = 0): number =>
    store.track(db, Buffer.from(key), 0, Buffer.byteLength(key))
  s.set('there', '1')
  const there = track('there')
  t.true(store.wasThere)
  const numbers = Array.from({ length: 3_000 }, (_, i) => track(`key:${i}`))
  t.false(store.wasThere)
  const other = track('there', 1)
  s.set('there', '2')
  t.deepEqual(heard(), ['0 there'])
  s.set('there', '2', 0, 1)
  t.deepEqual(heard(), ['1 there'])
  store.untrack(there)
  s.set('there', '2')
  t.deepEqual(heard(), [])
  s.set('key:2999', '1')
  t.deepEqual(heard(), ['0 key:2999'])
  for (const at of [...numbers, other]) store.untrack(at)
  s.set('key:2999', '1')
  t.deepEqual(heard(), [])
  t.throws(() => store.untrack(there), { message: /that nobody has/ })
})

test('who wants to hear of all keys does, but of a flush', (t) => {
  const s = new Watching()
  const { store, told } = s
  const heard = (): string[] => told.splice(0)
  s.set('before', '1')
  store.trackAll(true)
  s.set('key', '1', 1_100)
  s.set('key', '2', 1_100, 3)
  s.get('key')
  t.deepEqual(heard(), ['0 key', '3 key'])
  store.now = 1_100
  store.sweep(100_000)
  t.deepEqual(heard().sort(), ['0 key', '3 key'])
  s.delete('before')
  s.delete('none')
  t.deepEqual(heard(), ['0 before'])
  for (const db of [0, -1]) {
    s.set('key', '1')
    heard()
    t.false(s.leaves('key', () => store.flush(db)))
    t.deepEqual(heard(), [])
  }
  store.trackAll(false)
  s.set('key', '1')
  t.deepEqual(heard(), [])
})

several('counters that threads raise by watching lose nothing (not on Node 20)', async (t) => {
  const sharing = new Sharing({ threads: 4 })
  const raised = await Promise.all([1, 2, 3].map((i) => sharing.run('raise by watching', i, 2_000)))
  const s = sharing.store
  const sum = (raised as number[]).reduce((a, b) => a + b, 0)
  t.is(sum, 6_000)
  let counted = 0
  const args = Args.of(['counter:0', 'counter:1', 'counter:2'])
  const [to] = s.io.replies
  for (let i = 0; i < 3; i++) {
    const length = s.get(0, args.bytes, args.pos(i), args.length(i), { reserve: () => to! })
    counted += Number(Buffer.from(s.io.bytes.subarray(to, to! + length)).toString())
  }
  t.is(counted, 6_000)
  checkInvariants(s)
})

test('the second hash tells keys apart, and depends on its seed', (t) => {
  const seen = new Set<number>()
  for (let i = 0; i < 20_000; i++) {
    const key = Buffer.from(`key:${i}`)
    seen.add(fnv1a(key, 0, key.length, 1))
    seen.add(fnv1a(key, 0, key.length, 2))
  }
  t.true(seen.size > 39_990)
})
