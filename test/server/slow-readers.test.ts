/* The whole figures come from test/bench/slow-readers.ts. Time is not judged here. */
import { createHash, randomBytes } from 'node:crypto'
import test from 'ava'
import { encode, measureSilent, Pinger, readSlowly } from '../bench/slow-readers/measure.ts'
import { type RunningServer, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'

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
