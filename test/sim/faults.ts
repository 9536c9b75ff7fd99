/*
 * What goes wrong in a run, drawn from its seed: each fault begins in the first 45 seconds and is over
 * by their end.
 */
import type { Server } from '../../server/server.ts'
import type { SimNode } from './cluster.ts'
import type { Disturbance, History } from './history.ts'
import { SHORT_STALL_MS, UNMISSED_MS } from './invariants.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'
import type { Wires } from './wires.ts'

export const FAULTS = [
  'crash',
  'freeze',
  'cut',
  'split',
  'oneway',
  'stall',
  'slow',
  'leave',
  'join',
  'double',
  'origin',
  'lists',
] as const

export type FaultName = (typeof FAULTS)[number]

/** The ones that `plan` draws; the others are for the whole run. */
const EVENTS = ['crash', 'freeze', 'cut', 'split', 'oneway', 'stall', 'slow', 'leave'] as const

/** Faults begin and end within these. */
const FIRST_MS = 3_000
const SPAN_MS = 36_000
/** How often it is looked whether a node that leaves has gone. */
const LOOK_MS = 10
/** In one of so many runs in which a node joins one is drained later. */
const DRAINS_IN = 2
/** Keys go to a node that joins within this. */
const JOIN_MS = 1_000
/** So many nodes stay. */
const STAY_MIN = 4

export interface Playground {
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  readonly wires: Wires
  readonly nodes: readonly SimNode[]
  readonly history: History
  readonly trace: Trace
  /** Starts the node that is in the lists and was not there yet; null: there is none. */
  readonly join: (() => void) | null
  /** Hears of each server that is about to end. */
  readonly ends: (server: Server) => void
  /** Runs something that takes real time, while virtual time stands still. */
  readonly wait: (work: Promise<void>) => void
}

export class Faults {
  readonly #at: Playground

  constructor(playground: Playground) {
    this.#at = playground
  }

  /** Plants a few faults of these kinds. */
  plan(allowed: ReadonlySet<FaultName>): void {
    const { scheduler, random } = this.#at
    if (this.#at.join !== null) this.#planJoin(this.#at.join)
    const kinds = EVENTS.filter((name) => allowed.has(name))
    if (kinds.length === 0) return
    const count = 2 + random.below(6)
    for (let i = 0; i < count; i++) {
      const kind = random.pick(kinds)
      const at = scheduler.now + FIRST_MS + random.below(SPAN_MS)
      scheduler.at(at, null, () => this.#begin(kind))
    }
  }

  #planJoin(join: () => void): void {
    const { scheduler, random, nodes } = this.#at
    const joinsAt = scheduler.now + FIRST_MS + random.below(SPAN_MS / 2)
    scheduler.at(joinsAt, null, () => {
      this.#disturb('join', [], { text: 'a node joins', forMs: JOIN_MS })
      join()
    })
    if (random.below(DRAINS_IN) > 0) return
    const drainsAt = joinsAt + JOIN_MS + random.below(SPAN_MS / 2)
    scheduler.at(drainsAt, null, () => this.#leave(random.pick(nodes), true))
  }

  #begin(kind: (typeof EVENTS)[number]): void {
    const { random } = this.#at
    switch (kind) {
      case 'crash':
        return this.#crash(random.pick(this.#at.nodes), random.below(2) === 0)
      case 'freeze':
        return this.#freeze(random.pick(this.#at.nodes), this.#time(100, 6_000))
      case 'cut':
        return this.#cut(...this.#pair(), true)
      case 'oneway':
        return this.#cut(...this.#pair(), false)
      case 'split':
        return this.#split()
      case 'stall':
        return this.#stall()
      case 'slow':
        return this.#slow(...this.#pair())
      case 'leave':
        return this.#leave(random.pick(this.#at.nodes))
    }
  }

  #crash(node: SimNode, silently: boolean): void {
    const { scheduler, nodes, wait } = this.#at
    const others = nodes.filter(({ host }) => host.fate === 'up')
    if (node.server === null || node.host.fate !== 'up' || others.length < 2) return
    this.#at.ends(node.server)
    node.crash(silently)
    const text = `${node.name} ${silently ? 'is gone' : 'crashes'}`
    const awayMs = this.#time(300, 6_000)
    this.#disturb('crash', [node.name], { text, forMs: awayMs })
    scheduler.at(scheduler.now + awayMs, null, () => {
      this.#at.trace.say(`${node.name} starts anew`)
      wait(node.start())
    })
  }

  /** It is told to end, as at each step of a rolling restart, and started anew when it has; or never. */
  #leave(node: SimNode, forGood = false): void {
    const { scheduler, history, nodes, trace, wait } = this.#at
    const { server } = node
    const others = nodes.filter(({ host }) => host.fate === 'up')
    if (server === null || node.host.fate !== 'up' || node.isLeaving || others.length < 2) return
    if (forGood && nodes.filter(({ hasLeft }) => !hasLeft).length <= STAY_MIN) return
    node.hasLeft = forGood
    const awayMs = this.#time(50, 1_500)
    this.#disturb('leave', [node.name], {
      text: `${node.name} leaves${forGood ? ' for good' : ', and is away'}`,
      forMs: awayMs,
    })
    const disturbance = history.disturbances.at(-1)!
    disturbance.end = Infinity
    node.isLeaving = true
    let hasStopped = false
    void server.stopped.then(() => (hasStopped = true))
    void server.end({ save: false, force: true })
    const look = (): void => {
      // Somebody else may have ended it for good.
      const isGone = node.server !== server
      if (!isGone && !hasStopped) {
        scheduler.at(scheduler.now + LOOK_MS, null, look)
        return
      }
      node.isLeaving = false
      disturbance.end = scheduler.now + (isGone ? 0 : awayMs)
      if (isGone) return
      trace.say(`${node.name} has left`)
      this.#at.ends(server)
      node.crash(false)
      if (forGood) return
      scheduler.at(scheduler.now + awayMs, null, () => {
        trace.say(`${node.name} starts anew`)
        wait(node.start())
      })
    }
    look()
  }

  #freeze(node: SimNode, forMs: number): void {
    const { scheduler } = this.#at
    if (node.host.fate !== 'up') return
    const { host } = node
    scheduler.freeze(host)
    this.#disturb('freeze', [node.name], { text: `${node.name} freezes`, forMs })
    scheduler.at(scheduler.now + forMs, null, () => {
      this.#at.trace.say(`${node.name} thaws`)
      scheduler.thaw(host)
    })
  }

  #cut(one: string, two: string, bothWays: boolean): void {
    const { scheduler, wires } = this.#at
    if (wires.lane(one, two).isCut || wires.lane(two, one).isCut) return
    const forMs = this.#time(200, 6_000)
    wires.cut(one, two)
    if (bothWays) wires.cut(two, one)
    const text = `${one} ${bothWays ? 'and' : 'does not reach'} ${two}${bothWays ? ' are cut' : ''}`
    this.#disturb('cut', [one, two], { text, forMs, isOneLink: true })
    scheduler.at(scheduler.now + forMs, null, () => {
      this.#at.trace.say(`${one} and ${two} are joined`)
      wires.heal(one, two)
      if (bothWays) wires.heal(two, one)
    })
  }

  /** Into two sides that hear nothing of each other. */
  #split(): void {
    const { scheduler, wires, nodes, random } = this.#at
    const names = nodes.map(({ name }) => name)
    const side = names.filter(() => random.below(2) === 0)
    const rest = names.filter((name) => !side.includes(name))
    const forMs = this.#time(200, 8_000)
    const pairs = side.flatMap((one) => rest.map((two) => [one, two] as const))
    const isFree = ([one, two]: readonly [string, string]): boolean =>
      !wires.lane(one, two).isCut && !wires.lane(two, one).isCut
    const cuts = pairs.filter(isFree)
    if (cuts.length === 0) return
    for (const [one, two] of cuts) {
      wires.cut(one, two)
      wires.cut(two, one)
    }
    this.#disturb('cut', names, { text: `${side.join()} against ${rest.join()}`, forMs })
    scheduler.at(scheduler.now + forMs, null, () => {
      this.#at.trace.say(`${side.join()} and ${rest.join()} are joined`)
      for (const [one, two] of cuts) {
        wires.heal(one, two)
        wires.heal(two, one)
      }
    })
  }

  /** Packets of one connection are lost for a while, or of all that a node sends to others. */
  #stall(): void {
    const { wires, random, nodes } = this.#at
    const isNode = (name: string): boolean => nodes.some((node) => node.name === name)
    const streams = [...wires.streams].filter(({ host, farName }) => {
      return isNode(host.name) && isNode(farName)
    })
    if (streams.length === 0) return
    const { host, farName } = random.pick(streams)
    const isAll = random.below(2) === 0
    const stalled = streams.filter((one) => one.host === host && (isAll || one.farName === farName))
    const forMs = this.#time(20, random.pick([SHORT_STALL_MS, UNMISSED_MS, UNMISSED_MS, 3_000]))
    const resets = random.below(2) === 0
    for (const stream of stalled) stream.stall(forMs, resets)
    const text = `${host.name} to ${isAll ? 'all' : farName} stalls${resets ? ' and resets' : ''}`
    if (forMs >= SHORT_STALL_MS || resets) {
      this.#disturb('stall', [host.name, farName], { text, forMs })
    } else this.#at.trace.say(`${text} for ${forMs} ms`)
  }

  #slow(one: string, two: string): void {
    const { scheduler, wires, random } = this.#at
    const lane = wires.lane(one, two)
    const { delayMs, jitterMs } = lane
    if (delayMs > 5) return
    lane.delayMs = 5 + random.below(40)
    lane.jitterMs = random.below(20)
    this.#at.trace.say(`${one} to ${two} is slow: ${lane.delayMs} ms`)
    scheduler.at(scheduler.now + this.#time(1_000, 6_000), null, () => {
      lane.delayMs = delayMs
      lane.jitterMs = jitterMs
    })
  }

  #disturb(
    kind: Disturbance['kind'],
    nodes: readonly string[],
    how: { readonly text: string; readonly forMs: number; readonly isOneLink?: boolean },
  ): void {
    const { text, forMs, isOneLink = false } = how
    const { scheduler, history, trace } = this.#at
    const start = scheduler.now
    trace.say(`*** ${text} for ${forMs} ms`)
    history.disturbances.push({ kind, nodes, start, end: start + forMs, text, isOneLink })
  }

  #pair(): [string, string] {
    const { random, nodes } = this.#at
    const one = random.pick(nodes)
    const two = random.pick(nodes.filter((node) => node !== one))
    return [one.name, two.name]
  }

  /** Short ones as often as long ones. */
  #time(min: number, max: number): number {
    const { random } = this.#at
    const part = random.below(1000) / 1000
    return Math.round(min + (max - min) * part * part)
  }
}
