/** OBJECT: what is known of a key beside its value. To look at it is no access. */
import { ERR_NO_FREQUENCY, ERR_NO_IDLE_TIME, ERR_NO_IDLE_TIME_HERE } from '../../protocol/errors.ts'
import { readInteger } from '../../protocol/number.ts'
import type { Client } from '../clients/client.ts'
import type { Command } from '../command.ts'
import type { Store } from '../store/store.ts'
import { redisNameOf } from '../memory/policies.ts'
import { helpRow, noSubcommand } from './container.ts'
import { countLookup, peekKey } from './lookup.ts'

/** '-9223372036854775808' */
const INTEGER_BYTES_MAX = 20
/** As in Redis, which keeps a value up to here in one piece with its header. */
const EMBEDDED_BYTES_MAX = 44

/**
 * What Redis would call the value. All values lie in one way here, so it is told by what the value
 * is: one that APPEND or SETRANGE made is 'raw' in Redis, however short.
 */
export function encodingOf(store: Store): string {
  const length = store.valueLength
  if (length <= INTEGER_BYTES_MAX) {
    const { bytes, scratch } = store.io
    store.read(0, length, scratch)
    if (!Number.isNaN(readInteger(bytes, scratch, length))) return 'int'
  }
  return length <= EMBEDDED_BYTES_MAX ? 'embstr' : 'raw'
}

/** What `tell` gives when the policy does not keep it. */
const NOT_KEPT = -1

/**
 * Answers what `tell` knows of the key, which is open then; `error` where it is not kept; null if
 * there is no such key.
 */
function about(client: Client, tell: (store: Store) => number | string, error = ''): void {
  const { store, reply } = client
  const found = peekKey(client, 2)
  const told = found ? tell(store) : null
  store.close()
  countLookup(client, found, 0)
  if (told === null) reply.null()
  else if (told === NOT_KEPT) reply.error(error)
  else if (typeof told === 'number') reply.integer(told)
  else reply.text(told)
}

function encoding(client: Client): void {
  about(client, encodingOf)
}

/** How often the key was asked for, as far as the policy counts: 0 to 3. */
function freq(client: Client): void {
  const { policy } = client.store
  const isCounted = policy === 's3a' || policy === 's3-fifo'
  about(client, (store) => (isCounted ? store.frequency : NOT_KEPT), ERR_NO_FREQUENCY)
}

/** Whole seconds. Values in pages have no idle time under any policy. */
function idletime(client: Client): void {
  const seconds = ({ idleMs }: Store): number => (idleMs < 0 ? NOT_KEPT : Math.floor(idleMs / 1000))
  const isLfu = redisNameOf(client.server.config['maxmemory-policy']).endsWith('-lfu')
  about(client, seconds, isLfu ? ERR_NO_IDLE_TIME : ERR_NO_IDLE_TIME_HERE)
}

/** No value is shared. */
function refcount(client: Client): void {
  about(client, () => 1)
}

const row = {
  arity: 3,
  flags: ['readonly'],
  keys: [2, 2, 1],
  keyFlags: ['RO'],
  group: 'generic',
  tips: ['nondeterministic_output'],
  since: '2.2.3',
  complexity: 'O(1)',
  syntax: 'key',
} as const

const objectRows = [
  {
    ...row,
    name: 'encoding',
    differs: 'follows from the value alone: `embstr` also where Redis has `raw` after an `APPEND`',
    summary: 'Tells how Redis would keep the value: int, embstr or raw.',
    run: encoding,
  },
  {
    ...row,
    name: 'freq',
    differs: '0 to 3, the accesses that eviction counts',
    since: '4.0.0',
    summary:
      'Tells how often the key was asked for, 0 to 3, where maxmemory-policy counts it (s3a, s3-fifo).',
    run: freq,
  },
  {
    ...row,
    name: 'idletime',
    differs: 'as exact as what the policy keeps',
    summary:
      'Tells the seconds since the key was asked for, where maxmemory-policy keeps them (lru, second-chance).',
    run: idletime,
  },
  {
    ...row,
    name: 'refcount',
    differs: '1 also for integers below 10,000, which Redis shares',
    summary: 'Answers 1: no value is shared by several keys.',
    run: refcount,
  },
  helpRow({ container: 'object', group: 'generic', since: '6.2.0' }),
] as const satisfies readonly Command[]

export const objectCommands = [
  {
    name: 'object',
    arity: -2,
    flags: [],
    keys: [0, 0, 0],
    group: 'generic',
    since: '2.2.3',
    complexity: 'Depends on subcommand.',
    summary: 'Commands about what is known of a key beside its value.',
    subcommands: objectRows,
    run: noSubcommand,
  },
] as const satisfies readonly Command[]
