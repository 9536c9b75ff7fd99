/*
 * Pauses: CLIENT PAUSE and DEBUG SLEEP hold the commands of clients for a while.
 *
 *     CLIENT PAUSE 500 ALL ──> hub: gate.pause('all'), a timer
 *     GET k ──> dispatch: the gate holds it ──> HeldCommands, in the thread of its client
 *     500 ms later ──> hub: gate.pause('none'), asks all threads to `resume`
 *
 * The state lies in the gate's shared words, so that it is in force in all threads at once. A command
 * that is wrong is refused at once, as in Redis; one that is held takes a slot, and no later one of its
 * connection is executed. Other nodes of the cluster and monitors are not held.
 */
import type { Clock, Timer } from '../../cluster/world.ts'
import type { Client } from './client.ts'
import type { Gate, PauseMode } from '../gate.ts'

/** The hub's side: until when which commands are held. */
export class Pauses {
  readonly #clock: Clock
  readonly #gate: Gate
  readonly #resume: () => void
  /** What CLIENT PAUSE asked for. On the clock's scale. */
  #mode: PauseMode = 'none'
  #until = 0
  /** DEBUG SLEEP's. */
  #sleepUntil = 0
  #timer: Timer | null = null

  /** `resume` is called when commands may run again that could not before. */
  constructor(clock: Clock, gate: Gate, resume: () => void) {
    this.#clock = clock
    this.#gate = gate
    this.#resume = resume
  }

  /** From a pause that is in force already the longer time and the stricter mode stay. */
  pause(mode: 'write' | 'all', forMs: number): void {
    this.#until = Math.max(this.#until, this.#clock.now() + forMs)
    if (this.#mode !== 'all') this.#mode = mode
    this.#look()
  }

  unpause(): void {
    this.#mode = 'none'
    this.#until = 0
    this.#look()
  }

  /** Holds all commands, whatever CLIENT UNPAUSE says. */
  sleep(forMs: number): void {
    this.#sleepUntil = Math.max(this.#sleepUntil, this.#clock.now() + forMs)
    this.#look()
  }

  /** The server ends. */
  stop(): void {
    this.#timer?.cancel()
  }

  /** What is in force now, and when to look again. */
  #look(): void {
    const now = this.#clock.now()
    this.#timer?.cancel()
    this.#timer = null
    if (this.#until <= now) this.#mode = 'none'
    const sleeps = this.#sleepUntil > now
    this.#gate.pause(sleeps ? 'all' : this.#mode)
    const ends = [this.#mode === 'none' ? 0 : this.#until, sleeps ? this.#sleepUntil : 0]
    const next = Math.min(...ends.filter((end) => end > 0))
    if (Number.isFinite(next)) {
      // A timer may come a little early; one for longer than it can be set looks in between.
      this.#timer = this.#clock.after(Math.ceil(next - now), () => this.#look())
    }
    this.#resume()
  }
}

/** A command whose turn is put off. */
export interface Postponed {
  /** Runs it now, and lets what follows it run. */
  run(): void
  /** Forgets it: its client is gone. */
  drop(): void
}

/** The commands of one thread's clients that wait for the end of a pause or a doubt: of each client one. */
export class HeldCommands {
  readonly #gate: Gate
  readonly #held = new Map<
    Client,
    { readonly isHeld: () => boolean; readonly command: Postponed }
  >()

  constructor(gate: Gate) {
    this.#gate = gate
  }

  /**
   * What other nodes asked while this one was in doubt (dispatch.ts), and what waited for them
   * (server/cluster/handoff.ts).
   */
  #inDoubt: (() => void)[] = []

  /** `run` is called when there is no doubt any more. */
  whenSure(run: () => void): void {
    this.#inDoubt.push(run)
  }

  /** `isHeld`: must it wait any longer? */
  hold(client: Client, isHeld: () => boolean, command: Postponed): void {
    this.#held.set(client, { isHeld, command })
  }

  /** Runs those that may run now, in the order in which they came. */
  resume(): void {
    if (this.#gate.frozen) return
    if (!this.#gate.doubtsKeys) {
      for (const run of this.#inDoubt.splice(0)) run()
    }
    for (const [client, { isHeld, command }] of [...this.#held]) {
      if (isHeld()) continue
      this.#held.delete(client)
      command.run()
    }
  }

  /** The client is gone, and so is what it wanted. */
  forget(client: Client): void {
    this.#held.get(client)?.command.drop()
    this.#held.delete(client)
  }
}
