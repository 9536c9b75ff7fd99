import type { Client } from '../client.ts'

/*
 * Commands that do the same to each of many keys: MGET, MSET, DEL, UNLINK, EXISTS, TOUCH.
 *
 * Up to `KEYS_WHOLE_MAX` keys they are atomic. A command with more works in steps and lets others in
 * between (turns.ts): so does one whose reply is long and whose client does not read, lest all of it
 * lies in memory at the same time.
 */

/** More would take over ten milliseconds without a pause. */
export const KEYS_WHOLE_MAX = 16_384

/** Bytes of a reply that wait for their client when the rest of the command is put off. */
const REPLY_WHOLE_MAX = 8 * 1024 * 1024

/** Between two looks at the clock. */
const KEYS_PER_STEP = 64

/** What is done with each key. */
export interface KeyWork {
  /** Arguments from one key to the next. */
  readonly stride: 1 | 2
  /** Does it to the key that argument i is. What it returns is added up; below 0 it ends the command. */
  visit(client: Client, i: number): number
  /** The last thing: `sum` is what the visits returned in all, -1 if one ended the command. */
  end(client: Client, sum: number): void
}

/** Does the work for the keys from argument 1 on. */
export function overKeys(client: Client, work: KeyWork): void {
  const { count, bigs } = client.args
  const { stride } = work
  let i = 1
  let sum = 0
  if ((count - 1) / stride <= KEYS_WHOLE_MAX || bigs.length > 0) {
    while (i < count && sum >= 0) {
      const got = work.visit(client, i)
      sum = got < 0 ? -1 : sum + got
      i += stride
      if (client.queuedBytes > REPLY_WHOLE_MAX && bigs.length === 0) break
    }
    if (i >= count || sum < 0) {
      work.end(client, sum)
      return
    }
  }
  client.inSteps(() => {
    for (let n = 0; n < KEYS_PER_STEP && i < count && sum >= 0; n++, i += stride) {
      const got = work.visit(client, i)
      sum = got < 0 ? -1 : sum + got
    }
    if (i < count && sum >= 0) return false
    work.end(client, sum)
    return true
  })
}
