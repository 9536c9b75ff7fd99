import type { Group } from '../../cluster/groups/group.ts'
import type { OriginError } from '../../cluster/origin/loader.ts'
import type { Writes } from '../../cluster/loads/writes.ts'
import { Args } from '../../protocol/args.ts'
import { writesThrough } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, flagBits, keySpecOf, keysOf } from '../command.ts'
import type { IoThread } from '../io-thread.ts'
import type { Call, Slot } from '../clients/slot.ts'

/**
 * Commands that change keys of groups with `write`: the origin hears of the change first
 * (cluster/loads/writes.ts). Only rows with `originWrites` may change such keys; others that change values
 * are refused, for the origin could not be told what they do. In a process of several threads they run on
 * the hub, so that cache and origin see the writes of a key in one order.
 */
export class Writing {
  /** No group writes, nothing to do. */
  readonly enabled: boolean
  readonly #server: IoThread
  readonly #writes: Writes | null

  /** `writes`: null where the hub has them. */
  constructor(server: IoThread, writes: Writes | null) {
    this.#server = server
    this.#writes = writes
    this.enabled = server.config.groups.all.some((group) => group.writes)
  }

  /** Tells the origin, and then runs the command. False: no origin need know. */
  takes(client: Client, entry: CommandEntry, call: Call = client): boolean {
    const group = this.#groupOf(entry, call.args)
    if (group === null) return false
    const changes = this.#changesOf(client, entry, call)
    if (changes === null) {
      if (isAboutCache(entry)) return false
      this.#refuse(client, call, writesThrough(group.name))
    } else if (changes.length === 0) {
      return false
    } else if (this.#server.delegate !== null) {
      this.#server.delegate(client, call, call.slot ?? client.hold(), null)
    } else {
      this.#write(client, entry, call, changes)
    }
    return true
  }

  /** Is this a change that an origin is told of? */
  isToldOf(entry: CommandEntry, args: Args): boolean {
    return this.enabled && this.#groupOf(entry, args) !== null
  }

  /** The group whose origin would be told of this command, or could not be; null: it need not know. */
  groupTold(entry: CommandEntry, args: Args): Group | null {
    return isAboutCache(entry) ? null : this.#groupOf(entry, args)
  }

  /** The first group with `write` whose key the command may change. */
  #groupOf(entry: CommandEntry, args: Args): Group | null {
    if ((entry.flags & flagBits.write) === 0 || entry.firstKey === 0) return null
    const { groups } = this.#server.config
    for (const i of keysOf(entry, args) ?? []) {
      if (keySpecOf(entry, i).flags[0] === 'RO') continue
      const group = groups.match(args.bytes, args.pos(i), args.length(i))
      if (group?.writes === true) return group
    }
    return null
  }

  /** Null: an origin could not be told. */
  #changesOf(client: Client, { row }: CommandEntry, { args, db }: Call): Changes | null {
    let changes: Changes | null = null
    client.runAs(() => (changes = row.originWrites?.(client) ?? null), args, db)
    return changes
  }

  #refuse(client: Client, call: Call, line: string): void {
    if (call.slot === undefined) client.reply.error(line)
    else call.slot.settle((reply) => reply.error(line))
  }

  #write(client: Client, entry: CommandEntry, call: Call, changes: Changes): void {
    const { groups } = this.#server.config
    const slot = call.slot ?? client.hold()
    const args = Args.of(call.args.copy())
    const { db } = call
    const writes = lastOfEachKey(args, changes)
    const keys: number[] = []
    const releases: (() => void)[] = []
    let failure: OriginError | null = null
    let open = 1
    const told = (error: OriginError | null, release: () => void): void => {
      failure ??= error
      releases.push(release)
      if (--open > 0) return
      if (failure === null)
        slot.answer(() => client.runAs(() => this.#apply(client, entry, keys), args, db))
      else this.#fail(slot, failure, db, args, keys)
      for (const free of releases) free()
    }
    for (const { key, value, ttlMs } of writes) {
      const group = groups.match(args.bytes, args.pos(key), args.length(key))
      if (group?.writes !== true) continue
      open++
      keys.push(key)
      const bytes = value === 0 ? null : args.buffer(value)
      this.#writes!.write({ group, key: args.buffer(key), value: bytes, ttlMs }, told)
    }
    told(null, () => {})
  }

  /** Runs what the origin has taken. What this cache then cannot take it must not have any older. */
  #apply(client: Client, entry: CommandEntry, keys: readonly number[]): void {
    const { args, db, reply, store } = client
    const before = reply.errors
    entry.run(client)
    if (reply.errors === before) return
    for (const key of keys) store.delete(db, args.bytes, args.pos(key), args.length(key))
  }

  /** Nobody knows what the origin has: the cache forgets. */
  #fail(slot: Slot, failure: OriginError, db: number, args: Args, keys: readonly number[]): void {
    const { store, world } = this.#server
    store.now = world.clock.now()
    for (const key of keys) store.delete(db, args.bytes, args.pos(key), args.length(key))
    slot.settle((reply) => reply.error(failure.message))
  }
}

/** Those that change no value, EXPIRE and its like, are about the cache alone. */
function isAboutCache({ flags, row }: CommandEntry): boolean {
  return row.originWrites === undefined && (flags & flagBits.denyoom) === 0
}

/** Of a key that a command changes more than once, only what is left in the end. */
function lastOfEachKey(args: Args, changes: Changes): Iterable<OriginChange> {
  if (changes.length === 1) return changes
  const last = new Map<string, OriginChange>()
  for (const change of changes) last.set(args.text(change.key), change)
  return last.values()
}

/** One key that a command changes. */
export interface OriginChange {
  /** Which argument is the key. */
  readonly key: number
  /** Which one is the value; 0: the key is removed. */
  readonly value: number
  /** How long it is to live; 0: the client did not say. */
  readonly ttlMs: number
}

type Changes = readonly OriginChange[]
