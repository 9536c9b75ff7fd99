import type { Timer } from '../../cluster/world.ts'
import { Decoder } from '../../protocol/decoder.ts'
import type { Reply } from '../../protocol/reply.ts'
import { Client, type ClientConnection } from './client.ts'
import { dispatch } from '../dispatch.ts'
import { Input } from './input.ts'
import type { IoThread } from '../io-thread.ts'
import { type ByteSink, Output } from './output.ts'
import { limits, OutputWatch } from './output-limits.ts'
import { counter } from '../stats.ts'

/** What a connection needs of its socket (or of any duplex stream behind the same face). */
export interface Socket extends ByteSink {
  /** No more reads until `resume`. */
  pause(): void
  resume(): void
  /** 'host:port', '' when there is none. */
  readonly remoteAddress: string
  readonly localAddress: string
  /** -1 when there is none. */
  readonly fd: number
  /** See ClientConnection. */
  readonly distrust: string | null
}

/** For so long a client that was told good-bye may leave its side of the connection open. */
const lingerMsMax = 1000

/** Bytes that are read of a client that waits in WAIT or for the end of a pause. */
const blockedBytesMax = 64 * 1024

/**
 * One socket: its bytes go in through Input, its commands through dispatch, its replies out through
 * Output. The owner of the socket calls `onBytes` when bytes lie in the thread's read area, and
 * `onClose` once, at the end.
 */
export class Connection implements ClientConnection {
  readonly client: Client
  readonly output: Output
  readonly decoder: Decoder
  readonly #server: IoThread
  readonly #socket: Socket
  readonly #input: Input
  #paused = false
  /** No further commands; close once what is under way is answered. */
  #closing = false
  #halfClosed = false
  #closed = false
  /** Ends a socket whose other side does not close. */
  #linger: Timer | null = null
  readonly #outputWatch = new OutputWatch()
  /** Bytes came or left since `idleMs` was asked for, and when that was known, on the clock's scale. */
  #wasActive = true
  #activeAt = 0
  bytesRead = 0
  bytesWritten = 0

  constructor(server: IoThread, socket: Socket, id: number) {
    this.#server = server
    this.#socket = socket
    this.output = new Output(socket, server.areas, this)
    this.client = new Client(server, this, {
      id,
      address: socket.remoteAddress,
      localAddress: socket.localAddress,
      authenticated: server.config.requirepass === '',
    })
    if (server.isStranger(socket.remoteAddress)) this.client.beStranger()
    this.decoder = new Decoder(this.client.connectionArgs, server.decoderLimits)
    this.decoder.restricted = !this.client.authenticated
    this.#input = new Input(server.store, this.decoder, this)
  }

  get distrust(): string | null {
    return this.#socket.distrust
  }
  get fd(): number {
    return this.#socket.fd
  }
  get queryBytes(): number {
    return this.#input.waitingBytes
  }
  get heldBytes(): number {
    return this.#input.heldBytes
  }
  get outputBytes(): number {
    return this.output.queuedBytes
  }
  /** A bulk of the command in args was larger than memory allows. */
  get lostBulk(): boolean {
    return this.#input.lost
  }

  /** `length` new bytes lie at the begin of the thread's read area. */
  onBytes(length: number): void {
    if (this.#closed) return
    const server = this.#server
    this.bytesRead += length
    this.#wasActive = true
    const { row } = server.stats
    row[counter.netInputBytes]! += length
    row[counter.reads]!++
    this.#begin()
    this.#input.feed(length)
    this.#finish()
  }

  /** The client takes bytes again, or commands may run again. Execute what was kept, then read on. */
  onReady(): void {
    if (this.#closed) return
    this.#begin()
    this.#input.resume()
    this.#finish()
    if (this.#halfClosed && this.mayExecute()) this.output.end()
    if (this.#paused && this.mayExecute()) {
      this.#paused = false
      this.#socket.resume()
    }
  }

  onSent(bytes: number): void {
    this.bytesWritten += bytes
    this.#wasActive = true
    const { row } = this.#server.stats
    row[counter.netOutputBytes]! += bytes
    row[counter.writes]!++
  }

  onErrors(reply: Reply): void {
    this.#server.countErrors(reply)
  }

  onCommand(): void {
    dispatch(this.#server, this)
    this.decoder.restricted = !this.client.authenticated
  }

  lookAhead(bytes: Uint8Array, from: number, to: number): number {
    return this.#server.lookAhead.look(this.client.db, bytes, from, to)
  }

  onProtocolError(line: string): void {
    this.#server.areas.reply.error(line)
    this.closeAfterReply()
  }

  mayExecute(): boolean {
    return this.output.ready && !this.#server.gate.frozen
  }

  /** The other side has sent all it will: answer what is under way, then close. */
  onEnd(): void {
    if (this.#closed) return
    // As in Redis: who leaves no longer wants what waits for the end of a pause, or of WAIT.
    if (this.client.isBlocked) return this.destroy()
    if (this.#input.waitingBytes > 0 && !this.mayExecute()) this.#halfClosed = true
    else this.output.end()
  }

  /**
   * All replies have left, and there will be no more: as in Redis this is nobody's client from now on,
   * whether or not the other side closes too. What it still sends is read, since a socket that is closed
   * with unread bytes takes the last replies with it, and dropped.
   */
  onEnded(): void {
    const { clock } = this.#server.world
    this.#linger = clock.after(lingerMsMax, () => this.#socket.destroy())
    if (this.#paused) this.#socket.resume()
    this.onClose()
  }

  onClose(): void {
    if (this.#closed) {
      this.#linger?.cancel()
      return
    }
    this.#closed = true
    this.#input.end()
    this.output.close()
    this.client.leave()
    this.#server.forget(this)
  }

  /**
   * For how long nothing came and nothing left, as precise as this is asked for. Who waits for an
   * answer of ours is not idle.
   */
  idleMs(nowMs: number): number {
    if (this.#wasActive || this.output.owesReply) {
      this.#wasActive = false
      this.#activeAt = nowMs
    }
    return nowMs - this.#activeAt
  }

  /** Lets this connection speak first (a refusal, a greeting). */
  say(write: () => void): void {
    this.#begin()
    write()
    this.#finish()
  }

  closeAfterReply(): void {
    if (this.#closed || this.#closing) return
    this.#closing = true
    this.#input.end()
    // Who does not read never learns that the other side has closed, too.
    if (this.#paused) this.#socket.resume()
    // While a command of this connection runs its reply may still have to be written.
    if (this.#server.areas.owner !== this.output) this.output.end()
  }

  destroy(): void {
    this.#socket.destroy()
    this.onClose()
  }

  handOver(bytes: Uint8Array): boolean {
    return this.#input.handOver(bytes)
  }

  handOverPages(): void {
    this.#input.handOverPages()
  }

  /** Sends bytes that answer no command. */
  push(bytes: Uint8Array): void {
    this.output.push(bytes)
    this.judgeOutput()
  }

  /** Closes the client if more is queued for it than its class may have; to be called now and then. */
  judgeOutput(): void {
    const { client } = this
    // Of another node, whose requests many clients wait for.
    if (this.#closed || client.peer !== null) return
    const { clock } = this.#server.world
    const { tracker } = client
    const isTold =
      client.isMonitor ||
      client.isSubscriber ||
      client.hearsOthers ||
      tracker?.options.bcast === true
    const limit = this.#server.outputLimits[isTold ? 'pubsub' : 'normal']
    if (!limits(limit) || !this.#outputWatch.exceeds(limit, this.outputBytes, clock.now())) return
    this.#server.log.warning(
      { client: client.id, address: client.address, bytes: this.outputBytes },
      'closing a client for overcoming of output buffer limits',
    )
    this.destroy()
  }

  /** A client that may be blocked for ever is read from all the same, for else it could not leave. */
  get #listens(): boolean {
    return this.client.isBlocked && this.#input.heldBytes < blockedBytesMax
  }

  #begin(): void {
    const server = this.#server
    const now = server.world.clock.now()
    server.store.now = now
    if (now > server.stalledAt) server.wake(now)
    server.timer.begin(now)
    this.output.beginTurn()
    server.areas.own(this.output)
  }

  #finish(): void {
    const output = this.output
    this.#server.timer.end()
    output.flush()
    this.#server.areas.own(null)
    if (this.#closed) return
    if (this.#closing) {
      output.end()
      return
    }
    if (this.#input.heldBytes > this.#server.config['client-query-buffer-limit']) {
      this.#server.log.warning(
        { client: this.client.id, bytes: this.#input.heldBytes },
        'closing a client that reached the query buffer limit',
      )
      this.destroy()
    } else if (!this.mayExecute() && !this.#paused && !this.#listens) {
      this.#paused = true
      this.#socket.pause()
      this.judgeOutput()
    }
  }
}
