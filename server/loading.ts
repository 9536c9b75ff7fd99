import type { Group, Groups } from '../cluster/group.ts'
import type { Miss, Outcome, Waiter } from '../cluster/loads.ts'
import { Args } from '../protocol/args.ts'
import { ERR_OOM } from '../protocol/errors.ts'
import type { Client } from './client.ts'
import { type CommandEntry, lastKeyOf } from './command.ts'
import { replyValue } from './commands/string.ts'
import type { WaiterCounters } from './facts.ts'
import type { IoThread } from './io-thread.ts'
import type { Slot } from './slot.ts'
import { counter } from './stats.ts'
import type { Store } from './store/store.ts'

/** Loads under way, wherever they are kept: cluster/loads.ts, or on the hub (threads/). */
export interface Flights {
  /** See Loads.wait. */
  wait(miss: Miss, done: (outcome: Outcome) => void): Waiter
  /** Ends all loads: their waiters hear an error, and so does who comes later. */
  close(): void
  /** Those that have not heard yet. */
  readonly waiting: number
  /** By the group's name: what the counters of Loads do not count. */
  readonly waiters: ReadonlyMap<string, WaiterCounters>
}

/**
 * Keys of a group fill themselves: those keys of a command with `loads` that belong to a group and
 * are missing here are loaded from their origin, once, however many ask (cluster/loads.ts). The
 * command takes a slot meanwhile, and is answered with what the loads brought, whether or not that
 * could be stored: the value may have been fenced off by a later write, or have found no room. What
 * was not missing is read when the command's turn comes, not when its loads end.
 */
export class Loading {
  readonly groups: Groups
  readonly flights: Flights
  /** No groups, nothing to do. */
  readonly enabled: boolean
  readonly #server: IoThread

  constructor(server: IoThread, groups: Groups, flights: Flights) {
    this.#server = server
    this.groups = groups
    this.enabled = groups.all.length > 0
    this.flights = flights
  }

  /**
   * Loads what the client's command misses and then answers it, in a slot that it takes if it has
   * none yet. False: nothing is missing, run it.
   */
  takes(client: Client, entry: CommandEntry, call: Call = client): boolean {
    const missing = this.#missing(entry, call)
    if (missing === null) return false
    this.#server.stats.row[counter.keyspaceMisses]! += missing.length
    const slot = call.slot ?? client.defer()
    const { db } = call
    if (entry.loads === 'values') this.#answerValues(client, call, missing, slot)
    else if (entry.loads === 'value') this.#answerValue(db, missing[0]!, slot)
    else this.#answerBy(client, entry, call, missing[0]!, slot)
    return true
  }

  /** Ends all loads; their waiters hear an error. */
  close(): void {
    this.flights.close()
  }

  /** Null when there are none: the usual case allocates nothing. */
  #missing(entry: CommandEntry, { args, db }: Call): MissingKey[] | null {
    const { store } = this.#server
    let missing: MissingKey[] | null = null
    const last = lastKeyOf(entry, args)
    for (let i = entry.firstKey; i <= last; i += entry.keyStep) {
      const pos = args.pos(i)
      const length = args.length(i)
      const group = this.groups.match(args.bytes, pos, length)
      if (group === null || store.has(db, args.bytes, pos, length)) continue
      missing ??= []
      missing.push({ index: i, key: new Uint8Array(args.buffer(i)), group })
    }
    return missing
  }

  #answerValue(db: number, { key, group }: MissingKey, slot: Slot): void {
    this.#load(db, key, group, (outcome) => {
      if (outcome.kind === 'value') slot.settleBulk(outcome.value)
      else if (outcome.kind === 'error') slot.settle((reply) => reply.error(outcome.line))
      else slot.settle((reply) => reply.null())
    })
  }

  /** What is here is read now; each missing key is a slot within the reply. */
  #answerValues(client: Client, call: Call, missing: readonly MissingKey[], slot: Slot): void {
    const { db } = call
    let error: string | null = null
    const write = (): void => {
      const { args, reply } = client
      let next = 0
      reply.array(args.count - 1)
      for (let i = 1; i < args.count; i++) {
        const absent = missing[next]
        if (absent?.index !== i) {
          replyValue(client, i)
          continue
        }
        next++
        const part = client.defer()
        this.#load(db, absent.key, absent.group, (outcome) => {
          if (outcome.kind === 'error') error ??= outcome.line
          if (outcome.kind === 'value') part.settleBulk(outcome.value)
          else part.settle((to) => to.null())
        })
      }
    }
    const args = Args.of(call.args.copy())
    slot.answer(
      () => client.runAs(write, args, db),
      () => error,
    )
  }

  #answerBy(
    client: Client,
    entry: CommandEntry,
    call: Call,
    { key, group }: MissingKey,
    slot: Slot,
  ): void {
    const { db } = call
    const args = Args.of(call.args.copy())
    const answer = entry.loads as (client: Client, value: Buffer | null, stored: boolean) => void
    this.#load(db, key, group, (outcome) => {
      if (outcome.kind === 'error') {
        slot.settle((reply) => reply.error(outcome.line))
        return
      }
      const value = outcome.kind === 'value' ? outcome.value : null
      // Where several threads serve, another one may have written since.
      const stored = value !== null && isStored(outcome) && this.#holds(db, key, value)
      slot.answer(() => client.runAs(() => answer(client, value, stored), args, db))
    })
  }

  #holds(db: number, key: Uint8Array, value: Buffer): boolean {
    const { store, world } = this.#server
    store.now = world.clock.now()
    const found = store.peek(db, key, 0, key.length)
    const holds = found && value.equals(copyOpenValue(store))
    store.close()
    return holds
  }

  /** Plants or finds the key's lease and waits for its load. `done` is called once, later. */
  #load(db: number, key: Uint8Array, group: Group, done: (outcome: Outcome) => void): void {
    const { store, world } = this.#server
    store.now = world.clock.now()
    if (store.open(db, key, 0, key.length)) {
      const value = copyOpenValue(store)
      store.close()
      world.clock.soon(() => done({ kind: 'value', value, stored: false }))
      return
    }
    const token = store.lease()
    store.close()
    if (token === 0) {
      world.clock.soon(() => done({ kind: 'error', line: ERR_OOM }))
      return
    }
    this.flights.wait({ db, key, group, token }, (outcome) => {
      if (outcome.kind === 'again') this.#load(db, key, group, done)
      else done(outcome)
    })
  }
}

/** A command to be answered: the client's current one, or one that was copied and has its slot. */
interface Call {
  readonly args: Args
  readonly db: number
  readonly slot?: Slot
}

interface MissingKey {
  /** Which argument it is. */
  readonly index: number
  readonly key: Uint8Array
  readonly group: Group
}

function isStored(outcome: Outcome): boolean {
  return outcome.kind === 'value' && outcome.stored
}

/** A copy of the open record's value. */
function copyOpenValue(store: Store): Buffer {
  if (store.inPages) {
    const pages = store.pin()
    const value = pages.toBuffer()
    pages.release()
    return value
  }
  // A value outside pages is no longer than a chunk; the scratch area holds two.
  const { scratch, bytes } = store.io
  const length = store.valueLength
  store.read(0, length, scratch)
  return Buffer.from(bytes.subarray(scratch, scratch + length))
}
