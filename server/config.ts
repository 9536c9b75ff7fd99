/** CONTRACT (to be replaced by the implementation; keep these signatures). */

/** Typed values of the directive table, read as properties; CONFIG SET changes them. */
export interface Config {
  readonly port: number
  readonly bind: readonly string[]
  readonly maxmemory: number
  readonly maxclients: number
  readonly requirepass: string
  readonly databases: number
  readonly 'proto-max-bulk-len': number
  /** and so on: each directive by its name */
  /** Subscribes to a change by CONFIG SET. */
}
