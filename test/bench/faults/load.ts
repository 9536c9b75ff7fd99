/* What clients of some nodes ask while a fault is on, and what they are answered. */
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import type { FaultNodes } from '../../nodes/namespaces/fault-nodes.ts'
import type { RawClient } from '../../raw.ts'

/** Keys that are loaded, and how many of each writer's own. */
const ITEMS = 300
const OWN = 100

/** Each client sends a GET of an item, a GET and a SET of an own key so often. */
const TICK_MS = 10
/** In ticks: a GET of an item that nobody has asked for. */
const NEW_ITEM_TICKS = 20

/** A client of a node, and whose own keys it reads. */
export interface Asker {
  readonly place: number
  readonly client: RawClient
  readonly reads: readonly number[]
}

/** What was written last, and when it was acknowledged. */
interface Own {
  version: number
  acked: number
  /** When each version was acknowledged; a version that was not has none. */
  readonly ackedAt: Map<number, number>
  isBusy: boolean
}

export class Load {
  answers = 0
  errors = 0
  /** GETs of items that gave a value, and those that gave the origin's. */
  items = 0
  rights = 0
  slowestMs = 0
  /** How long ago a newer value than the one that was read had been acknowledged. */
  stalestMs = 0
  readonly #nodes: FaultNodes
  readonly #own = new Map<string, Own>()
  readonly #under = new Set<Promise<void>>()
  #tick = 0
  #newItems = ITEMS

  constructor(nodes: FaultNodes) {
    this.#nodes = nodes
  }

  /** All own keys of these nodes. */
  static keysOf(places: readonly number[]): string[] {
    return places.flatMap((place) => Array.from({ length: OWN }, (_, i) => `own:${place}:${i}`))
  }

  /** Loads all items, and writes all own keys, before the fault. */
  async prepare(askers: readonly Asker[]): Promise<void> {
    const ids = Array.from({ length: ITEMS }, (_, id) => id)
    await Promise.all(ids.map((id) => this.#item(askers[id % askers.length]!, id)))
    for (const asker of askers)
      for (let i = 0; i < OWN; i++) await this.#set(asker, `own:${asker.place}:${i}`)
  }

  /** Asks until `until` is true, and then waits for all answers. */
  async run(askers: readonly Asker[], isOver: () => boolean): Promise<void> {
    const startedAt = performance.now()
    let ticks = 0
    while (!isOver()) {
      for (; ticks * TICK_MS < performance.now() - startedAt; ticks++) this.#ask(askers)
      await setTimeout(TICK_MS / 2)
    }
    await Promise.all(this.#under)
  }

  #ask(askers: readonly Asker[]): void {
    const tick = this.#tick++
    for (const asker of askers) {
      const { place, reads } = asker
      const isNew = tick % NEW_ITEM_TICKS === 0
      if (isNew) this.#newItems++
      const writer = reads[tick % reads.length]!
      // 37 and 61 have no divisor with what they walk over: all keys have their turn.
      this.#follow(this.#item(asker, isNew ? this.#newItems : (tick * 37 + place) % ITEMS))
      this.#follow(this.#get(asker, `own:${writer}:${(tick * 61) % OWN}`))
      this.#follow(this.#set(asker, `own:${place}:${tick % OWN}`))
    }
  }

  #follow(answer: Promise<void>): void {
    this.#under.add(answer)
    void answer.finally(() => this.#under.delete(answer))
  }

  /** Null: an error. */
  async #say({ client }: Asker, words: readonly string[]): Promise<string | null> {
    const before = performance.now()
    const reply = await client.send(words).catch(() => '-lost')
    this.slowestMs = Math.max(this.slowestMs, performance.now() - before)
    this.answers++
    if (!reply.startsWith('-') || reply.startsWith('-1')) return reply
    this.errors++
    return null
  }

  async #item(asker: Asker, id: number): Promise<void> {
    const reply = await this.#say(asker, ['GET', `item:${id}`])
    this.items++
    if (reply?.includes(`\r\n${this.#nodes.origin.valueOf(`/${id}`)}\r\n`)) this.rights++
  }

  async #set(asker: Asker, key: string): Promise<void> {
    const own = this.#stateOf(key)
    if (own.isBusy) return
    own.isBusy = true
    const version = ++own.version
    const reply = await this.#say(asker, ['SET', key, String(version)])
    own.isBusy = false
    if (reply === null) return
    own.acked = version
    own.ackedAt.set(version, performance.now())
  }

  async #get(asker: Asker, key: string): Promise<void> {
    const own = this.#stateOf(key)
    const before = performance.now()
    const newest = own.acked
    const reply = await this.#say(asker, ['GET', key])
    const version = Number(/\r\n(\d+)\r\n$/.exec(reply ?? '')?.[1] ?? Infinity)
    if (version >= newest) return
    for (let newer = version + 1; newer <= newest; newer++) {
      const ackedAt = own.ackedAt.get(newer)
      if (ackedAt === undefined) continue
      this.stalestMs = Math.max(this.stalestMs, before - ackedAt)
      return
    }
  }

  #stateOf(key: string): Own {
    const known = this.#own.get(key)
    if (known !== undefined) return known
    const own: Own = { version: 0, acked: 0, ackedAt: new Map(), isBusy: false }
    this.#own.set(key, own)
    return own
  }
}
