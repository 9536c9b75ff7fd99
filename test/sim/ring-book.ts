import type { Membership } from '../../cluster/members/membership.ts'
import { SLOT_COUNT } from '../../cluster/slots.ts'

/** C9: of all keys a node that joins or leaves moves at most so many, as a part of its fair share. */
const MOVED_MAX = 1.3

/** Points on a circle are drawn, too: of 6,000 random rings two had 1.304 (docs/cluster.md). */
const MOVED_SLACK = 0.02

/** A ring as it was. */
interface Seen {
  readonly names: readonly string[]
  /** Owner of each slot, as an index into the names. */
  readonly table: Readonly<Int16Array>
}

/** Who owns what in each view, as the nodes say: C8 and C9. */
export class RingBook {
  readonly #byView = new Map<number, Seen>()
  /** Views that were looked at, by node. */
  readonly #seen = new Map<Membership, number>()

  /** Sentences about this node's ring: it is not that of another with the same view, or too much has moved. */
  enter(membership: Membership): { readonly c8?: string; readonly c9?: string } {
    const { viewHash } = membership
    if (this.#seen.get(membership) === viewHash) return {}
    this.#seen.set(membership, viewHash)
    const seen = seenOf(membership)
    const other = this.#byView.get(viewHash)
    if (other !== undefined) {
      if (isSame(other, seen)) return {}
      return { c8: `${membership.self} has another ring in the view ${viewHash}` }
    }
    const c9 = [...this.#byView.values()].map((one) => movedText(one, seen)).find((it) => it !== '')
    this.#byView.set(viewHash, seen)
    return c9 === undefined ? {} : { c9 }
  }
}

/** A sentence when not all of them have the same ring. */
export function checkRings(all: readonly Membership[]): string | null {
  const [first, ...others] = all.map(seenOf)
  if (others.every((other) => isSame(first!, other))) return null
  return `there are several rings: ${all.map((each) => each.live().names.join()).join(' | ')}`
}

/** '': they differ by more than one node, or by no more than they may. */
function movedText(one: Seen, two: Seen): string {
  const [few, many] = one.names.length < two.names.length ? [one, two] : [two, one]
  const added = many.names.filter((name) => !few.names.includes(name))
  if (added.length !== 1 || few.names.length !== many.names.length - 1 || few.names.length === 0) {
    return ''
  }
  const [node] = added
  let moved = 0
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const owner = many.names[many.table[slot]!]
    if (owner === few.names[few.table[slot]!]) continue
    moved++
    if (owner !== node) return `slot ${slot} moves between others when ${node} joins or leaves`
  }
  const part = (moved / SLOT_COUNT) * many.names.length
  if (part <= MOVED_MAX + MOVED_SLACK) return ''
  return `${node} joins or leaves ${few.names.join()}: ${part.toFixed(3)} of its share moves`
}

function seenOf(membership: Membership): Seen {
  const { names, table } = membership.live()
  return { names, table: table.slice() }
}

function isSame(one: Seen, two: Seen): boolean {
  if (one.names.join() !== two.names.join()) return false
  return one.table.every((owner, slot) => owner === two.table[slot])
}
