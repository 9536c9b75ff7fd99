import type { ClusterNode } from '../members/membership.ts'

/** Finds out who is in the cluster, again and again. Losing whoever tells it changes no list. */
export interface Discovery {
  /** Begins; resolves when there is a list, or none to be had for now. */
  start(): Promise<void>
  /** Ends, and takes back what it told others of this node. Resolves soon, also when they do not answer. */
  close(): Promise<void>
}

/** What a Discovery tells; both may be called at any time after `start`. */
export interface DiscoveryEvents {
  /** The nodes, with or without this one. */
  found(nodes: readonly ClusterNode[]): void
  /** Why the last list still counts; each reason once, until another comes or all is well (null). */
  report(problem: string | null): void
}

/** Passes on what is news. */
export class Reports {
  readonly #report: DiscoveryEvents['report']
  #last: string | null = null

  constructor(report: DiscoveryEvents['report']) {
    this.#report = report
  }

  say(problem: string | null): void {
    if (problem === this.#last) return
    this.#last = problem
    this.#report(problem)
  }
}
