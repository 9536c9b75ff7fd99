/*
 * What each rule of a group does to those who GET: a server in this process on virtual time, asking a
 * real HTTP origin, so that a year passes at once and what was asked is counted at the origin. Where
 * the origin has to take its time it is one on virtual time as well. The breaker keeps its own time
 * (see cluster/origin/resilience.ts) and is off here; test/compat/outage.test.ts is about that.
 */
import test, { type ExecutionContext } from 'ava'
import type { Loaded, Loader } from '../../../cluster/origin/loader.ts'
import { type Behaviour, OriginServer, status } from '../../cluster/origin/server.ts'
import type { RawClient } from '../../raw.ts'
import type { VirtualClock } from '../../sim/clock.ts'
import { type InProcess, startInProcess } from '../in-process.ts'

const SECOND = 1000
const DAY = 24 * 3600 * SECOND

interface Scene {
  readonly host: InProcess
  readonly clock: VirtualClock
  readonly client: RawClient
  readonly origin: OriginServer
  /** The reply to a GET as text: a value, nil, or an error line with its dash. */
  get(id: string): Promise<string>
  /** A number that a command answers. */
  number(...command: readonly string[]): Promise<number>
}

async function start(t: ExecutionContext, rules: string): Promise<Scene> {
  const origin = await OriginServer.start()
  t.teardown(() => origin.close())
  const group = `item match item:{id} origin ${origin.url}/{id} breaker off ${rules}`
  const host = await startInProcess(['--group', group])
  t.teardown(() => host.server.shutdown())
  const client = host.connect()
  return {
    ...{ host, clock: host.clock, client, origin },
    get: (id) => get(client, id),
    number: async (...command) => Number((await client.command(...command)).slice(1)),
  }
}

async function get(client: RawClient, id: string): Promise<string> {
  const reply = await client.command('GET', `item:${id}`)
  if (reply === '$-1\r\n') return 'nil'
  return reply.startsWith('-') ? reply.trimEnd() : reply.slice(reply.indexOf('\n') + 1, -2)
}

/** 200 with these headers; the body counts the requests of its path. */
function counted(origin: OriginServer, headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (request, response) => {
    response.writeHead(200, headers)
    response.end(`answer ${origin.count(request.url ?? '')}`)
  }
}

const BROKEN = '-ORIGIN item: the origin answered 500'

/* ---- a hot key ---- */

const LOAD_MS = 100
const TTL_MS = 1000
const ENDS = 3

/**
 * A key is asked for every millisecond while its value, which takes 100 ms to load, ends three times.
 * `loads`: after the first one; `activeMax`: of them at a time; `waited`: who was not answered at once.
 */
async function hammer(rules: string): Promise<Hammered> {
  let loads = 0
  let active = 0
  let activeMax = 0
  const loader: Loader = {
    load: () => {
      loads++
      activeMax = Math.max(activeMax, ++active)
      return new Promise<Loaded>((resolve) => {
        host.clock.after(LOAD_MS, () => {
          active--
          resolve({ value: Buffer.from('hot') })
        })
      })
    },
    close: async () => {},
  }
  const group = `item match item:{id} origin http://127.0.0.1:1/{id} ttl ${TTL_MS}ms ${rules}`
  const host = await startInProcess(['--group', group], { loader })
  const { clock } = host
  const client = host.connect()
  const first = get(client, 'hot')
  await clock.advance(LOAD_MS)
  await first
  let waited = 0
  let answered = 0
  const asked = ENDS * (TTL_MS + LOAD_MS)
  for (let ms = 0; ms < asked; ms++) {
    const before = answered
    void get(client, 'hot').then((value) => (answered += value === 'hot' ? 1 : 0))
    await clock.settle()
    if (answered === before) waited++
    await clock.advance(1)
  }
  await clock.until(() => answered === asked)
  host.server.shutdown()
  return { loads: loads - 1, activeMax, waited }
}

interface Hammered {
  readonly loads: number
  readonly activeMax: number
  readonly waited: number
}

test('a hot key that is stale is loaded once each time, and nobody waits', async (t) => {
  t.deepEqual(await hammer('stale 1m early 0'), { loads: ENDS, activeMax: 1, waited: 0 })
})

test('a hot key is loaded before its end, once each time, and nobody waits', async (t) => {
  const { loads, activeMax, waited } = await hammer('early 1')
  t.is(waited, 0)
  // They come some 460 ms early, so there are more of them; but one after the other.
  t.true(loads >= ENDS && loads <= 3 * ENDS, `${loads} loads`)
  t.is(activeMax, 1)
})

test('without stale and early all wait who come while a hot key is loaded', async (t) => {
  t.deepEqual(await hammer('early 0'), { loads: ENDS, activeMax: 1, waited: ENDS * LOAD_MS })
})

/* ---- an origin that is gone ---- */

test('when the origin is gone every key that was there answers for stale-if-error', async (t) => {
  const { origin, clock, get } = await start(t, 'ttl 1m stale 1m stale-if-error 1d')
  const ids = Array.from({ length: 300 }, (_, i) => `${i}`)
  for (const id of ids) t.is(await get(id), `value of /${id}`)
  const { port } = origin
  await origin.close()
  // Stale, then kept for the worst; the last of it is a second before its end.
  for (const passes of [90 * SECOND, 3600 * SECOND, DAY - (3600 + 90 - 60 + 1) * SECOND]) {
    await clock.leap(passes)
    for (const id of ids) t.is(await get(id), `value of /${id}`)
  }
  const unreachable = '-ORIGIN item: the origin cannot be reached (ECONNREFUSED)'
  t.is(await get('cold'), unreachable)
  await clock.leap(2 * SECOND)
  t.is(await get('0'), unreachable)
  const again = await OriginServer.start({ port })
  t.teardown(() => again.close())
  for (const id of ids) t.is(await get(id), `value of /${id}`)
  t.is(again.requestsTotal, 300)
})

test('MGET, STRLEN and GETRANGE answer from what is kept for errors as well', async (t) => {
  const { origin, clock, client, get } = await start(t, 'ttl 1m stale-if-error 1d')
  await get('a')
  await get('b')
  origin.otherwise(status(500))
  await clock.leap(120 * SECOND)
  t.is(await client.command('EXISTS', 'item:a'), ':0\r\n')
  t.is(
    await client.command('MGET', 'item:a', 'item:b'),
    '*2\r\n$11\r\nvalue of /a\r\n$11\r\nvalue of /b\r\n',
  )
  t.is(await client.command('STRLEN', 'item:a'), ':11\r\n')
  t.is(await client.command('GETRANGE', 'item:a', '0', '4'), '$5\r\nvalue\r\n')
  t.is(await client.command('MGET', 'item:a', 'item:c'), `${BROKEN}\r\n`)
})

test('on-error: the error, nil, or the last value however old', async (t) => {
  for (const [onError, cold, old] of [
    ['error', BROKEN, BROKEN],
    ['nil', 'nil', 'nil'],
    ['stale', BROKEN, 'value of /a'],
  ] as const) {
    const rules = `ttl 1m stale-if-error 1h on-error ${onError}`
    const { origin, clock, get } = await start(t, rules)
    t.is(await get('a'), 'value of /a')
    origin.otherwise(status(500))
    await clock.leap(1800 * SECOND)
    t.is(await get('a'), 'value of /a', onError)
    await clock.leap(300 * DAY)
    t.is(await get('a'), old, onError)
    t.is(await get('cold'), cold, onError)
    origin.otherwise(counted(origin))
    t.regex(await get('a'), /^answer/, onError)
  }
})

test('how long it is kept for errors changes neither how long it is fresh nor how long stale', async (t) => {
  for (const rules of ['stale-if-error 30d', 'stale-if-error 3650d', 'on-error stale']) {
    const { origin, clock, get, number } = await start(t, `early 0 ttl 5s stale 10s ${rules}`)
    origin.otherwise(counted(origin))
    t.is(await get('a'), 'answer 1')
    t.is(await number('PTTL', 'item:a'), 5000, rules)
    await clock.leap(4999)
    t.is(await get('a'), 'answer 1')
    t.is(origin.requestsTotal, 1, rules)
    await clock.leap(2)
    t.is(await number('PTTL', 'item:a'), 9999, rules)
    await clock.leap(9997)
    t.is(await number('PTTL', 'item:a'), 2, rules)
    await clock.leap(3)
    t.is(await get('a'), 'answer 2', rules)
  }
})

/* ---- there is no such thing ---- */

test('of a key that the origin has not, a thousand GETs are one load for each `negative`', async (t) => {
  const { host, origin, clock, get, number } = await start(t, 'ttl 1h negative 10s')
  origin.otherwise(status(404))
  const others = Array.from({ length: 10 }, () => host.connect())
  const askAll = async (): Promise<void> => {
    const replies = others.flatMap((other) =>
      Array.from({ length: 100 }, () => other.command('GET', 'item:none')),
    )
    t.deepEqual([...new Set(await Promise.all(replies))], ['$-1\r\n'])
  }
  for (let loads = 1; loads <= 3; loads++) {
    await askAll()
    await clock.leap(9 * SECOND)
    await askAll()
    t.is(origin.count('/none'), loads)
    t.is(await number('EXISTS', 'item:none'), 0)
    await clock.leap(SECOND + 1)
  }
  // Whoever creates it says so.
  await get('none')
  origin.otherwise(counted(origin))
  t.is(await get('none'), 'nil')
  t.is(await number('DEL', 'item:none'), 0)
  t.is(await get('none'), 'answer 5')
})

test('without `negative` each GET of what the origin has not asks, and 410 is as 404', async (t) => {
  const { host, origin, get } = await start(t, 'ttl 1h')
  origin.otherwise(status(410))
  for (let i = 1; i <= 5; i++) {
    t.is(await get('none'), 'nil')
    t.is(origin.count('/none'), i)
  }
  t.is(host.server.loads.inFlight, 0)
})

/* ---- times ---- */

test('idle: what nobody asks for goes, what is asked for stays', async (t) => {
  const { clock, origin, client, get, number } = await start(t, 'idle 1m')
  await get('asked')
  await get('idle')
  for (let i = 0; i < 10; i++) {
    await clock.leap(50 * SECOND)
    t.is(await get('asked'), 'value of /asked')
  }
  t.is(origin.count('/asked'), 1)
  t.is(await client.command('EXISTS', 'item:asked', 'item:idle'), ':1\r\n')
  await get('idle')
  t.is(origin.count('/idle'), 2)
  await clock.leap(62 * SECOND)
  t.is(await number('EXISTS', 'item:asked'), 0)
})

test('jitter shortens each ttl by up to its share, each by another', async (t) => {
  const { get, number } = await start(t, 'ttl 100s jitter 20%')
  const ttls: number[] = []
  for (let i = 0; i < 300; i++) {
    await get(`${i}`)
    ttls.push(await number('PTTL', `item:${i}`))
  }
  t.true(Math.min(...ttls) >= 80_000 && Math.min(...ttls) < 81_000)
  t.true(Math.max(...ttls) <= 100_000 && Math.max(...ttls) > 99_000)
  t.true(new Set(ttls).size > 250)
})

test("the origin's word on times comes before the rules, unless they ignore it", async (t) => {
  const says = { 'cache-control': 'max-age=10, stale-while-revalidate=20, stale-if-error=100' }
  const rules = 'early 0 ttl 1h stale 0 stale-if-error 0'
  for (const [word, fresh] of [
    ['honour', 10],
    ['ignore', 3600],
  ] as const) {
    const { origin, clock, get, number } = await start(t, `${rules} cache-control ${word}`)
    origin.otherwise(counted(origin, says))
    t.is(await get('a'), 'answer 1')
    t.is(await number('TTL', 'item:a'), fresh)
    await clock.leap((fresh - 1) * SECOND)
    t.is(await get('a'), 'answer 1')
    await clock.leap(2 * SECOND)
    if (word === 'ignore') {
      t.is(await get('a'), 'answer 2')
      continue
    }
    // Stale: the value, and a load that nobody waits for.
    t.is(await get('a'), 'answer 1')
    while (origin.active > 0 || (await get('a')) !== 'answer 2') await clock.settle()
    t.is(origin.count('/a'), 2)
    origin.otherwise(status(500))
    await clock.leap(99 * SECOND)
    t.is(await get('a'), 'answer 2')
    await clock.leap(12 * SECOND)
    t.is(await get('a'), BROKEN)
  }
})

test('what the origin wants not to be kept is asked for each time, unless the rules ignore it', async (t) => {
  for (const headers of [
    { 'cache-control': 'no-store' },
    { 'cache-control': 'private, max-age=100' },
    { 'cache-control': 'max-age=0' },
    { expires: '0' },
    { vary: 'cookie' },
  ]) {
    const honours = await start(t, 'ttl 1h')
    honours.origin.otherwise(counted(honours.origin, headers))
    const text = JSON.stringify(headers)
    t.is(await honours.get('a'), 'answer 1', text)
    t.is(await honours.get('a'), 'answer 2', text)
    t.is(await honours.number('DBSIZE'), 0, text)
    const ignores = await start(t, 'ttl 1h cache-control ignore')
    ignores.origin.otherwise(counted(ignores.origin, headers))
    t.is(await ignores.get('a'), 'answer 1', text)
    t.is(await ignores.get('a'), 'answer 1', text)
  }
})

test('a value that turns out not to be kept does not come back', async (t) => {
  const { origin, clock, get, number } = await start(t, 'ttl 10s stale 1m stale-if-error 1h')
  origin.otherwise(counted(origin))
  t.is(await get('a'), 'answer 1')
  origin.otherwise(counted(origin, { 'cache-control': 'no-store' }))
  await clock.leap(11 * SECOND)
  t.is(await get('a'), 'answer 1')
  while (origin.active > 0 || (await number('EXISTS', 'item:a')) > 0) await clock.settle()
  t.is(await get('a'), 'answer 3')
  origin.otherwise(status(500))
  t.is(await get('a'), BROKEN)
})

test('304: the value stays, for the time that the answer or the group says', async (t) => {
  const { origin, clock, get, number } = await start(t, 'early 0 ttl 10s stale-if-error 1h')
  let etag = '"one"'
  origin.otherwise((request, response) => {
    const isKnown = request.headers['if-none-match'] === etag
    const times = etag === '"two"' && isKnown ? { 'cache-control': 'max-age=70' } : {}
    response.writeHead(isKnown ? 304 : 200, { etag, ...times })
    response.end(isKnown ? undefined : `value ${etag}`)
  })
  t.is(await get('a'), 'value "one"')
  t.is(origin.headers(0)['if-none-match'], undefined)
  await clock.leap(11 * SECOND)
  t.is(await get('a'), 'value "one"')
  t.is(origin.headers(1)['if-none-match'], '"one"')
  t.is(await number('TTL', 'item:a'), 10)
  etag = '"two"'
  await clock.leap(11 * SECOND)
  t.is(await get('a'), 'value "two"')
  t.is(origin.headers(2)['if-none-match'], '"one"')
  await clock.leap(11 * SECOND)
  t.is(await get('a'), 'value "two"')
  t.is(await number('TTL', 'item:a'), 70)
  t.is(origin.requestsTotal, 4)
  // A SET is no copy of the origin's: nothing is asked about it, and then all.
  await clock.leap(71 * SECOND)
  await number('DEL', 'item:a')
  t.is(await get('a'), 'value "two"')
  t.is(origin.headers(4)['if-none-match'], undefined)
})

/* ---- wait ---- */

test('after `wait` a client gets nil, or what is kept for errors, and the load fills', async (t) => {
  for (const wait of ['0', '50ms']) {
    const { host, origin, clock, get } = await start(t, `ttl 10s stale-if-error 1h wait ${wait}`)
    const { loads } = host.server
    /** What a GET says before the origin has answered. */
    const early = async (): Promise<string> => {
      let answer = (): void => {}
      origin.otherwise((request, response) => {
        answer = () => response.end(`answer ${origin.count(request.url ?? '')}`)
      })
      const asked = origin.requestsTotal
      const reply = get('a')
      while (origin.requestsTotal === asked) await clock.settle()
      await clock.leap(50)
      const text = await reply
      answer()
      while (loads.inFlight > 0) await clock.settle()
      return text
    }
    t.is(await early(), 'nil', wait)
    t.is(await get('a'), 'answer 1', wait)
    await clock.leap(11 * SECOND)
    t.is(await early(), 'answer 1', wait)
    t.is(await get('a'), 'answer 2', wait)
  }
})
