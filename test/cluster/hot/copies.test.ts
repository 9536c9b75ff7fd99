import test from 'ava'
import { HotCopies } from '../../../cluster/hot/copies.ts'
import { Stamps } from '../../../cluster/hot/stamps.ts'
import type { PeerDone } from '../../../cluster/peers/peer.ts'
import { PeerError, type PeerValue } from '../../../cluster/peers/replies.ts'
import { VirtualClock } from '../../sim/clock.ts'

const OWNER = 'b:1'
const SLOT = 5
const LOG = 77

interface Asked {
  readonly words: readonly string[]
  readonly done: PeerDone
}

/** A thread with copies, and an owner whose answers the test gives. */
class Scene {
  readonly clock = new VirtualClock()
  readonly stamps = new Stamps()
  readonly asked: Asked[] = []
  bytesMax = 100_000
  readonly copies = new HotCopies({
    clock: this.clock,
    stamps: this.stamps,
    peer: () => ({
      request: (args, _, done) => {
        this.asked.push({ words: args.slice(1).map((word) => word.toString('latin1')), done })
      },
    }),
    rateMin: () => 10,
    bytesMax: () => this.bytesMax,
  })

  /** Reads the key often enough to have a copy asked for. */
  heat(key = 'k'): void {
    for (let i = 0; i < 20; i++) this.read(key)
  }

  read(key = 'k'): string | null {
    const value = this.copies.read(key, OWNER, SLOT, 1)
    return value === null ? null : Buffer.from(value).toString()
  }

  /** Answers the oldest open question of this kind. */
  answer(kind: 'HOTGET' | 'HOTLOG', value: PeerValue): void {
    const at = this.asked.findIndex(({ words }) => words[0] === kind)
    const [question] = this.asked.splice(at, 1)
    question!.done('reply', value, false)
  }

  grant(value = 'v', { log = LOG, number = 0, ttlMs = 1000 } = {}): void {
    this.answer('HOTGET', [log, number, ttlMs, Buffer.from(value)])
  }

  get kinds(): readonly (string | undefined)[] {
    return this.asked.map(({ words }) => words[0])
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms)
  }
}

/** A scene with a copy of k, and a question for changes on its way. */
function warm(): Scene {
  const scene = new Scene()
  scene.heat()
  scene.grant()
  return scene
}

test('a key that is often read is asked for once, and then answered here', (t) => {
  const scene = new Scene()
  t.is(scene.read(), null)
  t.deepEqual(scene.kinds, [])
  scene.heat()
  t.deepEqual(
    scene.asked.map(({ words }) => words),
    [['HOTGET', 'k', '10']],
  )
  scene.grant()
  t.is(scene.read(), 'v')
  t.deepEqual(scene.asked[0]!.words, ['HOTLOG', `${LOG}`, '0'])
  t.is(scene.copies.counters.copies, 1)
})

test('a change that is told ends the copy, and reads are reported', async (t) => {
  const scene = warm()
  t.is(scene.read(), 'v')
  scene.answer('HOTLOG', [0, 0, []])
  await scene.pass(10)
  t.deepEqual(scene.asked[0]!.words, ['HOTLOG', `${LOG}`, '0', 'k', '1'])
  scene.answer('HOTLOG', [0, 2, [Buffer.from('other'), Buffer.from('k')]])
  t.is(scene.read(), null)
  t.is(scene.copies.counters.changed, 1)
  // Not at once: it may change all the time.
  scene.heat()
  t.deepEqual(scene.kinds, [])
  await scene.pass(20)
  scene.heat()
  scene.grant('new', { number: 2 })
  t.is(scene.read(), 'new')
  t.deepEqual(scene.asked[0]!.words.slice(0, 3), ['HOTLOG', `${LOG}`, '2'])
})

test('a grant that a change has overtaken is not kept', async (t) => {
  const scene = warm()
  scene.heat('late')
  scene.answer('HOTLOG', [0, 1, [Buffer.from('late')]])
  scene.grant('old')
  t.is(scene.read('late'), null)
  await scene.pass(20)
  scene.heat('late')
  scene.grant('new', { number: 1 })
  t.is(scene.read('late'), 'new')
})

for (const [what, reply] of [
  ['a gap', [1, 2, []]],
  ['a change of everything', [0, 1, null]],
  ['an unknown log', null],
  ['an error', new PeerError('ERR')],
  ['nonsense', [0, 'x', 3]],
] as const) {
  test(`${what} in what the owner tells ends all of its copies`, (t) => {
    const scene = warm()
    scene.heat('other')
    scene.grant('w')
    scene.answer('HOTLOG', reply as PeerValue)
    t.is(scene.read(), null)
    t.is(scene.read('other'), null)
    t.is(scene.copies.counters.flushes, 1)
    t.is(scene.copies.counters.bytes, 0)
  })
}

test('an owner that is silent, or whose link breaks, answers nothing through its copies', async (t) => {
  const scene = warm()
  await scene.pass(399)
  t.is(scene.read(), 'v')
  await scene.pass(2)
  t.is(scene.read(), null)
  const broken = warm()
  broken.asked.pop()!.done('lost', null, false)
  t.is(broken.read(), null)
})

test('a copy ends with its time, counted from when it was asked for, and is renewed before', async (t) => {
  const scene = new Scene()
  scene.heat()
  await scene.pass(50)
  scene.grant('v', { ttlMs: 150 })
  await scene.pass(84)
  t.is(scene.read(), 'v')
  t.deepEqual(scene.kinds, ['HOTLOG'])
  await scene.pass(2)
  t.is(scene.read(), 'v')
  t.deepEqual(scene.kinds, ['HOTLOG', 'HOTGET'])
  await scene.pass(14)
  t.is(scene.read(), null)
  scene.grant('again', { ttlMs: 150 })
  t.is(scene.read(), 'again')
})

test('a write through this node ends the copies of its slot, also those on their way', (t) => {
  const scene = warm()
  scene.stamps.wrote(SLOT + 1)
  t.is(scene.read(), 'v')
  scene.stamps.wrote(SLOT)
  t.is(scene.read(), null)
  scene.heat()
  scene.stamps.wrote(SLOT)
  scene.grant('old')
  t.is(scene.read(), null)
  scene.heat()
  scene.grant('new')
  t.is(scene.read(), 'new')
  // Another thread of the node, which shares the stamps.
  new Stamps(scene.stamps.shared).wroteAll()
  t.is(scene.read(), null)
})

test('a change of the ring ends all copies, also those on their way', (t) => {
  const scene = warm()
  scene.heat('other')
  scene.copies.clear()
  scene.grant('old')
  t.is(scene.read(), null)
  t.is(scene.read('other'), null)
  // What was asked under the old ring tells nothing any more, and is not asked again.
  scene.answer('HOTLOG', [0, 0, []])
  t.deepEqual(scene.kinds, ['HOTGET', 'HOTGET'])
})

test('another log of the owner: what was granted before is forgotten there', (t) => {
  const scene = warm()
  scene.heat('other')
  scene.grant('w', { log: LOG + 1, number: 9 })
  t.is(scene.read(), null)
  t.is(scene.read('other'), 'w')
  // The answer about the old one says nothing of it.
  scene.answer('HOTLOG', null)
  t.is(scene.read('other'), 'w')
})

test('a key that is not hot at its owner, or of which no copy can be kept, is left alone for a while', async (t) => {
  const scene = new Scene()
  scene.heat()
  scene.answer('HOTGET', null)
  scene.heat()
  t.deepEqual(scene.kinds, [])
  await scene.pass(101)
  scene.heat()
  scene.bytesMax = 100
  scene.grant()
  t.is(scene.read(), null)
  await scene.pass(1000)
  scene.heat()
  t.deepEqual(scene.kinds, [])
  // A node that does not know of copies.
  scene.heat('k2')
  scene.answer('HOTGET', new PeerError("ERR unknown subcommand 'HOTGET'"))
  await scene.pass(1000)
  scene.heat('k2')
  t.deepEqual(scene.kinds, [])
})

test('without copies of an owner it is not asked for changes', async (t) => {
  const scene = warm()
  await scene.pass(300)
  scene.answer('HOTLOG', [0, 0, []])
  await scene.pass(300)
  scene.answer('HOTLOG', [0, 0, []])
  await scene.pass(300)
  scene.answer('HOTLOG', [0, 0, []])
  await scene.pass(300)
  scene.answer('HOTLOG', [0, 0, []])
  await scene.pass(300)
  t.deepEqual(scene.kinds, [])
  t.is(scene.copies.counters.copies, 0)
})
