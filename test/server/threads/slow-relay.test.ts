import test from 'ava'
import type { SlowCommand } from '../../../server/slow-log.ts'
import { SlowRelay } from '../../../server/threads/slow-relay.ts'

const slow = (micros: number): SlowCommand => ({
  ...{ seconds: 0, micros, args: [Buffer.from('GET')], address: '', clientName: '' },
})

test('one message is under way at a time, and meanwhile the newest wait', (t) => {
  const sent: [micros: number[], skipped: number][] = []
  const relay = new SlowRelay(
    () => 3,
    (commands, skipped) => sent.push([commands.map(({ micros }) => micros), skipped]),
  )
  for (let micros = 0; micros < 10; micros++) relay.add(slow(micros))
  t.deepEqual(sent, [[[0], 0]])
  relay.heard()
  t.deepEqual(sent[1], [[7, 8, 9], 6])
  relay.heard()
  t.is(sent.length, 2)
  relay.add(slow(10))
  t.deepEqual(sent[2], [[10], 0])
})

test('what waits goes at once before a command does, and is one message more under way', (t) => {
  const sent: number[][] = []
  const relay = new SlowRelay(
    () => 3,
    (commands) => sent.push(commands.map(({ micros }) => micros)),
  )
  relay.add(slow(1))
  relay.add(slow(2))
  relay.flush()
  relay.flush()
  t.deepEqual(sent, [[1], [2]])
  relay.add(slow(3))
  relay.heard()
  t.is(sent.length, 2)
  relay.heard()
  t.deepEqual(sent[2], [3])
})

test('arguments are sent in bytes of their own', (t) => {
  const large = Buffer.from('....GET....')
  const relay = new SlowRelay(
    () => 1,
    ([command]) => t.is(command!.args[0]!.buffer.byteLength, 3),
  )
  t.plan(1)
  relay.add({ ...slow(1), args: [large.subarray(4, 7)] })
})

test('where the log keeps none, ids are counted all the same', (t) => {
  let count = 0
  const relay = new SlowRelay(
    () => 0,
    (commands, skipped) => {
      t.is(commands.length, 0)
      count += skipped
    },
  )
  for (let i = 0; i < 5; i++) relay.add(slow(i))
  relay.heard()
  relay.add(slow(6))
  relay.heard()
  t.is(count, 6)
})
