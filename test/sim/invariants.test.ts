/* Each check sees what it is there for, in a history made by hand, and nothing in the one before. */
import test from 'ava'
import { GROUP_TTL_MS, LAX_IF_ERROR_MS, LAX_STALE_MS, LAX_TTL_MS } from './cluster.ts'
import { type Disturbance, History, type Read, type Step, type Write } from './history.ts'
import { checks, REFUSED, type Violation } from './invariants.ts'
import { SimOrigin, type SeenLoad } from './origin.ts'
import { SeededRandom } from './random.ts'
import { Scheduler } from './scheduler.ts'
import { Trace } from './trace.ts'

/** A history to be filled; times are in ms from 0. */
class Story {
  readonly history = new History()
  readonly scheduler = new Scheduler(0)
  readonly origin = new SimOrigin(this.scheduler, new SeededRandom(1), new Trace(() => 0, null))
  listsDiffer = false
  isHot = false
  minMembers = 0

  /** Takes 10 ms. `how`: whatever is not as usual. */
  write(at: number, kind: Write['kind'], value: string | null, how: Partial<Write> = {}): this {
    const usual = { key: 'p:1', node: 'a', start: at, end: at + 10, acked: true, version: -1 }
    this.history.addWrite({ ...usual, kind, value, effectAt: at + 10, ...how })
    return this
  }

  read(at: number, value: string | null, how: Partial<Read> = {}): this {
    const usual = { key: 'p:1', node: 'b', start: at, end: at + 10, atOwner: false }
    this.history.addRead({ ...usual, value, ...how })
    return this
  }

  load(start: number, end: number, node = 'a', how: Partial<SeenLoad> = {}): this {
    const usual = { node, key: 'user:1', version: 0, start, end, outcome: 'value' } as const
    this.origin.loads.push({ ...usual, ...how })
    return this
  }

  disturb(kind: Disturbance['kind'], start: number, end: number): this {
    this.history.disturbances.push({ kind, nodes: ['a', 'b'], start, end, text: kind })
    return this
  }

  /** Only that one link. */
  cutLink(start: number, end: number): this {
    const [kind, nodes] = ['cut', ['a', 'b']] as const
    this.history.disturbances.push({ kind, nodes, start, end, text: kind, isOneLink: true })
    return this
  }

  step(how: Partial<Step>): this {
    this.history.steps.push({
      ...{
        client: 'one',
        node: 'b',
        words: 'GET p:1',
        start: 0,
        end: 5,
        outcome: 'value',
        line: '',
      },
      ...{ limitMs: 1000, aloneMs: 0, ...how },
    })
    return this
  }

  async bump(at: number, key = 'user:1'): Promise<this> {
    await this.scheduler.run(at)
    this.origin.bump(key)
    return this
  }

  /** The invariants that are broken, by their first word. */
  broken(): string[] {
    const violations: Violation[] = []
    const { history, origin, listsDiffer, isHot, minMembers } = this
    const report = (violation: Violation): void => void violations.push(violation)
    const run = { history, origin, listsDiffer, isHot, minMembers, report }
    for (const check of checks) check(run)
    return violations.map(({ invariant }) => invariant.split(' ')[0]!)
  }
}

const [one, two] = ['v|p:1|1', 'v|p:1|2']

test('values that nobody made, or made for another key', (t) => {
  t.deepEqual(new Story().write(0, 'set', one).read(20, one).broken(), [])
  t.deepEqual(new Story().read(20, one).broken(), ['no'])
  t.deepEqual(new Story().read(20, 'v|p:2|1').broken(), ['C11'])
  const key = 'user:1'
  t.deepEqual(new Story().read(20, 'o|user|user:1|0', { key }).broken(), [])
  t.deepEqual(new Story().read(20, 'o|users|user:1|0', { key }).broken(), ['C11'])
  t.deepEqual(new Story().read(20, 'o|users|users:1|0', { key }).broken(), ['C11'])
  t.deepEqual(new Story().read(20, 'o|user|user:1|1', { key }).broken(), ['no'])
})

test('an old value: for two seconds where something happens, else not at all', (t) => {
  const changed = () => new Story().write(0, 'set', one).write(100, 'set', two)
  t.deepEqual(changed().read(109, one).broken(), [])
  t.deepEqual(changed().read(110, one).broken(), ['C2'])
  t.deepEqual(changed().read(2200, two).broken(), [])
  const disturbed = () => changed().disturb('crash', 0, 1)
  t.deepEqual(disturbed().read(2109, one).broken(), [])
  t.deepEqual(disturbed().read(2110, one).broken(), ['C4'])
  const removed = () => new Story().write(0, 'set', one).write(100, 'del', null)
  t.deepEqual(removed().read(3000, one).broken(), ['C2'])
  t.deepEqual(removed().read(3000, null).broken(), [])
  // Who wrote at about the same time may have been the later one; so may who never heard.
  const together = new Story().write(95, 'set', one).write(100, 'set', two)
  t.deepEqual(together.read(3000, one).broken(), [])
  const unheard = new Story().write(0, 'set', one, { end: Infinity, acked: false })
  t.deepEqual(unheard.write(100, 'set', two).read(3000, one).broken(), [])
})

test('an old copy of a hot key: until it is told, but not at the owner, and not to who wrote there', (t) => {
  const changed = () => new Story().write(0, 'set', one).write(100, 'set', two)
  const hot = () => Object.assign(changed(), { isHot: true })
  t.deepEqual(hot().read(409, one).broken(), [])
  t.deepEqual(hot().read(410, one).broken(), ['C2'])
  t.deepEqual(hot().read(109, one, { atOwner: true }).broken(), [])
  t.deepEqual(hot().read(110, one, { atOwner: true }).broken(), ['C2'])
  t.deepEqual(hot().read(109, one, { node: 'a' }).broken(), [])
  t.deepEqual(hot().read(110, one, { node: 'a' }).broken(), ['C2'])
})

test('an old value is named by what happened; a write in a partition may have to give way', (t) => {
  const during = (kind: Disturbance['kind']) => {
    const story = new Story().write(0, 'set', one).disturb(kind, 10_000, 12_000)
    return story.write(11_000, 'set', two).read(14_000, one)
  }
  t.deepEqual(during('freeze').broken(), ['C3'])
  t.deepEqual(during('crash').broken(), ['C4'])
  t.deepEqual(during('cut').broken(), [])
  const before = new Story().write(0, 'set', one).write(100, 'set', two)
  t.deepEqual(before.disturb('cut', 6000, 9000).read(8000, one).broken(), ['C6'])
})

test('one link that is cut, and nothing else, is no excuse once it was noticed', (t) => {
  const written = (at: number) =>
    new Story().cutLink(10_000, 15_000).write(0, 'set', one).write(at, 'set', two)
  t.deepEqual(written(11_000).read(14_000, one).broken(), [])
  t.deepEqual(written(11_001).read(14_000, one).broken(), ['C6'])
  const besides = (at: number) => written(11_001).disturb('crash', at, 30_000).read(14_000, one)
  t.deepEqual(besides(20_000).broken(), [])
  t.deepEqual(besides(20_001).broken(), ['C6'])
  t.deepEqual(written(13_001).read(14_000, null).broken(), ['C2'])
  t.deepEqual(written(13_000).read(14_000, null).broken(), [])
})

test('EXPIRE: its value is seen until its time', (t) => {
  const story = () => new Story().write(0, 'set', one)
  const expiring = () => story().write(100, 'expire', null, { effectAt: 1110 })
  t.deepEqual(expiring().read(1109, one).broken(), [])
  t.deepEqual(expiring().read(1110, one).broken(), ['C2'])
  const again = expiring().write(500, 'expire', null, { effectAt: 9500 })
  t.deepEqual(again.read(4000, one).broken(), [])
})

test('what was written is not lost while nothing happens', (t) => {
  const story = () => new Story().write(0, 'set', one)
  t.deepEqual(story().read(20, null).broken(), ['C2'])
  t.deepEqual(story().disturb('crash', 0, 1).read(20, null).broken(), [])
  t.deepEqual(story().write(15, 'del', null, { acked: false }).read(20, null).broken(), [])
})

test('what was loaded ends with its time, and with a DEL', async (t) => {
  const key = 'user:1'
  const [old, fresh] = ['o|user|user:1|0', 'o|user|user:1|1']
  const story = async () => (await new Story().bump(100)).read(200, old, { key })
  t.deepEqual((await story()).broken(), [])
  const loaded = () => new Story().load(0, 20)
  t.deepEqual(
    loaded()
      .read(GROUP_TTL_MS + 20, old, { key })
      .broken(),
    [],
  )
  t.deepEqual(
    loaded()
      .read(GROUP_TTL_MS + 21, old, { key })
      .broken(),
    ['C2'],
  )
  const ofLax = { key: 'lax:1' }
  const lax = (at: number) => new Story().load(0, 20, 'a', ofLax).read(at, 'o|lax|lax:1|0', ofLax)
  t.deepEqual(lax(LAX_TTL_MS + LAX_STALE_MS + 20).broken(), [])
  const late = () => lax(LAX_TTL_MS + LAX_IF_ERROR_MS + 20)
  t.deepEqual(late().broken(), ['C2'])
  const failed = (story: Story) => story.load(8010, 8025, 'a', { ...ofLax, outcome: 'error' })
  t.deepEqual(failed(late()).broken(), [])
  t.deepEqual(failed(lax(LAX_TTL_MS + LAX_IF_ERROR_MS + 21)).broken(), ['C2'])
  const del = { key, version: 1 }
  const removed = async () => (await story()).load(0, 20).write(300, 'del', null, del)
  t.deepEqual((await removed()).read(2400, old, { key }).broken(), ['C2'])
  t.deepEqual((await removed()).read(2400, fresh, { key }).broken(), [])
})

test('a load that began before a write does not undo it', (t) => {
  const [key, old] = ['user:1', 'o|user|user:1|0']
  const written = () => new Story().write(100, 'set', 'v|user:1|1', { key })
  const told = (value: string) => written().read(200, value, { key })
  t.deepEqual(told(old).load(99, 150).broken(), ['C2'])
  t.deepEqual(told(old).load(100, 150).broken(), [])
  t.deepEqual(told('v|user:1|1').load(99, 150).broken(), [])
})

test('nil of a group: the origin has none, or is slow', async (t) => {
  const key = 'lax:0'
  const nil = (story = new Story()) => story.read(1000, null, { key })
  const missing = { key, version: 3, outcome: 'missing' } as const
  t.deepEqual(nil().broken(), ['C2'])
  t.deepEqual(nil().load(980, 999, 'a', missing).broken(), [])
  t.deepEqual(
    nil()
      .load(980, 999, 'a', { ...missing, outcome: 'value' })
      .broken(),
    ['C2'],
  )
  t.deepEqual(nil().load(699, 999, 'a', { key }).broken(), [])
  const removed = () => new Story().write(985, 'del', null, { key })
  t.deepEqual(nil(removed()).load(980, 984, 'a', missing).broken(), ['C2'])
  t.deepEqual(nil(removed()).load(985, 999, 'a', missing).broken(), [])
  // What the origin has not is never a value.
  const changed = async () => (await (await new Story().bump(1, key)).bump(2, key)).bump(3, key)
  const read = async (value: string) => (await changed()).read(1000, value, { key }).broken()
  t.deepEqual(await read('o|lax|lax:0|2'), [])
  t.deepEqual(await read('o|lax|lax:0|3'), ['no'])
})

test('loads: one a key, two while something happens', (t) => {
  t.deepEqual(new Story().load(0, 20).broken(), [])
  t.deepEqual(new Story().load(0, 20).load(10, 30, 'b').broken(), ['C1'])
  t.deepEqual(new Story().load(0, 20).load(500, 520).broken(), ['C1'])
  t.deepEqual(
    new Story()
      .load(0, 20)
      .load(GROUP_TTL_MS + 30, 20_000)
      .broken(),
    [],
  )
  const key = 'user:1'
  t.deepEqual(new Story().load(0, 20).write(100, 'del', null, { key }).load(500, 520).broken(), [])
  const two = () => new Story().disturb('freeze', 0, 1000).load(0, 200).load(10, 230, 'b')
  t.deepEqual(two().broken(), [])
  t.deepEqual(two().load(20, 240, 'c').broken(), ['C3'])
  t.deepEqual(two().disturb('freeze', 0, 900).load(20, 240, 'c').broken(), [])
})

test('counters: nothing twice, nothing of nobody, nothing lost', (t) => {
  const key = 'c:0'
  const sum = (value: bigint, own = -1, story = new Story()) => {
    for (const [digit, acked] of [true, true, false].entries()) {
      story.history.addCount({ key, digit, start: 0, end: acked ? 10 : Infinity, acked })
    }
    story.history.sums.push({ key, value, own, start: 20, end: 30 })
    return story.broken()
  }
  t.deepEqual(sum(1n + 4n), [])
  t.deepEqual(sum(1n + 4n + 16n), [])
  t.deepEqual(sum(1n + 4n + 64n), ['C12'])
  t.deepEqual(sum(2n + 4n), ['C12'])
  t.deepEqual(sum(1n), ['C12'])
  const hot = () => Object.assign(new Story(), { isHot: true })
  t.deepEqual(sum(1n, -1, hot()), [])
  t.deepEqual(sum(1n, 0, hot()), ['C12'])
  t.deepEqual(sum(1n, -1, new Story().disturb('crash', 0, 5)), [])
  t.deepEqual(sum(1n, 1, new Story().disturb('crash', 0, 5)), ['C12'])
})

test('locks: one has it, and knows', (t) => {
  const taken = () => new Story().write(0, 'setnx', one)
  t.deepEqual(taken().write(100, 'setnx', two, { acked: false }).broken(), [])
  t.deepEqual(taken().write(100, 'setnx', two).broken(), ['C12'])
  t.deepEqual(taken().write(50, 'del', null).write(100, 'setnx', two).broken(), [])
  t.deepEqual(taken().disturb('crash', 40, 50).write(100, 'setnx', two).broken(), [])
  const refused = new Story().write(0, 'setnx', one, { acked: false })
  t.deepEqual(refused.read(20, one).broken(), ['C12'])
})

test('requests end, in time, unless it is their own node that stands still', (t) => {
  t.deepEqual(new Story().step({ end: 1000 }).broken(), [])
  t.deepEqual(new Story().step({ end: 1001 }).broken(), ['C5'])
  t.deepEqual(new Story().step({ end: Infinity, outcome: 'open' }).broken(), ['C5'])
  t.deepEqual(new Story().disturb('freeze', 500, 900).step({ end: 1001, node: 'a' }).broken(), [])
})

test('errors are few after a crash, and none where nodes come and go', (t) => {
  const steps = (errors: number, kind: Disturbance['kind'] = 'crash') => {
    const story = new Story().disturb(kind, 0, 100)
    for (let i = 0; i < 100; i++) story.step(i < errors ? { outcome: 'error', line: 'ERR' } : {})
    return story.broken()
  }
  t.deepEqual(steps(2), [])
  t.deepEqual(steps(3), ['C4'])
  t.deepEqual(steps(1, 'join'), ['C9'])
  const ofOneThatLeaves = new Story().disturb('leave', 0, 100)
  const error = { outcome: 'error', line: 'ERR' } as const
  t.deepEqual(ofOneThatLeaves.step({ node: 'a', ...error }).broken(), [])
  t.deepEqual(ofOneThatLeaves.step(error).broken(), ['C9'])
  t.deepEqual(steps(0, 'leave'), [])
})

test('too few nodes do not write, and nobody else refuses', (t) => {
  const story = (how: Partial<Step>) => new Story().step({ words: 'SET p:1 v', ...how })
  t.deepEqual(story({ aloneMs: 1999 }).broken(), [])
  t.deepEqual(story({ aloneMs: 2000 }).broken(), ['C6'])
  t.deepEqual(story({ aloneMs: 2000, words: 'GET p:1' }).broken(), [])
  const refused = { outcome: 'error', line: REFUSED } as const
  t.deepEqual(
    story({ aloneMs: 2000, ...refused })
      .disturb('cut', 0, 9)
      .broken(),
    ['C6'],
  )
  const few = Object.assign(story({ aloneMs: 2000, ...refused }), { minMembers: 3 })
  t.deepEqual(few.broken(), ['C6'])
  t.deepEqual(few.disturb('cut', 0, 9).broken(), [])
})
