/*
 * A cluster as one of its nodes sees it, read from what CLUSTER NODES, CLUSTER INFO and the keyspace in INFO
 * answer. For `ringtier cluster` (cluster-tool.ts), which asks each node.
 */
import type { MemberState } from '../../cluster/members/membership.ts'
import { SLOT_COUNT } from '../../cluster/slots.ts'

/** Slots from `start` to `end`, both included. */
export interface SlotRun {
  readonly start: number
  readonly end: number
}

export interface SeenMember {
  /** host:port */
  readonly name: string
  readonly self: boolean
  readonly state: MemberState
  readonly slots: readonly SlotRun[]
}

export interface ClusterView {
  /** The node whose view it is. */
  readonly name: string
  readonly epoch: number
  /** `fail`: it refuses writes. */
  readonly state: string
  readonly keys: number
  /** By name. */
  readonly members: readonly SeenMember[]
}

/** A node's answers. */
export interface ClusterAnswers {
  readonly nodes: string
  readonly info: string
  readonly keyspace: string
}

/** What nobody should see on a terminal. */
const CONTROLS = /\p{Cc}/gu

/** Null: it is not what a node of a cluster answers. */
export function readView({ nodes, info, keyspace }: ClusterAnswers): ClusterView | null {
  const members: SeenMember[] = []
  for (const line of nodes.split('\n')) {
    if (line.trim() === '') continue
    const member = memberOf(line.trim())
    if (member === null) return null
    members.push(member)
  }
  const own = members.find(({ self }) => self)
  if (own === undefined) return null
  members.sort((a, b) => (a.name < b.name ? -1 : 1))
  let keys = 0
  for (const [, count] of keyspace.matchAll(/^db\d+:keys=(\d+)/gm)) keys += Number(count)
  return {
    ...{ name: own.name, members, keys },
    epoch: Number(/^cluster_current_epoch:(\d+)/m.exec(info)?.[1] ?? 0),
    state: /^cluster_state:(\w+)/m.exec(info)?.[1] ?? 'unknown',
  }
}

/** One line of CLUSTER NODES: id, host:port@port, flags, -, two times, epoch, link, ranges. */
function memberOf(line: string): SeenMember | null {
  const [, address = '', flags = '', , , , , , ...ranges] = line.replace(CONTROLS, '').split(' ')
  const [name = ''] = address.split('@')
  const slots = ranges.map((range) => {
    const [start, end = start] = range.split('-').map(Number)
    return { start: start!, end: end! }
  })
  const isRun = ({ start, end }: SlotRun): boolean =>
    Number.isInteger(start) && start >= 0 && end >= start && end < SLOT_COUNT
  if (!/^.+:\d+$/.test(name) || !slots.every(isRun)) return null
  const words = flags.split(',')
  return { name, self: words.includes('myself'), state: stateBy(words), slots }
}

/** See `flagsOf` in commands/cluster.ts. */
function stateBy(flags: readonly string[]): MemberState {
  if (flags.includes('fail')) return 'down'
  if (flags.includes('fail?')) return 'suspect'
  return flags.includes('nofailover') ? 'leaving' : 'up'
}

/** The owner of each slot, '' where there is none. */
export function ownersIn({ members }: ClusterView): string[] {
  const owners = Array.from<string>({ length: SLOT_COUNT }).fill('')
  for (const { name, slots } of members) {
    for (const { start, end } of slots) owners.fill(name, start, end + 1)
  }
  return owners
}

export function slotsOf({ slots }: SeenMember): number {
  return slots.reduce((sum, { start, end }) => sum + end - start + 1, 0)
}
