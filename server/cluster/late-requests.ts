/**
 * What other nodes asked before this thread stood still, and nobody waits for any more.
 *
 *     a        SET k 1 ──> socket of b, which stands still
 *     a        400 ms: gives it up, resets the link (cluster/peers/peer.ts), asks c: OK
 *     d        SET k 2 ──> socket of b
 *     b        goes on: reads SET k 2, and SET k 1, and after it that the link is reset
 *
 * A system hands out what has come in before it says that the connection was reset. So after it stood still a
 * thread does not run requests for keys at once: it holds each until it must have heard of that, which is with
 * the read after the last bytes, and the connection is gone a turn later. Those that are gone then are not run.
 * Stalls of more than `cluster-node-timeout` are a doubt (cluster/ownership/doubt.ts), which holds for longer.
 *
 * The same holds for what waited because no command ran here at all (gate.ts).
 *
 * Nothing else that is known lets a request that was given up run late, but one: a thread that works for so long on what
 * it got with one read does not look at the clock in between, and another thread may run a newer one meanwhile. What waits in this process for a doubt, or for keys from
 * other nodes, looks itself whether anybody still wants it (dispatch.ts, handoff.ts). What waits for the hub are
 * commands that are never asked of two nodes, since an origin hears of them; and who asked has been told that
 * they are worked on. What this node passes on for another one is refused for as long as it may be late
 * (relays.ts). A connection that is not read from since its replies do not leave is told of the reset by these.
 */
import { SILENCE_MS } from '../../cluster/peers/frame.ts'
import type { Clock } from '../../cluster/world.ts'

/** Who stood still for so long may have been given up, with some time for the way. */
export const STALL_MS = SILENCE_MS - 100

/** What is left of what came, that it was reset, and that the connection is closed: one turn each. */
const TURNS = 3
/** Where so much came in a turn there may be more behind it: it is read a piece a turn. */
const PIECE_BYTES = 16 * 1024
/** More does not wait in a socket. */
const SOCKET_BYTES_MAX = 8 * 1024 * 1024

/** What is asked of a connection. */
export interface Asking {
  readonly isGone: boolean
  /** Of all that came. */
  readonly bytesRead: number
}

/** See the top of the file. */
export class LateRequests {
  readonly #clock: Clock
  #awakeAt = Infinity
  #until = -Infinity
  #held = 0
  /** Counted since the start: those that were held, and of these those that were not run. */
  held = 0
  dropped = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The thread runs: to be called several times in STALL_MS, and before requests are read after a longer while. */
  awake(now: number): void {
    if (now - this.#awakeAt > STALL_MS) this.#until = now + SILENCE_MS
    this.#awakeAt = now
  }

  /** Commands that had to wait run again. */
  resumed(now: number): void {
    this.#until = now + SILENCE_MS
  }

  /** May what is read now have been waiting for so long? */
  maySee(now: number): boolean {
    return now < this.#until || this.#held > 0
  }

  /**
   * Calls `run` when it is known that the connection it came by was not reset: all that had been waiting there
   * is read, and nothing else has come to light. Those of one connection keep their order.
   */
  hold(client: Asking, run: () => void): void {
    this.#held++
    this.held++
    const last = client.bytesRead + SOCKET_BYTES_MAX
    let seen = -Infinity
    let quiet = 0
    const look = (): void => {
      const { bytesRead, isGone } = client
      quiet = bytesRead - seen < PIECE_BYTES ? quiet + 1 : 0
      seen = bytesRead
      const isSure = quiet >= TURNS || bytesRead > last || this.#clock.now() >= this.#until
      if (!isGone && !isSure) return this.#clock.soon(look)
      this.#held--
      if (isGone) this.dropped++
      else run()
    }
    this.#clock.soon(look)
  }
}
