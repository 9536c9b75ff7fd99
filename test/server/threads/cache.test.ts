import { OriginServer } from '../../cluster/origin/server.ts'
import { startOrigin } from '../../nodes/counting-origin.ts'
import type { RawClient } from '../../raw.ts'
import { infoField, startMany, threadsTest } from './many.ts'
import { until } from '../../until.ts'

const say = async (client: RawClient, line: string): Promise<string> =>
  (await client.send(line.split(' '))).trimEnd().replaceAll('\r\n', ' ')

threadsTest(
  'of 500 clients of all threads one gets the lease, the others what it brings',
  async (t) => {
    const { clients, connect } = await startMany(t, 40)
    const replies: string[] = []
    for (let i = 0; i < 500; i++) {
      void say(clients[i % 40]!, 'CACHE.LEASE a WAIT 60000').then((reply) => replies.push(reply))
    }
    // The client with the lease has others that wait behind it; its own reply came first.
    await until(() => replies.length > 0)
    const [first] = replies
    t.regex(first!, /^\*3 \$5 lease \$-1 \$\d+ \d+$/)
    const token = /(\d+)$/.exec(first!)![1]!
    const filler = await connect()
    // 12 of its connection's, and all others, wait.
    await until(async () =>
      / waiters :499 |waiters :499/.test(await say(filler, 'CACHE.EXPLAIN a')),
    )
    t.is(await say(filler, `CACHE.FILL a ${token} v EX 60`), ':1')
    await until(() => replies.length === 500)
    t.deepEqual([...new Set(replies.slice(1))], ['*3 $3 hit $1 v $-1'])
    t.is(await say(filler, `CACHE.FILL a ${token} w`), ':0')
  },
)

threadsTest('both sides of a lease may share a connection', async (t) => {
  const { clients } = await startMany(t, 2)
  for (const client of clients) {
    await client.command('DEL', 'a')
    const token = /(\d+)$/.exec(await say(client, 'CACHE.LEASE a'))![1]!
    const waiting = say(client, 'CACHE.LEASE a WAIT 60000')
    t.is(await say(client, `CACHE.FILL a ${token} v`), ':1')
    t.is(await waiting, '*3 $3 hit $1 v $-1')
  }
})

threadsTest(
  'a fill after a write of any thread comes too late, and a GET waits for a lease',
  async (t) => {
    const origin = await startOrigin()
    t.teardown(() => origin.stop())
    const group = `k match k:{id} origin ${origin.url}/{id} wait 20s timeout 20s`
    const { clients } = await startMany(t, 4, ['--group', group])
    for (let round = 0; round < 20; round++) {
      const [one, two, three, four] = [0, 1, 2, 3].map((i) => clients[(i + round) % 4]!)
      const lease = async (): Promise<string> =>
        /(\d+)$/.exec(await say(one!, `CACHE.LEASE k:${round}`))![1]!
      const lost = await lease()
      const write = ['DEL', 'SET', 'UNLINK', 'CACHE.SET'][round % 4]!
      const value = write.endsWith('SET') ? ' set' : ''
      await say(two!, `${write} k:${round}${value}`)
      t.is(await say(three!, `CACHE.FILL k:${round} ${lost} late`), ':0')
      t.is(await say(four!, `EXISTS k:${round}`), value === '' ? ':0' : ':1')
      await say(two!, `DEL k:${round}`)
      const token = await lease()
      const reading = [two, three, four].map((client) => say(client!, `GET k:${round}`))
      await until(async () => /waiters :[12] /.test(await say(one!, `CACHE.EXPLAIN k:${round}`)))
      t.is(await say(one!, `CACHE.FILL k:${round} ${token} filled`), ':1')
      t.deepEqual(await Promise.all(reading), Array(3).fill('$6 filled'))
    }
    t.is(origin.requests, 0)
  },
)

threadsTest('CACHE.INVALIDATE is in force in all threads when it is answered', async (t) => {
  const { clients } = await startMany(t, 4, ['--group', 'k match k:* origin http://127.0.0.1:1/'])
  for (let round = 0; round < 30; round++) {
    const setter = clients[round % 4]!
    const by = ['GROUP k', 'PREFIX k:', 'TAG x'][round % 3]!
    for (let i = 0; i < 40; i++) {
      await say(clients[i % 4]!, `CACHE.SET k:${i} v TAGS 1 x`)
      await say(clients[i % 4]!, `SET other:${i} v`)
    }
    t.is(await say(setter, `CACHE.INVALIDATE ${by}`), '+OK')
    const looks = clients.flatMap((client) =>
      Array.from({ length: 40 }, (_, i) => say(client, `EXISTS k:${i} other:${i}`)),
    )
    t.deepEqual([...new Set(await Promise.all(looks))], [':1'], by)
    await until(async () => (await say(setter, 'DBSIZE')) === ':40')
  }
})

threadsTest(
  'who asks after a tag was invalidated is not answered by the load before',
  async (t) => {
    const origin = await OriginServer.start()
    t.teardown(() => origin.close())
    const held: (() => void)[] = []
    let version = 0
    origin.otherwise((_, response) => {
      const body = `v${version}`
      held.push(() => {
        response.writeHead(200, { 'cache-tag': 'x' })
        response.end(body)
      })
    })
    const group = `k match k:{id} origin ${origin.url}/{id} wait 20s timeout 20s`
    const { clients, connect } = await startMany(t, 4, ['--group', group])
    const watcher = await connect()
    const joined = async (): Promise<number> =>
      Number(/joined=(\d+)/.exec(await infoField(watcher, 'group_k'))![1])
    for (let round = 0; round < 9; round++) {
      const joinedAtStart = await joined()
      const before = clients.slice(0, 2).map((client) => say(client, `GET k:${round}`))
      await until(() => held.length === 1)
      await until(async () => (await joined()) === joinedAtStart + 1)
      version++
      const writer = clients[2 + (round % 2)]!
      t.is(await say(writer, 'CACHE.INVALIDATE TAG x'), '+OK')
      const after = clients.slice(2).map((client) => say(client, `GET k:${round}`))
      await until(async () => (await joined()) === joinedAtStart + 3)
      held.shift()!()
      await until(() => held.length === 1)
      held.shift()!()
      t.deepEqual(await Promise.all(before), Array(2).fill(`$2 v${version - 1}`))
      t.deepEqual(await Promise.all(after), Array(2).fill(`$2 v${version}`))
    }
  },
)

threadsTest('of writers in all threads, cache and HTTP origin end with the same one', async (t) => {
  const origin = await OriginServer.start()
  t.teardown(() => origin.close())
  const stored = new Map<string, string>()
  origin.otherwise((request, response) => {
    const { method, url = '' } = request
    let body = ''
    request.on('data', (piece) => (body += piece))
    request.on('end', () => {
      // Some answers take longer than others.
      setTimeout(() => {
        if (method === 'PUT') stored.set(url, body)
        else stored.delete(url)
        response.end()
      }, body.length % 3)
    })
  })
  const group = `w match w:{id} origin ${origin.url}/{id} write yes wait 20s timeout 20s`
  const { clients } = await startMany(t, 6, ['--group', group])
  const writes: Promise<string>[] = []
  for (let i = 0; i < 300; i++) {
    const key = `w:${i % 5}`
    const lines = [`SET ${key} ${'x'.repeat(i % 7)}${i}`, `MSET ${key} ${i} w:0 ${i}`, `DEL ${key}`]
    writes.push(say(clients[i % 6]!, lines[(i * 7) % 3]!))
  }
  for (const reply of await Promise.all(writes)) t.notRegex(reply, /^-/)
  for (let key = 0; key < 5; key++) {
    const there = stored.get(`/${key}`)
    const expected = there === undefined ? '$-1' : `$${there.length} ${there}`
    for (const client of clients) t.is(await say(client, `CACHE.GET w:${key} PEEK`), expected)
  }
})
