import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { loadConfig } from '../../../server/config.ts'
import { BadValue } from '../../../server/config/kinds.ts'
import {
  clientsThatFit,
  fitClients,
  watchDescriptors,
} from '../../../server/clients/descriptors.ts'
import { createLog } from '../../../server/log.ts'
import { readDescriptors } from '../../../server/system.ts'
import { available, freePort, RINGTIER, run } from '../../process.ts'
import { RawClient } from '../../raw.ts'
import { VirtualClock } from '../../sim/clock.ts'
import { until } from '../../until.ts'

const quiet = createLog({ level: 'nothing' })

test('clients get what is left after what is open, and what is kept for later', (t) => {
  const config = loadConfig()
  t.is(clientsThatFit({ open: 25, max: 64 }, config), 64 - 25 - 20)
  t.is(clientsThatFit({ open: 0, max: Infinity }, config), Infinity)
  t.is(clientsThatFit({ open: 44, max: 64 }, config), 0)
  t.is(clientsThatFit({ open: 64, max: 64 }, config), 0)
  const cluster = ['--cluster-self', '127.0.0.1:1', '--cluster-peers', '127.0.0.1:2,127.0.0.1:3']
  t.is(clientsThatFit({ open: 25, max: 64 }, loadConfig({ args: cluster })), 39 - 20 - 8)
  const group = 'user match user:{id} origin http://127.0.0.1:1/{id} concurrency 5'
  const grouped = loadConfig({ args: ['--group', group] })
  t.is(clientsThatFit({ open: 25, max: 64 }, grouped), 39 - 20 - 5)
  t.is(clientsThatFit({ open: 25, max: 50 }, grouped), 3)
})

test('maxclients is lowered to what fits, and not raised above it', (t) => {
  const config = loadConfig({ args: ['--maxclients', '20'] })
  fitClients({ open: 25, max: 64 }, config, quiet)
  t.is(config.maxclients, 19)
  t.is(config.set([['maxclients', '19']]), null)
  t.is(
    config.set([['maxclients', '20']]),
    "ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to handle the specified number of clients, try with 19",
  )
  t.is(config.maxclients, 19)
})

test('maxclients that fits is left as it is', (t) => {
  for (const maxclients of [18, 19]) {
    const config = loadConfig({ args: ['--maxclients', String(maxclients)] })
    fitClients({ open: 25, max: 64 }, config, quiet)
    t.is(config.maxclients, maxclients)
  }
})

test('where no client fits the server does not start, and says how many files it wants', (t) => {
  t.notThrows(() => fitClients({ open: 43, max: 64 }, loadConfig(), quiet))
  const error = t.throws(() => fitClients({ open: 44, max: 64 }, loadConfig(), quiet), {
    instanceOf: BadValue,
  })
  t.regex(error.message, /^the limit of 64 open files .* to at least 65$/)
})

test('the system tells open files and their limit', (t) => {
  const { open, max } = readDescriptors()
  if (process.platform === 'linux') t.true(open > 3 && max >= open)
  else t.is(max, Infinity)
})

test('that no descriptor is left is said once, until some are free again', async (t) => {
  const clock = new VirtualClock()
  const lines: string[] = []
  const warning = (text: unknown): void => void lines.push(String(text))
  let areLeft = true
  const watch = watchDescriptors(() => areLeft, clock, { ...quiet, warning })
  const said = async (): Promise<number> => {
    await clock.advance(3000)
    return lines.length
  }
  t.is(await said(), 0)
  areLeft = false
  t.is(await said(), 1)
  areLeft = true
  t.is(await said(), 1)
  areLeft = false
  t.is(await said(), 2)
  watch.cancel()
  t.regex(lines[0]!, /EMFILE/)
})

/* ---- a whole process ---- */

interface Small {
  readonly port: number
  readonly pid: number
  output(): string
}

/** ringtier with so many file descriptors, until the test ends. */
async function startSmall(t: ExecutionContext, descriptors: number, threads = 1): Promise<Small> {
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--maxmemory', '6mb']
  // Each further thread takes some for its event loop.
  args.push('--threads', String(threads))
  const script = `ulimit -n ${descriptors} && exec "$0" "$@"`
  const child = spawn('sh', ['-c', script, process.execPath, RINGTIER, ...args])
  let output = ''
  child.stdout.on('data', (text: Buffer) => (output += String(text)))
  child.stderr.on('data', (text: Buffer) => (output += String(text)))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  t.teardown(async () => {
    child.kill()
    await ended
  })
  await until(() => output.includes('Ready to accept') || child.exitCode !== null)
  return { port, pid: child.pid!, output: () => output }
}

/** A client and all that it was told. */
class Visitor {
  told = ''
  isClosed = false
  readonly #socket: Socket

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1', () => this.#socket.write('PING\r\n'))
    this.#socket.on('data', (text: Buffer) => (this.told += String(text)))
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => (this.isClosed = true))
  }

  leave(): void {
    this.#socket.destroy()
  }
}

const linuxOnly = process.platform === 'linux' ? test : test.skip

async function servesWhatFits(t: ExecutionContext, threads: number): Promise<void> {
  const server = await startSmall(t, 64, threads)
  const open = (): number => readdirSync(`/proc/${server.pid}/fd`).length
  const cpuTicks = (): number => {
    const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return Number(fields[11]) + Number(fields[12])
  }
  t.regex(server.output(), /Current maximum open files is 64\. maxclients has been reduced to \d+ /)
  const admin = await RawClient.open(server.port)
  const reply = await admin.command('CONFIG', 'GET', 'maxclients')
  const maxclients = Number(/\r\n(\d+)\r\n$/.exec(reply)![1])
  t.true(maxclients > 2 && maxclients < 64, String(maxclients))
  const before = open()
  const visitors: Visitor[] = []
  for (let i = 0; i < 100; i++) {
    const visitor = new Visitor(server.port)
    visitors.push(visitor)
    await until(() => visitor.told !== '' || visitor.isClosed)
  }
  const served = visitors.filter(({ told }) => told === '+PONG\r\n')
  t.is(served.length, maxclients - 1)
  const turnedAway = visitors.filter((visitor) => !served.includes(visitor))
  for (const { told } of turnedAway) t.is(told, '-ERR max number of clients reached\r\n')
  await until(() => turnedAway.every(({ isClosed }) => isClosed))
  // Full, and nothing to do: it does not spin. A tick is 10 ms.
  const ticks = cpuTicks()
  const begin = process.hrtime.bigint()
  await until(() => process.hrtime.bigint() - begin > 300_000_000n)
  t.true(cpuTicks() - ticks <= 10)
  t.is(await admin.command('PING'), '+PONG\r\n')
  for (const visitor of visitors) visitor.leave()
  await until(() => open() <= before)
  const late = await RawClient.open(server.port)
  t.is(await late.command('PING'), '+PONG\r\n')
  t.regex(
    await admin.command('INFO', 'stats'),
    new RegExp(`rejected_connections:${101 - maxclients}\r\n`),
  )
  late.close()
  admin.close()
}

linuxOnly('with 64 descriptors surplus clients are told so, and all recovers', (t) =>
  servesWhatFits(t, 1),
)

linuxOnly('with 64 descriptors and two threads, too', (t) => servesWhatFits(t, 2))

const withPrlimit = process.platform === 'linux' && available('prlimit') ? test : test.skip

withPrlimit('a server whose descriptors are used up says so, and serves on', async (t) => {
  const server = await startSmall(t, 64)
  const admin = await RawClient.open(server.port)
  t.is(await admin.command('PING'), '+PONG\r\n')
  const limit = (files: number): Promise<unknown> =>
    run('prlimit', ['--pid', String(server.pid), `--nofile=${files}:`])
  // No new one may have a number as low as this.
  await limit(3)
  await until(() => server.output().includes('Too many open files (EMFILE)'))
  t.is(await admin.command('SET', 'k', 'v'), '+OK\r\n')
  await limit(64)
  const late = await RawClient.open(server.port)
  t.is(await late.command('GET', 'k'), '$1\r\nv\r\n')
  late.close()
  admin.close()
})

linuxOnly('a surplus client that never closes its side holds no descriptor', async (t) => {
  const server = await startSmall(t, 64)
  const open = (): number => readdirSync(`/proc/${server.pid}/fd`).length
  const admin = await RawClient.open(server.port)
  await admin.command('CONFIG', 'SET', 'maxclients', '1')
  const before = open()
  const silent = Array.from({ length: 60 }, () =>
    connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }),
  )
  const heard = silent.map(
    (socket) =>
      new Promise<string>((resolve) => {
        let text = ''
        socket.on('data', (bytes) => (text += String(bytes)))
        socket.on('error', () => resolve(text))
        socket.on('end', () => resolve(text))
      }),
  )
  const told = await Promise.all(heard)
  t.true(told.filter((text) => text === '-ERR max number of clients reached\r\n').length >= 50)
  await until(() => open() <= before)
  t.pass()
  for (const socket of silent) socket.destroy()
  admin.close()
})
