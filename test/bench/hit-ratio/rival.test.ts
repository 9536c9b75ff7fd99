import test from 'ava'
import { available, startMemcached, startRedis } from '../../process.ts'
import { mixedTrace } from '../policies/traces.ts'
import {
  batchFrom,
  type Dialect,
  memcachedCounter,
  memcachedText,
  replayOver,
  resp,
} from './rival.ts'

const replies: [name: string, dialect: Dialect, text: string, value: boolean][] = [
  ['RESP', resp, '+OK\r\n', false],
  ['RESP', resp, '$-1\r\n', false],
  ['RESP', resp, '$0\r\n\r\n', true],
  ['RESP', resp, '$5\r\na\r\nbc\r\n', true],
  ['memcached', memcachedText, 'STORED\r\n', false],
  ['memcached', memcachedText, 'END\r\n', false],
  ['memcached', memcachedText, 'VALUE key 0 5\r\nEND\r\n\r\nEND\r\n', true],
]
for (const [name, dialect, text, value] of replies) {
  test(`${name}: ${JSON.stringify(text)} is one reply, and no part of it is`, (t) => {
    t.deepEqual(dialect.reply(`+${text}+`, 1), { end: text.length + 1, value })
    for (let length = 0; length < text.length; length++) {
      t.is(dialect.reply(text.slice(0, length), 0).end, -1)
    }
  })
}

test('a refusal is an error', (t) => {
  t.throws(() => resp.reply('-OOM no memory\r\n', 0), { message: /-OOM no memory/ })
  t.throws(() => memcachedText.reply('SERVER_ERROR x\r\n', 0), { message: /SERVER_ERROR x/ })
})

test('a batch ends before a key that repeats, at 64 keys, and with the trace', (t) => {
  t.deepEqual(batchFrom([1, 2, 3, 2, 4], 0), [1, 2, 3])
  t.deepEqual(batchFrom([1, 2, 3, 2, 4], 3), [2, 4])
  const distinct = Array.from({ length: 100 }, (_, i) => i)
  t.is(batchFrom(distinct, 0).length, 64)
  t.is(batchFrom(distinct, 60).length, 40)
})

const trace = mixedTrace(3_000)
const everyRepeat = (100 * (trace.length - new Set(trace).size)) / trace.length

const redisTest = available('redis-server') ? test : test.skip
redisTest('a redis-server with room for all hits each repeated access', async (t) => {
  const server = await startRedis()
  t.is(await replayOver(server.port, resp, trace, 100), everyRepeat)
  await server.stop()
})

redisTest('a server that refuses to store ends the replay', async (t) => {
  const server = await startRedis({
    args: ['--maxmemory', '1', '--maxmemory-policy', 'noeviction'],
  })
  await t.throwsAsync(replayOver(server.port, resp, trace, 100), { message: /OOM/ })
  await server.stop()
})

const memcachedTest = available('memcached') ? test : test.skip
memcachedTest('a memcached with room for all hits each repeated access', async (t) => {
  const server = await startMemcached({ args: ['-m', '64'] })
  t.is(await replayOver(server.port, memcachedText, trace, 100), everyRepeat)
  t.is(await memcachedCounter(server.port, 'curr_items'), new Set(trace).size)
  await server.stop()
})
