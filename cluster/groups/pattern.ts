import { RuleError } from './rule.ts'

/**
 * The pattern of a group's keys: bytes as they stand, with wildcards between them.
 *
 *     user:{id}:avatar:*      literals  'user:'  ':avatar:'  ''
 *                             wildcards       {id}         *
 *
 * `{name}` stands for one byte or more and remembers them for the origin's URL, `*` for any number
 * of bytes and forgets them. A wildcard takes as little as it can: the bytes up to the first place
 * where the next literal stands. That makes matching one pass without backtracking: if the earliest
 * place of a literal leaves too few bytes for the rest, a later place leaves fewer still. The last
 * literal is the exception, it must stand at the key's end.
 * A backslash takes `{ } * \` literally, for keys with a {hash tag}.
 */
export class Pattern {
  /** As it was written. */
  readonly text: string
  /** Name of each wildcard, null for `*`. */
  readonly wildcards: readonly (string | null)[]
  /** Bytes of all literals: how specific the pattern is. */
  readonly literalBytes: number
  /** One more than wildcards. Only the first and the last may be empty. */
  readonly #literals: readonly Uint8Array[]
  /** The shortest key that can match. */
  readonly #lengthMin: number

  private constructor(text: string, literals: Uint8Array[], wildcards: (string | null)[]) {
    this.text = text
    this.wildcards = wildcards
    this.#literals = literals
    this.literalBytes = literals.reduce((sum, literal) => sum + literal.length, 0)
    this.#lengthMin = this.literalBytes + wildcards.filter((name) => name !== null).length
  }

  /** Throws RuleError with the reason. */
  static parse(text: string): Pattern {
    if (text === '') throw new RuleError("'' is no pattern")
    const literals: Uint8Array[] = []
    const wildcards: (string | null)[] = []
    let literal = ''
    let at = 0
    while (at < text.length) {
      const token = nextToken(text, at)
      at += token.length
      if (token.wildcard === undefined) {
        literal += token.literal
        continue
      }
      if (literal === '' && wildcards.length > 0) {
        throw new RuleError(`'${text}' has two wildcards with nothing between them`)
      }
      if (token.wildcard !== null && wildcards.includes(token.wildcard)) {
        throw new RuleError(`'${text}' has {${token.wildcard}} twice`)
      }
      literals.push(Buffer.from(literal))
      wildcards.push(token.wildcard)
      literal = ''
    }
    literals.push(Buffer.from(literal))
    return new Pattern(text, literals, wildcards)
  }

  /** The byte every matching key begins with; -1 when it may be any, or the key empty. */
  get firstByte(): number {
    return this.#literals[0]?.[0] ?? -1
  }

  /**
   * Does the key at bytes[pos, pos + length) match? If `spans` is given, wildcard i is then found
   * at [spans[2i], spans[2i + 1]).
   */
  matches(bytes: Uint8Array, pos: number, length: number, spans?: number[]): boolean {
    const literals = this.#literals
    const wildcards = this.wildcards
    const first = literals[0] as Uint8Array
    if (length < this.#lengthMin || !standsAt(bytes, pos, first)) return false
    if (wildcards.length === 0) return length === first.length

    const last = literals[wildcards.length] as Uint8Array
    const end = pos + length - last.length
    if (!standsAt(bytes, end, last)) return false

    let at = pos + first.length
    for (let i = 0; i < wildcards.length; i++) {
      const from = wildcards[i] === null ? at : at + 1
      const next = literals[i + 1] as Uint8Array
      const isLast = i === wildcards.length - 1
      const to = isLast ? end : find(bytes, from, end, next)
      if (to < from) return false
      spans?.push(at, to)
      at = to + next.length
    }
    return true
  }
}

interface Token {
  /** Characters of the pattern's text. */
  readonly length: number
  readonly literal: string
  /** A name, null for `*`, undefined for a literal. */
  readonly wildcard: string | null | undefined
}

function nextToken(text: string, at: number): Token {
  const character = String.fromCodePoint(text.codePointAt(at) as number)
  if (character === '\\') {
    const escaped = text[at + 1] ?? ''
    if (!'{}*\\'.includes(escaped) || escaped === '') {
      throw new RuleError(`'${text}' has a \\ before something else than { } * or \\`)
    }
    return { length: 2, literal: escaped, wildcard: undefined }
  }
  if (character === '*') return { length: 1, literal: '', wildcard: null }
  if (character === '}') throw new RuleError(`'${text}' has a } without its {`)
  if (character !== '{')
    return { length: character.length, literal: character, wildcard: undefined }
  const end = text.indexOf('}', at)
  if (end === -1) throw new RuleError(`'${text}' has a { without its }`)
  const name = text.slice(at + 1, end)
  if (!/^[a-z_]\w*$/i.test(name)) {
    throw new RuleError(`'${text}' has a placeholder {${name}} whose name is not like {id}`)
  }
  return { length: end + 1 - at, literal: '', wildcard: name }
}

function standsAt(bytes: Uint8Array, pos: number, literal: Uint8Array): boolean {
  for (let i = 0; i < literal.length; i++) {
    if (bytes[pos + i] !== literal[i]) return false
  }
  return true
}

/** The first place in [from, end) where the literal stands whole; -1: none. */
function find(bytes: Uint8Array, from: number, end: number, literal: Uint8Array): number {
  for (let at = from; at + literal.length <= end; at++) {
    if (standsAt(bytes, at, literal)) return at
  }
  return -1
}
