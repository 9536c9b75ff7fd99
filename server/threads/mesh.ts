/**
 * What threads tell each other about publish and subscribe (pubsub.ts), each over a port to each.
 *
 *     thread 1   SUBSCRIBE news   version 7 ── joined news, 7 ──> 2, 3
 *     thread 2   PUBLISH news     is at 7? takes in what is in its ports until it is; 1 subscription
 *                                           ── published news, counted at 7 ──> 1   (at the turn's end)
 *     thread 1   UNSUBSCRIBE news version 8 ── left news, 8 ──> 2, 3 ── heard ──> 1   answers now
 *
 * Every thread has every other's subscriptions, as numbers by name. A change takes the next version
 * out of a shared word and is sent, and a thread is at a version when it took in as many changes. So
 * one look at the word tells a publisher that it knows all that was ever answered, and otherwise it
 * takes the messages out of its ports itself, in the middle of its command. It waits only for a thread
 * that has its version and has not sent the change yet: some microseconds.
 *
 * Where only one thread has subscribers, no message leaves it. Messages of a turn leave together, and
 * those of one thread arrive in their order. A thread that does not keep up with what it is sent makes
 * the clients that publish wait, as the work itself does where one thread does all of it.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { Clock } from '../../cluster/world.ts'
import { globMatches } from '../glob.ts'
import { CHANNEL, type Kind, type Mesh, PATTERN, type PubSub } from '../pubsub.ts'
import { portsBetween } from './ports.ts'

/** The words that all threads share: the version, and the bytes of all subscriptions. */
const [versionWord, bytesWord] = [0, 1] as const

/** A thread that has so many bytes to take in makes publishers wait. */
const behindBytes = 16 * 1024 * 1024
/** It gets no more messages while it has so many, of publishers that cannot wait: other nodes, the sweeper. */
const lostBytes = 256 * 1024 * 1024
/** What a message takes beside its bytes, so that empty ones are counted. */
const messageBytes = 64

/** What a thread is given: the shared words, and a port to each other thread, by its row. */
export interface MeshStart {
  readonly shared: SharedArrayBuffer
  readonly ports: ReadonlyMap<number, MessagePort>
}

type MeshMessage =
  /** Clients have new subscriptions, or have them no more; this is version `version`. */
  | { readonly what: 'joined'; readonly kind: Kind; readonly names: readonly string[] }
  | {
      readonly what: 'left'
      readonly kind: Kind
      readonly names: readonly string[]
      /** 0: nobody waits for `heard`. */
      readonly fence: number
    }
  | { readonly what: 'heard'; readonly fence: number }
  | { readonly what: 'published'; readonly batch: Batch }
  /** So many bytes of what was published were taken in. */
  | { readonly what: 'delivered'; readonly bytes: number }

/** Messages, one behind the other. */
interface Batch {
  readonly kinds: readonly Kind[]
  readonly channels: readonly string[]
  readonly versions: readonly number[]
  readonly lengths: readonly number[]
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** For threads of these rows. */
export function meshOf(rows: readonly number[]): Map<number, MeshStart> {
  const shared = new SharedArrayBuffer(16)
  const ports = portsBetween(rows)
  return new Map(rows.map((row) => [row, { shared, ports: ports.get(row)! }]))
}

/** Another thread. */
class Link {
  readonly port: MessagePort
  readonly row: number
  /** Does it want the message that is being published? */
  wants = false
  /** Sent, or to be sent, and not taken in. */
  bytes = 0
  readonly #kinds: Kind[] = []
  readonly #channels: string[] = []
  readonly #versions: number[] = []
  readonly #messages: Uint8Array[] = []

  constructor(row: number, port: MessagePort) {
    this.row = row
    this.port = port
  }

  tell(message: MeshMessage): void {
    this.port.postMessage(message, [])
  }

  add(kind: Kind, channel: string, message: Uint8Array, version: number): void {
    this.#kinds.push(kind)
    this.#channels.push(channel)
    this.#versions.push(version)
    this.#messages.push(message)
    this.bytes += sizeOf(channel, message.length)
  }

  /** Sends what was added. */
  flush(): void {
    const messages = this.#messages.splice(0)
    if (messages.length === 0) return
    const lengths = messages.map(({ length }) => length)
    const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0))
    let at = 0
    for (const message of messages) {
      bytes.set(message, at)
      at += message.length
    }
    const batch: Batch = {
      kinds: this.#kinds.splice(0),
      channels: this.#channels.splice(0),
      versions: this.#versions.splice(0),
      ...{ lengths, bytes },
    }
    this.port.postMessage({ what: 'published', batch } satisfies MeshMessage, [bytes.buffer])
  }
}

function sizeOf(channel: string, length: number): number {
  return messageBytes + channel.length + length
}

/** Subscriptions of other threads to one name. */
interface Elsewhere {
  readonly bytes: Buffer
  readonly byLink: Map<Link, number>
}

/** An unsubscription that not all threads have heard of. */
interface Fence {
  missing: number
  readonly done: () => void
}

export class ThreadMesh implements Mesh {
  readonly #clock: Clock
  readonly #pubsub: PubSub
  readonly #version: BigInt64Array
  readonly #links: readonly Link[]
  readonly #elsewhere: readonly [
    Map<string, Elsewhere>,
    Map<string, Elsewhere>,
    Map<string, Elsewhere>,
  ] = [new Map(), new Map(), new Map()]
  lost = 0
  /** Changes that were made here or taken in. */
  #known = 0
  readonly #fences = new Map<number, Fence>()
  #nextFence = 1
  #flushes = false
  #waiting: (() => void)[] = []

  /** Gives a thread's `pubsub` its part of the mesh. */
  static join(clock: Clock, pubsub: PubSub, start: MeshStart): void {
    const mesh = new ThreadMesh(clock, pubsub, start)
    pubsub.join(mesh, new BigInt64Array(start.shared, bytesWord * 8, 1))
  }

  private constructor(clock: Clock, pubsub: PubSub, { shared, ports }: MeshStart) {
    this.#clock = clock
    this.#pubsub = pubsub
    this.#version = new BigInt64Array(shared, versionWord * 8, 1)
    this.#links = [...ports].map(([row, port]) => new Link(row, port))
    for (const link of this.#links) {
      link.port.on('message', (message: MeshMessage) => this.#hear(link, message))
      // A thread does not live for these.
      link.port.unref()
    }
  }

  sync(): number {
    while (this.#known < Number(Atomics.load(this.#version, 0))) {
      for (const link of this.#links) {
        for (;;) {
          const received = receiveMessageOnPort(link.port)
          if (received === undefined) break
          this.#hear(link, received.message as MeshMessage)
        }
      }
    }
    return this.#known
  }

  joined(kind: Kind, names: readonly string[]): number {
    return this.#change({ what: 'joined', kind, names })
  }

  left(kind: Kind, names: readonly string[], done: (() => void) | null): number {
    let fence = 0
    if (done !== null) {
      fence = this.#nextFence++
      this.#fences.set(fence, { missing: this.#links.length, done })
    }
    return this.#change({ what: 'left', kind, names, fence })
  }

  #change(message: MeshMessage): number {
    const version = Number(Atomics.add(this.#version, 0, 1n)) + 1
    for (const link of this.#links) link.tell(message)
    this.#known++
    return version
  }

  publish(kind: Kind, channel: string, message: Uint8Array, version: number): number {
    const named = this.#elsewhere[kind].get(channel)
    const patterns = this.#elsewhere[PATTERN]
    let count = named === undefined ? 0 : this.#want(named)
    if (kind === CHANNEL && patterns.size > 0) {
      const name = Buffer.from(channel, 'latin1')
      for (const pattern of patterns.values()) {
        if (globMatches(pattern.bytes, name)) count += this.#want(pattern)
      }
    }
    if (count === 0) return 0
    for (const link of this.#links) {
      if (link.wants && link.bytes > lostBytes) this.lost++
      else if (link.wants) link.add(kind, channel, message, version)
      link.wants = false
    }
    this.#flushSoon()
    return count
  }

  #want({ byLink }: Elsewhere): number {
    let count = 0
    for (const [link, subscriptions] of byLink) {
      link.wants = true
      count += subscriptions
    }
    return count
  }

  #flushSoon(): void {
    if (this.#flushes) return
    this.#flushes = true
    this.#clock.soon(() => {
      this.#flushes = false
      for (const link of this.#links) link.flush()
    })
  }

  get isQuiet(): boolean {
    this.sync()
    return this.#elsewhere.every(({ size }) => size === 0)
  }

  count(kind: Kind, name: string): number {
    const { byLink } = this.#elsewhere[kind].get(name) ?? { byLink: new Map<Link, number>() }
    return [...byLink.values()].reduce((sum, subscriptions) => sum + subscriptions, 0)
  }

  names(kind: Kind): Iterable<string> {
    return this.#elsewhere[kind].keys()
  }

  size(kind: Kind): number {
    return this.#elsewhere[kind].size
  }

  get isBehind(): boolean {
    return this.#links.some(({ bytes }) => bytes > behindBytes)
  }

  whenCaughtUp(resume: () => void): void {
    this.#waiting.push(resume)
  }

  #hear(link: Link, message: MeshMessage): void {
    switch (message.what) {
      case 'joined':
        this.#known++
        this.#count(link, message.kind, message.names, 1)
        return
      case 'left':
        this.#known++
        this.#count(link, message.kind, message.names, -1)
        if (message.fence === 0) return
        // What was counted before arrives before.
        link.flush()
        link.tell({ what: 'heard', fence: message.fence })
        return
      case 'heard': {
        const fence = this.#fences.get(message.fence)!
        if (--fence.missing > 0) return
        this.#fences.delete(message.fence)
        fence.done()
        return
      }
      case 'published':
        this.#deliver(link, message.batch)
        return
      case 'delivered':
        link.bytes -= message.bytes
        if (this.#waiting.length === 0 || this.isBehind) return
        for (const resume of this.#waiting.splice(0)) resume()
        return
    }
  }

  #count(link: Link, kind: Kind, names: readonly string[], by: 1 | -1): void {
    const elsewhere = this.#elsewhere[kind]
    for (const name of names) {
      let topic = elsewhere.get(name)
      if (topic === undefined) {
        topic = { bytes: Buffer.from(name, 'latin1'), byLink: new Map() }
        elsewhere.set(name, topic)
      }
      const count = (topic.byLink.get(link) ?? 0) + by
      if (count > 0) topic.byLink.set(link, count)
      else topic.byLink.delete(link)
      if (topic.byLink.size === 0) elsewhere.delete(name)
    }
  }

  #deliver(link: Link, { kinds, channels, versions, lengths, bytes }: Batch): void {
    let at = 0
    let size = 0
    for (const [i, channel] of channels.entries()) {
      const length = lengths[i]!
      this.#pubsub.deliver(kinds[i]!, channel, bytes.subarray(at, at + length), versions[i]!)
      at += length
      size += sizeOf(channel, length)
    }
    link.tell({ what: 'delivered', bytes: size })
  }
}
