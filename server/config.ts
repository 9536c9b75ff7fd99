/**
 * The configuration: the directive table's values as typed properties (`config.port`,
 * `config['proto-max-bulk-len']`), read from defaults, config file, environment and command line,
 * each overruling those before; changed by CONFIG SET, written by CONFIG REWRITE.
 */
import { chmodSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Group, GroupError, Groups, parseGroup } from '../cluster/groups/group.ts'
import type { MemberList } from '../cluster/members/membership.ts'
import { nearest } from '../cluster/groups/nearest.ts'
import {
  CONFIG_DUPLICATE,
  CONFIG_IMMUTABLE,
  configRewriteFailed,
  directiveFailed,
  ERR_NO_CONFIG_FILE,
  groupRefused,
  noSuchGroup,
  unknownDirective,
} from '../protocol/errors.ts'
import { checkCopies, type DiscoverySource, readCluster } from './config/cluster.ts'
import {
  directives,
  ignored,
  type MachineLimits,
  refusedLines,
  type Row,
} from './config/directives.ts'
import { BadValue, wordsOf } from './config/kinds.ts'
import { type Entry, rewriteConfigText } from './config/rewrite.ts'
import {
  ConfigError,
  type Names,
  readCommandLine,
  readConfigFile,
  readEnvironment,
  reasonOf,
  standardInput,
  type Statement,
  unknown,
} from './config/sources.ts'
import { quoteWord } from '../cluster/groups/words.ts'
import { globMatches } from './glob.ts'

type Table = typeof directives
export type DirectiveName = keyof Table
/** The values in force, by name. */
export type Values = {
  readonly [Name in DirectiveName]: Table[Name] extends Row<infer T> ? T : never
}
export type Config = Values & Settings

interface Directive {
  readonly name: string
  readonly row: Row<unknown>
}

const all: readonly Directive[] = [
  ...Object.entries(directives).map(([name, row]) => ({ name, row: row as Row<unknown> })),
  ...ignored,
]
const byName: ReadonlyMap<string, Directive> = new Map(
  all.flatMap((directive) =>
    [directive.name, ...(directive.row.aliases ?? [])].map((name) => [name, directive]),
  ),
)
const bytesOfNames = [...byName.keys()].map((name) => [name, Buffer.from(name)] as const)

const names: Names = {
  has: (name) => byName.has(name) || Object.hasOwn(refusedLines, name),
  adds: (name) => byName.get(name)?.row.kind.adds === true,
  all: () => byName.keys(),
}

export interface ConfigSources {
  /** The command line after the program's name. */
  readonly args?: readonly string[]
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Default: a machine with 1 GB whose store manages 2 MB to 1 GB. */
  readonly machine?: MachineLimits
}

const smallMachine: MachineLimits = {
  memoryBytes: 2 ** 30,
  ...{ cores: 1, threadsMax: 64 },
  storeBytesMin: 2 * 2 ** 20,
  storeBytesMax: 2 ** 30,
}

/** Reads all sources. Throws ConfigError, whose message is one line for the one who starts us. */
export function loadConfig(sources: ConfigSources = {}): Config {
  const { args = [], environment = {}, machine = smallMachine } = sources
  const { file, statements } = readCommandLine(args, names)
  const given = [
    ...(file === null ? [] : readConfigFile(file)),
    ...readEnvironment(environment, names),
    ...statements,
  ]
  return new Settings({ statements: given, file, machine }) as Config
}

/** What a Config is read from. Plain data: a thread can make the same Config from it. */
export interface ConfigSource {
  readonly statements: readonly Statement[]
  /** Its path, null: there is none. */
  readonly file: string | null
  readonly machine: MachineLimits
  /** Those of a program that embeds a node, in the place of `group` lines. */
  readonly groups?: readonly Group[]
}

/** A name and a value as CONFIG SET has them. */
export type Pair = readonly [name: string, value: string]

/** A new value of a group's rule, as GROUP SET has it. */
export interface GroupChange {
  readonly group: string
  readonly rule: string
  readonly word: string
}

interface Change {
  /** As the client spelt it. */
  readonly name: string
  readonly directive: Directive
  value: unknown
}

export class Settings {
  /** The config file's absolute path, '' when there is none. */
  readonly file: string
  /** The rules of the `group` directives. */
  readonly groups: Groups
  /** Who is in the cluster; null: this node stands alone. */
  readonly members: MemberList | null
  /** Where more of them are found; null: that is all. */
  readonly discovery: DiscoverySource | null
  /** What the log should say at the start about values that are accepted and have no effect. */
  readonly notices: readonly string[]
  readonly source: ConfigSource
  readonly #machine: MachineLimits
  /** As given; the values in force stand in the properties. */
  readonly #given = new Map<Directive, unknown>()
  readonly #where = new Map<Directive, string>()
  readonly #setListeners: ((pairs: readonly Pair[]) => void)[] = []
  readonly #groupListeners: ((change: GroupChange) => void)[] = []
  readonly #listeners = new Map<string, ((value: never) => void)[]>()
  readonly #appliers: { readonly names: readonly DirectiveName[]; readonly apply: () => void }[] =
    []

  constructor(source: ConfigSource) {
    const { statements, file, machine } = source
    this.source = source
    this.file = file === null || file === standardInput ? '' : resolve(file)
    this.#machine = machine
    for (const directive of all) this.#given.set(directive, directive.row.default)
    for (const statement of statements) this.#read(statement)
    for (const directive of all) this.#resolveAtStart(directive)
    this.groups = source.groups === undefined ? this.#readGroups() : new Groups(source.groups)
    const cluster = readCluster(this as unknown as Values, (name) => this.whereOf(name))
    checkCopies(this as unknown as Values, cluster, this.groups, (name) => this.whereOf(name))
    this.members = cluster.members
    this.discovery = cluster.discovery
    this.notices = this.#collectNotices()
  }

  /**
   * CONFIG GET: names and values that match any of the patterns, each once. A name without
   * wildcards comes back as it was asked for.
   */
  get(patterns: readonly string[]): ReadonlyMap<string, string> {
    const found = new Map<string, string>()
    const seen = new Set<string>()
    const add = (name: string, shownAs: string): void => {
      const directive = byName.get(name)
      if (directive === undefined || directive.row.hidden === true || seen.has(name)) return
      seen.add(name)
      found.set(shownAs, this.#shown(directive))
    }
    for (const pattern of patterns) {
      if (!/[*?[]/.test(pattern)) {
        add(pattern.toLowerCase(), pattern)
        continue
      }
      const bytes = Buffer.from(pattern)
      for (const [name, nameBytes] of bytesOfNames) {
        if (globMatches(bytes, nameBytes, 0, name.length, true)) add(name, name)
      }
    }
    return found
  }

  /**
   * CONFIG SET: all pairs or none. Returns null, or the error's line. `local`: does the client sit
   * on this machine (for `enable-protected-configs local`)?
   */
  set(pairs: readonly Pair[], local = false): string | null {
    const changes: Change[] = []
    for (const [name] of pairs) {
      const directive = byName.get(name.toLowerCase())
      if (directive === undefined) return unknownDirective(name)
      const refusal = this.#refuseSet(directive, local)
      if (refusal !== null) return directiveFailed(name, refusal)
      // As in Redis, two names of one directive are no duplicates: the second counts.
      if (changes.some((change) => change.name.toLowerCase() === name.toLowerCase())) {
        return directiveFailed(name, CONFIG_DUPLICATE)
      }
      changes.push({ name, directive, value: null })
    }
    for (const [i, change] of changes.entries()) {
      try {
        change.value = this.#parseSet(change.directive, pairs[i]![1])
      } catch (error) {
        return directiveFailed(change.name, badValueOf(error).message)
      }
    }
    const failure = this.#apply(changes)
    if (failure === null) for (const listener of this.#setListeners) listener(pairs)
    return failure
  }

  /** Calls `listener` with what `set` was called with, when all of it is in force here. */
  onSet(listener: (pairs: readonly Pair[]) => void): void {
    this.#setListeners.push(listener)
  }

  /**
   * Calls `listener` with each new value that CONFIG SET gives the directive. A listener that
   * throws BadValue refuses it: CONFIG SET then fails with its message and changes nothing.
   */
  onChange<Name extends DirectiveName>(name: Name, listener: (value: Values[Name]) => void): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener])
  }

  /**
   * Calls `apply` when CONFIG SET has changed all that it was asked for, if some of that are these. It refuses
   * as a listener of `onChange` does.
   */
  onApply(names: readonly DirectiveName[], apply: () => void): void {
    this.#appliers.push({ names, apply })
  }

  /** GROUP SET. Returns null, or the error's line. CONFIG GET and REWRITE tell the new value. */
  setGroup(change: GroupChange): string | null {
    const group = this.groups.get(change.group)
    if (group === undefined) return noSuchGroup(change.group)
    try {
      group.set(change.rule, change.word)
    } catch (error) {
      if (error instanceof GroupError) return groupRefused(error.message)
      throw error
    }
    const directive = byName.get('group')!
    const lines = (this as unknown as Values).group.map((line) =>
      line.words[0] === group.name ? { ...line, words: group.words() } : line,
    )
    this.#given.set(directive, lines)
    this.#put(directive, lines)
    for (const listener of this.#groupListeners) listener(change)
    return null
  }

  /** Calls `listener` with what `setGroup` was called with, when it is in force here. */
  onGroupSet(listener: (change: GroupChange) => void): void {
    this.#groupListeners.push(listener)
  }

  /** CONFIG REWRITE. Returns null, or the error's line. */
  rewrite(): string | null {
    if (this.file === '') return ERR_NO_CONFIG_FILE
    try {
      const text = rewriteConfigText(readFileSync(this.file, 'utf8'), this.#entries())
      const temporary = `${this.file}.${process.pid}.tmp`
      writeFileSync(temporary, text, { mode: 0o600, flush: true })
      // Who may read it is the operator's choice, before and after.
      chmodSync(temporary, statSync(this.file).mode & 0o777)
      renameSync(temporary, this.file)
      return null
    } catch (error) {
      return configRewriteFailed(reasonOf(error as NodeJS.ErrnoException))
    }
  }

  /** Was the directive given, and is not just its default? */
  isSet(name: DirectiveName): boolean {
    return this.whereOf(name) !== ''
  }

  /** Where the directive was given last: 'redis.conf:12', 'RINGTIER_PORT', 'command line'; or ''. */
  whereOf(name: DirectiveName): string {
    return this.#where.get(byName.get(name)!) ?? ''
  }

  #read(statement: Statement): void {
    const { name, where } = statement
    const directive = byName.get(name)
    if (directive === undefined) {
      throw new ConfigError(where, refusedLines[name] ?? unknown(name, byName.keys()))
    }
    const { row } = directive
    try {
      const words =
        'text' in statement.words ? wordsOf(row.kind, statement.words.text) : statement.words
      if (words.length === 0) throw new BadValue('wants a value')
      if (row.kind.takes === 'one' && words.length > 1) {
        throw new BadValue(`wants one value, but there are ${words.length}`)
      }
      const value = row.kind.parse(words, this.#given.get(directive), where)
      const refusal = row.refuse?.(value) ?? null
      if (refusal !== null) throw new BadValue(refusal)
      this.#given.set(directive, value)
      this.#where.set(directive, where)
    } catch (error) {
      const { message } = badValueOf(error)
      throw new ConfigError(where, `${name}${shownWords(directive, statement)}: ${message}`)
    }
  }

  #resolveAtStart(directive: Directive): void {
    const value = this.#given.get(directive)
    try {
      this.#put(directive, this.#resolve(directive, value))
    } catch (error) {
      const where = this.#where.get(directive) ?? 'default'
      const shown = directive.row.kind.format(value)
      throw new ConfigError(where, `${directive.name} '${shown}': ${badValueOf(error).message}`)
    }
  }

  /** The value in force for the one that was given. Throws BadValue. */
  #resolve({ row }: Directive, value: unknown): unknown {
    return row.resolve?.(value, this.#machine, this as unknown as Values) ?? value
  }

  #put(directive: Directive, value: unknown): void {
    ;(this as Record<string, unknown>)[directive.name] = value
  }

  #inForce(directive: Directive): unknown {
    return (this as Record<string, unknown>)[directive.name]
  }

  #shown(directive: Directive): string {
    return directive.row.kind.format(this.#inForce(directive))
  }

  #refuseSet({ row }: Directive, local: boolean): string | null {
    if (!row.mutable) return CONFIG_IMMUTABLE
    if (row.protected !== true) return null
    const allowed = (this as unknown as Values)['enable-protected-configs']
    return allowed === 'yes' || (allowed === 'local' && local) ? null : "can't set protected config"
  }

  #parseSet(directive: Directive, text: string): unknown {
    const { row } = directive
    const before = row.kind.adds === true ? [] : this.#given.get(directive)
    const value = row.kind.parse(wordsOf(row.kind, text), before, 'CONFIG SET')
    const refusal = row.refuse?.(value) ?? null
    if (refusal !== null) throw new BadValue(refusal)
    // What the machine cannot do is refused before anything is changed.
    const inForce = this.#resolve(directive, value)
    const same = row.kind.format(inForce) === this.#shown(directive)
    if (row.fixed !== undefined && !same) throw new BadValue(row.fixed)
    return value
  }

  /** Returns null, or the line of the error that made it take everything back. */
  #apply(changes: readonly Change[]): string | null {
    const before: [Directive, unknown][] = []
    for (const { name, directive, value } of changes) {
      const { kind } = directive.row
      const old = this.#given.get(directive)
      if (kind.format(value) === kind.format(old)) continue
      before.unshift([directive, old])
      try {
        this.#change(directive, value)
      } catch (error) {
        return this.#takeBack(before, name, error)
      }
    }
    for (const { names, apply } of this.#appliers) {
      const isOne = ({ directive }: Change): boolean => names.some((one) => one === directive.name)
      const last = changes.findLast(isOne)
      if (last === undefined) continue
      try {
        apply()
      } catch (error) {
        return this.#takeBack(before, last.name, error)
      }
    }
    return null
  }

  /** Returns the line of the error for which it takes changes back, the last one first. */
  #takeBack(before: readonly [Directive, unknown][], name: string, error: unknown): string {
    const { message } = badValueOf(error)
    for (const [changed, previous] of before) this.#change(changed, previous)
    return directiveFailed(name, message)
  }

  #change(directive: Directive, value: unknown): void {
    const inForce = this.#resolve(directive, value)
    this.#given.set(directive, value)
    this.#put(directive, inForce)
    for (const listener of this.#listeners.get(directive.name) ?? []) listener(inForce as never)
  }

  #readGroups(): Groups {
    const groups = new Map<string, Group>()
    for (const { words, where } of (this as unknown as Values).group) {
      try {
        const group = parseGroup(words)
        if (groups.has(group.name)) throw new GroupError(`group ${group.name} is given twice`)
        groups.set(group.name, group)
      } catch (error) {
        if (!(error instanceof GroupError)) throw error
        throw new ConfigError(where, error.message, { cause: error })
      }
    }
    return new Groups([...groups.values()])
  }

  /** One line for each reason, with all directives it holds for. */
  #collectNotices(): string[] {
    const byText = new Map<string, string[]>()
    for (const directive of all) {
      const { row } = directive
      if (!this.#where.has(directive) && row.noticesDefault !== true) continue
      const given = this.#given.get(directive) ?? row.default
      const text = row.notice?.(this.#inForce(directive), given, this.#machine) ?? null
      if (text === null) continue
      byText.set(text, [...(byText.get(text) ?? []), directive.name])
    }
    return [...byText].map(([text, directiveNames]) => `${directiveNames.join(', ')}: ${text}`)
  }

  #entries(): Entry[] {
    return all.map((directive) => {
      const { kind, default: initial, aliases = [] } = directive.row
      const value = this.#given.get(directive)
      const shown = kind.format(value)
      return {
        names: [directive.name, ...aliases],
        lines: kind.lines?.(value) ?? [quoteWord(shown)],
        isDefault: shown === kind.format(initial),
        matches: (lines) => meaningOf(directive, lines) === shown,
      }
    })
  }
}

/** Anything but a BadValue is a mistake of ours. */
function badValueOf(error: unknown): BadValue {
  if (error instanceof BadValue) return error
  throw error
}

/** Is the value of this directive, in any case, for nobody to read? */
export function isSecret(name: string): boolean {
  return byName.get(name.toLowerCase())?.row.secret === true
}

/**
 * A line of a config file as an error shows it: of what may be secret or have secrets within, also if it
 * is misspelt, only the name. Null: it cannot be read again.
 */
export function shownLine(file: string, number: number): string | null {
  let line: string
  try {
    line = readFileSync(file, 'utf8').split('\n')[number - 1]?.trim() ?? ''
  } catch {
    return null
  }
  const [given = ''] = line.split(/\s/, 1)
  const name = given.toLowerCase()
  if (name === 'include') return line
  const known = byName.get(name)
  if (known !== undefined) return isOpen(known) ? line : given
  const near = nearest(name, byName.keys())
  const isHarmless = (near === null || isOpen(byName.get(near)!)) && !hintsOfSecrets.test(line)
  return isHarmless ? line : given
}

/** May a line of it be shown? It is no secret, and none may stand within. */
function isOpen({ row }: Directive): boolean {
  return row.secret !== true && row.kind.adds !== true
}

/** What a line that nobody knows has in it if it is about passwords, or about who may do what. */
const hintsOfSecrets = /pas|pwd|auth|user|secret|token|cred|@/i

/** ` 'value'` for an error's line; nothing for secrets, whose value no log may show. */
function shownWords({ row }: Directive, { words }: Statement): string {
  const text = 'text' in words ? words.text : words.join(' ')
  return row.secret === true || text === '' ? '' : ` '${text}'`
}

/** What a directive's lines in a file mean, as CONFIG GET writes it; null: they are refused. */
function meaningOf({ row }: Directive, lines: readonly (readonly string[])[]): string | null {
  try {
    const value = lines.reduce<unknown>(
      (before, words) => row.kind.parse(words, before, ''),
      row.default,
    )
    return row.kind.format(value)
  } catch (error) {
    badValueOf(error)
    return null
  }
}
