/**
 * Copies that this node keeps for others, as a thread that runs commands sees them: before a command
 * runs for a key, what is kept of it becomes its entry, or is shown to who asks in vain for its owner
 * (cluster/copies/kept-slots.ts).
 */
import type { Groups } from '../../cluster/groups/group.ts'
import { BEHIND, KEPT, type KeptSlots, NOTHING, PROMOTED } from '../../cluster/copies/kept-slots.ts'
import type { SlotStates } from '../../cluster/ownership/slot-states.ts'
import { keySlot } from '../../cluster/slots.ts'
import type { Args } from '../../protocol/args.ts'
import type { Client } from '../clients/client.ts'
import { type CommandEntry, flagBits, keysOf } from '../command.ts'
import { copyOpenValue } from '../loads/load-store.ts'
import { type MovedEntry, takeEntry } from '../cluster/moved-entry.ts'
import { type FillExtras, type Store, TYPE_STRING } from '../store/store.ts'

interface KeptParts {
  readonly slots: KeptSlots
  readonly store: Store
  readonly slotStates: SlotStates
  readonly groups: Groups
  readonly db: number
}

/** See the top of the file. One of each thread. */
export class KeptCopies {
  readonly slots: KeptSlots
  readonly #store: Store
  readonly #states: SlotStates
  readonly #groups: Groups
  /** The store's database that they lie in. */
  readonly #db: number

  constructor(parts: KeptParts) {
    this.slots = parts.slots
    this.#store = parts.store
    this.#states = parts.slotStates
    this.#groups = parts.groups
    this.#db = parts.db
  }

  /** A command is about to run for keys that are this node's, EXEC for those of its commands. */
  settle(client: Client, entry: CommandEntry, args: Args): void {
    if (!this.slots.settles) return
    if (entry.fullName === 'exec') {
      for (const queued of client.transaction?.commands ?? []) {
        this.#settleKeys(queued.entry, queued.args)
      }
    } else {
      this.#settleKeys(entry, args)
    }
  }

  #settleKeys(entry: CommandEntry, args: Args): void {
    if (entry.firstKey === 0) return
    for (const i of keysOf(entry, args) ?? []) {
      this.settleKey(args.bytes, args.pos(i), args.length(i))
    }
  }

  /** The same for one key. */
  settleKey(bytes: Uint8Array, pos: number, length: number): void {
    const state = this.slots.of(keySlot(bytes, pos, length))
    if (state === PROMOTED) this.promote(bytes, pos, length)
    else if (state === BEHIND) this.#store.delete(this.#db, bytes, pos, length)
  }

  /** A command is about to run here for a key that may be another node's. */
  visit(entry: CommandEntry, slot: number, bytes: Uint8Array, pos: number, length: number): void {
    const state = this.slots.of(slot)
    if (state === NOTHING) return
    if (state !== KEPT) return this.settleKey(bytes, pos, length)
    const writes = (entry.flags & flagBits.write) !== 0
    this.#show(bytes, pos, length, writes, (now) => {
      return this.slots.isTrusted(slot, now) && !this.slots.isFlushing
    })
  }

  /**
   * Takes what is kept of a key for its owner, which has begun anew before anybody missed it: what was written here
   * meanwhile for who asked in vain, else the copy.
   */
  giveBack(slot: number, key: Buffer): MovedEntry | null {
    if (this.slots.of(slot) !== KEPT || this.slots.isFlushing) return null
    const isVisited = this.#states.of(slot) === 'visited'
    const visited = isVisited ? takeEntry(this.#store, this.#groups, key) : null
    const copy = takeEntry(this.#store, this.#groups, key, this.#db)
    if (visited === null) return copy
    if (copy?.value && !Buffer.isBuffer(copy.value)) copy.value.release()
    return visited
  }

  /** The copy of a key is its entry from now on, if it has none and nothing is on its way to it. */
  promote(bytes: Uint8Array, pos: number, length: number): void {
    const slot = keySlot(bytes, pos, length)
    this.#show(bytes, pos, length, true, () => {
      return this.slots.of(slot) === PROMOTED && !this.slots.isFlushing
    })
  }

  /** Puts an entry under the key like the copy, if `counts` it. `moves`: the copy goes in any case. */
  #show(
    bytes: Uint8Array,
    pos: number,
    length: number,
    moves: boolean,
    counts: (now: number) => boolean,
  ): void {
    const store = this.#store
    const from = { db: this.#db, bytes, pos, length }
    const to = { db: 0, bytes, pos, length }
    store.lockPair(from, to)
    if (counts(store.now) && this.#isFree(to)) this.#put(from, to)
    if (moves) store.delete(from.db, bytes, pos, length)
    store.unlockKeys()
  }

  #isFree({ db, bytes, pos, length }: Place): boolean {
    const store = this.#store
    const found = store.peekAny(db, bytes, pos, length)
    const isFree = !found && store.leaseToken() === 0
    store.close()
    return isFree
  }

  #put(from: Place, to: Place): void {
    const store = this.#store
    // What is invalidated from now on must not come.
    const birth = store.birth()
    const found = store.peekAny(from.db, from.bytes, from.pos, from.length)
    const isValue = found && store.valueType === TYPE_STRING
    const value = isValue ? copyOpenValue(store) : null
    const { endsAt, extras } = store
    store.close()
    if (value === null) return
    store.openAny(to.db, to.bytes, to.pos, to.length)
    store.put(value, 0, value.length, endsAt, extras && this.#asEntry({ ...extras, birth }))
    store.close()
  }

  /** While it is a copy nobody asks for it, so it must not go for that. */
  #asEntry(extras: FillExtras): FillExtras {
    const group = this.#groups.all.find(({ number }) => number === extras.group)
    return { ...extras, idleMs: group?.idleMs ?? 0 }
  }
}

interface Place {
  readonly db: number
  readonly bytes: Uint8Array
  readonly pos: number
  readonly length: number
}
