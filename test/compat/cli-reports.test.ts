/*
 * What redis-cli finds out about a server: its keys, its memory, how fast it answers. These print
 * figures, so they are not the same on ringtier and on redis-server, but of one form.
 */
import test from 'ava'
import { type RunningServer, startRedis, startRingtier } from '../process.ts'
import { cli, hasRedisCli } from './redis-cli.ts'

const reportTest = hasRedisCli ? test.serial : test.serial.skip

/** --hotkeys wants a policy with this ending. */
const args = ['--maxmemory-policy', 'allkeys-lfu', '--maxmemory', '16mb']

let servers: readonly RunningServer[] = []
test.before(async () => {
  if (hasRedisCli) servers = [await startRingtier({ args }), await startRedis({ args })]
})
test.after.always(async () => {
  for (const server of servers) await server.stop()
})
test.beforeEach(async () => {
  for (const server of servers) await cli(server, ['flushall'])
})

const KEYS = 500
const sets = Array.from({ length: KEYS }, (_, i) => `SET key:${i} ${'x'.repeat(i)}y\r\n`).join('')

reportTest('--scan names every key', async (t) => {
  for (const server of servers) {
    await cli(server, ['--pipe'], { input: sets })
    const scanned = await cli(server, ['--scan', '--pattern', 'key:4*'])
    const keys = scanned.stdout.trimEnd().split('\n')
    t.is(keys.length, 111)
    t.is(new Set(keys).size, 111)
  }
})

reportTest('--bigkeys and --memkeys find the biggest', async (t) => {
  for (const server of servers) {
    await cli(server, ['--pipe'], { input: sets })
    const big = await cli(server, ['--bigkeys'])
    t.is(big.code, 0, big.stdout + big.stderr)
    t.regex(big.stdout, /Sampled 500 keys in the keyspace!/)
    t.regex(big.stdout, /Biggest string found '"key:499"' has 500 bytes/)
    t.regex(big.stdout, /500 strings with 125250 bytes/)
    for (const way of [['--memkeys'], ['--memkeys-samples', '3']]) {
      const memory = await cli(server, way)
      t.is(memory.code, 0, memory.stdout + memory.stderr)
      t.is(memory.stderr, '')
      const [, bytes] = /^Biggest string found '"key:4\d\d"' has (\d+) bytes$/m.exec(memory.stdout)!
      t.true(Number(bytes) >= 500, memory.stdout)
      const [, sum] = /^500 strings with (\d+) bytes/m.exec(memory.stdout)!
      t.true(Number(sum) > 125_250, memory.stdout)
    }
  }
})

reportTest('--hotkeys finds what is asked for most', async (t) => {
  // ringtier counts accesses to what was not written just now.
  const later = Array.from({ length: 10_000 }, (_, i) => `SET later:${i} ${'x'.repeat(50)}\r\n`)
  for (const server of servers) {
    await cli(server, ['set', 'hot', 'value'])
    await cli(server, ['--pipe'], { input: later.join('') })
    await cli(server, ['-r', '1000', 'get', 'hot'])
    const { code, stdout, stderr } = await cli(server, ['--hotkeys'])
    t.is(code, 0, stdout + stderr)
    t.is(stderr, '')
    t.regex(
      stdout,
      /Sampled 10001 keys in the keyspace!\nhot key found with counter: \d+\tkeyname: "hot"\n/,
    )
  }
})

const lines = (text: string): number => text.split('\n').length - 1

reportTest('--stat prints line after line', async (t) => {
  for (const server of servers) {
    const stat = await cli(server, ['--stat', '-i', '0.1'], { enough: (text) => lines(text) >= 4 })
    t.is(stat.stderr, '')
    const row = stat.stdout.split('\n')[2]!
    t.regex(row, /^\d+ +[0-9.]+[BKMG] +\d+ +0 +\d+ \(\+\d+\) +\d+ *$/, stat.stdout)
  }
})

reportTest('--latency and --latency-dist measure how long a PING takes', async (t) => {
  for (const server of servers) {
    // Where stdout is no terminal it measures for so long.
    const latency = await cli(server, ['--latency', '-i', '0.2'])
    t.is(latency.stderr, '')
    t.regex(latency.stdout, /^\d+ \d+ [0-9.]+ \d+\n/, latency.stdout)
    const done = (text: string): boolean => lines(text) >= 8
    const dist = await cli(server, ['--latency-dist', '-i', '0.2'], { enough: done })
    t.is(dist.stderr, '')
    t.regex(dist.stdout, /^From 0 to 100%: .+$/m)
  }
})
