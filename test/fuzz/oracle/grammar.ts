/*
 * Calls of a command, drawn from the line in which its row writes its arguments (server/syntax.ts): so
 * a new command is fuzzed as soon as it has a row. What an argument may be follows from its name, in
 * the tables here, and else from its type.
 *
 * Options come in any order, some twice, and one call in eight is spoiled: a word too few, too many, of
 * another place or another kind.
 */
import type { Command } from '../../../server/command.ts'
import { commands } from '../../../server/commands/index.ts'
import { type Argument, parseSyntax } from '../../../server/syntax.ts'
import type { Word } from '../../compat/line.ts'
import { REDIS_COMMANDS } from '../../redis-commands.ts'
import { bytes, type Values } from './values.ts'

/** A call by its words. */
type Call = readonly Word[]

/** What an argument is, by its name, or by command and name where that is not enough. */
const ARGUMENTS: Readonly<Record<string, (v: Values) => Word>> = {
  value: (v) => v.value(),
  'setbit.value': (v) => v.between(0, 1),
  'bitfield.value': (v) => v.integer(),
  increment: (v) => v.integer(),
  decrement: (v) => v.integer(),
  seconds: (v) => v.seconds(),
  'restore.seconds': (v) => v.between(0, 1_000),
  milliseconds: (v) => v.milliseconds(),
  ttl: (v) => (v.once(2) ? bytes('0') : v.pick(v.milliseconds(), v.unixMilliseconds())),
  'unix-time-seconds': (v) => v.unixSeconds(),
  'unix-time-milliseconds': (v) => v.unixMilliseconds(),
  start: (v) => v.index(),
  end: (v) => v.index(),
  offset: (v) => v.offset(),
  'bitfield.offset': (v) => bitOffset(v),
  'bitfield_ro.offset': (v) => bitOffset(v),
  encoding: (v) =>
    v.once(12)
      ? v.pick(...['i0', 'u0', 'i65', 'u64', 'x8', 'i', '', 'u-1', 'i08'].map(bytes))
      : bytes(`${v.pick('i', 'u')}${v.pick(1, 2, 5, 7, 8, 13, 16, 31, 32, 33, 63, 63)}`),
  bit: (v) => v.between(0, 1),
  operation: (v) => v.pick(...['AND', 'OR', 'XOR', 'NOT', 'and', 'Not', 'x'].map(bytes)),
  len: (v) => v.between(0, 5),
  // Of what is too short Redis reads on in the checksum: here it is refused.
  'serialized-value': (v) => (v.once(8) ? v.notInteger() : '$dump'),
  frequency: (v) => v.between(0, 255),
  index: (v) => v.between(0, 2),
  index1: (v) => v.between(0, 2),
  index2: (v) => v.between(0, 2),
  db: (v) => v.between(0, 2),
  'destination-db': (v) => v.between(0, 2),
  pattern: (v) => v.pattern(),
  cursor: (v) => (v.once(8) ? v.integer() : bytes('0')),
  count: (v) => v.between(1_000, 2_000),
  type: (v) => v.pick(...['string', 'STRING', 'hash', 'list', 'x', ''].map(bytes)),
  message: (v) => v.value(),
  channel: (v) => v.channel(),
  // Events of a transaction are told behind it, what it publishes at once: not in one channel.
  'publish.channel': (v) => bytes(v.pick('x', 'y', 'news.art', '')),
  shardchannel: (v) => v.channel(),
  protover: (v) => v.pick(...['2', '3', '2', '3', '1', '4', 'x', ''].map(bytes)),
  username: (v) => v.pick(...['default', 'default', 'nobody', ''].map(bytes)),
  password: (v) => v.pick(...['secret', '', 'x'].map(bytes)),
  clientname: (v) => name(v),
  'connection-name': (v) => name(v),
  'client-id': (v) => v.pick<Word>('$id:a', '$id:b', '$id:c', v.integer()),
  'ip:port': (v) => v.pick<Word>('$addr:a', '$addr:b', bytes('1.2.3.4:5'), bytes('x')),
  'yes/no': (v) => v.pick(...['yes', 'no', 'x'].map(bytes)),
  timeout: (v) => v.pick(...['0', '1', '10', '-1', 'x', ''].map(bytes)),
  numreplicas: (v) => v.pick(...['0', '0', '-1', 'x', '9223372036854775808'].map(bytes)),
  section: (v) => v.pick(...['server', 'memory', 'all', 'x', 'Keyspace'].map(bytes)),
  parameter: (v) => v.pick(...Object.keys(SETTINGS).map(bytes), v.pattern(), bytes('nosuch')),
  event: (v) => v.pick(...['command', 'fork', 'x', ''].map(bytes)),
  command: (v) => bytes(v.pick(...callable.keys())),
  'command-name': (v) => bytes(v.pick(...callable.keys(), 'nosuch', '')),
  category: (v) => v.pick(...['string', 'read', 'x'].map(bytes)),
  version: (v) => v.between(1, 7),
}

/** Calls that no row writes down. */
const CALLS: Readonly<Record<string, (grammar: Grammar, v: Values) => Call>> = {
  'config|set': (_grammar, v) => {
    const words = [bytes('CONFIG'), bytes('SET')]
    do {
      const [directive, settings] = v.pick(...Object.entries(SETTINGS))
      words.push(bytes(directive), bytes(v.random.pick(v.once(4) ? NO_SETTINGS : settings)))
    } while (v.once(3))
    return words
  },
  // Of several prefixes one at most: Redis 7.0 answers twice where the second overlaps with a third.
  'client|tracking': (_grammar, v) => {
    const some = (...words: readonly Word[]): Call => (v.once(4) ? words : [])
    return [
      ...['CLIENT', 'TRACKING', v.pick('ON', 'ON', 'ON', 'OFF', 'on', 'x')].map(bytes),
      ...some(bytes('REDIRECT'), v.pick('$id:a', '$id:b', bytes('0'), v.integer())),
      ...some(bytes('BCAST'), ...some(bytes('PREFIX'), bytes(v.pick('', 'a', 'k', 'x')))),
      ...some(bytes(v.pick('OPTIN', 'OPTOUT', 'NOLOOP', 'x'))),
      ...some(bytes(v.pick('OPTIN', 'OPTOUT', 'NOLOOP'))),
    ]
  },
  'command|getkeys': (grammar) => [bytes('COMMAND'), bytes('GETKEYS'), ...grammar.any()],
  'command|getkeysandflags': (grammar) => [
    bytes('COMMAND'),
    bytes('GETKEYSANDFLAGS'),
    ...grammar.any(),
  ],
  debug: (_grammar, v) => {
    const [subcommand, argument] = v.pick<readonly [string, Word?]>(
      ...['string', 'integer', 'double', 'null', 'array', 'set', 'map', 'true', 'false'].map(
        (type) => ['PROTOCOL', bytes(type)] as const,
      ),
      ...['bignum', 'verbatim', 'x'].map((type) => ['PROTOCOL', bytes(type)] as const),
      ['SLEEP', bytes('0')],
      ['SLEEP', bytes('0.001')],
      ['SET-ACTIVE-EXPIRE', bytes('1')],
      ['OBJECT', v.key()],
      ['OBJECT'],
      ['nosuch'],
      ['HELP'],
    )
    return [bytes('DEBUG'), bytes(subcommand), ...(argument === undefined ? [] : [argument])]
  },
}

/**
 * Directives that do no harm to what comes after, and some settings of each: the player puts all of
 * them back.
 */
export const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  timeout: ['0', '1000', '-1'],
  'slowlog-max-len': ['0', '128', '1000', '-1'],
  'slowlog-log-slower-than': ['10000', '-1', '0'],
  'latency-monitor-threshold': ['0', '100'],
  'lazyfree-lazy-user-del': ['yes', 'no'],
  'notify-keyspace-events': ['', 'KEA', 'KEA', 'K$', 'Eg', 'KA', 'AKE', 'g$lshzxeKEtmd', 'Km'],
}
const NO_SETTINGS = ['x', '', '1.5', '99999999999999999999']

/** Commands that Redis has, too, by full name: 'client|id'. */
const callable: ReadonlyMap<string, Command> = new Map(
  [...commands.flatMap((row) => [named(row), ...(row.subcommands ?? []).map((sub) => named(sub, row))])]
    .filter(([name]) => Object.values(REDIS_COMMANDS).some((names) => names.includes(name))),
) // prettier-ignore

function named(row: Command, container?: Command): readonly [string, Command] {
  return [container === undefined ? row.name : `${container.name}|${row.name}`, row]
}

/** Full names of all commands that can be called. */
export const names: readonly string[] = [...callable.keys()]

export class Grammar {
  readonly #values: Values
  readonly #arguments = new Map<string, readonly Argument[]>()

  constructor(values: Values) {
    this.#values = values
  }

  /** A call of any command. */
  any(): Call {
    return this.call(this.#values.random.pick(names))
  }

  call(fullName: string): Call {
    const call = (CALLS[fullName] ?? (() => this.#drawn(fullName)))(this, this.#values)
    return this.#values.once(8) && !FRAGILE.test(fullName) ? this.#spoiled(fullName, call) : call
  }

  #drawn(fullName: string): Call {
    const [name, subname] = fullName.split('|') as [string, string?]
    const words: Word[] = [this.#cased(name)]
    if (subname !== undefined) words.push(this.#cased(subname))
    else if (callable.get(name)?.subcommands !== undefined && this.#values.once(2)) {
      words.push(bytes('nosuch'))
    }
    for (const part of this.#parts(fullName, this.#argumentsOf(fullName))) words.push(...part)
    return words
  }

  #argumentsOf(fullName: string): readonly Argument[] {
    let found = this.#arguments.get(fullName)
    if (found === undefined) {
      const { syntax = '', argumentTypes = {} } = callable.get(fullName)!
      found = parseSyntax(syntax, argumentTypes)
      this.#arguments.set(fullName, found)
    }
    return found
  }

  /** The words of each argument; those that may be left out in any order behind the others. */
  #parts(fullName: string, args: readonly Argument[]): Word[][] {
    const parts: Word[][] = []
    const options: Word[][] = []
    for (const argument of args) {
      if (argument.optional === true) {
        // What may be any number of is mostly what the command is about.
        if (argument.multiple === true && !this.#values.once(4)) {
          options.push(this.#argument(fullName, argument))
          continue
        }
        for (let often = args.length > 2 ? 3 : 2; this.#values.once(often); often = 8) {
          options.push(this.#argument(fullName, argument))
        }
      } else parts.push(this.#argument(fullName, argument))
    }
    while (options.length > 0) {
      // Mostly as the row has them: many options are no options but arguments in a place.
      const next = this.#values.once(4) ? this.#values.random.below(options.length) : 0
      parts.push(...options.splice(next, 1))
    }
    return parts
  }

  #argument(fullName: string, argument: Argument): Word[] {
    const words: Word[] = []
    for (
      let first = true;
      first || (argument.multiple === true && !this.#values.once(3));
      first = false
    ) {
      if (argument.token !== undefined && (first || argument.multipleToken === true)) {
        words.push(this.#cased(argument.token))
      }
      words.push(...this.#one(fullName, argument))
    }
    return words
  }

  #one(fullName: string, argument: Argument): Word[] {
    const { name, type, arguments: inner = [] } = argument
    switch (type) {
      case 'pure-token':
        return []
      case 'oneof':
        return this.#argument(fullName, this.#values.random.pick(inner.filter(isOfRedis)))
      case 'block':
        return this.#parts(fullName, inner).flat()
      case 'key':
        return [this.#values.key()]
      case 'double':
        return [this.#values.float()]
      default: {
        const draw = ARGUMENTS[`${fullName}.${name}`] ?? ARGUMENTS[name]
        if (draw !== undefined) return [draw(this.#values)]
        return [type === 'integer' ? this.#values.integer() : this.#values.value()]
      }
    }
  }

  /** A word of the grammar, mostly in upper case. */
  #cased(word: string): Word {
    if (!this.#values.once(8)) return bytes(word.toUpperCase())
    const letters = [...word].map((letter) =>
      this.#values.once(2) ? letter.toUpperCase() : letter.toLowerCase(),
    )
    return bytes(letters.join(''))
  }

  #spoiled(fullName: string, call: Call): Call {
    const words = [...call]
    const another = (): Word =>
      NO_NUMBERS.test(fullName)
        ? this.#values.notInteger()
        : this.#values.pick(this.#values.integer(), this.#values.value())
    const at = 1 + this.#values.random.below(Math.max(1, words.length - 1))
    const other = this.#values.random.below(words.length)
    switch (this.#values.random.below(5)) {
      case 0:
        words.pop()
        break
      case 1:
        words.splice(at, 1)
        break
      case 2:
        words.push(this.#values.pick(words[other]!, another()))
        break
      case 3:
        words.splice(at, 0, words[Math.max(1, other)] ?? bytes('x'))
        break
      default:
        if (at < words.length) words[at] = another()
    }
    return words.length === 0 ? call : words
  }
}

/**
 * A small number in place of a time would be over while a sequence runs, and a long word in place of a
 * channel is refused here.
 */
const NO_NUMBERS = /^(p?expire|p?setex$|set$|getex$|restore$|.*subscribe$|s?publish$|pubsub)/

/** Connections between nodes have a type of their own here. */
function isOfRedis({ token }: Argument): boolean {
  return token !== 'PEER'
}

/** Spoiled they may wait for ever, do harm, or have an id quoted in an error. */
const FRAGILE = /^(wait|config\|set|debug|client\|(kill|list|pause|tracking|unblock))$/

function bitOffset(v: Values): Word {
  const offset = v.between(0, 100)
  return v.once(3) ? bytes(`#${offset.toString('latin1')}`) : offset
}

function name(v: Values): Word {
  return v.pick(...['me', '', 'a~!', 'a b', 'x\n', '\xe9'].map(bytes))
}
