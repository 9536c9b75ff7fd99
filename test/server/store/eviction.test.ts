/*
 * What each policy does, seen from outside: a store of one bucket, its entries all of 128 bytes, 16 to
 * a chunk. Who went is told by the store in the order in which they went.
 */
import test from 'ava'
import type { Policy, StoreOptions } from '../../../server/store/store.ts'
import { checkInvariants, STORED } from '../../../server/store/store.ts'
import { dice } from './model.ts'
import { Texts } from './texts.ts'

const KB = 1024
const ENTRY_BYTES = 128

class Bucket extends Texts {
  readonly evicted: string[]
  readonly #trailer: number

  constructor(policy: Policy, options: Partial<StoreOptions> = {}) {
    const evicted: string[] = []
    super({
      maxMemory: 64 * KB,
      buckets: 1,
      policy,
      onRemoved: (reason, _db, key) => {
        if (reason === 'evicted') evicted.push(Buffer.from(key).toString())
      },
      ...options,
    })
    this.evicted = evicted
    this.#trailer = policy === 'lru' ? 12 : policy === 'second-chance' ? 8 : 0
  }

  /** Sets a key so that its entry takes 128 bytes in the ring. */
  add(key: string): void {
    const length = ENTRY_BYTES - 4 - this.#trailer - key.length
    if (this.set(key, 'v'.repeat(length)) !== STORED) throw new Error(`${key} was refused`)
  }

  /** Adds keys of this name and a number until one goes. @returns how many were added */
  fillUp(name: string): number {
    let count = 0
    while (this.evicted.length === 0) this.add(`${name}:${count++}`)
    return count
  }

  /** As many keys again and more, half of them asked for: SMALL and MAIN have their shares then. */
  warmUp(count: number): void {
    for (let i = 0; i < 4 * count; i++) {
      this.add(`warm:${i}`)
      if (i % 2 === 0) this.get(`warm:${i}`)
    }
  }

  /** Keys that went out of SMALL last, which are remembered. */
  remembered(count: number): string[] {
    return this.evicted.filter((key) => /warm:\d*[13579]$/.test(key)).slice(-count)
  }

  /** Accesses that count. */
  frequency(key: string): number {
    const name = Buffer.from(key)
    this.store.peek(0, name, 0, name.length)
    const { frequency } = this.store
    this.store.close()
    return frequency
  }
}

test('fifo: who was written first goes first, asked for or not', (t) => {
  const s = new Bucket('fifo')
  const count = s.fillUp('key')
  for (let i = count; i < 10 * count; i++) {
    s.get(`key:${i - 10}`)
    s.add(`key:${i}`)
  }
  t.true(s.evicted.length > 8 * count)
  t.deepEqual(
    s.evicted,
    s.evicted.map((_, i) => `key:${i}`),
  )
  checkInvariants(s.store)
})

test('lru: who was asked for longest ago goes, exactly', (t) => {
  const s = new Bucket('lru')
  const roll = dice(3)
  const byAge = new Set<string>()
  const renew = (key: string): void => {
    byAge.delete(key)
    byAge.add(key)
  }
  let gone = 0
  for (let i = 0; i < 8_000; i++) {
    const key = `key:${roll(700)}`
    const isThere = byAge.has(key)
    t.is(s.get(key) !== null, isThere)
    if (!isThere) s.add(key)
    renew(key)
    for (; gone < s.evicted.length; gone++) {
      const oldest = byAge.values().next().value
      if (s.evicted[gone] !== oldest) t.fail(`${s.evicted[gone]} went, not ${oldest}`)
      byAge.delete(s.evicted[gone]!)
    }
  }
  t.true(gone > 1_000)
  t.is(s.store.size(0), byAge.size)
  checkInvariants(s.store)
})

test('second-chance: who was asked for more recently than the average stays for another round', (t) => {
  const s = new Bucket('second-chance')
  const count = s.fillUp('key')
  const gone = s.evicted.length
  t.is(s.evicted[0], 'key:0')
  // The oldest three of those that are there, and not the next.
  for (let i = gone; i < gone + 3; i++) t.truthy(s.get(`key:${i}`))
  for (let i = 0; s.evicted.length === gone; i++) s.add(`more:${i}`)
  t.is(s.evicted[gone], `key:${gone + 3}`)
  for (let i = gone; i < gone + 3; i++) t.true(s.has(`key:${i}`))
  // Not asked for again, they go in their turn, which is before anything that came after.
  for (let i = 0; i < 2 * count; i++) s.add(`later:${i}`)
  for (let i = gone; i < gone + 3; i++) t.false(s.has(`key:${i}`))
  checkInvariants(s.store)
})

test('second-chance: after six that were given another round one goes whatever it was asked', (t) => {
  const s = new Bucket('second-chance')
  s.fillUp('key')
  const gone = s.evicted.length
  for (let i = gone; i < gone + 20; i++) t.truthy(s.get(`key:${i}`))
  for (let i = 0; s.evicted.length === gone; i++) s.add(`more:${i}`)
  t.is(s.evicted[gone], `key:${gone + 6}`)
  t.is(s.store.stats.reinsertedBytes, 6 * ENTRY_BYTES)
  checkInvariants(s.store)
})

for (const policy of ['s3a', 's3-fifo'] as const) {
  test(`${policy}: a key that comes back while it is remembered stays, a new one does not`, (t) => {
    const s = new Bucket(policy)
    const count = s.fillUp('key')
    s.warmUp(count)
    const back = s.remembered(10)
    back.forEach((key) => t.false(s.has(key)))
    const { ghostHits } = s.store.stats
    for (const [i, key] of back.entries()) {
      s.add(key)
      s.add(`new:${i}`)
    }
    t.is(s.store.stats.ghostHits, ghostHits + 10)
    // A third of what the store holds passes through SMALL, of which it is a tenth.
    for (let i = 0; i < count / 3; i++) s.add(`later:${i}`)
    t.deepEqual(
      back.map((key) => s.has(key)),
      back.map(() => true),
    )
    t.deepEqual(
      back.map((_, i) => s.has(`new:${i}`)),
      back.map(() => false),
    )
    checkInvariants(s.store)
  })

  test(`${policy}: a key that is asked for in SMALL goes on to MAIN`, (t) => {
    const s = new Bucket(policy)
    const count = s.fillUp('key')
    s.warmUp(count)
    // Those in SMALL that were asked for are gone from it then.
    for (let i = 0; i < count / 3; i++) s.add(`stream:${i}`)
    const { promoted } = s.store.stats
    s.add('asked')
    s.add('forgotten')
    // Within SMALL, but more than half of it.
    const within = Math.round(0.75 * s.store.stats.smallChunks * 16)
    for (let i = 0; i < within; i++) s.add(`between:${i}`)
    t.truthy(s.get('asked'))
    t.is(s.frequency('asked'), 1)
    for (let i = 0; i < count / 3; i++) s.add(`later:${i}`)
    t.true(s.has('asked'))
    t.false(s.has('forgotten'))
    t.is(s.store.stats.promoted, promoted + 1)
    t.is(s.frequency('asked'), 0, 'and begins anew there')
    checkInvariants(s.store)
  })

  test(`${policy}: a key in MAIN has as many rounds as it was asked for, three at most`, (t) => {
    for (const asked of [0, 1, 2, 3, 5]) {
      const s = new Bucket(policy)
      s.warmUp(s.fillUp('key'))
      const key = s.remembered(1)[0]!
      // One that comes back, and goes to MAIN, for one that is new.
      const drive = (i: number): void => {
        const back = s.evicted.at(-1 - (i % 10))!
        if (back !== key && !s.has(back)) s.add(back)
        s.add(`stream:${i}`)
      }
      s.add(key)
      for (let i = 0; i < 80; i++) drive(i)
      for (let i = 0; i < asked; i++) t.truthy(s.get(key))
      const seen: number[] = []
      for (let i = 80; i < 20_000 && s.has(key); i++) {
        const frequency = s.frequency(key)
        if (seen.at(-1) !== frequency) seen.push(frequency)
        drive(i)
      }
      t.false(s.has(key))
      const most = Math.min(asked, 3)
      t.deepEqual(
        seen,
        Array.from({ length: most + 1 }, (_, i) => most - i),
      )
      checkInvariants(s.store)
    }
  })
}

test('s3a: accesses do not count in the younger half of SMALL and the youngest tenth of MAIN', (t) => {
  const s = new Bucket('s3a')
  let count = 0
  // Until all is MAIN, and SMALL has taken its share of it.
  while (s.store.stats.mainChunks === 0) s.add(`key:${count++}`)
  const inMain = count - 1
  const smallMax = Math.round((s.store.stats.mainChunks + 1) / 10)
  while (count - inMain < smallMax * 16) s.add(`key:${count++}`)
  const { smallChunks, mainChunks } = s.store.stats
  t.is(smallChunks, smallMax)
  const counts: boolean[] = []
  for (let i = s.evicted.length; i < count; i++) {
    t.truthy(s.get(`key:${i}`))
    counts[i] = s.frequency(`key:${i}`) === 1
  }
  const firstInSmall = inMain
  const countedInSmall = counts.slice(firstInSmall).filter(Boolean).length
  t.is(countedInSmall, (smallChunks * 16) / 2, 'the older half of SMALL')
  t.true(counts[firstInSmall])
  t.false(counts[count - 1])
  const notInMain = counts.slice(0, firstInSmall).filter((one) => !one).length
  t.is(notInMain, Math.floor((mainChunks * 16) / 10), 'the youngest tenth of MAIN')
  t.false(counts[firstInSmall - 1])
})

test('s3-fifo: every access counts, up to three', (t) => {
  const s = new Bucket('s3-fifo')
  s.add('key')
  for (const frequency of [1, 2, 3, 3]) {
    t.truthy(s.get('key'))
    t.is(s.frequency('key'), frequency)
  }
})

test('a loop over twice as many keys as fit freezes MAIN under s3a, and finds nothing elsewhere', (t) => {
  const hits = (policy: Policy): Set<string>[] => {
    const s = new Bucket(policy)
    const keys = 2 * s.fillUp('warm')
    s.store.flush(-1)
    return Array.from({ length: 12 }, () => {
      const found = new Set<string>()
      for (let i = 0; i < keys; i++) {
        const key = `key:${i}`
        if (s.get(key) === null) s.add(key)
        else found.add(key)
      }
      return found
    })
  }
  for (const policy of ['fifo', 'lru', 'second-chance'] as const) {
    t.is(hits(policy).at(-1)!.size, 0, policy)
  }
  const rounds = hits('s3a')
  const [before, last] = [rounds.at(-2)!, rounds.at(-1)!]
  t.true(last.size > 100, `${last.size}`)
  const stayed = [...last].filter((key) => before.has(key))
  t.true(stayed.length > 0.9 * last.size, `${stayed.length} of ${last.size}`)
})

test('one placement gives 64 entries another round at most to decide, and 64 to find room', (t) => {
  const s = new Bucket('s3a', { maxMemory: 256 * KB })
  const count = s.fillUp('key')
  s.warmUp(count)
  const back = s.remembered(20)
  for (const key of s.keys()) for (let i = 0; i < 3; i++) s.get(key)
  const gone = s.evicted.length
  const rounds = back.map((key) => {
    const { reinsertedBytes } = s.store.stats
    s.add(key)
    return (s.store.stats.reinsertedBytes - reinsertedBytes) / ENTRY_BYTES
  })
  t.is(Math.max(...rounds), 2 * 64)
  t.true(s.evicted.length > gone)
  checkInvariants(s.store)
})
