/**
 * The hub's part in copies that this node keeps for others: takes them in, and makes entries of them
 * when their owner is gone.
 *
 *     PEER COPIES OPEN     what there was of these slots is purged, and then they are kept
 *     PEER COPY            an entry as it is now, or that there is none any more
 *     PEER COPIES PURGE    a prefix or a group was invalidated, at this place among the copies
 *     PEER COPIES TAG      a tag was
 *     PEER COPIES CLOSE    slots have another owner, or another node keeps their copies
 *     PEER COPIES BEAT     nothing has changed
 *
 * Each message is from a node's stream, in the order in which that node sent it (sender.ts). What may be
 * trusted, and for how long, says cluster/copies/trust.ts.
 */
import { type KeptSlots, NOTHING, PROMOTED } from '../../cluster/copies/kept-slots.ts'
import { Trust } from '../../cluster/copies/trust.ts'
import type { Member, Membership } from '../../cluster/members/membership.ts'
import { keySlot, SLOT_COUNT } from '../../cluster/slots.ts'
import type { Timer } from '../../cluster/world.ts'
import { readLine } from '../cluster/moved-entry.ts'
import type { Server } from '../server.ts'
import { hasSlot, type Matcher, slotSetOf, STORED } from '../store/store.ts'
import { WALK_SLOTS } from '../turns.ts'
import type { KeptCopies } from './kept.ts'
import { offerAll } from './offering.ts'

/** While commands for keys wait for something to be forgotten. */
const AGAIN_MS = 20

/** What is said of a stream that opens slots. */
interface Opening {
  readonly id: string
  /** After so long without a word of it its copies are not trusted. */
  readonly lastsMs: number
  /** Its process has just begun. */
  readonly isFresh: boolean
}

/** See the top of the file. */
export class Keeper {
  /** Counted since the start: copies that were taken in, and slots whose copies became entries. */
  readonly counters = { taken: 0, promotedSlots: 0 }
  readonly trust: Trust
  readonly #server: Server
  readonly #membership: Membership
  readonly #kept: KeptCopies
  readonly #slots: KeptSlots
  /** The store's database with the copies. */
  readonly #db: number
  /** Slots whose copies are worthless and still there. */
  #rubbish: Set<number> = new Set()
  /** Are copies being made entries? Which slots' when this walk began, and how far it is. */
  #promoting: Set<number> | null = null
  #cursor = 0
  #again: Timer | null = null

  constructor(server: Server, membership: Membership, kept: KeptCopies, db: number) {
    this.#server = server
    this.#membership = membership
    this.#kept = kept
    this.#slots = kept.slots
    this.#db = db
    this.trust = new Trust(server.world.clock, kept.slots)
    membership.onChange((changed) => this.#turn(changed))
    server.ownedSlots!.onForget(() => this.trust.forget())
  }

  stop(): void {
    this.#again?.cancel()
  }

  /** Keys that are kept here for others. */
  get keys(): number {
    return this.#server.store.size(this.#db)
  }

  /* ---- what other nodes' streams say ---- */

  /** False: not yet, for the store still sweeps another purge; or never, for there are too many nodes. */
  open(node: string, { id, lastsMs, isFresh }: Opening, slots: Uint8Array): boolean {
    // Whom this node has down it would not believe.
    if (!this.#membership.isLive(node) || this.#slots.isFlushing) return false
    const wanted = slotsIn(slots).filter((slot) => this.#slots.of(slot) !== PROMOTED)
    // It was away for so short that nobody has missed it, and has nothing itself.
    const goesOn = isFresh && this.trust.isTrusted(node)
    const isKept = (slot: number): boolean => goesOn && this.trust.keepsFor(node, slot)
    const purged = wanted.filter((slot) => !isKept(slot))
    if (purged.length > 0 && !this.#purge(purged)) return false
    for (const slot of wanted) this.#rubbish.delete(slot)
    const dropped = this.trust.open(node, { id, lastsMs, goesOn }, wanted)
    if (dropped === null) return false
    this.#drop(dropped)
    if (purged.length < wanted.length) this.#giveBack(node, new Set(wanted.filter(isKept)))
    return true
  }

  /** Has a node that has begun anew ask for what was kept for it. */
  #giveBack(node: string, slots: ReadonlySet<number>): void {
    const takerOf = (slot: number): string | null => {
      return slots.has(slot) && this.trust.keepsFor(node, slot) ? node : null
    }
    // What was written here meanwhile, for who asked in vain, and the copies.
    for (const db of [0, this.#db]) offerAll(this.#server, { db, takerOf })
  }

  close(node: string, slots: Uint8Array): void {
    this.#drop(this.trust.close(node, slotsIn(slots)))
  }

  /** `line` empty: there is no such entry any more. False: the slot is not kept for that node. */
  take(node: string, key: Buffer, line: Buffer, value: Buffer): boolean {
    if (!this.trust.keepsFor(node, keySlot(key, 0, key.length))) return false
    this.counters.taken++
    const { store, world } = this.#server
    store.now = world.clock.now()
    if (line.length === 0 || !this.#put(key, line, value)) {
      store.delete(this.#db, key, 0, key.length)
    }
    return true
  }

  #put(key: Buffer, line: Buffer, value: Buffer): boolean {
    const { config, loadStore, store } = this.#server
    const arrival = readLine(line, config.groups, { now: store.now, birth: store.birth() })
    if (arrival === null) return false
    const { expireAt, extras, group } = arrival
    if (group !== null && !loadStore.makesRoom(group, key.length + value.length)) return false
    store.openAny(this.#db, key, 0, key.length)
    // Nobody asks for a copy: it must not go for that.
    const kept = extras === null ? null : { ...extras, idleMs: 0 }
    const stored = store.put(value, 0, value.length, expireAt, kept) === STORED
    store.close()
    return stored
  }

  /** False: not yet. */
  purge(matcher: Matcher): boolean {
    return this.#server.invalidations.begins({ ...matcher, db: this.#db })
  }

  /* ---- the ring ---- */

  #turn(changed: Member): void {
    const ring = this.#membership.live()
    const { promoted, worthless } = this.trust.turn(
      changed,
      (slot) => ring.owner(slot),
      this.#membership.self,
    )
    this.#drop(worthless)
    this.counters.promotedSlots += promoted.length
    if (promoted.length > 0) this.#promoteAll()
  }

  /** Makes entries of all copies in slots that are PROMOTED, from the first on. */
  #promoteAll(): void {
    const isUnderWay = this.#promoting !== null
    const slots = new Set<number>()
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.#slots.of(slot) === PROMOTED) slots.add(slot)
    }
    this.#promoting = slots
    this.#cursor = 0
    if (!isUnderWay) this.#goOn()
  }

  #goOn(): void {
    this.#server.turns.add({ takeTurn: () => this.#takeTurn() })
  }

  #takeTurn(): boolean {
    const { gate, store, world } = this.#server
    if (gate.doubtsKeys) {
      // What is hidden in these slots is about to be removed.
      this.#again = world.clock.after(AGAIN_MS, () => this.#goOn())
      return false
    }
    const keys: Buffer[] = []
    store.now = world.clock.now()
    this.#cursor = store.scan(this.#db, this.#cursor, WALK_SLOTS, (bytes, pos, length) => {
      if (this.#slots.of(keySlot(bytes, pos, length)) !== PROMOTED) return
      keys.push(Buffer.from(bytes.subarray(pos, pos + length)))
    })
    for (const key of keys) this.#kept.promote(key, 0, key.length)
    if (this.#cursor !== 0) return true
    const slots = [...this.#promoting!]
    this.#promoting = null
    this.trust.done(slots)
    // What nobody sees of them, like what is kept for failed loads only.
    this.#drop(slots)
    this.#server.copies!.walk(slots)
    return false
  }

  /* ---- what is worthless ---- */

  /** There are copies of which nobody knows anything. */
  dropAll(): void {
    this.#drop(Array.from({ length: SLOT_COUNT }, (_, slot) => slot))
  }

  #drop(slots: readonly number[]): void {
    if (slots.length === 0) return
    const isPlanned = this.#rubbish.size > 0
    for (const slot of slots) this.#rubbish.add(slot)
    if (isPlanned) return
    const attempt = { takeTurn: () => this.#rubbish.size > 0 && !this.#removes() }
    this.#server.turns.add(attempt)
  }

  /** False: not yet. */
  #removes(): boolean {
    const slots = [...this.#rubbish].filter((slot) => this.#slots.of(slot) === NOTHING)
    this.#rubbish = new Set(slots)
    if (slots.length > 0 && !this.#purge(slots)) return false
    this.#rubbish.clear()
    return true
  }

  #purge(slots: readonly number[]): boolean {
    const matcher = { kind: 'slots', db: this.#db, slots: slotSetOf(slots) } as const
    return this.#server.invalidations.begins(matcher)
  }
}

function slotsIn(set: Uint8Array): number[] {
  const slots: number[] = []
  for (let slot = 0; slot < SLOT_COUNT; slot++) if (hasSlot(set, slot)) slots.push(slot)
  return slots
}
