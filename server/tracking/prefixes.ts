/*
 * CLIENT TRACKING with BCAST: clients that hear of every key with a prefix, read or not.
 *
 *     length ──> prefix ──> its clients, and the keys that have changed in this turn
 *
 * A key is looked up once for each length that a prefix has, so that it costs the same with one prefix
 * of that length and with a thousand. What has changed is told at the end of the turn, each key once
 * in one message a prefix, in their order, as in Redis.
 */

/** Ours: Redis has no such limits. */
export const prefixBytesMax = 1_024
export const prefixesMax = 1_024

interface Prefix<Member> {
  readonly members: Set<Member>
  /** By whom each was changed, whom NOLOOP keeps from hearing of it; null: by several, or by others. */
  changed: Map<string, Member | null>
}

export class Prefixes<Member> {
  readonly #byLength = new Map<number, Map<string, Prefix<Member>>>()
  #count = 0

  /** Different ones. */
  get count(): number {
    return this.#count
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  add(name: string, member: Member): void {
    let prefixes = this.#byLength.get(name.length)
    if (prefixes === undefined) {
      prefixes = new Map()
      this.#byLength.set(name.length, prefixes)
    }
    let prefix = prefixes.get(name)
    if (prefix === undefined) {
      prefix = { members: new Set(), changed: new Map() }
      prefixes.set(name, prefix)
      this.#count++
    }
    prefix.members.add(member)
  }

  remove(name: string, member: Member): void {
    const prefixes = this.#byLength.get(name.length)!
    const prefix = prefixes.get(name)!
    prefix.members.delete(member)
    if (prefix.members.size > 0) return
    prefixes.delete(name)
    this.#count--
    if (prefixes.size === 0) this.#byLength.delete(name.length)
  }

  /** A key has changed. False: no prefix is its. */
  changed(key: string, by: Member | null): boolean {
    let matches = false
    for (const [length, prefixes] of this.#byLength) {
      const prefix = length > key.length ? undefined : prefixes.get(key.slice(0, length))
      if (prefix === undefined) continue
      matches = true
      const { changed } = prefix
      changed.set(key, changed.has(key) && changed.get(key) !== by ? null : by)
    }
    return matches
  }

  /** Calls `tell` for each member that is to hear of keys that have changed since the last time. */
  flush(
    tell: (member: Member, keys: readonly string[]) => void,
    isDeaf: (member: Member) => boolean,
  ): void {
    const prefixes = [...this.#byLength.values()].flatMap((named) => [...named])
    // Redis keeps them in this order.
    prefixes.sort(([one], [other]) => (one < other ? -1 : 1))
    for (const [, prefix] of prefixes) {
      const { changed } = prefix
      if (changed.size === 0) continue
      prefix.changed = new Map()
      const keys = [...changed.keys()].sort()
      for (const member of prefix.members) {
        const heard = isDeaf(member) ? keys.filter((key) => changed.get(key) !== member) : keys
        if (heard.length > 0) tell(member, heard)
      }
    }
  }
}

/** The two prefixes of a client of which one begins with the other, if there are: the new one first. */
export function overlapOf(
  given: readonly string[],
  existing: Iterable<string>,
): { readonly prefix: string; readonly with: string; readonly isGiven: boolean } | null {
  const old = [...existing]
  for (const [i, prefix] of given.entries()) {
    const overlaps = (other: string): boolean =>
      other.startsWith(prefix) || prefix.startsWith(other)
    const found = old.find(overlaps)
    if (found !== undefined) return { prefix, with: found, isGiven: false }
    const twin = given.slice(i + 1).find(overlaps)
    if (twin !== undefined) return { prefix, with: twin, isGiven: true }
  }
  return null
}
