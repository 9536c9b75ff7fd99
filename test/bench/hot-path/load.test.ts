import { createServer, type AddressInfo } from 'node:net'
import test from 'ava'
import { available, startMemcached, startRedis, startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { Generator } from './generator.ts'
import { load, type Figures } from './load.ts'
import { COMMANDS, KEYS, type Case } from './requests.ts'

const WINDOW = { warmUpMs: 10, measureMs: 100 }
const ONE: Case = { command: 'get', bytes: 3, pipeline: 1, connections: 1, keys: KEYS }

const servers = [
  { name: 'ringtier', program: 'node', start: startRingtier, protocol: 'resp' },
  { name: 'redis-server', program: 'redis-server', start: startRedis, protocol: 'resp' },
  { name: 'memcached', program: 'memcached', start: startMemcached, protocol: 'memcached' },
] as const

for (const { name, program, start, protocol } of servers) {
  const testWhere = available(program) ? test.serial : test.skip
  testWhere(`every reply of ${name} is the one that is expected`, async (t) => {
    const server = await start()
    const generator = Generator.start(process.execPath)
    t.teardown(() => server.stop())
    t.teardown(() => generator.stop())
    const target = { port: server.port, pid: server.pid, protocol }
    const micros: number[] = []
    for (const bytes of [3, 1024]) {
      await generator.setKeys(target, { bytes, keys: KEYS })
      for (const command of COMMANDS) {
        const one = { command, bytes, pipeline: 7, connections: 3, keys: KEYS }
        const figures = await generator.load(target, one, WINDOW)
        t.true(figures.requests > 0 && figures.requests % 7 === 0)
        t.true(figures.checked >= 3 * 7)
        micros.push(figures.microsPerRequest, figures.generatorMicrosPerRequest)
        t.true(figures.p50 > 0 && figures.p50 <= figures.p99 && figures.p99 <= figures.p999)
        t.true(figures.requestsPerSecond <= figures.requests / 0.09)
      }
    }
    t.true(micros.every((one) => one >= 0 && one < 1e6) && Math.max(...micros) > 0)
  })
}

test.serial('a key that is missing fails the load', async (t) => {
  const server = await startRingtier()
  t.teardown(() => server.stop())
  const target = { port: server.port, pid: server.pid, protocol: 'resp' } as const
  await t.throwsAsync(load(target, ONE, WINDOW), { message: /\$-1/ })
})

test.serial('one key among thousands that is missing fails the load', async (t) => {
  const server = await startRingtier()
  const generator = Generator.start(process.execPath)
  t.teardown(() => server.stop())
  t.teardown(() => generator.stop())
  const target = { port: server.port, pid: server.pid, protocol: 'resp' } as const
  await generator.setKeys(target, ONE)
  const client = await RawClient.open(server.port)
  t.is(await client.command('DEL', 'key:000000000042'), ':1\r\n')
  client.close()
  // One batch of all requests that there are: two of them are for this key.
  const one: Case = { ...ONE, pipeline: 20_000 }
  await t.throwsAsync(generator.load(target, one, { ...WINDOW, stallMs: 1000 }), {
    message: /waited 1000 ms for 8 to 8 bytes/,
  })
})

/** What a server that answers anything with `reply` makes of a load. */
async function loadOf(reply: string): Promise<Figures> {
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .on('data', () => (reply === '' ? socket.end() : socket.write(reply)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const target = { port, pid: process.pid, protocol: 'resp' } as const
    return await load(target, ONE, { ...WINDOW, stallMs: 200 })
  } finally {
    server.close()
  }
}

test.serial('another value of the same length fails the load', async (t) => {
  await t.throwsAsync(loadOf('$3\r\n~~~\r\n'), { message: /other bytes/ })
})

test.serial('a byte too many fails the load', async (t) => {
  await t.throwsAsync(loadOf('$3\r\nabc\r\n+'), { message: /9 bytes .* missing, and 10 came/ })
})

test.serial('a byte too few fails the load', async (t) => {
  await t.throwsAsync(loadOf('$3\r\nabc\r'), { message: /waited 200 ms for 1 to 1 bytes/ })
})

test.serial('an error fails the load, and is shown', async (t) => {
  await t.throwsAsync(loadOf('-ERR no\r\n'), { message: /-ERR no/ })
})

test.serial('a connection that ends fails the load', async (t) => {
  await t.throwsAsync(loadOf(''), { message: /closed/ })
})

test.serial('a server that is not there fails the load, through the process too', async (t) => {
  const generator = Generator.start(process.execPath)
  t.teardown(() => generator.stop())
  const target = { port: 1, pid: process.pid, protocol: 'resp' } as const
  await t.throwsAsync(generator.load(target, ONE, WINDOW), { message: /ECONNREFUSED/ })
})
