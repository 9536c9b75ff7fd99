import test from 'ava'
import type { RawClient } from '../../raw.ts'
import { startInProcess } from '../in-process.ts'

async function start(
  policy: string,
): Promise<{ client: RawClient; advance(ms: number): Promise<void> }> {
  const { clock, connect } = await startInProcess(['--maxmemory-policy', policy])
  return { client: connect(), advance: (ms) => clock.advance(ms) }
}

test('OBJECT FREQ counts accesses up to 3 under s3-fifo, and starts anew with the key', async (t) => {
  const { client } = await start('s3-fifo')
  const freq = (): Promise<string> => client.command('OBJECT', 'FREQ', 'k')
  await client.command('SET', 'k', 'v')
  for (const count of [0, 1, 2, 3, 3]) {
    t.is(await freq(), `:${count}\r\n`)
    await client.command('GET', 'k')
  }
  await client.command('DEL', 'k')
  await client.command('SET', 'k', 'v')
  t.is(await freq(), ':0\r\n')
})

test('under s3a a burst is no popularity', async (t) => {
  const { client } = await start('s3a')
  await client.command('SET', 'k', 'v')
  for (let i = 0; i < 5; i++) await client.command('GET', 'k')
  t.is(await client.command('OBJECT', 'FREQ', 'k'), ':0\r\n')
  // One chunk is SMALL's share here: the entries behind it are half of it.
  const others = []
  for (let i = 0; i < 20_000; i++) others.push(client.command('SET', `other:${i}`, 'v'.repeat(20)))
  await Promise.all(others)
  await client.command('GET', 'k')
  t.is(await client.command('OBJECT', 'FREQ', 'k'), ':1\r\n')
})

for (const policy of ['lru', 'second-chance']) {
  test(`OBJECT IDLETIME tells the seconds since the last access under ${policy}`, async (t) => {
    const { client, advance } = await start(policy)
    const idle = (): Promise<string> => client.command('OBJECT', 'IDLETIME', 'k')
    await client.command('SET', 'k', 'v')
    t.is(await idle(), ':0\r\n')
    await advance(7_000)
    t.is(await idle(), ':7\r\n')
    await client.command('TTL', 'k')
    t.is(await idle(), ':7\r\n')
    await client.command('TOUCH', 'k')
    t.is(await idle(), ':0\r\n')
    await client.command('SET', 'k', 'v'.repeat(100_000))
    t.regex(await idle(), /^-ERR Idle time is not tracked for this key/)
  })
}

test('fifo keeps neither', async (t) => {
  const { client } = await start('fifo')
  await client.command('SET', 'k', 'v')
  t.regex(await client.command('OBJECT', 'FREQ', 'k'), /^-ERR An LFU maxmemory policy is not sel/)
  t.regex(await client.command('OBJECT', 'IDLETIME', 'k'), /^-ERR Idle time is not tracked for/)
})

test('a client that said NO-TOUCH keeps no key alive, but by TOUCH', async (t) => {
  const { client } = await start('s3-fifo')
  const freq = (): Promise<string> => client.command('OBJECT', 'FREQ', 'k')
  await client.command('SET', 'k', '12')
  t.is(await client.command('CLIENT', 'NO-TOUCH', 'ON'), '+OK\r\n')
  t.is(await client.command('GET', 'k'), '$2\r\n12\r\n')
  t.is(await client.command('MGET', 'k', 'none'), '*2\r\n$2\r\n12\r\n$-1\r\n')
  for (const command of ['STRLEN k', 'EXPIRE k 100', 'INCR k', 'APPEND k 1', 'GETEX k']) {
    await client.command(...command.split(' '))
  }
  t.is(await freq(), ':0\r\n')
  await client.command('TOUCH', 'k')
  t.is(await freq(), ':1\r\n')
  await client.command('CLIENT', 'NO-TOUCH', 'OFF')
  await client.command('GET', 'k')
  t.is(await freq(), ':2\r\n')
})
