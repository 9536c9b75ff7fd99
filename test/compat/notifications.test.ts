/*
 * Keyspace notifications beside redis-server: the same commands put to both, and what a subscriber of
 * `__key*__:*` is sent after each of them compared byte for byte.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { startBoth } from './both.ts'
import { Party } from './parties.ts'

/** `wait n` waits so many ms. By the fact that they show. */
const scenes: Readonly<Record<string, readonly string[]>> = {
  'SET and its kin': [
    'SET k v',
    'SET k v',
    'SET k v EX 100',
    'SET k v KEEPTTL',
    'SET k v PX 100000',
    'SET k v NX',
    'SET other v XX',
    'SET other v NX',
    'SET other w GET',
    'SET absent w GET',
    'SET absent2 w GET EX 100',
    'SET absent3 w GET XX',
    'SETNX k v',
    'SETNX k2 v',
    'SETEX k2 100 v',
    'PSETEX k3 100000 v',
    'GETSET k v',
    'GETSET k4 v',
    'MSET a 1 b 2 a 3',
    'MSETNX a 1 c 2',
    'MSETNX c 1 d 2',
    'SET k v EX 0',
    'SET k',
    'SET k v EXAT 99999999999',
  ],
  'SET of a time that is over': ['SET k v PXAT 1', 'SET k v', 'GET k', 'SET k v PXAT 1', 'GET k'],
  'values that change': [
    'APPEND k a',
    'APPEND k b',
    'SETRANGE k 1 xyz',
    'SETRANGE k 1 ""',
    'SETRANGE new 3 x',
    'SETRANGE none 3 ""',
    'INCR n',
    'INCR n',
    'DECR n',
    'INCRBY n 5',
    'DECRBY n 5',
    'INCRBY n 9223372036854775800',
    'INCRBY n 100',
    'INCRBYFLOAT f 0.5',
    'INCRBYFLOAT f 0.5',
    'INCR k',
    'INCRBYFLOAT k 1',
    'SET m 10',
    'DECRBY m 9223372036854775807',
  ],
  'values that grow by megabytes': [
    'SETRANGE k 20000000 x',
    'SETRANGE k 40000000 x',
    'APPEND k y',
    'SETRANGE l 600000000 x',
    'SET m v',
    'SETRANGE m 30000000 x',
    'STRLEN m',
  ],
  'keys that are read': [
    'GET missing',
    'SET k v',
    'GET k',
    'MGET k missing k absent',
    'STRLEN missing',
    'GETRANGE missing 0 1',
    'EXISTS k missing',
    'TOUCH k missing',
    'TYPE missing',
    'TTL missing',
    'PTTL missing',
    'EXPIRETIME missing',
    'OBJECT ENCODING missing',
    'OBJECT IDLETIME missing',
    'GETEX missing',
    'GETDEL missing',
    'EXPIRE missing 10',
    'PERSIST missing',
    'DEL missing',
    'APPEND appended x',
    'INCR counted',
    'MEMORY USAGE missing',
  ],
  'keys that go': [
    'MSET a 1 b 2 c 3 d 4',
    'DEL a missing b b',
    'UNLINK c',
    'GETDEL d',
    'SET e 5',
    'EXPIRE e -1',
    'SET e 5',
    'PEXPIREAT e 1',
    'SET e 5',
    'GETEX e PXAT 1',
    'SET e 5',
    'GETEX e EXAT 1',
    'MSET a 1 b 2',
    'FLUSHDB',
    'MSET a 1 b 2',
    'FLUSHALL',
  ],
  'values that get other keys': [
    'SET a 1',
    'RENAME a b',
    'RENAME b b',
    'SET c 2',
    'RENAME b c',
    'RENAMENX c d',
    'SET e 3',
    'RENAMENX d e',
    'RENAME missing x',
    'COPY d f',
    'COPY d f',
    'COPY d f REPLACE',
    'COPY missing g',
    'COPY d d DB 1',
    'MOVE d 2',
    'MOVE missing 2',
    'MOVE e 1',
    'SWAPDB 0 1',
    'SET a 1',
    'SWAPDB 0 1',
  ],
  'values that are restored': [
    'RESTORE k 0 "\\x00\\xc0\\x01\\x0a\\x00\\xd9\\x79\\xdb\\x85\\xf0\\x3f\\x1c\\xd0"',
    'SET k v',
    'RESTORE k 0 "\\x00\\xc0\\x01\\x0a\\x00\\xd9\\x79\\xdb\\x85\\xf0\\x3f\\x1c\\xd0"',
    'RESTORE k 1 "\\x00\\xc0\\x01\\x0a\\x00\\xd9\\x79\\xdb\\x85\\xf0\\x3f\\x1c\\xd0" ABSTTL REPLACE',
    'DUMP missing',
  ],
  'bits that change': [
    'SETBIT a 7 1',
    'SETBIT a 7 1',
    'SETBIT a 7 0',
    'SETBIT a 100 0',
    'SETBIT new 0 0',
    'GETBIT missing 1',
    'BITCOUNT missing',
    'BITCOUNT missing 0 x',
    'BITPOS missing 1',
    'SET s abc',
    'BITOP NOT n s',
    'BITOP NOT n s',
    'BITOP AND n s missing',
    'BITOP OR n missing absent',
    'BITOP OR n missing absent',
    'BITFIELD f SET u8 0 1',
    'BITFIELD f SET u8 0 1',
    'BITFIELD f GET u8 0',
    'BITFIELD g INCRBY u8 0 0',
    'BITFIELD f OVERFLOW FAIL INCRBY u2 0 9',
    'BITFIELD created OVERFLOW FAIL INCRBY u2 0 10',
    'BITFIELD created2 OVERFLOW FAIL INCRBY u2 0 10 SET u2 0 1',
    'BITFIELD_RO missing GET u8 0',
    'LCS s missing',
    'SUBSTR missing 0 1',
  ],
  'a key that expires': [
    'SET k v PX 20',
    'wait 40',
    'GET k',
    'SET k v PX 20',
    'wait 40',
    'MGET k',
    'SET k v PX 20',
    'wait 40',
    'SET k v',
    'SET k v PX 20',
    'wait 40',
    'INCR k',
    'PEXPIRE k 20',
    'wait 40',
    'DEL k',
    'SET k v PX 20',
    'wait 40',
    'EXISTS k',
    'SET k v PX 20',
    'wait 40',
    'APPEND k x',
    'PEXPIRE k 20',
    'wait 40',
    'SET k v XX',
    'SET k v PX 20',
    'wait 40',
    'EXPIRE k 10',
  ],
  'a key that expires without being asked for': ['SET k v PX 20', 'wait 400', 'GET k'],
  'other databases': ['SELECT 3', 'SET k v', 'DEL k', 'GET k', 'SELECT 0'],
  'keys are bytes': ['SET \xff\x00 v', 'SET "" v', 'DEL ""'],
}

function wordsOf(text: string): Buffer[] {
  return text.split(' ').map((word) => Buffer.from(word === '""' ? '' : word, 'latin1'))
}

async function play(
  port: number,
  lines: readonly string[],
  { letters, protocol }: { letters: string; protocol: '2' | '3' },
): Promise<string[]> {
  const watcher = await Party.open(port)
  const client = await Party.open(port)
  await watcher.ask('HELLO', protocol)
  await client.ask('FLUSHALL')
  await client.ask('CONFIG', 'SET', 'notify-keyspace-events', letters)
  await watcher.ask('PSUBSCRIBE', '__key*__:*')
  const told: string[] = []
  for (const line of lines) {
    if (line.startsWith('wait ')) await delay(Number(line.slice(5)))
    else await client.ask(...wordsOf(line))
    await watcher.settle()
    told.push(`${line} -> ${JSON.stringify(watcher.take())}`)
  }
  watcher.close()
  client.close()
  return told
}

const messageOf = (line: string): string => JSON.parse(line.slice(line.indexOf('->') + 3)) as string

const bothFor = startBoth(['--enable-debug-command', 'local'])

for (const [title, lines] of Object.entries(scenes)) {
  test.serial(`the events of ${title}`, async (t) => {
    const both = bothFor(t)
    if (both === null) return
    const { ours, theirs } = both
    for (const letters of ['KEAmn', 'KA', 'Ex$', 'Kgnm', 'A']) {
      for (const protocol of ['2', '3'] as const) {
        if (letters !== 'KEAmn' && protocol === '3') continue
        const our = await play(ours.port, lines, { letters, protocol })
        const their = await play(theirs.port, lines, { letters, protocol })
        const isTimed = lines.some((line) => /wait|PXAT 1$/.test(line))
        const what = `${letters}, RESP${protocol}`
        // When a key that is over goes is up to the server.
        if (isTimed) t.deepEqual(our.map(messageOf).join(''), their.map(messageOf).join(''), what)
        else t.deepEqual(our, their, what)
      }
    }
  })
}

test.serial('letters are taken and printed as Redis does', async (t) => {
  const both = bothFor(t)
  if (both === null) return
  const { ours, theirs } = both
  const given = ['', 'KEA', 'AKE', 'g$lshzxetd', 'Kg', 'KEmn', 'nmEK', 'Ex', 'xE', 'A', 'AmnKE']
  const wrong = ['Kq', 'ka', 'K E', 'KgEAx', '$', 'lshztd', 'Kn', 'd', 'AA', 'Kxx', 'KEAt']
  for (const letters of [...given, ...wrong]) {
    const replies = await Promise.all(
      [ours, theirs].map(async ({ port }) => {
        const party = await Party.open(port)
        const set = await party.ask('CONFIG', 'SET', 'notify-keyspace-events', letters)
        const got = await party.ask('CONFIG', 'GET', 'notify-keyspace-events')
        party.close()
        return set + got
      }),
    )
    t.is(replies[0], replies[1], letters)
  }
})
