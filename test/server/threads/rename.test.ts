/* RENAME, COPY and SWAPDB where several threads serve: nobody sees the middle of one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RawClient } from '../../raw.ts'
import { SeededRandom } from '../../sim/random.ts'
import { startMany, threadsTest } from './many.ts'

const LENGTHS = [3, 5_000, 50_000, 70_000, 300_000, 3_000_000]

/** What stands between the first line of a bulk reply and its end. */
function bulks(reply: string): string[] {
  const found: string[] = []
  for (let at = reply.indexOf('\n') + 1; at < reply.length;) {
    const end = reply.indexOf('\n', at)
    const length = Number(reply.slice(at + 1, end))
    if (length >= 0) found.push(reply.slice(end + 1, end + 1 + length))
    at = end + 1 + (length < 0 ? 0 : length + 2)
  }
  return found
}

for (const length of LENGTHS) {
  threadsTest(`a value of ${length} bytes that is renamed has one name`, async (t) => {
    const args = ['--threads', '3', '--maxmemory', '128mb']
    const { clients } = await startMany(t, 6, args)
    const [mover, other, ...watchers] = clients as [RawClient, RawClient, ...RawClient[]]
    const random = new SeededRandom(length)
    await mover.command('SET', 'a', 'x'.repeat(length), 'EX', '1000')
    const rounds = length > 100_000 ? 30 : 150
    let stopped = false
    let seen = 0
    let moved = 0
    const move = async (client: RawClient): Promise<void> => {
      for (let i = 0; i < rounds; i++) {
        const [from, to] = random.below(2) === 0 ? ['a', 'b'] : ['b', 'a']
        const command = random.below(3) === 0 ? 'RENAMENX' : 'RENAME'
        const reply = await client.command(command, from, to)
        if (reply === '+OK\r\n' || reply === ':1\r\n') moved++
        else t.is(reply, '-ERR no such key\r\n')
      }
    }
    const watch = async (client: RawClient): Promise<void> => {
      while (!stopped) {
        const values = bulks(await client.command('MGET', 'a', 'b'))
        if (values.length !== 1) t.fail(`${values.length} values`)
        if (values[0]?.length !== length) t.fail(`${values[0]?.length} bytes`)
        const exists = await client.command('EXISTS', 'b', 'a')
        if (exists !== ':1\r\n') t.fail(exists)
        seen++
      }
    }
    const watching = watchers.map(watch)
    await Promise.all([move(mover), move(other)])
    stopped = true
    await Promise.all(watching)
    t.true(moved > rounds / 2)
    t.true(seen > 10)
    const ttls = await Promise.all(['a', 'b'].map((key) => mover.command('TTL', key)))
    t.is(ttls.filter((reply) => reply === ':-2\r\n').length, 1)
    t.is(ttls.filter((reply) => /^:(9\d\d|1000)\r\n$/.test(reply)).length, 1)
  })
}

threadsTest('a copy is what its source was at one moment', async (t) => {
  const { clients } = await startMany(t, 4, ['--threads', '3', '--maxmemory', '128mb'])
  const [copier, writer, appender, reader] = clients as [
    ...[RawClient, RawClient, RawClient, RawClient],
  ]
  const random = new SeededRandom(3)
  let stopped = false
  const write = async (): Promise<void> => {
    while (!stopped) {
      const byte = String.fromCharCode(97 + random.below(26))
      await writer.command('SET', 'source', byte.repeat(1 + random.below(3_000_000)))
      await appender.command('SETRANGE', 'source', '0', byte)
    }
  }
  const read = async (): Promise<number> => {
    let copies = 0
    for (let i = 0; i < 40; i++) {
      const reply = await copier.command('COPY', 'source', 'copy', 'REPLACE')
      if (reply !== ':0\r\n') t.is(reply, ':1\r\n')
      const value = (await reader.get('copy'))?.toString() ?? ''
      if (value.length > 1) copies++
      // The first byte is another one's if a SETRANGE came after another SET.
      const second = value.slice(1, 2)
      if (value.slice(1) !== second.repeat(Math.max(0, value.length - 1))) t.fail('it is torn')
    }
    stopped = true
    return copies
  }
  const [copies] = await Promise.all([read(), write()])
  t.true(copies > 10)
})

threadsTest('SWAPDB is one moment for all threads, and for who comes later', async (t) => {
  const { clients, connect } = await startMany(t, 6, ['--threads', '3'])
  const [swapper, other, ...watchers] = clients as [RawClient, RawClient, ...RawClient[]]
  for (const [i, client] of watchers.entries()) await client.command('SELECT', String(i % 2))
  await watchers[0]!.command('SET', 'which', '0')
  await watchers[1]!.command('SET', 'which', '1')
  let swaps = 0
  let stopped = false
  // A client that has its answer knows what all others see from then on.
  for (let i = 0; i < 50; i++) {
    t.is(await (i % 3 === 0 ? other : swapper).command('SWAPDB', '0', '1'), '+OK\r\n')
    swaps++
    for (const [number, client] of watchers.entries()) {
      t.is((await client.get('which'))!.toString(), String((number + swaps) % 2))
    }
  }
  t.is((await (await connect()).get('which'))!.toString(), String(swaps % 2))
  for (const [number, client] of watchers.entries()) {
    t.regex(await client.command('CLIENT', 'INFO'), new RegExp(` db=${number % 2} `))
  }
  // Two counters, each in its database: whoever counts while they change places counts in one.
  let counted = 0
  const count = async (client: RawClient): Promise<void> => {
    while (!stopped) {
      t.regex(await client.command('INCR', 'count'), /^:/)
      counted++
    }
  }
  const swap = async (client: RawClient): Promise<void> => {
    for (let i = 0; i < 40; i++) t.is(await client.command('SWAPDB', '1', '0'), '+OK\r\n')
  }
  const counting = watchers.map(count)
  await Promise.all([swap(swapper), swap(other)])
  stopped = true
  await Promise.all(counting)
  let sum = 0
  for (const db of ['0', '1']) {
    await swapper.command('SELECT', db)
    sum += Number(((await swapper.get('count')) ?? '0').toString())
  }
  t.is(sum, counted)
})

threadsTest(
  'exchanged databases are so after a restart, and one snapshot has one table',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtier-swap-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const first = await startMany(t, 2, ['--dir', folder])
    const [one, two] = first.clients as [RawClient, RawClient]
    await two.command('SELECT', '3')
    await one.command('SET', 'k', 'zero')
    await two.command('SET', 'k', 'three')
    // While snapshots are written and databases change places: never an error, and never the wrong one.
    for (let i = 0; i < 21; i++) {
      await one.command('BGSAVE')
      t.is(await two.command('SWAPDB', '0', '3'), '+OK\r\n')
      t.is((await one.get('k'))!.toString(), i % 2 === 0 ? 'three' : 'zero')
    }
    await t.throwsAsync(() => one.command('SHUTDOWN', 'SAVE'))
    t.is((await first.server.exited).code, 0)
    const second = await startMany(t, 2, ['--dir', folder])
    await second.clients[1]!.command('SELECT', '3')
    t.is((await second.clients[0]!.get('k'))!.toString(), 'three')
    t.is((await second.clients[1]!.get('k'))!.toString(), 'zero')
    t.regex(await second.clients[0]!.command('INFO', 'keyspace'), /db0:keys=1,.*\r\ndb3:keys=1,/)
  },
)
