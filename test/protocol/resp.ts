/** A decoded reply of either protocol, for the tests: `type` is the first byte. */
export interface Resp {
  readonly type: string
  /** One char a byte; for aggregates the elements, maps flat. Null for $-1, *-1 and _. */
  readonly value: string | Resp[] | null
}

/** Reads all replies of a text (one char a byte). Throws when it is not made of whole, valid ones. */
export function readReplies(text: string): Resp[] {
  const replies: Resp[] = []
  let at = 0
  while (at < text.length) replies.push(readOne())
  return replies

  function readLine(): string {
    const end = text.indexOf('\r\n', at)
    if (end < 0) throw new Error(`no end of the line at ${at}`)
    const line = text.slice(at, end)
    if (/[\r\n]/.test(line)) throw new Error(`CR or LF within a line at ${at}`)
    at = end + 2
    return line
  }

  function readLength(line: string): number {
    if (!/^(?:0|[1-9]\d*)$/.test(line)) throw new Error(`${line} is no length`)
    return Number(line)
  }

  function readOne(): Resp {
    const type = text[at++]!
    const line = readLine()
    switch (type) {
      case '+':
      case '-':
        return { type, value: line }
      case ':':
        if (!/^-?\d+$/.test(line)) throw new Error(`${line} is no integer`)
        return { type, value: line }
      case ',':
        if (!/^(?:-?inf|nan|-?\d+(?:\.\d+)?(?:e[+-]\d+)?)$/.test(line)) {
          throw new Error(`${line} is no double`)
        }
        return { type, value: line }
      case '#':
        if (line !== 't' && line !== 'f') throw new Error(`${line} is no boolean`)
        return { type, value: line }
      case '_':
        if (line !== '') throw new Error(`${line} is no null`)
        return { type, value: null }
      case '$':
      case '=': {
        if (line === '-1' && type === '$') return { type, value: null }
        const length = readLength(line)
        const value = text.slice(at, at + length)
        if (text.slice(at + length, at + length + 2) !== '\r\n') throw new Error('no CRLF')
        at += length + 2
        return { type, value }
      }
      case '*':
      case '~':
      case '>':
      case '%': {
        if (line === '-1' && type === '*') return { type, value: null }
        const length = readLength(line) * (type === '%' ? 2 : 1)
        return { type, value: Array.from({ length }, readOne) }
      }
      default:
        throw new Error(`no reply begins with ${type}`)
    }
  }
}
