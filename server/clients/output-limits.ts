/**
 * client-output-buffer-limit: how much may be queued for a client before it is closed.
 *
 * A client that does not read its replies is made to wait instead: its commands stop, and with them
 * its replies (see output.ts), so no more than about a megabyte is queued for it and no limit is
 * needed; the one of class `normal` is 0, as in Redis. A limit below that closes the client instead.
 * What is queued because others act cannot be made to wait: lines for a monitor. They fall under
 * `pubsub`, while Redis counts monitors as `normal` and lets them grow without end.
 *
 * Counted is what this process holds for the client. A value that is being sent from the store's
 * pages lies there anyway, and does not count.
 */
export interface OutputLimit {
  /** Bytes; 0: none. Reaching it closes the client. */
  readonly hard: number
  /** The same when it lasts for more than so many seconds. */
  readonly soft: number
  readonly softSeconds: number
}

export type OutputClass = 'normal' | 'pubsub'

/** The limits of a directive, whose value has 'hard soft seconds' by class. */
export function outputLimits(
  value: ReadonlyMap<string, string>,
): Readonly<Record<OutputClass, OutputLimit>> {
  const limitOf = (name: OutputClass): OutputLimit => {
    const [hard = 0, soft = 0, softSeconds = 0] = (value.get(name) ?? '').split(' ').map(Number)
    return { hard, soft, softSeconds }
  }
  return { normal: limitOf('normal'), pubsub: limitOf('pubsub') }
}

/** Does the limit ever close anybody? */
export function limits({ hard, soft }: OutputLimit): boolean {
  return hard > 0 || soft > 0
}

/** Watches the output of one client. */
export class OutputWatch {
  /** On the clock's scale; NaN: it is below the soft limit. */
  #softSince = NaN

  /** Has the client to be closed, with so many bytes queued at `nowMs`? */
  exceeds({ hard, soft, softSeconds }: OutputLimit, bytes: number, nowMs: number): boolean {
    if (hard > 0 && bytes >= hard) return true
    if (soft === 0 || bytes < soft) {
      this.#softSince = NaN
      return false
    }
    if (Number.isNaN(this.#softSince)) this.#softSince = nowMs
    return nowMs - this.#softSince > softSeconds * 1000
  }
}
