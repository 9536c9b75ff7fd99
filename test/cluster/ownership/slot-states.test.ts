import test from 'ava'
import { SlotStates } from '../../../cluster/ownership/slot-states.ts'

/** A slot that this node does not own, seen by two threads. */
function foreign(): { hub: SlotStates; worker: SlotStates } {
  const hub = new SlotStates()
  hub.set(7, false)
  return { hub, worker: new SlotStates(hub.shared) }
}

test("until a cluster says otherwise all slots are this node's own", (t) => {
  const states = new SlotStates()
  t.is(states.of(0), 'own')
  t.is(states.of(16_383), 'own')
  t.false(states.visit(16_383))
  t.is(states.of(16_383), 'own')
})

test('what visits leave is seen by visits for a while, and then by nobody', (t) => {
  const { hub, worker } = foreign()
  t.false(worker.visit(7))
  t.is(hub.of(7), 'visited')
  t.false(worker.visit(7))
  hub.settle(7, false)
  t.is(hub.of(7), 'visited')
  hub.settle(7, true)
  t.true(hub.hidesSome(7))
  t.true(worker.visit(7), 'what was there must go first')
  t.true(worker.visit(7))
})

test('a slot is not called clean while somebody is at it', (t) => {
  const { hub, worker } = foreign()
  hub.gain(7)
  hub.lose(7)
  t.true(worker.visit(7))
  t.is(hub.of(7), 'disturbed')
  hub.clean(7)
  t.is(hub.of(7), 'disturbed')
  hub.settle(7, false)
  t.is(hub.of(7), 'stale')
  hub.clean(7)
  t.is(hub.of(7), 'clean')
  t.false(worker.visit(7))
})

test("a slot that is gained is this node's own, whatever it was", (t) => {
  const { hub, worker } = foreign()
  worker.visit(7)
  hub.gain(7)
  t.is(worker.of(7), 'own')
  hub.settle(7, true)
  t.is(worker.of(7), 'own')
})

test('threads share since when this node has what it has', (t) => {
  const { hub, worker } = foreign()
  hub.begin(1_700_000_000_000.5, true)
  t.is(worker.begunAt, 1_700_000_000_000.5)
  t.true(worker.wasReplaced)
  hub.begin(1_700_000_000_001, false)
  t.false(worker.wasReplaced)
})
