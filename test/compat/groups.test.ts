/*
 * Groups on a real server, over a socket: the example of docs/groups.md, and an origin that does
 * all that an origin should not.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { halfBody, hang, largeBody, ok, OriginServer, status } from '../cluster/origin/server.ts'
import { freePort, PROJECT, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'

const EXAMPLE = join(PROJECT, 'docs/examples/http-origin')

/** The reply to GET as text: a value, nil, or an error line with its dash. */
async function get(client: RawClient, key: string): Promise<string> {
  const reply = await client.command('GET', key)
  if (reply === '$-1\r\n') return 'nil'
  return reply.startsWith('-') ? reply.trimEnd() : reply.slice(reply.indexOf('\n') + 1, -2)
}

test('the example: a user is asked for once, and again after the update and DEL', async (t) => {
  const originPort = await freePort()
  const origin = spawn(process.execPath, [join(EXAMPLE, 'origin.mjs')], {
    env: { ...process.env, PORT: String(originPort) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => origin.kill())
  let asked = ''
  origin.stdout.setEncoding('utf8').on('data', (text: string) => (asked += text))
  await once(origin.stdout, 'data')

  const folder = mkdtempSync(join(tmpdir(), 'ringtier-groups-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'ringtier.conf')
  const example = readFileSync(join(EXAMPLE, 'ringtier.conf'), 'utf8')
  writeFileSync(file, example.replace('127.0.0.1:3000', `127.0.0.1:${originPort}`))
  const server = await startRingtier({ file })
  t.teardown(() => server.stop())
  const client = await RawClient.open(server.port)
  t.teardown(() => client.close())

  t.is(await get(client, 'user:42'), '{"name":"Ada"}')
  t.is(await get(client, 'user:42'), '{"name":"Ada"}')
  t.is(await get(client, 'user:44'), 'nil')
  const ttl = Number((await client.command('TTL', 'user:42')).slice(1))
  t.true(ttl > 0 && ttl <= 300)

  const url = `http://127.0.0.1:${originPort}/users/42`
  await fetch(url, { method: 'PUT', body: '{"name":"Ada Lovelace"}' })
  t.is(await get(client, 'user:42'), '{"name":"Ada"}')
  t.is(await client.command('DEL', 'user:42'), ':1\r\n')
  t.is(await get(client, 'user:42'), '{"name":"Ada Lovelace"}')
  const lines = ['GET /users/42', 'GET /users/44', 'PUT /users/42', 'GET /users/42']
  const askedLines = () => asked.split('\n').slice(1, -1)
  // What it writes comes through a pipe, on its own time.
  while (askedLines().length < lines.length) await once(origin.stdout, 'data')
  t.deepEqual(askedLines(), lines)
})

test('whatever the origin does, a GET is answered, nothing stays, and the next GET works', async (t) => {
  const origin = await OriginServer.start()
  t.teardown(() => origin.close())
  const rules = 'ttl 5m timeout 1s wait 1m max-body 1mb'
  const server = await startRingtier({
    args: ['--maxmemory', '32mb', '--group', `u match u:{id} origin ${origin.url}/{id} ${rules}`],
  })
  t.teardown(() => server.stop())
  const client = await RawClient.open(server.port)
  t.teardown(() => client.close())

  const faults = [
    ['404', status(404), 'nil'],
    ['500', status(500), '-ORIGIN u: the origin answered 500'],
    ['never', hang, '-ORIGIN u: no complete answer from the origin within 1000 ms'],
    ['half', halfBody, "-ORIGIN u: the origin's answer broke off before its end"],
    [
      'large',
      largeBody(100 * 1024 ** 2),
      "-ORIGIN u: the origin's answer is larger than 1048576 bytes",
    ],
  ] as const
  for (const [id, behave, reply] of faults) {
    origin.on(`/${id}`, behave)
    t.is(await get(client, `u:${id}`), reply)
    t.is(await client.command('DBSIZE'), ':0\r\n')
    t.is(await client.command('DEL', `u:${id}`), ':0\r\n')
    origin.on(`/${id}`, ok('well'))
    t.is(await get(client, `u:${id}`), 'well')
    t.is(await client.command('DEL', `u:${id}`), ':1\r\n')
  }
  t.is(await get(client, 'u:..'), "-ORIGIN u: the key cannot be put into the origin's URL")
  t.is(origin.count('/..'), 0)
})

test('a thousand GETs of a cold key on fifty connections are one load', async (t) => {
  const origin = await OriginServer.start()
  t.teardown(() => origin.close())
  const server = await startRingtier({
    args: ['--maxmemory', '32mb', '--group', `u match u:{id} origin ${origin.url}/{id} wait 1m`],
  })
  t.teardown(() => server.stop())
  // The origin answers when all have asked, which a second connection's INFO tells.
  let answer = () => {}
  origin.on('/cold', (_request, response) => {
    answer = () => response.end('the value')
  })
  const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.open(server.port)))
  t.teardown(() => clients.forEach((client) => client.close()))
  const replies = clients.flatMap((client) =>
    Array.from({ length: 20 }, () => get(client, 'u:cold')),
  )
  const watcher = await RawClient.open(server.port)
  t.teardown(() => watcher.close())
  while (!(await watcher.command('INFO', 'groups')).includes('joined=999')) {
    // not all of them are there yet
  }
  answer()
  t.deepEqual(new Set(await Promise.all(replies)), new Set(['the value']))
  t.is(replies.length, 1000)
  t.is(origin.requestsTotal, 1)
})
