import { Buffer } from 'node:buffer'
import type { BigBulk } from '../../protocol/args.ts'
import { BIG, COMMAND, type Decoder, ERROR, MORE } from '../../protocol/decoder.ts'
import type { IoMemory, Pages, Store } from '../store/store.ts'

/**
 * The way in of one connection: bytes become commands.
 *
 * A read fills the thread's read area. The decoder wants a command's bytes to be contiguous, so
 * what an unfinished command left behind is kept on the heap and, at the next read, copied so that
 * it ENDS where the read area begins:
 *
 *     I/O memory   [ carry ......... kept ][ read: new bytes ...... ]
 *                                    ^ the command begins here
 *
 * Three cases leave that path. Kept bytes that outgrow the carry (an MGET of ten thousand keys) make
 * the connection's own heap buffer the place of decoding until it is empty again. A bulk over the
 * decoder's `bigBytesMin` is taken out of the stream into pages of the store as its bytes arrive,
 * and what stands before it is joined to what follows. And when the output is not ready, execution
 * stops between two commands: the rest is kept, and `resume` goes on with it before anything new is
 * read.
 */

export interface InputEvents {
  /** Executes the command in the decoder's args. */
  onCommand(): void
  /**
   * More commands may follow in bytes[from, to): time to fetch what they will need. Returns where to
   * look next.
   */
  lookAhead(bytes: Uint8Array, from: number, to: number): number
  /** The bytes break the protocol: answer `line` and close. */
  onProtocolError(line: string): void
  /** May the next command be executed now? If not, `resume` is called later. */
  mayExecute(): boolean
}

/** Stands for a bulk that memory could not hold: its bytes were skipped. */
class LostBulk implements BigBulk {
  readonly length: number
  constructor(length: number) {
    this.length = length
  }
  toBuffer(): Buffer {
    return Buffer.alloc(0)
  }
  head(): Buffer {
    return Buffer.alloc(0)
  }
}

export class Input {
  readonly #io: IoMemory
  readonly #store: Store
  readonly #decoder: Decoder
  readonly #events: InputEvents
  /** Bytes of an unfinished command (or of commands not yet executed): [0, keptLength). */
  #kept: Uint8Array = NONE
  #keptLength = 0
  /** A command whose bytes stand among the kept ones goes on with them: they are read only. */
  #handedOver = false
  /** A big bulk being received, and how many bytes (its CRLF included) are still to come. */
  #big: Pages | null = null
  #bigLength = 0
  #bigMissing = 0
  /** Pages of the command being received. */
  #pages: Pages[] = []
  /** A bulk of this command did not fit in memory. */
  #lost = false
  #ended = false

  constructor(store: Store, decoder: Decoder, events: InputEvents) {
    this.#io = store.io
    this.#store = store
    this.#decoder = decoder
    this.#events = events
  }

  /** Bytes held for this connection between two reads, pages not included. */
  get heldBytes(): number {
    return this.#keptLength + this.#decoder.heldBytes
  }

  /** Bytes received and not yet executed. */
  get waitingBytes(): number {
    let sum = this.#keptLength
    for (const pages of this.#pages) sum += pages.length
    return sum
  }

  /** Did a bulk of the command in args not fit in memory? Then it is to be answered with OOM. */
  get lost(): boolean {
    return this.#lost
  }

  /** `length` new bytes lie at the read area's begin. */
  feed(length: number): void {
    if (this.#ended) return
    let from = this.#io.read
    const to = from + length
    if (this.#bigMissing > 0) {
      from = this.#receive(this.#io.bytes, from, to)
      if (this.#bigMissing > 0) return
      this.#endBig()
    }
    if (this.#keptLength === 0) {
      this.#run(this.#io.bytes, from, to)
    } else if (this.#keptLength <= from - this.#io.carry) {
      const at = from - this.#keptLength
      this.#io.bytes.set(this.#kept.subarray(0, this.#keptLength), at)
      this.#keptLength = 0
      if (this.#kept.length > keptIdleMax) this.#kept = NONE
      this.#run(this.#io.bytes, at, to)
    } else {
      this.#append(this.#io.bytes, from, to)
      this.#runKept()
    }
  }

  /** Goes on with what was kept while the output was not ready. */
  resume(): void {
    if (this.#keptLength > 0 && this.#bigMissing === 0) this.#runKept()
  }

  /**
   * Do these bytes, of the command that runs, lie on the heap? Then they are not written again: who
   * asked may keep them.
   */
  handOver(bytes: Uint8Array): boolean {
    if (bytes !== this.#kept) return false
    this.#handedOver = true
    return true
  }

  /** The pages of the command that runs are the caller's to release. */
  handOverPages(): void {
    this.#pages = []
  }

  /** Takes no more bytes, and gives pages back. */
  end(): void {
    this.#ended = true
    this.#releasePages()
    this.#big?.release()
    this.#big = null
    this.#kept = NONE
    this.#keptLength = 0
  }

  #runKept(): void {
    const kept = this.#kept
    const length = this.#keptLength
    this.#keptLength = 0
    this.#run(kept, 0, length)
    this.#handedOver = false
    if (this.#keptLength === 0) this.#kept = NONE
  }

  #run(bytes: Uint8Array, from: number, to: number): void {
    this.#runAll(bytes, from, to)
    this.#store.forgetFetched()
  }

  #runAll(bytes: Uint8Array, from: number, to: number): void {
    const decoder = this.#decoder
    const events = this.#events
    let position = from
    /** From here on nobody has looked ahead. The first command is not worth it: it runs at once. */
    let ahead = from + 1
    for (;;) {
      if (this.#ended) return
      if (!events.mayExecute()) {
        if (!this.#ended) this.#keep(bytes, position, to)
        return
      }
      const status = decoder.next(bytes, position, to)
      if (status === COMMAND) {
        events.onCommand()
        if (this.#pages.length > 0 || this.#lost) this.#releasePages()
        position = decoder.end
        if (position >= ahead && position < to) ahead = events.lookAhead(bytes, position, to)
      } else if (status === MORE) {
        this.#keep(bytes, decoder.base, to)
        return
      } else if (status === BIG) {
        position = this.#beginBig(bytes, to)
        if (position < 0) return
      } else if (status === ERROR) {
        events.onProtocolError(decoder.error)
        return
      }
    }
  }

  /**
   * Receives what has come of a big bulk. Returns where decoding goes on: the command's bytes
   * before the bulk, moved up to end where the bytes after it begin. Negative: more has to come.
   */
  #beginBig(bytes: Uint8Array, to: number): number {
    const { base, end, bigLength } = this.#decoder
    this.#bigLength = bigLength
    this.#bigMissing = bigLength + 2
    // A longer bulk is skipped, not received: no store of this size could hold it.
    this.#big = bigLength <= this.#store.maxMemory / 2 ? this.#store.pages() : null
    const after = this.#receive(bytes, end, to)
    if (this.#bigMissing > 0) {
      this.#keep(bytes, base, end)
      return -1
    }
    this.#endBig()
    const position = after - (end - base)
    this.#store.forgetFetched()
    bytes.copyWithin(position, base, end)
    return position
  }

  /** Moves bytes of the big bulk into its pages; returns the index after those that belong to it. */
  #receive(bytes: Uint8Array, from: number, to: number): number {
    const taken = Math.min(to - from, this.#bigMissing)
    // The last two of what is missing are the CRLF, which is skipped unread, as Redis does.
    const data = Math.min(taken, Math.max(0, this.#bigMissing - 2))
    if (this.#big !== null && data > 0 && !this.#big.write(bytes, from, data)) this.#big = null
    this.#bigMissing -= taken
    return from + taken
  }

  #endBig(): void {
    if (this.#big === null) {
      this.#lost = true
      this.#decoder.endBig(new LostBulk(this.#bigLength))
    } else {
      this.#pages.push(this.#big)
      this.#decoder.endBig(this.#big)
      this.#big = null
    }
  }

  #releasePages(): void {
    for (const pages of this.#pages) pages.release()
    this.#pages = []
    this.#lost = false
  }

  #keep(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from
    if (bytes === this.#kept && !this.#handedOver) {
      this.#kept.copyWithin(0, from, to)
    } else if (length > 0) {
      if (this.#handedOver || this.#kept.length < length) this.#kept = new Uint8Array(length)
      this.#kept.set(bytes.subarray(from, to))
    }
    this.#keptLength = length
  }

  #append(bytes: Uint8Array, from: number, to: number): void {
    const length = this.#keptLength + (to - from)
    if (this.#kept.length < length) {
      const grown = unwritten(Math.max(length, 2 * this.#kept.length, this.#reserve(length)))
      grown.set(this.#kept.subarray(0, this.#keptLength))
      this.#kept = grown
    }
    this.#kept.set(bytes.subarray(from, to), this.#keptLength)
    this.#keptLength = length
  }

  /**
   * To double it again and again would copy megabytes in the end, while all others wait. Memory that
   * nothing is written to costs nothing, so there is room for what the command promises to become;
   * within limits, for promises are cheap.
   */
  #reserve(length: number): number {
    const expected = 1.5 * this.#decoder.bytesExpected
    return Math.floor(Math.min(expected, reserveFactorMax * length, reserveBytesMax))
  }
}

/** Bytes that may be anything: the system need not clear them. */
function unwritten(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}

/** Room for so many times the bytes that have come, and for so many bytes, is made at most. */
const reserveFactorMax = 16
const reserveBytesMax = 64 * 1024 * 1024
const NONE = new Uint8Array(0)
/** A buffer larger than this is not kept for the next unfinished command. */
const keptIdleMax = 4096
