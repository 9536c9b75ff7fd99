/* The whole figures come from test/bench/slow-readers.ts. Time is not judged here. */
import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import test from 'ava'
import { encode, measureSilent, Pinger, readSlowly } from '../../bench/slow-readers/measure.ts'
import { type RunningServer, startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { until } from '../../until.ts'

const MB = 2 ** 20

const onLinux = process.platform === 'linux' ? test.serial : test.serial.skip

const value = randomBytes(20 * MB)
let server: RunningServer
let pinger: Pinger

test.before(async () => {
  server = await startRingtier({ args: ['--maxmemory', '128mb'] })
  const admin = await RawClient.open(server.port)
  await admin.command('SET', 'big', value)
  for (let i = 0; i < 100; i++) await admin.command('SET', `s${i}`, randomBytes(10_000))
  admin.close()
  pinger = await Pinger.start(server.port)
})

test.after.always(async () => {
  await pinger.stop()
  await server.stop()
})

const smallKeys = Array.from({ length: 16_000 }, (_, i) => `s${i % 100}`)
const requests: Readonly<Record<string, Buffer>> = {
  'one long value': Buffer.from('GET big\r\n'.repeat(10)),
  'a pipeline of GET': Buffer.concat(smallKeys.map((key) => Buffer.from(`GET ${key}\r\n`))),
  'one MGET': encode('MGET', ...smallKeys),
}

for (const [name, request] of Object.entries(requests)) {
  onLinux(`four clients that never read cost 64 MB at most: ${name}`, async (t) => {
    const { bytes } = await measureSilent(server, pinger, { clients: 4, request, ms: 500 })
    t.true(bytes <= 64 * MB, String(bytes))
  })
}

test.serial('a slow reader gets all of a long value', async (t) => {
  const { digest, length } = await readSlowly(server.port, 'big')
  t.is(length, value.length)
  t.is(digest, createHash('sha256').update(value).digest('hex'))
})

/* A write that the kernel took in part leaves the rest in the thread's reply area. */
test.serial(
  'replies that wait for slow readers are not overwritten by those of others',
  async (t) => {
    const keys = 500
    const valueOf = (i: number): string => `<${i}>`.repeat(3000).slice(0, 9000)
    const admin = await RawClient.open(server.port)
    for (let i = 0; i < keys; i++) await admin.command('SET', `distinct:${i}`, valueOf(i))
    admin.close()
    let served = 0
    let isOver = false
    const busy = Array.from({ length: 4 }, async (_, n) => {
      const client = await RawClient.open(server.port)
      for (let i = n; !isOver; i = (i + 13) % keys, served++) {
        const expected = `$9000\r\n${valueOf(i)}\r\n`
        if ((await client.command('GET', `distinct:${i}`)) !== expected)
          t.fail(`a busy client, ${i}`)
      }
      client.close()
    })
    const slow = Array.from({ length: 6 }, async (_, n) => {
      const asked = Array.from({ length: 1500 }, (_, i) => (i * 7 + n * 17) % keys)
      const expected = Buffer.from(asked.map((i) => `$9000\r\n${valueOf(i)}\r\n`).join(''))
      const socket = connect(server.port, '127.0.0.1').pause()
      t.teardown(() => socket.destroy())
      socket.write(asked.map((i) => `GET distinct:${i}\r\n`).join(''))
      let at = 0
      while (at < expected.length) {
        // Between two of its reads others have written to the areas.
        const before = served
        await until(() => served >= before + 20)
        const piece = (socket.read() as Buffer | null) ?? Buffer.alloc(0)
        if (!piece.equals(expected.subarray(at, at + piece.length))) return false
        at += piece.length
      }
      return true
    })
    const right = await Promise.all(slow)
    isOver = true
    await Promise.all(busy)
    t.deepEqual(right, Array(6).fill(true))
  },
)
