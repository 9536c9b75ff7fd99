/*
 * The options of an embedded group, read as the rules of a `group` directive: an embedded group is one,
 * with a function in the place of its origin. So its limits, its defaults and what it does are those of
 * the server's groups, and stand in one place (cluster/groups/rules.ts).
 *
 *     cache.group('user', { ttl: '5m', stale: '1h', load })
 *     group user match user:{id} origin module:./load.js ttl 5m stale 1h
 *
 * What differs is how values are written: JavaScript's numbers are milliseconds, as everywhere in the
 * embedded cache, whereas a plain number in a directive is seconds. So a text needs its unit here.
 */
import { type Group, GroupError, parseGroup } from '../../cluster/groups/group.ts'
import { parseTime, RuleError } from '../../cluster/groups/rule.ts'
import { checkNames, type Size, sizeIn, typeName } from '../clients/passed.ts'

/** Milliseconds, or a text like '250ms', '5s', '5m', '2h', '1d'. */
export type Time = number | string

/** When the origin is left alone. */
export interface BreakerOptions {
  /** After so many failures in a row ... */
  readonly failures: number
  /** ... for so long; then one load tries. Default: '1s'. */
  readonly open?: Time
}

/** What the options of a group have in common with a `group` directive. */
export interface GroupRuleOptions {
  /** How long a loaded value is fresh. Default: the cache's `ttl`, else Infinity: until it is evicted. */
  readonly ttl?: Time
  /** How long after that it is still served, while it is loaded anew in the background. Default: 0. */
  readonly stale?: Time
  /** How long after its ttl it is still served where a load fails. Default: 0. */
  readonly staleIfError?: Time
  /** How long it is remembered that there is no such thing. Default: 0, it is asked for each time. */
  readonly negative?: Time
  /** Each ttl is shortened by up to this part of it, at random: 0.1 or '10%'. Default: 0. */
  readonly jitter?: number | string
  /** How eagerly a value is loaded anew before its ttl ends (the beta of XFetch); 0: never. Default: 1. */
  readonly early?: number
  /** A value that nobody asks for so long goes. Whole seconds. Default: 0, it stays. */
  readonly idle?: Time
  /**
   * How long `get` waits for a load before it resolves to a stale value, if there is one, else to
   * undefined; the load goes on. Default: Infinity, to its end.
   */
  readonly wait?: Time
  /** How long a load may take, waiting for a place and trying again included. Default: '5s'. */
  readonly timeout?: Time
  /** How many loads may be under way at once. Default: 64. */
  readonly concurrency?: number
  /** How many more may wait for a place among them. Default: 4096. */
  readonly queue?: number
  /** How often a load that failed is tried again, within its timeout. Default: 0. */
  readonly retry?: number
  /** When the loader is left alone: '5/1s', 'off', or an object. Default: '5/1s'. */
  readonly breaker?: BreakerOptions | string
  /** The group's share of maxMemory: beyond it its own values go. Default: 0, none of its own. */
  readonly maxBytes?: Size
  /**
   * What `get` comes to when a load failed and no value may stand in for it: 'error' rejects, 'nil'
   * resolves to undefined, 'stale' lets any value that memory still has stand in. Default: 'error'.
   */
  readonly onError?: 'error' | 'nil' | 'stale'
}

/** How an option is written as a rule. */
interface OptionRule {
  readonly rule: string
  /** The rule's word for a value. Throws a TypeError or RangeError that continues the option's name. */
  readonly word: (value: unknown) => string
}

const OPTIONS: Readonly<Record<keyof GroupRuleOptions, OptionRule>> = {
  ttl: { rule: 'ttl', word: (value) => lifeWord(value) },
  stale: { rule: 'stale', word: timeWord },
  staleIfError: { rule: 'stale-if-error', word: timeWord },
  negative: { rule: 'negative', word: timeWord },
  jitter: {
    rule: 'jitter',
    word: (value) => numberOrText(value, "a part of one like 0.1 or '10%'"),
  },
  early: { rule: 'early', word: (value) => numberWord(value) },
  idle: { rule: 'idle', word: timeWord },
  wait: { rule: 'wait', word: (value) => (value === Infinity ? 'none' : timeWord(value)) },
  timeout: { rule: 'timeout', word: timeWord },
  concurrency: { rule: 'concurrency', word: (value) => numberWord(value) },
  queue: { rule: 'queue', word: (value) => numberWord(value) },
  retry: { rule: 'retry', word: (value) => numberWord(value) },
  breaker: { rule: 'breaker', word: breakerWord },
  maxBytes: { rule: 'max-bytes', word: sizeWord },
  onError: { rule: 'on-error', word: (value) => textOf(value, "'error', 'nil' or 'stale'") },
}

const RULE_OPTION_NAMES = Object.keys(OPTIONS) as readonly (keyof GroupRuleOptions)[]

/**
 * The group that these options describe. `ttl`: if they do not say; `others`: options beside the rules.
 * @throws {TypeError} an option has the wrong type, or there is none of this name
 * @throws {RangeError} an option is out of its limits
 */
export function groupOf(
  name: unknown,
  options: GroupRuleOptions,
  { ttl, others }: { readonly ttl: Time; readonly others: readonly string[] },
): Group {
  if (typeof name !== 'string') {
    throw new TypeError(`a group's name must be a string, but is ${typeName(name)}`)
  }
  checkNames(`group ${name}`, options, [...RULE_OPTION_NAMES, ...others])
  const words = [name, 'match', `${name}:{id}`, 'origin', 'module:./program.js']
  for (const option of RULE_OPTION_NAMES) {
    const given = options[option]
    const value = given === undefined && option === 'ttl' ? ttl : given
    if (value === undefined) continue
    const { rule, word } = OPTIONS[option]
    words.push(
      rule,
      named(`group ${name}: ${option}`, () => word(value)),
    )
  }
  return inOptionsWords(() => parseGroup(words))
}

/** Milliseconds that something is to live; Infinity: for ever. Throws as the options do. */
export function lifeMs(what: string, time: unknown): number {
  return named(what, () => {
    const word = lifeWord(time)
    return word === '0' ? Infinity : readTime(word)
  })
}

/** 143,000 years: sums with the clock are exact up to here. */
const TIME_MS_MAX = 2 ** 52

function readTime(word: string): number {
  try {
    return parseTime(word, { min: 0, max: TIME_MS_MAX })
  } catch (error) {
    if (error instanceof RuleError) throw new RangeError(error.message, { cause: error })
    throw error
  }
}

/** Says of whose value an error speaks. */
function named<T>(what: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof TypeError)
      throw new TypeError(`${what} ${error.message}`, { cause: error })
    if (error instanceof RangeError)
      throw new RangeError(`${what} ${error.message}`, { cause: error })
    throw error
  }
}

/** A GroupError speaks of rules, and callers know options. */
function inOptionsWords<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof GroupError)) throw error
    const option = (rule: string): string =>
      RULE_OPTION_NAMES.find((name) => OPTIONS[name].rule === rule) ?? rule
    const message = error.message.replace(
      /^(group \S+: )([a-z-]+)/,
      (_, start: string, rule: string) => start + option(rule),
    )
    throw new RangeError(message, { cause: error })
  }
}

/* ---- values as words; what they throw goes on after the option's name ---- */

function timeWord(value: unknown): string {
  if (typeof value === 'string') {
    if (/^\s*\d+\s*$/.test(value)) throw new TypeError(`'${value}' has no unit (write '${value}s')`)
    return value
  }
  if (typeof value !== 'number') {
    throw new TypeError(`must be milliseconds or a time like '5m', but is ${typeName(value)}`)
  }
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`must be whole milliseconds, 0 or more, but is ${value}`)
  }
  return `${value}ms`
}

function lifeWord(value: unknown): string {
  if (value === Infinity) return '0'
  const word = timeWord(value)
  if (/^0+[a-z]*$/i.test(word)) throw new RangeError('must be over 0, or Infinity: for ever')
  return word
}

function numberWord(value: unknown): string {
  if (typeof value !== 'number') throw new TypeError(`must be a number, but is ${typeName(value)}`)
  // As rules write numbers: they know no exponents.
  return Number.isFinite(value) ? String(Number(value.toFixed(6))) : String(value)
}

function numberOrText(value: unknown, wanted: string): string {
  return typeof value === 'number' ? numberWord(value) : textOf(value, wanted)
}

function textOf(value: unknown, wanted: string): string {
  if (typeof value === 'string') return value
  throw new TypeError(`must be ${wanted}, but is ${typeName(value)}`)
}

function breakerWord(value: unknown): string {
  if (typeof value !== 'object' || value === null) {
    return textOf(value, "'off', '5/1s' or { failures: 5, open: '1s' }")
  }
  checkNames('', value, ['failures', 'open'])
  const { failures, open } = value as Partial<BreakerOptions>
  const word = named('.failures', () => numberWord(failures))
  return open === undefined ? word : `${word}/${named('.open', () => timeWord(open))}`
}

function sizeWord(value: unknown): string {
  if (typeof value !== 'number' && typeof value !== 'string') {
    throw new TypeError(`must be bytes or a size like '64mb', but is ${typeName(value)}`)
  }
  const bytes = sizeIn(value)
  return Number.isNaN(bytes) ? String(value) : String(bytes)
}
