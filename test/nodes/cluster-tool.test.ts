import test from 'ava'
import { RINGTIER, run } from '../process.ts'
import { until } from '../until.ts'
import { startNodes } from './nodes.ts'

const tool = (...args: readonly string[]) => run(process.execPath, [RINGTIER, 'cluster', ...args])

test('ringtier cluster tells how the nodes do, and check fails when one is gone', async (t) => {
  const nodes = await startNodes(2, ['--maxmemory', '16mb', '--threads', '1'], 'hush')
  t.teardown(() => nodes.stop())
  const [port, second] = nodes.ports
  const login = ['-p', String(port), '-a', 'hush']
  await until(async () => (await tool('check', ...login)).code === 0)
  const { stdout } = await tool('check', ...login)
  t.regex(stdout, /^all slots have an owner, and 2 nodes agree \(epoch \d+\)\n$/)
  const status = await tool('status', '-h', '127.0.0.1', ...login)
  t.is(status.code, 0)
  t.regex(status.stdout, new RegExp(`127\\.0\\.0\\.1:${second} +up +\\d+ +[0-9.]+ % +0 +\\d+\n`))
  const ring = await tool('ring', ...login)
  t.regex(ring.stdout, /^ {4}0 - \d+ +127\.0\.0\.1:\d+\n/)

  const wrong = await tool('status', '-p', String(port), '-a', 'wrong')
  t.is(wrong.code, 1)
  t.regex(wrong.stdout, /WRONGPASS/)
  nodes.servers[1]!.kill('SIGKILL')
  const isDown = async () =>
    (await tool('check', ...login)).stdout.includes(`holds 127.0.0.1:${second} for down`)
  await until(isDown)
  const { code, stdout: found } = await tool('check', ...login)
  t.is(code, 1)
  t.regex(found, new RegExp(`127\\.0\\.0\\.1:${second}: cannot be reached \\(ECONNREFUSED\\)\n`))
})

test('what makes no sense is told in a line', async (t) => {
  for (const [args, line] of [
    [[], /^ringtier: cluster: wants ringtier cluster status\|ring\|check/],
    [['status', '-p'], /-p wants a value/],
    [['status', '-p', 'x'], /-p 'x': the port is 1 to 65535/],
    [['status', '--nonsense'], /'--nonsense' is not known/],
    [['ring', '/nowhere.conf'], /nowhere.conf/],
  ] as const) {
    const { code, stderr, stdout } = await tool(...args)
    t.deepEqual([code, stdout], [1, ''])
    t.regex(stderr, line)
    t.is(stderr.split('\n').length, 2)
  }
})
