import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext, type TestFn } from 'ava'
import { parseEtcd } from '../../../cluster/discovery/etcd-servers.ts'
import { EtcdDiscovery } from '../../../cluster/discovery/etcd.ts'
import { parseNode } from '../../../cluster/members/membership.ts'
import { createSystemWorld } from '../../../server/system.ts'
import { available } from '../../process.ts'
import { until } from '../../until.ts'
import { Etcd } from './etcd-process.ts'

/** Needs etcd; skipped where it is missing, and a failure on CI. */
const etcdTest: TestFn = (available('etcd') ? test : test.skip) as TestFn

const { clock } = createSystemWorld()

/** A node that is found by etcd, and what it found. */
async function join(t: ExecutionContext, urls: string, text: string, up = new Set<string>()) {
  const self = parseNode(text, 'test')
  const seen = { names: '', problems: [] as (string | null)[] }
  const discovery = new EtcdDiscovery(
    {
      ...{ clock, self, prefix: '/test/', leaseSeconds: 2, ...parseEtcd(urls) },
      isUp: (name) => up.has(name),
    },
    {
      found: (nodes) => {
        const texts = nodes.map(({ name, weight }) => `${name}*${weight}`)
        seen.names = texts.sort().join(' ')
      },
      report: (problem) => seen.problems.push(problem),
    },
  )
  await discovery.start()
  let isOpen = true
  const leave = async (): Promise<void> => {
    if (isOpen) await discovery.close()
    isOpen = false
  }
  t.teardown(leave)
  return { seen, up, leave }
}

etcdTest(
  'nodes see each other at once, with weights, and one that leaves goes at once',
  async (t) => {
    const etcd = await Etcd.start()
    t.teardown(() => etcd.stop())
    const a = await join(t, etcd.url, 'a:1')
    t.is(a.seen.names, 'a:1*1')
    const b = await join(t, etcd.url, 'b:1*3')
    t.is(b.seen.names, 'a:1*1 b:1*3')
    await until(() => a.seen.names === 'a:1*1 b:1*3')
    await b.leave()
    await until(() => a.seen.names === 'a:1*1')
    t.deepEqual(a.seen.problems, [])
  },
)

etcdTest(
  'what is not a node of this cluster is passed over, and an own key that is gone comes back',
  async (t) => {
    const etcd = await Etcd.start()
    t.teardown(() => etcd.stop())
    const put = (key: string, value: string) => {
      const [inKey, inValue] = [key, value].map((text) => Buffer.from(text).toString('base64'))
      return etcd.call('kv/put', { key: inKey, value: inValue })
    }
    await put('/test/x', 'nonsense')
    await put('/test/y:1', 'z:1')
    await put('/other/c:1', 'c:1*1')
    await put('/test/d:1', 'd:1*99')
    await put('/test/e:1', 'e:1')
    const a = await join(t, etcd.url, 'a:1')
    await until(() => a.seen.names === 'a:1*1 e:1*1')
    const key = Buffer.from('/test/a:1').toString('base64')
    await etcd.call('kv/deleterange', { key })
    const isBack = async () => 'kvs' in ((await etcd.call('kv/range', { key })) as object)
    await until(isBack)
    t.pass()
  },
)

etcdTest(
  'without etcd the last list counts; one that lost its data takes nobody out who answers',
  async (t) => {
    const etcd = await Etcd.start()
    t.teardown(() => etcd.stop())
    const up = new Set(['b:1', 'c:1'])
    const a = await join(t, etcd.url, 'a:1', up)
    const b = await join(t, etcd.url, 'b:1')
    const c = await join(t, etcd.url, 'c:1')
    const all = 'a:1*1 b:1*1 c:1*1'
    await until(() => a.seen.names === all)
    await etcd.crash()
    await until(() => a.seen.problems.length > 0)
    t.regex(a.seen.problems[0]!, /^cluster-etcd: http:.*: the last list is kept$/)
    t.is(a.seen.names, all)
    await c.leave()
    await b.leave()
    await etcd.begin({ empty: true })
    await until(() => a.seen.problems.at(-1) === null)
    t.is(a.seen.names, all, 'both answer')
    up.delete('c:1')
    await until(() => a.seen.names === 'a:1*1 b:1*1')
  },
)

etcdTest('of several servers the next one is asked when one fails', async (t) => {
  const etcd = await Etcd.start()
  t.teardown(() => etcd.stop())
  const a = await join(t, `http://127.0.0.1:1,${etcd.url}`, 'a:1')
  await until(() => a.seen.names === 'a:1*1')
  await until(() => a.seen.problems.at(-1) === null)
  t.is(a.seen.problems.length, 2)
})

etcdTest('etcd may ask for a name and a password, also anew when it has restarted', async (t) => {
  const etcd = await Etcd.start()
  t.teardown(() => etcd.stop())
  await etcd.askForLogin('ring', 'a:b@c/d', '/test/')
  const url = etcd.url.replace('//', '//ring:a%3Ab%40c%2Fd@')
  const a = await join(t, url, 'a:1')
  const b = await join(t, url, 'b:1')
  // By the watch, which wants the login as well.
  await until(() => a.seen.names === 'a:1*1 b:1*1')
  await b.leave()
  await until(() => a.seen.names === 'a:1*1')
  t.deepEqual([...a.seen.problems, ...b.seen.problems], [])
  // It forgets who has logged in.
  await etcd.crash()
  await until(() => a.seen.problems.length > 0)
  await etcd.begin()
  await until(() => a.seen.problems.at(-1) === null)
  await join(t, url, 'c:1')
  await until(() => a.seen.names === 'a:1*1 c:1*1')
  for (const [text, why] of [
    [etcd.url, /user name is empty/],
    [etcd.url.replace('//', '//ring:hush@'), /authentication failed/],
  ] as const) {
    const stranger = await join(t, text, 'd:1')
    t.is(stranger.seen.names, '')
    t.regex(stranger.seen.problems[0]!, why)
    t.notRegex(stranger.seen.problems[0]!, /hush|ring:/)
    await stranger.leave()
  }
})

test('answers that make no sense, or have no end, are a problem and nothing else', async (t) => {
  let answer = 'nonsense'
  const server = createServer((_request, response) => {
    response.end(answer)
  }).listen(0, '127.0.0.1')
  t.teardown(() => void server.close())
  await until(() => server.listening)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const a = await join(t, url, 'a:1')
  await until(() => a.seen.problems.length === 1)
  t.regex(a.seen.problems[0]!, /status 200/)
  answer = '{}'
  await until(() => a.seen.problems.length === 2)
  t.regex(a.seen.problems[1]!, /it grants no lease/)
  answer = '9'.repeat(2 * 1024 * 1024)
  await until(() => a.seen.problems.length === 3)
  t.regex(a.seen.problems[2]!, /its answer is too long/)
  t.is(a.seen.names, '')
})

test('servers are read, and no error has their password', (t) => {
  t.deepEqual(parseEtcd('http://a,https://b:7, http://[::1]:80/'), {
    origins: ['http://a:2379', 'https://b:7', 'http://[::1]:80'],
    login: null,
  })
  const login = { name: 'me', password: 'a b' }
  t.deepEqual(parseEtcd('http://me:a%20b@a:1'), { origins: ['http://a:1'], login })
  for (const text of [
    '',
    ' ',
    'a:2379',
    'ftp://a',
    'http://me:hush@a/path',
    'http://me:hu%FFsh@a',
  ]) {
    const error = t.throws(() => parseEtcd(text), { code: 'BAD_MEMBER_LIST' })
    t.notRegex(error.message, /hush|hu%/)
  }
})
