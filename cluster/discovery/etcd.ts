/**
 * Members from etcd 3.4 or newer, over its JSON gateway.
 *
 *     /ringtier/rt-0:6379  =  rt-0:6379*1     under a lease of this node, which it keeps alive
 *     /ringtier/rt-1:6379  =  rt-1:6379*2     ... of another one
 *
 * Each node writes its own key, and reads all of them: every few seconds, and at once when its watch
 * tells that something has changed. So a watch that ends, or hangs, costs no more than time.
 *
 * etcd tells who has come. Whether a node is there the heartbeats know better: one whose key is gone
 * stays a member for as long as it answers. So neither an etcd that lost its data nor a node that
 * cannot reach it takes anybody out of the cluster; and while etcd does not answer the last list counts.
 *
 * There is no package for it: etcd3 brings gRPC with timers and retries of its own, and depends on
 * protobufjs, which runs a script when it is installed. Source: etcd's api_grpc_gateway.md.
 */
import { Agent, type Dispatcher } from 'undici'
import { type ClusterNode, MemberListError, parseNode } from '../members/membership.ts'
import type { Clock, Timer } from '../world.ts'
import { type Discovery, type DiscoveryEvents, Reports } from './discovery.ts'
import type { EtcdServers } from './etcd-servers.ts'

export interface EtcdOptions extends EtcdServers {
  readonly clock: Clock
  readonly self: ClusterNode
  readonly prefix: string
  readonly isUp: (name: string) => boolean
  readonly leaseSeconds?: number
}

/** A node that died without a word is in etcd for so long. */
const LEASE_SECONDS = 10
/** In leases: three may fail before a lease ends. */
const PERIOD_LEASES = 0.3
const CALL_MS = 2500
/** Whoever waits for the end of this node does not wait longer for etcd. */
const CLOSE_MS = 1000
/** However often the watch tells of changes. */
const READ_GAP_MS = 50
const ANSWER_BYTES_MAX = 1024 * 1024
/** More are not read. */
const NODES_MAX = 256

/** etcd says no, or nothing sensible. */
class EtcdError extends Error {
  override readonly name = 'EtcdError'
  readonly code = 'ETCD'
}

/** See the top of the file. */
export class EtcdDiscovery implements Discovery {
  readonly #options: EtcdOptions
  readonly #events: DiscoveryEvents
  readonly #reports: Reports
  readonly #leaseSeconds: number
  readonly #agent = new Agent({
    connect: { timeout: CALL_MS },
    headersTimeout: CALL_MS,
    bodyTimeout: CALL_MS,
  })
  /** Which of the servers is asked. */
  #server = 0
  #token = ''
  #lease: string | null = null
  #registered: readonly ClusterNode[] = []
  /** As told last. */
  #members: readonly ClusterNode[] = []
  #watch: AbortController | null = null
  #timer: Timer | null = null
  #readSoon: Timer | null = null
  #isBusy = false
  #closed = false

  constructor(options: EtcdOptions, events: DiscoveryEvents) {
    this.#options = options
    this.#events = events
    this.#reports = new Reports(events.report)
    this.#leaseSeconds = options.leaseSeconds ?? LEASE_SECONDS
  }

  async start(): Promise<void> {
    const { clock } = this.#options
    const periodMs = this.#leaseSeconds * 1000 * PERIOD_LEASES
    this.#timer = clock.every(periodMs, () => void this.#round())
    await this.#round()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    this.#readSoon?.cancel()
    this.#watch?.abort()
    const lease = this.#lease
    const { clock } = this.#options
    await new Promise<void>((resolve) => {
      const patience = clock.after(CLOSE_MS, resolve)
      const revoked = lease === null ? Promise.resolve() : this.#call('lease/revoke', { ID: lease })
      // Without an answer the lease ends by itself.
      void revoked
        .catch(() => {})
        .finally(() => {
          patience.cancel()
          resolve()
        })
    })
    await this.#agent.destroy()
  }

  /** Keeps this node's key there, reads all, and sees to the watch. */
  async #round(): Promise<void> {
    if (this.#isBusy || this.#closed) return
    this.#isBusy = true
    try {
      await this.#logIn()
      await this.#keepLease()
      const names = await this.#read()
      if (!names.has(this.#options.self.name)) await this.#put()
      if (this.#watch === null) void this.#follow()
      this.#reports.say(null)
    } catch (error) {
      if (!this.#closed) this.#failed(error as Error)
    } finally {
      this.#isBusy = false
      if (!this.#closed) this.#publish()
    }
  }

  #failed({ message }: Error): void {
    const { origins } = this.#options
    const origin = origins[this.#server % origins.length]!
    this.#reports.say(`cluster-etcd: ${origin}: ${message}: the last list is kept`)
    this.#server++
    this.#token = ''
    this.#watch?.abort()
  }

  async #logIn(): Promise<void> {
    const { login } = this.#options
    if (login === null || this.#token !== '') return
    const { token } = await this.#call('auth/authenticate', { ...login })
    if (typeof token !== 'string') throw new EtcdError('it gives no token')
    this.#token = token
  }

  async #keepLease(): Promise<void> {
    if (this.#lease !== null) {
      const { result } = await this.#call('lease/keepalive', { ID: this.#lease })
      const { TTL } = (result ?? {}) as { TTL?: unknown }
      if (typeof TTL === 'string' && Number(TTL) > 0) return
      this.#lease = null
    }
    const { ID } = await this.#call('lease/grant', { TTL: this.#leaseSeconds })
    if (typeof ID !== 'string') throw new EtcdError('it grants no lease')
    this.#lease = ID
    await this.#put()
  }

  async #put(): Promise<void> {
    const { prefix, self } = this.#options
    const value = `${self.name}*${self.weight}`
    await this.#call('kv/put', {
      key: base64(prefix + self.name),
      value: base64(value),
      lease: this.#lease,
    })
  }

  /** Takes in who has a key. Returns their names. */
  async #read(): Promise<ReadonlySet<string>> {
    const { prefix } = this.#options
    const answer = await this.#call('kv/range', { ...rangeOf(prefix), limit: NODES_MAX })
    const kvs = Array.isArray(answer.kvs) ? (answer.kvs as readonly unknown[]) : []
    const nodes: ClusterNode[] = []
    for (const kv of kvs) {
      const { key, value } = (kv ?? {}) as { key?: unknown; value?: unknown }
      if (typeof key !== 'string' || typeof value !== 'string') continue
      const node = nodeOf(textOf(value))
      // Somebody else's key, or one of a later version.
      if (node === null || textOf(key) !== prefix + node.name) continue
      nodes.push(node)
    }
    this.#registered = nodes
    return new Set(nodes.map(({ name }) => name))
  }

  #publish(): void {
    const registered = new Set(this.#registered.map(({ name }) => name))
    const { isUp } = this.#options
    const answering = this.#members.filter(({ name }) => !registered.has(name) && isUp(name))
    this.#members = [...this.#registered, ...answering]
    this.#events.found(this.#members)
  }

  /** Reads again whenever etcd tells of a change. Ends when the stream does; the next round begins another. */
  async #follow(): Promise<void> {
    const watch = new AbortController()
    this.#watch = watch
    try {
      const body = { create_request: rangeOf(this.#options.prefix) }
      const response = await this.#post('watch', body, { signal: watch.signal, bodyTimeout: 0 })
      for await (const _ of response.body) this.#readLater()
    } catch {
      // The next round finds out what is wrong, and tells it.
    } finally {
      this.#watch = null
    }
  }

  #readLater(): void {
    if (this.#readSoon !== null || this.#closed) return
    this.#readSoon = this.#options.clock.after(READ_GAP_MS, () => {
      this.#readSoon = null
      // What was read meanwhile may be older.
      if (this.#isBusy) this.#readLater()
      else void this.#round()
    })
  }

  async #call(path: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    const response = await this.#post(path, body)
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES_MAX) throw new EtcdError('its answer is too long')
      chunks.push(chunk)
    }
    const text = Buffer.concat(chunks).toString()
    const answer = objectOf(text)
    if (response.statusCode === 200 && answer !== null) return answer
    const { error } = answer ?? {}
    const why = typeof error === 'string' ? error.slice(0, 200) : `status ${response.statusCode}`
    throw new EtcdError(why)
  }

  #post(
    path: string,
    body: object,
    options: Partial<Dispatcher.RequestOptions> = {},
  ): Promise<Dispatcher.ResponseData> {
    const { origins } = this.#options
    return this.#agent.request({
      ...{ origin: origins[this.#server % origins.length]!, path: `/v3/${path}`, method: 'POST' },
      headers: {
        'content-type': 'application/json',
        ...(this.#token === '' ? {} : { authorization: this.#token }),
      },
      body: JSON.stringify(body),
      ...options,
    })
  }
}

/** All keys that begin so: up to the prefix with its last byte one higher. */
function rangeOf(prefix: string): { key: string; range_end: string } {
  const end = Buffer.from(prefix)
  end[end.length - 1]!++
  return { key: base64(prefix), range_end: end.toString('base64') }
}

function nodeOf(text: string): ClusterNode | null {
  try {
    return parseNode(text, 'cluster-etcd')
  } catch (error) {
    if (error instanceof MemberListError) return null
    throw error
  }
}

function objectOf(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? (value as Readonly<Record<string, unknown>> | null) : null
  } catch {
    return null
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function textOf(base64Text: string): string {
  return Buffer.from(base64Text, 'base64').toString()
}
