import test from 'ava'
import xxhash from 'xxhash-wasm'
import {
  clusterId,
  isLoopback,
  Membership,
  parseAddress,
  parseMembers,
  parseNode,
} from '../../../cluster/members/membership.ts'
import type { ListChange, Ping, RejoinByWayOf } from '../../../cluster/members/membership.ts'
import { Peer } from '../../../cluster/peers/peer.ts'
import type { Probe } from '../../../cluster/members/second-opinion.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { LocalNetwork } from '../../sim/network.ts'
import { SeededRandom } from '../../sim/random.ts'
import { FakeOwner } from '../peers/fake-owner.ts'

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
  const membership = new Membership(list, { clock, hash, ping, nodeTimeoutMs: 600 })
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

/* ---- weights ---- */

test('a weight stands behind the address', (t) => {
  t.like(parseNode('B:07*3', 'x'), { name: 'b:7', weight: 3, dial: { host: 'b', port: 7 } })
  t.is(parseNode('b:7', 'x').weight, 1)
  t.is(parseNode('b:7*16', 'x').weight, 16)
  for (const word of ['b:7*0', 'b:7*17', 'b:7*', 'b:7*x', 'b:7*1.5', 'b:7*2*2']) {
    const why = `cluster-peers: "${word}" is not host:port*weight (the weight behind the * is 1 to 16)`
    t.throws(() => parseMembers('a:1', word), { message: why })
  }
})

test('this node has the weight that the list gives it, and two weights are refused', (t) => {
  t.is(parseMembers('a:1*2', 'b:1').self.weight, 2)
  t.is(parseMembers('a:1', 'a:1*2,b:1').self.weight, 2)
  t.throws(() => parseMembers('a:1*2', 'a:1*3'), {
    message: 'cluster-peers: a:1 has another weight in cluster-self',
  })
})

test('equal weights make equal views, other weights another one', (t) => {
  const options = { clock: new VirtualClock(), hash, ping: () => {} }
  const a = new Membership(parseMembers('a:1*2', 'b:1'), options)
  const b = new Membership(parseMembers('b:1', 'a:1*2'), options)
  const plain = new Membership(parseMembers('b:1', 'a:1'), options)
  t.is(a.viewHash, b.viewHash)
  t.deepEqual(a.live().ranges(), b.live().ranges())
  t.not(a.viewHash, plain.viewHash)
})

/* ---- a list that changes ---- */

const nodesOf = (...words: string[]) => words.map((word) => parseNode(word, 'test'))

test('who joins a running cluster is in the ring when it has answered, and asked at once', async (t) => {
  const { clock, membership, answers, pings } = nodeA()
  const lists: string[][] = []
  const named = (list: ListChange['added']) => list.map(({ name }) => name)
  membership.onList(({ added, removed, moved }) => {
    lists.push([...named(added), '-', ...named(removed), '-', ...named(moved)])
  })
  membership.start()
  await clock.advance(100)
  pings.length = 0
  answers.set('d:1', true)
  membership.update(nodesOf('c:1', 'd:1', 'b:1'))
  t.deepEqual(pings, ['d:1'])
  t.deepEqual(lists, [['d:1', '-', '-']])
  t.false(membership.isLive('d:1'))
  t.deepEqual(
    membership.members.map(({ name, rank }) => [name, rank]),
    [
      ['a:1', 0],
      ['b:1', 1],
      ['c:1', 2],
      ['d:1', 3],
    ],
  )
  await clock.advance(1)
  t.true(membership.isLive('d:1'))
  t.is(membership.epoch, 2)
  membership.update(nodesOf('b:1', 'c:1', 'd:1'))
  t.is(lists.length, 1, 'the same list is no change')
})

test('before the start all members that are found stand in the ring', (t) => {
  const { membership } = nodeA()
  membership.update(nodesOf('x:1', 'b:1'))
  t.deepEqual(membership.live().names, ['a:1', 'b:1', 'x:1'])
  t.is(membership.member('x:1')!.state, 'suspect')
})

test('who leaves the list leaves the ring, and late answers do not bring it back', async (t) => {
  const { clock, membership } = nodeA()
  const told: string[] = []
  membership.start()
  await clock.advance(200)
  membership.onChange(({ name, state }) => told.push(`${name} ${state}`))
  membership.update(nodesOf('b:1'))
  t.deepEqual(membership.live().names, ['a:1', 'b:1'])
  t.is(membership.member('c:1'), undefined)
  await clock.advance(1000)
  t.deepEqual(told, ['c:1 down'])
  t.deepEqual(membership.live().names, ['a:1', 'b:1'])
})

test('this node stays a member whatever the list says', (t) => {
  const { membership } = nodeA()
  membership.update([])
  t.deepEqual(membership.live().names, ['a:1'])
  t.deepEqual(
    membership.members.map(({ self }) => self),
    [true],
  )
})

test('a node at another address is the same node, and keeps its state', async (t) => {
  const { clock, membership } = nodeA()
  membership.start()
  await clock.advance(100)
  const { epoch, viewHash } = membership
  const moved: string[] = []
  membership.onList((change) => moved.push(...change.moved.map(({ dial }) => dial.host)))
  const [b, c] = nodesOf('b:1', 'c:1')
  membership.update([{ ...b!, dial: { host: '10.0.0.9', port: 1 } }, c!])
  t.deepEqual(moved, ['10.0.0.9'])
  t.is(membership.member('b:1')!.state, 'up')
  t.like(membership.member('b:1'), { host: 'b', port: 1 })
  t.deepEqual([membership.epoch, membership.viewHash], [epoch, viewHash])
})

test('a new weight is a new view', (t) => {
  const { membership } = nodeA()
  const before = membership.viewHash
  const changed: string[] = []
  membership.onChange(({ name }) => changed.push(name))
  membership.update(nodesOf('b:1*4', 'c:1'))
  t.not(membership.viewHash, before)
  t.deepEqual(changed, ['b:1'])
  t.true(membership.live().slotsOf('b:1') > membership.live().slotsOf('c:1') * 2)
})

test('a list has its limit, and this node is never left out of it', (t) => {
  const { membership } = nodeA()
  membership.update(nodesOf(...Array.from({ length: 300 }, (_, i) => `0${i}:1`)))
  t.is(membership.members.length, 256)
  t.truthy(membership.member('a:1'))
})

/* ---- one link of many is bad ---- */

/** Nodes whose pings and probes fail where `cut` says so, 'a>b': from a to b. */
function several(...words: string[]): {
  clock: VirtualClock
  cut: Set<string>
  nodes: Map<string, Membership>
} {
  const clock = new VirtualClock()
  const cut = new Set<string>()
  const nodes = new Map<string, Membership>()
  const reaches = (from: string, to: string) =>
    !cut.has(`${from}>${to}`) && !cut.has(`${to}>${from}`)
  const answer = (reached: boolean, timeoutMs: number, done: () => void) => {
    clock.after(reached ? 1 : timeoutMs - 1, done)
  }
  for (const self of words) {
    const ping: Ping = (name, timeoutMs, done) => {
      const reached = reaches(self, name)
      answer(reached, timeoutMs, () => done(reached))
      if (reached) nodes.get(self)!.heardView(name, viewOf(nodes.get(name)!))
    }
    const probe: Probe = (helper, name, timeoutMs, done) => {
      const reached = reaches(self, helper)
      answer(reached, timeoutMs, () => done(reached ? reaches(helper, name) : null))
    }
    const list = parseMembers(self, words.join(','))
    const rejoin: RejoinByWayOf = (name, via, timeoutMs, done) => {
      const reached = reaches(self, via) && reaches(via, name)
      answer(reached, timeoutMs, () => done(reached))
    }
    nodes.set(self, new Membership(list, { clock, hash, ping, probe, rejoin, nodeTimeoutMs: 600 }))
  }
  for (const node of nodes.values()) node.start()
  return { clock, cut, nodes }
}

function viewOf({ epoch, viewHash }: Membership): { epoch: number; view: number } {
  return { epoch, view: viewHash }
}

test('a node behind one bad link stays in all rings, and is a suspect where the link is bad', async (t) => {
  const { clock, cut, nodes } = several('a:1', 'b:1', 'c:1')
  await clock.advance(300)
  cut.add('a:1>b:1')
  await clock.advance(10_000)
  for (const node of nodes.values()) {
    t.deepEqual(node.live().names, ['a:1', 'b:1', 'c:1'])
    t.is(node.epoch, 1)
  }
  t.is(nodes.get('a:1')!.member('b:1')!.state, 'suspect')
  t.is(nodes.get('c:1')!.member('b:1')!.state, 'up')
  cut.clear()
  await clock.advance(300)
  t.is(nodes.get('a:1')!.member('b:1')!.state, 'up')
})

test('who hears a node behind a bad link is known after two misses, until the link is well', async (t) => {
  const { clock, cut, nodes } = several('a:1', 'b:1', 'c:1', 'd:1', 'e:1')
  const a = nodes.get('a:1')!
  const told: string[] = []
  a.onVouchers((name, vouchers) => told.push(`${name} ${vouchers.join()}`))
  await clock.advance(300)
  cut.add('a:1>b:1').add('b:1>d:1')
  await clock.advance(1000)
  t.deepEqual(a.vouchersFor('b:1'), ['c:1', 'e:1'])
  t.deepEqual(a.vouchersFor('c:1'), [])
  cut.add('b:1>c:1')
  await clock.advance(1000)
  t.deepEqual(a.vouchersFor('b:1'), ['e:1'])
  cut.clear()
  await clock.advance(300)
  t.deepEqual(told, ['b:1 c:1,e:1', 'b:1 e:1', 'b:1 '])
  t.deepEqual(a.vouchersFor('b:1'), [])
})

test('what was said of a node before it answered is nothing afterwards', async (t) => {
  const clock = new VirtualClock()
  let answers = false
  const ping: Ping = (name, timeoutMs, done) =>
    clock.after(1, () =>
      name === 'b:1' && !answers ? clock.after(timeoutMs, () => done(false)) : done(true),
    )
  const probe = (_: string, name: string, __: number, done: (answers: boolean) => void) => {
    clock.after(150, () => done(name === 'b:1'))
  }
  const membership = new Membership(parseMembers('a:1', 'b:1,c:1'), { clock, hash, ping, probe })
  membership.start()
  // The second miss of b was at 500 ms.
  await clock.advance(502)
  answers = true
  // It answers at 601 ms, and what was asked about it comes at 652.
  await clock.advance(160)
  t.is(membership.member('b:1')!.state, 'up')
  t.deepEqual(membership.vouchersFor('b:1'), [])
})

test('a node whom nobody hears is out within a second, although others are asked first', async (t) => {
  const { clock, cut, nodes } = several('a:1', 'b:1', 'c:1', 'd:1', 'e:1')
  await clock.advance(300)
  for (const name of ['a:1', 'c:1', 'd:1', 'e:1']) cut.add(`b:1>${name}`)
  await clock.advance(1000)
  for (const [name, node] of nodes) {
    t.deepEqual(node.live().names, name === 'b:1' ? ['b:1'] : ['a:1', 'c:1', 'd:1', 'e:1'])
  }
  cut.clear()
  await clock.advance(500)
  for (const node of nodes.values()) t.is(node.live().names.length, 5)
})

test('where nobody says anything for a moment, what was said before holds', async (t) => {
  const { clock, cut, nodes } = several('a:1', 'b:1', 'c:1', 'd:1')
  const a = nodes.get('a:1')!
  await clock.advance(300)
  cut.add('a:1>b:1')
  await clock.advance(2000)
  t.deepEqual(a.vouchersFor('b:1'), ['c:1', 'd:1'])
  cut.add('a:1>c:1').add('a:1>d:1')
  await clock.advance(450)
  t.true(a.isLive('b:1'))
  cut.delete('a:1>c:1')
  cut.delete('a:1>d:1')
  await clock.advance(1000)
  t.true(a.isLive('b:1'))
  t.deepEqual(a.vouchersFor('b:1'), ['c:1', 'd:1'])
  cut.add('a:1>c:1').add('a:1>d:1')
  await clock.advance(1500)
  t.deepEqual(a.live().names, ['a:1'])
})

test('a node that is down and heard by others rejoins by way of one of them', async (t) => {
  const { clock, cut, nodes } = several('a:1', 'b:1', 'c:1')
  const a = nodes.get('a:1')!
  await clock.advance(300)
  cut.add('a:1>b:1').add('a:1>c:1')
  await clock.advance(2000)
  t.deepEqual(a.live().names, ['a:1'])
  cut.delete('a:1>c:1')
  await clock.advance(3000)
  for (const node of nodes.values()) t.deepEqual(node.live().names, ['a:1', 'b:1', 'c:1'])
  t.is(a.member('b:1')!.state, 'suspect')
  t.deepEqual(a.vouchersFor('b:1'), ['c:1'])
  await clock.advance(10_000)
  t.is(a.epoch, nodes.get('c:1')!.epoch)
  cut.clear()
  await clock.advance(500)
  t.is(a.member('b:1')!.state, 'up')
  t.deepEqual(a.vouchersFor('b:1'), [])
})

test('one whom others heard goes when they hear it no more', async (t) => {
  const { clock, cut, nodes } = several('a:1', 'b:1', 'c:1')
  cut.add('a:1>b:1')
  await clock.advance(3000)
  t.true(nodes.get('a:1')!.isLive('b:1'))
  cut.add('c:1>b:1')
  await clock.advance(1000)
  t.false(nodes.get('a:1')!.isLive('b:1'))
})

test('of many nodes three are asked', async (t) => {
  const clock = new VirtualClock()
  const asked = new Set<string>()
  const ping: Ping = (name, _, done) => clock.after(1, () => done(name !== 'a:1'))
  const probe = (helper: string, name: string, _: number, done: (answers: boolean) => void) => {
    asked.add(`${helper} for ${name}`)
    done(false)
  }
  const list = parseMembers('m:1', 'a:1,b:1,c:1,d:1,e:1,f:1,g:1')
  const membership = new Membership(list, { clock, hash, ping, probe })
  membership.start()
  await clock.advance(1000)
  t.deepEqual([...asked].sort(), ['b:1 for a:1', 'c:1 for a:1', 'd:1 for a:1'])
  t.false(membership.isLive('a:1'))
})

/* ---- epochs ---- */

test('nodes with the same view agree on its number, whoever saw it first', async (t) => {
  const { clock, cut, nodes } = several('a:1', 'b:1', 'c:1', 'd:1')
  const random = new SeededRandom(5)
  const names = [...nodes.keys()]
  for (let round = 0; round < 20; round++) {
    const lone = random.pick(names)
    for (const name of names) if (name !== lone) cut.add(`${lone}>${name}`)
    await clock.advance(1000 + random.below(400))
    if (random.below(2) === 0) cut.clear()
    await clock.advance(2000)
    cut.clear()
    await clock.advance(1500)
    const views = [...nodes.values()].map(({ epoch, viewHash }) => `${epoch} ${viewHash}`)
    t.is(new Set(views).size, 1, `round ${round}: ${views.join(', ')}`)
  }
  t.true(nodes.get('a:1')!.epoch <= 200)
})

test('an epoch that is none counts for nothing', (t) => {
  const { membership } = nodeA()
  const view = membership.viewHash
  for (const epoch of [0, -1, 1.5, NaN, Infinity, 2 ** 53])
    membership.heardView('b:1', { epoch, view })
  membership.heardView('stranger:1', { epoch: 70, view })
  t.is(membership.epoch, 1)
  const epochs: number[] = []
  membership.onEpoch((epoch) => epochs.push(epoch))
  membership.heardView('b:1', { epoch: 7, view })
  membership.heardView('c:1', { epoch: 9, view: view ^ 1 })
  t.is(membership.epoch, 7, 'that of another view is not taken over')
  membership.update([])
  t.is(membership.epoch, 10, 'but the next one is higher')
  t.deepEqual(epochs, [7, 10])
})

test('another number of virtual nodes is another view', (t) => {
  const hashOf = (virtualNodes?: number): number => {
    const options = { clock: new VirtualClock(), hash, ping: (() => {}) as Ping }
    const given = virtualNodes === undefined ? options : { ...options, virtualNodes }
    return new Membership(parseMembers('a:1', 'b:1'), given).viewHash
  }
  t.is(hashOf(), hashOf(160))
  t.not(hashOf(), hashOf(161))
})

test('whatever came before, equal views are equal rings', (t) => {
  const random = new SeededRandom(8)
  const words = Array.from({ length: 12 }, (_, i) => `n${i}:1`)
  const options = { clock: new VirtualClock(), hash, ping: () => {} }
  const rings = new Map<number, string>()
  const nodes = words.map((self) => new Membership(parseMembers(self, ''), options))
  for (let round = 0; round < 60; round++) {
    const list = words.filter(() => random.below(2) === 0)
    const weighted = nodesOf(...list.map((word) => `${word}*${1 + random.below(2)}`))
    for (const node of nodes) {
      if (random.below(3) === 0) continue
      node.update(weighted)
      const live = node.live().names.map((name) => `${name}*${node.member(name)!.weight}`)
      const ring = JSON.stringify(node.live().ranges())
      t.is(rings.get(node.viewHash) ?? ring, ring, live.join())
      rings.set(node.viewHash, ring)
    }
  }
  t.true(rings.size > 100)
})

/* ---- a node that leaves ---- */

test('who leaves is not counted, and down if it is still there long after', async (t) => {
  const { clock, membership, pings } = nodeA()
  membership.start()
  await clock.advance(100)
  t.is(membership.heard, 3)
  membership.leaves('b:1')
  t.is(membership.heard, 2)
  const { epoch } = membership
  await clock.advance(14_000)
  t.is(membership.member('b:1')!.state, 'leaving')
  await clock.until(() => membership.member('b:1')!.state !== 'leaving')
  t.is(membership.member('b:1')!.state, 'down')
  t.is(membership.epoch, epoch, 'the ring is the same')
  pings.length = 0
  membership.stays('b:1')
  t.deepEqual(pings, ['b:1'], 'it is asked at once')
  t.is(membership.member('b:1')!.state, 'down')
  await clock.advance(1)
  t.is(membership.member('b:1')!.state, 'up')
  membership.leaves('b:1')
  membership.stays('b:1')
  t.is(membership.member('b:1')!.state, 'up')
})

test('a good-bye that is heard when its process is gone is nothing', async (t) => {
  const clock = new VirtualClock()
  const options = { clock, hash, ping: ((_, __, done) => done(true)) as Ping }
  const membership = new Membership(parseMembers('a:1', 'b:1,c:1'), options)
  membership.start()
  const hear = (word: 'LEAVE' | 'STAY', process: string, number: number): string => {
    membership.heardWord('b:1', { leaves: word === 'LEAVE', incarnation: process, number })
    return membership.member('b:1')!.state
  }
  const answers = (process: string): void =>
    membership.heardView('b:1', { epoch: 1, view: 0 }, process)
  t.is(hear('STAY', 'one', 1), 'up')
  t.is(hear('LEAVE', 'one', 2), 'leaving')
  t.is(hear('STAY', 'one', 3), 'up', 'it stays after all')
  t.is(hear('LEAVE', 'one', 2), 'up', 'an older word')
  t.is(hear('LEAVE', 'one', 4), 'leaving')
  t.is(hear('STAY', 'two', 1), 'up', 'it is there again')
  t.is(hear('LEAVE', 'one', 5), 'up', 'of a process that is gone')
  t.is(hear('STAY', 'one', 6), 'up')
  t.is(hear('LEAVE', 'one', 7), 'up')
  // What the third one said first was not heard; but it answers.
  t.is(hear('LEAVE', 'three', 2), 'up', 'nobody has heard that one')
  answers('three')
  t.is(hear('LEAVE', 'two', 2), 'up')
  t.is(hear('LEAVE', 'three', NaN), 'up')
  t.is(hear('LEAVE', 'three', 3), 'leaving')
  membership.stop()
})

test('who does not say which process it is, is heard as ever', (t) => {
  const { membership } = nodeA()
  membership.heardWord('b:1', { leaves: true, incarnation: '', number: 0 })
  t.is(membership.member('b:1')!.state, 'leaving')
  membership.heardWord('b:1', { leaves: false, incarnation: '', number: 0 })
  t.is(membership.member('b:1')!.state, 'up')
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
