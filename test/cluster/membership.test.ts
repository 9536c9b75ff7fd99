import test from 'ava'
import xxhash from 'xxhash-wasm'
import {
  clusterId,
  isLoopback,
  Membership,
  parseAddress,
  parseMembers,
} from '../../cluster/membership.ts'
import type { Ping } from '../../cluster/membership.ts'
import { Peer } from '../../cluster/peer.ts'
import { VirtualClock } from '../sim/clock.ts'
import { LocalNetwork } from '../sim/network.ts'
import { SeededRandom } from '../sim/random.ts'
import { FakeOwner } from './fake-owner.ts'

const { h32 } = await xxhash()
const hash = (text: string) => h32(text)

const namesOf = (self: string, peers: string) => parseMembers(self, peers).all.map((a) => a.name)

test('a list with or without oneself is the same list, however it is written', (t) => {
  const expected = ['[::1]:7003', 'a:7001', 'b.example:7002']
  t.deepEqual(namesOf('a:7001', 'b.example:7002,[::1]:7003'), expected)
  t.deepEqual(namesOf('a:7001', ' [0:0::1]:7003, A:07001 B.Example:7002 ,a:7001,'), expected)
  t.deepEqual(namesOf('[::1]:7003', 'a:7001,b.example:7002,[0:0:0:0:0:0:0:1]:7003'), expected)
  t.is(parseMembers('A:7001', '').self.name, 'a:7001')
  t.deepEqual(namesOf('a:7001', ''), ['a:7001'])
})

test('an address is dialled without brackets', (t) => {
  t.like(parseAddress('[FE80::1]:6379', 'x'), { name: '[fe80::1]:6379', host: 'fe80::1' })
  t.like(parseAddress('127.0.0.1:1', 'x'), { host: '127.0.0.1', port: 1 })
  t.is(parseAddress('a:65535', 'x').port, 65535)
})

for (const [text, why] of [
  ['x', ''],
  ['x:', ''],
  [':7001', ''],
  ['x:70x1', ''],
  ['x:-1', ''],
  ['x:0', ' (the port is 1 to 65535)'],
  ['x:65536', ' (the port is 1 to 65535)'],
  ['user@x:1', ''],
  ['http://x:1', ''],
  ['-x:1', ''],
  ['::1:7001', ' (an IPv6 address stands in brackets: [::1]:7001)'],
  ['[::1]', ''],
  ['[::1::2]:1', ' (no IPv6 address in the brackets)'],
  ['[]:1', ''],
] as const) {
  test(`"${text}" is refused in words`, (t) => {
    const error = { message: `cluster-peers: "${text}" is not host:port${why}` }
    t.throws(() => parseMembers('a:1', `b:2,${text}`), error)
  })
}

test('an own address that is missing or wrong is refused in words', (t) => {
  t.throws(() => parseMembers('', 'b:2'), { message: 'cluster-self: "" is not host:port' })
  t.throws(() => parseMembers('a', 'b:2'), { code: 'BAD_MEMBER_LIST' })
})

test('only the machine itself is loopback', (t) => {
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost']) t.true(isLoopback(host))
  for (const host of ['128.0.0.1', '127.0.0.1.x.org', 'localhost.x.org', '::2', '0.0.0.0']) {
    t.false(isLoopback(host))
  }
})

test('a cluster id is 40 hex digits that follow from the name', (t) => {
  t.regex(clusterId('a:7001'), /^[0-9a-f]{40}$/)
  t.is(clusterId('a:7001'), clusterId('a:7001'))
  t.not(clusterId('a:7001'), clusterId('a:7002'))
})

/** A node 'a' of a cluster of three, whose pings a test answers by hand. */
function nodeA(): {
  clock: VirtualClock
  membership: Membership
  answers: Map<string, boolean>
  pings: string[]
} {
  const clock = new VirtualClock()
  const answers = new Map([
    ['b:1', true],
    ['c:1', true],
  ])
  const pings: string[] = []
  const ping: Ping = (name, timeoutMs, done) => {
    pings.push(name)
    if (answers.get(name)) clock.after(1, () => done(true))
    else clock.after(timeoutMs - 1, () => done(false))
  }
  const list = parseMembers('a:1', 'b:1,c:1')
  const membership = new Membership(list, { clock, hash, ping, heartbeatMs: 200 })
  return { clock, membership, answers, pings }
}

test('at the start everybody stands in the ring, others as suspects', (t) => {
  const { membership } = nodeA()
  t.deepEqual(membership.live().names, ['a:1', 'b:1', 'c:1'])
  t.deepEqual(
    membership.members.map(({ name, rank, state, self }) => [name, rank, state, self]),
    [
      ['a:1', 0, 'up', true],
      ['b:1', 1, 'suspect', false],
      ['c:1', 2, 'suspect', false],
    ],
  )
})

test('the others are pinged each period, oneself never', async (t) => {
  const { clock, membership, pings } = nodeA()
  membership.start()
  await clock.advance(1001)
  t.deepEqual(pings, Array.from({ length: 6 }, () => ['b:1', 'c:1']).flat())
  t.is(membership.member('b:1')!.state, 'up')
  t.is(membership.epoch, 1)
  const { pingedAt, answeredAt } = membership.member('b:1')!
  t.is(answeredAt - pingedAt, 1)
})

test('a node leaves the ring with its third miss in a row, not with its second', async (t) => {
  const { clock, membership, answers } = nodeA()
  membership.start()
  await clock.advance(100)
  answers.set('b:1', false)
  await clock.advance(599) // what was asked at 200 and 400 is missed at 499 and 699
  t.is(membership.member('b:1')!.state, 'suspect')
  t.true(membership.isLive('b:1'))
  answers.set('b:1', true)
  await clock.advance(102)
  t.is(membership.member('b:1')!.state, 'up', 'an answer clears the misses')
  answers.set('b:1', false)
  await clock.advance(150)
  t.is(membership.member('b:1')!.state, 'up', 'what was asked before that answer is no miss')
  await clock.advance(548)
  t.is(membership.member('b:1')!.state, 'suspect')
  await clock.advance(200)
  t.is(membership.member('b:1')!.state, 'down')
  t.deepEqual(membership.live().names, ['a:1', 'c:1'])
})

test('a node that answers again is back in the ring at once', async (t) => {
  const { clock, membership, answers } = nodeA()
  membership.start()
  answers.set('b:1', false)
  await clock.advance(2000)
  t.false(membership.isLive('b:1'))
  answers.set('b:1', true)
  await clock.advance(202)
  t.true(membership.isLive('b:1'))
  t.is(membership.member('b:1')!.state, 'up')
})

test('each change of the ring is a new epoch and is told once; equal views have equal hashes', async (t) => {
  const { clock, membership, answers } = nodeA()
  const told: string[] = []
  const end = membership.onChange((member) => {
    told.push(`${membership.epoch} ${member.name} ${member.state}`)
  })
  const full = membership.viewHash
  membership.start()
  answers.set('b:1', false)
  await clock.advance(1000)
  const without = membership.viewHash
  t.not(without, full)
  answers.set('b:1', true)
  await clock.advance(1000)
  t.is(membership.viewHash, full)
  t.deepEqual(told, ['2 b:1 down', '3 b:1 up'])
  end()
  answers.set('c:1', false)
  await clock.advance(1000)
  t.is(told.length, 2)
  t.is(membership.epoch, 4)
})

test('the same live nodes make the same view on every node', (t) => {
  const ping: Ping = () => {}
  const options = { clock: new VirtualClock(), hash, ping }
  const a = new Membership(parseMembers('a:1', 'b:1,c:1'), options)
  const b = new Membership(parseMembers('b:1', 'c:1,a:1,b:1'), options)
  t.is(a.viewHash, b.viewHash)
  t.deepEqual(a.live().ranges(), b.live().ranges())
  t.deepEqual(
    a.members.map(({ id }) => id),
    b.members.map(({ id }) => id),
  )
})

test('a stopped membership pings no more, ignores late answers and leaves no timer', async (t) => {
  const { clock, membership, answers, pings } = nodeA()
  answers.set('b:1', false)
  membership.start()
  await clock.advance(500)
  membership.stop()
  const count = pings.length
  await clock.advance(5000)
  t.is(pings.length, count)
  t.true(membership.isLive('b:1'))
  t.is(clock.timers, 0)
})

test('what was asked before a restart counts no more', async (t) => {
  const { clock, membership, answers } = nodeA()
  answers.set('b:1', false)
  membership.start()
  await clock.advance(450)
  membership.stop()
  membership.start()
  await clock.advance(290)
  t.is(membership.member('b:1')!.state, 'suspect')
  membership.stop()
})

test('over real links a node that hangs is out within a second, and back when it answers', async (t) => {
  const clock = new VirtualClock()
  const network = new LocalNetwork()
  const world = { clock, network, random: new SeededRandom(1) }
  const owner = new FakeOwner('b:1')
  let hangs = false
  owner.onRequest = ({ id }) => {
    if (!hangs) owner.answer(id, '+PONG\r\n')
  }
  network.listen('b:1', (stream) => owner.accept(stream))
  const list = parseMembers('a:1', 'b:1')
  const options = { self: 'a:1', secret: '', view: () => 1, replyBytesMax: 1000 }
  const peer = new Peer(world, list.all[1]!, options)
  const ping: Ping = (_, timeoutMs, done) => peer.ping(timeoutMs, done)
  const membership = new Membership(list, { clock, hash, ping })
  membership.onChange(({ state }) => {
    if (state === 'down') peer.drop('it does not answer')
  })
  membership.start()
  await clock.advance(5000)
  t.is(membership.member('b:1')!.state, 'up')
  hangs = true
  network.hang('b:1')
  await clock.advance(1000)
  t.deepEqual(membership.live().names, ['a:1'])
  t.true(network.dialled[0]!.destroyed)
  await clock.advance(60_000)
  hangs = false
  network.listen('b:1', (stream) => owner.accept(stream))
  await clock.advance(2500)
  t.deepEqual(membership.live().names, ['a:1', 'b:1'])
  t.is(membership.epoch, 3)
  membership.stop()
  peer.close()
  t.is(clock.timers, 0)
})

test('a node that leaves is out of the ring but alive, until its link ends', async (t) => {
  const clock = new VirtualClock()
  const membership = new Membership(parseMembers('a:1', 'b:1,c:1'), {
    clock,
    hash,
    ping: (_, __, done) => done(true),
  })
  const told: string[] = []
  membership.onChange(({ name, state }) => told.push(`${name} ${state}`))
  membership.start()
  membership.leaves('b:1')
  membership.leaves('b:1')
  await clock.advance(2000)
  t.deepEqual(membership.live().names, ['a:1', 'c:1'])
  t.true(membership.isLive('b:1'))
  membership.lost('c:1')
  membership.lost('b:1')
  t.false(membership.isLive('b:1'))
  await clock.advance(200)
  t.deepEqual(membership.live().names, ['a:1', 'b:1', 'c:1'])
  membership.leaves('a:1')
  membership.leaves('b:1')
  // Somebody has to own the slots.
  membership.leaves('c:1')
  t.deepEqual(membership.live().names, ['c:1'])
  membership.stays('a:1')
  t.deepEqual(membership.live().names, ['a:1', 'c:1'])
  membership.stop()
  t.deepEqual(told, [
    ...['b:1 leaving', 'b:1 down', 'b:1 up', 'a:1 leaving', 'b:1 leaving', 'a:1 up'],
  ])
})
