import test from 'ava'
import {
  ABSENT,
  checkInvariants,
  ERROR_ONLY,
  FRESH,
  NEGATIVE,
  STALE,
  STORED,
  TOO_MANY_TAGS,
} from '../../../server/store/store.ts'
import { Texts } from './texts.ts'

const MB = 1024 * 1024

/** Fresh for 10 s, stale for 20 more, error-only for 30 more. */
const RULES = { freshUntil: 11_000, visibleUntil: 31_000, expireAt: 61_000 }

function at(now: number): Texts {
  const s = new Texts()
  s.store.now = now
  return s
}

function statesOver(s: Texts, key: string, times: readonly number[]): number[] {
  return times.map((now) => {
    s.store.now = now
    return s.state(key)
  })
}

test('a loaded value is fresh, stale, error-only and gone, in the very millisecond', (t) => {
  for (const value of ['value', 'v'.repeat(5_000), 'v'.repeat(300_000)]) {
    const s = at(1_000)
    t.true(s.load('key', value, RULES))
    const times = [1_000, 10_999, 11_000, 30_999, 31_000, 60_999, 61_000]
    const states = [FRESH, FRESH, STALE, STALE, ERROR_ONLY, ERROR_ONLY, ABSENT]
    t.deepEqual(statesOver(s, 'key', times), states)
    t.is(s.store.size(0), 0)
    t.is(s.store.stats.expiredLazily, 1)
    checkInvariants(s.store)
  }
})

test('fresh and stale values are found by every verb, error-only ones by openAny alone', (t) => {
  const s = at(1_000)
  s.load('key', 'value', RULES)
  for (const now of [1_000, 11_000, 30_999]) {
    s.store.now = now
    t.is(s.get('key'), 'value')
    t.true(s.has('key'))
    t.deepEqual(s.keys(), ['key'])
    t.true(s.open('key'))
    s.store.close()
  }
  s.store.now = 31_000
  t.is(s.get('key'), null)
  t.false(s.has('key'))
  t.deepEqual(s.keys(), [])
  t.is(s.store.randomKey(0, 5, s.sink), -1)
  t.false(s.open('key'))
  t.is(s.store.extras, null)
  s.store.close()
  t.true(s.store.openAny(0, Buffer.from('key'), 0, 3))
  t.is(s.store.valueLength, 5)
  s.store.close()
  t.is(s.store.stats.expiredLazily, 0, 'it is still there')
})

test('the expiry that clients are told is the end of freshness, then that of visibility', (t) => {
  const s = at(1_000)
  s.load('key', 'value', RULES)
  const told = (): number => {
    s.open('key')
    const { expireAt } = s.store
    s.store.close()
    return expireAt
  }
  t.is(told(), 11_000)
  s.store.now = 10_999
  t.is(told(), 11_000)
  s.store.now = 11_000
  t.is(told(), 31_000)
})

test('state tells of a value what openAny tells, and counts as no access', (t) => {
  const s = at(5_000)
  const tags = [s.tag('a'), s.tag('b')]
  const etag = Buffer.from('"e"')
  const load = { ...RULES, costMs: 70, group: 3, loadedAt: 4_000, tags, etag, idleMs: 90_000 }
  s.load('key', 'value', load)
  t.is(s.state('key'), FRESH)
  const { freshUntil, visibleUntil, costMs, loadedAtMs, hasExtras, tagsMax } = s.store
  t.deepEqual([freshUntil, visibleUntil, costMs, loadedAtMs], [11_000, 31_000, 70, 4_000])
  t.true(hasExtras)
  t.true(tagsMax > 20)
  t.true(s.store.openAny(0, Buffer.from('key'), 0, 3))
  const extras = s.store.extras!
  t.is(Buffer.from(extras.etag!).toString(), '"e"')
  const { expireAt: _expireAt, ...given } = load
  t.deepEqual({ ...extras, etag }, given)
  s.store.close()
  s.set('plain', 'value', 9_000)
  t.is(s.state('plain'), FRESH)
  t.deepEqual([s.store.freshUntil, s.store.visibleUntil], [9_000, 9_000])
  t.deepEqual([s.store.costMs, s.store.loadedAtMs, s.store.hasExtras], [0, 0, false])
  t.is(s.state('none'), ABSENT)
  s.load('for ever', 'value')
  t.is(s.state('for ever'), FRESH)
  t.deepEqual([s.store.freshUntil, s.store.visibleUntil], [0, 0])
  t.true(s.store.hasExtras)
})

test('a negative entry is seen by nobody but state, and goes when its time is over', (t) => {
  for (const key of ['key', 'k'.repeat(3_000), 'k'.repeat(70_000)]) {
    const s = at(1_000)
    t.true(s.load(key, null, { expireAt: 5_000 }))
    t.is(s.state(key), NEGATIVE)
    t.is(s.get(key), null)
    t.false(s.has(key))
    t.deepEqual(s.keys(), [])
    t.is(s.store.size(0), 0)
    t.is(s.store.expiring(0), 0)
    t.is(s.store.stats.entries, 0)
    t.is(s.store.stats.negatives, 1)
    t.is(s.store.randomKey(0, 5, s.sink), -1)
    t.false(s.store.openAny(0, Buffer.from(key), 0, key.length))
    s.store.close()
    checkInvariants(s.store)
    t.true(s.store.expires)
    s.store.now = 5_000
    t.is(s.store.sweep(1e6), 1)
    t.is(s.state(key), ABSENT)
    t.is(s.store.stats.negatives, 0)
    t.is(s.store.stats.expiredActively, 0, 'nobody knew of it')
    checkInvariants(s.store)
  }
})

test('SET replaces what clients do not see, DEL removes it and counts 0', (t) => {
  const hidden: Readonly<Record<string, (s: Texts) => void>> = {
    negative: (s) => void s.load('key', null, { expireAt: 99_000 }),
    'error-only': (s) => {
      s.load('key', 'before', RULES)
      s.store.now = 31_000
    },
  }
  for (const [name, make] of Object.entries(hidden)) {
    const s = at(1_000)
    make(s)
    t.false(s.delete('key'), name)
    t.is(s.state('key'), ABSENT, name)
    t.is(s.store.size(0), 0)
    make(s)
    t.is(s.set('key', 'value'), STORED)
    t.is(s.get('key'), 'value', name)
    t.is(s.store.size(0), 1)
    t.is(s.store.stats.negatives, 0)
    t.is(s.store.expiring(0), 0)
    checkInvariants(s.store)
  }
})

test('a fill replaces a stale value, a negative entry replaces a value, and back', (t) => {
  const s = at(1_000)
  s.load('key', 'first', RULES)
  s.store.now = 20_000
  t.is(s.state('key'), STALE)
  t.true(s.load('key', 'second', { ...RULES, freshUntil: 30_000 }))
  t.is(s.state('key'), FRESH)
  t.is(s.get('key'), 'second')
  t.true(s.load('key', null, { expireAt: 60_000 }))
  t.is(s.state('key'), NEGATIVE)
  t.is(s.get('key'), null)
  t.true(s.load('key', 'third', { expireAt: 70_000 }))
  t.is(s.get('key'), 'third')
  t.is(s.store.size(0), 1)
  checkInvariants(s.store)
})

test('a lease stands beside a stale value, until that is written or filled', (t) => {
  const s = at(1_000)
  s.load('key', 'stale', RULES)
  s.store.now = 15_000
  const beside = (): number => {
    s.open('key')
    const token = s.store.leaseBeside()
    s.store.close()
    return token
  }
  const token = beside()
  t.true(s.store.leasePlanted)
  t.is(beside(), token)
  t.false(s.store.leasePlanted)
  t.is(s.get('key'), 'stale')
  t.is(s.store.size(0), 1)
  t.true(s.store.hasLease(0, Buffer.from('key'), token))
  t.is(s.set('key', 'written'), STORED)
  t.false(s.fillWith('key', token, 'late', RULES), 'a write in between fences it off')
  t.is(s.get('key'), 'written')
  const next = beside()
  t.not(next, token)
  t.true(s.fillWith('key', next, 'new', { expireAt: 50_000 }))
  t.is(s.get('key'), 'new')
  const last = beside()
  t.is(beside(), last)
  t.true(s.delete('key'))
  t.false(s.store.hasLease(0, Buffer.from('key'), last))
  checkInvariants(s.store)
})

test('a change to a part of a value, or to its expiry, fences off the load beside it', (t) => {
  const changes: Readonly<Record<string, (s: Texts) => number>> = {
    setRange: (s) => s.store.setRange(1, Buffer.from('x'), 0, 1),
    append: (s) => s.store.append(Buffer.from('x'), 0, 1),
    setExpiry: (s) => s.store.setExpiry(70_000),
  }
  for (const [name, change] of Object.entries(changes)) {
    for (const make of [
      (s: Texts) => void s.set('key', 'value', 90_000),
      (s: Texts) => void s.load('key', 'value', RULES),
    ]) {
      const s = at(1_000)
      make(s)
      s.open('key')
      const token = s.store.leaseBeside()
      t.is(change(s), STORED)
      s.store.close()
      const value = s.get('key')
      t.false(s.fillWith('key', token, 'loaded', RULES), name)
      t.is(s.get('key'), value)
      checkInvariants(s.store)
    }
  }
})

test('every write makes it a plain value', (t) => {
  const bytes = Buffer.from('xy')
  const writes: Readonly<Record<string, (s: Texts) => number>> = {
    put: (s) => s.store.put(bytes, 0, 2, 0),
    append: (s) => s.store.append(bytes, 0, 2),
    'setRange inside': (s) => s.store.setRange(1, bytes, 0, 2),
    'setRange behind': (s) => s.store.setRange(400_000, bytes, 0, 2),
    setExpiry: (s) => s.store.setExpiry(40_000),
    'setExpiry to none': (s) => s.store.setExpiry(0),
  }
  for (const length of [5, 5_000, 300_000]) {
    for (const [name, write] of Object.entries(writes)) {
      for (const expireAt of [0, 61_000]) {
        const s = at(1_000)
        const value = 'v'.repeat(length)
        s.load('key', value, { ...RULES, expireAt, etag: Buffer.from('e'), idleMs: 5_000 })
        t.not(s.state('key'), ABSENT)
        t.true(s.open('key'))
        t.is(write(s), STORED, name)
        t.is(s.store.extras, null, name)
        s.store.close()
        t.is(s.state('key'), FRESH)
        t.false(s.store.hasExtras, name)
        if (name.startsWith('setExpiry'))
          t.is(s.store.freshUntil, name === 'setExpiry' ? 40_000 : 0)
        checkInvariants(s.store)
      }
    }
  }
})

test('a value that was not asked for in too long a time is gone, and each read gives it more', (t) => {
  const reads: Readonly<Record<string, (s: Texts) => void>> = {
    get: (s) => void s.get('key'),
    open: (s) => {
      s.open('key')
      s.store.close()
    },
    openAny: (s) => {
      s.store.openAny(0, Buffer.from('key'), 0, 3)
      s.store.close()
    },
  }
  for (const [name, read] of Object.entries(reads)) {
    const s = at(10_000)
    s.load('key', 'value', { expireAt: 1e9, freshUntil: 1e9, idleMs: 5_000 })
    s.store.now = 15_999
    t.is(s.state('key'), FRESH, 'to look at it counts as no access')
    read(s)
    s.store.now = 20_999
    t.is(s.state('key'), FRESH, name)
    s.store.now = 21_000
    t.is(s.state('key'), ABSENT, name)
    t.is(s.store.size(0), 0)
    t.is(s.store.stats.expiredLazily, 1)
  }
})

test('an invalidated tag kills what has it and what is being loaded, nothing else', (t) => {
  const s = at(1_000)
  const tags = (...names: string[]): number[] => names.map((name) => s.tag(name))
  s.load('a', 'value', { ...RULES, tags: tags('one', 'two') })
  s.load('b', 'value', { ...RULES, tags: tags('two') })
  s.load('c', null, { ...RULES, tags: tags('one') })
  s.load('d', 'value', { ...RULES, tags: tags('three') })
  s.set('e', 'value')
  const birth = s.store.birth()
  const token = s.lease('f')
  s.invalidateTag('one')
  t.deepEqual(
    ['a', 'b', 'c', 'd', 'e'].map((key) => s.state(key)),
    [ABSENT, FRESH, ABSENT, FRESH, FRESH],
  )
  t.is(s.store.stats.invalidated, 1)
  t.is(s.store.stats.negatives, 0)
  t.false(s.fillWith('f', token, 'late', { ...RULES, birth, tags: tags('one') }))
  t.false(s.store.hasLease(0, Buffer.from('f'), token))
  t.true(s.load('f', 'late', { ...RULES, birth, tags: tags('two') }), 'another tag')
  t.true(s.load('a', 'again', { ...RULES, tags: tags('one') }), 'it was born later')
  t.is(s.get('a'), 'again')
  checkInvariants(s.store)
})

test('what is dead is seen by nobody, counts as deleted, and is swept', (t) => {
  const told: string[] = []
  const s = new Texts({
    onRemoved: (reason, _db, key) => void told.push(`${reason} ${Buffer.from(key).toString()}`),
  })
  s.store.now = 1_000
  for (const key of ['a', 'b', 'c']) s.load(key, 'value', { ...RULES, tags: [7] })
  s.store.invalidateTag(7)
  t.is(s.get('a'), null)
  t.deepEqual(s.keys(), [])
  t.false(s.delete('b'))
  t.is(s.store.sweep(1e6), 1)
  t.deepEqual(told, ['deleted a', 'deleted b', 'deleted c'])
  t.is(s.store.stats.invalidated, 3)
  t.is(s.store.size(0), 0)
})

test('extras that have no room refuse the entry, and its lease is gone', (t) => {
  const s = at(1_000)
  const tags = Array.from({ length: 1_000 }, (_, i) => i)
  const token = s.lease('key')
  t.false(s.fillWith('key', token, 'value', { ...RULES, tags }))
  t.false(s.store.hasLease(0, Buffer.from('key'), token))
  t.is(s.state('key'), ABSENT)
  const bytes = Buffer.from('keyvalue')
  const extras = s.extras({ expireAt: 0 }, { tags })
  t.is(s.store.setTagged(0, bytes, 0, 3, 3, 5, 0, extras), TOO_MANY_TAGS)
  t.is(s.get('key'), null)
})

test('a value is set with tags', (t) => {
  const s = at(1_000)
  for (const length of [5, 5_000, 300_000]) {
    const bytes = Buffer.concat([Buffer.from('key'), Buffer.alloc(length, 'v')])
    const extras = s.extras({ expireAt: 9_000 }, { tags: [s.tag('t')] })
    t.is(s.store.setTagged(0, bytes, 0, 3, 3, length, 9_000, extras), STORED)
    t.true(s.open('key'))
    t.is(s.store.valueLength, length)
    t.is(s.store.expireAt, 9_000)
    t.deepEqual(s.store.extras!.tags, [s.tag('t')])
    s.store.close()
    s.invalidateTag('t')
    t.false(s.has('key'))
    checkInvariants(s.store)
  }
})

test('pages are put with tags', (t) => {
  const s = at(1_000)
  const pages = s.store.pages()
  pages.write(Buffer.alloc(200_000, 'v'), 0, 200_000)
  s.open('key')
  t.is(s.store.putPages(pages, 0, s.extras({}, { tags: [5] })), STORED)
  t.deepEqual(s.store.extras!.tags, [5])
  s.store.close()
  const refused = s.store.pages()
  refused.write(Buffer.alloc(200_000, 'v'), 0, 200_000)
  const tags = Array.from({ length: 1_000 }, (_, i) => i)
  s.open('key')
  t.is(s.store.putPages(refused, 0, s.extras({}, { tags })), TOO_MANY_TAGS)
  s.store.close()
  t.is(s.state('key'), FRESH)
  checkInvariants(s.store)
  s.store.invalidateTag(5)
  t.is(s.state('key'), ABSENT)
})

test('the bytes of extras are counted', (t) => {
  const occupied = (s: Texts): number => {
    s.open('key')
    const { occupiedBytes } = s.store
    s.store.close()
    return occupiedBytes
  }
  const s = at(1_000)
  s.load('key', 'value')
  t.is(occupied(s), 20 + 3 + 24 + 5 + 8)
  s.load('key', 'value', { ...RULES, tags: [1, 2], etag: Buffer.from('123'), idleMs: 1_000 })
  t.is(occupied(s), 20 + 8 + 3 + 24 + 8 + 8 + 4 + 5 + 8)
})

test('keys, extras and values of all lengths fit, whatever the chunks and the policy', (t) => {
  for (const policy of ['s3a', 'lru', 'second-chance'] as const) {
    for (const maxMemory of [2 * MB, 40 * MB]) {
      const s = new Texts({ maxMemory, policy })
      s.store.now = 1_000
      for (let length = 0; length < 280; length++) {
        const tags = Array.from({ length: 24 }, (_, i) => i)
        const value = 'v'.repeat(length)
        const key = 'k'.repeat(130 - (length % 131))
        t.true(s.load(key, value, { ...RULES, tags }))
        if (s.get(key) !== value) t.fail(`a value of ${length} bytes`)
        t.true(s.load(key, length % 2 === 0 ? null : 'x', { ...RULES, tags }))
      }
      checkInvariants(s.store)
    }
  }
})
