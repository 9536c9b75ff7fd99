import test from 'ava'
import { counter } from '../../../server/stats.ts'
import { bulk, DataSession } from './data-session.ts'

const OOM = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
const TOO_LONG = '-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n'
const NIL = '$-1\r\n'
const OK = '+OK\r\n'

/** Half of it is less than the value below. */
const LITTLE = { maxMemory: 2 * 1024 * 1024 }
const TOO_MUCH = 'x'.repeat(1_200_000)

test('a value that memory cannot hold is refused by each command, and nothing changes', (t) => {
  const session = new DataSession(LITTLE)
  session.receivesPages = false
  session.run('SET', 'k', 'old')
  for (const command of [
    ['SET', 'k', TOO_MUCH],
    ['SET', 'k', TOO_MUCH, 'XX', 'GET'],
    ['SET', 'new', TOO_MUCH, 'GET'],
    ['SET', 'k', TOO_MUCH, 'EX', '100'],
    ['SETEX', 'k', '100', TOO_MUCH],
    ['SETNX', 'new', TOO_MUCH],
    ['GETSET', 'k', TOO_MUCH],
    ['MSET', 'new', TOO_MUCH],
    ['APPEND', 'k', TOO_MUCH],
    ['SETRANGE', 'k', '1', TOO_MUCH],
    ['SETRANGE', 'k', '1200000', 'x'],
  ]) {
    t.is(session.run(...command), OOM, command.join(' ').slice(0, 20))
    t.is(session.run('GET', 'k'), bulk('old'))
    t.is(session.run('EXISTS', 'new'), ':0\r\n')
    t.is(session.run('TTL', 'k'), ':-1\r\n')
  }
})

test('MSETNX takes back what it set when memory cannot hold the rest', (t) => {
  const session = new DataSession(LITTLE)
  session.receivesPages = false
  t.is(session.run('MSETNX', 'a', '1', 'b', '2', 'c', TOO_MUCH, 'd', '4'), OOM)
  t.is(session.run('EXISTS', 'a', 'b', 'c', 'd'), ':0\r\n')
})

test('MSET stops at the value that memory cannot hold', (t) => {
  const session = new DataSession(LITTLE)
  session.receivesPages = false
  t.is(session.run('MSET', 'a', '1', 'b', TOO_MUCH, 'c', '3'), OOM)
  t.is(session.run('MGET', 'a', 'b', 'c'), `*3\r\n${bulk('1')}${NIL}${NIL}`)
})

test('an old value in pages is given back whole though the new one has taken its place', (t) => {
  const session = new DataSession()
  const first = 'a'.repeat(200_000)
  const second = 'b'.repeat(150_000)
  session.run('SET', 'k', first)
  t.is(session.run('GETSET', 'k', second), bulk(first))
  t.is(session.run('SET', 'k', 'small', 'GET'), bulk(second))
  t.is(session.run('SET', 'k', first, 'GET'), bulk('small'))
  t.is(session.run('GETDEL', 'k'), bulk(first))
  t.is(session.run('GET', 'k'), NIL)
  t.is(session.store.stats.pinnedBytes, 0)
})

test('pages of a value that is refused are given back', (t) => {
  const session = new DataSession()
  session.run('SET', 'k', 'v')
  const used = session.store.stats.usedBytes
  const large = 'x'.repeat(100_000)
  t.is(session.run('SETNX', 'k', large), ':0\r\n')
  t.is(session.run('SET', 'k', large, 'NX'), NIL)
  t.is(session.run('SET', 'k', large, 'NX', 'GET'), bulk('v'))
  t.is(session.run('SET', 'n', large, 'XX'), NIL)
  t.is(session.run('SET', 'k', large, 'FOO'), '-ERR syntax error\r\n')
  t.is(session.run('SETEX', 'k', '0', large).slice(0, 4), '-ERR')
  t.is(session.run('MSETNX', 'k', large, 'n', large), ':0\r\n')
  t.is(session.run('MSET', 'k', large, 'n').slice(0, 4), '-ERR')
  t.is(session.run('SETRANGE', 'k', 'x', large).slice(0, 4), '-ERR')
  t.is(session.run('GET', 'k'), bulk('v'))
  t.is(session.store.stats.usedBytes, used)
})

test('a value may reach proto-max-bulk-len, and not one byte more', (t) => {
  const session = new DataSession()
  session['proto-max-bulk-len'] = 1000
  t.is(session.run('APPEND', 'k', 'x'.repeat(999)), ':999\r\n')
  t.is(session.run('APPEND', 'k', 'xx'), TOO_LONG)
  t.is(session.run('APPEND', 'k', 'x'), ':1000\r\n')
  t.is(session.run('APPEND', 'k', ''), ':1000\r\n')
  t.is(session.run('APPEND', 'k', 'x'), TOO_LONG)
  t.is(session.run('SETRANGE', 'n', '999', 'x'), ':1000\r\n')
  t.is(session.run('SETRANGE', 'n', '1000', 'x'), TOO_LONG)
  t.is(session.run('SETRANGE', 'n', '999', 'xx'), TOO_LONG)
  t.is(session.run('SETRANGE', 'n', '1000', ''), ':1000\r\n')
})

test('replies that do not fit the area leave before the next is written', (t) => {
  const session = new DataSession()
  const value = 'v'.repeat(60_000)
  for (const key of ['a', 'b', 'c', 'd', 'e']) session.run('SET', key, value)
  session.flushes = 0
  const reply = session.run('MGET', 'a', 'b', 'c', 'd', 'e', 'a', 'b', 'c', 'd', 'e')
  t.is(reply, `*10\r\n${bulk(value).repeat(10)}`)
  t.true(session.flushes > 1)
})

test('every command that gives a value makes room for it before it changes anything', (t) => {
  const value = 'v'.repeat(60_000)
  const times = 12
  for (const command of [
    ['GETSET', 'k', value],
    ['SET', 'k', value, 'GET'],
    ['SET', 'k', 'w', 'GET', 'NX'],
    ['GETEX', 'k', 'PERSIST'],
    ['GETRANGE', 'k', '0', '-1'],
    ['GET', 'k'],
  ]) {
    const session = new DataSession()
    session.run('SET', 'k', value)
    t.is(session.pipeline(Array(times).fill(command)), bulk(value).repeat(times), command[0])
    t.is(session.run('GET', 'k'), bulk(value))
  }
  const session = new DataSession()
  const keys = Array.from({ length: times }, (_, i) => `k${i}`)
  for (const key of keys) session.run('SET', key, value)
  t.is(session.pipeline(keys.map((key) => ['GETDEL', key])), bulk(value).repeat(times))
  t.is(session.run('DBSIZE'), ':0\r\n')
  t.is(session.stats.total(counter.keyspaceHits), times)
})

test('an old value in pages is let go when the new one is refused', (t) => {
  const session = new DataSession()
  session.run('SET', 'k', 'x'.repeat(5_000_000))
  session.receivesPages = false
  const tooMuch = 'y'.repeat(9_000_000)
  t.is(session.run('GETSET', 'k', tooMuch), OOM)
  t.is(session.run('SET', 'k', tooMuch, 'GET'), OOM)
  t.is(session.store.stats.pinnedBytes, 0)
  t.is(session.run('STRLEN', 'k'), ':5000000\r\n')
  session.run('SET', 'k', 'small')
  t.true(session.store.stats.usedBytes < 5_000_000)
})

test('a value in pages stands among others in the reply of MGET', (t) => {
  const session = new DataSession()
  const large = 'x'.repeat(70_000)
  session.run('MSET', 'a', '1', 'b', large, 'c', '3')
  t.is(
    session.run('MGET', 'a', 'b', 'no', 'b', 'c'),
    `*5\r\n${bulk('1')}${bulk(large)}${NIL}${bulk(large)}${bulk('3')}`,
  )
})

test('a missing value is null in the protocol of the client', (t) => {
  const session = new DataSession({ protocol: 3 })
  t.is(session.run('GET', 'k'), '_\r\n')
  t.is(session.run('MGET', 'k'), '*1\r\n_\r\n')
  t.is(session.run('SET', 'k', 'v', 'XX'), '_\r\n')
  t.is(session.run('GETDEL', 'k'), '_\r\n')
  t.is(session.run('GETEX', 'k'), '_\r\n')
  t.is(session.run('GETSET', 'k', 'v'), '_\r\n')
})

test('an expiry ends at its millisecond', async (t) => {
  const session = new DataSession()
  session.run('SET', 'k', 'v', 'PX', '100')
  session.run('SET', 'n', '5', 'PX', '100')
  await session.clock.advance(99)
  t.is(session.run('GET', 'k'), bulk('v'))
  t.is(session.run('INCR', 'n'), ':6\r\n')
  t.is(session.run('PTTL', 'n'), ':1\r\n')
  await session.clock.advance(1)
  t.is(session.run('GET', 'k'), NIL)
  t.is(session.run('INCR', 'n'), ':1\r\n')
  t.is(session.run('TTL', 'n'), ':-1\r\n')
})

test('what appends, counts or overwrites a part keeps the expiry, what sets drops it', (t) => {
  const session = new DataSession()
  const keeping = [
    ['APPEND', 'k', '1'],
    ['SETRANGE', 'k', '0', '7'],
    ['INCR', 'k'],
    ['INCRBYFLOAT', 'k', '0.5'],
    ['SET', 'k', '1', 'KEEPTTL'],
    ['GETEX', 'k'],
    ['APPEND', 'k', 'x'.repeat(70_000)],
    ['SETRANGE', 'k', '80000', 'x'.repeat(70_000)],
    ['APPEND', 'k', 'x'],
  ]
  session.run('SET', 'k', '1', 'PX', '5000')
  for (const command of keeping) {
    t.not(session.run(...command).slice(0, 1), '-')
    t.is(session.run('PTTL', 'k'), ':5000\r\n', command[0])
  }
  for (const command of [
    ['SET', 'k', '1'],
    ['GETSET', 'k', '1'],
    ['MSET', 'k', '1'],
    ['GETEX', 'k', 'PERSIST'],
  ]) {
    session.run('SET', 'k', '1', 'PX', '5000')
    session.run(...command)
    t.is(session.run('PTTL', 'k'), ':-1\r\n', command[0])
  }
})

test('PXAT and EXAT follow the wall clock, PX and EX do not care', async (t) => {
  const session = new DataSession()
  session.clock.jumpWall(3_600_000)
  const wall = session.clock.wall()
  session.run('SET', 'k', 'v', 'PXAT', wall + 50)
  t.is(session.run('PTTL', 'k'), ':50\r\n')
  t.is(session.run('PEXPIRETIME', 'k'), `:${wall + 50}\r\n`)
  session.run('SET', 'k', 'v', 'PX', '50')
  t.is(session.run('PEXPIRETIME', 'k'), `:${wall + 50}\r\n`)
  session.clock.jumpWall(-7_200_000)
  t.is(session.run('PTTL', 'k'), ':50\r\n')
  await session.clock.advance(50)
  t.is(session.run('GET', 'k'), NIL)
})

test('a SET whose expiry is over removes the key and says OK', (t) => {
  const session = new DataSession()
  session.run('SET', 'k', 'v')
  t.is(session.run('SET', 'k', 'w', 'PXAT', session.clock.wall()), OK)
  t.is(session.run('DBSIZE'), ':0\r\n')
  session.run('SET', 'k', 'v')
  t.is(session.run('SET', 'k', 'x'.repeat(70_000), 'EXAT', '1', 'GET'), bulk('v'))
  t.is(session.run('DBSIZE'), ':0\r\n')
})
