import test from 'ava'
import type { Loaded, Loader } from '../../../cluster/origin/loader.ts'
import { Peer } from '../../../cluster/peers/peer.ts'
import { PeerError, PeerStatus, type PeerValue } from '../../../cluster/peers/replies.ts'
import { keySlot } from '../../../cluster/slots.ts'
import { FakeOwner } from '../../cluster/peers/fake-owner.ts'
import { LocalNetwork } from '../../sim/network.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'
import { startInProcess } from '../in-process.ts'

const SELF = '127.0.0.1:7001'
const OTHER = '127.0.0.1:7002'
const SECRET = 'a secret of this test'
/** The other node's incarnation. */
const PROCESS = '0123456789abcdef'

/** A node and another one, of which the test says what it answers. */
async function pair(...given: readonly string[]) {
  return pairWith({}, ...given)
}

async function pairWith(options: { loader?: Loader }, ...given: readonly string[]) {
  const clock = new VirtualClock()
  const network = new LocalNetwork()
  const args = [
    '--cluster-self',
    SELF,
    '--cluster-peers',
    OTHER,
    '--cluster-secret',
    SECRET,
    ...given,
  ]
  const node = await startInProcess(args, { ...options, clock, network })
  const { server } = node
  network.listen(SELF, (stream) => server.handle(stream))
  const other = new FakeOwner(OTHER, SECRET)
  other.incarnation = PROCESS
  const words: string[] = []
  const state = { hears: true, live: ':1\r\n', takes: true, taken: '$-1\r\n', seesOther: false }
  other.onRequest = ({ id, args: [name = '', verb] }) => {
    if (!state.hears) return
    words.push(verb ?? name)
    if (verb === 'TAKE') {
      if (state.takes) other.answer(id, state.taken)
      return
    }
    other.answer(id, verb === 'LIVE' ? state.live : name === 'GET' ? '$-1\r\n' : '+OK\r\n')
  }
  network.listen(OTHER, (stream) => other.accept(stream))
  await server.listen()
  await clock.advance(150)
  const membership = server.routing.membership!
  const link = new Peer(
    { clock, network, random: new SeededRandom(5) },
    { name: SELF, host: '127.0.0.1', port: 7001 },
    {
      ...{ self: OTHER, secret: SECRET, replyBytesMax: 10_000 },
      view: () => membership.viewHash + (state.seesOther ? 1 : 0),
    },
  )
  /** Has the other node ask this one; the answer comes when time passes. */
  const send = (...asked: string[]): Promise<string> => {
    const bytes = asked.map((word) => Buffer.from(word))
    return new Promise((resolve) => {
      link.request(bytes, { deadlineMs: 2000, keyAt: -1, share: false }, (outcome, value) => {
        resolve(outcome === 'reply' ? textOf(value) : outcome)
      })
    })
  }
  const wait = async (sent: Promise<string>): Promise<string> => {
    let reply: string | undefined
    void sent.then((text) => (reply = text.trim()))
    await clock.until(() => reply !== undefined)
    return reply!
  }
  const ask = (...asked: string[]): Promise<string> => wait(send(...asked))
  const client = node.connect()
  const say = (...said: string[]): Promise<string> => wait(client.command(...said))
  /** The other one answers nothing, until it is down here. */
  const lose = async (): Promise<void> => {
    state.hears = false
    network.hang(OTHER)
    await clock.until(() => !membership.isLive(OTHER))
  }
  const find = async (): Promise<void> => {
    state.hears = true
    words.length = 0
    network.listen(OTHER, (stream) => other.accept(stream))
    await clock.until(() => membership.isLive(OTHER))
  }
  const end = (): void => {
    link.close()
    server.shutdown()
  }
  const keys = Array.from({ length: 100 }, (_, i) => `key:${i}`)
  const isOwn = (key: string): boolean => server.routing.isHere(Buffer.from(key))
  const theirs = keys.find((key) => !isOwn(key))!
  const own = keys.find(isOwn)!
  const members = { own, theirs, membership }
  return {
    ...node,
    ...members,
    keys,
    isOwn,
    clock,
    state,
    words,
    client,
    send,
    wait,
    ask,
    say,
    lose,
    find,
    end,
  }
}

function textOf(value: PeerValue): string {
  if (value instanceof PeerStatus) return value.text
  if (value instanceof PeerError) return value.line
  if (Array.isArray(value)) return (value as readonly PeerValue[]).map(textOf).join(',')
  return Buffer.isBuffer(value) ? value.toString() : JSON.stringify(value)
}

const slotOf = (key: string): number => keySlot(Buffer.from(key), 0, key.length)

test('who was down is told to rejoin, and back when it has said that it has', async (t) => {
  const { words, lose, find, end } = await pair()
  t.false(words.includes('REJOIN'))
  await lose()
  await find()
  t.deepEqual(
    words.filter((word) => word !== 'VIEW'),
    ['REJOIN'],
  )
  end()
})

test('what a node has of a slot that it lost is seen by nobody, and gone when it is its own again', async (t) => {
  const { server, clock, ask, say, lose, find, end, theirs } = await pair()
  const { slotStates } = server
  await lose()
  t.is(await say('SET', theirs, 'stand-in'), '+OK')
  t.is(slotStates.of(slotOf(theirs)), 'own')
  await find()
  t.is(slotStates.of(slotOf(theirs)), 'stale')
  t.true(server.routing.ownership!.keepsFor(slotOf(theirs), OTHER, PROCESS))
  t.is(server.store.size(0), 1, 'it is kept for the owner')
  t.is(await ask('KEYS', '*'), '')
  t.is(await ask('SCAN', '0'), '0,')
  await lose()
  t.is(await say('GET', theirs), '$-1')
  t.is(await say('SET', theirs, 'again'), '+OK')
  await find()
  t.is(await ask('GET', theirs), 'null', 'also when the owner is passed over for this request')
  t.is(await ask('SET', theirs, 'passing'), 'OK')
  t.is(await ask('GET', theirs), 'passing')
  await clock.advance(1_100)
  t.is(await ask('GET', theirs), 'null', 'that was for a moment only')
  await clock.advance(62_000)
  t.is(slotStates.of(slotOf(theirs)), 'clean')
  t.is(server.store.size(0), 0)
  end()
})

test('what is kept for a node is given to it once, and nothing else is given', async (t) => {
  const { server, clock, state, ask, say, send, wait, ...rest } = await pair()
  const { lose, find, end, own, theirs } = rest
  await lose()
  t.is(await say('SET', own, 'mine'), '+OK')
  t.is(await say('SET', theirs, 'stand-in', 'PX', '100000'), '+OK')
  await find()
  t.is(await ask('PEER', 'TAKE', own, PROCESS), 'null')
  t.is(await say('GET', own), '$4\r\nmine')
  t.regex(await ask('PEER', 'TAKE', theirs, PROCESS), /^{"endsMs":9\d{4}.*},stand-in$/)
  t.is(await ask('PEER', 'TAKE', theirs, PROCESS), 'null')
  t.is(server.store.size(0), 1)
  state.hears = false
  await clock.leap(5_000)
  const asked = send('PEER', 'TAKE', theirs, PROCESS)
  await clock.settle()
  t.true(server.gate.doubtsKeys, 'in doubt it waits')
  t.is(await wait(asked), 'lost', 'and who did not say that all is well is not answered')
  t.false(server.gate.doubtsKeys)
  end()
})

test('who has not seen yet that a slot has another owner reads what that one has not fetched', async (t) => {
  const { clock, state, ask, say, lose, find, end, theirs } = await pair()
  await lose()
  t.is(await say('SET', theirs, 'stand-in'), '+OK')
  await find()
  state.seesOther = true
  for (const _ of [1, 2]) t.is(await ask('GET', theirs), 'stand-in')
  t.regex(await ask('PEER', 'TAKE', theirs, PROCESS), /,stand-in$/)
  t.is(await ask('GET', theirs), 'null')
  t.is(await ask('SET', theirs, 'passing'), 'OK')
  await lose()
  t.is(await say('SET', theirs, 'again'), '+OK')
  await find()
  await clock.advance(2000)
  t.is(await ask('GET', theirs), 'null', 'by now all have seen it')
  end()
})

test('without a window for it nothing is asked for, and nothing is kept', async (t) => {
  const { server, clock, words, ask, say, lose, find, end, own, theirs } = await pair(
    ...['--cluster-handoff', '0'],
  )
  t.is(await say('SET', own, 'v'), '+OK')
  t.false(words.includes('TAKE'))
  await lose()
  t.is(await say('SET', theirs, 'stand-in'), '+OK')
  await find()
  t.is(await ask('PEER', 'TAKE', theirs, PROCESS), 'null')
  await clock.advance(2_100)
  t.is(server.slotStates.of(slotOf(theirs)), 'clean')
  t.is(server.store.size(0), 1, 'what is its own')
  end()
})

test('what nobody may see is not counted, nor drawn at random', async (t) => {
  const { server, clock, ask, say, lose, find, end, own, keys, isOwn } = await pair()
  const { slotStates } = server
  const hidden = keys.filter((key) => !isOwn(key)).slice(0, 5)
  await lose()
  for (const key of hidden) t.is(await say('SET', key, 'stand-in', 'EX', '100'), '+OK')
  t.is(await ask('DBSIZE'), '5')
  t.false(slotStates.hidesAny)
  await find()
  await clock.settle()
  t.is(server.store.size(0), 5)
  t.is(await ask('DBSIZE'), '0')
  t.is(await ask('RANDOMKEY'), 'null')
  t.notRegex(await say('INFO', 'keyspace'), /db0/)
  t.is(await say('SET', own, 'v'), '+OK')
  t.is(await ask('DBSIZE'), '1')
  for (let i = 0; i < 10; i++) t.is(await ask('RANDOMKEY'), own)
  t.regex(await say('INFO', 'keyspace'), /db0:keys=1,expires=1,/)
  t.regex(await ask('PEER', 'TAKE', hidden[0]!, PROCESS), /stand-in/)
  t.is(await ask('GET', hidden[1]!), 'null', 'a visit removes it')
  t.is(server.store.size(0), 4)
  t.is(await ask('DBSIZE'), '1')
  server.store.delete(0, Buffer.from(hidden[2]!), 0, hidden[2]!.length)
  await clock.advance(11_000)
  t.is(slotStates.hiddenKeys, 2, 'what goes otherwise is noticed after a while')
  t.is(await ask('DBSIZE'), '1')
  await clock.advance(62_000)
  t.false(slotStates.hidesAny)
  t.is(await ask('DBSIZE'), '1')
  end()
})

test('who waited for a load while the node stood still hears what is known afterwards', async (t) => {
  const loads: ((loaded: Loaded) => void)[] = []
  const loader: Loader = {
    load: () => new Promise((resolve) => loads.push(resolve)),
    close: () => Promise.resolve(),
  }
  const group = 'key match key:{id} origin http://h/{id} ttl 100s wait 30s timeout 30s'
  const { clock, state, words, client, server, send, wait, end, keys, isOwn } = await pairWith(
    { loader },
    ...['--group', group],
  )
  const [one, two, three, four] = keys.filter(isOwn) as [string, string, string, string]
  const bring = (text: string): void => loads.shift()!({ value: Buffer.from(text) })
  const rejoin = async (): Promise<void> => {
    const rejoined = send('PEER', 'REJOIN')
    await clock.until(() => !server.gate.doubtsKeys)
    t.is(await wait(rejoined), 'OK')
  }

  let replies = [
    client.command('GET', one),
    client.command('MGET', two),
    client.command('STRLEN', three),
  ]
  await clock.until(() => loads.length === 3)
  state.live = ':0\r\n'
  await clock.leap(2_000)
  // What the first one waits for lies in the socket.
  bring('old')
  await clock.settle()
  t.true(server.gate.doubtsKeys)
  const taken = words.filter((word) => word === 'TAKE').length
  await rejoin()
  bring('old')
  bring('old')
  await clock.until(() => loads.length === 3)
  t.is(words.filter((word) => word === 'TAKE').length, taken + 3)
  for (let i = 0; i < 3; i++) bring('newer')
  t.deepEqual(await Promise.all(replies.map(wait)), ['$5\r\nnewer', '*1\r\n$5\r\nnewer', ':5'])

  // Nobody has missed it: there is nothing newer.
  replies = [client.command('GET', four)]
  await clock.until(() => loads.length === 1)
  state.live = ':1\r\n'
  await clock.leap(2_000)
  bring('right')
  t.is(await wait(replies[0]!), '$5\r\nright')
  t.is(loads.length, 0)
  end()
})

test('who answers no question is asked for a few keys, and then for none in a while', async (t) => {
  const { server, clock, state, words, say, end, keys, isOwn } = await pair()
  const own = keys.filter(isOwn)
  const taken = (): number => words.filter((word) => word === 'TAKE').length
  state.takes = false
  for (const key of own.slice(0, 10)) t.is(await say('GET', key), '$-1')
  t.is(taken(), 3)
  t.is(server.takeover!.counters.givenUp, 10)
  state.takes = true
  state.taken = '*2\r\n$29\r\n{"endsMs":null,"extras":null}\r\n$1\r\nv\r\n'
  await clock.advance(1_000)
  t.is(await say('GET', own[0]!), '$-1', 'it was given up')
  t.is(await say('GET', own[10]!), '$1\r\nv')
  t.is(taken(), 4)
  end()
})

test('an entry that no node of ours would send is none', async (t) => {
  const { server, state, say, end, keys, isOwn } = await pair()
  const own = keys.filter(isOwn)
  const line = '$29\r\n{"endsMs":null,"extras":null}\r\n'
  const wrong = [
    ...['+OK\r\n', ':1\r\n', '*0\r\n', `*1\r\n${line}`, `*2\r\n${line}:1\r\n`],
    // Missing for ever.
    `*2\r\n${line}$-1\r\n`,
    '*2\r\n$-1\r\n$1\r\nv\r\n',
  ]
  for (const [i, taken] of wrong.entries()) {
    state.taken = taken
    t.is(await say('GET', own[i]!), '$-1', taken)
  }
  t.is(server.takeover!.counters.moved, 0)
  t.is(server.store.size(0), 0)
  end()
})

test('keys that this process has touched are not asked for again when it is told to rejoin', async (t) => {
  const { words, ask, say, end, own } = await pair()
  t.is(await say('SET', own, 'v'), '+OK')
  t.is(words.filter((word) => word === 'TAKE').length, 1)
  t.is(await ask('PEER', 'REJOIN'), 'OK')
  t.is(await say('GET', own), '$-1')
  t.is(words.filter((word) => word === 'TAKE').length, 1)
  t.is(await say('GET', `{${own}}1`), '$-1')
  t.is(words.filter((word) => word === 'TAKE').length, 2)
  end()
})

test('after it stood still keys are asked for again of who had it down, and of nobody else', async (t) => {
  const { server, clock, state, words, ask, send, wait, say, end, own } = await pair()
  const taken = (): number => words.filter((word) => word === 'TAKE').length
  t.is(await say('SET', own, 'v'), '+OK')
  t.is(taken(), 1)
  state.live = '-ERR\r\n'
  await clock.leap(5_000)
  await clock.until(() => !server.gate.doubtsKeys)
  t.is(await say('GET', own), '$-1', 'it has forgotten all')
  t.is(taken(), 1, 'but the other one may keep what is older')
  state.live = ':0\r\n'
  await clock.leap(5_000)
  t.true(server.gate.doubtsKeys)
  const rejoined = send('PEER', 'REJOIN')
  await clock.until(() => !server.gate.doubtsKeys)
  t.is(await wait(rejoined), 'OK')
  t.is(await say('GET', own), '$-1')
  t.is(taken(), 2)
  t.is(await ask('PEER', 'LIVE'), '1')
  end()
})

test('a stand-in for a moment has what it was told in that moment, and not much later', async (t) => {
  const { server, clock, ask, end, theirs } = await pair()
  t.is(await ask('SET', theirs, 'v'), 'OK')
  t.is(await ask('GET', theirs), 'v')
  t.is(server.slotStates.of(slotOf(theirs)), 'visited')
  await clock.advance(2_100)
  t.is(await ask('GET', theirs), 'null')
  await clock.advance(3_000)
  t.is(server.slotStates.of(slotOf(theirs)), 'clean')
  t.is(await ask('MSET', theirs, 'w'), 'OK')
  t.is(await ask('GET', theirs), 'w')
  end()
})

test('a stand-in has what it was told for longer than it takes until the owner is out of all rings', async (t) => {
  const { clock, ask, say, end, theirs } = await pair('--cluster-node-timeout', '6000')
  t.is(await ask('SET', theirs, 'v'), 'OK')
  await clock.advance(9_900)
  t.is(await ask('GET', theirs), 'v')
  t.is(await say('CONFIG', 'SET', 'cluster-node-timeout', '600'), '+OK')
  await clock.advance(2_100)
  t.is(await ask('GET', theirs), 'null')
  end()
})

test('what a stand-in is told for an owner that was back a while ago, and dies, stays', async (t) => {
  const { server, clock, state, membership, ask, say, lose, find, end, theirs } = await pair()
  await lose()
  t.is(await say('SET', theirs, 'before'), '+OK')
  await find()
  await clock.advance(3000)
  t.is(server.slotStates.of(slotOf(theirs)), 'stale')
  t.is(await ask('SET', theirs, 'in passing'), 'OK')
  t.is(server.slotStates.of(slotOf(theirs)), 'disturbed', 'its owner is heard')
  state.hears = false
  await clock.until(() => membership.member(OTHER)!.state === 'suspect')
  t.is(await ask('SET', theirs, 'passing'), 'OK')
  t.is(server.slotStates.of(slotOf(theirs)), 'visited')
  await lose()
  t.is(await say('GET', theirs), '$7\r\npassing')
  end()
})

test('PEER REJOIN forgets all that is here, also when something else is being removed', async (t) => {
  const { server, ask, say, end, own } = await pair()
  t.is(await say('PEER', 'REJOIN'), '-ERR only nodes of the cluster ask this of each other')
  t.is(await say('PEER', 'LIVE'), '-ERR only nodes of the cluster ask this of each other')
  t.is(await ask('PEER', 'LIVE'), '1')
  t.is(await say('SET', own, 'v'), '+OK')
  t.is(await ask('PEER', 'REJOIN'), 'OK')
  t.is(await say('GET', own), '$-1')
  t.is(await say('SET', own, 'w'), '+OK')
  t.true(server.invalidations.begins({ kind: 'prefix', db: -1, bytes: Buffer.from('x') }))
  t.regex(await ask('PEER', 'REJOIN'), /^ERR what this node had is not forgotten yet$|^OK$/)
  t.is(await say('GET', own), '$-1')
  t.is(await ask('PEER', 'REJOIN'), 'OK')
  end()
})

test('what is watched counts as changed when others may have written it', async (t) => {
  const { ask, say, end, own } = await pair()
  for (const reply of ['*1\r\n+OK', '*-1']) {
    t.is(await say('WATCH', own), '+OK')
    if (reply === '*-1') t.is(await ask('PEER', 'REJOIN'), 'OK')
    t.is(await say('MULTI'), '+OK')
    t.is(await say('SET', `{${own}}`, 'v'), '+QUEUED')
    t.is(await say('EXEC'), reply)
  }
  end()
})

test('a slot that is gained is not answered for before what was hidden in it is removed', async (t) => {
  const { server, clock, say, lose, find, end, theirs, membership } = await pair()
  await lose()
  t.is(await say('SET', theirs, 'old'), '+OK')
  await find()
  const { invalidations } = server
  const begins = invalidations.begins.bind(invalidations)
  // Something else is being removed, for some turns.
  let turns = 5
  invalidations.begins = (matcher) => turns-- <= 0 && begins(matcher)
  let waited = false
  membership.onChange(() => {
    waited = server.gate.doubtsKeys
    t.not(server.slotStates.of(slotOf(theirs)), 'own')
  })
  await lose()
  t.true(waited)
  await clock.settle()
  t.false(server.gate.doubtsKeys)
  t.is(server.slotStates.of(slotOf(theirs)), 'own')
  t.is(await say('GET', theirs), '$-1')
  end()
})

test('after standing still nothing is answered before the others have been asked', async (t) => {
  const { server, clock, client, state, words, ask, say, wait, end, own } = await pair()
  t.is(await say('SET', own, 'v'), '+OK')
  await clock.leap(5_000)
  t.is(await say('GET', own), '$1\r\nv', 'it was missed by nobody')
  t.true(words.includes('LIVE'))
  t.is(server.ownedSlots!.doubt.raised, 1)
  state.live = ':0\r\n'
  await clock.leap(5_000)
  const read = client.command('GET', own)
  await clock.settle()
  t.true(server.gate.doubtsKeys)
  t.is(await ask('PEER', 'REJOIN'), 'OK')
  t.is(await wait(read), '$-1')
  t.false(server.gate.doubtsKeys)
  t.is(server.ownedSlots!.doubt.forgotten, 1)
  end()
})

test('in doubt commands without a key are answered, and what other nodes ask comes in its turn', async (t) => {
  const { server, clock, client, connect, state, send, say, wait, end, own } = await pair()
  t.is(await say('SET', own, 'v'), '+OK')
  state.hears = false
  await clock.leap(5_000)
  const asked = [send('GET', own), send('SET', own, 'w'), send('GET', own)]
  const read = client.command('GET', own)
  const other = connect()
  t.is(await wait(other.command('PING')), '+PONG')
  t.true(server.gate.doubtsKeys)
  t.deepEqual(
    [await wait(asked[0]!), await wait(asked[1]!), await wait(asked[2]!), await wait(read)],
    ['null', 'OK', 'w', '$1\r\nw'],
  )
  t.false(server.gate.doubtsKeys)
  end()
})
