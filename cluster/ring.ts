/**
 * Who owns which slot: consistent hashing on a circle of the 16384 slots.
 *
 *        slot 0
 *      b1 .--. a1        Each node stands on the circle many times, at the slots its virtual
 *     a3 /    \  b2      nodes fall on. A slot belongs to the virtual node that is nearest to it, on
 *        \    /          either side; past slot 16383 the circle begins again at 0.
 *      b3 `--' a2
 *
 * A node that joins takes, in many small pieces, its share from everybody and moves nothing
 * between others; one that leaves gives its pieces to those who stand beside them.
 *
 * The nearest, and not, as is usual, the next one clockwise: what a virtual node has is then half of the gap before
 * it and half of the gap behind it. Of two halves the sum differs less than one whole gap does, so shares are as even
 * as with twice as many virtual nodes, and there are no more ranges than before. In 20,000 random sets of 2 to
 * 21 nodes no node had 1.3 times its share; with the next one clockwise one had in 4 of 3,000.
 *
 * The virtual nodes stand on the *slots*, not on the classic circle of 2^32 points with every slot
 * hashed onto it: that scatters neighbouring slots over all nodes (10,838 ranges and a CLUSTER
 * SLOTS reply of 981 KB for three nodes); here three nodes make about 320 ranges.
 *
 * Several virtual nodes can fall on one slot, or be equally near to it. The one with the smallest rest of the
 * hash wins: a rule that does not depend on the order of joining and favours nobody (the smallest name would
 * win always, and with a hundred nodes most slots are contested).
 *
 * A node of weight 3 stands on the circle three times as often as one of weight 1, and owns three
 * times as much. What it stood on with a smaller weight it keeps: a change of weight moves keys
 * between this node and the others only.
 */
import { strict as assert } from 'node:assert'
import { SLOT_COUNT } from './slots.ts'

/** Enough that shares differ by about 6 % (1/sqrt(2 * 160)), few enough for short topology replies. */
export const VIRTUAL_NODES = 160

/** The slot table holds 16-bit indexes. */
export const RING_NODES_MAX = 4096

/** A node of more than this weight stands for more machines than one. */
export const WEIGHT_MAX = 16

/** A uint32 for a text, the same on every node; the server passes xxhash. */
export type RingHash = (text: string) => number

/** A node on the circle, by its name. */
export interface RingNode {
  readonly name: string
  /** 1 to WEIGHT_MAX, 1 if absent; the same on all nodes. */
  readonly weight?: number
}

/** Slots `start` to `end`, both included, of one owner. */
export interface SlotRange {
  readonly start: number
  readonly end: number
  readonly owner: string
}

interface VirtualNode {
  readonly slot: number
  /** Orders those that fall on one slot. */
  readonly rest: number
  readonly name: string
}

/** The circle. Equal sets of names give equal circles, in whatever order they were added. */
export class Ring {
  readonly #hash: RingHash
  /** Of a node with weight 1. */
  readonly virtualNodes: number
  /** Hashed once for each name. */
  readonly #standing = new Map<string, readonly VirtualNode[]>()
  #names: readonly string[] = []
  /** All virtual nodes, clockwise from slot 0. */
  #circle: readonly VirtualNode[] = []
  /** For each slot the index in `#circle` of the first virtual node at or after it. */
  readonly #place = new Uint32Array(SLOT_COUNT)
  /** For each slot the index of its owner in `names`; all -1 when the ring is empty. */
  readonly #table = new Int16Array(SLOT_COUNT).fill(-1)

  constructor(hash: RingHash, virtualNodes = VIRTUAL_NODES) {
    assert(virtualNodes > 0, 'a node needs a virtual node')
    this.#hash = hash
    this.virtualNodes = virtualNodes
  }

  /** The nodes of the ring, sorted. A new array with each change. */
  get names(): readonly string[] {
    return this.#names
  }

  /**
   * Owner of each slot as an index into `names`, -1 in an empty ring: the ring as other threads
   * want it. The ring's own memory, rewritten by every change.
   */
  get table(): Readonly<Int16Array> {
    return this.#table
  }

  /**
   * Lets nodes stand on the circle, those given by name alone with a weight of 1. One that stands
   * there already has the new weight from now on.
   */
  add(...nodes: readonly (string | RingNode)[]): void {
    for (const node of nodes) {
      const { name, weight = 1 } = typeof node === 'string' ? { name: node } : node
      assert(Number.isInteger(weight) && weight >= 1 && weight <= WEIGHT_MAX, 'a weight of 1 to 16')
      if (this.#standing.get(name)?.length === weight * this.virtualNodes) continue
      this.#standing.set(name, this.#virtualNodesOf(name, weight))
    }
    assert(this.#standing.size <= RING_NODES_MAX, 'too many nodes for the slot table')
    this.#rebuild()
  }

  /** Takes a node off the circle. A name that is not there changes nothing. */
  remove(name: string): void {
    if (this.#standing.delete(name)) this.#rebuild()
  }

  has(name: string): boolean {
    return this.#standing.has(name)
  }

  /** The node that owns the slot; null in an empty ring. */
  owner(slot: number): string | null {
    return this.#names[this.#table[slot]!] ?? null
  }

  /**
   * The node nearest to the slot that is not among `skipped`: its owner, or who stands in for the owner
   * when that one is skipped. Null when none is left. All nodes with the same ring name the same one.
   */
  after(slot: number, skipped: readonly string[]): string | null {
    if (skipped.length === 0) return this.owner(slot)
    const circle = this.#circle
    const count = circle.length
    const from = this.#place[slot]!
    const isLeft = ({ name }: VirtualNode): boolean => !skipped.includes(name)
    let next: VirtualNode | null = null
    for (let step = 0; step < count && next === null; step++) {
      const node = circle[(from + step) % count]!
      if (isLeft(node)) next = node
    }
    if (next === null) return null
    let before: VirtualNode | null = null
    for (let step = 1; step <= count; step++) {
      const node = circle[(from - step + count) % count]!
      // Those on one slot come in reverse: the best of them is the last.
      if (before !== null && node.slot !== before.slot) break
      if (isLeft(node)) before = node
    }
    return nearer(slot, next, before!).name
  }

  /** All slots as the fewest ranges, ascending, as CLUSTER SLOTS shows them. Empty ring: none. */
  ranges(): SlotRange[] {
    const ranges: SlotRange[] = []
    const table = this.#table
    let start = 0
    for (let slot = 1; slot <= SLOT_COUNT; slot++) {
      const ends = slot === SLOT_COUNT || table[slot] !== table[start]
      if (!ends) continue
      const owner = this.owner(start)
      if (owner !== null) ranges.push({ start, end: slot - 1, owner })
      start = slot
    }
    return ranges
  }

  /** How many slots the node owns. */
  slotsOf(name: string): number {
    const index = this.#names.indexOf(name)
    let count = 0
    if (index >= 0) for (const owner of this.#table) if (owner === index) count++
    return count
  }

  #virtualNodesOf(name: string, weight: number): VirtualNode[] {
    const nodes: VirtualNode[] = []
    for (let i = 0; i < weight * this.virtualNodes; i++) {
      const hash = this.#hash(`${i} ${name}`)
      nodes.push({ slot: hash % SLOT_COUNT, rest: Math.floor(hash / SLOT_COUNT), name })
    }
    return nodes
  }

  #rebuild(): void {
    this.#names = [...this.#standing.keys()].sort()
    this.#circle = [...this.#standing.values()].flat().sort(clockwise)
    if (this.#circle.length === 0) {
      this.#table.fill(-1)
      return
    }
    const indexes = new Map(this.#names.map((name, index) => [name, index]))
    const circle = this.#circle
    // Backwards, so that each slot sees the virtual node that comes next; behind the last comes the first.
    let at = 0
    let next = circle.length - 1
    for (let slot = SLOT_COUNT - 1; slot >= 0; slot--) {
      while (next >= 0 && circle[next]!.slot === slot) at = next--
      this.#place[slot] = at
    }
    // Forwards, with the one that came last: of those on one slot the one that wins.
    let last = circle[this.#place[circle.at(-1)!.slot]!]!
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const coming = circle[this.#place[slot]!]!
      if (coming.slot === slot) last = coming
      this.#table[slot] = indexes.get(nearer(slot, coming, last).name)!
    }
  }
}

/** Which of the two is nearer to the slot, `next` clockwise from it or `before` against the clock? */
function nearer(slot: number, next: VirtualNode, before: VirtualNode): VirtualNode {
  const forwards = (next.slot - slot + SLOT_COUNT) % SLOT_COUNT
  const backwards = (slot - before.slot + SLOT_COUNT) % SLOT_COUNT
  if (forwards !== backwards) return forwards < backwards ? next : before
  const order = next.rest - before.rest || (next.name < before.name ? -1 : 1)
  return order < 0 ? next : before
}

function clockwise(a: VirtualNode, b: VirtualNode): number {
  return a.slot - b.slot || a.rest - b.rest || (a.name < b.name ? -1 : 1)
}
