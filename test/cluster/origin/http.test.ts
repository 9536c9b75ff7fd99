import type { ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { type Group, parseGroup } from '../../../cluster/groups/group.ts'
import { HttpLoader } from '../../../cluster/origin/http.ts'
import {
  type Loaded,
  OriginError,
  type OriginErrorKind,
  type OriginGroup,
} from '../../../cluster/origin/loader.ts'
import { loadRequest, originGroup, writeRequest } from './request.ts'
import {
  type Behaviour,
  endlessBody,
  endlessHeaders,
  garbage,
  halfBody,
  halfChunked,
  halfChunkedClose,
  hang,
  hangUp,
  headOnly,
  largeBody,
  ok,
  OriginServer,
  redirect,
  reset,
  resetInBody,
  slowDrip,
  status,
} from './server.ts'
import { until } from '../../until.ts'

const MB = 1024 ** 2

interface Bench {
  readonly origin: OriginServer
  readonly loader: HttpLoader
  readonly group: Group
  load(id?: string, signal?: AbortSignal): Promise<string | null>
}

async function start(t: ExecutionContext, rules = ''): Promise<Bench> {
  const origin = await OriginServer.start()
  const loader = new HttpLoader({ version: '1.2.3' })
  t.teardown(async () => {
    await loader.close()
    await origin.close()
  })
  const group = groupOf(`${origin.url}/v/{id}`, rules)
  return { origin, loader, group, load: (id, signal) => load(loader, group, id, signal) }
}

function groupOf(url: string, rules = ''): Group {
  return parseGroup(`g match k:{id} origin ${url} ${rules}`.trim().split(' '))
}

async function load(
  loader: HttpLoader,
  group: Group,
  id = '1',
  signal = new AbortController().signal,
): Promise<string | null> {
  const key = Buffer.from(`k:${id}`)
  const { value } = await loader.load(loadRequest(group, key, { url: group.url(key), signal }))
  return value === null ? null : String(value)
}

async function refused(
  t: ExecutionContext,
  loading: Promise<unknown>,
  kind: OriginErrorKind,
  line?: string,
): Promise<void> {
  const error = await t.throwsAsync(loading, { instanceOf: OriginError })
  t.is(error?.kind, kind, error?.message)
  if (line !== undefined) t.is(error?.message, `ORIGIN g: ${line}`)
}

test('a 200 is a value, also an empty or binary one', async (t) => {
  const { origin, load, loader, group } = await start(t)
  t.is(await load('42'), 'value of /v/42')
  origin.on('/v/empty', ok(''))
  t.is(await load('empty'), '')
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  origin.on('/v/bytes', ok(bytes))
  const key = Buffer.from('k:bytes')
  const request = loadRequest(group, key, { url: group.url(key) })
  t.deepEqual((await loader.load(request)).value, bytes)
})

test('a 204 is an empty value, 404 and 410 are none, any other status is an error', async (t) => {
  const { origin, load } = await start(t, 'concurrency 1')
  origin.otherwise(({ url = '' }, response) => {
    status(Number(url.slice(3)))({} as never, response)
  })
  t.is(await load('204'), '')
  t.is(await load('404'), null)
  t.is(await load('410'), null)
  for (const code of [201, 206, 301, 304, 400, 401, 403, 429, 500, 503]) {
    await refused(t, load(String(code)), 'status', `the origin answered ${code}`)
  }
  t.is(origin.connectionsTotal, 1)
})

test('the request says who asks and asks for the plain body', async (t) => {
  const { origin, load } = await start(t)
  await load('1')
  t.deepEqual(origin.headers(0), {
    host: `127.0.0.1:${origin.port}`,
    connection: 'keep-alive',
    'user-agent': 'ringtier/1.2.3',
    accept: '*/*',
    'accept-encoding': 'identity',
  })
})

test('connections are kept and no more than `concurrency`', async (t) => {
  const { origin, load } = await start(t, 'concurrency 3')
  for (let i = 0; i < 30; i++) await load(String(i))
  await Promise.all(Array.from({ length: 30 }, (_, i) => load(String(i))))
  t.is(origin.connectionsTotal, 3)
  t.true(origin.activeMax <= 3)
})

test('a kept connection that the origin closes when it is used again costs nothing', async (t) => {
  const { origin, load } = await start(t, 'concurrency 1')
  t.is(await load('1'), 'value of /v/1')
  let hungUp = false
  origin.on('/v/2', (request, response) => {
    if (hungUp) return ok('two')(request, response)
    hungUp = true
    return hangUp(request, response)
  })
  t.is(await load('2'), 'two')
  t.is(origin.count('/v/2'), 2)
})

test('a body of max-body bytes is taken, one more is refused, announced or not', async (t) => {
  const { origin, load } = await start(t, 'max-body 1mb')
  const chunked =
    (bytes: number): Behaviour =>
    (_request, response) => {
      response.write('x'.repeat(bytes - 1))
      response.end('x')
    }
  for (const behave of [largeBody, chunked]) {
    for (const bytes of [MB - 1, MB]) {
      origin.on('/v/1', behave(bytes))
      t.is((await load())?.length, bytes)
    }
    origin.on('/v/1', behave(MB + 1))
    await refused(t, load(), 'too-large', "the origin's answer is larger than 1048576 bytes")
  }
})

test('a body far over max-body is given up early and its connection destroyed', async (t) => {
  const { origin, load } = await start(t, 'max-body 1mb')
  for (const behave of [largeBody(100 * MB), endlessBody]) {
    let sent = () => 0
    origin.on('/v/1', (request, response) => {
      sent = () => request.socket.bytesWritten
      behave(request, response)
    })
    const before = process.memoryUsage.rss()
    await refused(t, load(), 'too-large')
    await until(() => origin.active === 0)
    t.true(sent() < 50 * MB, String(sent()))
    t.true(process.memoryUsage.rss() - before < 64 * MB)
  }
})

for (const [fault, behave, kind] of [
  ['a reset', reset, 'reset'],
  ['a hang-up', hangUp, 'reset'],
  ['half a body', halfBody, 'short'],
  ['half a chunked body', halfChunked, 'short'],
  ['half a chunked body and "connection: close"', halfChunkedClose, 'short'],
  ['a reset inside the body', resetInBody, 'short'],
  ['garbage', garbage, 'protocol'],
  ['endless headers', endlessHeaders, 'protocol'],
] as const) {
  test(`${fault} is an error of kind ${kind}, and the next load works`, async (t) => {
    const { origin, load } = await start(t)
    origin.on('/v/bad', behave)
    await refused(t, load('bad'), kind)
    t.is(origin.count('/v/bad'), 1)
    t.is(await load('good'), 'value of /v/good')
    await refused(t, load('bad'), kind)
    t.is(await load('good'), 'value of /v/good')
    await until(() => origin.active === 0)
  })
}

for (const [fault, behave] of [
  ['never answers', hang],
  ['answers a head only', headOnly],
  ['drips', slowDrip(1)],
  [
    'sends a 500 whose body never ends',
    ((_request, response) => {
      response.writeHead(500)
      response.write('x')
    }) satisfies Behaviour,
  ],
] as const) {
  test(`a load of an origin that ${fault} ends when it is aborted`, async (t) => {
    const { origin, load } = await start(t)
    origin.on('/v/slow', behave)
    const controller = new AbortController()
    const loading = load('slow', controller.signal)
    await until(() => origin.active === 1)
    controller.abort(new Error('deadline'))
    await refused(t, loading, 'timeout', 'no complete answer from the origin within 5000 ms')
    await until(() => origin.active === 0)
    t.is(await load('good'), 'value of /v/good')
  })
}

test('a load that is aborted before it starts does not ask', async (t) => {
  const { origin, load } = await start(t)
  await t.throwsAsync(load('1', AbortSignal.abort(new Error('deadline'))))
  t.is(origin.requestsTotal, 0)
})

test('redirects within the origin are followed, three and no more', async (t) => {
  const { origin, load } = await start(t, 'concurrency 1')
  origin.on('/v/1', redirect('/v/2', 301))
  origin.on('/v/2', redirect('?x=3', 307))
  origin.on('/v/2?x=3', redirect(`${origin.url}/v/4#part`, 308))
  t.is(await load('1'), 'value of /v/4')
  origin.on('/v/0', redirect('1', 303))
  await refused(t, load('0'), 'redirect', 'the origin redirects more than 3 times')
  t.is(origin.connectionsTotal, 1)
})

test('a redirect to another host, port or scheme is refused and not asked', async (t) => {
  const { origin, load } = await start(t)
  const other = await OriginServer.start()
  t.teardown(() => other.close())
  for (const location of [
    `${other.url}/v/1`,
    `//127.0.0.1:${other.port}/v/1`,
    `https://127.0.0.1:${origin.port}/v/1`,
    `http://localhost:${origin.port}/v/1`,
    'file:///etc/passwd',
    'http://[',
  ]) {
    origin.on('/v/1', redirect(location))
    await refused(t, load('1'), 'redirect', 'the origin redirects to another host')
  }
  t.is(other.requestsTotal, 0)
})

test('a redirect without a location is the status it is', async (t) => {
  const { origin, load } = await start(t)
  origin.otherwise(status(302))
  await refused(t, load('1'), 'status', 'the origin answered 302')
})

test('a body in an encoding that was not asked for is refused', async (t) => {
  const { origin, load } = await start(t)
  origin.on('/v/1', status(200, { 'content-encoding': 'gzip' }))
  await refused(t, load('1'), 'encoding')
  origin.on('/v/1', status(200, { 'content-encoding': 'identity' }))
  t.is(await load('1'), 'status 200')
})

test('a host that takes no connection or has no address is unreachable', async (t) => {
  const origin = await OriginServer.start()
  const { url } = origin
  await origin.close()
  const loader = new HttpLoader({ version: '0' })
  t.teardown(() => loader.close())
  await refused(
    t,
    load(loader, groupOf(`${url}/{id}`)),
    'unreachable',
    'the origin cannot be reached (ECONNREFUSED)',
  )
  await refused(t, load(loader, groupOf('http://nowhere.invalid/{id}')), 'unreachable')
})

test('an origin that speaks no TLS, or shows a certificate nobody vouches for, is a TLS error', async (t) => {
  const plain = await OriginServer.start()
  const selfSigned = await OriginServer.start({ tls: true })
  const loader = new HttpLoader({ version: '0' })
  t.teardown(async () => {
    await loader.close()
    await plain.close()
    await selfSigned.close()
  })
  for (const { port } of [plain, selfSigned]) {
    await refused(t, load(loader, groupOf(`https://127.0.0.1:${port}/{id}`)), 'tls')
  }
  t.is(plain.requestsTotal + selfSigned.requestsTotal, 0)
})

test('an origin that closes each connection at once is an error, not a loop', async (t) => {
  let connections = 0
  const server = createTcpServer((socket) => {
    connections++
    socket.on('error', () => {}).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const loader = new HttpLoader({ version: '0' })
  t.teardown(() => loader.close())
  await refused(t, load(loader, groupOf(`http://127.0.0.1:${port}/{id}`)), 'reset')
  t.true(connections <= 2, String(connections))
})

/** Records what comes in, byte by byte, and answers each request with the same. */
async function startRecorder(
  t: ExecutionContext,
): Promise<{ port: number; received: () => Buffer }> {
  let chunks: Buffer[] = []
  const server = createTcpServer((socket) => {
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        chunks.push(chunk)
        if (!Buffer.concat(chunks).includes('\r\n\r\n')) return
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const received = (): Buffer => {
    const bytes = Buffer.concat(chunks)
    chunks = []
    return bytes
  }
  return { port: (server.address() as AddressInfo).port, received }
}

const hostile: readonly (readonly [title: string, id: string | Uint8Array, encoded: string])[] = [
  ['../', '../x', '..%2Fx'],
  ['..', '..', '..'],
  ['.', '.', '.'],
  ['%2e%2e', '%2e%2e', '%252e%252e'],
  ['..;', '..;', '..%3B'],
  ['a backslash', '..\\x', '..%5Cx'],
  ['/', '/etc/passwd', '%2Fetc%2Fpasswd'],
  ['//host', '//evil', '%2F%2Fevil'],
  ['?', 'a?b=c', 'a%3Fb%3Dc'],
  ['&', 'a&b=c', 'a%26b%3Dc'],
  [';', 'a;b=c', 'a%3Bb%3Dc'],
  ['#', 'a#b', 'a%23b'],
  [
    'CRLF',
    'a\r\nx-evil: 1\r\n\r\nGET /evil HTTP/1.1\r\n\r\n',
    'a%0D%0Ax-evil%3A%201%0D%0A%0D%0AGET%20%2Fevil%20HTTP%2F1.1%0D%0A%0D%0A',
  ],
  ['LF', 'a\nb', 'a%0Ab'],
  ['NUL', 'a\0b', 'a%00b'],
  ['@host', '@evil', '%40evil'],
  ['a URL', 'http://evil/', 'http%3A%2F%2Fevil%2F'],
  ['a port', ':81', '%3A81'],
  ['a placeholder', '{id}', '%7Bid%7D'],
  ['+ and a blank', '+ ', '%2B%20'],
  ['what is no UTF-8', Uint8Array.of(0xff, 0xc0, 0x80, 0xfe), '%FF%C0%80%FE'],
  ['an overlong slash', Uint8Array.of(0xc0, 0xaf), '%C0%AF'],
  ['64 KB', '/'.repeat(65_534), '%2F'.repeat(65_534)],
]

for (const [title, id, encoded] of hostile) {
  test(`a key with ${title} is one path segment or one query value and nothing else`, async (t) => {
    const { port, received } = await startRecorder(t)
    const loader = new HttpLoader({ version: '1' })
    t.teardown(() => loader.close())
    const key = Buffer.concat([Buffer.from('k:'), Buffer.from(id)])
    const head = (path: string): string =>
      [
        `GET ${path} HTTP/1.1`,
        `host: 127.0.0.1:${port}`,
        'connection: keep-alive',
        'user-agent: ringtier/1',
        'accept: */*',
        'accept-encoding: identity',
        '\r\n',
      ].join('\r\n')
    const byQuery = groupOf(`http://127.0.0.1:${port}/a?x={id}&y=1`)
    await loader.load(loadRequest(byQuery, key, { url: byQuery.url(key) }))
    t.is(received().toString('latin1'), head(`/a?x=${encoded}&y=1`))

    const byPath = groupOf(`http://127.0.0.1:${port}/a/{id}/b?x=1`)
    if (title === '.' || title === '..') {
      t.throws(() => byPath.url(key), { instanceOf: OriginError })
      return
    }
    await loader.load(loadRequest(byPath, key, { url: byPath.url(key) }))
    t.is(received().toString('latin1'), head(`/a/${encoded}/b?x=1`))
  })
}

test('a write of a hostile key changes nothing but its own segment', async (t) => {
  const { port, received } = await startRecorder(t)
  const loader = new HttpLoader({ version: '1' })
  t.teardown(() => loader.close())
  const group = groupOf(`http://127.0.0.1:${port}/{id}`)
  const url = group.url(Buffer.from('k:a\r\nx: y/../b'))
  await loader.write(writeRequest(group, '', 'v\r\n', { url }))
  let text = ''
  await until(() => (text += received().toString('latin1')).endsWith('v\r\n'))
  const [line, ...rest] = text.split('\r\n')
  t.is(line, 'PUT /a%0D%0Ax%3A%20y%2F..%2Fb HTTP/1.1')
  t.deepEqual(rest.slice(-3), ['', 'v', ''])
  t.true(rest.includes('content-length: 3'))
})

/** The headers of a group are not written in these tests as an operator would. */
function groupWith(origin: OriginServer, rules: Partial<OriginGroup> = {}): OriginGroup {
  return originGroup({ origin: origin.url, ...rules })
}

test("the group's headers are sent, with redirects as well, and stand above ours", async (t) => {
  const { origin, loader } = await start(t)
  const group = groupWith(origin, {
    headers: [
      ['Authorization', 'Bearer secret'],
      ['User-Agent', 'mine'],
      ['Accept-Encoding', 'gzip'],
    ],
  })
  origin.on('/1', redirect('/2'))
  await loader.load(loadRequest(group, '1', { url: `${origin.url}/1` }))
  for (const index of [0, 1]) {
    t.deepEqual(origin.headers(index), {
      host: `127.0.0.1:${origin.port}`,
      connection: 'keep-alive',
      'user-agent': 'mine',
      accept: '*/*',
      authorization: 'Bearer secret',
      'accept-encoding': 'identity',
    })
  }
})

/** A 304 with these headers where the request knows the ETag `"1"`, else a 200 with it. */
function revalidating(headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (request, response) => {
    const code = request.headers['if-none-match'] === '"1"' ? 304 : 200
    status(code, { etag: '"1"', ...headers })(request, response)
  }
}

test('an ETag is asked for again, and a 304 says that the value still stands', async (t) => {
  const { origin, loader } = await start(t)
  const group = groupWith(origin, { concurrency: 1 })
  origin.otherwise(revalidating({ 'cache-control': 'max-age=60', 'cache-tag': 'a' }))
  const load = (etag: string | null): Promise<Loaded> =>
    loader.load(loadRequest(group, '1', { url: `${origin.url}/1`, etag }))
  const keeping = { etag: '"1"', freshMs: 60_000, tags: ['a'] }
  t.deepEqual(await load(null), { ...keeping, value: Buffer.from('status 200') })
  t.deepEqual(await load('"0"'), { ...keeping, value: Buffer.from('status 200') })
  t.deepEqual(await load('"1"'), { ...keeping, value: null, unchanged: true })
  t.is(origin.headers(0)['if-none-match'], undefined)
  t.is(origin.headers(2)['if-none-match'], '"1"')
  t.is(origin.connectionsTotal, 1)
})

test('a 304 without an ETag of its own stands for the one that was asked for', async (t) => {
  const { origin, loader } = await start(t)
  origin.otherwise(status(304))
  const request = loadRequest(groupWith(origin), '1', { url: `${origin.url}/1`, etag: 'W/"x"' })
  t.deepEqual(await loader.load(request), { etag: 'W/"x"', value: null, unchanged: true })
})

test('what the headers say comes with values, empty ones, and "not found"', async (t) => {
  const { origin, loader } = await start(t)
  for (const [code, value] of [
    [200, Buffer.from('status 200')],
    [204, Buffer.alloc(0)],
    [404, null],
    [410, null],
  ] as const) {
    origin.otherwise(status(code, { 'cache-control': 's-maxage=5', vary: 'accept' }))
    const request = loadRequest(groupWith(origin), '1', { url: `${origin.url}/1` })
    t.deepEqual(await loader.load(request), { value, freshMs: 5000 }, String(code))
  }
})

test('a value that varies is served and not kept', async (t) => {
  const { origin, loader } = await start(t)
  origin.otherwise(status(200, { vary: 'Cookie', 'cache-control': 'max-age=60' }))
  const request = loadRequest(groupWith(origin), '1', { url: `${origin.url}/1` })
  const { value, freshMs, note } = await loader.load(request)
  t.is(String(value), 'status 200')
  t.is(freshMs, 0)
  t.is(note, 'its Vary names cookie')
})

test('a write is a PUT of the value, a removal a DELETE', async (t) => {
  const { origin, loader } = await start(t)
  const group = groupWith(origin, { headers: [['X-Key', 'secret']] })
  const url = `${origin.url}/1?x=2`
  origin.otherwise((request, response) => {
    request.resume().on('end', () => status(204)(request, response))
  })
  await loader.write(writeRequest(group, '1', 'value', { url }))
  await loader.write(writeRequest(group, '1', '', { url, ttlMs: 1001 }))
  await loader.write(writeRequest(group, '1', null, { url }))
  t.deepEqual(
    origin.requests.map(({ method, url }) => `${method} ${url}`),
    ['PUT /1?x=2', 'PUT /1?x=2', 'DELETE /1?x=2'],
  )
  const [put, putWithTtl, remove] = [0, 1, 2].map((index) => origin.headers(index))
  t.is(put?.['content-type'], 'application/octet-stream')
  t.is(put?.['content-length'], '5')
  t.is(put?.['x-key'], 'secret')
  t.is(put?.['cache-control'], undefined)
  t.is(putWithTtl?.['content-length'], '0')
  t.is(putWithTtl?.['cache-control'], 'max-age=2')
  t.is(remove?.['content-type'], undefined)
  t.is(remove?.['x-key'], 'secret')
})

test('a write has succeeded with any 2xx, a removal also of what is not there', async (t) => {
  const { origin, loader } = await start(t)
  const group = groupWith(origin)
  const write = async (code: number, value: string | null): Promise<string> => {
    origin.otherwise(status(code, code === 302 ? { location: '/2' } : {}))
    const writing = loader.write(writeRequest(group, '1', value, { url: `${origin.url}/1` }))
    return writing.then(
      () => 'done',
      (error: unknown) => (error instanceof OriginError ? error.message : String(error)),
    )
  }
  for (const code of [200, 201, 202, 204]) {
    t.is(await write(code, 'v'), 'done')
    t.is(await write(code, null), 'done')
  }
  for (const code of [404, 410]) {
    t.is(await write(code, 'v'), `ORIGIN g: the origin answered ${code}`)
    t.is(await write(code, null), 'done')
  }
  for (const code of [302, 304, 400, 403, 409, 500, 503]) {
    t.is(await write(code, 'v'), `ORIGIN g: the origin answered ${code}`)
    t.is(await write(code, null), `ORIGIN g: the origin answered ${code}`)
  }
  t.is(origin.count('/2'), 0)
})

test('a write that is not answered is not sent again', async (t) => {
  const { origin, loader, load } = await start(t, 'concurrency 1')
  await load('1')
  for (const [behave, kind] of [
    [reset, 'reset'],
    [hangUp, 'reset'],
    [garbage, 'protocol'],
  ] as const) {
    origin.on('/1', behave)
    const before = origin.count('/1')
    const url = `${origin.url}/1`
    await refused(t, loader.write(writeRequest(groupWith(origin), '1', 'v', { url })), kind)
    t.is(origin.count('/1'), before + 1)
  }
})

test('a write ends when it is aborted', async (t) => {
  const { origin, loader } = await start(t)
  origin.otherwise(hang)
  const { signal, abort } = abortable()
  const url = `${origin.url}/1`
  const writing = loader.write(writeRequest(groupWith(origin), '1', 'v', { url, signal }))
  await until(() => origin.active === 1)
  abort()
  await refused(t, writing, 'timeout')
  await until(() => origin.active === 0)
})

function abortable(): { readonly signal: AbortSignal; readonly abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort(new Error('deadline')) }
}

test('another concurrency holds from the next load on', async (t) => {
  const { origin, loader } = await start(t)
  for (const concurrency of [2, 5, 1]) {
    // They are answered when as many are there as there may be.
    let held: ServerResponse[] = []
    origin.otherwise((_request, response) => {
      held.push(response)
      if (held.length < concurrency) return
      for (const one of held) one.end()
      held = []
    })
    origin.activeMax = 0
    const group = groupWith(origin, { concurrency })
    const ids = Array.from({ length: 20 }, (_, i) => String(i))
    await Promise.all(
      ids.map((id) => loader.load(loadRequest(group, id, { url: `${origin.url}/${id}` }))),
    )
    t.is(origin.activeMax, concurrency)
    await until(() => origin.connections <= concurrency)
  }
})

test('a closed loader refuses, and loads under way end', async (t) => {
  const { origin, load, loader } = await start(t)
  origin.on('/v/slow', hang)
  const loading = load('slow')
  await until(() => origin.active === 1)
  const ended = refused(t, loading, 'closing')
  await loader.close()
  await ended
  await refused(t, load('1'), 'closing')
  await until(() => origin.connections === 0)
})
