import type { SimNode } from './cluster.ts'
import type { Scheduler } from './scheduler.ts'
import type { Wires } from './wires.ts'

const LOOK_MS = 50

/**
 * Since when a node can reach too few others, itself included, for `cluster-min-members`, over whichever
 * others: while somebody hears a node, everybody who hears that one counts it.
 */
export class Minority {
  readonly #min: number
  readonly #nodes: readonly SimNode[]
  readonly #wires: Wires
  readonly #scheduler: Scheduler
  readonly #since = new Map<string, number>()

  constructor(
    min: number,
    parts: {
      readonly nodes: readonly SimNode[]
      readonly wires: Wires
      readonly scheduler: Scheduler
    },
  ) {
    this.#min = min
    this.#nodes = parts.nodes
    this.#wires = parts.wires
    this.#scheduler = parts.scheduler
  }

  /** For how long it has been one of too few; 0: it is not. */
  aloneMs(name: string): number {
    const since = this.#since.get(name)
    return since === undefined ? 0 : this.#scheduler.now - since
  }

  /** Looks again and again, for ever. */
  watch(): void {
    if (this.#min === 0) return
    const { now } = this.#scheduler
    const up = this.#nodes.filter(({ host, server }) => host.fate === 'up' && server !== null)
    const names = up.map(({ name }) => name)
    for (const { name } of this.#nodes) {
      const isAlone = names.includes(name) && this.#reached(name, names).size < this.#min
      if (!isAlone) this.#since.delete(name)
      else if (!this.#since.has(name)) this.#since.set(name, now)
    }
    this.#scheduler.at(now + LOOK_MS, null, () => this.watch())
  }

  #reached(from: string, names: readonly string[]): Set<string> {
    const reached = new Set([from])
    for (const one of reached) {
      for (const two of names) {
        const isCut = this.#wires.lane(one, two).isCut || this.#wires.lane(two, one).isCut
        if (one === two || !isCut) reached.add(two)
      }
    }
    return reached
  }
}
