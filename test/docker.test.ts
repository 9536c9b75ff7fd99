/*
 * The Dockerfile without Docker: its steps are replayed in a scratch folder. Each stage gets a
 * folder of its own for its root; COPY copies, RUN runs in the stage's working directory, and the
 * ENTRYPOINT of the last stage is started with its ENV and, where the test may, as another user. An
 * instruction this does not know fails the test: then it must learn it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { freePort, PROJECT, run } from './process.ts'
import { RawClient } from './raw.ts'

interface Instruction {
  readonly name: string
  readonly text: string
}

interface Image {
  readonly root: string
  workdir: string
  user: string
  entrypoint: string[]
  healthcheck: string[]
  stopSignal: string
  readonly env: Record<string, string>
  readonly exposed: string[]
  readonly volumes: string[]
}

/** `nobody` on Debian; stands for the image's user when the test runs as root. */
const UNPRIVILEGED_ID = 65_534
/** As long as `docker stop` waits before it kills. */
const STOP_MS_MAX = 10_000

function parse(dockerfile: string): Instruction[] {
  const lines = dockerfile.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n/g, ' ')
  return lines
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => ({ name: line.split(/\s/, 1)[0]!, text: line.replace(/^\S+\s+/, '') }))
}

/** Replays all stages; the last one is the image. */
async function replay(instructions: readonly Instruction[], scratch: string): Promise<Image> {
  const stages = new Map<string, Image>()
  let image: Image | null = null
  for (const { name, text } of instructions) {
    if (name === 'FROM') {
      const stage = / AS (\S+)$/.exec(text)?.[1] ?? 'last'
      image = emptyImage(join(scratch, stage))
      stages.set(stage, image)
      continue
    }
    if (image === null) throw new Error(`${name} before FROM`)
    if (name === 'COPY') copy(text, image, stages)
    else if (name === 'RUN') await runStep(text, image)
    else declare(name, text, image)
  }
  if (image === null) throw new Error('no FROM')
  return image
}

function emptyImage(root: string): Image {
  mkdirSync(root)
  const image = { root, workdir: '/', user: 'root', stopSignal: 'SIGTERM', env: {} }
  return { ...image, entrypoint: [], healthcheck: [], exposed: [], volumes: [] }
}

function declare(name: string, text: string, image: Image): void {
  if (name === 'WORKDIR') {
    image.workdir = text
    mkdirSync(join(image.root, text), { recursive: true })
  } else if (name === 'USER') image.user = text
  else if (name === 'STOPSIGNAL') image.stopSignal = text
  else if (name === 'EXPOSE') image.exposed.push(...text.split(' '))
  else if (name === 'VOLUME') image.volumes.push(text)
  else if (name === 'ENV') {
    for (const pair of text.split(' ')) image.env[pair.split('=')[0]!] = pair.split('=')[1]!
  } else if (name === 'HEALTHCHECK') image.healthcheck = execForm(text.replace(/^.*? CMD /, ''))
  else if (name === 'ENTRYPOINT') image.entrypoint = execForm(text)
  else throw new Error(`this replay does not know ${name} ${text}`)
}

/** The form that starts the program itself; a shell between would keep SIGTERM from it. */
function execForm(text: string): string[] {
  return JSON.parse(text) as string[]
}

function copy(text: string, image: Image, stages: ReadonlyMap<string, Image>): void {
  const words = text.split(/\s+/)
  const flags = words.filter((word) => word.startsWith('--'))
  const paths = words.filter((word) => !word.startsWith('--'))
  const from = flags.find((flag) => flag.startsWith('--from='))?.slice('--from='.length)
  const to = join(image.root, paths.at(-1)!.startsWith('/') ? '' : image.workdir, paths.at(-1)!)
  for (const path of paths.slice(0, -1)) {
    if (from === undefined && !sentToBuilder(path)) throw new Error(`.dockerignore drops ${path}`)
    const source = join(from === undefined ? PROJECT : stages.get(from)!.root, path)
    const into = statSync(source).isDirectory() ? to : join(to, basename(path))
    mkdirSync(dirname(into), { recursive: true })
    cpSync(source, into, { recursive: true, verbatimSymlinks: true })
    const owned = flags.some((flag) => flag.startsWith('--chown='))
    if (owned && isRoot()) chownSync(into, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
  }
}

/** .dockerignore drops everything and names what is kept. */
function sentToBuilder(path: string): boolean {
  const lines = readFileSync(join(PROJECT, '.dockerignore'), 'utf8').split('\n')
  return !lines.includes('*') || lines.includes(`!${path}`)
}

async function runStep(command: string, image: Image): Promise<void> {
  // Packages come out of npm's cache where they are there already.
  const env = { ...image.env, npm_config_prefer_offline: 'true', npm_config_audit: 'false' }
  const cwd = join(image.root, image.workdir)
  const step = await run('sh', ['-c', command], { cwd, env, timeoutMs: 240_000 })
  if (step.code !== 0) throw new Error(`RUN ${command}\n${step.stdout}${step.stderr}`)
}

const isRoot = (): boolean => process.getuid?.() === 0

/** Starts one of the image's commands as `docker run` would, absolute paths moved into its root. */
function startIn(
  image: Image,
  command: readonly string[],
  env: Record<string, string>,
): ChildProcess {
  const inside = (word: string): string =>
    word.startsWith('/') && existsSync(join(image.root, word)) ? join(image.root, word) : word
  const [program, ...args] = command.map(inside)
  const user = isRoot() ? { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID } : {}
  return spawn(program === 'node' ? process.execPath : program!, args, {
    cwd: join(image.root, image.workdir),
    env: { PATH: process.env.PATH, ...image.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...user,
  })
}

function exitCode(child: ChildProcess): Promise<number | string | null> {
  return new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)))
}

const dockerfile = parse(readFileSync(join(PROJECT, 'Dockerfile'), 'utf8'))

test('the Dockerfile makes an image that starts, is healthy, serves and stops on SIGTERM', async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'ringtier-docker-'))
  t.teardown(() => rmSync(scratch, { recursive: true, force: true }))
  chmodSync(scratch, 0o755) // another user runs the server in it

  const image = await replay(dockerfile, scratch)
  t.is(image.user, 'node')
  t.deepEqual(image.exposed, ['6379'])
  t.is(image.env.RINGTIER_PORT, '6379')
  t.is(image.env.RINGTIER_BIND, '0.0.0.0')
  t.deepEqual(image.volumes, ['/data'])
  t.false(existsSync(join(image.root, 'ringtier/node_modules/typescript')), 'a development package')
  t.false(existsSync(join(image.root, 'ringtier/dist/test')))

  const env = { RINGTIER_PORT: String(await freePort()) }
  const healthy = (): Promise<number | string | null> =>
    exitCode(startIn(image, image.healthcheck, env))
  t.is(await healthy(), 1, 'nobody listens yet')

  const server = startIn(image, image.entrypoint, env)
  t.teardown(() => server.kill('SIGKILL'))
  const ended = exitCode(server)
  let output = ''
  for (const stream of [server.stdout!, server.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  }
  while ((await healthy()) !== 0) {
    if (server.exitCode !== null) return t.fail(output)
    await delay(100)
  }

  const client = await RawClient.open(Number(env.RINGTIER_PORT))
  t.is(await client.command('SET', 'container', 'yes'), '+OK\r\n')
  t.is(await client.command('GET', 'container'), '$3\r\nyes\r\n')

  server.kill(image.stopSignal as NodeJS.Signals)
  const killer = setTimeout(() => server.kill('SIGKILL'), STOP_MS_MAX)
  t.is(await ended, 0, output)
  clearTimeout(killer)
})

test('a server that asks for a password passes the healthcheck', async (t) => {
  const healthcheck = dockerfile.find(({ name }) => name === 'HEALTHCHECK')!
  const [, ...args] = execForm(healthcheck.text.replace(/^.*? CMD /, ''))
  const replies = new Map([
    ['-NOAUTH Authentication required.\r\n', 0],
    ['+PONG\r\n', 0],
    ['-LOADING Redis is loading the dataset in memory\r\n', 1],
    ['HTTP/1.1 400 Bad Request\r\n', 1],
  ])
  for (const [reply, code] of replies) {
    const port = await freePort()
    const answer = `net.createServer((s) => s.on('data', () => s.write(${JSON.stringify(reply)}))).listen(${port}, '127.0.0.1', () => console.log('up'))`
    const stub = spawn(process.execPath, ['-e', answer], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => stub.kill('SIGKILL'))
    await new Promise((resolve) => stub.stdout.once('data', resolve))
    const check = await run(process.execPath, args, { env: { RINGTIER_PORT: String(port) } })
    t.is(check.code, code, reply)
    stub.kill('SIGKILL')
  }
})
