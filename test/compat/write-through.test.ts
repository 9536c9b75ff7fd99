/* Groups with `write` on a real server, whose origins are an HTTP server, a module and a Redis. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { hang, OriginServer, reset, status } from '../cluster/origin/server.ts'
import { available, startRedis, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'

type Say = (line: string) => Promise<string>

async function connect(t: ExecutionContext, port: number): Promise<Say> {
  const client = await RawClient.open(port)
  t.teardown(() => client.close())
  return async (line) => {
    const reply = await client.send(line.split(' '))
    return reply.trimEnd().replaceAll('\r\n', ' ')
  }
}

async function startWith(t: ExecutionContext, rules: string): Promise<Say> {
  const server = await startRingtier({ args: ['--group', rules, '--save', ''] })
  t.teardown(() => server.stop())
  return connect(t, server.port)
}

test('an HTTP origin gets PUT and DELETE before they are acknowledged', async (t) => {
  const origin = await OriginServer.start()
  t.teardown(() => origin.close())
  const stored = new Map<string, string>()
  const told: string[] = []
  origin.otherwise((request, response) => {
    const { method, url = '' } = request
    void bodyOf(request).then((body) => {
      told.push(`${method} ${url} ${body} ${request.headers['cache-control'] ?? ''}`.trim())
      if (method === 'PUT') stored.set(url, body)
      if (method === 'DELETE') stored.delete(url)
      const value = stored.get(url)
      if (method === 'GET' && value === undefined) response.writeHead(404)
      response.end(method === 'GET' ? value : 'done')
    })
  })
  const say = await startWith(t, `w match w:{id} origin ${origin.url}/{id} write yes timeout 500ms`)
  t.is(await say('SET w:1 v EX 60'), '+OK')
  t.is(await say('MSET w:2 x w:3 y'), '+OK')
  t.is(await say('GET w:1'), '$1 v')
  t.is(await say('DEL w:1'), ':1')
  t.is(await say('GET w:1'), '$-1')
  t.is(await say('GETDEL w:2'), '$1 x')
  t.deepEqual([...stored], [['/3', 'y']])
  t.deepEqual(
    told.filter((line) => !/^PUT \/[23]/.test(line)),
    ['PUT /1 v max-age=60', 'DELETE /1', 'GET /1', 'DELETE /2'],
  )

  origin.on('/3', status(500))
  t.is(await say('SET w:3 z'), '-ORIGIN w: the origin answered 500')
  t.is(await say('CACHE.GET w:3 PEEK'), '$-1')
  origin.on('/4', reset)
  t.is(await say('SET w:4 z'), '-ORIGIN w: the origin closed the connection without an answer')
  t.is(origin.count('/4'), 1, 'a write is sent once')
  origin.on('/5', hang)
  t.is(await say('SET w:5 z'), '-ORIGIN w: no complete answer from the origin within 500 ms')
  origin.on('/5', status(404))
  t.is(await say('DEL w:5'), ':0')
  t.is(await say('SET w:.. z'), "-ORIGIN w: the key cannot be put into the origin's URL")
  t.is(await say('DBSIZE'), ':0')
})

test('a module gets store and remove', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-write-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'users.mjs')
  const toldFile = join(folder, 'told.txt')
  writeFileSync(toldFile, '')
  writeFileSync(
    file,
    `import { appendFileSync } from 'node:fs'
const tell = (...words) => appendFileSync(${JSON.stringify(toldFile)}, words.join(' ') + '\\n')
const values = new Map()
export async function load(key, { notFound }) { return values.get(key) ?? notFound }
export async function store(key, value, { params, ttl }) {
  if (params.id === 'bad') throw new Error('secret')
  tell('store', key, value, params.id, ttl)
  values.set(key, value)
}
export async function remove(key, { params }) {
  tell('remove', key, params.id)
  values.delete(key)
}
`,
  )
  const say = await startWith(t, `w match w:{id} origin module:${file} write yes ttl 5m`)
  t.is(await say('SET w:1 v PX 1500'), '+OK')
  t.is(await say('SETEX w:2 7 x'), '+OK')
  t.is(await say('UNLINK w:1'), ':1')
  t.is(await say('GET w:1'), '$-1')
  t.is(await say('SET w:2 old'), '+OK')
  t.is(await say('SET w:bad v'), '-ORIGIN w: store() failed')
  t.is(await say('EXISTS w:bad'), ':0')
  const told = readFileSync(toldFile, 'utf8').trimEnd().split('\n')
  t.deepEqual(
    told.map((line) => line.split(' ').slice(0, 4).join(' ')),
    ['store w:1 v 1', 'store w:2 x 2', 'remove w:1 1', 'store w:2 old 2'],
  )
})

const redisTest = available('redis-server') ? test : test.skip

redisTest('a Redis origin gets SET and DEL, and keeps the time to live', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const there = await connect(t, redis.port)
  const rules = `w match w:* origin redis://127.0.0.1:${redis.port} write yes timeout 1s`
  const say = await startWith(t, rules)
  t.is(await say('SET w:1 v'), '+OK')
  t.is(await there('GET w:1'), '$1 v')
  t.is(await there('TTL w:1'), ':-1')
  t.is(await say('PSETEX w:1 60000 w'), '+OK')
  t.regex(await there('PTTL w:1'), /^:[56]\d{4}$/)
  t.is(await say('CACHE.SET w:2 x EX 60 TAGS 1 t'), '+OK')
  t.regex(await there('PTTL w:2'), /^:[56]\d{4}$/)
  t.is(await say('DEL w:1 w:2'), ':2')
  t.is(await there('DBSIZE'), ':0')
  await there('CONFIG SET maxmemory 1')
  t.is(await say('SET w:1 v'), '-ORIGIN w: the Redis origin answered an error (OOM)')
  t.is(await say('EXISTS w:1'), ':0')
})

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}
