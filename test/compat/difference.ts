/* Where what two servers said to the same steps differs. */
import { type Answer, elementsOf, isSame, type Line, normal, writeLine } from './line.ts'
import type { Played, Step } from './player.ts'

export interface Difference {
  /** What was sent; of messages the connection that got them. */
  readonly line: string
  /** Of the command, lower case; `messages`. */
  readonly command: string
  /** What counts of what either answered. */
  readonly our: string
  readonly their: string
}

/** Longer replies and commands are cut in failure messages. */
const SHOWN_LENGTH_MAX = 300

export function differencesOf(
  steps: readonly Step[],
  ours: Played,
  theirs: Played,
): readonly Difference[] {
  const found: Difference[] = []
  for (const [i, { lines }] of steps.entries()) {
    for (const [j, line] of lines.entries()) {
      const [our, their] = [ours.answers[i]![j]!, theirs.answers[i]![j]!]
      if (!isSame(line, our, their)) found.push(differenceOf(line, our, their))
    }
  }
  for (const [connection, expected] of theirs.messages) {
    const got = ours.messages.get(connection) ?? []
    const line = `messages of ${connection}`
    const [our, their] = [inGroups(got), inGroups(expected)]
    if (our !== their) found.push({ line, command: 'messages', our, their })
    const invalid = invalidatedIn(got)
    const missing = [...invalidatedIn(expected)].filter((key) => !invalid.has(key))
    if (missing.length > 0) {
      found.push({ line, command: 'invalidation', our: '', their: missing.join('') })
    }
  }
  return found
}

export function shown(text: string): string {
  const quoted = JSON.stringify(text)
  return quoted.length > SHOWN_LENGTH_MAX ? `${quoted.slice(0, SHOWN_LENGTH_MAX)}...` : quoted
}

function differenceOf(line: Line, our: Answer, their: Answer): Difference {
  return {
    line: writeLine(line).slice(1, -1),
    command: (line.words[0] ?? '').toString('latin1').toLowerCase(),
    our: normal(line.mark, our.text),
    their: normal(line.mark, their.text),
  }
}

/** A channel has at most 65,536 bytes here, so that of a longer key there is not. */
const TOO_LONG = /\r\n\$\d{5,}\r\n__keyspace@/

/** RESP3's push, and what RESP2's subscriber of that channel is told; null where all was flushed. */
const INVALIDATION = /^(?:>2\r\n\$10\r\n|\*3\r\n\$7\r\nmessage\r\n\$20\r\n__redis__:)invalidate\r\n/

/**
 * Messages by what they are about, each group in its order: Redis sends what one PUBLISH brings to
 * several patterns in the order of a hash table. Without invalidations.
 */
function inGroups(messages: readonly string[]): string {
  const about = (message: string): string => message.slice(0, message.lastIndexOf('\r\n$'))
  return messages
    .filter((message) => !TOO_LONG.test(message) && !INVALIDATION.test(message))
    .sort((a, b) => (about(a) < about(b) ? -1 : Number(about(a) > about(b))))
    .join('')
}

/**
 * The keys of which was told that they have changed; '' is all of them. How many come in one message
 * is a matter of how bytes arrive, and more may be told: who turns tracking on hears what changed in
 * the same turn.
 */
function invalidatedIn(messages: readonly string[]): ReadonlySet<string> {
  const invalid = new Set<string>()
  for (const message of messages.filter((each) => INVALIDATION.test(each))) {
    const keys = elementsOf(message.replace(INVALIDATION, ''))
    for (const key of keys.length === 0 ? [''] : keys) invalid.add(key)
  }
  return invalid
}
