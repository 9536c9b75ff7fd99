import test from 'ava'
import { Args } from '../../../protocol/args.ts'
import type { Client } from '../../../server/clients/client.ts'
import { CommandTable } from '../../../server/command.ts'
import { commands } from '../../../server/commands/index.ts'
import type { CommandCell } from '../../../server/stats.ts'
import { Store } from '../../../server/store/store.ts'
import type { Tracker, TrackingOptions } from '../../../server/tracking/tracker.ts'
import { type Redirected, Tracking, type TrackingLinks } from '../../../server/tracking/tracking.ts'
import { VirtualClock } from '../../sim/clock.ts'

const table = new CommandTable(commands)
const noOptions: TrackingOptions = {
  ...{ redirect: 0, bcast: false, optin: false, optout: false, noloop: false },
}
const cell = {} as CommandCell

/** A thread with trackers, whose commands do what the test says. */
class Scene {
  readonly clock = new VirtualClock()
  readonly store = new Store({ maxMemory: 4 * 1024 * 1024, seed: 1, databases: 2 })
  readonly clients = new Map<number, Client>()
  /** What each client was sent. */
  readonly told = new Map<number, string[]>()
  keysMax = 0
  /** What a command does when it runs. */
  does: () => void = () => {}
  readonly tracking: Tracking

  constructor() {
    this.tracking = new Tracking({
      ...{ store: this.store, clock: this.clock, clients: this.clients },
      timer: { run: () => this.does() },
      keysMax: () => this.keysMax,
    })
  }

  connect(id: number, options: Partial<TrackingOptions> = {}, prefixes: string[] = []): Client {
    const told: string[] = []
    const client = {
      ...{ id, db: 0, protocol: 3, isSubscriber: false, hearsOthers: false },
      args: Args.of([]),
      tracker: null as Tracker | null,
      track: (tracker: Tracker | null) => (client.tracker = tracker),
      push: (bytes: Buffer) => void told.push(shortOf(bytes)),
      server: { table },
    }
    this.told.set(id, told)
    this.clients.set(id, client as unknown as Client)
    this.tracking.begin(client as unknown as Client, { ...noOptions, ...options }, 0, prefixes)
    return client as unknown as Client
  }

  run(client: Client, command: string, does: () => void = () => {}): void {
    client.args = Args.of(command.split(' '))
    this.does = does
    this.tracking.run(client, table.called(client.args)!, cell)
  }

  set(key: string, db = 0): void {
    const bytes = Buffer.from(`${key}value`)
    this.store.set(db, bytes, 0, key.length, key.length, 5, 0)
  }

  async heard(id: number): Promise<string[]> {
    await this.clock.settle()
    return this.told.get(id)!.splice(0)
  }
}

/** The keys that a push names. */
function shortOf(bytes: Buffer): string {
  const lines = bytes.toString('latin1').split('\r\n')
  if (lines[2] !== 'invalidate') return lines.slice(2, -1).join(' ')
  return lines[3] === '_' ? 'all' : lines.filter((_, i) => i > 4 && i % 2 === 1).join(' ')
}

test('what changes while a command reads is told', async (t) => {
  const scene = new Scene()
  const client = scene.connect(1)
  // Of another thread, say, between the look at the key and the reply.
  scene.run(client, 'GET k', () => scene.set('k'))
  t.deepEqual(await scene.heard(1), ['k'])
  scene.run(client, 'MGET j k', () => scene.set('j'))
  scene.set('k')
  t.deepEqual(await scene.heard(1), ['j', 'k'])
  scene.set('k')
  t.deepEqual(await scene.heard(1), [])
})

test('what was told before a key is read anew is not told again', async (t) => {
  const scene = new Scene()
  const one = scene.connect(1)
  const two = scene.connect(2)
  scene.run(one, 'GET k')
  scene.set('k')
  scene.run(two, 'GET k')
  t.deepEqual(await scene.heard(1), ['k'])
  t.deepEqual(await scene.heard(2), [])
  scene.set('k')
  t.deepEqual(await scene.heard(1), [])
  t.deepEqual(await scene.heard(2), ['k'])
})

test('a change counts in each database in which the key was read', async (t) => {
  const scene = new Scene()
  const one = scene.connect(1)
  const two = scene.connect(2)
  two.db = 1
  scene.run(one, 'GET k')
  scene.set('k', 1)
  t.deepEqual(await scene.heard(1), [])
  scene.run(two, 'GET k')
  scene.set('k', 1)
  t.deepEqual(await scene.heard(1), ['k'])
  t.deepEqual(await scene.heard(2), ['k'])
  t.is(scene.tracking.keys, 0)
})

test('the names of long keys count, too', async (t) => {
  const scene = new Scene()
  const client = scene.connect(1)
  const long = 'k'.repeat(100 * 1024 * 1024)
  for (const letter of 'abc') {
    scene.run(client, `GET ${letter}${long}`)
    await scene.heard(1)
  }
  t.is(scene.tracking.keys, 2)
})

test('all that a thread has read is let go of when nobody is left, and the store hears of it', async (t) => {
  const scene = new Scene()
  const client = scene.connect(1)
  for (let i = 0; i < 5_000; i++) scene.run(client, `GET k${i}`)
  t.is(scene.tracking.items, 5_000)
  scene.clients.delete(1)
  scene.tracking.forget(client)
  t.is(scene.tracking.keys, 0)
  await scene.clock.settle()
  const touched: string[] = []
  scene.store.onTouched = (_db, key) => void touched.push(Buffer.from(key).toString())
  for (let i = 0; i < 5_000; i++) scene.set(`k${i}`)
  t.deepEqual(touched, [])
})

test('who hears nothing of its own hears what others do to the same keys', async (t) => {
  const scene = new Scene()
  const quiet = scene.connect(1, { noloop: true, bcast: true }, ['k', 'ab'])
  const loud = scene.connect(2, { bcast: true }, ['k'])
  scene.run(quiet, 'MSET k1 v k2 v', () => {
    scene.set('k1')
    // It made room.
    scene.set('k3')
  })
  t.deepEqual(await scene.heard(1), ['k3'])
  t.deepEqual(await scene.heard(2), ['k1 k3'])
  scene.run(quiet, 'SET k1 v', () => scene.set('k1'))
  scene.run(loud, 'SET k1 v', () => scene.set('k1'))
  t.deepEqual(await scene.heard(1), ['k1'])
  t.deepEqual(await scene.heard(2), ['k1'])
  scene.run(quiet, 'SET ab v', () => scene.set('ab'))
  scene.set('a')
  scene.set('b')
  scene.set('abc')
  t.deepEqual(await scene.heard(1), ['abc'])
  t.deepEqual(await scene.heard(2), [])
  t.is(scene.tracking.prefixes, 2)
})

test('a command of a transaction is told of at its end', async (t) => {
  const scene = new Scene()
  const client = scene.connect(1)
  const quiet = scene.connect(2, { noloop: true })
  scene.run(quiet, 'GET k')
  const order: string[] = []
  scene.told.get(1)!.push = (line) => order.push(line)
  scene.run(client, 'GET k')
  scene.run(client, 'ECHO exec', () => {
    scene.run(client, 'SET k 1', () => scene.set('k'))
    scene.run(client, 'GET k')
    order.push('replied')
  })
  await scene.clock.settle()
  t.deepEqual(order, ['replied', 'k'])
  t.deepEqual(await scene.heard(2), ['k'])
  scene.run(quiet, 'GET k')
  scene.run(quiet, 'ECHO exec', () => {
    scene.store.lockKeys(0, Args.of(['SET', 'k', '1']), 1, 2, 1)
    scene.run(quiet, 'SET k 1', () => scene.set('k'))
    scene.store.unlockKeys()
  })
  t.deepEqual(await scene.heard(2), [])
})

test('other threads are told of changes, and tell of theirs', async (t) => {
  const scene = new Scene()
  const log: string[] = []
  const links: TrackingLinks = {
    listens: (does) => log.push(`listens ${does}`),
    touched: (db, name) => log.push(`touched ${db} ${name}`),
    flushed: () => log.push('flushed'),
    invalidated: () => log.push('invalidated'),
    find: (_id, done) => done(3),
    redirect: (row: number, { from, to, keys }: Redirected) =>
      log.push(`redirect ${row}: ${from} to ${to}, ${keys?.join(' ')}`),
  }
  scene.tracking.join(links)
  const one = scene.connect(1)
  scene.run(one, 'GET k')
  scene.set('k')
  t.deepEqual(await scene.heard(1), ['k'])
  scene.run(one, 'GET k')
  scene.tracking.hear(1, 'k')
  t.deepEqual(await scene.heard(1), [])
  scene.tracking.hear(0, 'k')
  t.deepEqual(await scene.heard(1), ['k'])
  scene.tracking.flushed()
  t.deepEqual(await scene.heard(1), ['all'])
  scene.tracking.begin(one, { ...noOptions, redirect: 9 }, 3, [])
  scene.run(one, 'GET k')
  scene.set('k')
  await scene.clock.settle()
  t.deepEqual(log.splice(0), [
    ...['listens true', 'touched 0 k', 'flushed', 'touched 0 k', 'redirect 3: 1 to 9, k'],
  ])
  scene.tracking.hearBroken(1, 8)
  t.deepEqual(await scene.heard(1), [])
  scene.tracking.hearBroken(1, 9)
  t.deepEqual(await scene.heard(1), ['tracking-redir-broken :9'])
  t.is(one.tracker!.flags, 'tR')
  scene.tracking.forget(one)
  t.deepEqual(log.splice(0), ['listens false', 'listens false'])
})
