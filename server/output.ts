import { Buffer } from 'node:buffer'
import { replyTooLong } from '../protocol/errors.ts'
import { Reply, type ReplyOverflow } from '../protocol/reply.ts'
import type { IoMemory, Pages } from './store/store.ts'

/**
 * The way out of one connection: replies in the order of their requests, one write for all replies
 * of a read event, and back-pressure.
 *
 * A command writes its reply into the reply area, a stretch of the thread's private memory that all
 * connections take turns with. At the end of the read event the area goes to the socket in one
 * write. Two things break that simple picture:
 *
 * - A command that must wait (a load, another node) takes a slot. From then on this connection has
 *   a queue: `[bytes] [slot] [bytes] [pages] ...`. Later commands go on executing and their bytes
 *   line up behind the slot; whatever is ready at the queue's head is sent.
 * - The client does not read. Then the kernel takes only a part of a write, Node keeps our pointer
 *   to the rest, and the area is no longer ours until that rest has left: it is given away and the
 *   thread goes on with another. `writableLength` tells (0: all gone). A 'drain' event may never
 *   come after a partial write, so we wait for the callback of an empty write behind it. Until then
 *   `ready` is false: no command of this connection is executed and nothing is read.
 */

/** Bytes that may stand in the queue before the connection stops executing commands. */
export const queueBytesMax = 1024 * 1024
/** Slots that may be open before the connection stops executing commands. */
const openSlotsMax = 1024
/** Of a peer, on whose link many clients' requests come: those that wait must not stop the others. */
const peerSlotsMax = 65_536
/** A new connection begins with so many, until it is seen how long their replies are. */
const openSlotsFirst = 32
/** Bytes that the replies of all open slots together may be expected to have. */
const slotBytesMax = 16 * 1024 * 1024
/** A longer bulk string is sent from where it lies. */
const copiedBytesMax = 16 * 1024
/** What a command over several nodes may gather on this one. */
const gatheredBytesMax = 512 * 1024 * 1024
/** Bytes of a value in pages that are written in one turn, so that others get theirs. */
const pagesBytesPerTurn = 1024 * 1024
/** Queued bytes that are joined to one write. */
const joinBytesMax = 256 * 1024

/** The area in which slots' replies are encoded begins so small, and is dropped when so large. */
const slotAreaBytes = 4096
const slotAreaBytesMax = 256 * 1024

/** `:9007199254740991` and CRLF, generously. */
const requestIdBytesMax = 32

const EMPTY = new Uint8Array(0)

/** What Output needs of a socket. */
export interface ByteSink {
  /** Takes the bytes over until they are written. `done` is called when all so far are. */
  write(bytes: Uint8Array, done?: () => void): void
  /** Bytes not yet handed to the kernel. */
  readonly writableLength: number
  /** Closes after what was written. */
  end(): void
  destroy(): void
}

/** A place in the order of replies, taken by a command that must wait. */
export interface Slot {
  readonly settled: boolean
  /** The peer request that waits for it; 0: none does. */
  readonly requestId: number
  /** Writes the reply; called once. Nothing happens if the connection is gone. */
  settle(write: (reply: Reply) => void): void
  /** The reply is this bulk string. The bytes are shared, not copied: nobody may change them. */
  settleBulk(value: Buffer): void
  /**
   * Lets `run` answer as if its command ran now: what it writes to the thread's reply, pages and
   * slots that it takes too. When all of it is there, `judge` may put an error line in its place.
   */
  answer(run: () => void, judge?: () => string | null): void
}

/** The reply areas of one I/O thread and the encoder that writes to the current one. */
export class ReplyAreas implements ReplyOverflow {
  readonly reply: Reply
  /** Encodes the replies of slots, on the heap. */
  readonly slotReply: Reply
  readonly #bytes: Uint8Array
  readonly #areaBytes: number
  readonly #free: number[]
  readonly #soon: (run: () => void) => void
  #current: number
  /** The connection whose command writes now. */
  #owner: Output | null = null
  #late: Output[] = []

  constructor(io: IoMemory, soon: (run: () => void) => void) {
    this.#bytes = io.bytes
    this.#areaBytes = io.replyBytes
    this.#free = io.replies.slice(1)
    this.#current = io.replies[0]!
    this.#soon = soon
    this.reply = new Reply(this)
    this.slotReply = new Reply({
      overflow: (reply, need) => growOnHeap(reply, need),
    })
    this.slotReply.use(new Uint8Array(slotAreaBytes), 0, slotAreaBytes, false)
    this.#useCurrent()
  }

  get owner(): Output | null {
    return this.#owner
  }

  get spare(): number {
    return this.#free.length
  }

  /** From now on the reply area is written for this connection, in its protocol. */
  own(output: Output | null): void {
    this.#owner = output
    if (output !== null) this.reply.protocol = output.protocol
  }

  overflow(_reply: Reply, need: number): void {
    this.#owner!.flush()
    // A single reply larger than an area goes through the heap; it leaves with the next flush.
    if (need > this.#areaBytes) this.reply.use(new Uint8Array(need), 0, need, false)
  }

  /** Is the current area in the I/O memory (and not a large one on the heap)? */
  get isHome(): boolean {
    return this.reply.bytes === this.#bytes
  }

  /** The area is empty again. */
  reset(): void {
    if (this.isHome) this.reply.pos = this.reply.start
    else this.#useCurrent()
  }

  /** Gives the current area away and goes on with a spare one; `spare` must not be 0. */
  giveAway(): number {
    const given = this.#current
    this.#current = this.#free.pop()!
    this.#useCurrent()
    return given
  }

  takeBack(area: number): void {
    this.#free.push(area)
  }

  /** Has `output.send()` called once, after the input that is ready now. */
  sendSoon(output: Output): void {
    this.#late.push(output)
    if (this.#late.length > 1) return
    this.#soon(() => {
      const late = this.#late
      this.#late = []
      for (const each of late) each.sendLate()
    })
  }

  #useCurrent(): void {
    this.reply.use(this.#bytes, this.#current, this.#current + this.#areaBytes)
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

/** A value in pages, or a range of it, partly sent. */
class PagesPart {
  readonly pages: Pages
  /** What is sent next, and where it ends. */
  at: number
  readonly end: number
  constructor(pages: Pages, from: number, length: number) {
    this.pages = pages
    this.at = from
    this.end = from + length
  }
}

type Part = Uint8Array | PagesPart | OpenSlot

class OpenSlot implements Slot {
  readonly #output: Output
  readonly protocol: number
  /** For a peer's request: its reply leaves at once, whatever stands before it, under this id. */
  readonly requestId: number
  /** Takes the reply instead of the client. */
  readonly hear: ((reply: Buffer) => void) | null
  parts: Part[] | null = null
  /** Taken by a command that runs to answer another slot: it is a part of that one's reply. */
  readonly isPart: boolean
  /** What waits for a part to be filled. */
  onFilled: (() => void) | null = null
  judge: (() => string | null) | null = null
  settled = false

  constructor(
    output: Output,
    to: {
      protocol: number
      requestId?: number
      hear?: (reply: Buffer) => void
      isPart?: boolean
    },
  ) {
    this.#output = output
    this.protocol = to.protocol
    this.requestId = to.requestId ?? 0
    this.hear = to.hear ?? null
    this.isPart = to.isPart ?? false
  }

  settle(write: (reply: Reply) => void): void {
    if (this.settled) return
    this.settled = true
    this.#output.settleSlot(this, write)
  }

  settleBulk(value: Buffer): void {
    if (this.settled) return
    this.settled = true
    this.#output.settleSlotBulk(this, value)
  }

  answer(run: () => void, judge: (() => string | null) | null = null): void {
    if (this.settled) return
    this.settled = true
    this.judge = judge
    this.#output.answerSlot(this, run)
  }
}

/** The slot of a command whose reply nobody wants (CLIENT REPLY OFF): it still takes effect. */
class MutedSlot implements Slot {
  readonly requestId = 0
  readonly #output: Output
  settled = false

  constructor(output: Output) {
    this.#output = output
  }

  settle(): void {
    this.settled = true
  }

  settleBulk(): void {
    this.settled = true
  }

  answer(run: () => void): void {
    if (this.settled) return
    this.settled = true
    this.#output.runMuted(run)
  }
}

/** Called by Output on its connection. */
export interface OutputEvents {
  /** The client takes bytes again (or slots were settled): execute what was kept, then read on. */
  onReady(): void
  onSent(bytes: number): void
  /** A slot was answered with errors, which `reply` counts. */
  onErrors(reply: Reply): void
}

export class Output {
  /** 2 or 3: how this connection's replies are encoded. */
  protocol = 2
  /** While a command with CLIENT REPLY OFF or SKIP in force runs: its bytes are dropped. */
  muted = false
  /** The id of the peer request that is being executed; 0: the client is no peer. */
  requestId = 0
  /** Where that id stands in the reply area, before its reply. */
  #requestMark = 0
  readonly #sink: ByteSink
  readonly #areas: ReplyAreas
  readonly #events: OutputEvents
  #queue: Part[] = []
  #queuedBytes = 0
  #openSlots = 0
  #window = openSlotsFirst
  #blocked = false
  #ending = false
  #closed = false
  #late = false
  #wasFull = false
  /** Where a slot's answer goes while its command runs. */
  #capture: Part[] | null = null

  constructor(sink: ByteSink, areas: ReplyAreas, events: OutputEvents) {
    this.#sink = sink
    this.#areas = areas
    this.#events = events
  }

  /** May another command be executed? When not, `onReady` is called once it may. */
  get ready(): boolean {
    if (
      !this.#blocked &&
      !this.#ending &&
      this.#openSlots < (this.requestId === 0 ? this.#window : peerSlotsMax) &&
      this.#queuedBytes <= queueBytesMax
    ) {
      return true
    }
    this.#wasFull = true
    return false
  }

  get closed(): boolean {
    return this.#closed
  }

  get ending(): boolean {
    return this.#ending
  }

  get queuedBytes(): number {
    return this.#queuedBytes + this.#sink.writableLength
  }

  get queuedParts(): number {
    return this.#queue.length
  }

  /** Sends (or lines up) what stands in the reply area. */
  flush(): void {
    const reply = this.#areas.reply
    const length = reply.pos - reply.start
    if (length === 0) return
    if (this.#capture !== null && !this.#closed) {
      this.#capture.push(this.#copyArea())
    } else if (this.muted || this.#closed) {
      this.#areas.reset()
    } else if (this.#blocked || this.#queue.length > 0) {
      this.#enqueue(this.#copyArea())
    } else {
      this.#writeArea()
    }
  }

  /**
   * A bulk reply of `length` bytes in pages, from byte `from` on. The pages are released when they
   * have left.
   */
  pages(pages: Pages, from: number, length: number): void {
    if (this.muted || this.#closed) {
      pages.release()
      return
    }
    const reply = this.#areas.reply
    reply.raw(Buffer.from(`$${length}\r\n`))
    this.#lineUp(new PagesPart(pages, from, length))
    reply.raw(CRLF)
  }

  /** A peer's request begins: its reply stands behind its id, whatever order replies leave in. */
  beginRequest(id: number): void {
    const { reply } = this.#areas
    this.requestId = id
    reply.room(requestIdBytesMax)
    this.#requestMark = reply.pos
    reply.integer(id)
  }

  /** A place for a reply that comes later. The command must not have written anything yet. */
  defer(): Slot {
    if (this.muted || this.#closed) return new MutedSlot(this)
    const { protocol, requestId } = this
    if (this.#capture !== null) {
      const part = new OpenSlot(this, { protocol: this.#areas.reply.protocol, isPart: true })
      this.#openSlots++
      this.#lineUp(part)
      return part
    }
    // The id goes out again together with the reply.
    if (requestId !== 0) this.#areas.reply.pos = this.#requestMark
    const slot = new OpenSlot(this, { protocol, requestId })
    this.#openSlots++
    if (slot.requestId === 0) this.#lineUp(slot)
    return slot
  }

  /** A slot whose reply is handed back (RESP2, whole) instead of being sent. */
  call(hear: (reply: Buffer) => void): Slot {
    return new OpenSlot(this, { protocol: 2, hear })
  }

  settleSlot(slot: OpenSlot, write: (reply: Reply) => void): void {
    this.#fillSlot(slot, [this.#encode(slot, write)])
  }

  /** A slot's reply in bytes of their own, behind the id if it is a peer's. */
  #encode(slot: OpenSlot, write: (reply: Reply) => void): Buffer {
    const reply = this.#areas.slotReply
    reply.protocol = slot.requestId === 0 ? slot.protocol : 2
    if (slot.requestId !== 0) reply.integer(slot.requestId)
    write(reply)
    const bytes = reply.take()
    if (reply.errors > 0) this.#events.onErrors(reply)
    if (reply.end > slotAreaBytesMax)
      reply.use(new Uint8Array(slotAreaBytes), 0, slotAreaBytes, false)
    return bytes
  }

  settleSlotBulk(slot: OpenSlot, value: Buffer): void {
    if (value.length <= copiedBytesMax) {
      this.settleSlot(slot, (reply) => reply.bulk(value))
      return
    }
    const id = slot.requestId === 0 ? '' : `:${slot.requestId}\r\n`
    this.#fillSlot(slot, [Buffer.from(`${id}$${value.length}\r\n`), value, CRLF])
  }

  answerSlot(slot: OpenSlot, run: () => void): void {
    const parts: Part[] = []
    const { reply } = this.#areas
    const { protocol } = this
    const capture = this.#capture
    this.#borrowArea(() => {
      reply.protocol = slot.requestId === 0 ? slot.protocol : 2
      this.#capture = parts
      if (slot.requestId !== 0) reply.integer(slot.requestId)
      run()
      this.flush()
      if (reply.errors > 0) this.#events.onErrors(reply)
      this.#capture = capture
      this.protocol = protocol
    })
    this.#fillSlot(slot, parts)
  }

  runMuted(run: () => void): void {
    if (this.#closed) return
    const before = this.muted
    this.#borrowArea(() => {
      this.muted = true
      run()
      this.flush()
      this.muted = before
    })
  }

  /**
   * A slot may be answered while a command runs, of this connection or of another: what that one
   * has written so far leaves the area first, and it has the area back afterwards.
   */
  #borrowArea(use: () => void): void {
    const areas = this.#areas
    const { owner } = areas
    owner?.flush()
    areas.own(this)
    use()
    areas.own(owner)
  }

  /** Tells a peer that its request is being loaded: it goes on waiting. */
  loading(requestId: number): void {
    if (this.#closed) return
    this.#enqueue(Buffer.from(`:-${requestId}\r\n`))
    this.#sendLater()
  }

  /** Sends the queue's head as far as it is ready and the client takes it. */
  send(): void {
    while (!this.#blocked && !this.#closed && this.#queue.length > 0) {
      const head = this.#queue[0]!
      if (head instanceof OpenSlot) {
        if (head.parts === null) break
        this.#queue.splice(0, 1, ...head.parts)
      } else if (head instanceof PagesPart) {
        if (!this.#sendPages(head)) break
      } else {
        this.#sendJoined()
      }
    }
    if (this.#closed) return
    if (this.#ending && this.#queue.length === 0 && !this.#blocked) this.#sink.end()
    if (this.#wasFull && this.ready) {
      this.#wasFull = false
      this.#events.onReady()
    }
  }

  sendLate(): void {
    this.#late = false
    this.send()
  }

  /** No further command; close when all that was written has left. */
  end(): void {
    this.#ending = true
    if (this.#queue.length === 0 && !this.#blocked) this.#sink.end()
  }

  /** The connection is gone: nothing more is written, pages are given back. */
  close(): void {
    this.#closed = true
    for (const part of this.#queue) {
      releaseParts(part)
    }
    this.#queue = []
    this.#queuedBytes = 0
    this.#openSlots = 0
  }

  #fillSlot(slot: OpenSlot, parts: Part[]): void {
    if (this.#closed) {
      for (const part of parts) releaseParts(part)
      return
    }
    const open = parts.find((part) => part instanceof OpenSlot && part.parts === null)
    if (open instanceof OpenSlot) {
      open.onFilled = () => this.#fillSlot(slot, parts)
      return
    }
    let whole = parts.flatMap((part) => (part instanceof OpenSlot ? part.parts! : [part]))
    const refusal = slot.judge?.() ?? null
    if (refusal !== null) {
      for (const part of whole) releaseParts(part)
      slot.judge = null
      whole = [this.#encode(slot, (reply) => reply.error(refusal))]
    }
    if (slot.hear !== null) {
      slot.hear(bytesOf(whole))
      return
    }
    this.#openSlots--
    slot.parts = whole
    if (slot.isPart) {
      slot.onFilled?.()
      return
    }
    let bytes = 0
    for (const part of whole) if (part instanceof Uint8Array) bytes += part.length
    this.#queuedBytes += bytes
    this.#judgeWindow(bytes)
    if (slot.requestId !== 0) for (const part of whole) this.#queue.push(part)
    this.#sendLater()
  }

  /**
   * How many replies may be under way at a time depends on how long they turn out to be: each is
   * kept here whole until its turn comes.
   */
  #judgeWindow(bytes: number): void {
    if (bytes <= copiedBytesMax) this.#window = Math.min(this.#window + 1, openSlotsMax)
    else this.#window = Math.max(1, Math.min(this.#window, Math.floor(slotBytesMax / bytes)))
  }

  #sendLater(): void {
    if (this.#late) return
    this.#late = true
    this.#areas.sendSoon(this)
  }

  #copyArea(): Uint8Array {
    const reply = this.#areas.reply
    const copy = reply.bytes.slice(reply.start, reply.pos)
    this.#areas.reset()
    return copy
  }

  /** Puts a part behind what is in the area and in the queue. */
  #lineUp(part: Part): void {
    const reply = this.#areas.reply
    if (this.#capture !== null) {
      if (reply.pos > reply.start) this.#capture.push(this.#copyArea())
      this.#capture.push(part)
      return
    }
    if (reply.pos > reply.start) this.#enqueue(this.#copyArea())
    this.#queue.push(part)
    this.#sendLater()
  }

  #enqueue(bytes: Uint8Array): void {
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
  }

  #writeArea(): void {
    const areas = this.#areas
    const reply = areas.reply
    const length = reply.pos - reply.start
    const mayGiveAway = areas.isHome && areas.spare > 0
    const bytes =
      mayGiveAway || !areas.isHome
        ? reply.bytes.subarray(reply.start, reply.pos)
        : reply.bytes.slice(reply.start, reply.pos)
    this.#sink.write(bytes)
    this.#events.onSent(length)
    if (this.#sink.writableLength === 0) {
      areas.reset()
      return
    }
    if (mayGiveAway) {
      const area = areas.giveAway()
      this.#block(() => areas.takeBack(area))
    } else {
      areas.reset()
      this.#block(null)
    }
  }

  /** Waits until all that was written has left. */
  #block(done: (() => void) | null): void {
    this.#blocked = true
    this.#wasFull = true
    this.#sink.write(EMPTY, () => {
      done?.()
      this.#blocked = false
      if (!this.#closed) this.send()
    })
  }

  #sendJoined(): void {
    let count = 0
    let length = 0
    for (const part of this.#queue) {
      if (!(part instanceof Uint8Array)) break
      if (count > 0 && length + part.length > joinBytesMax) break
      count++
      length += part.length
    }
    const parts = this.#queue.splice(0, count) as Uint8Array[]
    this.#queuedBytes -= length
    this.#sink.write(count === 1 ? parts[0]! : Buffer.concat(parts, length))
    this.#events.onSent(length)
    if (this.#sink.writableLength > 0) this.#block(null)
  }

  /** True when all of it has left. */
  #sendPages(part: PagesPart): boolean {
    const { pages } = part
    let turn = 0
    while (part.at < part.end) {
      if (turn >= pagesBytesPerTurn) {
        this.#sendLater()
        return false
      }
      const piece = pages.piece(part.at).subarray(0, part.end - part.at)
      this.#sink.write(piece)
      this.#events.onSent(piece.length)
      part.at += piece.length
      turn += piece.length
      if (this.#sink.writableLength > 0) {
        this.#block(null)
        return false
      }
    }
    this.#queue.shift()
    pages.release()
    return true
  }
}

const CRLF = new Uint8Array([13, 10])

/** A reply as one buffer; its pages are copied and released. Too long a one becomes an error. */
function bytesOf(parts: readonly Part[]): Buffer {
  let length = 0
  for (const part of parts) {
    if (part instanceof Uint8Array) length += part.length
    else if (part instanceof PagesPart) length += part.end - part.at
  }
  if (length > gatheredBytesMax) {
    for (const part of parts) releaseParts(part)
    return Buffer.from(`-${replyTooLong(gatheredBytesMax)}\r\n`)
  }
  const buffers: Uint8Array[] = []
  for (const part of parts) {
    if (part instanceof Uint8Array) buffers.push(part)
    else if (part instanceof PagesPart) {
      buffers.push(part.pages.toBuffer().subarray(part.at, part.end))
      part.pages.release()
    }
  }
  return Buffer.concat(buffers, length)
}

function releaseParts(part: Part): void {
  if (part instanceof PagesPart) part.pages.release()
  else if (part instanceof OpenSlot && part.parts !== null) part.parts.forEach(releaseParts)
}
