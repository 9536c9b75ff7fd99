/**
 * One other node, as this one sees it: requests go in, each ends exactly once.
 *
 *     request --> queue --(end of the turn, link writable)--> link --> the node
 *        |                                                     |
 *        `------------- flights, by id  <----------------------'  @id reply | @-id loading
 *
 * - The link is opened by the first request, and again by the first one after it broke. What is
 *   asked while it opens waits in the queue. After a failed attempt requests fail at once, and
 *   attempts are made in the background, further and further apart; heartbeats see to it that
 *   there always is somebody who asks.
 * - All requests of a turn leave in one write. While the node does not take what was written,
 *   they stay in the queue, and a full queue refuses more: memory has a bound.
 * - Nothing is ever sent twice. What may be asked again, and whom, the router decides.
 * - A write that is given up does not run late. It may be in a kernel, on this side or the other, and would
 *   run after newer ones that came by other ways. So the link is reset at that moment: what has not arrived
 *   never does, and who finds it in a socket finds out that nobody waits for it (server/cluster/late-requests.ts).
 *   What else was under way on the link is lost with it, and heartbeats are asked anew, so that no node
 *   is taken for dead any sooner. A node that is busy, and answers others, is no reason: see #isOverdue. What
 *   ends at its deadline while the node works on it, or answers others, may run yet, as its error says; the
 *   link is the order in which it and what is asked next over it run.
 *
 * No timer per request: one timer per peer stands at the earliest moment at which a request may
 * have to be given up. When it fires, the input that has arrived is handled first, so that a stall
 * of this process is not taken for the other's silence.
 */
import { strict as assert } from 'node:assert'
import { copiedBytes, frameBytes, FrameWriter, SILENCE_MS } from './frame.ts'
import { Link, LINK_DROPPED, LINK_PROTOCOL, LINK_SILENT, LINK_TIMEOUT, LinkError } from './link.ts'
import type { LinkIdentity } from './link.ts'
import type { NodeAddress } from '../members/membership.ts'
import { PeerStatus, Replies } from './replies.ts'
import { MINUS } from './reply-gate.ts'
import type { PeerValue } from './replies.ts'
import type { Timer, World } from '../world.ts'

/** While so many bytes wait for one node, no more requests are taken. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024

/** Of a key that requests are shared by; Node.js makes no string of the longest. */
const SHARED_KEY_BYTES_MAX = 64 * 1024

/** Callers that wait for one node. */
const FLIGHTS_MAX = 100_000

/** Requests without an answer that one link may have. */
const GIVEN_UP_MAX = 100_000

/** What goes to the socket at once: enough for full speed, little enough to see it move. */
const WRITE_BYTES = 256 * 1024

/** Giving up is this late at most; it bounds how often the flights are walked. */
const SWEEP_MS = 10

/** What the slowest link we care for carries: a long request has so much longer to arrive. */
const BYTES_PER_MS_MIN = 20_000

/** More than any command's reply has. */
export const REPLY_DEPTH_MAX = 16

/** A link that was reset is opened again as if it had never ended, until the node is found to be dead. */
const RESUME_MS = 1000

const RETRY_FIRST_MS = 50
const RETRY_MS_MAX = 1000

/**
 * How a request ended.
 * - `reply`: the node answered; an error reply (PeerError) is an answer
 * - `unreachable`: nothing was sent, the node has never seen it
 * - `busy`: nothing was sent, too much waits for this node already
 * - `silent`: sent, but neither an answer nor the word that it is being worked on came in time
 * - `lost`: sent, then the link broke
 * - `deadline`: its time is over
 * After the last three it may have been run, or may yet be; a late reply is dropped.
 */
export type PeerOutcome = 'reply' | 'unreachable' | 'busy' | 'silent' | 'lost' | 'deadline'

/**
 * Is called once for each request, possibly before `request` returns. `value` is null unless the
 * outcome is a reply (where null is the nil reply). `heard`: the node had said that it works on it.
 */
export type PeerDone = (outcome: PeerOutcome, value: PeerValue, heard: boolean) => void

export interface PeerRequest {
  /** The answer is worthless later. Travels with the request. */
  readonly deadlineMs: number
  /** Something must be heard by then, however it was spent; without it SILENCE_MS after sending. */
  readonly hearMs?: number
  /** Index in the arguments of the one key it reads or writes; -1 when it is not that simple. */
  readonly keyAt: number
  /** Reads that key only: may share one request with equal ones of the same batch. */
  readonly share: boolean
  /** It must not run any more once it was given up. */
  readonly writes?: boolean
  /**
   * The reply is wanted as its bytes, in this protocol: its value is then a Buffer of all of them. An error
   * is a PeerError all the same.
   */
  readonly relay?: 2 | 3 | undefined
}

/** What the router needs of a node. */
export interface PeerPort {
  /** False: its link does not stand now. Absent where that is not known. */
  readonly connected?: boolean
  /**
   * `args` and the memory they stand in must not be changed any more: a long one may still be on
   * its way when the request has been given up.
   */
  request(args: readonly Buffer[], request: PeerRequest, done: PeerDone): void
}

export interface PeerOptions extends LinkIdentity {
  /** The hash of this node's view, sent along with each request. */
  readonly view: () => number
  /** The longest reply that is accepted, framing included; a longer one ends the link. */
  readonly replyBytesMax: number
  /** Hears which process is at the other end of a new link: its incarnation, or ''. */
  readonly onLinkReady?: (incarnation: string) => void
  /** Hears why a link ended, or never came to be. */
  readonly onLinkEnd?: (reason: LinkError) => void
  readonly queueBytesMax?: number
  readonly flightsMax?: number
}

interface Flight {
  readonly id: number
  readonly args: readonly Buffer[]
  readonly bytes: number
  readonly writes: boolean
  readonly relay: 2 | 3 | undefined
  /** How the reply is wanted. */
  readonly protocol: 2 | 3
  readonly deadlineAt: number
  readonly hearBy: number
  /** When it is given up if nothing is heard; moves when it is sent, but not past `hearBy`. */
  silentAt: number
  sent: boolean
  heard: boolean
  readonly shareKey: string | null
  readonly done: PeerDone
  /** Others who asked the same in the same batch. */
  sharers: PeerDone[] | null
}

/** Counted since the start, for INFO. */
export interface PeerCounters {
  requests: number
  /** Requests that were never sent because another of the batch asked the same. */
  shared: number
  links: number
  /** Links that were reset because of a write that was given up. */
  resets: number
  silent: number
  lost: number
}

const PING = [Buffer.from('PING')]

/** A node of the cluster other than this one. See the top of the file. */
export class Peer implements PeerPort {
  readonly node: NodeAddress
  readonly counters: PeerCounters = {
    requests: 0,
    shared: 0,
    links: 0,
    resets: 0,
    silent: 0,
    lost: 0,
  }
  readonly #world: World
  readonly #options: PeerOptions
  readonly #queueBytesMax: number
  readonly #flightsMax: number

  readonly #flights = new Map<number, Flight>()
  #lastId = 0
  #waiting = 0
  #queue: Flight[] = []
  #queueBytes = 0
  /** The first of each key's equal reads in the queue. */
  readonly #shareable = new Map<string, Flight>()
  /** Encoded, not yet given to the link. */
  #pieces: Buffer[] = []
  #flushing = false

  #link: Link | null = null
  #linkReady = false
  #linkedAt = 0
  /** The request whose reply comes next; 0: an id comes next. */
  #answering = 0
  /** Requests that were given up and may still be answered. */
  readonly #givenUp = new Set<number>()
  /** Makes values of replies that are not relayed. */
  readonly #values: Replies
  #value: PeerValue = null
  /** When the node last gave a sign of life on the link: bytes of it, or room for more of ours. */
  #movedAt = -Infinity
  #resetAt = -Infinity
  /** Attempts that failed in a row. */
  #failures = 0
  #retryAt = -Infinity
  #lastError: LinkError | null = null
  #closed = false

  #sweep: Timer | null = null
  #sweepAt = Infinity

  constructor(world: World, node: NodeAddress, options: PeerOptions) {
    this.node = node
    this.#world = world
    this.#options = options
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX
    this.#flightsMax = options.flightsMax ?? FLIGHTS_MAX
    const limits = { bytesMax: options.replyBytesMax, depthMax: REPLY_DEPTH_MAX }
    this.#values = new Replies(limits, (value) => (this.#value = value))
  }

  /** The link stands and both sides are sure of each other. */
  get connected(): boolean {
    return this.#linkReady
  }

  /** Since when the link stands, on the clock's scale; null: there is none. */
  get linkedAt(): number | null {
    return this.#linkReady ? this.#linkedAt : null
  }

  /** Bytes of requests that the link has not taken yet. */
  get waitingBytes(): number {
    return this.#queueBytes + (this.#link?.keptBytes ?? 0)
  }

  /** Why the last link ended, or never came to be. */
  get lastError(): LinkError | null {
    return this.#lastError
  }

  /** Callers that wait for an answer. */
  get waiting(): number {
    return this.#waiting
  }

  request(args: readonly Buffer[], request: PeerRequest, done: PeerDone): void {
    assert(!request.share || request.keyAt >= 0, 'only a read of one key can be shared')
    this.counters.requests++
    if (this.#waiting >= this.#flightsMax) return done('busy', null, false)
    const now = this.#world.clock.now()
    const flight = this.#flightOf(args, request, now, done)
    if (this.#joined(flight)) return
    if (!this.#hasRoom()) return done('busy', null, false)
    if (!this.#reach(now)) return done('unreachable', null, false)
    if (!request.share) this.#endSharing(args, request.keyAt)
    else if (flight.shareKey !== null && !this.#shareable.has(flight.shareKey)) {
      this.#shareable.set(flight.shareKey, flight)
    }
    this.#waiting++
    this.#flights.set(flight.id, flight)
    this.#queue.push(flight)
    this.#queueBytes += flight.bytes
    this.#sweepBy(dueAt(flight), now)
    this.#flushSoon()
  }

  /** Asks for a sign of life: an answer to PING in time, or a long transfer that moves. */
  ping(timeoutMs: number, done: (answered: boolean) => void): void {
    const askedAt = this.#world.clock.now()
    const request = { deadlineMs: timeoutMs, keyAt: -1, share: false }
    this.request(PING, request, (outcome, value) => {
      const leftMs = askedAt + timeoutMs - this.#world.clock.now()
      // It is this node that has ended the link, not the other.
      const wasReset = outcome === 'lost' && this.#lastError?.code === LINK_SILENT
      if (wasReset && leftMs > 0) return this.ping(leftMs, done)
      const pong = outcome === 'reply' && value instanceof PeerStatus
      done(pong || this.#movedAt > askedAt)
    })
  }

  /**
   * The node is known to answer, by another link: what is asked from now on waits for this one to come
   * about, however often it has failed.
   */
  expect(): void {
    this.#failures = 0
    this.#retryAt = -Infinity
  }

  /** Ends the link, as when the node was found to be dead: what is under way fails now, and is not to arrive. */
  drop(why: string): void {
    this.#link?.abort(this.#dropped(why))
  }

  /** Ends for good: everything fails from now on, no timer and no socket stays. */
  close(): void {
    this.#closed = true
    this.#link?.end(this.#dropped('closed here'))
    this.#sweep?.cancel()
  }

  #dropped(why: string): LinkError {
    return new LinkError(LINK_DROPPED, `${this.node.name}: ${why}`)
  }

  #flightOf(args: readonly Buffer[], request: PeerRequest, now: number, done: PeerDone): Flight {
    const bytes = frameBytes(args)
    const hearBy = now + (request.hearMs ?? Infinity)
    return {
      id: ++this.#lastId,
      args,
      bytes,
      writes: request.writes === true,
      relay: request.relay,
      protocol: request.relay ?? 2,
      deadlineAt: now + request.deadlineMs + Math.floor(bytes / BYTES_PER_MS_MIN),
      hearBy,
      silentAt: Math.min(now + SILENCE_MS, hearBy),
      sent: false,
      heard: false,
      shareKey: request.share ? shareKeyOf(args[request.keyAt]!) : null,
      done,
      sharers: null,
    }
  }

  /**
   * Lets a read ride along with an equal one that is not sent yet. Not with one that is sent: the
   * node may have read the value already, another client's write may have been acknowledged since,
   * and this reader, who begins after that, would be given the value from before it. An unsent one
   * will be read later than everything acknowledged so far. A write of the key in the same batch
   * ends the sharing: a connection that writes and then reads must see what it wrote.
   */
  #joined(flight: Flight): boolean {
    if (flight.shareKey === null) return false
    const first = this.#shareable.get(flight.shareKey)
    if (first === undefined || !sameRequest(first, flight)) return false
    first.sharers ??= []
    first.sharers.push(flight.done)
    this.#waiting++
    this.counters.shared++
    return true
  }

  #endSharing(args: readonly Buffer[], keyAt: number): void {
    if (this.#shareable.size === 0) return
    const key = keyAt < 0 ? null : shareKeyOf(args[keyAt]!)
    if (keyAt < 0) this.#shareable.clear()
    else if (key !== null) this.#shareable.delete(key)
  }

  /** What waits already decides, not the new one: a single request may have any length. */
  #hasRoom(): boolean {
    let kept = this.#queueBytes + (this.#link?.keptBytes ?? 0)
    for (const piece of this.#pieces) kept += piece.length
    return kept < this.#queueBytesMax
  }

  /** Sees to it that there is a link or an attempt; false when there is no hope for now. */
  #reach(now: number): boolean {
    if (this.#closed) return false
    if (this.#link === null) {
      if (now < this.#retryAt) return false
      this.#open()
    }
    return this.#linkReady || this.#failures === 0
  }

  #open(): void {
    const { replyBytesMax } = this.#options
    const limits = { bytesMax: replyBytesMax, depthMax: REPLY_DEPTH_MAX }
    this.#link = new Link(this.#world, this.node, this.#options, limits, {
      ready: () => {
        this.#linkReady = true
        this.#linkedAt = this.#world.clock.now()
        this.#failures = 0
        this.counters.links++
        this.#options.onLinkReady?.(this.#link!.incarnation)
        this.#pump()
      },
      id: (id) => this.#onId(id),
      reply: (bytes, type, isResp3) => this.#onReply(bytes, type, isResp3),
      heard: () => {
        this.#movedAt = this.#world.clock.now()
      },
      drained: () => {
        this.#movedAt = this.#world.clock.now()
        this.#pump()
      },
      ended: (reason) => this.#onEnded(reason),
    })
  }

  #flushSoon(): void {
    // While the link opens or does not take bytes, its readiness flushes.
    if (this.#flushing || this.#link === null || !this.#link.writable) return
    this.#flushing = true
    this.#world.clock.soon(() => {
      this.#flushing = false
      this.#pump()
    })
  }

  /** Sends as much as the link takes. */
  #pump(): void {
    while (this.#link?.writable) {
      if (this.#pieces.length === 0) this.#encode()
      if (this.#pieces.length === 0) return
      this.#link.write(this.#takePieces())
    }
  }

  /** Turns the front of the queue, about WRITE_BYTES of it, into pieces. */
  #encode(): void {
    const batch: Flight[] = []
    let copied = 0
    let bytes = 0
    let taken = 0
    while (taken < this.#queue.length && bytes < WRITE_BYTES) {
      const flight = this.#queue[taken++]!
      batch.push(flight)
      bytes += flight.bytes
      copied += copiedBytes(flight.args)
    }
    if (taken === this.#queue.length) this.#queue = []
    else this.#queue.splice(0, taken)
    const writer = new FrameWriter(copied)
    const now = this.#world.clock.now()
    const view = this.#options.view()
    for (const flight of batch) {
      writer.add(flight, flight.deadlineAt - now, view)
      this.#leaveQueue(flight)
      flight.sent = true
      flight.silentAt = Math.min(now + SILENCE_MS, flight.hearBy)
    }
    for (const chunk of writer.take()) {
      for (let at = 0; at < chunk.length; at += WRITE_BYTES) {
        this.#pieces.push(chunk.subarray(at, at + WRITE_BYTES))
      }
    }
  }

  #takePieces(): Buffer[] {
    let bytes = 0
    let count = 0
    while (count < this.#pieces.length && bytes < WRITE_BYTES)
      bytes += this.#pieces[count++]!.length
    return this.#pieces.splice(0, count)
  }

  /** It is not in the queue's books any more. The queue itself is the caller's business. */
  #leaveQueue(flight: Flight): void {
    this.#queueBytes -= flight.bytes
    const key = flight.shareKey
    if (key !== null && this.#shareable.get(key) === flight) this.#shareable.delete(key)
  }

  /** Below 0: that request is being worked on; else its reply comes next. */
  #onId(signed: number): void {
    const id = Math.abs(signed)
    const flight = this.#flights.get(id)
    if (flight === undefined ? !this.#givenUp.has(id) : !flight.sent) {
      this.#refuse('what was not asked')
      return
    }
    if (flight !== undefined) flight.heard = true
    if (signed > 0) this.#answering = id
  }

  #onReply(bytes: Buffer, type: number, isResp3: boolean): void {
    const id = this.#answering
    const flight = this.#flights.get(id)
    this.#answering = 0
    if (flight === undefined) {
      // It comes too late.
      this.#givenUp.delete(id)
    } else if (isResp3 && flight.protocol === 2) {
      this.#refuse('in another protocol')
    } else if (flight.relay !== undefined && type !== MINUS) {
      this.#finish(flight, 'reply', bytes)
    } else {
      this.#finish(flight, 'reply', this.#valueOf(bytes))
    }
  }

  #valueOf(bytes: Buffer): PeerValue {
    const failure = this.#values.feed(bytes)
    assert(failure === null, `what was let through is no RESP2: ${failure}`)
    return this.#value
  }

  #refuse(what: string): void {
    this.#link?.end(new LinkError(LINK_PROTOCOL, `${this.node.name} answered ${what}`))
  }

  #onEnded(reason: LinkError): void {
    const stood = this.#linkReady && reason.code !== LINK_PROTOCOL && reason.code !== LINK_DROPPED
    const broke = stood || (reason.code === LINK_TIMEOUT && this.#isResuming)
    this.#link = null
    this.#linkReady = false
    this.#answering = 0
    this.#givenUp.clear()
    this.#pieces = []
    this.#lastError = reason
    if (!this.#closed) this.#options.onLinkEnd?.(reason)
    if (!broke) this.#backOff()
    // A link that broke may have been an old one to a node that is well again: what has not been
    // sent gets one more chance.
    const unsent = broke && !this.#closed ? this.#queue : []
    const ended = [...this.#flights.values()].filter((flight) => flight.sent || unsent.length === 0)
    if (unsent.length > 0) this.#open()
    else this.#queue = []
    for (const flight of ended) this.#finish(flight, flight.sent ? 'lost' : 'unreachable', null)
  }

  /** Is it to be opened again since it was reset? */
  get #isResuming(): boolean {
    return this.#world.clock.now() < this.#resetAt + RESUME_MS
  }

  #backOff(): void {
    this.#failures++
    const delayMs = Math.min(RETRY_FIRST_MS * 2 ** (this.#failures - 1), RETRY_MS_MAX)
    // Half of it by chance, so that a whole cluster does not knock at a returning node at once.
    const jitter = 0.5 + this.#world.random.uint32() / 2 ** 33
    this.#retryAt = this.#world.clock.now() + delayMs * jitter
  }

  #finish(flight: Flight, outcome: PeerOutcome, value: PeerValue): void {
    if (!this.#flights.delete(flight.id)) return
    if (!flight.sent) this.#leaveQueue(flight)
    this.#waiting -= 1 + (flight.sharers?.length ?? 0)
    if (outcome === 'silent') this.counters.silent++
    if (outcome === 'lost') this.counters.lost++
    flight.done(outcome, value, flight.heard)
    if (flight.sharers !== null) {
      for (const done of flight.sharers) done(outcome, value, flight.heard)
    }
  }

  /** Has the flights looked at no later than so. */
  #sweepBy(at: number, now: number): void {
    if (at >= this.#sweepAt) return
    this.#sweep?.cancel()
    this.#sweepAt = at
    this.#sweep = this.#world.clock.after(Math.max(at - now, 0), () => {
      this.#world.clock.soon(() => this.#giveUp())
    })
  }

  /** Ends what has waited long enough. */
  #giveUp(): void {
    this.#sweepAt = Infinity
    const now = this.#world.clock.now()
    const overdue: Flight[] = []
    let next = Infinity
    for (const flight of this.#flights.values()) {
      if (this.#isOverdue(flight, now)) overdue.push(flight)
      else next = Math.min(next, Math.max(this.#lookAt(flight), now + SWEEP_MS))
    }
    if (next < Infinity) this.#sweepBy(next, now)
    if (overdue.some((flight) => !flight.sent)) {
      const gone = new Set(overdue)
      this.#queue = this.#queue.filter((flight) => !gone.has(flight))
    }
    const mustNotRun = overdue.some((flight) => this.#mustNotRun(flight, now))
    for (const flight of overdue) {
      if (flight.sent) this.#givenUp.add(flight.id)
      this.#finish(flight, wayOfEnding(flight, now), null)
    }
    if (mustNotRun) this.#reset(now)
    if (this.#givenUp.size > GIVEN_UP_MAX) this.drop('it does not answer')
  }

  #isOverdue(flight: Flight, now: number): boolean {
    const moving = now < this.#movedAt + SILENCE_MS
    if (now >= flight.deadlineAt) {
      // Its long reply is arriving this moment.
      return !(moving && flight.id === this.#answering)
    }
    if (flight.heard) return false
    // A node that answers others is busy, not dead: asking the next one would double the work.
    return now >= flight.silentAt && !moving
  }

  /** Would it do harm if it was run after it has been given up, and is that to be feared? */
  #mustNotRun({ heard, sent, writes }: Flight, now: number): boolean {
    return writes && sent && !heard && now >= this.#movedAt + SILENCE_MS
  }

  #reset(now: number): void {
    this.counters.resets++
    this.#resetAt = now
    const why = `${this.node.name} said nothing, and must not run what was asked`
    this.#link?.abort(new LinkError(LINK_SILENT, why))
  }

  /** When it may next have become overdue. */
  #lookAt(flight: Flight): number {
    if (flight.heard) return flight.deadlineAt
    return Math.min(flight.deadlineAt, Math.max(flight.silentAt, this.#movedAt + SILENCE_MS))
  }
}

/** Null: reads of so long a key are not shared. */
function shareKeyOf(key: Buffer): string | null {
  return key.length > SHARED_KEY_BYTES_MAX ? null : key.toString('latin1')
}

function wayOfEnding(flight: Flight, now: number): PeerOutcome {
  if (!flight.sent) return 'unreachable'
  return now >= flight.deadlineAt ? 'deadline' : 'silent'
}

/** When it may have to be given up. */
function dueAt(flight: Flight): number {
  return flight.heard ? flight.deadlineAt : Math.min(flight.deadlineAt, flight.silentAt)
}

/** Same words, and nobody's time is cut short by more than we are exact. */
function sameRequest(a: Flight, b: Flight): boolean {
  if (a.args.length !== b.args.length || a.relay !== b.relay) return false
  if (Math.abs(a.deadlineAt - b.deadlineAt) > SWEEP_MS) return false
  if (Math.abs(a.silentAt - b.silentAt) > SWEEP_MS) return false
  return a.args.every((argument, i) => argument.equals(b.args[i]!))
}
