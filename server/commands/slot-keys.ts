/*
 * CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT. Keys are not kept by slot: all of this node are walked, in
 * steps, and others are served in between (turns.ts). That is for tools, and for a look now and then.
 */
import { SLOT_COUNT, keySlot } from '../../cluster/slots.ts'
import { ERR_NOT_INTEGER, ERR_SLOT, ERR_SLOT_OR_COUNT } from '../../protocol/errors.ts'
import type { Client } from '../clients/client.ts'
import { BulkList } from './bulk-list.ts'

/** Index slots of the store that are looked at in one step, and pieces of the reply that are written. */
const PLACES_PER_STEP = 1024
const PIECES_PER_STEP = 4

function isSlot(number: number): boolean {
  return number >= 0 && number < SLOT_COUNT
}

export function countKeysInSlot(client: Client): void {
  const { args, db, reply, store } = client
  const slot = args.integer(2)
  if (Number.isNaN(slot)) return reply.error(ERR_NOT_INTEGER)
  if (!isSlot(slot)) return reply.error(ERR_SLOT)
  let count = 0
  let cursor = 0
  client.inSteps(() => {
    cursor = store.scan(db, cursor, PLACES_PER_STEP, (bytes, pos, length) => {
      if (keySlot(bytes, pos, length) === slot) count++
    })
    if (cursor !== 0) return false
    reply.integer(count)
    return true
  })
}

export function getKeysInSlot(client: Client): void {
  const { args, db, reply, store } = client
  const slot = args.integer(2)
  const countMax = args.integer(3)
  if (Number.isNaN(slot) || Number.isNaN(countMax)) return reply.error(ERR_NOT_INTEGER)
  if (!isSlot(slot) || countMax < 0) return reply.error(ERR_SLOT_OR_COUNT)
  const list = new BulkList()
  let cursor = 0
  let isWritten = false
  const visit = (bytes: Uint8Array, pos: number, length: number): void => {
    if (list.count < countMax && keySlot(bytes, pos, length) === slot) list.add(bytes, pos, length)
  }
  client.inSteps(() => {
    if (isWritten) return list.writeSome(reply, PIECES_PER_STEP)
    cursor = store.scan(db, cursor, PLACES_PER_STEP, visit)
    if (cursor !== 0 && list.count < countMax) return false
    isWritten = true
    reply.array(list.count)
    return false
  })
}
