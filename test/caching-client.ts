/*
 * A client with a cache of its own, as small as can be: it asks over one connection in RESP3 and keeps
 * what it read until it is told that it has changed. Messages come in the stream of replies, so that
 * their order says what is worth anything. With a redirection they come over another connection: then
 * only what was not told between question and reply is kept.
 */
import { connect, type Socket } from 'node:net'

type Value = string | null | number | Value[]

/** Splits a stream of RESP3 into values; pushes are told apart. */
class Stream {
  readonly socket: Socket
  #text = ''
  #at = 0
  readonly #waiting: ((reply: Value) => void)[] = []
  onPush: (words: Value[]) => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('error', () => {})
    socket.on('data', (text: string) => {
      this.#text = this.#text.slice(this.#at) + text
      this.#at = 0
      this.#readAll()
    })
  }

  static open(port: number): Promise<Stream> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('error', reject)
      socket.once('connect', () => resolve(new Stream(socket)))
    })
  }

  /** `hear` is called at the reply's place in the stream. */
  send(words: readonly string[], hear: (reply: Value) => void): void {
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
    this.#waiting.push(hear)
    this.socket.write(`*${words.length}\r\n${parts.join('')}`)
  }

  ask(...words: readonly string[]): Promise<Value> {
    return new Promise((resolve) => this.send(words, resolve))
  }

  #readAll(): void {
    for (;;) {
      const begin = this.#at
      const isPush = this.#text[begin] === '>'
      const value = this.#read()
      if (value === undefined) {
        this.#at = begin
        return
      }
      if (isPush) this.onPush(value as Value[])
      else this.#waiting.shift()!(value)
    }
  }

  /** Undefined: it is not all there. */
  #read(): Value | undefined {
    const end = this.#text.indexOf('\r\n', this.#at)
    if (end < 0) return undefined
    const type = this.#text[this.#at]!
    const line = this.#text.slice(this.#at + 1, end)
    this.#at = end + 2
    switch (type) {
      case '+':
        return line
      case '-':
        throw new Error(line)
      case ':':
        return Number(line)
      case '_':
        return null
      case '$':
      case '=': {
        const length = Number(line)
        if (length < 0) return null
        if (this.#text.length < this.#at + length + 2) return undefined
        const value = this.#text.slice(this.#at, this.#at + length)
        this.#at += length + 2
        return value
      }
      default: {
        const count = Number(line) * (type === '%' ? 2 : 1)
        const values: Value[] = []
        for (let i = 0; i < count; i++) {
          const value = this.#read()
          if (value === undefined) return undefined
          values.push(value)
        }
        return values
      }
    }
  }
}

export type CachingMode = 'default' | 'optin' | 'bcast' | 'redirect'

export class CachingClient {
  readonly mode: CachingMode
  readonly #stream: Stream
  readonly #ear: Stream
  /** What it knows; a key that is not in it is to be asked for. */
  readonly kept = new Map<string, string | null>()
  /** Keys it was told of, and how often. */
  readonly told = new Map<string, number>()
  /** Keys of which it was told more often than it had read them anew, as far as its stream shows that. */
  readonly toldInVain: string[] = []
  /** It was told to forget all. */
  flushes = 0
  hits = 0
  readonly #armed = new Set<string>()
  /** Asked for, and nothing heard of them since. */
  readonly #pending = new Map<string, object>()

  /** BCAST does not care what it reads, and over another connection the order is not known. */
  get #isExact(): boolean {
    return this.mode === 'default' || this.mode === 'optin'
  }

  private constructor(mode: CachingMode, stream: Stream, ear: Stream) {
    this.mode = mode
    this.#stream = stream
    this.#ear = ear
    ear.onPush = ([word, keys]) => {
      if (word === 'invalidate') this.#hear(keys as string[] | null)
    }
  }

  static async open(
    port: number,
    mode: CachingMode,
    prefixes: string[] = [],
  ): Promise<CachingClient> {
    const stream = await Stream.open(port)
    await stream.ask('HELLO', '3')
    let ear = stream
    const options: string[] = prefixes.flatMap((prefix) => ['PREFIX', prefix])
    if (mode === 'redirect') {
      ear = await Stream.open(port)
      await ear.ask('HELLO', '3')
      options.push('REDIRECT', String(await ear.ask('CLIENT', 'ID')))
    } else if (mode !== 'default') {
      options.push(mode.toUpperCase())
    }
    const client = new CachingClient(mode, stream, ear)
    await stream.ask('CLIENT', 'TRACKING', 'ON', ...options)
    return client
  }

  ask(...words: readonly string[]): Promise<Value> {
    return this.#stream.ask(...words)
  }

  /** What it keeps, or what the server says. */
  async get(key: string): Promise<string | null> {
    const kept = this.kept.get(key)
    if (kept === undefined) return (await this.#read(['GET', key], [key]))[0]!
    this.hits++
    return kept
  }

  /** What the server says, which is kept. */
  getMany(...keys: readonly string[]): Promise<(string | null)[]> {
    return this.#read(['MGET', ...keys], keys)
  }

  #read(command: readonly string[], keys: readonly string[]): Promise<(string | null)[]> {
    if (this.mode === 'optin') this.#stream.send(['CLIENT', 'CACHING', 'YES'], () => {})
    const question = {}
    for (const key of keys) {
      this.#pending.set(key, question)
    }
    return new Promise((resolve) => {
      this.#stream.send(command, (reply) => {
        const values = (Array.isArray(reply) ? reply : [reply]) as (string | null)[]
        for (const [i, key] of keys.entries()) this.#keep(key, values[i]!, question)
        resolve(values)
      })
    })
  }

  #keep(key: string, value: string | null, question: object): void {
    const isLast = this.#pending.get(key) === question
    // In one stream what came before is older than the value.
    if (isLast || this.mode !== 'redirect') this.kept.set(key, value)
    if (isLast) this.#pending.delete(key)
    this.#armed.add(key)
  }

  close(): void {
    this.#stream.socket.destroy()
    this.#ear.socket.destroy()
  }

  #hear(keys: string[] | null): void {
    if (keys === null) {
      this.flushes++
      this.kept.clear()
      this.#pending.clear()
      this.#armed.clear()
      return
    }
    for (const key of keys) {
      this.kept.delete(key)
      this.#pending.delete(key)
      this.told.set(key, (this.told.get(key) ?? 0) + 1)
      const wasArmed = this.#armed.delete(key)
      if (this.#isExact && !wasArmed) this.toldInVain.push(key)
    }
  }
}
