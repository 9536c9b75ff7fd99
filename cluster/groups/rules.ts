/**
 * The table of a group's rules: all that the `group` directive, GROUP SET, GROUP INFO, their errors
 * and docs/groups.md know of them. A rule is one row here and, where others ask for it by another
 * name or unit, one getter in group.ts.
 */
import { addHeader, changeHeader, type Header, parseHeader } from './headers.ts'
import { type OriginAddress, parseOrigin } from '../origin/address.ts'
import { Pattern } from './pattern.ts'
import {
  formatTime,
  type Limits,
  parseChoice,
  parseCount,
  parseDecimal,
  parseShare,
  parseSize,
  parseTime,
  RuleError,
  showShare,
  showSize,
  showTime,
} from './rule.ts'

/** What a row's `read` may look at besides the word. */
export interface Reading<Value> {
  /** The value so far; null: this is the first word of the rule. */
  readonly before: Value | null
  /** The names that match has, in order; null for `*`. Empty while match itself is read. */
  readonly wildcards: readonly (string | null)[]
  /** Does GROUP SET read it, and not a `group` line? */
  readonly changes: boolean
}

export interface Rule<Value> {
  /** What may be written, for the docs: 'a time, 1ms to 1h'. */
  readonly takes: string
  /** One sentence. */
  readonly help: string
  /** When it is not given. Missing: it must be. */
  readonly otherwise?: Value
  /** Why GROUP SET does not change it. */
  readonly fixed?: string
  /** May it stand several times, each adding to the value? */
  readonly repeats?: true
  /** The value of a word. Throws RuleError. */
  read(word: string, so: Reading<Value>): Value
  /** For people: secrets are left out. */
  show(value: Value): string
  /** As it is written, a word for each time it stands; missing: as it is shown, once. */
  words?(value: Value): readonly string[]
}

function rule<Value>(row: Rule<Value>): Rule<Value> {
  return row
}

const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS
/** The longest bulk string of the protocol. */
const BODY_BYTES_MAX = 512 * 1024 ** 2

/** How long things live. */
const lives = { min: 0, max: 10 * YEAR_MS }
/** A load that takes longer has failed. */
const takesUpTo = { min: 0, max: HOUR_MS }

function time(help: string, otherwise: number, limits: Limits): Rule<number> {
  return rule({
    takes: `a time, ${showTime(limits.min)} to ${formatTime(limits.max)}`,
    ...{ help, otherwise },
    read: (word) => parseTime(word, limits),
    show: showTime,
  })
}

function count(help: string, otherwise: number, limits: Limits): Rule<number> {
  return rule<number>({
    takes: `a number, ${limits.min} to ${limits.max}`,
    ...{ help, otherwise },
    read: (word) => parseCount(word, limits),
    show: String,
  })
}

function choice<const Word extends string>(
  help: string,
  otherwise: NoInfer<Word>,
  words: readonly Word[],
): Rule<Word> {
  return rule<Word>({
    takes: words.join(', '),
    ...{ help, otherwise },
    read: (word) => parseChoice(word, words),
    show: (value) => value,
  })
}

/** When an origin is left alone. `failures` 0: never. */
export interface Breaker {
  /** So many in a row. */
  readonly failures: number
  /** For so long; then one load tries. */
  readonly openMs: number
}

const breakerFailures = { min: 1, max: 1000 }
const breakerOpens = { min: 10, max: HOUR_MS }
const breakerOtherwise = { failures: 5, openMs: 1000 }

function readBreaker(word: string): Breaker {
  if (/^(off|0)$/i.test(word)) return { ...breakerOtherwise, failures: 0 }
  const [failures = '', open, ...more] = word.split('/')
  if (more.length > 0) throw new RuleError(`'${word}' is no breaker (write 5/1s, 5 or off)`)
  return {
    failures: parseCount(failures, breakerFailures),
    openMs: open === undefined ? breakerOtherwise.openMs : parseTime(open, breakerOpens),
  }
}

const idles = { min: 1000, max: lives.max }
const shares = { min: 0, max: 0.5 }
const betas = { min: 0, max: 100 }
const bodies = { min: 1, max: BODY_BYTES_MAX }
/** Less has no room for a value of some length; more than a machine has. */
const memories = { min: 64 * 1024, max: 1024 ** 4 }
/** What waits for the end of each load: none takes longer. */
const waitsForAll = takesUpTo.max

const settledAtStart = 'it is settled at the start: change the configuration and start anew'

export const RULES = {
  match: rule<Pattern>({
    takes: 'a pattern',
    help: 'The pattern of its keys.',
    fixed: settledAtStart,
    read: Pattern.parse,
    show: ({ text }) => text,
  }),
  origin: rule<OriginAddress>({
    takes: 'an address',
    help: 'Where their values come from: `http://`, `https://`, `redis://`, `rediss://` or `module:./file.mjs`.',
    fixed: settledAtStart,
    read: (word, { wildcards }) => parseOrigin(word, wildcards),
    show: ({ shown }) => shown,
    words: ({ text }) => [text],
  }),
  ttl: time('How long a loaded value is fresh; 0: until it is evicted.', 0, lives),
  stale: time(
    'How long after that it is still served, while it is loaded anew in the background.',
    0,
    lives,
  ),
  'stale-if-error': time('How long after its ttl it is still served where a load fails.', 0, lives),
  negative: time(
    'How long it is remembered that the origin has no such thing; 0: it is asked again each time.',
    0,
    lives,
  ),
  jitter: rule<number>({
    takes: 'a share, 0% to 50%',
    help: 'Each ttl is shortened by up to so much, at random, so that what was loaded together does not expire together.',
    otherwise: 0,
    read: (word) => parseShare(word, shares),
    show: showShare,
  }),
  early: rule<number>({
    takes: 'a number, 0 to 100',
    help: 'How eagerly a value is loaded anew before its ttl ends (the beta of XFetch): more is earlier, 0 is never.',
    otherwise: 1,
    read: (word) => parseDecimal(word, betas),
    show: String,
  }),
  idle: rule<number>({
    takes: `0, or a time, ${formatTime(idles.min)} to ${formatTime(idles.max)}`,
    help: 'A value that nobody asks for so long goes; 0: it stays.',
    otherwise: 0,
    // Kept in whole seconds.
    read: (word) => (/^0[a-z]*$/i.test(word) ? parseTime(word, lives) : readIdle(word)),
    show: showTime,
  }),
  wait: rule<number>({
    takes: `a time, 0 to ${formatTime(takesUpTo.max)}, or none`,
    help: 'How long a client waits for a load before it is answered nil; the load goes on. 0: not at all; none: to its end.',
    otherwise: 1000,
    read: (word) => (/^none$/i.test(word) ? waitsForAll : parseTime(word, takesUpTo, 'none')),
    show: (waitMs) => (waitMs === waitsForAll ? 'none' : showTime(waitMs)),
  }),
  timeout: time(
    'How long a load may take, from the miss to the last byte, waiting for a place and trying again included.',
    5000,
    { min: 1, max: takesUpTo.max },
  ),
  // A connection each, so what one host can be expected to bear.
  concurrency: count('How many loads may be at the origin at once.', 64, { min: 1, max: 4096 }),
  // A waiting load is a key and a timer, some 500 bytes.
  queue: count('How many more may wait for a place there.', 4096, { min: 0, max: 65_536 }),
  retry: count('How often a load that failed is tried again, within its timeout.', 0, {
    min: 0,
    max: 10,
  }),
  breaker: rule<Breaker>({
    takes: `failures/time, ${breakerFailures.min} to ${breakerFailures.max} and ${formatTime(breakerOpens.min)} to ${formatTime(breakerOpens.max)}, or off`,
    help: 'After so many failures in a row the origin is left alone for so long; then one load tries.',
    otherwise: breakerOtherwise,
    read: readBreaker,
    show: ({ failures, openMs }) => (failures === 0 ? 'off' : `${failures}/${showTime(openMs)}`),
  }),
  'max-body': rule<number>({
    takes: `a size, 1 to ${showSize(bodies.max)}`,
    help: 'The longest value taken.',
    otherwise: 8 * 1024 ** 2,
    read: (word) => parseSize(word, bodies),
    show: showSize,
  }),
  'max-bytes': rule<number>({
    takes: `0, or a size, ${showSize(memories.min)} to ${showSize(memories.max)}`,
    help: "The group's share of the memory: beyond it its own values go; 0: no share of its own.",
    otherwise: 0,
    read: (word) => (word === '0' ? 0 : parseSize(word, memories)),
    show: showSize,
  }),
  'on-error': choice(
    'What a client is answered when a load failed: the error, nil, or the stale value however old, if memory still has it.',
    'error',
    ['error', 'nil', 'stale'],
  ),
  'cache-control': choice(
    "Whether the origin's own word on times comes before these rules: `Cache-Control` and `Expires` of an HTTP answer, a Redis's TTL, what a module says.",
    'honour',
    ['honour', 'ignore'],
  ),
  header: rule<readonly Header[]>({
    takes: '"Name: value"',
    help: 'A header to send to an HTTP origin; may be given several times.',
    otherwise: [],
    repeats: true,
    read: (word, { before, changes }) => {
      const change = changes ? changeHeader : addHeader
      return change(before ?? [], parseHeader(word))
    },
    // Most that is worth sending is a key or a token.
    show: (headers) => headers.map(([name]) => `${name}: ***`).join(', '),
    words: (headers) => headers.map(([name, value]) => `${name}: ${value}`),
  }),
  write: rule<boolean>({
    takes: 'yes, no',
    help: 'Whether SET and DEL of its keys go to the origin first, and are done when it has done them.',
    otherwise: false,
    fixed: settledAtStart,
    read: (word) => parseChoice(word, ['yes', 'no']) === 'yes',
    show: (writes) => (writes ? 'yes' : 'no'),
  }),
  copies: {
    ...count(
      'In a cluster: on how many nodes beside its own a key is kept, so that a crash loses none of the group.',
      0,
      { min: 0, max: 1 },
    ),
    fixed: settledAtStart,
  },
} as const

function readIdle(word: string): number {
  const idleMs = parseTime(word, idles)
  if (idleMs % 1000 === 0) return idleMs
  throw new RuleError(`'${word}' is no whole number of seconds`)
}

type Rules = typeof RULES
export type RuleName = keyof Rules
/** The values of all rules, by name. */
export type RuleValues = {
  readonly [Name in RuleName]: Rules[Name] extends Rule<infer Value> ? Value : never
}

export const RULE_NAMES = Object.keys(RULES) as readonly RuleName[]

/** A row, whose value nobody needs to know the type of. */
export function rowOf(name: RuleName): Rule<unknown> {
  return RULES[name]
}

/** Does the rule have the value that it has when it is not given? */
export function isDefault(name: RuleName, value: unknown): boolean {
  const row = rowOf(name)
  if (!('otherwise' in row)) return false
  return wordsOf(name, value).join('\n') === wordsOf(name, row.otherwise).join('\n')
}

/** The words that are written behind the rule's name, one for each time it stands. */
export function wordsOf(name: RuleName, value: unknown): readonly string[] {
  const row = rowOf(name)
  return row.words?.(value) ?? [row.show(value)]
}
