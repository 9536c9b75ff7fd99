/*
 * A group of a node: as a group of an embedded cache, but over all programs of a cluster.
 *
 *   get ── CACHE.GET user:42 META ──> the program that owns the key: looks, loads by its own function
 *                                        │
 *   value <── decode ── reply, or an error by its line
 *
 * Every method is a command, which goes every client's way (server/clients/own-client.ts). What a key waits
 * for, and what it is answered with, is therefore the same whether the program itself asks, another one of the
 * cluster, or a Redis client. META tells which group the owner has for the key: without it a program
 * that lacks the group would answer that there is no such thing.
 */
import type { Group } from '../../cluster/groups/group.ts'
import { PeerError, type PeerValue } from '../../cluster/peers/replies.ts'
import {
  ERR_NO_GROUP_OF_KEY,
  ERR_OOM,
  originBreaker,
  originBusy,
  originClosing,
  originFunction,
  originTimeout,
} from '../../protocol/errors.ts'
import {
  BreakerOpenError,
  ClusterError,
  GroupMissingError,
  LoadBusyError,
  LoadFailedError,
  LoadTimeoutError,
  OutOfMemoryError,
} from './errors.ts'
import { type GroupSetOptions, type GroupStats, statsOf } from './group.ts'
import { checkedTags, freshMsOf, type Source } from './load.ts'
import type { Server } from '../server.ts'

/** What groups ask of their node. */
export interface NodeGroupHost {
  /** The reply to a command, wherever it runs. Rejects with a NodeStateError. */
  ask(words: readonly (string | Buffer)[]): Promise<PeerValue>
  /** Throws a NodeStateError. */
  running(): Server
  /** What this program's function threw at this very moment for a key; undefined: it did not. */
  causeOf(key: string): unknown
  /** See CacheNode.invalidateTag. */
  invalidateTag(tag: string): Promise<void>
}

/** A group of a node. Made by `node.group`. */
export class NodeGroup<Value> {
  readonly name: string
  /** What the group's keys begin with: its name and a colon. */
  readonly prefix: string
  readonly #source: Source<Value>
  readonly #host: NodeGroupHost

  /** For CacheNode. */
  constructor(source: Source<Value>, host: NodeGroupHost) {
    this.name = source.group.name
    this.prefix = source.prefix
    this.#source = source
    this.#host = host
  }

  /**
   * The value, loaded by the program that owns the key if it is not there; undefined: there is no such
   * thing. Rejects with LoadFailedError, LoadTimeoutError, LoadBusyError or BreakerOpenError, with
   * GroupMissingError, with ClusterError when nobody answers for the key, with NodeStateError, and with
   * what the codec throws.
   */
  async get(id: string): Promise<Value | undefined> {
    const key = this.#source.keyOf(id)
    return this.#valueIn(await this.#ask(key, ['CACHE.GET', key, 'META']))
  }

  /** The value that is there, fresh or stale. Nothing is loaded, and it counts as no access. */
  async peek(id: string): Promise<Value | undefined> {
    const key = this.#source.keyOf(id)
    return this.#valueIn(await this.#ask(key, ['CACHE.GET', key, 'PEEK', 'META']))
  }

  /**
   * Loads the value anew, or joins a load of it that is under way, and waits to its end. What is there
   * stays if the load fails, but is no answer: this rejects. Rejects as `get` does.
   */
  async refresh(id: string): Promise<Value | undefined> {
    const key = this.#source.keyOf(id)
    return this.#valueIn(await this.#ask(key, ['CACHE.GET', key, 'REFRESH', 'META']))
  }

  /**
   * Stores a value, in place of the one before; a load that is under way does not undo it. A value that
   * finds no room in the group's share (`maxBytes`) goes at once. Rejects with a TypeError for what
   * cannot be encoded, with OutOfMemoryError, and as `get` does.
   */
  async set(id: string, value: Value, options: GroupSetOptions = {}): Promise<void> {
    const { name } = this
    const key = this.#source.keyOf(id)
    const tags = checkedTags(`group ${name}: tags`, options.tags ?? [])
    const { ttl } = options
    const times = ttl === undefined ? [] : ['PX', String(freshMsOf(`group ${name}: ttl`, ttl))]
    const tagWords = tags.length === 0 ? [] : ['TAGS', String(tags.length), ...tags]
    const words = ['CACHE.SET', key, this.#source.encode(value), ...times, ...tagWords, 'GROUP']
    await this.#ask(key, words)
  }

  /** True if there was a value. What a load brings that is under way is not kept. */
  async delete(id: string): Promise<boolean> {
    const key = this.#source.keyOf(id)
    return (await this.#ask(key, ['DEL', key])) === 1
  }

  /**
   * Removes all values of the group, on all nodes. What loads bring that are under way is not kept.
   * Rejects with ClusterError when a node is not reached; the others have done it.
   */
  async invalidate(): Promise<void> {
    await this.#ask('', ['CACHE.INVALIDATE', 'PREFIX', this.prefix])
  }

  /** Removes all values with this tag, those of other groups too: it is `node.invalidateTag`. */
  invalidateTag(tag: string): Promise<void> {
    return this.#host.invalidateTag(tag)
  }

  /**
   * Of the keys that this program owns: of all who asked for them, other programs and Redis clients
   * among them. Throws a NodeStateError.
   */
  get stats(): GroupStats {
    const { store, loads, loading } = this.#host.running()
    return statsOf(this.#source, { store, loads, lookUp: loading })
  }

  /* ---- private ---- */

  async #ask(key: string, words: readonly (string | Buffer)[]): Promise<PeerValue> {
    const reply = await this.#host.ask(words)
    if (reply instanceof PeerError) {
      throw errorOf(this.#source.group, reply.line, this.#host.causeOf(key))
    }
    return reply
  }

  /** Of a CACHE.GET with META. */
  #valueIn(reply: PeerValue): Value | undefined {
    const { name } = this
    const fields: readonly PeerValue[] = Array.isArray(reply) ? reply : []
    const [group, value] = [fields[GROUP_AT], fields[VALUE_AT]]
    if (fields.length <= VALUE_AT) throw new ClusterError(`group ${name}: a node answered nonsense`)
    if (!Buffer.isBuffer(group) || group.toString('latin1') !== name) throw groupMissing(name)
    return Buffer.isBuffer(value) ? this.#source.decode(value) : undefined
  }
}

/** In the reply of a CACHE.GET with META: names and values, one after the other. */
const GROUP_AT = 3
const VALUE_AT = 11

function groupMissing(name: string): GroupMissingError {
  return new GroupMissingError(
    `the program that owns the key has no group ${name}: all programs of a cluster must make the same groups`,
  )
}

/** What an error line means to who asked. `cause`: see NodeGroupHost.causeOf. */
export function errorOf(group: Pick<Group, 'name'>, line: string, cause?: unknown): Error {
  const { name } = group
  const code = line.slice(0, line.indexOf(' '))
  switch (line.replace(/\d+ ms$/, '0 ms')) {
    case originFunction(name, 'load'):
      return new LoadFailedError(
        `group ${name}: load() failed`,
        cause === undefined ? undefined : { cause },
      )
    case originTimeout(name, 0):
      return new LoadTimeoutError(`group ${name}: the load took longer than its timeout`)
    case originBusy(name):
      return new LoadBusyError(`group ${name}: too many loads are under way and waiting`)
    case originBreaker(name):
      return new BreakerOpenError(
        `group ${name}: the loader failed too often and is left alone for a while`,
      )
    case originClosing(name):
      return new ClusterError(`group ${name}: the program that owns the key is ending`)
    case ERR_NO_GROUP_OF_KEY:
      return groupMissing(name)
    case ERR_OOM:
      return new OutOfMemoryError(
        `group ${name}: the program that owns the key has no room for it: raise its maxMemory, or choose another eviction`,
      )
    default:
      if (code === 'ORIGIN') return new LoadFailedError(`group ${line.slice(code.length + 1)}`)
      return new ClusterError(line)
  }
}
