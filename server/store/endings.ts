/*
 * Entries that ended, told to whoever wants to know (`StoreOptions.onRemoved`): copies of them, when
 * the bucket's lock was given back (notices.ts).
 *
 * An entry whose value goes on under the same key has not ended: one that only moves, or gets
 * another expiry (`keep`). A value that changes in part has: the value before is `overwritten`.
 */
import { Notices } from './notices.ts'
import type { Verb } from './verb.ts'

/** Why an entry ended. */
export const EVICTED = 0
export const EXPIRED = 1
export const DELETED = 2
export const OVERWRITTEN = 3

/** In the order of the numbers. */
const REASONS = ['evicted', 'expired', 'deleted', 'overwritten'] as const

/** Why an entry ended: memory was short, its time was over, or a client removed or replaced it. */
export type Reason = (typeof REASONS)[number]

/** Is called with copies of key and value, which are the callee's then. */
export type RemovalListener = (
  reason: Reason,
  db: number,
  key: Uint8Array,
  value: Uint8Array,
) => void

/** An entry that ended. */
export interface Ended {
  readonly reason: number
  readonly db: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Is called with a copy of the key, which is the callee's then. */
export type EndListener = (reason: 'evicted' | 'expired', db: number, key: Uint8Array) => void

/** The entries that this thread's verbs made end, until their listener is told. */
export class Endings extends Notices<Ended> {
  /** Only of entries that were evicted or expired, and without their values: see `Store.listen`. */
  readonly keysOnly: boolean

  constructor(verb: Verb, listener: RemovalListener, keysOnly = false) {
    super(verb, ({ reason, db, key, value }) => listener(REASONS[reason]!, db, key, value))
    this.keysOnly = keysOnly
  }

  /** Is an entry that ended for this reason to be told of? */
  hears(reason: number): boolean {
    return !this.keysOnly || reason <= EXPIRED
  }
}
