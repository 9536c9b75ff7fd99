/**
 * What an owner says to one node that keeps copies of its keys, and who waits until it is said.
 *
 *     begin ──> OPEN slots ──> open: COPY COPY TAG COPY ... ──> begun anew
 *                 ^   | not yet           |
 *                 `---' later             `── a link that broke, silence, an error
 *
 * - A key that has changed waits to be sent, and is read when it is sent: so however often it changes
 *   meanwhile, the last message says what it is, and messages on a link keep their order.
 * - *Notes* (OPEN, CLOSE, what is invalidated) keep their place: no copy is sent until all of them are
 *   answered.
 * - What is not answered in time is sent again, over the same link, behind what was sent before. Where it is
 *   not certain that all was taken in, in this order, since a link broke or the other node says so, the stream
 *   begins anew with another name. Late messages of the old one are refused.
 * - Those who wait (for replies of writes) do so until their key was taken in, or until nothing was
 *   answered for `lastsMs`: then the other node does not trust this stream any more (trust.ts), and
 *   this one goes on without it: `isDegraded`, until the stream has begun anew.
 */
import type { PeerOutcome, PeerPort } from '../peers/peer.ts'
import { PeerError, type PeerValue } from '../peers/replies.ts'
import { keySlot, SLOT_COUNT } from '../slots.ts'
import type { Clock, Timer } from '../world.ts'

/** Of one message: enough that many small writes cost little, little enough to be read in one turn. */
const BATCH_KEYS_MAX = 64
const BATCH_BYTES_MAX = 64 * 1024
/** Messages, and bytes of them, that may be without an answer. */
const FLIGHTS_MAX = 64
const FLIGHT_BYTES_MAX = 4 * 1024 * 1024
/** Keys that may wait without anybody waiting for them. */
const KEYS_WAITING_MAX = 4096
/** After "not yet", and after an attempt that failed: twice as long each time. */
const AGAIN_FIRST_MS = 10
const AGAIN_MS_MAX = 200

const PEER = Buffer.from('PEER')
const COPIES = Buffer.from('COPIES')
const COPY = Buffer.from('COPY')
const BEAT = Buffer.from('BEAT')
const NO_BYTES = Buffer.alloc(0)
const SLOT_BYTES = SLOT_COUNT / 8

type Done = () => void

export interface StreamOptions {
  readonly clock: Clock
  readonly peer: PeerPort
  /** Another one for each link to it; null: there is none. */
  readonly link: () => number | null
  /** For so long the other node trusts what it has heard. */
  readonly lastsMs: number
  /** A name that no other stream ever has. */
  readonly name: () => string
  /** Has this process had nothing before? Then what the other node has of it is not purged: it may be fetched. */
  readonly isFresh: boolean
  /** A key as it is now: a line and its value; null: there is none. */
  readonly read: (key: Buffer) => { readonly line: string; readonly value: Buffer } | null
  /** The line of an answer with which a note is to be sent again later. */
  readonly notYet: string
  /** These slots have just been opened: all their keys are to be sent. */
  readonly onOpen: (slots: Uint8Array) => void
  /** There is room for keys for which nobody waits. */
  readonly onRoom: () => void
  /** It goes on alone, or not any more. */
  readonly onDegraded: (isDegraded: boolean) => void
}

interface Waiting {
  readonly key: Buffer
  readonly dones: Done[]
}

interface Note {
  readonly words: readonly Buffer[]
  /** To be opened by it; null: it is another one. */
  readonly slots: Uint8Array | null
  readonly dones: Done[]
}

interface Batch {
  readonly entries: readonly Waiting[]
  readonly bytes: number
}

/** See the top of the file. */
export class CopyStream {
  readonly #options: StreamOptions
  #id: string
  /** The slots that are its, as a set. */
  #slots = new Uint8Array(SLOT_BYTES)
  /** The last answer that was heard. */
  #heard = 0
  #answeredAt: number
  #beatIsSent = false
  /** Something was not answered that was sent over this link; null: all was. */
  #unsure: { readonly link: number | null } | null = null
  #againAt = 0
  #again: Timer | null = null
  #againMs = AGAIN_FIRST_MS
  #notes: Note[] = []
  /** Is the first of them under way? */
  #noteIsSent = false
  /** By key in latin1. */
  #waiting = new Map<string, Waiting>()
  readonly #flights = new Set<Batch>()
  #flightBytes = 0
  #isFresh: boolean
  #isPlanned = false
  #wantsRoom = false
  #ended = false
  isDegraded: boolean
  /** Keys that were sent. */
  sent = 0

  /** `isDegraded`: nobody is to wait for the beginning. */
  constructor(options: StreamOptions, isDegraded: boolean) {
    this.#options = options
    this.#id = options.name()
    this.#answeredAt = options.clock.now()
    this.#isFresh = options.isFresh
    this.isDegraded = isDegraded
  }

  /** These are its slots from now on, as a set. */
  setSlots(slots: Uint8Array): void {
    const opened = minus(slots, this.#slots)
    const closed = minus(this.#slots, slots)
    this.#slots = slots.slice()
    if (this.isDegraded && this.#notes.length > 0) {
      // What has not been said for long need not be.
      if (opened !== null || closed !== null) this.#beginAnew()
      return
    }
    if (closed !== null) this.#note('CLOSE', [Buffer.from(closed)])
    if (opened !== null) this.#open(opened)
  }

  /** All is purged there, and sent anew. */
  reopen(done: Done): void {
    this.#isFresh = false
    // It is about to begin anew.
    if (this.isDegraded && this.#notes.length > 0) done()
    else this.#open(this.#slots, done)
  }

  /** What is to be said at this place among the copies. */
  note(verb: string, words: readonly Buffer[]): void {
    // When it begins anew all is purged.
    if (!this.isDegraded) this.#note(verb, words)
  }

  /** Calls back when all notes so far were answered, or cannot be waited for. */
  whenNoted(done: Done): void {
    const last = this.#notes.at(-1)
    if (last === undefined || this.isDegraded) done()
    else last.dones.push(done)
  }

  /** A key has changed. `done`: when it was taken in, or cannot be waited for; null: nobody waits. */
  changed(key: Buffer, done: Done | null): void {
    if (this.isDegraded || this.#ended) {
      // When it begins anew all keys are sent.
      done?.()
      return
    }
    this.#add(key, done === null ? [] : [done])
    this.#plan()
  }

  /** May more be sent for which nobody waits? If not, `onRoom` is called once there may. */
  get hasRoom(): boolean {
    if (this.#notes.length === 0 && this.#waiting.size < KEYS_WAITING_MAX) return true
    this.#wantsRoom = true
    return false
  }

  /** To be called now and then, several times within `lastsMs`. */
  tick(): void {
    const now = this.#options.clock.now()
    if (!this.isDegraded && now - this.#answeredAt >= this.#options.lastsMs) {
      // What has arrived meanwhile may be the answer.
      this.#options.clock.soon(() => this.#judge())
    }
    if (this.#notes.length === 0 && this.#flights.size === 0) this.#beat()
    this.#plan()
  }

  #beat(): void {
    if (this.#beatIsSent) return
    this.#beatIsSent = true
    this.#request([PEER, COPIES, BEAT], [], (outcome, value) => {
      this.#beatIsSent = false
      this.#isTaken(outcome, value)
    })
  }

  /** What this node had is forgotten. */
  forget(): void {
    this.#isFresh = false
    this.#beginAnew()
  }

  /** All begins anew. Who waits goes on waiting. */
  #beginAnew(): void {
    this.#id = this.#options.name()
    this.#heard = 0
    const dones = this.#notes.flatMap((note) => note.dones)
    this.#notes = []
    this.#noteIsSent = false
    this.#beatIsSent = false
    this.#unsure = null
    const flights = [...this.#flights]
    this.#flights.clear()
    this.#flightBytes = 0
    // Others are sent when all are.
    for (const { entries } of flights) {
      for (const { key, dones: own } of entries) if (own.length > 0) this.#add(key, own)
    }
    this.#tryLater()
    this.#open(this.#slots, ...dones)
  }

  /** Nothing is sent any more. Those who wait for keys are the caller's, others are told. */
  end(): readonly { readonly key: Buffer; readonly dones: readonly Done[] }[] {
    this.#ended = true
    this.#again?.cancel()
    const { entries, noted } = this.#takeAll()
    this.#release(noted)
    return entries.filter(({ dones }) => dones.length > 0)
  }

  /** Takes out all that is to be said, and who waits until notes are answered. */
  #takeAll(): { readonly entries: readonly Waiting[]; readonly noted: Done[] } {
    const flying = [...this.#flights].flatMap(({ entries }) => entries)
    const entries = [...flying, ...this.#waiting.values()]
    const noted = this.#notes.flatMap(({ dones }) => dones)
    this.#waiting.clear()
    this.#flights.clear()
    this.#notes = []
    return { entries, noted }
  }

  /** Goes on alone, if nothing was answered for too long. */
  #judge(): void {
    const { clock, lastsMs, onDegraded } = this.#options
    if (this.#ended || this.isDegraded || clock.now() - this.#answeredAt < lastsMs) return
    this.isDegraded = true
    onDegraded(true)
    const { entries, noted } = this.#takeAll()
    this.#beginAnew()
    for (const { dones } of entries) this.#release(dones)
    this.#release(noted)
  }

  #open(slots: Uint8Array, ...dones: Done[]): void {
    const facts = [String(this.#options.lastsMs), this.#isFresh ? '1' : '0']
    const words = [...facts.map((fact) => Buffer.from(fact)), Buffer.from(slots)]
    this.#note('OPEN', words, slots.slice(), dones)
    if (this.isDegraded) this.#release(dones)
  }

  /** Tells those who wait, once. */
  #release(dones: Done[]): void {
    for (const done of dones.splice(0)) done()
  }

  /** `slots`: those that it opens. */
  #note(
    verb: string,
    words: readonly Buffer[],
    slots: Uint8Array | null = null,
    dones: Done[] = [],
  ): void {
    if (this.#ended) return
    this.#notes.push({ words: [Buffer.from(verb), ...words], slots, dones })
    this.#plan()
  }

  #add(key: Buffer, dones: readonly Done[]): void {
    const name = key.toString('latin1')
    const waiting = this.#waiting.get(name)
    if (waiting === undefined) this.#waiting.set(name, { key, dones: [...dones] })
    else waiting.dones.push(...dones)
  }

  /* ---- sending ---- */

  #plan(): void {
    if (this.#isPlanned || this.#ended) return
    this.#isPlanned = true
    this.#options.clock.soon(() => {
      this.#isPlanned = false
      this.#pump()
    })
  }

  /** Nothing is sent for a while. */
  #tryLater(): void {
    const { clock } = this.#options
    this.#againAt = clock.now() + this.#againMs
    this.#again?.cancel()
    this.#again = clock.after(this.#againMs, () => this.#plan())
    this.#againMs = Math.min(2 * this.#againMs, AGAIN_MS_MAX)
  }

  #pump(): void {
    if (this.#ended || this.#options.clock.now() < this.#againAt) return
    if (this.#unsure !== null && this.#unsure.link !== this.#options.link()) this.#beginAnew()
    if (this.#notes.length > 0) return this.#sendNote()
    while (this.#waiting.size > 0 && this.#hasPlace()) if (!this.#sendBatch()) return
    if (!this.#wantsRoom || this.#waiting.size >= KEYS_WAITING_MAX / 2) return
    this.#wantsRoom = false
    this.#options.onRoom()
  }

  #hasPlace(): boolean {
    return this.#flights.size < FLIGHTS_MAX && this.#flightBytes < FLIGHT_BYTES_MAX
  }

  #sendNote(): void {
    if (this.#noteIsSent) return
    this.#noteIsSent = true
    const note = this.#notes[0]!
    const [verb, ...words] = note.words
    this.#request([PEER, COPIES, verb!], words, (outcome, value) => {
      this.#noteIsSent = false
      const isLater = value instanceof PeerError && value.line === this.#options.notYet
      if (isLater) {
        this.#tryLater()
      } else if (this.#isTaken(outcome, value)) {
        this.#notes.shift()
        if (note.slots !== null) this.#opened(note.slots)
        this.#release(note.dones)
        this.#plan()
      }
    })
  }

  #opened(slots: Uint8Array): void {
    const { onDegraded, onOpen } = this.#options
    this.#isFresh = false
    if (this.isDegraded && !this.#notes.some((note) => note.slots !== null)) {
      this.isDegraded = false
      onDegraded(false)
    }
    onOpen(slots)
  }

  /** Sends the keys that wait for longest. False: nothing can be sent now. */
  #sendBatch(): boolean {
    const entries: Waiting[] = []
    const words: Buffer[] = []
    let bytes = 0
    for (const [name, waiting] of this.#waiting) {
      if (entries.length === BATCH_KEYS_MAX || bytes >= BATCH_BYTES_MAX) break
      this.#waiting.delete(name)
      if (!this.#has(waiting.key)) {
        // Whoever has it now is told of it.
        this.#release(waiting.dones)
        continue
      }
      const found = this.#options.read(waiting.key)
      const value = found?.value ?? NO_BYTES
      const line = found === null ? NO_BYTES : Buffer.from(found.line)
      words.push(waiting.key, line, value)
      bytes += waiting.key.length + line.length + value.length
      entries.push(waiting)
    }
    if (entries.length === 0) return true
    const batch = { entries, bytes }
    this.#flights.add(batch)
    this.#flightBytes += bytes
    let isRefused = false
    this.#request([PEER, COPY], words, (outcome, value) => {
      if (!this.#flights.delete(batch)) return
      this.#flightBytes -= bytes
      if (this.#isTaken(outcome, value)) {
        this.sent += entries.length
        for (const { dones } of entries) this.#release(dones)
        this.#plan()
      } else {
        isRefused = true
        for (const { key, dones } of entries) this.#add(key, dones)
      }
    })
    return !isRefused
  }

  #has(key: Buffer): boolean {
    const slot = keySlot(key, 0, key.length)
    return (this.#slots[slot >> 3]! & (1 << (slot & 7))) !== 0
  }

  #request(
    verb: readonly Buffer[],
    words: readonly Buffer[],
    done: (outcome: PeerOutcome, value: PeerValue) => void,
  ): void {
    const { lastsMs, peer } = this.#options
    const id = this.#id
    const head = [Buffer.from(id), Buffer.from(String(this.#heard))]
    // What is named there is no key: reads of others may still be shared.
    const request = { deadlineMs: lastsMs, keyAt: verb.length, share: false }
    peer.request([...verb, ...head, ...words], request, (outcome, value) => {
      if (id === this.#id && !this.#ended) done(outcome, value)
    })
  }

  /** Takes note of an answer; else it is to be sent again, or all has begun anew. */
  #isTaken(outcome: PeerOutcome, value: PeerValue): boolean {
    if (outcome === 'lost' || (outcome === 'reply' && typeof value !== 'number')) {
      this.#beginAnew()
      return false
    }
    if (outcome !== 'reply' || typeof value !== 'number') {
      // It may be taken in later, but by this link only.
      if (!wasNotSent(outcome)) this.#unsure = { link: this.#options.link() }
      this.#tryLater()
      return false
    }
    // Whatever was sent before it over the same link was taken in before.
    this.#unsure = null
    this.#againMs = AGAIN_FIRST_MS
    this.#heard = Math.max(this.#heard, value)
    this.#answeredAt = this.#options.clock.now()
    return true
  }
}

/** Nothing of it can come later. */
function wasNotSent(outcome: PeerOutcome): boolean {
  return outcome === 'unreachable' || outcome === 'busy'
}

/** What the one set has that the other one has not; null: nothing. */
function minus(one: Uint8Array, other: Uint8Array): Uint8Array | null {
  const rest = one.map((byte, i) => byte & ~other[i]!)
  return rest.some((byte) => byte !== 0) ? rest : null
}
