/* Write-through over whole servers in this process, on virtual time; the real origins are in compat/. */
import test, { type ExecutionContext } from 'ava'
import { OriginError } from '../../../cluster/origin/loader.ts'
import type { Loaded, Loader, LoadRequest, WriteRequest } from '../../../cluster/origin/loader.ts'
import type { RawClient } from '../../raw.ts'
import { SeededRandom } from '../../sim/random.ts'
import { type InProcess, startCluster, startInProcess } from '../in-process.ts'

const GROUP =
  'w match w:{id} origin http://h/{id} write yes ttl 1h stale 1h early 0 wait 5s timeout 5s breaker off'

/** A map that is told of changes: at once, or when the test says. */
class Origin implements Loader {
  readonly values = new Map<string, string>()
  /** What it was told, and what became of it. */
  readonly told: string[] = []
  holds = false
  fails = false
  #held: (() => void)[] = []

  async load({ key }: LoadRequest): Promise<Loaded> {
    const value = this.values.get(Buffer.from(key).toString())
    return { value: value === undefined ? null : Buffer.from(value) }
  }

  write({ key, value, ttlMs, signal }: WriteRequest): Promise<void> {
    const name = Buffer.from(key).toString()
    const text = value === null ? null : Buffer.from(value).toString()
    this.told.push(`${name} ${text === null ? 'removed' : text.slice(0, 20)} ${ttlMs}`)
    if (this.fails) {
      return Promise.reject(new OriginError('status', 'ORIGIN w: the origin answered 500'))
    }
    const take = (): void => {
      if (signal.aborted) return
      if (text === null) this.values.delete(name)
      else this.values.set(name, text)
    }
    if (!this.holds) {
      take()
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      this.#held.push(() => {
        take()
        resolve()
      })
    })
  }

  get underWay(): number {
    return this.#held.length
  }

  deliver(which = 0): void {
    this.#held.splice(which, 1)[0]?.()
  }

  async close(): Promise<void> {}
}

interface Scene {
  readonly host: InProcess
  readonly origin: Origin
  /** The replies to commands of words without blanks, sent in one go, shown. */
  say(...lines: string[]): Promise<string>
}

async function start(t: ExecutionContext): Promise<Scene> {
  const origin = new Origin()
  const host = await startInProcess(['--group', GROUP], { loader: origin })
  t.teardown(() => host.server.shutdown())
  const client = host.connect()
  return { host, origin, say: (...lines) => say(client, ...lines) }
}

async function say(client: RawClient, ...lines: readonly string[]): Promise<string> {
  const replies = await Promise.all(lines.map((line) => client.send(line.split(' '))))
  return replies.map((reply) => reply.trimEnd().replaceAll('\r\n', ' ')).join(' | ')
}

const FAILED = '-ORIGIN w: the origin answered 500'

for (const [line, reply, told, left] of [
  ['SET w:1 v', '+OK', ['w:1 v 0'], 'v'],
  ['SET w:1 v EX 10', '+OK', ['w:1 v 10000'], 'v'],
  ['SET w:1 v PX 10', '+OK', ['w:1 v 10'], 'v'],
  ['SET w:1 v KEEPTTL', '+OK', ['w:1 v 0'], 'v'],
  ['SETEX w:1 10 v', '+OK', ['w:1 v 10000'], 'v'],
  ['PSETEX w:1 10 v', '+OK', ['w:1 v 10'], 'v'],
  ['MSET w:1 v other x w:2 y', '+OK', ['w:1 v 0', 'w:2 y 0'], 'v'],
  ['CACHE.SET w:1 v PX 50 STALE 100 TAGS 1 x', '+OK', ['w:1 v 50'], 'v'],
  ['DEL w:1', ':1', ['w:1 removed 0'], null],
  ['UNLINK w:1 other w:2', ':3', ['w:1 removed 0', 'w:2 removed 0'], null],
  ['GETDEL w:1', '$3 old', ['w:1 removed 0'], null],
] as const) {
  test(`${line} is acknowledged when the origin has it, and not done when it has not`, async (t) => {
    const { host, origin, say } = await start(t)
    await say('MSET w:1 old w:2 old other old')
    origin.told.length = 0
    origin.holds = true
    let heard = ''
    const writing = say(line).then((text) => (heard = text))
    await host.clock.settle()
    t.is(heard, '')
    const reader = host.connect()
    t.is(String(await reader.get('w:1')), 'old', 'a read meanwhile waits for nothing')
    t.is(String(await reader.get('other')), 'old')
    while (origin.underWay > 0) origin.deliver()
    await writing
    t.is(heard, reply)
    t.deepEqual(origin.told, told)
    t.is(origin.values.get('w:1') ?? null, left)
    t.is((await reader.get('w:1'))?.toString() ?? null, left)

    // The same once more, and the origin fails: the cache forgets, the error is the client's.
    origin.holds = false
    await say('MSET w:1 old w:2 old other old')
    origin.fails = true
    t.is(await say(line), FAILED)
    t.is(await say('EXISTS w:1', 'EXISTS other'), ':0 | :1')
    if (/w:2/.test(line)) t.is(await say('EXISTS w:2'), ':0')
    t.is(await say('GET w:1'), '$3 old', 'the origin has it')
  })
}

test('what the origin could not be told is refused, of its keys only', async (t) => {
  const { origin, say } = await start(t)
  await say('SET w:1 1')
  origin.told.length = 0
  for (const line of [
    ...[
      'APPEND w:1 x',
      'INCR w:1',
      'DECR w:1',
      'INCRBY w:1 2',
      'DECRBY w:1 2',
      'INCRBYFLOAT w:1 2',
    ],
    ...['SETNX w:1 x', 'GETSET w:1 x', 'SETRANGE w:1 0 x', 'MSETNX w:1 x a b', 'MSETNX a b w:1 x'],
    ...['SETBIT w:1 0 1', 'BITFIELD w:1 SET u8 0 1', 'BITOP NOT w:1 b', 'BITOP OR w:1 a w:1'],
    ...['SET w:1 x NX', 'SET w:1 x XX', 'SET w:1 x GET', 'SET w:1 x EX 10 NX'],
  ]) {
    t.is(
      await say(line),
      "-ERR group 'w' writes to its origin: only SET (without NX, XX and GET), SETEX, PSETEX, MSET, " +
        'DEL, UNLINK, GETDEL and CACHE.SET may change its keys',
      line,
    )
    const other = line.replaceAll('w:1', 'n')
    t.notRegex(await say(other, 'DEL n a'), /^-/, other)
  }
  t.is(await say('BITFIELD w:1 GET u8 0'), '*1 :49')
  t.is(await say('BITOP NOT n w:1', 'DEL n'), ':1 | :1')
  t.is(await say('GET w:1'), '$1 1')
  t.deepEqual(origin.told, [])
})

test('what is wrong is told as ever, and no origin hears of it', async (t) => {
  const { origin, say } = await start(t)
  t.is(await say('SET w:1 v EX 0'), "-ERR invalid expire time in 'set' command")
  t.is(await say('SET w:1 v EX x'), '-ERR value is not an integer or out of range')
  t.is(await say('SET w:1 v FOO'), '-ERR syntax error')
  t.is(await say('SETEX w:1 0 v'), "-ERR invalid expire time in 'setex' command")
  t.is(await say('MSET w:1'), "-ERR wrong number of arguments for 'mset' command")
  t.is(await say('MSET w:1 v w:2'), "-ERR wrong number of arguments for 'mset' command")
  t.is(await say('CACHE.SET w:1 v TAGS 9'), '-ERR syntax error')
  t.deepEqual(origin.told, [])
})

test('commands about time, and those who load themselves, are about the cache alone', async (t) => {
  const { host, origin, say } = await start(t)
  await say('SET w:1 v')
  origin.told.length = 0
  t.is(
    await say('EXPIRE w:1 100', 'TTL w:1', 'PERSIST w:1', 'PEXPIRE w:1 50'),
    ':1 | :100 | :1 | :1',
  )
  t.is(await say('GETEX w:1 EX 100', 'TOUCH w:1'), '$1 v | :1')
  await host.clock.advance(100_000)
  t.is(await say('EXISTS w:1'), ':0')
  const token = /(\d+)$/.exec(await say('CACHE.LEASE w:1'))![1]!
  t.is(await say(`CACHE.FILL w:1 ${token} filled`, 'GET w:1'), ':1 | $6 filled')
  t.is(await say('FLUSHALL', 'GET w:1'), '+OK | $1 v')
  t.deepEqual(origin.told, [])
})

test('large values and CLIENT REPLY OFF go through as well', async (t) => {
  const { host, origin, say } = await start(t)
  const large = 'x'.repeat(300_000)
  t.is(await say(`SET w:1 ${large}`), '+OK')
  t.is(origin.values.get('w:1'), large)
  t.is((await host.connect().get('w:1'))?.length, 300_000)
  const quiet = host.connect()
  for (const line of ['CLIENT REPLY OFF', 'SET w:2 a', 'SET w:2 b', 'DEL w:1']) {
    void quiet.send(line.split(' ')).catch(() => {})
  }
  await host.clock.settle()
  quiet.close()
  t.is(await say('GET w:2', 'GET w:1'), '$1 b | $-1')
  t.is(origin.values.get('w:2'), 'b')
})

test('of a key that a command names twice the origin hears once, what is left in the end', async (t) => {
  const { origin, say } = await start(t)
  t.is(await say('MSET w:1 a w:2 b w:1 c', 'GET w:1', 'DEL w:1 w:1 w:2'), '+OK | $1 c | :2')
  t.deepEqual(origin.told, ['w:1 c 0', 'w:2 b 0', 'w:1 removed 0', 'w:2 removed 0'])
})

test('two commands of the same keys in another order do not wait for each other', async (t) => {
  const { host, origin, say } = await start(t)
  origin.holds = true
  const both = [say('MSET w:1 a w:2 a'), host.connect().command('MSET', 'w:2', 'b', 'w:1', 'b')]
  await host.clock.settle()
  for (let i = 0; i < 4; i++) {
    origin.deliver()
    await host.clock.settle()
  }
  t.deepEqual(await Promise.all(both), ['+OK', '+OK\r\n'])
  t.is(await say('MGET w:1 w:2'), '*2 $1 b $1 b')
})

test('later commands of a connection see its writes; other connections wait for nothing', async (t) => {
  const { host, origin, say } = await start(t)
  origin.holds = true
  const replies = say('SET w:1 a', 'GET w:1', 'SET other b', 'DEL w:1', 'EXISTS w:1')
  await host.clock.settle()
  t.is(await say_(host.connect(), 'SET other c'), '+OK')
  origin.deliver()
  await host.clock.settle()
  origin.deliver()
  t.is(await replies, '+OK | $1 a | +OK | :1 | :0')
  t.is(await say('GET other'), '$1 b')

  function say_(client: RawClient, line: string): Promise<string> {
    return client.send(line.split(' ')).then((reply) => reply.trimEnd())
  }
})

test('an origin that hangs: everyone hears so at their own deadline, and the cache has forgotten', async (t) => {
  const { host, origin, say } = await start(t)
  await say('SET w:1 old')
  origin.holds = true
  const heard: string[] = []
  const { clock } = host
  for (let i = 0; i < 4; i++) {
    const writing = host.connect().command('SET', 'w:1', `v${i}`)
    void writing.then((reply) => heard.push(`${i} ${reply.trimEnd()}`))
    await clock.advance(1000)
  }
  t.deepEqual(heard, [])
  const late = (i: number): string =>
    `${i} -ORIGIN w: no complete answer from the origin within 5000 ms`
  await clock.advance(1000)
  t.deepEqual(heard, [late(0)])
  await clock.advance(1000)
  t.deepEqual(heard, [late(0), late(1)])
  await clock.advance(2000)
  t.deepEqual(heard, [0, 1, 2, 3].map(late))
  t.is(await say('EXISTS w:1'), ':0')
  // What it takes too late changes nothing here, and the next one is taken.
  while (origin.underWay > 0) origin.deliver()
  origin.holds = false
  t.is(await say('SET w:1 new', 'GET w:1'), '+OK | $3 new')
})

test('a load that read before a write is fenced off by it, whether the origin took it or not', async (t) => {
  const { host, origin, say } = await start(t)
  for (const fails of [false, true]) {
    origin.fails = false
    await say('SET w:1 old')
    await host.connect().command('FLUSHALL')
    let answer: (loaded: Loaded) => void = () => {}
    origin.load = () => new Promise((resolve) => (answer = resolve))
    const reading = host.connect().get('w:1')
    await host.clock.settle()
    origin.fails = fails
    t.is(await say('SET w:1 new'), fails ? FAILED : '+OK')
    answer({ value: Buffer.from('old') })
    t.is(String(await reading), 'old')
    t.is(await say('EXISTS w:1'), fails ? ':0' : ':1')
  }
})

test('of two writers of a key, cache and origin end with the same one; whatever the order', async (t) => {
  const { host, origin, say } = await start(t)
  const clients = [host.connect(), host.connect(), host.connect()]
  for (let seed = 1; seed <= 200; seed++) {
    const random = new SeededRandom(seed)
    const key = `w:${seed}`
    origin.holds = true
    const open = new Set<Promise<unknown>>()
    for (let step = 0; step < 12; step++) {
      const client = random.pick(clients)
      const line = random.pick([`SET ${key} ${step}`, `DEL ${key}`, `MSET ${key} ${step} w:x y`])
      open.add(client.send(line.split(' ')))
      await host.clock.settle()
      if (random.below(2) === 0) origin.deliver(random.below(Math.max(1, origin.underWay)))
    }
    origin.holds = false
    while (origin.underWay > 0) {
      origin.deliver()
      await host.clock.settle()
    }
    await Promise.all(open)
    const cached = await say(`CACHE.GET ${key} PEEK`)
    const there = origin.values.get(key)
    t.is(cached, there === undefined ? '$-1' : `$${there.length} ${there}`, `seed ${seed}`)
  }
})

test('through other nodes: slower than they wait for each other, told once, in one order', async (t) => {
  const origin = new Origin()
  const cluster = await startCluster(3, ['--group', GROUP], { loader: origin })
  t.teardown(() => cluster.shutdown())
  const clients = cluster.nodes.map((node) => node.connect())
  origin.holds = true
  const heard: string[] = []
  for (const [i, client] of clients.entries()) {
    void client.command('SET', 'w:1', `v${i}`).then((reply) => heard.push(reply.trimEnd()))
    await cluster.settle()
  }
  await cluster.clock.advance(3000)
  t.deepEqual(heard, [])
  t.is(origin.told.length, 1)
  for (let i = 1; i <= 3; i++) {
    origin.deliver()
    await cluster.settle()
    t.is(heard.length, i)
  }
  t.deepEqual(origin.told, ['w:1 v0 0', 'w:1 v1 0', 'w:1 v2 0'])
  for (const client of clients) t.is(String(await client.get('w:1')), 'v2')

  void say(clients[0]!, 'MSET w:2 a w:3 b w:4 c other d').then((reply) => heard.push(reply))
  await cluster.clock.advance(3000)
  t.is(origin.underWay, 3)
  origin.fails = true
  while (origin.underWay > 0) origin.deliver()
  await cluster.settle()
  t.is(heard.at(-1), '+OK')
  for (const client of clients) {
    t.is(await say(client, 'SET w:2 z'), FAILED)
    t.regex(await say(client, 'CACHE.GET w:2 PEEK', 'INCR w:3'), /^\$-1 \| -ERR group 'w' writes/)
  }
})

test('what the origin has taken and the cache cannot, the cache forgets', async (t) => {
  const origin = new Origin()
  const args = ['--group', GROUP, '--maxmemory', '2mb', '--maxmemory-policy', 'noeviction']
  const host = await startInProcess(args, { loader: origin })
  t.teardown(() => host.server.shutdown())
  const client = host.connect()
  t.is(await say(client, 'SET w:1 old'), '+OK')
  let reply = '+OK'
  for (let i = 0; reply === '+OK'; i++) {
    t.true(i < 1000)
    reply = await say(client, `SET fill:${i} ${'x'.repeat(10_000)}`)
  }
  t.regex(await say(client, `SET w:1 ${'x'.repeat(60_000)}`), /OOM/)
  t.is(origin.values.get('w:1')?.length, 60_000)
  t.is(await say(client, 'EXISTS w:1'), ':0')
})
