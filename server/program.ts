/**
 * The program: reads its configuration, starts the server, and ends it on a signal.
 *
 * Exit code 0: it was told to end (SIGTERM, SIGINT, SHUTDOWN). 1: it could not start, with one line
 * on standard error that says what and where, behind Redis's three where a config file is wrong; or an error that nothing caught, which is logged: a
 * process that has met one must not go on with its half-changed memory. 1 also when a second signal
 * finds it still ending.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { GroupError } from '../cluster/groups/group.ts'
import { sizeText } from '../cluster/groups/size.ts'
import { check } from './check.ts'
import { clusterTool } from './cluster/cluster-tool.ts'
import { type Config, type DirectiveName, loadConfig, shownLine } from './config.ts'
import { type MachineLimits, THREADS_MAX } from './config/directives.ts'
import { BadValue } from './config/kinds.ts'
import { helpText } from './config/page.ts'
import { ConfigError, reasonOf } from './config/sources.ts'
import { fitClients, watchDescriptors } from './clients/descriptors.ts'
import { createLog, type Log } from './log.ts'
import { createServer, type EndOptions, type Server } from './server.ts'
import { SnapshotError } from './snapshots/snapshot-file.ts'
import { MEMORY_BYTES_MIN, memoryBytesMax } from './store/memory.ts'
import {
  createSystemWorld,
  formatTime,
  readClockOrigin,
  hasDescriptors,
  readDescriptors,
  readMachine,
  stayAlive,
} from './system.ts'
import { TlsError } from './clients/tls.ts'
import { findSocketWay, Hub, type SocketWay } from './threads/hub.ts'
import { redisVersion, version } from './version.ts'

/** Someone who reads the help through `head` closes the pipe early: no reason to complain. */
process.stdout.on('error', () => {})

const args = process.argv.slice(2)
// For `ringtier cluster` -h is a host, as for redis-cli.
if (args.includes('--help') || (args.includes('-h') && args[0] !== 'cluster')) {
  process.stdout.write(helpText())
} else if (args.includes('--version') || args.includes('-v')) {
  process.stdout.write(`ringtier v=${version} node=${process.version}\n`)
} else if (args[0] === 'check') {
  await runCheck(args.slice(1))
} else if (args[0] === 'cluster') {
  await runCluster(args.slice(1))
} else {
  await run()
}

/** Prints what the configuration means. Exit code 0, or 1 where a start would fail because of it. */
async function runCheck(words: readonly string[]): Promise<void> {
  try {
    const machine = machineLimits(await findSocketWay())
    const lines = check(words, { environment: process.env, machine })
    process.stdout.write(lines.map((line) => `${line}\n`).join(''))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    complain(error)
    process.exitCode = 1
  }
}

/** Prints what the nodes of a cluster tell. Exit code 0, or 1 where something is wrong with it. */
async function runCluster(words: readonly string[]): Promise<void> {
  try {
    const machine = machineLimits(null)
    const { lines, exitCode } = await clusterTool(words, { environment: process.env, machine })
    process.stdout.write(lines.map((line) => `${line}\n`).join(''))
    process.exitCode = exitCode
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    complain(error)
    process.exitCode = 1
  }
}

/** A value with line ends must not make it two lines. */
function complain({ message }: ConfigError): void {
  process.stderr.write(`ringtier: ${message.replace(/\p{Cc}+/gu, ' ')}\n`)
}

/** What Redis says before its reason, where a line of a config file is to blame. */
function pointAtLine({ where }: ConfigError): void {
  const [, file, line] = /^(.+):(\d+)$/.exec(where) ?? []
  const text = file === undefined ? null : shownLine(file, Number(line))
  if (text === null) return
  process.stderr.write(
    `\n*** FATAL CONFIG FILE ERROR (Redis ${redisVersion}) ***\n` +
      `Reading the configuration file, at line ${line}\n>>> '${text.replace(/\p{Cc}+/gu, ' ')}'\n`,
  )
}

function readConfig(machine: MachineLimits): Config {
  try {
    return loadConfig({ args, environment: process.env, machine })
  } catch (error) {
    if (error instanceof ConfigError) pointAtLine(error)
    throw error
  }
}

async function run(): Promise<void> {
  let server: Server
  let log: Log
  let config: Config
  const way = await findSocketWay()
  try {
    config = readConfig(machineLimits(way))
    enterFolder(config)
    log = openLog(config)
    endOnUncaught(log)
    server = await startServer(config, log, way)
    limitClients(config, log)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    complain(error)
    process.exit(1)
  }
  endOnSignals(server, log)
  watchDescriptors(hasDescriptors, server.world.clock, log)
  if (config.pidfile !== '') writePidFile(config.pidfile, log)
  announce(server, { config, log, way })
  // With `port 0` nothing else would.
  stayAlive()
  await server.loaded
  log.notice('Ready to accept connections')
  await server.stopped
  if (config.pidfile !== '') rmSync(config.pidfile, { force: true })
  log.notice('ringtier is now ready to exit, bye bye...')
  process.exit(0)
}

function machineLimits(way: SocketWay | null): MachineLimits {
  const { cores, memoryBytes } = readMachine()
  return {
    ...{ memoryBytes, cores, threadsMax: way === null ? 1 : THREADS_MAX },
    ...{ storeBytesMin: MEMORY_BYTES_MIN, storeBytesMax: memoryBytesMax() },
  }
}

function enterFolder(config: Config): void {
  const enter = (path: string): string | null => {
    try {
      process.chdir(path)
      return null
    } catch (error) {
      return reasonOf(error as NodeJS.ErrnoException)
    }
  }
  if (config.isSet('dir')) {
    const reason = enter(config.dir)
    if (reason !== null)
      throw new ConfigError(config.whereOf('dir'), `dir '${config.dir}': ${reason}`)
  }
  config.onChange('dir', (path) => {
    const reason = enter(path)
    if (reason !== null) throw new BadValue(reason)
  })
}

function openLog(config: Config): Log {
  const { logfile, loglevel } = config
  const onTerminal = logfile === '' && process.stdout.isTTY
  try {
    const options = { level: loglevel, file: logfile }
    const log = createLog(onTerminal ? { ...options, readable: formatTime } : options)
    config.onChange('loglevel', (level) => log.setLevel(level))
    return log
  } catch (cause) {
    const reason = reasonOf(cause as NodeJS.ErrnoException)
    throw new ConfigError(config.whereOf('logfile'), `logfile '${logfile}': ${reason}`, { cause })
  }
}

async function startServer(config: Config, log: Log, way: SocketWay | null): Promise<Server> {
  const originMs = readClockOrigin()
  let server: Server
  try {
    server = await createServer(config, createSystemWorld(originMs), log)
  } catch (cause) {
    if (cause instanceof SnapshotError) {
      throw new ConfigError(config.whereOf('dbfilename') || 'snapshot', cause.message, { cause })
    }
    if (cause instanceof GroupError) {
      throw new ConfigError(whereOfGroup(config, cause), cause.message, { cause })
    }
    if (cause instanceof TlsError) {
      const where = whereOf(config, config.isSet(cause.directive) ? cause.directive : 'tls-cluster')
      throw new ConfigError(where, cause.message, { cause })
    }
    if (!(cause instanceof RangeError)) throw cause
    // What the system does not give, by address space or limits of the process.
    const name = config.isSet('maxmemory-ceiling') ? 'maxmemory-ceiling' : 'maxmemory'
    const what = `${name} ${sizeText(config[name])} cannot be had: ${cause.message}`
    throw new ConfigError(whereOf(config, name), what, { cause })
  }
  if (config.threads > 1) {
    await Hub.start(server, { way: way!, originMs, die: (error) => endWith(error, log) })
  }
  try {
    await server.listen()
    return server
  } catch (cause) {
    throw listenError(config, cause as NodeJS.ErrnoException & { address?: string; port?: number })
  }
}

/** After the start: by then all that the process opens for itself is open. */
function limitClients(config: Config, log: Log): void {
  try {
    fitClients(readDescriptors(), config, log)
  } catch (cause) {
    if (!(cause instanceof BadValue)) throw cause
    throw new ConfigError(whereOf(config, 'maxclients'), cause.message, { cause })
  }
}

function whereOfGroup(config: Config, { message }: GroupError): string {
  const line = config.group.find(({ words }) => message.startsWith(`group ${words[0]}:`))
  return line?.where ?? 'group'
}

function whereOf(config: Config, name: DirectiveName): string {
  const where = config.whereOf(name)
  return where === '' ? `default ${name}` : where
}

function listenError(
  config: Config,
  cause: NodeJS.ErrnoException & { address?: string; port?: number; hostname?: string },
): Error {
  const { code = '', address = '', port = config.port } = cause
  const at = `port ${port} on ${address}`
  const from = (name: 'port' | 'bind', what: string): ConfigError =>
    new ConfigError(whereOf(config, name), what, { cause })
  switch (code) {
    case 'EADDRINUSE':
      return from('port', `${at} is in use: another server listens there, choose one with --port`)
    case 'EACCES':
      return from('port', `${at} is not allowed: ${reasonOf(cause)}`)
    case 'EADDRNOTAVAIL':
      return from('bind', `bind ${address}: this machine has no such address`)
    case 'EAI_AGAIN':
    case 'ENOTFOUND':
      return from('bind', `bind ${cause.hostname}: no such host`)
    default:
      return cause
  }
}

/* ---- while it runs ---- */

function endOnUncaught(log: Log): void {
  process.on('uncaughtException', (error) => endWith(error, log))
}

function endWith(error: Error, log: Log): void {
  log.fatal({ err: error }, 'an error that nothing caught: the process ends')
  process.exit(1)
}

function endOnSignals(server: Server, log: Log): void {
  let ending = false
  const end = (signal: NodeJS.Signals): void => {
    if (ending) process.exit(1)
    ending = true
    log.notice(`Received ${signal}, shutting down`)
    const { config } = server
    const name = signal === 'SIGINT' ? 'shutdown-on-sigint' : 'shutdown-on-sigterm'
    void server.end(endOptions(config[name])).then((done) => {
      ending = done
    })
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  // Log files are moved away by others, who then send this.
  process.on('SIGHUP', () => log.reopen())
}

function endOptions(flags: readonly string[]): EndOptions {
  const save = flags.includes('save') ? true : flags.includes('nosave') ? false : null
  return { save, force: flags.includes('force') }
}

function writePidFile(path: string, log: Log): void {
  try {
    writeFileSync(path, `${process.pid}\n`)
  } catch (error) {
    log.warning(
      { file: path },
      `cannot write the pidfile: ${reasonOf(error as NodeJS.ErrnoException)}`,
    )
  }
}

/** ` PID: `, `Server initialized` and `Ready to accept connections` are what Redis's tools look for. */
function announce(
  server: Server,
  { config, log, way }: { config: Config; log: Log; way: SocketWay | null },
): void {
  const { listeners } = server
  const addresses = listeners.map(({ host, port }) =>
    host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
  )
  if (config.logfile === '' && process.stdout.isTTY) {
    process.stdout.write(banner(config, addresses))
  } else {
    const { maxmemory, threads } = config
    const sockets = threads === 1 ? {} : { sockets: way }
    const fields = { version, node: process.version, addresses, maxmemory, threads, ...sockets }
    log.notice(fields, `ringtier ${version} PID: ${process.pid}`)
  }
  for (const notice of config.notices) log.notice(notice)
  if (listeners.some(({ adopts }) => !adopts)) {
    log.warning("this Node.js does not let sockets read into one buffer: 'data' events are used")
  }
  log.notice('Server initialized')
}

function banner(config: Config, addresses: readonly string[]): string {
  const { discovery, groups, maxmemory, members, threads } = config
  const isSmall = maxmemory < 2 ** 30
  const memory = isSmall
    ? `${Math.round(maxmemory / 2 ** 20)} MB`
    : `${(maxmemory / 2 ** 30).toFixed(2)} GB`
  const lines = [
    `ringtier ${version}, Node.js ${process.version}, PID: ${process.pid}`,
    `  listening on  ${addresses.length === 0 ? 'nothing (port 0)' : addresses.join(', ')}`,
    `  memory        ${memory}, ${threads === 1 ? '1 thread' : `${threads} threads`}`,
  ]
  if (groups.all.length > 0) {
    lines.push(`  groups        ${groups.all.map((group) => group.name).join(', ')}`)
  }
  if (members !== null) {
    const nodes = discovery === null ? `${members.all.length} nodes` : `found by ${discovery.kind}`
    lines.push(`  cluster       ${nodes}, this is ${members.self.name}`)
  }
  return `${lines.join('\n')}\n\n`
}
