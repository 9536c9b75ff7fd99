import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { createLog, type Log, readableLine } from '../../server/log.ts'

function logFile(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-log-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'log')
}

function entries(file: string): Record<string, unknown>[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

function writeEach(log: Log): void {
  log.debug('debug')
  log.verbose('verbose')
  log.notice('notice')
  log.warning('warning')
  log.fatal('fatal')
}

test('a level lets itself and what is more important through', (t) => {
  const file = logFile(t)
  const log = createLog({ level: 'nothing', file })
  const seen = (): unknown[] => entries(file).map((entry) => entry.msg)
  writeEach(log)
  t.deepEqual(seen(), [])
  log.setLevel('warning')
  writeEach(log)
  t.deepEqual(seen(), ['warning', 'fatal'])
  log.setLevel('verbose')
  writeEach(log)
  t.deepEqual(seen().slice(2), ['verbose', 'notice', 'warning', 'fatal'])
  log.setLevel('debug')
  writeEach(log)
  t.is(seen().length, 11)
})

test('an entry is one line of JSON with level, time, pid, fields and message', (t) => {
  const file = logFile(t)
  createLog({ level: 'notice', file }).notice({ client: 5, text: 'a\nb' }, 'hello\r\nworld')
  t.is(readFileSync(file, 'utf8').split('\n').length, 2)
  const [{ time, ...rest } = {}] = entries(file)
  t.is(typeof time, 'number')
  t.deepEqual(rest, { level: 30, pid: process.pid, client: 5, text: 'a\nb', msg: 'hello\r\nworld' })
})

test('an error is logged with its stack', (t) => {
  const file = logFile(t)
  createLog({ level: 'notice', file }).fatal({ err: new Error('why') }, 'ends')
  const { err } = entries(file)[0] as { err: { message: string; stack: string } }
  t.is(err.message, 'why')
  t.regex(err.stack, /log\.test/)
})

test('secrets are replaced, at the top and one level below', (t) => {
  const file = logFile(t)
  const log = createLog({ level: 'notice', file })
  const secrets = { requirepass: 'hush', 'cluster-secret': 'hush', password: 'hush' }
  log.notice({ ...secrets, config: secrets }, 'started')
  t.notRegex(readFileSync(file, 'utf8'), /hush/)
  t.is(readFileSync(file, 'utf8').match(/\[secret\]/g)?.length, 6)
})

test('a log file that was moved away is opened anew', (t) => {
  const file = logFile(t)
  const log = createLog({ level: 'notice', file })
  log.notice('one')
  renameSync(file, `${file}.1`)
  log.notice('two')
  log.reopen()
  log.notice('three')
  t.deepEqual(
    entries(`${file}.1`).map(({ msg }) => msg),
    ['one', 'two'],
  )
  t.deepEqual(
    entries(file).map(({ msg }) => msg),
    ['three'],
  )
})

test('a log file that cannot be opened throws the reason', (t) => {
  const error = t.throws(() => createLog({ level: 'notice', file: '/no/such/log' }))
  t.is((error as NodeJS.ErrnoException).code, 'ENOENT')
})

const at = (wallMs: number): string => `at ${wallMs}`

test('a readable line is as in Redis, its fields behind the message', (t) => {
  const line = (fields: object): string => readableLine(JSON.stringify(fields), at)
  const common = { time: 7, pid: 9, msg: 'text' }
  t.is(line({ level: 20, ...common }), '9:M at 7 . text\n')
  t.is(line({ level: 25, ...common }), '9:M at 7 - text\n')
  t.is(line({ level: 30, ...common, a: 1, b: 'two' }), '9:M at 7 * text a=1 b=two\n')
  t.is(line({ level: 40, ...common }), '9:M at 7 # text\n')
  t.is(
    line({ level: 60, ...common, err: { stack: 'E: x\n  at \x1by' } }),
    '9:M at 7 # text\n    E: x\n    at \\x1by\n',
  )
})

test('a readable line lets nothing through that moves the cursor or forges a line', (t) => {
  const fields = { level: 30, time: 7, pid: 9, msg: 'a\r\n9:M forged\x1b[2J', name: '\x9b1A\x00' }
  t.is(
    readableLine(JSON.stringify(fields), at),
    '9:M at 7 * a\\x0d\\n9:M forged\\x1b[2J name=\\x9b1A\\x00\n',
  )
})

test('standard output gets all of it, also when the process ends at once', async (t) => {
  const log = new URL('../../server/log.js', import.meta.url).href
  const script = `import { createLog } from ${JSON.stringify(log)}
    const log = createLog({ level: 'notice' })
    for (let i = 0; i < 1000; i++) log.notice({ i }, 'x'.repeat(100))
    process.exit(3)`
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  const error = await t.throwsAsync(run)
  const { stdout, code } = error as unknown as { stdout: string; code: number }
  t.is(code, 3)
  t.is(stdout.split('\n').length, 1001)
})
