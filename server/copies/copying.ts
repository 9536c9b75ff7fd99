/**
 * A write is answered when its copy is at the next node: keeps the replies of commands that change keys of
 * groups with copies, in every thread. The copies themselves are the hub's (sender.ts).
 *
 *     client      SET user:7 x
 *     thread      runs it, keeps "+OK" in its place among the replies ──> hub: user:7 has changed
 *                 "+OK"                                               <── it is taken in
 *
 * The command runs at once, and later ones of its connection do not wait for its copy: only replies do. One that
 * would come too late is an error (late-replies.ts).
 */
import type { Args } from '../../protocol/args.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, flagBits, keySpecOf, keysOf } from '../command.ts'
import type { IoThread } from '../io-thread.ts'
import type { Call, Slot } from '../clients/slot.ts'
import { transactionOf } from '../transactions/routing.ts'
import type { Queued } from '../transactions/transaction.ts'
import { copiesDatabase } from './database.ts'
import { LateReplies } from './late-replies.ts'

/** What the hub does for all threads. */
export interface Copiers {
  /** Keys have changed. `done`: they are copied, or cannot be for now. The keys are not to be changed. */
  copied(keys: readonly Buffer[], done: () => void): void
  /** All keys were removed. */
  flushed(done: () => void): void
  /** Many keys were invalidated, which the hub knows already. */
  noted(done: () => void): void
}

/** What a command may have changed: some keys, all, or those that it has invalidated on the hub. */
type Changed = readonly Buffer[] | 'all' | 'noted'

const flushes: ReadonlySet<string> = new Set(['flushall', 'flushdb'])
const invalidates: ReadonlySet<string> = new Set(['cache.invalidate', 'group|flush'])
/** Takes a lease, and changes no value. */
const LEASE = 'cache.lease'
const transactions: ReadonlySet<string> = new Set(['exec', 'peer|exec'])

/** A reply that is being kept. */
export class KeptReply {
  /** Where the command's reply goes. */
  readonly slot: Slot
  #isAnswered = false
  #release: (() => void) | null = null

  constructor(slot: Slot) {
    this.slot = slot
  }

  /** The command was executed: if it goes on all the same, later ones of the connection wait until it has answered. */
  executed(client: Client, { loads, row }: CommandEntry): void {
    const isHeld = !this.#isAnswered && client.peer === null
    if (isHeld && loads === null && row.waits === undefined) this.#release = client.holdOn()
  }

  answered(): void {
    this.#isAnswered = true
    this.#release?.()
    this.#release = null
  }
}

/** See the top of the file. One of each thread. */
export class Copying {
  /** False: no group has copies, nothing to do. */
  readonly enabled: boolean
  readonly #server: IoThread
  readonly #copiers: Copiers
  readonly #late: LateReplies

  constructor(server: IoThread, copiers: Copiers) {
    this.#server = server
    this.#copiers = copiers
    this.#late = new LateReplies(server.world.clock)
    this.enabled = copiesDatabase(server.config) >= 0
  }

  /**
   * A place for the reply of a command that is about to run, which it then takes in its slot when what it has
   * changed is copied. Null: it changes nothing that has copies.
   */
  keep(client: Client, entry: CommandEntry, call: Call = client): KeptReply | null {
    const changed = this.#changedBy(client, entry, call.args)
    if (changed === null) return null
    const isTransaction = transactions.has(entry.fullName)
    const slot = call.slot ?? (isTransaction ? client.hold() : client.defer())
    const hear = (reply: Buffer): void => {
      kept.answered()
      let isCopied = false
      this.#tell(changed, () => {
        isCopied = true
        slot.settleBytes(reply)
      })
      if (!isCopied) this.#late.add(slot)
    }
    const gone = (): void => {
      kept.answered()
      this.#tell(changed, () => {})
    }
    const kept = new KeptReply(client.call(hear, slot.protocol === 3 ? 3 : 2, gone))
    return kept
  }

  #tell(changed: Changed, done: () => void): void {
    if (changed === 'all') this.#copiers.flushed(done)
    else if (changed === 'noted') this.#copiers.noted(done)
    else this.#copiers.copied(changed, done)
  }

  #changedBy(client: Client, entry: CommandEntry, args: Args): Changed | null {
    if ((entry.flags & flagBits.readonly) !== 0) return null
    if ((entry.flags & flagBits.write) !== 0 && entry.firstKey > 0) {
      if (entry.fullName === LEASE) return null
      return this.#keysOf(entry, args, null)
    }
    if (transactions.has(entry.fullName))
      return this.#keysOfAll(this.#queuedIn(client, entry, args))
    if (flushes.has(entry.fullName)) return 'all'
    return invalidates.has(entry.fullName) ? 'noted' : null
  }

  /** The commands of a transaction that runs here. */
  #queuedIn(client: Client, entry: CommandEntry, args: Args): readonly Queued[] {
    if (entry.fullName === 'peer|exec') {
      return transactionOf(this.#server.table, args.buffer(4))?.commands ?? []
    }
    const { transaction, where } = client
    const isHere = where.slot < 0 || this.#server.routing.router!.isHere(where.slot)
    return isHere ? (transaction?.commands ?? []) : []
  }

  #keysOfAll(commands: readonly Queued[]): Buffer[] | null {
    let keys: Buffer[] | null = null
    for (const { entry, args } of commands) {
      if ((entry.flags & flagBits.write) === 0 || entry.firstKey === 0) continue
      keys = this.#keysOf(entry, args, keys)
    }
    return keys
  }

  /** Adds those that have copies to `keys`. */
  #keysOf(entry: CommandEntry, args: Args, keys: Buffer[] | null): Buffer[] | null {
    const { groups } = this.#server.config
    for (const i of keysOf(entry, args) ?? []) {
      if (keySpecOf(entry, i).flags[0] === 'RO') continue
      const group = groups.match(args.bytes, args.pos(i), args.length(i))
      if (group?.hasCopies !== true) continue
      keys ??= []
      keys.push(args.buffer(i))
    }
    return keys
  }
}
