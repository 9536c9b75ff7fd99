import type { Server } from '../../server/server.ts'

/** How often what the checks are about did happen. */
export interface Census {
  forwards: number
  /** The next node was asked, or answered. */
  failovers: number
  /** Nodes that had been missed forgot what they had. */
  forgotten: number
  /** Entries that moved to a new owner. */
  moved: number
  /** Reads that were answered with a copy of another node's value. */
  copies: number
  /** Loads whose value was not stored: something was written meanwhile. */
  fenced: number
  /** Writes that were refused: too few nodes. */
  refused: number
}

export function newCensus(): Census {
  return { forwards: 0, failovers: 0, forgotten: 0, moved: 0, copies: 0, fenced: 0, refused: 0 }
}

/** Adds what a server counted until now. */
export function countServer(
  census: Census,
  { routing, ownedSlots, takeover, loads }: Server,
): void {
  const { forwarded, stoodIn, failovers } = routing.router!.counters
  census.forwards += forwarded
  census.failovers += stoodIn + failovers
  census.forgotten += ownedSlots!.doubt.forgotten
  census.moved += takeover!.counters.moved
  census.copies += routing.copied!.copies.counters.hits
  census.fenced += loads.counters().fenced
}

export function addCensus(census: Census, other: Census): void {
  for (const name of Object.keys(census) as (keyof Census)[]) census[name] += other[name]
}
