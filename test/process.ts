/*
 * Real servers as child processes: ringtier from the compiled tree, and redis-server and memcached
 * beside it, for the tests that compare them, drive real clients or look at how a process starts
 * and ends.
 *
 * A server counts as started when it answers PING with anything but LOADING (a NOAUTH is an answer
 * too, and so is memcached's ERROR). That holds for all of them and whatever they log. Ports are taken below the range that the
 * kernel hands to outgoing connections, so that a client's socket never sits on one between the
 * choice and the listen; each server is told its port, and is stopped by its pid.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { delimiter, extname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** ringtier's program in the compiled tree. */
export const RINGTIER = fileURLToPath(
  new URL(`../server/main${extname(import.meta.url)}`, import.meta.url),
)

/** The project's folder: two above dist/test, one above test. */
export const PROJECT = fileURLToPath(
  new URL(extname(import.meta.url) === '.ts' ? '..' : '../..', import.meta.url),
)

/** How a process ended: its exit code, or the signal that ended it. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface RunningServer {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly pid: number
  /** What it wrote so far, stdout and stderr in the order of arrival. */
  output(): string
  readonly exited: Promise<Exit>
  /** Sends a signal, by pid. */
  kill(signal: NodeJS.Signals): void
  /** SIGTERM, and after ten seconds SIGKILL; resolves when it has ended. */
  stop(): Promise<Exit>
}

export interface StartOptions {
  /** Arguments besides the port and those that every test server gets. */
  readonly args?: readonly string[]
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  /** A config file, for ringtier. */
  readonly file?: string
  /** The Node that runs ringtier; by default the one that runs the test. */
  readonly node?: string
  /** Another build's server/main.js. */
  readonly program?: string
  /** Elsewhere than beside the test, as in a network namespace: for ringtier. */
  readonly site?: Site
}

/** Where else a server runs. */
export interface Site {
  /** The words before its command that bring it there. */
  readonly words: readonly string[]
  /** The Unix socket at which it is reached from here. */
  readonly path: string
}

/** A server that has not answered by then will not. Starting takes 0.1-0.5 s on a quiet machine. */
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 10_000
const POLL_MS = 10

const PORT_MIN = 10_000
const PORT_MAX = 32_000

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_MAX)
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
}

/**
 * Is this program installed? Where a test needs a rival, it is skipped if the rival is missing; but
 * not on CI: there the missing program fails the test.
 */
export function available(program: string): boolean {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      // not in this folder
    }
  }
  if (process.env.CI !== undefined) throw new Error(`${program} is not installed, and CI is set`)
  return false
}

/** ringtier on a free port of 127.0.0.1. Rejects with its output if it ends before it answers. */
export async function startRingtier(options: StartOptions = {}): Promise<RunningServer> {
  const port = options.port ?? (await freePort())
  const args = [options.program ?? RINGTIER, ...(options.file === undefined ? [] : [options.file])]
  args.push('--port', String(port), '--bind', '127.0.0.1', ...(options.args ?? []))
  const { node = process.execPath, env, site } = options
  if (site === undefined) return start(node, args, port, env)
  const [first, ...words] = [...site.words, node, ...args]
  return start(first!, words, port, env, site.path)
}

/** redis-server on a free port of 127.0.0.1, without persistence. */
export async function startRedis(options: StartOptions = {}): Promise<RunningServer> {
  const port = options.port ?? (await freePort())
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-redis-'))
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--daemonize', 'no', '--save', '']
  args.push('--appendonly', 'no', '--dir', folder, ...(options.args ?? []))
  // Its second port is 10,000 above the first by default, where somebody else may listen.
  if (args.includes('--cluster-enabled')) args.push('--cluster-port', String(await freePort()))
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    const server = await start('redis-server', args, port, options.env)
    void server.exited.then(removeFolder)
    return server
  } catch (error) {
    removeFolder()
    throw error
  }
}

/** memcached on a free port of 127.0.0.1, TCP only, with its defaults but for `args`. */
export async function startMemcached(options: StartOptions = {}): Promise<RunningServer> {
  const port = options.port ?? (await freePort())
  // As root it starts only if told which user to be.
  const args = ['-l', '127.0.0.1', '-p', String(port), '-U', '0', '-u', userInfo().username]
  return start('memcached', [...args, ...(options.args ?? [])], port, options.env)
}

async function start(
  program: string,
  args: readonly string[],
  port: number,
  env: Readonly<Record<string, string>> | undefined,
  path?: string,
): Promise<RunningServer> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  running.add(child)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  let ended = false
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', (error) => {
      output += error.message
      ended = true
      resolve({ code: null, signal: null })
    })
    child.once('close', (code, signal) => {
      running.delete(child)
      ended = true
      resolve({ code, signal })
    })
  })
  const kill = (signal: NodeJS.Signals): void => void child.kill(signal)
  const stop = async (): Promise<Exit> => {
    kill('SIGTERM')
    const timer = setTimeout(() => kill('SIGKILL'), STOP_TIMEOUT_MS)
    const exit = await exited
    clearTimeout(timer)
    return exit
  }

  const deadline = Date.now() + START_TIMEOUT_MS
  while (!ended && !(await answersPing(path ?? port))) {
    if (Date.now() > deadline) {
      kill('SIGKILL')
      await exited
      throw new Error(`${program} on port ${port} does not answer PING. Its output:\n${output}`)
    }
    await delay(POLL_MS)
  }
  if (ended) throw new Error(`${program} ended before it answered PING. Its output:\n${output}`)
  return { host: '127.0.0.1', port, pid: child.pid!, output: () => output, exited, kill, stop }
}

/** A port of 127.0.0.1, or the path of a Unix socket. */
function answersPing(at: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = typeof at === 'string' ? connect(at) : connect(at, '127.0.0.1')
    const settle = (answered: boolean): void => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => socket.write('*1\r\n$4\r\nPING\r\n'))
    socket.once('data', (bytes) => settle(!bytes.toString('latin1').startsWith('-LOADING')))
    socket.once('error', () => settle(false))
    socket.once('close', () => settle(false))
  })
}

export interface Run extends Exit {
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Goes to its standard input, which is then closed. */
  readonly input?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** SIGKILL after this long. */
  readonly timeoutMs?: number
  /** Looks at stdout so far as it comes; true ends the program with SIGTERM: enough was seen. */
  readonly enough?: (stdout: string) => boolean
}

/** Runs a program to its end. A program that is not there ends with code null and says so in stderr. */
export function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
    })
    running.add(child)
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000)
    let stdout = ''
    let stderr = ''
    const settle = (code: number | null, signal: NodeJS.Signals | null): void => {
      clearTimeout(timer)
      running.delete(child)
      resolve({ code, signal, stdout, stderr })
    }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      // Once: a second signal ends a program at once that is still ending.
      if (!child.killed && options.enough?.(stdout) === true) child.kill('SIGTERM')
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.once('error', (error) => {
      stderr += error.message
      settle(null, null)
    })
    child.once('close', settle)
    child.stdin.on('error', () => {}) // it may end before it has read its input
    child.stdin.end(options.input ?? '')
  })
}
