/*
 * A Redis tier that is in use is moved to ringtier, key by key (docs/groups.md): a real redis-server
 * has the data, ringtier stands in front of it, and an application moves over by another port. It
 * must see every value and every TTL, and the old Redis each key once.
 *
 * MIGRATION_KEYS says how many keys there are, for longer runs by hand.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Redis } from 'ioredis'
import { available, freePort, run, type RunningServer, startRedis } from '../process.ts'
import { startRingtier } from '../process.ts'
import { until } from '../until.ts'

const KEYS = Number(process.env.MIGRATION_KEYS ?? 4000)
/** Keys of one command or pipeline. */
const BATCH = 200

const redisTest = available('redis-server') ? test : test.skip
const tlsTest = available('redis-server') && available('openssl') ? test : test.skip

/* ---- the application ---- */

/** What an application has around its cache. It knows nothing of ringtier. */
class Cache {
  readonly redis: Redis

  constructor(redis: Redis) {
    this.redis = redis
  }

  get(key: string): Promise<Buffer | null> {
    return this.redis.getBuffer(key)
  }

  async set(key: string, value: string, seconds?: number): Promise<void> {
    if (seconds === undefined) await this.redis.set(key, value)
    else await this.redis.set(key, value, 'EX', seconds)
  }

  async del(...keys: string[]): Promise<number> {
    return this.redis.del(...keys)
  }

  incr(key: string): Promise<number> {
    return this.redis.incr(key)
  }

  mget(keys: readonly string[]): Promise<(Buffer | null)[]> {
    return this.redis.mgetBuffer(...keys)
  }

  async expire(key: string, seconds: number): Promise<boolean> {
    return (await this.redis.expire(key, seconds)) === 1
  }

  /** In ms; -1: it has none, -2: there is no such key. */
  async ttls(keys: readonly string[]): Promise<number[]> {
    const pipeline = this.redis.pipeline()
    for (const key of keys) pipeline.pttl(key)
    return ((await pipeline.exec()) ?? []).map(([, ttl]) => Number(ttl))
  }
}

function connect(t: ExecutionContext, port: number, options: { db?: number } = {}): Redis {
  const redis = new Redis(port, '127.0.0.1', { ...options, maxRetriesPerRequest: null })
  redis.on('error', () => {}) // it connects again
  t.teardown(() => redis.disconnect())
  return redis
}

/* ---- its data ---- */

/** Some with a TTL, some empty, some of any bytes, some longer than a pipe holds. */
function valueOf(i: number): Buffer {
  if (i % 100 === 1) return Buffer.alloc(0)
  if (i % 500 === 2) return Buffer.alloc(100_000, `${i} `)
  if (i % 10 === 3) return Buffer.from(Array.from({ length: 256 }, (_, byte) => (byte + i) & 255))
  return Buffer.from(`{"id":${i},"name":"thing ${i}"}`)
}

const hasTtl = (i: number): boolean => i % 2 === 0
const keyOf = (i: number): string => `thing:${i}`

async function fill(redis: Redis): Promise<string[]> {
  const keys = Array.from({ length: KEYS }, (_, i) => keyOf(i))
  for (const batch of batchesOf(keys)) {
    const pipeline = redis.pipeline()
    for (const key of batch) {
      const i = Number(key.slice(6))
      if (hasTtl(i)) pipeline.set(key, valueOf(i), 'PX', 600_000 + i * 1000)
      else pipeline.set(key, valueOf(i))
    }
    await pipeline.exec()
  }
  return keys
}

function batchesOf(keys: readonly string[]): string[][] {
  const batches = []
  for (let i = 0; i < keys.length; i += BATCH) batches.push(keys.slice(i, i + BATCH))
  return batches
}

/* ---- the old Redis and ringtier ---- */

interface Tier {
  readonly old: RunningServer
  readonly oldRedis: Redis
  readonly server: RunningServer
  readonly app: Cache
}

async function start(t: ExecutionContext, rules = ''): Promise<Tier> {
  const old = await startRedis()
  t.teardown(() => old.stop())
  const group = `all match * origin redis://127.0.0.1:${old.port} wait none ${rules}`
  const server = await startRingtier({ args: ['--maxmemory', '64mb', '--group', group] })
  t.teardown(() => server.stop())
  const app = new Cache(connect(t, server.port))
  return { old, oldRedis: connect(t, old.port), server, app }
}

/** All that a Redis is asked from now on, in the order of arrival: `getrange thing:1 0 8388608`. */
async function watch(t: ExecutionContext, redis: Redis): Promise<string[]> {
  const seen: string[] = []
  const monitor = await redis.monitor()
  monitor.on('error', () => {})
  t.teardown(() => monitor.disconnect())
  monitor.on('monitor', (_time: string, args: string[]) => {
    seen.push([args[0]!.toLowerCase(), ...args.slice(1)].join(' '))
  })
  return seen
}

/** Resolves when a Redis that is watched has been seen to run all that it was sent so far. */
async function settled(seen: readonly string[], redis: Redis): Promise<void> {
  const word = `settled ${seen.length} ${Math.random()}`
  await redis.echo(word)
  await until(() => seen.includes(`echo ${word}`))
}

/* ---- the tests ---- */

redisTest(
  'a moved application sees every value and TTL, the old Redis each key once',
  async (t) => {
    const { oldRedis, app } = await start(t)
    const old = new Cache(oldRedis)
    const keys = await fill(oldRedis)
    const seen = await watch(t, oldRedis)
    let withTtl = 0
    for (const batch of batchesOf(keys)) {
      const before = await old.ttls(batch)
      // Half of them come by MGET, half by a GET for each, all by both.
      const half = batch.slice(0, BATCH / 2)
      const [some, each] = await Promise.all([
        app.mget(half),
        Promise.all(batch.map((key) => app.get(key))),
      ])
      const ttls = await app.ttls(batch)
      const after = await old.ttls(batch)
      batch.forEach((key, j) => {
        const i = Number(key.slice(6))
        t.deepEqual(each[j], valueOf(i), key)
        if (j < half.length) t.deepEqual(some[j], valueOf(i), key)
        if (!hasTtl(i)) {
          t.is(ttls[j], -1, key)
          return
        }
        withTtl++
        // What is left is less than before and not less than after, but for the rounding of both, and
        // that one counts by the wall's clock and the other by one that is never set.
        const isBetween = ttls[j]! <= before[j]! + 10 && ttls[j]! >= after[j]! - 10
        t.true(isBetween, `${key}: ${before[j]}, then ${ttls[j]}, then ${after[j]}`)
      })
    }
    t.is(withTtl, KEYS / 2)
    for (const batch of batchesOf(keys)) await app.mget(batch)
    t.is(await app.get('nowhere'), null)

    await settled(seen, oldRedis)
    const asked = seen.filter((line) => line.startsWith('getrange thing:'))
    t.is(asked.length, KEYS)
    t.is(new Set(asked).size, KEYS)
    t.is(Number((await statsOf(oldRedis)).get('getrange')), KEYS + 1)
  },
)

redisTest(
  'what a moved application writes stays with ringtier, and the old Redis as it was',
  async (t) => {
    const { oldRedis, app } = await start(t)
    await oldRedis.mset('a', 'old a', 'b', 'old b', 'c', 'old c', 'count', '41')
    const seen = await watch(t, oldRedis)
    await app.set('a', 'new a', 10_000)
    t.is(String(await app.get('a')), 'new a')
    t.is(String(await app.get('b')), 'old b')
    t.true(await app.expire('b', 10_000))
    t.true((await app.ttls(['b']))[0]! > 9_000_000)
    // The old Redis still has it, so that is where it comes from again.
    t.is(await app.del('b'), 1)
    t.is(String(await app.get('b')), 'old b')
    // What is counted is read first: GROUP WARM does it for all that are counted.
    t.is(await app.redis.call('GROUP', 'WARM', 'all', 'count'), 1)
    await until(async () => (await app.redis.exists('count')) === 1)
    t.is(await app.incr('count'), 42)
    t.is(String(await app.get('count')), '42')

    await settled(seen, oldRedis)
    const words = new Set(seen.map((line) => line.split(' ')[0]!))
    for (const word of ['set', 'del', 'incr', 'expire']) t.false(words.has(word), word)
    t.deepEqual(await oldRedis.mget('a', 'b', 'count'), ['old a', 'old b', '41'])
  },
)

redisTest(
  'with `write` the old Redis has what the application set, for those not moved yet',
  async (t) => {
    const { oldRedis, old, app } = await start(t, 'write yes')
    await app.set('a', 'new')
    await app.set('b', 'new', 10_000)
    t.is(await oldRedis.get('a'), 'new')
    t.is(await oldRedis.ttl('a'), -1)
    t.true((await oldRedis.ttl('b')) > 9000)
    await app.redis.mset('c', '1', 'd', '2')
    t.deepEqual(await oldRedis.mget('c', 'd'), ['1', '2'])
    t.is(await app.del('a', 'c'), 2)
    t.deepEqual(await oldRedis.mget('a', 'c'), [null, null])
    t.is(await app.get('a'), null)
    // It cannot be told of this one, and is not left behind in silence.
    await t.throwsAsync(app.incr('d'), { message: /writes to its origin: only SET / })
    t.is(await oldRedis.get('d'), '2')

    old.kill('SIGKILL')
    await old.exited
    await t.throwsAsync(app.set('b', 'newer'), { message: /^ORIGIN all: the origin / })
    await t.throwsAsync(app.get('b'), { message: /^ORIGIN all: the origin / })
  },
)

redisTest('an old Redis that dies is stood in for, and asked again when it is back', async (t) => {
  const { old, oldRedis, app } = await start(t, 'ttl 20ms stale-if-error 1h breaker 5/50ms')
  const keys = Array.from({ length: BATCH }, (_, i) => keyOf(i))
  await oldRedis.mset(...keys.flatMap((key) => [key, `old ${key}`]))
  const values = keys.map((key) => Buffer.from(`old ${key}`))
  const [known, unknown] = [keys.slice(0, BATCH / 2), keys.slice(BATCH / 2)]
  t.deepEqual(await app.mget(known), values.slice(0, BATCH / 2))

  old.kill('SIGKILL')
  await old.exited
  // Past their ttl all of them are asked for, in vain.
  const state = async (key: string): Promise<string> =>
    String(((await app.redis.call('CACHE.GET', key, 'PEEK', 'META')) as string[])[1])
  for (const key of known) await until(async () => (await state(key)) === 'error-only')
  t.deepEqual(await Promise.all(known.map((key) => app.get(key))), values.slice(0, BATCH / 2))
  t.deepEqual(await app.mget(known), values.slice(0, BATCH / 2))
  for (const key of unknown) {
    await t.throwsAsync(app.get(key), { message: /^ORIGIN all: the origin (closed|cannot|failed)/ })
  }

  const again = await startRedis({ port: old.port })
  t.teardown(() => again.stop())
  await oldRedis.mset(...keys.flatMap((key) => [key, `new ${key}`]))
  for (const key of keys) {
    // The breaker lets the first of them through when its time is over.
    await until(async () => String(await app.get(key).catch(() => '')) === `new ${key}`)
  }
  t.pass()
})

tlsTest('over TLS, as a user with a password, out of a database of its own', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-migration-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
  const made = await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
    ...['-keyout', key, '-out', certificate],
  ])
  t.is(made.code, 0, made.stderr)
  const tlsPort = await freePort()
  const old = await startRedis({
    args: [
      ...['--tls-port', String(tlsPort), '--tls-auth-clients', 'no'],
      ...['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', certificate],
      ...['--user', 'mover', 'on', '>p@ss:w/rd', '~*', '+@all'],
    ],
  })
  t.teardown(() => old.stop())
  const oldRedis = connect(t, old.port, { db: 3 })
  await oldRedis.set('a', 'of database 3', 'EX', 10_000)

  const origin = `rediss://mover:p%40ss%3Aw%2Frd@localhost:${tlsPort}/3`
  const args = ['--maxmemory', '8mb', '--group', `all match * origin ${origin} wait none`]
  const env = { NODE_EXTRA_CA_CERTS: certificate }
  const server = await startRingtier({ args, env })
  t.teardown(() => server.stop())
  const app = new Cache(connect(t, server.port))
  t.is(String(await app.get('a')), 'of database 3')
  t.true((await app.ttls(['a']))[0]! > 9_000_000)
  t.is(await app.get('b'), null)

  // Nobody vouches for the certificate where it was not said.
  const strict = await startRingtier({ args })
  t.teardown(() => strict.stop())
  await t.throwsAsync(new Cache(connect(t, strict.port)).get('a'), {
    message:
      /^ORIGIN all: no trusted TLS connection to the origin \(DEPTH_ZERO_SELF_SIGNED_CERT\)$/,
  })
  for (const { output } of [server, strict]) t.notRegex(output(), /p@ss|p%40ss/)
})

/** How often each command was called, by INFO commandstats. */
async function statsOf(redis: Redis): Promise<ReadonlyMap<string, string>> {
  const text = await redis.info('commandstats')
  return new Map([...text.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)].map((m) => [m[1]!, m[2]!]))
}
