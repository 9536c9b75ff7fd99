/*
 * Nodes in this process, on virtual time and a network in memory; test/nodes/embedded-node.test.ts has
 * real programs.
 */
import { duplexPair } from 'node:stream'
import test from 'ava'
import { Redis } from 'ioredis'
import {
  BreakerOpenError,
  ClusterError,
  createNode,
  GroupMissingError,
  type GroupOptions,
  LoadBusyError,
  type LoadContext,
  LoadFailedError,
  LoadTimeoutError,
  type NodeOptions,
  NodeStateError,
  OutOfMemoryError,
} from '../../../server/embedded/cache.ts'
import type { NodeGroup } from '../../../server/embedded/node-group.ts'
import { CacheNode } from '../../../server/embedded/node.ts'
import type { Server } from '../../../server/server.ts'
import { certificateFile } from '../../certificates.ts'
import { freePort } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { LocalNetwork } from '../../sim/network.ts'
import { SeededRandom } from '../../sim/random.ts'
import { until } from '../../until.ts'
import { MemoryFiles } from '../snapshots/memory-files.ts'

interface User {
  readonly name: string
}

/** One call of the group's function of one of the nodes, which the test answers. */
interface Call {
  /** Which node's. */
  readonly at: number
  readonly id: string
  readonly context: LoadContext
  readonly answer: (value: User | null) => void
  readonly fail: (error: unknown) => void
}

type Rules = Partial<GroupOptions<User>>

/** A cluster of programs, each with the group of users, whose functions do as the test says. */
class Cluster {
  readonly clock = new VirtualClock()
  readonly network = new LocalNetwork()
  readonly files = new MemoryFiles()
  readonly nodes: CacheNode[] = []
  readonly servers: Server[] = []
  readonly users: NodeGroup<User>[] = []
  readonly calls: Call[] = []
  readonly logged: string[] = []
  /** Calls are answered at once. */
  answers: ((call: Call) => void) | null = null

  static async start(
    rules: Rules = {},
    { count = 3, options = {} }: { count?: number; options?: NodeOptions } = {},
  ): Promise<Cluster> {
    const cluster = new Cluster()
    for (let at = 0; at < count; at++) cluster.make(at, count, options)
    for (const [at, node] of cluster.nodes.entries()) {
      // Early refreshes would come by chance.
      const given = { early: 0, load: cluster.loadOf(at), ...rules }
      cluster.users.push(node.group<User>('user', given))
    }
    return cluster.serve()
  }

  make(at: number, count: number, options: NodeOptions = {}): CacheNode {
    const { clock, files, network } = this
    const names = Array.from({ length: count }, (_, i) => `127.0.0.1:${7001 + i}`)
    const world = {
      ...{ clock, network, random: new SeededRandom(at + 1), files },
      listen: (server: Server) => {
        this.servers[at] = server
        network.listen(names[at]!, (stream) => server.handle(stream))
        server.routing.start()
        return Promise.resolve()
      },
    }
    const log = (line: string): void => void this.logged.push(line)
    const alone = { maxMemory: '4mb', log, ...options }
    const member = count === 1 ? alone : { ...alone, port: 7001 + at, peers: names }
    const node = new CacheNode(member, world)
    this.nodes.push(node)
    return node
  }

  async serve(): Promise<this> {
    for (const node of this.nodes) await node.start()
    const isWhole = (): boolean =>
      this.nodes.every((node) => node.members.every(({ state }) => state === 'up'))
    await this.clock.until(isWhole)
    return this
  }

  loadOf(at: number) {
    return (id: string, context: LoadContext): Promise<User | null> =>
      new Promise((answer, fail) => {
        const call = { at, id, context, answer, fail }
        this.calls.push(call)
        this.answers?.(call)
      })
  }

  /** The call that is at work, once it is. */
  async call(number = this.calls.length): Promise<Call> {
    await this.clock.until(() => this.calls.length > number, 100)
    return this.calls[number]!
  }

  /** What a promise comes to, while virtual time goes on. */
  async end<T>(promise: Promise<T>): Promise<T | Error> {
    let ended: { is: T | Error } | null = null
    promise.then(
      (is) => (ended = { is }),
      (is: Error) => (ended = { is }),
    )
    await this.clock.until(() => ended !== null)
    return ended!.is
  }

  /** An id whose key this node owns, which is not used otherwise. */
  idAt(at: number, begin = 'id'): string {
    const { routing } = this.servers[0]!
    for (let i = 0; ; i++) {
      const id = `${begin}:${i}`
      if (routing.ownerOf(Buffer.from(`user:${id}`)) === `127.0.0.1:${7001 + at}`) return id
    }
  }

  /** A Redis client of this node. */
  client(at: number): RawClient {
    const [near, far] = duplexPair()
    this.servers[at]!.handle(far)
    return RawClient.over(near)
  }

  async close(): Promise<void> {
    for (const node of this.nodes) await this.end(node.close())
  }
}

/** For which a node that ends waits for its clients. */
const SHUTDOWN_MS = 5000

const ADA = { name: 'Ada' }
const GRACE = { name: 'Grace' }

/* ---- loads ---- */

test('a cold key is loaded once for all programs, by the one that owns it', async (t) => {
  const cluster = await Cluster.start()
  for (const owner of [0, 1, 2]) {
    const id = cluster.idAt(owner)
    const before = cluster.calls.length
    const gets = Array.from({ length: 100 }, (_, i) => cluster.users[i % 3]!.get(id))
    const call = await cluster.call(before)
    t.is(call.at, owner)
    t.is(call.id, id)
    t.is(call.context.key, `user:${id}`)
    await cluster.clock.advance(20)
    call.answer(ADA)
    const all = await cluster.end(Promise.all(gets))
    t.deepEqual(
      all,
      Array.from({ length: 100 }, () => ADA),
    )
    t.is(cluster.calls.length, before + 1)
    t.deepEqual(await cluster.end(cluster.users[(owner + 1) % 3]!.peek(id)), ADA)
  }
  const { loads, values, keys } = cluster.users[0]!.stats
  t.deepEqual({ loads, values, keys }, { loads: 1, values: 1, keys: 1 })
  await cluster.close()
})

test('a slow load holds up no other call', async (t) => {
  const cluster = await Cluster.start()
  const slow = cluster.users[0]!.get(cluster.idAt(0))
  const first = await cluster.call(0)
  cluster.answers = ({ answer }) => answer(GRACE)
  for (const owner of [0, 1]) {
    t.deepEqual(await cluster.end(cluster.users[0]!.get(cluster.idAt(owner, 'quick'))), GRACE)
  }
  first.answer(ADA)
  t.deepEqual(await cluster.end(slow), ADA)
  await cluster.close()
})

test('"there is no such thing" is undefined on all nodes, and remembered as the group says', async (t) => {
  const cluster = await Cluster.start({ negative: '10s' })
  cluster.answers = ({ answer }) => answer(null)
  const id = cluster.idAt(1)
  for (const users of cluster.users) t.is(await cluster.end(users.get(id)), undefined)
  t.is(cluster.calls.length, 1)
  await cluster.clock.advance(10_000)
  t.is(await cluster.end(cluster.users[2]!.get(id)), undefined)
  t.is(cluster.calls.length, 2)
  await cluster.close()
})

test('a stale value is the answer everywhere while its owner loads it anew', async (t) => {
  const cluster = await Cluster.start({ ttl: '1s', stale: '1m' })
  const id = cluster.idAt(1)
  const got = cluster.users[0]!.get(id)
  ;(await cluster.call(0)).answer(ADA)
  await cluster.end(got)
  await cluster.clock.advance(2000)
  t.deepEqual(await cluster.end(cluster.users[0]!.get(id)), ADA)
  t.deepEqual(await cluster.end(cluster.users[2]!.get(id)), ADA)
  const again = await cluster.call(1)
  t.is(again.at, 1)
  again.answer(GRACE)
  await cluster.clock.settle()
  for (const users of cluster.users) t.deepEqual(await cluster.end(users.get(id)), GRACE)
  t.is(cluster.calls.length, 2)
  t.is(cluster.users[1]!.stats.staleHits, 2)
  await cluster.close()
})

test('without `wait` a get waits to the end of the load, and with it no longer', async (t) => {
  const patient = await Cluster.start({ timeout: '1m' })
  const long = patient.users[0]!.get(patient.idAt(1))
  const call = await patient.call(0)
  await patient.clock.advance(50_000)
  call.answer(ADA)
  t.deepEqual(await patient.end(long), ADA)
  await patient.close()

  const hasty = await Cluster.start({ wait: '50ms' })
  const id = hasty.idAt(1)
  const before = hasty.clock.now()
  t.is(await hasty.end(hasty.users[0]!.get(id)), undefined)
  t.true(hasty.clock.now() - before < 100)
  hasty.calls[0]!.answer(ADA)
  await hasty.clock.settle()
  t.deepEqual(await hasty.end(hasty.users[0]!.get(id)), ADA)
  await hasty.close()
})

test('refresh has the owner load anew what is fresh; what is there stays if that fails', async (t) => {
  const cluster = await Cluster.start()
  const [one, two] = cluster.users as [NodeGroup<User>, NodeGroup<User>]
  const id = cluster.idAt(1)
  const got = one.get(id)
  ;(await cluster.call(0)).answer(ADA)
  await cluster.end(got)
  const failing = one.refresh(id)
  const failed = await cluster.call(1)
  t.is(failed.at, 1)
  failed.fail(new Error('down'))
  t.true((await cluster.end(failing)) instanceof LoadFailedError)
  t.deepEqual(await cluster.end(two.get(id)), ADA)
  const both = [one.refresh(id), two.refresh(id)]
  ;(await cluster.call(2)).answer(GRACE)
  t.deepEqual(await cluster.end(Promise.all(both)), [GRACE, GRACE])
  t.deepEqual(await cluster.end(one.get(id)), GRACE)
  t.is(cluster.calls.length, 3)
  await cluster.close()
})

/* ---- changes ---- */

test('what one program sets or deletes the others see, and a load under way does not undo it', async (t) => {
  const cluster = await Cluster.start()
  const [one, two, three] = cluster.users as [NodeGroup<User>, NodeGroup<User>, NodeGroup<User>]
  for (const owner of [0, 1, 2]) {
    const id = cluster.idAt(owner)
    const got = one.get(id)
    const call = await cluster.call(owner)
    await cluster.end(two.set(id, GRACE))
    call.answer(ADA)
    t.deepEqual(await cluster.end(got), ADA, 'asked before the change')
    t.deepEqual(await cluster.end(three.get(id)), GRACE)
    t.true(await cluster.end(three.delete(id)))
    t.false(await cluster.end(one.delete(id)))
    t.is(await cluster.end(two.peek(id)), undefined)
  }
  t.is(cluster.calls.length, 3)
  await cluster.close()
})

test('a value that is set lives as the group says, or as long as `ttl` says', async (t) => {
  const cluster = await Cluster.start({ ttl: '10s', stale: '10s', staleIfError: '1h' })
  const [id, other] = [cluster.idAt(1), cluster.idAt(1, 'other')]
  await cluster.end(cluster.users[0]!.set(id, ADA))
  await cluster.end(cluster.users[0]!.set(other, GRACE, { ttl: '1m' }))
  t.is(cluster.users[1]!.stats.keys, 2)
  await cluster.clock.advance(15_000)
  t.deepEqual(await cluster.end(cluster.users[2]!.get(id)), ADA)
  ;(await cluster.call(0)).fail(new Error('down'))
  t.deepEqual(await cluster.end(cluster.users[2]!.get(other)), GRACE)
  t.is(cluster.calls.length, 1)
  await cluster.clock.advance(10_000)
  const stood = cluster.users[2]!.get(id)
  ;(await cluster.call(1)).fail(new Error('down'))
  t.deepEqual(await cluster.end(stood), ADA, 'past stale, where the load fails')
  await cluster.close()
})

test('a tag, and the whole group, go on all nodes', async (t) => {
  const cluster = await Cluster.start()
  const ids = [0, 1, 2].map((owner) => cluster.idAt(owner))
  const there = async (): Promise<(User | Error | undefined)[]> => {
    const found: (User | Error | undefined)[] = []
    for (const id of ids) found.push(await cluster.end(cluster.users[0]!.peek(id)))
    return found
  }
  for (const [i, id] of ids.entries()) {
    const options = i === 2 ? {} : { tags: ['red', 'blue'] }
    await cluster.end(cluster.users[0]!.set(id, ADA, options))
  }
  await cluster.end(cluster.nodes[1]!.invalidateTag('green'))
  t.deepEqual(await there(), [ADA, ADA, ADA])
  await cluster.end(cluster.users[2]!.invalidateTag('blue'))
  t.deepEqual(await there(), [undefined, undefined, ADA])
  await cluster.end(cluster.users[0]!.set(ids[0]!, ADA))
  await cluster.end(cluster.users[1]!.invalidate())
  t.deepEqual(await there(), [undefined, undefined, undefined])
  await cluster.close()
})

test('a Redis client of any node reads, loads and writes the same keys', async (t) => {
  const cluster = await Cluster.start()
  const clients = [0, 1, 2].map((at) => cluster.client(at))
  cluster.answers = ({ answer }) => answer(ADA)
  const id = cluster.idAt(1)
  for (const client of clients) {
    t.is(String(await cluster.end(client.get(`user:${id}`))), '{"name":"Ada"}')
  }
  t.is(cluster.calls.length, 1)
  await cluster.end(clients[2]!.command('SET', `user:${id}`, '{"name":"Grace"}'))
  t.deepEqual(await cluster.end(cluster.users[0]!.get(id)), GRACE)
  t.is(await cluster.end(clients[0]!.command('GROUP', 'SET', 'user', 'ttl', '2s')), '+OK\r\n')
  await cluster.end(cluster.users[2]!.set(id, GRACE))
  t.is(await cluster.end(clients[2]!.command('PTTL', `user:${id}`)), ':2000\r\n')
  // A client that kills and lists clients never meets the program itself.
  t.is(await cluster.end(clients[0]!.command('CLIENT', 'KILL', 'SKIPME', 'yes')), ':2\r\n')
  t.deepEqual(await cluster.end(cluster.users[0]!.get(id)), GRACE)
  for (const client of clients) client.close()
  await cluster.close()
})

test('long values and a codec of one’s own come through from everywhere', async (t) => {
  const cluster = new Cluster()
  const codec = {
    encode: (text: string) => Buffer.from(text, 'latin1'),
    decode: (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1'),
  }
  const texts = [0, 1, 2].map((at) => {
    const node = cluster.make(at, 3, { maxMemory: '16mb' })
    return node.group<string>('text', { codec, load: (id) => id.repeat(50_000) })
  })
  await cluster.serve()
  for (const id of ['a', 'bé', 'c:d/{e}', '{x}y']) {
    for (const text of texts) t.is(await cluster.end(text.get(id)), id.repeat(50_000))
    await cluster.end(texts[0]!.set(id, 'é'.repeat(100_000)))
    for (const text of texts) t.is(await cluster.end(text.get(id)), 'é'.repeat(100_000))
  }
  await cluster.close()
})

/* ---- errors ---- */

test('what the function throws is an error for all who asked, and its cause where it was thrown', async (t) => {
  const cluster = await Cluster.start({ breaker: 'off' })
  const id = cluster.idAt(1)
  const gets = cluster.users.map((users) => users.get(id))
  const thrown = new Error('the database is down')
  ;(await cluster.call(0)).fail(thrown)
  for (const [at, got] of gets.entries()) {
    const error = await cluster.end(got)
    t.true(error instanceof LoadFailedError)
    t.is((error as LoadFailedError).code, 'LOAD_FAILED')
    t.is((error as Error).message, 'group user: load() failed')
    t.is((error as Error).cause, at === 1 ? thrown : undefined)
  }
  t.true(cluster.logged.some((line) => line.includes('the database is down')))
  // It is remembered by nobody.
  const again = cluster.users[0]!.get(id)
  ;(await cluster.call(1)).answer(ADA)
  t.deepEqual(await cluster.end(again), ADA)
  await cluster.close()
})

test('each way in which a load can end without an answer has its error, from another node too', async (t) => {
  const limits = { timeout: '1s', concurrency: 1, queue: 0, breaker: '2/10s' }
  const cluster = await Cluster.start(limits)
  const users = cluster.users[0]!
  const slow = users.get(cluster.idAt(1, 'slow'))
  const call = await cluster.call(0)
  t.true((await cluster.end(users.get(cluster.idAt(1, 'busy')))) instanceof LoadBusyError)
  const late = await cluster.end(slow)
  t.true(late instanceof LoadTimeoutError)
  t.is((late as Error).message, 'group user: the load took longer than its timeout')
  t.true(call.context.signal.aborted)
  cluster.answers = ({ fail }) => fail(new Error('down'))
  t.true((await cluster.end(users.get(cluster.idAt(1, 'failed')))) instanceof LoadFailedError)
  t.true((await cluster.end(users.get(cluster.idAt(1, 'open')))) instanceof BreakerOpenError)
  t.is(cluster.users[1]!.stats.breaker, 'open')
  t.is(cluster.users[0]!.stats.breaker, 'closed', 'each program has its own')
  await cluster.close()
})

test('a program that lacks the group is told of, in the place of "there is none"', async (t) => {
  const cluster = new Cluster()
  for (const at of [0, 1, 2]) cluster.make(at, 3)
  const users = [0, 2].map((at) =>
    cluster.nodes[at]!.group<User>('user', { load: cluster.loadOf(at) }),
  )
  await cluster.serve()
  cluster.answers = ({ answer }) => answer(ADA)
  const id = cluster.idAt(1)
  const asks: readonly (() => Promise<unknown>)[] = [
    () => users[0]!.get(id),
    () => users[1]!.peek(id),
    () => users[1]!.set(id, ADA),
  ]
  for (const ask of asks) {
    const error = await cluster.end(ask())
    t.true(error instanceof GroupMissingError, String(error))
    t.is((error as GroupMissingError).code, 'GROUP_MISSING')
  }
  t.deepEqual(await cluster.end(users[0]!.get(cluster.idAt(2))), ADA)
  // The one that lacks it answers its Redis clients with what the others load.
  const client = cluster.client(1)
  t.is(String(await cluster.end(client.get(`user:${cluster.idAt(0)}`))), '{"name":"Ada"}')
  client.close()
  await cluster.close()
})

test('what has no room is an OutOfMemoryError, also of another node', async (t) => {
  const cluster = await Cluster.start({}, { options: { maxMemory: '2mb' } })
  const name = 'x'.repeat(2 * 2 ** 20)
  for (const owner of [0, 1]) {
    const error = await cluster.end(cluster.users[0]!.set(cluster.idAt(owner), { name }))
    t.true(error instanceof OutOfMemoryError, String(error))
  }
  await cluster.close()
})

test('wrong ids, values and tags are refused as by a group of a cache', async (t) => {
  const cluster = await Cluster.start({}, { count: 1 })
  const users = cluster.users[0]!
  await t.throwsAsync(users.get(''), { instanceOf: TypeError, message: /an id must be a string/ })
  await t.throwsAsync(users.get(42 as never), { message: /try String\(id\)/ })
  await t.throwsAsync(users.get('x'.repeat(65_536)), { instanceOf: RangeError })
  await t.throwsAsync(users.set('1', null as never), { message: /there is no such thing/ })
  await t.throwsAsync(users.set('1', ADA, { tags: [''] }), { message: /tags must be strings/ })
  await t.throwsAsync(users.set('1', ADA, { ttl: 0 }), { message: /ttl must be over 0/ })
  await t.throwsAsync(cluster.nodes[0]!.invalidateTag(''), { instanceOf: TypeError })
  t.deepEqual(cluster.nodes[0]!.members, [])
  await cluster.close()
})

/* ---- beginning and end ---- */

test('a node is used between start and close, and groups are made before', async (t) => {
  const cluster = new Cluster()
  const node = cluster.make(0, 1)
  const users = node.group<User>('user', cluster.loadOf(0))
  t.is(node.getGroup('user'), users)
  t.is(node.getGroup('nobody'), undefined)
  t.throws(() => node.group('user', () => 1), { message: 'group user is given twice' })
  t.throws(() => node.group('other', {} as never), { message: /load must be a function/ })
  t.throws(() => node.group('a b', () => 1), { instanceOf: RangeError })
  await t.throwsAsync(users.get('1'), { instanceOf: NodeStateError, message: /has not started/ })
  t.throws(() => node.port, { instanceOf: NodeStateError })
  t.throws(() => users.stats, { instanceOf: NodeStateError })
  t.is(await node.start(), node)
  t.throws(() => node.group('late', () => 1), { instanceOf: NodeStateError })
  await t.throwsAsync(node.start(), { instanceOf: NodeStateError, message: /started once/ })

  const waiting = users.get('1')
  await cluster.call(0)
  const closed = node.close()
  t.true((await cluster.end(waiting)) instanceof NodeStateError)
  await cluster.end(closed)
  t.true(cluster.calls[0]!.context.signal.aborted)
  await cluster.clock.advance(SHUTDOWN_MS)
  t.is(cluster.clock.timers, 0, 'nothing goes on')
  await t.throwsAsync(users.get('1'), { code: 'NODE_STATE', message: 'the node is closed' })
  await node.close()
  await t.throwsAsync(node.start(), { instanceOf: NodeStateError })
})

test('a node that is closed while it starts does not start', async (t) => {
  const cluster = new Cluster()
  const node = cluster.make(0, 1)
  const starting = node.start()
  const closed = node.close()
  t.true((await cluster.end(starting)) instanceof NodeStateError)
  await cluster.end(closed)
  await cluster.clock.advance(SHUTDOWN_MS)
  t.is(cluster.clock.timers, 0)
})

test('a client’s SHUTDOWN ends the node, and not the program', async (t) => {
  const cluster = await Cluster.start({}, { count: 1 })
  const client = cluster.client(0)
  const unanswered = client.command('SHUTDOWN', 'NOSAVE')
  await cluster.clock.until(() => cluster.servers[0]!.gate.frozen)
  await cluster.end(cluster.servers[0]!.stopped)
  await t.throwsAsync(cluster.users[0]!.get('1'), { code: 'NODE_STATE' })
  client.close()
  await t.throwsAsync(unanswered)
  await cluster.close()
})

test('a node begins empty, whatever snapshot lies where the program runs', async (t) => {
  const cluster = await Cluster.start({}, { count: 1 })
  const client = cluster.client(0)
  await cluster.end(cluster.users[0]!.set('1', ADA))
  t.is(await cluster.end(client.command('SAVE')), '+OK\r\n')
  client.close()
  await cluster.close()
  const again = cluster.make(0, 1)
  const users = again.group<User>('user', cluster.loadOf(0))
  await again.start()
  t.is(await cluster.end(users.peek('1')), undefined)
  await cluster.end(again.close())
})

test('when a node is closed others have its keys and load the next; what all must hear says who did not', async (t) => {
  const cluster = await Cluster.start()
  // What moves in the moment in which a node begins has not moved.
  await cluster.clock.advance(1)
  cluster.answers = ({ at, answer }) => answer({ name: `by ${at}` })
  const ids = Array.from({ length: 40 }, (_, i) => cluster.idAt(1, `many:${i}`))
  const loaded = ids.slice(0, 20)
  for (const id of loaded) {
    t.deepEqual(await cluster.end(cluster.users[0]!.get(id)), { name: 'by 1' })
  }
  await cluster.end(cluster.nodes[1]!.close())
  cluster.network.refuse('127.0.0.1:7002')
  for (const id of loaded) {
    t.deepEqual(await cluster.end(cluster.users[0]!.get(id)), { name: 'by 1' })
  }
  t.is(cluster.calls.length, 20)
  for (const id of ids.slice(20)) {
    const found = await cluster.end(cluster.users[0]!.get(id))
    t.regex((found as User).name, /^by [02]$/)
    t.deepEqual(await cluster.end(cluster.users[2]!.get(id)), found, 'both turn to the same one')
  }
  t.is(cluster.calls.length, 40)
  const error = await cluster.end(cluster.users[0]!.invalidate())
  t.true(error instanceof ClusterError)
  t.regex((error as Error).message, /not done on 127\.0\.0\.1:7002/)
  await cluster.clock.until(() => cluster.nodes[0]!.members[1]!.state === 'down')
  t.deepEqual(
    cluster.nodes[0]!.members.map(({ name, isSelf }) => [name, isSelf]),
    [
      ['127.0.0.1:7001', true],
      ['127.0.0.1:7002', false],
      ['127.0.0.1:7003', false],
    ],
  )
  await cluster.close()
})

/* ---- options ---- */

for (const [what, options, error] of [
  ['an unknown one', { prot: 1 }, /^createNode has no option prot: did you mean port\?/],
  ['a port that is text', { port: '7001' }, /^port must be a number, but is string$/],
  ['a port out of range', { port: 65_536 }, /^port must be an integer from 0 to 65535/],
  [
    'too short a time',
    { nodeTimeoutMs: 10 },
    /nodeTimeoutMs '10': argument must be between 200 and/,
  ],
  ['a time in words', { nodeTimeoutMs: '1s' as never }, /^nodeTimeoutMs must be a number/],
  ['peers without a port', { peers: ['127.0.0.1:7002'] }, /^port must be given beside peers/],
  ['peers that are text', { port: 7001, peers: '127.0.0.1:7002' }, /^peers must be an array/],
  ['a peer without a port', { port: 7001, peers: ['a'] }, /peers: "a" is not host:port/],
  ['an empty secret', { secret: '' }, /^secret must be a string that is not empty, but is empty/],
  ['tls that is a path', { tls: 'file' }, /^tls must be \{ certFile, keyFile, caFile \}/],
  ['tls without a key', { tls: { certFile: 'a', caFile: 'b' } }, /^tls.keyFile must be a string/],
  [
    'an unknown name in tls',
    { tls: { certfile: 'a' } },
    /^tls has no option certfile: did you mean/,
  ],
  ['all addresses, no password', { host: '0.0.0.0' }, /^password must be given/],
  [
    'all addresses, peers, no self',
    { host: '0.0.0.0', port: 7001, password: 'p', secret: 's', peers: ['10.0.0.2:7001'] },
    /^self must be given: by '0\.0\.0\.0'/,
  ],
  [
    'a password, peers, no secret',
    { port: 7001, password: 'p', peers: ['127.0.0.1:7002'] },
    /a cluster behind password wants secret/,
  ],
  ['too much memory', { maxMemory: 2 ** 52 }, /maxMemory '.*': argument must be at most/],
  ['too little memory', { maxMemory: '1mb' }, /^maxMemory must be .* at least '2mb'/],
  ['an unknown eviction', { eviction: 'fiffo' }, /did you mean 'fifo'/],
  ['an unknown level', { logLevel: 'loud' }, /logLevel 'loud': .*notice, warning, nothing/],
  ['a log that is a path', { log: 'file' }, /^log must be a function, but is string$/],
  ['null', null, /^createNode wants options/],
] as const) {
  test(`createNode with ${what} says what is wrong`, (t) => {
    t.throws(() => createNode(options as never), { message: error })
  })
}

test('a node finds itself among its peers, however they write this machine', async (t) => {
  for (const [host, peers, self] of [
    ['127.0.0.1', ['localhost:7001', 'localhost:7002'], 'localhost:7001'],
    ['localhost', ['127.0.0.1:7001', '127.0.0.1:7002'], '127.0.0.1:7001'],
    ['::1', ['[::1]:7001', '127.0.0.1:7001'], '[::1]:7001'],
    ['127.0.0.1', ['127.0.0.1:7002'], '127.0.0.1:7001'],
  ] as const) {
    const cluster = new Cluster()
    const node = cluster.make(0, 1, { host, port: 7001, peers })
    await node.start()
    const own = node.members.filter(({ isSelf }) => isSelf).map(({ name }) => name)
    t.deepEqual(own, [self])
    t.is(node.members.length, 2)
    await cluster.close()
  }
})

test('a group’s options are those of a cache’s group, and its mistakes are told the same way', (t) => {
  const node = createNode()
  t.throws(() => node.group('user', { load: () => 1, tll: '5m' } as never), {
    message: 'group user has no option tll: did you mean ttl?',
  })
  t.throws(() => node.group('user', { load: () => 1, ttl: '5' }), { message: /has no unit/ })
})

/* ---- real sockets ---- */

test('createNode() alone listens on a free port of this machine', async (t) => {
  const node = createNode()
  const users = node.group<User>('user', { load: async (id) => ({ name: id }) })
  await node.start()
  const { port } = node
  t.true(port > 0)
  const client = new Redis(port, '127.0.0.1')
  t.is(await client.get('user:Ada'), '{"name":"Ada"}')
  t.regex(await client.info('server'), new RegExp(`tcp_port:${port}\\r\\n`))
  t.deepEqual(await users.get('Ada'), { name: 'Ada' })

  const lines: string[] = []
  const taken = createNode({ port, log: (line) => lines.push(line) })
  await t.throwsAsync(taken.start(), { code: 'EADDRINUSE' })
  await t.throwsAsync(taken.start(), { instanceOf: NodeStateError })
  client.disconnect()
  await node.close()
  await t.throwsAsync(RawClient.open(port), { code: 'ECONNREFUSED' })
})

test('nodes of programs speak TLS with each other', async (t) => {
  const ports = [await freePort(), await freePort()]
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const make = (i: number) => {
    const name = ['one', 'two'][i]!
    const tls = {
      ...{ certFile: certificateFile(`${name}.crt`), keyFile: certificateFile(`${name}.key`) },
      ...{ caFile: certificateFile('ca.crt'), ...(i === 0 ? {} : { keyPassword: 'open' }) },
    }
    const node = createNode({ port: ports[i]!, peers, tls, logLevel: 'nothing' })
    return { node, users: node.group<User>('user', { load: async (id) => ({ name: id }) }) }
  }
  const made = [make(0), make(1)]
  await Promise.all(made.map(({ node }) => node.start()))
  t.teardown(() => Promise.all(made.map(({ node }) => node.close())))
  for (const { node } of made) await until(() => node.members.every(({ state }) => state === 'up'))
  for (const { users } of made) {
    for (let id = 0; id < 20; id++) t.deepEqual(await users.get(`${id}`), { name: `${id}` })
  }
  const plain = await RawClient.open(ports[0]!)
  t.teardown(() => plain.close())
  t.regex(await plain.command('PEER', 'HELLO', '1', 'a:1', '0'.repeat(32)), /it does not speak TLS/)
  const wrong = createNode({
    tls: { certFile: '/nowhere', keyFile: '/nowhere', caFile: '/nowhere' },
    logLevel: 'nothing',
  })
  await t.throwsAsync(wrong.start(), { message: /^tls-cert-file '\/nowhere': No such file/ })
})

test('a password is wanted of Redis clients, and not of the program', async (t) => {
  const node = createNode({ password: 'a secret' })
  const users = node.group<User>('user', { load: async (id) => ({ name: id }) })
  await node.start()
  const client = new Redis(node.port, '127.0.0.1', { password: 'a secret' })
  t.is(await client.get('user:Ada'), '{"name":"Ada"}')
  t.deepEqual(await users.get('Ada'), { name: 'Ada' })
  client.disconnect()
  await node.close()
})
