import test from 'ava'
import type { Policy, Reason, StoreOptions } from '../../../server/store/store.ts'
import { checkInvariants, OUT_OF_MEMORY, STORED, Store } from '../../../server/store/store.ts'
import { dice } from './model.ts'

const MB = 1024 * 1024

/** What the listener was told, in words. */
type Told = [reason: Reason, db: number, key: string, value: string]

/** A store whose listener writes down what it is told. */
class Listened {
  readonly store: Store
  readonly told: Told[] = []
  /** Called after the writing down. */
  react: (told: Told) => void = () => {}

  constructor(options: Partial<StoreOptions> = {}) {
    this.store = new Store({
      maxMemory: 8 * MB,
      seed: 1,
      ...options,
      onRemoved: (reason, db, key, value) => {
        const told: Told = [reason, db, text(key), text(value)]
        this.told.push(told)
        this.react(told)
      },
    })
    this.store.now = 1_000
  }

  set(key: string, value: string, expireAt = 0, db = 0): number {
    const bytes = Buffer.from(key + value)
    return this.store.set(db, bytes, 0, key.length, key.length, value.length, expireAt)
  }

  get(key: string): string | null {
    if (!this.open(key)) {
      this.store.close()
      return null
    }
    let value = ''
    if (this.store.inPages) {
      const pages = this.store.pin()
      value = pages.toBuffer().toString()
      pages.release()
    } else {
      const at = this.store.io.replies[0]!
      this.store.read(0, this.store.valueLength, at)
      value = text(this.store.io.bytes.subarray(at, at + this.store.valueLength))
    }
    this.store.close()
    return value
  }

  open(key: string, db = 0): boolean {
    return this.store.open(db, Buffer.from(key), 0, key.length)
  }

  delete(key: string): boolean {
    return this.store.delete(0, Buffer.from(key), 0, key.length)
  }

  /** What was told since the last time. */
  heard(): Told[] {
    return this.told.splice(0)
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

const BIG = 'b'.repeat(300_000)

test('a value that is replaced or removed is told of, a new one and a read one are not', (t) => {
  const s = new Listened()
  s.set('key', 'one')
  s.get('key')
  t.deepEqual(s.heard(), [])
  s.set('key', 'two')
  t.deepEqual(s.heard(), [['overwritten', 0, 'key', 'one']])
  s.set('key', 'a longer one')
  t.deepEqual(s.heard(), [['overwritten', 0, 'key', 'two']])
  t.true(s.delete('key'))
  t.deepEqual(s.heard(), [['deleted', 0, 'key', 'a longer one']])
  t.false(s.delete('key'))
  t.deepEqual(s.heard(), [])
})

test('values and keys in pages are told of whole', (t) => {
  const s = new Listened()
  const key = 'k'.repeat(70_000)
  s.set(key, BIG)
  s.set(key, 'short')
  t.deepEqual(s.heard(), [['overwritten', 0, key, BIG]])
  s.set(key, BIG)
  t.deepEqual(s.heard(), [['overwritten', 0, key, 'short']])
  s.delete(key)
  t.deepEqual(s.heard(), [['deleted', 0, key, BIG]])
})

test('an expired value is told of once, when it is met or swept', (t) => {
  const s = new Listened()
  s.set('met', 'a', 1_500)
  s.set('swept', 'b', 1_500)
  s.set('big', BIG, 1_500)
  s.store.now = 1_499
  t.is(s.get('met'), 'a')
  s.store.sweep(1e6)
  t.deepEqual(s.heard(), [])
  s.store.now = 1_500
  t.is(s.get('met'), null)
  t.deepEqual(s.heard(), [['expired', 0, 'met', 'a']])
  t.false(s.delete('met'))
  s.store.sweep(1e6)
  t.deepEqual(
    s.heard().sort((a, b) => (a[2] < b[2] ? -1 : 1)),
    [
      ['expired', 0, 'big', BIG],
      ['expired', 0, 'swept', 'b'],
    ],
  )
})

test('a flush deletes each, of its database only', (t) => {
  const s = new Listened()
  s.set('a', '1')
  s.set('b', BIG)
  s.set('c', '3', 0, 2)
  s.store.flush(0)
  t.deepEqual(
    s.heard().sort((a, b) => (a[2] < b[2] ? -1 : 1)),
    [
      ['deleted', 0, 'a', '1'],
      ['deleted', 0, 'b', BIG],
    ],
  )
  s.store.flush(-1)
  t.deepEqual(s.heard(), [['deleted', 2, 'c', '3']])
  s.store.flush(-1)
  t.deepEqual(s.heard(), [])
})

test('a lease is nobody\u2019s value', (t) => {
  const s = new Listened()
  s.open('key')
  s.store.lease()
  s.store.close()
  s.delete('key')
  s.open('key')
  const token = s.store.lease()
  s.store.close()
  t.true(s.store.fill(0, Buffer.from('key'), token, Buffer.from('filled'), 0))
  t.deepEqual(s.heard(), [])
  s.delete('key')
  t.deepEqual(s.heard(), [['deleted', 0, 'key', 'filled']])
})

for (const value of ['value', 'v'.repeat(5_000), BIG]) {
  test(`another expiry ends no value, a change to a part does: ${value.length} bytes`, (t) => {
    const s = new Listened()
    s.set('key', value)
    for (const expireAt of [9_000, 8_000, 0, 7_000]) {
      s.open('key')
      t.is(s.store.setExpiry(expireAt), STORED)
      s.store.close()
    }
    t.deepEqual(s.heard(), [])
    const xs = Buffer.from('xxx')
    s.open('key')
    s.store.setRange(1, xs, 0, 3)
    s.store.close()
    const changed = `${value[0]}xxx${value.slice(4)}`
    t.is(s.get('key'), changed)
    t.deepEqual(s.heard(), [['overwritten', 0, 'key', value]])
    s.open('key')
    s.store.setRange(changed.length - 1, xs, 0, 3)
    s.store.close()
    t.is(s.get('key'), `${changed.slice(0, -1)}xxx`)
    t.deepEqual(s.heard(), [['overwritten', 0, 'key', changed]])
    s.open('key')
    const pages = s.store.pages()
    pages.write(Buffer.from(BIG), 0, BIG.length)
    s.store.appendPages(pages)
    s.store.close()
    t.deepEqual(s.heard(), [['overwritten', 0, 'key', `${changed.slice(0, -1)}xxx`]])
    t.is(s.get('key'), `${changed.slice(0, -1)}xxx${BIG}`)
    checkInvariants(s.store)
  })
}

test('a value that is refused ends nothing', (t) => {
  const s = new Listened()
  s.set('key', 'value')
  t.is(s.set('key', 'x'.repeat(5 * MB)), OUT_OF_MEMORY)
  t.deepEqual(s.heard(), [])
  t.is(s.get('key'), 'value')
})

test('what goes for a value that is being received is told of before the next piece', (t) => {
  const s = new Listened({ maxMemory: 2 * MB })
  for (let i = 0; i < 40_000; i++) s.set(`key:${i}`, 'v'.repeat(50))
  s.heard()
  const pages = s.store.pages()
  t.true(pages.write(Buffer.from(BIG), 0, BIG.length))
  t.true(s.heard().length > 1_000)
  pages.release()
  t.deepEqual(s.heard(), [])
})

test('nobody is told while a record is open, not even by pages that are written', (t) => {
  const s = new Listened({ maxMemory: 2 * MB })
  for (let i = 0; i < 40_000; i++) s.set(`key:${i}`, 'v'.repeat(50))
  s.heard()
  s.open('key')
  const pages = s.store.pages()
  t.true(pages.write(Buffer.from(BIG), 0, BIG.length))
  t.is(s.store.putPages(pages, 0), STORED)
  t.deepEqual(s.heard(), [])
  s.store.close()
  t.true(s.heard().length > 1_000)
})

test('lowering the memory evicts, and tells', (t) => {
  const s = new Listened({ maxMemory: 8 * MB })
  for (let i = 0; i < 60_000; i++) s.set(`key:${i}`, 'v'.repeat(80))
  s.heard()
  const before = s.store.stats
  s.store.setMaxMemory(4 * MB)
  while (s.store.shrink(64)) continue
  const told = s.heard()
  t.is(told.length, before.entries - s.store.stats.entries)
  t.true(told.length > 10_000)
  t.true(told.every(([reason]) => reason === 'evicted'))
})

test('the listener may use the store: what ends by it is told afterwards, in order', (t) => {
  const s = new Listened()
  const order: string[] = []
  s.set('a', '1')
  s.set('b', '2')
  s.react = ([reason, , key, value]) => {
    order.push(`${reason} ${key} begins`)
    if (key === 'a' && reason === 'overwritten') s.delete('b')
    if (key === 'b') {
      s.set('b', `again ${value}`)
      t.is(s.get('b'), 'again 2')
    }
    order.push(`${reason} ${key} is over`)
  }
  t.is(s.set('a', '3'), STORED)
  t.deepEqual(order, [
    'overwritten a begins',
    'overwritten a is over',
    'deleted b begins',
    'deleted b is over',
  ])
  t.is(s.get('a'), '3')
  t.is(s.get('b'), 'again 2')
})

test('what the listener throws comes out of the verb, which has done its work', (t) => {
  const s = new Listened()
  s.set('a', '1')
  s.set('b', BIG)
  s.react = ([, , key]) => {
    throw new Error(`not ${key}`)
  }
  t.throws(() => s.set('a', '2'), { message: 'not a' })
  t.is(s.get('a'), '2')
  t.throws(() => s.delete('b'), { message: 'not b' })
  t.is(s.get('b'), null)
  s.open('a')
  s.store.put(Buffer.from('3'), 0, 1, 0)
  t.throws(() => s.store.close(), { message: 'not a' })
  s.set('b', '4', 1_001)
  s.set('c', '5', 1_001)
  s.store.now = 1_001
  s.heard()
  t.throws(() => s.store.sweep(1e6), { message: /not [bc]/ })
  t.is(s.heard().length, 2, 'one error does not keep the others from being told')
  s.set('b', '6')
  t.throws(() => s.store.flush(-1), { message: /not [ab]/ })
  t.is(s.store.stats.entries, 0, 'all is flushed nevertheless')
  t.deepEqual(
    s
      .heard()
      .map(([, , key]) => key)
      .sort(),
    ['a', 'b'],
  )
  t.notThrows(() => s.set('a', '7'), 'an error is thrown once')
  checkInvariants(s.store)
})

/** Values of all lengths over few keys, in a store that cannot hold them. */
function mirrored(policy: Policy, seed: number): { mirror: Map<string, string>; s: Listened } {
  const s = new Listened({ maxMemory: 2 * MB, policy })
  const roll = dice(seed)
  const mirror = new Map<string, string>()
  /** What the verb under way is about to store. */
  let pending: [key: string, value: string] | null = null
  s.react = ([reason, , key, value]) => {
    if (mirror.get(key) === value) {
      mirror.delete(key)
      return
    }
    if (pending?.[0] === key && pending[1] === value) pending = null
    else throw new Error(`${reason}: ${key} did not hold ${value.length} bytes`)
  }
  const lengths = [20, 60, 400, 3_000, 20_000, 100_000]
  for (let step = 0; step < 20_000; step++) {
    s.store.now++
    const key = `key:${roll(4_000)}`
    const expireAt = roll(3) === 0 ? s.store.now + roll(5_000) : 0
    const length = roll(lengths[roll(lengths.length - (roll(20) === 0 ? 0 : 2))]!)
    const value = String.fromCharCode(97 + roll(26)).repeat(length)
    const choice = roll(20)
    if (choice < 12) {
      pending = [key, value]
      const done = s.set(key, value, expireAt)
      if (pending !== null && done === STORED) mirror.set(key, value)
    } else if (choice < 15) {
      s.get(key)
    } else if (choice < 16) {
      s.delete(key)
    } else if (choice < 17) {
      s.store.sweep(500)
    } else {
      const found = s.open(key)
      const before = found ? mirror.get(key)! : ''
      const offset = choice < 18 ? before.length : roll(before.length + 20)
      if (choice < 19) {
        const after = `${before.slice(0, offset).padEnd(offset, '\0')}${value}${before.slice(offset + length)}`
        pending = [key, after]
        const done = s.store.setRange(offset, Buffer.from(value), 0, length)
        s.store.close()
        if (pending !== null && done === STORED) mirror.set(key, after)
      } else {
        if (found) s.store.setExpiry(expireAt)
        s.store.close()
      }
    }
    pending = null
  }
  return { mirror, s }
}

for (const policy of ['s3a', 's3-fifo', 'fifo', 'lru', 'second-chance'] as const) {
  test(`who forgets what is told has what the store has: ${policy}`, (t) => {
    const { mirror, s } = mirrored(policy, 7)
    const held: [string, string][] = []
    for (const key of [...mirror.keys()]) {
      const value = mirror.get(key)
      // A look at the ones that expired makes them end.
      if (s.get(key) === value) held.push([key, value])
      else t.false(mirror.has(key), `${key} is lost, and nobody was told`)
    }
    t.is(held.length, s.store.stats.entries)
    t.is(mirror.size, held.length)
    const count = (reason: Reason): number => s.told.filter(([why]) => why === reason).length
    const stats = s.store.stats
    t.is(count('evicted'), stats.evicted)
    t.is(count('expired'), stats.expiredLazily + stats.expiredActively)
    for (const reason of ['evicted', 'expired', 'deleted', 'overwritten'] as const) {
      t.true(count(reason) > 100, reason)
    }
    t.true(stats.evictedBig > 0, 'big values went too')
    checkInvariants(s.store)
  })
}
