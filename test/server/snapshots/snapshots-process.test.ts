/* Snapshots of whole processes on a real disk: what stands in the folder when they end, however. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { RINGTIER, run, type RunningServer, startRingtier } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { until } from '../../until.ts'

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'ringtier-snapshots-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

interface Running {
  readonly server: RunningServer
  readonly client: RawClient
}

async function start(t: ExecutionContext, dir: string, ...args: string[]): Promise<Running> {
  const server = await startRingtier({ args: ['--dir', dir, '--maxmemory', '64mb', ...args] })
  t.teardown(() => server.stop())
  const client = await RawClient.open(server.port)
  t.teardown(() => client.close())
  return { server, client }
}

const keys = 8_000
const value = (i: number): string => `value ${i} `.repeat(80)

async function fill(client: RawClient): Promise<void> {
  for (let i = 0; i < keys; i += 500) {
    const words = ['MSET']
    for (let k = i; k < i + 500; k++) words.push(`${k}`, value(k))
    await client.command(...words)
  }
}

test.serial(
  'SIGTERM writes a last snapshot where there are save points; a start reads it',
  async (t) => {
    const dir = folder(t)
    const first = await start(t, dir, '--save', '3600', '1')
    await fill(first.client)
    await first.client.command('SET', 'soon', 'gone', 'PX', '1')
    await first.client.command('SET', 'later', 'there', 'EX', '1000')
    t.deepEqual(await first.server.stop(), { code: 0, signal: null })
    t.deepEqual(readdirSync(dir), ['dump.ringtier'])
    const { server, client } = await start(t, dir)
    await until(() => server.output().includes('Ready to accept connections'))
    t.regex(
      server.output(),
      /DB loaded from disk: \d+\.\d{3} seconds[^]*Ready to accept connections/,
    )
    t.is(await client.command('DBSIZE'), `:${keys + 1}\r\n`)
    t.is((await client.get('777'))?.toString(), value(777))
    t.is(await client.command('GET', 'soon'), '$-1\r\n')
    t.regex(await client.command('TTL', 'later'), /^:(9\d\d|1000)\r\n$/)
    // Without save points it goes as before.
    await client.command('SET', 'new', '1')
    const before = readFileSync(join(dir, 'dump.ringtier'))
    t.is((await server.stop()).code, 0)
    t.true(readFileSync(join(dir, 'dump.ringtier')).equals(before))
  },
)

test.serial(
  'a kill in the middle of BGSAVE leaves the file before; the next start cleans up',
  async (t) => {
    const dir = folder(t)
    const file = join(dir, 'dump.ringtier')
    const writing = (): boolean => readdirSync(dir).some((name) => name.startsWith('temp-'))
    // The save may be over before the kill comes: then once more.
    for (;;) {
      rmSync(file, { force: true })
      const { server, client } = await start(t, dir)
      await client.command('SET', 'old', '1')
      t.is(await client.command('SAVE'), '+OK\r\n')
      const before = readFileSync(file)
      await fill(client)
      t.is(await client.command('BGSAVE'), '+Background saving started\r\n')
      await until(() => writing() || !readFileSync(file).equals(before))
      server.kill('SIGKILL')
      await server.exited
      if (!writing()) continue
      t.true(readFileSync(file).equals(before))
      break
    }
    const { server, client } = await start(t, dir)
    t.deepEqual(readdirSync(dir), ['dump.ringtier'])
    t.regex(server.output(), /removed temp-\d+\.dump\.ringtier, which a save that was cut short/)
    t.is(await client.command('DBSIZE'), ':1\r\n')
    t.is((await client.get('old'))?.toString(), '1')
  },
)

test.serial('a folder in the place of the file stops the start, and fails a save', async (t) => {
  const dir = folder(t)
  const file = join(dir, 'dump.ringtier')
  const { client, server } = await start(t, dir)
  mkdirSync(file)
  t.regex(await client.command('SAVE'), /^-ERR the snapshot cannot be written: .+\r\n$/)
  await client.command('BGSAVE')
  await until(() => server.output().split('the one before stays').length === 3)
  t.regex(await client.command('INFO', 'persistence'), /rdb_last_bgsave_status:err/)
  t.deepEqual(readdirSync(dir), ['dump.ringtier'])
  t.is(await client.command('PING'), '+PONG\r\n')
  const { code, stdout, stderr } = await run(process.execPath, [
    ...[RINGTIER, '--dir', dir, '--port', '0', '--maxmemory', '6mb'],
  ])
  t.is(code, 1)
  t.is(stdout, '')
  t.is(
    stderr,
    `ringtier: snapshot: the snapshot ${file}: it cannot be read: Is a directory; move it away, or name another file with dbfilename\n`,
  )
})

test.serial('a file of Redis is refused in one line, and left alone', async (t) => {
  const dir = folder(t)
  const file = join(dir, 'other.rdb')
  writeFileSync(file, 'REDIS0009\xfa\x09redis-ver\x057.0.15', 'latin1')
  const before = readFileSync(file)
  const { code, stderr } = await run(process.execPath, [
    ...[RINGTIER, '--dir', dir, '--dbfilename', 'other.rdb', '--port', '0'],
    ...['--maxmemory', '6mb', '--save', '1', '1'],
  ])
  t.is(code, 1)
  t.regex(
    stderr,
    /^ringtier: command line: the snapshot .*other\.rdb: it is a file of Redis \(RDB\)/,
  )
  t.is(stderr.split('\n').length, 2)
  t.true(readFileSync(file).equals(before))
})

test.serial('a shutdown that cannot save goes on serving, by signal and by command', async (t) => {
  const dir = folder(t)
  const { client, server } = await start(t, dir, '--save', '3600', '1')
  rmSync(dir, { recursive: true })
  t.is(await client.command('SHUTDOWN'), '-ERR Errors trying to SHUTDOWN. Check logs.\r\n')
  server.kill('SIGTERM')
  await until(() => server.output().split("can't exit").length === 3)
  t.is(await client.command('SET', 'a', '1'), '+OK\r\n')
  await client.command('CONFIG', 'SET', 'shutdown-on-sigterm', 'nosave')
  t.deepEqual(await server.stop(), { code: 0, signal: null })
  t.false(existsSync(dir))
})
