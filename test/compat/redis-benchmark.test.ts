import test from 'ava'
import { available, run, startRedis, startRingtier } from '../process.ts'
import { RawClient } from '../raw.ts'

const here = ['redis-server', 'redis-benchmark'].every(available)
const benchmarkTest = here ? test.serial : test.serial.skip

/** The tests of its default list whose commands are here, and their names in its table. */
const TESTS = 'ping,set,get,incr,mset'
const NAMES = ['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', 'MSET (10 keys)']

const ways: Readonly<Record<string, readonly string[]>> = {
  'one command at a time': [],
  'sixteen commands at a time': ['-P', '16'],
  'two threads': ['--threads', '2'],
  'two threads, sixteen commands at a time, large values': [
    ...['--threads', '2', '-P', '16', '-d', '3000'],
  ],
  RESP3: ['-3', '-P', '4'],
}

const servers = { ringtier: startRingtier, 'redis-server': startRedis }

for (const [name, start] of Object.entries(servers)) {
  benchmarkTest(`redis-benchmark runs its tests through on ${name}`, async (t) => {
    const server = await start()
    t.teardown(() => server.stop())
    const client = await RawClient.open(server.port)
    t.teardown(() => client.close())
    for (const [way, options] of Object.entries(ways)) {
      const args = ['-p', String(server.port), '-t', TESTS, '-n', '2000', '-r', '100', ...options]
      const { code, stdout, stderr } = await run('redis-benchmark', [...args, '--csv'])
      t.is(code, 0, way + stderr)
      t.is(stderr, '', way)
      const [titles, ...rows] = stdout.trimEnd().split('\n')
      t.regex(titles!, /^"test","rps","avg_latency_ms"/, way)
      t.deepEqual(
        rows.map((row) => row.split('"')[1]),
        NAMES,
        way,
      )
    }
    // -r 100: a hundred keys and counters, and the values of the last run.
    t.is(await client.command('STRLEN', 'key:000000000007'), ':3\r\n')
    t.regex(await client.command('GET', 'counter:000000000001'), /^\$\d+\r\n\d+\r\n$/)
  })
}
