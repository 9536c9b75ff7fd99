import type { Cluster, DNSLookupFunction, Redis, RedisOptions } from 'ioredis'
import {
  originProtocol,
  originRedis,
  originReset,
  originTooLarge,
  originUnreachable,
} from '../../protocol/errors.ts'
import { ReplyGate } from '../peers/reply-gate.ts'
import type { Clock } from '../world.ts'
import { withinDeadline } from './deadline.ts'
import {
  closingError,
  type Loaded,
  type Loader,
  type LoadRequest,
  OriginError,
  type OriginGroup,
  type OriginRequest,
  type RedisTarget,
  type WriteRequest,
} from './loader.ts'
import { codeOf, connectionErrorOf } from './socket-error.ts'

/**
 * Loads values from another Redis or a Redis Cluster, by ioredis: the way to put ringtier in front of
 * a Redis that is in use, which then fills it key by key. It is asked for the key itself.
 *
 * **A load** is GETRANGE and PTTL in one round trip. GETRANGE and not GET, because it is told how
 * much to send: max-body and one byte more, by which a longer value is known. STRLEN before GET would
 * be a second round trip, and the value may have grown in between; and a reply that has begun can
 * only be stopped by closing the connection, which all loads of the group share. What GETRANGE
 * cannot say is whether an empty reply is an empty value or none, so those that exist by PTTL are
 * asked for once more, by GET.
 *
 * MULTI around the two would spare that. But not every proxy has it, and inside of it another
 * ringtier would load nothing. So another client's write may fall between the two commands; the
 * value then has the later one's TTL, and is as old as any value is that was read before a write.
 *
 * **Connections.** Each group has one (in a cluster one a node), made by its first load. Nothing
 * queues for one that is lost: those who wait on it hear of it, and the next load makes a new one at
 * once. One that hangs is given up: when a load's deadline is over and nothing has come for half of
 * it, or when too many replies are owed to those who have left, behind which all others would wait.
 *
 * **A reply that is longer than what was asked for** is no Redis's. ioredis would take all of it, so each
 * connection is closed as soon as a reply says that it will be (cluster/peers/reply-gate.ts).
 *
 * **The password** is in no error: those of ioredis carry the arguments of their command, and some
 * servers repeat them, so what becomes the cause for the log is the error's first word, and the whole
 * of it only from a command that has no secrets.
 */
export class RedisLoader implements Loader {
  readonly #package: IoRedis
  readonly #clock: Now
  /** By the group's name. */
  readonly #connections = new Map<string, Connection>()
  #closed = false

  private constructor(ioredis: IoRedis, clock: Now) {
    this.#package = ioredis
    this.#clock = clock
  }

  /** Loads ioredis, which who has no such origin does without. */
  static async open({ clock }: { readonly clock: Now }): Promise<RedisLoader> {
    return new RedisLoader(await import('ioredis'), clock)
  }

  async load(request: LoadRequest): Promise<Loaded> {
    const { group } = request
    const { value, ttlMs } = await this.#ask(request, (client) => read(client, request))
    if (value === null) return { value }
    if (value.length > group.bodyBytesMax) {
      throw new OriginError('too-large', originTooLarge(group.name, group.bodyBytesMax))
    }
    // Without a TTL the group's rules say how long.
    if (ttlMs === NO_EXPIRY || !group.honoursCacheControl) return { value }
    return { value, freshMs: Math.max(0, ttlMs) }
  }

  async write(request: WriteRequest): Promise<void> {
    const { value, ttlMs } = request
    const key = bufferOf(request.key)
    await this.#ask<unknown>(request, (client) => {
      if (value === null) return client.del(key)
      if (ttlMs === 0) return client.set(key, bufferOf(value))
      return client.set(key, bufferOf(value), 'PX', Math.max(1, Math.ceil(ttlMs)))
    })
  }

  close(): Promise<void> {
    this.#closed = true
    for (const connection of this.#connections.values()) connection.end()
    this.#connections.clear()
    return Promise.resolve()
  }

  async #ask<T>(request: OriginRequest, command: (client: Client) => Promise<T>): Promise<T> {
    const { group, signal } = request
    const connection = this.#connection(group)
    const askedAt = this.#clock.now()
    try {
      await withinDeadline(request, connection.ready)
      return await withinDeadline(request, connection.send(command))
    } catch (error) {
      if (signal.aborted && this.#hangs(connection, group, askedAt)) connection.end()
      if (error instanceof OriginError) throw error
      throw this.#closed ? closingError(group) : connection.errorOf(error, group)
    }
  }

  /** Is there nothing more to be hoped for on it? */
  #hangs(connection: Connection, group: OriginGroup, askedAt: number): boolean {
    const silentMs = this.#clock.now() - Math.max(askedAt, connection.heardAt)
    return silentMs >= group.timeoutMs / 2 || connection.owed > OWED_FACTOR * group.concurrency
  }

  #connection(group: OriginGroup): Connection {
    if (this.#closed) throw closingError(group)
    const existing = this.#connections.get(group.name)
    if (existing !== undefined && !existing.ended) return existing
    if (group.address.kind !== 'redis') throw new TypeError(`group ${group.name} has no Redis`)
    const client = connect(this.#package, group, group.address)
    const connection = new Connection(client, this.#clock, group.bodyBytesMax)
    this.#connections.set(group.name, connection)
    return connection
  }
}

type IoRedis = Pick<typeof import('ioredis'), 'Redis' | 'Cluster'>
type Client = Redis | Cluster
type Now = Pick<Clock, 'now'>

/** PTTL of a key that stays until it is removed, and of none. */
const NO_EXPIRY = -1
const NO_KEY = -2

/** Replies that may be owed, the abandoned ones included, as a multiple of `concurrency`. */
const OWED_FACTOR = 2

/** For a connection that nobody waits for any more; deadlines are sooner. */
const CONNECT_MS_MAX = 60_000

/** A node that redirects more often is not at one with the others. */
const REDIRECTIONS_MAX = 5

interface Read {
  /** Up to one byte more than may be taken; null: there is no such key. */
  readonly value: Buffer | null
  readonly ttlMs: number
}

async function read(client: Client, { group, key }: LoadRequest): Promise<Read> {
  const name = bufferOf(key)
  const [value, ttlMs] = await Promise.all([
    client.getrangeBuffer(name, 0, group.bodyBytesMax),
    client.pttl(name),
  ])
  const read = checked(group, value, ttlMs)
  if (read.value?.length !== 0) return read
  if (ttlMs === NO_KEY) return { value: null, ttlMs }
  const [again, ttlAgainMs] = await Promise.all([client.getBuffer(name), client.pttl(name)])
  return checked(group, again, ttlAgainMs)
}

/** ioredis takes any type of reply to any command. */
function checked({ name }: OriginGroup, value: unknown, ttlMs: unknown): Read {
  const isValue = value === null || Buffer.isBuffer(value)
  if (isValue && typeof ttlMs === 'number') return { value, ttlMs }
  throw new OriginError('protocol', originProtocol(name, 'RESP'))
}

/** The same bytes: ioredis takes no other kind of array. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Connects when told to, and never again by itself. */
function connect({ Redis, Cluster }: IoRedis, group: OriginGroup, target: RedisTarget): Client {
  const { hosts, tls, db } = target
  const host = hosts[0]!.host
  const options = {
    ...(target.username === null ? {} : { username: target.username }),
    ...(target.password === null ? {} : { password: target.password }),
    // Of a cluster's nodes each has a name of its own.
    ...(tls ? { tls: target.cluster ? {} : serverName(host) } : {}),
    // HELLO is one more thing that old servers and proxies do not know.
    protocol: 2,
    connectTimeout: CONNECT_MS_MAX,
    connectionName: `ringtier:${group.name}`,
    disableClientInfo: true,
    // A server that is loading says so to each command.
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    disconnectTimeout: 0,
    lazyConnect: true,
  } as const satisfies RedisOptions
  if (!target.cluster) {
    const { port } = hosts[0]!
    const alone = { host, port, db, retryStrategy: null, enableOfflineQueue: false }
    return new Redis({ ...options, ...alone })
  }
  return new Cluster([...hosts], {
    redisOptions: options,
    lazyConnect: true,
    clusterRetryStrategy: null,
    slotsRefreshTimeout: group.timeoutMs,
    maxRedirections: REDIRECTIONS_MAX,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    // With TLS the name is what the certificate is for, so the nodes keep theirs.
    ...(tls ? { dnsLookup: keepName } : {}),
  })
}

const keepName: DNSLookupFunction = (name, done) => done(null, name)

/** For the certificate; an address is none. */
function serverName(host: string): { readonly servername?: string } {
  return /^[\d.]+$|:/.test(host) ? {} : { servername: host }
}

/** One client of ioredis from its first command to its end. */
class Connection {
  readonly ready: Promise<void>
  /** When the last answer came, or it began. */
  heardAt: number
  /** Commands sent and not answered. */
  owed = 0
  readonly #client: Client
  readonly #clock: Now
  /** What ioredis has said went wrong; the errors of its commands do not. */
  #failure: unknown = null
  /** It brought what no Redis answers. */
  #isNoRedis = false
  #isReady = false
  #ended = false

  constructor(client: Client, clock: Now, bodyBytesMax: number) {
    this.#client = client
    this.#clock = clock
    const bytesMax = Math.max(bodyBytesMax + FRAME_BYTES_MAX, OTHER_BYTES_MAX)
    if ('nodes' in client) client.on('+node', (node: Redis) => this.#guard(node, bytesMax))
    else this.#guard(client, bytesMax)
    this.heardAt = clock.now()
    client.on('error', (error: Error & { readonly lastNodeError?: unknown }) => {
      this.#failure = error.lastNodeError ?? error
    })
    client.on('node error', (error: unknown) => (this.#failure = error))
    client.on('end', () => (this.#ended = true))
    this.ready = this.#connect()
    // Who waits hears of it; that nobody may wait is no fault.
    this.ready.catch(() => this.end())
  }

  /** It takes no more commands. */
  get ended(): boolean {
    return this.#ended || this.#client.status === 'end' || this.#client.status === 'close'
  }

  async send<T>(command: (client: Client) => Promise<T>): Promise<T> {
    this.owed++
    try {
      const reply = await command(this.#client)
      this.#failure = null
      return reply
    } finally {
      this.owed--
      this.heardAt = this.#clock.now()
    }
  }

  /** Those who wait hear of it. */
  end(): void {
    this.#ended = true
    this.#client.disconnect()
  }

  /** What the error of a command, or of connecting, means. */
  errorOf(error: unknown, { name }: OriginGroup): OriginError {
    const cause = isReply(error) || this.#failure === null ? error : this.#failure
    if (this.#isNoRedis) {
      const why = withoutSecrets(cause, codeOf(cause))
      return new OriginError('protocol', originProtocol(name, 'RESP'), why)
    }
    if (isReply(cause)) {
      const code = /^[A-Z][A-Z0-9]*/.exec(cause.message)?.[0] ?? 'ERR'
      return new OriginError('redis', originRedis(name, code), withoutSecrets(cause, code), code)
    }
    const why = withoutSecrets(cause, codeOf(cause))
    if (NO_RESP.test(why.message)) {
      return new OriginError('protocol', originProtocol(name, 'RESP'), why)
    }
    // Once it stood, whatever became of it is that it was lost.
    if (this.#isReady) return new OriginError('reset', originReset(name), why)
    return (
      connectionErrorOf(cause, name) ??
      new OriginError('unreachable', originUnreachable(name, CLOSED), why, CLOSED)
    )
  }

  /** Closes a connection that brings a longer reply than any may be, or no reply. */
  #guard(client: Redis, bytesMax: number): void {
    client.on('connect', () => {
      const { stream } = client
      const gate = new ReplyGate({ bytesMax, depthMax: DEPTH_MAX })
      stream.prependListener('data', (chunk: Buffer) => {
        if (gate.failure !== null) return
        gate.scan(chunk)
        gate.forget()
        if (gate.failure === null) return
        this.#isNoRedis = true
        stream.destroy(new Error(gate.failure))
      })
    })
  }

  async #connect(): Promise<void> {
    const client = this.#client
    // A cluster that is not well ends without a word to who connects.
    const ended = new Promise<never>((_, reject) => {
      client.once('end', () => reject(new Error('the connection was closed')))
    })
    await Promise.race([client.connect(), ended])
    // A database that cannot be selected does not keep ioredis from reading another one.
    if (isReply(this.#failure)) throw this.#failure
    this.#failure = null
    this.#isReady = true
  }
}

/** Of a bulk string's length and line ends, and the one byte more that is asked for. */
const FRAME_BYTES_MAX = 32
/** Replies to what ioredis asks: CLUSTER SLOTS of a thousand nodes, and how deep its arrays are. */
const OTHER_BYTES_MAX = 1_048_576
const DEPTH_MAX = 8

/** In the place of a system's code, where a connection is closed before it stands. */
const CLOSED = 'closed'
/** ioredis's word for bytes that are no reply; it has no code of its own. */
const NO_RESP = /Unknown RESP type|Please report this/

interface ReplyError extends Error {
  readonly command?: { readonly name: string }
}

/** Is it the server that says so? */
function isReply(error: unknown): error is ReplyError {
  return error instanceof Error && error.name === 'ReplyError'
}

/** Commands of a load and of a write: their arguments are keys and values. */
const NO_SECRETS: ReadonlySet<string> = new Set(['getrange', 'get', 'pttl', 'set', 'del', 'select'])

/** For the log. The error itself has the command's arguments. */
function withoutSecrets(error: unknown, code: string): Error {
  const { command } = error as ReplyError
  const isHarmless = !isReply(error) || NO_SECRETS.has(command?.name.toLowerCase() ?? '')
  return new Error(isHarmless ? String(error) : code)
}
