/*
 * The arguments of a command, read from the one line in which its row writes them.
 *
 * The rows use the notation of the Redis pages, for it is short and everybody reads it:
 *
 *     key value [NX | XX] [GET] [EX seconds | PX milliseconds | KEEPTTL]
 *     key value [key value ...]
 *     [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]
 *
 * COMMAND DOCS wants a tree, and redis-cli draws its hints from that tree. So the line is parsed
 * here, rather than written down twice. The grammar:
 *
 *     sequence = item*
 *     item     = word            lower case: an argument
 *              | WORD            upper case: a token, and the name of the item behind it if that is
 *                                an argument or a choice
 *              | [ choice ]      may be left out
 *              | < choice >      must be one of them
 *              | [ sequence ... ]  the items before it again, any number of times
 *     choice   = sequence ( | sequence )*
 *
 * A sequence that belongs together and begins with a token has the token: `[GET encoding offset]`.
 * What is made of several arguments is named after them, unless its row has a note that says how
 * Redis calls it: `nx_xx`, which is `condition`.
 *
 * A line that does not fit is a programmer's mistake and throws.
 */

export type ArgumentType =
  | 'string'
  | 'integer'
  | 'double'
  | 'key'
  | 'pattern'
  | 'unix-time'
  | 'pure-token'
  | 'oneof'
  | 'block'

/** One argument as COMMAND DOCS describes it. */
export interface Argument {
  readonly name: string
  readonly type: ArgumentType
  /** The word that stands before it; of a pure token: the word. */
  readonly token?: string
  /** The version of Redis that brought it, if it came after the command. */
  readonly since?: string
  readonly optional?: boolean
  readonly multiple?: boolean
  /** The token is repeated with each value. */
  readonly multipleToken?: boolean
  /** Of a choice ('oneof') and of a sequence that belongs together ('block'). */
  readonly arguments?: readonly Argument[]
}

/** What the line does not tell of an argument. */
export interface ArgumentNote {
  /** Its name, instead of that which it gets from its parts. */
  readonly as?: string
  readonly since?: string
}

/** By name, as it would be without a note. */
export type ArgumentNotes = Readonly<Record<string, ArgumentNote>>

/** What an argument of this name is. Any other is a string. */
const typeByName: Readonly<Record<string, ArgumentType>> = {
  key: 'key',
  newkey: 'key',
  source: 'key',
  destination: 'key',
  destkey: 'key',
  key1: 'key',
  key2: 'key',
  pattern: 'pattern',
  seconds: 'integer',
  milliseconds: 'integer',
  'unix-time-seconds': 'unix-time',
  'unix-time-milliseconds': 'unix-time',
  count: 'integer',
  cursor: 'integer',
  decrement: 'integer',
  increment: 'integer',
  float: 'double',
  offset: 'integer',
  start: 'integer',
  end: 'integer',
  len: 'integer',
  db: 'integer',
  index: 'integer',
  index1: 'integer',
  index2: 'integer',
  protover: 'integer',
  'client-id': 'integer',
  slot: 'integer',
}

/** The arguments that a row's `syntax` writes down; `types` and `notes` of some of them by name. */
export function parseSyntax(
  syntax: string,
  types: Readonly<Record<string, ArgumentType>> = {},
  notes: ArgumentNotes = {},
): readonly Argument[] {
  return new Parser(syntax, types, notes).parse()
}

class Parser {
  readonly #syntax: string
  readonly #types: Readonly<Record<string, ArgumentType>>
  readonly #notes: ArgumentNotes
  readonly #words: readonly string[]
  #next = 0

  constructor(syntax: string, types: Readonly<Record<string, ArgumentType>>, notes: ArgumentNotes) {
    this.#syntax = syntax
    this.#notes = notes
    this.#types = { ...typeByName, ...types }
    this.#words = syntax.match(/\.\.\.|[[\]<>|]|[^\s[\]<>|]+/g) ?? []
  }

  parse(): readonly Argument[] {
    const items = this.#sequence()
    if (this.#next < this.#words.length) this.#fail()
    return items
  }

  #fail(): never {
    throw new Error(`syntax of a command: '${this.#syntax}' at word ${this.#next + 1}`)
  }

  #peek(): string {
    return this.#words[this.#next] ?? ''
  }

  #expect(word: string): void {
    if (this.#peek() !== word) this.#fail()
    this.#next++
  }

  #sequence(): Argument[] {
    const items: Argument[] = []
    for (;;) {
      const word = this.#peek()
      if (word === '' || word === ']' || word === '>' || word === '|' || word === '...') {
        return items
      }
      const repeated = word === '[' ? this.#repetition(items) : null
      if (repeated === null) items.push(this.#item())
      else items.splice(items.length - repeated.items, repeated.items, repeated.argument)
    }
  }

  /** `[ sequence ... ]` where the sequence is what stands before it; else null, and nothing is read. */
  #repetition(before: readonly Argument[]): { items: number; argument: Argument } | null {
    const start = this.#next
    this.#next++
    const again = this.#sequence()
    if (this.#peek() !== '...') {
      this.#next = start
      return null
    }
    this.#next++
    this.#expect(']')
    const repeated = before.slice(before.length - again.length)
    const [first] = repeated
    if (first === undefined || repeated.length !== again.length) return this.#fail()
    if (repeated.length === 1) {
      const multipleToken = first.token !== undefined && again[0]?.token === first.token
      const argument = { ...first, multiple: true, ...(multipleToken ? { multipleToken } : {}) }
      return { items: 1, argument }
    }
    const whole = this.#block(repeated)
    const multipleToken = whole.token !== undefined && again[0]?.token === whole.token
    const argument = { ...whole, multiple: true, ...(multipleToken ? { multipleToken } : {}) }
    return { items: again.length, argument }
  }

  #item(): Argument {
    const word = this.#peek()
    this.#next++
    if (word === '[') {
      const choice = this.#choice(']')
      return { ...choice, optional: true }
    }
    if (word === '<') return this.#choice('>')
    if (!isToken(word)) return this.#noted({ name: word, type: this.#types[word] ?? 'string' })
    const behind = this.#peek()
    if (behind === '<' || (/^[a-z]/.test(behind) && !isToken(behind))) {
      return { ...this.#item(), token: word }
    }
    return this.#noted({ name: word.toLowerCase(), type: 'pure-token', token: word })
  }

  #choice(close: string): Argument {
    const branches = [this.#block(this.#sequence())]
    while (this.#peek() === '|') {
      this.#next++
      branches.push(this.#block(this.#sequence()))
    }
    this.#expect(close)
    const [only] = branches
    if (branches.length === 1 && only !== undefined) return only
    return this.#noted({ name: nameOf(branches), type: 'oneof', arguments: branches })
  }

  /** Several items as one. */
  #block(items: readonly Argument[]): Argument {
    const [first, ...others] = items
    if (first === undefined) throw new Error('syntax of a command: nothing between brackets')
    if (others.length === 0) return first
    const whole: Argument = this.#noted({ name: nameOf(items), type: 'block', arguments: items })
    const { token, ...withoutToken } = first
    const isOfAll = token !== undefined && isPlain(first) && others.every(isPlainWithoutToken)
    return isOfAll ? { ...whole, token, arguments: [withoutToken, ...others] } : whole
  }

  #noted(argument: Argument): Argument {
    const { as: name = argument.name, since } = this.#notes[argument.name] ?? {}
    return { ...argument, name, ...(since === undefined ? {} : { since }) }
  }
}

/** One value that must be given. */
function isPlain({ type, optional, arguments: parts }: Argument): boolean {
  return type !== 'pure-token' && parts === undefined && optional !== true
}

function isPlainWithoutToken(argument: Argument): boolean {
  return isPlain(argument) && argument.token === undefined
}

function nameOf(items: readonly Argument[]): string {
  return items.map((item) => item.name).join('_')
}

function isToken(word: string): boolean {
  return /^[A-Z]/.test(word)
}
