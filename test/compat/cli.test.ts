/*
 * redis-cli and redis-benchmark as a newcomer uses them, against ringtier and against redis-server.
 * What they print on ringtier must be what they print on Redis, where it does not hold figures.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import {
  available,
  freePort,
  PROJECT,
  run,
  startRedis,
  startRingtier,
  type Run,
  type RunningServer,
} from '../process.ts'
import { RawClient } from '../raw.ts'

const here = ['redis-server', 'redis-cli', 'redis-benchmark', 'script', 'stdbuf'].every(available)
const cliTest = here ? test.serial : test.serial.skip

let ringtier: RunningServer
let redis: RunningServer
test.before(async () => {
  if (!here) return
  ringtier = await startRingtier()
  redis = await startRedis()
})
test.after.always(async () => {
  await ringtier?.stop()
  await redis?.stop()
})
test.beforeEach(async () => {
  if (!here) return
  for (const { port } of [ringtier, redis]) {
    const client = await RawClient.open(port)
    await client.command('FLUSHALL')
    client.close()
  }
})

interface CliOptions {
  readonly input?: string | Buffer
  readonly enough?: (stdout: string) => boolean
}

async function cli(server: RunningServer, args: string[], options: CliOptions = {}): Promise<Run> {
  const all = ['-p', String(server.port), ...args]
  // Line by line, also into a pipe.
  const done = await run('stdbuf', ['-oL', 'redis-cli', ...all], { timeoutMs: 20_000, ...options })
  const rename = (text: string): string => text.replaceAll(String(server.port), 'PORT')
  return { ...done, stdout: rename(done.stdout), stderr: rename(done.stderr) }
}

/** Runs it on both, says that they agree, and gives what ringtier's printed. */
async function same(
  t: { deepEqual: (actual: Run, expected: Run) => void },
  args: string[],
  options: CliOptions = {},
): Promise<Run> {
  const onRedis = await cli(redis, args, options)
  const onRingtier = await cli(ringtier, args, options)
  t.deepEqual(onRingtier, onRedis)
  return onRingtier
}

cliTest('commands given as arguments', async (t) => {
  t.is((await same(t, ['set', 'greeting', 'hello'])).stdout, 'OK\n')
  t.is((await same(t, ['get', 'greeting'])).stdout, 'hello\n')
  t.is((await same(t, ['--no-raw', 'get', 'greeting'])).stdout, '"hello"\n')
  t.is((await same(t, ['--no-raw', 'get', 'nobody'])).stdout, '(nil)\n')
  t.is((await same(t, ['--no-raw', 'strlen', 'greeting'])).stdout, '(integer) 5\n')
  t.is((await same(t, ['--csv', 'mget', 'greeting', 'nobody'])).stdout, '"hello",NULL\n')
  t.is((await same(t, ['-r', '3', 'incr', 'counter'])).stdout, '1\n2\n3\n')
  t.is((await same(t, ['-n', '3', 'get', 'greeting'])).stdout, '\n')
  t.is((await same(t, ['-3', '--json', 'get', 'greeting'])).stdout, '"hello"\n')
  await same(t, ['--quoted-input', 'set', String.raw`"\x00\xff\r\n"`, '"a b"'])
  t.is((await same(t, ['--no-raw', 'keys', '*ff*'])).stdout, '(empty array)\n')
  const wrong = await same(t, ['-e', 'got', 'greeting'])
  t.is(wrong.code, 1)
  t.is(wrong.stderr.trimEnd(), "ERR unknown command 'got', with args beginning with: 'greeting'")
  await same(t, ['set', 'greeting'])
})

cliTest('a value, and a batch of commands, from standard input', async (t) => {
  await same(t, ['-x', 'set', 'file'], { input: Buffer.alloc(200_000, 'ringtier ') })
  t.is((await same(t, ['strlen', 'file'])).stdout, '200000\n')
  t.is((await same(t, ['get', 'file'])).stdout.length, 200_001)
  const batch = await same(t, [], { input: 'set a 1\nincr a\nget a\nincr\nmget a b\n' })
  t.true(batch.stdout.startsWith('OK\n2\n2\nERR wrong number of arguments'))
})

cliTest('--pipe sends a mass of commands and counts their replies', async (t) => {
  const inline = Array.from({ length: 5_000 }, (_, i) => `SET piped:${i} ${i}\r\n`).join('')
  const { stdout } = await same(t, ['--pipe'], { input: inline })
  t.true(stdout.endsWith('errors: 0, replies: 5000\n'))
  t.is((await same(t, ['get', 'piped:4999'])).stdout, '4999\n')
  t.is((await same(t, ['dbsize'])).stdout, '5000\n')
})

cliTest('--scan names every key, --bigkeys finds the biggest', async (t) => {
  const sets = Array.from({ length: 500 }, (_, i) => `SET key:${i} ${'x'.repeat(i)}y\r\n`).join('')
  await same(t, ['--pipe'], { input: sets })
  for (const server of [ringtier, redis]) {
    const scanned = await cli(server, ['--scan', '--pattern', 'key:4*'])
    const keys = scanned.stdout.trimEnd().split('\n')
    t.is(keys.length, 111)
    t.is(new Set(keys).size, 111)
    const big = await cli(server, ['--bigkeys'])
    t.is(big.code, 0, big.stdout + big.stderr)
    t.regex(big.stdout, /Sampled 500 keys in the keyspace!/)
    t.regex(big.stdout, /Biggest string found '"key:499"' has 500 bytes/)
    t.regex(big.stdout, /500 strings with 125250 bytes/)
  }
})

cliTest('--stat and --latency print line after line', async (t) => {
  for (const server of [ringtier, redis]) {
    const lines = (text: string): number => text.split('\n').length - 1
    const stat = await cli(server, ['--stat', '-i', '0.1'], { enough: (text) => lines(text) >= 4 })
    t.is(stat.stderr, '')
    const row = stat.stdout.split('\n')[2]!
    t.regex(row, /^\d+ +[0-9.]+[BKMG] +\d+ +0 +\d+ \(\+\d+\) +\d+ *$/, stat.stdout)
    // Where stdout is no terminal it measures for a second.
    const latency = await cli(server, ['--latency'])
    t.is(latency.stderr, '')
    t.regex(latency.stdout, /^\d+ \d+ [0-9.]+ \d+\n/, latency.stdout)
  }
})

/** redis-cli in a terminal of its own, where it shows prompts, help and colours. */
async function interactive(server: RunningServer, lines: readonly string[]): Promise<string> {
  const command = `stty -echo; redis-cli -p ${server.port}`
  const input = [...lines, 'quit', ''].join('\n')
  // A dumb terminal gets no line editing, so what it shows is what is printed.
  const env = { TERM: 'dumb' }
  const done = await run('script', ['-qec', command, '/dev/null'], {
    input,
    env,
    timeoutMs: 20_000,
  })
  const shown = done.stdout.replaceAll(String(server.port), 'PORT').replaceAll('\r', '')
  // The terminal may repeat what was typed before -echo came into force.
  const plain = shown.replaceAll(/\p{Cc}\[[0-9;]*[A-Za-z]/gu, '')
  return plain.slice(plain.indexOf('127.0.0.1:PORT>'))
}

cliTest('an interactive session shows the prompts, replies and errors of Redis', async (t) => {
  const typed = ['set user:1 "Ada Lovelace" EX 100', 'get user:1', 'strlen user:1', 'get user:2']
  typed.push('got user:1', 'get', 'incr user:1', '"get" "user', 'mset a 1 b 2 c 3', 'mget a b c d')
  typed.push('select 3', 'get user:1', 'select 99', 'select 0', 'exists user:1 user:2', 'del a b c')
  typed.push('keys *', 'type user:1', 'hello 3', 'get user:2', 'echo "a\\r\\nb"', 'ping')
  const onRedis = await interactive(redis, typed)
  const onRingtier = await interactive(ringtier, typed)
  const withoutHello = (shown: string): string => shown.replaceAll(/^\d#.*\n/gm, '')
  t.is(withoutHello(onRingtier), withoutHello(onRedis))
  t.regex(onRingtier, /PORT> "Ada Lovelace"\n/)
  t.regex(onRingtier, /PORT\[3\]> \(nil\)\n/)
  t.regex(onRingtier, /"proto" => \(integer\) 3\n/)
})

cliTest('help tells about a command', async (t) => {
  for (const server of [ringtier, redis]) {
    const shown = await interactive(server, ['help set'])
    t.regex(shown, /^ +SET key value .*NX.*\n +summary: .+\n +since: 1\.0\.0\n +group: string\n/m)
  }
})

cliTest('redis-benchmark runs its tests through', async (t) => {
  const tests = ['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', 'MSET (10 keys)']
  for (const server of [ringtier, redis]) {
    for (const pipeline of ['1', '16']) {
      const args = ['-p', String(server.port), '-t', 'ping,set,get,incr,mset', '-n', '2000']
      args.push('-P', pipeline, '-r', '100', '--csv')
      const { code, stdout, stderr } = await run('redis-benchmark', args)
      t.is(code, 0, stderr)
      t.is(stderr, '')
      const rows = stdout.trimEnd().split('\n').slice(1)
      t.deepEqual(
        rows.map((row) => row.split('"')[1]),
        tests,
      )
    }
    t.regex((await cli(server, ['get', 'counter:000000000001'])).stdout, /^\d+\n$/)
  }
})

/** The `console` blocks of the README, and the shell's lines that stand before each session. */
function readmeSessions(): { shell: string; session: string }[] {
  const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8')
  const blocks = [...readme.matchAll(/^```console\n(.*?)^```$/gms)].map((match) => match[1]!)
  return blocks.flatMap((session, i) =>
    session.startsWith('$ redis-cli\n') ? [{ shell: blocks[i - 1]!, session }] : [],
  )
}

cliTest('the sessions in the README are what redis-cli shows', async (t) => {
  const [plain, loading, ...others] = readmeSessions()
  t.deepEqual(others, [])
  t.is(plain!.shell, '$ npm ci\n$ npm start\n')

  const origin = await freePort()
  const shell = loading!.shell.replaceAll('3000', String(origin))
  const [, script] = /^\$ node -e "(.*)"$/m.exec(shell)!
  const [, group] = /^\$ npm start -- --group "(.*)"$/m.exec(shell)!
  const web = spawn(process.execPath, ['-e', script!], { stdio: 'ignore' })
  t.teardown(() => web.kill())
  const server = await startRingtier({ args: ['--group', group!] })
  t.teardown(() => server.stop())
  await untilAccepts(origin)

  for (const { session } of [plain!, loading!]) {
    const typed = [...session.matchAll(/^127\.0\.0\.1:6379> (.*)$/gm)].map((match) => match[1]!)
    // What was typed is not shown again by a dumb terminal.
    const expected = session.replace('$ redis-cli\n', '').replaceAll(/(6379> ).*\n/g, '$1')
    const shown = await interactive(server, typed)
    t.is(shown.replaceAll('PORT', '6379').replace(/127\.0\.0\.1:6379> $/, ''), expected)
  }
})

/** Resolves when somebody listens on the port. */
async function untilAccepts(port: number): Promise<void> {
  for (;;) {
    const accepted = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (accepted) return
    await delay(10)
  }
}
