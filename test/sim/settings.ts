/*
 * How the cluster of a run is set up, drawn from its seed: names (so each run has a ring of its own), and
 * directives that some runs have and others do not.
 */
import type { SeededRandom } from './random.ts'

export const NODES = 5

/** In one of so many runs ... */
const MIN_MEMBERS_IN = 4
const HOT_IN = 3
const JOINS_IN = 3

/** More than half of five. */
const MIN_MEMBERS = 3

/** So few reads of a key a second make it hot: what clients do here is little. */
const HOT_RATE = 2

/** As long as copies may live, and longer than a directive allows: then what else ends them must. */
const COPIES_MS = [2_000, 8_000]

export interface Settings {
  /** Those that are there from the start. */
  readonly names: readonly string[]
  /** In the nodes' lists from the start; joins later. Null: nobody does. */
  readonly lateName: string | null
  /** 0: writes are never refused. */
  readonly minMembers: number
  /** Are some keys read so often that nodes keep copies? */
  readonly isHot: boolean
  /** `cluster-hot-ttl`. */
  readonly copiesMs: number
  readonly args: readonly string[]
}

export function drawSettings(random: SeededRandom): Settings {
  const net = random.below(250)
  const nameOf = (number: number): string => `10.0.${net}.${number}:7000`
  const minMembers = random.below(MIN_MEMBERS_IN) === 0 ? MIN_MEMBERS : 0
  const isHot = random.below(HOT_IN) === 0
  const copiesMs = random.pick(COPIES_MS)
  return {
    copiesMs,
    names: Array.from({ length: NODES }, (_, i) => nameOf(i + 1)),
    lateName: random.below(JOINS_IN) === 0 ? nameOf(NODES + 1) : null,
    minMembers,
    isHot,
    args: [
      ...['--cluster-min-members', String(minMembers)],
      ...['--cluster-hot-rate', String(isHot ? HOT_RATE : 0)],
    ],
  }
}
