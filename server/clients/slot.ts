import type { Args } from '../../protocol/args.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Pages } from '../store/store.ts'

/*
 * Slots: places in the order of a connection's replies, for those that come later.
 *
 *     queue   [bytes] [slot: open] [bytes] [slot: settled, its parts] [pages] ...
 *
 * Output keeps the queue and sends its head as far as it is ready. A slot's reply is a list of
 * parts, among them slots of its own where a command that answers it waits in turn.
 */

/** A place in the order of replies, taken by a command that must wait. */
export interface Slot {
  readonly settled: boolean
  /** How its reply is encoded: 2 or 3. */
  readonly protocol: number
  /** The peer request that waits for it; 0: none does. */
  readonly requestId: number
  /** Writes the reply; called once. Nothing happens if the connection is gone. */
  settle(write: (reply: Reply) => void): void
  /** The reply is this bulk string. The bytes are shared, not copied: nobody may change them. */
  settleBulk(value: Buffer): void
  /** The reply is these bytes, in the client's protocol; they are not copied. */
  settleBytes(reply: Uint8Array): void
  /**
   * Lets `run` answer as if its command ran now: what it writes to the thread's reply, pages and
   * slots that it takes too. When all of it is there, `judge` may put an error line in its place.
   */
  answer(run: () => void, judge?: () => string | null): void
  /**
   * Lets `run` write a part of the reply, as if its command ran now; more parts may follow until
   * `finish` says that this was the last.
   */
  stream(run: () => void): void
  finish(): void
  /** May more be streamed? Not while the client does not take what there is; then see `whenRoom`. */
  readonly hasRoom: boolean
  /** Calls `resume` once, when there is room again. */
  whenRoom(resume: () => void): void
}

/** A command to be answered: a client's current one, or one that was copied and has its slot. */
export interface Call {
  readonly args: Args
  readonly db: number
  readonly slot?: Slot
}

/** What slots ask of the way out that they are part of. */
export interface SlotOutput {
  settleSlot(slot: OpenSlot, write: (reply: Reply) => void): void
  settleSlotBulk(slot: OpenSlot, value: Buffer): void
  settleSlotBytes(slot: OpenSlot, reply: Uint8Array): void
  answerSlot(slot: OpenSlot, run: () => void): void
  streamSlot(slot: OpenSlot, run: () => void): void
  finishSlot(slot: OpenSlot): void
  hasRoomFor(slot: OpenSlot): boolean
  runMuted(run: () => void): void
  /** A slot that held later commands back holds them no longer. */
  release(): void
}

/** A value in pages, or a range of it, partly sent. */
export class PagesPart {
  readonly pages: Pages
  /** What is sent next, and where it ends. */
  at: number
  readonly end: number
  constructor(pages: Pages, from: number, length: number) {
    this.pages = pages
    this.at = from
    this.end = from + length
  }

  /** Bytes that are left. */
  get length(): number {
    return this.end - this.at
  }
}

/** What stands in the queue of a connection, and in a slot. */
export type Part = Uint8Array | PagesPart | OpenSlot

/** A slot as Output keeps it. */
export class OpenSlot implements Slot {
  readonly #output: SlotOutput
  readonly protocol: number
  /** For a peer's request: its reply leaves at once, whatever stands before it, under this id. */
  readonly requestId: number
  /** Takes the reply instead of the client. */
  readonly hear: ((reply: Buffer) => void) | null
  /** Is called instead when the reply is there and the connection is gone. */
  readonly gone: (() => void) | null
  parts: Part[] | null = null
  /** Taken by a command that runs to answer another slot: it is a part of that one's reply. */
  readonly isPart: boolean
  /** No later command of the connection runs before it is settled. */
  readonly holds: boolean
  /** What waits for a part to be filled. */
  onFilled: (() => void) | null = null
  judge: (() => string | null) | null = null
  settled = false
  /** What the command had written of a peer's reply before it took the slot. */
  begun: Part[] = []
  /** Parts that were streamed, and have not gone into the queue. */
  streamed: Part[] = []
  streamedBytes = 0
  /** Who waits for room to stream more. */
  onRoom: (() => void) | null = null

  constructor(
    output: SlotOutput,
    to: {
      protocol: number
      requestId?: number
      hear?: (reply: Buffer) => void
      gone?: () => void
      isPart?: boolean
      holds?: boolean
    },
  ) {
    this.#output = output
    this.protocol = to.protocol
    this.requestId = to.requestId ?? 0
    this.hear = to.hear ?? null
    this.gone = to.gone ?? null
    this.isPart = to.isPart ?? false
    this.holds = to.holds ?? false
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

  settleBytes(reply: Uint8Array): void {
    if (this.settled) return
    this.settled = true
    this.#output.settleSlotBytes(this, reply)
  }

  answer(run: () => void, judge: (() => string | null) | null = null): void {
    if (this.settled) return
    this.settled = true
    this.judge = judge
    this.#output.answerSlot(this, run)
  }

  /** Does what is streamed go to the client before it is all there? */
  get leavesAtOnce(): boolean {
    return this.requestId === 0 && this.hear === null && !this.isPart
  }

  stream(run: () => void): void {
    this.#output.streamSlot(this, run)
  }

  finish(): void {
    this.settled = true
    this.#output.finishSlot(this)
  }

  get hasRoom(): boolean {
    return this.#output.hasRoomFor(this)
  }

  whenRoom(resume: () => void): void {
    this.onRoom = resume
  }
}

/** The slot of a command whose reply nobody wants (CLIENT REPLY OFF): it still takes effect. */
export class MutedSlot implements Slot {
  readonly requestId = 0
  readonly protocol = 2
  readonly #output: SlotOutput
  readonly #holds: boolean
  settled = false

  constructor(output: SlotOutput, holds: boolean) {
    this.#output = output
    this.#holds = holds
  }

  settle(): void {
    if (this.settled) return
    this.settled = true
    if (this.#holds) this.#output.release()
  }

  settleBulk(): void {
    this.settle()
  }

  settleBytes(): void {
    this.settle()
  }

  answer(run: () => void): void {
    if (this.settled) return
    this.#output.runMuted(run)
    this.settle()
  }

  stream(run: () => void): void {
    this.#output.runMuted(run)
  }

  finish(): void {
    this.settle()
  }

  get hasRoom(): boolean {
    return true
  }

  whenRoom(resume: () => void): void {
    resume()
  }
}
