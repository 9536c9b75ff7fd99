/**
 * One call in flight per key: whoever asks for a key that is being asked for already gets the same
 * answer, be it a value or an error (groupcache's `Group.Do`). Keys are compared as a Map does, so
 * give bytes as a string.
 */
export class Singleflight<K, V> {
  readonly #calls = new Map<K, Promise<V>>()

  /** Calls in flight. */
  get size(): number {
    return this.#calls.size
  }

  /**
   * The result of the call in flight for `key`, or of `call`, which is made in this turn's
   * microtasks, never within `do`: a call that throws, or asks for its own key, meets an entry that
   * stands. The entry is gone before the first caller hears the result.
   */
  do(key: K, call: () => V | Promise<V>): Promise<V> {
    const inFlight = this.#calls.get(key)
    if (inFlight !== undefined) return inFlight
    const started = Promise.resolve()
      .then(call)
      .finally(() => this.#calls.delete(key))
    this.#calls.set(key, started)
    return started
  }
}
