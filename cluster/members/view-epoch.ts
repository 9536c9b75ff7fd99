/**
 * The number of a view: which nodes are live, counted.
 *
 *     node a   view 7f3c   epoch 5 ── b goes down ──> view 11ab   epoch 6
 *     node c   view 7f3c   epoch 5 ── hears 6 of 11ab from a; b goes down ──> view 11ab   epoch 6
 *
 * Each node has its own opinion of who is live, and nobody gives out numbers. So a node whose view
 * changes takes the number that somebody with the same view has told, or else one more than any that
 * it has heard of; and of two numbers for one view the higher one counts. Nodes that see the same
 * agree after a heartbeat or two. Nothing depends on it: what a request is judged by is the hash of
 * the view.
 */

/** Larger ones are nobody's: with a new view each millisecond it would take 285,000 years. */
const EPOCH_MAX = Number.MAX_SAFE_INTEGER - 1

/** What a node says about its view. */
export interface ViewEpoch {
  readonly epoch: number
  /** The hash of the view. */
  readonly view: number
}

/** This node's view and its number. */
export class EpochCounter {
  #epoch = 1
  #view: number
  /** The highest that anybody has told. */
  #seen = 0
  /** What each other node told last. */
  readonly #told = new Map<string, ViewEpoch>()

  constructor(view: number) {
    this.#view = view
  }

  get epoch(): number {
    return this.#epoch
  }

  /** The view is another one now. */
  changed(view: number): void {
    this.#view = view
    let epoch = Math.max(this.#epoch, this.#seen) + 1
    for (const told of this.#told.values()) {
      if (told.view === view && told.epoch > this.#epoch && told.epoch === this.#seen) {
        epoch = told.epoch
      }
    }
    this.#epoch = Math.min(epoch, EPOCH_MAX)
  }

  /** Another node told its own. True: this node's number is another one now. */
  heard(name: string, told: ViewEpoch): boolean {
    if (!Number.isSafeInteger(told.epoch) || told.epoch < 1 || told.epoch > EPOCH_MAX) return false
    this.#told.set(name, told)
    this.#seen = Math.max(this.#seen, told.epoch)
    if (told.view !== this.#view || told.epoch <= this.#epoch) return false
    this.#epoch = told.epoch
    return true
  }

  /** It is no member any more. */
  forget(name: string): void {
    this.#told.delete(name)
  }

  /** Instead of `heard`: takes over the number that another thread of this node has. */
  follow(epoch: number): void {
    this.#epoch = epoch
  }
}
