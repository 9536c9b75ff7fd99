/*
 * What the server counts, in memory that all threads share:
 *
 *     row of thread 0   | counters | kinds of errors | commands, 4 cells each | their histograms |
 *     row of thread 1   | ...
 *     baseline          | what all rows together had at the last CONFIG RESETSTAT
 *
 * A thread writes only to its own row, so that counting takes no lock and no atomic instruction: one
 * increment of a number in an array. Whoever shows a figure adds up its cells over the rows and
 * takes away the baseline's. A reset therefore writes to no other thread's row either, where it
 * would lose what that thread is adding.
 *
 * A reader may be a few counts behind. It never sees half of a number: a cell is 8 aligned bytes.
 * Rows that nobody counts in stay untouched pages of zeros, which cost address space only.
 *
 * Error kinds have names that are not known beforehand. Each thread writes a name beside its row,
 * and then, atomically, how many there are: readers match them by name.
 */
import type { Clock, Timer } from '../cluster/world.ts'
import { cellOf, histogramCells } from './histogram.ts'

/** The counters of a row; index of the cell. */
export const counter = {
  commandsProcessed: 0,
  connectionsReceived: 1,
  rejectedConnections: 2,
  netInputBytes: 3,
  netOutputBytes: 4,
  keyspaceHits: 5,
  keyspaceMisses: 6,
  totalErrorReplies: 7,
  connectionsClosed: 8,
  reads: 9,
  writes: 10,
} as const

/** Redis's limit on kinds of errors that are told apart. */
export const errorsMax = 128

/** Rows begin on a cache line of their own. */
const lineCells = 8
const countersMax = 16
const errorsAt = countersMax
const commandsAt = errorsAt + errorsMax
const commandCells = 4
/** Of a command: calls, microseconds of all of them, refused before they ran, ended in an error. */
const [callsAt, microsAt, rejectedAt, failedAt] = [0, 1, 2, 3] as const

/** A longer first word of an error is cut off. */
const errorNameBytes = 31
const errorNameStride = 1 + errorNameBytes

/** The words that all threads share, as index of an Int32Array; then one a row: its error kinds. */
const word = { clients: 0, monitors: 1, nextClientId: 2, errorKinds: 4 } as const

/**
 * A command's first runs are all timed; then one in so many, which counts for all of them: reading
 * the clock costs as much as a GET.
 */
const timedRunsAll = 256
const timedRunsPeriod = 16

/** What the threads of a process count into together. It may be posted from thread to thread. */
export interface SharedStats {
  readonly rows: number
  /** Full names of the commands, by `CommandEntry.index`. */
  readonly commands: readonly string[]
  readonly cells: SharedArrayBuffer
  readonly words: SharedArrayBuffer
  readonly errorNames: SharedArrayBuffer
}

/** Room for the counters of so many threads; all are zero. */
export function shareStats(commands: readonly string[], threads = 1): SharedStats {
  const names = threads * errorsMax * errorNameStride
  const shared = {
    rows: threads,
    commands,
    cells: new SharedArrayBuffer((threads + 1) * rowCells(commands.length) * 8),
    words: new SharedArrayBuffer((word.errorKinds + threads) * 4),
    errorNames: new SharedArrayBuffer(names),
  }
  new BigInt64Array(shared.words, word.nextClientId * 4, 1)[0] = 1n
  return shared
}

function rowCells(commands: number): number {
  const cells = commandsAt + commands * (commandCells + histogramCells)
  return Math.ceil(cells / lineCells) * lineCells
}

/** As Redis: the mean of the last 16 samples, one each 100 ms. */
const samples = 16
const samplePeriodMs = 100

/** How fast a counter grows: the mean over the last `samples` samples. */
class Rate {
  readonly #perSecond = new Float64Array(samples)
  #next = 0
  #lastCount = 0

  sample(count: number, elapsedMs: number): void {
    this.#perSecond[this.#next] = ((count - this.#lastCount) * 1000) / elapsedMs
    this.#next = (this.#next + 1) % samples
    this.#lastCount = count
  }

  get mean(): number {
    return this.#perSecond.reduce((sum, rate) => sum + rate, 0) / samples
  }

  reset(): void {
    this.#perSecond.fill(0)
    this.#lastCount = 0
  }
}

/** One command's calls on this thread: what dispatch counts into. */
export class CommandCell {
  readonly #row: Float64Array
  readonly #at: number
  readonly #histogramAt: number
  /** Runs since the last one that was timed, and how many there may be. */
  #untimed = 0
  #untimedMax = 0
  /** latency-tracking: is there a histogram? */
  tracked = true

  constructor(row: Float64Array, at: number, histogramAt: number) {
    this.#row = row
    this.#at = at
    this.#histogramAt = histogramAt
  }

  called(): void {
    this.#row[this.#at + callsAt]!++
  }

  /** A run begins. True: it need not be timed; the next one that is counts for it too. */
  skips(): boolean {
    if (this.#untimed === this.#untimedMax) return false
    this.#untimed++
    return true
  }

  /** A run took so long; it stands for those before it that were not timed. */
  took(micros: number): void {
    const runs = this.#untimed + 1
    this.#untimed = 0
    if (this.#untimedMax === 0 && this.#row[this.#at + callsAt]! >= timedRunsAll) {
      this.#untimedMax = timedRunsPeriod - 1
    }
    this.#row[this.#at + microsAt]! += micros * runs
    if (this.tracked) this.#row[this.#histogramAt + cellOf(micros * 1000)]! += runs
  }

  /** Refused before it ran: arity, permissions, memory. */
  rejected(): void {
    this.#row[this.#at + rejectedAt]!++
  }

  /** Ran and answered an error. */
  failed(): void {
    this.#row[this.#at + failedAt]!++
  }
}

/** One command's calls on all threads. `micros` may have a fraction. */
export interface CommandStats {
  /** `CommandEntry.index` */
  readonly index: number
  readonly name: string
  readonly calls: number
  readonly micros: number
  readonly rejected: number
  readonly failed: number
}

/** What the store counts of keys that are gone. */
export interface RemovalCounts {
  readonly evicted: number
  readonly expiredLazily: number
  readonly expiredActively: number
}

/**
 * The counters as one thread sees them: it writes to its row, and reads the sums over all. Only one
 * thread, the one that runs INFO and CONFIG RESETSTAT, may call `start` and `reset`.
 */
export class Stats {
  /** What this thread counts, at `counter`'s indices. */
  readonly row: Float64Array
  /** By `CommandEntry.index`. */
  readonly cells: readonly CommandCell[]
  /** The most bytes of the store in use, as seen by `sample`, and those before the first key. */
  usedMemoryPeak = 0
  usedMemoryAtStart = 0
  readonly #shared: SharedStats
  readonly #all: Float64Array
  readonly #rowCells: number
  readonly #baseline: Float64Array
  readonly #words: Int32Array
  readonly #nextClientId: BigInt64Array
  readonly #rowNumber: number
  /** Of this thread, by the error's first word: its cell. */
  readonly #errorCells = new Map<string, number>()
  /** What `errors` had at the last reset, by name: one cell has another meaning in each row. */
  #errorsBefore: ReadonlyMap<string, number> = new Map()
  readonly #ops = new Rate()
  readonly #input = new Rate()
  readonly #output = new Rate()
  #sampledAtMs = NaN
  #evictedBefore = 0
  #expiredBefore = 0
  #timer: Timer | null = null

  /** `rowNumber`: which row is this thread's, 0 <= rowNumber < shared.rows. */
  constructor(shared: SharedStats, rowNumber = 0) {
    const { commands, cells, words } = shared
    const length = rowCells(commands.length)
    this.#shared = shared
    this.#rowNumber = rowNumber
    this.#rowCells = length
    this.#all = new Float64Array(cells)
    this.row = this.#all.subarray(rowNumber * length, (rowNumber + 1) * length)
    this.#baseline = this.#all.subarray(shared.rows * length)
    this.#words = new Int32Array(words)
    this.#nextClientId = new BigInt64Array(words, word.nextClientId * 4, 1)
    this.cells = commands.map(
      (_, index) => new CommandCell(this.row, commandAt(index), this.#histogramAt(index)),
    )
  }

  /** Full names of the commands, by `CommandEntry.index`. */
  get names(): readonly string[] {
    return this.#shared.commands
  }

  /* ---- what all threads share at once ---- */

  /** Clients that are connected, on all threads. */
  get clients(): number {
    return Atomics.load(this.#words, word.clients)
  }

  /**
   * A client has come: its id, which no other one gets. 0: there are `clientsMax` already, also if
   * others come to other threads at the same time.
   */
  clientCame(clientsMax = Infinity): number {
    if (Atomics.add(this.#words, word.clients, 1) >= clientsMax) {
      Atomics.sub(this.#words, word.clients, 1)
      return 0
    }
    return Number(Atomics.add(this.#nextClientId, 0, 1n))
  }

  clientLeft(): void {
    this.row[counter.connectionsClosed]!++
    Atomics.sub(this.#words, word.clients, 1)
  }

  /** Connections that a thread was given and has no more, since the start: closed, or turned away. */
  goneFrom(row: number): number {
    const from = row * this.#rowCells
    return (
      this.#all[from + counter.connectionsClosed]! + this.#all[from + counter.rejectedConnections]!
    )
  }

  /** Clients in MONITOR, on all threads; a plain read, for each command asks. */
  get monitors(): number {
    return this.#words[word.monitors]!
  }

  monitorCame(): void {
    Atomics.add(this.#words, word.monitors, 1)
  }

  monitorLeft(): void {
    Atomics.sub(this.#words, word.monitors, 1)
  }

  /* ---- counting ---- */

  /** Counts an error reply under its first word; further words than `errorsMax` are summed up. */
  error(code: string): void {
    this.row[counter.totalErrorReplies]!++
    const cell = this.#errorCells.get(code) ?? this.#nameError(code)
    if (cell >= 0) this.row[cell]!++
  }

  /** Gives a kind of error a cell of this row; -1 when all are taken. */
  #nameError(code: string): number {
    const kinds = this.#errorCells.size
    if (kinds === errorsMax) return -1
    const name = new TextEncoder().encode(code).subarray(0, errorNameBytes)
    const place = new Uint8Array(this.#shared.errorNames, this.#nameAt(this.#rowNumber, kinds))
    place[0] = name.length
    place.set(name, 1)
    this.#errorCells.set(code, errorsAt + kinds)
    Atomics.store(this.#words, word.errorKinds + this.#rowNumber, kinds + 1)
    return errorsAt + kinds
  }

  #nameAt(row: number, kind: number): number {
    return (row * errorsMax + kind) * errorNameStride
  }

  /** latency-tracking: are histograms kept from now on? */
  trackLatency(on: boolean): void {
    for (const cell of this.cells) cell.tracked = on
  }

  /* ---- the sums ---- */

  /** A counter (its index is one of `counter`'s) over all threads, since the last reset. */
  total(index: number): number {
    return this.#sum(index) - this.#baseline[index]!
  }

  #sum(cell: number): number {
    let sum = 0
    for (let row = 0; row < this.#shared.rows; row++) sum += this.#all[row * this.#rowCells + cell]!
    return sum
  }

  /** Error replies by the error's first word, in the order of their first appearance. */
  errors(): Map<string, number> {
    const found = new Map<string, number>()
    for (let row = 0; row < this.#shared.rows; row++) {
      for (const [kind, name] of this.#errorNames(row).entries()) {
        const cell = row * this.#rowCells + errorsAt + kind
        found.set(name, (found.get(name) ?? 0) + this.#all[cell]!)
      }
    }
    for (const [name, count] of found) {
      const since = count - (this.#errorsBefore.get(name) ?? 0)
      if (since > 0) found.set(name, since)
      else found.delete(name)
    }
    return found
  }

  #errorNames(row: number): string[] {
    const names: string[] = []
    const kinds = Atomics.load(this.#words, word.errorKinds + row)
    for (let kind = 0; kind < kinds; kind++) {
      const place = new Uint8Array(this.#shared.errorNames, this.#nameAt(row, kind))
      names.push(String.fromCharCode(...place.slice(1, 1 + place[0]!)))
    }
    return names
  }

  /** A command by its index. */
  command(index: number): CommandStats {
    const at = commandAt(index)
    return {
      index,
      name: this.#shared.commands[index]!,
      calls: this.total(at + callsAt),
      micros: this.total(at + microsAt),
      rejected: this.total(at + rejectedAt),
      failed: this.total(at + failedAt),
    }
  }

  /** All commands that were called, with or without success. */
  commands(): CommandStats[] {
    return this.#shared.commands
      .map((_, index) => this.command(index))
      .filter(({ calls, rejected, failed }) => calls + rejected + failed > 0)
  }

  /** The runs of a command by the time they took; see histogram.ts. Null: none was timed. */
  histogram(index: number): Float64Array | null {
    if (this.#sum(commandAt(index) + callsAt) === 0) return null
    const from = this.#histogramAt(index)
    const counts = new Float64Array(histogramCells)
    let isEmpty = true
    for (let cell = 0; cell < histogramCells; cell++) {
      counts[cell] = this.total(from + cell)
      if (counts[cell] !== 0) isEmpty = false
    }
    return isEmpty ? null : counts
  }

  #histogramAt(command: number): number {
    return commandAt(this.#shared.commands.length) + command * histogramCells
  }

  /**
   * Keys that were evicted and that expired, since the last reset: the store's counters themselves
   * are never set back.
   */
  sinceReset(store: RemovalCounts): { evicted: number; expired: number } {
    return {
      evicted: store.evicted - this.#evictedBefore,
      expired: store.expiredLazily + store.expiredActively - this.#expiredBefore,
    }
  }

  /** CONFIG RESETSTAT. */
  reset(store: RemovalCounts): void {
    this.#evictedBefore = store.evicted
    this.#expiredBefore = store.expiredLazily + store.expiredActively
    const before = new Map(this.#errorsBefore)
    for (const [name, count] of this.errors()) before.set(name, count + (before.get(name) ?? 0))
    this.#errorsBefore = before
    for (let cell = 0; cell < countersMax; cell++) this.#rebase(cell)
    for (let index = 0; index < this.cells.length; index++) this.#rebaseCommand(index)
    this.#ops.reset()
    this.#input.reset()
    this.#output.reset()
  }

  #rebaseCommand(index: number): void {
    const at = commandAt(index)
    for (let cell = at; cell < at + commandCells; cell++) this.#rebase(cell)
    // The histogram of a command that never ran is left alone: its pages were never touched.
    if (this.#baseline[at + callsAt] === 0) return
    const from = this.#histogramAt(index)
    for (let cell = from; cell < from + histogramCells; cell++) this.#rebase(cell)
  }

  #rebase(cell: number): void {
    this.#baseline[cell] = this.#sum(cell)
  }

  /* ---- rates ---- */

  /** Samples until `stop`; `usedMemory` tells the store's bytes in use. */
  start(clock: Clock, usedMemory: () => number): void {
    this.usedMemoryAtStart = usedMemory()
    this.sample(clock.now(), this.usedMemoryAtStart)
    this.#timer = clock.every(samplePeriodMs, () => this.sample(clock.now(), usedMemory()))
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** To be called about each 100 ms; the first call only sets the begin. */
  sample(nowMs: number, usedMemory: number): void {
    if (usedMemory > this.usedMemoryPeak) this.usedMemoryPeak = usedMemory
    const elapsedMs = nowMs - this.#sampledAtMs
    if (elapsedMs > 0) {
      this.#ops.sample(this.total(counter.commandsProcessed), elapsedMs)
      this.#input.sample(this.total(counter.netInputBytes), elapsedMs)
      this.#output.sample(this.total(counter.netOutputBytes), elapsedMs)
    }
    if (elapsedMs !== 0) this.#sampledAtMs = nowMs
  }

  /** Commands a second over the last 1.6 s. */
  get instantaneousOps(): number {
    return Math.floor(this.#ops.mean)
  }

  /** KB (1,024 bytes) a second over the last 1.6 s. */
  get instantaneousInputKbps(): number {
    return this.#input.mean / 1024
  }

  get instantaneousOutputKbps(): number {
    return this.#output.mean / 1024
  }
}

function commandAt(index: number): number {
  return commandsAt + index * commandCells
}
