/**
 * The kinds of values a directive takes: how words become a value and how the value is written.
 * What they refuse they refuse with Redis's words, for CONFIG SET answers with them.
 */
import { bytesOf, sizeText } from '../../cluster/groups/size.ts'
import {
  CONFIG_NOT_INTEGER,
  CONFIG_NOT_MEMORY,
  CONFIG_NOT_YES_NO,
  CONFIG_SAVE,
  configBetween,
  configOneOf,
} from '../../protocol/errors.ts'
import { quoteWord, splitWords } from '../../cluster/groups/words.ts'

/** Why a value is refused; the message says what would be right. */
export class BadValue extends Error {
  override readonly name = 'BadValue'
  readonly code = 'BAD_VALUE'
}

export interface Kind<T> {
  /** For the docs: 'integer', 'size', 'yes or no' ... */
  readonly type: string
  /** For the docs: '0 to 65535', '' when there is none. */
  readonly limits: string
  /** The words after the directive's name. One that takes a list takes them all, others just one. */
  readonly takes: 'one' | 'list'
  /** Does a further line add to the value (`save`, `group`), and not replace it? */
  readonly adds?: true
  /**
   * The value of these words, which stand at `where`. `previous` is the value so far, for kinds
   * that add to it or change a part. Throws BadValue.
   */
  parse(words: readonly string[], previous: T, where: string): T
  /** As CONFIG GET answers it. */
  format(value: T): string
  /** The words after the name in a config file, one entry a line, quoted where they must be. */
  lines?(value: T): string[]
}

/** The largest number Redis knows; doubles near it all mean that one. */
export const longMax = 2 ** 63

function numberText(n: number): string {
  return n >= longMax ? '9223372036854775807' : String(n)
}

function checkRange(n: number, min: number, max: number): number {
  if (n >= min && n <= max) return n
  throw new BadValue(configBetween(min, max >= longMax ? BigInt(numberText(max)) : max))
}

/** A whole number, written without sign or leading zeros, as Redis wants it. */
export function integer(min: number, max: number): Kind<number> {
  return {
    type: 'integer',
    limits: max >= longMax ? `${min} or more` : `${min} to ${max}`,
    takes: 'one',
    parse: ([word = '']) => {
      if (!/^(0|-?[1-9]\d*)$/.test(word) || BigInt.asIntN(64, BigInt(word)) !== BigInt(word)) {
        throw new BadValue(CONFIG_NOT_INTEGER)
      }
      return checkRange(Number(word), min, max)
    },
    format: numberText,
  }
}

/** One that takes the nearest of these limits where it is beyond them. */
export function clamped(kind: Kind<number>, min: number, max: number): Kind<number> {
  return {
    ...kind,
    limits: `${min} to ${max}, the nearest of what is beyond`,
    parse: (...given) => Math.min(max, Math.max(min, kind.parse(...given))),
  }
}

/** Bytes. Written as a plain number. */
export function size(min: number, max: number): Kind<number> {
  return {
    type: 'size',
    limits:
      max >= longMax
        ? min > 0
          ? `${sizeText(min)} or more`
          : ''
        : `${sizeText(min)} to ${sizeText(max)}`,
    takes: 'one',
    parse: ([word = '']) => {
      const bytes = bytesOf(word)
      if (Number.isNaN(bytes)) throw new BadValue(CONFIG_NOT_MEMORY)
      return checkRange(Math.min(bytes, longMax), min, max)
    },
    format: numberText,
    lines: (value) => [value >= longMax ? numberText(value) : sizeText(value)],
  }
}

/** A size or, as '5%', a share of maxmemory: kept as written, for nothing here reads it. */
export function sizeOrPercent(): Kind<string> {
  return {
    type: 'size or percentage',
    limits: '',
    takes: 'one',
    parse: ([word = '']) => {
      const [, percent] = /^(\d+)%$/.exec(word) ?? []
      if (percent !== undefined) {
        if (Number(percent) <= 100) return `${Number(percent)}%`
        throw new BadValue('percentage argument must be less or equal to 100')
      }
      const bytes = bytesOf(word)
      if (Number.isNaN(bytes)) throw new BadValue('argument must be a memory or percent value')
      return numberText(bytes)
    },
    format: (value) => value,
  }
}

export function yesNo(): Kind<boolean> {
  return {
    type: 'yes or no',
    limits: '',
    takes: 'one',
    parse: ([word = '']) => {
      if (/^yes$/i.test(word)) return true
      if (/^no$/i.test(word)) return false
      throw new BadValue(CONFIG_NOT_YES_NO)
    },
    format: (value) => (value ? 'yes' : 'no'),
  }
}

/** One of a few words. `named`: those that an error names, where Redis does not know all. */
export function choice<const Word extends string>(
  words: readonly Word[],
  named: readonly Word[] = words,
): Kind<Word> {
  return {
    type: 'one of',
    limits: words.join(', '),
    takes: 'one',
    parse: ([word = '']) => {
      const lower = word.toLowerCase()
      const chosen = words.find((candidate) => candidate === lower)
      if (chosen !== undefined) return chosen
      throw new BadValue(configOneOf(named))
    },
    format: (value) => value,
  }
}

/** Several of a few words: 'nosave now'. Written in the table's order. */
export function flags(
  words: readonly string[],
  check: (chosen: readonly string[]) => string | null = () => null,
): Kind<readonly string[]> {
  return {
    type: 'some of',
    limits: words.join(', '),
    takes: 'list',
    parse: (given) => {
      const chosen = given.map((word) => word.toLowerCase())
      if (chosen.length === 0 || !chosen.every((word) => words.includes(word))) {
        throw new BadValue(configOneOf(words))
      }
      const refusal = check(chosen)
      if (refusal !== null) throw new BadValue(refusal)
      return words.filter((word) => chosen.includes(word))
    },
    format: (value) => value.join(' '),
  }
}

/** Any text. `check` returns why a text is refused, or null. */
export function text(check: (value: string) => string | null = () => null): Kind<string> {
  return {
    type: 'text',
    limits: '',
    takes: 'one',
    parse: ([word = '']) => {
      const refusal = check(word)
      if (refusal !== null) throw new BadValue(refusal)
      return word
    },
    format: (value) => value,
  }
}

/** Words; an empty one alone means none. `check` returns why the list is refused, or null. */
export function list(
  check: (value: readonly string[]) => string | null = () => null,
): Kind<readonly string[]> {
  return {
    type: 'list',
    limits: '',
    takes: 'list',
    parse: (words) => {
      const value = words.length === 1 && words[0] === '' ? [] : [...words]
      const refusal = check(value)
      if (refusal !== null) throw new BadValue(refusal)
      return value
    },
    format: (value) => value.join(' '),
    lines: (value) => [value.length === 0 ? '""' : value.map(quoteWord).join(' ')],
  }
}

/** Redis's `save`: pairs of seconds and changes, lines adding up, an empty word clearing them. */
export function savePoints(): Kind<readonly string[]> {
  return {
    type: 'pairs of seconds and changes',
    limits: '',
    takes: 'list',
    adds: true,
    parse: (words, previous) => {
      if (words.length === 1 && words[0] === '') return []
      const numbers = words.every((word) => /^\d+$/.test(word))
      const positive = words.every((word, i) => i % 2 === 1 || Number(word) > 0)
      if (words.length === 0 || words.length % 2 === 1 || !numbers || !positive) {
        throw new BadValue(CONFIG_SAVE)
      }
      return [...previous, ...words.map((word) => String(Number(word)))]
    },
    format: (value) => value.join(' '),
    lines: (value) => {
      const pairs = value.flatMap((_, i) => (i % 2 === 0 ? [value.slice(i, i + 2).join(' ')] : []))
      return pairs.length === 0 ? ['""'] : pairs
    },
  }
}

const classAliases: Readonly<Record<string, string>> = { replica: 'slave' }
const outputClasses = ['normal', 'slave', 'pubsub']

/** Redis's `client-output-buffer-limit`: a line changes the classes it names. */
export function outputLimits(): Kind<ReadonlyMap<string, string>> {
  return {
    type: 'class, hard limit, soft limit, seconds',
    limits: '',
    takes: 'list',
    parse: (words, previous) => {
      if (words.length === 0 || words.length % 4 !== 0) {
        throw new BadValue('Wrong number of arguments in buffer limit configuration.')
      }
      const limits = new Map(previous)
      for (let i = 0; i < words.length; i += 4) {
        const given = words[i]!.toLowerCase()
        const name = classAliases[given] ?? given
        if (!outputClasses.includes(name)) {
          throw new BadValue('Invalid client class specified in buffer limit configuration.')
        }
        const [hard, soft] = [bytesOf(words[i + 1]!), bytesOf(words[i + 2]!)]
        const seconds = words[i + 3]!
        if (Number.isNaN(hard) || Number.isNaN(soft) || !/^\d+$/.test(seconds)) {
          throw new BadValue(
            'Error in hard, soft or soft_seconds setting in buffer limit configuration.',
          )
        }
        limits.set(name, `${numberText(hard)} ${numberText(soft)} ${Number(seconds)}`)
      }
      return limits
    },
    format: (value) => [...value].map(([name, limits]) => `${name} ${limits}`).join(' '),
    lines: (value) => [...value].map(([name, limits]) => `${name} ${limits}`),
  }
}

const eventClasses = 'Ag$lshzxeKEtmdn'
/** What 'A' stands for, and the order in which Redis writes them. */
const eventsOfA = 'g$lshzxetd'
const eventsBeside = 'nKEm'

/** Redis's `notify-keyspace-events`: a set of letters. */
export function eventFlags(): Kind<string> {
  return {
    type: 'letters',
    limits: eventClasses,
    takes: 'one',
    parse: ([word = '']) => {
      if ([...word].some((letter) => !eventClasses.includes(letter))) {
        throw new BadValue(`Invalid event class character. Use '${eventClasses}'.`)
      }
      const given = new Set(word.replace('A', eventsOfA))
      const all = [...eventsOfA].every((letter) => given.has(letter))
      const main = all ? 'A' : [...eventsOfA].filter((letter) => given.has(letter)).join('')
      return main + [...eventsBeside].filter((letter) => given.has(letter)).join('')
    },
    // As in Redis, which does not print n behind A.
    format: (value) => value.replace('An', 'A'),
  }
}

/** A directive that may stand many times: each line is one entry of the list, with its place. */
export interface Line {
  readonly words: readonly string[]
  /** 'redis.conf:12', 'RINGTIER_GROUP', 'command line'. */
  readonly where: string
}

/** Each line its words; an empty word alone clears what stood before. */
export function lines(): Kind<readonly Line[]> {
  return {
    type: 'words, one line each',
    limits: '',
    takes: 'list',
    adds: true,
    parse: (words, previous, where) => {
      if (words.length === 0 || words[0] === '') throw new BadValue('wants at least one word')
      return [...previous, { words: [...words], where }]
    },
    format: (value) => value.map((line) => line.words.map(quoteWord).join(' ')).join('\n'),
    lines: (value) => value.map((line) => line.words.map(quoteWord).join(' ')),
  }
}

/** The words of a value that came as one string: CONFIG SET, the environment, one argument. */
export function wordsOf(kind: Kind<unknown>, value: string): string[] {
  if (kind.takes === 'one') return [value]
  const words = splitWords(value)
  if (words === null) throw new BadValue('unbalanced quotes')
  return words.length === 0 ? [''] : words
}
