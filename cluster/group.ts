import { originEmptyKey, originKey, originKeyTooLong } from '../protocol/errors.ts'
import { nearest } from './nearest.ts'
import { OriginError } from './origin/loader.ts'
import { UrlTemplate } from './origin/url.ts'
import { Pattern } from './pattern.ts'
import { parseCount, parseSize, parseTime, RuleError } from './rule.ts'

/**
 * A group is a rule for keys: which ones it is for, which origin has their values, and within what
 * limits those are fetched. It is one `group` directive:
 *
 *     group user match user:{id} origin http://127.0.0.1:3000/users/{id} ttl 5m
 */
export class Group {
  readonly name: string
  readonly pattern: Pattern
  /** Milliseconds a loaded value lives; 0: until it is evicted. */
  readonly ttlMs: number
  /** How long a client waits for a load before it is answered nil; the load goes on. 0: not at all. */
  readonly waitMs: number
  /** From the miss to the end of the load, its time in the queue included. */
  readonly timeoutMs: number
  /** Longest value taken from the origin. */
  readonly bodyBytesMax: number
  /** Loads at the origin at once. */
  readonly concurrency: number
  /** Loads that wait for one of those places; one more is refused. */
  readonly queueMax: number
  /* ---- stand-ins until the rules are there ---- */
  readonly address = { kind: 'http' } as const
  readonly retries = 0
  readonly breakerFailures = 0
  readonly breakerOpenMs = 0
  readonly honoursCacheControl = true
  readonly headers: readonly (readonly [name: string, value: string])[] = []
  readonly writes = false
  readonly #url: UrlTemplate

  constructor(rules: GroupRules) {
    this.name = rules.name
    this.pattern = rules.match
    this.ttlMs = rules.ttl
    this.waitMs = rules.wait
    this.timeoutMs = rules.timeout
    this.bodyBytesMax = rules['max-body']
    this.concurrency = rules.concurrency
    this.queueMax = rules.queue
    this.#url = rules.origin
  }

  /** Scheme, host and port of the origin. No key changes it. */
  get origin(): string {
    return this.#url.origin
  }

  /** The URL that has the value of `key`. Throws an OriginError of kind `key` if none can. */
  url(key: Uint8Array): string {
    if (key.length === 0) throw new OriginError('key', originEmptyKey(this.name))
    if (key.length > KEY_BYTES_MAX) {
      throw new OriginError('key', originKeyTooLong(this.name, KEY_BYTES_MAX))
    }
    const spans: number[] = []
    const url = this.pattern.matches(key, 0, key.length, spans) ? this.#url.fill(key, spans) : null
    if (url === null) throw new OriginError('key', originKey(this.name))
    return url
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

const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS

/** The longest bulk string of the protocol. */
const BODY_BYTES_MAX = 512 * 1024 ** 2

/** Every rule a group can have: how its word is read, and its value when it is not given. */
interface Rule<Value> {
  readonly read: (word: string) => Value
  /** None: the rule must be given. */
  readonly otherwise?: Value
}

const NUMBER_RULES = {
  ttl: { read: (word) => parseTime(word, { min: 0, max: 10 * YEAR_MS }), otherwise: 0 },
  wait: { read: (word) => parseTime(word, { min: 0, max: HOUR_MS }), otherwise: 1000 },
  timeout: { read: (word) => parseTime(word, { min: 1, max: HOUR_MS }), otherwise: 5000 },
  'max-body': {
    read: (word) => parseSize(word, { min: 1, max: BODY_BYTES_MAX }),
    otherwise: 8 * 1024 ** 2,
  },
  // A connection each, so what one host can be expected to bear.
  concurrency: { read: (word) => parseCount(word, { min: 1, max: 4096 }), otherwise: 64 },
  // A waiting load is a key and a timer, some 500 bytes.
  queue: { read: (word) => parseCount(word, { min: 0, max: 65_536 }), otherwise: 4096 },
} as const satisfies Readonly<Record<string, Rule<number>>>

type NumberRule = keyof typeof NUMBER_RULES

/** The words of a group's rules, read. */
export interface GroupRules extends Readonly<Record<NumberRule, number>> {
  readonly name: string
  readonly match: Pattern
  readonly origin: UrlTemplate
}

const RULE_NAMES: readonly string[] = ['match', 'origin', ...Object.keys(NUMBER_RULES)]

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
  const match = readRule(name, given, 'match', { read: Pattern.parse })
  const origin = readRule(name, given, 'origin', {
    read: (word) => UrlTemplate.parse(word, match.wildcards),
  })
  const numbers = Object.fromEntries(
    Object.entries(NUMBER_RULES).map(([rule, how]) => [rule, readRule(name, given, rule, how)]),
  ) as Record<NumberRule, number>
  return new Group({ name, match, origin, ...numbers })
}

function pairRules(name: string, words: readonly string[]): Map<string, string> {
  const given = new Map<string, string>()
  for (let i = 0; i < words.length; i += 2) {
    const word = words[i] as string
    const rule = word.toLowerCase()
    const value = words[i + 1]
    if (!RULE_NAMES.includes(rule)) {
      const meant = nearest(rule, RULE_NAMES)
      const hint = meant === null ? '' : `, did you mean '${meant}'?`
      throw new GroupError(`group ${name}: unknown rule '${word}'${hint}`)
    }
    if (given.has(rule)) throw new GroupError(`group ${name}: ${rule} is given twice`)
    if (value === undefined) throw new GroupError(`group ${name}: ${rule} has no value`)
    given.set(rule, value)
  }
  return given
}

function readRule<Value>(
  name: string,
  given: ReadonlyMap<string, string>,
  rule: string,
  how: Rule<Value>,
): Value {
  const word = given.get(rule)
  if (word === undefined) {
    if (how.otherwise === undefined) throw new GroupError(`group ${name}: ${rule} is missing`)
    return how.otherwise
  }
  try {
    return how.read(word)
  } catch (error) {
    if (!(error instanceof RuleError)) throw error
    throw new GroupError(`group ${name}: ${rule} ${error.message}`, { cause: error })
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
