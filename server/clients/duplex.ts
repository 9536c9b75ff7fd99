import type { Duplex } from 'node:stream'
import type { Socket } from './connection.ts'
import { NO_TLS, type SocketHandler } from './listener.ts'
import type { IoMemory } from '../store/store.ts'

/**
 * Any duplex stream as a Socket: a test's pair of pipes, the simulator's network. What it
 * reads is copied into the read area, piece by piece.
 */
export class DuplexSocket implements Socket {
  readonly #stream: Duplex
  readonly remoteAddress: string
  readonly localAddress: string
  readonly fd = -1
  readonly distrust = NO_TLS

  constructor(stream: Duplex, addresses: { remote: string; local: string }) {
    this.#stream = stream
    this.remoteAddress = addresses.remote
    this.localAddress = addresses.local
  }

  attach(io: IoMemory, handler: SocketHandler): void {
    const size = io.readEnd - io.read
    this.#stream.on('data', (chunk: Uint8Array) => {
      for (let from = 0; from < chunk.length; from += size) {
        const piece = chunk.subarray(from, from + size)
        io.bytes.set(piece, io.read)
        handler.onBytes(piece.length)
      }
    })
    this.#stream.on('end', () => handler.onEnd())
    // What went wrong with one client's stream is that client's end, and no more.
    this.#stream.on('error', () => handler.onClose())
    this.#stream.on('close', () => handler.onClose())
  }

  get writableLength(): number {
    return this.#stream.writableLength
  }

  write(bytes: Uint8Array, done?: () => void): void {
    if (this.#stream.destroyed) return
    // A stream may keep what it is given for as long as it likes: it gets bytes of its own.
    this.#stream.write(bytes.slice(), done)
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  end(): void {
    this.#stream.end()
  }

  destroy(): void {
    this.#stream.destroy()
  }
}
