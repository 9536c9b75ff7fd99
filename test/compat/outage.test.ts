/*
 * The day the origin is gone: a real server, real time, a real HTTP origin that is closed, and something
 * in its place that counts who tries. What each rule does in detail is in test/server/loads/group-rules.test.ts.
 */
import { createServer, type Server } from 'node:net'
import type { ExecutionContext } from 'ava'
import test from 'ava'
import { OriginServer, status } from '../cluster/origin/server.ts'
import { startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'
import { until } from '../until.ts'

async function start(t: ExecutionContext, rules: string) {
  const origin = await OriginServer.start()
  t.teardown(() => origin.close().catch(() => {}))
  const group = `item match item:{id} origin ${origin.url}/{id} ${rules}`
  const server = await startRingtier({
    args: ['--maxmemory', '32mb', '--save', '', '--group', group],
  })
  t.teardown(() => server.stop())
  const client = await RawClient.open(server.port)
  t.teardown(() => client.close())
  const info = async (field: string): Promise<string> => {
    const reply = await client.command('GROUP', 'INFO', 'item')
    return new RegExp(`\\r\\n${field}\\r\\n(?:\\$\\d+\\r\\n|:)(.*)\\r\\n`).exec(reply)?.[1] ?? ''
  }
  return { origin, client, info }
}

/** Takes connections on the port, counts them, and drops each. */
async function startDropping(
  port: number,
): Promise<{ readonly tries: number; stop(): Promise<void> }> {
  let tries = 0
  const server: Server = createServer((socket) => {
    tries++
    socket.on('error', () => {})
    socket.resetAndDestroy()
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    get tries() {
      return tries
    },
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

test('an origin that is gone: the cache answers, it is tried once a second, and when it is back it is used', async (t) => {
  const rules = 'ttl 1s stale-if-error 1h breaker 5/1s wait 20s timeout 20s early 0'
  const { origin, client, info } = await start(t, rules)
  const ids = Array.from({ length: 200 }, (_, i) => `${i}`)
  const getAll = () => Promise.all(ids.map(async (id) => String(await client.get(`item:${id}`))))
  const values = ids.map((id) => `value of /${id}`)
  t.deepEqual(await getAll(), values)
  const { port } = origin
  await origin.close()
  const dropping = await startDropping(port)
  t.teardown(() => dropping.stop())
  await until(async () => (await client.command('EXISTS', 'item:0', 'item:199')) === ':0\r\n')

  // All of them answer, again and again, until the breaker has let three through.
  const begin = performance.now()
  let open = 0
  const seen = (): number => dropping.tries - open
  while (open === 0 || seen() < 3) {
    t.deepEqual(await getAll(), values)
    if (open === 0 && (await info('breaker_state')) === 'open') open = dropping.tries
  }
  // Until it opened there were as many as fit, 64 at a time, and each may have had an old connection.
  const seconds = (performance.now() - begin) / 1000
  t.true(open >= 5 && open <= 128, `${open} tries until it opened`)
  t.true(seen() <= Math.floor(seconds) + 1, `${seen()} tries in ${seconds} s`)
  t.regex(await client.command('GET', 'item:cold'), /^-ORIGIN item: the origin failed too often/)

  await dropping.stop()
  const again = await OriginServer.start({ port })
  t.teardown(() => again.close())
  again.otherwise((request, response) => response.end(`new ${request.url}`))
  await until(async () => String(await client.get('item:0')) === 'new /0')
  await until(async () => (await info('breaker_state')) === 'closed')
  t.deepEqual(
    await getAll(),
    ids.map((id) => `new /${id}`),
  )
})

test('a hot key at a thousand requests a second is loaded once for each ttl, and nobody waits', async (t) => {
  const { origin, client, info } = await start(t, 'ttl 1s stale 1m early 0 wait 20s timeout 20s')
  origin.otherwise((_request, response) => setTimeout(() => response.end('hot'), 100))
  const asked = performance.now()
  t.is(String(await client.get('item:hot')), 'hot')
  const begin = performance.now()
  const replies: Promise<unknown>[] = []
  while (origin.requestsTotal < 4) {
    const due = performance.now() - begin
    while (replies.length < due) replies.push(client.get('item:hot'))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  const ended = performance.now()
  t.deepEqual([...new Set((await Promise.all(replies)).map(String))], ['hot'])
  t.log(`${Math.round((1000 * replies.length) / (ended - begin))} requests/s`)
  // Each of the three was begun when the value before it, which took a tenth, had been there for a second.
  const seconds = (ended - asked) / 1000
  t.true(seconds >= 3 * (1 + 0.1) - 0.01, `three loads in ${seconds} s`)
  // Only the very first GET has waited for anything.
  t.is(await info('misses'), '1')
  t.is(await info('joined'), '0')
  t.is(await info('late'), '0')
  t.is(Number(await info('hits')) + Number(await info('stale_hits')), replies.length)
})

test('a thousand GETs of a key that the origin has not are one load for each `negative`', async (t) => {
  const { origin, client, info } = await start(t, 'ttl 1h negative 1s wait 20s timeout 20s')
  origin.otherwise(status(404))
  const begin = performance.now()
  let rounds = 0
  while (origin.requestsTotal < 3) {
    const replies = Array.from({ length: 1000 }, () => client.get('item:none'))
    t.deepEqual([...new Set(await Promise.all(replies))], [null])
    rounds++
  }
  const seconds = (performance.now() - begin) / 1000
  t.true(seconds >= 2, `three loads in ${seconds} s`)
  t.is(await info('missing'), '3')
  t.true(rounds >= 3)
})
