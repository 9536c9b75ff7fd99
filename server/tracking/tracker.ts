import type { Client } from '../clients/client.ts'
import type { CommandEntry } from '../command.ts'

/** How a client wants to hear of keys: CLIENT TRACKING's options. */
export interface TrackingOptions {
  /** Id of the client that hears instead; 0: itself. */
  readonly redirect: number
  readonly bcast: boolean
  readonly optin: boolean
  readonly optout: boolean
  readonly noloop: boolean
}

/** A client that tracks keys. */
export class Tracker {
  readonly client: Client
  options: TrackingOptions
  /** The row of the thread that has the client to which messages are redirected. */
  redirectRow = 0
  /** Was that client gone when there was something to tell it? */
  isBroken = false
  /** CLIENT CACHING was said for the next command. */
  isCaching = false
  /** Has the command that runs so many keys that it remembers them bit by bit? */
  readsMany = false
  /** Of BCAST. */
  readonly prefixes = new Set<string>()

  constructor(client: Client, options: TrackingOptions) {
    this.client = client
    this.options = options
  }

  /** Is what the command that runs reads to be remembered? */
  get remembers(): boolean {
    const { bcast, optin, optout } = this.options
    if (bcast) return false
    if (optin) return this.isCaching
    return !(optout && this.isCaching)
  }

  /**
   * CLIENT CACHING is about the command behind it, be it refused, or the transaction. Null: there is no
   * such command.
   */
  commandEnded(entry: CommandEntry | null): void {
    if (this.client.transaction !== null || entry?.parent?.name === 'client') return
    this.isCaching = false
  }

  /** CLIENT LIST's flags. */
  get flags(): string {
    return `t${this.isBroken ? 'R' : ''}${this.options.bcast ? 'B' : ''}`
  }
}
