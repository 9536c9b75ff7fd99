/* INFO keyspace in a cluster of whole nodes in this process, on virtual time. */
import test from 'ava'
import { startCluster } from '../in-process.ts'

test('INFO keyspace is about all nodes, and beside other sections about its own', async (t) => {
  const cluster = await startCluster(3, [])
  t.teardown(() => cluster.shutdown())
  const client = cluster.nodes[0]!.connect()
  const say = async (...words: string[]): Promise<string> => {
    const reply = client.send(words)
    for (let i = 0; i < 4; i++) await cluster.settle()
    return reply
  }
  const keyspace = async (): Promise<string> => {
    const [, line = ''] = /^(db0:.*)\r$/m.exec(await say('INFO', 'keyspace')) ?? []
    return line
  }
  t.is(await keyspace(), '')
  for (let i = 0; i < 30; i++) await say('SET', `k:${i}`, 'v', ...(i < 20 ? ['EX', '100'] : []))
  t.is(await keyspace(), 'db0:keys=30,expires=20,avg_ttl=0')
  const here = cluster.nodes[0]!.server.store.size(0)
  t.true(here > 0 && here < 30)
  t.regex(await say('INFO', 'keyspace', 'cluster'), new RegExp(`^db0:keys=${here},`, 'm'))
  await say('MULTI')
  await say('INFO', 'keyspace')
  t.regex(await say('EXEC'), /^db0:keys=30,/m)
})
