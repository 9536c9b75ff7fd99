import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { Clock } from '../../../cluster/world.ts'
import { loadConfig } from '../../../server/config.ts'
import { createLog } from '../../../server/log.ts'
import { MaxMemory, openStore } from '../../../server/memory/maxmemory.ts'
import { Redis } from 'ioredis'
import { RINGTIER, run, startRingtier } from '../../process.ts'
import type { RawClient } from '../../raw.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { type InProcess, startInProcess } from '../in-process.ts'

const MB = 1024 * 1024
const log = createLog({ level: 'nothing' })

/** A server of 4 MB that can have 16 MB, and one client. */
async function start(): Promise<InProcess & { client: RawClient }> {
  const host = await startInProcess(['--maxmemory', '4mb', '--maxmemory-ceiling', '16mb'])
  return { ...host, client: host.connect() }
}

async function fill(client: RawClient, from: number, to: number): Promise<void> {
  const value = 'v'.repeat(1000)
  const all = []
  for (let i = from; i < to; i++) all.push(client.command('SET', `key:${i}`, value))
  await Promise.all(all)
}

const set = (client: RawClient, value: string): Promise<string> =>
  client.command('CONFIG', 'SET', 'maxmemory', value)
const shown = (value: number): string =>
  `*2\r\n$9\r\nmaxmemory\r\n$${String(value).length}\r\n${value}\r\n`
const refusal = (why: string): string =>
  `-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - ${why}\r\n`

test('CONFIG SET maxmemory raises it while serving', async (t) => {
  const { server, client } = await start()
  await fill(client, 0, 10_000)
  const before = server.store.size(0)
  t.true(server.store.stats.usedBytes <= 4 * MB)
  t.is(await set(client, '16mb'), '+OK\r\n')
  t.is(await client.command('CONFIG', 'GET', 'maxmemory'), shown(16 * MB))
  await fill(client, 10_000, 20_000)
  t.true(server.store.size(0) > 3 * before)
  t.regex(await client.command('INFO', 'memory'), /\r\nmaxmemory:16777216\r\n/)
})

test('CONFIG SET maxmemory lowers it: it answers, and what is too much goes between events', async (t) => {
  const { server, client, clock } = await start()
  await set(client, '16mb')
  await fill(client, 0, 16_000)
  t.true(server.store.stats.usedBytes > 12 * MB)
  const lowered = set(client, '4mb')
  const atItsEnd = client.command('INFO', 'store')
  t.is(await lowered, '+OK\r\n')
  t.regex(await atItsEnd, /store_excess_bytes:[1-9]/, 'it answered before')
  t.is(await client.command('CONFIG', 'GET', 'maxmemory'), shown(4 * MB))
  await clock.until(() => server.store.excess === 0)
  const { usedBytes, touchedBytes, excessBytes } = server.store.stats
  t.true(usedBytes <= 4 * MB && usedBytes > 3.5 * MB)
  t.is(excessBytes, 0)
  const memory = await client.command('INFO', 'memory')
  t.regex(memory, new RegExp(`\r\nused_memory:${usedBytes}\r\n`))
  t.regex(memory, new RegExp(`\r\nallocator_active:${touchedBytes}\r\n`))
  t.true(touchedBytes > 12 * MB)
  t.is(await client.command('GET', 'key:15999'), `$1000\r\n${'v'.repeat(1000)}\r\n`)
})

test('CONFIG SET maxmemory refuses what the store cannot do, and says what to do', async (t) => {
  const { server, client } = await start()
  t.is(
    await set(client, '16777217'),
    refusal(
      'maxmemory can be raised to its ceiling of 16777216 bytes: start with a larger ceiling (maxmemory-ceiling) to go beyond',
    ),
  )
  // A quarter of the machine, which has 1 GB here.
  t.regex(await set(client, '0'), /can be raised to its ceiling of 16777216 bytes/)
  t.is(await set(client, '1mb'), refusal('argument must be at least 2mb (2097152)'))
  t.is(await set(client, 'x'), refusal('argument must be a memory value'))
  t.is(
    await client.command('CONFIG', 'SET', 'timeout', '7', 'maxmemory', '17mb'),
    refusal(
      'maxmemory can be raised to its ceiling of 16777216 bytes: start with a larger ceiling (maxmemory-ceiling) to go beyond',
    ),
  )
  t.deepEqual([server.store.maxMemory, server.config.timeout], [4 * MB, 0])
  t.is(await client.command('CONFIG', 'GET', 'maxmemory'), shown(4 * MB))
  t.is(
    await client.command('CONFIG', 'SET', 'maxmemory-ceiling', '17mb'),
    "-ERR CONFIG SET failed (possibly related to argument 'maxmemory-ceiling') - can't set immutable config\r\n",
  )
})

test('CONFIG SET maxmemory 0 is a quarter of the machine again', async (t) => {
  const host = await startInProcess(['--maxmemory', '4mb'])
  const client = host.connect()
  t.is(await set(client, '0'), '+OK\r\n')
  t.is(host.server.store.maxMemory, 256 * MB)
  t.is(await client.command('CONFIG', 'GET', 'maxmemory'), shown(256 * MB))
})

test('with large chunks, maxmemory can be lowered to one for each bucket', async (t) => {
  const { connect } = await startInProcess(['--maxmemory', '1gb'])
  const reply = await set(connect(), '8mb')
  t.regex(reply, /maxmemory can be lowered to \d+ bytes while .* start with a smaller maxmemory/)
  const least = /lowered to (\d+)/.exec(reply)![1]!
  t.is(await set(connect(), least), '+OK\r\n')
})

test('a value as long as the new maxmemory allows is received', async (t) => {
  const { client } = await start()
  const value = 'v'.repeat(5 * MB)
  t.regex(await client.command('SET', 'key', value), /^-OOM /)
  await set(client, '16mb')
  t.is(await client.command('SET', 'key', value), '+OK\r\n')
})

test('CONFIG REWRITE writes the new maxmemory', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-maxmemory-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'ringtier.conf')
  writeFileSync(file, '# how much\nmaxmemory 4mb\nmaxmemory-ceiling 1gb\n')
  const config = loadConfig({ args: [file] })
  t.is(config.set([['maxmemory', '100mb']]), null)
  t.is(config.rewrite(), null)
  t.is(readFileSync(file, 'utf8'), '# how much\nmaxmemory 100mb\nmaxmemory-ceiling 1gb\n')
})

/** Each look at the clock takes half a millisecond. */
class SlowClock extends VirtualClock {
  #micros = 0
  override micros(): number {
    this.#micros += 500
    return this.#micros
  }
}

test('it evicts in slices of a few milliseconds, and pauses while nothing can be evicted', async (t) => {
  const config = loadConfig({ args: ['--maxmemory', '16mb'] })
  const { store } = openStore(config, { seed: 1, tokenSeed: 1 }, log)
  const clock = new SlowClock()
  let slices = 0
  const counting: Clock = Object.assign(Object.create(clock) as Clock, {
    now: () => clock.now(),
    micros: () => clock.micros(),
    after: (delayMs: number, go: () => void) => clock.after(delayMs, go),
    soon: (go: () => void) => {
      slices++
      clock.soon(go)
    },
  })
  const followed = new MaxMemory(store, config, { clock: counting, log })
  const bytes = Buffer.concat([Buffer.from('0000'), Buffer.alloc(400)])
  for (let i = 0; i < 40_000; i++) {
    bytes.writeUInt32LE(i)
    store.set(0, bytes, 0, 4, 4, 400, 0)
  }
  const big = Buffer.alloc(6 * MB)
  const pages = store.pages()
  t.true(pages.write(big, 0, big.length))
  t.is(config.set([['maxmemory', '6mb']]), null)
  t.is(slices, 1)
  await clock.settle()
  // Four looks at the clock a slice, three steps of 64 KB between them.
  t.true(slices > 15, `${slices} slices`)
  t.true(store.excess > 0, 'the pages are still held')
  const { timers } = clock
  t.is(timers, 1)
  const before = slices
  await clock.advance(1000)
  t.is(slices, before, 'no spinning')
  pages.release()
  await clock.advance(100)
  t.is(store.excess, 0)
  t.is(clock.timers, 0)
  // Stopped, it does nothing more.
  t.is(config.set([['maxmemory', '16mb']]), null)
  const again = store.pages()
  t.true(again.write(big, 0, big.length))
  t.is(config.set([['maxmemory', '5mb']]), null)
  await clock.settle()
  t.is(clock.timers, 1)
  followed.stop()
  t.is(clock.timers, 0)
  t.is(config.set([['maxmemory', '4mb']]), null)
  await clock.advance(1000)
  t.is(clock.timers, 0)
})

// Before Node 24 each WebAssembly memory takes 8 GB of address space, whatever its size.
const limitedTest = Number.parseInt(process.versions.node) >= 24 ? test : test.skip
limitedTest('without address space for the ceiling, maxmemory is the ceiling', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-limited-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const node = join(folder, 'node')
  writeFileSync(node, `#!/bin/sh\nulimit -v 3000000\nexec '${process.execPath}' "$@"\n`, {
    mode: 0o700,
  })
  // Each further thread would reserve address space for its code.
  const args = ['--maxmemory', '64mb', '--threads', '1']
  const server = await startRingtier({ node, args })
  t.teardown(() => server.stop())
  t.regex(server.output(), /no address space for a ceiling above maxmemory/)
  const client = new Redis(server.port)
  t.teardown(() => client.disconnect())
  t.regex(await client.info('store'), /store_ceiling_bytes:67108864/)
  // Who asked for it is told.
  const { code, stderr } = await run(node, [RINGTIER, ...args, '--maxmemory-ceiling', '2gb'])
  t.is(code, 1)
  t.regex(stderr, /^ringtier: command line: maxmemory-ceiling 2gb cannot be had: .*\n$/)
})

test('a server whose memory is lowered answers all the while', async (t) => {
  const server = await startRingtier({ args: ['--maxmemory', '64mb'] })
  const client = new Redis(server.port)
  t.teardown(() => server.stop())
  t.teardown(() => client.disconnect())
  const value = 'v'.repeat(2000)
  for (let i = 0; i < 40_000; i += 1000) {
    const pipeline = client.pipeline()
    for (let j = 0; j < 1000; j++) pipeline.set(`key:${i + j}`, value)
    await pipeline.exec()
  }
  t.is(await client.config('SET', 'maxmemory', '8mb'), 'OK')
  for (;;) {
    t.is(await client.ping(), 'PONG')
    const text = await client.info('store')
    if (text.includes('store_excess_bytes:0')) break
  }
  t.true(Number(/used_memory:(\d+)/.exec(await client.info('memory'))![1]) <= 8 * MB)
})

const setPolicy = (client: RawClient, name: string): Promise<string> =>
  client.command('CONFIG', 'SET', 'maxmemory-policy', name)

test('CONFIG SET maxmemory-policy changes what goes while serving', async (t) => {
  const { server, client } = await start()
  t.deepEqual([server.store.policy, server.store.scope], ['s3a', 'all'])
  const meanings: [name: string, policy: string, scope: string][] = [
    ['fifo', 'fifo', 'all'],
    ['s3-fifo', 's3-fifo', 'all'],
    ['allkeys-random', 's3a', 'all'],
    ['volatile-lfu', 's3a', 'volatile'],
    ['noeviction', 's3a', 'none'],
    ['s3a', 's3a', 'all'],
  ]
  for (const [name, policy, scope] of meanings) {
    t.is(await setPolicy(client, name), '+OK\r\n')
    t.deepEqual([server.store.policy, server.store.scope], [policy, scope], name)
    const shownName = `*2\r\n$16\r\nmaxmemory-policy\r\n$${name.length}\r\n${name}\r\n`
    t.is(await client.command('CONFIG', 'GET', 'maxmemory-policy'), shownName)
  }
})

test('policies that keep bytes with every key are chosen and left at the start only', async (t) => {
  const { server, client } = await start()
  const refusedWith = (fixed: string, current: string): string =>
    `-ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - ${fixed} keeps bytes with every key, so it can be chosen and left at the start only; this server runs with ${current}\r\n`
  for (const name of ['lru', 'second-chance']) {
    t.is(await setPolicy(client, name), refusedWith(name, 's3a'))
    t.is(server.store.policy, 's3a')
    const { server: other, connect } = await startInProcess(['--maxmemory-policy', name])
    const client2 = connect()
    t.is(other.store.policy, name as 'lru')
    t.is(await setPolicy(client2, 'fifo'), refusedWith(name, name))
    // A name of Redis changes who may go, and leaves the order.
    t.is(await setPolicy(client2, 'volatile-lru'), '+OK\r\n')
    t.deepEqual([other.store.policy, other.store.scope], [name as 'lru', 'volatile'])
    t.is(await setPolicy(client2, name), '+OK\r\n')
    t.deepEqual([other.store.policy, other.store.scope], [name as 'lru', 'all'])
  }
  t.regex(await client.command('CONFIG', 'GET', 'maxmemory-policy'), /\r\ns3a\r\n$/)
})

test('a policy that is refused takes what was set beside it back', async (t) => {
  const { server, client } = await start()
  const reply = client.command('CONFIG', 'SET', 'maxmemory', '8mb', 'maxmemory-policy', 'lru')
  t.regex(await reply, /^-ERR CONFIG SET failed .*'maxmemory-policy'/)
  t.is(server.store.maxMemory, 4 * MB)
  t.is(server.store.policy, 's3a')
})
