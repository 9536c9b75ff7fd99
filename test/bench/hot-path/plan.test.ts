import test from 'ava'
import { planCases } from './plan.ts'
import { KEYS, MANY_KEYS } from './requests.ts'

test('a whole run has 46 cases, each once', (t) => {
  const cases = planCases({ quick: false })
  t.is(cases.length, 3 * 4 * 3 + 2 * 3 + 2 * 2)
  t.is(new Set(cases.map((one) => JSON.stringify(one))).size, cases.length)
  t.is(cases.filter(({ connections }) => connections === 1000).length, 6)
  t.deepEqual(
    [...new Set(cases.filter(({ keys }) => keys === MANY_KEYS).map(({ pipeline }) => pipeline))],
    [16, 100],
  )
})

test('a quick run has values of 100 bytes, 50 connections and few keys', (t) => {
  const cases = planCases({ quick: true })
  t.is(cases.length, 9)
  t.true(
    cases.every(({ bytes, connections, keys }) => {
      return bytes === 100 && connections === 50 && keys === KEYS
    }),
  )
})

test('what is asked for is all that is run', (t) => {
  const asked = {
    commands: ['get'],
    sizes: [7],
    pipelines: [5],
    connections: [2],
    keys: [9],
  } as const
  const expected = [{ command: 'get', bytes: 7, pipeline: 5, connections: 2, keys: 9 }]
  t.deepEqual<unknown, unknown>(planCases({ quick: false, ...asked }), expected)
  t.deepEqual<unknown, unknown>(planCases({ quick: true, ...asked }), expected)
})

test('the keys are set once for each size', (t) => {
  const filled = planCases({ quick: false, keys: [20, 10], sizes: [100, 3] }).map(
    ({ keys, bytes }) => `${keys} of ${bytes}`,
  )
  const changes = filled.filter((one, i) => one !== filled[i - 1])
  t.deepEqual(changes, ['10 of 3', '10 of 100', '20 of 3', '20 of 100'])
})
