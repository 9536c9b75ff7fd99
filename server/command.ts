/*
 * What a command is, and how it is found.
 *
 * A command is one row (`Command`) and one function, written in one place under `commands/`. All
 * that is said about commands elsewhere is made from the rows: COMMAND and its subcommands, the
 * checks before a command runs, routing in a cluster, docs/commands.md.
 *
 * `CommandTable` finds the row of a request. It hashes the bytes of the name where they lie in the
 * read buffer and compares them in place, so that no string is made of them. What it answers is a
 * `CommandEntry`: the row, with everything that must be known before each run worked out once and
 * laid into plain fields (flags as bits, key positions as numbers, the full name of a subcommand).
 *
 *      "GeT" ── hash, case folded ──> cells[hash & mask] ──> entry, compared byte by byte
 *                                                     └────> entry.subcommands: a table like this one
 *
 * Cells are probed linearly and at most a quarter of them is taken, so that nearly every look-up
 * is one probe and one comparison. An upper-case letter differs from its lower-case one in the bit
 * 0x20. The hash sets that bit in every byte, letter or not, which may only make two names meet;
 * the comparison is exact.
 */
import type { Args } from '../protocol/args.ts'
import type { Client } from './clients/client.ts'
import type { ArgumentNotes, ArgumentType } from './syntax.ts'
import type { OriginChange } from './loads/writing.ts'

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

export type CommandGroup =
  | 'string'
  | 'generic'
  | 'connection'
  | 'server'
  | 'cluster'
  | 'bitmap'
  | 'transactions'
  | 'pubsub'
  | 'scripting'
  | 'cache'

/**
 * Where a command runs in a cluster.
 * - `key`: on the owner of its keys; all keys must have one owner (the default of a row with keys)
 * - `scatter`: split by owner, each part run there, the replies gathered (MGET, DEL ...)
 * - `fan-out`: on every node, the replies gathered (KEYS, DBSIZE ...)
 * - `here`: on the node the client is connected to (the default of a row without keys)
 */
export type Placement = 'key' | 'scatter' | 'fan-out' | 'here'

/**
 * How a command answers when keys were loaded that it missed.
 * - `value`: the reply is the key's value, or null (GET)
 * - `values`: an array of these, one for each key (MGET)
 * - a function: writes the reply for its one key, from what the origin has (null: nothing).
 *   `stored`: the value is in the store now, so the command may run on it.
 *
 * It does not simply run again: later commands of the connection have been executed meanwhile, and
 * it must neither see nor undo what they did.
 */
export type LoadAnswer =
  'value' | 'values' | ((client: Client, value: Buffer | null, stored: boolean) => void)

/** Some of a command's keys, and how they are used. */
export interface KeySpec {
  /** As `Command.keys`. */
  readonly keys: readonly [first: number, last: number, step: number]
  /** As `Command.keyFlags`. */
  readonly flags: readonly string[]
}

/** One row of the command table: all that COMMAND, dispatch, routing and the docs are made from. */
export interface Command {
  /** Lower case. A subcommand's row carries its own name only: 'setname', not 'client|setname'. */
  readonly name: string
  /** Argument count with the name itself (of a subcommand, with both names); negative: at least that many. */
  readonly arity: number
  readonly flags: readonly CommandFlag[]
  /** First key, last key (negative counts from the end), step. All 0: no keys. */
  readonly keys: readonly [first: number, last: number, step: number]
  /** How the keys are used, as in COMMAND INFO's key specifications: e.g. `['RW', 'access', 'update']`. */
  readonly keyFlags?: readonly string[]
  /** The same where not all keys are used alike: `keys` spans them all, and each is in one of these. */
  readonly keySpecs?: readonly KeySpec[]
  /** The note of that specification, where the flags alone do not tell all. */
  readonly keyNotes?: string
  /**
   * How one call uses its keys, where that depends on the arguments (then `keyFlags` ends with
   * 'variable_flags'). The command's name is argument `from`.
   */
  readonly keyFlagsOf?: (args: Args, from: number) => readonly string[]
  /** Most words of a call without keys, the name included, where that is not WORDS_MAX. */
  readonly wordsMax?: number
  readonly group: CommandGroup
  /** ACL categories beyond those that follow from flags and group. */
  readonly categories?: readonly string[]
  /** The group brings no category of its own. */
  readonly isOutsideGroup?: boolean
  /** Is it for who works on the server itself? Then COMMAND DOCS says so. */
  readonly isForDevelopers?: boolean
  /** Hints for clients, as COMMAND INFO prints them: 'nondeterministic_output' ... */
  readonly tips?: readonly string[]
  readonly since: string
  /** What later versions of Redis changed, as COMMAND DOCS tells it. */
  readonly history?: readonly (readonly [version: string, change: string])[]
  readonly complexity: string
  /** Set when there is a better command. */
  readonly deprecated?: { readonly since: string; readonly replacedBy: string }
  /** One sentence. */
  readonly summary: string
  /** How it differs from Redis's command of that name, if it does; Markdown, for docs/compatibility.md. */
  readonly differs?: string
  /** The arguments, in the notation of the Redis pages: `key value [NX | XX] [GET]`; see syntax.ts. */
  readonly syntax?: string
  /** What an argument is, where its name does not tell: another command's `increment` is an integer. */
  readonly argumentTypes?: Readonly<Record<string, ArgumentType>>
  /** How Redis calls an argument, and since when there is one; see syntax.ts. */
  readonly argumentNotes?: ArgumentNotes
  readonly placement?: Placement
  /**
   * Does it need what only the hub knows, the thread that sees all others (threads/)? Then it runs
   * there, whichever thread its client is connected to. `client.server` is the hub's for it.
   */
  readonly onHub?: boolean
  /** A missing key of a group is loaded from its origin; this is how the command answers then. */
  readonly loads?: LoadAnswer
  /**
   * How long a call may wait before it answers, though it is no `loads`: as long as a load of its
   * group's, or so many ms. Where it runs on the hub, later commands of its connection do not wait for it.
   */
  readonly waits?: 'load' | ((args: Args) => number)
  /**
   * What a call changes of the values of keys, for origins that hear of changes first
   * (server/loads/writing.ts). Null: an origin could not be told what this call does. Without it: no call can be told.
   * A call that is wrong has no changes: it runs, and answers what is wrong.
   */
  readonly originWrites?: (client: Client) => readonly OriginChange[] | null
  /**
   * Does running this call of a write a second time do no harm? Then it may be sent to another
   * node when the first does not answer. Without it: never. Reads always may.
   */
  readonly repeatable?: (args: Args) => boolean
  /** `run` takes arguments over 64 KB as pages (`client.args.big(i)`); others get them as bytes. */
  readonly takesPages?: boolean
  /** Indices of the arguments that no log may show: passwords. */
  readonly secrets?: (args: Args) => readonly number[]
  /** Rows of a container command; `run` of the container is called when none of them is named. */
  readonly subcommands?: readonly Command[]
  /** Runs the command on `client.args` and writes exactly one reply to `client.reply`, or takes a slot with `client.defer()`. */
  run(client: Client): void
}

/** Each flag's bit in `CommandEntry.flags`, in the order in which Redis prints them. */
export const flagBits: { readonly [flag in CommandFlag]: number } = {
  write: 1 << 0,
  readonly: 1 << 1,
  denyoom: 1 << 2,
  admin: 1 << 3,
  pubsub: 1 << 4,
  noscript: 1 << 5,
  blocking: 1 << 6,
  loading: 1 << 7,
  stale: 1 << 8,
  skip_monitor: 1 << 9,
  skip_slowlog: 1 << 10,
  fast: 1 << 11,
  no_auth: 1 << 12,
  sort_for_script: 1 << 13,
  no_async_loading: 1 << 14,
  no_multi: 1 << 15,
  movablekeys: 1 << 16,
  allow_busy: 1 << 17,
}

const flagNames = Object.keys(flagBits) as CommandFlag[]

/** Every ACL category, in the order in which Redis prints them. */
export const aclCategories = [
  'keyspace',
  'read',
  'write',
  'set',
  'sortedset',
  'list',
  'hash',
  'string',
  'bitmap',
  'hyperloglog',
  'geo',
  'stream',
  'pubsub',
  'admin',
  'fast',
  'slow',
  'blocking',
  'dangerous',
  'connection',
  'transaction',
  'scripting',
] as const

const groupCategories: { readonly [group in CommandGroup]: string | null } = {
  string: 'string',
  generic: 'keyspace',
  connection: 'connection',
  bitmap: 'bitmap',
  transactions: 'transaction',
  scripting: 'scripting',
  pubsub: null,
  server: null,
  cluster: null,
  cache: null,
}

/**
 * Arguments of a command that is not about keys (CONFIG GET, COMMAND INFO, CLIENT LIST ID). Nobody needs
 * more, and with 200,000 some of them would hold up all others for seconds.
 */
export const WORDS_MAX = 1024

/**
 * The row of a command, and what is worked out from it once: all plain fields, read before each
 * run. Frozen.
 */
export class CommandEntry {
  readonly row: Command
  /** The row's: rows have many shapes, and reading a field of many shapes is slow. */
  readonly name: string
  /** As errors and statistics name it: 'get', 'client|setname'. */
  readonly fullName: string
  /** The container of a subcommand. */
  readonly parent: CommandEntry | null
  /** 0 <= index < table.size, one for each command and subcommand: the cell of its statistics. */
  readonly index: number
  readonly arity: number
  /** Fewest and most arguments, the name included; the latter is 2^31 - 1 where keys may be many. */
  readonly countMin: number
  readonly countMax: number
  /** `flagBits` of its flags. */
  readonly flags: number
  readonly firstKey: number
  readonly lastKey: number
  readonly keyStep: number
  /** The specifications of its keys, the first key's first. */
  readonly keySpecs: readonly KeySpec[]
  readonly placement: Placement
  readonly onHub: boolean
  readonly loads: LoadAnswer | null
  readonly takesPages: boolean
  readonly repeatable: ((args: Args) => boolean) | null
  readonly secrets: ((args: Args) => readonly number[]) | null
  /** Does it do the same little work whatever its arguments (none in pages) and the store are? */
  readonly isShort: boolean
  readonly subcommands: CommandTable | null
  /** ACL categories without the '@', in Redis's order. */
  readonly categories: readonly string[]
  readonly run: (client: Client) => void

  constructor(row: Command, parent: CommandEntry | null, number: () => number) {
    this.row = row
    this.name = row.name
    this.parent = parent
    this.fullName = parent === null ? row.name : `${parent.fullName}|${row.name}`
    this.index = number()
    this.arity = row.arity
    this.countMin = Math.abs(row.arity)
    this.flags = row.flags.reduce((bits, flag) => bits | flagBits[flag], 0)
    const [first, last, step] = row.keys
    this.countMax =
      row.arity > 0 ? row.arity : (row.wordsMax ?? (first > 0 ? 0x7fffffff : WORDS_MAX))
    this.firstKey = first
    this.lastKey = last
    this.keyStep = step
    this.keySpecs = row.keySpecs ?? [{ keys: row.keys, flags: row.keyFlags ?? [] }]
    this.placement = row.placement ?? (first > 0 ? 'key' : 'here')
    this.onHub = row.onHub ?? false
    this.loads = row.loads ?? null
    this.takesPages = row.takesPages ?? false
    this.repeatable = row.repeatable ?? null
    this.secrets = row.secrets ?? null
    this.isShort = row.complexity === 'O(1)' && (first > 0 || row.flags.includes('fast'))
    this.categories = categoriesOf(row, this.flags)
    this.run = row.run
    this.subcommands =
      row.subcommands === undefined ? null : new CommandTable(row.subcommands, this, number)
    Object.freeze(this)
  }

  has(flag: CommandFlag): boolean {
    return (this.flags & flagBits[flag]) !== 0
  }

  /** Its flags in the order in which Redis prints them. */
  flagNames(): CommandFlag[] {
    return flagNames.filter((flag) => this.has(flag))
  }
}

/**
 * All commands, or all subcommands of one, found by the bytes of their names in any case. A name
 * that is there twice is a programmer's mistake and throws.
 */
export class CommandTable {
  /** In the order of the rows. */
  readonly entries: readonly CommandEntry[]
  readonly rows: readonly Command[]
  /** Commands and subcommands together: the bound of `CommandEntry.index`. */
  readonly size: number
  readonly #cells: (CommandEntry | null)[]
  readonly #mask: number

  constructor(
    rows: readonly Command[],
    parent: CommandEntry | null = null,
    number: () => number = counter(),
  ) {
    this.rows = rows
    this.entries = rows.map((row) => new CommandEntry(row, parent, number))
    this.size = this.entries.reduce((sum, entry) => sum + 1 + (entry.subcommands?.size ?? 0), 0)
    const capacity = capacityFor(rows.length)
    this.#mask = capacity - 1
    this.#cells = new Array<CommandEntry | null>(capacity).fill(null)
    for (const entry of this.entries) this.#insert(entry)
  }

  #insert(entry: CommandEntry): void {
    const name = bytesOf(entry.row.name)
    if (this.find(name, 0, name.length) !== null || name.length === 0) {
      throw new Error(`command table: '${entry.fullName}' has no name of its own`)
    }
    let cell = hash(name, 0, name.length) & this.#mask
    while (this.#cells[cell] !== null) cell = (cell + 1) & this.#mask
    this.#cells[cell] = entry
  }

  /** The command named by `bytes[pos, pos + length)`, in any case. Allocates nothing. */
  find(bytes: Uint8Array, pos: number, length: number): CommandEntry | null {
    let cell = hash(bytes, pos, length) & this.#mask
    for (;;) {
      const entry = this.#cells[cell]
      if (entry == null) return null
      if (equals(entry.name, bytes, pos, length)) return entry
      cell = (cell + 1) & this.#mask
    }
  }

  /** The same by a string. 'client|setname' finds a subcommand of a table of commands. */
  named(name: string): CommandEntry | null {
    const [first = '', second, ...rest] = name.split('|')
    if (rest.length > 0) return null
    const bytes = bytesOf(first)
    const entry = this.find(bytes, 0, bytes.length)
    if (second === undefined || entry === null) return entry
    return entry.subcommands?.named(second) ?? null
  }

  /**
   * The command that the arguments from `from` on call: a subcommand where the container has one
   * of that name, the container itself when no further argument stands there. Null for an unknown
   * command, and for an unknown subcommand.
   */
  called(args: Args, from = 0): CommandEntry | null {
    const entry = this.find(args.bytes, args.pos(from), args.length(from))
    if (entry === null || entry.subcommands === null || args.count === from + 1) return entry
    return entry.subcommands.find(args.bytes, args.pos(from + 1), args.length(from + 1))
  }

  /** Every command, each followed by its subcommands. */
  *all(): Generator<CommandEntry> {
    for (const entry of this.entries) {
      yield entry
      if (entry.subcommands !== null) yield* entry.subcommands.all()
    }
  }
}

/** Does a call with `count` arguments, names included, have as many as the command takes? */
export function takes(entry: CommandEntry, count: number): boolean {
  return count >= entry.countMin && count <= entry.countMax
}

/** Index of the call's last argument that is a key. The command's name is argument `from`. */
export function lastKeyOf(entry: CommandEntry, args: Args, from = 0): number {
  return entry.lastKey < 0 ? args.count + entry.lastKey : from + entry.lastKey
}

/**
 * Indices of the arguments that are keys, in a call whose name is argument `from`. Empty when the
 * command has none; null when the arguments end before its first key.
 */
export function keysOf(entry: CommandEntry, args: Args, from = 0): number[] | null {
  if (entry.firstKey === 0) return []
  const first = from + entry.firstKey
  const last = lastKeyOf(entry, args, from)
  if (last < first || last >= args.count) return null
  const keys: number[] = []
  for (let i = first; i <= last; i += entry.keyStep) keys.push(i)
  return keys
}

/** How the key that argument i is is used, in a call whose name is argument `from`. */
export function keySpecOf(entry: CommandEntry, i: number, from = 0): KeySpec {
  return entry.keySpecs.findLast(({ keys: [first] }) => from + first <= i)!
}

function categoriesOf(row: Command, flags: number): readonly string[] {
  const found = new Set(row.categories ?? [])
  const when = (flag: CommandFlag, ...names: string[]): void => {
    if ((flags & flagBits[flag]) !== 0) for (const name of names) found.add(name)
  }
  when('write', 'write')
  when('readonly', 'read')
  when('admin', 'admin', 'dangerous')
  when('pubsub', 'pubsub')
  when('blocking', 'blocking')
  found.add((flags & flagBits.fast) !== 0 ? 'fast' : 'slow')
  const group = groupCategories[row.group]
  // A container is no command of its own: it belongs to no category that its group brings.
  const isInGroup = row.subcommands === undefined && row.isOutsideGroup !== true
  if (group !== null && isInGroup) found.add(group)
  return aclCategories.filter((category) => found.has(category))
}

/** A plain Uint8Array, as the decoder's bytes are: `find` sees one hidden class only. */
function bytesOf(name: string): Uint8Array {
  return new TextEncoder().encode(name)
}

function counter(): () => number {
  let next = 0
  return () => next++
}

/** A power of two, at least four times the rows. */
function capacityFor(count: number): number {
  let capacity = 4
  while (capacity < count * 4) capacity *= 2
  return capacity
}

/** FNV-1a over the name, every byte with the bit 0x20 set; its high half is folded into the low. */
function hash(bytes: Uint8Array, pos: number, length: number): number {
  let h = 0x811c9dc5 ^ length
  // No name is longer than 32 bytes; a longer request need not be read to its end.
  const end = pos + (length > 32 ? 32 : length)
  for (let i = pos; i < end; i++) h = Math.imul(h ^ ((bytes[i] as number) | 0x20), 0x01000193)
  return h ^ (h >>> 15)
}

function equals(name: string, bytes: Uint8Array, pos: number, length: number): boolean {
  if (name.length !== length) return false
  for (let i = 0; i < length; i++) {
    const wanted = name.charCodeAt(i)
    const byte = bytes[pos + i] as number
    if (byte === wanted) continue
    const letter = wanted >= 0x61 && wanted <= 0x7a
    if (!letter || byte !== (wanted ^ 0x20)) return false
  }
  return true
}
