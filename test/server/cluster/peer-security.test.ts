/* Who speaks as a node: only who proves to know the secret, and nothing that it sends breaks this one. */
import { duplexPair } from 'node:stream'
import test from 'ava'
import { challenge, prove } from '../../../cluster/peers/handshake.ts'
import { peerCommands } from '../../../server/commands/peer.ts'
import { SeededRandom } from '../../sim/random.ts'
import { type InProcess, startInProcess } from '../in-process.ts'
import { PeerClient } from './peer-client.ts'

const SECRET = 'a secret of this test'
const OTHER = '127.0.0.1:7002'
const member = ['--cluster-self', '127.0.0.1:7001', '--cluster-peers', OTHER]
const start = (): Promise<InProcess> => startInProcess([...member, '--cluster-secret', SECRET])

/** A connection from another machine. */
function visitor({ server, clock }: InProcess, remote = '10.1.2.3:4567') {
  const [near, far] = duplexPair()
  const seen = { text: '', isClosed: false }
  near.setEncoding('latin1').on('data', (text: string) => (seen.text += text))
  near.on('error', () => {})
  near.on('end', () => (seen.isClosed = true))
  near.on('close', () => (seen.isClosed = true))
  const { id } = server.handle(far, { remote, local: '10.1.2.1:7001' })
  const say = async (...words: string[]): Promise<string> => {
    seen.text = ''
    near.write(
      `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`,
    )
    for (let i = 0; i < 5; i++) await clock.settle()
    return seen.text
  }
  return { say, seen, isThere: () => server.clients.has(id) }
}

/** HELLO as the other node says it, and the proof that it would send then. */
async function hello(say: (...words: string[]) => Promise<string>, secret = SECRET, seed = 1) {
  const callerNonce = challenge(new SeededRandom(seed))
  const reply = await say('PEER', 'HELLO', '1', OTHER, callerNonce)
  const [, , owner = '', , ownerNonce = '', , ownerProof = ''] = reply.split('\r\n')
  const meeting = { caller: OTHER, callerNonce, owner, ownerNonce }
  return { meeting, ownerProof, proof: prove(secret, 'caller', meeting) }
}

test('protected mode lets nodes of other machines shake hands, and nobody do more', async (t) => {
  const node = await start()
  for (const words of [
    ['GET', 'k'],
    ['HELLO', '3'],
    ['AUTH', 'default', 'x'],
    ['RESET'],
    ['PING'],
  ]) {
    const { say, seen } = visitor(node)
    t.regex(await say(...words), /^-DENIED Redis is running in protected mode/)
    t.true(seen.isClosed)
  }
  const stranger = visitor(node)
  t.regex(await stranger.say('PEER', 'WATCH', 'k'), /^-DENIED/)
  const wrong = visitor(node)
  const { proof: wrongProof } = await hello(wrong.say, 'another secret')
  t.regex(await wrong.say('PEER', 'AUTH', wrongProof), /^-NOAUTH/)
  t.regex(await wrong.say('GET', 'k'), /^-DENIED/)
  const peer = visitor(node)
  const { proof } = await hello(peer.say)
  t.is(await peer.say('PEER', 'AUTH', proof), '+OK\r\n')
  t.is(await peer.say('1 1000 0', 'SET', 'k', 'v'), '@1\r\n+OK\r\n')
  node.server.shutdown()
})

test('who comes for a handshake and does not finish it is closed after some seconds', async (t) => {
  const node = await start()
  const silent = visitor(node)
  const half = visitor(node)
  await hello(half.say)
  await node.clock.advance(4000)
  t.true(silent.isThere() && half.isThere())
  await node.clock.advance(3000)
  t.false(silent.isThere() || half.isThere())
  node.server.shutdown()
})

test('without a cluster protected mode turns strangers away at once', async (t) => {
  const node = await startInProcess([])
  const { say } = visitor(node)
  t.regex(await say('PEER', 'HELLO', '1', OTHER, '0'.repeat(32)), /^-DENIED/)
  node.server.shutdown()
})

test('what was said in one handshake is worth nothing in another, nor for another name', async (t) => {
  const node = await start()
  const first = visitor(node)
  const { meeting, ownerProof, proof } = await hello(first.say)
  t.is(await first.say('PEER', 'AUTH', proof), '+OK\r\n')
  // The same bytes again: the node has another nonce.
  const replayed = visitor(node)
  await hello(replayed.say)
  t.regex(await replayed.say('PEER', 'AUTH', proof), /^-NOAUTH/)
  // Its own proof, sent back to it.
  const mirrored = visitor(node)
  const again = await hello(mirrored.say)
  t.regex(await mirrored.say('PEER', 'AUTH', again.ownerProof), /^-NOAUTH/)
  t.not(again.ownerProof, ownerProof)
  // Names are bound: a proof for other names does not do.
  for (const names of [{ caller: '127.0.0.1:7003' }, { owner: OTHER }]) {
    const other = visitor(node)
    const { meeting: now } = await hello(other.say)
    const forged = prove(SECRET, 'caller', { ...now, ...names })
    t.regex(await other.say('PEER', 'AUTH', forged), /^-NOAUTH/)
  }
  t.is(meeting.caller, OTHER)
  // One HELLO is good for one AUTH.
  const twice = visitor(node)
  const { proof: late } = await hello(twice.say)
  t.regex(await twice.say('PEER', 'AUTH', 'ab'.repeat(32)), /^-NOAUTH/)
  t.regex(await twice.say('PEER', 'AUTH', late), /^-ERR PEER AUTH must follow/)
  node.server.shutdown()
})

test('every verb between nodes is refused to clients', async (t) => {
  const node = await start()
  const client = visitor(node, '127.0.0.1:4567')
  const container = peerCommands.find(({ name }) => name === 'peer')!
  const rows = 'subcommands' in container ? container.subcommands : []
  const verbs = rows.filter((row) => !(row.flags as readonly string[]).includes('no_auth'))
  t.true(verbs.length > 0)
  for (const { name, arity } of verbs) {
    const words = Array.from({ length: Math.abs(arity) - 2 }, () => '1')
    t.regex(await client.say('PEER', name, ...words), /^-ERR only nodes of the cluster/, name)
  }
  t.is(await client.say('PING'), '+PONG\r\n')
  node.server.shutdown()
})

test('garbage on a link ends that link, and nothing else', async (t) => {
  // Alone, so that all keys are its own.
  const alone = ['--cluster-self', '127.0.0.1:7001', '--cluster-secret', SECRET]
  const node = await startInProcess(alone)
  const client = visitor(node, '127.0.0.1:4567')
  const random = new SeededRandom(21)
  const requests = [
    '*1\r\n$4\r\nPING\r\n',
    '*2\r\n$1\r\n1\r\n$4\r\nPING\r\n',
    '*2\r\n$5\r\n0 1 0\r\n$4\r\nPING\r\n',
    '*2\r\n$7\r\n1 1 0 4\r\n$4\r\nPING\r\n',
    '*1\r\n$5\r\n1 1 0\r\n',
    '*-1\r\n*0\r\n*1\r\n$-1\r\n',
    'PING\r\n',
    '@1\r\n+OK\r\n',
  ]
  for (let round = 0; round < 60; round++) {
    const peer = await PeerClient.open(node, OTHER, SECRET)
    const asked = peer.request(['SET', 'k', String(round)])
    const garbage = requests[round] ?? random.bytes(1 + random.below(200)).toString('latin1')
    await peer.say(asked + garbage)
    t.is(await client.say('GET', 'k'), `$${String(round).length}\r\n${round}\r\n`)
    peer.stream.destroy()
  }
  node.server.shutdown()
})
