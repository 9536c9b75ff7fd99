import { connect } from 'node:net'
import test from 'ava'
import { startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'

const KEYS = 200_000
const names = Array.from({ length: KEYS }, (_, i) => `key:${i}`)

/** Which replies came, in their order, when a PING is sent by another client behind a long command. */
async function race(port: number, words: readonly string[]): Promise<[string[], string]> {
  const long = await RawClient.open(port)
  const other = await RawClient.open(port)
  const order: string[] = []
  // The other client's PINGs go on until the long command has its reply.
  let isOver = false
  const reply = long.send(words).then((bytes) => {
    order.push('long')
    isOver = true
    return bytes
  })
  while (!isOver) {
    await other.command('PING')
    if (!isOver) order.push('ping')
  }
  const bytes = await reply
  long.close()
  other.close()
  return [order, bytes]
}

/** The same until so many PINGs came in between: on a busy machine this process may sleep meanwhile. */
async function raceUntil(
  pings: number,
  port: number,
  words: readonly string[],
  before: () => Promise<unknown> = () => Promise.resolve(),
): Promise<[pings: number, reply: string]> {
  for (let round = 1; ; round++) {
    await before()
    const [order, reply] = await race(port, words)
    const count = order.filter((who) => who === 'ping').length
    if (count >= pings || round === 10) return [count, reply]
  }
}

test('a command over 200,000 keys lets others in between, and is answered whole', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb'] })
  t.teardown(() => ringtier.stop())
  const { port } = ringtier
  const setAll = ['MSET', ...names.flatMap((name, i) => [name, String(i)])]
  const [, set] = await race(port, setAll)
  t.is(set, '+OK\r\n')
  const [gets, values] = await raceUntil(6, port, ['MGET', ...names])
  const expected = names.map((_, i) => `$${String(i).length}\r\n${i}\r\n`).join('')
  t.true(values === `*${KEYS}\r\n${expected}`)
  t.true(gets > 5)
  const [, listed] = await race(port, ['KEYS', '*'])
  t.is(listed.match(/\r\nkey:/g)!.length, KEYS)
  for (const command of ['EXISTS', 'TOUCH', 'DEL']) {
    const [pings, count] = await raceUntil(1, port, [command, ...names], () => race(port, setAll))
    t.is(count, `:${KEYS}\r\n`)
    t.true(pings > 0, command)
  }
  const client = await RawClient.open(port)
  t.is(await client.command('DBSIZE'), ':0\r\n')
  client.close()
})

test('MSET of 200,000 keys, some with values in pages, lets others in between', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb'] })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  const other = await RawClient.open(ringtier.port)
  const big = Buffer.alloc(3_000_000, 'abc')
  const words: (string | Buffer)[] = ['MSET', 'first', big]
  for (const name of names) words.push(name, 'v')
  words.push('last', big, 'first', 'short')
  const all = `:${KEYS + 2}\r\n`
  const between = new Set<string>()
  // On a busy machine this process may sleep while the server works: then it sees nothing in between.
  for (let round = 0; round < 10 && between.size === 0; round++) {
    t.is(await other.command('FLUSHALL'), '+OK\r\n')
    let isOver = false
    const set = client.send(words).finally(() => (isOver = true))
    while (!isOver) between.add(await other.command('DBSIZE'))
    t.is(await set, '+OK\r\n')
    between.delete(':0\r\n')
    between.delete(all)
  }
  t.true(between.size > 0)
  t.is(await other.command('DBSIZE'), all)
  t.true((await other.get('last'))!.equals(big))
  t.is(String(await other.get('first')), 'short')
  client.close()
  other.close()
})

test('MSET that runs out of memory half-way gives back the pages that it has not set', async (t) => {
  const ringtier = await startRingtier({
    args: ['--maxmemory', '64mb', '--maxmemory-policy', 'noeviction'],
  })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  const value = 'v'.repeat(300)
  const pages = Buffer.alloc(10_000_000)
  const words = ['MSET', ...names.flatMap((name) => [name, value]), 'last', pages]
  t.regex(await client.send(words), /^-OOM/)
  t.is(await client.command('EXISTS', 'last'), ':0\r\n')
  t.not(await client.command('EXISTS', 'key:100'), ':0\r\n')
  t.is(await client.command('FLUSHALL'), '+OK\r\n')
  const text = await client.command('INFO', 'memory')
  t.true(Number(/\r\nused_memory:(\d+)/.exec(text)![1]) < pages.length, text)
  client.close()
})

// How often it does is for test/server/clients/listener.test.ts, where nothing depends on who runs when.
test('a pipeline of 100,000 commands is answered whole, and others are served meanwhile', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb'] })
  t.teardown(() => ringtier.stop())
  const other = await RawClient.open(ringtier.port)
  const value = 'v'.repeat(50)
  const requests = Buffer.from(
    Array.from({ length: 100_000 }, (_, i) => `SET ${names[i]} ${value}\r\n`).join(''),
  )
  const long = connect(ringtier.port, '127.0.0.1', () => long.write(requests))
  let received = 0
  long.on('data', (bytes) => (received += bytes.length))
  const sizes: string[] = []
  while (received < 100_000 * '+OK\r\n'.length) sizes.push(await other.command('DBSIZE'))
  t.true(
    sizes.some((size) => size !== ':0\r\n' && size !== ':100000\r\n'),
    sizes.join(),
  )
  t.is(received, 100_000 * '+OK\r\n'.length)
  t.is(await other.command('DBSIZE'), ':100000\r\n')
  long.destroy()
  other.close()
})

test('what follows a long command on its connection sees all that it did', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb'] })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  const all = names.flatMap((name) => [name, 'v'])
  const replies = await Promise.all([
    client.send(['MSET', ...all]),
    client.command('GET', names.at(-1)!),
    client.send(['DEL', ...names]),
    client.command('EXISTS', names.at(-1)!),
  ])
  t.deepEqual(replies, ['+OK\r\n', '$1\r\nv\r\n', `:${KEYS}\r\n`, ':0\r\n'])
  client.close()
})

test('a long command whose client is gone goes on to its end', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb'] })
  t.teardown(() => ringtier.stop())
  const watcher = await RawClient.open(ringtier.port)
  const client = await RawClient.open(ringtier.port)
  await client.send(['MSET', ...names.flatMap((name) => [name, 'v'])])
  // It may have been quick enough to be answered.
  const gone = client.send(['DEL', ...names]).catch(() => {})
  // The request must have come whole, or nothing of it is executed.
  while ((await watcher.command('DBSIZE')) === `:${KEYS}\r\n`);
  client.close()
  await gone
  while ((await watcher.command('DBSIZE')) !== ':0\r\n');
  t.pass()
  watcher.close()
})

test('SETRANGE far behind the end of a short value pads it in steps, and keeps bytes and expiry', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '512mb'] })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  const offset = 100_000_000
  await client.command('SET', 'k', 'begin', 'EX', '1000')
  const replies = await Promise.all([
    client.command('SETRANGE', 'k', String(offset), 'end'),
    client.command('GETRANGE', 'k', '0', '7'),
    client.command('GETRANGE', 'k', String(offset - 2), '-1'),
    client.command('TTL', 'k').then((ttl) => /^:(1000|99\d)\r\n$/.test(ttl)),
    client.command('SETRANGE', 'none', String(offset), 'x'),
    client.command('STRLEN', 'none'),
  ])
  t.deepEqual(replies, [
    `:${offset + 3}\r\n`,
    '$8\r\nbegin\0\0\0\r\n',
    '$5\r\n\0\0end\r\n',
    true,
    `:${offset + 1}\r\n`,
    `:${offset + 1}\r\n`,
  ])
  t.regex(await client.command('SETRANGE', 'k2', '400000000', 'x'), /^-OOM/)
  client.close()
})

test('SETRANGE yields to what was written while it padded', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '512mb'] })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  const other = await RawClient.open(ringtier.port)
  const padded = client.command('SETRANGE', 'k', '200000000', 'end')
  await other.command('SET', 'k', 'late')
  t.is(await padded, ':200000003\r\n')
  // Whichever came first: the bytes of the other are there, or have been replaced as a whole.
  const begin = await client.command('GETRANGE', 'k', '0', '3')
  t.true(begin === '$4\r\nlate\r\n' || begin === '$4\r\n\0\0\0\0\r\n')
  client.close()
  other.close()
})

test('FLUSHDB in steps removes what was there, and what follows finds nothing', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb'] })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  await client.send(['MSET', ...names.flatMap((name) => [name, 'v'])])
  await client.command('SELECT', '1')
  await client.command('SET', 'stays', 'v')
  await client.command('SELECT', '0')
  const replies = await Promise.all([client.command('FLUSHDB'), client.command('DBSIZE')])
  t.deepEqual(replies, ['+OK\r\n', ':0\r\n'])
  await client.command('SELECT', '1')
  t.is(await client.command('DBSIZE'), ':1\r\n')
  t.is(await client.command('FLUSHALL'), '+OK\r\n')
  t.is(await client.command('DBSIZE'), ':0\r\n')
  client.close()
})

test('a value that grows by a hundred megabytes lets others in between', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '512mb'] })
  t.teardown(() => ringtier.stop())
  const { port } = ringtier
  const client = await RawClient.open(port)
  const begin = (): Promise<string> => client.command('SET', 'k', 'begin')
  const [pings, length] = await raceUntil(1, port, ['SETRANGE', 'k', '99999999', 'x'], begin)
  t.is(length, ':100000000\r\n')
  t.true(pings > 0)
  t.is(await client.command('GETRANGE', 'k', '0', '5'), '$6\r\nbegin\0\r\n')
  t.is(await client.command('GETRANGE', 'k', '99999998', '-1'), '$2\r\n\0x\r\n')
  const [flushes] = await race(port, ['FLUSHALL'])
  t.is(flushes.at(-1), 'long')
  t.is(await client.command('EXISTS', 'k'), ':0\r\n')
  client.close()
})

test('what comes in pages is appended in steps, and they are given back when the client is gone', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '512mb'] })
  t.teardown(() => ringtier.stop())
  const { port } = ringtier
  const client = await RawClient.open(port)
  await client.command('SET', 'k', 'begin')
  const data = Buffer.alloc(20_000_000, 'abc')
  const replies = await Promise.all([
    client.command('APPEND', 'k', data),
    client.command('GETRANGE', 'k', '3', '9'),
    client.command('SETRANGE', 'k', '20000010', data),
    client.command('STRLEN', 'k'),
  ])
  t.deepEqual(replies, [':20000005\r\n', '$7\r\ninabcab\r\n', ':40000010\r\n', ':40000010\r\n'])
  const watcher = await RawClient.open(port)
  client.command('APPEND', 'k', data).catch(() => {})
  while ((await watcher.command('STRLEN', 'k')) === ':40000010\r\n');
  client.close()
  await watcher.command('DEL', 'k')
  const used = async (): Promise<string> => {
    const text = await watcher.command('INFO', 'memory')
    return /\r\nused_memory:(\d+)/.exec(text)![1]!
  }
  await watcher.command('FLUSHALL')
  const empty = await used()
  // The value is gone, and with it all pages that the command held.
  t.true(Number(empty) < 20_000_000, empty)
  watcher.close()
})

test('bit commands over a hundred megabytes let others in between', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '512mb'] })
  t.teardown(() => ringtier.stop())
  const { port } = ringtier
  const client = await RawClient.open(port)
  const bits = 800_000_000
  const far = ['SETBIT', 'k', String(bits - 1), '1']
  const [grows, before] = await raceUntil(1, port, far, () => client.command('DEL', 'k'))
  t.is(before, ':0\r\n')
  t.true(grows > 0)
  await client.command('SETBIT', 'k', '7', '1')
  for (const [words, reply] of [
    [['BITCOUNT', 'k'], ':2\r\n'],
    [['BITPOS', 'k', '1', '1'], `:${bits - 1}\r\n`],
    [['BITOP', 'OR', 'd', 'k', 'nosuch'], `:${bits / 8}\r\n`],
    [['BITOP', 'NOT', 'd', 'k'], `:${bits / 8}\r\n`],
  ] as const) {
    const [pings, got] = await raceUntil(1, port, words)
    t.is(got, reply)
    t.true(pings > 0, words.join(' '))
  }
  t.is(await client.command('BITCOUNT', 'd'), `:${bits - 2}\r\n`)
  const fields = Array.from({ length: 20_000 }, () => ['INCRBY', 'u8', '#3', '1']).flat()
  const [, values] = await race(port, ['BITFIELD', 'k', ...fields])
  t.is(
    values,
    `*20000\r\n${fields
      .map((_, i) => `:${(i + 1) % 256}\r\n`)
      .slice(0, 20_000)
      .join('')}`,
  )
  t.is(await client.command('GETBIT', 'k', String(bits - 1)), ':1\r\n')
  // The result has no room beside both values.
  await client.command('SETBIT', 'd', String(1_600_000_000), '1')
  t.regex(await client.command('SETBIT', 'far', String(4_294_967_295), '1'), /^-OOM/)
  t.is(await client.command('EXISTS', 'far'), ':0\r\n')
  client.close()
})

test('SETBIT far behind the end yields to what was written there meanwhile', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '512mb'] })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  const other = await RawClient.open(ringtier.port)
  for (let round = 0; round < 4; round++) {
    await client.command('DEL', 'k')
    // Both bits of one byte: neither may be lost, whoever makes the value long.
    const replies = await Promise.all([
      client.command('SETBIT', 'k', '800000001', '1'),
      other.command('SETBIT', 'k', '800000002', '1'),
    ])
    t.deepEqual(replies, [':0\r\n', ':0\r\n'])
    t.is(await client.command('BITCOUNT', 'k'), ':2\r\n')
  }
  client.close()
  other.close()
})

test('BITOP takes long sources as they were, and its memory is given back', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb'] })
  t.teardown(() => ringtier.stop())
  const client = await RawClient.open(ringtier.port)
  const other = await RawClient.open(ringtier.port)
  const value = Buffer.alloc(20_000_000, 0x0f)
  await client.command('SET', 'k', value)
  const [done] = await Promise.all([
    client.command('BITOP', 'NOT', 'd', 'k'),
    other.command('SETRANGE', 'k', '5', 'other'),
    other.command('SETBIT', 'k', '150000000', '1'),
  ])
  t.is(done, ':20000000\r\n')
  const result = await client.get('d')
  // Whole, as it was before or after either write: NOT of what was there.
  const written = result!.subarray(5, 10).map((byte) => ~byte)
  t.true(['other', '\x0f'.repeat(5)].includes(Buffer.from(written).toString('latin1')))
  t.true(result!.subarray(10, 18_000_000).every((byte) => byte === 0xf0))
  await client.command('FLUSHALL')
  const text = await client.command('INFO', 'memory')
  t.true(Number(/\r\nused_memory:(\d+)/.exec(text)![1]) < 20_000_000, text)
  client.close()
  other.close()
})

test('LCS of long values lets others in, and many at a time are refused before memory is short', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb', '--threads', '1'] })
  t.teardown(() => ringtier.stop())
  // The limit is one thread's.
  const { port } = ringtier
  const client = await RawClient.open(port)
  await client.command('SET', 'a', 'ab'.repeat(5_000))
  await client.command('SET', 'b', 'abb'.repeat(3_000))
  const [pings, length] = await raceUntil(1, port, ['LCS', 'a', 'b', 'LEN'])
  t.true(pings > 0)
  const common = Number(length.slice(1))
  t.true(common >= 6_000 && common <= 9_000)
  const clients = await Promise.all(Array.from({ length: 16 }, () => RawClient.open(port)))
  const replies = await Promise.all(clients.map((each) => each.command('LCS', 'a', 'b')))
  const busy = '-ERR Insufficient memory, failed allocating transient memory for LCS\r\n'
  const whole = replies.filter((reply) => reply !== busy)
  t.true(whole.length > 0 && whole.every((reply) => reply.startsWith(`$${common}\r\n`)))
  t.true(whole.length < 16)
  t.true((await client.command('LCS', 'a', 'b')) === whole[0])
  for (const each of clients) each.close()
  client.close()
})
