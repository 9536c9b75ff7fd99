/*
 * How long commands take, of one thread; which of them were slow.
 *
 * Reading the clock costs about 45 ns, a GET in a pipeline 600. So not each run is timed, but a slow
 * one must never go unseen:
 *
 *     read event   | GET | GET | GET | KEYS * | GET | ...  | GET |
 *     clock        a     b           c        d            e     f
 *
 * - The first command of a read event is always timed: a was read anyway, for the store's `now`.
 *   Without a pipeline that is every command, for one look at the clock.
 * - So is every command that may take long by what it does (d - c). `isShort` in the command table
 *   says which may not: those that do the same little work whatever their arguments and the store.
 * - Of the others one run in 16 is timed and counts for all.
 * - At the end of the event (f) the time is taken of all that were not. Were these slow together,
 *   one of them was held up: not by what it does, but by a collection of garbage, by another
 *   thread's lock, by a process that did not run. Which one is not known. The next thousand commands
 *   are timed each, so that it is known if it goes on; on a busy machine, where it does, that costs
 *   less than a hundredth of what was lost.
 * - Each is timed all the time where slowlog-log-slower-than is below a millisecond: it is meant to
 *   see what short commands do.
 *
 * In an event's first command the time to read it from its bytes is counted as well. Of a command
 * that takes turns with others (turns.ts) the time of its own slices is added up.
 */
import type { Clock } from '../cluster/world.ts'
import type { Args } from '../protocol/args.ts'
import type { Client } from './clients/client.ts'
import type { CommandEntry } from './command.ts'
import { flagBits } from './command.ts'
import type { LatencyEvent } from './latency.ts'
import { shownArgs, type SlowCommand } from './slow-log.ts'
import type { CommandCell } from './stats.ts'

/** So many commands are timed each after one was held up. */
const eachRuns = 1_000
/** Below this threshold each command is timed. */
const eachBelowMicros = 1_000

/** Who is told of slow commands: the logs, or the thread that has them. */
export interface SlowSink {
  slow(command: SlowCommand): void
  latency(event: LatencyEvent, micros: number, seconds: number): void
}

/** slowlog-log-slower-than (microseconds, -1: never) and latency-monitor-threshold (ms, 0: never). */
export interface Thresholds {
  readonly slowMicros: number
  readonly latencyMs: number
}

/** A command that goes on after its run, in slices. */
export interface LongRun {
  readonly entry: CommandEntry
  readonly cell: CommandCell
  readonly args: Args
  readonly shown: Uint8Array[] | null
  /** So far. */
  micros: number
}

export class CommandTimer {
  readonly #clock: Clock
  readonly #sink: SlowSink
  #slowMicros = Infinity
  #latencyMicros = Infinity
  /** A command that takes so long is looked at: the lower one of both thresholds. */
  #lookMicros = Infinity
  /** So many runs are still to be timed each. */
  #eachLeft = 0
  #beganAt = 0
  #isFirst = false
  #timedMicros = 0
  #untimed = 0
  /** Whose run is being timed. */
  #client: Client | null = null
  #entry: CommandEntry | null = null
  /** Its arguments as they are shown, if they cannot be asked afterwards. */
  #shown: Uint8Array[] | null = null
  /** Set while the run is being timed: it goes on. */
  #long: LongRun | null = null

  constructor(clock: Clock, sink: SlowSink) {
    this.#clock = clock
    this.#sink = sink
  }

  configure({ slowMicros, latencyMs }: Thresholds): void {
    this.#slowMicros = slowMicros < 0 ? Infinity : slowMicros
    this.#latencyMicros = latencyMs === 0 ? Infinity : latencyMs * 1000
    this.#lookMicros = Math.min(this.#slowMicros, this.#latencyMicros)
    this.#eachLeft = this.#slowMicros < eachBelowMicros ? Infinity : 0
  }

  /** A read event begins; `now` is the clock's. */
  begin(now: number): void {
    this.#beganAt = now
    this.#isFirst = true
    this.#timedMicros = 0
    this.#untimed = 0
  }

  /** The event's last command has run. */
  end(): void {
    if (this.#untimed === 0 || this.#lookMicros === Infinity) return
    const untimedMicros = (this.#clock.now() - this.#beganAt) * 1000 - this.#timedMicros
    if (untimedMicros >= this.#lookMicros) this.#eachLeft = eachRuns
  }

  /** Runs the command on `client.args`. */
  run(client: Client, entry: CommandEntry, cell: CommandCell): void {
    // Pages become the stored value: what they hold cannot be shown afterwards.
    this.#shown = client.args.bigs.length > 0 ? shownOf(client.args, entry) : null
    if (this.#isFirst) {
      this.#isFirst = false
      this.#client = client
      this.#entry = entry
      entry.run(client)
      const micros = (this.#clock.now() - this.#beganAt) * 1000
      this.#took(client, entry, cell, micros)
    } else if (
      this.#eachLeft > 0 ||
      !entry.isShort ||
      client.args.bigs.length > 0 ||
      !cell.skips()
    ) {
      if (this.#eachLeft > 0) this.#eachLeft--
      this.#client = client
      this.#entry = entry
      const before = this.#clock.micros()
      entry.run(client)
      this.#took(client, entry, cell, this.#clock.micros() - before)
    } else {
      this.#untimed++
      entry.run(client)
    }
  }

  #took(client: Client, entry: CommandEntry, cell: CommandCell, micros: number): void {
    this.#timedMicros += micros
    this.#client = null
    if (this.#long !== null) {
      this.#long.micros = micros
      this.#long = null
      return
    }
    cell.took(micros)
    if (micros < this.#lookMicros) return
    this.#slow(client, entry, { args: client.args, shown: this.#shown }, micros)
  }

  /**
   * The client's command, which runs now, goes on after its run with these arguments. Null: it is
   * not timed, for it answers later than its turn was.
   */
  goesOn(client: Client, cell: (entry: CommandEntry) => CommandCell, args: Args): LongRun | null {
    const entry = this.#entry
    if (this.#client !== client || entry === null) return null
    this.#long = { entry, cell: cell(entry), args, shown: this.#shown, micros: 0 }
    return this.#long
  }

  /** Runs a slice of it. */
  slice(long: LongRun | null, run: () => void): void {
    if (long === null) {
      run()
      return
    }
    const before = this.#clock.micros()
    run()
    long.micros += this.#clock.micros() - before
  }

  /** That was its last slice. */
  ended(client: Client, long: LongRun | null): void {
    if (long === null) return
    const { entry, cell, micros } = long
    cell.took(micros)
    if (micros >= this.#lookMicros) this.#slow(client, entry, long, micros)
  }

  /** `ready`: the arguments as they are shown, where they could not be asked now. */
  #slow(
    client: Client,
    entry: CommandEntry,
    { args, shown: ready }: Pick<LongRun, 'args' | 'shown'>,
    micros: number,
  ): void {
    const seconds = Math.floor(this.#clock.wall() / 1000)
    const isFast = (entry.flags & flagBits.fast) !== 0
    if (micros >= this.#latencyMicros) {
      this.#sink.latency(isFast ? 'fast-command' : 'command', micros, seconds)
    }
    if (micros < this.#slowMicros || (entry.flags & flagBits.skip_slowlog) !== 0) return
    const shown = ready ?? shownOf(args, entry)
    const { address, name: clientName } = client
    this.#sink.slow({ seconds, micros: Math.floor(micros), args: shown, address, clientName })
  }
}

function shownOf(args: Args, entry: CommandEntry): Uint8Array[] {
  return shownArgs(args, entry.secrets?.(args) ?? [])
}
