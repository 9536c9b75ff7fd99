/*
 * Slow commands on their way from a worker to the hub's SLOWLOG. With a threshold of 0 that is every
 * command, hundreds of thousands a second, more than the hub can take in: messages would pile up. So
 * one message is under way at a time, and meanwhile the newest wait here, as many as SLOWLOG keeps; the
 * others would have been gone by the time that anybody looks.
 */
import type { SlowCommand } from '../slow-log.ts'
import { ownBytes } from './messages.ts'

export class SlowRelay {
  readonly #entriesMax: () => number
  readonly #send: (commands: readonly SlowCommand[], skipped: number) => void
  #waiting: SlowCommand[] = []
  /** Of those that waited so many gave way to newer ones. */
  #skipped = 0
  /** Messages that the hub has not taken in. */
  #underWay = 0

  /** `entriesMax` is read at each command. `send` is called again after `heard`, or by `flush`. */
  constructor(
    entriesMax: () => number,
    send: (commands: readonly SlowCommand[], skipped: number) => void,
  ) {
    this.#entriesMax = entriesMax
    this.#send = send
  }

  add(command: SlowCommand): void {
    this.#waiting.push(command)
    const surplus = this.#waiting.length - this.#entriesMax()
    if (surplus > 0) {
      this.#waiting.splice(0, surplus)
      this.#skipped += surplus
    }
    if (this.#underWay === 0) this.#sendAll()
  }

  /** The hub has taken in what was sent last. */
  heard(): void {
    this.#underWay--
    if (this.#underWay === 0) this.flush()
  }

  /** A command goes to the hub, SLOWLOG perhaps: it is to find all that was slow before it. */
  flush(): void {
    if (this.#waiting.length > 0 || this.#skipped > 0) this.#sendAll()
  }

  #sendAll(): void {
    const commands = this.#waiting.map((command) => ({
      ...command,
      args: command.args.map(ownBytes),
    }))
    const skipped = this.#skipped
    this.#waiting = []
    this.#skipped = 0
    this.#underWay++
    this.#send(commands, skipped)
  }
}
