/*
 * How the program refuses to start: whoever gives it something wrong gets an exit code that is
 * not 0 and one line that says where it stands, what is wrong and, for a slip, what was meant.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { certificateFile } from './certificates.ts'
import { available, freePort, RINGTIER, run, startRingtier, type Run } from './process.ts'
import { RawClient } from './raw.ts'

const folder = mkdtempSync(join(tmpdir(), 'ringtier-start-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
function configFile(text: string): string {
  const path = join(folder, `${++files}.conf`)
  writeFileSync(path, text)
  return path
}

function ringtier(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  return run(process.execPath, [RINGTIER, ...args], { env, timeoutMs: 20_000 })
}

/** A start that must be refused with one line. */
interface Refusal {
  readonly title: string
  /** Lines of a config file; the same words go onto the command line too. */
  readonly lines: readonly string[]
  /** What the line says, besides where it stands. */
  readonly says: RegExp
  /** The line of the file that is to blame; by default the last. */
  readonly line?: number
}

const refusals: readonly Refusal[] = [
  {
    title: 'an unknown directive, with the one that was meant',
    lines: ['port 0', 'maxmemroy 1gb'],
    says: /maxmemroy.*did you mean '(--)?maxmemory'\?/,
  },
  { title: 'an unknown directive like no other', lines: ['zzzzzzzzzz 1'], says: /zzzzzzzzzz/ },
  { title: 'a size that is none', lines: ['maxmemory 12xb'], says: /maxmemory '12xb'/ },
  { title: 'a size below the least', lines: ['maxmemory 1kb'], says: /maxmemory '1kb'|1024/ },
  { title: 'a port beyond the last', lines: ['port 65536'], says: /port '65536'/ },
  { title: 'a port that is no number', lines: ['port http'], says: /port 'http'/ },
  { title: 'yes or no that is neither', lines: ['protected-mode maybe'], says: /'maybe'/ },
  { title: 'a level that is none', lines: ['loglevel loud'], says: /loglevel 'loud'/ },
  {
    title: 'a peer that is no host:port',
    lines: ['cluster-self 127.0.0.1:7001', 'cluster-peers 127.0.0.1:7001,10.0.0.7'],
    says: /cluster-peers.*10\.0\.0\.7.*host:port/,
  },
  {
    title: 'itself as no host:port',
    lines: ['cluster-self here', 'cluster-peers 127.0.0.1:7001'],
    says: /cluster-self.*here.*host:port/,
    line: 1,
  },
  {
    title: 'a peer list of a node that does not say who it is',
    lines: ['cluster-peers 127.0.0.1:7001,127.0.0.1:7002'],
    says: /cluster-peers.*cluster-self/,
  },
  {
    title: 'TLS without a certificate',
    lines: ['tls-cluster yes'],
    says: /tls-cert-file: must be given with tls-cluster yes/,
  },
  {
    title: 'a key that is not there',
    lines: [
      'tls-cluster yes',
      `tls-cert-file ${certificateFile('one.crt')}`,
      'tls-key-file /nowhere/one.key',
    ],
    says: /tls-key-file '\/nowhere\/one\.key': No such file or directory/,
  },
  {
    title: 'a certificate that no other node would accept',
    lines: [
      `tls-ca-cert-file ${certificateFile('stranger-ca.crt')}`,
      `tls-key-file ${certificateFile('one.key')}`,
      'tls-cluster yes',
      `tls-cert-file ${certificateFile('one.crt')}`,
    ],
    says: /tls-cert-file '.*one\.crt': no certificate in tls-ca-cert-file has signed it/,
  },
  {
    title: 'a group without origin',
    lines: ['group user match user:{id} ttl 5m'],
    says: /group user: origin is missing/,
  },
  {
    title: 'a group with a misspelt rule',
    lines: ['group user match user:{id} orgin http://127.0.0.1:1/{id}'],
    says: /group user.*orgin.*did you mean.*origin/,
  },
]

/** What Redis says of a config file before the reason: where, and the line. */
const redisHead =
  /^\n\*\*\* FATAL CONFIG FILE ERROR \(Redis 7\.0\.15\) \*\*\*\nReading the configuration file, at line \d+\n>>> '[^\n]*'\n/

function assertRefused(t: ExecutionContext, done: Run): void {
  t.not(done.code, 0)
  t.not(done.code, null, `it ended by ${done.signal}`)
  t.regex(done.stderr.replace(redisHead, ''), /^[^\n]+\n$/, 'one line')
  t.is(done.stdout, '')
}

// One after the other: each start takes a processor for itself.
for (const { title, lines, says, line = lines.length } of refusals) {
  test.serial(`refused, in a file and on the command line: ${title}`, async (t) => {
    const path = configFile(`# first line\n${lines.join('\n')}\n`)
    const args = lines.flatMap((text) => {
      const [name, ...value] = text.split(' ')
      return [`--${name}`, value.join(' ')]
    })
    const [inFile, onCommandLine] = await Promise.all([ringtier([path]), ringtier(args)])
    assertRefused(t, inFile)
    t.regex(inFile.stderr, says)
    t.true(inFile.stderr.includes(`${path}:${line + 1}: `), inFile.stderr)
    assertRefused(t, onCommandLine)
    t.regex(onCommandLine.stderr, says)
    t.true(onCommandLine.stderr.includes('command line: '), onCommandLine.stderr)
  })
}

const oracleTest = available('redis-server') ? test.serial : test.serial.skip
oracleTest('a line of a config file that is wrong is pointed at as Redis does', async (t) => {
  const shown = [
    'port abc',
    'port 1 2',
    'appendonly  "maybe"',
    'loglevel loud',
    'hz 1.5',
    'foo bar',
  ]
  for (const line of shown) {
    const path = configFile(`# first line\n\n ${line}\n`)
    const [ours, theirs] = await Promise.all([ringtier([path]), run('redis-server', [path])])
    const [head] = redisHead.exec(theirs.stderr) ?? []
    t.true(head !== undefined && ours.stderr.startsWith(head), theirs.stderr + ours.stderr)
  }
  const secrets = [
    'requirpass hidden',
    'requirepsas hidden',
    'requirepass hidden 2',
    'user a >hidden',
  ]
  const within = ['sentinel auth-pass a hidden', 'gruop g origin http://127.0.0.1:1/hidden']
  for (const line of [...secrets, ...within]) {
    const { stderr } = await ringtier([configFile(line)])
    t.true(stderr.includes(`>>> '${line.split(' ')[0]}'\n`), stderr)
    t.false(stderr.includes('hidden'))
  }
})

test.serial('refused in the environment: a misspelt directive', async (t) => {
  const done = await ringtier([], { RINGTIER_MAXMEMROY: '1gb' })
  assertRefused(t, done)
  t.regex(done.stderr, /RINGTIER_MAXMEMROY.*did you mean 'RINGTIER_MAXMEMORY'\?/)
})

test.serial('refused: a config file that is not there', async (t) => {
  const done = await ringtier([join(folder, 'gone.conf')])
  assertRefused(t, done)
  t.regex(done.stderr, /gone\.conf.*No such file or directory/)
})

test.serial('refused: a port that somebody listens on', async (t) => {
  const port = await freePort()
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(port, '127.0.0.1', resolve))
  t.teardown(() => holder.close())
  for (const args of [['--port', String(port)], [configFile(`port ${port}\n`)]]) {
    const done = await ringtier([...args, '--loglevel', 'warning'])
    t.is(done.code, 1)
    const said = done.stdout + done.stderr
    t.regex(said, new RegExp(`${port}.*in use`, 'i'))
    t.is(said.trimEnd().split('\n').length, 1, said)
  }
})

test.serial('a file, the environment and the command line count in this order', async (t) => {
  const path = configFile('maxclients 100\ntimeout 100\ndatabases 4\n')
  const env = { RINGTIER_TIMEOUT: '200', RINGTIER_MAXCLIENTS: '200' }
  const server = await startRingtier({ file: path, env, args: ['--maxclients', '300'] })
  t.teardown(() => server.stop())
  const client = await RawClient.open(server.port)
  t.teardown(() => client.close())
  for (const [name, value] of Object.entries({ maxclients: 300, timeout: 200, databases: 4 })) {
    t.regex(await client.command('CONFIG', 'GET', name), new RegExp(`\r\n${value}\r\n$`))
  }
})

test.serial('SIGINT ends it with code 0', async (t) => {
  const server = await startRingtier()
  server.kill('SIGINT')
  t.deepEqual(await server.exited, { code: 0, signal: null })
})

test.serial('SHUTDOWN ends it with code 0', async (t) => {
  const server = await startRingtier()
  const client = await RawClient.open(server.port)
  await t.throwsAsync(client.command('SHUTDOWN', 'NOSAVE'))
  t.deepEqual(await server.exited, { code: 0, signal: null })
})
