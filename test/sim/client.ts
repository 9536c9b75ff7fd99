import { PeerError, PeerStatus, Replies, type PeerValue } from '../../cluster/peers/replies.ts'
import type { Host } from './scheduler.ts'
import type { Wires, WireStream } from './wires.ts'

const RECONNECT_MS = 100

/** What came of a command; `lost`: the connection broke, so nobody knows. */
export type Answer =
  | { readonly kind: 'value'; readonly value: PeerValue }
  | { readonly kind: 'error'; readonly line: string }
  | { readonly kind: 'lost' }

/** A plain client of one node: one connection, one command at a time, connects again when it breaks. */
export class SimClient {
  readonly name: string
  readonly node: string
  readonly host: Host
  readonly #wires: Wires
  #stream: WireStream | null = null
  #replies: Replies | null = null
  #waiting: ((answer: Answer) => void) | null = null
  #onReady: (() => void) | null = null

  constructor(name: string, node: string, { wires, host }: { wires: Wires; host: Host }) {
    this.name = name
    this.node = node
    this.host = host
    this.#wires = wires
  }

  get isWaiting(): boolean {
    return this.#waiting !== null
  }

  /** Calls `ready` once there is a connection; tries for as long as it takes. */
  connect(ready: () => void): void {
    this.#onReady = ready
    const stream = this.#wires.connect(this.host, this.node)
    this.#stream = stream
    const limits = { bytesMax: 1 << 20, depthMax: 4 }
    this.#replies = new Replies(limits, (value) => this.#onReply(value))
    const end = (): void => this.#onEnd(stream)
    stream.on('connect', () => {
      const ready = this.#onReady
      this.#onReady = null
      ready?.()
    })
    stream.on('data', (bytes: Buffer) => this.#replies!.feed(bytes))
    for (const event of ['end', 'error', 'close']) stream.on(event, end)
    this.host.clock.after(1000, () => {
      if (this.#stream === stream && this.#onReady !== null) this.#onEnd(stream)
    })
  }

  /** One at a time. `done` hears the answer once. False: there is no connection. */
  ask(words: readonly string[], done: (answer: Answer) => void): boolean {
    if (this.#stream === null || this.#onReady !== null) return false
    this.#waiting = done
    const bulks = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
    this.#stream.write(Buffer.from(`*${words.length}\r\n${bulks.join('')}`))
    return true
  }

  #onReply(value: PeerValue): void {
    const done = this.#waiting
    this.#waiting = null
    if (value instanceof PeerError) done?.({ kind: 'error', line: value.line })
    else done?.({ kind: 'value', value })
  }

  #onEnd(stream: WireStream): void {
    if (this.#stream !== stream) return
    this.#stream = null
    stream.destroy()
    const done = this.#waiting
    this.#waiting = null
    done?.({ kind: 'lost' })
    const ready = this.#onReady ?? ((): void => {})
    this.host.clock.after(RECONNECT_MS, () => this.connect(ready))
  }
}

/** A reply as text, for histories and traces. */
export function textOf(value: PeerValue): string {
  if (value === null) return 'nil'
  if (value instanceof PeerStatus) return value.text
  if (value instanceof PeerError) return `-${value.line}`
  if (Buffer.isBuffer(value)) return value.toString('latin1')
  if (Array.isArray(value)) return `[${value.map(textOf).join(' ')}]`
  return `${value as number}`
}
