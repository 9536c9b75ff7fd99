/*
 * The owner's side of copies of hot keys (cluster/hot/copies.ts): who of the other nodes has which, and
 * hears when it changes. Of one thread, for the links that it serves.
 *
 *     PEER HOTGET k ──> hot? ──> k is tracked for this link ──> only then it is read, and granted
 *     SET k, by any thread, or the end of k ──> tracking/ tells this thread ──> the link's log
 *     PEER HOTLOG ──> waits for the log ──> answered with what has changed
 *
 * It is nearly CLIENT TRACKING, and uses its table and its way between threads: an interest is entered
 * before the key is read, under the lock that a change takes, so that no change is missed whichever
 * thread makes it. Other than there the interest ends by itself, when the grant is over.
 */
import { ChangeLog } from '../../cluster/hot/log.ts'
import { SIGN_OF_LIFE_MS } from '../../cluster/hot/copies.ts'
import { Demand } from '../../cluster/hot/demand.ts'
import { keySlot } from '../../cluster/slots.ts'
import type { Timer, World } from '../../cluster/world.ts'
import { ERR_PEER_ONLY, ERR_SYNTAX } from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import type { Client } from '../clients/client.ts'
import { HOT_KEY_BYTES_MAX, type HotReads } from './hot-keys.ts'
import { copyOpenValue } from '../loads/load-store.ts'
import type { Routing } from './routing.ts'
import type { Slot } from '../clients/slot.ts'
import type { Store } from '../store/store.ts'
import type { Tracking } from '../tracking/tracking.ts'

/** Longer values are not granted: a copy of each would stand in the heap of every thread of every node. */
const VALUE_BYTES_MAX = 1024 * 1024

/** A grant for less is not worth it. */
const TTL_MS_MIN = 20

/** Who has granted keys and does not ask for changes for so long has forgotten them. */
const FORGOTTEN_MS = 5_000

const SWEEP_MS = 1_000

/** Of one report: a node cannot make a key hotter than it could read it. */
const REPORTED_MAX = 10_000_000

/** Counted since the start, for INFO. */
export interface GrantCounters {
  readonly granted: number
  readonly told: number
}

/** A link whose node has copies. */
interface HotLink {
  readonly id: number
  /** In a cluster there is one. */
  readonly db: number
  readonly log: ChangeLog
  /** Until when each key's grant lasts. */
  readonly granted: Map<string, number>
  askedAt: number
  /** The question that waits. */
  waiting: { readonly slot: Slot; readonly timer: Timer } | null
}

interface HotGrantsParts {
  readonly world: World
  readonly store: Store
  readonly routing: Routing
  readonly tracking: Tracking
  readonly reads: HotReads
  /** Reads of one key a second, of this thread, from which on it is hot; 0: none is. Read each time. */
  readonly rate: () => number
  readonly ttlMs: () => number
}

export class HotGrants {
  readonly #parts: HotGrantsParts
  readonly #links = new Map<number, HotLink>()
  readonly #demand = new Demand()
  #sweep: Timer | null = null
  #granted = 0
  #told = 0

  constructor(parts: HotGrantsParts) {
    this.#parts = parts
  }

  get counters(): GrantCounters {
    return { granted: this.#granted, told: this.#told }
  }

  /** PEER HOTGET key rate: log, number, ttl in ms and value; null where there is nothing to be granted. */
  grant(client: Client): void {
    const { args, peer, reply } = client
    if (peer === null) return reply.error(ERR_PEER_ONLY)
    if (!this.#isHot(client)) return reply.null()
    const { store, tracking } = this.#parts
    const link = this.#linkOf(client)
    const key = args.text(2)
    const number = link.log.last
    // First this and then the value: what is changed in between is told.
    tracking.hold(link.id, client.db, key, args.buffer(2))
    const now = store.now
    const found = store.openAny(client.db, args.bytes, args.pos(2), args.length(2))
    const freshMs = store.freshUntil === 0 ? Infinity : store.freshUntil - now
    const ttlMs = Math.floor(Math.min(this.#parts.ttlMs(), freshMs))
    const isGood = found && ttlMs >= TTL_MS_MIN && store.valueLength <= VALUE_BYTES_MAX
    const value = isGood ? copyOpenValue(store) : null
    store.close()
    if (value === null) {
      if (!link.granted.has(key)) tracking.letGo(link.id, client.db, key)
      return reply.null()
    }
    link.granted.set(key, Math.max(now + ttlMs, link.granted.get(key) ?? 0))
    this.#granted++
    client.defer().settle((to) => {
      to.array(4)
      to.integer(link.log.id)
      to.integer(number)
      to.integer(ttlMs)
      to.bulk(new Uint8Array(value))
    })
  }

  /** PEER HOTLOG log number [key reads ...]: answers when there is a change behind that number. */
  tell(client: Client): void {
    const { args, peer, reply } = client
    if (peer === null) return reply.error(ERR_PEER_ONLY)
    if (args.count % 2 !== 0) return reply.error(ERR_SYNTAX)
    this.#countReported(client)
    const link = this.#links.get(client.id)
    if (link === undefined || link.log.id !== args.integer(2)) return reply.null()
    if (!link.log.take(args.integer(3))) return reply.null()
    link.askedAt = this.#parts.world.clock.now()
    this.#answer(link)
    const slot = client.defer()
    const timer = this.#parts.world.clock.after(SIGN_OF_LIFE_MS, () => this.#answer(link))
    link.waiting = { slot, timer }
    if (link.log.hasNews) this.#answer(link)
  }

  /** Who owns what has changed: others may see it later, and are told that all may have changed. */
  ringChanged(): void {
    for (const link of this.#links.values()) {
      this.#letGo(link)
      this.#changed(link, null)
    }
  }

  /** A link is gone. */
  forget({ id }: Client): void {
    const link = this.#links.get(id)
    if (link !== undefined) this.#end(link)
  }

  #isHot({ args, id }: Client): boolean {
    const { reads, routing, rate, world } = this.#parts
    if (rate() === 0 || args.length(2) > HOT_KEY_BYTES_MAX) return false
    if (!routing.router!.isHere(keySlot(args.bytes, args.pos(2), args.length(2)))) return false
    const key = args.text(2)
    const told = args.integer(3)
    const now = world.clock.now()
    if (told > 0) this.#demand.told(key, id, told, now)
    return Math.max(reads.rateOf(key), this.#demand.of(key, now)) >= rate()
  }

  /** What was read of copies would have come here. */
  #countReported({ args }: Client): void {
    for (let i = 4; i < args.count; i += 2) {
      const times = args.integer(i + 1)
      if (args.length(i) > HOT_KEY_BYTES_MAX || !(times > 0)) continue
      this.#parts.reads.reported(args.text(i), Math.min(times, REPORTED_MAX))
    }
  }

  #linkOf({ id, db }: Client): HotLink {
    let link = this.#links.get(id)
    if (link !== undefined) return link
    const { world, tracking } = this.#parts
    const log = new ChangeLog(world.random.uint32())
    const made: HotLink = {
      id,
      db,
      log,
      granted: new Map(),
      askedAt: world.clock.now(),
      waiting: null,
    }
    link = made
    this.#links.set(id, made)
    tracking.beginHolding(id, (keys) => this.#changed(made, keys))
    this.#sweep ??= world.clock.every(SWEEP_MS, () => this.#sweepLinks())
    return link
  }

  #changed(link: HotLink, keys: readonly string[] | null): void {
    if (keys === null) {
      link.log.addAll()
      link.granted.clear()
    } else {
      for (const key of keys) {
        link.granted.delete(key)
        link.log.add(key)
      }
    }
    this.#told++
    this.#answer(link)
  }

  /** Answers the question that waits, if one does. */
  #answer(link: HotLink): void {
    const { waiting, log } = link
    if (waiting === null) return
    link.waiting = null
    waiting.timer.cancel()
    const { from, to, keys } = log.told
    waiting.slot.settle((reply) => {
      reply.array(3)
      reply.integer(from)
      reply.integer(to)
      writeKeys(reply, keys)
    })
  }

  /** Grants that are over need not be told of. */
  #sweepLinks(): void {
    const now = this.#parts.world.clock.now()
    for (const link of [...this.#links.values()]) {
      for (const [key, until] of link.granted) {
        if (now < until) continue
        link.granted.delete(key)
        this.#parts.tracking.letGo(link.id, link.db, key)
      }
      const isForgotten = link.waiting === null && now - link.askedAt > FORGOTTEN_MS
      if (isForgotten && link.granted.size === 0) this.#end(link)
    }
  }

  #letGo({ granted, id, db }: HotLink): void {
    for (const key of granted.keys()) this.#parts.tracking.letGo(id, db, key)
  }

  #end(link: HotLink): void {
    const { tracking } = this.#parts
    this.#links.delete(link.id)
    link.waiting?.timer.cancel()
    this.#letGo(link)
    tracking.endHolding(link.id)
    if (this.#links.size > 0) return
    this.#sweep?.cancel()
    this.#sweep = null
  }
}

function writeKeys(reply: Reply, keys: readonly string[] | null): void {
  if (keys === null) return reply.nullArray()
  reply.array(keys.length)
  for (const key of keys) reply.text(key, true)
}
