import test from 'ava'
import { keySlot, SLOT_COUNT } from '../../cluster/slots.ts'
import { available, freePort, startRedis } from '../process.ts'
import { RawClient } from '../raw.ts'
import { SeededRandom } from '../sim/random.ts'

function slotOf(key: string | Buffer): number {
  const bytes = Buffer.from(key)
  return keySlot(bytes, 0, bytes.length)
}

test('the slot of the specification’s example is 12739', (t) => {
  t.is(slotOf('123456789'), 0x31c3)
})

test('the hash tag alone decides where there is one', (t) => {
  t.is(slotOf('{user1000}.following'), slotOf('{user1000}.followers'))
  t.is(slotOf('foo{bar}{zap}'), slotOf('bar'))
  t.is(slotOf('foo{{bar}}zap'), slotOf('{bar'))
  t.is(slotOf('x}{bar}'), slotOf('bar'))
})

test('an empty or unclosed tag is no tag', (t) => {
  t.not(slotOf('foo{}{bar}'), slotOf('bar'))
  t.not(slotOf('foo{bar'), slotOf('bar'))
  t.is(slotOf(''), 0)
})

test('only the bytes of the key are read', (t) => {
  const bytes = Buffer.from('}{zz}123456789{a}')
  t.is(keySlot(bytes, 5, 9), 0x31c3)
  t.is(keySlot(bytes, 2, 2), slotOf('zz'), 'an open brace before and a closing one behind it')
})

const withRedis = available('redis-server') ? test : test.skip

withRedis('every key has the slot that redis-server gives it', async (t) => {
  const random = new SeededRandom(16384)
  const braces = ['{', '}', 'a', 'b']
  const tagged = () => Array.from({ length: random.below(12) }, () => random.pick(braces)).join('')
  const keys: Buffer[] = ['', '{', '}', '{}', '}{', '{a}{b}', '{{a}}', '{\0}'].map((key) =>
    Buffer.from(key),
  )
  for (let i = 0; i < 3000; i++) keys.push(random.bytes(random.below(40)), Buffer.from(tagged()))
  const busPort = String(await freePort())
  const redis = await startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-port', busPort] })
  t.teardown(() => redis.stop())
  const client = await RawClient.open(redis.port)
  const replies = await Promise.all(keys.map((key) => client.command('CLUSTER', 'KEYSLOT', key)))
  client.close()
  const ours = keys.map(slotOf)
  t.deepEqual(
    ours.map((slot) => `:${slot}\r\n`),
    replies,
  )
  t.true(ours.every((slot) => slot < SLOT_COUNT))
  t.true(new Set(ours).size > 2500)
})
