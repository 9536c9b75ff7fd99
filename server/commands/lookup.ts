import type { Client } from '../clients/client.ts'
import { type KeyEvent, notify } from '../notifications.ts'
import { counter } from '../stats.ts'
import { TYPE_STRING } from '../store/store.ts'

/**
 * Opens the record of the key that argument i is; true if there is such a key. `close` it after. It
 * counts as an access, which keeps the key from being evicted, unless the client said NO-TOUCH.
 */
export function openKey(client: Client, i: number): boolean {
  return client.noTouch ? peekKey(client, i) : touchKey(client, i)
}

/** The same for commands that only look at what is known of a key: no access, whoever asks. */
export function peekKey(client: Client, i: number): boolean {
  const { args } = client
  return client.store.peek(client.db, args.bytes, args.pos(i), args.length(i))
}

/** The same as an access, whoever asks. */
export function touchKey(client: Client, i: number): boolean {
  const { args } = client
  return client.store.open(client.db, args.bytes, args.pos(i), args.length(i))
}

/**
 * INFO's keyspace_hits and _misses: Redis counts the look-ups of commands that read a key, which is
 * argument i, and tells of a miss (of none if i is 0). No record may be open.
 */
export function countLookup(client: Client, found: boolean, i = 1): void {
  if (found) client.server.stats.row[counter.keyspaceHits]!++
  else countMiss(client, i)
}

/** The same of one that was not found. */
export function countMiss(client: Client, i: number): void {
  client.server.stats.row[counter.keyspaceMisses]!++
  if (i > 0) notify(client, 'keymiss', i)
}

/** Tells of a write to the key that argument i is. `found`: it was there before. */
export function notifyWrite(client: Client, event: KeyEvent, i: number, found: boolean): void {
  if (!found) notify(client, 'new', i)
  notify(client, event, i)
}

/** What TYPE calls each type of value, and SCAN's option TYPE asks for. */
export const typeNames: { readonly [type: number]: string } = { [TYPE_STRING]: 'string' }
