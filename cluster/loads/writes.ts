/*
 * Write-through: a SET or DEL of a group with `write` goes to the origin first, and changes the cache
 * when the origin has taken it.
 *
 *     SET k 1 ──> origin takes it ──> cache has it ──> +OK
 *     SET k 2        waits ─────────────────────────> origin takes it ──> cache has it ──> +OK
 *     SET k 3 ──────── fails, or nobody knows ──> the cache forgets k ──> -ORIGIN ...
 *
 * Writes of one key are sent one after the other, and each changes the cache before the next one
 * leaves, so cache and origin see them in the same order. A command of several keys changes the cache when
 * the origin has taken all of them, and keeps the next writes of each back until then; all of its writes
 * must be asked for at once, so that no two commands wait for each other. After a failure nobody knows what the origin
 * has: the key is removed, with the lease of a load that may have seen either, and the next read asks.
 */
import { textOf } from '../../protocol/args.ts'
import { originBusy, originClosing, originFailed, originTimeout } from '../../protocol/errors.ts'
import type { Group } from '../groups/group.ts'
import { type Loader, OriginError } from '../origin/loader.ts'
import type { Clock } from '../world.ts'

/** A change to be told to the origin. */
export interface Write {
  readonly group: Group
  readonly key: Uint8Array
  /** Null: the key is removed. Nobody changes the bytes. */
  readonly value: Uint8Array | null
  /** How long the client wants it to live; 0: it did not say. */
  readonly ttlMs: number
}

export interface WritesOptions {
  readonly clock: Clock
  readonly loader: Loader
  /** Hears of every failed write, for the log. */
  readonly report?: (error: OriginError, group: Group) => void
}

export interface WriteCounters {
  writes: number
  failed: number
}

/** Keys that writes wait for or are under way to, at once. */
const KEYS_MAX = 65_536
/** Writes of one key that wait. */
const WAITING_MAX = 1024

/** Hears what became of a write. The key's next one leaves when `release` was called. */
export type Told = (error: OriginError | null, release: () => void) => void

interface Waiting {
  readonly write: Write
  /** It is over then, whether it has left or still waits: who hangs before it takes of its time. */
  readonly endsAt: number
  readonly done: Told
}

export class Writes {
  readonly #clock: Clock
  readonly #loader: Loader
  readonly #report: (error: OriginError, group: Group) => void
  /** By key, in latin1: the write under way, and those behind it. */
  readonly #keys = new Map<string, Waiting[]>()
  readonly #counters = new Map<Group, WriteCounters>()
  #closed = false

  constructor({ clock, loader, report = () => {} }: WritesOptions) {
    this.#clock = clock
    this.#loader = loader
    this.#report = report
  }

  counters(group: Group): WriteCounters {
    let counters = this.#counters.get(group)
    if (counters === undefined) {
      counters = { writes: 0, failed: 0 }
      this.#counters.set(group, counters)
    }
    return counters
  }

  /**
   * Tells the origin of a change. `done` is called once, later, with what went wrong or null; it
   * changes the cache before it calls `release`, which it must.
   */
  write(write: Write, done: Told): void {
    const { name } = write.group
    const keyName = textOf(write.key)
    const waiting = this.#keys.get(keyName)
    const endsAt = this.#clock.now() + write.group.timeoutMs
    if (this.#closed) {
      this.#refuse(write, done, new OriginError('closing', originClosing(name)))
    } else if (waiting === undefined && this.#keys.size < KEYS_MAX) {
      this.#keys.set(keyName, [{ write, endsAt, done }])
      void this.#send(keyName)
    } else if (waiting !== undefined && waiting.length < WAITING_MAX) {
      waiting.push({ write, endsAt, done })
    } else {
      this.#refuse(write, done, new OriginError('busy', originBusy(name)))
    }
  }

  /** Those that wait hear an error; those under way end by themselves. */
  close(): void {
    this.#closed = true
  }

  #refuse(write: Write, done: Told, error: OriginError): void {
    this.counters(write.group).failed++
    this.#report(error, write.group)
    this.#clock.soon(() => done(error, () => {}))
  }

  async #send(keyName: string): Promise<void> {
    const waiting = this.#keys.get(keyName)!
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const counters = this.counters(next.write.group)
      counters.writes++
      const error = await this.#tell(next)
      if (error !== null) {
        counters.failed++
        this.#report(error, next.write.group)
      }
      await new Promise<void>((resolve) => next.done(error, resolve))
      waiting.shift()
    }
    this.#keys.delete(keyName)
  }

  async #tell({ write, endsAt }: Waiting): Promise<OriginError | null> {
    const { group, key, value, ttlMs } = write
    const { name, timeoutMs } = group
    if (this.#closed) return new OriginError('closing', originClosing(name))
    const tooLate = (): OriginError => new OriginError('timeout', originTimeout(name, timeoutMs))
    const leftMs = endsAt - this.#clock.now()
    if (leftMs <= 0) return tooLate()
    const controller = new AbortController()
    let deadline = { cancel: (): void => {} }
    const late = new Promise<never>((_, reject) => {
      deadline = this.#clock.after(leftMs, () => {
        controller.abort()
        reject(tooLate())
      })
    })
    try {
      const { url, params } = group.request(key)
      const { signal } = controller
      const told = this.#loader.write!({ group, key, url, params, value, ttlMs, signal })
      await Promise.race([told, late])
      return null
    } catch (error) {
      return error instanceof OriginError
        ? error
        : new OriginError('failed', originFailed(name), error)
    } finally {
      deadline.cancel()
    }
  }
}
