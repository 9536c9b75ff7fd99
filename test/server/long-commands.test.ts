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

test('a command over 200,000 keys lets others in between, and is answered whole', async (t) => {
  const ringtier = await startRingtier({ args: ['--maxmemory', '256mb'] })
  t.teardown(() => ringtier.stop())
  const { port } = ringtier
  const [, set] = await race(port, ['MSET', ...names.flatMap((name, i) => [name, String(i)])])
  t.is(set, '+OK\r\n')
  const [gets, values] = await race(port, ['MGET', ...names])
  const expected = names.map((_, i) => `$${String(i).length}\r\n${i}\r\n`).join('')
  t.true(values === `*${KEYS}\r\n${expected}`)
  t.true(gets.filter((who) => who === 'ping').length > 5, gets.join())
  const [, listed] = await race(port, ['KEYS', '*'])
  t.is(listed.match(/\r\nkey:/g)!.length, KEYS)
  for (const command of ['EXISTS', 'TOUCH', 'DEL']) {
    const [order, count] = await race(port, [command, ...names])
    t.is(count, `:${KEYS}\r\n`)
    t.true(order.includes('ping'), command)
  }
  const client = await RawClient.open(port)
  t.is(await client.command('DBSIZE'), ':0\r\n')
  client.close()
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
