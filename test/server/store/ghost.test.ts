import test from 'ava'
import { Ghosts } from '../../../server/store/ghost.ts'
import type { Pool } from '../../../server/store/pool.ts'
import { dice } from './model.ts'
import { parts } from './parts.ts'

interface Fixture {
  readonly ghosts: Ghosts
  readonly bucket: number
  readonly pool: Pool
}

/** The ghosts of a bucket of so many entries. Pieces have 512 bytes: 256 ghosts. */
function fixture(entries: number): Fixture {
  const { arena, pool, layout } = parts(16 * 1024 * 1024)
  const ghosts = new Ghosts(arena, pool, layout)
  const bucket = layout.firstBucket
  ghosts.fit(bucket, entries, () => false)
  return { ghosts, bucket, pool }
}

test('a ghost is remembered once, with the age of its key, and then forgotten', (t) => {
  const { ghosts, bucket } = fixture(8)
  ghosts.remember(bucket, 0x12345678, 10)
  t.is(ghosts.take(bucket, 0x77777777, 40), -1)
  t.is(ghosts.take(bucket, 0x12345678, 40), 30)
  t.is(ghosts.take(bucket, 0x12345678, 40), -1)
})

test('a bucket that was given no ghosts yet remembers nobody', (t) => {
  const { ghosts, bucket } = fixture(8)
  ghosts.remember(bucket, 0x12345678, 10)
  ghosts.reset(bucket)
  t.is(ghosts.take(bucket, 0x12345678, 11), -1)
})

test('ages are told in eighths of the entries, and go round in eight times as many', (t) => {
  const { ghosts, bucket } = fixture(800)
  // The greatest power of two that is no more than 800 / 8.
  const unit = 64
  for (const age of [0, 1, unit - 1, unit, 800, 1_600, 63 * unit]) {
    for (const stamp of [0, 5 * unit, 2 ** 31 - 100]) {
      ghosts.remember(bucket, 99, stamp)
      const told = ghosts.take(bucket, 99, (stamp + age) | 0)
      t.true(Math.abs(told - age) < unit, `${age} as ${told}`)
      t.is(told % unit, 0)
    }
  }
  ghosts.remember(bucket, 99, 0)
  t.is(ghosts.take(bucket, 99, 64 * unit), 0)
})

test('a fifth ghost pushes the oldest out of a full set', (t) => {
  const { ghosts, bucket } = fixture(8)
  // The set is chosen by high bits of a mixed hash, so those of one set are found by trial.
  const inSet: number[] = []
  const roll = dice(1)
  const first = 0x1234567
  ghosts.remember(bucket, first, 1)
  while (inSet.length < 4) {
    const hash = roll(2 ** 32) | 0
    // Four in the same set push the first one out.
    for (let i = 0; i < 4; i++) ghosts.remember(bucket, hash, 2)
    if (ghosts.take(bucket, first, 2) < 0) inSet.push(hash)
    ghosts.reset(bucket)
    ghosts.fit(bucket, 8, () => false)
    ghosts.remember(bucket, first, 1)
  }
  inSet.slice(0, 3).forEach((hash, i) => ghosts.remember(bucket, hash, 10 + i))
  ghosts.remember(bucket, inSet[3]!, 13)
  t.is(ghosts.take(bucket, first, 20), -1)
  t.deepEqual(
    inSet.map((hash) => ghosts.take(bucket, hash, 20)),
    [10, 9, 8, 7],
  )
})

for (const entries of [48, 1_000, 5_000]) {
  test(`the last of twice ${entries} keys are remembered, and hardly any that was never here`, (t) => {
    const { ghosts, bucket } = fixture(entries)
    const roll = dice(entries)
    const hashes = Array.from({ length: 8 * entries }, () => roll(2 ** 32) | 0)
    hashes.forEach((hash, i) => ghosts.remember(bucket, hash, i))
    let strangers = 0
    for (let i = 0; i < 2_000; i++) {
      if (ghosts.take(bucket, roll(2 ** 32) | 0, hashes.length) >= 0) strangers++
    }
    t.true(strangers < 20, `${strangers} of 2,000`)
    const known = (from: number, to: number): number => {
      const some = hashes.slice(from, to)
      return some.filter((hash) => ghosts.take(bucket, hash, hashes.length) >= 0).length
    }
    const newest = known(-entries, hashes.length)
    // The 64 in the header are less than twice 48.
    const share = entries === 48 ? 0.6 : 0.8
    t.true(newest > share * entries, `${newest} of the newest`)
    const old = known(0, 4 * entries)
    t.true(old < 0.1 * entries, `${old} of the oldest`)
  })
}

test('a bucket of up to 48 entries takes no piece, a larger one two bytes for each of its ghosts', (t) => {
  const { ghosts, bucket, pool } = fixture(8)
  t.is(ghosts.pieces(bucket), 0)
  for (const [entries, pieces] of [
    [48, 0],
    [49, 1],
    [128, 1],
    [129, 2],
    [1_280, 10],
  ] as const) {
    t.is(ghosts.wanted(entries), pieces)
    ghosts.fit(bucket, entries, () => false)
    t.is(ghosts.pieces(bucket), pieces)
  }
  t.true(pool.used > 0)
  ghosts.reset(bucket)
  t.is(pool.used, 0)
})

test('ghosts are begun anew when the bucket has half again as many entries, or under half', (t) => {
  const { ghosts, bucket } = fixture(900)
  for (const [entries, isStale] of [
    [900, false],
    [1_350, false],
    [1_351, true],
    [400, false],
    [399, true],
  ] as const) {
    t.is(ghosts.isStale(bucket, entries), isStale, `${entries}`)
  }
})

test('where the pool has no piece and nobody spares one, there are ghosts for fewer entries', (t) => {
  const { ghosts, bucket, pool } = fixture(8)
  while (pool.take() !== 0);
  let asked = 0
  ghosts.fit(bucket, 1_000, () => asked++ < 0)
  t.is(asked, 1)
  t.is(ghosts.pieces(bucket), 0)
  t.true(ghosts.isStale(bucket, 1_000))
})
