/** How the replies of all nodes to one command become one reply. */
import { nodeNonsense, nodesNotReached } from '../../protocol/errors.ts'
import { PeerError, PeerStatus } from '../peers/replies.ts'
import type { PeerValue } from '../peers/replies.ts'

/** One member's part. `failed`: it is not live, or did not answer in time. */
export interface FanOutPart {
  readonly name: string
  readonly failed: boolean
  /** Its reply; null if it failed. */
  readonly value: PeerValue
}

/** A list whose elements are there as their bytes. */
export interface EncodedList {
  readonly count: number
  readonly lists: readonly Buffer[]
}

/**
 * The lists of all nodes, relayed as they came, one behind the other (KEYS); an error if one is. Nodes that
 * failed are left out. A key can appear twice while it moves from one owner to another.
 */
export function concatenated(parts: readonly FanOutPart[]): EncodedList | PeerError {
  const lists: Buffer[] = []
  let count = 0
  for (const { name, failed, value } of parts) {
    if (failed) continue
    if (value instanceof PeerError) return value
    if (!Buffer.isBuffer(value) || value[0] !== STAR) return new PeerError(nodeNonsense(name))
    const end = value.indexOf('\r')
    count += Number(value.toString('latin1', 1, end))
    lists.push(value.subarray(end + 2))
  }
  return { count, lists }
}

const STAR = 0x2a

/** The sum of all nodes (DBSIZE). Nodes that failed are left out. */
export function summed(parts: readonly FanOutPart[]): PeerValue {
  let sum = 0
  for (const { failed, value } of parts) {
    if (failed) continue
    if (typeof value !== 'number') return value
    sum += value
  }
  return sum
}

/** OK if all nodes said so (FLUSHALL); else the first error, or one that names who failed. */
export function allOk(parts: readonly FanOutPart[]): PeerValue {
  const failed = parts.filter((part) => part.failed)
  if (failed.length > 0) return new PeerError(nodesNotReached(failed.map(({ name }) => name)))
  return parts.find(({ value }) => value instanceof PeerError)?.value ?? new PeerStatus('OK')
}
