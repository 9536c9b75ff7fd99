import test from 'ava'
import { BEHIND, KEPT, KeptSlots, NOTHING, PROMOTED } from '../../../cluster/copies/kept-slots.ts'
import { Trust } from '../../../cluster/copies/trust.ts'
import { VirtualClock } from '../../sim/clock.ts'

const LASTS_MS = 1800

/** Node s, which keeps slot 1 and 2 for o. */
function keeping() {
  const clock = new VirtualClock()
  const slots = new KeptSlots()
  const trust = new Trust(clock, slots)
  trust.open('o', { id: 'stream 1', lastsMs: LASTS_MS, goesOn: false }, [1, 2])
  const down = { name: 'o', state: 'down' } as const
  return { clock, slots, trust, down }
}

test('what a stream has brought is trusted once its node is known to have heard an answer', async (t) => {
  const { clock, trust } = keeping()
  t.false(trust.isTrusted('o'))
  t.true(trust.hears('o', 'stream 1', 0))
  t.false(trust.isTrusted('o'))
  const answer = trust.answers('o')
  t.true(trust.hears('o', 'stream 1', answer))
  t.true(trust.isTrusted('o'))
  await clock.advance(LASTS_MS)
  t.true(trust.isTrusted('o'))
  await clock.advance(1)
  t.false(trust.isTrusted('o'))
})

test('what is heard late is no reason to trust for longer', async (t) => {
  const { clock, trust } = keeping()
  const first = trust.answers('o')
  t.true(trust.hears('o', 'stream 1', first))
  await clock.advance(1000)
  // It was sent before its node has heard any other answer.
  t.true(trust.hears('o', 'stream 1', first))
  trust.answers('o')
  await clock.advance(801)
  t.false(trust.isTrusted('o'))
})

test('an answer that was heard counts from when it was sent', async (t) => {
  const { clock, trust } = keeping()
  trust.answers('o')
  await clock.advance(500)
  const second = trust.answers('o')
  await clock.advance(500)
  trust.answers('o')
  t.true(trust.hears('o', 'stream 1', second))
  await clock.advance(LASTS_MS - 500)
  t.true(trust.isTrusted('o'))
  await clock.advance(1)
  t.false(trust.isTrusted('o'))
})

test('an answer that was never given is the last one that was', async (t) => {
  const { clock, trust } = keeping()
  trust.answers('o')
  await clock.advance(100)
  for (const heard of [NaN, -1, 1e15]) t.true(trust.hears('o', 'stream 1', heard))
  await clock.advance(LASTS_MS - 100)
  t.true(trust.isTrusted('o'))
  await clock.advance(1)
  t.false(trust.isTrusted('o'))
})

test('an old stream is refused, and what it brought is not that of the new one', (t) => {
  const { slots, trust } = keeping()
  trust.hears('o', 'stream 1', trust.answers('o'))
  t.deepEqual(trust.open('o', { id: 'stream 2', lastsMs: LASTS_MS, goesOn: false }, [2]), [1])
  t.false(trust.hears('o', 'stream 1', 1))
  t.true(trust.hears('o', 'stream 2', 0))
  t.false(trust.isTrusted('o'))
  t.deepEqual([slots.of(1), slots.of(2)], [NOTHING, KEPT])
  t.false(trust.keepsFor('o', 1))
  t.true(trust.keepsFor('o', 2))
})

test('slots whose owner has died are promoted if it was trusted, and worthless else', async (t) => {
  const { clock, slots, trust, down } = keeping()
  trust.hears('o', 'stream 1', trust.answers('o'))
  // Slot 2 goes to somebody else.
  const owner = (slot: number): string => (slot === 1 ? 's' : 'x')
  t.deepEqual(trust.turn(down, owner, 's'), { promoted: [1], worthless: [2] })
  t.deepEqual([slots.of(1), slots.of(2)], [PROMOTED, NOTHING])
  t.true(slots.settles)
  // Another node dies.
  t.deepEqual(
    trust.turn({ name: 'x', state: 'down' }, () => 's', 's'),
    {
      promoted: [],
      worthless: [],
    },
  )
  t.is(slots.of(1), PROMOTED)
  trust.done([1])
  t.false(slots.keeps)

  const late = keeping()
  late.trust.hears('o', 'stream 1', late.trust.answers('o'))
  await late.clock.advance(LASTS_MS + 1)
  t.deepEqual(
    late.trust.turn(down, () => 's', 's'),
    { promoted: [], worthless: [1, 2] },
  )
  t.false(late.slots.keeps)
  await clock.settle()
})

test('copies of a node that leaves stand behind what it gives away itself, until it has gone', (t) => {
  const { slots, trust, down } = keeping()
  trust.hears('o', 'stream 1', trust.answers('o'))
  trust.turn({ name: 'o', state: 'leaving' }, () => 's', 's')
  t.is(slots.of(1), BEHIND)
  // What it has written before it left may still be on its way.
  t.true(trust.keepsFor('o', 1))
  t.true(trust.hears('o', 'stream 1', trust.answers('o')))
  t.deepEqual(trust.turn(down, () => 's', 's').promoted, [1, 2])
})

test('copies are worthless as soon as their slot has another owner, whatever becomes of that one', (t) => {
  const { trust, down } = keeping()
  trust.hears('o', 'stream 1', trust.answers('o'))
  t.deepEqual(trust.turn({ name: 'x', state: 'up' }, () => 'x', 's').worthless, [1, 2])
  t.deepEqual(trust.turn(down, () => 's', 's').promoted, [])
})

test('what was closed or forgotten is kept for nobody', (t) => {
  const { slots, trust } = keeping()
  t.deepEqual(trust.close('x', [1]), [])
  t.deepEqual(trust.close('o', [1, 3]), [1])
  t.false(trust.keepsFor('o', 1))
  trust.forget()
  t.false(trust.hears('o', 'stream 1', 0))
  t.false(trust.keepsFor('o', 2))
  t.false(slots.keeps)
})
