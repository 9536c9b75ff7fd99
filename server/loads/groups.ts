/** What the origin of a group is asked. */
import type { Group } from '../../cluster/groups/group.ts'
import { quoteWord } from '../../cluster/groups/words.ts'

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
