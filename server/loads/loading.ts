import type { Group, Groups } from '../../cluster/groups/group.ts'
import type { Outcome } from '../../cluster/loads/loads.ts'
import { Args } from '../../protocol/args.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, flagBits, lastKeyOf } from '../command.ts'
import { overKeys } from '../commands/many-keys.ts'
import { replyValue } from '../commands/string.ts'
import type { GroupHits, WaiterCounters } from '../facts.ts'
import type { IoThread } from '../io-thread.ts'
import { copyOpenValue } from './load-store.ts'
import { type Flying, LookUp, type Wanted } from './look-up.ts'
import type { Call, Slot } from '../clients/slot.ts'
import { counter } from '../stats.ts'
import { ABSENT, ERROR_ONLY, FRESH } from '../store/store.ts'

/** Loads under way, wherever they are kept: cluster/loads/loads.ts, or on the hub (threads/). */
export interface Flights extends Flying {
  /** Ends all loads: their waiters hear an error, and so does who comes later. */
  close(): void
  /** Those that have not heard yet. */
  readonly waiting: number
  /** By the group's name: what the counters of Loads do not count. */
  readonly waiters: ReadonlyMap<string, WaiterCounters>
}

/*
 * Keys of a group fill themselves: those keys of a command with `loads` that belong to a group are
 * looked up before it runs (look-up.ts). Where all are there, or known to be missing, it runs; what is
 * not fresh is loaded anew meanwhile. Others are loaded, and it is answered then; where nobody is to
 * wait (`wait 0`), it runs, finds nothing, and they are loaded meanwhile.
 *
 * A command that must wait takes a slot, and is answered with what the loads brought, whether or not
 * that could be stored: the value may have been fenced off by a later write, or have found no room.
 * What was not missing is read when the command's turn comes, not when its loads end.
 */
export class Loading {
  readonly groups: Groups
  readonly flights: Flights
  /** No groups, nothing to do. */
  readonly enabled: boolean
  readonly #lookUp: LookUp
  readonly #server: IoThread

  constructor(server: IoThread, groups: Groups, flights: Flights) {
    this.#server = server
    this.groups = groups
    this.enabled = groups.all.length > 0
    this.flights = flights
    const { store, world } = server
    const { clock, random } = world
    this.#lookUp = new LookUp({ store, clock, random, loads: flights })
  }

  /** What this thread's commands found. */
  hits(group: Group): GroupHits {
    return this.#lookUp.hits(group)
  }

  /**
   * Loads what the client's command misses and then answers it, in a slot that it takes if it has
   * none yet. False: nothing is missing, run it.
   */
  takes(client: Client, entry: CommandEntry, call: Call = client): boolean {
    if (entry.loads === 'values' && call.args.count > KEYS_AT_ONCE) {
      this.#takeMany(client, this.#readerOf(client, entry), call)
      return true
    }
    const missing = this.#missing(entry, call)
    if (missing === null) return false
    this.#server.stats.row[counter.keyspaceMisses]! += missing.length
    const slot = call.slot ?? client.defer()
    const { db } = call
    const reader = this.#readerOf(client, entry)
    if (entry.loads === 'values') this.#answerValues(client, reader, call, missing, slot)
    else if (entry.loads === 'value') this.#answerValue(reader, db, missing[0]!, slot)
    else this.#answerBy(client, reader, { entry, call, slot }, missing[0]!)
    return true
  }

  /** The client, if it wants to hear when what it is answered changes. */
  #readerOf(client: Client, entry: CommandEntry): Client | null {
    const isReading = (entry.flags & flagBits.readonly) !== 0
    return isReading && client.tracker?.remembers === true ? client : null
  }

  /** A reader is about to be answered with what was loaded: from now on it hears of changes. */
  #remember(reader: Client | null, db: number, key: Uint8Array, outcome: Outcome): void {
    if (reader === null || outcome.kind === 'error') return
    const value = outcome.kind === 'value' ? outcome.value : null
    this.#server.tracking.loaded(reader, db, key, value)
  }

  /** Ends all loads; their waiters hear an error. */
  close(): void {
    this.flights.close()
  }

  /** Null when there are none: the usual case allocates nothing. */
  #missing(entry: CommandEntry, { args, db }: Call): MissingKey[] | null {
    let missing: MissingKey[] | null = null
    const last = lastKeyOf(entry, args)
    for (let i = entry.firstKey; i <= last; i += entry.keyStep) {
      const group = this.groups.match(args.bytes, args.pos(i), args.length(i))
      if (group === null || this.#isAnswered(db, args, i, group)) continue
      missing ??= []
      missing.push({ index: i, key: new Uint8Array(args.buffer(i)), group })
    }
    return missing
  }

  /** Can the command run on this key as it is? Whatever is not fresh is loaded anew. */
  #isAnswered(db: number, args: Args, i: number, group: Group): boolean {
    const { store } = this.#server
    const state = store.state(db, args.bytes, args.pos(i), args.length(i))
    return this.#judge(db, args, i, group, state)
  }

  /** Is there nothing to answer with, and nobody knows that there is nothing? */
  #isGone(db: number, args: Args, i: number): boolean {
    const { store } = this.#server
    const state = store.state(db, args.bytes, args.pos(i), args.length(i))
    return state === ABSENT || state === ERROR_ONLY
  }

  /** What the client's command found of the key that is its argument i. False: it must be loaded. */
  judge({ args, db }: Client, i: number, group: Group, state: number): boolean {
    return this.#judge(db, args, i, group, state)
  }

  #judge(db: number, args: Args, i: number, group: Group, state: number): boolean {
    const lookUp = this.#lookUp
    lookUp.judge(group, state)
    if (lookUp.isDue) lookUp.refresh(db, new Uint8Array(args.buffer(i)), group, state === FRESH)
    if (state === ABSENT && group.waitMs === 0) {
      // Nobody waits: the command finds nothing, and needs no slot for that.
      const key = new Uint8Array(args.buffer(i))
      this.load({ db, key, group, staleMsMax: 0 }, () => {})
      return true
    }
    return state !== ABSENT && state !== ERROR_ONLY
  }

  #answerValue(reader: Client | null, db: number, { key, group }: MissingKey, slot: Slot): void {
    this.load({ db, key, group }, (outcome) => {
      this.#remember(reader, db, key, outcome)
      if (outcome.kind === 'value') slot.settleBulk(outcome.value)
      else if (outcome.kind === 'error') slot.settle((reply) => reply.error(outcome.line))
      else slot.settle((reply) => reply.null())
    })
  }

  /** What is here is read now; each missing key is a slot within the reply. */
  #answerValues(
    client: Client,
    reader: Client | null,
    call: Call,
    missing: readonly MissingKey[],
    slot: Slot,
  ): void {
    const { db } = call
    let error: string | null = null
    const write = (): void => {
      const { args, reply } = client
      let next = 0
      reply.array(args.count - 1)
      for (let i = 1; i < args.count; i++) {
        const absent = missing[next]
        if (absent?.index !== i) {
          if (reader !== null) this.#server.tracking.reads(reader, i, i + 1)
          replyValue(client, i)
          continue
        }
        next++
        const part = client.defer()
        this.load({ db, key: absent.key, group: absent.group }, (outcome) => {
          if (outcome.kind === 'error') error ??= outcome.line
          this.#remember(reader, db, absent.key, outcome)
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

  /**
   * MGET of very many keys: they are looked at, and their loads begun, in turns with everything else,
   * and when all have ended the command reads. Later commands of the connection wait.
   */
  #takeMany(client: Client, reader: Client | null, call: Call): void {
    const { turns } = this.#server
    const slot = call.slot ?? client.hold()
    const { db } = call
    const args = call.slot === undefined ? call.args.detached() : call.args
    /** What loads brought, by argument: the store may have let go of it when the reply is written. */
    const loaded = new Map<number, Buffer | null>()
    let error: string | null = null
    let next = 1
    let open = 0
    // What was there at first may go while others are loaded: it is looked for again.
    let rounds = 1
    let loadedBefore = 0
    const needsLoad = (i: number, group: Group): boolean => {
      if (rounds === 1) return !this.#isAnswered(db, args, i, group)
      return !loaded.has(i) && this.#isGone(db, args, i)
    }
    const finishRound = (): boolean => {
      if (error === null && loaded.size > loadedBefore && rounds < ROUNDS_MAX) {
        loadedBefore = loaded.size
        rounds++
        next = 1
        return false
      }
      const line = error
      if (line !== null) slot.settle((reply) => reply.error(line))
      else slot.answer(() => client.runAs(() => replyAll(client, reader, loaded), args, db))
      return true
    }
    const step = (): boolean => {
      const end = Math.min(args.count, next + KEYS_PER_STEP)
      for (; next < end && open < LOADS_OPEN_MAX; next++) {
        const i = next
        const group = this.groups.match(args.bytes, args.pos(i), args.length(i))
        if (group === null || !needsLoad(i, group)) continue
        open++
        this.load({ db, key: new Uint8Array(args.buffer(i)), group }, (outcome) => {
          if (outcome.kind === 'error') error ??= outcome.line
          loaded.set(i, outcome.kind === 'value' ? outcome.value : null)
          open--
          if (next < args.count && open === LOADS_OPEN_MAX - 1) turns.add(turn)
          else if (next >= args.count && open === 0 && !finishRound()) turns.add(turn)
        })
      }
      return next >= args.count
    }
    const turn = {
      takeTurn: (): boolean => {
        this.#server.store.now = this.#server.world.clock.now()
        const done = turns.slice(step, () => open < LOADS_OPEN_MAX)
        if (done && open === 0) return !finishRound()
        return !done && open < LOADS_OPEN_MAX
      },
    }
    turns.add(turn)
  }

  #answerBy(
    client: Client,
    reader: Client | null,
    { entry, call, slot }: { entry: CommandEntry; call: Call; slot: Slot },
    { key, group }: MissingKey,
  ): void {
    const { db } = call
    const args = Args.of(call.args.copy())
    const answer = entry.loads as (client: Client, value: Buffer | null, stored: boolean) => void
    this.load({ db, key, group }, (outcome) => {
      if (outcome.kind === 'error') {
        slot.settle((reply) => reply.error(outcome.line))
        return
      }
      const value = outcome.kind === 'value' ? outcome.value : null
      this.#remember(reader, db, key, outcome)
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

  /** See LookUp.load. */
  load(wanted: Wanted, done: (outcome: Outcome) => void): void {
    if (this.#server.routing.enabled) this.#ofOwned('load', wanted, done)
    else this.#lookUp.load(wanted, done)
  }

  /** See LookUp.reload. */
  reload(wanted: Wanted, done: (outcome: Outcome) => void): void {
    if (this.#server.routing.enabled) this.#ofOwned('reload', wanted, done)
    else this.#lookUp.reload(wanted, done)
  }

  /**
   * What this node waited for while it stood still, and others answered in its place, may be older than what
   * they know: if it has forgotten all that it had since, the key is looked up anew, as if it had been asked
   * for now, in the time that is left.
   */
  #ofOwned(how: 'load' | 'reload', wanted: Wanted, done: (outcome: Outcome) => void): void {
    const { handoff, slotStates, world } = this.#server
    const { begunAt } = slotStates
    const { group, key, waitMs = group.waitMs } = wanted
    const endsAt = world.clock.now() + waitMs
    this.#lookUp[how](wanted, (outcome) => {
      this.#whenSure(() => {
        if (slotStates.begunAt === begunAt || outcome.kind === 'error') return done(outcome)
        const leftMs = Math.max(0, endsAt - world.clock.now())
        const again = (): void => this.#ofOwned(how, { ...wanted, waitMs: leftMs }, done)
        handoff!.want(Buffer.from(key), again)
      })
    })
  }

  /** At once, or when it is known whether this node was missed. */
  #whenSure(run: () => void): void {
    const { gate, held, world } = this.#server
    const now = world.clock.now()
    if (now > this.#server.missedAt) this.#server.wake(now)
    if (gate.doubtsKeys) held.whenSure(run)
    else run()
  }
}

/** Answers an MGET: what was loaded for it, and what the store had. */
function replyAll(
  client: Client,
  reader: Client | null,
  loaded: ReadonlyMap<number, Buffer | null>,
): void {
  const { args, db } = client
  client.reply.array(args.count - 1)
  overKeys(client, {
    stride: 1,
    remembers: reader !== null,
    visit: (_, i) => {
      const value = loaded.get(i)
      if (value == null) replyValue(client, i)
      else {
        reader?.server.tracking.loaded(reader, db, args.buffer(i), value)
        client.reply.bulk(value)
      }
      return 0
    },
    end: () => {},
  })
}

/** Of an MGET: with more it lets others have their turn. */
const KEYS_AT_ONCE = 256
/** Between two looks at the clock. */
const KEYS_PER_STEP = 16
/** Loads of one MGET at a time: more would fill the group's queue. */
const LOADS_OPEN_MAX = 1024

/** So often an MGET looks for what has gone meanwhile; then it is missing. */
const ROUNDS_MAX = 8

interface MissingKey {
  /** Which argument it is. */
  readonly index: number
  readonly key: Uint8Array
  readonly group: Group
}

function isStored(outcome: Outcome): boolean {
  return outcome.kind === 'value' && outcome.stored
}
