import type { Subject } from './report.ts'

/** The store's maxmemory-policies, or those of them that are named. */
export function availablePolicies(wanted: readonly string[] | undefined): Subject[] {
  const known: Subject[] = [{ name: 'ringtier', choice: {} }]
  return known.filter(({ name }) => wanted === undefined || wanted.includes(name))
}
