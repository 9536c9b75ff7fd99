import test from 'ava'
import { type InProcessCluster, startCluster } from '../in-process.ts'

const COUNT = 20_000
const names = Array.from({ length: COUNT }, (_, i) => `key:${i}`)
const bulk = (value: string): string => `$${value.length}\r\n${value}\r\n`

/** The reply to a long command, that to the one behind it, and who was answered when: another client too. */
async function race({ nodes, settle }: InProcessCluster, words: string[], protocol = '2') {
  const [long, other] = [nodes[0]!.connect(), nodes[0]!.connect()]
  const greeted = long.command('HELLO', protocol)
  await settle()
  await greeted
  const order: string[] = []
  const note = (who: string) => (bytes: string) => {
    order.push(who)
    return bytes
  }
  const replies = Promise.all([
    long.send(words).then(note('long')),
    long.command('ECHO', 'behind').then(note('behind')),
    other.command('PING').then(note('other')),
  ])
  while (order.length < 3) await settle()
  const [reply, behind] = await replies
  long.close()
  other.close()
  return { reply, behind, order: order.join(' ') }
}

test('commands of very many keys over two nodes let others in, and are answered whole', async (t) => {
  const cluster = await startCluster(2, ['--maxmemory', '64mb'])
  const set = await race(cluster, ['MSET', ...names.flatMap((name, i) => [name, `v${i}`])])
  t.is(set.reply, '+OK\r\n')
  t.is(set.order, 'other long behind')
  const values = names.map((_, i) => bulk(`v${i}`)).join('')
  for (const [protocol, none] of [
    ['2', '$-1\r\n'],
    ['3', '_\r\n'],
  ] as const) {
    const got = await race(cluster, ['MGET', ...names, 'none'], protocol)
    t.true(got.reply === `*${COUNT + 1}\r\n${values}${none}`)
    t.is(got.behind, bulk('behind'))
    t.is(got.order, 'other long behind')
  }
  const listed = await race(cluster, ['KEYS', '*'])
  t.true(listed.reply.startsWith(`*${COUNT}\r\n`))
  const found = listed.reply.match(/key:\d+/g)!
  t.is(new Set(found).size, COUNT)
  t.is((await race(cluster, ['KEYS', 'key:7777'])).reply, `*1\r\n${bulk('key:7777')}`)
  t.is((await race(cluster, ['KEYS', 'nothing*'], '3')).reply, '*0\r\n')
  t.is((await race(cluster, ['EXISTS', ...names, 'none', 'key:1'])).reply, `:${COUNT + 1}\r\n`)
  t.is((await race(cluster, ['DEL', ...names, 'none'])).reply, `:${COUNT}\r\n`)
  t.is((await race(cluster, ['DBSIZE'])).reply, ':0\r\n')
  cluster.shutdown()
})

test('an error takes the place of a long reply', async (t) => {
  const cluster = await startCluster(2, ['--maxmemory', '64mb'])
  const { self } = cluster.nodes[1]!.server.routing.membership!
  cluster.nodes[0]!.server.routing.peers.get(self)!.request = (_, __, done) =>
    done('busy', null, false)
  const { reply, behind } = await race(cluster, ['MGET', ...names])
  t.regex(reply, /^-TRYAGAIN [^\n]*\r\n$/)
  t.is(behind, bulk('behind'))
  cluster.shutdown()
})
