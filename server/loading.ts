import type { Group, Groups } from '../cluster/group.ts'
import { Loads, type Outcome } from '../cluster/loads.ts'
import type { Loader } from '../cluster/origin/loader.ts'
import { Args } from '../protocol/args.ts'
import { ERR_OOM } from '../protocol/errors.ts'
import type { Client } from './client.ts'
import type { CommandEntry } from './command.ts'
import type { Slot } from './output.ts'
import type { Server } from './server.ts'
import type { Store } from './store/store.ts'

/**
 * Keys of a group fill themselves: before a command with `loads` runs, those of its keys that
 * belong to a group and are missing here are loaded from their origin, once, however many ask
 * (cluster/loads.ts). The command takes a slot meanwhile; when all loads have ended it runs as if
 * it had come just now. A GET is answered with what the load brought, whether or not it could be
 * stored: the value may have been fenced off by a later write, or have found no room.
 */
export class Loading {
  readonly groups: Groups
  readonly loads: Loads
  /** No groups, nothing to do. */
  readonly enabled: boolean
  readonly #server: Server

  constructor(server: Server, groups: Groups, loader: Loader) {
    this.#server = server
    this.groups = groups
    this.enabled = groups.all.length > 0
    this.loads = new Loads({
      clock: server.world.clock,
      store: server.store,
      loader,
      report: (error, group) => {
        server.log.warning({ group: group.name, kind: error.kind, err: error }, error.message)
      },
    })
  }

  /**
   * Loads what the client's command misses and then answers it, in a slot that it takes if it has
   * none yet. False: nothing is missing, run it.
   */
  takes(client: Client, entry: CommandEntry, call: Call = client): boolean {
    const missing = this.#missing(entry, call)
    if (missing === null) return false
    const slot = call.slot ?? client.defer()
    if (entry.fullName === 'get') this.#loadForGet(call.db, missing[0]!, slot)
    else this.#loadForOthers(client, entry, missing, call, slot)
    return true
  }

  /** Ends all loads; their waiters hear an error. */
  close(): void {
    void this.loads.close()
  }

  /** Null when there are none: the usual case allocates nothing. */
  #missing(entry: CommandEntry, { args, db }: Call): MissingKey[] | null {
    const { store } = this.#server
    let missing: MissingKey[] | null = null
    const last = entry.lastKey < 0 ? args.count + entry.lastKey : entry.lastKey
    for (let i = entry.firstKey; i <= last; i += entry.keyStep) {
      const pos = args.pos(i)
      const length = args.length(i)
      const group = this.groups.match(args.bytes, pos, length)
      if (group === null || store.has(db, args.bytes, pos, length)) continue
      missing ??= []
      missing.push({ key: new Uint8Array(args.buffer(i)), group })
    }
    return missing
  }

  #loadForGet(db: number, { key, group }: MissingKey, slot: Slot): void {
    this.#load(db, key, group, (outcome) => {
      slot.settle((reply) => {
        if (outcome.kind === 'value') reply.bulk(outcome.value)
        else if (outcome.kind === 'error') reply.error(outcome.line)
        else reply.null()
      })
    })
  }

  #loadForOthers(
    client: Client,
    entry: CommandEntry,
    missing: readonly MissingKey[],
    call: Call,
    slot: Slot,
  ): void {
    const copies = call.args.copy()
    const { db } = call
    let left = missing.length
    let error: string | null = null
    const onOutcome = (outcome: Outcome): void => {
      if (outcome.kind === 'error') error ??= outcome.line
      if (--left > 0) return
      const line = error
      if (line !== null) slot.settle((reply) => reply.error(line))
      else slot.answer(() => client.runAs(entry, Args.of(copies), db))
    }
    for (const { key, group } of missing) this.#load(db, key, group, onOutcome)
  }

  /** Plants or finds the key's lease and waits for its load. `done` is called once, later. */
  #load(db: number, key: Uint8Array, group: Group, done: (outcome: Outcome) => void): void {
    const { store, world } = this.#server
    store.now = world.clock.now()
    if (store.open(db, key, 0, key.length)) {
      const value = copyOpenValue(store)
      store.close()
      world.clock.soon(() => done({ kind: 'value', value }))
      return
    }
    const token = store.lease()
    const planted = store.leasePlanted
    store.close()
    if (token === 0) {
      world.clock.soon(() => done({ kind: 'error', line: ERR_OOM }))
      return
    }
    this.loads.wait({ db, key, group, token, planted }, (outcome) => {
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
  readonly key: Uint8Array
  readonly group: Group
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
