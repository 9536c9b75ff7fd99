import test from 'ava'
import { Givers } from '../../../cluster/ownership/givers.ts'
import { VirtualClock } from '../../sim/clock.ts'

function givers() {
  const clock = new VirtualClock()
  const log: string[] = []
  const answers = new Map<string, boolean | null>()
  let answersAt = (answer: () => void): void => answer()
  const all = new Givers({
    clock,
    ask: (name, done) => {
      log.push(name)
      answersAt(() => done(answers.get(name) ?? null))
    },
    onNone: (name) => log.push(`${name} has nothing`),
  })
  const take = (): string => log.splice(0).join(', ')
  const late = (answer: typeof answersAt): void => {
    answersAt = answer
  }
  return { clock, all, answers, take, late }
}

test('each is asked until it knows whether it keeps anything', async (t) => {
  const { clock, all, answers, take } = givers()
  all.expect(['a', 'b'])
  t.is(take(), '')
  await clock.advance(1000)
  t.is(take(), 'a, b, a, b')
  answers.set('a', false).set('b', true)
  await clock.advance(500)
  t.is(take(), 'a, a has nothing, b')
  await clock.advance(500)
  t.is(take(), '')
  t.is(clock.timers, 0)
  all.expect(['b'])
  await clock.advance(500)
  t.is(take(), 'b', 'it may have got something since')
  all.expect(['a'])
  all.stop()
  t.is(clock.timers, 0)
})

test('what was answered to an older question says nothing of what came since', async (t) => {
  const { clock, all, answers, take, late } = givers()
  answers.set('a', false)
  const held: (() => void)[] = []
  late((answer) => void held.push(answer))
  all.expect(['a'])
  await clock.advance(500)
  all.expect(['a'])
  for (const answer of held) answer()
  t.is(take(), 'a')
  late((answer) => answer())
  await clock.advance(500)
  t.is(take(), 'a, a has nothing')
})

test('after three silences in a row a node is not asked for a second, and then at once after one', async (t) => {
  const { clock, all } = givers()
  for (const waitedMs of [300, 300, 5]) all.heard('a', false, waitedMs)
  t.true(all.mayAsk('a'), 'one that could not be reached has cost nothing')
  all.heard('a', true, 1)
  for (const waitedMs of [300, 300]) all.heard('a', false, waitedMs)
  t.true(all.mayAsk('a'))
  all.heard('a', false, 300)
  t.false(all.mayAsk('a'))
  t.true(all.mayAsk('b'))
  await clock.advance(999)
  t.false(all.mayAsk('a'))
  await clock.advance(1)
  t.true(all.mayAsk('a'))
  all.heard('a', false, 300)
  t.false(all.mayAsk('a'))
  all.heard('a', true, 300)
  t.true(all.mayAsk('a'))
})
