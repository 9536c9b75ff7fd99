import test from 'ava'
import { OriginError } from '../../../cluster/origin/loader.ts'
import type { Loaded, Loader } from '../../../cluster/origin/loader.ts'
import { type InProcess, startInProcess } from '../in-process.ts'

/** An origin that answers when the test says so: the value of key K is 'origin K'. */
class HeldOrigin implements Loader {
  readonly #held: (() => void)[] = []

  load({ key }: { readonly key: Uint8Array }): Promise<Loaded> {
    const name = Buffer.from(key).toString()
    return new Promise((resolve, reject) => {
      this.#held.push(() => {
        if (name.endsWith('none')) resolve({ value: null })
        else if (name.endsWith('broken')) reject(new OriginError('status', 'ORIGIN item: broken'))
        else resolve({ value: Buffer.from(`origin ${name}`) })
      })
    })
  }

  deliver(): void {
    for (const answer of this.#held.splice(0)) answer()
  }

  async close(): Promise<void> {}
}

async function start(): Promise<{ host: InProcess; origin: HeldOrigin }> {
  const origin = new HeldOrigin()
  const group = 'item match item:{id} origin http://127.0.0.1:1/{id} ttl 1h wait 1h timeout 1h'
  const host = await startInProcess(['--group', group], { loader: origin })
  return { host, origin }
}

/** Sends commands in one go over one connection; their replies, in order, once all loads ended. */
async function pipeline(
  { host, origin }: { host: InProcess; origin: HeldOrigin },
  ...commands: readonly string[]
): Promise<string[]> {
  const client = host.connect()
  const replies = commands.map((command) => client.command(...command.split(' ')))
  await host.clock.settle()
  origin.deliver()
  await host.clock.settle()
  return (await Promise.all(replies)).map((reply) => reply.trimEnd().replaceAll('\r\n', ' '))
}

test('a write behind a command that waits for a load is never undone by it', async (t) => {
  const scene = await start()
  const deleted = await pipeline(scene, 'GETEX item:a PXAT 1000', 'SET item:a new', 'GET item:a')
  t.deepEqual(deleted, ['$13 origin item:a', '+OK', '$3 new'])
  t.deepEqual(await pipeline(scene, 'GET item:a', 'TTL item:a'), ['$3 new', ':-1'])
  const expiring = await pipeline(scene, 'GETEX item:b EX 100', 'SET item:b new')
  t.deepEqual(expiring, ['$13 origin item:b', '+OK'])
  t.deepEqual(await pipeline(scene, 'GET item:b', 'TTL item:b'), ['$3 new', ':-1'])
  scene.host.server.shutdown()
})

test('GETEX sets the expiry of what it loaded', async (t) => {
  const scene = await start()
  t.deepEqual(await pipeline(scene, 'GETEX item:a EX 100'), ['$13 origin item:a'])
  t.deepEqual(await pipeline(scene, 'TTL item:a'), [':100'])
  t.deepEqual(await pipeline(scene, 'GETEX item:a PERSIST', 'TTL item:a'), [
    '$13 origin item:a',
    ':-1',
  ])
  scene.host.server.shutdown()
})

test('what a command does not miss it reads when its turn comes', async (t) => {
  const scene = await start()
  const replies = await pipeline(
    scene,
    'SET p 1',
    'MGET p item:a item:none p q',
    'SET p 2',
    'SET q 3',
    'GET p',
  )
  t.deepEqual(replies, ['+OK', '*5 $1 1 $13 origin item:a $-1 $1 1 $-1', '+OK', '+OK', '$1 2'])
  const lengths = await pipeline(
    scene,
    'STRLEN item:b',
    'GETRANGE item:c 0 5',
    'SET item:b x',
    'SET item:c y',
  )
  t.deepEqual(lengths, [':13', '$6 origin', '+OK', '+OK'])
  t.deepEqual(await pipeline(scene, 'STRLEN item:none', 'GETRANGE item:none 0 5'), [
    ':0',
    '$0 '.trim(),
  ])
  t.deepEqual(await pipeline(scene, 'GETRANGE item:z 0 x'), [
    '-ERR value is not an integer or out of range',
  ])
  scene.host.server.shutdown()
})

test('commands that read bits load what they miss', async (t) => {
  const scene = await start()
  const value = 'origin item:a'
  const bits = [...Buffer.from(value)].reduce(
    (sum, byte) => sum + byte.toString(2).replaceAll('0', '').length,
    0,
  )
  const calls = (key: (i: number) => string): string[] => [
    `GETBIT ${key(0)} 1`,
    `BITCOUNT ${key(1)}`,
    `BITCOUNT ${key(2)} 0 7 BIT`,
    `BITPOS ${key(3)} 1`,
    `BITPOS ${key(4)} 0 0 -1`,
    `BITFIELD_RO ${key(5)} GET u8 0 GET u8 #12 GET i64 4000`,
    `SUBSTR ${key(6)} 0 5`,
    `GETBIT ${key(7)} x`,
    `BITCOUNT ${key(8)} 0 x`,
    `BITPOS ${key(9)} 2`,
    `BITPOS ${key(10)} 1 x`,
    `BITFIELD_RO ${key(11)} SET u8 0 1`,
    `BITFIELD_RO ${key(12)} GET u8 x`,
  ]
  const missed = await pipeline(scene, ...calls(() => 'item:a'))
  t.deepEqual(missed.slice(0, 4), [':1', `:${bits}`, ':6', ':1'])
  // They say of a value that is there what they said of it when it came.
  for (const n of [0, 1, 2]) {
    t.deepEqual(await pipeline(scene, ...calls(() => 'item:a')), missed)
    for (const [i, call] of calls((each) => `item:${n}:${each}`).entries()) {
      const reply = await pipeline(scene, call)
      t.deepEqual(await pipeline(scene, call), reply, call)
      if (!/BITCOUNT|BITFIELD|BITPOS/.test(call)) t.deepEqual(reply, [missed[i]!], call)
    }
  }
  t.deepEqual(await pipeline(scene, ...calls(() => 'item:none')), [
    ...[':0', ':0', ':0', ':-1', ':0', '*3 :0 :0 :0', '$0'],
    ...['-ERR bit offset is not an integer or out of range', ':0'],
    ...['-ERR The bit argument must be 1 or 0.', ':-1'],
    '-ERR BITFIELD_RO only supports the GET subcommand',
    '-ERR bit offset is not an integer or out of range',
  ])
  scene.host.server.shutdown()
})

test('one load that fails makes the whole MGET an error, and the next one loads again', async (t) => {
  const scene = await start()
  t.deepEqual(await pipeline(scene, 'MGET item:a item:broken', 'PING'), [
    '-ORIGIN item: broken',
    '+PONG',
  ])
  t.deepEqual(await pipeline(scene, 'MGET item:a item:b'), [
    '*2 $13 origin item:a $13 origin item:b',
  ])
  t.is(scene.host.server.loads.inFlight, 0)
  scene.host.server.shutdown()
})

test('waiters of one large value share its bytes', async (t) => {
  const value = Buffer.alloc(1_000_000, 'large')
  let deliver: (loaded: Loaded) => void = () => {}
  const loader: Loader = {
    load: () => new Promise((resolve) => (deliver = resolve)),
    close: async () => {},
  }
  const group = 'item match item:{id} origin http://127.0.0.1:1/{id} wait 1h timeout 1h'
  const host = await startInProcess(['--group', group], { loader })
  const client = host.connect()
  const replies = Array.from({ length: 300 }, () => client.command('GET', 'item:a'))
  await host.clock.settle()
  t.true(host.server.loads.waiting < 100, 'not all are executed before one is answered')
  deliver({ value })
  const expected = `$1000000\r\n${value.toString()}\r\n`
  let answered = 0
  for (const reply of replies) void reply.then((text) => (answered += text === expected ? 1 : 0))
  await host.clock.until(() => answered === replies.length)
  t.is(answered, 300)
  host.server.shutdown()
})

test('an MGET of thousands of missing keys loads each once, a bounded number at a time, and answers in order', async (t) => {
  let underWay = 0
  let most = 0
  const loads = new Map<string, number>()
  const waiting: (() => void)[] = []
  const origin: Loader = {
    load({ key }) {
      const name = Buffer.from(key).toString()
      loads.set(name, (loads.get(name) ?? 0) + 1)
      most = Math.max(most, ++underWay)
      return new Promise((resolve) => {
        waiting.push(() => {
          underWay--
          resolve({ value: name.endsWith('7') ? null : Buffer.from(`origin ${name}`) })
        })
      })
    },
    close: () => Promise.resolve(),
  }
  const group =
    'item match item:{id} origin http://127.0.0.1:1/{id} ttl 1h wait 1h timeout 1h concurrency 4096'
  const host = await startInProcess(['--group', group, '--maxmemory', '64mb'], { loader: origin })
  const client = host.connect()
  const keys = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? `plain:${i}` : `item:${i}`))
  await client.command('SET', 'plain:0', 'here')
  let reply: string | null = null
  const asked = client.command('MGET', ...keys).then((text) => (reply = text))
  const later = client.command('SET', 'plain:0', 'later')
  for (let i = 0; i < 100 && reply === null; i++) {
    await host.clock.settle()
    for (const answer of waiting.splice(0)) answer()
  }
  await asked
  const expected = keys.map((key) => {
    if (key === 'plain:0') return '$4\r\nhere\r\n'
    if (!key.startsWith('item') || key.endsWith('7')) return '$-1\r\n'
    return `$${`origin ${key}`.length}\r\norigin ${key}\r\n`
  })
  t.true(reply === `*${keys.length}\r\n${expected.join('')}`)
  t.is(await later, '+OK\r\n')
  t.is(loads.size, 2000)
  t.true([...loads.values()].every((count) => count === 1))
  t.true(most > 500 && most <= 1024, String(most))
  host.server.shutdown()
})

test('what a long MGET found at first, and goes while it loads others, is loaded too', async (t) => {
  const { host, origin } = await start()
  const client = host.connect()
  const keys = Array.from({ length: 300 }, (_, i) => `item:${i}`)
  await client.command('SET', 'item:0', 'fresh')
  await client.command('SET', 'item:299', 'fresh')
  let reply: string | null = null
  void client.command('MGET', ...keys).then((text) => (reply = text))
  await host.clock.settle()
  const other = host.connect()
  await other.command('DEL', 'item:0')
  for (let i = 0; i < 10 && reply === null; i++) {
    origin.deliver()
    await host.clock.settle()
  }
  const value = (key: string): string => (key === 'item:299' ? 'fresh' : `origin ${key}`)
  const expected = keys.map((key) => `$${value(key).length}\r\n${value(key)}\r\n`)
  t.true(reply === `*300\r\n${expected.join('')}`, String(reply))
  host.server.shutdown()
})
