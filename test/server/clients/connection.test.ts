import { duplexPair } from 'node:stream'
import test from 'ava'
import type { Loaded, Loader } from '../../../cluster/origin/loader.ts'
import { WORDS_MAX } from '../../../server/command.ts'
import { LocalNetwork } from '../../sim/network.ts'
import { SeededRandom } from '../../sim/random.ts'
import { startInProcess, type InProcess } from '../in-process.ts'

function encode(...args: (string | Buffer)[]): Buffer {
  const parts = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = Buffer.from(arg as string)
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}

/** Sends the pieces one after the other to a fresh client; all that comes back, as latin1. */
async function exchange(
  host: InProcess,
  pieces: readonly Buffer[],
  patienceMs = 0,
): Promise<string> {
  const [near, far] = duplexPair()
  let received = ''
  near.setEncoding('latin1').on('data', (text: string) => (received += text))
  host.server.handle(far)
  for (const piece of pieces) {
    near.write(piece)
    await host.clock.settle()
  }
  if (patienceMs > 0) await host.clock.advance(patienceMs)
  near.destroy()
  return received
}

const pipeline = Buffer.concat([
  encode('SET', 'key', 'value'),
  Buffer.from('GET key\r\n'),
  encode('INCR', 'n'),
  encode('MSET', 'a', '1', 'b', ''),
  encode('MGET', 'a', 'b', 'nothing'),
  encode('NOSUCH', 'x'),
  Buffer.from('SET quoted "a \\x41\\n"\r\n'),
  encode('GETRANGE', 'quoted', '0', '-1'),
  encode('PING'),
])

const answers =
  '+OK\r\n$5\r\nvalue\r\n:1\r\n+OK\r\n*3\r\n$1\r\n1\r\n$0\r\n\r\n$-1\r\n' +
  "-ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n+OK\r\n$4\r\na A\n\r\n+PONG\r\n"

test('a pipeline cut at any byte gets the same answers', async (t) => {
  const host = await startInProcess()
  for (let cut = 0; cut <= pipeline.length; cut++) {
    const pieces = [pipeline.subarray(0, cut), pipeline.subarray(cut)]
    t.is(await exchange(host, pieces), answers, `cut at ${cut}`)
    await exchange(host, [encode('FLUSHALL')])
  }
  t.is(
    await exchange(
      host,
      [...pipeline].map((byte) => Buffer.from([byte])),
    ),
    answers,
  )
  host.server.shutdown()
})

test('a value over 64 KB arrives in pieces of any size and leaves whole', async (t) => {
  const host = await startInProcess()
  const random = new SeededRandom(7)
  for (const length of [65_535, 65_536, 65_537, 200_000, 1_000_003]) {
    const value = random.bytes(length)
    const bytes = Buffer.concat([
      encode('SET', 'big', value),
      encode('GET', 'big'),
      encode('STRLEN', 'big'),
    ])
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length;) {
      const size = 1 + random.below(70_000)
      pieces.push(bytes.subarray(at, at + size))
      at += size
    }
    const received = await exchange(host, pieces)
    t.is(received, `+OK\r\n$${length}\r\n${value.toString('latin1')}\r\n:${length}\r\n`)
  }
  host.server.shutdown()
})

test('a command of more small arguments than the carry holds is one command', async (t) => {
  const host = await startInProcess()
  const words = ['MSET']
  for (let i = 0; i < 5000; i++) words.push(`some-key-of-fair-length:${i}`, `value ${i}`)
  const names = words.filter((_, i) => i % 2 === 1)
  const bytes = Buffer.concat([encode(...words), encode('EXISTS', ...names), encode('PING')])
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 30_011) pieces.push(bytes.subarray(at, at + 30_011))
  t.is(await exchange(host, pieces), '+OK\r\n:5000\r\n+PONG\r\n')
  host.server.shutdown()
})

test('a bulk that memory cannot hold is skipped, refused, and the next command works', async (t) => {
  const host = await startInProcess(['--maxmemory', '8mb'])
  const bytes = Buffer.concat([encode('SET', 'k', Buffer.alloc(5_000_000, 'x')), encode('PING')])
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 50_000) pieces.push(bytes.subarray(at, at + 50_000))
  const received = await exchange(host, pieces)
  t.is(received, "-OOM command not allowed when used memory > 'maxmemory'.\r\n+PONG\r\n")
  t.is(host.server.store.stats.pinnedBytes, 0)
  host.server.shutdown()
})

test('replies keep the order of their requests when one of them waits', async (t) => {
  let deliver: (loaded: Loaded) => void = () => {}
  const loader: Loader = {
    load: () => new Promise((resolve) => (deliver = resolve)),
    close: async () => {},
  }
  const group = 'user match user:{id} origin http://127.0.0.1:1/{id}'
  const host = await startInProcess(['--group', group], { loader })
  const client = host.connect()
  const order: string[] = []
  const ask = (...args: string[]): void => {
    void client.command(...args).then((reply) => order.push(`${args[0]} ${reply.trim()}`))
  }
  ask('SET', 'other', '1')
  ask('GET', 'user:1')
  ask('INCR', 'other')
  ask('PING')
  await host.clock.settle()
  t.deepEqual(order, ['SET +OK'])
  // It was executed all the same.
  t.is(await host.connect().command('GET', 'other'), '$1\r\n2\r\n')
  deliver({ value: Buffer.from('loaded') })
  await host.clock.settle()
  t.deepEqual(order, ['SET +OK', 'GET $6\r\nloaded', 'INCR :2', 'PING +PONG'])
  host.server.shutdown()
})

test('replies keep their order when this node stands in for one that is gone', async (t) => {
  const peers = ['--cluster-self', '127.0.0.1:1', '--cluster-peers', '127.0.0.1:2']
  // Nobody listens on the other address: after the first attempt requests fail in the same turn.
  const host = await startInProcess(peers, { network: new LocalNetwork() })
  const count = 200
  const bytes: Buffer[] = []
  let expected = ''
  for (let i = 0; i < count; i++) {
    bytes.push(encode('SET', `k${i}`, String(i)), encode('PING'), encode('GET', `k${i}`))
    expected += `+OK\r\n+PONG\r\n$${String(i).length}\r\n${i}\r\n`
  }
  const keys = Array.from({ length: count }, (_, i) => `k${i}`)
  bytes.push(encode('MGET', ...keys), encode('EXISTS', ...keys), encode('PING'))
  expected += `*${count}\r\n${keys.map((_, i) => `$${String(i).length}\r\n${i}\r\n`).join('')}`
  expected += `:${count}\r\n+PONG\r\n`
  // More than an area holds, after slots that were answered in the same turn.
  const docs = await exchange(host, [encode('COMMAND', 'DOCS')])
  for (let i = 0; i < 20; i++) bytes.push(encode('COMMAND', 'DOCS'))
  expected += docs.repeat(20)
  const own = keys.filter((key) => host.server.routing.isHere(Buffer.from(key)))
  for (let round = 0; round < 3; round++) {
    // The first piece finds out that nobody is there, the second meets that knowledge.
    const pieces = [encode('DEL', ...keys), Buffer.concat(bytes)]
    // What it has of others is not seen any more after some seconds.
    const deleted = round === 0 ? 0 : own.length
    t.is(await exchange(host, pieces, 3000), `:${deleted}\r\n${expected}`, `round ${round}`)
  }
  t.true(host.server.routing.router!.counters.stoodIn > count / 10)
  host.server.shutdown()
})

test('a client that does not read is not executed further, and loses nothing', async (t) => {
  const host = await startInProcess()
  const value = Buffer.alloc(10_000, 'v')
  await exchange(host, [encode('SET', 'k', value)])
  const [near, far] = duplexPair({ highWaterMark: 16_384 })
  const session = host.server.handle(far)
  const count = 2000
  const request = encode('GET', 'k')
  for (let i = 0; i < count; i++) near.write(request)
  for (let i = 0; i < 50; i++) await host.clock.settle()
  t.true(session.outputBytes < 1_000_000, `${session.outputBytes} bytes wait`)
  let received = 0
  near.on('data', (chunk: Buffer) => (received += chunk.length))
  const expected = count * (value.length + '$10000\r\n\r\n'.length)
  for (let i = 0; i < 20_000 && received < expected; i++) await host.clock.settle()
  t.is(received, expected)
  host.server.shutdown()
})

test('CLIENT REPLY OFF and SKIP silence what they should', async (t) => {
  const host = await startInProcess()
  const received = await exchange(host, [
    encode('CLIENT', 'REPLY', 'SKIP'),
    encode('SET', 'a', '1'),
    encode('GET', 'a'),
    encode('CLIENT', 'REPLY', 'OFF'),
    Buffer.concat([encode('INCR', 'a'), encode('CLIENT', 'REPLY', 'ON'), encode('GET', 'a')]),
  ])
  t.is(received, '$1\r\n1\r\n+OK\r\n$1\r\n2\r\n')
  host.server.shutdown()
})

test('of 50,000 arguments an error shows the first, and they are too many where none is a key', async (t) => {
  const host = await startInProcess()
  const words = Array.from({ length: 50_000 }, (_, i) => `word${i}`)
  const unknown = await exchange(host, [encode('NOSUCH', ...words)])
  t.regex(unknown, /^-ERR unknown command 'NOSUCH', with args beginning with: 'word0' 'word1' /)
  t.true(unknown.length < 300, unknown)
  const name = Buffer.alloc(200_000, 'n')
  t.is(
    await exchange(host, [encode(name), encode('CONFIG', name)]),
    `-ERR unknown command '${'n'.repeat(128)}', with args beginning with: \r\n` +
      `-ERR unknown subcommand '${'n'.repeat(128)}'. Try CONFIG HELP.\r\n`,
  )
  for (const [command, fullName] of [
    [['CONFIG', 'GET'], 'config|get'],
    [['COMMAND', 'INFO'], 'command|info'],
    [['CLIENT', 'LIST'], 'client|list'],
    [['INFO'], 'info'],
  ] as const) {
    const fitting = words.slice(0, WORDS_MAX - command.length)
    t.not(
      (await exchange(host, [encode(...command, ...fitting)])).slice(0, 20),
      '-ERR wrong number of',
    )
    t.is(
      await exchange(host, [encode(...command, ...fitting, 'one more')]),
      `-ERR wrong number of arguments for '${fullName}' command\r\n`,
    )
  }
  t.is(await exchange(host, [encode('EXISTS', ...words.slice(0, 2 * WORDS_MAX))]), ':0\r\n')
  host.server.shutdown()
})

test('a request that is a web page closes the connection', async (t) => {
  const host = await startInProcess()
  for (const bytes of ['POST / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n']) {
    const [near, far] = duplexPair()
    let ended = false
    near.on('close', () => (ended = true)).resume()
    host.server.handle(far)
    near.write(bytes)
    for (let i = 0; i < 5; i++) await host.clock.settle()
    t.true(ended || far.destroyed, bytes)
  }
  host.server.shutdown()
})

test('who was told good-bye is no client any more, also while it leaves its side open', async (t) => {
  const host = await startInProcess()
  const { clients } = host.server
  const other = host.connect()
  t.is(await other.command('HELLO', '3').then((reply) => reply[0]), '%')
  const [near, far] = duplexPair()
  let received = ''
  near.setEncoding('latin1').on('data', (text: string) => (received += text))
  const leaver = host.server.handle(far)
  near.write('SUBSCRIBE c\r\n')
  await host.clock.settle()
  const redirect = ['CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(leaver.id)]
  t.is(await other.command(...redirect), '+OK\r\n')
  t.is(await other.command('GET', 'k'), '_\r\n')
  near.write('QUIT\r\n')
  await host.clock.settle()
  t.true(received.endsWith(':1\r\n+OK\r\n'))
  t.true(near.readableEnded)
  t.false(clients.has(leaver.id))
  t.is(host.server.stats.clients, 1)
  t.is(await other.command('PUBLISH', 'c', 'm'), ':0\r\n')
  t.is(await other.command('SET', 'k', '1'), '+OK\r\n')
  // A push, before the answer to what is asked then.
  t.is(await other.command('PING'), `>2\r\n$21\r\ntracking-redir-broken\r\n:${leaver.id}\r\n`)
  t.false(far.destroyed)
  near.write('PING\r\n')
  await host.clock.advance(1000)
  t.true(far.destroyed)
  other.close()
})
