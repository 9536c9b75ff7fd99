import type { Clock, Timer } from '../cluster/world.ts'

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

/** One command's calls. `micros` may have a fraction. */
export interface CommandStats {
  calls: number
  micros: number
  /** Refused before it ran: arity, permissions, memory. */
  rejected: number
  /** Ran and answered an error. */
  failed: number
}

/** What the store counts of keys that are gone. */
export interface RemovalCounts {
  readonly evicted: number
  readonly expiredLazily: number
  readonly expiredActively: number
}

/** Counters of the server that INFO shows; CONFIG RESETSTAT clears them. */
export class Stats {
  commandsProcessed = 0
  connectionsReceived = 0
  rejectedConnections = 0
  netInputBytes = 0
  netOutputBytes = 0
  keyspaceHits = 0
  keyspaceMisses = 0
  totalErrorReplies = 0
  /** The most bytes of the store in use, as seen by `sample`, and those before the first key. */
  usedMemoryPeak = 0
  usedMemoryAtStart = 0
  /** By the error's first word. */
  readonly errors = new Map<string, number>()
  /** By full command name ('client|list'). */
  readonly commands = new Map<string, CommandStats>()
  readonly #ops = new Rate()
  readonly #input = new Rate()
  readonly #output = new Rate()
  #sampledAtMs = NaN
  #evictedBefore = 0
  #expiredBefore = 0
  #timer: Timer | null = null

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
      this.#ops.sample(this.commandsProcessed, elapsedMs)
      this.#input.sample(this.netInputBytes, elapsedMs)
      this.#output.sample(this.netOutputBytes, elapsedMs)
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

  /** The counters of a command, which begin with its first call. */
  of(command: string): CommandStats {
    let stats = this.commands.get(command)
    if (stats === undefined) {
      stats = { calls: 0, micros: 0, rejected: 0, failed: 0 }
      this.commands.set(command, stats)
    }
    return stats
  }

  /** Counts an error reply under its first word; further words than `errorsMax` are summed up. */
  error(code: string): void {
    this.totalErrorReplies++
    const count = this.errors.get(code)
    if (count !== undefined) this.errors.set(code, count + 1)
    else if (this.errors.size < errorsMax) this.errors.set(code, 1)
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
    this.commandsProcessed = 0
    this.connectionsReceived = 0
    this.rejectedConnections = 0
    this.netInputBytes = 0
    this.netOutputBytes = 0
    this.keyspaceHits = 0
    this.keyspaceMisses = 0
    this.totalErrorReplies = 0
    this.errors.clear()
    // The cells themselves stay: dispatch holds them.
    for (const stats of this.commands.values()) {
      stats.calls = stats.micros = stats.rejected = stats.failed = 0
    }
    this.#ops.reset()
    this.#input.reset()
    this.#output.reset()
  }
}

/** Redis's limit on kinds of errors that are told apart. */
export const errorsMax = 128
