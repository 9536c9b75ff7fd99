/*
 * Publish and subscribe beside redis-server: the same commands of several clients, and all that each of
 * them was sent compared byte for byte.
 */
import test, { type ExecutionContext } from 'ava'
import { startBoth } from './both.ts'
import { Party } from './parties.ts'

/** Lines are `who: command ; command`; a connection begins with its first line. By the fact that they show. */
const scenes: Readonly<Record<string, readonly string[]>> = {
  'a message reaches who is subscribed': [
    'a: SUBSCRIBE news',
    'b: PUBLISH news hello',
    'b: PUBLISH other hello',
    'b: PUBLISH news again',
  ],
  'subscribing twice counts once': [
    'a: SUBSCRIBE x x y',
    'a: SUBSCRIBE x',
    'b: PUBLISH x 1',
    'b: PUBSUB NUMSUB x y z',
  ],
  'channels and patterns are counted together, shard channels apart': [
    'a: SUBSCRIBE x y',
    'a: PSUBSCRIBE p*',
    'a: SSUBSCRIBE s t',
    'a: PSUBSCRIBE q? p*',
    'a: UNSUBSCRIBE x',
    'a: SUNSUBSCRIBE s',
    'a: PUNSUBSCRIBE nothing',
    'a: PUNSUBSCRIBE p* q?',
    'a: SUNSUBSCRIBE t',
    'a: UNSUBSCRIBE y',
    'a: GET k',
  ],
  'who is subscribed to nothing leaves nothing': [
    'a: UNSUBSCRIBE',
    'a: PUNSUBSCRIBE',
    'a: SUNSUBSCRIBE',
    'a: UNSUBSCRIBE x y',
    'a: SUBSCRIBE x',
    'a: PUNSUBSCRIBE',
    'a: SUNSUBSCRIBE',
    'a: UNSUBSCRIBE x x',
    'a: UNSUBSCRIBE',
  ],
  'all are left at once': ['a: SUBSCRIBE x', 'a: UNSUBSCRIBE', 'b: PUBLISH x 1', 'a: PING'],
  'a pattern and a channel that both match are two messages': [
    'a: SUBSCRIBE news.art',
    'a: PSUBSCRIBE news.*',
    'b: PUBLISH news.art x',
    'b: PUBLISH news.music x',
    'b: PUBLISH NEWS.art x',
  ],
  'patterns are globs': [
    'a: PSUBSCRIBE h?llo',
    'b: PSUBSCRIBE h[ae]llo h\\*',
    'c: PUBLISH hello 1',
    'c: PUBLISH hillo 1',
    'c: PUBLISH h* 1',
    'c: PUBLISH hallo 1',
    'c: PUBSUB NUMPAT',
  ],
  'a shard channel is none that PUBLISH or a pattern reaches': [
    'a: SSUBSCRIBE x',
    'a: SUBSCRIBE x',
    'a: PSUBSCRIBE *',
    'b: SPUBLISH x sharded',
    'b: PUBLISH x plain',
    'b: SPUBLISH y nobody',
    'b: PUBSUB SHARDCHANNELS',
    'b: PUBSUB SHARDNUMSUB x y',
    'b: PUBSUB CHANNELS',
  ],
  'PUBSUB tells what there is': [
    'a: PUBSUB CHANNELS',
    'a: PUBSUB NUMSUB',
    'a: PUBSUB NUMPAT',
    'b: SUBSCRIBE abc',
    'c: PSUBSCRIBE a* b*',
    'd: PSUBSCRIBE a*',
    'a: PUBSUB CHANNELS',
    'a: PUBSUB CHANNELS a*',
    'a: PUBSUB CHANNELS b*',
    'a: PUBSUB NUMSUB abc abc x',
    'a: PUBSUB NUMPAT',
    'a: PUBSUB CHANNELS a b',
    'a: PUBSUB SHARDCHANNELS a b',
    'a: PUBSUB NUMPAT x',
    'a: PUBSUB NOPE',
    'a: PUBSUB',
    'a: PUBLISH x',
    'a: SUBSCRIBE',
    'a: PUBLISH x y z',
    'a: SPUBLISH x',
  ],
  'a subscriber may say little in RESP2, and all in RESP3': [
    'a: SUBSCRIBE x',
    'a: GET k',
    'a: SET k v',
    'a: PUBLISH x y',
    'a: CLIENT LIST ID',
    'a: CONFIG GET databases',
    'a: HELLO 2',
    'a: ECHO hello',
    'a: nonsense',
    'a: GET',
    'a: CLIENT nonsense',
    'a: PING',
    'a: PING hello',
    'a: PING hello world',
    'a: SSUBSCRIBE s',
    'a: UNSUBSCRIBE',
    'a: GET k',
    'a: SUNSUBSCRIBE',
    'a: GET k',
    'a: PING',
  ],
  'a publisher that is subscribed hears before it is answered': [
    'a: SUBSCRIBE x',
    'a: PSUBSCRIBE x*',
    'a: PUBLISH x mine',
    'a: ECHO done',
  ],
  'HELLO changes how messages come': [
    'a: HELLO 3',
    'a: SUBSCRIBE x',
    'b: PUBLISH x three',
    'a: HELLO 2',
    'b: PUBLISH x two',
    'a: UNSUBSCRIBE x',
  ],
  'RESET leaves all': [
    'a: SUBSCRIBE x',
    'a: PSUBSCRIBE y*',
    'a: SSUBSCRIBE z',
    'b: PUBSUB NUMPAT',
    'a: RESET',
    'b: PUBLISH x 1',
    'b: PUBLISH yy 1',
    'b: SPUBLISH z 1',
    'b: PUBSUB CHANNELS',
    'b: PUBSUB NUMPAT',
    'a: GET k',
  ],
  'QUIT leaves all': [
    'a: SUBSCRIBE x',
    'b: PUBSUB NUMSUB x',
    'a: QUIT',
    'b: PUBSUB NUMSUB x',
    'b: PUBLISH x 1',
  ],
  'CLIENT KILL TYPE pubsub closes subscribers': [
    'a: SUBSCRIBE x',
    'b: PSUBSCRIBE x',
    'c: SSUBSCRIBE x',
    'd: PING',
    'd: CLIENT KILL TYPE pubsub',
    'd: PUBLISH x 1',
    'd: CLIENT KILL TYPE pubsub',
  ],
  'messages are bytes, and empty names are names': [
    'a: SUBSCRIBE ""',
    'b: PUBLISH "" ""',
    'a: PSUBSCRIBE *',
    'b: PUBLISH "" ""',
    'b: PUBLISH \xff\xfe \xfd',
    'b: PUBSUB NUMSUB ""',
  ],
  'CLIENT REPLY keeps quiet about what was asked': [
    'a: SUBSCRIBE x',
    'b: CLIENT REPLY SKIP ; PUBLISH x 1 ; PUBLISH x 2',
    'c: CLIENT REPLY OFF ; SUBSCRIBE x ; UNSUBSCRIBE x ; CLIENT REPLY ON',
    'd: HELLO 3',
    'd: CLIENT REPLY OFF ; SUBSCRIBE x y ; PUBLISH x 3 ; CLIENT REPLY ON',
    'b: PUBLISH x 4',
  ],
}

function wordsOf(text: string): Buffer[] {
  return text.split(' ').map((word) => Buffer.from(word === '""' ? '' : word, 'latin1'))
}

/** What everybody was sent by a server, step by step. */
async function play(port: number, lines: readonly string[], protocol: 2 | 3): Promise<string[]> {
  const parties = new Map<string, Party>()
  const told: string[] = []
  const flush = await Party.open(port)
  await flush.ask('FLUSHALL')
  flush.close()
  for (const line of lines) {
    const who = line.charAt(0)
    const command = line.slice(3)
    let party = parties.get(who)
    if (party === undefined) {
      party = await Party.open(port)
      parties.set(who, party)
      if (protocol === 3) await party.ask('HELLO', '3')
    }
    for (const each of command.split(' ; ')) party.send(...wordsOf(each))
    await party.settle()
    for (const other of parties.values()) if (other !== party) await other.settle()
    for (const [name, each] of parties) {
      const text = each.take().replace(/(id\r\n:)\d+/, '$1')
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
  for (const protocol of [2, 3] as const) {
    const our = await play(ours.port, lines, protocol)
    const their = await play(theirs.port, lines, protocol)
    t.deepEqual(our, their, `RESP${protocol}`)
  }
}

for (const [title, lines] of Object.entries(scenes)) {
  test.serial(title, (t) => compare(t, lines))
}
