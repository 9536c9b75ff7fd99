/**
 * Keys of groups with copies are offered to the node that has them now (PEER OFFER), so that it has them
 * before the window ends within which it asks for what is touched (server/cluster/takeover.ts): those of slots
 * that this node has lost, and those that it keeps for one that has begun anew.
 */
import type { Membership } from '../../cluster/members/membership.ts'
import type { Ownership } from '../../cluster/ownership/ownership.ts'
import { keySlot } from '../../cluster/slots.ts'
import { byOwner, type Offer, offersOf } from '../cluster/offers.ts'
import type { Server } from '../server.ts'
import { WALK_SLOTS } from '../turns.ts'

/** The new owner may not have seen yet that it is. */
const BEGIN_AFTER_MS = 200
const OFFER_MS_MAX = 2000

/** What is offered to whom. */
interface Offered {
  /** A database of the store. */
  readonly db: number
  /** Who is to have the keys of a slot; null: nobody. */
  readonly takerOf: (slot: number) => string | null
}

/** Has slots that this node loses offered to who gains them. */
export function offerLost(server: Server, membership: Membership, ownership: Ownership): void {
  let isUnderWay = false
  let again = false
  const takerOf = (slot: number): string | null => {
    const taker = ownership.takerOf(slot)
    return taker !== null && membership.isLive(taker) ? taker : null
  }
  const begin = (): void => {
    isUnderWay = true
    again = false
    offerAll(server, { db: 0, takerOf }, () => {
      isUnderWay = false
      if (again) begin()
    })
  }
  ownership.onMove(({ lost }) => {
    // Who leaves offers all that it has (server/cluster/leaving.ts).
    if (lost.length === 0 || membership.member(membership.self)!.state === 'leaving') return
    if (isUnderWay) again = true
    else begin()
  })
}

/** Walks over the store, and offers what it finds. */
export function offerAll(server: Server, offered: Offered, done: () => void = () => {}): void {
  const { clock } = server.world
  let cursor = 0
  const goOn = (): void => {
    if (server.isStopping) return
    const [next, keys] = someKeys(server, offered, cursor)
    cursor = next
    const takerOf = (key: Buffer): string | null => offered.takerOf(keySlot(key, 0, key.length))
    const offers = [...byOwner(keys, takerOf)].flatMap(([taker, theirs]) =>
      [...offersOf(theirs)].map((offer) => ({ taker, ...offer })),
    )
    sayAll(server, offers, () => {
      if (cursor === 0) done()
      else clock.soon(goOn)
    })
  }
  clock.after(BEGIN_AFTER_MS, goOn)
}

function someKeys(
  { config, store, world }: Server,
  { db, takerOf }: Offered,
  cursor: number,
): [next: number, keys: Buffer[]] {
  const keys: Buffer[] = []
  store.now = world.clock.now()
  const next = store.scan(db, cursor, WALK_SLOTS, (bytes, pos, length) => {
    if (takerOf(keySlot(bytes, pos, length)) === null) return
    if (config.groups.match(bytes, pos, length)?.hasCopies !== true) return
    keys.push(Buffer.from(bytes.subarray(pos, pos + length)))
  })
  return [next, keys]
}

/** One after the other. */
function sayAll(
  server: Server,
  offers: readonly (Offer & { readonly taker: string })[],
  done: () => void,
): void {
  const [first, ...rest] = offers
  if (first === undefined) return done()
  const peer = server.routing.peers.get(first.taker)
  const request = { deadlineMs: OFFER_MS_MAX, keyAt: -1, share: false }
  if (peer === undefined) return sayAll(server, rest, done)
  peer.request(first.words, request, () => sayAll(server, rest, done))
}
