/*
 * A line of a transcript: what one would type in redis-cli, words between blanks, in quotes where a
 * word has blanks, with \n, \x00 and the like inside of double quotes. Where ringtier and redis-server
 * may differ, the line begins with a mark that says in what:
 *
 *     ~2 TTL k            integers may be 2 apart
 *     {} KEYS *           elements of arrays may come in any order
 *     ? RANDOMKEY         only the kind of the reply counts, and an error's words
 *     #keyspace_hits,keyspace_misses INFO stats      only these fields count
 *     @ SLOWLOG GET       integers and addresses of clients do not count
 *     ! OBJECT FREQ k     the reply does not count
 *
 * Several connections are told apart by a letter before it all; a line without one is a's:
 *
 *     b: ~2 TTL k
 *
 * Words that stand for what a server said itself:
 *
 *     $dump               the payload that DUMP answered last on this server
 *     $id:b  $addr:b      the id and the address of connection b
 */
import { replyEnd } from '../raw.ts'

/** Bytes, or a word that stands for what a server said. */
export type Word = Buffer | string

export interface Line {
  /** As it is written, without the connection. */
  readonly text: string
  readonly connection: string
  /** `~2`, `{}` ...; empty: byte for byte. */
  readonly mark: string
  readonly words: readonly Word[]
}

/** What a server answered to a line. */
export interface Answer {
  /** As it stood on the wire, latin1; `(closed)` and `(silence)` where nothing came. */
  readonly text: string
  /** Of EXEC: the lines that had been queued. */
  readonly queued?: readonly Line[]
}

const LINE =
  /^(?:(?<connection>[a-z]): )?(?<marked>(?:(?<mark>~\d+|\{\}|[?@!]|#[\w,]+) )?(?<command>.*))$/s
const STANDS_FOR = /^\$(?:dump|id:[a-z]|addr:[a-z])$/

export function parseLine(line: string): Line {
  const { connection = 'a', marked = '', mark = '', command = '' } = LINE.exec(line)?.groups ?? {}
  return { text: marked, connection, mark, words: splitWords(command) }
}

/** Is what both answered the same, but for what the line's mark allows? */
export function isSame(line: Line, ours: Answer, theirs: Answer): boolean {
  if (ours.text === theirs.text || line.mark === '!') return true
  const queued = ours.queued
  if (queued !== undefined && theirs.queued?.length === queued.length) {
    const [our, their] = [elementsOf(ours.text), elementsOf(theirs.text)]
    if (our.length === queued.length && their.length === queued.length) {
      return queued.every((each, i) => isSame(each, { text: our[i]! }, { text: their[i]! }))
    }
  }
  if (normal(line.mark, ours.text) === normal(line.mark, theirs.text)) return true
  return line.mark.startsWith('~') && isWithin(Number(line.mark.slice(1)), ours.text, theirs.text)
}

/** What counts of a reply. */
export function normal(mark: string, reply: string): string {
  switch (mark[0]) {
    case '{':
      return sorted(reply)
    case '?':
      return kindOf(reply)
    case '@':
      return withoutFigures(reply)
    case '#':
      return fieldsOf(reply, mark.slice(1).split(','))
    default:
      return reply
  }
}

function isWithin(tolerance: number, a: string, b: string): boolean {
  if (!a.startsWith(':') || !b.startsWith(':')) return false
  const [first, second] = [Number(a.slice(1)), Number(b.slice(1))]
  return first >= 0 && second >= 0 && Math.abs(first - second) <= tolerance
}

/** The elements of an array, a set or a map, each as it stood on the wire; none of another reply. */
export function elementsOf(reply: string): string[] {
  if (!/^[*~%]\d/.test(reply)) return []
  const elements: string[] = []
  let pos = reply.indexOf('\n') + 1
  while (pos < reply.length) {
    const end = replyEnd(reply, pos)
    if (end < 0) return []
    elements.push(reply.slice(pos, end))
    pos = end
  }
  return elements
}

/** The elements of arrays and the pairs of maps, at any depth, in the order of their bytes. */
function sorted(reply: string): string {
  const elements = elementsOf(reply).map(sorted)
  if (elements.length === 0) return reply
  const head = reply.slice(0, reply.indexOf('\n') + 1)
  if (!head.startsWith('%')) return head + elements.sort().join('')
  const pairs = elements.flatMap((key, i) => (i % 2 === 0 ? [`${key}${elements[i + 1]}`] : []))
  return head + pairs.sort().join('')
}

function kindOf(reply: string): string {
  if (reply.startsWith('-') || reply.startsWith('(')) return reply
  return /^\$-1|^\*-1|^_/.test(reply) ? 'null' : reply.slice(0, 1)
}

function withoutFigures(reply: string): string {
  return reply
    .replace(/^:\d+$/gm, ':N')
    .replace(/^\$\d+\r\n127\.0\.0\.1:\d+$/gm, '$N\r\n127.0.0.1:N')
}

/** Lines 'field:value' of the reply, in the order asked for. */
function fieldsOf(reply: string, fields: readonly string[]): string {
  return fields
    .map((field) => new RegExp(`^${field}:.*$`, 'm').exec(reply)?.[0].trim() ?? `no ${field}`)
    .join('\n')
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

/** The words of a line as redis-cli reads them; one char a byte. */
function splitWords(text: string): Word[] {
  const words: Word[] = []
  const pattern = /"((?:\\.|[^"\\])*)"|'((?:\\'|[^'])*)'|(\S+)/gs
  for (const [, double, single, plain] of text.matchAll(pattern)) {
    if (plain !== undefined && STANDS_FOR.test(plain)) {
      words.push(plain)
      continue
    }
    const word =
      plain ??
      single?.replaceAll("\\'", "'") ??
      double!.replace(/\\(?:x([\da-f]{2})|(.))/gis, (_all, hex?: string, char?: string) =>
        hex === undefined ? (ESCAPES[char!] ?? char!) : String.fromCharCode(parseInt(hex, 16)),
      )
    words.push(Buffer.from(word, 'latin1'))
  }
  return words
}

/** Words up to so long are written in full. */
const WRITTEN_LENGTH_MAX = 64
const ESCAPED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/**
 * The line as an element of a table in a test: a string of JavaScript, in which a long word of one
 * short pattern stands as `"${'xy'.repeat(5000)}"`.
 */
export function writeLine({ connection, mark, words }: Line): string {
  const parts = words.map(writeWord)
  if (mark !== '') parts.unshift(mark)
  if (connection !== 'a') parts.unshift(`${connection}:`)
  const text = parts.join(' ')
  if (text.includes('${')) return `\`${text.replaceAll(/\\|`/g, '\\$&')}\``
  return `'${text.replaceAll(/\\|'/g, '\\$&')}'`
}

function writeWord(word: Word): string {
  if (typeof word === 'string') return word
  const text = word.toString('latin1')
  const unit = text.length > WRITTEN_LENGTH_MAX ? unitOf(text) : null
  if (unit !== null) {
    const rest = escaped(text.slice(0, text.length % unit.length))
    return `"\${'${escaped(unit)}'.repeat(${Math.floor(text.length / unit.length)})}${rest}"`
  }
  if (/^[\w.:*+\-?[\]#@/(),=<>^!%&|;~]+$/.test(text)) return text
  return `"${escaped(text)}"`
}

function escaped(text: string): string {
  return text.replaceAll(/[^ !#%-[\]-~]/g, (char) => {
    if (char === '"' || char === '\\') return `\\${char}`
    return ESCAPED[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}

/** The pattern of at most four letters, digits and zero bytes that the text is made of, if there is one. */
function unitOf(text: string): string | null {
  for (let length = 1; length <= 4; length++) {
    const unit = text.slice(0, length)
    if (/^[\w\0]+$/.test(unit) && unit.repeat(text.length / length + 1).startsWith(text))
      return unit
  }
  return null
}
