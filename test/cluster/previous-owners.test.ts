import test from 'ava'
import xxhash from 'xxhash-wasm'
import { HandoffFence } from '../../cluster/handoff-fence.ts'
import { Membership, parseMembers } from '../../cluster/membership.ts'
import { PreviousOwners } from '../../cluster/previous-owners.ts'
import { SLOT_COUNT } from '../../cluster/slots.ts'
import { VirtualClock } from '../sim/clock.ts'

const { h32 } = await xxhash()
const SELF = 'a:1'
const slots = Array.from({ length: SLOT_COUNT }, (_, slot) => slot)

function start(windowMs = 60_000) {
  const clock = new VirtualClock()
  const membership = new Membership(parseMembers(SELF, 'b:1,c:1'), {
    clock,
    hash: (text) => h32(text),
    ping: () => {},
  })
  const fence = new HandoffFence()
  const owners = new PreviousOwners(membership, { clock, windowMs, fence })
  const ownersNow = (): (string | null)[] => slots.map((slot) => membership.live().owner(slot))
  return { clock, membership, fence, owners, ownersNow }
}

test('a node that begins asks whoever would have its slots without it', (t) => {
  const { membership, owners, ownersNow, fence } = start()
  t.false(fence.isActive)
  owners.begin()
  t.true(fence.isActive)
  const now = ownersNow()
  const next = slots.map((slot) => membership.live().after(slot, [SELF]))
  const askedOf = (): (string | null)[] => slots.map((slot) => owners.of(slot))
  const own = (whom: (slot: number) => string | null): (string | null)[] =>
    slots.map((slot) => (now[slot] === SELF ? whom(slot) : null))
  t.deepEqual(
    askedOf(),
    own((slot) => next[slot]!),
  )
  // Who turns out to be dead is not asked, but who is next behind.
  membership.follow('b:1', 'down')
  t.deepEqual(
    askedOf(),
    own(() => 'c:1'),
  )
  membership.follow('c:1', 'down')
  t.true(slots.every((slot) => owners.of(slot) === null))
})

test('the slots of a node that leaves are asked for until it has gone or the window is over', async (t) => {
  for (const end of ['gone', 'over'] as const) {
    const { clock, membership, owners, ownersNow, fence } = start()
    const before = ownersNow()
    membership.follow('b:1', 'leaving')
    const gained = slots.filter((slot) => before[slot] === 'b:1' && ownersNow()[slot] === SELF)
    t.true(gained.length > 0)
    t.deepEqual(
      slots.filter((slot) => owners.of(slot) === 'b:1'),
      gained,
    )
    if (end === 'gone') membership.follow('b:1', 'down')
    else await clock.advance(60_000)
    t.true(slots.every((slot) => owners.of(slot) === null))
    if (end === 'over') t.false(fence.isActive)
  }
})

test('of a node that died nobody is asked, nor of a slot that is lost again', (t) => {
  const { membership, owners } = start()
  membership.follow('b:1', 'down')
  t.true(slots.every((slot) => owners.of(slot) === null))
  membership.follow('b:1', 'up')
  membership.follow('c:1', 'leaving')
  t.true(slots.some((slot) => owners.of(slot) === 'c:1'))
  membership.follow('c:1', 'up')
  t.true(slots.every((slot) => owners.of(slot) === null))
})

test('a window of no time asks nobody', (t) => {
  const { fence, membership, owners } = start(0)
  owners.begin()
  membership.follow('b:1', 'leaving')
  t.false(fence.isActive)
})
