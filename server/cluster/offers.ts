/** PEER OFFER: names keys to the node that has them now, so that it asks for those that it has not yet. */

/** Keys of one offer: what the new owner asks for at a time. */
const OFFER_KEYS = 64
const OFFER_KEY_BYTES_MAX = 64 * 1024

const OFFER = [Buffer.from('PEER'), Buffer.from('OFFER')]

export interface Offer {
  readonly words: readonly Buffer[]
  readonly keys: number
}

/** As many requests as these keys need, to be sent one behind the other. */
export function* offersOf(keys: readonly Buffer[]): Iterable<Offer> {
  let next = 0
  while (next < keys.length) {
    const part: Buffer[] = []
    let bytes = 0
    while (next < keys.length && part.length < OFFER_KEYS && bytes < OFFER_KEY_BYTES_MAX) {
      bytes += keys[next]!.length
      part.push(keys[next++]!)
    }
    yield { words: [...OFFER, ...part], keys: part.length }
  }
}

/** Keys by their owner. */
export function byOwner(
  keys: readonly Buffer[],
  ownerOf: (key: Buffer) => string | null,
): ReadonlyMap<string, readonly Buffer[]> {
  const owners = new Map<string, Buffer[]>()
  for (const key of keys) {
    const owner = ownerOf(key)
    if (owner === null) continue
    const theirs = owners.get(owner)
    if (theirs === undefined) owners.set(owner, [key])
    else theirs.push(key)
  }
  return owners
}
