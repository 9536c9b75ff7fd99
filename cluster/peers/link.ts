import { certificateFault } from './certificate-fault.ts'
import { challenge, incarnationTold, PEER_PROTOCOL_VERSION, prove, verify } from './handshake.ts'
import type { Meeting } from './handshake.ts'
import { type AnswerEvents, PeerAnswers } from './peer-answers.ts'
import { PeerError, PeerStatus, Replies } from './replies.ts'
import type { ReplyLimits } from './reply-gate.ts'
import type { PeerValue } from './replies.ts'
import type { Connection, Timer, World } from '../world.ts'

/** A node that cannot be reached must be given up early enough to ask another within a second. */
const CONNECT_MS = 400

/** Nobody who is not authenticated yet may send more than a name, a nonce and a proof. */
const HANDSHAKE_LIMITS: ReplyLimits = { bytesMax: 4096, depthMax: 1 }

/** Why a link ended. `code` is one of the constants below, or the socket's own (ECONNREFUSED). */
export class LinkError extends Error {
  override readonly name = 'LinkError'
  readonly code: string
  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

const LINK_CLOSED = 'LINK_CLOSED'
/** Ended by this node, which holds the other for dead. */
export const LINK_DROPPED = 'LINK_DROPPED'
/** Reset by this node: it has given up a write that may be on its way (peer.ts). */
export const LINK_SILENT = 'LINK_SILENT'
export const LINK_TIMEOUT = 'LINK_TIMEOUT'
export const LINK_PROTOCOL = 'LINK_PROTOCOL'
/** Somebody else answers there, or one of the two has another secret. */
export const LINK_AUTH = 'LINK_AUTH'

/** At that address is this node itself. */
export const LINK_SELF = 'LINK_SELF'

/** Where to dial, and who is to be there; null: whichever node of the cluster it is. */
export interface LinkTarget {
  readonly name: string | null
  readonly host: string
  readonly port: number
}

/** How this node introduces itself. */
export interface LinkIdentity {
  readonly self: string
  readonly secret: string
}

/** What a link tells its owner; nothing more after `ended`. */
export interface LinkEvents extends AnswerEvents {
  ready(): void
  /** Bytes came; their replies have been told. */
  heard(): void
  /** All that was written has been taken: there is room for more. */
  drained(): void
  /** Once, however it ended, also by `end`. */
  ended(reason: LinkError): void
}

type LinkState = 'connecting' | 'securing' | 'hello' | 'auth' | 'ready' | 'ended'

/** What was not done in time. */
const lateness: ReadonlyMap<LinkState, string> = new Map([
  ['connecting', 'did not connect'],
  // Who takes the handshake for a command waits for the rest of it.
  ['securing', 'did not answer with TLS, as if its tls-cluster were no,'],
])

/** One connection to another node: dialled, shaken hands, then a stream of answers. Dies once. */
export class Link {
  readonly #stream: Connection
  readonly #node: { readonly name: string }
  /** Null: any node. */
  readonly #expected: string | null
  readonly #identity: LinkIdentity
  readonly #events: LinkEvents
  readonly #nonce: string
  /** The handshake's, and what comes after it. */
  readonly #greetings: Replies
  readonly #answers: PeerAnswers
  #state: LinkState = 'connecting'
  #patience: Timer
  #blocked = false
  #owner = ''
  #incarnation = ''

  constructor(
    world: World,
    target: LinkTarget,
    identity: LinkIdentity,
    limits: ReplyLimits,
    events: LinkEvents,
  ) {
    const node = { name: target.name ?? `${target.host}:${target.port}` }
    this.#node = node
    this.#expected = target.name
    this.#identity = identity
    this.#events = events
    this.#nonce = challenge(world.random)
    this.#greetings = new Replies(HANDSHAKE_LIMITS, (value) => this.#onGreeting(value))
    this.#answers = new PeerAnswers(limits, events)
    this.#patience = world.clock.after(CONNECT_MS, () => {
      // After a stall of this process the answer may be among the input that waits.
      world.clock.soon(() => this.#lostPatience())
    })
    const stream = world.network.connect(target)
    this.#stream = stream
    const { upEvent = 'connect' } = world.network
    if (upEvent !== 'connect') stream.on('connect', () => this.#onSecuring())
    stream.on(upEvent, () => this.#onConnect())
    stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    stream.on('drain', () => this.#onDrain())
    // The listener stays for good: a socket may still fail after it was destroyed.
    stream.on('error', (cause: Error & { code?: string }) => {
      const { code = LINK_CLOSED, message } = cause
      const why = certificateFault(code) ?? message
      this.end(new LinkError(code, `${node.name}: ${why}`, cause))
    })
    const closed = () => this.end(new LinkError(LINK_CLOSED, `${node.name} closed the link`))
    stream.on('end', closed)
    stream.on('close', closed)
  }

  /** The node at the other end, which has proved it when the link is ready. */
  get owner(): string {
    return this.#owner
  }

  /** Of the process at the other end; '' where it has not said. */
  get incarnation(): string {
    return this.#incarnation
  }

  /** False while the stream has not taken what was written; `drained` follows. */
  get writable(): boolean {
    return this.#state === 'ready' && !this.#blocked
  }

  /** Bytes written that the stream still keeps. */
  get keptBytes(): number {
    return this.#stream.writableLength
  }

  /** Part of a reply has come and the rest has not. */
  get midReply(): boolean {
    return this.#answers.midReply
  }

  /** Sends bytes as they are; they must not be changed afterwards. */
  write(chunks: readonly Buffer[]): void {
    if (chunks.length === 1) {
      if (!this.#stream.write(chunks[0]!)) this.#blocked = true
      return
    }
    this.#stream.cork()
    for (const chunk of chunks) if (!this.#stream.write(chunk)) this.#blocked = true
    this.#stream.uncork()
  }

  /** Closes the connection at once. Does nothing the second time. */
  end(reason: LinkError): void {
    this.#end(reason, false)
  }

  /**
   * The same, and what has not arrived is not to arrive: a node that was out of reach would run, when it is
   * reached again, what has been asked of somebody else since.
   */
  abort(reason: LinkError): void {
    this.#end(reason, true)
  }

  #end(reason: LinkError, aborts: boolean): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#patience.cancel()
    this.#greetings.stop()
    this.#answers.stop()
    if (aborts && this.#stream.abort !== undefined) this.#stream.abort()
    else this.#stream.destroy()
    this.#events.ended(reason)
  }

  #lostPatience(): void {
    if (this.#state === 'ready') return
    const why = `${this.#node.name} ${lateness.get(this.#state) ?? 'did not shake hands'}`
    this.end(new LinkError(LINK_TIMEOUT, `${why} in ${CONNECT_MS} ms`))
  }

  #onSecuring(): void {
    if (this.#state === 'connecting') this.#state = 'securing'
  }

  #onConnect(): void {
    if (this.#state !== 'connecting' && this.#state !== 'securing') return
    this.#state = 'hello'
    const version = String(PEER_PROTOCOL_VERSION)
    this.#say(['PEER', 'HELLO', version, this.#identity.self, this.#nonce])
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'ended') return
    const wrong = (this.#state === 'ready' ? this.#answers : this.#greetings).feed(chunk)
    if (wrong !== null) this.end(new LinkError(LINK_PROTOCOL, `${this.#node.name} sent ${wrong}`))
    else if (this.#state === 'ready') this.#events.heard()
  }

  #onDrain(): void {
    this.#blocked = false
    if (this.#state === 'ready') this.#events.drained()
  }

  #onGreeting(value: PeerValue): void {
    if (this.#state === 'hello') this.#onHello(value)
    else if (this.#state === 'auth') this.#onAuth(value)
    else this.end(new LinkError(LINK_PROTOCOL, `${this.#node.name} spoke unasked`))
  }

  #onHello(value: PeerValue): void {
    if (value instanceof PeerError) return this.#refuse(`refused PEER HELLO: ${value.line}`)
    const answer = Array.isArray(value) ? value : []
    const [owner, ownerNonce, proof] = answer.map(String)
    if (owner === undefined || ownerNonce === undefined || proof === undefined) {
      return this.#refuse('is no node of this cluster')
    }
    if (owner === this.#identity.self) {
      const why = `${this.#node.name} is this node under another name`
      return this.end(new LinkError(LINK_SELF, why))
    }
    if (this.#expected !== null && owner !== this.#expected)
      return this.#refuse(`calls itself ${JSON.stringify(owner)}`)
    const caller = this.#identity.self
    const meeting: Meeting = { caller, callerNonce: this.#nonce, owner, ownerNonce }
    if (!verify(this.#identity.secret, 'owner', meeting, proof)) {
      return this.#refuse('does not know the cluster secret')
    }
    this.#owner = owner
    this.#incarnation = incarnationTold(answer[3])
    this.#state = 'auth'
    this.#say(['PEER', 'AUTH', prove(this.#identity.secret, 'caller', meeting)])
  }

  #onAuth(value: PeerValue): void {
    const accepted = value instanceof PeerStatus && value.text === 'OK'
    if (!accepted) {
      const line = value instanceof PeerError ? value.line : 'no status'
      return this.#refuse(`refused PEER AUTH: ${line}`)
    }
    this.#patience.cancel()
    this.#state = 'ready'
    this.#events.ready()
  }

  #refuse(why: string): void {
    this.end(new LinkError(LINK_AUTH, `${this.#node.name} ${why}`))
  }

  #say(words: readonly string[]): void {
    const bulks = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
    this.write([Buffer.from(`*${words.length}\r\n${bulks.join('')}`)])
  }
}
