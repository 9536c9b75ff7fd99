/** A line of the config file as words, and words as they are written there: as Redis does it. */

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

/**
 * Splits a line at white space. "..." knows \n \r \t \b \a \xHH and \ before any other character;
 * '...' only \'. A closing quote must be followed by white space. Null: the quotes do not match.
 */
export function splitWords(line: string): string[] | null {
  const words: string[] = []
  let i = 0
  for (;;) {
    while (isSpace(line[i])) i++
    if (i >= line.length) return words
    let word = ''
    while (i < line.length && !isSpace(line[i])) {
      const quote = line[i]!
      if (quote !== '"' && quote !== "'") {
        word += quote
        i++
        continue
      }
      const quoted = quote === '"' ? readDouble(line, i + 1) : readSingle(line, i + 1)
      if (quoted === null) return null
      word += quoted.text
      i = quoted.end
      if (i < line.length && !isSpace(line[i])) return null
    }
    words.push(word)
  }
}

interface Quoted {
  readonly text: string
  /** Index after the closing quote. */
  readonly end: number
}

function readDouble(line: string, from: number): Quoted | null {
  let text = ''
  for (let i = from; i < line.length; i++) {
    const char = line[i]!
    if (char === '"') return { text, end: i + 1 }
    if (char !== '\\' || i + 1 === line.length) {
      text += char
      continue
    }
    const hex = /^x[0-9a-fA-F]{2}/.exec(line.slice(i + 1, i + 4))
    if (hex === null) {
      i++
      text += escapes[line[i]!] ?? line[i]!
    } else {
      i += 3
      text += String.fromCharCode(parseInt(hex[0].slice(1), 16))
    }
  }
  return null
}

function readSingle(line: string, from: number): Quoted | null {
  let text = ''
  for (let i = from; i < line.length; i++) {
    const char = line[i]!
    if (char === "'") return { text, end: i + 1 }
    if (char === '\\' && line[i + 1] === "'") i++
    text += line[i]!
  }
  return null
}

function isSpace(char: string | undefined): boolean {
  return char !== undefined && ' \t\n\v\f\r\0'.includes(char)
}

const plainWord = /^[^\s"'\\\p{Cc}#][^\s"'\\\p{Cc}]*$/u
const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\b', '\\b'],
  ['\x07', '\\a'],
  ['"', '\\"'],
  ['\\', '\\\\'],
])

/** The word as it stands in a config file: in double quotes where it needs them. */
export function quoteWord(word: string): string {
  if (plainWord.test(word)) return word
  const quoted = word.replace(/["\\\p{Cc}]/gu, (char) => {
    const hex = char.charCodeAt(0).toString(16).padStart(2, '0')
    return shortEscapes.get(char) ?? `\\x${hex}`
  })
  return `"${quoted}"`
}
