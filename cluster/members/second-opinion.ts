/**
 * What others say about a node that does not answer this one.
 *
 *     a ──PING──x b                     a: it missed twice
 *     a ──PEER PROBE b──> c ──PING──> b   c: it answered my last heartbeat
 *
 * A single bad link takes a node out of nobody's ring: the node is down when it answers neither this
 * one nor those that this one asks. After its second miss up to three others are asked; so their
 * answers are there when the third would take it out. (As in SWIM, by Das, Gupta and Motivala, 2002.)
 * Who hears it also passes on what this node wants of it (cluster/routes/detour.ts).
 */
import { strict as assert } from 'node:assert'

/** Who are asked for one node. */
export const HELPERS_MAX = 3

/**
 * So many rounds in a row may pass in which no helper says anything, and what they said before holds: it is this
 * node that stood still, or was out of reach, for a moment.
 */
const SILENT_ROUNDS_MAX = 2

/**
 * Asks `helper` whether it hears `name`, and calls back once, within `timeoutMs`, perhaps at once. Null: it
 * has not said.
 */
export type Probe = (
  helper: string,
  name: string,
  timeoutMs: number,
  done: (answers: boolean | null) => void,
) => void

/** The opinions about one node. */
export class SecondOpinion {
  readonly #name: string
  readonly #probe: Probe
  readonly #onVouchers: (helpers: readonly string[]) => void
  #missing = 0
  /** Somebody heard it when last asked. */
  #vouched = false
  /** Who did, in the last round in which anything was said. */
  #vouchers: readonly string[] = []
  #silentRounds = 0
  /** Of rounds and of ends of them: what is asked for before is not heard after. */
  #round = 0
  #decided: (() => void) | null = null

  /** `onVouchers` hears, after each round and when the node has answered, who of the helpers hears it. */
  constructor(name: string, probe: Probe, onVouchers: (helpers: readonly string[]) => void) {
    this.#name = name
    this.#probe = probe
    this.#onVouchers = onVouchers
  }

  /** Begins a round, if none is under way. */
  ask(helpers: readonly string[], timeoutMs: number): void {
    if (this.#missing > 0) return
    assert(helpers.length <= HELPERS_MAX, 'more than is promised')
    this.#vouched = false
    const round = ++this.#round
    const heardBy = new Set<string>()
    let isSilent = true
    // One more than there are, so that answers that come at once do not end the round.
    this.#missing = helpers.length + 1
    const ended = (): void => {
      if (--this.#missing > 0 || round !== this.#round) return
      this.#silentRounds = isSilent ? this.#silentRounds + 1 : 0
      if (!isSilent || this.#silentRounds > SILENT_ROUNDS_MAX) {
        this.#vouchers = helpers.filter((helper) => heardBy.has(helper))
        this.#onVouchers(this.#vouchers)
      }
      this.#vouched = this.#vouchers.length > 0
      const decided = this.#decided
      this.#decided = null
      decided?.()
    }
    for (const helper of helpers) {
      this.#probe(helper, this.#name, timeoutMs, (answers) => {
        if (answers !== null) isSilent = false
        if (answers === true) heardBy.add(helper)
        ended()
      })
    }
    ended()
  }

  /** Says whether somebody hears the node: now, or when the round that is under way ends. */
  decide(isVouched: (vouched: boolean) => void): void {
    if (this.#vouched || this.#missing === 0) return isVouched(this.#vouched)
    this.#decided = () => isVouched(this.#vouched)
  }

  /** It answered this node itself: what others said is no matter any more. */
  clear(): void {
    this.#round++
    this.#vouched = false
    this.#vouchers = []
    this.#silentRounds = 0
    this.#decided = null
    this.#onVouchers([])
  }
}
