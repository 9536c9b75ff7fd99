/**
 * The table of directives: all that the Config type, the config file, the command line, the
 * environment, CONFIG GET/SET/REWRITE, --help and docs/config.md know. A directive that Redis has
 * bears Redis's name. The second table, `ignored`, holds the directives of Redis 7.0 that have no
 * effect here: they are accepted, remembered and reported, so that a redis.conf and the tools that
 * set and restore them work, and using one is told with the reason.
 */
import { resolve as resolvePath } from 'node:path'
import { NODE_TIMEOUT_MS } from '../../cluster/members/membership.ts'
import { VIRTUAL_NODES } from '../../cluster/ring.ts'
import { sizeText } from '../../cluster/groups/size.ts'
import { DEFAULT_POLICY_NAME, policyNames, policyNotice } from '../memory/policies.ts'
import {
  BadValue,
  choice,
  clamped,
  eventFlags,
  flags,
  integer,
  type Kind,
  lines,
  list,
  longMax,
  outputLimits,
  savePoints,
  size,
  sizeOrPercent,
  text,
  yesNo,
} from './kinds.ts'
import { readProtocols } from './tls-protocols.ts'

/** Redis's levels of its log. */
const levels = ['debug', 'verbose', 'notice', 'warning'] as const

export const sections = [
  'Network',
  'Clients',
  'Memory',
  'Security',
  'Groups and cluster',
  'Snapshots',
  'Process and logs',
] as const

/** What the machine and the store leave to choose from. */
export interface MachineLimits {
  /** Of the machine or the control group. */
  readonly memoryBytes: number
  /** That this process may use. */
  readonly cores: number
  /** How many can serve connections on this Node. */
  readonly threadsMax: number
  /** The least and the most that the store can manage on this Node. */
  readonly storeBytesMin: number
  readonly storeBytesMax: number
}

export interface Row<T> {
  readonly kind: Kind<T>
  readonly default: T
  readonly section: (typeof sections)[number]
  /** One sentence for the docs and --help. */
  readonly summary: string
  /** May CONFIG SET change it? */
  readonly mutable: boolean
  /** Why CONFIG SET can give it no other value yet, though Redis's can. */
  readonly fixed?: string
  /** Redis's older names of the same directive. */
  readonly aliases?: readonly string[]
  /** CONFIG SET changes it only where `enable-protected-configs` allows. */
  readonly protected?: boolean
  /** The value is a secret: it stands in no log and no error. */
  readonly secret?: boolean
  /** Never answered by CONFIG GET. */
  readonly hidden?: boolean
  /**
   * The value in force for the one that was given, on this machine. `before` has the values of the
   * directives that stand further up in the table. Throws BadValue.
   */
  readonly resolve?: (value: T, machine: MachineLimits, before: { maxmemory: number }) => T
  /** Why this value is refused, or null. */
  readonly refuse?: (value: T) => string | null
  /** What is to be said at the start about this value, or null. `given`: before `resolve`. */
  readonly notice?: (value: T, given: T, machine: MachineLimits) => string | null
  /** It is also said of a default that nobody has changed. */
  readonly noticesDefault?: boolean
}

function row<T>(kind: Kind<T>, facts: Omit<Row<NoInfer<T>>, 'kind'>): Row<T> {
  return { kind, ...facts }
}

const intMax = 2 ** 31 - 1
const uintMax = 2 ** 32 - 1
const KB = 1024
const MB = 1024 * KB
const GB = 1024 * MB

/** A key is stored with its database's number, and each bucket counts its keys by database. */
const databasesMax = 256
/** The longest value the store takes. */
const valueBytesMax = 512 * MB
/** As in Redis. */
const bindMax = 16
/** Of `threads`. */
export const THREADS_MAX = 64
/** More seldom pay: each has its own buffers and heap. */
const threadsByDefault = 8

export const directives = {
  bind: row(list(checkBind), {
    default: ['127.0.0.1', '-::1'],
    section: 'Network',
    mutable: true,
    fixed: 'moving to another address while the server runs is not built yet',
    summary:
      'Addresses to listen on: `*` is all of IPv4, `::*` all of IPv6, and one with a `-` before it may be missing.',
  }),
  port: row(integer(0, 65535), {
    default: 6379,
    section: 'Network',
    mutable: true,
    fixed: 'moving to another address while the server runs is not built yet',
    summary: 'The TCP port that clients and peers connect to; with 0 the server does not listen.',
  }),
  'protected-mode': row(yesNo(), {
    default: true,
    section: 'Network',
    mutable: true,
    summary: 'Refuses clients from other machines while there is no `requirepass`.',
  }),
  'tcp-backlog': row(integer(0, intMax), {
    default: 511,
    section: 'Network',
    mutable: false,
    summary: 'Connections that may wait to be accepted; the kernel has a limit of its own.',
  }),
  'tcp-keepalive': row(integer(0, intMax), {
    default: 300,
    section: 'Network',
    mutable: true,
    summary: 'Seconds of silence before a connection is probed; 0 never probes.',
  }),
  timeout: row(integer(0, intMax), {
    default: 0,
    section: 'Clients',
    mutable: true,
    summary: 'Seconds after which an idle client is disconnected; 0 never.',
  }),
  maxclients: row(integer(1, uintMax), {
    default: 10000,
    section: 'Clients',
    mutable: true,
    summary: 'Connections that may be open at a time.',
  }),
  databases: row(integer(1, databasesMax), {
    default: 16,
    section: 'Clients',
    mutable: false,
    summary: 'Databases that SELECT knows, from 0 on; in a cluster there is only database 0.',
  }),
  'proto-max-bulk-len': row(size(MB, valueBytesMax), {
    default: valueBytesMax,
    section: 'Clients',
    mutable: true,
    summary: 'The longest argument of a command, and so the longest value.',
  }),
  'client-query-buffer-limit': row(size(MB, longMax), {
    default: GB,
    section: 'Clients',
    mutable: true,
    summary: 'Bytes of unfinished commands that a client may pile up before it is disconnected.',
  }),
  'client-output-buffer-limit': row(outputLimits(), {
    default: new Map([
      ['normal', '0 0 0'],
      ['slave', '268435456 67108864 60'],
      ['pubsub', '33554432 8388608 60'],
    ]),
    section: 'Clients',
    mutable: true,
    summary:
      'How much may be queued for a client: reaching the hard limit closes it, and so does staying over the soft one for so many seconds; 0 is no limit. A client of class `normal` that does not read is made to wait, so it needs none; `pubsub` is for subscribers and monitors, which do not wait. There are no replicas.',
  }),
  'tracking-table-max-keys': row(integer(0, longMax), {
    default: 1_000_000,
    section: 'Clients',
    mutable: true,
    summary:
      'How many keys are remembered for clients that track what they read (CLIENT TRACKING); with several threads each has its part. The key that is remembered for the longest makes room: who read it is told that it has changed. 0: no limit.',
  }),
  'notify-keyspace-events': row(eventFlags(), {
    default: '',
    section: 'Clients',
    mutable: true,
    summary:
      'Which events of keys are published, as letters: K in `__keyspace@0__:key`, E in `__keyevent@0__:event`, and of which kinds: g (DEL, EXPIRE ...), $ (strings), x (expired), e (evicted), n (new keys), m (keys that were asked for and missing), A for all but n and m; the others are for types that are not here. Empty: none.',
  }),
  threads: row(integer(0, THREADS_MAX), {
    default: 0,
    section: 'Network',
    mutable: false,
    resolve: (threads, { cores, threadsMax }) =>
      Math.min(threads === 0 ? Math.min(cores, threadsByDefault) : threads, threadsMax),
    noticesDefault: true,
    notice: (threads, given, { cores }) =>
      given > threads || (given === 0 && threads === 1 && cores > 1)
        ? 'this Node.js cannot hand connections to threads, so one thread serves all; Node.js 24 can'
        : null,
    summary: `Threads that serve connections, around one store; 0 means one for each core, up to ${threadsByDefault}. Node.js 20 cannot hand connections to threads: there it is always one. With 1 the process has one thread for all.`,
  }),
  maxmemory: row(size(0, longMax), {
    default: 0,
    section: 'Memory',
    mutable: true,
    resolve: resolveMemory,
    summary:
      "Bytes for keys, values and their index, all of it; 0 means a quarter of the machine's (or the control group's) memory. Lowering it evicts what is too much, bit by bit; raising it goes up to `maxmemory-ceiling`.",
  }),
  'maxmemory-ceiling': row(size(0, longMax), {
    default: 0,
    section: 'Memory',
    mutable: false,
    resolve: resolveCeiling,
    summary:
      "What `maxmemory` may be raised to while the server runs: that much address space is taken at the start, and no memory; 0 means 2gb (2144927744 bytes on Node.js 20, which has no more), or for a larger maxmemory the machine's (or the control group's) memory, but never less than maxmemory.",
  }),
  'maxmemory-policy': row(choice(policyNames), {
    default: DEFAULT_POLICY_NAME,
    section: 'Memory',
    mutable: true,
    summary:
      'Which keys go when memory is full: all in the order of `s3a`, `s3-fifo`, `fifo`, `lru` or `second-chance` (the last two can be chosen, and left, at the start only); `allkeys-*`, `volatile-*` and `noeviction` choose who may go, as in Redis, in the order of `s3a`. See docs/eviction.md.',
    notice: (name) => policyNotice(name),
  }),
  'active-expire-effort': row(integer(1, 10), {
    default: 1,
    section: 'Memory',
    mutable: true,
    summary:
      'How much of the CPU goes into removing expired keys that nobody asks for: 25 percent at most when many have expired, 2 more for each step above 1.',
  }),
  requirepass: row(text(), {
    default: '',
    section: 'Security',
    mutable: true,
    secret: true,
    summary: 'The password that AUTH and HELLO want from clients; empty wants none.',
  }),
  'enable-protected-configs': row(choice(['no', 'yes', 'local']), {
    default: 'no',
    section: 'Security',
    mutable: false,
    summary: 'Who may change `dir` and `dbfilename` by CONFIG SET: nobody, all, or local clients.',
  }),
  'enable-debug-command': row(choice(['no', 'yes', 'local']), {
    default: 'no',
    section: 'Security',
    mutable: false,
    summary: 'Who may use DEBUG: nobody, all, or local clients.',
  }),
  'tls-cluster': row(yesNo(), {
    default: false,
    section: 'Security',
    mutable: true,
    fixed: 'going over to TLS while the server runs is not built yet',
    summary:
      'TLS on the links between nodes, at the port of `cluster-self`: a node shows its certificate, and takes only nodes with one that `tls-ca-cert-file` has signed. The same on all nodes. Clients may speak TLS there too, and need not.',
  }),
  'tls-cert-file': row(text(), {
    default: '',
    section: 'Security',
    mutable: true,
    summary:
      "This node's certificate in PEM, for servers and clients both, and behind it those between it and the CA. CONFIG SET of a `tls-*` directive reads all files anew, for connections that are made from then on; those that stand stay.",
  }),
  'tls-key-file': row(text(), {
    default: '',
    section: 'Security',
    mutable: true,
    summary: 'The private key of `tls-cert-file`, in PEM.',
  }),
  'tls-key-file-pass': row(text(), {
    default: '',
    section: 'Security',
    mutable: true,
    secret: true,
    summary: 'What the key is encrypted with; empty: it is not.',
  }),
  'tls-ca-cert-file': row(text(), {
    default: '',
    section: 'Security',
    mutable: true,
    summary:
      'The certificates in PEM, one of which must have signed that of each node. Those that the system trusts do not count.',
  }),
  'tls-protocols': row(text(checkProtocols), {
    default: '',
    section: 'Security',
    mutable: true,
    summary: 'Versions of TLS that are spoken: `TLSv1.2`, `TLSv1.3` or both; empty is both.',
  }),
  group: row(lines(), {
    default: [],
    section: 'Groups and cluster',
    mutable: false,
    // An origin's password, a header's value.
    secret: true,
    summary:
      'A rule for keys, one a line: `group user match user:{id} origin http://127.0.0.1:3000/users/{id} ttl 5m`; a GET that misses loads the value there, once for the whole cluster.',
  }),
  'cluster-self': row(text(), {
    default: '',
    section: 'Groups and cluster',
    mutable: false,
    summary: 'This node as `host:port`, as the other nodes and cluster-aware clients reach it.',
  }),
  'cluster-peers': row(text(), {
    default: '',
    section: 'Groups and cluster',
    mutable: false,
    summary:
      'The nodes of the cluster: `host:port,host:port,...`, with or without this one; `host:port*3` owns three times as much.',
  }),
  'cluster-dns': row(text(), {
    default: '',
    section: 'Groups and cluster',
    mutable: false,
    summary:
      'Instead of `cluster-peers`: the nodes are at the addresses of this name, `name:port`; one that begins with `_` is looked up as SRV.',
  }),
  'cluster-dns-interval': row(integer(1, 3600), {
    default: 5,
    section: 'Groups and cluster',
    mutable: false,
    summary: 'Seconds between two look-ups of `cluster-dns`.',
  }),
  'cluster-etcd': row(text(), {
    default: '',
    section: 'Groups and cluster',
    mutable: false,
    // It may have a password.
    secret: true,
    summary:
      'Instead of `cluster-peers`: the nodes enter themselves in etcd, `http://host:2379,http://host:2379,...`.',
  }),
  'cluster-etcd-prefix': row(text(checkEtcdPrefix), {
    default: '/ringtier/',
    section: 'Groups and cluster',
    mutable: false,
    summary: 'What the keys of this cluster in etcd begin with; each cluster has its own.',
  }),
  'cluster-secret': row(text(), {
    default: '',
    section: 'Groups and cluster',
    mutable: false,
    secret: true,
    hidden: true,
    summary:
      'What the nodes prove to each other to know; all have the same. A cluster on one machine may do without.',
  }),
  'cluster-min-members': row(integer(0, 4096), {
    default: 0,
    section: 'Groups and cluster',
    mutable: true,
    summary:
      'While this node hears fewer nodes than this, itself included, it refuses writes (CLUSTERDOWN) and goes on reading; more than half of the nodes keeps a minority from writing.',
  }),
  'cluster-node-timeout': row(integer(200, 600_000), {
    default: NODE_TIMEOUT_MS,
    section: 'Groups and cluster',
    mutable: true,
    summary:
      'Milliseconds of silence until the other nodes take one for dead and answer for its keys; equal on all nodes. Longer where machines stand still for a moment now and then: a node that was missed forgets what it had.',
  }),
  'cluster-redirect': row(choice(['auto', 'always', 'never']), {
    default: 'auto',
    section: 'Groups and cluster',
    mutable: true,
    summary:
      'Who is told MOVED for a key of another node instead of being forwarded: with auto a client that has sent keys to their owners only, once, when the ring changes under it.',
  }),
  'cluster-virtual-nodes': row(integer(1, 1024), {
    default: VIRTUAL_NODES,
    section: 'Groups and cluster',
    mutable: false,
    summary: 'Points of each node on the ring of slots; the same on all nodes.',
  }),
  'cluster-handoff': row(integer(0, 3600), {
    default: 60,
    section: 'Groups and cluster',
    mutable: false,
    summary:
      'Seconds during which a node that gains slots fetches their keys from the node that had them before, each when it is first asked for; 0: never.',
  }),
  'cluster-hot-rate': row(integer(0, 1_000_000_000), {
    default: 1000,
    section: 'Groups and cluster',
    mutable: true,
    summary:
      'Reads of one key a second, through other nodes than its owner, from which on it is hot: they may then keep copies of it for `cluster-hot-ttl`. 0: never.',
  }),
  'cluster-hot-ttl': row(integer(20, 2000), {
    default: 1000,
    section: 'Groups and cluster',
    mutable: true,
    summary:
      'Milliseconds for which another node may answer reads of a hot key with its copy. Changes are told at once; this is how old a copy may be where they do not arrive.',
  }),
  save: row(savePoints(), {
    default: [],
    section: 'Snapshots',
    mutable: true,
    summary:
      'Pairs of seconds and changes: a snapshot is written when so much time has gone by and so much has changed since the last; an empty value never, and then SHUTDOWN does not either.',
  }),
  dbfilename: row(text(plainName('dbfilename', 'filename')), {
    default: 'dump.ringtier',
    section: 'Snapshots',
    mutable: true,
    protected: true,
    summary:
      'The name of the snapshot, in `dir`: read at the start, written by SAVE, BGSAVE, SHUTDOWN and `save`.',
  }),
  'stop-writes-on-bgsave-error': row(yesNo(), {
    default: false,
    section: 'Snapshots',
    mutable: true,
    summary:
      'Refuses writes while there are save points and the last background save has failed; a cache rather goes on, so unlike in Redis it is off.',
  }),
  'shutdown-on-sigterm': row(flags(shutdownFlags(), checkShutdown), {
    default: ['default'],
    section: 'Snapshots',
    mutable: true,
    summary:
      'What SIGTERM does about the snapshot: `default` saves where there are save points; `save`, `nosave`; `force` ends although it failed.',
  }),
  'shutdown-on-sigint': row(flags(shutdownFlags(), checkShutdown), {
    default: ['default'],
    section: 'Snapshots',
    mutable: true,
    summary: 'The same for SIGINT.',
  }),
  'slowlog-log-slower-than': row(integer(-1, longMax), {
    default: 10_000,
    section: 'Process and logs',
    mutable: true,
    summary:
      'Commands that run for so many microseconds or more are kept for SLOWLOG; 0 keeps all, -1 none. Of 1,000 or more: not every run of a short command (GET and its like) amid a pipeline is timed, so one that was held up there may be missing.',
  }),
  'slowlog-max-len': row(integer(0, longMax), {
    default: 128,
    section: 'Process and logs',
    mutable: true,
    summary: 'Slow commands that are kept, the newest ones.',
  }),
  'latency-monitor-threshold': row(integer(0, longMax), {
    default: 0,
    section: 'Process and logs',
    mutable: true,
    summary:
      'What takes so many milliseconds or more is noted for LATENCY, by its kind; 0 notes nothing.',
  }),
  'latency-tracking': row(yesNo(), {
    default: true,
    section: 'Process and logs',
    mutable: true,
    summary:
      "Counts each command's runs by the time they take, for INFO latencystats and LATENCY HISTOGRAM.",
  }),
  'latency-tracking-info-percentiles': row(list(checkPercentiles), {
    default: ['50', '99', '99.9'],
    section: 'Process and logs',
    mutable: true,
    summary: 'The percentiles that INFO latencystats tells, 0 to 100.',
  }),
  loglevel: row(choice([...levels, 'nothing'], levels), {
    default: 'notice',
    section: 'Process and logs',
    mutable: true,
    summary: 'The least important messages that are logged.',
  }),
  logfile: row(text(), {
    default: '',
    section: 'Process and logs',
    mutable: false,
    summary:
      'The file that logs go to, as JSON; empty is standard output: lines to read on a terminal, else JSON.',
  }),
  dir: row(text(), {
    default: './',
    section: 'Process and logs',
    mutable: true,
    protected: true,
    resolve: (path) => resolvePath(path),
    summary: 'The working directory: relative paths of other directives start there.',
  }),
  pidfile: row(text(), {
    default: '',
    section: 'Process and logs',
    mutable: false,
    summary: 'A file that holds the process id while the server runs; empty writes none.',
  }),
  daemonize: row(yesNo(), {
    default: false,
    section: 'Process and logs',
    mutable: false,
    summary: 'Must be `no`: the server stays in the foreground.',
    refuse: (value) =>
      value
        ? 'the server stays in the foreground: leave going to the background to what starts it'
        : null,
  }),
  supervised: row(choice(['no', 'upstart', 'systemd', 'auto']), {
    default: 'no',
    section: 'Process and logs',
    mutable: false,
    summary: 'Must be `no` or `auto`: no supervisor is notified (for systemd use Type=simple).',
    refuse: (value) =>
      value === 'systemd' || value === 'upstart'
        ? `'${value}' waits for a message that is not sent: use Type=simple and supervised no`
        : null,
  }),
  'shutdown-timeout': row(integer(0, intMax), {
    default: 5,
    section: 'Process and logs',
    mutable: true,
    summary: 'Seconds that a shutdown waits for clients to take the replies they have been given.',
  }),
}

/** The share of the machine's memory that the default is. */
const memoryShare = 4

type MemoryLimits = Omit<MachineLimits, 'cores' | 'threadsMax'>

function resolveMemory(bytes: number, machine: MemoryLimits): number {
  const { memoryBytes, storeBytesMin, storeBytesMax } = machine
  if (bytes === 0) {
    return Math.max(storeBytesMin, Math.min(Math.floor(memoryBytes / memoryShare), storeBytesMax))
  }
  if (bytes < storeBytesMin) {
    throw new BadValue(`argument must be at least ${sizeText(storeBytesMin)} (${storeBytesMin})`)
  }
  if (bytes > storeBytesMax) {
    const hint =
      multiMemoryFrom > nodeMajor() ? `; Node.js ${multiMemoryFrom} and later can hold more` : ''
    throw new BadValue(`argument must be at most ${storeBytesMax} on this Node.js${hint}`)
  }
  return bytes
}

function resolveCeiling(
  bytes: number,
  { memoryBytes, storeBytesMax }: MachineLimits,
  { maxmemory }: { readonly maxmemory: number },
): number {
  if (bytes === 0) {
    const wanted = maxmemory > ceilingUsual ? memoryBytes : ceilingUsual
    return Math.max(maxmemory, Math.min(wanted, storeBytesMax))
  }
  if (bytes < maxmemory) {
    throw new BadValue(`argument must be at least maxmemory, which is ${sizeText(maxmemory)}`)
  }
  return resolveMemory(bytes, { memoryBytes, storeBytesMin: maxmemory, storeBytesMax })
}

/** The most that one arena of the store has: a second one is made only where it is wanted. */
const ceilingUsual = 2 * GB

/** Before it, Node has one WebAssembly memory a module, and so one arena a store. */
const multiMemoryFrom = 22

function nodeMajor(): number {
  return Number.parseInt(process.versions.node)
}

function checkBind(addresses: readonly string[]): string | null {
  return addresses.length > bindMax ? 'Too many bind addresses specified.' : null
}

function checkProtocols(words: string): string | null {
  return readProtocols(words) === null
    ? 'wants TLSv1.2, TLSv1.3 or both; older ones are not spoken'
    : null
}

type IgnoredRow = readonly [kind: Kind<unknown>, default_: string]

const count = (): Kind<number> => integer(0, intMax)
const anySize = (): Kind<number> => size(0, longMax)
const portNumber = (): Kind<number> => integer(0, 65535)

/** As a key in etcd, and so that the end of the range is one byte away. */
function checkEtcdPrefix(prefix: string): string | null {
  return /^[!-~]{1,255}$/.test(prefix) ? null : 'wants 1 to 255 printable characters'
}

const noLogFile = 'there is no append-only file; snapshots are what is written to disk'
const ownFormat = 'snapshots have a format of their own: always checksummed, never compressed'
const noReplicas =
  'there is no replication: a key has one node, and with copies 1 in its group the next one too'
const noTypes = 'there are only strings yet'
const noScripts = 'there are no scripts yet'
const noTuning = 'it tunes a part of Redis that is not here'
const noTls =
  'TLS has no port of its own and none of this: nodes speak it with tls-cluster, and clients may then, on the same port'
const noAcl = 'ACL users are not built yet; requirepass is'
const ownCluster =
  'the cluster is set up by cluster-self, cluster-secret, and cluster-peers, cluster-dns or cluster-etcd'
const noSyslog = 'logs go to standard output or to logfile'
const noProcess = 'the process is left as the system starts it'
const freedAtOnce = 'memory is given back at once and in small steps'

/** Each reason with the directives it stands for: kind, and Redis's default as CONFIG GET writes it. */
const ignoredByReason: readonly (readonly [string, Readonly<Record<string, IgnoredRow>>])[] = [
  [
    noLogFile,
    {
      appendonly: [yesNo(), 'no'],
      appendfilename: [text(plainName('appendfilename', 'filename')), 'appendonly.aof'],
      appenddirname: [text(plainName('appenddirname', 'dirname')), 'appendonlydir'],
      appendfsync: [choice(['everysec', 'always', 'no']), 'everysec'],
      'no-appendfsync-on-rewrite': [yesNo(), 'no'],
      'auto-aof-rewrite-percentage': [count(), '100'],
      'auto-aof-rewrite-min-size': [anySize(), '67108864'],
      'aof-load-truncated': [yesNo(), 'yes'],
      'aof-use-rdb-preamble': [yesNo(), 'yes'],
      'aof-rewrite-incremental-fsync': [yesNo(), 'yes'],
      'aof-timestamp-enabled': [yesNo(), 'no'],
      'aof-disable-auto-gc': [yesNo(), 'no'],
      aof_rewrite_cpulist: [text(), ''],
    },
  ],
  [
    ownFormat,
    {
      bgsave_cpulist: [text(), ''],
      rdbcompression: [yesNo(), 'yes'],
      rdbchecksum: [yesNo(), 'yes'],
      'rdb-save-incremental-fsync': [yesNo(), 'yes'],
      'rdb-del-sync-files': [yesNo(), 'no'],
      'sanitize-dump-payload': [choice(['no', 'yes', 'clients']), 'no'],
    },
  ],
  [
    noReplicas,
    {
      replicaof: [list(), ''],
      masteruser: [text(), ''],
      masterauth: [text(), ''],
      'replica-announced': [yesNo(), 'yes'],
      'replica-announce-ip': [text(), ''],
      'replica-announce-port': [portNumber(), '0'],
      'replica-ignore-disk-write-errors': [yesNo(), 'no'],
      'replica-ignore-maxmemory': [yesNo(), 'yes'],
      'replica-lazy-flush': [yesNo(), 'no'],
      'replica-priority': [count(), '100'],
      'replica-read-only': [yesNo(), 'yes'],
      'replica-serve-stale-data': [yesNo(), 'yes'],
      'repl-backlog-size': [size(1, longMax), '1048576'],
      'repl-backlog-ttl': [integer(0, longMax), '3600'],
      'repl-disable-tcp-nodelay': [yesNo(), 'no'],
      'repl-diskless-load': [choice(['disabled', 'on-empty-db', 'swapdb']), 'disabled'],
      'repl-diskless-sync': [yesNo(), 'yes'],
      'repl-diskless-sync-delay': [count(), '5'],
      'repl-diskless-sync-max-replicas': [count(), '0'],
      'repl-ping-replica-period': [integer(1, intMax), '10'],
      'repl-timeout': [integer(1, intMax), '60'],
      'min-replicas-to-write': [count(), '0'],
      'min-replicas-max-lag': [count(), '10'],
      'propagation-error-behavior': [choice(['ignore', 'panic', 'panic-on-replicas']), 'ignore'],
    },
  ],
  [
    noTypes,
    {
      'hash-max-listpack-entries': [integer(0, longMax), '512'],
      'hash-max-listpack-value': [anySize(), '64'],
      'hll-sparse-max-bytes': [anySize(), '3000'],
      'list-compress-depth': [count(), '0'],
      'list-max-listpack-size': [integer(-intMax - 1, intMax), '-2'],
      'set-max-intset-entries': [integer(0, longMax), '512'],
      'stream-node-max-bytes': [anySize(), '4096'],
      'stream-node-max-entries': [integer(0, longMax), '100'],
      'zset-max-listpack-entries': [integer(0, longMax), '128'],
      'zset-max-listpack-value': [anySize(), '64'],
    },
  ],
  [
    noScripts,
    {
      'busy-reply-threshold': [integer(0, longMax), '5000'],
      'enable-module-command': [choice(['no', 'yes', 'local']), 'no'],
    },
  ],
  [
    noTuning,
    {
      hz: [clamped(count(), 1, 500), '10'],
      'dynamic-hz': [yesNo(), 'yes'],
      activedefrag: [yesNo(), 'no'],
      'active-defrag-cycle-max': [integer(1, 99), '25'],
      'active-defrag-cycle-min': [integer(1, 99), '1'],
      'active-defrag-ignore-bytes': [size(1, longMax), '104857600'],
      'active-defrag-max-scan-fields': [integer(1, longMax), '1000'],
      'active-defrag-threshold-lower': [integer(0, 1000), '10'],
      'active-defrag-threshold-upper': [integer(0, 1000), '100'],
      activerehashing: [yesNo(), 'yes'],
      'io-threads': [integer(1, 128), '1'],
      'io-threads-do-reads': [yesNo(), 'no'],
      'jemalloc-bg-thread': [yesNo(), 'yes'],
      'lfu-decay-time': [count(), '1'],
      'lfu-log-factor': [count(), '10'],
      'maxmemory-clients': [sizeOrPercent(), '0'],
      'maxmemory-eviction-tenacity': [integer(0, 100), '10'],
      'maxmemory-samples': [integer(1, intMax), '5'],
    },
  ],
  [
    freedAtOnce,
    {
      'lazyfree-lazy-eviction': [yesNo(), 'no'],
      'lazyfree-lazy-expire': [yesNo(), 'no'],
      'lazyfree-lazy-server-del': [yesNo(), 'no'],
      'lazyfree-lazy-user-del': [yesNo(), 'no'],
      'lazyfree-lazy-user-flush': [yesNo(), 'no'],
    },
  ],
  [
    noAcl,
    {
      'acl-pubsub-default': [choice(['allchannels', 'resetchannels']), 'resetchannels'],
      aclfile: [text(), ''],
      'acllog-max-len': [integer(0, longMax), '128'],
    },
  ],
  [
    ownCluster,
    {
      'cluster-enabled': [yesNo(), 'no'],
      'cluster-allow-pubsubshard-when-down': [yesNo(), 'yes'],
      'cluster-allow-reads-when-down': [yesNo(), 'no'],
      'cluster-allow-replica-migration': [yesNo(), 'yes'],
      'cluster-announce-bus-port': [portNumber(), '0'],
      'cluster-announce-hostname': [text(), ''],
      'cluster-announce-ip': [text(), ''],
      'cluster-announce-port': [portNumber(), '0'],
      'cluster-announce-tls-port': [portNumber(), '0'],
      'cluster-config-file': [text(), 'nodes.conf'],
      'cluster-link-sendbuf-limit': [anySize(), '0'],
      'cluster-migration-barrier': [count(), '1'],
      'cluster-port': [portNumber(), '0'],
      'cluster-preferred-endpoint-type': [choice(['ip', 'hostname', 'unknown-endpoint']), 'ip'],
      'cluster-replica-no-failover': [yesNo(), 'no'],
      'cluster-replica-validity-factor': [count(), '10'],
      'cluster-require-full-coverage': [yesNo(), 'yes'],
    },
  ],
  [
    noTls,
    {
      'tls-port': [portNumber(), '0'],
      'tls-replication': [yesNo(), 'no'],
      'tls-auth-clients': [choice(['no', 'yes', 'optional']), 'yes'],
      'tls-ca-cert-dir': [text(), ''],
      'tls-ciphers': [text(), ''],
      'tls-ciphersuites': [text(), ''],
      'tls-client-cert-file': [text(), ''],
      'tls-client-key-file': [text(), ''],
      'tls-client-key-file-pass': [text(), ''],
      'tls-dh-params-file': [text(), ''],
      'tls-prefer-server-ciphers': [yesNo(), 'no'],
      'tls-session-cache-size': [count(), '20480'],
      'tls-session-cache-timeout': [count(), '300'],
      'tls-session-caching': [yesNo(), 'yes'],
    },
  ],
  [
    noSyslog,
    {
      'crash-log-enabled': [yesNo(), 'yes'],
      'crash-memcheck-enabled': [yesNo(), 'yes'],
      'syslog-enabled': [yesNo(), 'no'],
      'syslog-facility': [choice(syslogFacilities()), 'local0'],
      'syslog-ident': [text(), 'redis'],
    },
  ],
  [
    noProcess,
    {
      'always-show-logo': [yesNo(), 'no'],
      'bind-source-addr': [text(), ''],
      bio_cpulist: [text(), ''],
      'disable-thp': [yesNo(), 'yes'],
      'ignore-warnings': [text(), ''],
      'oom-score-adj': [choice(['no', 'yes', 'relative', 'absolute']), 'no'],
      'oom-score-adj-values': [list(checkOomScores), '0 200 800'],
      'proc-title-template': [text(), '{title} {listen-addr} {server-mode}'],
      server_cpulist: [text(), ''],
      'set-proc-title': [yesNo(), 'yes'],
      'socket-mark-id': [integer(0, uintMax), '0'],
      unixsocket: [text(), ''],
      unixsocketperm: [text(checkOctal), '0'],
    },
  ],
]

/** Those that CONFIG SET of Redis refuses to change. */
const ignoredImmutable: ReadonlySet<string> = new Set(
  (
    'aclfile always-show-logo aof_rewrite_cpulist appenddirname appendfilename bgsave_cpulist ' +
    'bio_cpulist cluster-config-file cluster-enabled cluster-port disable-thp ' +
    'enable-module-command io-threads io-threads-do-reads rdbchecksum ' +
    'replicaof server_cpulist set-proc-title socket-mark-id syslog-enabled syslog-facility ' +
    'syslog-ident unixsocket unixsocketperm'
  ).split(' '),
)

/** Redis's older name -> its name now. */
const ignoredAliases: Readonly<Record<string, string>> = {
  'cluster-slave-no-failover': 'cluster-replica-no-failover',
  'cluster-slave-validity-factor': 'cluster-replica-validity-factor',
  'hash-max-ziplist-entries': 'hash-max-listpack-entries',
  'hash-max-ziplist-value': 'hash-max-listpack-value',
  'list-max-ziplist-size': 'list-max-listpack-size',
  'lua-time-limit': 'busy-reply-threshold',
  'min-slaves-max-lag': 'min-replicas-max-lag',
  'min-slaves-to-write': 'min-replicas-to-write',
  'repl-ping-slave-period': 'repl-ping-replica-period',
  'slave-announce-ip': 'replica-announce-ip',
  'slave-announce-port': 'replica-announce-port',
  'slave-ignore-maxmemory': 'replica-ignore-maxmemory',
  'slave-lazy-flush': 'replica-lazy-flush',
  'slave-priority': 'replica-priority',
  'slave-read-only': 'replica-read-only',
  'slave-serve-stale-data': 'replica-serve-stale-data',
  slaveof: 'replicaof',
  'zset-max-ziplist-entries': 'zset-max-listpack-entries',
  'zset-max-ziplist-value': 'zset-max-listpack-value',
}

/**
 * Values that must not be ignored: who sets them counts on what they do, for safety or to be
 * reachable at all.
 */
const refusals: Readonly<Record<string, (value: string) => string | null>> = {
  aclfile: (value) => (value === '' ? null : `${noAcl}: its rules would not be in force`),
  'tls-port': (value) => (value === '0' ? null : noTls),
  'tls-replication': (value) => (value === 'no' ? null : noTls),
  unixsocket: (value) => (value === '' ? null : 'Unix sockets are not built yet'),
}

/** Lines of a redis.conf that are no directives with a value, and why each is refused. */
export const refusedLines: Readonly<Record<string, string>> = {
  user: `${noAcl}: its rules would not be in force`,
  'rename-command': 'renaming commands is not built yet: the command would stay open by its name',
  loadmodule: 'there are no modules',
  sentinel: 'there is no Sentinel mode',
}

export interface IgnoredDirective {
  readonly name: string
  readonly reason: string
  readonly row: Row<unknown>
}

/** The directives of Redis that have no effect here. */
export const ignored: readonly IgnoredDirective[] = ignoredByReason.flatMap(([reason, rows]) =>
  Object.entries(rows).map(([name, [kind, given]]) => {
    const initial = kind.parse(kind.takes === 'list' ? given.split(' ') : [given], [], '')
    const refuse = refusals[name]
    return {
      name,
      reason,
      row: {
        kind,
        default: initial,
        section: 'Process and logs',
        summary: '',
        mutable: !ignoredImmutable.has(name),
        aliases: Object.keys(ignoredAliases).filter((alias) => ignoredAliases[alias] === name),
        ...(refuse === undefined ? {} : { refuse: (value: unknown) => refuse(kind.format(value)) }),
        notice: (value: unknown) =>
          kind.format(value) === given ? null : `has no effect: ${reason}`,
      },
    }
  }),
)

function shutdownFlags(): string[] {
  return ['default', 'save', 'nosave', 'now', 'force']
}

function checkShutdown(chosen: readonly string[]): string | null {
  return chosen.includes('save') && chosen.includes('nosave')
    ? "shutdown options SAVE and NOSAVE can't be used simultaneously"
    : null
}

function syslogFacilities(): string[] {
  return ['user', ...Array.from({ length: 8 }, (_, i) => `local${i}`)]
}

/** Refuses paths, in Redis's words. */
function plainName(directive: string, what: 'filename' | 'dirname') {
  return (name: string): string | null =>
    name.includes('/') ? `${directive} can't be a path, just a ${what}` : null
}

function checkOctal(value: string): string | null {
  return /^[0-7]{1,3}$/.test(value) ? null : "argument couldn't be parsed into an integer"
}

function checkOomScores(values: readonly string[]): string | null {
  if (values.length !== 3) return 'wrong number of arguments'
  const good = values.every((value) => /^-?\d{1,4}$/.test(value) && Math.abs(Number(value)) <= 2000)
  return good ? null : 'Invalid oom-score-adj-values, elements must be between -2000 and 2000.'
}

function checkPercentiles(values: readonly string[]): string | null {
  if (values.some((value) => !/^-?\d+(\.\d+)?$/.test(value))) {
    return 'Invalid latency-tracking-info-percentiles parameters'
  }
  return values.some((value) => Number(value) < 0 || Number(value) > 100)
    ? 'latency-tracking-info-percentiles parameters should sit between [0.0,100.0]'
    : null
}
