import { connect } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * One connection that speaks bytes, for looking at a server without any client library between:
 * requests are sent as RESP arrays, replies come back as they stood on the wire, RESP2 or RESP3, in
 * latin1 (one char a byte). Commands may be pipelined; replies come in order.
 */
export class RawClient {
  #socket: Duplex
  #received = ''
  #waiting: { resolve: (reply: string) => void; reject: (error: Error) => void }[] = []
  #closed: Error | null = null

  private constructor(socket: Duplex) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.#take(text))
    socket.on('error', (error) => this.#end(error))
    socket.on('close', () => this.#end(new Error('the server closed the connection')))
  }

  static open(port: number, host = '127.0.0.1'): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, host)
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        socket.setNoDelay(true)
        resolve(new RawClient(socket))
      })
    })
  }

  /** A client on a stream that stands already. */
  static over(stream: Duplex): RawClient {
    return new RawClient(stream)
  }

  /** Sends one command and gives its reply's bytes: `$3\r\nbar\r\n`. Rejects if the connection ends. */
  command(...args: readonly (string | Buffer)[]): Promise<string> {
    return this.send(args)
  }

  /** The same for any number of arguments. */
  send(args: readonly (string | Buffer)[]): Promise<string> {
    if (this.#closed !== null) return Promise.reject(this.#closed)
    const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
    for (const arg of args) {
      const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg
      parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#socket.write(Buffer.concat(parts))
    })
  }

  /** GET as bytes; null when there is no such key. Rejects on an error reply. */
  async get(key: string | Buffer): Promise<Buffer | null> {
    const reply = await this.command('GET', key)
    if (reply === '$-1\r\n' || reply === '_\r\n') return null
    if (!reply.startsWith('$')) throw new Error(reply.trimEnd())
    return Buffer.from(reply.slice(reply.indexOf('\n') + 1, -2), 'latin1')
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(text: string): void {
    this.#received += text
    for (;;) {
      const end = replyEnd(this.#received, 0)
      if (end < 0) return
      const reply = this.#received.slice(0, end)
      this.#received = this.#received.slice(end)
      const waiter = this.#waiting.shift()
      // A push that nobody asked for has no waiter; anything else without one is the server's error.
      if (waiter !== undefined) waiter.resolve(reply)
      else if (!reply.startsWith('>')) this.#end(new Error(`a reply nobody asked for: ${reply}`))
    }
  }

  #end(error: Error): void {
    this.#closed ??= error
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error)
  }
}

/** Where the reply that begins at `from` ends, or -1 when more of it must come. */
export function replyEnd(text: string, from: number): number {
  const lineEnd = text.indexOf('\r\n', from)
  if (lineEnd < 0) return -1
  const next = lineEnd + 2
  const type = text[from]
  if (type === undefined || !'$=!*~>%'.includes(type)) return next
  const count = Number(text.slice(from + 1, lineEnd))
  if (count < 0) return next
  if ('$=!'.includes(type)) return next + count + 2 <= text.length ? next + count + 2 : -1
  let end = next
  for (let left = type === '%' ? 2 * count : count; left > 0 && end >= 0; left--) {
    end = replyEnd(text, end)
  }
  return end
}
