import test, { type ExecutionContext, type TestFn } from 'ava'
import { Etcd } from '../cluster/discovery/etcd-process.ts'
import { available, freePort, type RunningServer, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { infoField, way } from '../server/threads/many.ts'
import { until } from '../until.ts'

const hasEtcd = available('etcd')
const etcdTest: TestFn = (hasEtcd ? test : test.skip) as TestFn
const etcdThreadsTest: TestFn = (hasEtcd && way !== null ? test : test.skip) as TestFn

async function start(
  t: ExecutionContext,
  url: string,
  args: readonly string[],
): Promise<RunningServer> {
  const port = await freePort()
  const cluster = [
    ...['--cluster-self', `127.0.0.1:${port}`, '--cluster-etcd', url],
    ...['--cluster-node-timeout', '2000'],
  ]
  const secret = ['--cluster-secret', 'a secret of this test']
  const server = await startRingtier({ port, args: [...cluster, ...secret, ...args] })
  t.teardown(() => server.stop())
  return server
}

async function connect(t: ExecutionContext, { port }: RunningServer): Promise<RawClient> {
  const client = await RawClient.open(port)
  t.teardown(() => client.close())
  return client
}

/** Two nodes found by etcd, a third that joins and leaves, and clients who hear no error meanwhile. */
async function comeAndGo(t: ExecutionContext, url: string, args: readonly string[]): Promise<void> {
  const first = await start(t, url, args)
  const second = await start(t, url, args)
  const clients: RawClient[] = []
  for (const server of [first, first, first, first, second, second]) {
    clients.push(await connect(t, server))
    await clients.at(-1)!.command('PING')
  }
  const lives = async (client: RawClient, count: number) =>
    (await infoField(client, 'cluster_live_nodes')) === String(count)
  for (const client of clients) await until(() => lives(client, 2))

  const third = await start(t, url, args)
  const joined = await connect(t, third)
  for (const client of [...clients, joined]) await until(() => lives(client, 3))
  for (const [i, client] of clients.entries()) {
    for (let key = 0; key < 20; key++)
      t.is(await client.command('SET', `k:${i}:${key}`, 'v'), '+OK\r\n')
  }
  t.regex(await infoField(joined, 'db0'), /^keys=[1-9]/)
  for (const client of [...clients, joined]) {
    for (let i = 0; i < clients.length; i++) t.is(String(await client.get(`k:${i}:7`)), 'v')
    t.is(await client.command('DBSIZE'), ':120\r\n')
  }
  await third.stop()
  for (const client of clients) {
    await until(async () => (await infoField(client, 'cluster_known_nodes')) === '2')
    await until(() => lives(client, 2))
  }
}

etcdTest('nodes find each other by an etcd with passwords, and one comes and goes', async (t) => {
  const etcd = await Etcd.start()
  t.teardown(() => etcd.stop())
  await etcd.askForLogin('ringtier', 'of etcd', '/ringtier/')
  const url = etcd.url.replace('//', '//ringtier:of%20etcd@')
  await comeAndGo(t, url, ['--maxmemory', '16mb', '--save', ''])
})

etcdThreadsTest('nodes of two threads each find each other, and all threads know', async (t) => {
  const etcd = await Etcd.start()
  t.teardown(() => etcd.stop())
  await comeAndGo(t, etcd.url, ['--maxmemory', '16mb', '--save', '', '--threads', '2'])
})
