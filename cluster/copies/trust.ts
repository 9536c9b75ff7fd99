/**
 * What a node that keeps copies for others knows of their streams, and for how long it trusts them.
 *
 *     owner                                  the next node on the ring
 *       OPEN s                       ─────>    s is its stream now; copies from before it are purged
 *                                    <─────  7           answered at 12:00:00.000
 *       COPY s 7 key line value      ─────>    it has heard answer 7, so it counted on this node
 *                                    <─────  8           then: trusted for 12:00:00.000 + `lastsMs`
 *
 * An owner holds replies of writes until they are copied, but not for ever: when nothing was answered for
 * `lastsMs` since the last answer that it heard, it goes on alone, and what is here is old from then on. Each
 * answer has a number, and each message names the last one that the owner has heard. So what counts here is
 * when an answer was *sent* that the owner has *heard*: that is before the moment from which the owner counts,
 * however long messages are under way, and whatever comes late from a link that was cut. Both sides
 * measure spans by their own clocks, and never compare times.
 *
 * A slot's copies are those of one stream of one node. A copy of another one, or of an old stream of the same
 * node, is refused.
 */
import type { Member } from '../members/membership.ts'
import { SLOT_COUNT } from '../slots.ts'
import type { Clock } from '../world.ts'
import { BEHIND, KEPT, type KeptSlots, NOTHING, PROMOTED, SOURCES_MAX } from './kept-slots.ts'

/** Answers so near to each other have one number. */
const SAME_ANSWER_MS = 20
/** Numbers whose time is remembered: some seconds of them. */
const ANSWERS_MAX = 512

interface Stream {
  readonly id: string
  readonly source: number
  readonly lastsMs: number
  /** When answers were sent: the first of them is `first`. */
  answers: number[]
  first: number
}

/** What a stream says of itself when it opens slots. */
export interface StreamFacts {
  readonly id: string
  /** For so long its copies are trusted after the last answer that it has heard was sent. */
  readonly lastsMs: number
  /** Is what was kept for the node before still as it left it? */
  readonly goesOn: boolean
}

/** What has become of slots when the ring changed. */
export interface Turned {
  /** Their copies are this node's entries now. */
  readonly promoted: readonly number[]
  /** Their copies are good for nothing any more. */
  readonly worthless: readonly number[]
}

/** See the top of the file. */
export class Trust {
  readonly #clock: Pick<Clock, 'now'>
  readonly #slots: KeptSlots
  /** By the owner's name. */
  readonly #streams = new Map<string, Stream>()
  /** Names by source. */
  readonly #sources: string[] = []
  /** By slot: the name of the node whose copies they are. */
  readonly #owners: (string | null)[] = Array.from({ length: SLOT_COUNT }, () => null)

  constructor(clock: Pick<Clock, 'now'>, slots: KeptSlots) {
    this.#clock = clock
    this.#slots = slots
  }

  /** Nodes that have a stream here. */
  get count(): number {
    return this.#streams.size
  }

  /**
   * Copies of these slots come from this stream from now on; those that there are must have been purged, unless
   * `goesOn`: they are what the node itself may fetch. Returns the slots that were another stream's of that node;
   * null: there are too many nodes.
   */
  open(
    node: string,
    { id, lastsMs, goesOn }: StreamFacts,
    slots: Iterable<number>,
  ): readonly number[] | null {
    const before = this.#streams.get(node)
    const dropped = new Set<number>()
    if (before?.id !== id) {
      const source = before?.source ?? this.#sourceOf(node)
      if (source < 0) return null
      for (const slot of this.#slotsOf(node)) dropped.add(slot)
      for (const slot of dropped) this.#let(slot)
      if (!goesOn) this.#slots.trust(source, -Infinity)
      this.#streams.set(node, { id, source, lastsMs, answers: [], first: 1 })
    }
    const { source } = this.#streams.get(node)!
    for (const slot of slots) {
      dropped.delete(slot)
      this.#owners[slot] = node
      this.#slots.set(slot, KEPT, source)
    }
    this.#slots.count()
    return [...dropped]
  }

  /** A message of this stream has come, which names the last answer that its node has heard. False: there is no such stream. */
  hears(node: string, id: string, heard: number): boolean {
    const stream = this.#streams.get(node)
    if (stream?.id !== id) return false
    const { answers, first, lastsMs, source } = stream
    const index = Math.min(heard, first + answers.length - 1) - first
    if (!(index >= 0)) return true
    this.#slots.trust(source, answers[index]! + lastsMs)
    stream.answers = answers.slice(index)
    stream.first = first + index
    return true
  }

  /** The number of the answer that is about to be sent. */
  answers(node: string): number {
    const stream = this.#streams.get(node)!
    const { answers } = stream
    const now = this.#clock.now()
    const isNear = answers.length > 0 && now - answers.at(-1)! < SAME_ANSWER_MS
    if (!isNear) answers.push(now)
    if (answers.length > ANSWERS_MAX) {
      answers.shift()
      stream.first++
    }
    return stream.first + answers.length - 1
  }

  /** Does this node keep copies of the slot for that one? */
  keepsFor(node: string, slot: number): boolean {
    return this.#owners[slot] === node
  }

  /** Those of these slots whose copies were that node's: they are worthless from now on. */
  close(node: string, slots: Iterable<number>): number[] {
    const closed: number[] = []
    for (const slot of slots) {
      if (this.#owners[slot] !== node || this.#slots.of(slot) !== KEPT) continue
      this.#let(slot)
      closed.push(slot)
    }
    this.#slots.count()
    return closed
  }

  /** All copies of these slots have become entries. */
  done(slots: Iterable<number>): void {
    for (const slot of slots) if (this.#slots.of(slot) === PROMOTED) this.#let(slot)
    this.#slots.count()
  }

  /** There are no copies any more. */
  forget(): void {
    for (let slot = 0; slot < SLOT_COUNT; slot++) this.#let(slot)
    for (const { source } of this.#streams.values()) this.#slots.trust(source, -Infinity)
    this.#streams.clear()
    this.#slots.count()
  }

  /**
   * The ring has changed, by this member. `owner`: whose a slot is now, `self`: this node's name. Copies
   * count only as long as the node that they are of has their slot; and when this one has it after it.
   */
  turn(
    { name, state }: Pick<Member, 'name' | 'state'>,
    owner: (slot: number) => string | null,
    self: string,
  ): Turned {
    const isTrusted = this.isTrusted(name)
    const promoted: number[] = []
    const worthless: number[] = []
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const of = this.#owners[slot]!
      const before = this.#slots.of(slot)
      if (of === null) continue
      const now = owner(slot)
      let next = NOTHING
      if (now === of) next = before === KEPT ? KEPT : NOTHING
      else if (now === self && of !== name) next = before === KEPT ? NOTHING : before
      else if (now === self && state === 'leaving') next = before === KEPT ? BEHIND : before
      else if (now === self && before === PROMOTED) next = PROMOTED
      else if (now === self && state === 'down' && isTrusted) next = PROMOTED
      if (next === before) continue
      if (next === NOTHING) {
        this.#let(slot)
        worthless.push(slot)
      } else {
        this.#slots.set(slot, next)
        if (next === PROMOTED) promoted.push(slot)
      }
    }
    if (state === 'down') this.#streams.delete(name)
    this.#slots.count()
    return { promoted, worthless }
  }

  /** Is what the node's stream has brought as new as what it has itself, or had when it fell silent? */
  isTrusted(node: string): boolean {
    const stream = this.#streams.get(node)
    return stream !== undefined && this.#slots.isTrustedSource(stream.source, this.#clock.now())
  }

  #sourceOf(node: string): number {
    const known = this.#sources.indexOf(node)
    if (known >= 0) return known
    if (this.#sources.length === SOURCES_MAX) return -1
    return this.#sources.push(node) - 1
  }

  *#slotsOf(node: string): Iterable<number> {
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.#owners[slot] === node && this.#slots.of(slot) === KEPT) yield slot
    }
  }

  #let(slot: number): void {
    this.#owners[slot] = null
    this.#slots.set(slot, NOTHING)
  }
}
