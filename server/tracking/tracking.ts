/*
 * CLIENT TRACKING, as one thread has it: clients keep what they read, and are told when it changes.
 *
 *     GET k ──> table: k is tracked, by client 7 (table.ts) ──> the store counts an interest in k,
 *                                                               and only then k is read
 *     SET k, by any thread, or the end of k ──> the store tells that thread: `touched`
 *         ├─> queue ── at the end of the command or the turn ──> the table forgets k, 7 is told
 *         └─> other threads with trackers (threads/tracking-links.ts) ──> their queues
 *
 * Nothing is lost, because an interest is entered before the key is read, under the lock that a
 * change takes: what is not in the value that was read is told. And because of the order in which a
 * client hears it: a message lines up behind the replies to all that was executed before, also behind
 * those that are still awaited, so that it is never overtaken by the value that it makes worthless.
 * What was in a queue already when a key is read anew is told behind that value. That is one message
 * for nothing, and the client reads once more.
 *
 * In mode BCAST nobody's reads are remembered. The store tells of all changes while there are such
 * clients (prefixes.ts).
 *
 * A thread that cannot keep up with what others tell it hears instead that everything has changed.
 */
import type { Clock, Timer } from '../../cluster/world.ts'
import { type Args, textOf } from '../../protocol/args.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, flagBits, keysOf } from '../command.ts'
import { KEYS_WHOLE_MAX } from '../commands/many-keys.ts'
import type { CommandCell } from '../stats.ts'
import type { Store } from '../store/store.ts'
import type { CommandTimer } from '../timing.ts'
import { invalidation, invalidationMessage, redirectionBroken } from './message.ts'
import { copyOpenValue } from '../loads/load-store.ts'
import { Prefixes } from './prefixes.ts'
import { TrackingTable } from './table.ts'
import { Tracker, type TrackingOptions } from './tracker.ts'

/** How often tracked keys are looked over, and how many at most: about a millisecond. */
const lookPeriodMs = 100
const looksPerPeriod = 1_000
/** After an invalidation there is more to be found. */
const looksPerTurn = 500

/** The other threads; see threads/tracking-links.ts. */
export interface TrackingLinks {
  /** Are others to tell this thread of changes? */
  listens(does: boolean): void
  /** Tells the others of a change that this thread has made or found. */
  touched(db: number, name: string): void
  /** Tells them that everything has changed. */
  flushed(): void
  /** Tells them that much is dead that nobody has found yet. */
  invalidated(): void
  /** Asks them who has a client: `done` is told the row of its thread, null: nobody. */
  find(id: number, done: (row: number | null) => void): void
  /** Has another thread's client `to` hear instead of this thread's `from`. */
  redirect(row: number, message: Redirected): void
}

export interface Redirected {
  readonly from: number
  readonly to: number
  readonly keys: readonly string[] | null
}

type Queued =
  | { readonly what: 'touched'; readonly db: number; readonly name: string; readonly by: number }
  | { readonly what: 'full' }
  | { readonly what: 'flushed' }

/** What it needs of its thread. */
interface TrackingParts {
  readonly store: Store
  readonly clock: Clock
  readonly timer: Pick<CommandTimer, 'run'>
  readonly clients: ReadonlyMap<number, Client>
  /** `tracking-table-max-keys`, this thread's part of it; 0: no limit. Read each time. */
  readonly keysMax: () => number
}

export class Tracking {
  readonly #parts: TrackingParts
  readonly #store: Store
  readonly #clock: Clock
  readonly #table: TrackingTable
  readonly #prefixes = new Prefixes<Tracker>()
  readonly #trackers = new Map<number, Tracker>()
  /** Other nodes, by the id of their link, which have copies of what was read: see server/cluster/hot-grants.ts. */
  readonly #holders = new Map<number, (keys: readonly string[] | null) => void>()
  #links: TrackingLinks | null = null
  #queue: Queued[] = []
  #drainsSoon = false
  #flushesSoon = false
  #collectsSoon = false
  #looksSoon = false
  /** Goes through the table while there is one. */
  #lookTimer: Timer | null = null
  /** Whose command runs now, if it tracks with NOLOOP, and what it writes. */
  #writer: Tracker | null = null
  #written: Set<string> | null = null
  /** Is a command of a client that tracks running? */
  #runs = false
  /** Has the table more keys than it may have, and is to let some go? */
  #isFull = false

  constructor(parts: TrackingParts) {
    this.#parts = parts
    this.#store = parts.store
    this.#clock = parts.clock
    this.#table = new TrackingTable(parts.store)
    this.#store.onTouched = (db, key) => this.#touched(db, key)
  }

  /** There are other threads. Before anybody tracks. */
  join(links: TrackingLinks): void {
    this.#links = links
  }

  /* ---- what INFO shows, of this thread ---- */

  get trackers(): number {
    return this.#trackers.size
  }

  get keys(): number {
    return this.#table.keys
  }

  get items(): number {
    return this.#table.items
  }

  get prefixes(): number {
    return this.#prefixes.count
  }

  /* ---- who tracks ---- */

  /** The row of the thread that has a client; null: there is no such client. Perhaps at once. */
  find(id: number, done: (row: number | null) => void): void {
    const here = this.has(id)
    if (here || this.#links === null) done(here ? 0 : null)
    else this.#links.find(id, done)
  }

  has(id: number): boolean {
    return this.#parts.clients.has(id)
  }

  /** CLIENT TRACKING ON, also of a client that tracks already. `prefixes`: beside those it has. */
  begin(
    client: Client,
    options: TrackingOptions,
    redirectRow: number,
    prefixes: readonly string[],
  ): void {
    let { tracker } = client
    if (tracker === null) {
      tracker = new Tracker(client, options)
      this.#trackers.set(client.id, tracker)
      client.track(tracker)
      this.#links?.listens(true)
      this.#lookTimer ??= this.#clock.every(lookPeriodMs, () => this.#lookOver())
      if (options.bcast) this.#store.trackAll(true)
    }
    tracker.options = options
    tracker.redirectRow = redirectRow
    tracker.isBroken = false
    for (const prefix of prefixes) {
      tracker.prefixes.add(prefix)
      this.#prefixes.add(prefix, tracker)
    }
  }

  /** CLIENT TRACKING OFF. As in Redis, what it has read is told if it tracks again. */
  end(client: Client): void {
    const { tracker } = client
    if (tracker === null) return
    for (const prefix of tracker.prefixes) this.#prefixes.remove(prefix, tracker)
    if (tracker.options.bcast) this.#store.trackAll(false)
    this.#trackers.delete(client.id)
    client.track(null)
    this.#links?.listens(this.#listens)
  }

  /** A client is gone. Where none is left nobody will want to know what they have read. */
  forget(client: Client): void {
    this.end(client)
    this.#rest()
  }

  #rest(): void {
    if (this.#trackers.size > 0 || this.#holders.size > 0 || this.#lookTimer === null) return
    this.#clear()
    this.#links?.listens(false)
    this.#lookTimer.cancel()
    this.#lookTimer = null
  }

  /** Is a change of a key of interest here? */
  get #listens(): boolean {
    return this.#trackers.size > 0 || this.#holders.size > 0 || this.#table.keys > 0
  }

  /* ---- other nodes that have copies ---- */

  /** `hear` is told of each key that `hold` was called with and that has changed; null: all have. */
  beginHolding(id: number, hear: (keys: readonly string[] | null) => void): void {
    this.#holders.set(id, hear)
    this.#links?.listens(true)
    this.#lookTimer ??= this.#clock.every(lookPeriodMs, () => this.#lookOver())
  }

  /** The link is about to read a key. */
  hold(id: number, db: number, name: string, key: Uint8Array): void {
    this.#add(id, db, name, key)
  }

  /** What it has read of a key is not kept any more. */
  letGo(id: number, db: number, name: string): void {
    this.#table.drop(id, db, name)
  }

  endHolding(id: number): void {
    this.#holders.delete(id)
    this.#links?.listens(this.#listens)
    this.#rest()
  }

  /* ---- commands of clients that track ---- */

  /** Runs a command, of a client that tracks, whose reply nobody waits for any more. */
  run(client: Client, entry: CommandEntry, cell: CommandCell): void {
    const { timer } = this.#parts
    // A command of a transaction runs within EXEC.
    const isWithin = this.#runs
    if (!isWithin) this.#drain()
    this.#runs = true
    this.#remember(client, entry, client.args)
    const writer = this.#writer
    const written = this.#written
    this.#write(client, entry, client.args)
    timer.run(client, entry, cell)
    // Of a transaction the store tells at its end.
    if (isWithin) return
    this.#writer = writer
    this.#written = written
    this.#runs = false
    // Its own changes are told behind the reply.
    this.#drain()
  }

  /** Runs a part of a command, of a client that tracks, in its later turn. */
  runLater(client: Client, args: Args, run: () => void): void {
    const runs = this.#runs
    const writer = this.#writer
    const written = this.#written
    this.#runs = true
    const entry = client.server.table.called(args)
    if (entry !== null) this.#write(client, entry, args)
    run()
    this.#writer = writer
    this.#written = written
    this.#runs = runs
  }

  /** What it writes itself, if it does not want to hear of that. */
  #write({ tracker }: Client, entry: CommandEntry, args: Args): void {
    if (tracker?.options.noloop !== true || (entry.flags & flagBits.write) === 0) return
    this.#writer = tracker
    this.#written ??= new Set()
    for (const i of keysOf(entry, args) ?? []) this.#written.add(args.text(i))
  }

  #remember(client: Client, entry: CommandEntry, args: Args): void {
    const { tracker, db } = client
    if (tracker === null) return
    const isReading = tracker.remembers && (entry.flags & flagBits.readonly) !== 0
    // See commands/many-keys.ts.
    tracker.readsMany = isReading && args.count - 1 > KEYS_WHOLE_MAX
    if (!isReading || tracker.readsMany) return
    for (const i of keysOf(entry, args) ?? [])
      this.#add(client.id, db, args.text(i), args.buffer(i))
  }

  /** Of a client that tracks: it is about to read the keys that arguments `from` up to `to` are. */
  reads({ tracker, id, db, args }: Client, from: number, to: number): void {
    if (tracker === null) return
    for (let i = from; i < to; i++) this.#add(id, db, args.text(i), args.buffer(i))
  }

  /**
   * A client that tracks is about to be answered with what a load has brought (null: with nothing): if
   * that is not what the store has now it is told right behind the reply, which its slot has room for.
   */
  loaded({ id }: Client, db: number, key: Uint8Array, value: Buffer | null): void {
    if (!this.#trackers.has(id)) return
    const store = this.#store
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.length)
    const name = textOf(bytes)
    this.#add(id, db, name, bytes)
    store.now = this.#clock.now()
    if (holds(store, db, key, value)) return
    this.#enqueue({ what: 'touched', db, name, by: 0 })
  }

  #add(id: number, db: number, name: string, key: Uint8Array): void {
    this.#table.add(id, db, name, key, 0, key.length)
    // Not now: keys may be locked.
    if (!this.#isFull && this.#table.isOver(this.#keysMax)) {
      this.#isFull = true
      this.#enqueue({ what: 'full' })
    }
  }

  get #keysMax(): number {
    const keysMax = this.#parts.keysMax()
    return keysMax === 0 ? Infinity : keysMax
  }

  /* ---- what changes ---- */

  /** The store tells of a change by this thread: amid a command, perhaps, whose reply is half written. */
  #touched(db: number, key: Uint8Array): void {
    const name = textOf(key)
    this.#links?.touched(db, name)
    if (!this.#listens) return
    const isOwn = this.#writer !== null && this.#written!.has(name)
    this.#enqueue({ what: 'touched', db, name, by: isOwn ? this.#writer!.client.id : 0 })
  }

  /** Another thread has told of a change. */
  hear(db: number, name: string): void {
    this.#enqueue({ what: 'touched', db, name, by: 0 })
  }

  /** FLUSHALL and FLUSHDB: all keys have changed, for everybody. */
  flushed(): void {
    this.#links?.flushed()
    this.hearFlushed()
  }

  hearFlushed(): void {
    this.#enqueue({ what: 'flushed' })
  }

  /** Keys have become worthless that nobody has found yet (CACHE.INVALIDATE): they are looked for. */
  invalidated(): void {
    this.#links?.invalidated()
    this.hearInvalidated()
  }

  hearInvalidated(): void {
    if (this.#looksSoon || this.#table.keys === 0) return
    this.#looksSoon = true
    const begins = this.#table.keys
    let looked = 0
    const look = (): void => {
      this.#store.now = this.#clock.now()
      this.#table.lookOver(looksPerTurn, (db, name) => this.hear(db, name))
      looked += looksPerTurn
      // Once around, and on to where it began.
      this.#looksSoon = looked < begins + 2 * looksPerTurn && this.#table.keys > 0
      if (this.#looksSoon) this.#clock.soon(look)
    }
    this.#clock.soon(look)
  }

  #lookOver(): void {
    if (this.#table.keys === 0) return
    this.#store.now = this.#clock.now()
    this.#table.lookOver(looksPerPeriod, (db, name) => this.hear(db, name))
  }

  #enqueue(queued: Queued): void {
    this.#queue.push(queued)
    if (this.#drainsSoon) return
    this.#drainsSoon = true
    this.#clock.soon(() => {
      this.#drainsSoon = false
      this.#drain()
    })
  }

  /** Tells what is known now, before something else that clients are told. Not amid a command that reads. */
  settle(): void {
    if (!this.#runs) this.#drain()
  }

  /** Tells whom it concerns. No command may be under way whose reply has begun. */
  #drain(): void {
    while (this.#queue.length > 0) {
      const queue = this.#queue
      this.#queue = []
      for (const queued of queue) this.#handle(queued)
    }
  }

  #handle(queued: Queued): void {
    if (queued.what === 'flushed') {
      this.#clear()
      for (const tracker of [...this.#trackers.values()]) this.#tell(tracker, null)
      for (const hear of [...this.#holders.values()]) hear(null)
      return
    }
    if (queued.what === 'full') {
      this.#isFull = false
      const keysMax = this.#keysMax
      while (this.#table.isOver(keysMax)) {
        const { name, ids } = this.#table.dropOldest()
        this.#tellReaders(name, ids, 0)
      }
      return
    }
    const { db, name, by } = queued
    if (!this.#prefixes.isEmpty) {
      if (this.#prefixes.changed(name, this.#trackers.get(by) ?? null)) this.#flushSoon()
    }
    this.#tellReaders(name, this.#table.take(db, name), by)
  }

  /** `by`: who has changed the key, if it does not want to hear of that. */
  #tellReaders(name: string, ids: readonly number[], by: number): void {
    for (const id of ids) {
      this.#holders.get(id)?.([name])
      const tracker = this.#trackers.get(id)
      if (tracker === undefined || tracker.options.bcast) continue
      if (id === by && tracker.options.noloop) continue
      this.#tell(tracker, [name])
    }
  }

  #flushSoon(): void {
    if (this.#flushesSoon) return
    this.#flushesSoon = true
    this.#clock.soon(() => {
      this.#flushesSoon = false
      this.#drain()
      this.#prefixes.flush(
        (tracker, keys) => this.#tell(tracker, keys),
        (tracker) => tracker.options.noloop,
      )
    })
  }

  #clear(): void {
    this.#table.clear()
    if (this.#collectsSoon) return
    this.#collectsSoon = true
    const collect = (): void => {
      this.#collectsSoon = !this.#table.collect()
      if (this.#collectsSoon) this.#clock.soon(collect)
    }
    this.#clock.soon(collect)
  }

  /* ---- telling ---- */

  #tell(tracker: Tracker, keys: readonly string[] | null): void {
    const { client, options, redirectRow } = tracker
    const { redirect } = options
    if (redirect === 0) {
      // In RESP2 there is no telling it apart from a reply.
      if (client.protocol === 3) client.push(invalidation(keys))
      return
    }
    const message = { from: client.id, to: redirect, keys }
    if (this.hearRedirected(message)) return
    if (redirectRow === 0 || this.#links === null) this.hearBroken(message.from, redirect)
    else this.#links.redirect(redirectRow, message)
  }

  /** A client hears instead of another one, perhaps of another thread. False: there is no such client. */
  hearRedirected({ to, keys }: Redirected): boolean {
    const client = this.#parts.clients.get(to)
    if (client === undefined) return false
    client.hearsOthers = true
    if (client.protocol === 3) client.push(invalidation(keys))
    else if (client.isSubscriber) client.push(invalidationMessage(keys))
    return true
  }

  /** The client to which the messages of `from` are redirected is gone. */
  hearBroken(from: number, to: number): void {
    const tracker = this.#trackers.get(from)
    if (tracker === undefined || tracker.options.redirect !== to) return
    tracker.isBroken = true
    if (tracker.client.protocol === 3) tracker.client.push(redirectionBroken(to))
  }
}

/** Is the key's value this one (null: is there none)? */
function holds(store: Store, db: number, key: Uint8Array, value: Buffer | null): boolean {
  const found = store.peek(db, key, 0, key.length)
  const isSame = found ? value !== null && sameAsOpen(store, value) : value === null
  store.close()
  return isSame
}

function sameAsOpen(store: Store, value: Buffer): boolean {
  return store.valueLength === value.length && copyOpenValue(store).equals(value)
}
