/** What is done to a group as a whole. */
import type { Group, Groups } from '../cluster/group.ts'
import { quoteWord } from '../cluster/words.ts'
import type { Store } from './store/store.ts'
import type { Step } from './turns.ts'

/** Index slots that a step looks at, under a bucket's lock each time. */
const SLOTS_PER_STEP = 1024

/** Where the keys of a group may be. */
export interface GroupedKeys {
  readonly groups: Groups
  readonly store: Store
  readonly databases: number
}

/**
 * Removes all keys of a group, of all databases, in steps. What others load or set meanwhile may stay
 * or go.
 */
export function invalidateGroup({ groups, store, databases }: GroupedKeys, group: Group): Step {
  let db = 0
  let cursor = 0
  return () => {
    const keys: Uint8Array[] = []
    cursor = store.scan(db, cursor, SLOTS_PER_STEP, (bytes, pos, length) => {
      if (groups.match(bytes, pos, length) === group) keys.push(bytes.slice(pos, pos + length))
    })
    for (const key of keys) store.delete(db, key, 0, key.length)
    if (cursor !== 0) return false
    do db++
    while (db < databases && store.size(db) === 0)
    return db >= databases
  }
}

/** What the group's origin would be asked for a key. Throws an OriginError where it cannot be. */
export function requestOf(group: Group, key: Uint8Array): string {
  const { address } = group
  const url = group.url(key)
  if (address.kind === 'http') return `GET ${url}`
  if (address.kind === 'redis') return `GET ${quoteWord(textOf(key))} at ${address.shown}`
  const params = [...group.params(key)].map(
    ([name, bytes]) => `${name} ${quoteWord(textOf(bytes))}`,
  )
  return [`load(${quoteWord(textOf(key))}) of ${address.path}`, ...params].join(', ')
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}
