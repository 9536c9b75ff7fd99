/** CONTRACT (to be replaced by the implementation; keep these signatures). */

/** Counters of the server that INFO shows; CONFIG RESETSTAT clears them. */
export declare class Stats {
  commandsProcessed: number
  connectionsReceived: number
  rejectedConnections: number
  netInputBytes: number
  netOutputBytes: number
  keyspaceHits: number
  keyspaceMisses: number
  totalErrorReplies: number
  /** By the error's first word. */
  readonly errors: Map<string, number>
  /** Calls, microseconds, rejected and failed calls, by full command name ('client|list'). */
  readonly commands: Map<string, { calls: number; micros: number; rejected: number; failed: number }>
  instantaneousOps: number
  instantaneousInputKbps: number
  instantaneousOutputKbps: number
  reset(): void
}
