import test from 'ava'
import type { Reply } from '../../../protocol/reply.ts'
import { LateReplies } from '../../../server/copies/late-replies.ts'
import type { Slot } from '../../../server/clients/slot.ts'
import { VirtualClock } from '../../sim/clock.ts'

const ANSWER_MS = 1000

function slotOf(lines: string[]): Slot & { settled: boolean } {
  const slot = {
    settled: false,
    settle: (write: (reply: Reply) => void) => {
      slot.settled = true
      write({ error: (line: string) => lines.push(line) } as unknown as Reply)
    },
  }
  return slot as unknown as Slot & { settled: boolean }
}

test('who waits for a copy for a second is told so, and who was answered is not', async (t) => {
  const clock = new VirtualClock()
  const late = new LateReplies(clock)
  const lines: string[][] = [[], [], []]
  const slots = lines.map(slotOf)
  late.add(slots[0]!)
  late.add(slots[1]!)
  await clock.advance(400)
  late.add(slots[2]!)
  slots[0]!.settled = true
  await clock.advance(ANSWER_MS - 401)
  t.deepEqual(lines, [[], [], []])
  await clock.advance(1)
  t.deepEqual(
    lines.map(({ length }) => length),
    [0, 1, 0],
  )
  t.regex(lines[1]![0]!, /not copied/)
  await clock.advance(400)
  t.is(lines[2]!.length, 1)
  t.is(clock.timers, 0)
})

test('very many of them are told, and forgotten', async (t) => {
  const clock = new VirtualClock()
  const late = new LateReplies(clock)
  const lines: string[] = []
  for (let i = 0; i < 5000; i++) {
    late.add(slotOf(lines))
    if (i % 100 === 0) await clock.advance(1)
  }
  await clock.advance(ANSWER_MS)
  t.is(lines.length, 5000)
  t.is(clock.timers, 0)
})
