import test from 'ava'
import {
  LINK_AUTH,
  LINK_PROTOCOL,
  LINK_SELF,
  LINK_SILENT,
  LINK_TIMEOUT,
} from '../../../cluster/peers/link.ts'
import { parseAddress } from '../../../cluster/members/membership.ts'
import { Peer } from '../../../cluster/peers/peer.ts'
import type { PeerOptions, PeerRequest } from '../../../cluster/peers/peer.ts'
import { PeerError } from '../../../cluster/peers/replies.ts'
import type { PeerValue } from '../../../cluster/peers/replies.ts'
import type { Clock } from '../../../cluster/world.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { LocalNetwork } from '../../sim/network.ts'
import type { LocalStream } from '../../sim/network.ts'
import { SeededRandom } from '../../sim/random.ts'
import { bulk, FakeOwner } from './fake-owner.ts'

/** What came of a request: outcome, value as text, heard. */
type Ended = [outcome: string, value: unknown, heard: boolean]

class Scene {
  readonly clock = new VirtualClock()
  readonly network = new LocalNetwork()
  readonly owner: FakeOwner
  readonly peer: Peer
  /** The owner's ends of the connections. */
  readonly links: LocalStream[] = []
  view = 1
  /** Is called when a timer of the peer fires, just before it does its work. */
  beforeTimer: () => void = () => {}

  constructor(options: Partial<PeerOptions> = {}, ownerSecret = options.secret ?? '') {
    this.owner = new FakeOwner('b:1', ownerSecret)
    this.listen()
    const { clock, network } = this
    const observed: Clock = {
      now: () => clock.now(),
      wall: () => clock.wall(),
      micros: () => clock.micros(),
      soon: (run) => clock.soon(run),
      every: (periodMs, run) => clock.every(periodMs, run),
      after: (delayMs, run) =>
        clock.after(delayMs, () => {
          this.beforeTimer()
          run()
        }),
    }
    const world = { clock: observed, network, random: new SeededRandom(5) }
    this.peer = new Peer(world, parseAddress('b:1', 'test'), {
      self: 'a:1',
      secret: '',
      view: () => this.view,
      replyBytesMax: 10_000,
      ...options,
    })
  }

  listen(): void {
    this.network.listen('b:1', (stream) => {
      this.links.push(stream)
      this.owner.accept(stream)
    })
  }

  /** Asks for a command given as words, and notes how that ends. */
  ask(words: string, request: Partial<PeerRequest> = {}): Ended[] {
    const ended: Ended[] = []
    const args = words.split(' ').map((word) => Buffer.from(word))
    const options = { deadlineMs: 1000, keyAt: args.length > 1 ? 1 : -1, share: false, ...request }
    this.peer.request(args, options, (outcome, value, heard) => {
      ended.push([outcome, shown(value), heard])
    })
    return ended
  }

  /** Opens the link and forgets that. */
  async open(): Promise<void> {
    this.owner.onRequest = ({ id }) => this.owner.answer(id, '+PONG\r\n')
    const ended = this.ask('PING')
    await this.clock.settle()
    if (ended[0]?.[0] !== 'reply') throw new Error('no link')
    this.owner.onRequest = () => {}
    this.owner.seen.length = 0
    this.owner.reads = 0
  }
}

function shown(value: PeerValue): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1')
  if (value instanceof PeerError) return value.line
  return Array.isArray(value) ? (value as readonly PeerValue[]).map(shown) : value
}

test('the first request opens the link, shakes hands and is answered', async (t) => {
  const scene = new Scene({ secret: 's3cret' })
  scene.view = 4294967295
  scene.owner.onRequest = ({ id }) => scene.owner.answer(id, bulk('value'))
  t.is(scene.network.dialled.length, 0)
  const ended = scene.ask('GET k', { deadlineMs: 700 })
  t.false(scene.peer.connected)
  await scene.clock.settle()
  t.true(scene.peer.connected)
  t.deepEqual(scene.owner.seen, [
    { id: 1, deadlineMs: 700, view: 4294967295, protocol: 2, args: ['GET', 'k'] },
  ])
  t.deepEqual(ended, [['reply', 'value', true]])
  t.is(scene.peer.waiting, 0)
})

test('each type of reply is handed on, also an error', async (t) => {
  const scene = new Scene()
  await scene.open()
  const replies: [string, unknown][] = [
    ['$-1\r\n', null],
    [':9223372036854775807\r\n', 9223372036854775807n],
    ['-ERR no\r\n', 'ERR no'],
    [`*2\r\n${bulk('a')}$-1\r\n`, ['a', null]],
    [':-5\r\n', -5],
  ]
  for (const [reply, value] of replies) {
    scene.owner.onRequest = ({ id }) => scene.owner.answer(id, reply)
    const ended = scene.ask('GET k')
    await scene.clock.settle()
    t.deepEqual(ended, [['reply', value, true]])
  }
})

test('replies find their requests in any order', async (t) => {
  const scene = new Scene()
  await scene.open()
  const [a, b, c] = [scene.ask('GET a'), scene.ask('GET b'), scene.ask('GET c')]
  await scene.clock.settle()
  const ids = scene.owner.seen.map(({ id }) => id)
  scene.owner.answer(ids[2]!, bulk('C'))
  scene.owner.answer(ids[0]!, bulk('A'))
  await scene.clock.settle()
  t.deepEqual([a, b, c], [[['reply', 'A', true]], [], [['reply', 'C', true]]])
  scene.owner.answer(ids[1]!, bulk('B'))
  await scene.clock.settle()
  t.deepEqual(b, [['reply', 'B', true]])
})

test('the requests of a turn leave in one write', async (t) => {
  const scene = new Scene()
  await scene.open()
  for (let i = 0; i < 20; i++) scene.ask(`GET ${i}`)
  t.is(scene.owner.reads, 0)
  await scene.clock.settle()
  t.is(scene.owner.seen.length, 20)
  t.is(scene.owner.reads, 1)
  t.deepEqual(
    scene.owner.seen.map(({ args }) => args[1]),
    Array.from({ length: 20 }, (_, i) => `${i}`),
  )
})

test('long arguments arrive whole and in their place', async (t) => {
  const scene = new Scene()
  await scene.open()
  const value = new SeededRandom(1).bytes(700_001)
  const long = (length: number) => [Buffer.from('SET'), Buffer.from('k'), value.subarray(0, length)]
  for (const length of [16383, 16384, 16385, 700_001]) {
    scene.peer.request(long(length), { deadlineMs: 1000, keyAt: 1, share: false }, () => {})
  }
  scene.ask('GET after')
  await scene.clock.settle()
  const { seen } = scene.owner
  t.deepEqual(
    seen.map(({ args }) => args.at(-1)!.length),
    [16383, 16384, 16385, 700_001, 5],
  )
  t.true(Buffer.from(seen[3]!.args[2]!, 'latin1').equals(value))
})

test('equal reads of a very long key are not shared', async (t) => {
  const scene = new Scene()
  await scene.open()
  for (const [length, shared] of [
    [65_537, 0],
    [65_536, 1],
  ] as const) {
    const key = 'k'.repeat(length)
    for (let i = 0; i < 2; i++) scene.ask(`GET ${key}`, { share: true })
    t.is(scene.peer.counters.shared, shared)
    await scene.clock.settle()
  }
})

test('equal reads of one batch share a request', async (t) => {
  const scene = new Scene()
  await scene.open()
  const share = { share: true }
  const [a, b, other] = [
    scene.ask('GET k', share),
    scene.ask('GET k', share),
    scene.ask('GET x', share),
  ]
  t.is(scene.peer.waiting, 3)
  await scene.clock.settle()
  t.deepEqual(
    scene.owner.seen.map(({ args }) => args[1]),
    ['k', 'x'],
  )
  scene.owner.answer(scene.owner.seen[0]!.id, bulk('v'))
  await scene.clock.settle()
  t.deepEqual([a, b, other], [[['reply', 'v', true]], [['reply', 'v', true]], []])
  t.is(scene.peer.counters.shared, 1)
  t.is(scene.peer.waiting, 1)
})

test('a read does not join one that is sent already', async (t) => {
  const scene = new Scene()
  await scene.open()
  scene.ask('GET k', { share: true })
  await scene.clock.settle()
  scene.ask('GET k', { share: true })
  await scene.clock.settle()
  t.is(scene.owner.seen.length, 2)
})

test('a write of the key between two reads keeps them apart, one of another key does not', async (t) => {
  const scene = new Scene()
  await scene.open()
  scene.ask('GET k', { share: true })
  scene.ask('SET k 1')
  scene.ask('GET k', { share: true })
  scene.ask('SET x 1')
  scene.ask('GET k', { share: true })
  scene.ask('FLUSHALL')
  scene.ask('GET k', { share: true })
  await scene.clock.settle()
  t.deepEqual(
    scene.owner.seen.map(({ args }) => args.join(' ')),
    ['GET k', 'SET k 1', 'GET k', 'SET x 1', 'FLUSHALL', 'GET k'],
  )
})

test('reads of one key in different words, or with other deadlines, are not shared', async (t) => {
  const scene = new Scene()
  await scene.open()
  scene.ask('GET k', { share: true })
  scene.ask('STRLEN k', { share: true })
  scene.ask('GET k', { share: true, deadlineMs: 100 })
  await scene.clock.settle()
  t.is(scene.owner.seen.length, 3)
})

test('a node that says nothing within 400 ms is silent; its late reply is dropped', async (t) => {
  const scene = new Scene()
  await scene.open()
  const late = scene.ask('GET k')
  await scene.clock.advance(100)
  const other = scene.ask('GET x')
  await scene.clock.advance(299)
  t.deepEqual(late, [])
  await scene.clock.advance(1)
  t.deepEqual(late, [['silent', null, false]])
  t.deepEqual(other, [])
  const [first, second] = scene.owner.seen.map(({ id }) => id)
  scene.owner.answer(first!, bulk('late'))
  scene.owner.answer(second!, bulk('X'))
  await scene.clock.settle()
  t.is(late.length, 1)
  t.deepEqual(other, [['reply', 'X', true]])
  t.is(scene.peer.waiting, 0)
})

test('a node that says it works on it is waited for until the deadline', async (t) => {
  const scene = new Scene()
  await scene.open()
  const patient = scene.ask('GET k', { deadlineMs: 5000 })
  const short = scene.ask('GET x', { deadlineMs: 1500 })
  await scene.clock.advance(300)
  for (const { id } of scene.owner.seen) scene.owner.loading(id)
  await scene.clock.advance(1190)
  t.deepEqual([patient, short], [[], []])
  await scene.clock.advance(20)
  t.deepEqual([patient, short], [[], [['deadline', null, true]]])
  await scene.clock.advance(3000)
  scene.owner.answer(scene.owner.seen[0]!.id, bulk('v'))
  await scene.clock.settle()
  t.deepEqual(patient, [['reply', 'v', true]])
})

test('a node that answers others is busy, not silent', async (t) => {
  const scene = new Scene()
  await scene.open()
  const slow = scene.ask('GET k', { deadlineMs: 5000, hearMs: 1000 })
  for (let i = 0; i < 6; i++) {
    const quick = scene.ask(`GET x${i}`)
    await scene.clock.advance(300)
    scene.owner.answer(scene.owner.seen.at(-1)!.id, bulk('X'))
    await scene.clock.settle()
    t.is(quick.length, 1)
  }
  t.deepEqual(slow, [])
  await scene.clock.advance(500)
  t.deepEqual(slow, [['silent', null, false]])
})

test('a write that is given up takes its link with it, and what else is on it is lost', async (t) => {
  const scene = new Scene()
  await scene.open()
  const write = scene.ask('SET k v', { writes: true })
  await scene.clock.advance(100)
  const other = scene.ask('SET x v', { writes: true })
  await scene.clock.advance(299)
  t.deepEqual([write, other], [[], []])
  await scene.clock.advance(1)
  t.deepEqual(write, [['silent', null, false]])
  t.deepEqual(other, [['lost', null, false]])
  t.is(scene.peer.lastError!.code, LINK_SILENT)
  t.true(scene.links[0]!.destroyed)
  scene.owner.onRequest = ({ id }) => scene.owner.answer(id, ':1\r\n')
  const next = scene.ask('SET k w', { writes: true })
  await scene.clock.settle()
  t.deepEqual(next, [['reply', 1, true]])
  t.is(scene.peer.counters.resets, 1)
})

test('a read that is given up, a busy node and one that works on a write keep their link', async (t) => {
  const scene = new Scene()
  await scene.open()
  const read = scene.ask('GET k')
  await scene.clock.advance(400)
  t.is(read.length, 1)
  const worked = scene.ask('SET k v', { writes: true, deadlineMs: 1000 })
  await scene.clock.advance(300)
  scene.owner.loading(scene.owner.seen.at(-1)!.id)
  await scene.clock.advance(700)
  t.deepEqual(worked, [['deadline', null, true]])
  const slow = scene.ask('SET k v', { writes: true, deadlineMs: 1000 })
  for (let i = 0; i < 4; i++) {
    scene.ask(`GET x${i}`)
    await scene.clock.advance(300)
    scene.owner.answer(scene.owner.seen.at(-1)!.id, bulk('X'))
    await scene.clock.settle()
  }
  t.deepEqual(slow, [['deadline', null, false]])
  t.is(scene.peer.counters.resets, 0)
  t.is(scene.network.dialled.length, 1)
})

test('a heartbeat outlives the reset of its link, and fails no sooner than without it', async (t) => {
  for (const comesBack of [true, false]) {
    const scene = new Scene()
    await scene.open()
    scene.ask('SET k v', { writes: true })
    await scene.clock.advance(200)
    const answered: boolean[] = []
    scene.peer.ping(300, (pong) => answered.push(pong))
    if (!comesBack) scene.network.hang('b:1')
    await scene.clock.advance(199)
    scene.owner.onRequest = ({ id }) => scene.owner.answer(id, '+PONG\r\n')
    await scene.clock.advance(1)
    t.is(scene.peer.counters.resets, 1)
    if (!comesBack) await scene.clock.advance(99)
    t.deepEqual(answered, comesBack ? [true] : [])
    await scene.clock.advance(1)
    t.deepEqual(answered, [comesBack])
    // One that waits when the attempt to open another link fails has its time, too.
    await scene.clock.advance(150)
    scene.peer.ping(300, (pong) => answered.push(pong))
    await scene.clock.advance(299)
    t.is(answered.length, comesBack ? 2 : 1)
    await scene.clock.advance(1)
    t.deepEqual(answered[1], comesBack)
  }
})

test('a deadline shorter than the silence counts', async (t) => {
  const scene = new Scene()
  await scene.open()
  await scene.clock.advance(500)
  const long = scene.ask('GET x')
  const short = scene.ask('GET k', { deadlineMs: 50 })
  const hear = scene.ask('GET y', { hearMs: 60 })
  await scene.clock.advance(70)
  t.deepEqual([short, hear, long], [[['deadline', null, false]], [['silent', null, false]], []])
})

test('when the link breaks what was sent is lost', async (t) => {
  const scene = new Scene()
  await scene.open()
  const sent = scene.ask('GET k')
  await scene.clock.settle()
  const heard = scene.ask('GET x')
  await scene.clock.settle()
  scene.owner.loading(scene.owner.seen[1]!.id)
  await scene.clock.settle()
  scene.owner.cut()
  await scene.clock.settle()
  t.deepEqual(sent, [['lost', null, false]])
  t.deepEqual(heard, [['lost', null, true]])
  t.is(scene.peer.counters.lost, 2)
})

test('what was not sent when a link broke goes over the next', async (t) => {
  const scene = new Scene()
  await scene.open()
  scene.owner.onRequest = ({ id }) => scene.owner.answer(id, '+OK\r\n')
  scene.network.dialled[0]!.destroy()
  const ended = scene.ask('SET k v')
  await scene.clock.settle()
  t.is(ended[0]![0], 'reply')
  t.is(scene.owner.accepted, 2)
})

test('a node that refuses is unreachable, for the next requests at once', async (t) => {
  const scene = new Scene()
  scene.network.refuse('b:1')
  const first = scene.ask('GET k')
  await scene.clock.settle()
  t.deepEqual(first, [['unreachable', null, false]])
  t.is(scene.peer.lastError!.code, 'ECONNREFUSED')
  t.deepEqual(scene.ask('GET k'), [['unreachable', null, false]])
  t.is(scene.network.dialled.length, 1, 'no attempt yet')
})

test('attempts are made further and further apart, and the link is back when one succeeds', async (t) => {
  const scene = new Scene()
  scene.network.refuse('b:1')
  const attempts: number[] = []
  for (let ms = 0; ms < 10_000; ms += 5) {
    const before = scene.network.dialled.length
    scene.ask('GET k')
    if (scene.network.dialled.length > before) attempts.push(scene.clock.now())
    await scene.clock.advance(5)
  }
  const gaps = attempts.slice(1).map((at, i) => at - attempts[i]!)
  t.true(gaps[0]! <= 60, gaps.join())
  t.true(
    gaps.every((gap) => gap <= 1010),
    gaps.join(),
  )
  t.true(gaps.slice(6).every((gap) => gap >= 500))
  scene.listen()
  await scene.clock.advance(1000)
  t.deepEqual(scene.ask('GET k')[0]![0], 'unreachable', 'this one opens')
  await scene.clock.settle()
  t.true(scene.peer.connected)
})

test('a link that stood is a new beginning: when it breaks requests wait for the next', async (t) => {
  const scene = new Scene()
  scene.network.refuse('b:1')
  scene.ask('GET k')
  await scene.clock.advance(100)
  scene.listen()
  scene.ask('GET k')
  await scene.clock.settle()
  t.true(scene.peer.connected)
  scene.owner.cut()
  await scene.clock.settle()
  scene.owner.onRequest = ({ id }) => scene.owner.answer(id, ':1\r\n')
  const ended = scene.ask('GET k')
  await scene.clock.settle()
  t.deepEqual(ended, [['reply', 1, true]])
})

test('an answer to a request that was not sent yet ends the link', async (t) => {
  const scene = new Scene()
  await scene.open()
  scene.network.dialled[0]!.stall()
  scene.ask(`SET k ${'x'.repeat(70_000)}`)
  await scene.clock.settle()
  const unsent = scene.ask('GET k')
  scene.owner.say('@3\r\n+OK\r\n')
  await scene.clock.settle()
  t.is(scene.peer.lastError!.code, LINK_PROTOCOL)
  t.deepEqual(unsent, [['unreachable', null, false]])
})

test('a node that does not take the connection is unreachable after 400 ms', async (t) => {
  const scene = new Scene()
  scene.network.hang('b:1')
  const ended = scene.ask('GET k')
  await scene.clock.advance(399)
  t.deepEqual(ended, [])
  await scene.clock.advance(1)
  t.deepEqual(ended, [['unreachable', null, false]])
  t.is(scene.peer.lastError!.code, LINK_TIMEOUT)
})

for (const [what, command, answer] of [
  ['says nothing sensible', 'HELLO', ':5\r\n'],
  ['refuses the hello', 'HELLO', "-ERR unknown command 'PEER'\r\n"],
  ['has another name', 'HELLO', `*3\r\n${bulk('c:1')}${bulk('0'.repeat(32))}${bulk('')}`],
  ['is this node', 'HELLO', `*3\r\n${bulk('a:1')}${bulk('0'.repeat(32))}${bulk('')}`],
  ['proves nothing', 'HELLO', `*3\r\n${bulk('b:1')}${bulk('0'.repeat(32))}${bulk('00')}`],
  ['does not accept the proof', 'AUTH', '-NOAUTH no\r\n'],
] as const) {
  test(`a node that ${what} gets no request`, async (t) => {
    const scene = new Scene()
    scene.owner.insteadOf.set(command, answer)
    const ended = scene.ask('SET k v')
    await scene.clock.settle()
    t.deepEqual(ended, [['unreachable', null, false]])
    t.is(scene.peer.lastError!.code, what === 'is this node' ? LINK_SELF : LINK_AUTH)
    t.deepEqual(scene.owner.seen, [])
  })
}

test('who answers in another’s place gets no request, secret or not', async (t) => {
  for (const [name, why] of [
    ['c:1', 'b:1 calls itself "c:1"'],
    ['a:1', 'b:1 is this node under another name'],
  ] as const) {
    const scene = new Scene({ secret: 's' })
    const other = new FakeOwner(name, 's')
    scene.network.listen('b:1', (stream) => other.accept(stream))
    const ended = scene.ask('GET k')
    await scene.clock.settle()
    t.deepEqual(ended, [['unreachable', null, false]])
    t.is(scene.peer.lastError!.message, why)
  }
})

test('nodes with different secrets do not talk', async (t) => {
  for (const [ours, theirs] of [
    ['one', 'two'],
    ['one', ''],
    ['', 'two'],
  ] as const) {
    const scene = new Scene({ secret: ours }, theirs)
    const ended = scene.ask('GET k')
    await scene.clock.settle()
    t.deepEqual(ended, [['unreachable', null, false]])
    t.is(scene.peer.lastError!.message, 'b:1 does not know the cluster secret')
  }
})

test('a handshake that takes longer than 400 ms ends', async (t) => {
  const scene = new Scene()
  scene.owner.insteadOf.set('AUTH', '')
  const ended = scene.ask('GET k')
  await scene.clock.advance(400)
  t.deepEqual(ended, [['unreachable', null, false]])
  t.is(scene.peer.lastError!.code, LINK_TIMEOUT)
})

for (const [what, bytes] of [
  ['no reply', '!\r\n'],
  ['an answer to a request never made', '@99\r\n+OK\r\n'],
  ['a word on a request never made', '@-99\r\n'],
  ['an answer to request 0', '@0\r\n'],
  ['a reply without an id', '+OK\r\n'],
  ['a number for an id', ':2\r\n:1\r\n'],
  ['an id for a reply', '@2\r\n@3\r\n+OK\r\n'],
  ['a reply in RESP3', '@2\r\n%1\r\n+a\r\n_\r\n'],
  ['a reply that is too long', '@2\r\n$10001\r\n'],
  ['too deep a reply', `@2\r\n${'*1\r\n'.repeat(17)}`],
] as const) {
  test(`${what} ends the link, and all under way fails`, async (t) => {
    const scene = new Scene()
    await scene.open()
    const [a, b] = [scene.ask('GET a'), scene.ask('GET b')]
    await scene.clock.settle()
    scene.owner.say(bytes)
    await scene.clock.settle()
    t.deepEqual([a[0]?.[0], b[0]?.[0]], ['lost', 'lost'])
    t.is(scene.peer.lastError!.code, LINK_PROTOCOL)
    t.true(scene.network.dialled[0]!.destroyed)
    t.is(scene.peer.waiting, 0)
  })
}

test('a reply of exactly the longest length is taken', async (t) => {
  const scene = new Scene({ replyBytesMax: 1010 })
  await scene.open()
  scene.owner.onRequest = ({ id }) => scene.owner.answer(id, bulk('x'.repeat(1001)))
  t.is(bulk('x'.repeat(1001)).length, 1010)
  const ended = scene.ask('GET k')
  await scene.clock.settle()
  t.is(ended[0]![0], 'reply')
})

test('while a node does not take what was written, requests wait, up to a limit', async (t) => {
  const scene = new Scene({ queueBytesMax: 100_000 })
  await scene.open()
  scene.owner.onRequest = ({ id }) => scene.owner.answer(id, '+OK\r\n')
  const near = scene.network.dialled[0]!
  near.stall()
  const value = 'x'.repeat(40_000)
  const results: Ended[][] = []
  for (let i = 0; i < 5; i++) {
    results.push(scene.ask(`SET k${i} ${value}`))
    await scene.clock.settle()
  }
  t.deepEqual(
    results.map((ended) => ended[0]?.[0]),
    [undefined, undefined, undefined, 'busy', 'busy'],
  )
  t.is(scene.owner.seen.length, 0)
  near.flow()
  await scene.clock.settle()
  t.deepEqual(
    results.map((ended) => ended[0]?.[0]),
    ['reply', 'reply', 'reply', 'busy', 'busy'],
  )
})

test('what could not be sent in time was never sent', async (t) => {
  const scene = new Scene()
  await scene.open()
  const near = scene.network.dialled[0]!
  near.stall()
  const first = scene.ask(`SET k ${'x'.repeat(70_000)}`)
  await scene.clock.settle()
  const second = scene.ask('INCR k')
  await scene.clock.advance(400)
  t.deepEqual(first, [['silent', null, false]])
  t.deepEqual(second, [['unreachable', null, false]])
  near.flow()
  await scene.clock.advance(100)
  t.deepEqual(
    scene.owner.seen.map(({ args }) => args[0]),
    ['SET'],
  )
})

test('as many callers wait as the limit says, sharers among them', async (t) => {
  const scene = new Scene({ flightsMax: 3 })
  await scene.open()
  const all = Array.from({ length: 4 }, () => scene.ask('GET k', { share: true }))
  t.deepEqual(
    all.map((ended) => ended.length),
    [0, 0, 0, 1],
  )
  t.is(all[3]![0]![0], 'busy')
})

test('behind a long reply that is arriving nobody is silent, and it may exceed its deadline', async (t) => {
  const scene = new Scene({ replyBytesMax: 1_000_000 })
  await scene.open()
  const long = scene.ask('GET long')
  const behind = scene.ask('GET k', { deadlineMs: 10_000 })
  await scene.clock.settle()
  const [first, second] = scene.owner.seen.map(({ id }) => id)
  let alive = 0
  scene.owner.say(`@${first}\r\n$30000\r\n`)
  for (let i = 0; i < 30; i++) {
    scene.peer.ping(90, (answered) => (alive += answered ? 1 : 0))
    await scene.clock.advance(50)
    scene.owner.say('x'.repeat(1000))
    await scene.clock.advance(50)
    t.deepEqual([long, behind], [[], []])
  }
  t.is(alive, 30)
  scene.owner.say(`\r\n@${second}\r\n${bulk('v')}`)
  await scene.clock.settle()
  t.is(long[0]![0], 'reply')
  t.deepEqual(behind, [['reply', 'v', true]])
})

test('a long reply that stops arriving ends', async (t) => {
  const scene = new Scene({ replyBytesMax: 1_000_000 })
  await scene.open()
  const long = scene.ask('GET long')
  await scene.clock.settle()
  scene.owner.say(`@${scene.owner.seen[0]!.id}\r\n$30000\r\nxxx`)
  await scene.clock.advance(1010)
  t.deepEqual(long, [['deadline', null, true]])
})

test('a ping is answered by PONG in time and by nothing else', async (t) => {
  const scene = new Scene()
  await scene.open()
  const ping = async (reply: string | null, afterMs = 0): Promise<boolean> => {
    let result: boolean | null = null
    scene.owner.onRequest = ({ id }) => {
      if (reply !== null) scene.clock.after(afterMs, () => scene.owner.answer(id, reply))
    }
    scene.peer.ping(200, (answered) => (result = answered))
    await scene.clock.advance(250)
    return result!
  }
  t.true(await ping('+PONG\r\n'))
  t.true(await ping('+PONG\r\n', 199))
  t.false(await ping('+PONG\r\n', 215))
  t.false(await ping('-LOADING x\r\n'))
  t.false(await ping(null))
  t.is(scene.owner.seen[0]!.args.join(' '), 'PING')
})

test('a stall of this process is not taken for the silence of the other', async (t) => {
  const scene = new Scene()
  await scene.open()
  const ended = scene.ask('GET k')
  await scene.clock.settle()
  // When the timer fires at last, the reply is among the input that waits to be read.
  scene.beforeTimer = () =>
    setImmediate(() => scene.owner.answer(scene.owner.seen[0]!.id, bulk('v')))
  await scene.clock.advance(400)
  t.deepEqual(ended, [['reply', 'v', true]])
})

test('a dropped node loses what is under way, is unreachable, and comes back', async (t) => {
  const scene = new Scene()
  await scene.open()
  const sent = scene.ask('GET k')
  await scene.clock.settle()
  const unsent = scene.ask('GET x')
  scene.peer.drop('it does not answer')
  t.deepEqual([sent, unsent], [[['lost', null, false]], [['unreachable', null, false]]])
  t.deepEqual(scene.ask('GET y'), [['unreachable', null, false]])
  await scene.clock.advance(60)
  scene.ask('GET y')
  await scene.clock.settle()
  t.true(scene.peer.connected)
})

test('a closed peer leaves no timer, no connection and nobody waiting', async (t) => {
  const scene = new Scene()
  await scene.open()
  const sent = scene.ask('GET k')
  await scene.clock.settle()
  const unsent = scene.ask('GET x')
  scene.peer.close()
  scene.peer.close()
  t.deepEqual([sent[0]![0], unsent[0]![0]], ['lost', 'unreachable'])
  t.deepEqual(scene.ask('GET y'), [['unreachable', null, false]])
  await scene.clock.settle()
  t.is(scene.clock.timers, 0)
  t.is(scene.peer.waiting, 0)
  t.true(scene.network.dialled.every((stream) => stream.destroyed))
  t.is(scene.network.dialled.length, 1)
})

test('a caller may ask again from within its answer', async (t) => {
  const scene = new Scene()
  await scene.open()
  scene.owner.onRequest = ({ id }) => scene.owner.answer(id, ':1\r\n')
  const outcomes: string[] = []
  const again = (outcome: string): void => {
    outcomes.push(outcome)
    const request = { deadlineMs: 1000, keyAt: -1, share: false }
    if (outcomes.length < 5) scene.peer.request([Buffer.from('DBSIZE')], request, again)
    if (outcomes.length === 3) scene.owner.cut()
  }
  again('start')
  await scene.clock.settle()
  t.is(outcomes.length, 5)
  t.is(scene.peer.waiting, 0)
})

test('when everything is answered no timer is left after a while', async (t) => {
  const scene = new Scene()
  await scene.open()
  await scene.clock.advance(1000)
  t.is(scene.clock.timers, 0)
})

test('a reply comes as its bytes where it is to be relayed, an error as one, and nothing twice', async (t) => {
  const scene = new Scene()
  await scene.open()
  const map = '%1\r\n$1\r\na\r\n_\r\n'
  scene.owner.onRequest = ({ id, args }) => {
    scene.owner.answer(id, args[0] === 'GET' ? map : '-ERR no\r\n')
  }
  const relayed = scene.ask('GET a', { relay: 3 })
  const failed = scene.ask('SET a b', { relay: 3 })
  await scene.clock.settle()
  t.deepEqual(relayed, [['reply', map, true]])
  t.deepEqual(failed, [['reply', 'ERR no', true]])
  // An id that was answered already.
  scene.owner.say(`@${scene.owner.seen[0]!.id}\r\n:1\r\n`)
  await scene.clock.settle()
  t.is(scene.peer.lastError!.code, LINK_PROTOCOL)
})

test('of a node that is known to answer the link is waited for, however often it failed before', async (t) => {
  const scene = new Scene()
  scene.network.refuse('b:1')
  for (let i = 0; i < 5; i++) {
    const ended = scene.ask('GET k')
    await scene.clock.advance(300)
    t.deepEqual(ended, [['unreachable', null, false]])
  }
  scene.network.listen('b:1', (stream) => scene.owner.accept(stream))
  scene.peer.expect()
  const ended = scene.ask('GET k')
  t.deepEqual(ended, [])
  await scene.clock.advance(20)
  t.is(scene.owner.seen.length, 1)
})
