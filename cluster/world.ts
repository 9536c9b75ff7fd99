import type { Duplex } from 'node:stream'

/**
 * What the outside is to us. Nothing in the project names Date, Math.random, timers or node:net
 * except `server/system.ts`, which implements these three, and `server/clients/listener.ts`, which accepts
 * connections; the simulator implements them on virtual time, so that one seed replays a whole
 * cluster.
 */
export interface World {
  readonly clock: Clock
  readonly random: Random
  readonly network: Network
}

/** A started timer. Cancelling one that has fired, or twice, does nothing. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /**
   * Milliseconds, may have a fraction, never goes back. The scale is that of the wall clock at the
   * start of the process plus the time elapsed since, so a jump of the wall clock moves nothing.
   */
  now(): number
  /** Milliseconds since 1970 by the wall clock, which may jump. For TIME, EXPIREAT and logs. */
  wall(): number
  /** Microseconds on a scale that never goes back, for measuring how long something took. */
  micros(): number
  /** Calls `run` once, `delayMs` from now. The timer alone does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer
  /** Calls `run` every `periodMs` until cancelled. The timer alone does not keep the process alive. */
  every(periodMs: number, run: () => void): Timer
  /** Calls `run` once, after the input that is ready now has been handled. */
  soon(run: () => void): void
}

export interface Random {
  /** An integer, 0 <= n < 2^32. */
  uint32(): number
  /** Unguessable bytes, fresh memory of the caller's own. */
  bytes(length: number): Buffer
}

export interface Network {
  /**
   * Opens a connection. The stream emits 'connect' when it stands, or what `upEvent` says; 'error' and
   * 'close' as node:net sockets do.
   */
  connect(address: { readonly host: string; readonly port: number }): Connection
  /** TLS stands later than the connection that it is spoken on. Default: 'connect'. */
  readonly upEvent?: 'connect' | 'secureConnect'
}

export interface Connection extends Duplex {
  /**
   * Closes it at once, and as far as that is up to this side, what was written and has not arrived never
   * does. Absent where `destroy` does the same.
   */
  abort?(): void
}
