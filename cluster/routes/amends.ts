/**
 * What a node has that was passed over for a write.
 *
 *     a ──SET k 2──> b        says nothing for 400 ms: given up, and never runs (cluster/peers/peer.ts)
 *     a ──SET k 2──> c        stands in for b: OK. Forgets it after a while, for k is b's
 *     a ──DEL k────> b        for b still has what k was before
 *
 * A miss is allowed, an old value is not. So who passes a node over tells it to remove the keys, again and
 * again until it has, in the order in which they are owed at most. It does no harm if that runs late, or twice.
 * A node that is down needs not be told: it forgets all before it is counted on again (cluster/ownership/rejoin.ts).
 * Nor is another process in its place, which begins empty and may have got from others what was written meanwhile: so
 * keys are named over a link that stands, when it is known to whom it leads.
 *
 * What is owed to a node has a limit. Beyond it nobody else runs a write instead of it: that is an error for
 * the client. Not told are nodes that were passed over because they leave, whose keys move; and keys whose
 * changes an origin hears of, for it would hear of this one.
 */
import type { PeerPort } from '../peers/peer.ts'
import { PeerError } from '../peers/replies.ts'
import type { Clock, Timer } from '../world.ts'

/** Owed to one node. */
const KEYS_MAX = 10_000
const BYTES_MAX = 4 * 1024 * 1024

/** A longer one is not owed: it would be many bytes for a name. */
const KEY_BYTES_MAX = 64 * 1024

/** In one request. */
const KEYS_AT_ONCE = 1000

/** Until it is asked again. */
const RETRY_MS = 100
/** How long it has to answer. */
const PATIENCE_MS = 1000

const DEL = Buffer.from('DEL')
const PING = [Buffer.from('PING')]

interface Debt {
  /** By their bytes as latin1. */
  readonly keys: Map<string, Buffer>
  bytes: number
  isAsking: boolean
  retry: Timer | null
}

/** See the top of the file. */
export class Amends {
  readonly #portTo: (name: string) => PeerPort | null
  readonly #clock: Clock
  readonly #debts = new Map<string, Debt>()
  /** Of each node that was met, its incarnation. */
  readonly #met = new Map<string, string>()
  #closed = false

  /** `portTo`: how a node is reached; null: it is down, or none of ours. */
  constructor(portTo: (name: string) => PeerPort | null, clock: Clock) {
    this.#portTo = portTo
    this.#clock = clock
  }

  /** Keys that are owed to a node. */
  owed(name: string): number {
    return this.#debts.get(name)?.keys.size ?? 0
  }

  /** The node is to remove these keys. False: that is too much, together with what is owed to it already. */
  owe(name: string, keys: readonly Buffer[]): boolean {
    if (this.#closed) return true
    const debt = this.#debts.get(name) ?? {
      ...{ keys: new Map<string, Buffer>(), bytes: 0, isAsking: false, retry: null },
    }
    // What is owed already decides: a single command may have any number of keys.
    if (debt.keys.size >= KEYS_MAX || debt.bytes >= BYTES_MAX) return false
    if (keys.some(({ length }) => length > KEY_BYTES_MAX)) return false
    this.#debts.set(name, debt)
    for (const key of keys) {
      const text = key.toString('latin1')
      if (!debt.keys.has(text)) debt.bytes += key.length
      // A copy: it may stand in the memory of a long value.
      debt.keys.set(text, Buffer.from(key))
    }
    // Not now: the link may be about to be reset.
    if (debt.retry === null && !debt.isAsking) this.#payAfter(0, name, debt)
    return true
  }

  /** A new link leads to this process of the node. */
  met(name: string, incarnation: string): void {
    const isOther = this.#met.has(name) && this.#met.get(name) !== incarnation
    this.#met.set(name, incarnation)
    if (isOther) this.#drop(name)
  }

  /** Asks nobody any more. */
  close(): void {
    this.#closed = true
    for (const name of [...this.#debts.keys()]) this.#drop(name)
  }

  #drop(name: string): void {
    this.#debts.get(name)?.retry?.cancel()
    this.#debts.delete(name)
  }

  #payAfter(delayMs: number, name: string, debt: Debt): void {
    debt.retry = this.#clock.after(delayMs, () => this.#pay(name, debt))
  }

  #pay(name: string, debt: Debt): void {
    debt.retry = null
    const port = this.#portTo(name)
    if (port === null) return this.#drop(name)
    debt.isAsking = true
    const isUp = port.connected !== false
    const asked = isUp ? [...debt.keys].slice(0, KEYS_AT_ONCE) : []
    const args = isUp ? [DEL, ...asked.map(([, key]) => key)] : PING
    port.request(args, { deadlineMs: PATIENCE_MS, keyAt: -1, share: false }, (outcome, value) => {
      debt.isAsking = false
      if (this.#debts.get(name) !== debt) return
      const isDone = outcome === 'reply' && !(value instanceof PeerError)
      // What has come to be owed again meanwhile is another Buffer.
      for (const [text, key] of isDone ? asked : []) {
        if (debt.keys.get(text) !== key) continue
        debt.keys.delete(text)
        debt.bytes -= key.length
      }
      if (debt.keys.size === 0) this.#drop(name)
      else this.#payAfter(isDone ? 0 : RETRY_MS, name, debt)
    })
  }
}
