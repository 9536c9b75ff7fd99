/*
 * Where ringtier and redis-server may differ, and what is not fuzzed, each with its reason: a command
 * that is not here must answer the same, byte for byte. By full name, or a container's for all of its
 * subcommands.
 */
import type { Word } from '../../compat/line.ts'

interface Known {
  /** How replies are compared (compat/line.ts); `skip`: not called at all. */
  readonly as: string | ((words: readonly string[]) => string)
  readonly why: string
}

/** Two servers come to a line at different times. */
const seconds: Known = { as: '~5', why: 'counts from now' }
const milliseconds: Known = { as: '~5000', why: 'counts from now' }
const figures: Known = { as: '?', why: 'tells of the server itself' }
/** Though others of its container may differ. */
const exact: Known = { as: '', why: '' }
const elsewhere = (why: string): Known => ({ as: 'skip', why })
const ofAll: Known = {
  as: (words) => (words.length === 1 ? '?' : ''),
  why: 'without a channel all are left, in no order',
}

const KNOWN: Readonly<Record<string, Known>> = {
  ttl: seconds,
  expiretime: seconds,
  pttl: milliseconds,
  pexpiretime: milliseconds,
  time: figures,
  lastsave: figures,

  randomkey: { as: '?', why: 'random' },
  keys: { as: '{}', why: 'in no order' },
  scan: {
    as: (words) => (isWholeScan(words) ? '{}' : '?'),
    why: 'in no order, and cursors are private: compared is what comes at once',
  },
  dump: { as: '?', why: 'Redis may pack a value in another way' },
  'object|freq': { as: '?', why: 'counts of accesses are approximate, and other ones' },
  'object|idletime': { as: '!', why: 'depends on the policy' },
  'object|encoding': { as: '?', why: 'follows from the value; in Redis from its history, too' },
  'object|refcount': { as: '?', why: 'Redis shares small integers' },
  'memory|usage': figures,
  memory: figures,

  info: figures,
  slowlog: { as: '?', why: 'what is slow depends on the machine' },
  latency: { as: '?', why: 'what is slow depends on the machine' },
  lolwut: { as: '!', why: 'a picture of our own, of other figures' },
  debug: {
    as: (words) => (words[1] === 'OBJECT' || words[1] === 'HELP' ? '?' : ''),
    why: 'has addresses; there are fewer subcommands',
  },
  hello: { as: '?', why: 'has the server, its version and the id' },
  'client|id': figures,
  'client|trackinginfo': { as: '@', why: 'has an id' },
  'client|getredir': { as: '@', why: 'is an id' },
  'client|info': figures,
  'client|list': figures,
  command: { as: '?', why: 'lists other commands' },
  'command|getkeys': exact,
  'command|getkeysandflags': exact,
  'command|docs': { as: '?', why: 'summaries are our own' },
  'command|list': { as: '?', why: 'lists other commands' },
  'command|count': figures,
  unsubscribe: ofAll,
  punsubscribe: ofAll,
  sunsubscribe: ofAll,
  'pubsub|channels': { as: '{}', why: 'in no order' },
  'pubsub|shardchannels': { as: '{}', why: 'in no order' },
  'config|get': {
    as: (words) => (words.slice(2).some((word) => /[*?[\\]/.test(word)) ? '?' : '{}'),
    why: 'in no order; a pattern finds other directives',
  },

  'client|reply': elsewhere('nobody knew how many replies to wait for; compat/silence.test.ts'),
  monitor: elsewhere('tells of other connections; compat/monitor.test.ts'),
  shutdown: elsewhere('ends the server'),
  save: elsewhere('slow; compat/snapshots.test.ts'),
  bgsave: elsewhere('runs on while others do; compat/snapshots.test.ts'),
  cluster: elsewhere('told otherwise without a cluster; compat/server.test.ts'),
}

/** What no sequence has both of, and why. */
export const APART: readonly (readonly [RegExp, RegExp, string])[] = [
  [/^watch$/, /^swapdb$/, 'SWAPDB changes all watched keys, also those that are in no database'],
  [/^client\|tracking$/, /^(select|move|swapdb|copy)$/, 'in Redis databases share what is tracked'],
]

/** How a call is compared; null: not fuzzed. */
export function markOf(fullName: string, words: readonly Word[] = []): string | null {
  const known = KNOWN[fullName] ?? KNOWN[fullName.split('|')[0]!]
  if (known === undefined) return fullName.endsWith('|help') ? '?' : ''
  if (known.as === 'skip') return null
  return typeof known.as === 'string' ? known.as : known.as(words.map(textOf))
}

function textOf(word: Word): string {
  return word.toString('latin1').toUpperCase()
}

/** Does a SCAN begin at the begin and give all there is? */
function isWholeScan(words: readonly string[]): boolean {
  const count = words[words.lastIndexOf('COUNT') + 1]
  return words[1] === '0' && words.includes('COUNT') && Number(count) >= 1_000
}
