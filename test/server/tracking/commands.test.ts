import test from 'ava'
import type { Loaded, Loader } from '../../../cluster/origin/loader.ts'
import type { InProcess } from '../in-process.ts'
import { startCluster, startInProcess } from '../in-process.ts'
import { type Duplex, duplexPair } from 'node:stream'

/** One connection in RESP3, and all that came over it. */
class Ear {
  readonly #stream: Duplex
  #host: InProcess
  #received = ''

  constructor(host: InProcess) {
    this.#host = host
    const [near, far] = duplexPair()
    host.server.handle(far)
    near.setEncoding('latin1')
    near.on('data', (text: string) => (this.#received += text))
    this.#stream = near
  }

  static async open(host: InProcess, ...options: string[]): Promise<Ear> {
    const ear = new Ear(host)
    await ear.say('HELLO 3')
    await ear.say(['CLIENT TRACKING ON', ...options].join(' '))
    return ear
  }

  write(...commands: string[]): void {
    const bytes = commands.map((command) => {
      const words = command.split(' ').map((word) => `$${word.length}\r\n${word}\r\n`)
      return `*${words.length}\r\n${words.join('')}`
    })
    this.#stream.write(bytes.join(''), 'latin1')
  }

  pause(): void {
    this.#stream.pause()
  }

  get isClosed(): boolean {
    return this.#stream.destroyed || this.#stream.readableEnded
  }

  /** What came since the last time, in short: pushes as `(k j)`. */
  async heard(): Promise<string> {
    await this.#host.clock.settle()
    const text = this.#received
    this.#received = ''
    return text
      .replaceAll(/>2\r\n\$10\r\ninvalidate\r\n_\r\n/g, '(all)\r\n')
      .replaceAll(
        />2\r\n\$10\r\ninvalidate\r\n\*\d+\r\n((?:\$\d+\r\n[^\r]*\r\n)+?)(?=[^$]|$)/g,
        (_, keys: string) => {
          return `(${[...keys.matchAll(/\$\d+\r\n([^\r]*)/g)].map(([, key]) => key).join(' ')})\r\n`
        },
      )
      .replaceAll(/\$\d+\r\n/g, '')
      .trimEnd()
      .replaceAll('\r\n', ' ')
  }

  /** Says something, and tells what came. */
  async say(...commands: string[]): Promise<string> {
    this.write(...commands)
    return this.heard()
  }
}

/** An origin that answers when the test says so. */
class HeldOrigin implements Loader {
  value = 'loaded'
  readonly #held: (() => void)[] = []

  load(): Promise<Loaded> {
    return new Promise((resolve) => {
      this.#held.push(() => resolve({ value: Buffer.from(this.value) }))
    })
  }

  async deliver(host: InProcess): Promise<void> {
    for (const answer of this.#held.splice(0)) answer()
    await host.clock.settle()
  }

  async close(): Promise<void> {}
}

const group = 'item match item:{id} origin http://127.0.0.1:1/{id} ttl 1h wait 1h timeout 1h'

async function startWithOrigin(): Promise<{ host: InProcess; origin: HeldOrigin }> {
  const origin = new HeldOrigin()
  return { host: await startInProcess(['--group', group], { loader: origin }), origin }
}

test('what a load brings is tracked, and not told by the load that brings it', async (t) => {
  const { host, origin } = await startWithOrigin()
  const ear = await Ear.open(host)
  const writer = new Ear(host)
  for (const [command, reply] of [
    ['GET item:1', 'loaded'],
    ['STRLEN item:1', ':6'],
    ['GETRANGE item:1 0 1', 'lo'],
    ['MGET item:1', '*1 loaded'],
  ] as const) {
    t.is(await ear.say(command), '')
    await origin.deliver(host)
    t.is(await ear.heard(), reply)
    t.is(await writer.say('DEL item:1'), ':1')
    t.is(await ear.heard(), '(item:1)')
    t.is(await writer.say('SET item:1 x', 'DEL item:1'), '+OK :1')
    t.is(await ear.heard(), '')
  }
  host.server.shutdown()
})

test('a message never overtakes the reply that it makes worthless', async (t) => {
  const { host, origin } = await startWithOrigin()
  const ear = await Ear.open(host)
  const writer = new Ear(host)
  await writer.say('SET k 1')
  // The first reply holds up the second one, which was read before the change.
  ear.write('GET item:1', 'GET k')
  await host.clock.settle()
  t.is(await writer.say('SET k 2'), '+OK')
  t.is(await ear.heard(), '')
  await origin.deliver(host)
  t.is(await ear.heard(), 'loaded 1 (k)')
  host.server.shutdown()
})

test('a load that a write has fenced off is answered, and told as worthless', async (t) => {
  const { host, origin } = await startWithOrigin()
  const ear = await Ear.open(host)
  const writer = new Ear(host)
  ear.write('GET item:1', 'MGET item:2 k')
  await host.clock.settle()
  t.is(await writer.say('SET item:1 newer', 'SET item:2 newer', 'SET k newer'), '+OK +OK +OK')
  await origin.deliver(host)
  t.regex(
    await ear.heard(),
    /^(loaded|newer)( \(item:1\))? \*2 (loaded|newer) _( \((k|item:\d)\))+$/,
  )
  t.is(await ear.say('MGET item:1 item:2 k'), '*3 newer newer newer')
  host.server.shutdown()
})

test('of an MGET with very many loads each is told', async (t) => {
  const { host, origin } = await startWithOrigin()
  const ear = await Ear.open(host)
  const writer = new Ear(host)
  const keys = Array.from({ length: 300 }, (_, i) => `item:${i}`)
  await writer.say('SET item:0 there', 'SET item:150 there')
  ear.write(`MGET ${keys.join(' ')}`)
  for (let round = 0; round < 30; round++) {
    await host.clock.settle()
    await origin.deliver(host)
  }
  t.is((await ear.heard()).replaceAll(' loaded', ''), '*300 there there')
  for (const key of keys) {
    await writer.say(`DEL ${key}`)
    t.is(await ear.heard(), `(${key})`)
  }
  host.server.shutdown()
})

test('what is loaded anew is told', async (t) => {
  const origin = new HeldOrigin()
  const stale = group.replace('ttl 1h', 'ttl 1s stale 1d')
  const host = await startInProcess(['--group', stale], { loader: origin })
  const ear = await Ear.open(host)
  const writer = new Ear(host)
  ear.write('GET item:1')
  await host.clock.settle()
  await origin.deliver(host)
  t.is(await ear.heard(), 'loaded')
  await host.clock.advance(1_500)
  t.is(await writer.say('GET item:1'), 'loaded')
  t.is(await ear.heard(), '')
  origin.value = 'anew'
  await origin.deliver(host)
  t.is(await ear.heard(), '(item:1)')
  t.is(await ear.say('GET item:1'), 'anew')
  t.is(await writer.say('CACHE.INVALIDATE PREFIX item:'), '+OK')
  t.is(await ear.heard(), '(item:1)')
  host.server.shutdown()
})

test('CLIENT CACHING is about the next command also where that is answered later', async (t) => {
  const { host, origin } = await startWithOrigin()
  const ear = await Ear.open(host, 'OPTIN')
  const writer = new Ear(host)
  ear.write('GET item:1', 'CLIENT CACHING YES', 'GET item:2', 'GET item:3')
  await host.clock.settle()
  await origin.deliver(host)
  t.is(await ear.heard(), 'loaded +OK loaded loaded')
  await writer.say('DEL item:1 item:2 item:3')
  t.is(await ear.heard(), '(item:2)')
  host.server.shutdown()
})

test('commands with very many keys are remembered, and kept quiet about, as others are', async (t) => {
  const host = await startInProcess(['--maxmemory', '64mb'])
  const ear = await Ear.open(host, 'NOLOOP')
  const writer = new Ear(host)
  const keys = Array.from({ length: 40_000 }, (_, i) => `k${i}`)
  t.is(await writer.say(`MSET ${keys.map((key) => `${key} 1`).join(' ')}`), '+OK')
  t.is(await ear.say(`EXISTS ${keys.join(' ')}`), ':40000')
  const field = async (name: string): Promise<number> =>
    Number(new RegExp(`${name}:(\\d+)`).exec(await writer.say('INFO everything'))![1])
  t.is(await field('tracking_total_keys'), 40_000)
  t.is(await field('tracking_total_items'), 40_000)
  t.is(await writer.say('DEL k1 k39999'), ':2')
  t.is(await ear.heard(), '(k1) (k39999)')
  t.is(await ear.say(`DEL ${keys.join(' ')}`), ':39998')
  t.is(await field('tracking_total_keys'), 0)
  host.server.shutdown()
})

test('the oldest keys make room, and are told', async (t) => {
  const host = await startInProcess(['--tracking-table-max-keys', '3'])
  const ear = await Ear.open(host)
  const writer = new Ear(host)
  t.is(await ear.say('MGET 1 2 3'), '*3 _ _ _')
  t.is(await ear.say('GET 4'), '_ (1)')
  t.is(await ear.say('MGET 4 5 6 7', 'PING'), '*4 _ _ _ _ (2) (3) (4) +PONG')
  t.is(await writer.say('MSET 1 x 4 x 7 x'), '+OK')
  t.is(await ear.heard(), '(7)')
  t.is(await writer.say('CONFIG SET tracking-table-max-keys 1'), '+OK')
  t.is(await ear.say('GET 8'), '_ (5) (6)')
  host.server.shutdown()
})

test('an evicted key is told, also whoever has evicted it and wants no loop', async (t) => {
  const host = await startInProcess(['--maxmemory', '2mb', '--maxmemory-policy', 'allkeys-lru'])
  const ear = await Ear.open(host, 'NOLOOP')
  await ear.say('SET first 1')
  t.is(await ear.say('TTL first'), ':-1')
  let heard = ''
  for (let i = 0; i < 60_000 && !heard.includes('first'); i++) {
    ear.write(`SET k${i} ${'v'.repeat(100)}`)
    if (i % 100 === 0) heard += await ear.heard()
  }
  t.true(heard.includes('(first)'))
  host.server.shutdown()
})

test('a value that may only stand in for a failed load is told as gone', async (t) => {
  const origin = new HeldOrigin()
  const host = await startInProcess(['--group', `${group} stale 0 stale-if-error 1d`], {
    loader: origin,
  })
  const ear = await Ear.open(host)
  ear.write('GET item:1')
  await host.clock.settle()
  await origin.deliver(host)
  t.is(await ear.heard(), 'loaded')
  await host.clock.advance(3_500_000)
  t.is(await ear.heard(), '')
  await host.clock.advance(101_000)
  t.is(await ear.heard(), '(item:1)')
  host.server.shutdown()
})

test('who hears of everything and does not read is closed', async (t) => {
  const host = await startInProcess(['--client-output-buffer-limit', 'pubsub 100kb 0 0'])
  const ear = await Ear.open(host, 'BCAST')
  const writer = new Ear(host)
  ear.pause()
  for (let i = 0; i < 400; i++) await writer.say(`SET ${'k'.repeat(1000)}${i} 1`)
  t.regex(await writer.say('INFO clients'), /tracking_clients:0/)
  host.server.shutdown()
})

test('prefixes have limits', async (t) => {
  const host = await startInProcess()
  const ear = new Ear(host)
  await ear.say('HELLO 3')
  const prefixes = (count: number): string =>
    Array.from({ length: count }, (_, i) => `PREFIX ${10_000 + i}`).join(' ')
  const on = 'CLIENT TRACKING ON BCAST'
  t.is(await ear.say(`${on} PREFIX ${'p'.repeat(1024)}`), '+OK')
  t.regex(await ear.say(`${on} PREFIX ${'q'.repeat(1025)}`), /^-ERR a client may have up to 1024/)
  t.regex(await ear.say(`${on} ${prefixes(1024)}`), /^-ERR a client may have up to 1024/)
  t.is(await ear.say(`${on} ${prefixes(1023)}`), '+OK')
  t.is(
    await ear.say(`${on} PREFIX x PREFIX y PREFIX y`).then((line) => line.slice(0, 20)),
    '-ERR a client may have up to 1024'.slice(0, 20),
  )
  t.is(await ear.say('SET 10007x 1'), '+OK (10007x)')
  host.server.shutdown()
})

test('in a cluster nobody tracks', async (t) => {
  const cluster = await startCluster(2, [])
  const client = cluster.nodes[0]!.connect()
  const reply = client.command('CLIENT', 'TRACKING', 'ON')
  await cluster.settle()
  t.regex(await reply, /^-ERR CLIENT TRACKING is not there in a cluster/)
  cluster.shutdown()
})
