/*
 * A whole server, as a process, and an origin that does what no origin should (the same below the server:
 * test/cluster/origin/faults.test.ts): whatever it is, all clients hear something, nothing is kept as a
 * value, nothing is left behind, memory stays, and the next read finds the origin as it is then.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import {
  type Behaviour,
  endlessBody,
  endlessHeaders,
  garbage,
  halfBody,
  halfChunked,
  hang,
  hangUp,
  headOnly,
  ok,
  OriginServer,
  redirect,
  reset,
  resetInBody,
  slowDrip,
  status,
} from '../../cluster/origin/server.ts'
import { freePort, type RunningServer, startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { infoField, way } from '../threads/many.ts'
import { until } from '../../until.ts'

const RSS_GROWTH_MAX = 64 * 1024 ** 2
const CLIENTS = 20

/** Where the deadline is what ends a load it is short, else too long to wait for. */
const RULES = 'wait 2m breaker off ttl 1m max-body 1mb'
const TOO_LATE = 'no complete answer from the origin within 700 ms'

const FAULTS: readonly (readonly [name: string, behave: Behaviour, line: string])[] = [
  ['answers 500', status(500), 'the origin answered 500'],
  ['resets', reset, 'the origin closed the connection without an answer'],
  ['hangs up', hangUp, 'the origin closed the connection without an answer'],
  ['is no HTTP server', garbage, "the origin's answer is not valid HTTP"],
  ['sends headers without end', endlessHeaders, "the origin's answer is not valid HTTP"],
  ['sends half a body', halfBody, "the origin's answer broke off before its end"],
  ['sends half its chunks', halfChunked, "the origin's answer broke off before its end"],
  ['resets in the body', resetInBody, "the origin's answer broke off before its end"],
  ['sends a body without end', endlessBody, "the origin's answer is larger than 1048576 bytes"],
  ['redirects elsewhere', redirect('http://localhost:1/'), 'the origin redirects to another host'],
  ['drips', slowDrip(5), TOO_LATE],
  ['hangs', hang, TOO_LATE],
  ['hangs after the head', headOnly, TOO_LATE],
]

interface Scene {
  readonly server: RunningServer
  readonly clients: readonly RawClient[]
  /** No part of what is measured. */
  readonly watcher: RawClient
}

async function start(t: ExecutionContext, threads: string, groups: string[]): Promise<Scene> {
  const args = ['--maxmemory', '64mb', '--save', '', '--threads', threads]
  for (const group of groups) args.push('--group', group)
  const server = await startRingtier({ args })
  t.teardown(() => server.stop())
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.open(server.port)
    t.teardown(() => client.close())
    return client
  }
  const clients = await Promise.all(Array.from({ length: CLIENTS }, connect))
  return { server, clients, watcher: await connect() }
}

function rssOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1]) * 1024
}

/** Nothing is under way, and nothing is kept. */
async function isClean(t: ExecutionContext, { watcher }: Scene, key: string): Promise<void> {
  await until(async () => (await infoField(watcher, 'blocked_clients')) === '0')
  const group = key.slice(0, key.indexOf(':'))
  const counters = await infoField(watcher, `group_${group}`)
  t.regex(counters, /(?:^|,)active=0,/)
  t.regex(counters, /(?:^|,)queued=0,/)
  const explained = await watcher.command('CACHE.EXPLAIN', key)
  t.regex(explained, /\r\nstate\r\n\$7\r\nmissing\r\n/)
  t.regex(explained, /\r\nflight\r\n\$4\r\nnone\r\n/)
  t.is(await watcher.command('CACHE.GET', key, 'PEEK'), '$-1\r\n')
  t.is(await watcher.command('DBSIZE'), ':0\r\n')
  // Were a lease left, this one would be told to wait for it.
  t.regex(await watcher.command('CACHE.LEASE', key), /^\*3\r\n\$5\r\nlease\r\n/)
  t.is(await watcher.command('DEL', key), ':0\r\n')
}

for (const threads of way === null ? ['1'] : ['1', '2']) {
  test(`whatever the origin does, ${CLIENTS} clients hear so and the next read recovers, with ${threads} threads`, async (t) => {
    const origin = await OriginServer.start()
    t.teardown(() => origin.close())
    const scene = await start(t, threads, [
      `k match k:{id} origin ${origin.url}/{id} timeout 1m ${RULES}`,
      `late match late:{id} origin ${origin.url}/{id} timeout 700ms ${RULES}`,
    ])
    const { server, clients, watcher } = scene
    // What is loaded and compiled at the first load is no leak.
    t.is(String(await clients[0]!.get('k:first')), 'value of /first')
    await clients[0]!.command('DEL', 'k:first')
    const before = rssOf(server.pid)
    let most = before
    for (const [n, [name, behave, line]] of FAULTS.entries()) {
      const group = line === TOO_LATE ? 'late' : 'k'
      const key = `${group}:${n}`
      origin.on(`/${n}`, behave)
      const replies = await Promise.all(clients.map((client) => client.command('GET', key)))
      t.deepEqual([...new Set(replies)], [`-ORIGIN ${group}: ${line}\r\n`], name)
      await isClean(t, scene, key)
      most = Math.max(most, rssOf(server.pid))
      origin.on(`/${n}`, ok('well again'))
      const well = await Promise.all(clients.map((client) => client.get(key)))
      t.deepEqual([...new Set(well.map(String))], ['well again'], name)
      t.is(await watcher.command('DEL', key), ':1\r\n')
    }
    t.true(most - before <= RSS_GROWTH_MAX, `RSS grew by ${most - before} bytes`)
    t.log(
      `RSS ${Math.round(before / 1024 ** 2)} MB, at most +${Math.round((most - before) / 1024 ** 2)} MB`,
    )
  })

  test(`an origin without a name, a listener or a certificate is an error, with ${threads} threads`, async (t) => {
    const tls = await OriginServer.start({ tls: true })
    t.teardown(() => tls.close())
    const port = await freePort()
    const scene = await start(t, threads, [
      `dns match dns:{id} origin http://name.invalid/{id} timeout 10s ${RULES}`,
      `tls match tls:{id} origin https://127.0.0.1:${tls.port}/{id} timeout 1m ${RULES}`,
      `none match none:{id} origin http://127.0.0.1:${port}/{id} timeout 1m ${RULES}`,
    ])
    const { clients } = scene
    for (const [key, line] of [
      [
        'dns:1',
        /^-ORIGIN dns: (?:the origin cannot be reached \((?:ENOTFOUND|EAI_AGAIN)\)|no complete answer from the origin within 10000 ms)\r\n$/,
      ],
      ['tls:1', /^-ORIGIN tls: no trusted TLS connection to the origin \([A-Z_]+\)\r\n$/],
      ['none:1', /^-ORIGIN none: the origin cannot be reached \(ECONNREFUSED\)\r\n$/],
    ] as const) {
      const replies = await Promise.all(clients.map((client) => client.command('GET', key)))
      for (const reply of replies) t.regex(reply, line)
      await isClean(t, scene, key)
    }
    t.is(tls.requestsTotal, 0)
    const late = await OriginServer.start({ port })
    t.teardown(() => late.close())
    t.is(String(await clients[0]!.get('none:1')), 'value of /1')
  })

  test(`the first of ${CLIENTS} waiters leaves: the others are served by the same load, with ${threads} threads`, async (t) => {
    const origin = await OriginServer.start()
    t.teardown(() => origin.close())
    let answer = (): void => {}
    origin.otherwise(({ url }, response) => {
      answer = () => response.end(`value of ${url}`)
    })
    const scene = await start(t, threads, [
      `k match k:{id} origin ${origin.url}/{id} timeout 1m ${RULES}`,
    ])
    const { clients, server, watcher } = scene
    const others = clients.slice(1)
    // One that is reset: who only says that it sends no more may still be waiting for its reply.
    const first = connect(server.port, '127.0.0.1')
    first.on('error', () => {})
    first.write('GET k:1\r\n')
    await until(() => origin.requestsTotal === 1)
    const replies = others.map((client) => client.get('k:1'))
    const joined = async (): Promise<number> =>
      Number(/joined=(\d+)/.exec(await infoField(watcher, 'group_k'))![1])
    await until(async () => (await joined()) === CLIENTS - 1)
    const connected = (): Promise<string> => infoField(watcher, 'connected_clients')
    t.is(await connected(), String(CLIENTS + 2))
    first.resetAndDestroy()
    await until(async () => (await connected()) === String(CLIENTS + 1))
    answer()
    const values = await Promise.all(replies)
    t.deepEqual([...new Set(values.map(String))], ['value of /1'])
    t.is(origin.requestsTotal, 1)
    t.is(String(await watcher.get('k:1')), 'value of /1')
    t.is(origin.requestsTotal, 1)
  })
}
