/*
 * CLIENT TRACKING beside redis-server: the same commands of several clients, and all that each of them
 * was sent compared byte for byte.
 */
import test, { type ExecutionContext } from 'ava'
import { CommandTable } from '../../server/command.ts'
import { commands } from '../../server/commands/index.ts'
import { startBoth } from './both.ts'
import { Party } from './parties.ts'

const table = new CommandTable(commands)

/** Do we have this command? */
function isKnown(command: string): boolean {
  const name = Buffer.from(command.split(' ')[0]!)
  return table.find(name, 0, name.length) !== null
}

/**
 * Lines are `who: command ; command`, where `{b}` is the id of b's connection; `who!` waits until it is
 * told something. Connections speak RESP3, those with a capital letter RESP2.
 */
const scenes: Readonly<Record<string, readonly string[]>> = {
  'what was read is told once, and then when it was read anew': [
    'a: CLIENT TRACKING ON',
    'b: SET k 1',
    'a: GET k',
    'b: SET k 2',
    'b: SET k 3',
    'a: GET k',
    'a: GET k',
    'b: SET k 3',
  ],
  'its own change is told behind the reply': [
    'a: CLIENT TRACKING ON',
    'a: GET k',
    'a: SET k 1 ; PING',
    'a: MGET k j',
    'a: MSET k 1 j 2 ; PING',
    'a: MGET k j',
    'a: DEL j k ; PING',
    'a: GET k ; SET k 1 ; GET k ; SET k 2 ; PING',
  ],
  'a change is told before what is published after it': [
    'a: CLIENT TRACKING ON',
    'a: SUBSCRIBE ch',
    'a: GET k',
    'b: SET k 1 ; PUBLISH ch m ; SET k 2',
    'a: GET k',
    'a: SET k 3 ; PUBLISH ch m ; PING',
  ],
  'NOLOOP keeps quiet about its own': [
    'a: CLIENT TRACKING ON NOLOOP',
    'a: GET k',
    'a: SET k 1 ; PING',
    'b: SET k 2',
    'a: GET k',
    'b: SET k 2',
    'a: MGET k j',
    'a: MSET k 1 j 2',
    'b: DEL j k',
  ],
  'every command that reads counts, and none that writes': [
    'a: CLIENT TRACKING ON',
    ...[
      'STRLEN k',
      'EXISTS k',
      'EXISTS x k y',
      'TTL k',
      'PTTL k',
      'TYPE k',
      'GETRANGE k 0 1',
      'SUBSTR k 0 1',
      'DUMP k',
      'GETBIT k 0',
      'BITCOUNT k',
      'LCS k x',
      'TOUCH k',
      'OBJECT ENCODING k',
      'MGET x k',
      'EXPIRETIME k',
      'GETEX k',
      'GETSET k 1',
      'APPEND k 1',
      'INCR k',
      'DBSIZE',
    ]
      .filter(isKnown)
      .flatMap((command) => ['b: SET k 1', `a: ${command}`, 'b: SET k 1', 'b: MSET x 1 y 1']),
  ],
  'every kind of change': [
    'a: CLIENT TRACKING ON',
    ...[
      'SET k 1',
      'SET k 1 KEEPTTL',
      'SET k 1 NX',
      'SET k 1 XX',
      'SET k 2 GET',
      'SETNX k 1',
      'GETSET k 3',
      'APPEND k 4',
      'INCR k',
      'INCRBYFLOAT k 1',
      'SETRANGE k 0 9',
      'EXPIRE k 100',
      'PERSIST k',
      'PERSIST k',
      'GETEX k',
      'GETEX k EX 100',
      'GETEX k PERSIST',
      'MSET j 1 k 5',
      'RENAME k j',
      'RENAME j k',
      'COPY k j REPLACE',
      'COPY j k REPLACE',
      'GETDEL k',
      'GETDEL k',
      'SETEX k 100 1',
      'UNLINK k',
      'DEL k',
      'MSETNX k 1 l 1',
      'MOVE k 1',
      'SETBIT k 0 1',
      'BITOP NOT k l',
    ]
      .filter(isKnown)
      .flatMap((command) => ['a: GET k', `b: ${command}`]),
  ],
  'the old name is told before the new one': [
    'a: CLIENT TRACKING ON',
    'b: MSET x 1 y 2',
    'a: MGET x y',
    'b: RENAME x y',
    'b: SET x 1',
    'a: MGET y x',
    'b: RENAME x y',
    'a: MGET y x',
    'b: RENAMENX y x',
    'b: MULTI ; SET y 1 ; RENAME x y ; EXEC',
  ],
  'a missing key is told when it comes': [
    'a: CLIENT TRACKING ON',
    'a: GET k',
    'b: SET k 1',
    'a: MGET x y',
    'b: MSET y 1 x 1',
  ],
  'an expiry is told': [
    'a: CLIENT TRACKING ON',
    'b: SET k 1 PX 500',
    'a: GET k',
    'a!',
    'a: GET k',
    'b: SET k 1',
    'a: GET k',
    'b: PEXPIRE k 60000',
    'a: TTL x',
    'a: PEXPIRETIME x',
  ],
  'FLUSHALL and FLUSHDB are told everybody, in one word': [
    'a: CLIENT TRACKING ON',
    'c: CLIENT TRACKING ON BCAST PREFIX x',
    'd: CLIENT TRACKING ON NOLOOP',
    'a: GET k',
    'b: FLUSHALL',
    'a: GET k',
    'a: FLUSHDB ; PING',
    'd: FLUSHALL ASYNC ; PING',
    'b: SET k 1',
    'b: FLUSHDB SYNC NOW',
  ],
  'OPTIN: only what was asked for': [
    'a: CLIENT TRACKING ON OPTIN',
    'a: GET k',
    'b: SET k 1',
    'a: CLIENT CACHING YES ; GET k ; GET j',
    'b: MSET k 1 j 1',
    'a: CLIENT CACHING YES ; CLIENT ID ; GET k',
    'b: SET k 1',
    'a: CLIENT CACHING YES ; PING ; GET k',
    'b: SET k 1',
    'a: CLIENT CACHING YES ; CLIENT CACHING NO ; MGET k j',
    'b: MSET k 1 j 1',
    'a: CLIENT CACHING YES',
    'a: CLIENT TRACKINGINFO',
    'a: GET k',
    'a: CLIENT TRACKINGINFO',
  ],
  'OPTOUT: all but what was asked for': [
    'a: CLIENT TRACKING ON OPTOUT',
    'a: GET k',
    'b: SET k 1',
    'a: CLIENT CACHING NO ; GET k ; GET j',
    'b: MSET k 1 j 1',
    'a: CLIENT CACHING NO ; CLIENT TRACKINGINFO',
    'a: CLIENT CACHING YES',
  ],
  'a refused command uses up what was asked for': [
    'a: CLIENT TRACKING ON OPTOUT',
    ...[
      'foo',
      'GET',
      'MULTI x',
      'CLIENT',
      'CLIENT foo',
      'CLIENT CACHING',
      'CLIENT ID x',
      'OBJECT foo k',
      'EXEC',
      'DISCARD',
      'MULTI ; DISCARD',
      'MULTI ; foo ; EXEC',
      'MULTI ; foo ; CLIENT ID ; GET k ; DISCARD',
    ].flatMap((command) => [`a: CLIENT CACHING NO ; ${command} ; GET k`, 'b: SET k 1']),
    'c: CLIENT TRACKING ON OPTIN',
    ...['foo', 'GET', 'CLIENT foo', 'CLIENT ID x', 'EXEC'].flatMap((command) => [
      `c: CLIENT CACHING YES ; ${command} ; GET k`,
      'b: SET k 1',
    ]),
  ],
  'BCAST: all that begins so, in one message a prefix': [
    'a: CLIENT TRACKING ON BCAST PREFIX b PREFIX a',
    'b: MSET b2 1 a1 1 b1 1 c 1',
    'b: SET b1 1 ; SET a1 1 ; SET b1 2 ; DEL a1 ; DEL a1',
    'a: SET b 1',
    'a: SET c 1',
    'c: CLIENT TRACKING ON BCAST PREFIX b NOLOOP',
    'c: SET b1 1',
    'b: SET b1 1 ; SET a2 1',
    'b: GET b1',
    'a: CLIENT TRACKING OFF',
    'b: SET b1 1',
  ],
  'BCAST without a prefix: everything': [
    'a: CLIENT TRACKING ON BCAST',
    'b: SET x 1 ; SET "" 2',
    'a: CLIENT TRACKINGINFO',
    'a: GET x',
    'b: SET x 2',
    'b: SET y 1 PX 500',
    'a!',
  ],
  'prefixes of a client do not overlap': [
    'a: CLIENT TRACKING ON BCAST PREFIX ab PREFIX cd',
    'a: CLIENT TRACKING ON BCAST PREFIX a',
    'a: CLIENT TRACKING ON BCAST PREFIX abc',
    'a: CLIENT TRACKING ON BCAST PREFIX cd',
    'a: CLIENT TRACKING ON BCAST PREFIX x PREFIX xy',
    'a: CLIENT TRACKING ON BCAST PREFIX xy PREFIX x',
    'a: CLIENT TRACKING ON BCAST PREFIX ef',
    'a: CLIENT TRACKINGINFO',
    'a: CLIENT TRACKING ON BCAST NOLOOP PREFIX gh',
    'a: CLIENT TRACKINGINFO',
    'a: CLIENT TRACKING OFF',
    'a: CLIENT TRACKING ON BCAST PREFIX a',
    'a: CLIENT TRACKINGINFO',
  ],
  'what does not go together': [
    ...[
      'TRACKING',
      'TRACKING on',
      'TRACKING off',
      'TRACKING FOO',
      'TRACKING ON FOO',
      'TRACKING ON REDIRECT',
      'TRACKING ON REDIRECT x',
      'TRACKING ON REDIRECT 999999 FOO',
      'TRACKING ON FOO REDIRECT 999999',
      'TRACKING FOO REDIRECT 999999',
      'TRACKING ON REDIRECT 0',
      'TRACKING ON REDIRECT -1',
      'TRACKING ON REDIRECT {b} REDIRECT {b}',
      'TRACKING ON REDIRECT {b} REDIRECT 999999',
      'TRACKING ON REDIRECT 999999 REDIRECT 999999',
      'TRACKING ON REDIRECT 999999 REDIRECT x',
      'TRACKING ON REDIRECT {b} FOO',
      'TRACKING ON PREFIX a',
      'TRACKING ON PREFIX',
      'TRACKING OFF PREFIX a',
      'TRACKING OFF REDIRECT 999999',
      'TRACKING ON BCAST OPTIN',
      'TRACKING ON BCAST OPTOUT',
      'TRACKING ON OPTIN OPTOUT',
      'CACHING YES',
      'CACHING FOO',
      'TRACKING ON',
      'CACHING YES',
      'CACHING NO',
      'TRACKING ON BCAST',
      'TRACKING ON OPTIN',
      'CACHING NO',
      'CACHING FOO',
      'TRACKING ON OPTOUT',
      'TRACKING ON BCAST OPTIN',
      'TRACKING ON NOLOOP',
      'TRACKINGINFO',
      'TRACKING ON OPTOUT',
      'TRACKING ON OPTIN',
      'CACHING YES',
      'TRACKINGINFO',
      'TRACKING OFF',
      'TRACKING ON BCAST',
      'TRACKING ON',
      'TRACKING ON OPTIN',
      'CACHING YES',
      'TRACKING OFF',
      'TRACKING OFF',
      'TRACKINGINFO',
      'GETREDIR',
      'CACHING',
      'GETREDIR x',
      'TRACKINGINFO x',
    ].map((command) => `${command.includes('{b}') ? 'b: PING\n' : ''}a: CLIENT ${command}`),
  ].flatMap((lines) => lines.split('\n')),
  'who tracks again hears of what it read before': [
    'a: CLIENT TRACKING ON',
    'a: GET k',
    'a: CLIENT TRACKING OFF',
    'a: CLIENT TRACKING ON',
    'b: SET k 1',
    'a: GET k',
    'a: CLIENT TRACKING OFF',
    'b: SET k 1',
    'a: CLIENT TRACKING ON',
    'b: SET k 1',
  ],
  'in RESP2 nobody hears of its own': [
    'A: CLIENT TRACKING ON',
    'A: GET k',
    'b: SET k 1',
    'b: FLUSHALL',
    'A: GET k',
    'A: HELLO 3',
    'b: SET k 1',
  ],
  'a subscriber in RESP2 hears for another': [
    'A: SUBSCRIBE __redis__:invalidate',
    'B: CLIENT TRACKING ON REDIRECT {A}',
    'B: GET k',
    'c: SET k 1',
    'B: GET k',
    'B: SET k 2',
    'B: GET j',
    'c: FLUSHALL',
    'B: CLIENT GETREDIR',
    'B: CLIENT TRACKINGINFO',
    'A: UNSUBSCRIBE',
    'B: GET k',
    'c: SET k 3',
    'A: SUBSCRIBE whatever',
    'B: GET k',
    'c: SET k 3',
  ],
  'a connection in RESP3 hears for others': [
    'a: PING',
    'b: CLIENT TRACKING ON REDIRECT {a}',
    'C: CLIENT TRACKING ON BCAST REDIRECT {a} PREFIX x',
    'b: GET k',
    'b: SET k 1',
    'b: MSET x 1 k 1',
    'b: CLIENT TRACKING ON REDIRECT {b}',
    'b: GET k',
    'b: SET k 1 ; PING',
    'b: CLIENT TRACKING ON',
    'b: CLIENT GETREDIR',
  ],
  'a redirection to who is gone is broken': [
    'a: PING',
    'b: CLIENT TRACKING ON REDIRECT {a}',
    'C: CLIENT TRACKING ON REDIRECT {a}',
    'b: GET k',
    'C: GET k',
    'a: QUIT',
    'd: SET k 1',
    'b: CLIENT TRACKINGINFO',
    'C: CLIENT TRACKINGINFO',
    'b: CLIENT GETREDIR',
    'b: GET k',
    'b: SET k 1 ; PING',
    'd: FLUSHALL',
    'b: CLIENT TRACKING ON',
    'b: CLIENT TRACKINGINFO',
  ],
  'RESET ends it': [
    'a: CLIENT TRACKING ON BCAST PREFIX x',
    'a: RESET',
    'a: CLIENT TRACKINGINFO',
    'b: SET x 1',
    'a: CLIENT GETREDIR',
  ],
  'CLIENT REPLY does not silence it': [
    'a: CLIENT TRACKING ON',
    'a: GET k',
    'a: CLIENT REPLY OFF ; SET k 1 ; GET k ; CLIENT REPLY ON',
    'b: SET k 1',
    'a: CLIENT REPLY SKIP ; GET k ; PING',
    'a: CLIENT REPLY SKIP ; SET k 1 ; PING',
  ],
  'HELLO changes how it comes': [
    'a: CLIENT TRACKING ON',
    'a: GET k',
    'a: HELLO 2',
    'b: SET k 1',
    'a: GET k',
    'a: HELLO 3',
    'b: SET k 1',
  ],
  'a transaction is told behind its replies': [
    'a: CLIENT TRACKING ON',
    'a: MULTI ; GET k ; SET k 1 ; EXEC ; PING',
    'b: SET k 2',
    'b: SET k 3',
    'a: MGET k j',
    'b: MULTI ; SET k 1 ; SET j 1 ; SET k 2 ; EXEC ; PING',
    'a: MULTI ; GET k ; DISCARD',
    'b: SET k 4',
    'a: WATCH k',
    'b: SET k 5',
    'a: MULTI ; GET k ; EXEC',
    'b: SET k 6',
    'c: CLIENT TRACKING ON NOLOOP',
    'c: GET k',
    'c: MULTI ; SET k 7 ; EXEC ; PING',
    'b: SET k 8',
    'd: CLIENT TRACKING ON BCAST PREFIX k',
    'd: MULTI ; SET k 1 ; SET k1 2 ; EXEC',
    'a: GET k',
    'a: MULTI ; FLUSHALL ; SET k 1 ; EXEC ; PING',
  ],
  'CLIENT CACHING is about a whole transaction': [
    'a: CLIENT TRACKING ON OPTIN',
    'a: CLIENT CACHING YES ; MULTI ; GET k ; GET j ; EXEC ; GET l',
    'b: MSET k 1 j 1 l 1',
    'a: MULTI ; CLIENT CACHING YES ; GET k ; GET j ; EXEC ; GET l',
    'b: MSET k 1 j 1 l 1',
    'a: MULTI ; GET k ; EXEC',
    'b: MSET k 1 j 1 l 1',
    'c: CLIENT TRACKING ON OPTOUT',
    'c: CLIENT CACHING NO ; MULTI ; GET k ; EXEC ; GET l',
    'b: MSET k 1 j 1 l 1',
  ],
  'keys of two databases that change places': [
    'a: CLIENT TRACKING ON',
    'a: GET k',
    'b: SWAPDB 0 1',
    'a: GET k',
    'b: SET k 1',
    'b: SWAPDB 0 1',
  ],
  'names are bytes': [
    'a: CLIENT TRACKING ON',
    'a: MGET \xff\xfe ""',
    'b: MSET \xff\xfe 1 "" 2',
    'c: CLIENT TRACKING ON BCAST PREFIX \xff',
    'b: SET \xff\x00 2',
    'c: CLIENT TRACKING ON BCAST PREFIX \xff\x01',
  ],
}

/** A command as it stands on the wire, latin1. */
function bytesOf(command: string): string {
  const words = command.split(' ').map((word) => (word === '""' ? '' : word))
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
}

/** What everybody was sent by a server, step by step; ids by whose they are. */
async function play(port: number, lines: readonly string[]): Promise<string[]> {
  const parties = new Map<string, Party>()
  const ids = new Map<string, string>()
  const told: string[] = []
  const flush = await Party.open(port)
  await flush.ask('FLUSHALL')
  flush.close()
  const nameIds = (text: string): string => {
    for (const [who, id] of ids) {
      text = text.replaceAll(`:${id}\r\n`, `:{${who}}\r\n`)
    }
    return text
  }
  for (const line of lines) {
    const who = line.slice(0, 1)
    const command = line.slice(3)
    let party = parties.get(who)
    if (party === undefined) {
      party = await Party.open(port)
      parties.set(who, party)
      if (who >= 'a') await party.ask('HELLO', '3')
      ids.set(who, /\d+/.exec(await party.ask('CLIENT', 'ID'))![0])
    }
    if (line[1] === '!') {
      await party.until((received) => received.includes('invalidate'))
    } else {
      const words = command.replaceAll(/\{(.)\}/g, (_, name: string) => ids.get(name)!)
      // At once: what redis-server tells at the end of a turn depends on what is in it.
      party.write(words.split(' ; ').map(bytesOf).join(''))
      await party.settle()
    }
    // What is told at the end of a turn may come behind the first answer.
    for (let round = 0; round < 2; round++) for (const each of parties.values()) await each.settle()
    for (const [name, each] of parties) {
      const text = nameIds(each.take())
      if (text !== '') told.push(`${line}  ${name} <- ${JSON.stringify(text)}`)
    }
  }
  for (const party of parties.values()) party.close()
  return told
}

const bothFor = startBoth()

async function compare(t: ExecutionContext, lines: readonly string[]): Promise<void> {
  const both = bothFor(t)
  if (both === null) return
  const { ours, theirs } = both
  t.deepEqual(await play(ours.port, lines), await play(theirs.port, lines))
}

for (const [title, lines] of Object.entries(scenes)) {
  test.serial(title, (t) => compare(t, lines))
}
