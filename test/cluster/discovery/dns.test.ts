import test from 'ava'
import { DnsDiscovery, parseDnsQuery } from '../../../cluster/discovery/dns.ts'
import type { Resolver } from '../../../cluster/discovery/dns.ts'
import { identifier } from '../../../cluster/discovery/identify.ts'
import type { Identified, Identify } from '../../../cluster/discovery/identify.ts'
import { parseNode } from '../../../cluster/members/membership.ts'
import { createSystemWorld } from '../../../server/system.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { LocalNetwork } from '../../sim/network.ts'
import { SeededRandom } from '../../sim/random.ts'
import { bulk, FakeOwner } from '../peers/fake-owner.ts'

/** A discovery whose DNS and nodes are what the test says; `found` are names and where they are. */
function looking(text = 'rt:1') {
  const clock = new VirtualClock()
  const dns = new Map<string, readonly string[] | string>()
  const services: { host: string; port: number }[] = []
  const there = new Map<string, string>()
  const up = new Set<string>()
  const found: string[][] = []
  const problems: (string | null)[] = []
  const asked: string[] = []
  const resolver: Resolver = {
    addresses: (host) => {
      const answer = dns.get(host) ?? 'ENOTFOUND'
      if (answer === 'never') return new Promise(() => {})
      if (typeof answer !== 'string') return Promise.resolve(answer)
      return Promise.reject(Object.assign(new Error(answer), { code: answer }))
    },
    services: () => Promise.resolve(services),
  }
  const identify: Identify = ({ host, port }) => {
    asked.push(host)
    const name = there.get(host)
    let answer: Identified = { kind: 'nobody', why: 'it is silent' }
    if (name === 'self') answer = { kind: 'self' }
    else if (name !== undefined) {
      answer = { kind: 'node', node: { ...parseNode(name, 'x'), dial: { host, port } } }
    }
    return Promise.resolve(answer)
  }
  const query = parseDnsQuery(text)
  const isUp = (name: string) => up.has(name)
  const discovery = new DnsDiscovery(
    { clock, resolver, query, periodMs: 5000, identify, isUp },
    {
      found: (nodes) => {
        found.push(nodes.map(({ name, dial }) => `${name} at ${dial.host}:${dial.port}`).sort())
      },
      report: (problem) => problems.push(problem),
    },
  )
  return { clock, dns, services, there, up, found, problems, asked, discovery }
}

test('who is at an address says it; this node is none of the others', async (t) => {
  const { discovery, dns, there, found, asked, problems } = looking()
  dns.set('rt', ['10.0.0.1', '10.0.0.2', '::3'])
  there.set('10.0.0.1', 'self').set('10.0.0.2', 'b:1').set('::3', 'c:1')
  await discovery.start()
  t.deepEqual(found, [['b:1 at 10.0.0.2:1', 'c:1 at ::3:1']])
  t.is(asked.length, 3)
  t.deepEqual(problems, [])
  await discovery.close()
})

test('one look-up without an address is none too few, two are', async (t) => {
  const { discovery, clock, dns, there, up, found, asked } = looking()
  dns.set('rt', ['10.0.0.1', '10.0.0.2'])
  there.set('10.0.0.1', 'a:1').set('10.0.0.2', 'b:1')
  up.add('a:1').add('b:1')
  await discovery.start()
  await clock.advance(10_000)
  t.is(asked.length, 2, 'who answers is not asked again')
  dns.set('rt', ['10.0.0.1'])
  await clock.advance(5000)
  t.is(found.at(-1)!.length, 2)
  await clock.advance(5000)
  t.deepEqual(found.at(-1), ['a:1 at 10.0.0.1:1'])
  await clock.advance(60_000)
  t.is(asked.length, 3, 'but a minute later, for its weight')
  await discovery.close()
  t.is(clock.timers, 0)
})

test('a look-up that fails, hangs or is empty keeps the list, and is told once', async (t) => {
  const { discovery, clock, dns, there, up, found, problems } = looking()
  dns.set('rt', ['10.0.0.1'])
  there.set('10.0.0.1', 'a:1')
  up.add('a:1')
  await discovery.start()
  const rounds = found.length
  dns.set('rt', 'EAI_AGAIN')
  await clock.advance(30_000)
  dns.set('rt', [])
  await clock.advance(30_000)
  dns.set('rt', 'never')
  await clock.advance(30_000)
  t.is(found.length, rounds)
  t.deepEqual(problems, [
    'cluster-dns rt: EAI_AGAIN: the last list is kept',
    'cluster-dns rt: no address: the last list is kept',
    'cluster-dns rt: no answer within 5000 ms: the last list is kept',
  ])
  dns.set('rt', ['10.0.0.1'])
  await clock.advance(15_000)
  t.is(problems.at(-1), null)
  t.deepEqual(found.at(-1), ['a:1 at 10.0.0.1:1'])
})

test('a name at two addresses is dialled where it answers', async (t) => {
  const { discovery, clock, dns, there, up, found } = looking()
  dns.set('rt', ['10.0.0.1', '::1'])
  there.set('10.0.0.1', 'a:1').set('::1', 'a:1')
  up.add('a:1')
  await discovery.start()
  t.deepEqual(found.at(-1), ['a:1 at 10.0.0.1:1'])
  await clock.advance(20_000)
  t.deepEqual(found.at(-1), ['a:1 at 10.0.0.1:1'])
  there.delete('10.0.0.1')
  up.clear()
  await clock.advance(5000)
  t.deepEqual(found.at(-1), ['a:1 at ::1:1'])
  up.add('a:1')
  there.set('10.0.0.1', 'a:1')
  await clock.advance(70_000)
  t.deepEqual(found.at(-1), ['a:1 at ::1:1'])
})

test('at an address may be another node than before', async (t) => {
  const { discovery, clock, dns, there, found, problems } = looking()
  dns.set('rt', ['10.0.0.1'])
  await discovery.start()
  t.deepEqual(found, [[]])
  t.deepEqual(problems, ['cluster-dns: nobody says who is at 10.0.0.1 port 1: it is silent'])
  there.set('10.0.0.1', 'a:1')
  await clock.advance(500)
  t.deepEqual(found.at(-1), ['a:1 at 10.0.0.1:1'], 'who is about to start is asked soon')
  there.set('10.0.0.1', 'b:1')
  await clock.advance(5000)
  t.deepEqual(found.at(-1), ['b:1 at 10.0.0.1:1'])
})

test('SRV tells hosts and ports; a host that is gone is left out, another failure keeps the list', async (t) => {
  const { discovery, clock, dns, services, there, found } = looking('_redis._tcp.rt.example')
  services.push({ host: 'one', port: 7 }, { host: 'two', port: 8 }, { host: 'gone', port: 9 })
  dns.set('one', ['10.0.0.1']).set('two', ['10.0.0.2'])
  there.set('10.0.0.1', 'one:7').set('10.0.0.2', 'two:8')
  await discovery.start()
  t.deepEqual(found.at(-1), ['one:7 at 10.0.0.1:7', 'two:8 at 10.0.0.2:8'])
  dns.set('one', 'EAI_AGAIN')
  const rounds = found.length
  await clock.advance(20_000)
  t.is(found.length, rounds)
})

test('of more than 256 addresses the rest is not asked', async (t) => {
  const { discovery, dns, asked, problems } = looking()
  dns.set(
    'rt',
    Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`),
  )
  await discovery.start()
  t.is(asked.length, 256)
  t.deepEqual(problems, ['cluster-dns rt: 1000 addresses, of which 256 are looked at'])
})

test('what is asked of DNS is a name and a port, or a service', (t) => {
  t.deepEqual(parseDnsQuery('Ringtier.example:6379'), { name: 'ringtier.example', port: 6379 })
  t.deepEqual(parseDnsQuery('_Redis._tcp.rt'), { name: '_redis._tcp.rt', port: 0 })
  for (const text of [
    'rt',
    'rt:0',
    '_redis',
    '_redis._tcp',
    '_redis._tcp.rt:7',
    '_re dis._tcp.x',
  ]) {
    t.throws(() => parseDnsQuery(text), { code: 'BAD_MEMBER_LIST', message: /^cluster-dns: / })
  }
})

/* ---- who is there ---- */

function meet(
  prepare: (owner: FakeOwner) => void,
  secret = 's',
  name = 'b:7',
): Promise<Identified> {
  const clock = new VirtualClock()
  const network = new LocalNetwork()
  const owner = new FakeOwner(name, 's')
  prepare(owner)
  network.listen('10.0.0.2:9', (stream) => owner.accept(stream))
  const world = { clock, network, random: new SeededRandom(1) }
  const answer = identifier(world, { self: 'a:7', secret })({ host: '10.0.0.2', port: 9 })
  return clock.advance(1500).then(() => answer)
}

test('a node is known by what it proves, at the address that was dialled', async (t) => {
  const says = (reply: string) => (owner: FakeOwner) => {
    owner.onRequest = ({ id, args }) => {
      t.deepEqual(args, ['PEER', 'SELF'])
      owner.answer(id, reply)
    }
  }
  const dial = { host: '10.0.0.2', port: 9 }
  const node = { name: 'b:7', host: 'b', port: 7, weight: 3, dial }
  t.deepEqual(await meet(says(bulk('b:7*3'))), { kind: 'node', node })
  const older = { kind: 'node', node: { ...node, weight: 1 } }
  t.deepEqual(await meet(says('-ERR unknown subcommand\r\n')), older)
  t.deepEqual(await meet(says(bulk('x:7*3'))), { kind: 'nobody', why: 'calls itself b:7 and x:7' })
  t.like(await meet(says(bulk('b:7*99'))), { kind: 'nobody' })
  t.like(await meet(says('*1\r\n:1\r\n')), { kind: 'nobody' })
})

test('who is silent, has another secret or is this node is no other node', async (t) => {
  const nothing = () => {}
  t.deepEqual(await meet(nothing), { kind: 'nobody', why: 'does not say who it is' })
  const why = '10.0.0.2:9 does not know the cluster secret'
  t.deepEqual(await meet(nothing, 'another'), { kind: 'nobody', why })
  t.deepEqual(await meet(nothing, 's', 'a:7'), { kind: 'self' })
})

test('the system knows itself by name', async (t) => {
  const { resolver } = createSystemWorld()
  t.true((await resolver!.addresses('localhost')).some((host) => /^(127\.|::1$)/.test(host)))
  await t.throwsAsync(resolver!.addresses('nowhere.invalid'))
})
