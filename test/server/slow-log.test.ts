import test from 'ava'
import { Args } from '../../protocol/args.ts'
import { shownArgs, SlowLog, type SlowCommand } from '../../server/slow-log.ts'
import { startInProcess } from './in-process.ts'

const slow = (micros: number): SlowCommand => ({
  ...{ seconds: 1, micros, args: [], address: '127.0.0.1:1', clientName: '' },
})

test('entries are numbered for ever, the newest come first, and the oldest go', (t) => {
  let entriesMax = 3
  const log = new SlowLog(() => entriesMax)
  const micros = (count: number): number[] => log.newest(count).map((entry) => entry.micros)
  for (const n of [1, 2, 3]) log.add(slow(n))
  t.deepEqual(micros(10), [3, 2, 1])
  log.add(slow(4))
  t.deepEqual(micros(10), [4, 3, 2])
  t.deepEqual(micros(2), [4, 3])
  t.deepEqual(micros(0), [])
  t.deepEqual(micros(Infinity), [4, 3, 2])
  entriesMax = 1
  log.add(slow(5))
  t.is(log.length, 1)
  t.is(log.newest(1)[0]!.id, 4)
  log.reset()
  t.is(log.length, 0)
  log.add(slow(6))
  t.is(log.newest(1)[0]!.id, 5)
})

test('32 arguments are shown whole, of 33 the last two are a count', (t) => {
  const shown = (count: number): string[] => {
    const args = Args.of(Array.from({ length: count }, (_, i) => `a${i}`))
    return shownArgs(args, []).map((arg) => Buffer.from(arg).toString())
  }
  for (const count of [1, 31, 32]) t.is(shown(count).at(-1), `a${count - 1}`)
  t.is(shown(33).length, 32)
  t.deepEqual(shown(33).slice(30), ['a30', '... (2 more arguments)'])
})

test('128 bytes of an argument are shown, of 129 the last is a count', (t) => {
  const shown = (length: number): string =>
    Buffer.from(shownArgs(Args.of(['x'.repeat(length)]), [])[0]!).toString()
  for (const length of [0, 127, 128]) t.is(shown(length), 'x'.repeat(length))
  t.is(shown(129), `${'x'.repeat(128)}... (1 more bytes)`)
})

test('what is secret is not shown', (t) => {
  const args = Args.of(['AUTH', 'me', 'secret'])
  t.deepEqual(
    shownArgs(args, [1, 2]).map((arg) => Buffer.from(arg).toString()),
    ['AUTH', '(redacted)', '(redacted)'],
  )
})

test('SLOWLOG shows what began in pages, though these are the stored value now', async (t) => {
  const { connect } = await startInProcess([
    '--maxmemory',
    '64mb',
    '--slowlog-log-slower-than',
    '0',
  ])
  const client = connect()
  for (const [name, rest] of [
    ['SET', ''],
    ['APPEND', ''],
    ['GETSET', ''],
  ] as const) {
    await client.command('SLOWLOG', 'RESET')
    await client.command(name, 'k', 'x'.repeat(70_000) + rest)
    const log = await client.command('SLOWLOG', 'GET', '1')
    t.true(log.includes(`x... (${70_000 - 128} more bytes)`), `${name}: ${log}`)
  }
})
