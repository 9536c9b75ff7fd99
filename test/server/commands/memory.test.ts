import test from 'ava'
import { noFacts } from '../../../server/facts.ts'
import { usageOf } from '../../../server/memory/usage.ts'
import { startInProcess } from '../in-process.ts'

test('MEMORY USAGE is exact: header, expiry, key and value in words, pages, and the slot', async (t) => {
  const { server, connect } = await startInProcess(['--maxmemory', '64mb'])
  const client = connect()
  const usage = async (key: string): Promise<number> =>
    Number((await client.command('MEMORY', 'USAGE', key)).slice(1))
  const { chunkBytes } = server.store.stats
  t.is(chunkBytes, 4096)
  const slot = 8
  for (const [length, bytes] of [
    [0, 8],
    [3, 8],
    [4, 12],
    [5, 12],
    [100, 108],
  ] as const) {
    await client.command('SET', 'k', 'v'.repeat(length))
    t.is(await usage('k'), bytes + slot, `${length} bytes`)
    await client.command('DEL', 'k')
  }
  await client.command('SET', 'k', 'v', 'EX', '100')
  t.is(await usage('k'), 4 + 8 + 4 + slot)
  await client.command('SET', 'k', 'v')
  t.is(await usage('k'), 4 + 8 + 4 + slot - 8, 'rewritten in its place, the rest is dead')
  // A wide header, the field of pages, the key; the value: one page and the rest as a tail.
  await client.command('SET', 'long', 'v'.repeat(chunkBytes + 5))
  t.is(await usage('long'), 20 + 8 + 4 + 8 + chunkBytes + slot)
  const big = 'v'.repeat(1_000_000)
  await client.command('SET', 'big', big)
  t.true((await usage('big')) >= big.length)
  t.true((await usage('big')) < big.length + 2 * chunkBytes)
  t.is(await client.command('MEMORY', 'USAGE', 'none'), '$-1\r\n')
})

test('the bytes of all keys are what MEMORY USAGE says of each', async (t) => {
  const { server, connect } = await startInProcess(['--maxmemory', '8mb'])
  const client = connect()
  let told = 0
  for (let i = 0; i < 2_000; i++) {
    const length = (i * i) % 700
    await client.command('SET', `key:${i}`, 'v'.repeat(length))
    told += Number((await client.command('MEMORY', 'USAGE', `key:${i}`)).slice(1))
  }
  const { entries, smallChunks, mainChunks, pagedChunks, pages, chunkBytes, ...stats } =
    server.store.stats
  t.is(entries, 2_000)
  const taken = (smallChunks + mainChunks + pagedChunks + pages) * chunkBytes
  const inRings = told - 8 * entries
  // What is taken and not told of: ends of chunks, and what is free in the head of each ring.
  const rings = 3 * 512
  t.true(inRings + stats.paddingBytes + stats.deadBytes <= taken)
  t.true(taken - (inRings + stats.paddingBytes + stats.deadBytes) < rings * chunkBytes)
})

test('MEMORY STATS: the parts make the whole, and each database with keys is told', async (t) => {
  const { server, connect } = await startInProcess()
  const client = connect()
  await client.command('HELLO', '3')
  for (let i = 0; i < 100; i++) await client.command('SET', `key:${i}`, 'v', 'EX', '100')
  await client.command('SELECT', '3')
  await client.command('SET', 'k', 'v')
  const reply = await client.command('MEMORY', 'STATS')
  const of = (name: string): number =>
    Number(new RegExp(`\\r\\n${name}\\r\\n[:,]([^\\r]+)\\r\\n`).exec(reply)?.[1])
  t.is(of('keys.count'), 101)
  t.is(of('dataset.bytes') + of('overhead.total'), of('total.allocated'))
  t.is(of('total.allocated'), server.store.usedBytes)
  t.true(of('peak.allocated') >= of('total.allocated'))
  t.true(of('startup.allocated') > 0 && of('startup.allocated') < of('total.allocated'))
  t.regex(reply, /\r\ndb\.0\r\n%3\r\n.*main\r\n:800\r\n.*expires\r\n:800\r\n/s)
  t.regex(reply, /\r\ndb\.3\r\n%3\r\n.*main\r\n:8\r\n.*expires\r\n:0\r\n/s)
  t.false(reply.includes('db.1'))
  const { used, overhead, dataset } = usageOf(server, noFacts)
  t.is(overhead + dataset, used)
})

test('MEMORY DOCTOR says that there is nothing, or what there is', async (t) => {
  const { server, connect } = await startInProcess()
  const client = connect()
  t.regex(await client.command('MEMORY', 'DOCTOR'), /There is nothing to be said/)
  const value = 'v'.repeat(1_000)
  const sets = []
  for (let i = 0; i < 14_000; i++) sets.push(client.command('SET', `key:${i}`, value))
  await Promise.all(sets)
  server.store.setMaxMemory(8 * 1024 * 1024)
  t.regex(await client.command('MEMORY', 'DOCTOR'), /maxmemory was lowered, and \S+M are still/)
})
