/**
 * Slots change hands with what is in them: a key that another node had is fetched from there when it is
 * first touched, and only then is the command executed that touched it.
 *
 *     client     INCR n                                     previous owner
 *     owner        is n of a slot gained lately, and not asked for yet?
 *                  PEER TAKE n                      ──────>  removes n, answers what it was
 *                  stores it, if there is nothing   <──────
 *                  runs INCR n, and all that waited for n behind it
 *
 * All commands do so, whatever they do with the key. A write that did not would leave the old value
 * where it is, for a later miss to bring back; and what reads before it writes needs it anyway. Because
 * the previous owner removes what it gives away, there is never a second one that could come back.
 * Each key is asked for once (cluster/ownership/handoff-fence.ts); who waits for it runs in the order of arrival.
 *
 * The questions are asked by the hub (takeover.ts), so that it is one for all threads.
 */
import type { Word } from '../../cluster/members/good-byes.ts'
import {
  GIVES,
  HAS_LEFT,
  type HandoffFence,
  KEY_BYTES_MAX,
  STAYS,
} from '../../cluster/ownership/handoff-fence.ts'
import { keySlot } from '../../cluster/slots.ts'
import { Args } from '../../protocol/args.ts'
import { ERR_LEAVING } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, keysOf } from '../command.ts'
import type { IoThread } from '../io-thread.ts'
import type { Call } from '../clients/slot.ts'
import { transactionOf } from '../transactions/routing.ts'

/** What the hub does for all threads. */
export interface Takers {
  /** Calls back when the key was asked for, perhaps at once. The key is not to be changed. */
  settle(key: Buffer, done: () => void): void
  /** Another node says that it is leaving, or that it stays after all. */
  hear(name: string, word: Word, done: () => void): void
  /** Entries were made worthless at once (store/purge.ts): they are to be removed. */
  sweep(): void
}

/** Keys of one command that are asked for at a time. */
const KEYS_AT_ONCE = 256

/** What nodes ask of each other about keys that are no longer theirs, or of no key at all. */
const betweenNodes: ReadonlySet<string> = new Set(['peer|take', 'peer|offer', 'peer|unwatch'])

export class Handoff {
  readonly fence: HandoffFence
  readonly #server: IoThread
  readonly #takers: Takers
  /** By key in latin1: what runs when it was asked for, in this order. */
  readonly #waiting = new Map<string, (() => void)[]>()
  /** Keys that others want while this node says good-bye. */
  #held: (() => void)[] = []

  constructor(server: IoThread, fence: HandoffFence, takers: Takers) {
    this.#server = server
    this.fence = fence
    this.#takers = takers
  }

  /** Is there anything to do before a command runs? */
  get isActive(): boolean {
    return this.fence.isActive || this.#waiting.size > 0 || this.fence.phase >= HAS_LEFT
  }

  /**
   * Takes a command whose keys have to be asked for, and executes it afterwards; refuses one of another
   * node that has come too late. False: run it.
   */
  takes(client: Client, entry: CommandEntry, call: Call = client): boolean {
    if (this.#refuses(client, entry, call)) return true
    const keys = this.#unsettled(client, entry, call.args)
    if (keys === null) return false
    const { db } = call
    const args = Args.of(call.args.copy())
    // A read of one key, or a write of it, comes behind others of that key.
    const isOne = keys.length === 1 && keysOf(entry, args)?.length === 1
    const slot = call.slot ?? (isOne ? client.defer() : client.hold())
    this.#settleAll(keys, () => this.#runLate(client, entry, { args, db, slot }))
    return true
  }

  /** Runs a command whose keys were asked for, wherever that is now. */
  #runLate(client: Client, entry: CommandEntry, late: Required<Call>): void {
    const { gate, held, routing } = this.#server
    const { args, db, slot } = late
    if (gate.doubtsKeys) return held.whenSure(() => this.#runLate(client, entry, late))
    // Nobody waits for it, and its node may have asked another one since.
    if (client.peer !== null && client.isGone) return
    if (client.peer === null && routing.takes(client, entry, late)) return
    if (!this.#refuses(client, entry, late)) {
      this.#server.answerSettled(client, entry, args, db, slot)
    }
  }

  /** Asks for a key that may be wanted soon. */
  want(key: Buffer, done: () => void): void {
    if (this.#isUnsettled(key, 0, key.length)) this.#settle(key, done)
    else done()
  }

  /** See Takers. */
  /** See Takers. */
  sweep(): void {
    this.#takers.sweep()
  }

  hear(name: string, word: Word, done: () => void): void {
    this.#takers.hear(name, word, done)
  }

  /** May keys be given away? Not while commands may yet change them here that nobody would see. */
  get gives(): boolean {
    const { phase } = this.fence
    return phase === STAYS || phase === GIVES
  }

  /** Runs what gives a key away when `gives` is true again. */
  hold(give: () => void): void {
    this.#held.push(give)
  }

  /** Keys may be given away again: those that others want are. */
  release(): void {
    const held = this.#held
    this.#held = []
    for (const give of held) give()
  }

  /** This node has said good-bye: whoever asks now has the next one to ask. */
  #refuses(client: Client, entry: CommandEntry, { slot }: Call): boolean {
    if (client.peer === null || this.fence.phase < HAS_LEFT) return false
    const isKeyed = entry.firstKey > 0 || entry.fullName === 'peer|exec'
    if (!isKeyed || betweenNodes.has(entry.fullName) || entry.row.group === 'pubsub') return false
    if (slot === undefined) client.reply.error(ERR_LEAVING)
    else slot.settle((to) => to.error(ERR_LEAVING))
    return true
  }

  /** Copies of the keys that have to be asked for first; null: there are none. */
  #unsettled(client: Client, entry: CommandEntry, args: Args): Buffer[] | null {
    if (betweenNodes.has(entry.fullName) || entry.row.group === 'pubsub') return null
    if (entry.fullName === 'exec' || entry.fullName === 'peer|exec') {
      const transaction =
        entry.parent === null
          ? client.transaction
          : transactionOf(this.#server.table, args.buffer(4))
      let all: Buffer[] | null = null
      for (const queued of transaction?.commands ?? []) {
        const keys = this.#unsettledOf(queued.entry, queued.args)
        if (keys !== null) all = [...(all ?? []), ...keys]
      }
      return all
    }
    return this.#unsettledOf(entry, args)
  }

  #unsettledOf(entry: CommandEntry, args: Args): Buffer[] | null {
    if (entry.firstKey === 0) return null
    let keys: Buffer[] | null = null
    for (const i of keysOf(entry, args) ?? []) {
      if (!this.#isUnsettled(args.bytes, args.pos(i), args.length(i))) continue
      keys ??= []
      keys.push(args.buffer(i))
    }
    return keys
  }

  #isUnsettled(bytes: Uint8Array, pos: number, length: number): boolean {
    if (length > KEY_BYTES_MAX) return false
    // Others that wait for it are to run first, also where the hub has just got it.
    if (this.#waiting.size > 0 && this.#waiting.has(nameOf(bytes, pos, length))) return true
    return this.fence.isActive && this.fence.asks(keySlot(bytes, pos, length), bytes, pos, length)
  }

  #settleAll(keys: readonly Buffer[], done: () => void): void {
    let next = 0
    let open = 1
    const goOn = (): void => {
      if (--open > 0) return
      if (next === keys.length) return done()
      const end = Math.min(keys.length, next + KEYS_AT_ONCE)
      open = end - next + 1
      while (next < end) this.#settle(keys[next++]!, goOn)
      goOn()
    }
    goOn()
  }

  #settle(key: Buffer, done: () => void): void {
    const name = nameOf(key, 0, key.length)
    const others = this.#waiting.get(name)
    if (others !== undefined) {
      others.push(done)
      return
    }
    const waiting = [done]
    this.#waiting.set(name, waiting)
    this.#takers.settle(key, () => {
      this.#waiting.delete(name)
      for (const run of waiting) run()
    })
  }
}

function nameOf(bytes: Uint8Array, pos: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + pos, length).toString('latin1')
}
