/*
 * redis-cli as a newcomer uses it, against ringtier and against redis-server. What it prints on
 * ringtier must be what it prints on Redis, where it does not hold figures.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { freePort, PROJECT, startRedis, startRingtier } from '../process.ts'
import type { Run, RunningServer } from '../process.ts'
import { RawClient } from '../raw.ts'
import { until } from '../until.ts'
import { cli, type CliOptions, hasRedisCli, interactive } from './redis-cli.ts'

const cliTest = hasRedisCli ? test.serial : test.serial.skip

let ringtier: RunningServer
let redis: RunningServer
test.before(async () => {
  if (!hasRedisCli) return
  ringtier = await startRingtier()
  redis = await startRedis()
})
test.after.always(async () => {
  await ringtier?.stop()
  await redis?.stop()
})
test.beforeEach(async () => {
  if (!hasRedisCli) return
  for (const { port } of [ringtier, redis]) {
    const client = await RawClient.open(port)
    await client.command('FLUSHALL')
    client.close()
  }
})

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

cliTest('an interactive session shows the prompts, replies and errors of Redis', async (t) => {
  const typed = ['set user:1 "Ada Lovelace" EX 100', 'get user:1', 'strlen user:1', 'get user:2']
  typed.push('got user:1', 'get', 'incr user:1', '"get" "user', 'mset a 1 b 2 c 3', 'mget a b c d')
  typed.push('select 3', 'get user:1', 'select 99', 'select 0', 'exists user:1 user:2', 'del a b c')
  typed.push('multi', 'get user:1', 'incr visits', 'nosuch', 'discard', 'multi', 'incr visits')
  typed.push(
    'get visits',
    'exec',
    'keys user:*',
    'type user:1',
    'publish news hi',
    'hello 3',
    'get user:2',
    'echo "a\\r\\nb"',
    'ping',
  )
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

cliTest('monitor and subscribe show what others do until they are ended', async (t) => {
  const shown: string[] = []
  for (const server of [ringtier, redis]) {
    const client = await RawClient.open(server.port)
    t.teardown(() => client.close())
    const listens = (flag: string) => async (): Promise<boolean> =>
      new RegExp(` flags=${flag} `).test(await client.command('CLIENT', 'LIST'))

    const monitor = cli(server, ['monitor'], { enough: (text) => text.includes('"done"') })
    await until(listens('O'))
    await client.command('SET', 'k', 'a "quoted"\r\n\0 value')
    await client.command('MGET', 'k', '')
    await client.command('PING', 'done')
    const lines = (await monitor).stdout.replaceAll(/^[\d.]+ \[0 127\.0\.0\.1:\d+\]/gm, 'T [0 A]')

    const subscribed = cli(server, ['subscribe', 'news', 'weather'], {
      enough: (text) => text.includes('rain'),
    })
    await until(listens('P'))
    await client.command('PUBLISH', 'news', 'hello')
    await client.command('PUBLISH', 'weather', 'rain')
    shown.push(lines.replaceAll(/^.*"CLIENT" "LIST"\n/gm, '') + (await subscribed).stdout)
  }
  t.is(shown[0], shown[1])
  t.regex(shown[0]!, /T \[0 A\] "SET" "k" "a \\"quoted\\"\\r\\n\\x00 value"\n/)
  t.regex(shown[0]!, /message\nnews\nhello\n/)
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
