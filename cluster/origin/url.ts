import { RuleError } from '../groups/rule.ts'

/**
 * The URL of an origin, with placeholders that a key fills.
 *
 * A key is written by whoever can send a GET, so it must not steer the request: each placeholder
 * becomes (a part of) exactly one path segment or one query value. Every byte that is not
 * unreserved (RFC 3986, 2.3) is percent-encoded, byte by byte, so keys need not be text. What
 * percent-encoding cannot hide are the segments `.` and `..`: URL readers resolve `%2e%2e` as well,
 * so such keys are refused. A placeholder in the host, in a query name or in a fragment is
 * refused when the group is read.
 */
export class UrlTemplate {
  /** Scheme, host and port: `http://127.0.0.1:3000`. */
  readonly origin: string
  /** Path and query: literal text, and numbers of wildcards of the match pattern. */
  readonly #parts: readonly (string | number)[]

  private constructor(origin: string, parts: readonly (string | number)[]) {
    this.origin = origin
    this.#parts = parts
  }

  /** `wildcards`: the names that match has, in order. Throws RuleError with the reason. */
  static parse(text: string, wildcards: readonly (string | null)[]): UrlTemplate {
    const [, scheme = '', authority = '', rest = ''] =
      /^([^:/?#]*):\/\/([^/?#]*)(.*)$/s.exec(text) ?? []
    if (!/^https?$/i.test(scheme)) {
      throw new RuleError(`'${text}' does not begin with http:// or https://`)
    }
    const origin = parseHost(text, scheme, authority)
    const template = new UrlTemplate(origin, parseRest(text, rest, wildcards))
    const harmless = wildcards.flatMap(() => [0, HARMLESS_KEY.length])
    if (template.fill(HARMLESS_KEY, harmless) === null) {
      throw new RuleError(`'${text}' has a segment . or .. in its path`)
    }
    return template
  }

  /**
   * The URL for a key, whose wildcard i is found at key[spans[2i], spans[2i + 1]) (see
   * Pattern.matches). Null: this key would make a path segment `.` or `..`.
   */
  fill(key: Uint8Array, spans: readonly number[]): string | null {
    let path = ''
    for (const part of this.#parts) {
      if (typeof part === 'string') path += part
      else path += encodeBytes(key, spans[2 * part] as number, spans[2 * part + 1] as number)
    }
    return hasDotSegment(path) ? null : this.origin + path
  }
}

/** With this in every placeholder a segment that is `.` or `..` is the operator's own. */
const HARMLESS_KEY = Buffer.from('key')

function parseHost(text: string, scheme: string, authority: string): string {
  if (/[{}]/.test(authority)) {
    throw new RuleError(`'${text}' has a placeholder in its host, which no key may choose`)
  }
  if (authority.includes('@')) {
    throw new RuleError(`'${text}' has a user or password in it, which is not supported`)
  }
  const url = URL.canParse(`${scheme}://${authority}`) ? new URL(`${scheme}://${authority}`) : null
  if (url === null || authority === '') throw new RuleError(`'${text}' has no valid host`)
  return url.origin
}

function parseRest(
  text: string,
  rest: string,
  wildcards: readonly (string | null)[],
): (string | number)[] {
  if (rest.includes('#')) throw new RuleError(`'${text}' has a fragment (#), which is not sent`)
  const pathAndQuery = rest.startsWith('/') ? rest : `/${rest}`
  const parts: (string | number)[] = []
  let before = ''
  for (const piece of pathAndQuery.split(/(\{[^{}]*\})/)) {
    if (!piece.startsWith('{') || !piece.endsWith('}')) {
      if (/[{}]/.test(piece)) throw new RuleError(`'${text}' has a { or } without its other`)
      parts.push(encodeLiteral(text, piece))
    } else if (isQueryName(before)) {
      throw new RuleError(
        `'${text}' has a placeholder in the name of a query value, which no key may choose`,
      )
    } else {
      parts.push(wildcardNamed(text, piece.slice(1, -1), wildcards))
    }
    before += piece
  }
  return parts
}

function wildcardNamed(text: string, name: string, wildcards: readonly (string | null)[]): number {
  const index = name === '' ? -1 : wildcards.indexOf(name)
  if (index !== -1) return index
  const names = wildcards.filter((wildcard) => wildcard !== null).map((known) => `{${known}}`)
  const has = names.length === 0 ? 'no placeholder' : `only ${names.join(' ')}`
  throw new RuleError(`'${text}' uses {${name}}, but match has ${has}`)
}

/** Would something put after this text be (part of) the name of a query value? */
function isQueryName(before: string): boolean {
  const query = before.indexOf('?')
  if (query === -1) return false
  return !before.slice(Math.max(query, before.lastIndexOf('&'))).includes('=')
}

function hasDotSegment(pathAndQuery: string): boolean {
  const query = pathAndQuery.indexOf('?')
  const path = query === -1 ? pathAndQuery : pathAndQuery.slice(0, query)
  return path.split('/').some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment))
}

/** `%00` to `%FF`, or the character itself where it is unreserved. */
const ENCODED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  if (/[A-Za-z0-9._~-]/.test(character)) return character
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

function encodeBytes(bytes: Uint8Array, from: number, to: number): string {
  let encoded = ''
  for (let i = from; i < to; i++) encoded += ENCODED[bytes[i] as number] as string
  return encoded
}

/** The operator's own text: what may stand in a URL stays, anything else is percent-encoded. */
function encodeLiteral(text: string, literal: string): string {
  if (/%(?![0-9a-f]{2})/i.test(literal)) {
    throw new RuleError(`'${text}' has a % that is not followed by two hex digits`)
  }
  return literal.replace(/[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]+/g, (other) => {
    const bytes = Buffer.from(other)
    return encodeBytes(bytes, 0, bytes.length)
  })
}
