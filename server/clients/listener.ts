/**
 * Listening: TCP connections are accepted here and handed out as Sockets.
 *
 * Reading is where the cost lies. A stream's 'data' event allocates a fresh buffer for each read;
 * node:net's `onread` option reads into one static buffer instead and saves a quarter of the CPU at
 * a pipeline of 16. But `onread` is an option of `new net.Socket`, and `net.createServer` makes its
 * sockets itself. So the server accepts with `pauseOnConnect` (nothing is read yet), and a second
 * socket is put on the first one's handle:
 *
 *     kernel --accept--> net.Server --> accepted socket --_handle--> new net.Socket({ handle, onread })
 *                                       (left empty)                            |
 *                                                     all sockets read into the one read buffer
 *
 * `handle` and `_handle` are not documented, so before the first listener listens `canAdopt` sends
 * bytes through such a socket over loopback. Where that does not work, sockets are read by 'data'
 * events and their bytes copied into the same buffer: slower, and the same for all who use them.
 *
 * libuv reads a socket up to 32 times between two polls, as long as reads fill the buffer: a client
 * whose pipeline never ends would hold up all others for 2 MB of commands. So a socket that has
 * filled the buffer rests until the others that are ready have had their turn.
 *
 * TLS (for `tls-cluster`) is spoken on the same port. A connection's first byte tells: no request begins with
 * that of a handshake. Then what has been read is put back, a TLSSocket takes the socket's place, and its
 * clear bytes are copied into the read buffer.
 */
import { createServer, Socket as NetSocket, connect } from 'node:net'
import { TLSSocket } from 'node:tls'
import { MessageChannel, type Transferable } from 'node:worker_threads'
import type { AddressInfo, OnReadOpts, Server as NetServer } from 'node:net'
import { certificateFault } from '../../cluster/peers/certificate-fault.ts'
import { type Tls, TLS_HANDSHAKE } from './tls.ts'

/** Who is told what a socket does. */
export interface SocketHandler {
  /** `length` bytes have come and lie at the begin of the read buffer until this returns. */
  onBytes(length: number): void
  /** The other side sends no more, but may still read. */
  onEnd(): void
  /** The socket is gone, for whatever reason; the last call. */
  onClose(): void
}

/** An accepted connection. It reads nothing until a handler is attached. */
export interface ListenerSocket {
  /** Starts reading. Called once, in `onConnection` or later. */
  attach(handler: SocketHandler): void
  /**
   * Takes the bytes over until they have left: while `writableLength` is above 0 they are read from
   * where they lie. `done` is called once, when they have left or never will.
   */
  write(bytes: Uint8Array, done?: () => void): void
  /** Bytes not yet handed to the kernel. */
  readonly writableLength: number
  /** No more reads until `resume`. What was read already has been handed out. */
  pause(): void
  resume(): void
  /** Closes after what was written has left. */
  end(): void
  /** Closes now, dropping what was not sent. */
  destroy(): void
  /** Instead of `attach`: writes these bytes and closes, whatever the other side sends or does. */
  refuse(bytes: Uint8Array): void
  /** 'host:port', of IPv6 '[host]:port' as Redis writes it in CLIENT LIST. */
  readonly remoteAddress: string
  readonly localAddress: string
  /** -1 when the system does not tell. */
  readonly fd: number
  /** Why the other side is no node of a cluster with TLS; null: it has shown a certificate of its CA. */
  readonly distrust: string | null
}

export const NO_TLS = 'it does not speak TLS'

/** Where to listen. */
export interface ListenAddress {
  /** '*' is all IPv4, '::*' all IPv6 addresses. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  readonly backlog: number
}

/** How the sockets of a thread are served. */
export interface SocketOptions {
  /** Those that begin with a TLS handshake go on as TLS. Default: nobody speaks TLS. */
  readonly tls?: Tls | null
  /** Milliseconds that a TLS handshake may take, once it has begun. */
  readonly tlsHandshakeMs?: number
  /** Seconds of silence before the system probes a connection; 0: never. Read at each connection. */
  readonly keepAliveSeconds: () => number
  /** Where all sockets read into. */
  readonly readBuffer: Uint8Array
  /** False: sockets are read by 'data' events even where adopting works. */
  readonly adopt?: boolean
}

export interface ListenOptions extends ListenAddress, SocketOptions {
  /** Other threads listen on the same address, too: the system spreads connections over them. */
  readonly reusePort?: boolean
  onConnection(socket: ListenerSocket): void
  /**
   * A connection could not be accepted; listening goes on. Not for EMFILE: when no file descriptor
   * is left, libuv accepts with one it has in reserve and closes without a word (descriptors.ts).
   */
  onAcceptError(error: NodeJS.ErrnoException): void
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Are sockets read into the read buffer by the kernel itself? */
  readonly adopts: boolean
  /** Stops listening; accepted sockets live on. */
  close(): Promise<void>
}

/** Listens; rejects with the system's error (code EADDRINUSE, EACCES, EADDRNOTAVAIL ...). */
export async function listen(options: ListenOptions): Promise<Listener> {
  const taker = await openTaker(options)
  const onAccepted = (accepted: Accepted): void => options.onConnection(taker.take(accepted))
  return accept({ ...options, onAccepted }, taker.adopts)
}

/** A connection as it was accepted: unread, and owned by nobody yet. It can go to another thread. */
export type Accepted = NetSocket

/** Makes sockets of accepted connections. */
export interface Taker {
  readonly adopts: boolean
  take(accepted: Accepted): ListenerSocket
}

/** For connections that another thread has accepted. */
export async function openTaker(options: SocketOptions): Promise<Taker> {
  const { keepAliveSeconds, readBuffer, tls = null, tlsHandshakeMs = tlsHandshakeMsMax } = options
  const adopts = options.adopt !== false && (await (adoptable ??= canAdopt(readBuffer)))
  return {
    adopts,
    take: (accepted) => {
      const socket = new TcpSocket(accepted, { readBuffer, adopts, tls, tlsHandshakeMs })
      socket.keepAlive(keepAliveSeconds())
      return socket
    },
  }
}

export interface AcceptOptions extends ListenAddress, Pick<ListenOptions, 'reusePort'> {
  onAccepted(accepted: Accepted): void
  onAcceptError(error: NodeJS.ErrnoException): void
}

/** Listens for whoever gives connections to other threads. `adopts`: what these do. Rejects as `listen`. */
export async function accept(options: AcceptOptions, adopts: boolean): Promise<Listener> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true })
  server.on('connection', (accepted) => options.onAccepted(accepted))
  await listening(server, options)
  server.on('error', (error) => options.onAcceptError(error))
  const address = server.address() as AddressInfo
  return {
    host: address.address,
    port: address.port,
    adopts,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

function listening(
  server: NetServer,
  { host, port, backlog, reusePort = false }: AcceptOptions,
): Promise<void> {
  const address = anyAddress.get(host) ?? host
  const ipv6Only = address.includes(':')
  // `reusePort` is of Node 22.12; older ones pass over it.
  const options = { host: address, port, backlog, ipv6Only, reusePort }
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

const anyAddress: ReadonlyMap<string, string> = new Map([
  ['*', '0.0.0.0'],
  ['::*', '::'],
])

/** Who began a TLS handshake has so long for it. */
const tlsHandshakeMsMax = 5000
/**
 * A TLSSocket never says at once that bytes have left, though it has them encrypted: what is written to it is
 * copied, and counts as gone as long as no more than this is under way.
 */
const tlsAheadBytesMax = 64 * 1024

type ByteHandler = Pick<SocketHandler, 'onBytes'>

interface TcpSocketOptions {
  readonly readBuffer: Uint8Array
  readonly adopts: boolean
  readonly tls: Tls | null
  readonly tlsHandshakeMs: number
}

class TcpSocket implements ListenerSocket {
  readonly remoteAddress: string
  readonly localAddress: string
  readonly fd: number
  distrust: string | null = NO_TLS
  #socket: NetSocket
  readonly #readBuffer: Uint8Array
  readonly #adopted: boolean
  #handler: ByteHandler | null = null
  /** Copied into the read buffer since it rested. */
  #copiedBytes = 0
  /** Not null until the first byte has come, if that may begin a TLS handshake. */
  #mayTurnTo: Tls | null
  readonly #tlsHandshakeMs: number
  #isTls = false
  /** Its owner wants no more reads. */
  #paused = false
  /** It has filled the read buffer, and waits for the others to have their turn. */
  #resting = false

  constructor(accepted: NetSocket, { readBuffer, adopts, tls, tlsHandshakeMs }: TcpSocketOptions) {
    this.#readBuffer = readBuffer
    this.#adopted = adopts
    this.#mayTurnTo = tls
    this.#tlsHandshakeMs = tlsHandshakeMs
    this.fd = handleOf(accepted)?.fd ?? -1
    this.remoteAddress = joinAddress(accepted.remoteAddress, accepted.remotePort)
    this.localAddress = joinAddress(accepted.localAddress, accepted.localPort)
    this.#socket = adopts
      ? adoptSocket(accepted, readBuffer, (length) => {
          this.#handler!.onBytes(length)
          if (length === readBuffer.length) this.#rest()
        })
      : accepted
    // A lost connection is its client's end and no more: 'close' follows.
    this.#socket.on('error', () => {})
  }

  attach(handler: SocketHandler): void {
    this.#handler =
      this.#mayTurnTo === null || !this.#adopted ? handler : this.#untilDecided(handler)
    this.#listen(handler)
    this.#socket.resume()
  }

  get writableLength(): number {
    const { writableLength } = this.#socket
    return this.#isTls && writableLength <= tlsAheadBytesMax ? 0 : writableLength
  }

  write(bytes: Uint8Array, done?: () => void): void {
    // To write to what is gone makes an error object each time, which costs more than the write.
    if (this.#socket.writable) this.#socket.write(this.#isTls ? Buffer.from(bytes) : bytes, done)
    else if (done !== undefined) process.nextTick(done)
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    if (!this.#resting) this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  refuse(bytes: Uint8Array): void {
    this.#socket.end(bytes)
    this.#socket.destroySoon()
  }

  keepAlive(seconds: number): void {
    if (seconds > 0) this.#socket.setKeepAlive(true, seconds * 1000)
  }

  /** There is probably more to read: after the events that are ready now. */
  #rest(): void {
    if (this.#resting) return
    this.#resting = true
    this.#socket.pause()
    setImmediate(() => {
      this.#resting = false
      if (!this.#paused) this.#socket.resume()
    })
  }

  #listen(handler: SocketHandler): void {
    const socket = this.#socket
    socket.on('end', () => handler.onEnd())
    socket.on('close', () => handler.onClose())
    if (!this.#adopted || this.#isTls)
      socket.on('data', (chunk: Uint8Array) => this.#copy(chunk, handler))
  }

  /** Takes the first bytes in the handler's place. */
  #untilDecided(handler: SocketHandler): ByteHandler {
    return {
      onBytes: (length) => {
        this.#handler = handler
        const bytes = this.#readBuffer.subarray(0, length)
        if (!this.#turnsToTls(bytes, handler)) handler.onBytes(length)
      },
    }
  }

  /** Is this the begin of a TLS handshake, and are the bytes taken for it? Asked once. */
  #turnsToTls(bytes: Uint8Array, handler: SocketHandler): boolean {
    const tls = this.#mayTurnTo
    this.#mayTurnTo = null
    if (tls === null || bytes[0] !== TLS_HANDSHAKE) return false
    const tcp = this.#socket
    for (const event of ['end', 'close', 'data']) tcp.removeAllListeners(event)
    tcp.pause()
    tcp.unshift(Buffer.from(bytes))
    const secure = new TLSSocket(tcp, {
      ...{ isServer: true, secureContext: tls.context },
      // Who shows no certificate, or another one, may be a client, but no node.
      ...{ requestCert: true, rejectUnauthorized: false },
    })
    secure.disableRenegotiation()
    this.#isTls = true
    this.#socket = secure
    this.distrust = 'its TLS handshake has not ended'
    const deadline = setTimeout(() => secure.destroy(), this.#tlsHandshakeMs).unref()
    secure.on('secure', () => {
      clearTimeout(deadline)
      this.distrust = distrustOf(secure)
    })
    // Not documented, as 'secure' is not: what goes wrong after the handshake would end nothing otherwise.
    secure.on('_tlsError', () => secure.destroy())
    secure.on('error', () => {})
    secure.on('close', () => clearTimeout(deadline))
    this.#listen(handler)
    if (this.#paused) secure.pause()
    return true
  }

  #copy(chunk: Uint8Array, handler: SocketHandler): void {
    if (this.#mayTurnTo !== null && this.#turnsToTls(chunk, handler)) return
    const size = this.#readBuffer.length
    for (let from = 0; from < chunk.length; from += size) {
      const piece = chunk.subarray(from, from + size)
      this.#readBuffer.set(piece)
      handler.onBytes(piece.length)
    }
    // TLS hands out what it has read in pieces.
    this.#copiedBytes += chunk.length
    if (this.#copiedBytes < size) return
    this.#copiedBytes = 0
    this.#rest()
  }
}

/** The undocumented part of a socket: the system's handle that it reads and writes. */
interface Handle {
  readonly fd?: number
}

function handleOf(socket: NetSocket): Handle | null {
  return (socket as unknown as { _handle: Handle | null })._handle
}

/** The undocumented part of a TLSSocket that tells what OpenSSL thinks of the other side's certificate. */
interface TlsHandle {
  /** Null: it is good. */
  verifyError?(): (Error & { readonly code?: string }) | null
}

/** See ListenerSocket. Where OpenSSL cannot be asked nobody is trusted. */
function distrustOf(socket: TLSSocket): string | null {
  const { _handle: handle } = socket as unknown as { readonly _handle: TlsHandle | null }
  if (handle?.verifyError === undefined)
    return 'this Node.js does not tell what its certificate is worth'
  if (socket.getPeerX509Certificate() === undefined) return 'it has shown no certificate'
  const error = handle.verifyError()
  if (error === null) return null
  const { code = '', message } = error
  return certificateFault(code) ?? message
}

/** Puts a socket that reads into `readBuffer` on the handle of one that has read nothing yet. */
function adoptSocket(
  accepted: NetSocket,
  readBuffer: Uint8Array,
  onBytes: (length: number) => void,
): NetSocket {
  const handle = handleOf(accepted)
  const onread: OnReadOpts = {
    buffer: readBuffer,
    callback: (length) => {
      onBytes(length)
      return true
    },
  }
  // What it would begin to read when created is for a handler that is not attached yet.
  const options = { handle, onread, allowHalfOpen: true, pauseOnCreate: true }
  const socket = new NetSocket(options)
  const emptied = accepted as unknown as { _handle: Handle | null }
  emptied._handle = null
  // Without its handle this closes nothing; it only ends the server's count of this connection.
  accepted.destroy()
  return socket
}

/** Does adopting work on this Node? Asked once a process. */
let adoptable: Promise<boolean> | null = null

/** Milliseconds that a byte may take over loopback before adopting counts as broken. */
const canAdoptMsMax = 10_000

/**
 * Sends bytes through an adopted socket over loopback, both ways: they must come to lie in
 * `readBuffer`, and the answer must arrive. False also where loopback itself does not work.
 */
export function canAdopt(readBuffer: Uint8Array): Promise<boolean> {
  const question = Buffer.from('PING\r\n')
  return new Promise((resolve) => {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
    let client: NetSocket | null = null
    let adopted: NetSocket | null = null
    const timer = setTimeout(() => finish(false), canAdoptMsMax)
    const finish = (works: boolean): void => {
      clearTimeout(timer)
      client?.destroy()
      adopted?.destroy()
      server.close()
      resolve(works)
    }
    server.on('error', () => finish(false))
    server.on('connection', (accepted) => {
      try {
        adopted = adoptSocket(accepted, readBuffer, (length) => {
          const arrived = Buffer.from(readBuffer.subarray(0, length))
          if (arrived.equals(question)) adopted!.end(readBuffer.subarray(0, length))
          else finish(false)
        })
        adopted.on('error', () => finish(false))
        adopted.resume()
      } catch {
        finish(false)
      }
    })
    server.listen(0, '127.0.0.1', () => {
      const answer: Buffer[] = []
      client = connect((server.address() as AddressInfo).port, '127.0.0.1')
      client.on('error', () => finish(false))
      client.on('data', (chunk) => answer.push(chunk))
      client.on('end', () => finish(Buffer.concat(answer).equals(question)))
      client.write(question)
    })
  })
}

/** Can an accepted socket be handed to another thread? Node 24 and later can. */
export function canTransfer(): Promise<boolean> {
  const { port1, port2 } = new MessageChannel()
  return new Promise((resolve) => {
    let client: NetSocket | null = null
    const server = createServer({ pauseOnConnect: true })
    const timer = setTimeout(() => finish(false), canAdoptMsMax)
    const finish = (works: boolean): void => {
      clearTimeout(timer)
      client?.destroy()
      server.close()
      port1.close()
      resolve(works)
    }
    server.on('error', () => finish(false))
    server.on('connection', (accepted) => {
      try {
        port1.postMessage(accepted, [accepted as unknown as Transferable])
      } catch {
        accepted.destroy()
        finish(false)
      }
    })
    port2.on('message', (socket: NetSocket) => {
      const works = socket instanceof NetSocket && socket.remotePort === client?.localPort
      socket.destroy()
      finish(works)
    })
    server.listen(0, '127.0.0.1', () => {
      client = connect((server.address() as AddressInfo).port, '127.0.0.1')
      client.on('error', () => finish(false))
    })
  })
}

function joinAddress(host: string | undefined, port: number | undefined): string {
  if (host === undefined) return ''
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
