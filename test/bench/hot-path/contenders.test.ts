import test from 'ava'
import { available } from '../../process.ts'
import { findContenders } from './contenders.ts'

const NODE = process.execPath
const testWithRedis = available('redis-server') ? test : test.skip

test('without redis-server there is nothing to compare with', async (t) => {
  await t.throwsAsync(
    findContenders({ kinds: ['ringtier'], nodes: [NODE], threads: [1] }, (reason) =>
      t.fail(reason),
    ),
    { message: /redis-server is needed/ },
  )
})

testWithRedis('two that would have one name are refused', async (t) => {
  const choice = { kinds: ['ringtier', 'redis-server'], nodes: [NODE, NODE], threads: [1] } as const
  await t.throwsAsync(
    findContenders(choice, () => {}),
    { message: /two of the same/ },
  )
})

testWithRedis('a ringtier of several threads runs on as many, or is left out', async (t) => {
  const reasons: string[] = []
  const choice = { kinds: ['ringtier', 'redis-server'], nodes: [NODE], threads: [1, 2] } as const
  const found = await findContenders(choice, (reason) => reasons.push(reason))
  const threads = found.map((one) => one.threads)
  if (reasons.length === 0) t.deepEqual(threads, [1, 2, undefined])
  else {
    t.deepEqual(threads, [1, undefined])
    t.regex(reasons.join(), /^ringtier 2 threads, Node \d+ is left out: INFO says/)
  }
})
