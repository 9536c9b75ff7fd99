import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { Redis } from 'ioredis'
import { directives } from '../../server/config/directives.ts'
import { findSocketWay } from '../../server/threads/hub.ts'
import { version } from '../../server/version.ts'
import { available, freePort, RINGTIER, run, type Run, startRingtier } from '../process.ts'
import { until } from '../until.ts'

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'ringtier-main-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const ringtier = (...args: string[]): Promise<Run> => run(process.execPath, [RINGTIER, ...args])

const small = ['--maxmemory', '6mb']

test.serial('--help prints every directive and exits with 0', async (t) => {
  const { code, stdout, stderr } = await ringtier('--help')
  t.is(code, 0)
  t.is(stderr, '')
  for (const name of Object.keys(directives)) t.regex(stdout, new RegExp(`\\n  --${name}\\s`))
  for (const line of stdout.split('\n')) t.true(line.length <= 100, line)
  t.is((await ringtier('redis.conf', '-h')).stdout, stdout)
})

test.serial('--version prints one line and exits with 0', async (t) => {
  const line = `ringtier v=${version} node=${process.version}\n`
  t.like(await ringtier('--version'), { code: 0, stdout: line, stderr: '' })
  t.like(await ringtier('-v'), { code: 0, stdout: line })
})

test.serial('check tells the groups and what keys ask for, and exits with 0 or 1', async (t) => {
  const path = join(folder(t), 'redis.conf')
  writeFileSync(path, 'group user match user:{id} origin http://127.0.0.1:1/{id}\n')
  const line = `${path}:1: group user match user:{id} origin http://127.0.0.1:1/{id}`
  t.like(await ringtier('check', path, 'user:a b', 'x'), {
    ...{ code: 0, stderr: '' },
    stdout: `${line}\n"user:a b": group user, GET http://127.0.0.1:1/a%20b\nx: no group\n`,
  })
  writeFileSync(path, '\ngroup user match user:{id}\n')
  t.like(await ringtier('check', path), {
    ...{ code: 1, stdout: '' },
    stderr: `ringtier: ${path}:2: group user: origin is missing\n`,
  })
  t.is((await ringtier('check')).code, 1)
})

const badInput: [args: string[], stderr: RegExp][] = [
  [
    ['--maxmemory', '1mb'],
    /^ringtier: command line: maxmemory '1048576': argument must be at least 2mb \(2097152\)\n$/,
  ],
  [
    ['--dir', '/no/such'],
    /^ringtier: command line: dir '\/no\/such': No such file or directory\n$/,
  ],
  [
    ['--logfile', '/no/such/log'],
    /^ringtier: command line: logfile '\/no\/such\/log': No such file or directory\n$/,
  ],
  [
    ['--bind', '192.0.2.1', '--port', '1999'],
    /^ringtier: command line: bind 192\.0\.2\.1: this machine has no such address\n$/,
  ],
  [['--loglevel', 'a\nb'], /^ringtier: command line: loglevel 'a b': argument\(s\) must be .*\n$/],
]
for (const [args, stderr] of badInput) {
  test.serial(`one line on stderr and exit code 1: ${args.join(' ')}`, async (t) => {
    const result = await ringtier(...args)
    t.is(result.code, 1)
    t.is(result.stdout, '')
    t.regex(result.stderr, stderr)
  })
}

test.serial('a port in use is told in one line', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as { port: number }
  const result = await ringtier('--port', String(port), ...small)
  t.is(result.code, 1)
  t.is(
    result.stderr,
    `ringtier: command line: port ${port} on 127.0.0.1 is in use: another server listens there, choose one with --port\n`,
  )
})

/** Said at a start where there could be several threads, were it another Node.js. */
async function threadsNotices(): Promise<string[]> {
  if ((await findSocketWay()) !== null || availableParallelism() === 1) return []
  return [
    'threads: this Node.js cannot hand connections to threads, so one thread serves all; Node.js 24 can',
  ]
}

test.serial(
  'a start is logged as JSON with what tools look for, and SIGTERM ends it with 0',
  async (t) => {
    const server = await startRingtier({ args: [...small, '--appendonly', 'yes', '--hz', '50'] })
    await until(() => server.output().includes('Ready to accept'))
    t.regex(server.output(), new RegExp(` PID: ${server.pid}[^]*Server initialized`))
    const lines = server.output().trimEnd().split('\n')
    const entries = lines.map((line) => JSON.parse(line) as { msg: string; addresses?: string[] })
    t.deepEqual(
      entries.map(({ msg }) => msg),
      [
        `ringtier ${version} PID: ${server.pid}`,
        ...(await threadsNotices()),
        'appendonly: has no effect: there is no append-only file; snapshots are what is written to disk',
        'hz: has no effect: it tunes a part of Redis that is not here',
        'Server initialized',
        'Ready to accept connections',
      ],
    )
    t.deepEqual(entries[0]!.addresses, [`127.0.0.1:${server.port}`])
    t.deepEqual(await server.stop(), { code: 0, signal: null })
    t.regex(server.output(), /Received SIGTERM/)
  },
)

test.serial('a second signal ends it at once with 1', async (t) => {
  const server = await startRingtier({ args: [...small, '--shutdown-timeout', '1000'] })
  // A client that is owed more than the kernel takes, and does not read it, holds the end up.
  const socket = connect(server.port, '127.0.0.1').pause()
  await once(socket, 'connect')
  socket.on('error', () => {})
  socket.write(`ECHO ${'x'.repeat(60_000)}\r\n`.repeat(600))
  const other = new Redis(server.port, { retryStrategy: null })
  other.on('error', () => {})
  // For a moment it is owed something long before the kernel has no room for more.
  for (let owed = 0; owed < 20;) {
    const list = (await other.call('CLIENT', 'LIST')) as string
    owed = / (omem|oll)=[1-9]/.test(list) ? owed + 1 : 0
    await setTimeout(10)
  }
  other.disconnect()
  server.kill('SIGTERM')
  await until(() => server.output().includes('Received SIGTERM'))
  server.kill('SIGTERM')
  t.deepEqual(await server.exited, { code: 1, signal: null })
  socket.destroy()
})

test.serial('the first argument is a config file, which the command line overrules', async (t) => {
  const path = join(folder(t), 'redis.conf')
  writeFileSync(path, 'maxmemory 6mb\nport 1\ntimeout 77\n')
  const port = await freePort()
  const child = run(process.execPath, [RINGTIER, path, '--port', String(port)], {
    enough: (stdout) => stdout.includes('Ready to accept'),
  })
  t.regex((await child).stdout, new RegExp(`127.0.0.1:${port}`))
})

test.serial('the pidfile stands while it runs', async (t) => {
  const pidfile = join(folder(t), 'ringtier.pid')
  const server = await startRingtier({ args: [...small, '--pidfile', pidfile] })
  await until(() => existsSync(pidfile))
  t.is(readFileSync(pidfile, 'utf8'), `${server.pid}\n`)
  await server.stop()
  t.false(existsSync(pidfile))
})

test.serial('a pidfile that cannot be written is a warning', async (t) => {
  const server = await startRingtier({ args: [...small, '--pidfile', '/no/such/pid'] })
  await until(() => server.output().includes('cannot write the pidfile: No such file'))
  t.is((await server.stop()).code, 0)
})

test.serial('the log goes to the logfile, in dir, and SIGHUP opens it anew', async (t) => {
  const dir = folder(t)
  const server = await startRingtier({ args: [...small, '--dir', dir, '--logfile', 'log'] })
  const log = join(dir, 'log')
  const text = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '')
  await until(() => text(log).includes('Ready to accept'))
  renameSync(log, `${log}.1`)
  server.kill('SIGHUP')
  await until(() => existsSync(log))
  await server.stop()
  t.regex(text(log), /Received SIGTERM/)
  t.notRegex(text(`${log}.1`), /Received SIGTERM/)
  t.is(server.output(), '')
})

test.serial('CONFIG SET loglevel takes effect', async (t) => {
  const server = await startRingtier({ args: small })
  const client = new Redis(server.port)
  await client.config('SET', 'loglevel', 'nothing')
  await client.quit()
  await server.stop()
  t.notRegex(server.output(), /Received SIGTERM/)
})

test.serial('an error that nothing caught is logged, and ends the process with 1', async (t) => {
  const thrower = `data:text/javascript,${encodeURIComponent(
    "process.on('SIGUSR2', () => { throw new Error('boom') })",
  )}`
  const env = { NODE_OPTIONS: `--import ${thrower}` }
  const server = await startRingtier({ args: small, env })
  server.kill('SIGUSR2')
  t.deepEqual(await server.exited, { code: 1, signal: null })
  const last = JSON.parse(server.output().trimEnd().split('\n').at(-1)!) as {
    level: number
    err: { message: string; stack: string }
  }
  t.is(last.level, 60)
  t.is(last.err.message, 'boom')
})

const terminalTest = available('script') ? test.serial : test.serial.skip
terminalTest('on a terminal there is a banner, and the log is lines to read', async (t) => {
  const port = String(await freePort())
  const where = ['--port', port, '--bind', '127.0.0.1', '--threads', '1']
  const command = [process.execPath, RINGTIER, ...where, ...small]
  const groups = ['--group', "'user match user:{id} origin http://127.0.0.1:1/{id}'"]
  const { stdout } = await run('script', ['-qec', [...command, ...groups].join(' '), '/dev/null'], {
    enough: (text) => text.includes('Ready to accept'),
  })
  const lines = stdout.replaceAll('\r', '').split('\n')
  t.regex(lines[0]!, /^ringtier .*, Node\.js v.*, PID: \d+$/)
  t.is(lines[1], `  listening on  127.0.0.1:${port}`)
  t.is(lines[2], '  memory        6 MB, 1 thread')
  t.is(lines[3], '  groups        user')
  t.is(lines[4], '')
  t.regex(lines[5]!, /^\d+:M \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} \* Server initialized$/)
  t.regex(lines[6]!, /\* Ready to accept connections$/)
})
