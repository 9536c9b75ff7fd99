/**
 * SCAN over all nodes, one after the other: a cursor is one node's cursor and which node that is.
 *
 *     position * 4096 + tag        41 bits, 12 bits: an exact number, also in JavaScript
 *
 * The tag follows from the node's name, so that a scan goes on where it was when nodes join or leave the list
 * meanwhile: those that are asked already have smaller tags, those that are not have larger ones. Where the tag's
 * node is gone the next one is asked. Two names with one hash get two tags: the second one the next that is free,
 * which is the first one's when that has gone.
 */
import { strict as assert } from 'node:assert'
import { RING_NODES_MAX } from '../ring.ts'
import type { RingHash } from '../ring.ts'

/** As many as there may be nodes. */
const TAGS = RING_NODES_MAX

/** Node cursors have 9 bits of bucket and 32 of hash. */
const POSITION_LIMIT = 2 ** 41

export interface ScanCursor {
  /** A node's cursor, 0 at its beginning. */
  readonly position: number
  readonly tag: number
}

/** The tag of each of these names; not for more than there are tags. */
export function tagsOf(names: readonly string[], hash: RingHash): ReadonlyMap<string, number> {
  assert(names.length <= TAGS, 'too many nodes for the tags')
  const taken = new Set<number>()
  const tags = new Map<string, number>()
  for (const name of names) {
    let tag = hash(name) % TAGS
    while (taken.has(tag)) tag = (tag + 1) % TAGS
    taken.add(tag)
    tags.set(name, tag)
  }
  return tags
}

/** Of these nodes the one with the smallest tag that is `tag` or more. */
export function nodeFrom<Node extends { readonly tag: number }>(
  nodes: readonly Node[],
  tag: number,
): Node | undefined {
  let found: Node | undefined
  for (const node of nodes) {
    if (node.tag >= tag && (found === undefined || node.tag < found.tag)) found = node
  }
  return found
}

export function cursorOf({ position, tag }: ScanCursor): string {
  assert(isPosition(position) && tag < TAGS)
  return String(position * TAGS + tag)
}

/** Could this number be a node's cursor? */
export function isPosition(position: number): boolean {
  return Number.isInteger(position) && position >= 0 && position < POSITION_LIMIT
}

/** Null for what is no cursor. One beyond all nodes is the end of a scan, as in Redis. */
export function cursorAt(cursor: string): ScanCursor | null {
  if (!/^[0-9]{1,20}$/.test(cursor)) return null
  const value = Number(cursor)
  if (value >= POSITION_LIMIT * TAGS) return { position: 0, tag: TAGS }
  return { position: Math.floor(value / TAGS), tag: value % TAGS }
}
