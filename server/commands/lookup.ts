import type { Client } from '../client.ts'
import { TYPE_STRING } from '../store/store.ts'

/** Opens the record of the key that argument i is; true if there is such a key. `close` it after. */
export function openKey(client: Client, i: number): boolean {
  const { args } = client
  return client.store.open(client.db, args.bytes, args.pos(i), args.length(i))
}

/** INFO's keyspace_hits and _misses: Redis counts the look-ups of commands that read a key. */
export function countLookup(client: Client, found: boolean): void {
  if (found) client.server.stats.keyspaceHits++
  else client.server.stats.keyspaceMisses++
}

/** What TYPE calls each type of value, and SCAN's option TYPE asks for. */
export const typeNames: { readonly [type: number]: string } = { [TYPE_STRING]: 'string' }
