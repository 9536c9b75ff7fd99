import test from 'ava'
import { CopyStream } from '../../../cluster/copies/stream.ts'
import type { PeerDone, PeerOutcome } from '../../../cluster/peers/peer.ts'
import { PeerError, type PeerValue } from '../../../cluster/peers/replies.ts'
import { keySlot, SLOT_COUNT } from '../../../cluster/slots.ts'
import { VirtualClock } from '../../sim/clock.ts'

const LASTS_MS = 1800
const NOT_YET = 'ERR not yet'

interface Asked {
  readonly words: readonly string[]
  answer(value: PeerValue, outcome?: PeerOutcome): void
}

function slotsOf(...keys: readonly string[]): Uint8Array {
  const set = new Uint8Array(SLOT_COUNT / 8)
  for (const key of keys) {
    const slot = keySlot(Buffer.from(key), 0, key.length)
    set[slot >> 3]! |= 1 << (slot & 7)
  }
  return set
}

/** A stream to a node that answers when it is told to. */
function streaming(isDegraded = false) {
  const clock = new VirtualClock()
  const values = new Map<string, string>()
  const asked: Asked[] = []
  const opened: Uint8Array[] = []
  const degraded: boolean[] = []
  const links = { now: 1 }
  let names = 0
  const request = (args: readonly Buffer[], _: unknown, done: PeerDone): void => {
    const words = args.map((word) => (word.length === SLOT_COUNT / 8 ? 'SET' : word.toString()))
    asked.push({ words, answer: (value, outcome = 'reply') => done(outcome, value, false) })
  }
  const stream = new CopyStream(
    {
      ...{
        clock,
        peer: { request },
        link: () => links.now,
        lastsMs: LASTS_MS,
        notYet: NOT_YET,
        isFresh: true,
      },
      name: () => `stream ${++names}`,
      read: (key) => {
        const value = values.get(key.toString())
        return value === undefined ? null : { line: '{}', value: Buffer.from(value) }
      },
      onOpen: (slots) => opened.push(slots),
      onRoom: () => {},
      onDegraded: (is) => degraded.push(is),
    },
    isDegraded,
  )
  /** What was asked since. */
  const take = async (): Promise<Asked[]> => {
    await clock.settle()
    return asked.splice(0)
  }
  const told: string[] = []
  const change = (key: string, value: string | null): void => {
    if (value === null) values.delete(key)
    else values.set(key, value)
    stream.changed(Buffer.from(key), () => told.push(key))
  }
  return { clock, links, stream, take, change, told, opened, degraded }
}

async function open(s: ReturnType<typeof streaming>, ...keys: readonly string[]): Promise<void> {
  s.stream.setSlots(slotsOf(...keys))
  const [first] = await s.take()
  first!.answer(1)
  await s.take()
}

test('a key is read when it is sent, and all who wait for it are told when it was taken in', async (t) => {
  const s = streaming()
  s.stream.setSlots(slotsOf('a', 'b'))
  s.change('a', '1')
  const [opening] = await s.take()
  t.deepEqual(opening!.words, ['PEER', 'COPIES', 'OPEN', 'stream 1', '0', '1800', '1', 'SET'])
  s.change('a', '2')
  s.change('b', null)
  t.deepEqual(await s.take(), [])
  opening!.answer(7)
  t.is(s.opened.length, 1)
  const [copy, more] = await s.take()
  t.deepEqual(copy!.words, ['PEER', 'COPY', 'stream 1', '7', 'a', '{}', '2', 'b', '', ''])
  t.is(more, undefined)
  t.deepEqual(s.told, [])
  copy!.answer(8)
  t.deepEqual(s.told, ['a', 'a', 'b'])
})

test('nothing is sent behind an invalidation before that was taken in', async (t) => {
  const s = streaming()
  await open(s, 'a')
  s.stream.note('TAG', [Buffer.from('5')])
  s.change('a', '1')
  let noted = 0
  s.stream.whenNoted(() => noted++)
  const [tag, none] = await s.take()
  t.deepEqual(tag!.words, ['PEER', 'COPIES', 'TAG', 'stream 1', '1', '5'])
  t.is(none, undefined)
  tag!.answer(new PeerError(NOT_YET))
  t.deepEqual(await s.take(), [])
  await s.clock.advance(10)
  const [again] = await s.take()
  t.is(again!.words[2], 'TAG')
  t.is(noted, 0)
  again!.answer(2)
  t.is(noted, 1)
  t.is((await s.take())[0]!.words[1], 'COPY')
})

test('where it is not certain what was taken in it begins anew, and who waits goes on waiting', async (t) => {
  for (const outcome of ['lost', 'reply'] as const) {
    const s = streaming()
    await open(s, 'a')
    s.change('a', '1')
    const [copy] = await s.take()
    copy!.answer(outcome === 'reply' ? new PeerError('ERR no such stream') : null, outcome)
    await s.clock.advance(10)
    const [anew, none] = await s.take()
    t.deepEqual(anew!.words.slice(2, 5), ['OPEN', 'stream 2', '0'], outcome)
    t.is(none, undefined)
    t.deepEqual(s.told, [])
    anew!.answer(1)
    const [sent] = await s.take()
    t.deepEqual(sent!.words.slice(1, 5), ['COPY', 'stream 2', '1', 'a'])
    sent!.answer(2)
    t.deepEqual(s.told, ['a'])
    // What comes late of the old one changes nothing.
    copy!.answer(3)
    t.deepEqual(s.told, ['a'])
  }
})

test('what was not answered is sent again in the same stream, as long as it is the same link', async (t) => {
  for (const outcome of ['unreachable', 'busy', 'silent', 'deadline'] as const) {
    const s = streaming()
    await open(s, 'a')
    s.change('a', '1')
    const [copy] = await s.take()
    copy!.answer(null, outcome)
    await s.clock.advance(10)
    const [again] = await s.take()
    t.deepEqual(again!.words.slice(1, 5), ['COPY', 'stream 1', '1', 'a'])
    again!.answer(null, outcome)
    s.links.now = 2
    await s.clock.advance(20)
    const wasSent = outcome === 'silent' || outcome === 'deadline'
    const [anew] = await s.take()
    t.deepEqual(anew!.words.slice(2, 4), wasSent ? ['OPEN', 'stream 2'] : ['stream 1', '1'])
    if (!wasSent) continue
    anew!.answer(1)
    await s.clock.advance(100)
    const [sent] = await s.take()
    sent!.answer(2)
    t.deepEqual(s.told, ['a'])
  }
})

test('an answer to a later message says that the one before was taken in', async (t) => {
  const s = streaming()
  await open(s, 'a')
  s.change('a', '1')
  const [copy] = await s.take()
  copy!.answer(null, 'silent')
  await s.clock.advance(10)
  const [again] = await s.take()
  again!.answer(2)
  s.links.now = 2
  s.change('a', '2')
  t.deepEqual((await s.take())[0]!.words.slice(1, 4), ['COPY', 'stream 1', '2'])
})

test('nobody waits for longer than the other node trusts what it has', async (t) => {
  const s = streaming()
  await open(s, 'a')
  await s.clock.advance(100)
  s.change('a', '1')
  await s.take()
  await s.clock.advance(LASTS_MS - 101)
  s.stream.tick()
  await s.clock.settle()
  t.deepEqual(s.told, [])
  await s.clock.advance(1)
  s.stream.tick()
  await s.clock.settle()
  t.deepEqual(s.told, ['a'])
  t.deepEqual(s.degraded, [true])
  s.change('a', '2')
  t.deepEqual(s.told, ['a', 'a'])
  // Under another name it is counted on again.
  await s.clock.advance(300)
  const [anew] = await s.take()
  t.deepEqual(anew!.words.slice(2, 4), ['OPEN', 'stream 2'])
  anew!.answer(1)
  t.deepEqual(s.degraded, [true, false])
  s.change('a', '3')
  const [copy] = await s.take()
  t.deepEqual(copy!.words.slice(2, 7), ['stream 2', '1', 'a', '{}', '3'])
  t.deepEqual(s.told, ['a', 'a'])
})

test('a sign of life is sent when there is nothing else, and counts as an answer', async (t) => {
  const s = streaming()
  await open(s, 'a')
  for (let i = 0; i < 30; i++) {
    await s.clock.advance(100)
    s.stream.tick()
    const [beat, none] = await s.take()
    t.deepEqual(beat!.words, ['PEER', 'COPIES', 'BEAT', 'stream 1', String(i + 1)])
    t.is(none, undefined)
    beat!.answer(i + 2)
  }
  t.deepEqual(s.degraded, [])
})

test('slots come and go; a key whose slot has gone is waited for by nobody', async (t) => {
  const s = streaming()
  await open(s, 'a')
  s.stream.setSlots(slotsOf('b'))
  s.change('a', '1')
  s.change('b', '1')
  for (const verb of ['CLOSE', 'OPEN']) {
    const [note, none] = await s.take()
    t.is(note!.words[2], verb)
    t.is(none, undefined)
    note!.answer(2)
  }
  const [copy] = await s.take()
  t.deepEqual(copy!.words.slice(4), ['b', '{}', '1'])
  t.deepEqual(s.told, ['a'])
  t.deepEqual(s.opened[1], slotsOf('b'))
})

test('when it ends those who wait are handed back, wherever their keys are', async (t) => {
  const s = streaming()
  await open(s, 'a', 'b')
  s.change('a', '1')
  const [copy] = await s.take()
  s.change('b', '1')
  const left = s.stream.end()
  t.deepEqual(
    left.map(({ key }) => key.toString()),
    ['a', 'b'],
  )
  copy!.answer(2)
  t.deepEqual(s.told, [])
  t.is(s.clock.timers, 0)
})

test('what is to be said to a node that does not answer is not kept for it', async (t) => {
  const s = streaming(true)
  s.stream.setSlots(slotsOf('a'))
  const [opening] = await s.take()
  for (let i = 0; i < 1000; i++) {
    s.stream.note('TAG', [Buffer.from(String(i))])
    s.stream.reopen(() => s.told.push('flushed'))
    s.stream.setSlots(i % 2 === 0 ? slotsOf('b') : slotsOf('a', 'b'))
  }
  opening!.answer(1)
  const words: string[] = []
  for (let i = 0; i < 20; i++) {
    await s.clock.advance(200)
    for (const asked of await s.take()) {
      words.push(asked.words[2]!)
      asked.answer(1)
    }
  }
  t.deepEqual(words, ['OPEN'])
  t.is(s.told.length, 1000)
  t.deepEqual(s.opened, [slotsOf('a', 'b')])
  t.deepEqual(s.degraded, [false])
})

test('a stream that begins degraded keeps nobody waiting before it is open', async (t) => {
  const s = streaming(true)
  s.stream.setSlots(slotsOf('a'))
  s.change('a', '1')
  t.deepEqual(s.told, ['a'])
  const [opening] = await s.take()
  opening!.answer(1)
  s.change('a', '2')
  t.deepEqual(s.told, ['a'])
  t.deepEqual(s.degraded, [false])
})
