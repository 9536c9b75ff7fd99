import test from 'ava'
import type { PeerDone, PeerPort } from '../../../cluster/peers/peer.ts'
import { PeerError, PeerStatus } from '../../../cluster/peers/replies.ts'
import { Amends } from '../../../cluster/routes/amends.ts'
import { VirtualClock } from '../../sim/clock.ts'

/** What is owed to node 'b', and what it is told. */
class Scene {
  readonly clock = new VirtualClock()
  readonly told: { readonly words: string; readonly done: PeerDone }[] = []
  isDown = false
  isConnected = true
  readonly amends: Amends

  constructor() {
    const isConnected = (): boolean => this.isConnected
    const port: PeerPort = {
      get connected() {
        return isConnected()
      },
      request: (args, _request, done) => this.told.push({ words: args.join(' '), done }),
    }
    this.amends = new Amends(() => (this.isDown ? null : port), this.clock)
  }

  owe(...keys: string[]): boolean {
    return this.amends.owe(
      'b',
      keys.map((key) => Buffer.from(key)),
    )
  }

  get words(): string[] {
    return this.told.map(({ words }) => words)
  }
}

test('a node is told until it has done it, what came to be owed meanwhile too', async (t) => {
  const scene = new Scene()
  t.true(scene.owe('k', 'l'))
  t.true(scene.owe('k', 'm'))
  await scene.clock.advance(1)
  t.deepEqual(scene.words, ['DEL k l m'])
  scene.told[0]!.done('silent', null, false)
  await scene.clock.advance(100)
  t.deepEqual(scene.words.slice(1), ['DEL k l m'])
  t.true(scene.owe('n'))
  scene.told[1]!.done('reply', new PeerError('CLUSTERDOWN'), true)
  await scene.clock.advance(100)
  t.deepEqual(scene.words.slice(2), ['DEL k l m n'])
  scene.owe('m')
  scene.told[2]!.done('reply', 4, true)
  await scene.clock.advance(1)
  t.deepEqual(scene.words.slice(3), ['DEL m'], 'it may have been written since it was asked')
  scene.told[3]!.done('reply', 1, true)
  await scene.clock.advance(1000)
  t.is(scene.told.length, 4)
  t.is(scene.amends.owed('b'), 0)
  t.is(scene.clock.timers, 0)
})

test('a node that is down forgets by itself', async (t) => {
  const scene = new Scene()
  scene.owe('k')
  await scene.clock.advance(1)
  scene.isDown = true
  scene.told[0]!.done('lost', null, false)
  await scene.clock.advance(100)
  t.is(scene.amends.owed('b'), 0)
  t.is(scene.told.length, 1)
})

test('another process in its place is not told, and none before it is known which one it is', async (t) => {
  for (const isOther of [false, true]) {
    const scene = new Scene()
    scene.amends.met('b', 'first')
    scene.isConnected = false
    scene.owe('k')
    await scene.clock.advance(1)
    t.deepEqual(scene.words, ['PING'])
    scene.isConnected = true
    scene.amends.met('b', isOther ? 'second' : 'first')
    scene.told[0]!.done('reply', new PeerStatus('PONG'), true)
    await scene.clock.advance(100)
    t.deepEqual(scene.words.slice(1), isOther ? [] : ['DEL k'])
  }
})

test('what is owed has a limit, also by bytes and by the length of a key', (t) => {
  const scene = new Scene()
  for (let i = 0; i < 10_000; i++) t.true(scene.owe(String(i)))
  t.false(scene.owe('more'))
  t.true(new Scene().owe('k'.repeat(65_536)))
  t.false(new Scene().owe('k'.repeat(65_537)))
  const long = new Scene()
  const key = 'k'.repeat(65_530)
  for (let i = 0; i < 65; i++) t.is(long.owe(`${i % 64}${key}`), i < 65)
  for (let i = 64; i < 66; i++) long.owe(`${i}${key}`)
  t.false(long.owe('more'))
})

test('after the end nobody is asked', async (t) => {
  const scene = new Scene()
  scene.owe('k')
  await scene.clock.advance(1)
  scene.told[0]!.done('unreachable', null, false)
  scene.amends.close()
  t.true(scene.owe('l'))
  await scene.clock.advance(1000)
  t.is(scene.told.length, 1)
  t.is(scene.clock.timers, 0)
})
