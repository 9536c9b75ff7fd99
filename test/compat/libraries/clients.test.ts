/*
 * Real client libraries against ringtier, and the same checks against redis-server, which shows that
 * they ask for what Redis gives. Each library connects in its own way (HELLO, CLIENT SETINFO, INFO),
 * so each does the same work through its own methods, and what it says it did is looked up in the
 * server by a plain socket.
 */
import { randomBytes } from 'node:crypto'
import type { ExecutionContext } from 'ava'
import { Redis as Ioredis } from 'ioredis'
import { Redis as Ioredis5 } from 'ioredis5'
import { Redis as Iovalkey } from 'iovalkey'
import { createClient, RESP_TYPES, WatchError } from 'redis'
import type { RawClient } from '../../raw.ts'
import { onEachServer } from './site.ts'

/** What the checks need, said in each library's own methods. */
interface Driver {
  set(key: Buffer, value: Buffer): Promise<unknown>
  get(key: Buffer): Promise<Buffer | null>
  setPx(key: string, value: string, ms: number): Promise<unknown>
  setNx(key: string, value: string): Promise<unknown>
  expire(key: string, seconds: number): Promise<boolean>
  pttl(key: string): Promise<number>
  mset(pairs: Record<string, string>): Promise<unknown>
  mget(keys: string[]): Promise<(string | null)[]>
  incr(key: string): Promise<number>
  del(keys: string[]): Promise<number>
  scan(match: string): Promise<string[]>
  select(db: number): Promise<unknown>
  clientId(): Promise<number>
  /** SET key n, GET key, a GET with too few arguments, INCR key; all in one write. Errors by message. */
  pipeline(key: string, n: number): Promise<string[]>
  /** WATCH key; then, when `meanwhile` is done, INCR key and GET key at once. Null: key has changed. */
  transaction(key: string, meanwhile: () => Promise<unknown>): Promise<string[] | null>
  /** Any command; its reply, or its error's message. */
  call(...args: string[]): Promise<string>
  close(): Promise<unknown>
}

interface Connection {
  readonly port: number
  readonly password?: string
  readonly db?: number
}

function text(reply: unknown): string {
  if (reply instanceof Error) return reply.message
  return typeof reply === 'string' ? reply : JSON.stringify(reply)
}

/** ioredis 5 and 6 and iovalkey differ in how they connect, not in their methods. */
async function overIoredis(client: Ioredis5): Promise<Driver> {
  client.on('error', () => {}) // a lost connection is told to whoever waits for a reply
  await client.connect()
  return {
    set: (key, value) => client.set(key, value),
    get: (key) => client.getBuffer(key),
    setPx: (key, value, ms) => client.set(key, value, 'PX', ms),
    setNx: (key, value) => client.set(key, value, 'NX'),
    expire: async (key, seconds) => (await client.expire(key, seconds)) === 1,
    pttl: (key) => client.pttl(key),
    mset: (pairs) => client.mset(pairs),
    mget: (keys) => client.mget(keys),
    incr: (key) => client.incr(key),
    del: (keys) => client.del(keys),
    scan: async (match) => {
      const keys: string[] = []
      for await (const page of client.scanStream({ match, count: 50 })) {
        keys.push(...(page as string[]))
      }
      return keys
    },
    select: (db) => client.select(db),
    clientId: () => client.client('ID'),
    pipeline: async (key, n) => {
      const pipeline = client.pipeline().set(key, n).get(key)
      const replies = await pipeline.call('GET').incr(key).exec()
      return replies!.map(([error, reply]) => text(error ?? reply))
    },
    transaction: async (key, meanwhile) => {
      await client.watch(key)
      await meanwhile()
      const replies = await client.multi().incr(key).get(key).exec()
      return replies?.map(([error, reply]) => text(error ?? reply)) ?? null
    },
    call: async (name, ...args) => text(await client.call(name, ...args).catch((e: unknown) => e)),
    close: () => client.quit(),
  }
}

async function overNodeRedis(connection: Connection, RESP: 2 | 3): Promise<Driver> {
  const client = createClient({
    socket: { port: connection.port, host: '127.0.0.1', reconnectStrategy: 5 },
    RESP,
    ...(connection.password === undefined ? {} : { password: connection.password }),
    ...(connection.db === undefined ? {} : { database: connection.db }),
  })
  client.on('error', () => {})
  await client.connect()
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  return {
    set: (key, value) => client.set(key, value),
    get: (key) => binary.get(key),
    setPx: (key, value, ms) => client.set(key, value, { expiration: { type: 'PX', value: ms } }),
    setNx: (key, value) => client.set(key, value, { condition: 'NX' }),
    expire: async (key, seconds) => (await client.expire(key, seconds)) === 1,
    pttl: (key) => client.pTTL(key),
    mset: (pairs) => client.mSet(pairs),
    mget: (keys) => client.mGet(keys),
    incr: (key) => client.incr(key),
    del: (keys) => client.del(keys),
    scan: async (match) => {
      const keys: string[] = []
      for await (const page of client.scanIterator({ MATCH: match, COUNT: 50 })) keys.push(...page)
      return keys
    },
    select: (db) => client.select(db),
    clientId: () => client.clientId(),
    pipeline: async (key, n) => {
      // Sent in one turn they leave in one write.
      const sent = [client.set(key, String(n)), client.get(key), client.sendCommand(['GET'])]
      const replies = await Promise.allSettled([...sent, client.incr(key)])
      return replies.map((reply) => text(reply.status === 'fulfilled' ? reply.value : reply.reason))
    },
    transaction: async (key, meanwhile) => {
      await client.watch(key)
      await meanwhile()
      const replies = client.multi().incr(key).get(key).exec()
      return await replies.then(
        (all) => all.map(text),
        (error: unknown) => {
          if (error instanceof WatchError) return null
          throw error
        },
      )
    },
    call: async (...args) => text(await client.sendCommand(args).catch((e: unknown) => e)),
    close: () => client.close(),
  }
}

/** As the libraries of ioredis's kind have them. */
interface IoredisOptions {
  readonly protocol?: 2 | 3
  readonly enableAutoPipelining?: boolean
}

function optionsOf(connection: Connection, options: IoredisOptions) {
  return { ...connection, ...options, lazyConnect: true, retryStrategy: () => 5 }
}

const ioredis6 = (options: IoredisOptions) => (connection: Connection) =>
  overIoredis(new Ioredis(optionsOf(connection, options)) as unknown as Ioredis5)
const ioredis5 = (options: IoredisOptions) => (connection: Connection) =>
  overIoredis(new Ioredis5(optionsOf(connection, options)))
const iovalkey = (options: IoredisOptions) => (connection: Connection) =>
  overIoredis(new Iovalkey(optionsOf(connection, options)) as unknown as Ioredis5)

const libraries: Record<string, (connection: Connection) => Promise<Driver>> = {
  'ioredis 6': ioredis6({}),
  'ioredis 6 in RESP2': ioredis6({ protocol: 2 }),
  'ioredis 6 with auto-pipelining': ioredis6({ enableAutoPipelining: true }),
  'ioredis 5': ioredis5({}),
  'ioredis 5 with auto-pipelining': ioredis5({ enableAutoPipelining: true }),
  iovalkey: iovalkey({}),
  'iovalkey with auto-pipelining': iovalkey({ enableAutoPipelining: true }),
  'node-redis 5': (connection) => overNodeRedis(connection, 2),
  'node-redis 5 in RESP3': (connection) => overNodeRedis(connection, 3),
}

interface Trial {
  readonly raw: RawClient
  readonly open: (options?: Omit<Connection, 'port'>) => Promise<Driver>
}

type Check = (t: ExecutionContext, trial: Trial) => Promise<void>

const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

const checks: Record<string, Check> = {
  'values of every byte and size come back as they were': async (t, { raw, open }) => {
    const client = await open()
    // Around the sizes where a value moves to pages of its own, and one of many pages.
    for (const size of [0, 1, 16_383, 65_535, 65_536, 65_537, 3_000_001]) {
      const key = Buffer.concat([EVERY_BYTE, Buffer.from(String(size))])
      const value = randomBytes(size)
      await client.set(key, value)
      t.true(value.equals((await client.get(key))!), `${size} bytes`)
      t.true(value.equals((await raw.get(key))!), `${size} bytes in the server`)
    }
    t.is(await client.get(Buffer.from('missing')), null)
    await client.close()
  },

  'expiry is set with the value and after it': async (t, { raw, open }) => {
    const client = await open()
    await client.setPx('px', 'v', 100_000)
    const left = await client.pttl('px')
    t.true(left > 90_000 && left <= 100_000, String(left))
    t.true(await client.expire('px', 5_000))
    t.regex(await raw.command('TTL', 'px'), /^:(5000|4999)\r\n$/)
    t.false(await client.expire('no such key', 5))
    await client.setPx('gone at once', 'v', 1)
    while ((await raw.command('EXISTS', 'gone at once')) !== ':0\r\n');
    t.is(await client.get(Buffer.from('gone at once')), null)
    t.is(await client.pttl('gone at once'), -2)
    await client.close()
  },

  'many keys are set, read, counted, scanned and deleted': async (t, { raw, open }) => {
    const client = await open()
    const pairs = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`many:${i}`, `v${i}`]))
    const keys = Object.keys(pairs)
    await client.mset(pairs)
    t.deepEqual(await client.mget([...keys, 'many:none']), [...Object.values(pairs), null])
    t.is(await raw.command('GET', 'many:299'), '$4\r\nv299\r\n')
    t.deepEqual((await client.scan('many:*')).sort(), keys.sort())
    t.is(await client.del(['many:0', 'many:1', 'many:none']), 2)
    t.is(await raw.command('EXISTS', 'many:0', 'many:1', 'many:2'), ':1\r\n')
    await client.close()
  },

  'a counter and a conditional set': async (t, { raw, open }) => {
    const client = await open()
    t.is(await client.incr('counter'), 1)
    t.is(await client.incr('counter'), 2)
    t.is(await raw.command('GET', 'counter'), '$1\r\n2\r\n')
    t.is(await client.setNx('counter', 'x'), null)
    t.is(await client.setNx('counter:2', 'x'), 'OK')
    t.is(await raw.command('MGET', 'counter', 'counter:2'), '*2\r\n$1\r\n2\r\n$1\r\nx\r\n')
    await client.close()
  },

  'pipelines answer in order, errors in their places': async (t, { raw, open }) => {
    const client = await open()
    const all = await Promise.all(
      Array.from({ length: 200 }, (_, i) => client.pipeline(`piped:${i}`, i)),
    )
    for (const [i, replies] of all.entries()) {
      const wrong = "ERR wrong number of arguments for 'get' command"
      t.deepEqual(replies, ['OK', String(i), wrong, String(i + 1)])
    }
    t.is(await raw.command('GET', 'piped:199'), '$3\r\n200\r\n')
    await client.close()
  },

  'a transaction runs at once, or not at all': async (t, { raw, open }) => {
    const client = await open()
    t.deepEqual(await client.transaction('watched', () => Promise.resolve()), ['1', '1'])
    t.is(await client.transaction('watched', () => raw.command('SET', 'watched', '7')), null)
    t.is(await raw.command('GET', 'watched'), '$1\r\n7\r\n')
    t.deepEqual(await client.transaction('watched', () => raw.command('GET', 'watched')), [
      '8',
      '8',
    ])
    t.is(await raw.command('GET', 'watched'), '$1\r\n8\r\n')
    await client.close()
  },

  'errors keep the words of Redis': async (t, { open }) => {
    const client = await open()
    await client.call('SET', 'text', 'abc')
    t.is(await client.call('INCR', 'text'), 'ERR value is not an integer or out of range')
    t.is(
      await client.call('SET', 'text', 'x', 'EX', '0'),
      "ERR invalid expire time in 'set' command",
    )
    t.regex(await client.call('NOSUCHCMD', 'a'), /^ERR unknown command 'NOSUCHCMD', with args/)
    t.is(await client.call('GET', 'text'), 'abc')
    await client.close()
  },

  'a chosen database is kept apart, also after the connection was lost': async (t, trial) => {
    const client = await trial.open({ db: 3 })
    await client.call('SET', 'where', 'three')
    await client.select(4)
    await client.call('SET', 'where', 'four')
    t.is(await trial.raw.command('GET', 'where'), '$-1\r\n')

    const id = await client.clientId()
    t.is(await trial.raw.command('CLIENT', 'KILL', 'ID', String(id)), ':1\r\n')
    // What is sent into the dead connection fails or is sent again; soon the library is back.
    let found = ''
    while (found !== 'four') found = await client.call('GET', 'where')
    t.not(await client.clientId(), id)

    await trial.raw.command('SELECT', '3')
    t.is(await trial.raw.command('GET', 'where'), '$5\r\nthree\r\n')
    await trial.raw.command('SELECT', '4')
    t.is(await trial.raw.command('GET', 'where'), '$4\r\nfour\r\n')
    await trial.raw.command('SELECT', '0')
    await client.close()
  },
}

const PASSWORD = 'correct horse battery staple'

for (const [name, connect] of Object.entries(libraries)) {
  for (const [title, check] of Object.entries(checks)) {
    onEachServer(`${name}: ${title}`, (t, { port, raw }) =>
      check(t, { raw, open: (options) => connect({ ...options, port }) }),
    )
  }

  onEachServer(
    `${name}: a password opens the server`,
    async (t, { port, raw }) => {
      const client = await connect({ port, password: PASSWORD })
      t.is(await client.call('SET', 'locked', name), 'OK')
      t.is(await raw.command('GET', 'locked'), '-NOAUTH Authentication required.\r\n')
      t.is(await raw.command('AUTH', PASSWORD), '+OK\r\n')
      t.is(String(await raw.get('locked')), name)
      await client.close()
    },
    { args: ['--requirepass', PASSWORD] },
  )
}
