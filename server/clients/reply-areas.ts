import { Reply, type ReplyOverflow } from '../../protocol/reply.ts'
import type { IoMemory } from '../store/store.ts'

/**
 * Where the replies of one I/O thread are encoded, and when they leave.
 *
 * All connections write into one area of the thread's private memory, one behind the other. What a
 * read event wrote is *parked*: it stays where it is until the events that are ready now have had
 * their turn, and then each connection's bytes go out in one write.
 *
 *     area   | a: +OK +OK | b: $3 abc | c: :1 | a: $-1 |  free ...
 *             ^ parked                                  ^ the next one to be served writes here
 *
 * Why not at the end of each read event: on a busy server a write wakes the process on the other
 * side, which costs more than the write itself, and the earlier the more often. Ten clients that
 * are ready at the same time are answered by ten writes one right after the other, as Redis does in
 * `beforeSleep`; a client that is alone waits for nobody.
 *
 * A write that the kernel takes only in part leaves Node with a pointer to the rest, so the area is
 * not ours until that has left: it is *given away*, and the thread goes on with a spare one. When
 * none is spare, bytes are copied before they are written.
 */

/** The area in which slots' replies are encoded begins so small, and is dropped when so large. */
const SLOT_AREA_BYTES = 4096
const SLOT_AREA_BYTES_MAX = 256 * 1024

/** A connection's way out, as the areas see it. */
export interface ParkingOutput {
  /** 2 or 3: how its replies are encoded. */
  readonly protocol: number
  /** The area is full or the command is done: hands over what it has written. */
  flush(): void
  /**
   * Writes what was parked. True: not all of it has left, so `bytes` must not change until
   * `areas.release(area)` is called; if `area` is negative the bytes are its own.
   */
  writeParked(bytes: Uint8Array, area: number): boolean
  /** Sends what has become ready. */
  sendLate(): void
}

/** The reply areas of one I/O thread and the encoder that writes to the current one. */
export class ReplyAreas implements ReplyOverflow {
  readonly reply: Reply
  /** Encodes the replies of slots, on the heap. */
  readonly #slotReply: Reply
  readonly #bytes: Uint8Array
  readonly #areaBytes: number
  readonly #free: number[]
  /** By the area's first position: connections that wait for a part of it to leave. */
  readonly #holders = new Map<number, number>()
  readonly #soon: (run: () => void) => void
  #current: number
  /** Where the current area is free: behind what is parked. */
  #next: number
  /** The connection whose command writes now. */
  #owner: ParkingOutput | null = null
  #late: ParkingOutput[] = []
  /** What is parked: each output with the bytes [from, to) of the current area. */
  #parked: ParkingOutput[] = []
  #from: number[] = []
  #to: number[] = []
  #isDue = false
  /** What is parked is being written: who is served meanwhile must not park. */
  isSending = false
  readonly #send = (): void => {
    this.#isDue = false
    this.sendParked()
  }

  /** `soon` runs something once the events that are ready now were handled. */
  constructor(io: IoMemory, soon: (run: () => void) => void) {
    this.#bytes = io.bytes
    this.#areaBytes = io.replyBytes
    this.#free = io.replies.slice(1)
    this.#current = io.replies[0]!
    this.#next = this.#current
    this.#soon = soon
    this.reply = new Reply(this)
    this.#slotReply = new Reply({ overflow: (reply, need) => growOnHeap(reply, need) })
    this.#slotReply.use(new Uint8Array(SLOT_AREA_BYTES), 0, SLOT_AREA_BYTES, false)
    this.#useCurrent()
  }

  get owner(): ParkingOutput | null {
    return this.#owner
  }

  /** From now on the area is written for this connection, in its protocol. */
  own(output: ParkingOutput | null): void {
    this.#owner = output
    if (output !== null) this.reply.protocol = output.protocol
  }

  overflow(reply: Reply, need: number): void {
    this.#owner!.flush()
    this.sendParked()
    // A single reply larger than an area goes through the heap; it leaves with the next flush.
    if (need > this.#areaBytes) reply.use(new Uint8Array(need), 0, need, false)
  }

  /** Is the encoder in the I/O memory (and not in a large area on the heap)? */
  get isHome(): boolean {
    return this.reply.bytes === this.#bytes
  }

  /** What was written and not parked is dropped, or was taken. */
  reset(): void {
    if (this.isHome) this.reply.pos = this.reply.start
    else this.#useCurrent()
  }

  /** What the owner has written leaves with all others, after the events that are ready now. */
  park(output: ParkingOutput): void {
    const { reply } = this
    this.#parked.push(output)
    this.#from.push(reply.start)
    this.#to.push(reply.pos)
    this.#next = reply.pos
    reply.start = reply.pos
    if (this.#isDue) return
    this.#isDue = true
    this.#soon(this.#send)
  }

  /** Writes all that is parked. Nothing may stand in the area that is not. */
  sendParked(): void {
    if (this.isSending) return
    const parked = this.#parked
    const from = this.#from
    const to = this.#to
    if (parked.length > 0) {
      this.#parked = []
      this.#from = []
      this.#to = []
      const mayGiveAway = this.#free.length > 0
      const area = mayGiveAway ? this.#current : -1
      let held = 0
      this.isSending = true
      for (let i = 0; i < parked.length; i++) {
        const bytes = mayGiveAway
          ? this.#bytes.subarray(from[i], to[i])
          : this.#bytes.slice(from[i], to[i])
        if (parked[i]!.writeParked(bytes, area) && mayGiveAway) held++
      }
      this.isSending = false
      if (held > 0) {
        this.#holders.set(area, held)
        this.#current = this.#free.pop()!
      }
    }
    this.#next = this.#current
    this.#useCurrent()
  }

  /** One that held an area holds it no longer. */
  release(area: number): void {
    const left = this.#holders.get(area)! - 1
    if (left > 0) {
      this.#holders.set(area, left)
    } else {
      this.#holders.delete(area)
      this.#free.push(area)
    }
  }

  /** A reply in bytes of its own; `protocol` is 2 or 3. `heed` sees the encoder when it is done. */
  encode(protocol: number, write: (reply: Reply) => void, heed: (reply: Reply) => void): Buffer {
    const reply = this.#slotReply
    reply.protocol = protocol
    write(reply)
    const bytes = reply.take()
    heed(reply)
    if (reply.end > SLOT_AREA_BYTES_MAX) {
      reply.use(new Uint8Array(SLOT_AREA_BYTES), 0, SLOT_AREA_BYTES, false)
    }
    return bytes
  }

  /** Has `output.sendLate()` called once, after the input that is ready now. */
  sendSoon(output: ParkingOutput): void {
    this.#late.push(output)
    if (this.#late.length > 1) return
    this.#soon(() => {
      const late = this.#late
      this.#late = []
      for (const each of late) each.sendLate()
    })
  }

  #useCurrent(): void {
    this.reply.use(this.#bytes, this.#next, this.#current + this.#areaBytes)
  }
}

/** Doubles a heap area, keeping what was written. */
function growOnHeap(reply: Reply, need: number): void {
  const written = reply.pos - reply.start
  const size = Math.max(2 * (reply.end - reply.start), written + need)
  const bytes = new Uint8Array(size)
  bytes.set(reply.bytes.subarray(reply.start, reply.pos))
  reply.use(bytes, 0, size, false)
  reply.pos = written
}
