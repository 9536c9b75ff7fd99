import type { Membership } from '../../cluster/membership.ts'

/** Who owns what in each view, as the nodes say: C8. */
export class RingBook {
  readonly #byView = new Map<number, string>()
  /** Views that were looked at, by node. */
  readonly #seen = new Map<Membership, number>()

  /** A sentence when this node's ring is not that of another with the same view. */
  enter(membership: Membership): string | null {
    const { viewHash } = membership
    if (this.#seen.get(membership) === viewHash) return null
    this.#seen.set(membership, viewHash)
    const text = ringText(membership)
    const other = this.#byView.get(viewHash)
    this.#byView.set(viewHash, text)
    if (other === undefined || other === text) return null
    return `${membership.self} has another ring in the view ${viewHash}`
  }
}

/** A sentence when not all of them have the same ring. */
export function checkRings(all: readonly Membership[]): string | null {
  const views = new Map(all.map((membership) => [ringText(membership), membership.live().names]))
  if (views.size === 1) return null
  return `there are ${views.size} rings: ${[...views.values()].map((one) => one.join()).join(' | ')}`
}

function ringText(membership: Membership): string {
  const ranges = membership.live().ranges()
  return ranges.map(({ start, end, owner }) => `${start}-${end} ${owner}`).join('\n')
}
