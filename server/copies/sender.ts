/**
 * The hub's part in copies of this node's keys at the next nodes on the ring: which stream (cluster/copies/stream.ts)
 * a key's copy goes to, and the walks over the store that bring a stream's slots to where they are.
 *
 *     slot 12   this node's    next is B  ──> stream to B
 *     slot 13   this node's    next is C  ──> stream to C
 *     slot 14   another's      -
 *
 * The next node is who takes the slot over when this one is down. When the ring changes, slots are closed
 * in one stream and opened in another one, and walked.
 */
import { CopyStream } from '../../cluster/copies/stream.ts'
import type { Groups } from '../../cluster/groups/group.ts'
import type { Member, Membership } from '../../cluster/members/membership.ts'
import { keySlot, SLOT_COUNT } from '../../cluster/slots.ts'
import type { Timer } from '../../cluster/world.ts'
import { ERR_PEER_NOT_YET } from '../../protocol/errors.ts'
import { readEntry } from '../cluster/moved-entry.ts'
import type { Server } from '../server.ts'
import { addSlot, hasSlot, type Matcher, SLOT_SET_BYTES, slotSetOf } from '../store/store.ts'
import { WALK_SLOTS } from '../turns.ts'
import type { Copiers } from './copying.ts'

/** So many times cluster-node-timeout copies are trusted: longer than it takes to see that a node is down. */
const TRUST_TIMEOUTS = 3
const TICKS_PER_TIMEOUT = 6
const ID_BYTES = 8
/** Longer values have no copies: both nodes would stand still for too long. */
const VALUE_BYTES_MAX = 16 * 1024 * 1024

interface Target {
  readonly stream: CopyStream
  /** What is still to be sent of all keys; null: no walk is under way. */
  walk: { readonly slots: Uint8Array; cursor: number } | null
  /** Does the walk wait for room? */
  rests: boolean
}

type Uncopied = ReturnType<CopyStream['end']>[number]

/** See the top of the file. */
export class CopySender implements Copiers {
  readonly #server: Server
  readonly #membership: Membership
  readonly #groups: Groups
  readonly #targets = new Map<string, Target>()
  /** By slot: who has copies of this node's keys. */
  #next: (string | null)[] = Array.from({ length: SLOT_COUNT }, () => null)
  #tick: Timer | null = null
  /** Has it had nothing yet, since it began? */
  #isFresh = true
  /** Nodes to which there has been a stream of this process: what they keep since is of this one. */
  readonly #met = new Set<string>()
  #sent = 0

  constructor(server: Server, membership: Membership) {
    this.#server = server
    this.#membership = membership
    this.#groups = server.config.groups
    membership.onChange((changed) => this.#turn(changed))
    server.ownedSlots!.onForget(() => {
      this.#isFresh = false
      for (const { stream } of this.#targets.values()) stream.forget()
    })
    server.config.onChange('cluster-node-timeout', () => this.#beginAgain())
  }

  /** This node begins to serve. */
  begin(): void {
    this.#startTicks()
    this.#aim()
  }

  #startTicks(): void {
    const { clock } = this.#server.world
    const periodMs = this.#server.config['cluster-node-timeout'] / TICKS_PER_TIMEOUT
    this.#tick = clock.every(periodMs, () => {
      for (const { stream } of this.#targets.values()) stream.tick()
    })
  }

  stop(): void {
    this.#tick?.cancel()
    this.#tick = null
    this.#endAll()
  }

  /** Nodes that copies are not sent to at present, though they should be. */
  get degraded(): number {
    return [...this.#targets.values()].filter(({ stream }) => stream.isDegraded).length
  }

  /** Copies that were taken in by other nodes, since the start. */
  get sent(): number {
    return [...this.#targets.values()].reduce((sum, { stream }) => sum + stream.sent, this.#sent)
  }

  /* ---- what has changed here ---- */

  copied(keys: readonly Buffer[], done: () => void): void {
    const tell = (key: Buffer, taken: () => void): void => {
      const target = this.#targetOf(key)
      if (target === undefined) taken()
      else target.stream.changed(key, taken)
    }
    askEach(keys, tell, done)
  }

  flushed(done: () => void): void {
    askEach(this.#targets.values(), ({ stream }, taken) => stream.reopen(taken), done)
  }

  noted(done: () => void): void {
    askEach(this.#targets.values(), ({ stream }, taken) => stream.whenNoted(taken), done)
  }

  /** A key has a value that nobody waits for. */
  arrived(key: Uint8Array): void {
    const group = this.#groups.match(key, 0, key.length)
    if (group?.hasCopies !== true) return
    const own = Buffer.from(key)
    this.#targetOf(own)?.stream.changed(own, null)
  }

  invalidatedTag(tagHash: number): void {
    for (const { stream } of this.#targets.values()) {
      stream.note('TAG', [Buffer.from(String(tagHash))])
    }
  }

  invalidated(matcher: Matcher): void {
    if (matcher.kind === 'slots') return
    const text = matcher.kind === 'prefix' ? Buffer.from(matcher.bytes) : Buffer.from(matcher.name)
    for (const { stream } of this.#targets.values()) {
      stream.note('PURGE', [Buffer.from(matcher.kind), text])
    }
  }

  #targetOf(key: Buffer): Target | undefined {
    const next = this.#next[keySlot(key, 0, key.length)]!
    return next === null ? undefined : this.#targets.get(next)
  }

  /* ---- the ring ---- */

  #turn({ name, state }: Member): void {
    if (this.#tick === null || this.#isLeaving) return
    if (name === this.#membership.self && state === 'leaving') return
    this.#aim()
  }

  /** What this node had when it said good-bye is to stay where it is copied. */
  get #isLeaving(): boolean {
    return this.#membership.member(this.#membership.self)!.state === 'leaving'
  }

  /** Sets each stream to its slots. */
  #aim(): void {
    const ring = this.#membership.live()
    const { self } = this.#membership
    const sets = new Map<string, Uint8Array>()
    this.#next = Array.from({ length: SLOT_COUNT }, (_, slot) => {
      const next = ring.owner(slot) === self ? ring.after(slot, [self]) : null
      if (next === null) return null
      let set = sets.get(next)
      if (set === undefined) sets.set(next, (set = new Uint8Array(SLOT_SET_BYTES)))
      addSlot(set, slot)
      return next
    })
    const waiting: Uncopied[] = []
    for (const [name, target] of this.#targets) {
      if (!sets.has(name)) waiting.push(...this.#end(name, target))
    }
    for (const [name, set] of sets) {
      let target = this.#targets.get(name)
      if (target === undefined) this.#targets.set(name, (target = this.#open(name)))
      target.stream.setSlots(set)
    }
    this.#copyAgain(waiting)
  }

  #copyAgain(waiting: readonly Uncopied[]): void {
    for (const { key, dones } of waiting) {
      this.copied([key], () => {
        for (const done of dones) done()
      })
    }
  }

  #open(name: string): Target {
    const { config, log, routing, store, world } = this.#server
    const member = this.#membership.member(name)
    const isFresh = this.#isFresh && !this.#met.has(name)
    this.#met.add(name)
    const stream = new CopyStream(
      {
        clock: world.clock,
        peer: { request: (...asked) => routing.peers.get(name)?.request(...asked) },
        link: () => routing.peers.get(name)?.linkedAt ?? null,
        lastsMs: TRUST_TIMEOUTS * config['cluster-node-timeout'],
        name: () => world.random.bytes(ID_BYTES).toString('hex'),
        read: (key) => {
          store.now = world.clock.now()
          return readEntry(store, config.groups, key, VALUE_BYTES_MAX)
        },
        ...{ notYet: ERR_PEER_NOT_YET, isFresh },
        onOpen: (slots) => this.#walkOn(target, slots),
        onRoom: () => this.#goOn(target),
        onDegraded: (isDegraded) => {
          if (isDegraded) {
            log.warning(
              { node: name },
              `node ${name} takes in no copies: writes do not wait for it`,
            )
          } else {
            log.notice({ node: name }, `node ${name} takes in copies`)
          }
        },
      },
      // At the start nobody knows whether it is there.
      member === undefined || member.answeredAt === 0,
    )
    const target: Target = { stream, walk: null, rests: false }
    return target
  }

  #end(name: string, { stream }: Target): ReturnType<CopyStream['end']> {
    this.#targets.delete(name)
    this.#sent += stream.sent
    return stream.end()
  }

  #endAll(): void {
    for (const [name, target] of [...this.#targets]) {
      for (const { dones } of this.#end(name, target)) for (const done of dones) done()
    }
  }

  /** With another time-out. */
  #beginAgain(): void {
    if (this.#tick === null) return
    this.#tick.cancel()
    const waiting = [...this.#targets].flatMap(([name, target]) => [...this.#end(name, target)])
    this.#startTicks()
    this.#aim()
    this.#copyAgain(waiting)
  }

  /* ---- walks ---- */

  /** All keys of these slots are to be sent. */
  walk(slots: readonly number[]): void {
    const set = slotSetOf(slots)
    for (const target of this.#targets.values()) this.#walkOn(target, set)
  }

  /** From the first key on, with those slots whose walk is not done. */
  #walkOn(target: Target, slots: Uint8Array): void {
    const isUnderWay = target.walk !== null
    const before = target.walk?.slots
    const all = before === undefined ? slots : slots.map((byte, i) => byte | before[i]!)
    target.walk = { slots: all, cursor: 0 }
    if (!isUnderWay) this.#goOn(target)
  }

  #goOn(target: Target): void {
    if (target.walk === null) return
    this.#server.turns.add({ takeTurn: () => this.#takeTurn(target) })
  }

  #takeTurn(target: Target): boolean {
    const { stream, walk } = target
    if (walk === null) return false
    if (this.#tick === null || stream.isDegraded) {
      // When it begins anew all is walked.
      target.walk = null
      return false
    }
    if (!stream.hasRoom) return false
    const { store, world } = this.#server
    store.now = world.clock.now()
    const keys: Buffer[] = []
    walk.cursor = store.scan(0, walk.cursor, WALK_SLOTS, (bytes, pos, length) => {
      if (!hasSlot(walk.slots, keySlot(bytes, pos, length))) return
      if (this.#groups.match(bytes, pos, length)?.hasCopies !== true) return
      keys.push(Buffer.from(bytes.subarray(pos, pos + length)))
    })
    for (const key of keys) if (this.#targetOf(key) === target) stream.changed(key, null)
    if (walk.cursor !== 0) return true
    target.walk = null
    return false
  }
}

/** Calls back when each has been asked and has answered, perhaps at once. */
function askEach<One>(
  all: Iterable<One>,
  ask: (one: One, answered: () => void) => void,
  done: () => void,
): void {
  let open = 1
  const answered = (): void => {
    if (--open === 0) done()
  }
  for (const one of all) {
    open++
    ask(one, answered)
  }
  answered()
}
