/**
 * Is what this node has still right? While it is in doubt no command for a key runs here.
 *
 * A node whose process stood still (a stopped process, a machine that was suspended, a page that came
 * from the disk) does not notice. The others do, and after a while somebody else answers for its keys and
 * takes writes. When it goes on it has all its old values, and requests that have been waiting in its
 * sockets. So, as soon as the clock shows that it may have been missed:
 *
 *     raised ──> asks each other node: am I in your ring?
 *                  yes                        nothing has happened
 *                  no                         that one tells it to rejoin in a moment, for which it waits
 *                  nothing for ASK_MS         it may be the one that is alone
 *            <── all yes: over. Else it forgets all that it has, and begins anew
 *
 * Who had a node down asks it to *rejoin* before it counts on it again (rejoin.ts): then the node forgets
 * all that it has before it answers, whether it noticed anything or not. It does so once for all who had
 * it down at the same time: what it has forgotten while it is in doubt stays forgotten, since no command
 * ran since.
 */
import type { Clock, Timer } from '../world.ts'

/** Another node answers within that time, or not at all. */
const ASK_MS = 300

export interface DoubtOptions {
  readonly clock: Clock
  /** Who was down for others is told to rejoin by then, since the doubt began. */
  readonly rejoinMs: () => number
  /** The other nodes of this one's ring. */
  readonly others: () => readonly string[]
  /** Asks a node whether this one is in its ring; null: it has not answered in time. */
  readonly ask: (name: string, timeoutMs: number, done: (isIn: boolean | null) => void) => void
  /** From now on no command for a key runs; until `over`. Also when that is so already. */
  readonly hold: () => void
  readonly over: () => void
  /** Makes all that is here worthless. False: not yet. */
  readonly forget: () => boolean
  /** Calls this now and then, until it is true. */
  readonly repeat: (attempt: () => boolean) => void
  /** This one had this node down, and counts on it again when it hears that all is forgotten. */
  readonly rejoined: (name: string) => void
  /** This node was down for this one, or does not know: what it has sent before is not to be run. */
  readonly cut: (name: string) => void
}

interface Round {
  readonly deadlineAt: number
  /** Who has not answered yet. */
  readonly asked: Set<string>
  /** Who has said that this node is down, and has not told it to rejoin. */
  readonly awaited: Set<string>
  readonly timer: Timer
}

/** See the top of the file. */
export class Doubt {
  readonly #options: DoubtOptions
  #round: Round | null = null
  /** Is there reason to forget, and has it been done since the doubt began? */
  #mustForget = false
  #hasForgotten = false
  #isForgetting = false
  /** Doubts since the start, and those after which all was forgotten. */
  raised = 0
  forgotten = 0

  constructor(options: DoubtOptions) {
    this.#options = options
  }

  /** Is it in doubt? */
  get isRaised(): boolean {
    return this.#round !== null
  }

  /**
   * The process may have stood still. If it is in doubt already it asks again, unless it is to forget
   * all anyway: a node that stands still again and again must not be in doubt for ever.
   */
  raise(): void {
    if (this.#round === null || !this.#mustForget) this.#raise(null)
    else this.#options.hold()
  }

  /**
   * Another node, which had this one down, wants to count on it again. False: it has not forgotten yet
   * what it had, so it must not count on it.
   */
  rejoin(name: string): boolean {
    this.#mustForget = true
    const round = this.#round ?? this.#raise(name)
    round.asked.delete(name)
    round.awaited.add(name)
    if (!this.#hasForgotten && !this.#options.forget()) return false
    if (!this.#hasForgotten) this.#noteForgotten()
    this.#options.cut(name)
    this.#options.rejoined(name)
    round.awaited.delete(name)
    this.#judge()
    return true
  }

  /** The node ends. */
  stop(): void {
    this.#round?.timer.cancel()
    this.#round = null
  }

  /** `rejoins`: who is just telling it to rejoin. */
  #raise(rejoins: string | null): Round {
    const { clock, others, ask, hold } = this.#options
    const rejoinMs = this.#options.rejoinMs()
    if (this.#round === null) this.raised++
    hold()
    this.#round?.timer.cancel()
    const asked = new Set(others().filter((name) => name !== rejoins))
    const round: Round = {
      ...{ deadlineAt: clock.now() + rejoinMs, asked, awaited: new Set() },
      timer: clock.after(rejoinMs, () => this.#judge()),
    }
    this.#round = round
    for (const name of [...asked]) {
      ask(name, ASK_MS, (isIn) => {
        // It may have told this node to rejoin meanwhile, or there is another round.
        if (this.#round !== round || !asked.delete(name)) return
        if (isIn === false) round.awaited.add(name)
        if (isIn !== true) {
          this.#mustForget = true
          this.#options.cut(name)
        }
        this.#judge()
      })
    }
    // If there is nobody to ask, whoever began this has more to say first.
    clock.soon(() => this.#judge())
    return round
  }

  /** Ends the doubt if there is nobody left to wait for. */
  #judge(): void {
    const round = this.#round
    if (round === null) return
    const isLate = this.#options.clock.now() >= round.deadlineAt
    if (!isLate && round.asked.size + round.awaited.size > 0) return
    if (!this.#mustForget || this.#hasForgotten) return this.#end(round)
    if (this.#isForgetting) return
    this.#isForgetting = true
    this.#options.repeat(() => this.#forgets())
  }

  /** True: it has, or has no reason any more. */
  #forgets(): boolean {
    const isOpen = this.#round !== null && !this.#hasForgotten
    if (isOpen && !this.#options.forget()) return false
    this.#isForgetting = false
    if (isOpen) this.#noteForgotten()
    this.#judge()
    return true
  }

  #noteForgotten(): void {
    this.#hasForgotten = true
    this.forgotten++
  }

  #end(round: Round): void {
    round.timer.cancel()
    this.#round = null
    this.#mustForget = false
    this.#hasForgotten = false
    this.#options.over()
  }
}
