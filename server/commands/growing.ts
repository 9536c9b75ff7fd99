/** Values that a bit far behind their end makes long. */
import type { Client } from '../clients/client.ts'
import { CHANGED, STORED } from '../store/store.ts'
import { openKey } from './lookup.ts'

/** Bytes, few of them, that the value of key 1 is to have at least up to their end. */
interface Reach {
  /** Where in the value they stand. */
  readonly at: number
  /** What is written there if the value ends before them: what lies between becomes zeros. */
  readonly bytes: Uint8Array
}

/**
 * Opens the record of key argument 1, creating it, and makes its value long enough. `goOn` closes the
 * record and replies; `isGrown`: the bytes were written, or `status` tells why not; `isNew`: there was no
 * such key. A value that
 * grows by much is prepared in turns with others (store/growth.ts).
 */
export function growOpen(
  client: Client,
  { at, bytes }: Reach,
  goOn: (status: number, isGrown: boolean, isNew: boolean) => void,
): void {
  const { store } = client
  const end = at + bytes.length
  const found = openKey(client, 1)
  if (found && store.valueLength >= end) {
    goOn(STORED, false, false)
    return
  }
  const growth = store.grow(at, bytes.length, null)
  if (growth === null) {
    goOn(store.setRange(at, bytes, 0, bytes.length), true, !found)
    return
  }
  store.close()
  client.inSteps(() => {
    if (!growth.step()) return false
    // Others may have made it longer meanwhile, and written there.
    const isThere = openKey(client, 1)
    if (isThere && store.valueLength >= end) {
      growth.release()
      goOn(STORED, false, false)
      return true
    }
    const status = store.attach(growth, bytes, 0)
    if (status === CHANGED) {
      store.close()
      return false
    }
    goOn(status, true, !isThere)
    return true
  })
}
