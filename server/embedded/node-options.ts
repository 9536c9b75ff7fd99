/*
 * The options of a node inside a program, read as the directives of a server: its limits and what it does
 * are those of `ringtier`, and stand in one place (config/directives.ts).
 */
import type { Group } from '../../cluster/groups/group.ts'
import { isLoopback, NODE_TIMEOUT_MS } from '../../cluster/members/membership.ts'
import { type Config, Settings } from '../config.ts'
import { ConfigError, type Statement } from '../config/sources.ts'
import type { LogLevel } from '../log.ts'
import { checkEviction, checkNames, memoryOf, type Size, typeName } from '../clients/passed.ts'
import { DEFAULT_POLICY_NAME, type PolicyName } from '../memory/policies.ts'
import { memoryBytesMax, MEMORY_BYTES_MIN } from '../store/memory.ts'
import { readMachine } from '../system.ts'

export interface NodeOptions {
  /**
   * The TCP port that Redis clients and the other nodes connect to. Default: 0, a free one, for a node
   * that has no peers.
   */
  readonly port?: number
  /** The address that it listens on; '0.0.0.0': all of IPv4. Default: '127.0.0.1', this machine only. */
  readonly host?: string
  /** This node as `host:port`, as the others reach it. Default: `host` and `port`. */
  readonly self?: string
  /** The nodes of the cluster as `host:port`, with or without this one. Default: none, it is alone. */
  readonly peers?: readonly string[]
  /** What the nodes prove to each other to know; all have the same. Those of one machine may do without. */
  readonly secret?: string
  /** TLS with the other nodes, of which all have it or none. Default: none. */
  readonly tls?: NodeTlsOptions
  /**
   * Milliseconds of silence until the others take this node for dead, and it them; 200 and more, equal on
   * all nodes. Default: 600.
   */
  readonly nodeTimeoutMs?: number
  /** What Redis clients must send with AUTH. Must be given to listen beyond this machine. */
  readonly password?: string
  /** Everything this node stores is in so much memory. Default: '64mb'. */
  readonly maxMemory?: Size
  /** Which entries go when memory is full. Default: 's3a'. */
  readonly eviction?: PolicyName
  /** The least important messages that are logged. Default: 'warning'. */
  readonly logLevel?: LogLevel
  /** Takes each line of the log, which is JSON. Default: standard error has it, to be read by people. */
  readonly log?: (line: string) => void
}

/** Files in PEM, which `start` reads. */
export interface NodeTlsOptions {
  /** This node's certificate, for servers and clients both. */
  readonly certFile: string
  /** Its private key. */
  readonly keyFile: string
  /** What the key is encrypted with. Default: it is not. */
  readonly keyPassword?: string
  /** Certificates, one of which must have signed that of each node. */
  readonly caFile: string
}

const optionNames = [
  ...(['port', 'host', 'self', 'peers', 'secret', 'tls', 'nodeTimeoutMs', 'password'] as const),
  ...(['maxMemory', 'eviction', 'logLevel', 'log'] as const),
] as const satisfies readonly (keyof NodeOptions)[]

const tlsNames = ['certFile', 'keyFile', 'keyPassword', 'caFile'] as const

const PORT_MAX = 65_535
const everywhere: ReadonlySet<string> = new Set(['0.0.0.0', '*', '::', '::*'])

/**
 * The configuration of a server with these options and groups.
 * @throws {TypeError} an option has the wrong type, there is none of this name, or one is missing
 * @throws {RangeError} an option is out of its limits
 */
export function nodeConfig(options: NodeOptions, groups: readonly Group[]): Config {
  checkTypes(options)
  const { port = 0, host = '127.0.0.1', peers = [], secret = '', password = '' } = options
  const { eviction = DEFAULT_POLICY_NAME, logLevel = 'warning' } = options
  if (peers.length > 0 && port === 0) {
    throw new TypeError(
      'port must be given beside peers: it is a part of the name they know this node by',
    )
  }
  if (!isLoopback(host) && password === '') {
    throw new TypeError(
      `password must be given where other machines can connect, and host is '${host}'`,
    )
  }
  const self = options.self ?? (peers.length === 0 ? '' : selfOf(host, port, peers))
  const memory = String(memoryOf('maxMemory', options.maxMemory ?? '64mb'))
  const words: Readonly<Record<string, string>> = {
    ...{ port: String(port), bind: host, threads: '1', loglevel: logLevel },
    ...{ maxmemory: memory, 'maxmemory-ceiling': memory, 'maxmemory-policy': eviction },
    ...{ 'cluster-self': self, 'cluster-peers': peers.join(','), 'cluster-secret': secret },
    ...{ 'cluster-node-timeout': String(options.nodeTimeoutMs ?? NODE_TIMEOUT_MS) },
    ...{ requirepass: password, ...tlsWords(options.tls) },
  }
  const statements = Object.entries(words).map(([name, word]): Statement => ({
    name,
    words: [word],
    where: 'createNode',
  }))
  const limits = { storeBytesMin: MEMORY_BYTES_MIN, storeBytesMax: memoryBytesMax() }
  const machine = { ...readMachine(), ...limits, threadsMax: 1 }
  try {
    return new Settings({ statements, file: null, machine, groups }) as Config
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const message = inOptionsWords(error.message)
    const Kind = message.includes('maxMemory') ? RangeError : TypeError
    throw new Kind(message, { cause: error })
  }
}

function tlsWords(tls: NodeTlsOptions | undefined): Record<string, string> {
  if (tls === undefined) return {}
  const { certFile, keyFile, keyPassword = '', caFile } = tls
  return {
    ...{ 'tls-cluster': 'yes', 'tls-cert-file': certFile, 'tls-key-file': keyFile },
    ...{ 'tls-key-file-pass': keyPassword, 'tls-ca-cert-file': caFile },
  }
}

/** By what the others know this node. On one machine they may write it in another way than `host` does. */
function selfOf(host: string, port: number, peers: readonly string[]): string {
  if (everywhere.has(host)) {
    throw new TypeError(`self must be given: by '${host}' the other nodes cannot reach this one`)
  }
  const own = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  if (!isLoopback(host) || peers.includes(own)) return own
  return peers.find((peer) => isThisMachine(peer, port)) ?? own
}

function isThisMachine(peer: string, port: number): boolean {
  const [, host = '', peerPort] = /^\[?(.*?)\]?:(\d+)$/.exec(peer.toLowerCase()) ?? []
  return isLoopback(host) && Number(peerPort) === port
}

/** A ConfigError speaks of directives, and callers know options. */
function inOptionsWords(message: string): string {
  return (
    message
      .replace(/\bcluster-(self|peers|secret)\b/g, '$1')
      .replaceAll('cluster-node-timeout', 'nodeTimeoutMs')
      .replaceAll('requirepass', 'password')
      .replaceAll('maxmemory', 'maxMemory')
      .replaceAll('loglevel', 'logLevel')
      // The error names only those that Redis knows.
      .replace(/(: debug, .*, warning)$/, '$1, nothing')
  )
}

function checkTypes(options: NodeOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError('createNode wants options: createNode({ port: 7001 })')
  }
  checkNames('createNode', options, optionNames)
  const { port = 0, peers = [], nodeTimeoutMs = NODE_TIMEOUT_MS, eviction, log } = options
  if (typeof nodeTimeoutMs !== 'number') {
    throw new TypeError(`nodeTimeoutMs must be a number, but is ${typeName(nodeTimeoutMs)}`)
  }
  if (typeof port !== 'number') {
    throw new TypeError(`port must be a number, but is ${typeName(port)}`)
  }
  if (!Number.isInteger(port) || port < 0 || port > PORT_MAX) {
    throw new RangeError(`port must be an integer from 0 to ${PORT_MAX}, but is ${port}`)
  }
  for (const name of ['host', 'self', 'secret', 'password', 'logLevel'] as const) {
    const value: unknown = options[name]
    if (value === undefined || (typeof value === 'string' && value !== '')) continue
    const is = value === '' ? 'empty' : typeName(value)
    throw new TypeError(`${name} must be a string that is not empty, but is ${is}`)
  }
  if (options.tls !== undefined) checkTls(options.tls)
  if (!Array.isArray(peers) || !peers.every((peer: unknown) => typeof peer === 'string')) {
    throw new TypeError("peers must be an array of strings like '10.0.0.1:7001'")
  }
  if (eviction !== undefined) checkEviction(eviction)
  if (log !== undefined && typeof log !== 'function') {
    throw new TypeError(`log must be a function, but is ${typeName(log)}`)
  }
}

function checkTls(tls: NodeTlsOptions): void {
  if (typeof tls !== 'object' || tls === null) {
    throw new TypeError(`tls must be { certFile, keyFile, caFile }, but is ${typeName(tls)}`)
  }
  checkNames('tls', tls, tlsNames)
  for (const name of tlsNames) {
    const value: unknown = tls[name]
    if (value === undefined && name === 'keyPassword') continue
    if (typeof value === 'string' && value !== '') continue
    const is = value === '' ? 'empty' : typeName(value)
    throw new TypeError(`tls.${name} must be a string that is not empty, but is ${is}`)
  }
}
