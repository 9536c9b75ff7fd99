/*
 * Publish and subscribe, as one thread has it.
 *
 *     PUBLISH ──> topics of this thread: channel -> members, and every pattern ──> their connections
 *             └─> the mesh (threads/mesh.ts), if clients of other threads want it
 *
 * A message is encoded once for each protocol, and queued for each member (server/clients/connection.ts,
 * `push`). Nobody waits for a member that does not read: it is closed at the limits of its class, `pubsub`
 * (server/clients/output-limits.ts).
 *
 * With several threads each keeps the subscriptions of its own clients, and knows how many the
 * others' clients have, by name: so PUBLISH counts without asking anybody. What makes that exact is a
 * number, the *version*: each change of subscriptions, on whichever thread, is the next version, and a
 * message carries the version at which it was counted. It goes to those who had subscribed by then
 * (`since`), and had not unsubscribed (`until`). Who unsubscribes is a member until no thread can send
 * messages of before any more; what arrives meanwhile, and is of before, stands in front of the answer.
 *
 * What is subscribed to has a limit in bytes, of one client and of all, since Redis's none is one.
 */
import type { Reply } from '../protocol/reply.ts'
import { globMatches } from './glob.ts'
import type { Slot } from './clients/slot.ts'

/** What a name is: of a channel, a pattern of such, or of a shard channel. */
export const CHANNEL = 0
export const PATTERN = 1
export const SHARD = 2
export type Kind = typeof CHANNEL | typeof PATTERN | typeof SHARD

/** The first word of each kind's messages. */
const messageWords = ['message', 'pmessage', 'smessage'] as const

/** What a subscription takes beside its name, in all threads together; roughly. */
const subscriptionBytes = 256
/** Of a channel, and of a pattern. Redis has no limit, but matching takes time by the product of both. */
export const nameBytesMax = 64 * 1024
export const patternBytesMax = 1024
/** Names and subscriptions of one client, and of all of them. */
const clientBytesMax = 32 * 1024 * 1024
const allBytesMax = 512 * 1024 * 1024

/** What a subscriber's client does; see server/clients/client.ts. */
export interface SubscriberClient {
  readonly protocol: number
  /** The thread's encoder. */
  readonly reply: Reply
  /** Sends bytes that answer no command. */
  push(bytes: Uint8Array): void
  pushReply(write: (reply: Reply) => void): void
  /** Its subscriptions may have changed. */
  judgeSpecial(): void
}

/** From which version on, and up to which one, a client has a subscription. */
interface Membership {
  readonly since: number
  until: number
}

/** An answer to UNSUBSCRIBE that is not there yet: what is older than that version goes in front of it. */
export interface Leaving {
  readonly slot: Slot
  until: number
}

/** What one client is subscribed to. Names are bytes as latin1 text. */
export class Subscriber {
  readonly client: SubscriberClient
  readonly names: readonly [Set<string>, Set<string>, Set<string>] = [
    new Set(),
    new Set(),
    new Set(),
  ]
  /** Where messages go while it unsubscribes, the oldest first: a transaction may do that several times. */
  readonly leaving: Leaving[] = []
  /** See `clientBytesMax`. */
  bytes = 0

  constructor(client: SubscriberClient) {
    this.client = client
  }

  /** How many the answers to SUBSCRIBE and its kin tell: shard channels are counted apart. */
  count(kind: Kind): number {
    const [channels, patterns, shards] = this.names
    return kind === SHARD ? shards.size : channels.size + patterns.size
  }

  /** The answer that a message of this version comes before; null: there is none. */
  slotBefore(version: number): Slot | null {
    for (const { slot, until } of this.leaving) if (version < until) return slot
    return null
  }

  get isEmpty(): boolean {
    return this.names.every((names) => names.size === 0)
  }
}

interface Topic {
  readonly bytes: Buffer
  readonly members: Map<Subscriber, Membership>
  /** Members that have not left. */
  count: number
}

/** The subscriptions of other threads' clients; see threads/mesh.ts. */
export interface Mesh {
  /** Takes in all changes of other threads, and tells the version that they and this one are at. */
  sync(): number
  /** Clients of this thread have new subscriptions. @returns their version */
  joined(kind: Kind, names: readonly string[]): number
  /**
   * They have some no more. `done` is called when no thread will send a message that was counted
   * before. @returns the version of this change
   */
  left(kind: Kind, names: readonly string[], done: (() => void) | null): number
  /** Hands a message to the threads whose clients want it. @returns how many subscriptions they have */
  publish(kind: Kind, channel: string, message: Uint8Array, version: number): number
  /** Has no other thread a subscription? */
  readonly isQuiet: boolean
  /** Subscriptions of others to this name. */
  count(kind: Kind, name: string): number
  names(kind: Kind): Iterable<string>
  size(kind: Kind): number
  /** Have others so much to take in that publishers had better wait? */
  readonly isBehind: boolean
  /** Messages that other threads did not get, because they had far too much to take in. */
  readonly lost: number
  /** Calls `resume` once, when they have not. */
  whenCaughtUp(resume: () => void): void
}

/** One message, encoded when somebody wants it. */
class Message {
  readonly #words: readonly Uint8Array[]
  readonly #encoded: [Buffer | null, Buffer | null] = [null, null]

  constructor(words: readonly Uint8Array[]) {
    this.#words = words
  }

  /** The bytes are shared: nobody may change them. */
  bytes(protocol: number): Buffer {
    const i = protocol === 3 ? 1 : 0
    return (this.#encoded[i] ??= encode(protocol === 3 ? '>' : '*', this.#words))
  }
}

function encode(type: string, words: readonly Uint8Array[]): Buffer {
  const heads = words.map(({ length }) => `$${length}\r\n`)
  const first = `${type}${words.length}\r\n`
  let length = first.length
  for (const [i, word] of words.entries()) length += heads[i]!.length + word.length + 2
  const bytes = Buffer.allocUnsafe(length)
  let at = bytes.write(first, 'latin1')
  for (const [i, word] of words.entries()) {
    at += bytes.write(heads[i]!, at, 'latin1')
    bytes.set(word, at)
    at += word.length
    at += bytes.write('\r\n', at, 'latin1')
  }
  return bytes
}

const wordBytes = messageWords.map((word) => Buffer.from(word))

export class PubSub {
  readonly #topics: readonly [Map<string, Topic>, Map<string, Topic>, Map<string, Topic>] = [
    new Map(),
    new Map(),
    new Map(),
  ]
  #mesh: Mesh | null = null
  /** Bytes of all threads' subscriptions. */
  #bytes: BigInt64Array = new BigInt64Array(1)

  /** There are other threads, which count their subscriptions' bytes in this number. Before anybody subscribes. */
  join(mesh: Mesh, bytes: BigInt64Array<SharedArrayBuffer>): void {
    this.#mesh = mesh
    this.#bytes = bytes
  }

  /** Is nobody subscribed to anything? Then there is nothing to publish. */
  get isQuiet(): boolean {
    const [channels, patterns, shards] = this.#topics
    if (channels.size + patterns.size + shards.size > 0) return false
    return this.#mesh === null || this.#mesh.isQuiet
  }

  /** Are there no threads that would have to hear of who unsubscribes? */
  get isAlone(): boolean {
    return this.#mesh === null
  }

  /* ---- subscribing ---- */

  /** Have these names, and what is there, room within the limits? */
  hasRoom(subscriber: Subscriber, names: readonly string[]): boolean {
    const bytes = costOfAll(names)
    const all = Number(Atomics.load(this.#bytes, 0)) + bytes
    return subscriber.bytes + bytes <= clientBytesMax && all <= allBytesMax
  }

  /** From now on it gets what is published there. @param names it has none of them, none twice */
  subscribe(subscriber: Subscriber, kind: Kind, names: readonly string[]): void {
    if (names.length === 0) return
    const since = this.#mesh?.joined(kind, names) ?? 0
    const topics = this.#topics[kind]
    this.#spend(subscriber, costOfAll(names))
    for (const name of names) {
      let topic = topics.get(name)
      if (topic === undefined) {
        topic = { bytes: Buffer.from(name, 'latin1'), members: new Map(), count: 0 }
        topics.set(name, topic)
      }
      topic.members.set(subscriber, { since, until: Infinity })
      topic.count++
      subscriber.names[kind].add(name)
    }
  }

  /**
   * It gets nothing more from there, once `done` was called: at once where there is one thread. Null:
   * nobody waits for that.
   * @param names it has all of them, none twice
   * @returns the version from which on it is not meant
   */
  unsubscribe(
    subscriber: Subscriber,
    kind: Kind,
    names: readonly string[],
    done: (() => void) | null,
  ): number {
    if (names.length === 0) {
      done?.()
      return 0
    }
    const topics = this.#topics[kind]
    const had = subscriber.names[kind]
    // One by one takes ten times as long.
    if (names.length === had.size) had.clear()
    else for (const name of names) had.delete(name)
    this.#spend(subscriber, -costOfAll(names))
    if (this.#mesh === null) {
      this.#remove(subscriber, kind, names, { counted: 1 })
      done?.()
      return 0
    }
    for (const name of names) topics.get(name)!.count--
    const until = this.#mesh.left(
      kind,
      names,
      done === null
        ? null
        : () => {
            this.#remove(subscriber, kind, names, { counted: 0, until })
            done()
          },
    )
    if (done === null) this.#remove(subscriber, kind, names, { counted: 0 })
    else for (const name of names) topics.get(name)!.members.get(subscriber)!.until = until
    return until
  }

  /**
   * It is a member no more. `counted`: 1 if it still counts. `until`: where it has left at that version,
   * and not come back since, as it may in a transaction.
   */
  #remove(
    subscriber: Subscriber,
    kind: Kind,
    names: readonly string[],
    { counted, until }: { readonly counted: 0 | 1; readonly until?: number },
  ): void {
    const topics = this.#topics[kind]
    const deserted: string[] = []
    for (const name of names) {
      const topic = topics.get(name)
      if (until !== undefined && topic?.members.get(subscriber)?.until !== until) continue
      if (!topic?.members.delete(subscriber)) continue
      topic.count -= counted
      if (topic.members.size === 0) deserted.push(name)
    }
    if (deserted.length === topics.size) topics.clear()
    else for (const name of deserted) topics.delete(name)
  }

  /** The client is gone, or reset. */
  forget(subscriber: Subscriber): void {
    for (const kind of [CHANNEL, PATTERN, SHARD] as const) {
      this.unsubscribe(subscriber, kind, [...subscriber.names[kind]], null)
    }
  }

  #spend(subscriber: Subscriber, bytes: number): void {
    subscriber.bytes += bytes
    Atomics.add(this.#bytes, 0, BigInt(bytes))
  }

  /* ---- publishing ---- */

  /**
   * Sends a message to all who are subscribed to the channel, and returns how many subscriptions
   * those are: a client that has the channel and a pattern counts twice, and gets it twice. The
   * channel is latin1 text. Nobody may change `message` any more.
   */
  publish(kind: Kind, channel: string, message: Uint8Array): number {
    const mesh = this.#mesh
    if (mesh === null) return this.deliver(kind, channel, message, 0)
    const version = mesh.sync()
    const here = this.deliver(kind, channel, message, version)
    return here + mesh.publish(kind, channel, message, version)
  }

  /** The part of `publish` that is about this thread's clients. */
  deliver(kind: Kind, channel: string, message: Uint8Array, version: number): number {
    const topic = this.#topics[kind].get(channel)
    const patterns = this.#topics[PATTERN]
    if (topic === undefined && (kind === SHARD || patterns.size === 0)) return 0
    const name = topic?.bytes ?? Buffer.from(channel, 'latin1')
    let count = 0
    if (topic !== undefined) {
      count += send(topic, new Message([wordBytes[kind]!, name, message]), version)
    }
    if (kind === SHARD) return count
    for (const pattern of patterns.values()) {
      if (!globMatches(pattern.bytes, name)) continue
      const words = [wordBytes[PATTERN]!, pattern.bytes, name, message]
      count += send(pattern, new Message(words), version)
    }
    return count
  }

  /** Had publishers better wait (`whenCaughtUp`), because another thread does not keep up? */
  get isBehind(): boolean {
    return this.#mesh?.isBehind ?? false
  }

  whenCaughtUp(resume: () => void): void {
    this.#mesh?.whenCaughtUp(resume)
  }

  /** Messages that another thread did not get, since it was far behind. */
  get lost(): number {
    return this.#mesh?.lost ?? 0
  }

  /* ---- what there is ---- */

  /** Names with subscriptions, of all threads' clients. */
  names(kind: Kind): Set<string> {
    const names = new Set<string>()
    for (const [name, { count }] of this.#topics[kind]) if (count > 0) names.add(name)
    if (this.#mesh === null) return names
    this.#mesh.sync()
    for (const name of this.#mesh.names(kind)) names.add(name)
    return names
  }

  /** How many names those are. */
  size(kind: Kind): number {
    const here = this.#topics[kind].size
    if (this.#mesh === null) return here
    this.#mesh.sync()
    return here === 0 ? this.#mesh.size(kind) : this.names(kind).size
  }

  /** Subscriptions to this name. */
  count(kind: Kind, name: string): number {
    this.#mesh?.sync()
    return (this.#topics[kind].get(name)?.count ?? 0) + (this.#mesh?.count(kind, name) ?? 0)
  }

  /** Those of this thread who are subscribed to a name, as it is now. */
  subscribers(kind: Kind, name: string): Subscriber[] {
    const members = this.#topics[kind].get(name)?.members ?? new Map<Subscriber, Membership>()
    return [...members].flatMap(([subscriber, { until }]) => (until === Infinity ? subscriber : []))
  }

  /** Names that clients of this thread are subscribed to. */
  namesHere(kind: Kind): string[] {
    return [...this.#topics[kind].keys()]
  }
}

function costOfAll(names: readonly string[]): number {
  let bytes = names.length * subscriptionBytes
  for (const name of names) bytes += name.length
  return bytes
}

/** Queues a message for those who had this subscription at that version. */
function send({ members }: Topic, message: Message, version: number): number {
  let count = 0
  for (const [subscriber, { since, until }] of members) {
    if (since > version || until <= version) continue
    count++
    const { client } = subscriber
    const bytes = message.bytes(client.protocol)
    const slot = subscriber.slotBefore(version)
    if (slot === null) client.push(bytes)
    else slot.stream(() => client.reply.raw(bytes))
  }
  return count
}
