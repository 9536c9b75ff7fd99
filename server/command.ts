import type { Client } from './client.ts'

/** Redis's command flags, as COMMAND INFO prints them. */
export type CommandFlag =
  | 'write'
  | 'readonly'
  | 'denyoom'
  | 'admin'
  | 'pubsub'
  | 'noscript'
  | 'loading'
  | 'stale'
  | 'skip_monitor'
  | 'skip_slowlog'
  | 'fast'
  | 'no_auth'
  | 'no_async_loading'
  | 'no_multi'
  | 'allow_busy'
  | 'sort_for_script'
  | 'movablekeys'
  | 'blocking'

export type CommandGroup = 'string' | 'generic' | 'connection' | 'server' | 'cluster' | 'bitmap'

/**
 * Where a command runs in a cluster.
 * - `key`: on the owner of its keys; all keys must have one owner (the default of a row with keys)
 * - `scatter`: split by owner, each part run there, the replies gathered (MGET, DEL ...)
 * - `fan-out`: on every node, the replies gathered (KEYS, DBSIZE ...)
 * - `here`: on the node the client is connected to (the default of a row without keys)
 */
export type Placement = 'key' | 'scatter' | 'fan-out' | 'here'

/** One row of the command table: all that COMMAND, dispatch, routing and the docs are made from. */
export interface Command {
  /** Lower case. A subcommand's row carries its own name only: 'setname', not 'client|setname'. */
  readonly name: string
  /** Argument count with the name itself; negative: at least that many. */
  readonly arity: number
  readonly flags: readonly CommandFlag[]
  /** First key, last key (negative counts from the end), step. All 0: no keys. */
  readonly keys: readonly [first: number, last: number, step: number]
  /** How the keys are used, as in COMMAND INFO's key specifications: e.g. `['RW', 'access', 'update']`. */
  readonly keyFlags?: readonly string[]
  readonly group: CommandGroup
  /** ACL categories beyond those that follow from flags and group. */
  readonly categories?: readonly string[]
  readonly since: string
  readonly complexity: string
  /** One sentence. */
  readonly summary: string
  /** The arguments, in the notation of the Redis pages: `key value [NX | XX] [GET]`. */
  readonly syntax?: string
  readonly placement?: Placement
  /** A miss of the key is loaded from its group's origin before `run` answers it. */
  readonly loads?: boolean
  /** `run` takes arguments over 64 KB as pages (`client.args.big(i)`); others get them as bytes. */
  readonly takesPages?: boolean
  /** Rows of a container command; `run` of the container is called when none of them is named. */
  readonly subcommands?: readonly Command[]
  /** Runs the command on `client.args` and writes exactly one reply to `client.reply`, or takes a slot with `client.defer()`. */
  run(client: Client): void
}
