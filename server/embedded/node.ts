/*
 * A node inside a program: `import { createNode } from 'ringtier'`.
 *
 * Each program of a cluster is a node. It has a whole server (server.ts), with one thread, a listener
 * and links to the others, whose groups load by functions of the program:
 *
 *     program A: users.get('42') ──> routing ──> link ──> program B, which owns user:42
 *                                                            └─> lease, load(), store
 *     redis-cli to A: GET user:42 ──> the same way
 *
 * (groupcache's design: Fitzpatrick, 2013.) A group's keys are the same `group` line on all nodes, which
 * are fixed when the server starts; so groups are made before `start`, and none after: a program that
 * made one later would have answered "there is none" for its keys until then.
 *
 * The server's code is imported by `start`: who only wants a cache does not pay for it.
 */
import type { Group } from '../../cluster/groups/group.ts'
import type { MemberState } from '../../cluster/members/membership.ts'
import type { Loader } from '../../cluster/origin/loader.ts'
import { Patience } from '../../cluster/origin/patience.ts'
import { PeerError, type PeerValue } from '../../cluster/peers/replies.ts'
import { NodeStateError } from './errors.ts'
import type { GroupOptions } from './group.ts'
import { GROUPS_MAX, optionsOf } from './groups.ts'
import { checkTag, type Load, Source, SOURCE_OPTION_NAMES } from './load.ts'
import { errorOf, NodeGroup, type NodeGroupHost } from './node-group.ts'
import { type NodeOptions, nodeConfig } from './node-options.ts'
import { groupOf } from './rules.ts'
import { reportBreaker } from '../loads/failures.ts'
import type { ServerWorld } from '../snapshots/files.ts'
import type { Log } from '../log.ts'
import type { OwnClient } from '../clients/own-client.ts'
import { inOurWords } from '../clients/passed.ts'
import type { Server } from '../server.ts'
import { createSystemWorld, formatTime } from '../system.ts'

/** A node of the cluster, as this one sees it. */
export interface NodeMember {
  /** `host:port` */
  readonly name: string
  readonly isSelf: boolean
  /**
   * 'suspect': it is not known yet, or has missed signs of life; 'leaving': it is about to end, others have
   * its keys; 'down': it does not answer, others have its keys.
   */
  readonly state: MemberState
}

/**
 * Makes a node, which serves after `start`.
 * @throws {TypeError} an option has the wrong type, there is none of this name, or one is missing
 * @throws {RangeError} an option is out of its limits
 */
export function createNode(options: NodeOptions = {}): CacheNode {
  return new CacheNode(options, {
    ...createSystemWorld(),
    listen: (server) => server.listen({ anyPort: true }),
  })
}

/** What a node asks of the outside. */
export interface NodeWorld extends ServerWorld {
  /** Has the server listen, and look for the other nodes. */
  readonly listen: (server: Server) => Promise<void>
}

/** What runs from `start` to `close`. */
interface Running {
  readonly server: Server
  readonly own: OwnClient
}

/** A node in this process. Made by `createNode`. */
export class CacheNode {
  readonly #world: NodeWorld
  readonly #options: NodeOptions
  readonly #sources = new Map<string, Source<unknown>>()
  readonly #groups = new Map<string, NodeGroup<unknown>>()
  readonly #host: NodeGroupHost
  /** What functions threw at this moment, by key. */
  readonly #causes = new Map<string, unknown>()
  #state: 'made' | 'starting' | 'open' | 'closed' = 'made'
  #log: Log | null = null
  #opening: Promise<Running> | null = null
  #running: Running | null = null

  /** Tests hand in a world of their own; others call `createNode`. */
  constructor(options: NodeOptions, world: NodeWorld) {
    nodeConfig(options, [])
    this.#options = options
    this.#world = world
    this.#host = {
      ask: (words) => this.#ask(words),
      running: () => this.#use().server,
      causeOf: (key) => this.#causes.get(key),
      invalidateTag: (tag) => this.invalidateTag(tag),
    }
  }

  /**
   * Makes a group: values that are not there are loaded by a function, once for all programs of the
   * cluster, by the one that owns the key. All programs must make the same groups, before they start.
   * @throws {TypeError} an option has the wrong type, there is none of this name, or `load` is missing;
   *   or there is a group of this name
   * @throws {RangeError} an option is out of its limits
   * @throws {NodeStateError} the node was started before
   */
  group<Value>(name: string, options: GroupOptions<Value> | Load<Value>): NodeGroup<Value> {
    if (this.#state !== 'made') {
      throw new NodeStateError('groups are made before the node is started: call group() first')
    }
    const given = optionsOf(name, options)
    const rules = { ...given, wait: given.wait ?? Infinity }
    const group = groupOf(name, rules, { ttl: Infinity, others: SOURCE_OPTION_NAMES })
    if (this.#groups.has(name)) throw new TypeError(`group ${name} is given twice`)
    if (this.#groups.size === GROUPS_MAX) {
      throw new RangeError(`group ${name}: a node can have ${GROUPS_MAX} groups`)
    }
    const source = new Source(group, given, this.#patienceOf(group))
    const made = new NodeGroup(source, this.#host)
    this.#sources.set(name, source)
    this.#groups.set(name, made)
    return made
  }

  /** The group of this name; undefined: there is none. */
  getGroup<Value>(name: string): NodeGroup<Value> | undefined {
    return this.#groups.get(name) as NodeGroup<Value> | undefined
  }

  /**
   * Listens, looks for the other nodes, and serves. Nodes that are not there are no reason to wait:
   * others stand in for them. Rejects with the system's error (EADDRINUSE ...), with a TypeError or
   * RangeError for options that make no sense together, or memory that the system does not give.
   */
  async start(): Promise<this> {
    if (this.#state !== 'made') {
      throw new NodeStateError('a node is started once: make another one with createNode')
    }
    this.#state = 'starting'
    this.#opening = this.#open()
    try {
      const running = await this.#opening
      // By close, or by a client's SHUTDOWN.
      void running.server.stopped.then(() => this.#ended())
      this.#running = running
    } catch (error) {
      this.#ended()
      throw error
    }
    if (this.#isClosed) throw this.#refusal()
    this.#state = 'open'
    return this
  }

  /** The port that it listens on. Throws a NodeStateError. */
  get port(): number {
    return this.#use().server.port
  }

  /** All nodes of the cluster, sorted by name; none: this one is alone. Throws a NodeStateError. */
  get members(): readonly NodeMember[] {
    const members = this.#use().server.routing.membership?.members ?? []
    return members.map(({ name, self, state }) => ({ name, isSelf: self, state }))
  }

  /**
   * Removes all values with this tag, on all nodes. Rejects with ClusterError when one is not reached;
   * the others have done it.
   */
  async invalidateTag(tag: string): Promise<void> {
    checkTag('tags', tag)
    const reply = await this.#ask(['CACHE.INVALIDATE', 'TAG', tag])
    if (reply instanceof PeerError) throw errorOf({ name: '' }, reply.line)
  }

  /**
   * Ends the node: it accepts no more clients, who waits for a load hears an error, and replies under
   * way leave. Resolves when that is done; from then on nothing of it keeps the process alive. Other
   * nodes have its keys from then on.
   */
  async close(): Promise<void> {
    this.#state = 'closed'
    const running = await this.#opening?.catch(() => null)
    if (running === null || running === undefined) return
    await running.server.end({ save: false, force: true })
    await running.server.stopped
  }

  /* ---- private ---- */

  get #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #ended(): void {
    this.#state = 'closed'
    this.#running = null
  }

  #use(): Running {
    if (this.#running !== null && this.#state === 'open') return this.#running
    throw this.#refusal()
  }

  #refusal(): NodeStateError {
    return new NodeStateError(
      this.#isClosed
        ? 'the node is closed'
        : 'the node has not started: wait for the promise of start() before it is used',
    )
  }

  async #ask(words: readonly (string | Buffer)[]): Promise<PeerValue> {
    const { own } = this.#use()
    const reply = await new Promise<PeerValue>((resolve) => own.call(words, resolve))
    // What it was answered with while it ended is for nobody to read.
    if (this.#isClosed && reply instanceof PeerError) throw this.#refusal()
    return reply
  }

  async #open(): Promise<Running> {
    const [{ createServer }, { createThreadLog, readableLine }, { OwnClient }] = await Promise.all([
      import('../server.ts'),
      import('../log.ts'),
      import('../clients/own-client.ts'),
    ])
    const groups = [...this.#sources.values()].map(({ group }) => group)
    const config = nodeConfig(this.#options, groups)
    const write = (line: string): void => {
      process.stderr.write(readableLine(line, formatTime))
    }
    const log = createThreadLog(config.loglevel, this.#options.log ?? write)
    config.onChange('loglevel', (level) => log.setLevel(level))
    this.#log = log
    const given = { loader: this.#loader(), beginsEmpty: true }
    const server = await createServer(config, this.#world, log, given).catch((error: unknown) =>
      inOurWords(() => {
        throw error
      }),
    )
    try {
      await this.#world.listen(server)
    } catch (error) {
      server.shutdown()
      throw error
    }
    return { server, own: new OwnClient(server) }
  }

  #loader(): Loader {
    const sourceOf = (name: string): Source<unknown> => this.#sources.get(name)!
    return {
      load: async (request) => {
        try {
          return await sourceOf(request.group.name).load(request)
        } catch (error) {
          this.#remember(request.key, error)
          throw error
        }
      },
      breakerState: (name) => sourceOf(name).patience.state,
      close: () => Promise.resolve(),
    }
  }

  /** Lets those who wait here know what this program's function threw. */
  #remember(key: Uint8Array, error: unknown): void {
    const text = Buffer.from(key).toString()
    this.#causes.set(text, error instanceof Error ? error.cause : undefined)
    this.#world.clock.soon(() => this.#causes.delete(text))
  }

  #patienceOf(group: Group): Patience {
    const { clock, random } = this.#world
    return new Patience(group, {
      ...{ clock, random },
      // Whatever a function of the program's throws may be gone the next time.
      judge: () => 'fleeting',
      hear: (state) => reportBreaker(this.#log!, state, group),
    })
  }
}
