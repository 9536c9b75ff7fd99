import test from 'ava'
import { Turns } from '../../server/turns.ts'

/** Time passes by work only: each look at the clock takes as long as the test says. */
function makeTurns(microsPerLook: number): { turns: Turns; runSoon: () => void } {
  let micros = 0
  const soon: (() => void)[] = []
  const clock = {
    micros: () => (micros += microsPerLook),
    soon: (run: () => void) => soon.push(run),
  }
  const runSoon = (): void => {
    for (const run of soon.splice(0)) run()
  }
  return { turns: new Turns(clock), runSoon }
}

test('what is done within a slice takes no further turn', (t) => {
  const { turns } = makeTurns(1)
  let steps = 0
  t.true(
    turns.slice(
      () => ++steps === 100,
      () => true,
    ),
  )
  t.is(steps, 100)
})

test('a slice ends when its time is over', (t) => {
  const { turns } = makeTurns(500)
  let steps = 0
  t.false(
    turns.slice(
      () => ++steps === 100,
      () => true,
    ),
  )
  t.is(steps, 4)
})

test('a slice ends when it may not go on, but never before its first step', (t) => {
  const { turns } = makeTurns(1)
  let steps = 0
  t.false(
    turns.slice(
      () => ++steps === 100,
      () => false,
    ),
  )
  t.is(steps, 1)
})

test('one turn is taken between two polls, one after the other', (t) => {
  const { turns, runSoon } = makeTurns(1)
  const taken: string[] = []
  const add = (name: string, count: number): void => {
    turns.add({ takeTurn: () => taken.push(name) > 0 && --count > 0 })
  }
  add('a', 3)
  add('b', 2)
  for (let i = 1; i <= 5; i++) {
    runSoon()
    t.is(taken.length, i)
  }
  t.deepEqual(taken, ['a', 'b', 'a', 'b', 'a'])
  runSoon()
  t.is(taken.length, 5)
})

test('who needs no turn for now comes back when it is added again', (t) => {
  const { turns, runSoon } = makeTurns(1)
  let taken = 0
  const turn = { takeTurn: () => ++taken < 0 }
  turns.add(turn)
  runSoon()
  runSoon()
  t.is(taken, 1)
  turns.add(turn)
  runSoon()
  t.is(taken, 2)
})

test('who takes a turn may add another, and each gets its own', (t) => {
  const { turns, runSoon } = makeTurns(1)
  const taken: string[] = []
  const second = { takeTurn: () => taken.push('second') < 3 }
  turns.add({
    takeTurn: () => {
      taken.push('first')
      turns.add(second)
      return false
    },
  })
  for (let turn = 1; turn <= 5; turn++) {
    runSoon()
    t.deepEqual(taken, ['first', 'second', 'second'].slice(0, turn))
  }
  turns.add(second)
  runSoon()
  t.is(taken.length, 4)
})
