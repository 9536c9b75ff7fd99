import { connect } from 'node:net'
import test from 'ava'
import { loadConfig } from '../../../server/config.ts'
import { limits, outputLimits, OutputWatch } from '../../../server/clients/output-limits.ts'
import { startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { until } from '../../until.ts'

const limitsOf = (...words: string[]): ReturnType<typeof outputLimits> =>
  outputLimits(
    loadConfig({ args: ['--client-output-buffer-limit', ...words] })['client-output-buffer-limit'],
  )

test('a class that is not named keeps its limit', (t) => {
  const { normal, pubsub } = limitsOf('normal', '1mb', '2kb', '3')
  t.deepEqual(normal, { hard: 2 ** 20, soft: 2048, softSeconds: 3 })
  t.deepEqual(pubsub, { hard: 32 * 2 ** 20, soft: 8 * 2 ** 20, softSeconds: 60 })
  t.false(limits(limitsOf('pubsub', '0', '0', '9').pubsub))
  t.false(limits(loadLimits().normal))
  t.true(limits(loadLimits().pubsub))
})

function loadLimits(): ReturnType<typeof outputLimits> {
  return outputLimits(loadConfig()['client-output-buffer-limit'])
}

test('the hard limit is reached at its size', (t) => {
  const hard = { hard: 100, soft: 0, softSeconds: 0 }
  for (const [bytes, exceeds] of [
    [99, false],
    [100, true],
    [101, true],
  ] as const) {
    t.is(new OutputWatch().exceeds(hard, bytes, 0), exceeds)
  }
  t.false(new OutputWatch().exceeds({ ...hard, hard: 0 }, 1e9, 0))
})

test('the soft limit must be reached for longer than its seconds, without a break', (t) => {
  const soft = { hard: 0, soft: 50, softSeconds: 10 }
  const watch = new OutputWatch()
  t.false(watch.exceeds(soft, 50, 1000))
  t.false(watch.exceeds(soft, 50, 11_000))
  t.false(watch.exceeds(soft, 49, 11_001))
  t.false(watch.exceeds(soft, 51, 12_000))
  t.false(watch.exceeds(soft, 51, 22_000))
  t.true(watch.exceeds(soft, 51, 22_001))
})

/** A connection that reads nothing of what comes. */
function mute(port: number, line: string): { readonly isClosed: boolean; close(): void } {
  const state = { isClosed: false, close: () => void socket.destroy() }
  const socket = connect(port, '127.0.0.1', () => socket.write(line))
  socket.pause()
  socket.on('error', () => {})
  // Paused it hears of its end only when it writes.
  const timer = setInterval(() => socket.write('PING\r\n'), 20)
  socket.on('close', () => {
    clearInterval(timer)
    state.isClosed = true
  })
  return state
}

test('a monitor that does not read is closed at its limit, others go on', async (t) => {
  const server = await startRingtier({
    args: ['--maxmemory', '64mb', '--client-output-buffer-limit', 'pubsub 1mb 0 0'],
  })
  t.teardown(() => server.stop())
  const monitor = mute(server.port, 'MONITOR\r\n')
  const client = await RawClient.open(server.port)
  const value = 'x'.repeat(10_000)
  // The kernel takes some megabytes before anything is queued here.
  while (!server.output().includes('output buffer limits')) {
    await Promise.all(Array.from({ length: 100 }, () => client.command('ECHO', value)))
  }
  await until(() => monitor.isClosed)
  t.false((await client.command('CLIENT', 'LIST')).includes('flags=O'))
  client.close()
})

test('a normal client that does not read waits, unless its class has a limit', async (t) => {
  const server = await startRingtier({ args: ['--maxmemory', '64mb'] })
  t.teardown(() => server.stop())
  const admin = await RawClient.open(server.port)
  await admin.command('SET', 'k', 'x'.repeat(15_000))
  const flood = 'GET k\r\n'.repeat(2000)
  const queued = async (): Promise<number> => {
    const list = await admin.command('CLIENT', 'LIST')
    return Math.max(...[...list.matchAll(/ omem=(\d+)/g)].map(([, bytes]) => Number(bytes)))
  }
  const patient = mute(server.port, flood)
  while ((await queued()) === 0);
  t.false(server.output().includes('output buffer limits'))
  t.is(
    await admin.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 1kb 0 0'),
    '+OK\r\n',
  )
  await until(() => patient.isClosed)
  t.regex(server.output(), /output buffer limits/)
  t.is(await admin.command('PING'), '+PONG\r\n')
  admin.close()
})
