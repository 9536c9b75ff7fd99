import { type AddressInfo, createServer, type Socket } from 'node:net'
import { inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import {
  type Loaded,
  OriginError,
  type OriginErrorKind,
  type OriginGroup,
  type RedisTarget,
} from '../../../cluster/origin/loader.ts'
import { RedisLoader } from '../../../cluster/origin/redis.ts'
import { createSystemWorld } from '../../../server/system.ts'
import {
  available,
  freePort,
  type RunningServer,
  startRedis,
  startRingtier,
} from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { loadRequest, originGroup, writeRequest } from './request.ts'
import { OriginServer } from './server.ts'
import { until } from '../../until.ts'

const { clock } = createSystemWorld()

/** Real redis-servers are asked where there are any; a message says where there are none. */
const hasRedis = available('redis-server')
const redisTest = hasRedis ? test : test.skip
if (!hasRedis) console.log('redis-server is not installed: no test of it as an origin')

async function open(t: ExecutionContext): Promise<RedisLoader> {
  const loader = await RedisLoader.open({ clock })
  t.teardown(() => loader.close())
  return loader
}

function redisGroup(
  port: number,
  rules: Partial<OriginGroup> = {},
  target: Partial<RedisTarget> = {},
): OriginGroup {
  const hosts = [{ host: '127.0.0.1', port }]
  const nobody = { username: null, password: null, tls: false, db: 0, cluster: false }
  return originGroup({ address: { kind: 'redis', hosts, ...nobody, ...target }, ...rules })
}

interface Bench {
  readonly redis: RunningServer
  /** To the same server, by a plain socket. */
  readonly client: RawClient
  readonly loader: RedisLoader
  readonly group: OriginGroup
  load(key: string | Uint8Array, rules?: Partial<OriginGroup>): Promise<Loaded>
}

async function start(t: ExecutionContext, args: readonly string[] = []): Promise<Bench> {
  const redis = await startRedis({ args })
  const client = await RawClient.open(redis.port)
  const loader = await open(t)
  t.teardown(async () => {
    client.close()
    await redis.stop()
  })
  const group = redisGroup(redis.port)
  const load = (key: string | Uint8Array, rules: Partial<OriginGroup> = {}) =>
    loader.load(loadRequest({ ...group, ...rules }, key))
  return { redis, client, loader, group, load }
}

async function refused(
  t: ExecutionContext,
  loading: Promise<unknown>,
  kind: OriginErrorKind,
  line?: string,
): Promise<OriginError> {
  const error = await t.throwsAsync(loading, { instanceOf: OriginError })
  t.is(error.kind, kind, inspect(error))
  if (line !== undefined) t.is(error.message, `ORIGIN g: ${line}`)
  return error
}

/** The integer that a command is answered with. */
async function count(client: RawClient, ...command: string[]): Promise<number> {
  return Number((await client.command(...command)).slice(1))
}

redisTest('a value comes as it is, with its TTL', async (t) => {
  const { client, load } = await start(t)
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  await client.command('SET', 'bytes', bytes)
  t.deepEqual(await load('bytes'), { value: bytes })
  await client.command('SET', 'number', '42')
  t.deepEqual(await load('number'), { value: Buffer.from('42') })
  await client.command('SET', 'timed', 'v', 'PX', '100000')
  const { value, freshMs = 0 } = await load('timed')
  t.is(String(value), 'v')
  t.true(freshMs > 90_000 && freshMs <= 100_000, String(freshMs))
  t.deepEqual(await load('timed', { honoursCacheControl: false }), { value: Buffer.from('v') })
})

redisTest('what is not there is none, what is empty is a value', async (t) => {
  const { client, load } = await start(t)
  t.deepEqual(await load('nothing'), { value: null })
  await client.command('SET', 'empty', '')
  t.deepEqual(await load('empty'), { value: Buffer.alloc(0) })
  await client.command('SET', 'timed', '', 'PX', '100000')
  const { value, freshMs = 0 } = await load('timed')
  t.deepEqual(value, Buffer.alloc(0))
  t.true(freshMs > 90_000)
})

redisTest('any key is asked for as it is', async (t) => {
  const { client, load } = await start(t)
  const keys = [
    Buffer.from('a\r\n$3\r\nGET\r\n'),
    Buffer.from('\0'),
    Buffer.from('../@host?#%2e'),
    Buffer.from([0xff, 0xc0, 0x80]),
    Buffer.alloc(65_536, 'x'),
    Buffer.from('ü'),
    Buffer.alloc(0),
  ]
  for (const [i, key] of keys.entries()) await client.command('SET', key, `value ${i}`)
  const loaded = await Promise.all(keys.map((key) => load(key)))
  t.deepEqual(
    loaded.map(({ value }) => String(value)),
    keys.map((_, i) => `value ${i}`),
  )
  t.is(await count(client, 'DBSIZE'), keys.length)
})

redisTest('each load asks once, and one connection serves all', async (t) => {
  const { client, load } = await start(t)
  const keys = Array.from({ length: 200 }, (_, i) => `k${i}`)
  for (const key of keys) await client.command('SET', key, key)
  await client.command('CONFIG', 'RESETSTAT')
  const loaded = await Promise.all(keys.map((key) => load(key)))
  t.deepEqual(
    loaded.map(({ value }) => String(value)),
    keys,
  )
  const stats = await client.command('INFO', 'commandstats')
  t.deepEqual(
    [...stats.matchAll(/cmdstat_(\w+):calls=(\d+)/g)]
      .map(([, name, calls]) => `${name} ${calls}`)
      .filter((line) => !/^(config|info|client)/.test(line))
      .sort(),
    ['getrange 200', 'pttl 200'],
  )
  const list = await client.command('CLIENT', 'LIST')
  t.is(list.match(/name=ringtier:g /g)?.length, 1)
})

redisTest(
  'a value of max-body bytes is taken, of a longer one only a byte more is read',
  async (t) => {
    const { client, load, redis } = await start(t)
    const rules = { bodyBytesMax: 1000 }
    for (const bytes of [999, 1000]) {
      await client.command('SET', 'k', 'x'.repeat(bytes))
      t.is((await load('k', rules)).value?.length, bytes)
    }
    for (const bytes of [1001, 50 * 1024 ** 2]) {
      await client.command('SET', 'k', 'x'.repeat(bytes))
      const sent = async (): Promise<number> =>
        Number(/total_net_output_bytes:(\d+)/.exec(await client.command('INFO', 'stats'))?.[1])
      const before = await sent()
      await refused(
        t,
        load('k', rules),
        'too-large',
        "the origin's answer is larger than 1000 bytes",
      )
      t.true((await sent()) - before < 20_000)
    }
    t.is(redis.output().includes('Client closed'), false)
  },
)

redisTest('what the server says is the error', async (t) => {
  const { client, load } = await start(t)
  await client.command('LPUSH', 'list', 'a')
  const error = await refused(
    t,
    load('list'),
    'redis',
    'the Redis origin answered an error (WRONGTYPE)',
  )
  t.is(error.detail, 'WRONGTYPE')
  await client.command('SET', 'k', 'v')
  t.is(String((await load('k')).value), 'v')
})

redisTest('the database of the address is read, one that is not there is an error', async (t) => {
  const { client, loader, redis } = await start(t)
  await client.command('SET', 'k', 'zero')
  await client.command('SELECT', '3')
  await client.command('SET', 'k', 'three')
  const load = (db: number) =>
    loader.load(loadRequest(redisGroup(redis.port, { name: `db${db}` }, { db }), 'k'))
  t.is(String((await load(3)).value), 'three')
  t.is(String((await load(0)).value), 'zero')
  const error = await t.throwsAsync(load(99), { instanceOf: OriginError })
  t.is(error.message, 'ORIGIN db99: the Redis origin answered an error (ERR)')
})

redisTest('user and password open it, and stand in no error', async (t) => {
  const { client, loader, redis } = await start(t, ['--requirepass', 's3cret:pass'])
  await client.command('AUTH', 's3cret:pass')
  await client.command('ACL', 'SETUSER', 'ann', 'on', '>p@ss word', '~*', '+@all')
  await client.command('SET', 'k', 'v')
  let n = 0
  const load = (username: string | null, password: string | null) => {
    const group = redisGroup(redis.port, { name: `g${n++}` }, { username, password })
    return loader.load(loadRequest(group, 'k'))
  }
  t.is(String((await load(null, 's3cret:pass')).value), 'v')
  t.is(String((await load('ann', 'p@ss word')).value), 'v')
  for (const [username, password, code] of [
    [null, null, 'NOAUTH'],
    [null, 'wrong-pass', 'WRONGPASS'],
    ['ann', 'wrong-pass', 'WRONGPASS'],
    ['bob', 'wrong-pass', 'WRONGPASS'],
  ] as const) {
    const error = await t.throwsAsync(load(username, password), { instanceOf: OriginError })
    t.is(error.kind, 'redis')
    t.true(error.message.endsWith(`(${code})`), error.message)
    t.false(inspect(error, { depth: 10, showHidden: true }).includes('wrong-pass'))
  }
})

redisTest('a write is a SET with its TTL, a removal a DEL', async (t) => {
  const { client, loader, group } = await start(t)
  await loader.write(writeRequest(group, 'a\r\n', 'v\r\n'))
  t.is(String(await client.get('a\r\n')), 'v\r\n')
  t.is(await count(client, 'PTTL', 'a\r\n'), -1)
  await loader.write(writeRequest(group, 'b', '', { ttlMs: 100_000.5 }))
  t.is(String(await client.get('b')), '')
  const left = await count(client, 'PTTL', 'b')
  t.true(left > 90_000 && left <= 100_001, String(left))
  await loader.write(writeRequest(group, 'b', null))
  t.is(await count(client, 'EXISTS', 'b'), 0)
  await loader.write(writeRequest(group, 'b', null))
  await client.command('CONFIG', 'SET', 'maxmemory', '1')
  const writing = loader.write(writeRequest(group, 'c', 'v'))
  await refused(t, writing, 'redis', 'the Redis origin answered an error (OOM)')
})

redisTest(
  'when the server goes, waiters hear of it, and when it is back the next load is served',
  async (t) => {
    const { client, load, redis } = await start(t)
    await client.command('SET', 'k', 'v')
    t.is(String((await load('k')).value), 'v')
    redis.kill('SIGSTOP')
    const waiting = [load('k'), load('k2')].map((loading) => refused(t, loading, 'reset'))
    redis.kill('SIGKILL')
    await redis.exited
    await Promise.all(waiting)
    await refused(t, load('k'), 'unreachable', 'the origin cannot be reached (ECONNREFUSED)')
    await refused(t, load('k'), 'unreachable')
    const again = await startRedis({ port: redis.port })
    t.teardown(() => again.stop())
    t.deepEqual(await load('k'), { value: null })
  },
)

redisTest('a connection that the server closes is replaced by the next load', async (t) => {
  const { client, load } = await start(t)
  await client.command('SET', 'k', 'v')
  for (let i = 0; i < 3; i++) {
    t.is(String((await load('k')).value), 'v')
    await client.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await until(async () => {
      const loading = load('k')
      return loading.then(
        () => true,
        async (error: OriginError) => {
          t.is(error.kind, 'reset')
          return false
        },
      )
    })
  }
})

redisTest('a hung server costs one deadline, and its connection', async (t) => {
  const { client, loader, group, redis } = await start(t)
  await client.command('SET', 'k', 'v')
  const hasty = { ...group, timeoutMs: 50 }
  const load = async (): Promise<Loaded> => {
    const signal = AbortSignal.timeout(50)
    return loader.load(loadRequest(hasty, 'k', { signal }))
  }
  t.is(String((await loader.load(loadRequest(group, 'k'))).value), 'v')
  redis.kill('SIGSTOP')
  await refused(t, load(), 'timeout', 'no complete answer from the origin within 50 ms')
  redis.kill('SIGCONT')
  t.is(String((await loader.load(loadRequest(group, 'k'))).value), 'v')
  await until(async () => {
    const list = await client.command('CLIENT', 'LIST')
    return list.match(/name=ringtier:g /g)?.length === 1
  })
})

redisTest('a cluster is asked for each key where it is', async (t) => {
  const nodes = await Promise.all(
    [0, 1].map(() => startRedis({ args: ['--cluster-enabled', 'yes'] })),
  )
  t.teardown(() => Promise.all(nodes.map((node) => node.stop())))
  const clients = await Promise.all(nodes.map(({ port }) => RawClient.open(port)))
  t.teardown(() => clients.forEach((client) => client.close()))
  await clients[0]!.command('CLUSTER', 'ADDSLOTSRANGE', '0', '8191')
  await clients[1]!.command('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383')
  const bus = /@(\d+)/.exec(await clients[1]!.command('CLUSTER', 'NODES'))?.[1] ?? ''
  await clients[0]!.command('CLUSTER', 'MEET', '127.0.0.1', String(nodes[1]!.port), bus)
  for (const client of clients) {
    await until(async () => {
      const info = await client.command('CLUSTER', 'INFO')
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:2')
    })
  }
  const loader = await open(t)
  const group = redisGroup(nodes[0]!.port, {}, { cluster: true })
  const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
  await Promise.all(
    keys.map((key) => loader.write(writeRequest(group, key, key, { ttlMs: 90_000 }))),
  )
  const loaded = await Promise.all(keys.map((key) => loader.load(loadRequest(group, key))))
  t.deepEqual(
    loaded.map(({ value }) => String(value)),
    keys,
  )
  t.true(loaded.every(({ freshMs = 0 }) => freshMs > 80_000))
  const [first = 0, second = 0] = await Promise.all(clients.map((one) => count(one, 'DBSIZE')))
  t.is(first + second, keys.length)
  t.true(first > 0 && second > 0)
  t.deepEqual(await loader.load(loadRequest(group, 'nothing')), { value: null })
  for (const client of clients) await client.command('LPUSH', 'list', 'a') // one of them has its slot
  await refused(t, loader.load(loadRequest(group, 'list')), 'redis')
})

redisTest('a cluster that is not well, or none, is an error soon', async (t) => {
  const node = await startRedis({ args: ['--cluster-enabled', 'yes'] })
  const plain = await startRedis()
  t.teardown(() => Promise.all([node.stop(), plain.stop()]))
  const loader = await open(t)
  for (const port of [node.port, plain.port, await freePort()]) {
    const group = redisGroup(port, { name: `g${port}` }, { cluster: true })
    const signal = AbortSignal.timeout(60_000)
    const error = await t.throwsAsync(loader.load(loadRequest(group, 'k', { signal })), {
      instanceOf: OriginError,
    })
    t.not(error.kind, 'timeout', inspect(error))
    t.not(error.kind, 'failed', inspect(error))
  }
})

test('another ringtier can be the origin', async (t) => {
  const ringtier = await startRingtier()
  const client = await RawClient.open(ringtier.port)
  const loader = await open(t)
  t.teardown(async () => {
    client.close()
    await ringtier.stop()
  })
  const group = redisGroup(ringtier.port)
  await client.command('SET', 'k', 'v', 'EX', '100')
  await client.command('SET', 'empty', '')
  const { value, freshMs = 0 } = await loader.load(loadRequest(group, 'k'))
  t.is(String(value), 'v')
  t.true(freshMs > 90_000)
  t.deepEqual(await loader.load(loadRequest(group, 'nothing')), { value: null })
  t.deepEqual(await loader.load(loadRequest(group, 'empty')), { value: Buffer.alloc(0) })
})

/* ---- servers that are none ---- */

interface FakeServer {
  readonly port: number
  readonly connections: () => number
}

/** A server that answers whatever comes in by this. */
async function startFake(
  t: ExecutionContext,
  answer: (socket: Socket, received: string) => void,
  onConnection: (socket: Socket) => void = () => {},
): Promise<FakeServer> {
  const sockets = new Set<Socket>()
  let total = 0
  const server = createServer((socket) => {
    total++
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.on('data', (bytes) => answer(socket, bytes.toString('latin1')))
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, connections: () => total }
}

/** The commands in these bytes, in small letters. */
function commandsIn(received: string): string[] {
  return [...received.matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)].map(([, name = '']) =>
    name.toLowerCase(),
  )
}

for (const [fault, answer, kind, line] of [
  [
    'speaks HTTP',
    (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    'protocol',
    "the origin's answer is not valid RESP",
  ],
  ['closes at once', (socket: Socket) => socket.end(), null, null],
  ['resets', (socket: Socket) => socket.resetAndDestroy(), null, null],
  [
    'ends inside a value',
    (socket: Socket, received: string) => {
      for (const name of commandsIn(received)) {
        if (name === 'getrange') socket.end('$100\r\nxxx')
        else socket.write('+OK\r\n')
      }
    },
    'reset',
    'the origin closed the connection without an answer',
  ],
  [
    'answers with other types',
    (socket: Socket, received: string) => {
      for (const name of commandsIn(received)) socket.write(name === 'pttl' ? '*0\r\n' : ':1\r\n')
    },
    'protocol',
    "the origin's answer is not valid RESP",
  ],
  [
    'repeats what it does not know',
    (socket: Socket, received: string) => {
      const [all] = [received.replace(/\r\n/g, ' ')]
      for (const _ of commandsIn(received)) socket.write(`-ERR unknown command, args: ${all}\r\n`)
    },
    'redis',
    'the Redis origin answered an error (ERR)',
  ],
] as const) {
  test(`a server that ${fault} is an error, and no secret gets out`, async (t) => {
    const { port, connections } = await startFake(t, answer)
    const loader = await open(t)
    const group = redisGroup(port, {}, { username: 'ann', password: 's3cret', db: 2 })
    for (let i = 1; i <= 3; i++) {
      const error = await t.throwsAsync(loader.load(loadRequest(group, 'k')), {
        instanceOf: OriginError,
      })
      if (kind === null) t.true(['reset', 'unreachable'].includes(error.kind), inspect(error))
      else t.is(error.kind, kind, inspect(error))
      if (line !== null) t.is(error.message, `ORIGIN g: ${line}`)
      t.false(inspect(error, { depth: 10, showHidden: true }).includes('s3cret'), inspect(error))
      t.true(connections() <= i)
    }
  })
}

test('a value that is longer than what was asked for is cut off at its first line', async (t) => {
  let sent = 0
  const { port, connections } = await startFake(t, (socket, received) => {
    for (const name of commandsIn(received)) {
      if (name !== 'getrange') socket.write('+OK\r\n')
      else {
        socket.write('$99999999999\r\n')
        const more = (): void => {
          if (socket.destroyed) return
          sent += 65_536
          socket.write(Buffer.alloc(65_536), more)
        }
        more()
      }
    }
  })
  const loader = await open(t)
  const group = redisGroup(port, { bodyBytesMax: 100_000 })
  for (let i = 1; i <= 3; i++) {
    const error = await t.throwsAsync(loader.load(loadRequest(group, 'k')), {
      instanceOf: OriginError,
      message: "ORIGIN g: the origin's answer is not valid RESP",
    })
    t.is(error.kind, 'protocol')
    t.is(connections(), i)
  }
  // What the kernel's buffers took.
  t.true(sent < 64 * 1024 * 1024, `${sent}`)
})

test('a host that takes no connection or has no address is unreachable', async (t) => {
  const loader = await open(t)
  const port = await freePort()
  const line = 'the origin cannot be reached (ECONNREFUSED)'
  const refusedGroup = redisGroup(port)
  await refused(t, loader.load(loadRequest(refusedGroup, 'k')), 'unreachable', line)
  await refused(t, loader.load(loadRequest(refusedGroup, 'k')), 'unreachable', line)
  const hosts = [{ host: 'nowhere.invalid', port }]
  const nowhere = redisGroup(port, { name: 'nowhere' }, { hosts })
  await refused(t, loader.load(loadRequest(nowhere, 'k')), 'unreachable')
})

test('a server without TLS, or with a certificate nobody vouches for, is a TLS error', async (t) => {
  const selfSigned = await OriginServer.start({ tls: true })
  const plain = await startFake(t, (socket) => socket.end('-ERR no\r\n'))
  t.teardown(() => selfSigned.close())
  const loader = await open(t)
  for (const { port } of [selfSigned, plain]) {
    const group = redisGroup(port, { name: `g${port}` }, { tls: true })
    const error = await t.throwsAsync(loader.load(loadRequest(group, 'k')), {
      instanceOf: OriginError,
    })
    t.is(error.kind, 'tls', inspect(error))
  }
})

for (const [title, answersHandshake] of [
  ['from the beginning', false],
  ['once it stands', true],
] as const) {
  test(`a connection that is silent ${title} is given up at the deadline, not before`, async (t) => {
    let first: Socket | null = null
    let heard = 0
    const isSilent = (socket: Socket, name: string): boolean =>
      socket === first && !(answersHandshake && name === 'client')
    const answers: Record<string, string> = { getrange: '$1\r\nv\r\n', pttl: ':-1\r\n' }
    const { port, connections } = await startFake(t, (socket, received) => {
      first ??= socket
      for (const name of commandsIn(received)) {
        heard++
        if (!isSilent(socket, name)) socket.write(answers[name] ?? '+OK\r\n')
      }
    })
    let now = 0
    const loader = await RedisLoader.open({ clock: { now: () => now } })
    t.teardown(() => loader.close())
    const group = redisGroup(port, { timeoutMs: 1000 })
    const abortedAfter = async (ms: number): Promise<void> => {
      const controller = new AbortController()
      const { signal } = controller
      const expected = heard + (answersHandshake ? 2 : 0) + (heard === 0 ? 1 : 0)
      const loading = loader.load(loadRequest(group, 'k', { signal }))
      await until(() => heard === expected)
      now += ms
      controller.abort()
      await refused(t, loading, 'timeout')
    }
    await abortedAfter(100)
    await abortedAfter(499)
    t.is(connections(), 1)
    await abortedAfter(500)
    t.is(String((await loader.load(loadRequest(group, 'k'))).value), 'v')
    t.is(connections(), 2)
  })
}

test('a connection that owes too many replies is given up, though some come', async (t) => {
  let owed = 0
  const { port, connections } = await startFake(t, (socket, received) => {
    for (const name of commandsIn(received)) {
      if (name !== 'getrange' && name !== 'pttl') socket.write('+OK\r\n')
      else owed++
    }
  })
  const loader = await open(t)
  const group = redisGroup(port, { concurrency: 2, timeoutMs: 60_000 })
  for (const replies of [2, 4, 6, 8, 10]) {
    t.is(connections(), Math.min(1, owed))
    const controller = new AbortController()
    const loading = loader.load(loadRequest(group, 'k', { signal: controller.signal }))
    await until(() => owed === replies)
    controller.abort()
    await refused(t, loading, 'timeout')
  }
  const controller = new AbortController()
  const loading = loader.load(loadRequest(group, 'k', { signal: controller.signal }))
  await until(() => owed === 12)
  t.is(connections(), 2)
  controller.abort()
  await refused(t, loading, 'timeout')
})

test('a load that is aborted does not end those of others when the server is alive', async (t) => {
  const waiting: (() => void)[] = []
  const { port, connections } = await startFake(t, (socket, received) => {
    for (const name of commandsIn(received)) {
      if (name === 'getrange') waiting.push(() => socket.write('$1\r\nv\r\n'))
      else if (name === 'pttl') waiting.push(() => socket.write(':-1\r\n'))
      else socket.write('+OK\r\n')
    }
  })
  const loader = await open(t)
  const group = redisGroup(port, { timeoutMs: 60_000 })
  const controller = new AbortController()
  const left = loader.load(loadRequest(group, 'a', { signal: controller.signal }))
  const stays = loader.load(loadRequest(group, 'b'))
  await until(() => waiting.length === 4)
  controller.abort()
  await refused(t, left, 'timeout')
  const later = loader.load(loadRequest(group, 'c'))
  await until(() => waiting.length === 6)
  for (const answer of waiting) answer()
  t.is(String((await stays).value), 'v')
  t.is(String((await later).value), 'v')
  t.is(connections(), 1)
})

test('a closed loader refuses, and loads under way end', async (t) => {
  const { port } = await startFake(t, () => {})
  const loader = await open(t)
  const group = redisGroup(port)
  const loading = refused(t, loader.load(loadRequest(group, 'k')), 'closing')
  await loader.close()
  await loading
  await refused(t, loader.load(loadRequest(group, 'k')), 'closing', 'the server is ending')
})
