import test from 'ava'
import xxhash from 'xxhash-wasm'
import { Membership, parseMembers } from '../../../cluster/members/membership.ts'
import { type Move, Ownership } from '../../../cluster/ownership/ownership.ts'
import { SlotStates } from '../../../cluster/ownership/slot-states.ts'
import { VirtualClock } from '../../sim/clock.ts'

const { h32 } = await xxhash()
const WINDOW_MS = 60_000
/** The incarnation of node b when it is up again. */
const PROCESS = 'b2'
const SLOTS = Array.from({ length: 16_384 }, (_, slot) => slot)

/** Node a of a, b and c. */
function nodeA() {
  const clock = new VirtualClock()
  const membership = new Membership(parseMembers('a:1', 'b:1,c:1'), {
    ...{ clock, hash: (text) => h32(text), ping: () => {} },
  })
  const states = new SlotStates()
  states.begin(clock.now(), true)
  const ownership = new Ownership({ membership, states, clock, windowMs: WINDOW_MS })
  const moves: Move[] = []
  ownership.onMove((move) => moves.push(move))
  const own = () => SLOTS.filter((slot) => ownership.isOwn(slot))
  return { clock, membership, states, ownership, moves, own }
}

test('who has just begun may ask for its slots who comes next on the ring, for a while', async (t) => {
  const { clock, membership, ownership, own } = nodeA()
  const ring = membership.live()
  for (const slot of SLOTS) {
    const isOwn = ring.owner(slot) === 'a:1'
    t.is(ownership.isOwn(slot), isOwn)
    t.is(ownership.previousOwner(slot), isOwn ? ring.after(slot, ['a:1']) : null)
    t.is(ownership.ownSince(slot), isOwn ? clock.now() : null)
  }
  const [slot] = own() as [number]
  await clock.advance(WINDOW_MS - 1)
  t.not(ownership.previousOwner(slot), null)
  await clock.advance(1)
  t.is(ownership.previousOwner(slot), null)
})

test('what a node has that is down nobody can be asked for', async (t) => {
  const { clock, membership, ownership, moves, own } = nodeA()
  await clock.advance(1000)
  const before = own()
  const ofB = SLOTS.filter((slot) => membership.live().owner(slot) === 'b:1')
  membership.follow('b:1', 'down')
  t.is(moves.length, 1)
  const { gained, lost } = moves[0]!
  t.deepEqual(lost, [])
  t.true(gained.length > 0)
  t.true(gained.every((slot) => ofB.includes(slot)))
  t.deepEqual(
    own(),
    [...before, ...gained].sort((x, y) => x - y),
  )
  for (const slot of gained) {
    t.is(ownership.previousOwner(slot), null)
    t.is(ownership.ownSince(slot), clock.now())
  }
  t.is(ownership.previousOwner(before[0]!), membership.live().after(before[0]!, ['a:1']))
})

test('who stood in keeps what it has for who is back, until the window is over', async (t) => {
  const { clock, membership, ownership, moves } = nodeA()
  await clock.advance(1000)
  membership.follow('b:1', 'down')
  await clock.advance(1000)
  membership.follow('b:1', 'up', PROCESS)
  const [{ gained }, { lost }] = moves as [Move, Move]
  t.deepEqual(lost, gained)
  const slot = lost[0]!
  t.true(ownership.keepsFor(slot, 'b:1', PROCESS))
  t.is(ownership.lostAt(slot), clock.now())
  t.is(ownership.previousOwner(slot), null)
  await clock.advance(WINDOW_MS - 1)
  t.true(ownership.keepsFor(slot, 'b:1', PROCESS))
  await clock.advance(1)
  t.false(ownership.keepsFor(slot, 'b:1', PROCESS))
  t.false(ownership.keepsFor(moves[0]!.gained.length, 'b:1', PROCESS), 'never had')
})

test('it keeps nothing for another process of that node, nor for one that is not known', async (t) => {
  const { clock, membership, ownership, moves } = nodeA()
  await clock.advance(1000)
  membership.follow('b:1', 'down', 'b1')
  membership.follow('b:1', 'up', PROCESS)
  const slot = moves[1]!.lost[0]!
  for (const other of ['b1', 'b3', '']) t.false(ownership.keepsFor(slot, 'b:1', other), other)
  t.false(ownership.keepsFor(slot, 'c:1', PROCESS))
  // Nobody has missed it, and it is another one now.
  membership.follow('b:1', 'up', 'b3')
  t.false(ownership.keepsFor(slot, 'b:1', 'b3'))
  membership.follow('b:1', 'leaving', 'b3')
  membership.follow('b:1', 'down', 'b3')
  membership.follow('b:1', 'up', 'b4')
  t.true(ownership.keepsFor(slot, 'b:1', 'b4'), 'a planned restart')
  membership.follow('b:1', 'down')
  membership.follow('b:1', 'up')
  t.false(ownership.keepsFor(slot, 'b:1', ''))
})

test('it keeps nothing for whoever gets the slot after that', async (t) => {
  const { clock, membership, ownership, moves } = nodeA()
  await clock.advance(1000)
  membership.follow('b:1', 'down')
  membership.follow('b:1', 'up', PROCESS)
  const slot = moves[1]!.lost.find((each) => membership.live().after(each, ['b:1']) === 'a:1')!
  t.true(ownership.keepsFor(slot, 'b:1', PROCESS))
  membership.follow('c:1', 'down')
  t.true(ownership.keepsFor(slot, 'b:1', PROCESS), 'nothing has changed for it')
  membership.update([{ ...membership.member('b:1')!, weight: 16 }])
  const { lost } = moves.at(-1)!
  membership.follow('b:1', 'leaving')
  t.false(ownership.keepsFor(lost[0]!, 'b:1', PROCESS))
  t.is(ownership.previousOwner(lost[0]!), 'b:1', 'it is to be asked as long as it is there')
})

test('who stood in is asked also when it leaves, and after it who comes next', async (t) => {
  const { clock, membership, ownership, own } = nodeA()
  await clock.advance(1000)
  const slot = own().find((each) => ownership.previousOwner(each) === 'b:1')!
  membership.follow('b:1', 'leaving')
  t.is(ownership.previousOwner(slot), 'b:1')
  membership.follow('b:1', 'down')
  t.is(ownership.previousOwner(slot), 'c:1')
})

test('who has forgotten all keeps nothing, and asks as if it had just begun', async (t) => {
  const { clock, membership, states, ownership, moves } = nodeA()
  await clock.advance(2 * WINDOW_MS)
  membership.follow('b:1', 'down')
  membership.follow('b:1', 'up', PROCESS)
  const slot = moves[1]!.lost[0]!
  await clock.advance(1)
  states.begin(clock.now(), true)
  t.false(ownership.keepsFor(slot, 'b:1', PROCESS))
  const own = SLOTS.find((each) => ownership.isOwn(each))!
  t.is(ownership.previousOwner(own), membership.live().after(own, ['a:1']))
  states.begin(clock.now(), false)
  t.is(ownership.previousOwner(own), null, 'it was cut off')
})

test('a change among others moves nothing here', (t) => {
  const clock = new VirtualClock()
  const membership = new Membership(parseMembers('a:1', 'b:1,c:1'), {
    ...{ clock, hash: (text) => h32(text), ping: () => {}, virtualNodes: 1 },
  })
  const ownership = new Ownership({
    membership,
    states: new SlotStates(),
    clock,
    windowMs: WINDOW_MS,
  })
  const moves: Move[] = []
  const end = ownership.onMove((move) => moves.push(move))
  for (const name of ['b:1', 'c:1']) membership.follow(name, 'down')
  const all = moves.flatMap(({ gained }) => gained)
  t.is(new Set(all).size, all.length)
  t.true(SLOTS.every((slot) => ownership.isOwn(slot)))
  end()
  membership.follow('b:1', 'up', PROCESS)
  t.true(moves.length <= 2)
})
