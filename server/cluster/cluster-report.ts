/* What `ringtier cluster status|ring|check` prints, from the views of the nodes. */
import { SLOT_COUNT } from '../../cluster/slots.ts'
import { type ClusterView, ownersIn, slotsOf } from './cluster-view.ts'

/** A node that was asked: its view, or why there is none. */
export interface AskedNode {
  readonly name: string
  readonly view: ClusterView | null
  /** '' where there is a view. */
  readonly why: string
}

/** The members as the first node sees them, with what each tells of itself. */
export function statusLines(first: ClusterView, asked: readonly AskedNode[]): string[] {
  const live = first.members.filter(({ state }) => state === 'up' || state === 'suspect').length
  const rows = first.members.map((member) => {
    const node = asked.find(({ name }) => name === member.name)
    const slots = slotsOf(member)
    const share = `${((slots / SLOT_COUNT) * 100).toFixed(1)} %`
    const of = (value: number | undefined): string => String(value ?? '?')
    const own = [of(node?.view?.keys), of(node?.view?.epoch)]
    const note = member.self ? '(asked)' : (node?.why ?? '')
    return [member.name, member.state, String(slots), share, ...own, note]
  })
  return [
    `${first.name}: state ${first.state}, epoch ${first.epoch}, ${live} of ${first.members.length} nodes live`,
    '',
    ...tableOf([['node', 'state', 'slots', 'share', 'keys', 'epoch', ''], ...rows]),
  ]
}

/** All ranges of slots in order, and whose they are. */
export function ringLines({ members }: ClusterView): string[] {
  const ranges = members.flatMap(({ name, slots }) => slots.map((run) => ({ ...run, name })))
  ranges.sort((a, b) => a.start - b.start)
  return ranges.map(
    ({ start, end, name }) => `${String(start).padStart(5)} - ${String(end).padEnd(5)}  ${name}`,
  )
}

/** What is wrong, a line each; none: every slot has an owner, and all nodes see the same. */
export function problemsOf(first: ClusterView, asked: readonly AskedNode[]): string[] {
  const problems: string[] = []
  for (const { name, why } of asked) if (why !== '') problems.push(`${name}: ${why}`)
  const views = asked.flatMap(({ view }) => (view === null ? [] : [view]))
  for (const view of views) {
    const uncovered = ownersIn(view).filter((owner) => owner === '').length
    if (uncovered > 0) problems.push(`${view.name}: ${uncovered} slots have no owner`)
    if (view.state !== 'ok') problems.push(`${view.name}: its state is ${view.state}`)
    for (const { name, state } of view.members) {
      if (state !== 'up') problems.push(`${view.name}: holds ${name} for ${state}`)
    }
  }
  const members = namesIn(first)
  const owners = ownersIn(first)
  for (const view of views) {
    if (view.name === first.name) continue
    if (namesIn(view) !== members) {
      problems.push(`${view.name}: knows ${namesIn(view)}; ${first.name} knows ${members}`)
    }
    const other = ownersIn(view).filter((owner, slot) => owner !== owners[slot]).length
    if (other > 0)
      problems.push(`${view.name}: has other owners of ${other} slots than ${first.name}`)
    if (view.epoch !== first.epoch) {
      problems.push(`${view.name}: is at epoch ${view.epoch}, ${first.name} at ${first.epoch}`)
    }
  }
  return problems
}

function namesIn({ members }: ClusterView): string {
  return members.map(({ name }) => name).join(', ')
}

/** Columns beside each other: names and notes to the left, numbers to the right. */
function tableOf(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) => {
    const cells = row.map((cell, i) => {
      const isText = i < 2 || i === row.length - 1
      return isText ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
    })
    return cells.join('  ').trimEnd()
  })
}
