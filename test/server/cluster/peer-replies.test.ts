/* What a node answers another one: whole replies behind their ids, whatever else is under way. */
import test from 'ava'
import { VirtualClock } from '../../sim/clock.ts'
import { startInProcess } from '../in-process.ts'
import { PeerClient } from './peer-client.ts'

const SECRET = 'a secret of this test'
const member = ['--cluster-self', '127.0.0.1:7001', '--cluster-peers', '127.0.0.1:7002']

/** Every step of a long command takes longer than a slice. */
class SlowClock extends VirtualClock {
  #micros = 0
  override micros(): number {
    return (this.#micros += 10_000)
  }
}

async function start(clock = new VirtualClock()) {
  const node = await startInProcess([...member, '--cluster-secret', SECRET], { clock })
  const peer = await PeerClient.open(node, '127.0.0.1:7002', SECRET)
  return { node, peer }
}

const bulk = (value: string): string => `$${value.length}\r\n${value}\r\n`

test('an MGET that takes turns is answered whole, and others meanwhile', async (t) => {
  const { node, peer } = await start(new SlowClock())
  const keys = Array.from({ length: 17_000 }, (_, i) => `k${i}`)
  await peer.say(peer.request(['MSET', 'k0', 'v0', 'k16999', 'v16999', 'short', 's']))
  const asked =
    peer.request(['MGET', ...keys]) +
    peer.request(['EXISTS', 'short', 'none']) +
    peer.request(['GET', 'short'])
  const replies = await peer.say(asked)
  const whole = `*17000\r\n${bulk('v0')}${'$-1\r\n'.repeat(16_998)}${bulk('v16999')}`
  t.is(replies, `@3\r\n:1\r\n@4\r\n${bulk('s')}@2\r\n${whole}`)
  node.server.shutdown()
})

test('a reply longer than the area for replies stays together', async (t) => {
  const { node, peer } = await start()
  const value = 'x'.repeat(60_000)
  const keys = Array.from({ length: 20 }, (_, i) => `long${i}`)
  for (const key of keys) await peer.say(peer.request(['SET', key, value]))
  const ids = [21, 22, 23, 24]
  const asked =
    peer.request(['GET', 'long0']) +
    peer.request(['MGET', ...keys, 'none']) +
    peer.request(['EXISTS', 'long1', 'none']) +
    peer.request(['GET', 'long2'])
  const replies = await peer.say(asked)
  const parts = [bulk(value), `*21\r\n${bulk(value).repeat(20)}$-1\r\n`, ':1\r\n', bulk(value)].map(
    (reply, i) => `@${ids[i]}\r\n${reply}`,
  )
  // Whole ones come in any order.
  for (const part of parts) t.is(replies.split(part).length, 2)
  t.is(replies.length, parts.join('').length)
  node.server.shutdown()
})

test('a value in pages stays together with its line end', async (t) => {
  const { node, peer } = await start()
  const value = 'y'.repeat(200_000)
  await peer.say(peer.request(['SET', 'paged', value]))
  const asked =
    peer.request(['GET', 'paged']) +
    peer.request(['CLUSTER', 'COUNTKEYSINSLOT', '1']) +
    peer.request(['GET', 'none'])
  const replies = await peer.say(asked)
  t.true(replies.includes(`@2\r\n${bulk(value)}`))
  t.true(replies.includes('@3\r\n:0\r\n'))
  t.true(replies.includes('@4\r\n$-1\r\n'))
  node.server.shutdown()
})

test('what is left of an MGET because the other node does not read has no other reply in it', async (t) => {
  const { node, peer } = await start()
  const value = 'z'.repeat(60_000)
  await peer.say(peer.request(['SET', 'big', value]))
  const keys = Array.from({ length: 300 }, () => 'big')
  const long = `*301\r\n${bulk(value).repeat(300)}$-1\r\n`
  const replies: string[] = []
  const asked: string[] = []
  let id = 1
  for (let i = 0; i < 3; i++) {
    asked.push(peer.request(['EXISTS', 'big', 'big', 'none']))
    asked.push(peer.request(['MGET', ...keys, 'none']))
    asked.push(peer.request(['DEL', 'none', `none${i}`]))
    for (const reply of [':2\r\n', long, ':0\r\n']) replies.push(`@${++id}\r\n${reply}`)
  }
  peer.stream.pause()
  await peer.say(asked.join(''))
  peer.stream.resume()
  const came = await peer.say('')
  for (const reply of replies) t.is(came.split(reply).length, 2, reply.slice(0, 20))
  t.is(came.length, replies.join('').length)
  node.server.shutdown()
})
