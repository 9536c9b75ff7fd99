import test from 'ava'
import fc from 'fast-check'
import xxhash from 'xxhash-wasm'
import { allOk, concatenated, summed } from '../../../cluster/routes/fan-out.ts'
import type { FanOutPart } from '../../../cluster/routes/fan-out.ts'
import type { PeerDone, PeerOutcome, PeerPort, PeerRequest } from '../../../cluster/peers/peer.ts'
import { PeerError, PeerStatus } from '../../../cluster/peers/replies.ts'
import type { PeerValue } from '../../../cluster/peers/replies.ts'
import { Ring } from '../../../cluster/ring.ts'
import { Router } from '../../../cluster/routes/router.ts'
import type { ForwardRequest, Routed } from '../../../cluster/routes/router.ts'
import { cursorOf } from '../../../cluster/routes/scan-cursor.ts'
import { PART_BYTES_MAX, PART_KEYS_MAX } from '../../../cluster/routes/scatter.ts'
import type { ScatterRequest } from '../../../cluster/routes/scatter.ts'
import { keySlot } from '../../../cluster/slots.ts'
import { ERR_LEAVING } from '../../../protocol/errors.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { SeededRandom } from '../../sim/random.ts'

const { h32 } = await xxhash()
const OK = new PeerStatus('OK')

/** How a fake node ends a request: a reply, or an outcome after so many ms. */
type Behaviour =
  | ((args: readonly string[]) => PeerValue)
  | { readonly outcome: PeerOutcome; readonly afterMs?: number; readonly heard?: boolean }

interface Seen {
  readonly node: string
  readonly args: string
  readonly request: PeerRequest
  readonly at: number
}

/** Node 'a' of five, and what it asks of the others. */
class Scene {
  readonly clock = new VirtualClock()
  readonly random = new SeededRandom(3)
  readonly names = ['a:1', 'b:1', 'c:1', 'd:1', 'e:1']
  readonly ring = new Ring((text) => h32(text))
  readonly behaviours = new Map<string, Behaviour>()
  /** Who hears a node that 'a' does not hear. */
  readonly vouchers = new Map<string, readonly string[]>()
  readonly seen: Seen[] = []
  readonly router: Router
  readonly start: number

  constructor() {
    this.ring.add(...this.names)
    this.start = this.clock.now()
    this.router = new Router({
      view: {
        self: 'a:1',
        members: this.names.map((name, tag) => ({ name, tag })),
        isLive: (name) => this.ring.has(name),
        live: () => this.ring,
        vouchersFor: (name) => this.vouchers.get(name) ?? [],
      },
      peer: (name) => this.#peer(name),
      clock: this.clock,
      random: this.random,
    })
  }

  #peer(node: string): PeerPort {
    const request = (args: readonly Buffer[], asked: PeerRequest, done: PeerDone): void => {
      const words = args.map(String)
      const at = this.clock.now() - this.start
      this.seen.push({ node, args: words.join(' '), request: asked, at })
      const behaviour = this.behaviours.get(node) ?? (() => OK)
      if (typeof behaviour === 'function') {
        this.clock.after(1, () => done('reply', behaviour(words), true))
        return
      }
      const { outcome, heard = false } = behaviour
      const end = (): void => done(outcome, null, heard)
      const quietMs = outcome === 'silent' ? Math.min(400, asked.hearMs ?? 400) : 0
      const afterMs = behaviour.afterMs ?? quietMs
      if (afterMs === 0) end()
      else this.clock.after(afterMs, end)
    }
    return { request }
  }

  /** A key whose owner, and whose stand-ins one after the other, are these nodes. */
  key(...nodes: string[]): string {
    for (let i = 0; ; i++) {
      const slot = slotOf(`k${i}`)
      const skipped: string[] = []
      const matches = nodes.every((node) => {
        const next = this.ring.after(slot, skipped)
        skipped.push(node)
        return next === node
      })
      if (matches) return `k${i}`
    }
  }

  forward(key: string, request: Partial<ForwardRequest> = {}): Routed[] {
    const ended: Routed[] = []
    const args = [Buffer.from('GET'), Buffer.from(key)]
    const plain = {
      args,
      slot: slotOf(key),
      keyAt: 1,
      share: true,
      repeatable: true,
      mayPassOn: true,
    }
    this.router.forward({ ...plain, ...request }, (routed) => ended.push(routed))
    return ended
  }

  scatter(request: Omit<ScatterRequest, 'repeatable'> & { repeatable?: boolean }): {
    values: PeerValue[]
    here: string[]
  } {
    const values: PeerValue[] = []
    const here: string[] = []
    this.router.scatter(
      { repeatable: true, ...request },
      (args, done) => {
        const words = args.map(String)
        here.push(words.join(' '))
        const behaviour = this.behaviours.get('a:1')
        done(typeof behaviour === 'function' ? behaviour(words) : OK)
      },
      (value) => values.push(value),
    )
    return { values, here }
  }

  asked(): string[] {
    return this.seen.map(({ node, args }) => `${node} ${args}`)
  }
}

function slotOf(key: string): number {
  const bytes = Buffer.from(key)
  return keySlot(bytes, 0, bytes.length)
}

const words = (text: string): Buffer[] => text.split(' ').map((word) => Buffer.from(word))
const text = (values: PeerValue): unknown =>
  JSON.parse(
    JSON.stringify(values, (_, v: unknown) => (isBytes(v) ? Buffer.from(v.data).toString() : v)),
  )
const isBytes = (v: unknown): v is { data: number[] } =>
  typeof v === 'object' && v !== null && (v as { type?: string }).type === 'Buffer'

test('this node knows its own slots', (t) => {
  const scene = new Scene()
  t.true(scene.router.isHere(slotOf(scene.key('a:1'))))
  t.false(scene.router.isHere(slotOf(scene.key('b:1'))))
  for (const name of scene.names) scene.ring.remove(name)
  t.true(scene.router.isHere(0), 'an empty ring')
})

test('a command goes to the owner of its slot, and its reply comes back', async (t) => {
  const scene = new Scene()
  scene.behaviours.set('c:1', () => 42)
  const key = scene.key('c:1')
  const ended = scene.forward(key, { deadlineMs: 5000 })
  await scene.clock.advance(1)
  t.deepEqual(ended, [{ kind: 'reply', name: 'c:1', value: 42 }])
  t.deepEqual(
    scene.seen.map(({ node, args, request }) => [node, args, request]),
    [['c:1', `GET ${key}`, { deadlineMs: 5000, hearMs: 1000, keyAt: 1, share: true }]],
  )
})

test('an error reply is a reply', async (t) => {
  const scene = new Scene()
  const value = new PeerError('WRONGTYPE no')
  scene.behaviours.set('c:1', () => value)
  const ended = scene.forward(scene.key('c:1'))
  await scene.clock.advance(1)
  t.deepEqual(ended, [{ kind: 'reply', name: 'c:1', value }])
  t.is(scene.seen.length, 1)
})

for (const outcome of ['unreachable', 'silent', 'lost'] as const) {
  test(`when the owner is ${outcome} the next node on the ring is asked`, async (t) => {
    const scene = new Scene()
    scene.behaviours.set('b:1', { outcome })
    const key = scene.key('b:1', 'd:1')
    const ended = scene.forward(key)
    await scene.clock.advance(outcome === 'silent' ? 401 : 1)
    t.deepEqual(scene.asked(), [`b:1 GET ${key}`, `d:1 GET ${key}`])
    t.deepEqual(ended, [{ kind: 'reply', name: 'd:1', value: OK }])
    t.is(scene.router.counters.failovers, 1)
  })
}

test('where this node is next, it stands in', async (t) => {
  const scene = new Scene()
  scene.behaviours.set('b:1', { outcome: 'unreachable' })
  scene.behaviours.set('c:1', { outcome: 'silent' })
  const ended = scene.forward(scene.key('b:1', 'c:1', 'a:1'))
  await scene.clock.advance(400)
  t.deepEqual(ended, [{ kind: 'here' }])
  t.is(scene.router.counters.stoodIn, 1)
})

/* ---- by way of another node ---- */

/** 'b' is heard by these, not by 'a'. */
function detouring(...vouchers: string[]): { scene: Scene; key: string } {
  const scene = new Scene()
  scene.vouchers.set('b:1', vouchers)
  return { scene, key: scene.key('b:1', 'd:1') }
}

test('an owner that others hear is asked by way of the first of them', async (t) => {
  const { scene, key } = detouring('c:1', 'e:1')
  scene.behaviours.set('c:1', () => 42)
  const ended = scene.forward(key, { deadlineMs: 5000 })
  await scene.clock.advance(1)
  t.deepEqual(ended, [{ kind: 'reply', name: 'b:1', value: 42 }])
  t.deepEqual(
    scene.seen.map(({ node, args, request }) => [node, args, request]),
    [
      [
        'c:1',
        `PEER RELAY b:1 GET ${key}`,
        { deadlineMs: 5000, hearMs: 1000, keyAt: 4, share: true },
      ],
    ],
  )
  t.like(scene.router.counters, { detours: 1, failovers: 0, stoodIn: 0 })
})

test('who cannot pass it on is followed by the next one, the owner itself, and who stands in', async (t) => {
  const { scene, key } = detouring('c:1', 'e:1')
  scene.behaviours.set('b:1', { outcome: 'unreachable' })
  scene.behaviours.set('c:1', () => new PeerError('RELAY unreachable: b:1 has not answered'))
  scene.behaviours.set('e:1', () => new PeerError("ERR unknown subcommand 'RELAY'."))
  const ended = scene.forward(key, { repeatable: false, share: false })
  await scene.clock.advance(3)
  t.deepEqual(
    scene.seen.map(({ node }) => node),
    ['c:1', 'e:1', 'b:1', 'd:1'],
  )
  t.is(scene.seen[3]!.args, `GET ${key}`)
  t.deepEqual(ended, [{ kind: 'reply', name: 'd:1', value: OK }])
})

test('what must not run twice and was passed on is not sent again', async (t) => {
  for (const outcome of ['silent', 'lost', 'lost heard'] as const) {
    const { scene, key } = detouring('c:1', 'e:1')
    scene.behaviours.set('c:1', () => new PeerError(`RELAY ${outcome}: b:1 has not answered`))
    const ended = scene.forward(key, { repeatable: false, share: false })
    await scene.clock.advance(2000)
    t.is(scene.seen.length, 1)
    t.like(ended[0], { kind: 'failed', reason: 'effect-unknown' })
  }
  const { scene, key } = detouring('c:1')
  scene.behaviours.set('c:1', { outcome: 'silent' })
  const ended = scene.forward(key, { repeatable: false, share: false })
  await scene.clock.advance(2000)
  t.is(scene.seen.length, 1)
  t.like(ended[0], { kind: 'failed', reason: 'effect-unknown' })
})

test('nobody stands in for what may not be passed on, nor for what is too much to pass on', async (t) => {
  const { scene, key } = detouring('c:1')
  scene.behaviours.set('b:1', { outcome: 'unreachable' })
  t.like(scene.forward(key, { mayPassOn: false })[0], { kind: 'failed', reason: 'silent' })
  t.deepEqual(scene.asked().splice(0), [`b:1 GET ${key}`])
  scene.seen.length = 0
  scene.behaviours.set('c:1', () => new PeerError('RELAY busy: b:1 has not answered'))
  const ended = scene.forward(key)
  await scene.clock.advance(1)
  t.deepEqual(ended, [
    { kind: 'failed', reason: 'busy', line: 'TRYAGAIN too much waits for b:1 already' },
  ])
  t.is(scene.seen.length, 1)
})

test('an owner that is leaving has said so itself, and is passed over', async (t) => {
  const { scene, key } = detouring('c:1', 'e:1')
  scene.behaviours.set('c:1', () => new PeerError(ERR_LEAVING))
  const ended = scene.forward(key, { repeatable: false, share: false })
  await scene.clock.advance(2)
  t.deepEqual(
    scene.seen.map(({ node }) => node),
    ['c:1', 'd:1'],
  )
  t.like(ended[0], { kind: 'reply', name: 'd:1' })
})

test('when the link breaks under a request and others are known to hear the owner, they are asked', async (t) => {
  const scene = new Scene()
  const key = scene.key('b:1', 'd:1')
  scene.behaviours.set('b:1', { outcome: 'lost', afterMs: 5 })
  const ended = scene.forward(key)
  scene.vouchers.set('b:1', ['e:1'])
  await scene.clock.advance(6)
  t.deepEqual(scene.asked(), [`b:1 GET ${key}`, `e:1 PEER RELAY b:1 GET ${key}`])
  t.deepEqual(ended, [{ kind: 'reply', name: 'b:1', value: OK }])
})

test('who is passed over for a write is told to remove its keys, for a read or as it leaves it is not', async (t) => {
  const scene = new Scene()
  const key = scene.key('b:1', 'c:1')
  const written = (args: readonly Buffer[]): readonly Buffer[] => [args[1]!]
  const write = { args: words(`SET ${key} v`), share: false, written }
  scene.behaviours.set('b:1', { outcome: 'silent' })
  scene.forward(key)
  await scene.clock.advance(410)
  scene.behaviours.set('b:1', () => new PeerError(ERR_LEAVING))
  scene.forward(key, write)
  await scene.clock.advance(10)
  const before = scene.seen.length
  scene.behaviours.set('b:1', { outcome: 'silent' })
  const ended = scene.forward(key, write)
  await scene.clock.advance(399)
  scene.behaviours.set('b:1', () => 1)
  await scene.clock.advance(10)
  t.deepEqual(ended, [{ kind: 'reply', name: 'c:1', value: OK }])
  t.deepEqual(
    scene.seen.slice(before).map(({ node, args, request }) => [node, args, request.writes]),
    [
      ['b:1', `SET ${key} v`, true],
      ['c:1', `SET ${key} v`, true],
      ['b:1', `DEL ${key}`, undefined],
    ],
  )
})

test('of a command of many keys only those of the node that was passed over are removed there', async (t) => {
  const scene = new Scene()
  const [one, two] = [scene.key('b:1', 'c:1'), scene.key('d:1')]
  scene.behaviours.set('b:1', { outcome: 'lost' })
  const written = (args: readonly Buffer[]): readonly Buffer[] => args.filter((_, i) => i % 2 === 1)
  scene.scatter({ args: words(`MSET ${one} 1 ${two} 2`), step: 2, gather: 'ok', written })
  await scene.clock.advance(5)
  const told = scene.seen.filter(({ args }) => args.startsWith('DEL'))
  t.deepEqual(
    told.map(({ node, args }) => [node, args]),
    [['b:1', `DEL ${one}`]],
  )
})

test('commands of many keys and of all nodes take the same way', async (t) => {
  const { scene, key } = detouring('c:1')
  const here = (_: readonly Buffer[], done: (value: PeerValue) => void): void => done(1)
  for (const name of ['c:1', 'd:1', 'e:1']) scene.behaviours.set(name, () => 1)
  const other = scene.key('c:1')
  const { values } = scene.scatter({ args: words(`DEL ${key} ${other}`), step: 1, gather: 'sum' })
  const sums: PeerValue[] = []
  scene.router.fanOut({ args: words('DBSIZE') }, here, (parts) => sums.push(summed(parts)))
  await scene.clock.advance(1)
  t.deepEqual(values, [2])
  t.deepEqual(sums, [5])
  t.deepEqual(scene.asked().sort(), [
    'c:1 DBSIZE',
    `c:1 DEL ${other}`,
    'c:1 PEER RELAY b:1 DBSIZE',
    `c:1 PEER RELAY b:1 DEL ${key}`,
    'd:1 DBSIZE',
    'e:1 DBSIZE',
  ])
})

test('what all nodes are to do is asked of each way to a node that does not take it, at last of its own', async (t) => {
  const { scene } = detouring('c:1', 'e:1')
  for (const name of ['c:1', 'e:1']) {
    scene.behaviours.set(name, ([word]) => {
      return word === 'PEER' ? new PeerError('RELAY unreachable: b:1 has not answered') : OK
    })
  }
  const sums: PeerValue[] = []
  const flush = (): void =>
    scene.router.fanOut(
      { args: words('FLUSHALL') },
      (_, done) => done(OK),
      (parts) => sums.push(allOk(parts)),
    )
  flush()
  await scene.clock.advance(3)
  t.deepEqual(sums, [OK])
  t.deepEqual(
    scene.asked().filter((asked) => asked.includes('RELAY') || asked.startsWith('b')),
    ['c:1 PEER RELAY b:1 FLUSHALL', 'e:1 PEER RELAY b:1 FLUSHALL', 'b:1 FLUSHALL'],
  )
  scene.behaviours.set('c:1', ([word]) => {
    return word === 'PEER' ? new PeerError('RELAY lost: b:1 has not answered') : OK
  })
  flush()
  await scene.clock.advance(3)
  t.like(sums[1], { line: 'CLUSTERDOWN not done on b:1; done on all other nodes' })
})

test('what must not run twice is not sent again once it may have been received', async (t) => {
  for (const outcome of ['silent', 'lost'] as const) {
    const scene = new Scene()
    scene.behaviours.set('b:1', { outcome, afterMs: 5 })
    const ended = scene.forward(scene.key('b:1', 'd:1'), { repeatable: false, share: false })
    await scene.clock.advance(2000)
    t.is(scene.seen.length, 1)
    t.like(ended[0]!, { kind: 'failed', reason: 'effect-unknown' })
  }
})

test('what a node turns away because it is leaving goes to the next, repeatable or not', async (t) => {
  const scene = new Scene()
  scene.behaviours.set('b:1', () => new PeerError(ERR_LEAVING))
  const ended = scene.forward(scene.key('b:1', 'c:1'), { repeatable: false })
  await scene.clock.advance(5)
  t.like(ended, [{ kind: 'reply', name: 'c:1' }])
  const { values } = scene.scatter({
    args: ['DEL', scene.key('b:1', 'd:1')].map((word) => Buffer.from(word)),
    step: 1,
    gather: 'ok',
  })
  await scene.clock.advance(5)
  t.deepEqual(values, [OK])
  t.deepEqual(
    scene.seen.map(({ node }) => node),
    ['b:1', 'c:1', 'b:1', 'd:1'],
  )
})

test('what was never sent is sent to another, repeatable or not', async (t) => {
  const scene = new Scene()
  scene.behaviours.set('b:1', { outcome: 'unreachable', afterMs: 400 })
  const ended = scene.forward(scene.key('b:1', 'd:1'), { repeatable: false, share: false })
  await scene.clock.advance(401)
  t.deepEqual(ended, [{ kind: 'reply', name: 'd:1', value: OK }])
})

test('with all others silent the answer, an error, comes within a second', async (t) => {
  const scene = new Scene()
  for (const name of scene.names) scene.behaviours.set(name, { outcome: 'silent' })
  const ended = scene.forward(scene.key('b:1', 'c:1', 'd:1', 'a:1'), { deadlineMs: 60_000 })
  await scene.clock.advance(1000)
  t.deepEqual(
    scene.seen.map(({ node, at, request }) => [node, at, request.hearMs]),
    [
      ['b:1', 0, 1000],
      ['c:1', 400, 600],
      ['d:1', 800, 200],
    ],
  )
  t.deepEqual(ended, [{ kind: 'here' }], 'this node was next, at the last moment')
})

test('when the time is over no further node is asked', async (t) => {
  const scene = new Scene()
  for (const name of scene.names) scene.behaviours.set(name, { outcome: 'silent' })
  const ended = scene.forward(scene.key('b:1', 'c:1', 'd:1', 'e:1'), { deadlineMs: 60_000 })
  await scene.clock.advance(1000)
  t.is(scene.seen.length, 3)
  t.deepEqual(ended, [
    { kind: 'failed', reason: 'silent', line: 'CLUSTERDOWN no answer in time from b:1, c:1, d:1' },
  ])
})

test('who loses a node that was working on it has a second more', async (t) => {
  const scene = new Scene()
  scene.behaviours.set('b:1', { outcome: 'lost', afterMs: 5000, heard: true })
  const ended = scene.forward(scene.key('b:1', 'c:1'), { deadlineMs: 10_000 })
  await scene.clock.advance(5001)
  t.deepEqual(ended, [{ kind: 'reply', name: 'c:1', value: OK }])
  t.deepEqual(scene.seen[1]!.request, { deadlineMs: 5000, hearMs: 1000, keyAt: 1, share: true })
})

test('a deadline or a full queue ends it: others are not asked', async (t) => {
  for (const [outcome, word] of [
    ['deadline', 'TIMEOUT'],
    ['busy', 'TRYAGAIN'],
  ] as const) {
    const scene = new Scene()
    scene.behaviours.set('b:1', { outcome })
    const ended = scene.forward(scene.key('b:1', 'c:1'))
    t.is(scene.seen.length, 1)
    const [failure] = ended
    if (failure?.kind !== 'failed') throw new Error('not failed')
    t.is(failure.reason, outcome)
    t.true(failure.line.startsWith(`${word} `))
    t.is(scene.router.counters.failures, 1)
    await scene.clock.advance(0)
  }
})

test('MGET comes back in the client’s order, each owner asked once', async (t) => {
  const scene = new Scene()
  for (const name of scene.names) {
    scene.behaviours.set(name, ([, ...keys]) => keys.map((key) => Buffer.from(`${name} ${key}`)))
  }
  const keys = Array.from({ length: 50 }, (_, i) => `key${i}`).concat('key7', 'key7')
  const { values, here } = scene.scatter({
    args: [Buffer.from('MGET'), ...keys.map((key) => Buffer.from(key))],
    step: 1,
    gather: 'list',
  })
  await scene.clock.advance(1)
  t.is(values.length, 1)
  t.deepEqual(
    text(values[0]!),
    keys.map((key) => `${scene.ring.owner(slotOf(key))} ${key}`),
  )
  t.deepEqual(scene.seen.map(({ node }) => node).sort(), ['b:1', 'c:1', 'd:1', 'e:1'])
  t.is(here.length, 1)
})

test('words in front of the keys go to every owner', async (t) => {
  const scene = new Scene()
  for (const name of scene.names) {
    scene.behaviours.set(name, ([...given]) => {
      t.deepEqual(given.slice(0, 3), ['GROUP', 'WARM', 'name'])
      return given.length - 3
    })
  }
  const keys = Array.from({ length: 50 }, (_, i) => `key${i}`)
  const args = words(`GROUP WARM name ${keys.join(' ')}`)
  const { values } = scene.scatter({ args, step: 1, firstKey: 3, gather: 'sum' })
  await scene.clock.advance(1)
  t.deepEqual(values, [50])
  t.is(scene.seen.length, 4)
})

test('DEL adds up, MSET is OK, values travel with their keys', async (t) => {
  const scene = new Scene()
  const stored = new Map<string, string>()
  for (const name of scene.names) {
    scene.behaviours.set(name, ([command, ...rest]) => {
      if (command === 'DEL') return rest.length
      for (let i = 0; i < rest.length; i += 2) stored.set(rest[i]!, `${rest[i + 1]!} on ${name}`)
      return OK
    })
  }
  const pairs = Array.from({ length: 30 }, (_, i) => [`k${i}`, `v${i}`])
  const mset = scene.scatter({
    args: words(`MSET ${pairs.flat().join(' ')}`),
    step: 2,
    gather: 'ok',
  })
  await scene.clock.advance(1)
  t.deepEqual(mset.values, [OK])
  for (const [key, value] of pairs) {
    t.is(stored.get(key!), `${value} on ${scene.ring.owner(slotOf(key!))}`)
  }
  const del = scene.scatter({
    args: words(`DEL ${pairs.map(([key]) => key).join(' ')}`),
    step: 1,
    gather: 'sum',
  })
  await scene.clock.advance(1)
  t.deepEqual(del.values, [30])
})

test('a command whose keys are all here is run as it is, at once', (t) => {
  const scene = new Scene()
  scene.behaviours.set('a:1', () => 1)
  const key = scene.key('a:1')
  const { values, here } = scene.scatter({ args: words(`DEL ${key}`), step: 1, gather: 'sum' })
  t.deepEqual([values, here], [[1], [`DEL ${key}`]])
})

test('the keys of a lost owner are split anew by who comes next for each', async (t) => {
  const scene = new Scene()
  for (const name of scene.names) {
    scene.behaviours.set(name, ([, ...keys]) => keys.map((key) => Buffer.from(`${name} ${key}`)))
  }
  scene.behaviours.set('b:1', { outcome: 'silent' })
  const keys = Array.from({ length: 200 }, (_, i) => `key${i}`)
  const { values } = scene.scatter({
    args: words(`MGET ${keys.join(' ')}`),
    step: 1,
    gather: 'list',
  })
  await scene.clock.advance(402)
  t.deepEqual(
    text(values[0]!),
    keys.map((key) => `${scene.ring.after(slotOf(key), ['b:1'])} ${key}`),
  )
  const standIns = new Set(scene.seen.filter(({ at }) => at >= 400).map(({ node }) => node))
  t.true(standIns.size > 1)
})

test('a scatter that must not be repeated fails where a part’s effect is unknown', async (t) => {
  const scene = new Scene()
  for (const name of scene.names) scene.behaviours.set(name, () => 1)
  scene.behaviours.set('b:1', { outcome: 'lost', afterMs: 5 })
  const args = words(`DEL ${scene.key('b:1')} ${scene.key('c:1')}`)
  const { values } = scene.scatter({ args, step: 1, gather: 'sum', repeatable: false })
  await scene.clock.advance(5)
  t.is(values.length, 1)
  t.regex((values[0] as PeerError).line, /may have been run/)
})

test('one part’s error is the whole’s, once all parts have ended', async (t) => {
  const scene = new Scene()
  scene.behaviours.set('b:1', () => new PeerError('OOM no'))
  scene.behaviours.set('c:1', { outcome: 'deadline', afterMs: 900 })
  const args = words(`MSET ${scene.key('b:1')} 1 ${scene.key('c:1')} 2 ${scene.key('a:1')} 3`)
  const { values, here } = scene.scatter({ args, step: 2, gather: 'ok' })
  t.is(here.length, 1)
  await scene.clock.advance(899)
  t.deepEqual(values, [])
  await scene.clock.advance(1)
  t.deepEqual(values, [new PeerError('OOM no')])
})

test('of several errors the first is the reply', async (t) => {
  const scene = new Scene()
  for (const name of ['b:1', 'c:1']) scene.behaviours.set(name, () => new PeerError(name))
  const args = words(`DEL ${scene.key('b:1')} ${scene.key('c:1')}`)
  const { values } = scene.scatter({ args, step: 1, gather: 'sum' })
  await scene.clock.advance(1)
  t.deepEqual(values, [new PeerError('b:1')])
})

test('keys that had to wait for their turn go elsewhere too when the owner is lost', async (t) => {
  const scene = new Scene()
  scene.behaviours.set('b:1', { outcome: 'lost', afterMs: 5 })
  scene.behaviours.set('c:1', (asked) => asked.length - 1)
  const args = new Array<Buffer>(PART_KEYS_MAX + 10).fill(Buffer.from(scene.key('b:1', 'c:1')))
  const { values } = scene.scatter({ args, step: 1, gather: 'sum' })
  await scene.clock.advance(20)
  t.deepEqual(values, [PART_KEYS_MAX + 9])
})

test('a part that does not answer as it should is an error', async (t) => {
  for (const [gather, value] of [
    ['list', [Buffer.from('x'), null]],
    ['list', 5],
    ['sum', OK],
    ['sum', null],
    ['ok', 1],
  ] as const) {
    const scene = new Scene()
    scene.behaviours.set('b:1', () => value)
    const step = gather === 'ok' ? 2 : 1
    const { values } = scene.scatter({
      args: words(`X ${scene.key('b:1')} v`).slice(0, 1 + step),
      step,
      gather,
    })
    await scene.clock.advance(1)
    t.deepEqual(values, [new PeerError('ERR b:1 answered with something else')], gather)
  }
})

test('a part has at most so many keys; the rest follows when it is answered', async (t) => {
  for (const [count, requests] of [
    [PART_KEYS_MAX - 1, 1],
    [PART_KEYS_MAX, 1],
    [PART_KEYS_MAX + 1, 2],
  ] as const) {
    const scene = new Scene()
    scene.behaviours.set('b:1', (asked) => asked.length - 1)
    const key = Buffer.from(scene.key('b:1'))
    const args = [Buffer.from('DEL'), ...new Array<Buffer>(count).fill(key)]
    const { values } = scene.scatter({ args, step: 1, gather: 'sum' })
    t.is(scene.seen.length, 1)
    await scene.clock.advance(10)
    t.deepEqual(values, [count])
    t.is(scene.seen.length, requests)
  }
})

test('a part has at most so many bytes, but always one key', async (t) => {
  const scene = new Scene()
  const key = Buffer.from(scene.key('b:1'))
  const pairsOf = (...sizes: number[]): Buffer[] => [
    Buffer.from('MSET'),
    ...sizes.flatMap((size) => [key, Buffer.alloc(size - key.length)]),
  ]
  for (const [sizes, requests] of [
    [[PART_BYTES_MAX / 2, PART_BYTES_MAX / 2], 1],
    [[PART_BYTES_MAX / 2, PART_BYTES_MAX / 2 + 1], 2],
    [[PART_BYTES_MAX + 1, PART_BYTES_MAX + 1, 100], 3],
  ] as const) {
    scene.seen.length = 0
    const { values } = scene.scatter({ args: pairsOf(...sizes), step: 2, gather: 'ok' })
    await scene.clock.advance(10)
    t.deepEqual(values, [OK])
    t.is(scene.seen.length, requests)
  }
})

test('whatever fails, a scatter ends once, within its time', async (t) => {
  const behaviour = fc.constantFrom<Behaviour>(
    (asked) => asked.length - 1,
    { outcome: 'silent' },
    { outcome: 'lost', afterMs: 50 },
    { outcome: 'unreachable' },
    { outcome: 'unreachable', afterMs: 300 },
    { outcome: 'busy' },
    { outcome: 'deadline', afterMs: 1000 },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(behaviour, { minLength: 4, maxLength: 4 }), async (behaviours) => {
      const scene = new Scene()
      scene.behaviours.set('a:1', (asked) => asked.length - 1)
      for (const [i, name] of ['b:1', 'c:1', 'd:1', 'e:1'].entries()) {
        scene.behaviours.set(name, behaviours[i]!)
      }
      const keys = Array.from({ length: 40 }, (_, i) => `key${i}`)
      const { values } = scene.scatter({
        args: words(`DEL ${keys.join(' ')}`),
        step: 1,
        gather: 'sum',
      })
      await scene.clock.advance(2000)
      t.is(values.length, 1)
      const [value] = values
      t.true(value === 40 || value instanceof PeerError)
      t.true(scene.seen.every(({ at }) => at < 1000))
      t.is(scene.clock.timers, 0)
    }),
    { numRuns: 60 },
  )
})

function fanOut(scene: Scene, command: string, here: PeerValue): FanOutPart[][] {
  const results: FanOutPart[][] = []
  scene.router.fanOut(
    { args: words(command) },
    (_, done) => done(here),
    (parts) => results.push([...parts]),
  )
  return results
}

test('every live node is asked, this one too, and the parts come by rank', async (t) => {
  const scene = new Scene()
  scene.ring.remove('d:1')
  scene.behaviours.set('b:1', () => 2)
  scene.behaviours.set('c:1', { outcome: 'silent' })
  scene.behaviours.set('e:1', () => 5)
  const results = fanOut(scene, 'DBSIZE', 1)
  await scene.clock.advance(400)
  t.deepEqual(results, [
    [
      { name: 'a:1', failed: false, value: 1 },
      { name: 'b:1', failed: false, value: 2 },
      { name: 'c:1', failed: true, value: null },
      { name: 'd:1', failed: true, value: null },
      { name: 'e:1', failed: false, value: 5 },
    ],
  ])
  t.deepEqual(scene.asked(), ['b:1 DBSIZE', 'c:1 DBSIZE', 'e:1 DBSIZE'])
})

test('reads leave a dead node out, FLUSHALL names it', (t) => {
  const part = (name: string, value: PeerValue): FanOutPart => ({ name, failed: false, value })
  const dead = { name: 'x:1', failed: true, value: null }
  const [a, none, b] = ['*1\r\n$1\r\na\r\n', '*0\r\n', '*2\r\n:1\r\n:2\r\n'].map((list) =>
    Buffer.from(list),
  )
  const list = concatenated([part('1', a!), dead, part('2', none!), part('3', b!)])
  t.false(list instanceof PeerError)
  const { count, lists } = list as Exclude<typeof list, PeerError>
  t.is(count, 3)
  t.is(Buffer.concat(lists).toString(), '$1\r\na\r\n:1\r\n:2\r\n')
  t.true(concatenated([part('1', OK)]) instanceof PeerError)
  t.is(summed([part('1', 3), dead, part('2', 4)]), 7)
  t.deepEqual(allOk([part('1', OK), part('2', OK)]), OK)
  t.deepEqual(
    allOk([part('1', OK), dead]),
    new PeerError('CLUSTERDOWN not done on x:1; done on all other nodes'),
  )
  const error = new PeerError('ERR x')
  t.is(concatenated([part('1', a!), part('2', error)]), error)
  t.is(summed([part('1', 3), part('2', error)]), error)
  t.is(allOk([part('1', OK), part('2', error)]), error)
})

/** Scans to the end, three keys a step: a node's cursors are 0, 3, 6 ... */
async function scanAll(scene: Scene, keys: ReadonlyMap<string, string[]>): Promise<string[]> {
  const scan = (name: string, cursor: number): PeerValue => {
    const own = keys.get(name) ?? []
    const next = cursor + 3 < own.length ? cursor + 3 : 0
    const step = own.slice(cursor, cursor + 3)
    return [Buffer.from(String(next)), step.map((key) => Buffer.from(key))]
  }
  for (const name of scene.names) {
    if (scene.behaviours.has(name)) continue
    scene.behaviours.set(name, ([, cursor]) => scan(name, Number(cursor)))
  }
  const found: string[] = []
  let cursor = '0'
  do {
    const replies: PeerValue[] = []
    scene.router.scan(
      { args: words(`SCAN ${cursor} COUNT 3`) },
      (args, done) => done(scan('a:1', Number(args[1]))),
      (value) => replies.push(value),
    )
    await scene.clock.until(() => replies.length > 0)
    const [next, part] = text(replies[0]!) as [string, string[]]
    found.push(...part)
    cursor = next
  } while (cursor !== '0')
  return found
}

test('SCAN walks all nodes by tag and gives every key once', async (t) => {
  const scene = new Scene()
  const keys = new Map(
    scene.names.map((name, i) => [name, Array.from({ length: i * 4 }, (_, k) => `${name}${k}`)]),
  )
  t.deepEqual(await scanAll(scene, keys), [...keys.values()].flat())
})

test('SCAN leaves out nodes that are gone or fall silent', async (t) => {
  const scene = new Scene()
  const keys = new Map(scene.names.map((name) => [name, [`${name}0`, `${name}1`]]))
  scene.ring.remove('b:1')
  scene.behaviours.set('d:1', { outcome: 'silent' })
  t.deepEqual(await scanAll(scene, keys), ['a:10', 'a:11', 'c:10', 'c:11', 'e:10', 'e:11'])
  const last = new Scene()
  last.ring.remove('e:1')
  t.deepEqual(await scanAll(last, keys), [...keys.values()].flat().slice(0, 8))
})

test('SCAN begins anew at the node after one that is gone, and ends with the last', async (t) => {
  const scene = new Scene()
  scene.ring.remove('c:1')
  const end = (): PeerValue => [Buffer.from('0'), []]
  scene.behaviours.set('d:1', end)
  scene.behaviours.set('e:1', end)
  const replies: PeerValue[] = []
  for (const cursor of [cursorOf({ position: 77, tag: 2 }), cursorOf({ position: 77, tag: 4 })]) {
    const take = (value: PeerValue): number => replies.push(value)
    scene.router.scan({ args: words(`SCAN ${cursor}`) }, () => t.fail(), take)
  }
  await scene.clock.advance(1)
  t.deepEqual(scene.asked(), ['d:1 SCAN 0', 'e:1 SCAN 77'])
  t.deepEqual(text(replies), [
    [cursorOf({ position: 0, tag: 4 }), []],
    ['0', []],
  ])
})

test('SCAN refuses what is no cursor and ends at one beyond all nodes', (t) => {
  const scene = new Scene()
  const replies: PeerValue[] = []
  for (const cursor of ['x', '5', '18446744073709551615']) {
    scene.router.scan(
      { args: words(`SCAN ${cursor}`) },
      () => t.fail(),
      (value) => replies.push(value),
    )
  }
  t.deepEqual(replies, [
    new PeerError('ERR invalid cursor'),
    [Buffer.from('0'), []],
    [Buffer.from('0'), []],
  ])
})

test('a node’s error in SCAN is the reply; nonsense is an error', async (t) => {
  for (const [value, line] of [
    [new PeerError('ERR syntax error'), 'ERR syntax error'],
    [[Buffer.from('-1'), []], 'ERR b:1 answered with something else'],
    [[Buffer.from(String(2 ** 41)), []], 'ERR b:1 answered with something else'],
    [[Buffer.from('3')], 'ERR b:1 answered with something else'],
    [7, 'ERR b:1 answered with something else'],
  ] as const) {
    const scene = new Scene()
    scene.behaviours.set('b:1', () => value)
    const replies: PeerValue[] = []
    const take = (reply: PeerValue): number => replies.push(reply)
    scene.router.scan(
      { args: words(`SCAN ${cursorOf({ position: 0, tag: 1 })} X`) },
      () => t.fail(),
      take,
    )
    await scene.clock.advance(1)
    t.deepEqual(replies, [new PeerError(line)])
  }
})

async function randomKey(scene: Scene, sizes: Record<string, number>): Promise<unknown> {
  const answer =
    (name: string) =>
    ([command]: readonly string[]): PeerValue =>
      command === 'DBSIZE' ? (sizes[name] ?? 0) : Buffer.from(name)
  for (const name of scene.names) {
    if (!scene.behaviours.has(name)) scene.behaviours.set(name, answer(name))
  }
  const replies: PeerValue[] = []
  scene.router.randomKey(
    (args, done) => done(answer('a:1')(args.map(String))),
    (value) => replies.push(value),
  )
  await scene.clock.until(() => replies.length > 0)
  return text(replies[0]!)
}

test('RANDOMKEY asks a node as often as it has keys', async (t) => {
  const scene = new Scene()
  const counts: Record<string, number> = {}
  for (let i = 0; i < 400; i++) {
    const name = (await randomKey(scene, { 'a:1': 100, 'b:1': 0, 'c:1': 300 })) as string
    counts[name] = (counts[name] ?? 0) + 1
  }
  t.deepEqual(Object.keys(counts).sort(), ['a:1', 'c:1'])
  t.true(counts['a:1']! > 70 && counts['a:1']! < 130, `${counts['a:1']}`)
})

test('RANDOMKEY of an empty cluster is nil, and an emptied node’s turn goes to another', async (t) => {
  t.is(await randomKey(new Scene(), {}), null)
  const scene = new Scene()
  scene.behaviours.set('c:1', ([command]) => (command === 'DBSIZE' ? 1_000_000 : null))
  t.is(await randomKey(scene, { 'e:1': 1 }), 'e:1')
})
