import type { Clock, Timer } from '../../cluster/world.ts'

/**
 * Virtual time. No time passes by itself: `advance` moves the clock and runs what is due, in the
 * order of its time, and of its making where times are equal. Between two events it lets promises,
 * next ticks and stream events run dry with one setImmediate, so that what an event caused within
 * this process has happened before the next one. No test of the simulated side ever sleeps.
 */
export class VirtualClock implements Clock {
  #now: number
  #wallOffset = 0
  #sequence = 0
  #timers: VirtualTimer[] = []
  #soon: (() => void)[] = []
  /** How often something was run that had been asked for soon. */
  #turns = 0

  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#now + this.#wallOffset
  }

  micros(): number {
    return this.#now * 1000
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#plant(delayMs, 0, run)
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#plant(periodMs, Math.max(periodMs, 1), run)
  }

  /** What is wanted soon needs no time: it comes after the events of now, whoever waits for it. */
  soon(run: () => void): void {
    if (this.#soon.push(run) === 1) setImmediate(() => this.#runSoon())
  }

  /** The wall clock jumps by so much; `now` does not. */
  jumpWall(byMs: number): void {
    this.#wallOffset += byMs
  }

  /** Timers that are planted and not cancelled: what a closed part must have left at 0. */
  get timers(): number {
    return this.#timers.length
  }

  /** Moves time on by `byMs` and runs all that falls due on the way, then lets it settle. */
  async advance(byMs: number): Promise<void> {
    const until = this.#now + byMs
    await this.settle()
    for (;;) {
      const next = this.#earliest()
      if (next === null || next.at > until) break
      this.#now = Math.max(this.#now, next.at)
      if (next.periodMs > 0) next.at += next.periodMs
      else next.cancel()
      next.run()
      await this.settle()
    }
    this.#now = until
  }

  /**
   * Moves time on at once, as for a process that was stopped meanwhile: what fell due runs once, also
   * what is periodic. A year takes no longer than a second.
   */
  async leap(byMs: number): Promise<void> {
    await this.settle()
    this.#now += byMs
    for (const timer of this.#timers) {
      if (timer.periodMs > 0 && timer.at < this.#now) timer.at = this.#now
    }
    await this.advance(0)
  }

  /** Advances in steps of one millisecond until `done()` holds; throws after `limitMs`. */
  async until(done: () => boolean, limitMs = 60_000): Promise<void> {
    for (let ms = 0; ms <= limitMs; ms++) {
      await this.settle()
      if (done()) return
      await this.advance(1)
    }
    throw new Error(`it did not come true within ${limitMs} virtual ms`)
  }

  /** Runs all that was asked for `soon`, and what follows from it; time stands still. */
  async settle(): Promise<void> {
    let before: number
    do {
      before = this.#turns
      await new Promise((resolve) => setImmediate(resolve))
      this.#runSoon()
      if (this.#turns > before) await new Promise((resolve) => setImmediate(resolve))
    } while (this.#turns > before || this.#soon.length > 0)
  }

  #runSoon(): void {
    const soon = this.#soon
    if (soon.length === 0) return
    this.#turns++
    this.#soon = []
    for (const run of soon) run()
  }

  #plant(delayMs: number, periodMs: number, run: () => void): Timer {
    const timer: VirtualTimer = {
      at: this.#now + Math.max(delayMs, 0),
      sequence: this.#sequence++,
      periodMs,
      run,
      cancel: () => {
        const index = this.#timers.indexOf(timer)
        if (index >= 0) this.#timers.splice(index, 1)
      },
    }
    this.#timers.push(timer)
    return timer
  }

  #earliest(): VirtualTimer | null {
    let first: VirtualTimer | null = null
    for (const timer of this.#timers) {
      const earlier =
        first === null ||
        timer.at < first.at ||
        (timer.at === first.at && timer.sequence < first.sequence)
      if (earlier) first = timer
    }
    return first
  }
}

interface VirtualTimer extends Timer {
  at: number
  readonly sequence: number
  /** 0: fires once. */
  readonly periodMs: number
  readonly run: () => void
}
