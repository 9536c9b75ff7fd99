/*
 * The time of a simulated cluster: one heap of events for all its hosts.
 *
 * Nothing waits for real. `run` takes the next event, sets the clock to its moment and runs it; what
 * the event asked for soon comes directly after it. An event belongs to a host, and hosts have fates:
 *
 *     up       its events run when they are due
 *     frozen   they are kept, and run at its thaw: timers first, then what its sockets received, then
 *              what was asked for soon, as an event loop that stood still does it
 *     dead     they are forgotten; who restarts is another host
 *
 * Promises run dry after an event only where someone said that there are some (`hasPromises`): one
 * turn of the real event loop costs as much as a whole event, and most events make no promise.
 */
import type { Clock, Timer } from '../../cluster/world.ts'

/** What a look at the microseconds takes: so work that is cut up by the clock ends. */
const LOOK_MICROS = 50

export type Fate = 'up' | 'frozen' | 'dead'

class Event implements Timer {
  readonly at: number
  readonly sequence: number
  readonly host: Host | null
  readonly isInput: boolean
  /** Null: cancelled, or over. */
  run: (() => void) | null

  constructor(at: number, sequence: number, host: Host | null, isInput: boolean, run: () => void) {
    this.at = at
    this.sequence = sequence
    this.host = host
    this.isInput = isInput
    this.run = run
  }

  cancel(): void {
    this.run = null
  }
}

/** One process: what its events wait for, and its clock. */
export class Host {
  readonly name: string
  readonly clock: Clock
  fate: Fate = 'up'
  /** What fell due while it was frozen. */
  readonly kept: Event[] = []
  soon: (() => void)[] = []

  constructor(name: string, scheduler: Scheduler) {
    this.name = name
    this.clock = new HostClock(scheduler, this)
  }
}

export class Scheduler {
  #now: number
  #sequence = 0
  readonly #heap: Event[] = []
  /** Those with something that was asked for soon. */
  #hostsSoon: Host[] = []
  /** To be set by whoever makes or settles a promise that product code waits for. */
  hasPromises = false
  /** Events that were run. */
  events = 0
  /** Real work that the next event has to wait for. */
  #work: Promise<void> | null = null

  constructor(startMs: number) {
    this.#now = startMs
  }

  get now(): number {
    return this.#now
  }

  /** `isInput`: of a socket, which comes after timers when a host thaws. `host` null: of none. */
  at(at: number, host: Host | null, run: () => void, isInput = false): Timer {
    const event = new Event(Math.max(at, this.#now), this.#sequence++, host, isInput, run)
    this.#push(event)
    return event
  }

  /** After the event that runs now. */
  soon(host: Host, run: () => void): void {
    if (host.soon.push(run) === 1) this.#hostsSoon.push(host)
  }

  /** Virtual time stands still until this is done. To be called by an event. */
  wait(work: Promise<void>): void {
    this.#work = work
  }

  freeze(host: Host): void {
    if (host.fate === 'up') host.fate = 'frozen'
  }

  /** Runs all that fell due meanwhile. To be called by an event of no host. */
  thaw(host: Host): void {
    if (host.fate !== 'frozen') return
    host.fate = 'up'
    const kept = host.kept.splice(0)
    const ordered = [
      ...kept.filter(({ isInput }) => !isInput),
      ...kept.filter((one) => one.isInput),
    ]
    for (const event of ordered) {
      const { run } = event
      event.run = null
      run?.()
    }
  }

  kill(host: Host): void {
    host.fate = 'dead'
    host.kept.length = 0
    host.soon.length = 0
  }

  /** Runs what is due until then. */
  async run(until: number): Promise<void> {
    await this.drain()
    for (;;) {
      const event = this.#heap[0]
      if (event === undefined || event.at > until) break
      this.#pop()
      const { run, host } = event
      if (run === null || host?.fate === 'dead') continue
      this.#now = event.at
      if (host?.fate === 'frozen') {
        host.kept.push(event)
        continue
      }
      this.events++
      event.run = null
      run()
      if (this.#work !== null) {
        await this.#work
        this.#work = null
      }
      if (this.hasPromises || this.#hostsSoon.length > 0) await this.drain()
    }
    this.#now = until
  }

  /** Promises and what was asked for soon; time stands still. */
  async drain(): Promise<void> {
    while (this.hasPromises || this.#hostsSoon.length > 0) {
      if (this.hasPromises) {
        this.hasPromises = false
        await new Promise((resolve) => setImmediate(resolve))
      }
      const hosts = this.#hostsSoon
      this.#hostsSoon = []
      for (const host of hosts) {
        const runs = host.soon
        host.soon = []
        for (const run of runs) if (host.fate !== 'dead') run()
      }
    }
  }

  #push(event: Event): void {
    const heap = this.#heap
    let i = heap.length
    while (i > 0) {
      const above = (i - 1) >> 1
      const parent = heap[above]!
      if (!isBefore(event, parent)) break
      heap[i] = parent
      i = above
    }
    heap[i] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    const { length } = heap
    if (length === 0) return
    let i = 0
    for (;;) {
      let below = 2 * i + 1
      if (below >= length) break
      if (below + 1 < length && isBefore(heap[below + 1]!, heap[below]!)) below++
      const child = heap[below]!
      if (!isBefore(child, last)) break
      heap[i] = child
      i = below
    }
    heap[i] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence)
}

/** What product code sees of it. */
class HostClock implements Clock {
  readonly #scheduler: Scheduler
  readonly #host: Host
  #looks = 0

  constructor(scheduler: Scheduler, host: Host) {
    this.#scheduler = scheduler
    this.#host = host
  }

  now(): number {
    return this.#scheduler.now
  }

  wall(): number {
    return this.#scheduler.now
  }

  micros(): number {
    return this.#scheduler.now * 1000 + this.#looks++ * LOOK_MICROS
  }

  after(delayMs: number, run: () => void): Timer {
    const { now } = this.#scheduler
    // As Node's timers, which know whole milliseconds and none below one.
    return this.#scheduler.at(now + Math.max(1, Math.trunc(delayMs)), this.#host, run)
  }

  every(periodMs: number, run: () => void): Timer {
    const period = Math.max(1, periodMs)
    let next: Timer
    const plant = (): void => {
      next = this.#scheduler.at(this.#scheduler.now + period, this.#host, () => {
        plant()
        run()
      })
    }
    plant()
    return { cancel: () => next.cancel() }
  }

  soon(run: () => void): void {
    this.#scheduler.soon(this.#host, run)
  }
}
