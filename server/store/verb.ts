import { ExtrasBlock } from './extras.ts'

/** What `Verb.held` says of buckets that are held for several verbs. */
export const HELD = 1
export const AT_WORK = 2

/** The verb under way in this thread: its key, what was found, and what may not go meanwhile. */
export class Verb {
  db = 0
  bytes: Uint8Array
  /** The key lies at bytes[pos, pos + length). */
  pos = 0
  length = 0
  hash = 0
  /** Milliseconds on the store's scale. */
  now = 0
  /* What was found under the key: */
  valueLength = 0
  /** Milliseconds, 0: none. */
  expireAt = 0
  valueType = 0
  /** `COLOR` or 0: of what is written now. */
  color = 0
  /** Of the entry that this verb writes; empty but in the verbs that give extras. */
  readonly extras: ExtrasBlock
  /** Number of the bucket that this thread works in, under its lock; -1: none. */
  locked = -1
  /** Has this thread locked a set of buckets for several verbs? */
  holdsSet = false
  /** For each bucket: 0, or `HELD` if it is of that set, or `AT_WORK` while it gives a chunk. */
  readonly held: Uint8Array
  /** May entries of the locked bucket go when memory is short? Not while an address is held. */
  mayYieldOwn = true
  /** First page of a big value that must not go: its successor takes over its pages. 0: none. */
  guardedPage = 0
  /** Its value goes on in another entry: that the one before ends is nobody's business. */
  goesOn = false
  /** Is there something to tell, or an error of who was told? See notices.ts. */
  hasNotices = false

  /** `bytes`: any, until there is a key. */
  constructor(bytes: Uint8Array, buckets: number, chunkBytes: number) {
    this.bytes = bytes
    this.extras = new ExtrasBlock(chunkBytes)
    this.held = new Uint8Array(buckets)
  }

  /** Has this thread no bucket locked? */
  get isFree(): boolean {
    return this.locked === -1 && !this.holdsSet
  }

  /** Nothing is found under the key. */
  forget(): void {
    this.valueLength = 0
    this.expireAt = 0
    this.valueType = 0
  }
}
