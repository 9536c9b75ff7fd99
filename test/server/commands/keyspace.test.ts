import test from 'ava'
import { bulk, DataSession } from './data-session.ts'

/** The cursor and the keys of a SCAN reply. */
function parseScan(reply: string): { cursor: string; keys: string[] } {
  const words = [...reply.matchAll(/\$\d+\r\n(.*)\r\n/g)].map(([, word]) => word!)
  return { cursor: words[0]!, keys: words.slice(1) }
}

/** All pages of a full scan. */
function scanAll(session: DataSession, ...options: readonly (string | number)[]): string[][] {
  const pages: string[][] = []
  let cursor = '0'
  do {
    const page = parseScan(session.run('SCAN', cursor, ...options))
    pages.push(page.keys)
    cursor = page.cursor
  } while (cursor !== '0')
  return pages
}

function fill(session: DataSession, count: number): string[] {
  const keys = Array.from({ length: count }, (_, i) => `key:${i}`)
  for (let i = 0; i < count; i += 500) {
    session.run('MSET', ...keys.slice(i, i + 500).flatMap((key) => [key, 'v']))
  }
  return keys
}

test('a full SCAN gives every key, whatever COUNT says', (t) => {
  const session = new DataSession()
  const keys = fill(session, 3000).sort()
  for (const count of [1, 10, 500, 100_000]) {
    t.deepEqual([...new Set(scanAll(session, 'COUNT', count).flat())].sort(), keys, `${count}`)
  }
})

test('SCAN gives about as many keys as COUNT says', (t) => {
  const session = new DataSession()
  fill(session, 10_000)
  for (const count of [10, 100, 1000]) {
    const pages = scanAll(session, 'COUNT', count)
    const longest = Math.max(...pages.map(({ length }) => length))
    t.true(longest <= 2 * count + 64, `COUNT ${count}: ${longest}`)
    t.true(pages.length <= 10_000 / count + 1, `COUNT ${count}: ${pages.length} calls`)
  }
})

test('a few keys in a wide keyspace are found in one call', (t) => {
  const session = new DataSession({ maxMemory: 64 * 1024 * 1024 })
  fill(session, 5)
  t.is(scanAll(session).length, 1)
})

test('one SCAN looks at a bounded part of the keyspace, whatever its COUNT', (t) => {
  const session = new DataSession({ maxMemory: 64 * 1024 * 1024 })
  fill(session, 150_000)
  const pages = scanAll(session, 'COUNT', 1_000_000_000)
  t.true(pages.length > 1)
  t.is(new Set(pages.flat()).size, 150_000)
})

test('SCAN leaves out what does not match and goes on', (t) => {
  const session = new DataSession()
  const keys = fill(session, 3000).filter((key) => key.startsWith('key:77'))
  t.deepEqual(scanAll(session, 'MATCH', 'key:77*').flat().sort(), keys.sort())
  t.deepEqual(scanAll(session, 'MATCH', 'no*').flat(), [])
  t.is(scanAll(session, 'TYPE', 'String').flat().length, 3000)
  t.is(scanAll(session, 'TYPE', 'list').flat().length, 0)
})

test('keys that stay during a full SCAN are given, whatever comes and goes beside them', (t) => {
  const session = new DataSession()
  const staying = fill(session, 2000)
  const seen = new Set<string>()
  let cursor = '0'
  let n = 0
  do {
    const page = parseScan(session.run('SCAN', cursor, 'COUNT', 50))
    for (const key of page.keys) seen.add(key)
    cursor = page.cursor
    for (let i = 0; i < 100; i++) session.run('SET', `new:${n++}`, 'v')
    session.run('DEL', `new:${n - 3}`)
  } while (cursor !== '0')
  for (const key of staying) t.true(seen.has(key), key)
})

test('any number of 64 bits is a cursor', (t) => {
  const session = new DataSession()
  fill(session, 100)
  for (const cursor of [
    '1',
    '4294967296',
    '2199023255551',
    '2199023255552',
    '18446744073709551615',
    '-1',
  ]) {
    t.is(session.run('SCAN', cursor).slice(0, 2), '*2', cursor)
  }
  t.is(session.run('SCAN', '18446744073709551616'), '-ERR invalid cursor\r\n')
  t.is(session.run('SCAN', ''), session.run('SCAN', '0'))
})

test('KEYS of a small database is answered at once', (t) => {
  const session = new DataSession()
  t.is(session.run('KEYS', '*'), '*0\r\n')
  session.run('SET', 'only', 'v')
  t.is(session.run('KEYS', '*'), `*1\r\n${bulk('only')}`)
  t.is(session.run('KEYS', 'x*'), '*0\r\n')
})

test('KEYS of a large database works in many steps', (t) => {
  const session = new DataSession({ maxMemory: 64 * 1024 * 1024 })
  const keys = fill(session, 100_000)
  const reply = session.run('KEYS', 'key:*')
  t.true(session.steps > 50)
  t.is(reply.slice(0, 9), '*100000\r\n')
  const given = [...reply.matchAll(/\$\d+\r\n(.*)\r\n/g)].map(([, key]) => key!)
  t.deepEqual(given.sort(), keys.sort())
})

test('KEYS counts what is in its reply though it is longer than any area', (t) => {
  const session = new DataSession()
  const long = 'x'.repeat(1000)
  for (let i = 0; i < 1000; i++) session.run('SET', `${long}${i}`, '')
  const reply = session.run('KEYS', '*')
  t.is(reply.slice(0, 7), '*1000\r\n')
  t.is([...reply.matchAll(/\$\d+\r\nx{1000}\d+\r\n/g)].length, 1000)
})

test('RANDOMKEY gives every key sooner or later', (t) => {
  const session = new DataSession()
  t.is(session.run('RANDOMKEY'), '$-1\r\n')
  const keys = fill(session, 20)
  const seen = new Set<string>()
  for (let i = 0; i < 5000 && seen.size < keys.length; i++) seen.add(session.run('RANDOMKEY'))
  t.deepEqual([...seen].sort(), keys.map(bulk).sort())
})

test('RANDOMKEY gives a key that is longer than a reply area', (t) => {
  const session = new DataSession()
  const key = 'k'.repeat(300_000)
  session.run('SET', key, 'v')
  t.is(session.run('RANDOMKEY'), bulk(key))
  t.is(session.run('KEYS', '*'), `*1\r\n${bulk(key)}`)
})

test('RANDOMKEY, KEYS and SCAN keep to their database, DBSIZE too', (t) => {
  const session = new DataSession()
  session.run('SET', 'zero', 'v')
  session.db = 3
  t.is(session.run('RANDOMKEY'), '$-1\r\n')
  t.is(session.run('KEYS', '*'), '*0\r\n')
  t.deepEqual(scanAll(session).flat(), [])
  t.is(session.run('DBSIZE'), ':0\r\n')
  session.run('SET', 'three', 'v')
  t.is(session.run('RANDOMKEY'), bulk('three'))
  session.run('FLUSHDB')
  session.db = 0
  t.is(session.run('GET', 'zero'), bulk('v'))
  session.db = 3
  session.run('FLUSHALL')
  session.db = 0
  t.is(session.run('GET', 'zero'), '$-1\r\n')
})

test('what has expired is neither scanned nor listed nor drawn', async (t) => {
  const session = new DataSession()
  session.run('SET', 'gone', 'v', 'PX', '10')
  session.run('SET', 'here', 'v')
  await session.clock.advance(10)
  t.is(session.run('KEYS', '*'), `*1\r\n${bulk('here')}`)
  t.deepEqual(scanAll(session).flat(), ['here'])
  for (let i = 0; i < 10; i++) t.is(session.run('RANDOMKEY'), bulk('here'))
  t.is(session.run('EXISTS', 'gone', 'here'), ':1\r\n')
  t.is(session.run('DBSIZE'), ':1\r\n')
})
