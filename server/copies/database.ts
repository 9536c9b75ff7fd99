import type { Config } from '../config.ts'

/**
 * Copies that a node keeps for others lie in a database of the store that no client can choose: the one
 * behind all others.
 */

/** Its number; -1: there are no copies. */
export function copiesDatabase({ databases, groups, members }: Config): number {
  return members !== null && groups.all.some((group) => group.hasCopies) ? databases : -1
}

/** How many databases the store is to have. */
export function databasesOf(config: Config): number {
  return config.databases + (copiesDatabase(config) < 0 ? 0 : 1)
}
