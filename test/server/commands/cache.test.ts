/* CACHE.*, over whole servers in this process, on virtual time. */
import test, { type ExecutionContext } from 'ava'
import { OriginError } from '../../../cluster/origin/loader.ts'
import type { Loaded, Loader, LoadRequest } from '../../../cluster/origin/loader.ts'
import { readReplies, type Resp } from '../../protocol/resp.ts'
import type { RawClient } from '../../raw.ts'
import { type InProcess, startCluster, startInProcess } from '../in-process.ts'

const GROUP =
  'k match k:{id} origin http://h/{id} ttl 10s stale 20s stale-if-error 60s negative 5s early 0 ' +
  'wait 1s timeout 3s breaker off'

/** Answers `origin <key> <version>`, with the key's number as a tag; at once, or when it is told. */
class Origin implements Loader {
  version = 1
  loads = 0
  mode: 'answers' | 'fails' | 'lacks' | 'holds' = 'answers'
  #held: (() => void)[] = []

  load({ key }: LoadRequest): Promise<Loaded> {
    this.loads++
    const name = Buffer.from(key).toString()
    const value = Buffer.from(`origin ${name} ${this.version}`)
    const loaded = { value, tags: [`tag ${name}`, 'all'] }
    if (this.mode === 'fails') {
      return Promise.reject(new OriginError('status', 'ORIGIN k: the origin answered 500'))
    }
    if (this.mode === 'lacks') return Promise.resolve({ value: null })
    if (this.mode === 'answers') return Promise.resolve(loaded)
    return new Promise((resolve) => this.#held.push(() => resolve(loaded)))
  }

  deliver(): void {
    for (const answer of this.#held.splice(0)) answer()
  }

  async close(): Promise<void> {}
}

interface Scene {
  readonly host: InProcess
  readonly origin: Origin
  readonly client: RawClient
  /** The reply to a command of words without blanks, shown. */
  say(line: string): Promise<string>
  pass(ms: number): Promise<void>
}

async function start(t: ExecutionContext, ...args: readonly string[]): Promise<Scene> {
  const origin = new Origin()
  const host = await startInProcess(['--group', GROUP, ...args], { loader: origin })
  t.teardown(() => host.server.shutdown())
  const client = host.connect()
  return {
    ...{ host, origin, client },
    say: (line) => say(client, line),
    pass: (ms) => host.clock.advance(ms),
  }
}

async function say(client: RawClient, line: string): Promise<string> {
  return shown(await client.send(line.split(' ')))
}

/** `[hit, v, nil]`, `{state: fresh}`, `nil`, `OK`, `ERR ...` */
function shown(reply: string): string {
  return readReplies(reply).map(show).join()
}

function show({ type, value }: Resp): string {
  if (value === null) return 'nil'
  if (typeof value === 'string') return value
  const words = value.map(show)
  if (type !== '%') return `[${words.join(', ')}]`
  const pairs = words.flatMap((word, i) => (i % 2 === 0 ? [`${word}: ${words[i + 1]}`] : []))
  return `{${pairs.join(', ')}}`
}

/** A map as RESP2 has it, as an object. */
async function fieldsOf(client: RawClient, ...command: string[]): Promise<Record<string, string>> {
  const [reply] = readReplies(await client.send(command))
  const words = (reply!.value as Resp[]).map(show)
  return Object.fromEntries(words.flatMap((w, i) => (i % 2 === 0 ? [[w, words[i + 1]!]] : [])))
}

/** The token of `[lease, ..., token]`. */
function tokenOf(reply: string): string {
  const token = /^\[lease, .*, (\d+)\]$/.exec(reply)?.[1]
  if (token === undefined) throw new Error(`no lease: ${reply}`)
  return token
}

/* ---- CACHE.GET ---- */

test('CACHE.GET without a group is a GET that tells more', async (t) => {
  const { say, pass, origin } = await start(t)
  t.is(await say('CACHE.GET a'), 'nil')
  t.is(
    await say('CACHE.GET a META'),
    '[state, missing, group, nil, age-ms, -1, fresh-for-ms, -1, ttl-ms, -1, value, nil]',
  )
  await say('SET a v')
  t.is(await say('CACHE.GET a FRESH'), 'v')
  t.is(
    await say('CACHE.GET a META'),
    '[state, fresh, group, nil, age-ms, -1, fresh-for-ms, -1, ttl-ms, -1, value, v]',
  )
  await say('CACHE.SET a w PX 1000 STALE 2000')
  await pass(400)
  t.is(
    await say('CACHE.GET a META PEEK'),
    '[state, fresh, group, nil, age-ms, 400, fresh-for-ms, 600, ttl-ms, 2600, value, w]',
  )
  await pass(1100)
  t.is(
    await say('CACHE.GET a META'),
    '[state, stale, group, nil, age-ms, 1500, fresh-for-ms, 0, ttl-ms, 1500, value, w]',
  )
  t.is(await say('CACHE.GET a'), 'w')
  t.is(await say('CACHE.GET a FRESH'), 'nil')
  t.is(await say('CACHE.GET a STALE 500'), 'w')
  t.is(await say('CACHE.GET a STALE 499'), 'nil')
  t.is(await say('GET a'), 'w')
  await pass(1500)
  t.is(await say('CACHE.GET a'), 'nil')
  t.is(origin.loads, 0)
})

test('CACHE.GET of a group loads what is missing or too old, unless it peeks', async (t) => {
  const { say, pass, origin } = await start(t)
  t.is(await say('CACHE.GET k:1 PEEK'), 'nil')
  t.is(
    await say('CACHE.GET k:1 PEEK META'),
    '[state, missing, group, k, age-ms, -1, fresh-for-ms, -1, ttl-ms, -1, value, nil]',
  )
  t.is(origin.loads, 0)
  t.is(
    await say('CACHE.GET k:1 META'),
    '[state, fresh, group, k, age-ms, 0, fresh-for-ms, 10000, ttl-ms, 30000, value, origin k:1 1]',
  )
  t.is(origin.loads, 1)
  await pass(12_000)
  origin.mode = 'holds'
  origin.version = 2
  // Stale: at once, and loaded meanwhile, once.
  t.is(
    await say('CACHE.GET k:1 PEEK META'),
    '[state, stale, group, k, age-ms, 12000, fresh-for-ms, 0, ttl-ms, 18000, value, origin k:1 1]',
  )
  t.is(origin.loads, 1)
  t.is(await say('CACHE.GET k:1 STALE 2000'), 'origin k:1 1')
  t.is(await say('CACHE.GET k:1'), 'origin k:1 1')
  t.is(origin.loads, 2)
  // Too stale for these: they wait for that load.
  const waiting = [say('CACHE.GET k:1 FRESH'), say('CACHE.GET k:1 STALE 1999')]
  await pass(0)
  origin.deliver()
  t.deepEqual(await Promise.all(waiting), ['origin k:1 2', 'origin k:1 2'])
  t.is(origin.loads, 2)
})

test('CACHE.GET REFRESH loads anew what is fresh, and what is there stays if that fails', async (t) => {
  const { say, origin } = await start(t)
  t.is(await say('CACHE.GET k:1'), 'origin k:1 1')
  origin.version = 2
  t.is(await say('CACHE.GET k:1'), 'origin k:1 1')
  t.is(await say('CACHE.GET k:1 REFRESH'), 'origin k:1 2')
  t.is(await say('GET k:1'), 'origin k:1 2')
  origin.mode = 'fails'
  t.is(await say('CACHE.GET k:1 REFRESH META'), 'ORIGIN k: the origin answered 500')
  t.is(await say('GET k:1'), 'origin k:1 2')
  t.is(origin.loads, 3)
  origin.mode = 'lacks'
  t.is(await say('CACHE.GET k:1 REFRESH'), 'nil')
  t.is(await say('GET k:1'), 'nil')
  // No group loads this one.
  await say('SET a v')
  t.is(await say('CACHE.GET a REFRESH'), 'v')
  t.is(await say('CACHE.GET k:1 PEEK REFRESH'), 'ERR syntax error')
})

test('CACHE.GET FRESH never gives what is stale, and CACHE.GET does when a load fails', async (t) => {
  const { say, pass, origin } = await start(t)
  await say('GET k:1')
  origin.mode = 'fails'
  await pass(12_000)
  t.is(await say('CACHE.GET k:1 FRESH'), 'ORIGIN k: the origin answered 500')
  t.is(await say('CACHE.GET k:1 STALE 100'), 'ORIGIN k: the origin answered 500')
  t.is(await say('CACHE.GET k:1 STALE 3000'), 'origin k:1 1')
  await pass(28_000)
  t.is(
    await say('CACHE.GET k:1 META PEEK'),
    '[state, error-only, group, k, age-ms, 40000, fresh-for-ms, 0, ttl-ms, 0, value, nil]',
  )
  t.is(await say('CACHE.GET k:1'), 'origin k:1 1')
  t.is(await say('CACHE.GET k:1 STALE 20000'), 'ORIGIN k: the origin answered 500')
  origin.mode = 'holds'
  const late = say('CACHE.GET k:1 FRESH')
  await pass(1000)
  t.is(await late, 'nil')
})

test('CACHE.GET of what the origin lacks is nil, and known for as long as the group says', async (t) => {
  const { say, pass, origin } = await start(t)
  origin.mode = 'lacks'
  t.is(
    await say('CACHE.GET k:1 META'),
    '[state, negative, group, k, age-ms, 0, fresh-for-ms, 5000, ttl-ms, 5000, value, nil]',
  )
  t.is(await say('CACHE.GET k:1 FRESH'), 'nil')
  t.is(origin.loads, 1)
  t.is(await say('EXISTS k:1'), '0')
  t.is(await say('DBSIZE'), '0')
  await pass(5000)
  t.is(await say('CACHE.GET k:1'), 'nil')
  t.is(origin.loads, 2)
})

test('what CACHE.GET finds is counted as what GET finds', async (t) => {
  const { say, pass, client } = await start(t)
  await say('CACHE.GET k:1')
  await say('CACHE.GET k:1')
  await pass(12_000)
  await say('CACHE.GET k:1')
  await say('CACHE.GET k:1 PEEK')
  const { hits, stale_hits, misses } = await fieldsOf(client, 'GROUP', 'INFO', 'k')
  t.deepEqual({ hits, stale_hits, misses }, { hits: '1', stale_hits: '1', misses: '1' })
})

test('RESP3 has maps, and CLIENT REPLY OFF has nothing but its effects', async (t) => {
  const { say, host } = await start(t)
  const quiet = host.connect()
  void quiet.command('CLIENT', 'REPLY', 'OFF').catch(() => {})
  for (const line of ['CACHE.SET a v', 'CACHE.GET k:1 META', 'CACHE.LEASE b', 'CACHE.EXPLAIN a']) {
    void quiet.send(line.split(' ')).catch(() => {})
  }
  await host.clock.settle()
  quiet.close()
  t.is(await say('GET a'), 'v')
  t.is(await say('CACHE.GET k:1 PEEK'), 'origin k:1 1')
  t.is(await say('CACHE.LEASE b'), '[wait, nil, nil]')
  await say('HELLO 3')
  t.is(
    await say('CACHE.GET a META'),
    '{state: fresh, group: nil, age-ms: 0, fresh-for-ms: -1, ttl-ms: -1, value: v}',
  )
  t.regex(await say('CACHE.EXPLAIN a'), /^\{owner: , group: nil, state: fresh, .*, origin: nil\}$/)
})

/* ---- CACHE.SET ---- */

test('CACHE.SET keeps a value fresh, then stale, and TTL tells the end of what it is', async (t) => {
  const { say, pass } = await start(t)
  t.is(await say('CACHE.SET a v'), 'OK')
  t.is(await say('PTTL a'), '-1')
  t.is(await say('CACHE.SET a v EX 2 STALE 1000 TAGS 2 x y'), 'OK')
  t.is(await say('PTTL a'), '2000')
  await pass(2500)
  t.is(await say('PTTL a'), '500')
  t.is(await say('GET a'), 'v')
  await pass(500)
  t.is(await say('GET a'), 'nil')
  t.is(await say('CACHE.SET a v PX 1 TAGS 0'), 'OK')
  await pass(1)
  t.is(await say('EXISTS a'), '0')
  // A plain SET is a plain value again.
  await say('CACHE.SET a v EX 1 TAGS 1 x')
  await say('SET a w')
  t.is(await say('CACHE.INVALIDATE TAG x'), 'OK')
  t.is(await say('GET a'), 'w')
})

test('what CACHE.SET with GROUP does not say is as of a value that its group loaded', async (t) => {
  const group = 'g match g:{id} origin http://h/{id} ttl 10s stale 20s stale-if-error 50s'
  const { say, pass, client } = await start(t, '--group', `${group} max-bytes 64kb`)
  t.is(await say('CACHE.SET g:1 v GROUP'), 'OK')
  t.is(await say('CACHE.SET g:2 v GROUP PX 1000 STALE 500 TAGS 1 x'), 'OK')
  t.is(await say('CACHE.SET g:3 v'), 'OK')
  t.is(await say('PTTL g:1'), '10000')
  t.is(await say('PTTL g:2'), '1000')
  t.is(await say('PTTL g:3'), '-1')
  await pass(35_000)
  t.regex(await say('CACHE.GET g:1 PEEK META'), /state, error-only/)
  t.regex(await say('GROUP INFO g'), /keys, 2,/, 'those that count for its share')
  // What is larger than the share is not kept, and what was there is older.
  await say('CACHE.SET g:1 v GROUP')
  t.is(await client.command('CACHE.SET', 'g:1', 'v'.repeat(100_000), 'GROUP'), '+OK\r\n')
  t.is(await say('CACHE.GET g:1 PEEK'), 'nil')
})

const WRONG: readonly (readonly [line: string, error: string])[] = [
  ['CACHE.GET', "ERR wrong number of arguments for 'cache.get' command"],
  ['CACHE.GET a b', 'ERR syntax error'],
  ['CACHE.GET a STALE', 'ERR syntax error'],
  ['CACHE.GET a STALE x', 'ERR value is not an integer or out of range'],
  ['CACHE.GET a STALE -1', 'ERR value is not an integer or out of range'],
  ['CACHE.SET a', "ERR wrong number of arguments for 'cache.set' command"],
  ['CACHE.SET a v EX', 'ERR syntax error'],
  ['CACHE.SET a v EX 0', "ERR invalid expire time in 'cache.set' command"],
  ['CACHE.SET a v PX -1', "ERR invalid expire time in 'cache.set' command"],
  ['CACHE.SET a v EX x', 'ERR value is not an integer or out of range'],
  ['CACHE.SET a v EX 9007199254740991', "ERR invalid expire time in 'cache.set' command"],
  ['CACHE.SET a v EX 1 PX 1', 'ERR syntax error'],
  ['CACHE.SET a v STALE -1', 'ERR value is not an integer or out of range'],
  ['CACHE.SET a v TAGS', 'ERR syntax error'],
  ['CACHE.SET a v TAGS x y', 'ERR value is not an integer or out of range'],
  ['CACHE.SET a v TAGS 2 x', 'ERR syntax error'],
  ['CACHE.SET a v TAGS 65', 'ERR an entry has at most 64 tags'],
  [`CACHE.SET a v TAGS 1 ${'t'.repeat(257)}`, 'ERR a tag has at most 256 bytes'],
  ['CACHE.SET a v FRESH 1', 'ERR syntax error'],
  ['CACHE.SET a v GROUP', 'ERR no group has this key'],
  ['CACHE.SET a v GROUP GROUP', 'ERR syntax error'],
  ['CACHE.LEASE', "ERR wrong number of arguments for 'cache.lease' command"],
  ['CACHE.LEASE a WAIT', 'ERR syntax error'],
  ['CACHE.LEASE a WAIT x', 'ERR value is not an integer or out of range'],
  ['CACHE.LEASE a WAIT -1', "ERR invalid expire time in 'cache.lease' command"],
  ['CACHE.LEASE a PX 0', "ERR invalid expire time in 'cache.lease' command"],
  ['CACHE.LEASE a PX 3600001', "ERR invalid expire time in 'cache.lease' command"],
  ['CACHE.LEASE a WAIT 3600001', "ERR invalid expire time in 'cache.lease' command"],
  ['CACHE.LEASE a EX 1', 'ERR syntax error'],
  ['CACHE.FILL a 1', "ERR wrong number of arguments for 'cache.fill' command"],
  ['CACHE.FILL a x v', 'ERR the token is none that CACHE.LEASE gives'],
  ['CACHE.FILL a 0 v', 'ERR the token is none that CACHE.LEASE gives'],
  ['CACHE.FILL a 1 v PX', 'ERR syntax error'],
  ['CACHE.FILL a 1 v GROUP', 'ERR syntax error'],
  ['CACHE.FILL a 1 v PX 0', "ERR invalid expire time in 'cache.fill' command"],
  ['CACHE.EXPLAIN', "ERR wrong number of arguments for 'cache.explain' command"],
  ['CACHE.EXPLAIN a b', "ERR wrong number of arguments for 'cache.explain' command"],
  ['CACHE.INVALIDATE TAG', "ERR wrong number of arguments for 'cache.invalidate' command"],
  ['CACHE.INVALIDATE TAG a b', "ERR wrong number of arguments for 'cache.invalidate' command"],
  ['CACHE.INVALIDATE KEY a', 'ERR CACHE.INVALIDATE takes GROUP name, PREFIX prefix or TAG tag'],
  ['CACHE.INVALIDATE GROUP nobody', "ERR no such group 'nobody'"],
]

test('what cannot be is refused with a reason, and changes nothing', async (t) => {
  const { say } = await start(t)
  for (const [line, error] of WRONG) t.is(await say(line), error, line)
  t.is(await say('DBSIZE'), '0')
  t.regex(await say('CACHE.LEASE a'), /^\[lease, nil, \d+\]$/, 'nobody has its lease')
})

test('64 tags, a prefix of 65,536 bytes and a key of 100,000 are taken, one more is not', async (t) => {
  const { client, host } = await start(t, '--maxmemory', '64mb')
  const tags = Array.from({ length: 65 }, (_, i) => `t${i}`)
  const set = (n: number): Promise<string> =>
    client.send(['CACHE.SET', 'a', 'v', 'TAGS', String(n), ...tags.slice(0, n)])
  t.is(await set(65), '-ERR an entry has at most 64 tags\r\n')
  t.is(await set(64), '+OK\r\n')
  t.is(await client.command('CACHE.INVALIDATE', 'TAG', 't63'), '+OK\r\n')
  t.is(await client.command('EXISTS', 'a'), ':0\r\n')

  const long = 'p'.repeat(65_536)
  await client.command('SET', `${long}1`, 'v')
  await client.command('SET', long.slice(1), 'v')
  t.is(
    await client.command('CACHE.INVALIDATE', 'PREFIX', `${long}1`),
    '-ERR a prefix has at most 65536 bytes\r\n',
  )
  t.is(await client.command('CACHE.INVALIDATE', 'PREFIX', long), '+OK\r\n')
  t.is(await client.command('EXISTS', `${long}1`, long.slice(1)), ':1\r\n')

  const key = 'q'.repeat(100_000)
  const value = 'v'.repeat(300_000)
  t.is(await client.command('CACHE.SET', key, value, 'TAGS', '1', 'big'), '+OK\r\n')
  t.is((await client.command('CACHE.GET', key, 'PEEK')).length, 300_000 + 11)
  const [lease] = readReplies(await client.command('CACHE.LEASE', `${key}1`))
  const token = show((lease!.value as Resp[])[2]!)
  t.is(await client.command('CACHE.FILL', `${key}1`, token, value, 'TAGS', '1', 'big'), ':1\r\n')
  t.is((await client.get(`${key}1`))?.length, 300_000)
  t.is(await client.command('CACHE.INVALIDATE', 'TAG', 'big'), '+OK\r\n')
  t.is(await client.command('EXISTS', key, `${key}1`), ':0\r\n')
  await host.clock.settle()
  t.is(await client.command('DBSIZE'), ':1\r\n')
})

/* ---- CACHE.LEASE, CACHE.FILL ---- */

test('what CACHE.FILL does not say is as of a value that its group loaded', async (t) => {
  const group =
    'f match f:{id} origin http://h/{id} ttl 10s stale 20s stale-if-error 50s jitter 0.5'
  const { say, pass } = await start(t, '--group', group)
  const freshOf = async (key: string, rest = ''): Promise<number> => {
    await say(`CACHE.FILL ${key} ${tokenOf(await say(`CACHE.LEASE ${key}`))} v${rest}`)
    const facts = await say(`CACHE.GET ${key} PEEK META`)
    return Number(/fresh-for-ms, (\d+)/.exec(facts)![1])
  }
  const times: number[] = []
  for (let i = 0; i < 20; i++) times.push(await freshOf(`f:${i}`))
  t.true(
    times.every((ms) => ms >= 5000 && ms <= 10_000),
    times.join(),
  )
  t.true(new Set(times).size > 10, 'jitter')
  const fresh = await freshOf('f:said', ' PX 1000 STALE 1')
  t.true(fresh >= 500 && fresh <= 1000)
  t.true((await freshOf('other', ' PX 1000')) === 1000)
  await pass(31_000)
  t.regex(await say('CACHE.GET f:1 PEEK META'), /state, error-only/)
})

test('of 500 clients one gets the lease, and the others what it brings', async (t) => {
  const { host, say } = await start(t)
  const replies: string[] = []
  for (let i = 0; i < 500; i++) {
    void say_(host.connect(), 'CACHE.LEASE a WAIT 5000').then((reply) => replies.push(reply))
  }
  await host.clock.settle()
  t.is(replies.length, 1)
  const token = tokenOf(replies[0]!)
  t.is(await say('DBSIZE'), '0')
  t.is(await say(`CACHE.FILL a ${token} v PX 60000`), '1')
  await host.clock.settle()
  t.deepEqual(replies.slice(1), Array(499).fill('[hit, v, nil]'))
  t.is(await say('PTTL a'), '60000')
  t.is(await say(`CACHE.FILL a ${token} w`), '0', 'a token is for once')
  t.is(await say('GET a'), 'v')
  t.is(host.server.loads.grants.size, 0)

  function say_(client: RawClient, line: string): Promise<string> {
    return client.send(line.split(' ')).then(shown)
  }
})

test('of 500 clients that find a stale value one gets the lease with it, the others have it', async (t) => {
  const { host, say, pass } = await start(t)
  await say('CACHE.SET a old PX 10 STALE 60000')
  await pass(20)
  const all = await Promise.all(
    Array.from({ length: 500 }, async () =>
      shown(await host.connect().command('CACHE.LEASE', 'a', 'WAIT', '5000')),
    ),
  )
  const leases = all.filter((reply) => reply.startsWith('[lease, old, '))
  t.is(leases.length, 1)
  t.is(all.filter((reply) => reply === '[stale, old, nil]').length, 499)
  t.is(await say('GET a'), 'old')
  t.is(await say(`CACHE.FILL a ${tokenOf(leases[0]!)} new EX 1 STALE 1000 TAGS 1 x`), '1')
  t.is(await say('CACHE.LEASE a'), '[hit, new, nil]')
  await say('CACHE.INVALIDATE TAG x')
  t.is(await say('GET a'), 'nil')
})

for (const [what, write, then] of [
  ['DEL', 'DEL a', 'nil'],
  ['UNLINK', 'UNLINK a', 'nil'],
  ['SET', 'SET a set', 'set'],
  ['CACHE.SET', 'CACHE.SET a set', 'set'],
  ['GETDEL', 'GETDEL a', 'nil'],
  ['GETSET', 'GETSET a set', 'set'],
  ['a SET that is over', 'SET a set PXAT 1', 'nil'],
  ['EXPIRE', 'EXPIRE a 0', 'nil'],
  ['PEXPIREAT', 'PEXPIREAT a 1', 'nil'],
  ['FLUSHALL', 'FLUSHALL', 'nil'],
  ['FLUSHDB', 'FLUSHDB', 'nil'],
  ['INVALIDATE PREFIX', 'CACHE.INVALIDATE PREFIX a', 'nil'],
  ['INVALIDATE TAG', 'CACHE.INVALIDATE TAG x', 'nil'],
] as const) {
  for (const before of ['none', 'stale'] as const) {
    test(`a fill after ${what} comes too late, with ${before} there; who waits looks again`, async (t) => {
      const { host, say, pass } = await start(t)
      if (before === 'stale') await say('CACHE.SET a old PX 10 STALE 60000 TAGS 1 x')
      await pass(20)
      const token = tokenOf(await say('CACHE.LEASE a'))
      const waits = before === 'none'
      const waiter = waits ? host.connect().command('CACHE.LEASE', 'a', 'WAIT', '5000') : null
      await host.clock.settle()
      t.regex(await say(write), /^(?:OK|\d|nil|old)$/)
      t.is(await say(`CACHE.FILL a ${token} late TAGS 1 x`), '0')
      t.is(await say('GET a'), then)
      if (waiter === null) return
      const next = shown(await waiter)
      if (then === 'set') t.is(next, '[hit, set, nil]')
      else t.is(await say(`CACHE.FILL a ${tokenOf(next)} new`), '1')
    })
  }
}

test('a group is invalidated with the leases of its keys', async (t) => {
  const { say } = await start(t)
  const token = tokenOf(await say('CACHE.LEASE k:1'))
  t.is(await say('CACHE.INVALIDATE GROUP k'), 'OK')
  t.is(await say(`CACHE.FILL k:1 ${token} late`), '0')
  t.is(await say('GET k:1'), 'origin k:1 1')
})

test('the lease of a client that vanished ends after PX, and the next one has it', async (t) => {
  const { host, say, pass } = await start(t)
  const gone = host.connect()
  const token = tokenOf(shown(await gone.command('CACHE.LEASE', 'a', 'PX', '200')))
  gone.close()
  const heard: string[] = []
  for (let i = 0; i < 3; i++) {
    const waiter = host.connect().command('CACHE.LEASE', 'a', 'WAIT', '5000', 'PX', '300')
    void waiter.then((reply) => heard.push(shown(reply)))
  }
  await pass(199)
  t.deepEqual(heard, [])
  await pass(1)
  t.is(heard.length, 1)
  t.is(await say(`CACHE.FILL a ${token} late`), '0')
  t.is(await say('GET a'), 'nil')
  t.is(await say(`CACHE.FILL a ${tokenOf(heard[0]!)} v`), '1')
  await pass(0)
  t.deepEqual(heard.slice(1), ['[hit, v, nil]', '[hit, v, nil]'])
  t.is(host.server.loads.grants.size, 0)
})

test('whose WAIT is over is told to come again, and the lease goes on', async (t) => {
  const { say, pass, host } = await start(t)
  const token = tokenOf(await say('CACHE.LEASE a'))
  t.is(await say('CACHE.LEASE a'), '[wait, nil, nil]')
  t.is(await say('CACHE.LEASE a WAIT 0'), '[wait, nil, nil]')
  let heard = ''
  void host
    .connect()
    .command('CACHE.LEASE', 'a', 'WAIT', '100')
    .then((reply) => (heard = reply))
  await pass(99)
  t.is(heard, '')
  await pass(1)
  t.is(shown(heard), '[wait, nil, nil]')
  t.is(await say(`CACHE.FILL a ${token} v`), '1')
})

test('a wrong token fills nothing and ends no lease, nor does a right one of another key', async (t) => {
  const { say } = await start(t)
  const token = tokenOf(await say('CACHE.LEASE a'))
  const other = tokenOf(await say('CACHE.LEASE b'))
  t.is(await say(`CACHE.FILL a ${other} v`), '0')
  t.is(await say(`CACHE.FILL a ${Number(token) + 1000} v`), '0')
  await say('SELECT 1')
  t.is(await say(`CACHE.FILL a ${token} v`), '0')
  await say('SELECT 0')
  t.is(await say('CACHE.LEASE a'), '[wait, nil, nil]')
  t.is(await say(`CACHE.FILL a ${token} v`), '1')
  t.is(await say(`CACHE.FILL b ${other} v`), '1')
})

test('both sides of a lease may share a connection', async (t) => {
  const { client, host } = await start(t)
  const token = tokenOf(shown(await client.command('CACHE.LEASE', 'a')))
  const waiting = client.command('CACHE.LEASE', 'a', 'WAIT', '60000')
  const filled = client.command('CACHE.FILL', 'a', token, 'v')
  await host.clock.settle()
  t.deepEqual([shown(await waiting), shown(await filled)], ['[hit, v, nil]', '1'])
})

test('a GET of a key whose lease a client has waits for it, for as long as for a load', async (t) => {
  const { host, say, pass, origin } = await start(t)
  const token = tokenOf(await say('CACHE.LEASE k:1'))
  const reading = host.connect().command('GET', 'k:1')
  await pass(999)
  t.is(await say(`CACHE.FILL k:1 ${token} v`), '1')
  t.is(shown(await reading), 'v')
  t.is(await say('PTTL k:1'), '10000', "the group's ttl")
  t.is(origin.loads, 0)

  await say('CACHE.LEASE k:2 PX 3600000')
  const late = host.connect().command('GET', 'k:2')
  await pass(1000)
  t.is(shown(await late), 'nil')
  // Without a limit to its wait it waits as long as a load may take.
  await say('GROUP SET k wait none')
  const later = host.connect().command('GET', 'k:2')
  await pass(3000)
  t.is(shown(await later), 'nil')

  await say('GROUP SET k wait 1s')
  const ended = host.connect().command('GET', 'k:2')
  await host.clock.settle()
  await say('DEL k:2')
  t.is(await say('GET k:2'), 'origin k:2 1')
  await pass(1000)
  t.regex(shown(await ended), /^nil$|^origin k:2 1$/)
})

test('CACHE.LEASE finds a load of ours, waits for it, and has the lease when it fails to come', async (t) => {
  const { host, say, pass, origin } = await start(t)
  origin.mode = 'holds'
  const reading = host.connect().command('GET', 'k:1')
  await host.clock.settle()
  t.is(await say('CACHE.LEASE k:1'), '[wait, nil, nil]')
  const leasing = host.connect().command('CACHE.LEASE', 'k:1', 'WAIT', '5000')
  await host.clock.settle()
  origin.deliver()
  t.is(shown(await leasing), '[hit, origin k:1 1, nil]')
  t.is(shown(await reading), 'origin k:1 1')
  origin.mode = 'lacks'
  await say('GET k:2')
  t.is(await say('CACHE.LEASE k:2'), '[negative, nil, nil]')
  await pass(5000)
  t.regex(await say('CACHE.LEASE k:2'), /^\[lease, nil, /)
})

test('there is an end to how many leases are out, and a filled one makes room', async (t) => {
  const { host, say } = await start(t)
  const { grants } = host.server.loads
  const token = tokenOf(await say('CACHE.LEASE a'))
  for (let i = 1; i < 65_536; i++) {
    grants.give({ db: 0, key: Buffer.from(`a${i}`), token: -i, birth: 0 }, 60_000)
  }
  t.is(await say('CACHE.LEASE b'), 'ERR too many leases are out: fill some, or let them end')
  t.is(await say('CACHE.LEASE a'), '[wait, nil, nil]')
  t.is(await say(`CACHE.FILL a ${token} v`), '1')
  t.regex(await say('CACHE.LEASE b'), /^\[lease, nil, /)
})

/* ---- CACHE.EXPLAIN ---- */

const NOTHING = {
  ...{ owner: '', group: 'nil', state: 'missing', 'age-ms': '-1', 'fresh-for-ms': '-1' },
  ...{ 'ttl-ms': '-1', 'load-cost-ms': '-1', flight: 'none', 'flight-ms': '-1', waiters: '0' },
  ...{ 'last-load': 'nil', 'last-load-took-ms': '-1', 'last-load-ago-ms': '-1', origin: 'nil' },
}

test('CACHE.EXPLAIN tells what a key is in each state, and how its last load ended', async (t) => {
  const { client, host, origin, pass, say } = await start(t)
  const explain = (key: string): Promise<Record<string, string>> =>
    fieldsOf(client, 'CACHE.EXPLAIN', key)
  t.deepEqual(await explain('a'), NOTHING)
  const ours = { ...NOTHING, group: 'k', origin: 'GET http://h/1' }
  t.deepEqual(await explain('k:1'), ours)
  t.regex((await explain('k:..'))['origin']!, /the key cannot be put into the origin's URL/)

  origin.mode = 'holds'
  const reading = [1, 2, 3].map(() => host.connect().command('GET', 'k:1'))
  await pass(400)
  t.deepEqual(await explain('k:1'), {
    ...ours,
    flight: 'loading',
    'flight-ms': '400',
    waiters: '3',
  })
  origin.deliver()
  await Promise.all(reading)
  await pass(100)
  const loaded = {
    ...{ ...ours, 'load-cost-ms': '400', 'last-load': 'value' },
    ...{ 'last-load-took-ms': '400', 'last-load-ago-ms': '100' },
  }
  const fresh = { ...loaded, state: 'fresh', 'age-ms': '500' }
  t.deepEqual(await explain('k:1'), { ...fresh, 'fresh-for-ms': '9900', 'ttl-ms': '29900' })

  await pass(10_000)
  t.is(await say('GET k:1'), 'origin k:1 1')
  await pass(50)
  const stale = await explain('k:1')
  t.like(stale, { state: 'stale', flight: 'loading', 'flight-ms': '50', waiters: '0' })
  t.like(stale, { 'fresh-for-ms': '0', 'ttl-ms': '19850' })
  await pass(3000)
  t.like(await explain('k:1'), {
    ...{ state: 'stale', flight: 'none', 'last-load': 'timeout', 'last-load-took-ms': '3000' },
  })
  await pass(17_000)
  t.like(await explain('k:1'), { state: 'error-only', 'fresh-for-ms': '0', 'ttl-ms': '0' })

  origin.mode = 'lacks'
  await say('GET k:2')
  t.like(await explain('k:2'), { state: 'negative', 'last-load': 'missing', 'ttl-ms': '5000' })
  origin.mode = 'fails'
  await say('GET k:3')
  t.like(await explain('k:3'), { state: 'missing', 'last-load': 'status', flight: 'none' })

  await say('CACHE.LEASE k:4')
  void host.connect().command('CACHE.LEASE', 'k:4', 'WAIT', '100')
  await host.clock.settle()
  t.like(await explain('k:4'), { state: 'missing', flight: 'leased to a client', waiters: '1' })
})

/* ---- CACHE.INVALIDATE ---- */

/** The server, with plain, loaded, tagged and negative keys, one with an expiry. */
async function filled(t: ExecutionContext): Promise<Scene> {
  const scene = await start(t)
  const { say, origin } = scene
  await say('SET k:plain v')
  await say('SET other v')
  await say('CACHE.SET k:tagged v EX 60 TAGS 2 x all')
  await say('GET k:loaded')
  origin.mode = 'lacks'
  await say('GET k:none')
  origin.mode = 'answers'
  origin.version = 2
  return scene
}

for (const by of ['GROUP k', 'PREFIX k:', 'TAG all'] as const) {
  test(`CACHE.INVALIDATE ${by} is in force when it is answered, also for loads under way`, async (t) => {
    const { client, host, origin, say } = await filled(t)
    const isByTag = by === 'TAG all'
    origin.mode = 'holds'
    const before = host.connect().command('GET', 'k:flying')
    await host.clock.settle()
    // All of it in one go: nothing is swept in between.
    const lines = [`CACHE.INVALIDATE ${by}`, 'EXISTS k:plain k:tagged k:loaded other']
    const replies = lines.map((line) => client.send(line.split(' ')))
    t.deepEqual((await Promise.all(replies)).map(shown), ['OK', isByTag ? '2' : '1'])
    const after = host.connect().command('GET', 'k:flying')
    const none = isByTag ? null : host.connect().command('GET', 'k:none')
    await host.clock.settle()
    origin.version = 3
    t.is(await say('CACHE.GET k:loaded PEEK'), 'nil')
    origin.mode = 'answers'
    origin.deliver()
    t.is(shown(await before), 'origin k:flying 2', 'it asked before')
    t.regex(shown(await after), isByTag ? /^origin k:flying 3$/ : /^origin k:flying [23]$/)
    if (none !== null) t.regex(shown(await none), /^origin k:none/)
    await host.clock.settle()
    t.is(await say('GET k:loaded'), 'origin k:loaded 3')
    t.is(host.server.loads.inFlight, 0)
  })
}

test('DBSIZE is right when what was invalidated is swept, and what came since stays', async (t) => {
  const { host, client, say } = await start(t)
  for (let i = 0; i < 2000; i++) await client.command('SET', `k:${i}`, 'v')
  for (let i = 0; i < 100; i++) await client.command('SET', `j:${i}`, 'v')
  const replies = [
    'CACHE.INVALIDATE PREFIX k:',
    'SET k:7 new',
    'SET k:new new',
    'DEL j:7',
    'DEL k:8',
  ]
  t.deepEqual((await Promise.all(replies.map((line) => client.send(line.split(' '))))).map(shown), [
    'OK',
    'OK',
    'OK',
    '1',
    '0',
  ])
  await host.clock.settle()
  t.is(await say('DBSIZE'), '101')
  t.is(await say('GET k:7'), 'new')
  t.is(host.server.store.check(), undefined)
})

test('PREFIX is about one database, GROUP about all', async (t) => {
  const { say, host } = await start(t)
  for (const db of [0, 1]) {
    await say(`SELECT ${db}`)
    await say('MSET k:1 v j:1 v')
  }
  await say('CACHE.INVALIDATE PREFIX j:')
  await host.clock.settle()
  t.is(await say('EXISTS k:1 j:1'), '1')
  await say('SELECT 0')
  t.is(await say('EXISTS k:1 j:1'), '2')
  await say('CACHE.INVALIDATE GROUP k')
  await host.clock.settle()
  t.is(await say('DBSIZE'), '1')
  await say('SELECT 1')
  t.is(await say('DBSIZE'), '0')
})

test('two invalidations at once: both are done', async (t) => {
  const { host, client, say } = await start(t)
  const other = host.connect()
  for (const prefix of ['a', 'b', 'c']) {
    for (let i = 0; i < 500; i++) await client.command('SET', `${prefix}${i}`, 'v')
  }
  const both = [
    client.command('CACHE.INVALIDATE', 'PREFIX', 'a'),
    other.command('CACHE.INVALIDATE', 'PREFIX', 'b'),
    client.command('EXISTS', 'a1', 'c1'),
    other.command('EXISTS', 'b1', 'c1'),
  ]
  await host.clock.settle()
  t.deepEqual((await Promise.all(both)).map(shown), ['OK', 'OK', '1', '1'])
  await host.clock.settle()
  t.is(await say('DBSIZE'), '500')
})

test('a million keys are invalidated without a look at one of them', async (t) => {
  const keys = 1_000_000
  const { server, clock, connect } = await startInProcess(['--maxmemory', '256mb'])
  t.teardown(() => server.shutdown())
  const { store } = server
  const bytes = new Uint8Array(16)
  const text = new TextEncoder()
  store.now = clock.now()
  for (let i = 0; i < keys; i++) {
    const { written } = text.encodeInto(`k:${i}v`, bytes)
    store.set(0, bytes, 0, written - 1, written - 1, 1, 0)
  }
  const client = connect()
  await client.command('SET', 'other', 'v')
  t.is(await client.command('DBSIZE'), `:${keys + 1}\r\n`)
  let steps = 0
  let stepsAtAnswer = -1
  const sweep = store.sweepInvalidated.bind(store)
  store.sweepInvalidated = (cursor) => {
    steps++
    return sweep(cursor)
  }
  const { reply } = server.areas
  const ok = reply.ok.bind(reply)
  reply.ok = () => {
    stepsAtAnswer = steps
    ok()
  }
  t.is(await client.command('CACHE.INVALIDATE', 'PREFIX', 'k:'), '+OK\r\n')
  t.is(stepsAtAnswer, 0)
  t.is(await client.command('EXISTS', 'k:1', 'k:999999', 'other'), ':1\r\n')
  await clock.settle()
  t.true(steps > 1000)
  t.is(await client.command('DBSIZE'), ':1\r\n')
})

/* ---- in a cluster ---- */

test('another node than the owner answers the same, and waits as long as the client may', async (t) => {
  const origin = new Origin()
  const cluster = await startCluster(3, ['--group', GROUP], { loader: origin })
  t.teardown(() => cluster.shutdown())
  const clients = cluster.nodes.map((node) => node.connect())
  const owner = (await fieldsOf(clients[0]!, 'CACHE.EXPLAIN', 'a'))['owner']!
  const there = clients[Number(owner.slice(-1)) - 1]!
  const [one, two] = clients.filter((client) => client !== there) as [RawClient, RawClient]

  const token = tokenOf(await say(one, 'CACHE.LEASE a'))
  let heard = ''
  const waiter = cluster.nodes[clients.indexOf(two)]!.connect()
  void say(waiter, 'CACHE.LEASE a WAIT 4000').then((reply) => (heard = reply))
  await cluster.clock.advance(3000)
  t.is(heard, '', 'longer than a node otherwise waits for another')
  t.is((await fieldsOf(two, 'CACHE.EXPLAIN', 'a'))['waiters'], '1')
  t.is(await say(two, `CACHE.FILL a ${token} v TAGS 1 x`), '1')
  await cluster.settle()
  t.is(heard, '[hit, v, nil]')
  for (const client of clients) {
    t.is(await say(client, 'CACHE.GET a META'), await say(there, 'CACHE.GET a META'))
    t.is((await fieldsOf(client, 'CACHE.EXPLAIN', 'a'))['owner'], owner)
  }
  t.is(await say(one, 'CACHE.INVALIDATE TAG x'), 'OK')
  for (const client of clients) t.is(await say(client, 'GET a'), 'nil')

  const keys = Array.from({ length: 60 }, (_, i) => `k:${i}`)
  for (const [i, key] of keys.entries()) await say(clients[i % 3]!, `CACHE.GET ${key}`)
  t.is(await say(two, 'DBSIZE'), '60')
  for (const by of ['GROUP k', 'PREFIX k:', 'TAG all']) {
    origin.version++
    t.is(await say(one, `CACHE.INVALIDATE ${by}`), 'OK')
    for (const [i, key] of keys.entries()) {
      t.is(await say(clients[i % 3]!, `CACHE.GET ${key}`), `origin ${key} ${origin.version}`, by)
    }
  }
  origin.mode = 'holds'
  let slow = ''
  await say(one, 'GROUP SET k wait 3s')
  await say(one, 'DEL k:0')
  for (const client of clients) void say(client, 'CACHE.GET k:0').then((reply) => (slow += reply))
  await cluster.clock.advance(2500)
  t.is(slow, '')
  origin.deliver()
  await cluster.settle()
  t.is(slow, `origin k:0 ${origin.version}`.repeat(3))
})

test('a GET that looks again after a lease that nobody filled has the rest of its wait, not a new one', async (t) => {
  const { host, say: first, pass } = await start(t)
  const [second, reader] = [host.connect(), host.connect()]
  t.regex(await first('CACHE.LEASE k:1 PX 600'), /^\[lease/)
  const next = say(second, 'CACHE.LEASE k:1 WAIT 5000')
  await host.clock.settle()
  let read = ''
  const reading = say(reader, 'GET k:1').then((reply) => (read = reply))
  await pass(600)
  t.regex(await next, /^\[lease/)
  await pass(399)
  t.is(read, '')
  await pass(2)
  await reading
  t.is(read, 'nil')
})

test('who waits for a lease stays in its database, whatever it selects meanwhile', async (t) => {
  const { host, say: first, pass } = await start(t)
  t.regex(await first('CACHE.LEASE a PX 600'), /^\[lease/)
  const client = host.connect()
  const waiting = say(client, 'CACHE.LEASE a WAIT 5000')
  const selected = say(client, 'SELECT 1')
  const set = say(client, 'SET a other')
  await pass(600)
  t.regex(await waiting, /^\[lease, nil/)
  t.is(await selected, 'OK')
  t.is(await set, 'OK')
})

test('an error-only value is nobody’s answer to CACHE.LEASE', async (t) => {
  const { say: ask, pass } = await start(t)
  t.is(await ask('GET k:1'), 'origin k:1 1')
  await pass(31_000)
  t.regex(await ask('CACHE.LEASE k:1'), /^\[lease, nil/)
  t.is(await ask('CACHE.LEASE k:1'), '[wait, nil, nil]')
})
