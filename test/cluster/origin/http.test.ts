import { createServer as createTcpServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { type Group, parseGroup } from '../../../cluster/group.ts'
import { HttpLoader } from '../../../cluster/origin/http.ts'
import { OriginError, type OriginErrorKind } from '../../../cluster/origin/loader.ts'
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
  const { value } = await loader.load({ group, key, url: group.url(key), signal })
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

/** Waits until something holds that the kernel brings about. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1))
}

test('a 200 is a value, also an empty or binary one', async (t) => {
  const { origin, load, loader, group } = await start(t)
  t.is(await load('42'), 'value of /v/42')
  origin.on('/v/empty', ok(''))
  t.is(await load('empty'), '')
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  origin.on('/v/bytes', ok(bytes))
  const key = Buffer.from('k:bytes')
  const { signal } = new AbortController()
  t.deepEqual((await loader.load({ group, key, url: group.url(key), signal })).value, bytes)
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
  const { rawHeaders } = origin.requests[0] ?? { rawHeaders: [] }
  const headers = Object.fromEntries(
    rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1]]] : [])),
  )
  t.deepEqual(headers, {
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
    await t.throwsAsync(loading, { instanceOf: OriginError })
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

test('hostile keys are one path segment at the origin, and change no header', async (t) => {
  const { origin, load } = await start(t)
  for (const id of [
    '../x',
    '%2e%2e',
    'a/b',
    'a?b',
    'a#b',
    'a\r\nx-evil: 1\r\n',
    '\0',
    '@evil',
    'ü',
  ]) {
    await load(id)
    const { url, rawHeaders } = origin.requests.at(-1) ?? { url: '', rawHeaders: [] }
    t.is(url, `/v/${encodeURIComponent(id)}`)
    t.is(rawHeaders.length, 10)
    t.true(rawHeaders.includes(`127.0.0.1:${origin.port}`))
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
