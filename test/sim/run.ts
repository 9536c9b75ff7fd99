/*
 * One run: five nodes, some clients on each, a minute of virtual time. Faults in the first 45 seconds;
 * then all heals, and after 5 more seconds all nodes must agree.
 */
import { type Census, countServer, newCensus } from './census.ts'
import { checkRings, RingBook } from './ring-book.ts'
import { SimClient, textOf } from './client.ts'
import { SimNode } from './cluster.ts'
import { type FaultName, Faults } from './faults.ts'
import { History } from './history.ts'
import { Intruder } from './intruder.ts'
import { checks, REFUSED, type Violation } from './invariants.ts'
import { Minority } from './minority.ts'
import { SimOrigin } from './origin.ts'
import { SeededRandom } from './random.ts'
import { Host, Scheduler } from './scheduler.ts'
import { drawSettings, type Settings } from './settings.ts'
import { Trace } from './trace.ts'
import { Wires } from './wires.ts'
import { PLAIN_LIMIT_MS, Workload } from './workload.ts'

const START_MS = 1_700_000_000_000
const CLIENTS_PER_NODE = 2
/** Until they know each other they are many clusters of one; who is listed and not there is down by then. */
const STARTED_MS = 2_000
const WORK_MS = 50_000
const HEALED_MS = 45_000
/** Those whose command is under way hear its end by then. */
const LAST_MS = 53_000
const END_MS = 60_000
const COLD_KEYS = 5
/** Keys change hands while commands are on their way to the node. */
const HOPS_SLACK = 20
/** In one of so many runs the nodes are given different lists of members. */
const LISTS_DIFFER = 10

export interface RunOptions {
  readonly seed: number
  readonly faults: ReadonlySet<FaultName>
  /** Hears of every event. */
  readonly tell?: (line: string) => void
}

export interface RunResult {
  readonly seed: number
  readonly hash: string
  readonly events: number
  readonly commands: number
  readonly errors: number
  readonly loads: number
  readonly disturbances: number
  readonly census: Census
  readonly violations: readonly Violation[]
  /** The last lines about the first violation. */
  readonly lines: readonly string[]
}

/** Runs one seed. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  return new SimRun(options).run()
}

class SimRun {
  readonly #seed: number
  readonly #allowed: ReadonlySet<FaultName>
  readonly #scheduler = new Scheduler(START_MS)
  readonly #trace: Trace
  readonly #random: SeededRandom
  readonly #wires: Wires
  readonly #history = new History()
  readonly #origin: SimOrigin
  readonly #nodes: SimNode[] = []
  readonly #clients: SimClient[] = []
  readonly #workload: Workload
  readonly #rings = new RingBook()
  readonly #settings: Settings
  readonly #census = newCensus()
  readonly #minority: Minority
  readonly #violations: Violation[] = []
  #listsDiffer = false

  constructor({ seed, faults, tell }: RunOptions) {
    this.#seed = seed
    this.#allowed = faults
    const scheduler = this.#scheduler
    this.#trace = new Trace(() => scheduler.now, tell ?? null)
    this.#random = new SeededRandom(seed)
    this.#wires = new Wires(scheduler, this.#fork(), this.#trace)
    this.#origin = new SimOrigin(scheduler, this.#fork(), this.#trace)
    this.#settings = drawSettings(this.#fork())
    const { minMembers, isHot } = this.#settings
    const parts = { nodes: this.#nodes, wires: this.#wires, scheduler }
    this.#minority = new Minority(minMembers, parts)
    this.#workload = new Workload({
      ...{
        minority: this.#minority,
        isHot,
        scheduler,
        random: this.#fork(),
        nodes: this.#nodes,
        history: this.#history,
      },
      ...{ origin: this.#origin, trace: this.#trace },
    })
  }

  async run(): Promise<RunResult> {
    await this.#open()
    await this.#until(HEALED_MS)
    this.#origin.faults = { slow: 0, error: 0, hang: 0 }
    this.#wires.doubled = 0
    await this.#until(WORK_MS)
    this.#workload.isOver = true
    await this.#until(LAST_MS)
    this.#countHops()
    await this.#agree()
    await this.#until(END_MS)
    this.#judge()
    return this.#result()
  }

  async #open(): Promise<void> {
    const random = this.#random
    const allowed = this.#allowed
    const { names, minMembers, isHot, copiesMs } = this.#settings
    const onlyLists = allowed.size === 1
    this.#listsDiffer = allowed.has('lists') && (onlyLists || random.below(LISTS_DIFFER) === 0)
    const lateName = allowed.has('join') && !this.#listsDiffer ? this.#settings.lateName : null
    const all = lateName === null ? names : [...names, lateName]
    this.#layLanes(all)
    this.#trace.say(`min-members ${minMembers}${isHot ? `, copies for ${copiesMs} ms` : ''}`)
    if (allowed.has('double') && random.below(3) === 0) this.#wires.doubled = 0.3
    if (allowed.has('origin') && random.below(3) > 0) {
      this.#origin.faults = {
        slow: random.below(200),
        error: random.below(200),
        hang: random.below(60),
      }
    }
    for (const name of names) {
      await this.#found(name, this.#listsDiffer ? this.#someOf(names) : all)
    }
    await this.#until(STARTED_MS)
    this.#minority.watch()
    for (const name of names) this.#employ(name)
    new Intruder(this.#wires, new Host('intruder', this.#scheduler), {
      ...{ random: this.#fork(), names, report: (violation) => this.#violations.push(violation) },
    }).start()
    new Faults({
      ...{ scheduler: this.#scheduler, random: this.#fork(), wires: this.#wires },
      ...{ nodes: this.#nodes, history: this.#history, trace: this.#trace },
      join: lateName === null ? null : () => this.#join(lateName, all),
      ends: (server) => countServer(this.#census, server),
      wait: (work) => this.#scheduler.wait(work),
    }).plan(allowed)
    this.#watchRings()
  }

  async #found(name: string, peers: readonly string[]): Promise<void> {
    const parts = { scheduler: this.#scheduler, wires: this.#wires, origin: this.#origin }
    const { args, copiesMs } = this.#settings
    const node = new SimNode(name, peers, { ...parts, args, copiesMs, seed: this.#random.uint32() })
    this.#nodes.push(node)
    await node.start()
  }

  #join(name: string, peers: readonly string[]): void {
    this.#scheduler.wait(this.#found(name, peers))
    this.#employ(name)
  }

  /** Clients of a node. */
  #employ(node: string): void {
    for (let i = 0; i < CLIENTS_PER_NODE; i++) {
      const name = `${node}/${i}`
      const host = new Host(name, this.#scheduler)
      const client = new SimClient(name, node, { wires: this.#wires, host })
      this.#clients.push(client)
      this.#workload.employ(client)
    }
  }

  /** Each pair of nodes has its own distance, in each direction. */
  #layLanes(names: readonly string[]): void {
    for (const from of names) {
      for (const to of names) {
        const lane = this.#wires.lane(from, to)
        lane.delayMs = 0.1 + this.#random.below(20) / 10
        lane.jitterMs = this.#random.below(20) / 10
      }
    }
  }

  /** C5: lists that lack a node or two, or have one that nobody ever saw. */
  #someOf(names: readonly string[]): string[] {
    const known = names.filter(() => this.#random.below(4) > 0)
    return this.#random.below(4) === 0 ? [...known, '10.0.0.9:7000'] : known
  }

  #watchRings(): void {
    const { now } = this.#scheduler
    this.#scheduler.at(now + 500, null, () => {
      for (const node of this.#nodes) {
        if (node.host.fate !== 'up' || node.server === null) continue
        const { c8, c9 } = this.#rings.enter(node.server.routing.membership!)
        if (c8 !== undefined) this.#fail('C8 the ring is identical for a view', c8)
        if (c9 !== undefined) this.#fail('C9 a join or leave moves 1.3/N of the keys at most', c9)
      }
      if (now < START_MS + LAST_MS) this.#watchRings()
    })
  }

  /** After all is healed: every node answers the same for every key, and loads a cold one once. */
  async #agree(): Promise<void> {
    if (this.#listsDiffer) return
    const text = checkRings(this.#present.map(({ server }) => server!.routing.membership!))
    if (text !== null) this.#fail('C6 after healing all agree within 5 s', text)
    const { plainKeys, groupKeys, lockKeys } = this.#workload
    for (const key of [...plainKeys, ...groupKeys, ...lockKeys]) {
      // Twice: a key may expire between two answers.
      const one = await this.#answers(key)
      const two = one.size > 1 ? await this.#answers(key) : one
      if (one.size > 1 && two.size > 1) {
        const text = `${key} is ${[...two].map(([value, at]) => `${value} at ${at.join()}`).join('; ')}`
        this.#fail('C1 all nodes give the same value', text, key)
      }
    }
    const loadsBefore = this.#origin.loads.length
    for (let i = 0; i < COLD_KEYS; i++) {
      const values = await this.#answers(`user:cold-${i}`)
      if (values.size > 1) {
        this.#fail(
          'C1 all nodes give the same value',
          [...values.keys()].join(' and '),
          `cold-${i}`,
        )
      }
    }
    const loads = this.#origin.loads.length - loadsBefore
    if (loads === COLD_KEYS) return
    this.#fail('C1 one load per cold key and view', `${loads} loads of ${COLD_KEYS} keys`, 'cold-')
  }

  /** All but a node that has left for good. */
  get #present(): SimNode[] {
    return this.#nodes.filter(({ server }) => server !== null)
  }

  /** What each node answers for a key, asked at the same moment: nodes by value. */
  async #answers(key: string): Promise<Map<string, string[]>> {
    const answers = new Map<string, string[]>()
    for (const { name } of this.#present) {
      const client = this.#clients.find(({ node, isWaiting }) => node === name && !isWaiting)
      const isAsked = client?.ask(['GET', key], (answer) => {
        const text = answer.kind === 'value' ? textOf(answer.value) : JSON.stringify(answer)
        this.#trace.say(`at the end ${name} says ${text} for ${key}`)
        answers.set(text, [...(answers.get(text) ?? []), name])
      })
      if (isAsked !== true) answers.set('no connection', [name])
    }
    const until = this.#scheduler.now + PLAIN_LIMIT_MS
    const asked = this.#present.length
    const heard = (): number => [...answers.values()].reduce((sum, { length }) => sum + length, 0)
    while (heard() < asked && this.#scheduler.now < until) {
      await this.#scheduler.run(this.#scheduler.now + 5)
    }
    return answers
  }

  #judge(): void {
    const run = {
      ...{ history: this.#history, origin: this.#origin },
      ...{ isHot: this.#settings.isHot, minMembers: this.#settings.minMembers },
      ...{ listsDiffer: this.#listsDiffer, report: (one: Violation) => this.#violations.push(one) },
    }
    for (const check of checks) check(run)
    this.#violations.sort((a, b) => a.at - b.at)
  }

  /** C5: whatever the nodes believe, a command is passed on once at most, by who had it from a client. */
  #countHops(): void {
    for (const { name, server, passesOn } of this.#present) {
      const { forwarded } = server!.routing.router!.counters
      if (forwarded <= passesOn + HOPS_SLACK) continue
      this.#fail(
        'C5 one hop',
        `${name} passed on ${forwarded} commands; its clients gave ${passesOn}`,
      )
    }
  }

  #fail(invariant: string, text: string, about = ''): void {
    this.#violations.push({ invariant, text, about, at: this.#scheduler.now })
  }

  #result(): RunResult {
    const { steps, disturbances } = this.#history
    const first = this.#violations[0]
    for (const { server } of this.#present) countServer(this.#census, server!)
    this.#census.refused = steps.filter(({ line }) => line === REFUSED).length
    const lines = first === undefined ? [] : this.#trace.until(first.at, first.about)
    return {
      ...{ seed: this.#seed, hash: this.#trace.hash, events: this.#scheduler.events },
      commands: steps.length,
      errors: steps.filter(({ outcome }) => outcome === 'error').length,
      loads: this.#origin.loads.length,
      disturbances: disturbances.length,
      census: this.#census,
      violations: this.#violations.map((one) => ({ ...one, at: one.at - START_MS })),
      lines,
    }
  }

  async #until(ms: number): Promise<void> {
    await this.#scheduler.run(START_MS + ms)
  }

  #fork(): SeededRandom {
    return new SeededRandom(this.#random.uint32())
  }
}
