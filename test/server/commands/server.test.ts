import test from 'ava'
import { startInProcess } from '../in-process.ts'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serverCommands } from '../../../server/commands/server.ts'
import type { EndOptions } from '../../../server/server.ts'
import { Bench, type BenchOptions } from './session.ts'

const bench = (options?: BenchOptions) => new Bench(serverCommands, options)
const connect = (options?: BenchOptions) => bench(options).connect()
const ok = '+OK\r\n'
const syntaxError = '-ERR syntax error\r\n'

test('TIME is the wall clock in seconds and microseconds', (t) => {
  const server = bench()
  const client = server.connect()
  server.clock.jumpWall(1_600_000_000_123.5 - server.clock.wall())
  t.is(client.say('time'), '*2\r\n$10\r\n1600000000\r\n$6\r\n123500\r\n')
  server.clock.jumpWall(-123.5)
  t.is(client.say('time'), '*2\r\n$10\r\n1600000000\r\n$1\r\n0\r\n')
})

test('CONFIG GET answers a map of what matches any of its patterns', (t) => {
  const client = connect()
  t.is(client.say('config', 'get', 'maxclients'), '*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n')
  t.is(client.say('config', 'get', 'nosuch'), '*0\r\n')
  client.client.useProtocol(3)
  t.is(
    client.say('config', 'get', 'TIMEOUT', 'maxcl*', 'maxclients'),
    '%2\r\n$7\r\nTIMEOUT\r\n$1\r\n0\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n',
  )
})

test('CONFIG SET changes all or nothing', (t) => {
  const server = bench()
  const client = server.connect()
  const { config } = server.server
  t.is(client.say('config', 'set', 'timeout', '5', 'MAXCLIENTS', '7'), ok)
  t.like(config, { timeout: 5, maxclients: 7 })
  t.is(client.say('config', 'set', 'timeout', '6', 'maxclients'), syntaxError)
  t.is(
    client.say('config', 'set', 'timeout', '6', 'maxclients', 'x'),
    "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be parsed into an integer\r\n",
  )
  t.is(
    client.say('config', 'set', 'timeout', '6', 'nosuch', '1'),
    "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n",
  )
  t.like(config, { timeout: 5, maxclients: 7 })
})

test('a password may hold any text in UTF-8', (t) => {
  const server = bench()
  t.is(server.connect().say('config', 'set', 'requirepass', 'ü €'), ok)
  t.is(server.server.config.requirepass, 'ü €')
})

test('CONFIG REWRITE needs a file, and writes it', (t) => {
  t.is(connect().say('config', 'rewrite'), '-ERR The server is running without a config file\r\n')
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-'))
  try {
    const file = join(folder, 'redis.conf')
    writeFileSync(file, 'timeout 3\n')
    const client = connect({ directives: [file] })
    client.say('config', 'set', 'timeout', '4')
    t.is(client.say('config', 'rewrite'), ok)
    t.regex(readFileSync(file, 'utf8'), /^timeout 4$/m)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('CONFIG RESETSTAT resets what INFO stats says of keys that went, not what the store counts', async (t) => {
  const { server, clock, connect } = await startInProcess(['--maxmemory', '2mb'])
  const client = connect()
  const fields = async (): Promise<number[]> => {
    const text = await client.command('INFO', 'stats')
    const names = ['expired_keys', 'evicted_keys', 'keyspace_hits', 'keyspace_misses']
    return names.map((name) => Number(new RegExp(`\r\n${name}:(\\d+)`).exec(text)![1]))
  }
  const sets = []
  for (let i = 0; i < 30_000; i++) sets.push(client.command('SET', `key:${i}`, 'v'.repeat(100)))
  await Promise.all(sets)
  await client.command('SET', 'brief', 'v', 'PX', '5')
  await clock.advance(5)
  await client.command('GET', 'brief')
  await client.command('STRLEN', 'key:29999')
  const before = await fields()
  t.is(before[0], 1)
  t.true(before[1]! > 1_000)
  t.deepEqual(before.slice(2), [1, 1])
  const { evicted } = server.store.stats
  t.is(await client.command('CONFIG', 'RESETSTAT'), '+OK\r\n')
  t.deepEqual(await fields(), [0, 0, 0, 0])
  t.is(server.store.stats.evicted, evicted)
  await client.command('SET', 'brief', 'v', 'PX', '5')
  await clock.advance(5)
  await client.command('GET', 'brief')
  t.is((await fields())[0], 1)
})

test('INFO stats tells of the sweep, and CONFIG RESETSTAT resets that too', async (t) => {
  const { clock, connect } = await startInProcess()
  const client = connect()
  const stale = async (): Promise<string> => {
    const text = await client.command('INFO', 'stats')
    t.regex(text, /\r\nexpired_time_cap_reached_count:0\r\nexpire_cycle_cpu_milliseconds:\d+\r\n/)
    return /\r\nexpired_stale_perc:(.*)\r/.exec(text)![1]!
  }
  t.is(await stale(), '0.00')
  for (let i = 0; i < 10; i++) await client.command('SET', `key:${i}`, 'v', 'PX', '5')
  await clock.advance(100)
  // All of it was stale, and a slice counts a 20th.
  t.is(await stale(), '5.00')
  t.is(await client.command('CONFIG', 'RESETSTAT'), '+OK\r\n')
  t.is(await stale(), '0.00')
})

test('SHUTDOWN ends the server and answers nothing', (t) => {
  const asked: [words: string[], how: EndOptions][] = [
    [[], { save: null, force: false }],
    [['NOSAVE'], { save: false, force: false }],
    [['save'], { save: true, force: false }],
    [['now', 'force'], { save: null, force: true }],
    [['nosave', 'nosave', 'now'], { save: false, force: false }],
  ]
  for (const [words, how] of asked) {
    const server = bench()
    t.is(server.connect().say('shutdown', ...words), '')
    t.deepEqual(server.ends, [how])
  }
})

test('SHUTDOWN refuses what contradicts itself, and what cannot be done', (t) => {
  const server = bench()
  const client = server.connect()
  for (const words of [
    ['x'],
    ['nosave', 'save'],
    ['abort', 'now'],
    ['nosave', 'abort'],
    ['save', 'abort'],
  ]) {
    t.is(client.say('shutdown', ...words), syntaxError)
  }
  t.is(client.say('shutdown', 'abort'), '-ERR No shutdown in progress.\r\n')
  t.is(client.say('shutdown', 'abort', 'abort'), '-ERR No shutdown in progress.\r\n')
  t.deepEqual(server.ends, [])
})
