/* Whole nodes in this process, whose list of members or links change while they run. */
import test from 'ava'
import type { Resolver } from '../../../cluster/discovery/dns.ts'
import { parseNode } from '../../../cluster/members/membership.ts'
import type { Network } from '../../../cluster/world.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { LocalNetwork, type LocalStream } from '../../sim/network.ts'
import { type InProcess, startInProcess } from '../in-process.ts'

const secret = ['--cluster-secret', 'a secret of this test']
const nodesOf = (...words: string[]) => words.map((word) => parseNode(word, 'test'))

/** Nodes on one network, each with a list of its own. Links 'a>b' that are cut hang. */
class Nodes {
  readonly clock = new VirtualClock()
  readonly network = new LocalNetwork()
  readonly cut = new Set<string>()
  readonly #streams = new Map<string, LocalStream[]>()
  readonly #running: InProcess[] = []

  start(self: string, peers: string, args: readonly string[] = []): Promise<InProcess> {
    return this.startAt(self, self, ['--cluster-peers', peers, ...args])
  }

  /** A node that listens elsewhere than its name says, with these arguments about the others. */
  async startAt(
    self: string,
    at: string,
    args: readonly string[],
    resolver?: Resolver,
  ): Promise<InProcess> {
    const { clock, cut, network } = this
    const own: Network = {
      connect: ({ host, port }) => {
        const link = `${self}>${host}:${port}`
        const stream = network.connect(
          cut.has(link) ? { host: 'nowhere', port: 1 } : { host, port },
        )
        this.#streams.set(link, [...(this.#streams.get(link) ?? []), stream as LocalStream])
        return stream
      },
    }
    network.hang('nowhere:1')
    const list = ['--cluster-self', self]
    const seed = this.#running.length + 1
    const dns = resolver === undefined ? {} : { resolver }
    const options = { clock, network: own, seed, ...dns }
    const node = await startInProcess([...list, ...secret, ...args], options)
    let listens = false
    void node.server.listen().then(() => (listens = true))
    await clock.until(() => listens)
    network.listen(at, (stream) => node.server.handle(stream))
    this.#running.push(node)
    return node
  }

  /** From now on nothing gets from one to the other over links of the first. */
  break(link: string): void {
    this.cut.add(link)
    for (const stream of this.#streams.get(link) ?? []) stream.destroy()
  }

  /** From now on what one sends to the other gets lost, and no new link comes about. */
  silence(link: string): void {
    this.cut.add(link)
    for (const stream of this.#streams.get(link) ?? []) stream.stall()
  }

  shutdown(): void {
    for (const { server } of this.#running) server.shutdown()
  }
}

const [a, b, c] = ['127.0.0.1:7001', '127.0.0.1:7002', '127.0.0.1:7003'] as const

test('a node joins and leaves by the list: keys go to their owners, links come and go', async (t) => {
  const nodes = new Nodes()
  t.teardown(() => nodes.shutdown())
  const first = await nodes.start(a, b)
  const second = await nodes.start(b, a)
  const third = await nodes.start(c, `${a},${b}`)
  const { clock } = nodes
  const views = () =>
    [first, second, third].map(({ server }) => server.routing.membership!.viewHash)
  for (const { server } of [first, second]) server.routing.membership!.update(nodesOf(a, b, c))
  await clock.until(() => new Set(views()).size === 1)
  const epochs = () => [first, second, third].map(({ server }) => server.routing.membership!.epoch)
  await clock.until(() => new Set(epochs()).size === 1)

  const client = first.connect()
  for (let i = 0; i < 40; i++) {
    const set = client.command('SET', `key:${i}`, 'v')
    await clock.advance(5)
    t.is(await set, '+OK\r\n')
  }
  const sizes = [first, second, third].map(({ server }) => server.store.size(0))
  t.is(sizes[0]! + sizes[1]! + sizes[2]!, 40)
  t.true(
    sizes.every((size) => size > 0),
    sizes.join(' '),
  )

  for (const { server } of [first, second]) server.routing.membership!.update(nodesOf(a, b))
  t.deepEqual([...first.server.routing.peers.keys()], [b])
  const dialled = nodes.network.dialled.filter(({ destroyed }) => !destroyed).length
  const get = client.command('GET', 'key:0')
  await clock.advance(1500)
  t.regex(await get, /^\$(1\r\nv|-1)\r\n$/)
  t.true(nodes.network.dialled.filter(({ destroyed }) => !destroyed).length < dialled)
})

test('a node that moved is spoken to at its new address', async (t) => {
  const nodes = new Nodes()
  t.teardown(() => nodes.shutdown())
  const first = await nodes.start(a, b)
  const second = await nodes.start(b, a)
  const { membership } = first.server.routing
  await nodes.clock.until(() => membership!.member(b)!.state === 'up')
  nodes.network.refuse(b)
  nodes.network.listen('127.0.0.1:9999', (stream) => second.server.handle(stream))
  nodes.break(`${a}>${b}`)
  membership!.update([{ ...nodesOf(b)[0]!, dial: { host: '127.0.0.1', port: 9999 } }])
  await nodes.clock.advance(3000)
  t.is(membership!.member(b)!.state, 'up')
  t.is(membership!.epoch, 1)
})

test('with one bad link a node stays in the ring, by the word of the third', async (t) => {
  const nodes = new Nodes()
  t.teardown(() => nodes.shutdown())
  const all = `${a},${b},${c}`
  const [first, second] = [await nodes.start(a, all), await nodes.start(b, all)]
  await nodes.start(c, all)
  const { membership } = first.server.routing
  await nodes.clock.until(() => membership!.members.every(({ state }) => state === 'up'))
  nodes.break(`${a}>${b}`)
  await nodes.clock.advance(5000)
  t.is(membership!.member(b)!.state, 'suspect')
  t.deepEqual(membership!.live().names, [a, b, c])
  nodes.break(`${c}>${b}`)
  await nodes.clock.advance(1500)
  t.deepEqual(membership!.live().names, [a, c])
  t.deepEqual(second.server.routing.membership!.live().names, [a, b, c])
})

test('over a link that carries nothing one waits for a moment, and then goes to the next node', async (t) => {
  const nodes = new Nodes()
  t.teardown(() => nodes.shutdown())
  const all = `${a},${b},${c}`
  const first = await nodes.start(a, all)
  await nodes.start(b, all)
  await nodes.start(c, all)
  const { membership, peers } = first.server.routing
  await nodes.clock.until(() => membership!.members.every(({ state }) => state === 'up'))
  nodes.silence(`${a}>${b}`)
  await nodes.clock.advance(2000)
  t.deepEqual(membership!.live().names, [a, b, c])
  t.false(peers.get(b)!.connected)
  const client = first.connect()
  for (let i = 0; i < 20; i++) {
    const get = client.command('GET', `key:${i}`)
    await nodes.clock.advance(20)
    t.is(await Promise.race([get, Promise.resolve('late')]), '$-1\r\n')
  }
  nodes.cut.clear()
  await nodes.clock.advance(3000)
  t.is(membership!.member(b)!.state, 'up')
  t.is(membership!.epoch, 1)
})

test('what nodes ask of each other is refused to clients', async (t) => {
  const nodes = new Nodes()
  t.teardown(() => nodes.shutdown())
  const client = (await nodes.start(a, '')).connect()
  const refusal = '-ERR only nodes of the cluster ask this of each other\r\n'
  t.is(await client.command('PEER', 'VIEW'), refusal)
  t.is(await client.command('PEER', 'PROBE', b), refusal)
})

const down = '-CLUSTERDOWN The cluster is down and only accepts read commands\r\n'

test('below cluster-min-members writes are refused and reads go on, until enough are there', async (t) => {
  const nodes = new Nodes()
  t.teardown(() => nodes.shutdown())
  const all = `${a},${b},${c}`
  const min = ['--cluster-min-members', '2']
  const first = await nodes.start(a, all, min)
  const { membership } = first.server.routing
  const client = first.connect()
  const say = async (...words: string[]): Promise<string> => {
    const reply = client.command(...words)
    await nodes.clock.advance(50)
    return reply
  }
  const key = keyOf(first)
  t.is(await say('SET', key, 'early'), down, 'nobody has answered yet')
  t.is(await say('GET', key), '$-1\r\n')
  t.regex(await say('CLUSTER', 'INFO'), /cluster_state:fail/)
  await nodes.start(b, all, min)
  await nodes.clock.until(() => membership!.member(b)!.state === 'up')
  t.is(await say('SET', key, 'v'), '+OK\r\n')
  t.regex(await say('CLUSTER', 'INFO'), /cluster_state:ok/)

  t.is(await say('MULTI'), '+OK\r\n')
  t.is(await say('SET', key, 'w'), '+QUEUED\r\n')
  nodes.break(`${a}>${b}`)
  await nodes.clock.until(() => !membership!.isLive(b))
  t.is(await say('EXEC'), `-EXECABORT Transaction discarded because of: ${down.slice(1)}`)
  for (const words of [
    ['SET', key, 'x'],
    ['DEL', key],
    ['INCR', key],
    ['EXPIRE', key, '1'],
    ['FLUSHALL'],
  ]) {
    t.is(await say(...words), down, words[0])
  }
  t.is(await say('GET', key), '$1\r\nv\r\n')
  t.is(await say('PING'), '+PONG\r\n')
  t.is(await say('CONFIG', 'SET', 'cluster-min-members', '0'), '+OK\r\n')
  t.is(await say('SET', key, 'x'), '+OK\r\n')
})

/** A key whose owner is this node, in the full ring as it sees it. */
function keyOf({ server }: InProcess): string {
  for (let i = 0; ; i++) if (server.routing.isHere(Buffer.from(`k${i}`))) return `k${i}`
}

/* ---- DNS ---- */

test('nodes find each other by DNS; one that comes back at another address is the same node', async (t) => {
  const nodes = new Nodes()
  t.teardown(() => nodes.shutdown())
  const hosts = ['10.0.0.1', '10.0.0.2']
  let fails = false
  const resolver: Resolver = {
    addresses: (host) => {
      t.is(host, 'ringtier')
      if (fails) return Promise.reject(Object.assign(new Error('no'), { code: 'EAI_AGAIN' }))
      return Promise.resolve([...hosts])
    },
    services: () => Promise.reject(new Error('no SRV is asked')),
  }
  const byDns = ['--cluster-dns', 'ringtier:7000']
  const start = (self: string, host: string) => {
    return nodes.startAt(self, `${host}:7000`, byDns, resolver)
  }
  const one = await start('rt-0:7000*2', '10.0.0.1')
  t.is(one.server.routing.membership!.members.length, 1)
  const two = await start('rt-1:7000', '10.0.0.2')
  t.deepEqual(two.server.routing.membership!.live().names, ['rt-0:7000', 'rt-1:7000'])
  t.is(two.server.routing.membership!.member('rt-0:7000')!.weight, 2)
  const { membership } = one.server.routing
  await nodes.clock.until(() => membership!.isLive('rt-1:7000'))
  const third = await start('rt-2:7000', '10.0.0.3')
  hosts.push('10.0.0.3')
  const views = () => [one, two, third].map(({ server }) => server.routing.membership!.viewHash)
  await nodes.clock.until(() => new Set(views()).size === 1 && membership!.isLive('rt-2:7000'))

  // A restart: the old address is gone, the new one is in DNS some time later.
  nodes.network.refuse('10.0.0.2:7000')
  nodes.break('rt-0:7000*2>10.0.0.2:7000')
  nodes.network.listen('10.0.0.9:7000', (stream) => two.server.handle(stream))
  hosts[1] = '10.0.0.9'
  await nodes.clock.until(() => membership!.member('rt-1:7000')!.dial.host === '10.0.0.9')
  await nodes.clock.until(() => membership!.isLive('rt-1:7000'))
  t.is(membership!.members.length, 3)

  fails = true
  await nodes.clock.advance(60_000)
  t.is(membership!.live().names.length, 3)
  fails = false
  hosts.pop()
  await nodes.clock.until(() => membership!.members.length === 2)
})
