/*
 * Hash flooding: somebody chooses keys that fall together. He would have to know the seed of the hash,
 * which each process draws; and keys of one bucket, or of one hash, do not make look-ups slow.
 */
import test from 'ava'
import { xxh32 } from '../../../server/store/hash.ts'
import { Index } from '../../../server/store/index.ts'
import { RawClient } from '../../raw.ts'
import { startRingtier } from '../../process.ts'
import { startInProcess } from '../in-process.ts'
import { parts } from '../store/parts.ts'
import { Texts } from '../store/texts.ts'

const MB = 2 ** 20
const KEYS = Array.from({ length: 60 }, (_, i) => `key:${i}`)

/** The keys in the order of their hashes: buckets first. */
async function orderOf(client: RawClient): Promise<string> {
  await client.command('MSET', ...KEYS.flatMap((key) => [key, 'v']))
  const reply = await client.command('SCAN', '0', 'COUNT', '1000')
  return JSON.stringify(reply)
}

test('two processes hash the same keys differently', async (t) => {
  const servers = await Promise.all([startRingtier(), startRingtier()])
  try {
    const orders = await Promise.all(
      servers.map(async ({ port }) => {
        const client = await RawClient.open(port)
        const order = await orderOf(client)
        client.close()
        return order
      }),
    )
    t.true(KEYS.every((key) => orders[0]!.includes(key)))
    t.not(orders[0], orders[1])
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
})

test('the seed is drawn from the random numbers of the world, whatever else is the same', async (t) => {
  const orders: string[] = []
  for (const seed of [1, 1, 2]) {
    const { connect } = await startInProcess([], { seed })
    orders.push(await orderOf(connect()))
  }
  t.is(orders[0], orders[1])
  t.not(orders[0], orders[2])
})

/** Keys that fall into bucket 0 of 512 under a seed. */
function keysOfBucket0(seed: number, count: number): string[] {
  const found: string[] = []
  for (let i = 0; found.length < count; i++) {
    const key = Buffer.from(`k${i}`)
    if ((xxh32(key, 0, key.length, seed) & 511) === 0) found.push(`k${i}`)
  }
  return found
}

test('keys of one bucket are spread over all by another seed', (t) => {
  const keys = keysOfBucket0(1, 1_500)
  const most = (seed: number): number => {
    const s = new Texts({ maxMemory: 16 * MB, seed })
    for (const key of keys) s.set(key, 'v')
    const counts = Array.from({ length: 512 }, (_, i) => s.store.bucketStats(i).entries)
    return Math.max(...counts)
  }
  t.is(most(1), 1_500)
  t.true(most(2) < 20, `${most(2)}`)
})

test('keys that all fall into one bucket are all found, and meet no others', (t) => {
  const keys = keysOfBucket0(1, 1_500)
  const s = new Texts({ maxMemory: 16 * MB, seed: 1 })
  for (const key of keys) s.set(key, key)
  for (const key of keys) t.is(s.get(key), key)
  t.true(s.store.stats.collisionsMet <= 2, 'only those whose hashes are the same to the bit')
  t.is(s.store.stats.evicted, 0)
})

test('in the index of one bucket every slot is near its home, however many there are', (t) => {
  const { arena, pool, layout } = parts(16 * MB)
  const index = new Index(arena, pool, layout)
  const bucket = layout.firstBucket
  index.open(bucket)
  const farthest: number[] = []
  for (let i = 1; i <= 3_400; i++) {
    const key = Buffer.from(`k${i}`)
    const hash = (xxh32(key, 0, key.length, 1) & ~511) | 7
    while (!index.hasRoom(bucket)) if (!index.grow(bucket)) return t.fail('it cannot grow')
    t.true(index.insert(bucket, index.seek(bucket, hash), hash, 4 * i, false))
    if (i % 100 !== 0) continue
    let far = 0
    for (let position = 0; position < index.slots(bucket); position++) {
      if (index.address(bucket, position) === 0) continue
      far = Math.max(far, position - index.home(bucket, index.hash(bucket, position)))
    }
    farthest.push(far)
  }
  t.true(Math.max(...farthest) < 40, farthest.join(' '))
})

test('of one hash 64 keys are kept, so that a look-up meets 64 others at most', (t) => {
  const s = new Texts({ maxMemory: 16 * MB, hash: () => 0x12345600 })
  for (let i = 0; i < 300; i++) {
    s.set(`key:${i}`, 'v')
    const before = s.store.stats.collisionsMet
    t.is(s.get('none'), null)
    t.is(s.store.stats.collisionsMet - before, Math.min(i + 1, 64))
  }
  t.is(s.store.size(0), 64)
  t.is(s.store.stats.collisionsLost, 300 - 64)
  for (let i = 300 - 64; i < 300; i++) t.true(s.has(`key:${i}`))
})
