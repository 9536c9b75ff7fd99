import test from 'ava'
import { Doubt } from '../../../cluster/ownership/doubt.ts'
import { VirtualClock } from '../../sim/clock.ts'

/** A node beside b and c, which answer what the test says, or nothing. */
function node(others = ['b', 'c']) {
  const clock = new VirtualClock()
  const log: string[] = []
  const answers = new Map<string, boolean>()
  const state = { canForget: true }
  const waiting: (() => boolean)[] = []
  const forget = (): boolean => {
    if (state.canForget) log.push('forget')
    return state.canForget
  }
  const doubt = new Doubt({
    clock,
    rejoinMs: () => 600,
    others: () => others,
    ask: (name, timeoutMs, done) => {
      log.push(`ask ${name}`)
      const answer = answers.get(name)
      clock.after(answer === undefined ? timeoutMs : 1, () => done(answer ?? null))
    },
    hold: () => void log.push('hold'),
    over: () => void log.push('over'),
    forget,
    repeat: (attempt) => {
      if (!attempt()) waiting.push(attempt)
    },
    rejoined: (name) => void log.push(`${name} is back`),
    cut: (name) => void log.push(`cut ${name}`),
  })
  const take = (): string => log.splice(0).join(', ')
  return { clock, doubt, answers, state, waiting, take }
}

test('when all others had this node in their rings it keeps what it has', async (t) => {
  const { clock, doubt, answers, take } = node()
  answers.set('b', true).set('c', true)
  doubt.raise()
  t.true(doubt.isRaised)
  t.is(take(), 'hold, ask b, ask c')
  await clock.advance(1)
  t.is(take(), 'over')
  t.false(doubt.isRaised)
  t.deepEqual([doubt.raised, doubt.forgotten], [1, 0])
  t.is(clock.timers, 0)
})

test('who had it down tells it to rejoin, for which it waits; it forgets once for all', async (t) => {
  const { clock, doubt, answers, take } = node()
  answers.set('b', false).set('c', false)
  doubt.raise()
  await clock.advance(2)
  t.is(take(), 'hold, ask b, ask c, cut b, cut c')
  t.true(doubt.rejoin('b'))
  t.is(take(), 'forget, cut b, b is back')
  t.true(doubt.isRaised)
  t.true(doubt.rejoin('c'))
  t.is(take(), 'cut c, c is back, over')
  t.is(doubt.forgotten, 1)
  t.is(clock.timers, 0)
})

test('who said that it is down and then is silent is not waited for any longer than that', async (t) => {
  const { clock, doubt, answers, take } = node()
  answers.set('b', false).set('c', true)
  doubt.raise()
  await clock.advance(599)
  t.is(take(), 'hold, ask b, ask c, cut b')
  await clock.advance(1)
  t.is(take(), 'forget, over')
})

test('a node that hears nothing of another may have been down for it', async (t) => {
  const { clock, doubt, answers, take } = node()
  answers.set('b', true)
  doubt.raise()
  await clock.advance(299)
  t.is(take(), 'hold, ask b, ask c')
  await clock.advance(1)
  t.is(take(), 'cut c, forget, over')
})

test('told to rejoin without having noticed anything, it asks the others, not the one that told it', async (t) => {
  const { clock, doubt, answers, take } = node()
  answers.set('c', true)
  t.true(doubt.rejoin('b'))
  t.is(take(), 'hold, ask c, forget, cut b, b is back')
  await clock.advance(1)
  t.is(take(), 'over')
})

test('alone with the one that tells it to rejoin it is over at once', (t) => {
  const { doubt, take } = node(['b'])
  t.true(doubt.rejoin('b'))
  t.is(take(), 'hold, forget, cut b, b is back, over')
})

test('with nobody to ask it is over soon', async (t) => {
  const { clock, doubt, take } = node([])
  doubt.raise()
  t.is(take(), 'hold')
  await clock.settle()
  t.is(take(), 'over')
})

test('nobody counts on it before it has forgotten, and no key is answered for', async (t) => {
  const { clock, doubt, answers, state, waiting, take } = node()
  answers.set('c', true)
  state.canForget = false
  t.false(doubt.rejoin('b'))
  await clock.advance(200)
  t.false(doubt.rejoin('b'))
  await clock.advance(700)
  t.true(doubt.isRaised)
  t.is(take(), 'hold, ask c')
  state.canForget = true
  t.true(waiting.length === 1 && waiting[0]!())
  t.is(take(), 'forget, over')
  t.true(doubt.rejoin('b'), 'it says so in a doubt of its own')
  t.is(doubt.forgotten, 2)
})

test('when it stood still again it asks again, and old answers count no more', async (t) => {
  const { clock, doubt, answers, take } = node()
  doubt.raise()
  await clock.advance(100)
  answers.set('b', true).set('c', true)
  doubt.raise()
  t.is(take(), 'hold, ask b, ask c, hold, ask b, ask c')
  await clock.advance(1)
  t.is(take(), 'over')
  await clock.advance(1000)
  t.is(take(), '')
  t.is(doubt.raised, 1)
})

test('who stands still again and again is not in doubt for ever', async (t) => {
  const { clock, doubt, answers, take } = node()
  answers.set('b', false).set('c', true)
  doubt.raise()
  await clock.advance(500)
  doubt.raise()
  t.is(take(), 'hold, ask b, ask c, cut b, hold')
  await clock.advance(100)
  t.is(take(), 'forget, over')
})

test('a node that ends leaves no timer', (t) => {
  const { clock, doubt } = node()
  doubt.raise()
  doubt.stop()
  t.false(doubt.isRaised)
  // Those of the questions are the peers'.
  t.is(clock.timers, 2)
})
