/**
 * What others say about a node that does not answer this one.
 *
 *     a ──PING──x b                     a: it missed twice
 *     a ──PEER PROBE b──> c ──PING──> b   c: it answered my last heartbeat
 *
 * A single bad link takes a node out of nobody's ring: the node is down when it answers neither this
 * one nor those that this one asks. After its second miss up to three others are asked; so their
 * answers are there when the third would take it out. (As in SWIM, by Das, Gupta and Motivala, 2002.)
 */
import { strict as assert } from 'node:assert'

/** Who are asked for one node. */
export const HELPERS_MAX = 3

/**
 * Asks `helper` whether it hears `name`, and says once, within `timeoutMs`, whether the answer was yes.
 * May call back at once.
 */
export type Probe = (
  helper: string,
  name: string,
  timeoutMs: number,
  done: (answers: boolean) => void,
) => void

/** The opinions about one node. */
export class SecondOpinion {
  readonly #name: string
  readonly #probe: Probe
  #missing = 0
  /** Somebody heard it when last asked. */
  #vouched = false
  #decided: (() => void) | null = null

  constructor(name: string, probe: Probe) {
    this.#name = name
    this.#probe = probe
  }

  /** Begins a round, if none is under way. */
  ask(helpers: readonly string[], timeoutMs: number): void {
    if (this.#missing > 0) return
    assert(helpers.length <= HELPERS_MAX, 'more than is promised')
    this.#vouched = false
    let vouched = false
    // One more than there are, so that answers that come at once do not end the round.
    this.#missing = helpers.length + 1
    const heard = (answers: boolean): void => {
      vouched ||= answers
      if (--this.#missing > 0) return
      this.#vouched = vouched
      const decided = this.#decided
      this.#decided = null
      decided?.()
    }
    for (const helper of helpers) this.#probe(helper, this.#name, timeoutMs, heard)
    heard(false)
  }

  /** Says whether somebody hears the node: now, or when the round that is under way ends. */
  decide(isVouched: (vouched: boolean) => void): void {
    if (this.#vouched || this.#missing === 0) return isVouched(this.#vouched)
    this.#decided = () => isVouched(this.#vouched)
  }

  /** It answered this node itself: what others said is no matter any more. */
  clear(): void {
    this.#vouched = false
    this.#decided = null
  }
}
