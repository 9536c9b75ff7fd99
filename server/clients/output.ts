import { Buffer } from 'node:buffer'
import { replyTooLong } from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { ParkingOutput, ReplyAreas } from './reply-areas.ts'
import { MutedSlot, OpenSlot, PagesPart, type Part, type Slot, type SlotOutput } from './slot.ts'
import type { Pages } from '../store/store.ts'

/**
 * The way out of one connection: replies in the order of their requests, one write for all replies
 * of a read event, and back-pressure.
 *
 * A command writes its reply into the thread's reply area (reply-areas.ts), from where it goes to
 * the socket together with all that this connection was answered in this turn of the event loop.
 * Three things break that simple picture:
 *
 * - A command that must wait (a load, another node) takes a slot (slot.ts). From then on this
 *   connection has a queue: `[bytes] [slot] [bytes] [pages] ...`. Later commands go on executing and
 *   their bytes line up behind the slot; whatever is ready at the queue's head is sent.
 * - A command that later ones must not overtake *holds*: none of them runs before it is answered.
 * - The client does not read. Then the kernel takes only a part of a write and Node keeps our
 *   pointer to the rest. `writableLength` tells (0: all gone). A 'drain' event may never come after
 *   a partial write, so we wait for the callback of an empty write behind it. Until then `ready` is
 *   false: no command of this connection is executed and nothing is read.
 */

/** Bytes that may stand in the queue before the connection stops executing commands. */
export const queueBytesMax = 1024 * 1024
/** Parts of a long command's reply that may stand in the queue, many of them values in pages. */
const queuePartsMax = 256
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
/** Bytes after which a pipeline lets others have their turn: the kernel takes some megabytes at once. */
const turnBytesMax = 1024 * 1024
/** Pushed bytes that wait for the client are gathered into pieces of this size, if they are shorter. */
const pushBytesGathered = 16 * 1024
/** Queued bytes that are joined to one write. */
const joinBytesMax = 256 * 1024

/** `@9007199254740991` and CRLF, generously. */
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

/** Called by Output on its connection. */
export interface OutputEvents {
  /** The client takes bytes again (or slots were settled): execute what was kept, then read on. */
  onReady(): void
  onSent(bytes: number): void
  /** A slot was answered with errors, which `reply` counts. */
  onErrors(reply: Reply): void
  /** After `end`: all that was written has left, and the sink was told to close. Called once. */
  onEnded(): void
}

export class Output implements ParkingOutput, SlotOutput {
  /** 2 or 3: how this connection's replies are encoded. */
  protocol = 2
  /** What commands write is dropped: after CLIENT REPLY OFF or SKIP, and QUIT. */
  #muted = false
  /** The id of the peer request that is being executed; 0: the client is no peer. */
  requestId = 0
  /** Between `beginRequest` and the end of its reply, or the slot that it takes. */
  #isAnswering = false
  /** Where that id stands in the reply area, before its reply, and where it ends. */
  #requestMark = 0
  #requestIdEnd = 0
  /** What was written of that reply and had to make room, its id included; null: all stands in the area. */
  #answered: Part[] | null = null
  readonly #sink: ByteSink
  readonly #areas: ReplyAreas
  readonly #events: OutputEvents
  #queue: Part[] = []
  #queuedBytes = 0
  #openSlots = 0
  /** Commands that hold later ones back. */
  #held = 0
  /** Stretches of the reply area that are parked. */
  #parked = 0
  #window = openSlotsFirst
  #blocked = false
  #ending = false
  #closed = false
  #late = false
  #wasFull = false
  /** Written since the turn began. */
  #turnBytes = 0
  /** What was pushed last and is still in the queue, and the memory it is the begin of. */
  #gathered = EMPTY
  #gathering = EMPTY
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
      this.#held === 0 &&
      this.#openSlots < (this.requestId === 0 ? this.#window : peerSlotsMax) &&
      this.#queuedBytes <= queueBytesMax &&
      this.#turnBytes < turnBytesMax
    ) {
      return true
    }
    this.#wasFull = true
    return false
  }

  /** A read event begins, or the connection goes on after a pause. */
  beginTurn(): void {
    this.#turnBytes = 0
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

  /** Has a command that was executed not been answered yet? */
  get owesReply(): boolean {
    return this.#openSlots > 0
  }

  get queuedParts(): number {
    return this.#queue.length
  }

  /** Hands over what stands in the reply area: it leaves in this turn, or lines up. */
  flush(): void {
    const areas = this.#areas
    const { reply } = areas
    if (reply.pos === reply.start) return
    if (this.#isAnswering && this.#capture === null && !this.#closed) {
      this.#setAside()
      if (reply.pos === reply.start) return
    }
    if (this.#muted || this.#closed) {
      areas.reset()
    } else if (this.#capture !== null) {
      this.#capture.push(this.#copyArea())
    } else if (this.#blocked || this.#queue.length > 0) {
      this.#enqueue(this.#copyArea())
    } else if (areas.isSending) {
      this.#enqueue(this.#copyArea())
      this.#sendLater()
    } else if (areas.isHome) {
      this.#parked++
      areas.park(this)
    } else {
      this.#writeLarge()
    }
  }

  get muted(): boolean {
    return this.#muted
  }

  /** From here on what a command of this connection writes, perhaps the one that runs, is dropped or not. */
  mute(on: boolean): void {
    this.flush()
    this.#muted = on
  }

  /** After it the area has all its room. */
  flushAll(): void {
    this.flush()
    this.#areas.sendParked()
  }

  writeParked(bytes: Uint8Array, area: number): boolean {
    this.#parked--
    if (this.#closed) return false
    if (this.#blocked || this.#queue.length > 0) {
      this.#enqueue(area < 0 ? bytes : bytes.slice())
      this.#sendLater()
      return false
    }
    this.#write(bytes)
    if (this.#sink.writableLength === 0) {
      this.#endIfDone()
      return false
    }
    this.#block(area < 0 ? null : () => this.#areas.release(area))
    return area >= 0
  }

  /**
   * A bulk reply of `length` bytes in pages, from byte `from` on. The pages are released when they
   * have left.
   */
  pages(pages: Pages, from: number, length: number): void {
    if (this.#muted || this.#closed) {
      pages.release()
      return
    }
    const reply = this.#areas.reply
    reply.raw(Buffer.from(`$${length}\r\n`))
    this.#lineUp(new PagesPart(pages, from, length))
    reply.raw(CRLF)
  }

  /** A peer's request begins: its reply stands behind its id, whatever order replies leave in. */
  beginRequest(id: number, protocol: 2 | 3): void {
    const { reply } = this.#areas
    this.requestId = id
    this.protocol = protocol
    reply.protocol = protocol
    reply.room(requestIdBytesMax)
    this.#requestMark = reply.pos
    reply.answerTo(id)
    this.#requestIdEnd = reply.pos
    this.#isAnswering = true
  }

  /** The command of a peer's request has run. */
  endRequest(): void {
    this.#isAnswering = false
    const answered = this.#takeAnswered()
    if (answered === null) return
    for (const part of answered) this.#enqueuePart(part)
    this.#sendLater()
  }

  /**
   * While a peer's request is answered its reply does not leave piece by piece: in between there may be
   * the reply to another request, of a slot that is settled meanwhile; and should the command take a slot
   * after all, the pieces go into it. What is in the area before it are whole replies, which stay.
   */
  #setAside(): void {
    const { reply } = this.#areas
    if (this.#answered !== null) {
      this.#answered.push(this.#takeArea())
      return
    }
    this.#answered = [reply.bytes.slice(this.#requestMark, reply.pos)]
    reply.pos = this.#requestMark
  }

  /** What was set aside, and what stands in the area behind it; null: nothing was set aside. */
  #takeAnswered(): Part[] | null {
    const answered = this.#answered
    if (answered === null) return null
    this.#answered = null
    const { reply } = this.#areas
    if (reply.pos > reply.start) answered.push(this.#takeArea())
    if (!this.#closed) return answered
    for (const part of answered) releaseParts(part)
    return null
  }

  /** The bytes in the area, which is empty then. */
  #takeArea(): Uint8Array {
    const areas = this.#areas
    if (areas.isHome) return this.#copyArea()
    const { reply } = areas
    const bytes = reply.bytes.subarray(reply.start, reply.pos)
    areas.reset()
    return bytes
  }

  #enqueuePart(part: Part): void {
    this.#queue.push(part)
    if (part instanceof Uint8Array) this.#queuedBytes += part.length
  }

  /**
   * A place for a reply that comes later; if the command has written something already, for the rest of
   * it, which must then be streamed. `holds`: no later command of this connection runs until it is settled. (Requests of peers are
   * independent of each other: they are never held.)
   */
  defer(holds = false): Slot {
    const { protocol, requestId } = this
    const isHeld = holds && requestId === 0 && this.#capture === null
    if (isHeld) this.#held++
    if (this.#muted || this.#closed) return new MutedSlot(this, isHeld)
    if (this.#capture !== null) {
      const part = new OpenSlot(this, { protocol: this.#areas.reply.protocol, isPart: true })
      this.#openSlots++
      this.#lineUp(part)
      return part
    }
    const slot = new OpenSlot(this, { protocol, requestId, holds: isHeld })
    if (requestId !== 0) this.#moveAnswerInto(slot)
    this.#openSlots++
    if (slot.requestId === 0) this.#lineUp(slot)
    return slot
  }

  /** What is written so far goes out again with the rest, behind the id. */
  #moveAnswerInto(slot: OpenSlot): void {
    if (!this.#isAnswering) return
    const { reply } = this.#areas
    if (this.#answered === null && reply.pos === this.#requestIdEnd) {
      reply.pos = this.#requestMark
    } else {
      this.flush()
      const [begin, ...rest] = this.#takeAnswered()!
      const idBytes = this.#requestIdEnd - this.#requestMark
      slot.begun = [(begin as Uint8Array).subarray(idBytes), ...rest]
    }
    this.#isAnswering = false
  }

  /**
   * A slot whose reply is handed back whole instead of being sent. `gone`: it is there, but the connection is
   * not any more.
   */
  call(hear: (reply: Buffer) => void, protocol = 2, gone?: () => void): Slot {
    return new OpenSlot(this, gone === undefined ? { protocol, hear } : { protocol, hear, gone })
  }

  settleSlot(slot: OpenSlot, write: (reply: Reply) => void): void {
    this.#fillSlot(slot, [this.#encode(slot, write)])
  }

  /** A slot's reply in bytes of their own, behind the id if it is a peer's. */
  #encode(slot: OpenSlot, write: (reply: Reply) => void): Buffer {
    const isPeers = slot.requestId !== 0
    const writeAll = (reply: Reply): void => {
      if (isPeers) reply.answerTo(slot.requestId)
      write(reply)
    }
    return this.#areas.encode(slot.protocol, writeAll, (reply) => {
      if (reply.errors > 0) this.#events.onErrors(reply)
    })
  }

  settleSlotBytes(slot: OpenSlot, reply: Uint8Array): void {
    const id = slot.requestId === 0 ? [] : [Buffer.from(`@${slot.requestId}\r\n`)]
    this.#fillSlot(slot, [...id, reply])
  }

  settleSlotBulk(slot: OpenSlot, value: Buffer): void {
    if (value.length <= copiedBytesMax) {
      this.settleSlot(slot, (reply) => reply.bulk(value))
      return
    }
    const id = slot.requestId === 0 ? '' : `@${slot.requestId}\r\n`
    this.#fillSlot(slot, [Buffer.from(`${id}$${value.length}\r\n`), value, CRLF])
  }

  answerSlot(slot: OpenSlot, run: () => void): void {
    const parts: Part[] = []
    this.#captureInto(parts, slot, () => {
      if (slot.requestId !== 0) this.#areas.reply.answerTo(slot.requestId)
      run()
    })
    this.#fillSlot(slot, parts)
  }

  streamSlot(slot: OpenSlot, run: () => void): void {
    const parts: Part[] = []
    this.#captureInto(parts, slot, run)
    if (this.#closed) {
      for (const part of parts) releaseParts(part)
      return
    }
    for (const part of parts) {
      slot.streamed.push(part)
      slot.streamedBytes += part instanceof OpenSlot ? 0 : part.length
    }
    if (slot.leavesAtOnce) this.#sendLater()
  }

  finishSlot(slot: OpenSlot): void {
    const { begun, requestId, streamed } = slot
    slot.begun = []
    slot.streamed = []
    slot.streamedBytes = 0
    const id = requestId === 0 ? [] : [Buffer.from(`@${requestId}\r\n`)]
    this.#fillSlot(slot, [...id, ...begun, ...streamed])
  }

  hasRoomFor(slot: OpenSlot): boolean {
    if (this.#closed || !slot.leavesAtOnce) return true
    return this.#isRoomy(slot.streamedBytes)
  }

  /** May the command that runs write more, or should it wait until the client has taken some? */
  get hasRoom(): boolean {
    if (this.#closed || this.#muted || this.#capture !== null) return true
    return this.#isRoomy(0)
  }

  #isRoomy(streamedBytes: number): boolean {
    if (this.#blocked || this.#queue.length > queuePartsMax) return false
    return this.#queuedBytes + streamedBytes <= queueBytesMax
  }

  /** What `run` writes goes to these parts. */
  #captureInto(parts: Part[], slot: OpenSlot, run: () => void): void {
    const { reply } = this.#areas
    const { protocol } = this
    const capture = this.#capture
    this.#borrowArea(() => {
      const wasMuted = this.#muted
      this.#muted = false
      reply.protocol = slot.protocol
      this.#capture = parts
      run()
      this.flush()
      // It may have been CLIENT REPLY OFF.
      this.#muted ||= wasMuted
      if (reply.errors > 0) this.#events.onErrors(reply)
      this.#capture = capture
      // HELLO is for what comes after it: where that has waited, it holds.
      if (!slot.holds) this.protocol = protocol
    })
  }

  runMuted(run: () => void): void {
    if (this.#closed) return
    this.#borrowArea(() => {
      const wasMuted = this.#muted
      this.#muted = true
      run()
      this.flush()
      // It may have been CLIENT REPLY ON.
      this.#muted &&= wasMuted
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

  /** No command runs until `release`. */
  hold(): void {
    this.#held++
  }

  release(): void {
    this.#held--
    this.#sendLater()
  }

  /** Sends bytes that answer no command, behind all that was answered so far. */
  push(bytes: Uint8Array): void {
    if (this.#closed || this.#ending) return
    const areas = this.#areas
    // Amid a command, perhaps of this connection: what was written so far stays in order.
    if (areas.owner === this || this.#parked > 0) areas.owner?.flush()
    if (this.#parked > 0) areas.sendParked()
    if (this.#blocked && bytes.length < pushBytesGathered) this.#gather(bytes)
    else this.#enqueue(bytes)
    this.#sendLater()
  }

  /** Copies what is pushed behind what was: a short array takes many times the bytes that it has. */
  #gather(bytes: Uint8Array): void {
    const queue = this.#queue
    const isOpen = queue.at(-1) === this.#gathered
    if (!isOpen || this.#gathered.length + bytes.length > pushBytesGathered) {
      this.#gathering = new Uint8Array(pushBytesGathered)
      this.#gathered = EMPTY
      this.#enqueue(EMPTY)
    }
    const at = this.#gathered.length
    this.#gathering.set(bytes, at)
    this.#gathered = this.#gathering.subarray(0, at + bytes.length)
    queue[queue.length - 1] = this.#gathered
    this.#queuedBytes += bytes.length
  }

  /** Tells a peer that its request is being loaded: it goes on waiting. */
  loading(requestId: number): void {
    if (this.#closed) return
    this.#enqueue(Buffer.from(`@-${requestId}\r\n`))
    this.#sendLater()
  }

  /** Sends the queue's head as far as it is ready and the client takes it. */
  send(): void {
    while (!this.#blocked && !this.#closed && this.#queue.length > 0) {
      const head = this.#queue[0]!
      if (head instanceof OpenSlot) {
        if (head.parts === null) {
          if (!this.#takeStreamed(head)) break
        } else {
          this.#queue = [...head.parts, ...this.#queue.slice(1)]
        }
      } else if (head instanceof PagesPart) {
        if (!this.#sendPages(head)) break
      } else {
        this.#sendJoined()
      }
    }
    if (this.#closed) return
    this.#endIfDone()
    const [head] = this.#queue
    if (head instanceof OpenSlot && head.onRoom !== null && this.hasRoomFor(head)) {
      const resume = head.onRoom
      head.onRoom = null
      resume()
    }
    if (this.#wasFull && this.ready) {
      this.#wasFull = false
      this.#events.onReady()
    }
  }

  /** Puts what was streamed so far in front of its slot. False: there is nothing that can leave. */
  #takeStreamed(slot: OpenSlot): boolean {
    if (!slot.leavesAtOnce || slot.streamed.length === 0) return false
    const ready = slot.streamed.findIndex((part) => part instanceof OpenSlot && part.parts === null)
    if (ready === 0) return false
    const taken = slot.streamed.splice(0, ready < 0 ? slot.streamed.length : ready)
    let bytes = 0
    for (const part of taken) {
      if (part instanceof Uint8Array) bytes += part.length
      if (!(part instanceof OpenSlot)) slot.streamedBytes -= part.length
    }
    this.#queuedBytes += bytes
    this.#queue = [...taken, ...this.#queue]
    return true
  }

  sendLate(): void {
    this.#late = false
    this.beginTurn()
    this.send()
  }

  /** No further command; close when all that was written has left. */
  end(): void {
    this.#ending = true
    this.#endIfDone()
  }

  #endIfDone(): void {
    if (!this.#ending || this.#blocked || this.#closed) return
    if (this.#queue.length > 0 || this.#parked > 0) return
    this.#sink.end()
    this.#events.onEnded()
  }

  /** The connection is gone: nothing more is written, pages are given back. */
  close(): void {
    this.#closed = true
    for (const part of this.#answered ?? []) releaseParts(part)
    this.#answered = null
    const queue = this.#queue
    this.#queue = []
    for (const part of queue) {
      releaseParts(part)
      // It goes on to its end, heard or not.
      if (part instanceof OpenSlot) part.onRoom?.()
    }
    this.#queuedBytes = 0
    this.#openSlots = 0
  }

  #fillSlot(slot: OpenSlot, parts: Part[]): void {
    const open = parts.find((part) => part instanceof OpenSlot && part.parts === null)
    if (open instanceof OpenSlot) {
      open.onFilled = () => this.#fillSlot(slot, parts)
      return
    }
    if (this.#closed) {
      for (const part of parts) releaseParts(part)
      slot.parts = []
      slot.onFilled?.()
      slot.gone?.()
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
    if (slot.holds) this.#held--
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
    this.flush()
    const parts = this.#capture ?? this.#answered
    if (parts !== null) {
      parts.push(part)
      return
    }
    if (this.#parked > 0) this.#areas.sendParked()
    this.#queue.push(part)
    this.#sendLater()
  }

  #enqueue(bytes: Uint8Array): void {
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
  }

  /** Writes a reply that was too long for the area, and lies on the heap. */
  #writeLarge(): void {
    const areas = this.#areas
    const { reply } = areas
    const bytes = reply.bytes.subarray(reply.start, reply.pos)
    areas.reset()
    if (this.#parked > 0) areas.sendParked()
    if (this.#blocked || this.#queue.length > 0) {
      this.#enqueue(bytes)
      return
    }
    this.#write(bytes)
    if (this.#sink.writableLength > 0) this.#block(null)
  }

  #write(bytes: Uint8Array): void {
    this.#sink.write(bytes)
    this.#events.onSent(bytes.length)
    this.#turnBytes += bytes.length
    if (this.#turnBytes >= turnBytesMax) this.#sendLater()
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
    if (this.#queue.length === 0) this.#gathered = this.#gathering = EMPTY
    this.#queuedBytes -= length
    this.#write(count === 1 ? parts[0]! : Buffer.concat(parts, length))
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
      this.#write(piece)
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
  else if (part instanceof OpenSlot) {
    part.parts?.forEach(releaseParts)
    part.streamed.forEach(releaseParts)
    part.streamed = []
  }
}
