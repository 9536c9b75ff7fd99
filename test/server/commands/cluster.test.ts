import test from 'ava'
import { challenge, prove, verify } from '../../../cluster/peers/handshake.ts'
import { clusterId, Membership, parseMembers } from '../../../cluster/members/membership.ts'
import { SLOT_COUNT } from '../../../cluster/slots.ts'
import { clusterCommands } from '../../../server/commands/cluster.ts'
import { peerCommands } from '../../../server/commands/peer.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'
import { Bench } from './session.ts'

const rows = [...clusterCommands, ...peerCommands]

/** Ring positions from the text itself: two nodes of two virtual nodes each, and no surprises. */
const places: Readonly<Record<string, number>> = {
  '0 a:7001': 500,
  '1 a:7001': 5502,
  '0 b:7002': 1501,
  '1 b:7002': 4501,
}

/** A cluster of a (this node) and b, whose heartbeats are answered as `alive` says. */
function pair(alive: () => boolean = () => true) {
  const clock = new VirtualClock()
  const membership = new Membership(parseMembers('a:7001', 'b:7002'), {
    clock,
    hash: (text) => places[text] ?? 0,
    ping: (_name, _timeoutMs, done) => done(alive()),
    virtualNodes: 2,
  })
  return { clock, membership }
}

const connect = (membership = started().membership, directives: readonly string[] = []) =>
  new Bench(rows, { membership, directives }).connect()

function started() {
  const cluster = pair()
  cluster.membership.start()
  return cluster
}

const a = clusterId('a:7001')
const b = clusterId('b:7002')

test('outside of a cluster every command says so, after its arity', (t) => {
  const client = new Bench(rows).connect()
  const disabled = '-ERR This instance has cluster support disabled\r\n'
  for (const name of ['slots', 'shards', 'nodes', 'info', 'myid', 'help']) {
    t.is(client.say('cluster', name), disabled)
    t.regex(client.say('cluster', name, 'x'), /^-ERR wrong number of arguments/)
  }
  t.is(client.say('cluster', 'keyslot', 'x'), disabled)
  t.is(client.say('readonly'), disabled)
  t.is(client.say('readwrite'), disabled)
  t.is(client.say('peer', 'hello', '1', 'b:7002', 'f'.repeat(32)), disabled)
  t.is(client.say('peer', 'auth', 'x'), disabled)
})

test('CLUSTER SLOTS names ranges and their owners', (t) => {
  const node = (host: string, port: number, id: string) =>
    `*4\r\n$1\r\n${host}\r\n:${port}\r\n$40\r\n${id}\r\n*0\r\n`
  const range = (start: number, end: number, owner: string) =>
    `*3\r\n:${start}\r\n:${end}\r\n${owner}`
  const [onA, onB] = [node('a', 7001, a), node('b', 7002, b)]
  t.is(
    connect().say('cluster', 'slots'),
    `*3\r\n${range(0, 1000, onA)}${range(1001, 5001, onB)}${range(5002, SLOT_COUNT - 1, onA)}`,
  )
})

test('CLUSTER SHARDS names nodes and their ranges', (t) => {
  const client = connect()
  client.client.useProtocol(3)
  const shards = client.say('cluster', 'shards')
  const node = (host: string, port: number, id: string) =>
    `*1\r\n%7\r\n$2\r\nid\r\n$40\r\n${id}\r\n$4\r\nport\r\n:${port}\r\n$2\r\nip\r\n$1\r\n${host}\r\n` +
    `$8\r\nendpoint\r\n$1\r\n${host}\r\n$4\r\nrole\r\n$6\r\nmaster\r\n` +
    '$18\r\nreplication-offset\r\n:0\r\n$6\r\nhealth\r\n$6\r\nonline\r\n'
  t.is(
    shards,
    `*2\r\n%2\r\n$5\r\nslots\r\n*4\r\n:0\r\n:1000\r\n:5002\r\n:16383\r\n$5\r\nnodes\r\n${node('a', 7001, a)}` +
      `%2\r\n$5\r\nslots\r\n*2\r\n:1001\r\n:5001\r\n$5\r\nnodes\r\n${node('b', 7002, b)}`,
  )
})

test('CLUSTER NODES has the line format of the specification', (t) => {
  const { clock, membership } = started()
  const now = Math.floor(clock.now())
  t.is(
    connect(membership).text('cluster', 'nodes'),
    `${a} a:7001@7001 myself,master - 0 0 1 connected 0-1000 5002-16383\n` +
      `${b} b:7002@7002 master - 0 ${now} 1 connected 1001-5001\n`,
  )
})

test('a node that misses an answer is fail?, one that is out is fail and owns nothing', async (t) => {
  let alive = true
  const { clock, membership } = pair(() => alive)
  membership.start()
  const client = connect(membership)
  const lineOfB = () => client.text('cluster', 'nodes').split('\n')[1]
  alive = false
  await clock.advance(200)
  t.regex(lineOfB()!, / master,fail\? - \d+ \d+ 1 connected 1001-5001$/)
  t.true(
    client
      .text('cluster', 'info')
      .includes('cluster_slots_ok:12383\r\ncluster_slots_pfail:4001\r\n'),
  )
  await clock.advance(400)
  t.regex(lineOfB()!, / master,fail - \d+ \d+ 2 disconnected$/)
  t.true(client.text('cluster', 'nodes').includes(' connected 0-16383\n'))
  t.regex(client.say('cluster', 'shards'), /slots\r\n\*0\r\n[^]*\$4\r\nfail\r\n$/)
  membership.stop()
})

test('CLUSTER INFO is what clients look at before they go on', (t) => {
  t.is(
    connect().text('cluster', 'info'),
    'cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n' +
      'cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:2\r\ncluster_size:2\r\n' +
      'cluster_current_epoch:1\r\ncluster_my_epoch:1\r\n',
  )
})

test('CLUSTER MYID, KEYSLOT, READONLY and READWRITE', (t) => {
  const client = connect()
  t.is(client.say('cluster', 'myid'), `$40\r\n${a}\r\n`)
  t.is(client.say('cluster', 'keyslot', 'a'), ':15495\r\n')
  t.is(client.say('cluster', 'keyslot', '{a}b'), ':15495\r\n')
  t.is(client.say('readonly'), '+OK\r\n')
  t.is(client.say('readwrite'), '+OK\r\n')
})

const nonce = challenge(new SeededRandom(7))

/** PEER HELLO as node b says it; returns what was answered. */
function hello(client: ReturnType<typeof connect>) {
  const reply = client.say('peer', 'hello', '1', 'b:7002', nonce)
  const [, owner, ownerNonce, proof] = reply.split(/\r\n\$\d+\r\n|\r\n$/)
  const meeting = { caller: 'b:7002', callerNonce: nonce, owner: owner!, ownerNonce: ownerNonce! }
  return { meeting, proof: proof! }
}

test('a node that knows the secret becomes a peer, without AUTH', (t) => {
  const client = connect(undefined, ['--cluster-secret', 'S', '--requirepass', 'P'])
  const { meeting, proof } = hello(client)
  t.is(meeting.owner, 'a:7001')
  t.true(verify('S', 'owner', meeting, proof))
  t.is(client.client.peer, null)
  t.is(client.say('peer', 'auth', prove('S', 'caller', meeting)), '+OK\r\n')
  t.is(client.client.peer, 'b:7002')
  t.true(client.client.authenticated)
})

test('a node that does not know the secret stays a client, and may not try again', (t) => {
  const client = connect(undefined, ['--cluster-secret', 'S', '--requirepass', 'P'])
  const { meeting } = hello(client)
  t.regex(client.say('peer', 'auth', prove('T', 'caller', meeting)), /^-NOAUTH the proof/)
  t.regex(client.say('peer', 'auth', prove('S', 'caller', meeting)), /^-ERR PEER AUTH must follow/)
  t.is(client.client.peer, null)
  t.false(client.client.authenticated)
})

test('PEER HELLO refuses another version and what is no name or nonce', (t) => {
  const client = connect(undefined, ['--cluster-secret', 'S'])
  t.regex(client.say('peer', 'hello', '2', 'b:7002', nonce), /^-NOPROTO /)
  t.regex(client.say('peer', 'hello', '1', 'b 7002', nonce), /^-ERR PEER HELLO needs/)
  t.regex(client.say('peer', 'hello', '1', 'b:7002', 'x'), /^-ERR PEER HELLO needs/)
  t.regex(client.say('peer', 'auth', 'x'), /^-ERR PEER AUTH must follow/)
})

test('without a secret only nodes of this machine pass, and only where no password is asked', (t) => {
  const attempt = (address: string, directives: readonly string[] = []) => {
    const { membership } = started()
    const client = new Bench(rows, {
      membership,
      directives,
    }).connect(address)
    const { meeting } = hello(client)
    return client.say('peer', 'auth', prove('', 'caller', meeting))
  }
  t.is(attempt('127.0.0.1:5'), '+OK\r\n')
  t.is(attempt('[::1]:5'), '+OK\r\n')
  t.is(attempt('[::ffff:127.0.0.1]:5'), '+OK\r\n')
  t.regex(attempt('10.0.0.1:5'), /^-NOAUTH this node has no cluster-secret/)
  t.regex(attempt('[2001:db8::1]:5'), /^-NOAUTH this node has no cluster-secret/)
  t.regex(
    attempt('127.0.0.1:5', ['--requirepass', 'P']),
    /^-NOAUTH this node has no cluster-secret/,
  )
})
