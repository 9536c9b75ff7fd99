/*
 * Several connections to one server, of which each keeps the whole stream of what it was sent: replies
 * and messages as they stood on the wire. For comparing what publish and subscribe sends.
 */
import { connect, type Socket } from 'node:net'

/** A connection, and all that came over it. */
export class Party {
  readonly #socket: Socket
  #received = ''
  #closed = false
  #wake: () => void = () => {}
  #marks = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.#received += text
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  static async open(port: number): Promise<Party> {
    const socket = connect(port, '127.0.0.1')
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve())
      socket.once('error', reject)
    })
    return new Party(socket)
  }

  /** What came since the last time. */
  take(): string {
    const received = this.#received
    this.#received = ''
    return received
  }

  get received(): string {
    return this.#received
  }

  get isClosed(): boolean {
    return this.#closed
  }

  send(...words: readonly (string | Buffer)[]): void {
    this.#send(words)
  }

  #send(words: readonly (string | Buffer)[]): void {
    const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)]
    for (const word of words) {
      const bytes = Buffer.from(word)
      parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
    }
    this.#socket.write(Buffer.concat(parts))
  }

  /** Bytes as they are. */
  write(bytes: string): void {
    this.#socket.write(bytes, 'latin1')
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Resolves when this holds of what came, or the connection has ended. */
  async until(holds: (received: string) => boolean): Promise<void> {
    while (!holds(this.#received) && !this.#closed) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Has the server answer once more, so that all it sent before is here. The answer is taken out. */
  async settle(): Promise<void> {
    if (this.#closed) return
    const mark = `settled-${this.#marks++}`
    const bulk = `$${mark.length}\r\n${mark}\r\n`
    this.send('PING', mark)
    await this.until((received) => received.includes(bulk))
    this.#received = this.#received.replace(`*2\r\n$4\r\npong\r\n${bulk}`, '').replace(bulk, '')
  }

  /** The reply to one command. */
  ask(...words: readonly (string | Buffer)[]): Promise<string> {
    return this.#ask(words)
  }

  /** The same with any number of words. */
  askAll(name: string, words: readonly string[]): Promise<string> {
    return this.#ask([name, ...words])
  }

  async #ask(words: readonly (string | Buffer)[]): Promise<string> {
    this.#send(words)
    await this.settle()
    return this.take()
  }

  close(): void {
    this.#socket.destroy()
  }
}
