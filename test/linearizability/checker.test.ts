import test from 'ava'
import { SeededRandom } from '../sim/random.ts'
import {
  findViolation,
  groupModel,
  IMPOSSIBLE,
  type KeyAction,
  keyModel,
  type KeyResult,
  type Operation,
} from './checker.ts'

type KeyOperation = Operation<KeyAction, KeyResult>

/** 'client action result calledAt returnedAt', one a line; '?' is no result, '-' is null. */
function history(text: string): KeyOperation[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [client, word, result, calledAt, returnedAt] = line.trim().split(/\s+/)
      const [name, value = ''] = word!.split('=')
      const action = (name === 'set' ? { name, value } : { name }) as KeyAction
      const isNumber = name === 'del' || name === 'incr'
      const heard = result === '-' ? null : isNumber ? Number(result) : result!
      const isLost = result === '?'
      return {
        client: Number(client),
        action,
        result: isLost ? undefined : heard,
        calledAt: Number(calledAt),
        returnedAt: isLost ? Infinity : Number(returnedAt),
      }
    })
}

const isRight = (text: string): boolean => findViolation(history(text), keyModel) === null

test('one client after the other', (t) => {
  t.true(
    isRight(`1 get - 0 1\n1 set=a OK 2 3\n2 get a 4 5\n1 del 1 6 7\n2 del 0 8 9\n1 get - 10 11`),
  )
  t.true(isRight(`1 incr 1 0 1\n2 incr 2 2 3\n1 get 2 4 5`))
})

test('operations that overlap may take effect in any order', (t) => {
  for (const seen of ['a', 'b']) {
    t.true(isRight(`1 set=a OK 0 10\n2 set=b OK 0 10\n3 get ${seen} 11 12`))
  }
  t.true(isRight(`1 set=a OK 0 10\n2 get - 1 2\n2 get a 3 4`))
  t.true(isRight(`1 incr 2 0 10\n2 incr 1 0 10`))
})

test('a stale read is found', (t) => {
  t.false(isRight(`1 set=a OK 0 1\n1 set=b OK 2 3\n2 get a 4 5`))
  // Once seen, it stays: the value cannot go back.
  t.false(isRight(`1 set=a OK 0 1\n1 set=b OK 2 20\n2 get b 3 4\n3 get a 5 6`))
  t.false(isRight(`1 set=a OK 0 1\n1 del 1 2 3\n2 get a 4 5`))
})

test('a lost increment is found', (t) => {
  t.false(isRight(`1 incr 1 0 10\n2 incr 1 0 10`))
  t.false(isRight(`1 incr 1 0 1\n2 incr 2 2 3\n3 get 1 4 5`))
})

test('a value that nobody wrote is found', (t) => {
  t.false(isRight(`1 set=a OK 0 1\n2 get x 2 3`))
  t.false(isRight(`1 get a 0 1\n2 set=a OK 2 3`))
})

test('a lost write is found, and so is a DEL that counts what was not there', (t) => {
  t.false(isRight(`1 set=a OK 0 1\n2 get - 2 3`))
  t.false(isRight(`1 del 1 0 1`))
})

test('what was never answered may have taken effect at any time, or not at all', (t) => {
  t.true(isRight(`1 set=a ? 0 0\n2 get - 1 2\n2 get - 3 4`))
  t.true(isRight(`1 set=a ? 0 0\n2 get - 1 2\n2 get a 3 4`))
  t.false(isRight(`1 set=a ? 0 0\n2 get a 1 2\n2 get - 3 4`))
})

test('a torn pair is found', (t) => {
  const model = groupModel(2)
  const write = (values: string[], calledAt: number): Operation<never, never> =>
    ({
      client: 1,
      action: { name: 'mset', values },
      result: 'OK',
      calledAt,
      returnedAt: calledAt + 5,
    }) as never
  const read = (values: string[], calledAt: number): Operation<never, never> =>
    ({
      client: 2,
      action: { name: 'mget' },
      result: values,
      calledAt,
      returnedAt: calledAt + 1,
    }) as never
  const writes = [write(['a', 'a'], 0), write(['b', 'b'], 10)]
  t.is(findViolation([...writes, read(['a', 'a'], 11), read(['b', 'b'], 13)], model), null)
  t.not(findViolation([...writes, read(['a', 'b'], 11)], model), null)
  t.not(findViolation([...writes, read(['b', 'b'], 11), read(['a', 'a'], 13)], model), null)
})

/** A history of clients of a real register: each operation takes effect at a moment of its own. */
function simulate(seed: number, operations: number): KeyOperation[] {
  const random = new SeededRandom(seed)
  const drawn = Array.from({ length: operations }, (_, i) => {
    const calledAt = Math.floor(i / 6) * 20 + random.below(10)
    const lasts = 1 + random.below(9)
    const at = calledAt + random.below(lasts * 1000) / 1000
    const kind = random.below(4)
    const action: KeyAction =
      kind === 0
        ? { name: 'set', value: String(random.below(1000)) }
        : { name: (['get', 'del', 'incr'] as const)[kind - 1]! }
    return { client: i % 6, action, calledAt, returnedAt: calledAt + lasts, at }
  })
  let state: string | null = null
  const results = new Map<object, KeyResult>()
  for (const operation of [...drawn].sort((a, b) => a.at - b.at)) {
    const { action } = operation
    const before: string | null = state
    const after = keyModel.step(before, action, undefined)
    if (after === IMPOSSIBLE) throw new Error('a register does anything')
    state = after
    if (action.name === 'get') results.set(operation, before)
    else if (action.name === 'set') results.set(operation, 'OK')
    else if (action.name === 'del') results.set(operation, before === null ? 0 : 1)
    else results.set(operation, Number(after))
  }
  return drawn.map((operation) => ({ ...operation, result: results.get(operation)! }))
}

test('right histories of six clients pass, however they overlap', (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    t.is(findViolation(simulate(seed, 600), keyModel), null, `seed ${seed}`)
  }
})

test('one wrong result among hundreds of right ones is found', (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    const right = simulate(seed, 600)
    const at = right.findIndex(({ action }, i) => i > 300 && action.name === 'get')
    const wrong = right.map((op, i) => (i === at ? { ...op, result: 'nobody wrote this' } : op))
    t.is(findViolation(wrong, keyModel), wrong[at]!, `seed ${seed}`)
  }
})
