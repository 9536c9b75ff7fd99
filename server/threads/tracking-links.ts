/**
 * What threads tell each other about tracked keys (tracking/tracking.ts), each over a port to each.
 *
 *     thread 1   7 tracks: says in the shared words that it listens
 *     thread 2   SET k, which is tracked ── touched k ──> 1   (all of a turn together)
 *
 * Only a thread that listens is told. It says so before it enters an interest into the store, and
 * whoever touches the key sees the interest, so it sees the word as well.
 *
 * What is sent and not taken in has a limit: beyond it a thread is told, once, that everything has
 * changed.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Clock } from '../../cluster/world.ts'
import type { Redirected, Tracking, TrackingLinks } from '../tracking/tracking.ts'
import { portsBetween } from './ports.ts'

/** Of names, that a thread may have to take in. */
const behindBytesMax = 16 * 1024 * 1024
/** What a name takes beside its bytes. */
const nameBytes = 32

/** What a thread is given: whether each thread listens, by its row, and a port to each other thread. */
export interface TrackingStart {
  readonly listening: Int32Array
  readonly ports: ReadonlyMap<number, MessagePort>
}

type LinkMessage =
  | { readonly what: 'touched'; readonly dbs: readonly number[]; readonly names: readonly string[] }
  /** So many bytes of names were taken in. */
  | { readonly what: 'taken'; readonly bytes: number }
  | { readonly what: 'flushed' }
  | { readonly what: 'invalidated' }
  | { readonly what: 'find'; readonly question: number; readonly id: number }
  | { readonly what: 'found'; readonly question: number; readonly isHere: boolean }
  | { readonly what: 'redirected'; readonly message: Redirected }
  | { readonly what: 'broken'; readonly from: number; readonly to: number }

/** For threads of these rows, 0 and on. */
export function trackingLinksOf(rows: readonly number[]): Map<number, TrackingStart> {
  const listening = new Int32Array(
    new SharedArrayBuffer(rows.length * Int32Array.BYTES_PER_ELEMENT),
  )
  const ports = portsBetween(rows)
  return new Map(rows.map((row) => [row, { listening, ports: ports.get(row)! }]))
}

/** Another thread. */
class Link {
  readonly row: number
  readonly #port: MessagePort
  #dbs: number[] = []
  #names: string[] = []
  /** Sent, or to be sent, and not taken in. */
  #bytes = 0
  /** It was told less than there was. */
  #isBehind = false

  constructor(row: number, port: MessagePort) {
    this.row = row
    this.#port = port
  }

  tell(message: LinkMessage): void {
    this.#port.postMessage(message, [])
  }

  touched(db: number, name: string): void {
    if (this.#bytes > behindBytesMax) {
      this.#isBehind = true
      return
    }
    this.#dbs.push(db)
    this.#names.push(name)
    this.#bytes += name.length + nameBytes
  }

  /** Sends what was touched. */
  flush(): void {
    if (this.#names.length === 0) return
    this.tell({ what: 'touched', dbs: this.#dbs, names: this.#names })
    this.#dbs = []
    this.#names = []
  }

  taken(bytes: number): void {
    this.#bytes -= bytes
    if (!this.#isBehind || this.#bytes > behindBytesMax) return
    this.#isBehind = false
    this.flush()
    this.tell({ what: 'flushed' })
  }
}

interface Question {
  missing: number
  readonly done: (row: number | null) => void
}

export class ThreadTrackingLinks implements TrackingLinks {
  readonly #clock: Clock
  readonly #tracking: Tracking
  readonly #row: number
  readonly #listening: Int32Array
  readonly #links: ReadonlyMap<number, Link>
  readonly #questions = new Map<number, Question>()
  #nextQuestion = 0
  #flushesSoon = false

  /** Gives a thread's `tracking` its links to the others. */
  static join(clock: Clock, tracking: Tracking, row: number, start: TrackingStart): void {
    tracking.join(new ThreadTrackingLinks(clock, tracking, row, start))
  }

  private constructor(
    clock: Clock,
    tracking: Tracking,
    row: number,
    { listening, ports }: TrackingStart,
  ) {
    this.#clock = clock
    this.#tracking = tracking
    this.#row = row
    this.#listening = listening
    const links = new Map<number, Link>()
    for (const [other, port] of ports) {
      const link = new Link(other, port)
      links.set(other, link)
      port.on('message', (message: LinkMessage) => this.#hear(link, message))
      // A thread does not live for these.
      port.unref()
    }
    this.#links = links
  }

  listens(does: boolean): void {
    Atomics.store(this.#listening, this.#row, does ? 1 : 0)
  }

  touched(db: number, name: string): void {
    for (const link of this.#links.values()) {
      if (Atomics.load(this.#listening, link.row) > 0) link.touched(db, name)
    }
    this.#flushSoon()
  }

  flushed(): void {
    this.#tellListeners({ what: 'flushed' })
  }

  invalidated(): void {
    this.#tellListeners({ what: 'invalidated' })
  }

  #tellListeners(message: LinkMessage): void {
    for (const link of this.#links.values()) {
      if (Atomics.load(this.#listening, link.row) === 0) continue
      link.flush()
      link.tell(message)
    }
  }

  find(id: number, done: (row: number | null) => void): void {
    const question = this.#nextQuestion++
    this.#questions.set(question, { missing: this.#links.size, done })
    for (const link of this.#links.values()) link.tell({ what: 'find', question, id })
  }

  redirect(row: number, message: Redirected): void {
    this.#links.get(row)!.tell({ what: 'redirected', message })
  }

  #flushSoon(): void {
    if (this.#flushesSoon) return
    this.#flushesSoon = true
    this.#clock.soon(() => {
      this.#flushesSoon = false
      for (const link of this.#links.values()) link.flush()
    })
  }

  #hear(link: Link, message: LinkMessage): void {
    const tracking = this.#tracking
    switch (message.what) {
      case 'touched': {
        const { dbs, names } = message
        let bytes = 0
        for (const [i, name] of names.entries()) {
          tracking.hear(dbs[i]!, name)
          bytes += name.length + nameBytes
        }
        link.tell({ what: 'taken', bytes })
        return
      }
      case 'taken':
        link.taken(message.bytes)
        return
      case 'flushed':
        tracking.hearFlushed()
        return
      case 'invalidated':
        tracking.hearInvalidated()
        return
      case 'find':
        link.tell({
          what: 'found',
          question: message.question,
          isHere: tracking.has(message.id),
        })
        return
      case 'found':
        this.#answered(message.question, message.isHere ? link.row : null)
        return
      case 'redirected': {
        const { from, to } = message.message
        if (!tracking.hearRedirected(message.message)) link.tell({ what: 'broken', from, to })
        return
      }
      case 'broken':
        tracking.hearBroken(message.from, message.to)
        return
    }
  }

  #answered(id: number, row: number | null): void {
    const question = this.#questions.get(id)
    if (question === undefined) return
    question.missing--
    if (row === null && question.missing > 0) return
    this.#questions.delete(id)
    question.done(row)
  }
}
