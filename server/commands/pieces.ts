/*
 * Commands that read all of a value, however long it is: BITCOUNT, BITPOS, BITOP, LCS.
 *
 * A value that lies in its ring is short, and is read at once. One in pages is pinned, so that it stays
 * as it is, and read piece by piece in turns with others (turns.ts).
 */
import type { Client } from '../clients/client.ts'
import type { Step } from '../turns.ts'

/** Bytes that are not changed while somebody has them: pinned pages, or a copy. */
export interface Pieces {
  readonly length: number
  /** The bytes from `from` on, as many as lie together: at least one, if there is any. */
  piece(from: number): Uint8Array
  release(): void
}

/** Bytes on the heap. */
export function piecesOf(bytes: Uint8Array): Pieces {
  return { length: bytes.length, piece: (from) => bytes.subarray(from), release: () => {} }
}

/** What is done with a range of a value. */
export interface PieceWork {
  /** Looks at the bytes from `at` on. False: it needs to see no more. */
  visit(bytes: Uint8Array, at: number): boolean
  /** Replies. */
  end(client: Client): void
}

/** Does it to the open value's bytes [from, to), and closes the record. */
export function overOpen(client: Client, from: number, to: number, work: PieceWork): void {
  const { store } = client
  if (store.inPages) {
    const pages = store.pin()
    store.close()
    overPieces(client, pages, { from, to }, work)
    return
  }
  const { bytes, scratch } = store.io
  store.read(from, to - from, scratch)
  store.close()
  if (from < to) work.visit(bytes.subarray(scratch, scratch + to - from), from)
  work.end(client)
}

/** Does it to bytes [from, to) of these, and releases them. */
export function overPieces(
  client: Client,
  pieces: Pieces,
  { from, to }: { from: number; to: number },
  work: PieceWork,
): void {
  let at = from
  const step: Step = () => {
    if (at < to) {
      const bytes = pieces.piece(at)
      const seen = bytes.length > to - at ? bytes.subarray(0, to - at) : bytes
      const goesOn = work.visit(seen, at)
      at += seen.length
      if (goesOn && at < to) return false
    }
    pieces.release()
    work.end(client)
    return true
  }
  client.inSteps(step)
}
