import test from 'ava'
import { ThreadTrackingLinks, trackingLinksOf } from '../../../server/threads/tracking-links.ts'
import type { Redirected, Tracking, TrackingLinks } from '../../../server/tracking/tracking.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { until } from '../../until.ts'

/** A thread that writes down what others tell it. */
class Thread {
  readonly heard: string[] = []
  readonly ids = new Set<number>()
  links!: TrackingLinks

  get tracking(): Tracking {
    const tracking = {
      join: (links: TrackingLinks) => (this.links = links),
      has: (id: number) => this.ids.has(id),
      hear: (db: number, name: string) => this.heard.push(`${db} ${name.slice(0, 20)}`),
      hearFlushed: () => this.heard.push('flushed'),
      hearInvalidated: () => this.heard.push('invalidated'),
      hearRedirected: ({ from, to, keys }: Redirected) => {
        if (this.ids.has(to)) this.heard.push(`${from} to ${to}: ${keys?.join(' ')}`)
        return this.ids.has(to)
      },
      hearBroken: (from: number, to: number) => this.heard.push(`${from} to ${to}: broken`),
    }
    return tracking as unknown as Tracking
  }
}

/** Threads in one thread, with real ports between them. */
function link(count: number): { clock: VirtualClock; threads: Thread[] } {
  const clock = new VirtualClock()
  const rows = Array.from({ length: count }, (_, row) => row)
  const starts = trackingLinksOf(rows)
  const threads = rows.map((row) => {
    const thread = new Thread()
    ThreadTrackingLinks.join(clock, thread.tracking, row, starts.get(row)!)
    return thread
  })
  return { clock, threads }
}

test('who listens is told of changes, in their order, and others are not', async (t) => {
  const { clock, threads } = link(3)
  const [writer, listener, other] = threads as [Thread, Thread, Thread]
  writer.links.touched(0, 'before')
  listener.links.listens(true)
  writer.links.touched(0, 'k')
  writer.links.touched(3, 'j')
  writer.links.flushed()
  writer.links.touched(0, 'l')
  writer.links.invalidated()
  await clock.settle()
  await until(() => listener.heard.length === 5)
  t.deepEqual(listener.heard.splice(0), ['0 k', '3 j', 'flushed', '0 l', 'invalidated'])
  listener.links.listens(false)
  other.links.listens(true)
  writer.links.touched(0, 'k')
  await clock.settle()
  await until(() => other.heard.length === 1)
  t.deepEqual(other.heard, ['0 k'])
  t.deepEqual(listener.heard, [])
})

test('who is far behind is told that everything has changed, once, and then goes on', async (t) => {
  const { clock, threads } = link(2)
  const [writer, listener] = threads as [Thread, Thread]
  listener.links.listens(true)
  const long = 'k'.repeat(1024 * 1024)
  for (let i = 0; i < 40; i++) writer.links.touched(0, `${i} ${long}`)
  await clock.settle()
  await until(() => listener.heard.includes('flushed'))
  const names = listener.heard.splice(0)
  t.is(names.pop(), 'flushed')
  t.true(names.length < 20)
  t.true(names.every((name, i) => name.startsWith(`0 ${i} `)))
  writer.links.touched(0, 'later')
  await clock.settle()
  await until(() => listener.heard.length === 1)
  t.deepEqual(listener.heard, ['0 later'])
})

test('a client is found wherever it is, and told until it is gone', async (t) => {
  const { threads } = link(3)
  const [one, two, three] = threads as [Thread, Thread, Thread]
  const find = (id: number): Promise<number | null> =>
    new Promise((resolve) => one.links.find(id, resolve))
  two.ids.add(5)
  three.ids.add(6)
  const keepsAlive = until(() => three.heard.length > 0)
  t.is(await find(5), 1)
  t.is(await find(6), 2)
  t.is(await find(7), null)
  one.links.redirect(2, { from: 9, to: 6, keys: ['k', 'j'] })
  await keepsAlive
  t.deepEqual(three.heard, ['9 to 6: k j'])
  three.ids.delete(6)
  one.links.redirect(2, { from: 9, to: 6, keys: null })
  await until(() => one.heard.length > 0)
  t.deepEqual(one.heard, ['9 to 6: broken'])
})
