/*
 * The examples of docs/examples: their configuration is one, and what the README files of those that need
 * no more than Node.js and Redis tell to type is typed, and prints what they say.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import {
  available,
  freePort,
  PROJECT,
  RINGTIER,
  run,
  startRedis,
  startRingtier,
} from './process.ts'
import { RawClient } from './raw.ts'

const EXAMPLES = join(PROJECT, 'docs/examples')

const hasPrograms = ['redis-server', 'redis-cli', 'curl'].every((name) => available(name))
const redisTest = hasPrograms ? test : test.skip

for (const name of readdirSync(EXAMPLES)) {
  test(`the configuration of the example ${name} is accepted`, async (t) => {
    const file = join(EXAMPLES, name, 'ringtier.conf')
    const { code, stdout, stderr } = await run(process.execPath, [
      RINGTIER,
      'check',
      file,
      'user:42',
    ])
    t.is(code, 0, stderr)
    t.regex(stdout, /^user:42: group (?:user|all), /m)
  })
}

/** What stands for a port in an example: the one that this test has for it. */
type Ports = Readonly<Record<string, number>>

function withPorts(text: string, ports: Ports): string {
  return text.replace(/\b(?:3000|6379|6380)\b/g, (port) => String(ports[port] ?? port))
}

/** ringtier with the configuration of an example. */
async function startExample(t: ExecutionContext, name: string, port: number, ports: Ports) {
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-example-'))
  const file = join(folder, 'ringtier.conf')
  writeFileSync(file, withPorts(readFileSync(join(EXAMPLES, name, 'ringtier.conf'), 'utf8'), ports))
  const server = await startRingtier({ file, port })
  t.teardown(async () => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })
}

/** The parts of a README that are a session: each the lines of one ```console block. */
function sessionsOf(name: string): string[][] {
  const text = readFileSync(join(EXAMPLES, name, 'README.md'), 'utf8')
  return [...text.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block]) =>
    block!.trimEnd().split('\n'),
  )
}

/** Types what a session says, and compares what it prints. */
async function replay(t: ExecutionContext, lines: readonly string[], ports: Ports): Promise<void> {
  for (let i = 0; i < lines.length;) {
    const command = lines[i++]!
    t.true(command.startsWith('$ '), command)
    const expected: string[] = []
    while (i < lines.length && !lines[i]!.startsWith('$ ')) expected.push(lines[i++]!)
    // Where no terminal is, redis-cli prints replies bare, unless it is told not to.
    const typed = withPorts(command.slice(2), ports)
      .replaceAll(/redis-cli(?! -p)/g, `redis-cli -p ${ports['6379']}`)
      .replaceAll(/redis-cli(?!.*--scan)/g, 'redis-cli --no-raw')
      .replace('curl ', 'curl --silent ')
    const { stdout, stderr } = await run('sh', ['-c', typed])
    const printed = stdout.trimEnd() === '' ? [] : stdout.trimEnd().split('\n')
    if (command.includes(' GROUP WARM ')) await warmed(ports['6380']!)
    if (!command.includes(' TTL ')) {
      t.deepEqual(printed, expected, `${command}\n${stderr}`)
      continue
    }
    // Time has passed since, which is a matter of the machine.
    const [left, said] = [printed[0]!, expected[0]!].map((line) => Number(line.split(' ')[1]))
    t.true(left! <= said! && left! > said! - 60, `${command}: ${left}`)
  }
}

/** Resolves when all that was to be warmed is. */
async function warmed(port: number): Promise<void> {
  const client = await RawClient.open(port)
  const isDone = /warm_asked\r\n:(\d+)\r\n\$9\r\nwarm_done\r\n:\1\r\n/
  while (!isDone.test(await client.command('GROUP', 'INFO', 'all'))) {
    // not yet
  }
  client.close()
}

/** The service of the example, and what it has printed so far. */
async function startOrigin(t: ExecutionContext, port: number) {
  const origin = spawn(process.execPath, [join(EXAMPLES, 'http-origin/origin.mjs')], {
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => origin.kill('SIGKILL'))
  let text = ''
  origin.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  await once(origin.stdout, 'data')
  const stop = async (): Promise<void> => {
    const ended = once(origin, 'close')
    origin.kill('SIGINT')
    await ended
  }
  return { stop, text: () => text }
}

redisTest('the example http-origin prints what its README says', async (t) => {
  const ports = { 3000: await freePort(), 6379: await freePort() }
  const origin = await startOrigin(t, ports[3000])
  await startExample(t, 'http-origin', ports[6379], ports)
  const [first, change, old, without, ...others] = sessionsOf('http-origin')
  t.deepEqual(others, [])
  await replay(t, first!, ports)
  const readme = readFileSync(join(EXAMPLES, 'http-origin/README.md'), 'utf8')
  while (!origin.text().includes('GET /users/44\n')) await new Promise(setImmediate)
  t.true(withPorts(readme, ports).includes(`\`\`\`\n${origin.text()}\`\`\`\n`), origin.text())
  await replay(t, change!, ports)
  await replay(t, old!, ports)
  await origin.stop()
  await replay(t, without!, ports)
})

redisTest('the example redis-migration prints what its README says', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const ports = { 6379: redis.port, 6380: await freePort() }
  await startExample(t, 'redis-migration', ports[6380], ports)
  for (const session of sessionsOf('redis-migration')) await replay(t, session, ports)
})
