import { originEmptyKey, originKey, originKeyTooLong } from '../../protocol/errors.ts'
import { type Header, HEADER_WITHOUT_VALUE } from './headers.ts'
import { nearest } from './nearest.ts'
import type { OriginAddress, OriginKind } from '../origin/address.ts'
import { OriginError } from '../origin/loader.ts'
import type { Pattern } from './pattern.ts'
import { RuleError } from './rule.ts'
import { isDefault, RULE_NAMES, type RuleName, rowOf, type RuleValues, wordsOf } from './rules.ts'
import { quoteWord } from './words.ts'

/**
 * A group is a rule for keys: which ones it is for, which origin has their values, and within what
 * limits those are fetched. It is one `group` directive:
 *
 *     group user match user:{id} origin http://127.0.0.1:3000/users/{id} ttl 5m
 *
 * Most rules can be changed while the server runs (GROUP SET, `set`), so whoever uses one asks for it
 * when it is needed, or listens (`onSet`). The group itself stays the same object.
 */
export class Group {
  readonly name: string
  readonly pattern: Pattern
  /** All that its `origin` says: of a Redis hosts and password, of a module its file. */
  readonly address: OriginAddress
  #number = -1
  #values: RuleValues
  readonly #listeners: ((rule: RuleName) => void)[] = []

  constructor(name: string, values: RuleValues) {
    this.name = name
    this.pattern = values.match
    this.address = values.origin
    this.#values = values
  }

  /** Its index in Groups.all; -1 when it is in none. */
  get number(): number {
    return this.#number
  }

  /* ---- the rules, as those who follow them want to know them ---- */

  /** Milliseconds a loaded value is fresh; 0: until it is evicted. */
  get ttlMs(): number {
    return this.#values.ttl
  }
  /** How long after that it is served while it is loaded anew. */
  get staleMs(): number {
    return this.#values.stale
  }
  /** How long after its ttl it is served where a load fails. */
  get staleIfErrorMs(): number {
    return this.#values['stale-if-error']
  }
  /** How long "there is no such thing" is remembered; 0: not at all. */
  get negativeMs(): number {
    return this.#values.negative
  }
  /** The part of a ttl that chance may take away, 0 to 0.5. */
  get jitter(): number {
    return this.#values.jitter
  }
  /** Of XFetch; 0: no value is loaded anew before its ttl ends. */
  get earlyBeta(): number {
    return this.#values.early
  }
  /** A value that nobody asks for so long goes: whole seconds in milliseconds; 0: it stays. */
  get idleMs(): number {
    return this.#values.idle
  }
  /**
   * How long a client waits for a load before it is answered nil; the load goes on. 0: not at all.
   * Never Infinity: `wait none` is the longest timeout there is.
   */
  get waitMs(): number {
    return this.#values.wait
  }
  /** From the miss to the end of the load, its time in the queue and retries included. */
  get timeoutMs(): number {
    return this.#values.timeout
  }
  /** Loads at the origin at once. */
  get concurrency(): number {
    return this.#values.concurrency
  }
  /** Loads that wait for one of those places; one more is refused. */
  get queueMax(): number {
    return this.#values.queue
  }
  /** How often a load that failed is tried again. */
  get retries(): number {
    return this.#values.retry
  }
  /** So many failures in a row open the breaker; 0: there is none. */
  get breakerFailures(): number {
    return this.#values.breaker.failures
  }
  get breakerOpenMs(): number {
    return this.#values.breaker.openMs
  }
  /** Longest value taken from the origin. */
  get bodyBytesMax(): number {
    return this.#values['max-body']
  }
  /** The group's share of the memory; 0: none of its own. */
  get bytesMax(): number {
    return this.#values['max-bytes']
  }
  /** What a client is answered when a load failed and no value may stand in for it. */
  get onError(): 'error' | 'nil' | 'stale' {
    return this.#values['on-error']
  }
  /** Does the origin's word on times come before these rules? */
  get honoursCacheControl(): boolean {
    return this.#values['cache-control'] === 'honour'
  }
  /** To be sent to an HTTP origin: valid, each name once, none that frames the message. */
  get headers(): readonly Header[] {
    return this.#values.header
  }
  /** Do SET and DEL go to the origin first? */
  get writes(): boolean {
    return this.#values.write
  }

  /** In a cluster: does the next node keep its keys too? */
  get hasCopies(): boolean {
    return this.#values.copies > 0
  }

  /* ---- the origin ---- */

  get originKind(): OriginKind {
    return this.address.kind
  }
  /** Scheme, host and port of an HTTP origin, which no key changes; '' of others. */
  get origin(): string {
    return this.address.kind === 'http' ? this.address.url.origin : ''
  }

  /**
   * The URL that has the value of `key`; '' where the origin has none. Throws an OriginError of kind
   * `key` if the origin cannot be asked for it.
   */
  url(key: Uint8Array): string {
    const { address } = this
    const spans = this.#spansOf(key)
    if (address.kind !== 'http') return ''
    const url = address.url.fill(key, spans)
    if (url === null) throw new OriginError('key', originKey(this.name))
    return url
  }

  /** What the placeholders stand for, by name, in their order: views of the key. Throws as `url`. */
  params(key: Uint8Array): Map<string, Uint8Array> {
    const spans = this.#spansOf(key)
    const params = new Map<string, Uint8Array>()
    for (const [i, name] of this.pattern.wildcards.entries()) {
      if (name !== null) params.set(name, key.subarray(spans[2 * i], spans[2 * i + 1]))
    }
    return params
  }

  /** Both of them, for a request of `key`. Throws as `url`. */
  request(key: Uint8Array): { readonly url: string; readonly params: Map<string, Uint8Array> } {
    return { url: this.url(key), params: this.params(key) }
  }

  /** See Pattern.matches. */
  #spansOf(key: Uint8Array): readonly number[] {
    // A Redis may have it; a URL or a function with nothing in it asks for something else.
    if (key.length === 0 && this.originKind !== 'redis') {
      throw new OriginError('key', originEmptyKey(this.name))
    }
    if (key.length > KEY_BYTES_MAX) {
      throw new OriginError('key', originKeyTooLong(this.name, KEY_BYTES_MAX))
    }
    const spans: number[] = []
    if (this.pattern.matches(key, 0, key.length, spans)) return spans
    throw new OriginError('key', originKey(this.name))
  }

  /* ---- the rules, as they are written ---- */

  /**
   * GROUP SET: gives a rule another value, in this thread. Throws a GroupError, and then nothing has
   * changed.
   */
  set(rule: string, word: string): void {
    const name = ruleNamed(this.name, rule)
    const { fixed } = rowOf(name)
    if (fixed !== undefined) throw new GroupError(`group ${this.name}: ${name}: ${fixed}`)
    const before = this.#values[name]
    const { wildcards } = this.pattern
    const value = readRule(this.name, name, word, { before, wildcards, changes: true })
    const values = { ...this.#values, [name]: value } as RuleValues
    checkTogether(this.name, values)
    this.#values = values
    for (const listener of this.#listeners) listener(name)
  }

  /** Calls `listener` with the name of each rule that `set` has given a value. */
  onSet(listener: (rule: RuleName) => void): void {
    this.#listeners.push(listener)
  }

  /** A rule's value for people, without secrets. */
  shown(rule: RuleName): string {
    return rowOf(rule).show(this.#values[rule])
  }

  /**
   * The words of a `group` directive that makes this group: its name, then the rules that differ from
   * their defaults. Secrets included.
   */
  words(): string[] {
    return this.#wordsOf((rule) => wordsOf(rule, this.#values[rule]))
  }

  /** Its line in a configuration file, secrets included. */
  text(): string {
    return `group ${this.words().map(quoteWord).join(' ')}`
  }

  /** The same for people, without secrets. */
  shownText(): string {
    const words = this.#wordsOf((rule) => [this.shown(rule)])
    return `group ${words.map(quoteWord).join(' ')}`
  }

  #wordsOf(valuesOf: (rule: RuleName) => readonly string[]): string[] {
    const given = RULE_NAMES.filter((rule) => !isDefault(rule, this.#values[rule]))
    return [
      this.name,
      ...given.flatMap((rule) => valuesOf(rule).flatMap((word) => [rule as string, word])),
    ]
  }

  /** For Groups. */
  enter(number: number): void {
    this.#number = number
  }
}

/** A group line that is none. The message is one sentence that names the group. */
export class GroupError extends Error {
  override name = 'GroupError'
  readonly code = 'GROUP'
}

/** A URL of it has at most three times as many bytes; far more than servers accept (8 to 16 KB). */
const KEY_BYTES_MAX = 65_536
/** It stands in every error line and every section of figures. */
const NAME = /^[A-Za-z0-9_.-]{1,64}$/
/** Characters of what is no rule's name, in an error. */
const RULE_SHOWN_MAX = 64
/** Of a rule's value: the longest URL that servers take. Errors show it. */
const WORD_LENGTH_MAX = 8192

/**
 * Reads the words of a `group` directive that follow its name: the group's name, then rules and
 * their values in any order. Throws a GroupError.
 */
export function parseGroup(words: readonly string[]): Group {
  const name = words[0] ?? ''
  if (!NAME.test(name)) {
    throw new GroupError(
      `group '${name}': a group's name is 1 to 64 of the characters A-Z a-z 0-9 _ . -`,
    )
  }
  const given = pairRules(name, words.slice(1))
  const values: Partial<Record<RuleName, unknown>> = {}
  let wildcards: Pattern['wildcards'] = []
  // In the table's order, in which match comes first.
  for (const rule of RULE_NAMES) {
    values[rule] = valueOf(name, rule, given.get(rule), wildcards)
    if (rule === 'match') ({ wildcards } = values.match as Pattern)
  }
  checkTogether(name, values as RuleValues)
  return new Group(name, values as RuleValues)
}

/** Each rule with the words that it is given. */
function pairRules(name: string, words: readonly string[]): Map<RuleName, string[]> {
  const given = new Map<RuleName, string[]>()
  for (let i = 0; i < words.length; i += 2) {
    const rule = ruleNamed(name, words[i]!, words[i - 1])
    const before = given.get(rule) ?? []
    const value = words[i + 1]
    if (before.length > 0 && rowOf(rule).repeats !== true) {
      throw new GroupError(`group ${name}: ${rule} is given twice`)
    }
    if (value === undefined) throw new GroupError(`group ${name}: ${rule} has no value`)
    // Without quotes the value would be taken for a rule, and be shown as an unknown one.
    if (rule === 'header' && value.endsWith(':')) {
      throw new GroupError(`group ${name}: header '${value.slice(0, -1)}' ${HEADER_WITHOUT_VALUE}`)
    }
    given.set(rule, [...before, value])
  }
  return given
}

/** The rule of this name, in any case. `before`: the word before it. Throws a GroupError. */
function ruleNamed(group: string, word: string, before = ''): RuleName {
  const lower = word.toLowerCase()
  const rule = RULE_NAMES.find((name) => name === lower)
  if (rule !== undefined) return rule
  const hint = hintFor(lower, before)
  throw new GroupError(`group ${group}: unknown rule '${word.slice(0, RULE_SHOWN_MAX)}'${hint}`)
}

/** What was meant by a word that is no rule. */
function hintFor(word: string, before: string): string {
  const split = `${before}${word}`
  if (/^\d+(?:ms|[smhd]|[kmg]b?)$/.test(split)) return `, did you mean '${split}'?`
  const [name = '', value] = word.split('=', 2)
  const meant = nearest(name, RULE_NAMES)
  if (meant === null) return ''
  const isAssigned = value !== undefined && value !== ''
  // What it may be given is not repeated where it may be a secret.
  const shown = isAssigned && meant !== 'header' ? `${meant} ${value}` : meant
  return `, did you mean '${shown.slice(0, RULE_SHOWN_MAX)}'?`
}

function valueOf(
  group: string,
  rule: RuleName,
  words: readonly string[] | undefined,
  wildcards: Pattern['wildcards'],
): unknown {
  const row = rowOf(rule)
  if (words === undefined) {
    if (!('otherwise' in row)) throw new GroupError(`group ${group}: ${rule} is missing`)
    return row.otherwise
  }
  return words.reduce<unknown>(
    (before, word) => readRule(group, rule, word, { before, wildcards, changes: false }),
    null,
  )
}

function readRule(
  group: string,
  rule: RuleName,
  word: string,
  so: { before: unknown; wildcards: Pattern['wildcards']; changes: boolean },
): unknown {
  try {
    if (word.length > WORD_LENGTH_MAX) {
      throw new RuleError(`is longer than ${WORD_LENGTH_MAX} characters`)
    }
    return rowOf(rule).read(word, so)
  } catch (error) {
    if (!(error instanceof RuleError)) throw error
    throw new GroupError(`group ${group}: ${rule} ${error.message}`, { cause: error })
  }
}

/** Rules that are right by themselves may make no sense together. */
function checkTogether(group: string, { origin, header }: RuleValues): void {
  if (header.length > 0 && origin.kind !== 'http') {
    throw new GroupError(`group ${group}: header is for http:// and https:// origins`)
  }
}

/**
 * All groups of a node. A key that several match has the most specific one: the one with the most
 * literal bytes in its pattern, of those the one with the fewest wildcards, of those the first.
 */
export class Groups {
  /** In the order given. */
  readonly all: readonly Group[]
  readonly #byName: ReadonlyMap<string, Group>
  /** Most specific first: the groups whose keys can begin with this byte ... */
  readonly #byFirstByte: readonly (readonly Group[])[]
  /** ... and those that can match an empty key. */
  readonly #forEmptyKey: readonly Group[]

  /** Throws a GroupError if two groups have one name. */
  constructor(groups: readonly Group[]) {
    const byName = new Map<string, Group>()
    for (const group of groups) {
      if (byName.has(group.name)) throw new GroupError(`group ${group.name} is given twice`)
      byName.set(group.name, group)
    }
    const specific = groups.toSorted(
      (a, b) =>
        b.pattern.literalBytes - a.pattern.literalBytes ||
        a.pattern.wildcards.length - b.pattern.wildcards.length,
    )
    for (const [number, group] of groups.entries()) group.enter(number)
    this.all = groups
    this.#byName = byName
    this.#forEmptyKey = specific.filter((group) => group.pattern.firstByte === -1)
    this.#byFirstByte = Array.from({ length: 256 }, (_, byte) =>
      specific.filter((group) => [-1, byte].includes(group.pattern.firstByte)),
    )
  }

  get(name: string): Group | undefined {
    return this.#byName.get(name)
  }

  /**
   * The group of the key at bytes[pos, pos + length), or null. Called on a miss: a key that has no
   * group costs one look at its first byte in most cases, and nothing is allocated.
   */
  match(bytes: Uint8Array, pos: number, length: number): Group | null {
    const candidates =
      length === 0
        ? this.#forEmptyKey
        : (this.#byFirstByte[bytes[pos] as number] as readonly Group[])
    for (let i = 0; i < candidates.length; i++) {
      const group = candidates[i] as Group
      if (group.pattern.matches(bytes, pos, length)) return group
    }
    return null
  }
}
