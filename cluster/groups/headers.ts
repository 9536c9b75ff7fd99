/**
 * The headers that a group sends with each request to its origin. They are the operator's own words,
 * but a slip in one must not change what is asked: so those that frame the message, that belong to
 * the connection, or that make the origin answer with something else than the whole value are
 * refused, and a value cannot end its line.
 */
import { RuleError } from './rule.ts'

export type Header = readonly [name: string, value: string]

/** Of one group. */
const HEADERS_MAX = 32
/** Names and values together; many servers take no more than 8 KB with the URL. */
export const HEADER_BYTES_MAX = 4096

export const HEADER_WITHOUT_VALUE = 'has no value: write "Name: value", in quotes'

/** RFC 9110, 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Visible ASCII, blanks and tabs: what is beyond has no one meaning in a header. */
const VALUE = /^[\t\x20-\x7e]*$/

/** Each with the reason why it is refused. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ...reason('is about the connection, not the request', [
    ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization'],
    ...['proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
  ]),
  ...reason('is made from the origin', ['host']),
  ...reason('is made from the body', ['content-length']),
  ...reason('would change what is answered: a value must come whole and as it is', [
    ...['accept-encoding', 'range', 'if-range', 'if-match', 'if-none-match'],
    ...['if-modified-since', 'if-unmodified-since'],
  ]),
])

function reason(why: string, names: readonly string[]): [string, string][] {
  return names.map((name) => [name, why])
}

/** `Name: value`. The value may be empty. No message shows it: it may be a secret. */
export function parseHeader(word: string): Header {
  const colon = word.indexOf(':')
  if (colon === -1) throw new RuleError("is not written 'Name: value'")
  const name = word.slice(0, colon)
  const value = word.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')
  if (!TOKEN.test(name)) {
    // What is no name may be a part of a value.
    throw new RuleError('has a name that is no header name (letters, digits and dashes)')
  }
  const refusal = REFUSED.get(name.toLowerCase())
  if (refusal !== undefined) throw new RuleError(`'${name}' ${refusal}`)
  if (!VALUE.test(value)) {
    throw new RuleError(`'${name}' has a value with something else than ASCII on one line`)
  }
  return [name, value]
}

/** The header besides those there are. Throws where it is one of them, has no value, or is too much. */
export function addHeader(headers: readonly Header[], header: Header): readonly Header[] {
  const [name, value] = header
  if (value === '') throw new RuleError(`'${name}' ${HEADER_WITHOUT_VALUE}`)
  if (headers.some((other) => isSame(other, header))) {
    throw new RuleError(`'${name}' is given twice`)
  }
  const all = [...headers, header]
  if (all.length > HEADERS_MAX) throw new RuleError(`is given more than ${HEADERS_MAX} times`)
  const bytes = all.reduce((sum, [one, text]) => sum + one.length + text.length, 0)
  if (bytes > HEADER_BYTES_MAX) {
    throw new RuleError(`'${name}' makes it more than ${HEADER_BYTES_MAX} bytes of headers`)
  }
  return all
}

/** The header in the place of the one with its name; without a value that one goes. */
export function changeHeader(headers: readonly Header[], header: Header): readonly Header[] {
  const others = headers.filter((other) => !isSame(other, header))
  return header[1] === '' ? others : addHeader(others, header)
}

function isSame([one]: Header, [other]: Header): boolean {
  return one.toLowerCase() === other.toLowerCase()
}
