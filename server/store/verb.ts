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
  /** Number of the bucket that this thread has locked, -1: none. */
  locked = -1
  /** May entries of the locked bucket go when memory is short? Not while an address is held. */
  mayYieldOwn = true
  /** First page of a big value that must not go: its successor takes over its pages. 0: none. */
  guardedPage = 0
  /** Its value goes on in another entry: that the one before ends is nobody's business. */
  goesOn = false

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Nothing is found under the key. */
  forget(): void {
    this.valueLength = 0
    this.expireAt = 0
    this.valueType = 0
  }
}
