/* What makes the server close a client: silence, and unfinished commands. */
import { duplexPair } from 'node:stream'
import test from 'ava'
import { type InProcess, startInProcess } from '../in-process.ts'

const MB = 2 ** 20

/** A client that can be looked at from both sides. */
function visit({ server, clock }: InProcess) {
  const [near, far] = duplexPair()
  let received = ''
  near.setEncoding('latin1').on('data', (text: string) => (received += text))
  near.on('error', () => {})
  const { id } = server.handle(far)
  return {
    near,
    say: async (text: string | Buffer): Promise<void> => {
      near.write(text)
      await clock.settle()
    },
    received: () => received,
    isThere: () => server.clients.has(id),
  }
}

/** An unfinished command of so many bytes: 16 arguments at most, none long enough for pages. */
function unfinished(bytes: number): Buffer {
  const argument = `$65535\r\n${'x'.repeat(65_535)}\r\n`
  const all = `*1000\r\n${argument.repeat(Math.ceil(bytes / argument.length))}`
  return Buffer.from(all.slice(0, bytes))
}

for (const [bytes, stays] of [
  [MB - 1, true],
  [MB, true],
  [MB + 1, false],
] as const) {
  const what = stays ? 'stays' : 'is closed'
  test(`with a limit of a megabyte, who piles up ${bytes} bytes of a command ${what}`, async (t) => {
    const host = await startInProcess(['--client-query-buffer-limit', '1mb'])
    const client = visit(host)
    const request = unfinished(bytes)
    // In pieces, so that the limit is met with the last one.
    for (let from = 0; from < bytes; from += 50_000) {
      await client.say(request.subarray(from, from + 50_000))
    }
    for (let i = 0; i < 20; i++) await host.clock.settle()
    t.is(client.isThere(), stays)
  })
}

test('a client that is silent for longer than the timeout is closed', async (t) => {
  const host = await startInProcess(['--timeout', '5'])
  const [talker, silent] = [visit(host), visit(host)]
  await talker.say('PING\r\n')
  await silent.say('PING\r\n')
  for (let second = 1; second <= 6; second++) {
    await host.clock.advance(999)
    await talker.say('PING\r\n')
    await host.clock.advance(1)
    t.true(silent.isThere(), `${second} s`)
  }
  await host.clock.advance(1000)
  t.false(silent.isThere())
  t.true(talker.isThere())
})

test('with timeout 0 nobody is closed, and it can be set later', async (t) => {
  const host = await startInProcess()
  const client = visit(host)
  await host.clock.advance(3_600_000)
  t.true(client.isThere())
  t.is(host.server.config.set([['timeout', '5']]), null)
  // What came before was not looked at: it begins to count now.
  await host.clock.advance(6_000)
  t.true(client.isThere())
  await host.clock.advance(1_000)
  t.false(client.isThere())
})

test('who is sending a long command, or waits for an answer, is not idle', async (t) => {
  const never = { load: () => new Promise<never>(() => {}), close: () => Promise.resolve() }
  const args = ['--timeout', '5']
  args.push(
    '--group',
    'user match user:{id} origin http://127.0.0.1:1/{id} ttl 1h wait 1h timeout 1h',
  )
  const host = await startInProcess(args, { loader: never })
  const [sender, waiter] = [visit(host), visit(host)]
  await sender.say('*2\r\n$4\r\nECHO\r\n$100\r\n')
  await waiter.say('GET user:1\r\n')
  for (let second = 1; second <= 20; second++) {
    await sender.say('x')
    await host.clock.advance(1_000)
  }
  t.true(sender.isThere())
  t.true(waiter.isThere())
  t.is(waiter.received(), '')
  await host.clock.advance(7_000)
  t.false(sender.isThere())
  t.true(waiter.isThere())
})
