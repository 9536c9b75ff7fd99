import type { Client } from '../clients/client.ts'

/*
 * Commands that do the same to each of many keys: MGET, MSET, DEL, UNLINK, EXISTS, TOUCH.
 *
 * Up to `KEYS_WHOLE_MAX` keys they are atomic: with several threads the buckets of all keys are
 * locked meanwhile. A command with more works in steps, each of them atomic, and lets others in
 * between (turns.ts): so does one whose reply is long and whose client does not read, lest all of it
 * lies in memory at the same time.
 */

/** More would take over ten milliseconds without a pause. */
export const KEYS_WHOLE_MAX = 16_384

/** Bytes of a reply that wait for their client when the rest of the command is put off. */
const REPLY_WHOLE_MAX = 8 * 1024 * 1024

/** Between two looks at the clock: of a longer command so many are one atomic step. */
export const KEYS_PER_STEP = 64

/** What is done with each key. */
export interface KeyWork {
  /** Arguments from one key to the next. */
  readonly stride: 1 | 2
  /**
   * Does it to the key that argument i is, whose bucket is locked: with the store's verbs for single
   * keys. What it returns is added up; below 0 it ends the command.
   */
  visit(client: Client, i: number): number
  /** Does it read for a client that tracks keys, and has not remembered these? Default: see `Tracker.readsMany`. */
  readonly remembers?: boolean
  /** The last thing: `sum` is what the visits returned in all, -1 if one ended the command. */
  end(client: Client, sum: number): void
}

/** Does the work for the keys from argument 1 on. */
export function overKeys(client: Client, work: KeyWork): void {
  const { store, db, args } = client
  const { notifier, tracking } = client.server
  const remembers = client.tracker !== null && (work.remembers ?? client.tracker.readsMany)
  const { count } = args
  const { stride } = work
  const keys = (count - 1) / stride
  let i = 1
  let sum = 0
  if (keys <= KEYS_WHOLE_MAX) {
    // The verb for a single key takes its lock itself.
    if (remembers) tracking.reads(client, 1, count)
    notifier?.hold()
    if (keys > 1) store.lockKeys(db, args, 1, count, stride)
    while (i < count && sum >= 0) {
      const got = work.visit(client, i)
      sum = got < 0 ? -1 : sum + got
      i += stride
      if (client.queuedBytes > REPLY_WHOLE_MAX) break
    }
    if (keys > 1) store.unlockKeys()
    notifier?.release()
    if (i >= count || sum < 0) {
      work.end(client, sum)
      return
    }
  }
  client.inSteps(() => {
    const end = Math.min(count, i + KEYS_PER_STEP * stride)
    if (remembers) tracking.reads(client, i, end)
    notifier?.hold()
    store.lockKeys(db, client.args, i, end, stride)
    for (; i < end && sum >= 0; i += stride) {
      const got = work.visit(client, i)
      sum = got < 0 ? -1 : sum + got
    }
    store.unlockKeys()
    notifier?.release()
    if (i < count && sum >= 0) return false
    work.end(client, sum)
    return true
  })
}
